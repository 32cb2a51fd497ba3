"""The listening half of the stub producers: HTTP requests in, and what each address is set to do with them.

A delay, a fault, an empty answer or a closed connection is made here, on the event loop; only what has a real answer
goes on to the services, in a thread of a small pool. So any number of slow calls can wait without holding a thread.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from wsgiref.types import WSGIApplication

from aiohttp import web
from lxml import etree

from producers_stub.behaviours import Behaviour, Setting
from producers_stub.questions import patient_of
from producers_stub.received import Received, ReceivedCalls
from producers_stub.spoiling import (
    GARBAGE,
    XML,
    Asking,
    filled,
    in_another_charset,
    of_another_contract,
    of_status,
    spoiled,
    with_error_code,
)
from producers_stub.switchboard import Switchboard, Taken
from producers_stub.world import Producer
from rivta.soap.head import read_head
from rivta.soap.identifiers import LogicalAddress
from rivta.soap.service import ServiceFault, envelope_bytes, fault_envelope
from rivta.soap.spyne_adapter import PARSED_ENVELOPE
from rivta.soap.wsgi import HttpAnswer, HttpRequest, call
from rivta.soap.xml import XmlRefused, parse_xml
from rivta.tls.sender import NoSenderId, sender_from_certificate

MAX_BYTES = 50 * 1024 * 1024
INLINE_BYTES = 100_000
"""A larger message is parsed in a thread, so that the calls beside it do not wait."""

_CHUNK = 64 * 1024
_MOST_DRIPS = 500
_NOT_REMEMBERED = frozenset({"authorization", "cookie", "proxy-authorization"})


@dataclass(frozen=True, slots=True)
class Front:
    """What one producer does with its calls: `application` gives the real answers, `pool` the threads to run it in,
    `generate` an envelope made from the schema, of a request's payload and a number."""

    producer: Producer
    application: WSGIApplication
    switchboard: Switchboard
    received: ReceivedCalls
    pool: Executor
    generate: Callable[[etree._Element, int], bytes]
    now: Callable[[], datetime]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one request as its logical address is set to be answered."""
        if (request.content_length or 0) > MAX_BYTES:
            raise web.HTTPRequestEntityTooLarge(max_size=MAX_BYTES, actual_size=request.content_length or 0)
        body = await request.read()
        if request.method != "POST":
            return _response(await self._answer(request, body, None))
        root = await self._parsed(body)
        head = read_head(root) if root is not None else None
        payload = head.payload if head is not None else None
        caller, patient = _caller(request), patient_of(payload) if payload is not None else ""
        address = (head.logical_address if head is not None else None) or LogicalAddress("")
        contract = (head.contract if head is not None else None) or ""
        taken = self.switchboard.take(
            self.producer, address, _memorable(request), caller=caller, contract=contract, patient=patient
        )
        now = self.now()
        number = self.received.add(
            Received(
                number=0,
                time=now,
                producer=self.producer.name,
                logical_address=address,
                contract=contract,
                caller=caller,
                method=request.method,
                path=request.path_qs,
                headers=tuple(_memorable_lines(request)),
                body=body,
                bytes=len(body),
                behaviour=taken.behaviour.value,
            )
        )
        began = time.monotonic()
        asking = Asking(
            logical_address=address,
            patient=patient,
            headers={name.lower(): value for name, value in request.headers.items()},
            caller=caller or "",
            payload=payload,
            now=now,
        )
        status: int | None = None
        try:
            await _wait(taken, taken.wait_s)
            response = await self._behave(taken, request, body, root, asking)
            status = response.status if response.prepared or request.transport is not None else None
            return response
        finally:
            self.received.answered(number, status=status, seconds=time.monotonic() - began)

    async def _behave(
        self, taken: Taken, request: web.Request, body: bytes, root: etree._Element | None, asking: Asking
    ) -> web.StreamResponse:
        setting = taken.setting
        match setting.behaviour:
            case Behaviour.INVALID:
                return _response(spoiled(await self._answer(request, body, root)))
            case Behaviour.ERROR:
                return _response(with_error_code(await self._answer(request, body, root), setting.detail))
            case Behaviour.FAULT:
                fault = ServiceFault("Internt fel i källsystemet.", detail=setting.detail)
                return _response(HttpAnswer(500, XML, envelope_bytes(fault_envelope(fault))))
            case Behaviour.EMPTY:
                return _response(HttpAnswer(200, XML))
            case Behaviour.CLOSE | Behaviour.RESET:
                return _hung_up(request, with_reset=setting.behaviour is Behaviour.RESET)
            case Behaviour.STATUS:
                return _response(of_status(setting.status))
            case Behaviour.GARBAGE:
                return _response(HttpAnswer(200, XML, GARBAGE))
            case Behaviour.CHARSET:
                return _response(in_another_charset(await self._answer(request, body, root)))
            case Behaviour.WRONG_CONTRACT:
                return _response(of_another_contract(await self._answer(request, body, root)))
            case Behaviour.TRUNCATED:
                return await _truncated(request, await self._answer(request, body, root))
            case Behaviour.DRIP:
                return await _dripped(request, await self._answer(request, body, root), taken)
            case Behaviour.OVERSIZED:
                return await _oversized(request, await self._answer(request, body, root), setting.size)
            case Behaviour.ANSWER:
                return _response(_own(setting.body, asking))
            case Behaviour.GENERATED:
                return _response(await self._generated(setting, asking))
            case _:  # normal, slow; what is of the door has let this connection in before it was set
                return _response(await self._answer(request, body, root))

    async def _generated(self, setting: Setting, asking: Asking) -> HttpAnswer:
        if asking.payload is None:
            return _cannot("there is no message in the request")
        seed = setting.seed if setting.seed is not None else secrets.randbelow(2**31)
        payload = asking.payload
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self.pool, lambda: HttpAnswer(200, XML, self.generate(payload, seed))
            )
        except (LookupError, ValueError) as error:
            return _cannot(str(error))

    async def _parsed(self, body: bytes) -> etree._Element | None:
        """The envelope's root; None for what is refused, which the services will say why."""
        try:
            if len(body) <= INLINE_BYTES:
                return parse_xml(body)
            return await asyncio.get_running_loop().run_in_executor(self.pool, parse_xml, body)
        except XmlRefused:
            return None

    async def _answer(self, request: web.Request, body: bytes, root: etree._Element | None) -> HttpAnswer:
        wanted = HttpRequest(
            method=request.method,
            path=request.path,
            query=request.query_string,
            headers=tuple(request.headers.items()),
            body=body,
            scheme=request.scheme,
        )
        extra = {PARSED_ENVELOPE: root} if root is not None else None
        return await asyncio.get_running_loop().run_in_executor(
            self.pool, lambda: call(self.application, wanted, extra=extra)
        )


def _memorable(request: web.Request) -> Mapping[str, str]:
    return {name: value for name, value in request.headers.items() if name.lower() not in _NOT_REMEMBERED}


def _caller(request: web.Request) -> str | None:
    """The HSA-id of the certificate that the connection was made with."""
    tls = request.transport.get_extra_info("ssl_object") if request.transport is not None else None
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    return _hsa_id(certificate) if certificate else None


@lru_cache(maxsize=64)
def _hsa_id(certificate: bytes) -> str | None:
    try:
        return sender_from_certificate(certificate).hsa_id
    except NoSenderId:
        return None


def _memorable_lines(request: web.Request) -> Iterator[tuple[str, str]]:
    """The headers as they came, those of the same name too."""
    for name, value in request.headers.items():
        if name.lower() not in _NOT_REMEMBERED:
            yield name, value


def _own(template: str, asking: Asking) -> HttpAnswer:
    try:
        return filled(template, asking)
    except XmlRefused as error:
        return _cannot(f"the answer that was set is no XML for this request: {error.reason}")


def _cannot(reason: str) -> HttpAnswer:
    fault = ServiceFault("Stubben kan inte svara så som den är inställd.", detail=reason)
    return HttpAnswer(500, XML, envelope_bytes(fault_envelope(fault)))


async def _wait(taken: Taken, seconds: float) -> bool:
    """Waits so long, or until what was set is taken back: then False."""
    if taken.rule is None or seconds <= 0:
        await asyncio.sleep(seconds)
        return True
    try:
        await asyncio.wait_for(taken.rule.ended.wait(), seconds)
    except TimeoutError:
        return True
    return False


def _hung_up(request: web.Request, *, with_reset: bool) -> web.StreamResponse:
    transport = request.transport
    if transport is not None:
        if with_reset:
            _reset_at_the_end(transport)
            transport.abort()
        else:
            transport.close()
    return web.Response()  # goes nowhere


def _reset_at_the_end(transport: asyncio.Transport) -> None:
    """Has the connection end with a TCP reset: SO_LINGER of no time (socket(7))."""
    connection = transport.get_extra_info("socket")
    if connection is None:
        return
    # The loop's own wrapper may have no options; the option is of the connection, whichever descriptor sets it.
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _begun(request: web.Request, answer: HttpAnswer, length: int) -> web.StreamResponse:
    """An answer whose head is sent, with a length that may not be kept."""
    response = web.StreamResponse(status=answer.status, headers=dict(_lines(answer)))
    response.content_length = length
    await response.prepare(request)
    return response


async def _truncated(request: web.Request, answer: HttpAnswer) -> web.StreamResponse:
    response = await _begun(request, answer, len(answer.body))
    await response.write(answer.body[: len(answer.body) // 2])
    return _cut(request, response)


def _cut(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    response.force_close()
    if request.transport is not None:
        request.transport.close()
    return response


async def _dripped(request: web.Request, answer: HttpAnswer, taken: Taken) -> web.StreamResponse:
    """The answer in equal parts over the time that is set; the rest at once when that is taken back meanwhile."""
    response = await _begun(request, answer, len(answer.body))
    parts = max(1, min(_MOST_DRIPS, len(answer.body)))
    step = -(-len(answer.body) // parts) or 1
    for start in range(0, len(answer.body), step):
        await response.write(answer.body[start : start + step])
        if not await _wait(taken, taken.setting.over / parts):
            await response.write(answer.body[start + step :])
            break
    await response.write_eof()
    return response


async def _oversized(request: web.Request, answer: HttpAnswer, size: int) -> web.StreamResponse:
    """The answer with blanks behind it."""
    blanks = b" " * _CHUNK
    left = max(size - len(answer.body), 0)
    response = await _begun(request, answer, len(answer.body) + left)
    await response.write(answer.body)
    while left:
        part = blanks[:left]
        await response.write(part)
        left -= len(part)
    await response.write_eof()
    return response


def _lines(answer: HttpAnswer) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in answer.headers if name.lower() != "content-length")


def _response(answer: HttpAnswer) -> web.Response:
    return web.Response(status=answer.status, headers=dict(_lines(answer)), body=answer.body)
