"""An order applied to a draft, as the incumbent's catalogue applies it, with everything that it ignores said aloud.

The stages and what happens in them are those of `tak-behaviour` section 2.1: all errors of a stage are collected, then
it stops; an order with an error changes nothing. What the draft here cannot hold (an interval that ends before it
begins) is left out, which has the same effect.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from urllib.parse import urlsplit

from rivta.catalogue.content import Row
from rivta.catalogue.exchange.changes import Changes
from rivta.catalogue.exchange.dates import first_day, last_day
from rivta.catalogue.exchange.imported import ImportRefused, Remark, readable_name
from rivta.catalogue.exchange.order_file import Item, Order, Section, hundred_years_after
from rivta.catalogue.rows import (
    ANY_ADDRESS,
    SWEDISH_TIME,
    Bound,
    Component,
    Draft,
    NamedAddress,
    PermissionRow,
    Place,
    Problem,
    ProducerAddress,
    RouteRow,
)
from rivta.soap.identifiers import ContractNamespace, HsaId, LogicalAddress, Profile

AGREEMENT = "AUTOTAKNING"
"""The agreement of every permission that an order makes."""

_NAMESPACE = re.compile(r"[0-9a-zA-Z_.:-]{1,255}")
_HSA_ID = re.compile(r"[0-9a-zA-Z_-]{1,255}")
_URL = re.compile(r"[0-9a-zA-Z_.:/?&-]{5,255}")
_CREATED, _UPDATED, _REMOVED, _ENDED = "Nyskapad", "Uppdaterad", "Borttagen", "Deaktiverad"
_ABSENT, _SAME = "Existerar ej", "Oförändrad"
_HEADINGS = ("Logiska adresser", "Tjänstekomponenter", "Tjänstekontrakt", "Anropsbehörigheter", "Vägval")
_Dated = RouteRow | PermissionRow


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an order is applied to, beside the draft."""

    platform: str
    """The platform's short name, for which an order may have a part."""
    names: Collection[str]
    """What `plattform` of the order may say."""
    contracts: Collection[str]
    """Namespaces that are installed."""
    resolve: Callable[[str], str]
    """`${name}` in a URL replaced; what is not known stays."""
    file: str
    day: date
    """Today, in Swedish time."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What an order changes, and what it says of that."""

    changes: Changes
    report: tuple[str, ...]
    """Lines as the incumbent's, in Swedish."""
    remarks: tuple[Remark, ...]
    """What was ignored, and why."""


def apply_order(order: Order, draft: Draft, around: Surroundings) -> Applied:
    """The changes that an order makes. Raises ImportRefused with all errors of the first stage that has any."""
    return _Applying(order, draft, around).applied()


@dataclass(slots=True)
class _Line:
    status: str
    value: str


@dataclass(slots=True)
class _Applying:
    order: Order
    draft: Draft
    around: Surroundings
    problems: list[Problem] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    changed: dict[Row, Row | None] = field(default_factory=dict)
    lines: dict[tuple[str, str], list[_Line]] = field(default_factory=dict)
    components: list[Component] = field(default_factory=list)
    producers: list[ProducerAddress] = field(default_factory=list)
    addresses: list[NamedAddress] = field(default_factory=list)
    routes: list[RouteRow] = field(default_factory=list)
    permissions: list[PermissionRow] = field(default_factory=list)
    there: dict[tuple[str, ...], list[_Dated]] = field(default_factory=dict)
    known_contracts: dict[str, str] = field(default_factory=dict)
    known_addresses: dict[str, str] = field(default_factory=dict)
    known_components: dict[str, str] = field(default_factory=dict)

    def applied(self) -> Applied:
        self._look_around()
        include, exclude = self._sections()
        self.remarks += self.order.remarks
        self._check_platform()
        self._stop_at_errors()
        self._check_duplicates(include, exclude)
        self._exclude(exclude)
        self._include_names(include)
        self._stop_at_errors()
        self._check_required(include)
        self._stop_at_errors()
        self._check_references(include)
        self._stop_at_errors()
        for item in include.permissions:
            self._include_permission(item)
        for item in include.routes:
            self._include_route(item)
        self._stop_at_errors()
        added = Draft(
            components=tuple(self.components),
            producer_addresses=tuple(self.producers),
            logical_addresses=tuple(self.addresses),
            routes=tuple(self.routes),
            permissions=tuple(self.permissions),
        )
        return Applied(Changes(added, self.changed), tuple(self._report()), tuple(self.remarks))

    # Stages

    def _sections(self) -> tuple[Section, Section]:
        include, exclude = self.order.parts.get(self.around.platform, (Section(), Section()))
        return self.order.include.joined(include), self.order.exclude.joined(exclude)

    def _check_platform(self) -> None:
        said = self.order.platform
        if said in self.around.names or (not said and self.around.platform in self.order.parts):
            return
        names = " or ".join(sorted(self.around.names))
        self._complain("plattform", f"{said!r} is not this platform, which is {names}" if said else "is missing")

    def _check_duplicates(self, include: Section, exclude: Section) -> None:
        keys: tuple[tuple[str, Callable[[Item], tuple[str, ...]]], ...] = (
            ("contracts", lambda item: (item["namnrymd"],)),
            ("addresses", lambda item: (item["hsaId"],)),
            ("components", lambda item: (item["hsaId"],)),
            ("permissions", lambda item: (item["logiskAdress"], item["tjanstekontrakt"], item["tjanstekonsument"])),
            ("routes", lambda item: (item["logiskAdress"], item["tjanstekontrakt"])),
        )
        for name, key in keys:
            first: dict[tuple[object, ...], str] = {}
            for item in (*getattr(include, name), *getattr(exclude, name)):
                # An item with dates of its own is one of several that follow each other.
                dated = (item.valid_from, item.valid_to)
                found = (*(part.lower() for part in key(item)), *dated)
                if found in first:
                    advice = "; to replace a route, include the new one only" if name == "routes" else ""
                    self._complain(item.where, f"the same as {first[found]}: once in an order{advice}")
                first.setdefault(found, item.where)

    def _exclude(self, exclude: Section) -> None:
        for kind, items in (
            ("contract", exclude.contracts),
            ("logical address", exclude.addresses),
            ("component", exclude.components),
        ):
            for item in items:
                name = item["namnrymd"] or item["hsaId"]
                self._ignore(item, f"{kind} {name} is not removed: an order removes routes and permissions only")
        for item in exclude.permissions:
            if self._has(item, ("logiskAdress", "tjanstekontrakt", "tjanstekonsument")):
                self._exclude_one(item, "Anropsbehörigheter", self._permissions_of(item), _permission_value(item))
        for item in exclude.routes:
            if self._has(item, ("logiskAdress", "tjanstekontrakt", "rivtaprofil", "tjanstekomponent")):
                self._ignore(
                    item, "adress, rivtaprofil and tjanstekomponent do not choose the route: whatever it is, it ends"
                )
                self._exclude_one(item, "Vägval", self._routes_of(item), _route_value(item))

    def _exclude_one(self, item: Item, heading: str, live: list[_Dated], value: str) -> None:
        found = self._one_of(item, live)
        if found is None:
            self._say("Exkludera", heading, _ABSENT, value)
            self._ignore(item, "there is nothing that holds then")
        elif found is not item:
            assert isinstance(found, RouteRow | PermissionRow)
            self._say("Exkludera", heading, self._retire(item, found), value)

    def _include_names(self, include: Section) -> None:
        for item in include.contracts:
            self._include_contract(item)
        known = {row.logical_address.lower(): row.name for row in self.draft.logical_addresses}
        for item in include.addresses:
            if hsa_id := self._new_name(item, "Logiska adresser", known, default=ANY_ADDRESS):
                self.addresses.append(NamedAddress(LogicalAddress(hsa_id), item["beskrivning"], self._place))
        known = {row.hsa_id.lower(): row.name for row in self.draft.components}
        for item in include.components:
            if hsa_id := self._new_name(item, "Tjänstekomponenter", known):
                self.components.append(Component(HsaId(hsa_id), item["beskrivning"], False, self._place))

    def _include_contract(self, item: Item) -> None:
        namespace = item["namnrymd"]
        if not _NAMESPACE.fullmatch(namespace):
            self._complain(item.where, f"namnrymd: {namespace!r} is empty, too long, or has other than 0-9 a-z _ . : -")
        elif namespace.lower() in self.known_contracts:
            self._ignore(item, f"{namespace} exists; its description is not changed")
        else:
            self._say("Inkludera", "Tjänstekontrakt", _CREATED, namespace)
            self._ignore(
                item, f"{namespace} is not installed here: it is routed, and installed by `rivta contract add`"
            )

    def _new_name(self, item: Item, heading: str, known: Mapping[str, str], default: str = "") -> str:
        """The id of a thing that is new, in capitals; empty when it is there or wrong."""
        hsa_id, described = item["hsaId"], item["beskrivning"]
        if hsa_id.lower() in known:
            differs = f", and stays {known[hsa_id.lower()]!r}" if known[hsa_id.lower()] != described else ""
            self._ignore(item, f"{hsa_id} exists; its description is not changed{differs}")
            return ""
        if not _HSA_ID.fullmatch(hsa_id) and hsa_id != (default or None):
            self._complain(item.where, f"hsaId: {hsa_id!r} is empty, too long, or has other than 0-9 a-z _ -")
            return ""
        if not described:
            self._complain(item.where, "beskrivning is missing")
            return ""
        if hsa_id != hsa_id.upper():
            self._ignore(item, f"{hsa_id} is stored as {hsa_id.upper()}")
        self._say("Inkludera", heading, _CREATED, hsa_id.upper())
        return hsa_id.upper()

    def _check_required(self, include: Section) -> None:
        for item in include.permissions:
            self._has(item, ("logiskAdress", "tjanstekontrakt", "tjanstekonsument"))
        for item in include.routes:
            self._has(item, ("adress", "logiskAdress", "tjanstekontrakt", "rivtaprofil", "tjanstekomponent"))

    def _has(self, item: Item, keys: Collection[str]) -> bool:
        missing = [key for key in keys if not item[key]]
        for key in missing:
            self._complain(item.where, f"{key} is missing")
        return not missing

    def _check_references(self, include: Section) -> None:
        ordered_contracts = {item["namnrymd"] for item in include.contracts}
        ordered_addresses = {item["hsaId"] for item in include.addresses}
        ordered_components = {item["hsaId"] for item in include.components}
        addresses, components = self.known_addresses, self.known_components
        contracts = self.known_contracts
        for item in (*include.permissions, *include.routes):
            self._refer(item, "tjanstekontrakt", contracts, ordered_contracts)
            self._refer(item, "logiskAdress", addresses, ordered_addresses)
        for item in include.permissions:
            self._refer(item, "tjanstekonsument", components, ordered_components)
        for item in include.routes:
            self._refer(item, "tjanstekomponent", components, ordered_components)
            if Profile.known(item["rivtaprofil"]) is None:
                self._complain(item.where, f"rivtaprofil: {item['rivtaprofil']!r} does not exist")
            if reason := self._url_mistake(item["adress"]):
                self._complain(item.where, f"adress: {item['adress']!r} {reason}")

    def _refer(self, item: Item, key: str, known: Collection[str], ordered: Collection[str]) -> None:
        """What the draft has is found whatever its case is, what the order brings only in its own."""
        if item[key].lower() not in known and item[key] not in ordered:
            near = next((one for one in ordered if one.lower() == item[key].lower()), None)
            hint = f"; the order has {near!r}, and case matters within an order" if near else ""
            self._complain(item.where, f"{key}: {item[key]!r} neither exists nor is in the order{hint}")

    def _url_mistake(self, url: str) -> str:
        if not self.order.is_extended:
            return "" if _URL.fullmatch(url) else "is not 5 to 255 of the characters 0-9 a-z _ . : / ? & -"
        try:
            return "" if url.startswith(("${", "unix:", "aggregation:")) or urlsplit(url).hostname else "is no URL"
        except ValueError as error:
            return str(error)

    # Inclusions

    def _include_permission(self, item: Item) -> None:
        live = self._permissions_of(item)
        found = self._one_of(item, live)
        value = _permission_value(item)
        if found is item:
            return
        if found is None:
            valid_from, valid_to = self._period(item)
            self.permissions.append(
                PermissionRow(
                    consumer=HsaId(self._id_of(item["tjanstekonsument"], self.known_components)),
                    logical_address=LogicalAddress(self._id_of(item["logiskAdress"], self.known_addresses)),
                    contract=ContractNamespace(
                        self.known_contracts.get(item["tjanstekontrakt"].lower(), item["tjanstekontrakt"])
                    ),
                    agreement=item["integrationsavtal"] or AGREEMENT,
                    valid_from=valid_from,
                    valid_to=valid_to,
                    filters=item.filters or (),
                    place=self._place,
                )
            )
            self._say("Inkludera", "Anropsbehörigheter", _CREATED, value)
            return
        assert isinstance(found, PermissionRow)
        became = found
        if self.order.is_extended:
            became = replace(
                found,
                agreement=item["integrationsavtal"] or found.agreement,
                filters=found.filters if item.filters is None else item.filters,
            )
        self._extend(item, "Anropsbehörigheter", found, became, value)

    def _include_route(self, item: Item) -> None:
        found = self._one_of(item, self._routes_of(item))
        if found is item:
            return
        profile = Profile.parse(item["rivtaprofil"])
        value = _route_value(item)
        if isinstance(found, RouteRow) and self._goes_there(found, item, profile):
            self._extend(item, "Vägval", found, found, value)
            return
        if isinstance(found, RouteRow):
            self._say("Inkludera", "Vägval", self._retire(item, found), self._shown(found))
        valid_from, valid_to = self._period(item)
        self.routes.append(
            RouteRow(
                LogicalAddress(self._id_of(item["logiskAdress"], self.known_addresses)),
                ContractNamespace(self.known_contracts.get(item["tjanstekontrakt"].lower(), item["tjanstekontrakt"])),
                self._producer(item, profile),
                valid_from,
                valid_to,
                self._place,
            )
        )
        self._say("Inkludera", "Vägval", _CREATED, value)

    def _extend(self, item: Item, heading: str, found: _Dated, became: _Dated, value: str) -> None:
        """The one row there is: its period becomes the order's, or only its end does."""
        valid_from, valid_to = self._period(item)
        is_dated = item.has_from or item.has_to
        if self.order.is_extended and not is_dated and first_day(found.valid_from) <= first_day(valid_from):
            valid_to = None  # what is there holds already: nothing to do
        elif is_dated or first_day(valid_from) < first_day(found.valid_from):
            became = replace(became, valid_from=valid_from, valid_to=valid_to)
        elif found.valid_to is None:
            self._ignore(item, "the row holds without end already: its end is not set")
        else:
            if last_day(valid_to) < last_day(found.valid_to):
                self._ignore(item, f"the row held until {found.valid_to}: an order shortens it to {valid_to}")
            became = replace(became, valid_to=valid_to)
        if became == found:
            self._say("Inkludera", heading, _SAME, value)
            return
        self.changed[found] = became
        self._say("Inkludera", heading, _UPDATED, value)

    def _retire(self, item: Item, found: _Dated) -> str:
        """End a row the day before the order is carried out; the status of the line about it."""
        start = first_day(self._period(item)[0])
        if start < first_day(found.valid_from):
            self.changed[found] = None
            return _REMOVED
        if start == first_day(found.valid_from):
            self.changed[found] = None
            self._ignore(item, "the row would end the day before it begins, and so never hold: it is removed instead")
            return _REMOVED
        ends = start - timedelta(days=1)
        self.changed[found] = replace(found, valid_to=ends)
        return _ENDED if ends < self._day() else _UPDATED

    def _one_of(self, item: Item, live: list[_Dated]) -> _Dated | Item | None:
        """The live row whose period meets the order's; None without; the item, after a complaint, for several."""
        valid_from, valid_to = self._period(item)
        meets = [
            row
            for row in live
            if first_day(row.valid_from) <= last_day(valid_to)
            and last_day(row.valid_to) >= first_day(valid_from)
            and first_day(row.valid_from) <= last_day(row.valid_to)
        ]
        if len(meets) > 1:
            places = ", ".join(str(row.place) for row in meets)
            self._complain(
                item.where, f"{len(meets)} rows hold in the order's period, at {places}; end all but one first"
            )
            return item
        return meets[0] if meets else None

    def _period(self, item: Item) -> tuple[Bound | None, Bound | None]:
        start: Bound | None = item.valid_from if item.has_from else self._day()
        return start, item.valid_to if item.has_to else hundred_years_after(first_day(start))

    def _day(self) -> date:
        return self.order.day.astimezone(SWEDISH_TIME).date()

    # What there is

    def _routes_of(self, item: Item) -> list[_Dated]:
        key = item["logiskAdress"].lower(), item["tjanstekontrakt"].lower()
        return [row for row in self.there.get(key, ()) if row not in self.changed]

    def _permissions_of(self, item: Item) -> list[_Dated]:
        key = tuple(item[one].lower() for one in ("tjanstekonsument", "logiskAdress", "tjanstekontrakt"))
        return [row for row in self.there.get(key, ()) if row not in self.changed]

    def _look_around(self) -> None:
        """What the draft has, by its key in lower case."""
        dated: tuple[_Dated, ...] = (*self.draft.routes, *self.draft.permissions)
        for row in dated:
            key: tuple[str, ...] = (row.logical_address.lower(), row.contract.lower())
            if isinstance(row, PermissionRow):
                key = (row.consumer.lower(), *key)
                self.known_components.setdefault(row.consumer.lower(), row.consumer)
            self.there.setdefault(key, []).append(row)
            self.known_addresses.setdefault(row.logical_address.lower(), row.logical_address)
            self.known_contracts.setdefault(row.contract.lower(), row.contract)
        self.known_contracts |= {one.lower(): one for one in self.around.contracts}
        self.known_components |= {row.hsa_id.lower(): row.hsa_id for row in self.draft.components}
        self.known_addresses |= {
            row.logical_address.lower(): row.logical_address for row in self.draft.logical_addresses
        }
        self.known_addresses.setdefault(ANY_ADDRESS, ANY_ADDRESS)

    def _goes_there(self, row: RouteRow, item: Item, profile: Profile) -> bool:
        found = next((one for one in self.draft.producer_addresses if one.name == row.producer_address), None)
        return found is not None and self._is_it(found, item, profile)

    def _is_it(self, found: ProducerAddress, item: Item, profile: Profile) -> bool:
        return (
            item["adress"] in (found.url, self.around.resolve(found.url))
            and found.profile is profile
            and found.component.lower() == item["tjanstekomponent"].lower()
        )

    def _producer(self, item: Item, profile: Profile) -> str:
        """The name of the producer address that an item means, which is made if there is none."""
        for row in (*self.draft.producer_addresses, *self.producers):
            if self._is_it(row, item, profile):
                return row.name
        taken = {row.name for row in (*self.draft.producer_addresses, *self.producers)}
        component = self._id_of(item["tjanstekomponent"], self.known_components)
        name = readable_name(item["adress"], component, taken=taken)
        self.producers.append(ProducerAddress(name, HsaId(component), item["adress"], profile, None, None, self._place))
        return name

    @staticmethod
    def _id_of(said: str, spelled: Mapping[str, str]) -> str:
        return spelled.get(said.lower(), said.upper())

    @property
    def _place(self) -> Place:
        return Place(self.around.file, 0)

    # What is said

    def _shown(self, row: RouteRow) -> str:
        found = next((one for one in self.draft.producer_addresses if one.name == row.producer_address), None)
        url = found.url if found else row.producer_address
        return f"{row.logical_address} - {row.contract} - {url}"

    def _say(self, part: str, heading: str, status: str, value: str) -> None:
        self.lines.setdefault((part, heading), []).append(_Line(status, value))

    def _ignore(self, item: Item, message: str) -> None:
        self.remarks.append(Remark(item.where, message))

    def _complain(self, where: str, message: str) -> None:
        self.problems.append(Problem(self.around.file, 0, "order", f"{where}: {message}"))

    def _stop_at_errors(self) -> None:
        if self.problems:
            raise ImportRefused(self.problems)

    def _report(self) -> Iterator[str]:
        order = self.order
        for key, value in (
            ("Plattform", order.platform or self.around.platform),
            ("Format Version", order.format_version),
            ("Version", order.version),
            ("Beställningstidpunkt", order.ordered),
            ("Genomförandetidpunkt", order.carried_out),
            ("Utförare", order.author),
            ("Kommentar", order.comment),
        ):
            yield f"{key}: {value}"
        for part in ("Inkludera", "Exkludera"):
            if not any((part, heading) in self.lines for heading in _HEADINGS):
                continue
            yield part
            for heading in _HEADINGS:
                if found := self.lines.get((part, heading)):
                    yield f"  {heading}"
                    yield from (f"    {line.status}: {line.value}" for line in found)


def _permission_value(item: Item) -> str:
    return f"{item['tjanstekonsument']} - {item['logiskAdress']} - {item['tjanstekontrakt']}"


def _route_value(item: Item) -> str:
    return " - ".join(filter(None, (item["logiskAdress"], item["tjanstekontrakt"], item["adress"])))
