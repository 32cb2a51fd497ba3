"""Why rows lost: everything that came near in one look-up of a decision, with the reason from the closed list."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from rivta.catalogue.decision import Rejection, RejectionReason
from rivta.catalogue.levels import Kind, climbs, delimiter_objection, is_delimited, levels, tokens
from rivta.catalogue.rows import ANY_ADDRESS
from rivta.catalogue.table import PermissionRecord, RouteRecord, Table, instant, microseconds
from rivta.soap.identifiers import short_name

NEAR_MISSES = 20
"""How many rows for another consumer or contract are listed for each address: hints, not candidates."""

Record = RouteRecord | PermissionRecord


class Question(NamedTuple):
    """What is being explained."""

    table: Table
    sender: str
    contract: str | None
    logical_address: str
    now: datetime

    @property
    def contract_id(self) -> int | None:
        """The number rows know the contract by."""
        return None if self.contract is None else self.table.contract_id(self.contract)

    def rows_at(self, kind: Kind, address: str) -> list[Record]:
        """The rows of an address for this contract, and for this sender when they are permissions."""
        known = self.contract_id
        if known is None:
            return []
        if kind is Kind.ROUTE:
            return [*self.table.routes_at(address, known)]
        return [*self.table.permissions_at(address, known, self.sender)]


class _Loser(NamedTuple):
    record: Record
    reason: RejectionReason | None
    """None for the row that won."""
    note: str = ""


def rejections(question: Question, kind: Kind) -> Iterator[Rejection]:
    """Every row that lost in this look-up, each once: those in the way, those the rules leave out, near misses."""
    seen: set[Record] = set()
    for source in (_in_the_way, _left_out, _case_differs, _near_misses):
        for loser in source(question, kind):
            if loser.record in seen:
                continue
            seen.add(loser.record)
            if loser.reason is not None:
                yield _rejection(question.table, loser.record, loser.reason, loser.note)


def _in_the_way(question: Question, kind: Kind) -> Iterator[_Loser]:
    """The rows of every address that would be looked at if no row had won before."""
    now = microseconds(question.now)
    winner = ""
    for level in _levels(question, kind):
        rows = question.rows_at(kind, level)
        valid = [row for row in rows if row.valid_from <= now < row.valid_to]
        for row in rows:
            if winner:
                yield _Loser(row, RejectionReason.SHADOWED, f"a row for {winner} comes first")
            elif row not in valid:
                yield _untimely(row, question.now)
            elif kind is Kind.ROUTE and len(valid) > 1:
                yield _Loser(row, RejectionReason.AMBIGUOUS, f"{len(valid)} routes are valid at {level}")
            elif row is valid[0]:
                yield _Loser(row, None)
            else:
                yield _Loser(row, RejectionReason.SHADOWED, "another row of the same address permits it already")
        winner = winner or (level if valid else "")


def _left_out(question: Question, kind: Kind) -> Iterator[_Loser]:
    """Rows at addresses where the resolution rules do not look for this call."""
    rules, address = question.table.resolution, question.logical_address
    if is_delimited(rules, address):
        objection = delimiter_objection(
            rules, sender=question.sender, contract=question.contract, logical_address=address
        )
        if kind is Kind.PERMISSION and objection:
            for part in tokens(rules, address):
                yield from _losers(question, kind, part, RejectionReason.DELIMITER_RULES, objection)
        note = f"an address with {rules.delimiter!r} is looked up by its parts only"
        for other in (address, ANY_ADDRESS):
            yield from _losers(question, kind, other, RejectionReason.DELIMITER_RULES, note)
    elif not climbs(rules, kind, question.contract):
        for unit in question.table.ancestors(address):
            note = f"{unit} lies above the address, but hsa_climb is off for {kind.value}s of this contract"
            yield from _losers(question, kind, unit, RejectionReason.CLIMB_OFF, note)


def _case_differs(question: Question, kind: Kind) -> Iterator[_Loser]:
    """Rows above a unit that is spelled like the address but for case: rows do not mind, the HSA tree does."""
    rules, address = question.table.resolution, question.logical_address
    if is_delimited(rules, address) or not climbs(rules, kind, question.contract):
        return
    for unit in question.table.units_spelled_like(address):
        note = f"the HSA tree has {unit} and tells units apart by case"
        for above in question.table.ancestors(unit):
            yield from _losers(question, kind, above, RejectionReason.CASE_DIFFERS, note)


def _near_misses(question: Question, kind: Kind) -> Iterator[_Loser]:
    """Rows of the addresses looked at for other consumers, and of the address itself for other contracts."""
    table, known, sender = question.table, question.contract_id, question.sender
    if kind is Kind.PERMISSION and known is not None:
        for address in _levels(question, kind):
            for row in table.other_permissions_at(address, known, sender, NEAR_MISSES):
                yield _Loser(row, RejectionReason.OTHER_CONSUMER)
    for address in _own_addresses(question):
        others: list[Record] = (
            [*table.other_routes_at(address, known, NEAR_MISSES)]
            if kind is Kind.ROUTE
            else [*table.other_contracts_permitted(address, known, sender, NEAR_MISSES)]
        )
        for other in others:
            yield _Loser(other, RejectionReason.OTHER_CONTRACT)


def _levels(question: Question, kind: Kind) -> Iterator[str]:
    table, sender, contract, address = question.table, question.sender, question.contract, question.logical_address
    for level in levels(table, kind, sender=sender, contract=contract, logical_address=address):
        if level.address:
            yield level.address


def _own_addresses(question: Question) -> tuple[str, ...]:
    rules, address = question.table.resolution, question.logical_address
    return tokens(rules, address) if is_delimited(rules, address) else (address,)


def _losers(question: Question, kind: Kind, address: str, reason: RejectionReason, note: str) -> Iterator[_Loser]:
    for row in question.rows_at(kind, address):
        yield _Loser(row, reason, note)


def _untimely(row: Record, now: datetime) -> _Loser:
    opens, closes = instant(row.valid_from), instant(row.valid_to)
    if opens is not None and now < opens:
        return _Loser(row, RejectionReason.NOT_YET_VALID, f"opens in {_span(opens - now)}")
    assert closes is not None
    return _Loser(row, RejectionReason.EXPIRED, f"{_span(now - closes)} ago")


def _span(span: timedelta) -> str:
    if span.days:
        return f"{span.days} day{'s' if span.days > 1 else ''}"
    minutes = span.seconds // 60
    return f"{minutes // 60} h {minutes % 60} min"


def _rejection(table: Table, record: Record, reason: RejectionReason, note: str) -> Rejection:
    if isinstance(record, RouteRecord):
        route = table.route(record)
        row = f"route {route.logical_address} {short_name(route.contract)} -> {route.producer_address}"
        return Rejection(row, route.source, reason, note)
    permission = table.permission(record)
    row = f"permission {permission.consumer} -> {permission.logical_address} {short_name(permission.contract)}"
    return Rejection(row, permission.source, reason, note)
