"""A platform without sockets: a real table, real contracts, a producer that is a function, and a list of records."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from lxml import etree

from rivta import shipped
from rivta.catalogue.decide import DecisionCache
from rivta.contracts import samples
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators
from rivta.router.calling import Calling
from rivta.router.identify import Withdrawn, identify
from rivta.router.messages import Answer, Headers, Peer, ProducerAnswer, ProducerFailure, Request, Target, Trouble
from rivta.router.pipeline import Router
from rivta.router.policy import Policy
from rivta.router.record import CallRecord, CannotRecord
from rivta.router.schemas import Schemas
from rivta.soap.identifiers import HsaId, Profile
from rivta.soap.xml import parse_xml
from rivta.tls.header_certificate import HeaderCertificates
from rivta.tls.sender import Sender
from tests.catalogue.tables import DIAGNOSIS, NOW, compiled

PLATFORM = HsaId("SE1-PLATFORM")
CONSUMER = "SE1-CONSUMER"
OTHER_PLATFORM = "SE1-OTHER-PLATFORM"
PRODUCER_URL = "https://producer.test:8443/diagnosis"
PATIENT = samples.PATIENT

# A table of every kind of address; the names say what they provoke.
TABLE = f"""
components:
  {CONSUMER}: {{name: consumer}}
  {OTHER_PLATFORM}: {{name: another platform, platform: true}}
  SE1-PRODUCER: {{name: producer}}
producer_addresses:
  producer: {{component: SE1-PRODUCER, url: "{PRODUCER_URL}", profile: RIVTABP21}}
  old: {{component: SE1-PRODUCER, url: "https://old.test/x", profile: RIVTABP20}}
  platform: {{component: {OTHER_PLATFORM}, url: "https://platform.test/vp", profile: RIVTABP21}}
  plain: {{component: SE1-PRODUCER, url: "http://plain.test:80/x", profile: RIVTABP21}}
  own: {{component: SE1-PRODUCER, url: "unix:/run/own", profile: RIVTABP21}}
  blank: {{component: SE1-PRODUCER, url: "${{nothing}}", profile: RIVTABP21}}
  identity: {{component: SE1-PRODUCER, url: "{PRODUCER_URL}", profile: RIVTABP21, client_certificate: another}}
  unparsable: {{component: SE1-PRODUCER, url: "https://[producer.test/", profile: RIVTABP21}}
routes:
  - {{logical_address: [SE1-UNIT, SE1-LOCKED, SE1-TWICE], contracts: [GetDiagnosis:2], producer_address: producer}}
  - {{logical_address: [SE1-OLD, SE1-TWICE], contracts: [GetDiagnosis:2], producer_address: old}}
  - {{logical_address: SE1-PLATFORM-BEHIND, contracts: [GetDiagnosis:2], producer_address: platform}}
  - {{logical_address: SE1-PLAIN, contracts: [GetDiagnosis:2], producer_address: plain}}
  - {{logical_address: SE1-OWN, contracts: [GetDiagnosis:2], producer_address: own}}
  - {{logical_address: SE1-NO-URL, contracts: [GetDiagnosis:2], producer_address: blank}}
  - {{logical_address: SE1-OTHER-IDENTITY, contracts: [GetDiagnosis:2], producer_address: identity}}
  - {{logical_address: SE1-UNPARSABLE, contracts: [GetDiagnosis:2], producer_address: unparsable}}
  - {{logical_address: SE1-UNIT, contracts: ["urn:riv:test:GetNothingResponder:1"], producer_address: producer}}
permissions:
  - consumer: [{CONSUMER}, {OTHER_PLATFORM}]
    logical_address: [SE1-UNIT, SE1-OLD, SE1-TWICE, SE1-PLATFORM-BEHIND, SE1-PLAIN, SE1-OWN, SE1-NO-URL, SE1-UNPARSABLE, SE1-OTHER-IDENTITY]
    contracts: [GetDiagnosis:2, "urn:riv:test:GetNothingResponder:1"]
    agreement: test
"""


@cache
def contracts() -> Contracts:
    return Contracts.load(shipped.folder("contracts") / "xsd")


@cache
def validators() -> Validators:
    return Validators(contracts())


@cache
def _payload(kind: str) -> bytes:
    contract = contracts().find("GetDiagnosis:2")
    return samples.request(contract) if kind == "request" else samples.response(contract)


def question(address: str = "SE1-UNIT", *, profile: Profile = Profile.RIVTABP21) -> bytes:
    """A valid GetDiagnosis request."""
    return samples.envelope(_payload("request"), address, profile)


def reply() -> bytes:
    """A valid GetDiagnosis response."""
    return samples.envelope(_payload("response"), "SE1-UNIT")


def misplaced(message: bytes, number: str = PATIENT) -> bytes:
    """The message with the number where its contract has a day or a truth value: what is wrong is the number."""
    number = f">{number}<"
    period = f"</r:patientId><r:timePeriod><d:start{number}/d:start><d:end>20240101</d:end></r:timePeriod>"
    return message.replace(b"</r:patientId>", period.encode()).replace(b">true<", number.encode())


def invalid(message: bytes) -> bytes:
    """The message with the patient's number where it does not belong, and in elements that its contract lacks."""
    root = parse_xml(misplaced(message))
    payload = root[1][0]
    for _ in range(30):
        etree.SubElement(payload, f"{{{DIAGNOSIS}}}unheardOf").text = PATIENT
    return etree.tostring(root)


def sender(hsa_id: str = CONSUMER, *, until: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> Sender:
    return Sender(hsa_id=hsa_id, subject=f"CN={hsa_id}", issuer_key=b"k", serial=1, not_after=until)


def request(
    body: bytes | None = None,
    *headers: tuple[str, str],
    caller: Sender | None = None,
    peer: Peer | None = None,
    method: str = "POST",
) -> Request:
    """A call as the transport hands it over."""
    return Request(
        method=method,
        path="/vp",
        query={},
        headers=headers,
        body=question() if body is None else body,
        peer=peer or Peer("192.0.2.1", caller or sender()),
    )


@dataclass
class Sent:
    """What a producer was sent."""

    target: Target
    method: str
    headers: Headers
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


Produce = Callable[[Sent], ProducerAnswer | Awaitable[ProducerAnswer]]


def answering(body: bytes | None = None, *, status: int = 200, reason: str = "OK", headers: Headers = ()) -> Produce:
    answer = ProducerAnswer(status, reason, headers, reply() if body is None else body)
    return lambda sent: answer


def failing(trouble: Trouble, message: str = "words of the library", *, times: int = 1000) -> Produce:
    """Fails so many times, then answers."""
    left = [times]

    def produce(sent: Sent) -> ProducerAnswer:
        if left[0] == 0:
            return answering()(sent)  # type: ignore[return-value]
        left[0] -= 1
        raise ProducerFailure(trouble, message)

    return produce


@dataclass
class Platform:
    """A router, what its producer was sent and what it recorded."""

    router: Router
    calling: Calling
    sent: list[Sent]
    records: list[CallRecord]

    async def carry(self, request: Request) -> Answer:
        return await self.router.carry(request)

    @property
    def record(self) -> CallRecord:
        """The record of the one call."""
        (record,) = self.records
        return record


@dataclass
class Recorder:
    """A list; `refuses` is where it refuses: nowhere, `check` or `add`."""

    records: list[CallRecord]
    refuses: str = ""

    def check(self) -> None:
        if self.refuses == "check":
            raise CannotRecord("the disk is full")

    async def add(self, record: CallRecord) -> None:
        if self.refuses == "add":
            raise CannotRecord("the disk is full")
        self.records.append(record)


@dataclass
class Producers:
    produce: Produce
    sent: list[Sent] = field(default_factory=list)

    async def send(self, target: Target, *, method: str, headers: Headers, body: bytes) -> ProducerAnswer:
        sent = Sent(target, method, headers, body)
        self.sent.append(sent)
        answer = self.produce(sent)
        return answer if isinstance(answer, ProducerAnswer) else await answer


class Platforms:
    """Makes platforms on one compiled table."""

    def __init__(self, folder: Path) -> None:
        self.table = compiled(folder, TABLE, variables={"nothing": ""})

    def __call__(
        self,
        produce: Produce | None = None,
        *,
        has_table: bool = True,
        revoked: bool = False,
        refuses: str = "",
        now: datetime = NOW,
        header_certificates: HeaderCertificates | None = None,
        **policy: Any,
    ) -> Platform:
        cache = DecisionCache(self.table)
        producers, records = Producers(produce or answering()), list[CallRecord]()
        settings: dict[str, Any] = {
            "original_consumer_allowed": frozenset({OTHER_PLATFORM}),
            "retry_delay_seconds": 0.0,
        } | policy
        chosen = Policy(PLATFORM, "NAME", **settings)
        calling = Calling(chosen, producers)
        router = Router(
            chosen,
            table=lambda: cache if has_table else None,
            identify=partial(
                identify,
                policy=chosen,
                certificates=header_certificates or HeaderCertificates(),
                withdrawn=Withdrawn(lambda caller: revoked, lambda caller: ""),
            ),
            schemas=Schemas(chosen, lambda: (contracts(), validators())),
            calling=calling,
            now=lambda: now,
            recorder=Recorder(records, refuses),
        )
        return Platform(router, calling, producers.sent, records)


@dataclass(frozen=True)
class SeenFault:
    """A fault as a consumer reads it."""

    code: str
    side: str
    detail: str
    text: str


def fault(answer: Answer) -> SeenFault:
    """The fault in an answer made by the platform."""
    assert answer.status == 500
    assert ("Content-Type", "text/xml; charset=UTF-8") in answer.headers
    root = parse_xml(answer.body)
    text, side = root.findtext(".//faultstring"), root.findtext(".//faultcode")
    assert text is not None and side is not None
    return SeenFault(
        code=text.partition(" ")[0],
        side=side.removeprefix("SOAP-ENV:"),
        detail=root.findtext(".//detailString") or "",
        text=re.sub(r"^VP\d{3} \[NAME\] ", "", text),
    )


def header(answer: Answer, name: str) -> str | None:
    return next((value for key, value in answer.headers if key.lower() == name.lower()), None)
