import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rivta.audit.segments import FIRST_HASH, Gap, Line, Seal, SegmentName, read_line
from rivta.audit.spool import LockedFile, SpoolFailed, SpoolFull, SpoolWriter
from rivta.router.record import CallRecord
from tests.calls import NOON, Clock, call
from tests.support import until_true


class Disk:
    """The spool's file edge with faults injected: a real segment on a disk that refuses as the test says.

    `room` is how many bytes it takes before ENOSPC (None: any number); the last write takes what there is room for, as
    a disk does. `sync_errors` are raised by the next fsyncs, one each.
    """

    def __init__(self) -> None:
        self.room: int | None = None
        self.sync_errors: list[OSError] = []
        self.syncs = 0

    def open(self, path: Path) -> "FaultyFile":
        return FaultyFile(self, LockedFile(path))

    def full(self) -> OSError:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FaultyFile:
    def __init__(self, disk: Disk, file: LockedFile) -> None:
        self._disk = disk
        self._file = file

    def write(self, data: memoryview) -> int:
        if self._disk.room is None:
            return self._file.write(data)
        if self._disk.room == 0:
            raise self._disk.full()
        taken = self._file.write(data[: self._disk.room])
        self._disk.room -= taken
        return taken

    def sync(self) -> None:
        self._disk.syncs += 1
        if self._disk.sync_errors:
            raise self._disk.sync_errors.pop(0)
        self._file.sync()

    def close(self) -> None:
        self._file.close()


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spool(tmp_path: Path, disk: Disk, clock: Clock) -> Callable[..., SpoolWriter]:
    """Makes a writer on that disk: asynchronous unless said otherwise."""

    def make(**settings: Any) -> SpoolWriter:
        given = {"mode": "asynchronous", "clock": clock, "open_segment": disk.open, **settings}
        return SpoolWriter(tmp_path, writer="worker-1", boot="b1", **given)

    return make


def segments(folder: Path) -> list[Path]:
    names = sorted(name for path in folder.iterdir() if (name := SegmentName.parse(path.name)))
    return [folder / str(name) for name in names]


def lines(folder: Path) -> list[Line]:
    """Every whole line, in the order written."""
    content = b"".join(path.read_bytes() for path in segments(folder))
    return [read_line(line) for line in content.split(b"\n")[:-1]]


def records(folder: Path) -> list[str]:
    return [line.content.id for line in lines(folder) if isinstance(line.content, CallRecord)]


class TestLines:
    def test_each_names_its_place_and_the_line_before(self, tmp_path: Path, spool: Callable[..., SpoolWriter]) -> None:
        writer = spool()
        for number in range(3):
            writer.append(call(number))
        writer.close()

        first, second, third, last = lines(tmp_path)

        assert [line.sequence for line in (first, second, third, last)] == [0, 1, 2, 3]
        assert first.previous == FIRST_HASH
        assert [second.previous, third.previous, last.previous] == [first.hash, second.hash, third.hash]
        assert (first.writer, first.boot, first.content) == ("worker-1", "b1", call(0))
        assert last.content == Seal()

    def test_a_value_that_is_no_unicode_text_does_not_stop_the_spool(
        self, tmp_path: Path, spool: Callable[..., SpoolWriter]
    ) -> None:
        writer = spool()
        writer.append(call(1, sender="\udcff"))
        writer.append(call(2))
        writer.close()

        assert records(tmp_path) == ["c1", "c2"]

    def test_a_record_that_is_no_json_is_counted_as_a_gap(
        self, tmp_path: Path, spool: Callable[..., SpoolWriter], caplog: pytest.LogCaptureFixture
    ) -> None:
        writer = spool()
        writer.append(call(1, detail={1, 2}))
        writer.append(call(2))
        writer.close()

        assert [type(line.content) for line in lines(tmp_path)] == [Gap, CallRecord, Seal]
        assert "c1 cannot be written as JSON" in caplog.text

    @pytest.mark.parametrize(("writer", "boot"), [("a/b", "x"), ("", "x"), ("a", "x-y"), ("a", "")])
    def test_a_writer_that_cannot_stand_in_a_file_name_is_refused(self, tmp_path: Path, writer: str, boot: str) -> None:
        with pytest.raises(ValueError, match="must be letters, digits"):
            SpoolWriter(tmp_path, writer=writer, boot=boot, mode="asynchronous", clock=Clock())


class TestSegments:
    def test_only_the_owner_can_read_one(self, tmp_path: Path, spool: Callable[..., SpoolWriter]) -> None:
        writer = spool()
        writer.append(call(1))
        writer.flush()

        assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]
        writer.close()

    def test_a_full_one_is_sealed_and_the_chain_goes_on_in_the_next(
        self, tmp_path: Path, spool: Callable[..., SpoolWriter]
    ) -> None:
        writer = spool(segment_bytes=1)
        for number in range(3):
            writer.append(call(number))
            writer.flush()
        writer.close()

        assert sorted(path.name for path in tmp_path.iterdir()) == [f"worker-1-b1-00000{n}.jsonl" for n in range(3)]
        found = lines(tmp_path)
        assert [type(line.content) for line in found] == [CallRecord, Seal] * 3
        assert [line.previous for line in found] == [FIRST_HASH, *(line.hash for line in found[:-1])]

    def test_one_without_new_records_is_handed_over(
        self, tmp_path: Path, spool: Callable[..., SpoolWriter], clock: Clock
    ) -> None:
        writer = spool(idle_s=5)
        writer.append(call(1))
        writer.flush()
        clock.advance(5)
        writer.flush()

        assert lines(tmp_path)[-1].content == Seal()
        writer.append(call(2))
        writer.flush()
        assert len(list(tmp_path.iterdir())) == 2
        writer.close()

    def test_nothing_is_written_without_records(self, tmp_path: Path, spool: Callable[..., SpoolWriter]) -> None:
        writer = spool()
        writer.flush()
        writer.close()

        assert list(tmp_path.iterdir()) == []


class TestAsynchronous:
    def test_what_does_not_fit_is_counted_and_noted_where_it_is_missing(
        self, tmp_path: Path, spool: Callable[..., SpoolWriter], clock: Clock
    ) -> None:
        writer = spool(capacity=2)
        for number in range(5):
            clock.advance(1)
            writer.append(call(number))
        writer.flush()
        writer.append(call(5))
        writer.close()

        contents = [line.content for line in lines(tmp_path)]
        assert writer.dropped == 3
        assert contents[:2] == [call(0), call(1)]
        assert contents[2] == Gap(dropped=3, since="2026-11-24T12:00:03+00:00", until="2026-11-24T12:00:05+00:00")
        assert contents[3:] == [call(5), Seal()]

    @pytest.mark.parametrize("room", [0, 1, 600, 1000, 1800])
    def test_a_full_disk_loses_nothing_that_fits_in_memory(
        self, tmp_path: Path, spool: Callable[..., SpoolWriter], disk: Disk, room: int
    ) -> None:
        """Injected: the disk takes `room` bytes, the last write in part, and then ENOSPC."""
        writer = spool()
        disk.room = room
        failures = 0
        for number in range(3):
            writer.append(call(number))
            try:
                writer.flush()
            except OSError as error:
                assert "No space" in str(error)
                failures += 1

        assert failures >= 1

        disk.room = None
        writer.close()

        found = lines(tmp_path)
        assert records(tmp_path) == ["c0", "c1", "c2"]
        assert [line.sequence for line in found] == [0, 1, 2, 3]
        assert [line.previous for line in found] == [FIRST_HASH, *(line.hash for line in found[:-1])]

    def test_a_full_disk_drops_what_memory_cannot_hold(
        self, tmp_path: Path, spool: Callable[..., SpoolWriter], disk: Disk
    ) -> None:
        """Injected: ENOSPC from the first byte."""
        writer = spool(capacity=2)
        disk.room = 0
        for number in range(4):
            writer.append(call(number))
            with pytest.raises(OSError, match="No space"):
                writer.flush()
        disk.room = None
        writer.close()

        assert [type(line.content) for line in lines(tmp_path)] == [CallRecord, CallRecord, Gap, Seal]
        assert writer.dropped == 2

    def test_a_spool_that_nobody_empties_stops_growing(self, tmp_path: Path, spool: Callable[..., SpoolWriter]) -> None:
        writer = spool(segment_bytes=1, spool_bytes=100)
        writer.append(call(1))
        writer.flush()
        writer.append(call(2))

        with pytest.raises(OSError, match="wait there for the keeper"):
            writer.flush()
        next(tmp_path.iterdir()).unlink()
        writer.flush()

        assert records(tmp_path) == ["c2"]
        writer.close()

    async def test_records_are_in_the_spool_without_anyone_asking(
        self, tmp_path: Path, spool: Callable[..., SpoolWriter]
    ) -> None:
        writer, stop = spool(), asyncio.Event()
        running = asyncio.create_task(writer.run(stop))
        for number in range(300):
            writer.append(call(number))

        await until_true(lambda: len(records(tmp_path)) == 300)
        writer.append(call(300))
        stop.set()
        await running

        assert len(records(tmp_path)) == 301
        writer.close()

    async def test_a_disk_that_refuses_is_told_once_and_tried_again(
        self, tmp_path: Path, spool: Callable[..., SpoolWriter], disk: Disk, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Injected: ENOSPC from the first byte, then a disk that works."""
        writer, stop = spool(), asyncio.Event()
        disk.room = 0
        writer.append(call(1))
        running = asyncio.create_task(writer.run(stop))

        await until_true(lambda: writer.failure is not None)
        assert writer.failure == f"the call log cannot be written to {tmp_path}: No space left on device"
        disk.room = None
        await until_true(lambda: writer.failure is None)
        stop.set()
        await running

        assert records(tmp_path) == ["c1"]
        assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
        writer.close()


class TestDurable:
    async def test_a_record_is_on_the_disk_when_append_returns(
        self, tmp_path: Path, spool: Callable[..., SpoolWriter], disk: Disk
    ) -> None:
        writer = spool(mode="durable")

        await writer.append_durably(call(1))

        assert (records(tmp_path), disk.syncs) == (["c1"], 1)
        writer.close()

    async def test_those_who_wait_share_an_fsync(
        self, tmp_path: Path, spool: Callable[..., SpoolWriter], disk: Disk
    ) -> None:
        writer = spool(mode="durable")

        await asyncio.gather(*(writer.append_durably(call(number)) for number in range(100)))

        assert len(records(tmp_path)) == 100
        assert disk.syncs <= 2
        writer.close()

    async def test_a_disk_that_refuses_refuses_the_call_and_the_ones_after(
        self, tmp_path: Path, spool: Callable[..., SpoolWriter], disk: Disk
    ) -> None:
        """Injected: ENOSPC after 10 bytes, then a disk that works."""
        writer, stop = spool(mode="durable"), asyncio.Event()
        disk.room = 10
        with pytest.raises(SpoolFailed, match="No space left on device"):
            await writer.append_durably(call(1))
        with pytest.raises(SpoolFailed, match=str(tmp_path)):
            writer.check()

        disk.room = None
        running = asyncio.create_task(writer.run(stop))
        await until_true(lambda: writer.failure is None)
        writer.check()
        await writer.append_durably(call(2))
        stop.set()
        await running

        assert records(tmp_path) == ["c1", "c2"]
        writer.close()

    async def test_after_a_failed_fsync_the_records_are_written_elsewhere(
        self, tmp_path: Path, spool: Callable[..., SpoolWriter], disk: Disk
    ) -> None:
        """Injected: EIO from the second fsync: nobody can know what of the second record is on the disk."""
        writer = spool(mode="durable")
        await writer.append_durably(call(1))
        disk.sync_errors = [OSError(errno.EIO, os.strerror(errno.EIO))]
        with pytest.raises(SpoolFailed, match="Input/output error"):
            await writer.append_durably(call(2))
        await writer.append_durably(call(3))
        writer.close()

        assert [line.sequence for line in lines(tmp_path)] == [0, 1, 1, 2, 3]
        assert len(segments(tmp_path)) == 2

    async def test_more_than_may_wait_is_refused(self, spool: Callable[..., SpoolWriter]) -> None:
        writer = spool(mode="durable", capacity=2)
        waiting = [asyncio.create_task(writer.append_durably(call(number))) for number in range(2)]
        await asyncio.sleep(0)

        with pytest.raises(SpoolFull, match="2 call records wait"):
            await writer.append_durably(call(3))
        with pytest.raises(SpoolFull, match="2 call records wait"):
            writer.check()
        await asyncio.gather(*waiting)
        writer.check()
        writer.close()

    async def test_a_caller_that_leaves_does_not_disturb_the_others(
        self, tmp_path: Path, spool: Callable[..., SpoolWriter]
    ) -> None:
        writer = spool(mode="durable")
        leaver, stayer = (asyncio.create_task(writer.append_durably(call(number))) for number in range(2))
        await asyncio.sleep(0)
        leaver.cancel()
        await stayer

        assert records(tmp_path) == ["c0", "c1"]
        writer.close()


WRITER = """
import sys
from pathlib import Path
from rivta.audit.spool import SpoolWriter
from tests.calls import Clock, call
writer = SpoolWriter(Path(sys.argv[1]), writer="w", boot="b", mode="asynchronous", clock=Clock(), segment_bytes=50_000)
number = 0
while True:
    writer.append(call(number))
    number += 1
    if number % 7 == 0:
        writer.flush()
        print(number, flush=True)
"""


def test_a_killed_process_leaves_everything_that_it_had_flushed(tmp_path: Path) -> None:
    """kill -9 of a real writer, in the middle of its work."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    flushed = 0
    with writer:
        while flushed < 500:
            flushed = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        flushed = max([flushed, *(int(number) for number in writer.stdout.read().split())])

    found = records(tmp_path)

    assert len(found) >= flushed
    assert found == [f"c{number}" for number in range(len(found))]


def test_a_worker_needs_nothing_heavy_for_its_spool() -> None:
    program = (
        "import sys, rivta.audit.spool; "
        "print([name for name in ('sqlalchemy', 'yaml', 'spyne', 'lxml', 'click') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)

    assert found.stdout == "[]\n"


def test_a_line_is_plain_json(tmp_path: Path, spool: Callable[..., SpoolWriter]) -> None:
    writer = spool()
    writer.append(call(1, detail="åäö"))
    writer.close()

    line = json.loads(next(tmp_path.iterdir()).read_bytes().splitlines()[0])

    assert list(line) == ["writer", "boot", "sequence", "previous", "record"]
    assert line["record"]["detail"] == "åäö"
    assert line["record"]["time"] == call(1).time > NOON.isoformat()
