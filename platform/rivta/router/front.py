"""What stands at the listener before a call is a call: paths, methods, documents. As the incumbent."""

from typing import Protocol

from rivta.contracts.installed import Contracts
from rivta.contracts.wsdl import find_by_path, not_found_text, schema, wsdl
from rivta.router import headers
from rivta.router.messages import Answer, Handler, Request

_ALLOWED = ("Allow", "GET, POST, PUT, DELETE, OPTIONS, PATCH")


class Documents(Protocol):
    """The WSDLs and schemas that a platform serves."""

    def find(self, path: str, xsd: str | None) -> bytes:
        """The WSDL at `path`, below the listener's own, or the schema that it imports by `xsd`.

        Raises LookupError with the text of the answer if there is none.
        """


class ContractDocuments:
    """The documents of the installed contracts, with the platform's own addresses in them."""

    def __init__(self, contracts: Contracts, url: str) -> None:
        """`url` is where consumers reach the platform: `https://host:port/vp`."""
        self._contracts = contracts
        self._url = url

    def find(self, path: str, xsd: str | None) -> bytes:
        """As `Documents.find`. The WSDL's own path is matched in any case, as the incumbent does."""
        found = find_by_path(self._contracts, path)
        if found is None:
            raise LookupError(not_found_text(self._contracts, self._url))
        contract, profile = found
        return wsdl(contract, profile, self._url) if xsd is None else schema(contract, profile, xsd, self._url)


def front(carry: Handler, *, path: str, documents: Documents) -> Handler:
    """The handler of a listener: everything below `path` (in any case) is a call, unless it asks for a document.

    The rest of the path routes nothing: contract and receiver come from the message alone.
    """

    async def handle(request: Request) -> Answer:
        if not request.path.lower().startswith(path):
            return _answer(request, 404, "text/plain", b"")
        if request.method == "OPTIONS":
            return _answer(request, 200, "text/plain", b"", _ALLOWED)
        if request.method in ("TRACE", "CONNECT", "HEAD"):
            return _answer(request, 405, "text/plain", b"", _ALLOWED)
        if "wsdl" in request.query or "xsd" in request.query:
            return _document(request, request.path[len(path) :], documents)
        return await carry(request)

    return handle


def _document(request: Request, path: str, documents: Documents) -> Answer:
    try:
        found = documents.find(path, request.query.get("xsd"))
    except LookupError as error:
        return _answer(request, 500, "text/plain;UTF-8", str(error.args[0]).encode())
    return _answer(request, 200, "text/xml;UTF-8", found)  # both types are spelled as the incumbent spells them


def _answer(request: Request, status: int, content_type: str, body: bytes, *more: tuple[str, str]) -> Answer:
    correlation_id = headers.correlation_id_of(request)
    return Answer(status, (("Content-Type", content_type), (headers.CORRELATION_ID, correlation_id), *more), body)
