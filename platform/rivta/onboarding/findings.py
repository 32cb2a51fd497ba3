"""What a check of an endpoint says: one finding for each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Grade(Enum):
    """How a step went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


class Verdict(Enum):
    """What can be done with the endpoint."""

    READY = "ready"
    REMARKS = "ready, with remarks"
    NOT_READY = "not ready"


@dataclass(frozen=True, slots=True)
class Finding:
    """One step of a check."""

    step: str
    """Its stable name, as `tls versions`."""
    grade: Grade
    seen: str
    change: str = ""
    """What to change; empty where nothing needs to be."""


@dataclass(frozen=True, slots=True)
class Report:
    """A whole check."""

    url: str
    caller: str | None
    """HSA-id in the certificate that was called with."""
    findings: tuple[Finding, ...]
    rows: str | None
    """The rows of the routing table that connect the endpoint, as YAML; None when they cannot be written."""
    rows_lack: str
    """Why there are no rows."""
    elapsed_ms: float

    @property
    def verdict(self) -> Verdict:
        """Not ready when a step failed, or when nothing could be looked at."""
        return verdict_of(self.findings)


def verdict_of(findings: Sequence[Finding]) -> Verdict:
    """The worst that was found decides. What could not be tried for lack of time is a failure to show that it works."""
    grades = {finding.grade for finding in findings}
    if Grade.FAIL in grades or not findings:
        return Verdict.NOT_READY
    return Verdict.REMARKS if Grade.WARN in grades else Verdict.READY


def ok(step: str, seen: str) -> Finding:
    """A step that went well."""
    return Finding(step, Grade.OK, seen)


def warn(step: str, seen: str, change: str) -> Finding:
    """Something that works, and should be otherwise."""
    return Finding(step, Grade.WARN, seen, change)


def fail(step: str, seen: str, change: str) -> Finding:
    """Something that has to be changed."""
    return Finding(step, Grade.FAIL, seen, change)


def skipped(step: str, why: str) -> Finding:
    """A step that was not tried."""
    return Finding(step, Grade.SKIPPED, why)
