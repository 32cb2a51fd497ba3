"""The HSA tree from its files."""

from pathlib import Path

import pytest

from rivta.catalogue.hsa import HsaTree, read_hsa
from tests.catalogue.tables import tree, written


def test_units_lead_up_to_the_root(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        a="units:\n  R: {name: Region}\n  H: {name: Hospital, parent: R}\n",
        b="units:\n  C: {name: Clinic, parent: H}\n  S: {parent: SE}\n  Bare:\n",
    )
    found, problems = read_hsa(folder)
    assert problems == ()
    assert found.ancestors("C") == ("H", "R", "SE")
    assert found.ancestors("S") == found.ancestors("Bare") == ("SE",)
    assert found.units["C"].name == "Clinic"


def test_an_unknown_id_lies_right_below_the_root_which_has_nothing_above() -> None:
    assert HsaTree().ancestors("X") == ("SE",)
    assert HsaTree().ancestors("SE") == ()


def test_ids_are_told_apart_by_case() -> None:
    assert tree(A=None, B="A").ancestors("b") == ("SE",)


@pytest.mark.parametrize(
    ("text", "line", "rule", "words"),
    [
        ("units:\n  A: {parent: B}", 2, "hsa-unknown-parent", ["unit A", "'B'"]),
        ("units:\n  A: {parent: B}\n  B: {parent: A}", 2, "hsa-circle", ["A -> B -> A"]),
        ("units:\n  A: {parent: A}", 2, "hsa-circle", ["A -> A"]),
        ("units:\n  A: {}\n  A: {}", 3, "duplicate-key", ["'A'"]),
        ("units:\n  A: {naem: x}", 2, "unknown-key", ["'naem'", "parent"]),
        ("unit: {}", 1, "unknown-key", ["'unit'", "units"]),
        ("units: [A]", 1, "wrong-type", ["units"]),
        ("units:\n  A: {parent: [B]}", 2, "wrong-type", ["unit A: parent"]),
        ("units: {", 1, "syntax", ["not YAML"]),
    ],
)
def test_a_mistake_is_named_by_file_and_line(tmp_path: Path, text: str, line: int, rule: str, words: list[str]) -> None:
    _, (found,) = read_hsa(written(tmp_path, hsa=text), relative_to=tmp_path)
    assert (found.file, found.line, found.rule) == ("hsa.yaml", line, rule)
    for word in words:
        assert word in found.message


def test_a_circle_and_those_below_it_are_one_mistake(tmp_path: Path) -> None:
    text = "units:\n  A: {parent: B}\n  B: {parent: C}\n  C: {parent: B}\n  D: {parent: A}\n"
    _, problems = read_hsa(written(tmp_path, hsa=text))
    assert [problem.rule for problem in problems] == ["hsa-circle"]


def test_a_unit_of_two_files_is_a_mistake(tmp_path: Path) -> None:
    _, (found,) = read_hsa(written(tmp_path, a="units: {A: {}}", b="units: {A: {}}"), relative_to=tmp_path)
    assert (found.file, found.rule) == ("b.yaml", "hsa-duplicate")
    assert "a.yaml:1" in found.message


def test_content_and_digest_say_what_is_in_the_tree_and_not_where_it_stood(tmp_path: Path) -> None:
    first, _ = read_hsa(written(tmp_path / "1", a="units: {A: {name: Å}, B: {parent: A}}"))
    second, _ = read_hsa(written(tmp_path / "2", a="units: {B: {parent: A}}", b="\n\nunits: {A: {name: Å}}"))
    assert first.digest == second.digest != tree(A=None, B="A").digest
    assert HsaTree.from_content(first.content()).ancestors("B") == ("A", "SE")
    assert HsaTree.from_content(HsaTree().content()) == HsaTree()
