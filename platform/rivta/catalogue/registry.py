"""What the registry services ask of a table, in their own terms: named queries beside the decision engine.

None of them says what the router would do with a call: they list permissions and routes, without `*` and without the
HSA tree, because that is what the incumbent's services do and what their clients know. Each cites its source: SKLTP's
TAK (tak-services) or KAT, as read for `rivta.catalogue.quirks`. When a permission holds is the engine's own test.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from rivta.catalogue.quirks import RegistryRules
from rivta.catalogue.rows import SWEDISH_TIME, Bound, NotificationFilter
from rivta.catalogue.table import (
    ALWAYS,
    NEVER,
    ListedPermission,
    ListedProducerAddress,
    ListedRoute,
    Table,
    instant,
    microseconds,
)
from rivta.soap.identifiers import ContractNamespace, LogicalAddress

PAGE = 1000
"""Rows that a list holds in memory at a time."""


@dataclass(frozen=True, slots=True)
class Addressee:
    """An address that a consumer may call with a contract, and what its subscription is narrowed to."""

    logical_address: LogicalAddress
    filters: tuple[NotificationFilter, ...]


def supported_contracts(
    table: Table, *, logical_address: str, consumer: str | None, now: datetime, rules: RegistryRules
) -> tuple[ContractNamespace, ...]:
    """The contracts that a consumer (None: anybody) is permitted to call at exactly this address, each once.

    GetSupportedServiceContracts 1 and 2: by permissions alone, a route need not exist; names in any case; an empty
    consumer is nobody. KAT: TakCacheServiceImpl, with the router's time test; TAK: TakSyncService, which knows only
    midnights (`last_day_excluded`).
    """
    moment = microseconds(now)
    found = table.contracts_permitted_at(logical_address, consumer, moment)
    if rules.last_day_excluded:
        found = [one for one in found if moment <= _midnight_of_last_day(one[1], one[2])]
    return tuple(table.contract(number) for number in dict.fromkeys(number for number, _, _ in found))


def logical_addressees(
    table: Table, *, consumer: str, contract: str, now: datetime, rules: RegistryRules
) -> Iterator[list[Addressee]]:
    """The addresses that a consumer is permitted to call with a contract, `*` as it stands; in pages.

    GetLogicalAddresseesByServiceContract 2. KAT: TakCacheServiceImpl (valid now, both names as spelled, each address
    once with its first permission's filters); TAK: `expired_listed`, `consumer_in_any_case`, `record_per_permission`.
    """
    number = table.contract_id(contract)
    if number is None or table.contract(number) != contract:
        return
    told = _Told()
    for page in _permission_pages(table, consumer, number, now, rules):
        yield [
            Addressee(LogicalAddress(one.address), _filters(one.filters))
            for one in page
            if (rules.consumer_in_any_case or one.consumer == consumer)
            and (rules.record_per_permission or told.is_new(one))
        ]


def logical_addresses(
    table: Table, *, consumer: str, contract: str, now: datetime, rules: RegistryRules
) -> Iterator[list[LogicalAddress]]:
    """The same for GetLogicalAddresseesByServiceContract 1, which only TAK had: addresses alone, names in any case."""
    number = table.contract_id(contract)
    if number is None:
        return
    told = _Told()
    for page in _permission_pages(table, consumer, number, now, rules):
        yield [LogicalAddress(one.address) for one in page if told.is_new(one)]


class _Told:
    """Which spellings of an address were told: rows come by address, so that only those of the last are kept."""

    def __init__(self) -> None:
        self._key = ""
        self._spellings: set[str] = set()

    def is_new(self, row: ListedPermission) -> bool:
        """Whether the row's address is told the first time."""
        if row.address_key != self._key:
            self._key, self._spellings = row.address_key, set()
        is_new = row.address not in self._spellings
        self._spellings.add(row.address)
        return is_new


def routes(table: Table) -> Iterator[list[ListedRoute]]:
    """Every route of the publication in pages: hamtaAllaVirtualiseringar has no time filter (TAK: SokVagvalsInfo)."""
    return table.route_pages(PAGE)


def permissions(table: Table) -> Iterator[list[ListedPermission]]:
    """Every permission of the publication in pages, as hamtaAllaAnropsBehorigheter has them: no time filter."""
    return table.permission_pages(PAGE)


def routes_to(table: Table, address: ListedProducerAddress) -> Iterator[list[ListedRoute]]:
    """The routes to a producer address in pages."""
    return table.route_pages(PAGE, producer=address.id)


def valid_from(row: ListedRoute | ListedPermission) -> Bound | None:
    """The start of the row's validity as it was written."""
    return first_bound(row.valid_from, row.instant_from)


def valid_to(row: ListedRoute | ListedPermission) -> Bound | None:
    """The end of the row's validity as it was written."""
    return last_bound(row.valid_to, row.instant_to)


def first_bound(start: int, written: str | None) -> Bound | None:
    """What a stored start, in microseconds, was written as: a day, an instant with its offset, or nothing."""
    if written is not None:
        return datetime.fromisoformat(written)
    return None if start == ALWAYS else _swedish_day(start)


def last_bound(end: int, written: str | None) -> Bound | None:
    """The same of a stored end: the whole day before it."""
    if written is not None:
        return datetime.fromisoformat(written)
    return None if end == NEVER else _swedish_day(end) - timedelta(days=1)


def filters_of(row: ListedPermission) -> tuple[NotificationFilter, ...]:
    """What a subscription is narrowed to."""
    return _filters(row.filters)


def _permission_pages(
    table: Table, consumer: str, contract: int, now: datetime, rules: RegistryRules
) -> Iterator[list[ListedPermission]]:
    """Those that hold now, or all, by address; a page may have any number of them, or none."""
    moment = microseconds(now)
    for page in table.permission_pages_with(consumer, contract, PAGE):
        yield [one for one in page if rules.expired_listed or one.valid_from <= moment < one.valid_to]


def _filters(text: str | None) -> tuple[NotificationFilter, ...]:
    if text is None:
        return ()
    return tuple(NotificationFilter(domain, tuple(categories)) for domain, categories in json.loads(text))


def _midnight_of_last_day(end: int, written: str | None) -> int:
    """What TAK takes for the last instant of a validity; it knows days only."""
    bound = last_bound(end, written)
    if bound is None:
        return NEVER
    if isinstance(bound, datetime):
        return microseconds(bound)
    return microseconds(datetime.combine(bound, time(), SWEDISH_TIME).astimezone(UTC))


def _swedish_day(moment: int) -> date:
    known = instant(moment)
    assert known is not None  # bounds that were not given have been told apart
    return known.astimezone(SWEDISH_TIME).date()
