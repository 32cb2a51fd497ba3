"""Rows of the index in the database, and the one way to write what may be there already."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.expression import bindparam

from rivta.index.changes import Changes
from rivta.index.engagement import Engagement
from rivta.store.schema import engagements

_COLUMNS = tuple(one.name for one in dataclasses.fields(Engagement))
_AT_ONCE = 500
"""Ids in one statement: databases have a limit."""


def engagement_of(row: Row[Any]) -> Engagement:
    """The engagement in a row of the table."""
    return Engagement(**{name: getattr(row, name) for name in _COLUMNS})


def read_rows(connection: Connection, ids: Collection[str]) -> dict[str, Engagement]:
    """The engagements that are stored, by id."""
    found: dict[str, Engagement] = {}
    for some in _portions(sorted(ids)):
        for row in connection.execute(select(engagements).where(engagements.c.id.in_(some))):
            found[row.id] = engagement_of(row)
    return found


def write_rows(connection: Connection, done: Changes) -> None:
    """Stores what `done` says of the rows. The fields of a key never change."""
    for some in _portions([one.id for one in done.deleted]):
        connection.execute(delete(engagements).where(engagements.c.id.in_(some)))
    if done.inserted:
        connection.execute(insert(engagements), [{"id": one.id, **dataclasses.asdict(one)} for one in done.inserted])
    if done.updated:
        connection.execute(
            update(engagements)
            .where(engagements.c.id == bindparam("of"))
            .values(most_recent_content=bindparam("newest"), update_time=bindparam("at")),
            [{"of": one.id, "newest": one.most_recent_content, "at": one.update_time} for one in done.updated],
        )


def upsert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]], changed: Iterable[str]) -> None:
    """Adds rows, or changes the columns `changed` of those that have the same primary key."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(table.primary_key.columns), set_={name: statement.excluded[name] for name in changed}
        ),
        list(rows),
    )


def _portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
