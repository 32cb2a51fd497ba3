"""HTTP and SOAP of an endpoint: what it answers to broken and to good messages, and the WSDL it shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from lxml import etree

from rivta.contracts import samples
from rivta.contracts.domain import Contract
from rivta.contracts.validation import Validators
from rivta.contracts.verdict import Violation
from rivta.contracts.wsdl import contract_path
from rivta.onboarding.findings import Finding, fail, ok, skipped, warn
from rivta.onboarding.wire import Address, Connection, Deadline, Failure, HttpAnswer
from rivta.soap import namespaces
from rivta.soap.charsets import charset_of, declared_encoding
from rivta.soap.head import read_head
from rivta.soap.identifiers import Profile, short_name
from rivta.soap.xml import XmlRefused, parse_xml

ANSWER_SECONDS = 29.0
"""A platform waits no longer for an answer."""
BROKEN_SECONDS = 10.0
WSDL_SECONDS = 10.0
READING = ("Get", "Ping", "Find", "List", "Is", "Has")
"""What the names of contracts begin with that change nothing."""
_SHOWN_VIOLATIONS = 5
_SHOWN_TEXT = 200
_BROKEN = b"<this is not XML"
_HEADERS = {"Content-Type": "text/xml; charset=UTF-8", "User-Agent": "rivta connect check"}
_RESPONDER = re.compile(r"urn:.+:[^:]+Responder:\d+")
_INTERACTION = re.compile(r"urn:.+:(?P<profile>rivtabp2[01])", re.IGNORECASE)


OpenAgain = Callable[[], Connection]
"""Another connection to the same endpoint; raises Failure, OutOfTime."""


@dataclass(frozen=True, slots=True)
class Soap:
    """What an answer is, read as SOAP."""

    payload: etree._Element | None
    header: etree._Element | None
    is_fault: bool
    text: str
    """Of the fault."""


def is_reading(contract: Contract) -> bool:
    """Whether calling it changes nothing, by its name."""
    return re.match(rf"(?:{'|'.join(READING)})(?=[A-Z])", contract.name) is not None


def broken(connection: Connection, address: Address, seconds: float) -> HttpAnswer:
    """What is answered to a message that is no XML: harmless wherever it is sent. Raises Failure."""
    return connection.exchange(
        "POST", address.path, headers={**_HEADERS, "SOAPAction": '""'}, body=_BROKEN, seconds=seconds
    )


def read_soap(answer: HttpAnswer) -> Soap | None:
    """The answer as SOAP 1.1; None when it is something else."""
    try:
        root = parse_xml(answer.body)
    except XmlRefused:
        return None
    if root.tag != f"{{{namespaces.SOAP_ENVELOPE}}}Envelope":
        return None
    head = read_head(root)
    is_fault = head.payload is not None and head.payload.tag == f"{{{namespaces.SOAP_ENVELOPE}}}Fault"
    text = ""
    if is_fault and head.payload is not None:
        string = next((child for child in head.payload if str(child.tag).endswith("faultstring")), None)
        text = " ".join(((string.text if string is not None else None) or "").split())[:_SHOWN_TEXT]
    return Soap(head.payload, head.header, is_fault, text)


def check_broken(answer: HttpAnswer) -> Iterator[Finding]:
    """Whether it answers POST at all, and a message that is no XML with a SOAP fault."""
    yield _post(answer)
    soap = read_soap(answer)
    if soap is not None and soap.is_fault:
        yield _fault("broken message", answer, soap)
    elif answer.status < HTTPStatus.BAD_REQUEST or _is_misdirected(answer):
        yield skipped("broken message", "see the step before")
    else:
        yield warn(
            "broken message",
            f"what is no XML is answered with HTTP {answer.status} and {_kind_of(answer)}",
            "answer with a SOAP fault and HTTP 500: anything else reaches the consumer as VP009, without your words",
        )


def _is_misdirected(answer: HttpAnswer) -> bool:
    return answer.status in (
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
    )


def _post(answer: HttpAnswer) -> Finding:
    step = "post"
    seen = f"HTTP {answer.status} {answer.reason}".rstrip()
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        target = answer.header("Location")[:_SHOWN_TEXT]
        return fail(step, f"{seen} to {target!r}", "give the URL that it leads to: a platform follows no redirects")
    if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        return fail(step, seen, "give the whole path of the service: nothing takes a POST there")
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return fail(step, seen, "let the platform in by its certificate alone: it knows no other way to log in")
    if answer.status < HTTPStatus.MULTIPLE_CHOICES and read_soap(answer) is None and answer.body:
        return fail(
            step,
            f"{seen} with {_kind_of(answer)} to a message that is no XML",
            "give the URL of the SOAP service: what is there is something else",
        )
    return ok(step, f"answered ({seen})")


def _fault(step: str, answer: HttpAnswer, soap: Soap) -> Finding:
    if answer.status != HTTPStatus.INTERNAL_SERVER_ERROR:
        return warn(
            step,
            f"a SOAP fault under HTTP {answer.status}",
            "send it with HTTP 500 (SOAP 1.1, section 6.2): under another status it reaches the consumer as VP009",
        )
    return ok(step, f"a SOAP fault: {soap.text or 'without text'}")


def _kind_of(answer: HttpAnswer) -> str:
    if not answer.body:
        return "no body"
    if b"<html" in answer.body[:1000].lower():
        return "an HTML page"
    return f"something that is no SOAP 1.1 ({answer.header('Content-Type')[:60] or 'no Content-Type'})"


def check_keep_alive(connection: Connection, address: Address, first: HttpAnswer, seconds: float) -> Finding:
    """Whether the connection that answered can be used again."""
    step = "keep-alive"
    change = "keep connections open (HTTP/1.1): a platform calls over the same ones again, which saves handshakes"
    if not first.stays_open:
        return warn(step, "the connection is closed after each answer", change)
    try:
        broken(connection, address, seconds)
    except Failure as failure:
        return warn(step, f"a second request on the connection is not answered: {failure}", change)
    return ok(step, "two requests over one connection")


@dataclass(frozen=True, slots=True)
class Wsdl:
    """What a WSDL says of itself."""

    contracts: tuple[str, ...]
    """Namespaces of the contracts that it speaks of."""
    profile: Profile | None
    locations: tuple[str, ...]
    """Addresses of the SOAP 1.1 service."""


def wsdl_urls(address: Address, contract: Contract | None) -> list[str]:
    """Paths where a WSDL may be: beside the endpoint, or, as platforms have it, at the contract's own path."""
    base = urlsplit(address.path).path
    paths = [f"{base}?wsdl"]
    if contract is not None:
        paths += [f"{base.rstrip('/')}/{contract_path(contract, profile)}?wsdl" for profile, _ in contract.wsdls[:1]]
    return paths


def read_wsdl(body: bytes) -> Wsdl | None:
    """None for what is no WSDL."""
    try:
        root = parse_xml(body)
    except XmlRefused:
        return None
    if root.tag != f"{{{namespaces.WSDL}}}definitions":
        return None
    declared = {namespace for _, (_, namespace) in etree.iterwalk(root, events=("start-ns",))}
    target = root.get("targetNamespace") or ""
    interaction = _INTERACTION.fullmatch(target)
    return Wsdl(
        contracts=tuple(sorted(value for value in declared if value and _RESPONDER.fullmatch(value))),
        profile=Profile.parse(interaction["profile"]) if interaction else None,
        locations=tuple(
            location
            for element in root.iter(f"{{{namespaces.WSDL_SOAP}}}address")
            if (location := element.get("location"))
        ),
    )


def check_wsdl(
    connection_for: OpenAgain, address: Address, contract: Contract | None, deadline: Deadline
) -> tuple[Finding, Wsdl | None]:
    """Whether `?wsdl` is answered, with a WSDL that leads back here and is for the contract."""
    step, seen = "wsdl", "not served"
    for path in wsdl_urls(address, contract):
        try:
            with connection_for() as connection:
                answer = connection.exchange("GET", path, headers={}, seconds=deadline.within(WSDL_SECONDS))
        except Failure as failure:
            return warn(step, f"?wsdl: {failure}", "serve the WSDL at the endpoint's address with ?wsdl"), None
        found = read_wsdl(answer.body) if answer.status == HTTPStatus.OK else None
        if found is not None:
            return _judged(found, address, path, contract), found
        seen = f"?wsdl is answered with HTTP {answer.status} and {_kind_of(answer)}"
    return warn(step, seen, "serve the WSDL at the endpoint's address with ?wsdl, as RIV-TA has it"), None


def _judged(found: Wsdl, address: Address, path: str, contract: Contract | None) -> Finding:
    step = "wsdl"
    spoken = ", ".join(short_name(name) for name in found.contracts) or "no RIV-TA contract"
    seen = f"{spoken}, {found.profile.value if found.profile else 'no RIV-TA profile in its namespace'}"
    if contract is not None and contract.namespace not in found.contracts:
        return fail(step, f"it is for {seen}", f"give the URL of {contract.short_name}, or the contract that is there")
    own = {_same(address.url), _same(address.url.partition("?")[0]), _same(_at(address, path.partition("?")[0]))}
    elsewhere = [location for location in found.locations if _same(location) not in own]
    if elsewhere:
        return warn(
            step,
            f"{seen}; its address is {elsewhere[0][:_SHOWN_TEXT]!r}",
            f"write {address.url} into soap:address: clients that follow the WSDL call what stands there",
        )
    if found.profile is None:
        return warn(step, seen, "use the WSDL of the contract's release: its target namespace ends with the profile")
    return ok(step, f"{seen}, and its address is this one")


def _at(address: Address, path: str) -> str:
    return f"{'https' if address.secure else 'http'}://{address.host_header}{path}"


def _same(url: str) -> tuple[str, str, int | None, str]:
    """What makes two URLs the same endpoint."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
        return parts.scheme, (parts.hostname or "").lower(), port, parts.path.rstrip("/")
    except ValueError:
        return "", url, None, ""


@dataclass(frozen=True, slots=True)
class Question:
    """A contract, and whom to ask by it."""

    contract: Contract
    logical_address: str


def call(
    connection: Connection, address: Address, question: Question, profile: Profile, *, seconds: float
) -> HttpAnswer:
    """The answer to the contract's sample. Raises Failure; FileNotFoundError for a contract without a sample."""
    payload = samples.request(question.contract)
    return _send(connection, address, question, profile, payload, seconds=seconds)


def call_broken(
    connection: Connection, address: Address, question: Question, profile: Profile, *, seconds: float
) -> HttpAnswer:
    """The answer to the sample with an element that the contract does not know. Raises as `call`."""
    root = parse_xml(samples.request(question.contract))
    root.insert(0, etree.Element("unknown-to-the-contract"))
    return _send(connection, address, question, profile, etree.tostring(root), seconds=seconds)


def _send(
    connection: Connection, address: Address, question: Question, profile: Profile, payload: bytes, *, seconds: float
) -> HttpAnswer:
    body = samples.envelope(payload, question.logical_address, profile)
    headers = {**_HEADERS, "SOAPAction": f'"{question.contract.soap_action}"'}
    return connection.exchange("POST", address.path, headers=headers, body=body, seconds=seconds)


def check_answer(
    answer: HttpAnswer, question: Question, profile: Profile, validators: Validators, *, taken_ms: float
) -> Iterator[Finding]:
    """The answer to the contract's sample: SOAP, no fault, of the right contract, valid, and in characters it names."""
    step = f"{question.contract.short_name} {profile.value}"
    soap = read_soap(answer)
    if soap is None:
        yield fail(
            step,
            f"answered with HTTP {answer.status} and {_kind_of(answer)}",
            "answer with a SOAP 1.1 envelope in text/xml",
        )
        return
    if soap.is_fault:
        yield fail(
            step,
            f"a SOAP fault, HTTP {answer.status}: {soap.text}",
            "see why in the log of the system; is the logical address one that it answers for?",
        )
        return
    yield ok(step, f"answered in {taken_ms:.0f} ms with {len(answer.body):,} bytes")
    yield _schema(question.contract, soap, validators)
    yield check_characters(answer)


def _schema(contract: Contract, soap: Soap, validators: Validators) -> Finding:
    step = "answer by the schema"
    if soap.payload is None:
        return fail(step, "the SOAP body is empty", f"answer with {contract.short_name}'s response")
    verdict = validators.check(contract, soap.payload, "response", soap.header)
    if verdict.valid:
        return ok(step, "valid")
    return fail(step, _listed(verdict.violations), "correct the answer; `rivta contract show` has the contract")


def _listed(violations: Sequence[Violation]) -> str:
    """Without values: what is printed here may end in a ticket."""
    lines = [f"line {one.line}, {one.path}: {one.private_reason}" for one in violations[:_SHOWN_VIOLATIONS]]
    more = len(violations) - len(lines)
    return "\n".join([f"{len(violations)} violations", *lines, *([f"and {more} more"] if more > 0 else [])])


def check_schema_fault(answer: HttpAnswer) -> Finding:
    """What is answered to a request that breaks the schema."""
    step = "broken request"
    soap = read_soap(answer)
    if soap is None:
        return warn(
            step,
            f"a request that breaks the schema is answered with HTTP {answer.status} and {_kind_of(answer)}",
            "answer with a SOAP fault and HTTP 500: anything else reaches the consumer as VP009, without your words",
        )
    if soap.is_fault:
        return _fault(step, answer, soap)
    return warn(step, "a request that breaks the schema is answered as if it were good", "check requests by the schema")


def check_characters(answer: HttpAnswer) -> Finding:
    """Content-Type and charset, against the bytes."""
    step = "content type"
    given = answer.header("Content-Type")
    kind = given.partition(";")[0].strip().lower()
    if kind != "text/xml":
        change = "send SOAP 1.1, whose type is text/xml; charset=UTF-8"
        return fail(step, given or "none", change) if "soap+xml" in kind else warn(step, given or "none", change)
    charset = charset_of(given)
    if charset is None:
        return warn(step, f"{given}: no charset", "name it: text/xml; charset=UTF-8")
    try:
        parse_xml(answer.body, encoding=charset)
        answer.body.decode(charset)
    except (XmlRefused, LookupError, UnicodeDecodeError):
        return fail(step, f"{given}: the bytes are not {charset}", "write the answer in the charset that it names")
    said = declared_encoding(answer.body) or charset
    if said.replace("-", "") != charset.replace("-", ""):
        return warn(step, f"{given}, but the XML says {said}", "name the same charset in both")
    if charset != "UTF-8":
        return warn(step, given, "answer in UTF-8: platforms label every answer so")
    return ok(step, given)
