"""A call's way through a platform: the one place where the order of the steps, and so which fault wins, is decided."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from rivta.catalogue.decide import DecisionCache
from rivta.catalogue.decision import Decision, Outcome, Route
from rivta.router import headers, troubles
from rivta.router.calling import Calling, Relayed
from rivta.router.course import Course, Ending, bounded
from rivta.router.deviations import Compat
from rivta.router.identify import Caller, Identify, Way
from rivta.router.large import Giants, apart_if_large
from rivta.router.loops import MOST_VISITS, History, LoopRule, loop_rule
from rivta.router.messages import Answer, Headers, Peer, ProducerAnswer, ProducerFailure, Request
from rivta.router.policy import Policy
from rivta.router.reading import Message, fault_recoded, for_producer, is_to_be_recoded, read_message, recoded, unpacked
from rivta.router.record import CANCELLED, ROUTED, UNRECORDED, CallRecord, CannotRecord, Payloads, Recorder
from rivta.router.schemas import Schemas
from rivta.soap import namespaces
from rivta.soap.charsets import UTF_8
from rivta.soap.faults import Fault, Refused, fault_envelope, unexpected_fault_envelope
from rivta.soap.head import Head, SecondAddress
from rivta.soap.mtom import is_package
from rivta.soap.xml import XmlRefused

_log = logging.getLogger("rivta.router")

# No HSA-id, contract or pair of addresses comes near; longer ones are not worth a look-up or a place in memory.
_LONGEST_NAME = 500
_LONGEST_NAME_ALLOWED = 4000
# In every width of letters that a fault may be written in.
_SOAP_ENVELOPE = tuple(
    namespaces.SOAP_ENVELOPE.encode(f"utf-{width}") for width in ("8", "16-le", "16-be", "32-le", "32-be")
)


class Router:
    """Carries calls of one platform. One per worker; everything it needs comes in through the constructor."""

    def __init__(
        self,
        policy: Policy,
        *,
        table: Callable[[], DecisionCache | None],
        identify: Identify,
        schemas: Schemas,
        calling: Calling,
        now: Callable[[], datetime],
        recorder: Recorder,
        payloads: Payloads | None = None,
        giants: Giants | None = None,
    ) -> None:
        """`table` gives the table in force, None while none was ever loaded; `now` the time in UTC; `recorder` takes
        what happened to each call, and `payloads`, where there are any, its messages; `giants` is given where others
        of this worker read large messages too."""
        self._policy = policy
        self._table = table
        self._identify = identify
        self._schemas = schemas
        self._calling = calling
        self._now = now
        self._recorder = recorder
        self._payloads = payloads
        self._giants = giants or Giants()
        self._filters = headers.Filters(
            policy.header_rules,
            certificate_headers=policy.certificate_headers,
            server_of_producer=policy.compat.server_of_producer,
            cookies_relayed=policy.compat.cookies_relayed,
        )

    async def carry(self, request: Request) -> Answer:
        """Carries one call from its bytes to the bytes of the answer. Raises nothing but CancelledError, after the
        call was recorded."""
        return (await self.carry_to_its_end(request)).answer

    async def carry_to_its_end(self, request: Request) -> Ending:
        """The same, with what the platform knows of how the call ended: for a service that calls from inside."""
        course = Course(request, headers.correlation_id_of(request), self._now(), self._table())
        try:
            self._recorder.check()
        except CannotRecord as error:
            return Ending(_unrecorded(course.correlation_id, error), UNRECORDED)
        ending = await self._ending(course)
        record = self._record(course, ending)
        if self._payloads is not None:
            record = self._payloads.keep(record, request.body, ending.answer.body)
        answer = await self._deliver(record, ending.answer)
        if ending.outcome == CANCELLED:
            raise asyncio.CancelledError
        return ending if answer is ending.answer else dataclasses.replace(ending, answer=answer)

    async def _carried(self, course: Course) -> Answer:
        """The steps of a call. Their order decides which fault wins. Raises Refused."""
        request = course.request
        caller = course.caller = self._identify(request, now=course.received)
        history = self._read_history(request, caller)
        async with self._giants.room_for(len(request.body)):
            message = await self._read(request)
            course.read(message.head)
            course.encoding, address = message.document.encoding, message.head.logical_address
            self._check_original_consumer(request, caller)
            decision = course.decision = self._decide(course.table, caller, message.head, course.received)
            _refuse_loop(history, decision.route)
            route = _the_route(decision, caller, message.head)
            refuse_profile(message.head, route)
            course.violations = await self._schemas.check_request(message.head, route, len(request.body))
            body = await self._translate(request, message, route)
            del message  # a tree is about seven times its text, and the producer may take half a minute
        lines = self._headers(request, route, caller=caller, history=history, correlation_id=course.correlation_id)
        relayed = await self._call(request, route, body, caller=caller, address=bounded(address) or "", lines=lines)
        course.producer_ms, course.sources = relayed.producer_ms, relayed.answer.sources
        _refuse_bad_answer(route, relayed.answer, self._policy.compat)
        async with self._giants.room_for(len(relayed.answer.body)):
            relayed = await self._unpack(relayed)
            course.violations += await self._schemas.check_answer(route, relayed.answer)
            return await self._answer(relayed, course.encoding, course.correlation_id)

    async def _ending(self, course: Course) -> Ending:
        """What became of a call, whatever happened."""
        try:
            return Ending(await self._carried(course), ROUTED)
        except Refused as refused:
            cause = refused.__cause__
            trouble = cause.trouble if isinstance(cause, ProducerFailure) else None
            return Ending(self._refuse(refused, course), refused.fault.value.code, refused.private_detail, trouble)
        except asyncio.CancelledError:
            # The platform stops, and this call has outlasted the time to drain, or the time of the aggregate that it
            # was made for is up: nobody hears an answer any more.
            return Ending(Answer(0, (), b""), CANCELLED, "cut off: nobody waited for the answer any more")
        except Exception as error:  # noqa: BLE001 - one bad message must not cost the others their worker
            # Where, but not the exception's own words: they may quote the message.
            where = "".join(traceback.format_tb(error.__traceback__))
            _log.error("call %s met an error of ours, %s:\n%s", course.correlation_id, type(error).__name__, where)
            return Ending(_unexpected(course.correlation_id), "error")

    async def turn_away(self, request: Request, status: int, text: str) -> Answer:
        """Answers a request whose body could not be taken in with that HTTP status, and records it; never raises."""
        course = Course(request, headers.correlation_id_of(request), self._now())
        answer = _plain(status, "" if self._policy.compat.plain_errors_empty else f"{text}\n", course.correlation_id)
        with suppress(Refused):
            course.caller = self._identify(request, now=course.received)
        return await self._deliver(self._record(course, Ending(answer, f"http-{status}", text)), answer)

    def _record(self, course: Course, ending: Ending) -> CallRecord:
        sender = self._unidentified(course.request.peer)
        return course.record(ending, platform=self._policy.platform, sender=sender)

    async def _deliver(self, record: CallRecord, answer: Answer) -> Answer:
        """The answer, once its record is taken; no answer leaves without a record where records must be durable."""
        try:
            await self._recorder.add(record)
        except CannotRecord as error:
            return _unrecorded(record.correlation_id, error)
        return answer

    async def _read(self, request: Request) -> Message:
        body, content_type = request.body, request.header("Content-Type")
        try:
            return await apart_if_large(len(body), read_message, body, content_type, self._policy)
        except XmlRefused as error:
            raise Refused(Fault.UNREADABLE, detail=error.reason, private_detail=error.private_reason) from error

    def _unidentified(self, peer: Peer) -> str | None:
        """The sender to record of a call that was refused: a proxy is never one, whoever it should have named."""
        return None if peer.sender is None or self._is_proxy(peer) else peer.sender.hsa_id

    def _is_proxy(self, peer: Peer) -> bool:
        return peer.sender is not None and peer.sender.hsa_id in self._policy.proxies

    def _check_original_consumer(self, request: Request, sender: Caller) -> None:
        """Only those in the list may name another, unlike the incumbent's empty list; oneself anybody may name."""
        originals = set(request.all(headers.ORIGINAL_CONSUMER))
        if not originals or originals == {sender.hsa_id} or sender.way in (Way.HTTP_INTERNAL, Way.INSIDE):
            return
        allowed, unchecked = self._policy.original_consumer_allowed, self._policy.insecure.original_consumer_unchecked
        if len(originals) > 1 or not originals.pop().isprintable():
            raise Refused(Fault.ORIGINAL_CONSUMER_REFUSED)
        if sender.hsa_id in allowed or (unchecked and not allowed):
            return
        if not unchecked:
            raise Refused(Fault.ORIGINAL_CONSUMER_REFUSED)
        _log.warning("%s is not allowed to set %s; it is passed on", sender.hsa_id, headers.ORIGINAL_CONSUMER)

    def _read_history(self, request: Request, sender: Caller) -> History:
        text = "#".join(request.all(headers.ROUTING_HISTORY))
        named = {"sender": sender.hsa_id, "platform": self._policy.platform}
        rule = loop_rule(sender.way, self._policy)
        if rule is LoopRule.RELAYED:
            return History.unread(text, **named)
        history = History.read(text, **named)
        if history.visits >= (MOST_VISITS if rule is LoopRule.ROUND_TRIPS else 1):
            raise Refused(Fault.LOOP, private_detail=f"The call has been at this platform before: {history.visits}")
        return history

    def _decide(self, table: DecisionCache | None, sender: Caller, head: Head, now: datetime) -> Decision:
        if table is None:
            raise Refused(Fault.NO_TABLE)
        address, contract = head.logical_address, head.contract
        if address is None:
            raise Refused(Fault.NO_RECEIVER)
        longest = _LONGEST_NAME_ALLOWED if self._policy.compat.long_addresses else _LONGEST_NAME
        if len(address) > longest or len(contract or "") > longest:
            raise _no_route(head)
        return table.decide(sender=sender.hsa_id, contract=contract, logical_address=address, now=now)

    async def _translate(self, request: Request, message: Message, route: Route) -> bytes:
        """The original bytes, unless the producer speaks the other profile or the bytes are not plain UTF-8."""
        assert route.profile is not None  # see refuse_profile
        try:
            return await apart_if_large(len(request.body), for_producer, message, route.profile, self._policy)
        except XmlRefused as error:  # behind the head, where only that was read before
            is_theirs = message.head.profile is route.profile or isinstance(error, SecondAddress)
            fault = Fault.UNREADABLE if is_theirs else Fault.TRANSLATION_FAILED
            raise Refused(fault, detail=error.reason, private_detail=error.private_reason) from error

    def _headers(
        self, request: Request, route: Route, *, caller: Caller, history: History, correlation_id: str
    ) -> Headers:
        policy = self._policy
        shows_correlation = (
            (route.platform and not policy.compat.correlation_stays)
            or policy.correlation_to_https
            or not route.is_https
        )
        return headers.to_producer(
            request,
            filters=self._filters,
            url=route.url,
            user_agent=policy.user_agent,
            content_type=policy.content_type,
            original_consumer=request.header(headers.ORIGINAL_CONSUMER) or caller.hsa_id,
            correlation_id=correlation_id if shows_correlation else None,
            history=history.extended,
            sender=caller.hsa_id,
            platform=policy.platform,
            segments=request.header(headers.SEGMENTS) if route.platform or route.is_in_process else "",
        )

    async def _call(
        self, request: Request, route: Route, body: bytes, *, caller: Caller, address: str, lines: Headers
    ) -> Relayed:
        return await self._calling.call(
            route,
            sender=caller.hsa_id,
            logical_address=address,
            method=request.method,
            headers=lines,
            body=body,
            query=request.raw_query if self._policy.compat.query_passed_on else "",
            most_seconds=request.answer_seconds,
            is_hurried=request.is_hurried,
        )

    async def _unpack(self, relayed: Relayed) -> Relayed:
        """The same, with the attachments of an MTOM answer in its message."""
        answer, policy = relayed.answer, self._policy
        if not is_package(answer.header("Content-Type")) or policy.compat.mtom_attachments_dropped:
            return relayed
        answer = await apart_if_large(len(answer.body), unpacked, answer, policy.max_answer_bytes)
        return dataclasses.replace(relayed, answer=answer)

    async def _answer(self, relayed: Relayed, encoding: str, correlation_id: str) -> Answer:
        """The producer's answer, in the characters that its consumer wrote in."""
        answer, body = relayed.answer, None
        if is_to_be_recoded(answer, encoding, self._policy):
            body = await apart_if_large(len(answer.body), recoded, answer, encoding, self._policy)
        lines = headers.to_consumer(
            answer,
            filters=self._filters,
            correlation_id=correlation_id,
            producer_ms=relayed.producer_ms,
            charset=UTF_8 if body is None else encoding,
        )
        return Answer(answer.status, lines, answer.body if body is None else body)

    def _refuse(self, refused: Refused, course: Course) -> Answer:
        form, peer = refused.form, course.request.peer
        body = fault_envelope(
            refused.fault, detail=refused.detail, platform_name=self._policy.platform_name, text=form.text
        )
        # A sender that its connection does not identify now, it will not later either; a proxy's next call may be good.
        is_final = refused.fault is Fault.NO_SENDER and not peer.plain and not self._is_proxy(peer)
        answer = _fault_answer(body, course.correlation_id, close=is_final)
        if not form.has_type:
            answer = dataclasses.replace(answer, headers=answer.headers[1:])
        if course.encoding != UTF_8 and refused.fault is Fault.PRODUCER_TROUBLE:
            # As the incumbent has it, once the request has been put into UTF-8; what stops it before is UTF-8.
            answer = fault_recoded(answer, course.encoding, self._policy)
        return answer


def _no_route(head: Head) -> Refused:
    address = head.logical_address or ""
    return Refused(
        Fault.NO_ROUTE,
        contract=bounded(head.contract) or "null",
        logical_address=bounded(address),
        hint=". Whitespace detected in incoming request!" if " " in address else "",
    )


def _refuse_loop(history: History, route: Route | None) -> None:
    """A loop is told before a missing permission, which would only hide it."""
    if history.visits and route is not None and route.platform and history.leads_again_to(route.component):
        raise Refused(Fault.LOOP, private_detail=f"The call went from here to {route.component} before")


def _the_route(decision: Decision, sender: Caller, head: Head) -> Route:
    """The route of a decision that says yes; what it says otherwise, raised as the fault with that code.

    Raises ValueError for a URL that cannot be read, before the permission, as the incumbent.
    """
    address, contract = head.logical_address, head.contract
    if decision.route is not None:
        headers.host_of(decision.route.url)
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


def refuse_profile(head: Head, route: Route) -> None:
    """Before the schema: what cannot be sent need not be checked. The first of the two cannot happen to a message that
    has an address, as with the incumbent."""
    if head.profile is None:
        raise Refused(Fault.NO_PROFILE)
    if route.profile is None:
        raise Refused(Fault.PROFILE_NOT_TRANSLATABLE, profile=head.profile.value.lower())


def _refuse_bad_answer(route: Route, answer: ProducerAnswer, compat: Compat) -> None:
    """Which answers are relayed, as by the incumbent. A SOAP 1.1 fault under 500 is; anything else outside 2xx is
    not. Unlike the incumbent an empty 202 or 204, the answer to a one-way message, is relayed as it is."""
    if 200 <= answer.status < 300:
        if not answer.body and (answer.status not in (202, 204) or compat.empty_is_fault):
            raise troubles.empty_message(route.url, answer, compat)
    elif not (answer.status == 500 and any(name in answer.body for name in _SOAP_ENVELOPE)):
        raise troubles.bad_status(route.url, answer)


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
