"""Archives and folders that somebody wants installed: what they hold of contracts, read with bounds and into memory.

Official releases come as zip archives that also hold documents, test suites and build files, packed on Windows, macOS
or Linux. Nothing is written to the disk here, and a name that leads out of the archive is refused.
"""

import contextlib
import os
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_ENTRIES = 20_000
"""Files and folders in one source, those that are not read too."""
MAX_FILE_BYTES = 16_000_000
MAX_BYTES = 128_000_000
"""Of the files that are read."""
MAX_RATIO = 100
"""Unpacked to packed, of a file over a megabyte; schemas come to 10, at most 30."""
MAX_DEPTH = 32
"""Folders within folders."""

_MAX_DIRECTORY_BYTES = 8_000_000
_ZIP64_END = 56 + 20
"""Bytes of the end record of large archives and of what leads to it; Python looks just before the usual record."""
_FREE_RATIO_BYTES = 1_000_000
_ENCRYPTED = 0x1
_UTF_8_NAMES = 0x800
_WITH_SCHEMAS = (".xsd", ".wsdl")
_SAMPLES = ("sample", "exempel", "example")
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError, OverflowError)


class SourceRefused(ValueError):
    """A source cannot be read, or may not be; the message names it, what is wrong, and what to do."""

    def __init__(self, source: Path, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Source:
    """What an archive or folder holds of contracts."""

    path: Path
    files: dict[str, bytes]
    """Schemas, WSDLs and samples by their path in the source, with `/` between."""
    notes: tuple[str, ...] = ()
    """What was left out and may be missed."""


def read_source(path: Path) -> Source:
    """Reads an archive or a folder. Raises SourceRefused; then nothing has happened."""
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise SourceRefused(path, "there is no such file or folder")
    try:
        return _read_archive(path)
    except OSError as error:
        raise SourceRefused(path, f"cannot be read: {error.strerror or error}") from error


def _read_archive(path: Path) -> Source:
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise SourceRefused(path, "is neither a zip archive nor a folder")
    _refuse_giant_directory(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return Source(path, _Unpacking(path, archive).files(), _nested(path, archive))
    except NotImplementedError as error:
        reason = f"is packed in a way that is not read ({error}): pack it again as an ordinary zip archive"
        raise SourceRefused(path, reason) from error
    except _BROKEN as error:
        if isinstance(error, SourceRefused):
            raise
        raise SourceRefused(path, f"is a damaged zip archive: {error}; fetch it again") from error


def _refuse_giant_directory(path: Path) -> None:
    """Python reads the whole list of entries before it says how many there are."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 65_557))  # the end record has 22 bytes and a comment of at most 65,535
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise SourceRefused(path, "is a damaged zip archive: its end is missing; fetch it again")
    entries, directory_bytes = struct.unpack_from("<HI", tail, at + 10)
    zip64 = tail[max(0, at - _ZIP64_END) : at]
    if zip64.startswith(b"PK\x06\x06") and zip64[_ZIP64_END - 20 :].startswith(b"PK\x06\x07"):
        # Then these count, whatever the others say.
        entries, directory_bytes = (
            max(one) for one in zip((entries, directory_bytes), _zip64_sizes(zip64), strict=True)
        )
    if entries > MAX_ENTRIES or directory_bytes > _MAX_DIRECTORY_BYTES:
        raise _too_many(path)


def _zip64_sizes(end: bytes) -> tuple[int, int]:
    """The number of entries and the bytes of their list, as the end record of an archive over 4 GB has them."""
    entries, directory_bytes = struct.unpack_from("<QQ", end, 32)
    return entries, directory_bytes


class _Unpacking:
    """Reads the files of an archive that are wanted, after it has looked at the names and sizes of all."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path = path
        self._archive = archive

    def files(self) -> dict[str, bytes]:
        entries = self._archive.infolist()
        if len(entries) > MAX_ENTRIES:
            raise _too_many(self._path)
        wanted: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            name = _safe_name(self._path, _decoded_name(entry))
            self._refuse_special(entry, name)
            if not entry.is_dir() and _is_wanted(name):
                self._refuse_second(wanted.get(name), entry, name)
                wanted[name] = entry
        self._refuse_bomb(wanted)
        _refuse_case_twins(self._path, list(wanted))
        return {name: self._content(entry, name) for name, entry in wanted.items()}

    def _refuse_special(self, entry: zipfile.ZipInfo, name: str) -> None:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind == stat.S_IFLNK:
            raise SourceRefused(self._path, f"{name!r} in it is a link; put the file itself into the archive")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise SourceRefused(self._path, f"{name!r} in it is neither a file nor a folder")
        if entry.flag_bits & _ENCRYPTED:
            raise SourceRefused(self._path, f"{name!r} in it is encrypted; unpack it and give the folder")

    def _refuse_second(self, earlier: zipfile.ZipInfo | None, entry: zipfile.ZipInfo, name: str) -> None:
        if earlier is not None and (earlier.CRC, earlier.file_size) != (entry.CRC, entry.file_size):
            raise SourceRefused(self._path, f"{name!r} is in it twice, with two contents; take one of them out")

    def _refuse_bomb(self, wanted: dict[str, zipfile.ZipInfo]) -> None:
        for name, entry in wanted.items():
            packed = max(entry.compress_size, 1)
            if entry.file_size > MAX_FILE_BYTES:
                raise SourceRefused(self._path, f"{name!r} in it has {entry.file_size} bytes, over {MAX_FILE_BYTES}")
            if entry.file_size > _FREE_RATIO_BYTES and entry.file_size > MAX_RATIO * packed:
                ratio = entry.file_size // packed
                reason = f"{name!r} in it unpacks to {ratio} times its size, over {MAX_RATIO} times: no schema does"
                raise SourceRefused(self._path, reason)
        total = sum(entry.file_size for entry in wanted.values())
        if total > MAX_BYTES:
            raise SourceRefused(self._path, f"its schemas and samples have {total} bytes, over {MAX_BYTES}")

    def _content(self, entry: zipfile.ZipInfo, name: str) -> bytes:
        """No more than the size that was looked at is ever read, whatever the packed bytes hold."""
        with self._archive.open(entry) as file:
            content = file.read(entry.file_size + 1)
        if len(content) != entry.file_size:
            raise SourceRefused(self._path, f"{name!r} in it does not have the size that it says; fetch the file again")
        return content


def _nested(path: Path, archive: zipfile.ZipFile) -> tuple[str, ...]:
    inner = [name for name in archive.namelist() if name.lower().endswith(".zip")]
    return tuple(f"{path.name}: the archive {name} in it is not opened; add it by itself" for name in inner[:3])


def _decoded_name(entry: zipfile.ZipInfo) -> str:
    """The name as it was meant: macOS writes UTF-8 without saying so, Windows backslashes."""
    name = entry.orig_filename
    if not entry.flag_bits & _UTF_8_NAMES:
        # What Windows writes in Sweden, code page 850, has the same letters in the same places as 437.
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _safe_name(source: Path, name: str) -> str:
    """The path in the source, normalised; SourceRefused when it leads out of it."""
    if _CONTROL.search(name):
        raise SourceRefused(source, f"{name!r} in it has control characters in its name")
    if name.startswith("/") or _DRIVE.match(name):
        raise SourceRefused(source, f"{name!r} in it is an absolute path; pack the archive with relative ones")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise SourceRefused(source, f"{name!r} in it leads out of the archive")
    if len(parts) > MAX_DEPTH:
        raise SourceRefused(source, f"{name[:100]!r}... in it lies more than {MAX_DEPTH} folders deep")
    return unicodedata.normalize("NFC", "/".join(parts))


def _refuse_case_twins(source: Path, names: list[str]) -> None:
    """Windows and macOS would unpack only one of the two: which one was meant cannot be told."""
    seen: dict[str, str] = {}
    for name in names:
        twin = seen.setdefault(name.lower(), name)
        if twin != name:
            raise SourceRefused(source, f"{twin!r} and {name!r} in it are one file on Windows; rename one of them")


def _is_wanted(name: str) -> bool:
    *folders, file = name.lower().split("/")
    if any(part.startswith(".") or part == "__macosx" for part in (*folders, file)):
        return False
    return file.endswith(_WITH_SCHEMAS) or (
        file.endswith(".xml") and any(folder.startswith(_SAMPLES) for folder in folders)
    )


def _read_folder(folder: Path) -> Source:
    files: dict[str, bytes] = {}
    notes: list[str] = []
    total = 0
    for path, name in _walk(folder, notes):
        if not _is_wanted(name):
            continue
        try:
            status = path.lstat()
            _refuse_special_file(folder, name, status)
            total += status.st_size
            if total > MAX_BYTES:
                raise SourceRefused(folder, f"its schemas and samples have more than {MAX_BYTES} bytes")
            files[unicodedata.normalize("NFC", name)] = path.read_bytes()
        except OSError as error:
            raise SourceRefused(folder, f"{name!r} in it cannot be read: {error.strerror}") from error
    _refuse_case_twins(folder, list(files))
    return Source(folder, files, tuple(notes))


def _walk(folder: Path, notes: list[str]) -> Iterator[tuple[Path, str]]:
    """Every file below a folder and its path in it; hidden folders and links to folders are not entered."""
    entries = 0

    def refuse(error: OSError) -> None:
        raise SourceRefused(folder, f"{error.filename} cannot be read: {error.strerror}") from error

    for at, folders, names in os.walk(folder, onerror=refuse):
        entries += len(folders) + len(names)
        if entries > MAX_ENTRIES:
            raise _too_many(folder)
        for name in list(folders):
            if name.startswith(".") or Path(at, name).is_symlink():
                folders.remove(name)
                if not name.startswith("."):
                    notes.append(f"{folder.name}: {Path(at, name).relative_to(folder)} is a link and was not followed")
        folders.sort()
        for name in sorted(names):
            path = Path(at, name)
            relative = path.relative_to(folder).as_posix()
            if relative.count("/") > MAX_DEPTH:
                raise SourceRefused(folder, f"{relative[:100]!r}... in it lies more than {MAX_DEPTH} folders deep")
            yield path, relative


def _refuse_special_file(folder: Path, name: str, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise SourceRefused(folder, f"{name!r} in it is a link; put the file itself there")
    if not stat.S_ISREG(status.st_mode):
        raise SourceRefused(folder, f"{name!r} in it is no ordinary file")
    if status.st_size > MAX_FILE_BYTES:
        raise SourceRefused(folder, f"{name!r} in it has {status.st_size} bytes, over {MAX_FILE_BYTES}")


def _too_many(source: Path) -> SourceRefused:
    return SourceRefused(source, f"holds more than {MAX_ENTRIES} files: give the archive or folder of the release only")
