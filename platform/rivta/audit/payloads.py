"""What messages said, kept beside the call log where an operator asks for it: patient data, so readable by us alone.

Workers write, in a thread of their own; the keeper reads, and deletes what is as old as the call log keeps. Imported by
workers: standard library only.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

from rivta.router.record import CallRecord

log = logging.getLogger(__name__)

LARGEST_BYTES = 1_000_000
"""Of a message that is kept; of a longer one nothing is."""
_MOST_WAITING = 1_000
_MASK = b"x"
# A personal, coordination or reserve number, as it is written: 10 or 12 characters, the last four perhaps letters.
_PERSONAL_NUMBER = re.compile(rb"(?<![0-9A-Za-z])(?:[0-9]{2})?[0-9]{6}[-+]?[0-9A-Za-z]{4}(?![0-9A-Za-z])")
_UNMASKABLE = b"\0"
"""In a message of a charset of two bytes a character, in which a number is not found."""
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def masked(body: bytes) -> bytes | None:
    """The message with personal numbers as `xxxxxxxxxxxx`; None for one in which they cannot be found."""
    if _UNMASKABLE in body:
        return None
    return _PERSONAL_NUMBER.sub(lambda found: _MASK * len(found[0]), body)


class PayloadWriter:
    """One worker's way to the messages that are kept. Belongs to one event loop."""

    def __init__(self, folder: Path, *, keeps_personal_numbers: bool) -> None:
        """`folder` is made if missing. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._keeps_personal_numbers = keeps_personal_numbers
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="payload")
        self._room = threading.Semaphore(_MOST_WAITING)
        self._failure = ""

    def keep(self, record: CallRecord, request: bytes, response: bytes) -> CallRecord:
        """The record with the names by which its messages will be found; they are written meanwhile."""
        day = record.time[:10]
        return dataclasses.replace(
            record,
            stored_request=self._keep(f"{day}/{record.id}-request.xml", request),
            stored_response=self._keep(f"{day}/{record.id}-response.xml", response),
        )

    def _keep(self, name: str, body: bytes) -> str | None:
        if not body or len(body) > LARGEST_BYTES or (_UNMASKABLE in body and not self._keeps_personal_numbers):
            return None
        if not self._room.acquire(blocking=False):
            return None
        self._executor.submit(self._write, self._folder / name, body)
        return name

    def _write(self, path: Path, body: bytes) -> None:
        try:
            content = body if self._keeps_personal_numbers else masked(body)
            if content is not None:
                path.parent.mkdir(mode=0o700, exist_ok=True)
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
            self._note("")
        except OSError as error:
            self._note(f"{error.strerror or error}")
        finally:
            self._room.release()

    def _note(self, failure: str) -> None:
        if failure and not self._failure:
            log.error("messages cannot be kept in %s: %s", self._folder, failure)
        self._failure = failure

    def close(self) -> None:
        """Returns when everything is written."""
        self._executor.shutdown()


class Payloads:
    """The messages that were kept, for reading and deleting."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str | None) -> str | None:
        """The message by its name in a record; None when nothing was kept, or not any more."""
        if name is None or not re.fullmatch(r"\d{4}-\d{2}-\d{2}/[0-9A-Za-z-]+\.xml", name):
            return None
        try:
            return (self._folder / name).read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            return None

    def retain(self, oldest: date, *, remove: Callable[[Path], None] = shutil.rmtree) -> int:
        """Deletes the days before `oldest`. Gives how many."""
        if not self._folder.exists():
            return 0
        old = [
            day for day in self._folder.iterdir() if _DAY.fullmatch(day.name) and date.fromisoformat(day.name) < oldest
        ]
        for day in old:
            remove(day)
        return len(old)
