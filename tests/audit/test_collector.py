import asyncio
import errno
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from rivta.audit.call_log import CallLog
from rivta.audit.collector import Collector
from rivta.audit.spool import LockedFile, SegmentFile, SpoolWriter
from rivta.router.record import CallRecord
from rivta.store.engine import open_database
from tests.calls import Clock, call
from tests.support import until_true


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    spool = tmp_path / "spool"
    spool.mkdir()
    return spool


@pytest.fixture
def spool(folder: Path, clock: Clock) -> Callable[..., SpoolWriter]:
    def make(boot: str = "b1", **settings: Any) -> SpoolWriter:
        return SpoolWriter(folder, writer="w", boot=boot, **{"mode": "asynchronous", "clock": clock, **settings})

    return make


@dataclass
class Kept:
    """A mirror that keeps what it is given, or refuses."""

    ids: list[str] = field(default_factory=list)
    error: OSError | None = None

    def write(self, records: Sequence[CallRecord]) -> None:
        if self.error is not None:
            raise self.error
        self.ids += [record.id for record in records]


def found(database: Engine) -> list[str]:
    return [record.id for record in reversed(CallLog(database).search(limit=10_000))]


def gaps(database: Engine) -> list[tuple[str, int | None]]:
    return [(gap.kind, gap.missing) for gap in reversed(CallLog(database).gaps())]


def crash(writer: SpoolWriter) -> None:
    """The process of the writer is gone: the system closes its file, and nothing more is written."""
    for segment in (writer._segment, writer._abandoned):
        if segment is not None:
            segment.close()
    writer._segment = writer._abandoned = None
    writer._executor.shutdown()


class TestCollecting:
    def test_what_is_flushed_is_in_the_call_log_after_one_step(
        self, folder: Path, database: Engine, clock: Clock, spool: Callable[..., SpoolWriter]
    ) -> None:
        collector = Collector(folder, database, clock=clock)
        writer = spool()
        writer.append(call(0))
        writer.flush()

        assert collector.collect_once() == 1
        writer.append(call(1))
        writer.flush()
        assert collector.collect_once() == 1
        assert collector.collect_once() == 0

        assert found(database) == ["c0", "c1"]
        writer.close()

    def test_a_segment_stays_while_its_writer_holds_it_and_goes_after(
        self, folder: Path, database: Engine, clock: Clock, spool: Callable[..., SpoolWriter]
    ) -> None:
        collector = Collector(folder, database, clock=clock)
        writer = spool()
        writer.append(call(0))
        writer.flush()
        collector.collect_once()

        assert len(list(folder.iterdir())) == 1
        writer.close()
        collector.collect_once()

        assert list(folder.iterdir()) == []
        assert gaps(database) == []

    def test_many_segments_of_many_boots_are_collected_in_small_steps(
        self, folder: Path, database: Engine, clock: Clock, spool: Callable[..., SpoolWriter]
    ) -> None:
        collector = Collector(folder, database, clock=clock, batch_bytes=100)
        for boot in range(3):
            writer = spool(f"b{boot}", segment_bytes=2000)
            for number in range(10):
                writer.append(call(boot * 10 + number))
                writer.flush()
            writer.close()

        total = 0
        while list(folder.iterdir()):
            total += collector.collect_once()

        assert total == 30
        assert found(database) == [f"c{number}" for number in range(30)]
        assert gaps(database) == []

    def test_a_second_collector_does_no_harm(
        self, folder: Path, database: Engine, clock: Clock, spool: Callable[..., SpoolWriter]
    ) -> None:
        one, other = (Collector(folder, database, clock=clock) for _ in range(2))
        writer = spool(segment_bytes=2000)
        for number in range(20):
            writer.append(call(number))
            writer.flush()
            (one, other, other)[number % 3].collect_once()
        writer.close()
        for collector in (one, other, one, other):
            collector.collect_once()

        assert found(database) == [f"c{number}" for number in range(20)]
        assert gaps(database) == []
        assert list(folder.iterdir()) == []

    def test_other_files_are_left_alone(self, folder: Path, database: Engine, clock: Clock) -> None:
        (folder / "notes.txt").write_text("x")
        (folder / "w-b1-000000.jsonl.new").touch()
        os.utime(folder / "w-b1-000000.jsonl.new", (clock().timestamp(), clock().timestamp()))

        Collector(folder, database, clock=clock).collect_once()
        assert len(list(folder.iterdir())) == 2
        clock.advance(61)
        Collector(folder, database, clock=clock).collect_once()

        assert [path.name for path in folder.iterdir()] == ["notes.txt"]

    def test_a_segment_that_is_being_created_is_left_alone_even_when_the_clock_was_set_forward(
        self, folder: Path, database: Engine, clock: Clock
    ) -> None:
        unfinished = folder / "w-b1-000000.jsonl.new"
        with unfinished.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.utime(unfinished, (clock().timestamp(), clock().timestamp()))
            clock.advance(3600)

            Collector(folder, database, clock=clock).collect_once()

            assert unfinished.exists()

    async def test_a_record_is_searchable_within_a_second(
        self, folder: Path, database: Engine, clock: Clock, spool: Callable[..., SpoolWriter]
    ) -> None:
        writer, stop = spool(), asyncio.Event()
        collector = Collector(folder, database, clock=clock)
        running = [asyncio.create_task(writer.run(stop)), asyncio.create_task(collector.run(stop))]
        writer.append(call(0))

        await until_true(lambda: found(database) == ["c0"], seconds=5)
        stop.set()
        await asyncio.gather(*running)
        writer.close()


class TestGaps:
    def test_dropped_records_are_counted(
        self, folder: Path, database: Engine, clock: Clock, spool: Callable[..., SpoolWriter]
    ) -> None:
        writer = spool(capacity=1)
        for number in range(4):
            writer.append(call(number))
        writer.close()

        Collector(folder, database, clock=clock).collect_once()

        assert (found(database), gaps(database)) == (["c0"], [("dropped", 3)])

    @pytest.mark.parametrize("torn", [b"", b'{"writer":"w","bo', b"\0" * 100])
    def test_a_crashed_writer_loses_only_a_torn_line(
        self, folder: Path, database: Engine, clock: Clock, spool: Callable[..., SpoolWriter], torn: bytes
    ) -> None:
        writer = spool()
        for number in range(3):
            writer.append(call(number))
        writer.flush()
        crash(writer)
        with next(folder.iterdir()).open("ab") as segment:
            segment.write(torn)

        collector = Collector(folder, database, clock=clock)
        for _ in range(2):
            collector.collect_once()

        assert found(database) == ["c0", "c1", "c2"]
        assert gaps(database) == [("crashed", None)]
        assert list(folder.iterdir()) == []

    def test_a_torn_line_waits_for_its_rest_while_the_writer_lives(
        self, folder: Path, database: Engine, clock: Clock, spool: Callable[..., SpoolWriter]
    ) -> None:
        """Injected: the disk takes 10 bytes of the second line, and the rest later."""
        room: list[int] = []

        class Slow(LockedFile):
            def write(self, data: memoryview) -> int:
                if room:
                    taken = super().write(data[: room[0]])
                    room[0] -= taken
                    if not taken:
                        raise OSError(errno.ENOSPC, "full")
                    return taken
                return super().write(data)

        writer = spool(open_segment=Slow)
        collector = Collector(folder, database, clock=clock)
        writer.append(call(0))
        writer.flush()
        writer.append(call(1))
        room.append(10)
        with pytest.raises(OSError, match="full"):
            writer.flush()

        collector.collect_once()
        assert found(database) == ["c0"]
        room.clear()
        writer.close()
        collector.collect_once()

        assert (found(database), gaps(database)) == (["c0", "c1"], [])

    @pytest.mark.parametrize(
        ("damage", "kept", "kinds"),
        [
            (lambda lines: lines[:1] + lines[2:], ["c0", "c2"], [("broken", 1)]),
            (lambda lines: lines[1:], ["c1", "c2"], [("broken", 1)]),
            (lambda lines: [lines[0], lines[1].replace(b"VP007", b"VP004"), *lines[2:]], ["c0", "c1", "c2"], [("broken", None)]),
            (lambda lines: [lines[0], b"\0garbage", *lines[1:]], ["c0", "c1", "c2"], [("broken", None)]),
            (lambda lines: [lines[0], lines[1][:50], *lines[2:]], ["c0", "c2"], [("broken", None), ("broken", 1)]),
            (lambda lines: [lines[0], lines[0], *lines[1:]], ["c0", "c1", "c2"], [("broken", None)]),
            (lambda lines: lines[:-1], ["c0", "c1", "c2"], [("crashed", None)]),
            (lambda lines: [lines[0].replace(b'"boot":"b1"', b'"boot":"b2"'), *lines[1:]], ["c1", "c2"], [("broken", None), ("broken", 1)]),
        ],
        ids=["removed", "first removed", "changed", "inserted", "cut", "repeated", "no seal", "of another spool"],
    )  # fmt: skip
    def test_a_spool_that_was_edited_is_noticed_and_read_all_the_same(
        self,
        folder: Path,
        database: Engine,
        clock: Clock,
        spool: Callable[..., SpoolWriter],
        damage: Callable[[list[bytes]], list[bytes]],
        kept: list[str],
        kinds: list[tuple[str, int | None]],
    ) -> None:
        writer = spool()
        for number in range(3):
            writer.append(call(number, outcome="VP007"))
        writer.close()
        segment = next(folder.iterdir())
        segment.write_bytes(b"\n".join(damage(segment.read_bytes().split(b"\n")[:-1])) + b"\n")

        Collector(folder, database, clock=clock).collect_once()

        assert found(database) == kept
        assert sorted(gaps(database), key=str) == sorted(kinds, key=str)

    def test_a_record_that_the_log_cannot_hold_is_noted_and_holds_up_nothing(
        self, folder: Path, database: Engine, clock: Clock, spool: Callable[..., SpoolWriter]
    ) -> None:
        writer = spool()
        writer.append(call(0, http_status="200"))
        writer.append(call(1, time="noon"))
        writer.append(call(2, http_status=2**80))
        writer.append(call(3))
        writer.close()

        Collector(folder, database, clock=clock).collect_once()

        assert found(database) == ["c3"]
        assert gaps(database) == [("unreadable", 1)] * 3

    def test_a_failed_fsync_is_no_gap_since_the_writer_repeats_itself(
        self, folder: Path, database: Engine, clock: Clock, spool: Callable[..., SpoolWriter]
    ) -> None:
        """Injected: EIO from the second fsync."""
        errors: list[OSError | None] = [None, OSError(errno.EIO, "broken")]

        class Failing(LockedFile):
            def sync(self) -> None:
                error = errors.pop(0) if errors else None
                if error is not None:
                    raise error

        writer = spool(mode="durable", open_segment=Failing)
        collector = Collector(folder, database, clock=clock)
        writer.append(call(0))
        writer.flush()
        writer.append(call(1))
        with pytest.raises(OSError, match="broken"):
            writer.flush()
        collector.collect_once()
        writer.append(call(2))
        writer.close()
        collector.collect_once()

        assert (found(database), gaps(database)) == (["c0", "c1", "c2"], [])


class TestMirrors:
    def test_they_get_every_record_once(
        self, folder: Path, database: Engine, clock: Clock, spool: Callable[..., SpoolWriter]
    ) -> None:
        kept = Kept()
        writer = spool()
        collector = Collector(folder, database, clock=clock, mirrors=[kept])
        for number in range(4):
            writer.append(call(number))
            writer.flush()
            collector.collect_once()
        writer.close()
        collector.collect_once()

        assert kept.ids == ["c0", "c1", "c2", "c3"]

    def test_a_commit_that_failed_does_not_give_them_the_same_twice(
        self, folder: Path, database: Engine, clock: Clock, spool: Callable[..., SpoolWriter]
    ) -> None:
        kept = Kept()
        writer = spool()
        writer.append(call(0))
        writer.close()
        collector = Collector(folder, database, clock=clock, mirrors=[kept])

        with _failing_commit(database), pytest.raises(OperationalError):
            collector.collect_once()
        assert found(database) == []
        collector.collect_once()

        assert found(database) == kept.ids == ["c0"]

    def test_one_that_refuses_does_not_hold_up_the_call_log(
        self,
        folder: Path,
        database: Engine,
        clock: Clock,
        spool: Callable[..., SpoolWriter],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        writer = spool()
        collector = Collector(folder, database, clock=clock, mirrors=[Kept(error=OSError(errno.ENOSPC, "full"))])
        for number in range(3):
            writer.append(call(number))
            writer.flush()
            collector.collect_once()
        writer.close()

        assert found(database) == ["c0", "c1", "c2"]
        assert caplog.text.count("are in the call log only") == 1


async def test_a_database_that_is_away_is_told_once_and_loses_nothing(
    folder: Path,
    database: Engine,
    clock: Clock,
    spool: Callable[..., SpoolWriter],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rivta.audit.collector._BACK_OFF_S", 0.01)
    writer, stop = spool(), asyncio.Event()
    writer.append(call(0))
    writer.close()
    collector = Collector(folder, database, clock=clock)

    with _failing_commit(database):
        running = asyncio.create_task(collector.run(stop))
        await until_true(lambda: collector.failure is not None)
    await until_true(lambda: found(database) == ["c0"])
    stop.set()
    await running

    assert collector.failure is None
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


KILLED = """
import sys
from pathlib import Path
from rivta.audit.spool import SpoolWriter
from tests.calls import Clock, call
writer = SpoolWriter(Path(sys.argv[1]), writer="w", boot="b1", mode="asynchronous", clock=Clock(), segment_bytes=20_000)
number = 0
while True:
    writer.append(call(number))
    number += 1
    if number % 5 == 0:
        writer.flush()
        print(number, flush=True)
"""


def test_a_killed_writer_is_collected_while_and_after_it_lived(folder: Path, database: Engine) -> None:
    """kill -9 of a real process whose spool is being collected."""
    # A file that is being created is told from one that was abandoned by its age, and that is of the real time.
    ahead = timedelta()
    collector = Collector(folder, database, clock=lambda: datetime.now(UTC) + ahead)
    writer = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    flushed = 0
    with writer:
        while flushed < 150:
            flushed = int(writer.stdout.readline())
            if flushed % 50 == 0:
                collector.collect_once()
        writer.kill()
        ahead = timedelta(hours=1)
        flushed = max([flushed, *(int(number) for number in writer.stdout.read().split())])
    while list(folder.iterdir()):
        collector.collect_once()

    assert len(found(database)) >= flushed
    assert found(database) == [f"c{number}" for number in range(len(found(database)))]
    assert [kind for kind, _ in gaps(database)] in ([], ["crashed"])


class World:
    """A writer, a collector and a disk between them, driven by any sequence of steps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.database = open_database(f"sqlite:///{folder}/rivta.sqlite")
        event.listen(self.database, "connect", _without_fsync)
        self.database.dispose()  # what was opened before is not used
        self.appended = 0
        self.flushed: list[str] = []
        self.boots = 0
        self.kept = Kept()
        self.room: int | None = None
        self.start_writer()
        self.start_collector()

    def start_writer(self) -> None:
        self.boots += 1
        self.waiting: list[str] = []
        self.writer = SpoolWriter(
            self.folder,
            writer="w",
            boot=f"b{self.boots}",
            mode="durable" if self.boots % 2 else "asynchronous",
            clock=self.clock,
            segment_bytes=1500,
            open_segment=self.open_segment,
        )

    def open_segment(self, path: Path) -> SegmentFile:
        """The file edge: when `room` is set the disk takes so many bytes and then refuses, fsync included."""
        world = self

        class Edge(LockedFile):
            def write(self, data: memoryview) -> int:
                if world.room is None:
                    return super().write(data)
                if world.room <= 0:
                    raise OSError(errno.ENOSPC, "full")
                taken = super().write(data[: world.room])
                world.room -= taken
                return taken

            def sync(self) -> None:
                if world.room is not None and world.room % 2:
                    raise OSError(errno.EIO, "broken")

        return Edge(path)

    def start_collector(self) -> None:
        self.collector = Collector(self.folder, self.database, clock=self.clock, mirrors=[self.kept], batch_bytes=1000)

    def append(self) -> None:
        self.writer.append(call(self.appended))
        self.waiting.append(f"c{self.appended}")
        self.appended += 1

    def flush(self) -> None:
        try:
            self.writer.flush()
        except OSError:
            return
        self.flushed += self.waiting
        self.waiting = []

    def fill_disk(self) -> None:
        self.room = 700 + self.appended * 37 % 900

    def empty_disk(self) -> None:
        self.room = None

    def idle(self) -> None:
        self.clock.advance(10)

    def crash_writer(self) -> None:
        crash(self.writer)
        self.start_writer()

    def close_writer(self) -> None:
        self.room = None
        self.writer.close()
        self.flushed += self.waiting
        self.start_writer()

    def collect(self) -> None:
        self.collector.collect_once()

    def crash_collector_at_commit(self) -> None:
        with _failing_commit(self.database):
            try:
                self.collector.collect_once()
            except OperationalError:
                self.start_collector()

    def collect_with_another(self) -> None:
        Collector(self.folder, self.database, clock=self.clock, batch_bytes=1000).collect_once()

    def finish(self) -> list[str]:
        self.close_writer()
        crash(self.writer)
        while list(self.folder.glob("*.jsonl")):
            self.collector.collect_once()
        return found(self.database)


STEPS = [
    World.append,
    World.append,
    World.flush,
    World.flush,
    World.fill_disk,
    World.empty_disk,
    World.idle,
    World.crash_writer,
    World.close_writer,
    World.collect,
    World.collect,
    World.crash_collector_at_commit,
    World.collect_with_another,
]


@given(steps=st.lists(st.sampled_from(STEPS), max_size=40))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_order_of_events_loses_what_was_flushed_or_stores_it_twice(
    tmp_path_factory: pytest.TempPathFactory, migrated_file: Path, steps: list[Callable[[World], None]]
) -> None:
    folder = tmp_path_factory.mktemp("world")
    shutil.copy(migrated_file, folder)
    world = World(folder)
    try:
        for step in steps:
            step(world)
        stored = world.finish()
    finally:
        world.database.dispose()

    assert set(world.flushed) <= set(stored)
    assert len(stored) == len(set(stored))
    kinds = {kind for kind, _ in gaps(world.database)}
    world.database.dispose()
    assert kinds <= {"crashed"}
    if World.crash_writer not in steps:
        assert stored == [f"c{number}" for number in range(world.appended)]
        assert kinds == set()


def _without_fsync(connection: Any, _record: object) -> None:
    """For many short-lived databases: what survives a power cut is not what their test is about."""
    connection.execute("PRAGMA synchronous = OFF")


class _failing_commit:  # noqa: N801 - reads as a function
    """Within it, transactions on this database fail as they commit."""

    def __init__(self, database: Engine) -> None:
        self._database = database

    def __enter__(self) -> None:
        event.listen(self._database, "commit", self._fail)

    def __exit__(self, *_: object) -> None:
        event.remove(self._database, "commit", self._fail)

    def _fail(self, _connection: object) -> None:
        raise OperationalError("COMMIT", None, Exception("disk I/O error"))
