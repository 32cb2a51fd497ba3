"""Whether an access log is what was written: nothing removed, altered, reordered, put in afterwards or rolled back.

Pure: rows and lines in, findings out. What it takes to hide something is said in docs/npo.md.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rivta.audit.access.chain import COLUMNS, hash_of, start_of
from rivta.audit.access.checkpoints import Checkpoint, Line, Removal, read_line
from rivta.audit.access.entry import Kind, entry_id
from rivta.audit.access.log import Head

LATENESS = timedelta(minutes=5)
"""So much earlier than a checkpoint that lacks it an entry may be: a transaction under way, clocks of several nodes."""
RETENTION = timedelta(days=5 * 365)
"""Entries that went earlier than so long after their time went too early. (`retention` counts leap days too.)"""
MOST_PROBLEMS = 100
"""That are told one by one; the rest are counted."""

IsSigned = Callable[[str, bytes, bytes], bool | None]
"""(signer, what is signed, signature): whether it is; None when the signer is not known."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it was written."""

    where: str
    """Id of an entry, a writer, or a line of a series."""
    what: str


@dataclass(slots=True)
class Verification:
    """What was found."""

    entries: int = 0
    writers: int = 0
    checkpoints: int = 0
    covered: int = 0
    """Entries whose presence and content a signed checkpoint attests."""
    covered_until: datetime | None = None
    """Time of the last checkpoint."""
    attested: dict[str, int] = field(default_factory=dict)
    """Number of the last entry of each writer that a checkpoint attests."""
    removed: int = 0
    """Entries that retention has taken away, as signed."""
    problems: list[Problem] = field(default_factory=list)
    further_problems: int = 0
    notes: list[str] = field(default_factory=list)
    """What is no fault of the log, and limits what can be said of it."""

    @property
    def is_intact(self) -> bool:
        """Whether everything that can be checked is as it was written."""
        return not self.problems

    def tell(self, where: str, what: str) -> None:
        """Add a problem."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(where, what))
        else:
            self.further_problems += 1


@dataclass(slots=True)
class _Writer:
    """What the checkpoints say of one writer."""

    attested: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Number of an entry: its hash, and the line that says so."""
    numbers: list[int] = field(default_factory=list)
    """Those numbers, ascending, as every series gives them."""
    times: list[datetime] = field(default_factory=list)
    """When each of `numbers` was signed."""
    removal: Removal | None = None
    """The one that went furthest."""
    removed_at: datetime | None = None
    """When it was signed."""


@dataclass(slots=True)
class _Signed:
    """Everything that the lines say."""

    now: datetime
    """Before they were read."""
    writers: dict[str, _Writer] = field(default_factory=dict)
    digests: dict[tuple[str, int], str] = field(default_factory=dict)
    """(series, number) of a line: its digest."""
    series: set[str] = field(default_factory=set)
    times: list[datetime] = field(default_factory=list)
    """Of all lines, ascending."""


def verify(
    rows: Iterable[Mapping[str, Any]],
    *,
    log: str,
    files: Mapping[str, Iterable[bytes]],
    is_signed: IsSigned,
    now: datetime,
) -> Verification:
    """Check rows, ordered by writer and number as `AccessLog.rows` gives them, against each other and the lines.

    `files` are the lines of each file of checkpoints by its name for people; they are read first, and may be written to
    meanwhile: what the log tells of checkpoints from `now` on is not looked for in them.
    """
    found = Verification()
    signed = _Signed(now=now)
    for name, lines in files.items():
        _check_lines(name, lines, log=log, is_signed=is_signed, signed=signed, found=found)
    signed.times.sort()
    found.covered_until = signed.times[-1] if signed.times else None
    _order(signed)
    present = _check_rows(rows, log, signed, found)
    _check_heads(signed, present, found)
    return found


def _check_lines(
    name: str, lines: Iterable[bytes], *, log: str, is_signed: IsSigned, signed: _Signed, found: Verification
) -> None:
    last: Line | None = None
    for position, content in enumerate(lines, 1):
        where = f"{name}, line {position}"
        try:
            line = read_line(content)
        except ValueError:
            # A power cut may leave such a line, which nobody was told of; one that was whole is missed by its number.
            found.notes.append(f"{where} is no checkpoint")
            continue
        reason = _reason_against(line, last, log=log, is_signed=is_signed)
        if reason is not None:
            found.tell(where, reason)
        last = line
        if reason is None or reason.startswith("it does not follow"):
            _take(line, where, signed)
            found.checkpoints += 1
    if last is not None:
        signed.series.add(last.checkpoint.series)


def _reason_against(line: Line, last: Line | None, *, log: str, is_signed: IsSigned) -> str | None:
    checkpoint = line.checkpoint
    verdict = is_signed(checkpoint.signer, line.signed, line.signature)
    if verdict is None:
        return f"it is signed by a key that is not known here ({checkpoint.signer[:16]}): name its certificate"
    if not verdict:
        return "its signature does not fit: it was altered"
    if checkpoint.log != log:
        return f"it is of another access log ({checkpoint.log})"
    number, previous = (last.checkpoint.number + 1, last.digest) if last else (1, "")
    if last is not None and checkpoint.series != last.checkpoint.series:
        return f"it is of another series ({checkpoint.series})"
    if checkpoint.number != number or checkpoint.previous != previous:
        return f"it does not follow the line before: it is number {checkpoint.number}, where {number} was to come"
    return None


def _take(line: Line, where: str, signed: _Signed) -> None:
    checkpoint: Checkpoint = line.checkpoint
    signed.digests[checkpoint.series, checkpoint.number] = line.digest
    signed.times.append(checkpoint.time)
    for name, head in checkpoint.heads.items():
        writer = signed.writers.setdefault(name, _Writer())
        writer.attested[head.number] = (head.hash, where)
        writer.numbers.append(head.number)
        writer.times.append(checkpoint.time)
    for removal in checkpoint.removals:
        writer = signed.writers.setdefault(removal.writer, _Writer())
        if writer.removal is None or removal.last > writer.removal.last:
            writer.removal, writer.removed_at = removal, checkpoint.time


def _order(signed: _Signed) -> None:
    """Heads by number, whatever series they are from; the time of each is the earliest that attests as much."""
    for writer in signed.writers.values():
        pairs = sorted(zip(writer.numbers, writer.times, strict=True))
        writer.numbers = [number for number, _ in pairs]
        earliest: list[datetime] = []
        for _, time in reversed(pairs):
            earliest.append(min(time, earliest[-1]) if earliest else time)
        writer.times = earliest[::-1]


def _check_rows(rows: Iterable[Mapping[str, Any]], log: str, signed: _Signed, found: Verification) -> dict[str, Head]:
    """Each row by itself and after the one before. Gives the last row of each writer."""
    last: dict[str, Head] = {}
    for row in rows:
        found.entries += 1
        name, number = str(row["writer"]), row["number"]
        if type(number) is not int or type(row["writer"]) is not str:
            found.tell(str(row["writer"]), f"an entry's number is {type(number).__name__}: it was altered")
            continue
        writer = signed.writers.get(name)
        before = last.get(name) or _beginning(log, row, writer.removal if writer else None, found)
        where = entry_id(name, number)
        if number != before.number + 1:
            found.tell(where, _gap(before.number + 1, number))
        elif row["previous"] != before.hash:
            found.tell(where, "it does not hold the hash of the entry before it: one of the two was altered or moved")
        if row["hash"] != hash_of(log, {column: row[column] for column in COLUMNS}):
            found.tell(where, "its hash does not fit: it was altered")
        _check_time(row, where, writer, signed, found)
        _check_attested(row, where, writer, found)
        if row["kind"] == Kind.CHECKPOINT.value:
            _check_told(row, where, signed, found)
        last[name] = Head(number, str(row["hash"]))
    found.writers = len(last)
    return last


def _beginning(log: str, row: Mapping[str, Any], removal: Removal | None, found: Verification) -> Head:
    """What comes before the first entry that there is: the writer's start, or what retention has taken away."""
    number = int(row["number"])
    if removal is None or number == 1:
        return Head(0, start_of(log, row["writer"]))
    if number <= removal.last:
        found.notes.append(f"retention of {row['writer']} is under way: it is to go on to entry {removal.last}")
        return Head(number - 1, str(row["previous"]))
    return Head(removal.last, removal.hash)


def _gap(expected: int, number: int) -> str:
    if number < expected:
        return f"number {number} comes where {expected} was to come: it was removed by retention, or is there twice"
    missing = f"entry {expected} is" if number == expected + 1 else f"entries {expected} to {number - 1} are"
    return f"{missing} missing before it"


def _check_time(
    row: Mapping[str, Any], where: str, writer: _Writer | None, signed: _Signed, found: Verification
) -> None:
    """An entry that a checkpoint did not find cannot be from long before that checkpoint."""
    time = row["time"]
    if not isinstance(time, datetime):
        found.tell(where, "its time is none: it was altered")
        return
    position = bisect.bisect_left(writer.numbers, row["number"]) if writer else 0
    covering = writer.times[position] if writer and position < len(writer.times) else None
    # The last checkpoint of all that came before the first one which covers it.
    index = len(signed.times) if covering is None else bisect.bisect_left(signed.times, covering)
    if index and time < signed.times[index - 1] - LATENESS:
        found.tell(
            where,
            f"it is dated before the checkpoint of {signed.times[index - 1]:%Y-%m-%d %H:%M:%S} UTC, which lacks it",
        )
    if covering is not None:
        found.covered += 1
        if time > covering + LATENESS:
            found.tell(where, f"it is dated after the checkpoint of {covering:%Y-%m-%d %H:%M:%S} UTC, which has it")


def _check_attested(row: Mapping[str, Any], where: str, writer: _Writer | None, found: Verification) -> None:
    attested = writer.attested.get(row["number"]) if writer else None
    if attested is not None and attested[0] != row["hash"]:
        found.tell(where, f"{attested[1]} attests another: it, or one before it, was altered")


def _check_told(row: Mapping[str, Any], where: str, signed: _Signed, found: Verification) -> None:
    """An entry that tells of a checkpoint: the file must have it."""
    try:
        detail = json.loads(row["detail"])
        series, number, digest = detail["series"], detail["number"], detail["digest"]
    except (ValueError, KeyError, TypeError):
        found.tell(where, "it tells of a checkpoint, and not of which: it was altered")
        return
    if isinstance(row["time"], datetime) and row["time"] >= signed.now:
        return
    if series not in signed.series:
        found.tell(where, f"it tells of checkpoints of the series {series}, which were not given or are lost")
    elif signed.digests.get((series, number)) != digest:
        found.tell(
            where, f"it tells of checkpoint {number} of the series {series}, which the file lacks: it was cut off"
        )


def _check_heads(signed: _Signed, present: Mapping[str, Head], found: Verification) -> None:
    """Everything that a checkpoint has seen is there still, or was taken away by retention, in time."""
    for name, writer in signed.writers.items():
        removal = writer.removal
        gone = removal.last if removal else 0
        newest = max(writer.attested, default=0)
        found.attested[name] = newest
        there = present[name].number if name in present else gone
        if there < newest:
            missing = newest - max(there, gone)
            where = writer.attested[newest][1]
            found.tell(
                name,
                f"its last {missing} entries are missing, of {newest} that {where} attests: cut off, or rolled back",
            )
        if removal is not None:
            found.removed += removal.last
            _check_removal(name, writer, removal, found)


def _check_removal(name: str, writer: _Writer, removal: Removal, found: Verification) -> None:
    if writer.removed_at is not None and removal.older_than > writer.removed_at - RETENTION:
        found.tell(name, f"retention took entries of up to {removal.older_than:%Y-%m-%d} before five years had passed")
    attested = writer.attested.get(removal.last)
    if attested is not None and attested[0] != removal.hash:
        found.tell(name, f"retention names another entry {removal.last} than {attested[1]} attests")
    position = bisect.bisect_left(writer.numbers, removal.last)
    if position > 0 and removal.last > writer.numbers[position - 1]:
        # What came after a checkpoint's head was written after it, save what was under way.
        earliest = writer.times[position - 1]
        if earliest >= removal.older_than + LATENESS:
            found.tell(name, f"retention took entries newer than {removal.older_than:%Y-%m-%d}, as checkpoints show")
