"""Setting a state and putting it back, at a pair that is a few dictionaries; also what a killed run left behind."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from rivta.testing.staging import CannotSet, Stage
from rivta.testing.state import State

SLOW = State(stubs=(("SE1", (("behaviour", "slow"), ("seconds", "2"))),))
ROWS = State(tables=(("national", "permissions: []"),))


class FakePair:
    """The stub producers' rules, and a platform that publishes whenever a file has come or gone."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.tables = home / "routing"
        self.tables.mkdir(exist_ok=True)
        self.endpoints: Mapping[str, Any] = {
            "stubs": "http://s",
            "platforms": {"national": {"admin": "http://n"}},
            "producers": [{"name": "producer-one", "logical_addresses": ["SE1"]}],
        }
        self.rules: dict[str, dict[str, Any]] = {}
        self.refuses = False

    def admin(self, method: str, url: str, **more: Any) -> Any:
        if url == "http://n/status":
            draft = {"folder": str(self.tables), "problem": "no" if self.refuses else None, "errors": 0}
            return {"draft": draft, "table": {"publication": len(list(self.tables.iterdir()))}}
        if url == "http://n/tables/lint":
            return {"errors": [{"file": "a.yaml", "line": 3, "message": "is wrong"}]}
        target = unquote(url.removeprefix("http://s/stubs").removeprefix("/"))
        if method == "GET":
            return {"rules": list(self.rules.values())}
        if method == "PUT":
            self.rules[target] = {"target": target, "met": 0, **more["json"]}
            return {"target": target}
        self.rules.pop(target, None)
        return {}


@pytest.fixture
def pair(tmp_path: Path) -> FakePair:
    return FakePair(tmp_path)


def left(pair: FakePair) -> list[str]:
    return [one.name for one in (pair.home / "testing").iterdir()]


def test_what_was_set_is_put_back_with_what_was_set_before(pair: FakePair) -> None:
    before = {"target": "SE1", "met": 4, "behaviour": "fault", "calls_left": 2, "seconds_left": None, "body": ""}
    pair.rules["SE1"] = before
    with Stage(pair) as stage:
        stage.set(SLOW)
        assert pair.rules["SE1"]["behaviour"] == "slow"
        stage.put_back()
        assert pair.rules["SE1"] == {"target": "SE1", "met": 0, "behaviour": "fault", "calls": 2}
    assert left(pair) == []


def test_what_comes_before_any_call_is_set_and_put_back_at_its_producer(pair: FakePair) -> None:
    with Stage(pair) as stage:
        stage.set(State(stubs=(("se1", (("behaviour", "stopped"),)),)))
        assert list(pair.rules) == ["producer-one"]
    assert pair.rules == {}


def test_rows_are_in_force_while_they_are_set_and_gone_after(pair: FakePair) -> None:
    with Stage(pair) as stage:
        stage.set(ROWS)
        assert len(list(pair.tables.iterdir())) == 1
    assert list(pair.tables.iterdir()) == []


def test_refused_rows_are_taken_away_and_the_reason_told(pair: FakePair) -> None:
    pair.refuses = True
    with Stage(pair) as stage, pytest.raises(CannotSet, match=r"the tables are refused: a.yaml:3: is wrong"):
        stage.set(ROWS)
    assert list(pair.tables.iterdir()) == []


def test_an_unknown_platform_or_number_is_told(pair: FakePair) -> None:
    with Stage(pair) as stage:
        with pytest.raises(CannotSet, match="there is no platform 'local' here, but national"):
            stage.set(State(tables=(("local", ""),)))
        with pytest.raises(CannotSet, match="seconds: 'x' is not a number"):
            stage.set(State(stubs=(("SE1", (("behaviour", "slow"), ("seconds", "x"))),)))


def test_the_next_run_puts_back_what_a_killed_one_left(pair: FakePair) -> None:
    pair.rules["SE1"] = {"target": "SE1", "behaviour": "slow"}
    folder = pair.home / "testing"
    folder.mkdir()
    (folder / "undo-1.json").write_text(json.dumps([{"do": "stub", "target": "SE1", "before": []}]))
    with Stage(pair):
        assert pair.rules == {}
    assert left(pair) == []


def test_what_a_living_run_has_set_is_left_alone(pair: FakePair) -> None:
    with Stage(pair) as first:
        first.set(SLOW)
        with Stage(pair):
            assert list(pair.rules) == ["SE1"]
        assert list(pair.rules) == ["SE1"]


def test_a_damaged_undo_file_is_told_by_name(pair: FakePair) -> None:
    (pair.home / "testing").mkdir()
    (pair.home / "testing" / "undo-1.json").write_text("{")
    with pytest.raises(CannotSet, match=r"undo-1.json: what a run left behind cannot be read"), Stage(pair):
        pass


def test_how_to_undo_is_written_before_the_change(pair: FakePair) -> None:
    class Dying(FakePair):
        def admin(self, method: str, url: str, **more: Any) -> Any:
            if method == "PUT":
                (file,) = (self.home / "testing").glob("undo-*.json")
                assert json.loads(file.read_text())[0]["target"] == "SE1"
            return super().admin(method, url, **more)

    with Stage(Dying(pair.home), now=lambda: datetime(2026, 11, 24, tzinfo=UTC)) as stage:
        stage.set(SLOW)
