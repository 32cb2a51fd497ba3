"""Publications: what was in force when, by whom and why; and versions of the HSA tree.

Numbered, append-only, in the database.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Engine, Insert, func, insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from rivta.catalogue import content as contents
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.lint import Report
from rivta.catalogue.rows import Problem
from rivta.store import schema
from rivta.store.engine import writing

Sign = Callable[[bytes], bytes]
"""The signature of `signed_digest`."""

_ATTEMPTS = 10
_LARGEST_SHRINK = 0.2
"""A new tree that lost more than this part of its units is more likely to be half a file."""


class PublicationRefused(ValueError):
    """Nothing was published; the message says why, `problems` all that is wrong in the draft."""

    def __init__(self, reason: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(reason)
        self.problems = problems


class PublicationsUnavailable(OSError):
    """The database did not answer, or not as it should."""


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


@dataclass(frozen=True, slots=True)
class HsaVersion:
    """One version of the HSA tree, without its content."""

    number: int
    time: datetime
    digest: str
    units: int


# Without the content, which takes megabytes for a large table.
_PUBLICATION = [column for column in schema.publications.c if column.name != "content"]
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
        `allow_empty`), and PublicationsUnavailable.
        """
        if report.errors:
            raise PublicationRefused(f"the draft has {_count(len(report.errors), 'error')}", report.errors)
        content = contents.encode(report.draft)
        wanted = Publication(
            number=0,
            time=now,
            author=author,
            comment=comment,
            digest=contents.digest(content),
            routes=len(report.draft.routes),
            permissions=len(report.draft.permissions),
        )
        for _ in range(_ATTEMPTS):
            newest = self.newest()
            if newest is not None and newest.digest == wanted.digest:
                return newest
            if report.draft.is_empty and not allow_empty:
                _refuse_empty(newest)
            if made := self._append(wanted, after=newest, content=content):
                return made
        raise PublicationsUnavailable("others keep publishing at the same time; try again")

    def rollback(self, number: int, *, author: str, comment: str, now: datetime) -> Publication:
        """Publish the content of publication `number` once more. Raises LookupError when there is none such."""
        wanted = replace(self.get(number), time=now, author=author, comment=comment, rollback_of=number)
        content = self.content(number)
        for _ in range(_ATTEMPTS):
            if made := self._append(wanted, after=self.newest(), content=content):
                return made
        raise PublicationsUnavailable("others keep publishing at the same time; try again")

    def newest(self) -> Publication | None:
        """The publication in force; None before the first."""
        query = select(*_PUBLICATION).order_by(schema.publications.c.number.desc()).limit(1)
        with _reading(self._engine) as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else Publication(**row)

    def newest_number(self) -> int:
        """Number of the publication in force, 0 before the first: cheap enough to ask every second."""
        with _reading(self._engine) as connection:
            return connection.scalar(select(func.max(schema.publications.c.number))) or 0

    def get(self, number: int) -> Publication:
        """Publication `number`; LookupError if there is none."""
        query = select(*_PUBLICATION).where(schema.publications.c.number == number)
        with _reading(self._engine) as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise LookupError(f"there is no publication {number}")
        return Publication(**row)

    def content(self, number: int) -> bytes:
        """What publication `number` froze, as canonical JSON. Raises LookupError; ValueError when it is damaged."""
        query = select(schema.publications.c.content, schema.publications.c.digest).where(
            schema.publications.c.number == number
        )
        with _reading(self._engine) as connection:
            row = connection.execute(query).first()
        if row is None:
            raise LookupError(f"there is no publication {number}")
        return _checked(contents.decompress(row.content), row.digest, f"publication {number}")

    def history(self, limit: int = 100) -> tuple[Publication, ...]:
        """The newest publications, newest first."""
        query = select(*_PUBLICATION).order_by(schema.publications.c.number.desc()).limit(limit)
        with _reading(self._engine) as connection:
            return tuple(Publication(**row) for row in connection.execute(query).mappings())

    def _append(self, wanted: Publication, *, after: Publication | None, content: bytes) -> Publication | None:
        """`wanted` with the next number and its signature; None when another took that number first."""
        number = after.number + 1 if after else 1
        signature = self._sign(signed_digest(number, wanted.digest)) if self._sign else None
        made = replace(wanted, number=number, signature=signature)
        fields = {column.name: getattr(made, column.name) for column in _PUBLICATION}
        values = insert(schema.publications).values(content=contents.compress(content), **fields)
        return made if _insert(self._engine, values) else None


class HsaVersions:
    """The versions of the HSA tree."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def publish(self, tree: HsaTree, *, now: datetime) -> HsaVersion:
        """Make `tree` the newest version, if it is not that. Raises PublicationRefused when it shrinks too much."""
        for _ in range(_ATTEMPTS):
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
            if _insert(self._engine, insert(schema.hsa_versions).values(content=stored, **fields)):
                return version
        raise PublicationsUnavailable("others keep publishing at the same time; try again")

    def newest(self) -> HsaVersion | None:
        """The version in force; None before the first."""
        query = select(*_HSA_VERSION).order_by(schema.hsa_versions.c.number.desc()).limit(1)
        with _reading(self._engine) as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else HsaVersion(**row)

    def tree(self, number: int) -> HsaTree:
        """The tree of version `number`. Raises LookupError; ValueError when it is damaged."""
        query = select(schema.hsa_versions.c.content, schema.hsa_versions.c.digest).where(
            schema.hsa_versions.c.number == number
        )
        with _reading(self._engine) as connection:
            row = connection.execute(query).first()
        if row is None:
            raise LookupError(f"there is no version {number} of the HSA tree")
        return HsaTree.from_content(_checked(contents.decompress(row.content), row.digest, f"HSA tree {number}"))


def signed_digest(number: int, digest: str) -> bytes:
    """What the signature of a publication covers: its number too, so that old content cannot pass as new."""
    return hashlib.sha256(f"rivta publication {number} {digest}".encode()).digest()


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


@contextmanager
def _reading(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or type(error).__name__
        raise PublicationsUnavailable(f"the database of publications does not answer: {reason}") from error


def _insert(engine: Engine, row: Insert) -> bool:
    """False when the number was taken."""
    try:
        with writing(engine) as connection:
            connection.execute(row)
    except IntegrityError:
        return False
    except SQLAlchemyError as error:
        # The statement's values are megabytes of content, and the driver's own message says what is wrong.
        reason = getattr(error, "orig", None) or type(error).__name__
        raise PublicationsUnavailable(f"the publication could not be stored: {reason}") from error
    return True


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
