"""The admin API's part for `rivta why`, over a real index and a real table."""

import logging
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from rivta.aggregation.services import services
from rivta.contracts.installed import UnknownContract
from rivta.run.admin_door import Caller, Role, door, least_roles
from rivta.run.admin_why import WHY_PATHS, WhyApi
from tests.calls import Clock
from tests.catalogue.tables import DIAGNOSIS, FakeContracts
from tests.cli.why_world import CONSUMER, DIRECT, SOURCE, Side, World, announced
from tests.index.built import NATIONAL, NOON, REGIONAL, TOLVAN

pytestmark = pytest.mark.sockets

WISH = {"patient": TOLVAN, "contract": "GetDiagnosis", "consumer": CONSUMER}


class Contracts:
    """Those of the test's tables, by name."""

    contracts = SimpleNamespace(find=lambda text: _find(text))


def _find(text: str) -> Any:
    try:
        return FakeContracts().find(text)
    except LookupError as error:
        raise UnknownContract(str(error)) from error


class Keeper:
    def __init__(self, side: Side) -> None:
        self.side = side
        self.table: Any = side.table
        self.client: Any = None

    async def start(self) -> None:
        kept = SimpleNamespace(
            indexing=self.side.indexing,
            settings=self.side.settings,
            contracts=Contracts(),
            table=SimpleNamespace(table=self.table),
            now=Clock(NOON),
        )
        served = WhyApi(cast(Any, kept))
        roles = {"a": Caller("anna", Role.ADMIN), "p": Caller("per", Role.PUBLISHER)}
        api = web.Application(middlewares=door(roles.get, least_roles(WHY_PATHS)))
        for one in WHY_PATHS:
            route = web.get if one.verb == "GET" else partial(web.route, one.verb)
            api.add_routes([route(one.path, getattr(served, one.method))])
        self.client = TestClient(TestServer(api))
        await self.client.start_server()

    async def ask(self, verb: str, path: str, json: Any = None, token: str = "a") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        async with self.client.request(verb, path, json=json, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[Keeper]:
    world = World(tmp_path)
    made = Keeper(world.sides["national"])
    await made.start()
    yield made
    await made.client.close()
    world.close()


async def test_each_engagement_comes_with_what_the_plan_does_to_it(
    keeper: Keeper, caplog: pytest.LogCaptureFixture
) -> None:
    keeper.side.store(announced(), announced(categorization="voo"), announced(logical_address="SE1-X"))
    with caplog.at_level(logging.INFO):
        status, found = await keeper.ask("POST", "/aggregation/why", WISH)
    assert status == 200
    dropped = {
        (one["categorization"], one["logicalAddress"]): (one["dropped"], one["outcome"]) for one in found["found"]
    }
    assert dropped == {
        ("dia", SOURCE): (None, None),
        ("voo", SOURCE): ("category", None),
        ("dia", "SE1-X"): ("FT logical address", "VP004"),
    }
    assert found["addresses"][SOURCE]["outcome"] == "routed"
    assert found["index_call"]["route"]["url"] == "unix:/n.sock"
    assert "anna asks why GetDiagnosis:2 does not show for SE1-NPO" in caplog.text
    assert TOLVAN not in caplog.text


async def test_one_source_is_found_by_either_of_its_addresses(keeper: Keeper) -> None:
    keeper.side.store(announced(), announced(DIRECT), announced(logical_address="SE1-X", source_system="SE1-Y"))
    for source in ("SE1-X", "SE1-Y"):
        _, found = await keeper.ask("POST", "/aggregation/why", WISH | {"source": source})
        assert [one["sourceSystem"] for one in found["found"]] == ["SE1-Y"]
        assert (found["announced"], found["matching"]) == (3, 1)


async def test_the_rows_of_services_make_the_same_services_again(keeper: Keeper) -> None:
    _, found = await keeper.ask("GET", "/aggregation/services", token="p")
    rows = {name: {key: of[key] for key in of if key != "contract_name"} for name, of in found["services"].items()}
    assert found["address"] == NATIONAL
    assert services(rows) == services({})


async def test_engagements_come_in_pages(keeper: Keeper) -> None:
    keeper.side.store(announced(), announced(DIRECT), announced(categorization="voo", owner=REGIONAL))
    seen: list[str] = []
    wish: dict[str, Any] = {"limit": 2}
    while True:
        _, page = await keeper.ask("POST", "/index/engagements", wish)
        seen += [one["sourceSystem"] for one in page["engagements"]]
        if page["after"] is None:
            break
        wish["after"] = page["after"]
    assert sorted(seen) == [SOURCE, SOURCE, DIRECT]
    _, of_one = await keeper.ask("POST", "/index/engagements", {"source": DIRECT, "patient": TOLVAN})
    assert len(of_one["engagements"]) == 1


@pytest.mark.parametrize("path", ["/aggregation/why", "/index/engagements"])
async def test_only_an_admin_is_told_about_patients(keeper: Keeper, path: str) -> None:
    status, problem = await keeper.ask("POST", path, WISH, token="p")
    assert (status, problem["role"]) == (403, "admin")


@pytest.mark.parametrize(
    ("path", "wish", "status", "told"),
    [
        ("/aggregation/why", {}, 400, "patient is missing; contract is missing; consumer is missing"),
        ("/aggregation/why", WISH | {"patient": " "}, 400, "patient has to be the id of the person"),
        ("/aggregation/why", WISH | {"contract": "GetNothing"}, 400, "is not installed"),
        ("/aggregation/why", WISH | {"contract": "PingForConfiguration"}, 404, "is not aggregated here"),
        ("/aggregation/why", WISH | {"what": "x"}, 400, "what is unknown"),
        ("/index/engagements", {"limit": 1001}, 400, "a number from 1 to 1000"),
        ("/index/engagements", {"limit": 0}, 400, "a number from 1 to 1000"),
    ],
)
async def test_what_cannot_be_asked_is_told(keeper: Keeper, path: str, wish: Any, status: int, told: str) -> None:
    answered, problem = await keeper.ask("POST", path, wish)
    assert answered == status
    assert told in problem["detail"]
    assert TOLVAN not in problem["detail"]


async def test_without_a_table_nothing_is_said(tmp_path: Path) -> None:
    world = World(tmp_path)
    made = Keeper(world.sides["national"])
    made.table = None
    await made.start()
    assert (await made.ask("POST", "/aggregation/why", WISH | {"contract": DIAGNOSIS}))[0] == 503
    await made.client.close()
    world.close()
