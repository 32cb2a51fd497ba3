"""A consumer's own client, as a journal system would have it: hand-written messages, `requests`, and bare TLS sockets.

Nothing of rivta is used to make or read a message, so that both ends cannot share a mistake.
"""

import contextlib
import json
import re
import socket
import ssl
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import requests
from lxml import etree

from tests.support import Pair, run_rivta, until

DIAGNOSIS = "urn:riv:clinicalprocess:healthcond:description:GetDiagnosisResponder:2"
PATIENT = "191212121212"
NPO, NATIONAL, REGIONAL, JOURNAL = (
    "SE165565594230-NPO",
    "SE165565594230-NTJP",
    "SE2321000016-RTP",
    "SE2321000016-JOURNAL",
)
KS, SUS = "SE2321000016-KS", "SE2321000255-SUS"

CORRELATION_ID = "x-skltp-correlation-id"
_SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"


def envelope(payload: str, *, to: str | None, header: str = "") -> bytes:
    """A SOAP 1.1 message by RIV-TA 2.1; without `to` nobody is addressed."""
    address = (
        "" if to is None else f'<r:LogicalAddress xmlns:r="urn:riv:itintegration:registry:1">{to}</r:LogicalAddress>'
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
        f"<s:Header>{address}{header}</s:Header><s:Body>{payload}</s:Body></s:Envelope>"
    ).encode()


def get_diagnosis(to: str | None = KS, patient: str = PATIENT) -> bytes:
    """A whole and valid GetDiagnosis message."""
    payload = (
        f'<d:GetDiagnosis xmlns:d="{DIAGNOSIS}"><d:patientId xmlns:c="urn:riv:clinicalprocess:healthcond:description:2">'
        f"<c:id>{patient}</c:id><c:type>1.2.752.129.2.1.3.1</c:type></d:patientId></d:GetDiagnosis>"
    )
    return envelope(payload, to=to)


def ping(to: str) -> bytes:
    """A whole and valid PingForConfiguration message."""
    namespace = "urn:riv:itintegration:monitoring:PingForConfigurationResponder:1"
    payload = (
        f'<p:PingForConfiguration xmlns:p="{namespace}">'
        f"<p:serviceContractNamespace>{namespace}</p:serviceContractNamespace>"
        f"<p:logicalAddress>{to}</p:logicalAddress></p:PingForConfiguration>"
    )
    return envelope(payload, to=to)


@dataclass(frozen=True, slots=True)
class Fault:
    """A SOAP fault as it stands on the wire."""

    side: str
    text: str
    detail: str

    @property
    def code(self) -> str:
        """The first word of the text: `VP004`."""
        return self.text.partition(" ")[0]


def read_fault(body: bytes) -> Fault:
    fault = etree.fromstring(body).find(f"{_SOAP}Body/{_SOAP}Fault")
    assert fault is not None, body
    detail = fault.find("detail/detailString")
    return Fault(
        side=fault.findtext("faultcode", "").rpartition(":")[2],
        text=fault.findtext("faultstring", ""),
        detail=("" if detail is None else detail.text) or "",
    )


def document_ids(body: bytes) -> list[str]:
    """Whose documents an answer to GetDiagnosis holds."""
    answer = etree.fromstring(body).find(f"{_SOAP}Body/{{{DIAGNOSIS}}}GetDiagnosisResponse")
    assert answer is not None, body
    return [element.text or "" for element in answer.iter("{*}documentId")]


@dataclass(frozen=True, slots=True)
class Identity:
    """Files to call with: certificate, key, and the authority to trust."""

    cert: str
    key: str
    ca: str

    @classmethod
    def of(cls, pair: Pair, name: str) -> Self:
        one = pair.endpoints["identities"][name]
        return cls(one["cert"], one["key"], pair.endpoints["ca"])

    @classmethod
    def issued(cls, pair: Pair, name: str, *options: str) -> Self:
        """A certificate that `rivta cert issue` makes now."""
        done = run_rivta("cert", "issue", name, *options, "--home", str(pair.home), "--json")
        assert done.returncode == 0, done.stderr
        made = json.loads(done.stdout)
        return cls(made["certificate"], made["key"], made["ca"])

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.cert, self.key)
        return context


class Consumer:
    """A client that keeps its connection to a platform, as `requests.Session` does."""

    def __init__(self, url: str, identity: Identity) -> None:
        self.url = url
        self.identity = identity
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.cert = (identity.cert, identity.key)
        self._session.verify = identity.ca

    def call(
        self, body: bytes, headers: Mapping[str, str] | None = None, *, url: str | None = None
    ) -> requests.Response:
        sent = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""', **(headers or {})}
        return self._session.post(url or self.url, data=body, headers=sent, timeout=40)

    def get(self, url: str) -> requests.Response:
        return self._session.get(url, timeout=40)

    def refused(self, body: bytes, headers: Mapping[str, str] | None = None) -> Fault:
        """The fault that a call is answered with, sent as every fault is."""
        answer = self.call(body, headers)
        assert (answer.status_code, answer.headers["Content-Type"]) == (500, "text/xml; charset=UTF-8"), answer.text
        assert answer.headers[CORRELATION_ID]
        return read_fault(answer.content)

    def close(self) -> None:
        self._session.close()


@contextlib.contextmanager
def consumer(pair: Pair, name: str, *, via: str = "national") -> Iterator[Consumer]:
    """A client of one platform with the certificate of one of the pair's identities."""
    with contextlib.closing(Consumer(pair.endpoints["platforms"][via]["https"], Identity.of(pair, name))) as made:
        yield made


@contextlib.contextmanager
def tls_connection(url: str, context: ssl.SSLContext, *, seconds: float = 15) -> Iterator[ssl.SSLSocket]:
    """A bare TLS connection to the platform at `url`."""
    parts = urlsplit(url)
    plain = socket.create_connection((parts.hostname or "", parts.port or 443), timeout=seconds)
    with plain, context.wrap_socket(plain, server_hostname=parts.hostname) as connection:
        yield connection


def http_post(body: bytes, *headers: bytes) -> bytes:
    """The bytes of a POST request."""
    lines = [b"POST /vp HTTP/1.1", b"Host: localhost", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An HTTP answer read from a bare connection; `status` is 0 when the connection was closed without one."""

    status: int
    head: bytes
    body: bytes


def read_answer(connection: socket.socket) -> RawAnswer:
    """The next answer on a bare connection, by its Content-Length."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            return RawAnswer(0, received, b"")
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    announced = re.search(rb"(?im)^content-length: *(\d+)", head)
    length = int(announced.group(1)) if announced else 0
    while len(body) < length:
        piece = connection.recv(65536)
        assert piece, f"the answer ended at {len(body)} of {length} bytes"
        body += piece
    return RawAnswer(int(head.split()[1]), head, body)


class Admin:
    """The admin APIs of a home: both keepers', and the stub producers'."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._token = (pair.home / "admin.token").read_text().strip()

    def get(self, platform: str, path: str, **params: Any) -> Any:
        return self._ask("GET", self._pair.endpoints["platforms"][platform]["admin"] + path, params=params)

    def records(self, correlation_id: str, *platforms: str) -> list[dict[str, Any]]:
        """The record of one call at each of `platforms`, once all of them are in the call log."""
        return [until(partial(self._records, platform, correlation_id))[0] for platform in platforms]

    def _records(self, platform: str, correlation_id: str) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = self.get(platform, "/calls", correlation_id=correlation_id)["calls"]
        return calls

    def correlation_ids(self, platform: str, prefix: str, **params: Any) -> list[str]:
        """The correlation ids in a platform's call log that start with `prefix`: one for each record."""
        calls = self.get(platform, "/calls", limit=10_000, **params)["calls"]
        return [call["correlation_id"] for call in calls if call["correlation_id"].startswith(prefix)]

    def stub(self, address: str) -> dict[str, Any]:
        """What a stub producer has seen and does at a logical address."""
        producers = self._ask("GET", self._pair.endpoints["stubs"] + "/stubs")["producers"]
        found = [one for producer in producers for one in producer["addresses"] if one["logical_address"] == address]
        return dict(found[0])

    def set_stub(self, address: str, **setting: Any) -> None:
        self._ask("PUT", f"{self._pair.endpoints['stubs']}/stubs/{address}", json=setting)

    def reset_stub(self, address: str) -> None:
        self._ask("DELETE", f"{self._pair.endpoints['stubs']}/stubs/{address}")

    def last_headers(self, address: str) -> dict[str, str]:
        """The headers of the last request to an address, names in lower case."""
        return {name.lower(): value for name, value in self.stub(address)["last_headers"].items()}

    def _ask(self, method: str, url: str, **more: Any) -> Any:
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = f"Bearer {self._token}"
            answer = session.request(method, url, timeout=20, **more)
            assert answer.ok, answer.text
            return answer.json()


def new_id(prefix: str = "e2e") -> str:
    """A correlation id of our own."""
    return f"{prefix}-{uuid.uuid4()}"


def status_of(home: Path) -> dict[str, Any]:
    """What `rivta status --json` says."""
    done = run_rivta("status", "--home", str(home), "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
