"""Tables that wait to become a publication: for a second person's approval, for their time, or for both.

A proposal is frozen when it is made. It becomes a publication only if what is in force then says the same as what was
in force when it was made, and if it still has no errors; otherwise it is refused, with the reason, and stays visible
until somebody withdraws it. It decides once: each change of state is one row's, in the transaction of what it leads to.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Update, func, insert, select, update

from rivta.catalogue import content as contents
from rivta.catalogue.database import ATTEMPTS, NumberTaken, PublicationsUnavailable, numbering, reading
from rivta.catalogue.publications import Candidate, Conditions, Publication, PublicationRefused, as_json, store_texts
from rivta.catalogue.trail import Action, event
from rivta.store import schema


class ProposalState(Enum):
    """What a proposal is."""

    PROPOSED = "proposed"
    """It waits for another's approval."""
    SCHEDULED = "scheduled"
    """It waits for its time."""
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    """Nobody approved it in time."""
    REFUSED = "refused"
    """It could not be published when its time came; shown until somebody withdraws it."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One proposal, without its content."""

    id: int
    time: datetime
    author: str
    comment: str
    digest: str
    routes: int
    permissions: int
    rollback_of: int | None
    files: tuple[str, ...] | None
    based_on: int
    """The publication that was in force when it was made; 0 is none."""
    state: ProposalState
    scheduled_for: datetime | None
    expires: datetime | None
    approver: str | None
    decided: datetime | None
    decided_by: str | None
    reason: str
    """Why it was refused; empty when it was not."""
    publication: int | None
    """What became of it."""

    def to_json(self) -> dict[str, Any]:
        """As the admin API tells it."""
        moments = {name: getattr(self, name) for name in ("time", "scheduled_for", "expires", "decided")}
        told = {name: None if at is None else at.astimezone(UTC).isoformat() for name, at in moments.items()}
        return {
            "id": self.id,
            "state": self.state.value,
            **told,
            "author": self.author,
            "comment": self.comment,
            "digest": self.digest,
            "routes": self.routes,
            "permissions": self.permissions,
            "rollback_of": self.rollback_of,
            "files": None if self.files is None else list(self.files),
            "based_on": self.based_on,
            "approver": self.approver,
            "decided_by": self.decided_by,
            "reason": self.reason,
            "publication": self.publication,
        }


class AlreadyDecided(PublicationRefused):
    """The proposal is no longer what one would have it become something else from."""


_HIDDEN = ("content", "sources", "confirmed", "allow_empty")
_PROPOSAL = [column for column in schema.proposals.c if column.name not in _HIDDEN]


class Proposals:
    """The proposals of one platform."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(
        self,
        wanted: Candidate,
        *,
        based_on: int,
        conditions: Conditions,
        now: datetime,
        expires: datetime | None,
    ) -> Proposal:
        """Keep `wanted` until it is approved (where it `expires`), or else until its time. PublicationsUnavailable."""
        state = ProposalState.SCHEDULED if expires is None else ProposalState.PROPOSED
        values = {
            "time": now,
            "author": wanted.author,
            "comment": wanted.comment,
            "digest": wanted.digest,
            "content": contents.compress(wanted.content),
            "routes": wanted.routes,
            "permissions": wanted.permissions,
            "rollback_of": wanted.rollback_of,
            "files": as_json(wanted.files),
            "sources": as_json(wanted.sources),
            "based_on": based_on,
            "confirmed": conditions.confirmed,
            "allow_empty": conditions.allow_empty,
            "state": state.value,
            "scheduled_for": wanted.scheduled_for,
            "expires": expires,
            "reason": "",
        }
        action = Action.SCHEDULED if state is ProposalState.SCHEDULED else Action.PROPOSED
        for _ in range(ATTEMPTS):
            try:
                with numbering(self._engine) as connection:
                    id = (connection.scalar(select(func.max(schema.proposals.c.id))) or 0) + 1
                    connection.execute(insert(schema.proposals).values(id=id, **values))
                    store_texts(connection, wanted.texts or {})
                    connection.execute(event(now, wanted.author, action, f"proposal {id}", _told(wanted)))
            except NumberTaken:
                continue
            return self.get(id)
        raise PublicationsUnavailable("others keep proposing at the same time; try again")

    def get(self, id: int) -> Proposal:
        """The proposal with that id. Raises LookupError, PublicationsUnavailable."""
        with reading(self._engine) as connection:
            row = connection.execute(select(*_PROPOSAL).where(schema.proposals.c.id == id)).mappings().first()
        if row is None:
            raise LookupError(f"there is no proposal {id}")
        return _proposal(row)

    def newest(self, *states: ProposalState, limit: int = 100) -> tuple[Proposal, ...]:
        """Those in one of `states`, or all, the newest first. Raises PublicationsUnavailable."""
        query = select(*_PROPOSAL).order_by(schema.proposals.c.id.desc()).limit(limit)
        if states:
            query = query.where(schema.proposals.c.state.in_([state.value for state in states]))
        with reading(self._engine) as connection:
            return tuple(_proposal(row) for row in connection.execute(query).mappings())

    def due(self, now: datetime) -> tuple[Proposal, ...]:
        """Those whose time has come, in the order of their times; those that nobody approved in time among them."""
        table = schema.proposals.c
        query = select(*_PROPOSAL).where(
            ((table.state == ProposalState.SCHEDULED.value) & (table.scheduled_for <= now))
            | ((table.state == ProposalState.PROPOSED.value) & (table.expires <= now))
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(table.scheduled_for, table.id)).mappings()
            return tuple(_proposal(row) for row in rows)

    def frozen(self, proposal: Proposal) -> tuple[Candidate, Conditions]:
        """What would be published, and what was confirmed for it. Raises LookupError; ValueError when it is damaged."""
        table = schema.proposals.c
        query = select(table.content, table.sources, table.confirmed, table.allow_empty).where(table.id == proposal.id)
        with reading(self._engine) as connection:
            row = connection.execute(query).first()
        if row is None:
            raise LookupError(f"there is no proposal {proposal.id}")
        content = contents.decompress(row.content)
        if contents.digest(content) != proposal.digest:
            raise ValueError(f"proposal {proposal.id} is damaged in the database: its digest does not fit")
        candidate = Candidate(
            author=proposal.author,
            comment=proposal.comment,
            content=content,
            digest=proposal.digest,
            routes=proposal.routes,
            permissions=proposal.permissions,
            files=proposal.files,
            sources=None if row.sources is None else json.loads(row.sources),
            rollback_of=proposal.rollback_of,
            approver=proposal.approver,
            scheduled_for=proposal.scheduled_for,
        )
        return candidate, Conditions(is_strict=True, confirmed=row.confirmed, allow_empty=row.allow_empty)

    def schedule(self, proposal: Proposal, *, approver: str, now: datetime) -> Proposal:
        """It is approved, and waits for its time. Raises AlreadyDecided, PublicationsUnavailable."""
        with numbering(self._engine) as connection:
            change = _decided(proposal, ProposalState.SCHEDULED, now, approver).values(approver=approver)
            _decide(connection, change, proposal)
            connection.execute(event(now, approver, Action.APPROVED, f"proposal {proposal.id}"))
        return self.get(proposal.id)

    def end(self, proposal: Proposal, state: ProposalState, *, actor: str, now: datetime, reason: str = "") -> Proposal:
        """It is withdrawn, has expired or is refused. Raises AlreadyDecided, PublicationsUnavailable."""
        with numbering(self._engine) as connection:
            change = _decided(proposal, state, now, actor)
            # Why it was refused stays to be read after somebody has seen it and withdrawn it.
            _decide(connection, change.values(reason=reason) if reason else change, proposal)
            action = {ProposalState.WITHDRAWN: Action.WITHDRAWN, ProposalState.EXPIRED: Action.EXPIRED}
            told = event(now, actor, action.get(state, Action.REFUSED), f"proposal {proposal.id}", reason)
            connection.execute(told)
        return self.get(proposal.id)

    @staticmethod
    def publish_in(connection: Connection, proposal: Proposal, made: Publication, *, actor: str, now: datetime) -> None:
        """Inside the transaction that makes a publication of it. Raises AlreadyDecided, which undoes that."""
        change = _decided(proposal, ProposalState.PUBLISHED, now, actor).values(
            publication=made.number, approver=made.approver
        )
        _decide(connection, change, proposal)
        if proposal.state is ProposalState.PROPOSED:
            told = event(now, actor, Action.APPROVED, f"proposal {proposal.id}", f"publication {made.number}")
            connection.execute(told)


def _decided(proposal: Proposal, state: ProposalState, now: datetime, actor: str) -> Update:
    """The change of state, if it is still what it was when `proposal` was read."""
    table = schema.proposals
    still = (table.c.id == proposal.id) & (table.c.state == proposal.state.value)
    return update(table).where(still).values(state=state.value, decided=now, decided_by=actor)


def _decide(connection: Connection, change: Update, proposal: Proposal) -> None:
    if connection.execute(change).rowcount != 1:
        raise AlreadyDecided(f"proposal {proposal.id} is no longer {proposal.state.value}: somebody was quicker")


def _proposal(row: RowMapping) -> Proposal:
    fields: dict[str, Any] = dict(row)
    files = None if fields["files"] is None else tuple(json.loads(fields["files"]))
    return Proposal(**fields | {"files": files, "state": ProposalState(fields["state"])})


def _told(wanted: Candidate) -> str:
    return "; ".join(_parts(wanted))


def _parts(wanted: Candidate) -> Iterable[str]:
    yield wanted.comment
    if wanted.rollback_of is not None:
        yield f"as publication {wanted.rollback_of}"
    if wanted.files is not None:
        yield f"only {', '.join(wanted.files)}"
    if wanted.scheduled_for is not None:
        yield f"for {wanted.scheduled_for.astimezone(UTC).isoformat()}"
