"""What subscribers are still to be told, in the database: a queue each, written in the transaction of the change.

A message leaves its queue when it was taken. One that is sent in vain holds up those behind it, since their order
counts, until it is given up: then it is a dead letter, which an operator can send again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, text, update

from rivta.index.engagement import Transaction
from rivta.index.packed import pack, unpack
from rivta.index.rows import read_rows, upsert
from rivta.index.subscriptions import Subscriber
from rivta.index.validation import MOST_TRANSACTIONS
from rivta.store.engine import writing
from rivta.store.schema import notification_queues, notifications

_QUEUE_LOCKS = 0x72764E51
"""First half of the keys of PostgreSQL's advisory locks: one for each subscriber whose queue is being sent."""
_FEWEST_MERGED, _MOST_MERGED = 10, 100
"""So many messages have to wait for some of them to be sent as one, and so many are at most. Fewer go one by one, each
with the correlation id of the message that made it."""


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How often, and after how long, a message that was not taken is sent again."""

    attempts: int = 12
    delay_seconds: float = 1.0
    """Before the second; three times as long before each after it."""
    most_delay_seconds: float = 600.0

    def delay(self, failures: int) -> timedelta:
        """The wait after so many failures in a row."""
        return timedelta(seconds=min(self.delay_seconds * 3 ** min(failures - 1, 30), self.most_delay_seconds))


@dataclass(frozen=True, slots=True)
class Notification:
    """What a subscriber is told at one go."""

    subscriber: str
    ids: tuple[int, ...]
    """Of the messages that it is made of."""
    correlation_id: str
    """Of the oldest change in it."""
    transactions: tuple[Transaction, ...] = field(repr=False)
    attempts: int
    """How often its first message was sent in vain."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up."""

    id: int
    subscriber: str
    time: datetime
    died: datetime
    attempts: int
    changes: int
    correlation_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Queue:
    """How it goes with one subscriber."""

    subscriber: str
    waiting: int
    """Messages."""
    changes: int
    """In them."""
    oldest: datetime | None
    dead: int
    next_attempt: datetime | None
    delivered: datetime | None
    reason: str
    """Why the last message was not taken; empty when it was."""


def enqueue(
    connection: Connection,
    subscribers: Sequence[Subscriber],
    announced: Sequence[Transaction],
    *,
    correlation_id: str,
    now: datetime,
) -> int:
    """Adds what each subscriber wants to know to its queue; gives how many get something."""
    rows = []
    for subscriber in subscribers:
        wanted = [one for one in announced if subscriber.wants(one)]
        if wanted:
            rows.append(_row(subscriber.logical_address, wanted, correlation_id=correlation_id, now=now))
    if rows:
        connection.execute(insert(notifications), rows)
    return len(rows)


def _row(subscriber: str, wanted: Sequence[Transaction], *, correlation_id: str, now: datetime) -> dict[str, Any]:
    return {
        "subscriber": subscriber,
        "time": now,
        "correlation_id": correlation_id,
        "changes": len(wanted),
        "content": pack(wanted),
        "attempts": 0,
        "died": None,
        "reason": "",
    }


class Outbox:
    """The queues of an index."""

    def __init__(self, engine: Engine, rules: RetryRules) -> None:
        self._engine = engine
        self._rules = rules

    def due(self, now: datetime) -> list[str]:
        """The subscribers with something to be sent now."""
        waiting, queues = notifications.c, notification_queues.c
        query = (
            select(waiting.subscriber)
            .distinct()
            .select_from(notifications.outerjoin(notification_queues, waiting.subscriber == queues.subscriber))
            .where(waiting.died.is_(None), queues.next_attempt.is_(None) | (queues.next_attempt <= now))
            .order_by(waiting.subscriber)
        )
        with self._engine.connect() as connection:
            return list(connection.execute(query).scalars())

    @contextlib.contextmanager
    def claim(self, subscriber: str) -> Iterator[bool]:
        """Whether the queue is this process's to send from; until the end nobody else's. SQLite has one process."""
        if self._engine.dialect.name != "postgresql":
            yield True
            return
        key = {"kind": _QUEUE_LOCKS, "subscriber": subscriber}
        with self._engine.connect() as plain:
            connection = plain.execution_options(isolation_level="AUTOCOMMIT")
            locked = connection.execute(text("SELECT pg_try_advisory_lock(:kind, hashtext(:subscriber))"), key)
            if not locked.scalar():
                yield False
                return
            try:
                yield True
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:kind, hashtext(:subscriber))"), key)

    def next(self, subscriber: str) -> Notification | None:
        """What to tell a subscriber now: its oldest message, or where many wait as many as go into one; None when there
        is nothing.

        Of changes to the same row the last counts, since one message may have a row once. What was sent in vain is
        sent alone, so that one bad message does not take others with it.
        """
        query = (
            select(notifications)
            .where(notifications.c.subscriber == subscriber, notifications.c.died.is_(None))
            .order_by(notifications.c.id)
            .limit(_MOST_MERGED)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        if not rows:
            return None
        chosen = _fitting(rows)
        last: dict[str, Transaction] = {}
        for row in chosen:
            for one in unpack(row.content):
                last.pop(one.engagement.id, None)
                last[one.engagement.id] = one
        return Notification(
            subscriber=subscriber,
            ids=tuple(row.id for row in chosen),
            correlation_id=chosen[0].correlation_id,
            transactions=tuple(last.values()),
            attempts=chosen[0].attempts,
        )

    def delivered(self, one: Notification, now: datetime) -> None:
        """It was taken."""
        with writing(self._engine) as connection:
            connection.execute(delete(notifications).where(notifications.c.id.in_(one.ids)))
            _set_queue(connection, one.subscriber, next_attempt=None, delivered=now, reason="")

    def failed(self, one: Notification, reason: str, now: datetime) -> bool:
        """It was not taken. Gives whether it is given up: what was sent with others is first tried alone."""
        attempts = one.attempts + 1
        is_dead = len(one.ids) == 1 and attempts >= self._rules.attempts
        with writing(self._engine) as connection:
            connection.execute(
                update(notifications)
                .where(notifications.c.id.in_(one.ids))
                .values(attempts=notifications.c.attempts + 1, reason=reason, died=now if is_dead else None)
            )
            wait = None if is_dead else now + self._rules.delay(attempts)
            _set_queue(connection, one.subscriber, next_attempt=wait, reason=reason)
        return is_dead

    def queues(self) -> list[Queue]:
        """Every subscriber that has had something, by its name."""
        of, waits = notifications.c, notifications.c.died.is_(None)
        counts = select(
            of.subscriber,
            func.count().filter(waits).label("waiting"),
            func.coalesce(func.sum(of.changes).filter(waits), 0).label("changes"),
            func.min(of.time).filter(waits).label("oldest"),
            func.count().filter(~waits).label("dead"),
        ).group_by(of.subscriber)
        with self._engine.connect() as connection:
            waiting = {row.subscriber: row for row in connection.execute(counts)}
            told = {row.subscriber: row for row in connection.execute(select(notification_queues))}
        return [_queue(name, waiting.get(name), told.get(name)) for name in sorted({*waiting, *told})]

    def dead(self, limit: int) -> list[DeadLetter]:
        """Those that were given up last, newest first."""
        query = select(notifications).where(notifications.c.died.is_not(None)).order_by(notifications.c.id.desc())
        with self._engine.connect() as connection:
            return [_dead_letter(row) for row in connection.execute(query.limit(limit))]

    def content(self, id: int) -> tuple[DeadLetter, list[Transaction]] | None:
        """A dead letter and what it says: patient data."""
        query = select(notifications).where(notifications.c.id == id, notifications.c.died.is_not(None))
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else (_dead_letter(row), unpack(row.content))

    def send_again(self, ids: Collection[int] | None, now: datetime) -> int:
        """Puts dead letters (None: all) back into their queues; gives how many.

        They tell how the rows are now: what they said when they died may have been overtaken since.
        """
        sent = 0
        while (some := self._send_some_again(ids, now)) > 0:
            sent += some
        return sent

    def _send_some_again(self, ids: Collection[int] | None, now: datetime) -> int:
        """The oldest of them, in a transaction."""
        with writing(self._engine) as connection:
            lock_index(connection)
            letters = connection.execute(_dead(ids).limit(_MOST_MERGED)).all()
            for letter in letters:
                wanted = _as_they_are(connection, unpack(letter.content))
                row = _row(letter.subscriber, wanted, correlation_id=letter.correlation_id, now=now)
                connection.execute(insert(notifications), row)
            connection.execute(delete(notifications).where(notifications.c.id.in_([letter.id for letter in letters])))
            for subscriber in {letter.subscriber for letter in letters}:
                _set_queue(connection, subscriber, next_attempt=None)
        return len(letters)

    def discard(self, ids: Collection[int]) -> int:
        """Throws dead letters away; gives how many."""
        with writing(self._engine) as connection:
            found = [letter.id for letter in connection.execute(_dead(ids))]
            connection.execute(delete(notifications).where(notifications.c.id.in_(found)))
        return len(found)


def lock_index(connection: Connection) -> None:
    """Until the transaction ends nobody else changes the index: the order of the queues is that of the changes.

    It also keeps two messages about the same rows from waiting for each other. SQLite's write lock does the same.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _INDEX_LOCK})


_INDEX_LOCK = 0x7269_7674_6149


def _dead(ids: Collection[int] | None) -> Any:
    query = select(notifications).where(notifications.c.died.is_not(None)).order_by(notifications.c.id)
    return query if ids is None else query.where(notifications.c.id.in_(ids))


def _as_they_are(connection: Connection, said: Sequence[Transaction]) -> list[Transaction]:
    stored = read_rows(connection, {one.engagement.id for one in said})
    return [
        Transaction(False, now, one.visited)
        if (now := stored.get(one.engagement.id)) is not None
        else Transaction(True, one.engagement, one.visited)
        for one in said
    ]


def _fitting(rows: Sequence[Row[Any]]) -> list[Row[Any]]:
    """The first messages that go into one."""
    chosen = [rows[0]]
    if rows[0].attempts or len(rows) < _FEWEST_MERGED:
        return chosen
    changes = rows[0].changes
    for row in rows[1:]:
        changes += row.changes
        if row.attempts or changes > MOST_TRANSACTIONS:
            break
        chosen.append(row)
    return chosen


def _set_queue(connection: Connection, subscriber: str, **values: Any) -> None:
    upsert(connection, notification_queues, [{"subscriber": subscriber, "reason": "", **values}], tuple(values))


def _queue(name: str, waiting: Row[Any] | None, told: Row[Any] | None) -> Queue:
    return Queue(
        subscriber=name,
        waiting=waiting.waiting if waiting else 0,
        changes=waiting.changes if waiting else 0,
        oldest=waiting.oldest if waiting else None,
        dead=waiting.dead if waiting else 0,
        next_attempt=told.next_attempt if told else None,
        delivered=told.delivered if told else None,
        reason=told.reason if told else "",
    )


def _dead_letter(row: Row[Any]) -> DeadLetter:
    return DeadLetter(
        id=row.id,
        subscriber=row.subscriber,
        time=row.time,
        died=row.died,
        attempts=row.attempts,
        changes=row.changes,
        correlation_id=row.correlation_id,
        reason=row.reason,
    )
