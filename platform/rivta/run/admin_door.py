"""What every admin API has at its door: a token is asked for, with the role needed; refusals are problems (RFC 9457).

A path of an API says once, as an `ApiPath`, what serves it, who may, and what its description says.
"""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any

from aiohttp import web

_log = logging.getLogger(__name__)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_KEPT_HEADERS = ("Allow", "WWW-Authenticate", "ETag")

_WORD = re.compile(r"\{([^}]+)\}")


class Role(Enum):
    """What a token is good for; each may all that those before it may, but for the viewer's, which stands apart."""

    READER = "reader"
    EDITOR = "editor"
    PUBLISHER = "publisher"
    ADMIN = "admin"
    VIEWER = "viewer"
    """The patient overview's process: it writes the access log, which nobody else may, and asks for decisions."""

    def is_at_least(self, other: Role) -> bool:
        """Whether this role may what `other` may."""
        if Role.VIEWER in (self, other):
            return self is other
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request, as the token tells."""

    name: str
    role: Role


_CALLER = web.RequestKey("caller", Caller)

Authenticate = Callable[[str], Caller | None]
"""Whose a token is; None when it opens nothing."""

LeastRole = Callable[[web.Request], Role]
"""The least role that a request needs."""


class Refusal(Exception):
    """A request is refused: `status`, `detail` for people, and further members of the problem document."""

    def __init__(self, status: HTTPStatus, detail: str, *, etag: str | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.members = members
        self.headers = {} if etag is None else {"ETag": f'"{etag}"'}


@dataclass(frozen=True, slots=True)
class ApiPath:
    """One operation of an API: what serves it and what its description says."""

    path: str
    method: str
    """Name of the method that serves it; the operation's id."""
    summary: str
    parameters: tuple[str, ...] = ()
    """Names of query parameters; `*` marks a mandatory one."""
    verb: str = "GET"
    role: Role = Role.READER
    """The least role of a token that may."""
    body: Mapping[str, Any] | None = None
    """JSON schema of the request's body; None when there is none."""
    body_type: str = "application/json"
    if_match: str = ""
    """What the header If-Match means here; empty when it means nothing."""
    answer: HTTPStatus = HTTPStatus.OK


def door(authenticate: str | Authenticate, least_role: LeastRole = lambda _request: Role.READER) -> tuple[Any, ...]:
    """The middlewares of an application whose paths need `Authorization: Bearer <token>`, but for those that are open.

    `authenticate` is the one token, of an admin, or says whose a token is. A handler refuses by raising Refusal or one
    of aiohttp's HTTP exceptions, with the explanation as its `text`.
    """
    return _said_as_problems, _guard(
        _one_token(authenticate) if isinstance(authenticate, str) else authenticate, least_role
    )


def is_open(path: str) -> bool:
    """Without a token: what says nothing about anyone."""
    return path.startswith(("/health/", "/tak-services")) or path == "/openapi.json"


def caller_of(request: web.Request) -> Caller:
    """Who sent the request; only for paths that need a token."""
    return request[_CALLER]


def least_roles(paths: Iterable[ApiPath]) -> LeastRole:
    """The least role of each of `paths`; what is none of them needs any token, to be told that it is not there."""
    roles = {(one.verb, one.path): one.role for one in paths}

    def least_role(request: web.Request) -> Role:
        resource = request.match_info.route.resource
        verb = "GET" if request.method == "HEAD" else request.method
        return roles.get((verb, resource.canonical if resource else ""), Role.READER)

    return least_role


def described(paths: Iterable[ApiPath]) -> dict[str, dict[str, Any]]:
    """The `paths` object of an OpenAPI 3.1 description."""
    found: dict[str, dict[str, Any]] = {}
    for one in paths:
        found.setdefault(one.path, {})[one.verb.lower()] = _operation(one)
    return found


def _operation(one: ApiPath) -> dict[str, Any]:
    problem = {"description": "A refusal as RFC 9457 problem details", "content": {"application/problem+json": {}}}
    operation: dict[str, Any] = {
        "operationId": one.method,
        "summary": one.summary,
        "x-least-role": one.role.value,
        "parameters": [*_in_path(one), *_in_query(one), *_in_header(one)],
        "responses": {str(one.answer.value): {"description": one.summary}, "default": problem},
    }
    if one.body is not None:
        operation["requestBody"] = {"required": True, "content": {one.body_type: {"schema": one.body}}}
    if is_open(one.path):
        operation["security"] = []
        del operation["x-least-role"]
    return operation


def _in_path(one: ApiPath) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in _WORD.findall(one.path)
    ]


def _in_query(one: ApiPath) -> list[dict[str, Any]]:
    return [
        {
            "name": name.rstrip("*"),
            "in": "query",
            "required": name.endswith("*"),
            "schema": {"type": "integer" if name == "limit" else "string"},
        }
        for name in one.parameters
    ]


def _in_header(one: ApiPath) -> list[dict[str, Any]]:
    if not one.if_match:
        return []
    schema = {"type": "string"}
    return [{"name": "If-Match", "in": "header", "required": False, "description": one.if_match, "schema": schema}]


def _one_token(token: str) -> Authenticate:
    expected = token.encode()
    admin = Caller("admin", Role.ADMIN)
    return lambda given: admin if hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected) else None


def _guard(authenticate: Authenticate, least_role: LeastRole) -> Any:
    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if is_open(request.path):
            return await handler(request)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        caller = authenticate(token) if scheme == "Bearer" else None
        if caller is None:
            raise web.HTTPUnauthorized(
                text="send Authorization: Bearer and a token: one that `rivta token create` made, or that in the "
                "platform's token file, a pair's admin.token",
                headers={"WWW-Authenticate": "Bearer"},
            )
        needed = least_role(request)
        if not caller.role.is_at_least(needed):
            raise Refusal(
                HTTPStatus.FORBIDDEN,
                f"{request.method} {request.path} needs the role {needed.value}; {caller.name} is {caller.role.value}",
                role=needed.value,
            )
        request[_CALLER] = caller
        return await handler(request)

    return guard


@web.middleware
async def _said_as_problems(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        return _problem(refusal.status, str(refusal), refusal.headers, refusal.members)
    except web.HTTPException as refusal:
        return _of_aiohttp(request, refusal)
    except OSError as error:  # the database is away
        return _problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    except Exception:  # noqa: BLE001 - whoever asks gets an answer in the form that all answers have
        _log.exception("%s %s met an error of ours", request.method, request.path)
        return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "an error of ours: see the log of this process")


def _of_aiohttp(request: web.Request, refusal: web.HTTPException) -> web.Response:
    # aiohttp's own refusals, of an unknown path say, explain nothing: their text is the status again.
    has_explanation = refusal.text != f"{refusal.status}: {refusal.reason}"
    detail = refusal.text if has_explanation else f"{request.method} {request.path}: {refusal.reason}"
    headers = {name: refusal.headers[name] for name in _KEPT_HEADERS if name in refusal.headers}
    return _problem(HTTPStatus(refusal.status), detail or "", headers)


def _problem(
    status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None, members: Mapping[str, Any] | None = None
) -> web.Response:
    return web.json_response(
        {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail, **(members or {})},
        status=status.value,
        headers=headers,
        content_type="application/problem+json",
    )
