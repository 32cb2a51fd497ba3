"""The consumer: kept mutual-TLS connections that call again and again, or at the times that a schedule says."""

import asyncio
import random
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

from benchmarks import wire

MAX_LINGER_SECONDS = 35.0
"""How long a call may go on after its round: longer than any timeout of a platform."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where calls go, and the request that is sent each time."""

    url: str
    body: bytes
    headers: dict[str, str]

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 443

    def request(self) -> bytes:
        """The bytes of one call."""
        return wire.request(urlsplit(self.url).path or "/", f"{self.host}:{self.port}", self.body, self.headers)


@dataclass(slots=True)
class Outcome:
    """What came of a round. Latencies in seconds."""

    latencies: list[float] = field(default_factory=list)
    failures: int = 0
    seconds: float = 0.0
    first_failure: str = ""

    @property
    def calls(self) -> int:
        return len(self.latencies)

    def add(self, latency: float, head: bytes, body: bytes) -> None:
        """Count an answer; anything but a 200 without a fault is a failure."""
        if is_good(head, body):
            self.latencies.append(latency)
            return
        self.failures += 1
        self.first_failure = self.first_failure or (head + b" " + body)[:400].decode(errors="replace")


def is_good(head: bytes, body: bytes) -> bool:
    """Whether an answer is a 200 without a SOAP fault in it."""
    return head.startswith(b"HTTP/1.1 200 ") and b":Fault>" not in body


class Connection(asyncio.Protocol):
    """One connection, one call at a time; `on_answer(started, head, body)` is told of each."""

    def __init__(self) -> None:
        self._messages = wire.Messages()
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[tuple[bytes, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods of asyncio.Transport without being one.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result((f"closed: {error}".encode(), b""))

    def data_received(self, data: bytes) -> None:
        message = self._messages.feed(data)
        if message is not None and self._answered is not None and not self._answered.done():
            self._answered.set_result(message)

    def call(self, request: bytes) -> asyncio.Future[tuple[bytes, bytes]]:
        """Send `request`; the future gives the head and body of its answer."""
        assert self._transport is not None
        self._answered = asyncio.get_running_loop().create_future()
        if self._transport.is_closing():
            self._answered.set_result((b"closed before the call", b""))
        else:
            self._transport.write(request)
        return self._answered

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


@asynccontextmanager
async def connected(target: Target, context: ssl.SSLContext, count: int) -> AsyncIterator[list[Connection]]:
    """`count` connections to `target`, each of which has carried a call already.

    Raises OSError when it refuses the connection, ConnectionError when it refuses the call.
    """
    loop = asyncio.get_running_loop()
    connections: list[Connection] = []
    try:
        for _ in range(count):
            _, connection = await loop.create_connection(
                Connection, target.host, target.port, ssl=context, server_hostname=target.host
            )
            connections.append(connection)
        request = target.request()
        for head, body in await asyncio.gather(*(connection.call(request) for connection in connections)):
            if not is_good(head, body):
                raise ConnectionError(f"{target.url} refuses the call: {(head + b' ' + body)[:600]!r}")
        yield connections
    finally:
        for connection in connections:
            connection.close()


async def closed_loop(target: Target, connections: list[Connection], seconds: float) -> Outcome:
    """Each connection calls as soon as it was answered, for `seconds`: what the target carries at most."""
    outcome = Outcome()
    request = target.request()
    started = time.perf_counter()
    end = started + seconds

    async def keep_calling(connection: Connection) -> None:
        while (sent := time.perf_counter()) < end:
            head, body = await connection.call(request)
            outcome.add(time.perf_counter() - sent, head, body)
            if not head.startswith(b"HTTP/1.1"):
                return

    await asyncio.gather(*map(keep_calling, connections))
    outcome.seconds = time.perf_counter() - started
    return outcome


async def open_loop(target: Target, connections: list[Connection], seconds: float, rate: float) -> Outcome:
    """`rate` calls a second at random times, whether or not earlier ones were answered; the seed is fixed.

    A call that finds every connection busy waits for one, and that wait counts: an answer that is late must not make
    the next question late too. The lateness of this process's own clock (a millisecond) does not count.
    """
    outcome = Outcome()
    request = target.request()
    idle, under_way = deque(connections), set[asyncio.Task[None]]()
    waiting: deque[float] = deque()

    async def call(connection: Connection, due: float) -> None:
        head, body = await connection.call(request)
        outcome.add(time.perf_counter() - due, head, body)
        if waiting:
            start(connection, waiting.popleft())
        else:
            idle.append(connection)

    def start(connection: Connection, due: float) -> None:
        task = asyncio.get_running_loop().create_task(call(connection, due))
        under_way.add(task)
        task.add_done_callback(under_way.discard)

    started = time.perf_counter()
    for offset in arrivals(rate, seconds):
        delay = started + offset - time.perf_counter()
        if delay > 0:
            await asyncio.sleep(delay)
        now = time.perf_counter()
        if idle:
            start(idle.popleft(), now)
        else:
            waiting.append(now)
    async with asyncio.timeout(MAX_LINGER_SECONDS):
        while under_way:
            await asyncio.wait(set(under_way))
    outcome.seconds = time.perf_counter() - started
    return outcome


def arrivals(rate: float, seconds: float) -> Iterator[float]:
    """Seconds from the start at which calls are due: a Poisson process of `rate` a second, always the same one."""
    generator = random.Random(20_000)
    moment = generator.expovariate(rate)
    while moment < seconds:
        yield moment
        moment += generator.expovariate(rate)


def percentile(latencies: list[float], share: float) -> float:
    """The latency that `share` (0 to 1) of the calls did not exceed, nearest rank; 0.0 of no calls."""
    if not latencies:
        return 0.0
    return sorted(latencies)[min(len(latencies) - 1, int(share * len(latencies)))]
