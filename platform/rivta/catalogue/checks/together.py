"""What rows do together: routes and permissions that never meet, and rows that others make needless."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TypeVar

from rivta.catalogue.checks.problems import all_rows, at, kind
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.levels import Kind, climbs, is_delimited, tokens
from rivta.catalogue.rows import (
    ANY_ADDRESS,
    HSA_ROOT,
    Draft,
    PermissionRow,
    Place,
    Problem,
    Resolution,
    RouteRow,
    closes,
    opens,
)
from rivta.soap.identifiers import short_name

_INFRASTRUCTURE = ("itintegration", "infrastructure")
"""First word of the service domains without patient data of their own."""

_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)
_ROOT = HSA_ROOT.lower()

Row = TypeVar("Row", RouteRow, PermissionRow)


def warnings(draft: Draft, hsa: HsaTree) -> Iterator[Problem]:
    """Rows that do nothing, or more than they should."""
    rules = draft.resolution or Resolution()
    yield from _default_for_patient_data(draft)
    yield from _odd_filters(draft.permissions)
    yield from _unreachable(draft, rules)
    yield from _shadowed_routes(draft.routes, rules)
    yield from _shadowed_permissions(draft.permissions)
    yield from _unmatched(draft, hsa, rules)
    if draft.resolution is None and not draft.is_empty:
        file = (draft.routes or draft.permissions)[0].place.file
        message = "no file has a resolution section: hsa_climb is on for routes and permissions, delimiter is #"
        yield Problem(file, 0, "no-resolution", message)


def _default_for_patient_data(draft: Draft) -> Iterator[Problem]:
    told: set[Place] = set()
    for row in all_rows(draft):
        if row.logical_address == ANY_ADDRESS and _has_patient_data(row.contract) and row.place not in told:
            told.add(row.place)
            what = "reaches" if isinstance(row, PermissionRow) else "catches"
            message = f"{kind(row)}: * {what} every address for {short_name(row.contract)}, which carries patient data"
            yield at(row.place, "default-for-patient-data", message)


def _has_patient_data(contract: str) -> bool:
    return not contract.removeprefix("urn:riv:").startswith(_INFRASTRUCTURE)


def _odd_filters(rows: Iterable[PermissionRow]) -> Iterator[Problem]:
    for row in rows:
        if row.filters and not short_name(row.contract).startswith("ProcessNotification:"):
            message = f"permission: filters mean nothing for {short_name(row.contract)}, only for ProcessNotification"
            yield at(row.place, "odd-filters", message)


def _unreachable(draft: Draft, rules: Resolution) -> Iterator[Problem]:
    """Rows at addresses that are never looked up: several in one, and the root where the tree is not climbed."""
    told: set[tuple[Place, str]] = set()
    for row in all_rows(draft):
        address = row.logical_address
        if is_delimited(rules, address):
            parts = " and ".join(tokens(rules, address)) or "nothing"
            message = f"{address} is looked up by its parts alone, {parts}: delimiter is {rules.delimiter!r}"
        elif address.lower() == _ROOT and not climbs(rules, Kind(kind(row)), row.contract):
            message = f"{address} is looked up by calls to {address} alone: hsa_climb is off for {kind(row)}s of "
            message += short_name(row.contract)
        else:
            continue
        if (row.place, address) not in told:
            told.add((row.place, address))
            yield at(row.place, "unreachable", f"{kind(row)}: {message}")


def _shadowed_routes(rows: Iterable[RouteRow], rules: Resolution) -> Iterator[Problem]:
    """A default route comes after one at the root of the tree, which every look-up climbs to."""
    at_root: dict[str, list[RouteRow]] = defaultdict(list)
    default: list[RouteRow] = []
    for row in rows:
        if row.logical_address.lower() == _ROOT:
            at_root[row.contract.lower()].append(row)
        elif row.logical_address == ANY_ADDRESS:
            default.append(row)
    for row in default:
        if climbs(rules, Kind.ROUTE, row.contract) and (other := _covering(row, at_root[row.contract.lower()])):
            message = (
                f"route * {short_name(row.contract)}: the one for {HSA_ROOT} at {other.place} always comes first; * "
                "would catch addresses of several parts at most"
            )
            yield at(row.place, "shadowed", message)


def _shadowed_permissions(rows: Iterable[PermissionRow]) -> Iterator[Problem]:
    """A permission for `*` comes second, right after the address itself, and permits every address anyway."""
    default: dict[tuple[str, str], list[PermissionRow]] = defaultdict(list)
    others: list[PermissionRow] = []
    for row in rows:
        if row.logical_address == ANY_ADDRESS:
            default[row.consumer.lower(), row.contract.lower()].append(row)
        elif not row.filters:
            others.append(row)
    if not default:
        return
    told: set[tuple[Place, Place]] = set()
    for row in others:
        other = _covering(row, default.get((row.consumer.lower(), row.contract.lower()), []))
        if other is not None and (row.place, other.place) not in told:
            told.add((row.place, other.place))
            message = (
                f"permission {row.consumer} -> {row.logical_address} {short_name(row.contract)}: the one for * at "
                f"{other.place} permits it anyway"
            )
            yield at(row.place, "shadowed", message)


def _covering(row: Row, others: Iterable[Row]) -> Row | None:
    """One of the others that is valid whenever the row is."""
    first, last = opens(row.valid_from) or _FIRST, closes(row.valid_to) or _LAST
    for other in others:
        if (opens(other.valid_from) or _FIRST) <= first and last <= (closes(other.valid_to) or _LAST):
            return other
    return None


def _unmatched(draft: Draft, hsa: HsaTree, rules: Resolution) -> Iterator[Problem]:
    """Routes nobody may use, and permissions for what goes nowhere, by address and contract."""
    routes, permissions = _Addresses(draft.routes, hsa), _Addresses(draft.permissions, hsa)
    for row in _once_per_place_and_address(draft.routes):
        address, contract = row.logical_address, row.contract
        up, down = climbs(rules, Kind.PERMISSION, contract), climbs(rules, Kind.ROUTE, contract)
        if not is_delimited(rules, address) and not permissions.meet(address, contract, up=up, down=down):
            message = f"route {address} {short_name(contract)}: nobody has a permission for it"
            yield at(row.place, "route-without-permission", message)
    for row in _once_per_place_and_address(draft.permissions):
        address, contract = row.logical_address, row.contract
        up, down = climbs(rules, Kind.ROUTE, contract), climbs(rules, Kind.PERMISSION, contract)
        if not is_delimited(rules, address) and not routes.meet(address, contract, up=up, down=down):
            message = f"permission for {address} {short_name(contract)}: there is no route to it"
            yield at(row.place, "permission-without-route", message)


class _Addresses:
    """The addresses of rows, by contract, and the units above them."""

    def __init__(self, rows: Iterable[RouteRow | PermissionRow], hsa: HsaTree) -> None:
        self._hsa = hsa
        self._at: dict[str, set[str]] = defaultdict(set)
        self._above: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            key, address = row.contract.lower(), row.logical_address
            if address.lower() not in self._at[key]:
                self._at[key].add(address.lower())
                self._above[key].update(unit.lower() for unit in hsa.ancestors(address))

    def meet(self, address: str, contract: str, *, up: bool, down: bool) -> bool:
        """Some call finds both a row of these and one of the other kind at `address`.

        `up`: rows of these are looked for above an address too; `down`: so are those of the other kind.
        """
        own, found = address.lower(), self._at.get(contract.lower(), set())
        if not found:
            return False
        if own in found or ANY_ADDRESS in found or own == ANY_ADDRESS:
            return True
        if down and (own == _ROOT or own in self._above[contract.lower()]):
            return True
        return up and (_ROOT in found or any(unit.lower() in found for unit in self._hsa.ancestors(address)))


def _once_per_place_and_address(
    rows: Iterable[RouteRow] | Iterable[PermissionRow],
) -> Iterator[RouteRow | PermissionRow]:
    seen: set[tuple[Place, str, str]] = set()
    for row in rows:
        key = (row.place, row.logical_address, row.contract)
        if key not in seen:
            seen.add(key)
            yield row
