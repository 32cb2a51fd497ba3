"""`rivta route publish`, `history`, `rollback`, `approve`, ...: what is in force, by whom, and from when."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rivta.cli.options import home_and_json, print_json
from rivta.cli.times import Time

if TYPE_CHECKING:
    from rivta.cli.admin import AdminClient

_Command = TypeVar("_Command", bound=Callable[..., Any])

_SHOWN_LINES = 60
_SECONDS = 120.0
"""A large table takes a while to read, check and compile."""
_CONFIRM = "--confirm-brought-back"


def _platform_option(command: _Command) -> _Command:
    help = "Whose tables.  [default: national]"
    return click.option("--platform", metavar="NAME", default="national", help=help)(command)


def _comment_option(command: _Command) -> _Command:
    return click.option("--comment", required=True, metavar="TEXT", help="Why; stands in the history.")(command)


@click.command(
    epilog='Example: rivta route publish --comment "Karolinska moves" --only platform.yaml',
)
@_comment_option
@click.option("--only", "files", multiple=True, metavar="FILE", help="Take this file of the draft; all others stay.")
@click.option("--at", type=Time(), help="In force from then on: 2026-12-01 or 2026-12-01T06:00, in Swedish time.")
@click.option(
    "--based-on", type=click.IntRange(1), metavar="N", help="The publication whose changes the files have too."
)
@click.option(_CONFIRM, "confirm", metavar="CODE", help="Bring back exactly what a rollback took away.")
@click.option("--allow-empty", is_flag=True, help="Also a table without any route or permission.")
@_platform_option
@home_and_json
def publish(
    comment: str,
    files: tuple[str, ...],
    at: datetime | None,
    based_on: int | None,
    confirm: str | None,
    allow_empty: bool,
    platform: str,
    home: str | None,
    as_json: bool,
) -> None:
    """Check the draft and put it in force as a publication.

    The author is whoever the token belongs to. Nothing is published when somebody else has published what the draft
    lacks, or when it would bring back what a rollback took away: both are listed. Where two must agree, it becomes a
    proposal for another to approve.
    """
    client = _client(home, platform)
    wish = {
        "comment": comment,
        "files": list(files) or None,
        "at": None if at is None else at.isoformat(),
        "confirm": confirm,
        "allow_empty": allow_empty or None,
    }
    headers = {} if based_on is None else {"If-Match": _etag(client, based_on)}
    _show_outcome(_asked_again(client, {k: v for k, v in wish.items() if v is not None}, headers), as_json=as_json)


@click.command(epilog="Example: rivta route history --platform regional")
@click.option("--audit", is_flag=True, help="Who did what to tables and tokens.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many.")
@_platform_option
@home_and_json
def history(audit: bool, limit: int, platform: str, home: str | None, as_json: bool) -> None:
    """Show the publications of a running platform, newest first."""
    from rivta.cli.route_output import print_history

    client = _client(home, platform)
    if audit:
        events = client.get("/tables/audit", {"limit": limit})
        _print(events, as_json, lambda: _print_events(events["events"]))
        return
    found = client.get("/tables/publications", {"limit": limit})
    _print(found, as_json, lambda: print_history(found["publications"]))


@click.command(epilog='Example: rivta route rollback 1 --comment "Back to where it worked"')
@click.argument("number", type=click.IntRange(1), metavar="N")
@_comment_option
@_platform_option
@home_and_json
def rollback(number: int, comment: str, platform: str, home: str | None, as_json: bool) -> None:
    """Publish publication N once more.

    The draft stays as it is and is not published by itself from then on, until somebody publishes it on purpose or
    resets it.
    """
    wish = {"publication": number, "comment": comment}
    answer = _client(home, platform).request("POST", "/tables/rollback", body=wish)
    _show_outcome(answer, as_json=as_json)


@click.command(epilog="Example: rivta route reset --yes")
@click.argument("number", type=click.IntRange(1), metavar="[N]", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@_platform_option
@home_and_json
def reset(number: int | None, yes: bool, platform: str, home: str | None, as_json: bool) -> None:
    """Make the files of the draft what publication N was made of.  [default: the one in force]

    What they were is kept in a folder that is told.
    """
    client = _client(home, platform)
    if not yes:
        what = "the publication in force" if number is None else f"publication {number}"
        click.confirm(f"Replace the draft of {platform} by the files of {what}?", abort=True, err=True)
    answer = client.request("POST", "/tables/reset", body={} if number is None else {"publication": number})
    kept = f"; what it was is kept in {answer['kept_in']}" if answer["kept_in"] else ", as it was already"
    _print(answer, as_json, lambda: click.echo(f"the draft is what publication {answer['publication']} was{kept}"))


@click.command(epilog="Example: rivta route proposals --json")
@click.option("--all", "everything", is_flag=True, help="Also those that are decided.")
@_platform_option
@home_and_json
def proposals(everything: bool, platform: str, home: str | None, as_json: bool) -> None:
    """Show what waits for an approval or for its time, and what was refused when that came."""
    client = _client(home, platform)
    if everything:
        found = client.get("/tables/proposals", {"all": 1})["proposals"]
    else:
        found = client.get("/tables/proposals")["proposals"] + client.get("/tables/scheduled")["scheduled"]
    _print({"proposals": found}, as_json, lambda: _print_proposals(found))


@click.command(epilog="Example: rivta route approve 1")
@click.argument("id", type=click.IntRange(1), metavar="ID")
@_platform_option
@home_and_json
def approve(id: int, platform: str, home: str | None, as_json: bool) -> None:
    """Approve a proposal that somebody else has made."""
    answer = _client(home, platform).request("POST", f"/tables/proposals/{id}/approve")
    _show_outcome(answer, as_json=as_json)


@click.command(epilog="Example: rivta route withdraw 1")
@click.argument("id", type=click.IntRange(1), metavar="ID")
@_platform_option
@home_and_json
def withdraw(id: int, platform: str, home: str | None, as_json: bool) -> None:
    """Withdraw a proposal, cancel a scheduled publication, or put away one that was refused."""
    answer = _client(home, platform).request("DELETE", f"/tables/proposals/{id}")
    _print(answer, as_json, lambda: click.echo(f"proposal {id} is withdrawn"))


COMMANDS = (publish, history, rollback, reset, proposals, approve, withdraw)
"""They join `rivta route`."""


def _asked_again(client: AdminClient, wish: dict[str, Any], headers: Mapping[str, str]) -> Any:
    """The answer to a wish to publish; somebody at a terminal is asked whether rolled back changes shall come back."""
    from rivta.cli.admin import Refused

    try:
        return client.request("POST", "/tables/publish", body=wish, headers=headers)
    except Refused as refused:
        _explain(refused.problem)
        code = refused.problem.get("confirm")
        if code is None:
            raise
        if not sys.stdin.isatty():
            click.echo(f"to bring back exactly these: {_CONFIRM} {code}", err=True)
            raise
        click.confirm("Bring back exactly these?", abort=True, err=True)
        return client.request("POST", "/tables/publish", body=wish | {"confirm": code}, headers=headers)


def _explain(problem: Mapping[str, Any]) -> None:
    """On standard error, what a refusal lists, changes as `rivta route diff` shows them."""
    from rich.console import Console

    from rivta.cli.route_diff_output import difference_lines

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for name, title in (("changed", "published by others since"), ("brought_back", "would come back")):
        listed = problem.get(name) or []
        if not listed:
            continue
        console.print(f"{title}:")
        lines = list(difference_lines(listed))
        for line in lines[:_SHOWN_LINES]:
            console.print(line)
        if len(lines) > _SHOWN_LINES or problem[f"{name}_count"] > len(listed):
            console.print(f"... of {problem[f'{name}_count']} changed rows: `rivta route diff` shows all")
    for mistake in problem.get("errors") or []:
        if isinstance(mistake, dict):
            where = f"{mistake['file']}:{mistake['line']}"
            click.echo(f"  {where}: {mistake['message']} [{mistake['rule']}]", err=True)


def _show_outcome(answer: Mapping[str, Any], *, as_json: bool) -> None:
    _print(answer, as_json, lambda: click.echo(_outcome(answer)))


def _outcome(answer: Mapping[str, Any]) -> str:
    made, waiting = answer["publication"], answer["proposal"]
    if waiting is not None and waiting["state"] == "scheduled":
        return f"proposal {waiting['id']} comes into force at {_time(waiting['scheduled_for'])} Swedish time"
    if waiting is not None:
        when = f", by {_time(waiting['expires'])} Swedish time" if waiting["expires"] else ""
        return f"proposal {waiting['id']} waits for somebody else: `rivta route approve {waiting['id']}`{when}"
    if not answer["made"]:
        return f"publication {made['number']} by {made['author']} is in force and says that already"
    rows = f"{made['routes']} routes, {made['permissions']} permissions"
    return f"publication {made['number']} by {made['author']} is in force: {rows}"


def _print(found: Any, as_json: bool, for_people: Callable[[], None]) -> None:
    if as_json:
        print_json(found)
    else:
        for_people()


def _print_events(events: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not events:
        click.echo("nothing has been done yet")
        return
    table = Table("time", "who", "did", "what", "detail", box=None, pad_edge=False)
    for one in events:
        cells = (_time(one["time"]), one["actor"], one["action"], one["subject"], one["detail"])
        table.add_row(*(Text(cell) for cell in cells))
    Console(highlight=False).print(table)


def _print_proposals(found: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not found:
        click.echo("nothing waits")
        return
    table = Table("id", "state", "author", "made", "for", "approver", "comment", box=None, pad_edge=False)
    for one in found:
        cells = (
            str(one["id"]),
            one["state"],
            one["author"],
            _time(one["time"]),
            _time(one["scheduled_for"]) if one["scheduled_for"] else "at once",
            one["approver"] or "-",
            one["comment"] + (f": {one['reason']}" if one["reason"] else ""),
        )
        table.add_row(*(Text(cell) for cell in cells))
    Console(highlight=False).print(table)


def _time(text: str) -> str:
    from rivta.catalogue.rows import SWEDISH_TIME

    return f"{datetime.fromisoformat(text).astimezone(SWEDISH_TIME):%Y-%m-%d %H:%M}"


def _etag(client: AdminClient, number: int) -> str:
    return f'"{client.get(f"/tables/publications/{number}")["digest"]}"'


def _client(home: str | None, platform: str) -> AdminClient:
    from rivta.cli.admin import AdminClient
    from rivta.run.home import resolve

    return AdminClient.of_platform(resolve(home), platform, seconds=_SECONDS)
