"""A development CA with a certificate for every stub producer, one for a caller, and stub producers that run."""

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from producers_stub.answers import StubProducer
from producers_stub.bad_certificates import bad_context
from producers_stub.journals import load_journals
from producers_stub.server import ADMIN, StubServer
from producers_stub.services import Applications
from producers_stub.situations import Situations
from producers_stub.world import World
from rivta.contracts.current import CurrentContracts
from rivta.run.admin_door import door
from rivta.tls.authority import Authority
from rivta.tls.contexts import client_context, server_context
from rivta.tls.profiles import KeyKind, Profiles

TOKEN = "token-of-the-test"


@dataclass(frozen=True, slots=True)
class Running:
    """Stub producers on real sockets, and a client that they trust."""

    ports: dict[str, int]
    client: aiohttp.ClientSession
    tls: ssl.SSLContext
    ca: Path

    def url(self, producer: str) -> str:
        return f"https://localhost:{self.ports[producer]}/"

    @property
    def admin(self) -> str:
        return f"http://127.0.0.1:{self.ports[ADMIN]}"

    async def set(self, target: str, **setting: object) -> None:
        """Sets a target to behave otherwise."""
        await self.ask_admin("PUT", f"/stubs/{target}", json=setting)

    async def ask_admin(self, method: str, path: str, **more: Any) -> Any:
        """The admin API's answer, which has to be a good one."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with self.client.request(method, f"{self.admin}{path}", headers=headers, **more) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


@pytest.fixture(scope="session")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a CA that has issued `caller` and every producer of the demo world."""
    shipped_profiles = Profiles.shipped()
    quick = Profiles(
        root=replace(shipped_profiles.root, key=KeyKind.EC_P256),
        issuing=replace(shipped_profiles.issuing, key=KeyKind.EC_P256),
        function=replace(shipped_profiles.function, key=KeyKind.EC_P256),
    )
    authority = Authority.create(tmp_path_factory.mktemp("stub-ca") / "certs", profiles=quick)
    for name in ("caller", *(producer.name for producer in World.load().producers)):
        authority.issue(name, hsa_id=f"SE1-{name}", common_name=name, organisation="Test", hosts=["localhost"])
    return authority.folder


@pytest.fixture
async def running(issued: Path) -> AsyncIterator[Running]:
    """All stub producers of the demo world, with contracts validated as `report`."""
    async with stub_producers(issued) as server:
        yield server


@asynccontextmanager
async def stub_producers(certs: Path) -> AsyncIterator[Running]:
    world = World.load()
    journals, situations = load_journals(), Situations.load(world)
    now = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
    stubs = {
        producer.name: StubProducer(producer, journals[producer.name], "0.1.0", now, lambda: now, situations)
        for producer in world.producers
    }
    listeners = {name: _listening() for name in (ADMIN, *stubs)}
    caller = client_context(
        certificate=certs / "issued" / "caller.pem", key=certs / "issued" / "caller.key", trusted=certs / "ca.pem"
    )
    server = StubServer(
        world.producers,
        applications=Applications(stubs, *CurrentContracts(None).in_force),
        admin_door=door(TOKEN),
        steered=situations.setting,
        announced=lambda: {"settled": True, "announcements": []},
        listeners=listeners,
        tls={
            name: server_context(
                certificate=certs / "issued" / f"{name}.pem",
                key=certs / "issued" / f"{name}.key",
                trusted=certs / "ca.pem",
            )
            for name in stubs
        },
        bad_tls=lambda name, behaviour: bad_context(certs, name, behaviour, now=datetime.now(UTC)),
        drain_seconds=0.2,
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server)
        connector = aiohttp.TCPConnector(ssl=caller)
        client = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        ports = {name: listener.getsockname()[1] for name, listener in listeners.items()}
        yield Running(ports, client, caller, certs / "ca.pem")


def _listening() -> socket.socket:
    """On a port that was asked for by number, as the supervisor's are: else it is lost when the socket is stopped."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    listener.setblocking(False)
    return listener
