"""What the incumbent's aggregating services ask of a table: a named query beside the decision engine.

Source: SKLTP's AGP with takcache (TakCacheServiceImpl). Used only with `compat.aggregate_without_climb`.
"""

from collections.abc import Iterable
from datetime import datetime

from rivta.catalogue.decision import Outcome
from rivta.catalogue.rows import ANY_ADDRESS
from rivta.catalogue.table import PermissionRecord, RouteRecord, Table, microseconds


def outcome_without_climb(table: Table, *, sender: str, contract: str, logical_address: str, now: datetime) -> Outcome:
    """Whether there is a route and a permission at exactly this address, or else at `*`: it climbs no HSA tree, and
    takes an address with a delimiter for a name like any other."""
    number = table.contract_id(contract)
    if number is None:
        return Outcome.NO_ROUTE
    moment = microseconds(now)
    if not any(_is_any_valid(table.routes_at(one, number), moment) for one in (logical_address, ANY_ADDRESS)):
        return Outcome.NO_ROUTE
    for address in (logical_address, ANY_ADDRESS):
        if _is_any_valid(table.permissions_at(address, number, sender), moment):
            return Outcome.ROUTED
    return Outcome.NO_PERMISSION


def _is_any_valid(records: Iterable[RouteRecord | PermissionRecord], moment: int) -> bool:
    return any(one.valid_from <= moment < one.valid_to for one in records)
