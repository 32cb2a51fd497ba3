"""What every test stands on: no sockets unless marked, skips that may not happen, a throw-away CA, a running pair."""

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.databases import PostgresServer
from tests.support import CHECKOUT, Pair, running_pair

# A test with one of these marks may open sockets.
_MAY_OPEN_SOCKETS = ("sockets", "pair", "postgres", "browser")
# What RIVTA_TESTS_REQUIRE may name, and the mark of the tests that need it.
_REQUIRABLE = {"postgres": "postgres", "chromium": "browser", "contracts": "contracts", "java": "java"}

hypothesis.settings.register_profile("rivta", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("rivta")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one pair, and those of one PostgreSQL server, run in one process: starting a second costs seconds."""
    for item in items:
        for name in ("pair", "postgres"):
            # tests/pair asks for some of its fixtures while a test runs, which their names here do not show.
            asks = name in getattr(item, "fixturenames", ()) or item.path.parent == CHECKOUT / "tests" / name
            if asks or item.get_closest_marker(name):
                item.add_marker(getattr(pytest.mark, name))
                item.add_marker(pytest.mark.xdist_group(name))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where RIVTA_TESTS_REQUIRE says that what the test needs is there."""
    report = yield
    lacking = [name for name in required_kinds() if item.get_closest_marker(_REQUIRABLE[name])]
    if report.skipped and lacking and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = (
            f"RIVTA_TESTS_REQUIRE names {', '.join(lacking)}, and this test was skipped: {report.longrepr}"
        )
    return report


def required_kinds() -> list[str]:
    """The kinds of test that may not be skipped, from RIVTA_TESTS_REQUIRE; UsageError for a word it does not know."""
    kinds = [word for word in os.environ.get("RIVTA_TESTS_REQUIRE", "").split(",") if word]
    unknown = sorted(set(kinds) - set(_REQUIRABLE))
    if unknown:
        raise pytest.UsageError(f"RIVTA_TESTS_REQUIRE: {unknown[0]!r} is not one of {', '.join(_REQUIRABLE)}")
    return kinds


def pytest_configure() -> None:
    required_kinds()
    # Processes that tests start import this checkout, whatever is installed.
    roots = [str(CHECKOUT / "platform"), str(CHECKOUT)]
    os.environ["PYTHONPATH"] = os.pathsep.join([*roots, *filter(None, [os.environ.get("PYTHONPATH")])])


@pytest.fixture(autouse=True)
def _no_sockets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse internet sockets in a test without a mark for them. (What uvloop opens by itself is out of its reach.)"""
    if any(request.node.get_closest_marker(mark) for mark in _MAY_OPEN_SOCKETS):
        return
    for name in ("connect", "connect_ex", "bind"):
        monkeypatch.setattr(socket.socket, name, _refusing(name, getattr(socket.socket, name)))


def _refusing(name: str, original: Any) -> Any:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family == socket.AF_UNIX:
            return original(self, address)
        pytest.fail(f"socket.{name}({address!r}) in a test that is not marked `sockets`", pytrace=True)

    return guarded


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """An empty folder with a short path: a Unix socket's name may have 107 bytes, and pytest's own folders are long."""
    folder = Path(tempfile.mkdtemp(prefix="rv-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def pair(short_folder: Path) -> Iterator[Pair]:
    """A running pair with two workers per platform, shared by every test of the run that asks for it."""
    with running_pair(short_folder / "pair", "--port-base", "auto", "--keep-messages") as made:
        yield made


@pytest.fixture(scope="session")
def command_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH on which `rivta` is this checkout's command."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "rivta"
    roots = os.pathsep.join([str(CHECKOUT / "platform"), str(CHECKOUT)])
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{roots}" exec "{sys.executable}" -m rivta "$@"\n')
    program.chmod(0o755)
    return os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])


@pytest.fixture(scope="session")
def postgres_url(short_folder: Path) -> Iterator[str]:
    """The URL of an empty database in a PostgreSQL server of our own, on a Unix socket. Skips where there is none."""
    server = PostgresServer(short_folder / "pg")
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
