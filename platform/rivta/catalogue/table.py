"""A compiled table: one immutable SQLite file, read in place by point look-ups, with a few names in memory.

What the router needs to decide, and the listings that explain it. Written by `rivta.catalogue.compile`.
"""

import json
import sqlite3
import struct
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from rivta.catalogue.decision import Permission, Route
from rivta.catalogue.rows import HSA_ROOT, Resolution
from rivta.soap.identifiers import ContractNamespace, HsaId, LogicalAddress, Profile

APPLICATION_ID = 0x52495641
"""In the file's header: a table of rivta."""

FORMAT = 4
"""Of the file; a file of another format is compiled again."""

CURRENT = "current"
"""Name of the file, beside the tables, that says which of them is in force."""

ALWAYS = -(1 << 62)
NEVER = 1 << 62
"""Bounds of a row that has none, in microseconds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MMAP_BYTES = 1 << 34
_HEADER = struct.Struct(">16sH10xI")

_ROUTES = "SELECT ordinal, address, contract, producer, valid_from, valid_to, file, line FROM routes"
_PERMISSIONS = (
    "SELECT ordinal, address, consumer, contract, agreement, valid_from, valid_to, file, line FROM permissions"
)
_ROUTES_AT = f"{_ROUTES} WHERE address_key = ? AND contract = ? ORDER BY ordinal"
_PERMISSIONS_AT = f"{_PERMISSIONS} WHERE address_key = ? AND contract = ? AND consumer_key = ? ORDER BY ordinal"


_LISTED_ROUTES = (
    "SELECT row_id, routes.address_key, contract, ordinal, address, valid_from, valid_to, instant_from, instant_to,"
    " url, profile, logical_addresses.name"
    " FROM routes CROSS JOIN producer_addresses ON producer_addresses.id = producer"
    " LEFT JOIN logical_addresses ON logical_addresses.address_key = routes.address_key"
)
_LISTED_PERMISSIONS = (
    "SELECT row_id, permissions.address_key, contract, ordinal, address, valid_from, valid_to, instant_from,"
    " instant_to, consumer_key, consumer, agreement, filters, logical_addresses.name"
    " FROM permissions LEFT JOIN logical_addresses ON logical_addresses.address_key = permissions.address_key"
)
_ENDS_PERMITTED = "SELECT DISTINCT contract, valid_to, instant_to FROM permissions"


class TableUnreadable(ValueError):
    """The file is missing, damaged, or no table of this program."""


class RouteRecord(NamedTuple):
    """A route as stored; bounds are microseconds since 1970, the second one the first outside."""

    ordinal: int
    address: str
    contract: int
    producer: int
    valid_from: int
    valid_to: int
    file: int
    line: int


class PermissionRecord(NamedTuple):
    """A permission as stored."""

    ordinal: int
    address: str
    consumer: str
    contract: int
    agreement: str
    valid_from: int
    valid_to: int
    file: int
    line: int


class ListedRoute(NamedTuple):
    """A route as the registry services tell of it. Every string is as it was written."""

    row_id: int
    address_key: str
    contract: int
    ordinal: int
    address: str
    valid_from: int
    valid_to: int
    instant_from: str | None
    instant_to: str | None
    """The bounds as they were written where they are instants and not days; in ISO 8601."""
    url: str
    profile: str
    address_name: str | None


class ListedPermission(NamedTuple):
    """A permission as the registry services tell of it."""

    row_id: int
    address_key: str
    contract: int
    ordinal: int
    address: str
    valid_from: int
    valid_to: int
    instant_from: str | None
    instant_to: str | None
    consumer_key: str
    consumer: str
    agreement: str
    filters: str | None
    """JSON: `[[domain, [category, ...]], ...]`."""
    address_name: str | None


class ListedComponent(NamedTuple):
    """A service component that the tables name, or only mention."""

    id_key: str
    hsa_id: str
    name: str | None


class ListedProducerAddress(NamedTuple):
    """A producer address of a component."""

    id: int
    url: str
    profile: str


@dataclass(frozen=True, slots=True)
class _Producer:
    name: str
    component: HsaId
    url: str
    profile: Profile | None
    platform: bool
    client_certificate: str | None
    ca: str | None


class Table:
    """Routes, permissions, HSA tree and resolution rules of one publication. May be used from several threads."""

    __slots__ = (
        "__weakref__",
        "_close",
        "_connection",
        "_contract_ids",
        "_contracts",
        "_files",
        "_lock",
        "_platforms",
        "_producers",
        "digest",
        "hsa_version",
        "path",
        "permissions_count",
        "publication",
        "resolution",
        "routes_count",
    )

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._lock = threading.Lock()
        # Closed with the last reference, so that whoever is still deciding by an old table is never cut off.
        self._close = weakref.finalize(self, connection.close)
        meta = dict(connection.execute("SELECT key, value FROM meta"))
        self.digest: str = meta["digest"]
        self.publication = int(meta["publication"])
        self.hsa_version = int(meta["hsa_version"])
        self.routes_count = int(meta["routes"])
        self.permissions_count = int(meta["permissions"])
        self.resolution = _resolution(json.loads(meta["resolution"]))
        self._platforms = frozenset(json.loads(meta["platforms"]))
        self._contracts: dict[int, ContractNamespace] = dict(connection.execute("SELECT id, namespace FROM contracts"))
        self._contract_ids = {namespace.lower(): number for number, namespace in self._contracts.items()}
        self._files: dict[int, str] = dict(connection.execute("SELECT id, name FROM files"))
        self._producers: dict[int, _Producer] = {}

    @classmethod
    def open(cls, path: Path) -> "Table":
        """The table in `path`, mapped into memory. Raises TableUnreadable."""
        _check_size(path)
        uri = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
        try:
            # SQLite is in serialised mode, and a lock of ours stands around each query.
            connection = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
        except sqlite3.Error as error:
            raise TableUnreadable(f"table {path} cannot be opened: {error}") from error
        try:
            connection.execute(f"PRAGMA mmap_size = {_MMAP_BYTES}")
            connection.execute("PRAGMA query_only = 1")
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if application != APPLICATION_ID or version != FORMAT:
                raise ValueError(f"it is not a table of format {FORMAT}; publish or restart the keeper to compile it")
            return cls(path, connection)
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            connection.close()
            raise TableUnreadable(f"table {path} cannot be used: {error}") from error

    def close(self) -> None:
        """Give the file up; without it, that happens with the last reference."""
        self._close()

    def contract_id(self, namespace: str) -> int | None:
        """The number rows know a contract by, in any case; None when no row mentions it."""
        return self._contract_ids.get(namespace.lower())

    def component_name(self, hsa_id: str) -> str | None:
        """What people call a component, its id in any case; None for one that the tables only mention, or not."""
        found = self._all("SELECT name FROM components WHERE id_key = ?", (hsa_id.lower(),))
        return found[0][0] if found else None

    def address_name(self, logical_address: str) -> str | None:
        """What people call a logical address, in any case; None for one that the tables do not name."""
        found = self._all("SELECT name FROM logical_addresses WHERE address_key = ?", (logical_address.lower(),))
        return found[0][0] if found else None

    def is_platform(self, hsa_id: str) -> bool:
        """Whether the component is itself a service platform, its id in any case."""
        return hsa_id.lower() in self._platforms

    def routes_at(self, address: str, contract: int) -> list[RouteRecord]:
        """Every route of an address and contract, valid or not; the address in any case."""
        return [RouteRecord._make(row) for row in self._all(_ROUTES_AT, (address.lower(), contract))]

    def permissions_at(self, address: str, contract: int, consumer: str) -> list[PermissionRecord]:
        """Every permission of a consumer for an address and contract, valid or not; names in any case."""
        rows = self._all(_PERMISSIONS_AT, (address.lower(), contract, consumer.lower()))
        return [PermissionRecord._make(row) for row in rows]

    def ancestors(self, hsa_id: str) -> tuple[str, ...]:
        """The units above `hsa_id`, nearest first, ending with `SE`; as `HsaTree.ancestors`, case-sensitive."""
        if hsa_id == HSA_ROOT:
            return ()
        found = self._all("SELECT path FROM units WHERE id = ?", (hsa_id,))
        return tuple(found[0][0].split("\n")) if found else (HSA_ROOT,)

    def units_spelled_like(self, hsa_id: str) -> tuple[str, ...]:
        """Units of the tree that differ from `hsa_id` in case only."""
        found = self._all("SELECT id FROM units WHERE id_key = ? AND id <> ?", (hsa_id.lower(), hsa_id))
        return tuple(row[0] for row in found)

    def other_routes_at(self, address: str, contract: int | None, limit: int) -> list[RouteRecord]:
        """Routes of the address for other contracts."""
        rows = self._all(
            f"{_ROUTES} WHERE address_key = ? AND contract IS NOT ? LIMIT ?", (address.lower(), contract, limit)
        )
        return [RouteRecord._make(row) for row in rows]

    def other_permissions_at(
        self, address: str, contract: int | None, consumer: str, limit: int
    ) -> list[PermissionRecord]:
        """Permissions of the address for the contract and other consumers."""
        rows = self._all(
            f"{_PERMISSIONS} WHERE address_key = ? AND contract = ? AND consumer_key <> ? LIMIT ?",
            (address.lower(), contract, consumer.lower(), limit),
        )
        return [PermissionRecord._make(row) for row in rows]

    def other_contracts_permitted(
        self, address: str, contract: int | None, consumer: str, limit: int
    ) -> list[PermissionRecord]:
        """Permissions of the consumer at the address for other contracts."""
        rows = self._all(
            f"{_PERMISSIONS} WHERE address_key = ? AND contract IS NOT ? AND consumer_key = ? LIMIT ?",
            (address.lower(), contract, consumer.lower(), limit),
        )
        return [PermissionRecord._make(row) for row in rows]

    def routes(self, *, address: str | None = None, contract: str | None = None, limit: int = -1) -> Iterator[Route]:
        """Every route by address, or those of an address or a contract; at most `limit` unless negative."""
        for row in self._listing(_ROUTES, {"address_key": address}, contract, limit):
            yield self.route(RouteRecord._make(row))

    def permissions(
        self, *, address: str | None = None, contract: str | None = None, consumer: str | None = None, limit: int = -1
    ) -> Iterator[Permission]:
        """Every permission, or those that fit; at most `limit` if not negative."""
        where = {"address_key": address, "consumer_key": consumer}
        for row in self._listing(_PERMISSIONS, where, contract, limit):
            yield self.permission(PermissionRecord._make(row))

    def contracts(self) -> list[tuple[int, ContractNamespace]]:
        """The contracts that rows mention, by their numbers."""
        return list(self._contracts.items())

    def contract(self, number: int) -> ContractNamespace:
        """The contract that rows know by this number, spelled as the first of them has it."""
        return self._contracts[number]

    # Lists are given in pages, each by a query of its own, so that a reader of any speed holds neither the file's lock
    # nor more than one page of it.

    def route_pages(self, size: int, *, producer: int | None = None) -> Iterator[list[ListedRoute]]:
        """Every route by address and contract, or those to a producer address."""
        place = "routes.address_key, contract, ordinal"
        where, values = ("producer = ? AND ", [producer]) if producer is not None else ("", [])
        query = f"{_LISTED_ROUTES} WHERE {where}({place}) > (?, ?, ?) ORDER BY {place} LIMIT ?"
        after: tuple[str, int, int] = ("", -1, -1)
        while page := [ListedRoute._make(row) for row in self._all(query, (*values, *after, size))]:
            yield page
            after = page[-1].address_key, page[-1].contract, page[-1].ordinal

    def permission_pages(self, size: int) -> Iterator[list[ListedPermission]]:
        """Every permission by address, contract and consumer."""
        place = "permissions.address_key, contract, consumer_key, ordinal"
        query = f"{_LISTED_PERMISSIONS} WHERE ({place}) > (?, ?, ?, ?) ORDER BY {place} LIMIT ?"
        after: tuple[str, int, str, int] = ("", -1, "", -1)
        while page := self._listed_permissions(query, (*after, size)):
            yield page
            last = page[-1]
            after = last.address_key, last.contract, last.consumer_key, last.ordinal

    def permission_pages_of(self, consumer: str, size: int) -> Iterator[list[ListedPermission]]:
        """Every permission of a consumer, in any case, by contract and address."""
        place = "contract, permissions.address_key, ordinal"
        query = f"{_LISTED_PERMISSIONS} WHERE consumer_key = ? AND ({place}) > (?, ?, ?) ORDER BY {place} LIMIT ?"
        after: tuple[int, str, int] = (-1, "", -1)
        while page := self._listed_permissions(query, (consumer.lower(), *after, size)):
            yield page
            after = page[-1].contract, page[-1].address_key, page[-1].ordinal

    def permission_pages_with(self, consumer: str, contract: int, size: int) -> Iterator[list[ListedPermission]]:
        """Every permission of a consumer, in any case, for a contract, valid or not; by address."""
        place = "permissions.address_key, ordinal"
        query = (
            f"{_LISTED_PERMISSIONS} WHERE consumer_key = ? AND contract = ? AND ({place}) > (?, ?)"
            f" ORDER BY {place} LIMIT ?"
        )
        after: tuple[str, int] = ("", -1)
        while page := self._listed_permissions(query, (consumer.lower(), contract, *after, size)):
            yield page
            after = page[-1].address_key, page[-1].ordinal

    def contracts_permitted_at(self, address: str, consumer: str | None, now: int) -> list[tuple[int, int, str | None]]:
        """Contract, end and end as written of the permissions valid at `now` (microseconds) at an address, each once.

        Of one consumer, or of all. Names are in any case.
        """
        where, values = ("", []) if consumer is None else (" AND consumer_key = ?", [consumer.lower()])
        rows = self._all(
            f"{_ENDS_PERMITTED} WHERE address_key = ?{where} AND valid_from <= ? AND valid_to > ? ORDER BY contract",
            (address.lower(), *values, now, now),
        )
        return [(contract, valid_to, instant_to) for contract, valid_to, instant_to in rows]

    def component_pages(self, size: int) -> Iterator[list[ListedComponent]]:
        """Every component by its id."""
        query = "SELECT id_key, hsa_id, name FROM components WHERE id_key > ? ORDER BY id_key LIMIT ?"
        after = ""
        while page := [ListedComponent._make(row) for row in self._all(query, (after, size))]:
            yield page
            after = page[-1].id_key

    def components_count(self) -> int:
        """How many components the tables name or mention."""
        return int(self._all("SELECT count(*) FROM components", ())[0][0])

    def producer_addresses_of(self, component_key: str) -> list[ListedProducerAddress]:
        """The producer addresses of a component, its id in lower case."""
        query = "SELECT id, url, profile FROM producer_addresses WHERE component_key = ? ORDER BY id"
        return [ListedProducerAddress._make(row) for row in self._all(query, (component_key,))]

    def _listed_permissions(self, query: str, values: tuple[str | int | None, ...]) -> list[ListedPermission]:
        return [ListedPermission._make(row) for row in self._all(query, values)]

    def route(self, record: RouteRecord) -> Route:
        """The stored row as the route it means."""
        producer = self._producers.get(record.producer) or self._read_producer(record.producer)
        return Route(
            logical_address=LogicalAddress(record.address),
            contract=self._contracts[record.contract],
            producer_address=producer.name,
            component=producer.component,
            url=producer.url,
            profile=producer.profile,
            valid_from=instant(record.valid_from),
            valid_to=instant(record.valid_to),
            source=f"{self._files[record.file]}:{record.line}",
            platform=producer.platform,
            client_certificate=producer.client_certificate,
            ca=producer.ca,
        )

    def permission(self, record: PermissionRecord) -> Permission:
        """The stored row as the permission it means."""
        return Permission(
            consumer=HsaId(record.consumer),
            logical_address=LogicalAddress(record.address),
            contract=self._contracts[record.contract],
            agreement=record.agreement,
            valid_from=instant(record.valid_from),
            valid_to=instant(record.valid_to),
            source=f"{self._files[record.file]}:{record.line}",
        )

    def _listing(
        self, select: str, where: dict[str, str | None], contract: str | None, limit: int
    ) -> list[tuple[Any, ...]]:
        conditions = [f"{column} = ?" for column, value in where.items() if value is not None]
        values: list[str | int | None] = [value.lower() for value in where.values() if value is not None]
        if contract is not None:
            conditions.append("contract = ?")
            values.append(self.contract_id(contract))
        clause = " WHERE " + " AND ".join(conditions) if conditions else ""
        return self._all(f"{select}{clause} LIMIT ?", (*values, limit))

    def _read_producer(self, number: int) -> _Producer:
        found = self._all(
            "SELECT name, component, url, profile, platform, client_certificate, ca"
            " FROM producer_addresses WHERE id = ?",
            (number,),
        )
        if not found:
            raise TableUnreadable(f"table {self.path} is damaged: a route points to no producer address")
        name, component, url, profile, platform, client_certificate, ca = found[0]
        producer = _Producer(name, component, url, Profile.known(profile), bool(platform), client_certificate, ca)
        self._producers[number] = producer
        return producer

    def _all(self, query: str, values: tuple[str | int | None, ...]) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise TableUnreadable(f"table {self.path} cannot be read: {error}") from error


def instant(microseconds: int) -> datetime | None:
    """The time a stored bound means; None for a bound that was not given."""
    if microseconds in (ALWAYS, NEVER):
        return None
    return _EPOCH + timedelta(microseconds=microseconds)


def microseconds(moment: datetime) -> int:
    """A time as bounds are stored; TypeError for one without a zone."""
    return (moment - _EPOCH) // _MICROSECOND


def _check_size(path: Path) -> None:
    """A file cut short would fail only when the missing part is asked for; its header tells how long it must be."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
            length = path.stat().st_size
    except OSError as error:
        raise TableUnreadable(f"table {path} cannot be opened: {error.strerror}") from error
    if len(header) < _HEADER.size or not header.startswith(b"SQLite format 3\0"):
        raise TableUnreadable(f"table {path} is no compiled table")
    _, page_size, pages = _HEADER.unpack(header)
    expected = (page_size if page_size != 1 else 65536) * pages
    if length != expected:
        raise TableUnreadable(f"table {path} is damaged: {length} bytes long, its header says {expected}")


def _resolution(fields: dict[str, Any]) -> Resolution:
    return Resolution(
        climb_routes=fields["climb_routes"],
        climb_permissions=fields["climb_permissions"],
        climb_except=tuple(fields["climb_except"]),
        delimiter=fields["delimiter"],
        delimiter_contracts=tuple(fields["delimiter_contracts"]),
        delimiter_senders=tuple(fields["delimiter_senders"]),
    )
