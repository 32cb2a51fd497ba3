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


def cache(*units: str) -> bytes:
    """An official cache: nobody minds its root's name or namespace."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><c:HsaUnits xmlns:c="urn:x"><startDate/>'
        f"<c:hsaUnits>{''.join(units)}</c:hsaUnits></c:HsaUnits>"
    ).encode()


def unit(hsa_id: str, dn: str, name: str = "Unit") -> str:
    return (
        f"<c:hsaUnit><c:DN>{dn}</c:DN><c:hsaIdentity>{hsa_id}</c:hsaIdentity><other><name>x</name></other>"
        f"<c:name>{name}</c:name></c:hsaUnit>"
    )


def test_the_official_cache_is_read_and_missing_levels_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "hsacache.xml").write_bytes(
        cache(
            unit("C", "ou=Clinic, ou=Not there,ou=Hospital,o=Region,c=SE", "Kliniken på Öland"),
            unit("R", "o=Region,c=SE"),
            unit("H", "ou=Hospital,o=Region,c=SE"),
            unit("", "ou=Nameless,o=Region,c=SE"),
        )
    )
    found, problems = read_hsa(tmp_path)
    assert problems == ()
    assert found.ancestors("C") == ("H", "R", "SE")
    assert found.units["C"].name == "Kliniken på Öland"
    assert sorted(found.units) == ["C", "H", "R"]


def test_a_later_cache_replaces_units_of_an_earlier_one_and_yaml_adds_to_both(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(cache(unit("OLD", "o=Region,c=SE"), unit("H", "ou=H,o=Region,c=SE")))
    (tmp_path / "b.xml").write_bytes(cache(unit("NEW", "o=Region,c=SE")))
    written(tmp_path, c="units:\n  MINE: {parent: H}\n")
    found, problems = read_hsa(tmp_path)
    assert (problems, found.ancestors("MINE")) == ((), ("H", "NEW", "SE"))
    assert "OLD" not in found.units


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (cache(unit("A", "o=A"), unit("B", "o=A")), "unit o=A stands here a second time"),
        (cache(unit("A", "o=A"))[:-5], "line 1"),
        (b"<!DOCTYPE x><x/>", "DOCTYPE"),
        (b"", ""),
    ],
)
def test_a_cache_that_is_broken_is_no_tree(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "hsacache.xml").write_bytes(content)
    (problem,) = read_hsa(tmp_path)[1]
    assert problem.file.endswith("hsacache.xml")
    assert words in problem.message


def test_a_cache_of_any_length_takes_little_memory(tmp_path: Path) -> None:
    units = (unit(f"U{number}", f"ou=U{number},o=R,c=SE") for number in range(50_000))
    (tmp_path / "hsacache.xml").write_bytes(cache(unit("R", "o=R,c=SE"), *units))
    found, problems = read_hsa(tmp_path)
    assert (len(found.units), problems) == (50_001, ())


def test_a_cache_may_have_any_end_date_and_root_and_names_as_they_are(tmp_path: Path) -> None:
    text = cache(unit("A", "o=A,c=SE", "Å & Ö".replace("&", "&amp;"))).decode()
    text = text.replace("<startDate/>", "<c:endDate>never</c:endDate>").replace("urn:x", "urn:y")
    (tmp_path / "hsacache.xml").write_text(text, encoding="utf-8")
    found, problems = read_hsa(tmp_path)
    assert (problems, found.units["A"].name) == ((), "Å & Ö")


@pytest.mark.parametrize("lacking", ["hsaIdentity", "DN", "name"])
def test_a_unit_that_lacks_what_it_must_have_is_left_out_and_told(
    tmp_path: Path, lacking: str, caplog: pytest.LogCaptureFixture
) -> None:
    fields = {"hsaIdentity": "A", "DN": "o=A,c=SE", "name": "A", lacking: ""}
    broken = "<hsaUnit>" + "".join(f"<{name}>{value}</{name}>" for name, value in fields.items()) + "</hsaUnit>"
    (tmp_path / "hsacache.xml").write_bytes(cache(broken, unit("B", "o=B,c=SE")))
    found, problems = read_hsa(tmp_path)
    assert (problems, sorted(found.units)) == ((), ["B"])
    assert f"has no {lacking} and is left out" in caplog.text


def test_a_file_that_is_not_there_is_no_tree(tmp_path: Path) -> None:
    (problem,) = read_hsa(tmp_path / "gone.xml")[1]
    assert (problem.rule, "cannot be read" in problem.message) == ("unreadable", True)


def test_blanks_between_the_parts_of_a_distinguished_name_mean_nothing(tmp_path: Path) -> None:
    (tmp_path / "hsacache.xml").write_bytes(cache(unit("A", "o=A,c=SE"), unit("B", "ou=B ,  o=A , c=SE")))
    assert read_hsa(tmp_path)[0].ancestors("B") == ("A", "SE")
