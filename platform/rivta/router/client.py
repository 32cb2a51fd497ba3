"""The calling half of the router's transport, on aiohttp: one request out, one whole answer or one failure."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
import aiohttp.abc
import aiohttp.client_reqrep
import aiohttp.payload
from aiohttp.http_writer import StreamWriter
from multidict import CIMultiDict

from rivta.router.load import COUNTED_BYTES, Overload, take
from rivta.router.messages import Headers, ProducerAnswer, ProducerFailure, Target, Trouble
from rivta.router.packing import NotUnpacked, TooLong, unpack
from rivta.router.pool import LENT, Connection, NetworkPool, SocketPool, words_of
from rivta.tls.contexts import ClientContext
from rivta.tls.targets import UnknownIdentity

_NOT_OURS_TO_SET = frozenset({"User-Agent", "Accept", "Accept-Encoding", "Content-Type"})
_PIECE_BYTES = 256 * 1024
_NEVER_ROUNDED = float("inf")
"""The library rounds long times up to a whole second, and the platform before us waits two seconds longer only."""
_HUNG_UP = frozenset({Trouble.NO_ANSWER, Trouble.RESET})
_KEEP_ALIVE_TIME = re.compile(r"(?i)(?:^|[\s,])timeout\s*=\s*(\d{1,6})(?:[\s,]|$)")


class _Writer(StreamWriter):
    """Writes headers with the bytes that they came with, the library's leaves out what is not UTF-8; and nothing on a
    kept connection that its producer has closed."""

    def _write(self, chunk: Any) -> None:
        if isinstance(self._protocol, Connection):
            self._protocol.begin_request()
        super()._write(chunk)

    def _writelines(self, chunks: Any) -> None:
        if isinstance(self._protocol, Connection):
            self._protocol.begin_request()
        super()._writelines(chunks)

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        await super().write_headers(status_line, headers)
        if not all(map(str.isascii, headers.values())):
            lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
            self._headers_buf = f"{status_line}\r\n{lines}\r\n".encode("utf-8", "surrogateescape")


aiohttp.client_reqrep.StreamWriter = _Writer  # type: ignore[attr-defined]  # it has no other way to be given one


class Choosing(Protocol):
    """Which TLS identity a producer is called with."""

    def choose(self, url: str, client_certificate: str | None = None, ca: str | None = None) -> ClientContext:
        """Raises UnknownIdentity."""


@dataclass(frozen=True, slots=True)
class ClientRules:
    """How producers are called."""

    keep_alive: bool = True
    """False: each call says `Connection: close`."""
    disconnect: bool = False
    """True: the connection is closed after each call, without a word about it."""
    idle_seconds: float = 15.0
    """How long a kept connection may wait for its next call: less than usual servers allow (nginx 75 s, Tomcat 20 s),
    so that we are the side that closes."""
    chunked: bool = False
    """Requests go in chunks, without Content-Length."""
    relay_cut_answers: bool = False
    """An answer that ends before its announced length is taken for whole."""


class _Large(aiohttp.payload.Payload):
    """A request sent a piece at a time: encrypted at one go it would hold up the calls beside it."""

    _value: bytes

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._size = len(body)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._value.decode(encoding, errors)

    async def write(self, writer: aiohttp.abc.AbstractStreamWriter) -> None:
        for start in range(0, len(self._value), _PIECE_BYTES):
            await writer.write(memoryview(self._value)[start : start + _PIECE_BYTES])
            await writer.drain()

    async def write_with_length(self, writer: aiohttp.abc.AbstractStreamWriter, content_length: int | None) -> None:
        await self.write(writer)


class _Response(aiohttp.ClientResponse):
    """An answer whose connection is kept no longer than its producer says."""

    _carrier: Connection

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        carrier = self._carrier = connection.protocol
        await super().start(connection)
        said = self.headers.get("Keep-Alive")
        if said is not None and (found := _KEEP_ALIVE_TIME.search(said)):
            carrier.kept_until = time.monotonic() + int(found[1]) - 0.5
        return self

    @property
    def has_ended_orderly(self) -> bool:
        """Whether the producer closed the connection, rather than that it broke."""
        return self._carrier.lost is None

    def cut_off(self) -> ProducerFailure:
        """What it is called when the answer ended before its end."""
        if self.has_ended_orderly:
            return ProducerFailure(Trouble.CUT_SHORT, "the connection was closed before the end of the answer")
        return ProducerFailure(Trouble.RESET, "reset within the answer")


class ProducerClient:
    """Pools of kept-alive connections to producers: https by a TLS identity, http, and our own services' sockets."""

    def __init__(self, identities: Choosing, rules: ClientRules | None = None) -> None:
        self._identities = identities
        self._rules = rules or ClientRules()
        self._network: aiohttp.ClientSession | None = None
        self._pool: NetworkPool | None = None
        self._sockets: dict[str, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        """Closes every pooled connection."""
        for session in (self._network, *self._sockets.values()):
            if session is not None:
                await session.close()

    def drop(self, is_revoked: Callable[[bytes, int], bool]) -> int:
        """Ends the connections with producers whose certificate, by issuer and serial number, is; their number."""
        return 0 if self._pool is None else self._pool.cut_revoked(is_revoked)

    async def send(self, target: Target, *, method: str, headers: Headers, body: bytes) -> ProducerAnswer:
        """The producer's answer, whatever its status. Redirects are not followed. Raises ProducerFailure.

        A kept connection that its producer closes before anything of the request is written was only a bad choice.
        """
        while True:
            LENT.set(None)
            try:
                return await self._send(target, method=method, headers=headers, body=body)
            except ProducerFailure as failure:
                lent = LENT.get()
                if lent is None or not lent.is_unused or failure.trouble not in _HUNG_UP:
                    raise

    async def _send(self, target: Target, *, method: str, headers: Headers, body: bytes) -> ProducerAnswer:
        session, url, tls = self._way_to(target)
        # Neither step of connecting may use up the time for the answer: it would be taken for a producer that is slow.
        connect_seconds = min(target.connect_seconds, 0.45 * target.answer_seconds)
        timeout = aiohttp.ClientTimeout(
            total=target.answer_seconds, sock_connect=connect_seconds, ceil_threshold=_NEVER_ROUNDED
        )
        rules, lines = self._rules, CIMultiDict(headers)
        lines["Connection"] = "keep-alive" if rules.keep_alive else "close"
        try:
            response = await session.request(
                method,
                url,
                data=body if len(body) <= _PIECE_BYTES else _Large(body),
                headers=lines,
                timeout=timeout,
                allow_redirects=False,
                chunked=True if rules.chunked else None,
                ssl=tls,
            )
            assert isinstance(response, _Response)
            try:
                return await self._read(response, target.max_answer_bytes)
            except aiohttp.ClientPayloadError as error:
                raise response.cut_off() from error
            finally:
                # Whole, the connection is in the pool again already. Cut off, or with a request still on its way out,
                # it can carry nothing more.
                if response.connection is not None:
                    response.close()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise _failure(error) from error

    def _way_to(self, target: Target) -> tuple[aiohttp.ClientSession, str, ssl.SSLContext | bool]:
        url = target.url
        if url[:5].lower() == "unix:":
            path = urlsplit(url).path
            session = self._sockets.get(path)
            if session is None:
                session = self._sockets[path] = self._session(SocketPool(path=path, **self._pooling()))
            return session, "http://localhost/", True
        if self._network is None:
            self._pool = NetworkPool(limit_per_host=0, **self._pooling())
            self._network = self._session(self._pool)
        if url[:6].lower() != "https:":
            return self._network, url, True
        try:
            return self._network, url, self._identities.choose(url, target.client_certificate, target.ca)
        except UnknownIdentity as error:
            raise ProducerFailure(Trouble.NO_IDENTITY, str(error)) from error
        except ValueError as error:  # an URL that cannot be read, or files that have become useless
            raise ProducerFailure(Trouble.CANNOT_CONNECT, "the address cannot be used") from error

    def _pooling(self) -> dict[str, Any]:
        if self._rules.disconnect or not self._rules.keep_alive:
            return {"limit": 0, "force_close": True}
        return {"limit": 0, "keepalive_timeout": self._rules.idle_seconds}

    def _session(self, connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_NOT_OURS_TO_SET,
            auto_decompress=False,
            trust_env=False,
            response_class=_Response,
        )
        # The library sends a PUT or DELETE again when a kept connection breaks; when to try again is the router's rule.
        session._retry_connection = False
        return session

    async def _read(self, response: _Response, max_bytes: int) -> ProducerAnswer:
        if response.content_length is not None and response.content_length > max_bytes:
            raise _too_large(max_bytes)
        try:
            body = await self._read_body(response, max_bytes)
            answer = ProducerAnswer(response.status, response.reason or "", tuple(response.headers.items()), body)
            return await _plain(answer, max_bytes)
        except Overload as error:
            raise ProducerFailure(Trouble.TOO_LARGE, str(error)) from error

    async def _read_body(self, response: _Response, max_bytes: int) -> bytes:
        if response.content_length is not None and not self._rules.relay_cut_answers:
            if response.content_length > COUNTED_BYTES:
                take(response.content_length)
            return await response.read()
        chunks: list[bytes] = []
        size = 0
        try:
            async for chunk in response.content.iter_any():
                size += len(chunk)
                if size > max_bytes:
                    raise _too_large(max_bytes)
                take(len(chunk))
                chunks.append(chunk)
        except aiohttp.ClientPayloadError:
            # As the incumbent: an announced length that is too large. Not chunks that end nowhere, nor a reset.
            is_announced = response.content_length is not None and response.has_ended_orderly
            if not (self._rules.relay_cut_answers and is_announced):
                raise
        return b"".join(chunks)


def _too_large(max_bytes: int) -> ProducerFailure:
    return ProducerFailure(Trouble.TOO_LARGE, f"the answer is longer than {max_bytes} bytes")


async def _plain(answer: ProducerAnswer, max_bytes: int) -> ProducerAnswer:
    """The answer as plain bytes. Nobody asked for gzip; but what cannot be read can neither be checked nor relayed."""
    encoding = answer.header("Content-Encoding").strip().lower()
    if encoding in ("", "identity") or not answer.body:
        return answer
    plain = await asyncio.to_thread(_unpacked, answer, encoding, max_bytes)
    if len(plain.body) > COUNTED_BYTES:
        take(len(plain.body))
    return plain


def _unpacked(answer: ProducerAnswer, encoding: str, max_bytes: int) -> ProducerAnswer:
    if encoding not in ("gzip", "x-gzip"):
        raise ProducerFailure(Trouble.BAD_ANSWER, "the answer is encoded in a way that was not asked for")
    try:
        body = unpack(answer.body, max_bytes)
    except TooLong as error:
        raise ProducerFailure(Trouble.TOO_LARGE, str(error)) from error
    except NotUnpacked as error:
        raise ProducerFailure(Trouble.BAD_ANSWER, str(error)) from error
    kept = tuple((name, value) for name, value in answer.headers if name.lower() != "content-encoding")
    return dataclasses.replace(answer, headers=kept, body=body)


def _failure(error: Exception) -> ProducerFailure:
    """What `error` of the library means after the connection was made, most specific first.

    The library's own words about an answer quote it: they go no further.
    """
    match error:
        case TimeoutError() | asyncio.TimeoutError():
            return ProducerFailure(Trouble.TIMEOUT, "no answer in time")
        case aiohttp.ServerDisconnectedError():
            return ProducerFailure(Trouble.NO_ANSWER, "closed without an answer")
        case OSError() if (tls := _tls_error(error)) is not None:
            return ProducerFailure(Trouble.TLS, words_of(tls))
        case OSError():
            return ProducerFailure(Trouble.RESET, error.strerror or "the connection broke")
        case _:
            return ProducerFailure(Trouble.BAD_ANSWER, "the answer is not HTTP")


def _tls_error(error: OSError) -> ssl.SSLError | None:
    """In TLS 1.3 a producer refuses our certificate after the handshake, when the request is on its way already."""
    for one in (error, error.__cause__, error.__context__):
        if isinstance(one, ssl.SSLError):
            return one
    return None
