"""Every contract of journal records, from every source, about everybody: valid, and narrowed as the request asks."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from producers_stub.answers import ANSWERED, StubProducer
from producers_stub.journals import Kind, Record, load_journals, period
from producers_stub.situations import Situations
from producers_stub.world import JOURNAL_CONTRACTS, World
from rivta.contracts import samples
from rivta.contracts.domain import Contract
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators
from rivta.soap import namespaces
from rivta.soap.identifiers import ContractNamespace, LogicalAddress, short_name
from rivta.soap.service import Call, ServiceFault
from rivta.soap.xml import parse_xml

NOW = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
TOLVAN, NINA, SIV, RESERVE = "191212121212", "198507099805", "195003159802", "991968000015"
THOUSAND = "199004022381"
WITHOUT_RESULT = {namespaces.GET_CARE_CONTACTS_2, namespaces.GET_LABORATORY_ORDER_OUTCOME_4}

each_contract = pytest.mark.parametrize("contract", JOURNAL_CONTRACTS, ids=short_name)


@cache
def world() -> tuple[World, Situations]:
    loaded = World.load()
    return loaded, Situations.load(loaded)


@cache
def stubs() -> dict[str, StubProducer]:
    """Every stub producer by each of its logical addresses."""
    loaded, situations = world()
    journals = load_journals()
    return {
        address.logical_address: StubProducer(producer, journals[producer.name], "0.1.0", NOW, lambda: NOW, situations)
        for producer in loaded.producers
        for address in producer.addresses
    }


@cache
def known() -> tuple[Contracts, Validators]:
    contracts = Contracts.shipped()
    return contracts, Validators(contracts)


def contract_of(namespace: str) -> Contract:
    found = known()[0].get(namespace)
    assert found is not None
    return found


def everybody() -> list[str]:
    loaded, situations = world()
    return [*(one.id for one in loaded.patients), *(one.patient.id for one in situations.situations)]


def ask(namespace: str, address: str, payload: etree._Element) -> etree._Element:
    return stubs()[address].records(Call(ContractNamespace(namespace), LogicalAddress(address), payload))


def about(namespace: str, patient: str) -> etree._Element:
    return parse_xml(samples.request(contract_of(namespace), patient))


def narrowed(namespace: str, patient: str, name: str, change: Callable[[etree._Element], None]) -> etree._Element:
    """A request whose one filter, the element `name` (whatever its case), is as `change` leaves the sample's."""
    payload = parse_xml(samples.whole(contract_of(namespace), "request"))
    samples.about(payload, patient)
    kept = False
    for child in list(payload):
        local = etree.QName(child).localname.lower()
        if local == name.lower() and not kept:
            change(child)
            kept = True
        elif local != "patientid":
            payload.remove(child)
    assert kept, f"{short_name(namespace)} has no {name}"
    return payload


def an_id(value: str) -> Callable[[etree._Element], None]:
    def change(element: etree._Element) -> None:
        extension = element.find("{*}extension")
        (element if extension is None else extension).text = value

    return change


def days(first: str, last: str) -> Callable[[etree._Element], None]:
    def change(element: etree._Element) -> None:
        element[0].text, element[1].text = first, last

    return change


def period_name(namespace: str) -> str:
    request = samples.whole(contract_of(namespace), "request")
    return "datePeriod" if b"datePeriod" in request else "timePeriod"


def records(answer: etree._Element) -> list[etree._Element]:
    return [one for one in answer if etree.QName(one).localname != "result"]


def ids(answer: etree._Element) -> list[str]:
    """The ids of the records in an answer of any contract."""
    return [
        one.findtext(".//{*}documentId") or one.findtext(".//{*}record/{*}id/{*}extension") or ""
        for one in records(answer)
    ]


def held(namespace: str, patient: str, address: str) -> list[Record]:
    answered = ANSWERED[namespace]
    found = stubs()[address].found(answered.kind, patient, address)
    return [one for one in found if answered.tells_nullified or not one.document.nullified]


def places(namespace: str) -> Iterator[str]:
    """Every address of the journal systems with the contract, and one of each of the other producers."""
    for address, stub in stubs().items():
        is_one_of_many = stub.producer.name in ("situations", "provoke")
        is_first = address == stub.producer.addresses[0].logical_address
        if namespace in stub.producer.contracts and (is_first or not is_one_of_many):
            yield address


def everything(namespace: str) -> Iterator[etree._Element]:
    """Each answer that has records, of all but the thousand that are alike, and one that has none."""
    for patient in everybody():
        for address in places(namespace):
            expected = len(held(namespace, patient, address))
            if expected and patient != THOUSAND:
                answer = ask(namespace, address, about(namespace, patient))
                assert len(records(answer)) == expected
                yield answer
    yield ask(namespace, next(places(namespace)), about(namespace, "199904122380"))


@each_contract
def test_every_answer_about_everybody_fits_its_contract(contract: str) -> None:
    validators = known()[1]
    for answer in everything(contract):
        assert validators.check(contract_of(contract), answer, "response").violations == ()


def test_a_thousand_records_are_a_valid_answer() -> None:
    answer = ask(namespaces.GET_DIAGNOSIS_2, "SE2321000016-T01", about(namespaces.GET_DIAGNOSIS_2, THOUSAND))
    assert len(records(answer)) == len(set(ids(answer))) == 1000
    assert known()[1].check(contract_of(namespaces.GET_DIAGNOSIS_2), answer, "response").valid


@pytest.mark.contracts
@each_contract
def test_every_answer_fits_the_official_schema(contract: str) -> None:
    folder = os.environ.get("RIVTA_OFFICIAL_CONTRACTS")
    if not folder:
        pytest.skip("RIVTA_OFFICIAL_CONTRACTS names no folder with the official schemas")
    ours = contract_of(contract).schema
    official = etree.XMLSchema(etree.parse(Path(folder) / ours.relative_to(ours.parents[3])))
    for answer in everything(contract):
        official.assertValid(answer)


@each_contract
def test_every_contract_has_records_from_several_systems(contract: str) -> None:
    systems = {
        stubs()[address].producer.name
        for patient in everybody()
        for address in places(contract)
        if held(contract, patient, address)
    }
    assert len(systems - {"situations", "provoke"}) >= 2


@each_contract
@given(patient=st.sampled_from([one for one in everybody() if one != THOUSAND]), data=st.data())
def test_a_period_narrows_to_what_touches_its_days(contract: str, patient: str, data: st.DataObject) -> None:
    address = data.draw(st.sampled_from([*places(contract)]))
    found = held(contract, patient, address)
    edges = sorted({moment.date() for one in found for moment in period(one) if moment is not None})
    any_day = st.dates(date(2018, 1, 1), date(2027, 1, 1))
    near = st.builds(lambda edge, days: edge + timedelta(days=days), st.sampled_from(edges or [NOW.date()]), st.integers(-1, 1))  # fmt: skip
    first, last = sorted((data.draw(near | any_day), data.draw(near | any_day)))
    answer = ask(contract, address, narrowed(contract, patient, period_name(contract), days(f"{first:%Y%m%d}", f"{last:%Y%m%d}")))  # fmt: skip
    expected = [
        one.document.id
        for one in found
        for begin, end in [period(one)]
        if begin.date() <= last and (end is None or end.date() >= first)
    ]
    assert [one.rpartition(":")[2] for one in ids(answer)] == [one.rpartition(":")[2] for one in expected]


@each_contract
def test_a_care_unit_narrows_whatever_its_case(contract: str) -> None:
    address = next(one for one in places(contract) if held(contract, NINA, one))
    unit = held(contract, NINA, address)[0].document.unit.hsa_id
    answer = ask(contract, address, narrowed(contract, NINA, "careUnitHSAId", an_id(unit.lower())))
    assert ids(answer)
    assert len(ids(answer)) == sum(one.document.unit.hsa_id == unit for one in held(contract, NINA, address))
    assert ids(ask(contract, address, narrowed(contract, NINA, "careUnitHSAId", an_id("SE-OTHER")))) == []


@each_contract
def test_another_source_system_is_an_empty_answer(contract: str) -> None:
    address = next(one for one in places(contract) if held(contract, NINA, one))
    assert ids(ask(contract, address, narrowed(contract, NINA, "sourceSystemHSAId", an_id(address.lower()))))
    assert ids(ask(contract, address, narrowed(contract, NINA, "sourceSystemHSAId", an_id("SE-OTHER")))) == []


@each_contract
def test_a_request_that_cannot_be_understood_is_told_so_as_the_contract_can(contract: str) -> None:
    payload = narrowed(contract, TOLVAN, period_name(contract), days("20250101", "20240101"))
    address = next(places(contract))
    if contract in WITHOUT_RESULT:
        with pytest.raises(ServiceFault, match="the period ends before it starts"):
            ask(contract, address, payload)
        return
    answer = ask(contract, address, payload)
    assert answer.findtext(".//{*}resultCode") == "ERROR"
    assert answer.findtext(".//{*}errorCode") == "INVALID_REQUEST"
    assert records(answer) == []
    assert known()[1].check(contract_of(contract), answer, "response").valid


def test_a_prescription_is_found_by_its_status_and_its_chain() -> None:
    contract, ks = namespaces.GET_MEDICATION_HISTORY_2, "SE2321000016-KS"

    def status(value: str) -> list[str]:
        return ids(
            ask(contract, ks, narrowed(contract, TOLVAN, "prescriptionStatus", lambda one: setattr(one, "text", value)))
        )

    assert status("Inactive") == [f"{ks}:LM-2023-0901-1"]
    assert len(status("Active")) == 3
    chained = ids(ask(contract, ks, narrowed(contract, TOLVAN, "prescriptionChainId", an_id("KEDJA-11"))))
    assert chained == [f"{ks}:LM-2024-0311-1", f"{ks}:LM-2023-0901-1"]


def test_a_laboratory_result_is_found_by_its_specimen_and_its_referral() -> None:
    contract, ks = namespaces.GET_LABORATORY_ORDER_OUTCOME_4, "SE2321000016-KS"
    for name, value in (("specimenIdentifier", "LAB-2025-1102-P"), ("referralIdentifier", "LAB-2025-1102-R")):
        assert ids(ask(contract, ks, narrowed(contract, TOLVAN, name, an_id(value)))) == [f"{ks}:LAB-2025-1102"]


def test_laboratory_values_come_with_what_is_normal_over_several_years() -> None:
    answer = ask(namespaces.GET_LABORATORY_ORDER_OUTCOME_4, "SE2321000016-DS", about(namespaces.GET_LABORATORY_ORDER_OUTCOME_4, TOLVAN))  # fmt: skip
    creatinine = [one for one in answer.iter("{*}analysis") if one.findtext("{*}code/{*}code") == "NPU18016"]
    values = [one.findtext("{*}result/{*}value/{*}pq/{*}value") for one in creatinine]
    assert values == ["101", "109", "116", "119", "124"]
    assert {one.findtext("{*}result/{*}reference/{*}interval/{*}high") for one in creatinine} == {"105"}
    flags = [one.findtext("{*}result/{*}interpretation/{*}code") for one in creatinine]
    assert flags == [None, "H", "H", "H", "H"]


def test_one_document_is_found_at_two_sources_by_the_same_id() -> None:
    contract = namespaces.GET_CARE_DOCUMENTATION_2
    found = [ids(ask(contract, one, about(contract, TOLVAN))) for one in ("SE2321000016-KS", "SE2321000016-DS")]
    assert set(found[0]) & set(found[1]) == {"SE2321000016-KS:ANT-2025-1106"}


def test_a_record_is_told_of_by_a_reserve_number_under_its_own_type() -> None:
    contract = namespaces.GET_CARE_DOCUMENTATION_2
    answer = ask(contract, "SE2321000016-KS", about(contract, RESERVE))
    assert answer.findtext(".//{*}patientId/{*}type") == "1.2.752.97.3.1.3"
    assert len(ids(answer)) == 1


def test_records_of_a_unit_are_found_at_its_own_address_only() -> None:
    contract = namespaces.GET_DIAGNOSIS_2
    there, elsewhere = (
        set(ids(ask(contract, one, about(contract, TOLVAN)))) for one in ("SE5560123456-VCN", "SE5560123456-VC")
    )
    assert there == {"SE5560123456-VCN:B2-0101-1"}
    assert elsewhere == {"SE5560123456-VC:A1-30011", "SE5560123456-VC:A1-30012"}


def test_no_two_records_of_a_kind_share_an_id_but_for_the_copy() -> None:
    for kind in Kind:
        held_ids = [
            (name, record.document.id) for name, journal in load_journals().items() for record in journal.records[kind]
        ]
        assert len(held_ids) == len(set(held_ids))
