"""All stub producers of a world in one process, on sockets that somebody else has opened."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from producers_stub.admin import admin_application
from producers_stub.doors import BadTls, Door, Doors, Opening, no_bad_tls
from producers_stub.front import Front
from producers_stub.received import ReceivedCalls
from producers_stub.services import Applications
from producers_stub.switchboard import Steered, Switchboard
from producers_stub.world import Producer

ADMIN = "admin"
"""Name of the admin API's listening socket; the others have the names of the producers."""
THREADS = 4
"""An answer takes well under a millisecond of CPU, which Python's threads share anyway."""


class StubServer:
    """Serves producers and their admin API from entering to leaving an `async with`."""

    def __init__(
        self,
        producers: tuple[Producer, ...],
        *,
        applications: Applications,
        admin_door: Sequence[Any],
        steered: Steered = lambda _patient, _address: None,
        announced: Callable[[], Mapping[str, Any]] = dict,
        listeners: Mapping[str, socket.socket],
        tls: Mapping[str, ssl.SSLContext],
        bad_tls: BadTls = no_bad_tls,
        backlog: int = 1024,
        drain_seconds: float = 1.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`listeners` and `tls` have the producers' names; `listeners[ADMIN]` too. KeyError if one is missing.

        `admin_door` and `announced` are as `admin_application` wants them, `steered` as the switchboard does, `bad_tls`
        as a door does.
        """
        self._admin = listeners[ADMIN]
        self._admin_door = admin_door
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="stub")
        self._switchboard = Switchboard(producers, steered, find_contract=applications.find_contract)
        self._received = ReceivedCalls()
        self._announced = announced
        self._admin_runner: web.AppRunner | None = None
        self._chores: list[asyncio.Task[None]] = []
        self._doors = {
            one.name: Door(
                Front(
                    one,
                    applications.of(one),
                    self._switchboard,
                    self._received,
                    self._pool,
                    applications.generated,
                    now,
                ),
                Opening(listeners[one.name], tls[one.name], backlog, drain_seconds),
                bad_tls,
            )
            for one in producers
        }

    async def __aenter__(self) -> Self:
        for door in self._doors.values():
            await door.open()
        doors = Doors(self._doors, self._switchboard)
        self._chores.append(asyncio.create_task(doors.run()))
        api = admin_application(
            self._switchboard,
            door=self._admin_door,
            announced=self._announced,
            received=self._received,
            on_change=doors.apply,
        )
        self._admin_runner = web.AppRunner(api, access_log=None)
        await self._admin_runner.setup()
        await web.SockSite(self._admin_runner, self._admin).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for chore in self._chores:
            chore.cancel()
        closing = [door.close() for door in self._doors.values()]
        if self._admin_runner is not None:
            closing.append(self._admin_runner.cleanup())
        await asyncio.gather(*closing)
        self._pool.shutdown(wait=False, cancel_futures=True)
