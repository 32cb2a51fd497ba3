"""Which folder is meant, what is in it, and what is said when it cannot be used."""

import os
import stat
from pathlib import Path

import pytest

from rivta.run import home as module
from rivta.run.home import SOCKET_PATH_BYTES, Home, HomeError, create_token, resolve

CHECKOUT = Path(module.__file__).resolve().parents[3]


def test_the_option_wins_over_the_environment(tmp_path: Path) -> None:
    assert resolve(str(tmp_path / "a"), environment={"RIVTA_HOME": str(tmp_path / "b")}).folder == tmp_path / "a"


def test_the_environment_wins_over_the_default(tmp_path: Path) -> None:
    assert resolve(None, environment={"RIVTA_HOME": str(tmp_path)}).folder == tmp_path


def test_the_default_is_the_checkouts_whatever_the_working_folder_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve(None, environment={}).folder == CHECKOUT / ".rivta"


def test_without_a_checkout_the_default_is_in_the_users_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "__file__", str(tmp_path / "lib" / "rivta" / "run" / "home.py"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve(None, environment={}).folder == tmp_path / ".local" / "share" / "rivta"


def test_a_relative_home_is_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve("pair", environment={}).folder == tmp_path / "pair"


def test_a_file_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HomeError, match="is not a folder: name another with --home"):
        resolve(str(tmp_path / "file"), environment={})


def test_what_a_home_holds_is_closed_to_others(tmp_path: Path) -> None:
    home = Home(tmp_path / "pair")
    home.create()
    for folder in (home.folder, home.run, home.certs, home.log):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(HomeError, match=rf"{tmp_path}/run is not a folder"):
        Home(tmp_path).create()


def test_a_file_above_the_home_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HomeError, match="Not a directory"):
        Home(tmp_path / "file" / "pair").create()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere; the same refusal is tested on /proc")
def test_a_folder_that_is_not_writable_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(HomeError, match=r"cannot be made: Permission denied|is not writable"):
        Home(tmp_path).create()


def test_a_place_where_nobody_can_write_is_named() -> None:
    with pytest.raises(HomeError, match=r"/proc/pair cannot be made: .*Name another home with --home"):
        Home(Path("/proc/pair")).create()


def test_a_source_folder_is_not_turned_into_a_home(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    with pytest.raises(HomeError, match="is a source folder"):
        Home(tmp_path).create()
    assert [path.name for path in tmp_path.iterdir()] == ["pyproject.toml"]


def test_sockets_are_in_the_home_when_their_path_fits(tmp_path: Path) -> None:
    assert Home(Path("/srv/pair")).sockets == Path("/srv/pair/run")


def test_sockets_of_a_home_with_a_long_path_have_a_short_folder_of_their_own(tmp_path: Path) -> None:
    first, second = Home(tmp_path / ("a" * 100)), Home(tmp_path / ("b" * 100))
    assert first.sockets != second.sockets
    assert len(bytes(first.sockets / ("x" * 24))) <= SOCKET_PATH_BYTES


def test_a_socket_folder_that_somebody_else_laid_out_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / ("å" * 60))
    home.sockets.mkdir(mode=0o755)
    try:
        with pytest.raises(HomeError, match="was not made by us"):
            home.create_sockets()
        home.sockets.chmod(0o700)
        home.create_sockets()
    finally:
        home.remove_sockets()
    assert not home.sockets.exists()


def test_the_endpoints_of_a_home_where_nothing_runs_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match=rf"no running pair in {tmp_path}: start one with `rivta up --home {tmp_path}`"):
        Home(tmp_path).endpoints()


def test_broken_endpoints_are_an_error_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "endpoints.json").write_text("{")
    with pytest.raises(HomeError, match="is not JSON"):
        Home(tmp_path).endpoints()


def test_a_token_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    create_token(home.admin_token_file)
    token = home.admin_token()
    create_token(home.admin_token_file)
    assert home.admin_token() == token
    assert len(token) >= 43
    assert stat.S_IMODE(home.admin_token_file.stat().st_mode) == 0o600


def test_a_missing_token_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match=f"no admin token in {tmp_path}: `rivta up"):
        Home(tmp_path).admin_token()
