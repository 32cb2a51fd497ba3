"""What the router needs to know of a message: who it is for, by which profile, under which contract."""

from dataclasses import dataclass

from lxml import etree

from rivta.soap import namespaces
from rivta.soap.identifiers import ContractNamespace, LogicalAddress, Profile
from rivta.soap.xml import XmlRefused, line_of, parse_start


@dataclass(frozen=True, slots=True)
class Head:
    """The part of a message that decides its way; None is what the message does not say."""

    profile: Profile | None
    logical_address: LogicalAddress | None
    contract: ContractNamespace | None
    header: etree._Element | None
    """The SOAP header element."""
    address_element: etree._Element | None
    """The header entry that carried the logical address."""
    payload: etree._Element | None
    """The first element of the SOAP body."""


_SOAP_11 = f"{{{namespaces.SOAP_ENVELOPE}}}"
_SOAP_12 = f"{{{namespaces.SOAP_12_ENVELOPE}}}"
_SEND_SOAP_11 = (
    "the envelope is SOAP 1.2; RIV-TA messages are SOAP 1.1: send an Envelope of the namespace "
    f"{namespaces.SOAP_ENVELOPE} with Content-Type text/xml, not application/soap+xml, and a SOAPAction header"
)
_PROFILE_OF_ENTRY = {"To": Profile.RIVTABP20, "LogicalAddress": Profile.RIVTABP21}
_LOGICAL_ADDRESS = f"{{{namespaces.REGISTRY_1}}}LogicalAddress"
_TO = f"{{{namespaces.WS_ADDRESSING}}}To"


class SecondAddress(XmlRefused):
    """A producer may find another address in the message than the one that was permitted."""


def read_head(envelope: etree._Element) -> Head:
    """Reads a parsed envelope as the incumbent does: by local names, in document order.

    Of several address entries the last wins, for profile and address alike. Blanks around an address are kept; an
    address of nothing but blanks is none. Better than the incumbent: a comment inside the entry is not the address.
    """
    header, body = None, None
    for child in envelope.iterchildren(etree.Element):
        local = _local(child)
        if local == "Header" and header is None:
            header = child
        elif local == "Body" and body is None:
            body = child
    profile, address_element = None, None
    for entry in header.iter(etree.Element) if header is not None else ():
        named = _PROFILE_OF_ENTRY.get(_local(entry))
        if named is not None:
            profile, address_element = named, entry
    payload = next(iter(body.iterchildren(etree.Element)), None) if body is not None else None
    return Head(
        profile=profile,
        logical_address=_address(address_element) if address_element is not None else None,
        contract=_namespace(payload) if payload is not None else None,
        header=header,
        address_element=address_element,
        payload=payload,
    )


def parse_head(data: bytes, *, encoding: str | None = None) -> etree._Element:
    """The envelope in `data` as far as the incumbent reads it: to the start of the first element of the body.

    Raises XmlRefused, but for nothing that stands behind that.
    """
    return parse_start(data, _is_payload, encoding=encoding)


def refuse_ambiguous(envelope: etree._Element, head: Head, *, soap_12: bool = False) -> None:
    """Raises XmlRefused for a message that another reader may take for a different one than `head` says.

    The incumbent reads by local names and stops at the first element of the body. A producer's SOAP library may read
    another Header, Body, body element or address of the same message, which then nobody has permitted. So: what is
    called Envelope, Header or Body is SOAP 1.1's; each of these stands there once; a body has one element (WS-I Basic
    Profile 1.1, R9981); the address is the text, and nothing but text, of an entry of the header, since a producer that
    finds another entry there would read that one; and two address entries of the same kind say the same.
    With `soap_12` an envelope of SOAP 1.2 is taken too, whole.
    """
    soap = _SOAP_11
    if envelope.tag == f"{_SOAP_12}Envelope":
        if not soap_12:
            raise XmlRefused(_SEND_SOAP_11, line=1)
        soap = _SOAP_12
    parts = [child.tag for child in envelope.iterchildren(etree.Element) if _local(child) in ("Header", "Body")]
    strange = any(tag not in (f"{soap}Header", f"{soap}Body") for tag in parts)
    if strange or (_local(envelope) == "Envelope" and envelope.tag != f"{soap}Envelope"):
        raise XmlRefused("the envelope is not of SOAP 1.1", line=1)
    if len(parts) != len(set(parts)):
        raise XmlRefused("the envelope has more than one header or body", line=1)
    if head.payload is not None and next(head.payload.itersiblings(etree.Element), None) is not None:
        raise XmlRefused("the SOAP body has more than one element", line=line_of(head.payload))
    entry = head.address_element
    if head.header is None or entry is None:
        return
    if entry.getparent() is not head.header:
        raise XmlRefused(f"{_local(entry)} is not an entry of the SOAP header but inside one", line=line_of(entry))
    if len(entry):
        raise XmlRefused(f"{_local(entry)} holds more than text", line=line_of(entry))
    if len(head.header) > 1:
        kind = _local(entry)
        for other in head.header.iter(etree.Element):
            if _local(other) == kind and _address(other) != head.logical_address:
                raise XmlRefused(f"the header has two {kind} entries that differ", line=line_of(other))


def refuse_second_address(head: Head, *more: str) -> None:
    """Raises SecondAddress when a producer may find another address in the message than the one that was permitted.

    The entry that counts is found by its local name. A producer goes by the profiles' own names, and may look for them
    anywhere in the header, and for that of the other profile too. So where these stand they say the same; but for the
    To of WS-Addressing beside a LogicalAddress that counts, where it is a URL. `more` are further tags that count.
    """
    header, chosen = head.header, head.address_element
    if header is None or chosen is None or len(header) == 1:
        return
    tags = (_LOGICAL_ADDRESS, *more) if chosen.tag == _LOGICAL_ADDRESS else (_LOGICAL_ADDRESS, _TO, *more)
    for other in header.iter(*tags):
        if other is not chosen and (len(other) or _address(other) != head.logical_address):
            raise SecondAddress(f"the header has another address, in {_local(other)}", line=line_of(other))


def _is_payload(element: etree._Element) -> bool:
    body = element.getparent()
    if body is None or _local(body) != "Body":
        return False
    envelope = body.getparent()
    return envelope is not None and envelope.getparent() is None


def _address(entry: etree._Element) -> LogicalAddress | None:
    text = (entry.text or "") + "".join(child.tail or "" for child in entry if not isinstance(child.tag, str))
    return LogicalAddress(text) if text.strip() else None


def _namespace(element: etree._Element) -> ContractNamespace | None:
    namespace = str(element.tag).rpartition("}")[0][1:]
    return ContractNamespace(namespace) if namespace else None


def _local(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]
