"""What most commands have: which pair is meant, and JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def home_and_json(command: _Command) -> _Command:
    """Gives the command `--home DIR` as `home` and `--json` as `as_json`."""
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")(command)
    return click.option("--home", metavar="DIR", help="Folder of the pair.")(command)


def print_json(value: object) -> None:
    """What `--json` prints."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))
