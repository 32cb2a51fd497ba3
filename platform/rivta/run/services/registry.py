"""GetSupportedServiceContracts and GetLogicalAddresseesByServiceContract, versions 1 and 2.

Refusals have the incumbent's words, its spelling included: clients have been seen to look for them.
"""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from rivta.catalogue import registry
from rivta.catalogue.registry import Addressee
from rivta.run.services.catalogue import Catalogue
from rivta.run.services.written import elements, enveloped, filter_element
from rivta.soap import namespaces
from rivta.soap.service import Answer, Call, ServiceFault, Streamed

_NO_ADDRESS = "LogicalAddress must not be empty or null"
_NO_CONSUMER = "ServiceConsumerHsaId must not be empty or null"
_NO_CONTRACT = "ServiceContractNamespece must not be empty or null"
_INCOMPLETE = "Request missing expected parameters"
_NIL = f"{{{namespaces.XML_SCHEMA_INSTANCE}}}nil"


def supported_contracts(catalogue: Catalogue, *, version: int) -> Answer:
    """The service of GetSupportedServiceContracts 1 or 2: version 2 may be asked without a consumer."""
    types = namespaces.REGISTRY_1 if version == 1 else namespaces.REGISTRY_2

    def answer(call: Call) -> etree._Element:
        address, consumer = _text(call, "logicalAdress"), _text(call, "serviceConsumerHsaId")
        if _is_blank(address):
            raise ServiceFault(_NO_ADDRESS)
        if version == 1 and _is_blank(consumer):
            raise ServiceFault(_NO_CONSUMER)
        found = registry.supported_contracts(
            catalogue.table,
            logical_address=address or "",
            consumer=consumer,
            now=catalogue.now(),
            rules=catalogue.rules,
        )
        root = _response(call, "GetSupportedServiceContractsResponse", types)
        for namespace in found:
            entry = etree.SubElement(root, f"{{{call.contract}}}serviceContractNamespace")
            etree.SubElement(entry, f"{{{types}}}ServiceContractNamespace").text = namespace
        return root

    return answer


def logical_addressees(catalogue: Catalogue) -> Answer:
    """The service of GetLogicalAddresseesByServiceContract 2."""

    def answer(call: Call) -> Streamed:
        consumer, contract = _asked(catalogue, call, namespaces.REGISTRY_2)
        pages = registry.logical_addressees(
            catalogue.table, consumer=consumer, contract=contract, now=catalogue.now(), rules=catalogue.rules
        )
        return _streamed(call, ("".join(map(_record, page)) for page in pages))

    return answer


def logical_addresses(catalogue: Catalogue) -> Answer:
    """The service of GetLogicalAddresseesByServiceContract 1."""

    def answer(call: Call) -> Streamed:
        consumer, contract = _asked(catalogue, call, namespaces.REGISTRY_1)
        pages = registry.logical_addresses(
            catalogue.table, consumer=consumer, contract=contract, now=catalogue.now(), rules=catalogue.rules
        )
        return _streamed(call, ("".join(elements(("logicalAddress", one)) for one in page) for page in pages))

    return answer


def _asked(catalogue: Catalogue, call: Call, types: str) -> tuple[str, str]:
    """Consumer and contract of a request."""
    consumer = _text(call, "serviceConsumerHsaId")
    contract = _text(call, "serviceContractNameSpace", f"{{{types}}}ServiceContractNamespace")
    if catalogue.rules.blank_refused:
        if _is_blank(contract):
            raise ServiceFault(_NO_CONTRACT)
        if _is_blank(consumer):
            raise ServiceFault(_NO_CONSUMER)
    if consumer is None or contract is None:
        raise ServiceFault(_INCOMPLETE)
    return consumer, contract


def _streamed(call: Call, pieces: Iterator[str]) -> Streamed:
    """An answer of any length: a consumer may be permitted at every address of the country."""
    return Streamed.started(enveloped("GetLogicalAddresseesByServiceContractResponse", call.contract, pieces), {})


def _record(one: Addressee) -> str:
    filters = "".join(filter_element("filter", part) for part in one.filters)
    return f"<logicalAddressRecord>{elements(('logicalAddress', one.logical_address))}{filters}</logicalAddressRecord>"


def _response(call: Call, name: str, types: str) -> etree._Element:
    nsmap = {None: str(call.contract), "registry": types}
    return etree.Element(f"{{{call.contract}}}{name}", nsmap=nsmap)  # type: ignore[arg-type]


def _text(call: Call, name: str, *below: str) -> str | None:
    """The text of an element of the request, empty for an empty one; None where there is none, or a nil one."""
    found = call.payload.find("/".join((f"{{{call.contract}}}{name}", *below)))
    if found is None or found.get(_NIL) in ("true", "1"):
        return None
    return found.text or ""


def _is_blank(text: str | None) -> bool:
    return text is None or not text.strip()
