"""The admin API of a keeper: what runs, why a call goes where it goes, what was called. JSON; errors by RFC 9457."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from aiohttp import web

import rivta
from rivta.audit.call_log import CallLog
from rivta.audit.collector import Collector
from rivta.audit.metrics import CONTENT_TYPE, by_worker, exposition
from rivta.catalogue import content as contents
from rivta.catalogue import decide
from rivta.catalogue.as_json import explanation_json, permission_json, problem_json, publication_json, route_json
from rivta.catalogue.autopublish import Autopublisher
from rivta.catalogue.compile import UncompilableTable, compile_table
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.publications import HsaVersions, Publications
from rivta.catalogue.serving import CurrentTable
from rivta.catalogue.table import Table
from rivta.contracts.installed import Contracts, UnknownContract
from rivta.run.admin_door import door, is_open
from rivta.run.settings import Settings

_MOST_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Kept:
    """Everything of a keeper that the API shows."""

    settings: Settings
    started: datetime
    contracts: Contracts
    table: CurrentTable
    publications: Publications
    hsa_versions: HsaVersions
    autopublisher: Autopublisher
    call_log: CallLog
    collector: Collector
    now: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class _Path:
    """One path of the API: what serves it and what its description says."""

    path: str
    method: str
    """Name of the method of `_Api`."""
    summary: str
    parameters: tuple[str, ...] = ()
    """Names of query parameters; `*` marks a mandatory one."""


_CALL_FILTERS = (
    "correlation_id",
    "correlation_id_prefix",
    "sender",
    "contract",
    "logical_address",
    "outcome",
    "platform",
)
"""Query parameters of `/calls` that `CallLog.search` has too."""

_PATHS = (
    _Path("/status", "status", "The platform, its table, its draft, its call log and its workers"),
    _Path("/health/live", "live", "The keeper answers"),
    _Path("/health/ready", "ready", "Calls are decided by a table; and what is wrong"),
    _Path("/metrics", "metrics", "Figures of all workers in Prometheus' text format"),
    _Path(
        "/explain",
        "explain",
        "Where a call would go, whether it may, and why every other row lost",
        ("sender*", "contract*", "logical_address*", "at", "publication"),
    ),
    _Path("/tables/routes", "routes", "Routes in force", ("logical_address", "contract", "limit")),
    _Path(
        "/tables/permissions",
        "permissions",
        "Permissions in force",
        ("logical_address", "contract", "consumer", "limit"),
    ),
    _Path("/tables/publications", "publications", "Publications, newest first", ("limit",)),
    _Path("/tables/lint", "lint", "Mistakes in the draft as it was last read"),
    _Path("/calls", "calls", "Calls, newest first", ("since", "until", *_CALL_FILTERS, "limit")),
    _Path("/calls/{id}", "call", "The call with a record id, or all with a correlation id"),
    _Path("/openapi.json", "openapi", "This description"),
)


def admin_application(kept: Kept, *, token: str) -> web.Application:
    """The API over `kept`. All but `/health/...` and `/openapi.json` needs `Authorization: Bearer <token>`."""
    api = _Api(kept)
    application = web.Application(middlewares=door(token))
    application.add_routes([web.get(one.path, getattr(api, one.method)) for one in _PATHS])
    return application


class _Api:
    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    async def status(self, _request: web.Request) -> web.StreamResponse:
        kept = self._kept
        platform = kept.settings.platform
        workers = await asyncio.to_thread(by_worker, platform.state / "metrics")
        return web.json_response(
            {
                "hsa_id": platform.hsa_id,
                "name": platform.name,
                "title": platform.title,
                "version": rivta.__version__,
                "uptime_s": round((kept.now() - kept.started).total_seconds(), 1),
                "https": kept.settings.url,
                "table": self._table_status(),
                "draft": self._draft_status(),
                "call_log": {
                    "collected": kept.collector.collected,
                    "gaps": kept.collector.gaps,
                    "problem": kept.collector.failure,
                },
                "workers": {str(pid): dataclasses.asdict(figures) for pid, figures in workers.items()},
                "insecure": kept.settings.insecure_switches.switched_on(),
            }
        )

    def _table_status(self) -> dict[str, Any] | None:
        table = self._kept.table.table
        if table is None:
            return None
        return {
            "publication": table.publication,
            "hsa_version": table.hsa_version,
            "digest": table.digest,
            "routes": table.routes_count,
            "permissions": table.permissions_count,
            "problem": self._kept.table.load_error,
        }

    def _draft_status(self) -> dict[str, Any]:
        publisher = self._kept.autopublisher
        report = publisher.report
        return {
            "folder": str(folder) if (folder := self._kept.settings.tables.draft) else None,
            "autopublish": self._kept.settings.tables.autopublish,
            "errors": len(report.errors) if report else 0,
            "warnings": len(report.warnings) if report else 0,
            "problem": publisher.problem,
        }

    async def live(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    async def ready(self, _request: web.Request) -> web.StreamResponse:
        """Ready means: calls are decided by a table. A refused draft is told but does not take the platform down."""
        kept = self._kept
        problems = {
            "table": None if kept.table.table is not None else "no table has ever been published",
            "draft": kept.autopublisher.problem,
            "call_log": kept.collector.failure,
        }
        is_ready = problems["table"] is None
        return web.json_response(
            {
                "status": "ok" if is_ready else "not ready",
                "problems": problems,
                "insecure": kept.settings.insecure_switches.switched_on(),
            },
            status=HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE,
        )

    async def metrics(self, _request: web.Request) -> web.StreamResponse:
        folder = self._kept.settings.platform.state / "metrics"
        body = await asyncio.to_thread(exposition, folder)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def explain(self, request: web.Request) -> web.StreamResponse:
        asked = request.query
        missing = [name for name in ("sender", "contract", "logical_address") if not asked.get(name)]
        if missing:
            raise web.HTTPBadRequest(text=f"say {' and '.join(missing)} in the query")
        now = _instant(asked.get("at"), "at") or self._kept.now()
        return web.json_response(
            await asyncio.to_thread(
                self._explain,
                asked.get("publication"),
                sender=asked["sender"],
                contract=self._namespace(asked["contract"]),
                logical_address=asked["logical_address"],
                now=now,
            )
        )

    def _explain(self, publication: str | None, **question: Any) -> dict[str, Any]:
        if publication is None:
            table = self._table()
            return explanation_json(decide.explain(table, **question)) | {"publication": table.publication}
        with tempfile.TemporaryDirectory(prefix="rivta-") as folder:
            table = self._compiled(publication, Path(folder))
            try:
                return explanation_json(decide.explain(table, **question)) | {"publication": publication}
            finally:
                table.close()

    def _compiled(self, publication: str, folder: Path) -> Table:
        """The table of a publication by number, or of the draft, with the HSA tree and variables in force."""
        kept = self._kept
        version = kept.hsa_versions.newest()
        try:
            path = compile_table(
                self._content(publication),
                hsa=HsaTree() if version is None else kept.hsa_versions.tree(version.number),
                variables=kept.settings.variables,
                folder=folder,
            )
        except UncompilableTable as error:
            raise web.HTTPConflict(text=f"publication {publication} cannot be compiled: {error}") from error
        return Table.open(path)

    def _content(self, publication: str) -> bytes:
        publisher = self._kept.autopublisher
        if publication == "draft":
            if publisher.report is None:
                raise web.HTTPNotFound(text="this platform has no draft")
            if publisher.report.errors:
                raise web.HTTPConflict(
                    text=f"the draft has errors, the first: {publisher.report.errors[0]}; /tables/lint lists them"
                )
            return contents.encode(publisher.report.draft)
        try:
            return self._kept.publications.content(int(publication))
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"publication={publication!r}: a number or draft") from error
        except (LookupError, OverflowError) as error:  # a number beyond what the database counts to
            raise web.HTTPNotFound(text=f"there is no publication {publication}") from error

    async def routes(self, request: web.Request) -> web.StreamResponse:
        table, wanted = self._table(), self._wanted(request)
        rows = await asyncio.to_thread(lambda: [route_json(route) for route in table.routes(**wanted)])
        return web.json_response({"publication": table.publication, "routes": rows})

    async def permissions(self, request: web.Request) -> web.StreamResponse:
        table, wanted = self._table(), self._wanted(request)
        wanted["consumer"] = request.query.get("consumer")
        rows = await asyncio.to_thread(lambda: [permission_json(row) for row in table.permissions(**wanted)])
        return web.json_response({"publication": table.publication, "permissions": rows})

    def _wanted(self, request: web.Request) -> dict[str, Any]:
        contract = request.query.get("contract")
        return {
            "address": request.query.get("logical_address"),
            "contract": self._namespace(contract) if contract else None,
            "limit": _limit(request, 1000),
        }

    async def publications(self, request: web.Request) -> web.StreamResponse:
        history = await asyncio.to_thread(self._kept.publications.history, _limit(request, 100))
        return web.json_response({"publications": [publication_json(one) for one in history]})

    async def lint(self, _request: web.Request) -> web.StreamResponse:
        publisher = self._kept.autopublisher
        if publisher.report is None:
            raise web.HTTPNotFound(text="this platform has no draft")
        errors = (*publisher.hsa_problems, *publisher.report.errors)
        return web.json_response(
            {
                "errors": [problem_json(problem) for problem in errors],
                "warnings": [problem_json(problem) for problem in publisher.report.warnings],
            }
        )

    async def calls(self, request: web.Request) -> web.StreamResponse:
        asked = request.query
        found = await asyncio.to_thread(
            lambda: self._kept.call_log.search(
                since=_instant(asked.get("since"), "since"),
                until=_instant(asked.get("until"), "until"),
                limit=_limit(request, 100),
                **{name: asked.get(name) for name in _CALL_FILTERS},
            )
        )
        return web.json_response({"calls": [dataclasses.asdict(record) for record in found]})

    async def call(self, request: web.Request) -> web.StreamResponse:
        found = await asyncio.to_thread(self._kept.call_log.get, request.match_info["id"])
        if not found:
            raise web.HTTPNotFound(text="no call has that record id or correlation id here")
        return web.json_response({"calls": [dataclasses.asdict(record) for record in found]})

    async def openapi(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(
            {
                "openapi": "3.1.0",
                "info": {"title": "rivta admin API", "version": rivta.__version__},
                "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
                "security": [{"token": []}],
                "paths": {one.path: _described(one) for one in _PATHS},
            }
        )

    def _table(self) -> Table:
        table = self._kept.table.table
        if table is None:
            raise web.HTTPServiceUnavailable(text="no table has ever been published")
        return table

    def _namespace(self, text: str) -> str:
        if text.startswith("urn:"):
            return text
        try:
            return str(self._kept.contracts.find(text).namespace)
        except UnknownContract as error:
            raise web.HTTPBadRequest(text=str(error)) from error


def _described(one: _Path) -> dict[str, Any]:
    """A path as OpenAPI 3.1 describes it."""
    in_path = ["id"] if "{id}" in one.path else []
    parameters = [
        *({"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in in_path),
        *(
            {
                "name": name.rstrip("*"),
                "in": "query",
                "required": name.endswith("*"),
                "schema": {"type": "integer" if name == "limit" else "string"},
            }
            for name in one.parameters
        ),
    ]
    problem = {"description": "A refusal as RFC 9457 problem details", "content": {"application/problem+json": {}}}
    operation: dict[str, Any] = {
        "operationId": one.method,
        "summary": one.summary,
        "parameters": parameters,
        "responses": {"200": {"description": one.summary}, "default": problem},
    }
    if is_open(one.path):
        operation["security"] = []
    return {"get": operation}


def _limit(request: web.Request, default: int) -> int:
    text = request.query.get("limit", str(default))
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= _MOST_ROWS:
        raise web.HTTPBadRequest(text=f"limit={text!r}: a number from 1 to {_MOST_ROWS}")
    return int(text)


def _instant(text: str | None, name: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:  # the first day of year 1 has no UTC east of Greenwich
        raise web.HTTPBadRequest(text=f"{name}={text!r}: a time in ISO 8601") from error
