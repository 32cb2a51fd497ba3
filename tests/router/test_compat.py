"""Each deviation that has a switch: it is there without the switch, and gone with it, through a settings file.

A row of the list with a switch and without a case here fails, and so does a case whose row is gone.
"""

import asyncio
import contextlib
import dataclasses
import re
import socket
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rivta.catalogue.hsa import HsaTree, Unit
from rivta.router.client import ProducerClient
from rivta.router.deviations import DEVIATIONS, Deviation
from rivta.router.messages import Answer, Peer, Request, Trouble
from rivta.run import ports
from rivta.run.assembly import assemble_platform
from rivta.run.home import Home
from rivta.run.router_settings import client_rules_of, identities_of, policy_of
from rivta.run.settings import Settings
from rivta.run.trust import RevocationWatch
from rivta.soap import namespaces
from rivta.soap.identifiers import HsaId
from rivta.soap.xml import parse_xml
from rivta.tls.authority import Authority
from rivta.tls.contexts import server_context
from rivta.tls.header_certificate import HeaderCertificates
from rivta.tls.sender import sender_from_certificate
from tests.aggregation.world import DIAGNOSIS, Found, Worlds, statuses
from tests.aggregation.world import Platform as Aggregating
from tests.catalogue.tables import NOW
from tests.router.platforms import (
    CONSUMER,
    PLATFORM,
    Platform,
    Platforms,
    Produce,
    Sent,
    answering,
    failing,
    header,
    invalid,
    question,
    reply,
    request,
    sender,
)
from tests.run.test_settings import LEAST
from tests.tls.hierarchy import ISSUING, make

pytestmark = pytest.mark.sockets

PROXY = "SE1-PROXY"
HISTORY = "x-rivta-routing-history"
CORRELATION = "x-skltp-correlation-id"
ORIGINAL = "x-rivta-original-serviceconsumer-hsaid"
MTOM = 'multipart/related; boundary=b; type="application/xop+xml"'


@dataclass(frozen=True)
class World:
    """What the cases stand on; `made` is a settings file's content beside the least."""

    platforms: Platforms
    authority: Authority
    folder: Path
    short_folder: Path
    made: dict[str, Any]

    @property
    def settings(self) -> Settings:
        issued = self.authority.folder / "issued"
        tls = {
            "certificate": str(issued / "consumer.pem"),
            "key": str(issued / "consumer.key"),
            "trusted": [str(self.authority.ca)],
            "crl": [str(self.authority.crl_file)],
        }
        return Settings.parse(LEAST | {"tls": tls} | self.made, self.folder / "platform.toml")

    def platform(self, produce: Produce | None = None, **policy: Any) -> Platform:
        """A platform with the switches of the settings."""
        switches = policy_of(self.settings)
        certificates = HeaderCertificates(
            [ISSUING.certificate], checked=not switches.insecure.header_certificate_unchecked
        )
        policy = {"compat": switches.compat, "insecure": switches.insecure, **policy}
        return self.platforms(produce, header_certificates=certificates, **policy)

    async def carried(self, asked: Request, produce: Produce | None = None, **policy: Any) -> Platform:
        """The platform after that one call."""
        platform = self.platform(produce, **policy)
        await platform.carry(asked)
        return platform

    async def answer(self, asked: Request | None = None, produce: Produce | None = None, **policy: Any) -> Answer:
        return await self.platform(produce, **policy).carry(asked or request())

    async def called(self, says: bytes, certificate: str = "") -> Answer:
        """The answer to a call whose producer is a socket that says this, over TLS with that certificate if any."""
        issued, settings = self.authority.folder / "issued", self.settings
        tls = certificate and server_context(
            certificate=issued / f"{certificate}.pem", key=issued / f"{certificate}.key", trusted=self.authority.ca
        )

        async def producer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                await reader.readuntil(b"Envelope>")
                writer.write(says)
            writer.close()

        watch = RevocationWatch.of(settings.tls, clock=lambda: NOW, accepts_doubt=False)
        client = ProducerClient(identities_of(settings, watch), client_rules_of(settings))
        server = await asyncio.start_server(producer, "127.0.0.1", 0, ssl=tls or None)
        url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"

        async def produce(sent: Sent) -> Any:
            target = dataclasses.replace(sent.target, url=url)
            return await client.send(target, method=sent.method, headers=sent.headers, body=sent.body)

        try:
            return await self.answer(None, produce)
        finally:
            await client.close()
            server.close()


@dataclass(frozen=True)
class Case:
    """What is seen of a deviation, what it is here and what with the incumbent."""

    see: Callable[[World], Awaitable[Any]]
    here: Any
    incumbent: Any


def message(body: bytes, length: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (length, body)


def package(root: bytes) -> bytes:
    parts = (b"Content-Type: application/xop+xml; type=text/xml", root), (b"Content-ID: <a@x>", b"attached")
    return b"".join(b"--b\r\n%s\r\n\r\n%s\r\n" % part for part in parts) + b"--b--\r\n"


def typed(content_type: str) -> tuple[str, str]:
    return ("Content-Type", content_type)


def called_latin(text: bytes) -> bytes:
    return text.replace(b"<?xml version='1.0' encoding='UTF-8'?>", b"<?xml version='1.0' encoding='ISO-8859-1'?>")


def noted(text: bytes, note: str) -> bytes:
    return text.replace(b"<soapenv:Body>", f"<soapenv:Body><!--{note}-->".encode())


def fault_of(answer: Answer) -> tuple[str, str]:
    root = parse_xml(answer.body)
    return root.findtext(".//faultstring") or "", root.findtext(".//detailString") or ""


def including(text: bytes) -> bytes:
    """The message with a place for the attachment, in a contract that nothing checks."""
    text = re.sub(rb"urn:riv:clinicalprocess\S+:GetDiagnosisResponder:2", b"urn:riv:test:GetNothingResponder:1", text)
    include = f'<pdf><i:Include xmlns:i="{namespaces.XOP_INCLUDE}" href="cid:a@x"/></pdf>'.encode()
    return re.sub(rb"(</\w+:GetDiagnosis\w*></soapenv:Body>)", include + rb"\1", text)


async def schema_of_request(world: World) -> str:
    return (await world.carried(request(invalid(question())))).record.outcome


async def schema_of_answer(world: World) -> bool:
    return bool((await world.carried(request(), answering(invalid(reply())))).record.violations)


async def malformed_behind_the_body(world: World) -> tuple[str, list[bytes]]:
    platform = await world.carried(request(question()[:-10]))
    return platform.record.outcome, [sent.body for sent in platform.sent]


async def soap_12(world: World) -> str:
    body = question().replace(namespaces.SOAP_ENVELOPE.encode(), namespaces.SOAP_12_ENVELOPE.encode())
    return (await world.carried(request(body))).record.outcome


async def mtom(world: World) -> tuple[str, bool]:
    platform = await world.carried(request(package(including(question())), typed(MTOM)))
    return platform.record.outcome, b"<pdf>YXR0YWNoZWQ=</pdf>" in platform.sent[0].body


async def mtom_answer(world: World) -> tuple[bytes, bool]:
    answer = await world.answer(None, answering(package(including(reply())), headers=(typed(MTOM),)))
    return answer.body[:4], b"<pdf>YXR0YWNoZWQ=</pdf>" in answer.body


async def declaration_against_content_type(world: World) -> tuple[bool, str | None]:
    platform = world.platform()
    answer = await platform.carry(request(noted(question(), "å"), typed("text/xml; charset=ISO-8859-1")))
    return "<!--å-->".encode() in platform.sent[0].body, header(answer, "Content-Type")


async def request_in_another_charset(world: World) -> tuple[str | None, str]:
    answer = await world.answer(request(question().decode().replace("UTF-8", "UTF-16").encode("utf-16")))
    return header(answer, "Content-Type"), answer.body.decode("utf-16")[:38]


async def utf_8_that_is_called_otherwise(world: World) -> bool:
    body = question().replace(b"'UTF-8'", b"'UTF-16'")
    return (await world.carried(request(body))).sent[0].body == body


async def answer_that_is_not_utf_8(world: World) -> tuple[str | None, bool]:
    theirs = called_latin(reply()).decode().encode("latin-1")
    answer = await world.answer(None, answering(theirs))
    return header(answer, "Content-Type"), answer.body == theirs


async def long_address(world: World) -> tuple[str, bool]:
    record = (await world.carried(request(question("A" * 600)))).record
    return record.outcome, bool(record.route_trace)


async def plain_http(world: World) -> str:
    certificate = ("x-vp-auth-cert", make("c", "issuing", hsa_id=CONSUMER).bare)
    peer = Peer("127.0.0.1", None, plain=True)
    return (await world.carried(request(None, certificate, peer=peer))).record.outcome


async def old_tls(world: World) -> ssl.TLSVersion:
    own, insecure = world.settings.tls, world.settings.insecure_switches
    context = server_context(certificate=own.certificate, key=own.key, trusted=own.trusted, old_tls=insecure.old_tls)
    return context.minimum_version


async def original_consumer(world: World) -> str:
    policy: dict[str, Any] = {"original_consumer_allowed": frozenset()}
    return (await world.carried(request(None, (ORIGINAL, "SE1-NPO")), **policy)).record.outcome


async def certificate_in_a_header(world: World) -> str:
    forged = ("X-Cert", make("forger", "forger", hsa_id=CONSUMER).bare)
    return (await world.carried(request(None, forged, caller=sender(PROXY)), proxies={PROXY: "X-Cert"})).record.outcome


async def overdue_list(world: World) -> bool:
    pem = (world.authority.folder / "issued" / "consumer.pem").read_text()
    own = sender_from_certificate(ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END")] + "-----END CERTIFICATE-----"))
    settings = world.settings
    accepts = settings.insecure_switches.overdue_crl_accepted
    watch = RevocationWatch.of(settings.tls, clock=lambda: NOW + timedelta(days=4000), accepts_doubt=accepts)
    return bool(watch.doubt(own))


async def loop(world: World) -> str:
    return (await world.carried(request(None, (HISTORY, f"A#{PLATFORM}#B#{PLATFORM}")))).record.outcome


async def correlation_id(world: World) -> list[str]:
    asked = request(question("SE1-PLATFORM-BEHIND"), (CORRELATION, "given-1"))
    return (await world.carried(asked)).sent[0].values(CORRELATION)


async def query(world: World) -> str:
    asked = dataclasses.replace(request(), query={"a": "1"}, raw_query="a=1")
    return (await world.carried(asked)).sent[0].target.url


async def host_name(world: World) -> int:
    return (await world.called(message(reply(), len(reply())), "elsewhere")).status


async def retry(world: World) -> int:
    return len((await world.carried(request(), failing(Trouble.RESET, times=1))).sent)


async def calls_under_way(world: World) -> int:
    async def slow(sent: Sent) -> Any:
        await asyncio.sleep(0)
        return answering()(sent)

    platform = world.platform(slow, in_flight_per_producer=1)
    await asyncio.gather(*(platform.carry(request()) for _ in range(3)))
    return len(platform.sent)


async def producer_that_does_not_answer(world: World) -> int:
    platform = world.platform(failing(Trouble.TIMEOUT))
    for _ in range(7):
        await platform.carry(request())
    return len(platform.sent)


async def translation(world: World) -> str:
    note = f"<a:Note xmlns:a='{namespaces.REGISTRY_1}'/></soapenv:Header>".encode()
    platform = await world.carried(request(question("SE1-OLD").replace(b"</soapenv:Header>", note)))
    found = next(one for one in parse_xml(platform.sent[0].body).iter() if str(one.tag).endswith("}Note"))
    return str(found.tag).partition("}")[0][1:]


async def empty_202(world: World) -> int:
    return (await world.answer(None, answering(b"", status=202, reason="Accepted"))).status


async def hangs_up(world: World) -> tuple[str, str]:
    text, detail = fault_of(await world.answer(None, failing(Trouble.NO_ANSWER)))
    return text, detail.partition(":")[0]


async def too_long(world: World) -> tuple[str, str]:
    text, detail = fault_of(await world.answer(None, failing(Trouble.TOO_LARGE)))
    return text, detail.partition(":")[0]


async def cut_answer(world: World) -> tuple[int, bool]:
    answer = await world.called(message(reply(), len(reply()) + 9))
    return answer.status, answer.body == reply()


async def empty_200(world: World) -> str | None:
    return header(await world.answer(None, answering(b"")), "Content-Type")


async def errors_below_soap(world: World) -> bytes:
    return (await world.platform().router.turn_away(request(), 413, "Too long.")).body


async def server(world: World) -> str | None:
    return header(await world.answer(None, answering(headers=(("Server", "theirs"),))), "Server")


async def cookie(world: World) -> str | None:
    return header(await world.answer(None, answering(headers=(("Set-Cookie", "session=1"),))), "Set-Cookie")


async def status_pages(world: World) -> bool:
    doors = {door: f"127.0.0.1:{_free_port()}" for door in ("https", "admin", "status")}
    settings = dataclasses.replace(world, made={**world.made, "listen": doors}).settings
    assembly = assemble_platform(Home(world.short_folder / "compat"), world.folder / "platform.toml", settings)
    for listener in assembly.listeners.values():
        ports.close(listener)
    return "platform-status" in assembly.listeners


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


VP009 = "VP009 [NAME] Fel vid kontakt med tjänsteproducenten."
AT_PRODUCER = "Error connecting to service producer at address https"
UTF_8, IN_UTF_16 = "text/xml; charset=UTF-8", "text/xml; charset=UTF-16"


def aggregating(world: World, **made: Any) -> Aggregating:
    """An aggregating platform with the switches of the settings."""
    world.folder.joinpath("aggregating").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=world.folder / "aggregating"))
    policy = {"compat": policy_of(world.settings).compat, "original_consumer_allowed": frozenset({HsaId(CONSUMER)})}
    return Worlds(folder)([Found(made.pop("unit", "SE1-UNIT"), "SE1-SYSTEM")], policy=policy, **made)


async def permission_of_the_original(world: World) -> list[str]:
    row = f'  - {{consumer: SE1-ORIGINAL, logical_address: [SE1-UNIT], contracts: ["{DIAGNOSIS}"], agreement: test}}'
    platform = aggregating(world, permitted=["SE1-SYSTEM"], routed=["SE1-UNIT"], more=row)
    await platform.ask(None, (ORIGINAL, "SE1-ORIGINAL"))
    return platform.asked


async def permission_above(world: World) -> list[str]:
    tree = HsaTree({"SE1-UNIT": Unit("SE1-UNIT", "", "SE1-ABOVE"), "SE1-ABOVE": Unit("SE1-ABOVE", "", None)})
    platform = aggregating(world, permitted=["SE1-SYSTEM", "SE1-ABOVE"], hsa=tree)
    await platform.ask()
    return platform.asked


async def forbidden_source(world: World) -> dict[str, str | None]:
    told = statuses(await aggregating(world, permitted=["SE1-UNIT"]).ask())
    return {name: one.code for name, one in told.items()}


CASES: dict[str, Case] = {
    "Schema of a request": Case(schema_of_request, "VP015", "routed"),
    "Schema of an answer": Case(schema_of_answer, True, False),
    "Malformed XML behind the first element of the body": Case(
        malformed_behind_the_body, ("VP015", []), ("routed", [question()[:-10]])
    ),
    "SOAP 1.2 envelope": Case(soap_12, "VP015", "routed"),
    "MTOM/XOP": Case(mtom, ("routed", True), ("routed", False)),
    '`encoding="UTF-8"` in the document, another charset in the Content-Type': Case(
        declaration_against_content_type, (True, UTF_8), (False, "text/xml; charset=ISO-8859-1")
    ),
    "Request in another charset": Case(
        request_in_another_charset,
        (IN_UTF_16, "<?xml version='1.0' encoding='UTF-16'?>"[:38]),
        (IN_UTF_16, "<?xml version='1.0' encoding='UTF-8'?>"),
    ),
    "UTF-8 that calls itself something else in its declaration": Case(utf_8_that_is_called_otherwise, False, True),
    "Logical address or contract of more than 500 characters": Case(long_address, ("VP004", False), ("VP004", True)),
    "Plain http: sender headers and certificate headers from addresses in a whitelist": Case(
        plain_http, "VP011", "routed"
    ),
    "TLS": Case(old_tls, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1),
    "`x-rivta-original-serviceconsumer-hsaid` from a sender that is not listed": Case(
        original_consumer, "VP013", "routed"
    ),
    "Certificate in a header, from a proxy in front": Case(certificate_in_a_header, "VP002", "routed"),
    "Revocation list that is overdue, or missing since the start": Case(overdue_list, True, False),
    "Loops (VP014), by `x-rivta-routing-history`": Case(loop, "VP014", "routed"),
    "`x-skltp-correlation-id` to https producers": Case(correlation_id, ["given-1"], []),
    "Query string of the incoming URL": Case(
        query, "https://producer.test:8443/diagnosis", "https://producer.test:8443/diagnosis?a=1"
    ),
    "Producer's host name": Case(host_name, 500, 200),
    "Retry": Case(retry, 1, 2),
    "Calls under way to one producer": Case(calls_under_way, 1, 3),
    "Producer that does not answer, or cannot be connected to": Case(producer_that_does_not_answer, 5, 7),
    "Translation between profiles": Case(translation, namespaces.REGISTRY_1, namespaces.WS_ADDRESSING),
    "Answer that is not UTF-8": Case(answer_that_is_not_utf_8, (UTF_8, False), (UTF_8, True)),
    "Answer with attachments beside it (MTOM)": Case(mtom_answer, (b"<?xm", True), (b"--b\r", False)),
    "Empty 202 or 204": Case(empty_202, 202, 500),
    "Producer hangs up without answer": Case(
        hangs_up,
        (VP009, AT_PRODUCER),
        ("No response received from remote server: producer.test:8443", "org.apache.camel.CamelExchangeException"),
    ),
    "Answer longer than the limit": Case(
        too_long,
        (VP009, AT_PRODUCER),
        ("Response entity too large", "io.netty.handler.codec.TooLongFrameException"),
    ),
    "Answer that ends before its announced length": Case(cut_answer, (500, False), (200, True)),
    "Fault for an empty 200": Case(empty_200, UTF_8, None),
    "HTTP errors below SOAP": Case(errors_below_soap, b"Too long.\n", b""),
    "`Server` header": Case(server, None, "theirs"),
    "`Set-Cookie` of a producer, `Cookie` of a consumer": Case(cookie, None, "session=1"),
    "Reset and status": Case(status_pages, False, True),
    "Whose permission counts for a source": Case(permission_of_the_original, [], ["SE1-SYSTEM"]),
    "Permission on a unit above a source, or for a source's address with a delimiter": Case(
        permission_above, ["SE1-SYSTEM"], []
    ),
    "Which of an engagement's two addresses needs a permission": Case(forbidden_source, {}, {"SE1-SYSTEM": "500"}),
}

SWITCHED = [pytest.param(row, id=row.about) for row in DEVIATIONS if row.switch]
ON_THE_WIRE = [pytest.param(row, id=row.about) for row in DEVIATIONS if row.switch.startswith("compat.")]
WEAKENING = [pytest.param(row, id=row.about) for row in DEVIATIONS if row.switch.startswith("insecure.")]


@pytest.fixture(scope="module")
def platforms(tmp_path_factory: pytest.TempPathFactory) -> Platforms:
    return Platforms(tmp_path_factory.mktemp("table"))


@pytest.fixture
def world(platforms: Platforms, authority: Authority, short_folder: Path, tmp_path: Path) -> World:
    return World(platforms, authority, tmp_path, short_folder, {})


def test_every_deviation_with_a_switch_has_its_case():
    assert set(CASES) == {row.about for row in DEVIATIONS if row.switch}


@pytest.mark.parametrize("row", SWITCHED)
async def test_is_there_without_its_switch_and_gone_with_it(world: World, row: Deviation) -> None:
    case, (section, name) = CASES[row.about], row.switch.split(".")
    assert await case.see(world) == case.here
    assert await case.see(dataclasses.replace(world, made={section: {name: True}})) == case.incumbent


@pytest.mark.parametrize("row", ON_THE_WIRE)
async def test_is_gone_with_all_of_the_incumbents_ways_at_once(world: World, row: Deviation) -> None:
    """No switch may hide what another brings back."""
    case = CASES[row.about]
    assert await case.see(dataclasses.replace(world, made={"compat": "vp"})) == case.incumbent


@pytest.mark.parametrize("row", WEAKENING)
async def test_stays_where_it_keeps_security(world: World, row: Deviation) -> None:
    case = CASES[row.about]
    assert await case.see(dataclasses.replace(world, made={"compat": "vp"})) == case.here
