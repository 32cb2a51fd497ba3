"""Rows as YAML text again, for a publication whose own files are not known: a file for each that its rows name."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Any, TypeVar

from rivta.catalogue.rows import Bound, Draft, PermissionRow, Place, ProducerAddress, Resolution, RouteRow

_FALLBACK = "tables.yaml"
_HEAD = "# Written from a publication: the comments of the files that it was made of are not known.\n"

Row = TypeVar("Row", RouteRow, PermissionRow)


def as_files(draft: Draft) -> dict[str, bytes]:
    """Text by name of file; read again, it gives the same rows at other places."""
    files: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for place, section, line in _lines(draft):
        files[_name(place)][section].append(line)
    return {name: _text(sections) for name, sections in sorted(files.items())}


def _text(sections: dict[str, list[str]]) -> bytes:
    parts = [_HEAD]
    for section, lines in sections.items():
        parts.append(f"{section}:\n")
        parts += [f"  {line}\n" for line in lines]
    return "".join(parts).encode()


def _name(place: Place | None) -> str:
    name = PurePath(place.file).name if place else ""
    return name if name.endswith((".yaml", ".yml")) else _FALLBACK


def _lines(draft: Draft) -> Iterator[tuple[Place | None, str, str]]:
    """Place, section and line of each row as it was written. JSON is YAML, and quotes whatever needs it."""
    if draft.resolution is not None:
        for key, value in _resolution(draft.resolution).items():
            yield draft.resolution.place, "resolution", f"{key}: {_json(value)}"
    for component in draft.components:
        fields = {"name": component.name, "platform": component.platform}
        yield component.place, "components", f"{_json(component.hsa_id)}: {_json(_said(fields))}"
    for address in draft.producer_addresses:
        yield address.place, "producer_addresses", f"{_json(address.name)}: {_json(_said(_producer_address(address)))}"
    for named in draft.logical_addresses:
        yield named.place, "logical_addresses", f"{_json(named.logical_address)}: {_json(_said({'name': named.name}))}"
    for place, routes in _by_place(draft.routes):
        for fields in _together([_route(row) for row in routes], ("logical_address", "contracts")):
            yield place, "routes", f"- {_json(fields)}"
    for place, permissions in _by_place(draft.permissions):
        rows = [_permission(row) for row in permissions]
        for fields in _together(rows, ("consumer", "logical_address", "contracts")):
            yield place, "permissions", f"- {_json(fields)}"


def _by_place(rows: Iterable[Row]) -> Iterator[tuple[Place, list[Row]]]:
    found: dict[Place, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.place].append(row)
    yield from sorted(found.items(), key=lambda item: (item[0].file, item[0].line))


def _together(rows: list[dict[str, Any]], listed: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows of one place as one with lists, if it stands for all combinations of their values; else as they are."""
    values = {key: sorted({row[key] for row in rows}) for key in listed}
    rest = {json.dumps({key: value for key, value in row.items() if key not in listed}) for row in rows}
    combinations = 1
    for found in values.values():
        combinations *= len(found)
    if len(rest) > 1 or combinations != len(rows):
        return rows
    lists = {key: found if len(found) > 1 else found[0] for key, found in values.items()}
    return [{key: lists.get(key, value) for key, value in rows[0].items()}]


def _resolution(row: Resolution) -> dict[str, Any]:
    climb: dict[str, Any] = {"routes": row.climb_routes, "permissions": row.climb_permissions}
    if row.climb_except:
        climb["except"] = list(row.climb_except)
    found: dict[str, Any] = {"hsa_climb": climb, "delimiter": row.delimiter}
    if row.delimiter_contracts:
        found["delimiter_contracts"] = list(row.delimiter_contracts)
    if row.delimiter_senders:
        found["delimiter_senders"] = list(row.delimiter_senders)
    return found


def _producer_address(row: ProducerAddress) -> dict[str, Any]:
    return {
        "component": row.component,
        "url": row.url,
        "profile": row.profile.value,
        "client_certificate": row.client_certificate,
        "ca": row.ca,
    }


def _route(row: RouteRow) -> dict[str, Any]:
    return _said(
        {
            "logical_address": row.logical_address,
            "contracts": row.contract,
            "producer_address": row.producer_address,
            "valid_from": _bound(row.valid_from),
            "valid_to": _bound(row.valid_to),
        }
    )


def _permission(row: PermissionRow) -> dict[str, Any]:
    return _said(
        {
            "consumer": row.consumer,
            "logical_address": row.logical_address,
            "contracts": row.contract,
            "agreement": row.agreement,
            "valid_from": _bound(row.valid_from),
            "valid_to": _bound(row.valid_to),
            "filters": [_said({"domain": part.domain, "categories": list(part.categories)}) for part in row.filters],
        }
    )


def _said(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value not in (None, "", [], False)}


def _bound(bound: Bound | None) -> str | None:
    return None if bound is None else bound.isoformat()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
