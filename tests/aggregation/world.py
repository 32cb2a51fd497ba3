"""An aggregating platform without sockets: a real table, pipeline and service; an index and sources that are functions."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from lxml import etree

from rivta.aggregation.merge import Wording
from rivta.aggregation.service import Aggregation, Rules, WithAggregation
from rivta.aggregation.services import services
from rivta.catalogue.decide import DecisionCache
from rivta.catalogue.hsa import HsaTree
from rivta.contracts import samples
from rivta.router.calling import Calling
from rivta.router.identify import Withdrawn, identify
from rivta.router.large import Giants
from rivta.router.messages import Answer, Headers, Peer, ProducerAnswer, ProducerFailure, Request, Target, Trouble
from rivta.router.pipeline import Router
from rivta.router.policy import Policy
from rivta.router.record import CallRecord
from rivta.router.schemas import Schemas
from rivta.soap import namespaces
from rivta.soap.head import read_head
from rivta.soap.identifiers import ContractNamespace, HsaId, LogicalAddress, Profile
from rivta.soap.xml import parse_xml
from rivta.tls.header_certificate import HeaderCertificates
from tests.catalogue.tables import NOW, compiled
from tests.router.platforms import Recorder, Sent, contracts, sender, validators

PLATFORM = HsaId("SE1-PLATFORM")
ADDRESS = LogicalAddress("5565594230")
CONSUMER = "SE1-CONSUMER"
PATIENT = samples.PATIENT
DIAGNOSIS = ContractNamespace(namespaces.GET_DIAGNOSIS_2)
CONTRACTS = (
    namespaces.GET_ALERT_INFORMATION_2,
    namespaces.GET_CARE_CONTACTS_2,
    namespaces.GET_CARE_CONTACTS_3,
    namespaces.GET_CARE_DOCUMENTATION_2,
    namespaces.GET_DIAGNOSIS_2,
    namespaces.GET_LABORATORY_ORDER_OUTCOME_3,
    namespaces.GET_LABORATORY_ORDER_OUTCOME_4,
    namespaces.GET_MEDICATION_HISTORY_2,
    namespaces.GET_VACCINATION_HISTORY_2,
)
"""Those that are shipped, and aggregated about a patient's journal."""
INDEX_URL = "unix:/run/index.sock"
STATUS = f"{{{namespaces.INTEROPERABILITY_HEADERS}}}"

Source = Callable[[Sent], ProducerAnswer | Awaitable[ProducerAnswer]]


@dataclass(frozen=True)
class Found:
    """A hit of the index; its two addresses are the same unless said otherwise."""

    logical_address: str
    source_system: str = ""
    categorization: str = "dia"

    def __post_init__(self) -> None:
        object.__setattr__(self, "source_system", self.source_system or self.logical_address)

    def xml(self) -> str:
        values = {
            "registeredResidentIdentification": PATIENT,
            "serviceDomain": "riv:clinicalprocess:healthcond:description",
            "categorization": self.categorization,
            "logicalAddress": self.logical_address,
            "businessObjectInstanceIdentifier": "NA",
            "clinicalProcessInterestId": "NA",
            "mostRecentContent": "20240311101500",
            "sourceSystem": self.source_system,
            "creationTime": "20240311101500",
            "dataController": "SE2321000016",
        }
        fields = "".join(f"<i:{name}>{escape(value)}</i:{name}>" for name, value in values.items())
        return f"<m:engagement>{fields}</m:engagement>"


def envelope(payload: str) -> bytes:
    return (
        f'<s:Envelope xmlns:s="{namespaces.SOAP_ENVELOPE}"><s:Header/><s:Body>{payload}</s:Body></s:Envelope>'
    ).encode()


def found(hits: Sequence[Found]) -> bytes:
    """FindContentResponse."""
    return envelope(
        f'<m:FindContentResponse xmlns:m="{namespaces.FIND_CONTENT_1}" xmlns:i="{namespaces.ENGAGEMENT_INDEX_1}">'
        f"{''.join(hit.xml() for hit in hits)}</m:FindContentResponse>"
    )


def fault(text: str = "It went wrong") -> ProducerAnswer:
    body = envelope(f"<s:Fault><faultcode>s:Server</faultcode><faultstring>{text}</faultstring></s:Fault>")
    return ProducerAnswer(500, "Internal Server Error", (), body)


def ok(body: bytes, *headers: tuple[str, str]) -> ProducerAnswer:
    return ProducerAnswer(200, "OK", headers, body)


def records(source: str, number: int = 1, *, contract: str = DIAGNOSIS, result: str = "") -> bytes:
    """A valid answer of a source with so many records, each with its source's name in it."""
    known = contracts().get(contract)
    assert known is not None
    payload = parse_xml(samples.response(known))
    kind = services({})[ContractNamespace(contract)].records[0]
    (model, *others) = payload.findall(f"{{{contract}}}{kind}")
    for other in others:
        payload.remove(other)
    for one in model.iter():
        if etree.QName(one).localname == "sourceSystemHSAId":
            one.text = source
    text = etree.tostring(model)
    at = payload.index(model)
    payload.remove(model)
    for copy in range(number):
        payload.insert(at + copy, parse_xml(text))
    for block in payload.xpath("*[local-name()='result']/*[local-name()='resultCode']"):  # type: ignore[union-attr]
        if result:
            block.text = result  # type: ignore[union-attr]
    return samples.envelope(etree.tostring(payload), source)


def answering(number: int = 1, **changes: Any) -> Source:
    """A source with so many records, whatever its address."""
    return lambda sent: ok(records(address_of(sent), number, **changes))


async def never(sent: Sent) -> ProducerAnswer:
    """A source that is asked and says nothing."""
    await asyncio.Event().wait()
    raise AssertionError


def address_of(sent: Sent) -> str:
    """Whom a message is for."""
    address = read_head(parse_xml(sent.body)).logical_address
    assert address is not None
    return address


def url_of(address: str) -> str:
    return f"https://{re.sub('[^a-z0-9-]', '-', address.lower())}.test/"


def table_of(addresses: Sequence[str], *, routed: Sequence[str], contract: str, more: str) -> str:
    """A table that lets the consumer call the aggregate and each of these addresses, each a producer of its own; those
    that are `routed` have a route only."""
    permitted, addresses = addresses, [*addresses, *routed]
    own = "\n".join(
        f'  p{number}: {{component: SE1-SOURCE, url: "{url_of(one)}", profile: RIVTABP21}}'
        for number, one in enumerate(addresses)
    )
    routes = "\n".join(
        f'  - {{logical_address: "{one}", contracts: ["{contract}"], producer_address: p{number}}}'
        for number, one in enumerate(addresses)
    )
    listed = ", ".join(f'"{one}"' for one in [ADDRESS, *permitted])
    return f"""
components:
  {CONSUMER}: {{name: consumer}}
  {PLATFORM}: {{name: platform, platform: true}}
  SE1-SOURCE: {{name: sources}}
producer_addresses:
  index: {{component: {PLATFORM}, url: "{INDEX_URL}", profile: RIVTABP21}}
  aggregation: {{component: {PLATFORM}, url: "aggregation:", profile: RIVTABP21}}
{own}
routes:
  - {{logical_address: "{ADDRESS}", contracts: ["{namespaces.FIND_CONTENT_1}"], producer_address: index}}
  - {{logical_address: "{ADDRESS}", contracts: ["{contract}"], producer_address: aggregation}}
{routes}
permissions:
  - {{consumer: {PLATFORM}, logical_address: "{ADDRESS}", contracts: ["{namespaces.FIND_CONTENT_1}"], agreement: test}}
  - {{consumer: {CONSUMER}, logical_address: [{listed}], contracts: ["{contract}"], agreement: test}}
{more}
"""


@dataclass
class Network:
    """The index and the sources by URL, and what each was sent."""

    index: Source
    sources: Mapping[str, Source]
    other: Source
    sent: list[Sent] = field(default_factory=list)

    async def send(self, target: Target, *, method: str, headers: Headers, body: bytes) -> ProducerAnswer:
        sent = Sent(target, method, headers, body)
        self.sent.append(sent)
        answer = (self.index if target.url == INDEX_URL else self.sources.get(target.url, self.other))(sent)
        if isinstance(answer, ProducerAnswer):
            return answer
        try:
            async with asyncio.timeout(target.answer_seconds):
                return await answer
        except TimeoutError as error:
            raise ProducerFailure(Trouble.TIMEOUT, "no answer in time") from error


@dataclass
class Platform:
    """An aggregating platform, what it has sent, and what it has recorded."""

    router: Router
    aggregation: Aggregation
    calling: Calling
    network: Network
    records: list[CallRecord]

    async def ask(self, body: bytes | None = None, *headers: tuple[str, str], caller: str = CONSUMER) -> Answer:
        return await self.router.carry(
            Request(
                method="POST",
                path="/vp",
                query={},
                headers=headers,
                body=question() if body is None else body,
                peer=Peer("192.0.2.1", sender(caller)),
            )
        )

    @property
    def asked(self) -> list[str]:
        """The sources that were asked."""
        return [address_of(sent) for sent in self.network.sent if sent.target.url != INDEX_URL]

    @property
    def questions(self) -> list[Sent]:
        """What the index was asked."""
        return [sent for sent in self.network.sent if sent.target.url == INDEX_URL]

    @property
    def record(self) -> CallRecord:
        """That of the aggregate itself: it ends last."""
        return self.records[-1]


class Worlds:
    """Makes aggregating platforms, each on a table of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0

    def __call__(
        self,
        hits: Sequence[Found] | Source = (),
        sources: Mapping[str, Source] | None = None,
        *,
        contract: str = DIAGNOSIS,
        permitted: Sequence[str] | None = None,
        routed: Sequence[str] = (),
        more: str = "",
        hsa: HsaTree | None = None,
        rows: Mapping[str, Mapping[str, Any]] | None = None,
        policy: Mapping[str, Any] | None = None,
        now: datetime = NOW,
        has_table: bool = True,
        in_order: bool = False,
        strict: bool = False,
        **rules: Any,
    ) -> Platform:
        """`permitted` are the addresses with a route and a permission: by default all that are hit."""
        self._number += 1
        if permitted is None:
            named = [] if callable(hits) else [one for hit in hits for one in (hit.logical_address, hit.source_system)]
            permitted = list(dict.fromkeys(one for one in [*named, *(sources or {})] if one and one != ADDRESS))
        text = table_of(permitted, routed=routed, contract=contract, more=more)
        table = compiled(self._folder / str(self._number), text, hsa=hsa)
        cache = DecisionCache(table)
        index = hits if callable(hits) else _finding(hits)
        network = Network(index, {url_of(address): one for address, one in (sources or {}).items()}, answering())
        chosen = Policy(PLATFORM, "NAME", **{"retry_delay_seconds": 0.0, **(policy or {})})
        kept: list[CallRecord] = []
        giants = Giants()
        aggregation = Aggregation(
            Rules(
                PLATFORM,
                address=ADDRESS,
                index_address=ADDRESS,
                services=services(rows or {}),
                compat=chosen.compat,
                wording=Wording(in_order=in_order, strict=strict),
                **rules,
            ),
            carry=lambda request: router.carry_to_its_end(request),
            table=lambda: cache if has_table else None,
            limit=chosen.in_flight_limit,
            now=lambda: now,
            giants=giants,
        )
        calling = Calling(chosen, WithAggregation(network, aggregation.answer))
        router = Router(
            chosen,
            table=lambda: cache,
            identify=partial(
                identify,
                policy=chosen,
                certificates=HeaderCertificates(),
                withdrawn=Withdrawn(lambda caller: False, lambda caller: ""),
            ),
            schemas=Schemas(chosen, lambda: (contracts(), validators())),
            calling=calling,
            now=lambda: now,
            recorder=Recorder(kept),
            giants=giants,
        )
        return Platform(router, aggregation, calling, network, kept)


def _finding(hits: Sequence[Found]) -> Source:
    body = found(hits)
    return lambda sent: ok(body)


def question(contract: str = DIAGNOSIS, *, profile: Profile = Profile.RIVTABP21, source: str = "") -> bytes:
    """A valid request to the aggregate about the patient, for one source only if that is named."""
    known = contracts().get(contract)
    assert known is not None
    payload = parse_xml(samples.request(known))
    if source:
        etree.SubElement(payload, f"{{{contract}}}sourceSystemHSAId").text = source
    return samples.envelope(etree.tostring(payload), ADDRESS, profile)


@dataclass(frozen=True)
class Status:
    """A record of ProcessingStatus, as a consumer reads it."""

    source: str
    status: str
    code: str | None
    text: str | None


def statuses(answer: Answer) -> dict[str, Status]:
    """How each source fared, by its address; no source may stand there twice."""
    root = parse_xml(answer.body)
    (header,) = root.iter(f"{STATUS}ProcessingStatus")
    read = [_status(one) for one in header.iterchildren(f"{STATUS}ProcessingStatusList")]
    assert len({one.source for one in read}) == len(read)
    return {one.source: one for one in read}


def _status(record: etree._Element) -> Status:
    error = record.find(f"{STATUS}lastUnsuccessfulSynchError")
    return Status(
        source=record.findtext(f"{STATUS}logicalAddress") or "",
        status=record.findtext(f"{STATUS}statusCode") or "",
        code=None if error is None else error.findtext(f"{STATUS}code"),
        text=None if error is None else error.findtext(f"{STATUS}text"),
    )


def answered(answer: Answer, kind: str = "diagnosis", *, contract: str = DIAGNOSIS) -> list[str]:
    """The source of each record in an answer, in order; the answer is valid by its contract's schema."""
    assert answer.status == 200, answer.body
    assert is_valid(answer, contract)
    payload = read_head(parse_xml(answer.body)).payload
    assert payload is not None
    return [source_in(one) for one in payload.iterchildren(f"{{{contract}}}{kind}")]


def is_valid(answer: Answer, contract: str) -> bool:
    """Whether an answer, header included, is as its contract's schema has it; if not, the test shows why."""
    known, head = contracts().get(contract), read_head(parse_xml(answer.body))
    assert known is not None
    assert head.payload is not None
    verdict = validators().check(known, head.payload, "response", head.header)
    assert verdict.valid, verdict
    return True


def source_in(record: etree._Element) -> str:
    return next(one.text or "" for one in record.iter() if etree.QName(one).localname == "sourceSystemHSAId")


def faultstring(answer: Answer) -> str:
    assert answer.status == 500, answer.body
    return parse_xml(answer.body).findtext(".//faultstring") or ""
