"""The format of the spool, in which workers leave their call records and the keeper finds them.

A *writer* (a worker) has a *boot* (one life of its process) and writes *segments*, files named
`<writer>-<boot>-<number>.jsonl`. Each line is a JSON object:

    {"writer", "boot", "sequence", "previous", "record": {...}}      a call record
    {"writer", "boot", "sequence", "previous", "gap": {...}}         records that the writer had to drop
    {"writer", "boot", "sequence", "previous", "seal": true}         the writer left this segment in order

`sequence` counts the lines of a boot from 0; `previous` is the SHA-256 of the line before, without its newline, and 64
zeros in the first. Both run on over the segments of a boot. A segment that is still written to is locked (flock) by
its writer from before the file gets its name: whoever gets the lock knows that no byte will follow. Until it has its
name it is called that and `.new`.

Imported by workers: standard library and CallRecord only.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rivta.router.record import CallRecord

FIRST_HASH = "0" * 64
UNFINISHED = ".new"
_SEGMENT_NAME = re.compile(r"(?P<writer>[A-Za-z0-9_.-]+)-(?P<boot>[A-Za-z0-9_.]+)-(?P<number>\d{6,})\.jsonl")


class GapKind(Enum):
    """Why the call log misses records."""

    DROPPED = "dropped"
    """The asynchronous spool was full; the number is known."""
    CRASHED = "crashed"
    """The writer ended without sealing its segment: what it had not yet flushed is gone."""
    BROKEN = "broken"
    """A line is missing, out of order, or does not belong to the one before: the spool was damaged or edited."""
    UNREADABLE = "unreadable"
    """A line is no call record that the call log can hold."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Records that a writer dropped: how many, and between which times (UTC ISO 8601)."""

    dropped: int
    since: str
    until: str


@dataclass(frozen=True, slots=True)
class Seal:
    """The last line of a segment that its writer left in order: it holds all that there was to write by then."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a segment, read."""

    writer: str
    boot: str
    sequence: int
    previous: str
    hash: str
    """Of this line: what the next one must name as `previous`."""
    content: CallRecord | Gap | Seal | None
    """None when the line is whole but its content is not understood."""


@dataclass(frozen=True, slots=True, order=True)
class SegmentName:
    """What the file name of a segment says; sorts in the order written."""

    writer: str
    boot: str
    number: int

    def __str__(self) -> str:
        return f"{self.writer}-{self.boot}-{self.number:06d}.jsonl"

    @classmethod
    def parse(cls, name: str) -> SegmentName | None:
        """The segment that a file of this name is; None for any other file."""
        match = _SEGMENT_NAME.fullmatch(name)
        return None if match is None else cls(match["writer"], match["boot"], int(match["number"]))


def read_line(line: bytes) -> Line:
    """A line without its newline. Raises ValueError when not even its place in the chain can be read."""
    try:
        fields = json.loads(line)
        return Line(
            writer=str(fields["writer"]),
            boot=str(fields["boot"]),
            sequence=int(fields["sequence"]),
            previous=str(fields["previous"]),
            hash=hash_of(line),
            content=_content(fields),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a line of a spool: {type(error).__name__}") from error


def _content(fields: dict[str, Any]) -> CallRecord | Gap | Seal | None:
    try:
        if "record" in fields:
            return CallRecord.from_fields(fields["record"])
        if "gap" in fields:
            return Gap(**fields["gap"])
        if fields.get("seal") is True:
            return Seal()
    except (TypeError, ValueError):
        pass
    return None


def hash_of(line: bytes) -> str:
    """What the line after this one carries as `previous`."""
    return hashlib.sha256(line).hexdigest()
