"""What a connection may cost: deadlines and counts, over real sockets, on the loop that workers have."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from rivta.router.limits import Limits
from rivta.router.messages import Answer, Request
from rivta.tls.authority import Authority
from tests.router.listeners import FAST, Consumer, Served, listening, post
from tests.support import until_true

pytestmark = pytest.mark.sockets

SECONDS = FAST.header_seconds
LARGE = 16_000_000
"""More than the system holds for a reader that does not read."""


async def large(request: Request) -> Answer:
    return Answer(200, (), bytes(LARGE))


@pytest.fixture(params=["TLS", "plain over IPv6"])
async def served(request: pytest.FixtureRequest, authority: Authority) -> AsyncIterator[Served]:
    host = "::1" if "IPv6" in request.param else "127.0.0.1"
    async with listening(
        authority=authority if request.param == "TLS" else None, limits=FAST, handle=large, host=host
    ) as served:
        yield served


async def ended(consumer: Consumer, *, seconds: float = 3) -> float:
    """Seconds until the other end has closed; the bytes that come until then are thrown away."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        with contextlib.suppress(ConnectionError):
            while await consumer.reader.read(2**20):
                pass
    return time.monotonic() - began


class TestReading:
    async def test_an_answer_that_is_never_read_is_cut(self, served: Served) -> None:
        consumer = await served.connect(limit=1000)
        await consumer.send(post(b"x"))
        await consumer.reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(4 * FAST.unread_seconds)
        assert await self.come(consumer) < LARGE

    async def test_so_is_one_that_drips(self, served: Served) -> None:
        consumer = await served.connect(limit=1000)
        await consumer.send(post(b"x"))
        until = time.monotonic() + 4 * FAST.unread_seconds
        while time.monotonic() < until:
            await consumer.reader.read(50)
            await asyncio.sleep(0.02)
        assert await self.come(consumer) < LARGE

    async def test_so_is_the_last_one(self, served: Served) -> None:
        consumer = await served.connect(limit=1000)
        await consumer.send(post(b"x", b"Connection: close"))
        await consumer.reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(4 * FAST.unread_seconds)
        assert await self.come(consumer) < LARGE

    async def test_so_is_a_short_one_after_which_nobody_hangs_up(self, authority: Authority) -> None:
        """Over TLS both ends say that they are done; one that does not would be waited for."""
        async with listening(authority=authority, limits=FAST) as served:
            context = served.context()
            assert context is not None

            def ask() -> ssl.SSLSocket:
                connection = context.wrap_socket(socket.create_connection(served.address), server_hostname="127.0.0.1")
                connection.sendall(post(b"x", b"Connection: close"))
                return connection

            with await asyncio.to_thread(ask):
                await until_true(lambda: len(served.seen) == 1)
                await until_true(lambda: served.listener._connections.count == 0, seconds=5)

    async def come(self, consumer: Consumer) -> int:
        """How much still comes, once it is read."""
        size = 0
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                while piece := await consumer.reader.read(2**20):
                    size += len(piece)
        return size

    async def test_one_that_was_read_leaves_its_connection_open(self, authority: Authority) -> None:
        async with listening(authority=authority, limits=replace(FAST, keep_alive_seconds=10), handle=large) as served:
            consumer = await served.connect()
            for _ in range(2):
                await consumer.send(post(b"x"))
                assert len((await consumer.answer())[2]) == LARGE
                await asyncio.sleep(2 * FAST.unread_seconds)

    async def test_one_that_is_read_slowly_comes_whole(self, authority: Authority) -> None:
        limits = replace(FAST, unread_seconds=1.5)
        async with listening(authority=authority, limits=limits, handle=large) as served:
            consumer = await served.connect(limit=100_000)
            await consumer.send(post(b"x", b"Connection: close"))
            await consumer.reader.readuntil(b"\r\n\r\n")
            began, size = time.monotonic(), 0
            while piece := await consumer.reader.read(100_000):
                size += len(piece)
                await asyncio.sleep(0.01)
            assert size == LARGE
            assert time.monotonic() - began > limits.unread_seconds

    async def test_others_are_answered_meanwhile(self, authority: Authority) -> None:
        async with listening(authority=authority, limits=Limits(), handle=large) as served:
            waiting = [await served.connect(limit=1000) for _ in range(5)]
            for consumer in waiting:
                await consumer.send(post(b"x"))
            consumer = await served.connect(limit=2**20)
            await consumer.send(post(b"x", b"Connection: close"))
            assert await self.come(consumer) > LARGE


class TestSending:
    @pytest.mark.parametrize(
        "pieces",
        [
            pytest.param([b"a"] * 300, id="byte by byte"),
            pytest.param([b"a" * 12] * 300, id="just below the lowest rate"),
            pytest.param([b"a" * 5000] + [b"a"] * 300, id="a burst first"),
        ],
    )
    async def test_a_body_that_drips_ends_when_a_head_would(self, served: Served, pieces: list[bytes]) -> None:
        consumer = await served.connect()
        await consumer.send(b"POST /vp HTTP/1.1\r\nHost: h\r\nContent-Length: 9999\r\n\r\n")
        began = time.monotonic()
        for piece in pieces:
            if served.turned_away:
                break
            await consumer.send(piece)
            await asyncio.sleep(0.02)
        for piece in pieces[:5]:  # one that goes on sending hears why, and is not reset before
            await consumer.send(piece)
        assert (await consumer.answer())[0] == 408
        assert [status for _, status in served.turned_away] == [408]
        assert SECONDS < time.monotonic() - began < SECONDS + 3
        await ended(consumer)

    async def test_one_that_comes_slowly_and_steadily_is_carried(self, authority: Authority) -> None:
        limits = replace(FAST, header_seconds=0.6)
        async with listening(authority=authority, limits=limits) as served:
            consumer = await served.connect()
            await consumer.send(b"POST /vp HTTP/1.1\r\nHost: h\r\nContent-Length: 8000\r\n\r\n")
            began = time.monotonic()
            for _ in range(40):
                await consumer.send(b"a" * 200)
                await asyncio.sleep(0.02)
            assert time.monotonic() - began > limits.header_seconds
            assert (await consumer.answer())[0] == 200 and len(served.seen[0].body) == 8000

    async def test_a_connection_that_asks_nothing_more_is_closed(self, served: Served) -> None:
        consumer = await served.connect()
        served.handle = lambda request: asyncio.sleep(0, Answer(204, (), b""))
        await consumer.send(post(b"x"))
        await consumer.reader.readuntil(b"\r\n\r\n")
        assert FAST.keep_alive_seconds - 0.1 < await ended(consumer) < FAST.keep_alive_seconds + 1

    @pytest.mark.parametrize("half", [b"P", b"POST /vp HTTP/1.1\r\nHost: h\r\n", b"POST /vp HTTP/1.1\r\nHo"])
    async def test_half_a_head_behind_a_whole_request_ends_when_one_alone_would(
        self, authority: Authority, half: bytes
    ) -> None:
        async with listening(authority=authority, limits=replace(FAST, keep_alive_seconds=60)) as served:
            consumer = await served.connect()
            await consumer.send(post(b"x") + half)
            assert (await consumer.answer())[0] == 200
            assert await ended(consumer) < SECONDS + 2

    async def test_so_does_half_a_head_that_comes_while_a_call_is_carried(self, authority: Authority) -> None:
        limits = replace(FAST, keep_alive_seconds=60)
        async with listening(authority=authority, limits=limits) as served:
            may_answer = asyncio.Event()

            async def late(request: Request) -> Answer:
                await may_answer.wait()
                return Answer(200, (), b"late")

            served.handle = late
            consumer = await served.connect()
            await consumer.send(post(b"x"))
            await until_true(lambda: bool(served.seen))
            await consumer.send(b"POST /vp HTT")
            await asyncio.sleep(2 * SECONDS)
            may_answer.set()
            assert (await consumer.answer())[2] == b"late"
            assert await ended(consumer) < SECONDS + 2

    async def test_a_connection_between_two_requests_is_left_alone_by_that(self, authority: Authority) -> None:
        async with listening(authority=authority, limits=replace(FAST, keep_alive_seconds=60)) as served:
            consumer = await served.connect()
            for _ in range(2):
                await consumer.send(post(b"x"))
                assert (await consumer.answer())[0] == 200
                await asyncio.sleep(1.5 * SECONDS)
            await consumer.send(post(b"x") + post(b"y")[:20])
            assert (await consumer.answer())[0] == 200
            await consumer.send(post(b"y")[20:])
            assert (await consumer.answer())[2] == b"y"

    async def test_an_answer_may_take_longer_than_any_of_these(self, served: Served) -> None:
        served.handle = lambda request: asyncio.sleep(2 * SECONDS, Answer(200, (), b"late"))
        consumer = await served.connect()
        await consumer.send(post(b"x"))
        assert (await consumer.answer())[2] == b"late"

    async def test_what_waits_behind_a_call_is_answered_in_order(self, served: Served) -> None:
        served.handle = lambda request: asyncio.sleep(0.001, Answer(200, (), request.body))
        consumer = await served.connect()
        await consumer.send(b"".join(post(b"%d" % number) for number in range(100)))
        assert [(await consumer.answer())[2] for _ in range(100)] == [b"%d" % number for number in range(100)]


class TestCounts:
    async def test_a_sender_with_too_many_connections_is_told_503_and_others_are_not(
        self, authority: Authority
    ) -> None:
        async with listening(authority=authority, limits=Limits(connections_per_sender=2)) as served:
            taken = [await served.connect(), await served.connect()]
            third = await served.connect()
            await third.send(post(b"x"))
            status, headers, _ = await third.answer()
            assert (status, headers["connection"]) == (503, "close")
            assert await third.rest() == b""
            assert served.turned_away == [("SE1-CONSUMER", 503)]
            other = await served.connect("elsewhere")
            for consumer in (*taken, other):
                await consumer.send(post(b"x"))
                assert (await consumer.answer())[0] == 200
            taken[0].writer.close()
            await self.again(served)

    async def again(self, served: Served) -> None:
        """A place that was given back can be taken."""
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):  # not yet
                    consumer = await served.connect()
                    await consumer.send(post(b"x"))
                    if (await consumer.answer())[0] == 200:
                        return

    async def test_beyond_twice_as_many_are_not_even_told(self, authority: Authority) -> None:
        async with listening(authority=authority, limits=Limits(connections_per_sender=1)) as served:
            await served.connect()
            await served.connect()
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                third = await served.connect()
                await third.send(post(b"x"))
                await third.answer()

    @pytest.mark.parametrize("with_tls", [True, False], ids=["TLS", "plain"])
    async def test_more_than_all_that_there_may_be_are_hung_up_on(self, authority: Authority, with_tls: bool) -> None:
        limits = replace(FAST, connections=3, keep_alive_seconds=60, header_seconds=5)
        async with listening(authority=authority if with_tls else None, limits=limits) as served:
            taken = [await served.connect() for _ in range(3)]
            began = time.monotonic()
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                fourth = await served.connect()
                await fourth.send(post(b"x"))
                await fourth.answer()
            assert time.monotonic() - began < 4
            await taken[0].send(post(b"x"))
            assert (await taken[0].answer())[0] == 200
            taken[1].writer.close()
            await self.again(served)

    async def test_an_address_that_finishes_no_handshake_leaves_room_for_others(self, authority: Authority) -> None:
        limits = replace(FAST, handshakes_per_address=5, header_seconds=1)
        async with listening(authority=authority, limits=limits) as served:
            idle = [self.plain(served) for _ in range(20)]
            await until_true(lambda: sum(self.is_closed(one) for one in idle) == 15)
            # From another address; the loopback has many.
            reader, writer = await asyncio.open_connection(
                *served.address, ssl=served.context(), local_addr=("127.0.0.2", 0)
            )
            served.writers.append(writer)
            consumer = Consumer(reader, writer)
            await consumer.send(post(b"x"))
            assert (await consumer.answer())[0] == 200
            await until_true(lambda: all(self.is_closed(one) for one in idle))
            await until_true(lambda: not served.listener._acceptor._handshakes)
            await self.again(served)
            for one in idle:
                one.close()

    @pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02", post(b"x")], ids=["nothing", "half", "plain HTTP"])
    async def test_a_handshake_that_does_not_end_is_ended(self, authority: Authority, sent: bytes) -> None:
        async with listening(authority=authority, limits=FAST, host="::1") as served:
            one = self.plain(served)
            one.sendall(sent)
            await until_true(lambda: self.is_closed(one))
            one.close()

    def plain(self, served: Served) -> socket.socket:
        one = socket.create_connection(served.address)
        one.setblocking(False)
        return one

    def is_closed(self, one: socket.socket) -> bool:
        try:
            while one.recv(1000):
                pass
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        return True

    async def test_whoever_becomes_unwelcome_is_cut_in_the_middle_of_an_answer(self, authority: Authority) -> None:
        async with listening(authority=authority, limits=Limits(), handle=large) as served:
            consumer = await served.connect(limit=1000)
            await consumer.send(post(b"x"))
            await consumer.reader.readuntil(b"\r\n\r\n")
            assert served.listener.drop(lambda sender: sender.hsa_id == "SE1-OTHER") == 0
            assert served.listener.drop(lambda sender: sender.hsa_id == "SE1-CONSUMER") == 1
            assert await TestReading().come(consumer) < LARGE
