"""Which HTTP headers go on to the producer and back to the consumer, as the incumbent has it."""

import re
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from rivta.catalogue.decision import IN_PROCESS
from rivta.router.messages import Headers, ProducerAnswer, Request
from rivta.soap import identifiers

CORRELATION_ID = identifiers.CORRELATION_ID
PRODUCER_TIME = "x-skltp-prt"
ORIGINAL_CONSUMER = "x-rivta-original-serviceconsumer-hsaid"
ACTING_ON_BEHALF_OF = "x-rivta-acting-on-behalf-of-hsaid"
ROUTING_HISTORY = "x-rivta-routing-history"
SEGMENTS = "x-rivta-history-segments"
"""Ours: how many routing histories ended before this one began, because a service of a platform made calls of its own
to answer a call. It goes to other platforms only."""
SENDER_ID = "x-vp-sender-id"
INSTANCE_ID = "x-vp-instance-id"
CONTENT_TYPE = "text/xml; charset=UTF-8"
_LONGEST_ID = 500

# The bindings of the incumbent never copy these in either direction; they belong to one hop or are set anew.
_OF_ONE_HOP = (
    "content-length|content-type|host|cache-control|connection|keep-alive|proxy-connection|date|pragma|te|trailer|"
    "transfer-encoding|upgrade|via|warning|expect|http2-settings|proxy-authorization|proxy-authenticate|camel.*"
)
# What a TLS proxy tells about its client's certificate or address. The incumbent lets these pass; a platform behind
# such a proxy would take them for its proxy's word about us.
_WORD_OF_A_PROXY = (
    "(x-)?client-cert.*|(x-)?(ssl|tls)-?(client|cert).*|x-client-dn|cert|x-arr-clientcert|x-amzn-mtls-.*|x-.*-auth-cert|forwarded|"
    "x-forwarded-for|x-forwarded-(tls-)?client-.*|x-real-ip|true-client-ip|(x-)?remote-user"
)
_NEVER_TO_PRODUCER = re.compile(
    rf"(?i){_OF_ONE_HOP}|{_WORD_OF_A_PROXY}|{SENDER_ID}|{INSTANCE_ID}|content-encoding|user-agent|"
    rf"{CORRELATION_ID}|{ORIGINAL_CONSUMER}|{ROUTING_HISTORY}|{SEGMENTS}"
)
_NEVER_TO_CONSUMER = re.compile(rf"(?i){_OF_ONE_HOP}|{CORRELATION_ID}|{PRODUCER_TIME}")

_COOKIES = {"cookie", "cookie2", "set-cookie", "set-cookie2"}
_TOLD_WHO_CALLS = ("http:", IN_PROCESS[:5])
_AS_HYPHENS = str.maketrans("_.", "--")
_LONGEST_REMEMBERED = 100
_MOST_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class HeaderRules:
    """Which headers an operator wants filtered: regular expressions that match whole names, as the incumbent's
    `headers.reg.exp`. What is kept is so in spite of what is removed, but never what belongs to one connection or
    tells who calls."""

    request_remove: str = (
        "(?i)x-vp.*|PEER_CERTIFICATES|X-Forwarded.*|MULE_.*|X-MULE_.*|Connection|accept-encoding|"
        "X-Forwarded-Tls-Client-Cert"
    )
    request_keep: str = ""
    response_remove: str = "(?i)SOAPAction|MULE_.*|X-MULE_.*|LOCAL_CERTIFICATE|PEER_CERTIFICATES|http.method"
    response_keep: str = ""


class Filters:
    """The filters of a platform, for both directions."""

    def __init__(
        self,
        rules: HeaderRules,
        *,
        certificate_headers: Collection[str] = (),
        server_of_producer: bool = False,
        cookies_relayed: bool = False,
    ) -> None:
        """`certificate_headers` are the names, in lower case, in which proxies hand on certificates to us."""
        cookies = set[str]() if cookies_relayed else _COOKIES
        taken = {name.translate(_AS_HYPHENS) for name in certificate_headers} | cookies
        self._to_producer = _Names(_NEVER_TO_PRODUCER, taken, rules.request_remove, rules.request_keep)
        self._to_consumer = _Names(
            _NEVER_TO_CONSUMER,
            cookies if server_of_producer else cookies | {"server"},
            rules.response_remove,
            rules.response_keep,
        )

    def to_producer(self, lines: Headers) -> Headers:
        """Those of a consumer that go on."""
        return _of_message(lines, self._to_producer)

    def to_consumer(self, lines: Headers) -> Headers:
        """Those of a producer that go on."""
        return _of_message(lines, self._to_consumer)


class _Names(dict[str, bool]):
    """Whether a header goes on, by its name as it is spelled; what has been looked at is remembered."""

    def __init__(self, never: re.Pattern[str], taken: set[str], remove: str, keep: str) -> None:
        super().__init__()
        self._never = never
        self._taken = taken
        self._remove = re.compile(remove)
        self._keep = re.compile(keep)

    def __missing__(self, name: str) -> bool:
        goes_on = self._goes_on(name)
        if len(name) <= _LONGEST_REMEMBERED:
            if len(self) >= _MOST_REMEMBERED:
                self.clear()
            self[name] = goes_on
        return goes_on

    def _goes_on(self, name: str) -> bool:
        # A proxy may read an underscore or a dot as a hyphen: `x_vp_sender_id` would come out as the name we filter.
        hyphened = name.translate(_AS_HYPHENS)
        if self._never.fullmatch(hyphened) or hyphened.lower() in self._taken:
            return False
        if self._keep.fullmatch(name):
            return True
        return not any(map(self._remove.fullmatch, (name, hyphened, hyphened.replace("-", "_"))))


def _of_message(lines: Headers, goes_on: _Names) -> Headers:
    """The headers that go on, without those that Connection names as of this hop only (RFC 9110 section 7.6.1)."""
    named = {word.strip().lower() for name, value in lines if name.lower() == "connection" for word in value.split(",")}
    return tuple([line for line in lines if goes_on[line[0]] and line[0].lower() not in named])


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
    return given if given and given.isprintable() and len(given) <= _LONGEST_ID else str(uuid.uuid4())


def with_query(url: str, query: str) -> str:
    """The URL of a route with another query than its own."""
    return f"{url.partition('#')[0].partition('?')[0]}?{query}"


def to_producer(
    request: Request,
    *,
    filters: Filters,
    url: str,
    user_agent: str,
    content_type: str,
    original_consumer: str,
    correlation_id: str | None,
    history: str,
    sender: str,
    platform: str,
    segments: str = "",
) -> Headers:
    """The headers of the call to the producer at `url`. `correlation_id` None: it does not leave the platform.

    A producer reached by plain http is told who calls, and so is the worker's own service; one reached by https knows
    who we are from our certificate. `segments` is what came in that header, for a producer that is a platform.
    """
    own = [
        ("Host", host_of(url)),
        ("User-Agent", user_agent),
        ("Content-Type", content_type),
        (ORIGINAL_CONSUMER, original_consumer),
    ]
    if history:
        own.append((ROUTING_HISTORY, history))
    if correlation_id is not None:
        own.append((CORRELATION_ID, correlation_id))
    if segments:
        own.append((SEGMENTS, segments))
    if url[:5].lower() in _TOLD_WHO_CALLS:
        own += ((SENDER_ID, sender), (INSTANCE_ID, platform))
    return (*own, *filters.to_producer(request.headers))


def to_consumer(
    answer: ProducerAnswer, *, filters: Filters, correlation_id: str, producer_ms: float, charset: str = "UTF-8"
) -> Headers:
    """The headers of a relayed answer. Its type is always XML, UTF-8 unless we have put it into another charset."""
    return (
        ("Content-Type", f"text/xml; charset={charset}"),
        (CORRELATION_ID, correlation_id),
        (PRODUCER_TIME, str(round(producer_ms))),
        *filters.to_consumer(answer.headers),
    )
