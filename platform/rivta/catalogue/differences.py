"""What differs between two tables, field by field: a pure function of two drafts (a publication's content is one too).

Rows are paired by a natural key, never by their place: moving a row to another file is no difference.

| Section | Key |
|---|---|
| components | HSA-id |
| producer addresses | name |
| logical addresses | the address |
| routes | address, contract, producer address and validity |
| permissions | consumer, address, contract and validity |
| resolution | there is one |

Identifiers match in any case, as in decisions; a new spelling is a changed field. A route or permission that has no
twin of the same key is *changed* rather than removed and added where both tables have such a row for the same address
and contract (and consumer): those to the same producer address first, then in the order of their validity.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from rivta.catalogue.rows import (
    Bound,
    Component,
    Draft,
    NamedAddress,
    PermissionRow,
    Place,
    ProducerAddress,
    Resolution,
    RouteRow,
)

Fields = Mapping[str, Any]
"""A row as it is compared: text, truth values and lists of text; None where nothing was written."""

Key = tuple[str, ...]
Row = TypeVar("Row", Component, ProducerAddress, NamedAddress)
TimedRow = TypeVar("TimedRow", RouteRow, PermissionRow)


class Section(Enum):
    """The sections of a table, in the order in which they are told; values as in the files."""

    RESOLUTION = "resolution"
    COMPONENTS = "components"
    LOGICAL_ADDRESSES = "logical_addresses"
    PRODUCER_ADDRESSES = "producer_addresses"
    ROUTES = "routes"
    PERMISSIONS = "permissions"


class Change(Enum):
    """What became of a row."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a changed row."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that is not the same in both tables."""

    section: Section
    change: Change
    key: Key
    """What says which row it is, in the spelling of the newer table: (address, contract, ...) as `KEYS` names them."""
    fields: tuple[FieldChange, ...]
    """Of a changed row what differs; of an added or removed one every field that says something."""
    before_place: Place | None
    after_place: Place | None

    @property
    def same_row(self) -> tuple[Section, Key]:
        """Equal for differences of the same row, in any spelling: what two editors have both touched."""
        return self.section, tuple(part.lower() for part in self.key)


KEYS: Mapping[Section, tuple[str, ...]] = {
    Section.RESOLUTION: (),
    Section.COMPONENTS: ("hsa_id",),
    Section.LOGICAL_ADDRESSES: ("logical_address",),
    Section.PRODUCER_ADDRESSES: ("name",),
    Section.ROUTES: ("logical_address", "contract"),
    Section.PERMISSIONS: ("consumer", "logical_address", "contract"),
}
"""Names of the parts of a difference's key."""


def differences(before: Draft, after: Draft) -> tuple[Difference, ...]:
    """Every row that was added, removed or changed, by section and then by key; empty when both say the same."""
    return (
        *_resolution(before.resolution, after.resolution),
        *_named(Section.COMPONENTS, before.components, after.components, lambda row: row.hsa_id, _component),
        *_named(
            Section.LOGICAL_ADDRESSES,
            before.logical_addresses,
            after.logical_addresses,
            lambda row: row.logical_address,
            _logical_address,
        ),
        *_named(
            Section.PRODUCER_ADDRESSES,
            before.producer_addresses,
            after.producer_addresses,
            lambda row: row.name,
            _producer_address,
        ),
        *_timed(Section.ROUTES, before.routes, after.routes, _route),
        *_timed(Section.PERMISSIONS, before.permissions, after.permissions, _permission),
    )


def differences_json(found: Iterable[Difference]) -> list[dict[str, Any]]:
    """The differences as `rivta route diff --json` prints them."""
    return [
        {
            "section": one.section.value,
            "change": one.change.value,
            "key": dict(zip(KEYS[one.section], one.key, strict=True)),
            "fields": {field.name: {"before": field.before, "after": field.after} for field in one.fields},
            "before_source": None if one.before_place is None else str(one.before_place),
            "after_source": None if one.after_place is None else str(one.after_place),
        }
        for one in found
    ]


def _resolution(before: Resolution | None, after: Resolution | None) -> Iterator[Difference]:
    # What no file says is the default: writing the defaults down changes nothing.
    if fields := _field_changes(_resolution_fields(before or Resolution()), _resolution_fields(after or Resolution())):
        places = (before.place if before else None), (after.place if after else None)
        yield Difference(Section.RESOLUTION, Change.CHANGED, (), fields, *places)


def _named(
    section: Section,
    before: Iterable[Row],
    after: Iterable[Row],
    name: Callable[[Row], str],
    fields: Callable[[Row], Fields],
) -> Iterator[Difference]:
    """Rows that have a name of their own. Producer addresses tell names apart by case; the others do not."""
    fold: Callable[[str], str] = str if section is Section.PRODUCER_ADDRESSES else str.lower
    old, new = ({fold(name(row)): row for row in rows} for rows in (before, after))
    for key in sorted(old.keys() | new.keys()):
        first, second = old.get(key), new.get(key)
        named = second if second is not None else first
        assert named is not None
        yield from _compared(section, (name(named),), first, second, fields)


def _timed(
    section: Section, before: Iterable[TimedRow], after: Iterable[TimedRow], fields: Callable[[TimedRow], Fields]
) -> Iterator[Difference]:
    """Rows of which several may have the same names, at different times."""
    old, new = _by_names(before), _by_names(after)
    for key in sorted(old.keys() | new.keys()):
        for first, second in _pairs(old.get(key, []), new.get(key, [])):
            named = second if second is not None else first
            assert named is not None
            yield from _compared(section, _names(named), first, second, fields)


def _by_names(rows: Iterable[TimedRow]) -> dict[Key, list[TimedRow]]:
    found: dict[Key, list[TimedRow]] = defaultdict(list)
    for row in rows:
        found[tuple(part.lower() for part in _names(row))].append(row)
    return found


def _names(row: RouteRow | PermissionRow) -> Key:
    if isinstance(row, RouteRow):
        return row.logical_address, row.contract
    return row.consumer, row.logical_address, row.contract


def _pairs(before: list[TimedRow], after: list[TimedRow]) -> Iterator[tuple[TimedRow | None, TimedRow | None]]:
    """Which row became which; None where there is no other."""
    if len(before) == 1 == len(after):
        yield before[0], after[0]
        return
    for alike in (_identity, _target, lambda _row: ""):
        left_over: dict[Any, list[TimedRow]] = defaultdict(list)
        for row in sorted(after, key=_order):
            left_over[alike(row)].append(row)
        unpaired: list[TimedRow] = []
        for row in sorted(before, key=_order):
            others = left_over.get(alike(row))
            if others:
                yield row, others.pop(0)
            else:
                unpaired.append(row)
        before, after = unpaired, [row for rows in left_over.values() for row in rows]
    for row in before:
        yield row, None
    for row in after:
        yield None, row


def _identity(row: RouteRow | PermissionRow) -> Any:
    return _target(row), row.valid_from, row.valid_to


def _target(row: RouteRow | PermissionRow) -> str:
    return row.producer_address if isinstance(row, RouteRow) else ""


def _order(row: RouteRow | PermissionRow) -> tuple[str, str, str]:
    return _bound(row.valid_from) or "", _bound(row.valid_to) or "~", _target(row)


AnyRow = TypeVar("AnyRow", Component, ProducerAddress, NamedAddress, RouteRow, PermissionRow)


def _compared(
    section: Section, key: Key, before: AnyRow | None, after: AnyRow | None, fields: Callable[[AnyRow], Fields]
) -> Iterator[Difference]:
    if before is not None and after is not None:
        if changes := _field_changes(fields(before), fields(after)):
            yield Difference(section, Change.CHANGED, key, changes, before.place, after.place)
    elif before is not None:
        gone = tuple(FieldChange(name, value, None) for name, value in fields(before).items() if value is not None)
        yield Difference(section, Change.REMOVED, key, gone, before.place, None)
    elif after is not None:
        new = tuple(FieldChange(name, None, value) for name, value in fields(after).items() if value is not None)
        yield Difference(section, Change.ADDED, key, new, None, after.place)


def _field_changes(before: Fields, after: Fields) -> tuple[FieldChange, ...]:
    return tuple(FieldChange(name, before[name], after[name]) for name in before if before[name] != after[name])


def _resolution_fields(row: Resolution) -> Fields:
    return {
        "hsa_climb.routes": row.climb_routes,
        "hsa_climb.permissions": row.climb_permissions,
        "hsa_climb.except": sorted(row.climb_except),
        "delimiter": row.delimiter,
        "delimiter_contracts": sorted(row.delimiter_contracts),
        "delimiter_senders": sorted(row.delimiter_senders),
    }


def _component(row: Component) -> Fields:
    return {"hsa_id": row.hsa_id, "name": row.name or None, "platform": row.platform or None}


def _logical_address(row: NamedAddress) -> Fields:
    return {"logical_address": row.logical_address, "name": row.name or None}


def _producer_address(row: ProducerAddress) -> Fields:
    return {
        "name": row.name,
        "component": row.component,
        "url": row.url,
        "profile": row.profile.value,
        "client_certificate": row.client_certificate,
        "ca": row.ca,
    }


def _route(row: RouteRow) -> Fields:
    return {
        "logical_address": row.logical_address,
        "contract": row.contract,
        "producer_address": row.producer_address,
        "valid_from": _bound(row.valid_from),
        "valid_to": _bound(row.valid_to),
    }


def _permission(row: PermissionRow) -> Fields:
    filters = [f"{part.domain} {','.join(part.categories)}".strip() for part in row.filters]
    return {
        "consumer": row.consumer,
        "logical_address": row.logical_address,
        "contract": row.contract,
        "agreement": row.agreement,
        "valid_from": _bound(row.valid_from),
        "valid_to": _bound(row.valid_to),
        "filters": sorted(filters) or None,
    }


def _bound(bound: Bound | None) -> str | None:
    return None if bound is None else bound.isoformat()
