"""A worker's view: one `stat` when nothing happens, one swapped reference when something does."""

import json
import os
from pathlib import Path

import pytest

from rivta.catalogue import content
from rivta.catalogue.compile import compile_table, switch_current
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.rows import Draft
from rivta.catalogue.serving import CurrentTable
from rivta.catalogue.table import Table


def put_in_force(folder: Path, publication: int) -> Path:
    path = compile_table(content.encode(Draft()), hsa=HsaTree(), variables={}, folder=folder, publication=publication)
    switch_current(path, publication=publication, hsa_version=0)
    return path


def in_use(current: CurrentTable) -> int | None:
    return current.table.publication if current.table else None


def test_without_a_table_there_is_none_and_the_reason_is_said(tmp_path: Path) -> None:
    current = CurrentTable(tmp_path / "tables")
    assert not current.check()
    assert (current.table, current.decisions) == (None, None)
    assert current.load_error is not None
    assert "No such file" in current.load_error


def test_a_new_table_is_noticed_once(tmp_path: Path) -> None:
    current = CurrentTable(tmp_path)
    put_in_force(tmp_path, 1)
    assert current.check()
    assert not current.check()
    assert in_use(current) == 1
    put_in_force(tmp_path, 2)
    assert current.check()
    assert in_use(current) == 2
    assert current.load_error is None


def test_who_still_holds_the_old_table_can_go_on_deciding_by_it(tmp_path: Path) -> None:
    current = CurrentTable(tmp_path)
    put_in_force(tmp_path, 1)
    current.check()
    old = current.decisions
    put_in_force(tmp_path, 2)
    current.check()
    assert old is not None
    assert old.table.publication == 1
    assert old.table.ancestors("X") == ("SE",)
    assert current.decisions is not old


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"file": 1}', '{"file": "../../etc/passwd"}', '{"file": "missing.sqlite"}', "\ufffe"],
)
def test_a_broken_current_keeps_the_table_and_is_tried_again(tmp_path: Path, text: str) -> None:
    current = CurrentTable(tmp_path)
    path = put_in_force(tmp_path, 1)
    current.check()
    (tmp_path / "current").write_text(text)
    assert not current.check()
    assert in_use(current) == 1
    assert current.load_error
    switch_current(path, publication=1, hsa_version=0)
    assert not current.check()
    assert current.load_error is None


def test_a_current_that_vanished_keeps_the_table(tmp_path: Path) -> None:
    current = CurrentTable(tmp_path)
    put_in_force(tmp_path, 1)
    current.check()
    (tmp_path / "current").unlink()
    assert not current.check()
    assert in_use(current) == 1
    assert current.load_error is not None


def test_a_broken_table_keeps_the_one_in_use_until_it_is_mended(tmp_path: Path) -> None:
    current = CurrentTable(tmp_path)
    put_in_force(tmp_path, 1)
    current.check()
    path = put_in_force(tmp_path, 2)
    good = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(good[:100])
    assert not current.check()
    assert in_use(current) == 1
    path.write_bytes(good)
    assert current.check()
    assert in_use(current) == 2


def test_the_same_table_named_again_is_no_swap(tmp_path: Path) -> None:
    current = CurrentTable(tmp_path)
    path = put_in_force(tmp_path, 1)
    current.check()
    table = current.table
    os.utime(tmp_path / "current", (1, 1))
    assert not current.check()
    assert current.table is table
    assert json.loads((tmp_path / "current").read_text())["file"] == path.name
    assert isinstance(table, Table)
