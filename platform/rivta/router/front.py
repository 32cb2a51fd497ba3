"""What stands at the listener before a call is a call: paths, methods, documents (vp-behaviour sections 1 and 8)."""

import uuid
from collections.abc import Callable

from rivta.router import headers
from rivta.router.messages import Answer, Handler, Request

Documents = Callable[[str, str], bytes | None]
"""(path, query) -> the WSDL or schema served there, addresses rewritten; None when there is none."""

_ALLOWED = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"


def front(carry: Handler, *, path: str, documents: Documents, known_paths: Callable[[], list[str]]) -> Handler:
    """The handler of a listener: everything below `path` (in any case) is a call, unless it asks for a document.

    The rest of the path routes nothing: contract and receiver come from the message alone. `known_paths` are the URLs
    of the documents there are, for the answer to a wrong one.
    """

    async def handle(request: Request) -> Answer:
        if not request.path.lower().startswith(path):
            return _answer(request, 404, "text/plain", b"")
        if request.method == "OPTIONS":
            return _answer(request, 200, "text/plain", b"", ("Allow", _ALLOWED))
        if request.method == "TRACE":
            return _answer(request, 405, "text/plain", b"", ("Allow", _ALLOWED))
        if "wsdl" in request.query or "xsd" in request.query:
            return _document(request)
        return await carry(request)

    def _document(request: Request) -> Answer:
        query = f"xsd={request.query['xsd']}" if "xsd" in request.query else "wsdl"
        found = documents(request.path, query)
        if found is not None:
            return _answer(request, 200, "text/xml;UTF-8", found)  # the type is spelled as the incumbent spells it
        listing = "\n".join(["No wsdl found on this path, following wsdl paths is available:", *known_paths()])
        return _answer(request, 500, "text/plain;UTF-8", listing.encode())

    return handle


def _answer(request: Request, status: int, content_type: str, body: bytes, *more: tuple[str, str]) -> Answer:
    correlation_id = request.header(headers.CORRELATION_ID) or str(uuid.uuid4())
    return Answer(status, (("Content-Type", content_type), (headers.CORRELATION_ID, correlation_id), *more), body)
