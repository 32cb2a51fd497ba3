"""Contracts served through spyne: bytes in, bytes out, no sockets."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from rivta.soap.faults import Side
from rivta.soap.identifiers import ContractNamespace
from rivta.soap.service import Answer, Call, ServiceFault, Streamed
from rivta.soap.spyne_adapter import PARSED_ENVELOPE, Check, Documents, dispatcher, soap_application
from rivta.soap.wsgi import HttpAnswer, HttpRequest, begin, call
from rivta.soap.xml import parse_xml

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
GREETING = ContractNamespace("urn:riv:example:GreetResponder:1")
PARTING = ContractNamespace("urn:riv:example:PartResponder:1")


@dataclass(frozen=True)
class Operation:
    namespace: ContractNamespace
    name: str

    @property
    def request(self) -> str:
        return f"{{{self.namespace}}}{self.name}"

    @property
    def response(self) -> str:
        return f"{self.request}Response"


@dataclass(frozen=True)
class Contract:
    namespace: ContractNamespace
    operation: str
    others: tuple[str, ...] = ()

    @property
    def operations(self) -> tuple[Operation, ...]:
        return tuple(Operation(self.namespace, name) for name in (self.operation, *self.others))

    @property
    def response(self) -> str:
        return self.operations[0].response


GREET = Contract(GREETING, "Greet")
PART = Contract(PARTING, "Part")


def echo(contract: Contract) -> Answer:
    """A service that answers with the address and the text that it was sent."""

    def answer(one: Call) -> etree._Element:
        element = etree.Element(contract.response)
        element.text = f"{contract.operation} {one.payload.findtext('{*}name')} at {one.logical_address}"
        return element

    return answer


def raising(error: Exception) -> Answer:
    def answer(_one: Call) -> etree._Element:
        raise error

    return answer


ADDRESS = '<r:LogicalAddress xmlns:r="urn:riv:itintegration:registry:1">SE2321000016-KS</r:LogicalAddress>'


def message(payload: str, *, header: str = ADDRESS) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<s:Envelope xmlns:s="{SOAP}"><s:Header>{header}</s:Header><s:Body>{payload}</s:Body></s:Envelope>'
    ).encode()


HELLO = f'<g:Greet xmlns:g="{GREETING}"><g:name>Åsa</g:name></g:Greet>'


def send(
    body: bytes = message(HELLO),
    *,
    answer: Answer | None = None,
    check: Check | None = None,
    address_required: bool = True,
    headers: tuple[tuple[str, str], ...] = (),
) -> HttpAnswer:
    application = dispatcher(
        [soap_application(GREET, answer or echo(GREET), check=check, address_required=address_required)]
    )
    request = HttpRequest("POST", "/vp", headers=(("Content-Type", "text/xml; charset=utf-8"), *headers), body=body)
    return call(application, request)


def payload_of(answer: HttpAnswer) -> etree._Element:
    root = parse_xml(answer.body)
    assert root.tag == f"{{{SOAP}}}Envelope"
    body = root.find(f"{{{SOAP}}}Body")
    assert body is not None
    return body[0]


def fault_of(answer: HttpAnswer) -> tuple[str, str, str]:
    """Code, text and detail of the SOAP fault that `answer` must be."""
    assert answer.status == 500
    fault = payload_of(answer)
    assert fault.tag == f"{{{SOAP}}}Fault"
    prefix, _, code = (fault.findtext("faultcode") or "").partition(":")
    assert fault.nsmap[prefix] == SOAP
    return code, fault.findtext("faultstring") or "", fault.findtext("detail/message") or ""


def test_a_payload_goes_in_and_the_services_element_comes_out_in_an_envelope() -> None:
    answer = send()

    assert answer.status == 200
    assert dict(answer.headers)["Content-Type"] == "text/xml; charset=utf-8"
    assert dict(answer.headers)["Content-Length"] == str(len(answer.body))
    assert payload_of(answer).tag == GREET.response
    assert payload_of(answer).text == "Greet Åsa at SE2321000016-KS"


@pytest.mark.parametrize(
    "header",
    [
        ADDRESS,
        '<r:LogicalAddress xmlns:r="urn:riv:infrastructure:itintegration:registry:2">SE2321000016-KS</r:LogicalAddress>',
        '<a:To xmlns:a="http://www.w3.org/2005/08/addressing">SE2321000016-KS</a:To>',
        ADDRESS.replace("-KS", "-<!-- ward 3 -->KS"),
    ],
    ids=["profile 2.1", "version 2 of the registry", "profile 2.0", "a comment inside"],
)
def test_the_logical_address_is_read_in_every_form(header: str) -> None:
    assert payload_of(send(message(HELLO, header=header))).text == "Greet Åsa at SE2321000016-KS"


@pytest.mark.parametrize(
    "header", ["", ADDRESS.replace("SE2321000016-KS", ""), ADDRESS.replace("SE2321000016-KS", " ")]
)
def test_a_call_without_a_logical_address_is_the_callers_fault(header: str) -> None:
    code, text, _ = fault_of(send(message(HELLO, header=header)))

    assert code == "Client"
    assert "LogicalAddress" in text


def test_a_service_may_look_at_a_missing_address_itself() -> None:
    answer = send(message(HELLO, header=""), address_required=False)

    assert payload_of(answer).text == "Greet Åsa at "


def test_a_service_sees_the_extension_headers_and_the_correlation_id() -> None:
    seen: list[Call] = []

    def answer(one: Call) -> etree._Element:
        seen.append(one)
        return etree.Element(GREET.response)

    send(answer=answer, headers=(("X-Skltp-Correlation-ID", "abc"), ("Cookie", "no"), ("x_vp_sender_id", "forged")))

    assert seen[0].headers == {"x-skltp-correlation-id": "abc"}
    assert seen[0].correlation_id == "abc"
    assert "Åsa" not in repr(seen[0])


def test_comments_inside_a_value_do_not_cut_it() -> None:
    answer = send(message(HELLO.replace("Åsa", "Å<!-- x --><?y z?>sa")))

    assert payload_of(answer).text == "Greet Åsa at SE2321000016-KS"


def test_a_services_fault_leaves_with_its_side_text_and_detail() -> None:
    fault = ServiceFault("EI003: Invalid routing", side=Side.CLIENT, detail="missing")

    assert fault_of(send(answer=raising(fault))) == ("Client", "EI003: Invalid routing", "missing")


def test_a_services_fault_may_have_an_element_as_its_detail() -> None:
    entry = etree.Element("{urn:example}reason")
    entry.text = "full"

    answer = send(answer=raising(ServiceFault("nej", detail=entry)))

    assert payload_of(answer).findtext("detail/{urn:example}reason") == "full"


def test_characters_that_xml_cannot_hold_do_not_break_a_fault() -> None:
    assert fault_of(send(answer=raising(ServiceFault("a\x00b")))) == ("Server", "a\ufffdb", "")


def test_an_unexpected_error_leaves_as_a_fault_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    answer = send(answer=raising(KeyError("191212121212")))

    assert fault_of(answer) == ("Server", "Internt fel i tjänsten.", "")
    for leaked in ("KeyError", "191212121212", "Traceback", ".py"):
        assert leaked not in answer.body.decode()
    assert "KeyError at " in caplog.text
    assert "191212121212" not in caplog.text


def test_an_answer_of_another_contract_never_leaves() -> None:
    assert fault_of(send(answer=echo(PART))) == ("Server", "Internt fel i tjänsten.", "")


def test_spyne_logs_nothing_of_a_message(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    send(message(HELLO.replace("Åsa", "191212121212")), answer=raising(ServiceFault("nej")))

    assert "191212121212" not in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<a",
        b"GET / HTTP/1.1",
        b"<!DOCTYPE a><a/>",
        b'<!DOCTYPE a [<!ENTITY x "y">]>' + message(HELLO)[38:],
        message(HELLO).replace(b"UTF-8", b"bogus"),
        message(HELLO)[:-5],
        b"<a>" * 201 + b"</a>" * 201,
        HELLO.encode(),
        message(HELLO).replace(SOAP.encode(), b"http://www.w3.org/2003/05/soap-envelope"),
        message(""),
        message("<!-- nothing -->"),
        message("<Greet/>"),
        message(f'<Part xmlns="{PARTING}"/>'),
        message(f'<GreetResponse xmlns="{GREETING}"/>'),
    ],
    ids=[
        "nothing",
        "broken",
        "not XML",
        "DOCTYPE",
        "entities",
        "unknown encoding",
        "cut off",
        "too deep",
        "no envelope",
        "SOAP 1.2",
        "empty body",
        "only a comment",
        "no namespace",
        "another contract",
        "a response",
    ],
)
def test_what_is_not_a_request_of_the_contract_is_the_callers_fault(body: bytes) -> None:
    code, _, detail = fault_of(send(body))

    assert code == "Client"
    assert "Traceback" not in detail


@given(st.binary(max_size=200))
def test_any_bytes_at_all_are_answered_with_a_fault(body: bytes) -> None:
    assert fault_of(send(body))[0] == "Client"


@given(st.integers(0, len(message(HELLO)) - 1), st.integers(0, 255))
def test_a_message_with_any_one_byte_changed_is_answered_by_an_envelope(place: int, byte: int) -> None:
    body = bytearray(message(HELLO))
    body[place] = byte

    answer = send(bytes(body))

    assert answer.status in (200, 500)
    payload_of(answer)


def test_reasons_to_refuse_stop_a_request_before_its_service() -> None:
    def check(payload: etree._Element) -> Sequence[str]:
        assert payload.tag == GREET.operations[0].request
        return ["line 3: name is missing", "line 4: age is negative"]

    answer = send(check=check, answer=raising(AssertionError("must not be reached")))

    code, _, detail = fault_of(answer)
    assert (code, detail) == ("Client", "line 3: name is missing\nline 4: age is negative")


def test_a_checked_request_without_reasons_passes() -> None:
    assert send(check=lambda _payload: ()).status == 200


def test_the_bodys_first_namespace_chooses_among_contracts_and_the_url_does_not() -> None:
    application = dispatcher([soap_application(GREET, echo(GREET)), soap_application(PART, echo(PART))])
    goodbye = message(f'<Part xmlns="{PARTING}"><name>Bo</name></Part>')

    answer = call(application, HttpRequest("POST", "/example/Greet/1/rivtabp21", body=goodbye))

    assert payload_of(answer).text == "Part Bo at SE2321000016-KS"


def test_an_envelope_that_the_server_has_parsed_is_not_parsed_again() -> None:
    application = dispatcher([soap_application(GREET, echo(GREET))])
    parsed = parse_xml(message(HELLO))

    answer = call(application, HttpRequest("POST", "/", body=b"not read"), extra={PARSED_ENVELOPE: parsed})

    assert payload_of(answer).text == "Greet Åsa at SE2321000016-KS"


def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    application = dispatcher([soap_application(GREET, echo(GREET))], max_bytes=100)

    assert call(application, HttpRequest("POST", "/", body=b"x" * 101)).status == 413


def get(documents: Documents | None, query: str) -> HttpAnswer:
    application = dispatcher([soap_application(GREET, echo(GREET))], documents=documents)
    return call(application, HttpRequest("GET", "/greet", query, headers=(("Host", "here:8443"),)))


def test_a_get_is_answered_from_the_documents_at_the_url_it_came_to() -> None:
    def documents(*, path: str, query: str, base_url: str) -> bytes | None:
        return f"<{path}|{query}|{base_url}>".encode()

    answer = get(documents, "wsdl")

    assert (answer.status, answer.body) == (200, b"</greet|wsdl|https://here:8443>")


@pytest.mark.parametrize("documents", [None, lambda *, path, query, base_url: None])
def test_a_get_of_nothing_is_not_found(documents: Documents | None) -> None:
    assert get(documents, "").status == 404


def test_other_methods_are_told_what_is_allowed() -> None:
    application = dispatcher([soap_application(GREET, echo(GREET))])

    answer = call(application, HttpRequest("DELETE", "/"))

    assert answer.status == 405
    assert dict(answer.headers)["Allow"] == "POST"


def test_spynes_own_wsdl_is_never_served() -> None:
    """It cannot be loaded by clients once a header of another namespace is in it."""
    assert get(None, "wsdl").status == 404


ASK_TWO = Contract(GREETING, "Greet", ("Thank",))


def test_one_contract_may_have_several_operations() -> None:
    def answer(one: Call) -> etree._Element:
        element = etree.Element(f"{one.payload.tag}Response")
        element.text = etree.QName(one.payload).localname
        return element

    application = dispatcher([soap_application(ASK_TWO, answer)])
    thanks = call(application, HttpRequest("POST", "/", body=message(f'<g:Thank xmlns:g="{GREETING}"/>')))
    greeting = call(application, HttpRequest("POST", "/", body=message(HELLO)))
    unknown = call(application, HttpRequest("POST", "/", body=message(f'<g:Scold xmlns:g="{GREETING}"/>')))

    assert [payload_of(one).text for one in (thanks, greeting)] == ["Thank", "Greet"]
    assert payload_of(thanks).tag == f"{{{GREETING}}}ThankResponse"
    assert fault_of(unknown)[1:] == (
        "Tjänstekontraktet stöds inte här.",
        f"{{{GREETING}}}Scold is not among: {{{GREETING}}}Greet, {{{GREETING}}}Thank",
    )


def test_a_streamed_answer_is_made_piece_by_piece_and_has_no_length() -> None:
    made: list[int] = []

    def pieces() -> Iterator[bytes]:
        for number in range(3):
            made.append(number)
            yield b"<%d/>" % number

    application = dispatcher(
        [soap_application(GREET, lambda _: Streamed.started(pieces(), {"ETag": '"7"'}), address_required=False)]
    )
    answering = begin(application, HttpRequest("POST", "/", body=message(HELLO)))

    assert (answering.status, answering.is_whole, made) == (200, False, [0])
    assert ("ETag", '"7"') in answering.headers
    assert ("Content-Type", "text/xml; charset=utf-8") in answering.headers
    assert [next(answering.chunks) for _ in range(2)] == [b"<0/>", b"<1/>"]
    assert made == [0, 1]
    assert list(answering.chunks) == [b"<2/>"]
    answering.close()


def test_a_stream_that_cannot_start_is_a_fault() -> None:
    def pieces() -> Iterator[bytes]:
        raise OSError("the file is gone")
        yield b""

    answer = send(answer=lambda _: Streamed.started(pieces(), {}))

    assert fault_of(answer)[:2] == ("Server", "Internt fel i tjänsten.")
