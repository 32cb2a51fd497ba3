"""How a stub producer behaves at a logical address, as a tester sets it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


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


BEHAVIOURS = ", ".join(behaviour.value for behaviour in Behaviour)

SLOW_SECONDS = 35.0
"""Longer than any platform waits for a producer (25, 27 or 29 s)."""
MOST_SECONDS = 3600.0
FAULT_DETAIL = "The stub producer is set to answer with a fault."

# XML 1.0 section 2.2: what may not stand in a document, not even as a reference.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FIELDS = frozenset({"behaviour", "seconds", "detail", "calls"})


@dataclass(frozen=True, slots=True)
class Setting:
    """A behaviour with its parameters."""

    behaviour: Behaviour = Behaviour.NORMAL
    seconds: float = 0.0
    """Wait this long before doing it, whichever behaviour it is."""
    detail: str = FAULT_DETAIL
    """The detail of the SOAP fault."""
    calls: int | None = None
    """For this many calls, then the default again; None is for ever."""

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Setting:
        """The setting that `fields` (from TOML or JSON) spell; ValueError naming the field and what it may be."""
        unknown = sorted(fields.keys() - _FIELDS)
        if unknown:
            raise ValueError(f"unknown field {unknown[0]!r}: the fields are {', '.join(sorted(_FIELDS))}")
        behaviour = _behaviour(fields.get("behaviour"))
        return cls(
            behaviour=behaviour,
            seconds=_seconds(fields.get("seconds"), default=SLOW_SECONDS if behaviour is Behaviour.SLOW else 0.0),
            detail=_detail(fields.get("detail")),
            calls=_calls(fields.get("calls")),
        )


def _behaviour(value: object) -> Behaviour:
    try:
        return Behaviour(value)
    except ValueError:
        raise ValueError(f"behaviour: {value!r} is not one of {BEHAVIOURS}") from None


def _seconds(value: object, *, default: float) -> float:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"seconds: {value!r} is not a number")
    if not 0 <= value <= MOST_SECONDS:
        raise ValueError(f"seconds: {value} is not between 0 and {MOST_SECONDS:.0f}")
    return float(value)


def _detail(value: object) -> str:
    if value is None:
        return FAULT_DETAIL
    if not isinstance(value, str):
        raise ValueError(f"detail: {value!r} is not a text")
    if _NOT_XML.search(value):
        raise ValueError(f"detail: {value!r} holds a character that XML cannot")
    return value


def _calls(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"calls: {value!r} is not a whole number of at least 1, nor null")
    return value
