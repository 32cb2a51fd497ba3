"""Reading a request, and making one for each source of the same bytes."""

from datetime import UTC, datetime
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rivta.aggregation.question import addressed, index_question, read_question, source_request
from rivta.aggregation.services import services
from rivta.index.client import find_content
from rivta.soap import namespaces
from rivta.soap.head import read_head, refuse_ambiguous
from rivta.soap.identifiers import ContractNamespace
from rivta.soap.service import ServiceFault
from rivta.soap.xml import parse_xml
from tests.aggregation.world import ADDRESS, DIAGNOSIS, PATIENT, question

SERVICE = services({})[DIAGNOSIS]
SCHEDULE = services({})[ContractNamespace("urn:riv:crm:scheduling:GetSubjectOfCareScheduleResponder:1")]
EXEMPTION = services({})[
    ContractNamespace("urn:riv:financial:patientfees:exemption:RequestExemptionStatusesResponder:1")
]
DOCUMENTATION = services({})[
    ContractNamespace("urn:riv:clinicalprocess:healthcond:description:GetCareDocumentationResponder:3")
]
NOW = datetime(2028, 2, 29, 12, tzinfo=UTC)


def message(payload: str, header: str = "") -> bytes:
    entry = f'<r:LogicalAddress xmlns:r="{namespaces.REGISTRY_1}">{ADDRESS}</r:LogicalAddress>'
    return (
        f'<s:Envelope xmlns:s="{namespaces.SOAP_ENVELOPE}"><s:Header>{header or entry}</s:Header>'
        f"<s:Body>{payload}</s:Body></s:Envelope>"
    ).encode()


ODD_HEADERS = {
    "a comment with an address": "<!-- <r:LogicalAddress>not this</r:LogicalAddress> -->{}",
    "an attribute": "{}",
    "CDATA": "{}",
    "another entry": '<Actor xmlns="urn:riv:interoperability:headers:1"><actorId>1</actorId></Actor>{}',
}


@settings(deadline=None, derandomize=True)
@given(
    address=st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1),
    odd=st.sampled_from(sorted(ODD_HEADERS)),
    filler=st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=30),
)
def test_a_request_to_a_source_says_the_same_to_that_source(address: str, odd: str, filler: str) -> None:
    value = f"<![CDATA[{ADDRESS}]]>" if odd == "CDATA" else ADDRESS
    mark = " s:mustUnderstand='0'" if odd == "an attribute" else ""
    entry = f'<r:LogicalAddress xmlns:r="{namespaces.REGISTRY_1}"{mark}>{value}</r:LogicalAddress>'
    payload = f'<r:GetDiagnosis xmlns:r="{DIAGNOSIS}"><r:x>{escape(filler)}{ADDRESS}</r:x></r:GetDiagnosis>'
    body = message(payload, ODD_HEADERS[odd].format(entry))
    root = parse_xml(source_request(body, SERVICE).to(address))
    head = read_head(root)
    refuse_ambiguous(root, head)
    assert head.logical_address == address
    assert head.payload is not None
    assert head.payload[0].text == filler + ADDRESS


def test_the_bytes_are_those_that_came() -> None:
    body = question().replace(b"<soapenv:Body>", b"<soapenv:Body  id='1' >\r\n<!-- x -->")
    assert source_request(body, SERVICE).to("SE1-A") == body.replace(ADDRESS.encode(), b"SE1-A")


def test_an_address_in_a_comment_is_not_the_one_that_changes() -> None:
    entry = f'<r:LogicalAddress xmlns:r="{namespaces.REGISTRY_1}">{ADDRESS}</r:LogicalAddress>'
    body = message(f'<r:GetDiagnosis xmlns:r="{DIAGNOSIS}"/>', f"<!--{entry}--><!-- -->{entry}")
    sent = source_request(body, SERVICE).to("SE1-A")
    assert read_head(parse_xml(sent)).logical_address == "SE1-A"
    assert f"<!--{entry}-->".encode() in sent


def test_a_contract_that_names_its_address_in_the_body_gets_it_there_too() -> None:
    payload = (
        f'<t:GetSubjectOfCareSchedule xmlns:t="{SCHEDULE.contract}"><t:healthcare_facility>{ADDRESS}'
        f"</t:healthcare_facility><t:subject_of_care>{PATIENT}</t:subject_of_care></t:GetSubjectOfCareSchedule>"
    )
    head = read_head(parse_xml(source_request(message(payload), SCHEDULE).to("SE1-A")))
    assert head.payload is not None
    assert [one.text for one in head.payload] == ["SE1-A", PATIENT]
    assert head.logical_address == "SE1-A"


def test_what_extends_a_request_is_no_patient_of_it() -> None:
    payload = (
        f'<r:GetDiagnosis xmlns:r="{DIAGNOSIS}"><r:patientId><id>1</id></r:patientId>'
        '<patientId xmlns="urn:other"><id>2</id></patientId></r:GetDiagnosis>'
    )
    asked = read_question(read_head(parse_xml(message(payload))).payload, SERVICE)
    assert asked.patient == "1"


def test_the_patient_is_in_no_representation_of_a_question() -> None:
    asked = read_question(read_head(parse_xml(question())).payload, SERVICE)
    assert asked.patient == PATIENT
    assert PATIENT not in repr(asked) + repr(source_request(question(), SERVICE)) + repr(
        index_question(asked, SERVICE, now=NOW)
    )


def test_an_element_that_a_service_refuses_has_its_text() -> None:
    payload = parse_xml(
        f'<r:GetCareDocumentation xmlns:r="{DOCUMENTATION.contract}"><r:hasMoreReference/></r:GetCareDocumentation>'.encode()
    )
    with pytest.raises(ServiceFault, match="hasMoreReference skall inte användas"):
        read_question(payload, DOCUMENTATION)


def test_new_content_only_is_asked_for_by_calendar_years_in_swedish_time() -> None:
    payload = parse_xml(
        f'<r:RequestExemptionStatuses xmlns:r="{EXEMPTION.contract}"><r:patientId><extension>1</extension></r:patientId>'
        "</r:RequestExemptionStatuses>".encode()
    )
    asked = index_question(read_question(payload, EXEMPTION), EXEMPTION, now=NOW)
    assert asked.most_recent_content == "20270228130000"


def test_a_payload_is_addressed() -> None:
    asked = index_question(read_question(read_head(parse_xml(question())).payload, SERVICE), SERVICE, now=NOW)
    head = read_head(parse_xml(addressed(find_content(asked), "SE1-<INDEX>")))
    assert (head.logical_address, head.contract) == ("SE1-<INDEX>", namespaces.FIND_CONTENT_1)
