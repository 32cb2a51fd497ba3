"""`rivta status`: what runs in a home and how it is."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rivta.run.home import Home

_ANSWER_SECONDS = 5.0
_REASON = "Why it ended last"
_STATE_STYLES = {"ready": "green", "failed": "red", "restarting": "red"}


@click.command(epilog="Example: rivta status --json")
@click.option("--home", metavar="DIR", help="Folder of the pair [default: $RIVTA_HOME, or one of its own].")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(home: str | None, as_json: bool) -> None:
    """Show the processes of the pair, and what each platform says of itself."""
    from rivta.run.home import resolve

    folder = resolve(home)
    status = read_status(folder, now=datetime.now(UTC))
    if as_json:
        click.echo(json.dumps(status, ensure_ascii=False, indent=1))
    else:
        _show(status)


def read_status(home: "Home", *, now: datetime) -> dict[str, Any]:
    """The state of the pair, its roles, and the answers of its keepers; ClickException when none runs."""
    from rivta.run import lock

    state = _supervisor_state(home)
    if state is None or not lock.is_locked(home):
        raise click.ClickException(
            f"no pair runs in {home.folder}: start one with `rivta up --home {home.folder}`, "
            "or name another with --home"
        )
    killed = lock.supervisor_pid(home) is None
    return {
        "home": str(home.folder),
        "state": "supervisor killed, roles stopping" if killed else state["state"],
        "pid": state["pid"],
        "roles": [_role(role, now) for role in state["roles"]],
        "platforms": _platforms(home),
    }


def _supervisor_state(home: "Home") -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(home.state_file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{home.state_file} cannot be read: {error}") from error
    return content


def _role(role: dict[str, Any], now: datetime) -> dict[str, Any]:
    started = datetime.fromisoformat(role["started"]) if role["started"] and role["pid"] else None
    return {
        "name": role["name"],
        "pid": role["pid"],
        "state": role["state"],
        "uptime_s": round((now - started).total_seconds(), 1) if started else None,
        "rss_mb": _resident_mb(role["pid"]) if role["pid"] else None,
        "restarts": role["restarts"],
        "last_exit": role["last_exit"],
    }


def _resident_mb(pid: int) -> float | None:
    """Resident memory of a process; None when it has just gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024, 1)


def _platforms(home: "Home") -> dict[str, Any]:
    """Each keeper's own word, or why there is none. Empty until the pair is ready."""
    from rivta.run.home import HomeError

    try:
        names = list(home.endpoints()["platforms"])
    except HomeError:
        return {}
    return {name: _platform(home, name) for name in names}


def _platform(home: "Home", name: str) -> dict[str, Any]:
    from rivta.cli.admin import AdminClient

    try:
        answer = AdminClient(home, name, seconds=_ANSWER_SECONDS).get("/status")
    except click.ClickException as error:
        return {"error": error.format_message()}
    return answer if isinstance(answer, dict) else {"error": "/status did not answer with an object"}


def _show(status: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    console.print(f"{escape(status['home'])}: [bold]{escape(status['state'])}[/bold] (process {status['pid']})")
    console.print(_roles_table(status["roles"]))
    for name, platform in status["platforms"].items():
        console.print(f"[bold]{escape(name)}[/bold]")
        for key, value in platform.items():
            console.print(f"  {key}: {_plain(value)}", markup=False)


def _roles_table(roles: list[dict[str, Any]]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold cyan")
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "Role": lambda role: escape(role["name"]),
        "State": lambda role: f"[{_STATE_STYLES.get(role['state'], 'yellow')}]{role['state']}[/]",
        "Process": lambda role: _number(role["pid"]),
        "Up (s)": lambda role: _number(role["uptime_s"]),
        "Memory (MB)": lambda role: _number(role["rss_mb"]),
        "Restarts": lambda role: _number(role["restarts"] or None),
        _REASON: lambda role: escape(role["last_exit"] or ""),
    }
    for title in columns:
        table.add_column(title, no_wrap=title != _REASON)
    for role in roles:
        table.add_row(*(cell(role) for cell in columns.values()))
    return table


def _number(value: float | None) -> str:
    return "" if value is None else str(value)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
