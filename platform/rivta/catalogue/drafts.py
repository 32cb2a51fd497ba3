"""The files of a draft as an editor over the network sees them: by name, with a digest, written whole or not at all."""

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rivta.catalogue.exchange.saving import SaveRefused, finish, save
from rivta.catalogue.marked_yaml import yaml_files
from rivta.files import sync, write_file

MAX_BYTES = 64 * 1024 * 1024
"""The longest file that is taken over the network; about 600,000 rows."""

_NAME = re.compile(r"(?!\.)[\w.-]{1,95}\.yaml")


class BadName(ValueError):
    """No name for a file of a draft."""


class FileChanged(Exception):
    """The file is not what the editor last saw; `digest` is what it is now, None when it is not there."""

    def __init__(self, name: str, digest: str | None) -> None:
        what = "is not there" if digest is None else "is another now"
        super().__init__(f"{name} {what}: somebody has changed it since you read it")
        self.digest = digest


class DraftChanged(Exception):
    """A draft is not what it was when somebody made changes to it; `digest` is what it is now."""

    def __init__(self, folder: Path, digest: str) -> None:
        super().__init__(
            f"the draft in {folder} was changed meanwhile by somebody else; nothing is written, do it again"
        )
        self.digest = digest


@dataclass(frozen=True, slots=True)
class FilesChange:
    """New texts for files of a draft, by name; the others stay as they are."""

    texts: Mapping[str, bytes]
    known: str
    """Digest of the whole draft that they were made for."""


@dataclass(frozen=True, slots=True)
class DraftFile:
    """One file of a draft."""

    name: str
    digest: str
    """SHA-256 of its text, hexadecimal."""
    bytes: int


class DraftFolder:
    """The files of one draft, by their names in its folder. One caller at a time; editors may save meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def files(self) -> tuple[DraftFile, ...]:
        """Every file that can be read, by name. Raises OSError."""
        names = [path.name for path in yaml_files(self._folder)] if self._folder.is_dir() else []
        found = []
        for name in names:
            try:
                text = self.read(name)
            except (LookupError, BadName):
                continue
            found.append(DraftFile(name, digest_of(text), len(text)))
        return tuple(found)

    def texts(self) -> dict[str, bytes]:
        """The text of every file, by name; an import that was interrupted is finished first.

        Raises BadName for a file that is part of the draft and cannot be written over the network; OSError.
        """
        finish([self._folder])
        paths = yaml_files(self._folder) if self._folder.is_dir() else ()
        found = {}
        for path in paths:
            try:
                found[path.name] = self.read(path.name)
            except LookupError as error:
                raise BadName(f"{path.name} is something else than a file in the folder of the draft") from error
        return found

    def read(self, name: str) -> bytes:
        """The text of a file. Raises LookupError when there is none, or it is something else; BadName; OSError."""
        path = self._path(name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise LookupError(f"{name} is no file of the draft") from error
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise LookupError(f"{name} is no file of the draft")
            return file.read()

    def write(self, name: str, text: bytes, *, expected: str | None) -> str:
        """Put `text` in place of what has the digest `expected` (None: of nothing); the digest of what is there now.

        Raises FileChanged, having changed nothing; BadName; OSError.
        """
        self._expect(name, expected)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(name)
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
        write_file(path, text, mode=mode)
        return digest_of(text)

    def remove(self, name: str, *, expected: str) -> None:
        """Take away what has the digest `expected`. Raises FileChanged, having changed nothing; BadName; OSError."""
        self._expect(name, expected)
        self._path(name).unlink()
        sync(self._folder)

    def replace(self, texts: Mapping[str, bytes], *, kept_in: Path) -> None:
        """Make `texts` the whole draft. What was there and is another is kept in the folder `kept_in` first.

        Raises OSError: then some files may be done and others not, and the same again does the rest.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in yaml_files(self._folder):
            if path.is_dir() or (path.is_file() and path.read_bytes() == texts.get(path.name)):
                continue
            kept_in.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.is_file():
                write_file(kept_in / path.name, path.read_bytes(), mode=0o600)
        for name, text in texts.items():
            path = self._folder / name
            if not path.is_file() or path.read_bytes() != text:
                write_file(path, text)
        for path in yaml_files(self._folder):
            if path.name not in texts and not path.is_dir():
                path.unlink()
        sync(self._folder)

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self._folder

    def change(
        self, change: FilesChange, *, beside: Mapping[Path, bytes] | None = None, others: Iterable["Change"] = ()
    ) -> str:
        """Write the files of a change, those of `others`' and what is to be `beside` them: all, or none.

        Gives the digest of this draft after it. Raises DraftChanged, having changed nothing; BadName; OSError.
        """
        wanted = dict(beside or {})
        before: dict[Path, bytes | None] = {}
        for folder, one in ((self, change), *others):
            there = folder.texts()
            if digest_of_all(there) != one.known:
                raise DraftChanged(folder.folder, digest_of_all(there))
            for name, text in one.texts.items():
                path = folder._path(name)
                wanted[path], before[path] = text, there.get(name)
            folder.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            save(wanted, before=before)
        except SaveRefused as error:
            raise DraftChanged(self._folder, digest_of_all(self.texts())) from error
        return digest_of_all(self.texts())

    def _path(self, name: str) -> Path:
        check_name(name)
        return self._folder / name

    def _expect(self, name: str, expected: str | None) -> None:
        try:
            digest = digest_of(self.read(name))
        except LookupError:
            if self._path(name).is_symlink() or self._path(name).exists():
                raise BadName(f"{name} is something else than a file in the folder of the draft") from None
            digest = None
        if digest != expected:
            raise FileChanged(name, digest)


def check_name(name: str) -> None:
    """Raises BadName for what can be no file in the folder of a draft."""
    if not _NAME.fullmatch(name):
        raise BadName(f"{name!r}: a name of letters, digits, . _ and -, ending in .yaml, without a folder")


Change = tuple[DraftFolder, FilesChange]
"""A change with the draft that it is of."""


def digest_of_all(texts: Mapping[str, bytes]) -> str:
    """SHA-256 of a whole draft, hexadecimal: another one for another text, name, or number of files."""
    listed = "".join(f"{digest_of(text)} {name}\n" for name, text in sorted(texts.items()))
    return digest_of(listed.encode())


def digest_of(text: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(text).hexdigest()
