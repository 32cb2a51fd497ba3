"""The call that proves a pair ready, against a small platform that answers what the test says."""

import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from rivta.run.first_call import FirstCall, NotAnswered
from rivta.soap import namespaces
from rivta.tls.authority import Authority
from rivta.tls.contexts import server_context

pytestmark = pytest.mark.sockets


class Platform(HTTPServer):
    """Answers with the first answer that is left; the last stays."""

    answers: list[tuple[int, str]]
    asked: list[bytes]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A call that was cut off is the test's own doing."""


class Handler(BaseHTTPRequestHandler):
    server: Platform

    def do_POST(self) -> None:
        self.server.asked.append(self.rfile.read(int(self.headers["Content-Length"])))
        status, content = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(content.encode())))
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority.create(tmp_path_factory.mktemp("certs"))
    for name in ("national", "npo"):
        made.issue(name, hsa_id=f"SE1-{name}", common_name=name, organisation="test", hosts=["localhost"])
    return made


@pytest.fixture
def platform(authority: Authority) -> Iterator[Platform]:
    own = authority.find("national")
    with Platform(("127.0.0.1", 0), Handler) as server:
        server.answers, server.asked = [(200, "<answer/>")], []
        context = server_context(certificate=own.certificate, key=own.key, trusted=authority.ca)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def call(authority: Authority, platform: Platform) -> FirstCall:
    own = authority.find("npo")
    return FirstCall.through(
        {
            "home": "",
            "platforms": {
                "national": {
                    "id": "",
                    "name": "",
                    "https": f"https://localhost:{platform.server_port}/vp",
                    "public_url": "",
                    "http": None,
                    "admin": "",
                    "tak": None,
                    "aggregation_address": "",
                    "insecure": [],
                }
            },
            "console": None,
            "viewer": None,
            "aggregation_address": None,
            "ca": str(authority.ca),
            "crl": None,
            "admin_token_file": "",
            "identities": {"npo": {"hsa_id": "SE1-npo", "cert": str(own.certificate), "key": str(own.key)}},
            "producers": [
                {
                    "name": "takecare-ks",
                    "hsa_id": "",
                    "url": "",
                    "logical_addresses": ["SE2321000016-KS"],
                    "contracts": [],
                    "behaviour": "normal",
                }
            ],
            "patients": [{"id": "191212121212", "name": "Tolvan Tolvansson", "shows": ""}],
            "stubs": None,
        }
    )


def fault(code: str) -> str:
    return (
        f'<e:Envelope xmlns:e="{namespaces.SOAP_ENVELOPE}"><e:Body><e:Fault><faultcode>e:Server</faultcode>'
        f"<faultstring>{code} [NTJP] Fel.</faultstring><detail><detailString>Därför</detailString></detail>"
        "</e:Fault></e:Body></e:Envelope>"
    )


def test_it_is_a_real_call_of_the_npo_for_a_patient_of_the_demo(call: FirstCall, platform: Platform) -> None:
    call.send()
    (asked,) = platform.asked
    assert namespaces.GET_DIAGNOSIS_2.encode() in asked
    assert b">SE2321000016-KS<" in asked
    assert b">191212121212<" in asked


@pytest.mark.parametrize(("code", "by_tables"), [("VP004", True), ("VP007", True), ("VP009", False), ("VP015", False)])
def test_a_fault_is_told_with_its_reason(call: FirstCall, platform: Platform, code: str, by_tables: bool) -> None:
    platform.answers = [(500, fault(code))]
    with pytest.raises(NotAnswered, match=rf"{code} \[NTJP\] Fel\.: Därför") as refused:
        call.send()
    assert refused.value.by_tables is by_tables


def test_what_is_no_soap_is_told_by_its_status(call: FirstCall, platform: Platform) -> None:
    platform.answers = [(503, "busy")]
    with pytest.raises(NotAnswered, match="HTTP status 503"):
        call.send()


async def test_it_is_sent_until_it_is_answered(call: FirstCall, platform: Platform) -> None:
    platform.answers = [(500, fault("VP009")), (503, ""), (200, "<answer/>")]
    await call.send_until_answered(seconds=20, tables_seconds=0)
    assert len(platform.asked) == 3


async def test_the_last_reason_is_told_when_the_time_is_up(call: FirstCall, platform: Platform) -> None:
    platform.answers = [(500, fault("VP004"))]
    with pytest.raises(NotAnswered, match="VP004"):
        await call.send_until_answered(seconds=20, tables_seconds=0)


def test_a_platform_that_is_away_is_told(call: FirstCall, authority: Authority, tmp_path: Path) -> None:
    away = FirstCall(
        url="https://localhost:1/vp", body=b"", certificate=call.certificate, key=call.key, ca=authority.ca
    )
    with pytest.raises(NotAnswered, match="ConnectionRefusedError"):
        away.send()


def test_a_server_that_is_not_the_pairs_is_not_believed(call: FirstCall, tmp_path: Path) -> None:
    stranger = Authority.create(tmp_path)
    other = FirstCall(url=call.url, body=call.body, certificate=call.certificate, key=call.key, ca=stranger.ca)
    with pytest.raises(NotAnswered, match=ssl.SSLCertVerificationError.__name__):
        other.send()
