"""The one module that speaks spyne: contracts served as WSGI applications, with lxml elements in and out.

One spyne Application serves one contract, since its target namespace is the contract's; `dispatcher` stands in front of
any number of them, refuses what spyne must not see, and finds the right one by the body's first element. What leaves is
always a SOAP envelope of ours: spyne's own faults tell too much.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from lxml import etree

from rivta.soap import namespaces
from rivta.soap.faults import Side
from rivta.soap.head import Head, read_head
from rivta.soap.identifiers import LogicalAddress as Address
from rivta.soap.service import (
    INTERNAL_FAULT,
    Answer,
    Call,
    ServedContract,
    ServedOperation,
    ServiceFault,
    Streamed,
    envelope,
    envelope_bytes,
    fault_envelope,
)
from rivta.soap.spyne_shim import AnyXml, Application, Fault, Service, Soap11, Unicode, WsgiApplication, rpc
from rivta.soap.wsgi import status_line
from rivta.soap.xml import XmlRefused, parse_xml

DEFAULT_MAX_BYTES = 50 * 1024 * 1024
PARSED_ENVELOPE = "rivta.parsed_envelope"
"""Name in the WSGI environment for the envelope's root, where the server had to parse it already (by `parse_xml`)."""

_HEAD = "rivta.head"
_XML = "text/xml; charset=utf-8"

_log = logging.getLogger(__name__)

Check = Callable[[etree._Element], Sequence[str]]
"""Checks a request element against its contract: the reasons to refuse it, none if it may pass."""


class Documents(Protocol):
    """Finds the text of a WSDL or schema for a GET; None if there is none. `base_url` is the URL without its path."""

    def __call__(self, *, path: str, query: str, base_url: str) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class SoapApplication:
    """A contract, what checks its requests, and the spyne application that serves it."""

    contract: ServedContract
    check: Check | None
    wsgi: WSGIApplication


class LogicalAddress(Unicode):  # type: ignore[misc]
    """The address header of profile 2.1. spyne recognises a header only by these two attributes in a class body."""

    __type_name__ = "LogicalAddress"
    __namespace__ = namespaces.REGISTRY_1


def soap_application(
    contract: ServedContract, answer: Answer, *, check: Check | None = None, address_required: bool = True
) -> SoapApplication:
    """Serves `contract` by `answer`. Without `address_required`, a call without a logical address reaches it too."""

    methods = {
        operation.name: _method(contract, operation, answer, address_required=address_required)
        for operation in contract.operations
    }
    service = type(f"{contract.operations[0].name}Service", (Service,), methods)
    protocol = _ElementProtocol
    application = Application([service], tns=contract.namespace, in_protocol=protocol(), out_protocol=protocol())
    return SoapApplication(contract, check, WsgiApplication(application))


def _method(contract: ServedContract, operation: ServedOperation, answer: Answer, *, address_required: bool) -> Any:
    """An operation as spyne knows it."""

    def serve(context: Any, _payload: Any) -> etree._Element | Streamed:
        address = _logical_address(context)
        if address_required and not address:
            raise _Raised(ServiceFault("Logisk adressat (LogicalAddress) saknas i anropets header.", side=Side.CLIENT))
        return _answered(
            answer,
            Call(
                contract=contract.namespace,
                logical_address=address,
                payload=context.in_body_doc,
                headers=_extension_headers(context.transport.req),
            ),
            response=operation.response,
        )

    serve.__name__ = operation.name  # by which spyne tells a service's methods apart
    return rpc(
        AnyXml,
        _returns=AnyXml,
        _body_style="bare",
        _in_header=(LogicalAddress,),
        _operation_name=operation.name,
        _in_message_name=operation.request,
        _out_message_name=operation.response,
    )(serve)


def dispatcher(
    applications: Iterable[SoapApplication], *, documents: Documents | None = None, max_bytes: int = DEFAULT_MAX_BYTES
) -> WSGIApplication:
    """One WSGI application over `applications`, chosen by the body's first element (never the URL).

    GET with `?wsdl` or `?xsd=` is answered from `documents`; more than `max_bytes` of body is 413; every other refusal
    and every error is a SOAP fault with status 500.
    """
    served: dict[str, SoapApplication] = {request: one for one in applications for request in _requests(one)}

    def dispatch(environment: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method = environment["REQUEST_METHOD"]
        if method in ("GET", "HEAD"):
            return _document(environment, start_response, documents)
        if method != "POST":
            return _plain(
                start_response, HTTPStatus.METHOD_NOT_ALLOWED, "send a SOAP message by POST", ("Allow", "POST")
            )
        if _content_length(environment) > max_bytes:
            return _plain(start_response, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {max_bytes} bytes")
        try:
            application, environment[_HEAD] = _choose(served, environment)
            return application.wsgi(environment, start_response)
        except ServiceFault as fault:
            return _fault(start_response, fault)
        except Exception as error:  # noqa: BLE001 - whatever a message provokes must leave as a fault
            _log_unexpected(error)
            return _fault(start_response, INTERNAL_FAULT)

    return dispatch


def _choose(served: Mapping[str, SoapApplication], environment: WSGIEnvironment) -> tuple[SoapApplication, Head]:
    """The application for the message in `environment`, and its head; raises ServiceFault if there is none."""
    root = _read_envelope(environment)
    head = read_head(root)
    if head.payload is None:
        raise ServiceFault("Anropet saknar innehåll: soap:Body är tom eller saknas.", side=Side.CLIENT)
    application = served.get(head.payload.tag)
    if application is None:
        raise ServiceFault(
            "Tjänstekontraktet stöds inte här.",
            side=Side.CLIENT,
            detail=f"{head.payload.tag} is not among: {', '.join(served)}",
        )
    reasons = application.check(head.payload) if application.check is not None else ()
    if reasons:
        raise ServiceFault("Anropet följer inte tjänstekontraktet.", side=Side.CLIENT, detail="\n".join(reasons))
    return application, head


def _requests(application: SoapApplication) -> list[str]:
    return [operation.request for operation in application.contract.operations]


def _read_envelope(environment: WSGIEnvironment) -> etree._Element:
    root = environment.get(PARSED_ENVELOPE)
    if root is None:
        try:
            root = parse_xml(environment["wsgi.input"].read(_content_length(environment)))
        except XmlRefused as error:
            raise ServiceFault(
                "Anropet är inte ett läsbart SOAP-meddelande.",
                side=Side.CLIENT,
                detail=f"line {error.line}: {error.reason}",
            ) from error
    if root.tag != f"{{{namespaces.SOAP_ENVELOPE}}}Envelope":
        raise ServiceFault("Anropet är inte ett SOAP 1.1-meddelande.", side=Side.CLIENT, detail=f"root is {root.tag}")
    # Without them the text of an element is one string, here, in spyne and in every service.
    etree.strip_tags(root, etree.Comment, etree.ProcessingInstruction)
    return root


def _content_length(environment: WSGIEnvironment) -> int:
    """Bytes in the body. WSGI has no body without a length (PEP 3333), nor with one that is no number."""
    text = environment.get("CONTENT_LENGTH") or ""
    return int(text) if text.isascii() and text.isdigit() else 0


class _Raised(Fault):  # type: ignore[misc]
    """A ServiceFault on its way through spyne, which lets only its own faults pass unchanged."""

    def __init__(self, fault: ServiceFault) -> None:
        super().__init__(faultcode=fault.side.value, faultstring=fault.text)
        self.fault = fault


class _ElementProtocol(Soap11):  # type: ignore[misc]
    """SOAP 1.1 for payloads that are elements: takes the envelope that `dispatcher` has read, and writes ours."""

    def create_in_document(self, ctx: Any, charset: str | None = None) -> None:
        ctx.in_document = ctx.transport.req[_HEAD]

    def decompose_incoming_envelope(self, ctx: Any, message: Any = Soap11.REQUEST) -> None:
        head: Head = ctx.in_document
        assert head.payload is not None  # `dispatcher` has seen to it
        ctx.in_header_doc = list(head.header) if head.header is not None else None
        ctx.in_body_doc = head.payload
        ctx.method_request_string = head.payload.tag

    def serialize(self, ctx: Any, message: Any) -> None:
        if ctx.out_error is None:
            answer = ctx.out_object[0]
            if isinstance(answer, Streamed):
                # The bytes are ours already: spyne would hold the whole answer as a tree.
                ctx.out_string = answer.chunks
                ctx.transport.resp_headers.update(answer.headers)
            else:
                ctx.out_document = envelope(answer)
        else:
            fault = ctx.out_error.fault if isinstance(ctx.out_error, _Raised) else INTERNAL_FAULT
            ctx.out_document = fault_envelope(fault)

    def create_out_string(self, ctx: Any, charset: str | None = None) -> None:
        if ctx.out_string is None:
            super().create_out_string(ctx, charset)


def _logical_address(context: Any) -> Address:
    """The address of profile 2.1 as spyne read it, else the head's: of profile 2.0, or version 2 of the registry."""
    head: Head = context.in_document
    text = context.in_header or head.logical_address or ""
    return Address(text if text.strip() else "")


def _extension_headers(environment: WSGIEnvironment) -> dict[str, str]:
    return {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environment.items()
        if name.startswith("HTTP_X_")
    }


def _answered(answer: Answer, call: Call, *, response: str) -> etree._Element | Streamed:
    """What `answer` says to `call`; whatever else it raises leaves as the internal fault."""
    try:
        element = answer(call)
        if not isinstance(element, Streamed) and element.tag != response:
            raise TypeError(f"the service answered with {element.tag}, the contract says {response}")
        return element
    except ServiceFault as fault:
        raise _Raised(fault) from None
    except Exception as error:  # noqa: BLE001 - a service's own trouble is not for the caller to read
        _log_unexpected(error)
        raise _Raised(INTERNAL_FAULT) from None


def _log_unexpected(error: Exception) -> None:
    """Logs where it happened but not the exception's own text, which may quote the message."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    where = f"{last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if last is not None else "an unknown place"
    _log.error("a SOAP service failed with %s at %s", type(error).__name__, where)


def _document(
    environment: WSGIEnvironment, start_response: StartResponse, documents: Documents | None
) -> Iterable[bytes]:
    host = environment.get("HTTP_HOST") or f"{environment['SERVER_NAME']}:{environment['SERVER_PORT']}"
    path = environment.get("PATH_INFO", "")
    base_url = f"{environment['wsgi.url_scheme']}://{host}"
    query = environment.get("QUERY_STRING", "")
    text = documents(path=path, query=query, base_url=base_url) if documents is not None else None
    if text is None:
        return _plain(start_response, HTTPStatus.NOT_FOUND, "nothing here to read; a WSDL is at <service>?wsdl")
    return _reply(start_response, HTTPStatus.OK, _XML, text)


def _fault(start_response: StartResponse, fault: ServiceFault) -> Iterable[bytes]:
    return _reply(start_response, HTTPStatus.INTERNAL_SERVER_ERROR, _XML, envelope_bytes(fault_envelope(fault)))


def _plain(start_response: StartResponse, status: HTTPStatus, text: str, *headers: tuple[str, str]) -> Iterable[bytes]:
    return _reply(start_response, status, "text/plain; charset=utf-8", f"{text}\n".encode(), *headers)


def _reply(
    start_response: StartResponse, status: HTTPStatus, content_type: str, body: bytes, *headers: tuple[str, str]
) -> Iterable[bytes]:
    start_response(status_line(status), [("Content-Type", content_type), ("Content-Length", str(len(body))), *headers])
    return [body]
