"""The contracts that a platform answers itself, over a real Unix socket and over HTTP in pieces."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from rivta.catalogue import registry
from rivta.catalogue.table import ListedRoute, Table, TableUnreadable
from rivta.contracts.samples import envelope, request, sample_file
from rivta.contracts.validation import Validators
from rivta.run.services.catalogue import Catalogue
from rivta.run.services.server import services
from rivta.soap import namespaces
from rivta.soap.head import read_head
from rivta.soap.identifiers import LogicalAddress
from rivta.soap.xml import parse_xml
from tests.catalogue.tables import compiled
from tests.catalogue.worked_example import TABLE
from tests.run.services.served import CONTRACTS, catalogue, message, payload_of

PING = CONTRACTS.find(namespaces.PING_FOR_CONFIGURATION_1)
ROUTES = message(f'<v:hamtaAllaVirtualiseringar xmlns:v="{namespaces.VAGVALSINFO_2}"/>')


@asynccontextmanager
async def serving(served: Catalogue, path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    server = services(served)
    listening = await asyncio.get_running_loop().create_unix_server(server, path)
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
        yield session
    listening.close()
    await server.shutdown(1)


async def posted(session: aiohttp.ClientSession, body: bytes) -> tuple[int, bytes]:
    async with session.post("http://localhost/", data=io.BytesIO(body)) as answer:
        return answer.status, await answer.read()


@pytest.mark.parametrize("padding", [0, 2_000_000], ids=["small", "megabytes"])
async def test_a_ping_tells_what_runs_however_long_it_is(short_folder: Path, padding: int) -> None:
    body = envelope(request(PING), LogicalAddress("SE1")) + b"<!--" + b"x" * padding + b"-->"
    async with serving(catalogue(None), short_folder / f"services-{padding}") as session:
        status, answered = await posted(session, body)

    assert status == 200
    payload = read_head(parse_xml(answered)).payload
    assert payload is not None
    assert Validators(CONTRACTS).check(PING, payload, "response").valid
    told = [text for text in payload.itertext() if text.strip()]
    assert told[1:] == ["20261124130000", "Applikation", "Platform of the test", "Publicering", "-"]


async def test_every_contract_is_answered_at_the_socket(short_folder: Path, tmp_path: Path) -> None:
    async with serving(catalogue(compiled(tmp_path, TABLE)), short_folder / "all") as session:
        for name in (
            "GetSupportedServiceContracts:1",
            "GetSupportedServiceContracts:2",
            "GetLogicalAddresseesByServiceContract:1",
            "GetLogicalAddresseesByServiceContract:2",
            "SokVagvalsInfo:1",
            "SokVagvalsInfo:2",
        ):
            contract = CONTRACTS.find(name)
            for operation in contract.operations:
                status, answered = await posted(session, sample_file(contract, "request", operation).read_bytes())
                assert status == 200
                assert payload_of(answered).tag == operation.response


async def test_a_list_that_breaks_off_is_cut_and_never_whole(
    short_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(table: Table) -> Iterator[list[ListedRoute]]:
        yield next(table.route_pages(1))
        raise TableUnreadable("the disk is gone")

    monkeypatch.setattr(registry, "routes", broken)
    async with serving(catalogue(compiled(tmp_path, TABLE)), short_folder / "broken") as session:
        with pytest.raises(aiohttp.ClientPayloadError):
            await posted(session, ROUTES)


async def test_a_list_that_cannot_start_is_a_fault(
    short_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_table: Table) -> Iterator[list[ListedRoute]]:
        raise TableUnreadable("the disk is gone")
        yield []

    monkeypatch.setattr(registry, "routes", broken)
    async with serving(catalogue(compiled(tmp_path, TABLE)), short_folder / "unstarted") as session:
        status, answered = await posted(session, ROUTES)

    assert status == 500
    assert payload_of(answered).findtext("faultstring") == "Internt fel i tjänsten."


async def test_an_older_table_is_read_to_its_end_after_a_newer_is_in_force(
    short_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = compiled(tmp_path / "old", TABLE, publication=1), compiled(tmp_path / "new", TABLE, publication=2)
    in_force = [old]
    pages = Table.route_pages

    def switching(table: Table) -> Iterator[list[ListedRoute]]:
        for page in pages(table, 1):
            in_force[0] = new
            table.path.unlink(missing_ok=True)
            yield list(page)

    monkeypatch.setattr(registry, "routes", switching)
    served = Catalogue(lambda: CONTRACTS, "t", lambda: in_force[0], catalogue(None).rules, catalogue(None).now)
    async with (
        serving(served, short_folder / "switched") as session,
        session.post("http://localhost/", data=ROUTES) as answer,
    ):
        assert answer.headers["x-rivta-publication"] == "1"
        assert len(payload_of(await answer.read())) == 3
