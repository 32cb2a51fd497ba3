"""One immutable file for each publication, tree and set of variables, and the switch to it."""

import json
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from rivta.catalogue import content
from rivta.catalogue.compile import UncompilableTable, compile_table, read_current, resolve, switch_current
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.table import Table
from tests.catalogue.tables import DIAGNOSIS, VARIABLES, read, tree

TABLE = """\
components: {C: {name: c, platform: true}}
producer_addresses: {a: {component: c, url: "${national}/x"}}
routes: [{logical_address: A, contracts: GetDiagnosis:2, producer_address: a}]
"""


@pytest.fixture
def frozen(tmp_path: Path) -> bytes:
    return content.encode(read(tmp_path / "draft", tables=TABLE).draft)


def compile_(frozen: bytes, folder: Path, **changed: object) -> Path:
    options: dict[str, object] = {"hsa": HsaTree(), "variables": VARIABLES, "publication": 1, "hsa_version": 1}
    return compile_table(frozen, folder=folder, **{**options, **changed})  # type: ignore[arg-type]


def test_the_file_is_read_only_and_named_by_a_digest_and_nothing_else_is_left(frozen: bytes, tmp_path: Path) -> None:
    path = compile_(frozen, tmp_path / "tables")
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(path.stem) == 64
    assert os.listdir(path.parent) == [path.name]


def test_the_same_table_is_not_made_twice(frozen: bytes, tmp_path: Path) -> None:
    path = compile_(frozen, tmp_path)
    before = path.stat().st_mtime_ns
    assert compile_(frozen, tmp_path) == path
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "changed",
    [
        {"hsa": tree(A=None)},
        {"variables": {**VARIABLES, "national": "https://other.test"}},
        {"publication": 2},
        {"hsa_version": 2},
    ],
    ids=["tree", "variables", "publication", "HSA version"],
)
def test_whatever_changes_gives_another_file(frozen: bytes, tmp_path: Path, changed: dict[str, object]) -> None:
    assert compile_(frozen, tmp_path) != compile_(frozen, tmp_path, **changed)


def test_variables_are_resolved_and_components_joined_in_any_case(frozen: bytes, tmp_path: Path) -> None:
    table = Table.open(compile_(frozen, tmp_path))
    (route,) = table.routes()
    assert (route.url, route.platform, route.source) == ("https://national.test/vp/x", True, "tables.yaml:3")


def test_a_table_that_cannot_be_compiled_leaves_nothing_behind(frozen: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    with pytest.raises(UncompilableTable, match=r"tables.yaml:2: producer address a: variable \$\{national\}"):
        compile_(frozen, folder, variables={})
    assert os.listdir(folder) == []


def test_a_route_to_no_producer_address_cannot_be_compiled(tmp_path: Path) -> None:
    draft = read(
        tmp_path, tables="routes: [{logical_address: A, contracts: GetDiagnosis:2, producer_address: b}]"
    ).draft
    with pytest.raises(UncompilableTable, match=r"tables\.yaml:1: route to producer address 'b'"):
        compile_(content.encode(draft), tmp_path / "tables")


def test_resolve_leaves_other_dollars_alone() -> None:
    assert resolve("https://a/$x?${n}${n}", {"n": "1"}) == "https://a/$x?11"


def test_current_names_the_table_in_force(frozen: bytes, tmp_path: Path) -> None:
    path = compile_(frozen, tmp_path)
    switch_current(path, publication=1, hsa_version=1)
    assert read_current(tmp_path) == {"file": path.name, "digest": path.stem, "publication": 1, "hsa_version": 1}
    assert json.loads((tmp_path / "current").read_text()) == read_current(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00"])
def test_a_broken_current_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "current").write_text(text)
    assert read_current(tmp_path) == {}


def test_old_tables_go_but_an_open_one_can_still_be_read(frozen: bytes, tmp_path: Path) -> None:
    paths = []
    for number in range(1, 7):
        path = compile_(frozen, tmp_path, publication=number)
        os.utime(path, (number, number))
        paths.append(path)
        if number == 1:
            oldest = Table.open(path)
        switch_current(path, publication=number, hsa_version=1)
    assert [path.exists() for path in paths] == [False, False, False, True, True, True]
    assert len(list(oldest.routes(contract=DIAGNOSIS))) == 1


def test_what_a_killed_process_left_goes_and_what_another_is_writing_stays(frozen: bytes, tmp_path: Path) -> None:
    left, writing = tmp_path / ".0123-a.tmp", tmp_path / ".0123-b.tmp"
    left.touch()
    writing.touch()
    os.utime(left, (1, 1))
    switch_current(compile_(frozen, tmp_path), publication=1, hsa_version=1)
    assert (left.exists(), writing.exists()) == (False, True)


def test_every_look_up_goes_by_an_index(tmp_path: Path) -> None:
    rows = "".join(
        f"- {{logical_address: SE1-A{n}, contracts: GetDiagnosis:2, producer_address: a}}\n" for n in range(500)
    )
    draft = read(
        tmp_path / "draft", tables=TABLE.replace("routes: [", "routes:\n" + rows + "- ").replace("}]\n", "}\n")
    ).draft
    path = compile_(content.encode(draft), tmp_path)
    with sqlite3.connect(path) as connection:
        plans = [
            row[-1]
            for query in (
                "SELECT * FROM routes WHERE address_key = '' AND contract = 1",
                "SELECT * FROM permissions WHERE address_key = '' AND contract = 1 AND consumer_key = ''",
                "SELECT path FROM units WHERE id = ''",
                "SELECT id FROM units WHERE id_key = ''",
            )
            for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")
        ]
    connection.close()
    assert all(plan.startswith("SEARCH") for plan in plans), plans
    assert Table.open(path).routes_count == 501
