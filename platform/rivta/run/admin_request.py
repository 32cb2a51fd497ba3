"""What a request to an admin API says, every mistake told: numbers, times, contracts, digests, JSON bodies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from aiohttp import web

from rivta.catalogue.lint import Report
from rivta.catalogue.rows import Draft
from rivta.contracts.current import CurrentContracts
from rivta.contracts.installed import UnknownContract
from rivta.run.admin_door import Refusal

MOST_ROWS = 10_000
_LONGEST_JSON = 1024 * 1024
_DIGITS_OF_A_NUMBER = 9
"""A database counts to two thousand million."""


def limit(request: web.Request, default: int) -> int:
    """How many are wanted at most."""
    return number(request, "limit", default, MOST_ROWS)


def number(request: web.Request, name: str, default: int, most: int) -> int:
    """The number from 1 to `most` in a query parameter; `default` without it."""
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= most:
        raise web.HTTPBadRequest(text=f"{name}={text!r}: a number from 1 to {most}")
    return int(text)


def contract_namespace(current: CurrentContracts, text: str) -> str:
    """The namespace of the contract meant; one that is not installed may be named by its namespace."""
    if text.startswith("urn:"):
        return text
    try:
        return str(current.contracts.find(text).namespace)
    except UnknownContract as error:
        raise web.HTTPBadRequest(text=str(error)) from error


def sound_draft(report: Report | None) -> Draft:
    """The draft as it was last read, if there is one that could be published."""
    if report is None:
        raise web.HTTPNotFound(text="this platform has no draft")
    if report.errors:
        raise web.HTTPConflict(text=f"the draft has errors, the first: {report.errors[0]}; /tables/lint lists them")
    return report.draft


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


def etag(digest: str) -> dict[str, str]:
    """The header that says which version an answer is of."""
    return {"ETag": f'"{digest}"'}


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


async def body(request: web.Request, schema: Mapping[str, Any], most: int = _LONGEST_JSON) -> dict[str, Any]:
    """The JSON object in a request of at most `most` bytes, if it is what `schema` says; 400 with all mistakes.

    The schema is of an object of plain fields, of texts by name, of objects like it, or of lists of texts or objects.
    """
    if (request.content_length or 0) > most:
        raise web.HTTPRequestEntityTooLarge(max_size=most, actual_size=request.content_length or 0)
    try:
        text = await request.read() or b"{}"
        # A long one is not to hold up whatever else this process does.
        content = await asyncio.to_thread(json.loads, text) if len(text) > _LONGEST_JSON else json.loads(text)
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
            kind = dict if schema["items"]["type"] == "object" else str
            return all(isinstance(item, kind) for item in value)
        case "object", dict():
            if "properties" in schema:
                return not _mistakes(value, schema)
            return all(isinstance(text, str) for text in value.values())
        case "string", str():
            allowed = schema.get("enum")
            is_blank = bool(schema.get("minLength")) and not value.strip()
            is_long = len(value) > schema.get("maxLength", _LONGEST_JSON)
            return not is_blank and not is_long and (allowed is None or value in allowed)
        case _:
            return False
