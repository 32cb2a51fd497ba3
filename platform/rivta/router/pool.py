"""Connections to producers, on aiohttp: made in steps that can be told apart, given out only while they are good."""

from __future__ import annotations

import asyncio
import functools
import select
import socket
import ssl
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import aiohappyeyeballs
import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from cryptography import x509

from rivta.router.messages import ProducerFailure, Trouble
from rivta.tls.contexts import OFFERED, ClientContext

_MOST_HEADS = 20
"""Of one answer: those of status 1xx come before it (RFC 9110 section 15.2)."""
_SOMETHING_TO_READ = select.POLLIN | getattr(select, "POLLRDHUP", 0)


class Connection(ResponseHandler):
    """A connection to a producer, with what the router has to know of it beside the library."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.kept_until = float("inf")
        """When the producer will have closed it, by its own Keep-Alive header; monotonic seconds."""
        self.certificate: tuple[bytes, int] | None = None
        """Issuer (DER) and serial number of the producer's."""
        self.remember: Callable[[], None] | None = None
        """Keeps the TLS session for the next connection, once there has been an answer on this one."""
        self.lost: BaseException | None = None
        self.is_unused = False
        """Whether it was kept from an earlier call, and nothing has been written on it since it was given out."""
        self._readable = select.poll()
        self._heads = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._readable.register(transport.get_extra_info("socket").fileno(), _SOMETHING_TO_READ)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost = exc
        super().connection_lost(exc)

    def set_response_params(self, **params: Any) -> None:
        self._heads = 0
        super().set_response_params(**params)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Takes the head of an answer. A producer that sends the like of 100 Continue for ever is no HTTP server: they
        would be kept until somebody reads them."""
        self._heads += 1
        if self._heads <= _MOST_HEADS:
            super().feed_data(data, size)
        elif self.transport is not None:
            self.set_exception(HttpProcessingError(message="too many heads"))
            self.transport.abort()

    def is_quiet(self) -> bool:
        """Whether it may carry another call: the producer has neither spoken unasked nor closed it.

        Also looks at what the event loop has not read yet. What is left is a producer that closes while the request is
        on its way: nobody can tell then whether it was carried out.
        """
        is_open = self.transport is not None and not self.transport.is_closing() and not self.should_close
        return is_open and time.monotonic() < self.kept_until and not self._readable.poll(0)

    def begin_request(self) -> None:
        """Looks once more, the moment before the first byte is written. Raises ConnectionResetError."""
        if self.is_unused:
            if not self.is_quiet():
                raise ConnectionResetError("a kept connection was closed")
            self.is_unused = False


LENT: ContextVar[Connection | None] = ContextVar("LENT", default=None)
"""The kept connection that was given out last in this task."""


class _Pool(aiohttp.BaseConnector):
    """A connector that gives out quiet connections only.

    The library looks when a connection comes back, not when it goes out again: a second answer to the last caller, sent
    late, would be taken for the answer to the next one.
    """

    _factory: Any

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = functools.partial(Connection, asyncio.get_running_loop())

    async def _get(self, key: Any, traces: Any) -> Any:
        connection: Any = await super()._get(key, traces)
        while connection is not None and not connection.protocol.is_quiet():
            connection.close()
            connection = await super()._get(key, traces)
        if connection is not None:
            connection.protocol.is_unused = True
            LENT.set(connection.protocol)
        return connection

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        if protocol.remember is not None:
            protocol.remember()
            protocol.remember = None
        super()._release(key, protocol, should_close=should_close)


class NetworkPool(_Pool, aiohttp.TCPConnector):
    """Connects in two steps, each with the time to connect, so that it is known which of them failed."""

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> Connection:  # noqa: ASYNC109
        host, port = str(req.url.raw_host).rstrip("."), int(req.port)
        plain = await self._connect(host, port, timeout.sock_connect)
        if not req.is_ssl():
            made: Connection = (await self._loop.create_connection(self._factory, sock=plain))[1]
            return made
        return await self._agree_on_tls(plain, req.ssl, host, port, timeout.sock_connect)

    async def _connect(self, host: str, port: int, seconds: float) -> socket.socket:
        try:
            async with asyncio.timeout(seconds):
                addresses = self._convert_hosts_to_addr_infos(await self._resolve_host(host, port))
                return await aiohappyeyeballs.start_connection(
                    addresses, loop=self._loop, happy_eyeballs_delay=0.25, interleave=1
                )
        except TimeoutError as error:
            raise ProducerFailure(Trouble.CONNECT_TIMEOUT, f"no connection within {seconds:g} s") from error
        except OSError as error:
            raise ProducerFailure(Trouble.CANNOT_CONNECT, error.strerror or str(error)) from error

    async def _agree_on_tls(
        self, plain: socket.socket, context: ClientContext, host: str, port: int, seconds: float
    ) -> Connection:
        offering = OFFERED.set(context.session_for(host, port))
        try:
            async with asyncio.timeout(seconds):
                transport, protocol = await self._loop.create_connection(
                    self._factory, sock=plain, ssl=context, server_hostname=host
                )
        except TimeoutError as error:
            raise ProducerFailure(Trouble.TLS, f"the handshake was not finished within {seconds:g} s") from error
        except ssl.SSLError as error:
            raise ProducerFailure(Trouble.TLS, words_of(error)) from error
        except OSError as error:
            raise ProducerFailure(Trouble.TLS, "the connection was closed during the handshake") from error
        finally:
            OFFERED.reset(offering)
        connection: Connection = protocol
        tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
        certificate = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
        connection.certificate = certificate.issuer.public_bytes(), certificate.serial_number
        if context.is_revoked(*connection.certificate):
            connection.abort()
            raise ProducerFailure(Trouble.TLS, "the producer's certificate is revoked")
        connection.remember = functools.partial(context.remember, host, port, tls)
        return connection

    def cut_revoked(self, is_revoked: Callable[[bytes, int], bool]) -> int:
        """Ends the connections with producers whose certificates are revoked; their number."""
        pooled = [connection for connections in self._conns.values() for connection, _ in connections]
        live = [one for one in (*pooled, *self._acquired) if isinstance(one, Connection) and one.certificate]
        revoked = [one for one in live if one.certificate and is_revoked(*one.certificate)]
        for one in revoked:
            one.abort()
        return len(revoked)


class SocketPool(_Pool, aiohttp.UnixConnector):
    """Connects to a service of the platform itself."""


def words_of(error: ssl.SSLError) -> str:
    """What OpenSSL says, without its source lines."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    return (error.reason or error.strerror or "failed").replace("_", " ").lower()
