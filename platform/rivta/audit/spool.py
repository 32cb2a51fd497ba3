"""How a worker leaves its call records: in memory first, then as segments of the spool (`rivta.audit.segments`).

Imported by workers: standard library, `rivta.files` and CallRecord only.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import logging
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from rivta.audit.segments import FIRST_HASH, UNFINISHED, SegmentName, hash_of
from rivta.files import sync
from rivta.router.record import CallRecord

log = logging.getLogger(__name__)

FLUSH_INTERVAL_S = 0.1
_FLUSH_STEP = 128
"""Records that are encoded without a pause for other calls: about a millisecond."""


class SpoolFull(Exception):
    """The record cannot be taken: too many wait to be written, or the keeper has not emptied the spool. Answer 503."""


class SpoolFailed(Exception):
    """The record could not be made durable: the disk refused. Answer 503; says where and why."""


class SegmentFile(Protocol):
    """A segment that is being written: the edge at which tests inject faults of the disk."""

    def write(self, data: memoryview) -> int:
        """Appends, and says how many bytes were taken. Raises OSError."""

    def sync(self) -> None:
        """Returns when everything written is on the disk. Raises OSError."""

    def close(self) -> None:
        """Gives up the lock."""


class LockedFile:
    """A segment on the disk, created locked: its name appears only once the lock is held."""

    def __init__(self, path: Path) -> None:
        unfinished = path.with_name(path.name + UNFINISHED)
        self._descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unfinished.rename(path)
        except OSError:
            os.close(self._descriptor)
            unfinished.unlink(missing_ok=True)
            raise
        self._folder: Path | None = path.parent

    def write(self, data: memoryview) -> int:
        return os.write(self._descriptor, data)

    def sync(self) -> None:
        os.fdatasync(self._descriptor)
        if self._folder is not None:
            sync(self._folder)  # the name of a new file too
            self._folder = None

    def close(self) -> None:
        os.close(self._descriptor)


class _Dropping:
    """A gap that still grows: stands in the buffer where the dropped records would have stood."""

    __slots__ = ("dropped", "since", "until")

    def __init__(self, since: str) -> None:
        self.dropped = 0
        self.since = self.until = since


class SpoolWriter:
    """One boot's way into the spool. Belongs to one event loop; only the writing itself happens in a thread.

    `asynchronous`: `append` costs under a microsecond and never fails; `run` writes every 100 ms; what does not fit
    is dropped, counted and written down as a gap. At most the last 100 ms are lost when the process is killed.
    `durable`: `append_durably` returns once the record is on the disk, one fsync for all that wait at that moment.

    A file is always a prefix of what this boot has to say: a write that takes only a part, or fails, is continued at
    exactly that byte, in the same segment.
    """

    def __init__(
        self,
        folder: Path,
        *,
        writer: str,
        boot: str,
        mode: Literal["asynchronous", "durable"],
        clock: Callable[[], datetime],
        capacity: int = 20_000,
        segment_bytes: int = 8_000_000,
        spool_bytes: int = 1_000_000_000,
        idle_s: float = 5.0,
        open_segment: Callable[[Path], SegmentFile] = LockedFile,
    ) -> None:
        """`capacity`: records that may wait to be written. `spool_bytes`: size of the whole folder, over which no new
        segment is opened. `idle_s`: after so long without a record the segment is handed to the keeper. `boot` must
        be unique among all boots of all nodes. The folder is made if missing. Raises ValueError for names that cannot
        stand in a file name, OSError when the folder cannot be made.
        """
        if SegmentName.parse(str(SegmentName(writer, boot, 0))) != SegmentName(writer, boot, 0):
            raise ValueError(f"writer {writer!r} and boot {boot!r} must be letters, digits, _ and . (writer also -)")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._writer = writer
        self._boot = boot
        self._durable = mode == "durable"
        self._clock = clock
        self._capacity = capacity
        self._segment_bytes = segment_bytes
        self._spool_bytes = spool_bytes
        self._idle_s = idle_s
        self._open_segment = open_segment

        self._buffer: deque[CallRecord | _Dropping] = deque()
        self._pending = bytearray()
        """Encoded and not yet taken by the segment; begins inside a line after a short write."""
        self._pending_lines = 0
        self._unsynced = bytearray()
        """Whole lines written since the last fsync: written again, to another segment, when that fsync fails."""
        self._segment: SegmentFile | None = None
        self._abandoned: SegmentFile | None = None
        """A segment whose fsync failed: kept locked until the next one exists, so that it does not look crashed."""
        self._segment_size = 0
        self._segment_number = 0
        self._sequence = 0
        self._previous = FIRST_HASH
        self._last_record = clock()
        self._turn = asyncio.Lock()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._waiting: list[asyncio.Future[None]] = []
        self._committing: asyncio.Task[None] | None = None
        self._failure: OSError | None = None
        self.appended = 0
        self.dropped = 0

    @property
    def backlog(self) -> int:
        """Records that wait to be written."""
        return len(self._buffer) + self._pending_lines

    @property
    def failure(self) -> str | None:
        """Why writing fails at the moment; None while it works."""
        return None if self._failure is None else self._refusal(self._failure)

    def check(self) -> None:
        """Before a call is begun: raises SpoolFailed or SpoolFull when its record could not be made durable.

        Only in durable mode; `run` notices when the disk works again.
        """
        if not self._durable:
            return
        if self._failure is not None:
            raise SpoolFailed(self._refusal(self._failure))
        if self.backlog >= self._capacity:
            raise SpoolFull(f"{self.backlog} call records wait to be written to {self._folder}")

    def append(self, record: CallRecord) -> None:
        """Takes the record for the next flush, or drops and counts it when too many wait already."""
        buffer = self._buffer
        if len(buffer) + self._pending_lines >= self._capacity:
            self._drop()
            return
        buffer.append(record)
        self.appended += 1

    def _drop(self) -> None:
        now = self._clock().isoformat()
        last = self._buffer[-1] if self._buffer else None
        if not isinstance(last, _Dropping):
            last = _Dropping(now)
            self._buffer.append(last)
            log.error("the spool in %s is full: call records are dropped", self._folder)
        last.dropped += 1
        last.until = now
        self.dropped += 1

    async def append_durably(self, record: CallRecord) -> None:
        """Returns once the record is on the disk. Raises SpoolFull or SpoolFailed: then the answer must not leave.

        The record of a call that failed so is still written when the disk works again: the call did happen.
        """
        if self.backlog >= self._capacity:
            raise SpoolFull(f"{self.backlog} call records wait to be written to {self._folder}")
        written = asyncio.get_running_loop().create_future()
        self._buffer.append(record)
        self.appended += 1
        self._waiting.append(written)
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_groups())
        await written

    async def _commit_groups(self) -> None:
        """One fsync for everyone who came while the last one ran, until nobody waits."""
        try:
            while self._waiting:
                async with self._turn:
                    group, self._waiting = self._waiting, []
                    error = await self._commit()
                self._note(error)
                for written in group:
                    if written.done():
                        continue
                    if error is None:
                        written.set_result(None)
                    else:
                        written.set_exception(SpoolFailed(self._refusal(error)))
        finally:
            self._committing = None

    async def _commit(self) -> OSError | None:
        try:
            while self._encode(self._capacity):
                await self._in_thread(self._write)
        except OSError as error:
            return error
        return None

    async def run(self, stop: asyncio.Event) -> None:
        """Flushes every 100 ms until `stop`, then a last time. A disk that refuses is logged once and tried again."""
        while True:
            last = stop.is_set()
            async with self._turn:
                try:
                    await self._flush_in_steps()
                except OSError as error:
                    self._note(error)
                else:
                    self._note(None)
            if last:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), FLUSH_INTERVAL_S)

    async def _flush_in_steps(self) -> None:
        """Like `flush`, but other calls get their turn between steps, and a slow disk holds up only the thread."""
        while self._encode(_FLUSH_STEP):
            await self._in_thread(self._write)
        await self._in_thread(self._leave_segment_if_due)

    def flush(self) -> None:
        """Writes everything that waits, in the caller's thread; not beside `run`. Raises OSError: nothing is lost."""
        self._write_all()
        self._leave_segment_if_due()

    def close(self) -> None:
        """Flushes and seals, after `run` has ended. Raises OSError, with everything released, when the disk refuses."""
        self._executor.shutdown(wait=True)
        try:
            self._write_all()
            self._leave_segment()
        finally:
            for segment in (self._segment, self._abandoned):
                if segment is not None:
                    segment.close()
            self._segment = self._abandoned = None

    async def _in_thread(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _note(self, error: OSError | None) -> None:
        """Remembers and logs when writing begins to fail, and when it works again."""
        if error is not None and self._failure is None:
            log.error("%s", self._refusal(error))
        elif error is None and self._failure is not None:
            log.warning("the call log is written to %s again", self._folder)
        self._failure = error

    def _refusal(self, error: OSError) -> str:
        return f"the call log cannot be written to {self._folder}: {error.strerror or error}"

    # Encoding: on the event loop, so that the order of lines is the order of calls.

    def _encode(self, limit: int) -> bool:
        """Moves up to `limit` records from the buffer to `_pending`, once that is empty. True if something is pending.

        What a disk refuses is not added to: the buffer has a bound, and the gap at its end goes on growing as one.
        """
        if not self._pending and self._buffer:
            self._last_record = self._clock()
            for _ in range(min(limit, len(self._buffer))):
                self._add_line(_member(self._buffer.popleft()))
        return bool(self._pending)

    def _add_line(self, member: str) -> None:
        line = (
            f'{{"writer":"{self._writer}","boot":"{self._boot}","sequence":{self._sequence},'
            f'"previous":"{self._previous}",{member}}}'
        ).encode("utf-8", "replace")
        self._sequence += 1
        self._previous = hash_of(line)
        self._pending += line
        self._pending += b"\n"
        self._pending_lines += 1

    # Writing: in the thread, or in the caller's through `flush` and `close`; never in two at once.

    def _write_all(self) -> None:
        while self._encode(self._capacity):
            self._write()

    def _write(self) -> None:
        """Everything pending into the segment; on the disk when durable. Raises OSError, and can then be repeated."""
        while self._pending:
            segment = self._segment or self._next_segment()
            with memoryview(self._pending) as view:
                taken = segment.write(view)
            if taken == 0:
                raise OSError(errno.EIO, "the disk takes nothing")
            written = self._pending[:taken]
            del self._pending[:taken]
            self._pending_lines -= written.count(b"\n")
            self._segment_size += taken
            if self._durable:
                self._unsynced += written
        if self._unsynced and self._segment is not None:
            self._sync(self._segment)

    def _sync(self, segment: SegmentFile) -> None:
        try:
            segment.sync()
        except OSError:
            # The system may now believe that the lost pages are clean: a second fsync would succeed and lie.
            self._pending[:0] = self._unsynced
            self._pending_lines += self._unsynced.count(b"\n")
            self._abandoned, self._segment = segment, None
            raise
        finally:
            self._unsynced.clear()

    def _next_segment(self) -> SegmentFile:
        waiting = sum(size_of(path) for path in self._folder.glob("*.jsonl"))
        if waiting >= self._spool_bytes:
            raise OSError(errno.EDQUOT, f"{waiting} bytes wait there for the keeper; see why it does not collect them")
        name = SegmentName(self._writer, self._boot, self._segment_number)
        segment = self._open_segment(self._folder / str(name))
        self._segment, self._segment_size = segment, 0
        self._segment_number += 1
        if self._abandoned is not None:
            self._abandoned.close()
            self._abandoned = None
        return segment

    def _leave_segment_if_due(self) -> None:
        idle = (self._clock() - self._last_record).total_seconds()
        if self._segment_size >= self._segment_bytes or idle >= self._idle_s:
            self._leave_segment()

    def _leave_segment(self) -> None:
        """Seals the segment and hands it to the keeper. Raises OSError: then it is written to further, as before."""
        if self._segment is None:
            return
        self._add_line('"seal":true')
        self._write()
        self._segment.close()
        self._segment, self._segment_size = None, 0


def size_of(path: Path) -> int:
    """Bytes in the file; 0 when it has gone meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _member(item: CallRecord | _Dropping) -> str:
    if isinstance(item, CallRecord):
        try:
            return f'"record":{item.to_json()}'
        except (TypeError, ValueError):
            # A mistake of ours in one record must not stop the log of all others.
            log.exception("call record %s cannot be written as JSON", item.id)
            return _gap_member(1, item.time, item.time)
    return _gap_member(item.dropped, item.since, item.until)


def _gap_member(dropped: int, since: str, until: str) -> str:
    return f'"gap":{json.dumps({"dropped": dropped, "since": since, "until": until})}'
