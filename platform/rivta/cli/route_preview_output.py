"""What `rivta route preview`, `reach` and `unused` show to people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from rivta.catalogue.rows import SWEDISH_TIME
from rivta.cli.route_diff_output import names

_STYLES = {"lost": "red", "ambiguous": "red", "rerouted": "yellow", "gained": "green"}
_REFUSALS = {
    "VP004": "no route",
    "VP006": "several routes",
    "VP007": "no permission",
    "VP010": "no URL",
}


def print_preview(found: Mapping[str, Any], *, parts: bool, most: int | None = None) -> None:
    """Each effect in three lines, the worst first, at most so many; then recorded calls, and the other platform."""
    console = Console(highlight=False, soft_wrap=True)
    together = list(_by_contracts(one for one in found["effects"] if parts or not one["of_two_parts"]))
    for effects in together[:most]:
        _print_effect(console, effects)
    if most is not None and len(together) > most:
        console.print(Text(f"... and {len(together) - most} more like these"))
    totals = ", ".join(f"{count} {kind}" for kind, count in found["totals"].items() if count)
    what = totals or "nothing changes for callers"
    console.print(Text(f"{found['before']} -> {found['after']}, from {_time(found['at'])}: {what}"))
    two_parts = sum(one["calls"] for one in found["effects"] if one["of_two_parts"])
    if two_parts and not parts:
        advice = ": --parts lists them" if most is None else ""
        console.print(Text(f"  and {two_parts} calls to addresses of two parts (A#B){advice}"))
    for text in found["left_out"]:
        console.print(Text(f"  not looked at: {text}", style="yellow"))
    if found["traffic"] is not None:
        _print_traffic(console, found["traffic"])
    if found["across"] is not None:
        _print_across(console, found["across"])


def print_reach(found: Mapping[str, Any]) -> None:
    """Who reaches the address, a consumer and contract a line, with the two rows below."""
    console = Console(highlight=False, soft_wrap=True)
    for one in found["reached_by"]:
        route, permission = one["route"], one["permission"]
        console.print(Text.assemble((one["consumer"], "bold"), f" with {one['contract_name']}, {_since(one)}"))
        console.print(
            Text(
                f"    permission at {permission['logical_address']}, {permission['agreement']}, {permission['source']}"
            )
        )
        console.print(
            Text(f"    route at {route['logical_address']} to {route['producer_address']}, {route['source']}")
        )
    consumers = len({one["consumer"] for one in found["reached_by"]})
    console.print(Text(f"{found['logical_address']}, {found['publication']}: {_count(consumers, 'consumer')}"))


def print_unused(found: Mapping[str, Any]) -> None:
    """Each permission in a line; and how far the call log reaches."""
    console = Console(highlight=False, soft_wrap=True)
    for one in found["permissions"]:
        words = f"{one['consumer']} -> {one['logical_address']} {one['contract_name']}"
        console.print(Text(f"{words}, {one['agreement']}, {one['source']}"))
    console.print(Text(f"{_count(len(found['permissions']), 'permission')} unused since {_time(found['since'])}"))
    if not found["is_complete"]:
        log_since = found["log_since"]
        told = f"begins at {_time(log_since)}" if log_since else "is empty"
        console.print(Text(f"but the call log {told}: what was called before is not known", style="yellow"))


def _by_contracts(effects: Iterable[Mapping[str, Any]]) -> Iterable[Sequence[Mapping[str, Any]]]:
    """Effects that are alike but for their contract, together."""
    together: dict[str, list[Mapping[str, Any]]] = {}
    for one in effects:
        alike = {name: value for name, value in one.items() if not name.startswith("contract")}
        together.setdefault(json.dumps(alike), []).append(one)
    return together.values()


def _print_effect(console: Console, effects: Sequence[Mapping[str, Any]]) -> None:
    one, contracts = effects[0], names([effect["contract_name"] for effect in effects])
    when = f" from {_time(one['since'])}" if one["since"] else ""
    when += f" until {_time(one['until'])}" if one["until"] else ""
    console.print(
        Text.assemble((one["kind"], _STYLES[one["kind"]]), f" {contracts} to {names(one['addresses'])}{when}")
    )
    console.print(Text(f"    for {names(one['consumers'])}"))
    console.print(Text(f"    {_decision(one['before'])} -> {_decision(one['after'])}"))


def _print_traffic(console: Console, traffic: Mapping[str, Any]) -> None:
    changed = sum(one["calls"] for one in traffic["effects"])
    since = f" (since {_time(traffic['since'])})" if traffic["since"] else ""
    console.print(
        Text(f"of the last {_count(traffic['calls'], 'recorded call')}{since}, {changed} would end otherwise")
    )
    for one in traffic["effects"]:
        console.print(
            Text.assemble(
                f"  {one['calls']} ",
                (one["kind"], _STYLES[one["kind"]]),
                f": {one['contract_name']} to {one['logical_address']} from {one['sender']}, "
                f"{_decision(one['before'])} -> {_decision(one['after'])}",
            )
        )


def _print_across(console: Console, across: Mapping[str, Any]) -> None:
    for one in across["missing"]:
        who = f" from {names(one['consumers'])}" if one["consumers"] else ""
        console.print(
            Text.assemble(
                f"{one['contract_name']} to {one['logical_address']}{who}: ",
                (f"ordered at {one['ordered_at']} and missing at {one['missing_at']}", "red"),
                f" ({_outcome(one['outcome'])}), {one['source']}",
            )
        )
    for one in across["loops"]:
        console.print(
            Text.assemble(
                f"{one['contract_name']} to {one['logical_address']}: ",
                ("each platform sends it to the other", "red"),
                f", {' and '.join(one['sources'])}",
            )
        )
    count = len(across["missing"]) + len(across["loops"])
    console.print(Text(f"{_count(count, 'mistake')} between the two platforms"))


def _decision(one: Mapping[str, Any]) -> str:
    if one["outcome"] != "routed":
        return _outcome(one["outcome"])
    return f"{one['producer_address']} ({one['url']}, {one['profile']})"


def _outcome(outcome: str) -> str:
    return f"{outcome} {_REFUSALS[outcome]}" if outcome in _REFUSALS else outcome


def _since(one: Mapping[str, Any]) -> str:
    since = f"since {_time(one['since'])}" if one["since"] else "always, as far as the rows say"
    published = one["since_publication"]
    if published is None or published["number"] is None:
        return since
    or_longer = "" if published["is_oldest"] else " or longer"
    return f"{since}, published {_time(published['time'])}{or_longer} ({published['number']})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _time(text: str) -> str:
    """In Swedish time; a day alone where it is its first moment."""
    moment = datetime.fromisoformat(text).astimezone(SWEDISH_TIME)
    return f"{moment:%Y-%m-%d}" if (moment.hour, moment.minute) == (0, 0) else f"{moment:%Y-%m-%d %H:%M}"
