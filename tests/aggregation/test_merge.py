"""The combined answer: every record once and unchanged, and a valid envelope, whatever came from where."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from rivta.aggregation.answers import Content, Failure, SourceAnswer, read_content
from rivta.aggregation.merge import Wording, merge
from rivta.aggregation.plan import Filtered, Reason
from rivta.aggregation.services import services
from rivta.catalogue.decision import Outcome
from rivta.router.messages import Answer
from rivta.soap import namespaces
from rivta.soap.head import read_head
from rivta.soap.identifiers import ContractNamespace
from rivta.soap.xml import parse_xml
from tests.aggregation.world import CONTRACTS, DIAGNOSIS, STATUS, envelope, is_valid, records, source_in, statuses

SUMMER = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)
SERVICE = services({})[DIAGNOSIS]


def read(body: bytes, contract: str = DIAGNOSIS) -> Content:
    return read_content(Answer(200, (), body), services({})[ContractNamespace(contract)])


def merged(*answers: SourceAnswer, contract: str = DIAGNOSIS, wording: Wording | None = None) -> Answer:
    service = services({})[ContractNamespace(contract)]
    return Answer(200, (), merge(service, answers, now=SUMMER, wording=wording or Wording()))


names = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=20)
texts = st.text(max_size=40)
outcomes = st.one_of(st.integers(0, 4), st.builds(Failure, texts, texts, st.booleans()))


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    contract=st.sampled_from(CONTRACTS),
    fared=st.dictionaries(names, outcomes, max_size=6),
    wording=st.builds(Wording, st.booleans(), st.booleans()),
)
def test_every_record_is_there_once_and_the_answer_is_valid(
    contract: str, fared: dict[str, int | Failure], wording: Wording
) -> None:
    answers = []
    for source, outcome in fared.items():
        content = read(records("SE1-X", outcome, contract=contract), contract) if isinstance(outcome, int) else None
        failure = outcome if isinstance(outcome, Failure) else None
        answers.append(SourceAnswer(source, content.records if content else (), failure))
    answer = merged(*answers, contract=contract, wording=wording)
    assert is_valid(answer, contract)
    kind = services({})[ContractNamespace(contract)].records[0]
    number = sum(outcome for outcome in fared.values() if isinstance(outcome, int))
    assert len(parse_xml(answer.body).findall(f".//{{{contract}}}{kind}")) == number
    assert set(statuses(answer)) == set(fared)


def test_records_keep_the_namespaces_and_prefixes_that_they_were_read_with() -> None:
    record = (
        '<a:diagnosis xmlns:x="urn:x"><plain xmlns=""/><deep xmlns="urn:deep" a:kind="x:type">å &amp; &lt;</deep>'
        "</a:diagnosis>"
    )
    body = envelope(
        f'<a:GetDiagnosisResponse xmlns:a="{DIAGNOSIS}" xmlns:xsi="urn:xsi" xmlns="urn:around">{record}'
        "</a:GetDiagnosisResponse>"
    )
    (before,) = parse_xml(body).iter(f"{{{DIAGNOSIS}}}diagnosis")
    answer = merged(SourceAnswer("SE1-A", read(body).records))
    (after,) = parse_xml(answer.body).iter(f"{{{DIAGNOSIS}}}diagnosis")
    assert canonical(after) == canonical(before)
    assert after.nsmap["x"] == "urn:x"


def canonical(element: etree._Element) -> bytes:
    return etree.tostring(element, method="c14n", exclusive=True, with_tail=False)


def test_results_of_sources_and_what_extends_their_answers_are_left_behind() -> None:
    body = records("SE1-A", contract=namespaces.GET_CARE_CONTACTS_3, result="ERROR")
    answer = merged(
        SourceAnswer("SE1-A", read(body, namespaces.GET_CARE_CONTACTS_3).records),
        contract=namespaces.GET_CARE_CONTACTS_3,
    )
    payload = read_head(parse_xml(answer.body)).payload
    assert payload is not None
    (result,) = payload.findall(f"{{{namespaces.GET_CARE_CONTACTS_3}}}result")
    assert [(etree.QName(one).localname, one.text) for one in result] == [("resultCode", "INFO"), ("logId", "NA")]


def test_elements_of_two_kinds_stand_in_the_order_of_the_schema() -> None:
    contract = ContractNamespace("urn:riv:clinicalprocess:healthcond:description:GetCareDocumentationResponder:3")
    source = SourceAnswer("SE1-A", ((b"<a/>",), (b"<more/>",)))
    answer = merge(services({})[contract], [source, replace(source, source="B")], now=SUMMER, wording=Wording())
    payload = read_head(parse_xml(answer)).payload
    assert payload is not None
    assert [etree.QName(one).localname for one in payload] == ["a", "a", "more", "more", "result"]


def test_no_source_is_one_processing_status_without_children() -> None:
    (header,) = parse_xml(merged().body).iter(f"{STATUS}ProcessingStatus")
    assert len(header) == 0


def fields(answer: Answer) -> list[tuple[str, str | None]]:
    (record,) = parse_xml(answer.body).iter(f"{STATUS}ProcessingStatusList")
    return [(etree.QName(one).localname, one.text) for one in record.iter() if len(one) == 0]


def test_a_source_that_has_answered_has_the_time_in_swedish_clocks() -> None:
    assert fields(merged(SourceAnswer("SE1-A", ((),)))) == [
        ("logicalAddress", "SE1-A"),
        ("statusCode", "DataFromSource"),
        ("isResponseFromCache", "false"),
        ("isResponseInSynch", "true"),
        ("lastSuccessfulSynch", "20260702003000"),
    ]


@pytest.mark.parametrize(("is_logical", "agent"), [(False, "virtualization_platform"), (True, "service_producer")])
def test_a_failed_source_has_the_error_and_no_success(is_logical: bool, agent: str) -> None:
    assert fields(merged(SourceAnswer("SE1-A", (), Failure("500", "a < b", is_logical)))) == [
        ("logicalAddress", "SE1-A"),
        ("statusCode", "NoDataSynchFailed"),
        ("isResponseFromCache", "false"),
        ("isResponseInSynch", "false"),
        ("lastUnsuccessfulSynch", "20260702003000"),
        ("causingAgent", agent),
        ("code", "500"),
        ("text", "a < b"),
    ]


def test_strictly_it_has_an_empty_one() -> None:
    answer = merged(SourceAnswer("SE1-A", (), Failure("500", "x")), wording=Wording(strict=True))
    assert ("lastSuccessfulSynch", None) in fields(answer)


def test_what_was_not_asked_is_an_extension_for_those_who_may_know() -> None:
    told = Filtered("SE1-<A>", 'SE1-"B"', Reason.SOURCE_REFUSED, Outcome.NO_PERMISSION)
    body = merge(SERVICE, [], now=SUMMER, wording=Wording(), filtered=[told])
    assert is_valid(Answer(200, (), body), DIAGNOSIS)
    (source,) = parse_xml(body).iter(f"{{{namespaces.AGGREGATION}}}source")
    assert (source.get("address"), source.get("outcome")) == ("SE1-<A>", "VP007")


def test_in_order_records_and_statuses_go_by_address() -> None:
    answers = [SourceAnswer(name, read(records(name)).records) for name in ("C", "A", "B")]
    answer = merged(*answers, wording=Wording(in_order=True))
    assert [source_in(one) for one in parse_xml(answer.body).iter(f"{{{DIAGNOSIS}}}diagnosis")] == ["A", "B", "C"]
    assert list(statuses(answer)) == ["A", "B", "C"]
