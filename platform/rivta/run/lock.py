"""One home, one supervisor: the lock that says so, and who holds it.

The lock belongs to an open file (flock(2)) which every role inherits, so it is free only when the supervisor *and*
everything that it started have ended: a new pair never meets the remains of one that was killed.
"""

import fcntl
import os
import time
from pathlib import Path

from rivta.run.home import Home, HomeError

_STOPPING_SECONDS = 50.0
"""Longer than a role may live after its supervisor (`rivta.run.child.ORPHAN_SECONDS`)."""
_POLL_SECONDS = 0.05


def lock_home(home: Home) -> int:
    """Take the lock; the descriptor that holds it, to be kept open and given to the roles.

    Waits for the roles of a killed supervisor to end. Raises HomeError when another supervisor runs here.
    """
    descriptor = _open(home)
    deadline = time.monotonic() + _STOPPING_SECONDS
    while not _try_lock(descriptor):
        pid = supervisor_pid(home)
        if pid is not None or time.monotonic() > deadline:
            os.close(descriptor)
            raise HomeError(
                f"a pair already runs in {home.folder} (process {pid or 'unknown'}): "
                f"stop it with `rivta down --home {home.folder}`, or give this one a home of its own with --home"
            )
        time.sleep(_POLL_SECONDS)
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    return descriptor


def is_locked(home: Home) -> bool:
    """Whether a supervisor runs in this home, or roles that outlive one."""
    try:
        descriptor = os.open(home.lock_file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise HomeError(f"{home.lock_file} cannot be opened: {error.strerror}") from error
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)


def supervisor_pid(home: Home) -> int | None:
    """Process id of the supervisor that holds this home; None when there is none, or it was killed."""
    try:
        pid = int(home.lock_file.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None
    return pid if _has_open(pid, home.lock_file) else None


def wait_until_free(home: Home, seconds: float) -> bool:
    """Whether everything in this home has ended within `seconds`."""
    deadline = time.monotonic() + seconds
    while is_locked(home):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _open(home: Home) -> int:
    try:
        return os.open(home.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HomeError(f"{home.lock_file} cannot be opened: {error.strerror}") from error


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _has_open(pid: int, path: Path) -> bool:
    """Whether the process has the file open: its number may long belong to somebody else."""
    try:
        wanted = path.stat()
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
    for descriptor in descriptors:
        try:
            found = descriptor.stat()
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return True
    return False
