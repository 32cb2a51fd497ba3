"""`rivta call`: a consumer's call through a platform, with the certificate of one of the demo's identities."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import click

from rivta.cli.call_answer import Shown, ShownFault, print_answer, print_fault, print_result, read_answer
from rivta.cli.options import find_contract, home_and_json, print_json
from rivta.router.headers import CORRELATION_ID, PRODUCER_TIME

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

    from rivta.cli.trace import Certificate, Trace
    from rivta.contracts.domain import Contract
    from rivta.run.endpoints import Endpoints, Identity
    from rivta.run.home import Home

_TLS_ALERT = re.compile(r"(?:sslv3|tlsv1|tlsv13) alert (.+)")
"""OpenSSL's words for an alert of the other side; the version in them is that of the alert's first definition."""


@dataclass(frozen=True, slots=True)
class _Message:
    """What is sent."""

    body: bytes
    soap_action: str


@dataclass(frozen=True, slots=True)
class _Called:
    """A call that was answered."""

    shown: Shown
    tls: str | None
    """Version and cipher."""
    body: bytes = field(repr=False, default=b"")


class _NoAnswer(click.ClickException):
    """A call that got no HTTP answer; `kind` is one of `trace_advice.NO_ANSWER`: which end said no."""

    def __init__(self, message: str, kind: str, *, correlation_id: str, elapsed_ms: float) -> None:
        super().__init__(message)
        self.kind = kind
        self.correlation_id = correlation_id
        self.elapsed_ms = elapsed_ms


@click.command(
    name="call", epilog="Example: rivta call GetDiagnosis --to SE2321000016-KS --patient 191212121212 --as npo --trace"
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
@click.option("--trace", is_flag=True, help="Show the way of the call through both platforms instead of the answer.")
@home_and_json
def command(
    contract: str,
    to: str | None,
    patient: str | None,
    body: BinaryIO | None,
    identity: str,
    via: str,
    timeout: float,
    trace: bool,
    home: str | None,
    as_json: bool,
) -> int:
    """Call CONTRACT (GetDiagnosis, GetDiagnosis:2 or a namespace) through a platform and print the answer.

    The exit code is 1 when the answer is a fault. An aggregate's answer is followed by a table of its sources; it is an
    answer also when every source failed. --trace shows each hop with its certificates, route, permission and
    times, who refused, whom to ask and what to look at next; with --json it is there as `trace` too.
    """
    from rivta.run.home import resolve

    if patient is not None and body is not None:
        raise click.UsageError("give --patient, to have a request made up, or --body, not both")
    found = resolve(home)
    called = find_contract(found, contract)
    message = _message(called, to=to, patient=patient, body=body)
    endpoints = found.endpoints()
    caller = _find_identity(endpoints, identity)
    if trace:
        return _traced(found, via, identity, message, seconds=timeout, body_file=_path_of(body), as_json=as_json)
    shown = _with_sources(found, _call(endpoints, via, caller, message, seconds=timeout))
    if as_json:
        print_json(asdict(shown))
    else:
        print_answer(shown)
    return 1 if shown.fault else 0


def _traced(
    home: Home,
    via: str,
    identity: str,
    message: _Message,
    *,
    seconds: float,
    body_file: str | None,
    as_json: bool,
) -> int:
    """Calls, and shows what the platforms know of it, also when no answer came."""
    from rivta.cli.trace import Seen, gather

    endpoints = home.endpoints()
    caller = _find_identity(endpoints, identity)
    own = Seen(
        consumer=_certificate(caller),
        via=via,
        url=endpoints["platforms"][via]["https"],
        identity=identity,
        body_file=body_file,
    )
    try:
        called = _call(endpoints, via, caller, message, seconds=seconds)
        shown, fault = _with_sources(home, called), called.shown.fault
        seen = replace(
            own,
            connection=called.tls,
            elapsed_ms=shown.elapsed_ms,
            fault_code=fault.code if fault else None,
            fault_text=fault.text if fault else "",
        )
    except _NoAnswer as none:
        shown = Shown(
            status=0,
            correlation_id=none.correlation_id,
            elapsed_ms=none.elapsed_ms,
            producer_ms=None,
            fault=ShownFault(code=None, side=None, text=none.message, detail=""),
            response=None,
        )
        seen = replace(own, elapsed_ms=none.elapsed_ms, no_answer=none.kind)
    found = gather(home, shown.correlation_id, seen)
    if as_json:
        from rivta.cli.trace import trace_json

        print_json(asdict(shown) | {"trace": trace_json(found)})
    else:
        _print_traced(shown, found)
    return 1 if shown.fault else 0


def _with_sources(home: Home, called: _Called) -> Shown:
    """What came of the call, with the sources where an aggregate answered it: as the answer says, and with records and
    times as far as the platforms can be asked."""
    if called.shown.response is None:
        return called.shown
    from rivta.cli.call_sources import read_sources, recorded_sources, with_recorded

    told = read_sources(called.body)
    if told is None:
        return called.shown
    from rivta.cli.trace import Platforms

    platforms = Platforms(home)
    recorded = recorded_sources(lambda: platforms.records(called.shown.correlation_id), told)
    return replace(called.shown, sources=with_recorded(told, recorded))


def _path_of(body: BinaryIO | None) -> str | None:
    """The file of `--body`, where it is one."""
    name = getattr(body, "name", None)
    return name if isinstance(name, str) and name not in ("-", "<stdin>") else None


def _certificate(identity: Identity) -> Certificate:
    """What the identity's certificate says of itself; nothing where it cannot be read: then the call says why."""
    from pathlib import Path

    from rivta.cli.trace import Certificate
    from rivta.tls.sender import sender_in_file

    try:
        read = sender_in_file(Path(identity["cert"]))
    except (OSError, ValueError):
        return Certificate(hsa_id=identity["hsa_id"])
    return Certificate(read.hsa_id, read.subject, read.issuer, read.not_after.isoformat())


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
    profiles = [profile for profile, _ in contract.wsdls if profile]
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


def _call(endpoints: Endpoints, via: str, identity: Identity, message: _Message, *, seconds: float) -> _Called:
    """The answer. Raises _NoAnswer."""
    import requests

    url = endpoints["platforms"][via]["https"]
    correlation_id = str(uuid.uuid4())
    headers = {
        "Content-Type": "text/xml; charset=UTF-8",
        "SOAPAction": f'"{message.soap_action}"',
        CORRELATION_ID: correlation_id,
    }
    with requests.Session() as session:
        session.trust_env = False  # a proxy from the environment would break mutual TLS with a platform on this machine
        session.cert, session.verify = (identity["cert"], identity["key"]), endpoints["ca"]
        started = time.perf_counter()
        try:
            answer = session.post(
                url, data=message.body, headers=headers, timeout=seconds, allow_redirects=False, stream=True
            )
            tls = _negotiated(answer)  # before the body, whose end gives the connection back
            content = answer.content
        except (requests.RequestException, OSError) as error:
            elapsed = time.perf_counter() - started
            kind, text = _trouble(error, url, seconds)
            raise _NoAnswer(text, kind, correlation_id=correlation_id, elapsed_ms=round(elapsed * 1000, 1)) from error
        elapsed = time.perf_counter() - started
    fault, response = read_answer(answer.status_code, content)
    shown = Shown(
        status=answer.status_code,
        correlation_id=answer.headers.get(CORRELATION_ID) or correlation_id,
        elapsed_ms=round(elapsed * 1000, 1),
        producer_ms=_milliseconds(answer),
        fault=fault,
        response=response,
    )
    return _Called(shown, tls, content)


def _negotiated(answer: requests.Response) -> str | None:
    """Version and cipher of the connection, as the platforms record them."""
    import ssl

    from rivta.tls.contexts import negotiated

    sock = getattr(getattr(answer.raw, "connection", None), "sock", None)
    if sock is None:  # an answer that ends its connection has taken the socket over
        try:
            sock = cast(Any, answer.raw)._fp.fp.raw._sock
        except AttributeError:
            return None
    return negotiated(sock) if isinstance(sock, ssl.SSLSocket) else None


def _milliseconds(answer: requests.Response) -> float | None:
    try:
        return float(answer.headers[PRODUCER_TIME])
    except (KeyError, ValueError):
        return None


def _trouble(error: Exception, url: str, seconds: float) -> tuple[str, str]:
    """Why no answer came: one of `trace_advice.NO_ANSWER`, and one line that says what to do."""
    import ssl

    import requests

    causes = list(_causes(error))
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if tls is not None:
        reason = (getattr(tls, "verify_message", "") or tls.reason or str(tls)).replace("_", " ").lower()
        alert = _TLS_ALERT.fullmatch(reason)
        what = f"refused by the platform: {alert.group(1)}" if alert else f"failed: {reason}"
        return (
            "refused" if alert else "distrusted",
            f"{url}: TLS {what}; `rivta cert list` shows which certificates are valid",
        )
    if isinstance(error, requests.Timeout):
        return "silent", f"{url}: no answer within {seconds:g} s; wait longer with --timeout, or see `rivta status`"
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "unreachable", f"{url}: nothing listens there; start the pair with `rivta up`, or see `rivta status`"
    if isinstance(error, requests.ConnectionError):
        why = _innermost(causes)
        text = f"{url}: the connection ended without an answer ({why}); see `rivta status`, `rivta cert list`"
        return "unreachable", text
    why = _innermost(causes)
    return "unsendable", f"{url}: cannot call: {why}; start the pair again with `rivta down` and `rivta up`"


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


def _print_traced(shown: Shown, found: Trace) -> None:
    """The result in a line, the fault, and the way of the call."""
    from rich.console import Console
    from rich.text import Text

    from rivta.cli.trace_view import print_trace

    console = Console(soft_wrap=True, highlight=False)
    if shown.status:
        print_result(console, shown)
    if shown.fault and shown.status:
        print_fault(console, shown.fault)
    elif shown.fault:
        console.print(Text(shown.fault.text, style="bold red"))
    print_trace(found)
