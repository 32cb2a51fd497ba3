"""Taking away what is older than it has to be kept: the one way in which entries leave the log, and it is told.

For each writer a beginning of its chain goes. In this order, so that a process may die anywhere: an entry of kind
`removal` (with the row that lets the database's triggers pass) is committed; a checkpoint with the removal is signed;
the entries are deleted, in steps. What was begun is finished by the next run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, exists, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from rivta.audit.access.checkpoints import CheckpointFile, Removal
from rivta.audit.access.entry import Entry, Kind, StoredEntry
from rivta.audit.access.log import AccessLog, AccessLogUnreadable, Writer
from rivta.store.access_schema import access_entries, access_removals
from rivta.store.engine import writing

LEAST_YEARS = 5
"""HSLF-FS 2016:40 chapter 4 section 9 point 7. The database's triggers hold to it too."""
_STEP = 5_000
_e, _r = access_entries.c, access_removals.c


def years_before(time: datetime, years: int) -> datetime:
    """The same day and time so many years earlier; of a leap day the day before it."""
    try:
        return time.replace(year=time.year - years)
    except ValueError:
        return time.replace(year=time.year - years, day=28)


def retain(log: AccessLog, writer: Writer, checkpoints: CheckpointFile, *, older_than: datetime, now: datetime) -> int:
    """Takes away the entries from before `older_than`, and finishes what an earlier run has begun. Gives their number.

    Raises ValueError for a time less than five years ago, AccessLogUnreadable, CannotRecord or CheckpointsUnusable;
    what was not signed is then not deleted.
    """
    if older_than > years_before(now, LEAST_YEARS):
        raise ValueError(f"the access log is kept for at least {LEAST_YEARS} years, and {older_than:%Y-%m-%d} is later")
    try:
        for removal in _removable(log, older_than):
            _announce(writer, removal)
        open_removals = _open_removals(log)
        signed = checkpoints.signed_removals() if open_removals else set()
        unsigned = [one for one in open_removals if (one.writer, one.last) not in signed]
        if unsigned:
            checkpoints.sign(now=now, removals=unsigned)
        return sum(_delete(log, removal) for removal in open_removals)
    except SQLAlchemyError as error:
        raise AccessLogUnreadable(f"retention did not finish: {type(error).__name__}") from error


def _removable(log: AccessLog, older_than: datetime) -> list[Removal]:
    """Of each writer, the entries before its first one that must stay; without those that are announced already."""
    announced = select(_r.writer, func.max(_r.last).label("last")).group_by(_r.writer).subquery()
    first_to_stay = (
        select(_e.writer, func.min(_e.number).label("number"))
        .where(_e.time >= older_than)
        .group_by(_e.writer)
        .subquery()
    )
    query = (
        select(_e.writer, func.min(_e.number), func.max(_e.number))
        .outerjoin(first_to_stay, first_to_stay.c.writer == _e.writer)
        .outerjoin(announced, announced.c.writer == _e.writer)
        .where(_e.time < older_than)
        .where((first_to_stay.c.number.is_(None)) | (_e.number < first_to_stay.c.number))
        .where((announced.c.last.is_(None)) | (_e.number > announced.c.last))
        .group_by(_e.writer)
        .order_by(_e.writer)
    )
    with log.engine.connect() as connection:
        found = connection.execute(query).all()
        return [
            Removal(writer, first, last, _hash_of(connection, writer, last), older_than)
            for writer, first, last in found
        ]


def _hash_of(connection: Connection, writer: str, number: int) -> str:
    found: str = connection.execute(select(_e.hash).where(_e.writer == writer, _e.number == number)).scalar_one()
    return found


def _announce(writer: Writer, removal: Removal) -> None:
    def allow(connection: Connection, stored: Sequence[StoredEntry]) -> None:
        row = {
            "writer": removal.writer,
            "last": removal.last,
            "older_than": removal.older_than,
            "entry": stored[0].id,
        }
        connection.execute(insert(access_removals), row)

    writer.record_beside(allow, Entry(Kind.REMOVAL, detail=json.dumps(removal.to_json(), sort_keys=True)))


def _open_removals(log: AccessLog) -> list[Removal]:
    """What is announced and still there."""
    remains = exists().where(_e.writer == _r.writer, _e.number == _r.last)
    query = select(access_removals).where(remains).order_by(_r.writer, _r.last)
    with log.engine.connect() as connection:
        return [
            Removal(
                writer=row.writer,
                first=connection.execute(select(func.min(_e.number)).where(_e.writer == row.writer)).scalar_one(),
                last=row.last,
                hash=_hash_of(connection, row.writer, row.last),
                older_than=row.older_than,
            )
            for row in connection.execute(query).all()
        ]


def _delete(log: AccessLog, removal: Removal) -> int:
    deleted = 0
    for last in [*range(removal.first + _STEP - 1, removal.last, _STEP), removal.last]:
        with writing(log.engine) as connection:
            done = connection.execute(delete(access_entries).where(_e.writer == removal.writer, _e.number <= last))
            deleted += done.rowcount
    return deleted
