"""`rivta route` as scripts and people meet it: on files, and asking a keeper."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rivta import shipped
from rivta.cli.admin import AdminClient
from rivta.cli.route import command
from rivta.run.home import Home
from rivta.soap import namespaces
from tests.catalogue.tables import written
from tests.support import Pair, until

ROUTING = shipped.folder("routing")

TABLES = """\
components:
  SE2321000016-A: {name: a}
  SE2321000016-K: {name: k}
producer_addresses:
  a: {component: SE2321000016-A, url: "${takecare-ks}", profile: RIVTABP20}
logical_addresses: {SE2321000016-KS: {name: KS}}
routes:
  - logical_address: SE2321000016-KS
    contracts: [GetDiagnosis:2, GetCareContacts:3]
    producer_address: a
    valid_from: 2024-01-01
    valid_to: 2034-12-31
permissions:
  - {consumer: SE2321000016-K, logical_address: SE2321000016-KS, contracts: GetDiagnosis:2, agreement: "NPÖ 1"}
  - {consumer: SE2321000016-K, logical_address: SE2321000016-KS, contracts: GetCareContacts:3, agreement: "NPÖ 1", valid_to: 2024-06-30}
resolution: {}
"""


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    written(tmp_path / "hsa", tree="units: {SE2321000016-KS: {}, SE2321000016-KS1: {parent: SE2321000016-KS}}")
    return written(tmp_path / "tables", tables=TABLES)


def run(*arguments: object, home: Path) -> Result:
    return CliRunner().invoke(command, [*map(str, arguments), "--home", str(home)])


def explain(
    home: Path, *arguments: object, contract: str = "GetDiagnosis", to: str = "SE2321000016-KS"
) -> dict[str, Any]:
    """The explanation for consumer K as JSON."""
    question = ("--from", "SE2321000016-K", "--contract", contract, "--to", to)
    result = run("explain", "--json", *question, *arguments, home=home)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.output)
    return found


def test_explain_on_files_says_all_that_scripts_rely_on(tables: Path, tmp_path: Path) -> None:
    found = explain(tmp_path, "--tables", tables, "--hsa", tmp_path / "hsa", to="SE2321000016-KS1")
    assert found["outcome"] == "routed"
    assert found["route"] == {
        "logical_address": "SE2321000016-KS",
        "contract": namespaces.GET_DIAGNOSIS_2,
        "contract_name": "GetDiagnosis:2",
        "producer_address": "a",
        "component": "SE2321000016-A",
        "platform": False,
        "url": "${takecare-ks}",
        "profile": "RIVTABP20",
        "valid_from": "2024-01-01",
        "valid_to": "2034-12-31",
        "source": f"{tables}/tables.yaml:8",
    }
    assert found["permission"]["agreement"] == "NPÖ 1"
    assert found["route_trace"] == "SE2321000016-KS1,(parent),SE2321000016-KS"
    assert found["permission_trace"] == "SE2321000016-KS1,(default),*,(parent),SE2321000016-KS"


def test_explain_names_the_rows_that_lost_and_why(tables: Path, tmp_path: Path) -> None:
    found = explain(tmp_path, "--tables", tables, contract="GetCareContacts:3")
    assert (found["outcome"], found["permission"]) == ("VP007", None)
    lost = [one for one in found["rejected"] if one["reason"] == "expired"]
    assert [(one["row"], one["source"]) for one in lost] == [
        ("permission SE2321000016-K -> SE2321000016-KS GetCareContacts:3", f"{tables}/tables.yaml:15")
    ]


@pytest.mark.parametrize(
    ("at", "outcome"),
    [
        ("2023-12-31T23:59", "VP004"),
        ("2024-01-01", "routed"),
        ("2024-06-30T21:59:59Z", "routed"),
        ("2024-07-01T00:00+02:00", "VP007"),
        ("2035-01-01", "VP004"),
    ],
)
def test_explain_at_another_time(tables: Path, tmp_path: Path, at: str, outcome: str) -> None:
    found = explain(tmp_path, "--tables", tables, "--at", at, contract="GetCareContacts:3")
    assert found["outcome"] == outcome


def test_explain_tells_a_story_to_people(tables: Path, tmp_path: Path) -> None:
    question = ("--from", "SE2321000016-K", "--contract", "GetCareContacts:3", "--to", "SE2321000016-KS1")
    story = run("explain", *question, "--tables", tables, "--at", "2026-11-24T12:00", home=tmp_path).output
    for line in (
        "SE2321000016-K calls SE2321000016-KS1 with GetCareContacts:3 at 2026-11-24 12:00 Swedish time",
        "VP007: the sender has no valid permission for this address and contract",
        "  1. SE2321000016-KS1: no valid row",
        "  2. SE2321000016-KS (above it in the HSA tree): to a (SE2321000016-A), 2024-01-01 to 2034-12-31",
        "  2. * (the default row): no valid row",
        "expired (876 days ago)",
    ):
        assert line in story


def test_several_tables_are_merged_and_a_folder_of_platforms_is_narrowed(tables: Path, tmp_path: Path) -> None:
    more = written(
        tmp_path / "more", more="routes: [{logical_address: SE, contracts: GetDiagnosis:2, producer_address: a}]"
    )
    found = explain(tmp_path, "--tables", tables, more / "more.yaml", to="SE2321000016-X")
    assert found["outcome"] == "VP007"
    listed = json.loads(
        run("list", "--tables", ROUTING, "--platform", "regional", "--to", "SE", "--json", home=tmp_path).output
    )
    assert {row["producer_address"] for row in listed["routes"]} == {"ntjp"}


def test_list_on_files_can_be_narrowed(tables: Path, tmp_path: Path) -> None:
    result = run("list", "--tables", tables, "--contract", "GetCareContacts:3", "--json", home=tmp_path)
    listed = json.loads(result.output)
    assert [row["contract_name"] for row in listed["routes"]] == ["GetCareContacts:3"]
    assert [row["valid_to"] for row in listed["permissions"]] == ["2024-06-30"]
    people = run("list", "--tables", tables, home=tmp_path).output
    assert "GetCareContacts:3, GetDiagnosis:2" in people
    assert "2 routes" in people
    assert "2 permissions" in people


def test_lint_of_good_tables_ends_with_0(tmp_path: Path) -> None:
    result = run("lint", ROUTING, "--json", home=tmp_path)
    assert result.exit_code == 0
    found = json.loads(result.output)
    assert found == {"errors": [], "warnings": []}


def test_lint_names_every_mistake_and_ends_with_1(tmp_path: Path) -> None:
    folder = written(
        tmp_path / "national",
        a="routes:\n  - {logical_address: SE2321000016-KS, contracts: GetDiagnosis:9, producer_address: a}\n",
        b="producer_addresses: {a: {component: SE2321000016-A, url: '${nowhere}'}}\n",
    )
    written(tmp_path / "hsa", tree="units: {A: {parent: B}}")
    result = run("lint", folder, "--json", home=tmp_path)
    assert result.exit_code == 1
    found = json.loads(result.output)["errors"]
    assert [(Path(one["file"]).name, one["line"], one["rule"]) for one in found] == [
        ("tree.yaml", 1, "hsa-unknown-parent"),
        ("a.yaml", 2, "unknown-contract"),
        ("b.yaml", 1, "unknown-component"),
        ("b.yaml", 1, "unknown-variable"),
    ]
    people = run("lint", folder, home=tmp_path)
    assert people.exit_code == 1
    assert f"{folder}/a.yaml:2: error: route: contracts: 'GetDiagnosis:9'" in people.output
    assert "4 errors, " in people.output


def test_lint_knows_the_variables_it_is_told_of(tables: Path, tmp_path: Path) -> None:
    (tables / "tables.yaml").write_text(TABLES.replace("takecare-ks", "mine"))
    assert run("lint", tables, home=tmp_path).exit_code == 1
    assert run("lint", tables, "--variable", "mine", home=tmp_path).exit_code == 0
    assert run("lint", tables, "--variable", "mine=nonsense", home=tmp_path).exit_code == 1


def test_lint_knows_whose_tables_a_folder_holds(tmp_path: Path) -> None:
    folder = written(tmp_path / "regional", tables=TABLES.replace("${takecare-ks}", "${regional}"))
    found = json.loads(run("lint", folder, "--json", home=tmp_path).output)
    assert [problem["rule"] for problem in found["errors"]] == ["route-to-itself"]


def test_lint_of_both_platforms_tells_what_they_send_to_each_other(tmp_path: Path) -> None:
    for file in (*ROUTING.glob("*/*.yaml"),):
        text = file.read_text().replace('    accept: {platform-loop: "provokes VP014 on purpose"}', "    #")
        written(tmp_path / "routing" / file.parent.name, **{file.stem: text})
    found = json.loads(run("lint", tmp_path / "routing", "--json", home=tmp_path).output)
    assert [(Path(one["file"]).name, one["rule"]) for one in found["warnings"]] == [("stockholm.yaml", "platform-loop")]
    assert "regional/platform.yaml:" in found["warnings"][0]["message"]
    alone = json.loads(run("lint", tmp_path / "routing" / "national", "--json", home=tmp_path).output)
    assert alone == {"errors": [], "warnings": []}


def test_lint_tells_what_ends_as_soon_as_one_wants(tables: Path, tmp_path: Path) -> None:
    def rules(*arguments: str) -> set[str]:
        found = json.loads(run("lint", tables, *arguments, "--json", home=tmp_path).output)
        return {one["rule"] for one in found["warnings"]}

    assert "expiring" not in rules()
    assert "expiring" in rules("--expiring-days", "5000")


def test_lint_without_paths_checks_the_tables_of_the_pair(tmp_path: Path) -> None:
    written(tmp_path / "routing" / "national", broken="routes: [")
    result = run("lint", "--json", home=tmp_path)
    assert [problem["rule"] for problem in json.loads(result.output)["errors"]] == ["syntax"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("routes: [", "not YAML"),
        ("routes: [{logical_address: A, contracts: GetDiagnosis:2, producer_address: b}]", "route to producer address 'b'"),
        ("a: 1\nb: 1", "unknown key 'a'; allowed are components, logical_addresses, permissions, producer_addresses, resolution, routes [unknown-key] (and 1 more: `rivta route lint` lists them)"),
    ],
)  # fmt: skip
def test_explain_on_broken_files_is_one_line_with_the_place(tmp_path: Path, text: str, words: str) -> None:
    folder = written(tmp_path / "broken", tables=text)
    question = ("--from", "K", "--contract", "GetDiagnosis", "--to", "A")
    result = run("explain", *question, "--tables", folder, home=tmp_path)
    assert result.exit_code == 1
    assert f"{folder}/tables.yaml:1: " in result.output
    assert words in result.output
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (("--contract", "GetNothing"), 1, "contract 'GetNothing' is not installed"),
        (("--contract", "GetDiagnosis", "--tables", "nowhere"), 2, "'nowhere' does not exist"),
        (("--contract", "GetDiagnosis", "--at", "soon"), 2, "'soon' is no time"),
        (("--contract", "GetDiagnosis", "--tables", "/", "--publication", "1"), 2, "--publication is of a running pair"),
        (("--contract", "GetDiagnosis"), 1, "no running pair in"),
        ((), 2, "Missing option '--contract'"),
    ],
)  # fmt: skip
def test_wrong_use_is_told(tmp_path: Path, arguments: tuple[str, ...], exit_code: int, words: str) -> None:
    result = run("explain", "--from", "K", "--to", "A", *arguments, home=tmp_path)
    assert result.exit_code == exit_code or "no running pair" in str(result.exception)
    assert words in result.output + str(result.exception)


class Keeper:
    """Stands in for the admin API: remembers what was asked and answers from a table of paths."""

    asked: list[tuple[str, str, dict[str, Any]]]
    answers: dict[str, Any]

    def __init__(self, answers: dict[str, Any]) -> None:
        self.asked, self.answers = [], answers

    def client(self, _home: object, platform: str, **_options: object) -> "Keeper._Client":
        return Keeper._Client(self, platform)

    class _Client:
        def __init__(self, keeper: "Keeper", platform: str) -> None:
            self._keeper, self._platform = keeper, platform

        def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
            given = {name: value for name, value in (params or {}).items() if value is not None}
            self._keeper.asked.append((self._platform, path, given))
            return self._keeper.answers[path]


def test_explain_asks_the_running_platform(tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = explain(tmp_path, "--tables", tables) | {"publication": 4}
    keeper = Keeper({"/explain": answer})
    monkeypatch.setattr("rivta.cli.admin.AdminClient.of_platform", keeper.client)
    at = ("--at", "2026-11-24T12:00Z", "--platform", "regional", "--publication", "3")
    assert explain(tmp_path, *at) == answer
    assert keeper.asked == [
        (
            "regional",
            "/explain",
            {
                "sender": "SE2321000016-K",
                "contract": namespaces.GET_DIAGNOSIS_2,
                "logical_address": "SE2321000016-KS",
                "at": "2026-11-24T12:00:00+00:00",
                "publication": "3",
            },
        )
    ]


def test_list_asks_the_running_platform(tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = json.loads(run("list", "--tables", tables, "--json", home=tmp_path).output)
    keeper = Keeper(
        {"/tables/routes": {"routes": rows["routes"]}, "/tables/permissions": {"permissions": rows["permissions"]}}
    )
    monkeypatch.setattr("rivta.cli.admin.AdminClient.of_platform", keeper.client)
    assert json.loads(run("list", "--json", "--consumer", "K", home=tmp_path).output) == rows
    assert keeper.asked == [
        ("national", "/tables/routes", {"limit": 1000}),
        ("national", "/tables/permissions", {"limit": 1000, "consumer": "K"}),
    ]


def test_history_shows_publications_newest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"time": "2026-11-24T12:00:00+00:00", "author": "robin", "digest": "d", "routes": 2, "permissions": 3}
    rows = [
        {"number": 2, "comment": "oops", "rollback_of": 1, **row},
        {"number": 1, "comment": "first", "rollback_of": None, **row},
    ]
    keeper = Keeper({"/tables/publications": {"publications": rows}})
    monkeypatch.setattr("rivta.cli.admin.AdminClient.of_platform", keeper.client)
    people = run("history", home=tmp_path).output
    assert people.index("oops (rollback to 1)") < people.index("first")
    assert "2026-11-24 13:00:00" in people
    assert json.loads(run("history", "--json", home=tmp_path).output) == {"publications": rows}


def test_words_of_a_message_are_not_taken_for_markup(tables: Path, tmp_path: Path) -> None:
    (tables / "tables.yaml").write_text(TABLES.replace("NPÖ 1", "[red]NPÖ[/red]"))
    assert "[red]NPÖ[/red]" in run("list", "--tables", tables, home=tmp_path).output


def test_a_saved_row_decides_in_the_running_pair_and_a_broken_one_changes_nothing(pair: Pair) -> None:
    stranger = pair.endpoints["identities"]["stranger"]["hsa_id"]
    question = ("--from", stranger, "--contract", "GetDiagnosis", "--to", "SE2321000131-SU")
    file = pair.home / "routing" / "national" / "of_a_test.yaml"
    client = AdminClient.of_platform(Home(pair.home), "national")

    def outcome() -> str:
        result = run("explain", *question, "--json", home=pair.home)
        assert result.exit_code == 0, result.output
        return str(json.loads(result.output)["outcome"])

    row = f"{{consumer: {stranger}, logical_address: SE2321000131-SU, contracts: GetDiagnosis:2, agreement: test}}"
    try:
        assert outcome() == "VP007"
        file.write_text(f"permissions:\n- {row}\n")
        until(lambda: outcome() == "routed")
        file.write_text("permissions: [\n")
        until(lambda: client.get("/status")["draft"]["errors"] == 1)
        assert outcome() == "routed"
        assert client.get("/tables/lint")["errors"][0]["file"] == "national/of_a_test.yaml"
        listed = json.loads(run("list", "--consumer", stranger, "--json", home=pair.home).output)
        assert [one["agreement"] for one in listed["permissions"]] == ["test"]
        published = json.loads(run("history", "--json", home=pair.home).output)["publications"]
        assert published[0]["permissions"] == published[-1]["permissions"] + 1
    finally:
        file.unlink(missing_ok=True)
        until(lambda: outcome() == "VP007")
