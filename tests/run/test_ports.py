"""Ports: which, and what is said when one is taken."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rivta.run import ports
from rivta.run.ports import Port, PortInUse
from tests.support import HAS_IPV6

pytestmark = pytest.mark.sockets

DOORS = (Port("national-https", 10), Port("national-admin", 12), Port("producer-ks", 31))


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def close(listeners: dict[str, socket.socket]) -> None:
    for listener in listeners.values():
        ports.close(listener)


def test_a_port_in_use_is_named_with_the_role_that_wanted_it_and_what_to_do(taken: int) -> None:
    with pytest.raises(
        PortInUse, match=rf"port {taken} on 127\.0\.0\.1, which national-https needs, is in use.*--port-base"
    ):
        ports.open_ports((Port("national-https", 0),), taken)


def test_nothing_stays_open_when_one_port_is_in_use(taken: int) -> None:
    with pytest.raises(PortInUse):
        ports.open_ports((Port("first", 0, "127.0.0.2"), Port("second", 0)), taken)
    with socket.socket() as again:
        again.bind(("127.0.0.2", taken))


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(PortInUse, match=r"192\.0\.2\.1 is no address of this machine"):
        ports.listen("192.0.2.1", 0, role="national-https")


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
@pytest.mark.parametrize(
    ("host", "callers"), [("::1", ["::1"]), ("::", ["::1", "127.0.0.1"])], ids=["one address", "everywhere, IPv4 too"]
)
def test_an_address_of_ipv6_is_listened_on(host: str, callers: list[str]) -> None:
    with ports.listen(host, 0, role="national-https") as listener:
        for caller in callers:
            with socket.create_connection((caller, listener.getsockname()[1]), timeout=3):
                pass


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
def test_one_address_of_ipv6_is_not_open_to_ipv4() -> None:
    with (
        ports.listen("::1", 0, role="national-https") as listener,
        pytest.raises(ConnectionRefusedError),
        socket.create_connection(("127.0.0.1", listener.getsockname()[1]), timeout=3),
    ):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1:20010", "[::1]:20010", "localhost:1"])
def test_an_address_is_the_same_taken_apart_and_put_together(address: str) -> None:
    assert ports.at(*ports.host_and_port(address)) == address


def test_auto_passes_over_a_block_that_is_partly_in_use() -> None:
    base, held = ports.open_free_block(DOORS, start=30100)
    try:
        other, more = ports.open_free_block(DOORS, start=base)
        close(more)
    finally:
        close(held)
    assert other != base
    assert (other - base) % ports.BLOCK == 0


def test_pairs_that_start_at_once_get_blocks_of_their_own() -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: ports.open_free_block(DOORS, start=31100), range(8)))
    try:
        assert len({base for base, _ in found}) == 8
    finally:
        for _, listeners in found:
            close(listeners)


def test_a_port_is_free_again_at_once_after_it_was_used() -> None:
    base, listeners = ports.open_free_block(DOORS)
    port = listeners["national-https"].getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)):
        listeners["national-https"].setblocking(True)
        accepted, _ = listeners["national-https"].accept()
        accepted.close()
    close(listeners)
    close(ports.open_ports(DOORS, base))


def test_a_socket_that_a_killed_process_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "national.sock"
    ports.listen_unix(path).close()
    assert path.exists()
    listener = ports.listen_unix(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    ports.close(listener)
    assert not path.exists()
