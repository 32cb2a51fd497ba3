"""The access log in its own database: writing that is durable when it returns, and reading."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Text,
    and_,
    cast,
    exists,
    insert,
    or_,
    select,
    text,
    type_coerce,
)
from sqlalchemy.exc import SQLAlchemyError

from rivta.audit.access.chain import COLUMNS, hash_of, start_of
from rivta.audit.access.entry import READ, Entry, Kind, StoredEntry, columns_of, entry_of
from rivta.store.access_schema import access_entries, access_logs
from rivta.store.engine import open_database, writing
from rivta.store.kinds import ACCESS_LOG

WRITE_SECONDS = 10
"""How long PostgreSQL may take over an entry. (SQLite's own limit is store.engine.BUSY_TIMEOUT_S.)"""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_PAGE = 1000
_e = access_entries.c


class CannotRecord(Exception):
    """The entry is not in the log: what it is about may not be shown, nor asked for."""


class AccessLogUnreadable(OSError):
    """The log's database does not answer, or holds what no log does."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """That an entry is in the log, on the disk."""

    id: str
    time: datetime
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry of a writer."""

    number: int
    hash: str


Beside = Callable[[Connection, Sequence[StoredEntry]], None]
"""What else is to be written in the transaction of some entries."""


class AccessLog:
    """One access log. Every method may be called from any thread, and by any number of processes."""

    def __init__(self, engine: Engine) -> None:
        """On a database that `open_database` has opened as an ACCESS_LOG. Raises AccessLogUnreadable."""
        self.engine = engine
        self._file = Path(engine.url.database or "") if engine.dialect.name == "sqlite" else None
        self._identity = self._identity_of_file()
        try:
            with engine.connect() as connection:
                self.id: str = connection.execute(select(access_logs.c.id)).scalar_one()
        except SQLAlchemyError as error:
            raise AccessLogUnreadable(f"the access log cannot be read: {_reason(error)}") from error

    @classmethod
    def open(cls, url: str) -> AccessLog:
        """The log at `url`, made when it is not there yet. Raises DatabaseUnusable or AccessLogUnreadable."""
        return cls(open_database(url, ACCESS_LOG))

    def close(self) -> None:
        """Give the database's connections back."""
        self.engine.dispose()

    def writer(self, name: str, *, clock: Callable[[], datetime]) -> Writer:
        """A new writer with a chain of its own; `name` says whose, as `console`. `clock` gives aware times."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"the name of a writer is at most 40 letters a-z, digits and hyphens, not {name!r}")
        return Writer(self, f"{name}-{secrets.token_hex(6)}", clock)

    def has_moved(self) -> bool:
        """Whether another file has come into the place of the SQLite file that was opened."""
        return self._identity_of_file() != self._identity

    def _identity_of_file(self) -> tuple[int, int] | None:
        if self._file is None:
            return None
        try:
            found = self._file.stat()
        except OSError:
            return (0, 0)
        return (found.st_dev, found.st_ino)

    def entries(
        self,
        *,
        patient: str | None = None,
        care_provider: str | None = None,
        correlation_id: str | None = None,
        about: Sequence[str] | None = None,
        writer: str | None = None,
        number: int | None = None,
        kinds: Sequence[Kind] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> list[StoredEntry]:
        """The entries that match everything given, oldest first, `since` included and `until` not."""
        exact = {
            _e.patient: patient,
            _e.care_provider_id: care_provider,
            _e.correlation_id: correlation_id,
            _e.writer: writer,
            _e.number: number,
        }
        given = ((column, value) for column, value in exact.items() if value is not None)
        conditions: list[ColumnElement[bool]] = [column == value for column, value in given]
        if about is not None:
            conditions.append(_e.about.in_(about))
        if kinds is not None:
            conditions.append(_e.kind.in_([kind.value for kind in kinds]))
        return self._stored([*conditions, *_between(since, until)], limit)

    def accesses(self, patient: str, *, since: datetime, until: datetime, limit: int) -> list[StoredEntry]:
        """The looks by which somebody came to know, or may have, something of the patient: oldest first.

        Outcomes that were shown, an empty answer among them; and intents that no outcome answers: a process died
        between the two, and the log must not say less than what may have been seen.
        """
        answers = access_entries.alias()
        unanswered = and_(
            _e.kind == Kind.INTENT.value,
            _e.information_set != "",
            ~exists().where(answers.c.about == _e.writer + ":" + cast(_e.number, Text)),
        )
        seen = and_(_e.kind == Kind.OUTCOME.value, _e.outcome.in_([outcome.value for outcome in READ]))
        return self._stored([_e.patient == patient, or_(seen, unanswered), *_between(since, until)], limit)

    def _stored(self, conditions: Sequence[ColumnElement[bool]], limit: int | None) -> list[StoredEntry]:
        query = select(access_entries).where(*conditions).order_by(_e.time, _e.writer, _e.number).limit(limit)
        try:
            with self.engine.connect() as connection:
                return [_stored_entry(dict(row._mapping)) for row in connection.execute(query)]
        except (SQLAlchemyError, ValueError, TypeError) as error:
            raise AccessLogUnreadable(f"the access log cannot be read: {_reason(error)}") from error

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every row as it is stored, by writer and number: columns with whatever is in them, for verification."""
        # As text: a time that is none must not keep the rest from being looked at.
        as_text = type_coerce(_e.time, Text).label("time")
        columns: list[ColumnElement[Any]] = [access_entries.c[name] for name in (*COLUMNS, "hash")]
        if self._file is not None:
            columns[COLUMNS.index("time")] = as_text
        query = select(*columns).order_by(_e.writer, _e.number).execution_options(yield_per=_PAGE)
        try:
            with self.engine.connect() as connection:
                for row in connection.execute(query):
                    found = dict(row._mapping)
                    yield found | {"time": _time_or_what_it_is(found["time"])}
        except SQLAlchemyError as error:
            raise AccessLogUnreadable(f"the access log cannot be read: {_reason(error)}") from error

    def heads(self) -> dict[str, Head]:
        """The newest entry of every writer. The time it takes grows with the writers and not with the entries."""
        try:
            with self.engine.connect() as connection:
                found = connection.execute(_HEADS).all()
        except SQLAlchemyError as error:
            raise AccessLogUnreadable(f"the access log cannot be read: {_reason(error)}") from error
        return {writer: Head(number, hash) for writer, number, hash in found}


# A loose index scan: from one writer to the next, and to the last number of each, by the primary key.
_HEADS = text(
    "WITH RECURSIVE writers(writer) AS (SELECT min(writer) FROM access_entries UNION ALL "
    "SELECT (SELECT min(e.writer) FROM access_entries e WHERE e.writer > w.writer) FROM writers w "
    "WHERE w.writer IS NOT NULL) "
    "SELECT e.writer, e.number, e.hash FROM writers w JOIN access_entries e ON e.writer = w.writer "
    "AND e.number = (SELECT max(l.number) FROM access_entries l WHERE l.writer = w.writer)"
)


class Writer:
    """One process's way into the log, and its chain. One transaction, on the disk, for all entries of a call."""

    def __init__(self, log: AccessLog, name: str, clock: Callable[[], datetime]) -> None:
        self._log = log
        self.name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._head = Head(0, start_of(log.id, name))
        self._doubtful: Head | None = None
        """What the head is instead, if a commit that failed was made all the same."""

    def record(self, *entries: Entry) -> tuple[Receipt, ...]:
        """The entries are in the log, all of them, when this returns; in this order.

        Raises CannotRecord: then whatever they are about may not be shown. (They may be in the log even so, when the
        database was lost while it committed: an intent without an outcome, which tells that nothing was shown.)
        """
        return self.record_beside(None, *entries)

    def record_beside(self, beside: Beside | None, *entries: Entry) -> tuple[Receipt, ...]:
        """The same, with what `beside` writes in the same transaction."""
        try:
            columns = [columns_of(entry) for entry in entries]
        except ValueError as error:
            raise CannotRecord(f"the entry cannot be kept: {error}") from error
        with self._lock:
            try:
                stored = self._write(columns, entries, beside)
            except SQLAlchemyError as error:
                raise CannotRecord(f"the access log's database does not take the entry: {_reason(error)}") from error
            self._head, self._doubtful = _head_of(stored, self._head), None
        return tuple(Receipt(one.id, one.time, one.hash) for one in stored)

    def _write(
        self, columns: Sequence[dict[str, str]], entries: Sequence[Entry], beside: Beside | None
    ) -> list[StoredEntry]:
        if self._log.has_moved():
            raise CannotRecord("another file has come into the place of the access log's: start the process anew")
        with writing(self._log.engine) as connection:
            _demand_durability(connection)
            head = self._head_in(connection)
            stored, rows = self._linked(columns, entries, head)
            if rows:
                connection.execute(insert(access_entries), rows)
            if beside is not None:
                beside(connection, stored)
            # From here on the commit may be made although it fails.
            self._doubtful = _head_of(stored, head)
        return stored

    def _head_in(self, connection: Connection) -> Head:
        """The head as the database has it, which must be one that this writer has made."""
        query = select(_e.number, _e.hash).where(_e.writer == self.name).order_by(_e.number.desc()).limit(1)
        row = connection.execute(query).one_or_none()
        found = Head(row.number, row.hash) if row is not None else Head(0, start_of(self._log.id, self.name))
        if found not in (self._head, self._doubtful):
            raise CannotRecord(
                f"the access log has {found.number} entries of {self.name}, which has written {self._head.number}: "
                "see `rivta log verify`, then start the process anew"
            )
        self._head = found
        return found

    def _linked(
        self, columns: Sequence[dict[str, str]], entries: Sequence[Entry], head: Head
    ) -> tuple[list[StoredEntry], list[dict[str, Any]]]:
        stored, rows = [], []
        for one, entry in zip(columns, entries, strict=True):
            row: dict[str, Any] = one | {
                "writer": self.name,
                "number": head.number + 1,
                "time": self._clock(),
                "previous": head.hash,
            }
            head = Head(head.number + 1, hash_of(self._log.id, row))
            rows.append(row | {"hash": head.hash})
            stored.append(StoredEntry(self.name, head.number, row["time"], entry, row["previous"], head.hash))
        return stored, rows


def _time_or_what_it_is(value: object) -> object:
    """The instant that SQLite keeps as text; a text that we would not have written stays one."""
    if type(value) is not str:
        return value
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return value
    is_ours = time.tzinfo is None and time.isoformat(" ", "microseconds") == value
    return time.replace(tzinfo=UTC) if is_ours else value


def _head_of(stored: Sequence[StoredEntry], otherwise: Head) -> Head:
    return Head(stored[-1].number, stored[-1].hash) if stored else otherwise


def _demand_durability(connection: Connection) -> None:
    """Whatever a server's settings say: on the disk when the commit returns, and no waiting without end."""
    if connection.dialect.name == "postgresql":
        milliseconds = WRITE_SECONDS * 1000
        connection.execute(text("SET LOCAL synchronous_commit = on"))
        connection.execute(text(f"SET LOCAL statement_timeout = {milliseconds}"))
        connection.execute(text(f"SET LOCAL lock_timeout = {milliseconds}"))


def _between(since: datetime | None, until: datetime | None) -> Iterator[ColumnElement[bool]]:
    if since is not None:
        yield _e.time >= since
    if until is not None:
        yield _e.time < until


def _stored_entry(columns: dict[str, Any]) -> StoredEntry:
    return StoredEntry(
        writer=columns["writer"],
        number=columns["number"],
        time=columns["time"],
        entry=entry_of(columns),
        previous=columns["previous"],
        hash=columns["hash"],
    )


def _reason(error: Exception) -> str:
    """Why, without the values that were to be written: they are about patients."""
    original = getattr(error, "orig", None)
    if original is None:
        return type(error).__name__
    return str(original).splitlines()[0] if str(original) else type(original).__name__
