"""`rivta restart`: replace what runs by processes of today's program and settings, without a failed call."""

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import click

from rivta.cli.options import home_and_json, print_json

if TYPE_CHECKING:
    from rivta.run.home import Home

_HEARD_SECONDS = 5.0
_POLL_SECONDS = 0.1


@click.command(epilog="Example: rivta restart --workers")
@click.option("--workers", is_flag=True, help="Only the processes that carry calls, not the keepers.")
@home_and_json
def command(home: str | None, workers: bool, as_json: bool) -> None:
    """Replace the processes of the platforms, one after the other, and return when all are new.

    A worker's successor carries calls before the worker stops, so no call fails. A keeper stops first: publishing, the
    admin API and the platform's own services wait about a second. The new processes read the settings again; listeners,
    the platform's short name and the number of workers stay as they were. Stub producers go on.
    """
    from rivta.run import lock
    from rivta.run.home import resolve

    folder = resolve(home)
    pid = lock.supervisor_pid(folder)
    if pid is None:
        raise click.ClickException(f"no pair runs in {folder.folder}: start one with `rivta up --home {folder.folder}`")
    before = _restart(folder)
    if before["state"] == "under way":
        raise click.ClickException(f"a restart is under way in {folder.folder} already: see `rivta status`")
    os.kill(pid, signal.SIGUSR1 if workers else signal.SIGUSR2)
    done = _wait(folder, pid, before["number"])
    if done["state"] != "done":
        raise click.ClickException(f"the restart was given up: {done['message']}")
    restarted = done["message"].split(", ") if done["message"] else []
    if as_json:
        print_json({"home": str(folder.folder), "restarted": restarted})
    else:
        click.echo(f"Restarted {', '.join(restarted)}.")


def _wait(home: "Home", pid: int, number: int) -> dict[str, Any]:
    """What became of the restart after the one with `number`; ClickException when the supervisor does not begin it."""
    from rivta.run import lock

    deadline = time.monotonic() + _HEARD_SECONDS
    while True:
        found = _restart(home)
        if found["number"] > number and found["state"] != "under way":
            return found
        if lock.supervisor_pid(home) != pid:
            raise click.ClickException(f"the pair in {home.folder} was stopped meanwhile")
        if found["number"] == number and time.monotonic() > deadline:
            raise click.ClickException(f"process {pid} did not begin: see {home.log / 'supervisor.log'}")
        time.sleep(_POLL_SECONDS)


def _restart(home: "Home") -> dict[str, Any]:
    """What the supervisor says of the last restart."""
    try:
        state = json.loads(home.state_file.read_bytes())
    except FileNotFoundError:
        return {"number": 0, "state": "none", "message": ""}
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{home.state_file} cannot be read: {error}") from error
    found: dict[str, Any] = state["restart"]
    return found
