"""`rivta up`: what it refuses, that it then leaves nothing behind, and what it starts."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from rivta.run.home import Home
from rivta.run.lock import is_locked
from tests.support import Pair, run_rivta


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that is in use, with room for a block of ports around it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.sockets
@pytest.mark.parametrize("how", ["--detach", "--json"])
def test_a_port_in_use_is_one_line_and_nothing_is_left_running(tmp_path: Path, taken: int, how: str) -> None:
    done = run_rivta("up", "--home", str(tmp_path), "--port-base", str(taken - 20), how)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert f"port {taken} on 127.0.0.1, which regional-https needs, is in use" in done.stderr
    assert "--port-base" in done.stderr
    assert not is_locked(Home(tmp_path))
    assert not (tmp_path / "endpoints.json").exists()


@pytest.mark.parametrize(
    ("home", "said"),
    [("file", "is not a folder"), ("file/pair", "cannot be made: Not a directory"), ("source", "is a source folder")],
)
def test_a_home_that_cannot_be_used_is_one_line(tmp_path: Path, home: str, said: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "pyproject.toml").touch()
    done = run_rivta("up", "--home", str(tmp_path / home), "--port-base", "auto", "--detach")
    assert done.returncode == 1
    assert done.stderr.startswith(f"rivta: {tmp_path}/{home.partition('/')[0]}")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_folder_of_tables_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    done = run_rivta("up", "--home", str(tmp_path / "pair"), "--tables", str(tmp_path / "none"))
    assert done.returncode == 2
    assert "does not exist" in done.stderr
    assert not (tmp_path / "pair").exists()


def test_platform_settings_that_are_wrong_are_all_said(tmp_path: Path) -> None:
    file = tmp_path / "platform.toml"
    file.write_text('[platform]\nhsa_id = "SE1"\nname = "X"\n\n[listen]\nhtps = "127.0.0.1:1"\n')
    done = run_rivta("serve", "--config", str(file))
    assert done.returncode == 1
    assert "listen.htps: unknown key: did you mean https?" in done.stderr
    assert "listen.https: missing" in done.stderr
    assert "tls: missing" in done.stderr


@pytest.mark.pair
def test_everything_that_is_published_exists(pair: Pair) -> None:
    for file in (pair.endpoints["ca"], pair.endpoints["crl"], pair.endpoints["admin_token_file"]):
        assert Path(file).is_file()
    assert pair.endpoints["home"] == str(pair.home)


@pytest.mark.pair
def test_a_second_pair_in_the_same_home_is_refused(pair: Pair) -> None:
    done = run_rivta("up", "--home", str(pair.home), "--port-base", "auto", "--detach")
    assert done.returncode == 1
    assert "a pair already runs in" in done.stderr
    assert (pair.home / "endpoints.json").exists()


@pytest.mark.pair
def test_status_shows_every_role_ready_and_what_each_keeper_says(pair: Pair) -> None:
    status = json.loads(run_rivta("status", "--home", str(pair.home), "--json").stdout)
    assert {role["name"] for role in status["roles"]} == {
        "national-keeper",
        "national-worker-0",
        "national-worker-1",
        "regional-keeper",
        "regional-worker-0",
        "regional-worker-1",
        "producers",
        "console",
    }
    assert {role["state"] for role in status["roles"]} == {"ready"}
    assert set(status["platforms"]) == {"national", "regional"}
    assert all("error" not in platform for platform in status["platforms"].values())


@pytest.mark.pair
def test_a_pair_can_run_beside_another_and_comes_up_again_warm(pair: Pair, short_folder: Path) -> None:
    home = short_folder / "other"
    try:
        for _ in range(2):
            started = run_rivta("up", "--home", str(home), "--port-base", "auto", "--detach", "--json", timeout=90)
            assert started.returncode == 0, started.stderr
            endpoints = json.loads(started.stdout)
            assert endpoints == json.loads((home / "endpoints.json").read_text())
            assert endpoints["platforms"]["national"]["https"] != pair.endpoints["platforms"]["national"]["https"]
            assert run_rivta("down", "--home", str(home)).returncode == 0
            assert not (home / "endpoints.json").exists()
    finally:
        run_rivta("down", "--home", str(home))


@pytest.mark.pair
def test_nothing_in_a_home_can_be_read_by_others(pair: Pair) -> None:
    assert pair.home.stat().st_mode & 0o077 == 0
    keys = [*pair.home.rglob("*.key"), pair.home / "admin.token"]
    assert [str(key) for key in keys if key.stat().st_mode & 0o077] == []
