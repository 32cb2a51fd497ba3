"""What the benchmark of contracts measures; the figures themselves are no test."""

from benchmarks import contracts
from benchmarks.contracts import Costs, Row
from rivta.contracts.installed import Contracts

COSTS = Costs(
    contracts=1,
    read_ms=2.0,
    compile_ms=1.5,
    rows=(Row("Ask:1", "request", 10, 2.0, 3.0), Row("Ask:1", "response", 1000, 98.0, 107.0)),
    explains_only_refusals=True,
)


def test_every_message_is_measured_and_the_explaining_library_stays_out_of_valid_ones() -> None:
    costs = contracts.measure(rounds=1)
    assert costs.contracts == len(Contracts.shipped())
    assert len(costs.rows) == 2 * costs.contracts
    assert all(row.lxml_us > 0 and row.ours_us > 0 for row in costs.rows)
    assert costs.explains_only_refusals


def test_ratio_weighs_messages_by_the_time_they_take() -> None:
    assert COSTS.ratio == 1.1
    found = contracts.as_json(COSTS)
    assert (found["ratio"], found["compile_ms"], found["targets"]) == (1.1, 1.5, {"compile_ms": 100.0, "ratio": 1.3})


def test_people_see_the_slowest_first_and_what_is_promised() -> None:
    lines = contracts.as_text(COSTS).splitlines()
    assert lines[1].split() == ["Ask:1", "response", "1000", "98.0", "107.0", "1.09"]
    assert lines[-2].split() == ["checking,", "to", "lxml", "alone", "1.10", "promised:", "at", "most", "1.3"]
