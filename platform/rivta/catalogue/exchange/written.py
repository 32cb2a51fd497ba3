"""Rows as other catalogues must have them: variables resolved, everything that is referred to declared, numbered."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from rivta.catalogue.compile import UncompilableTable, resolve
from rivta.catalogue.exchange.imported import Remark
from rivta.catalogue.rows import Bound, Draft, PermissionRow, ProducerAddress, RouteRow
from rivta.soap.identifiers import Profile


class ExportRefused(ValueError):
    """The table cannot be written in that format; the message says which row and why."""


@dataclass(frozen=True, slots=True)
class About:
    """What a written file says of the table as a whole."""

    version: int
    time: datetime
    author: str
    comment: str


@dataclass(frozen=True, slots=True)
class Target:
    """Where a route goes."""

    url: str
    profile: Profile
    component: str


def targets(draft: Draft, variables: Mapping[str, str]) -> dict[str, Target]:
    """Every producer address by its name, with `${name}` resolved. Raises ExportRefused for an unknown variable."""
    return {row.name: _target(row, variables) for row in draft.producer_addresses}


def sorted_routes(draft: Draft) -> list[RouteRow]:
    """Routes in the order of their keys."""
    return sorted(draft.routes, key=lambda row: (row.logical_address, row.contract, _day(row.valid_from)))


def sorted_permissions(draft: Draft) -> list[PermissionRow]:
    """Permissions in the order of their keys."""
    return sorted(
        draft.permissions, key=lambda row: (row.logical_address, row.consumer, row.contract, _day(row.valid_from))
    )


def route_key(row: RouteRow, target: Target) -> tuple[str, ...]:
    """What makes a route the same route for another catalogue."""
    return ("route", row.logical_address, row.contract, target.url, target.profile.value, _day(row.valid_from))


def permission_key(row: PermissionRow) -> tuple[str, ...]:
    """What makes a permission the same permission for another catalogue."""
    return ("permission", row.logical_address, row.contract, row.consumer, _day(row.valid_from))


def losses(draft: Draft, *, names: bool, agreements: bool) -> tuple[Remark, ...]:
    """What of a table has no place in a format; `names` and `agreements` say whether it has one for those."""
    told = []
    if draft.resolution is not None:
        told.append("the rules for looking up addresses (resolution)")
    if any(row.client_certificate or row.ca for row in draft.producer_addresses):
        told.append("certificates of producer addresses")
    if any(row.platform for row in draft.components):
        told.append("which components are platforms")
    if draft.producer_addresses:
        told.append("names of producer addresses")
    if not names and (draft.components or draft.logical_addresses):
        told.append("components, and names of addresses")
    if not agreements and draft.permissions:
        told.append("agreements")
    return (Remark("", f"this format has no place for: {'; '.join(told)}"),) if told else ()


def _target(row: ProducerAddress, variables: Mapping[str, str]) -> Target:
    try:
        return Target(resolve(row.url, variables), row.profile, row.component)
    except UncompilableTable as error:
        message = f"{row.place}: producer address {row.name}: {error}; say --variable NAME=URL"
        raise ExportRefused(message) from error


def target_of(row: RouteRow, known: Mapping[str, Target]) -> Target:
    """Where this route goes; ExportRefused when its producer address does not exist."""
    if row.producer_address not in known:
        raise ExportRefused(f"{row.place}: route to producer address {row.producer_address!r}, which does not exist")
    return known[row.producer_address]


def _day(bound: Bound | None) -> str:
    return "" if bound is None else bound.isoformat()
