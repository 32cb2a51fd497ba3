"""`rivta stub`: see what the stub producers do and were asked, and make them misbehave."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from rivta.cli.options import home_and_json, print_json

if TYPE_CHECKING:
    from rivta.cli.admin import AdminClient

# Spelled here too, so that `rivta stub --help` does not import the stub producers; a test compares them.
BEHAVIOURS = (
    "normal",
    "slow",
    "fault",
    "empty",
    "invalid",
    "error",
    "close",
    "reset",
    "status",
    "truncated",
    "drip",
    "garbage",
    "charset",
    "wrong-contract",
    "oversized",
    "answer",
    "generated",
    "stopped",
    "expired-certificate",
    "wrong-certificate",
)
DISTRIBUTIONS = ("fixed", "uniform", "normal", "exponential")


@click.group(name="stub", epilog="Example: rivta stub set SE2321000016-KS fault --calls 1")
def command() -> None:
    """See and steer the stub producers.

    A stub producer answers each of its logical addresses as it is set to: normally, slowly, with a fault, ...
    """


@command.command(name="list", epilog="Example: rivta stub list --json", short_help="Show every logical address.")
@home_and_json
def list_(home: str | None, as_json: bool) -> None:
    """Show every logical address, what it is set to do, and how often it was called; and what else is set."""
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
    addresses = {one["logical_address"] for producer in answer["producers"] for one in producer["addresses"]}
    for rule in answer["rules"]:
        if rule["target"] not in addresses or rule["contract"] or rule["patient"]:
            click.echo(_told(rule))


@command.command(name="set", epilog="Example: rivta stub set SE2321000016-KS slow --seconds 2 --calls 3")
@click.argument("target")
@click.argument("behaviour", type=click.Choice(BEHAVIOURS))
@click.option("--seconds", type=click.FloatRange(min=0), help="Wait this long first.  [default: 35 for slow, else 0]")
@click.option("--spread", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait so much less or more.")
@click.option("--distribution", type=click.Choice(DISTRIBUTIONS), help="How waits are spread.  [default: uniform]")
@click.option("--contract", metavar="CONTRACT", help="For this contract only.")
@click.option("--patient", metavar="ID", help="For calls about this patient only.")
@click.option("--every", type=click.IntRange(min=1), metavar="N", help="In every N-th call only.")
@click.option("--percent", type=click.FloatRange(0, 100), help="In so many calls of a hundred, by chance.")
@click.option("--calls", type=click.IntRange(min=1), help="For this many calls only.")
@click.option("--lasts", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="For so long only.")
@click.option("--detail", metavar="TEXT", help="Detail of the SOAP fault.")
@click.option("--status", type=click.IntRange(200, 599), help="Of behaviour status.  [default: 503]")
@click.option("--over", type=click.FloatRange(min=0), metavar="SECONDS", help="How long drip takes.  [default: 60]")
@click.option("--size", type=click.IntRange(min=1), metavar="BYTES", help="Of oversized.  [default: 60 MB]")
@click.option(
    "--body", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE", help="The answer to give."
)
@click.option("--seed", type=click.IntRange(min=0), help="Of generated: the same answer for the same.")
@home_and_json
def set_(target: str, body: Path | None, home: str | None, as_json: bool, **fields: Any) -> None:
    """Make TARGET, a logical address, a producer's name or '*' for all, behave so, from the next call on.

    It ends with its --calls or --lasts, or by `rivta stub reset` or `clear`, which end waits too. Of several for
    a call, the one with a patient counts, then one with a contract, an address, a producer. A file for --body is XML in
    which ${patient}, ${logical_address}, ${caller}, ${header:NAME}, ${request:a/b}, ${now}, ${today} and ${uuid} are
    filled in from the request. stopped and the certificates are of a whole producer.
    """
    wish = {name: value for name, value in fields.items() if value is not None}
    if body is not None:
        wish["body"] = _text(body)
    _show(_client(home).request("PUT", _path(target), body=wish), as_json=as_json)


@command.command(epilog="Example: rivta stub reset SE2321000016-KS")
@click.argument("target")
@home_and_json
def reset(target: str, home: str | None, as_json: bool) -> None:
    """Make a logical address or a producer behave as it does from the start."""
    _show(_client(home).request("DELETE", _path(target)), as_json=as_json)


@command.command(epilog="Example: rivta stub clear")
@home_and_json
def clear(home: str | None, as_json: bool) -> None:
    """Take back everything that was set, and end every wait."""
    answer = _client(home).request("DELETE", "/stubs")
    if as_json:
        print_json(answer)
    else:
        count = answer["cleared"]
        click.echo(f"{count} setting{'' if count == 1 else 's'} taken back")


@command.command(epilog="Example: rivta stub calls --to SE2321000016-KS --limit 5")
@click.option("--to", "logical_address", metavar="ADDRESS", help="The logical address called.")
@click.option("--producer", metavar="NAME", help="The producer called.")
@click.option("--contract", metavar="NAMESPACE", help="The whole namespace.")
@click.option("--after", type=click.IntRange(min=0), metavar="NUMBER", help="Those that came after this one.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="The newest so many.")
@click.option("--messages", is_flag=True, help="With headers and messages, as the producer saw them.")
@click.option("--forget", is_flag=True, help="Forget all that was kept, instead.")
@home_and_json
def calls(messages: bool, forget: bool, home: str | None, as_json: bool, **filters: Any) -> None:
    """Show what the stub producers were sent, the oldest first. They keep the newest 1000, in memory only."""
    client = _client(home)
    if forget:
        answer = client.request("DELETE", "/received")
        if as_json:
            print_json(answer)
        else:
            click.echo(f"{answer['forgotten']} forgotten")
        return
    answer = client.get("/received", {**filters, "bodies": "1" if messages else None})
    if as_json:
        print_json(answer)
        return
    for call in answer["calls"]:
        _show_call(call, with_message=messages)


def _show_call(call: dict[str, Any], *, with_message: bool) -> None:
    from rivta.cli.terminal import harmless
    from rivta.soap.identifiers import short_name

    answered = "no answer" if call["status"] is None else f"HTTP {call['status']}"
    took = "" if call["seconds"] is None else f", {call['seconds'] * 1000:.0f} ms"
    line = (
        f"{call['number']}  {call['time'][11:23]}  {call['producer']}  {call['logical_address'] or '-'}  "
        f"{short_name(call['contract'])}  from {call['caller'] or '-'}  {call['behaviour']}, {answered}{took}"
    )
    click.echo(harmless(line))
    if with_message:
        click.echo(harmless(f"    {call['method']} {call['path']}"))
        for name, value in call["headers"]:
            click.echo(harmless(f"    {name}: {value}"))
        for text in call["body"].splitlines():
            click.echo(harmless(f"    {text}"))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file}: cannot be read as UTF-8: {error}") from error


def _show(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        click.echo(_told(answer))


def _told(answer: dict[str, Any]) -> str:
    """An address or a rule in a line."""
    from rivta.soap.identifiers import short_name

    if "logical_address" in answer:
        return f"{answer['logical_address']} ({answer['producer']}): {_described(answer)}"
    contract = f", {short_name(answer['contract'])}" if answer.get("contract") else ""
    patient = f", about {answer['patient']}" if answer.get("patient") else ""
    return f"{answer['target']}{contract}{patient}: {_described(answer)}"


def _described(one: dict[str, Any]) -> str:
    """A behaviour in words, as `slow, after 2 s, for 3 calls`."""
    parts = [one["behaviour"]]
    if one.get("seconds"):
        parts.append(f"after {one['seconds']:g} s")
    if one.get("every", 1) > 1:
        parts.append(f"every {one['every']}. call")
    if one.get("percent", 100) < 100:
        parts.append(f"in {one['percent']:g} % of the calls")
    if one.get("calls_left") is not None:
        parts.append("for 1 call" if one["calls_left"] == 1 else f"for {one['calls_left']} calls")
    if one.get("seconds_left") is not None:
        parts.append(f"for {one['seconds_left']:.0f} s more")
    return ", ".join(parts)


def _path(target: str) -> str:
    return f"/stubs/{quote(target, safe='')}"


def _client(home: str | None) -> AdminClient:
    from rivta.cli.admin import AdminClient
    from rivta.run.home import resolve

    return AdminClient.of_stubs(resolve(home))
