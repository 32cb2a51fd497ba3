"""A keeper: the process with everything that has state. The only one of its node that opens the database."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvloop
from aiohttp import web

from rivta.audit.call_log import CallLog
from rivta.audit.collector import Collector
from rivta.audit.ecs import EcsFile, describe_host
from rivta.catalogue.autopublish import Autopublisher, Folders, Result, State
from rivta.catalogue.publications import HsaVersions, Publications
from rivta.catalogue.rows import SWEDISH_TIME
from rivta.catalogue.serving import CurrentTable
from rivta.contracts.installed import Contracts
from rivta.run.admin import Kept, admin_application
from rivta.run.child import Child
from rivta.run.chores import every
from rivta.run.output import log_to_stderr
from rivta.run.ports import BACKLOG
from rivta.run.services import services
from rivta.run.settings import Settings
from rivta.store.engine import open_database
from rivta.tls.signing import signer

_log = logging.getLogger("rivta.run.keeper")

_POLL_SECONDS = 0.15
_RETENTION_SECONDS = 3600.0


def main(config: Path, child: Child) -> None:
    """Keeps a platform's state until the supervisor says stop. `config` is the platform's settings file."""
    log_to_stderr()
    uvloop.run(_keep(Settings.load(config), child))


async def _keep(settings: Settings, child: Child) -> None:
    asyncio.get_running_loop().set_default_executor(
        ThreadPoolExecutor(initializer=_give_way, thread_name_prefix="keeper")
    )
    state = settings.platform.state
    engine = open_database(settings.database_url)
    contracts = Contracts.shipped(settings.contracts.installed)
    kept = Kept(
        settings=settings,
        started=_now(),
        contracts=contracts,
        table=CurrentTable(state / "tables"),
        publications=(publications := Publications(engine, signer(settings.tls.key))),
        hsa_versions=(hsa_versions := HsaVersions(engine)),
        autopublisher=_autopublisher(settings, contracts, publications, hsa_versions),
        call_log=CallLog(engine),
        collector=Collector(
            state / "spool", engine, clock=_now, mirrors=[EcsFile(state / "ecs.jsonl", host=describe_host())]
        ),
        now=_now,
    )
    _report(await asyncio.to_thread(kept.autopublisher.start, _now()))
    kept.table.check()
    token = settings.listen.admin_token.read_text(encoding="ascii").strip()
    async with contextlib.AsyncExitStack() as stack:
        await _serve_admin(stack, kept, token, child)
        await _serve_services(stack, kept, child)
        workers_gone = asyncio.Event()
        collecting = asyncio.create_task(kept.collector.run(workers_gone))
        chores = [
            asyncio.create_task(every(_POLL_SECONDS, lambda: _publish(kept))),
            asyncio.create_task(every(_RETENTION_SECONDS, lambda: _retain(kept))),
        ]
        child.ready()
        await child.stopped()
        for chore in chores:
            chore.cancel()
        # The supervisor stops the workers first, so this last pass finds everything they wrote.
        workers_gone.set()
        await collecting
    engine.dispose()


def _give_way() -> None:
    """Bookkeeping waits for calls: this thread runs when the workers leave something of the processors."""
    with contextlib.suppress(OSError):  # only Linux has priorities for threads
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def _autopublisher(
    settings: Settings, contracts: Contracts, publications: Publications, hsa_versions: HsaVersions
) -> Autopublisher:
    draft = settings.tables.draft or settings.platform.state / "routing"
    return Autopublisher(
        Folders(draft, settings.tables.hsa, settings.platform.state / "tables"),
        publications,
        hsa_versions,
        contracts,
        variables=settings.variables,
        own_variables=[settings.platform.short_name],
        publishes=settings.tables.autopublish,
    )


async def _serve_admin(stack: contextlib.AsyncExitStack, kept: Kept, token: str, child: Child) -> None:
    runner = web.AppRunner(admin_application(kept, token=token), access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.SockSite(runner, child.listeners["admin"], backlog=BACKLOG).start()


async def _serve_services(stack: contextlib.AsyncExitStack, kept: Kept, child: Child) -> None:
    server = services(
        kept.contracts,
        title=kept.settings.platform.title or kept.settings.platform.name,
        publication=lambda: kept.table.table.publication if kept.table.table else None,
        now=lambda: datetime.now(SWEDISH_TIME),
    )
    listening = await asyncio.get_running_loop().create_unix_server(
        server, sock=child.listeners["services"], backlog=BACKLOG
    )
    stack.push_async_callback(server.shutdown, 5.0)
    stack.callback(listening.close)


async def _publish(kept: Kept) -> None:
    result = await asyncio.to_thread(kept.autopublisher.poll, _now())
    if result is not None:
        _report(result)
    kept.table.check()


def _report(result: Result) -> None:
    if result.state in (State.REFUSED, State.UNAVAILABLE):
        _log.error("%s: %s%s", result.state.value, result.message, "".join(f"\n  {one}" for one in result.errors))
    elif result.state is not State.UNCHANGED:
        _log.info("%s: %s", result.state.value, result.message)


async def _retain(kept: Kept) -> None:
    oldest = _now() - timedelta(days=kept.settings.call_log.retention_days)
    deleted = await asyncio.to_thread(kept.call_log.retain, oldest)
    if deleted:
        _log.info("%d call records older than %s deleted", deleted, oldest.date())


def _now() -> datetime:
    return datetime.now(UTC)
