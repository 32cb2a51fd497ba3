"""The admin API's part for looking ahead: what differs, what changes for callers, who reaches whom, what is unused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from rivta.catalogue import content as contents
from rivta.catalogue.compile import UncompilableTable
from rivta.catalogue.differences import differences, differences_json
from rivta.catalogue.effects_json import preview_json, reach_json, traffic_json, unused_json
from rivta.catalogue.hsa import HsaTree, read_hsa
from rivta.catalogue.preview import Calls, Side, preview, preview_calls
from rivta.catalogue.reach import Reached, Used, narrowed, places, reach, unused
from rivta.catalogue.rows import Draft
from rivta.catalogue.sides import opened_side
from rivta.run.admin_door import ApiPath
from rivta.run.admin_request import contract_namespace, instant, number, sound_draft

if TYPE_CHECKING:
    from rivta.run.admin import Kept

_MOST_CALLS = 1_000_000
_CALLS = 10_000
_MOST_MONTHS = 120
_MOST_PUBLICATIONS = 20
"""How far back it is looked when somebody could first reach an address."""

PREVIEW_PATHS = (
    ApiPath(
        "/tables/diff", "diff", "What differs between two tables, row by row and field by field", ("before", "after")
    ),
    ApiPath(
        "/tables/preview",
        "preview",
        "What a table would change for callers, and for the calls that were made",
        ("base", "publication", "hsa_base", "hsa", "at", "calls"),
    ),
    ApiPath(
        "/tables/reach",
        "reach",
        "Who can reach an address, by which rows and since when",
        ("logical_address*", "contract", "consumer", "at", "publication"),
    ),
    ApiPath("/tables/unused", "unused", "Permissions that no call has needed for some months", ("months",)),
    ApiPath("/tables/snapshot", "snapshot", "A whole table, and the HSA tree it goes with", ("publication", "hsa")),
    ApiPath("/calls/counts", "counts", "Who called what how often, of the newest calls", ("newest",)),
)


@dataclass(frozen=True, slots=True)
class Named:
    """A table and what it is called."""

    label: str
    draft: Draft


class PreviewApi:
    """What serves `PREVIEW_PATHS`. A table is named by the number of its publication, or is `draft`."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    async def diff(self, request: web.Request) -> web.StreamResponse:
        asked = request.query
        return await self._answer(lambda: self._diff(asked.get("before"), asked.get("after") or "draft"))

    async def preview(self, request: web.Request) -> web.StreamResponse:
        asked = request.query
        now = instant(asked.get("at"), "at") or self._kept.now()
        calls = number(request, "calls", _CALLS, _MOST_CALLS)
        return await self._answer(
            lambda: self._preview(
                base=asked.get("base"),
                publication=asked.get("publication") or "draft",
                hsa_base=asked.get("hsa_base"),
                hsa=asked.get("hsa"),
                now=now,
                calls=calls,
            )
        )

    async def reach(self, request: web.Request) -> web.StreamResponse:
        asked = request.query
        address = asked.get("logical_address")
        if not address:
            raise web.HTTPBadRequest(text="say logical_address in the query")
        contract = asked.get("contract")
        now = instant(asked.get("at"), "at") or self._kept.now()
        namespace = contract_namespace(self._kept.contracts, contract) if contract else None
        return await self._answer(
            lambda: self._reach(address, namespace, asked.get("consumer"), asked.get("publication"), now)
        )

    async def unused(self, request: web.Request) -> web.StreamResponse:
        months = number(request, "months", 6, _MOST_MONTHS)
        return await self._answer(lambda: self._unused(months))

    async def snapshot(self, request: web.Request) -> web.StreamResponse:
        asked = request.query
        return await self._answer(lambda: self._snapshot(asked.get("publication"), asked.get("hsa")))

    async def counts(self, request: web.Request) -> web.StreamResponse:
        newest = number(request, "newest", _CALLS, _MOST_CALLS)
        return await self._answer(lambda: self._counts(newest))

    async def _answer(self, find: Callable[[], dict[str, Any]]) -> web.StreamResponse:
        """What `find` finds, in a thread; a table that cannot be used is a conflict."""
        try:
            async with self._kept.looking_ahead:
                found = await asyncio.to_thread(find)
        except UncompilableTable as error:
            raise web.HTTPConflict(text=f"the table cannot be compiled: {error}") from error
        return web.json_response(found)

    def _diff(self, before: str | None, after: str) -> dict[str, Any]:
        old, new = self._named(before), self._named(after)
        found = differences(old.draft, new.draft)
        return {"before": old.label, "after": new.label, "differences": differences_json(found)}

    def _preview(
        self, *, base: str | None, publication: str, hsa_base: str | None, hsa: str | None, now: datetime, calls: int
    ) -> dict[str, Any]:
        old, new = self._named(base), self._named(publication)
        trees = self._tree(hsa_base), self._tree(hsa)
        return look_ahead(self._kept, (old, new), trees, now=now, calls=calls)

    def _reach(
        self, address: str, contract: str | None, consumer: str | None, publication: str | None, now: datetime
    ) -> dict[str, Any]:
        named = self._named(publication)
        with opened_side(named.draft, self._tree(None), self._kept.settings.variables) as side:
            found = reach(side.table, address, now=now, consumer=consumer, contract=contract)
            near = {place.lower() for place in places(side.table, address)}
        answer = reach_json(address, found) | {"publication": named.label}
        if publication is None:
            since = self._reached_since(address, found, near)
            for one, told in zip(found, answer["reached_by"], strict=True):
                told["since_publication"] = since.get((one.consumer.lower(), one.contract.lower()))
        return answer

    def _reached_since(
        self, address: str, found: Iterable[Reached], near: set[str]
    ) -> dict[tuple[str, str], dict[str, Any]]:
        """The oldest publication from which on each consumer could reach the address with each contract.

        Each publication is asked at the time it was made, with the HSA tree of today. `is_oldest` is false where it
        was reached in all that were looked at.
        """
        tree = self._tree(None)
        left = {(one.consumer.lower(), one.contract.lower()) for one in found}
        since: dict[tuple[str, str], dict[str, Any]] = {}
        digest, reached = "", set[tuple[str, str]]()
        for one in self._kept.publications.history(_MOST_PUBLICATIONS + 1):
            if one.digest != digest:
                digest = one.digest
                small = narrowed(contents.rows(self._kept.publications.content(one.number)), near)
                with opened_side(small, tree) as side:
                    then = reach(side.table, address, now=one.time)
                    reached = {(each.consumer.lower(), each.contract.lower()) for each in then}
            for key in left - reached:
                since.setdefault(key, {"number": None, "time": None})["is_oldest"] = True
            left &= reached
            for key in left:
                since[key] = {"number": one.number, "time": one.time.isoformat(), "is_oldest": one.number == 1}
            if not left:
                break
        return since

    def _unused(self, months: int) -> dict[str, Any]:
        kept = self._kept
        now = kept.now()
        since = _months_before(now, months)
        table = kept.table.table
        if table is None:
            raise web.HTTPServiceUnavailable(text="no table has ever been published")
        counted = kept.call_log.counts(since=since)
        used = [Used(one.sender, one.contract, one.logical_address, one.last) for one in counted]
        found = unused(table, used, since=since, now=now)
        return unused_json(found, since=since, log_since=kept.call_log.oldest()) | {"publication": table.publication}

    def _snapshot(self, publication: str | None, hsa: str | None) -> dict[str, Any]:
        named, tree = self._named(publication), self._tree(hsa)
        platform = self._kept.settings.platform
        return {
            "publication": named.label,
            "content": contents.encode(named.draft).decode(),
            "hsa": tree.content().decode(),
            "platform": {"hsa_id": platform.hsa_id, "name": platform.short_name},
        }

    def _counts(self, newest: int) -> dict[str, Any]:
        counted = self._kept.call_log.counts(newest=newest)
        since = min((one.first for one in counted), default=None)
        return {
            "since": None if since is None else since.isoformat(),
            "counts": [
                {
                    "sender": one.sender,
                    "contract": one.contract,
                    "logical_address": one.logical_address,
                    "calls": one.number,
                    "last": one.last.isoformat(),
                }
                for one in counted
            ],
        }

    def _named(self, publication: str | None) -> Named:
        """The table of a publication by number, the draft, or what is in force (None)."""
        kept = self._kept
        if publication == "draft":
            return Named("draft", sound_draft(kept.autopublisher.report))
        wanted = self._in_force() if publication is None else _publication_number(publication)
        try:
            return Named(f"publication {wanted}", contents.decode(kept.publications.content(wanted)))
        except LookupError as error:
            raise web.HTTPNotFound(text=f"there is no publication {wanted}") from error

    def _in_force(self) -> int:
        table = self._kept.table.table
        if table is None:
            raise web.HTTPServiceUnavailable(text="no table has ever been published")
        return table.publication

    def _tree(self, version: str | None) -> HsaTree:
        """A version of the HSA tree by number, the one in the files (`files`), or the newest (None)."""
        kept = self._kept
        if version == "files":
            folder = kept.settings.tables.hsa
            if folder is None or not folder.exists():
                raise web.HTTPNotFound(text="this platform has no files of an HSA tree")
            tree, problems = read_hsa(folder, relative_to=folder.parent)
            if problems:
                raise web.HTTPConflict(text=f"the HSA tree in the files has errors, the first: {problems[0]}")
            return tree
        if version is None:
            newest = kept.hsa_versions.newest()
            return HsaTree() if newest is None else kept.hsa_versions.tree(newest.number)
        try:
            return kept.hsa_versions.tree(_publication_number(version, "hsa"))
        except LookupError as error:
            raise web.HTTPNotFound(text=str(error)) from error


def look_ahead(
    kept: Kept, tables: tuple[Named, Named], trees: tuple[HsaTree, HsaTree], *, now: datetime, calls: int = _CALLS
) -> dict[str, Any]:
    """What going from one table to the other changes for callers, and for the newest recorded calls.

    Raises UncompilableTable.
    """
    with ExitStack() as stack:
        before, after = (
            stack.enter_context(opened_side(one.draft, tree, kept.settings.variables))
            for one, tree in zip(tables, trees, strict=True)
        )
        found = preview_json(preview(before, after, now=now), before=tables[0].label, after=tables[1].label)
        return found | {"traffic": _traffic(kept, before, after, now, calls)}


def _traffic(kept: Kept, before: Side, after: Side, now: datetime, newest: int) -> dict[str, Any]:
    counted = kept.call_log.counts(newest=newest)
    made = [Calls(one.sender, one.contract, one.logical_address, one.number) for one in counted]
    effects = preview_calls(before.table, after.table, made, now=now)
    since = min((one.first for one in counted), default=None)
    return traffic_json(effects, calls=sum(one.number for one in counted), since=since)


def _publication_number(text: str, name: str = "publication") -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise web.HTTPBadRequest(text=f"{name}={text!r}: a number" + (" or draft" if name == "publication" else ""))
    return int(text)


def _months_before(moment: datetime, months: int) -> datetime:
    """The same time of the same day so many months before, or of that month's last day."""
    count = moment.year * 12 + moment.month - 1 - months
    year, month = divmod(count, 12)
    for day in range(moment.day, 0, -1):
        try:
            return moment.astimezone(UTC).replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
    raise AssertionError("every month has a first day")
