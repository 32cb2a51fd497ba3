"""`rivta up`: the pair of platforms and its stub producers, in one command."""

import os
import sys
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rivta.cli.options import of_a_home, print_json

if TYPE_CHECKING:
    from rivta.run.assembly import Options, TrustedFile
    from rivta.run.endpoints import Endpoints
    from rivta.run.home import Home
    from rivta.run.pair import Reporter

_PROOF_SECONDS = 30.0
_UPKEEP_SECONDS = 600.0
"""How often the pair's certificates and revocation lists are looked at."""
_TABLES_SECONDS = 3.0
"""Time for edited tables to let the first call through, before it is left at a warning."""


class PortBase(click.ParamType[int | None]):
    """A number that leaves room for a block of ports, or `auto` (None)."""

    name = "N|auto"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        if value is None or value == "auto":
            return None
        try:
            number = int(str(value))
        except ValueError:
            self.fail(f"{value!r} is neither a number nor auto", param, ctx)
        if not 1 <= number <= 65436:
            self.fail(f"{number} leaves no room for 100 ports: use 1 to 65436, or auto", param, ctx)
        return number


class Trusted(click.ParamType["TrustedFile"]):
    """A trust file and, behind a colon, the file with its revocation lists, which may come later."""

    name = "FILE[:CRL]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> "TrustedFile":
        from rivta.run.assembly import TrustedFile

        file, _, crl = str(value).partition(":")
        if not Path(file).is_file():
            self.fail(f"{file} is not a file", param, ctx)
        return TrustedFile(Path(file).absolute(), Path(crl).absolute() if crl else None)


@click.command(epilog="Example: rivta up --detach --home /tmp/pair --port-base auto")
@of_a_home
@click.option(
    "--port-base", metavar="N|auto", type=PortBase(), default="20000", show_default=True, help="First of the 100 ports."
)
@click.option("--detach", is_flag=True, help="Return when the pair is ready, and leave it running.")
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Worker processes of each platform."
)
@click.option(
    "--tables",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Routing tables to work on: a folder with national/, regional/ and hsa/.",
)
@click.option(
    "--listen",
    metavar="ADDR",
    default="127.0.0.1",
    show_default=True,
    help="Address of this machine that others may call, or 0.0.0.0, or :: for IPv6 too.",
)
@click.option("--name", "names", metavar="HOST", multiple=True, help="Name of this machine, for the certificates.")
@click.option(
    "--trust",
    "trusted",
    metavar="FILE[:CRL]",
    type=Trusted(),
    multiple=True,
    help="PEM file with the CA of real systems, and the file with its revocation list.  [default: nothing is revoked]",
)
@click.option(
    "--keep-messages",
    is_flag=True,
    help="Keep requests and answers, with personal numbers, for `rivta record`: for test data only.",
)
@click.option("--json", "as_json", is_flag=True, help="Print endpoints.json when ready, not a table.")
@click.option("--report-fd", type=int, hidden=True)
def command(
    home: str | None,
    port_base: int | None,
    detach: bool,
    workers: int,
    tables: Path | None,
    listen: str,
    names: tuple[str, ...],
    trusted: "tuple[TrustedFile, ...]",
    keep_messages: bool,
    as_json: bool,
    report_fd: int | None,
) -> None:
    """Start the national and the regional platform with stub producers.

    The pair is ready when a call through both platforms was answered. It runs until Ctrl-C, or until `rivta down`.
    """
    from rivta.run.assembly import Options
    from rivta.run.home import resolve

    folder = resolve(home)
    folder.create()
    options = Options(
        port_base=port_base,
        workers=workers,
        tables=tables.absolute() if tables else None,
        listen=listen.strip("[]"),
        names=names,
        trusted=trusted,
        keep_messages=keep_messages,
    )
    if detach:
        _start_detached(folder, options, as_json=as_json)
    elif report_fd is not None:
        _run_detached(folder, options, report_fd)
    else:
        _run_in_foreground(folder, options, as_json=as_json)


def _run_in_foreground(home: "Home", options: "Options", *, as_json: bool) -> None:
    from rivta.cli.starting import TerminalReporter, show_log_lines
    from rivta.run.supervisor import RoleFailed

    def show(endpoints: "Endpoints", warning: str | None) -> None:
        _show(endpoints, home, warning, options.names, as_json=as_json)
        if not as_json:
            click.echo("\nCtrl-C stops the pair.")

    with TerminalReporter(show) as reporter, _logging(home, on_terminal=True):
        try:
            _run(home, options, reporter)
        except RoleFailed as error:
            show_log_lines(error.log_lines)
            raise


def _run_detached(home: "Home", options: "Options", report_fd: int) -> None:
    from rivta.cli.starting import PipeReporter

    reporter = PipeReporter(report_fd)
    with _logging(home, on_terminal=False):
        try:
            _run(home, options, reporter)
        except Exception as error:
            reporter.failed(str(error) or type(error).__name__, getattr(error, "log_lines", ()))
            raise


def _start_detached(home: "Home", options: "Options", *, as_json: bool) -> None:
    import subprocess

    from rivta.cli.starting import TerminalReporter, follow
    from rivta.run.assembly import child_environment
    from rivta.run.output import open_log

    read_from, write_to = os.pipe()
    output = open_log(home.log / "supervisor.log")
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "rivta", "up", *_arguments(home, options), f"--report-fd={write_to}"],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=child_environment(os.environ),
        pass_fds=(write_to,),
        start_new_session=True,
    )
    os.close(write_to)
    os.close(output)
    with os.fdopen(read_from, encoding="utf-8") as pipe, TerminalReporter(lambda *_: None) as reporter:
        try:
            endpoints, warning = follow(pipe, reporter)
        except BaseException:
            # Nothing may stay behind: a supervisor that failed ends by itself, one that was interrupted is told.
            if supervisor.poll() is None:
                supervisor.terminate()
            supervisor.wait()
            raise
    supervisor.returncode = 0  # it goes on without us
    _show(endpoints, home, warning, options.names, as_json=as_json)


def _arguments(home: "Home", options: "Options") -> list[str]:
    base = "auto" if options.port_base is None else str(options.port_base)
    arguments = ["--home", str(home.folder), "--port-base", base, "--workers", str(options.workers)]
    if options.tables is not None:
        arguments += ["--tables", str(options.tables)]
    arguments += ["--listen", options.listen]
    for name in options.names:
        arguments += ["--name", name]
    if options.keep_messages:
        arguments.append("--keep-messages")
    for one in options.trusted:
        arguments += ["--trust", f"{one.authorities}:{one.crl}" if one.crl else str(one.authorities)]
    return arguments


def _run(home: "Home", options: "Options", reporter: "Reporter") -> None:
    import asyncio

    from rivta.run import pair
    from rivta.run.assembly import assemble_pair, keep_certificates
    from rivta.run.chores import every
    from rivta.run.lock import lock_home

    with ExitStack() as closing:
        lock = lock_home(home)
        closing.callback(os.close, lock)
        assembly = assemble_pair(home, options, reporter.step)

        async def prove() -> str | None:
            return await _prove(assembly.endpoints, options.tables or home.routing)

        async def run() -> None:
            upkeep = asyncio.create_task(
                every(_UPKEEP_SECONDS, lambda: asyncio.to_thread(keep_certificates, home)), name="upkeep"
            )
            try:
                await pair.run(home, assembly, lock=lock, environment=os.environ, prove=prove, report=reporter)
            finally:
                upkeep.cancel()

        asyncio.run(run())


async def _prove(endpoints: "Endpoints", tables: Path) -> str | None:
    """A warning when the operator's own tables refuse the first call; NotAnswered for any other refusal."""
    from rivta.run.assembly import tables_are_ours
    from rivta.run.first_call import FirstCall, NotAnswered

    ours = tables_are_ours(tables)
    try:
        await FirstCall.through(endpoints).send_until_answered(
            seconds=_PROOF_SECONDS, tables_seconds=_PROOF_SECONDS if ours else _TABLES_SECONDS
        )
    except NotAnswered as error:
        if ours or not error.by_tables:
            raise
        return f"the tables in {tables} do not let the demo's first call through: {error}"
    return None


def _show(endpoints: "Endpoints", home: "Home", warning: str | None, names: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        print_json(endpoints)
        return
    from rivta.cli.starting import show_pair

    show_pair(endpoints, home, warning, names=names)


def _logging(home: "Home", *, on_terminal: bool) -> AbstractContextManager[None]:
    from rivta.run.output import supervisor_log

    return supervisor_log(home.log / "supervisor.log", on_terminal=on_terminal)
