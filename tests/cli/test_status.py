"""`rivta status` and `rivta down` on a supervisor whose roles are fake."""

import json
from pathlib import Path

import pytest

from rivta.cli.status import _duration, _platform_lines, _show, _table_words
from rivta.run.home import Home
from rivta.run.lock import is_locked
from tests.run.running import pids, running
from tests.support import run_rivta

pytestmark = pytest.mark.sockets


def test_down_stops_the_pair_and_returns_when_it_is_gone(tmp_path: Path) -> None:
    with running(tmp_path) as process:
        done = run_rivta("down", "--home", str(tmp_path))
        assert (done.returncode, done.stdout) == (0, f"Stopped the pair in {tmp_path}.\n")
        assert not is_locked(Home(tmp_path))
        assert process.wait(5) == 0


def test_down_where_nothing_runs_is_no_error(tmp_path: Path) -> None:
    done = run_rivta("down", "--home", str(tmp_path))
    assert (done.returncode, done.stdout) == (0, f"No pair runs in {tmp_path}.\n")


def test_down_clears_up_after_a_killed_supervisor(tmp_path: Path) -> None:
    with running(tmp_path) as process:
        process.kill()
        process.wait(10)
        done = run_rivta("down", "--home", str(tmp_path), "--json")
    assert json.loads(done.stdout)["home"] == str(tmp_path)
    assert not (tmp_path / "endpoints.json").exists()
    assert not (tmp_path / "run" / "supervisor.json").exists()


def test_status_shows_the_roles_and_bears_with_a_keeper_that_does_not_answer(tmp_path: Path) -> None:
    with running(tmp_path, "serve", "serve"):
        (tmp_path / "admin.token").write_text("token\n")
        status = json.loads(run_rivta("status", "--home", str(tmp_path), "--json").stdout)
        assert [role["name"] for role in status["roles"]] == ["worker-0", "worker-1"]
        for role in status["roles"]:
            assert role["state"] == "ready"
            assert role["pid"] in pids(tmp_path)
            assert role["uptime_s"] > 0
            assert role["rss_mb"] > 1
    assert "no answer from the keeper of national" in status["platforms"]["national"]["error"]
    assert status["announcements"] is None


def test_status_says_which_records_the_indexes_do_not_know_of(capsys: pytest.CaptureFixture[str]) -> None:
    told = [
        {"producer": "vgr", "platform": "national", "rows": 3, "taken": False, "attempts": 2, "problem": "VP004 ..."},
        {"producer": "skane", "platform": "national", "rows": 3, "taken": True, "attempts": 1, "problem": None},
    ]
    status = {"home": "h", "state": "ready", "pid": 1, "roles": [], "platforms": {}}
    _show(status | {"announcements": {"settled": False, "announcements": told}})
    last = " ".join(capsys.readouterr().out.split()).rpartition("vgr")[2]
    assert last == " has not been able to announce its records to the national index: VP004 ..."


def test_status_for_people_has_a_row_for_each_role(tmp_path: Path) -> None:
    with running(tmp_path):
        shown = run_rivta("status", "--home", str(tmp_path))
    assert shown.returncode == 0
    assert "worker-0" in shown.stdout
    assert "ready" in shown.stdout


def test_status_where_nothing_runs_says_what_to_do(tmp_path: Path) -> None:
    shown = run_rivta("status", "--home", str(tmp_path))
    assert shown.returncode == 1
    assert shown.stderr == (
        f"rivta: no pair runs in {tmp_path}: start one with `rivta up --home {tmp_path}`, or name another with --home\n"
    )


def test_what_a_keeper_says_is_words_for_people() -> None:
    platform = {
        "hsa_id": "SE1-P",
        "name": "P",
        "title": "The platform",
        "https": "https://localhost:20010/vp",
        "table": {"publication": 3, "hsa_version": 2, "routes": 1, "permissions": 5, "problem": None},
        "draft": {"folder": "/r", "autopublish": True, "errors": 1, "warnings": 2, "problem": "one row is broken"},
        "call_log": {"collected": 7, "gaps": 1, "problem": None},
        "contracts": {"known": 21, "problem": "installed.json: cannot be read"},
        "workers": {"42": {"calls": 7, "in_flight": 1}},
        "insecure": [],
    }
    assert [line.plain for line in _platform_lines("national", platform)] == [
        "national  The platform, SE1-P",
        "  calls     https://localhost:20010/vp",
        "  table     publication 3, HSA tree 2: 1 route, 5 permissions",
        "  draft     /r, each valid save is published, 1 error, 2 warnings (`rivta route lint`)",
        "            one row is broken",
        "  call log  7 calls since the start, 1 gap",
        "  contracts 21 contracts",
        "            installed.json: cannot be read",
        "  worker    42: 7 calls, 1 under way",
    ]


def test_a_platform_without_a_table_says_what_that_means() -> None:
    assert _table_words(None) == ("none", "no table has ever been published: no call can be carried")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (75, "1 min 15 s"), (7_300, "2 h 1 min"), (200_000, "2 d 7 h")]
)
def test_a_span_of_time_is_said_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert _duration(seconds) == words
