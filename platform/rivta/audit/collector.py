"""From the spools into the call log: what workers have written, exactly once, and where something is missing.

Only the keeper runs this. How far each boot of each writer has been read is committed in the same transaction as the
records, so a crash anywhere repeats or loses nothing; the record id, unique in the database, is the second defence.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, Row, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from rivta.audit.call_log import RecordedGap, insert_acceptable_rows, insert_gaps, row_of
from rivta.audit.segments import FIRST_HASH, UNFINISHED, Gap, GapKind, Line, Seal, SegmentName, read_line
from rivta.router.record import CallRecord
from rivta.store.engine import writing
from rivta.store.schema import spool_positions

log = logging.getLogger(__name__)

POLL_S = 0.2
_BACK_OFF_S = 5.0
_BATCH_BYTES = 1_000_000
_ABANDONED_AFTER = timedelta(minutes=1)


class Mirror(Protocol):
    """Where records are written besides the database: the ECS lines."""

    def write(self, records: Sequence[CallRecord]) -> None:
        """Raises OSError when it cannot."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a boot has been read."""

    segment: int = -1
    offset: int = 0
    sequence: int = -1
    hash: str = FIRST_HASH
    sealed: bool = False
    """The last line read was a seal."""


Boot = tuple[str, str]
"""Writer and boot."""


@dataclass(slots=True)
class _Batch:
    """What one step reads of one boot."""

    boot: Boot
    start: Position
    position: Position
    now: datetime
    rows: list[dict[str, Any]] = field(default_factory=list)
    records: list[CallRecord] = field(default_factory=list)
    sequences: dict[str, int] = field(default_factory=dict)
    """Of the rows, by record id."""
    gaps: list[RecordedGap] = field(default_factory=list)
    finished: list[Path] = field(default_factory=list)
    """Segments that may be deleted after the commit."""
    more: bool = False

    def add_gap(self, kind: GapKind, *, sequence: int, missing: int | None, detail: str) -> None:
        writer, boot = self.boot
        self.gaps.append(
            RecordedGap(
                id=f"{writer}-{boot}-{sequence}-{kind.value}",
                time=self.now,
                writer=writer,
                boot=boot,
                sequence=sequence,
                kind=kind.value,
                missing=missing,
                detail=detail,
            )
        )


class Collector:
    """Reads the spools of one node's workers. One instance at a time does the work; a second one does no harm."""

    def __init__(
        self,
        folder: Path,
        engine: Engine,
        *,
        clock: Callable[[], datetime],
        mirrors: Sequence[Mirror] = (),
        batch_bytes: int = _BATCH_BYTES,
    ) -> None:
        """`folder` is the spool of the workers, made if missing. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._engine = engine
        self._clock = clock
        self._mirrors = mirrors
        self._batch_bytes = batch_bytes
        self._positions: dict[Boot, Position] | None = None
        self._mirrored: dict[Boot, int] = {}
        """Sequence of the last record given to the mirrors: a batch whose commit failed is not given to them again."""
        self._more = False
        self._mirror_failed = False
        self.collected = 0
        self.gaps = 0
        self.failure: str | None = None
        """Why collecting fails at the moment; None while it works."""

    def collect_once(self) -> int:
        """One step: a batch of every boot that has something new. Gives the number of records that it inserted.

        Raises OSError and SQLAlchemyError; nothing is lost then, and the next step starts from what was committed.
        """
        try:
            if self._positions is None:
                self._positions = self._load_positions()
            self._more = False
            return sum(self._collect(self._positions, boot, segments) for boot, segments in self._boots())
        except (OSError, SQLAlchemyError):
            self._positions = None
            raise

    async def run(self, stop: asyncio.Event) -> None:
        """Collects until `stop`, and once more after it. What fails is logged once and tried again."""
        while not stop.is_set():
            await self._step()
            if self._more and self.failure is None:
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), POLL_S if self.failure is None else _BACK_OFF_S)
        self._more = True
        while self._more:
            await self._step()

    async def _step(self) -> None:
        try:
            await asyncio.to_thread(self.collect_once)
        except (OSError, SQLAlchemyError) as error:
            self._more = False
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            if self.failure is None:
                log.error("call records stay in the spool %s: %s; tried again until it works", self._folder, reason)
            self.failure = reason
        else:
            if self.failure is not None:
                log.warning("call records are collected from %s again", self._folder)
            self.failure = None

    def _load_positions(self) -> dict[Boot, Position]:
        with self._engine.connect() as connection:
            return {(row.writer, row.boot): _position(row) for row in connection.execute(select(spool_positions))}

    def _boots(self) -> list[tuple[Boot, list[SegmentName]]]:
        names = []
        for path in self._folder.iterdir():
            name = SegmentName.parse(path.name)
            if name is not None:
                names.append(name)
            elif path.suffix == UNFINISHED:
                self._remove_if_abandoned(path)
        return [(boot, list(group)) for boot, group in groupby(sorted(names), key=lambda n: (n.writer, n.boot))]

    def _remove_if_abandoned(self, path: Path) -> None:
        """A segment without name or content, left by a writer that was killed while it created it.

        The lock is asked too, since a clock that is set forward makes every file look old.
        """
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            age = self._clock().timestamp() - os.fstat(file.fileno()).st_mtime
            if age > _ABANDONED_AFTER.total_seconds() and _is_released(file.fileno()):
                path.unlink()

    def _collect(self, positions: dict[Boot, Position], boot: Boot, segments: Sequence[SegmentName]) -> int:
        start = positions.get(boot, Position())
        batch = self._read(boot, segments, start)
        inserted = 0
        if batch.position != start or batch.gaps:
            with writing(self._engine) as connection:
                committed = _committed_position(connection, boot)
                if committed != start:
                    positions[boot] = committed  # another collector has been here: go on from where it is
                    self._more = True
                    return 0
                inserted = self._store(connection, batch)
            positions[boot] = batch.position
            self.collected += inserted
            self.gaps += len(batch.gaps)
            for gap in batch.gaps:
                log.error("call log of %s misses records: %s", gap.writer, gap.detail)
        for path in batch.finished:
            path.unlink(missing_ok=True)
        self._more = self._more or batch.more
        return inserted

    # Reading

    def _read(self, boot: Boot, segments: Sequence[SegmentName], start: Position) -> _Batch:
        """What is new in the segments of a boot, in order, up to the size of a batch."""
        batch = _Batch(boot=boot, start=start, position=start, now=self._clock())
        budget = self._batch_bytes
        for name in segments:
            path = self._folder / str(name)
            if name.number < batch.position.segment:
                batch.finished.append(path)  # read and committed; a crash came before the deletion
                continue
            if name.number > batch.position.segment:
                batch.position = replace(batch.position, segment=name.number, offset=0, sealed=False)
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                break
            try:
                # Before reading: once the writer has let go, what is there now is all that there will be.
                released = _is_released(descriptor)
                before = batch.position.offset
                at_end = self._read_segment(descriptor, batch, budget)
            finally:
                os.close(descriptor)
            budget -= batch.position.offset - before
            if not (released and at_end):
                batch.more = not at_end
                break
            self._finish(name, path, batch)
        return batch

    def _read_segment(self, descriptor: int, batch: _Batch, budget: int) -> bool:
        """Reads whole lines from the position on. True when nothing is left but, perhaps, a torn line."""
        offset = batch.position.offset
        size = os.fstat(descriptor).st_size
        wanted = max(budget, 1)
        data = os.pread(descriptor, wanted, offset)
        while b"\n" not in data and offset + len(data) < size:
            wanted *= 2
            data = os.pread(descriptor, wanted, offset)
        whole = data[: data.rfind(b"\n") + 1]
        fresh = False
        for line in whole.split(b"\n")[:-1]:
            fresh = self._take(line, batch, repeats_allowed=not fresh) or fresh
        batch.position = replace(batch.position, offset=offset + len(whole))
        return offset + len(data) >= size

    def _take(self, data: bytes, batch: _Batch, *, repeats_allowed: bool) -> bool:
        """One line. False when it repeats one that was read before."""
        expected = batch.position.sequence + 1
        try:
            line = read_line(data)
        except ValueError as error:
            batch.add_gap(GapKind.BROKEN, sequence=expected, missing=None, detail=f"line {expected} is {error}")
            return True
        if (line.writer, line.boot) != batch.boot:
            detail = f"line {line.sequence} belongs to another spool"
            batch.add_gap(GapKind.BROKEN, sequence=expected, missing=None, detail=detail)
            return True
        if line.sequence < expected and repeats_allowed:
            # After a failed fsync the writer repeats, in its next segment, what may not have reached the disk.
            return False
        self._check_chain(line, batch)
        batch.position = replace(
            batch.position, sequence=line.sequence, hash=line.hash, sealed=isinstance(line.content, Seal)
        )
        self._keep(line, batch)
        return True

    def _check_chain(self, line: Line, batch: _Batch) -> None:
        position = batch.position
        missing = line.sequence - position.sequence - 1
        if missing != 0:
            detail = f"line {line.sequence} follows line {position.sequence}"
        elif line.previous != position.hash:
            detail = f"line {line.sequence} does not belong to the line before it"
        else:
            return
        batch.add_gap(GapKind.BROKEN, sequence=line.sequence, missing=missing if missing > 0 else None, detail=detail)

    def _keep(self, line: Line, batch: _Batch) -> None:
        content = line.content
        if isinstance(content, Gap):
            batch.add_gap(
                GapKind.DROPPED,
                sequence=line.sequence,
                missing=content.dropped,
                detail=f"the spool was full: {content.dropped} records dropped from {content.since} to {content.until}",
            )
        elif isinstance(content, CallRecord):
            try:
                row = row_of(content)
            except ValueError as error:
                batch.add_gap(GapKind.UNREADABLE, sequence=line.sequence, missing=1, detail=f"record refused: {error}")
            else:
                batch.rows.append(row)
                batch.records.append(content)
                batch.sequences[content.id] = line.sequence
        elif content is None:
            batch.add_gap(
                GapKind.UNREADABLE, sequence=line.sequence, missing=1, detail=f"line {line.sequence} is no call record"
            )

    def _finish(self, name: SegmentName, path: Path, batch: _Batch) -> None:
        """The writer has left the segment and all of it was read."""
        batch.finished.append(path)
        following = self._folder / str(replace(name, number=name.number + 1))
        if not batch.position.sealed and not following.exists():
            batch.add_gap(
                GapKind.CRASHED,
                sequence=batch.position.sequence + 1,
                missing=None,
                detail=f"writer {name.writer} ended without closing its spool: what it had not yet flushed is missing",
            )

    # Storing

    def _store(self, connection: Connection, batch: _Batch) -> int:
        refused = insert_acceptable_rows(connection, batch.rows)
        for id, reason in refused.items():
            batch.add_gap(
                GapKind.UNREADABLE,
                sequence=batch.sequences[id],
                missing=1,
                detail=f"record refused by the database: {reason}",
            )
        insert_gaps(connection, batch.gaps)
        _move(connection, batch)
        self._mirror(batch)
        return len(batch.rows) - len(refused)

    def _mirror(self, batch: _Batch) -> None:
        """Before the commit, so that a crash repeats lines (with the same event ids) rather than loses them.

        A mirror that fails does not hold up the call log, of which it is a copy.
        """
        done = self._mirrored.get(batch.boot, -1)
        records = [record for record in batch.records if batch.sequences[record.id] > done]
        self._mirrored[batch.boot] = batch.position.sequence
        if not records:
            return
        try:
            for mirror in self._mirrors:
                mirror.write(records)
        except OSError as error:
            if not self._mirror_failed:
                log.error("%d call records are in the call log only: %s", len(records), error)
            self._mirror_failed = True
        else:
            self._mirror_failed = False


def _is_released(descriptor: int) -> bool:
    """Has the writer given up its lock, or died?"""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _committed_position(connection: Connection, boot: Boot) -> Position:
    """Where the boot has been read to; nobody else can change it until the transaction ends."""
    table = spool_positions
    query = select(table).where(table.c.writer == boot[0], table.c.boot == boot[1]).with_for_update()
    row = connection.execute(query).one_or_none()
    return Position() if row is None else _position(row)


def _position(row: Row[Any]) -> Position:
    return Position(row.segment, row.offset, row.sequence, row.hash, row.sealed)


def _move(connection: Connection, batch: _Batch) -> None:
    table, position = spool_positions, batch.position
    values = {
        "segment": position.segment,
        "offset": position.offset,
        "sequence": position.sequence,
        "hash": position.hash,
        "sealed": position.sealed,
        "time": batch.now,
    }
    writer, boot = batch.boot
    moved = connection.execute(update(table).where(table.c.writer == writer, table.c.boot == boot).values(values))
    if moved.rowcount == 0:
        connection.execute(insert(table).values(writer=writer, boot=boot, **values))
