"""`rivta down`: stop what runs in a home."""

import json
import os
import signal

import click

from rivta.cli.options import home_and_json

_STOP_SECONDS = 90.0


@click.command(epilog="Example: rivta down --home /tmp/pair")
@home_and_json
def command(home: str | None, as_json: bool) -> None:
    """Stop the pair: its workers finish their calls, and everything is gone when this returns.

    Stopping what does not run is no error.
    """
    from rivta.run import lock
    from rivta.run.home import resolve

    folder = resolve(home)
    was_running = lock.is_locked(folder)
    if was_running:
        pid = lock.supervisor_pid(folder)
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
        if not lock.wait_until_free(folder, _STOP_SECONDS):
            raise click.ClickException(
                f"process {pid or 'of a killed supervisor'} in {folder.folder} still runs after {_STOP_SECONDS:g} s: "
                f"see {folder.log / 'supervisor.log'}"
            )
    for stale in (folder.endpoints_file, folder.state_file):
        stale.unlink(missing_ok=True)
    if as_json:
        click.echo(json.dumps({"home": str(folder.folder), "was_running": was_running}))
    else:
        click.echo(f"Stopped the pair in {folder.folder}." if was_running else f"No pair runs in {folder.folder}.")
