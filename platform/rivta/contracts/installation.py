"""Installing releases of contracts and removing them: each is looked at whole first, then put in place in one step.

A folder of installed contracts holds releases, which never change, and a marker that says which of them count and is
written last. Whoever reads the folder finds what was there before or all that is new, also after a crash or power cut.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rivta import shipped
from rivta.contracts.candidate import Candidate, candidates
from rivta.contracts.domain import Contract
from rivta.contracts.installed import (
    MARKER,
    RELEASES,
    Contracts,
    Release,
    UnknownContract,
    Version,
    placed_by_hand,
    read_releases,
)
from rivta.contracts.sources import SourceRefused, read_source
from rivta.files import sync, write_file

_LOCK = ".lock"
_STAGING = ".staging-"
_UNUSED_SECONDS = 3600
"""How long a release stays after it was replaced, for processes that have not seen the marker yet."""


class CannotInstall(RuntimeError):
    """The folder of installed contracts cannot be used; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class InstalledVersion:
    """One version of a contract that was installed, and what came of it."""

    version: Version
    domain: str
    effect: str
    """`added`, `replaced`, or `unchanged` when the very same was there."""
    served: str
    """The version that counts now: of several installed ones the highest."""
    shipped: str | None
    """The version that comes with the program and no longer counts."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What an installation did."""

    versions: tuple[InstalledVersion, ...]
    warnings: tuple[str, ...]
    """What was left out or is not as it should be, and did not stand in the way."""


def install(
    sources: Sequence[Path],
    folder: Path,
    *,
    progress: Callable[[str], None] = lambda what: None,
    before_change: Callable[[Sequence[Contract]], None] = lambda contracts: None,
) -> Installed:
    """Installs every contract of `sources`, archives and folders of official releases, in `folder`: all or nothing.

    `progress` is told what is being looked at, `before_change` what was found to be sound and is about to be installed;
    when that raises, nothing is. Raises SourceRefused, naming the source, the file in it and what is wrong, and
    CannotInstall; then `folder` is as it was.
    """
    read = []
    for path in sources:
        progress(path.name)
        read.append(read_source(path))
    with _changing(folder) as staging:
        found: list[Candidate] = []
        warnings: list[str] = []
        for number, source in enumerate(read):
            candidate = candidates(source, staging / str(number), progress)
            found += candidate.releases
            warnings += candidate.warnings
        before = read_releases(folder)
        before_change([contract for one in found for contract in one.contracts])
        placed = [_put_in_place(one, folder) for one in found]
        after = _merged(before, placed)
        warnings += _twice(found, placed)
        effects = tuple(_effects(found, placed, before, after, folder))
        _write_marker(folder, after)
        _touch_unused(before, after)
    return Installed(effects, tuple(warnings))


def remove(contract: str, folder: Path) -> tuple[Version, ...]:
    """Removes every installed version of a contract: `GetDiagnosis`, `GetDiagnosis:2` or its namespace.

    What comes with the program counts again. Raises UnknownContract, also when it was not installed but comes along or
    was put there by hand, and CannotInstall.
    """
    if not (folder / MARKER).exists():
        return _meant(contract, [], folder)
    with _changing(folder):
        before = read_releases(folder)
        gone = _meant(contract, [version for release in before for version in release.versions], folder)
        after = _without(before, set(gone))
        _write_marker(folder, after)
        _touch_unused(before, after)
    return gone


@contextlib.contextmanager
def opened(source: Path) -> Iterator[tuple[Contract, ...]]:
    """The contracts of a source that is only looked at, every version; their files are gone afterwards.

    Raises SourceRefused and CannotInstall as `install` does.
    """
    read = read_source(source)
    with tempfile.TemporaryDirectory(prefix="rivta-") as staging:
        found = candidates(read, Path(staging), lambda what: None, with_samples=False)
        yield tuple(contract for release in found.releases for contract in release.contracts)


@contextlib.contextmanager
def _changing(folder: Path) -> Iterator[Path]:
    """Nobody else changes the folder meanwhile; gives an empty folder to work in, which is gone afterwards."""
    try:
        (folder / RELEASES).mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # waits for another installation; free again when its process ends
            _sweep(folder)
            staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=folder))
            try:
                yield staging
            finally:
                shutil.rmtree(staging, ignore_errors=True)
        finally:
            os.close(lock)
    except OSError as error:
        where = error.filename or folder
        raise CannotInstall(f"{where}: {error.strerror or error}; nothing was changed") from error


def _sweep(folder: Path) -> None:
    """Takes away what crashed installations left, and releases that have not counted for a while."""
    for left in folder.glob(f"{_STAGING}*"):
        shutil.rmtree(left, ignore_errors=True)
    counting = {release.folder for release in read_releases(folder)}
    for release in (folder / RELEASES).iterdir():
        if release not in counting and time.time() - release.stat().st_mtime > _UNUSED_SECONDS:
            # Renamed first: a release that is half taken away must not be taken for a whole one.
            gone = folder / f"{_STAGING}{release.name}"
            release.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)


def _put_in_place(candidate: Candidate, folder: Path) -> Release:
    """Moves a release, whole and on the disk, to where it stays; it does not count yet."""
    files = _files(candidate.folder)
    digest = _digest(candidate.folder, files)
    name = f"{re.sub(r'[^A-Za-z0-9.-]', '_', candidate.domain.replace(':', '.'))}-{digest}"
    versions = tuple(Version.of(contract) for contract in candidate.contracts)
    for number in range(1, 100):
        target = folder / RELEASES / (name if number == 1 else f"{name}-{number}")
        if not target.exists():
            for file in files:
                sync(file)
            for below in (*(path for path in candidate.folder.rglob("*") if path.is_dir()), candidate.folder):
                sync(below)
            candidate.folder.rename(target)
            sync(target.parent)
            return Release(target, candidate.source, versions)
        if _digest(target, _files(target)) == digest:
            return Release(target, candidate.source, versions)
        # Somebody has changed what lies there, and it may be in use: it is replaced, not repaired.
    raise CannotInstall(f"{folder / RELEASES}: {name} is there a hundred times, each time changed: remove them")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _digest(folder: Path, files: list[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        total.update(f"{file.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()[:12]


def _merged(before: Sequence[Release], placed: Sequence[Release]) -> tuple[Release, ...]:
    """The releases in the order they were installed; each version of a contract is taken from the last that has it."""
    after: tuple[Release, ...] = tuple(before)
    for release in placed:
        after = (*_without(after, set(release.versions)), release)
    return after


def _twice(found: Sequence[Candidate], placed: Sequence[Release]) -> Iterator[str]:
    """A version that comes more than once, in different words: which one counts is said."""
    first: dict[Version, int] = {}
    for number, release in enumerate(placed):
        for version in release.versions:
            earlier = first.setdefault(version, number)
            if placed[earlier].folder != release.folder:
                was, now = (f"{one.place} of {one.source}" for one in (found[earlier], found[number]))
                yield f"{version} comes twice, from {was} and from {now}: the latter counts"
                first[version] = number


def _without(releases: Sequence[Release], gone: set[Version]) -> tuple[Release, ...]:
    kept = [replace(one, versions=tuple(it for it in one.versions if it not in gone)) for one in releases]
    return tuple(release for release in kept if release.versions)


def _effects(
    found: Sequence[Candidate],
    placed: Sequence[Release],
    before: Sequence[Release],
    after: Sequence[Release],
    folder: Path,
) -> Iterator[InstalledVersion]:
    coming_along = Contracts.load(shipped.folder("contracts") / "xsd")
    was = {version: release.folder for release in before for version in release.versions}
    by_hand = [version for _, version in placed_by_hand(folder)]
    now = {version: release.folder for release in after for version in release.versions}
    domains = {Version.of(contract): contract.domain for one in found for contract in one.contracts}
    for version in dict.fromkeys(version for release in placed for version in release.versions):
        effect = "added" if version not in was else "unchanged" if was[version] == now[version] else "replaced"
        rivals = [one.version for one in (*now, *by_hand) if one.namespace == version.namespace]
        own = coming_along.get(version.namespace)
        yield InstalledVersion(
            version=version,
            domain=domains[version],
            effect=effect,
            served=max(rivals, key=_by_number),
            shipped=Version.of(own).version if own is not None else None,
        )


def _by_number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _meant(text: str, versions: Sequence[Version], folder: Path) -> tuple[Version, ...]:
    meant = tuple(
        version
        for version in versions
        if text in (version.namespace, version.name, f"{version.name}:{version.version.partition('.')[0]}")
    )
    namespaces = sorted({version.namespace for version in meant})
    if len(namespaces) > 1:
        raise UnknownContract(f"contract {text!r} is ambiguous: say one of {', '.join(namespaces)}")
    if meant:
        return meant
    by_hand = [path for path, version in placed_by_hand(folder) if text in (version.namespace, version.name)]
    if by_hand:
        raise UnknownContract(f"contract {text!r} was put into {by_hand[0]} by hand: remove that folder")
    contract = Contracts.load(shipped.folder("contracts") / "xsd").find(text)
    raise UnknownContract(f"contract {contract.short_name} comes with rivta and cannot be removed")


def _write_marker(folder: Path, releases: Sequence[Release]) -> None:
    content = {
        "releases": [
            {
                "folder": release.folder.name,
                "source": release.source,
                "contracts": [
                    {"namespace": one.namespace, "name": one.name, "version": one.version} for one in release.versions
                ],
            }
            for release in releases
        ]
    }
    write_file(folder / MARKER, json.dumps(content, ensure_ascii=False, indent=2).encode() + b"\n")


def _touch_unused(before: Sequence[Release], after: Sequence[Release]) -> None:
    """From now on it is counted how long they were not in use."""
    for release in {one.folder for one in before} - {one.folder for one in after}:
        with contextlib.suppress(OSError):
            os.utime(release)


__all__ = ["CannotInstall", "Installed", "InstalledVersion", "SourceRefused", "install", "opened", "remove"]
