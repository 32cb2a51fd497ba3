"""Decisions, rows and problems as JSON values: the same on the command line, in the admin API and in the console."""

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from rivta.catalogue.decision import Explanation, Permission, Route
from rivta.catalogue.rows import SWEDISH_TIME, Problem
from rivta.soap.identifiers import short_name

if TYPE_CHECKING:
    from rivta.catalogue.publications import Publication


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """What `rivta route explain --json` prints."""
    decision = explanation.decision
    return {
        "outcome": decision.outcome.value,
        "route": None if decision.route is None else route_json(decision.route),
        "permission": None if decision.permission is None else permission_json(decision.permission),
        "route_trace": decision.route_trace,
        "permission_trace": decision.permission_trace,
        "rejected": [
            {"row": one.row, "source": one.source, "reason": one.reason.value, "note": one.note}
            for one in explanation.rejected
        ],
    }


def route_json(route: Route) -> dict[str, Any]:
    """A route; its validity as it is written in a table."""
    return {
        "logical_address": route.logical_address,
        "contract": route.contract,
        "contract_name": short_name(route.contract),
        "producer_address": route.producer_address,
        "component": route.component,
        "platform": route.platform,
        "url": route.url,
        "profile": route.profile.value if route.profile else None,
        "valid_from": bound_text(route.valid_from),
        "valid_to": bound_text(route.valid_to, is_end=True),
        "source": route.source,
    }


def permission_json(permission: Permission) -> dict[str, Any]:
    """A permission; its validity as it is written in a table."""
    return {
        "consumer": permission.consumer,
        "logical_address": permission.logical_address,
        "contract": permission.contract,
        "contract_name": short_name(permission.contract),
        "agreement": permission.agreement,
        "valid_from": bound_text(permission.valid_from),
        "valid_to": bound_text(permission.valid_to, is_end=True),
        "source": permission.source,
    }


def problem_json(problem: Problem) -> dict[str, Any]:
    """A mistake in the tables."""
    return {"file": problem.file, "line": problem.line, "rule": problem.rule, "message": problem.message}


def publication_json(publication: "Publication") -> dict[str, Any]:
    """A publication, without its content."""
    return {
        "number": publication.number,
        "time": publication.time.astimezone(UTC).isoformat(),
        "author": publication.author,
        "comment": publication.comment,
        "digest": publication.digest,
        "routes": publication.routes,
        "permissions": publication.permissions,
        "rollback_of": publication.rollback_of,
        "approver": publication.approver,
        "scheduled_for": _moment(publication.scheduled_for),
        "files": None if publication.files is None else list(publication.files),
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def bound_text(moment: datetime | None, *, is_end: bool = False) -> str | None:
    """An end of a validity as an operator writes it: a whole day where it begins or ends one, else the time in UTC."""
    if moment is None:
        return None
    local = moment.astimezone(SWEDISH_TIME)
    if local.time() != time():
        return moment.astimezone(UTC).isoformat()
    return (local.date() - timedelta(days=1) if is_end else local.date()).isoformat()
