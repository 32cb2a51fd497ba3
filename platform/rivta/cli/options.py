"""What most commands have: which pair is meant, and JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rivta.cli.terminal import harmless_json

if TYPE_CHECKING:
    from rivta.contracts.domain import Contract
    from rivta.run.home import Home

_Command = TypeVar("_Command", bound=Callable[..., Any])


def of_a_home(command: _Command) -> _Command:
    """Gives the command `--home DIR` as `home`."""
    help = "Folder of the pair.  [default: $RIVTA_HOME, or one of its own]"
    return click.option("--home", metavar="DIR", help=help)(command)


def with_json(command: _Command) -> _Command:
    """Gives the command `--json` as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")(command)


def home_and_json(command: _Command) -> _Command:
    """Gives the command both."""
    return of_a_home(with_json(command))


def home_option(home: Home) -> list[str]:
    """`--home` for a command to paste, where without it another pair would be meant."""
    from rivta.run.home import HomeError, resolve

    try:
        is_meant = resolve(None).folder == home.folder
    except HomeError:
        is_meant = False
    return [] if is_meant else ["--home", str(home.folder)]


def find_contract(home: Home, text: str) -> Contract:
    """The contract that a person means: `GetDiagnosis`, `GetDiagnosis:2` or a namespace. Raises UsageError."""
    from rivta.contracts.installed import Contracts, UnknownContract

    try:
        return Contracts.shipped(home.contracts).find(text)
    except UnknownContract as error:
        raise click.UsageError(str(error)) from error


def print_json(value: object) -> None:
    """What `--json` prints."""
    click.echo(harmless_json(json.dumps(value, ensure_ascii=False, indent=2)))
