"""What the rules look at: who reads, as what, whom, and what the patient has said. Plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class Purpose(Enum):
    """What an assignment is for, in the words that go on the wire."""

    CARE = "Vård och behandling"
    QUALITY = "Kvalitetssäkring"
    OTHER_DOCUMENTATION = "Annan dokumentation enligt lag"
    STATISTICS = "Statistik"
    ADMINISTRATION = "Administration"
    QUALITY_REGISTER = "Kvalitetsregister"


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who reads, with the assignment chosen at log-in. HSA-ids."""

    user_id: str
    unit: str
    care_provider: str
    purpose: Purpose


class Capacity(Enum):
    """Who can decide over the patient's data."""

    ADULT = "adult"
    CHILD = "child"
    LACKS_CAPACITY = "lacks capacity"
    """An adult who cannot take a position, and not only for the moment."""


class Wish(Enum):
    """What is known of what somebody without capacity would want, as far as it could be cleared up."""

    UNKNOWN = "unknown"
    NOT_AGAINST = "not against"
    AGAINST = "against"


@dataclass(frozen=True, slots=True)
class Patient:
    """The patient, as far as the rules mind."""

    capacity: Capacity = Capacity.ADULT
    is_mature: bool = False
    """Of a child: it can decide in this matter itself."""
    wish: Wish = Wish.UNKNOWN
    """Of somebody without capacity."""


@dataclass(frozen=True, slots=True)
class Period:
    """From a moment to another, which is not included; None has no end."""

    begins: datetime
    ends: datetime | None = None

    def holds(self, moment: datetime) -> bool:
        """Whether `moment` is within it."""
        return self.begins <= moment and (self.ends is None or moment < self.ends)


@dataclass(frozen=True, slots=True)
class CareRelation:
    """That a care provider has the patient in its care."""

    care_provider: str
    basis: str
    """Where it is known from: a booking, an admission, or that the reader says so."""
    period: Period


class By(Enum):
    """Who said something for the patient."""

    PATIENT = "patient"
    GUARDIAN = "guardian"
    """Of a child (vårdnadshavare)."""
    REPRESENTATIVE = "representative"
    """Who has the right to decide for the patient in this."""
    RELATIVE = "relative"
    """Near to the patient, and without such a right."""


class Covers(Enum):
    """What a consent is to."""

    SHARED_RECORDS = "shared records"
    """That a care provider reads what other care providers have made available."""
    INNER_BLOCK = "inner block"
    """That a block between units of one care provider is opened."""


@dataclass(frozen=True, slots=True)
class Consent:
    """A yes, or a no, to one care provider."""

    by: By
    covers: Covers
    care_provider: str
    period: Period
    is_given: bool = True


class BlockKind(Enum):
    """How far a block reaches."""

    INNER = "inner"
    """From everybody outside the unit: other units of the care provider, and other care providers."""
    OUTER = "outer"
    """From other care providers."""


@dataclass(frozen=True, slots=True)
class Block:
    """Data that the patient keeps from others."""

    kind: BlockKind
    care_provider: str
    """Whose data."""
    unit: str
    """The unit whose data; empty: all of the care provider's."""
    by: By
    period: Period

    def covers(self, owner: Owner, moment: datetime) -> bool:
        """Whether this data is blocked by it at `moment`."""
        is_of_unit = self.unit in ("", owner.unit)
        return self.care_provider == owner.care_provider and is_of_unit and self.period.holds(moment)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose data it is that somebody wants to see. HSA-ids."""

    care_provider: str
    unit: str


@dataclass(frozen=True, slots=True)
class Emergency:
    """The reader says that the patient's life or health is in danger, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that a decision is made of."""

    assignment: Assignment
    patient: Patient
    now: datetime
    relations: Sequence[CareRelation] = ()
    consents: Sequence[Consent] = ()
    blocks: Sequence[Block] = ()
    emergency: Emergency | None = None
    is_needed: bool = True
    """Of somebody without capacity: the data can be assumed to matter for care that the patient needs."""
