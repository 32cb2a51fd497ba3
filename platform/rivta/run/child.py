"""What a process gets from the supervisor: its listening sockets, a way to say that it is ready, and when to stop."""

import asyncio
import os
import select
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import Self

ORPHAN_SECONDS = 40
"""How long a process may live after its supervisor died: a worker's whole drain, and some."""

_ORPHAN_EXIT = 70


class Child:
    """The child's end of the agreement with the supervisor.

    Give the listeners to a server that does not bind anew, with `backlog=rivta.run.ports.BACKLOG` (asyncio calls listen
    again, and 100 is its default). Closing them here does not close them for the supervisor.
    """

    def __init__(
        self, *, listeners: Mapping[str, socket.socket], ready_fd: int | None = None, lifeline_fd: int | None = None
    ) -> None:
        self.listeners = listeners
        """Listening, non-blocking sockets by the name this role knows them by."""
        self._ready_fd = ready_fd
        self._lifeline_fd = lifeline_fd
        self._stop: asyncio.Event | None = None
        self.has_successor = False
        """Whether it is to stop because another process has taken its place: then clients can be waited for."""

    @classmethod
    def from_options(cls, *, listen: Sequence[str], ready_fd: int | None, lifeline_fd: int | None) -> Self:
        """The child that `--listen NAME=FD ... --ready-fd FD --lifeline-fd FD` describe; raises ValueError.

        With a lifeline this process ends ORPHAN_SECONDS after its supervisor at the latest, even if its loop hangs.
        """
        if lifeline_fd is not None:
            threading.Thread(target=_exit_when_orphaned, args=(lifeline_fd,), daemon=True, name="lifeline").start()
        return cls(listeners=dict(map(_listener, listen)), ready_fd=ready_fd, lifeline_fd=lifeline_fd)

    def ready(self) -> None:
        """Tell the supervisor that this process serves; once, later calls say nothing more.

        Call it in the event loop: from here on a request to stop is heard, also before `stopped` is awaited.
        """
        self._heard()
        if self._ready_fd is not None:
            os.write(self._ready_fd, b"ready\n")
            os.close(self._ready_fd)
            self._ready_fd = None

    async def stopped(self) -> None:
        """Return when this process should stop: SIGTERM, SIGINT, SIGUSR1 (in favour of a successor), or the supervisor
        has died. Any number may wait."""
        await self._heard().wait()

    def _heard(self) -> asyncio.Event:
        if self._stop is None:
            self._stop = asyncio.Event()
            self._watch(self._stop)
        return self._stop

    def _watch(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGUSR1, self._make_way, stop)
        lifeline = self._lifeline_fd
        if lifeline is None:
            return

        def died() -> None:
            loop.remove_reader(lifeline)
            stop.set()

        loop.add_reader(lifeline, died)

    def _make_way(self, stop: asyncio.Event) -> None:
        self.has_successor = True
        stop.set()


def _listener(option: str) -> tuple[str, socket.socket]:
    name, separator, descriptor = option.partition("=")
    if not separator or not name or not descriptor.isdigit():
        raise ValueError(f"--listen {option}: expected NAME=FD, the number of an open listening socket")
    try:
        listener = socket.socket(fileno=int(descriptor))
    except OSError as error:
        raise ValueError(f"--listen {option}: no open socket has that number ({error.strerror})") from error
    listener.setblocking(False)
    return name, listener


def _exit_when_orphaned(lifeline_fd: int) -> None:
    """The last resort, in a thread of its own: end a process whose event loop hangs after its supervisor died."""
    poll = select.poll()
    poll.register(lifeline_fd, select.POLLIN)
    poll.poll()
    threading.Event().wait(ORPHAN_SECONDS)
    os._exit(_ORPHAN_EXIT)
