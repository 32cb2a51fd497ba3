"""A listener on the loopback and bare connections to it: what a consumer's socket sees."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from rivta.router.limits import Limits
from rivta.router.messages import Answer, Peer, Request, TurnAway
from rivta.router.server import Listener, serve
from rivta.tls.authority import Authority
from rivta.tls.contexts import ClientContext, client_context, server_context
from rivta.tls.sender import Sender

LIMITS = Limits(max_body_bytes=100_000, header_seconds=0.4, min_bytes_per_second=1_000_000, keep_alive_seconds=5)
FAST = Limits(header_seconds=0.25, min_bytes_per_second=1000, keep_alive_seconds=0.25, unread_seconds=0.2)
"""For what has to end by a deadline."""


class OneIdentity:
    """One context for every producer."""

    def __init__(self, context: ClientContext) -> None:
        self._context = context

    def choose(self, url: str, client_certificate: str | None = None, ca: str | None = None) -> ClientContext:
        return self._context


class Consumer:
    """A bare connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, without_body: bool = False) -> tuple[int, dict[str, str], bytes]:
        """The next answer: status, headers by lower-case name, body."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head.split("\r\n")
        assert status.startswith("HTTP/1.1 "), status  # nothing is left of an answer before
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        length = 0 if without_body else int(headers.get("content-length", 0))
        return int(status.split()[1]), headers, await self.reader.readexactly(length)

    async def rest(self, *, seconds: float = 3) -> bytes:
        """What still comes until the other end closes."""
        async with asyncio.timeout(seconds):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


Handle = Callable[[Request], Awaitable[Answer]]


async def echo(request: Request) -> Answer:
    return Answer(200, (("Content-Type", "text/xml"),), request.body or b"nothing")


@dataclass
class Served:
    """A listener, what its handler was given and whom it turned away: HSA-id (empty: unknown) and status."""

    address: tuple[str, int]
    authority: Authority | None
    handle: Handle = echo
    sender: Sender | None = None
    seen: list[Request] = field(default_factory=list)
    turned_away: list[tuple[str, int]] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    listener: Listener = field(init=False)

    async def carry(self, request: Request) -> Answer:
        if self.sender is not None:
            request = replace(request, peer=Peer("127.0.0.1", self.sender))
        self.seen.append(request)
        return await self.handle(request)

    async def turn_away(self, request: Request, status: int, text: str) -> Answer:
        self.turned_away.append((request.peer.sender.hsa_id if request.peer.sender else "", status))
        return Answer(status, (), text.encode())

    def context(self, name: str = "consumer") -> ssl.SSLContext | None:
        if self.authority is None:
            return None
        issued: Path = self.authority.folder / "issued"
        return client_context(
            certificate=issued / f"{name}.pem", key=issued / f"{name}.key", trusted=self.authority.folder / "ca.pem"
        )

    async def connect(
        self, name: str = "consumer", *, context: ssl.SSLContext | None = None, limit: int = 2**16
    ) -> Consumer:
        context = context or self.context(name)
        reader, writer = await asyncio.open_connection(*self.address, ssl=context, limit=limit)
        self.writers.append(writer)
        return Consumer(reader, writer)


@asynccontextmanager
async def listening(
    *,
    authority: Authority | None = None,
    limits: Limits = LIMITS,
    handle: Handle = echo,
    turn_away: TurnAway | None = None,
    sender: Sender | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[Served]:
    """Serves with mutual TLS, or without where there is no authority; then `sender` is who calls, all the same."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    door = socket.create_server((host, 0), family=family)
    context = None
    if authority is not None:
        issued = authority.folder / "issued"
        context = server_context(
            certificate=issued / "server.pem", key=issued / "server.key", trusted=authority.folder / "ca.pem"
        )
    served = Served(door.getsockname()[:2], authority, handle, sender)
    listener = await serve(
        served.carry, turn_away=turn_away or served.turn_away, listening=door, tls=context, limits=limits
    )
    served.listener = listener
    try:
        yield served
    finally:
        for writer in served.writers:
            writer.transport.abort()
        await listener.close(drain_seconds=0.05, idle_seconds=0)


def post(body: bytes, *headers: bytes) -> bytes:
    """A whole request."""
    lines = [b"POST /vp/x?a=1 HTTP/1.1", b"Host: h", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
