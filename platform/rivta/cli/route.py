"""`rivta route`: the routing tables, of a running pair or in files, and why a call goes where it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rivta.cli import route_diff, route_exchange, route_export, route_preview, route_publish
from rivta.cli.contract import installed
from rivta.cli.options import home_and_json, print_json
from rivta.cli.progress import progress_bar
from rivta.cli.route_sources import (
    EXISTING,
    Files,
    ManyTables,
    ask,
    default_tables,
    known_variables,
    namespace_of,
    on_disk,
    opened,
    read_files,
    table_options,
    to_check,
)
from rivta.cli.times import Time

if TYPE_CHECKING:
    from rivta.catalogue.files import Reading
    from rivta.catalogue.hsa import HsaTree
    from rivta.catalogue.lint import Report
    from rivta.catalogue.rows import Problem
    from rivta.catalogue.table import Table
    from rivta.contracts.installed import Contracts


@click.group(name="route", epilog="Example: rivta route list --platform regional")
def command() -> None:
    """List, explain and check the routing tables.

    Without --tables, what the running pair has in force; with it, files, and no pair is needed.
    """


@command.command(name="list", cls=ManyTables, epilog="Example: rivta route list --to SE2321000016-KS")
@click.option("--to", "logical_address", metavar="ADDRESS", help="Only rows of this very address.")
@click.option("--contract", metavar="CONTRACT", help="Only rows for this contract.")
@click.option("--consumer", metavar="HSA-ID", help="Only permissions of this consumer.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="At most so many of each kind.")
@table_options
@home_and_json
def list_(
    platform: str,
    tables: tuple[Path, ...],
    hsa: tuple[Path, ...],
    home: str | None,
    as_json: bool,
    **wanted: Any,
) -> None:
    """Show the rows of the routes and of the permissions."""
    from rivta.cli.route_output import print_rows

    if wanted["contract"]:
        wanted["contract"] = namespace_of(installed(home), wanted["contract"])
    if tables:
        with opened(on_disk(platform, tables, hsa), installed(home)) as table:
            found = _rows(table, **wanted)
    else:
        found = _running_rows(home, platform, wanted)
    if as_json:
        print_json(found)
    else:
        print_rows(found)


@command.command(
    cls=ManyTables,
    epilog="Example: rivta route explain --from SE165565594230-NPO --contract GetDiagnosis --to SE2321000016-KS",
    short_help="Say where a call goes, and why.",
)
@click.option("--from", "sender", required=True, metavar="SENDER", help="HSA-id of the system that calls.")
@click.option(
    "--contract", required=True, metavar="CONTRACT", help="GetDiagnosis, GetDiagnosis:2 or a whole namespace."
)
@click.option("--to", "logical_address", required=True, metavar="ADDRESS", help="The logical address called.")
@click.option("--at", type=Time(), help="At this time instead of now: 2026-11-24 or 2026-11-24T12:00.")
@click.option("--publication", metavar="N|draft", help="By this publication, or the files as they are now.")
@table_options
@home_and_json
def explain(
    sender: str,
    contract: str,
    logical_address: str,
    at: datetime | None,
    publication: str | None,
    platform: str,
    tables: tuple[Path, ...],
    hsa: tuple[Path, ...],
    home: str | None,
    as_json: bool,
) -> None:
    """Say where a call goes and whether it may, and why every other row lost."""
    from rivta.cli.route_output import print_explanation

    contracts = installed(home)
    namespace = namespace_of(contracts, contract)
    now = at or datetime.now(UTC)
    if tables:
        if publication:
            raise click.UsageError("--publication is of a running pair; it does not go together with --tables")
        from rivta.catalogue import decide
        from rivta.catalogue.as_json import explanation_json

        with opened(on_disk(platform, tables, hsa), contracts) as table:
            explanation = decide.explain(
                table, sender=sender, contract=namespace, logical_address=logical_address, now=now
            )
        found = explanation_json(explanation)
    else:
        params = {"sender": sender, "contract": namespace, "logical_address": logical_address}
        found = ask(home, platform, "/explain", {**params, "at": now.isoformat(), "publication": publication})
    if as_json:
        print_json(found)
    else:
        print_explanation(found, sender=sender, contract=namespace, logical_address=logical_address, now=now)


@command.command(epilog="Example: rivta route lint routing/national --hsa routing/hsa")
@click.argument("paths", nargs=-1, type=EXISTING, metavar="[PATH...]")
@click.option("--hsa", type=EXISTING, multiple=True, metavar="PATH", help="The HSA tree.  [default: beside PATH]")
@click.option(
    "--variable", "variables", multiple=True, metavar="NAME[=URL]", help="A ${NAME} that the configuration has."
)
@click.option(
    "--expiring-days",
    type=click.IntRange(0),
    default=30,
    show_default=True,
    help="Tell of rows that end within so long.",
)
@home_and_json
def lint(
    paths: tuple[Path, ...],
    hsa: tuple[Path, ...],
    variables: tuple[str, ...],
    expiring_days: int,
    home: str | None,
    as_json: bool,
) -> None:
    """Check tables for mistakes; ends with 1 when there are errors.

    PATH is a file, a folder of one platform's tables, or a folder with one folder for each platform: then also what
    the two say together is checked.
    [default: the tables of the pair, else those that come with the program]
    """
    from rivta.cli.route_output import print_report

    contracts = installed(home)
    known = known_variables(variables)
    with progress_bar("reading") as progress:
        looked_at = [
            _looked_at(files, contracts, known, expiring_days, progress)
            for files in to_check(paths or (default_tables(home),), hsa)
        ]
    found = _problems([one.report for one in looked_at], _between(looked_at))
    if as_json:
        print_json(found)
    else:
        print_report(found)
    if found["errors"]:
        raise click.exceptions.Exit(1)


_JOINING = (*route_preview.COMMANDS, *route_publish.COMMANDS, *route_exchange.COMMANDS, route_export.export)
for joining in (route_diff.diff, *_JOINING):
    command.add_command(joining)


@dataclass(frozen=True, slots=True)
class _LookedAt:
    """The tables of one platform and what is wrong with them."""

    files: Files
    reading: Reading
    tree: HsaTree
    report: Report


def _looked_at(
    files: Files,
    contracts: Contracts,
    variables: Mapping[str, str],
    expiring_days: int,
    progress: Callable[[int, int], None],
) -> _LookedAt:
    from dataclasses import replace

    from rivta.catalogue.checks.problems import Surroundings, namespaces_of
    from rivta.catalogue.lint import check

    reading, tree, problems = read_files(files, contracts, progress)
    own = (files.own_variable,) if files.own_variable else ()
    around = Surroundings(tree, variables, own, expiring_days=expiring_days, contracts=namespaces_of(contracts))
    report = check(reading, around, now=datetime.now(UTC))
    return _LookedAt(files, reading, tree, replace(report, errors=(*problems, *report.errors)))


def _between(looked_at: list[_LookedAt]) -> list[Problem]:
    """What is wrong between two platforms' tables, when both can be used and say who the other is."""
    from rivta.catalogue.across import PlatformTable
    from rivta.catalogue.checks import platforms
    from rivta.catalogue.lint import in_order, unaccepted
    from rivta.catalogue.sides import component_behind, opened_side

    if len(looked_at) != 2 or any(one.report.errors for one in looked_at):
        return []
    with ExitStack() as stack:
        tables = []
        for here, there in (looked_at, looked_at[::-1]):
            name, draft = here.files.own_variable or "", here.reading.draft
            hsa_id = component_behind(there.reading.draft, name)
            if hsa_id is None:
                return []
            side = stack.enter_context(opened_side(draft, here.tree))
            tables.append(PlatformTable(name, hsa_id, draft, side.table))
        found = list(platforms.warnings(tables[0], tables[1], now=datetime.now(UTC)))
    accepted = {**looked_at[0].reading.accepted, **looked_at[1].reading.accepted}
    return list(in_order(unaccepted(found, accepted)))


def _problems(reports: list[Report], between: list[Problem]) -> dict[str, list[dict[str, Any]]]:
    from rivta.catalogue.as_json import problem_json

    # The HSA tree belongs to all platforms; a mistake in it is one mistake.
    errors = dict.fromkeys(problem for report in reports for problem in report.errors)
    warnings = dict.fromkeys([*(problem for report in reports for problem in report.warnings), *between])
    return {
        "errors": [problem_json(problem) for problem in errors],
        "warnings": [problem_json(problem) for problem in warnings],
    }


def _rows(
    table: Table, *, logical_address: str | None, contract: str | None, consumer: str | None, limit: int
) -> dict[str, Any]:
    from rivta.catalogue.as_json import permission_json, route_json

    routes = table.routes(address=logical_address, contract=contract, limit=limit)
    permissions = table.permissions(address=logical_address, contract=contract, consumer=consumer, limit=limit)
    return {
        "routes": [route_json(route) for route in routes],
        "permissions": [permission_json(permission) for permission in permissions],
    }


def _running_rows(home: str | None, platform: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    routes = ask(home, platform, "/tables/routes", {**wanted, "consumer": None})
    return {
        "routes": routes["routes"],
        "permissions": ask(home, platform, "/tables/permissions", wanted)["permissions"],
    }
