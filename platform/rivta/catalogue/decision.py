"""The values that a routing decision is made of; everything that routes, explains or previews speaks in these."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from rivta.soap.identifiers import ContractNamespace, HsaId, LogicalAddress, Profile

IN_PROCESS = "aggregation:"
"""The URL of the service that a worker has in its own process: the aggregating one."""


@dataclass(frozen=True, slots=True)
class Route:
    """A row of the routing table in force: where calls to an address with a contract go."""

    logical_address: LogicalAddress
    contract: ContractNamespace
    producer_address: str
    """Its name in the table."""
    component: HsaId
    """The service component (producer) behind the producer address."""
    url: str
    profile: Profile | None
    """None: one that the platform does not know, in a table of another making."""
    valid_from: datetime | None
    valid_to: datetime | None
    """Instants, the first inside and the last outside the validity; None is unbounded."""
    source: str
    """`file:line` of the row in the tables it was published from."""
    platform: bool = False
    """The component is itself a service platform."""
    client_certificate: str | None = None
    ca: str | None = None
    """Named identity to call the producer with, and the trust to check it by; None is the platform's own."""

    @property
    def is_https(self) -> bool:
        """Whether the producer is called by TLS."""
        return self.url[:6].lower() == "https:"

    @property
    def is_own_service(self) -> bool:
        """Whether the platform itself is the producer: its keeper behind a Unix socket, or the worker that carries."""
        return self.url[:5].lower() == "unix:" or self.is_in_process

    @property
    def is_in_process(self) -> bool:
        """Whether the worker that carries the call answers it, too."""
        return self.url[: len(IN_PROCESS)].lower() == IN_PROCESS


@dataclass(frozen=True, slots=True)
class Permission:
    """A row of the permission table in force: who may call an address with a contract."""

    consumer: HsaId
    logical_address: LogicalAddress
    contract: ContractNamespace
    agreement: str
    valid_from: datetime | None
    valid_to: datetime | None
    source: str


class Outcome(Enum):
    """What became of the decision; the value is the platform's fault code, or `routed`."""

    ROUTED = "routed"
    NO_RECEIVER = "VP003"
    NO_ROUTE = "VP004"
    SEVERAL_ROUTES = "VP006"
    NO_PERMISSION = "VP007"
    NO_URL = "VP010"


@dataclass(frozen=True, slots=True)
class Decision:
    """May this sender call this address with this contract now, and where does it go?

    The order in which outcomes win is the incumbent's: receiver, route, several routes, empty URL, permission.
    """

    outcome: Outcome
    route: Route | None
    permission: Permission | None
    route_trace: str
    """Visited addresses as the incumbent spells them, e.g. `X,(parent),SE,(default),*`."""
    permission_trace: str
    """Empty when the permission was not looked up because the route had already failed."""


class RejectionReason(Enum):
    """Why a candidate row lost: the closed list of `route explain`."""

    NOT_YET_VALID = "not yet valid"
    EXPIRED = "expired"
    CASE_DIFFERS = "case differs"
    SHADOWED = "shadowed by a closer match"
    AMBIGUOUS = "not the only valid route of the address"
    OTHER_CONSUMER = "other consumer"
    OTHER_CONTRACT = "other contract or version"
    CLIMB_OFF = "climbing the HSA tree is off for this contract"
    DELIMITER_RULES = "delimiter address: outside what is allowed"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that was considered and why it was not used."""

    row: str
    """The row in words, e.g. `route SE2321000016-KS GetDiagnosis:2 -> rtp`."""
    source: str
    reason: RejectionReason
    note: str = ""
    """What would help to understand, e.g. `expired 12 days ago`."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision and every candidate that lost."""

    decision: Decision
    rejected: tuple[Rejection, ...]
