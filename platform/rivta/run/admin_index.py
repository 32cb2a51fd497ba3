"""The admin API's part for the engagement index: what is in it, what waits for its subscribers, what was given up."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import web

from rivta.index.engagement import FIELDS, Transaction
from rivta.index.outbox import DeadLetter, Queue
from rivta.index.store import EngagementStore
from rivta.index.subscriptions import filters_json
from rivta.run.admin_door import ApiPath, Refusal, Role
from rivta.run.admin_request import body, limit, number_in_path

if TYPE_CHECKING:
    from rivta.run.admin import Kept

_IDS = {"type": "array", "items": {"type": "string"}, "description": "a list of the ids of dead letters"}
_ALL = {"type": "boolean", "description": "true for every dead letter"}
_LETTERS = {
    "type": "object",
    "required": [],
    "properties": {"ids": _IDS, "all": _ALL},
    "additionalProperties": False,
}

INDEX_PATHS = (
    ApiPath("/index", "stats", "What the engagement index holds, by kind, and who subscribes to it"),
    ApiPath("/index/queues", "queues", "What waits for each subscriber of the index, and whether it has settled"),
    ApiPath(
        "/index/dead",
        "dead",
        "Notifications that were given up, newest first; whom they are about is left out",
        ("limit",),
    ),
    ApiPath(
        "/index/dead/{id}",
        "letter",
        "A notification that was given up, with what it says",
        role=Role.ADMIN,  # patient data
    ),
    ApiPath(
        "/index/dead/send",
        "send_again",
        "Put dead letters back into their queues, saying how the rows are now",
        verb="POST",
        role=Role.PUBLISHER,
        body=_LETTERS,
    ),
    ApiPath("/index/dead/{id}", "discard", "Throw a dead letter away", verb="DELETE", role=Role.PUBLISHER),
)


class IndexApi:
    """Serves `INDEX_PATHS` over a keeper's index."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    async def stats(self, _request: web.Request) -> web.StreamResponse:
        indexing = self._kept.indexing
        found = await asyncio.to_thread(indexing.store.counts)
        subscribers = await asyncio.to_thread(indexing.subscriptions.current)
        return web.json_response(
            {
                "engagements": sum(one.number for one in found),
                "kinds": [dataclasses.asdict(one) for one in found],
                "subscribers": [
                    {"logical_address": one.logical_address, "filters": filters_json(one.filters)}
                    for one in subscribers
                ],
                "subscribers_problem": indexing.subscriptions.problem,
                **await self._waiting(),
            }
        )

    async def queues(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(await self._waiting())

    async def _waiting(self) -> dict[str, Any]:
        """`taken` counts messages: who asks twice sees by it whether anything came in between."""
        indexing = self._kept.indexing
        in_flight, taken = indexing.delivery.in_flight, indexing.store.taken
        inbox, locked = await asyncio.to_thread(_of_inbox, indexing.store)
        queues = await asyncio.to_thread(indexing.outbox.queues)
        return {
            "hsa_id": indexing.identity.hsa_id,
            "settled": not (inbox or any(one.waiting for one in queues)),
            "taken": taken,
            "in_flight": in_flight,
            "inbox": inbox,
            "write_locked": locked,
            "queues": [_queue_json(one) for one in queues],
            "problem": indexing.delivery.problem,
        }

    async def dead(self, request: web.Request) -> web.StreamResponse:
        found = await asyncio.to_thread(self._kept.indexing.outbox.dead, limit(request, 100))
        return web.json_response({"dead": [_letter_json(one) for one in found]})

    async def letter(self, request: web.Request) -> web.StreamResponse:
        id = number_in_path(request, "id", "dead letter")
        found = await asyncio.to_thread(self._kept.indexing.outbox.content, id)
        if found is None:
            raise _none(id)
        letter, said = found
        return web.json_response(_letter_json(letter) | {"transactions": [_transaction_json(one) for one in said]})

    async def send_again(self, request: web.Request) -> web.StreamResponse:
        wish = await body(request, _LETTERS)
        ids = None if wish.get("all") is True else _numbers(wish.get("ids", []))
        if ids is not None and not ids:
            raise web.HTTPBadRequest(text="say which dead letters in ids, or all")
        sent = await asyncio.to_thread(self._kept.indexing.outbox.send_again, ids, self._kept.now())
        if ids is not None and sent < len(ids):
            told = f"{len(ids) - sent} of these ids are none of a dead letter"
            raise Refusal(HTTPStatus.NOT_FOUND, f"{told}; {sent} are sent again", sent=sent)
        self._kept.indexing.delivery.wake()
        return web.json_response({"sent": sent})

    async def discard(self, request: web.Request) -> web.StreamResponse:
        id = number_in_path(request, "id", "dead letter")
        if not await asyncio.to_thread(self._kept.indexing.outbox.discard, (id,)):
            raise _none(id)
        return web.json_response({"discarded": id})


def _of_inbox(store: EngagementStore) -> tuple[int, bool]:
    return store.inbox(), store.is_write_locked


def _numbers(ids: list[str]) -> set[int]:
    if not all(id.isascii() and id.isdigit() and len(id) < 19 for id in ids):
        raise web.HTTPBadRequest(text="ids has to be a list of the ids of dead letters, each a text of digits")
    return {int(id) for id in ids}


def _none(id: int) -> web.HTTPNotFound:
    return web.HTTPNotFound(text=f"there is no dead letter {id}")


def _queue_json(one: Queue) -> dict[str, Any]:
    return {name: _told(value) for name, value in dataclasses.asdict(one).items()}


def _letter_json(one: DeadLetter) -> dict[str, Any]:
    return {name: _told(value) for name, value in dataclasses.asdict(one).items()}


def _transaction_json(one: Transaction) -> dict[str, Any]:
    fields = {field.wire: getattr(one.engagement, field.name) for field in FIELDS}
    return {"deleteFlag": one.delete, **fields, "visited": list(one.visited)}


def _told(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
