"""A consumer's connection, on aiohttp: who is at the other end, and the deadlines that the library does not have."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import select
import socket
import ssl
import struct
import termios
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from rivta.router.incoming import Refusal, as_request, read_body, refuse_ambiguous
from rivta.router.limits import Limits
from rivta.router.load import Load, Share, carry_with
from rivta.router.messages import Answer, Handler, Peer, Request, TurnAway
from rivta.router.outgoing import Outgoing
from rivta.tls.contexts import negotiated
from rivta.tls.sender import NoSenderId, Sender, sender_from_certificate

_log = logging.getLogger("rivta.router.connection")

# aiohttp words its own refusals of broken requests as exceptions with tracebacks, and quotes the request in them.
_muted = logging.getLogger("rivta.router.aiohttp")
_muted.addHandler(logging.NullHandler())
_muted.propagate = False

_DRAIN_LOOK_SECONDS = 0.05
_LAST_WORDS_SECONDS = 1.0
_LINGERING_SECONDS = 1.0
_NOT_HTTP = "The request is not HTTP/1.1 as RFC 9112 has it, or longer than a head may be."
# What may come around the bytes of a chunked body: the sizes of chunks of a few bytes each, some extensions, a trailer.
_WRAPPING_BYTES = 65_536
_WRAPPING_RATIO = 16
_END_OF_CHUNKS = b"\r\n0\r\n\r\n"
# Offset in Linux's `struct tcp_info` of tcpi_bytes_acked, a 64-bit number.
_BYTES_ACKED = 120


class Connections(web.Server):
    """The connections of a listener: aiohttp's low-level server, making ours."""

    def __init__(
        self, handler: Handler, *, turn_away: TurnAway, limits: Limits, server: str, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(self._answer)  # type: ignore[arg-type]  # what an Outgoing has is all that is asked of it
        self.limits = limits
        self.server = server
        self.per_sender: Counter[str] = Counter()
        self.load = Load(limits.held_bytes)
        self._handler = handler
        self._turn_away = turn_away
        self._draining = False
        self._tls = tls
        self._is_unwelcome: Callable[[Sender], bool] = lambda sender: False

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop)

    def renew(self, tls: ssl.SSLContext, is_unwelcome: Callable[[Sender], bool]) -> None:
        """Connections are made with `tls` from now on; one that still comes by another is cut if it `is_unwelcome`."""
        self._tls, self._is_unwelcome = tls, is_unwelcome

    def is_let_in(self, sender: Sender, tls: ssl.SSLContext) -> bool:
        """Whether a connection that was made with `tls` may stay."""
        return tls is self._tls or not self._is_unwelcome(sender)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._connections)

    def each(self) -> list[Connection]:
        """Those that stand."""
        return [one for one in self._connections if isinstance(one, Connection)]

    async def _answer(self, incoming: web.BaseRequest) -> Outgoing:
        connection = incoming.protocol
        assert isinstance(connection, Connection)
        peer = connection.peer
        share = self.load.share(peer.address if peer.sender is None else peer.sender.hsa_id)
        carry_with(share)
        try:
            outgoing = await self._answered(incoming, connection, share)
        except BaseException:
            share.give_back()
            raise
        outgoing.when_written = share.give_back
        return outgoing

    async def _answered(self, incoming: web.BaseRequest, connection: Connection, share: Share) -> Outgoing:
        try:
            if connection.is_surplus:
                raise Refusal(503, "Too many connections of this sender are open; use those again.")
            refuse_ambiguous(incoming, self.limits)
            body = await read_body(incoming, self.limits, share)
            request = as_request(incoming, connection.peer, body)
        except Refusal as refusal:
            return await self.turn_away(as_request(incoming, connection.peer, b""), refusal.status, refusal.text)
        outgoing = Outgoing(await self._handler(request), server=self.server)
        # Of what comes behind an offer to change the protocol the library drops a part, and reads on in its middle.
        if self._draining or incoming._message.upgrade or connection.is_spent:
            outgoing.force_close()
        return outgoing

    async def turn_away(self, request: Request, status: int, text: str) -> Outgoing:
        """The last answer of a connection, to a request that is none or goes too far."""
        answer = await self._turn_away(request, status, text)
        return Outgoing(replace(answer, close=True), server=self.server)

    async def drain(
        self, seconds: float, *, idle_seconds: float, more_come: Callable[[], bool] = lambda: False
    ) -> None:
        """Returns when every connection has ended: by its last answer, idle, or cut off after `seconds`.

        While `more_come` it waits for these, too, up to `idle_seconds`.
        """
        self._draining = True
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (passed := loop.time() - began) < seconds:
            is_patient = passed < idle_seconds
            if not is_patient:
                self._close_idle(since=loop.time() - idle_seconds)
            if not self.connections and not (is_patient and more_come()):
                break
            await asyncio.sleep(_DRAIN_LOOK_SECONDS)
        carrying = [one.task for one in self.each() if one.task is not None]
        await self.shutdown(_DRAIN_LOOK_SECONDS)
        if carrying:  # what is cut off is still recorded
            await asyncio.wait(carrying, timeout=_LAST_WORDS_SECONDS)

    def _close_idle(self, *, since: float) -> None:
        for connection in self.each():
            if connection.is_idle(since=since):
                connection.force_close()  # `close` alone ends its task, and leaves the socket open


class Connection(RequestHandler):
    """One connection: who is at the other end, read once, and its deadlines.

    A slow end would hold it for ever: the library waits for the rest of a head, and for an answer to be read, as long
    as it takes.
    """

    __slots__ = (
        "_acknowledged",
        "_body",
        "_connections",
        "_deadline",
        "_ended",
        "_head_bytes",
        "_is_in_chunks",
        "_last_bytes",
        "_last_taken",
        "_look",
        "_reading",
        "_socket_transport",
        "_wire_bytes",
        "is_spent",
        "is_surplus",
        "peer",
    )

    def __init__(self, connections: Connections, *, loop: asyncio.AbstractEventLoop) -> None:
        limits = connections.limits
        super().__init__(
            connections,
            loop=loop,
            keepalive_timeout=limits.keep_alive_seconds,
            access_log=None,  # type: ignore[arg-type]  # even a muted one is formatted, for 19 us a call
            logger=_muted,
            auto_decompress=False,
            max_line_size=limits.max_target_bytes,
            max_field_size=limits.max_header_bytes,
            max_headers=limits.max_headers,
            lingering_time=_LINGERING_SECONDS,
        )
        self.peer = Peer(address="", sender=None)
        self.is_surplus = False
        """Beyond what its sender may have: it is told so, and closed."""
        self.is_spent = False
        """Its next answer is its last: what would come behind cannot be told from what came before."""
        self._connections = connections
        self._socket_transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._last_taken = 0.0
        self._reading: asyncio.TimerHandle | None = None
        self._ended = False
        self._acknowledged = 0
        self._head_bytes = 0
        self._wire_bytes = 0
        self._body: StreamReader = EMPTY_PAYLOAD
        self._is_in_chunks = False
        self._last_bytes = b""

    def is_idle(self, *, since: float) -> bool:
        """Whether it has waited since that time of the loop for a request of which nothing has come yet.

        What the loop has not read yet counts as come: closing before it is read would reset it.
        """
        waits = self._waiter is not None and not self._waiter.done()
        return waits and not self._head_bytes and self._last_taken <= since and not self._has_unread()

    def _has_unread(self) -> bool:
        transport = self._socket_transport
        if transport is None:
            return False
        look = select.poll()
        look.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(look.poll(0))

    @property
    def task(self) -> asyncio.Task[None] | None:
        """What carries its requests."""
        return self._task_handler

    def cut(self) -> None:
        """Ends it at once, whatever has not been sent yet."""
        self.force_close()
        if self._socket_transport is not None:
            self._socket_transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self.peer = _peer(transport)
        self._socket_transport = transport
        self._last_taken = self._loop.time()
        self._deadline = self._loop.call_later(self._connections.limits.header_seconds, self.force_close)
        super().connection_made(transport)
        self._take_place(transport)

    def _take_place(self, transport: asyncio.Transport) -> None:
        """One sender cannot take the places of all: what it has too much is told so at its first request."""
        if (sender := self.peer.sender) is None:
            return
        taken, allowed = self._connections.per_sender, self._connections.limits.connections_per_sender
        taken[sender.hsa_id] += 1
        self.is_surplus = taken[sender.hsa_id] > allowed
        tls = transport.get_extra_info("ssl_object")
        is_late = tls is not None and not self._connections.is_let_in(sender, tls.context)
        if is_late or taken[sender.hsa_id] > 2 * allowed:
            transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        for timer in (self._deadline, self._look, self._reading):
            if timer is not None:
                timer.cancel()
        self._socket_transport = None
        if (sender := self.peer.sender) is not None:
            taken = self._connections.per_sender
            taken[sender.hsa_id] -= 1
            if not taken[sender.hsa_id]:
                del taken[sender.hsa_id]
        super().connection_lost(exc)

    async def start(self) -> None:
        """As the library's; and then the connection ends, also when what it was sent last is never read."""
        try:
            await super().start()
        finally:
            self._ended = True
            self.watch_reading()

    def data_received(self, data: bytes) -> None:
        requests = self._request_count
        self._last_bytes = data[-7:] if len(data) >= 7 else (self._last_bytes + data)[-7:]
        super().data_received(data)
        if self._request_count != requests:
            self._note_message(*self._messages[-1])
            self._note_chunks(self._request_count - requests)
        elif not self._body.is_eof():
            self._count_wrapping(self._body, len(data))
        if self._is_in_chunks and self._body.is_eof():
            self._is_in_chunks = False
            self.is_spent = self.is_spent or self._last_bytes != _END_OF_CHUNKS
        # Before its first request the connection's own task, which makes the waiter, may not have run yet.
        waits_for_head = self._request_count == 0 or (self._waiter is not None and not self._waiter.done())
        if waits_for_head:
            self._await_head(len(data))
            return
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
            self._head_bytes = 0
        self._last_taken = self._loop.time()
        if self._look is None:
            self._look = self._loop.call_later(self._connections.limits.header_seconds, self._look_for_half_head)

    def _look_for_half_head(self) -> None:
        """Ends the connection when the beginning of a head came behind a request, while nobody waited for one, and
        nothing since. Looked for now and then: in each call it would cost more than it is worth."""
        seconds = self._connections.limits.header_seconds
        left = self._last_taken + seconds - self._loop.time()
        self._look = None
        if self._waiter is None or self._waiter.done():  # a call is being carried
            self._look = self._loop.call_later(seconds, self._look_for_half_head)
        elif left > 0:
            self._look = self._loop.call_later(left, self._look_for_half_head)
        elif self._deadline is None and self._has_half_head():
            self.force_close()

    def _has_half_head(self) -> bool:
        """Whether the parser is within a head. Asked by telling it that nothing more comes: between two requests that
        changes nothing, and within a head the connection is over."""
        try:
            return self._parser is not None and self._parser.feed_eof() is not None
        except HttpProcessingError:
            return True

    def _await_head(self, size: int) -> None:
        limits = self._connections.limits
        if self._deadline is None:
            self._deadline = self._loop.call_later(limits.header_seconds, self.force_close)
        self._head_bytes += size
        if self._head_bytes > limits.max_head_bytes:
            self._refuse_head()

    def _refuse_head(self) -> None:
        """Answers a head of which there is already too much."""
        self._request_count += 1
        self._messages.append((_ErrInfo(400, ValueError(), ""), EMPTY_PAYLOAD))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._close = True  # nothing more is taken in; `close()` would not wait for the answer

    def _note_message(self, message: object, body: StreamReader) -> None:
        """Looks at the last message that the library has made. What is no HTTP becomes one too, which would wait behind
        the request whose body it was to be."""
        if not isinstance(message, _ErrInfo):
            self._body, self._wire_bytes = body, 0
        elif not self._body.is_eof():
            self._body.set_exception(web.RequestPayloadError("it is broken"))

    def _note_chunks(self, made: int) -> None:
        """Looks at the last messages, so many of them, for one in chunks. The library takes the last field of a trailer
        for a header of the next request, which on a proxy's connection is another client's: so what has anything
        behind its chunks is the last on its connection."""
        chunked = [not isinstance(message, _ErrInfo) and message.chunked for message, _ in [*self._messages][-made:]]
        if self._is_in_chunks or (len(self._messages) > 1 and True in chunked):
            self.is_spent = True
        self._is_in_chunks = chunked[-1]

    def _count_wrapping(self, body: StreamReader, size: int) -> None:
        """Fails a body of which little but wrapping comes: nobody else counts that."""
        self._wire_bytes += size
        if self._wire_bytes > _WRAPPING_BYTES + _WRAPPING_RATIO * body.total_bytes:
            body.set_exception(web.RequestPayloadError("there is little in it"))

    def pause_writing(self) -> None:
        super().pause_writing()
        self.watch_reading()

    async def written(self) -> None:
        """Returns when there is room to write more. Raises ConnectionError when the other end has gone."""
        if self._paused:
            await self._drain_helper()

    def watch_reading(self) -> None:
        """From now on, until nothing is left to be read, the other end has to read; and at the end, to hang up."""
        if self._reading is None and (transport := self._socket_transport) is not None:
            self._acknowledged = _unread(transport)[1]
            self._reading = self._loop.call_later(self._connections.limits.unread_seconds, self._check_reading)

    def _check_reading(self) -> None:
        self._reading = None
        if (transport := self._socket_transport) is None:
            return
        limits = self._connections.limits
        unread, acknowledged = _unread(transport)
        if not unread and not self._ended:
            return
        if acknowledged - self._acknowledged < limits.unread_seconds * limits.min_bytes_per_second:
            transport.abort()
        else:
            self.watch_reading()

    def _make_error_handler(self, err_info: object) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        """The answer to what could not be read as HTTP. The library's own quotes the bytes and names its version."""

        async def handler(_: web.BaseRequest) -> web.StreamResponse:
            nothing = Request(method="", path="", query={}, headers=(), body=b"", peer=self.peer)
            return await self._connections.turn_away(nothing, 400, _NOT_HTTP)  # type: ignore[return-value]

        return handler

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer when the handler failed, which it never should. Logged is where, not the error's own words: they
        may quote the request."""
        if exc is not None:
            where = "".join(traceback.format_tb(exc.__traceback__))
            _log.error("a request met an error of ours, %s:\n%s", type(exc).__name__, where)
        answer = Answer(status, (("Content-Type", "text/plain; charset=UTF-8"),), b"Internal error.\n", close=True)
        return Outgoing(answer, server=self._connections.server)  # type: ignore[return-value]


def _peer(transport: asyncio.BaseTransport) -> Peer:
    address = address_of(transport.get_extra_info("peername"))
    tls = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    if certificate is None:
        return Peer(address=address, sender=None, problem="No client certificate", plain=tls is None)
    try:
        return Peer(address=address, sender=sender_from_certificate(certificate), tls=negotiated(tls))
    except NoSenderId as error:
        return Peer(address=address, sender=None, problem=str(error), tls=negotiated(tls))


def address_of(name: object) -> str:
    """The IP address in the name of a socket's other end; empty where it has none. One of IPv4 is spelled so, also when
    its connection was accepted on a socket for both."""
    address = str(name[0]) if isinstance(name, tuple) else ""
    return address[7:] if address.startswith("::ffff:") and "." in address else address


def _unread(transport: asyncio.Transport) -> tuple[int, int]:
    """Bytes that the other end has not taken yet, and how many it has taken since it connected.

    Asked of the system: over TLS neither asyncio's transport nor uvloop's counts what it holds back.
    """
    unread = transport.get_write_buffer_size()
    connected = transport.get_extra_info("socket")
    try:
        unread += struct.unpack("i", fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
        if connected.family not in (socket.AF_INET, socket.AF_INET6):
            return unread, -unread
        told = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED + 8)
        return unread, struct.unpack_from("Q", told, _BYTES_ACKED)[0]
    except OSError:  # it is gone
        return 0, 0
