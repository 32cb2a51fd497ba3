"""`rivta serve`: one platform alone, from its settings file."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rivta.run.endpoints import Endpoints


@click.command(epilog="Example: rivta serve --config /etc/rivta/platform.toml")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Settings of the platform (TOML).",
)
@click.option("--home", metavar="DIR", help="Folder for logs and sockets.  [default: the platform's state folder]")
def command(config: Path, home: str | None) -> None:
    """Run one platform, its workers and its keeper, in the foreground. SIGTERM lets calls finish for up to 30 s."""
    import asyncio

    from rivta.cli.starting import TerminalReporter, show_log_lines, show_pair
    from rivta.run import pair
    from rivta.run.assembly import assemble_platform
    from rivta.run.home import resolve
    from rivta.run.lock import lock_home
    from rivta.run.output import supervisor_log
    from rivta.run.settings import Settings
    from rivta.run.supervisor import RoleFailed

    settings = Settings.load(config)
    folder = resolve(home or str(settings.platform.state))
    folder.create()

    def show(endpoints: "Endpoints", warning: str | None) -> None:
        kept = "call_log.payload is on: messages are kept, patient data among them"
        show_pair(endpoints, folder, warning or (kept if settings.call_log.payload else None))

    async def prove() -> str | None:
        """A platform alone has nobody to call: its roles' own word is all there is."""
        return None

    with ExitStack() as closing:
        reporter = closing.enter_context(TerminalReporter(show))
        closing.enter_context(supervisor_log(folder.log / "supervisor.log", on_terminal=True))
        lock = lock_home(folder)
        closing.callback(os.close, lock)
        assembly = assemble_platform(folder, config.absolute(), settings)
        try:
            asyncio.run(pair.run(folder, assembly, lock=lock, environment=os.environ, prove=prove, report=reporter))
        except RoleFailed as error:
            show_log_lines(error.log_lines)
            raise
