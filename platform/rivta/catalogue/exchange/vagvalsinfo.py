"""Rows of SokVagvalsInfo, as its answers and the incumbent's local file have them.

Elements are known by their local names, in any namespace: version 1 and 2 of the service differ in little else.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from lxml import etree

from rivta.catalogue.exchange.imported import Gatherer, filters_of, route_row
from rivta.catalogue.rows import Bound, PermissionRow
from rivta.soap.identifiers import ContractNamespace, HsaId, LogicalAddress
from rivta.soap.xml import XmlRefused, elements_of, line_of

ROUTE = "virtualiseringsInfo"
PERMISSION = "anropsBehorighetsInfo"
FAULT = "Fault"

_ROUTE_FIELDS = ("receiverId", "rivProfil", "tjansteKontrakt", "fromTidpunkt", "tomTidpunkt", "adress")
_PERMISSION_FIELDS = ("receiverId", "senderId", "tjansteKontrakt", "fromTidpunkt", "tomTidpunkt")
_IDS = ("virtualiseringsInfoId", "anropsBehorighetsInfoId")
"""Numbers of rows in the other's database: rows are known by what they say here."""

Owner = Callable[[str, str], str]
"""Component of a URL and profile, empty where it is not known."""
Agreement = Callable[[str, str, str], str]
"""Agreement of a consumer's permission for an address and contract, empty where it is not known."""


class ServiceFault(ValueError):
    """The other catalogue answered with a SOAP fault."""


def gather_rows(
    gatherer: Gatherer,
    chunks: Iterable[bytes],
    *,
    owner: Owner = lambda _url, _profile: "",
    agreement: Agreement = lambda _consumer, _address, _contract: "",
) -> int:
    """Put the rows of a document, which comes in pieces, into `gatherer`; how many there were.

    Raises XmlRefused and ServiceFault; what is wrong with rows is the gatherer's.
    """
    count = 0
    for element in elements_of(chunks, {ROUTE, PERMISSION, FAULT}):
        kind = etree.QName(element).localname
        if kind == FAULT:
            raise ServiceFault(fault_text(element))
        count += 1
        if kind == ROUTE:
            _gather_route(gatherer, element, owner)
        else:
            _gather_permission(gatherer, element, agreement)
    return count


def refuse_malformed(gatherer: Gatherer, error: XmlRefused) -> None:
    """Note that the document is not XML that is read."""
    gatherer.complain(error.line, "syntax", f"not XML that is read here: {error.reason}")


def _gather_route(gatherer: Gatherer, element: etree._Element, owner: Owner) -> None:
    line = line_of(element)
    found = _fields(gatherer, element, _ROUTE_FIELDS)
    before = len(gatherer.problems)
    address, contract = _text(gatherer, found, "receiverId", line), _text(gatherer, found, "tjansteKontrakt", line)
    url = _text(gatherer, found, "adress", line)
    profile = gatherer.profile(_text(gatherer, found, "rivProfil", line), "rivProfil", line)
    validity = _validity(gatherer, found, line)
    if len(gatherer.problems) > before or profile is None:
        return
    producer = gatherer.producer(url, profile, owner(url, profile.value), line)
    gatherer.route(route_row(address, contract, producer, validity, gatherer.place(line)))


def _gather_permission(gatherer: Gatherer, element: etree._Element, agreement: Agreement) -> None:
    line = line_of(element)
    found = _fields(gatherer, element, (*_PERMISSION_FIELDS, "filterInfo"))
    before = len(gatherer.problems)
    address, contract = _text(gatherer, found, "receiverId", line), _text(gatherer, found, "tjansteKontrakt", line)
    consumer = _text(gatherer, found, "senderId", line)
    valid_from, valid_to = _validity(gatherer, found, line)
    filters = _filters(gatherer, element, line)
    if len(gatherer.problems) > before:
        return
    gatherer.permission(
        PermissionRow(
            consumer=HsaId(consumer),
            logical_address=LogicalAddress(address),
            contract=ContractNamespace(contract),
            agreement=agreement(consumer, address, contract),
            valid_from=valid_from,
            valid_to=valid_to,
            filters=filters_of(filters),
            place=gatherer.place(line),
        )
    )


def _validity(gatherer: Gatherer, found: Mapping[str, str], line: int) -> tuple[Bound | None, Bound | None]:
    return (
        gatherer.bound(found.get("fromTidpunkt"), "fromTidpunkt", line, is_end=False),
        gatherer.bound(found.get("tomTidpunkt"), "tomTidpunkt", line, is_end=True),
    )


def _fields(gatherer: Gatherer, element: etree._Element, known: tuple[str, ...]) -> dict[str, str]:
    """The texts of the children by local name; others than `known` are remarked on."""
    found: dict[str, str] = {}
    for child in children(element):
        name = etree.QName(child).localname
        if name in found and name != "filterInfo":
            gatherer.complain(line_of(child), "duplicate-key", f"{name} stands twice in one row")
        elif name not in known and name not in _IDS:
            gatherer.remark(f"unknown {name}", f"{gatherer.file}:{line_of(child)}", f"{name} is ignored")
        found[name] = text_of(child)
    return found


def _filters(gatherer: Gatherer, element: etree._Element, line: int) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part in children(element, "filterInfo"):
        if not len(part):
            continue  # nil, as some catalogues send where there is none
        domains = [text_of(child) for child in children(part, "serviceDomain")]
        domain = gatherer.text(domains[0] if domains else None, "filterInfo: serviceDomain", line)
        categories = found.setdefault(domain, [])
        for child in children(part, "categorization"):
            categories.append(gatherer.text(text_of(child), "filterInfo: categorization", line_of(child)))
    return found


def children(element: etree._Element, local_name: str | None = None) -> Iterator[etree._Element]:
    """The child elements, all or those of a local name."""
    for child in element:
        if isinstance(child.tag, str) and local_name in (None, etree.QName(child).localname):
            yield child


def text_of(element: etree._Element) -> str:
    """The text of an element, without the blanks that writers put around it; comments do not cut it."""
    behind_comments = (node.tail for node in element if not isinstance(node.tag, str))
    return "".join(filter(None, (element.text, *behind_comments))).strip(" \t\r\n")


def _text(gatherer: Gatherer, found: Mapping[str, str], name: str, line: int) -> str:
    return gatherer.text(found.get(name), name, line)


def fault_text(element: etree._Element) -> str:
    """The words of a SOAP fault."""
    for name in ("faultstring", "Reason"):
        for child in element.iter():
            if isinstance(child.tag, str) and etree.QName(child).localname == name:
                return " ".join(text_of(child).split())[:500]
    return "a SOAP fault without words"
