"""The consumer's schedule and its arithmetic, and a second of calls to the benchmark's own producer."""

import socket
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import load, measure
from rivta.tls.authority import Authority
from rivta.tls.contexts import client_context


def test_arrivals_come_at_the_rate_asked_for_and_always_the_same() -> None:
    moments = list(load.arrivals(500.0, 20.0))
    assert abs(len(moments) - 10_000) < 400
    assert all(earlier < later for earlier, later in pairwise(moments))
    assert moments == list(load.arrivals(500.0, 20.0))


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert load.percentile([], 0.99) == 0.0
    assert load.percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert load.percentile([float(number) for number in range(100)], 0.99) == 99.0


@pytest.mark.parametrize(
    "answer",
    [(b"HTTP/1.1 500 x\r\n", b""), (b"HTTP/1.1 200 OK\r\n", b"<s:Fault>no</s:Fault>")],
    ids=["status", "fault"],
)
def test_what_is_not_a_good_answer_is_a_failure(answer: tuple[bytes, bytes]) -> None:
    outcome = load.Outcome()
    outcome.add(0.001, *answer)
    assert (outcome.calls, outcome.failures) == (0, 1)
    assert answer[0].decode().strip() in outcome.first_failure


@pytest.mark.sockets
async def test_producer_and_consumer_meet_over_mutual_tls(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "ca")
    consumer = measure.issue(authority, "consumer", "SE2321000016-X")
    context = client_context(certificate=consumer.certificate, key=consumer.key, trusted=authority.ca)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with measure.producers(tmp_path / "producer", port, authority):
        target = load.Target(f"https://localhost:{port}/2kb", b"<x/>", measure.HEADERS)
        async with load.connected(target, context, 4) as connections:
            closed = await load.closed_loop(target, connections, 0.3)
            opened = await load.open_loop(target, connections, 0.5, 200.0)
    assert (closed.first_failure, opened.first_failure) == ("", "")
    assert closed.calls > 10
    assert opened.calls == len(list(load.arrivals(200.0, 0.5)))
