"""The admin API's part for looking ahead, over HTTP: diff, preview with the calls that were made, reach, unused."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp.test_utils import TestClient, TestServer

from rivta.audit.call_log import CallLog
from rivta.catalogue import content
from rivta.catalogue.hsa import HsaTree
from rivta.run.admin import admin_application
from tests.calls import DIAGNOSIS, call
from tests.catalogue.tables import NOW, FakeContracts, tree
from tests.databases import migrated_file
from tests.run.test_admin_tables import Api

__all__ = ["migrated_file"]

pytestmark = pytest.mark.sockets

HEAD = """\
components: {SE2321000016-A: {name: a}}
producer_addresses: {a: {component: SE2321000016-A, url: "https://a.test/"}, b: {component: SE2321000016-A, url: "https://b.test/"}}
"""  # fmt: skip
ROUTE = "{logical_address: SE2321000016-KS, contracts: GetDiagnosis:2, producer_address: %s}"
PERMISSION = "{consumer: %s, logical_address: SE2321000016-KS, contracts: GetDiagnosis:2, agreement: x%s}"


def table(*consumers: str, to: str = "a", more: str = "") -> str:
    rows = "".join(f"  - {PERMISSION % (consumer, '')}\n" for consumer in consumers)
    return f"routes:\n  - {ROUTE % to}\npermissions:\n{rows}{more}"


class PreviewingApi(Api):
    """The API of a keeper with a call log: its first publication lets K and L call KS."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.kept = replace(
            self.kept, call_log=CallLog(self.engine), contracts=cast(Any, SimpleNamespace(contracts=FakeContracts()))
        )
        self.save(HEAD, "base.yaml")
        self.publish(table("K", "L"))

    def publish(self, text: str) -> None:
        self.save(text)
        publisher = self.kept.autopublisher
        publisher.read(self.kept.hsa_versions.newest(), self.now)
        assert publisher.report is not None
        self.kept.publications.publish(publisher.report, author="kim", comment="c", now=self.now)
        publisher.follow(self.now)
        self.kept.table.check()

    def draw(self, text: str) -> None:
        """Save a draft and have it looked at."""
        self.save(text)
        self.kept.autopublisher.read(self.kept.hsa_versions.newest(), self.now)

    async def get(self, path: str, **query: str) -> Any:
        answer = await self.ask("GET", path + "?" + "&".join(f"{name}={value}" for name, value in query.items()))
        assert answer.status == 200, answer.body
        return answer.body


@pytest.fixture
async def api(tmp_path: Path, migrated_file: Path) -> AsyncIterator[PreviewingApi]:
    shutil.copy(migrated_file, tmp_path / "rivta.sqlite")
    made = PreviewingApi(tmp_path)
    made.client = TestClient(TestServer(admin_application(made.kept, token=made.kept.tokens.check)))
    await made.client.start_server()
    yield made
    await made.client.close()
    made.engine.dispose()


async def test_the_draft_is_compared_with_a_publication_row_by_row(api: PreviewingApi) -> None:
    api.draw(table("K", to="b"))
    found = await api.get("/tables/diff", before="2", after="draft")
    assert (found["before"], found["after"]) == ("publication 2", "draft")
    assert [(one["change"], one["section"]) for one in found["differences"]] == [
        ("changed", "routes"),
        ("removed", "permissions"),
    ]
    assert found["differences"][0]["fields"] == {"producer_address": {"before": "a", "after": "b"}}
    assert found["differences"][0]["after_source"] == "routing/routes.yaml:2"


async def test_two_publications_are_compared(api: PreviewingApi) -> None:
    api.publish(table("K"))
    found = await api.get("/tables/diff", before="2", after="3")
    assert [one["change"] for one in found["differences"]] == ["removed"]


async def test_a_preview_tells_what_the_draft_changes_for_callers_and_for_the_calls_that_were_made(
    api: PreviewingApi,
) -> None:
    made = [call(number, sender="L", logical_address="SE2321000016-KS", contract=DIAGNOSIS) for number in range(12)]
    api.kept.call_log.insert([*made, call(99, sender="K"), call(100, sender=None)])
    api.draw(table("K"))
    found = await api.get("/tables/preview")
    (effect,) = [one for one in found["effects"] if not one["of_two_parts"]]
    assert (effect["kind"], effect["consumers"], effect["addresses"]) == ("lost", ["L"], ["SE2321000016-KS"])
    assert (effect["before"]["url"], effect["after"]["outcome"]) == ("https://a.test/", "VP007")
    assert (found["before"], found["after"], found["totals"]["lost"]) == ("publication 2", "draft", 1)
    traffic = found["traffic"]
    assert (traffic["calls"], [(one["kind"], one["sender"], one["calls"]) for one in traffic["effects"]]) == (
        13,
        [("lost", "L", 12)],
    )


async def test_a_preview_looks_only_at_as_many_calls_as_are_wanted(api: PreviewingApi) -> None:
    api.kept.call_log.insert([call(number, sender="L") for number in range(12)])
    api.draw(table("K"))
    found = await api.get("/tables/preview", calls="5")
    assert (found["traffic"]["calls"], found["traffic"]["totals"]["lost"]) == (5, 5)


async def test_a_preview_begins_when_it_is_told_to(api: PreviewingApi) -> None:
    api.draw(table("K", "L").replace("agreement: x}", "agreement: x, valid_to: 2027-01-31}"))
    (effect, *_) = (await api.get("/tables/preview"))["effects"]
    assert (effect["kind"], effect["since"]) == ("lost", "2027-01-31T23:00:00+00:00")
    (effect, *_) = (await api.get("/tables/preview", at="2027-06-01T00:00:00Z"))["effects"]
    assert (effect["kind"], effect["since"]) == ("lost", None)


async def test_a_preview_of_another_hsa_tree_tells_whom_it_moves(api: PreviewingApi) -> None:
    clinic = "SE2321000016-KS-MED"
    for parents in ({clinic: "SE2321000016-KS"}, {clinic: "SE"}):
        api.kept.hsa_versions.publish(tree(SE2321000016_KS=None, **{clinic.replace("-", "_"): parents[clinic]}), now=NOW)  # fmt: skip
    found = await api.get("/tables/preview", publication="2", hsa_base="1", hsa="2")
    assert [(one["kind"], one["addresses"], one["consumers"]) for one in found["effects"]] == [
        ("lost", [clinic], ["K", "L"])
    ]


async def test_who_reaches_an_address_is_told_with_rows_and_since_which_publication(api: PreviewingApi) -> None:
    api.now = NOW + timedelta(days=1)
    api.publish(table("K", "L", "M"))
    api.now = NOW + timedelta(days=2)
    api.publish(table("K", "M", to="b"))
    found = await api.get("/tables/reach", logical_address="SE2321000016-KS")
    told = [(one["consumer"], one["contract_name"], one["since_publication"]["number"]) for one in found["reached_by"]]
    assert told == [("K", "GetDiagnosis:2", 2), ("M", "GetDiagnosis:2", 3)]
    first = found["reached_by"][0]
    assert (first["permission"]["source"], first["route"]["producer_address"]) == ("routing/routes.yaml:4", "b")
    assert first["since_publication"]["time"] == NOW.isoformat()
    assert (await api.get("/tables/reach", logical_address="SE9999999999-X"))["reached_by"] == []
    (one,) = (await api.get("/tables/reach", logical_address="se2321000016-ks", consumer="m"))["reached_by"]
    assert one["consumer"] == "M"


async def test_unused_permissions_are_those_by_which_no_call_would_go(api: PreviewingApi) -> None:
    api.now = NOW
    long_ago = (NOW - timedelta(days=400)).isoformat()
    api.kept.call_log.insert([call(1, sender="K", time=(NOW - timedelta(days=30)).isoformat())])
    api.kept.call_log.insert([call(2, sender="L", time=long_ago)])
    found = await api.get("/tables/unused", months="6")
    assert [one["consumer"] for one in found["permissions"]] == ["L"]
    assert (found["is_complete"], found["since"]) == (True, "2026-05-24T12:00:00+00:00")
    assert (await api.get("/tables/unused", months="14"))["permissions"] == []


async def test_unused_says_from_when_the_call_log_reaches(api: PreviewingApi) -> None:
    made = NOW - timedelta(days=30)
    api.kept.call_log.insert([call(1, sender="K", time=made.isoformat())])
    found = await api.get("/tables/unused", months="6")
    assert (found["is_complete"], found["log_since"]) == (False, made.isoformat())


async def test_a_permission_younger_than_that_is_not_called_unused(api: PreviewingApi) -> None:
    young = f"  - {PERMISSION % ('N', ', valid_from: 2026-10-01')}\n"
    api.publish(table("K", more=young))
    assert [one["consumer"] for one in (await api.get("/tables/unused", months="6"))["permissions"]] == ["K"]
    assert [one["consumer"] for one in (await api.get("/tables/unused", months="1"))["permissions"]] == ["K", "N"]


async def test_explain_of_an_old_publication_looks_addresses_up_as_that_one_said(api: PreviewingApi) -> None:
    api.kept.hsa_versions.publish(tree(SE2321000016_KS=None, C="SE2321000016-KS"), now=NOW)
    asked = {"sender": "K", "contract": DIAGNOSIS, "logical_address": "C"}
    api.publish("resolution: {hsa_climb: {routes: false}}\n" + table("K"))
    assert (await api.get("/explain", publication="2", **asked))["outcome"] == "routed"
    found = await api.get("/explain", publication="3", **asked)
    assert found["outcome"] == "VP004"
    assert [one["reason"] for one in found["rejected"]] == ["climbing the HSA tree is off for this contract"]
    api.draw("resolution: {}\n" + table("K"))
    assert (await api.get("/explain", publication="draft", **asked))["outcome"] == "routed"
    assert (await api.get("/explain", **asked))["outcome"] == "VP004"
    later = await api.get("/explain", publication="draft", at="2020-01-01T00:00:00Z", **asked)
    assert later["outcome"] == "routed"


async def test_a_whole_table_comes_with_its_tree_and_who_the_platform_is(api: PreviewingApi) -> None:
    api.kept.hsa_versions.publish(tree(A=None, B="A"), now=NOW)
    found = await api.get("/tables/snapshot")
    draft = content.decode(found["content"].encode())
    assert [row.consumer for row in draft.permissions] == ["K", "L"]
    assert HsaTree.from_content(found["hsa"].encode()).ancestors("B") == ("A", "SE")
    assert (found["publication"], found["platform"]["hsa_id"]) == ("publication 2", "SE165565594230-NTJP")


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/tables/diff?before=99", 404, "there is no publication 99"),
        ("/tables/diff?before=soon", 400, "a number or draft"),
        ("/tables/preview?base=1&calls=0", 400, "calls='0': a number from 1"),
        ("/tables/preview?hsa=9", 404, "version 9"),
        ("/tables/preview?hsa=x", 400, "hsa='x': a number"),
        ("/tables/preview?hsa=files", 404, "no files of an HSA tree"),
        ("/tables/preview?at=soon", 400, "at='soon'"),
        ("/tables/reach", 400, "say logical_address"),
        ("/tables/unused?months=1000", 400, "months='1000'"),
    ],
)
async def test_what_cannot_be_looked_at_is_told(api: PreviewingApi, path: str, status: int, words: str) -> None:
    answer = await api.ask("GET", path)
    assert answer.status == status
    assert words in answer.body["detail"]


async def test_a_draft_with_errors_is_not_compared(api: PreviewingApi) -> None:
    api.draw("routes: [")
    for path in ("/tables/preview", "/tables/diff"):
        answer = await api.ask("GET", path)
        assert (answer.status, "the draft has errors, the first: routing/routes.yaml:1" in answer.body["detail"]) == (409, True)  # fmt: skip


def test_six_months_before_the_last_of_august_is_the_last_of_february() -> None:
    from rivta.run.admin_preview import _months_before

    assert _months_before(datetime(2026, 8, 31, 12, tzinfo=UTC), 6) == datetime(2026, 2, 28, 12, tzinfo=UTC)
    assert _months_before(datetime(2026, 1, 15, tzinfo=UTC), 1) == datetime(2025, 12, 15, tzinfo=UTC)
