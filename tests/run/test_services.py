"""The contracts that a platform answers itself, over a real Unix socket."""

import asyncio
import io
from datetime import datetime
from pathlib import Path

import aiohttp
import pytest

from rivta.catalogue.rows import SWEDISH_TIME
from rivta.contracts.installed import Contracts
from rivta.contracts.samples import envelope, request
from rivta.contracts.validation import Validators
from rivta.run.services import services
from rivta.soap import namespaces
from rivta.soap.head import read_head
from rivta.soap.identifiers import LogicalAddress
from rivta.soap.xml import parse_xml

CONTRACTS = Contracts.shipped()
PING = CONTRACTS.find(namespaces.PING_FOR_CONFIGURATION_1)


@pytest.mark.parametrize("publication", [7, None])
@pytest.mark.parametrize("padding", [0, 2_000_000], ids=["small", "megabytes"])
async def test_a_ping_tells_what_runs_however_long_it_is(
    short_folder: Path, publication: int | None, padding: int
) -> None:
    server = services(
        CONTRACTS,
        title="Platform of the test",
        publication=lambda: publication,
        now=lambda: datetime(2026, 11, 24, 12, 30, tzinfo=SWEDISH_TIME),
    )
    path = short_folder / f"services-{padding}-{publication}"
    listening = await asyncio.get_running_loop().create_unix_server(server, path)
    message = envelope(request(PING), LogicalAddress("SE1")) + b"<!--" + b"x" * padding + b"-->"
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.post("http://localhost/", data=io.BytesIO(message)) as answer,
    ):
        status, body = answer.status, await answer.read()
    listening.close()
    await server.shutdown(1)

    assert status == 200
    payload = read_head(parse_xml(body)).payload
    assert payload is not None
    assert Validators(CONTRACTS).check(PING, payload, "response").valid
    told = [text for text in payload.itertext() if text.strip()]
    assert told[1:] == ["20261124123000", "Applikation", "Platform of the test", "Publicering", str(publication or "-")]
