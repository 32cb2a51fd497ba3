"""Every valid save of a table becomes a publication: one step, called often, from files to what routers read.

Blocking (files, database, fsync): a keeper calls it in a thread, and never two at a time.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from rivta.catalogue import content as contents
from rivta.catalogue.checks.problems import EXPIRING_DAYS, namespaces_of
from rivta.catalogue.compile import UncompilableTable, compile_table, read_current, switch_current
from rivta.catalogue.drafts import digest_of
from rivta.catalogue.exchange.saving import finish
from rivta.catalogue.files import ContractsByName, Reading, read_draft
from rivta.catalogue.hsa import HsaTree, hsa_files, read_hsa
from rivta.catalogue.lint import Report, Surroundings, check
from rivta.catalogue.marked_yaml import yaml_files
from rivta.catalogue.publications import (
    Candidate,
    Conditions,
    HsaVersion,
    HsaVersions,
    Publication,
    PublicationRefused,
    Publications,
    PublicationsUnavailable,
    candidate,
)
from rivta.catalogue.rows import Problem
from rivta.files import write_file

SETTLE = timedelta(milliseconds=100)
"""How long the files must have stayed the same before they are read: a save is several writes."""

SETTLE_AFTER_LOSS = timedelta(seconds=2)
"""The same, when a file has vanished or become empty: some editors truncate first and write then."""

PUBLICATION_INTERVAL = timedelta(milliseconds=400)
"""How often the database is asked whether another node has published: its table is in force here within a second."""

RETRY_INTERVAL = timedelta(seconds=1)
"""How long after a failure the next try is."""

STATE_FILE = "draft.json"
"""Beside the compiled tables: what this node's files were last known to be."""

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
        return found + (hsa_files(self.hsa) if self.hsa is not None and self.hsa.exists() else ())


@dataclass(frozen=True, slots=True)
class FilesState:
    """What is remembered of this node's files from one start to the next."""

    based_on: str | None = None
    """Digest of the publication that the draft said the same as, or that was made of it; None before the first."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The same for single files that were published without the rest, which is behind."""
    hsa: str | None = None
    """Digest of the HSA tree in the files when it was last made a version, or found to be one."""

    @classmethod
    def load(cls, path: Path) -> "FilesState":
        """What `path` says; nothing when it is missing or not readable."""
        try:
            found = json.loads(path.read_bytes())
            return cls(**found)
        except (OSError, ValueError, TypeError):
            return cls()


class Autopublisher:
    """Keeps what is in force equal to the files, where `publishes`, and to the newest publication in any case.

    `report` holds the last look at the draft and `problem` why the last step failed, for readiness and `/tables/lint`.
    What another node publishes comes into force here too, and then a draft that was made on what was in force before is
    not published by itself: it would undo the other's work.
    """

    def __init__(
        self,
        folders: Folders,
        publications: Publications,
        hsa_versions: HsaVersions,
        contracts: Callable[[], ContractsByName],
        *,
        variables: Mapping[str, str],
        own_variables: Iterable[str] = (),
        tls_targets: Iterable[str] | None = None,
        expiring_days: int = EXPIRING_DAYS,
        publishes: bool = True,
        author: str = "autopublish",
    ) -> None:
        """`contracts` gives those in force, another object once they have changed: then the draft is read again."""
        self._folders = folders
        self._publications = publications
        self._hsa_versions = hsa_versions
        self._contracts = contracts
        self._variables = dict(variables)
        self._own_variables = tuple(own_variables)
        self._tls_targets = None if tls_targets is None else tuple(tls_targets)
        self._expiring_days = expiring_days
        self._publishes = publishes
        self._author = author
        self._read: Fingerprint = ()
        self._read_with: ContractsByName | None = None
        self._seen: Fingerprint = ()
        self._seen_since: datetime | None = None
        self._asked: datetime | None = None
        self._retry_at: datetime | None = None
        self._in_force: tuple[int, int] | None = None
        self._state = FilesState.load(folders.tables / STATE_FILE)
        self.reading: Reading | None = None
        self.report: Report | None = None
        self.in_force: Publication | None = None
        """What is in force, as far as the database has told; None before it first did."""
        self.is_diverged = False
        """A rollback is in force that nobody has settled: the draft is not published by itself."""
        self.hsa_problems: tuple[Problem, ...] = ()
        self.hsa_refusal = ""
        """Why the tree of the files is not the one in force; empty when it is."""
        self.problem: str | None = None
        self.database_problem: str | None = None
        """Why the database does not tell what is published; None when it does."""
        self.told: datetime | None = None
        """When the database last told what is published."""

    @property
    def files_state(self) -> FilesState:
        """What the files of this node were last known to be."""
        return self._state

    @property
    def folders(self) -> Folders:
        """Where it reads and writes."""
        return self._folders

    def start(self, now: datetime) -> Result:
        """The first step, without waiting: reads the files, and puts a table in force if there is any.

        Publishes the draft when it `publishes` or when the database has no publication at all.
        """
        self._read = self._fingerprint()
        return self._step(now, is_first=True)

    def look(self, now: datetime) -> Result:
        """One step at once, also over files that have just been saved: somebody asks for it."""
        self._read = self._fingerprint()
        return self._step(now)

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
        if self._contracts() is not self._read_with:
            return self._step(now, is_first=self._in_force is None)
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
            finish([self._folders.draft])
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
            self._heard(now)
        except (UncompilableTable, OSError, ValueError) as error:
            result = self._result(State.UNAVAILABLE, str(error))
            self._note_database(error)
        else:
            self._heard(now)
        self._retry_at = now + RETRY_INTERVAL if result.state is State.UNAVAILABLE else None
        self.problem = _problem(result)
        return result

    def follow(self, now: datetime) -> Result:
        """Put in force what is newest, without a look at the files: somebody has just published it.

        Raises OSError or ValueError when that cannot be.
        """
        self._asked = now
        result = self._follow_to_newest()
        self._heard(now)
        return result

    def _follow(self, now: datetime) -> Result | None:
        """Put in force what another node published, table or tree, or what this one could not before."""
        self._asked = now
        try:
            newest = self._publications.newest_number(), self._hsa_versions.newest_number()
            is_news = newest != (self._in_force or (0, 0))
            result = self._follow_to_newest() if is_news and newest[0] else None
        except (UncompilableTable, OSError, ValueError, LookupError) as error:
            self._asked = now + RETRY_INTERVAL - PUBLICATION_INTERVAL
            self._note_database(error)
            return self._result(State.UNAVAILABLE, str(error))
        self._heard(now)
        return result

    def _follow_to_newest(self) -> Result:
        publication, version = self._publications.newest(), self._hsa_versions.newest()
        result = self._put_in_force(publication, version)
        if publication is not None:
            self.is_diverged = bool(self._publications.divergences())
            if self._same_as_draft(publication):
                self.made_of_the_draft(publication)
                self.problem = None
        return result

    def _publish(self, now: datetime, *, is_first: bool) -> Result:
        self._asked = now
        self._read_with = self._contracts()
        version, refusal = self._publish_tree(now)
        self.hsa_refusal = refusal
        self.read(version, now)
        newest = self._publications.newest()
        self.is_diverged = bool(self._publications.divergences())
        self._note_base(newest)
        if newest is not None and (self.is_diverged or not self._publishes):
            return self._hold_back(newest, version)
        if newest is None and not self._read_any_file():
            return self._result(State.UNCHANGED, f"nothing is published yet, and {self._folders.draft} has no tables")
        if not self._publishes and not is_first:
            return self._result(State.UNCHANGED, "autopublish is off")
        try:
            newest = self._publications.append(
                self.frozen(author=self._author, comment="saved"),
                Conditions(based_on=self._state.based_on or "", files_based_on=self._state.files),
                now,
            )
        except PublicationRefused:
            # What is published already still has to be in force, with the tree of today.
            if newest is not None:
                self._put_in_force(newest, version)
            raise
        self.made_of_the_draft(newest)
        result = self._put_in_force(newest, version)
        return self._result(State.REFUSED, refusal, errors=self.hsa_problems) if refusal else result

    def read(self, version: HsaVersion | None, now: datetime) -> Report:
        """Read the draft as it is now and look it through, with the tree of `version`. Raises OSError, ValueError.

        Never half an import: one that was interrupted is finished first.
        """
        finish([self._folders.draft])
        self.reading = read_draft(
            self._folders.draft, contracts=self._contracts(), relative_to=self._folders.draft.parent
        )
        self.report = check(self.reading, self.surroundings(version), now=now)
        return self.report

    def surroundings(self, version: HsaVersion | None) -> Surroundings:
        """What a draft is checked against here."""
        tree = HsaTree() if version is None else self._hsa_versions.tree(version.number)
        return Surroundings(
            tree,
            self._variables,
            self._own_variables,
            self._tls_targets,
            self._expiring_days,
            namespaces_of(self._contracts()),
        )

    def frozen(self, *, author: str, comment: str) -> Candidate:
        """The draft as it was last read, to be published. Raises PublicationRefused when it has errors."""
        assert self.report is not None
        assert self.reading is not None
        sources, texts = sources_of(self.reading)
        return candidate(self.report, author=author, comment=comment, sources=sources, texts=texts)

    def made_of_the_draft(self, publication: Publication, *, files: Iterable[str] | None = None) -> None:
        """The draft is made on that publication now; or only those `files` are, and the rest is behind."""
        if files is None:
            self._remember(based_on=publication.digest, files={})
        else:
            self._remember(files={**self._state.files, **dict.fromkeys(files, publication.digest)})

    def _note_base(self, newest: Publication | None) -> None:
        """A draft that says what is in force was made on it, or might as well have been."""
        if newest is not None and self._same_as_draft(newest):
            self.made_of_the_draft(newest)

    def _remember(self, **changes: Any) -> None:
        state = replace(self._state, **changes)
        if state != self._state:
            self._folders.tables.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(self._folders.tables / STATE_FILE, json.dumps(asdict(state)).encode(), mode=0o600)
            self._state = state

    def _heard(self, now: datetime) -> None:
        self.told, self.database_problem = now, None

    def _note_database(self, error: Exception) -> None:
        self.database_problem = str(error) if isinstance(error, PublicationsUnavailable) else None

    def _read_any_file(self) -> bool:
        return any(Path(path).is_relative_to(self._folders.draft) for path, *_ in self._read)

    def _hold_back(self, newest: Publication, version: HsaVersion | None) -> Result:
        result = self._put_in_force(newest, version)
        if not self.is_diverged or self._same_as_draft(newest):
            return result
        what = "there was a rollback" if newest.rollback_of is None else f"a rollback to {newest.rollback_of}"
        message = (
            f"publication {newest.number} is in force, {what}: changed files are not published by themselves until "
            "somebody publishes on purpose, or resets the draft"
        )
        return self._result(State.PAUSED, message, publication=newest, table=result.table)

    def _same_as_draft(self, newest: Publication) -> bool:
        """Whether the draft, as it was last read, is what `newest` froze."""
        if self.report is None or self.report.errors:
            return False
        return contents.digest(contents.encode(self.report.draft)) == newest.digest

    def _publish_tree(self, now: datetime) -> tuple[HsaVersion | None, str]:
        """The tree in force, and why the files' tree is not it."""
        folder = self._folders.hsa
        if folder is None or not folder.exists():
            return self._hsa_versions.newest(), ""
        tree, self.hsa_problems = read_hsa(folder, relative_to=folder.parent)
        if self.hsa_problems:
            return self._hsa_versions.newest(), "the HSA tree has errors; the one in force stays"
        newest = self._hsa_versions.newest()
        if newest is not None and tree.digest == self._state.hsa:
            return newest, ""  # the files are as they were: if the newest is another tree, another node has it newer
        if newest is not None and self._state.hsa is None:
            self._remember(hsa=tree.digest)
            return newest, ""  # a node that is new here: what its files came with is no change that anybody made
        try:
            version = self._hsa_versions.publish(tree, now=now)
            self._remember(hsa=tree.digest)
            return version, ""
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
        self._in_force, self.in_force = (number, hsa_version), publication
        if read_current(self._folders.tables).get("file") == table.name:
            return self._result(State.UNCHANGED, f"publication {number} is in force", publication, table)
        switch_current(table, publication=number, hsa_version=hsa_version, about=_about(publication))
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


def sources_of(reading: Reading) -> tuple[dict[str, str], dict[str, bytes]]:
    """Each file's digest by its name in the folder of the draft, and the texts by their digests."""
    texts = {digest_of(text): text for text in reading.texts.values()}
    return {Path(name).name: digest_of(text) for name, text in reading.texts.items()}, texts


def _about(publication: Publication) -> dict[str, str]:
    """What a node tells of what is in force also when the database is away."""
    return {
        "time": publication.time.isoformat(),
        "author": publication.author,
        "comment": publication.comment,
        "content": publication.digest,
    }


def _problem(result: Result) -> str | None:
    """Why a step failed, in one line that names the first mistake's file and line; None when it did not."""
    if result.state not in (State.REFUSED, State.PAUSED, State.UNAVAILABLE):
        return None
    return f"{result.message}: {result.errors[0]}" if result.errors else result.message
