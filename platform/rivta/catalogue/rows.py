"""The rows of a routing table as operators write them, each with its place in the files; and the days they hold."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from rivta.soap.identifiers import ContractNamespace, HsaId, LogicalAddress, Profile

SWEDISH_TIME = ZoneInfo("Europe/Stockholm")
"""The zone of whole days in a table. On a machine without a zone database the `tzdata` package provides it."""

ANY_ADDRESS = LogicalAddress("*")
"""The default address: a row on it holds where no closer row does."""

HSA_ROOT = "SE"
"""Where every climb of the HSA tree ends; a row on it is a national default."""

Bound = date | datetime
"""An end of a validity as written: a whole day in Swedish time, or an instant with its offset."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake in the tables (or something to look at twice): where it stands and what to do about it."""

    file: str
    line: int
    """From 1; 0 when it concerns the file as a whole."""
    rule: str
    """Stable name of the rule, as `route-overlap`."""
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message} [{self.rule}]"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row was written."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Component:
    """A service component: a system with an HSA-id of its own, consumer or producer or both."""

    hsa_id: HsaId
    name: str
    platform: bool
    """It is itself a service platform."""
    place: Place


@dataclass(frozen=True, slots=True)
class ProducerAddress:
    """A named URL, so that many routes share one."""

    name: str
    component: HsaId
    url: str
    """With `${name}` unresolved."""
    profile: Profile
    client_certificate: str | None
    ca: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class NamedAddress:
    """A logical address and what people call it."""

    logical_address: LogicalAddress
    name: str
    place: Place


@dataclass(frozen=True, slots=True)
class RouteRow:
    """Calls to one address with one contract go to a producer address; a written row is one of these per pair."""

    logical_address: LogicalAddress
    contract: ContractNamespace
    producer_address: str
    valid_from: Bound | None
    valid_to: Bound | None
    place: Place


@dataclass(frozen=True, slots=True)
class NotificationFilter:
    """What a notification subscription is narrowed to."""

    domain: str
    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PermissionRow:
    """One consumer may call one address with one contract; a written row is one of these per combination."""

    consumer: HsaId
    logical_address: LogicalAddress
    contract: ContractNamespace
    agreement: str
    valid_from: Bound | None
    valid_to: Bound | None
    filters: tuple[NotificationFilter, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Resolution:
    """How addresses are looked up; the defaults are the incumbent's router's."""

    climb_routes: bool = True
    climb_permissions: bool = True
    climb_except: tuple[str, ...] = ()
    """Contract namespaces that start with one of these get the opposite of both settings."""
    delimiter: str = "#"
    """An address that contains it is two or more in one; empty is off."""
    delimiter_contracts: tuple[ContractNamespace, ...] = ()
    delimiter_senders: tuple[HsaId, ...] = ()
    """What such an address may be permitted for; empty is any."""
    place: Place | None = None

    def climbs_for_routes(self, contract: str) -> bool:
        """Whether routes for `contract` are also looked for on the units above an address."""
        return self.climb_routes != self._is_excepted(contract)

    def climbs_for_permissions(self, contract: str) -> bool:
        """Whether permissions for `contract` are also looked for on the units above an address."""
        return self.climb_permissions != self._is_excepted(contract)

    def _is_excepted(self, contract: str) -> bool:
        return bool(self.climb_except) and contract.startswith(self.climb_except)


@dataclass(frozen=True, slots=True)
class Draft:
    """The merged tables of any number of files."""

    components: tuple[Component, ...] = ()
    producer_addresses: tuple[ProducerAddress, ...] = ()
    logical_addresses: tuple[NamedAddress, ...] = ()
    routes: tuple[RouteRow, ...] = ()
    permissions: tuple[PermissionRow, ...] = ()
    resolution: Resolution | None = None
    """None when no file says anything: the defaults."""

    @property
    def is_empty(self) -> bool:
        """There is nothing to route by."""
        return not self.routes and not self.permissions


@lru_cache(maxsize=4096)
def opens(bound: Bound | None) -> datetime | None:
    """The first instant inside a validity that starts with `bound`; None is always."""
    if bound is None or isinstance(bound, datetime):
        return bound
    return datetime.combine(bound, time(), SWEDISH_TIME).astimezone(UTC)


@lru_cache(maxsize=4096)
def closes(bound: Bound | None) -> datetime | None:
    """The first instant after a validity that ends with `bound`: the midnight after a whole day, the time itself else.

    None is never, and so is the last day a calendar has.
    """
    if bound is None or isinstance(bound, datetime):
        return bound
    if bound == date.max:
        return None
    return datetime.combine(bound + timedelta(days=1), time(), SWEDISH_TIME).astimezone(UTC)
