"""The log's heads, signed and kept outside the database: a file that is only ever appended to.

A line is `<canonical JSON>` TAB `<signature in base64>`: the JSON object has its keys in alphabetical order and no
blanks between tokens, and the signature is over exactly its bytes. The lines of one file are a *series*: numbered from
1, each with the SHA-256 of the whole line before it. A line names the writers that have written since the last one,
each with the number and the hash of its newest entry, and what retention was about to take away.

A copy of the file on another machine, or a folder that can only be appended to, is what proves most: whoever can write
to the database, to this file and with the key can make all three agree.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from rivta.audit.access.chain import spelled_time
from rivta.audit.access.entry import Entry, Kind
from rivta.audit.access.log import AccessLog, Head, Receipt, Writer
from rivta.files import sync

_T = TypeVar("_T")

LONGEST_LINE = 64 * 1024 * 1024
"""Bytes; a line has some hundred for each writer that wrote since the last one."""


class CheckpointsUnusable(OSError):
    """The file of checkpoints cannot be read or written; says which and why."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What retention has taken away of one writer: a beginning of its chain."""

    writer: str
    first: int
    last: int
    hash: str
    """Of the last entry removed: the first one that stays holds it as `previous`."""
    older_than: datetime
    """Every one of them was from before then."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in a checkpoint, and in the entry that tells it."""
        return {
            "writer": self.writer,
            "first": self.first,
            "last": self.last,
            "hash": self.hash,
            "older_than": spelled_time(self.older_than),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Removal:
        """The same back. Raises ValueError, KeyError or TypeError for what is none."""
        return cls(
            writer=_of_type(str, value["writer"]),
            first=_of_type(int, value["first"]),
            last=_of_type(int, value["last"]),
            hash=_of_type(str, value["hash"]),
            older_than=datetime.fromisoformat(_of_type(str, value["older_than"])),
        )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One line."""

    series: str
    """UUID of the file."""
    number: int
    previous: str
    """SHA-256 of the line before, hexadecimal; of the first, empty."""
    log: str
    """Id of the log."""
    time: datetime
    signer: str
    """SHA-256 of the key that signed it (of its SubjectPublicKeyInfo in DER), hexadecimal."""
    heads: Mapping[str, Head]
    """Of the writers that have written since the last line."""
    removals: tuple[Removal, ...] = ()

    def to_bytes(self) -> bytes:
        """What is signed."""
        fields = {
            "format": 1,
            "series": self.series,
            "number": self.number,
            "previous": self.previous,
            "log": self.log,
            "time": spelled_time(self.time),
            "signer": self.signer,
            "heads": {writer: [head.number, head.hash] for writer, head in self.heads.items()},
            "removals": [removal.to_json() for removal in self.removals],
        }
        return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Line:
    """A line that could be read: what it says, and what it takes to check it."""

    checkpoint: Checkpoint
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    digest: str
    """SHA-256 of the whole line, hexadecimal."""


def read_line(line: bytes) -> Line:
    """A line, without its end. Raises ValueError when it is none."""
    signed, tab, signature = line.partition(b"\t")
    try:
        fields = json.loads(signed)
        if not tab or fields["format"] != 1:
            raise ValueError("not a checkpoint of a format that is known here")
        checkpoint = Checkpoint(
            series=_of_type(str, fields["series"]),
            number=_of_type(int, fields["number"]),
            previous=_of_type(str, fields["previous"]),
            log=_of_type(str, fields["log"]),
            time=datetime.fromisoformat(_of_type(str, fields["time"])).astimezone(UTC),
            signer=_of_type(str, fields["signer"]),
            heads={
                writer: Head(_of_type(int, one[0]), _of_type(str, one[1])) for writer, one in fields["heads"].items()
            },
            removals=tuple(Removal.from_json(one) for one in fields["removals"]),
        )
        return Line(checkpoint, signed, base64.b64decode(signature, validate=True), digest_of(line))
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError, binascii.Error) as error:
        raise ValueError(f"not a checkpoint: {type(error).__name__}") from error


def readable(lines: Iterable[bytes]) -> Iterator[Line]:
    """Those that can be read: a power cut may have left a piece of one, which `verify` tells of."""
    for line in lines:
        with contextlib.suppress(ValueError):
            yield read_line(line)


def digest_of(line: bytes) -> str:
    """What the next line has as `previous`."""
    return hashlib.sha256(line).hexdigest()


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file, without their ends; none when there is no file. Raises CheckpointsUnusable."""
    try:
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            while line := file.readline(LONGEST_LINE):
                if line.strip():
                    yield line.rstrip(b"\n")
    except OSError as error:
        raise CheckpointsUnusable(f"{path} cannot be read: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class Signer:
    """A key, and the name that checkpoints have for it."""

    id: str
    sign: Callable[[bytes], bytes] = field(repr=False)


class CheckpointFile:
    """One keeper's series of checkpoints of one log. For one caller at a time."""

    def __init__(self, path: Path, log: AccessLog, writer: Writer, signer: Signer) -> None:
        """`writer` is for the log's entries about its checkpoints, and writes nothing else."""
        self._path = path
        self._log = log
        self._writer = writer
        self._signer = signer
        self._read = 0
        """Length of the file when it was read last; what is below holds as long as it is so long."""
        self._last: Line | None = None
        self._heads: dict[str, Head] = {}

    def sign(self, *, now: datetime, removals: Sequence[Removal] = ()) -> Checkpoint | None:
        """Signs the heads, if any writer has written since the last line; then, on the disk, it is told in the log.

        None when there was nothing to sign. Raises CheckpointsUnusable, AccessLogUnreadable or CannotRecord.
        """
        try:
            with self._locked() as descriptor:
                self._catch_up(descriptor)
                heads = {writer: head for writer, head in self._log.heads().items() if self._heads.get(writer) != head}
                if not removals and not any(self._is_news(writer) for writer in heads):
                    return None
                last = self._last
                checkpoint = Checkpoint(
                    series=last.checkpoint.series if last else str(uuid.uuid4()),
                    number=last.checkpoint.number + 1 if last else 1,
                    previous=last.digest if last else "",
                    log=self._log.id,
                    time=now,
                    signer=self._signer.id,
                    heads=heads,
                    removals=tuple(removals),
                )
                line = self._append(descriptor, checkpoint)
        except OSError as error:
            if isinstance(error, CheckpointsUnusable) or error.strerror is None:
                raise
            raise CheckpointsUnusable(f"{self._path} cannot be written: {error.strerror}") from error
        self._tell(checkpoint, digest_of(line))
        return checkpoint

    def signed_removals(self) -> set[tuple[str, int]]:
        """Writer and last number of every removal that a line tells of."""
        lines = readable(lines_of(self._path))
        return {(removal.writer, removal.last) for line in lines for removal in line.checkpoint.removals}

    def _is_news(self, writer: str) -> bool:
        """Our own entries about checkpoints are signed with the next news: else each would be the reason for one."""
        return writer != self._writer.name

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)

    def _catch_up(self, descriptor: int) -> None:
        """Learn the last line, and the heads that all lines tell of, unless nothing has come since they were learnt."""
        size = os.fstat(descriptor).st_size
        if size == self._read:
            return
        self._last, self._heads = None, {}
        for line in readable(lines_of(self._path)):
            self._last = line
            self._heads |= line.checkpoint.heads
        if self._last is not None and self._last.checkpoint.log != self._log.id:
            raise CheckpointsUnusable(
                f"{self._path} has the checkpoints of another access log: move it away, with the database it belongs to"
            )
        self._read = size

    def _append(self, descriptor: int, checkpoint: Checkpoint) -> bytes:
        signed = checkpoint.to_bytes()
        line = signed + b"\t" + base64.b64encode(self._signer.sign(signed))
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        data = memoryview((b"\n" if torn else b"") + line + b"\n")
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
        if checkpoint.number == 1:
            sync(self._path.parent)
        self._last = read_line(line)
        self._heads |= checkpoint.heads
        self._read = os.fstat(descriptor).st_size
        return line

    def _tell(self, checkpoint: Checkpoint, digest: str) -> tuple[Receipt, ...]:
        detail = {"series": checkpoint.series, "number": checkpoint.number, "digest": digest}
        return self._writer.record(Entry(Kind.CHECKPOINT, detail=json.dumps(detail, sort_keys=True)))


def _of_type(kind: type[_T], value: object) -> _T:
    if type(value) is not kind:
        raise TypeError(f"{type(value).__name__} in place of {kind.__name__}")
    return value
