"""Canned journals: what each stub producer knows about the demo world's patients, from journals/<producer>.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from producers_stub.world import FOLDER
from rivta.soap.identifiers import HsaId


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
    """Unique within the producer; the source system is put in front of it in an answer."""
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
class Journal:
    """All that one producer holds."""

    diagnoses: tuple[Diagnosis, ...]
    care_contacts: tuple[CareContact, ...]

    @classmethod
    def load(cls, path: Path) -> Journal:
        """The journal in `path`; ValueError naming the file and the record that is wrong."""
        with path.open("rb") as file:
            content = tomllib.load(file)
        provider = HsaId(content["care_provider"])
        units = {key: CareUnit(care_provider=provider, **row) for key, row in content["units"].items()}
        authors = {key: Author(**row) for key, row in content["authors"].items()}

        def document(row: dict[str, Any]) -> Document:
            return Document(
                id=row.pop("id"),
                patient=row.pop("patient"),
                time=row.pop("time"),
                unit=units[row.pop("unit")],
                author=authors[row.pop("author")],
                care_contact=row.pop("care_contact", ""),
                approved_for_patient=row.pop("approved_for_patient", True),
                nullified=row.pop("nullified", ""),
            )

        try:
            return cls(
                diagnoses=tuple(_diagnosis(document(row), row) for row in content.get("diagnoses", ())),
                care_contacts=tuple(_care_contact(document(row), row) for row in content.get("care_contacts", ())),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path}: a record lacks or has too much: {error}") from error


def load_journals(folder: Path = FOLDER / "journals") -> Mapping[str, Journal]:
    """Every journal by the name of its producer."""
    return {path.stem: Journal.load(path) for path in sorted(folder.glob("*.toml"))}


def _diagnosis(document: Document, row: dict[str, Any]) -> Diagnosis:
    return Diagnosis(document=document, related=tuple(row.pop("related", ())), **row)


def _care_contact(document: Document, row: dict[str, Any]) -> CareContact:
    end = row.pop("end", None)
    return CareContact(document=document, end=end, start=row.pop("start", document.time), **row)
