"""Messages to try a contract with, made from the samples that its release brings."""

import copy
import re
from pathlib import Path
from typing import Literal

from lxml import etree

from rivta.contracts.domain import Contract, Operation, imported_files, read_contract_file
from rivta.soap import namespaces
from rivta.soap.head import read_head
from rivta.soap.identifiers import Profile
from rivta.soap.person_ids import PersonIdType
from rivta.soap.xml import parse_xml

PATIENT = "191212121212"
"""The test person of every shipped sample."""

MESSAGES: tuple[Literal["request"], Literal["response"]] = ("request", "response")
"""What an operation's two messages are called, in names of sample files too."""

# Kinds of id, by OID: reserve number of Region Stockholm, which begins with 99 as no birth date does, personal number
# (1.2.752.129.2.1.3.1), and coordination number, whose day is 60 higher.
_RESERVE_NUMBER = (PersonIdType.RESERVE_NUMBER.value, re.compile(r"99\d{10}"))
_PERSONAL_NUMBER = (PersonIdType.PERSONAL_NUMBER.value, re.compile(r"\d{6}([0-2]\d|3[01])\d{4}"))
_COORDINATION_NUMBER = (PersonIdType.COORDINATION_NUMBER.value, re.compile(r"\d{6}([6-8]\d|9[01])\d{4}"))
_KINDS = (_RESERVE_NUMBER, _PERSONAL_NUMBER, _COORDINATION_NUMBER)

_ADDRESS_ENTRY = {
    Profile.RIVTABP20: (namespaces.WS_ADDRESSING, "To"),
    Profile.RIVTABP21: (namespaces.REGISTRY_1, "LogicalAddress"),
}

_XS = f"{{{namespaces.XML_SCHEMA}}}"


def request(contract: Contract, patient: str | None = None, operation: Operation | None = None) -> bytes:
    """A request for everything about `patient` (else the sample's), as a payload without envelope.

    It is the contract's sample without the optional elements, which would only narrow the answer. Where a contract has
    several operations, the first one's is meant by default. Raises FileNotFoundError when the contract came without a
    sample, ValueError for an id that XML cannot hold.
    """
    payload = _payload(contract, "request", operation)
    optional = _optional_elements(contract, str(payload.tag))
    for child in list(payload.iterchildren(etree.Element)):
        if child.tag in optional and not any(_is_patient(element) for element in child.iter(etree.Element)):
            payload.remove(child)
    return _written(payload, patient)


def response(contract: Contract, patient: str | None = None, operation: Operation | None = None) -> bytes:
    """The contract's sample response, about `patient` (else the sample's), as a payload without envelope.

    Raises as `request` does.
    """
    return _written(_payload(contract, "response", operation), patient)


def whole(contract: Contract, message: Literal["request", "response"], operation: Operation | None = None) -> bytes:
    """The sample as it is, without its envelope. Raises as `request` does."""
    return _written(_payload(contract, message, operation), None)


def patient_of(contract: Contract, payload: etree._Element) -> str | None:
    """Whom a request is about: who stands where the sample has its test person, else the first personal number in it.

    `payload` is one of the contract's requests. None when it is about nobody.
    """
    asked = [operation for operation in contract.operations if operation.request == payload.tag]
    try:
        sample = _payload(contract, "request", asked[0] if asked else None)
    except FileNotFoundError:
        sample = None
    for element in sample.iter(etree.Element) if sample is not None else ():
        if _is_patient(element):
            found = payload.find(_way_to(element))
            if found is not None and found.text:
                return found.text.strip()
    texts = ((element.text or "").strip() for element in payload.iter(etree.Element))
    return next((text for text in texts if any(form.fullmatch(text) for _, form in _KINDS)), None)


def about(payload: etree._Element, patient: str) -> etree._Element:
    """`payload`, changed: it is about `patient` in place of the test person."""
    for element in list(payload.iter(etree.Element)):
        if _is_patient(element):
            element.text = patient
            _state_kind(element, patient)
    return payload


def sample_file(contract: Contract, message: str, operation: Operation | None = None) -> Path:
    """Where the sample `request` or `response` of a contract is, if its release has one.

    Where a contract has several operations, each has samples by its own name; the first one's are meant by default.
    """
    name = contract.name if len(contract.operations) == 1 else (operation or contract.operations[0]).name
    return contract.folder / "samples" / f"{name}_{contract.major}.{contract.minor}.{message}.xml"


def envelope(payload: bytes, logical_address: str | None, profile: Profile = Profile.RIVTABP21) -> bytes:
    """`payload` in a SOAP 1.1 envelope addressed as the profile has it, or to nobody.

    Raises XmlRefused when it is not plain XML.
    """
    root = etree.Element(f"{{{namespaces.SOAP_ENVELOPE}}}Envelope", nsmap={"soapenv": namespaces.SOAP_ENVELOPE})
    header = etree.SubElement(root, f"{{{namespaces.SOAP_ENVELOPE}}}Header")
    if logical_address is not None:
        namespace, entry = _ADDRESS_ENTRY[profile]
        etree.SubElement(header, f"{{{namespace}}}{entry}", nsmap={"to": namespace}).text = logical_address
    body = etree.SubElement(root, f"{{{namespaces.SOAP_ENVELOPE}}}Body")
    body.append(parse_xml(payload))
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def _payload(contract: Contract, message: str, operation: Operation | None) -> etree._Element:
    path = sample_file(contract, message, operation)
    if not path.is_file():
        raise FileNotFoundError(f"{contract.short_name} came without a sample {message}: there is no {path}")
    root = read_contract_file(path)
    payload = root if root.tag in (*contract.requests, *contract.responses) else read_head(root).payload
    if payload is None:
        raise FileNotFoundError(f"{path} holds no {message} of {contract.short_name}")
    alone = copy.deepcopy(payload)
    alone.tail = None
    etree.cleanup_namespaces(alone)
    return alone


def _written(payload: etree._Element, patient: str | None) -> bytes:
    if patient is not None:
        about(payload, patient)
    etree.indent(payload)
    return etree.tostring(payload, encoding="UTF-8", xml_declaration=True)


def _is_patient(element: etree._Element) -> bool:
    return element.text == PATIENT


def _way_to(element: etree._Element) -> str:
    """The path from a message's root element to `element`, without counting."""
    names = [str(element.tag), *(str(one.tag) for one in element.iterancestors())]
    return "/".join((".", *reversed(names[:-1])))


def _state_kind(identity: etree._Element, patient: str) -> None:
    """Corrects the OID beside an id; one of another kind (another region's reserve number, say) stays as it is."""
    kind = next((oid for oid, form in _KINDS if form.fullmatch(patient)), None)
    parent = identity.getparent()
    if kind is None or parent is None:
        return
    for sibling in parent.iterchildren(etree.Element):
        if any(sibling.text == oid for oid, _ in _KINDS):
            sibling.text = kind


def _optional_elements(contract: Contract, root: str) -> set[str]:
    """What the request with that root element may leave out among its children, as `{namespace}Local`."""
    schemas = [contract.schema, *(file for _, file in imported_files(contract.schema, contract.folder))]
    roots = [read_contract_file(schema) for schema in dict.fromkeys(schemas)]
    name = etree.QName(root)
    for declared in roots[0].findall(f"{_XS}element[@name='{name.localname}']"):
        definition = declared.find(f"{_XS}complexType")
        if definition is None:
            definition = _named_type(roots, declared)
        if definition is not None:
            particles = [item for item in definition.iter(f"{_XS}element") if _may_be_absent(item, definition)]
            names = {(item.get("name") or item.get("ref") or "").rpartition(":")[2] for item in particles}
            return {spelling for local in names for spelling in (local, f"{{{name.namespace}}}{local}")}
    return set()


def _named_type(roots: list[etree._Element], declared: etree._Element) -> etree._Element | None:
    prefix, _, local = (declared.get("type") or "").rpartition(":")
    namespace = declared.nsmap.get(prefix or None)
    for root in roots:
        if root.get("targetNamespace") == namespace:
            for definition in root.findall(f"{_XS}complexType[@name='{local}']"):
                return definition
    return None


def _may_be_absent(particle: etree._Element, definition: etree._Element) -> bool:
    node: etree._Element | None = particle
    while node is not None and node is not definition:
        if node.get("minOccurs") == "0":
            return True
        node = node.getparent()
    return False
