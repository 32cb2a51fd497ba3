"""The stub producers' admin API: what each address does, and what has been called. JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from producers_stub.behaviours import Setting
from producers_stub.switchboard import Switchboard, UnknownAddress

_MAX_BYTES = 64 * 1024


def admin_application(
    switchboard: Switchboard, *, door: Sequence[Any], announced: Callable[[], Mapping[str, Any]] = dict
) -> web.Application:
    """The API over `switchboard`, behind the middlewares in `door`: they let in only those who may, and say refusals.

    `announced` tells as JSON what the producers have announced to the engagement indexes, and whether all of it was
    taken.

    It refuses with aiohttp's HTTP exceptions, whose text is the explanation.
    """

    async def show(_request: web.Request) -> web.StreamResponse:
        return web.json_response(switchboard.describe())

    async def change(request: web.Request) -> web.StreamResponse:
        try:
            setting = Setting.parse(await _object(request))
        except ValueError as error:
            raise web.HTTPUnprocessableEntity(text=str(error)) from error
        with _known_addresses_only():
            return web.json_response(switchboard.set(request.match_info["address"], setting))

    async def reset(request: web.Request) -> web.StreamResponse:
        with _known_addresses_only():
            return web.json_response(switchboard.reset(request.match_info["address"]))

    async def announcements(_request: web.Request) -> web.StreamResponse:
        return web.json_response(announced())

    async def health(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    application = web.Application(client_max_size=_MAX_BYTES, middlewares=door)
    application.router.add_get("/stubs", show)
    application.router.add_put("/stubs/{address:.+}", change)
    application.router.add_delete("/stubs/{address:.+}", reset)
    application.router.add_get("/announcements", announcements)
    application.router.add_get("/health/live", health)
    application.router.add_get("/health/ready", health)
    return application


@contextmanager
def _known_addresses_only() -> Iterator[None]:
    try:
        yield
    except UnknownAddress as error:
        raise web.HTTPNotFound(text=str(error)) from error


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        content = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise web.HTTPBadRequest(text=f"the body is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise web.HTTPBadRequest(text='the body is not a JSON object, like {"behaviour": "slow", "seconds": 2}')
    return content
