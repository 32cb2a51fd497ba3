"""What a consumer asks an aggregating service, and the same request as each source gets it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from lxml import etree

from rivta.aggregation.services import Place, Service
from rivta.catalogue.rows import SWEDISH_TIME
from rivta.index.client import Question as IndexQuestion
from rivta.router.headers import CORRELATION_ID, ORIGINAL_CONSUMER, SENDER_ID
from rivta.router.messages import Headers
from rivta.soap import namespaces
from rivta.soap.charsets import UTF_8, written
from rivta.soap.head import read_head, refuse_ambiguous
from rivta.soap.service import ServiceFault, envelope, envelope_bytes, xml_text
from rivta.soap.xml import XmlRefused, parse_xml

TIMESTAMP: Final = "%Y%m%d%H%M%S"
"""How times are written, in Swedish time."""

_MANDATORY_HEADERS = (SENDER_ID, ORIGINAL_CONSUMER, CORRELATION_ID)
# An address in the header: the entry is looked for in the bytes, and what was found is proved by reading it back.
_ADDRESS = re.compile(rb"(<(?:[\w.-]+:)?LogicalAddress(?:\s[^<>]*)?>)[^<>]*(</(?:[\w.-]+:)?LogicalAddress\s*>)")
_HEADER = f"{{{namespaces.SOAP_ENVELOPE}}}Header"
_ADDRESS_ENTRY = f"{{{namespaces.REGISTRY_1}}}LogicalAddress"
_STRING = etree.XPath("string()")
_MARK = "urn-address-of-the-source"
"""Stands for the address while the request's place for it is looked for."""


@dataclass(frozen=True, slots=True)
class Question:
    """What of a request decides whom to ask."""

    patient: str = field(repr=False)
    source: str
    """The one source that is wanted; empty: all."""
    categories: tuple[str, ...]
    """The categories that are wanted; none: all."""


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """A request that needs only the address of the source that it goes to."""

    _pieces: tuple[bytes, ...] = field(repr=False)

    def to(self, address: str) -> bytes:
        """The message for that source."""
        return xml_text(address).encode().join(self._pieces)


def check_headers(headers: Headers) -> None:
    """Raises ServiceFault unless all mandatory headers came, with or without a value; it names those that did not."""
    given = {name.lower() for name, _ in headers}
    missing = [name for name in _MANDATORY_HEADERS if name not in given]
    if missing:
        raise ServiceFault("".join(f"Mandatory HTTP header {name} is missing\n" for name in missing))


def read_question(payload: etree._Element | None, service: Service) -> Question:
    """What the payload of a request asks. Raises ServiceFault where that is not this service's to answer."""
    if payload is None or payload.tag != f"{{{service.contract}}}{service.request}":
        name = "nothing" if payload is None else payload.tag
        raise ServiceFault(f"Message part {name} was not recognized")
    for name, text in service.refused.items():
        if next(_found(payload, (name,)), None) is not None:
            raise ServiceFault(text)
    patient = list(_found(payload, service.patient))
    if len(patient) != 1:
        # Who reads the first of two and who reads the last would speak of different patients.
        number = "is missing" if not patient else f"stands there {len(patient)} times"
        raise ServiceFault(f"{'/'.join(service.patient)} {number} in the request: a patient is asked about, and one")
    return Question(
        patient=_text(patient[0]),
        source=next((_text(one) for one in _found(payload, service.source)), ""),
        categories=tuple(_text(one) for one in _found(payload, service.wanted_categories)),
    )


def index_question(question: Question, service: Service, *, now: datetime) -> IndexQuestion:
    """What the index is asked. The category only if there is just one; who has it is never said."""
    newest = None
    if service.newest_years:
        newest = _years_before(now.astimezone(SWEDISH_TIME), service.newest_years).strftime(TIMESTAMP)
    return IndexQuestion(
        registered_resident_id=question.patient,
        service_domain=service.domain,
        categorization=service.categories[0] if len(service.categories) == 1 else None,
        most_recent_content=newest,
    )


def addressed(payload: etree._Element, address: str) -> bytes:
    """The message with that payload for that logical address; the payload moves into it."""
    root = envelope(payload)
    header = root.makeelement(_HEADER)
    etree.SubElement(header, _ADDRESS_ENTRY, nsmap={"r": namespaces.REGISTRY_1}).text = address
    root.insert(0, header)
    return envelope_bytes(root)


def source_request(body: bytes, service: Service) -> SourceRequest:
    """The request, ready for any source: the same bytes but for the logical address. `body` is UTF-8, and was read.

    Where the address is not found for certain in the bytes, or stands in the body too, the message is written anew:
    then it has the same meaning.
    """
    mark = _MARK
    while mark.encode() in body:
        mark += "-"
    if not service.address_in_request:
        changed, number = _ADDRESS.subn(rb"\g<1>" + mark.encode() + rb"\g<2>", body, count=2)
        if number == 1 and _is_addressed_to(changed, mark):
            return SourceRequest(tuple(changed.split(mark.encode())))
    root = parse_xml(body)
    head = read_head(root)
    assert head.header is not None
    assert head.address_element is not None
    assert head.payload is not None
    for entry in head.header.iterchildren(head.address_element.tag):
        entry.text = mark
        del entry[:]
    for element in _found(head.payload, service.address_in_request):
        element.text = mark
        del element[:]
    return SourceRequest(tuple(written(root, UTF_8).split(mark.encode())))


def _is_addressed_to(message: bytes, address: str) -> bool:
    """Whether the bytes that were changed are the logical address, and all of it."""
    try:
        root = parse_xml(message)
        head = read_head(root)
        refuse_ambiguous(root, head)
    except XmlRefused:
        return False
    return head.logical_address == address


def _found(payload: etree._Element, place: Place) -> Iterator[etree._Element]:
    """The elements in that place. The first level is the contract's own: what extends a contract has other names."""
    if not place:
        return
    own = (etree.QName(payload).namespace, None)
    level = [one for one in payload.iterchildren(etree.Element) if _local(one) == place[0] and _namespace(one) in own]
    for name in place[1:]:
        level = [child for one in level for child in one.iterchildren(etree.Element) if _local(child) == name]
    yield from level


def _text(element: etree._Element) -> str:
    return str(_STRING(element))


def _local(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _namespace(element: etree._Element) -> str | None:
    return str(element.tag).rpartition("}")[0][1:] or None


def _years_before(now: datetime, years: int) -> datetime:
    try:
        return now.replace(year=now.year - years)
    except ValueError:  # the 29th of February
        return (now - timedelta(days=1)).replace(year=now.year - years)
