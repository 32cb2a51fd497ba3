"""The pytest plugin: fixtures for a running pair. It imports nothing of ours until a test asks for one of them.

`rivta_pair` is a pair of platforms, started once per run on free ports, or the one that `--rivta-home` names. `rivta`
is what a test does with it, and puts everything back when the test is over.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rivta.testing.pair import RunningPair, Tester


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option `--rivta-home`."""
    group = parser.getgroup("rivta", "Swedish service platform (rivta)")
    group.addoption("--rivta-home", metavar="DIR", help="Use the pair that runs in this home; without it, start one.")


@pytest.fixture(scope="session")
def rivta_pair(request: pytest.FixtureRequest) -> Iterator[RunningPair]:
    """A running pair, shared by all tests of the run."""
    from rivta.testing.pair import RunningPair, started_pair

    home = request.config.getoption("--rivta-home")
    if home:
        yield RunningPair(Path(home).expanduser().absolute())
        return
    # Not in pytest's own folder, whose path is too long for Unix sockets.
    with tempfile.TemporaryDirectory(prefix="rivta-") as folder, started_pair(Path(folder) / "pair") as pair:
        yield pair


@pytest.fixture
def rivta(rivta_pair: RunningPair) -> Iterator[Tester]:
    """Calls, cases, stub producers and tables of the pair, for one test."""
    from rivta.testing.pair import Tester

    tester = Tester(rivta_pair)
    yield tester
    tester.put_back()
