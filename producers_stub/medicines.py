"""Records of the domain clinicalprocess:activityprescription:actoutcome: prescriptions and vaccinations."""

from __future__ import annotations

from collections.abc import Sequence

from producers_stub.described import ICD_10_SE
from producers_stub.headers import Asked, professional, summary_header, unit
from producers_stub.journals import Medication, Vaccination
from producers_stub.nodes import OWN_IDS, Node, boolean, coded, day, identified, prefixed, seconds

NPL = "1.2.752.129.2.1.5.1"
ATC = "1.2.752.129.2.2.3.1.1"


def prescription(one: Medication, asked: Asked) -> Sequence[Node]:
    """MedicationMedicalRecordType."""
    drug: list[Node] = [
        ("nplId", coded(one.npl, NPL, "NPL-id", one.product)),
        ("atcCode", coded(one.atc, ATC, "ATC", one.substance)),
        ("pharmaceuticalForm", one.form),
        ("strength", one.strength),
        ("strengthUnit", one.strength_unit),
    ]
    ordered: list[Node] = [
        ("prescriptionId", identified(OWN_IDS, prefixed(asked.source, one.document.id))),
        ("typeOfPrescription", "I"),
        ("prescriptionStatus", one.status),
        ("treatmentPurpose", one.purpose),
        ("prescriptionChainId", identified(OWN_IDS, one.chain)),
        ("prescriber", professional(one.document)),
        ("startOfTreatment", seconds(one.start)),
        ("endOfTreatment", seconds(one.end) if one.end else None),
        ("selfMedication", boolean(False)),
        ("drug", [("drug", drug), ("dosage", [("dosageInstruction", one.dosage)])]),
    ]
    return (
        ("medicationMedicalRecordHeader", summary_header(one.document, asked, title=one.product)),
        ("medicationMedicalRecordBody", [("medicationPrescription", ordered)]),
    )


def vaccination(one: Vaccination, asked: Asked) -> Sequence[Node]:
    """VaccinationMedicalRecordType."""
    document = one.document
    registered: list[Node] = [
        ("careGiverOrg", [("orgUnitHSAId", document.unit.care_provider), ("orgUnitName", document.unit.name)]),
        ("sourceSystemName", asked.source),
        ("sourceSystemContact", [("hsaid", document.author.hsa_id), ("personName", document.author.name)]),
        ("date", day(document.time)),
    ]
    given: list[Node] = [
        ("performerOrg", unit(document.unit)),
        ("performer", [("hsaid", document.author.hsa_id), ("personName", document.author.name)]),
        ("doseOrdinalNumber", str(one.dose)),
        ("typeOfVaccine", coded(one.atc, ATC, "ATC", one.type)),
        ("vaccineName", coded(one.npl, NPL, "NPL-id", one.vaccine)),
        ("vaccineBatchId", one.batch),
        ("vaccineTargetDisease", coded(one.disease_code, ICD_10_SE, "ICD-10-SE", one.disease)),
        ("vaccinationUniqueReference", identified(OWN_IDS, prefixed(asked.source, document.id))),
    ]
    return (
        ("vaccinationMedicalRecordHeader", summary_header(document, asked, title="Vaccination")),
        ("vaccinationMedicalRecordBody", [("registrationRecord", registered), ("administrationRecord", given)]),
    )
