"""Every fault that a consumer of the running pair can meet: its code, whose it is, which platform says so, and why."""

import time
from collections.abc import Iterator

import pytest

from tests.pair.consumer import (
    CORRELATION_ID,
    DIAGNOSIS,
    KS,
    Admin,
    Consumer,
    Fault,
    Identity,
    consumer,
    document_ids,
    envelope,
    get_diagnosis,
    new_id,
)
from tests.pair.standalone import PRODUCER_SECONDS, Standalone
from tests.support import Pair, run_rivta

UNKNOWN = "urn:riv:no:such:domain:GetNothingResponder:1"


@pytest.fixture(scope="module")
def stranger(pair: Pair) -> Iterator[Consumer]:
    with consumer(pair, "stranger") as made:
        yield made


@pytest.fixture(scope="module")
def alone(standalone: Standalone, pair: Pair) -> Iterator[Consumer]:
    """The NPÖ at the platform that stands alone."""
    made = Consumer(standalone.url, Identity.of(pair, "npo"))
    yield made
    made.close()


def summary(fault: Fault) -> tuple[str, str, str]:
    """Code, the name of the platform that refused, and who has to act."""
    code, name, _ = fault.text.split(" ", 2)
    return code, name, fault.side


def test_a_certificate_without_an_hsa_id_is_vp002(pair: Pair) -> None:
    nameless = Consumer(
        pair.endpoints["platforms"]["national"]["https"], Identity.issued(pair, "nameless", "--without-hsa-id")
    )
    fault = nameless.refused(get_diagnosis())
    nameless.close()
    assert summary(fault) == ("VP002", "[NTJP-DEMO]", "Client")
    assert fault.detail.startswith("No senderId found in Certificate: ")
    assert "CN=nameless" in fault.detail


@pytest.mark.parametrize("address", [None, "", "  "], ids=["no header", "empty", "blank"])
def test_a_message_to_nobody_is_vp003(npo: Consumer, address: str | None) -> None:
    fault = npo.refused(get_diagnosis(address))
    assert summary(fault) == ("VP003", "[NTJP-DEMO]", "Client")
    assert fault.detail == "No receiverId (logical address) found in message header. "


@pytest.mark.parametrize(
    ("address", "hint"), [("SE0-NOWHERE", ""), (f"{KS} ", ". Whitespace detected in incoming request!")]
)
def test_an_address_without_a_route_is_vp004(npo: Consumer, address: str, hint: str) -> None:
    fault = npo.refused(get_diagnosis(address))
    assert summary(fault) == ("VP004", "[NTJP-DEMO]", "Client")
    assert fault.detail == (
        f"No receiverId (logical address) found for serviceNamespace: {DIAGNOSIS}, receiverId: {address}{hint}"
    )


def test_a_contract_that_nobody_has_is_vp004(npo: Consumer) -> None:
    fault = npo.refused(envelope(f'<n:GetNothing xmlns:n="{UNKNOWN}"/>', to=KS))
    assert summary(fault)[0] == "VP004"
    assert UNKNOWN in fault.detail


def test_a_contract_that_is_not_installed_is_wrong_usage_of_the_command(pair: Pair) -> None:
    done = run_rivta("call", "GetNothing", "--to", KS, "--home", str(pair.home))
    assert done.returncode == 2
    assert "GetNothing" in done.stderr
    assert "GetDiagnosis" in done.stderr


def test_a_consumer_without_permission_is_vp007(stranger: Consumer) -> None:
    fault = stranger.refused(get_diagnosis(KS))
    assert summary(fault) == ("VP007", "[NTJP-DEMO]", "Server")
    assert fault.detail == (
        f"Authorization missing for serviceNamespace: {DIAGNOSIS}, receiverId: {KS}, senderId: SE5561234567-STRANGER"
    )


def test_a_permission_that_has_ended_is_vp007(npo: Consumer) -> None:
    assert npo.refused(get_diagnosis("SE2321000016-EXPIRED")).code == "VP007"


def test_a_refusal_of_the_second_platform_comes_back_as_it_was_made_there(journal: Consumer, admin: Admin) -> None:
    # The regional platform sends what it does not know to the national one, which has no route either.
    sent = new_id()
    fault = journal.refused(get_diagnosis("SE2321000131-SU-X"), {CORRELATION_ID: sent})
    assert summary(fault) == ("VP007", "[RTP-STOCKHOLM-DEMO]", "Server")
    (record,) = admin.records(sent, "regional")
    assert (record["outcome"], record["detail"]) == ("VP007", fault.detail)


def test_only_a_platform_may_say_on_whose_behalf_it_calls(journal: Consumer) -> None:
    fault = journal.refused(get_diagnosis(KS), {"x-rivta-original-serviceconsumer-hsaid": "SE165565594230-NPO"})
    assert summary(fault) == ("VP013", "[RTP-STOCKHOLM-DEMO]", "Client")


def test_a_call_that_went_the_same_way_before_is_vp014(npo: Consumer) -> None:
    fault = npo.refused(get_diagnosis(KS), {"x-rivta-routing-history": "SE1#SE165565594230-NTJP#SE2321000016-RTP"})
    assert summary(fault) == ("VP014", "[NTJP-DEMO]", "Server")


def test_a_request_that_breaks_its_schema_is_vp015_with_place_and_reason(npo: Consumer, admin: Admin) -> None:
    sent = new_id()
    wrong = get_diagnosis(KS).replace(b"<c:type>1.2.752.129.2.1.3.1</c:type>", b"<c:kind>secret</c:kind>")
    fault = npo.refused(wrong, {CORRELATION_ID: sent})
    assert summary(fault) == ("VP015", "[NTJP-DEMO]", "Client")
    assert fault.detail.startswith(f"The request breaks the schema of {DIAGNOSIS}:\nline 2, /")
    assert "kind" in fault.detail
    (record,) = admin.records(sent, "national")
    assert record["outcome"] == "VP015"
    assert "secret" not in record["detail"]


def test_a_producers_fault_is_passed_on_untouched(npo: Consumer) -> None:
    fault = npo.refused(get_diagnosis("SE2321000016-FAULT"))
    assert fault.text == "Internt fel i källsystemet."


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("EMPTY", "Empty message when server responded with status code: 200 OK"),
        ("CLOSE", "No response received from remote server"),
        ("DOWN", "java.net.ConnectException: Cannot connect to 127.0.0.1:1"),
    ],
)
def test_trouble_with_a_producer_is_vp009_of_the_platform_that_called_it(
    npo: Consumer, admin: Admin, address: str, reason: str
) -> None:
    sent = new_id()
    fault = npo.refused(get_diagnosis(f"SE2321000016-{address}"), {CORRELATION_ID: sent})
    assert summary(fault) == ("VP009", "[RTP-STOCKHOLM-DEMO]", "Server")
    assert fault.detail.startswith("Error connecting to service producer at address https://")
    assert reason in fault.detail
    national, regional = admin.records(sent, "national", "regional")
    assert (national["outcome"], regional["outcome"]) == ("routed", "VP009")


def test_a_producer_that_takes_too_long_is_vp009_when_its_time_is_up(alone: Consumer) -> None:
    began = time.monotonic()
    fault = alone.refused(get_diagnosis("SE2321000016-SLOW"))
    assert PRODUCER_SECONDS <= time.monotonic() - began < PRODUCER_SECONDS + 5
    assert summary(fault) == ("VP009", "[ALONE]", "Server")
    assert "ReadTimeoutException: Timeout when waiting on response from producer." in fault.detail


def test_a_slow_answer_within_the_time_is_an_answer(npo: Consumer, admin: Admin) -> None:
    admin.set_stub(KS, behaviour="slow", seconds=0.4, calls=1)
    answer = npo.call(get_diagnosis(KS))
    assert document_ids(answer.content)
    assert int(answer.headers["x-skltp-prt"]) >= 400


def test_an_answer_that_breaks_its_schema_is_passed_on_and_reported(npo: Consumer, admin: Admin) -> None:
    answer = npo.call(get_diagnosis("SE2321000016-INVALID"))
    assert answer.status_code == 200
    assert b"notInTheContract" in answer.content
    national, regional = admin.records(answer.headers[CORRELATION_ID], "national", "regional")
    for record in (national, regional):
        assert {violation["message"] for violation in record["violations"]} == {"response"}
        reasons = [violation["reason"] for violation in record["violations"]]
        assert "an element unknown to the contract is not expected here" in reasons
        # What is stored says what is wrong with a value, not the value.
        assert any(reason.startswith("'<19 characters>' does not match the pattern") for reason in reasons)


def test_an_answer_that_breaks_its_schema_is_vp009_where_answers_are_rejected(alone: Consumer) -> None:
    fault = alone.refused(get_diagnosis("SE2321000016-INVALID"))
    assert summary(fault) == ("VP009", "[ALONE]", "Server")
    assert "The answer of producer SE2321000016-PROVOKE breaks the schema of" in fault.detail


def test_the_stub_command_makes_an_address_misbehave_for_as_many_calls_as_it_says(npo: Consumer, pair: Pair) -> None:
    home = ("--home", str(pair.home))
    set_to_fail = run_rivta("stub", "set", KS, "fault", "--calls", "2", "--detail", "Stängt för natten", *home)
    assert set_to_fail.returncode == 0, set_to_fail.stderr
    assert [npo.refused(get_diagnosis(KS)).text for _ in range(2)] == ["Internt fel i källsystemet."] * 2
    assert npo.call(get_diagnosis(KS)).status_code == 200
    run_rivta("stub", "set", KS, "close", *home)
    assert npo.refused(get_diagnosis(KS)).code == "VP009"
    assert run_rivta("stub", "reset", KS, *home).returncode == 0
    assert npo.call(get_diagnosis(KS)).status_code == 200
