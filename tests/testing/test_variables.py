"""`${name}`: filling in, the names that are always there, command line and CSV."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.catalogue.rows import Problem
from rivta.soap.xml import parse_xml
from rivta.testing.variables import Filling, Moment, UnknownVariable, read_csv, read_settings

MOMENT = Moment(datetime(2026, 11, 24, 23, 30, tzinfo=UTC), 7, "some-uuid")


def filling(**variables: str) -> Filling:
    return Filling(variables, MOMENT)


def test_values_are_filled_in_and_two_dollars_stand_for_themselves() -> None:
    assert filling(a="1").text("${a}-$${a}-$a-${a}") == "1-${a}-$a-1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uuid", "some-uuid"),
        ("number", "7"),
        ("now", "20261125003000"),
        ("today", "20261125"),
        ("today-367d", "20251123"),
        ("now+2h", "20261125023000"),
        ("now-30m", "20261125000000"),
    ],
)
def test_names_that_are_always_there_are_in_swedish_time(name, value) -> None:
    assert filling().text(f"${{{name}}}") == value


def test_a_value_of_ones_own_wins_over_them() -> None:
    assert filling(today="1").text("${today}") == "1"


@pytest.mark.parametrize("name", ["patient", "now-1w", "today-999999d", "tomorrow"])
def test_an_unknown_name_says_what_there_is(name) -> None:
    with pytest.raises(UnknownVariable, match="has no value"):
        filling(other="1").text(f"${{{name}}}")


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20))
def test_any_value_is_the_same_text_in_xml(value) -> None:
    if any(ord(character) in (0xFFFE, 0xFFFF) or ord(character) & 0xFFFE == 0xFFFE for character in value):
        return
    root = parse_xml(filling(v=value).xml(b'<a b="${v}">${v}</a>'))
    assert (root.text or "") == value
    assert root.get("b") == value


def test_a_value_fits_a_document_of_another_charset() -> None:
    data = '<?xml version="1.0" encoding="ISO-8859-1"?><a>å${v}</a>'.encode("latin-1")
    assert parse_xml(filling(v="ö€").xml(data)).text == "åö€"


def test_settings_of_the_command_line() -> None:
    assert read_settings(["a=1", "b=x=y", "a=2", "c="]) == {"a": "2", "b": "x=y", "c": ""}
    for wrong in ("a", "=1", "a b=1"):
        with pytest.raises(ValueError, match="name"):
            read_settings([wrong])


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_file_names_variables_in_its_first_line(tmp_path, delimiter) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(f"patient{delimiter}to\n1{delimiter}å\n\n2{delimiter}b\n", encoding="utf-8-sig")
    problems: list[Problem] = []
    assert read_csv(file, problems) == ({"patient": "1", "to": "å"}, {"patient": "2", "to": "b"})
    assert problems == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n3\n", ":3: has 1 values, but the first line names 2"),
        (b"a,a\n1,2\n", ":1: the first line names 'a' twice"),
        (b"a b\n1\n", ":1: the first line names the variables, and 'a b' is no name"),
        (b"a\n", ":1: has no rows"),
        (b"", ":1: has no rows"),
        (b"a\n\xff\n", ":0: is not UTF-8"),
        (b'a\n"1\n', ":0: cannot be read as CSV"),
    ],
)
def test_a_mistake_in_a_csv_file_is_told_with_its_line(tmp_path, content, message) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(content)
    problems: list[Problem] = []
    read_csv(file, problems)
    assert str(problems[0]).startswith(f"{file}{message}")
