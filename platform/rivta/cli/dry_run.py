"""`rivta dry-run`: calls that were made, decided by another table; nothing is sent."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rivta.cli.options import home_and_json, print_json
from rivta.cli.progress import progress_bar
from rivta.cli.route_sources import files_table, given_table, table_options
from rivta.cli.times import PastTime, Time

if TYPE_CHECKING:
    from rivta.contracts.installed import Contracts
    from rivta.run.home import Home
    from rivta.testing.dry_run import DryRun, Effect, Made

_MOST_SHOWN = 50
_LONGEST_LINE = 1_000_000
_EXISTING = click.Path(exists=True, path_type=Path, allow_dash=True)
_STYLES = {"lost": "red", "rerouted": "yellow", "gained": "green"}


@click.command(name="dry-run", epilog="Example: rivta dry-run --since 1h --publication draft")
@click.argument("paths", nargs=-1, type=_EXISTING, metavar="[PATH]...")
@click.option("--publication", metavar="N|draft", help="Decide by this table of the running pair.  [default: draft]")
@click.option("--since", type=PastTime(), help="Calls of the call log from then on: 10m, 2h, 1d ago, or ISO 8601.")
@click.option("--until", type=PastTime(), help="Before then.")
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=100_000, show_default=True, help="The newest so many."
)
@click.option("--at", type=Time(), help="Decide as of this time instead of now: 2026-12-01 or 2026-12-01T06:00.")
@click.option("--strict", is_flag=True, help="End with 1 when a call that was routed would be refused.")
@table_options
@home_and_json
def command(
    paths: tuple[Path, ...],
    publication: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    at: datetime | None,
    strict: bool,
    platform: str,
    tables: tuple[Path, ...],
    hsa: tuple[Path, ...],
    home: str | None,
    as_json: bool,
) -> int:
    """Decide calls that were made by another table, and tell what would end otherwise. Nothing is sent.

    PATH is a folder of cases, or a file that `rivta log search --json` wrote (- is standard input); without any, the
    calls of the platform's call log are taken.
    """
    from rivta.catalogue.sides import opened_side
    from rivta.cli.contract import installed
    from rivta.run.home import resolve
    from rivta.testing.dry_run import Change, dry_run

    if tables and publication:
        raise click.UsageError("--publication is of a running pair; it does not go together with --tables")
    if paths and (since or until):
        raise click.UsageError("--since and --until are of the call log; they do not go together with PATH")
    contracts, found = installed(home), resolve(home)
    given = (
        files_table(tables, platform=platform, contracts=contracts, hsa=hsa)
        if tables
        else given_table(publication or "draft", platform=platform, home=home, contracts=contracts, hsa=hsa)
    )
    calls = _of_paths(paths, contracts, found) if paths else _of_log(found, platform, since, until, limit)
    with (
        opened_side(given.draft, given.tree, _variables(found, platform)) as side,
        progress_bar("deciding") as progress,
    ):
        result = dry_run(
            side.table, calls, now=at or datetime.now(UTC), progress=lambda done: progress(done, max(done, 1))
        )
    if as_json:
        print_json(_json(result, given.label))
    else:
        _print(result, given.label)
    return 1 if strict and result.totals[Change.LOST] else 0


def _variables(home: Home, platform: str) -> Mapping[str, str]:
    """What the running platform has for `${name}` in its tables; nothing where there is none."""
    try:
        content = tomllib.loads(home.settings_file(platform).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    found = content.get("variables", {})
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _of_log(
    home: Home, platform: str, since: datetime | None, until: datetime | None, limit: int
) -> Iterator[Made | None]:
    from rivta.cli.admin import AdminClient
    from rivta.cli.logged import logged_calls
    from rivta.testing.dry_run import made_of_record

    client = AdminClient.of_platform(home, platform)
    return map(made_of_record, logged_calls(client, {"since": since, "until": until}, limit=limit))


def _of_paths(paths: tuple[Path, ...], contracts: Contracts, home: Home) -> Iterator[Made | None]:
    from rivta.cli.replay import read_cases
    from rivta.cli.terminal import harmless
    from rivta.testing.dry_run import made_of_case

    senders = _senders(home)
    for path in paths:
        if path.is_dir():
            cases, broken = read_cases([path], contracts)
            for problems in broken.values():
                click.echo(harmless(f"rivta: {problems[0]}"), err=True)
            yield from (made_of_case(case, senders.get(case.identity or "")) for case in cases)
        else:
            yield from _of_file(path)


def _senders(home: Home) -> dict[str, str]:
    """The HSA-ids of the pair's identities by their names; none where no pair runs."""
    from rivta.run.home import HomeError

    try:
        return {name: one["hsa_id"] for name, one in home.endpoints()["identities"].items()}
    except HomeError:
        return {}


def _of_file(path: Path) -> Iterator[Made | None]:
    """The records in a file, a line each. Raises ClickException for the first line that is none."""
    from rivta.router.record import CallRecord
    from rivta.testing.dry_run import made_of_record

    with click.open_file(str(path), encoding="utf-8") as lines:
        number = 0
        while True:
            number += 1
            try:
                line = lines.readline(_LONGEST_LINE)
                if not line:
                    return
                if not line.strip():
                    continue
                record = CallRecord.from_json(line)
            except (ValueError, OSError) as error:
                reason = error.msg if isinstance(error, json.JSONDecodeError) else error
                raise click.ClickException(
                    f"{path}:{number}: not a call as `rivta log search --json` writes it: {reason}"
                ) from error
            yield made_of_record(record)


def _json(result: DryRun, label: str) -> dict[str, Any]:
    from rivta.catalogue.effects_json import decision_json
    from rivta.soap.identifiers import short_name

    return {
        "table": label,
        "calls": result.calls,
        "left_out": result.left_out,
        "totals": {change.value: number for change, number in result.totals.items()},
        "effects": [
            {
                "change": one.change.value,
                "calls": one.calls,
                "sender": one.made.sender,
                "contract": one.made.contract,
                "contract_name": short_name(one.made.contract),
                "logical_address": one.made.logical_address,
                "then": {"outcome": one.made.outcome.value if one.made.outcome else None, "url": one.made.url},
                "now": decision_json(one.decision),
            }
            for one in result.effects
        ],
    }


def _print(result: DryRun, label: str) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for one in result.effects[:_MOST_SHOWN]:
        console.print(Text.assemble((one.change.value, _STYLES.get(one.change.value, "")), f" {_words(one)}"))
    if len(result.effects) > _MOST_SHOWN:
        console.print(Text(f"and {len(result.effects) - _MOST_SHOWN} more: --json lists them all"))
    counts = ", ".join(f"{number:,} {change.value}" for change, number in result.totals.items() if number)
    left_out = f", {result.left_out} left out, of unknown senders" if result.left_out else ""
    console.print(
        Text(f"{result.calls:,} call{'' if result.calls == 1 else 's'} by {label}: {counts or 'none'}{left_out}")
    )


def _words(effect: Effect) -> str:
    from rivta.cli.terminal import harmless
    from rivta.soap.identifiers import short_name

    made, decision = effect.made, effect.decision
    now = decision.outcome.value + (f" to {decision.route.url}" if decision.permission and decision.route else "")
    then = (made.outcome.value if made.outcome else "nothing") + (f" to {made.url}" if made.url else "")
    who = f"{short_name(made.contract)} to {made.logical_address or '-'} from {made.sender}"
    return harmless(f"{effect.calls} x {who}: {then} -> {now}")
