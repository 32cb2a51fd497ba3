"""What the overview shows: one type for each information set, whatever contract and version a record came by.

Times are Swedish, without zone, as journals write them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as exact as the record has it."""

    at: datetime
    has_clock: bool

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}" if self.has_clock else f"{self.at:%Y-%m-%d}"


@dataclass(frozen=True, slots=True)
class About:
    """What every record says of itself."""

    document_id: str
    patient: str = field(repr=False)
    """Whom it is about; empty where it does not say."""
    time: Moment | None
    author: str = ""
    role: str = ""
    unit_id: str = ""
    unit: str = ""
    """Name, or the HSA-id where there is none."""
    care_provider: str = ""
    """HSA-id."""
    is_nullified: bool = False
    nullified_reason: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A journal note."""

    about: About
    kind: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A diagnosis."""

    about: About
    kind: str
    """Main or secondary, as the contract spells it."""
    code: str
    text: str
    is_chronic: bool


@dataclass(frozen=True, slots=True)
class CareContact:
    """A visit, a stay, a call."""

    about: About
    kind: str
    reason: str
    status: str
    begins: Moment | None
    ends: Moment | None


@dataclass(frozen=True, slots=True)
class Dispensation:
    """A medicine that was fetched at a pharmacy."""

    about: About
    product: str
    strength: str
    form: str
    substance: str
    amount: str
    dosage: str
    purpose: str
    pharmacy: str


@dataclass(frozen=True, slots=True)
class LabValue:
    """One analysis of a laboratory result."""

    code: str
    name: str
    value: str
    unit: str
    low: float | None
    high: float | None
    interval: str
    """The reference interval in words; empty where there is none."""
    flag: str
    """How it lies outside of the interval, in the source's words; empty where it does not."""
    comment: str
    time: Moment | None

    @property
    def number(self) -> float | None:
        """The value where it is a number."""
        return number_of(self.value)


@dataclass(frozen=True, slots=True)
class LabResult:
    """A laboratory result."""

    about: About
    title: str
    question: str
    comment: str
    values: tuple[LabValue, ...]


@dataclass(frozen=True, slots=True)
class Vaccination:
    """A vaccination."""

    about: About
    vaccine: str
    kind: str
    disease: str
    dose: str
    batch: str


@dataclass(frozen=True, slots=True)
class Prescription:
    """What a care provider has ordered: its own list, and not what was fetched."""

    about: About
    product: str
    substance: str
    strength: str
    form: str
    dosage: str
    purpose: str
    is_active: bool
    begins: Moment | None
    ends: Moment | None


@dataclass(frozen=True, slots=True)
class Alert:
    """What everybody has to know first."""

    about: About
    title: str
    kind: str
    severity: str
    comment: str
    ends: Moment | None


Record = Note | Diagnosis | CareContact | Dispensation | LabResult | Vaccination | Prescription | Alert


def number_of(text: str) -> float | None:
    """The number that a text is, with a point or a comma; None for any other."""
    plain = text.strip().replace(",", ".").replace("\u2212", "-")
    try:
        number = float(plain)
    except ValueError:
        return None
    # What is larger than any measurement would draw no picture, nor would what is no number by its name.
    return number if abs(number) < 1e12 else None
