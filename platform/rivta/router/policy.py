"""What an operator decides about how calls are carried; the pipeline reads nothing else of the configuration."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from rivta.catalogue.decision import Route
from rivta.router.deviations import Compat, Insecure
from rivta.router.headers import HeaderRules
from rivta.soap.identifiers import ContractNamespace, HsaId


class Handling(Enum):
    """What happens to a message that breaks its contract's schema."""

    REJECT = "reject"
    REPORT = "report"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Validation:
    """How messages are checked against their contracts. Sizes in bytes."""

    request: Handling = Handling.REJECT
    response: Handling = Handling.REPORT
    contracts: Mapping[ContractNamespace, tuple[Handling, Handling]] = field(default_factory=dict)
    """(request, response) where a contract differs from the two above."""
    reject_unknown_contract: bool = False
    max_bytes: int = 2 * 1024 * 1024
    """Length above which `checks_large` decides."""
    checks_large: bool = True
    """Whether bodies above `max_bytes` are checked as others are, in a thread, or pass unchecked."""

    def of_request(self, contract: ContractNamespace, *, own_service: bool, size: int) -> Handling:
        """The handling of a request; a service of the platform itself has exact faults of its own, so it reports."""
        handling = self.contracts.get(contract, (self.request, self.response))[0]
        if handling is Handling.REJECT and own_service:
            handling = Handling.REPORT
        return self._by_size(handling, size)

    def of_response(self, contract: ContractNamespace, *, size: int) -> Handling:
        """The handling of a producer's answer."""
        return self._by_size(self.contracts.get(contract, (self.request, self.response))[1], size)

    def _by_size(self, handling: Handling, size: int) -> Handling:
        return handling if size <= self.max_bytes or self.checks_large else Handling.OFF


CERTIFICATE_HEADER = "x-vp-auth-cert"
"""Where a proxy puts its client's certificate, by default; as the incumbent."""


@dataclass(frozen=True, slots=True)
class PlainHttp:
    """What is believed on the plain http listener, where `insecure.trusted_headers` opens it to calls."""

    whitelist: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = (ipaddress.IPv4Network("127.0.0.1/32"),)
    """Peers whose headers are believed; empty: nobody's."""
    certificate_header: str = CERTIFICATE_HEADER
    forwarded_for_header: str = "X-Forwarded-For"


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything of a platform's configuration that decides about a call. Times in seconds."""

    platform: HsaId
    platform_name: str
    """As it stands in fault texts, `[name]`."""
    validation: Validation = Validation()
    original_consumer_allowed: frozenset[HsaId] = frozenset()
    """Who may say on whose behalf it calls (VP013): other platforms."""
    proxies: Mapping[HsaId, str] = field(default_factory=dict)
    """Proxies in front, by the HSA-id of their own certificate: the header in which each hands on its client's."""
    plain_http: PlainHttp = PlainHttp()
    routing_history: bool = True
    """Whether loops are looked for, and this platform enters its name in the history."""
    producer_seconds: float = 29.0
    producer_seconds_of: Mapping[ContractNamespace, float] = field(default_factory=dict)
    platform_seconds: float | None = None
    """Time for another platform to answer, which may have to wait for a producer of its own; None: as any other."""
    connect_seconds: float = 2.0
    retry_attempts: int = 1
    retry_delay_seconds: float = 2.0
    max_answer_bytes: int = 50 * 1024 * 1024
    in_flight_per_producer: int = 64
    in_flight_per_platform: int = 1000
    breaker_failures: int = 5
    """Failures that have a producer not asked for a while; 0 is never."""
    breaker_within_seconds: float = 30.0
    breaker_open_seconds: float = 10.0
    correlation_to_https: bool = False
    """Pass the correlation id to every https producer; to those that are platforms it always goes."""
    user_agent: str = "rivta"
    content_type: str = "text/xml;charset=UTF-8"
    header_rules: HeaderRules = field(default_factory=HeaderRules)
    compat: Compat = field(default_factory=Compat)
    insecure: Insecure = field(default_factory=Insecure)

    def seconds_of(self, route: Route) -> float:
        """Time for the producer of a route to answer."""
        usual = self.producer_seconds
        if route.platform and self.platform_seconds is not None:
            usual = self.platform_seconds
        return self.producer_seconds_of.get(route.contract, usual)

    def in_flight_limit(self, route: Route) -> int:
        """Calls that may be under way to the producer address of a route; behind a platform, or the worker's own
        service, stand many producers."""
        has_many = route.platform or route.is_in_process
        return self.in_flight_per_platform if has_many else self.in_flight_per_producer

    @property
    def certificate_headers(self) -> frozenset[str]:
        """Every header that may hold a client's certificate, in lower case: none of them ever goes on to a producer."""
        names = (CERTIFICATE_HEADER, self.plain_http.certificate_header, *self.proxies.values())
        return frozenset(name.lower() for name in names)
