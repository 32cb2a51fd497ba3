"""The stub producers' doors: sockets that listen, or are made to refuse, and the certificates that are shown there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from producers_stub.behaviours import Behaviour
from producers_stub.front import MAX_BYTES, Front
from producers_stub.switchboard import Switchboard

KEEP_ALIVE_SECONDS = 75.0
"""Longer than any client of ours keeps an idle connection, so that none writes into one that is being closed."""

_log = logging.getLogger(__name__)

# aiohttp words its own refusals of broken requests as exceptions with tracebacks, and quotes the request in them.
_muted = logging.getLogger("producers_stub.aiohttp")
_muted.addHandler(logging.NullHandler())
_muted.propagate = False

BadTls = Callable[[str, Behaviour], ssl.SSLContext]
"""The context with a producer's bad certificate. Raises ValueError or OSError when it cannot be made."""


def no_bad_tls(producer: str, behaviour: Behaviour) -> ssl.SSLContext:
    """Where there is no authority to make bad certificates with."""
    raise ValueError(f"{producer} cannot show {behaviour.value}: there is no authority here to make it")


@dataclass(frozen=True, slots=True)
class Opening:
    """How a door is opened."""

    listening: socket.socket
    tls: ssl.SSLContext
    backlog: int
    drain_seconds: float


class Door:
    """One producer's door. `show` may change what it does while it is open."""

    def __init__(self, front: Front, opening: Opening, bad_tls: BadTls) -> None:
        self._name = front.producer.name
        self._opening = opening
        self._bad_tls = bad_tls
        self._shown = Behaviour.NORMAL
        self._tickets = opening.tls.options & ssl.OP_NO_TICKET
        self._site: web.SockSite | None = None
        self._connections: set[asyncio.Transport] = set()
        self._front = front
        application = web.Application(client_max_size=MAX_BYTES)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            logger=_muted,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            # A caller that has given up does not have its delay waited out.
            handler_cancellation=True,
            shutdown_timeout=opening.drain_seconds,
        )

    async def open(self) -> None:
        """Answers what comes in, until `close`."""
        await self._runner.setup()
        await self._listen()

    async def close(self) -> None:
        """Ends every connection, and gives the socket back to whoever else has it."""
        await self._runner.cleanup()
        self._opening.listening.close()

    async def show(self, behaviour: Behaviour) -> None:
        """Does what `behaviour` says of the door; connections that are open end, so that the next call meets it.

        Raises ValueError or OSError, with everything as it was, when a bad certificate cannot be made.
        """
        if behaviour is self._shown:
            return
        bad = self._bad_tls(self._name, behaviour) if behaviour in _CERTIFICATES else None
        tls = self._opening.tls
        tls.sni_callback = None if bad is None else lambda connection, _host, _context: _use(connection, bad)
        # A caller that resumes its session of before is shown no certificate at all.
        tls.options = (tls.options & ~ssl.OP_NO_TICKET) | (self._tickets if bad is None else ssl.OP_NO_TICKET)
        if behaviour is Behaviour.STOPPED:
            await self._refuse()
        elif self._shown is Behaviour.STOPPED:
            await self._listen()
        self._shown = behaviour
        self._hang_up()

    async def _listen(self) -> None:
        # A copy of the descriptor: to stop closes it, and the socket is still there to listen again.
        self._site = web.SockSite(
            self._runner,
            self._opening.listening.dup(),
            ssl_context=self._opening.tls,
            backlog=self._opening.backlog,
        )
        await self._site.start()

    async def _refuse(self) -> None:
        """The socket keeps its port and listens no more, for every process that has it: callers are refused."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        with contextlib.suppress(OSError):  # it did not listen
            self._opening.listening.shutdown(socket.SHUT_RDWR)

    def _hang_up(self) -> None:
        for transport in self._connections:
            transport.abort()
        self._connections.clear()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        if transport is not None:
            self._connections = {one for one in self._connections if not one.is_closing()}
            self._connections.add(transport)
        return await self._front.handle(request)


_CERTIFICATES = (Behaviour.EXPIRED_CERTIFICATE, Behaviour.WRONG_CERTIFICATE)


def _use(connection: ssl.SSLObject | ssl.SSLSocket, context: ssl.SSLContext) -> None:
    connection.context = context


class Doors:
    """All of them, kept as the switchboard says."""

    def __init__(self, doors: Mapping[str, Door], switchboard: Switchboard) -> None:
        self._doors = doors
        self._switchboard = switchboard
        self._changed = asyncio.Event()
        self._applying = asyncio.Lock()

    async def apply(self) -> None:
        """Does what the switchboard says now. Raises ValueError or OSError for a door that cannot, after the others."""
        problems: list[ValueError | OSError] = []
        async with self._applying:
            for name, door in self._doors.items():
                try:
                    await door.show(self._switchboard.door(name))
                except (ValueError, OSError) as error:
                    problems.append(error)
        self._changed.set()
        if problems:
            raise problems[0]

    async def run(self) -> None:
        """Ends what lasts so many seconds, until it is cancelled."""
        while True:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._switchboard.next_end_s())
                continue
            try:
                await self.apply()
            except (ValueError, OSError) as error:
                _log.error("a stub producer's door stays as it is: %s", error)
                await asyncio.sleep(1)
