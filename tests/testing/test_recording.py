"""Calls of the call log made into cases, and cases written whole."""

from typing import Any

import pytest
import yaml

from rivta.catalogue.rows import Problem
from rivta.router.record import CallRecord
from rivta.testing.assertions import FaultIs, SameAsRecorded, StatusIs
from rivta.testing.case_files import read_case
from rivta.testing.case_writing import NewCase, folder_name, next_number, write_case
from rivta.testing.cases import Found
from rivta.testing.persons import Persons
from rivta.testing.recording import NotRecorded, case_of, name_of
from tests.testing.messages import CONTRACTS, PING, fault, ping, pong


def record(**fields) -> CallRecord:
    values: dict[str, Any] = {
        "id": "1",
        "time": "2026-11-24T12:00:00+00:00",
        "platform": "SE1-T",
        "correlation_id": "c-1",
        "outcome": "routed",
        "sender": "SE1-NPO",
        "contract": PING,
        "logical_address": "SE1-KS",
        "profile_in": "RIVTABP21",
        "http_status": 200,
        "producer_url": "https://p/",
    }
    return CallRecord(**(values | fields))


def made(request: bytes | None = None, response: bytes | None = None, **fields) -> NewCase:
    case = case_of(
        record(**fields),
        (request or ping()).decode(),
        response.decode() if response else None,
        hide=Persons().hidden,
        identities={"SE1-NPO": "npo"},
    )
    assert isinstance(case, NewCase)
    return case


def written(case: NewCase, tmp_path):
    """The case as it is read again."""
    write_case(case, tmp_path / "case")
    problems: list[Problem] = []
    found = read_case(Found("case", tmp_path / "case"), problems, contracts=CONTRACTS)
    assert problems == []
    return found


def test_a_recorded_call_is_a_case_that_asserts_the_same_answer(tmp_path) -> None:
    case = written(made(response=pong(), original_consumer="SE1-C"), tmp_path)
    assert (case.contract, case.logical_address, case.identity, case.sender) == (PING, "SE1-KS", "npo", "SE1-NPO")
    assert [one.assertion for one in case.assertions] == [StatusIs((200,)), SameAsRecorded()]
    assert dict(case.headers) == {"x-rivta-original-serviceconsumer-hsaid": "SE1-C"}
    assert case.rules.masks == ("//result/logId",)
    assert (case.recorded.outcome, case.recorded.producer_url) == ("routed", "https://p/")
    assert (tmp_path / "case" / "request.xml").read_bytes() == ping()


def test_a_refusal_asserts_its_code(tmp_path) -> None:
    case = written(made(response=fault(), outcome="VP004", http_status=500), tmp_path)
    assert [one.assertion for one in case.assertions] == [StatusIs((500,)), FaultIs("VP004")]


def test_personal_numbers_are_the_same_other_ones_in_request_and_answer() -> None:
    case = made(ping("19450101-1234"), pong("194501011234"), logical_address="19450101-1234")
    everything = case.request + case.response + yaml.safe_dump(dict(case.message)).encode()
    assert b"1234" not in everything
    number = case.request.split(b"logicalAddress>")[1].split(b"<")[0].replace(b"-", b"")
    assert b">" + number + b"<" in case.response


def test_where_the_platform_has_masked_them_the_request_asks_about_a_variable(tmp_path) -> None:
    case = written(made(ping().replace(b"SE1-KS</p:", b"xxxxxxxxxxxx</p:"), pong("xxxxxxxxxxxx")), tmp_path)
    assert b"${patient}" in case.request.read_bytes()
    assert dict(case.variables) == {"patient": "191212121212"}
    assert len(case.rules.masks) == 2


def test_what_looks_like_a_variable_in_a_message_is_itself_in_the_case() -> None:
    assert b">$${x}<" in made(pong("${x}")).request


def test_a_request_that_cannot_be_read_says_nothing_of_contract_and_address(tmp_path) -> None:
    case = written(
        made(b"<a><b></a>", response=fault("VP015 x"), outcome="VP015", http_status=500, contract=None), tmp_path
    )
    assert (case.contract, case.logical_address, case.request.read_bytes()) == (None, None, b"<a><b></a>")


def test_an_address_with_blanks_stays_in_the_request_alone(tmp_path) -> None:
    assert written(made(ping(" SE1 "), logical_address=" SE1 "), tmp_path).logical_address is None


@pytest.mark.parametrize("request_text", [None, "<a>\ufffd</a>"])
def test_what_was_not_kept_or_is_no_text_is_no_case(request_text) -> None:
    assert isinstance(case_of(record(), request_text, None, hide=str, identities={}), NotRecorded)


def test_a_folder_is_named_by_number_contract_and_address() -> None:
    assert name_of(record(), 7, str) == "0007-PingForConfiguration_1-SE1-KS"
    assert name_of(record(contract=None, logical_address="../../x y"), 7, str) == "0007---..-..-x-y"
    assert folder_name("///") == "case"


def test_numbers_go_on_where_a_folder_has_cases(tmp_path) -> None:
    assert next_number(tmp_path / "new") == 1
    (tmp_path / "0009-x").mkdir()
    assert next_number(tmp_path) == 10


def test_a_case_is_never_written_over_another_nor_half(tmp_path, monkeypatch) -> None:
    case = made()
    write_case(case, tmp_path / "case")
    with pytest.raises(FileExistsError):
        write_case(case, tmp_path / "case")

    def full(path, content, **_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rivta.testing.case_writing.write_file", full)
    with pytest.raises(OSError, match="No space"):
        write_case(case, tmp_path / "other")
    assert [one.name for one in tmp_path.iterdir()] == ["case"]
