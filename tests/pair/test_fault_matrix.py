"""The faults that a request alone can provoke, as bytes on the wire, behind each listener: https, a proxy, plain http.

The texts are copied from the incumbent's behaviour (vp-behaviour.md section 11), not from the program. That each fault
there is spelled so is tests/router/test_fault_matrix.py; here it is what a listener makes of it.
"""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

import pytest

from tests.pair.consumer import (
    CORRELATION_ID,
    DIAGNOSIS,
    KS,
    NATIONAL,
    Identity,
    RawAnswer,
    document_ids,
    get_diagnosis,
    http_post,
    read_answer,
    tls_connection,
)
from tests.pair.outer import BY_REGION, CLOSE, DOWN, EMPTY, FAULT, LOCKED, LOOP, NAME, PROXY
from tests.pair.standalone import Standalone
from tests.support import Pair

HISTORY, ORIGINAL = b"x-rivta-routing-history", b"x-rivta-original-serviceconsumer-hsaid"


@dataclass(frozen=True)
class Row:
    """A request and the fault that it is answered with. `by` is the consumer whose certificate is shown."""

    name: str
    code: str
    side: str
    text: str
    detail: str
    body: bytes = get_diagnosis(KS)
    headers: tuple[bytes, ...] = ()
    by: str = "npo"
    sends_url: bool = False
    """Whether the detail begins with the producer's address, which is only known when the test runs."""


VP009 = ("VP009", "Server", "Fel vid kontakt med tjänsteproducenten.")
VP014 = (
    "VP014",
    "Server",
    "Anropsförmedlingen för den logiska adressaten har givit upphov till rundgång mellan tjänsteplattformar. "
    "Rapportera felet till tjänsteplattformsförvaltningen.",
    "",
)
CAUSE = "Exception Caught by Camel when contacting producer. Exception information: "
ROWS = (
    Row(
        "VP002",
        "VP002",
        "Client",
        "Fel i klientcertifikat. Saknas, är av felaktig typ, eller är felaktigt utformad.",
        "No senderId found in Certificate",
        by="nameless",
    ),
    Row(
        "VP003",
        "VP003",
        "Client",
        "Logisk adressat (ReceiverId) saknas i RivHeadern i inkommande meddelande.",
        "No receiverId (logical address) found in message header. ",
        body=get_diagnosis(" "),
    ),
    Row(
        "VP004",
        "VP004",
        "Client",
        "Det finns inget vägval i tjänsteadresseringskatalogen som matchar anropets logiska adressat (ReceiverId) och "
        "tjänstekontrakt. Kontrollera uppgifterna i anropet och vid behov, beställ konfigurering i aktuell "
        "tjänsteplattform.",
        f"No receiverId (logical address) found for serviceNamespace: {DIAGNOSIS}, receiverId: SE1 <å>😀"
        ". Whitespace detected in incoming request!",
        body=get_diagnosis("SE1 &lt;å&gt;😀"),
    ),
    Row(
        "VP007",
        "VP007",
        "Server",
        "Tjänstekonsumenten saknar behörighet att anropa den logiska adressaten via detta tjänstekontrakt. "
        "Kontrollera uppgifterna och vid behov, tillse att det beställs konfiguration i aktuell tjänsteplattform.",
        f"Authorization missing for serviceNamespace: {DIAGNOSIS}, receiverId: {LOCKED}, senderId: SE165565594230-NPO",
        body=get_diagnosis(LOCKED),
    ),
    Row(
        "VP009 connect",
        *VP009,
        f"{CAUSE}(java.net.ConnectException: Cannot connect to 127.0.0.1:1)",
        body=get_diagnosis(DOWN),
        sends_url=True,
    ),
    Row(
        "VP009 empty",
        *VP009,
        "Empty message when server responded with status code: 200 OK",
        body=get_diagnosis(EMPTY),
        sends_url=True,
    ),
    Row(
        "VP013",
        "VP013",
        "Client",
        "Enligt tjänsteplattformens konfiguration saknar tjänstekonsumenten rätt att använda headern "
        "x-rivta-original-serviceconsumer-hsaid. Kontakta tjänsteplattformsförvaltningen.",
        "Sender is not approved to set header x-rivta-original-serviceconsumer-hsaid.",
        headers=(ORIGINAL + b": SE1-SOMEBODY-ELSE",),
    ),
    Row("VP014 third visit", *VP014, headers=(f"{HISTORY.decode()}: {NATIONAL}#SE1#{NATIONAL}".encode(),)),
    Row(
        "VP014 same way again",
        *VP014,
        body=get_diagnosis(LOOP),
        headers=(f"{HISTORY.decode()}: {NATIONAL}#SE2321000016-RTP".encode(),),
    ),
)


@dataclass(frozen=True)
class Door:
    """A listener as a consumer's connection reaches it."""

    name: str
    platform: Standalone
    certificates: dict[str, Identity]

    @contextmanager
    def connection(self, by: str) -> Iterator[tuple[socket.socket, tuple[bytes, ...]]]:
        """A connection, and the headers that tell there whose it is."""
        endpoints = self.platform.pair.endpoints["platforms"]["outer"]
        named = (b"x-vp-auth-cert: " + in_one_line(self.certificates[by].cert),)
        if self.name == "http":
            parts = urlsplit(endpoints["http"])
            with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=15) as connection:
                yield connection, named
            return
        identity = self.certificates["proxy" if self.name == "proxy" else by]
        with tls_connection(endpoints["https"], identity.context()) as connection:
            yield connection, (named if self.name == "proxy" else ())


def in_one_line(certificate: str) -> bytes:
    """The first certificate of a PEM file as proxies put it into a header."""
    found = re.search(r"(?s)-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", Path(certificate).read_text())
    assert found
    return " ".join(found[0].splitlines()).encode()


@pytest.fixture(scope="module")
def certificates(pair: Pair) -> dict[str, Identity]:
    return {
        "npo": Identity.of(pair, "npo"),
        "nameless": Identity.issued(pair, "nameless", "--without-hsa-id"),
        "proxy": Identity.issued(pair, "proxy", "--hsa-id", PROXY),
    }


@pytest.fixture(params=["https", "proxy", "http"])
def door(request: pytest.FixtureRequest, outer: Standalone, certificates: dict[str, Identity]) -> Door:
    return Door(request.param, outer, certificates)


def ask(connection: socket.socket, body: bytes, *headers: bytes) -> RawAnswer:
    connection.sendall(http_post(body, *headers))
    return read_answer(connection)


def lines_of(answer: RawAnswer) -> dict[str, str]:
    """The headers of an answer, names in lower case; each stands there once."""
    lines = [line.partition(": ") for line in answer.head.decode("latin-1").split("\r\n")[1:]]
    names = [name.lower() for name, _, _ in lines]
    assert len(names) == len(set(names)), names
    return {name.lower(): value for name, _, value in lines}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_fault_is_the_same_behind_each_listener(door: Door, row: Row, pair: Pair) -> None:
    with door.connection(row.by) as (connection, named):
        answer = ask(connection, row.body, b"x-skltp-correlation-id: matrix-1", b"x-any: 1", *named, *row.headers)
        assert answer.status == 500
        text, detail = escape(f"{row.code} [{NAME}] {row.text}"), escape(row.detail)
        if row.sends_url:
            detail = "Error connecting to service producer at address <url>. " + detail
        if row.code == "VP002" and door.name == "https":
            detail += r"<subject>"
        expected = (
            '<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"><SOAP-ENV:Header/>'
            f"<SOAP-ENV:Body><SOAP-ENV:Fault><faultcode>SOAP-ENV:{row.side}</faultcode><faultstring>{text}</faultstring>"
            f"<detail><detailString>{detail}</detailString></detail></SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>"
        )
        pattern = (
            re.escape(expected).replace("<url>", r"https://[\w.:/]+").replace("<subject>", ": [^<]*CN=nameless[^<]*")
        )
        assert re.fullmatch(pattern, answer.body.decode()), answer.body.decode()
        closes = row.code == "VP002" and door.name == "https"
        lines = lines_of(answer)
        assert lines.pop("date")
        assert lines == {
            "content-type": "text/xml; charset=UTF-8",
            CORRELATION_ID: "matrix-1",
            "content-length": str(len(answer.body)),
            "server": "rivta",
            "connection": "close" if closes else "keep-alive",
        }
        if closes:
            assert connection.recv(1) == b""
        else:
            good = (b"x-vp-auth-cert: " + in_one_line(door.certificates["npo"].cert),) if named else ()
            assert document_ids(ask(connection, get_diagnosis(KS), *good).body)


@pytest.mark.parametrize("body", [b"<a>", get_diagnosis(KS).replace(b"<c:type>", b"<c:kind>")], ids=["cut", "mismatch"])
def test_what_cannot_be_read_is_vp015_behind_each_listener(door: Door, body: bytes) -> None:
    with door.connection("npo") as (connection, named):
        answer = ask(connection, body, *named)
        start = (
            f"<faultcode>SOAP-ENV:Client</faultcode><faultstring>{escape(f'VP015 [{NAME}]')} "
            "Anrop ej korrekt utformat och kan därför inte behandlas.</faultstring>"
        )
        assert answer.status == 500 and start in answer.body.decode()
        assert document_ids(ask(connection, get_diagnosis(KS), *named).body)


def test_a_producers_fault_is_the_same_behind_each_listener(door: Door) -> None:
    with door.connection("npo") as (connection, named):
        answer = ask(connection, get_diagnosis(FAULT), b"x-skltp-correlation-id: matrix-2", *named)
        lines = lines_of(answer)
        assert (answer.status, lines["content-type"]) == (500, "text/xml; charset=UTF-8")
        assert (lines[CORRELATION_ID], lines["x-skltp-prt"].isdigit()) == ("matrix-2", True)
        assert "Internt fel i källsystemet.".encode() in answer.body and b"VP0" not in answer.body


def test_a_fault_of_the_platform_behind_is_the_same_behind_each_listener(door: Door) -> None:
    with door.connection("npo") as (connection, named):
        answer = ask(connection, get_diagnosis(BY_REGION), *named)
        assert b"<faultstring>VP007 [RTP-STOCKHOLM-DEMO] " in answer.body
        assert f"receiverId: {BY_REGION}, senderId: {NATIONAL}<".encode() in answer.body


def test_a_producer_that_hangs_up_is_vp009_behind_each_listener(door: Door) -> None:
    with door.connection("npo") as (connection, named):
        answer = ask(connection, get_diagnosis(CLOSE), *named)
        assert b"(No response received from remote server: localhost:" in answer.body


def test_plain_http_without_the_switch_is_vp011(standalone: Standalone, certificates: dict[str, Identity]) -> None:
    parts = urlsplit(standalone.pair.endpoints["platforms"]["alone"]["http"])
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=15) as connection:
        for _ in range(2):  # the connection stays
            answer = ask(connection, get_diagnosis(KS), b"x-vp-auth-cert: " + in_one_line(certificates["npo"].cert))
            assert answer.status == 500
            assert (
                "<faultcode>SOAP-ENV:Client</faultcode><faultstring>VP011 [ALONE] Anrop har gjorts utanför TLS vilket "
                "ej är tillåtet. Tjänstekonsumenten ska alltid använda TLS för säker kommunikation.</faultstring><detail>"
                "<detailString>Caller was not on the white list of accepted IP-addresses.  IP-address: 127.0.0.1. HTTP "
                "header that caused checking: CamelNettyRemoteAddress</detailString>"
            ) in answer.body.decode()
