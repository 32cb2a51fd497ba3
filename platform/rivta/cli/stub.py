"""`rivta stub`: see what the stub producers do and were asked, and make them misbehave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from rivta.cli.options import home_and_json, print_json

if TYPE_CHECKING:
    from rivta.cli.admin import AdminClient

# Spelled here too, so that `rivta stub --help` does not import the stub producers; a test compares them.
BEHAVIOURS = ("normal", "slow", "fault", "empty", "invalid", "error", "close")


@click.group(name="stub", epilog="Example: rivta stub set SE2321000016-KS fault --calls 1")
def command() -> None:
    """See and steer the stub producers.

    A stub producer answers each of its logical addresses as it is set to: normally, slowly, with a fault, ...
    """


@command.command(name="list", epilog="Example: rivta stub list --json", short_help="Show every logical address.")
@home_and_json
def list_(home: str | None, as_json: bool) -> None:
    """Show every logical address, what it is set to do, and how often it was called."""
    answer = _client(home).get("/stubs")
    if as_json:
        print_json(answer)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("producer", "logical address", "behaviour", "calls", box=None, pad_edge=False)
    for producer in answer["producers"]:
        for address in producer["addresses"]:
            table.add_row(producer["name"], address["logical_address"], _described(address), str(address["calls"]))
    Console().print(table)


@command.command(name="set", epilog="Example: rivta stub set SE2321000016-KS slow --seconds 2 --calls 3")
@click.argument("address")
@click.argument("behaviour", type=click.Choice(BEHAVIOURS))
@click.option("--seconds", type=click.FloatRange(min=0), help="Wait this long first.  [default: 35 for slow, else 0]")
@click.option("--detail", metavar="TEXT", help="Detail of the SOAP fault.")
@click.option("--calls", type=click.IntRange(min=1), help="For this many calls only.")
@home_and_json
def set_(
    address: str,
    behaviour: str,
    seconds: float | None,
    detail: str | None,
    calls: int | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Make a logical address behave so, from the next call on."""
    body = {"behaviour": behaviour, "seconds": seconds, "detail": detail, "calls": calls}
    _show(_client(home).request("PUT", _path(address), body=body), as_json=as_json)


@command.command(epilog="Example: rivta stub reset SE2321000016-KS")
@click.argument("address")
@home_and_json
def reset(address: str, home: str | None, as_json: bool) -> None:
    """Make a logical address behave as it does from the start."""
    _show(_client(home).request("DELETE", _path(address)), as_json=as_json)


def _show(address: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(address)
    else:
        click.echo(f"{address['logical_address']} ({address['producer']}): {_described(address)}")


def _described(address: dict[str, Any]) -> str:
    """The behaviour of an address in words, as `slow, after 2 s, for 3 calls`."""
    parts = [address["behaviour"]]
    if address["seconds"]:
        parts.append(f"after {address['seconds']:g} s")
    if address["calls_left"] is not None:
        parts.append("for 1 call" if address["calls_left"] == 1 else f"for {address['calls_left']} calls")
    return ", ".join(parts)


def _path(address: str) -> str:
    return f"/stubs/{quote(address, safe='')}"


def _client(home: str | None) -> AdminClient:
    from rivta.cli.admin import AdminClient
    from rivta.run.home import resolve

    return AdminClient.of_stubs(resolve(home))
