"""The admin API's part for the patient overview's process: it writes the access log, and asks where calls may go.

Both need the viewer's own token: whoever may operate the platform may not write who has looked at a patient.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import web

from rivta.audit.access.entry import ABOUT_THE_LOG, Entry, entry_of
from rivta.audit.access.log import AccessLogUnreadable, CannotRecord
from rivta.catalogue.decide import decide
from rivta.run.admin_door import ApiPath, Refusal, Role
from rivta.run.admin_request import body
from rivta.store.engine import DatabaseUnusable

if TYPE_CHECKING:
    from rivta.catalogue.table import Table
    from rivta.run.admin import Kept

MOST_ENTRIES = 100
MOST_ADDRESSES = 10_000
_TEXT = {"type": "string", "minLength": 1, "maxLength": 500}
_ENTRIES = {
    "type": "object",
    "required": ["entries"],
    "properties": {
        "entries": {"type": "array", "items": {"type": "object"}, "description": "a list of entries, each an object"}
    },
    "additionalProperties": False,
}
_QUESTION = {
    "type": "object",
    "required": ["sender", "contract", "logical_addresses"],
    "properties": {
        "sender": _TEXT,
        "contract": _TEXT,
        "logical_addresses": {"type": "array", "items": {"type": "string"}, "description": "a list of addresses"},
    },
    "additionalProperties": False,
}

VIEWER_PATHS = (
    ApiPath(
        "/access-log/entries",
        "record",
        "Write entries into the access log, all or none: durable when it answers",
        verb="POST",
        role=Role.VIEWER,
        body=_ENTRIES,
        answer=HTTPStatus.CREATED,
    ),
    ApiPath(
        "/decisions",
        "decisions",
        "What the table in force says to calls of one contract by one sender, for each address",
        verb="POST",
        role=Role.VIEWER,
        body=_QUESTION,
    ),
)


class ViewerApi:
    """Serves `VIEWER_PATHS` over a keeper's access log and table."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    async def record(self, request: web.Request) -> web.StreamResponse:
        entries = [_entry(one) for one in (await body(request, _ENTRIES))["entries"]]
        if len(entries) > MOST_ENTRIES:
            raise web.HTTPBadRequest(text=f"entries are {len(entries)}, more than {MOST_ENTRIES}")
        try:
            receipts = await asyncio.to_thread(self._kept.access_log.record, *entries)
        except (CannotRecord, DatabaseUnusable, AccessLogUnreadable) as error:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
        written = [{"id": one.id, "time": one.time.isoformat(), "hash": one.hash} for one in receipts]
        return web.json_response({"receipts": written}, status=HTTPStatus.CREATED)

    async def decisions(self, request: web.Request) -> web.StreamResponse:
        asked = await body(request, _QUESTION)
        addresses = list(dict.fromkeys(asked["logical_addresses"]))
        if len(addresses) > MOST_ADDRESSES:
            raise web.HTTPBadRequest(text=f"logical_addresses are {len(addresses)}, more than {MOST_ADDRESSES}")
        table = self._kept.table.table
        if table is None:
            raise web.HTTPServiceUnavailable(text="no table has ever been published")
        found = await asyncio.to_thread(self._decided, table, asked["sender"], asked["contract"], addresses)
        return web.json_response({"publication": table.publication, "decisions": found})

    def _decided(self, table: Table, sender: str, contract: str, addresses: list[str]) -> dict[str, Any]:
        now = self._kept.now()
        found = {}
        for one in addresses:
            decision = decide(table, sender=sender, contract=contract, logical_address=one, now=now)
            permission = decision.permission
            found[one] = {
                "outcome": decision.outcome.value,
                "permission": "" if permission is None else f"{permission.agreement} ({permission.source})",
                "name": table.address_name(one),
            }
        return found


def _entry(columns: dict[str, Any]) -> Entry:
    """The entry that a request has, its columns by name. Raises HTTPBadRequest, naming no value of it."""
    try:
        entry = entry_of(columns)
    except KeyError as error:
        raise web.HTTPBadRequest(text=f"an entry lacks {error}") from error
    except (ValueError, TypeError) as error:
        raise web.HTTPBadRequest(text="an entry has a kind, an outcome or sources that there are none of") from error
    if entry.kind in ABOUT_THE_LOG:
        raise web.HTTPBadRequest(text=f"an entry of kind {entry.kind.value} is the log's own to make")
    return entry
