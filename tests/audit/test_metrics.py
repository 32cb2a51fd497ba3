import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rivta.audit import metrics
from tests.calls import DIAGNOSIS

WORKER = """
import sys
from pathlib import Path
from rivta.audit.metrics import WorkerMetrics, WorkerState
from rivta.router.record import RecordedViolation
from tests.calls import call
metrics = WorkerMetrics(Path(sys.argv[1]))
{work}
print("ready", flush=True)
sys.stdin.read()
"""
THREE_CALLS = """
metrics.observe(call(1, outcome="VP004", contract="urn:made:up", producer_ms=None))
metrics.observe(call(2))
metrics.observe(call(3, outcome="VP009", violations=(RecordedViolation("request", 1, "/a", "x"),) * 2, http_status=500))
metrics.observe_worker(WorkerState(2, 5, 1, breakers_open=1, handshakes_failed=3))
metrics.observe_worker(WorkerState(2, 7, 4, breakers_open=2, handshakes_failed=5))
"""


class Worker:
    """A real process that counts, and lives until it is stopped: metrics are per process."""

    def __init__(self, folder: Path, work: str = THREE_CALLS) -> None:
        program = [sys.executable, "-c", WORKER.format(work=work), str(folder)]
        self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        with self.process:
            self.process.kill()


def samples(folder: Path) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels, in the order of their names."""
    text = metrics.exposition(folder).decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_workers_are_added_up_and_those_that_are_gone_still_count(tmp_path: Path) -> None:
    one, other = Worker(tmp_path), Worker(tmp_path)
    both = samples(tmp_path)
    one.kill()
    left = samples(tmp_path)
    other.kill()
    none = samples(tmp_path)

    for found in (both, left, none):
        assert found["rivta_calls_total", DIAGNOSIS, "routed"] == 2
        assert found["rivta_calls_total", DIAGNOSIS, "VP009"] == 2
        assert found["rivta_call_records_dropped_total",] == 8
        assert found["rivta_call_seconds_count", DIAGNOSIS] == 4
        assert found["rivta_call_seconds_sum", DIAGNOSIS] == pytest.approx(4 * 0.0485)
        assert found["rivta_call_seconds_bucket", DIAGNOSIS, "0.05"] == 4
        assert found["rivta_call_seconds_bucket", DIAGNOSIS, "0.025"] == 0
        assert found["rivta_producer_seconds_count", DIAGNOSIS] == 4
        assert found["rivta_violations_total", DIAGNOSIS, "request"] == 4
        assert found["rivta_tls_handshake_failures_total",] == 10
        assert ("rivta_producer_faults_total", DIAGNOSIS) not in found
    assert [found["rivta_calls_in_flight",] for found in (both, left)] == [4, 2]
    assert [found["rivta_call_records_waiting",] for found in (both, left)] == [14, 7]
    assert [found["rivta_breakers_open",] for found in (both, left)] == [2, 2]
    assert ("rivta_calls_in_flight",) not in none
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counter_retired.db", "histogram_retired.db"]


def test_each_living_worker_is_shown(tmp_path: Path) -> None:
    one = Worker(tmp_path)
    other = Worker(tmp_path, work="")
    pids = one.process.pid, other.process.pid
    found = metrics.by_worker(tmp_path)
    one.kill()
    after = metrics.by_worker(tmp_path)
    other.kill()

    assert found[pids[0]] == metrics.WorkerFigures(calls=3, routed=1, in_flight=2, records_waiting=7, records_dropped=4)
    assert found[pids[1]] == metrics.WorkerFigures(calls=0, routed=0, in_flight=0, records_waiting=0, records_dropped=0)
    assert list(after) == [pids[1]]


def test_a_caller_cannot_make_labels_up(tmp_path: Path) -> None:
    worker = Worker(tmp_path, work="for n in range(50): metrics.observe(call(n, outcome='VP004', contract=f'urn:{n}'))")
    found = samples(tmp_path)
    worker.kill()

    assert {key: value for key, value in found.items() if key[0] == "rivta_calls_total"} == {
        ("rivta_calls_total", "other", "VP004"): 50
    }


def test_a_fault_of_the_producer_that_was_passed_on_counts_apart(tmp_path: Path) -> None:
    worker = Worker(tmp_path, work="metrics.observe(call(1, http_status=500)); metrics.observe(call(2))")
    found = samples(tmp_path)
    worker.kill()

    assert found["rivta_producer_faults_total", DIAGNOSIS] == 1
    assert found["rivta_calls_total", DIAGNOSIS, "routed"] == 2


def test_a_platform_without_workers_has_nothing_to_show(tmp_path: Path) -> None:
    assert metrics.exposition(tmp_path) == b""
    assert metrics.by_worker(tmp_path) == {}


FULL = """
import errno, os
def full(descriptor, offset, length):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
"""
NOTHING_MORE_FITS = f"""{FULL}
metrics.observe(call(1))
os.posix_fallocate = full
for number in range(2, 600):
    metrics.observe(call(number, outcome=f"made up {{number}}, {{'and long' * 30}}"))
metrics.observe(call(600))
"""


def test_every_byte_of_the_figures_has_its_place_on_the_disk(tmp_path: Path) -> None:
    """Writing into a hole of a mapped file would end the worker with SIGBUS once the disk is full."""
    worker = Worker(tmp_path)
    files = [path.stat() for path in tmp_path.glob("*.db")]
    worker.kill()
    assert len(files) == 4
    assert all(file.st_blocks * 512 >= file.st_size for file in files)


def test_a_disk_that_is_full_costs_figures_and_no_calls(tmp_path: Path) -> None:
    worker = Worker(tmp_path, NOTHING_MORE_FITS)
    counted = samples(tmp_path)
    worker.kill()
    assert counted["rivta_calls_total", DIAGNOSIS, "routed"] == 2
    assert 2 < sum(value for (name, *_), value in counted.items() if name == "rivta_calls_total") < 600


def test_a_worker_begins_without_figures_when_the_disk_is_full(tmp_path: Path) -> None:
    begun = f"{FULL}\nos.posix_fallocate = full\nmetrics = WorkerMetrics(Path(sys.argv[1]))\n{THREE_CALLS}"
    program = WORKER.replace("metrics = WorkerMetrics(Path(sys.argv[1]))\n", "").format(work=begun)
    assert (
        subprocess.run([sys.executable, "-c", program, str(tmp_path)], input=b"", check=True, timeout=30).returncode
        == 0
    )
    assert samples(tmp_path) == {}


def test_what_a_worker_counted_waits_for_a_disk_that_has_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    Worker(tmp_path).kill()
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        assert samples(tmp_path)["rivta_calls_total", DIAGNOSIS, "routed"] == 1
    assert samples(tmp_path)["rivta_calls_total", DIAGNOSIS, "routed"] == 1
    assert not list(tmp_path.glob("*.alive"))


def test_a_worker_that_ended_before_it_counted_anything_spoils_no_figures(tmp_path: Path) -> None:
    for name in ("1.alive", "counter_1.db", "histogram_1.db"):
        (tmp_path / name).touch()
    Worker(tmp_path).kill()
    assert samples(tmp_path)["rivta_calls_total", DIAGNOSIS, "routed"] == 1
    assert not (tmp_path / "counter_1.db").exists()
