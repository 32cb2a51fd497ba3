"""When messages are sent: one after the other, so many at a time, or at a rate that is reached slowly. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

MOST_PARALLEL = 500
MOST_MESSAGES = 1_000_000

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Pace:
    """How a run goes."""

    parallel: int = 1
    """Messages under way at most."""
    rate: float | None = None
    """Messages started a second; None: as soon as there is room."""
    ramp_s: float = 0.0
    """Seconds in which the rate, or without one the number at a time, grows evenly to what is asked for."""
    repeat: int = 1
    """Times that everything is sent."""
    shuffle: int | None = None
    """Seed of a random order, another in each repetition; None: in the order of the folders."""
    timeout_s: float = 60.0
    """For one message, from the first byte sent to the last one of the answer."""


def start_s(number: int, pace: Pace) -> float | None:
    """When message `number` (from 0) is to start, in seconds from the beginning; None when there is no rate.

    The rate grows evenly during the ramp, so that the messages started by then are half of what they would be without.
    """
    if pace.rate is None:
        return None
    in_ramp = pace.rate * pace.ramp_s / 2
    if number < in_ramp:
        return math.sqrt(2 * pace.ramp_s * number / pace.rate)
    return number / pace.rate + pace.ramp_s / 2


def room(elapsed_s: float, pace: Pace) -> int:
    """How many messages may be under way: without a rate, the ramp is of these."""
    if pace.rate is not None or elapsed_s >= pace.ramp_s:
        return pace.parallel
    return max(1, math.floor(pace.parallel * elapsed_s / pace.ramp_s))


def ordered(items: Sequence[_Item], pace: Pace) -> Iterator[_Item]:
    """The items in the order they are sent, with repetitions."""
    for repetition in range(pace.repeat):
        if pace.shuffle is None:
            yield from items
        else:
            mixed = list(items)
            random.Random(f"{pace.shuffle}/{repetition}").shuffle(mixed)
            yield from mixed
