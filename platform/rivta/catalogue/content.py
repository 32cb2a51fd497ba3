"""What a publication freezes: the whole draft as canonical JSON, one row a line, so that a million can be streamed.

`${name}` in URLs stays unresolved. Rows are in the order of their keys, so that the order of files and of rows in
them means nothing; their places in the files are part of the content, because explanations refer to them.
"""

import gzip
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Any

from rivta.catalogue.rows import (
    Bound,
    Component,
    Draft,
    NamedAddress,
    NotificationFilter,
    PermissionRow,
    Place,
    ProducerAddress,
    Resolution,
    RouteRow,
)
from rivta.soap.identifiers import ContractNamespace, HsaId, LogicalAddress, Profile

FORMAT = 1

Row = Component | ProducerAddress | NamedAddress | RouteRow | PermissionRow | Resolution


def encode(draft: Draft) -> bytes:
    """The draft as canonical JSON in UTF-8."""
    return b"".join(_lines(draft))


def digest(content: bytes) -> str:
    """SHA-256 of the canonical JSON, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def compress(content: bytes) -> bytes:
    """The content as it is stored; the same bytes every time."""
    return gzip.compress(content, compresslevel=6, mtime=0)


def decompress(stored: bytes) -> bytes:
    """The content that `compress` stored; ValueError when it is damaged."""
    try:
        return gzip.decompress(stored)
    except (OSError, EOFError) as error:
        raise ValueError(f"the stored content of a publication is damaged: {error}") from error


def rows(content: bytes) -> Iterator[Row]:
    """Every row of the content, section by section in alphabetical order, without holding them all.

    Raises ValueError when it is not content of the format this program writes.
    """
    lines = iter(io.BytesIO(content))
    try:
        if next(lines, b"").rstrip(b",\n") != b'{"format":%d' % FORMAT:
            raise ValueError(f"the first line does not say format {FORMAT}")
        section = ""
        for line in lines:
            text = line.rstrip(b",\n")
            if text.endswith(b":["):
                section = json.loads(text[:-2])
            elif text.startswith(b"{"):
                yield _READERS[section](json.loads(text))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not the content of a publication: {error}") from error


def decode(content: bytes) -> Draft:
    """The draft that `encode` wrote; ValueError when it is not one."""
    found: dict[type[Any], list[Any]] = {kind: [] for kind in _SECTIONS}
    for row in rows(content):
        found[type(row)].append(row)
    resolutions: list[Resolution] = found[Resolution]
    return Draft(
        components=tuple(found[Component]),
        producer_addresses=tuple(found[ProducerAddress]),
        logical_addresses=tuple(found[NamedAddress]),
        routes=tuple(found[RouteRow]),
        permissions=tuple(found[PermissionRow]),
        resolution=resolutions[0] if resolutions else None,
    )


def _lines(draft: Draft) -> Iterator[bytes]:
    yield b'{"format":%d' % FORMAT
    sections: tuple[tuple[str, Iterable[Row]], ...] = (
        ("components", draft.components),
        ("logical_addresses", draft.logical_addresses),
        ("permissions", draft.permissions),
        ("producer_addresses", draft.producer_addresses),
        ("resolution", () if draft.resolution is None else (draft.resolution,)),
        ("routes", draft.routes),
    )
    for name, section in sections:
        yield f',\n"{name}":[\n'.encode()
        written = [_written(row) for row in sorted(section, key=_sort_key)]
        yield b",\n".join(written)
        yield b"\n]"
    yield b"\n}\n"


def _written(row: Row) -> bytes:
    fields = {key: value for key, value in _WRITERS[type(row)](row).items() if value not in (None, (), [])}
    return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _sort_key(row: Row) -> tuple[str, ...]:
    match row:
        case Component(hsa_id=name) | ProducerAddress(name=name) | NamedAddress(logical_address=name):
            return (name.lower(), name)
        case RouteRow():
            return (
                row.logical_address.lower(),
                row.contract.lower(),
                _bound_text(row.valid_from) or "",
                str(row.place.file),
                f"{row.place.line:09}",
            )
        case PermissionRow():
            return (
                row.logical_address.lower(),
                row.contract.lower(),
                row.consumer.lower(),
                _bound_text(row.valid_from) or "",
                str(row.place.file),
                f"{row.place.line:09}",
            )
        case Resolution():
            return ()


def _bound_text(bound: Bound | None) -> str | None:
    return None if bound is None else bound.isoformat()


def _bound(text: str | None) -> Bound | None:
    if text is None:
        return None
    return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)


def _place(text: str) -> Place:
    file, _, line = text.rpartition(":")
    return Place(file, int(line))


def _write_resolution(row: Resolution) -> dict[str, Any]:
    return {
        "climb_routes": row.climb_routes,
        "climb_permissions": row.climb_permissions,
        "climb_except": row.climb_except,
        "delimiter": row.delimiter,
        "delimiter_contracts": row.delimiter_contracts,
        "delimiter_senders": row.delimiter_senders,
        "source": str(row.place) if row.place else None,
    }


def _read_resolution(fields: dict[str, Any]) -> Resolution:
    return Resolution(
        climb_routes=fields["climb_routes"],
        climb_permissions=fields["climb_permissions"],
        climb_except=tuple(fields.get("climb_except", ())),
        delimiter=fields["delimiter"],
        delimiter_contracts=tuple(fields.get("delimiter_contracts", ())),
        delimiter_senders=tuple(fields.get("delimiter_senders", ())),
        place=_place(fields["source"]) if "source" in fields else None,
    )


def _write_component(row: Component) -> dict[str, Any]:
    return {"hsa_id": row.hsa_id, "name": row.name, "platform": row.platform, "source": str(row.place)}


def _read_component(fields: dict[str, Any]) -> Component:
    return Component(HsaId(fields["hsa_id"]), fields["name"], fields["platform"], _place(fields["source"]))


def _write_producer_address(row: ProducerAddress) -> dict[str, Any]:
    return {
        "name": row.name,
        "component": row.component,
        "url": row.url,
        "profile": row.profile.value,
        "client_certificate": row.client_certificate,
        "ca": row.ca,
        "source": str(row.place),
    }


def _read_producer_address(fields: dict[str, Any]) -> ProducerAddress:
    return ProducerAddress(
        name=fields["name"],
        component=HsaId(fields["component"]),
        url=fields["url"],
        profile=Profile(fields["profile"]),
        client_certificate=fields.get("client_certificate"),
        ca=fields.get("ca"),
        place=_place(fields["source"]),
    )


def _write_address(row: NamedAddress) -> dict[str, Any]:
    return {"logical_address": row.logical_address, "name": row.name, "source": str(row.place)}


def _read_address(fields: dict[str, Any]) -> NamedAddress:
    return NamedAddress(LogicalAddress(fields["logical_address"]), fields["name"], _place(fields["source"]))


def _write_route(row: RouteRow) -> dict[str, Any]:
    return {
        "logical_address": row.logical_address,
        "contract": row.contract,
        "producer_address": row.producer_address,
        "valid_from": _bound_text(row.valid_from),
        "valid_to": _bound_text(row.valid_to),
        "source": str(row.place),
    }


def _read_route(fields: dict[str, Any]) -> RouteRow:
    return RouteRow(
        logical_address=LogicalAddress(fields["logical_address"]),
        contract=ContractNamespace(fields["contract"]),
        producer_address=fields["producer_address"],
        valid_from=_bound(fields.get("valid_from")),
        valid_to=_bound(fields.get("valid_to")),
        place=_place(fields["source"]),
    )


def _write_permission(row: PermissionRow) -> dict[str, Any]:
    return {
        "consumer": row.consumer,
        "logical_address": row.logical_address,
        "contract": row.contract,
        "agreement": row.agreement,
        "valid_from": _bound_text(row.valid_from),
        "valid_to": _bound_text(row.valid_to),
        "filters": [{"domain": part.domain, "categories": part.categories} for part in row.filters],
        "source": str(row.place),
    }


def _read_permission(fields: dict[str, Any]) -> PermissionRow:
    return PermissionRow(
        consumer=HsaId(fields["consumer"]),
        logical_address=LogicalAddress(fields["logical_address"]),
        contract=ContractNamespace(fields["contract"]),
        agreement=fields["agreement"],
        valid_from=_bound(fields.get("valid_from")),
        valid_to=_bound(fields.get("valid_to")),
        filters=tuple(
            NotificationFilter(part["domain"], tuple(part["categories"])) for part in fields.get("filters", ())
        ),
        place=_place(fields["source"]),
    )


_SECTIONS: dict[type[Any], tuple[str, Any, Any]] = {
    Component: ("components", _write_component, _read_component),
    NamedAddress: ("logical_addresses", _write_address, _read_address),
    PermissionRow: ("permissions", _write_permission, _read_permission),
    ProducerAddress: ("producer_addresses", _write_producer_address, _read_producer_address),
    Resolution: ("resolution", _write_resolution, _read_resolution),
    RouteRow: ("routes", _write_route, _read_route),
}
_WRITERS = {kind: write for kind, (_, write, _) in _SECTIONS.items()}
_READERS = {name: read for name, _, read in _SECTIONS.values()}
