"""A small router of another make, which lives on SokVagvalsInfo 2: it shares no code with ours.

What it does is the incumbent's: the look-up of its library takcache, with XML Schema's partial order of times, and the
order of levels of its router.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from lxml import etree

V2 = "{urn:skl:tp:vagvalsinfo:v2}"
_FOURTEEN_HOURS = timedelta(hours=14)
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})([+-]\d\d:\d\d|Z)?")


@dataclass(frozen=True)
class Period:
    """A validity as it stood on the wire."""

    first: str
    last: str

    def holds(self, now: datetime) -> bool:
        """Not before the first, and not after the last; what cannot be told of a time without zone counts as valid."""
        return not _is_before(now, self.first) and not _is_after(now, self.last)


def _is_before(now: datetime, text: str) -> bool:
    moment, is_zoned = _read(text)
    return now < moment - (timedelta() if is_zoned else _FOURTEEN_HOURS)


def _is_after(now: datetime, text: str) -> bool:
    moment, is_zoned = _read(text)
    return now > moment + (timedelta() if is_zoned else _FOURTEEN_HOURS)


def _read(text: str) -> tuple[datetime, bool]:
    match = _TIME.fullmatch(text)
    assert match is not None, text
    zone = match[2]
    return datetime.fromisoformat(match[1] + (zone or "+00:00")), zone is not None


@dataclass
class OtherRouter:
    """Routes and permissions by lower-cased key; units above an address, nearest first and without the root."""

    above: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    delimiter: str = "#"
    routes: dict[tuple[str, str], list[tuple[Period, str]]] = field(default_factory=dict)
    permissions: dict[tuple[str, str, str], list[Period]] = field(default_factory=dict)

    def refresh(self, routes: bytes, permissions: bytes) -> None:
        """Both lists anew, from the answers of the service."""
        self.routes, self.permissions = {}, {}
        for row in etree.fromstring(routes).iter(f"{V2}virtualiseringsInfo"):
            key = (_text(row, "receiverId").lower(), _text(row, "tjansteKontrakt").lower())
            self.routes.setdefault(key, []).append((_period(row), _text(row, "adress")))
        for row in etree.fromstring(permissions).iter(f"{V2}anropsBehorighetsInfo"):
            names = (_text(row, "receiverId"), _text(row, "senderId"), _text(row, "tjansteKontrakt"))
            receiver, sender, contract = (name.lower() for name in names)
            self.permissions.setdefault((receiver, sender, contract), []).append(_period(row))

    def decide(self, sender: str, contract: str, receiver: str, now: datetime) -> str:
        """The URL, or the code of the refusal."""
        found = self._first(receiver, ("units", "*"), lambda address: self._urls(address, contract, now))
        if not found:
            return "VP004"
        if len(found) > 1:
            return "VP006"
        if not found[0]:
            return "VP010"
        if self.delimiter in receiver and len(set(filter(None, receiver.split(self.delimiter)))) > 2:
            return "VP007"
        allowed = self._first(receiver, ("*", "units"), lambda address: self._allowing(address, sender, contract, now))
        return found[0] if allowed else "VP007"

    def _first(self, receiver, order, rows):
        """The rows of the first level that has any; an address with the delimiter has its parts alone for levels."""
        if self.delimiter in receiver:
            levels = [part for part in reversed(receiver.split(self.delimiter)) if part]
        else:
            units = () if receiver == "SE" else (*self.above.get(receiver, ()), "SE")
            levels = [receiver]
            for kind in order:
                levels.extend(units if kind == "units" else ("*",))
        return next((found for level in levels if (found := rows(level))), [])

    def _urls(self, address: str, contract: str, now: datetime) -> list[str]:
        rows = self.routes.get((address.lower(), contract.lower()), [])
        return [url for period, url in rows if period.holds(now)]

    def _allowing(self, address: str, sender: str, contract: str, now: datetime) -> list[Period]:
        rows = self.permissions.get((address.lower(), sender.lower(), contract.lower()), [])
        return [period for period in rows if period.holds(now)]


def _period(row: etree._Element) -> Period:
    return Period(_text(row, "fromTidpunkt"), _text(row, "tomTidpunkt"))


def _text(row: etree._Element, name: str) -> str:
    return row.findtext(f"{V2}{name}") or ""


def at(text: str) -> datetime:
    """A time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
