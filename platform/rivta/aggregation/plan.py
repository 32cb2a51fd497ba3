"""Whom to ask: a pure function of what the index has found, what was asked, and the decisions of the tables.

The filters and their order are the incumbent's. Two of them are ours: a hit counts only if the sender may call both of
its addresses, the one that permission is asked for and the one that the call goes to; and neither of them may be the
address of this service itself, or another that leads to it: a unit below it, or one with a delimiter, would have each
of its aggregates ask for as many more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from rivta.aggregation.question import Question
from rivta.aggregation.services import Asks, Service
from rivta.catalogue.decision import Outcome


class Hit(Protocol):
    """What counts of an engagement."""

    @property
    def categorization(self) -> str: ...
    @property
    def logical_address(self) -> str: ...
    @property
    def source_system(self) -> str: ...


class Reason(Enum):
    """Why a hit was dropped; the value is how records and logs spell it."""

    CATEGORY = "category"
    """It is of a category that is not this service's, or that was not asked for."""
    OWN_ADDRESS = "own address"
    """It points at this very service."""
    ADDRESS_REFUSED = "FT logical address"
    """The sender may not call its logical address. FT is the incumbent's word for it."""
    SOURCE_REFUSED = "FT source system"
    """The sender may not call its source system."""
    ANOTHER_SOURCE = "FS"
    """One source was asked for, and this is another; the incumbent's word."""


@dataclass(frozen=True, slots=True)
class Filtered:
    """A source that is not asked because of a hit, and why."""

    source: str
    """Its source system."""
    logical_address: str
    reason: Reason
    outcome: Outcome | None = None
    """What the tables say to a call, where that is the reason."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Whom to ask, each once, in the order in which the index has named them; and what was dropped, each once."""

    sources: tuple[str, ...]
    filtered: tuple[Filtered, ...]


@dataclass(frozen=True, slots=True)
class Permitted:
    """What the tables say to calls of the sender, by address. One that is missing was not asked about."""

    addresses: Mapping[str, Outcome]
    sources: Mapping[str, Outcome] | None
    """None: nobody looks at them, as with the incumbent."""
    own: frozenset[str] = frozenset()
    """Addresses from which a call would come back to this very service, by whatever name."""


def to_decide(hits: Sequence[Hit], service: Service) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The logical addresses and the source systems that a plan has to know the decisions about, each once."""
    addresses = dict.fromkeys(hit.logical_address for hit in hits)
    sources = dict.fromkeys(hit.source_system for hit in hits) if service.asks is Asks.SOURCE_SYSTEM else {}
    return tuple(addresses), tuple(sources)


def plan(service: Service, question: Question, hits: Iterable[Hit], *, permitted: Permitted, own_address: str) -> Plan:
    """Whom a call of this service asks. `permitted` has every address that `to_decide` names."""
    sources: dict[str, None] = {}
    filtered: dict[Filtered, None] = {}
    for hit in hits:
        dropped = _dropped(hit, service, question, permitted, own_address)
        if dropped is None:
            sources[_called(hit, service)] = None
        else:
            filtered[dropped] = None
    return Plan(tuple(sources), tuple(filtered))


def _dropped(hit: Hit, service: Service, question: Question, permitted: Permitted, own_address: str) -> Filtered | None:
    """Why a hit is dropped, by the first filter that does it."""
    for reason, outcome in _objections(hit, service, question, permitted, own_address):
        return Filtered(hit.source_system, hit.logical_address, reason, outcome)
    return None


def _objections(
    hit: Hit, service: Service, question: Question, permitted: Permitted, own_address: str
) -> Iterator[tuple[Reason, Outcome | None]]:
    if not _is_of_a_category(hit, service, question):
        yield Reason.CATEGORY, None
    if own_address in (hit.logical_address, hit.source_system) or _called(hit, service) in permitted.own:
        yield Reason.OWN_ADDRESS, None
    outcome = permitted.addresses[hit.logical_address]
    if outcome is not Outcome.ROUTED:
        yield Reason.ADDRESS_REFUSED, outcome
    if permitted.sources is not None and service.asks is Asks.SOURCE_SYSTEM:
        outcome = permitted.sources[hit.source_system]
        if outcome is not Outcome.ROUTED:
            yield Reason.SOURCE_REFUSED, outcome
    # The wanted source is compared with the logical address, as the incumbent does, not with the source system.
    if question.source and question.source != hit.logical_address:
        yield Reason.ANOTHER_SOURCE, None


def _is_of_a_category(hit: Hit, service: Service, question: Question) -> bool:
    """With a single category the index has been asked for it, and is believed."""
    if len(service.categories) > 1 and hit.categorization.lower() not in map(str.lower, service.categories):
        return False
    return not question.categories or hit.categorization in question.categories


def _called(hit: Hit, service: Service) -> str:
    return hit.source_system if service.asks is Asks.SOURCE_SYSTEM else hit.logical_address
