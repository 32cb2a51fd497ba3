"""Publications: what was in force when, by whom and why; and versions of the HSA tree.

Numbered, append-only, in the database. One transaction makes a publication with all that goes with it: the texts it was
made of, the line in the audit trail, the draft that a rollback leaves behind.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Update, func, insert, select, update

from rivta.catalogue import content as contents
from rivta.catalogue.database import ATTEMPTS, NumberTaken, numbering, reading, translated
from rivta.catalogue.database import PublicationsUnavailable as PublicationsUnavailable
from rivta.catalogue.differences import Change, Difference, Key, Section, differences, differences_json
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.lint import Report
from rivta.catalogue.parts import joined, of_files, of_other_files
from rivta.catalogue.rows import Draft, Problem
from rivta.catalogue.trail import Action, event
from rivta.store import schema
from rivta.store.engine import writing

Sign = Callable[[bytes], bytes]
"""The signature of `signed_digest`."""

Also = Callable[[Connection, "Publication"], None]
"""What else a transaction does that makes a publication. Raises PublicationRefused to undo it all."""

_LARGEST_SHRINK = 0.2
"""A new tree that lost more than this part of its units is more likely to be half a file."""

_CONFIRMATION_LENGTH = 16
"""Hexadecimal digits: nobody guesses 64 bits, and one can still copy them."""


class PublicationRefused(ValueError):
    """Nothing was published; the message says why, `problems` all that is wrong in the draft."""

    def __init__(self, reason: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(reason)
        self.problems = problems


class BaseChanged(PublicationRefused):
    """What was in force when the draft was made no longer is; `changed` is what somebody else has changed since."""

    def __init__(self, reason: str, newest: "Publication", changed: tuple[Difference, ...]) -> None:
        super().__init__(reason)
        self.newest = newest
        self.changed = changed


class ConfirmationNeeded(PublicationRefused):
    """What a rollback took away would come back; `confirmation` is to be sent by whoever wants exactly that."""

    def __init__(self, reason: str, back: tuple[Difference, ...], confirmation: str) -> None:
        super().__init__(reason)
        self.back = back
        self.confirmation = confirmation


@dataclass(frozen=True, slots=True)
class Publication:
    """One publication, without its content."""

    number: int
    time: datetime
    author: str
    comment: str
    digest: str
    """SHA-256 of the canonical JSON, hexadecimal."""
    routes: int
    permissions: int
    rollback_of: int | None = None
    """The publication whose content was published again."""
    signature: bytes | None = None
    approver: str | None = None
    """Who approved it, where two must agree."""
    scheduled_for: datetime | None = None
    """When it was to come into force, if that was said beforehand."""
    files: tuple[str, ...] | None = None
    """The files of the draft that it took, the rest being as before; None is all of them."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A whole table that is to become a publication."""

    author: str
    comment: str
    content: bytes
    """Canonical JSON."""
    digest: str
    """SHA-256 of it, hexadecimal."""
    routes: int
    permissions: int
    files: tuple[str, ...] | None = None
    sources: Mapping[str, str] | None = None
    """File of the draft to the SHA-256 of its text; None when not known."""
    texts: Mapping[str, bytes] | None = None
    """Texts by their SHA-256, as far as they may be new."""
    rollback_of: int | None = None
    approver: str | None = None
    scheduled_for: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """There is nothing to route by."""
        return not self.routes and not self.permissions


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must hold when a candidate becomes a publication."""

    based_on: str | None = None
    """Digest of the publication that its author knew, empty for none; None when that does not matter."""
    files_based_on: Mapping[str, str] = field(default_factory=dict)
    """The same for single files, by name, of which the author knew another publication."""
    is_strict: bool = False
    """Nothing may have been published since then; else it may, if the candidate has all of it too."""
    confirmed: str = ""
    """The confirmation of what comes back after a rollback."""
    allow_empty: bool = False


@dataclass(frozen=True, slots=True)
class Divergence:
    """A rollback after which the draft says something else than what is in force, until that is settled."""

    publication: int
    undone: int
    """The publication that it replaced."""


@dataclass(frozen=True, slots=True)
class HsaVersion:
    """One version of the HSA tree, without its content."""

    number: int
    time: datetime
    digest: str
    units: int


# Without the content, which takes megabytes for a large table.
_PUBLICATION = [column for column in schema.publications.c if column.name not in ("content", "sources")]
_HSA_VERSION = [column for column in schema.hsa_versions.c if column.name != "content"]


class Publications:
    """The publications of one platform. Several processes may publish at once: numbers are never given twice."""

    def __init__(self, engine: Engine, sign: Sign | None = None) -> None:
        self._engine = engine
        self._sign = sign

    def publish(
        self, report: Report, *, author: str, comment: str, now: datetime, allow_empty: bool = False
    ) -> Publication:
        """Freeze a draft. The newest publication is returned, and nothing made, when it has the same content already.

        Raises PublicationRefused when the draft has errors, or is empty and would replace one that is not (unless
        `allow_empty`), or would bring back what a rollback took away, and PublicationsUnavailable.
        """
        return self.append(candidate(report, author=author, comment=comment), Conditions(allow_empty=allow_empty), now)

    def append(self, wanted: Candidate, conditions: Conditions, now: datetime, also: Also | None = None) -> Publication:
        """Make `wanted` the newest publication, if it is not that already, and do `also` in the same transaction.

        Raises BaseChanged, ConfirmationNeeded or another PublicationRefused, having changed nothing;
        PublicationsUnavailable.
        """
        for _ in range(ATTEMPTS):
            newest = self.newest()
            self.examine(wanted, conditions, newest)
            try:
                if newest is not None and newest.digest == wanted.digest and wanted.rollback_of is None:
                    return self._keep(newest, wanted, now, also)
                return self._append(wanted, newest, now, also)
            except NumberTaken:
                continue
        raise PublicationsUnavailable("others keep publishing at the same time; try again")

    def examine(self, wanted: Candidate, conditions: Conditions, newest: Publication | None) -> None:
        """Whether `wanted` may follow `newest`. Raises PublicationRefused."""
        if conditions.based_on is not None and newest is not None and newest.digest != conditions.based_on:
            self._refuse_other_base(wanted, conditions, conditions.based_on, newest)
        if wanted.is_empty and not conditions.allow_empty:
            _refuse_empty(newest)
        if newest is not None and wanted.rollback_of is None:
            self._refuse_unconfirmed(wanted, conditions.confirmed, newest)

    def rollback(
        self,
        number: int,
        *,
        author: str,
        comment: str,
        now: datetime,
        conditions: Conditions = Conditions(allow_empty=True),
    ) -> Publication:
        """Publish the content of publication `number` once more. Raises LookupError when there is none such."""
        return self.append(self.candidate_of(number, author=author, comment=comment), conditions, now)

    def candidate_of(self, number: int, *, author: str, comment: str) -> Candidate:
        """Publication `number` as it would be published again. Raises LookupError when there is none such."""
        old = self.get(number)
        return Candidate(
            author=author,
            comment=comment,
            content=self.content(number),
            digest=old.digest,
            routes=old.routes,
            permissions=old.permissions,
            sources=self.sources(number),
            rollback_of=number,
        )

    def newest(self) -> Publication | None:
        """The publication in force; None before the first."""
        query = select(*_PUBLICATION).order_by(schema.publications.c.number.desc()).limit(1)
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else _publication(row)

    def newest_number(self) -> int:
        """Number of the publication in force, 0 before the first: cheap enough to ask every second."""
        with reading(self._engine) as connection:
            return connection.scalar(select(func.max(schema.publications.c.number))) or 0

    def get(self, number: int) -> Publication:
        """Publication `number`; LookupError if there is none."""
        query = select(*_PUBLICATION).where(schema.publications.c.number == number)
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise LookupError(f"there is no publication {number}")
        return _publication(row)

    def content(self, number: int) -> bytes:
        """What publication `number` froze, as canonical JSON. Raises LookupError; ValueError when it is damaged."""
        query = select(schema.publications.c.content, schema.publications.c.digest).where(
            schema.publications.c.number == number
        )
        with reading(self._engine) as connection:
            row = connection.execute(query).first()
        if row is None:
            raise LookupError(f"there is no publication {number}")
        return _checked(contents.decompress(row.content), row.digest, f"publication {number}")

    def sources(self, number: int) -> Mapping[str, str] | None:
        """The files that publication `number` was made of, each with the SHA-256 of its text; None when not known."""
        query = select(schema.publications.c.sources).where(schema.publications.c.number == number)
        with reading(self._engine) as connection:
            text = connection.scalar(query)
        return None if text is None else dict(json.loads(text))

    def text(self, digest: str) -> bytes:
        """The text of a file of a draft. Raises LookupError; ValueError when it is damaged."""
        query = select(schema.draft_texts.c.content).where(schema.draft_texts.c.digest == digest)
        with reading(self._engine) as connection:
            stored = connection.scalar(query)
        if stored is None:
            raise LookupError(f"no text of a draft has the digest {digest}")
        return _checked(contents.decompress(stored), digest, f"text {digest}")

    def history(self, limit: int = 100) -> tuple[Publication, ...]:
        """The newest publications, newest first."""
        query = select(*_PUBLICATION).order_by(schema.publications.c.number.desc()).limit(limit)
        with reading(self._engine) as connection:
            return tuple(_publication(row) for row in connection.execute(query).mappings())

    def divergences(self) -> tuple[Divergence, ...]:
        """The rollbacks that are not settled, oldest first: while there are any, the draft is not published by itself.

        A publication of the whole draft settles them, and so does resetting the draft.
        """
        table = schema.divergences.c
        query = select(table.publication, table.undone).where(table.settled.is_(None)).order_by(table.publication)
        with reading(self._engine) as connection:
            return tuple(Divergence(row.publication, row.undone) for row in connection.execute(query))

    def settle(self, number: int, *, upto: int, author: str, now: datetime) -> None:
        """The draft was reset to publication `number`, while `upto` was in force: nothing diverges any more."""
        with translated(), writing(self._engine) as connection:
            connection.execute(_settled(author, now, upto=upto))
            connection.execute(event(now, author, Action.DRAFT_RESET, f"publication {number}"))

    def brought_back(self, wanted: bytes, newest: Publication) -> tuple[Difference, ...]:
        """What rollbacks took away and publishing the content `wanted` would bring back."""
        open_ones = self.divergences()
        if not open_ones:
            return ()
        undone = [contents.decode(self.content(one.undone)) for one in open_ones]
        return brought_back(contents.decode(wanted), contents.decode(self.content(newest.number)), undone)

    def _refuse_other_base(self, wanted: Candidate, conditions: Conditions, based_on: str, newest: Publication) -> None:
        number, before = self._with_digest(based_on)
        now = contents.decode(self.content(newest.number))
        if not conditions.is_strict:
            for name, digest in conditions.files_based_on.items():
                before = joined(of_files(self._with_digest(digest)[1], (name,)), of_other_files(before, (name,)))
        changed = differences(before, now)
        if not conditions.is_strict:
            others = {one.same_row for one in differences(now, contents.decode(wanted.content))}
            rolled_back = self._rolled_back(now)
            changed = tuple(one for one in changed if one.same_row in others - rolled_back)
        if not changed:
            return  # what was published since is there too, or said nothing else
        name = "nothing that is known" if number is None else f"publication {number}"
        raise BaseChanged(
            f"the draft was made on {name}, but {newest.author} has published {newest.number} ({newest.comment}), and "
            f"{_count(len(changed), 'change')} would be lost: bring them into the files and publish with "
            f"--based-on {newest.number}, or reset the draft",
            newest,
            changed,
        )

    def _with_digest(self, digest: str) -> tuple[int | None, Draft]:
        """Number and content of the newest publication with that digest; of none, nothing."""
        table = schema.publications.c
        query = select(table.number).where(table.digest == digest).order_by(table.number.desc())
        with reading(self._engine) as connection:
            number = connection.scalar(query)
        return number, Draft() if number is None else contents.decode(self.content(number))

    def _rolled_back(self, now: Draft) -> set[tuple[Section, Key]]:
        """The rows that open rollbacks have changed: they are not another's work to lose, but to be confirmed."""
        undone = (contents.decode(self.content(one.undone)) for one in self.divergences())
        return {one.same_row for table in undone for one in differences(table, now)}

    def _refuse_unconfirmed(self, wanted: Candidate, confirmed: str, newest: Publication) -> None:
        back = self.brought_back(wanted.content, newest)
        if back and confirmed != (needed := confirmation(back)):
            raise ConfirmationNeeded(
                f"{_count(len(back), 'change')} that a rollback has undone would come back; confirm exactly these "
                f"with {needed}, or reset the draft",
                back,
                needed,
            )

    def _append(self, wanted: Candidate, newest: Publication | None, now: datetime, also: Also | None) -> Publication:
        """`wanted` with the next number and its signature; NumberTaken when another took that number first."""
        number = newest.number + 1 if newest else 1
        made = Publication(
            number=number,
            time=now,
            author=wanted.author,
            comment=wanted.comment,
            digest=wanted.digest,
            routes=wanted.routes,
            permissions=wanted.permissions,
            rollback_of=wanted.rollback_of,
            signature=self._sign(signed_digest(number, wanted.digest)) if self._sign else None,
            approver=wanted.approver,
            scheduled_for=wanted.scheduled_for,
            files=wanted.files,
        )
        content = contents.compress(wanted.content)
        with numbering(self._engine) as connection:
            connection.execute(insert(schema.publications).values(content=content, **_columns(made, wanted)))
            store_texts(connection, wanted.texts or {})
            if wanted.rollback_of is not None and newest is not None:
                row = {"publication": number, "undone": newest.number}
                connection.execute(insert(schema.divergences).values(**row))
            self._conclude(connection, made, wanted, now, also)
        return made

    def _keep(self, newest: Publication, wanted: Candidate, now: datetime, also: Also | None) -> Publication:
        """The newest says already what is wanted: nothing is made, but a draft that diverged no longer does."""
        settles = wanted.files is None and self.divergences()
        if settles or also:
            with numbering(self._engine) as connection:
                if settles:
                    connection.execute(_settled(wanted.author, now, upto=newest.number))
                if also:
                    also(connection, newest)
        return newest

    def _conclude(
        self, connection: Connection, made: Publication, wanted: Candidate, now: datetime, also: Also | None
    ) -> None:
        if wanted.rollback_of is None and wanted.files is None:
            connection.execute(_settled(wanted.author, now, upto=made.number))
        action = Action.PUBLISHED if wanted.rollback_of is None else Action.ROLLED_BACK
        connection.execute(event(now, made.author, action, f"publication {made.number}", _told(made)))
        if also:
            also(connection, made)


class HsaVersions:
    """The versions of the HSA tree."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def publish(self, tree: HsaTree, *, now: datetime) -> HsaVersion:
        """Make `tree` the newest version, if it is not that. Raises PublicationRefused when it shrinks too much."""
        for _ in range(ATTEMPTS):
            newest = self.newest()
            if newest is not None and newest.digest == tree.digest:
                return newest
            if newest is not None and len(tree.units) < newest.units * (1 - _LARGEST_SHRINK):
                raise PublicationRefused(
                    f"the HSA tree would shrink from {newest.units} to {len(tree.units)} units, by more than a fifth; "
                    f"version {newest.number} stays in force"
                )
            version = HsaVersion((newest.number if newest else 0) + 1, now, tree.digest, len(tree.units))
            fields = {column.name: getattr(version, column.name) for column in _HSA_VERSION}
            stored = contents.compress(tree.content())
            try:
                with numbering(self._engine) as connection:
                    connection.execute(insert(schema.hsa_versions).values(content=stored, **fields))
            except NumberTaken:
                continue
            return version
        raise PublicationsUnavailable("others keep publishing at the same time; try again")

    def newest(self) -> HsaVersion | None:
        """The version in force; None before the first."""
        query = select(*_HSA_VERSION).order_by(schema.hsa_versions.c.number.desc()).limit(1)
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else HsaVersion(**row)

    def newest_number(self) -> int:
        """Number of the version in force, 0 before the first: cheap enough to ask every second."""
        with reading(self._engine) as connection:
            return connection.scalar(select(func.max(schema.hsa_versions.c.number))) or 0

    def tree(self, number: int) -> HsaTree:
        """The tree of version `number`. Raises LookupError; ValueError when it is damaged."""
        query = select(schema.hsa_versions.c.content, schema.hsa_versions.c.digest).where(
            schema.hsa_versions.c.number == number
        )
        with reading(self._engine) as connection:
            row = connection.execute(query).first()
        if row is None:
            raise LookupError(f"there is no version {number} of the HSA tree")
        return HsaTree.from_content(_checked(contents.decompress(row.content), row.digest, f"HSA tree {number}"))


def candidate(
    report: Report,
    *,
    author: str,
    comment: str,
    files: tuple[str, ...] | None = None,
    sources: Mapping[str, str] | None = None,
    texts: Mapping[str, bytes] | None = None,
) -> Candidate:
    """A draft that was looked through, frozen. Raises PublicationRefused when it has errors."""
    if report.errors:
        raise PublicationRefused(f"the draft has {_count(len(report.errors), 'error')}", report.errors)
    content = contents.encode(report.draft)
    return Candidate(
        author=author,
        comment=comment,
        content=content,
        digest=contents.digest(content),
        routes=len(report.draft.routes),
        permissions=len(report.draft.permissions),
        files=files,
        sources=sources,
        texts=texts,
    )


def signed_digest(number: int, digest: str) -> bytes:
    """What the signature of a publication covers: its number too, so that old content cannot pass as new."""
    return hashlib.sha256(f"rivta publication {number} {digest}".encode()).digest()


def brought_back(wanted: Draft, newest: Draft, undone: Iterable[Draft]) -> tuple[Difference, ...]:
    """The changes that `wanted` makes to `newest` and that one of the `undone` tables, which a rollback replaced, had.

    A row comes back when it is added again, is removed again, or when a field of it gets its undone value again.
    """
    coming = differences(newest, wanted)
    had = {
        (one.same_row, one.change, *_values(one)): None
        for table in undone
        for one in _single(differences(newest, table))
    }
    return tuple(
        one for one in coming if any((part.same_row, part.change, *_values(part)) in had for part in _single((one,)))
    )


def confirmation(back: Iterable[Difference]) -> str:
    """What confirms exactly these changes; empty for none."""
    told = [
        {name: value for name, value in one.items() if not name.endswith("source")} for one in differences_json(back)
    ]
    if not told:
        return ""
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:_CONFIRMATION_LENGTH]


def store_texts(connection: Connection, texts: Mapping[str, bytes]) -> None:
    """Keep the texts that are not kept yet."""
    table = schema.draft_texts
    for digest, text in sorted(texts.items()):
        if connection.scalar(select(table.c.digest).where(table.c.digest == digest)) is None:
            connection.execute(insert(table).values(digest=digest, content=contents.compress(text)))


def _single(found: Iterable[Difference]) -> Iterable[Difference]:
    """The differences, those of changed rows one for each field; of others the row alone counts."""
    for one in found:
        if one.change is Change.CHANGED:
            yield from (replace(one, fields=(field,)) for field in one.fields)
        else:
            yield replace(one, fields=())


def _values(one: Difference) -> tuple[str, ...]:
    return tuple(f"{field.name}={json.dumps(field.after)}" for field in one.fields)


def _publication(row: RowMapping) -> Publication:
    fields: dict[str, Any] = dict(row)
    files = fields["files"]
    return Publication(**fields | {"files": None if files is None else tuple(json.loads(files))})


def _columns(made: Publication, wanted: Candidate) -> dict[str, Any]:
    """`made` as the database has it, with where it is from."""
    fields = {column.name: getattr(made, column.name) for column in _PUBLICATION}
    return fields | {"files": as_json(made.files), "sources": as_json(wanted.sources)}


def as_json(value: Mapping[str, str] | tuple[str, ...] | None) -> str | None:
    """Names of files, or files with their digests, as they are kept."""
    return None if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _settled(author: str, now: datetime, *, upto: int) -> Update:
    """Rollbacks after `upto` are not meant: whoever settles has not seen them."""
    table = schema.divergences
    found = table.c.settled.is_(None) & (table.c.publication <= upto)
    return update(table).where(found).values(settled=now, settled_by=author)


def _told(made: Publication) -> str:
    parts = [made.comment]
    if made.rollback_of is not None:
        parts.append(f"as publication {made.rollback_of}")
    if made.files is not None:
        parts.append(f"only {', '.join(made.files)}")
    if made.approver is not None:
        parts.append(f"approved by {made.approver}")
    return "; ".join(parts)


def _refuse_empty(newest: Publication | None) -> None:
    if newest is not None and newest.routes + newest.permissions:
        raise PublicationRefused(
            f"the draft is empty, while publication {newest.number} has {_count(newest.routes, 'route')} and "
            f"{_count(newest.permissions, 'permission')}; nothing would work any more"
        )


def _checked(content: bytes, digest: str, what: str) -> bytes:
    if contents.digest(content) != digest:
        raise ValueError(f"{what} is damaged in the database: its digest does not fit")
    return content


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
