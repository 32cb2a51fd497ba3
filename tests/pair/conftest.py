"""Consumers of the shared pair; a pair that tests may break; a platform alone, with every limit set low."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rivta.run import ports
from tests.pair.consumer import Admin, Consumer, consumer
from tests.pair.outer import write_outer
from tests.pair.standalone import Standalone, serving, write_settings
from tests.support import Pair, running_pair


@pytest.fixture(scope="session")
def npo(pair: Pair) -> Iterator[Consumer]:
    """The national patient overview, at the national platform."""
    with consumer(pair, "npo") as made:
        yield made


@pytest.fixture(scope="session")
def journal(pair: Pair) -> Iterator[Consumer]:
    """A regional journal system, at its own regional platform."""
    with consumer(pair, "journal", via="regional") as made:
        yield made


@pytest.fixture(scope="session")
def admin(pair: Pair) -> Admin:
    return Admin(pair)


@pytest.fixture(scope="session")
def own_pair(pair: Pair, short_folder: Path) -> Iterator[Pair]:
    """A second pair, beside the shared one, on ports that we choose: its tables and processes are ours to break."""
    base, listeners = ports.open_free_block([ports.Port(str(offset), offset) for offset in range(40)])
    for listener in listeners.values():
        ports.close(listener)
    with running_pair(short_folder / "own", "--port-base", str(base)) as made:
        yield made


@pytest.fixture(scope="session")
def standalone(pair: Pair, short_folder: Path) -> Iterator[Standalone]:
    """One platform under `rivta serve`, with the certificates and the stub producers of the shared pair."""
    with serving(write_settings(pair, short_folder / "alone")) as platform:
        yield platform


@pytest.fixture(scope="session")
def outer(pair: Pair, standalone: Standalone, short_folder: Path) -> Iterator[Standalone]:
    """A platform in front of that one and of the pair's regional one."""
    with serving(write_outer(pair, standalone, short_folder / "outer")) as platform:
        yield platform
