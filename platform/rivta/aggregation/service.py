"""The aggregating service of a worker: asks the index, then every source by the worker's own pipeline, and answers.

In between stands the fan-out; whom to ask (`plan`) and what to answer (`merge`) are pure. Everything has one deadline.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from rivta.aggregation.answers import OTHER, UNKNOWN, Content, Failure, SourceAnswer, failure_of, read_content
from rivta.aggregation.merge import Wording, merge, recorded
from rivta.aggregation.permitted import Asking, permitted
from rivta.aggregation.places import Places
from rivta.aggregation.plan import Hit, Plan, Reason, plan
from rivta.aggregation.question import (
    Question,
    SourceRequest,
    addressed,
    check_headers,
    index_question,
    read_question,
    source_request,
)
from rivta.aggregation.services import Service
from rivta.catalogue.decide import DecisionCache
from rivta.catalogue.decision import IN_PROCESS, Route
from rivta.index.client import NotAnAnswer, find_content, hits
from rivta.router.course import Ending
from rivta.router.deviations import Compat
from rivta.router.headers import CORRELATION_ID, ORIGINAL_CONSUMER, ROUTING_HISTORY, SEGMENTS, SENDER_ID
from rivta.router.large import Giants, apart_if_large
from rivta.router.load import COUNTED_BYTES, Overload, take
from rivta.router.messages import Answer, Headers, Peer, ProducerAnswer, Request, Target
from rivta.soap import namespaces
from rivta.soap.charsets import charset_of, read_answer
from rivta.soap.faults import Fault, Refused
from rivta.soap.head import read_head
from rivta.soap.identifiers import ContractNamespace, HsaId, LogicalAddress, short_name
from rivta.soap.service import ServiceFault, envelope_bytes, fault_envelope
from rivta.soap.xml import XmlRefused, parse_xml

_log = logging.getLogger("rivta.aggregation")

MOST_SEGMENTS = 3
"""Routing histories that may follow on each other: an aggregate may ask for an aggregate, and that for one more."""

_MERGE_SECONDS = 0.25
"""Of the whole time, what is kept for joining what has come."""
_LAST_SECONDS = 0.25
"""So much earlier a source's time ends, so that its call ends by itself and says how."""
_MOST_LOGGED = 50
_NOT_PASSED_ON = frozenset(
    {"soapaction", "x-skltp-prt", "server", "host", "breadcrumbid", "x-vp-instance-id"}
    | {SENDER_ID, ROUTING_HISTORY, SEGMENTS}
)
_XML: Headers = (("Content-Type", "text/xml;charset=UTF-8"),)

Carry = Callable[[Request], Awaitable[Ending]]
"""The worker's own pipeline."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator decides about aggregating. Times in seconds; limits are this worker's share."""

    platform: HsaId
    """In whose name the index is asked."""
    address: LogicalAddress
    """Of the aggregating services themselves: hits that point at it are dropped."""
    index_address: LogicalAddress
    services: Mapping[ContractNamespace, Service]
    deadline_seconds: float = 28.0
    index_seconds: float = 20.0
    source_seconds: float = 27.0
    in_flight: int = 2000
    filtered_shown_to: frozenset[HsaId] = frozenset()
    """Senders that are told which sources were not asked."""
    logical_errors_fail: bool = False
    wording: Wording = field(default_factory=Wording)
    compat: Compat = field(default_factory=Compat)


class Limit(Protocol):
    """How many calls may be under way to the producer address of a route."""

    def __call__(self, route: Route) -> int: ...


@dataclass(frozen=True, slots=True)
class _Call:
    """One aggregate on its way."""

    service: Service
    question: Question
    request: SourceRequest = field(repr=False)
    sender: str
    headers: Headers = field(repr=False)
    """What every call that it makes has."""
    asking: Asking
    table: DecisionCache
    until: float
    """When the answers of sources no longer count, by the event loop's clock."""

    @property
    def correlation_id(self) -> str:
        return next((value for name, value in self.headers if name.lower() == CORRELATION_ID), "")


class Aggregation:
    """Answers the calls that are routed to `aggregation:`. One per worker."""

    def __init__(
        self,
        rules: Rules,
        *,
        carry: Carry,
        table: Callable[[], DecisionCache | None],
        limit: Limit,
        now: Callable[[], datetime],
        giants: Giants,
    ) -> None:
        """`carry` is the pipeline that asks the index and the sources; `table` gives the table in force, None while
        there is none; `limit` is how many calls a producer address takes, of which aggregates leave half to others."""
        self._rules = rules
        self._carry = carry
        self._table = table
        self._limit = limit
        self._now = now
        self._giants = giants
        self._places = Places(rules.in_flight)

    async def answer(self, headers: Headers, body: bytes) -> ProducerAnswer:
        """The combined answer to a request, or a SOAP fault. Raises Refused for what has a fault of the platform."""
        until = asyncio.get_running_loop().time() + self._rules.deadline_seconds - _MERGE_SECONDS
        try:
            return await self._answered(headers, body, until)
        except ServiceFault as fault:
            return ProducerAnswer(500, "Internal Server Error", _XML, envelope_bytes(fault_envelope(fault)))

    async def _answered(self, headers: Headers, body: bytes, until: float) -> ProducerAnswer:
        check_headers(headers)
        call = await self._begun(headers, body, until)
        found = await self._ask_index(call)
        allowed = await permitted(found, call.service, call.asking, call.table)
        chosen = plan(call.service, call.question, found, permitted=allowed, own_address=self._rules.address)
        _log_filtered(call, chosen)
        answers = await self._ask_sources(call, chosen.sources)
        size = sum(len(record) for answer in answers for kind in answer.records for record in kind)
        merged = await apart_if_large(
            size,
            merge,
            call.service,
            answers,
            now=self._now(),
            wording=self._rules.wording,
            filtered=chosen.filtered if call.sender in self._rules.filtered_shown_to else (),
        )
        return ProducerAnswer(200, "OK", _XML, merged, recorded(answers, chosen.filtered))

    async def _begun(self, headers: Headers, body: bytes, until: float) -> _Call:
        """The call as far as it can be told without asking anybody."""
        table = self._table()
        if table is None:
            raise Refused(Fault.NO_TABLE)
        segments = _segments(headers)
        if segments >= MOST_SEGMENTS:
            raise Refused(Fault.LOOP, private_detail=f"Aggregates have asked for aggregates {segments} times")
        async with self._giants.room_for(len(body)):
            service, question, request = await apart_if_large(len(body), _read, body, self._rules.services)
        sender, original = _value(headers, SENDER_ID), _value(headers, ORIGINAL_CONSUMER)
        passed_on = tuple(line for line in headers if line[0].lower() not in _NOT_PASSED_ON)
        return _Call(
            service=service,
            question=question,
            request=request,
            sender=sender,
            headers=(*passed_on, (SEGMENTS, str(segments + 1))),
            asking=Asking(sender, original, self._now(), self._rules.compat),
            table=table,
            until=until,
        )

    async def _ask_index(self, call: _Call) -> Sequence[Hit]:
        """What the index has found. Raises ServiceFault with its words where it has not answered."""
        asked = index_question(call.question, call.service, now=call.asking.now)
        body = addressed(find_content(asked), self._rules.index_address)
        contract, sender = ContractNamespace(namespaces.FIND_CONTENT_1), self._rules.platform
        try:
            async with asyncio.timeout_at(call.until), self._place(call, contract, sender, self._rules.index_address):
                seconds = min(self._rules.index_seconds, _left(call))
                if seconds <= 0:
                    raise TimeoutError
                ending = await self._carry(_request(call, body, contract, sender=sender, seconds=seconds))
        except TimeoutError as error:
            raise ServiceFault("The engagement index has not answered in time") from error
        size = len(ending.answer.body)
        async with self._giants.room_for(size):
            return await apart_if_large(size, _read_hits, ending.answer)

    async def _ask_sources(self, call: _Call, sources: Sequence[str]) -> list[SourceAnswer]:
        """What came of every source, in the order in which they have answered; those that have not come last."""
        arrived: list[SourceAnswer] = []
        tasks = {asyncio.create_task(self._ask(call, source, arrived)): source for source in sources}
        if not tasks:
            return arrived
        began = time.perf_counter()
        try:
            left = call.until - asyncio.get_running_loop().time()
            await asyncio.wait(tasks, timeout=max(left, 0))
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                _log.error("aggregate %s met an error of ours: %s", call.correlation_id, type(error).__name__)
        answered = {answer.source for answer in arrived}
        took = (time.perf_counter() - began) * 1000
        late = [SourceAnswer(one, (), Failure(OTHER, UNKNOWN), took) for one in sources if one not in answered]
        return arrived + late

    async def _ask(self, call: _Call, source: str, arrived: list[SourceAnswer]) -> None:
        """Adds what came of one source, unless there was no time to ask it."""
        service = call.service
        async with self._place(call, service.contract, call.sender, source):
            began = time.perf_counter()
            usual, left = service.source_seconds or self._rules.source_seconds, _left(call)
            if left <= 0:
                return
            body = call.request.to(source)
            if not _holds(len(body), counted=False):
                arrived.append(SourceAnswer(source, (), Failure(OTHER, str(Overload()))))
                return
            seconds = min(usual, left)
            request = _request(call, body, service.contract, sender=call.sender, seconds=seconds)
            # The index, or those before it, have used up its time: other callers must not have it refused for that.
            ending = await self._carry(dataclasses.replace(request, is_hurried=left < usual / 2))
        took = (time.perf_counter() - began) * 1000
        failure = failure_of(ending, is_cut=left < usual, seconds=seconds)
        content = Content(failure=failure) if failure else await self._read(ending.answer, service)
        arrived.append(SourceAnswer(source, content.records, content.failure, took))

    async def _read(self, answer: Answer, service: Service) -> Content:
        size = len(answer.body)
        if not _holds(size, counted=True):
            return Content(failure=Failure(OTHER, str(Overload())))
        async with self._giants.room_for(size):
            content = await apart_if_large(
                size, read_content, answer, service, logical_errors_fail=self._rules.logical_errors_fail
            )
        try:
            take(max(content.size - size, 0))  # each record has its namespaces with it
        except Overload as error:
            return Content(failure=Failure(OTHER, str(error)))
        return content

    def _place(
        self, call: _Call, contract: ContractNamespace, sender: str, address: str
    ) -> AbstractAsyncContextManager[None]:
        """A place at the producer that a call will go to; half of its places are for others. What has no route is
        refused before it would need one."""
        route = call.table.decide(sender=sender, contract=contract, logical_address=address, now=call.asking.now).route
        if route is None:
            return nullcontext()
        return self._places.at(route.url, max(1, self._limit(route) // 2))


class Transport(Protocol):
    """The calling half of the router's transport."""

    async def send(self, target: Target, *, method: str, headers: Headers, body: bytes) -> ProducerAnswer: ...


class WithAggregation:
    """The router's transport, and beside it the worker's own service."""

    def __init__(self, network: Transport, aggregation: Callable[[Headers, bytes], Awaitable[ProducerAnswer]]) -> None:
        self._network = network
        self._aggregation = aggregation

    async def send(self, target: Target, *, method: str, headers: Headers, body: bytes) -> ProducerAnswer:
        """The producer's answer. The service has a deadline of its own, which ends before anybody stops waiting."""
        if target.url[: len(IN_PROCESS)].lower() == IN_PROCESS:
            return await self._aggregation(headers, body)
        return await self._network.send(target, method=method, headers=headers, body=body)


def _request(call: _Call, body: bytes, contract: ContractNamespace, *, sender: str, seconds: float) -> Request:
    """A call of this worker's own, which begins a routing history. It has the SOAPAction that the contract's WSDL has,
    since what a consumer sends there may be anything."""
    operation = short_name(contract).partition(":")[0]
    return Request(
        method="POST",
        path="/vp",
        query={},
        headers=(*call.headers, ("SOAPAction", f'"{contract}:{operation}"')),
        body=body,
        peer=Peer("", None, inside=sender),
        answer_seconds=seconds,
    )


def _holds(size: int, *, counted: bool) -> bool:
    """Whether there is room for that many bytes until the aggregate is answered. Of what producers send, the transport
    counts long messages (`counted`), but an aggregate holds many short ones; of what is sent, nobody counts any."""
    if (size > COUNTED_BYTES) is counted:
        return True
    try:
        take(size)
    except Overload:
        return False
    return True


def _left(call: _Call) -> float:
    """Seconds that a call of the aggregate has."""
    return call.until - asyncio.get_running_loop().time() - _LAST_SECONDS


def _read(body: bytes, services: Mapping[ContractNamespace, Service]) -> tuple[Service, Question, SourceRequest]:
    """What a request says. Raises ServiceFault."""
    try:
        head = read_head(parse_xml(body))
    except XmlRefused as error:
        raise ServiceFault(f"The request cannot be read: {error.reason}") from error
    service = None if head.contract is None else services.get(head.contract)
    if service is None:
        raise ServiceFault(f"{head.contract} is not aggregated here: it has no row in aggregation.services")
    return service, read_question(head.payload, service), source_request(body, service)


def _read_hits(answer: Answer) -> Sequence[Hit]:
    try:
        payload = read_head(read_answer(answer.body, charset_of("")).root).payload
        if payload is not None and payload.tag == f"{{{namespaces.SOAP_ENVELOPE}}}Fault":
            raise ServiceFault(payload.findtext("faultstring") or "The engagement index has answered with a fault")
        return hits(payload)
    except (XmlRefused, NotAnAnswer) as error:
        raise ServiceFault("The engagement index has answered with something else than FindContentResponse") from error


def _segments(headers: Headers) -> int:
    """How many histories came before; what cannot be read counts as too many, since it would never come to an end."""
    text = _value(headers, SEGMENTS)
    if not text:
        return 0
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else MOST_SEGMENTS


def _value(headers: Headers, name: str) -> str:
    return next((value for key, value in headers if key.lower() == name), "")


def _log_filtered(call: _Call, chosen: Plan) -> None:
    """Which sources were not asked: for the operator, since a consumer must not learn of them. Names no patient."""
    if not chosen.filtered:
        return
    level = logging.INFO
    if any(one.reason is Reason.OWN_ADDRESS for one in chosen.filtered):
        level = logging.WARNING
    listed = ", ".join(f"{one.source!r} ({one.reason.value})" for one in chosen.filtered[:_MOST_LOGGED])
    _log.log(
        level,
        "aggregate %s of %s for %s: %d sources asked, %d not: %s",
        call.correlation_id,
        short_name(call.service.contract),
        call.sender,
        len(chosen.sources),
        len(chosen.filtered),
        listed,
    )
