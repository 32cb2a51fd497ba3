"""The register of dispensed medicines: shows a list to whom the patient lets in, and to others nothing at all."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from producers_stub.answers import StubProducer
from producers_stub.journals import load_journals
from producers_stub.medication_register import MedicationRegister
from producers_stub.persons import COORDINATION_NUMBER, PERSONAL_NUMBER
from producers_stub.world import FOLDER, World
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators
from rivta.soap import namespaces
from rivta.soap.identifiers import ContractNamespace, LogicalAddress
from rivta.soap.person_ids import is_coordination_number
from rivta.soap.service import Call, Streamed
from rivta.soap.xml import parse_xml
from tests.catalogue.tables import NOW

CONTRACT = ContractNamespace(namespaces.GET_DISPENSED_MEDICINES_1)
TOLVAN, NINA, ELSA, LILLY = "191212121212", "198507099805", "199001012385", "201504122381"
GUSTAV, SAMIR, PROTECTED = "194110192392", "197010632391", "197506232391"
ANY_CONSENT = "<c:consent/>"
EMERGENCY = "<c:emergency><c:reason>Medvetslös efter fall.</c:reason></c:emergency>"
STOCKHOLM, VGR = "SE2321000016-VG-STHLM", "SE2321000131-VG-VGR"


@cache
def validators() -> tuple[Contracts, Validators]:
    contracts = Contracts.shipped()
    return contracts, Validators(contracts)


@cache
def stub() -> StubProducer:
    producer = next(one for one in World.load().producers if one.name == "medication-register")
    return StubProducer(producer, load_journals()[producer.name], "0.1.0", NOW, lambda: NOW)


def request(
    patient: str, basis: str = ANY_CONSENT, *, care_giver: str = STOCKHOLM, period: str = "", reader: str = "SE1-P1"
) -> etree._Element:
    kind = COORDINATION_NUMBER if is_coordination_number(patient) else PERSONAL_NUMBER
    return parse_xml(
        f'<q:GetDispensedMedicines xmlns:q="{CONTRACT}" xmlns:c="{namespaces.MEDICATION_REGISTER_1}">'
        f"<q:patientId><c:id>{patient}</c:id><c:type>{kind}</c:type></q:patientId>{period}"
        f"<q:accessBasis>{basis}</q:accessBasis><q:requester><c:personHSAId>{reader}</c:personHSAId>"
        f"<c:careUnitHSAId>SE1-U1</c:careUnitHSAId><c:careGiverHSAId>{care_giver}</c:careGiverHSAId></q:requester>"
        "</q:GetDispensedMedicines>".encode()
    )


def answered(payload: etree._Element, register: MedicationRegister | None = None) -> etree._Element:
    """The answer, which is always what the contract has."""
    answer = register.answer if register else stub().services()[CONTRACT]
    response = answer(Call(CONTRACT, LogicalAddress("SE2021004748-LF"), payload, {"x-skltp-correlation-id": "k-1"}))
    assert not isinstance(response, Streamed)
    contracts, known = validators()
    contract = contracts.get(CONTRACT)
    assert contract is not None
    verdict = known.check(contract, parse_xml(etree.tostring(response)), "response")
    assert verdict.valid, verdict.violations
    return response


def ids(response: etree._Element) -> list[str | None]:
    return [one.text for one in response.iterfind("{*}dispensation/{*}dispensationId")]


def result(response: etree._Element) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for child in response.iterfind("{*}result/*"):
        found.setdefault(etree.QName(child).localname, []).append(child.text or "")
    return found


def code(response: etree._Element) -> tuple[str, ...]:
    said = result(response)
    return (*said["resultCode"], *said.get("errorCode", []), *said.get("infoCode", []))


def test_a_patient_who_has_consented_is_shown_newest_first_with_what_the_label_said() -> None:
    response = answered(request(TOLVAN))
    assert code(response) == ("OK",)
    assert ids(response) == ["LF-U-20261103-4471", "LF-U-20260805-3302", "LF-U-20260226-0917"]
    assert {one.text for one in response.iterfind("{*}dispensation/{*}patientId/{*}id")} == {TOLVAN}
    first = response.find("{*}dispensation")
    assert first is not None
    for path, text in {
        "dispensedDate": "20261103",
        "medicine/productName": "Atorvastatin Exempel",
        "medicine/nplPackId": "20990101100109",
        "medicine/atcCode": "C10AA05",
        "substitution/kind": "EXCHANGED",
        "substitution/prescribedProductName": "Atorvastatin Förlaga",
        "dosageText": "1 tablett till kvällen.",
        "dispensedAmount/value": "98",
        "prescription/prescriber/role/displayName": "Överläkare",
        "pharmacy/name": "Apoteket Provröret",
    }.items():
        assert first.findtext("/".join(f"{{*}}{step}" for step in path.split("/"))) == text, path


def test_a_dispensation_that_was_withdrawn_says_so() -> None:
    found = answered(request(TOLVAN)).findall("{*}dispensation/{*}cancelled/{*}reason")
    assert [one.text for one in found] == ["Fel styrka lämnades ut"]


def test_a_patient_who_has_fetched_nothing_is_an_empty_list() -> None:
    response = answered(request(ELSA))
    assert (code(response), ids(response)) == (("OK",), [])


@pytest.mark.parametrize(
    ("patient", "basis", "care_giver"),
    [
        (SAMIR, ANY_CONSENT, STOCKHOLM),
        (PROTECTED, ANY_CONSENT, STOCKHOLM),
        (NINA, ANY_CONSENT, STOCKHOLM),
        (TOLVAN, "<c:consent><c:consentId>LF-S-20250203-0002</c:consentId></c:consent>", VGR),
        ("199001012393", ANY_CONSENT, STOCKHOLM),
    ],
    ids=["none registered", "run out", "for another care provider", "somebody else's", "nobody the register knows"],
)
def test_without_a_consent_in_force_nothing_shows_not_even_whether_there_is_anything(
    patient: str, basis: str, care_giver: str
) -> None:
    response = answered(request(patient, basis, care_giver=care_giver))
    assert (code(response), ids(response)) == (("ERROR", "NO_CONSENT"), [])
    assert len(response) == 1
    assert result(response)["message"] == [
        "Det finns inget giltigt samtycke till att läsa patientens läkemedelsförteckning."
    ]


@pytest.mark.parametrize("basis", [ANY_CONSENT, "<c:consent><c:consentId>LF-S-20250203-0002</c:consentId></c:consent>"])
def test_a_consent_lets_in_the_care_provider_that_it_is_given_to_in_any_case(basis: str) -> None:
    response = answered(request(NINA, basis, care_giver=VGR.lower()))
    assert (code(response), len(ids(response))) == (("OK",), 2)


def test_a_consent_is_in_force_on_its_last_day_by_swedish_time() -> None:
    for moment, expected in (
        (datetime(2024, 4, 30, 21, 59, tzinfo=UTC), "NO_CONSENT"),
        (datetime(2024, 4, 30, 22, 1, tzinfo=UTC), "OK"),
        (datetime(2025, 4, 30, 21, 59, tzinfo=UTC), "OK"),
        (datetime(2025, 4, 30, 22, 1, tzinfo=UTC), "NO_CONSENT"),
    ):
        response = answered(request(PROTECTED), MedicationRegister.load(lambda moment=moment: moment))  # type: ignore[misc]
        assert code(response)[-1] == expected, moment


def test_an_emergency_opens_any_list_and_the_answer_says_that_the_patient_is_told() -> None:
    response = answered(request(SAMIR, EMERGENCY))
    assert (code(response), ids(response)) == (("INFO", "EMERGENCY_ACCESS"), ["LF-U-20251229-8104"])
    assert "Patienten underrättas" in result(response)["message"][0]


@pytest.mark.parametrize(
    ("basis", "codes"),
    [(ANY_CONSENT, ("PATIENT_DECEASED",)), (EMERGENCY, ("EMERGENCY_ACCESS", "PATIENT_DECEASED"))],
    ids=["consent", "emergency"],
)
def test_a_patient_who_has_died_is_shown_and_the_answer_says_so(basis: str, codes: tuple[str, ...]) -> None:
    response = answered(request(GUSTAV, basis))
    assert (code(response), ids(response)) == (("INFO", *codes), ["LF-U-20251215-7781"])
    assert response.findtext("{*}dispensation/{*}wayOfDispensing") == "MULTI_DOSE"
    assert response.find("{*}dispensation/{*}numberOfPackages") is None


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        ("20260226", "20260805", ["LF-U-20260805-3302", "LF-U-20260226-0917"]),
        ("20260227", "20260804", []),
        ("20261103", "20261103", ["LF-U-20261103-4471"]),
    ],
)
def test_a_period_narrows_the_answer_both_days_included(start: str, end: str, found: list[str]) -> None:
    period = f"<q:datePeriod><c:start>{start}</c:start><c:end>{end}</c:end></q:datePeriod>"
    assert ids(answered(request(TOLVAN, period=period))) == found


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (request("191212121213"), "patientId/id has a wrong check digit"),
        (request(TOLVAN, ""), "accessBasis has to be either consent or emergency"),
        (request(TOLVAN, ANY_CONSENT + EMERGENCY), "accessBasis has to be either"),
        (request(SAMIR, "<c:emergency/>"), "an emergency has to have a reason"),
        (request(SAMIR, "<c:emergency><c:reason> </c:reason></c:emergency>"), "an emergency has to have a reason"),
        (request(TOLVAN, care_giver=""), "requester has to name the reader and the care provider"),
        (request(TOLVAN, reader=""), "requester has to name the reader"),
        (
            request(TOLVAN, period="<q:datePeriod><c:start>20260201</c:start><c:end>20260101</c:end></q:datePeriod>"),
            "the period ends before it starts",
        ),
    ],
    ids=["id", "no basis", "two bases", "no reason", "blank reason", "no care provider", "no reader", "period"],
)
def test_a_request_that_makes_no_sense_is_refused_and_no_value_of_it_repeated(
    payload: etree._Element, reason: str
) -> None:
    response = answered(payload)
    assert (code(response), ids(response)) == (("ERROR", "INVALID_REQUEST"), [])
    assert reason in result(response)["message"][0]
    assert "1912" not in result(response)["message"][0]


def test_the_log_id_is_the_correlation_id_of_the_call() -> None:
    assert result(answered(request(TOLVAN)))["logId"] == ["k-1"]


def test_the_register_answers_its_own_contracts_and_a_journal_system_does_not_have_them() -> None:
    assert set(stub().services()) == {CONTRACT, namespaces.PING_FOR_CONFIGURATION_1}
    others = [one for one in World.load().producers if one.name != "medication-register"]
    assert others
    assert all(CONTRACT not in one.contracts for one in others)


def test_everybody_in_the_register_is_a_patient_of_the_demo_world() -> None:
    register = MedicationRegister.load(lambda: NOW)
    patients = {patient.id for patient in World.load().patients}
    assert {one.patient for one in register.dispensations} | register.deceased <= patients
    assert {one.patient for one in register.consents} <= patients
    assert len({one.id for one in register.dispensations}) == len(register.dispensations)


@given(
    patient=st.sampled_from([TOLVAN, NINA, ELSA, LILLY, GUSTAV, SAMIR, PROTECTED]),
    basis=st.sampled_from([ANY_CONSENT, EMERGENCY]),
    care_giver=st.sampled_from([STOCKHOLM, VGR, "SE1-X"]),
    days=st.tuples(st.dates(), st.dates()) | st.none(),
)
def test_medicines_are_the_patients_own_and_shown_on_a_basis_only(
    patient: str, basis: str, care_giver: str, days: tuple[datetime, datetime] | None
) -> None:
    first, last = (f"{day:%Y%m%d}".zfill(8) for day in days) if days else ("", "")
    period = f"<q:datePeriod><c:start>{first}</c:start><c:end>{last}</c:end></q:datePeriod>" if days else ""
    response = answered(request(patient, basis, care_giver=care_giver, period=period))
    assert {one.text for one in response.iterfind("{*}dispensation/{*}patientId/{*}id")} <= {patient}
    shown = [one.text or "" for one in response.iterfind("{*}dispensation/{*}dispensedDate")]
    assert all((not first or first <= day) and (not last or day <= last) for day in shown)
    assert shown == sorted(shown, reverse=True)
    has_consent = patient in (TOLVAN, ELSA, LILLY, GUSTAV) or (patient == NINA and care_giver == VGR)
    assert not shown or basis == EMERGENCY or has_consent


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('product = "zopiclone"', 'product = "zopiclon"', "'zopiclon'"),
        ('pharmacy = "matglaset"', "", "'pharmacy'"),
        ("date = 2026-11-03", 'date = "3 november"', "Invalid format"),
        ("valid_to = 2025-04-30", "until = 2025-04-30", "'until'"),
        ("[[consents]]", "[[consents]", "line"),
    ],
    ids=["unknown product", "missing", "no date", "too much", "no TOML"],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, old: str, new: str, reason: str) -> None:
    text = (FOLDER / "medication_register.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "register.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError) as refused:
        MedicationRegister.load(lambda: NOW, path)
    assert str(path) in str(refused.value)
    assert reason in str(refused.value)
