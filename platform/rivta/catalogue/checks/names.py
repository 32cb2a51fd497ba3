"""Names: declared twice, not at all, or spelled in an odd way."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from rivta.catalogue.checks.problems import Surroundings, all_rows, at, kind
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.rows import ANY_ADDRESS, HSA_ROOT, Draft, PermissionRow, Place, Problem
from rivta.soap.identifiers import short_name

_HSA_ID = re.compile(r"SE\d{10}(?:\d\d)?-[0-9A-Za-z_-]+", re.IGNORECASE)
_NUMBER_AS_ADDRESS = re.compile(r"\d{10,12}")
"""Some addresses are an organisation number, as the aggregating services' 5565594230."""

_PREFIX = "urn:riv:"
_CONTRACT = re.compile(_PREFIX + r"[a-z0-9][a-z0-9.:_-]*:[A-Za-z][A-Za-z0-9]*Responder:\d+", re.ASCII)
_OF_A_WSDL = re.compile(r"(.+:)([A-Za-z0-9]+?)(?:Responder|Initiator)?:(\d+)(?::rivtabp2[01])?", re.IGNORECASE)


def errors(draft: Draft, unread: Collection[str]) -> Iterator[Problem]:
    """Names that stand twice, or for nothing; `unread` ones are taken to exist."""
    yield from _twice("component", ((row.hsa_id.lower(), row.hsa_id, row.place) for row in draft.components))
    yield from _twice("producer address", ((row.name, row.name, row.place) for row in draft.producer_addresses))
    addresses = ((row.logical_address.lower(), row.logical_address, row.place) for row in draft.logical_addresses)
    yield from _twice("logical address", addresses)
    yield from _unknown_references(draft, unread)


def warnings(draft: Draft, around: Surroundings, unread: Collection[str]) -> Iterator[Problem]:
    """Names that nobody declared or uses, and odd spellings."""
    yield from _undeclared(draft, around.hsa, unread)
    yield from _odd_ids(draft)
    yield from _other_case(draft, around.hsa)
    yield from _odd_contracts(draft, around.contracts)
    yield from _unused(draft)


def _twice(what: str, names: Iterable[tuple[str, str, Place]]) -> Iterator[Problem]:
    first: dict[str, Place] = {}
    for key, name, place in names:
        if key in first:
            message = f"{what} {name} stands here a second time, first at {first[key]}; keep one"
            yield at(place, "duplicate-name", message)
        first.setdefault(key, place)


def _unknown_references(draft: Draft, unread: Collection[str]) -> Iterator[Problem]:
    components = {row.hsa_id.lower() for row in draft.components} | {name.lower() for name in unread}
    for row in draft.producer_addresses:
        if row.component.lower() not in components:
            message = f"producer address {row.name}: component {row.component!r} is in no components section"
            yield at(row.place, "unknown-component", message)
    names = {row.name for row in draft.producer_addresses} | set(unread)
    told: set[tuple[Place, str]] = set()
    for route in draft.routes:
        if route.producer_address not in names and (route.place, route.producer_address) not in told:
            told.add((route.place, route.producer_address))
            known = ", ".join(sorted(names)) or "none"
            message = f"route: producer_address {route.producer_address!r} does not exist; there are {known}"
            yield at(route.place, "unknown-producer-address", message)


def _undeclared(draft: Draft, hsa: HsaTree, unread: Collection[str]) -> Iterator[Problem]:
    addresses = {row.logical_address.lower() for row in draft.logical_addresses} | {ANY_ADDRESS, HSA_ROOT.lower()}
    addresses |= {unit.lower() for unit in hsa.units}
    components = {row.hsa_id.lower() for row in draft.components} | {name.lower() for name in unread}
    told: set[str] = set()
    for row in all_rows(draft):
        if (key := row.logical_address.lower()) not in addresses and key not in told:
            told.add(key)
            message = f"{kind(row)}: {row.logical_address} is neither in logical_addresses nor a unit of the HSA tree"
            yield at(row.place, "undeclared-address", message)
        if isinstance(row, PermissionRow) and (key := row.consumer.lower()) not in components and key not in told:
            told.add(key)
            message = f"permission: consumer {row.consumer} is in no components section"
            yield at(row.place, "undeclared-consumer", message)


def _odd_ids(draft: Draft) -> Iterator[Problem]:
    told: set[str] = set()
    for hsa_id, place in _every_id(draft):
        if hsa_id in told or hsa_id in (ANY_ADDRESS, HSA_ROOT) or _HSA_ID.fullmatch(hsa_id):
            continue
        told.add(hsa_id)
        if not _NUMBER_AS_ADDRESS.fullmatch(hsa_id):
            yield at(place, "odd-hsa-id", f"{hsa_id!r} does not look like an HSA-id, as SE2321000016-A1B2")


def _every_id(draft: Draft) -> Iterator[tuple[str, Place]]:
    yield from ((row.hsa_id, row.place) for row in draft.components)
    yield from ((row.consumer, row.place) for row in draft.permissions)
    yield from _every_address(draft)


def _every_address(draft: Draft) -> Iterator[tuple[str, Place]]:
    yield from ((named.logical_address, named.place) for named in draft.logical_addresses)
    yield from ((row.logical_address, row.place) for row in all_rows(draft))


def _other_case(draft: Draft, hsa: HsaTree) -> Iterator[Problem]:
    """Rows are found in any case, but calls spelled like these climb from no unit: the tree tells case apart."""
    spelled: dict[str, str] = {unit.lower(): unit for unit in hsa.units}
    told: set[str] = set()
    for address, place in _every_address(draft):
        unit = spelled.get(address.lower())
        if unit is not None and address not in hsa.units and address not in told:
            told.add(address)
            message = f"{address} is {unit} in the HSA tree, which tells case apart: calls spelled so climb no tree"
            yield at(place, "address-case", message)


def _odd_contracts(draft: Draft, installed: Collection[str] | None) -> Iterator[Problem]:
    others: dict[str, list[str]] = defaultdict(list)
    for namespace in installed or ():
        others[_name(namespace)].append(namespace)
    told: set[str] = set()
    for row in all_rows(draft):
        contract = str(row.contract)
        if contract in told or (installed is not None and contract in installed):
            continue
        told.add(contract)
        if not _CONTRACT.fullmatch(contract):
            message = f"{kind(row)}: {contract} is no contract's namespace; expected {_meant(contract)}"
            yield at(row.place, "odd-contract", message)
        elif near := others.get(_name(contract)):
            message = f"{kind(row)}: {contract} is not installed; of that name there is {', '.join(sorted(near))}"
            yield at(row.place, "contract-version", message)


def _name(namespace: str) -> str:
    return short_name(namespace).partition(":")[0].lower()


def _meant(namespace: str) -> str:
    found = _OF_A_WSDL.fullmatch(namespace)
    if found is None or not found[1].startswith(_PREFIX):
        return f"{_PREFIX}<domain>:<Name>Responder:<major>"
    return f"{found[1]}{found[2]}Responder:{found[3]}"


def _unused(draft: Draft) -> Iterator[Problem]:
    used = {row.producer_address for row in draft.routes}
    for row in draft.producer_addresses:
        if row.name not in used:
            yield at(row.place, "unused", f"producer address {row.name}: no route leads to it")
