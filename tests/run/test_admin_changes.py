"""The admin API's part for changes of several files: looked through, previewed, written as one, and noted."""

import json
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rivta.catalogue.drafts import MAX_BYTES, FilesChange, digest_of, digest_of_all
from rivta.catalogue.exchange.ledger import LEDGER
from rivta.run.admin_changes import NotAllowed, opened, sealed
from tests.catalogue.tables import NOW
from tests.databases import migrated_file
from tests.run.test_admin_tables import ROUTES, Answer, Api, api, open_api

__all__ = ["api", "migrated_file", "open_api"]

pytestmark = pytest.mark.sockets

PERMISSION = (
    "permissions: [{consumer: SE2321000016-A, logical_address: SE2321000016-KS, contracts: GetDiagnosis:2, "
    'agreement: "x"}]\n'
)
REASON = "order o.json by Åsa"
SECRET = b"first"


@pytest.fixture(autouse=True)
def _no_calls(api: Api) -> None:
    """A call log in which nobody has called anybody."""
    object.__setattr__(api.kept, "call_log", cast(Any, SimpleNamespace(counts=lambda **_: ())))


async def draft_of(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = (await api.ask("GET", "/tables/draft", by="rea")).body
    return found


async def change(
    api: Api, texts: dict[str, str], path: str = "/tables/changes", *, by: str = "edi", known: str = "", **more: Any
) -> Answer:
    """A change of files of the draft as it is, or as it was `known`."""
    body = {"files": texts, **({} if path.endswith("preview") else {"reason": REASON}), **more}
    known = known or (await draft_of(api))["digest"]
    return await api.ask("POST", path, by=by, data=BytesIO(json.dumps(body).encode()), If_Match=f'"{known}"')


def texts(api: Api) -> dict[str, str]:
    return {path.name: path.read_text() for path in api.draft.iterdir()}


async def test_all_files_are_written_as_one_and_noted_with_who_and_why(api: Api) -> None:
    files = {"routes.yaml": ROUTES.replace("-KS", "-SOS"), "order.yaml": PERMISSION}
    done = await change(api, files)
    assert (done.status, done.body["files"]) == (200, ["order.yaml", "routes.yaml"])
    assert texts(api) == {"base.yaml": texts(api)["base.yaml"], **files}
    assert done.etag == done.body["digest"] == (await draft_of(api))["digest"]
    events = (await api.ask("GET", "/tables/audit")).body["events"][:2]
    assert {(one["actor"], one["action"], one["subject"]) for one in events} == {
        ("edi", "file written", "routes.yaml"),
        ("edi", "file written", "order.yaml"),
    }
    assert all(one["detail"].startswith(REASON) for one in events)
    assert f"{digest_of(ROUTES.encode())} -> {digest_of(files['routes.yaml'].encode())}" in str(events)


async def test_what_it_changes_for_callers_is_told_before_and_nothing_is_written(api: Api) -> None:
    before = texts(api)
    told = await change(api, {"order.yaml": PERMISSION}, "/tables/changes/preview", by="rea")
    assert told.status == 200
    (effect,) = [one for one in told.body["preview"]["effects"] if not one["of_two_parts"]]
    assert (effect["kind"], effect["consumers"], effect["addresses"]) == (
        "gained",
        ["SE2321000016-A"],
        ["SE2321000016-KS"],
    )
    assert told.body["preview"]["traffic"]["calls"] == 0
    assert texts(api) == before


async def test_new_warnings_are_told_and_old_ones_are_not(api: Api) -> None:
    told = await change(api, {"more.yaml": "# nothing\ncomponents: {}\n"}, "/tables/changes/preview")
    assert told.body["warnings"] == []
    told = await change(api, {"order.yaml": PERMISSION.replace("-KS", "-NOWHERE")}, "/tables/changes/preview")
    assert "permission-without-route" in {one["rule"] for one in told.body["warnings"]}


async def test_every_mistake_it_brings_is_told_and_nothing_is_written(api: Api) -> None:
    before = texts(api)
    files = {"x.yaml": "routes: nonsense\n", "y.yaml": "components: [\n"}
    for path in ("/tables/changes", "/tables/changes/preview", "/tables/changes/allow"):
        refused = await change(api, files, path)
        assert refused.status == 422, path
        assert {one["file"] for one in refused.body["errors"]} == {"routing/x.yaml", "routing/y.yaml"}
    assert texts(api) == before


async def test_mistakes_of_the_draft_itself_do_not_refuse_it_but_hide_what_it_does(api: Api) -> None:
    api.save("routes: nonsense\n", "broken.yaml")
    told = await change(api, {"order.yaml": PERMISSION}, "/tables/changes/preview")
    assert told.body["preview"] is None
    assert "routing/broken.yaml:1" in told.body["unknown"]
    assert (await change(api, {"order.yaml": PERMISSION})).status == 200


async def test_a_draft_that_somebody_changed_meanwhile_is_told_and_stays(api: Api) -> None:
    known = (await draft_of(api))["digest"]
    api.save("components: {THEIRS: {name: x}}\n", "theirs.yaml")
    before = texts(api)
    for path in ("/tables/changes", "/tables/changes/preview", "/tables/changes/allow"):
        refused = await change(api, {"order.yaml": PERMISSION}, path, known=known)
        assert (refused.status, refused.etag) == (412, (await draft_of(api))["digest"]), path
        assert "changed meanwhile by somebody else" in refused.body["detail"]
    assert texts(api) == before


async def test_a_change_that_was_looked_through_is_not_written_over_what_came_after(api: Api) -> None:
    known = (await draft_of(api))["digest"]
    assert (await change(api, {"order.yaml": PERMISSION}, "/tables/changes/preview", known=known)).status == 200
    api.save(ROUTES.replace("-KS", "-SOS"))
    assert (await change(api, {"order.yaml": PERMISSION}, known=known)).status == 412
    assert "order.yaml" not in texts(api)


async def test_nothing_is_written_without_knowing_the_draft(api: Api) -> None:
    refused = await api.ask("POST", "/tables/changes", by="edi", json={"files": {}, "reason": "x"})
    assert refused.status == 428


@pytest.mark.parametrize("name", ["../x.yaml", ".hidden.yaml", "x.txt", "a/b.yaml"])
async def test_a_file_has_a_name_of_the_drafts_folder(api: Api, name: str) -> None:
    assert (await change(api, {name: PERMISSION})).status == 400
    assert not (api.draft.parent / "x.yaml").exists()


@pytest.mark.parametrize(
    "more",
    [{"files": {"x.yaml": 7}}, {"imported": {"platform": "SE1"}}, {"other": {"files": {}}}, {"files": ["x"]}],
    ids=["a number", "no number", "not allowed", "a list"],
)
async def test_a_body_of_another_shape_is_refused_with_what_it_has_to_be(api: Api, more: dict[str, Any]) -> None:
    refused = await change(api, {}, **more)
    (name,) = more
    assert (refused.status, f"{name} has to be an object of" in refused.body["detail"]) == (400, True)


async def test_more_than_the_limit_is_refused_before_it_is_read(api: Api) -> None:
    known = (await draft_of(api))["digest"]
    refused = await change(api, {"x.yaml": "#" * MAX_BYTES}, known=known)
    assert refused.status == 413


async def test_a_long_change_is_read_whole(api: Api) -> None:
    text = PERMISSION + "# å\n" * 1_000_000
    assert (await change(api, {"order.yaml": text})).status == 200
    assert texts(api)["order.yaml"] == text


async def test_without_the_database_nothing_is_written(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    known = (await draft_of(api))["digest"]
    assert (await change(api, {"order.yaml": PERMISSION}, "/tables/changes/preview", known=known)).status == 200
    monkeypatch.setattr(api.kept.desk.trail, "noting", _away)
    assert (await change(api, {"order.yaml": PERMISSION}, known=known)).status == 503
    assert "order.yaml" not in texts(api)


def _away(_events: object) -> Any:
    raise OSError("the database of publications does not answer")


async def test_a_signed_publication_is_remembered_and_an_older_one_refused(api: Api) -> None:
    def imported(number: int) -> dict[str, Any]:
        return {"platform": "SE1-X", "number": number, "digest": f"{number}" * 64}

    assert (await change(api, {"order.yaml": PERMISSION}, imported=imported(7))).status == 200
    assert (await draft_of(api))["imported"] == {"SE1-X": {"number": 7, "digest": "7" * 64}}
    assert LEDGER in texts(api)
    events = (await api.ask("GET", "/tables/audit")).body["events"]
    assert [one["detail"] for one in events if one["subject"] == LEDGER] == [f"{REASON}; publication 7 of SE1-X"]
    refused = await change(api, {"order.yaml": PERMISSION + "#\n"}, imported=imported(6))
    assert (refused.status, "older than publication 7" in refused.body["detail"]) == (409, True)
    assert texts(api)["order.yaml"] == PERMISSION


class TestTwoPlatforms:
    """The other platform's draft is a second folder here: its keeper would have sealed the same."""

    @pytest.fixture
    def other(self, tmp_path: Path) -> Path:
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "a.yaml").write_text("components: {}\n")
        return tmp_path / "other"

    @staticmethod
    def allowed(other: Path, files: dict[str, str], *, secret: bytes = SECRET, **time: int) -> dict[str, Any]:
        there = {path.name: path.read_bytes() for path in other.iterdir()}
        known = FilesChange({name: text.encode() for name, text in files.items()}, digest_of_all(there))
        return {"files": files, "allowed": sealed(other, known, until=NOW + timedelta(**time), secret=secret)}

    async def test_both_are_written(self, api: Api, other: Path) -> None:
        done = await change(api, {"order.yaml": PERMISSION}, other=self.allowed(other, {"o.yaml": "routes: []\n"}))
        assert done.status == 200
        assert ((other / "o.yaml").read_text(), texts(api)["order.yaml"]) == ("routes: []\n", PERMISSION)

    async def test_what_its_keeper_allows_is_what_this_one_writes(self, api: Api) -> None:
        given = await change(api, {"order.yaml": PERMISSION}, "/tables/changes/allow")
        folder, found = opened(
            given.body["allowed"], {"order.yaml": PERMISSION.encode()}, now=api.kept.now(), secret=SECRET
        )
        assert (folder, found.known) == (api.draft, (await draft_of(api))["digest"])
        event = (await api.ask("GET", "/tables/audit")).body["events"][0]
        assert (event["actor"], event["action"], event["subject"]) == ("edi", "change allowed", "order.yaml")

    @pytest.mark.parametrize(
        ("damage", "status", "words"),
        [
            (lambda other: other | {"allowed": other["allowed"][:-1] + "x"}, 403, "no pair"),
            (lambda other: other | {"allowed": "x.y"}, 403, "no pair"),
            (lambda other: other | {"files": {"o.yaml": "routes: [x]\n"}}, 403, "other files"),
            (lambda other: other | {"files": {}}, 403, "other files"),
        ],
        ids=["another seal", "no seal", "another text", "fewer files"],
    )
    async def test_neither_is_written_when_it_was_not_allowed(
        self, api: Api, other: Path, damage: Callable[[dict[str, Any]], dict[str, Any]], status: int, words: str
    ) -> None:
        wanted = damage(self.allowed(other, {"o.yaml": "routes: []\n"}))
        refused = await change(api, {"order.yaml": PERMISSION}, other=wanted)
        assert (refused.status, words in refused.body["detail"]) == (status, True)
        assert ((other / "o.yaml").exists(), "order.yaml" in texts(api)) == (False, False)

    async def test_neither_is_written_when_it_was_allowed_long_ago_or_by_another_pair(
        self, api: Api, other: Path
    ) -> None:
        for given in (self.allowed(other, {}, minutes=-1), self.allowed(other, {}, secret=b"theirs")):
            assert (await change(api, {"order.yaml": PERMISSION}, other=given)).status == 403
        assert "order.yaml" not in texts(api)

    async def test_without_a_token_that_only_the_pair_knows_nothing_is_allowed(
        self, api: Api, other: Path, tmp_path: Path
    ) -> None:
        known = (await draft_of(api))["digest"]
        (tmp_path / "admin.token").write_text("\n")
        assert (await change(api, {"order.yaml": PERMISSION}, "/tables/changes/allow", known=known)).status == 403
        given = self.allowed(other, {"o.yaml": "routes: []\n"}, secret=b"")
        assert (await change(api, {"order.yaml": PERMISSION}, known=known, other=given)).status == 403
        assert ((other / "o.yaml").exists(), "order.yaml" in texts(api)) == (False, False)

    async def test_neither_is_written_when_the_others_draft_changed_meanwhile(self, api: Api, other: Path) -> None:
        given = self.allowed(other, {"o.yaml": "routes: []\n"})
        (other / "theirs.yaml").write_text("components: {X: {name: x}}\n")
        assert (await change(api, {"order.yaml": PERMISSION}, other=given)).status == 412
        assert ((other / "o.yaml").exists(), "order.yaml" in texts(api)) == (False, False)
        actions = [one["action"] for one in (await api.ask("GET", "/tables/audit")).body["events"]]
        assert "file written" not in actions


def test_a_seal_is_of_its_own_time_and_secret() -> None:
    known = FilesChange({"a.yaml": b"x"}, "d")
    given = sealed(Path("/drafts"), known, until=NOW, secret=b"s")
    assert opened(given, {"a.yaml": b"x"}, now=NOW, secret=b"s") == (Path("/drafts"), known)
    for late, secret in ((NOW + timedelta(seconds=1), b"s"), (NOW, b"t"), (NOW, b"")):
        with pytest.raises(NotAllowed):
            opened(given, {"a.yaml": b"x"}, now=late, secret=secret)
