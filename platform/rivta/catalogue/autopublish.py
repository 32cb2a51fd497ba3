"""Every valid save of a table becomes a publication: one step, called often, from files to what routers read.

Blocking (files, database, fsync): a keeper calls it in a thread, and never two at a time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path

from rivta.catalogue import content as contents
from rivta.catalogue.compile import UncompilableTable, compile_table, read_current, switch_current
from rivta.catalogue.files import ContractsByName, read_draft
from rivta.catalogue.hsa import HsaTree, read_hsa
from rivta.catalogue.lint import Report, Surroundings, check
from rivta.catalogue.marked_yaml import yaml_files
from rivta.catalogue.publications import (
    HsaVersion,
    HsaVersions,
    Publication,
    PublicationRefused,
    Publications,
)
from rivta.catalogue.rows import Problem

SETTLE = timedelta(milliseconds=100)
"""How long the files must have stayed the same before they are read: a save is several writes."""

SETTLE_AFTER_LOSS = timedelta(seconds=2)
"""The same, when a file has vanished or become empty: some editors truncate first and write then."""

PUBLICATION_INTERVAL = timedelta(seconds=1)
"""How often the database is asked whether another node has published."""

Fingerprint = tuple[tuple[str, int, int, int], ...]
"""Path, inode, time of change and size of each file."""


class State(Enum):
    """What a step came to."""

    SWITCHED = "switched"
    """Another table is in force."""
    UNCHANGED = "unchanged"
    """The files say what is already published."""
    REFUSED = "refused"
    """The files are wrong, or may not be published; what is in force stays."""
    PAUSED = "paused"
    """The files changed, but the publication in force is a rollback: it stays until somebody publishes on purpose."""
    UNAVAILABLE = "unavailable"
    """The database or the folder of tables could not be used; tried again."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a change."""

    state: State
    message: str
    publication: Publication | None = None
    table: Path | None = None
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Folders:
    """Where an autopublisher reads and writes."""

    draft: Path
    hsa: Path | None
    tables: Path

    def files(self) -> tuple[Path, ...]:
        """The files of draft and HSA tree, as they are now."""
        found = yaml_files(self.draft) if self.draft.exists() else ()
        return found + (yaml_files(self.hsa) if self.hsa is not None and self.hsa.exists() else ())


class Autopublisher:
    """Keeps what is in force equal to the files, where `publishes`, and to the newest publication in any case.

    `report` holds the last look at the draft and `problem` why the last step failed, for readiness and `/tables/lint`.
    """

    def __init__(
        self,
        folders: Folders,
        publications: Publications,
        hsa_versions: HsaVersions,
        contracts: ContractsByName,
        *,
        variables: Mapping[str, str],
        own_variables: Iterable[str] = (),
        publishes: bool = True,
        author: str = "autopublish",
    ) -> None:
        self._folders = folders
        self._publications = publications
        self._hsa_versions = hsa_versions
        self._contracts = contracts
        self._variables = dict(variables)
        self._own_variables = tuple(own_variables)
        self._publishes = publishes
        self._author = author
        self._read: Fingerprint = ()
        self._seen: Fingerprint = ()
        self._seen_since: datetime | None = None
        self._asked: datetime | None = None
        self._retry_at: datetime | None = None
        self._in_force: tuple[int, int] | None = None
        self.report: Report | None = None
        self.hsa_problems: tuple[Problem, ...] = ()
        self.problem: str | None = None

    def start(self, now: datetime) -> Result:
        """The first step, without waiting: reads the files, and puts a table in force if there is any.

        Publishes the draft when it `publishes` or when the database has no publication at all.
        """
        self._read = self._fingerprint()
        return self._step(now, is_first=True)

    def poll(self, now: datetime) -> Result | None:
        """One step; None when there was nothing to do. Raises nothing: what goes wrong is in the result."""
        fingerprint = self._fingerprint()
        if fingerprint != self._read:
            if fingerprint != self._seen or self._seen_since is None:
                self._seen, self._seen_since = fingerprint, now
            elif now - self._seen_since >= self._settling(fingerprint):
                # If they change while they are being read, the next look finds another fingerprint than this one.
                self._read = fingerprint
                return self._step(now)
            return None
        if self._retry_at is not None and now >= self._retry_at:
            return self._step(now, is_first=self._in_force is None)
        if self._asked is None or now - self._asked >= PUBLICATION_INTERVAL:
            return self._follow(now)
        return None

    def _settling(self, fingerprint: Fingerprint) -> timedelta:
        sizes = {path: size for path, _, _, size in fingerprint}
        lost = any(size and not sizes.get(path) for path, _, _, size in self._read)
        return SETTLE_AFTER_LOSS if lost else SETTLE

    def _fingerprint(self) -> Fingerprint:
        found = []
        try:
            files = self._folders.files()
        except OSError as error:
            return ((str(error), 0, 0, 0),)
        for path in files:
            try:
                status = path.stat()
            except OSError:
                found.append((str(path), 0, 0, 0))
            else:
                found.append((str(path), status.st_ino, status.st_mtime_ns, status.st_size))
        return tuple(found)

    def _step(self, now: datetime, *, is_first: bool = False) -> Result:
        try:
            result = self._publish(now, is_first=is_first)
        except PublicationRefused as error:
            result = self._result(State.REFUSED, str(error), errors=error.problems)
        except (UncompilableTable, OSError, ValueError) as error:
            result = self._result(State.UNAVAILABLE, str(error))
        self._retry_at = now + PUBLICATION_INTERVAL if result.state is State.UNAVAILABLE else None
        self.problem = _problem(result)
        return result

    def _follow(self, now: datetime) -> Result | None:
        """Put in force what another node published, or what this one could not before."""
        self._asked = now
        try:
            if self._publications.newest_number() == (self._in_force or (0,))[0]:
                return None
            publication, version = self._publications.newest(), self._hsa_versions.newest()
            return self._put_in_force(publication, version)
        except (UncompilableTable, OSError, ValueError, LookupError) as error:
            self.problem = str(error)
            return self._result(State.UNAVAILABLE, str(error))

    def _publish(self, now: datetime, *, is_first: bool) -> Result:
        self._asked = now
        version, refusal = self._publish_tree(now)
        tree = HsaTree() if version is None else self._hsa_versions.tree(version.number)
        reading = read_draft(self._folders.draft, contracts=self._contracts, relative_to=self._folders.draft.parent)
        self.report = check(reading, Surroundings(tree, self._variables, self._own_variables), now=now)
        newest = self._publications.newest()
        if newest is not None and (newest.rollback_of is not None or not self._publishes):
            return self._hold_back(newest, version)
        if newest is None and not self._read_any_file():
            return self._result(State.UNCHANGED, f"nothing is published yet, and {self._folders.draft} has no tables")
        if not self._publishes and not is_first:
            return self._result(State.UNCHANGED, "autopublish is off")
        try:
            newest = self._publications.publish(self.report, author=self._author, comment="saved", now=now)
        except PublicationRefused:
            # What is published already still has to be in force, with the tree of today.
            if newest is not None:
                self._put_in_force(newest, version)
            raise
        result = self._put_in_force(newest, version)
        return self._result(State.REFUSED, refusal, errors=self.hsa_problems) if refusal else result

    def _read_any_file(self) -> bool:
        return any(Path(path).is_relative_to(self._folders.draft) for path, *_ in self._read)

    def _hold_back(self, newest: Publication, version: HsaVersion | None) -> Result:
        result = self._put_in_force(newest, version)
        if newest.rollback_of is None or self._same_as_draft(newest):
            return result
        message = (
            f"publication {newest.number} is a rollback to {newest.rollback_of}: "
            "changed files are not published by themselves until somebody publishes on purpose"
        )
        return self._result(State.PAUSED, message, publication=newest, table=result.table)

    def _same_as_draft(self, newest: Publication) -> bool:
        return self.report is not None and contents.digest(contents.encode(self.report.draft)) == newest.digest

    def _publish_tree(self, now: datetime) -> tuple[HsaVersion | None, str]:
        """The tree in force, and why the files' tree is not it."""
        folder = self._folders.hsa
        if folder is None or not folder.exists():
            return self._hsa_versions.newest(), ""
        tree, self.hsa_problems = read_hsa(folder, relative_to=folder.parent)
        if self.hsa_problems:
            return self._hsa_versions.newest(), "the HSA tree has errors; the one in force stays"
        try:
            return self._hsa_versions.publish(tree, now=now), ""
        except PublicationRefused as error:
            return self._hsa_versions.newest(), str(error)

    def _put_in_force(self, publication: Publication | None, version: HsaVersion | None) -> Result:
        """Compile and switch, unless exactly that is in force already."""
        if publication is None:
            return self._result(State.UNCHANGED, "nothing is published yet")
        tree = HsaTree() if version is None else self._hsa_versions.tree(version.number)
        number, hsa_version = publication.number, 0 if version is None else version.number
        table = compile_table(
            self._publications.content(number),
            hsa=tree,
            variables=self._variables,
            folder=self._folders.tables,
            publication=number,
            hsa_version=hsa_version,
        )
        self._in_force = (number, hsa_version)
        if read_current(self._folders.tables).get("file") == table.name:
            return self._result(State.UNCHANGED, f"publication {number} is in force", publication, table)
        switch_current(table, publication=number, hsa_version=hsa_version)
        return self._result(State.SWITCHED, f"publication {number} is in force", publication, table)

    def _result(
        self,
        state: State,
        message: str,
        publication: Publication | None = None,
        table: Path | None = None,
        errors: tuple[Problem, ...] = (),
    ) -> Result:
        warnings = self.report.warnings if self.report else ()
        return Result(state, message, publication, table, errors, warnings)


def _problem(result: Result) -> str | None:
    """Why a step failed, in one line that names the first mistake's file and line; None when it did not."""
    if result.state not in (State.REFUSED, State.PAUSED, State.UNAVAILABLE):
        return None
    return f"{result.message}: {result.errors[0]}" if result.errors else result.message
