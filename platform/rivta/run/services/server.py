"""All services of the platform itself as one WSGI application, and how asyncio serves it without waiting for it.

Short answers are made whole in a thread; of a long one each piece is, when the one before has been taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from wsgiref.types import WSGIApplication

from aiohttp import web

from rivta.run.services.catalogue import Catalogue
from rivta.run.services.index import EngagementIndex, index_answers
from rivta.run.services.ping import ping
from rivta.run.services.registry import logical_addressees, logical_addresses, supported_contracts
from rivta.run.services.sokvagval import sokvagvalsinfo
from rivta.soap import namespaces
from rivta.soap.service import Answer
from rivta.soap.spyne_adapter import DEFAULT_MAX_BYTES, Documents, dispatcher, soap_application
from rivta.soap.wsgi import Answering, HttpRequest, begin

_log = logging.getLogger("rivta.run.services")

_THREADS = 4
_CHANGING_THREADS = 2
"""One waits for the disk while the other reads its message."""
_START_BYTES = 4096
"""Of a message: the namespace of what its body holds stands there, as a rule."""
_UNREAD_SECONDS = 60.0
"""A reader that takes nothing of a long answer for so long is cut off."""
NO_OTHERS: Mapping[str, Answer] = {}


def answers(catalogue: Catalogue) -> dict[str, Answer]:
    """The service of each contract that is about the catalogue, by the contract's namespace."""
    return {
        namespaces.PING_FOR_CONFIGURATION_1: ping(catalogue),
        namespaces.GET_SUPPORTED_SERVICE_CONTRACTS_1: supported_contracts(catalogue, version=1),
        namespaces.GET_SUPPORTED_SERVICE_CONTRACTS_2: supported_contracts(catalogue, version=2),
        namespaces.GET_LOGICAL_ADDRESSEES_BY_SERVICE_CONTRACT_1: logical_addresses(catalogue),
        namespaces.GET_LOGICAL_ADDRESSEES_BY_SERVICE_CONTRACT_2: logical_addressees(catalogue),
        namespaces.VAGVALSINFO_1: sokvagvalsinfo(catalogue),
        namespaces.VAGVALSINFO_2: sokvagvalsinfo(catalogue),
    }


def application(
    catalogue: Catalogue,
    index: EngagementIndex | None = None,
    others: Mapping[str, Answer] = NO_OTHERS,
    *,
    documents: Documents | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> WSGIApplication:
    """The services, with those of an engagement index where there is one, and `others` by their contracts' namespaces.

    None needs a logical address, and requests are not validated: they have faults of their own.
    """
    all_answers = answers(catalogue) | ({} if index is None else index_answers(index)) | dict(others)
    served = [
        soap_application(catalogue.contracts.find(namespace), answer, address_required=False)
        for namespace, answer in all_answers.items()
    ]
    return dispatcher(served, documents=documents, max_bytes=max_bytes)


class Bridge:
    """Calls a WSGI application from asyncio."""

    def __init__(self, application: WSGIApplication, *, threads: int = _THREADS) -> None:
        self._application = application
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="services")

    async def begin(self, incoming: web.BaseRequest, body: bytes) -> Answering:
        """The answer to `incoming`, as far as it has been made; whoever takes it gives it to `send` or closes it."""
        request = HttpRequest(
            method=incoming.method,
            path=incoming.path,
            query=incoming.query_string,
            headers=tuple(incoming.headers.items()),
            body=body,
            scheme=incoming.scheme,
        )
        return await asyncio.get_running_loop().run_in_executor(self._threads, begin, self._application, request)

    async def send(self, incoming: web.BaseRequest, answering: Answering) -> web.StreamResponse:
        """Send an answer. One that breaks off is cut, so that nobody takes a part for the whole."""
        try:
            if answering.is_whole:
                body = b"".join(answering.chunks)
                return web.Response(status=answering.status, headers=list(answering.headers), body=body)
            response = web.StreamResponse(status=answering.status, headers=list(answering.headers))
            await response.prepare(incoming)
            await self._stream(incoming, response, answering)
            return response
        finally:
            answering.close()

    async def _stream(self, incoming: web.BaseRequest, response: web.StreamResponse, answering: Answering) -> None:
        loop = asyncio.get_running_loop()
        try:
            while chunk := await loop.run_in_executor(self._threads, next, answering.chunks, b""):
                async with asyncio.timeout(_UNREAD_SECONDS):
                    await response.write(chunk)
            await response.write_eof()
        except (OSError, ValueError) as error:  # the reader is gone or does not read; or the table cannot be read
            _log.warning("an answer to %s was cut off: %s", incoming.remote or "a router", str(error) or "unread")
            with contextlib.suppress(AttributeError):  # the connection is closed already
                incoming.transport.abort()  # type: ignore[union-attr]


def services(
    catalogue: Catalogue, index: EngagementIndex | None = None, others: Mapping[str, Answer] = NO_OTHERS
) -> web.Server:
    """The services behind the platform's Unix socket; calls reach them as ordinary routes.

    Changes to the index wait for each other: they have a thread of their own, so that questions do not wait for them.
    """
    served = application(catalogue, index, others)
    asking, changing = Bridge(served), Bridge(served, threads=_CHANGING_THREADS)

    async def answer(incoming: web.BaseRequest) -> web.StreamResponse:
        body = await incoming.content.read()  # the router has kept its length within the limit
        bridge = changing if _changes_index(body) else asking
        return await bridge.send(incoming, await bridge.begin(incoming, body))

    return web.Server(answer, access_log=None)


def _changes_index(body: bytes) -> bool:
    """Whether a message looks like one that changes the index; a guess that is wrong costs only time."""
    start = body[:_START_BYTES]
    return any(namespace.encode() in start for namespace in (namespaces.UPDATE_1, namespaces.PROCESS_NOTIFICATION_1))
