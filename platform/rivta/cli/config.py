"""`rivta config`: every key of a platform's settings file, and what is wrong with one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from rivta.cli import takeover
from rivta.cli.options import print_json, with_json

if TYPE_CHECKING:
    from rivta.run.settings import Key, Settings

_MANDATORY = "-"
"""As a default in `rivta.run.settings.Key`."""
_PROBLEM = "problem"
_COMMENT_WIDTH = 98
_INTRODUCTION = (
    "One TOML file, given to `rivta serve --config FILE`; `rivta up` writes one for each platform of the pair. It is",
    "read and checked once, when a process starts: an unknown key or a wrong value stops the start, and says which.",
    "`rivta config show` prints a file with every key, and `rivta config check FILE` says what is wrong with one.",
    "",
    "Relative paths are taken from the folder of the file. The last column names the property of the same meaning in",
    "VP. `<name>` stands for a name that you choose. This page is made by `rivta config show --markdown`.",
)

_INTRODUCTION_OF_DEVIATIONS = (
    "Consumers and producers of the incumbent router (VP, SKLTP's virtualiseringsplattform) should not notice the",
    "difference. This is the list of what they, or an operator, can notice: what VP does, what we do, and why. The",
    "comparison is with VP's source at 4.9. The last column names the key of the settings file that brings VP's way",
    'back; `compat = "vp"` is every `compat` key at once. A key of `insecure` weakens security: it is never part of',
    "`compat`, is printed at the start and stands in the platform's readiness. This page is made by `rivta config",
    "deviations --markdown`.",
)
_NOT_DEVIATIONS = (
    "Not deviations: the order of checks and so which fault wins, the texts of the faults, how addresses are matched",
    "and climbed, the traces in the log, which headers are filtered, that the URL and SOAPAction route nothing, that",
    "answers are labelled UTF-8.",
)


@click.group(name="config", epilog="Example: rivta config show > platform.toml")
def command() -> None:
    """Show every setting of a platform, check a settings file, and take one over from VP."""


command.add_command(takeover.command, "import")


@command.command(epilog="Example: rivta config show > platform.toml")
@click.option("--markdown", is_flag=True, help="As the page of the manual.")
@with_json
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
@click.option("--syntax", is_flag=True, help="Only the file itself, not what it names.")
@with_json
def check(file: Path, syntax: bool, as_json: bool) -> None:
    """Check a settings file, and what it names. Ends with 1 when a platform would not start from it.

    Every key that is unknown, missing or has a wrong value; then the certificate, its key and their time, the trusted
    authorities and their revocation lists, TLS targets, contracts, routing tables and HSA tree, the state folder and
    the ports; and which protections are off. The database is not opened, and nobody is called.
    """
    from rivta.run.settings import Settings, SettingsError

    try:
        settings = Settings.load(file)
    except SettingsError as error:
        if as_json:
            problems = [dataclasses.asdict(problem) for problem in error.problems]
            print_json({"valid": False, "problems": problems})
        else:
            click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from error
    checks = [] if syntax else _checked(settings)
    is_good = all(one["verdict"] != _PROBLEM for one in checks)
    if as_json:
        print_json({"valid": is_good, "problems": [], "checks": checks})
    else:
        for one in checks:
            click.echo(f"{one['verdict']:<8} {one['subject']}: {one['words']}")
        click.echo(f"{file}: {'valid' if is_good else 'a platform would not start from it'}")
    if not is_good:
        raise click.exceptions.Exit(1)


def _checked(settings: Settings) -> list[dict[str, str]]:
    from datetime import UTC, datetime

    from rivta.run.checking import check_platform

    return [
        {"subject": one.subject, "verdict": one.verdict.value, "words": one.words}
        for one in check_platform(settings, now=datetime.now(UTC))
    ]


@command.command(epilog="Example: rivta config deviations", short_help="Print every difference from VP.")
@click.option("--markdown", is_flag=True, help="As the page of the manual.")
@with_json
def deviations(markdown: bool, as_json: bool) -> None:
    """Print every difference from the incumbent router (VP), and the key that ends it."""
    from rivta.router.deviations import DEVIATIONS

    if as_json:
        print_json([dataclasses.asdict(one) | {"part": one.part.value} for one in DEVIATIONS])
    elif markdown:
        click.echo("\n".join(_deviations_as_markdown()))
    else:
        for one in DEVIATIONS:
            ended = f" [{one.switch}]" if one.switch else ""
            click.echo(f"{one.about}: {one.here} (VP: {one.incumbent}){ended}")


def _deviations_as_markdown() -> Iterator[str]:
    from rivta.router.deviations import DEVIATIONS

    yield "# Where we differ from VP"
    yield ""
    yield from _INTRODUCTION_OF_DEVIATIONS
    for part, ones in groupby(DEVIATIONS, key=lambda one: one.part):
        yield ""
        yield f"## {part.value}"
        yield ""
        yield "| | VP | Here | Why | VP's way back |"
        yield "|---|---|---|---|---|"
        for one in ones:
            switch = f"`{one.switch}`" if one.switch else ""
            yield "| " + " | ".join((one.about, one.incumbent, one.here, one.why, switch)) + " |"
    yield ""
    yield from _NOT_DEVIATIONS


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
