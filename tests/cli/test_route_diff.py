"""`rivta route diff` as scripts and people meet it."""

import json
from pathlib import Path
from typing import Any

import pytest

from rivta.catalogue import content
from tests.catalogue.tables import read, written
from tests.cli.test_route import Keeper, run

TABLES = """\
producer_addresses:
  a: {component: SE2321000016-A, url: "${takecare-ks}"}
routes:
  - {logical_address: [SE2321000016-KS, SE2321000016-DS], contracts: [GetDiagnosis:2, GetCareContacts:3], producer_address: a, valid_to: 2034-12-31}
permissions:
  - {consumer: SE2321000016-K, logical_address: SE2321000016-KS, contracts: GetDiagnosis:2, agreement: x}
"""  # fmt: skip


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    after = TABLES.replace("2034-12-31", "2030-12-31").replace("consumer: SE2321000016-K,", "consumer: SE2321000016-L,")
    return written(tmp_path / "old", tables=TABLES), written(tmp_path / "new", tables=after)


def test_folders_are_compared_row_by_row_for_scripts(folders: tuple[Path, Path], tmp_path: Path) -> None:
    result = run("diff", *folders, "--json", home=tmp_path)
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert (found["before"], found["after"]) == (str(folders[0]), str(folders[1]))
    assert [(one["section"], one["change"]) for one in found["differences"]] == [
        *[("routes", "changed")] * 4,
        ("permissions", "removed"),
        ("permissions", "added"),
    ]
    assert found["differences"][0]["fields"] == {"valid_to": {"before": "2034-12-31", "after": "2030-12-31"}}
    assert found["differences"][0]["after_source"] == f"{folders[1]}/tables.yaml:4"


def test_people_see_rows_that_were_written_as_one_together(folders: tuple[Path, Path], tmp_path: Path) -> None:
    lines = run("diff", *folders, home=tmp_path).output.splitlines()
    assert lines == [
        f"~ route SE2321000016-DS, SE2321000016-KS GetDiagnosis:2, GetCareContacts:3 (4 rows), {folders[1]}/tables.yaml:4",
        "    valid_to: 2034-12-31 -> 2030-12-31",
        f"- permission SE2321000016-K SE2321000016-KS GetDiagnosis:2, agreement x, {folders[0]}/tables.yaml:6",
        f"+ permission SE2321000016-L SE2321000016-KS GetDiagnosis:2, agreement x, {folders[1]}/tables.yaml:6",
        f"{folders[0]} -> {folders[1]}: 1 added, 1 removed, 4 changed",
    ]


def test_no_differences_are_told_too(folders: tuple[Path, Path], tmp_path: Path) -> None:
    assert run("diff", folders[0], folders[0], home=tmp_path).output.endswith(": no differences\n")


def test_publications_and_the_draft_are_compared_by_the_keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer: dict[str, Any] = {"before": "publication 3", "after": "draft", "differences": []}
    keeper = Keeper({"/tables/diff": answer})
    monkeypatch.setattr("rivta.cli.admin.AdminClient.of_platform", keeper.client)
    result = run("diff", "3", "draft", "--platform", "regional", "--json", home=tmp_path)
    assert json.loads(result.output) == answer
    assert keeper.asked == [("regional", "/tables/diff", {"before": "3", "after": "draft"})]


def test_files_are_compared_with_a_publication_of_the_pair(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = content.encode(read(tmp_path / "frozen", tables=TABLES).draft).decode()
    snapshot = {"publication": "publication 3", "content": frozen, "hsa": "[\n]\n", "platform": {"hsa_id": "N"}}
    keeper = Keeper({"/tables/snapshot": snapshot})
    monkeypatch.setattr("rivta.cli.admin.AdminClient.of_platform", keeper.client)
    found = json.loads(run("diff", "3", folders[1], "--json", home=tmp_path).output)
    assert (found["before"], len(found["differences"])) == ("publication 3", 6)
    assert keeper.asked == [("national", "/tables/snapshot", {"publication": "3"})]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("gone", None, "no such file or folder; or say the number of a publication, or draft"),
        ("broken.yaml", "routes: [", "broken.yaml:1: not YAML"),
        ("publication.xml", "<x/>", "say --trust PEM, the certificate it is signed by"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    folders: tuple[Path, Path], tmp_path: Path, name: str, text: str | None, words: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    result = run("diff", folders[0], tmp_path / name, home=tmp_path)
    assert result.exit_code in (1, 2)
    assert words in result.output
