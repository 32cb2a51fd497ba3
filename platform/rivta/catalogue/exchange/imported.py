"""What a reader makes of a file of another catalogue: rows, and what a person should know of how they came about.

A field that the source does not say is empty: the component of a producer address, the agreement of a permission, a
name. Merging takes those from the draft, or asks for them.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from rivta.catalogue.exchange.dates import read_bound
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
    RouteRow,
)
from rivta.soap.identifiers import ContractNamespace, HsaId, LogicalAddress, Profile

_SAYS_NOTHING = ("", "vp", "ws", "soap", "service", "services")
"""Ends of paths that many addresses have."""
_MOST_REMARKS = 20
"""Of one kind; then how many more there are."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something of the source that was ignored, assumed or changed."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


@dataclass(frozen=True, slots=True)
class Imported:
    """The rows of a source, whole: it had no mistake."""

    draft: Draft
    remarks: tuple[Remark, ...] = ()


class ImportRefused(ValueError):
    """Nothing was taken; `problems` is everything that is wrong, each with its line or path."""

    def __init__(self, problems: Collection[Problem]) -> None:
        self.problems = tuple(problems)
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        super().__init__(f"{self.problems[0]}{more}" if self.problems else "refused")


@dataclass(slots=True)
class Gatherer:
    """Rows as a reader comes upon them; mistakes are collected, not raised, until `result` is asked for."""

    file: str
    tak_dates: bool = False
    keeps_days: bool = False
    """The source keeps days, and writes them as midnights of its own zone."""
    problems: list[Problem] = field(default_factory=list)
    _remarks: dict[str, list[Remark]] = field(default_factory=dict)
    _components: dict[str, Component] = field(default_factory=dict)
    _producers: dict[tuple[str, str, Profile], ProducerAddress] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)
    _addresses: dict[str, NamedAddress] = field(default_factory=dict)
    _routes: dict[tuple[object, ...], RouteRow] = field(default_factory=dict)
    _permissions: dict[tuple[object, ...], PermissionRow] = field(default_factory=dict)

    def complain(self, line: int, rule: str, message: str) -> None:
        """Note a mistake."""
        self.problems.append(Problem(self.file, line, rule, message))

    def remark(self, kind: str, where: str, message: str) -> None:
        """Note what a person should know; of one `kind` only so many are kept, and counted."""
        self._remarks.setdefault(kind, []).append(Remark(where, message))

    def place(self, line: int) -> Place:
        """Where in the source."""
        return Place(self.file, line)

    def text(self, value: str | None, what: str, line: int, *, is_optional: bool = False) -> str:
        """The value of a field; empty, after a complaint, when it is missing or not fit for a table."""
        if not value:
            if not is_optional:
                self.complain(line, "missing-field", f"{what} is missing")
            return ""
        if value != value.strip() or not value.isprintable():
            message = f"{what}: {value!r} begins or ends with a blank, or holds unprintable characters"
            self.complain(line, "wrong-type", message)
            return ""
        return value

    def bound(self, text: str | None, what: str, line: int, *, is_end: bool) -> Bound | None:
        """A time of the source; None, perhaps after a complaint, where there is none."""
        try:
            stripped = self.text(text, what, line)
            if not stripped:
                return None
            return read_bound(stripped, is_end=is_end, tak_dates=self.tak_dates, keeps_days=self.keeps_days)
        except ValueError as error:
            self.complain(line, "bad-date", f"{what}: {error}")
            return None

    def profile(self, text: str, what: str, line: int) -> Profile | None:
        """A RIV-TA profile; None, after a complaint unless it is missing, for another."""
        if not text:
            return None
        if found := Profile.known(text):
            return found
        names = " or ".join(one.value for one in Profile)
        self.complain(line, "bad-profile", f"{what}: {text!r} is not {names}")
        return None

    def component(self, hsa_id: str, name: str, line: int) -> None:
        """A component; of those that differ in case only, the first is kept."""
        self._components.setdefault(hsa_id.lower(), Component(HsaId(hsa_id), name, False, self.place(line)))

    def address(self, logical_address: str, name: str, line: int) -> None:
        """A logical address that has a name, perhaps an empty one."""
        row = NamedAddress(LogicalAddress(logical_address), name, self.place(line))
        self._addresses.setdefault(logical_address.lower(), row)

    def producer(self, url: str, profile: Profile, component: str, line: int) -> str:
        """The name of the producer address with these; the same for the same."""
        key = (url, component.lower(), profile)
        if key not in self._producers:
            name = readable_name(url, component, taken=self._names)
            self._names.add(name)
            self._producers[key] = ProducerAddress(
                name, HsaId(component), url, profile, client_certificate=None, ca=None, place=self.place(line)
            )
        return self._producers[key].name

    def route(self, row: RouteRow) -> None:
        """A route; the very same one a second time is said and left out."""
        key = (row.logical_address.lower(), row.contract.lower(), row.producer_address, row.valid_from, row.valid_to)
        if key in self._routes:
            self.remark("twice", str(row.place), f"the route at {self._routes[key].place} once more: left out")
        self._routes.setdefault(key, row)

    def permission(self, row: PermissionRow) -> None:
        """A permission; the very same one a second time is said and left out."""
        who = (row.consumer.lower(), row.logical_address.lower(), row.contract.lower())
        key = (*who, row.valid_from, row.valid_to, row.filters)
        if key in self._permissions:
            first = self._permissions[key].place
            self.remark("twice", str(row.place), f"the permission at {first} once more: left out")
        self._permissions.setdefault(key, row)

    def result(self) -> Imported:
        """Everything; ImportRefused when anything is wrong."""
        if self.problems:
            raise ImportRefused(self.problems)
        draft = Draft(
            components=tuple(self._components.values()),
            producer_addresses=tuple(self._producers.values()),
            logical_addresses=tuple(self._addresses.values()),
            routes=tuple(self._routes.values()),
            permissions=tuple(self._permissions.values()),
        )
        return Imported(draft, self.remarks())

    def remarks(self) -> tuple[Remark, ...]:
        """What was noted, kind by kind."""
        told: list[Remark] = []
        for some in self._remarks.values():
            told += some[:_MOST_REMARKS]
            if len(some) > _MOST_REMARKS:
                told.append(Remark("", f"and {len(some) - _MOST_REMARKS} more of this kind"))
        return tuple(told)


def route_row(
    address: str, contract: str, producer: str, validity: tuple[Bound | None, Bound | None], place: Place
) -> RouteRow:
    """A route of what a source says."""
    return RouteRow(LogicalAddress(address), ContractNamespace(contract), producer, *validity, place)


def filters_of(found: dict[str, list[str]]) -> tuple[NotificationFilter, ...]:
    """Filters of a permission: categories by domain, each once, in their order."""
    return tuple(NotificationFilter(domain, tuple(dict.fromkeys(some))) for domain, some in found.items())


def readable_name(url: str, component: str, *, taken: Collection[str]) -> str:
    """A name for a producer address as a person would give it, which is not in `taken`."""
    try:
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path
    except ValueError:
        host, path = "", ""
    base = _slug(component.rpartition("-")[2]) or _slug(host) or _slug(url.strip("${}")) or "producer"
    last = _slug(path.rstrip("/").rpartition("/")[2])
    longer = f"{base}-{last}" if last not in _SAYS_NOTHING else base
    with_host = f"{base}-{_slug(host)}" if _slug(host) else base
    number = 2
    for name in (base, longer, with_host):
        if name not in taken:
            return name
    while f"{longer}-{number}" in taken:
        number += 1
    return f"{longer}-{number}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40]
