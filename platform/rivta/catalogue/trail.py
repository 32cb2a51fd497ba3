"""The audit trail: who did what to the tables and to the tokens, and when. Rows are only ever added."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from sqlalchemy import Engine, Insert, insert, select

from rivta.catalogue.database import reading, translated
from rivta.store import schema
from rivta.store.engine import writing


class Action(Enum):
    """What was done."""

    PUBLISHED = "published"
    ROLLED_BACK = "rolled back"
    PROPOSED = "proposed"
    APPROVED = "approved"
    SCHEDULED = "scheduled"
    WITHDRAWN = "withdrawn"
    REFUSED = "refused"
    EXPIRED = "expired"
    DRAFT_RESET = "draft reset"
    FILE_WRITTEN = "file written"
    FILE_REMOVED = "file removed"
    CHANGE_ALLOWED = "change allowed"
    """Of files, to be written together with those of another platform."""
    TOKEN_CREATED = "token created"
    TOKEN_REVOKED = "token revoked"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the trail."""

    time: datetime
    actor: str
    action: str
    subject: str
    detail: str

    def to_json(self) -> dict[str, Any]:
        """As the admin API tells it."""
        return {
            "time": self.time.astimezone(UTC).isoformat(),
            "actor": self.actor,
            "action": self.action,
            "subject": self.subject,
            "detail": self.detail,
        }


class AuditTrail:
    """The trail of one platform."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def note(self, now: datetime, actor: str, action: Action, subject: str, detail: str = "") -> None:
        """Adds a line for what has no transaction of its own in the database. Raises PublicationsUnavailable."""
        with translated(), writing(self._engine) as connection:
            connection.execute(event(now, actor, action, subject, detail))

    @contextmanager
    def noting(self, events: Iterable[Insert]) -> Iterator[None]:
        """Adds these lines if what is done within succeeds, and none of them if it does not.

        Without the database nothing is done: raises PublicationsUnavailable before.
        """
        with translated(), writing(self._engine) as connection:
            for one in events:
                connection.execute(one)
            yield

    def newest(self, limit: int = 100) -> tuple[Event, ...]:
        """The newest lines, newest first. Raises PublicationsUnavailable."""
        columns = [column for column in schema.audit_trail.c if column.name != "id"]
        query = select(*columns).order_by(schema.audit_trail.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return tuple(Event(**row) for row in connection.execute(query).mappings())


def event(now: datetime, actor: str, action: Action, subject: str, detail: str = "") -> Insert:
    """A line of the trail, to be added in the transaction that does what it tells."""
    return insert(schema.audit_trail).values(time=now, actor=actor, action=action.value, subject=subject, detail=detail)
