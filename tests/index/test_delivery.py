import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from rivta.index.delivery import Delivery
from rivta.index.outbox import Notification, Outbox, RetryRules
from rivta.index.subscriptions import Subscriber
from rivta.store.engine import open_database
from tests.index.built import NATIONAL, NOON, TOLVAN, Index, put
from tests.support import until_true


@dataclass
class Receiver:
    """What subscribers take, or why they do not."""

    refuse: Callable[[Notification], str] = lambda _: ""
    taken: list[Notification] = field(default_factory=list)
    asked: int = 0

    async def send(self, one: Notification) -> str:
        self.asked += 1
        await asyncio.sleep(0)
        reason = self.refuse(one)
        if not reason:
            self.taken.append(one)
        return reason

    @property
    def sources(self) -> list[str]:
        return [change.engagement.source_system for one in self.taken for change in one.transactions]


@pytest.fixture
def index(database: Engine) -> Index:
    return Index(database, rules=RetryRules(attempts=2))


@asynccontextmanager
async def delivering(index: Index, receiver: Receiver, *, look_seconds: float = 0.02) -> AsyncIterator[Delivery]:
    delivery = Delivery(index.outbox, receiver.send, now=index.clock, look_seconds=look_seconds)
    running = asyncio.create_task(delivery.run())
    yield delivery
    running.cancel()
    await asyncio.wait((running,))


def source(name: str) -> Callable[[Notification], str]:
    """Refuses whatever holds a change of that source."""
    return lambda one: "refused" if any(c.engagement.source_system == name for c in one.transactions) else ""


async def test_what_waits_is_sent_in_its_order(index: Index) -> None:
    index.update(put(source_system="S1"))
    receiver = Receiver()
    async with delivering(index, receiver):
        await until_true(lambda: receiver.sources == ["S1"])
        index.update(put(source_system="S2"))
        index.update(put(source_system="S3"))
        await until_true(lambda: receiver.sources == ["S1", "S2", "S3"])
        await until_true(lambda: index.outbox.next(NATIONAL) is None)


async def test_something_new_is_sent_at_once_when_it_is_said(index: Index) -> None:
    receiver = Receiver()
    async with delivering(index, receiver, look_seconds=60) as delivery:
        await until_true(lambda: not delivery.in_flight)
        await asyncio.to_thread(index.update, put())
        delivery.wake()
        await until_true(lambda: len(receiver.taken) == 1)


def later(index: Index) -> bool:
    """Two seconds are over."""
    index.clock.advance(2)
    return True


async def test_what_is_not_taken_is_tried_when_its_time_has_come_and_then_given_up(
    index: Index, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = Receiver(source("BAD"))
    index.update(put(source_system="BAD"), correlation_id="bad")
    async with delivering(index, receiver):
        await until_true(lambda: receiver.asked == 1)
        index.update(put(source_system="BEHIND"))
        # Again and again: the failure may not be written down yet, and is tried again so long after that.
        await until_true(lambda: later(index) and receiver.sources == ["BEHIND"])
    assert [letter.correlation_id for letter in index.outbox.dead(10)] == ["bad"]
    assert "is given up" in caplog.text
    assert TOLVAN not in caplog.text


async def test_an_error_of_ours_is_counted_as_a_try(index: Index, caplog: pytest.LogCaptureFixture) -> None:
    def stumble(one: Notification) -> str:
        raise KeyError("inner words")

    index.update(put())
    receiver = Receiver(stumble)
    async with delivering(index, receiver):
        await until_true(lambda: receiver.asked == 1)
        await until_true(lambda: later(index) and bool(index.outbox.dead(1)))
    assert index.outbox.dead(1)[0].reason == "an error of ours: KeyError"


async def test_a_subscriber_that_is_slow_holds_up_no_other(index: Index) -> None:
    index.subscribers = (Subscriber("SLOW"), Subscriber("QUICK"))
    index.update(put())
    release, receiver = asyncio.Event(), Receiver()

    async def send(one: Notification) -> str:
        if one.subscriber == "SLOW":
            await release.wait()
        return await receiver.send(one)

    delivery = Delivery(index.outbox, send, now=index.clock, look_seconds=0.02)
    running = asyncio.create_task(delivery.run())
    await until_true(lambda: [one.subscriber for one in receiver.taken] == ["QUICK"])
    await until_true(lambda: delivery.in_flight == 1)
    release.set()
    await until_true(lambda: len(receiver.taken) == 2)
    running.cancel()
    await asyncio.wait((running,))


async def test_one_that_is_stopped_leaves_what_is_under_way_in_its_queue(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rivta.index.delivery._GRACE_SECONDS", 0.01)
    index.update(put())
    begun = asyncio.Event()

    async def send(_: Notification) -> str:
        begun.set()
        await asyncio.Event().wait()
        return ""

    delivery = Delivery(index.outbox, send, now=index.clock)
    running = asyncio.create_task(delivery.run())
    await begun.wait()
    running.cancel()
    await asyncio.wait((running,))
    one = index.outbox.next(NATIONAL)
    assert one is not None
    assert one.attempts == 0
    with index.outbox.claim(NATIONAL) as is_free:
        assert is_free


async def test_a_database_that_is_away_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/rivta.sqlite")
    index, receiver = Index(engine), Receiver()
    outbox = _Failing(engine, RetryRules())
    delivery = Delivery(outbox, receiver.send, now=index.clock, look_seconds=0.01)
    running = asyncio.create_task(delivery.run())
    await until_true(lambda: delivery.problem is not None)
    index.update(put())
    outbox.is_away = False
    await until_true(lambda: len(receiver.taken) == 1 and delivery.problem is None)
    running.cancel()
    await asyncio.wait((running,))
    assert caplog.text.count("cannot be read or written") == 1
    engine.dispose()


class _Failing(Outbox):
    is_away = True

    def due(self, now: object) -> list[str]:
        if self.is_away:
            raise OSError("away")
        return super().due(NOON + timedelta(days=1))


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_two_keepers_on_one_database_send_everything_once(database: Engine) -> None:
    nodes = [Index(database), Index(database)]
    receiver = Receiver()
    for number in range(150):
        nodes[number % 2].update(put(source_system=f"S{number}"))
    async with delivering(nodes[0], receiver) as first, delivering(nodes[1], receiver) as second:
        await until_true(lambda: nodes[0].outbox.next(NATIONAL) is None)
        await until_true(lambda: first.in_flight + second.in_flight == 0)
    assert receiver.sources == [f"S{number}" for number in range(150)]
