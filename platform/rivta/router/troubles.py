"""The refusals that need more words than a template: troubles of producers, broken schemas."""

from datetime import datetime
from urllib.parse import urlsplit

from rivta.catalogue.decision import Route
from rivta.contracts.verdict import Verdict, Violation
from rivta.router.breaker import OpenBreaker
from rivta.router.deviations import Compat
from rivta.router.messages import ProducerAnswer, ProducerFailure, Trouble
from rivta.router.policy import Policy
from rivta.soap.faults import Fault, Form, Refused
from rivta.soap.identifiers import ContractNamespace
from rivta.soap.xml import XmlRefused

# The incumbent's words for what its network library met; consumers' support staff search for them.
_CAUSES = {
    Trouble.CANNOT_CONNECT: "java.net.ConnectException: Cannot connect to {peer}",
    Trouble.CONNECT_TIMEOUT: "java.net.ConnectException: Cannot connect to {peer}",
    Trouble.RESET: "java.net.SocketException: Connection reset",
    Trouble.TIMEOUT: ("io.netty.handler.timeout.ReadTimeoutException: Timeout when waiting on response from producer."),
    Trouble.TLS: "javax.net.ssl.SSLHandshakeException: {message}",
    Trouble.NO_ANSWER: "No response received from remote server: {peer}",
    Trouble.TOO_LARGE: "{message}",
    Trouble.BAD_ANSWER: "{message}",
    Trouble.CUT_SHORT: "{message}",
}

# What the incumbent has no code for: its text, and the class of Java's exception before it.
_WITHOUT_CODE = {
    Trouble.NO_ANSWER: ("org.apache.camel.CamelExchangeException", "No response received from remote server: {peer}"),
    Trouble.TOO_LARGE: ("io.netty.handler.codec.TooLongFrameException", "Response entity too large"),
}


def failure(route: Route, failure: ProducerFailure, policy: Policy, *, seconds: float) -> Refused:
    """VP009 for a call that got no whole answer within its `seconds`."""
    url, trouble = route.url, failure.trouble
    if trouble is Trouble.NO_IDENTITY:
        return _no_identity(route)
    if policy.compat.faults_without_code and trouble in _WITHOUT_CODE:
        exception, text = _WITHOUT_CODE[trouble]
        text = text.format(peer=_peer(url))
        return Refused(Fault.PRODUCER_TROUBLE, detail=f"{exception}: {text}", form=Form(text=text))
    cause = _CAUSES[trouble].format(peer=_peer(url), message=failure.message)
    remainder = f"Exception Caught by Camel when contacting producer. Exception information: ({cause})"
    if trouble is Trouble.TIMEOUT:
        # A call may go through several platforms: which of them gave up first is what a person wants to know.
        remainder += f" The service platform {policy.platform_name} waited {seconds:g} seconds."
    return _producer_trouble(url, remainder)


def breaker_open(state: OpenBreaker) -> Refused:
    """VP009 for a producer that is not asked now."""
    what = "this producer" if state.contract is None else "this producer for the logical address and contract"
    what += "" if state.sender is None else f", when {state.sender} calls,"
    again = "It is being tried again now" if state.is_probing else f"It is tried again at {_clock(state.until)}"
    return _producer_trouble(
        state.url, f"The platform has not asked {what} since {_clock(state.since)}: {state.reason}. {again}."
    )


def bad_status(url: str, answer: ProducerAnswer) -> Refused:
    """VP009 for a status that is not relayed."""
    location = answer.header("Location") if 300 <= answer.status < 400 else ""
    redirect = f", redirectLocation: {location}" if location else ""

    def remainder(redirect: str) -> str:
        return (
            "Exception Caught by Camel when contacting producer. Exception information: (org.apache.camel.component."
            "netty.http.NettyHttpOperationFailedException: Netty HTTP operation failed invoking "
            f"{url} with statusCode: {answer.status}{redirect})\nVP_PRODUCER_EXCEPTION_HTTP_STATUS={answer.status}"
        )

    return _producer_trouble(url, remainder(redirect), private=remainder(""))


def empty_message(url: str, answer: ProducerAnswer, compat: Compat) -> Refused:
    """VP009 for a success without a message."""
    said = f"Empty message when server responded with status code: {answer.status}"
    form = Form(has_type=not compat.empty_fault_without_type)
    return _producer_trouble(url, f"{said} {answer.reason}".rstrip(), private=said, form=form)


def too_many_in_flight(url: str, limit: int, *, sender: str = "") -> Refused:
    """VP009 for a producer that has as many unanswered calls, or as many of a sender, as this worker lets it have."""
    whose = f" of {sender}" if sender else ""
    return _producer_trouble(
        url, f"The producer has {limit} unanswered calls{whose} from this platform; try again later."
    )


def _no_identity(route: Route) -> Refused:
    """VP009 for a producer that its row wants called, or trusted, by a TLS target that the settings do not have."""
    wanted = f"client certificate {route.client_certificate!r}, CA {route.ca!r}"
    return _producer_trouble(route.url, f"The platform has no {wanted} to call this producer with.")


def invalid_request(contract: ContractNamespace, verdict: Verdict) -> Refused:
    """VP015 for a request that breaks its contract's schema, every violation named to its sender."""
    heading = f"The request breaks the schema of {contract}:"
    return Refused(
        Fault.UNREADABLE,
        detail="\n".join([heading, *(_line(v, v.reason) for v in verdict.violations), *_prefixes(verdict)]),
        private_detail="\n".join([heading, *(_line(v, v.private_reason) for v in verdict.violations)]),
    )


def invalid_response(route: Route, verdict: Verdict) -> Refused:
    """VP009 for an answer that breaks its contract's schema; the consumer is not shown the answer's values."""
    lines = [_line(v, v.private_reason) for v in verdict.violations]
    return _producer_trouble(
        route.url,
        "\n".join(
            [
                f"The answer of producer {route.component} breaks the schema of {route.contract}:",
                *lines,
                *_prefixes(verdict),
            ]
        ),
    )


def unreadable_answer(error: XmlRefused) -> Verdict:
    """The verdict on an answer that is not XML."""
    return Verdict(
        valid=False, violations=(Violation(error.line, "/", error.reason, "the answer is not readable XML"),)
    )


def empty_answer() -> Verdict:
    """The verdict on an envelope with nothing in its body."""
    reason = "the SOAP body is missing or empty"
    return Verdict(valid=False, violations=(Violation(1, "/", reason, reason),))


def _producer_trouble(url: str, remainder: str, *, private: str | None = None, form: Form | None = None) -> Refused:
    """`private` is the remainder without the producer's own words, where it has any."""
    start = f"Error connecting to service producer at address {url}. "
    return Refused(
        Fault.PRODUCER_TROUBLE, detail=start + remainder, private_detail=start + (private or remainder), form=form
    )


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _peer(url: str) -> str:
    """`host:port` as the incumbent's network library names it, or the path of a service's own socket."""
    parts = urlsplit(url)
    if not parts.netloc:
        return parts.path
    return f"{parts.hostname}:{parts.port or (80 if parts.scheme == 'http' else 443)}"


def _line(violation: Violation, reason: str) -> str:
    return f"line {violation.line}, {violation.path}: {reason}"


def _prefixes(verdict: Verdict) -> list[str]:
    return [f"where {prefix} is {namespace}" for prefix, namespace in verdict.namespaces]
