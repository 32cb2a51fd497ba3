"""The admin API's part for tables and tokens, over HTTP: roles, preconditions, and refusals that say what is there."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, cast
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient, TestServer

from rivta.catalogue.autopublish import Autopublisher, Folders
from rivta.catalogue.desk import Desk
from rivta.catalogue.drafts import BadName, digest_of
from rivta.catalogue.proposals import Proposals
from rivta.catalogue.publications import HsaVersions, Publications
from rivta.catalogue.serving import CurrentTable
from rivta.catalogue.trail import AuditTrail
from rivta.contracts.current import CurrentContracts
from rivta.run.access_log import KeptAccessLog
from rivta.run.admin import _PATHS, Kept, admin_application
from rivta.run.admin_door import Role, is_open
from rivta.run.admin_tables import TABLE_PATHS
from rivta.run.indexing import Indexing
from rivta.run.settings import Settings
from rivta.run.tokens import Tokens
from rivta.store.engine import open_database
from tests.catalogue.tables import NOW, VARIABLES, contracts_in_force
from tests.databases import migrated_file
from tests.run.test_settings import LEAST

__all__ = ["migrated_file"]

pytestmark = pytest.mark.sockets

BASE = """\
components: {SE2321000016-A: {name: a}}
producer_addresses: {a: {component: SE2321000016-A, url: "https://a.test/"}}
"""
ROUTES = "routes: [{logical_address: SE2321000016-KS, contracts: GetDiagnosis:2, producer_address: a}]\n"


@dataclass
class Answer:
    status: int
    etag: str
    body: Any


@dataclass
class Api:
    """The API of a keeper with one publication, and a token for each role."""

    folder: Path
    four_eyes: bool = False
    now: Any = NOW
    secrets: dict[str, str] = field(default_factory=dict)
    client: Any = None

    def __post_init__(self) -> None:
        self.draft = self.folder / "routing"
        self.draft.mkdir()
        (self.draft / "base.yaml").write_text(BASE)
        (self.draft / "routes.yaml").write_text(ROUTES)
        (self.folder / "admin.token").write_text("first\n")
        self.engine = open_database(f"sqlite:///{self.folder / 'rivta.sqlite'}")
        publications, hsa_versions = Publications(self.engine), HsaVersions(self.engine)
        autopublisher = Autopublisher(
            Folders(self.draft, None, self.folder / "tables"),
            publications,
            hsa_versions,
            contracts_in_force,
            variables=VARIABLES,
            publishes=False,
        )
        content = LEAST | {"tables": {"draft": str(self.draft)}}
        content["platform"] = LEAST["platform"] | {"state": str(self.folder)}
        settings, table = Settings.parse(content, self.folder / "platform.toml"), CurrentTable(self.folder / "tables")
        self.kept = Kept(
            settings=settings,
            started=NOW,
            contracts=CurrentContracts(None),
            table=table,
            publications=publications,
            hsa_versions=hsa_versions,
            autopublisher=autopublisher,
            desk=Desk(
                autopublisher,
                publications,
                hsa_versions,
                Proposals(self.engine),
                AuditTrail(self.engine),
                contracts_in_force,
                four_eyes=self.four_eyes,
            ),
            tokens=Tokens(self.engine, self.folder / "admin.token", now=lambda: self.now),
            call_log=cast(Any, None),
            collector=cast(Any, SimpleNamespace(collected=0, gaps=0, failure=None)),
            payloads=cast(Any, None),
            revocations=cast(Any, SimpleNamespace(problem=lambda: None)),
            indexing=Indexing.of(settings, self.engine, lambda: table.table, now=lambda: self.now),
            access_log=KeptAccessLog(settings, clock=lambda: NOW),
            now=lambda: self.now,
        )
        self.kept.autopublisher.start(NOW)
        self.kept.table.check()
        self.kept.tokens.refresh()
        for name, role in (("rea", "reader"), ("edi", "editor"), ("kim", "publisher"), ("robin", "publisher")):
            self.secrets[name] = self.kept.tokens.create(name, Role(role), expires=None, by="root")[1]
        self.secrets["root"] = "first"

    async def ask(
        self,
        verb: str,
        path: str,
        *,
        by: str = "kim",
        json: Any = None,
        data: bytes | BinaryIO | None = None,
        **headers: str,
    ) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent["Authorization"] = f"Bearer {self.secrets[by]}"
        async with self.client.request(verb, path, json=json, data=data, headers=sent) as answer:
            text = await answer.read()
            is_json = answer.content_type.endswith("json")
            body = await answer.json(content_type=None) if is_json else text
            return Answer(answer.status, answer.headers.get("ETag", "").strip('"'), body)

    def save(self, text: str, name: str = "routes.yaml") -> None:
        (self.draft / name).write_text(text)


@pytest.fixture
async def open_api(tmp_path: Path, migrated_file: Path) -> AsyncIterator[Callable[..., Awaitable[Api]]]:
    made: list[Api] = []

    async def open_one(**options: Any) -> Api:
        shutil.copy(migrated_file, tmp_path / "rivta.sqlite")
        api = Api(tmp_path, **options)
        api.client = TestClient(TestServer(admin_application(api.kept, token=api.kept.tokens.check)))
        await api.client.start_server()
        made.append(api)
        return api

    yield open_one
    for api in made:
        await api.client.close()
        api.engine.dispose()


@pytest.fixture
async def api(open_api: Callable[..., Awaitable[Api]]) -> Api:
    return await open_api()


async def problems_of(api: Api) -> dict[str, str | None]:
    """What the readiness tells; what is not made here, as certificates, is left out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rivta.run.admin.expiry_problem", lambda *_: None)
        patch.setattr("rivta.run.admin.platform_expiries", lambda *_: [])
        found: dict[str, str | None] = (await api.ask("GET", "/health/ready")).body["problems"]
    return found


async def test_every_path_says_its_least_role_and_keeps_to_it(api: Api) -> None:
    described = (await api.ask("GET", "/openapi.json")).body["paths"]
    below = {"editor": "rea", "publisher": "edi", "admin": "kim", "viewer": "root"}
    asked = 0
    for path, operations in described.items():
        for verb, operation in operations.items():
            if is_open(path):
                assert "x-least-role" not in operation
                continue
            role = operation["x-least-role"]
            real = path.replace("{", "").replace("}", "")
            async with api.client.request(verb, real) as answer:
                assert answer.status == 401, (verb, path)
            if role != "reader":
                refused = await api.ask(verb, real, by=below[role])
                assert (refused.status, refused.body["role"]) == (403, role), (verb, path)
                assert f"needs the role {role}" in refused.body["detail"]
                asked += 1
    assert asked >= 12
    assert {(verb.upper(), path) for path in described for verb in described[path]} == {
        (one.verb, one.path) for one in _PATHS
    }


async def test_what_writes_says_what_it_wants(api: Api) -> None:
    described = (await api.ask("GET", "/openapi.json")).body["paths"]
    wish = described["/tables/publish"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert wish["required"] == ["comment"]
    assert set(wish["properties"]) == {"comment", "files", "at", "confirm", "allow_empty"}
    assert "application/yaml" in described["/tables/files/{name}"]["put"]["requestBody"]["content"]
    ids = [one.method for one in TABLE_PATHS if one.verb != "GET" and one.body is None]
    assert set(ids) == {"remove_file", "approve", "withdraw", "revoke_token"}


class TestFiles:
    async def test_a_file_is_read_with_its_digest_and_replaced_with_that(self, api: Api) -> None:
        listed = (await api.ask("GET", "/tables/files", by="rea")).body["files"]
        assert [one["name"] for one in listed] == ["base.yaml", "routes.yaml"]
        read = await api.ask("GET", "/tables/files/routes.yaml", by="rea")
        assert (read.body, read.etag) == (ROUTES.encode(), listed[1]["digest"])
        new = ROUTES.replace("-KS", "-SOS").encode()
        done = await api.ask("PUT", "/tables/files/routes.yaml", by="edi", data=new, If_Match=f'"{read.etag}"')
        assert (done.status, done.etag) == (200, digest_of(new))
        assert (api.draft / "routes.yaml").read_bytes() == new
        told = (await api.ask("GET", "/tables/audit")).body["events"][0]
        assert (told["actor"], told["action"], told["subject"]) == ("edi", "file written", "routes.yaml")

    async def test_who_read_something_else_is_told_what_is_there(self, api: Api) -> None:
        stale = f'"{digest_of(b"something else")}"'
        for verb in ("PUT", "DELETE"):
            data = ROUTES.encode() if verb == "PUT" else None
            refused = await api.ask(verb, "/tables/files/routes.yaml", by="edi", data=data, If_Match=stale)
            assert (refused.status, refused.etag) == (412, digest_of(ROUTES.encode()))
        assert (api.draft / "routes.yaml").read_text() == ROUTES

    async def test_nothing_is_written_blindly(self, api: Api) -> None:
        for verb in ("PUT", "DELETE"):
            assert (await api.ask(verb, "/tables/files/routes.yaml", by="edi", data=b"a: 1")).status == 428
        new = await api.ask("PUT", "/tables/files/more.yaml", by="edi", data=b"components: {}", If_None_Match="*")
        assert new.status == 200
        again = await api.ask("PUT", "/tables/files/more.yaml", by="edi", data=b"components: {}", If_None_Match="*")
        assert again.status == 412
        gone = await api.ask("DELETE", "/tables/files/more.yaml", by="edi", If_Match=f'"{new.etag}"')
        assert (gone.status, (api.draft / "more.yaml").exists()) == (200, False)

    async def test_a_file_that_is_wrong_is_refused_with_every_line(self, api: Api) -> None:
        text = b"routes:\n  - {contract: x}\npermission: []\n"
        refused = await api.ask("PUT", "/tables/files/more.yaml", by="edi", data=text, If_None_Match="*")
        assert refused.status == 422
        assert {(one["file"], one["line"]) for one in refused.body["errors"]} == {
            ("routing/more.yaml", 2),
            ("routing/more.yaml", 3),
        }
        assert not (api.draft / "more.yaml").exists()

    @pytest.mark.parametrize("name", ["..%2Fx.yaml", "{absolute}", ".x.yaml", "x.yml", "x", "a%00.yaml"])
    async def test_a_name_that_leads_elsewhere_is_refused(self, api: Api, name: str) -> None:
        # Only ever at a file of the test's own: whoever breaks the check breaks nothing else.
        canary = api.folder / "canary.yaml"
        canary.write_text("untouched")
        name = name.format(absolute=quote(str(canary), safe=""))
        for verb in ("GET", "PUT"):
            refused = await api.ask(verb, f"/tables/files/{name}", by="edi", data=b"components: {}", If_None_Match="*")
            assert refused.status in (400, 404), name
        assert sorted(path.name for path in api.draft.iterdir()) == ["base.yaml", "routes.yaml"]
        assert not (api.folder / "x.yaml").exists()
        assert canary.read_text() == "untouched"

    async def test_a_name_is_looked_at_before_anything_is_written_under_it(self, api: Api, tmp_path: Path) -> None:
        canary = tmp_path / "canary.yaml"
        canary.write_text("untouched")
        (tmp_path / "work").mkdir()
        for name in (str(canary), "../../canary.yaml"):
            with pytest.raises(BadName):
                api.kept.desk.check_file(name, b"components: {}", tmp_path / "work")
        assert canary.read_text() == "untouched"
        assert list((tmp_path / "work").iterdir()) == []


class TestPublish:
    async def test_the_author_is_whoever_the_token_belongs_to(self, api: Api) -> None:
        api.save(ROUTES.replace("-KS", "-SOS"))
        done = await api.ask("POST", "/tables/publish", json={"comment": "SOS opens"})
        assert (done.status, done.body["made"], done.body["publication"]["author"]) == (200, True, "kim")
        assert api.kept.table.table is not None
        assert api.kept.table.table.publication == 2
        same = await api.ask("POST", "/tables/publish", json={"comment": "again"}, by="robin")
        assert (same.body["made"], same.body["publication"]["author"]) == (False, "kim")
        one = await api.ask("GET", "/tables/publications/2", by="rea")
        assert (one.etag, one.body["comment"], sorted(one.body["sources"])) == (
            done.etag,
            "SOS opens",
            ["base.yaml", "routes.yaml"],
        )

    async def test_two_at_once_and_one_is_told_what_changed(self, api: Api) -> None:
        known = (await api.ask("GET", "/tables/publications")).etag
        api.save(ROUTES.replace("-KS", "-SOS"))
        await api.ask("POST", "/tables/publish", json={"comment": "a"}, If_Match=f'"{known}"')
        api.save(ROUTES.replace("-KS", "-DS"))
        refused = await api.ask("POST", "/tables/publish", by="robin", json={"comment": "b"}, If_Match=f'"{known}"')
        assert (refused.status, refused.body["newest"]["author"], refused.body["changed_count"]) == (412, "kim", 2)
        assert refused.etag == refused.body["newest"]["digest"]
        keys = {(one["change"], one["key"]["logical_address"]) for one in refused.body["changed"]}
        assert keys == {("added", "SE2321000016-SOS"), ("removed", "SE2321000016-KS")}
        done = await api.ask("POST", "/tables/publish", by="robin", json={"comment": "b"}, If_Match=f'"{refused.etag}"')
        assert done.body["publication"]["number"] == 3

    async def test_a_draft_with_errors_is_refused_with_all_of_them(self, api: Api) -> None:
        api.save("routes: [")
        refused = await api.ask("POST", "/tables/publish", json={"comment": "c"})
        assert (refused.status, refused.body["errors"][0]["file"]) == (422, "routing/routes.yaml")
        assert api.kept.publications.newest_number() == 1

    async def test_an_emptied_draft_is_refused_unless_it_is_meant(self, api: Api) -> None:
        (api.draft / "routes.yaml").unlink()
        assert (await api.ask("POST", "/tables/publish", json={"comment": "c"})).status == 409
        assert (await api.ask("POST", "/tables/publish", json={"comment": "c", "allow_empty": True})).status == 200

    @pytest.mark.parametrize(
        ("wish", "mistakes"),
        [
            ({}, ["comment is missing"]),
            ({"comment": "  ", "file": 1}, ["comment has to be a text", "file is unknown"]),
            (
                {"comment": "c", "files": [1], "allow_empty": 1},
                ["files has to be a list", "allow_empty has to be true"],
            ),
            ({"comment": "c" * 1001}, ["comment has to be a text of 1 to 1000 characters"]),
        ],
    )
    async def test_every_mistake_of_a_wish_is_told(self, api: Api, wish: Any, mistakes: list[str]) -> None:
        refused = await api.ask("POST", "/tables/publish", json=wish)
        assert refused.status == 400
        assert len(refused.body["errors"]) == len(mistakes)
        for told, mistake in zip(refused.body["errors"], mistakes, strict=True):
            assert told.startswith(mistake)

    async def test_what_is_no_json_and_no_time_is_refused(self, api: Api) -> None:
        assert (await api.ask("POST", "/tables/publish", data=b"{")).status == 400
        assert (await api.ask("POST", "/tables/publish", data=b"[]")).status == 400
        assert (await api.ask("POST", "/tables/publish", json={"comment": "c", "at": "tomorrow"})).status == 400
        assert (await api.ask("POST", "/tables/publish", json={"comment": "c"}, If_Match="x")).status == 400

    async def test_a_rollback_then_a_confirmation_or_a_reset(self, api: Api) -> None:
        api.save(ROUTES.replace("-KS", "-BAD"))
        await api.ask("POST", "/tables/publish", json={"comment": "bad"})
        back = await api.ask("POST", "/tables/rollback", json={"publication": 1, "comment": "oops"}, by="robin")
        assert (back.body["publication"]["number"], back.body["publication"]["rollback_of"]) == (3, 1)
        refused = await api.ask("POST", "/tables/publish", json={"comment": "again"})
        assert (refused.status, refused.body["brought_back_count"]) == (409, 2)
        status = (await api.ask("GET", "/status")).body
        assert status["draft"]["diverged"] is True
        assert status["table"]["author"] == "robin"
        reset = await api.ask("POST", "/tables/reset", json={})
        assert (reset.status, reset.body["publication"]) == (200, 3)
        assert (api.draft / "routes.yaml").read_text() == ROUTES
        assert (await api.ask("GET", "/status")).body["draft"]["diverged"] is False

    async def test_numbers_that_there_are_not_are_not_found(self, api: Api) -> None:
        for path in ("/tables/publications/9", "/tables/publications/x", f"/tables/publications/{10**30}"):
            assert (await api.ask("GET", path)).status == 404
        assert (await api.ask("POST", "/tables/rollback", json={"publication": 9, "comment": "c"})).status == 404
        assert (await api.ask("POST", "/tables/proposals/9/approve")).status == 404
        assert (await api.ask("DELETE", "/tables/scheduled/9")).status == 404


class TestWaiting:
    async def test_a_scheduled_publication_is_listed_and_cancelled(self, api: Api) -> None:
        api.save(ROUTES.replace("-KS", "-SOS"))
        at = (NOW + timedelta(hours=1)).isoformat()
        made = (await api.ask("POST", "/tables/publish", json={"comment": "c", "at": at})).body["proposal"]
        assert (made["state"], made["scheduled_for"]) == ("scheduled", at)
        listed = (await api.ask("GET", "/tables/scheduled", by="rea")).body["scheduled"]
        assert [one["id"] for one in listed] == [made["id"]]
        assert (await api.ask("DELETE", f"/tables/scheduled/{made['id']}")).body["proposal"]["state"] == "withdrawn"
        assert (await api.ask("DELETE", f"/tables/scheduled/{made['id']}")).status == 409
        assert (await api.ask("GET", "/tables/scheduled")).body["scheduled"] == []

    async def test_what_was_refused_at_its_time_is_shown_until_somebody_puts_it_away(self, api: Api) -> None:
        api.save(ROUTES.replace("-KS", "-SOS"))
        at = (NOW + timedelta(hours=1)).isoformat()
        made = (await api.ask("POST", "/tables/publish", json={"comment": "c", "at": at})).body["proposal"]
        api.save(ROUTES.replace("-KS", "-DS"))
        await api.ask("POST", "/tables/publish", json={"comment": "other"}, by="robin")
        api.now = NOW + timedelta(hours=1)
        api.kept.desk.apply_due(api.now)
        problems = await problems_of(api)
        assert "robin has published 2" in str(problems["scheduled"])
        await api.ask("DELETE", f"/tables/scheduled/{made['id']}")
        assert (await problems_of(api))["scheduled"] is None

    async def test_a_proposal_is_approved_by_another(self, open_api: Callable[..., Awaitable[Api]]) -> None:
        api = await open_api(four_eyes=True)
        api.save(ROUTES.replace("-KS", "-SOS"))
        made = (await api.ask("POST", "/tables/publish", json={"comment": "c"})).body["proposal"]
        own = await api.ask("POST", f"/tables/proposals/{made['id']}/approve", by="kim")
        assert (own.status, "somebody else" in own.body["detail"]) == (403, True)
        done = await api.ask("POST", f"/tables/proposals/{made['id']}/approve", by="robin")
        assert (done.body["publication"]["author"], done.body["publication"]["approver"]) == ("kim", "robin")
        assert (await api.ask("GET", "/tables/proposals")).body["proposals"] == []
        assert len((await api.ask("GET", "/tables/proposals?all=1")).body["proposals"]) == 1


class TestTokens:
    async def test_an_admin_makes_and_revokes_tokens(self, api: Api) -> None:
        wish = {"name": "lo", "role": "editor", "expires": (NOW + timedelta(days=1)).isoformat()}
        made = (await api.ask("POST", "/tokens", by="root", json=wish)).body
        api.secrets["lo"] = made["token"]
        assert (await api.ask("GET", "/tables/files", by="lo")).status == 200
        listed = (await api.ask("GET", "/tokens", by="root")).body["tokens"]
        assert listed[0]["name"] == "lo"
        assert "token" not in listed[0]
        revoked = (await api.ask("DELETE", "/tokens/lo", by="root")).body["revoked"]
        assert [one["name"] for one in revoked] == ["lo"]
        assert (await api.ask("GET", "/tables/files", by="lo")).status == 401
        assert (await api.ask("DELETE", "/tokens/lo", by="root")).status == 409

    async def test_a_role_that_there_is_not_is_refused(self, api: Api) -> None:
        refused = await api.ask("POST", "/tokens", by="root", json={"name": "lo", "role": "god"})
        assert (refused.status, refused.body["errors"]) == (
            400,
            ["role has to be reader or editor or publisher or admin or viewer"],
        )
