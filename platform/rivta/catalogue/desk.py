"""What people do with the tables of a platform on purpose: publish, propose, approve, schedule, roll back, reset.

Blocking (files, database, fsync), and like the autopublisher beside it for one caller at a time.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from rivta.catalogue import content as contents
from rivta.catalogue.autopublish import Autopublisher, sources_of
from rivta.catalogue.database import ATTEMPTS, PublicationsUnavailable
from rivta.catalogue.drafts import Change, DraftFolder, FilesChange, check_name, digest_of
from rivta.catalogue.examining import Examined, examine
from rivta.catalogue.exchange.ledger import LEDGER, Loaded, ledger_with, loaded_from, refuse_older
from rivta.catalogue.files import ContractsByName, Reading, read_draft
from rivta.catalogue.lint import check, lint
from rivta.catalogue.parts import file_names, joined, of_other_files
from rivta.catalogue.proposals import AlreadyDecided, Proposal, Proposals, ProposalState
from rivta.catalogue.publications import (
    BaseChanged,
    Candidate,
    Conditions,
    HsaVersions,
    Publication,
    PublicationRefused,
    Publications,
    candidate,
)
from rivta.catalogue.rows import SWEDISH_TIME, Draft, Problem
from rivta.catalogue.trail import Action, AuditTrail, event
from rivta.catalogue.written import as_files
from rivta.files import write_file

DUE_INTERVAL = timedelta(milliseconds=500)
"""How often it is looked whether a proposal's time has come."""

_RESET_FILE = "reset.json"
"""Beside the compiled tables, while the draft is being reset: a keeper that finds it does the rest."""

KEEPER = "keeper"
"""Who decides when nobody does: the time has come."""


class SamePerson(PublicationRefused):
    """Nobody approves a proposal of their own."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A draft that somebody wants to publish."""

    author: str
    comment: str
    files: tuple[str, ...] | None = None
    """Names of the files of the draft to take, the rest being as in force; None is the whole draft."""
    at: datetime | None = None
    """When it is to come into force; None is at once."""
    based_on: str | None = None
    """Digest of the publication that the author knows to be in force; None is: the draft's own base, as remembered."""
    confirmed: str = ""
    allow_empty: bool = False


@dataclass(frozen=True, slots=True)
class Imported:
    """A publication of another platform, out of a signed file, that a change of the draft takes over."""

    platform: str
    """Its HSA-id."""
    loaded: Loaded


Outcome = Publication | Proposal


class Desk:
    """The desk of one node. `four_eyes`: nothing is published that not a second person has approved."""

    def __init__(
        self,
        autopublisher: Autopublisher,
        publications: Publications,
        hsa_versions: HsaVersions,
        proposals: Proposals,
        trail: AuditTrail,
        contracts: Callable[[], ContractsByName],
        *,
        four_eyes: bool = False,
        approval_time: timedelta = timedelta(days=7),
    ) -> None:
        self._autopublisher = autopublisher
        self._publications = publications
        self._hsa_versions = hsa_versions
        self.proposals = proposals
        self.trail = trail
        self._contracts = contracts
        self.four_eyes = four_eyes
        self._approval_time = approval_time
        self._asked: datetime | None = None
        folders = autopublisher.folders
        self.files = DraftFolder(folders.draft)
        self._reset_file = folders.tables / _RESET_FILE

    def publish(self, wish: Wish, now: datetime) -> Outcome:
        """Publish the draft as its files are now, or propose it. Raises PublicationRefused, PublicationsUnavailable."""
        if wish.at is not None and wish.at <= now:
            when = wish.at.astimezone(SWEDISH_TIME)
            raise PublicationRefused(
                f"{when:%Y-%m-%d %H:%M} Swedish time has passed: leave the time out to publish now"
            )
        for _ in range(ATTEMPTS):
            newest = self._publications.newest()
            wanted = replace(self._wanted(wish, newest, now), scheduled_for=wish.at)
            try:
                return self._publish_or_propose(wanted, self._conditions(wish), newest, now)
            except BaseChanged as error:
                if wish.files is None or newest is None or error.newest.number == newest.number:
                    raise
                # Somebody published just now; the rest is to be as that is.
        raise PublicationsUnavailable("others keep publishing at the same time; try again")

    def rollback(self, number: int, *, author: str, comment: str, based_on: str | None, now: datetime) -> Outcome:
        """Publish an older publication again, or propose that. Raises LookupError, PublicationRefused."""
        wanted = self._publications.candidate_of(number, author=author, comment=comment)
        newest = self._publications.newest()
        if newest is not None and newest.number == number:
            raise PublicationRefused(f"publication {number} is in force: there is nothing to go back from")
        return self._publish_or_propose(
            wanted, Conditions(based_on=based_on, is_strict=True, allow_empty=True), newest, now
        )

    def approve(self, id: int, *, approver: str, now: datetime) -> Outcome:
        """Let a proposal become a publication, or wait for its time.

        Raises SamePerson, LookupError, and PublicationRefused: then it stays refused when it no longer fits.
        """
        proposal = self.proposals.get(id)
        if proposal.state is not ProposalState.PROPOSED:
            raise AlreadyDecided(f"proposal {id} is {proposal.state.value}: there is nothing to approve")
        if proposal.author == approver:
            raise SamePerson(f"proposal {id} is {approver}'s own: somebody else has to approve it")
        if proposal.expires is not None and proposal.expires <= now:
            self.proposals.end(proposal, ProposalState.EXPIRED, actor=KEEPER, now=now)
            raise AlreadyDecided(f"proposal {id} has expired: propose it again")
        if proposal.scheduled_for is not None and proposal.scheduled_for > now:
            return self.proposals.schedule(proposal, approver=approver, now=now)
        return self._publish_proposal(replace(proposal, approver=approver), actor=approver, now=now)

    def withdraw(self, id: int, *, actor: str, now: datetime) -> Proposal:
        """Nothing becomes of a proposal, or what came of it has been seen. Raises LookupError, AlreadyDecided."""
        proposal = self.proposals.get(id)
        if proposal.state not in (ProposalState.PROPOSED, ProposalState.SCHEDULED, ProposalState.REFUSED):
            raise AlreadyDecided(f"proposal {id} is {proposal.state.value}: there is nothing to withdraw")
        return self.proposals.end(proposal, ProposalState.WITHDRAWN, actor=actor, now=now)

    def apply_due(self, now: datetime) -> tuple[Outcome, ...]:
        """Publish what was scheduled for now or before, and let lapse what nobody approved; cheap when there is none.

        Raises PublicationsUnavailable: tried again the next time.
        """
        if self._asked is not None and now - self._asked < DUE_INTERVAL:
            return ()
        self._asked = now
        return tuple(outcome for proposal in self.proposals.due(now) if (outcome := self._apply(proposal, now)))

    def reset(self, number: int, *, author: str, now: datetime) -> Path:
        """Make the files of the draft those that publication `number` was made of.

        What they were is kept in the folder that is returned. Raises LookupError, OSError, ValueError.
        """
        self._publications.get(number)
        self._reset_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        order = {"publication": number, "author": author, "time": now.isoformat()}
        write_file(self._reset_file, json.dumps(order).encode(), mode=0o600)
        return self._reset(number, author, now)

    def finish_reset(self) -> None:
        """Do the rest of a reset that ended in the middle; to be called before the draft is read the first time."""
        try:
            order = json.loads(self._reset_file.read_bytes())
        except FileNotFoundError:
            return
        self._reset(order["publication"], order["author"], datetime.fromisoformat(order["time"]))

    def examine(self, change: FilesChange, before: Mapping[str, bytes], now: datetime) -> Examined:
        """What a change of files does to a draft of the texts `before`. Raises BadName, OSError.

        Nobody else has to wait meanwhile: nothing is touched, and the tree is read from the database.
        """
        for name in change.texts:
            check_name(name)
        folder = self.files.folder
        surroundings = self._autopublisher.surroundings(self._hsa_versions.newest())
        return examine(folder.name, before, change.texts, surroundings, contracts=self._contracts(), now=now)

    def write(
        self,
        change: FilesChange,
        *,
        author: str,
        reason: str,
        now: datetime,
        imported: Imported | None = None,
        others: Collection[Change] = (),
    ) -> str:
        """Write a change of files, together with `others`' or not at all; the digest of the whole draft after it.

        Raises DraftChanged, PublicationFileRefused, PublicationsUnavailable, BadName or OSError: nothing is written.
        """
        before = self.files.texts()
        beside = {} if imported is None else self._ledger(imported, now)
        lines = [
            event(now, author, Action.FILE_WRITTEN, name, f"{reason}; {_was(before.get(name))} -> {digest_of(text)}")
            for name, text in change.texts.items()
        ]
        if imported is not None:
            what = f"{reason}; publication {imported.loaded.number} of {imported.platform}"
            lines.append(event(now, author, Action.FILE_WRITTEN, LEDGER, what))
        with self.trail.noting(lines):
            return self.files.change(change, beside=beside, others=others)

    def _ledger(self, imported: Imported, now: datetime) -> Mapping[Path, bytes]:
        folder = self.files.folder
        if (loaded := loaded_from(folder, imported.platform)) is not None:
            refuse_older(imported.loaded, loaded)
        return {folder / LEDGER: ledger_with(folder, imported.platform, imported.loaded, now)}

    def check_file(self, name: str, text: bytes, folder: Path) -> tuple[Problem, ...]:
        """What is wrong in how `text` is written as the file `name` of the draft; `folder` is empty, to work in.

        Raises BadName.
        """
        check_name(name)
        draft = self._autopublisher.folders.draft.name
        (folder / draft).mkdir()
        (folder / draft / name).write_bytes(text)
        return read_draft(folder / draft / name, contracts=self._contracts(), relative_to=folder).problems

    def _conditions(self, wish: Wish) -> Conditions:
        known = self._autopublisher.files_state
        based_on = known.based_on or "" if wish.based_on is None else wish.based_on
        return Conditions(
            based_on=based_on,
            files_based_on=known.files,
            is_strict=wish.based_on is not None,
            confirmed=wish.confirmed,
            allow_empty=wish.allow_empty,
        )

    def _wanted(self, wish: Wish, newest: Publication | None, now: datetime) -> Candidate:
        version = self._hsa_versions.newest()
        self._autopublisher.read(version, now)
        if wish.files is None:
            return self._autopublisher.frozen(author=wish.author, comment=wish.comment)
        reading = self._autopublisher.reading
        assert reading is not None
        before = Draft() if newest is None else contents.decode(self._publications.content(newest.number))
        taken = self._taken(wish.files, reading, before)
        part = self._only(taken)
        names = {Path(name).name for name in taken}
        merged = merge(part, before, names)
        report = check(merged, self._autopublisher.surroundings(version), now=now)
        sources, texts = sources_of(part)
        kept = None if newest is None else self._publications.sources(newest.number)
        rest = {name: digest for name, digest in (kept or {}).items() if name not in names}
        return candidate(
            report,
            author=wish.author,
            comment=wish.comment,
            files=tuple(sorted(names)),
            sources=None if kept is None and newest is not None else rest | sources,
            texts=texts,
        )

    def _taken(self, wanted: Iterable[str], reading: Reading, before: Draft) -> tuple[str, ...]:
        """The names of the files meant, as rows tell them: `national/stockholm.yaml` for that or `stockholm.yaml`."""
        folder = self._autopublisher.folders.draft.name
        known = set(reading.texts) | {f"{folder}/{name}" for name in file_names(before)}
        taken: list[str] = []
        missing: list[str] = []
        for name in dict.fromkeys(wanted):
            full = f"{folder}/{Path(name).name}"
            (taken if full in known else missing).append(full)
        if missing:
            names = ", ".join(sorted(Path(name).name for name in known))
            raise PublicationRefused(f"{', '.join(missing)}: no such file in the draft, which has {names}")
        if not taken:
            raise PublicationRefused("no file was named: name those to publish, or leave the choice out for all")
        return tuple(taken)

    def _only(self, taken: Collection[str]) -> Reading:
        """What those files of the draft say; one that is gone says nothing."""
        draft = self._autopublisher.folders.draft
        paths = [path for name in taken if (path := draft.parent / name).exists()]
        return read_draft(*paths, contracts=self._contracts(), relative_to=draft.parent)

    def _publish_or_propose(
        self, wanted: Candidate, conditions: Conditions, newest: Publication | None, now: datetime
    ) -> Outcome:
        if not self.four_eyes and (wanted.scheduled_for is None or wanted.scheduled_for <= now):
            made = self._publications.append(wanted, conditions, now)
            if wanted.rollback_of is None:
                is_behind = newest is not None and conditions.based_on != newest.digest
                self._autopublisher.made_of_the_draft(made, files=wanted.files if is_behind else None)
            return made
        if newest is not None and newest.digest == wanted.digest:
            return newest  # there is nothing to wait for
        # Said now rather than when its time has come, or to whoever is asked to approve it.
        self._publications.examine(wanted, conditions, newest)
        expires = now + self._approval_time if self.four_eyes else None
        based_on = 0 if newest is None else newest.number
        return self.proposals.add(wanted, based_on=based_on, conditions=conditions, now=now, expires=expires)

    def _apply(self, proposal: Proposal, now: datetime) -> Outcome | None:
        try:
            if proposal.state is ProposalState.PROPOSED:
                return self.proposals.end(proposal, ProposalState.EXPIRED, actor=KEEPER, now=now)
            return self._publish_proposal(proposal, actor=KEEPER, now=now)
        except AlreadyDecided:
            return None  # another node was quicker
        except PublicationRefused:
            return self.proposals.get(proposal.id)

    def _publish_proposal(self, proposal: Proposal, *, actor: str, now: datetime) -> Publication:
        """Raises AlreadyDecided; another PublicationRefused after the proposal was marked as refused."""
        try:
            wanted, conditions = self.proposals.frozen(proposal)
            base = None if proposal.based_on == 0 else self._publications.get(proposal.based_on)
            conditions = replace(conditions, based_on="" if base is None else base.digest)
            self._lint_again(wanted, now)
            return self._publications.append(
                wanted,
                conditions,
                now,
                also=lambda connection, made: self.proposals.publish_in(
                    connection, proposal, made, actor=actor, now=now
                ),
            )
        except AlreadyDecided:
            raise
        except (PublicationRefused, LookupError, ValueError) as error:
            if isinstance(error, PublicationsUnavailable):
                raise
            problems = getattr(error, "problems", ())
            reason = f"{error}{'' if not problems else f': {problems[0]}'}"
            self.proposals.end(proposal, ProposalState.REFUSED, actor=actor, now=now, reason=reason)
            raise error if isinstance(error, PublicationRefused) else PublicationRefused(reason) from error

    def _lint_again(self, wanted: Candidate, now: datetime) -> None:
        """What was right when it was frozen may be wrong today: a variable is gone, a unit of the HSA tree."""
        if wanted.rollback_of is not None:
            return  # it was in force once, and has to be possible whatever the rules of today are
        surroundings = self._autopublisher.surroundings(self._hsa_versions.newest())
        errors, _ = lint(contents.decode(wanted.content), surroundings, now=now)
        if errors:
            raise PublicationRefused(f"it has {len(errors)} errors by now", tuple(errors))

    def _reset(self, number: int, author: str, now: datetime) -> Path:
        kept_in = self._reset_file.parent / "drafts-before-reset" / f"{now:%Y%m%dT%H%M%S%f}"
        self.files.replace(self._texts(number), kept_in=kept_in)
        newest = self._publications.newest()
        assert newest is not None
        self._publications.settle(number, upto=newest.number, author=author, now=now)
        self._autopublisher.made_of_the_draft(newest)
        self._reset_file.unlink(missing_ok=True)
        return kept_in

    def _texts(self, number: int) -> dict[str, bytes]:
        sources = self._publications.sources(number)
        if sources is None:
            return as_files(contents.decode(self._publications.content(number)))
        return {name: self._publications.text(digest) for name, digest in sources.items()}


def _was(text: bytes | None) -> str:
    return "new" if text is None else digest_of(text)


def merge(part: Reading, before: Draft, taken: Collection[str]) -> Reading:
    """The files named `taken`, as `part` of a draft says them, and everything of `before` that is from other files."""
    rest = of_other_files(before, taken)
    problems = part.problems
    resolution = part.draft.resolution
    if rest.resolution is not None and resolution is not None and resolution.place is not None:
        first = rest.resolution.place
        message = f"resolution stands here a second time, first at {first}; keep one, or publish both files"
        place = resolution.place
        problems = (*problems, Problem(place.file, place.line, "several-resolutions", message))
    return replace(part, draft=joined(part.draft, rest), problems=problems)
