import pytest
from lxml import etree

from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators
from rivta.index.client import NotAnAnswer, Question, find_content, hits
from rivta.index.wire import add_engagement
from rivta.soap import namespaces
from rivta.soap.xml import parse_xml
from tests.index.built import DESCRIPTION, ROW, TOLVAN

EVERYTHING = Question(
    registered_resident_id=TOLVAN,
    service_domain=DESCRIPTION,
    categorization="dia",
    logical_address="A",
    business_object_instance_id="NA",
    clinical_process_interest_id="NA",
    most_recent_content="20260101000000",
    source_system="S",
    data_controller="D",
    owner="O",
)


@pytest.mark.parametrize(
    "question", [EVERYTHING, Question(registered_resident_id=TOLVAN, service_domain=DESCRIPTION)], ids=["all", "least"]
)
def test_a_question_is_valid_by_the_contract(question: Question) -> None:
    contracts = Contracts.shipped()
    payload = parse_xml(etree.tostring(find_content(question)))
    assert Validators(contracts).check(contracts.find(namespaces.FIND_CONTENT_1), payload, "request").valid


def test_whom_a_question_is_about_stands_in_no_log() -> None:
    assert TOLVAN not in repr(EVERYTHING)


def test_hits_are_read_in_their_order() -> None:
    answer = etree.Element(f"{{{namespaces.FIND_CONTENT_1}}}FindContentResponse")
    answer.append(etree.Comment("between"))
    add_engagement(answer, f"{{{namespaces.FIND_CONTENT_1}}}engagement", ROW)
    assert hits(answer) == (ROW,)


@pytest.mark.parametrize("payload", [None, etree.Element("FindContentResponse")])
def test_another_answer_is_told(payload: etree._Element | None) -> None:
    with pytest.raises(NotAnAnswer):
        hits(payload)
