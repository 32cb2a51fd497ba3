"""What a case wants to find, as values: ages, engagements, wishes, and reading them from message.yaml."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rivta.catalogue.rows import Problem
from rivta.testing.case_files import read_case
from rivta.testing.cases import Case, find_cases
from rivta.testing.state import State, age_of, engagement_of, wish_of
from tests.testing.messages import CONTRACTS, ping

ROW = "{patient: '1', domain: d, category: dia, logical_address: SE1, source: SE2, controller: SE3, age: 367d}"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def read(folder: Path, message: str) -> tuple[Case | None, list[str]]:
    (folder / "request.xml").write_bytes(ping())
    (folder / "message.yaml").write_text(message)
    problems: list[Problem] = []
    (found,) = find_cases([folder], problems)
    case = read_case(found, problems, contracts=CONTRACTS)
    return case, [f"{one.line}: {one.message}" for one in problems]


def test_the_age_of_a_row_is_that_of_its_newest_content() -> None:
    row = {"patient": "1", "domain": "d", "category": "dia", "logical_address": "SE1", "source": "SE2"}
    made = engagement_of({**row, "controller": "SE3", "age": "367d"}, NOW)
    assert (made.most_recent_content, made.business_object_instance_id) == ("20251122130000", "NA")
    assert age_of("8h") == timedelta(hours=8)


@pytest.mark.parametrize("text", ["", "8", "d", "8w", "-8d", "8.5d", "9999999d"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no age"):
        age_of(text)


def test_numbers_of_a_wish_are_numbers() -> None:
    assert wish_of({"behaviour": "slow", "seconds": "2.5", "calls": "3", "patient": "191212121212"}) == {
        "behaviour": "slow",
        "seconds": 2.5,
        "calls": 3,
        "patient": "191212121212",
    }
    with pytest.raises(ValueError, match="calls: 'x' is not a number"):
        wish_of({"calls": "x"})


def test_a_state_is_read_and_filled_with_variables(tmp_path: Path) -> None:
    message = (
        "state:\n"
        "  tables: {national: {permissions: [{consumer: '${who}'}]}}\n"
        f"  index: [{ROW}]\n"
        "  stubs: [{target: SE1, behaviour: slow, seconds: '${wait}'}]\n"
    )
    case, problems = read(tmp_path, message)
    assert problems == []
    assert case is not None
    assert case.state is not None
    filled = case.state.filled(lambda text: text.replace("${who}", "SE9").replace("${wait}", "2"))
    assert "consumer: 'SE9'" in filled.tables[0][1]
    assert filled.index[0][0] == "national"
    assert filled.stubs == (("SE1", (("behaviour", "slow"), ("seconds", "2"))),)
    assert State().filled(str) == State()


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("{index: [{patient: '1'}]}", "1: state: index: domain is missing"),
        (f"{{index: [{ROW.replace('367d', 'old')}]}}", "1: state: index: age: 'old' is no age"),
        ("{stubs: [{target: SE1}]}", "1: state: stubs: expected {target"),
        (
            "{stubs: [{target: SE1, behaviour: slow, seconds: long}]}",
            "1: state: stubs: seconds: 'long' is not a number",
        ),
        ("{tables: {local: {}}}", "local"),
        ("{clock: now}", "clock"),
    ],
)
def test_a_wrong_state_is_told_with_its_line_before_anything_is_sent(tmp_path: Path, state: str, told: str) -> None:
    case, problems = read(tmp_path, f"state: {state}")
    assert case is None
    assert told in problems[0]
