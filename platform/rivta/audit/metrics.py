"""What a platform counts, for Prometheus: workers write files in a folder, the keeper adds them up for `/metrics`.

prometheus_client decides, for the whole process, between counters in memory and counters in files. `WorkerMetrics`
makes that choice itself when it is created: create it once, in a worker's entry point, before anything else there uses
prometheus_client. Nothing has to be in the environment before an import. The keeper only reads.

A worker that lives holds a lock on `<pid>.alive`. When it is gone, what it counted is added to the files of `retired`:
totals stay, and a worker that dies often leaves no heap of files. Its gauges go.

A disk that is full, or a file too many, costs figures, never calls: what cannot be counted in a file is left out.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from rivta.router.record import ROUTED, CallRecord

log = logging.getLogger(__name__)

CONTENT_TYPE = CONTENT_TYPE_LATEST
_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_MAX_CONTRACTS = 300
_OTHER = "other"
_RETIRED = "retired"
_ADDED_UP = ("counter", "histogram")
_FILE_BYTES = 64 * 1024
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE})


class _AllocatedDict(MmapedDict):
    """The library's file of figures, with its blocks allocated before they are mapped; OSError when that cannot be.

    The library maps a file with a hole in it, and writing there when the disk is full is no error but SIGBUS, the end
    of the process.
    """

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        if not read_mode:
            _allocate(Path(filename), _FILE_BYTES)
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        if self._used + 4 * len(key) + 64 > self._capacity:
            os.posix_fallocate(self._f.fileno(), 0, 2 * self._capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]


def _allocate(path: Path, size: int) -> None:
    """Gives `path` blocks for its first `size` bytes and what it has beyond. A file that gets none is removed."""
    with path.open("ab") as file:
        held = os.fstat(file.fileno()).st_size
        try:
            os.posix_fallocate(file.fileno(), 0, max(size, held))
        except OSError:
            if not held:
                path.unlink()
            raise


def _used(path: Path) -> int:
    """Bytes of a file of figures that hold any: the library writes that number at its beginning."""
    try:
        with path.open("rb") as file:
            return int.from_bytes(file.read(4), sys.byteorder)
    except FileNotFoundError:
        return 0


@dataclass(frozen=True, slots=True)
class WorkerState:
    """How a worker is now, and what it has counted since it began."""

    in_flight: int = 0
    """Calls that wait for a producer."""
    records_waiting: int = 0
    records_dropped: int = 0
    breakers_open: int = 0
    handshakes_failed: int = 0


class WorkerMetrics:
    """Counts the calls of this worker.

    A contract gets a label of its own once a call to it was routed: a caller cannot make labels up.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` belongs to one platform and is made if missing. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._alive = _lock(folder, os.getpid())
        # The library's own switch: it looks for the folder here each time a counter is created.
        os.environ[_FOLDER_VARIABLE] = str(folder)
        values.MmapedDict = _AllocatedDict  # type: ignore[attr-defined]  # where the library takes it from
        values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
        try:
            self._count_in(CollectorRegistry())
        except OSError as error:
            if error.errno not in _FULL:
                raise
            log.error("%s is full: this worker's calls are not counted until it starts again", folder)
            values.ValueClass = values.MutexValue
            self._count_in(CollectorRegistry())
        self._before = WorkerState()
        self._contracts: set[str] = set()
        self._calls_by: dict[tuple[str, str], Counter] = {}
        self._seconds_by: dict[str, tuple[Histogram, Histogram]] = {}

    def _count_in(self, registry: CollectorRegistry) -> None:
        self._calls = Counter("rivta_calls", "Calls, by outcome", ("outcome", "contract"), registry=registry)
        self._elapsed = Histogram(
            "rivta_call_seconds", "From request to answer", ("contract",), buckets=_SECONDS, registry=registry
        )
        self._producer = Histogram(
            "rivta_producer_seconds", "The producer's part of it", ("contract",), buckets=_SECONDS, registry=registry
        )
        self._violations = Counter(
            "rivta_violations",
            "Places where messages that were passed on break their schema",
            ("message", "contract"),
            registry=registry,
        )
        self._producer_faults = Counter(
            "rivta_producer_faults", "Calls that the producer answered with a fault", ("contract",), registry=registry
        )
        self._dropped = Counter(
            "rivta_call_records_dropped", "Call records the spool had no room for", registry=registry
        )
        self._handshakes = Counter(
            "rivta_tls_handshake_failures", "Connections that never came through their TLS handshake", registry=registry
        )
        self._breakers = _gauge(
            "rivta_breakers_open", "Producers not asked for a while, in the worker that has most", registry, "livemax"
        )
        self._in_flight = _gauge("rivta_calls_in_flight", "Calls that wait for a producer", registry)
        self._waiting = _gauge("rivta_call_records_waiting", "Call records not yet in the spool", registry)

    def observe(self, record: CallRecord) -> None:
        """Counts one call that has ended; not one with new labels for which the disk has no room."""
        try:
            self._observe(record)
        except OSError as error:
            if error.errno not in _FULL:
                raise

    def _observe(self, record: CallRecord) -> None:
        contract = self._label(record)
        calls = self._calls_by.get((record.outcome, contract))
        if calls is None:
            calls = self._calls_by[record.outcome, contract] = self._calls.labels(record.outcome, contract)
        calls.inc()
        seconds = self._seconds_by.get(contract)
        if seconds is None:
            seconds = self._elapsed.labels(contract), self._producer.labels(contract)
            self._seconds_by[contract] = seconds
        elapsed, producer = seconds
        elapsed.observe(record.elapsed_ms / 1000)
        if record.producer_ms is not None:
            producer.observe(record.producer_ms / 1000)
        if record.is_fault_of_producer:
            self._producer_faults.labels(contract).inc()
        for violation in record.violations:
            self._violations.labels(violation.message, contract).inc()

    def observe_worker(self, now: WorkerState) -> None:
        """How the worker is. For a few times a second."""
        before, self._before = self._before, now
        self._in_flight.set(now.in_flight)
        self._waiting.set(now.records_waiting)
        self._breakers.set(now.breakers_open)
        self._dropped.inc(now.records_dropped - before.records_dropped)
        self._handshakes.inc(now.handshakes_failed - before.handshakes_failed)

    def _label(self, record: CallRecord) -> str:
        contract = record.contract
        if contract in self._contracts:
            return contract
        if contract and record.is_routed and len(self._contracts) < _MAX_CONTRACTS:
            self._contracts.add(contract)
            return contract
        return _OTHER


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """What one living worker has counted."""

    calls: int
    routed: int
    in_flight: int
    records_waiting: int
    records_dropped: int


def exposition(folder: Path) -> bytes:
    """The sum over all workers, living and gone, in Prometheus' text format."""
    retire_dead(folder)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def by_worker(folder: Path) -> dict[int, WorkerFigures]:
    """What each living worker has counted, by pid."""
    retire_dead(folder)
    return {
        pid: _figures(MultiProcessCollector.merge([str(path) for path in folder.glob(f"*_{pid}.db")]))  # type: ignore[no-untyped-call]
        for pid in _pids(folder)
    }


def retire_dead(folder: Path) -> None:
    """Adds what workers that are gone have counted to the retired figures, and removes their files."""
    for pid in list(_pids(folder)):
        alive = folder / f"{pid}.alive"
        if _is_locked(alive):
            continue
        try:
            for kind in _ADDED_UP:
                _add_to_retired(folder, kind, pid)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            continue  # its files still count as they are; the next look tries again
        mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
        alive.unlink(missing_ok=True)


def _add_to_retired(folder: Path, kind: str, pid: int) -> None:
    gone = folder / f"{kind}_{pid}.db"
    if not _used(gone):  # a worker that ended between making its file and writing into it
        gone.unlink(missing_ok=True)
        return
    into = folder / f"{kind}_{_RETIRED}.db"
    # Room for both beforehand: stopped halfway, the next attempt would count the first half twice.
    _allocate(into, max(_FILE_BYTES, _used(into) + _used(gone)))
    retired = _AllocatedDict(str(into))
    try:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(gone)):  # type: ignore[no-untyped-call]
            retired.write_value(key, retired.read_value(key)[0] + value, 0.0)  # type: ignore[no-untyped-call]
    finally:
        retired.close()  # type: ignore[no-untyped-call]
    gone.unlink()


def _figures(metrics: list[Metric]) -> WorkerFigures:
    totals: dict[str, float] = defaultdict(float)
    for metric in metrics:
        for sample in metric.samples:
            totals[sample.name] += sample.value
            if sample.name == "rivta_calls_total" and sample.labels["outcome"] == ROUTED:
                totals[ROUTED] += sample.value
    return WorkerFigures(
        calls=int(totals["rivta_calls_total"]),
        routed=int(totals[ROUTED]),
        in_flight=int(totals["rivta_calls_in_flight"]),
        records_waiting=int(totals["rivta_call_records_waiting"]),
        records_dropped=int(totals["rivta_call_records_dropped_total"]),
    )


def _gauge(name: str, help: str, registry: CollectorRegistry, mode: Literal["livesum", "livemax"] = "livesum") -> Gauge:
    gauge = Gauge(name, help, registry=registry, multiprocess_mode=mode)
    gauge.set(0)  # a file left by an earlier process of the same pid would be continued
    return gauge


def _pids(folder: Path) -> Iterator[int]:
    for path in folder.glob("*.alive"):
        if path.stem.isdigit():
            yield int(path.stem)


def _lock(folder: Path, pid: int) -> int:
    """Locks the worker's `.alive` file until the process ends; gives the descriptor, which must stay open."""
    descriptor = os.open(folder / f"{pid}.alive", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
