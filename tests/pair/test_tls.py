"""Whom a platform speaks TLS with, what the others are told, and what a new revocation list does to those who are in."""

import http.server
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
import time
import tomllib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509

from rivta.run.toml import to_toml
from rivta.tls.certificates import Signer, make_key
from rivta.tls.profiles import KeyKind
from tests.pair import pki as pkis
from tests.pair.consumer import (
    CORRELATION_ID,
    KS,
    NPO,
    Admin,
    Identity,
    get_diagnosis,
    http_post,
    new_id,
    read_answer,
    read_fault,
    tls_connection,
)
from tests.pair.pki import DAY, Client, Pki
from tests.pair.standalone import Standalone, serving, write_settings
from tests.support import Pair, run_rivta, until

WAITS, MISNAMED = "SE2321000016-WAITS", "SE2321000016-MISNAMED"
ACTS_SECONDS = 1.0
_BUSY_MACHINE = 2.0


@dataclass
class WaitingProducer:
    """A producer that answers when it is told to."""

    url: str
    asked: threading.Event = field(default_factory=threading.Event)
    may_answer: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Listener:
    """A platform that trusts the pair's CA, with its list, and somebody else's: one with lists, one without any."""

    platform: Standalone
    listed: Pki
    unlisted: Pki
    crl: Path
    ca: str
    producer: WaitingProducer

    @property
    def url(self) -> str:
        return self.platform.url

    def log(self) -> str:
        return (self.platform.home / "log" / "alone-worker-0.log").read_text()

    def problems(self) -> dict[str, Any]:
        """What readiness says is wrong."""
        ready: dict[str, Any] = Admin(self.platform.pair).get("alone", "/health/ready")
        assert ready["status"] == "ok"
        return dict(ready["problems"])


@pytest.fixture(scope="module")
def listener(pair: Pair, short_folder: Path) -> Iterator[Listener]:
    folder = short_folder / "tls"
    platform = write_settings(pair, folder)
    listed, unlisted = Pki.make(folder / "listed"), Pki.make(folder / "unlisted")
    crl = folder / "listed.crl"
    listed.write_lists(crl, 1, this_update=datetime.now(UTC) - DAY)
    good = Identity.issued(pair, "waits", "--hsa-id", "SE1-WAITS")
    misnamed = Identity.issued(pair, "misnamed", "--hsa-id", "SE1-MISNAMED", "--host", "other.example.se")
    with producing(good) as waiting, producing(misnamed) as other:
        settings = tomllib.loads(platform.config.read_text())
        settings["tls"]["trusted"] += [
            str(listed.write_ca("ca.pem", listed.issuing, listed.root)),
            str(unlisted.write_ca("root.pem", unlisted.root)),
        ]
        settings["tls"]["crl"] += [str(crl), ""]
        settings["timeouts"]["producer_seconds"] = 10.0
        settings["validation"] = {"response": "off"}
        settings["variables"] |= {"waits": waiting.url, "misnamed": other.url}
        platform.config.write_text(to_toml(settings))
        write_routes(folder / "routing" / "more.yaml")
        with serving(platform):
            yield Listener(platform, listed, unlisted, crl, pair.endpoints["ca"], waiting)


def write_routes(file: Path) -> None:
    routes = "\n".join(
        f"  - {{logical_address: {address}, contracts: GetDiagnosis:2, producer_address: {name}}}"
        for address, name in ((WAITS, "waits"), (MISNAMED, "misnamed"))
    )
    addresses = "\n".join(
        f'  {name}: {{component: SE2321000016-TC-KS, url: "${{{name}}}", profile: RIVTABP21}}'
        for name in ("waits", "misnamed")
    )
    file.write_text(
        f"producer_addresses:\n{addresses}\nroutes:\n{routes}\npermissions:\n"
        f"  - {{consumer: {NPO}, logical_address: [{WAITS}, {MISNAMED}], contracts: GetDiagnosis:2, agreement: T}}\n"
    )


@contextmanager
def producing(identity: Identity) -> Iterator[WaitingProducer]:
    class Answering(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            producer.asked.set()
            producer.may_answer.wait(20)
            body = b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body/></e:Envelope>'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(socketserver.ThreadingTCPServer):  # that of http.server asks the name service who we are
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A platform that does not like our certificate hangs up."""

    with Quiet(("127.0.0.1", 0), Answering) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(identity.cert, identity.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        producer = WaitingProducer(f"https://localhost:{server.server_address[1]}/")
        serving_thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        serving_thread.start()
        yield producer
        server.shutdown()
        serving_thread.join()


def alert(url: str, context: ssl.SSLContext) -> str:
    """The alert that a client is sent when it connects with `context` and calls."""
    with pytest.raises(ssl.SSLError) as refused, tls_connection(url, context) as connection:
        # In TLS 1.3 a client is done with its handshake before the server has looked at its certificate.
        connection.sendall(http_post(get_diagnosis()))
        read_answer(connection)
    return str(refused.value.reason)


def verdict(connection: ssl.SSLSocket, to: str = KS) -> str:
    """What becomes of a call on a connection: `carried`, the fault's code and detail, or `closed`."""
    try:
        connection.sendall(http_post(get_diagnosis(to)))
        answer = read_answer(connection)
    except OSError:
        return "closed"
    if answer.status == 500:
        fault = read_fault(answer.body)
        return f"{fault.code} {fault.detail}"
    return {200: "carried", 0: "closed"}[answer.status]


def is_cut(connection: ssl.SSLSocket) -> bool:
    """Waits for something to happen to the connection: whether it is its end."""
    try:
        return connection.recv(1) == b""
    except (ConnectionResetError, ssl.SSLEOFError):
        return True


def call(listener: Listener, context: ssl.SSLContext, to: str = KS) -> str:
    with tls_connection(listener.url, context) as connection:
        return verdict(connection, to)


def of(version: ssl.TLSVersion, context: ssl.SSLContext) -> ssl.SSLContext:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    return context


# Who may not connect: how its certificate is made, the alert in TLS 1.3, and what the log says of it.
STRANGERS: dict[str, tuple[Callable[[Listener], Client], str, str]] = {
    "expired": (
        lambda it: it.listed.client("expired", NPO, days=(-20, -10)),
        "CERTIFICATE_EXPIRED",
        "certificate has expired",
    ),
    "not yet valid": (
        lambda it: it.listed.client("early", NPO, days=(10, 20)),
        "BAD_CERTIFICATE",
        "certificate is not yet valid",
    ),
    "for servers only": (
        lambda it: it.listed.client("server", NPO, usages=("serverAuth",)),
        "UNSUPPORTED_CERTIFICATE",
        "certificate purpose",
    ),
    "of a CA that is not trusted": (
        lambda it: Pki.make(it.platform.home / "foreign").client("foreign", NPO),
        "UNKNOWN_CA",
        "unable to get local issuer certificate",
    ),
    "self-signed": (
        lambda it: pkis.self_signed(it.listed, "itself", NPO),
        "UNKNOWN_CA",
        "self-signed certificate",
    ),
    "issued by another system": (
        lambda it: issued_by_a_system(it.listed),
        "UNKNOWN_CA",
        "invalid CA certificate",
    ),
    "without the intermediate": (
        lambda it: it.unlisted.client("alone", NPO),
        "UNKNOWN_CA",
        "unable to get local issuer certificate",
    ),
    "of a short key": (
        lambda it: it.listed.client("short", NPO, key=pkis.short_key()),
        "BAD_CERTIFICATE",
        "EE certificate key too weak",
    ),
    "with a SHA-1 signature": (
        lambda it: pkis.signed_with_sha1(it.listed, "sha1", NPO),
        "BAD_CERTIFICATE",
        "CA signature digest algorithm too weak",
    ),
}


def issued_by_a_system(pki: Pki) -> Client:
    key = make_key(KeyKind.EC_P256)
    system = Signer(pki.client("system", NPO, key=key).certificate, key)
    return pki.client("below-system", NPO, signer=system, chain=[system])


@pytest.mark.parametrize("who", STRANGERS)
def test_a_client_that_may_not_connect_is_told_why_and_so_is_the_operator(listener: Listener, who: str) -> None:
    make, expected, logged = STRANGERS[who]
    client = make(listener)
    before = len(listener.log())

    assert alert(listener.url, client.context(listener.ca)).endswith(expected)

    until(lambda: said_of_refused(listener.log()[before:], logged))


def said_of_refused(log: str, reason: str) -> bool:
    said = "the handshake of a client at 127.0.0.1 was refused: its certificate: "
    return any(said in line and reason in line for line in log.splitlines())


@pytest.mark.parametrize(
    ("version", "expected"),
    [(ssl.TLSVersion.TLSv1_3, "CERTIFICATE_REQUIRED"), (ssl.TLSVersion.TLSv1_2, "HANDSHAKE_FAILURE")],
)
def test_a_client_without_certificate_is_told_so(listener: Listener, version: ssl.TLSVersion, expected: str) -> None:
    context = of(version, ssl.create_default_context(cafile=listener.ca))
    assert alert(listener.url, context).endswith(expected)
    until(lambda: "refused: peer did not return a certificate" in listener.log())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_of_either_authority_is_served_in_both_versions(listener: Listener, version: ssl.TLSVersion) -> None:
    below_root = listener.unlisted.client("chained", NPO, chain=[listener.unlisted.issuing])
    known = listener.unlisted.client("known", NPO, signer=listener.unlisted.root)
    assert call(listener, of(version, listener.listed.client("good", NPO).context(listener.ca))) == "carried"
    assert call(listener, of(version, known.context(listener.ca))) == "carried"
    # Its issuing CA is in no trust file, so nothing tells whether it has been revoked.
    assert call(listener, of(version, below_root.context(listener.ca))).startswith("VP002 It cannot be told whether")


# A ClientHello by hand, since no library offers these any more. Suites by RFC 5246, 5289 and the IANA registry.
HELLOS = {
    "SSL 3.0": (0x0300, (0xC02F, 0x002F), "handshake_failure"),
    "TLS 1.0": (0x0301, (0xC02F, 0xC013, 0x002F), "protocol_version"),
    "TLS 1.1": (0x0302, (0xC02F, 0xC013, 0x002F), "protocol_version"),
    "RSA key exchange": (0x0303, (0x009C, 0x009D), "handshake_failure"),
    "CBC": (0x0303, (0xC027, 0xC028, 0xC013, 0xC014, 0x002F), "handshake_failure"),
    "3DES": (0x0303, (0xC012, 0x000A), "handshake_failure"),
    "RC4": (0x0303, (0xC011, 0x0005), "handshake_failure"),
    "finite-field DHE": (0x0303, (0x009E, 0x009F), "handshake_failure"),
    "anonymous": (0x0303, (0x00A6, 0xC018, 0x0034), "handshake_failure"),
    "no encryption": (0x0303, (0x0002, 0xC010), "handshake_failure"),
    "ECDHE with AES-GCM": (0x0303, (0xC02F,), "server_hello"),
    "ECDHE with ChaCha20": (0x0303, (0xCCA8,), "server_hello"),
}
_ALERTS = {40: "handshake_failure", 70: "protocol_version"}


@pytest.mark.parametrize("offer", HELLOS)
def test_only_ephemeral_keys_and_authenticated_encryption_are_agreed_on(listener: Listener, offer: str) -> None:
    version, suites, expected = HELLOS[offer]
    assert answer_to_hello(listener.url, version, suites) == expected


def answer_to_hello(url: str, version: int, suites: tuple[int, ...]) -> str:
    """What a TLS server answers to an offer: the name of its alert, or `server_hello`."""
    groups = struct.pack("!HHHHH", 10, 6, 4, 0x001D, 0x0017)
    signatures = struct.pack("!HHHHHHH", 13, 10, 8, 0x0804, 0x0401, 0x0403, 0x0201)
    extensions = groups + signatures if version == 0x0303 else groups
    offered = b"".join(struct.pack("!H", suite) for suite in suites)
    hello = struct.pack("!H32sB", version, b"r" * 32, 0) + struct.pack("!H", len(offered)) + offered + b"\x01\x00"
    hello += struct.pack("!H", len(extensions)) + extensions
    message = b"\x01" + len(hello).to_bytes(3, "big") + hello
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 443), timeout=10) as connection:
        connection.sendall(struct.pack("!BHH", 22, min(version, 0x0301), len(message)) + message)
        record = b""
        while len(record) < 7:
            piece = connection.recv(4096)
            assert piece, record
            record += piece
    if record[0] == 21:
        return _ALERTS.get(record[6], f"alert {record[6]}")
    assert (record[0], record[5]) == (22, 2), record[:10]
    return "server_hello"


def test_what_is_not_tls_is_closed_and_said_in_the_log(listener: Listener) -> None:
    parts = urlsplit(listener.url)
    with socket.create_connection((parts.hostname or "", parts.port or 443), timeout=10) as connection:
        connection.sendall(http_post(get_diagnosis()))
        with_reason = connection.recv(100)
    assert b"HTTP/1.1 200" not in with_reason
    until(lambda: "the handshake of a client at 127.0.0.1 was refused: http request" in listener.log())


def test_a_producer_with_a_certificate_of_another_name_gets_no_message(listener: Listener) -> None:
    answered = call(listener, Identity.of(listener.platform.pair, "npo").context(), MISNAMED)
    assert answered.startswith("VP009 Error connecting to service producer at address https://localhost:")
    assert "SSLHandshakeException" in answered
    assert "Hostname mismatch" in answered


@pytest.fixture
def lists(listener: Listener) -> Iterator[Callable[..., None]]:
    """Publishes the other authority's next lists; afterwards those with nobody in them are in force again."""

    def publish(**what: Any) -> None:
        listener.listed.write_lists(listener.crl, next(_numbers), **what)

    yield publish
    publish()
    good = listener.listed.client("afterwards", NPO)
    until(lambda: call(listener, good.context(listener.ca)) == "carried")
    until(lambda: listener.problems()["revocation"] is None)


_numbers = iter(range(2, 1000))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_new_list_acts_within_a_second_on_new_open_idle_and_resumed_connections(
    listener: Listener, lists: Callable[..., None], version: ssl.TLSVersion
) -> None:
    lost = listener.listed.client(f"lost-{version.name}", NPO)
    context = of(version, lost.context(listener.ca))
    parts = urlsplit(listener.url)
    with tls_connection(listener.url, context) as busy, tls_connection(listener.url, context) as idle:
        assert [verdict(busy), verdict(idle)] == ["carried"] * 2
        session = busy.session

        began = time.monotonic()
        lists(revoked=[lost.certificate])
        assert is_cut(idle)
        acted = time.monotonic() - began

        assert verdict(busy) == "closed"
    revoked = f"VP002 The client certificate of {NPO} is revoked"
    assert call(listener, context) == revoked
    with (
        socket.create_connection((parts.hostname or "", parts.port or 443), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost", session=session) as resumed,
    ):
        assert verdict(resumed) == revoked
        assert resumed.session_reused
    print(f"{version.name}: a new list acted after {acted:.2f} s")
    assert acted < ACTS_SECONDS + _BUSY_MACHINE


def test_a_call_under_way_ends_for_its_consumer_but_is_recorded_to_its_end(
    listener: Listener, lists: Callable[..., None]
) -> None:
    lost = listener.listed.client("under-way", NPO)
    correlation_id = new_id("cut")
    listener.producer.asked.clear()
    listener.producer.may_answer.clear()
    with tls_connection(listener.url, lost.context(listener.ca)) as connection:
        connection.sendall(http_post(get_diagnosis(WAITS), f"{CORRELATION_ID}: {correlation_id}".encode()))
        assert listener.producer.asked.wait(10)

        lists(revoked=[lost.certificate])

        assert is_cut(connection)  # before the producer has said anything
    listener.producer.may_answer.set()
    (record,) = Admin(listener.platform.pair).records(correlation_id, "alone")
    assert (record["outcome"], record["sender"], record["logical_address"]) == ("routed", NPO, WAITS)


def test_a_revoked_authority_takes_all_its_systems_with_it(listener: Listener, lists: Callable[..., None]) -> None:
    client = listener.listed.client("below", NPO).context(listener.ca)
    with tls_connection(listener.url, client) as connection:
        assert verdict(connection) == "carried"
        lists(revoked_authorities=[listener.listed.issuing.certificate])
        assert is_cut(connection)
    assert call(listener, client) == f"VP002 The client certificate of {NPO} is revoked"


def test_an_overdue_list_stops_its_authoritys_systems_and_nobody_else(
    listener: Listener, lists: Callable[..., None]
) -> None:
    client = listener.listed.client("overdue", NPO).context(listener.ca)
    with tls_connection(listener.url, client) as connection:
        assert verdict(connection) == "carried"
        lists(days=0.00001)  # a second
        refused = until(lambda: "" if (words := verdict(connection)) == "carried" else words)
    assert refused.startswith(f"VP002 It cannot be told whether the client certificate of {NPO} is revoked: ")
    assert "the revocation list of CN=rivta Development Function CA " in refused
    assert "is overdue since " in refused
    assert "is overdue since " in until(lambda: listener.problems()["revocation"])
    assert call(listener, Identity.of(listener.platform.pair, "npo").context()) == "carried"


def truncated(listener: Listener) -> None:
    listener.crl.write_bytes(listener.crl.read_bytes()[:-100])


def gone(listener: Listener) -> None:
    listener.crl.unlink()


def signed_by_another(listener: Listener) -> None:
    forger = replace(
        listener.listed, issuing=Signer(listener.listed.issuing.certificate, listener.unlisted.issuing.key)
    )
    forger.write_lists(listener.crl, 900)


def older(listener: Listener) -> None:
    listener.listed.write_lists(listener.crl, 1)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (truncated, "it ends within a list"),
        (gone, "cannot be read: No such file or directory"),
        (signed_by_another, "is wrong; get the list again"),
        (older, "is older than the one in force"),
    ],
)
def test_a_list_that_cannot_be_used_leaves_the_one_in_force(
    listener: Listener, lists: Callable[..., None], spoil: Callable[[Listener], None], says: str
) -> None:
    lost = listener.listed.client(f"lost-{spoil.__name__}", NPO).context(listener.ca)
    good = listener.listed.client(f"good-{spoil.__name__}", NPO).context(listener.ca)
    revoked = x509.load_pem_x509_certificate((listener.listed.folder / f"lost-{spoil.__name__}.pem").read_bytes())
    lists(revoked=[revoked])
    until(lambda: call(listener, lost).startswith("VP002"))

    spoil(listener)

    assert says in until(lambda: listener.problems()["revocation"])
    until(lambda: "the revocation list in force stays" in listener.log())
    assert call(listener, lost).endswith("is revoked")
    assert call(listener, good) == "carried"


def test_trust_is_read_again_and_cuts_nobody_but_those_who_lost_it(listener: Listener) -> None:
    newcomers = Pki.make(listener.platform.home / "newcomers")
    context = newcomers.client("new", NPO, signer=newcomers.root).context(listener.ca)
    with tls_connection(listener.url, listener.listed.client("stays", NPO).context(listener.ca)) as stays:
        assert verdict(stays) == "carried"
        assert alert(listener.url, context).endswith("UNKNOWN_CA")

        listener.unlisted.write_ca("root.pem", listener.unlisted.root, newcomers.root)
        until(lambda: tries(listener, context) == "carried")

        whole = (listener.unlisted.folder / "root.pem").read_bytes()
        (listener.unlisted.folder / "root.pem").write_bytes(whole[: len(whole) // 4])
        until(lambda: "the certificate and the trust in use stay: " in listener.log())
        assert call(listener, context) == "carried"

        with tls_connection(listener.url, context) as loses:
            assert verdict(loses) == "carried"
            listener.unlisted.write_ca("root.pem", listener.unlisted.root)
            assert is_cut(loses)
        assert alert(listener.url, context).endswith("UNKNOWN_CA")
        assert verdict(stays) == "carried"


def tries(listener: Listener, context: ssl.SSLContext) -> str:
    try:
        return call(listener, context)
    except ssl.SSLError:
        return "refused"


def test_a_list_written_in_pieces_takes_force_when_it_is_whole(listener: Listener, lists: Callable[..., None]) -> None:
    client = listener.listed.client("pieces", NPO)
    aside = listener.crl.with_suffix(".aside")
    listener.listed.write_lists(aside, next(_numbers), revoked=[client.certificate])
    content = aside.read_bytes()
    with listener.crl.open("wb") as file:
        file.write(content[: len(content) // 2])
        file.flush()
        until(lambda: listener.problems()["revocation"])
        assert call(listener, client.context(listener.ca)) == "carried"
        file.write(content[len(content) // 2 :])
    until(lambda: call(listener, client.context(listener.ca)).endswith("is revoked"))


@pytest.fixture(scope="module")
def loosened(pair: Pair, short_folder: Path) -> Iterator[tuple[Standalone, Pki]]:
    """A platform whose operator has given up two protections, trusting a CA whose list is long overdue."""
    platform = write_settings(pair, short_folder / "loose")
    theirs = Pki.make(platform.home / "theirs")
    crl = platform.home / "overdue.crl"
    theirs.write_lists(crl, 1, this_update=datetime.now(UTC) - DAY, days=0.5)
    settings = tomllib.loads(platform.config.read_text())
    settings["tls"]["trusted"].append(str(theirs.write_ca("ca.pem", theirs.issuing, theirs.root)))
    settings["tls"]["crl"].append(str(crl))
    settings["insecure"] = {"old_tls": True, "overdue_crl_accepted": True}
    platform.config.write_text(to_toml(settings))
    with serving(platform):
        yield platform, theirs


@pytest.mark.parametrize("version", ["tls1", "tls1_1", "tls1_2", "tls1_3"])
def test_what_is_insecure_is_carried_where_the_operator_insists_and_readiness_says_so(
    loosened: tuple[Standalone, Pki], version: str
) -> None:
    platform, theirs = loosened
    client = theirs.client("old", NPO, key=make_key(KeyKind.RSA_2048))
    address = urlsplit(platform.url).netloc.replace("localhost", "127.0.0.1")
    command = ["openssl", "s_client", "-connect", address, f"-{version}", "-cipher", "ALL:@SECLEVEL=0", "-quiet"]
    command += ["-CAfile", platform.pair.endpoints["ca"], "-cert", str(client.pem), "-key", str(client.pem)]

    done = subprocess.run(
        command, input=http_post(get_diagnosis(KS), b"Connection: close"), capture_output=True, timeout=30
    )

    assert done.stdout.startswith(b"HTTP/1.1 200 "), done.stderr
    ready = Admin(platform.pair).get("alone", "/health/ready")
    assert ready["insecure"] == ["old_tls", "overdue_crl_accepted"]
    assert "is overdue since" in ready["problems"]["revocation"]


def test_a_stub_producer_shows_its_renewed_certificate_without_a_restart(pair: Pair) -> None:
    (url,) = [one["url"] for one in pair.endpoints["producers"] if one["name"] == "takecare-sos"]
    context = Identity.of(pair, "npo").context()

    def shown() -> str:
        with tls_connection(url, context) as connection:
            return str((connection.getpeercert() or {})["serialNumber"])

    before = shown()
    assert run_rivta("cert", "renew", "takecare-sos", "--home", str(pair.home)).returncode == 0
    until(lambda: shown() != before)
