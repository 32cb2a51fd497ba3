"""One type for each information set, whatever system and version a record comes from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from producers_stub.contacts import care_contact_2, care_contact_3
from producers_stub.headers import Asked
from producers_stub.journals import Kind
from producers_stub.laboratory import outcome_3, outcome_4
from producers_stub.nodes import append
from rivta.contracts import samples
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators
from rivta.soap import namespaces
from rivta.soap.identifiers import ContractNamespace, short_name
from rivta.soap.xml import parse_xml
from rivta.viewer.normalise import NORMALISE, alert, care_contact, diagnosis, lab_result_3, lab_result_4, note
from rivta.viewer.reading import coded, moment
from rivta.viewer.sets import InformationSet, request, service_of
from tests.viewer.journals import BASIS, SIV, TOLVAN, answered, person, stubs

CONTRACTS = Contracts.shipped()
each_contract = pytest.mark.parametrize("contract", NORMALISE, ids=lambda one: short_name(ContractNamespace(one)))


def element(nodes: object, core: str) -> etree._Element:
    root = etree.Element("record")
    append(root, core, nodes)  # type: ignore[arg-type]
    return root


@each_contract
@pytest.mark.parametrize(
    "number", [TOLVAN, "991968000015", "197010632391"], ids=["personal", "reserve", "coordination"]
)
def test_every_request_fits_its_contract(contract: str, number: str) -> None:
    payload = request(service_of(contract), person(number), BASIS)
    found = CONTRACTS.get(contract)
    assert found is not None
    assert Validators(CONTRACTS).check(found, payload, "request").violations == ()


@each_contract
def test_the_contracts_sample_is_read(contract: str) -> None:
    found = CONTRACTS.get(contract)
    assert found is not None
    payload = parse_xml(samples.whole(found, "response"))
    service = service_of(contract)
    records = [NORMALISE[contract](one) for one in payload.iterchildren(f"{{{contract}}}{service.records[0]}")]
    assert records
    for record in records:
        assert record.about.patient in (TOLVAN, "")
        assert record.about.document_id
        assert record.about.time is not None


def test_a_care_contact_is_the_same_in_both_versions() -> None:
    asked = Asked("SE-X", "1.2.752.129.2.1.3.1")
    records = stubs()["SE2321000016-KS"].journal.records[Kind.CARE_CONTACTS]
    assert records
    for one in records:
        older = care_contact(element(care_contact_2(one, asked), namespaces.LOGISTICS_2))  # type: ignore[arg-type]
        newer = care_contact(element(care_contact_3(one, asked), namespaces.LOGISTICS_3))  # type: ignore[arg-type]
        assert older == newer
        assert newer.kind in ("Besök", "Telefon", "Vårdtillfälle", "Dagsjukvård", "Annan")


def test_a_laboratory_result_has_the_same_values_in_both_versions() -> None:
    asked = Asked("SE-X", "1.2.752.129.2.1.3.1")
    records = [one for stub in stubs().values() for one in stub.journal.records[Kind.LABORATORY_RESULTS]]
    assert len(records) > 10
    for one in records:
        older = lab_result_3(element(outcome_3(one, asked), namespaces.HEALTHCOND_ACTOUTCOME_3))  # type: ignore[arg-type]
        newer = lab_result_4(element(outcome_4(one, asked), namespaces.HEALTHCOND_ACTOUTCOME_4))  # type: ignore[arg-type]
        assert older.values == newer.values
        assert (older.title, older.question, older.comment) == (newer.title, newer.question, newer.comment)
        assert (older.about.unit, older.about.author, older.about.care_provider) == (
            newer.about.unit,
            newer.about.author,
            newer.about.care_provider,
        )


def test_a_nullified_record_says_so_and_why() -> None:
    records = answered(namespaces.GET_DIAGNOSIS_2, "SE2321000016-KS", TOLVAN).records
    (one,) = [record for record in records if record.about.is_nullified]
    assert one.about.nullified_reason == "Dokumenterat på fel patient"


def test_what_access_is_decided_by_is_read_in_every_contract() -> None:
    for contract in NORMALISE:
        for address in ("SE2321000016-SOS", "SE2321000131-SU"):
            for record in answered(contract, address, SIV).records if address in stubs() else ():
                assert record.about.care_provider
                assert record.about.unit_id


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        ("<a><k><code>1</code><displayName>Ett</displayName></k></a>", "Ett"),
        ("<a><k><code>1</code><originalText>Som skrivet</originalText></k></a>", "Som skrivet"),
        ("<a><k><originalText>Bara text</originalText></k></a>", "Bara text"),
        ("<a><k><code>1</code></k></a>", "Känd"),
        ("<a><k><code>99</code></k></a>", "99"),
        ("<a><k>1</k></a>", "Känd"),
        ("<a><k>99</k></a>", "99"),
        ("<a/>", ""),
    ],
    ids=["display name", "original text", "text alone", "known", "unknown", "bare and known", "bare", "missing"],
)
def test_a_code_is_told_in_the_best_words_there_are(xml: str, expected: str) -> None:
    assert coded(parse_xml(xml.encode()), "k", known={"1": "Känd"}) == expected


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("20251103070500", "2025-11-03 07:05"),
        ("202511030705", "2025-11-03 07:05"),
        ("20251103", "2025-11-03"),
        ("202511", "2025-11-01"),
        ("20251399", "None"),
        ("2025-11-03", "None"),
        ("²⁰²⁵¹¹⁰³", "None"),
        ("", "None"),
    ],
)
def test_a_time_is_as_exact_as_it_was_written(written: str, shown: str) -> None:
    assert str(moment(written)) == shown


@given(
    st.recursive(st.just("<x/>"), lambda inner: st.lists(inner, max_size=4).map(lambda all: f"<y>{''.join(all)}</y>"))
)
def test_whatever_an_element_lacks_it_is_read(xml: str) -> None:
    for normalise in NORMALISE.values():
        record = normalise(parse_xml(f"<r>{xml}</r>".encode()))
        assert record.about.document_id == ""


def test_letters_of_names_may_differ_in_case() -> None:
    xml = b"<d><careDocumentationHeader><documentID>7</documentID></careDocumentationHeader></d>"
    assert note(parse_xml(xml)).about.document_id == "7"


def test_a_diagnosis_without_words_has_its_code_alone() -> None:
    xml = b"<d><diagnosisBody><diagnosisCode><code>I10</code></diagnosisCode></diagnosisBody></d>"
    assert (diagnosis(parse_xml(xml)).code, diagnosis(parse_xml(xml)).text) == ("I10", "")


def test_an_alert_is_titled_by_what_it_warns_of() -> None:
    found = {one.title for one in answered(namespaces.GET_ALERT_INFORMATION_2, "SE2321000016-KS", TOLVAN).records}  # type: ignore[union-attr]
    assert "Fenoximetylpenicillin" in found
    assert alert(parse_xml(b"<a/>")).title == ""


@pytest.mark.parametrize(
    ("interval", "value", "flag"),
    [("134 - 170", "131", "låg"), ("< 105", "128", "hög"), ("> 60", "41", "låg"), ("negativ", "pos", "avvikande")],
)
def test_an_older_value_outside_of_its_interval_says_on_which_side(interval: str, value: str, flag: str) -> None:
    xml = (
        "<l><laboratoryOrderOutcomeBody><analysis><analysisOutcome>"
        f"<outcomeValue>{value}</outcomeValue><pathologicalFlag>true</pathologicalFlag>"
        f"<referenceInterval>{interval.replace('<', '&lt;')}</referenceInterval>"
        "</analysisOutcome></analysis></laboratoryOrderOutcomeBody></l>"
    )
    (read,) = lab_result_3(parse_xml(xml.encode())).values
    assert read.flag == flag


def test_every_set_has_its_contracts_and_each_contract_is_of_one_set() -> None:
    asked = [contract for one in InformationSet for contract in one.value.contracts]
    assert sorted(asked) == sorted(NORMALISE)
