"""`rivta stub`: see what the stub producers do and were asked, and make them misbehave."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])
# Spelled here too, so that `rivta stub --help` does not import the stub producers; a test compares them.
BEHAVIOURS = ("normal", "slow", "fault", "empty", "invalid", "close")

_SECONDS = 10.0


def _common_options(command: _Command) -> _Command:
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")(command)
    return click.option("--home", metavar="DIR", help="Folder of the pair.")(command)


@click.group(name="stub", epilog="Example: rivta stub set SE2321000016-KS fault --calls 1")
def command() -> None:
    """See and steer the stub producers.

    A stub producer answers each of its logical addresses as it is set to: normally, slowly, with a fault, ...
    """


@command.command(name="list", epilog="Example: rivta stub list --json")
@_common_options
def list_(home: str | None, as_json: bool) -> None:
    """Show every logical address, what it is set to do, and how often it was called."""
    answer = _request(home, "GET", "/stubs")
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
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
@_common_options
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
    _show(_request(home, "PUT", _path(address), body), as_json=as_json)


@command.command(epilog="Example: rivta stub reset SE2321000016-KS")
@click.argument("address")
@_common_options
def reset(address: str, home: str | None, as_json: bool) -> None:
    """Make a logical address behave as it does from the start."""
    _show(_request(home, "DELETE", _path(address)), as_json=as_json)


def _show(address: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(address, ensure_ascii=False))
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


def _request(home: str | None, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """The answer of the stub producers' admin API; ClickException with its explanation when it refuses."""
    from urllib.error import HTTPError, URLError
    from urllib.request import ProxyHandler, Request, build_opener

    base, token = _door(home)
    request = Request(  # noqa: S310 - the URL is from our own endpoints.json
        f"{base}{path}",
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        # A proxy of the environment is not for the loopback.
        with build_opener(ProxyHandler({})).open(request, timeout=_SECONDS) as answer:
            return json.load(answer)
    except HTTPError as error:
        raise click.ClickException(_detail(error.read()) or f"{base}{path}: HTTP {error.code}") from error
    except (URLError, OSError, ValueError) as error:
        raise click.ClickException(f"the stub producers do not answer at {base}: see `rivta status`") from error


def _door(home: str | None) -> tuple[str, str]:
    from rivta.run.home import HomeError, resolve

    try:
        folder = resolve(home)
        base, token = folder.endpoints()["stubs"], folder.admin_token()
    except HomeError as error:
        raise click.ClickException(str(error)) from error
    if base is None:
        raise click.ClickException(f"no stub producers run in {folder.folder}: they belong to `rivta up`")
    return base, token


def _detail(problem: bytes) -> str:
    try:
        return str(json.loads(problem)["detail"])
    except (ValueError, KeyError, TypeError):
        return ""
