"""What an import changes in a draft: rows that come, rows that become others, rows that go."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urlsplit

from rivta.catalogue.compile import UncompilableTable, resolve
from rivta.catalogue.content import Row
from rivta.catalogue.exchange.imported import Remark, readable_name
from rivta.catalogue.rows import (
    Component,
    Draft,
    NamedAddress,
    PermissionRow,
    Place,
    ProducerAddress,
    Resolution,
    RouteRow,
    closes,
    opens,
)
from rivta.soap.identifiers import HsaId

_NOWHERE = Place("", 0)
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)
_Dated = TypeVar("_Dated", RouteRow, PermissionRow)
_Same = Callable[[_Dated, _Dated], bool]


@dataclass(frozen=True, slots=True)
class Changes:
    """From one draft to another."""

    added: Draft = field(default_factory=Draft)
    changed: Mapping[Row, Row | None] = field(default_factory=dict)
    """Rows of the draft, each with what it becomes; None where it goes."""
    resolution: Resolution | None = None
    """Rules that replace the draft's."""

    @property
    def is_empty(self) -> bool:
        """Nothing is different."""
        return self.added == Draft() and not self.changed and self.resolution is None


@dataclass(frozen=True, slots=True)
class Unsaid:
    """What is put where a source does not say something that a table must have."""

    agreement: str
    component: str = ""
    """Of producer addresses; empty makes one up for each host."""


def changes_of(
    draft: Draft, wanted: Draft, *, variables: Mapping[str, str], unsaid: Unsaid, replaces: bool = False
) -> tuple[Changes, tuple[Remark, ...]]:
    """What turns `draft` into one that has what is `wanted`, and nothing else when it `replaces`."""
    planner = _Planner(draft, wanted, variables, unsaid, replaces=replaces)
    planner.plan()
    return Changes(planner.added(), planner.changed, planner.resolution), tuple(planner.remarks)


def applied(draft: Draft, changes: Changes) -> Counter[Row]:
    """The rows that the draft has after the changes, without their places."""
    found: Counter[Row] = Counter()
    for row in rows_of(draft):
        if (became := changes.changed.get(row, row)) is not None:
            found[_placeless(became)] += 1
    found.update(_placeless(row) for row in rows_of(changes.added))
    if changes.resolution is not None:
        for row in [row for row in found if isinstance(row, Resolution)]:
            del found[row]
        found[_placeless(changes.resolution)] += 1
    return found


def placeless(draft: Draft) -> Counter[Row]:
    """The rows of a draft without their places."""
    return Counter(_placeless(row) for row in rows_of(draft))


def rows_of(draft: Draft) -> Iterable[Row]:
    """Every row."""
    yield from draft.components
    yield from draft.producer_addresses
    yield from draft.logical_addresses
    yield from draft.routes
    yield from draft.permissions
    if draft.resolution is not None:
        yield draft.resolution


def _placeless(row: Row) -> Row:
    return replace(row, place=_NOWHERE)


class _Planner:
    def __init__(
        self, draft: Draft, wanted: Draft, variables: Mapping[str, str], unsaid: Unsaid, *, replaces: bool
    ) -> None:
        self._draft, self._wanted, self._unsaid, self._replaces = draft, wanted, unsaid, replaces
        self._variables = variables
        self.changed: dict[Row, Row | None] = {}
        self.remarks: list[Remark] = []
        self.resolution: Resolution | None = None
        self._components: list[Component] = []
        self._producers: list[ProducerAddress] = []
        self._addresses: list[NamedAddress] = []
        self._routes: list[RouteRow] = []
        self._permissions: list[PermissionRow] = []
        self._known = {row.hsa_id.lower() for row in draft.components}
        self._by_name = {row.name: row for row in draft.producer_addresses}
        self._wanted_by_name = {row.name: row for row in wanted.producer_addresses}
        self._by_url: dict[tuple[str, str], list[ProducerAddress]] = defaultdict(list)
        for row in draft.producer_addresses:
            self._by_url[self._url(row), row.profile.value].append(row)
        self._names: dict[str, str] = {}
        self._taken = set(self._by_name)

    def plan(self) -> None:
        self._plan_names()
        self._match(self._draft.routes, self._wanted.routes, self._routes, _route_key, self._same_target, self._route)
        self._match(
            self._draft.permissions,
            self._wanted.permissions,
            self._permissions,
            _permission_key,
            self._same_permission,
            self._permission,
        )
        used = {row.producer_address for row in self._wanted.routes}
        for row in self._wanted.producer_addresses:
            if self._replaces or row.name not in used:
                self._name_of(row.name)
        if self._replaces:
            self._remove_unused()
        self._plan_resolution()

    def added(self) -> Draft:
        return Draft(
            components=tuple(self._components),
            producer_addresses=tuple(self._producers),
            logical_addresses=tuple(self._addresses),
            routes=tuple(self._routes),
            permissions=tuple(self._permissions),
        )

    def _plan_names(self) -> None:
        components = {row.hsa_id.lower(): row for row in self._draft.components}
        for wanted in self._wanted.components:
            found = components.get(wanted.hsa_id.lower())
            if found is None:
                self._components.append(wanted)
                self._known.add(wanted.hsa_id.lower())
            elif (wanted.name and wanted.name != found.name) or (wanted.platform and not found.platform):
                became = replace(found, name=wanted.name or found.name, platform=wanted.platform or found.platform)
                self.changed[found] = became
        addresses = {row.logical_address.lower(): row for row in self._draft.logical_addresses}
        for named in self._wanted.logical_addresses:
            known = addresses.get(named.logical_address.lower())
            if known is None:
                self._addresses.append(named)
            elif named.name and named.name != known.name:
                self.changed[known] = replace(known, name=named.name)

    def _match(
        self,
        existing: Iterable[_Dated],
        wanted: Iterable[_Dated],
        added: list[_Dated],
        key: Callable[[_Dated], tuple[str, ...]],
        is_same: _Same[_Dated],
        merged: Callable[[_Dated | None, _Dated], _Dated],
    ) -> None:
        """Pair rows of the same key: those that say the same first, then those that come closest."""
        there: dict[tuple[str, ...], list[_Dated]] = defaultdict(list)
        for row in existing:
            there[key(row)].append(row)
        want: dict[tuple[str, ...], list[_Dated]] = defaultdict(list)
        for row in wanted:
            want[key(row)].append(row)
        for name, some in want.items():
            olds = there.pop(name, [])
            for is_pair in _closeness(is_same):
                for new in list(some):
                    old = next((one for one in olds if is_pair(one, new)), None)
                    if old is None:
                        continue
                    olds.remove(old)
                    some.remove(new)
                    became = merged(old, new)
                    if became != old:
                        self.changed[old] = became
            added.extend(merged(None, new) for new in some)
            if self._replaces:
                self.changed.update(dict.fromkeys(olds))
        if self._replaces:
            for rest in there.values():
                self.changed.update(dict.fromkeys(rest))

    def _route(self, old: RouteRow | None, new: RouteRow) -> RouteRow:
        if old is None:
            return replace(new, producer_address=self._name_of(new.producer_address))
        became = (
            old if self._same_target(old, new) else replace(old, producer_address=self._name_of(new.producer_address))
        )
        return became if _same_period(old, new) else replace(became, valid_from=new.valid_from, valid_to=new.valid_to)

    def _same_target(self, old: RouteRow, new: RouteRow) -> bool:
        there, wanted = self._by_name.get(old.producer_address), self._wanted_by_name.get(new.producer_address)
        return there is not None and wanted is not None and self._is_same_producer(there, wanted)

    def _permission(self, old: PermissionRow | None, new: PermissionRow) -> PermissionRow:
        if old is None:
            return replace(new, agreement=new.agreement or self._unsaid.agreement)
        became = replace(old, agreement=new.agreement or old.agreement, filters=new.filters)
        return became if _same_period(old, new) else replace(became, valid_from=new.valid_from, valid_to=new.valid_to)

    @staticmethod
    def _same_permission(old: PermissionRow, new: PermissionRow) -> bool:
        return (not new.agreement or old.agreement == new.agreement) and old.filters == new.filters

    def _is_same_producer(self, there: ProducerAddress, wanted: ProducerAddress) -> bool:
        return (
            (there.url == wanted.url or self._url(there) == self._url(wanted))
            and there.profile is wanted.profile
            and (not wanted.component or wanted.component.lower() == there.component.lower())
            and (wanted.client_certificate, wanted.ca) in ((None, None), (there.client_certificate, there.ca))
        )

    def _name_of(self, wanted_name: str) -> str:
        """What the draft calls a producer address of the source; it is added if the draft has none such."""
        if wanted_name not in self._wanted_by_name:
            return wanted_name
        if wanted_name not in self._names:
            wanted = self._wanted_by_name[wanted_name]
            same = [
                row
                for row in self._by_url[self._url(wanted), wanted.profile.value]
                if self._is_same_producer(row, wanted)
            ]
            same.sort(key=lambda row: row.name != wanted_name)
            self._names[wanted_name] = same[0].name if same else self._add_producer(wanted)
        return self._names[wanted_name]

    def _add_producer(self, wanted: ProducerAddress) -> str:
        component = wanted.component or self._owner(wanted)
        name = wanted.name
        if name in self._taken:
            name = readable_name(wanted.url, component, taken=self._taken)
        self._taken.add(name)
        self._producers.append(replace(wanted, name=name, component=HsaId(component)))
        return name

    def _owner(self, wanted: ProducerAddress) -> str:
        """A component for an address whose source does not say which: one with the same host, or a new one."""
        host = _host(self._url(wanted))
        component = self._unsaid.component or next(
            (row.component for row in self._draft.producer_addresses if host and _host(self._url(row)) == host), ""
        )
        made_up = f"UNKNOWN-{host.replace('.', '-').replace(':', '-') or 'HOST'}".upper()
        component = component or made_up
        if component.lower() not in self._known:
            self._known.add(component.lower())
            name = f"Not known: who answers at {host}" if component == made_up else ""
            self._components.append(Component(HsaId(component), name, False, wanted.place))
        self.remarks.append(
            Remark(str(wanted.place), f"the source does not say whose {wanted.url} is: {component} is assumed")
        )
        return component

    def _remove_unused(self) -> None:
        """What the source declares none of, or the rows that stay still use, stays."""
        kept = [became for row in self._draft.routes if (became := self.changed.get(row, row)) is not None]
        used = {row.producer_address for row in (*kept, *self._routes) if isinstance(row, RouteRow)}
        used |= set(self._names.values())
        owners = set()
        for producer in self._draft.producer_addresses:
            if producer.name not in used:
                self.changed[producer] = None
            else:
                owners.add(producer.component.lower())
        owners |= {row.component.lower() for row in self._producers}
        wanted = {row.hsa_id.lower() for row in self._wanted.components}
        if wanted:
            for row in self._draft.components:
                if row.hsa_id.lower() not in wanted | owners:
                    self.changed[row] = None
        named = {row.logical_address.lower() for row in self._wanted.logical_addresses}
        if named:
            for address in self._draft.logical_addresses:
                if address.logical_address.lower() not in named:
                    self.changed[address] = None

    def _plan_resolution(self) -> None:
        wanted, there = self._wanted.resolution, self._draft.resolution
        if wanted is None or (there is not None and _placeless(wanted) == _placeless(there)):
            return
        if there is None or self._replaces:
            self.resolution = wanted
            return
        self.remarks.append(Remark(str(there.place), "resolution is another in the source: the draft's own is kept"))

    def _url(self, row: ProducerAddress) -> str:
        try:
            return resolve(row.url, self._variables)
        except UncompilableTable:
            return row.url


def _closeness(is_same: _Same[_Dated]) -> tuple[_Same[_Dated], ...]:
    return (
        lambda old, new: _same_period(old, new) and is_same(old, new),
        _same_period,
        lambda old, new: is_same(old, new) and _overlap(old, new),
        lambda old, new: opens(old.valid_from) == opens(new.valid_from),
        _overlap,
    )


def _same_period(one: _Dated, other: _Dated) -> bool:
    return opens(one.valid_from) == opens(other.valid_from) and closes(one.valid_to) == closes(other.valid_to)


def _overlap(one: _Dated, other: _Dated) -> bool:
    return (opens(one.valid_from) or _FIRST) < (closes(other.valid_to) or _LAST) and (
        opens(other.valid_from) or _FIRST
    ) < (closes(one.valid_to) or _LAST)


def _route_key(row: RouteRow) -> tuple[str, ...]:
    return row.logical_address.lower(), row.contract.lower()


def _permission_key(row: PermissionRow) -> tuple[str, ...]:
    return row.consumer.lower(), row.logical_address.lower(), row.contract.lower()


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""
