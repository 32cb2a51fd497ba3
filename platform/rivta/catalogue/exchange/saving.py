"""Several files of a draft changed as one: all of them or none, also when the machine stops in between.

New contents are written beside the files, then a journal that names them, then each is renamed into place, then the
journal goes. Before the journal is there nothing has happened; after that, `finish` does what is left of it. So whoever
is about to read or write a draft calls `finish` first.
"""

import contextlib
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


def save(files: Mapping[Path, bytes], *, before: Mapping[Path, bytes | None]) -> None:
    """Put new contents in place of those that `before` says (None: no file). All folders must exist.

    Raises SaveRefused when one of them is another by now, and OSError; nothing has changed then.
    """
    folders = sorted({path.parent for path in files})
    finish(folders)
    staged: dict[Path, Path] = {}
    try:
        for path, content in files.items():
            staged[path] = path.with_name(f".{path.name}{_STAGED}")
            write_file(staged[path], content, mode=_mode(path))
        _refuse_changed(before)
        plan = {
            "files": [[str(new.resolve()), str(path.resolve()), _digest(files[path])] for path, new in staged.items()]
        }
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

    The first journal that is written decides: all that it names is staged and on the disk by then. Raises OSError.
    """
    did = False
    for folder in folders:
        journal = folder / JOURNAL
        try:
            plan = json.loads(journal.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            continue
        did = True
        places = [(Path(staged), Path(path), digest) for staged, path, digest in plan["files"]]
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
