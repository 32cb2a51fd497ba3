"""The engagements in the database. What was answered OK is stored, and announced, or neither."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, delete, exists, func, insert, or_, select

from rivta.index.changes import Changes, Kind, SameId, changes, needed_ids
from rivta.index.client import QUESTION_FIELDS, Question
from rivta.index.engagement import Engagement, Transaction, timestamp
from rivta.index.outbox import enqueue, lock_index
from rivta.index.packed import pack, unpack
from rivta.index.rows import engagement_of, read_rows, upsert, write_rows
from rivta.index.subscriptions import Subscriber
from rivta.store.engine import writing
from rivta.store.schema import engagement_changes, engagements, index_inbox, index_switches

_log = logging.getLogger("rivta.index")

_FROM_INBOX = 20
"""Messages that are taken from the inbox in one transaction."""


class Switch(Enum):
    """What an operator may set for an index."""

    WRITE_LOCK = "write lock"
    """Changes are taken and kept, and take effect when it is off again."""


@dataclass(frozen=True, slots=True)
class Person:
    """Everything in one domain about a person who has changed."""

    registered_resident_id: str = field(repr=False)
    engagements: tuple[Engagement, ...]


@dataclass(frozen=True, slots=True)
class Updates:
    """An answer of GetUpdates."""

    is_complete: bool
    persons: tuple[Person, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """Engagements of one kind."""

    service_domain: str
    categorization: str
    owner: str
    number: int
    newest: str | None
    """The newest content, `yyyyMMddHHmmss`."""


class EngagementStore:
    """The index of one platform. Every method blocks, and raises SQLAlchemyError when the database is away."""

    def __init__(
        self,
        engine: Engine,
        *,
        own_id: str,
        subscribers: Callable[[], Sequence[Subscriber]],
        now: Callable[[], datetime],
        announced: Callable[[], None] = lambda: None,
    ) -> None:
        """`announced` is called when something new is in a queue."""
        self._engine = engine
        self._own_id = own_id
        self._subscribers = subscribers
        self._now = now
        self._announced = announced
        self.taken = 0
        """Messages since the start."""

    def take(self, kind: Kind, transactions: Sequence[Transaction], *, correlation_id: str) -> None:
        """Stores changes that were found valid, and what is to be announced of them: all of it, or nothing.

        While the index must not be written to they wait in the inbox, as durable. Raises SameId.
        """
        subscribers = self._subscribers()
        with writing(self._engine) as connection:
            lock_index(connection)
            if self._is_held(connection):
                self._keep(connection, kind, transactions, correlation_id)
                told = 0
            else:
                told = self._apply(connection, kind, transactions, subscribers, correlation_id)
        self.taken += 1
        if told:
            self._announced()

    def _is_held(self, connection: Connection) -> bool:
        """Also while something waits in the inbox: what came later takes effect later."""
        locked = exists().where(index_switches.c.name == Switch.WRITE_LOCK.value)
        return bool(connection.execute(select(or_(locked, exists(select(index_inbox.c.id))))).scalar())

    def _keep(
        self, connection: Connection, kind: Kind, transactions: Sequence[Transaction], correlation_id: str
    ) -> None:
        row = {
            "kind": kind.value,
            "time": self._now(),
            "correlation_id": correlation_id,
            "content": pack(transactions),
        }
        connection.execute(insert(index_inbox), row)

    def _apply(
        self,
        connection: Connection,
        kind: Kind,
        transactions: Sequence[Transaction],
        subscribers: Sequence[Subscriber],
        correlation_id: str,
    ) -> int:
        now = self._now()
        stored = read_rows(connection, needed_ids(kind, transactions, own_id=self._own_id))
        done = changes(kind, transactions, stored, own_id=self._own_id, now=timestamp(now))
        write_rows(connection, done)
        _note_changes(connection, done, now)
        return enqueue(connection, subscribers, done.announced, correlation_id=correlation_id, now=now)

    def empty_inbox(self) -> int:
        """Lets what waits in the inbox take effect, in its order, if it may; gives how many messages did.

        One that cannot, since two engagements have the same id, is dropped and told of in the log.
        """
        done = told = 0
        if not self.inbox():
            return 0
        subscribers = self._subscribers()
        while True:
            with writing(self._engine) as connection:
                lock_index(connection)
                if _is_locked(connection):
                    break
                waiting = connection.execute(select(index_inbox).order_by(index_inbox.c.id).limit(_FROM_INBOX)).all()
                for one in waiting:
                    told += self._apply_kept(connection, one, subscribers)
                connection.execute(delete(index_inbox).where(index_inbox.c.id.in_([one.id for one in waiting])))
            done += len(waiting)
            if len(waiting) < _FROM_INBOX:
                break
        if told:
            self._announced()
        return done

    def _apply_kept(self, connection: Connection, one: Row[Any], subscribers: Sequence[Subscriber]) -> int:
        try:
            return self._apply(connection, Kind(one.kind), unpack(one.content), subscribers, one.correlation_id)
        except SameId as error:
            _log.error("the changes of call %s, taken under the write lock, are dropped: %s", one.correlation_id, error)
            return 0

    def set_write_lock(self, *, on: bool) -> None:
        """Turns the write lock on or off, on every node."""
        with writing(self._engine) as connection:
            lock_index(connection)
            name = Switch.WRITE_LOCK.value
            if not on:
                connection.execute(delete(index_switches).where(index_switches.c.name == name))
            elif not _is_locked(connection):
                connection.execute(insert(index_switches), {"name": name, "since": self._now()})

    @property
    def is_write_locked(self) -> bool:
        """Whether changes wait."""
        with self._engine.connect() as connection:
            return _is_locked(connection)

    def inbox(self) -> int:
        """How many messages wait in the inbox."""
        with self._engine.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(index_inbox)).scalar_one())

    def find(self, question: Question) -> list[Engagement]:
        """The engagements that match, in an order that stays the same."""
        with self._engine.connect() as connection:
            return [engagement_of(row) for row in connection.execute(_matching(question))]

    def page(
        self,
        *,
        after: str = "",
        limit: int,
        registered_resident_id: str | None = None,
        service_domain: str | None = None,
        source_system: str | None = None,
    ) -> list[Engagement]:
        """Engagements by their id, from the one behind `after` on, at most so many; of everything that is given."""
        query = select(engagements).where(engagements.c.id > after).order_by(engagements.c.id).limit(limit)
        given = {
            "registered_resident_id": registered_resident_id,
            "service_domain": service_domain,
            "source_system": source_system,
        }
        for name, value in given.items():
            if value is not None:
                query = query.where(engagements.c[name] == value)
        with self._engine.connect() as connection:
            return [engagement_of(row) for row in connection.execute(query)]

    def updates(self, service_domain: str, since: datetime, *, after: str, limit: int) -> Updates:
        """The persons who have changed in a domain since then, by their id, from the one behind `after` on."""
        changed = engagement_changes.c
        query = (
            select(changed.registered_resident_id)
            .where(
                changed.service_domain == service_domain,
                changed.changed >= since,
                changed.registered_resident_id > after,
            )
            .order_by(changed.registered_resident_id)
            .limit(limit + 1)
        )
        with self._engine.connect() as connection:
            persons = list(connection.execute(query).scalars())
            page = persons[:limit]
            rows = connection.execute(
                select(engagements)
                .where(engagements.c.registered_resident_id.in_(page), engagements.c.service_domain == service_domain)
                .order_by(engagements.c.categorization, engagements.c.id)
            )
            of: dict[str, list[Engagement]] = {person: [] for person in page}
            for row in rows:
                of[row.registered_resident_id].append(engagement_of(row))
        return Updates(len(persons) <= limit, tuple(Person(person, tuple(found)) for person, found in of.items()))

    def counts(self) -> list[Count]:
        """How many engagements there are of each kind."""
        kinds = (engagements.c.service_domain, engagements.c.categorization, engagements.c.owner)
        query = (
            select(*kinds, func.count().label("number"), func.max(engagements.c.most_recent_content).label("newest"))
            .group_by(*kinds)
            .order_by(*kinds)
        )
        with self._engine.connect() as connection:
            return [
                Count(row.service_domain, row.categorization, row.owner, row.number, row.newest)
                for row in connection.execute(query)
            ]


def _matching(question: Question) -> Select[Any]:
    query = select(engagements).order_by(
        engagements.c.categorization, engagements.c.logical_address, engagements.c.source_system, engagements.c.id
    )
    for name, _ in QUESTION_FIELDS:
        value = getattr(question, name)
        if value is not None:
            column = engagements.c[name]
            query = query.where(column >= value if name == "most_recent_content" else column == value)
    return query


def _note_changes(connection: Connection, done: Changes, now: datetime) -> None:
    """Sorted, so that the rows of the table are always locked in the same order."""
    persons = sorted({(one.service_domain, one.registered_resident_id) for one in done.touched})
    if persons:
        rows = [{"service_domain": domain, "registered_resident_id": who, "changed": now} for domain, who in persons]
        upsert(connection, engagement_changes, rows, ("changed",))


def _is_locked(connection: Connection) -> bool:
    return bool(connection.execute(select(exists().where(index_switches.c.name == Switch.WRITE_LOCK.value))).scalar())
