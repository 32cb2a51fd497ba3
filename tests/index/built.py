"""Engagements and changes for tests, about the official test person; and an index on a database of the test."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine

from rivta.index.changes import Kind
from rivta.index.engagement import Engagement, Transaction
from rivta.index.outbox import Outbox, RetryRules
from rivta.index.store import EngagementStore
from rivta.index.subscriptions import Subscriber
from rivta.index.validation import IndexIdentity
from rivta.soap.identifiers import CORRELATION_ID
from tests.calls import Clock

TOLVAN = "191212121212"
DESCRIPTION = "riv:clinicalprocess:healthcond:description"
LOGISTICS = "riv:clinicalprocess:logistics:logistics"
NATIONAL = "5565594230"
REGIONAL = "SE2321000016-RTP"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOON_WRITTEN = "20261124130000"
"""NOON as the index writes it: in Swedish time."""

ROW = Engagement(
    registered_resident_id=TOLVAN,
    service_domain=DESCRIPTION,
    categorization="dia",
    logical_address="SE2321000016-KS",
    most_recent_content="20240311101500",
    source_system="SE2321000016-TC-KS",
    data_controller="SE2321000016",
    owner=REGIONAL,
)
IDENTITY = IndexIdentity(REGIONAL, frozenset({"SE2321000016-OLD"}), frozenset({REGIONAL, NATIONAL}))
CALL = {CORRELATION_ID: "8f14e45f"}


def row(**changes: Any) -> Engagement:
    return replace(ROW, **changes)


def put(*visited: str, **changes: Any) -> Transaction:
    """An addition, or a change, of `row(**changes)`."""
    return Transaction(False, row(**changes), visited)


def gone(*visited: str, **changes: Any) -> Transaction:
    """Its deletion."""
    return Transaction(True, row(**changes), visited)


def person(number: int) -> str:
    """One of many persons: nobody's number, since there are not so many in the official series."""
    return f"{19000000 + number:08}0000"


@dataclass
class Index:
    """The store and the queues of an index, with a clock and subscribers that the test sets."""

    engine: Engine
    own_id: str = REGIONAL
    subscribers: Sequence[Subscriber] = (Subscriber(NATIONAL),)
    rules: RetryRules = field(default_factory=RetryRules)
    clock: Clock = field(default_factory=lambda: Clock(NOON))
    announced: int = 0

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.engine, self.rules)
        self.store = EngagementStore(
            self.engine,
            own_id=self.own_id,
            subscribers=lambda: self.subscribers,
            now=self.clock,
            announced=self._count,
        )

    def _count(self) -> None:
        self.announced += 1

    def update(self, *transactions: Transaction, correlation_id: str = "c") -> None:
        self.store.take(Kind.UPDATE, transactions, correlation_id=correlation_id)

    def notify(self, *transactions: Transaction, correlation_id: str = "c") -> None:
        self.store.take(Kind.NOTIFICATION, transactions, correlation_id=correlation_id)

    def told(self, subscriber: str = NATIONAL) -> list[Transaction]:
        """Everything that waits for a subscriber, taken out of its queue."""
        found: list[Transaction] = []
        while (one := self.outbox.next(subscriber)) is not None:
            found += one.transactions
            self.outbox.delivered(one, self.clock.now)
        return found
