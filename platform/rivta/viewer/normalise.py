"""Records of every contract and version as the one type of their information set: pure functions of an element.

An element that stands somewhere else, or is missing, gives an empty text, never an error: a viewer shows what there is.
Whether the message fits its schema is the platform's to check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from lxml import etree

from rivta.soap import namespaces
from rivta.soap.person_ids import PersonIdType
from rivta.viewer.reading import child, children, coded, first_text, moment, text, yes
from rivta.viewer.records import (
    About,
    Alert,
    CareContact,
    Diagnosis,
    Dispensation,
    LabResult,
    LabValue,
    Note,
    Prescription,
    Record,
    Vaccination,
    number_of,
)

NOTE_KINDS = {
    "utr": "Utredning",
    "atb": "Åtgärd/behandling",
    "sam": "Sammanfattning",
    "sao": "Samordning",
    "ins": "Inskrivning",
    "slu": "Slutanteckning",
    "auf": "Anteckning utan fysiskt möte",
    "sva": "Slutenvårdsanteckning",
    "bes": "Besöksanteckning",
}
CONTACT_KINDS = {"1": "Besök", "2": "Telefon", "3": "Vårdtillfälle", "4": "Dagsjukvård", "5": "Annan"}
CONTACT_STATUSES = {"1": "Ej påbörjad", "2": "Inställd", "3": "Pågående", "4": "Avbruten", "5": "Avslutad"}


def _summary(header: etree._Element | None) -> About:
    """The header of the 2.x and 3.x contracts (PatientSummaryHeaderType)."""
    author = child(header, "accountableHealthcareProfessional")
    unit = child(author, "healthcareProfessionalOrgUnit")
    unit_id = first_text(text(author, "healthcareProfessionalCareUnitHSAId"), text(unit, "orgUnitHSAId"))
    return About(
        document_id=text(header, "documentId"),
        patient=text(header, "patientId", "id"),
        time=moment(first_text(text(header, "documentTime"), text(author, "authorTime"))),
        author=text(author, "healthcareProfessionalName"),
        role=coded(author, "healthcareProfessionalRoleCode"),
        unit_id=unit_id,
        unit=first_text(text(unit, "orgUnitName"), unit_id),
        care_provider=text(author, "healthcareProfessionalCareGiverHSAId"),
        is_nullified=yes(header, "nullified"),
        nullified_reason=text(header, "nullifiedReason"),
    )


def note(element: etree._Element) -> Note:
    """CareDocumentationType 2.x."""
    about = _summary(child(element, "careDocumentationHeader"))
    body = child(element, "careDocumentationBody", "clinicalDocumentNote")
    kind = first_text(
        coded(body, "clinicalDocumentNoteCode", known=NOTE_KINDS), coded(body, "clinicalDocumentTypeCode")
    )
    title = text(body, "clinicalDocumentNoteTitle")
    return Note(about, kind, title or kind, text(body, "clinicalDocumentNoteText"))


def diagnosis(element: etree._Element) -> Diagnosis:
    """DiagnosisType 2.0."""
    body = child(element, "diagnosisBody")
    code = text(body, "diagnosisCode", "code")
    words = coded(body, "diagnosisCode")
    return Diagnosis(
        about=_summary(child(element, "diagnosisHeader")),
        kind=text(body, "typeOfDiagnosis"),
        code=code,
        text="" if words == code else words,
        is_chronic=yes(body, "chronicDiagnosis"),
    )


def care_contact(element: etree._Element) -> CareContact:
    """CareContactType 2.0 and 3.0: kind and status are codes in one and coded values in the other."""
    about = _summary(child(element, "careContactHeader"))
    body = child(element, "careContactBody")
    begins = moment(text(body, "careContactTimePeriod", "start"))
    return CareContact(
        about=about if about.time else replace(about, time=begins),
        kind=coded(body, "careContactCode", known=CONTACT_KINDS),
        reason=text(body, "careContactReason"),
        status=coded(body, "careContactStatus", known=CONTACT_STATUSES),
        begins=begins,
        ends=moment(text(body, "careContactTimePeriod", "end")),
    )


def dispensation(element: etree._Element) -> Dispensation:
    """DispensationType 1.0, of the national register: it has no care provider of its own but the prescriber's unit."""
    medicine, prescriber = child(element, "medicine"), child(element, "prescription", "prescriber")
    packages = text(element, "numberOfPackages")
    amount = " ".join(
        filter(None, (text(element, "dispensedAmount", "value"), text(element, "dispensedAmount", "unit")))
    )
    cancelled = child(element, "cancelled")
    return Dispensation(
        about=About(
            document_id=text(element, "dispensationId"),
            patient=text(element, "patientId", "id"),
            time=moment(text(element, "dispensedDate")),
            author=text(prescriber, "name"),
            role=coded(prescriber, "role"),
            unit_id=text(prescriber, "unitHSAId"),
            unit=first_text(text(prescriber, "unitName"), text(prescriber, "unitHSAId")),
            is_nullified=cancelled is not None,
            nullified_reason=text(cancelled, "reason"),
        ),
        product=text(medicine, "productName"),
        strength=text(medicine, "strength"),
        form=text(medicine, "form"),
        substance=", ".join(filter(None, (text(one) for one in children(medicine, "activeSubstance")))),
        amount=" · ".join(filter(None, (f"{packages} förp." if packages else "", amount))),
        dosage=text(element, "dosageText"),
        purpose=text(element, "treatmentPurpose"),
        pharmacy=", ".join(filter(None, (text(element, "pharmacy", "name"), text(element, "pharmacy", "city")))),
    )


def lab_result_3(element: etree._Element) -> LabResult:
    """LaboratoryOrderOutcomeType 3.1."""
    header, body = child(element, "laboratoryOrderOutcomeHeader"), child(element, "laboratoryOrderOutcomeBody")
    return LabResult(
        about=_summary(header),
        title=first_text(text(header, "documentTitle"), text(body, "discipline")),
        question=text(body, "order", "orderReason"),
        comment=text(body, "resultReport"),
        values=tuple(_analysis_3(one) for one in children(body, "analysis")),
    )


def _analysis_3(analysis: etree._Element) -> LabValue:
    outcome = child(analysis, "analysisOutcome")
    interval = text(outcome, "referenceInterval")
    low, high = _bounds(interval)
    return LabValue(
        code=text(analysis, "analysisCode", "code"),
        name=first_text(coded(analysis, "analysisCode"), text(analysis, "analysisText")),
        value=text(outcome, "outcomeValue"),
        unit=text(outcome, "outcomeUnit"),
        low=low,
        high=high,
        interval=interval,
        flag=_flag(text(outcome, "outcomeValue"), low, high) if yes(outcome, "pathologicalFlag") else "",
        comment=text(analysis, "analysisComment"),
        time=moment(text(outcome, "observationTime")),
    )


def _flag(value: str, low: float | None, high: float | None) -> str:
    number = number_of(value)
    if number is not None and high is not None and number > high:
        return "hög"
    if number is not None and low is not None and number < low:
        return "låg"
    return "avvikande"


def _bounds(interval: str) -> tuple[float | None, float | None]:
    """The numbers of a reference interval in words, as `3,5 - 5,1`, `< 105` or `> 60`."""
    stripped = interval.strip()
    if stripped[:1] in ("<", "≤"):
        return None, number_of(stripped.lstrip("<≤= "))
    if stripped[:1] in (">", "≥"):
        return number_of(stripped.lstrip(">≥= ")), None
    low, separator, high = stripped.replace("–", "-").partition(" - ")
    if not separator:
        low, separator, high = stripped.replace("–", "-").partition("-")
    return (number_of(low), number_of(high)) if separator else (None, None)


def lab_result_4(element: etree._Element) -> LabResult:
    """LaboratoryOrderOutcomeType 4.0, whose header tells apart what access control goes by."""
    header, body = child(element, "header"), child(element, "body")
    group = child(body, "groupOfAnalyses")
    return LabResult(
        about=_header_4(header, body),
        title=text(group, "name"),
        question=text(body, "referral", "question"),
        comment=text(body, "text"),
        values=tuple(
            _analysis_4(one) for several in children(body, "groupOfAnalyses") for one in children(several, "analysis")
        ),
    )


def _header_4(header: etree._Element | None, body: etree._Element | None) -> About:
    access, author = child(header, "accessControlHeader"), child(header, "author")
    unit_id = text(access, "accountableCareUnit", "extension")
    units = (child(author, "orgUnit"), child(body, "referral", "requester", "orgUnit"), child(body, "recipientUnit"))
    names = (text(unit, "name") for unit in units if text(unit, "id", "extension") == unit_id)
    return About(
        document_id=text(header, "record", "id", "extension"),
        patient=_original_patient(access),
        time=moment(first_text(text(header, "record", "timestamp"), text(author, "timestamp"))),
        author=text(author, "name"),
        role=coded(author, "byRole"),
        unit_id=unit_id,
        unit=first_text(*names, unit_id),
        care_provider=text(access, "accountableCareGiver", "extension"),
    )


def _original_patient(access: etree._Element | None) -> str:
    """Whom the record was written about, by an id of that time: nobody is told by an earlier coordination or reserve
    number, which the patient may have had. A personal number stays (interpreted)."""
    original = child(access, "originalPatientId")
    is_personal = text(original, "root") == PersonIdType.PERSONAL_NUMBER.value
    return text(original, "extension") if is_personal else ""


def _analysis_4(analysis: etree._Element) -> LabValue:
    result = child(analysis, "result")
    value = child(result, "value")
    quantity = child(value, "pq")
    interval = child(result, "reference", "interval")
    low, high = text(interval, "low"), text(interval, "high")
    return LabValue(
        code=text(analysis, "code", "code"),
        name=coded(analysis, "code"),
        value=first_text(text(quantity, "value").replace(".", ","), text(value, "st"), coded(value, "cv"), text(value)),
        unit=text(quantity, "unit"),
        low=number_of(low),
        high=number_of(high),
        interval=first_text(_interval(low, high), text(result, "reference", "text")),
        flag=coded(result, "interpretation"),
        comment=text(analysis, "comment"),
        time=moment(text(analysis, "timestamp")),
    )


def _interval(low: str, high: str) -> str:
    low, high = low.replace(".", ","), high.replace(".", ",")
    if low and high:
        return f"{low} - {high}"
    return f"< {high}" if high else f"> {low}" if low else ""


def vaccination(element: etree._Element) -> Vaccination:
    """VaccinationMedicalRecordType 2.0. A record of several administrations is told by the first, with all names."""
    body = child(element, "vaccinationMedicalRecordBody")
    given = child(body, "administrationRecord")
    names = [coded(one, "vaccineName") for one in children(body, "administrationRecord")]
    kind = coded(given, "typeOfVaccine")
    return Vaccination(
        about=_summary(child(element, "vaccinationMedicalRecordHeader")),
        vaccine=first_text(", ".join(filter(None, names)), kind),
        kind=kind,
        disease=coded(given, "vaccineTargetDisease"),
        dose=text(given, "doseOrdinalNumber"),
        batch=text(given, "vaccineBatchId"),
    )


def prescription(element: etree._Element) -> Prescription:
    """MedicationMedicalRecordType 2.x."""
    ordered = child(element, "medicationMedicalRecordBody", "medicationPrescription")
    choice = child(ordered, "drug")
    drug, unstructured = child(choice, "drug"), child(choice, "unstructuredDrugInformation")
    strength = " ".join(filter(None, (text(drug, "strength"), text(drug, "strengthUnit"))))
    return Prescription(
        about=_summary(child(element, "medicationMedicalRecordHeader")),
        product=first_text(
            coded(drug, "nplId"),
            coded(drug, "atcCode"),
            text(unstructured, "unstructuredInformation"),
            text(ordered, "prescriptionNote"),
        ),
        substance=coded(drug, "atcCode"),
        strength=strength,
        form=text(drug, "pharmaceuticalForm"),
        dosage=text(choice, "dosage", "dosageInstruction"),
        purpose=text(ordered, "treatmentPurpose"),
        is_active=text(ordered, "prescriptionStatus") == "Active",
        begins=moment(text(ordered, "startOfTreatment")),
        ends=moment(text(ordered, "endOfTreatment")),
    )


def alert(element: etree._Element) -> Alert:
    """AlertInformationType 2.0."""
    body = child(element, "alertInformationBody")
    hypersensitivity = child(body, "hypersensitivity")
    title = first_text(
        coded(hypersensitivity, "pharmaceuticalHypersensitivity", "atcSubstance"),
        text(hypersensitivity, "pharmaceuticalHypersensitivity", "nonATCSubstance"),
        text(hypersensitivity, "otherHypersensitivity", "hypersensitivityAgent"),
        text(body, "treatment", "treatmentDescription"),
        text(child(element, "alertInformationHeader"), "documentTitle"),
    )
    return Alert(
        about=_summary(child(element, "alertInformationHeader")),
        title=title,
        kind=first_text(coded(hypersensitivity, "typeOfHypersensitivity"), coded(body, "typeOfAlertInformation")),
        severity=coded(hypersensitivity, "degreeOfSeverity"),
        comment=text(body, "alertInformationComment"),
        ends=moment(text(body, "validityTimePeriod", "end")),
    )


NORMALISE: Mapping[str, Callable[[etree._Element], Record]] = {
    namespaces.GET_CARE_DOCUMENTATION_2: note,
    namespaces.GET_DIAGNOSIS_2: diagnosis,
    namespaces.GET_CARE_CONTACTS_2: care_contact,
    namespaces.GET_CARE_CONTACTS_3: care_contact,
    namespaces.GET_DISPENSED_MEDICINES_1: dispensation,
    namespaces.GET_LABORATORY_ORDER_OUTCOME_3: lab_result_3,
    namespaces.GET_LABORATORY_ORDER_OUTCOME_4: lab_result_4,
    namespaces.GET_VACCINATION_HISTORY_2: vaccination,
    namespaces.GET_MEDICATION_HISTORY_2: prescription,
    namespaces.GET_ALERT_INFORMATION_2: alert,
}
"""What reads a record of each contract that the overview asks with."""
