"""The listening half of the router's transport, on aiohttp: connections in, requests to the handler, answers out."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import HttpVersion11, web
from aiohttp.web_protocol import RequestHandler

from rivta.router.messages import Answer, Handler, Peer, Request, TurnAway
from rivta.router.packing import NotUnpacked, TooLong, unpack
from rivta.tls.sender import NoSenderId, Sender, sender_from_certificate

_log = logging.getLogger("rivta.router.server")

# aiohttp words its own refusals of broken requests as exceptions with tracebacks, and quotes the request in them.
_muted = logging.getLogger("rivta.router.aiohttp")
_muted.addHandler(logging.NullHandler())
_muted.propagate = False


_PLAIN_TEXT = ("Content-Type", "text/plain; charset=UTF-8")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a connection may cost before anyone knows what it asks for."""

    max_body_bytes: int = 50 * 1024 * 1024
    header_seconds: float = 10.0
    """From the first byte of a request, or from connecting, to the end of its header."""
    min_body_bytes_per_second: int = 1024
    """A body has `header_seconds` and then as long as this rate allows."""
    keep_alive_seconds: float = 75.0


class _Refusal(Exception):
    """The request ends here, with an HTTP status, since no SOAP answer is possible."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Listener:
    """A listening address and its connections. `serve` makes it; `close` drains and ends it."""

    def __init__(self, server: asyncio.Server, connections: _Connections) -> None:
        self._server = server
        self._connections = connections

    def drop(self, is_unwelcome: Callable[[Sender], bool]) -> int:
        """Closes every connection whose sender `is_unwelcome`; how many there were."""
        unwelcome = [
            connection
            for connection in self._connections.connections
            if isinstance(connection, _Connection)
            and connection.peer.sender is not None
            and is_unwelcome(connection.peer.sender)
        ]
        for connection in unwelcome:
            connection.force_close()
        return len(unwelcome)

    async def close(self, *, drain_seconds: float) -> None:
        """Accepts nothing more, lets calls in flight finish for `drain_seconds`, then ends what is left."""
        self._server.close()
        self._connections.pre_shutdown()
        await self._connections.shutdown(drain_seconds)


async def serve(
    handler: Handler, *, turn_away: TurnAway, listening: socket.socket, tls: ssl.SSLContext | None, limits: Limits
) -> Listener:
    """Answers the requests that come in on `listening` with `handler`, and those beyond `limits` with `turn_away`.

    Neither may raise. What is not HTTP is answered 400 here.
    """
    connections = _Connections(_answering(handler, turn_away, limits), limits)
    server = await asyncio.get_running_loop().create_server(
        connections,
        sock=listening,
        ssl=tls,
        ssl_handshake_timeout=limits.header_seconds if tls else None,
        backlog=1024,
    )
    return Listener(server, connections)


class _Connections(web.Server):
    """aiohttp's low-level server, making our connections."""

    def __init__(self, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], limits: Limits) -> None:
        super().__init__(answer)
        self.limits = limits

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, limits=self.limits)


class _Connection(RequestHandler):
    """One connection: who is at the other end, read once, and the deadline for each request's header.

    aiohttp has no such deadline: half a header sent by a slow client would hold the connection for ever.
    """

    __slots__ = ("_deadline", "_head_seconds", "peer")

    def __init__(self, manager: web.Server, *, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
        super().__init__(
            manager,
            loop=loop,
            keepalive_timeout=limits.keep_alive_seconds,
            access_log=None,  # type: ignore[arg-type]  # even a muted one is formatted, for 19 us a call
            logger=_muted,
            auto_decompress=False,
        )
        self.peer = Peer(address="", sender=None)
        self._head_seconds = limits.header_seconds
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.peer = _peer(transport)
        self._deadline = self._loop.call_later(self._head_seconds, self.force_close)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Before its first request the connection's own task, which makes the waiter, may not have run yet.
        waits_for_head = self._request_count == 0 or (self._waiter is not None and not self._waiter.done())
        if not waits_for_head and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        elif waits_for_head and self._deadline is None:
            self._deadline = self._loop.call_later(self._head_seconds, self.force_close)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not be read as HTTP. The library's own quotes the bytes and names its version."""
        text = f"{status}: the request is not HTTP/1.1 as RFC 9112 has it, or longer than a head may be.\n"
        return _response(Answer(status, (_PLAIN_TEXT,), text.encode(), close=True))


def _peer(transport: asyncio.BaseTransport) -> Peer:
    name = transport.get_extra_info("peername")
    address = str(name[0]) if isinstance(name, tuple) else ""
    tls = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    if certificate is None:
        return Peer(address=address, sender=None, problem="No client certificate")
    try:
        return Peer(address=address, sender=sender_from_certificate(certificate))
    except NoSenderId as error:
        return Peer(address=address, sender=None, problem=str(error))


def _answering(
    handler: Handler, turn_away: TurnAway, limits: Limits
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    async def answer(incoming: web.BaseRequest) -> web.StreamResponse:
        try:
            body = await _read_body(incoming, limits)
        except _Refusal as refusal:
            answered = await turn_away(_request(incoming, b""), refusal.status, refusal.text)
            return _response(dataclasses.replace(answered, close=True))
        return _response(await handler(_request(incoming, body)))

    return answer


def _request(incoming: web.BaseRequest, body: bytes) -> Request:
    protocol = incoming.protocol
    return Request(
        method=incoming.method,
        path=incoming.path,
        query=dict(incoming.query) if incoming.query_string else {},
        headers=tuple(incoming.headers.items()),
        body=body,
        peer=protocol.peer if isinstance(protocol, _Connection) else Peer(address="", sender=None),
    )


def _response(answer: Answer) -> web.Response:
    response = web.Response(status=answer.status, body=answer.body)
    for name, value in answer.headers:
        response.headers.add(name, value)
    response.headers["Server"] = "rivta"
    if answer.close:
        response.force_close()
    return response


async def _read_body(incoming: web.BaseRequest, limits: Limits) -> bytes:
    """The whole body, unpacked; raises _Refusal (413, 408, 415, 400)."""
    hosts = len(incoming.headers.getall("Host", ()))
    if hosts > 1 or (hosts == 0 and incoming.version >= HttpVersion11):
        raise _Refusal(400, "A request has one Host header.")  # RFC 9112 section 3.2
    too_long = _Refusal(413, f"The message is longer than the {limits.max_body_bytes} bytes this platform accepts.")
    if incoming.content_length is not None and incoming.content_length > limits.max_body_bytes:
        raise too_long
    if incoming.headers.get("Expect", "").lower() == "100-continue":
        await incoming.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        incoming.writer.output_size = 0
    content = incoming.content
    body = content.read_nowait() if content.is_eof() else await _read_slowly(incoming, limits, too_long)
    if len(body) > limits.max_body_bytes:
        raise too_long
    encoding = incoming.headers.get("Content-Encoding", "identity").lower()
    if encoding == "identity":
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise _Refusal(415, f"Content-Encoding {encoding!r} is not read here: send gzip or none.")
    try:
        return unpack(body, limits.max_body_bytes)
    except TooLong:
        raise too_long from None
    except NotUnpacked as error:
        raise _Refusal(400, f"{error}.") from error


async def _read_slowly(incoming: web.BaseRequest, limits: Limits, too_long: _Refusal) -> bytes:
    chunks: list[bytes] = []
    size = 0
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        while not incoming.content.at_eof():
            left = began + limits.header_seconds + size / limits.min_body_bytes_per_second - loop.time()
            async with asyncio.timeout(left):
                chunk = await incoming.content.readany()
            size += len(chunk)
            if size > limits.max_body_bytes:
                raise too_long
            chunks.append(chunk)
    except TimeoutError:
        raise _Refusal(408, "The body came too slowly; send it again on a better connection.") from None
    except web.RequestPayloadError as error:
        raise _Refusal(400, "The body ended before its announced length, or its chunks are broken.") from error
    return b"".join(chunks)
