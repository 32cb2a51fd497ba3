"""A stub producer's services put together: its answers behind spyne, its contracts' schemas and WSDLs."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal
from urllib.parse import unquote
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from lxml import etree

from producers_stub.answers import StubProducer
from producers_stub.by_sample import SampleAnswer
from producers_stub.world import Producer
from rivta.contracts import samples
from rivta.contracts.domain import Contract
from rivta.contracts.generation import generate
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators
from rivta.contracts.wsdl import UnknownSchema, find_by_path, schema, wsdl
from rivta.soap.identifiers import ContractNamespace
from rivta.soap.service import envelope, envelope_bytes
from rivta.soap.spyne_adapter import DEFAULT_MAX_BYTES, Check, Documents, dispatcher, soap_application
from rivta.soap.xml import parse_xml

_log = logging.getLogger(__name__)

Validation = Literal["report", "reject", "off"]
"""What a request that breaks its contract meets: a line in the log, a SOAP fault, or nothing."""


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


class Applications:
    """The WSGI applications of stub producers, by name: their own contracts, and every other one by its sample.

    They share one set of compiled schemas, and go on through `use`: a call is answered by what is in force as it comes.
    """

    def __init__(
        self,
        stubs: Mapping[str, StubProducer],
        contracts: Contracts,
        validators: Validators,
        *,
        validation: Validation = "report",
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        """Raises LookupError for a contract of a producer's own that is not known."""
        self._stubs = stubs
        self._validation = validation
        self._max_bytes = max_bytes
        self._contracts = contracts
        self._in_force = self._made(contracts, validators)

    def use(self, contracts: Contracts, validators: Validators) -> None:
        """Puts other contracts in force, in one step; raises as the constructor does, with nothing changed."""
        self._in_force, self._contracts = self._made(contracts, validators), contracts

    def of(self, producer: Producer) -> WSGIApplication:
        """What answers for `producer`. KeyError when it is not among the stubs."""
        name = self._stubs[producer.name].producer.name

        def application(environment: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            return self._in_force[name](environment, start_response)

        return application

    def find_contract(self, text: str) -> str:
        """The namespace of a contract that is in force. Raises LookupError."""
        return str(self._contracts.find(text).namespace)

    def generated(self, payload: etree._Element, seed: int) -> bytes:
        """An envelope with a valid answer to `payload`, made from its contract's schema, about whom it is about.

        Raises LookupError for a contract that is not installed, ValueError when no answer can be made.
        """
        namespace = str(etree.QName(payload).namespace)
        contract = self._contracts.get(namespace)
        if contract is None:
            raise LookupError(f"{namespace} is no installed contract, so there is no schema to make an answer from")
        asked = [one for one in contract.operations if one.request == payload.tag]
        if not asked:
            raise LookupError(f"{etree.QName(payload).localname} is no request of {contract.short_name}")
        patient = samples.patient_of(contract, payload)
        answer = parse_xml(generate(contract, asked[0].response, seed=seed))
        return envelope_bytes(envelope(answer if patient is None else samples.about(answer, patient)))

    def _made(self, contracts: Contracts, validators: Validators) -> dict[str, WSGIApplication]:
        checks = {contract.namespace: request_check(contract, validators, self._validation) for contract in contracts}
        by_sample = [
            soap_application(one, one.answer, check=checks[one.namespace], address_required=one.is_addressed)
            for contract in contracts
            for one in (SampleAnswer(contract, operation) for operation in contract.operations)
        ]
        documents = served_documents(contracts)
        made = {}
        for name, stub in self._stubs.items():
            own = [
                soap_application(_known(contracts, namespace, name), answer, check=checks[namespace])
                for namespace, answer in stub.services().items()
            ]
            # Of two for the same request the later counts.
            made[name] = dispatcher([*by_sample, *own], documents=documents, max_bytes=self._max_bytes)
        return made


def _known(contracts: Contracts, namespace: ContractNamespace, producer: str) -> Contract:
    contract = contracts.get(namespace)
    if contract is None:
        raise LookupError(f"stub producer {producer} answers {namespace}, which is not installed")
    return contract
