"""The header of a record, as the contracts of the 2.x family have it: whose, by whom, where, in force or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from producers_stub.journals import Author, CareUnit, Document
from producers_stub.nodes import Node, boolean, coded, prefixed, seconds

POSITIONS = "1.2.752.129.2.2.1.4"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a record's answer takes from the call: the called source system, and the kind of id the patient has."""

    source: str
    id_type: str


def summary_header(document: Document, asked: Asked, *, title: str) -> Sequence[Node]:
    """PatientSummaryHeaderType."""
    return (
        *_beginning(document, asked, title=title),
        ("careContactId", document.care_contact),
        *nullified(document),
    )


def contact_header(document: Document, asked: Asked) -> Sequence[Node]:
    """The same in GetCareContacts 3.0, where the contact's id stands last."""
    return (
        *_beginning(document, asked, title="Vårdkontakt"),
        *nullified(document),
        ("careContactId", document.care_contact),
    )


def short_header(document: Document, asked: Asked) -> Sequence[Node]:
    """The same in GetCareContacts 2.0: no title, no times, no contact."""
    return (
        ("documentId", prefixed(asked.source, document.id)),
        ("sourceSystemHSAId", asked.source),
        ("patientId", [("id", document.patient), ("type", asked.id_type)]),
        ("accountableHealthcareProfessional", professional(document)),
        ("approvedForPatient", boolean(document.approved_for_patient)),
        *nullified(document),
    )


def professional(document: Document) -> Sequence[Node]:
    """HealthcareProfessionalType: the author, and for which unit and care provider they wrote."""
    author = document.author
    return (
        ("authorTime", seconds(document.time)),
        ("healthcareProfessionalHSAId", author.hsa_id),
        ("healthcareProfessionalName", author.name),
        ("healthcareProfessionalRoleCode", role(author)),
        ("healthcareProfessionalOrgUnit", unit(document.unit)),
        ("healthcareProfessionalCareUnitHSAId", document.unit.hsa_id),
        ("healthcareProfessionalCareGiverHSAId", document.unit.care_provider),
    )


def role(author: Author) -> Sequence[Node]:
    """The author's position: a code where it has one."""
    if not author.role_code:
        return (("originalText", author.role),)
    return coded(author.role_code, POSITIONS, "Befattning HSA", author.role)


def unit(one: CareUnit) -> Sequence[Node]:
    """OrgUnitType."""
    return (
        ("orgUnitHSAId", one.hsa_id),
        ("orgUnitName", one.name),
        ("orgUnitTelecom", one.telecom),
        ("orgUnitEmail", one.email),
        ("orgUnitAddress", one.address),
        ("orgUnitLocation", one.location),
    )


def nullified(document: Document) -> Sequence[Node]:
    """That a record is no longer in force, and why; nothing while it is."""
    if not document.nullified:
        return ()
    return (("nullified", "true"), ("nullifiedReason", document.nullified))


def _beginning(document: Document, asked: Asked, *, title: str) -> Sequence[Node]:
    """What the headers have in common, up to the approval for the patient."""
    written = seconds(document.time)
    return (
        ("documentId", prefixed(asked.source, document.id)),
        ("sourceSystemHSAId", asked.source),
        ("documentTitle", title),
        ("documentTime", written),
        ("patientId", [("id", document.patient), ("type", asked.id_type)]),
        ("accountableHealthcareProfessional", professional(document)),
        (
            "legalAuthenticator",
            [
                ("signatureTime", written),
                ("legalAuthenticatorHSAId", document.author.hsa_id),
                ("legalAuthenticatorName", document.author.name),
            ],
        ),
        ("approvedForPatient", boolean(document.approved_for_patient)),
    )
