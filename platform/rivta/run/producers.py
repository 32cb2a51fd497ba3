"""The process of all stub producers: the demo world's journal systems, on the sockets that the supervisor opened."""

import asyncio
import logging
import ssl
import tomllib
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

import aiohttp
import uvloop

import rivta
from producers_stub.announcing import Announcement, Announcer, Send, announcements
from producers_stub.answers import StubProducer
from producers_stub.bad_certificates import bad_context
from producers_stub.journals import Journal, load_journals
from producers_stub.server import StubServer
from producers_stub.services import Applications
from producers_stub.situations import Situations
from producers_stub.world import World
from rivta.contracts.current import CurrentContracts
from rivta.run.admin_door import door
from rivta.run.child import Child
from rivta.run.chores import every, switch_contracts
from rivta.run.home import Home
from rivta.run.output import log_to_stderr
from rivta.run.ports import BACKLOG
from rivta.run.trust import IDENTITY_SECONDS, OwnIdentity
from rivta.soap.identifiers import CORRELATION_ID
from rivta.tls.contexts import client_context, server_context

_log = logging.getLogger("rivta.run.producers")

_CONTRACTS_SECONDS = 1.0
_ANNOUNCING_SECONDS = 30.0
"""For one Update."""


def main(home: Home, child: Child) -> None:
    """Serves every producer of the demo world until `child` is stopped.

    Raises ValueError, LookupError or OSError, saying which file, when world, journals, contracts or certificates cannot
    be used.
    """
    log_to_stderr()
    uvloop.run(_serve(home, child, started=datetime.now(UTC)))


async def _serve(home: Home, child: Child, *, started: datetime) -> None:
    world = World.load()
    journals, situations = load_journals(), Situations.load(world)
    shown = {producer.name: _shown(home, producer.name) for producer in world.producers}
    contracts = CurrentContracts(home.contracts)
    stubs = _stub_producers(world, journals, situations, started=started)
    applications = Applications(stubs, *contracts.in_force)
    announcer = Announcer.of(announcements(world, journals, situations), _announced_by_call(home))
    server = StubServer(
        world.producers,
        applications=applications,
        admin_door=door(home.admin_token()),
        steered=situations.setting,
        announced=announcer.describe,
        listeners=child.listeners,
        tls={name: context for name, (context, _) in shown.items()},
        bad_tls=lambda name, behaviour: bad_context(home.certs, name, behaviour, now=datetime.now(UTC)),
        backlog=BACKLOG,
    )
    async with server:
        chores = [asyncio.create_task(every(IDENTITY_SECONDS, own.refresh)) for _, own in shown.values()]
        chores.append(asyncio.create_task(every(_CONTRACTS_SECONDS, lambda: _switch(contracts, applications))))
        chores.append(asyncio.create_task(announcer.run()))
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


def _announced_by_call(home: Home) -> Send:
    """What calls an index as a producer does: by mutual TLS, through the platform that the producer is connected to."""

    async def send(one: Announcement) -> tuple[int, bytes]:
        issued = home.certs / "issued"
        tls = client_context(
            certificate=issued / f"{one.producer}.pem",
            key=issued / f"{one.producer}.key",
            trusted=home.certs / "ca.pem",
        )
        connector = aiohttp.TCPConnector(ssl=tls, force_close=True)
        limit = aiohttp.ClientTimeout(total=_ANNOUNCING_SECONDS)
        headers = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""', CORRELATION_ID: str(uuid.uuid4())}
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=limit) as session,
                session.post(_platform_url(home, one.platform), data=one.body, headers=headers) as answer,
            ):
                return answer.status, await answer.read()
        except aiohttp.ClientError as error:
            raise OSError(str(error)) from error

    return send


def _platform_url(home: Home, platform: str) -> str:
    """Where a platform of the pair is reached, as the tables' variables have it. Raises OSError."""
    try:
        url = tomllib.loads(home.settings_file(platform).read_text(encoding="utf-8"))["variables"][platform]
    except (KeyError, ValueError) as error:
        raise OSError(f"{home.settings_file(platform)} does not say where the platform is: {error}") from error
    return str(url)


def _stub_producers(
    world: World, journals: Mapping[str, Journal], situations: Situations, *, started: datetime
) -> dict[str, StubProducer]:
    return {
        producer.name: StubProducer(
            producer=producer,
            journal=journals[producer.name],
            version=rivta.__version__,
            started=started,
            now=lambda: datetime.now(UTC),
            situations=situations,
        )
        for producer in world.producers
    }
