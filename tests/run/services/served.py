"""The catalogue's services over a table, called with bytes and without sockets; and over real ones, in a thread."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from aiohttp import web
from lxml import etree

from rivta.catalogue.quirks import RegistryRules
from rivta.catalogue.table import Table
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators
from rivta.run.services.catalogue import Catalogue
from rivta.run.services.server import application
from rivta.run.tak_pages import tak_application
from rivta.soap.head import read_head
from rivta.soap.wsgi import HttpAnswer, HttpRequest, call
from rivta.soap.xml import parse_xml
from tests.catalogue.tables import NOW

CONTRACTS = Contracts.shipped()
VALIDATORS = Validators(CONTRACTS)
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"


def catalogue(table: Table | None, *, rules: RegistryRules | None = None, now: datetime = NOW) -> Catalogue:
    return Catalogue(
        contracts_in_force=lambda: CONTRACTS,
        title="Platform of the test",
        table_in_force=lambda: table,
        rules=rules or RegistryRules(),
        now=lambda: now,
    )


def message(payload: str, header: str = "") -> bytes:
    return f'<s:Envelope xmlns:s="{SOAP}"><s:Header>{header}</s:Header><s:Body>{payload}</s:Body></s:Envelope>'.encode()


def answer_to(served: Catalogue, payload: str, header: str = "") -> HttpAnswer:
    """What the services answer to a message with this payload."""
    return call(application(served), HttpRequest("POST", "/", body=message(payload, header)))


def payload_of(body: bytes) -> etree._Element:
    """The first element of the body; one of a contract of ours is valid by its schema."""
    head = read_head(parse_xml(body))
    assert head.payload is not None
    contract = CONTRACTS.get(str(head.contract))
    if contract is not None:
        verdict = VALIDATORS.check(contract, head.payload, "response")
        assert verdict.valid, verdict.violations
    return head.payload


def fault_of(answer: HttpAnswer) -> tuple[str, str]:
    """Code and text of the SOAP fault that `answer` must be."""
    assert answer.status == 500
    fault = payload_of(answer.body)
    assert etree.QName(fault).localname == "Fault"
    return (fault.findtext("faultcode") or "").rpartition(":")[2], fault.findtext("faultstring") or ""


def children(element: etree._Element) -> list[tuple[str, str]]:
    """Names and texts of an element's children, in order."""
    return [(etree.QName(one).localname, one.text or "") for one in element]


@contextmanager
def listening(served: web.Application) -> Iterator[str]:
    """`served` on a real port of its own; gives `http://127.0.0.1:<port>`."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(served, access_log=None)

    async def start() -> int:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return int(runner.addresses[0][1])

    port = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextmanager
def tak(served: Catalogue) -> Iterator[str]:
    """The catalogue's services on plain http; gives their base URL."""
    with listening(tak_application(served)) as url:
        yield f"{url}/tak-services"
