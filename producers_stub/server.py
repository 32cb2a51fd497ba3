"""All stub producers of a world in one process, on sockets that somebody else has opened."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self
from wsgiref.types import WSGIApplication

from aiohttp import web

from producers_stub.admin import admin_application
from producers_stub.front import Front, open_door
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
        application_of: Callable[[Producer], WSGIApplication],
        admin_door: Sequence[Any],
        steered: Steered = lambda _patient, _address: None,
        announced: Callable[[], Mapping[str, Any]] = dict,
        listeners: Mapping[str, socket.socket],
        tls: Mapping[str, ssl.SSLContext],
        backlog: int = 1024,
        drain_seconds: float = 1.0,
    ) -> None:
        """`listeners` and `tls` have the producers' names; `listeners[ADMIN]` too. KeyError if one is missing.

        `admin_door` and `announced` are as `admin_application` wants them, `steered` as the switchboard does.
        """
        self._doors = [(producer, listeners[producer.name], tls[producer.name]) for producer in producers]
        self._admin = listeners[ADMIN]
        self._application_of = application_of
        self._admin_door = admin_door
        self._backlog = backlog
        self._drain_seconds = drain_seconds
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="stub")
        self._switchboard = Switchboard(producers, steered)
        self._announced = announced
        self._runners: list[web.AppRunner] = []

    async def __aenter__(self) -> Self:
        for producer, listening, context in self._doors:
            front = Front(producer, self._application_of(producer), self._switchboard, self._pool)
            self._runners.append(
                await open_door(
                    front,
                    listening=listening,
                    tls=context,
                    backlog=self._backlog,
                    drain_seconds=self._drain_seconds,
                )
            )
        api = admin_application(self._switchboard, door=self._admin_door, announced=self._announced)
        admin = web.AppRunner(api, access_log=None)
        await admin.setup()
        await web.SockSite(admin, self._admin).start()
        self._runners.append(admin)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(runner.cleanup() for runner in self._runners))
        self._pool.shutdown(wait=False, cancel_futures=True)
