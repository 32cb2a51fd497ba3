"""The admin API's part for the engagement index, and the incumbent's pages, over a real index."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import Engine

from rivta.catalogue.table import Table
from rivta.index.changes import Kind
from rivta.index.engagement import Transaction
from rivta.run.admin_door import door, least_roles
from rivta.run.admin_index import INDEX_PATHS, IndexApi
from rivta.run.index_pages import index_pages
from rivta.run.indexing import Indexing, identity_of
from rivta.run.settings import Aggregation, Settings
from tests.calls import Clock
from tests.catalogue.tables import compiled
from tests.databases import database, migrated_file, migrated_postgres
from tests.index.built import NATIONAL, NOON, REGIONAL, TOLVAN, put
from tests.run.test_settings import LEAST

__all__ = ["database", "migrated_file", "migrated_postgres"]

pytestmark = pytest.mark.sockets

TABLE = """\
components: {SE2321000016-RTP: {name: r}}
permissions:
  - {consumer: SE2321000016-RTP, logical_address: "5565594230", contracts: ProcessNotification:1, agreement: a}
"""


def settings_of(folder: Path, **index: Any) -> Settings:
    platform = {"hsa_id": REGIONAL, "name": "RTP", "state": str(folder)}
    return Settings.parse(LEAST | {"platform": platform, "index": index}, folder / "platform.toml")


async def nobody_takes(_: object) -> str:
    return "nobody listens"


@dataclass
class Keeper:
    """An index of a keeper with its API and its pages."""

    indexing: Indexing
    clock: Clock
    client: Any = None

    def update(self, *transactions: Transaction) -> None:
        self.indexing.store.take(Kind.UPDATE, transactions, correlation_id="c1")

    def give_up(self) -> int:
        """Sends the oldest notification in vain until it is a dead letter; gives its id."""
        one = self.indexing.outbox.next(NATIONAL)
        assert one is not None
        while not self.indexing.outbox.failed(one, "nobody listens", self.clock.now):
            one = self.indexing.outbox.next(NATIONAL)
            assert one is not None
        return one.ids[0]

    async def ask(self, verb: str, path: str, json: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": "Bearer t"}
        async with self.client.request(verb, path, json=json, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, path: str) -> Any:
        status, found = await self.ask("GET", path)
        assert status == 200
        return found

    async def text(self, path: str) -> str:
        async with self.client.get(path) as answer:
            return str(await answer.text())


@pytest.fixture
async def keeper(database: Engine, tmp_path: Path) -> AsyncIterator[Keeper]:
    table: Table = compiled(tmp_path, TABLE)
    clock = Clock(NOON)
    settings = settings_of(tmp_path, attempts=2)
    indexing = Indexing.of(settings, database, lambda: table, now=clock, send=nobody_takes)
    made = Keeper(indexing, clock)
    application = web.Application()
    api = web.Application(middlewares=door("t", least_roles(INDEX_PATHS)))
    served = IndexApi(cast(Any, SimpleNamespace(indexing=indexing, now=clock)))
    for one in INDEX_PATHS:
        route = web.get if one.verb == "GET" else partial(web.route, one.verb)
        api.add_routes([route(one.path, getattr(served, one.method))])

    async def status(_: web.Request) -> web.StreamResponse:
        return web.Response(text="the platform's own")

    for path, page in index_pages(indexing, status):
        application.router.add_get(path, page)
    application.add_subapp("/api", api)
    made.client = TestClient(TestServer(application))
    await made.client.start_server()
    yield made
    await made.client.close()


async def test_what_there_is_and_who_subscribes(keeper: Keeper) -> None:
    keeper.update(put(), put(source_system="S2"), put(categorization="voo"))
    found = await keeper.get("/api/index")
    assert (found["hsa_id"], found["engagements"]) == (REGIONAL, 3)
    assert [(one["categorization"], one["number"]) for one in found["kinds"]] == [("dia", 2), ("voo", 1)]
    assert found["subscribers"] == [{"logical_address": NATIONAL, "filters": []}]
    assert TOLVAN not in str(found)


async def test_an_index_has_settled_when_nothing_waits(keeper: Keeper) -> None:
    assert (await keeper.get("/api/index/queues"))["settled"]
    keeper.update(put())
    waiting = await keeper.get("/api/index/queues")
    assert (waiting["settled"], waiting["taken"]) == (False, 1)
    assert [(one["subscriber"], one["waiting"], one["changes"]) for one in waiting["queues"]] == [(NATIONAL, 1, 1)]
    keeper.give_up()
    given_up = await keeper.get("/api/index/queues")
    assert (given_up["settled"], given_up["queues"][0]["dead"]) == (True, 1)


async def test_dead_letters_are_listed_shown_sent_again_and_thrown_away(keeper: Keeper) -> None:
    keeper.update(put())
    id = keeper.give_up()
    (letter,) = (await keeper.get("/api/index/dead"))["dead"]
    assert (letter["id"], letter["attempts"], letter["reason"]) == (id, 2, "nobody listens")
    assert TOLVAN not in str(letter)
    shown = await keeper.get(f"/api/index/dead/{id}")
    assert shown["transactions"][0]["registeredResidentIdentification"] == TOLVAN

    assert await keeper.ask("POST", "/api/index/dead/send", {"ids": [str(id)]}) == (200, {"sent": 1})
    assert (await keeper.get("/api/index/dead"))["dead"] == []
    again = keeper.give_up()
    assert await keeper.ask("POST", "/api/index/dead/send", {"all": True}) == (200, {"sent": 1})
    last = keeper.give_up()
    assert last > again > id
    assert await keeper.ask("DELETE", f"/api/index/dead/{last}") == (200, {"discarded": last})


@pytest.mark.parametrize(
    ("verb", "path", "body", "status", "detail"),
    [
        ("GET", "/api/index/dead/9", None, 404, "there is no dead letter 9"),
        ("GET", "/api/index/dead/x", None, 404, "there is no dead letter x"),
        ("DELETE", "/api/index/dead/9", None, 404, "there is no dead letter 9"),
        ("POST", "/api/index/dead/send", {}, 400, "say which dead letters in ids, or all"),
        ("POST", "/api/index/dead/send", {"ids": ["x"]}, 400, "each a text of digits"),
        ("POST", "/api/index/dead/send", {"ids": ["9" * 40]}, 400, "each a text of digits"),
        ("POST", "/api/index/dead/send", {"ids": ["9"]}, 404, "1 of these ids are none of a dead letter; 0 are sent"),
        ("POST", "/api/index/dead/send", {"id": "9"}, 400, "id is unknown; known are all, ids"),
    ],
)
async def test_what_cannot_be_is_told(
    keeper: Keeper, verb: str, path: str, body: Any, status: int, detail: str
) -> None:
    answered, problem = await keeper.ask(verb, path, body)
    assert answered == status
    assert detail in problem["detail"]


async def test_what_an_operator_should_know(keeper: Keeper) -> None:
    assert keeper.indexing.problem() is None
    keeper.update(put())
    one = keeper.indexing.outbox.next(NATIONAL)
    assert one is not None
    keeper.indexing.outbox.failed(one, "closed", NOON)
    told = keeper.indexing.problem()
    assert told == (
        "1 notifications wait for 5565594230, the oldest of 2026-11-24 12:00 UTC, which does not take them: closed"
    )
    keeper.give_up()
    assert keeper.indexing.problem() == "1 notifications to 5565594230 were given up: `rivta index dead`"


def test_an_engagement_may_point_at_nothing_of_the_platforms_own(tmp_path: Path) -> None:
    identity = identity_of(settings_of(tmp_path, hsa_id=NATIONAL, alternative_hsa_ids=["OLD"], reserved=["AGP"]))
    assert identity.hsa_id == NATIONAL
    assert identity.alternatives == {"OLD"}
    assert identity.reserved == {NATIONAL, REGIONAL, "OLD", "AGP"}
    assert identity_of(settings_of(tmp_path)).hsa_id == REGIONAL
    with_services = settings_of(tmp_path).model_copy(update={"aggregation": Aggregation(address="AGG")})
    assert identity_of(with_services).reserved == {REGIONAL, "AGG"}


class TestTheIncumbentsPages:
    """Section 3.8 of the behaviour read from SKLTP's EI."""

    async def test_subscribers(self, keeper: Keeper) -> None:
        assert await keeper.text("/skltp-ei/resetcache") == "Subscriber cache reset"
        assert await keeper.text("/skltp-ei/subscriber/status") == '{"Subscribers": ["5565594230"]}'

    async def test_under_the_write_lock_changes_wait(self, keeper: Keeper) -> None:
        locked = '{"writeLockEnabled": true, "routes": {"collect": "Suspended", "process": "Suspended"}}'
        for _ in range(2):
            assert await keeper.text("/skltp-ei/writelock/enable") == locked
        keeper.update(put())
        assert keeper.indexing.store.counts() == []
        assert (await keeper.get("/api/index/queues"))["inbox"] == 1
        assert await keeper.text("/skltp-ei/writelock/status") == locked
        unlocked = locked.replace("true", "false").replace("Suspended", "Started")
        assert await keeper.text("/skltp-ei/writelock/disable") == unlocked
        assert len(keeper.indexing.store.counts()) == 1

    @pytest.mark.parametrize("half", ["frontend", "backend"])
    async def test_both_halves_have_the_platforms_status(self, keeper: Keeper, half: str) -> None:
        assert await keeper.text(f"/skltp-ei-{half}/status") == "the platform's own"
