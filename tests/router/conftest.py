"""A development CA for the tests of the transport."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from rivta.tls.authority import Authority

_ON_THE_LOOP_OF_WORKERS = ("test_server", "test_connection", "test_incoming", "test_outgoing")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What a listener does over TLS differs between the loops: it is tested on the one that workers have."""
    if item.path.stem in _ON_THE_LOOP_OF_WORKERS:
        return {"uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Certificates `server`, `consumer`, `nameless` (no HSA-id) and `elsewhere` (for another host)."""
    made = Authority.ensure(tmp_path_factory.mktemp("ca"))
    for name, hsa_id, host in (
        ("server", "SE1-SERVER", "127.0.0.1"),
        ("consumer", "SE1-CONSUMER", "127.0.0.1"),
        ("nameless", None, "127.0.0.1"),
        ("elsewhere", "SE1-ELSEWHERE", "elsewhere.example"),
    ):
        made.issue(name, hsa_id=hsa_id, common_name=name, organisation="Test", hosts=[host])
    return made


@pytest.fixture(scope="session")
def issued(authority: Authority) -> Path:
    """The folder with `<name>.pem` and `<name>.key`."""
    return authority.folder / "issued"
