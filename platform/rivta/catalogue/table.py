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

FORMAT = 1
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


@dataclass(frozen=True, slots=True)
class _Producer:
    name: str
    component: HsaId
    url: str
    profile: Profile
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
        producer = _Producer(name, component, url, Profile(profile), bool(platform), client_certificate, ca)
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
