"""`rivta import`: test cases of other tools made into ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rivta.cli.options import print_json, with_json

if TYPE_CHECKING:
    from rivta.testing.soapui_import import Imported, LeftOut


@click.group(name="import", epilog="Example: rivta import soapui project.xml --out imported")
def command() -> None:
    """Make test cases of other tools into cases for `rivta replay`."""


@command.command(
    epilog="Example: rivta import soapui project.xml --out imported", short_help="Convert a SoapUI project."
)
@click.argument("project", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="A new folder for the cases."
)
@with_json
def soapui(project: Path, out: Path, as_json: bool) -> int:
    """Convert a SoapUI project: every step that sends a message becomes a case, with the assertions that have an equal.

    Properties become variables. Scripts are not run: they are kept as comments, and counted as not converted. Exit code
    1 when there is no step that sends a message.
    """
    from rivta.testing.case_writing import write_case
    from rivta.testing.soapui import ProjectRefused, read_project
    from rivta.testing.soapui_import import convert

    if out.exists() and any(out.iterdir()):
        raise click.UsageError(f"--out {out}: is not empty: name a new folder")
    try:
        imported, left_out = convert(read_project(project))
    except ProjectRefused as error:
        raise click.ClickException(str(error)) from error
    try:
        for one in imported:
            write_case(one.new, out / one.folder)
    except OSError as error:
        raise click.ClickException(f"{error.filename or out}: {error.strerror}") from error
    if as_json:
        print_json(_json(imported, left_out))
    else:
        _print(imported, left_out, out)
    return 0 if imported else 1


def _json(imported: list[Imported], left_out: list[LeftOut]) -> dict[str, Any]:
    return {
        "cases": [
            {
                "suite": one.suite,
                "case": one.case,
                "step": one.step,
                "folder": one.folder,
                "converted": one.converted,
                "not_converted": one.not_converted,
            }
            for one in imported
        ],
        "left_out": [{"what": one.what, "reason": one.reason} for one in left_out],
    }


def _print(imported: list[Imported], left_out: list[LeftOut], out: Path) -> None:
    from rivta.cli.terminal import harmless

    for one in imported:
        click.echo(harmless(f"{one.folder}: {_count(len(one.converted), 'assertion')} converted"))
        for reason in one.not_converted:
            click.echo(harmless(f"    not converted: {' '.join(reason.split())}"))
    for left in left_out:
        click.echo(harmless(f"left out: {left.what}: {left.reason}"))
    converted = sum(len(one.converted) for one in imported)
    lost = sum(len(one.not_converted) for one in imported)
    told = f"{_count(len(imported), 'case')} in {out}, {_count(converted, 'assertion')} converted; "
    click.echo(f"{told}not converted: {lost} within cases, {_count(len(left_out), 'step')} and scripts outside them")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
