"""What every admin API has at its door: a token is asked for, and a refusal is said as problem details (RFC 9457)."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web

_log = logging.getLogger(__name__)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_KEPT_HEADERS = ("Allow", "WWW-Authenticate")


def door(token: str) -> tuple[Any, ...]:
    """The middlewares of an application whose paths need `Authorization: Bearer <token>`, but for those that are open.

    A handler refuses by raising one of aiohttp's HTTP exceptions, with the explanation as its `text`.
    """
    return _said_as_problems, _guard(token)


def is_open(path: str) -> bool:
    """Without a token: what says nothing about anyone."""
    return path.startswith("/health/") or path == "/openapi.json"


def _guard(token: str) -> Any:
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if is_open(request.path) or hmac.compare_digest(given, expected):
            return await handler(request)
        raise web.HTTPUnauthorized(
            text="send Authorization: Bearer and the token in the platform's token file, a pair's admin.token",
            headers={"WWW-Authenticate": "Bearer"},
        )

    return guard


@web.middleware
async def _said_as_problems(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        return _problem(request, refusal)
    except OSError as error:  # the database is away
        return _problem(request, web.HTTPServiceUnavailable(text=str(error)))
    except Exception:  # noqa: BLE001 - whoever asks gets an answer in the form that all answers have
        _log.exception("%s %s met an error of ours", request.method, request.path)
        return _problem(request, web.HTTPInternalServerError(text="an error of ours: see the log of this process"))


def _problem(request: web.Request, refusal: web.HTTPException) -> web.Response:
    status = HTTPStatus(refusal.status)
    # aiohttp's own refusals, of an unknown path say, explain nothing: their text is the status again.
    has_explanation = refusal.text != f"{refusal.status}: {refusal.reason}"
    detail = refusal.text if has_explanation else f"{request.method} {request.path}: {refusal.reason}"
    return web.json_response(
        {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail},
        status=status.value,
        headers={name: refusal.headers[name] for name in _KEPT_HEADERS if name in refusal.headers},
        content_type="application/problem+json",
    )
