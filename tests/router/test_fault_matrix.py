"""Every fault of the platform, cell by cell: when, code, side, text, detail, status, headers, bytes, log events.

The texts are copied from the incumbent's behaviour (vp-behaviour.md sections 3, 7, 9 and 11), not from the program.
"""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import pytest

from rivta.audit.ecs import events
from rivta.catalogue.files import read_draft
from rivta.router.messages import Peer, Request, Trouble
from rivta.router.policy import Policy, Validation
from rivta.soap.identifiers import Profile
from rivta.soap.xml import parse_xml
from tests.catalogue.tables import DIAGNOSIS, FakeContracts, written
from tests.router.platforms import (
    CONSUMER,
    OTHER_PLATFORM,
    PLATFORM,
    PRODUCER_URL,
    Platforms,
    Produce,
    answering,
    failing,
    header,
    invalid,
    question,
    request,
    sender,
)

CORRELATION = "x-skltp-correlation-id"
ORIGINAL = "x-rivta-original-serviceconsumer-hsaid"
HISTORY = "x-rivta-routing-history"
UNKNOWN = "urn:riv:test:GetNothingResponder:1"
"""Routed to SE1-UNIT, and installed nowhere."""
FAULT_HEADERS = [("Content-Type", "text/xml; charset=UTF-8"), (CORRELATION, "given-1")]

# Section 11, the column of Swedish texts.
TEXTS = {
    "VP001": "Rivta-version saknas i anrop eller stöds ej av tjänsteplattformen.",
    "VP002": "Fel i klientcertifikat. Saknas, är av felaktig typ, eller är felaktigt utformad.",
    "VP003": "Logisk adressat (ReceiverId) saknas i RivHeadern i inkommande meddelande.",
    "VP004": "Det finns inget vägval i tjänsteadresseringskatalogen som matchar anropets logiska adressat (ReceiverId) och tjänstekontrakt. Kontrollera uppgifterna i anropet och vid behov, beställ konfigurering i aktuell tjänsteplattform.",
    "VP005": "Tjänsteproducenten stödjer inte anropets angivna rivta-version. Kontrollera uppgifterna.",
    "VP006": "Internt fel i tjänsteplattformen. Det finns fler än en tjänsteproducent definierad i tjänsteadresseringskatalogen som matchar logisk adressat (ReceiverId), tjänstekontrakt och dagens datum. Tyder på felkonfiguration. Rapportera felet till tjänsteplattformsförvaltningen.",
    "VP007": "Tjänstekonsumenten saknar behörighet att anropa den logiska adressaten via detta tjänstekontrakt. Kontrollera uppgifterna och vid behov, tillse att det beställs konfiguration i aktuell tjänsteplattform.",
    "VP008": "Internt fel i tjänsteplattformen. Ingen kontakt med tjänsteadresseringskatalogen. Informera tjänsteplattformsförvaltningen.",
    "VP009": "Fel vid kontakt med tjänsteproducenten.",
    "VP010": "Internt fel i tjänsteplattformen. URL saknas för tjänsteproducenten i tjänsteplattformens tjänsteadresseringskatalog.",
    "VP011": "Anrop har gjorts utanför TLS vilket ej är tillåtet. Tjänstekonsumenten ska alltid använda TLS för säker kommunikation.",
    "VP012": "Internt fel i tjänsteplattformen. Nödvändiga resurser saknas för att VP skall fungera.",
    "VP013": "Enligt tjänsteplattformens konfiguration saknar tjänstekonsumenten rätt att använda headern x-rivta-original-serviceconsumer-hsaid. Kontakta tjänsteplattformsförvaltningen.",
    "VP014": "Anropsförmedlingen för den logiska adressaten har givit upphov till rundgång mellan tjänsteplattformar. Rapportera felet till tjänsteplattformsförvaltningen.",
    "VP015": "Anrop ej korrekt utformat och kan därför inte behandlas.",
}  # fmt: skip
SIDES = dict.fromkeys(TEXTS, "Client") | dict.fromkeys(
    ("VP006", "VP007", "VP008", "VP009", "VP010", "VP012", "VP014"), "Server"
)


def envelope(side: str, text: str, detail: str) -> bytes:
    """Section 11, the envelope; `text` and `detail` as they stand in XML."""
    return (
        '<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"><SOAP-ENV:Header/>'
        f"<SOAP-ENV:Body><SOAP-ENV:Fault><faultcode>SOAP-ENV:{side}</faultcode><faultstring>{text}</faultstring>"
        f"<detail><detailString>{detail}</detailString></detail></SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>"
    ).encode()


def without_address(body: bytes) -> bytes:
    return re.sub(rb"<to:LogicalAddress .*</to:LogicalAddress>", b"", body)


def addressed(address: bytes) -> bytes:
    return question("SE1-ANY").replace(b"SE1-ANY", address)


def of_contract(namespace: str, address: str = "SE1-UNIT") -> bytes:
    return question(address).replace(DIAGNOSIS.encode(), namespace.encode())


def nobody(problem: str = "No senderId found in Certificate: CN=nobody") -> Peer:
    return Peer("192.0.2.1", None, problem=problem)


OUTSIDE_TLS = Peer("192.0.2.1", None, plain=True)


@dataclass(frozen=True)
class Row:
    """How a fault is provoked and what it is."""

    name: str
    code: str
    detail: str
    body: Callable[[], bytes] = question
    headers: tuple[tuple[str, str], ...] = ()
    peer: Peer | None = None
    caller: str = CONSUMER
    platform: dict[str, Any] = field(default_factory=dict)
    produce: Produce | None = None
    before_req_in: bool = False
    calls_producer: bool = False
    closes: bool = False

    def request(self) -> Request:
        lines = ((CORRELATION, "given-1"), *self.headers)
        return request(self.body(), *lines, peer=self.peer, caller=sender(self.caller))


PRODUCER = f"Error connecting to service producer at address {PRODUCER_URL}. "
CAUSE = f"{PRODUCER}Exception Caught by Camel when contacting producer. Exception information: "
NO_ROUTE = f"No receiverId (logical address) found for serviceNamespace: {DIAGNOSIS}, receiverId: "
NO_RECEIVER = "No receiverId (logical address) found in message header. "
LATE = "io.netty.handler.timeout.ReadTimeoutException: Timeout when waiting on response from producer."
STATUS = (
    "(org.apache.camel.component.netty.http.NettyHttpOperationFailedException: Netty HTTP operation failed invoking "
    f"{PRODUCER_URL} with statusCode: "
)
HEADERS_OF_PRODUCER = (("x-skltp-prt", "5"), ("X-Any", "1"), (CORRELATION, "another"), ("Content-Type", "text/plain"))

MATRIX = [
    Row("VP002, no HSA-id", "VP002", "No senderId found in Certificate: CN=nobody", peer=nobody(), before_req_in=True, closes=True),
    Row("VP002, revoked", "VP002", f"The client certificate of {CONSUMER} is revoked", platform={"revoked": True}, before_req_in=True, closes=True),
    Row("VP003, no header entry", "VP003", NO_RECEIVER, body=lambda: without_address(question())),
    Row("VP003, empty", "VP003", NO_RECEIVER, body=lambda: addressed(b"")),
    Row("VP003, blank", "VP003", NO_RECEIVER, body=lambda: addressed(b" \n\t ")),
    Row("VP004", "VP004", f"{NO_ROUTE}SE1-NOBODY", body=lambda: question("SE1-NOBODY")),
    Row("VP004, a blank in it", "VP004", f"{NO_ROUTE}SE1-UNIT . Whitespace detected in incoming request!", body=lambda: question("SE1-UNIT ")),
    Row("VP004, no contract", "VP004", "No receiverId (logical address) found for serviceNamespace: null, receiverId: SE1-UNIT",
        body=lambda: re.sub(rb"(?s)(<soapenv:Body>).*(</soapenv:Body>)", rb"\1\2", question())),
    Row("VP006", "VP006", f"More than one receiverId (logical address) with matching Riv-version found for serviceNamespace: {DIAGNOSIS}, receiverId: SE1-TWICE",
        body=lambda: question("SE1-TWICE")),
    Row("VP007", "VP007", f"Authorization missing for serviceNamespace: {DIAGNOSIS}, receiverId: SE1-LOCKED, senderId: {CONSUMER}",
        body=lambda: question("SE1-LOCKED")),
    Row("VP008", "VP008", "No contact with TAK at startup, and no local cache to fallback on, not possible to route call", platform={"has_table": False}),
    Row("VP009, cannot connect", "VP009", f"{CAUSE}(java.net.ConnectException: Cannot connect to producer.test:8443)",
        produce=failing(Trouble.CANNOT_CONNECT), calls_producer=True),
    Row("VP009, reset", "VP009", f"{CAUSE}(java.net.SocketException: Connection reset)", produce=failing(Trouble.RESET), calls_producer=True),
    Row("VP009, timeout", "VP009", f"{CAUSE}({LATE}) The service platform NAME waited 29 seconds.", produce=failing(Trouble.TIMEOUT), calls_producer=True),
    Row("VP009, TLS", "VP009", f"{CAUSE}(javax.net.ssl.SSLHandshakeException: unknown ca)", produce=failing(Trouble.TLS, "unknown ca"), calls_producer=True),
    Row("VP009, status", "VP009", f"{CAUSE}{STATUS}503)\nVP_PRODUCER_EXCEPTION_HTTP_STATUS=503",
        produce=answering(b"sorry", status=503, headers=HEADERS_OF_PRODUCER), calls_producer=True),
    Row("VP009, redirect", "VP009", f"{CAUSE}{STATUS}302, redirectLocation: /x)\nVP_PRODUCER_EXCEPTION_HTTP_STATUS=302",
        produce=answering(b"", status=302, headers=(("Location", "/x"),)), calls_producer=True),
    Row("VP009, SOAP 1.2 fault", "VP009", f"{CAUSE}{STATUS}500)\nVP_PRODUCER_EXCEPTION_HTTP_STATUS=500",
        produce=answering(b"<e:Envelope xmlns:e='http://www.w3.org/2003/05/soap-envelope'/>", status=500), calls_producer=True),
    Row("VP009, empty", "VP009", f"{PRODUCER}Empty message when server responded with status code: 200 OK", produce=answering(b""), calls_producer=True),
    Row("VP010", "VP010", f"Physical Address field is empty in Service Producer for serviceNamespace: {DIAGNOSIS}, receiverId: SE1-NO-URL",
        body=lambda: question("SE1-NO-URL")),
    Row(
        "VP011",
        "VP011",
        "Caller was not on the white list of accepted IP-addresses.  IP-address: 192.0.2.1. "
        "HTTP header that caused checking: CamelNettyRemoteAddress",
        peer=OUTSIDE_TLS,
        before_req_in=True,
    ),
    Row("VP013", "VP013", "Sender is not approved to set header x-rivta-original-serviceconsumer-hsaid.", headers=((ORIGINAL, "SE1-NPO"),), before_req_in=True),
    Row("VP014, third visit", "VP014", "", headers=((HISTORY, f"A#{PLATFORM}#B#{PLATFORM}"),), before_req_in=True),
    Row("VP014, the same way again", "VP014", "", body=lambda: question("SE1-PLATFORM-BEHIND"), headers=((HISTORY, f"A#{PLATFORM}#{OTHER_PLATFORM}"),)),
    Row("VP015, no contract installed", "VP015", "No schema is installed for the contract " + UNKNOWN,
        body=lambda: of_contract(UNKNOWN), platform={"validation": Validation(reject_unknown_contract=True)}),
]  # fmt: skip


@pytest.fixture(scope="module")
def platforms(tmp_path_factory: pytest.TempPathFactory) -> Platforms:
    return Platforms(tmp_path_factory.mktemp("table"))


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: row.name)
async def test_each_fault_is_the_incumbents_byte_for_byte(platforms, row):
    platform = platforms(row.produce, **row.platform)
    answer = await platform.carry(row.request())
    assert answer.body == envelope(SIDES[row.code], f"{row.code} [NAME] {TEXTS[row.code]}", row.detail)
    assert (answer.status, sorted(answer.headers), answer.close) == (500, FAULT_HEADERS, row.closes)
    assert platform.record.outcome == row.code
    assert bool(platform.sent) is row.calls_producer


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: row.name)
async def test_each_fault_leaves_the_incumbents_log_events(platforms, row):
    platform = platforms(row.produce, **row.platform)
    await platform.carry(row.request())
    begun = [] if row.before_req_in else ["req-in"]
    begun += ["req-out"] if row.calls_producer else []
    seen = events(platform.record)
    assert [event["event.action"] for event in seen] == [*begun, "error", "resp-out"]
    assert {event.get("labels.errorCode") for event in seen[-2:]} == {row.code}
    assert seen[-1]["labels.statusCode"] == "500 Internal Server Error"


async def test_a_request_that_is_no_xml_is_vp015_with_the_parsers_words(platforms):
    answer = await platforms().carry(request(question()[:-10], (CORRELATION, "given-1")))
    before, after = envelope("Client", f"VP015 [NAME] {TEXTS['VP015']}", "\n").split(b"\n")
    assert answer.body.startswith(before) and answer.body.endswith(after) and len(answer.body) > len(before + after)
    assert (answer.status, sorted(answer.headers), answer.close) == (500, FAULT_HEADERS, False)


async def test_a_request_that_breaks_its_schema_is_vp015_after_the_decision_and_is_logged_as_come_in(platforms):
    platform = platforms()
    answer = await platform.carry(request(invalid(question()), (CORRELATION, "given-1")))
    start = envelope("Client", f"VP015 [NAME] {TEXTS['VP015']}", f"The request breaks the schema of {DIAGNOSIS}:\n")
    assert answer.body.startswith(start.partition(b"\n")[0] + b"\n")
    assert (sorted(answer.headers), answer.close) == (FAULT_HEADERS, False)
    assert [event["event.action"] for event in events(platform.record)] == ["req-in", "error", "resp-out"]


async def test_an_unexpected_error_is_a_fault_without_code_that_tells_nothing(platforms):
    platform = platforms()
    answer = await platform.carry(request(question("SE1-UNPARSABLE"), (CORRELATION, "given-1")))
    detail = f"See the platform's log for {CORRELATION} given-1"
    assert answer.body == envelope("Server", "Internal error in the service platform", detail)
    assert (answer.status, sorted(answer.headers), answer.close) == (500, FAULT_HEADERS, False)
    assert platform.record.outcome == "error"


async def test_a_fault_without_a_given_correlation_id_has_a_new_one(platforms):
    answer = await platforms().carry(request(question("SE1-NOBODY")))
    assert uuid.UUID(header(answer, CORRELATION) or "")


@pytest.mark.parametrize(("status", "body"), [(500, "fault"), (200, "fault"), (200, "text")])
async def test_what_a_producer_says_is_relayed_and_is_no_fault_of_the_platform(platforms, status, body):
    said = {
        "fault": b"<S:Envelope xmlns:S='http://schemas.xmlsoap.org/soap/envelope/'>?</S:Envelope>",
        "text": b"hello",
    }[body]
    platform = platforms(answering(said, status=status, headers=HEADERS_OF_PRODUCER))
    answer = await platform.carry(request(None, (CORRELATION, "given-1")))
    assert (answer.status, answer.body) == (status, said)
    assert header(answer, "Content-Type") == "text/xml; charset=UTF-8"
    assert header(answer, CORRELATION) == "given-1"
    assert (header(answer, "x-skltp-prt") or "").isdigit() and header(answer, "X-Any") == "1"
    assert platform.record.outcome == "routed"
    # A relayed fault under 500 is logged as an error once; there is an answer of the producer, unlike with VP009.
    failed = ["error"] if status == 500 else []
    actions = [event["event.action"] for event in events(platform.record)]
    assert actions == ["req-in", "req-out", "resp-in", *failed, "resp-out"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
async def test_a_producers_fault_is_known_in_every_width_of_letters_and_comes_as_its_consumer_wrote(
    platforms, encoding
):
    fault = "<S:Envelope xmlns:S='http://schemas.xmlsoap.org/soap/envelope/'><S:Body>å</S:Body></S:Envelope>"
    named = (("Content-Type", f"text/xml; charset={encoding}"),)
    platform = platforms(answering(fault.encode(encoding), status=500, headers=named))
    answer = await platform.carry(request())
    assert (platform.record.outcome, answer.status) == ("routed", 500)
    assert "<S:Body>å</S:Body>".encode() in answer.body


class TestWhatCannotBeReached:
    """VP001, VP005 and VP012: why, and that trying does not get there."""

    @pytest.mark.parametrize("entry", [b"", b"<To/>", b"<x:To xmlns:x='y'> </x:To>", b"<LogicalAddress/>", b"<Action>a</Action>"])  # fmt: skip
    async def test_vp001_since_what_gives_the_profile_also_gives_the_address(self, platforms, entry):
        body = re.sub(rb"<to:LogicalAddress .*</to:LogicalAddress>", entry, question())
        platform = platforms()
        await platform.carry(request(body))
        assert platform.record.outcome == "VP003"

    @pytest.mark.parametrize("profile", list(Profile))
    @pytest.mark.parametrize("address", ["SE1-UNIT", "SE1-OLD"])
    async def test_vp005_since_each_profile_that_a_message_can_have_is_translated_to_each_of_a_route(
        self, platforms, profile, address
    ):
        platform = platforms()
        await platform.carry(request(question(address, profile=profile)))
        assert platform.record.outcome == "routed"

    def test_vp005_since_no_table_has_another_profile(self, tmp_path):
        table = 'producer_addresses: {p: {component: C, url: "https://p.test/", profile: RIVTABP22}}\n'
        reading = read_draft(written(tmp_path, tables=table), contracts=FakeContracts(), relative_to=tmp_path)
        assert [problem.rule for problem in reading.problems if "RIVTABP22" in problem.message] == ["bad-profile"]

    @pytest.mark.parametrize(
        "odd",
        [b"<![CDATA[x]]>", b"<?pi x?>", b"<!-- c -->", b"<x xmlns=''/>", b"<a:b xmlns:a='http://www.w3.org/2005/08/addressing'/>", "<å>\U0001f600</å>".encode()],
    )  # fmt: skip
    async def test_vp012_since_a_message_that_was_read_can_be_written(self, platforms, odd):
        body = question("SE1-OLD").replace(b"</soapenv:Header>", odd + b"</soapenv:Header>")
        platform = platforms()
        await platform.carry(request(body))
        assert platform.record.outcome == "routed"


# What is wrong with a call, in the order in which it is noticed (section 0, and ours where `#` says so).
WRONGS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("nobody", "VP002", {"peer": nobody()}),
    ("outside TLS", "VP011", {"peer": OUTSIDE_TLS}),
    ("third visit", "VP014", {"history": f"{PLATFORM}#SE1-X#{PLATFORM}"}),
    ("malformed", "VP015", {"cut": True}),
    ("original consumer", "VP013", {"original": "SE1-NPO"}),
    ("no table", "VP008", {"has_table": False}),
    ("no address", "VP003", {"no_address": True}),
    ("no route", "VP004", {"contract": "urn:riv:test:GetLostResponder:1"}),
    ("several routes", "VP006", {"address": "SE1-TWICE"}),
    ("no url", "VP010", {"address": "SE1-NO-URL"}),
    ("same way again", "VP014", {"history": f"{PLATFORM}#{OTHER_PLATFORM}", "address": "SE1-PLATFORM-BEHIND"}),  # ours
    ("unparsable url", "error", {"address": "SE1-UNPARSABLE"}),
    ("no permission", "VP007", {"caller": "SE1-STRANGER"}),
    ("no schema", "VP015", {"contract": UNKNOWN, "address": "SE1-UNIT", "reject_unknown": True}),  # ours
    ("schema", "VP015", {"breaks_schema": True}),  # ours
    ("producer", "VP009", {"fails": True}),
)


def together(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any] | None:
    """Both in one request; None where one request cannot have both."""
    return None if set(first) & set(second) else first | second


PAIRS = [
    pytest.param(both, code, id=f"{one} before {other}")
    for (one, code, first), (other, _, second) in combinations(WRONGS, 2)
    if (both := together(first, second)) is not None
]


def wrong_request(wrong: dict[str, Any]) -> Request:
    body = question(wrong.get("address", "SE1-UNIT"))
    if "no_address" in wrong:
        body = without_address(body)
    if "breaks_schema" in wrong:
        body = invalid(body)
    if "contract" in wrong:
        body = body.replace(DIAGNOSIS.encode(), wrong["contract"].encode())
    if "cut" in wrong:
        body = body[:-10]
    headers = [(name, wrong[key]) for name, key in ((HISTORY, "history"), (ORIGINAL, "original")) if key in wrong]
    return request(body, *headers, peer=wrong.get("peer"), caller=sender(wrong.get("caller", CONSUMER)))


def wrong_platform(platforms: Platforms, wrong: dict[str, Any]) -> Any:
    return platforms(
        failing(Trouble.RESET) if "fails" in wrong else None,
        has_table=wrong.get("has_table", True),
        validation=Validation(reject_unknown_contract="reject_unknown" in wrong),
    )


@pytest.mark.parametrize(("name", "outcome", "wrong"), WRONGS, ids=[name for name, _, _ in WRONGS])
async def test_each_wrong_alone_has_its_fault(platforms, name, outcome, wrong):
    platform = wrong_platform(platforms, wrong)
    await platform.carry(wrong_request(wrong))
    assert platform.record.outcome == outcome


@pytest.mark.parametrize(("both", "outcome"), PAIRS)
async def test_of_two_wrongs_the_earlier_wins(platforms, both, outcome):
    platform = wrong_platform(platforms, both)
    await platform.carry(wrong_request(both))
    assert platform.record.outcome == outcome
    # Two wrongs share VP015: only the schema's is told by the contract.
    if outcome == "VP015" and "reject_unknown" not in both:
        assert ("breaks the schema" in platform.record.detail) == ("cut" not in both)


class TestTheEnvelopeHolds:
    @pytest.mark.parametrize(
        "address",
        [
            pytest.param("</detailString></detail><x a='b\"c'/>&amp;", id="markup"),
            pytest.param("]]><!-- --><?x?>", id="ends of sections"),
            pytest.param("a\tb\nc\rd", id="white space"),
            pytest.param("åäö\u2028\x85\x7f\u00ad", id="odd letters"),
            pytest.param("\U0001f468\u200d\u2695\ufe0f\U0010ffff", id="beyond 16 bits"),
            pytest.param("{0}{detail}%s", id="templates"),
        ],
    )
    async def test_any_text_that_a_consumer_chooses(self, platforms, address):
        escaped = "".join(f"&#{ord(c)};" for c in address).encode()
        answer = await platforms().carry(request(addressed(escaped)))
        root = parse_xml(answer.body)
        (detail,) = root.iter("detailString")
        blank = ". Whitespace detected in incoming request!" if " " in address else ""
        assert detail.text == f"{NO_ROUTE}{address}{blank}"
        assert len(detail) == 0 and [element.tag for element in root[1][0]] == ["faultcode", "faultstring", "detail"]

    async def test_the_name_of_any_platform(self, tmp_path, monkeypatch):
        named = "R&D <Öst> ]]> \U0001f600"
        monkeypatch.setattr(
            "tests.router.platforms.Policy", lambda platform, name, **more: Policy(platform, named, **more)
        )
        answer = await Platforms(tmp_path)().carry(request(question("SE1-NOBODY")))
        assert "R&amp;D &lt;Öst&gt; ]]&gt; \U0001f600".encode() in answer.body
        assert parse_xml(answer.body).findtext(".//faultstring") == f"VP004 [{named}] {TEXTS['VP004']}"

    @pytest.mark.parametrize("words", ["a\x00b", "\x1b[31m", "\ud800", "\ufffe"])
    async def test_what_no_xml_can_as_a_mark(self, platforms, words):
        answer = await platforms(failing(Trouble.TLS, words)).carry(request())
        detail = parse_xml(answer.body.decode("utf-8").encode()).findtext(".//detailString") or ""
        marked = re.sub("[\x00\x1b\ud800\ufffe]", "\ufffd", words)
        assert detail == f"{CAUSE}(javax.net.ssl.SSLHandshakeException: {marked})"

    async def test_the_longest_names_that_are_looked_up_whole_and_longer_ones_cut(self, platforms):
        for length, shown in ((500, "A" * 500), (501, "A" * 500 + "…")):
            answer = await platforms().carry(request(question("A" * length)))
            assert parse_xml(answer.body).findtext(".//detailString") == f"{NO_ROUTE}{shown}"

    async def test_a_contract_with_markup_in_its_name(self, platforms):
        answer = await platforms().carry(request(of_contract("urn:a&amp;b&apos;c:%3C")))
        detail = parse_xml(answer.body).findtext(".//detailString") or ""
        assert "serviceNamespace: urn:a&b'c:%3C, receiverId: SE1-UNIT" in detail

    async def test_where_a_producer_redirects_to(self, platforms):
        location = "https://a.test/?a=1&b=<c>"
        answer = await platforms(answering(b"", status=302, headers=(("Location", location),))).carry(request())
        assert f"redirectLocation: {location})" in (parse_xml(answer.body).findtext(".//detailString") or "")
