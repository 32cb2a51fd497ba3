"""Which HTTP headers go on to the producer and back to the consumer, as the incumbent has it."""

import re
import uuid
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import urlsplit

from rivta.router.messages import Headers, ProducerAnswer, Request

CORRELATION_ID = "x-skltp-correlation-id"
PRODUCER_TIME = "x-skltp-prt"
ORIGINAL_CONSUMER = "x-rivta-original-serviceconsumer-hsaid"
ROUTING_HISTORY = "x-rivta-routing-history"
SENDER_ID = "x-vp-sender-id"
INSTANCE_ID = "x-vp-instance-id"
CONTENT_TYPE = "text/xml; charset=UTF-8"

# The bindings of the incumbent never copy these in either direction; they belong to one hop or are set anew.
_OF_ONE_HOP = (
    "content-length|content-type|host|cache-control|connection|keep-alive|proxy-connection|date|pragma|te|trailer|"
    "transfer-encoding|upgrade|via|warning|expect|http2-settings|proxy-authorization|proxy-authenticate|camel.*"
)
# What a TLS proxy tells about its client's certificate or address. The incumbent lets these pass; a platform behind
# such a proxy would take them for its proxy's word about us.
_WORD_OF_A_PROXY = (
    "(x-)?client-cert.*|(x-)?(ssl|tls)-client.*|x-client-dn|cert|x-arr-clientcert|x-amzn-mtls-.*|x-.*-auth-cert|forwarded|"
    "x-real-ip|true-client-ip|(x-)?remote-user"
)
_NOT_TO_PRODUCER = re.compile(
    rf"(?i){_OF_ONE_HOP}|{_WORD_OF_A_PROXY}|x-vp.*|peer-certificates|x-forwarded.*|mule-.*|x-mule-.*|accept-encoding|"
    rf"content-encoding|user-agent|"
    rf"{CORRELATION_ID}|{ORIGINAL_CONSUMER}|{ROUTING_HISTORY}"
)
_NOT_TO_CONSUMER = re.compile(
    rf"(?i){_OF_ONE_HOP}|soapaction|mule_.*|x-mule_.*|local_certificate|peer_certificates|http\.method|server|"
    rf"{CORRELATION_ID}|{PRODUCER_TIME}"
)


_AS_HYPHENS = str.maketrans("_.", "--")


@lru_cache(maxsize=1024)
def _goes_to_producer(name: str) -> bool:
    # A proxy may read an underscore or a dot as a hyphen: `x_vp_sender_id` would come out as the name we filter.
    return _NOT_TO_PRODUCER.fullmatch(name.translate(_AS_HYPHENS)) is None


@lru_cache(maxsize=1024)
def _goes_to_consumer(name: str) -> bool:
    return _NOT_TO_CONSUMER.fullmatch(name) is None


def _of_message(lines: Headers, goes_on: Callable[[str], bool]) -> Headers:
    """The headers that go on, without those that Connection names as of this hop only (RFC 9110 section 7.6.1)."""
    named = {word.strip().lower() for name, value in lines if name.lower() == "connection" for word in value.split(",")}
    return tuple((name, value) for name, value in lines if goes_on(name) and name.lower() not in named)


@lru_cache(maxsize=4096)
def host_of(url: str) -> str:
    """The Host header for `url`: the port stands there unless it is absent or 80."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if parts.port in (None, 80) else f"{host}:{parts.port}"


def correlation_id_of(request: Request) -> str:
    """The consumer's, if it gave one that can stand in a header and on a log line; else a new one."""
    given = request.header(CORRELATION_ID)
    return given if given and given.isprintable() else str(uuid.uuid4())


def to_producer(
    request: Request,
    *,
    url: str,
    user_agent: str,
    content_type: str,
    original_consumer: str,
    correlation_id: str | None,
    history: str,
    sender: str,
    platform: str,
) -> Headers:
    """The headers of the call to the producer at `url`. `correlation_id` None: it does not leave the platform.

    A producer reached by plain http is told who calls; one reached by https knows who we are from our certificate.
    """
    own = [
        ("Host", host_of(url)),
        ("User-Agent", user_agent),
        ("Content-Type", content_type),
        (ORIGINAL_CONSUMER, original_consumer),
        (ROUTING_HISTORY, history),
    ]
    if correlation_id is not None:
        own.append((CORRELATION_ID, correlation_id))
    if url[:5].lower() == "http:":
        own += ((SENDER_ID, sender), (INSTANCE_ID, platform))
    return (*own, *_of_message(request.headers, _goes_to_producer))


def to_consumer(answer: ProducerAnswer, *, correlation_id: str, producer_ms: float, charset: str = "UTF-8") -> Headers:
    """The headers of a relayed answer. Its type is always XML, UTF-8 unless we have put it into another charset."""
    return (
        ("Content-Type", f"text/xml; charset={charset}"),
        (CORRELATION_ID, correlation_id),
        (PRODUCER_TIME, str(round(producer_ms))),
        *_of_message(answer.headers, _goes_to_consumer),
    )


def extend_history(history: str, *, sender: str, platform: str) -> str | None:
    """The routing history with this platform added; None when the platform stands in it already: a loop."""
    if not history:
        return f"{sender}#{platform}"
    if any(token.strip() == platform for token in history.split("#")):
        return None
    return f"{history}#{platform}"
