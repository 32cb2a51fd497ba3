"""The admin API of a keeper: what runs, why a call goes where it goes, what was called. JSON; errors by RFC 9457."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

import rivta
from rivta.audit.call_log import CallLog
from rivta.audit.collector import Collector
from rivta.audit.metrics import CONTENT_TYPE, by_worker
from rivta.audit.payloads import Payloads
from rivta.catalogue import content as contents
from rivta.catalogue import decide
from rivta.catalogue.as_json import explanation_json, permission_json, problem_json, route_json
from rivta.catalogue.autopublish import Autopublisher, Result
from rivta.catalogue.compile import UncompilableTable, compile_table, read_current
from rivta.catalogue.desk import Desk
from rivta.catalogue.drafts import MAX_BYTES
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.proposals import ProposalState
from rivta.catalogue.publications import HsaVersions, Publications
from rivta.catalogue.serving import CurrentTable
from rivta.catalogue.table import Table
from rivta.contracts.current import CurrentContracts
from rivta.run.access_log import KeptAccessLog
from rivta.run.admin_changes import CHANGE_PATHS, ChangesApi
from rivta.run.admin_door import ApiPath, Authenticate, Role, described, door, least_roles
from rivta.run.admin_index import INDEX_PATHS, IndexApi
from rivta.run.admin_preview import PREVIEW_PATHS, PreviewApi
from rivta.run.admin_request import contract_namespace, instant, limit, sound_draft
from rivta.run.admin_tables import TABLE_PATHS, TablesApi
from rivta.run.admin_viewer import VIEWER_PATHS, ViewerApi
from rivta.run.admin_why import WHY_PATHS, WhyApi
from rivta.run.figures import all_figures, platform_expiries
from rivta.run.indexing import Indexing
from rivta.run.settings import Settings
from rivta.run.tokens import Tokens
from rivta.run.trust import RevocationWatch
from rivta.tls.expiry import expiry_problem


@dataclass(frozen=True, slots=True)
class Kept:
    """Everything of a keeper that the API shows."""

    settings: Settings
    started: datetime
    contracts: CurrentContracts
    table: CurrentTable
    publications: Publications
    hsa_versions: HsaVersions
    autopublisher: Autopublisher
    desk: Desk
    tokens: Tokens
    call_log: CallLog
    collector: Collector
    payloads: Payloads
    revocations: RevocationWatch
    indexing: Indexing
    access_log: KeptAccessLog
    now: Callable[[], datetime]
    publishing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever uses the autopublisher, which is for one at a time."""
    looking_ahead: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever compares whole tables, which takes memory: the keeper's other work goes on meanwhile."""

    async def publish_now(self) -> Result:
        """Look at the files at once, publish what is new, and put it in force."""
        async with self.publishing:
            result = await asyncio.to_thread(self.autopublisher.look, self.now())
            self.table.check()
        return result


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
    ApiPath("/status", "status", "The platform, its table, its draft, its call log and its workers"),
    ApiPath("/health/live", "live", "The keeper answers"),
    ApiPath("/health/ready", "ready", "Calls are decided by a table; and what is wrong"),
    ApiPath("/metrics", "metrics", "Figures of all workers in Prometheus' text format"),
    ApiPath(
        "/explain",
        "explain",
        "Where a call would go, whether it may, and why every other row lost",
        ("sender*", "contract*", "logical_address*", "at", "publication"),
    ),
    ApiPath("/tables/routes", "routes", "Routes in force", ("logical_address", "contract", "limit")),
    ApiPath(
        "/tables/permissions",
        "permissions",
        "Permissions in force",
        ("logical_address", "contract", "consumer", "limit"),
    ),
    ApiPath("/tables/content", "content", "The rows of a publication or of the draft, canonical", ("publication",)),
    ApiPath("/tables/lint", "lint", "Mistakes in the draft as it was last read"),
    *CHANGE_PATHS,
    *TABLE_PATHS,
    *PREVIEW_PATHS,
    *INDEX_PATHS,
    *WHY_PATHS,
    *VIEWER_PATHS,
    ApiPath("/calls", "calls", "Calls, newest first", ("since", "until", *_CALL_FILTERS, "limit")),
    ApiPath("/calls/{id}", "call", "The call with a record id, or all with a correlation id"),
    ApiPath(
        "/calls/{id}/payload",
        "payload",
        "What was kept of the messages of the call with a record id",
        role=Role.ADMIN,  # patient data
    ),
    ApiPath("/openapi.json", "openapi", "This description"),
)


def admin_application(kept: Kept, *, token: str | Authenticate) -> web.Application:
    """The API over `kept`. All but `/health/...` and `/openapi.json` needs `Authorization: Bearer` and a token.

    `token` is the one there is, an admin's, or says whose a token is.
    """
    parts: tuple[tuple[tuple[ApiPath, ...], object], ...] = (
        (_PATHS, _Api(kept)),
        (TABLE_PATHS, TablesApi(kept)),
        (CHANGE_PATHS, ChangesApi(kept)),
        (PREVIEW_PATHS, PreviewApi(kept)),
        (INDEX_PATHS, IndexApi(kept)),
        (WHY_PATHS, WhyApi(kept)),
        (VIEWER_PATHS, ViewerApi(kept)),
    )
    serving = {(one.verb, one.path): api for paths, api in parts for one in paths}
    application = web.Application(middlewares=door(token, least_roles(_PATHS)), client_max_size=MAX_BYTES)
    for one in _PATHS:
        route = web.get if one.verb == "GET" else partial(web.route, one.verb)
        application.add_routes([route(one.path, getattr(serving[one.verb, one.path], one.method))])
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
                "waiting": await asyncio.to_thread(self._waiting),
                "database": {"problem": kept.autopublisher.database_problem, "told": _told(kept.autopublisher.told)},
                "contracts": {"known": len(kept.contracts.contracts), "problem": kept.contracts.problem},
                "call_log": {
                    "collected": kept.collector.collected,
                    "gaps": kept.collector.gaps,
                    "problem": kept.collector.failure,
                },
                "workers": {str(pid): dataclasses.asdict(figures) for pid, figures in workers.items()},
                "insecure": kept.settings.insecure_switches.switched_on(),
                "payload": kept.settings.call_log.payload,
            }
        )

    def _table_status(self) -> dict[str, Any] | None:
        table = self._kept.table.table
        if table is None:
            return None
        # From this node's own copy, which is there without the database too.
        about = read_current(self._kept.settings.platform.state / "tables").get("about")
        known = about if isinstance(about, dict) else {}
        published = _moment(known.get("time"))
        return {
            "publication": table.publication,
            "time": known.get("time"),
            "age_s": None if published is None else round((self._kept.now() - published).total_seconds(), 1),
            "author": known.get("author"),
            "comment": known.get("comment"),
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
            "diverged": publisher.is_diverged,
            "paused": publisher.is_diverged and self._kept.settings.tables.autopublish,
            "four_eyes": self._kept.settings.tables.four_eyes,
            "errors": len(report.errors) if report else 0,
            "warnings": len(report.warnings) if report else 0,
            "problem": publisher.problem,
        }

    def _waiting(self) -> dict[str, Any]:
        """Proposals and scheduled publications, and refused ones that nobody has put away; None when unknown."""
        states = ProposalState.PROPOSED, ProposalState.SCHEDULED, ProposalState.REFUSED
        try:
            found = self._kept.desk.proposals.newest(*states)
        except OSError:
            return {state.value: None for state in states}
        return {state.value: [one.to_json() for one in found if one.state is state] for state in states}

    async def live(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    async def ready(self, _request: web.Request) -> web.StreamResponse:
        """Ready means: calls are decided by a table. What else is wrong is told but takes nothing down."""
        kept = self._kept
        problems = await self._problems()
        is_ready = problems["table"] is None
        return web.json_response(
            {
                "status": "ok" if is_ready else "not ready",
                "problems": problems,
                "insecure": kept.settings.insecure_switches.switched_on(),
                "payload": kept.settings.call_log.payload,
            },
            status=HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE,
        )

    async def _problems(self) -> dict[str, str | None]:
        """What is wrong, by kind; None where nothing is."""
        kept = self._kept
        return {
            "table": None if kept.table.table is not None else "no table has ever been published",
            "draft": kept.autopublisher.problem,
            "database": self._database_problem(),
            "scheduled": await asyncio.to_thread(self._scheduled_problem),
            "contracts": kept.contracts.problem,
            "call_log": kept.collector.failure,
            "revocation": kept.revocations.problem(),
            "index": await asyncio.to_thread(self._index_problem),
            "certificate": await asyncio.to_thread(self._certificate_problem),
        }

    def _database_problem(self) -> str | None:
        publisher, now = self._kept.autopublisher, self._kept.now()
        if publisher.database_problem is None:
            return None
        since = publisher.told or self._kept.started
        table = self._table_status()
        age = f"; the table in force is of {table['time']}" if table and table["time"] else ""
        return (
            f"{publisher.database_problem}; silent for {round((now - since).total_seconds())} s: what others publish "
            f"meanwhile does not come into force here{age}"
        )

    def _scheduled_problem(self) -> str | None:
        refused = self._waiting()[ProposalState.REFUSED.value]
        if not refused:
            return None
        first = refused[0]
        return f"proposal {first['id']} by {first['author']} ({first['comment']}) was refused: {first['reason']}"

    def _index_problem(self) -> str | None:
        try:
            return self._kept.indexing.problem()
        except SQLAlchemyError:
            return None  # told as that of the database

    def _certificate_problem(self) -> str | None:
        return expiry_problem(platform_expiries(self._kept.settings), self._kept.now())

    async def metrics(self, _request: web.Request) -> web.StreamResponse:
        body = await asyncio.to_thread(all_figures, self._kept, await self._problems())
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def explain(self, request: web.Request) -> web.StreamResponse:
        asked = request.query
        missing = [name for name in ("sender", "contract", "logical_address") if not asked.get(name)]
        if missing:
            raise web.HTTPBadRequest(text=f"say {' and '.join(missing)} in the query")
        now = instant(asked.get("at"), "at") or self._kept.now()
        return web.json_response(
            await asyncio.to_thread(
                self._explain,
                asked.get("publication"),
                sender=asked["sender"],
                contract=contract_namespace(self._kept.contracts, asked["contract"]),
                logical_address=asked["logical_address"],
                now=now,
            )
        )

    def _explain(self, publication: str | None, **question: Any) -> dict[str, Any]:
        if publication is None:
            table = self._table()
            return self._explained(table, **question) | {"publication": table.publication}
        with tempfile.TemporaryDirectory(prefix="rivta-") as folder:
            table = self._compiled(publication, Path(folder))
            try:
                return self._explained(table, **question) | {"publication": publication}
            finally:
                table.close()

    def _explained(self, table: Table, **question: Any) -> dict[str, Any]:
        """The explanation, and what the tables call whoever is in it: the caller, this platform, the producer."""
        explanation = decide.explain(table, **question)
        route = explanation.decision.route
        who = (question["sender"], self._kept.settings.platform.hsa_id, *((route.component,) if route else ()))
        names = {one: name for one in who if (name := table.component_name(one)) is not None}
        return explanation_json(explanation) | {"names": names}

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
            return contents.encode(sound_draft(publisher.report))
        try:
            return self._kept.publications.content(int(publication))
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"publication={publication!r}: a number or draft") from error
        except (LookupError, OverflowError) as error:  # a number beyond what the database counts to
            raise web.HTTPNotFound(text=f"there is no publication {publication}") from error

    async def content(self, request: web.Request) -> web.StreamResponse:
        """As it was frozen, byte for byte: what digests and signatures are of."""
        number = request.query.get("publication") or str(self._table().publication)
        content = await asyncio.to_thread(self._content, number)
        return web.Response(body=content, content_type="application/json", charset="utf-8")

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
            "contract": contract_namespace(self._kept.contracts, contract) if contract else None,
            "limit": limit(request, 1000),
        }

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
                since=instant(asked.get("since"), "since"),
                until=instant(asked.get("until"), "until"),
                limit=limit(request, 100),
                **{name: asked.get(name) for name in _CALL_FILTERS},
            )
        )
        return web.json_response({"calls": [dataclasses.asdict(record) for record in found]})

    async def call(self, request: web.Request) -> web.StreamResponse:
        found = await asyncio.to_thread(self._kept.call_log.get, request.match_info["id"])
        if not found:
            raise web.HTTPNotFound(text="no call has that record id or correlation id here")
        return web.json_response({"calls": [dataclasses.asdict(record) for record in found]})

    async def payload(self, request: web.Request) -> web.StreamResponse:
        id = request.match_info["id"]
        found = [record for record in await asyncio.to_thread(self._kept.call_log.get, id) if record.id == id]
        if not found:
            raise web.HTTPNotFound(text="no call has that record id here")
        read = self._kept.payloads.read
        request_text = await asyncio.to_thread(read, found[0].stored_request)
        response_text = await asyncio.to_thread(read, found[0].stored_response)
        return web.json_response({"id": id, "request": request_text, "response": response_text})

    async def openapi(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(
            {
                "openapi": "3.1.0",
                "info": {"title": "rivta admin API", "version": rivta.__version__},
                "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
                "security": [{"token": []}],
                "paths": described(_PATHS),
            }
        )

    def _table(self) -> Table:
        table = self._kept.table.table
        if table is None:
            raise web.HTTPServiceUnavailable(text="no table has ever been published")
        return table


def _moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _told(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
