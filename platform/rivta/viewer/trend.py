"""A small picture of how a laboratory value has changed: the points of a line, and the band that is normal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rivta.viewer.records import LabResult, LabValue

WIDTH, HEIGHT = 120.0, 32.0
_EDGE = 4.0
_FEWEST = 2


@dataclass(frozen=True, slots=True)
class Trend:
    """A picture of WIDTH by HEIGHT; y grows downwards."""

    name: str
    unit: str
    points: tuple[tuple[float, float], ...]
    """Oldest first."""
    band: tuple[float, float] | None
    """Top and height of what is normal; None where the values come without a reference interval of two ends."""
    words: str
    """The same for who cannot see it: each time and value."""

    @property
    def line(self) -> str:
        """The points as SVG has them."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


def trends(results: Iterable[LabResult]) -> tuple[Trend, ...]:
    """One of each analysis, by code and unit, that was measured at least twice as a number; by name."""
    measured: dict[tuple[str, str], list[tuple[datetime, float, LabValue]]] = {}
    for result in results:
        if result.about.is_nullified:
            continue
        for value in result.values:
            time, number = value.time or result.about.time, value.number
            if time is not None and number is not None and value.code:
                measured.setdefault((value.code, value.unit), []).append((time.at, number, value))
    drawn = [_trend(sorted(one, key=lambda each: each[:2])) for one in measured.values() if len(one) >= _FEWEST]
    return tuple(sorted(drawn, key=lambda one: one.name))


def _trend(measured: Sequence[tuple[datetime, float, LabValue]]) -> Trend:
    newest = measured[-1][2]
    times = [one[0].timestamp() for one in measured]
    numbers = [one[1] for one in measured]
    bounds = [bound for bound in (newest.low, newest.high) if bound is not None]
    lowest, highest = min([*numbers, *bounds]), max([*numbers, *bounds])

    def across(time: float) -> float:
        span = times[-1] - times[0]
        return _EDGE + (WIDTH - 2 * _EDGE) * ((time - times[0]) / span if span else 0.5)

    def down(number: float) -> float:
        span = highest - lowest
        return _EDGE + (HEIGHT - 2 * _EDGE) * ((highest - number) / span if span else 0.5)

    band = None
    if newest.low is not None and newest.high is not None and newest.low < newest.high:
        band = (down(newest.high), down(newest.low) - down(newest.high))
    words = "; ".join(f"{one[0]:%Y-%m-%d} {one[2].value}" for one in measured)
    points = tuple((across(time), down(number)) for time, number in zip(times, numbers, strict=True))
    return Trend(newest.name or newest.code, newest.unit, points, band, words)
