"""What the tables say to the calls that an aggregate might make: the one decision engine, asked about each address.

By the sender alone. The incumbent's ways, each by a switch of its own: it also takes a permission of the original
consumer, it does not climb the HSA tree, and it looks at the logical address of an engagement only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from rivta.aggregation.plan import Hit, Permitted, to_decide
from rivta.aggregation.services import Asks, Service
from rivta.catalogue.decide import DecisionCache
from rivta.catalogue.decision import Outcome
from rivta.catalogue.incumbent_filter import outcome_without_climb
from rivta.router.deviations import Compat

T = TypeVar("T")

_AT_A_TIME = 200
"""Decisions between which others get their turn: each takes up to 50 microseconds."""


@dataclass(frozen=True, slots=True)
class Asking:
    """For whom an aggregate is made, and by which rules its sources are chosen."""

    sender: str
    original_consumer: str
    now: datetime
    compat: Compat


async def permitted(hits: Sequence[Hit], service: Service, asking: Asking, table: DecisionCache) -> Permitted:
    """What a plan for these hits has to know. Others get their turn meanwhile."""
    addresses, sources = to_decide(hits, service)
    about_addresses = await _each(addresses, lambda one: address_outcome(one, service, asking, table))
    called = sources if service.asks is Asks.SOURCE_SYSTEM else addresses
    own = frozenset(
        one for one, is_own in (await _each(called, lambda one: _is_own(one, service, asking, table))).items() if is_own
    )
    if asking.compat.aggregate_source_unchecked:
        return Permitted(about_addresses, None, own)
    about_sources = await _each(sources, lambda one: source_outcome(one, service, asking, table))
    return Permitted(about_addresses, about_sources, own)


def address_outcome(address: str, service: Service, asking: Asking, table: DecisionCache) -> Outcome:
    """What is said to a logical address."""
    outcome = _filtered(address, asking.sender, service, asking, table)
    if outcome is Outcome.ROUTED or not asking.compat.aggregate_by_original_consumer:
        return outcome
    by_original = _filtered(address, asking.original_consumer, service, asking, table)
    return by_original if by_original is Outcome.ROUTED else outcome


def source_outcome(source: str, service: Service, asking: Asking, table: DecisionCache) -> Outcome:
    """What is said to a source system: the call is made in the sender's name, so nobody else's permission helps it."""
    return table.decide(sender=asking.sender, contract=service.contract, logical_address=source, now=asking.now).outcome


def _is_own(address: str, service: Service, asking: Asking, table: DecisionCache) -> bool:
    """Whether a call to that address would come back to this very service."""
    decision = table.decide(sender=asking.sender, contract=service.contract, logical_address=address, now=asking.now)
    return decision.route is not None and decision.route.is_in_process


def _filtered(address: str, sender: str, service: Service, asking: Asking, table: DecisionCache) -> Outcome:
    question = {"sender": sender, "contract": service.contract, "logical_address": address}
    if asking.compat.aggregate_without_climb:
        return outcome_without_climb(table.table, **question, now=asking.now)
    return table.decide(**question, now=asking.now).outcome


async def _each(addresses: Iterable[str], answer: Callable[[str], T]) -> dict[str, T]:
    answers = {}
    for number, address in enumerate(addresses, start=1):
        answers[address] = answer(address)
        if number % _AT_A_TIME == 0:
            await asyncio.sleep(0)
    return answers
