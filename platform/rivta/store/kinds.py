"""The databases that there are: which tables each holds, and the migrations that lead to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import MetaData

from rivta.store import access_schema, schema

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of database."""

    name: str
    """For people, as in `this is <name>`."""
    metadata: MetaData
    revisions: tuple[str, ...]
    """Alembic revisions that this program knows, oldest first."""
    migrations: Path
    """Folder of Alembic's scripts. Revisions of two kinds never have the same name."""


PLATFORM = Kind("a platform's database", schema.metadata, schema.REVISIONS, _HERE / "migrations")
ACCESS_LOG = Kind("an access log", access_schema.metadata, access_schema.REVISIONS, _HERE / "migrations" / "access_log")
KINDS = (PLATFORM, ACCESS_LOG)


def kind_with(revision: str) -> Kind | None:
    """The kind of database that has this revision; None when no kind that this program knows does."""
    return next((kind for kind in KINDS if revision in kind.revisions), None)
