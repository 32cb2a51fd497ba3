"""What a process prints goes to a file of its own, whose size is bounded."""

import logging
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_BYTES = 5 * 1024 * 1024
"""The file and the one before it, `<name>.log.1`, hold about this much each."""

_TAIL_BYTES = 8192


def open_log(path: Path) -> int:
    """A descriptor that appends to `path`; the caller closes it."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def trim_log(path: Path, longest_bytes: int = LONGEST_BYTES) -> None:
    """Keep the last part of an over-long log as `<name>.1` and begin anew.

    The process goes on writing to the same file meanwhile, so it is copied and emptied, not renamed; what is written
    between those two steps is lost. The call log does not pass here.
    """
    try:
        if path.stat().st_size <= longest_bytes:
            return
    except FileNotFoundError:
        return
    shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    os.truncate(path, 0)


def size(path: Path) -> int:
    """Bytes in the log now; 0 when there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def last_lines(path: Path, *, since: int = 0, count: int = 5) -> list[str]:
    """The last non-empty lines that were written after the first `since` bytes."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(since if since <= end else 0, end - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]


def log_to_stderr() -> None:
    """How a role logs: its stderr is the file that the supervisor opened for it."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")


@contextmanager
def supervisor_log(path: Path, *, on_terminal: bool) -> Iterator[None]:
    """What the supervisor has to say goes to its log; warnings also to the terminal, when there is one."""
    trim_log(path)
    logger = logging.getLogger("rivta")
    to_file = logging.FileHandler(path, encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handlers: list[logging.Handler] = [to_file]
    if on_terminal:
        to_terminal = logging.StreamHandler()
        to_terminal.setLevel(logging.WARNING)
        to_terminal.setFormatter(logging.Formatter("%(message)s"))
        handlers.append(to_terminal)
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
