"""What a SOAP service of ours is given and gives, as values: a call in, a payload or a fault out.

Services, and whoever writes their envelopes, share this module; none of them needs to know spyne.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol
from xml.sax.saxutils import escape

from lxml import etree

from rivta.soap import namespaces
from rivta.soap.faults import Side
from rivta.soap.identifiers import CORRELATION_ID, ContractNamespace, LogicalAddress


class ServedOperation(Protocol):
    """A question that a contract answers; qualified names are `{namespace}Local`."""

    @property
    def name(self) -> str: ...
    @property
    def request(self) -> str: ...
    @property
    def response(self) -> str: ...


class ServedContract(Protocol):
    """What is needed of a contract in order to serve it."""

    @property
    def namespace(self) -> ContractNamespace: ...
    @property
    def operations(self) -> Sequence[ServedOperation]: ...


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a contract, as its service sees it."""

    contract: ContractNamespace
    logical_address: LogicalAddress
    """Empty only where the service has said that it checks the address itself."""
    payload: etree._Element = field(repr=False)
    """The request element, without comments and processing instructions."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The `x-` headers of HTTP, names in lower case."""

    @property
    def correlation_id(self) -> str | None:
        """The id that ties this call to others, if the caller sent one."""
        return self.headers.get(CORRELATION_ID) or None


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer too long to be held in memory: a whole envelope in pieces, each made when it is asked for."""

    chunks: Iterator[bytes] = field(repr=False)
    """Not one is empty."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of HTTP that go with it."""

    @classmethod
    def started(cls, chunks: Iterator[bytes], headers: Mapping[str, str]) -> "Streamed":
        """With the first piece made at once, so that trouble at the start leaves as a fault and not as a cut answer."""
        return cls(chain((next(chunks),), chunks), headers)


Answer = Callable[[Call], etree._Element | Streamed]
"""A service: the response element, which is put into an envelope as it is, or a stream; or raises ServiceFault.

One function answers all operations of a contract, and knows them by the payload's tag.
"""


class ServiceFault(Exception):
    """A service answers with a SOAP fault instead of a payload. All three parts are shown to the caller."""

    def __init__(self, text: str, *, side: Side = Side.SERVER, detail: str | etree._Element | None = None) -> None:
        """`detail` is a text, or an element that becomes the entry under `detail` (SOAP 1.1 section 4.4)."""
        self.text = text
        self.side = side
        self.detail = detail
        super().__init__(text)


# Says nothing of what went wrong inside: the reason is in the log of the process that failed.
INTERNAL_FAULT = ServiceFault("Internt fel i tjänsten.")

_ENVELOPE = f"{{{namespaces.SOAP_ENVELOPE}}}Envelope"
_BODY = f"{{{namespaces.SOAP_ENVELOPE}}}Body"
_FAULT = f"{{{namespaces.SOAP_ENVELOPE}}}Fault"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def envelope(content: etree._Element) -> etree._Element:
    """A SOAP 1.1 envelope with `content` as its body's only element; `content` moves into it."""
    root = etree.Element(_ENVELOPE, nsmap={"soap": namespaces.SOAP_ENVELOPE})
    etree.SubElement(root, _BODY).append(content)
    return root


def fault_envelope(fault: ServiceFault) -> etree._Element:
    """The envelope of `fault`. Characters that XML cannot hold become the replacement character."""
    element = etree.Element(_FAULT, nsmap={"soap": namespaces.SOAP_ENVELOPE})
    etree.SubElement(element, "faultcode").text = f"soap:{fault.side.value}"
    etree.SubElement(element, "faultstring").text = holdable(fault.text)
    if isinstance(fault.detail, str):
        detail = etree.SubElement(element, "detail")
        etree.SubElement(detail, "message").text = holdable(fault.detail)
    elif fault.detail is not None:
        etree.SubElement(element, "detail").append(fault.detail)
    return envelope(element)


def envelope_bytes(root: etree._Element) -> bytes:
    """`root` as it goes on the wire: UTF-8 with a declaration."""
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def xml_text(text: str) -> str:
    """`text` as it stands in an element: escaped, and without characters that XML cannot hold."""
    return escape(holdable(text))


def holdable(text: str) -> str:
    """`text` with the replacement character for what XML cannot hold."""
    return _NOT_XML.sub("\ufffd", text)
