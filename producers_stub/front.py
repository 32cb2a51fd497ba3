"""The listening half of the stub producers: HTTP requests in, and what each address is set to do with them.

A delay, a fault, an empty answer or a closed connection is made here, on the event loop; only what has a real answer
goes on to the services, in a thread of a small pool. So any number of slow calls can wait without holding a thread.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from wsgiref.types import WSGIApplication

from aiohttp import web
from lxml import etree

from producers_stub.behaviours import Behaviour, Setting
from producers_stub.nodes import append
from producers_stub.questions import patient_of
from producers_stub.switchboard import Switchboard
from producers_stub.world import Producer
from rivta.soap.head import read_head
from rivta.soap.service import ServiceFault, envelope_bytes, fault_envelope
from rivta.soap.spyne_adapter import PARSED_ENVELOPE
from rivta.soap.wsgi import HttpAnswer, HttpRequest, call
from rivta.soap.xml import XmlRefused, parse_xml
from rivta.tls.sender import NoSenderId, sender_from_certificate

MAX_BYTES = 50 * 1024 * 1024
KEEP_ALIVE_SECONDS = 75.0
"""Longer than any client of ours keeps an idle connection, so that none writes into one that is being closed."""
INLINE_BYTES = 100_000
"""A larger message is parsed in a thread, so that the calls beside it do not wait."""

_XML = (("Content-Type", "text/xml; charset=utf-8"),)
_NOT_REMEMBERED = frozenset({"authorization", "cookie", "proxy-authorization"})
_TIME_STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)")

# aiohttp words its own refusals of broken requests as exceptions with tracebacks, and quotes the request in them.
_muted = logging.getLogger("producers_stub.aiohttp")
_muted.addHandler(logging.NullHandler())
_muted.propagate = False


@dataclass(frozen=True, slots=True)
class Front:
    """One producer's door: `application` gives the real answers, `pool` the threads to run it in."""

    producer: Producer
    application: WSGIApplication
    switchboard: Switchboard
    pool: Executor

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one request as its logical address is set to be answered."""
        if (request.content_length or 0) > MAX_BYTES:
            raise web.HTTPRequestEntityTooLarge(max_size=MAX_BYTES, actual_size=request.content_length or 0)
        body = await request.read()
        if request.method != "POST":
            return _response(await self._answer(request, body, None))
        root = await self._parsed(body)
        head = read_head(root) if root is not None else None
        setting = self.switchboard.take(
            self.producer,
            head.logical_address if head is not None else None,
            _memorable(request),
            caller=_caller(request),
            patient=patient_of(head.payload) if head is not None and head.payload is not None else "",
        )
        if setting.seconds:
            await asyncio.sleep(setting.seconds)
        return await self._behave(setting, request, body, root)

    async def _behave(
        self, setting: Setting, request: web.Request, body: bytes, root: etree._Element | None
    ) -> web.StreamResponse:
        match setting.behaviour:
            case Behaviour.NORMAL | Behaviour.SLOW:
                return _response(await self._answer(request, body, root))
            case Behaviour.INVALID:
                return _response(spoiled(await self._answer(request, body, root)))
            case Behaviour.ERROR:
                return _response(with_error_code(await self._answer(request, body, root), setting.detail))
            case Behaviour.FAULT:
                fault = ServiceFault("Internt fel i källsystemet.", detail=setting.detail)
                return _response(HttpAnswer(500, _XML, envelope_bytes(fault_envelope(fault))))
            case Behaviour.EMPTY:
                return _response(HttpAnswer(200, _XML))
            case Behaviour.CLOSE:
                if request.transport is not None:
                    request.transport.close()
                return web.Response()  # goes nowhere

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


async def open_door(
    front: Front, *, listening: socket.socket, tls: ssl.SSLContext, backlog: int, drain_seconds: float
) -> web.AppRunner:
    """Answers what comes in on `listening` by `front`, until the runner's `cleanup`."""
    application = web.Application(client_max_size=MAX_BYTES)
    application.router.add_route("*", "/{path:.*}", front.handle)
    runner = web.AppRunner(
        application,
        access_log=None,
        logger=_muted,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        # A caller that has given up does not have its delay waited out.
        handler_cancellation=True,
        shutdown_timeout=drain_seconds,
    )
    await runner.setup()
    await web.SockSite(runner, listening, ssl_context=tls, backlog=backlog).start()
    return runner


def spoiled(answer: HttpAnswer) -> HttpAnswer:
    """`answer` made to break its contract as real producers do: times in ISO format, and an element nobody agreed on.

    A fault is left as it is.
    """
    if answer.status != HTTPStatus.OK:
        return answer
    root = parse_xml(answer.body)
    payload = read_head(root).payload
    if payload is None:
        return answer
    for element in payload.iter(etree.Element):
        stamp = _TIME_STAMP.fullmatch(element.text or "")
        if stamp is not None:
            element.text = "{}-{}-{}T{}:{}:{}".format(*stamp.groups())
    payload.insert(0, etree.Element(f"{{{etree.QName(payload).namespace}}}notInTheContract"))
    return HttpAnswer(answer.status, answer.headers, envelope_bytes(root))


def with_error_code(answer: HttpAnswer, detail: str) -> HttpAnswer:
    """`answer` made one of a producer that cannot tell: no record, and a result with an error code where it has one.

    A fault is left as it is.
    """
    if answer.status != HTTPStatus.OK:
        return answer
    root = parse_xml(answer.body)
    payload = read_head(root).payload
    if payload is None:
        return answer
    for element in list(payload.iterchildren(etree.Element)):
        if etree.QName(element).localname != "result":
            payload.remove(element)
            continue
        code, *others = element.iterchildren(etree.Element)
        inner = str(etree.QName(code).namespace)
        code.text = "ERROR"
        for other in others:
            element.remove(other)
        append(element, inner, [("errorCode", "INVALID_REQUEST"), ("logId", "stub"), ("message", detail)])
    return HttpAnswer(answer.status, answer.headers, envelope_bytes(root))


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


def _response(answer: HttpAnswer) -> web.Response:
    headers = {name: value for name, value in answer.headers if name.lower() != "content-length"}
    return web.Response(status=answer.status, headers=headers, body=answer.body)
