"""Whether what a source has announced to an index agrees with what it answers when it is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Kind(Enum):
    """How the two differ; the value is how the command line spells it."""

    NOT_ANNOUNCED = "not announced"
    """The source has records that no aggregate asks it for."""
    NO_DATA = "no data"
    """It has announced something, and has no records."""
    STALE = "stale"
    """Its newest record is newer than what it has announced: who asks the index for news misses it."""
    UNANSWERED = "unanswered"
    """It was asked and has given no answer, so that nobody knows."""
    UNREACHABLE = "unreachable"
    """It has announced something that the platform lets this caller ask by no contract."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of asking a source for one patient's records by one contract."""

    records: int = 0
    newest: str | None = None
    """When the newest record was written, `yyyyMMddHHmmss`; None: they do not say."""
    failure: str | None = None
    """Why there is no answer."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One patient's data at one source by one contract that is not as announced."""

    kind: Kind
    source: str
    contract: str
    """Namespace; empty where there is none to ask by."""
    patient: str = field(repr=False)
    announced: str | None
    """The newest content by the index; None: nothing is announced, or it does not say."""
    newest: str | None
    records: int
    text: str = ""


def difference(
    source: str, contract: str, patient: str, *, is_announced: bool, announced: str | None, answered: Answered
) -> Difference | None:
    """How the two differ; None when they agree. `announced` is the newest content that the index knows of, if any."""
    kind = _kind(is_announced, announced, answered)
    if kind is None:
        return None
    return Difference(
        kind, source, contract, patient, announced, answered.newest, answered.records, answered.failure or ""
    )


def _kind(is_announced: bool, announced: str | None, answered: Answered) -> Kind | None:
    if answered.failure is not None:
        return Kind.UNANSWERED
    if not is_announced:
        return Kind.NOT_ANNOUNCED if answered.records else None
    if not answered.records:
        return Kind.NO_DATA
    # Both are written alike, so that they compare as texts; of what says no time nothing is known.
    return Kind.STALE if announced and answered.newest and answered.newest > announced else None
