"""What two platforms' tables say together: calls that cross from one to the other, and do not arrive, or come back."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from rivta.catalogue.decide import decide
from rivta.catalogue.decision import Decision, Outcome
from rivta.catalogue.preview import OTHER
from rivta.catalogue.reach import places
from rivta.catalogue.rows import ANY_ADDRESS, HSA_ROOT, Draft, PermissionRow, RouteRow
from rivta.catalogue.table import Table

_EVERYWHERE = {ANY_ADDRESS, HSA_ROOT.lower()}


@dataclass(frozen=True, slots=True)
class PlatformTable:
    """One platform's table, and who the platform is in the other's."""

    name: str
    """`national`, `regional`."""
    hsa_id: str
    draft: Draft
    table: Table


class Gap(Enum):
    """What is missing between two platforms."""

    NOT_BEYOND = "not beyond"
    """This platform sends the calls on to the other, which refuses them."""
    NOT_HERE = "not here"
    """The other platform is ready for calls from this one, which does not send it any."""


@dataclass(frozen=True, slots=True)
class Missing:
    """An address and contract that is ordered at one of the platforms alone."""

    gap: Gap
    ordered_at: str
    """Name of the platform whose rows are there."""
    missing_at: str
    contract: str
    logical_address: str
    consumers: tuple[str, ...]
    """Whose calls they are, at the platform where they begin; empty where nobody may make them."""
    outcome: Outcome
    """What the calls meet where they are not expected."""
    source: str
    """`file:line` of the row at the platform that has it."""


@dataclass(frozen=True, slots=True)
class Loop:
    """Calls that each of the two platforms sends to the other."""

    contract: str
    logical_address: str
    """`OTHER`: any that neither table names."""
    sources: tuple[str, str]
    """`file:line` of the route at the first platform, and at the second."""


def missing(first: PlatformTable, second: PlatformTable, *, now: datetime) -> tuple[Missing, ...]:
    """What is ordered at one platform and missing at the other, both ways round, by contract and address."""
    found = [*_not_beyond(first, second, now), *_not_beyond(second, first, now)]
    told = {(one.contract.lower(), one.logical_address.lower()) for one in found}
    for here, beyond in ((first, second), (second, first)):
        found += [
            one
            for one in _not_here(here, beyond, now)
            if (one.contract.lower(), one.logical_address.lower()) not in told
        ]
    return tuple(sorted(found, key=lambda one: (one.ordered_at, one.contract, one.logical_address, one.outcome.value)))


def loops(first: PlatformTable, second: PlatformTable, *, now: datetime) -> tuple[Loop, ...]:
    """Every address and contract that both platforms send to each other."""
    found = []
    for contract, addresses in sorted(_named(first.draft, second.draft).items()):
        for address in sorted({*(addresses - _EVERYWHERE), OTHER}):
            there = _ask(first, second.hsa_id, contract, address, now)
            back = _ask(second, first.hsa_id, contract, address, now)
            if _goes_to(there, second) and _goes_to(back, first):
                assert there.route is not None
                assert back.route is not None
                found.append(Loop(contract, address, (there.route.source, back.route.source)))
    return tuple(found)


def _not_beyond(here: PlatformTable, beyond: PlatformTable, now: datetime) -> Iterator[Missing]:
    """Calls that `here` lets through and sends on, and `beyond` refuses."""
    consumers = _consumers(here.draft)
    for contract, addresses in sorted(_named(here.draft).items()):
        for address in sorted(addresses - _EVERYWHERE):
            arrives = _ask(beyond, here.hsa_id, contract, address, now)
            if arrives.outcome is Outcome.ROUTED or _goes_to(arrives, here):
                continue  # it gets there; or it comes back, which is a loop
            sent, source = _sent(here, beyond, _near(here, consumers, contract, address), contract, address, now)
            if sent:
                yield Missing(Gap.NOT_BEYOND, here.name, beyond.name, contract, address, sent, arrives.outcome, source)


def _not_here(here: PlatformTable, beyond: PlatformTable, now: datetime) -> Iterator[Missing]:
    """What `beyond` permits `here`, and nobody can reach from here."""
    consumers = _consumers(here.draft)
    named = {contract.lower(): addresses - _EVERYWHERE for contract, addresses in _named(here.draft).items()}
    seen: set[tuple[str, str]] = set()
    for row in beyond.draft.permissions:
        key = (row.contract.lower(), row.logical_address.lower())
        if row.consumer.lower() != here.hsa_id.lower() or key[1] in _EVERYWHERE or key in seen:
            continue
        seen.add(key)
        if key[1] == beyond.hsa_id.lower():
            continue  # what a platform asks the other itself, it asks directly
        ready = _ask(beyond, here.hsa_id, row.contract, row.logical_address, now)
        if ready.outcome is not Outcome.ROUTED or _goes_to(ready, here):
            continue
        near = _near(here, consumers, row.contract, row.logical_address)
        if _sent(here, beyond, near, row.contract, row.logical_address, now)[0]:
            continue
        if any(
            _sent(here, beyond, _near(here, consumers, row.contract, below), row.contract, below, now)[0]
            for below in named.get(key[0], ())
            if row.logical_address in beyond.table.ancestors(below)
        ):
            continue  # it is there for the units below
        asked = _ask(here, next(iter(near), beyond.hsa_id), row.contract, row.logical_address, now)
        if asked.outcome is Outcome.ROUTED:
            continue  # it goes somewhere else from here, on purpose
        yield Missing(
            Gap.NOT_HERE,
            beyond.name,
            here.name,
            row.contract,
            row.logical_address,
            (),
            asked.outcome,
            str(row.place),
        )


def _sent(
    here: PlatformTable, beyond: PlatformTable, consumers: Iterable[str], contract: str, address: str, now: datetime
) -> tuple[tuple[str, ...], str]:
    """The consumers whose calls `here` sends on to `beyond`, and where the route stands."""
    found, source = [], ""
    for consumer in consumers:
        decision = _ask(here, consumer, contract, address, now)
        if decision.outcome is Outcome.ROUTED and _goes_to(decision, beyond) and decision.route is not None:
            found.append(consumer)
            source = decision.route.source
    return tuple(found), source


def _ask(here: PlatformTable, sender: str, contract: str, address: str, now: datetime) -> Decision:
    return decide(here.table, sender=sender, contract=contract, logical_address=address, now=now)


def _goes_to(decision: Decision, platform: PlatformTable) -> bool:
    route = decision.route
    return route is not None and route.component.lower() == platform.hsa_id.lower()


def _named(*drafts: Draft) -> dict[str, set[str]]:
    """The addresses that rows for a contract name; spelled once each, and the root and `*` in lower case."""
    spelled: dict[tuple[str, str], tuple[str, str]] = {}
    for draft in drafts:
        rows: list[RouteRow | PermissionRow] = [*draft.routes, *draft.permissions]
        for row in rows:
            spelled.setdefault((row.contract.lower(), row.logical_address.lower()), (row.contract, row.logical_address))
    found: dict[str, set[str]] = defaultdict(set)
    contracts: dict[str, str] = {}
    for (contract_key, address_key), (contract, address) in spelled.items():
        name = contracts.setdefault(contract_key, contract)
        found[name].add(address_key if address_key in _EVERYWHERE else address)
    return found


def _consumers(draft: Draft) -> dict[tuple[str, str], list[str]]:
    """Who has a permission for a contract at an address; names in lower case to the spelling in the table."""
    found: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for row in draft.permissions:
        found[row.contract.lower(), row.logical_address.lower()].setdefault(row.consumer.lower(), row.consumer)
    return {key: list(names.values()) for key, names in found.items()}


def _near(here: PlatformTable, consumers: dict[tuple[str, str], list[str]], contract: str, address: str) -> list[str]:
    names: dict[str, None] = {}
    for place in places(here.table, address):
        names |= dict.fromkeys(consumers.get((contract.lower(), place.lower()), ()))
    return sorted(names)
