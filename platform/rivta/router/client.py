"""The calling half of the router's transport, on aiohttp: one request out, one whole answer or one failure."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from multidict import CIMultiDict

from rivta.router.messages import Headers, ProducerAnswer, ProducerFailure, Target, Trouble
from rivta.router.packing import NotUnpacked, TooLong, unpack

# Below the keep-alive time of usual servers (nginx 75 s, Tomcat 20 s), so that we are the side that closes.
_IDLE_SECONDS = 15.0
_NOT_OURS_TO_SET = frozenset({"User-Agent", "Accept", "Accept-Encoding", "Content-Type"})


class _Silent:
    """A connector that gives out no connection on which a producer has spoken unasked.

    aiohttp looks at that when a connection comes back, not when it goes out again: a second answer to the last caller,
    sent late, would be taken for the answer to the next one.
    """

    async def _get(self, key: Any, traces: Any) -> Any:
        connection = await super()._get(key, traces)  # type: ignore[misc]  # of the connector beside this class
        while connection is not None and connection.protocol.should_close:
            connection.close()
            connection = await super()._get(key, traces)  # type: ignore[misc]
        return connection


class _NetworkConnector(_Silent, aiohttp.TCPConnector):
    pass


class _SocketConnector(_Silent, aiohttp.UnixConnector):
    pass


class ProducerClient:
    """Pools of kept-alive connections to producers: https by our TLS identity, http, and our own services' sockets."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._network: aiohttp.ClientSession | None = None
        self._sockets: dict[str, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        """Closes every pooled connection."""
        for session in (self._network, *self._sockets.values()):
            if session is not None:
                await session.close()

    async def send(self, target: Target, *, method: str, headers: Headers, body: bytes) -> ProducerAnswer:
        """The producer's answer, whatever its status. Redirects are not followed. Raises ProducerFailure."""
        session, url = self._session_for(target.url)
        timeout = aiohttp.ClientTimeout(total=target.answer_seconds, sock_connect=target.connect_seconds)
        try:
            async with session.request(
                method, url, data=body, headers=CIMultiDict(headers), timeout=timeout, allow_redirects=False
            ) as response:
                body = await _read(response, target.max_answer_bytes)
                return _unpacked(
                    ProducerAnswer(response.status, response.reason or "", tuple(response.headers.items()), body),
                    target.max_answer_bytes,
                )
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise _failure(error) from error

    def _session_for(self, url: str) -> tuple[aiohttp.ClientSession, str]:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            session = self._sockets.get(parts.path)
            if session is None:
                session = _session(_SocketConnector(path=parts.path, limit=0, keepalive_timeout=_IDLE_SECONDS))
                self._sockets[parts.path] = session
            return session, "http://localhost/"
        if self._network is None:
            self._network = _session(
                _NetworkConnector(ssl=self._tls, limit=0, limit_per_host=0, keepalive_timeout=_IDLE_SECONDS)
            )
        return self._network, url


def _session(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_NOT_OURS_TO_SET,
        auto_decompress=False,
        trust_env=False,
    )
    # The library sends a PUT or DELETE again when a kept connection breaks; when to try again is the router's rule.
    session._retry_connection = False
    return session


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    too_large = ProducerFailure(Trouble.TOO_LARGE, f"the answer is longer than {max_bytes} bytes")
    if response.content_length is not None:
        if response.content_length > max_bytes:
            response.close()
            raise too_large
        return await response.read()
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > max_bytes:
            response.close()
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


def _unpacked(answer: ProducerAnswer, max_bytes: int) -> ProducerAnswer:
    """The answer as plain bytes. Nobody asked for gzip; but what cannot be read can neither be checked nor relayed."""
    encoding = answer.header("Content-Encoding").strip().lower()
    if encoding in ("", "identity") or not answer.body:
        return answer
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
    """What `error` of the library means, most specific first."""
    message = str(error) or type(error).__name__
    match error:
        case aiohttp.ConnectionTimeoutError():
            return ProducerFailure(Trouble.CONNECT_TIMEOUT, message)
        case TimeoutError() | asyncio.TimeoutError():
            return ProducerFailure(Trouble.TIMEOUT, message)
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return ProducerFailure(Trouble.TLS, message)
        case aiohttp.ClientConnectorError() | aiohttp.ClientConnectorDNSError():
            return ProducerFailure(Trouble.CANNOT_CONNECT, message)
        case aiohttp.ServerDisconnectedError():
            return ProducerFailure(Trouble.NO_ANSWER, message)
        case aiohttp.ClientPayloadError():
            return ProducerFailure(Trouble.RESET, "the answer ended before its announced length")
        case ssl.SSLError():
            return ProducerFailure(Trouble.TLS, message)
        case OSError() if isinstance(error.__cause__ or error.__context__, ssl.SSLError):
            return ProducerFailure(Trouble.TLS, message)
        case OSError():
            return ProducerFailure(Trouble.RESET, message)
        case _:
            return ProducerFailure(Trouble.BAD_ANSWER, message)
