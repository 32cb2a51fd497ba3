"""The steps of the chain from a source system to a consumer's screen, and what to do about one that fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePath
from typing import Any, Final

from rivta.catalogue.decision import Outcome, RejectionReason
from rivta.catalogue.exchange.row_text import Field, block_item, scalar
from rivta.soap.identifiers import short_name

AGREEMENT: Final = "say which agreement this rests on"
_NOT_NOW = {RejectionReason.EXPIRED.value, RejectionReason.NOT_YET_VALID.value}


class State(Enum):
    """How it goes at a step."""

    PASSED = "passed"
    DOUBTFUL = "doubtful"
    """The data shows in spite of it."""
    FAILED = "failed"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Remedy:
    """What would let a step pass."""

    advice: str
    """One line."""
    file: str | None = None
    """Of the tables: where the row stands, or its neighbours do."""
    rows: str | None = None
    """Rows to add, as YAML that may be a file of its own."""
    commands: tuple[tuple[str, ...], ...] = ()
    """What to look at, or do, next: words behind `rivta`."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step, where it is taken, and what is known of it."""

    name: str
    platform: str | None
    """Short name; None for what belongs to none."""
    state: State
    text: str
    details: tuple[str, ...] = ()
    remedy: Remedy | None = field(default=None)


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision of a platform's table, as its `/explain` tells it."""

    platform: str
    sender: str
    contract: str
    address: str
    found: Mapping[str, Any]

    @property
    def is_routed(self) -> bool:
        """Whether the call goes on."""
        return bool(self.found["outcome"] == Outcome.ROUTED.value)

    @property
    def route(self) -> Mapping[str, Any]:
        """The route's row; empty without one."""
        return self.found["route"] or {}


@dataclass(frozen=True, slots=True)
class Drafts:
    """Where the tables of the platforms are edited, and where a new route could lead; both by short name."""

    folder: Callable[[str], str | None]
    leads_to: Callable[[str, str, str], str | None]
    """The name of the producer address, at a platform, for an address and contract that has no route there."""


def decision_step(name: str, decided: Decided, drafts: Drafts) -> Step:
    """The step that a decision is; a refusal comes with the row that is missing."""
    found, route = decided.found, decided.route
    if decided.is_routed:
        permission = found["permission"]
        text = (
            f"{decided.sender} may call {decided.address}: agreement {permission['agreement']!r} "
            f"[{permission['source']}], to {route['producer_address']} [{route['source']}]"
        )
        return Step(name, decided.platform, State.PASSED, text)
    outcome = found["outcome"]
    text = f"{outcome}, {Outcome(outcome).name.lower().replace('_', ' ')}"
    about = f"{decided.sender} to {decided.address} with {short_name(decided.contract)}"
    near = [
        f"{row['row']}: {row['reason']}{' (' + row['note'] + ')' if row['note'] else ''} [{row['source']}]"
        for row in _out_of_time(found)
    ]
    details = (about, *near)
    return Step(name, decided.platform, State.FAILED, text, details, _remedy(decided, drafts))


def _remedy(decided: Decided, drafts: Drafts) -> Remedy:
    found, folder = decided.found, drafts.folder(decided.platform)
    explain = (
        *("route", "explain", "--from", decided.sender, "--contract", short_name(decided.contract)),
        *("--to", decided.address, "--platform", decided.platform),
    )
    late = _out_of_time(found)
    if late:
        row = late[0]
        advice = f"change the validity of the row at {row['source']}, if its agreement still holds"
        return Remedy(advice, file_of(folder, row["source"]), commands=(explain,))
    match found["outcome"]:
        case Outcome.NO_PERMISSION.value:
            return _permission_remedy(decided, folder, explain)
        case Outcome.NO_ROUTE.value:
            return _route_remedy(decided, folder, drafts, explain)
        case Outcome.SEVERAL_ROUTES.value:
            places = ", ".join(
                dict.fromkeys(
                    row["source"] for row in found["rejected"] if row["reason"] == RejectionReason.AMBIGUOUS.value
                )
            )
            advice = f"keep one of the routes at {places}" if places else "keep one of the routes"
            return Remedy(advice, folder, commands=(explain,))
        case Outcome.NO_URL.value:
            route = decided.route
            advice = f"fill in the url of the producer address {route.get('producer_address', '')}"
            return Remedy(advice, file_of(folder, str(route.get("source", ""))), commands=(explain,))
        case _:
            return Remedy("look at the decision", folder, commands=(explain,))


def _permission_remedy(decided: Decided, folder: str | None, explain: tuple[str, ...]) -> Remedy:
    fields = [
        Field("consumer", scalar(decided.sender)),
        Field("logical_address", scalar(decided.address)),
        Field("contracts", (scalar(short_name(decided.contract)),)),
        Field("agreement", scalar(AGREEMENT)),
    ]
    rows = "\n".join(["permissions:", *block_item(fields, 2)])
    advice = "add this permission, if there is an agreement for it"
    return Remedy(advice, file_of(folder, str(decided.route.get("source", ""))), rows, (explain,))


def _route_remedy(decided: Decided, folder: str | None, drafts: Drafts, explain: tuple[str, ...]) -> Remedy:
    leads_to = drafts.leads_to(decided.platform, decided.contract, decided.address)
    fields = [
        Field("logical_address", scalar(decided.address)),
        Field("contracts", (scalar(short_name(decided.contract)),)),
        Field("producer_address", scalar(leads_to or "NAME")),
    ]
    rows = "\n".join(["routes:", *block_item(fields, 2)])
    advice = "add this route" if leads_to else "add this route, with the NAME of the producer address that it leads to"
    return Remedy(f"{advice}; a permission may be missing too", folder, rows, (explain,))


def _out_of_time(found: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Rows that would do at another time, of the kind that is missing."""
    lacks = "permission " if found["outcome"] == Outcome.NO_PERMISSION.value else "route "
    return [row for row in found["rejected"] if row["reason"] in _NOT_NOW and row["row"].startswith(lacks)]


def file_of(folder: str | None, source: str) -> str | None:
    """The file of a row, whose place is written `<platform's folder>/<file>:<line>`."""
    name = source.rpartition(":")[0]
    return folder if folder is None or not name else str(PurePath(folder).parent / name)
