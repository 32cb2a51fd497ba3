"""What an answer of a source says about itself."""

import pytest

from rivta.aggregation.answers import Failure, failure_of, read_content
from rivta.aggregation.services import services
from rivta.router.course import Ending
from rivta.router.messages import Answer, Trouble
from rivta.soap import namespaces
from rivta.soap.identifiers import ContractNamespace
from tests.aggregation.world import envelope, fault, records

CONTACTS = services({})[ContractNamespace(namespaces.GET_CARE_CONTACTS_3)]
ERROR = records("SE1-A", 1, contract=CONTACTS.contract, result="ERROR")


def test_an_error_in_the_result_is_data_as_with_the_incumbent() -> None:
    content = read_content(Answer(200, (), ERROR), CONTACTS)
    assert content.failure is None
    assert len(content.records[0]) == 1


def test_it_is_a_failure_of_the_source_where_that_is_wanted() -> None:
    content = read_content(Answer(200, (), ERROR), CONTACTS, logical_errors_fail=True)
    assert content.failure is not None
    assert content.failure.is_logical
    assert content.records == ()


def test_an_answer_in_another_charset_is_read() -> None:
    text = records("SE1-Å", contract=CONTACTS.contract).decode()
    body = text.replace("encoding='UTF-8'", "encoding='ISO-8859-1'").encode("latin-1")
    content = read_content(Answer(200, (("Content-Type", "text/xml; charset=ISO-8859-1"),), body), CONTACTS)
    assert "SE1-Å".encode() in content.records[0][0]


def test_namespaces_that_would_stand_in_every_record_of_many_are_no_way_to_fill_the_memory() -> None:
    many = " ".join(f'xmlns:n{number}="urn:{number:0100}"' for number in range(500))
    body = f'<a:GetCareContactsResponse xmlns:a="{CONTACTS.contract}" {many}>{"<a:careContact/>" * 1000}'
    content = read_content(Answer(200, (), envelope(f"{body}</a:GetCareContactsResponse>")), CONTACTS)
    assert content.records == ()
    assert content.failure is not None
    assert content.failure.code == "43000"


def test_words_of_a_source_have_an_end() -> None:
    content = read_content(Answer(500, (), fault("x" * 100_000).body), CONTACTS)
    assert content.failure is not None
    assert len(content.failure.text) == 4001


@pytest.mark.parametrize(
    ("is_cut", "failure"),
    [
        (False, Failure("504", "Read timed out after 15 s")),
        (True, Failure("43000", "Unknown error")),
    ],
)
def test_a_source_that_was_too_slow_is_told_from_one_that_had_less_time_than_usual(
    is_cut: bool, failure: Failure
) -> None:
    ending = Ending(Answer(500, (), b"<fault/>"), "VP009", trouble=Trouble.TIMEOUT)
    assert failure_of(ending, is_cut=is_cut, seconds=15.0) == failure


def test_what_a_reader_finds_wrong_is_told_without_the_words_of_the_answer() -> None:
    content = read_content(Answer(200, (), b"<a>191212121212</b>"), CONTACTS)
    assert content.failure is not None
    assert "1912" not in content.failure.text
