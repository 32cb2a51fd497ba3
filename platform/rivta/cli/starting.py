"""How a start is shown: on the terminal, or over a pipe to the command that waits for a detached one."""

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

import click

from rivta.cli.options import home_option

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from rivta.run.assembly import Assembly
    from rivta.run.endpoints import Endpoints
    from rivta.run.home import Home

_MOST_ADDRESSES = 8
"""Of a stub producer, that are listed one by one."""


class TerminalReporter:
    """Shows the step as one changing line on stderr, when that is a terminal, and the result when ready."""

    def __init__(self, show: Callable[["Endpoints", str | None], None]) -> None:
        self._show = show
        self._line: Status | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console

            self._line = Console(stderr=True).status("starting")
            self._line.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._clear()

    def step(self, text: str) -> None:
        if self._line is not None:
            self._line.update(text)

    def ready(self, assembly: "Assembly", warning: str | None) -> None:
        self._clear()
        self._show(assembly.endpoints, warning)

    def _clear(self) -> None:
        if self._line is not None:
            self._line.stop()
            self._line = None


class PipeReporter:
    """Writes one JSON object a line for `follow`; goes on in silence when nobody reads any more."""

    def __init__(self, descriptor: int) -> None:
        self._pipe: IO[str] | None = os.fdopen(descriptor, "w", encoding="utf-8")

    def step(self, text: str) -> None:
        self._write({"step": text})

    def ready(self, assembly: "Assembly", warning: str | None) -> None:
        self._write({"ready": assembly.endpoints, "warning": warning})
        self._close()

    def failed(self, message: str, log_lines: Iterable[str]) -> None:
        """Why there is nothing running."""
        self._write({"failed": message, "log": list(log_lines)})
        self._close()

    def _write(self, line: dict[str, Any]) -> None:
        if self._pipe is None:
            return
        try:
            self._pipe.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._pipe.flush()
        except BrokenPipeError:
            self._close()

    def _close(self) -> None:
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                return


def follow(pipe: IO[str], reporter: TerminalReporter) -> tuple["Endpoints", str | None]:
    """What a detached start published and warned of. Raises ClickException when it failed."""
    for line in pipe:
        content = json.loads(line)
        if "step" in content:
            reporter.step(content["step"])
        elif "ready" in content:
            return content["ready"], content["warning"]
        else:
            show_log_lines(content["log"])
            raise click.ClickException(content["failed"])
    raise click.ClickException("the supervisor ended without a word: see log/supervisor.log in the home")


def show_log_lines(lines: Iterable[str]) -> None:
    """The last words of a process that failed, before the one line that says so."""
    for line in lines:
        click.echo(f"  | {line}", err=True)


def show_pair(endpoints: "Endpoints", home: "Home", warning: str | None, *, names: tuple[str, ...] = ()) -> None:
    """The table of addresses and identities, and what to try first."""
    from rich.console import Console

    console = Console(highlight=False)
    _print_block(console, ("platform", "HSA-id", "calls"), _platforms(endpoints))
    if endpoints["identities"]:
        _print_block(console, ("consumer", "HSA-id", "certificate; its key is beside it"), _consumers(endpoints))
        _print_block(console, ("stub producer", "address", "logical addresses"), _producers(endpoints))
        patients = [(patient["id"], patient["name"], patient["shows"]) for patient in endpoints["patients"]]
        _print_block(console, ("patient", "name", ""), patients)
    _print_lines(console, endpoints, home, warning, names)


def _print_block(console: "Console", headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Aligned columns. A URL or a path is there to be copied: it stands last, and the terminal may wrap the line."""
    from rich.text import Text

    lines = [headings, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for number, cells in enumerate(lines):
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        console.print(Text(line, style="" if number else "bold"), soft_wrap=True)
    console.print()


def _platforms(endpoints: "Endpoints") -> Iterator[tuple[str, ...]]:
    for name, platform in endpoints["platforms"].items():
        yield name, platform["id"], platform["https"]


def _consumers(endpoints: "Endpoints") -> Iterator[tuple[str, ...]]:
    for name, identity in endpoints["identities"].items():
        yield name, identity["hsa_id"], identity["cert"]


def _producers(endpoints: "Endpoints") -> Iterator[tuple[str, ...]]:
    for producer in endpoints["producers"]:
        first, *others = producer["logical_addresses"]
        if len(others) > _MOST_ADDRESSES:
            first, others = f"{first} to {others[-1]}", []
        yield producer["name"], producer["url"], first
        yield from (("", "", address) for address in others)


def _print_lines(
    console: "Console", endpoints: "Endpoints", home: "Home", warning: str | None, names: tuple[str, ...]
) -> None:
    lines = [f"CA to trust   {endpoints['ca']}", f"for programs  {home.endpoints_file}"]
    lines += [f"admin API     {platform['admin']} ({name})" for name, platform in endpoints["platforms"].items()]
    if names:
        lines.append(f"Other machines call this one as {', '.join(names)}, on the same ports.")
    if endpoints["producers"] and endpoints["patients"]:
        one, all_of_them = endpoints["producers"][0]["logical_addresses"][0], endpoints["aggregation_address"]
        patient = endpoints["patients"][0]["id"]
        lines += ["", "Try, for one source and for all of them:"]
        for address in filter(None, (one, all_of_them)):
            command = ["rivta", "call", "GetDiagnosis", *home_option(home), "--to", address, "--patient", patient]
            lines.append(shlex.join(command))
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    if warning:
        console.print(f"Warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    for line in _weakened(endpoints):
        console.print(line, style="red", markup=False, soft_wrap=True)


def _weakened(endpoints: "Endpoints") -> Iterator[str]:
    """One line for each protection that is switched off."""
    from rivta.router.deviations import weakened_by

    for name, platform in endpoints["platforms"].items():
        for switch in platform["insecure"]:
            yield f"INSECURE      {name}: insecure.{switch} is on. {weakened_by(switch)}"
