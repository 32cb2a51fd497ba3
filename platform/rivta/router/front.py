"""What stands at the listener before a call is a call: paths, methods, documents. As the incumbent."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from rivta.contracts.installed import Contracts
from rivta.contracts.wsdl import UnknownSchema, find_by_path, not_found_text, schema, wsdl
from rivta.router import headers
from rivta.router.messages import Answer, Handler, Request
from rivta.soap.faults import unexpected_fault_envelope

_ALLOWED = ("Allow", "GET, POST, PUT, DELETE, OPTIONS, PATCH")
_DOCUMENTS = ("wsdl", "xsd")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\]")
_PORT = re.compile(r"[0-9]{1,5}")
# An answer repeats the key that was asked for.
_LONGEST_KEY = 500


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Names of the headers in which a proxy in front tells where its clients reach it."""

    proto: str = "X-VP-Forwarded-Proto"
    host: str = "X-VP-Forwarded-Host"
    port: str = "X-VP-Forwarded-Port"

    def url(self, own: str, request: Request) -> str:
        """The platform's URL as a consumer behind the proxy knows it: `own`, with what the headers say otherwise.

        A value that could not stand in a URL counts as not sent.
        """
        proto, host, port = (request.header(name) for name in (self.proto, self.host, self.port))
        parts = urlsplit(own)
        if proto.lower() not in ("http", "https"):
            proto = parts.scheme
        if not _HOST.fullmatch(host):
            host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        if not (_PORT.fullmatch(port) and 0 < int(port) < 65536):
            port = str(parts.port or "")
        return f"{proto.lower()}://{host}{':' if port else ''}{port}{parts.path}"


class Documents(Protocol):
    """The WSDLs and schemas that a platform serves."""

    def find(self, path: str, xsd: str | None, request: Request) -> bytes:
        """The WSDL at `path`, below the listener's own, or the schema that it imports by `xsd`, for who sent `request`.

        Raises UnknownSchema, and LookupError with the text of the answer if there is no WSDL.
        """


class ContractDocuments:
    """The documents of the installed contracts, with the platform's own addresses in them."""

    def __init__(self, contracts: Callable[[], Contracts], url: str, forwarded: Forwarded = Forwarded()) -> None:
        """`contracts` gives those in force; `url` is where consumers reach the platform: `https://host:port/vp`."""
        self._contracts = contracts
        self._url = url
        self._forwarded = forwarded

    def find(self, path: str, xsd: str | None, request: Request) -> bytes:
        """As `Documents.find`. The WSDL's own path is matched in any case, as the incumbent does."""
        url = self._forwarded.url(self._url, request)
        contracts = self._contracts()
        found = find_by_path(contracts, path)
        if found is None:
            raise LookupError(not_found_text(contracts, url))
        contract, profile = found
        return wsdl(contract, profile, url) if xsd is None else schema(contract, profile, xsd, url)


def front(carry: Handler, *, path: str, documents: Documents) -> Handler:
    """The handler of a listener: everything below `path` (in any case) is a call, unless it asks for a document.

    The rest of the path routes nothing: contract and receiver come from the message alone.
    """

    async def handle(request: Request) -> Answer:
        if request.method == "CONNECT":
            return _answer(request, 405, b"", _ALLOWED, close=True)
        if request.method == "OPTIONS" and request.path == "*":
            return _answer(request, 200, b"", _ALLOWED)
        if not request.path.lower().startswith(path):
            return _answer(request, 404, b"")
        if request.method == "OPTIONS":
            return _answer(request, 200, b"", _ALLOWED)
        if request.method == "TRACE":
            return _answer(request, 405, b"", _ALLOWED)
        asked = _asked(request)
        if asked:
            return _document(request, request.path[len(path) :], asked.get("xsd"), documents)
        if request.method == "HEAD":
            return _answer(request, 405, b"", _ALLOWED)
        return await carry(request)

    return handle


def _asked(request: Request) -> dict[str, str]:
    """What of `wsdl` and `xsd` a request has as a parameter or, as the incumbent lets it, as a header; in any case."""
    asked: dict[str, str] = {}
    for name, value in request.headers:
        if len(name) < 5 and name.lower() in _DOCUMENTS:
            asked[name.lower()] = value
    for name, value in request.query.items():
        if len(name) < 5 and name.lower() in _DOCUMENTS:
            asked[name.lower()] = value
    return asked


def _document(request: Request, path: str, xsd: str | None, documents: Documents) -> Answer:
    try:
        found = documents.find(path, xsd, request)
    except UnknownSchema as error:
        text = str(error.args[0])[:_LONGEST_KEY]
        body = unexpected_fault_envelope(text=text, detail=text)
        return _answer(request, 500, body, content_type=headers.CONTENT_TYPE)
    except LookupError as error:
        return _answer(request, 500, str(error.args[0]).encode(), content_type="text/plain;UTF-8")
    # Both types are spelled as the incumbent spells them.
    return _answer(request, 200, found, content_type="text/xml;UTF-8")


def _answer(
    request: Request,
    status: int,
    body: bytes,
    *more: tuple[str, str],
    content_type: str = "text/plain",
    close: bool = False,
) -> Answer:
    lines = (("Content-Type", content_type), (headers.CORRELATION_ID, headers.correlation_id_of(request)), *more)
    return Answer(status, lines, body, close)
