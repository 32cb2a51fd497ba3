"""Rows as a person writes them in YAML: those that differ only in address, contract or consumer are one, with lists."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rivta.catalogue.files import ContractsByName
from rivta.catalogue.rows import (
    Bound,
    Component,
    NamedAddress,
    NotificationFilter,
    PermissionRow,
    ProducerAddress,
    Resolution,
    RouteRow,
)
from rivta.soap.identifiers import short_name

_PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9_.:-]*[A-Za-z0-9_])?")
_OTHER_TYPES = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
"""Words that YAML takes for something else than text."""
_LONGEST_LIST = 80

Spell = Callable[[str], str]
"""The shortest name that means a contract, from its namespace."""


@dataclass(frozen=True, slots=True)
class Field:
    """A key of a row and its value: text that is YAML already, or a list of such texts."""

    key: str
    value: str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """What one written row says: every combination of what it lists."""

    consumers: tuple[str, ...]
    """None for a route."""
    addresses: tuple[str, ...]
    contracts: tuple[str, ...]
    """Namespaces."""
    first: RouteRow | PermissionRow
    """Whose other fields all have."""

    def fields(self, spell: Spell) -> list[Field]:
        """As it is written."""
        row = self.first
        found = [Field("logical_address", _one_or_list(self.addresses))]
        found.append(Field("contracts", tuple(scalar(spell(one)) for one in self.contracts)))
        if isinstance(row, RouteRow):
            found.append(Field("producer_address", scalar(row.producer_address)))
            return found + validity_fields(row)
        found.insert(0, Field("consumer", _one_or_list(self.consumers)))
        found += validity_fields(row)
        found.append(Field("agreement", scalar(row.agreement)))
        return found + ([Field("filters", filters(row.filters))] if row.filters else [])


def short_names(contracts: ContractsByName) -> Spell:
    """Spells a contract by its short name where that is installed and means only it, else by its namespace."""
    known: dict[str, str] = {}

    def spell(namespace: str) -> str:
        if namespace not in known:
            name = short_name(namespace)
            try:
                is_known = name != namespace and contracts.find(name).namespace == namespace
            except LookupError:
                is_known = False
            known[namespace] = name if is_known else namespace
        return known[namespace]

    return spell


def groups(rows: Iterable[RouteRow | PermissionRow]) -> list[Group]:
    """The fewest written rows that are found without search, in the order in which the rows come."""
    alike: dict[tuple[object, ...], list[RouteRow | PermissionRow]] = defaultdict(list)
    for row in rows:
        alike[others(row)].append(row)
    return [group for some in alike.values() for group in _products(some)]


def others(row: RouteRow | PermissionRow) -> tuple[object, ...]:
    """What rows that are written as one have in common."""
    if isinstance(row, RouteRow):
        return ("route", row.producer_address, row.valid_from, row.valid_to)
    return ("permission", row.agreement, row.valid_from, row.valid_to, row.filters)


def _products(rows: Sequence[RouteRow | PermissionRow]) -> list[Group]:
    """Contracts by consumer and address, then addresses with equal contracts, then consumers with equal of both."""
    contracts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        consumer = row.consumer if isinstance(row, PermissionRow) else ""
        contracts[consumer, row.logical_address].append(row.contract)
    addresses: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (consumer, address), some in contracts.items():
        addresses[consumer, _in_order(some)].append(address)
    consumers: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = defaultdict(list)
    for (consumer, of), where in addresses.items():
        consumers[of, tuple(where)].append(consumer)
    return [Group(tuple(filter(None, who)), where, of, rows[0]) for (of, where), who in consumers.items()]


def _in_order(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(texts, key=lambda one: (short_name(one), one)))


def validity_fields(row: RouteRow | PermissionRow) -> list[Field]:
    """The bounds that a row has."""
    bounds = (("valid_from", row.valid_from), ("valid_to", row.valid_to))
    return [Field(key, bound_text(bound)) for key, bound in bounds if bound is not None]


def bound_text(bound: Bound) -> str:
    """A day plain, a time in quotes."""
    return f'"{bound.isoformat()}"' if isinstance(bound, datetime) else bound.isoformat()


def filters(found: Sequence[NotificationFilter]) -> str:
    """Filters of a permission in one line."""
    parts = []
    for part in found:
        categories = f", categories: {flow_list([scalar(one) for one in part.categories])}" if part.categories else ""
        parts.append(f"{{domain: {scalar(part.domain)}{categories}}}")
    return flow_list(parts)


def entry(row: Component | NamedAddress | ProducerAddress) -> tuple[str, str]:
    """Key and value of a row of a section that is known by names."""
    match row:
        case Component():
            return scalar(row.hsa_id), _flow([("name", _name(row)), ("platform", "true" if row.platform else "")])
        case NamedAddress():
            return scalar(row.logical_address), _flow([("name", _name(row))])
        case ProducerAddress():
            fields = [
                ("component", scalar(row.component)),
                ("url", text(row.url)),
                ("profile", row.profile.value),
                ("client_certificate", scalar(row.client_certificate) if row.client_certificate else ""),
                ("ca", scalar(row.ca) if row.ca else ""),
            ]
            return scalar(row.name), _flow(fields)


def resolution_lines(row: Resolution, spell: Spell) -> list[str]:
    """The section `resolution`, line by line, without its indentation."""
    excepted = flow_list([scalar(spell(one)) for one in row.climb_except])
    climb = f"routes: {str(row.climb_routes).lower()}, permissions: {str(row.climb_permissions).lower()}"
    lines = [f"hsa_climb: {{{climb}, except: {excepted}}}", f"delimiter: {text(row.delimiter)}"]
    if row.delimiter_contracts:
        lines.append(f"delimiter_contracts: {flow_list([scalar(spell(one)) for one in row.delimiter_contracts])}")
    if row.delimiter_senders:
        lines.append(f"delimiter_senders: {flow_list([scalar(one) for one in row.delimiter_senders])}")
    return lines


def block_item(fields: Sequence[Field], indent: int) -> list[str]:
    """A row as an item of a list, line by line; `indent` is the column of its dash."""
    lines: list[str] = []
    for field in fields:
        start = " " * indent + ("- " if not lines else "  ") + f"{field.key}:"
        if isinstance(field.value, str):
            lines.append(f"{start} {field.value}")
        elif len(one_line := flow_list(field.value)) <= _LONGEST_LIST:
            lines.append(f"{start} {one_line}")
        else:
            lines += [start, *(" " * (indent + 4) + f"- {one}" for one in field.value)]
    return lines


def flow_item(fields: Sequence[Field]) -> str:
    """A row in braces."""
    return _flow([(one.key, one.value if isinstance(one.value, str) else flow_list(one.value)) for one in fields])


def scalar(value: str) -> str:
    """As YAML reads it back: plain where that is safe, else in quotes."""
    is_plain = _PLAIN.fullmatch(value) and value.lower() not in _OTHER_TYPES
    return value if is_plain else text(value)


def text(value: str) -> str:
    """In JSON's quotes, which YAML has too."""
    return json.dumps(value, ensure_ascii=False)


def flow_list(texts: Iterable[str]) -> str:
    """In brackets."""
    return f"[{', '.join(texts)}]"


def _flow(fields: Iterable[tuple[str, str]]) -> str:
    return f"{{{', '.join(f'{key}: {value}' for key, value in fields if value)}}}"


def _name(row: Component | NamedAddress) -> str:
    return text(row.name) if row.name else ""


def _one_or_list(texts: Sequence[str]) -> str | tuple[str, ...]:
    spelled = tuple(scalar(one) for one in texts)
    return spelled[0] if len(spelled) == 1 else spelled
