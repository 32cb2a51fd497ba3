"""What a request to an admin API says, read with every mistake told: numbers, times, digests, JSON bodies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from aiohttp import web

from rivta.run.admin_door import Refusal

MOST_ROWS = 10_000
_LONGEST_JSON = 1024 * 1024
_DIGITS_OF_A_NUMBER = 9
"""A database counts to two thousand million."""


def limit(request: web.Request, default: int) -> int:
    """How many are wanted at most."""
    text = request.query.get("limit", str(default))
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= MOST_ROWS:
        raise web.HTTPBadRequest(text=f"limit={text!r}: a number from 1 to {MOST_ROWS}")
    return int(text)


def instant(text: str | None, name: str) -> datetime | None:
    """A time in UTC; None where none is given."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("no zone")  # whose it would be, only the asker knows
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:  # the first day of year 1 has no UTC east of Greenwich
        raise web.HTTPBadRequest(
            text=f"{name}={text!r}: a time in ISO 8601 with its zone, as 2026-11-24T12:00:00+01:00"
        ) from error


def number_in_path(request: web.Request, name: str, what: str) -> int:
    """The number that a path names; 404 for what can be none."""
    text = request.match_info[name]
    if not text.isascii() or not text.isdigit() or len(text) > _DIGITS_OF_A_NUMBER:
        raise web.HTTPNotFound(text=f"there is no {what} {text}")
    return int(text)


def if_match(request: web.Request) -> str | None:
    """The digest in If-Match; None where there is none. One digest alone means something here."""
    return _digest(request, "If-Match")


def if_none_match(request: web.Request) -> str | None:
    """The digest in If-None-Match, or `*`; None where there is none."""
    return _digest(request, "If-None-Match")


def _digest(request: web.Request, header: str) -> str | None:
    text = request.headers.get(header)
    if text is None or text.strip() == "*":
        return None if text is None else "*"
    digest = text.strip()
    if len(digest) < 2 or not (digest.startswith('"') and digest.endswith('"')):
        raise web.HTTPBadRequest(text=f'{header}: {text}: one digest in quotes, as the ETag was: "3f1c..."')
    return digest[1:-1]


async def body(request: web.Request, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object in a request, if it is what `schema` (an object of plain fields) says; 400 with all mistakes."""
    if (request.content_length or 0) > _LONGEST_JSON:
        raise web.HTTPRequestEntityTooLarge(max_size=_LONGEST_JSON, actual_size=request.content_length or 0)
    try:
        content = json.loads(await request.read() or b"{}")
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"the body is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise web.HTTPBadRequest(text="the body is JSON, but no object")
    if mistakes := _mistakes(content, schema):
        raise Refusal(HTTPStatus.BAD_REQUEST, "; ".join(mistakes), errors=mistakes)
    return {name: value for name, value in content.items() if value is not None}


def _mistakes(content: dict[str, Any], schema: Mapping[str, Any]) -> list[str]:
    fields: Mapping[str, Any] = schema["properties"]
    found = [f"{name} is missing" for name in schema.get("required", ()) if content.get(name) is None]
    for name, value in content.items():
        if name not in fields:
            found.append(f"{name} is unknown; known are {', '.join(sorted(fields))}")
        elif value is not None and not _fits(value, fields[name]):
            found.append(f"{name} has to be {fields[name].get('description') or fields[name]['type']}")
    return found


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:
    match schema["type"], value:
        case "boolean", bool():
            return True
        case "integer", int() if not isinstance(value, bool):
            return bool(0 < value < 10**_DIGITS_OF_A_NUMBER)
        case "array", list():
            return all(isinstance(item, str) for item in value)
        case "string", str():
            allowed = schema.get("enum")
            is_blank = bool(schema.get("minLength")) and not value.strip()
            is_long = len(value) > schema.get("maxLength", _LONGEST_JSON)
            return not is_blank and not is_long and (allowed is None or value in allowed)
        case _:
            return False
