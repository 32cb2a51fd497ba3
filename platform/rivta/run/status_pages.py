"""The incumbent's pages for operating: status, reset and actuator. Open to whoever reaches them; `compat.status_pages`.

Their texts are the incumbent's, its spelling included. What Java has and we have not is left out; nothing is made up.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

import rivta
from rivta.catalogue.autopublish import Result, State
from rivta.catalogue.compile import read_current
from rivta.catalogue.hsa import hsa_files
from rivta.catalogue.rows import SWEDISH_TIME
from rivta.run.admin import Kept
from rivta.run.index_pages import index_pages

_FAILED = (State.REFUSED, State.UNAVAILABLE)
_NOT_INITIALIZED = "Not initialized"
_HEALTH_TYPE = "application/vnd.spring-boot.actuator.v3+json"
_STATUS, _RESET_TABLES, _RESET_HSA = "/status", "/resetcache", "/resethsacache"
_FEWEST_UNITS = 1
"""So few units of the HSA tree, or fewer, are worth a warning."""


@dataclass(frozen=True, slots=True)
class _Reset:
    """The last time that the tables, or the HSA tree, were looked at on purpose: at the start, or by a reset."""

    time: datetime
    status: str


def status_application(kept: Kept, started: Result) -> web.Application:
    """The pages of a keeper; `started` is what its first look at the tables came to."""
    pages = _Pages(kept, started)
    application = web.Application()
    for path, page in (
        (_STATUS, pages.status),
        (_RESET_TABLES, pages.reset_tables),
        (_RESET_HSA, pages.reset_hsa),
        ("/actuator/health", pages.health),
        ("/actuator/health/liveness", pages.liveness),
        ("/actuator/health/readiness", pages.readiness),
        *index_pages(kept.indexing, pages.status),
    ):
        application.router.add_route("*", path, page)
    return application


class _Pages:
    def __init__(self, kept: Kept, started: Result) -> None:
        self._kept = kept
        self._tables = _Reset(kept.now(), self._outcome(started, had_tables=False))
        self._hsa = _Reset(kept.now(), _truth(self._has_tree))
        self._units = self._units_before = self._count_units()

    async def status(self, request: web.Request) -> web.StreamResponse:
        """What runs, as texts. `?memory` and `?netty` ask for what only Java has: they change nothing."""
        return web.Response(text=json.dumps(self._status(), indent=2), content_type="application/json")

    def _status(self) -> dict[str, Any]:
        kept = self._kept
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {
            "Name": kept.settings.platform.name,
            "Version": rivta.__version__,
            "ServiceStatus": "Started",
            "Uptime": _uptime(kept.now() - kept.started),
            "ManagementName": kept.settings.platform.short_name,
            "PythonVersion": sys.version.split()[0],
            "TakCacheInitialized": _truth(self._has_tables),
            "TakCacheResetInfo": self._tables_info(),
            "HsaCacheInitialized": _truth(self._has_tree),
            "HsaCacheResetInfo": self._hsa_info(),
            "JvmUsedMemory": f"{memory:.1f} MB",
            "Endpoints": self._endpoints(),
        }

    def _endpoints(self) -> list[str]:
        """As with the incumbent, those on plain http."""
        listen = self._kept.settings.listen
        pages = [f"http://{listen.status}{path}" for path in (_STATUS, _RESET_TABLES, _RESET_HSA)]
        return [f"http://{listen.http}/vp", *pages] if listen.http else pages

    def _tables_info(self) -> str:
        table = self._kept.table.table
        if table is None:
            return _NOT_INITIALIZED
        counts = f"vagval:{table.routes_count} behorigheter:{table.permissions_count}"
        return f"Date:{_minute(self._tables.time)} Status:{self._tables.status} {counts}"

    def _hsa_info(self) -> str:
        if not self._has_tree:
            return _NOT_INITIALIZED
        numbers = f"oldNum:{self._units_before} newNum:{self._units}"
        return f"Date:{_minute(self._hsa.time)} Status:{self._hsa.status} {numbers}"

    async def reset_tables(self, _request: web.Request) -> web.StreamResponse:
        """Looks for new tables now, and says what came of it."""
        kept = self._kept
        had_tables = self._has_tables
        result = await kept.publish_now()
        self._tables = _Reset(kept.now(), self._outcome(result, had_tables=had_tables))
        table = kept.table.table
        lines = [
            f"Host: {socket.gethostname()}",
            f"Time: {kept.now().astimezone(SWEDISH_TIME):%Y-%m-%d %H:%M:%S}",
            "Initialize TAK cache resources...",
            *self._reset_lines(result),
            f"Init TAK cache loaded number of permissions: {table.permissions_count if table else 0}",
            f"Init TAK cache loaded number of virtualizations: {table.routes_count if table else 0}",
            f"Init done, was successful: {_truth(self._tables.status == 'REFRESH_OK')}",
        ]
        body = "".join(f"<br>{line}" for line in lines)
        return web.Response(body=body.encode(), headers={"Content-Type": "text/html;"})

    def _reset_lines(self, result: Result) -> list[str]:
        succeeded = "Succeeded to get virtualizations and/or permissions from TAK, save to local TAK copy..."
        failed = "Failed to get virtualizations and/or permissions from TAK"
        copy = f"virtualizations and permissions to local TAK copy: {self._local_copy}"
        if result.state not in _FAILED and self._has_tables:
            return [succeeded, f"Succesfully saved {copy}"]
        if self._has_tables:
            return [f"{failed}, see logfiles for details. Will continue to use already loaded TAK data."]
        return [
            f"{failed}. Restore from local TAK copy...",
            f"Failed to restore virtualizations and permissions from local TAK copy: {self._local_copy}",
            f"Reason for failure: {result.message}",
        ]

    @property
    def _local_copy(self) -> str:
        folder = self._kept.settings.platform.state / "tables"
        return str(folder / str(read_current(folder).get("file", "")))

    async def reset_hsa(self, _request: web.Request) -> web.StreamResponse:
        """Reads the HSA tree again now, with the tables, and says what came of it."""
        kept = self._kept
        folder = kept.settings.tables.hsa
        files = ", ".join(map(str, hsa_files(folder))) if folder is not None and folder.exists() else ""
        result = await kept.publish_now()
        problem = self._tree_problem() or (result.message if result.state is State.UNAVAILABLE else "")
        before, self._units = self._units, await asyncio.to_thread(self._count_units)
        self._units_before = before
        self._hsa = _Reset(kept.now(), _truth(not problem))
        lines = [f"Start a reset of HSA cache using files: [{files}]"]
        if problem:
            lines += ["Reset HSA cache failed.", problem]
        else:
            lines += [
                "Successfully reset HSA cache. ",
                f"HSA cache size was: {before} ",
                f"HSA cache now is: {self._units}.",
            ]
            if self._units <= _FEWEST_UNITS:
                lines.append(f"Warning: HSA cache reset to {self._units}. Was {before} entries!")
        return web.Response(text="\n".join(lines))

    async def health(self, _request: web.Request) -> web.StreamResponse:
        components = self._components()
        return _health(_all_up(components), {"components": components, "groups": ["liveness", "readiness"]})

    async def liveness(self, _request: web.Request) -> web.StreamResponse:
        return _health("UP", {"components": {"livenessState": {"status": "UP"}}})

    async def readiness(self, _request: web.Request) -> web.StreamResponse:
        components = self._components()
        return _health(_all_up(components), {"components": components})

    def _components(self) -> dict[str, Any]:
        refresh = self._tables.status if self._has_tables else _NOT_INITIALIZED
        return {
            "readinessState": {"status": "UP"},
            "takCache": _component(self._has_tables, "refreshStatus", refresh),
            "hsaCache": _component(self._has_tree, "hsaCacheStatus", _NOT_INITIALIZED),
        }

    def _outcome(self, result: Result, *, had_tables: bool) -> str:
        """The incumbent's word for what a look at the tables came to."""
        if not self._has_tables:
            return "REFRESH_FAILED"
        if result.state not in _FAILED:
            return "REFRESH_OK"
        return "REUSING_EXISTING_CACHE" if had_tables else "RESTORED_FROM_LOCAL_CACHE"

    @property
    def _has_tables(self) -> bool:
        return self._kept.table.table is not None

    @property
    def _has_tree(self) -> bool:
        """Whether the HSA tree is as its files say; a platform without one has nothing to wait for."""
        return not self._tree_problem()

    def _tree_problem(self) -> str:
        publisher = self._kept.autopublisher
        first = f": {publisher.hsa_problems[0]}" if publisher.hsa_problems else ""
        return f"{publisher.hsa_refusal}{first}" if publisher.hsa_refusal else ""

    def _count_units(self) -> int:
        try:
            version = self._kept.hsa_versions.newest()
        except OSError:  # the database is away
            return 0
        return 0 if version is None else version.units


def _component(is_up: bool, detail: str, words: str) -> dict[str, Any]:
    return {"status": "UP"} if is_up else {"status": "DOWN", "details": {detail: words}}


def _all_up(components: dict[str, Any]) -> str:
    return "UP" if all(one["status"] == "UP" for one in components.values()) else "DOWN"


def _health(status: str, more: dict[str, Any]) -> web.Response:
    body = json.dumps({"status": status, **more}).encode()
    return web.Response(body=body, status=200 if status == "UP" else 503, headers={"Content-Type": _HEALTH_TYPE})


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _minute(time: datetime) -> str:
    return f"{time.astimezone(SWEDISH_TIME):%Y-%m-%dT%H:%M}"


def _uptime(passed: timedelta) -> str:
    hours, seconds = divmod(passed.seconds, 3600)
    return f"{passed.days} days, {hours} hours, {seconds // 60} minutes, {seconds % 60} seconds"
