"""Compiling a publication with an HSA tree into the one file that routers read, and switching them over to it."""

import contextlib
import hashlib
import json
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from rivta.catalogue import content as contents
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.row_ids import RowIds
from rivta.catalogue.rows import (
    Bound,
    Component,
    NamedAddress,
    PermissionRow,
    Place,
    ProducerAddress,
    Resolution,
    RouteRow,
    closes,
    opens,
)
from rivta.catalogue.table import ALWAYS, APPLICATION_ID, CURRENT, FORMAT, NEVER, microseconds
from rivta.files import sync, write_file

VARIABLE = re.compile(r"\$\{([^{}]*)\}")

_KEPT_TABLES = 3
_LONGEST_COMPILE_S = 3600
_BATCH = 10_000

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE contracts (id INTEGER PRIMARY KEY, namespace TEXT NOT NULL);
CREATE TABLE files (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE producer_addresses (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, component TEXT NOT NULL, url TEXT NOT NULL, profile TEXT NOT NULL,
    platform INTEGER NOT NULL, client_certificate TEXT, ca TEXT, component_key TEXT NOT NULL);
CREATE TABLE components (id_key TEXT PRIMARY KEY, hsa_id TEXT NOT NULL, name TEXT) WITHOUT ROWID;
CREATE TABLE logical_addresses (address_key TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE units (id TEXT PRIMARY KEY, id_key TEXT NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE routes (
    address_key TEXT, contract INTEGER, ordinal INTEGER, address TEXT NOT NULL, producer INTEGER NOT NULL,
    valid_from INTEGER NOT NULL, valid_to INTEGER NOT NULL, file INTEGER NOT NULL, line INTEGER NOT NULL,
    row_id INTEGER NOT NULL, instant_from TEXT, instant_to TEXT,
    PRIMARY KEY (address_key, contract, ordinal)) WITHOUT ROWID;
CREATE TABLE permissions (
    address_key TEXT, contract INTEGER, consumer_key TEXT, ordinal INTEGER, address TEXT NOT NULL,
    consumer TEXT NOT NULL, agreement TEXT NOT NULL, valid_from INTEGER NOT NULL, valid_to INTEGER NOT NULL,
    file INTEGER NOT NULL, line INTEGER NOT NULL, filters TEXT,
    row_id INTEGER NOT NULL, instant_from TEXT, instant_to TEXT,
    PRIMARY KEY (address_key, contract, consumer_key, ordinal)) WITHOUT ROWID;
"""
# Made when all rows are there, which is faster. What a component has, and what a consumer may call with a contract.
_INDEXES = """
CREATE INDEX units_by_key ON units (id_key);
CREATE INDEX producer_addresses_by_component ON producer_addresses (component_key);
CREATE INDEX routes_by_producer ON routes (producer);
CREATE INDEX permissions_by_consumer ON permissions (consumer_key, contract);
"""


class UncompilableTable(ValueError):
    """The content refers to something that does not exist: a producer address, or a variable."""


def compile_table(
    content: bytes,
    *,
    hsa: HsaTree,
    variables: Mapping[str, str],
    folder: Path,
    publication: int = 0,
    hsa_version: int = 0,
) -> Path:
    """The file `<folder>/<digest>.sqlite` with everything in `content` (canonical JSON), made unless it is there.

    The digest covers content, tree, variables and both numbers, so the same name is always the same table. The file
    appears complete or not at all, is read-only, and is never written again. Raises UncompilableTable; OSError when the
    folder cannot be written.
    """
    digest = table_digest(content, hsa=hsa, variables=variables, publication=publication, hsa_version=hsa_version)
    path = folder / f"{digest}.sqlite"
    if path.exists():
        return path
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _temporary(folder, digest) as temporary:
        _write(
            temporary,
            content,
            hsa,
            variables,
            {"digest": digest, "publication": str(publication), "hsa_version": str(hsa_version)},
        )
        temporary.chmod(0o444)
        sync(temporary)
        temporary.replace(path)
    sync(folder)
    return path


def table_digest(
    content: bytes, *, hsa: HsaTree, variables: Mapping[str, str], publication: int = 0, hsa_version: int = 0
) -> str:
    """What names a compiled table: SHA-256, hexadecimal, over all that it is made of."""
    parts = [
        f"rivta table {FORMAT}",
        str(publication),
        contents.digest(content),
        str(hsa_version),
        hsa.digest,
        json.dumps(dict(variables), sort_keys=True),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def switch_current(table: Path, *, publication: int, hsa_version: int, about: Mapping[str, str] | None = None) -> None:
    """Make `table` the one in force: `current` beside it is replaced in one step. Removes all but the newest tables.

    `about` is told of the publication besides, to be known when the database is away.
    """
    folder = table.parent
    state: dict[str, object] = {"file": table.name, "digest": table.stem}
    state |= {"publication": publication, "hsa_version": hsa_version}
    if about:
        state["about"] = dict(about)
    write_file(folder / CURRENT, f"{json.dumps(state)}\n".encode(), mode=0o600)
    _remove_old(folder, keep=table)


def read_current(folder: Path) -> dict[str, object]:
    """What `current` says; empty when it is missing or not readable."""
    try:
        state = json.loads((folder / CURRENT).read_bytes())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def resolve(text: str, variables: Mapping[str, str]) -> str:
    """`text` with every `${name}` replaced; UncompilableTable, naming the variable, for one that is not there."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in variables:
            known = ", ".join(sorted(variables)) or "none"
            raise UncompilableTable(
                f"variable ${{{name}}} is not in [variables] of the configuration, which has {known}"
            )
        return variables[name]

    return VARIABLE.sub(value, text)


def _write(path: Path, content: bytes, hsa: HsaTree, variables: Mapping[str, str], meta: dict[str, str]) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        # Nobody sees the file before it is whole and synced, so SQLite need not protect it.
        connection.executescript(f"""
            PRAGMA page_size = 4096; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
            PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -65536;
            PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; BEGIN;
            {_SCHEMA}""")
        writer = _Writer(connection, variables)
        writer.write(contents.rows(content))
        connection.executemany("INSERT INTO units VALUES (?, ?, ?, ?)", _units(hsa))
        for statement in _INDEXES.strip().splitlines():
            connection.execute(statement)
        connection.executemany("INSERT INTO meta VALUES (?, ?)", {**meta, **writer.meta()}.items())
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise OSError(f"table {path} cannot be written: {error}") from error
    finally:
        connection.close()


def _units(hsa: HsaTree) -> Iterator[tuple[str, str, str, str]]:
    for unit in sorted(hsa.units.values(), key=lambda unit: unit.hsa_id):
        if above := hsa.ancestors(unit.hsa_id):
            yield unit.hsa_id, unit.hsa_id.lower(), unit.name, "\n".join(above)


class _Writer:
    """Streams rows into the file; long lists in batches, what they share as numbers."""

    def __init__(self, connection: sqlite3.Connection, variables: Mapping[str, str]) -> None:
        self._connection = connection
        self._variables = variables
        self._contracts: dict[str, int] = {}
        self._files: dict[str, int] = {}
        self._platforms: set[str] = set()
        self._producers: dict[str, tuple[int, str, str]] = {}
        self._mentioned: dict[str, str] = {}
        self._route_ids, self._permission_ids = RowIds(), RowIds()
        self._resolution = Resolution()
        self._counts = {"routes": 0, "permissions": 0}

    def write(self, rows: Iterable[contents.Row]) -> None:
        """Every row; the content's order has components before producer addresses and these before routes."""
        batch: list[tuple[object, ...]] = []
        kind: type[contents.Row] | None = None
        for row in rows:
            if type(row) is not kind or len(batch) >= _BATCH:
                self._flush(kind, batch)
                kind, batch = type(row), []
            if isinstance(row, RouteRow):
                batch.append(self._route(row))
            elif isinstance(row, PermissionRow):
                batch.append(self._permission(row))
            elif isinstance(row, ProducerAddress):
                batch.append(self._producer(row))
            elif isinstance(row, Component):
                if row.platform:
                    self._platforms.add(row.hsa_id.lower())
                batch.append((row.hsa_id.lower(), row.hsa_id, row.name))
            elif isinstance(row, NamedAddress):
                batch.append((row.logical_address.lower(), row.name))
            elif isinstance(row, Resolution):
                self._resolution = row
        self._flush(kind, batch)
        self._connection.executemany("INSERT INTO files VALUES (?, ?)", _numbered(self._files))
        self._connection.executemany(
            "INSERT OR IGNORE INTO components VALUES (?, ?, NULL)", sorted(self._mentioned.items())
        )

    def meta(self) -> dict[str, str]:
        """Resolution rules, which components are platforms, and counts, as `Table` reads them."""
        rules = self._resolution
        resolution = {
            "climb_routes": rules.climb_routes,
            "climb_permissions": rules.climb_permissions,
            "climb_except": rules.climb_except,
            "delimiter": rules.delimiter,
            "delimiter_contracts": rules.delimiter_contracts,
            "delimiter_senders": rules.delimiter_senders,
        }
        named = {"resolution": json.dumps(resolution), "platforms": json.dumps(sorted(self._platforms))}
        return named | {name: str(count) for name, count in self._counts.items()}

    def _flush(self, kind: type[contents.Row] | None, batch: list[tuple[object, ...]]) -> None:
        if not batch:
            return
        if kind is RouteRow:
            self._connection.executemany("INSERT INTO routes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", batch)
        elif kind is PermissionRow:
            self._connection.executemany(
                "INSERT INTO permissions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", batch
            )
        elif kind is Component:
            self._connection.executemany("INSERT OR REPLACE INTO components VALUES (?, ?, ?)", batch)
        elif kind is NamedAddress:
            self._connection.executemany("INSERT OR REPLACE INTO logical_addresses VALUES (?, ?)", batch)
        elif kind is ProducerAddress:
            self._connection.executemany("INSERT INTO producer_addresses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", batch)

    def _route(self, row: RouteRow) -> tuple[object, ...]:
        if row.producer_address not in self._producers:
            raise UncompilableTable(
                f"{row.place}: route to producer address {row.producer_address!r}, which does not exist"
            )
        self._counts["routes"] += 1
        producer, url, profile = self._producers[row.producer_address]
        return (
            row.logical_address.lower(),
            self._contract(row.contract),
            self._counts["routes"],
            row.logical_address,
            producer,
            *_bounds(row),
            *self._place(row.place),
            self._route_ids.number("route", row.logical_address, row.contract, url, profile, _text(row.valid_from)),
            *_instants(row),
        )

    def _permission(self, row: PermissionRow) -> tuple[object, ...]:
        self._counts["permissions"] += 1
        self._mentioned.setdefault(row.consumer.lower(), row.consumer)
        filters = [[part.domain, list(part.categories)] for part in row.filters]
        return (
            row.logical_address.lower(),
            self._contract(row.contract),
            row.consumer.lower(),
            self._counts["permissions"],
            row.logical_address,
            row.consumer,
            row.agreement,
            *_bounds(row),
            *self._place(row.place),
            json.dumps(filters) if filters else None,
            self._permission_ids.number(
                "permission", row.logical_address, row.contract, row.consumer, _text(row.valid_from)
            ),
            *_instants(row),
        )

    def _producer(self, row: ProducerAddress) -> tuple[object, ...]:
        try:
            url = resolve(row.url, self._variables)
        except UncompilableTable as error:
            raise UncompilableTable(f"{row.place}: producer address {row.name}: {error}") from error
        known = self._producers.get(row.name)
        number = len(self._producers) + 1 if known is None else known[0]
        self._producers[row.name] = (number, url, row.profile.value)
        key = row.component.lower()
        self._mentioned.setdefault(key, row.component)
        is_platform = key in self._platforms
        named = (row.client_certificate, row.ca)
        return number, row.name, row.component, url, row.profile.value, is_platform, *named, key

    def _contract(self, namespace: str) -> int:
        key = namespace.lower()
        if key not in self._contracts:
            self._contracts[key] = len(self._contracts) + 1
            self._connection.execute("INSERT INTO contracts VALUES (?, ?)", (self._contracts[key], namespace))
        return self._contracts[key]

    def _place(self, place: Place) -> tuple[int, int]:
        return self._files.setdefault(place.file, len(self._files) + 1), place.line


def _numbered(names: Mapping[str, int]) -> Iterator[tuple[int, str]]:
    return ((number, name) for name, number in names.items())


def _bounds(row: RouteRow | PermissionRow) -> tuple[int, int]:
    first, last = opens(row.valid_from), closes(row.valid_to)
    return ALWAYS if first is None else microseconds(first), NEVER if last is None else microseconds(last)


def _instants(row: RouteRow | PermissionRow) -> tuple[str | None, str | None]:
    """The bounds that are written as instants, with the offset they are written with; None for days and for none."""
    return _instant(row.valid_from), _instant(row.valid_to)


def _instant(bound: Bound | None) -> str | None:
    return bound.isoformat() if isinstance(bound, datetime) else None


def _text(bound: Bound | None) -> str:
    return "" if bound is None else bound.isoformat()


@contextlib.contextmanager
def _temporary(folder: Path, name: str) -> Iterator[Path]:
    handle, text = tempfile.mkstemp(prefix=f".{name[:16]}-", suffix=".tmp", dir=folder)
    os.close(handle)
    path = Path(text)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _remove_old(folder: Path, *, keep: Path) -> None:
    """All but the newest tables go; a worker that still has one open keeps it, since only the name is removed.

    So does what a process that was killed while it compiled has left.
    """
    oldest_alive = keep.stat().st_mtime - _LONGEST_COMPILE_S
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest_alive:
                path.unlink()
    others = [path for path in folder.glob("*.sqlite") if path != keep]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[_KEPT_TABLES - 1 :]:
        path.unlink(missing_ok=True)
