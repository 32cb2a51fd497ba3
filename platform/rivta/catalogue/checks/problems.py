"""What all checks are made of: rows in turn, and a mistake at a place."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.rows import Draft, PermissionRow, Place, Problem, RouteRow

EXPIRING_DAYS = 30


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a draft is checked against."""

    hsa: HsaTree
    variables: Mapping[str, str]
    """The configuration's `[variables]`."""
    own_variables: Collection[str] = ()
    """Names of those that are the platform's own address: a route there would come back to us."""
    tls_targets: Collection[str] | None = None
    """Names of the configuration's `[tls.targets]`; None where the configuration is not known."""
    expiring_days: int = EXPIRING_DAYS
    """How long before a row ends it is told; 0 is never."""
    contracts: Collection[str] | None = None
    """Namespaces of the installed contracts; None where they are not known."""


def namespaces_of(contracts: object) -> frozenset[str] | None:
    """The namespaces of installed contracts, where they can be listed (`rivta.contracts.installed.Contracts` can)."""
    if not isinstance(contracts, Iterable):
        return None
    return frozenset(str(contract.namespace) for contract in contracts)


def at(place: Place, rule: str, message: str) -> Problem:
    """A mistake in the row at `place`."""
    return Problem(place.file, place.line, rule, message)


def all_rows(draft: Draft) -> Iterator[RouteRow | PermissionRow]:
    """The routes, and then the permissions."""
    yield from draft.routes
    yield from draft.permissions


def written_once(rows: Iterable[RouteRow | PermissionRow]) -> Iterator[RouteRow | PermissionRow]:
    """One of the rows that a written row stands for: for what they have in common."""
    seen: set[Place] = set()
    for row in rows:
        if row.place not in seen:
            seen.add(row.place)
            yield row


def kind(row: RouteRow | PermissionRow) -> str:
    """`route` or `permission`."""
    return "route" if isinstance(row, RouteRow) else "permission"
