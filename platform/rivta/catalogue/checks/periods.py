"""Periods: rows at the same time, time without a row, and rows that have ended or soon will."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import NamedTuple

from rivta.catalogue.checks.problems import Surroundings, all_rows, at, kind, written_once
from rivta.catalogue.rows import SWEDISH_TIME, Bound, Draft, PermissionRow, Place, Problem, RouteRow, closes, opens
from rivta.soap.identifiers import short_name

_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)

_UNCERTAIN = timedelta(hours=14)
"""The incumbent's router compares a time without zone by XML Schema's order: within so much it counts as valid."""


class _Period(NamedTuple):
    """A row with the first instant inside its validity and the first one after it."""

    opens: datetime
    closes: datetime
    row: RouteRow | PermissionRow


def errors(draft: Draft) -> Iterator[Problem]:
    """Rows that are never valid, and routes that are valid at once."""
    for row in written_once(all_rows(draft)):
        first, last = opens(row.valid_from), closes(row.valid_to)
        if first is not None and last is not None and first >= last:
            message = f"{kind(row)}: valid_from {row.valid_from} is after valid_to {row.valid_to}: it is never valid"
            yield at(row.place, "inverted-period", message)
    for same in _groups(draft.routes):
        for period, longest in _overlaps(same):
            message = (
                f"route {_what(period.row)} is valid at the same time as the one at {longest.row.place}: calls would "
                "be refused with VP006; end one before the other begins"
            )
            yield at(period.row.place, "route-overlap", message)


def warnings(draft: Draft, around: Surroundings, now: datetime) -> Iterator[Problem]:
    """Needless permissions, time that nobody covers, and the end of rows."""
    routes, permissions = _groups(draft.routes), _groups(draft.permissions)
    for same in permissions:
        for period, longest in _overlaps(same):
            message = f"permission {_what(period.row)} is given at the same time by {longest.row.place}"
            yield at(period.row.place, "permission-overlap", message)
    for same in routes:
        yield from _incumbent_overlaps(same, now)
    for groups, rule in ((routes, "route-gap"), (permissions, "permission-gap")):
        for same in groups:
            yield from _gaps(same, rule, now)
    yield from _expired(draft, now)
    yield from _expiring((*routes, *permissions), now, now + timedelta(days=around.expiring_days))


def _groups(rows: Iterable[RouteRow] | Iterable[PermissionRow]) -> list[list[_Period]]:
    """Rows of the same address and contract (and consumer) as they begin; those that are never valid are left out."""
    by_key: dict[tuple[str, ...], list[_Period]] = defaultdict(list)
    for row in rows:
        period = _Period(opens(row.valid_from) or _FIRST, closes(row.valid_to) or _LAST, row)
        if period.opens < period.closes:
            by_key[_key(row)].append(period)
    for same in by_key.values():
        same.sort(key=lambda period: (period.opens, period.closes, period.row.place.file, period.row.place.line))
    return [*by_key.values()]


def _key(row: RouteRow | PermissionRow) -> tuple[str, ...]:
    if isinstance(row, RouteRow):
        return row.logical_address.lower(), row.contract.lower()
    return row.logical_address.lower(), row.contract.lower(), row.consumer.lower()


def _overlaps(same: Sequence[_Period]) -> Iterator[tuple[_Period, _Period]]:
    """Each row that begins before an earlier one has ended, with that one."""
    longest = same[0]
    for period in same[1:]:
        if period.opens < longest.closes:
            yield period, longest
        longest = max(longest, period, key=lambda one: one.closes)


def _gaps(same: Sequence[_Period], rule: str, now: datetime) -> Iterator[Problem]:
    """Time in the future between the end of one row and the beginning of the next."""
    longest = same[0]
    for period in same[1:]:
        if longest.closes < period.opens and now < period.opens:
            message = (
                f"{kind(period.row)} {_what(period.row)}: there is none from {_shown(longest.closes)}, when the one at "
                f"{longest.row.place} ends, to {_shown(period.opens)}; close the gap"
            )
            yield at(period.row.place, rule, message)
        longest = max(longest, period, key=lambda one: one.closes)


def _incumbent_overlaps(same: Sequence[_Period], now: datetime) -> Iterator[Problem]:
    """Routes that follow each other here, and overlap where days are read without zone."""
    for earlier, period in pairwise(same):
        if period.opens < earlier.closes:
            continue  # that is an overlap for everybody
        last, first = _last_for_incumbent(earlier.row.valid_to), _first_for_incumbent(period.row.valid_from)
        if last is None or first is None or last <= first or last < now:
            continue
        message = (
            f"route {_what(period.row)}: a router that reads days without zone, as the incumbent's, holds this one and "
            f"that at {earlier.row.place} valid from {_shown(first)} to {_shown(last)}, and refuses calls with VP006; "
            "write both bounds as times with an offset"
        )
        yield at(period.row.place, "incumbent-overlap", message)


def _last_for_incumbent(bound: Bound | None) -> datetime | None:
    if bound is None or isinstance(bound, datetime):
        return bound
    return datetime.combine(bound, time(), UTC) + _UNCERTAIN


def _first_for_incumbent(bound: Bound | None) -> datetime | None:
    if bound is None or isinstance(bound, datetime):
        return bound
    return datetime.combine(bound, time(), UTC) - _UNCERTAIN


def _expired(draft: Draft, now: datetime) -> Iterator[Problem]:
    for row in written_once(all_rows(draft)):
        last = closes(row.valid_to)
        if last is not None and last <= now:
            message = f"{kind(row)}: valid_to {row.valid_to} has passed; remove it or prolong it"
            yield at(row.place, "expired", message)


def _expiring(groups: Iterable[Sequence[_Period]], now: datetime, soon: datetime) -> Iterator[Problem]:
    """Written rows of which something ends soon, with nothing after it: each is told once."""
    found: dict[Place, list[RouteRow | PermissionRow]] = defaultdict(list)
    for same in groups:
        longest = max(same, key=lambda one: one.closes)
        if now < longest.closes <= soon:
            found[longest.row.place].append(longest.row)
    for place, rows in found.items():
        row = rows[0]
        more = f" (and {len(rows) - 1} more of this row)" if len(rows) > 1 else ""
        message = f"{kind(row)} {_what(row)}{more}: ends with {row.valid_to}, and none follows; prolong it"
        yield at(place, "expiring", message)


def _what(row: RouteRow | PermissionRow) -> str:
    what = f"{row.logical_address} {short_name(row.contract)}"
    return what if isinstance(row, RouteRow) else f"{row.consumer} -> {what}"


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(SWEDISH_TIME):%Y-%m-%d %H:%M}"
