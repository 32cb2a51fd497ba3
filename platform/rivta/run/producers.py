"""The process of all stub producers: the demo world's journal systems, on the sockets that the supervisor opened."""

from datetime import UTC, datetime

import uvloop

import rivta
from producers_stub.answers import StubProducer
from producers_stub.journals import load_journals
from producers_stub.server import StubServer
from producers_stub.services import application_factory
from producers_stub.world import World
from rivta.contracts.installed import Contracts
from rivta.run.admin_door import door
from rivta.run.child import Child
from rivta.run.home import Home
from rivta.run.output import log_to_stderr
from rivta.run.ports import BACKLOG
from rivta.tls.contexts import server_context


def main(home: Home, child: Child) -> None:
    """Serves every producer of the demo world until `child` is stopped.

    Raises ValueError, LookupError or OSError, saying which file, when world, journals, contracts or certificates cannot
    be used.
    """
    log_to_stderr()
    uvloop.run(_serve(home, child, started=datetime.now(UTC)))


async def _serve(home: Home, child: Child, *, started: datetime) -> None:
    world = World.load()
    server = StubServer(
        world.producers,
        application_of=application_factory(
            _stub_producers(world, started),
            Contracts.shipped(home.contracts),
        ),
        admin_door=door(home.admin_token()),
        listeners=child.listeners,
        tls={
            producer.name: server_context(
                certificate=home.certs / "issued" / f"{producer.name}.pem",
                key=home.certs / "issued" / f"{producer.name}.key",
                trusted=home.certs / "ca.pem",
            )
            for producer in world.producers
        },
        backlog=BACKLOG,
    )
    async with server:
        child.ready()
        await child.stopped()


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
