"""Points in time on the command line: one rule for all commands."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import click

_AGO = re.compile(r"(?P<number>\d{1,9})(?P<unit>[smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LENGTH_OF_A_DAY = 10


class Time(click.ParamType[datetime]):
    """ISO 8601, in Swedish time where it names no zone; a day alone is its first moment. Becomes UTC."""

    name = "TIME"
    examples = "2026-11-24 or 2026-11-24T12:00"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return self._read(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time: write {self.examples}, with an offset or in Swedish time", param, ctx)

    def _read(self, text: str) -> datetime:
        from rivta.catalogue.rows import SWEDISH_TIME

        day_alone = len(text) <= _LENGTH_OF_A_DAY
        moment = datetime.combine(date.fromisoformat(text), time()) if day_alone else datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=SWEDISH_TIME)).astimezone(UTC)


class PastTime(Time):
    """The same, or so long ago: `10m`, `2h`, `1d`."""

    examples = "10m, 2h, 1d, 2026-11-24 or 2026-11-24T12:00"

    def _read(self, text: str) -> datetime:
        ago = _AGO.fullmatch(text)
        if ago is None:
            return super()._read(text)
        return datetime.now(UTC) - timedelta(**{_UNITS[ago["unit"]]: int(ago["number"])})
