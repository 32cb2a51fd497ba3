"""What `rivta route` shows to people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    "some_contracts": "contracts",
    "producer_address": "goes to",
    "source": "where",
    "file": "where",
}
_WIDTH_IN_A_FILE = 1000
"""Lines for grep, where there is no terminal to fit into."""
_GAP = 2
_ROUTE, _MORE_OF_ROUTE = ("logical_address", "producer_address"), ("valid", "url")
_PERMISSION, _MORE_OF_PERMISSION = ("consumer", "logical_address"), ("valid", "agreement")


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a table of rows shows."""

    more: int
    """How many of the columns that can be left out."""
    contracts: bool
    """Every contract by its name, instead of their number."""
    folder: bool
    """Where a row stands, with the platform's folder."""


_SHAPES = (
    _Shape(2, contracts=True, folder=True),
    _Shape(2, contracts=False, folder=True),
    _Shape(1, contracts=False, folder=True),
    _Shape(0, contracts=False, folder=True),
    _Shape(0, contracts=False, folder=False),
)
"""From the widest to the narrowest."""

_HINTS = {RejectionReason.OTHER_CONSUMER.value, RejectionReason.OTHER_CONTRACT.value}
"""Rows of these reasons did not compete: shown to people only for a look-up that found nothing."""


def print_rows(found: Mapping[str, Any]) -> None:
    """Routes and permissions as two tables; rows that differ in their contract only are one line."""
    for title, least, more in (("routes", _ROUTE, _MORE_OF_ROUTE), ("permissions", _PERMISSION, _MORE_OF_PERMISSION)):
        rows = [{**row, "valid": _validity(row), "file": row["source"].rpartition("/")[2]} for row in found[title]]
        lines = _by_contracts(rows, (*least, *more, "source", "file"))
        _print_widest(title, [_columns(shape, least, more) for shape in _SHAPES], lines, count=len(rows))


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


def _print_widest(
    title: str, layouts: Sequence[Sequence[str]], rows: Sequence[Mapping[str, str]], *, count: int
) -> None:
    """The rows in the first layout that the terminal has room for, else in the last."""
    console = _console()
    for columns in layouts:
        headings = [_HEADINGS.get(name, name) for name in columns]
        lines = [[row[name] for name in columns] for row in rows]
        widths = (max(map(len, cells)) + _GAP for cells in zip(headings, *lines, strict=True))
        if sum(widths) - _GAP <= console.width:
            break
    _print_table(title, headings, lines, count=count)


def _columns(shape: _Shape, least: Sequence[str], more: Sequence[str]) -> list[str]:
    return [
        *least,
        "contracts" if shape.contracts else "some_contracts",
        *more[: shape.more],
        "source" if shape.folder else "file",
    ]


def _by_contracts(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[dict[str, str]]:
    """A line for all rows that are alike but for their contract, with these named cells beside the contracts."""
    contracts: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        contracts.setdefault(tuple(str(row[name]) for name in names), []).append(row["contract_name"])
    return [
        {**dict(zip(names, cells, strict=True)), "contracts": ", ".join(sorted(found)), "some_contracts": _some(found)}
        for cells, found in contracts.items()
    ]


def _some(contracts: Sequence[str]) -> str:
    return contracts[0] if len(contracts) == 1 else f"{len(contracts)} contracts"


def _print_table(
    title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], *, count: int | None = None
) -> None:
    console = _console()
    if not rows:
        console.print(f"no {title}")
        return
    table = Table(*(Column(heading, overflow="fold") for heading in headings), box=None, pad_edge=False)
    table.padding = (0, _GAP, 0, 0)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
    number = len(rows) if count is None else count
    console.print(f"{number} {title[:-1] if number == 1 else title}\n", style="dim")


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_IN_A_FILE
    return console


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
