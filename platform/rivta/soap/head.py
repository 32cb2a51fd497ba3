"""What the router needs to know of a message: who it is for, by which profile, under which contract."""

from dataclasses import dataclass

from lxml import etree

from rivta.soap.identifiers import ContractNamespace, LogicalAddress, Profile


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


_PROFILE_OF_ENTRY = {"To": Profile.RIVTABP20, "LogicalAddress": Profile.RIVTABP21}


def read_head(envelope: etree._Element) -> Head:
    """Reads a parsed envelope as the incumbent does (vp-behaviour section 2): by local names, in document order.

    Of several address entries the last wins, for profile and address alike. Blanks around an address are kept; an
    address of nothing but blanks is none. Better than the incumbent: a comment inside the entry is not the address.
    """
    header = _child(envelope, "Header")
    body = _child(envelope, "Body")
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


def _address(entry: etree._Element) -> LogicalAddress | None:
    text = (entry.text or "") + "".join(child.tail or "" for child in entry if not isinstance(child.tag, str))
    return LogicalAddress(text) if text.strip() else None


def _namespace(element: etree._Element) -> ContractNamespace | None:
    namespace = etree.QName(element).namespace
    return ContractNamespace(namespace) if namespace else None


def _child(parent: etree._Element, local_name: str) -> etree._Element | None:
    return next((child for child in parent.iterchildren(etree.Element) if _local(child) == local_name), None)


def _local(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]
