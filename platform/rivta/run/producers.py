"""The process of all stub producers: the demo world's journal systems, on the sockets that the supervisor opened."""

import asyncio
import logging
import ssl
from datetime import UTC, datetime

import uvloop

import rivta
from producers_stub.answers import StubProducer
from producers_stub.journals import load_journals
from producers_stub.server import StubServer
from producers_stub.services import Applications
from producers_stub.world import World
from rivta.contracts.current import CurrentContracts
from rivta.run.admin_door import door
from rivta.run.child import Child
from rivta.run.chores import every, switch_contracts
from rivta.run.home import Home
from rivta.run.output import log_to_stderr
from rivta.run.ports import BACKLOG
from rivta.run.trust import IDENTITY_SECONDS, OwnIdentity
from rivta.tls.contexts import server_context

_log = logging.getLogger("rivta.run.producers")

_CONTRACTS_SECONDS = 1.0


def main(home: Home, child: Child) -> None:
    """Serves every producer of the demo world until `child` is stopped.

    Raises ValueError, LookupError or OSError, saying which file, when world, journals, contracts or certificates cannot
    be used.
    """
    log_to_stderr()
    uvloop.run(_serve(home, child, started=datetime.now(UTC)))


async def _serve(home: Home, child: Child, *, started: datetime) -> None:
    world = World.load()
    shown = {producer.name: _shown(home, producer.name) for producer in world.producers}
    contracts = CurrentContracts(home.contracts)
    applications = Applications(_stub_producers(world, started), *contracts.in_force)
    server = StubServer(
        world.producers,
        application_of=applications.of,
        admin_door=door(home.admin_token()),
        listeners=child.listeners,
        tls={name: context for name, (context, _) in shown.items()},
        backlog=BACKLOG,
    )
    async with server:
        chores = [asyncio.create_task(every(IDENTITY_SECONDS, own.refresh)) for _, own in shown.values()]
        chores.append(asyncio.create_task(every(_CONTRACTS_SECONDS, lambda: _switch(contracts, applications))))
        child.ready()
        await child.stopped()
        for chore in chores:
            chore.cancel()


async def _switch(contracts: CurrentContracts, applications: Applications) -> None:
    if await asyncio.to_thread(switch_contracts, contracts, _log):
        await asyncio.to_thread(applications.use, *contracts.in_force)


def _shown(home: Home, name: str) -> tuple[ssl.SSLContext, OwnIdentity]:
    """The TLS context of a producer, and what keeps its certificate the newest."""
    certificate, key = home.certs / "issued" / f"{name}.pem", home.certs / "issued" / f"{name}.key"
    context = server_context(certificate=certificate, key=key, trusted=home.certs / "ca.pem")
    return context, OwnIdentity(certificate, key, (context,))


def _stub_producers(world: World, started: datetime) -> dict[str, StubProducer]:
    journals = load_journals()
    return {
        producer.name: StubProducer(
            producer=producer,
            journal=journals[producer.name],
            version=rivta.__version__,
            started=started,
            now=lambda: datetime.now(UTC),
        )
        for producer in world.producers
    }
