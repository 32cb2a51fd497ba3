"""What a case wants to find: rows of tables, engagements with their age, and how stub producers behave. Values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rivta.index.engagement import NOT_USED, Engagement, timestamp

_AGE = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_WIRE = {
    "patient": "registered_resident_id",
    "domain": "service_domain",
    "category": "categorization",
    "logical_address": "logical_address",
    "source": "source_system",
    "controller": "data_controller",
    "object": "business_object_instance_id",
    "process": "clinical_process_interest_id",
}
NEEDED = ("patient", "domain", "category", "logical_address", "source", "controller")
INDEX_KEYS = (*_WIRE, "age")
_NUMBERS = frozenset({"seconds", "spread", "over", "lasts", "percent"})
_WHOLE = frozenset({"status", "size", "seed", "calls", "every"})


@dataclass(frozen=True, slots=True)
class State:
    """What is set before a case is sent and put back after it. Texts may hold `${variables}`."""

    tables: tuple[tuple[str, str], ...] = ()
    """Platform and rows, in YAML."""
    index: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    """Platform and an engagement's fields by INDEX_KEYS."""
    stubs: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    """Target and what is wished of it, as the stub producers' admin API has it."""

    def filled(self, fill: Callable[[str], str]) -> State:
        """The state with `fill` done to every text in it."""

        def pairs(many: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
            return tuple((name, fill(value)) for name, value in many)

        return State(
            pairs(self.tables),
            tuple((platform, pairs(row)) for platform, row in self.index),
            tuple((fill(target), pairs(wish)) for target, wish in self.stubs),
        )


def age_of(text: str) -> timedelta:
    """An age as `367d`, `8h`, `5m`, `0s`. Raises ValueError."""
    found = _AGE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no age: 367d, 8h, 5m or 10s")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def engagement_of(row: Mapping[str, str], now: datetime) -> Engagement:
    """The engagement of a case, whose newest content is as old as it says. Raises ValueError for its age."""
    fields = {_WIRE[name]: value for name, value in row.items() if name in _WIRE}
    newest = timestamp(now - age_of(row.get("age", "0s")))
    defaults = {"business_object_instance_id": NOT_USED, "clinical_process_interest_id": NOT_USED}
    return Engagement(most_recent_content=newest, **{**defaults, **fields})


def wish_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """What is wished of a stub producer, with numbers as such. Raises ValueError for what is none."""
    wish: dict[str, Any] = {}
    for name, text in fields.items():
        try:
            wish[name] = float(text) if name in _NUMBERS else int(text) if name in _WHOLE else text
        except ValueError:
            raise ValueError(f"{name}: {text!r} is not a number") from None
    return wish
