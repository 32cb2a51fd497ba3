"""The console's process: what it loads, what it is told, and its keeper's answers, good and bad."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from rivta.audit.access.entry import Entry, Kind
from rivta.catalogue.decision import Outcome
from rivta.run.console import ConsoleSettings, Keeper
from rivta.run.toml import to_toml
from rivta.soap import namespaces
from rivta.viewer.asking import NotAsked, Said
from rivta.viewer.looking import NotRecorded
from tests.support import CHECKOUT

LOOK = Entry(Kind.INTENT, patient="194110192392")


def settings(folder: Path, admin: str = "http://127.0.0.1:1") -> ConsoleSettings:
    (folder / "viewer.token").write_text("secret\n")
    content = {
        "console": {
            "hosts": ["localhost:20000"],
            "hsa_id": "SE165565594230-NPO",
            "certificate": folder / "npo.pem",
            "key": folder / "npo.key",
            "trusted": folder / "ca.pem",
            "national": "https://localhost:20010/vp",
            "admin": admin,
            "token": folder / "viewer.token",
            "index_address": "5565594230",
            "register_address": "SE2021004748-LF",
            "log_address": "SE165565594230-NTJP",
        }
    }
    file = folder / "console.toml"
    file.write_text(to_toml(content))
    return ConsoleSettings.load(file)


def test_it_never_loads_spyne_a_database_or_yaml() -> None:
    code = "import sys, rivta.run.console\nprint(*sorted({name.partition('.')[0] for name in sys.modules}))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT / "platform"), str(CHECKOUT)])}
    command = [sys.executable, "-W", "ignore", "-c", code]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    heavy = {"spyne", "sqlalchemy", "alembic", "psycopg", "yaml", "pydantic", "xmlschema", "rich"}
    assert heavy.isdisjoint(result.stdout.split())


@pytest.mark.parametrize("content", ["", "[console]\n", "[console]\nhosts = 1\n", "["])
def test_what_it_cannot_use_is_told_with_the_file(tmp_path: Path, content: str) -> None:
    file = tmp_path / "console.toml"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"console\.toml: "):
        ConsoleSettings.load(file)


Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]
Opened = Callable[[Answering], Awaitable[Keeper]]


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[Opened]:
    """Opens the console's half of the admin API against a keeper that answers as the test says."""
    servers: list[TestServer] = []
    opened: list[Keeper] = []

    async def open_one(answering: Answering) -> Keeper:
        application = web.Application()
        application.router.add_post("/{path:.*}", answering)
        server = TestServer(application)
        await server.start_server()
        servers.append(server)
        made = Keeper(settings(tmp_path, str(server.make_url("")).rstrip("/")))
        opened.append(await made.__aenter__())
        return made

    yield open_one
    for made in opened:
        await made.__aexit__()
    for server in servers:
        await server.close()


@pytest.mark.sockets
async def test_entries_go_with_the_viewers_token_and_come_back_as_ids(keeper: Opened) -> None:
    async def answering(request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == "Bearer secret"
        entries = (await request.json())["entries"]
        return web.json_response({"receipts": [{"id": f"w:{at}"} for at in range(len(entries))]}, status=201)

    assert await (await keeper(answering)).record(LOOK, LOOK) == ["w:0", "w:1"]


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("status", "text"),
    [
        (503, '{"detail": "the disk is full"}'),
        (401, "{}"),
        (500, "<html>"),
        (201, "{}"),
        (201, '{"receipts": []}'),
        (201, '{"receipts": [1]}'),
        (201, "[]"),
        (201, ""),
    ],
)
async def test_whatever_is_no_receipt_is_an_entry_that_is_not_written(keeper: Opened, status: int, text: str) -> None:
    asked = 0

    async def answering(_request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.Response(status=status, text=text)

    with pytest.raises(NotRecorded) as caught:
        await (await keeper(answering)).record(LOOK)
    assert LOOK.patient not in str(caught.value)
    assert asked == 1  # it may be in the log: it is not sent twice


@pytest.mark.sockets
async def test_a_keeper_that_is_away_writes_nothing_and_decides_nothing(tmp_path: Path) -> None:
    async with Keeper(settings(tmp_path)) as keeper:
        with pytest.raises(NotRecorded):
            await keeper.record(LOOK)
        with pytest.raises(NotAsked):
            await keeper.decisions(namespaces.GET_DIAGNOSIS_2, ["SE-A"])
        assert await keeper.decisions(namespaces.GET_DIAGNOSIS_2, []) == {}


@pytest.mark.sockets
async def test_decisions_are_asked_for_the_overviews_own_identity(keeper: Opened) -> None:
    async def answering(request: web.Request) -> web.StreamResponse:
        asked: Any = await request.json()
        assert asked["sender"] == "SE165565594230-NPO"
        said = {"outcome": "VP007", "permission": "", "name": None}
        return web.json_response({"decisions": dict.fromkeys(asked["logical_addresses"], said)})

    found = await (await keeper(answering)).decisions(namespaces.GET_DIAGNOSIS_2, ["SE-A"])
    assert found == {"SE-A": Said(Outcome.NO_PERMISSION, "", "")}


@pytest.mark.sockets
@pytest.mark.parametrize("text", ['{"decisions": {}}', '{"decisions": {"SE-A": {"outcome": "maybe"}}}', "null"])
async def test_what_is_no_decision_asks_nobody(keeper: Opened, text: str) -> None:
    async def answering(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=text)

    with pytest.raises(NotAsked):
        await (await keeper(answering)).decisions(namespaces.GET_DIAGNOSIS_2, ["SE-A"])
