"""Files that others read, which appear whole or not at all, and files that others write, watched for changes.

Imported by workers: standard library only.
"""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


def write_file(path: Path, content: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Puts `content` at `path`, so that a reader sees what was there before or all of it; never with a wider `mode`.

    `durable` also keeps it over a power cut; what describes running processes has no need of that. Raises OSError, and
    leaves nothing behind then.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if durable:
        sync(path.parent)


def states_of(paths: Iterable[Path]) -> tuple[tuple[int, ...] | None, ...]:
    """What is another when a file has been written to, or replaced; None for one that cannot be looked at."""
    return tuple(map(_state_of, paths))


def _state_of(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def sync(path: Path) -> None:
    """Returns when a file's content, or the names in a folder, are on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
