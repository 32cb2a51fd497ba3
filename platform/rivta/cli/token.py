"""`rivta token`: who may use the admin API, and for what."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import click

from rivta.cli.options import home_and_json, print_json
from rivta.cli.times import Time

if TYPE_CHECKING:
    from rivta.cli.admin import AdminClient

_Command = TypeVar("_Command", bound=Callable[..., Any])

# Spelled here too, so that `rivta token --help` does not import the admin API; a test compares them.
ROLES = ("reader", "editor", "publisher", "admin", "viewer")


def _platform_option(command: _Command) -> _Command:
    help = "Whose admin API.  [default: national]"
    return click.option("--platform", metavar="NAME", default="national", help=help)(command)


@click.group(name="token", epilog="Example: rivta token create kim --role publisher --expires 2027-06-30")
def command() -> None:
    """Give and take the tokens of the admin API.

    Commands show the token in the environment variable RIVTA_TOKEN, else that in the pair's admin.token. What somebody
    does with a token is done in its name.
    """


@command.command(name="list", epilog="Example: rivta token list --json")
@_platform_option
@home_and_json
def list_(platform: str, home: str | None, as_json: bool) -> None:
    """Show every token: whose, what it is good for, until when, and when it was last used."""
    found = _client(home, platform).get("/tokens")
    if as_json:
        print_json(found)
    else:
        _print_tokens(found["tokens"])


@command.command(epilog="Example: rivta token create kim --role publisher --expires 2027-06-30")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    required=True,
    help="Each may all that those before it may; viewer is the patient overview's alone.",
)
@click.option("--expires", type=Time(), help="Opens nothing from then on: 2027-06-30.  [default: never]")
@_platform_option
@home_and_json
def create(name: str, role: str, expires: datetime | None, platform: str, home: str | None, as_json: bool) -> None:
    """Make a token for NAME and print it: it is told this once, and kept as a hash only."""
    wish = {"name": name, "role": role} | ({} if expires is None else {"expires": expires.isoformat()})
    made = _client(home, platform).request("POST", "/tokens", body=wish)
    if as_json:
        print_json(made)
    else:
        click.echo(made["token"])


@command.command(epilog="Example: rivta token create robin --role reader && rivta token revoke robin")
@click.argument("name", metavar="NAME|ID")
@_platform_option
@home_and_json
def revoke(name: str, platform: str, home: str | None, as_json: bool) -> None:
    """Take away the tokens of NAME, or the one with an id; they open nothing within a second."""
    done = _client(home, platform).request("DELETE", f"/tokens/{quote(name, safe='')}")
    if as_json:
        print_json(done)
    else:
        told = ", ".join(f"token {one['id']} of {one['name']} ({one['role']})" for one in done["revoked"])
        click.echo(f"revoked {told}")


def _print_tokens(tokens: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not tokens:
        click.echo("no token but that of the token file")
        return
    table = Table("id", "name", "role", "made", "by", "expires", "last used", "revoked", box=None, pad_edge=False)
    for one in tokens:
        moments = (one["expires"], one["last_used"], one["revoked"])
        cells = (str(one["id"]), one["name"], one["role"], _time(one["created"]), one["created_by"])
        table.add_row(*(Text(cell) for cell in (*cells, *(_time(at) for at in moments))))
    Console(highlight=False).print(table)


def _time(text: str | None) -> str:
    from rivta.catalogue.rows import SWEDISH_TIME

    return "-" if text is None else f"{datetime.fromisoformat(text).astimezone(SWEDISH_TIME):%Y-%m-%d %H:%M}"


def _client(home: str | None, platform: str) -> AdminClient:
    from rivta.cli.admin import AdminClient
    from rivta.run.home import resolve

    return AdminClient.of_platform(resolve(home), platform)
