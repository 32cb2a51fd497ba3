"""A stub producer's services put together: its answers behind spyne, its contracts' schemas and WSDLs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Literal
from urllib.parse import unquote
from wsgiref.types import WSGIApplication

from lxml import etree

from producers_stub.answers import StubProducer
from producers_stub.world import Producer
from rivta.contracts.archive import Contract
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators
from rivta.contracts.wsdl import UnknownSchema, find_by_path, schema, wsdl
from rivta.soap.spyne_adapter import DEFAULT_MAX_BYTES, Check, Documents, dispatcher, soap_application

_log = logging.getLogger(__name__)

Validation = Literal["report", "reject", "off"]
"""What a request that breaks its contract meets: a line in the log, a SOAP fault, or nothing."""


def producer_application(
    stub: StubProducer,
    contracts: Contracts,
    *,
    validators: Validators,
    validation: Validation,
    documents: Documents,
    max_bytes: int,
) -> WSGIApplication:
    """The WSGI application that answers for `stub`. Raises LookupError for a contract of its that is not installed."""
    applications = []
    for namespace, answer in stub.services().items():
        contract = contracts.get(namespace)
        if contract is None:
            raise LookupError(f"stub producer {stub.producer.name} answers {namespace}, which is not installed")
        check = request_check(contract, validators, validation)
        applications.append(soap_application(contract, answer, check=check))
    return dispatcher(applications, documents=documents, max_bytes=max_bytes)


def request_check(contract: Contract, validators: Validators, validation: Validation) -> Check | None:
    """What checks requests of `contract` before its service sees them, as `validation` says."""
    if validation == "off":
        return None

    def check(payload: etree._Element) -> Sequence[str]:
        verdict = validators.check(contract, payload, message="request")
        if validation == "reject":
            return [f"line {one.line}: {one.path}: {one.reason}" for one in verdict.violations]
        if verdict.violations:
            count, first = len(verdict.violations), verdict.violations[0]
            reason = first.private_reason
            _log.warning("a %s breaks its contract %d times, at %s: %s", contract.name, count, first.path, reason)
        return ()

    return check


def served_documents(contracts: Contracts) -> Documents:
    """The WSDLs of `contracts`, each at its own path (`/<domain>/<Name>/<major>/<profile>`), and their schemas."""

    def find(*, path: str, query: str, base_url: str) -> bytes | None:
        found = find_by_path(contracts, path)
        kind, _, location = query.partition("=")
        if found is None or kind.lower() not in ("wsdl", "xsd"):
            return None
        contract, profile = found
        if kind.lower() == "wsdl":
            return wsdl(contract, profile, base_url)
        try:
            return schema(contract, profile, unquote(location), base_url)
        except UnknownSchema:
            return None

    return find


def application_factory(
    stubs: Mapping[str, StubProducer],
    contracts: Contracts,
    *,
    validation: Validation = "report",
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> Callable[[Producer], WSGIApplication]:
    """Makes the application of a producer from `stubs` (by name); all share one set of compiled schemas."""
    validators = Validators(contracts)
    documents = served_documents(contracts)

    def application_of(producer: Producer) -> WSGIApplication:
        return producer_application(
            stubs[producer.name],
            contracts,
            validators=validators,
            validation=validation,
            documents=documents,
            max_bytes=max_bytes,
        )

    return application_of
