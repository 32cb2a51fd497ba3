"""The call log in the database: what happened to every call, searchable, and where records are known to be missing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, delete, func, insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, IntegrityError

from rivta.router.record import ROUTED, CallRecord, RecordedSource, RecordedViolation
from rivta.store.engine import writing
from rivta.store.schema import call_gaps, calls, spool_positions

FAILED = "failed"
"""As `outcome` in a search: everything but `routed`."""
FAULT = "fault"
"""The same: what a producer answered with a fault of its own, which was routed back."""
_RETAIN_STEP = 5_000
_KEEP_POSITIONS = timedelta(days=366)
_FIELDS = tuple(field.name for field in dataclasses.fields(CallRecord))
_PLAIN_FIELDS = tuple(name for name in _FIELDS if name not in ("time", "violations", "sources"))
_TYPES: dict[str, tuple[type, ...]] = {
    column.name: ((int, float) if column.type.python_type is float else (column.type.python_type,))
    + ((type(None),) if column.nullable else ())
    for column in calls.columns
    if column.name in _PLAIN_FIELDS
}


@dataclass(frozen=True, slots=True)
class RecordedGap:
    """A place where the call log misses records. `missing` is None when their number cannot be known."""

    id: str
    time: datetime
    """When the gap was found."""
    writer: str
    boot: str
    sequence: int
    kind: str
    missing: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class CallCount:
    """How often one sender called one address with one contract."""

    sender: str
    contract: str
    logical_address: str
    number: int
    first: datetime
    """When the oldest of these calls was made."""
    last: datetime


class CallLog:
    """Searching and trimming the call log of one platform."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def insert(self, records: Iterable[CallRecord]) -> int:
        """Adds the records that are not there yet, by their id; all or none. Gives how many were new.

        Raises ValueError for a record that the call log cannot hold.
        """
        rows = [row_of(record) for record in records]
        with writing(self._engine) as connection:
            return insert_rows(connection, rows)

    def search(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        correlation_id: str | None = None,
        correlation_id_prefix: str | None = None,
        sender: str | None = None,
        contract: str | None = None,
        logical_address: str | None = None,
        outcome: str | None = None,
        platform: str | None = None,
        limit: int = 100,
    ) -> list[CallRecord]:
        """The calls that match everything given, newest first, `since` included and `until` not.

        `contract` is a whole namespace or a short name (`GetDiagnosis`, `GetDiagnosis:2`); `outcome` is `routed`, a
        fault code, `http-<status>`, `fault` for a producer's own, or `failed` for all but `routed`. Raises ValueError
        for times without zone.
        """
        exact = {
            calls.c.correlation_id: correlation_id,
            calls.c.sender: sender,
            calls.c.logical_address: logical_address,
            calls.c.platform: platform,
        }
        conditions = [column == value for column, value in exact.items() if value is not None]
        if correlation_id_prefix is not None:
            # Not LIKE: whether that minds the case is each database's own decision.
            beginning = func.substr(calls.c.correlation_id, 1, len(correlation_id_prefix))
            conditions.append(beginning == correlation_id_prefix)
        if since is not None:
            conditions.append(calls.c.time >= _zoned(since))
        if until is not None:
            conditions.append(calls.c.time < _zoned(until))
        if contract is not None:
            conditions.append(_of_contract(contract))
        if outcome is not None:
            conditions.append(_of_outcome(outcome))
        query = select(calls).where(*conditions).order_by(calls.c.time.desc(), calls.c.id.desc()).limit(limit)
        return self._records(query)

    def get(self, id: str) -> list[CallRecord]:
        """The call with this record id, or all calls with this correlation id in the order they arrived; or nothing."""
        query = select(calls).where(or_(calls.c.id == id, calls.c.correlation_id == id))
        return self._records(query.order_by(calls.c.time, calls.c.id))

    def gaps(self, *, since: datetime | None = None, limit: int = 100) -> list[RecordedGap]:
        """Where records are known to be missing, newest first."""
        query = select(call_gaps).order_by(call_gaps.c.time.desc(), call_gaps.c.id.desc()).limit(limit)
        if since is not None:
            query = query.where(call_gaps.c.time >= _zoned(since))
        with self._engine.connect() as connection:
            return [RecordedGap(**row._mapping) for row in connection.execute(query)]

    def counts(self, *, since: datetime | None = None, newest: int | None = None) -> list[CallCount]:
        """Who called what how often: of the calls since a time, or of the newest so many, or of all there are.

        Calls of which sender, contract or address is not known are left out.
        """
        triple = (calls.c.sender, calls.c.contract, calls.c.logical_address)
        query = select(*triple, calls.c.time)
        if since is not None:
            query = query.where(calls.c.time >= _zoned(since))
        if newest is not None:
            query = query.order_by(calls.c.time.desc()).limit(newest)
        found = query.subquery()
        names = [found.c[column.name] for column in triple]
        counted = (
            select(
                *names,
                func.count().label("number"),
                func.min(found.c.time).label("first"),
                func.max(found.c.time).label("last"),
            )
            .where(*(name.is_not(None) for name in names))
            .group_by(*names)
            .order_by(*names)
        )
        with self._engine.connect() as connection:
            return [CallCount(**row._mapping) for row in connection.execute(counted)]

    def oldest(self) -> datetime | None:
        """When the oldest call that is still here was made; None when there is none."""
        with self._engine.connect() as connection:
            found: datetime | None = connection.scalar(select(func.min(calls.c.time)))
        return found

    def retain(self, older_than: datetime) -> int:
        """Deletes calls, and gaps, from before `older_than`. Gives the number of calls.

        In steps, so that the collector gets its turn in between.
        """
        deleted = 0
        while step := self._delete_step(_zoned(older_than)):
            deleted += step
        with writing(self._engine) as connection:
            connection.execute(delete(call_gaps).where(call_gaps.c.time < older_than))
            # A position is needed as long as its writer may live, and is a few bytes.
            connection.execute(delete(spool_positions).where(spool_positions.c.time < older_than - _KEEP_POSITIONS))
        return deleted

    def _delete_step(self, older_than: datetime) -> int:
        oldest = select(calls.c.id).where(calls.c.time < older_than).order_by(calls.c.time).limit(_RETAIN_STEP)
        with writing(self._engine) as connection:
            return connection.execute(delete(calls).where(calls.c.id.in_(oldest))).rowcount

    def _records(self, query: Any) -> list[CallRecord]:
        with self._engine.connect() as connection:
            return [_record(row) for row in connection.execute(query)]


def row_of(record: CallRecord) -> dict[str, Any]:
    """The record as a row of `calls`. Raises ValueError, naming the field but not its value, when it cannot be one."""
    row: dict[str, Any] = {}
    for name in _PLAIN_FIELDS:
        value = getattr(record, name)
        if type(value) not in _TYPES[name]:
            raise ValueError(f"{name} is of type {type(value).__name__}")
        if type(value) is int and value.bit_length() > 63:
            raise ValueError(f"{name} is too large a number")
        row[name] = _text(name, value) if type(value) is str else value
    row["time"] = _instant(record.time)
    row["violations"] = _text("violations", _json(record.violations) or "[]")
    sources = _json(record.sources)
    row["sources"] = None if sources is None else _text("sources", sources)
    return row


def insert_rows(connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
    """Inserts those rows of `calls` whose id is not there yet. Gives how many were new."""
    if not rows:
        return 0
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(calls).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    return connection.execute(statement, rows).rowcount


def insert_acceptable_rows(connection: Connection, rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Like `insert_rows`, but a row that the database refuses does not hold up the others: its id, and why.

    Only for what is wrong with the row itself; any other error of the database is raised.
    """
    try:
        with connection.begin_nested():
            insert_rows(connection, rows)
    except (DataError, IntegrityError) as error:
        if len(rows) == 1:
            return {rows[0]["id"]: type(error.orig).__name__}
        middle = len(rows) // 2
        return insert_acceptable_rows(connection, rows[:middle]) | insert_acceptable_rows(connection, rows[middle:])
    return {}


def insert_gaps(connection: Connection, gaps: Sequence[RecordedGap]) -> None:
    """Adds the gaps that are not there yet, by their id."""
    if not gaps:
        return
    known = set(connection.scalars(select(call_gaps.c.id).where(call_gaps.c.id.in_([gap.id for gap in gaps]))))
    new = {gap.id: dataclasses.asdict(gap) for gap in gaps if gap.id not in known}
    if new:
        connection.execute(insert(call_gaps), list(new.values()))


def _of_outcome(outcome: str) -> ColumnElement[bool]:
    if outcome == FAILED:
        return calls.c.outcome != ROUTED
    if outcome == FAULT:
        return (calls.c.outcome == ROUTED) & (calls.c.http_status >= HTTPStatus.BAD_REQUEST)
    return calls.c.outcome == outcome


def _of_contract(text: str) -> ColumnElement[bool]:
    if text.startswith("urn:"):
        return calls.c.contract == text
    name, _, major = text.partition(":")
    ending = f":{name}Responder:{major}"
    return (
        calls.c.contract.endswith(ending, autoescape=True)
        if major
        else calls.c.contract.contains(ending, autoescape=True)
    )


def _record(row: Row[Any]) -> CallRecord:
    values = dict(row._mapping)
    values["time"] = values["time"].isoformat()
    violations = json.loads(values["violations"])
    values["violations"] = tuple(RecordedViolation(**violation) for violation in violations)
    values["sources"] = tuple(RecordedSource(**source) for source in json.loads(values["sources"] or "[]"))
    return CallRecord(**values)


def _json(values: tuple[RecordedViolation, ...] | tuple[RecordedSource, ...]) -> str | None:
    if not values:
        return None
    return json.dumps([dataclasses.asdict(value) for value in values], ensure_ascii=False)


def _text(name: str, text: str) -> str:
    if text.isascii() and "\0" not in text:
        return text
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} is not Unicode text") from error
    return text.replace("\0", "\ufffd")  # PostgreSQL has no NUL in text


def _instant(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise ValueError("time is not ISO 8601") from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _zoned(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError(f"time {time.isoformat()} has no zone")
    return time
