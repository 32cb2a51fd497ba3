"""Who can reach an address, by which rows and since when; and which permissions nobody has used."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rivta.catalogue.content import Row
from rivta.catalogue.decide import decide, hold
from rivta.catalogue.decision import Outcome, Permission, Route
from rivta.catalogue.levels import is_delimited, tokens
from rivta.catalogue.rows import (
    ANY_ADDRESS,
    Component,
    Draft,
    PermissionRow,
    ProducerAddress,
    Resolution,
    RouteRow,
)
from rivta.catalogue.table import Table

_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Reached:
    """One consumer may call the address with one contract, and there is somewhere for the call to go."""

    consumer: str
    contract: str
    route: Route
    permission: Permission
    since: datetime | None
    """From when these very rows decide, as far as the table says; None is always."""
    until: datetime | None
    """When that may end; None is never."""


class Used(NamedTuple):
    """Calls that were made by one sender to one address with one contract."""

    sender: str
    contract: str
    logical_address: str
    last: datetime


@dataclass(frozen=True, slots=True)
class Unused:
    """A permission that no call has needed."""

    permission: Permission


def reach(
    table: Table, logical_address: str, *, now: datetime, consumer: str | None = None, contract: str | None = None
) -> tuple[Reached, ...]:
    """Every consumer and contract for which a call to the address would be routed at `now`, by consumer and contract.

    Of one consumer or one contract alone when they are given; names in any case.
    """
    found = []
    for sender, namespace in sorted(set(_permitted(table, logical_address, consumer, contract))):
        holding = hold(table, sender=sender, contract=namespace, logical_address=logical_address, now=now)
        decision = holding.decision
        if decision.outcome is not Outcome.ROUTED or decision.route is None or decision.permission is None:
            continue
        found.append(
            Reached(
                consumer=sender,
                contract=namespace,
                route=decision.route,
                permission=decision.permission,
                since=None if holding.since == _FIRST else holding.since,
                until=None if holding.until == _LAST else holding.until,
            )
        )
    return tuple(found)


def places(table: Table, logical_address: str) -> tuple[str, ...]:
    """Every address whose rows can decide a call to this one: itself or its parts, the units above it, and `*`."""
    if is_delimited(table.resolution, logical_address):
        return tokens(table.resolution, logical_address)
    return (logical_address, *table.ancestors(logical_address), ANY_ADDRESS)


def narrowed(rows: Iterable[Row], near: Collection[str]) -> Draft:
    """A small table of the rows that can decide calls to an address; `near` are its places, in lower case."""
    kept: dict[type[Row], list[Any]] = defaultdict(list)
    for row in rows:
        if not isinstance(row, RouteRow | PermissionRow) or row.logical_address.lower() in near:
            kept[type(row)].append(row)
    resolutions = kept[Resolution]
    return Draft(
        components=tuple(kept[Component]),
        producer_addresses=tuple(kept[ProducerAddress]),
        routes=tuple(kept[RouteRow]),
        permissions=tuple(kept[PermissionRow]),
        resolution=resolutions[0] if resolutions else None,
    )


def unused(table: Table, used: Iterable[Used], *, since: datetime, now: datetime) -> tuple[Unused, ...]:
    """Permissions that have been valid from `since` to `now`, and by which none of the calls would go today.

    `used` has the calls made since then. A permission that another one makes needless counts as unused, too.
    """
    needed: set[Permission] = set()
    for calls in used:
        decision = decide(
            table, sender=calls.sender, contract=calls.contract, logical_address=calls.logical_address, now=now
        )
        if decision.permission is not None:
            needed.add(decision.permission)
    return tuple(
        Unused(permission)
        for permission in table.permissions()
        if (permission.valid_from or _FIRST) <= since
        and now < (permission.valid_to or _LAST)
        and permission not in needed
    )


def _permitted(
    table: Table, logical_address: str, consumer: str | None, contract: str | None
) -> Iterator[tuple[str, str]]:
    """Consumer and contract of every permission that such a call might go by."""
    for place in places(table, logical_address):
        for permission in table.permissions(address=place, consumer=consumer, contract=contract):
            yield permission.consumer, permission.contract
