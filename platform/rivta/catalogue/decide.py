"""The decision engine: where a call goes, whether it may, and why. Pure functions of a compiled table and a time."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

from rivta.catalogue.decision import Decision, Explanation, Outcome
from rivta.catalogue.levels import Kind, Level, levels
from rivta.catalogue.rejections import Question, rejections
from rivta.catalogue.table import ALWAYS, NEVER, PermissionRecord, RouteRecord, Table, instant, microseconds

_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)

_LONGEST_KEPT = 200
"""Characters of the contract and address of a decision that is remembered: those of real ones are shorter."""

RowRecord = TypeVar("RowRecord", RouteRecord, PermissionRecord)


class Holding(NamedTuple):
    """A decision and the time for which it is the same: from `since`, before `until`."""

    decision: Decision
    since: datetime
    until: datetime


def decide(table: Table, *, sender: str, contract: str | None, logical_address: str | None, now: datetime) -> Decision:
    """May `sender` call `logical_address` with `contract` at `now`, and where does it go?

    Names are as they came with the call, None where it had none; `now` has a zone. Raises TableUnreadable when the
    table's file is damaged.
    """
    return hold(table, sender=sender, contract=contract, logical_address=logical_address, now=now).decision


def explain(
    table: Table, *, sender: str, contract: str | None, logical_address: str | None, now: datetime
) -> Explanation:
    """The same decision, and every row that came near and why it lost, closest address first.

    Permissions are explained only when they were looked up: a call that has no route is not asked for one.
    """
    decision = decide(table, sender=sender, contract=contract, logical_address=logical_address, now=now)
    if decision.outcome is Outcome.NO_RECEIVER or logical_address is None:
        return Explanation(decision, ())
    question = Question(table, sender, contract, logical_address, now)
    rejected = list(rejections(question, Kind.ROUTE))
    if decision.outcome in (Outcome.ROUTED, Outcome.NO_PERMISSION):
        rejected.extend(rejections(question, Kind.PERMISSION))
    return Explanation(decision, tuple(rejected))


def hold(table: Table, *, sender: str, contract: str | None, logical_address: str | None, now: datetime) -> Holding:
    """`decide`, with the time for which nothing changes in it."""
    if logical_address is None or not logical_address.strip():
        return Holding(Decision(Outcome.NO_RECEIVER, None, None, "", ""), _FIRST, _LAST)
    search = _Search(microseconds(now))
    known = None if contract is None else table.contract_id(contract)

    def routes_at(address: str) -> list[RouteRecord]:
        return [] if known is None else table.routes_at(address, known)

    def permissions_at(address: str) -> list[PermissionRecord]:
        return [] if known is None else table.permissions_at(address, known, sender)

    found = levels(table, Kind.ROUTE, sender=sender, contract=contract, logical_address=logical_address)
    routes, route_trace = search.first_valid(found, routes_at)
    if len(routes) != 1:
        outcome = Outcome.SEVERAL_ROUTES if routes else Outcome.NO_ROUTE
        return search.holding(Decision(outcome, None, None, route_trace, ""))
    route = table.route(routes[0])
    if not route.url.strip():
        return search.holding(Decision(Outcome.NO_URL, route, None, route_trace, ""))
    found = levels(table, Kind.PERMISSION, sender=sender, contract=contract, logical_address=logical_address)
    permissions, permission_trace = search.first_valid(found, permissions_at)
    if not permissions:
        return search.holding(Decision(Outcome.NO_PERMISSION, route, None, route_trace, permission_trace))
    permission = table.permission(permissions[0])
    return search.holding(Decision(Outcome.ROUTED, route, permission, route_trace, permission_trace))


class DecisionCache:
    """Decisions already made by one table, each until a row it rests on opens or closes; goes with the table.

    Bounded: when full, the oldest goes, and what has a long address is not kept, so that a flood of invented addresses
    costs look-ups and no memory.
    """

    __slots__ = ("_holdings", "_size", "table")

    def __init__(self, table: Table, size: int = 50_000) -> None:
        self.table = table
        self._size = size
        self._holdings: dict[tuple[str, str | None, str | None], Holding] = {}

    def decide(self, *, sender: str, contract: str | None, logical_address: str | None, now: datetime) -> Decision:
        """As `decide` of the table."""
        key = (sender, contract, logical_address)
        holding = self._holdings.get(key)
        if holding is not None and holding[1] <= now < holding[2]:
            return holding[0]
        holding = hold(self.table, sender=sender, contract=contract, logical_address=logical_address, now=now)
        if len(logical_address or "") + len(contract or "") > _LONGEST_KEPT:
            return holding.decision
        if len(self._holdings) >= self._size:
            self._holdings.pop(next(iter(self._holdings)), None)
        self._holdings[key] = holding
        return holding.decision

    def __len__(self) -> int:
        return len(self._holdings)


class _Search:
    """The look-ups of one decision; remembers between which times the rows it saw stay as they are."""

    __slots__ = ("_now", "_since", "_until")

    def __init__(self, now: int) -> None:
        self._now = now
        self._since, self._until = ALWAYS, NEVER

    def first_valid(
        self, found: Iterable[Level], rows_at: Callable[[str], list[RowRecord]]
    ) -> tuple[list[RowRecord], str]:
        """The valid rows of the first level that has any, and the trace up to it."""
        trace: list[str] = []
        for marker, address in found:
            if marker:
                trace.append(marker)
            if not address:
                continue
            trace.append(address)
            valid = [record for record in rows_at(address) if self._is_valid(record)]
            if valid:
                return valid, ",".join(trace)
        return [], ",".join(trace)

    def holding(self, decision: Decision) -> Holding:
        """The decision with the nearest bounds of the rows that were looked at."""
        return Holding(decision, instant(self._since) or _FIRST, instant(self._until) or _LAST)

    def _is_valid(self, record: RouteRecord | PermissionRecord) -> bool:
        for bound in (record.valid_from, record.valid_to):
            if bound <= self._now:
                self._since = max(self._since, bound)
            else:
                self._until = min(self._until, bound)
        return record.valid_from <= self._now < record.valid_to
