"""What an operator decides about how calls are carried; the pipeline reads nothing else of the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from rivta.router.deviations import Compat, Insecure
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


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything of a platform's configuration that decides about a call. Times in seconds."""

    platform: HsaId
    platform_name: str
    """As it stands in fault texts, `[name]`."""
    validation: Validation = Validation()
    original_consumer_allowed: frozenset[HsaId] = frozenset()
    """Who may say on whose behalf it calls (VP013): other platforms."""
    producer_seconds: float = 29.0
    producer_seconds_of: Mapping[ContractNamespace, float] = field(default_factory=dict)
    connect_seconds: float = 2.0
    retry_attempts: int = 1
    retry_delay_seconds: float = 2.0
    max_answer_bytes: int = 50 * 1024 * 1024
    in_flight_per_producer: int = 64
    in_flight_per_platform: int = 1000
    correlation_to_https: bool = False
    """Pass the correlation id to every https producer; to those that are platforms it always goes."""
    user_agent: str = "rivta"
    content_type: str = "text/xml;charset=UTF-8"
    compat: Compat = field(default_factory=Compat)
    insecure: Insecure = field(default_factory=Insecure)
