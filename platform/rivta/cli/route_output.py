"""What `rivta route` shows to people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from rivta.catalogue.decision import RejectionReason
from rivta.catalogue.rows import SWEDISH_TIME
from rivta.soap.identifiers import short_name

_MARKERS = {
    "(parent)": "above it in the HSA tree",
    "(default)": "the default row",
    "(leaf)": "an address of several parts, last part first",
    "Invalid parameters": "outside what a delimiter address may be permitted for",
}
_HEADINGS = {
    "logical_address": "logical address",
    "contract_name": "contracts",
    "producer_address": "goes to",
    "source": "where",
}
_WIDTH_IN_A_FILE = 200
"""Lines for grep, where there is no terminal to fit into."""

_HINTS = {RejectionReason.OTHER_CONSUMER.value, RejectionReason.OTHER_CONTRACT.value}
"""Rows of these reasons did not compete: shown to people only for a look-up that found nothing."""


def print_rows(found: Mapping[str, Any]) -> None:
    """Routes and permissions as two tables; rows that differ in their contract only are one line."""
    routes = ("logical_address", "contract_name", "producer_address", "url", "valid", "source")
    permissions = ("consumer", "logical_address", "contract_name", "agreement", "valid", "source")
    for title, columns in (("routes", routes), ("permissions", permissions)):
        rows = [{**row, "valid": _validity(row)} for row in found[title]]
        contracts: dict[tuple[str, ...], list[str]] = {}
        for row in rows:
            contracts.setdefault(_cells({**row, "contract_name": ""}, *columns), []).append(row["contract_name"])
        at = columns.index("contract_name")
        lines = [(*key[:at], ", ".join(sorted(names)), *key[at + 1 :]) for key, names in contracts.items()]
        _print_table(title, tuple(_HEADINGS.get(name, name) for name in columns), lines, count=len(rows))


def print_explanation(
    found: Mapping[str, Any], *, sender: str, contract: str, logical_address: str, now: datetime
) -> None:
    """The decision as a story: the question, the two look-ups step by step, and the rows that lost."""
    console = Console(highlight=False, soft_wrap=True)
    when = now.astimezone(SWEDISH_TIME).strftime("%Y-%m-%d %H:%M")
    console.print(Text(f"{sender} calls {logical_address} with {short_name(contract)} at {when} Swedish time"))
    console.print(_outcome(found))
    _print_look_up(console, "Route", found["route_trace"], _route(found["route"]))
    if found["permission_trace"]:
        _print_look_up(console, "Permission", found["permission_trace"], _permission(found["permission"]))
    failed = {"VP004": "route", "VP007": "permission"}.get(found["outcome"], "nothing")
    rejected = [row for row in found["rejected"] if row["reason"] not in _HINTS or row["row"].startswith(failed)]
    if rejected:
        console.print("\nNot used", style="bold")
    for row in rejected:
        note = f" ({row['note']})" if row.get("note") else ""
        console.print(Text(f"  {row['row']}: {row['reason']}{note}, {row['source']}"))


def print_report(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Mistakes as a compiler shows them, and how many."""
    console = Console(highlight=False, soft_wrap=True)
    for kind, style in (("errors", "red"), ("warnings", "yellow")):
        for problem in found[kind]:
            place = f"{problem['file']}:{problem['line']}" if problem["line"] else problem["file"]
            console.print(
                Text.assemble(f"{place}: ", (kind[:-1], style), f": {problem['message']} [{problem['rule']}]")
            )
    console.print(f"{len(found['errors'])} errors, {len(found['warnings'])} warnings")


def print_history(publications: Sequence[Mapping[str, Any]]) -> None:
    """Publications, newest first."""
    rows = [
        (
            str(row["number"]),
            datetime.fromisoformat(row["time"]).astimezone(SWEDISH_TIME).strftime("%Y-%m-%d %H:%M:%S"),
            row["author"],
            f"{row['routes']} routes, {row['permissions']} permissions",
            row["comment"] + (f" (rollback to {row['rollback_of']})" if row.get("rollback_of") else ""),
        )
        for row in publications
    ]
    _print_table("publications", ("number", "time", "author", "holds", "comment"), rows)


def _print_table(
    title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], *, count: int | None = None
) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_IN_A_FILE
    if not rows:
        console.print(f"no {title}")
        return
    table = Table(*(Column(heading, overflow="fold") for heading in headings), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
    console.print(f"{len(rows) if count is None else count} {title}\n", style="dim")


def _cells(row: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in names)


def _outcome(found: Mapping[str, Any]) -> Text:
    if found["outcome"] == "routed":
        route = found["route"]
        return Text.assemble(("routed", "green"), f" to {route['url']} as {route['profile']}")
    return Text.assemble((found["outcome"], "red"), f": {_REASONS[found['outcome']]}")


_REASONS = {
    "VP003": "the message has no logical address",
    "VP004": "no route is valid for this address and contract",
    "VP006": "more than one route is valid at the same address",
    "VP007": "the sender has no valid permission for this address and contract",
    "VP010": "the route's producer address has no URL",
}


def _print_look_up(console: Console, title: str, trace: str, hit: str) -> None:
    """The addresses that were tried, one a line; the last is where a row was found, if any was."""
    console.print(f"\n{title}", style="bold")
    steps: list[str] = []
    said = ""
    for word in trace.split(","):
        if word in _MARKERS:
            said = _MARKERS[word]
            continue
        steps.append(f"{word} ({said})" if said else word)
        said = said if said == _MARKERS["(parent)"] else ""
    for number, step in enumerate(steps, start=1):
        is_last = number == len(steps)
        console.print(Text(f"  {number}. {step}: {hit if is_last and hit else 'no valid row'}"))
    if not steps:
        console.print(Text(f"  not looked for: {said}"))


def _route(route: Mapping[str, Any] | None) -> str:
    if route is None:
        return ""
    return f"to {route['producer_address']} ({route['component']}), {_validity(route)}, {route['source']}"


def _permission(permission: Mapping[str, Any] | None) -> str:
    if permission is None:
        return ""
    return f"by {permission['agreement']}, {_validity(permission)}, {permission['source']}"


def _validity(row: Mapping[str, Any]) -> str:
    first, last = row["valid_from"], row["valid_to"]
    if first and last:
        return f"{first} to {last}"
    if first:
        return f"from {first}"
    return f"to {last}" if last else "always"
