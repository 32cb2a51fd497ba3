"""`rivta call`: a consumer's call through a platform, with the certificate of one of the demo's identities."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, BinaryIO

import click

from rivta.cli.options import print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests
    from lxml import etree
    from rich.console import Console

    from rivta.contracts.archive import Contract
    from rivta.run.endpoints import Endpoints, Identity
    from rivta.run.home import Home

_CORRELATION_ID = "x-skltp-correlation-id"
_PRODUCER_TIME = "x-skltp-prt"
_VP_CODE = re.compile(r"\s*(VP\d{3})\b")
_TLS_ALERT = re.compile(r"(?:sslv3|tlsv1|tlsv13) alert (.+)")
"""OpenSSL's words for an alert of the other side; the version in them is that of the alert's first definition."""
_LONGEST_SHOWN = 2_000
"""Characters of an answer that is no SOAP."""


@dataclass(frozen=True, slots=True)
class ShownFault:
    """A fault as it is shown: the platform's own, a producer's, or an answer that is no SOAP."""

    code: str | None
    """As `VP004`; None when the fault is not the platform's."""
    side: str | None
    """`Client` or `Server`: who has to act."""
    text: str
    detail: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What came of the call; its fields are the JSON output, which scripts rely on."""

    status: int
    correlation_id: str
    elapsed_ms: float
    producer_ms: float | None
    fault: ShownFault | None
    response: str | None
    """The answer as XML text; None when it is a fault or empty."""


@dataclass(frozen=True, slots=True)
class _Message:
    """What is sent."""

    body: bytes
    soap_action: str


@click.command(
    name="call", epilog="Example: rivta call GetDiagnosis --to SE2321000016-KS --patient 191212121212 --as npo"
)
@click.argument("contract")
@click.option("--to", metavar="ADDRESS", help="Logical address of the receiver.")
@click.option("--patient", metavar="ID", help="Whom it is about; the rest of the request is made up.")
@click.option(
    "--body", type=click.File("rb"), metavar="FILE", help="The payload, or a whole SOAP envelope; - for stdin."
)
@click.option(
    "--as", "identity", default="npo", show_default=True, metavar="IDENTITY", help="Whose certificate to use."
)
@click.option("--via", type=click.Choice(["national", "regional"]), default="national", show_default=True)
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=30, show_default=True, metavar="SECONDS"
)
@click.option("--home", metavar="DIR", help="Folder of the pair.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
def command(
    contract: str,
    to: str | None,
    patient: str | None,
    body: BinaryIO | None,
    identity: str,
    via: str,
    timeout: float,
    home: str | None,
    as_json: bool,
) -> int:
    """Call CONTRACT (GetDiagnosis, GetDiagnosis:2 or a namespace) through a platform and print the answer.

    The exit code is 1 when the answer is a fault.
    """
    from rivta.run.home import resolve

    if patient is not None and body is not None:
        raise click.UsageError("give --patient, to have a request made up, or --body, not both")
    found = resolve(home)
    called = _find_contract(found, contract)
    message = _message(called, to=to, patient=patient, body=body)
    endpoints = found.endpoints()
    caller = _find_identity(endpoints, identity)
    shown = _call(endpoints, via, caller, message, seconds=timeout)
    if as_json:
        print_json(asdict(shown))
    else:
        _print(shown)
    return 1 if shown.fault else 0


def read_answer(status: int, body: bytes) -> tuple[ShownFault | None, str | None]:
    """The fault that an answer is, or else its XML text; both None for an empty one that reports success."""
    from lxml import etree

    from rivta.soap.xml import XmlRefused, parse_xml

    success = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
    if success and not body.strip():
        return None, None
    try:
        root = parse_xml(body)
    except XmlRefused:
        return _foreign_answer(status, body), None
    element = next(_children(root, "Body"), None)
    fault = next(_children(element, "Fault"), None) if element is not None else None
    if fault is not None:
        return _soap_fault(fault), None
    if not success:
        return _foreign_answer(status, body), None
    return None, etree.tostring(root, encoding="unicode")


def _soap_fault(fault: etree._Element) -> ShownFault:
    text = _text_of(next(_children(fault, "faultstring"), None))
    code = _VP_CODE.match(text)
    return ShownFault(
        code=code.group(1) if code else None,
        side=_text_of(next(_children(fault, "faultcode"), None)).rpartition(":")[2] or None,
        text=text,
        detail=_text_of(next(_children(fault, "detail"), None)),
    )


def _foreign_answer(status: int, body: bytes) -> ShownFault:
    """An answer from below SOAP, such as 413, or from something that is no platform."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    side = (
        "Server"
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR
        else "Client"
        if status >= HTTPStatus.BAD_REQUEST
        else None
    )
    text = body[:_LONGEST_SHOWN].decode("utf-8", "replace").strip()
    return ShownFault(code=None, side=side, text=f"HTTP {status} {phrase}".strip(), detail=text)


def _children(parent: etree._Element, local_name: str) -> Iterator[etree._Element]:
    return (child for child in parent if isinstance(child.tag, str) and child.tag.rpartition("}")[2] == local_name)


def _text_of(element: etree._Element | None) -> str:
    if element is None:
        return ""
    pieces = [text for text in element.itertext("*") if isinstance(text, str) and text.strip()]
    # A text that stands alone is kept to the letter; around several stands the indentation of the XML.
    return pieces[0] if len(pieces) == 1 else " ".join(piece.strip() for piece in pieces)


def _find_contract(home: Home, text: str) -> Contract:
    from rivta.contracts.installed import Contracts, UnknownContract

    try:
        return Contracts.shipped(home.contracts).find(text)
    except UnknownContract as error:
        raise click.UsageError(str(error)) from error


def _find_identity(endpoints: Endpoints, name: str) -> Identity:
    try:
        return endpoints["identities"][name]
    except KeyError as error:
        known = ", ".join(endpoints["identities"])
        raise click.UsageError(f"identity {name!r} is not one of this pair's: {known}") from error


def _message(contract: Contract, *, to: str | None, patient: str | None, body: BinaryIO | None) -> _Message:
    """The envelope to send: the one in `body` as it is, or one made around its payload, or around a made-up one."""
    content = body.read() if body is not None else None
    if content is not None and body is not None and _is_envelope(content, body.name, to=to):
        return _Message(content, contract.soap_action)
    if to is None:
        raise click.UsageError("give the receiver with --to ADDRESS")
    from rivta.contracts import samples
    from rivta.soap.identifiers import Profile

    payload = content if content is not None else _made_up(contract, patient)
    profiles = [profile for profile, _ in contract.wsdls]
    profile = Profile.RIVTABP21 if Profile.RIVTABP21 in profiles or not profiles else profiles[0]
    try:
        return _Message(samples.envelope(payload, logical_address=to, profile=profile), contract.soap_action)
    except ValueError as error:
        raise click.UsageError(f"--to {to!r} cannot stand in a message: {error}") from error


def _made_up(contract: Contract, patient: str | None) -> bytes:
    from rivta.contracts import samples

    try:
        return samples.request(contract, patient=patient)
    except FileNotFoundError as error:
        raise click.ClickException(f"{error}; give the request with --body FILE") from error
    except ValueError as error:
        raise click.UsageError(f"--patient {patient!r} cannot stand in a message: {error}") from error


def _is_envelope(content: bytes, name: str, *, to: str | None) -> bool:
    """Whether it is a whole envelope. An address beside it must be the one it has: it is sent as it is."""
    from rivta.soap.head import read_head
    from rivta.soap.xml import XmlRefused, parse_xml

    try:
        root = parse_xml(content)
    except XmlRefused as error:
        raise click.ClickException(f"{name}:{error.line}: not XML that can be sent: {error.reason}") from error
    if str(root.tag).rpartition("}")[2] != "Envelope":
        return False
    address = read_head(root).logical_address
    if to is not None and to != address:
        raise click.UsageError(f"{name} is an envelope for {address or 'nobody'}: leave --to out, or change the file")
    return True


def _call(endpoints: Endpoints, via: str, identity: Identity, message: _Message, *, seconds: float) -> Shown:
    import requests

    url = endpoints["platforms"][via]["https"]
    correlation_id = str(uuid.uuid4())
    headers = {
        "Content-Type": "text/xml; charset=UTF-8",
        "SOAPAction": f'"{message.soap_action}"',
        _CORRELATION_ID: correlation_id,
    }
    with requests.Session() as session:
        session.trust_env = False  # a proxy from the environment would break mutual TLS with a platform on this machine
        session.cert, session.verify = (identity["cert"], identity["key"]), endpoints["ca"]
        started = time.perf_counter()
        try:
            answer = session.post(url, data=message.body, headers=headers, timeout=seconds, allow_redirects=False)
        except (requests.RequestException, OSError) as error:
            raise click.ClickException(_trouble(error, url, seconds)) from error
        elapsed = time.perf_counter() - started
    fault, response = read_answer(answer.status_code, answer.content)
    return Shown(
        status=answer.status_code,
        correlation_id=answer.headers.get(_CORRELATION_ID) or correlation_id,
        elapsed_ms=round(elapsed * 1000, 1),
        producer_ms=_milliseconds(answer),
        fault=fault,
        response=response,
    )


def _milliseconds(answer: requests.Response) -> float | None:
    try:
        return float(answer.headers[_PRODUCER_TIME])
    except (KeyError, ValueError):
        return None


def _trouble(error: Exception, url: str, seconds: float) -> str:
    """Why no answer came, in one line that says what to do."""
    import ssl

    import requests

    causes = list(_causes(error))
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if tls is not None:
        reason = (getattr(tls, "verify_message", "") or tls.reason or str(tls)).replace("_", " ").lower()
        alert = _TLS_ALERT.fullmatch(reason)
        what = f"refused by the platform: {alert.group(1)}" if alert else f"failed: {reason}"
        return f"{url}: TLS {what}; `rivta cert list` shows which certificates are valid"
    if isinstance(error, requests.Timeout):
        return f"{url}: no answer within {seconds:g} s; wait longer with --timeout, or see `rivta status`"
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return f"{url}: nothing listens there; start the pair with `rivta up`, or see `rivta status`"
    if isinstance(error, requests.ConnectionError):
        why = _innermost(causes)
        return f"{url}: the connection ended without an answer ({why}); see `rivta status`, `rivta cert list`"
    return f"{url}: cannot call: {_innermost(causes)}; start the pair again with `rivta down` and `rivta up`"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from; urllib3 and requests keep the reason among an error's arguments."""
    seen: list[BaseException] = []
    pending: list[object] = [error]
    while pending:
        item = pending.pop(0)
        if isinstance(item, BaseException) and not any(item is other for other in seen):
            seen.append(item)
            pending += [*item.args, getattr(item, "reason", None), item.__cause__, item.__context__]
            yield item


def _innermost(causes: list[BaseException]) -> str:
    texts = [str(cause) for cause in causes if str(cause)]
    return texts[-1].splitlines()[0] if texts else type(causes[0]).__name__


def _print(shown: Shown) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    producer = f", producer {shown.producer_ms:g} ms" if shown.producer_ms is not None else ""
    colour = "red" if shown.fault else "green"
    console.print(
        Text(str(shown.status), style=f"bold {colour}"),
        Text(f" correlation id {shown.correlation_id}, {shown.elapsed_ms:g} ms{producer}"),
        sep="",
    )
    if shown.fault:
        _print_fault(console, shown.fault)
    elif shown.response is None:
        console.print(Text("(an empty answer)"))
    elif console.is_terminal:
        from rich.syntax import Syntax

        console.print(
            Syntax(_indented(shown.response), "xml", theme="ansi_dark", background_color="default", word_wrap=True)
        )
    else:
        click.echo(_indented(shown.response))


def _print_fault(console: Console, fault: ShownFault) -> None:
    from rich.text import Text

    whose = f" ({fault.side})" if fault.side else ""
    console.print(Text(f"{fault.code or 'Fault'}{whose}", style="bold red"))
    for label, text in (("text", fault.text), ("detail", fault.detail)):
        if text:
            console.print(Text(f"  {label:<8}{text}"))


def _indented(xml: str) -> str:
    from lxml import etree

    from rivta.soap.xml import parse_xml

    root = parse_xml(xml.encode())
    etree.indent(root)
    return etree.tostring(root, encoding="unicode")
