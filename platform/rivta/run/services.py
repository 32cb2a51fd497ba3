"""The contracts that a platform answers itself, behind its Unix socket; calls reach them as ordinary routes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from aiohttp import web
from lxml import etree

import rivta
from rivta.contracts.installed import Contracts
from rivta.soap import namespaces
from rivta.soap.service import Call
from rivta.soap.spyne_adapter import dispatcher, soap_application
from rivta.soap.wsgi import HttpRequest, call

_THREADS = 4
_MAX_BYTES = 50 * 1024 * 1024


def services(
    contracts: Contracts, *, title: str, publication: Callable[[], int | None], now: Callable[[], datetime]
) -> web.Server:
    """The platform's own services as a server: today PingForConfiguration 1.0. `now` gives Swedish time."""
    contract = contracts.find(namespaces.PING_FOR_CONFIGURATION_1)

    def ping(message: Call) -> etree._Element:
        return ping_answer(title=title, publication=publication(), now=now())

    # The router has checked the request against its contract already, and reported what it found.
    application = dispatcher([soap_application(contract, ping, address_required=False)], max_bytes=_MAX_BYTES)
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="services")

    async def answer(incoming: web.BaseRequest) -> web.StreamResponse:
        request = HttpRequest(
            method=incoming.method,
            path=incoming.path,
            query=incoming.query_string,
            headers=tuple(incoming.headers.items()),
            body=await incoming.content.read(),  # the router has kept its length within the limit
        )
        answered = await asyncio.get_running_loop().run_in_executor(threads, call, application, request)
        return web.Response(status=answered.status, headers=list(answered.headers), body=answered.body)

    return web.Server(answer, access_log=None)


def ping_answer(*, title: str, publication: int | None, now: datetime) -> etree._Element:
    """PingForConfigurationResponse: that the platform is alive, and what it runs with."""
    namespace = namespaces.PING_FOR_CONFIGURATION_1
    root = etree.Element(f"{{{namespace}}}PingForConfigurationResponse", nsmap={None: namespace})  # type: ignore[dict-item]
    etree.SubElement(root, f"{{{namespace}}}version").text = rivta.__version__
    etree.SubElement(root, f"{{{namespace}}}pingDateTime").text = now.strftime("%Y%m%d%H%M%S")
    for name, value in (("Applikation", title), ("Publicering", "-" if publication is None else str(publication))):
        configuration = etree.SubElement(root, f"{{{namespace}}}configuration")
        etree.SubElement(configuration, f"{{{namespace}}}name").text = name
        etree.SubElement(configuration, f"{{{namespace}}}value").text = value
    return root
