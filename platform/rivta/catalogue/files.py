"""The draft: `routing/<platform>/*.yaml` read and merged, with every mistake named by file and line."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Protocol

import yaml

from rivta.catalogue.checks.rules import RULES, is_acceptable
from rivta.catalogue.marked_yaml import YamlFile, is_null, yaml_files
from rivta.catalogue.rows import (
    Bound,
    Component,
    Draft,
    NamedAddress,
    NotificationFilter,
    PermissionRow,
    Place,
    Problem,
    ProducerAddress,
    Resolution,
    RouteRow,
)
from rivta.soap.identifiers import ContractNamespace, HsaId, LogicalAddress, Profile

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_YEARS = range(1900, 10_000)

_COMPONENT = ("name", "platform", "accept")
_PRODUCER_ADDRESS = ("component", "url", "profile", "client_certificate", "ca", "accept")
_LOGICAL_ADDRESS = ("name", "accept")
_ROUTE = ("logical_address", "contracts", "producer_address", "valid_from", "valid_to", "accept")
_PERMISSION = ("consumer", "logical_address", "contracts", "agreement", "valid_from", "valid_to", "filters", "accept")
_RESOLUTION = ("hsa_climb", "delimiter", "delimiter_contracts", "delimiter_senders")
_HSA_CLIMB = ("routes", "permissions", "except")


class Named(Protocol):
    """A contract that is known here."""

    @property
    def namespace(self) -> ContractNamespace: ...


class ContractsByName(Protocol):
    """The installed contracts, as far as reading tables goes (`rivta.contracts.installed.Contracts` is one)."""

    def find(self, text: str) -> Named:
        """The contract that `GetDiagnosis:2` or a namespace names; LookupError, with the reason, if not exactly one."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """What the files hold, and every mistake in how they are written."""

    draft: Draft
    problems: tuple[Problem, ...]
    unread: frozenset[str]
    """Names of components and producer addresses that are there but could not be read: no use complaining of both."""
    is_whole: bool
    """Every file was at least YAML."""
    texts: Mapping[str, bytes] = field(default_factory=dict)
    """What each file held when it was read, by its name."""
    accepted: Mapping[Place, Mapping[str, str]] = field(default_factory=dict)
    """Warnings of lint that a row says are as they should be: rule to reason."""


def read_draft(
    *paths: Path,
    contracts: ContractsByName,
    relative_to: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Reading:
    """The draft in `paths`, each a file or a folder of `*.yaml`; files are called by their path below `relative_to`.

    `progress` is told how many files are read, and how many there are. Raises nothing: what cannot be read is a
    problem. A missing or empty file set is an empty draft.
    """
    reader = _DraftReader(contracts)
    files = [file for path in paths for file in yaml_files(path)]
    for number, file in enumerate(files, start=1):
        reader.read(YamlFile(file, _name(file, relative_to), reader.problems))
        if progress is not None:
            progress(number, len(files))
    return reader.reading()


def _name(file: Path, relative_to: Path | None) -> str:
    if relative_to is None:
        return str(file)
    try:
        return str(file.relative_to(relative_to))
    except ValueError:
        return str(file)


@dataclass(slots=True)
class _DraftReader:
    contracts: ContractsByName
    problems: list[Problem] = field(default_factory=list)
    components: list[Component] = field(default_factory=list)
    producer_addresses: list[ProducerAddress] = field(default_factory=list)
    logical_addresses: list[NamedAddress] = field(default_factory=list)
    routes: list[RouteRow] = field(default_factory=list)
    permissions: list[PermissionRow] = field(default_factory=list)
    resolution: Resolution | None = None
    unread: set[str] = field(default_factory=set)
    is_whole: bool = True
    texts: dict[str, bytes] = field(default_factory=dict)
    accepted: dict[Place, Mapping[str, str]] = field(default_factory=dict)
    _found: dict[str, ContractNamespace | LookupError] = field(default_factory=dict)

    def reading(self) -> Reading:
        draft = Draft(
            components=tuple(self.components),
            producer_addresses=tuple(self.producer_addresses),
            logical_addresses=tuple(self.logical_addresses),
            routes=tuple(self.routes),
            permissions=tuple(self.permissions),
            resolution=self.resolution,
        )
        return Reading(draft, tuple(self.problems), frozenset(self.unread), self.is_whole, self.texts, self.accepted)

    def read(self, file: YamlFile) -> None:
        self.texts[file.name] = file.data
        if not file.is_readable:
            self.is_whole = False
        if file.root is None:
            return
        sections: dict[str, Callable[[YamlFile, yaml.Node], None]] = {
            "components": self._components,
            "producer_addresses": self._producer_addresses,
            "logical_addresses": self._logical_addresses,
            "routes": self._routes,
            "permissions": self._permissions,
            "resolution": self._resolution,
        }
        for name, (_, node) in file.entries(file.root, "the file", sections).items():
            sections[name](file, node)

    def _components(self, file: YamlFile, node: yaml.Node) -> None:
        for hsa_id, (key, value) in file.entries(node, "components").items():
            row = _Row(file, f"component {hsa_id}", value, _COMPONENT)
            self._accept(row, file.place(key))
            name = row.text("name", or_else="")
            platform = row.truth("platform", or_else=False)
            if file.text(key, "a component's HSA-id") is None or name is None or platform is None:
                self.unread.add(hsa_id)
                continue
            self.components.append(Component(HsaId(hsa_id), name, platform, file.place(key)))

    def _producer_addresses(self, file: YamlFile, node: yaml.Node) -> None:
        for name, (key, value) in file.entries(node, "producer_addresses").items():
            row = _Row(file, f"producer address {name}", value, _PRODUCER_ADDRESS)
            self._accept(row, file.place(key))
            component, url, profile = row.text("component"), row.text("url"), row.profile()
            row.text("client_certificate", or_else="")
            row.text("ca", or_else="")
            if component is None or url is None or profile is None or row.is_wrong:
                self.unread.add(name)
                continue
            self.producer_addresses.append(
                ProducerAddress(
                    name=name,
                    component=HsaId(component),
                    url=url,
                    profile=profile,
                    client_certificate=row.text("client_certificate", or_else="") or None,
                    ca=row.text("ca", or_else="") or None,
                    place=file.place(key),
                )
            )

    def _logical_addresses(self, file: YamlFile, node: yaml.Node) -> None:
        for address, (key, value) in file.entries(node, "logical_addresses").items():
            row = _Row(file, f"logical address {address}", value, _LOGICAL_ADDRESS)
            self._accept(row, file.place(key))
            name = row.text("name", or_else="")
            if name is not None and file.text(key, "a logical address") is not None:
                self.logical_addresses.append(NamedAddress(LogicalAddress(address), name, file.place(key)))

    def _routes(self, file: YamlFile, node: yaml.Node) -> None:
        for item in file.items(node, "routes"):
            row = _Row(file, "route", item, _ROUTE)
            self._accept(row, file.place(item))
            addresses, contracts = row.texts("logical_address"), self._contracts(row, "contracts")
            producer_address = row.text("producer_address")
            valid_from, valid_to = row.validity()
            if row.is_wrong or producer_address is None:
                continue
            self.routes.extend(
                RouteRow(LogicalAddress(address), contract, producer_address, valid_from, valid_to, row.place)
                for address in addresses
                for contract in contracts
            )

    def _permissions(self, file: YamlFile, node: yaml.Node) -> None:
        for item in file.items(node, "permissions"):
            row = _Row(file, "permission", item, _PERMISSION)
            self._accept(row, file.place(item))
            consumers, addresses = row.texts("consumer"), row.texts("logical_address")
            contracts, agreement = self._contracts(row, "contracts"), row.text("agreement")
            valid_from, valid_to = row.validity()
            filters = _filters(row)
            if row.is_wrong or agreement is None:
                continue
            self.permissions.extend(
                PermissionRow(
                    consumer=HsaId(consumer),
                    logical_address=LogicalAddress(address),
                    contract=contract,
                    agreement=agreement,
                    valid_from=valid_from,
                    valid_to=valid_to,
                    filters=filters,
                    place=row.place,
                )
                for consumer in consumers
                for address in addresses
                for contract in contracts
            )

    def _resolution(self, file: YamlFile, node: yaml.Node) -> None:
        place = file.place(node)
        if self.resolution is not None and self.resolution.place is not None:
            message = f"resolution stands here a second time, first at {self.resolution.place}; keep one"
            file.complain(node, "several-resolutions", message)
            return
        row = _Row(file, "resolution", node, _RESOLUTION)
        climb = _Row(file, "resolution: hsa_climb", row.node("hsa_climb"), _HSA_CLIMB)
        delimiter = row.text("delimiter", or_else="#", may_be_empty=True)
        self.resolution = Resolution(
            climb_routes=climb.truth("routes", or_else=True) is not False,
            climb_permissions=climb.truth("permissions", or_else=True) is not False,
            climb_except=self._contracts(climb, "except", is_prefix=True),
            delimiter="#" if delimiter is None else delimiter,
            delimiter_contracts=self._contracts(row, "delimiter_contracts", is_optional=True),
            delimiter_senders=tuple(HsaId(sender) for sender in row.texts("delimiter_senders", is_optional=True)),
            place=place,
        )

    def _accept(self, row: "_Row", place: Place) -> None:
        if accepted := row.accepted():
            self.accepted[place] = accepted

    def _contracts(
        self, row: "_Row", key: str, *, is_optional: bool = False, is_prefix: bool = False
    ) -> tuple[ContractNamespace, ...]:
        """Namespaces of the contracts a row lists; a `urn:` is taken as it is, also when it is not installed here."""
        found: dict[ContractNamespace, None] = {}
        for node, text in row.nodes(key, is_optional=is_optional or is_prefix):
            namespace = self._contract(text)
            if isinstance(namespace, LookupError):
                row.complain(node, "unknown-contract", f"{key}: {text!r} is no known contract: {namespace}")
            elif namespace in found:
                row.complain(node, "duplicate-key", f"{key}: {text!r} names a contract of this list a second time")
            else:
                found[namespace] = None
        return tuple(found)

    def _contract(self, text: str) -> ContractNamespace | LookupError:
        if text.startswith("urn:") and not re.search(r"\s", text):
            return ContractNamespace(text)
        if text not in self._found:
            try:
                self._found[text] = self.contracts.find(text).namespace
            except LookupError as error:
                self._found[text] = error
        return self._found[text]


class _Row:
    """One mapping of known fields; `is_wrong` once any of them was."""

    def __init__(self, file: YamlFile, what: str, node: yaml.Node | None, fields: Iterable[str]) -> None:
        self._file, self._what, self._node = file, what, node
        self.is_wrong = False
        before = file.mistakes
        self._entries = {} if node is None else file.entries(node, what, tuple(fields))
        self.is_wrong = file.mistakes > before

    @property
    def place(self) -> Place:
        assert self._node is not None
        return self._file.place(self._node)

    def complain(self, node: yaml.Node | None, rule: str, message: str) -> None:
        self.is_wrong = True
        self._file.complain(node, rule, f"{self._what}: {message}")

    def node(self, key: str) -> yaml.Node | None:
        """The value of `key`; None when it is not there or has none."""
        entry = self._entries.get(key)
        return None if entry is None or is_null(entry[1]) else entry[1]

    def nodes(self, key: str, *, is_optional: bool = False) -> tuple[tuple[yaml.Node, str], ...]:
        node = self._wanted(key, is_optional=is_optional)
        if node is None or (is_optional and isinstance(node, yaml.SequenceNode) and not node.value):
            return ()
        found = self._file.texts(node, f"{self._what}: {key}")
        self.is_wrong |= found is None
        return found or ()

    def texts(self, key: str, *, is_optional: bool = False) -> tuple[str, ...]:
        return tuple(text for _, text in self.nodes(key, is_optional=is_optional))

    def text(self, key: str, *, or_else: str | None = None, may_be_empty: bool = False) -> str | None:
        node = self._wanted(key, is_optional=or_else is not None)
        if node is None:
            return or_else
        value = self._file.text(node, f"{self._what}: {key}", may_be_empty=may_be_empty)
        self.is_wrong |= value is None
        return value

    def truth(self, key: str, *, or_else: bool) -> bool | None:
        node = self.node(key)
        if node is None:
            return or_else
        value = self._file.truth(node, f"{self._what}: {key}")
        self.is_wrong |= value is None
        return value

    def profile(self) -> Profile | None:
        text = self.text("profile", or_else=Profile.RIVTABP21.value)
        if text is None:
            return None
        try:
            return Profile.parse(text)
        except ValueError:
            allowed = " or ".join(profile.value for profile in Profile)
            self.complain(self.node("profile"), "bad-profile", f"profile: {text!r} is not {allowed}")
            return None

    def validity(self) -> tuple[Bound | None, Bound | None]:
        return self._bound("valid_from"), self._bound("valid_to")

    def items(self, key: str) -> Iterable[yaml.Node]:
        node = self.node(key)
        return () if node is None else self._file.items(node, f"{self._what}: {key}")

    def part(self, what: str, node: yaml.Node, fields: Iterable[str]) -> "_Row":
        return _Row(self._file, f"{self._what}: {what}", node, fields)

    def accepted(self) -> dict[str, str]:
        """What the row says is as it should be, `accept: {rule: reason}`. Only warnings can be."""
        node = self.node("accept")
        if node is None:
            return {}
        found: dict[str, str] = {}
        before = self._file.mistakes
        for rule, (key, value) in self._file.entries(node, f"{self._what}: accept").items():
            reason = self._file.text(value, f"{self._what}: accept: {rule}")
            if not is_acceptable(rule):
                what = "an error, which nobody can accept" if rule in RULES else "no rule of lint"
                self.complain(key, "unknown-rule", f"accept: {rule!r} is {what}; accept warnings, by their names")
            elif reason is not None:
                found[rule] = reason
        self.is_wrong |= self._file.mistakes > before
        return found

    def _wanted(self, key: str, *, is_optional: bool) -> yaml.Node | None:
        node = self.node(key)
        if node is None and not is_optional:
            # Where the whole row is not a mapping, or the key is misspelt, that has been said already.
            where = self._entries[key][0] if key in self._entries else self._node
            if isinstance(self._node, yaml.MappingNode):
                self.complain(where, "missing-field", f"{key} is missing")
            self.is_wrong = True
        return node

    def _bound(self, key: str) -> Bound | None:
        text = self.text(key, or_else="")
        if not text:
            return None
        bound = _parse_bound(text)
        if bound is None:
            expected = "expected a day as 2024-01-31, or a time with its offset as 2024-01-31T12:00:00+01:00"
            self.complain(self.node(key), "bad-date", f"{key}: {text!r} is not a date; {expected}")
        return bound


def _parse_bound(text: str) -> Bound | None:
    try:
        if _DAY.fullmatch(text):
            bound: Bound = date.fromisoformat(text)
        else:
            bound = datetime.fromisoformat(text)
            if bound.tzinfo is None:
                return None
    except ValueError:
        return None
    return bound if bound.year in _YEARS else None


def _filters(row: _Row) -> tuple[NotificationFilter, ...]:
    found: list[NotificationFilter] = []
    for item in row.items("filters"):
        part = row.part("filter", item, ("domain", "categories"))
        domain, categories = part.text("domain"), part.texts("categories", is_optional=True)
        row.is_wrong |= part.is_wrong
        if domain is not None:
            found.append(NotificationFilter(domain, categories))
    return tuple(found)
