"""`rivta route preview`, `reach` and `unused` as scripts and people meet them."""

import json
from pathlib import Path
from typing import Any

import pytest

from rivta import shipped
from rivta.catalogue import content
from tests.catalogue.tables import DIAGNOSIS, read, written
from tests.cli.test_route import Keeper, run
from tests.support import Pair

ROUTING = shipped.folder("routing")
KS = "SE2321000016-KS"
TABLES = """\
producer_addresses:
  a: {component: SE2321000016-A, url: "${takecare-ks}"}
  b: {component: SE2321000016-A, url: "https://b.test/"}
routes:
  - {logical_address: SE2321000016-KS, contracts: [GetDiagnosis:2, GetCareContacts:3], producer_address: a}
permissions:
  - {consumer: [SE2321000016-K, SE2321000016-L], logical_address: SE2321000016-KS, contracts: [GetDiagnosis:2, GetCareContacts:3], agreement: x}
resolution: {delimiter: ""}
"""  # fmt: skip
HSA = "units: {SE2321000016-KS: {}, SE2321000016-MED: {parent: SE2321000016-KS}}"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """The tables as they are, and as they are to be: L may not call, and everything goes to b from June on."""
    written(tmp_path / "hsa", tree=HSA)
    after = TABLES.replace("[SE2321000016-K, SE2321000016-L]", "SE2321000016-K")
    after = after.replace("producer_address: a}", "producer_address: a, valid_to: 2027-05-31}\n  - {logical_address: SE2321000016-KS, contracts: [GetDiagnosis:2, GetCareContacts:3], producer_address: b, valid_from: 2027-06-01}")  # fmt: skip
    return written(tmp_path / "old", tables=TABLES), written(tmp_path / "new", tables=after)


def test_files_are_previewed_without_a_pair(folders: tuple[Path, Path], tmp_path: Path) -> None:
    result = run("preview", "--base", folders[0], "--tables", folders[1], home=tmp_path)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[:-1] == [
        "lost GetDiagnosis:2, GetCareContacts:3 to SE2321000016-KS, SE2321000016-MED",
        "    for SE2321000016-L",
        "    a (${takecare-ks}, RIVTABP21) -> VP007 no permission",
        "rerouted GetDiagnosis:2, GetCareContacts:3 to SE2321000016-KS, SE2321000016-MED from 2027-06-01",
        "    for SE2321000016-K",
        "    a (${takecare-ks}, RIVTABP21) -> b (https://b.test/, RIVTABP21)",
    ]
    assert lines[-1].startswith(f"{folders[0]} -> {folders[1]}, from 20")
    assert lines[-1].endswith(": 4 lost, 4 rerouted")


def test_scripts_get_every_effect_with_its_calls(folders: tuple[Path, Path], tmp_path: Path) -> None:
    arguments = ("--base", folders[0], "--tables", folders[1], "--at", "2027-06-01", "--json")
    found = json.loads(run("preview", *arguments, home=tmp_path).output)
    assert found["totals"] == {"lost": 4, "ambiguous": 0, "rerouted": 4, "gained": 0}
    effect = found["effects"][0]
    assert {name: effect[name] for name in ("kind", "contract", "consumers", "addresses", "calls", "since", "until")} == {
        "kind": "lost",
        "contract": DIAGNOSIS,
        "consumers": ["SE2321000016-L"],
        "addresses": [KS, "SE2321000016-MED"],
        "calls": 2,
        "since": None,
        "until": None,
    }  # fmt: skip
    assert (effect["before"]["outcome"], effect["after"]["outcome"]) == ("routed", "VP007")
    assert (found["at"], found["traffic"], found["across"]) == ("2027-05-31T22:00:00+00:00", None, None)


def snapshot(tmp_path: Path, text: str = TABLES) -> dict[str, Any]:
    frozen = content.encode(read(tmp_path / "frozen", tables=text).draft).decode()
    hsa = '[\n["SE2321000016-KS","",null],\n["SE2321000016-MED","","SE2321000016-KS"]\n]\n'
    return {"publication": "publication 3", "content": frozen, "hsa": hsa, "platform": {"hsa_id": "SE1-N"}}


def test_the_keeper_previews_its_own_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {
        "before": "publication 3",
        "after": "draft",
        "at": "2026-11-24T12:00:00+00:00",
        "effects": [],
        "totals": {},
        "left_out": ["x"],
        "across": None,
        "traffic": {
            "calls": 10000,
            "since": "2026-11-20T12:00:00+00:00",
            "effects": [
                {
                    "kind": "lost",
                    "sender": "X",
                    "contract_name": "GetDiagnosis:2",
                    "logical_address": KS,
                    "calls": 12,
                    "before": {
                        "outcome": "routed",
                        "producer_address": "a",
                        "url": "https://a",
                        "profile": "RIVTABP21",
                    },
                    "after": {"outcome": "VP007"},
                }
            ],
        },
    }
    keeper = Keeper({"/tables/preview": answer})
    monkeypatch.setattr("rivta.cli.admin.AdminClient.of_platform", keeper.client)
    lines = run("preview", "--base", "2", home=tmp_path).output.splitlines()
    assert lines == [
        "publication 3 -> draft, from 2026-11-24 13:00: nothing changes for callers",
        "  not looked at: x",
        "of the last 10000 recorded calls (since 2026-11-20 13:00), 12 would end otherwise",
        f"  12 lost: GetDiagnosis:2 to {KS} from X, a (https://a, RIVTABP21) -> VP007 no permission",
    ]
    assert keeper.asked == [("national", "/tables/preview", {"base": "2", "calls": 10000})]


def test_files_are_tried_on_the_calls_of_the_pair(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {"sender": "SE2321000016-L", "contract": DIAGNOSIS, "logical_address": "SE2321000016-MED", "calls": 7}
    counts = {"since": "2026-11-20T12:00:00+00:00", "counts": [made]}
    keeper = Keeper({"/tables/snapshot": snapshot(tmp_path), "/calls/counts": counts})
    monkeypatch.setattr("rivta.cli.admin.AdminClient.of_platform", keeper.client)
    found = json.loads(run("preview", "--tables", folders[1], "--calls", "50", "--json", home=tmp_path).output)
    assert (found["before"], found["totals"]["lost"], found["traffic"]["totals"]["lost"]) == ("publication 3", 4, 7)
    assert ("national", "/calls/counts", {"newest": 50}) in keeper.asked


def test_a_new_hsa_tree_alone_is_previewed_with_the_table_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "new", tree="units: {SE2321000016-KS: {}, SE2321000016-MED: {}}")
    keeper = Keeper({"/tables/snapshot": snapshot(tmp_path), "/calls/counts": {"since": None, "counts": []}})
    monkeypatch.setattr("rivta.cli.admin.AdminClient.of_platform", keeper.client)
    found = json.loads(run("preview", "--hsa", tmp_path / "new", "--json", home=tmp_path).output)
    assert [(one["kind"], one["addresses"]) for one in found["effects"]] == [("lost", ["SE2321000016-MED"])] * 2


def test_what_one_platform_has_and_the_other_lacks_is_told(tmp_path: Path) -> None:
    files = ROUTING / "national"
    good = run("preview", "--base", files, "--tables", files, "--with", ROUTING / "regional", home=tmp_path)
    assert "10 mistakes between the two platforms" in good.output  # the address that loops on purpose
    assert "each platform sends it to the other" in good.output
    draft = tmp_path / "national"
    draft.mkdir()
    for file in files.glob("*.yaml"):
        text = file.read_text().replace("      - SE2321000016-KS\n", "")
        (draft / file.name).write_text(text)
    found = run("preview", "--base", files, "--tables", draft, "--with", ROUTING / "regional", home=tmp_path).output
    assert "GetDiagnosis:2 to SE2321000016-KS: ordered at regional and missing at national (VP004 no route)" in found
    other_way = run("preview", "--base", ROUTING / "regional", "--tables", ROUTING / "regional", "--platform", "regional", "--with", draft, home=tmp_path)  # fmt: skip
    assert "to SE2321000016-KS: ordered at regional and missing at national" in other_way.output


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (("--tables", "/", "--publication", "1"), 2, "--publication is of a running pair"),
        (("--base", "gone"), 1, "gone: no such file or folder"),
        ((), 1, "no running pair in"),
    ],
)
def test_wrong_use_is_told(tmp_path: Path, arguments: tuple[str, ...], exit_code: int, words: str) -> None:
    result = run("preview", *arguments, home=tmp_path)
    assert result.exit_code == exit_code or "no running pair" in str(result.exception)
    assert words in result.output + str(result.exception)


def test_who_reaches_an_address_is_told_to_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {
        "consumer": "K",
        "contract_name": "GetDiagnosis:2",
        "since": "2024-01-01T00:00:00+01:00",
        "until": None,
        "route": {"logical_address": "R", "producer_address": "a", "source": "t.yaml:3"},
        "permission": {"logical_address": "*", "agreement": "x", "source": "t.yaml:9"},
        "since_publication": {"number": 7, "time": "2026-11-20T12:00:00+00:00", "is_oldest": False},
    }
    keeper = Keeper({"/tables/reach": {"logical_address": KS, "publication": "publication 9", "reached_by": [row]}})
    monkeypatch.setattr("rivta.cli.admin.AdminClient.of_platform", keeper.client)
    lines = run("reach", KS, "--contract", "GetDiagnosis:2", home=tmp_path).output.splitlines()
    assert lines == [
        "K with GetDiagnosis:2, since 2024-01-01, published 2026-11-20 13:00 or longer (7)",
        "    permission at *, x, t.yaml:9",
        "    route at R to a, t.yaml:3",
        f"{KS}, publication 9: 1 consumer",
    ]
    assert keeper.asked == [("national", "/tables/reach", {"logical_address": KS, "contract": DIAGNOSIS})]


def test_unused_permissions_are_told_with_how_far_the_log_reaches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"consumer": "K", "logical_address": KS, "contract_name": "GetDiagnosis:2", "agreement": "x", "source": "t:9"}
    answer = {
        "since": "2026-05-24T12:00:00+00:00",
        "log_since": "2026-10-01T00:00:00+02:00",
        "is_complete": False,
        "permissions": [row],
    }
    keeper = Keeper({"/tables/unused": answer})
    monkeypatch.setattr("rivta.cli.admin.AdminClient.of_platform", keeper.client)
    assert run("unused", "--months", "6", home=tmp_path).output.splitlines() == [
        f"K -> {KS} GetDiagnosis:2, x, t:9",
        "1 permission unused since 2026-05-24 14:00",
        "but the call log begins at 2026-10-01: what was called before is not known",
    ]


def test_a_running_pair_previews_its_draft_and_its_calls(pair: Pair) -> None:
    found = json.loads(run("preview", "--json", home=pair.home).output)
    assert (found["after"], found["effects"]) == ("draft", [])
    reached = json.loads(run("reach", KS, "--json", home=pair.home).output)
    assert "SE165565594230-NPO" in {one["consumer"] for one in reached["reached_by"]}
    with_region = run("preview", "--with", "regional", home=pair.home)
    assert "10 mistakes between the two platforms" in with_region.output
    assert json.loads(run("diff", "1", "draft", "--json", home=pair.home).output)["differences"] == []
    assert json.loads(run("unused", "--json", home=pair.home).output)["is_complete"] is False
