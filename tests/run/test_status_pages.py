"""The incumbent's status, reset and actuator pages, over a real autopublisher and database."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp.test_utils import TestClient, TestServer

from rivta.catalogue.autopublish import Autopublisher, Folders
from rivta.catalogue.publications import HsaVersions, Publications
from rivta.catalogue.rows import SWEDISH_TIME
from rivta.catalogue.serving import CurrentTable
from rivta.contracts.current import CurrentContracts
from rivta.run.access_log import KeptAccessLog
from rivta.run.admin import Kept
from rivta.run.indexing import Indexing
from rivta.run.settings import Settings
from rivta.run.status_pages import status_application
from rivta.store.engine import open_database
from tests.catalogue.tables import NOW, VARIABLES, FakeContracts
from tests.run.test_settings import LEAST

pytestmark = pytest.mark.sockets

CONTRACTS = FakeContracts()

TABLES = """\
components: {SE2321000016-A: {name: a}, SE2321000016-C: {name: c}}
producer_addresses: {a: {component: SE2321000016-A, url: "https://a.test/"}}
routes: [{logical_address: SE2321000016-KS, contracts: GetDiagnosis:2, producer_address: a}]
permissions:
  - {consumer: SE2321000016-C, logical_address: SE2321000016-KS, contracts: GetDiagnosis:2, agreement: "x"}
"""


@dataclass
class Platform:
    """A keeper's state with its files, and a client of its pages once they are opened."""

    folder: Path

    def __post_init__(self) -> None:
        self.draft, self.hsa = self.folder / "routing", self.folder / "hsa"
        self.draft.mkdir()
        self.hsa.mkdir()
        self.tables(TABLES)
        self.units("C: {name: Clinic, parent: H}", "H: {name: Hospital}")
        engine = open_database(f"sqlite:///{self.folder / 'rivta.sqlite'}")
        hsa_versions = HsaVersions(engine)
        table = CurrentTable(self.folder / "tables")
        content = LEAST | {"tables": {"draft": str(self.draft), "hsa": str(self.hsa)}}
        content["platform"] = LEAST["platform"] | {"state": str(self.folder)}
        settings = Settings.parse(content, self.folder / "platform.toml")
        self.kept = Kept(
            settings=settings,
            started=NOW - timedelta(days=1, hours=2, minutes=3, seconds=4),
            contracts=CurrentContracts(None),
            table=table,
            publications=Publications(engine),
            hsa_versions=hsa_versions,
            autopublisher=Autopublisher(
                Folders(self.draft, self.hsa, self.folder / "tables"),
                Publications(engine),
                hsa_versions,
                lambda: CONTRACTS,
                variables=VARIABLES,
            ),
            desk=cast(Any, None),
            tokens=cast(Any, None),
            call_log=cast(Any, None),
            collector=cast(Any, None),
            payloads=cast(Any, None),
            revocations=cast(Any, SimpleNamespace()),
            indexing=Indexing.of(settings, engine, lambda: table.table, now=lambda: NOW),
            access_log=KeptAccessLog(settings, clock=lambda: NOW),
            now=lambda: NOW,
        )

    def tables(self, text: str) -> None:
        (self.draft / "a.yaml").write_text(text, encoding="utf-8")

    def units(self, *lines: str) -> None:
        text = "".join(f"  {line}\n" for line in lines)
        (self.hsa / "units.yaml").write_text(f"units:\n{text}", encoding="utf-8")

    async def open(self) -> None:
        started = self.kept.autopublisher.start(NOW)
        self.kept.table.check()
        self.client: TestClient[Any, Any] = TestClient(TestServer(status_application(self.kept, started)))
        await self.client.start_server()

    async def ask(self, path: str, method: str = "GET") -> tuple[int, str | None, str]:
        async with self.client.request(method, path) as answer:
            return answer.status, answer.headers.get("Content-Type"), await answer.text()

    async def json(self, path: str) -> Any:
        return json.loads((await self.ask(path))[2])


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    made = Platform(tmp_path)
    await made.open()
    yield made
    await made.client.close()


@pytest.mark.parametrize("question", ["", "?memory", "?netty"])
async def test_status_is_texts_as_the_incumbent_spells_them(platform: Platform, question: str) -> None:
    status, content_type, body = await platform.ask(f"/status{question}")
    found = json.loads(body)
    assert (status, content_type, body.splitlines()[1][:3]) == (200, "application/json; charset=utf-8", '  "')
    assert all(isinstance(value, str) for name, value in found.items() if name != "Endpoints")
    assert found["Endpoints"] == [
        f"http://127.0.0.1:1080{path}" for path in ("/status", "/resetcache", "/resethsacache")
    ]
    assert found["ServiceStatus"] == "Started"
    assert found["Uptime"] == "1 days, 2 hours, 3 minutes, 4 seconds"
    assert found["TakCacheInitialized"] == found["HsaCacheInitialized"] == "true"
    when = f"{NOW.astimezone(SWEDISH_TIME):%Y-%m-%dT%H:%M}"
    assert found["TakCacheResetInfo"] == f"Date:{when} Status:REFRESH_OK vagval:1 behorigheter:1"
    assert found["HsaCacheResetInfo"] == f"Date:{when} Status:true oldNum:2 newNum:2"


async def test_a_reset_puts_what_was_just_saved_in_force(platform: Platform) -> None:
    platform.tables(TABLES.replace("SE2321000016-KS,", "[SE2321000016-KS, SE2321000016-SUS],", 1))
    status, content_type, body = await platform.ask("/resetcache", "POST")
    lines = body.split("<br>")
    assert (status, content_type, lines[0]) == (200, "text/html;", "")
    assert [line.partition(":")[0] for line in lines[1:3]] == ["Host", "Time"]
    assert lines[3] == "Initialize TAK cache resources..."
    assert lines[4].startswith("Succeeded to get virtualizations and/or permissions from TAK, save to local TAK copy")
    assert lines[5].startswith(
        f"Succesfully saved virtualizations and permissions to local TAK copy: {platform.folder}"
    )
    assert lines[6:] == [
        "Init TAK cache loaded number of permissions: 1",
        "Init TAK cache loaded number of virtualizations: 2",
        "Init done, was successful: true",
    ]


async def test_a_reset_with_broken_tables_says_that_the_old_ones_stay(platform: Platform) -> None:
    platform.tables("routes: nonsense")
    body = (await platform.ask("/resetcache"))[2]
    assert "Will continue to use already loaded TAK data.<br>" in body
    assert body.endswith("virtualizations: 1<br>Init done, was successful: false")
    assert "Status:REUSING_EXISTING_CACHE" in (await platform.json("/status"))["TakCacheResetInfo"]
    assert (await platform.ask("/actuator/health/readiness"))[0] == 200


async def test_a_platform_that_never_had_tables_is_down(tmp_path: Path) -> None:
    platform = Platform(tmp_path)
    platform.tables("routes: nonsense")
    await platform.open()
    try:
        status, content_type, body = await platform.ask("/actuator/health")
        assert (status, content_type) == (503, "application/vnd.spring-boot.actuator.v3+json")
        down = {"status": "DOWN", "details": {"refreshStatus": "Not initialized"}}
        assert json.loads(body)["components"]["takCache"] == down
        assert (await platform.ask("/actuator/health/liveness"))[0] == 200
        reset = (await platform.ask("/resetcache"))[2]
        assert "Restore from local TAK copy...<br>Failed to restore" in reset
        assert (await platform.json("/status"))["TakCacheResetInfo"] == "Not initialized"
    finally:
        await platform.client.close()


async def test_the_hsa_tree_is_read_again(platform: Platform) -> None:
    platform.units("C: {name: Clinic, parent: H}", "H: {name: Hospital}", "N: {name: New}")
    status, content_type, body = await platform.ask("/resethsacache")
    assert (status, content_type) == (200, "text/plain; charset=utf-8")
    assert body == (
        f"Start a reset of HSA cache using files: [{platform.hsa / 'units.yaml'}]\n"
        "Successfully reset HSA cache. \nHSA cache size was: 2 \nHSA cache now is: 3."
    )


@pytest.mark.parametrize("units", [("C: {parent: Nobody}",), ("C: {name: all others are gone}",)])
async def test_a_tree_that_is_refused_is_told_and_not_ready(platform: Platform, units: tuple[str, ...]) -> None:
    platform.units(*units)
    body = (await platform.ask("/resethsacache"))[2]
    assert body.splitlines()[1] == "Reset HSA cache failed."
    assert len(body.splitlines()[2]) > 20
    assert (await platform.json("/status"))["HsaCacheInitialized"] == "false"
    status, _, health = await platform.ask("/actuator/health/readiness")
    assert (status, json.loads(health)["components"]["hsaCache"]["details"]) == (
        503,
        {"hsaCacheStatus": "Not initialized"},
    )
