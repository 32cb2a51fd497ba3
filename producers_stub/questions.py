"""What a request for journal records asks for, whichever contract it is of, and whether a record is part of it.

Rules of the contracts that the schemas do not say: every filter narrows; an empty one does not. The contracts spell the
same filters `careUnitHSAId` or `careUnitHSAid`, and give an id as a text or as root and extension.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from producers_stub.journals import LaboratoryResult, Medication, Record, period
from producers_stub.nodes import day
from producers_stub.persons import problem_with_person_id


@dataclass(frozen=True, slots=True)
class Question:
    """Empty sets (of upper case ids) and empty texts do not narrow."""

    patient: str
    id_type: str
    care_units: frozenset[str]
    care_providers: frozenset[str]
    care_contacts: frozenset[str]
    source_system: str
    first_day: str
    """YYYYMMDD, inclusive."""
    last_day: str
    prescription_status: str = ""
    prescription_chain: str = ""
    specimens: frozenset[str] = frozenset()
    referrals: frozenset[str] = frozenset()

    @classmethod
    def read(cls, payload: etree._Element) -> Question:
        """The question in `payload`, a request of any contract of journal records; what it does not say is empty."""
        patient = _child(payload, "patientid")
        dates = _child(payload, "timeperiod", "dateperiod")
        return cls(
            patient=_text(patient, "id", "extension"),
            id_type=_text(patient, "type", "root"),
            care_units=_ids(payload, "careunithsaid"),
            care_providers=_ids(payload, "caregiverhsaid"),
            care_contacts=_ids(payload, "carecontactid"),
            source_system=next(iter(_ids(payload, "sourcesystemhsaid")), ""),
            first_day=_text(dates, "start"),
            last_day=_text(dates, "end"),
            prescription_status=_text(payload, "prescriptionstatus"),
            prescription_chain=next(iter(_ids(payload, "prescriptionchainid")), ""),
            specimens=_ids(payload, "specimenidentifier"),
            referrals=_ids(payload, "referralidentifier"),
        )

    def problem(self) -> str | None:
        """Why the question cannot be answered, without any of its values; None if it can."""
        if self.first_day and self.last_day and self.last_day < self.first_day:
            return "the period ends before it starts"
        return problem_with_person_id(self.patient, self.id_type)

    def asks_for(self, record: Record) -> bool:
        """Whether the record is among those asked for."""
        document = record.document
        first, last = period(record)
        return (
            document.patient == self.patient
            and _may(document.unit.hsa_id, self.care_units)
            and _may(document.unit.care_provider, self.care_providers)
            and _may(document.care_contact, self.care_contacts)
            and (not self.last_day or day(first) <= self.last_day)
            and (not self.first_day or last is None or day(last) >= self.first_day)
            and self._asks_for_details(record)
        )

    def _asks_for_details(self, record: Record) -> bool:
        match record:
            case Medication():
                return self.prescription_status in ("", record.status) and self.prescription_chain in (
                    "",
                    record.chain.upper(),
                )
            case LaboratoryResult():
                return _may(record.specimen, self.specimens) and _may(record.referral, self.referrals)
            case _:
                return True


def patient_of(payload: etree._Element) -> str:
    """Whom a request of any contract of journal records is about; empty for other contracts."""
    return _text(_child(payload, "patientid"), "id", "extension")


def _may(value: str, wanted: frozenset[str]) -> bool:
    return not wanted or value.upper() in wanted


def _local(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2].lower()


def _elements(parent: etree._Element | None) -> Iterator[etree._Element]:
    return parent.iterchildren(etree.Element) if parent is not None else iter(())


def _child(parent: etree._Element | None, *names: str) -> etree._Element | None:
    """The first child with one of the local names, which are in lower case."""
    return next((one for one in _elements(parent) if _local(one) in names), None)


def _text(parent: etree._Element | None, *names: str) -> str:
    child = _child(parent, *names)
    return (child.text or "").strip() if child is not None else ""


def _ids(parent: etree._Element, name: str) -> frozenset[str]:
    """The ids in the children of that name, in upper case: each its text, or its extension."""
    found = (one for one in _elements(parent) if _local(one) == name)
    texts = (_text(one, "extension") or (one.text or "").strip() for one in found)
    return frozenset(text.upper() for text in texts if text)
