"""A table as one order in the extended form, which makes another table have its rows."""

import json
from collections.abc import Mapping
from typing import Any

from rivta.catalogue.exchange.dates import write_bound
from rivta.catalogue.exchange.written import About, sorted_permissions, sorted_routes, target_of, targets
from rivta.catalogue.rows import Draft, PermissionRow, RouteRow

_FORMAT = 2.0


def write(draft: Draft, about: About, *, platform: str, variables: Mapping[str, str]) -> bytes:
    """The order, in which each row has its dates. Raises ExportRefused for a variable that is not known."""
    known = targets(draft, variables)
    time = about.time.replace(microsecond=0).isoformat()
    named = {row.hsa_id.lower(): (row.hsa_id, row.name) for row in draft.components}
    used = {target.component.lower(): (target.component, "") for target in known.values()}
    used |= {row.consumer.lower(): (row.consumer, "") for row in draft.permissions}
    called = {row.logical_address.lower(): (row.logical_address, row.name) for row in draft.logical_addresses}
    addresses = {row.logical_address.lower(): (row.logical_address, "") for row in draft.routes}
    addresses |= {row.logical_address.lower(): (row.logical_address, "") for row in draft.permissions}
    addresses.pop("*", None)
    routes = []
    for row in sorted_routes(draft):
        target = target_of(row, known)
        routes.append(
            {
                "adress": target.url,
                "logiskAdress": row.logical_address,
                "tjanstekontrakt": row.contract,
                "rivtaprofil": target.profile.value,
                "tjanstekomponent": target.component,
                **_dates(row),
            }
        )
    order = {
        "plattform": platform,
        "formatVersion": _FORMAT,
        "version": about.version,
        "bestallningsTidpunkt": time,
        "genomforandeTidpunkt": time,
        "utforare": about.author,
        "kommentar": about.comment,
        "inkludera": {
            "logiskadresser": _named({**addresses, **called}),
            "tjanstekomponenter": _named({**used, **named}),
            "anropsbehorigheter": [_permission(row) for row in sorted_permissions(draft)],
            "vagval": routes,
        },
        "exkludera": None,
    }
    return json.dumps(order, ensure_ascii=False, indent=1).encode() + b"\n"


def _named(found: Mapping[str, tuple[str, str]]) -> list[dict[str, str]]:
    return [{"hsaId": hsa_id, "beskrivning": name or hsa_id} for _, (hsa_id, name) in sorted(found.items())]


def _permission(row: PermissionRow) -> dict[str, Any]:
    filters = [{"servicedomain": part.domain, "kategorier": list(part.categories)} for part in row.filters]
    return {
        "logiskAdress": row.logical_address,
        "tjanstekontrakt": row.contract,
        "tjanstekonsument": row.consumer,
        "integrationsavtal": row.agreement,
        **_dates(row),
        **({"filter": filters} if filters else {}),
    }


def _dates(row: RouteRow | PermissionRow) -> dict[str, str]:
    return {
        "fromTidpunkt": write_bound(row.valid_from, is_end=False),
        "tomTidpunkt": write_bound(row.valid_to, is_end=True),
    }
