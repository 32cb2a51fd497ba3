"""The command `rivta`: finds the command that is meant, and turns every error into one line.

The modules of the commands are imported only when they are used, so that `rivta --help` is quick.
"""

import importlib
import sys
import traceback
from dataclasses import dataclass
from typing import Any, NoReturn

import click

import rivta

_TRACEBACK = "--traceback"
_INTERRUPTED = 130
"""Exit code after Ctrl-C, as a shell gives it."""


@dataclass(frozen=True, slots=True)
class Lazy:
    """A command that is not imported yet."""

    target: str
    """`module:attribute` of a click command."""
    help: str
    """One line for the list of commands; empty hides it."""


COMMANDS = {
    "up": Lazy("rivta.cli.up:command", "Start the pair of platforms with its stub producers."),
    "down": Lazy("rivta.cli.down:command", "Stop the pair."),
    "status": Lazy("rivta.cli.status:command", "Show what runs and how it is."),
    "restart": Lazy("rivta.cli.restart:command", "Replace what runs, without a failed call."),
    "serve": Lazy("rivta.cli.serve:command", "Run one platform from its settings file."),
    "call": Lazy("rivta.cli.call:command", "Call a contract through a platform."),
    "route": Lazy("rivta.cli.route:command", "List, explain and check the routing tables."),
    "index": Lazy("rivta.cli.index:command", "Ask, change and watch the engagement index."),
    "why": Lazy("rivta.cli.why:command", "Say why a patient's data does not show."),
    "contract": Lazy("rivta.cli.contract:command", "Show, install and compare contracts, and check messages."),
    "connect": Lazy("rivta.cli.connect:command", "Check an endpoint of your own before it is connected."),
    "cert": Lazy("rivta.cli.cert:command", "Issue and revoke certificates of the development CA."),
    "record": Lazy("rivta.cli.record:command", "Make calls of the call log into test cases."),
    "replay": Lazy("rivta.cli.replay:command", "Send test cases, and check and report the answers."),
    "dry-run": Lazy("rivta.cli.dry_run:command", "Decide calls that were made by another table."),
    "import": Lazy("rivta.cli.import_:command", "Make test cases of other tools (SoapUI) into ours."),
    "log": Lazy("rivta.cli.log:command", "Search the call log; verify and follow up the access log."),
    "config": Lazy("rivta.cli.config:command", "Show settings, check a settings file, take one over from VP."),
    "stub": Lazy("rivta.cli.stub:command", "See and steer the stub producers."),
    "token": Lazy("rivta.cli.token:command", "Give and take the tokens of the admin API."),
    "bench": Lazy("rivta.cli.bench:command", "Measure this machine, beside a plain proxy."),
    "worker": Lazy("rivta.cli.children:worker", ""),
    "keeper": Lazy("rivta.cli.children:keeper", ""),
    "producers": Lazy("rivta.cli.children:producers", ""),
    "console": Lazy("rivta.cli.children:console", ""),
}


class _LazyGroup(click.Group):
    """A group whose commands are looked up in `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, lazy in COMMANDS.items() if lazy.help]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        lazy = COMMANDS.get(cmd_name)
        if lazy is None:
            return None
        module, _, attribute = lazy.target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in self.list_commands(ctx)])


@click.group(
    cls=_LazyGroup,
    help="The Swedish service platform (RIV-TA) on one machine.",
    epilog="Example: rivta up --detach && rivta call GetDiagnosis --to SE2321000016-KS --patient 191212121212",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(rivta.__version__, prog_name="rivta")
@click.option(_TRACEBACK, is_flag=True, help="Show where in the program an error arose; anywhere on the line.")
def group(traceback: bool) -> None:
    """The root of all commands. `--traceback` stands here for its help: `main` takes it out, wherever it is."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line; exit code 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted."""
    given = sys.argv[1:] if arguments is None else arguments
    _make_output_safe()
    wanted = [argument for argument in given if argument != _TRACEBACK]
    sys.exit(_run(wanted, show_traceback=len(wanted) < len(given)))


def _run(arguments: list[str], *, show_traceback: bool) -> int:
    try:
        result: Any = group.main(arguments, prog_name="rivta", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        return _INTERRUPTED
    except click.UsageError as error:
        return _refuse(_usage(error), exit_code=2)
    except click.ClickException as error:
        if show_traceback:
            traceback.print_exc()
        return _refuse(error.format_message(), exit_code=error.exit_code)
    except Exception as error:  # noqa: BLE001 - the rim, where every error becomes a line for a person
        if show_traceback:
            traceback.print_exc()
        return _refuse(_message(error, show_traceback=show_traceback), exit_code=1)
    return result if isinstance(result, int) else 0


def _refuse(message: str, *, exit_code: int) -> int:
    from rivta.cli.terminal import harmless_lines

    click.echo(f"rivta: {harmless_lines(message)}", err=True)
    return exit_code


def _usage(error: click.UsageError) -> str:
    command = error.ctx.command_path if error.ctx else "rivta"
    return f"{error.format_message().rstrip('.')} (see `{command} --help`)"


def _message(error: Exception, *, show_traceback: bool) -> str:
    """One line. Our own exceptions are written for people; any other is a surprise, and says so."""
    text = str(error)
    if type(error).__module__.partition(".")[0] in ("rivta", "producers_stub") and text:
        return text
    hint = "" if show_traceback else "; run `rivta --traceback ...` to see where"
    return f"unexpected {type(error).__name__}: {text.splitlines()[0] if text else 'no details'}{hint}"


def _make_output_safe() -> None:
    """Swedish letters and table lines must come out whatever the locale is.

    What scripts read is UTF-8; a terminal keeps its own encoding, and shows a question mark for what that lacks.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is None:
            continue
        if stream.isatty():
            reconfigure(errors="replace")
        else:
            reconfigure(encoding="utf-8")
