"""What came of a run: a result for every message, and all of them together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from rivta.testing.assertions import Finding
from rivta.testing.touched import Touched


class Outcome(Enum):
    """What became of one message."""

    PASSED = "passed"
    FAILED = "failed"
    """Answered, and an assertion does not hold."""
    UNANSWERED = "unanswered"
    """Sent, and no whole answer came."""
    REFUSED = "refused"
    """Not sent: by a rule of ours, or because something in the case is wrong."""
    CUT_OFF = "cut off"
    """Under way when the run was stopped."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one message."""

    number: int
    """Of the message in its run, from 1."""
    name: str
    """Of the case."""
    outcome: Outcome
    title: str = ""
    row: int = 0
    """Of the CSV file, from 1; 0 without one."""
    contract: str | None = None
    logical_address: str | None = None
    sender: str | None = None
    started_s: float = 0.0
    """Since the run began."""
    late_s: float = 0.0
    """How much later than its rate asked for."""
    elapsed_s: float | None = None
    status: int | None = None
    fault: str | None = None
    """Code of the platform's fault, `fault` for another, None for none."""
    producer: str | None = None
    """Where it went, if the call log was asked."""
    correlation_id: str | None = None
    findings: tuple[Finding, ...] = ()
    message: str = ""
    """Why it was refused or got no answer; empty otherwise."""
    answer: str | None = None
    """The beginning of an answer that was not as asserted."""
    touched: Touched | None = None
    """What it touched, if call logs and stub producers were asked."""

    @property
    def is_bad(self) -> bool:
        return self.outcome is not Outcome.PASSED


@dataclass(frozen=True, slots=True)
class Figures:
    """Numbers of some messages."""

    messages: int
    passed: int
    percentiles_s: Mapping[int, float]
    """By percent: 50, 90, 95, 99 and 100, of those that were answered; empty when none was."""

    @property
    def bad(self) -> int:
        return self.messages - self.passed


@dataclass(frozen=True, slots=True)
class Run:
    """A whole run."""

    started: str
    """ISO 8601."""
    seconds: float
    target: str
    results: tuple[Result, ...]
    planned: int
    """Messages that were to be sent."""
    was_stopped: bool = False

    @property
    def has_passed(self) -> bool:
        """Everything that was to be sent was, and passed; and there was something."""
        return bool(self.results) and not self.was_stopped and all(not one.is_bad for one in self.results)

    def count(self, outcome: Outcome) -> int:
        """How many ended so."""
        return sum(one.outcome is outcome for one in self.results)


PERCENTILES = (50, 90, 95, 99, 100)


def figures(results: Sequence[Result]) -> Figures:
    """The numbers of some results."""
    times = sorted(one.elapsed_s for one in results if one.elapsed_s is not None and one.status is not None)
    passed = sum(not one.is_bad for one in results)
    return Figures(
        len(results), passed, {percent: percentile(times, percent) for percent in PERCENTILES} if times else {}
    )


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The nearest rank: the smallest that so many percent do not exceed."""
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(rank, 1) - 1]


def grouped(results: Iterable[Result], by: str) -> dict[str, list[Result]]:
    """Results by a field, in the order of its values; `-` for none."""
    found: dict[str, list[Result]] = {}
    for one in results:
        found.setdefault(str(getattr(one, by) or "-"), []).append(one)
    return dict(sorted(found.items()))
