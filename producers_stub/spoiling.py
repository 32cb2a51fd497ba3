"""Good answers made bad, and answers of a tester's own: what the behaviours do to bytes. Pure functions."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from zoneinfo import ZoneInfo

from lxml import etree

from producers_stub.nodes import append
from rivta.soap import namespaces
from rivta.soap.head import read_head
from rivta.soap.service import envelope, envelope_bytes, xml_text
from rivta.soap.wsgi import HttpAnswer
from rivta.soap.xml import parse_xml

XML = (("Content-Type", "text/xml; charset=utf-8"),)
GARBAGE = bytes((7 * number * number + 13 * number) % 256 for number in range(4096))
"""No XML, no text in any charset, and the same every time."""

_TIME_STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)")
_PLACE = re.compile(r"(\$?)\$\{([^}\s]{1,200})\}")
_SWEDISH_TIME = ZoneInfo("Europe/Stockholm")
_ENVELOPE = f"{{{namespaces.SOAP_ENVELOPE}}}Envelope"
_DECLARATION = b"<?xml version='1.0' encoding='UTF-8'?>\n"


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


def in_another_charset(answer: HttpAnswer) -> HttpAnswer:
    """`answer` in ISO 8859-1 under a declaration of UTF-8, with at least one letter for which that matters."""
    text = etree.tostring(parse_xml(answer.body), encoding="unicode")
    body = f"{text}<!-- räksmörgås -->".encode("iso-8859-1", "xmlcharrefreplace")
    return HttpAnswer(answer.status, XML, _DECLARATION + body)


def of_another_contract(answer: HttpAnswer) -> HttpAnswer:
    """A good answer, but to PingForConfiguration; to that itself, one of GetDiagnosis."""
    root = parse_xml(answer.body)
    payload = read_head(root).payload
    ping = namespaces.PING_FOR_CONFIGURATION_1
    is_ping = payload is not None and etree.QName(payload).namespace == ping
    namespace, name = (
        (namespaces.GET_DIAGNOSIS_2, "GetDiagnosisResponse")
        if is_ping
        else (
            ping,
            "PingForConfigurationResponse",
        )
    )
    other = etree.Element(f"{{{namespace}}}{name}", nsmap={"a": namespace})
    if not is_ping:
        append(other, namespace, [("version", "1.0"), ("pingDateTime", "20261124120000")])
    return HttpAnswer(HTTPStatus.OK, XML, envelope_bytes(envelope(other)))


def of_status(status: int) -> HttpAnswer:
    """What a proxy between would send."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    page = f"<html><head><title>{status} {phrase}</title></head><body><h1>{status} {phrase}</h1></body></html>\n"
    return HttpAnswer(status, (("Content-Type", "text/html; charset=utf-8"),), page.encode())


@dataclass(frozen=True, slots=True)
class Asking:
    """The request that an answer of the tester's own is to."""

    logical_address: str
    patient: str
    headers: Mapping[str, str]
    """By names in lower case."""
    caller: str
    payload: etree._Element | None
    now: datetime


def filled(template: str, asking: Asking) -> HttpAnswer:
    """The tester's answer with the request's values: `${patient}`, `${logical_address}`, `${caller}`,
    `${header:NAME}`, `${request:a/b}` (the first element b in an a, by local names), `${now}`, `${today}`, `${uuid}`.

    What the request does not have is empty, and so is an unknown name; `$${x}` is itself. Raises XmlRefused.
    """
    text = _PLACE.sub(lambda found: found[0][1:] if found[1] else xml_text(_value(found[2], asking)), template)
    root = parse_xml(text.encode())
    if root.tag == _ENVELOPE:
        status = HTTPStatus.INTERNAL_SERVER_ERROR if _is_fault(root) else HTTPStatus.OK
        return HttpAnswer(status, XML, envelope_bytes(root))
    return HttpAnswer(HTTPStatus.OK, XML, envelope_bytes(envelope(root)))


def _is_fault(root: etree._Element) -> bool:
    payload = read_head(root).payload
    return payload is not None and payload.tag == f"{{{namespaces.SOAP_ENVELOPE}}}Fault"


def _value(name: str, asking: Asking) -> str:
    kind, _, rest = name.partition(":")
    moment = asking.now.astimezone(_SWEDISH_TIME)
    simple: Mapping[str, Callable[[], str]] = {
        "patient": lambda: asking.patient,
        "logical_address": lambda: asking.logical_address,
        "caller": lambda: asking.caller,
        "header": lambda: asking.headers.get(rest.lower(), ""),
        "request": lambda: _text_at(asking.payload, rest.split("/")),
        "now": lambda: moment.strftime("%Y%m%d%H%M%S"),
        "today": lambda: moment.strftime("%Y%m%d"),
        "uuid": lambda: str(uuid.uuid4()),
    }
    found = simple.get(kind)
    return found() if found is not None else ""


def _text_at(payload: etree._Element | None, names: list[str]) -> str:
    """The text of the first element at a path of local names that begins anywhere in the payload."""
    for start in payload.iter(etree.Element) if payload is not None else ():
        if etree.QName(start).localname != names[0]:
            continue
        element: etree._Element | None = start
        for name in names[1:]:
            children = element.iterchildren(etree.Element) if element is not None else ()
            element = next((one for one in children if etree.QName(one).localname == name), None)
        if element is not None:
            return (element.text or "").strip()
    return ""
