"""A platform behind a proxy, and one with a listener without TLS: over real sockets, both doors of the same workers."""

import json
import socket
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from rivta.run.toml import to_toml
from tests.pair.consumer import (
    KS,
    NPO,
    Admin,
    Consumer,
    Identity,
    RawAnswer,
    document_ids,
    get_diagnosis,
    http_post,
    new_id,
    read_answer,
    read_fault,
    tls_connection,
)
from tests.pair.standalone import HSA_ID, Standalone, serving, write_settings
from tests.support import Pair, run_rivta

PROXY = "SE165565594230-PROXY"
HEADER = "X-Client-Pem"


@pytest.fixture(scope="module")
def proxy(pair: Pair) -> Identity:
    return Identity.issued(pair, "proxy", "--hsa-id", PROXY)


@pytest.fixture(scope="module")
def platform(pair: Pair, short_folder: Path) -> Iterator[Standalone]:
    made = write_settings(pair, short_folder / "plain")
    _change(made, trusted_headers=True)
    with serving(made):
        yield made


def _change(platform: Standalone, *, trusted_headers: bool) -> None:
    settings = tomllib.loads(platform.config.read_text())
    settings["platform"]["workers"] = 2
    settings["listen"]["http"] = f"127.0.0.1:{_free_port()}"
    settings["proxies"] = {PROXY: {"certificate_header": HEADER}}
    settings["http"] = {"certificate_header": HEADER}
    settings["insecure"] = {"trusted_headers": trusted_headers}
    platform.config.write_text(to_toml(settings))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def http(platform: Standalone) -> str:
    """The URL without TLS, as endpoints.json has it."""
    endpoints = json.loads((platform.home / "endpoints.json").read_text())
    return str(endpoints["platforms"]["alone"]["http"])


def pem_of(pair: Pair, name: str) -> str:
    """The leaf of an identity, in one line."""
    leaf, end, _ = Path(Identity.of(pair, name).cert).read_text().partition("-----END CERTIFICATE-----")
    return leaf.replace("\n", "") + end


def post(url: str, headers: dict[str, str], body: bytes | None = None) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.post(url, get_diagnosis(KS) if body is None else body, headers=headers, timeout=20)


def internal(sender: str = NPO) -> dict[str, str]:
    return {"x-vp-sender-id": sender, "x-vp-instance-id": HSA_ID}


def test_a_proxys_client_is_the_sender_and_its_certificate_goes_no_further(
    pair: Pair, platform: Standalone, proxy: Identity, admin: Admin
) -> None:
    correlation_id = new_id("proxy")
    consumer = Consumer(platform.url, proxy)

    answer = consumer.call(
        get_diagnosis(KS),
        {HEADER: pem_of(pair, "npo"), "x-skltp-correlation-id": correlation_id, "X-Forwarded-For": "203.0.113.9"},
    )

    assert document_ids(answer.content)
    (record,) = Admin(platform.pair).records(correlation_id, "alone")
    assert (record["sender"], record["sender_address"]) == (NPO, "203.0.113.9")
    assert not {HEADER.lower(), "x-forwarded-for"} & admin.last_headers(KS).keys()
    # A call that names nobody does not end the connection of all the others.
    assert read_fault(consumer.call(get_diagnosis(KS)).content).detail == f"No certificate found in httpheader {HEADER}"
    assert consumer.refused(get_diagnosis(KS), {HEADER: pem_of(pair, "stranger")}).code == "VP007"
    consumer.close()


def test_an_ordinary_consumers_certificate_header_is_not_looked_at(
    pair: Pair, platform: Standalone, npo: Consumer
) -> None:
    consumer = Consumer(platform.url, npo.identity)
    assert document_ids(consumer.call(get_diagnosis(KS), {HEADER: pem_of(pair, "stranger")} | internal("x")).content)
    consumer.close()


def test_plain_http_carries_what_headers_vouch_for(pair: Pair, http: str) -> None:
    assert document_ids(post(http, internal()).content)
    assert document_ids(post(http, {HEADER: pem_of(pair, "npo")}).content)
    for headers, detail in (
        ({}, f"No certificate found in httpheader {HEADER}"),
        ({"x-vp-sender-id": NPO}, f"No certificate found in httpheader {HEADER}"),
        ({HEADER: "nobody"}, f"Exception, unkown certificate type found in httpheader {HEADER}"),
    ):
        fault = read_fault(post(http, headers).content)
        assert (fault.code, fault.detail) == ("VP002", detail)
    fault = read_fault(post(http, internal() | {"X-Forwarded-For": "10.0.0.1"}).content)
    assert (fault.code, fault.detail[-15:]) == ("VP011", "X-Forwarded-For")
    assert read_fault(post(http, internal(), b"no XML").content).code == "VP015"


def test_that_it_is_weakened_is_said_at_the_start_and_in_the_status(platform: Standalone) -> None:
    log = (platform.home / "serve.log").read_text()
    (line,) = [line for line in log.splitlines() if line.startswith("INSECURE")]
    assert "alone: insecure.trusted_headers is on. Plain http" in line
    assert Admin(platform.pair).get("alone", "/health/ready")["insecure"] == ["trusted_headers"]
    assert "trusted_headers" in run_rivta("status", "--home", str(platform.home)).stdout


SPELLINGS = {
    "underscores": b"X_Client_Pem: %b\r\n",
    "beside one with underscores": b"X-Client-Pem: %b\r\nX_Client_Pem: %b\r\n",
    "twice": b"X-Client-Pem: %b\r\nx-client-pem: %b\r\n",
    "joined": b"X-Client-Pem: %b,%b\r\n",
    "folded": b"X-Client-Pem:\r\n %b\r\n",
    "blank before the colon": b"X-Client-Pem : %b\r\n",
    "tab before the colon": b"X-Client-Pem\t: %b\r\n",
    "NUL in the name": b"X-Client-Pem\0: %b\r\n",
    "NUL in the value": b"X-Client-Pem: \0%b\r\n",
    "bare line feed": b"X: y\nX-Client-Pem: %b\r\n",
    "dot behind": b"X-Client-Pem.: %b\r\n",
    "not ASCII": b"X-Cl\xc3\xaeent-Pem: %b\r\n",
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("door", ["https", "http"])
def test_another_spelling_identifies_nobody(
    pair: Pair, platform: Standalone, proxy: Identity, http: str, spelling: bytes, door: str
) -> None:
    certificate = pem_of(pair, "npo").encode()
    line = spelling.replace(b"%b", certificate).removesuffix(b"\r\n")
    answer = _send(platform, proxy, http_post(get_diagnosis(KS), line), None if door == "https" else http)

    if answer.status == 500:
        assert read_fault(answer.body).code == "VP002"
    else:
        assert answer.status == 400


def _send(platform: Standalone, proxy: Identity, request: bytes, http: str | None) -> RawAnswer:
    if http is None:
        with tls_connection(platform.url, proxy.context()) as connection:
            connection.sendall(request)
            return read_answer(connection)
    parts = urlsplit(http)
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=15) as plain:
        plain.sendall(request)
        return read_answer(plain)


def test_without_the_switch_plain_http_serves_documents_and_refuses_every_call(pair: Pair, short_folder: Path) -> None:
    platform = write_settings(pair, short_folder / "closed")
    _change(platform, trusted_headers=False)
    with serving(platform):
        endpoints = json.loads((platform.home / "endpoints.json").read_text())
        http = endpoints["platforms"]["alone"]["http"]
        for headers in ({}, internal(), {HEADER: pem_of(pair, "npo")}):
            fault = read_fault(post(http, headers).content)
            assert (fault.code, fault.side) == ("VP011", "Client")
            assert fault.detail == (
                "Caller was not on the white list of accepted IP-addresses.  IP-address: 127.0.0.1. HTTP header that "
                "caused checking: CamelNettyRemoteAddress"
            )
        with requests.Session() as session:
            session.trust_env = False
            wsdl = session.get(
                f"{http}/clinicalprocess/healthcond/description/GetDiagnosis/2/rivtabp21?wsdl", timeout=20
            )
        assert (wsdl.status_code, b"definitions>" in wsdl.content) == (200, True)
        assert "INSECURE" not in (platform.home / "serve.log").read_text()
