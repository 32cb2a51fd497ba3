"""The stub producers' admin API: what each address does, what was set, and what has been called. JSON."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from producers_stub.received import MOST_CALLS, ReceivedCalls
from producers_stub.rules import Wish
from producers_stub.switchboard import Switchboard, UnknownAddress

_MAX_BYTES = 2 * 1024 * 1024
_FILTERS = ("logical_address", "producer", "contract")


def admin_application(
    switchboard: Switchboard,
    *,
    door: Sequence[Any],
    announced: Callable[[], Mapping[str, Any]] = dict,
    received: ReceivedCalls | None = None,
    on_change: Callable[[], Awaitable[None]] | None = None,
) -> web.Application:
    """The API over `switchboard`, behind the middlewares in `door`: they let in only those who may, and say refusals.

    `announced` tells as JSON what the producers have announced to the engagement indexes, and whether all of it was
    taken; `received` has the calls that came; `on_change` does what has to be done after
    a change of the switchboard, and raises ValueError or OSError when that is impossible.

    It refuses with aiohttp's HTTP exceptions, whose text is the explanation.
    """
    calls = received or ReceivedCalls()

    async def changed() -> None:
        if on_change is not None:
            await on_change()

    async def show(_request: web.Request) -> web.StreamResponse:
        return web.json_response(switchboard.describe())

    async def change(request: web.Request) -> web.StreamResponse:
        content, target = await _object(request), request.match_info["target"]
        with _refusals():
            answer = switchboard.set(target, Wish.parse(content))
        try:
            await changed()
        except (ValueError, OSError) as error:
            switchboard.reset(target)
            raise web.HTTPUnprocessableEntity(text=str(error)) from error
        return web.json_response(answer)

    async def reset(request: web.Request) -> web.StreamResponse:
        with _refusals():
            answer = switchboard.reset(request.match_info["target"])
        await changed()
        return web.json_response(answer)

    async def clear(_request: web.Request) -> web.StreamResponse:
        answer = {"cleared": switchboard.clear()}
        await changed()
        return web.json_response(answer)

    async def list_received(request: web.Request) -> web.StreamResponse:
        query = request.query
        wanted = {name: query[name] for name in _FILTERS if query.get(name)}
        with_body = query.get("bodies", "") in ("1", "true")
        with _refusals():
            found = calls.find(wanted, after=_number(query, "after", 0), limit=_number(query, "limit", MOST_CALLS))
        shown = [one.to_json(with_body=with_body) for one in found]
        return web.json_response({"last": calls.last, "calls": shown})

    async def one_received(request: web.Request) -> web.StreamResponse:
        number = request.match_info["number"]
        found = calls.get(int(number))
        if found is None:
            raise web.HTTPNotFound(text=f"there is no call {number}: the newest {MOST_CALLS} at most are kept")
        return web.json_response(found.to_json(with_body=True))

    async def forget_received(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"forgotten": calls.forget()})

    async def announcements(_request: web.Request) -> web.StreamResponse:
        return web.json_response(announced())

    async def health(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    application = web.Application(client_max_size=_MAX_BYTES, middlewares=door)
    application.router.add_get("/stubs", show)
    application.router.add_delete("/stubs", clear)
    application.router.add_put("/stubs/{target:.+}", change)
    application.router.add_delete("/stubs/{target:.+}", reset)
    application.router.add_get("/received", list_received)
    application.router.add_delete("/received", forget_received)
    application.router.add_get(r"/received/{number:\d{1,18}}", one_received)
    application.router.add_get("/announcements", announcements)
    application.router.add_get("/health/live", health)
    application.router.add_get("/health/ready", health)
    return application


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except UnknownAddress as error:
        raise web.HTTPNotFound(text=str(error)) from error
    except (LookupError, ValueError) as error:
        raise web.HTTPUnprocessableEntity(text=str(error)) from error


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError(f"{name}: {text!r} is no number")
    return int(text)


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        content = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise web.HTTPBadRequest(text=f"the body is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise web.HTTPBadRequest(text='the body is not a JSON object, like {"behaviour": "slow", "seconds": 2}')
    return content
