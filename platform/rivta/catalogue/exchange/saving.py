"""Several files of a draft changed as one: all of them or none, also when the machine stops in between.

New contents are written beside the files, then a journal that names them, then each is renamed into place, then the
journal goes. Before the journal is there nothing has happened; after that, `finish` does what is left of it. So whoever
is about to read or write a draft calls `finish` first.
"""

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from rivta.files import sync, write_file

JOURNAL = ".import-journal.json"
_STAGED = ".staged"


class SaveRefused(ValueError):
    """Nothing was written: somebody else changed a file meanwhile."""


class BadJournal(OSError):
    """What stands in the place of the journal was not written by `save`: nothing is done on its word.

    A folder of tables may come from anywhere; its files must not say what else on this machine is replaced.
    """

    def __init__(self, journal: Path) -> None:
        advice = "is no journal of an import into its folder: look at what it names, then remove it"
        super().__init__(errno.EINVAL, advice, str(journal))

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


def save(files: Mapping[Path, bytes], *, before: Mapping[Path, bytes | None]) -> None:
    """Put new contents in place of those that `before` says (None: no file). All folders must exist.

    Raises SaveRefused when one of them is another by now, and OSError; nothing has changed then.
    """
    folders = sorted({path.parent for path in files})
    finish(folders)
    staged: dict[Path, Path] = {}
    try:
        for path, content in files.items():
            staged[path] = _staged(path.resolve())  # a link stays one
            write_file(staged[path], content, mode=_mode(path))
        _refuse_changed(before)
        plan = {"files": [[str(new), str(path.resolve()), _digest(files[path])] for path, new in staged.items()]}
        for folder in folders:
            write_file(folder / JOURNAL, json.dumps(plan).encode(), mode=0o600)
    except BaseException:
        for path in (*(folder / JOURNAL for folder in folders), *staged.values()):
            with contextlib.suppress(OSError):
                path.unlink()
        raise
    finish(folders)


def finish(folders: Iterable[Path]) -> bool:
    """Do what is left of a save that was interrupted; whether there was any.

    The first journal that is written decides: all that it names is staged and on the disk by then. Raises OSError,
    BadJournal among them.
    """
    did = False
    for folder in folders:
        places = _plan(folder / JOURNAL)
        if places is None:
            continue
        did = True
        for staged, path, digest in places:
            # What is not staged any more is in place already. What is staged otherwise is of a later save.
            # Whoever saves and whoever reads may do this at the same time.
            with contextlib.suppress(FileNotFoundError):
                if _digest(staged.read_bytes()) == digest:
                    staged.replace(path)
        for parent in {path.parent for _, path, _ in places}:
            sync(parent)
        for parent in sorted({path.parent for _, path, _ in places} | {folder}):
            (parent / JOURNAL).unlink(missing_ok=True)
            sync(parent)
    return did


def _plan(journal: Path) -> list[tuple[Path, Path, str]] | None:
    """What is staged, where it goes, and the digest of what it must be; None without a journal."""
    try:
        written = journal.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        places = [(Path(staged), Path(path), str(digest)) for staged, path, digest in json.loads(written)["files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BadJournal(journal) from error
    if any(staged != _staged(path) for staged, path, _ in places):
        raise BadJournal(journal)
    return places


def _staged(path: Path) -> Path:
    return path.with_name(f".{path.name}{_STAGED}")


def _refuse_changed(before: Mapping[Path, bytes | None]) -> None:
    for path, content in before.items():
        now = path.read_bytes() if path.exists() else None
        if now != content:
            raise SaveRefused(f"{path} was changed meanwhile by somebody else; nothing is written, do it again")


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777 if path.exists() else 0o644 & ~_umask()


def _umask() -> int:
    found = os.umask(0o077)
    os.umask(found)
    return found


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
