"""A keeper: the process with everything that has state. The only one of its node that opens the database."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import socket

import uvloop
from aiohttp import web
from sqlalchemy import Engine

from rivta.audit.call_log import CallLog
from rivta.audit.collector import Collector
from rivta.audit.ecs import EcsFile, describe_host
from rivta.audit.payloads import Payloads
from rivta.catalogue.autopublish import Autopublisher, Folders, Result, State
from rivta.catalogue.desk import Desk
from rivta.catalogue.proposals import Proposals
from rivta.catalogue.publications import HsaVersions, Publications
from rivta.catalogue.serving import CurrentTable
from rivta.catalogue.trail import AuditTrail
from rivta.contracts.current import CurrentContracts
from rivta.run.access_log import KeptAccessLog
from rivta.run.admin import Kept, admin_application
from rivta.run.child import Child
from rivta.run.chores import every, switch_contracts
from rivta.run.indexing import Indexing
from rivta.run.output import log_to_stderr
from rivta.run.ports import BACKLOG
from rivta.run.services.access_logs import PatientLog, access_logs
from rivta.run.services.catalogue import Catalogue
from rivta.run.services.server import services
from rivta.run.settings import Settings, is_of_this_machine
from rivta.run.status_pages import status_application
from rivta.run.tak_pages import admit_by_certificate, tak_application, tak_routes
from rivta.run.tokens import REFRESH_SECONDS, Tokens
from rivta.run.trust import IDENTITY_SECONDS, REVOCATION_SECONDS, ListenerTls, RevocationWatch
from rivta.soap import namespaces
from rivta.soap.service import Answer
from rivta.store.engine import catch_up, open_when_possible
from rivta.tls.signing import signer

_log = logging.getLogger("rivta.run.keeper")

_POLL_SECONDS = 0.15
_RETENTION_SECONDS = 3600.0
_CATCH_UP_SECONDS = 1.0
_INBOX_SECONDS = 1.0


def main(config: Path, child: Child) -> None:
    """Keeps a platform's state until the supervisor says stop. `config` is the platform's settings file."""
    log_to_stderr()
    uvloop.run(_keep(Settings.load(config), child))


async def _keep(settings: Settings, child: Child) -> None:
    asyncio.get_running_loop().set_default_executor(
        ThreadPoolExecutor(initializer=_give_way, thread_name_prefix="keeper")
    )
    engine, is_open = await asyncio.to_thread(open_when_possible, settings.database_url)
    kept = _kept(settings, engine)
    tokens = kept.tokens
    await asyncio.to_thread(tokens.refresh)
    started = await asyncio.to_thread(_start, kept)
    _report(started)
    kept.table.check()
    catalogue = _catalogue(kept)
    access_log = kept.access_log
    async with contextlib.AsyncExitStack() as stack:
        admin = admin_application(kept, token=tokens.check)
        admin.add_routes(tak_routes(catalogue))
        await _serve_pages(stack, admin, child.listeners["admin"])
        if "status" in child.listeners:
            pages = await asyncio.to_thread(status_application, kept, started)
            await _serve_pages(stack, pages, child.listeners["status"])
        tak = await _serve_tak(stack, kept, catalogue, child) if "tak" in child.listeners else None
        await _serve_services(stack, catalogue, kept.indexing, _other_services(settings, access_log), child)
        workers_gone = asyncio.Event()
        collecting = asyncio.create_task(kept.collector.run(workers_gone))
        chores = [
            asyncio.create_task(every(_POLL_SECONDS, lambda: _publish(kept))),
            asyncio.create_task(every(REFRESH_SECONDS, lambda: asyncio.to_thread(tokens.refresh))),
            asyncio.create_task(every(_RETENTION_SECONDS, lambda: _retain(kept))),
            asyncio.create_task(every(_RETENTION_SECONDS, lambda: asyncio.to_thread(access_log.retain))),
            asyncio.create_task(
                every(settings.access_log.checkpoint_seconds, lambda: asyncio.to_thread(access_log.sign))
            ),
            asyncio.create_task(every(REVOCATION_SECONDS, kept.revocations.refresh)),
            asyncio.create_task(every(_INBOX_SECONDS, lambda: _empty_inbox(kept.indexing))),
        ]
        notifying = asyncio.create_task(kept.indexing.delivery.run())
        if tak is not None:
            chores.append(asyncio.create_task(every(IDENTITY_SECONDS, tak.refresh)))
        if not is_open:
            chores.append(asyncio.create_task(_catch_up(engine)))
        child.ready()
        await child.stopped()
        for chore in (*chores, notifying):
            chore.cancel()
        await asyncio.wait((notifying,))
        # The supervisor stops the workers first, so this last pass finds everything they wrote.
        workers_gone.set()
        await collecting
        await asyncio.to_thread(access_log.close)
    engine.dispose()


def _kept(settings: Settings, engine: Engine) -> Kept:
    state = settings.platform.state
    contracts = CurrentContracts(settings.contracts.installed)
    publications, hsa_versions = Publications(engine, signer(settings.tls.key)), HsaVersions(engine)
    autopublisher = _autopublisher(settings, contracts, publications, hsa_versions)
    table = CurrentTable(state / "tables")
    return Kept(
        settings=settings,
        started=_now(),
        contracts=contracts,
        table=table,
        publications=publications,
        hsa_versions=hsa_versions,
        autopublisher=autopublisher,
        desk=Desk(
            autopublisher,
            publications,
            hsa_versions,
            Proposals(engine),
            AuditTrail(engine),
            lambda: contracts.contracts,
            four_eyes=settings.tables.four_eyes,
            approval_time=timedelta(days=settings.tables.approval_days),
        ),
        tokens=Tokens(engine, settings.listen.admin_token, now=_now, viewer=settings.listen.viewer_token),
        call_log=CallLog(engine),
        collector=Collector(state / "spool", engine, clock=_now, mirrors=[_ecs_file(settings)]),
        payloads=Payloads(state / "payload"),
        revocations=RevocationWatch.of(settings.tls, clock=_now, accepts_doubt=False),
        indexing=Indexing.of(settings, engine, lambda: table.table, now=_now),
        access_log=KeptAccessLog(settings, clock=_now),
        now=_now,
    )


def _give_way() -> None:
    """Bookkeeping waits for calls: this thread runs when the workers leave something of the processors."""
    with contextlib.suppress(OSError):  # only Linux has priorities for threads
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def _ecs_file(settings: Settings) -> EcsFile:
    path = settings.platform.state / "ecs.jsonl"
    return EcsFile(path, service_name=settings.call_log.service_name, url=settings.url, host=describe_host())


def _autopublisher(
    settings: Settings, contracts: CurrentContracts, publications: Publications, hsa_versions: HsaVersions
) -> Autopublisher:
    draft = settings.tables.draft or settings.platform.state / "routing"
    return Autopublisher(
        Folders(draft, settings.tables.hsa, settings.platform.state / "tables"),
        publications,
        hsa_versions,
        lambda: contracts.contracts,
        variables=settings.variables,
        own_variables=[settings.platform.short_name],
        tls_targets=settings.tls.targets,
        expiring_days=settings.tables.expiring_days,
        publishes=settings.tables.autopublish,
    )


async def _serve_pages(stack: contextlib.AsyncExitStack, application: web.Application, listener: socket) -> None:
    await web.SockSite(await _runner(stack, application), listener, backlog=BACKLOG).start()


async def _runner(stack: contextlib.AsyncExitStack, application: web.Application) -> web.AppRunner:
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return runner


async def _serve_tak(
    stack: contextlib.AsyncExitStack, kept: Kept, catalogue: Catalogue, child: Child
) -> _TlsSite | None:
    """The catalogue's services on a listener of their own, with mutual TLS unless only this machine reaches it."""
    settings, listener = kept.settings, child.listeners["tak"]
    if settings.listen.tak is None or is_of_this_machine(settings.listen.tak):
        await _serve_pages(stack, tak_application(catalogue), listener)
        return None
    tls = ListenerTls(settings.tls, old_tls=settings.insecure_switches.old_tls)
    admit = admit_by_certificate(settings, kept.revocations, kept.now)
    site = _TlsSite(await _runner(stack, tak_application(catalogue, admit=admit)), listener, tls)
    await site.start()
    return site


class _TlsSite:
    """Pages behind a certificate and a trust that may change."""

    def __init__(self, runner: web.AppRunner, listener: socket, tls: ListenerTls) -> None:
        self._runner = runner
        self._listener = listener
        self._tls = tls
        self._site: web.SockSite | None = None

    async def start(self) -> None:
        """Accepts with the context that is in force now, then no more with the one before; connections go on."""
        # Each has a descriptor of its own: stopping one closes it, and the other still accepts.
        site = web.SockSite(self._runner, self._listener.dup(), backlog=BACKLOG, ssl_context=self._tls.context)
        await site.start()
        if self._site is not None:
            await self._site.stop()
        self._site = site

    async def refresh(self) -> None:
        """Takes changed files into use."""
        if self._tls.refresh():
            await self.start()


def _catalogue(kept: Kept) -> Catalogue:
    settings = kept.settings
    return Catalogue(
        contracts_in_force=lambda: kept.contracts.contracts,
        title=settings.platform.title or settings.platform.name,
        table_in_force=lambda: kept.table.table,
        rules=settings.registry_rules,
        now=kept.now,
    )


def _other_services(settings: Settings, access_log: KeptAccessLog) -> dict[str, Answer]:
    """What the platform answers itself, beside its catalogue and index."""
    patient_log = PatientLog(access_log.reports, _now, settings.access_log.patient_services)
    return {namespaces.GET_ACCESS_LOGS_FOR_PATIENT_1: access_logs(patient_log)}


async def _serve_services(
    stack: contextlib.AsyncExitStack,
    catalogue: Catalogue,
    indexing: Indexing,
    others: Mapping[str, Answer],
    child: Child,
) -> None:
    server = services(catalogue, indexing.services, others)
    listening = await asyncio.get_running_loop().create_unix_server(
        server, sock=child.listeners["services"], backlog=BACKLOG
    )
    stack.push_async_callback(server.shutdown, 5.0)
    stack.callback(listening.close)


def _start(kept: Kept) -> Result:
    with contextlib.suppress(OSError):  # the database is away: done before the draft is published
        kept.desk.finish_reset()
    return kept.autopublisher.start(_now())


async def _catch_up(engine: Engine) -> None:
    """The database was away at the start: its schema is brought up to date when it is back."""
    while not await asyncio.to_thread(catch_up, engine):  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(_CATCH_UP_SECONDS)
    _log.info("the database answers")


def _poll(kept: Kept) -> Result | None:
    """One step of everything that waits: a reset that ended in the middle, what was scheduled, saved files."""
    try:
        kept.desk.finish_reset()
    except OSError:
        return None  # half a draft is not looked at
    with contextlib.suppress(OSError):  # the database is away, as the autopublisher tells
        for outcome in kept.desk.apply_due(_now()):
            _log.info("%s", outcome)
    return kept.autopublisher.poll(_now())


async def _publish(kept: Kept) -> None:
    async with kept.publishing:
        await asyncio.to_thread(switch_contracts, kept.contracts, _log)
        result = await asyncio.to_thread(_poll, kept)
        if result is not None:
            _report(result)
        kept.table.check()


def _report(result: Result) -> None:
    if result.state in (State.REFUSED, State.UNAVAILABLE):
        _log.error("%s: %s%s", result.state.value, result.message, "".join(f"\n  {one}" for one in result.errors))
    elif result.state is not State.UNCHANGED:
        _log.info("%s: %s", result.state.value, result.message)


async def _empty_inbox(indexing: Indexing) -> None:
    done = await asyncio.to_thread(indexing.store.empty_inbox)
    if done:
        _log.info("%d messages to the index, taken under its write lock, have taken effect", done)


async def _retain(kept: Kept) -> None:
    oldest = _now() - timedelta(days=kept.settings.call_log.retention_days)
    deleted = await asyncio.to_thread(kept.call_log.retain, oldest)
    if deleted:
        _log.info("%d call records older than %s deleted", deleted, oldest.date())
    await asyncio.to_thread(kept.payloads.retain, oldest.date())


def _now() -> datetime:
    return datetime.now(UTC)
