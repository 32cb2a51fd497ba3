"""Canned journals: what each stub producer knows about the demo world's patients, from journals/<producer>.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from producers_stub.world import FOLDER
from rivta.soap.identifiers import HsaId, LogicalAddress


class Kind(Enum):
    """The kinds of record; the values are the names of their tables in a journal's file."""

    NOTES = "notes"
    DIAGNOSES = "diagnoses"
    ALERTS = "alerts"
    CARE_CONTACTS = "care_contacts"
    MEDICATIONS = "medications"
    LABORATORY_RESULTS = "laboratory_results"
    VACCINATIONS = "vaccinations"


@dataclass(frozen=True, slots=True)
class CareUnit:
    """A care unit; what follows the care provider may be empty."""

    hsa_id: HsaId
    name: str
    care_provider: HsaId
    telecom: str = ""
    email: str = ""
    address: str = ""
    location: str = ""
    found_at: str = ""
    """The one address of the producer that its records are found at; empty for each of them."""


@dataclass(frozen=True, slots=True)
class Author:
    """A health care professional; `role_code` is a code of the field's list of positions, empty where it has none."""

    hsa_id: HsaId
    name: str
    role: str
    role_code: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """What the header of every record says."""

    id: str
    """Unique within the producer; the source system is put in front of it in an answer. One with a colon in it is whole
    already: a copy of another source system's record."""
    patient: str
    time: datetime
    """Swedish time, without zone, as journals write it."""
    unit: CareUnit
    author: Author
    care_contact: str = ""
    approved_for_patient: bool = True
    nullified: str = ""
    """Why the record was nullified; empty if it is in force."""


@dataclass(frozen=True, slots=True)
class Note:
    """Care documentation: free text under a title."""

    document: Document
    code: str
    """Code of the field's kinds of note, as `bes` for a visit, `sva` for an answer, `slu` for a final note."""
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A diagnosis by ICD-10-SE."""

    document: Document
    code: str
    text: str
    chronic: bool = False
    is_main: bool = True
    related: tuple[str, ...] = ()
    """Ids of the documents of related diagnoses."""


@dataclass(frozen=True, slots=True)
class Alert:
    """What every carer must know: a hypersensitivity where `atc` or `agent` is given, a treatment where neither is."""

    document: Document
    title: str
    comment: str = ""
    atc: str = ""
    """ATC code of the substance, which `title` names."""
    agent: str = ""
    """What else than a medicine the patient reacts to."""
    severity: str = "1"
    """1 harmful, 2 life-threatening, 3 a nuisance."""


@dataclass(frozen=True, slots=True)
class CareContact:
    """A visit, telephone call or stay; `end` is None while it lasts."""

    document: Document
    kind: str
    """Code of the field's list of kinds of care contact: 1 visit, 2 telephone, 3 stay, 4 day care, 5 other."""
    reason: str
    start: datetime
    end: datetime | None
    status: str
    """1 not begun, 2 cancelled, 3 going on, 4 broken off, 5 ended."""


@dataclass(frozen=True, slots=True)
class Medication:
    """A prescription in the journal: what was ordered, whether or not it was ever dispensed."""

    document: Document
    product: str
    npl: str
    atc: str
    substance: str
    form: str
    strength: str
    strength_unit: str
    dosage: str
    start: datetime
    end: datetime | None = None
    """None while the treatment goes on."""
    purpose: str = ""
    chain: str = ""
    """Id of the chain of prescriptions that this one is a link of."""

    @property
    def status(self) -> str:
        """`Active` or `Inactive`, as the contract has it."""
        return "Active" if self.end is None else "Inactive"


@dataclass(frozen=True, slots=True)
class Analysis:
    """One measured value with what is normal for it; `low` and `high` may be empty."""

    npu: str
    name: str
    value: str
    unit: str
    low: str = ""
    high: str = ""
    comment: str = ""

    @property
    def flag(self) -> str:
        """`H` over the reference interval, `L` under it, empty within."""
        value = float(self.value)
        if self.high and value > float(self.high):
            return "H"
        return "L" if self.low and value < float(self.low) else ""


@dataclass(frozen=True, slots=True)
class LaboratoryResult:
    """The answer of a laboratory to one order."""

    document: Document
    group: str
    """What the analyses are together."""
    referral: str
    specimen: str
    question: str
    analyses: tuple[Analysis, ...]
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Vaccination:
    """One dose, given."""

    document: Document
    vaccine: str
    npl: str
    atc: str
    type: str
    batch: str
    disease: str
    disease_code: str
    """ICD-10-SE."""
    dose: int = 1


Record = Note | Diagnosis | Alert | CareContact | Medication | LaboratoryResult | Vaccination


@dataclass(frozen=True, slots=True)
class Announced:
    """An engagement that no record answers to: the source has announced what it does not show."""

    kind: Kind
    patient: str
    logical_address: LogicalAddress
    time: datetime


@dataclass(frozen=True, slots=True)
class Journal:
    """All that one producer holds."""

    care_provider: HsaId
    records: Mapping[Kind, tuple[Record, ...]]
    announced: tuple[Announced, ...] = ()
    """Engagements beside those that the records are announced by."""
    is_announced: bool = True
    """Whether the records are announced to the engagement index at all."""

    @classmethod
    def load(cls, path: Path) -> Journal:
        """The journal in `path`; ValueError naming the file and the record that is wrong."""
        with path.open("rb") as file:
            content = tomllib.load(file)
        try:
            reading = _Reading.of(content)
            return cls(
                care_provider=reading.care_provider,
                records={kind: tuple(map(reading.record(kind), content.get(kind.value, ()))) for kind in Kind},
                announced=tuple(
                    Announced(Kind(kind), row["patient"], LogicalAddress(row["logical_address"]), row["time"])
                    for row in content.get("announced", ())
                    for kind in row["kinds"]
                ),
                is_announced=content.get("is_announced", True),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: a record lacks or has too much: {error}") from error


def load_journals(folder: Path = FOLDER / "journals") -> Mapping[str, Journal]:
    """Every journal by the name of its producer."""
    return {path.stem: Journal.load(path) for path in sorted(folder.glob("*.toml"))}


def period(record: Record) -> tuple[datetime, datetime | None]:
    """When what a record tells of began and ended (None: it goes on), which is what a request's period is about.

    A contact takes its time, a treatment goes on; of all else counts when it was written down.
    """
    if isinstance(record, CareContact | Medication):
        return record.start, record.end
    return record.document.time, record.document.time


@dataclass(frozen=True, slots=True)
class _Reading:
    """Rows of a journal's file made into records; a row's fields beside those of its document are the record's."""

    care_provider: HsaId
    units: Mapping[str, CareUnit]
    authors: Mapping[str, Author] = field(default_factory=dict)

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> _Reading:
        provider = HsaId(content["care_provider"])
        return cls(
            care_provider=provider,
            units={key: CareUnit(care_provider=provider, **row) for key, row in content["units"].items()},
            authors={key: Author(**row) for key, row in content["authors"].items()},
        )

    def record(self, kind: Kind) -> Callable[[dict[str, Any]], Record]:
        makers: Mapping[Kind, Callable[[Document, dict[str, Any]], Record]] = {
            Kind.NOTES: lambda document, row: Note(document=document, **row),
            Kind.DIAGNOSES: lambda document, row: Diagnosis(
                document=document, related=tuple(row.pop("related", ())), **row
            ),
            Kind.ALERTS: lambda document, row: Alert(document=document, **row),
            Kind.CARE_CONTACTS: _care_contact,
            Kind.MEDICATIONS: lambda document, row: Medication(
                document=document, start=row.pop("start", document.time), **row
            ),
            Kind.LABORATORY_RESULTS: lambda document, row: LaboratoryResult(
                document=document, analyses=tuple(Analysis(**one) for one in row.pop("analyses")), **row
            ),
            Kind.VACCINATIONS: lambda document, row: Vaccination(document=document, **row),
        }
        make = makers[kind]
        return lambda row: make(self._document(row), row)

    def _document(self, row: dict[str, Any]) -> Document:
        return Document(
            id=row.pop("id"),
            patient=row.pop("patient"),
            time=row.pop("time"),
            unit=self.units[row.pop("unit")],
            author=self.authors[row.pop("author")],
            care_contact=row.pop("care_contact", ""),
            approved_for_patient=row.pop("approved_for_patient", True),
            nullified=row.pop("nullified", ""),
        )


def _care_contact(document: Document, row: dict[str, Any]) -> CareContact:
    end = row.pop("end", None)
    return CareContact(document=document, end=end, start=row.pop("start", document.time), **row)
