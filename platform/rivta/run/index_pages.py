"""The incumbent's pages for operating an engagement index: GET, open to whoever reaches them; `compat.status_pages`.

Paths and texts are the incumbent's (SKLTP EI); the names of its routes are not known, so ours are plain words.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from rivta.run.indexing import Indexing

_Page = Callable[[web.Request], Awaitable[web.StreamResponse]]


def index_pages(indexing: Indexing, status: _Page) -> list[tuple[str, _Page]]:
    """Paths with their pages; `status` is the platform's own page, which both halves of the incumbent's index have."""
    pages = _Pages(indexing)
    return [
        ("/skltp-ei/resetcache", pages.reset),
        ("/skltp-ei/subscriber/status", pages.subscribers),
        ("/skltp-ei/writelock/enable", pages.lock),
        ("/skltp-ei/writelock/disable", pages.unlock),
        ("/skltp-ei/writelock/status", pages.lock_status),
        ("/skltp-ei-frontend/status", status),
        ("/skltp-ei-backend/status", status),
    ]


class _Pages:
    def __init__(self, indexing: Indexing) -> None:
        self._indexing = indexing

    async def reset(self, _request: web.Request) -> web.StreamResponse:
        """Nothing is to be reset here, where subscribers are those of the table in force each time; they are read."""
        await asyncio.to_thread(self._indexing.subscriptions.current)
        return web.Response(text="Subscriber cache reset")

    async def subscribers(self, _request: web.Request) -> web.StreamResponse:
        found = await asyncio.to_thread(self._indexing.subscriptions.current)
        return _json({"Subscribers": [one.logical_address for one in found]})

    async def lock(self, request: web.Request) -> web.StreamResponse:
        await asyncio.to_thread(lambda: self._indexing.store.set_write_lock(on=True))
        return await self.lock_status(request)

    async def unlock(self, request: web.Request) -> web.StreamResponse:
        """Answers when what waited has taken effect."""
        await asyncio.to_thread(lambda: self._indexing.store.set_write_lock(on=False))
        await asyncio.to_thread(self._indexing.store.empty_inbox)
        return await self.lock_status(request)

    async def lock_status(self, _request: web.Request) -> web.StreamResponse:
        locked = await asyncio.to_thread(lambda: self._indexing.store.is_write_locked)
        state = "Suspended" if locked else "Started"
        return _json({"writeLockEnabled": locked, "routes": {"collect": state, "process": state}})


def _json(content: object) -> web.Response:
    return web.Response(text=json.dumps(content), content_type="application/json")
