"""The listening half of the router's transport: connections in, within limits, requests to the handler, answers out."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable

from rivta.router.connection import Connections, address_of
from rivta.router.limits import Limits
from rivta.router.messages import Handler, TurnAway
from rivta.tls.contexts import CALLER
from rivta.tls.sender import Sender

_log = logging.getLogger("rivta.router.server")

_FULL_LOOK_SECONDS = 0.05
_OUT_OF_FILES_SECONDS = 1.0
_OUT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
# How long ending TLS may take is for the connection to say: it sees whether its answer is being read.
_TLS_END_SECONDS = 24 * 3600.0


class Listener:
    """A listening address and its connections. `serve` makes it; `close` drains and ends it."""

    def __init__(self, acceptor: _Acceptor, connections: Connections) -> None:
        self._acceptor = acceptor
        self._connections = connections

    @property
    def failed_handshakes(self) -> int:
        """Connections that never came through their TLS handshake."""
        return self._acceptor.failed_handshakes

    def drop(self, is_unwelcome: Callable[[Sender], bool]) -> int:
        """Cuts every connection whose sender `is_unwelcome`; how many there were."""
        unwelcome = [
            connection
            for connection in self._connections.each()
            if connection.peer.sender is not None and is_unwelcome(connection.peer.sender)
        ]
        for connection in unwelcome:
            connection.cut()
        return len(unwelcome)

    def show(self, tls: ssl.SSLContext, *, is_unwelcome: Callable[[Sender], bool]) -> int:
        """Takes another TLS context for the handshakes that begin from now on; what listens without TLS goes on so.

        Connections stay, but for those whose sender `is_unwelcome`: those are cut, and those in a handshake with the
        context before will be. How many were cut.
        """
        if not self._acceptor.takes(tls):
            return 0
        self._connections.renew(tls, is_unwelcome)
        return self.drop(is_unwelcome)

    async def close(self, *, drain_seconds: float, idle_seconds: float = 1.0) -> None:
        """Accepts nothing more, lets calls in flight finish for `drain_seconds`, then ends what is left.

        A connection ends with its next answer, which says so. One that asks nothing for `idle_seconds` is closed as
        it is, and so is one that is not through its handshake by then. A request that is on its way in that very moment
        is lost, and whoever sent it cannot know whether it was carried out: so with a successor it is worth being
        patient for longer than consumers keep connections.
        """
        self._acceptor.close()
        await self._connections.drain(
            drain_seconds, idle_seconds=idle_seconds, more_come=lambda: self._acceptor.handshakes > 0
        )
        self._acceptor.give_up_handshakes()


async def serve(
    handler: Handler,
    *,
    turn_away: TurnAway,
    listening: socket.socket,
    tls: ssl.SSLContext | None,
    limits: Limits,
    server: str = "rivta",
) -> Listener:
    """Answers the requests that come in on `listening` with `handler`, and those beyond `limits` or that are no HTTP
    with `turn_away`. Neither may raise.

    `server` is the Server header of every answer; empty: answers have the one that they come with, if any.
    """
    connections = Connections(handler, turn_away=turn_away, limits=limits, server=server, tls=tls)
    acceptor = _Acceptor(listening, connections, tls, limits)
    acceptor.accept_on()
    return Listener(acceptor, connections)


class _Acceptor:
    """Accepts connections and sees them through their handshake.

    asyncio's own server knows a connection only when its handshake is done: too late for saying no to the address
    that holds a thousand of them open.
    """

    def __init__(
        self, listening: socket.socket, connections: Connections, tls: ssl.SSLContext | None, limits: Limits
    ) -> None:
        listening.setblocking(False)
        self._listening = listening
        self._connections = connections
        self._tls = tls
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._handshakes: Counter[str] = Counter()
        self.failed_handshakes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._later: asyncio.TimerHandle | None = None

    def accept_on(self) -> None:
        """Accepts from now on."""
        self._later = None
        self._loop.add_reader(self._listening, self._accept)

    def takes(self, tls: ssl.SSLContext) -> bool:
        """Uses another context from now on; False where there was none."""
        if self._tls is None:
            return False
        self._tls = tls
        return True

    def close(self) -> None:
        """Accepts no more; handshakes go on. Twice is once."""
        if self._listening.fileno() < 0:
            return
        self._pause(None)
        if self._later is not None:
            self._later.cancel()
        self._listening.close()

    @property
    def handshakes(self) -> int:
        """Accepted, and not yet a connection."""
        return len(self._tasks)

    def give_up_handshakes(self) -> None:
        """Ends what has not become a connection yet."""
        for task in self._tasks:
            task.cancel()

    def _pause(self, seconds: float | None, then: Callable[[], None] | None = None) -> None:
        self._loop.remove_reader(self._listening)
        if seconds is not None:
            self._later = self._loop.call_later(seconds, then or self.accept_on)

    @property
    def _is_full(self) -> bool:
        return self._connections.count + self._handshakes.total() >= self._limits.connections

    def _accept(self) -> None:
        """One at a time: the workers that share the address get their shares of a rush."""
        if self._is_full:
            # Others that share the address may have room, and are not woken while this one accepts.
            self._pause(_FULL_LOOK_SECONDS, self._refuse_what_nobody_took)
        elif (accepted := self._next()) is not None:
            self._begin(*accepted)

    def _refuse_what_nobody_took(self) -> None:
        self.accept_on()
        while self._is_full and (accepted := self._next()) is not None:
            accepted[0].close()

    def _next(self) -> tuple[socket.socket, str] | None:
        """The next connection and its address, if one waits that no other worker took."""
        try:
            accepted, address = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return None
        except OSError as error:
            if error.errno not in _OUT_OF_FILES:
                raise
            _log.error("no connection can be accepted: %s", error.strerror)
            self._pause(_OUT_OF_FILES_SECONDS)
            return None
        return accepted, _network(address_of(address))

    def _begin(self, accepted: socket.socket, address: str) -> None:
        if self._handshakes[address] >= self._limits.handshakes_per_address:
            accepted.close()
            return
        self._handshakes[address] += 1
        task = self._loop.create_task(self._connect(accepted, address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, accepted: socket.socket, address: str) -> None:
        CALLER.set(f" at {address}" if address else "")
        try:
            await self._loop.connect_accepted_socket(
                self._connections,
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=self._limits.header_seconds if self._tls else None,
                ssl_shutdown_timeout=_TLS_END_SECONDS if self._tls else None,
            )
        except OSError as error:  # a client's affair: its certificate, its patience
            self.failed_handshakes += 1
            _log.info("a connection ended: %s", error)
        finally:
            self._handshakes[address] -= 1
            if not self._handshakes[address]:
                del self._handshakes[address]


def _network(address: str) -> str:
    """What counts as one address: of version 6, the network that one subscriber has."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))
