"""How many sources a worker asks at once: so many in all, so many at one producer address, and each in its turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Door:
    places: asyncio.Semaphore
    users: int = field(default=0)


class Places:
    """Places for calls that aggregates make. One per worker, fair: first come, first served."""

    def __init__(self, most: int) -> None:
        self._all = asyncio.Semaphore(most)
        self._doors: dict[str, _Door] = {}
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def at(self, url: str, most: int) -> AsyncIterator[None]:
        """A place for one call to a producer address, where at most so many are under way.

        First the door of the producer, so that those who wait there keep nobody from others.
        """
        async with self._door(url, most), self._all:
            await self._wait_for_turn()
            yield

    @asynccontextmanager
    async def _door(self, url: str, most: int) -> AsyncIterator[None]:
        door = self._doors.setdefault(url, _Door(asyncio.Semaphore(most)))
        door.users += 1
        try:
            async with door.places:
                yield
        finally:
            door.users -= 1
            if not door.users:
                self._doors.pop(url, None)

    async def _wait_for_turn(self) -> None:
        """One call begins in each turn of the event loop: what a call takes before it first waits adds up, and the
        calls of others would have to wait for all of a large aggregate."""
        async with self._turn:
            await asyncio.sleep(0)
