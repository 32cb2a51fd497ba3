"""What is wrong with a whole draft, and what deserves a second look: one message per mistake, with file and line.

Errors refuse a publication; warnings do not.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urlsplit

from rivta.catalogue.compile import VARIABLE
from rivta.catalogue.files import Reading
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.rows import (
    ANY_ADDRESS,
    HSA_ROOT,
    Draft,
    PermissionRow,
    Place,
    Problem,
    ProducerAddress,
    RouteRow,
    closes,
    opens,
)
from rivta.soap.identifiers import short_name

_HSA_ID = re.compile(r"SE\d{10}(?:\d\d)?-[0-9A-Za-z_-]+", re.IGNORECASE)
_NUMBER_AS_ADDRESS = re.compile(r"\d{10,12}")
"""Some addresses are an organisation number, as the aggregating services' 5565594230."""

_INFRASTRUCTURE = ("itintegration", "infrastructure")
"""First word of the service domains without patient data of their own."""

_SCHEMES = ("https", "http", "unix")
Row = TypeVar("Row", RouteRow, PermissionRow)

_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Report:
    """A draft that was read and looked through."""

    draft: Draft
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a draft is checked against."""

    hsa: HsaTree
    variables: Mapping[str, str]
    """The configuration's `[variables]`."""
    own_variables: Collection[str] = ()
    """Names of those that are the platform's own address: a route there would come back to us."""


def check(reading: Reading, surroundings: Surroundings, *, now: datetime) -> Report:
    """Every mistake in the files and in what they say together, in the order of files and lines."""
    errors = list(reading.problems)
    warnings: list[Problem] = []
    # When a file is not even YAML, everything it declares would seem to be missing.
    if reading.is_whole:
        found, warnings = lint(reading.draft, surroundings, now=now, unread=reading.unread)
        errors.extend(found)
    return Report(reading.draft, _in_order(errors), _in_order(warnings))


def lint(
    draft: Draft, surroundings: Surroundings, *, now: datetime, unread: Collection[str] = ()
) -> tuple[list[Problem], list[Problem]]:
    """Errors and warnings of what the rows say together; `unread` names are taken to exist."""
    errors = [
        *_duplicate_names(draft),
        *_unknown_references(draft, unread),
        *_bad_urls(draft.producer_addresses, surroundings),
        *_identities_of_their_own(draft.producer_addresses),
        *_inverted(draft),
        *_overlapping_routes(draft.routes),
        *_routes_to_ourselves(draft, surroundings),
    ]
    warnings = [
        *_plain_http(draft.producer_addresses, surroundings.variables),
        *_undeclared(draft, surroundings.hsa, unread),
        *_odd_ids(draft),
        *_expired(draft, now),
        *_default_for_patient_data(draft),
        *_odd_filters(draft.permissions),
        *_overlapping_permissions(draft.permissions),
        *_unmatched(draft, surroundings.hsa),
        *_unused(draft),
    ]
    if draft.resolution is None and not draft.is_empty:
        file = (draft.routes or draft.permissions)[0].place.file
        message = "no file has a resolution section: hsa_climb is on for routes and permissions, delimiter is #"
        warnings.append(Problem(file, 0, "no-resolution", message))
    return errors, warnings


def _duplicate_names(draft: Draft) -> Iterator[Problem]:
    yield from _twice("component", ((row.hsa_id.lower(), row.hsa_id, row.place) for row in draft.components))
    yield from _twice("producer address", ((row.name, row.name, row.place) for row in draft.producer_addresses))
    addresses = ((row.logical_address.lower(), row.logical_address, row.place) for row in draft.logical_addresses)
    yield from _twice("logical address", addresses)


def _twice(what: str, names: Iterable[tuple[str, str, Place]]) -> Iterator[Problem]:
    first: dict[str, Place] = {}
    for key, name, place in names:
        if key in first:
            message = f"{what} {name} stands here a second time, first at {first[key]}; keep one"
            yield _at(place, "duplicate-name", message)
        first.setdefault(key, place)


def _unknown_references(draft: Draft, unread: Collection[str]) -> Iterator[Problem]:
    components = {row.hsa_id.lower() for row in draft.components} | {name.lower() for name in unread}
    for row in draft.producer_addresses:
        if row.component.lower() not in components:
            message = f"producer address {row.name}: component {row.component!r} is in no components section"
            yield _at(row.place, "unknown-component", message)
    names = {row.name for row in draft.producer_addresses} | set(unread)
    told: set[tuple[Place, str]] = set()
    for route in draft.routes:
        if route.producer_address not in names and (route.place, route.producer_address) not in told:
            told.add((route.place, route.producer_address))
            known = ", ".join(sorted(names)) or "none"
            message = f"route: producer_address {route.producer_address!r} does not exist; there are {known}"
            yield _at(route.place, "unknown-producer-address", message)


def _identities_of_their_own(rows: Iterable[ProducerAddress]) -> Iterator[Problem]:
    """Until the router can, such a row must not look as if its producer were called or trusted as it says."""
    for row in rows:
        for field, value in (("client_certificate", row.client_certificate), ("ca", row.ca)):
            if value is not None:
                message = (
                    f"producer address {row.name}: {field} {value!r}: a producer is called with the platform's own "
                    "certificate and trust; take the field away"
                )
                yield _at(row.place, "not-supported", message)


def _bad_urls(rows: Iterable[ProducerAddress], surroundings: Surroundings) -> Iterator[Problem]:
    for row in rows:
        unknown = [name for name in VARIABLE.findall(row.url) if name not in surroundings.variables]
        for name in unknown:
            known = ", ".join(sorted(surroundings.variables)) or "none"
            message = f"producer address {row.name}: url: ${{{name}}} is not in [variables], which has {known}"
            yield _at(row.place, "unknown-variable", message)
        if not unknown and (reason := _url_mistake(_resolved(row.url, surroundings.variables))):
            yield _at(row.place, "bad-url", f"producer address {row.name}: url {row.url!r}: {reason}")


def _url_mistake(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return str(error)
    if re.search(r"\s", url) or not url.isprintable():
        return "has a blank or an unprintable character in it"
    if parts.scheme not in _SCHEMES:
        return "expected https://host:port/path"
    if parts.scheme == "unix":
        return "" if parts.path or parts.netloc else "expected unix:/path/of/socket"
    if not parts.hostname or port == 0:
        return "expected https://host:port/path"
    return "has a password in it; producers know the platform by its certificate" if "@" in parts.netloc else ""


def _inverted(draft: Draft) -> Iterator[Problem]:
    for row in _written_once(_all_rows(draft)):
        first, last = opens(row.valid_from), closes(row.valid_to)
        if first is not None and last is not None and first >= last:
            message = f"{_kind(row)}: valid_from {row.valid_from} is after valid_to {row.valid_to}: it is never valid"
            yield _at(row.place, "inverted-period", message)


def _overlapping_routes(rows: Iterable[RouteRow]) -> Iterator[Problem]:
    by_key: dict[tuple[str, str], list[RouteRow]] = defaultdict(list)
    for row in rows:
        by_key[row.logical_address.lower(), row.contract.lower()].append(row)
    for same in by_key.values():
        for row, other in _overlaps(same):
            message = (
                f"route {row.logical_address} {short_name(row.contract)} is valid at the same time as the one at "
                f"{other.place}: calls would be refused with VP006; end one before the other begins"
            )
            yield _at(row.place, "route-overlap", message)


def _overlapping_permissions(rows: Iterable[PermissionRow]) -> Iterator[Problem]:
    by_key: dict[tuple[str, str, str], list[PermissionRow]] = defaultdict(list)
    for row in rows:
        by_key[row.logical_address.lower(), row.contract.lower(), row.consumer.lower()].append(row)
    for same in by_key.values():
        for row, other in _overlaps(same):
            message = (
                f"permission {row.consumer} -> {row.logical_address} {short_name(row.contract)} "
                f"is given at the same time by {other.place}"
            )
            yield _at(row.place, "permission-overlap", message)


def _overlaps(rows: list[Row]) -> Iterator[tuple[Row, Row]]:
    """Each row that begins before an earlier one has ended, with that one."""
    if len(rows) < 2:
        return
    periods = [(opens(row.valid_from) or _FIRST, closes(row.valid_to) or _LAST, row) for row in rows]
    periods = [period for period in periods if period[0] < period[1]]
    periods.sort(key=lambda period: (period[0], period[1], period[2].place.file, period[2].place.line))
    longest = periods[0] if periods else None
    for period in periods[1:]:
        assert longest is not None
        if period[0] < longest[1]:
            yield period[2], longest[2]
        longest = max(longest, period, key=lambda one: one[1])


def _routes_to_ourselves(draft: Draft, surroundings: Surroundings) -> Iterator[Problem]:
    variables = surroundings.variables
    own = {variables[name].rstrip("/") for name in surroundings.own_variables if name in variables}
    written = {f"${{{name}}}" for name in surroundings.own_variables}
    ours = {
        row.name
        for row in draft.producer_addresses
        if row.url in written or _resolved(row.url, variables).rstrip("/") in own
    }
    for row in _written_once(draft.routes):
        if isinstance(row, RouteRow) and row.producer_address in ours:
            message = f"route: producer_address {row.producer_address} is this platform itself: calls would circle"
            yield _at(row.place, "route-to-itself", message)


def _plain_http(rows: Iterable[ProducerAddress], variables: Mapping[str, str]) -> Iterator[Problem]:
    for row in rows:
        if _resolved(row.url, variables).startswith("http:"):
            message = f"producer address {row.name}: url is plain http: patient data would travel in the clear"
            yield _at(row.place, "plain-http", message)


def _undeclared(draft: Draft, hsa: HsaTree, unread: Collection[str]) -> Iterator[Problem]:
    addresses = {row.logical_address.lower() for row in draft.logical_addresses} | {ANY_ADDRESS, HSA_ROOT.lower()}
    addresses |= {unit.lower() for unit in hsa.units}
    components = {row.hsa_id.lower() for row in draft.components} | {name.lower() for name in unread}
    told: set[str] = set()
    for row in _all_rows(draft):
        if (key := row.logical_address.lower()) not in addresses and key not in told:
            told.add(key)
            message = f"{_kind(row)}: {row.logical_address} is neither in logical_addresses nor a unit of the HSA tree"
            yield _at(row.place, "undeclared-address", message)
        if isinstance(row, PermissionRow) and (key := row.consumer.lower()) not in components and key not in told:
            told.add(key)
            message = f"permission: consumer {row.consumer} is in no components section"
            yield _at(row.place, "undeclared-consumer", message)


def _odd_ids(draft: Draft) -> Iterator[Problem]:
    ids = [(row.hsa_id, row.place) for row in draft.components]
    ids += [(row.consumer, row.place) for row in draft.permissions]
    addresses = [(named.logical_address, named.place) for named in draft.logical_addresses]
    addresses += [(row.logical_address, row.place) for row in _all_rows(draft)]
    told: set[str] = set()
    for hsa_id, place in (*ids, *addresses):
        if hsa_id in told or hsa_id in (ANY_ADDRESS, HSA_ROOT) or _HSA_ID.fullmatch(hsa_id):
            continue
        told.add(hsa_id)
        if not _NUMBER_AS_ADDRESS.fullmatch(hsa_id):
            message = f"{hsa_id!r} does not look like an HSA-id, as SE2321000016-A1B2"
            yield _at(place, "odd-hsa-id", message)


def _expired(draft: Draft, now: datetime) -> Iterator[Problem]:
    for row in _written_once(_all_rows(draft)):
        last = closes(row.valid_to)
        if last is not None and last <= now:
            yield _at(
                row.place, "expired", f"{_kind(row)}: valid_to {row.valid_to} has passed; remove it or prolong it"
            )


def _default_for_patient_data(draft: Draft) -> Iterator[Problem]:
    told: set[Place] = set()
    for row in _all_rows(draft):
        if row.logical_address == ANY_ADDRESS and _has_patient_data(row.contract) and row.place not in told:
            told.add(row.place)
            what = "reaches" if isinstance(row, PermissionRow) else "catches"
            message = f"{_kind(row)}: * {what} every address for {short_name(row.contract)}, which carries patient data"
            yield _at(row.place, "default-for-patient-data", message)


def _odd_filters(rows: Iterable[PermissionRow]) -> Iterator[Problem]:
    for row in rows:
        if row.filters and not short_name(row.contract).startswith("ProcessNotification:"):
            message = f"permission: filters mean nothing for {short_name(row.contract)}, only for ProcessNotification"
            yield _at(row.place, "odd-filters", message)


def _unmatched(draft: Draft, hsa: HsaTree) -> Iterator[Problem]:
    """Routes nobody may use, and permissions for what goes nowhere, by address and contract."""
    routed, permitted = _Reach(draft.routes, hsa), _Reach(draft.permissions, hsa)
    for row in _once_per_place_and_address(draft.routes):
        if not permitted.meets(row.logical_address, row.contract):
            message = f"route {row.logical_address} {short_name(row.contract)}: nobody has a permission for it"
            yield _at(row.place, "route-without-permission", message)
    for row in _once_per_place_and_address(draft.permissions):
        if not routed.meets(row.logical_address, row.contract):
            message = f"permission for {row.logical_address} {short_name(row.contract)}: there is no route to it"
            yield _at(row.place, "permission-without-route", message)


class _Reach:
    """Which addresses the rows of a table reach, up and down the HSA tree."""

    def __init__(self, rows: Iterable[RouteRow | PermissionRow], hsa: HsaTree) -> None:
        self._hsa = hsa
        self._addresses: dict[str, set[str]] = defaultdict(set)
        self._above: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            key, address = row.contract.lower(), row.logical_address
            if address.lower() not in self._addresses[key]:
                self._addresses[key].add(address.lower())
                self._above[key].update(unit.lower() for unit in hsa.ancestors(address))

    def meets(self, address: str, contract: str) -> bool:
        """A row for the contract holds for the address, or for one above or below it."""
        key, addresses = contract.lower(), self._addresses[contract.lower()]
        if not addresses:
            return False
        if address in (ANY_ADDRESS, HSA_ROOT) or ANY_ADDRESS in addresses or address.lower() in addresses:
            return True
        if address.lower() in self._above[key]:
            return True
        return any(unit.lower() in addresses for unit in self._hsa.ancestors(address))


def _unused(draft: Draft) -> Iterator[Problem]:
    used = {row.producer_address for row in draft.routes}
    for row in draft.producer_addresses:
        if row.name not in used:
            yield _at(row.place, "unused", f"producer address {row.name}: no route leads to it")


def _all_rows(draft: Draft) -> Iterator[RouteRow | PermissionRow]:
    yield from draft.routes
    yield from draft.permissions


def _written_once(
    rows: Iterable[RouteRow | PermissionRow],
) -> Iterator[RouteRow | PermissionRow]:
    """One of the rows that a written row stands for: for what they have in common."""
    seen: set[Place] = set()
    for row in rows:
        if row.place not in seen:
            seen.add(row.place)
            yield row


def _once_per_place_and_address(
    rows: Iterable[RouteRow | PermissionRow],
) -> Iterator[RouteRow | PermissionRow]:
    seen: set[tuple[Place, str, str]] = set()
    for row in rows:
        key = (row.place, row.logical_address, row.contract)
        if key not in seen:
            seen.add(key)
            yield row


def _resolved(url: str, variables: Mapping[str, str]) -> str:
    return VARIABLE.sub(lambda match: variables.get(match.group(1), match.group()), url)


def _has_patient_data(contract: str) -> bool:
    return not contract.removeprefix("urn:riv:").startswith(_INFRASTRUCTURE)


def _kind(row: RouteRow | PermissionRow) -> str:
    return "route" if isinstance(row, RouteRow) else "permission"


def _at(place: Place, rule: str, message: str) -> Problem:
    return Problem(place.file, place.line, rule, message)


def _in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(set(problems), key=lambda problem: (problem.file, problem.line, problem.rule, problem.message)))
