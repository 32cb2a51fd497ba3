"""The stub producers' admin API: what each address does, and what has been called. JSON; errors by RFC 9457."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web

from producers_stub.behaviours import Setting
from producers_stub.switchboard import Switchboard, UnknownAddress

_MAX_BYTES = 64 * 1024
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Problem(Exception):
    """The request ends with this status and this explanation."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def admin_application(switchboard: Switchboard, *, token: str) -> web.Application:
    """The API over `switchboard`. All but `/health/...` needs `Authorization: Bearer <token>`."""

    async def show(_request: web.Request) -> web.StreamResponse:
        return web.json_response(switchboard.describe())

    async def change(request: web.Request) -> web.StreamResponse:
        try:
            setting = Setting.parse(await _object(request))
        except ValueError as error:
            raise _Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
        return web.json_response(switchboard.set(request.match_info["address"], setting))

    async def reset(request: web.Request) -> web.StreamResponse:
        return web.json_response(switchboard.reset(request.match_info["address"]))

    async def health(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    application = web.Application(client_max_size=_MAX_BYTES, middlewares=[_problems, _guard(token)])
    application.router.add_get("/stubs", show)
    application.router.add_put("/stubs/{address:.+}", change)
    application.router.add_delete("/stubs/{address:.+}", reset)
    application.router.add_get("/health/live", health)
    application.router.add_get("/health/ready", health)
    return application


@web.middleware
async def _problems(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Says every refusal, aiohttp's own too, as problem details."""
    try:
        return await handler(request)
    except _Problem as problem:
        return _problem(problem.status, problem.detail)
    except UnknownAddress as error:
        return _problem(HTTPStatus.NOT_FOUND, str(error))
    except web.HTTPException as error:
        answer = _problem(HTTPStatus(error.status), f"{request.method} {request.path}: {error.reason}")
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer


def _guard(token: str) -> Any:
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not request.path.startswith("/health/") and not hmac.compare_digest(given, expected):
            answer = _problem(
                HTTPStatus.UNAUTHORIZED, "send Authorization: Bearer and the token of the pair's admin.token"
            )
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        return await handler(request)

    return guard


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        content = json.loads(await request.read())
    except ValueError as error:
        raise _Problem(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise _Problem(
            HTTPStatus.BAD_REQUEST, 'the body is not a JSON object, like {"behaviour": "slow", "seconds": 2}'
        )
    return content


def _problem(status: HTTPStatus, detail: str) -> web.Response:
    return web.json_response(
        {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail},
        status=status.value,
        content_type="application/problem+json",
    )
