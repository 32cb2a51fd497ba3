"""Previews, reach and unused permissions as JSON values: the same on the command line and in the admin API."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rivta.catalogue.across import Loop, Missing
from rivta.catalogue.as_json import permission_json, route_json
from rivta.catalogue.decision import Decision
from rivta.catalogue.preview import CallsEffect, Effect, Kind, Preview
from rivta.catalogue.reach import Reached, Unused
from rivta.soap.identifiers import short_name


def preview_json(found: Preview, *, before: str, after: str) -> dict[str, Any]:
    """What changes for callers; `before` and `after` are what the two tables are called."""
    return {
        "before": before,
        "after": after,
        "at": _time(found.now),
        "effects": [_effect(one) for one in found.effects],
        "totals": {
            kind.value: sum(one.calls for one in found.effects if one.kind is kind and not one.of_two_parts)
            for kind in Kind
        },
        "decided": found.decided,
        "left_out": list(found.left_out),
        "traffic": None,
        "across": None,
    }


def traffic_json(effects: Sequence[CallsEffect], *, calls: int, since: datetime | None) -> dict[str, Any]:
    """What becomes of `calls` recorded calls, the oldest of them made at `since`."""
    return {
        "calls": calls,
        "since": _time(since),
        "effects": [
            {
                "kind": one.kind.value,
                "sender": one.calls.sender,
                "contract": one.calls.contract,
                "contract_name": short_name(one.calls.contract),
                "logical_address": one.calls.logical_address,
                "calls": one.calls.number,
                "before": decision_json(one.before),
                "after": decision_json(one.after),
            }
            for one in effects
        ],
        "totals": {kind.value: sum(one.calls.number for one in effects if one.kind is kind) for kind in Kind},
    }


def across_json(missing: Iterable[Missing], loops: Iterable[Loop]) -> dict[str, Any]:
    """What two platforms' tables lack together."""
    return {
        "missing": [
            {
                "gap": one.gap.value,
                "ordered_at": one.ordered_at,
                "missing_at": one.missing_at,
                "contract": one.contract,
                "contract_name": short_name(one.contract),
                "logical_address": one.logical_address,
                "consumers": list(one.consumers),
                "outcome": one.outcome.value,
                "source": one.source,
            }
            for one in missing
        ],
        "loops": [
            {
                "contract": one.contract,
                "contract_name": short_name(one.contract),
                "logical_address": one.logical_address,
                "sources": list(one.sources),
            }
            for one in loops
        ],
    }


def reach_json(logical_address: str, found: Iterable[Reached]) -> dict[str, Any]:
    """Who can reach an address."""
    return {
        "logical_address": logical_address,
        "reached_by": [
            {
                "consumer": one.consumer,
                "contract": one.contract,
                "contract_name": short_name(one.contract),
                "since": _time(one.since),
                "until": _time(one.until),
                "route": route_json(one.route),
                "permission": permission_json(one.permission),
                "since_publication": None,
            }
            for one in found
        ],
    }


def unused_json(found: Iterable[Unused], *, since: datetime, log_since: datetime | None) -> dict[str, Any]:
    """Permissions no call has needed since a time; `log_since` is when the call log begins."""
    return {
        "since": _time(since),
        "log_since": _time(log_since),
        "is_complete": log_since is not None and log_since <= since,
        "permissions": [permission_json(one.permission) for one in found],
    }


def decision_json(decision: Decision) -> dict[str, Any]:
    """Where a call goes, shortly."""
    route, permission = decision.route, decision.permission
    found: dict[str, Any] = {"outcome": decision.outcome.value, "url": None, "profile": None, "component": None}
    found |= {"producer_address": None, "route_source": None, "permission_source": None}
    if route is not None:
        found |= {
            "url": route.url,
            "profile": route.profile.value if route.profile else None,
            "component": route.component,
            "producer_address": route.producer_address,
            "route_source": route.source,
        }
    if permission is not None:
        found["permission_source"] = permission.source
    return found


def _effect(one: Effect) -> Mapping[str, Any]:
    return {
        "kind": one.kind.value,
        "contract": one.contract,
        "contract_name": short_name(one.contract),
        "consumers": list(one.consumers),
        "addresses": list(one.addresses),
        "calls": one.calls,
        "since": _time(one.since),
        "until": _time(one.until),
        "before": decision_json(one.before),
        "after": decision_json(one.after),
        "of_two_parts": one.of_two_parts,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
