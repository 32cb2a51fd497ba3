"""How much a worker holds of long messages."""

import asyncio
import gzip
from collections.abc import Callable
from dataclasses import replace

import pytest

from rivta.router.limits import Limits
from rivta.router.load import Load, Overload, take
from rivta.router.messages import Answer, Request
from tests.router.listeners import FAST, Served, listening, post
from tests.support import until_true

HELD = 1_000_000
LONG = 300_000


class TestLoad:
    def test_is_refused_beyond_what_may_be_held(self) -> None:
        load = Load(100)
        load.share("SE1-ONE").take(60)
        other = load.share("SE1-OTHER")
        with pytest.raises(Overload):
            other.take(41)
        other.take(40)
        assert load.held == 100

    def test_leaves_a_quarter_to_the_others(self) -> None:
        load = Load(100)
        load.share("SE1-ONE").take(70)
        with pytest.raises(Overload):
            load.share("SE1-ONE").take(6)
        load.share("SE1-OTHER").take(25)

    def test_is_given_back_once(self) -> None:
        load = Load(100)
        share = load.share("SE1-ONE")
        share.take(75)
        share.give_back()
        share.give_back()
        assert load.held == 0
        load.share("SE1-ONE").take(75)

    def test_is_nobodys_outside_of_a_call(self) -> None:
        take(10**12)


LIMITS = replace(FAST, held_bytes=HELD, header_seconds=2, unread_seconds=2)


def long(size: int = LONG) -> bytes:
    return post(bytes(size))


@pytest.mark.sockets
class TestListener:
    """Against three messages, which is what one sender may have it hold."""

    async def fill(self, served: Served, requests: int = 2) -> Callable[[], None]:
        """Has that many be carried, until what is given back is called."""
        go = asyncio.Event()

        async def carry(request: Request) -> Answer:
            await go.wait()
            return Answer(200, (), b"done")

        served.handle = carry
        for _ in range(requests):
            await (await served.connect()).send(long())
        await until_true(lambda: len(served.seen) == requests, seconds=3)
        return go.set

    async def refused(self, served: Served, message: bytes) -> bool:
        consumer = await served.connect()
        await consumer.send(message)
        status, _, body = await consumer.answer()
        assert status == 200 or (status, body.startswith(b"The platform holds as many long messages")) == (503, True)
        return status == 503

    async def test_refuses_what_it_cannot_hold_and_takes_it_when_there_is_room(self) -> None:
        async with listening(limits=LIMITS) as served:
            go = await self.fill(served)
            assert await self.refused(served, long())
            go()
            await until_true(lambda: served.listener._connections.load.held == 0, seconds=3)
            assert not await self.refused(served, long())

    async def test_refuses_what_gets_too_long_by_being_unpacked(self) -> None:
        async with listening(limits=LIMITS) as served:
            await self.fill(served)
            assert await self.refused(served, post(gzip.compress(bytes(LONG)), b"Content-Encoding: gzip"))

    async def test_takes_short_messages_meanwhile(self) -> None:
        async with listening(limits=LIMITS) as served:
            go = await self.fill(served)
            short = asyncio.create_task(self.refused(served, post(b"x")))
            await until_true(lambda: len(served.seen) == 3, seconds=3)
            go()
            assert not await short

    async def test_holds_an_answer_until_it_is_read(self) -> None:
        async def carry(request: Request) -> Answer:
            take(size)
            return Answer(200, (), bytes(size))

        size = 16_000_000
        async with listening(handle=carry, limits=replace(LIMITS, held_bytes=30_000_000, unread_seconds=5)) as served:
            load = served.listener._connections.load
            consumer = await served.connect(limit=1000)
            await consumer.send(post(b"x"))
            await consumer.reader.readuntil(b"\r\n\r\n")
            assert load.held == size
            async with asyncio.timeout(5):
                await consumer.reader.readexactly(size)
            await until_true(lambda: load.held == 0, seconds=3)

    async def test_gives_back_what_a_broken_connection_held(self) -> None:
        async with listening(limits=LIMITS) as served:
            consumer = await served.connect()
            await consumer.send(long()[:-1])
            await until_true(lambda: served.listener._connections.load.held >= LONG - 1, seconds=3)
            consumer.writer.transport.abort()
            await until_true(lambda: served.listener._connections.load.held == 0, seconds=3)


def test_by_default_it_is_more_than_anybody_needs() -> None:
    assert Limits().held_bytes >= 20 * Limits().max_body_bytes


def test_a_process_that_may_open_few_files_takes_fewer_connections_and_leaves_some_to_every_sender() -> None:
    limits = Limits().within(1024)
    assert (limits.connections, limits.connections_per_sender) == (768, 192)
    assert Limits().within(65_536) == Limits()
    assert replace(Limits(), connections_per_sender=10).within(1024).connections_per_sender == 10
