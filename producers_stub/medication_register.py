"""The stub of the national register of dispensed medicines: who has fetched what at pharmacies, and who may see it.

It answers GetDispensedMedicines 1.0, a contract of our own, from medication_register.toml. It is called by its own
logical address, never found through the engagement index.
"""

from __future__ import annotations

import tomllib
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from lxml import etree

from producers_stub.persons import problem_with_person_id
from producers_stub.world import FOLDER
from rivta.soap import namespaces
from rivta.soap.service import Call

SWEDISH_TIME = ZoneInfo("Europe/Stockholm")
POSITIONS = "1.2.752.129.2.2.1.4"
"""The field's code system of health care professionals' positions."""

_CORE = f"{{{namespaces.MEDICATION_REGISTER_1}}}"
_MESSAGES = {
    "EMERGENCY_ACCESS": "Förteckningen lämnades ut utan samtycke. Patienten underrättas.",
    "PATIENT_DECEASED": "Patienten är avliden.",
}
_NO_CONSENT = "Det finns inget giltigt samtycke till att läsa patientens läkemedelsförteckning."

_Content = Mapping[str, Any]
"""Children of an element by name, in order: text, their own content, a list where there are several, None for none."""


@dataclass(frozen=True, slots=True)
class Consent:
    """A patient's consent to being read about, in force on whole days, Swedish time."""

    id: str
    patient: str
    valid_from: date
    valid_to: date | None = None
    """Inclusive; None is until further notice."""
    care_giver: str = ""
    """HSA-id of the care provider that it is given to; empty for every one."""

    def lets_in(self, question: Question, today: date) -> bool:
        """Whether it opens the list for who asks `question`."""
        return (
            self.patient == question.patient
            and question.consent_id in ("", self.id)
            and self.care_giver.upper() in ("", question.care_giver.upper())
            and self.valid_from <= today
            and (self.valid_to is None or today <= self.valid_to)
        )


@dataclass(frozen=True, slots=True)
class Question:
    """What a request asks for."""

    patient: str
    id_type: str
    first_day: str
    """YYYYMMDD, inclusive, as the last; empty for no limit."""
    last_day: str
    bases: tuple[str, ...]
    """Which of `consent` and `emergency` it gives for reading; the contract has just one."""
    consent_id: str
    """Empty: any consent will do."""
    reason: str
    """Of an emergency."""
    reader: str
    """HSA-id."""
    care_giver: str
    """HSA-id of the reader's care provider."""

    @classmethod
    def read(cls, payload: etree._Element) -> Question:
        """The question in a request of the contract; what it does not say is empty."""

        def text(*path: str) -> str:
            return (payload.findtext("/".join(f"{{*}}{step}" for step in path)) or "").strip()

        return cls(
            patient=text("patientId", "id"),
            id_type=text("patientId", "type"),
            first_day=text("datePeriod", "start"),
            last_day=text("datePeriod", "end"),
            bases=tuple(etree.QName(one).localname for one in payload.iterfind("{*}accessBasis/*")),
            consent_id=text("accessBasis", "consent", "consentId"),
            reason=text("accessBasis", "emergency", "reason"),
            reader=text("requester", "personHSAId"),
            care_giver=text("requester", "careGiverHSAId"),
        )

    @property
    def is_emergency(self) -> bool:
        """Whether consent is not asked for."""
        return self.bases == ("emergency",)

    def problem(self) -> str | None:
        """Why it cannot be answered, without any of its values; None if it can."""
        if self.first_day and self.last_day and self.last_day < self.first_day:
            return "the period ends before it starts"
        if self.bases not in (("consent",), ("emergency",)):
            return "accessBasis has to be either consent or emergency"
        if self.is_emergency and not self.reason:
            return "an emergency has to have a reason"
        if not self.reader or not self.care_giver:
            return "requester has to name the reader and the care provider"
        return problem_with_person_id(self.patient, self.id_type)


@dataclass(frozen=True, slots=True)
class Dispensation:
    """A medicine that was handed out; `content` is the rest of its element, without the patient."""

    id: str
    patient: str
    date: date
    content: _Content

    def is_within(self, question: Question) -> bool:
        """Whether it is the patient's, and of the days asked for."""
        day = _day(self.date)
        return self.patient == question.patient and question.first_day <= day <= (question.last_day or day)


@dataclass(frozen=True, slots=True)
class MedicationRegister:
    """All that the register holds. `now` gives the time, with a zone."""

    consents: tuple[Consent, ...]
    deceased: frozenset[str]
    dispensations: tuple[Dispensation, ...]
    """Newest first."""
    now: Callable[[], datetime]

    @classmethod
    def load(cls, now: Callable[[], datetime], path: Path = FOLDER / "medication_register.toml") -> MedicationRegister:
        """The register in `path`; ValueError naming the file, the row and what is wrong with it."""
        with path.open("rb") as file:
            try:
                content = tomllib.load(file)
            except tomllib.TOMLDecodeError as error:
                raise ValueError(f"{path}: {error}") from error
        rows = content.get("dispensations", [])
        try:
            found = [_dispensation(row, content) for row in rows]
            consents = tuple(Consent(**row) for row in content.get("consents", []))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: a row lacks or has too much: {error}") from error
        return cls(
            consents=consents,
            deceased=frozenset(content.get("deceased", [])),
            dispensations=tuple(sorted(found, key=lambda one: (one.date, one.id), reverse=True)),
            now=now,
        )

    def answer(self, call: Call) -> etree._Element:
        """GetDispensedMedicines 1.0: a refusal is an answer too, with result code ERROR, never a fault."""
        question = Question.read(call.payload)
        result = self._result(question)
        response = etree.Element(
            f"{{{call.contract}}}GetDispensedMedicinesResponse",
            nsmap={"lf": call.contract, "core": namespaces.MEDICATION_REGISTER_1},
        )
        if result["resultCode"] != "ERROR":
            for one in self.dispensations:
                if one.is_within(question):
                    person = {"id": question.patient, "type": question.id_type}
                    element = etree.SubElement(response, f"{{{call.contract}}}dispensation")
                    _fill(element, {"dispensationId": one.id, "patientId": person, **one.content})
        logged = {"logId": call.correlation_id or str(uuid.uuid4()), "message": result.pop("message")}
        _fill(etree.SubElement(response, f"{{{call.contract}}}result"), {**result, **logged})
        return response

    def _result(self, question: Question) -> dict[str, Any]:
        """Whether the question is answered; whether the patient is in the register does not show in a refusal."""
        problem = question.problem()
        if problem is not None:
            return {"resultCode": "ERROR", "errorCode": "INVALID_REQUEST", "message": problem}
        today = self.now().astimezone(SWEDISH_TIME).date()
        if not question.is_emergency and not any(one.lets_in(question, today) for one in self.consents):
            return {"resultCode": "ERROR", "errorCode": "NO_CONSENT", "message": _NO_CONSENT}
        known = list(self._to_know(question))
        told = " ".join(_MESSAGES[code] for code in known)
        return {"resultCode": "INFO" if known else "OK", "infoCode": known, "message": told}

    def _to_know(self, question: Question) -> Iterator[str]:
        if question.is_emergency:
            yield "EMERGENCY_ACCESS"
        if question.patient in self.deceased:
            yield "PATIENT_DECEASED"


def _dispensation(row: Mapping[str, Any], content: Mapping[str, Any]) -> Dispensation:
    """A row with what it refers to, in the order of the contract. Raises KeyError."""
    product = content["products"][row["product"]]
    amount, _, unit = row["amount"].partition(" ")
    return Dispensation(
        id=row["id"],
        patient=row["patient"],
        date=row["date"],
        content={
            "dispensedDate": _day(row["date"]),
            "wayOfDispensing": row.get("way", "PACKAGE"),
            "medicine": _medicine(product),
            "numberOfPackages": str(row["packages"]) if "packages" in row else None,
            "dispensedAmount": {"value": amount, "unit": unit},
            "dosageText": row["dosage"],
            "treatmentPurpose": row.get("purpose"),
            "substitution": _substitution(row["substitution"]) if "substitution" in row else None,
            "prescription": _prescription(row["prescription"], content["prescribers"]),
            "pharmacy": _pharmacy(content["pharmacies"][row["pharmacy"]]),
            "withinBenefits": str(row["within_benefits"]).lower() if "within_benefits" in row else None,
            "cancelled": _cancelled(row["cancelled"]) if "cancelled" in row else None,
        },
    )


def _medicine(product: Mapping[str, Any]) -> _Content:
    return {
        "productName": product["name"],
        "nplId": product["npl_id"],
        "nplPackId": product.get("npl_pack_id"),
        "atcCode": product.get("atc_code"),
        "atcText": product.get("atc_text"),
        "activeSubstance": product.get("substances"),
        "form": product["form"],
        "strength": product.get("strength"),
        "packageText": product.get("package"),
        "marketingAuthorisationHolder": product.get("holder"),
    }


def _substitution(row: Mapping[str, Any]) -> _Content:
    return {
        "kind": row["kind"],
        "prescribedProductName": row["product_name"],
        "prescribedNplId": row.get("npl_id"),
    }


def _prescription(row: Mapping[str, Any], prescribers: Mapping[str, Any]) -> _Content:
    prescriber = prescribers[row["prescriber"]]
    role = None
    if "role_code" in prescriber:
        role = {
            "code": prescriber["role_code"],
            "codeSystem": POSITIONS,
            "codeSystemName": "Befattning HSA",
            "displayName": prescriber["role"],
        }
    return {
        "prescriptionId": row.get("id"),
        "prescribedDate": _day(row["date"]),
        "validTo": _day(row["valid_to"]) if "valid_to" in row else None,
        "dispensationsLeft": str(row["left"]) if "left" in row else None,
        "prescriber": {
            "name": prescriber["name"],
            "hsaId": prescriber.get("hsa_id"),
            "role": role,
            "unitName": prescriber["unit"],
            "unitHSAId": prescriber.get("unit_hsa_id"),
            "unitTelecom": prescriber.get("unit_telecom"),
        },
    }


def _pharmacy(row: Mapping[str, Any]) -> _Content:
    return {"pharmacyId": row["id"], "name": row["name"], "city": row.get("city"), "telecom": row.get("telecom")}


def _cancelled(row: Mapping[str, Any]) -> _Content:
    return {"date": _day(row["date"]), "reason": row.get("reason")}


def _fill(parent: etree._Element, children: _Content) -> None:
    """Adds elements of the domain; what has no text is left out."""
    for name, content in children.items():
        for one in content if isinstance(content, list) else [content]:
            if one in (None, ""):
                continue
            element = etree.SubElement(parent, f"{_CORE}{name}")
            if isinstance(one, str):
                element.text = one
            else:
                _fill(element, one)


def _day(day: date) -> str:
    return f"{day:%Y%m%d}"
