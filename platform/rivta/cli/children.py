"""The hidden commands that the supervisor starts its processes with."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivta.run.child import Child


def _child_options(command: "Callable[..., Any]") -> "Callable[..., Any]":
    for option in (
        click.option("--listen", multiple=True, metavar="NAME=FD", help="An open listening socket."),
        click.option("--ready-fd", type=int, help="Pipe to say on that this process serves."),
        click.option("--lifeline-fd", type=int, help="Pipe that closes when the supervisor dies."),
    ):
        command = option(command)
    return command


def _child(listen: tuple[str, ...], ready_fd: int | None, lifeline_fd: int | None) -> "Child":
    from rivta.run.child import Child

    try:
        return Child.from_options(listen=listen, ready_fd=ready_fd, lifeline_fd=lifeline_fd)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


_config = click.option("--config", type=click.Path(path_type=Path), required=True, help="Settings of the platform.")


@click.command(hidden=True)
@_config
@click.option("--index", type=int, required=True, help="Number of this worker, from 0.")
@_child_options
def worker(config: Path, index: int, listen: tuple[str, ...], ready_fd: int | None, lifeline_fd: int | None) -> None:
    """Route calls."""
    from rivta.run.worker import main

    main(config, index, _child(listen, ready_fd, lifeline_fd))


@click.command(hidden=True)
@_config
@_child_options
def keeper(config: Path, listen: tuple[str, ...], ready_fd: int | None, lifeline_fd: int | None) -> None:
    """Keep the state of a platform."""
    from rivta.run.keeper import main

    main(config, _child(listen, ready_fd, lifeline_fd))


@click.command(hidden=True)
@click.option("--config", type=click.Path(path_type=Path), required=True, help="What the console is told.")
@_child_options
def console(config: Path, listen: tuple[str, ...], ready_fd: int | None, lifeline_fd: int | None) -> None:
    """Serve the pages of the patient overview."""
    from rivta.run.console import main

    main(config, _child(listen, ready_fd, lifeline_fd))


@click.command(hidden=True)
@click.option("--home", required=True, help="Folder of the pair.")
@_child_options
def producers(home: str, listen: tuple[str, ...], ready_fd: int | None, lifeline_fd: int | None) -> None:
    """Stand in for journal systems."""
    from rivta.run.home import resolve
    from rivta.run.producers import main

    main(resolve(home), _child(listen, ready_fd, lifeline_fd))
