"""A JSON order ("beställning") read: exactly what the incumbent takes, or the extended form.

`formatVersion` below 2 is the incumbent's: one date for the whole order, times in UTC written `+0000`, no key that it
does not know. From 2 on each item may have dates of its own, with any offset; permissions may have filters and an
agreement; and `plattformar` may hold sections of their own for each platform. Text around the outermost braces is
discarded in both.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from rivta.catalogue.exchange.dates import read_bound
from rivta.catalogue.exchange.imported import ImportRefused, Remark
from rivta.catalogue.rows import Bound, NotificationFilter, Problem

MAX_BYTES = 50 * 1024 * 1024
_LONGEST = 255
_CUT = 254
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000")

_ORDER = (
    "plattform",
    "formatVersion",
    "version",
    "bestallningsTidpunkt",
    "genomforandeTidpunkt",
    "utforare",
    "kommentar",
    "inkludera",
    "exkludera",
)
_CONTRACT = ("namnrymd", "beskrivning", "majorVersion")
_NAMED = ("hsaId", "beskrivning")
_PERMISSION = ("logiskAdress", "tjanstekontrakt", "tjanstekonsument")
_ROUTE = ("adress", "logiskAdress", "logiskadress", "tjanstekontrakt", "rivtaprofil", "tjanstekomponent")
_DATES = ("fromTidpunkt", "tomTidpunkt")
_LISTS = {
    "tjanstekontrakt": _CONTRACT,
    "logiskadresser": _NAMED,
    "tjanstekomponenter": _NAMED,
    "anropsbehorigheter": _PERMISSION,
    "vagval": _ROUTE,
}
_EXTENDED = {"anropsbehorigheter": (*_DATES, "integrationsavtal", "filter"), "vagval": _DATES}
_EXTENDED_FROM = 2.0


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that an order includes or excludes; a field that it has not is empty."""

    where: str
    """Path in the order, as `inkludera.vagval[0]`."""
    texts: Mapping[str, str]
    valid_from: Bound | None = None
    valid_to: Bound | None = None
    has_from: bool = False
    has_to: bool = False
    """Whether the order says an end of the period itself, which may be that there is none."""
    filters: tuple[NotificationFilter, ...] | None = None
    """None where the order does not say."""

    def __getitem__(self, key: str) -> str:
        return self.texts.get(key, "")


@dataclass(frozen=True, slots=True)
class Section:
    """What an order includes, or excludes."""

    contracts: tuple[Item, ...] = ()
    addresses: tuple[Item, ...] = ()
    components: tuple[Item, ...] = ()
    permissions: tuple[Item, ...] = ()
    routes: tuple[Item, ...] = ()

    def joined(self, other: "Section") -> "Section":
        """Both."""
        return Section(
            self.contracts + other.contracts,
            self.addresses + other.addresses,
            self.components + other.components,
            self.permissions + other.permissions,
            self.routes + other.routes,
        )


@dataclass(frozen=True, slots=True)
class Order:
    """An order, read and not yet applied."""

    platform: str
    format_version: str
    version: str
    ordered: str
    carried_out: str
    """As they are written."""
    day: datetime
    """When it is to be carried out."""
    author: str
    comment: str
    include: Section
    exclude: Section
    is_extended: bool = False
    parts: Mapping[str, tuple[Section, Section]] = field(default_factory=dict)
    """What is for one platform only, by its name."""
    remarks: tuple[Remark, ...] = ()


def read_order(data: bytes, *, file: str) -> Order:
    """The order in a file. Raises ImportRefused with everything that is wrong in how it is written."""
    reader = _Reader(file)
    order = reader.order(data)
    if reader.problems or order is None:
        raise ImportRefused(reader.problems)
    return order


class _Reader:
    def __init__(self, file: str) -> None:
        self._file = file
        self.problems: list[Problem] = []
        self._remarks: list[Remark] = []
        self._is_extended = False

    def order(self, data: bytes) -> Order | None:
        found = self._json(data)
        if found is None:
            return None
        version = found.get("formatVersion")
        self._is_extended = isinstance(version, int | float) and version >= _EXTENDED_FROM
        self._refuse_unknown(found, (*_ORDER, "plattformar") if self._is_extended else _ORDER, "")
        self._check_number(found, "formatVersion")
        self._check_number(found, "version")
        include, exclude = self._section(found, "inkludera"), self._section(found, "exkludera")
        return Order(
            platform=self._text(found, "plattform", "plattform"),
            format_version=_shown(version),
            version=_shown(found.get("version")),
            ordered=self._raw(found, "bestallningsTidpunkt"),
            carried_out=self._raw(found, "genomforandeTidpunkt"),
            day=self._times(found),
            author=self._text(found, "utforare", "utforare"),
            comment=self._text(found, "kommentar", "kommentar"),
            include=include,
            exclude=exclude,
            is_extended=self._is_extended,
            parts=self._parts(found),
            remarks=tuple(self._remarks),
        )

    def _json(self, data: bytes) -> dict[str, Any] | None:
        if len(data) > MAX_BYTES:
            self._complain(0, f"larger than {MAX_BYTES // 2**20} MB")
            return None
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self._complain(data.count(b"\n", 0, error.start) + 1, "not UTF-8; save it as UTF-8")
            return None
        start, end = text.find("{"), text.rfind("}") + 1
        if start < 0 or end <= start:
            self._complain(0, "holds no JSON object")
            return None
        if around := (text[:start] + text[end:]).strip():
            self._remarks.append(Remark(self._file, f"{len(around)} characters around the order are ignored"))
        try:
            found = json.loads(text[start:end], object_pairs_hook=_once, parse_constant=_no_constant)
        except json.JSONDecodeError as error:
            self._complain(text.count("\n", 0, start) + error.lineno, f"not JSON: {error.msg}")
            return None
        except (ValueError, RecursionError) as error:
            self._complain(0, f"not JSON that is read here: {error}")
            return None
        return found if isinstance(found, dict) else None

    def _times(self, found: dict[str, Any]) -> datetime:
        day = datetime(1970, 1, 1, tzinfo=UTC)
        for key in ("bestallningsTidpunkt", "genomforandeTidpunkt"):
            value = found.get(key)
            if value is None:
                if not (self._is_extended and key == "bestallningsTidpunkt"):
                    self._complain(0, f"{key} is missing")
                continue
            moment = self._time(value, key)
            if moment is not None and key == "genomforandeTidpunkt":
                day = moment
        return day

    def _time(self, value: object, key: str) -> datetime | None:
        expected = "as 2026-11-24T08:00:00+0000"
        try:
            if not isinstance(value, str) or not (self._is_extended or _TIME.fullmatch(value)):
                raise ValueError
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                raise ValueError
        except ValueError:
            more = ", or with another offset" if self._is_extended else "; other offsets need formatVersion 2"
            self._complain(0, f"{key}: {value!r} is not a time {expected}{more}")
            return None
        return moment

    def _parts(self, found: dict[str, Any]) -> dict[str, tuple[Section, Section]]:
        parts = found.get("plattformar") or {}
        if not isinstance(parts, dict):
            self._complain(0, "plattformar: expected an object with a section for each platform")
            return {}
        sections: dict[str, tuple[Section, Section]] = {}
        for name, part in parts.items():
            if not isinstance(part, dict):
                self._complain(0, f"plattformar.{name}: expected an object with inkludera and exkludera")
                continue
            self._refuse_unknown(part, ("inkludera", "exkludera"), f"plattformar.{name}.")
            prefix = f"plattformar.{name}."
            sections[name] = self._section(part, "inkludera", prefix), self._section(part, "exkludera", prefix)
        return sections

    def _section(self, found: dict[str, Any], key: str, prefix: str = "") -> Section:
        value = found.get(key)
        if value is None:
            return Section()
        where = f"{prefix}{key}"
        if not isinstance(value, dict):
            self._complain(0, f"{where}: expected an object")
            return Section()
        self._refuse_unknown(value, _LISTS, f"{where}.")
        lists = {name: self._items(value.get(name), f"{where}.{name}", name) for name in _LISTS}
        return Section(
            lists["tjanstekontrakt"],
            lists["logiskadresser"],
            lists["tjanstekomponenter"],
            lists["anropsbehorigheter"],
            lists["vagval"],
        )

    def _items(self, value: object, where: str, kind: str) -> tuple[Item, ...]:
        if value is None:
            return ()
        if not isinstance(value, list):
            self._complain(0, f"{where}: expected a list")
            return ()
        return tuple(
            item for at, one in enumerate(value) if (item := self._item(one, f"{where}[{at}]", kind)) is not None
        )

    def _item(self, value: object, where: str, kind: str) -> Item | None:
        if not isinstance(value, dict):
            self._complain(0, f"{where}: expected an object")
            return None
        extended = _EXTENDED.get(kind, ()) if self._is_extended else ()
        self._refuse_unknown(value, (*_LISTS[kind], *extended), f"{where}.")
        texts = {}
        for key in (*_LISTS[kind], "integrationsavtal"):
            if key == "majorVersion":
                self._check_number(value, key, where)
                texts[key] = _shown(value.get(key))
            elif value.get(key) is not None:
                texts["logiskAdress" if key == "logiskadress" else key] = self._text(value, key, f"{where}.{key}")
        return Item(
            where,
            texts,
            self._bound(value, "fromTidpunkt", where),
            self._bound(value, "tomTidpunkt", where, is_end=True),
            value.get("fromTidpunkt") is not None,
            value.get("tomTidpunkt") is not None,
            self._filters(value.get("filter"), where) if "filter" in value else None,
        )

    def _bound(self, value: dict[str, Any], key: str, where: str, *, is_end: bool = False) -> Bound | None:
        text = value.get(key)
        if text is None or not self._is_extended:
            return None
        try:
            return read_bound(str(text), is_end=is_end)
        except ValueError as error:
            self._complain(0, f"{where}.{key}: {error}")
            return None

    def _filters(self, value: object, where: str) -> tuple[NotificationFilter, ...]:
        found: list[NotificationFilter] = []
        if not isinstance(value, list):
            self._complain(0, f"{where}.filter: expected a list")
            return ()
        for at, one in enumerate(value):
            place = f"{where}.filter[{at}]"
            if not isinstance(one, dict) or not isinstance(categories := one.get("kategorier", []), list):
                self._complain(0, f"{place}: expected servicedomain and a list of kategorier")
                continue
            self._refuse_unknown(one, ("servicedomain", "kategorier"), f"{place}.")
            domain = self._text(one, "servicedomain", f"{place}.servicedomain")
            if not domain:
                self._complain(0, f"{place}.servicedomain is missing")
            found.append(NotificationFilter(domain, tuple(str(category) for category in categories)))
        return tuple(found)

    def _text(self, found: dict[str, Any], key: str, where: str) -> str:
        """Trimmed, line ends made blanks, and cut, as the incumbent does."""
        value = found.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            self._complain(0, f"{where}: expected text, got {json.dumps(value, ensure_ascii=False)[:40]}")
            return ""
        cleaned = value.strip().replace("\r", "").replace("\n", " ")
        if len(cleaned) > _LONGEST:
            self._remarks.append(Remark(where, f"cut from {len(cleaned)} to {_CUT} characters"))
            cleaned = cleaned[:_CUT]
        if not cleaned.isprintable():
            self._complain(0, f"{where}: {cleaned!r} holds unprintable characters")
        return cleaned

    @staticmethod
    def _raw(found: dict[str, Any], key: str) -> str:
        value = found.get(key)
        return value if isinstance(value, str) else ""

    def _check_number(self, found: dict[str, Any], key: str, where: str = "") -> None:
        value = found.get(key)
        if value is not None and not _is_number(value):
            self._complain(0, f"{where + '.' if where else ''}{key}: expected a number, got {value!r}")

    def _refuse_unknown(self, found: dict[str, Any], known: Iterable[str], prefix: str) -> None:
        for key in found:
            if key not in known:
                self._complain(0, f"{prefix}{key}: unknown key; allowed are {', '.join(sorted(known))}", "unknown-key")

    def _complain(self, line: int, message: str, rule: str = "order") -> None:
        self.problems.append(Problem(self._file, line, rule, message))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: object) -> str:
    return "" if value is None else str(value)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(one for one in names if names.count(one) > 1)!r} stands twice in one object")
    return found


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no number")


def hundred_years_after(day: date) -> date:
    """The same day of a year a hundred years later; 28 February where that has no 29th."""
    try:
        return day.replace(year=day.year + 100)
    except ValueError:
        return day.replace(year=day.year + 100, day=28)
