"""`rivta route preview`, `reach` and `unused`: what a table would change for callers, and who can call whom."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rivta.cli.contract import installed
from rivta.cli.options import home_and_json, print_json
from rivta.cli.progress import progress_bar
from rivta.cli.route_sources import (
    Given,
    ManyTables,
    ask,
    ask_patiently,
    files_table,
    given_table,
    is_of_running_pair,
    namespace_of,
    read_tree,
    table_options,
)
from rivta.cli.times import Time

if TYPE_CHECKING:
    from rivta.catalogue.preview import Side
    from rivta.contracts.installed import Contracts

_CALLS = 10_000


@click.command(cls=ManyTables, epilog="Example: rivta route preview")
@click.option(
    "--base", metavar="N|PATH", help="Compared with this: a publication, or tables in files.  [default: in force]"
)
@click.option("--publication", metavar="N|draft", help="What is looked at.  [default: draft]")
@click.option("--at", type=Time(), help="From this time on, instead of now: 2026-12-01 or 2026-12-01T06:00.")
@click.option(
    "--calls", type=click.IntRange(1), default=_CALLS, show_default=True, help="Recorded calls to try, the newest."
)
@click.option(
    "--with", "other", metavar="NAME|PATH", help="The other platform, or its tables: what does not arrive there?"
)
@click.option("--parts", is_flag=True, help="List addresses of two parts (A#B) too, instead of their number.")
@table_options
@home_and_json
def preview(
    base: str | None,
    publication: str | None,
    at: datetime | None,
    calls: int,
    other: str | None,
    parts: bool,
    platform: str,
    tables: tuple[Path, ...],
    hsa: tuple[Path, ...],
    home: str | None,
    as_json: bool,
) -> None:
    """Show what a table would change for callers, before it is published.

    Every consumer, contract and address whose calls would be lost, ambiguous, rerouted or gained, now or at any later
    time at which a row begins or ends; and how many of the calls that were made would end in another way. The address
    … stands for every one that no row names.

    What is looked at is the draft, or --tables; with --hsa alone, the table in force with another HSA tree.
    """
    from rivta.cli.route_preview_output import print_preview

    if tables and publication:
        raise click.UsageError("--publication is of a running pair; it does not go together with --tables")
    if not tables and not hsa and other is None and is_of_running_pair(base):
        params = {"base": base, "publication": publication, "at": at.isoformat() if at else None, "calls": calls}
        found = ask_patiently(home, platform, "/tables/preview", params)
    else:
        contracts = installed(home)
        wanted = (None if hsa and not publication else publication or "draft", tables, hsa)
        before, after = _both(base, wanted, platform=platform, home=home, contracts=contracts)
        now = at or datetime.now(UTC)
        found = _previewed(before, after, now, calls, platform if is_of_running_pair(base) else None, home)
        if other is not None:
            beyond = _other(other, home, contracts)
            found["across"] = _across(_Named(platform, after), _Named(_name_of(other), beyond), now)
    if as_json:
        print_json(found)
    else:
        print_preview(found, parts=parts)


@click.command(epilog="Example: rivta route reach SE2321000016-KS")
@click.argument("unit", metavar="UNIT")
@click.option("--contract", metavar="CONTRACT", help="With this contract alone.")
@click.option("--consumer", metavar="HSA-ID", help="This consumer alone.")
@click.option("--at", type=Time(), help="At this time instead of now: 2026-11-24 or 2026-11-24T12:00.")
@click.option("--publication", metavar="N|draft", help="By this publication, or the files as they are now.")
@click.option("--platform", metavar="NAME", default="national", help="Whose tables.  [default: national]")
@home_and_json
def reach(
    unit: str,
    contract: str | None,
    consumer: str | None,
    at: datetime | None,
    publication: str | None,
    platform: str,
    home: str | None,
    as_json: bool,
) -> None:
    """Show who can reach an address, with which contracts, by which rows and since when.

    UNIT is a logical address or a unit of the HSA tree.
    """
    from rivta.cli.route_preview_output import print_reach

    params = {
        "logical_address": unit,
        "contract": namespace_of(installed(home), contract) if contract else None,
        "consumer": consumer,
        "at": at.isoformat() if at else None,
        "publication": publication,
    }
    found = ask_patiently(home, platform, "/tables/reach", params)
    if as_json:
        print_json(found)
    else:
        print_reach(found)


@click.command(epilog="Example: rivta route unused --months 6")
@click.option("--months", type=click.IntRange(1, 120), default=6, show_default=True, help="For how long.")
@click.option("--platform", metavar="NAME", default="national", help="Whose tables.  [default: national]")
@home_and_json
def unused(months: int, platform: str, home: str | None, as_json: bool) -> None:
    """Show permissions that no call has needed for some months, by the call log.

    Younger ones are left out, and so are those that end before. Where the call log does not reach so far back, it is
    said from when it does.
    """
    from rivta.cli.route_preview_output import print_unused

    found = ask_patiently(home, platform, "/tables/unused", {"months": months})
    if as_json:
        print_json(found)
    else:
        print_unused(found)


COMMANDS = (preview, reach, unused)


class _Named:
    """A table with the name of its platform."""

    def __init__(self, name: str, given: Given) -> None:
        self.name, self.given = name, given


def _both(
    base: str | None,
    wanted: tuple[str | None, tuple[Path, ...], tuple[Path, ...]],
    *,
    platform: str,
    home: str | None,
    contracts: Contracts,
) -> tuple[Given, Given]:
    """The two tables to compare. Where the HSA tree is not given, both go with that of the base."""
    from dataclasses import replace

    publication, tables, hsa = wanted
    before = given_table(base, platform=platform, home=home, contracts=contracts)
    if tables:
        after = files_table(tables, platform=platform, contracts=contracts, hsa=hsa)
        is_bare = not after.tree.units and not hsa
        return before, replace(after, tree=before.tree) if is_bare else after
    if publication is None:
        return before, replace(before, tree=read_tree(hsa), label=f"{before.label} with {', '.join(map(str, hsa))}")
    after = given_table(publication, platform=platform, home=home, contracts=contracts, hsa=hsa)
    return before, after


def _previewed(
    before: Given, after: Given, now: datetime, calls: int, platform: str | None, home: str | None
) -> dict[str, Any]:
    """The preview made here; with the calls of the running platform of that name."""
    from rivta.catalogue.effects_json import preview_json
    from rivta.catalogue.preview import preview as look_ahead
    from rivta.catalogue.sides import opened_side

    with ExitStack() as stack:
        sides = [stack.enter_context(opened_side(one.draft, one.tree)) for one in (before, after)]
        progress = stack.enter_context(progress_bar("deciding"))
        found = preview_json(
            look_ahead(sides[0], sides[1], now=now, progress=progress), before=before.label, after=after.label
        )
        if platform is not None:
            counted = ask(home, platform, "/calls/counts", {"newest": calls})
            found["traffic"] = _traffic(sides[0], sides[1], counted, now)
    return found


def _traffic(before: Side, after: Side, counted: dict[str, Any], now: datetime) -> dict[str, Any]:
    from rivta.catalogue.effects_json import traffic_json
    from rivta.catalogue.preview import Calls, preview_calls

    names = ("sender", "contract", "logical_address", "calls")
    made = [Calls(*(one[name] for name in names)) for one in counted["counts"]]
    since = datetime.fromisoformat(counted["since"]) if counted["since"] else None
    effects = preview_calls(before.table, after.table, made, now=now)
    return traffic_json(effects, calls=sum(one.number for one in made), since=since)


def _other(text: str, home: str | None, contracts: Contracts) -> Given:
    """The other platform's draft: of the running one of that name, or of a folder that is called so."""
    if Path(text).exists():
        return given_table(text, platform=_name_of(text), home=home, contracts=contracts)
    return given_table("draft", platform=text, home=home, contracts=contracts)


def _name_of(text: str) -> str:
    path = Path(text)
    return path.resolve().name if path.is_dir() else path.resolve().parent.name if path.exists() else text


def _across(one: _Named, other: _Named, now: datetime) -> dict[str, Any]:
    from rivta.catalogue.across import PlatformTable, loops, missing
    from rivta.catalogue.effects_json import across_json
    from rivta.catalogue.sides import component_behind, opened_side

    with ExitStack() as stack:
        tables = []
        for here, there in ((one, other), (other, one)):
            hsa_id = here.given.hsa_id or component_behind(there.given.draft, here.name)
            if hsa_id is None:
                missing_url = f"no producer address has the url ${{{here.name}}}, which would tell who that platform is"
                raise click.ClickException(f"{there.given.label}: {missing_url}")
            side = stack.enter_context(opened_side(here.given.draft, here.given.tree))
            tables.append(PlatformTable(here.name, hsa_id, here.given.draft, side.table))
        return across_json(missing(*tables, now=now), loops(*tables, now=now))
