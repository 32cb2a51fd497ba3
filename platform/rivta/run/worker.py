"""A worker: the process that carries calls. It imports no spyne, SQLAlchemy or YAML; all state is the keeper's."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import socket
import ssl
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import uvloop

from rivta.aggregation.service import Aggregation, WithAggregation
from rivta.audit.metrics import WorkerMetrics, WorkerState
from rivta.audit.payloads import PayloadWriter
from rivta.audit.spool import SpoolFailed, SpoolFull, SpoolWriter
from rivta.catalogue.serving import CurrentTable
from rivta.contracts.current import CurrentContracts
from rivta.router.calling import Calling
from rivta.router.client import ClientRules, ProducerClient
from rivta.router.front import ContractDocuments, Forwarded, front
from rivta.router.identify import Withdrawn, identify
from rivta.router.large import Giants
from rivta.router.limits import Limits
from rivta.router.pipeline import Router
from rivta.router.record import CallRecord, CannotRecord
from rivta.router.schemas import Schemas
from rivta.router.server import Listener, serve
from rivta.run.child import Child
from rivta.run.chores import every, switch_contracts
from rivta.run.output import log_to_stderr
from rivta.run.router_settings import aggregation_rules_of, client_rules_of, identities_of, limits_of, policy_of
from rivta.run.settings import Settings, Tls
from rivta.run.trust import IDENTITY_SECONDS, REVOCATION_SECONDS, ListenerTls, RevocationWatch
from rivta.tls.header_certificate import HeaderCertificates
from rivta.tls.sender import Sender
from rivta.tls.targets import Identities

_log = logging.getLogger("rivta.run.worker")

_TABLE_SECONDS = 0.25
_CONTRACTS_SECONDS = 1.0
_METRICS_SECONDS = 0.5
_DRAIN_SECONDS = 30.0
_MOST_FILES = 65_536
_IDLE_SECONDS = 1.0
"""So long a connection may ask nothing before a drain closes it."""
_PATIENT_IDLE_SECONDS = ClientRules().idle_seconds + 2.0
"""The same when a successor serves already: longer than a platform before this one keeps a connection without a call,
so that it never calls on one that is being closed."""


def main(config: Path, index: int, child: Child) -> None:
    """Carries calls until the supervisor says stop. `config` is the platform's settings file."""
    log_to_stderr()
    settings = Settings.load(config)
    metrics = WorkerMetrics(settings.platform.state / "metrics")
    uvloop.run(_work(settings, index, child, metrics))


async def _work(settings: Settings, index: int, child: Child, metrics: WorkerMetrics) -> None:
    asyncio.get_running_loop().set_exception_handler(_note_loop_error)
    contracts = CurrentContracts(settings.contracts.installed)
    switch = _ContractSwitch(contracts)
    table = CurrentTable(settings.platform.state / "tables")
    revocations = RevocationWatch.of(
        settings.tls, clock=_now, accepts_doubt=settings.insecure_switches.overdue_crl_accepted
    )
    identities = identities_of(settings, revocations)
    producers = ProducerClient(identities, client_rules_of(settings))
    spool, payloads = _spool(settings, index), _payloads(settings)
    policy = policy_of(settings)
    certificates = HeaderCertificates.load(
        settings.tls.trusted, checked=not policy.insecure.header_certificate_unchecked
    )
    giants = Giants()
    aggregation = Aggregation(
        aggregation_rules_of(settings),
        carry=lambda request: router.carry_to_its_end(request),
        table=lambda: table.decisions,
        limit=policy.in_flight_limit,
        now=_now,
        giants=giants,
    )
    calling = Calling(
        policy,
        WithAggregation(producers, aggregation.answer),
        is_platform=lambda hsa_id: _is_platform(table, hsa_id),
    )
    router = Router(
        policy,
        table=lambda: table.decisions,
        identify=partial(
            identify,
            policy=policy,
            certificates=certificates,
            withdrawn=Withdrawn(revocations.is_revoked, revocations.doubt),
        ),
        schemas=Schemas(policy, lambda: contracts.in_force, switch.look_again),
        calling=calling,
        now=_now,
        recorder=_Recorder(spool, metrics, durable=settings.call_log.mode == "durable"),
        payloads=payloads,
        giants=giants,
    )
    listener_tls = ListenerTls(settings.tls, old_tls=settings.insecure_switches.old_tls)
    await _until_there_is_a_table(table, child)
    doors = await _open_doors(settings, router, contracts, child.listeners, listener_tls.context)

    def cut(is_revoked: Callable[[Sender], bool]) -> int:
        return sum(door.drop(is_revoked) for door in doors) + producers.drop(identities.is_revoked)

    drained = asyncio.Event()
    spooling = asyncio.create_task(spool.run(drained))
    chores = [
        asyncio.create_task(every(_TABLE_SECONDS, lambda: _switch_table(table))),
        asyncio.create_task(every(_CONTRACTS_SECONDS, switch.look)),
        asyncio.create_task(every(REVOCATION_SECONDS, lambda: revocations.refresh(cut))),
        asyncio.create_task(every(REVOCATION_SECONDS, lambda: _refresh(identities, producers))),
        asyncio.create_task(every(IDENTITY_SECONDS, lambda: _renew(listener_tls, settings.tls, certificates, doors))),
        asyncio.create_task(every(_METRICS_SECONDS, lambda: _show_figures(metrics, calling, spool, doors))),
    ]
    _spare_the_collector()
    child.ready()
    # The first refusal must not stall the calls beside it for the quarter second that explaining takes to load.
    await asyncio.to_thread(_warm, contracts)
    await child.stopped()
    await _close(doors, patient=child.has_successor)
    await producers.close()
    if payloads is not None:
        await asyncio.to_thread(payloads.close)
    drained.set()
    await spooling
    for chore in chores:
        chore.cancel()
    spool.close()


async def _open_doors(
    settings: Settings,
    router: Router,
    contracts: CurrentContracts,
    listeners: Mapping[str, socket.socket],
    context: ssl.SSLContext,
) -> list[Listener]:
    """Answers calls on the https listener, and on the one without TLS if there is one."""
    forwarded = Forwarded(settings.forwarded.proto, settings.forwarded.host, settings.forwarded.port)
    documents = ContractDocuments(lambda: contracts.contracts, settings.url, forwarded)
    handler = front(router.carry, path="/vp", documents=documents)
    limits = _limits(settings, doors=len(listeners))
    return [
        await serve(
            handler,
            turn_away=router.turn_away,
            listening=listeners[name],
            tls=tls,
            limits=limits,
            server="" if settings.compat_switches.server_of_producer else "rivta",
        )
        for name, tls in (("https", context), ("http", None))
        if name in listeners
    ]


def _limits(settings: Settings, *, doors: int) -> Limits:
    """Of each listener: what the settings say, as far as this process may open files."""
    wanted, open_files = limits_of(settings), _open_files()
    limits = wanted.within(open_files // doors)
    if limits.connections < wanted.connections:
        _log.warning(
            "a worker may open %d files here: it takes %d connections, %d of one sender; "
            "give it more (`ulimit -n`, LimitNOFILE of systemd)",
            open_files,
            limits.connections,
            limits.connections_per_sender,
        )
    return limits


def _open_files() -> int:
    """How many files this process may open, once it has been given as many as it may give itself."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if most == resource.RLIM_INFINITY else min(most, _MOST_FILES)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
        now = wanted
    return _MOST_FILES if now == resource.RLIM_INFINITY else now


def _payloads(settings: Settings) -> PayloadWriter | None:
    kept = settings.call_log
    if not kept.payload:
        return None
    _log.warning("call_log.payload is on: messages are kept, patient data among them")
    return PayloadWriter(settings.platform.state / "payload", keeps_personal_numbers=kept.payload_personal_numbers)


async def _close(doors: Sequence[Listener], *, patient: bool) -> None:
    """Lets calls finish, and those who are connected notice."""
    seconds = _PATIENT_IDLE_SECONDS if patient else _IDLE_SECONDS
    await asyncio.gather(*(door.close(drain_seconds=_DRAIN_SECONDS, idle_seconds=seconds) for door in doors))


def _spool(settings: Settings, index: int) -> SpoolWriter:
    return SpoolWriter(
        settings.platform.state / "spool",
        writer=f"{settings.platform.short_name}-worker-{index}",
        boot=uuid.uuid4().hex,
        mode=settings.call_log.mode,
        clock=_now,
        capacity=settings.call_log.capacity,
        segment_bytes=settings.call_log.segment_bytes,
    )


class _Recorder:
    """Takes call records to the spool and the metrics."""

    def __init__(self, spool: SpoolWriter, metrics: WorkerMetrics, *, durable: bool) -> None:
        self._spool = spool
        self._metrics = metrics
        self._durable = durable

    def check(self) -> None:
        try:
            self._spool.check()
        except (SpoolFull, SpoolFailed) as error:
            raise CannotRecord(str(error)) from error

    async def add(self, record: CallRecord) -> None:
        self._metrics.observe(record)
        if not self._durable:
            self._spool.append(record)
            return
        try:
            await self._spool.append_durably(record)
        except (SpoolFull, SpoolFailed) as error:
            raise CannotRecord(str(error)) from error


async def _renew(
    listener_tls: ListenerTls, tls: Tls, certificates: HeaderCertificates, doors: Sequence[Listener]
) -> None:
    """Takes a changed certificate, or changed trust, into use."""
    if listener_tls.refresh():
        certificates.trust(tls.trusted)
        cut = sum(door.show(listener_tls.context, is_unwelcome=listener_tls.distrusts) for door in doors)
        if cut:
            _log.info("%d connections cut whose authority is trusted no more", cut)


async def _refresh(identities: Identities, producers: ProducerClient) -> None:
    if await identities.refresh():
        _log.info("%d connections with producers cut", producers.drop(identities.is_revoked))


def _spare_the_collector() -> None:
    """What is loaded now stays: the garbage collector need not walk it, nor look for cycles after each 700 objects.

    Measured: 47 us of 513 us CPU for a routed call of 2 KB.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _warm(current: CurrentContracts) -> None:
    contracts, validators = current.in_force
    for contract in contracts:
        validators.compile(contract, explaining=True)


async def _until_there_is_a_table(table: CurrentTable, child: Child) -> None:
    """The keeper compiles the first table; until it has, a worker would only answer VP008."""
    stopped = asyncio.create_task(child.stopped())
    while not table.check() and not stopped.done():  # noqa: ASYNC110
        await asyncio.sleep(0.05)  # a file of another process is what is waited for
    stopped.cancel()


def _is_platform(current: CurrentTable, hsa_id: str) -> bool:
    return current.table is not None and current.table.is_platform(hsa_id)


async def _switch_table(table: CurrentTable) -> None:
    before = table.load_error
    if table.check() and table.table is not None:
        _log.info("publication %d, HSA version %d in force", table.table.publication, table.table.hsa_version)
    elif table.load_error is not None and table.load_error != before:
        _log.error("the table in force stays: %s", table.load_error)


class _ContractSwitch:
    """Puts contracts in force that were installed meanwhile, in a thread, however many ask at once."""

    def __init__(self, contracts: CurrentContracts) -> None:
        self._contracts = contracts
        self._looking = asyncio.Lock()

    async def look(self) -> None:
        """Returns when what is installed is in force, and the first refusal by it will stall nobody."""
        async with self._looking:
            if await asyncio.to_thread(switch_contracts, self._contracts, _log):
                await asyncio.to_thread(_warm, self._contracts)

    async def look_again(self) -> None:
        """The same, at the cost of one `stat` where nothing has changed."""
        if self._contracts.has_changed() or self._looking.locked():
            await self.look()


async def _show_figures(
    metrics: WorkerMetrics, calling: Calling, spool: SpoolWriter, doors: Sequence[Listener]
) -> None:
    metrics.observe_worker(
        WorkerState(
            in_flight=calling.in_flight,
            records_waiting=spool.backlog,
            records_dropped=spool.dropped,
            breakers_open=len(calling.open_breakers),
            handshakes_failed=sum(door.failed_handshakes for door in doors),
        )
    )


def _note_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Failed handshakes and resets are the clients' affair; anything else is ours and gets its traceback."""
    error = context.get("exception")
    if isinstance(error, OSError):
        _log.info("a connection ended: %s", error)
    else:
        loop.default_exception_handler(context)


def _now() -> datetime:
    return datetime.now(UTC)
