"""Checking messages against the schemas of their contracts, as far as the policy wants it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from rivta.catalogue.decision import Route
from rivta.contracts.domain import Contract
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Message as Part
from rivta.contracts.validation import Validators
from rivta.contracts.verdict import Verdict
from rivta.router import troubles
from rivta.router.large import THREAD_BYTES, apart_if_large
from rivta.router.messages import ProducerAnswer
from rivta.router.policy import Handling, Policy
from rivta.router.reading import read_head_of_answer
from rivta.router.record import RecordedViolation
from rivta.soap.faults import Fault, Refused
from rivta.soap.head import Head
from rivta.soap.identifiers import ContractNamespace
from rivta.soap.xml import XmlRefused

_log = logging.getLogger("rivta.router")

# Putting the violations of a message into words takes a hundred times as long as finding that there are some.
_EXPLAIN_BYTES = 10_000
_NO_VIOLATIONS: tuple[RecordedViolation, ...] = ()


async def _nothing_new() -> None:
    """For whom contracts never change."""


class Schemas:
    """The schemas of the installed contracts, and what becomes of a message that breaks one. One per worker."""

    def __init__(
        self,
        policy: Policy,
        in_force: Callable[[], tuple[Contracts, Validators]],
        look_again: Callable[[], Awaitable[None]] = _nothing_new,
    ) -> None:
        """`in_force` is asked once for each message: others may be installed meanwhile.

        `look_again` puts in force what has just been installed. It is awaited before a contract counts as unknown: no
        message of a contract passes unchecked once its installation has ended.
        """
        self._policy = policy
        self._in_force = in_force
        self._look_again = look_again
        self._warned: set[ContractNamespace] = set()

    async def check_request(self, head: Head, route: Route, size: int) -> tuple[RecordedViolation, ...]:
        """The violations of a request of `size` bytes that goes on all the same. Raises Refused (VP015)."""
        compat, validation = self._policy.compat, self._policy.validation
        if compat.schemas_not_checked or compat.head_only:
            return _NO_VIOLATIONS
        contracts, validators = self._in_force()
        if contracts.get(route.contract) is None:
            await self._look_again()
            contracts, validators = self._in_force()
        contract = self._contract(contracts, route)
        handling = validation.of_request(route.contract, own_service=route.is_own_service, size=size)
        if contract is None or handling is Handling.OFF:
            return _NO_VIOLATIONS
        verdict = await _verdict(validators, contract, head, "request", size)
        if not verdict.valid and handling is Handling.REJECT:
            raise troubles.invalid_request(contract.namespace, verdict)
        return _recorded("request", verdict)

    async def check_answer(self, route: Route, answer: ProducerAnswer) -> tuple[RecordedViolation, ...]:
        """The violations of an answer that goes on all the same. Raises Refused (VP009)."""
        # What the worker has put together itself is made of answers that were checked when they came.
        if self._policy.compat.schemas_not_checked or route.is_in_process:
            return _NO_VIOLATIONS
        contracts, validators = self._in_force()
        contract = contracts.get(route.contract)
        handling = self._policy.validation.of_response(route.contract, size=len(answer.body))
        if contract is None or handling is Handling.OFF or answer.status >= 300 or not answer.body:
            return _NO_VIOLATIONS
        verdict = await _verdict_of_answer(validators, contract, answer)
        if not verdict.valid and handling is Handling.REJECT:
            raise troubles.invalid_response(route, verdict)
        return _recorded("response", verdict)

    def _contract(self, contracts: Contracts, route: Route) -> Contract | None:
        contract = contracts.get(route.contract)
        if contract is None:
            if self._policy.validation.reject_unknown_contract:
                raise Refused(Fault.UNREADABLE, detail=f"No schema is installed for the contract {route.contract}")
            if route.contract not in self._warned:
                self._warned.add(route.contract)
                _log.warning("no schema is installed for %s: its messages pass unchecked", route.contract)
        return contract


async def _verdict_of_answer(validators: Validators, contract: Contract, answer: ProducerAnswer) -> Verdict:
    size = len(answer.body)
    try:
        head = await apart_if_large(size, read_head_of_answer, answer)
    except XmlRefused as error:
        return troubles.unreadable_answer(error)
    if head.payload is None:
        return troubles.empty_answer()
    return await _verdict(validators, contract, head, "response", size)


async def _verdict(validators: Validators, contract: Contract, head: Head, part: Part, size: int) -> Verdict:
    """Checks here what is small or valid; the rest in a thread, so that others need not wait for its words."""
    assert head.payload is not None
    question = (contract, head.payload, part, head.header)
    if size <= _EXPLAIN_BYTES:
        return validators.check(*question)
    if size <= THREAD_BYTES and validators.accepts(*question):
        return Verdict(valid=True)
    return await asyncio.to_thread(validators.check, *question)


def _recorded(part: Part, verdict: Verdict) -> tuple[RecordedViolation, ...]:
    if verdict.valid:
        return _NO_VIOLATIONS
    return tuple(RecordedViolation(part, v.line, v.path, v.private_reason) for v in verdict.violations)
