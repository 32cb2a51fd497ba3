"""The engagement index of a keeper, put together: its rows, its queues, its subscribers and who sends to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from rivta.catalogue.table import Table
from rivta.index.delivery import Delivery, Send
from rivta.index.outbox import Outbox, RetryRules
from rivta.index.store import EngagementStore
from rivta.index.subscriptions import Subscriptions
from rivta.index.validation import IndexIdentity
from rivta.run.index_door import RouterDoor
from rivta.run.services.index import EngagementIndex
from rivta.run.settings import Settings


@dataclass(frozen=True, slots=True)
class Indexing:
    """Everything that a keeper has of its index."""

    identity: IndexIdentity
    store: EngagementStore
    outbox: Outbox
    subscriptions: Subscriptions
    delivery: Delivery
    persons_per_answer: int

    @classmethod
    def of(
        cls,
        settings: Settings,
        engine: Engine,
        table_in_force: Callable[[], Table | None],
        *,
        now: Callable[[], datetime],
        send: Send | None = None,
    ) -> Indexing:
        """That of a platform. To be called in the event loop that sends; `send` is by default through the router."""
        identity = identity_of(settings)
        index = settings.index
        outbox = Outbox(engine, RetryRules(index.attempts, index.delay_seconds, index.most_delay_seconds))
        subscriptions = Subscriptions(
            table_in_force,
            platform=settings.platform.hsa_id,
            index=identity.hsa_id,
            folder=settings.platform.state / "index",
            now=now,
        )
        delivery = Delivery(outbox, send or RouterDoor.of(settings).send, now=now)
        store = EngagementStore(
            engine,
            own_id=identity.hsa_id,
            subscribers=subscriptions.current,
            now=now,
            announced=delivery.wake,
        )
        return cls(identity, store, outbox, subscriptions, delivery, index.persons_per_answer)

    @property
    def services(self) -> EngagementIndex:
        """What the contracts of the index stand on."""
        return EngagementIndex(self.identity, self.store, self.persons_per_answer)

    def problem(self) -> str | None:
        """What an operator should know; None when all is well. Blocking. Raises SQLAlchemyError."""
        found = [one for one in (self.subscriptions.problem, self.delivery.problem) if one is not None]
        for queue in self.outbox.queues():
            if queue.waiting and queue.reason:
                since = f", the oldest of {queue.oldest:%Y-%m-%d %H:%M} UTC" if queue.oldest else ""
                waiting = f"{queue.waiting} notifications wait for {queue.subscriber}{since}"
                found.append(f"{waiting}, which does not take them: {queue.reason}")
            if queue.dead:
                found.append(f"{queue.dead} notifications to {queue.subscriber} were given up: `rivta index dead`")
        return "; ".join(found) or None


def identity_of(settings: Settings) -> IndexIdentity:
    """Who the index is. What belongs to the platform itself no engagement may point at."""
    own = {settings.index_id, settings.platform.hsa_id, *settings.index.alternative_hsa_ids}
    if settings.aggregation.address is not None:
        own.add(settings.aggregation.address)
    return IndexIdentity(
        settings.index_id,
        alternatives=frozenset(settings.index.alternative_hsa_ids),
        reserved=frozenset({*own, *settings.index.reserved}),
    )
