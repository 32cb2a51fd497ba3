"""`rivta config import`: a configuration of the incumbent router (VP) becomes a settings file of ours."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rivta.cli.options import print_json, with_json
from rivta.cli.terminal import harmless

if TYPE_CHECKING:
    from rivta.run.incumbent.result import Takeover

_SETTINGS = "platform.toml"
_RESOLUTION = "routing/resolution.yaml"
_HEADINGS = ("VP property", "value", "key here", "what is different, or what to do")
_LONGEST_VALUE = 60


@click.command(
    epilog="Example: rivta config import application.properties --out taken-over",
    short_help="Take over VP's configuration.",
)
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default="taken-over", show_default=True)
@click.option("--base", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder that VP ran in.")
@click.option("--set", "values", metavar="NAME=VALUE", multiple=True, help="A variable of VP's environment.")
@click.option("--compat", is_flag=True, help='Behave as VP on the wire: `compat = "vp"`.')
@click.option("--as-is", is_flag=True, help="Write what weakens security too, as comments.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@with_json
def command(
    files: tuple[Path, ...],
    out: Path,
    base: Path | None,
    values: tuple[str, ...],
    compat: bool,
    as_is: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Take over VP's configuration from its FILES (application.properties, and further ones that win over it).

    Reads the timeout and WSDL JSON, HSA files, certificates and PKCS#12 keystores that they name. Writes a settings
    file, and beside it the routing tables' own settings, the HSA files and PEM files; says of every property whether it
    was taken over, what is different, and what was left. `--base` is where relative paths begin, else the first file's
    folder.
    """
    from rivta.contracts.installed import Contracts
    from rivta.run.incumbent.properties import Properties
    from rivta.run.incumbent.takeover import take_over

    properties = Properties.load(*files, environment=dict(map(_pair, values)))
    shipped = [str(one.namespace) for one in Contracts.shipped()]
    made = take_over(properties, base=base or files[0].parent, shipped=shipped)
    written = _write(made, out, as_is=as_is, compat=compat, force=force)
    if as_json:
        print_json(_as_json(made, written))
    else:
        _show(made, written, as_is=as_is)


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise click.UsageError(f"--set {text}: write NAME=VALUE")
    return name, value


def _write(made: Takeover, out: Path, *, as_is: bool, compat: bool, force: bool) -> list[Path]:
    """Writes everything, or nothing when something is in the way."""
    from rivta.files import write_file

    made.set("tables.draft", "routing")
    made.set("tables.autopublish", value=True)
    contents = {
        **made.files,
        _RESOLUTION: _resolution(made.resolution).encode(),
        _SETTINGS: made.settings_text(as_is=as_is, compat=compat).encode(),
    }
    there = [name for name in contents if (out / name).exists()]
    if there and not force:
        raise click.ClickException(f"{out / there[0]} is there already: name another folder with --out, or use --force")
    for name, content in contents.items():
        (out / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(out / name, content, mode=0o600)
    return [out / name for name in contents]


def _resolution(values: dict[str, Any]) -> str:
    from yaml import safe_dump

    heading = "# How addresses are looked up, as VP had it. Put the rest of the tables beside this file.\n"
    return heading + str(safe_dump({"resolution": values}, allow_unicode=True, sort_keys=False, width=110))


def _as_json(made: Takeover, written: list[Path]) -> dict[str, Any]:
    findings = [dataclasses.asdict(one) | {"fate": one.fate.value} for one in made.findings]
    return {"files": [str(path) for path in written], "properties": findings, "insecure": made.insecure}


def _show(made: Takeover, written: list[Path], *, as_is: bool) -> None:
    from itertools import groupby

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200
    for fate, ones in groupby(made.findings, key=lambda one: one.fate):
        table = Table(*_HEADINGS, box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left")
        for one in ones:
            value = one.value if len(one.value) <= _LONGEST_VALUE else f"{one.value[:_LONGEST_VALUE]}..."
            table.add_row(*(Text(harmless(cell)) for cell in (one.property, value, one.key, one.remark)))
        console.print(Text(fate.value.capitalize(), style="bold"))
        console.print(table)
        console.print()
    if made.insecure:
        console.print(Text("Off in VP, and on here", style="bold"))
        for switch, why in made.insecure.items():
            console.print(Text(f"insecure.{switch}  {harmless(why)}"), soft_wrap=True)
        if not as_is:
            console.print(Text("`--as-is` writes these switches into the file, as comments."), soft_wrap=True)
        console.print()
    for path in written:
        console.print(Text(f"wrote {path}"), soft_wrap=True)
    console.print(Text(f"Then: rivta config check {written[-1]}"), soft_wrap=True)
