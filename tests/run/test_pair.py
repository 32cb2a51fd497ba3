"""The supervisor's process from outside: signals, the lock, and what is left behind. Its roles are fake."""

import os
import signal
from pathlib import Path

import pytest

from rivta.run.home import Home, HomeError
from rivta.run.lock import lock_home, supervisor_pid
from tests.run.running import is_alive, pids, running, state
from tests.support import run_rivta, until

pytestmark = pytest.mark.sockets


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_and_takes_what_was_published_away(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path) as process:
        (role,) = pids(tmp_path)
        assert (tmp_path / "endpoints.json").exists()
        process.send_signal(number)
        assert process.wait(10) == 0
    assert not (tmp_path / "endpoints.json").exists()
    assert not (tmp_path / "run" / "supervisor.json").exists()
    assert not is_alive(role)


def test_a_second_signal_hurries(tmp_path: Path) -> None:
    with running(tmp_path, "stubborn") as process:
        process.send_signal(signal.SIGINT)
        until(lambda: state(tmp_path)["state"] == "stopping")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_a_second_pair_in_the_same_home_is_refused_and_names_the_first(tmp_path: Path) -> None:
    with running(tmp_path) as process, pytest.raises(HomeError, match=rf"already runs in .* \(process {process.pid}\)"):
        lock_home(Home(tmp_path))


def test_two_homes_do_not_disturb_each_other(tmp_path: Path) -> None:
    with running(tmp_path / "a") as first, running(tmp_path / "b"):
        first.send_signal(signal.SIGTERM)
        first.wait(10)
        assert run_rivta("status", "--home", str(tmp_path / "b")).returncode == 0
        assert run_rivta("status", "--home", str(tmp_path / "a")).returncode == 1


def test_a_new_pair_waits_until_the_roles_of_a_killed_supervisor_have_ended(tmp_path: Path) -> None:
    with running(tmp_path) as process:
        (role,) = pids(tmp_path)
        process.kill()
        process.wait(10)
        assert supervisor_pid(Home(tmp_path)) is None
        lock = lock_home(Home(tmp_path))
        os.close(lock)
        assert not is_alive(role)
