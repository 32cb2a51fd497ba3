"""`rivta route`: the routing tables, of a running pair or in files, and why a call goes where it goes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rivta.cli.contract import installed
from rivta.cli.options import home_and_json, print_json

if TYPE_CHECKING:
    from rivta.catalogue.files import Reading
    from rivta.catalogue.hsa import HsaTree
    from rivta.catalogue.lint import Report
    from rivta.catalogue.table import Table
    from rivta.contracts.installed import Contracts

_Command = TypeVar("_Command", bound=Callable[..., Any])

_SHARED_VARIABLES = ("national", "regional", "aggregation", "index", "catalogue", "monitoring")
"""Variables that `rivta up` sets, beside one for each stub producer."""


class Time(click.ParamType[datetime]):
    """A point in time: ISO 8601, in Swedish time where it names no zone; a day alone is its first moment."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        from rivta.catalogue.rows import SWEDISH_TIME

        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value) if len(value) > 10 else _first_moment(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=SWEDISH_TIME)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time: write 2026-11-24 or 2026-11-24T12:00, with an offset or in Swedish time")


class _ManyTables(click.Command):
    """`--tables A B C` means three tables, as it reads; click itself takes one value for each option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        spread: list[str] = []
        option = ""
        for argument in args:
            if argument.startswith("-"):
                option = argument if argument in ("--tables", "--hsa") else ""
                spread.append(argument)
            else:
                if option and spread[-1] != option:
                    spread.append(option)
                spread.append(argument)
        return super().parse_args(ctx, spread)


def _table_options(command: _Command) -> _Command:
    hsa_help = "With --tables: the HSA tree, a file or a folder.  [default: the folder hsa beside them]"
    command = click.option("--hsa", type=_EXISTING, multiple=True, metavar="PATH", help=hsa_help)(command)
    tables_help = "Look at these files or folders instead of a running pair."
    command = click.option("--tables", type=_EXISTING, multiple=True, metavar="PATH...", help=tables_help)(command)
    platform_help = "national, regional: whose tables.  [default: national]"
    return click.option("--platform", metavar="NAME", default="national", help=platform_help)(command)


_EXISTING = click.Path(exists=True, path_type=Path)


@click.group(name="route", epilog="Example: rivta route list --platform regional")
def command() -> None:
    """List, explain and check the routing tables.

    Without --tables, what the running pair has in force; with it, files, and no pair is needed.
    """


@command.command(name="list", cls=_ManyTables, epilog="Example: rivta route list --to SE2321000016-KS")
@click.option("--to", "logical_address", metavar="ADDRESS", help="Only rows of this very address.")
@click.option("--contract", metavar="CONTRACT", help="Only rows for this contract.")
@click.option("--consumer", metavar="HSA-ID", help="Only permissions of this consumer.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="At most so many of each kind.")
@_table_options
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
        wanted["contract"] = _namespace(installed(home), wanted["contract"])
    if tables:
        with _opened(_on_disk(platform, tables, hsa), installed(home)) as table:
            found = _rows(table, **wanted)
    else:
        found = _running_rows(home, platform, wanted)
    if as_json:
        print_json(found)
    else:
        print_rows(found)


@command.command(
    cls=_ManyTables,
    epilog="Example: rivta route explain --from SE165565594230-NPO --contract GetDiagnosis --to SE2321000016-KS",
)
@click.option("--from", "sender", required=True, metavar="SENDER", help="HSA-id of the system that calls.")
@click.option(
    "--contract", required=True, metavar="CONTRACT", help="GetDiagnosis, GetDiagnosis:2 or a whole namespace."
)
@click.option("--to", "logical_address", required=True, metavar="ADDRESS", help="The logical address called.")
@click.option("--at", type=Time(), help="At this time instead of now: 2026-11-24 or 2026-11-24T12:00.")
@click.option("--publication", metavar="N|draft", help="By this publication, or the files as they are now.")
@_table_options
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
    namespace = _namespace(contracts, contract)
    now = at or datetime.now(UTC)
    if tables:
        if publication:
            raise click.UsageError("--publication is of a running pair; it does not go together with --tables")
        from rivta.catalogue import decide
        from rivta.catalogue.as_json import explanation_json

        with _opened(_on_disk(platform, tables, hsa), contracts) as table:
            explanation = decide.explain(
                table, sender=sender, contract=namespace, logical_address=logical_address, now=now
            )
        found = explanation_json(explanation)
    else:
        params = {"sender": sender, "contract": namespace, "logical_address": logical_address}
        found = _ask(home, platform, "/explain", {**params, "at": now.isoformat(), "publication": publication})
    if as_json:
        print_json(found)
    else:
        print_explanation(found, sender=sender, contract=namespace, logical_address=logical_address, now=now)


@command.command(epilog="Example: rivta route lint routing/national --hsa routing/hsa")
@click.argument("paths", nargs=-1, type=_EXISTING, metavar="[PATH...]")
@click.option("--hsa", type=_EXISTING, multiple=True, metavar="PATH", help="The HSA tree.  [default: beside PATH]")
@click.option(
    "--variable", "variables", multiple=True, metavar="NAME[=URL]", help="A ${NAME} that the configuration has."
)
@home_and_json
def lint(
    paths: tuple[Path, ...], hsa: tuple[Path, ...], variables: tuple[str, ...], home: str | None, as_json: bool
) -> None:
    """Check tables for mistakes; ends with 1 when there are errors.

    PATH is a file, a folder of one platform's tables, or a folder with one folder for each platform.
    [default: the tables of the pair, else those that come with the program]
    """
    from rivta.cli.route_output import print_report

    contracts = installed(home)
    known = _known_variables(variables)
    reports = [_checked(files, contracts, known) for files in _to_check(paths or (_default_tables(home),), hsa)]
    found = _problems(reports)
    if as_json:
        print_json(found)
    else:
        print_report(found)
    if found["errors"]:
        raise click.exceptions.Exit(1)


@command.command(epilog="Example: rivta route history --platform regional")
@click.option("--platform", metavar="NAME", default="national", help="Whose.  [default: national]")
@home_and_json
def history(platform: str, home: str | None, as_json: bool) -> None:
    """Show the publications of a running platform, newest first."""
    from rivta.cli.route_output import print_history

    found = _ask(home, platform, "/tables/publications")
    if as_json:
        print_json(found)
    else:
        print_history(found["publications"])


@dataclass(frozen=True, slots=True)
class _Files:
    """Tables of one platform on disk."""

    tables: tuple[Path, ...]
    hsa: tuple[Path, ...]
    own_variable: str | None = None
    """Name of the variable that is the platform's own address, where the folder tells whose tables they are."""


def _on_disk(platform: str, tables: tuple[Path, ...], hsa: tuple[Path, ...]) -> _Files:
    """The tables meant: a folder with a folder for each platform stands for that of `platform`."""
    narrowed = tuple(path / platform if (path / platform).is_dir() else path for path in tables)
    return _Files(narrowed, hsa or _hsa_beside(narrowed), platform)


def _to_check(paths: tuple[Path, ...], hsa: tuple[Path, ...]) -> list[_Files]:
    if len(paths) == 1 and (folders := _platform_folders(paths[0])):
        return [_Files((folder,), hsa or _hsa_beside((folder,)), folder.name) for folder in folders]
    own = paths[0].name if len(paths) == 1 else None
    return [_Files(paths, hsa or _hsa_beside(paths), own if own in ("national", "regional") else None)]


def _platform_folders(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    return [path / name for name in ("national", "regional") if (path / name).is_dir()]


def _hsa_beside(tables: tuple[Path, ...]) -> tuple[Path, ...]:
    for path in tables:
        folder = (path if path.is_dir() else path.parent).absolute().parent / "hsa"
        if folder.is_dir():
            return (folder,)
    return ()


def _default_tables(home: str | None) -> Path:
    from rivta import shipped
    from rivta.run.home import resolve

    working_copy = resolve(home).routing
    return working_copy if working_copy.is_dir() else shipped.folder("routing")


def _read(files: _Files, contracts: Contracts) -> tuple[Reading, HsaTree, tuple[Any, ...]]:
    from rivta.catalogue.files import read_draft
    from rivta.catalogue.hsa import read_hsa

    tree, problems = read_hsa(*files.hsa)
    return read_draft(*files.tables, contracts=contracts), tree, problems


def _checked(files: _Files, contracts: Contracts, variables: Mapping[str, str]) -> Report:
    from dataclasses import replace

    from rivta.catalogue.lint import Surroundings, check

    reading, tree, problems = _read(files, contracts)
    own = (files.own_variable,) if files.own_variable else ()
    report = check(reading, Surroundings(tree, variables, own), now=datetime.now(UTC))
    return replace(report, errors=(*problems, *report.errors))


def _problems(reports: list[Report]) -> dict[str, list[dict[str, Any]]]:
    from rivta.catalogue.as_json import problem_json

    # The HSA tree belongs to all platforms; a mistake in it is one mistake.
    errors = dict.fromkeys(problem for report in reports for problem in report.errors)
    warnings = dict.fromkeys(problem for report in reports for problem in report.warnings)
    return {
        "errors": [problem_json(problem) for problem in errors],
        "warnings": [problem_json(problem) for problem in warnings],
    }


@contextmanager
def _opened(files: _Files, contracts: Contracts) -> Iterator[Table]:
    """The files compiled as they are, with `${name}` in URLs left as it stands; ClickException when they are broken."""
    from rivta.catalogue import content
    from rivta.catalogue.compile import VARIABLE, UncompilableTable, compile_table
    from rivta.catalogue.table import Table

    reading, tree, problems = _read(files, contracts)
    broken = (*problems, *reading.problems)
    if broken:
        more = f" (and {len(broken) - 1} more: `rivta route lint` lists them)" if len(broken) > 1 else ""
        raise click.ClickException(f"{broken[0]}{more}")
    names = {name for row in reading.draft.producer_addresses for name in VARIABLE.findall(row.url)}
    unresolved = {name: f"${{{name}}}" for name in names}
    with tempfile.TemporaryDirectory(prefix="rivta-") as folder:
        try:
            path = compile_table(content.encode(reading.draft), hsa=tree, variables=unresolved, folder=Path(folder))
        except UncompilableTable as error:
            raise click.ClickException(f"{error}; `rivta route lint` lists everything that is wrong") from error
        table = Table.open(path)
        try:
            yield table
        finally:
            table.close()


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
    routes = _ask(home, platform, "/tables/routes", {**wanted, "consumer": None})
    return {
        "routes": routes["routes"],
        "permissions": _ask(home, platform, "/tables/permissions", wanted)["permissions"],
    }


def _ask(home: str | None, platform: str, path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    from rivta.cli.admin import AdminClient
    from rivta.run.home import resolve

    answer: dict[str, Any] = AdminClient.of_platform(resolve(home), platform).get(path, params)
    return answer


def _namespace(contracts: Contracts, text: str) -> str:
    if text.startswith("urn:"):
        return text
    try:
        return str(contracts.find(text).namespace)
    except LookupError as error:
        raise click.ClickException(str(error)) from error


def _known_variables(given: tuple[str, ...]) -> dict[str, str]:
    """The variables tables may use: those of `rivta up`, with an address that leads nowhere, and those given."""
    from producers_stub.world import World

    names = (*_SHARED_VARIABLES, *(producer.name for producer in World.load().producers))
    known = {name: f"https://{name}.invalid/" for name in names}
    for text in given:
        name, _, url = text.partition("=")
        known[name] = url or f"https://{name}.invalid/"
    return known


def _first_moment(text: str) -> datetime:
    return datetime.combine(date.fromisoformat(text), time())
