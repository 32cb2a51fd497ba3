"""`rivta status`: what runs in a home and how it is."""

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rivta.cli.options import home_and_json, print_json

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from rivta.run.home import Home

_ANSWER_SECONDS = 5.0
_NUMBERS = ("pid", "up", "memory", "restarts")
"""Columns that are aligned at their ends."""
_STATE_STYLES = {"ready": "green", "failed": "red", "restarting": "red"}


@click.command(epilog="Example: rivta status --json")
@home_and_json
def command(home: str | None, as_json: bool) -> None:
    """Show the processes of the pair, and what each platform says of itself."""
    from rivta.run.home import resolve

    folder = resolve(home)
    status = read_status(folder, now=datetime.now(UTC))
    if as_json:
        print_json(status)
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
        "announcements": _announcements(home),
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
        answer = AdminClient.of_platform(home, name, seconds=_ANSWER_SECONDS).get("/status")
    except click.ClickException as error:
        return {"error": error.format_message()}
    return answer if isinstance(answer, dict) else {"error": "/status did not answer with an object"}


def _announcements(home: "Home") -> dict[str, Any] | None:
    """What the stub producers have announced to the indexes; None where there are none, or they do not answer."""
    from rivta.cli.admin import AdminClient

    try:
        answer = AdminClient.of_stubs(home, seconds=_ANSWER_SECONDS).get("/announcements")
    except click.ClickException:
        return None
    return answer if isinstance(answer, dict) else None


def _show(status: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    heading = Text.assemble(f"{status['home']}: ", _state(status["state"]), f" (process {status['pid']})")
    console.print(heading, soft_wrap=True)
    console.print()
    console.print(_roles_table(status["roles"]))
    for name, platform in status["platforms"].items():
        console.print()
        for line in _platform_lines(name, platform):
            console.print(line, soft_wrap=True)
    waiting = [one for one in (status["announcements"] or {}).get("announcements", ()) if not one["taken"]]
    if waiting:
        console.print()
    for one in waiting:
        why = one["problem"] or "not sent yet"
        told = f"{one['producer']} has not been able to announce its records to the {one['platform']} index: {why}"
        console.print(Text(told, style="red"), soft_wrap=True)


def _roles_table(roles: list[dict[str, Any]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    columns: dict[str, Callable[[dict[str, Any]], str | Text]] = {
        "process": lambda role: Text(role["name"]),
        "state": lambda role: _state(role["state"]),
        "pid": lambda role: _number(role["pid"]),
        "up": lambda role: "" if role["uptime_s"] is None else _duration(role["uptime_s"]),
        "memory": lambda role: "" if role["rss_mb"] is None else f"{role['rss_mb']:.0f} MB",
        "restarts": lambda role: _number(role["restarts"] or None),
        "why it ended last": lambda role: Text(role["last_exit"] or ""),
    }
    if not any(role["restarts"] or role["last_exit"] for role in roles):
        columns = dict(list(columns.items())[:-2])
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in columns:
        table.add_column(title, no_wrap=title != "why it ended last", justify="right" if title in _NUMBERS else "left")
    for role in roles:
        table.add_row(*(cell(role) for cell in columns.values()))
    return table


def _platform_lines(name: str, platform: dict[str, Any]) -> Iterator["Text"]:
    """What a keeper says of its platform, a line a subject; what is wrong in red."""
    from rich.text import Text

    if "error" in platform:
        yield Text.assemble((name, "bold"), "  ", (str(platform["error"]), "red"))
        return
    yield Text.assemble((name, "bold"), f"  {platform['title'] or platform['name']}, {platform['hsa_id']}")
    subjects = {
        "calls": (platform["https"], None),
        "table": _table_words(platform["table"]),
        "draft": _draft_words(platform["draft"]),
        **_waiting_words(platform.get("waiting") or {}),
        **_database_words(platform.get("database") or {}),
        "call log": _call_log_words(platform["call_log"]),
    }
    contracts = platform.get("contracts", {})
    if contracts.get("problem"):
        subjects["contracts"] = (_counted(contracts["known"], "contract"), contracts["problem"])
    for subject, (words, problem) in subjects.items():
        yield Text(f"  {subject:<10}{words}")
        if problem:
            yield Text(f"  {'':<10}{problem}", style="red")
    for pid, worker in platform["workers"].items():
        yield Text(f"  worker    {pid}: {_counted(worker['calls'], 'call')}, {worker['in_flight']} under way")
    if platform.get("payload"):
        yield Text("  payload   messages are kept, patient data among them (call_log.payload)", style="red")
    for switch in platform["insecure"]:
        yield Text.assemble("  insecure  ", (str(switch), "red"))


def _table_words(table: dict[str, Any] | None) -> tuple[str, str | None]:
    if table is None:
        return "none", "no table has ever been published: no call can be carried"
    rows = f"{_counted(table['routes'], 'route')}, {_counted(table['permissions'], 'permission')}"
    tree = f", HSA tree {table['hsa_version']}" if table["hsa_version"] is not None else ""
    return f"publication {table['publication']}{_published_words(table)}{tree}: {rows}", table["problem"]


def _published_words(table: dict[str, Any]) -> str:
    if table.get("age_s") is None:
        return ""
    return f", by {table['author']} {_duration(max(0, table['age_s']))} ago ({table['comment']})"


def _waiting_words(waiting: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    """What waits for an approval or for its time; what was refused in red."""
    told = [
        f"proposal {one['id']} by {one['author']} {words}"
        for state, words in (("proposed", "for an approval"), ("scheduled", "for its time"))
        for one in waiting.get(state) or []
    ]
    refused = [f"proposal {one['id']} was refused: {one['reason']}" for one in waiting.get("refused") or []]
    return {"waiting": ("; ".join(told) or "nothing", "; ".join(refused) or None)} if told or refused else {}


def _database_words(database: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    if not database.get("problem"):
        return {}
    told = f"last answered at {database['told']}" if database["told"] else "has not answered since the start"
    return {"database": (told, database["problem"])}


def _draft_words(draft: dict[str, Any]) -> tuple[str, str | None]:
    if not draft["folder"]:
        return "none: publications only", draft["problem"]
    published = "each valid save is published" if draft["autopublish"] else "not published by itself"
    if draft.get("diverged"):
        published = "diverged since a rollback: not published by itself until it is published on purpose, or reset"
    found = [_counted(draft[f"{kind}s"], kind) for kind in ("error", "warning") if draft[f"{kind}s"]]
    lint = f", {', '.join(found)} (`rivta route lint`)" if found else ""
    return f"{draft['folder']}, {published}{lint}", draft["problem"]


def _call_log_words(call_log: dict[str, Any]) -> tuple[str, str | None]:
    missing = f", {_counted(call_log['gaps'], 'gap')}" if call_log["gaps"] else ""
    return f"{_counted(call_log['collected'], 'call')} since the start{missing}", call_log["problem"]


def _state(state: str) -> "Text":
    from rich.text import Text

    return Text(state, style=_STATE_STYLES.get(state, "yellow"))


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _duration(seconds: float) -> str:
    """A span of time in its two largest units."""
    whole = int(seconds)
    for size, unit, smaller, smaller_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {smaller_unit}"
    return f"{whole} s"


def _number(value: float | None) -> str:
    return "" if value is None else str(value)
