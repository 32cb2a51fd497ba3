"""`rivta config`: every key of a platform's settings file, and what is wrong with one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from rivta.cli.options import print_json

if TYPE_CHECKING:
    from rivta.run.settings import Key

_MANDATORY = "-"
"""As a default in `rivta.run.settings.Key`."""
_COMMENT_WIDTH = 98
_INTRODUCTION = (
    "One TOML file, given to `rivta serve --config FILE`; `rivta up` writes one for each platform of the pair. It is",
    "read and checked once, when a process starts: an unknown key or a wrong value stops the start, and says which.",
    "`rivta config show` prints a file with every key, and `rivta config check FILE` says what is wrong with one.",
    "",
    "Relative paths are taken from the folder of the file. The last column names the property of the same meaning in",
    "VP. `<name>` stands for a name that you choose. This page is made by `rivta config show --markdown`.",
)


@click.group(name="config", epilog="Example: rivta config show > platform.toml")
def command() -> None:
    """Show every setting of a platform, and check a settings file."""


@command.command(epilog="Example: rivta config show > platform.toml")
@click.option("--markdown", is_flag=True, help="As the page of the manual.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
def show(markdown: bool, as_json: bool) -> None:
    """Print a settings file with every key and what it means.

    A key that stands behind `#` is mandatory, or has no value unless it is given one.
    """
    from rivta.run.settings import keys

    known = list(keys())
    if as_json:
        print_json([dataclasses.asdict(key) for key in known])
    else:
        click.echo("\n".join(_as_markdown(known) if markdown else _as_toml(known)))


@command.command(epilog="Example: rivta config check platform.toml")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
def check(file: Path, as_json: bool) -> None:
    """Check a settings file: every key that is unknown, missing or has a wrong value. Ends with 1 when there are any.

    It does not look at what the file names: certificates, tables and the database are opened at the start.
    """
    from rivta.run.settings import Settings, SettingsError

    try:
        Settings.load(file)
    except SettingsError as error:
        if as_json:
            problems = [dataclasses.asdict(problem) for problem in error.problems]
            print_json({"valid": False, "problems": problems})
        else:
            click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from error
    if as_json:
        print_json({"valid": True, "problems": []})
    else:
        click.echo(f"{file}: valid")


def _sections(known: Sequence[Key]) -> Iterator[tuple[str, list[Key]]]:
    """The keys of each table of the file, those of none first: so TOML wants it."""

    def section(key: Key) -> str:
        return key.path.rpartition(".")[0]

    for name, keys in groupby(sorted(known, key=lambda key: section(key) != ""), key=section):
        yield name, list(keys)


def _as_toml(known: Sequence[Key]) -> Iterator[str]:
    """A settings file that has every default, with what each key means above it."""
    yield "# Settings of one platform. Relative paths are taken from the folder of this file."
    for section, keys in _sections(known):
        yield ""
        if section:
            table = section.replace("<name>", '"<name>"')
            yield f"# [{table}]" if "<name>" in section else f"[{table}]"
        for key in keys:
            yield from (f"# {line}" for line in wrap(_explained(key), _COMMENT_WIDTH))
            yield _assignment(key)


def _assignment(key: Key) -> str:
    name = key.path.rpartition(".")[2]
    if key.default == _MANDATORY:
        return f"# {name} ="
    if not key.default or "<name>" in key.path:
        return f"# {name} = {key.default}".rstrip()
    return f"{name} = {key.default}"


def _explained(key: Key) -> str:
    unit = f" Unit: {key.unit}." if key.unit else ""
    mandatory = " Mandatory." if key.default == _MANDATORY else ""
    vp = f" VP: {key.vp}." if key.vp else ""
    return f"{key.description}{unit}{mandatory}{vp}"


def _as_markdown(known: Sequence[Key]) -> Iterator[str]:
    """The page of the manual; `tests/test_docs.py` compares it with the page that is there."""
    yield "# Settings of a platform"
    yield ""
    yield from _INTRODUCTION
    for section, keys in _sections(known):
        yield ""
        yield f"## `{section}`" if section else "## Above all sections"
        yield ""
        yield "| Key | Default | Unit | Meaning | VP |"
        yield "|---|---|---|---|---|"
        for key in keys:
            default = "mandatory" if key.default == _MANDATORY else f"`{key.default}`" if key.default else ""
            vp = f"`{key.vp}`" if key.vp else ""
            name = key.path.rpartition(".")[2]
            cells = (f"`{name}`", default, key.unit, key.description.replace("|", "\\|"), vp)
            yield "| " + " | ".join(cells) + " |"
