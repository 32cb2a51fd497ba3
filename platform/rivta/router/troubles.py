"""The refusals that need more words than a template: troubles of producers, broken schemas."""

from urllib.parse import urlsplit

from rivta.catalogue.decision import Route
from rivta.contracts.verdict import Verdict, Violation
from rivta.router.messages import ProducerAnswer, ProducerFailure, Trouble
from rivta.soap.faults import Fault, Refused
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
    Trouble.BAD_ANSWER: "the answer is not HTTP",  # the library's message quotes what came instead
}


def failure(url: str, failure: ProducerFailure) -> Refused:
    """VP009 for a call that got no whole answer."""
    cause = _CAUSES[failure.trouble].format(peer=_peer(url), message=failure.message)
    return _producer_trouble(
        url, f"Exception Caught by Camel when contacting producer. Exception information: ({cause})"
    )


def bad_status(url: str, answer: ProducerAnswer) -> Refused:
    """VP009 for a status that is not relayed."""
    redirect = f", redirectLocation: {answer.header('Location')}" if 300 <= answer.status < 400 else ""

    def remainder(redirect: str) -> str:
        return (
            "Exception Caught by Camel when contacting producer. Exception information: (org.apache.camel.component."
            "netty.http.NettyHttpOperationFailedException: Netty HTTP operation failed invoking "
            f"{url} with statusCode: {answer.status}{redirect})\nVP_PRODUCER_EXCEPTION_HTTP_STATUS={answer.status}"
        )

    return _producer_trouble(url, remainder(redirect), private=remainder(""))


def empty_message(url: str, answer: ProducerAnswer) -> Refused:
    """VP009 for a success without a message."""
    said = f"Empty message when server responded with status code: {answer.status}"
    return _producer_trouble(url, f"{said} {answer.reason}".rstrip(), private=said)


def too_many_in_flight(url: str, limit: int) -> Refused:
    """VP009 for a producer that has as many unanswered calls as this worker lets it have."""
    return _producer_trouble(url, f"The producer has {limit} unanswered calls from this platform; try again later.")


def no_identity(route: Route) -> Refused:
    """VP009 for a producer that its row wants called, or trusted, by another identity than the platform's own."""
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


def _producer_trouble(url: str, remainder: str, *, private: str | None = None) -> Refused:
    """`private` is the remainder without the producer's own words, where it has any."""
    start = f"Error connecting to service producer at address {url}. "
    return Refused(Fault.PRODUCER_TROUBLE, detail=start + remainder, private_detail=start + (private or remainder))


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
