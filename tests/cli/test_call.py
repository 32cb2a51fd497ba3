"""`rivta call` against a platform that answers what the test says, over real mutual TLS."""

import contextlib
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rivta.cli.call_answer import ShownFault, read_answer
from rivta.cli.main import main
from rivta.soap.faults import Fault, fault_envelope
from rivta.soap.head import read_head
from rivta.soap.xml import parse_xml
from rivta.tls.authority import Authority, Issued
from rivta.tls.contexts import server_context
from rivta.tls.sender import sender_from_certificate

DIAGNOSIS = "urn:riv:clinicalprocess:healthcond:description:GetDiagnosisResponder:2"
ENVELOPE = (
    '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/">{header}<e:Body>{body}</e:Body></e:Envelope>'
)
HEADER = '<e:Header><r:LogicalAddress xmlns:r="urn:riv:itintegration:registry:1">SE1-KS</r:LogicalAddress></e:Header>'
ANSWER = ENVELOPE.format(
    header="", body=f'<GetDiagnosisResponse xmlns="{DIAGNOSIS}"><diagnosis>Åderbråck</diagnosis></GetDiagnosisResponse>'
)


@dataclass
class Platform:
    """A server that keeps what it was sent and answers what it is told."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = ANSWER.encode()
    silent: bool = False
    sent: bytes = b""
    sent_headers: dict[str, str] = field(default_factory=dict)
    sender: str = ""


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A handshake that is meant to fail needs no traceback."""

    def shutdown_request(self, request: Any) -> None:
        """Lets the client read the alert first: closing with its request unread would reset the connection over it."""
        bare = socket.socket(fileno=os.dup(request.fileno()))
        with bare, contextlib.suppress(OSError):
            bare.shutdown(socket.SHUT_WR)
            bare.settimeout(5)
            while bare.recv(65536):
                pass
        super().shutdown_request(request)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("home") / "certs")


@pytest.fixture(scope="module")
def identities(ca: Authority) -> dict[str, Issued]:
    now = datetime.now(UTC)
    common: dict[str, Any] = {"organisation": "O", "hosts": ["localhost"], "common_name": "x"}
    return {
        "npo": ca.issue("npo", hsa_id="SE1-NPO", **common),
        "journal": ca.issue("journal", hsa_id="SE1-J", **common),
        "old": ca.issue("old", hsa_id="SE1-OLD", not_after=now - timedelta(days=1), **common),
    }


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture
def url(platform: Platform, ca: Authority, identities: dict[str, Issued]) -> Iterator[str]:
    """The address of a platform that runs for this test."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            connection = self.connection
            assert isinstance(connection, ssl.SSLSocket)
            platform.sender = sender_from_certificate(connection.getpeercert(binary_form=True) or b"").hsa_id
            platform.sent = self.rfile.read(int(self.headers["Content-Length"]))
            platform.sent_headers = {name.lower(): value for name, value in self.headers.items()}
            if platform.silent:
                self.rfile.read(1)  # until the client hangs up
                return
            self.send_response(platform.status)
            for name, value in {"Content-Length": str(len(platform.body)), **platform.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(platform.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ca.issue("server", hsa_id="SE1-P", common_name="x", organisation="O", hosts=["localhost"])
    context = server_context(certificate=server.certificate, key=server.key, trusted=ca.ca)
    with _QuietServer(("127.0.0.1", 0), Handler) as listening:
        listening.socket = context.wrap_socket(listening.socket, server_side=True, do_handshake_on_connect=False)
        serving = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield f"https://localhost:{listening.server_address[1]}/vp"
        listening.shutdown()
        serving.join()


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(ca: Authority) -> Path:
    return ca.folder.parent


def publish(home: Path, url: str, ca: Authority, identities: dict[str, Issued]) -> None:
    endpoint = {"id": "SE1-P", "name": "P", "https": url}
    known = {
        name: {"hsa_id": issued.hsa_id, "cert": str(issued.certificate), "key": str(issued.key)}
        for name, issued in identities.items()
    }
    content = {"platforms": {"national": endpoint, "regional": endpoint}, "ca": str(ca.ca), "identities": known}
    (home / "endpoints.json").write_text(json.dumps(content))


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `rivta call ...` on the home of this test: exit code, output, errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(["call", *arguments, "--home", str(home)])
        output, errors = capsys.readouterr()
        assert isinstance(stop.value.code, int)
        return stop.value.code, output, errors

    return run


@pytest.fixture
def call(run: Call, url: str, home: Path, ca: Authority, identities: dict[str, Issued]) -> Call:
    """The same while the platform runs, with an envelope of ours as the message."""
    publish(home, url, ca, identities)
    message = home / "message.xml"
    message.write_text(ENVELOPE.format(header=HEADER, body=f'<GetDiagnosis xmlns="{DIAGNOSIS}"/>'))

    def call(*arguments: str) -> tuple[int, str, str]:
        return run("GetDiagnosis", "--body", str(message), *arguments)

    return call


@pytest.mark.sockets
def test_json_is_as_fixed(call: Call, platform: Platform) -> None:
    platform.headers = {"x-skltp-correlation-id": "its-own", "x-skltp-prt": "12"}

    code, output, errors = call("--json")

    shown = json.loads(output)
    assert (code, errors) == (0, "")
    assert list(shown) == ["status", "correlation_id", "elapsed_ms", "producer_ms", "fault", "response", "sources"]
    assert (shown["status"], shown["correlation_id"], shown["producer_ms"], shown["fault"]) == (
        200,
        "its-own",
        12,
        None,
    )
    assert shown["elapsed_ms"] > 0
    assert "Åderbråck" in shown["response"]


@pytest.mark.sockets
def test_an_envelope_is_sent_as_it_is(call: Call, platform: Platform, home: Path) -> None:
    code, output, _ = call("--json")

    assert code == 0
    assert platform.sent == (home / "message.xml").read_bytes()
    assert platform.sent_headers["content-type"] == "text/xml; charset=UTF-8"
    assert platform.sent_headers["soapaction"] == f'"{DIAGNOSIS}:GetDiagnosis"'
    assert platform.sent_headers["x-skltp-correlation-id"] == json.loads(output)["correlation_id"]


@pytest.mark.sockets
@pytest.mark.parametrize(("arguments", "sender"), [([], "SE1-NPO"), (["--as", "journal"], "SE1-J")])
def test_the_identity_decides_the_certificate(
    call: Call, platform: Platform, arguments: list[str], sender: str
) -> None:
    call(*arguments)

    assert platform.sender == sender


@pytest.mark.sockets
def test_a_payload_is_put_into_an_envelope(
    run: Call, url: str, platform: Platform, home: Path, ca: Authority, identities: dict[str, Issued]
) -> None:
    publish(home, url, ca, identities)
    payload = home / "payload.xml"
    payload.write_text(f'<GetDiagnosis xmlns="{DIAGNOSIS}"/>')

    code, _, errors = run("GetDiagnosis:2", "--to", "SE1-SÖS", "--body", str(payload), "--via", "regional")

    head = read_head(parse_xml(platform.sent))
    assert (code, errors) == (0, "")
    assert (head.logical_address, head.contract) == ("SE1-SÖS", DIAGNOSIS)


@pytest.mark.sockets
def test_a_patient_is_put_into_a_made_up_request(
    run: Call, url: str, platform: Platform, home: Path, ca: Authority, identities: dict[str, Issued]
) -> None:
    publish(home, url, ca, identities)

    code, _, errors = run("GetDiagnosis", "--to", "SE1-KS", "--patient", "191212121212")

    head = read_head(parse_xml(platform.sent))
    assert (code, errors) == (0, "")
    assert head.contract == DIAGNOSIS
    assert head.payload is not None
    assert "191212121212" in list(head.payload.itertext())


@pytest.mark.sockets
def test_people_see_a_line_and_the_answer_indented(call: Call, platform: Platform) -> None:
    platform.headers = {"x-skltp-correlation-id": "abc", "x-skltp-prt": "12"}

    code, output, _ = call()

    lines = output.splitlines()
    assert code == 0
    assert lines[0].startswith("200 correlation id abc, ")
    assert lines[0].endswith(" ms, producer 12 ms")
    assert "      <diagnosis>Åderbråck</diagnosis>" in lines


@pytest.mark.sockets
def test_a_fault_is_shown_whole_and_ends_with_1(call: Call, platform: Platform) -> None:
    platform.status = 500
    platform.body = fault_envelope(Fault.NO_URL, detail="Physical Address field is empty", platform_name="NTJP")

    code, output, errors = call()

    assert (code, errors) == (1, "")
    assert output.splitlines()[1] == "VP010 (Server)"
    assert "VP010 [NTJP] Internt fel i tjänsteplattformen." in output
    assert "detail  Physical Address field is empty" in output


@pytest.mark.sockets
def test_a_fault_in_json_has_its_parts(call: Call, platform: Platform) -> None:
    platform.status = 500
    platform.body = fault_envelope(Fault.NO_RECEIVER, detail=Fault.NO_RECEIVER.value.detail, platform_name="NTJP")

    code, output, _ = call("--json")

    shown = json.loads(output)
    assert (code, shown["status"], shown["response"]) == (1, 500, None)
    assert shown["fault"] == {
        "code": "VP003",
        "side": "Client",
        "text": f"VP003 [NTJP] {Fault.NO_RECEIVER.value.text}",
        "detail": "No receiverId (logical address) found in message header. ",
    }


@pytest.mark.sockets
def test_a_platform_that_does_not_answer_in_time_is_reported(call: Call, platform: Platform) -> None:
    platform.silent = True

    code, output, errors = call("--timeout", "0.2")

    assert (code, output) == (1, "")
    assert "no answer within 0.2 s" in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.sockets
def test_where_nothing_listens_it_says_how_to_start(
    run: Call, home: Path, ca: Authority, identities: dict[str, Issued]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    publish(home, f"https://localhost:{port}/vp", ca, identities)

    code, output, errors = run("GetDiagnosis", "--to", "SE1", "--patient", "191212121212")

    assert (code, output) == (1, "")
    assert f"https://localhost:{port}/vp: nothing listens there; start the pair with `rivta up`" in errors


@pytest.mark.sockets
def test_a_refused_certificate_is_named_as_tls(call: Call) -> None:
    code, output, errors = call("--as", "old")

    assert (code, output) == (1, "")
    assert "TLS refused by the platform: certificate expired" in errors
    assert "`rivta cert list`" in errors


@pytest.mark.sockets
def test_a_trace_without_any_log_still_tells_who_called_and_how(call: Call, platform: Platform) -> None:
    platform.status = 500
    platform.body = fault_envelope(Fault.NO_ROUTE, detail="none", platform_name="P")

    code, output, errors = call("--trace", "--json")

    shown = json.loads(output)
    assert (code, errors) == (1, "")
    assert list(shown)[:6] == ["status", "correlation_id", "elapsed_ms", "producer_ms", "fault", "response"]
    assert shown["trace"]["consumer"]["certificate"]["hsa_id"] == "SE1-NPO"
    assert shown["trace"]["tls"].startswith("TLSv1.3 ")
    assert shown["trace"]["hops"] == []
    assert shown["trace"]["ending"]["code"] == "VP004"
    assert shown["trace"]["notes"]


@pytest.mark.sockets
def test_a_trace_of_a_refused_handshake_says_that_the_platform_refused_it(call: Call) -> None:
    code, output, errors = call("--as", "old", "--trace")

    assert (code, errors) == (1, "")
    assert "TLS refused by the platform: certificate expired" in output
    assert "No answer: it ended at national" in output
    assert "you, the consumer: call with a certificate that the platform accepts" in output
    assert "rivta cert list" in output


@pytest.mark.sockets
def test_a_trace_of_a_distrusted_platform_says_that_this_end_ended_it(
    call: Call, home: Path, url: str, ca: Authority, identities: dict[str, Issued]
) -> None:
    publish(home, url.replace("localhost", "127.0.0.1"), ca, identities)

    _, output, _ = call("--trace", "--json")

    shown = json.loads(output)
    assert (shown["status"], shown["response"]) == (0, None)
    assert "ip address mismatch" in shown["fault"]["text"]
    assert shown["trace"]["ending"]["who"] == "the consumer"


@pytest.mark.sockets
def test_a_platform_of_another_name_is_not_trusted(
    call: Call, home: Path, url: str, ca: Authority, identities: dict[str, Issued]
) -> None:
    publish(home, url.replace("localhost", "127.0.0.1"), ca, identities)

    code, _, errors = call()

    assert code == 1
    assert "TLS failed: ip address mismatch" in errors


@pytest.mark.sockets
def test_a_certificate_that_is_gone_is_named(
    call: Call, home: Path, url: str, ca: Authority, identities: dict[str, Issued]
) -> None:
    moved = Issued("npo", "SE1", home / "gone.pem", home / "gone.key", 1, datetime.now(UTC))
    publish(home, url, ca, identities | {"npo": moved})

    code, _, errors = call()

    assert code == 1
    assert "gone.pem" in errors
    assert len(errors.splitlines()) == 1


def test_an_unknown_contract_is_wrong_usage_and_names_what_exists(run: Call) -> None:
    code, output, errors = run("GetDiagnoses", "--to", "SE1")

    assert (code, output) == (2, "")
    assert "contract 'GetDiagnoses' is not installed" in errors
    assert "GetDiagnosis:2" in errors


def test_an_unknown_identity_is_wrong_usage_and_names_what_exists(
    run: Call, home: Path, ca: Authority, identities: dict[str, Issued]
) -> None:
    publish(home, "https://localhost:1/vp", ca, identities)

    code, _, errors = run("GetDiagnosis", "--to", "SE1", "--patient", "1", "--as", "nobody")

    assert code == 2
    assert "identity 'nobody' is not one of this pair's: npo, journal, old" in errors


def test_without_a_running_pair_it_says_how_to_start(run: Call, home: Path) -> None:
    (home / "endpoints.json").unlink(missing_ok=True)

    code, _, errors = run("GetDiagnosis", "--to", "SE1", "--patient", "1")

    assert code == 1
    assert "rivta up" in errors


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--patient", "1"], "give the receiver with --to ADDRESS"),
        (["--to", "SE1", "--patient", "1", "--body", "-"], "not both"),
        (["--to", "SE1", "--via", "moon"], "moon"),
        (["--to", "SE1", "--timeout", "0"], "timeout"),
        (["--body", "no-such-file"], "no-such-file"),
        (["--to", "SE1", "--patient", "19\x01"], "cannot stand in a message"),
        (["--to", "SE1\x01", "--patient", "191212121212"], "cannot stand in a message"),
    ],
)
def test_wrong_usage_ends_with_2(run: Call, arguments: list[str], says: str) -> None:
    code, output, errors = run("GetDiagnosis", *arguments)

    assert (code, output) == (2, "")
    assert says in errors


def test_an_envelope_for_another_address_is_wrong_usage(run: Call, tmp_path: Path) -> None:
    message = tmp_path / "message.xml"
    message.write_text(ENVELOPE.format(header=HEADER, body=f'<GetDiagnosis xmlns="{DIAGNOSIS}"/>'))

    code, _, errors = run("GetDiagnosis", "--to", "SE1-SOS", "--body", str(message))

    assert code == 2
    assert "is an envelope for SE1-KS: leave --to out" in errors


def test_a_body_that_is_no_xml_is_named_with_its_line(run: Call, tmp_path: Path) -> None:
    message = tmp_path / "message.xml"
    message.write_text("<a>\n<b></a>")

    code, _, errors = run("GetDiagnosis", "--to", "SE1", "--body", str(message))

    assert code == 1
    assert "message.xml:2: not XML that can be sent" in errors


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (413, b"", ShownFault(None, "Client", "HTTP 413 Request Entity Too Large", "")),
        (502, b"<html>Bad</html>", ShownFault(None, "Server", "HTTP 502 Bad Gateway", "<html>Bad</html>")),
        (200, b"hello", ShownFault(None, None, "HTTP 200 OK", "hello")),
        (302, b"", ShownFault(None, None, "HTTP 302 Found", "")),
        (799, b"x", ShownFault(None, "Server", "HTTP 799", "x")),
    ],
)
def test_an_answer_that_is_no_soap_is_a_fault_without_code(status: int, body: bytes, fault: ShownFault) -> None:
    assert read_answer(status, body) == (fault, None)


def test_a_producers_fault_has_no_code_and_all_its_detail() -> None:
    fault = (
        "<e:Fault><faultcode>e:Server</faultcode><faultstring>Databasfel</faultstring><detail>\n"
        " <x:Error xmlns:x='urn:x'><!-- no --><x:Code>17</x:Code>\n<x:Why>nere</x:Why></x:Error>\n</detail></e:Fault>"
    )

    shown, response = read_answer(500, ENVELOPE.format(header="", body=fault).encode())

    assert shown == ShownFault(None, "Server", "Databasfel", "17 nere")
    assert response is None


def test_an_empty_answer_that_reports_success_is_no_fault() -> None:
    assert read_answer(202, b"") == (None, None)
