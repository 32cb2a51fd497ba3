"""How a stub producer behaves in a call, as a tester sets it: what it does, how late, how often and for how long."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from rivta.soap.xml import XmlRefused, parse_xml


class Behaviour(Enum):
    """What happens to a call. The values are the words of world.toml, the admin API and the command line."""

    NORMAL = "normal"
    SLOW = "slow"
    """A normal answer, but late."""
    FAULT = "fault"
    """A SOAP fault with HTTP 500."""
    EMPTY = "empty"
    """HTTP 200 with an empty body."""
    INVALID = "invalid"
    """An answer that breaks the contract's schema."""
    ERROR = "error"
    """An answer that has an error code in it and no record."""
    CLOSE = "close"
    """The connection is closed without an answer."""
    RESET = "reset"
    """The same, by a TCP reset."""
    STATUS = "status"
    """An HTTP status, with a page of HTML as a proxy in between would send it."""
    TRUNCATED = "truncated"
    """Half of the answer, then the connection is closed."""
    DRIP = "drip"
    """The answer a few bytes at a time."""
    GARBAGE = "garbage"
    """HTTP 200 with bytes that are no XML."""
    CHARSET = "charset"
    """An answer in ISO 8859-1 that says it is in UTF-8."""
    WRONG_CONTRACT = "wrong-contract"
    """A good answer to a question of another contract."""
    OVERSIZED = "oversized"
    """An answer of so many bytes, most of them blanks."""
    ANSWER = "answer"
    """An answer of the tester's own, with values of the request filled in."""
    GENERATED = "generated"
    """A valid answer made from the contract's schema alone."""
    STOPPED = "stopped"
    """The whole producer: connections are refused."""
    EXPIRED_CERTIFICATE = "expired-certificate"
    """The whole producer shows a certificate of yesterday."""
    WRONG_CERTIFICATE = "wrong-certificate"
    """The whole producer shows a certificate of another host."""


OF_THE_DOOR = frozenset({Behaviour.STOPPED, Behaviour.EXPIRED_CERTIFICATE, Behaviour.WRONG_CERTIFICATE})
"""What happens before there is a call: it goes for a producer, whatever it is asked."""

BEHAVIOURS = ", ".join(behaviour.value for behaviour in Behaviour)


class Distribution(Enum):
    """How waits are spread around their `seconds`."""

    FIXED = "fixed"
    UNIFORM = "uniform"
    """Evenly from `spread` less to `spread` more."""
    NORMAL = "normal"
    """`spread` is the standard deviation."""
    EXPONENTIAL = "exponential"
    """`seconds` is the mean: mostly short, now and then long."""


SLOW_SECONDS = 35.0
"""Longer than any platform waits for a producer (25, 27 or 29 s)."""
MOST_SECONDS = 3600.0
MOST_LASTING_SECONDS = 7 * 24 * 3600.0
DRIP_SECONDS = 60.0
OVERSIZED_BYTES = 60 * 1024 * 1024
"""More than a platform takes of an answer (50 MB)."""
MOST_BYTES = 500 * 1024 * 1024
MOST_TEMPLATE = 1024 * 1024
FAULT_DETAIL = "The stub producer is set to answer with a fault."

# XML 1.0 section 2.2: what may not stand in a document, not even as a reference.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PLACE = re.compile(r"\$\{[^}\s]{1,200}\}")


@dataclass(frozen=True, slots=True)
class Setting:
    """A behaviour with its parameters."""

    behaviour: Behaviour = Behaviour.NORMAL
    seconds: float = 0.0
    """Wait this long before doing it, whichever behaviour it is."""
    spread: float = 0.0
    distribution: Distribution = Distribution.FIXED
    detail: str = FAULT_DETAIL
    """The detail of the SOAP fault."""
    status: int = 503
    """Of `status`."""
    over: float = DRIP_SECONDS
    """Seconds in which `drip` sends its answer."""
    size: int = OVERSIZED_BYTES
    """Bytes of `oversized`."""
    body: str = ""
    """Of `answer`: an envelope, or what is in its body."""
    seed: int | None = None
    """Of `generated`: the same answer for the same number; None for another in every call."""
    calls: int | None = None
    """For this many calls; None is for ever."""
    lasts: float | None = None
    """For so many seconds; None is for ever."""
    every: int = 1
    """In each n-th call only."""
    percent: float = 100.0
    """In so many calls of a hundred, by chance."""

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Setting:
        """The setting that `fields` (from TOML or JSON) spell; ValueError naming the field and what it may be."""
        unknown = sorted(fields.keys() - FIELDS)
        if unknown:
            raise ValueError(f"unknown field {unknown[0]!r}: the fields are {', '.join(sorted(FIELDS))}")
        behaviour = _one_of(Behaviour, "behaviour", fields.get("behaviour"))
        given = {name: value for name, value in fields.items() if value is not None}
        number = _Numbers(given)
        setting = cls(
            behaviour=behaviour,
            seconds=number.real(
                "seconds", SLOW_SECONDS if behaviour is Behaviour.SLOW else 0.0, least=0, most=MOST_SECONDS
            ),
            spread=number.real("spread", 0.0, least=0, most=MOST_SECONDS),
            distribution=_distribution(given),
            detail=_detail(given.get("detail")),
            status=number.whole("status", 503, least=200, most=599),
            over=number.real("over", DRIP_SECONDS, least=0, most=MOST_SECONDS),
            size=number.whole("size", OVERSIZED_BYTES, least=1, most=MOST_BYTES),
            body=_template(given.get("body"), is_needed=behaviour is Behaviour.ANSWER),
            seed=number.whole("seed", 0, least=0, most=2**31) if "seed" in given else None,
            calls=number.whole("calls", 1, least=1, most=None) if "calls" in given else None,
            lasts=number.real("lasts", 0, least=0.001, most=MOST_LASTING_SECONDS) if "lasts" in given else None,
            every=number.whole("every", 1, least=1, most=None),
            percent=number.real("percent", 100.0, least=0, most=100),
        )
        _check_door(setting, given)
        return setting

    def wait_s(self, dice: random.Random) -> float:
        """How long one call waits."""
        match self.distribution:
            case Distribution.FIXED:
                return self.seconds
            case Distribution.UNIFORM:
                wait = dice.uniform(self.seconds - self.spread, self.seconds + self.spread)
            case Distribution.NORMAL:
                wait = dice.gauss(self.seconds, self.spread)
            case Distribution.EXPONENTIAL:
                wait = dice.expovariate(1 / self.seconds) if self.seconds else 0.0
        return min(max(wait, 0.0), MOST_SECONDS)


FIELDS = frozenset(Setting.__dataclass_fields__)


_Member = TypeVar("_Member", bound=Enum)


def _one_of(kind: type[_Member], name: str, value: object) -> _Member:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(str(member.value) for member in kind)
        raise ValueError(f"{name}: {value!r} is not one of {known}") from None


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Reads the numbers among some fields."""

    given: Mapping[str, Any]

    def real(self, name: str, default: float, *, least: float, most: float) -> float:
        value = self.given.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{name}: {value!r} is not a number")
        if not least <= value <= most:
            raise ValueError(f"{name}: {value} is not between {least:g} and {most:.0f}")
        return float(value)

    def whole(self, name: str, default: int, *, least: int, most: int | None) -> int:
        value = self.given.get(name, default)
        if (
            isinstance(value, bool)
            or not isinstance(value, int)
            or value < least
            or (most is not None and value > most)
        ):
            upper = "" if most is None else f" and at most {most}"
            raise ValueError(f"{name}: {value!r} is not a whole number of at least {least}{upper}, nor null")
        return value


def _distribution(given: Mapping[str, Any]) -> Distribution:
    """What is said, else evenly where a spread is given."""
    default = Distribution.UNIFORM if given.get("spread") else Distribution.FIXED
    return _one_of(Distribution, "distribution", given.get("distribution", default.value))


def _detail(value: object) -> str:
    if value is None:
        return FAULT_DETAIL
    if not isinstance(value, str):
        raise ValueError(f"detail: {value!r} is not a text")
    if _NOT_XML.search(value):
        raise ValueError(f"detail: {value!r} holds a character that XML cannot")
    return value


def _template(value: object, *, is_needed: bool) -> str:
    if not is_needed:
        if value is not None:
            raise ValueError("body: belongs to behaviour answer")
        return ""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("body: the answer is missing: an envelope, or what is in its body, as XML")
    if len(value) > MOST_TEMPLATE:
        raise ValueError(f"body: longer than {MOST_TEMPLATE // 1024} KB")
    try:
        parse_xml(_PLACE.sub("1", value).encode())
    except XmlRefused as error:
        raise ValueError(f"body: is no XML: {error.reason} (line {error.line})") from error
    return value


def _check_door(setting: Setting, given: Mapping[str, Any]) -> None:
    if setting.behaviour not in OF_THE_DOOR:
        return
    wrong = sorted(given.keys() - {"behaviour", "lasts"})
    if wrong:
        raise ValueError(
            f"{wrong[0]}: {setting.behaviour.value} is of a whole producer and comes before any call; "
            "only how long it lasts can be said"
        )
