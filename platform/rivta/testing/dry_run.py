"""Calls that were made, decided by another table: nothing is sent, and the difference to what happened is told.

The engine is the router's own, `catalogue.decide`; what a producer, a schema or TLS said is no table's matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from rivta.catalogue.decide import DecisionCache
from rivta.catalogue.decision import Decision, Outcome
from rivta.catalogue.table import Table
from rivta.router.record import CallRecord
from rivta.testing.cases import Case

_OF_TABLES = {outcome.value: outcome for outcome in Outcome}
_UNRESOLVED = "${"


class Made(NamedTuple):
    """A call that was made, or calls that are alike."""

    sender: str
    contract: str | None
    logical_address: str | None
    outcome: Outcome | None
    """What the table then said; None where the call did not come so far, or it is not known."""
    url: str | None
    """Where it went."""


class Change(Enum):
    """What another table makes of a call; the worst first."""

    LOST = "lost"
    """Routed then, refused now."""
    REROUTED = "rerouted"
    """Routed then and now, to another URL."""
    GAINED = "gained"
    """Refused then, routed now."""
    REFUSED_OTHERWISE = "refused otherwise"
    """Refused then and now, with another code."""
    NOT_COMPARABLE = "not comparable"
    """The table had no say then: the call is decided now, and there is nothing to compare with."""
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Effect:
    """Calls that are alike, and what becomes of them."""

    change: Change
    made: Made
    calls: int
    decision: Decision


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a table makes of calls."""

    calls: int
    left_out: int
    """Calls of which the sender is not known, so that nobody can decide them."""
    totals: dict[Change, int]
    effects: tuple[Effect, ...]
    """All that are not the same; the worst, and then the most calls, first."""


def made_of_record(record: CallRecord) -> Made | None:
    """The call of a record; None where its sender is not known."""
    if record.sender is None:
        return None
    return _made(record.sender, record.contract, record.logical_address, record.outcome, record.producer_url)


def made_of_case(case: Case, sender: str | None) -> Made | None:
    """The call of a case, with what happened when it was recorded; None where its sender is not known."""
    who = sender or case.sender
    if who is None:
        return None
    then = case.recorded
    outcome, url = (then.outcome, then.producer_url) if then else (None, None)
    return _made(who, case.contract, case.logical_address, outcome, url)


def dry_run(
    table: Table,
    calls: Iterable[Made | None],
    *,
    now: datetime,
    progress: Callable[[int], None] = lambda done: None,
) -> DryRun:
    """Decides every call by `table` as of `now`. Takes memory for different calls only, however many there are."""
    counted: Counter[Made] = Counter()
    total = left_out = 0
    for total, made in enumerate(calls, 1):
        if made is None:
            left_out += 1
        else:
            counted[made] += 1
        progress(total)
    cache = DecisionCache(table)
    totals = dict.fromkeys(Change, 0)
    effects = []
    for made, number in counted.items():
        decision = cache.decide(
            sender=made.sender, contract=made.contract, logical_address=made.logical_address, now=now
        )
        change = change_of(made, decision)
        totals[change] += number
        if change is not Change.SAME:
            effects.append(Effect(change, made, number, decision))
    order = list(Change)
    effects.sort(key=lambda one: (order.index(one.change), -one.calls, *map(str, one.made)))
    return DryRun(total, left_out, totals, tuple(effects))


def change_of(made: Made, decision: Decision) -> Change:
    """What a decision makes of a call that was made."""
    then, now = made.outcome, decision.outcome
    if then is None:
        return Change.NOT_COMPARABLE
    if then is Outcome.ROUTED:
        if now is not Outcome.ROUTED:
            return Change.LOST
        url = decision.route.url if decision.route else ""
        # A name that nobody here has the value of may stand for the very same URL.
        differs = made.url is not None and _UNRESOLVED not in url and url != made.url
        return Change.REROUTED if differs else Change.SAME
    if now is Outcome.ROUTED:
        return Change.GAINED
    return Change.SAME if now is then else Change.REFUSED_OTHERWISE


def _made(sender: str, contract: str | None, logical_address: str | None, outcome: str | None, url: str | None) -> Made:
    said = _OF_TABLES.get(outcome or "")
    if said is None and url is not None:
        said = Outcome.ROUTED  # it had a route and a permission, and failed after that
    return Made(sender, contract, logical_address, said, url if said is Outcome.ROUTED else None)
