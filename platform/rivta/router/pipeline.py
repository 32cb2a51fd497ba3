"""A call's way through a platform: the one place where the order of the steps, and so which fault wins, is decided."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
import traceback
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from rivta.catalogue.decide import DecisionCache
from rivta.catalogue.decision import Decision, Outcome, Route
from rivta.contracts.archive import Contract
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Message as Part
from rivta.contracts.validation import Validators
from rivta.contracts.verdict import Verdict
from rivta.router import headers, troubles
from rivta.router.calling import Calling, Relayed
from rivta.router.identify import identify
from rivta.router.messages import Answer, ProducerAnswer, Request
from rivta.router.policy import Handling, Policy
from rivta.router.record import CallRecord, CannotRecord, RecordedViolation, Recorder
from rivta.soap import namespaces
from rivta.soap.charsets import UTF_8, Document, charset_of, encoded_as, read_document
from rivta.soap.faults import Fault, Refused, fault_envelope, unexpected_fault_envelope
from rivta.soap.head import Head, read_head, refuse_ambiguous
from rivta.soap.identifiers import ContractNamespace
from rivta.soap.profiles import serialise, translate
from rivta.soap.xml import XmlRefused, parse_xml
from rivta.tls.sender import Sender

_log = logging.getLogger("rivta.router")

# Below this a message is parsed and checked where it is; above it in a thread, so that small calls do not wait for it.
_THREAD_BYTES = 100_000
# The same for putting the violations of a message into words, which takes a hundred times as long as finding that there
# are some.
_EXPLAIN_BYTES = 10_000
_GIANT_BYTES = 1_000_000
_GIANTS_AT_ONCE = 2
_NO_VIOLATIONS: tuple[RecordedViolation, ...] = ()
# No HSA-id, contract or pair of addresses comes near; longer ones are not worth a look-up or a place in memory.
_LONGEST_NAME = 500
_LONGEST_DETAIL = 2000

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Message:
    """A request that has been read: the document and what its head says."""

    document: Document
    head: Head


class Router:
    """Carries calls of one platform. One per worker; everything it needs comes in through the constructor."""

    def __init__(
        self,
        policy: Policy,
        *,
        table: Callable[[], DecisionCache | None],
        contracts: Contracts,
        validators: Validators,
        calling: Calling,
        is_revoked: Callable[[Sender], bool],
        now: Callable[[], datetime],
        recorder: Recorder,
    ) -> None:
        """`table` gives the table in force, None while none was ever loaded; `now` the time in UTC; `recorder` takes
        what happened to each call."""
        self._policy = policy
        self._table = table
        self._contracts = contracts
        self._validators = validators
        self._calling = calling
        self._is_revoked = is_revoked
        self._now = now
        self._recorder = recorder
        self._giants = asyncio.Semaphore(_GIANTS_AT_ONCE)
        self._warned: set[ContractNamespace] = set()

    async def carry(self, request: Request) -> Answer:
        """Carries one call from its bytes to the bytes of the answer; never raises."""
        began = time.perf_counter()
        received = self._now()
        correlation_id = headers.correlation_id_of(request)
        sender: Sender | None = None
        about: dict[str, Any] = {}
        decision: Decision | None = None
        relayed: Relayed | None = None
        request_violations = response_violations = _NO_VIOLATIONS
        detail = ""
        table = self._table()
        try:
            self._recorder.check()
        except CannotRecord as error:
            return _unrecorded(correlation_id, error)
        try:
            sender = identify(request, is_revoked=self._is_revoked, now=received)
            history = self._extend_history(request, sender)
            async with self._room_for(len(request.body)):
                message = await self._read(request)
                about, encoding = _record_of_head(message.head), message.document.encoding
                self._check_original_consumer(request, sender)
                decision = self._decide(table, sender, message.head, received)
                route = _the_route(decision, sender, message.head)
                request_violations = await self._check_request(message, route, len(request.body))
                body = await self._translate(request, message, route)
                del message  # a tree is about seven times its text, and the producer may take half a minute
            relayed = await self._send(request, route, body, sender, correlation_id, history)
            _refuse_bad_answer(route, relayed.answer)
            async with self._room_for(len(relayed.answer.body)):
                response_violations = await self._check_response(route, relayed.answer)
                answer = await self._answer(relayed, encoding, correlation_id)
            outcome = Outcome.ROUTED.value
        except Refused as refused:
            # Not the exception itself: it holds this frame, which would hold it, and the whole message with it.
            detail = refused.private_detail
            answer = self._refuse(refused, correlation_id)
            outcome = refused.fault.value.code
        except Exception as error:  # noqa: BLE001 - one bad message must not cost the others their worker
            # Where, but not the exception's own words: they may quote the message.
            where = "".join(traceback.format_tb(error.__traceback__))
            _log.error("call %s met an error of ours, %s:\n%s", correlation_id, type(error).__name__, where)
            answer = _unexpected(correlation_id)
            outcome = "error"
        record = dataclasses.replace(
            self._record(request, received, correlation_id, outcome=outcome, answer=answer, detail=detail),
            publication=table.table.publication if table else None,
            hsa_version=table.table.hsa_version if table else None,
            elapsed_ms=round((time.perf_counter() - began) * 1000, 3),
            producer_ms=round(relayed.producer_ms, 3) if relayed else None,
            violations=request_violations + response_violations,
            **about,
            **_record_of_decision(decision),
        )
        return await self._deliver(record, answer, correlation_id)

    async def turn_away(self, request: Request, status: int, text: str) -> Answer:
        """Answers a request whose body could not be taken in with that HTTP status, and records it; never raises."""
        correlation_id = headers.correlation_id_of(request)
        answer = _plain(status, f"{text}\n", correlation_id)
        record = self._record(
            request, self._now(), correlation_id, outcome=f"http-{status}", answer=answer, detail=text
        )
        return await self._deliver(record, answer, correlation_id)

    def _record(
        self, request: Request, received: datetime, correlation_id: str, *, outcome: str, answer: Answer, detail: str
    ) -> CallRecord:
        """What can be said of any request, however far it came."""
        return CallRecord(
            id=str(uuid.uuid4()),
            time=received.isoformat(timespec="milliseconds"),
            platform=self._policy.platform,
            correlation_id=_bounded(correlation_id) or "",
            outcome=outcome,
            sender=request.peer.sender.hsa_id if request.peer.sender else None,
            original_consumer=_bounded(request.header(headers.ORIGINAL_CONSUMER)) or None,
            http_status=answer.status,
            bytes_in=len(request.body),
            bytes_out=len(answer.body),
            detail=_bounded(detail, _LONGEST_DETAIL) or "",
        )

    async def _deliver(self, record: CallRecord, answer: Answer, correlation_id: str) -> Answer:
        """The answer, once its record is taken; no answer leaves without a record where records must be durable."""
        try:
            await self._recorder.add(record)
        except CannotRecord as error:
            return _unrecorded(correlation_id, error)
        return answer

    def _room_for(self, size: int) -> AbstractAsyncContextManager[object]:
        """A place to read a message of `size` bytes in: giants wait for each other, since each takes much memory."""
        return self._giants if size > _GIANT_BYTES else nullcontext()

    async def _read(self, request: Request) -> Message:
        charset = charset_of(request.header("Content-Type"))
        try:
            return await _apart_if_large(len(request.body), _read_message, request.body, charset)
        except XmlRefused as error:
            raise Refused(Fault.UNREADABLE, detail=error.reason, private_detail=error.private_reason) from error

    def _check_original_consumer(self, request: Request, sender: Sender) -> None:
        """Only those in the list may name another, unlike the incumbent's empty list; oneself anybody may name."""
        original = request.header(headers.ORIGINAL_CONSUMER)
        if not original or original == sender.hsa_id:
            return
        if sender.hsa_id not in self._policy.original_consumer_allowed or not original.isprintable():
            raise Refused(Fault.ORIGINAL_CONSUMER_REFUSED)

    def _extend_history(self, request: Request, sender: Sender) -> str:
        history = headers.extend_history(
            "#".join(request.all(headers.ROUTING_HISTORY)), sender=sender.hsa_id, platform=self._policy.platform
        )
        if history is None:
            raise Refused(Fault.LOOP)
        return history

    def _decide(self, table: DecisionCache | None, sender: Sender, head: Head, now: datetime) -> Decision:
        if table is None:
            raise Refused(Fault.NO_TABLE)
        address, contract = head.logical_address, head.contract
        if address is None:
            raise Refused(Fault.NO_RECEIVER)
        if len(address) > _LONGEST_NAME or len(contract or "") > _LONGEST_NAME:
            raise _no_route(head)
        return table.decide(sender=sender.hsa_id, contract=contract, logical_address=address, now=now)

    async def _check_request(self, message: Message, route: Route, size: int) -> tuple[RecordedViolation, ...]:
        """A request that breaks its schema is VP015 to its sender, with line, XPath and reason."""
        contract = self._contract(route)
        handling = self._policy.validation.of_request(
            route.contract, own_service=route.url.startswith("unix:"), size=size
        )
        if contract is None or handling is Handling.OFF:
            return _NO_VIOLATIONS
        verdict = await self._verdict(contract, message.head, "request", size)
        if verdict.valid:
            return _NO_VIOLATIONS
        if handling is Handling.REJECT:
            raise troubles.invalid_request(contract.namespace, verdict)
        return _recorded("request", verdict)

    def _contract(self, route: Route) -> Contract | None:
        contract = self._contracts.get(route.contract)
        if contract is None:
            if self._policy.validation.reject_unknown_contract:
                raise Refused(Fault.UNREADABLE, detail=f"No schema is installed for the contract {route.contract}")
            if route.contract not in self._warned:
                self._warned.add(route.contract)
                _log.warning("no schema is installed for %s: its messages pass unchecked", route.contract)
        return contract

    async def _verdict(self, contract: Contract, head: Head, message: Part, size: int) -> Verdict:
        """Checks here what is small or valid; the rest in a thread, so that others need not wait for its words."""
        assert head.payload is not None
        question = (contract, head.payload, message, head.header)
        if size <= _EXPLAIN_BYTES:
            return self._validators.check(*question)
        if size <= _THREAD_BYTES and self._validators.accepts(*question):
            return Verdict(valid=True)
        return await asyncio.to_thread(self._validators.check, *question)

    async def _translate(self, request: Request, message: Message, route: Route) -> bytes:
        """The original bytes, unless the producer speaks the other profile or the bytes are not plain UTF-8."""
        head, document, size = message.head, message.document, len(request.body)
        if head.profile is not None and head.profile is not route.profile:
            return await _apart_if_large(size, translate, document.root, head, route.profile)
        if not document.is_plain:
            return await _apart_if_large(size, serialise, document.root)
        return request.body

    async def _send(
        self, request: Request, route: Route, body: bytes, sender: Sender, correlation_id: str, history: str
    ) -> Relayed:
        policy = self._policy
        shows_correlation = route.platform or policy.correlation_to_https or route.url[:6].lower() != "https:"
        outgoing = headers.to_producer(
            request,
            url=route.url,
            user_agent=policy.user_agent,
            content_type=policy.content_type,
            original_consumer=request.header(headers.ORIGINAL_CONSUMER) or sender.hsa_id,
            correlation_id=correlation_id if shows_correlation else None,
            history=history,
            sender=sender.hsa_id,
            platform=policy.platform,
        )
        return await self._calling.call(route, method=request.method, headers=outgoing, body=body)

    async def _check_response(self, route: Route, answer: ProducerAnswer) -> tuple[RecordedViolation, ...]:
        contract = self._contracts.get(route.contract)
        handling = self._policy.validation.of_response(route.contract, size=len(answer.body))
        if contract is None or handling is Handling.OFF or answer.status >= 300 or not answer.body:
            return _NO_VIOLATIONS
        verdict = await self._verdict_of_answer(contract, answer.body)
        if verdict.valid:
            return _NO_VIOLATIONS
        if handling is Handling.REJECT:
            raise troubles.invalid_response(route, verdict)
        return _recorded("response", verdict)

    async def _verdict_of_answer(self, contract: Contract, body: bytes) -> Verdict:
        try:
            head = await _apart_if_large(len(body), lambda: read_head(parse_xml(body)))
        except XmlRefused as error:
            return troubles.unreadable_answer(error)
        if head.payload is None:
            return troubles.empty_answer()
        return await self._verdict(contract, head, "response", len(body))

    async def _answer(self, relayed: Relayed, encoding: str, correlation_id: str) -> Answer:
        """The producer's answer, in the characters that its consumer wrote in."""
        answer, body = relayed.answer, None
        if encoding != UTF_8 and answer.body:
            body = await _apart_if_large(len(answer.body), encoded_as, answer.body, encoding)
        lines = headers.to_consumer(
            answer,
            correlation_id=correlation_id,
            producer_ms=relayed.producer_ms,
            charset=UTF_8 if body is None else encoding,
        )
        return Answer(answer.status, lines, answer.body if body is None else body)

    def _refuse(self, refused: Refused, correlation_id: str) -> Answer:
        body = fault_envelope(refused.fault, detail=refused.detail, platform_name=self._policy.platform_name)
        # A sender that cannot be identified now cannot be on this connection later either.
        return _fault_answer(body, correlation_id, close=refused.fault is Fault.NO_SENDER)


async def _apart_if_large(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`work` on a message of `size` bytes: here, or in a thread if others would have to wait for it."""
    if size > _THREAD_BYTES:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)


def _read_message(body: bytes, charset: str | None) -> Message:
    document = read_document(body, charset)
    head = read_head(document.root)
    refuse_ambiguous(document.root, head)
    return Message(document, head)


def _no_route(head: Head) -> Refused:
    address = head.logical_address or ""
    return Refused(
        Fault.NO_ROUTE,
        contract=_bounded(head.contract) or "null",
        logical_address=_bounded(address),
        hint=". Whitespace detected in incoming request!" if " " in address else "",
    )


def _the_route(decision: Decision, sender: Sender, head: Head) -> Route:
    """The route of a decision that says yes; what it says otherwise, raised as the fault with that code."""
    address, contract = head.logical_address, head.contract
    match decision.outcome:
        case Outcome.ROUTED:
            assert decision.route is not None
            return decision.route
        case Outcome.NO_RECEIVER:
            raise Refused(Fault.NO_RECEIVER)
        case Outcome.NO_ROUTE:
            raise _no_route(head)
        case Outcome.SEVERAL_ROUTES:
            raise Refused(Fault.SEVERAL_ROUTES, contract=contract, logical_address=address)
        case Outcome.NO_PERMISSION:
            raise Refused(Fault.NO_PERMISSION, contract=contract, logical_address=address, sender=sender.hsa_id)
        case Outcome.NO_URL:
            raise Refused(Fault.NO_URL, contract=contract, logical_address=address)


def _refuse_bad_answer(route: Route, answer: ProducerAnswer) -> None:
    """Which answers are relayed, as by the incumbent. A SOAP 1.1 fault under 500 is; anything else outside 2xx is
    not. Unlike the incumbent an empty 202 or 204, the answer to a one-way message, is relayed as it is."""
    if 200 <= answer.status < 300:
        if not answer.body and answer.status not in (202, 204):
            raise troubles.empty_message(route.url, answer)
    elif not (answer.status == 500 and namespaces.SOAP_ENVELOPE.encode() in answer.body):
        raise troubles.bad_status(route.url, answer)


def _record_of_head(head: Head) -> dict[str, Any]:
    return {
        "contract": _bounded(head.contract),
        "logical_address": _bounded(head.logical_address),
        "profile_in": head.profile.value if head.profile else None,
    }


def _record_of_decision(decision: Decision | None) -> dict[str, Any]:
    if decision is None:
        return {}
    traces = {"route_trace": _bounded(decision.route_trace), "permission_trace": _bounded(decision.permission_trace)}
    if decision.route is None:
        return traces
    return traces | {"profile_out": decision.route.profile.value, "producer_url": decision.route.url}


def _bounded(text: str | None, length: int = 500) -> str | None:
    """A consumer chooses what stands in its message: a record must not grow to the length of one."""
    return text if text is None or len(text) <= length else text[:length] + "…"


def _recorded(message: str, verdict: Verdict) -> tuple[RecordedViolation, ...]:
    return tuple(RecordedViolation(message, v.line, v.path, v.private_reason) for v in verdict.violations)


def _unexpected(correlation_id: str) -> Answer:
    body = unexpected_fault_envelope(detail=f"See the platform's log for {headers.CORRELATION_ID} {correlation_id}")
    return _fault_answer(body, correlation_id, close=False)


def _unrecorded(correlation_id: str, error: CannotRecord) -> Answer:
    """No call without a record, where the call log is durable."""
    _log.error("call %s is refused: %s", correlation_id, error)
    return _plain(503, "The platform cannot write its call log now; try again later.\n", correlation_id)


def _plain(status: int, text: str, correlation_id: str) -> Answer:
    lines = (("Content-Type", "text/plain; charset=UTF-8"), (headers.CORRELATION_ID, correlation_id))
    return Answer(status, lines, text.encode())


def _fault_answer(body: bytes, correlation_id: str, *, close: bool) -> Answer:
    lines = (("Content-Type", headers.CONTENT_TYPE), (headers.CORRELATION_ID, correlation_id))
    return Answer(500, lines, body, close=close)
