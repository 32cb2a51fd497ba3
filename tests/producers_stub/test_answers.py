"""What the stub producers answer: their journals, cut to the request, and always as the contracts have it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from producers_stub.answers import StubProducer
from producers_stub.journals import load_journals
from producers_stub.persons import COORDINATION_NUMBER, PERSONAL_NUMBER, id_type_of
from producers_stub.world import World
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators
from rivta.soap import namespaces
from rivta.soap.identifiers import ContractNamespace, LogicalAddress
from rivta.soap.service import Call, Streamed
from rivta.soap.xml import parse_xml

NOW = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
STARTED = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)

CORE = {
    namespaces.GET_DIAGNOSIS_2: namespaces.HEALTHCOND_DESCRIPTION_2,
    namespaces.GET_CARE_CONTACTS_3: namespaces.LOGISTICS_3,
}
TOLVAN = "191212121212"


@cache
def stubs() -> dict[str, StubProducer]:
    """Every stub producer with a journal by each of its logical addresses."""
    journals = load_journals()
    return {
        address.logical_address: StubProducer(producer, journals[producer.name], "0.1.0", STARTED, lambda: NOW)
        for producer in World.load().producers
        for address in producer.addresses
        if namespaces.GET_DIAGNOSIS_2 in producer.contracts
    }


@cache
def shipped_contracts() -> tuple[Contracts, Validators]:
    contracts = Contracts.shipped()
    return contracts, Validators(contracts)


def asked(
    contract: str,
    *,
    address: str = "SE2321000016-KS",
    patient: str = TOLVAN,
    id_type: str | None = None,
    before: str = "",
    after: str = "",
    correlation_id: str | None = None,
) -> etree._Element:
    """The answer to a request whose elements around the patient's id are given as XML with the prefixes q and c."""
    operation = "GetDiagnosis" if contract == namespaces.GET_DIAGNOSIS_2 else "GetCareContacts"
    payload = parse_xml(
        f'<q:{operation} xmlns:q="{contract}" xmlns:c="{CORE[contract]}">{before}<q:patientId><c:id>{patient}</c:id>'
        f"<c:type>{id_type or id_type_of(patient)}</c:type></q:patientId>{after}</q:{operation}>".encode()
    )
    headers = {"x-skltp-correlation-id": correlation_id} if correlation_id else {}
    stub = next(one for key, one in stubs().items() if key.upper() == address.upper())
    answer = stub.services()[ContractNamespace(contract)](
        Call(ContractNamespace(contract), LogicalAddress(address), payload, headers)
    )
    assert not isinstance(answer, Streamed)
    return answer


def period(contract: str, start: str, end: str) -> str:
    name = "timePeriod" if contract == namespaces.GET_DIAGNOSIS_2 else "datePeriod"
    return f"<q:{name}><c:start>{start}</c:start><c:end>{end}</c:end></q:{name}>"


def texts(answer: etree._Element, name: str) -> list[str]:
    return [element.text or "" for element in answer.iter(f"{{*}}{name}")]


def result_of(answer: etree._Element) -> tuple[str, str | None]:
    return texts(answer, "resultCode")[0], next(iter(texts(answer, "errorCode")), None)


def assert_valid(answer: etree._Element) -> None:
    contracts, validators = shipped_contracts()
    namespace = etree.QName(answer).namespace
    contract = contracts.get(namespace or "")
    assert contract is not None
    assert validators.check(contract, answer, "response").violations == ()


def test_the_diagnoses_of_a_patient_are_told_by_icd_10() -> None:
    answer = asked(namespaces.GET_DIAGNOSIS_2)

    assert texts(answer, "code")[1::2] == ["I48.0", "I10.9", "I50.9", "I26.9"]
    assert set(texts(answer, "codeSystemName")) == {"ICD-10-SE", "Befattning HSA"}
    assert set(texts(answer, "typeOfDiagnosis")) == {"Huvuddiagnos", "Bidiagnos"}
    assert texts(answer, "nullifiedReason") == ["Dokumenterat på fel patient"]
    assert result_of(answer) == ("OK", None)
    assert_valid(answer)


def test_the_care_contacts_of_a_patient_are_told_with_kind_and_status() -> None:
    answer = asked(namespaces.GET_CARE_CONTACTS_3)

    assert texts(answer, "careContactReason") == [
        "Hjärtklappning sedan två veckor",
        "Andnöd och bensvullnad",
        "Återbesök hjärtsvikt",
    ]
    assert {"Besök", "Vårdtillfälle", "Avslutad", "Ej påbörjad"} <= set(texts(answer, "displayName"))
    assert_valid(answer)


def test_a_ping_tells_version_time_and_who_answers() -> None:
    namespace = ContractNamespace(namespaces.PING_FOR_CONFIGURATION_1)
    payload = parse_xml(
        f'<PingForConfiguration xmlns="{namespace}"><serviceContractNamespace>urn:x</serviceContractNamespace>'
        "<logicalAddress>SE2321000016-KS</logicalAddress></PingForConfiguration>".encode()
    )

    answer = stubs()["SE2321000016-KS"].services()[namespace](
        Call(namespace, LogicalAddress("SE2321000016-KS"), payload)
    )

    assert not isinstance(answer, Streamed)
    assert texts(answer, "version") == ["0.1.0"]
    assert texts(answer, "pingDateTime") == ["20261124093000"], "Swedish time"
    assert "SE2321000016-TC-KS" in texts(answer, "value")
    assert_valid(answer)


def everything() -> Iterator[tuple[str, str, str]]:
    for contract in CORE:
        for address, stub in stubs().items():
            for patient in World.load().patients if contract in stub.producer.contracts else ():
                yield contract, address, patient.id


def test_every_answer_about_every_patient_fits_its_contract() -> None:
    for contract, address, patient in everything():
        answer = asked(contract, address=address, patient=patient)

        assert_valid(answer)
        assert result_of(answer) == ("OK", None)
        assert set(texts(answer, "sourceSystemHSAId")) <= {address}


def test_every_patient_has_records_and_most_have_them_at_several_sources() -> None:
    sources: dict[str, set[str]] = {}
    for contract, address, patient in everything():
        if texts(asked(contract, address=address, patient=patient), "documentId"):
            sources.setdefault(patient, set()).add(stubs()[address].producer.name)

    assert set(sources) == {patient.id for patient in World.load().patients}
    assert len(sources[TOLVAN]) >= 5


def test_no_two_records_share_an_id() -> None:
    ids = [
        text
        for contract, address, patient in everything()
        for header in asked(contract, address=address, patient=patient).iter(
            "{*}diagnosisHeader", "{*}careContactHeader"
        )
        for text in [f"{contract} {header.findtext('{*}documentId')}"]
    ]

    assert len(ids) == len(set(ids))


def test_related_diagnoses_are_records_of_the_same_answer() -> None:
    answer = asked(namespaces.GET_DIAGNOSIS_2)
    related = {element.findtext("{*}documentId") for element in answer.iter("{*}relatedDiagnosis")}
    records = {element.findtext("{*}documentId") for element in answer.iter("{*}diagnosisHeader")}

    assert related
    assert related <= records


@pytest.mark.parametrize("contract", CORE)
def test_an_unknown_patient_is_a_valid_empty_answer(contract: str) -> None:
    answer = asked(contract, patient="199904122380")

    assert texts(answer, "documentId") == []
    assert result_of(answer) == ("OK", None)
    assert_valid(answer)


@pytest.mark.parametrize("contract", CORE)
@pytest.mark.parametrize(
    ("patient", "id_type"),
    [
        ("191212121213", PERSONAL_NUMBER),
        ("1212121212", PERSONAL_NUMBER),
        (TOLVAN, "1.2.3"),
        (TOLVAN, COORDINATION_NUMBER),
    ],
    ids=["check digit", "ten digits", "unknown type", "not that type"],
)
def test_a_wrong_id_is_the_contracts_own_error(contract: str, patient: str, id_type: str) -> None:
    answer = asked(contract, patient=patient, id_type=id_type)

    assert result_of(answer) == ("ERROR", "INVALID_REQUEST")
    assert texts(answer, "documentId") == []
    assert patient not in etree.tostring(answer).decode()
    assert_valid(answer)


@pytest.mark.parametrize("contract", CORE)
def test_a_period_that_ends_before_it_starts_is_an_error(contract: str) -> None:
    assert result_of(asked(contract, after=period(contract, "20250101", "20240101"))) == ("ERROR", "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("contract", "start", "end", "records"),
    [
        (namespaces.GET_DIAGNOSIS_2, "20240101", "20241231", 2),
        (namespaces.GET_DIAGNOSIS_2, "20240311", "20240311", 2),
        (namespaces.GET_DIAGNOSIS_2, "20240312", "20251101", 0),
        (namespaces.GET_CARE_CONTACTS_3, "20251104", "20251105", 1),
        (namespaces.GET_CARE_CONTACTS_3, "20251106", "20251106", 1),
        (namespaces.GET_CARE_CONTACTS_3, "20251107", "20251201", 0),
        (namespaces.GET_CARE_CONTACTS_3, "20261101", "20261231", 1),
    ],
    ids=["a year", "a day", "between", "during a stay", "its last day", "after it", "booked"],
)
def test_a_period_narrows_to_the_days_in_it(contract: str, start: str, end: str, records: int) -> None:
    answer = asked(contract, after=period(contract, start, end))

    assert len(list(answer)) - 1 == records


@pytest.mark.parametrize(
    ("unit", "codes"),
    [("SE2321000016-KS-AKUT", ["I50.9", "I26.9"]), ("se2321000016-ks-akut", ["I50.9", "I26.9"]), ("SE-OTHER", [])],
)
def test_care_units_narrow_without_regard_to_case(unit: str, codes: list[str]) -> None:
    answer = asked(namespaces.GET_DIAGNOSIS_2, before=f"<q:careUnitHSAId>{unit}</q:careUnitHSAId>")

    assert texts(answer, "code")[1::2] == codes


@pytest.mark.parametrize(("provider", "records"), [("SE2321000016-VG-STHLM", 3), ("SE5560123456-VG", 0)])
def test_care_providers_narrow(provider: str, records: int) -> None:
    answer = asked(namespaces.GET_CARE_CONTACTS_3, before=f"<q:careGiverHSAId>{provider}</q:careGiverHSAId>")

    assert len(texts(answer, "documentId")) == records


@pytest.mark.parametrize(("source", "is_empty"), [("SE2321000016-KS", False), ("SE2321000016-SOS", True), ("", False)])
def test_another_source_system_is_an_empty_answer(source: str, is_empty: bool) -> None:
    answer = asked(namespaces.GET_DIAGNOSIS_2, after=f"<q:sourceSystemHSAId>{source}</q:sourceSystemHSAId>")

    assert (texts(answer, "documentId") == []) is is_empty
    assert result_of(answer) == ("OK", None)


def test_a_care_contact_narrows() -> None:
    answer = asked(namespaces.GET_DIAGNOSIS_2, after="<q:careContactId>VK-2025-1102</q:careContactId>")

    assert texts(answer, "code")[1::2] == ["I50.9", "I26.9"]


def test_the_care_contact_id_of_an_answer_finds_the_same_records_again() -> None:
    told = texts(asked(namespaces.GET_DIAGNOSIS_2), "careContactId")[0]

    answer = asked(namespaces.GET_CARE_CONTACTS_3, after=f"<q:careContactId>{told}</q:careContactId>")

    assert texts(answer, "careContactReason") == ["Hjärtklappning sedan två veckor"]


def test_the_log_id_is_the_correlation_id_where_there_is_one() -> None:
    assert texts(asked(namespaces.GET_DIAGNOSIS_2, correlation_id="abc-1"), "logId") == ["abc-1"]
    assert len(texts(asked(namespaces.GET_DIAGNOSIS_2), "logId")[0]) == 36


def test_an_answer_has_the_source_as_the_producer_spells_it() -> None:
    answer = asked(namespaces.GET_DIAGNOSIS_2, address="se2321000016-ks")

    assert set(texts(answer, "sourceSystemHSAId")) == {"SE2321000016-KS"}


@given(
    start=st.dates(date(2018, 1, 1), date(2027, 1, 1)),
    days=st.integers(0, 3000),
    contract=st.sampled_from(sorted(CORE)),
    address=st.sampled_from(["SE2321000016-KS", "SE2321000016-DS", "SE2321000255-SUS", "SE2321000016-SLOW"]),
    patient=st.sampled_from([patient.id for patient in World.load().patients]),
)
def test_a_filtered_answer_is_a_valid_part_of_the_whole(
    start: date, days: int, contract: str, address: str, patient: str
) -> None:
    end = start + timedelta(days=days)
    whole = asked(contract, address=address, patient=patient)
    part = asked(contract, address=address, patient=patient, after=period(contract, f"{start:%Y%m%d}", f"{end:%Y%m%d}"))

    assert set(texts(part, "documentId")) <= set(texts(whole, "documentId"))
    assert_valid(part)
