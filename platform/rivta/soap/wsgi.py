"""Bytes to a WSGI application and back, without a socket: how an asyncio server, or a test, calls one."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import chain, islice
from typing import Any
from wsgiref.types import WSGIApplication, WSGIEnvironment


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request, whole: header names in any case, the body already unchunked and unpacked."""

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)
    scheme: str = "https"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer, whole."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Answering:
    """An answer whose body is made while it is read; `close` it, read or not."""

    status: int
    headers: tuple[tuple[str, str], ...]
    chunks: Iterator[bytes] = field(repr=False)
    close: Callable[[], None]

    @property
    def is_whole(self) -> bool:
        """Its length is known: it is made already."""
        return any(name.lower() == "content-length" for name, _ in self.headers)


def call(
    application: WSGIApplication, request: HttpRequest, *, extra: Mapping[str, object] | None = None
) -> HttpAnswer:
    """Calls `application` in this thread. `extra` is put into its environment under its own names."""
    answering = begin(application, request, extra=extra)
    try:
        return HttpAnswer(answering.status, answering.headers, b"".join(answering.chunks))
    finally:
        answering.close()


def begin(
    application: WSGIApplication, request: HttpRequest, *, extra: Mapping[str, object] | None = None
) -> Answering:
    """The same, but the body is the caller's to read, in any thread."""
    started: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Any:
        started[:] = [(status, headers)]
        return written.append

    chunks = application(_environment(request) | dict(extra or {}), start_response)
    body = iter(chunks)
    # PEP 3333: an application may start its response as late as when its first piece is asked for.
    first = [] if started else list(islice(body, 1))
    status, headers = started[0]
    return Answering(
        int(status[:3]), tuple(headers), chain(written, first, body), getattr(chunks, "close", lambda: None)
    )


def status_line(status: HTTPStatus) -> str:
    """`status` as WSGI spells it, like `200 OK`."""
    return f"{status.value} {status.phrase}"


def _environment(request: HttpRequest) -> WSGIEnvironment:
    """The environment of PEP 3333. A name with an underscore is left out: it could pass for one with a dash."""
    environment: WSGIEnvironment = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.scheme,
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    environment.update(_header_variables(request.headers))
    return environment


def _header_variables(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    variables: dict[str, str] = {}
    for name, value in headers:
        key = name.upper().replace("-", "_")
        if "_" in name or key == "CONTENT_LENGTH":
            continue
        variable = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        variables[variable] = f"{variables[variable]},{value}" if variable in variables else value
    return variables
