"""What a message does to the rows of an index, and what of it is announced: a pure function of both.

The rules are the incumbent's, but for two of its weaknesses. Changes take effect in the order that they came in: an
addition after a deletion counts. And no ring of indexes sends a change round for ever: a change carries the indexes
that have had it, and goes to none of them again; one that comes without, from an index of another make, is passed on
only where it changed something here. (One that carries its path is passed on in any case. By each way through the
indexes then come all changes to a row, in order, and each index ends with the last one; were those left out that change
nothing here, a late one that came by another way could stay the last.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from rivta.index.engagement import Engagement, Transaction


class Kind(Enum):
    """Which contract a message is of."""

    UPDATE = "Update"
    NOTIFICATION = "ProcessNotification"


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be done to the stored rows, and what subscribers are told."""

    deleted: tuple[Engagement, ...] = ()
    inserted: tuple[Engagement, ...] = ()
    updated: tuple[Engagement, ...] = ()
    announced: tuple[Transaction, ...] = ()

    @property
    def touched(self) -> Iterable[Engagement]:
        """Every row that is another afterwards."""
        return (*self.deleted, *self.inserted, *self.updated)


class SameId(ValueError):
    """Two different engagements have the same id."""


def needed_ids(kind: Kind, transactions: Sequence[Transaction], *, own_id: str) -> set[str]:
    """Ids of the rows that `changes` has to know."""
    ids = {one.engagement.id for one in transactions}
    if kind is Kind.NOTIFICATION:
        ids |= {_own(one.engagement, own_id).id for one in transactions}
    return ids


def changes(
    kind: Kind, transactions: Sequence[Transaction], stored: Mapping[str, Engagement], *, own_id: str, now: str
) -> Changes:
    """What `transactions` come to, given the rows with `needed_ids` that are `stored` by id.

    `now` is a timestamp. Raises SameId.
    """
    rows = _Rows(stored)
    announced: list[Transaction] = []
    for one in transactions:
        if kind is Kind.UPDATE:
            told = _update(rows, one, now)
        elif one.engagement.owner.upper() == own_id.upper() or _has_visited(one, own_id):
            continue  # our own row, or our own announcement, on its way round: it would undo what has come since
        else:
            told = _notification(rows, one, own_id, now)
        if told is not None:
            announced.append(replace(told, visited=(*told.visited, own_id)))
    return rows.changes(announced)


class _Rows:
    """The rows as they become, beside what they were."""

    def __init__(self, stored: Mapping[str, Engagement]) -> None:
        self._before = stored
        self._now: dict[str, Engagement] = dict(stored)

    def get(self, one: Engagement) -> Engagement | None:
        found = self._now.get(one.id)
        if found is not None and found.key != one.key:
            raise SameId("two engagements that differ have the same id: nothing stands between the fields of a key")
        return found

    def put(self, one: Engagement) -> None:
        self._now[one.id] = one

    def drop(self, one: Engagement) -> None:
        self._now.pop(one.id, None)

    def changes(self, announced: Sequence[Transaction]) -> Changes:
        before, now = self._before, self._now
        return Changes(
            deleted=tuple(row for id, row in before.items() if id not in now),
            inserted=tuple(row for id, row in now.items() if id not in before),
            updated=tuple(row for id, row in now.items() if id in before and before[id] != row),
            announced=tuple(announced),
        )


def _update(rows: _Rows, one: Transaction, now: str) -> Transaction | None:
    """Of a source system: what to announce. A deletion is, also of what was never there."""
    row = one.engagement
    before = rows.get(row)
    if not one.delete and before is not None and before.most_recent_content == row.most_recent_content:
        return None
    after = replace(
        row,
        creation_time=before.creation_time if before is not None else now,
        update_time=now if before is not None else None,
    )
    if one.delete:
        rows.drop(row)
    else:
        rows.put(after)
    return replace(one, engagement=after)


def _notification(rows: _Rows, one: Transaction, own_id: str, now: str) -> Transaction | None:
    """Of another index: what to pass on, as it came."""
    row = one.engagement
    before = rows.get(row)
    own = _own(row, own_id)
    if one.delete:
        rows.drop(row)
        changed = before is not None
    else:
        if rows.get(own) is not None:
            # Rule R5: who reports a row that was reported here takes it over. Its end here is not announced: two
            # indexes that take the same row over from each other would end without it.
            rows.drop(own)
        if before is None:
            rows.put(replace(row, creation_time=now, update_time=None))
        elif before.most_recent_content != row.most_recent_content:
            rows.put(replace(before, most_recent_content=row.most_recent_content, update_time=now))
        changed = before is None or before.most_recent_content != row.most_recent_content
    return one if changed or one.visited else None


def _own(row: Engagement, own_id: str) -> Engagement:
    """The same row as if it had been reported here."""
    return replace(row, owner=own_id)


def _has_visited(one: Transaction, index: str) -> bool:
    return index.upper() in map(str.upper, one.visited)
