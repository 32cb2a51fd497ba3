"""A whole check, against small servers that are good, or wrong in one way."""

import dataclasses
import re
import socket
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rivta.contracts import samples
from rivta.contracts.installed import Contracts
from rivta.contracts.wsdl import wsdl
from rivta.onboarding.findings import Grade, Report, Verdict
from rivta.soap.head import read_head
from rivta.soap.identifiers import Profile
from rivta.soap.xml import XmlRefused, parse_xml
from rivta.tls.contexts import server_context
from rivta.tls.profiles import KeyKind
from tests.onboarding.conftest import Http, Look, Serve, World, finding, foreign, read_request

pytestmark = pytest.mark.sockets

XML = {"Content-Type": "text/xml; charset=UTF-8"}
SOAP_FAULT = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>'
    b"<faultcode>s:Client</faultcode><faultstring>Fel</faultstring></s:Fault></s:Body></s:Envelope>"
)
CALL = {"logical_address": "SE1-KS"}
Answer = tuple[int, dict[str, str], bytes]


class Producer(Http):
    """A producer that does all as it should, unless told otherwise."""

    def __init__(self, contracts: Contracts, *, speaks: Profile = Profile.RIVTABP21) -> None:
        super().__init__(self._answer)
        self.contract = contracts.find("GetDiagnosis")
        self.speaks = speaks
        self.url = ""
        self.good: Answer | None = None
        self.broken: Answer = (500, XML, SOAP_FAULT)

    def _answer(self, method: str, path: str, body: bytes) -> Answer:
        if method == "GET":
            text = wsdl(self.contract, Profile.RIVTABP21, "https://elsewhere/vp").decode()
            start = text.index('location="') + len('location="')
            served = text[:start] + self.url + text[text.index('"', start) :]
            return 200, XML, served.encode()
        try:
            head = read_head(parse_xml(body))
        except XmlRefused:
            return self.broken
        assert head.payload is not None
        if head.profile is not self.speaks or head.payload[0].tag == "unknown-to-the-contract":
            return self.broken
        return self.good or (200, XML, samples.envelope(samples.response(self.contract), "SE1-KS"))


@pytest.fixture
def producer(contracts: Contracts) -> Producer:
    return Producer(contracts)


def start(serve: Serve, producer: Producer, context: ssl.SSLContext) -> str:
    producer.url = serve(producer, context)
    return producer.url


def grades(report: Report, grade: Grade) -> list[str]:
    return [one.step for one in report.findings if one.grade is grade]


def test_a_good_producer_is_ready_and_every_step_is_taken(
    serve: Serve, world: World, producer: Producer, look: Look
) -> None:
    report = look(start(serve, producer, world.context()), contract=producer.contract, **CALL)

    assert grades(report, Grade.OK) == [
        *("address", "connect", "tls", "chain", "host name", "validity", "key", "purpose", "hsa-id", "trust"),
        *("tls versions", "ciphers", "no client certificate", "unknown client CA", "post", "broken message"),
        *("keep-alive", "wsdl", "GetDiagnosis:2 RIVTABP21", "answer by the schema", "content type", "broken request"),
    ]
    assert (report.verdict, report.caller) == (Verdict.READY, "SE1-CALLER")
    assert report.elapsed_ms < 10_000


def test_nothing_listening_ends_the_check_at_once(look: Look) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    report = look(f"https://localhost:{port}/")

    assert grades(report, Grade.FAIL) == ["connect"]
    assert "nothing listens there" in finding(report, "connect").seen
    assert report.verdict is Verdict.NOT_READY


@pytest.mark.parametrize("patient", [False, True], ids=["answers at once", "waits for a whole request"])
def test_plain_http_on_the_port_is_told_from_other_troubles_of_tls(
    serve: Serve, look: Look, monkeypatch: pytest.MonkeyPatch, patient: bool
) -> None:
    monkeypatch.setattr("rivta.onboarding.check.HANDSHAKE_SECONDS", 0.3)

    def http(connection: socket.socket) -> None:
        received = connection.recv(65536)
        while patient and not received.endswith(b"\r\n\r\n"):
            if not (piece := connection.recv(65536)):
                return
            received += piece
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    report = look(serve(http, None))

    assert grades(report, Grade.FAIL) == ["tls"]
    assert "it speaks plain HTTP" in finding(report, "tls").seen


def test_what_speaks_neither_is_not_taken_for_http(serve: Serve, look: Look) -> None:
    def garbage(connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(b"\x00\x01garbage\r\n" * 10)

    report = look(serve(garbage, None))

    assert grades(report, Grade.FAIL) == ["tls"]
    assert "plain HTTP" not in finding(report, "tls").seen


@pytest.mark.parametrize(
    ("changes", "host", "step", "says"),
    [
        ({"not_after": datetime.now(UTC) - timedelta(days=2)}, "localhost", "validity", "expired 2 days ago"),
        ({"not_before": datetime.now(UTC) + timedelta(days=2)}, "localhost", "validity", "not valid yet"),
        ({"hosts": ["other.example.se"]}, "localhost", "host name", "which has other.example.se"),
        ({"hosts": ["localhost"]}, "127.0.0.1", "host name", "127.0.0.1 is not in subjectAltName"),
        ({"hosts": []}, "localhost", "host name", "no subjectAltName"),
    ],
    ids=["expired", "not yet valid", "wrong name", "IP address", "no name"],
)
def test_a_wrong_certificate_fails_its_own_step_and_the_platforms_handshake(
    serve: Serve, world: World, producer: Producer, look: Look, changes: Any, host: str, step: str, says: str
) -> None:
    certificate = world.server("wrong", **changes)

    report = look(serve(producer, world.context(certificate), host=host))

    assert grades(report, Grade.FAIL) == [step, "trust"]
    assert says in finding(report, step).seen
    assert finding(report, "post").grade is Grade.OK


@pytest.mark.parametrize(
    ("self_signed", "says"), [(True, "self-signed"), (False, "was neither sent nor is trusted")], ids=["self", "CA"]
)
def test_a_chain_that_leads_nowhere_says_what_to_send(
    serve: Serve, world: World, producer: Producer, look: Look, tmp_path: Path, self_signed: bool, says: str
) -> None:
    context = world.context()
    context.load_cert_chain(*foreign(tmp_path, self_signed=self_signed))

    report = look(serve(producer, context))

    assert says in finding(report, "chain").seen
    assert finding(report, "trust").grade is Grade.FAIL
    assert finding(report, "chain").change


def test_whoever_lets_anybody_in_is_told_so(serve: Serve, world: World, producer: Producer, look: Look) -> None:
    context = world.context()
    context.verify_mode = ssl.CERT_NONE

    report = look(serve(producer, context))

    assert grades(report, Grade.FAIL) == ["no client certificate", "unknown client CA"]


def test_an_http_server_may_refuse_strangers_itself(serve: Serve, world: World, look: Look) -> None:
    context = world.context()
    context.verify_mode = ssl.CERT_NONE

    report = look(serve(Http(lambda *_: (403, {}, b"no")), context))

    assert finding(report, "no client certificate").seen == "refused with HTTP 403"


def test_a_server_that_does_not_know_the_callers_ca_is_told_to_trust_it(
    serve: Serve, world: World, producer: Producer, look: Look, tmp_path: Path
) -> None:
    own = world.server()
    context = server_context(certificate=own.certificate, key=own.key, trusted=foreign(tmp_path, self_signed=True)[0])

    report = look(serve(producer, context))

    assert finding(report, "post").grade is Grade.FAIL
    assert "let SE1-CALLER in" in finding(report, "post").change


@pytest.mark.parametrize(
    ("versions", "says", "grade"),
    [
        ((ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2), "accepts TLS 1.2", Grade.OK),
        ((ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3), "accepts TLS 1.3", Grade.OK),
        ((ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_2), "accepts TLS 1.0, TLS 1.1, TLS 1.2", Grade.WARN),
        ((ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1), "accepts TLS 1.1", Grade.FAIL),
    ],
    ids=["1.2", "1.3", "1.0 to 1.2", "1.1"],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_each_version_is_tried_by_itself(
    serve: Serve, world: World, producer: Producer, look: Look, versions: Any, says: str, grade: Grade
) -> None:
    context = world.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, versions[1]
    context.minimum_version = versions[0]

    report = look(serve(producer, context))

    if grade is Grade.FAIL:  # not even the first handshake, which is as tolerant as this machine's OpenSSL is
        assert finding(report, "tls").grade is Grade.FAIL
    else:
        assert (finding(report, "tls versions").seen, finding(report, "tls versions").grade) == (says, grade)


def test_ciphers_without_forward_secrecy_are_found(serve: Serve, world: World, producer: Producer, look: Look) -> None:
    rsa = world.server("rsa", key_kind=KeyKind.RSA_2048)
    context = world.context(rsa)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:AES128-SHA")

    report = look(serve(producer, context))

    assert finding(report, "ciphers").grade is Grade.WARN
    assert "also AES128-SHA" in finding(report, "ciphers").seen


@pytest.mark.parametrize("secured", [False, True], ids=["before TLS", "after the handshake"])
def test_a_server_that_accepts_and_never_answers_costs_its_time_once(
    serve: Serve, world: World, look: Look, secured: bool
) -> None:
    def silent(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    began = time.monotonic()
    report = look(serve(silent, world.context() if secured else None), seconds=1)

    assert time.monotonic() - began < 6
    assert report.verdict is Verdict.NOT_READY
    if not secured:
        assert grades(report, Grade.FAIL) == ["tls"]


def test_a_server_that_drips_does_not_get_more_time(serve: Serve, world: World, look: Look) -> None:
    def drip(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        connection.settimeout(0.05)
        while True:
            connection.sendall(b" ")
            try:
                if not connection.recv(1):
                    return
            except TimeoutError:
                continue

    began = time.monotonic()
    report = look(serve(drip, world.context()), seconds=1)

    assert time.monotonic() - began < 5
    assert report.verdict is Verdict.NOT_READY


@pytest.mark.parametrize(
    ("answer", "step", "says"),
    [
        ((302, {"Location": "https://localhost:1/other"}, b""), "post", "'https://localhost:1/other'"),
        ((404, {"Content-Type": "text/html"}, b"<html>no</html>"), "post", "HTTP 404"),
        ((200, {"Content-Type": "text/html"}, b"<html>hello</html>"), "post", "an HTML page"),
        ((401, {}, b""), "post", "HTTP 401"),
    ],
    ids=["redirect", "not found", "a web page", "log in"],
)
def test_what_is_no_service_is_named(
    serve: Serve, world: World, look: Look, answer: Answer, step: str, says: str
) -> None:
    script = Http(lambda *_: answer)

    report = look(serve(script, world.context()))

    assert finding(report, step).grade is Grade.FAIL
    assert says in finding(report, step).seen
    assert {path.partition("?")[0] for _, path, _ in script.seen} == {"/soap"}


def test_bytes_that_are_no_http_are_shown_without_control_characters(serve: Serve, world: World, look: Look) -> None:
    def garbage(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"\x1b[31mgarbage\r\n\r\n")

    report = look(serve(garbage, world.context()))

    assert "does not speak HTTP" in finding(report, "post").seen
    assert "\x1b" not in finding(report, "post").seen


def test_a_server_that_hangs_up_is_told_from_one_that_refuses(serve: Serve, world: World, look: Look) -> None:
    def hang_up(connection: socket.socket) -> None:
        read_request(connection)

    assert "closed the connection" in finding(look(serve(hang_up, world.context())), "post").seen


def test_a_page_for_what_is_no_xml_is_a_remark(serve: Serve, world: World, producer: Producer, look: Look) -> None:
    producer.broken = (500, {"Content-Type": "text/html"}, b"<html>Error</html>")

    report = look(start(serve, producer, world.context()), contract=producer.contract, **CALL)

    assert grades(report, Grade.WARN) == ["broken message", "broken request"]
    assert "an HTML page" in finding(report, "broken request").seen
    assert report.verdict is Verdict.REMARKS


def test_a_fault_under_another_status_than_500_is_a_remark(
    serve: Serve, world: World, producer: Producer, look: Look
) -> None:
    producer.broken = (400, XML, SOAP_FAULT)

    report = look(start(serve, producer, world.context()))

    assert "HTTP 400" in finding(report, "broken message").seen
    assert "VP009" in finding(report, "broken message").change


def test_closing_after_each_answer_is_a_remark(serve: Serve, world: World, look: Look) -> None:
    script = Http(lambda *_: (500, {**XML, "Connection": "close"}, SOAP_FAULT))

    assert finding(look(serve(script, world.context())), "keep-alive").grade is Grade.WARN


@pytest.mark.parametrize(
    ("good", "step", "says"),
    [
        ((500, XML, SOAP_FAULT), "GetDiagnosis:2 RIVTABP21", "a SOAP fault, HTTP 500: Fel"),
        ((200, XML, b""), "GetDiagnosis:2 RIVTABP21", "HTTP 200 and no body"),
        ((200, {"Content-Type": "text/html"}, b"<html></html>"), "GetDiagnosis:2 RIVTABP21", "an HTML page"),
    ],
    ids=["fault", "empty", "page"],
)
def test_an_answer_to_the_sample_that_is_none_fails(
    serve: Serve, world: World, producer: Producer, look: Look, good: Answer, step: str, says: str
) -> None:
    producer.good = good

    report = look(start(serve, producer, world.context()), contract=producer.contract, **CALL)

    assert finding(report, step).grade is Grade.FAIL
    assert says in finding(report, step).seen


def test_an_answer_that_breaks_the_schema_is_told_without_its_values(
    serve: Serve, world: World, producer: Producer, look: Look
) -> None:
    good = samples.envelope(samples.response(producer.contract), "SE1-KS")
    producer.good = (200, XML, re.sub(rb"(documentTime>)", rb"\1SECRET", good, count=1))

    report = look(start(serve, producer, world.context()), contract=producer.contract, **CALL)

    seen = finding(report, "answer by the schema")
    assert seen.grade is Grade.FAIL
    assert "line " in seen.seen
    assert "SECRET" not in seen.seen


@pytest.mark.parametrize(
    ("content_type", "grade", "says"),
    [
        ("application/soap+xml; charset=UTF-8", Grade.FAIL, "soap+xml"),
        ("text/xml", Grade.WARN, "no charset"),
        ("text/xml; charset=ISO-8859-1", Grade.WARN, "the XML says UTF-8"),
        ("text/xml; charset=UTF-16", Grade.FAIL, "the bytes are not UTF-16"),
        ("text/xml; charset=nonsense", Grade.FAIL, "the bytes are not NONSENSE"),
        ("text/plain; charset=UTF-8", Grade.WARN, "text/plain"),
    ],
)
def test_the_characters_of_an_answer_are_looked_at(
    serve: Serve, world: World, producer: Producer, look: Look, content_type: str, grade: Grade, says: str
) -> None:
    body = samples.envelope(samples.response(producer.contract), "SE1-KS")
    producer.good = (200, {"Content-Type": content_type}, body)

    report = look(start(serve, producer, world.context()), contract=producer.contract, **CALL)

    assert finding(report, "content type").grade is grade
    assert says in finding(report, "content type").seen


def test_a_producer_of_the_other_profile_is_found_and_its_row_says_so(
    serve: Serve, world: World, contracts: Contracts, look: Look
) -> None:
    producer = Producer(contracts, speaks=Profile.RIVTABP20)

    report = look(start(serve, producer, world.context()), contract=producer.contract, **CALL)

    assert "only RIVTABP20 is answered" in finding(report, "profile").seen
    assert report.rows is not None
    assert "profile: RIVTABP20" in report.rows


def test_a_named_profile_is_the_only_one_tried(serve: Serve, world: World, contracts: Contracts, look: Look) -> None:
    producer = Producer(contracts, speaks=Profile.RIVTABP20)
    url = start(serve, producer, world.context())

    report = look(url, contract=producer.contract, profile=Profile.RIVTABP21, **CALL)

    assert finding(report, "GetDiagnosis:2 RIVTABP21").grade is Grade.FAIL


def test_a_contract_that_may_change_something_is_not_called_unless_allowed(
    serve: Serve, world: World, producer: Producer, look: Look
) -> None:
    producer.contract = dataclasses.replace(producer.contract, name="DeleteDiagnosis")
    url = start(serve, producer, world.context())

    report = look(url, contract=producer.contract, **CALL)
    calls = [body for method, _, body in producer.seen if method == "POST" and b"Envelope" in body]
    allowed = look(url, contract=producer.contract, allow_writes=True, **CALL)

    assert (finding(report, "call").grade, calls) == (Grade.SKIPPED, [])
    assert any(one.step.startswith("DeleteDiagnosis:2") for one in allowed.findings)


def test_a_wsdl_that_leads_elsewhere_is_a_remark(serve: Serve, world: World, producer: Producer, look: Look) -> None:
    url = start(serve, producer, world.context())
    producer.url = "https://journal.example.se/other"

    assert "https://journal.example.se/other" in finding(look(url), "wsdl").seen


def test_a_wsdl_of_another_contract_fails(
    serve: Serve, world: World, contracts: Contracts, producer: Producer, look: Look
) -> None:
    url = start(serve, producer, world.context())

    report = look(url, contract=contracts.find("GetCareContacts:3"))

    assert finding(report, "wsdl").grade is Grade.FAIL
    assert "GetDiagnosis:2" in finding(report, "wsdl").seen


def test_the_time_of_the_whole_is_kept(serve: Serve, world: World, producer: Producer, look: Look) -> None:
    report = look(start(serve, producer, world.context()), seconds=0.000001)

    assert finding(report, "time").grade is Grade.FAIL


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://localhost/", "expected https://"),
        ("https:///x", "expected https://"),
        ("https://localhost:99999/", "Port out of range"),
        ("https://me:secret@localhost/", "user name or password"),
        ("https://localhost/ x", "in ASCII"),
        ("https://localhost/\r\nX: y", "in ASCII"),
    ],
)
def test_a_url_that_is_none_is_refused_before_anything_is_sent(look: Look, url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        look(url)


def test_a_plain_http_url_fails_for_that_and_is_looked_at_all_the_same(serve: Serve, look: Look) -> None:
    url = serve(Http(lambda *_: (500, XML, SOAP_FAULT)), None).replace("https:", "http:")

    report = look(url)

    assert grades(report, Grade.FAIL) == ["tls"]
    assert finding(report, "broken message").grade is Grade.OK
