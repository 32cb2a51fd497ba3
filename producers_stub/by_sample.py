"""Answers to contracts that no stub producer has records for: each contract's own sample response."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from lxml import etree

from rivta.contracts import samples
from rivta.contracts.domain import Contract, Operation
from rivta.contracts.generation import CannotGenerate, generate
from rivta.soap.identifiers import ContractNamespace
from rivta.soap.service import Call, ServiceFault
from rivta.soap.xml import parse_xml

_SEED = 1


@dataclass(frozen=True)
class SampleAnswer:
    """One operation of a contract, answered with its sample about whom the request is about.

    Where the contract came without a sample, a response made from its schema stands in: always the same.
    """

    contract: Contract
    chosen: Operation

    @property
    def namespace(self) -> ContractNamespace:
        return self.contract.namespace

    @property
    def operations(self) -> tuple[Operation, ...]:
        return (self.chosen,)

    @property
    def is_addressed(self) -> bool:
        """Whether its messages carry a logical address: those from before RIV-TA do not."""
        return any(profile is not None for profile, _ in self.contract.wsdls)

    def answer(self, call: Call) -> etree._Element:
        """The response element. Raises ServiceFault when there is none, saying why."""
        patient = samples.patient_of(self.contract, call.payload)
        response = parse_xml(self._sample)
        return response if patient is None else samples.about(response, patient)

    @cached_property
    def _sample(self) -> bytes:
        try:
            return samples.response(self.contract, operation=self.chosen)
        except FileNotFoundError:
            pass
        try:
            return generate(self.contract, self.chosen.response, seed=_SEED)
        except CannotGenerate as error:
            reason = f"{self.contract.short_name} came without a sample, and none can be made: {error}"
            raise ServiceFault("Det finns inget exempelsvar.", detail=reason) from error
