"""The command `rivta` itself: quick, quiet about its insides, and safe with Swedish letters."""

import importlib
import os
import subprocess
import sys

import click
import pytest

import rivta
from rivta.cli import main as module
from rivta.cli.main import COMMANDS, main
from rivta.run.assembly import child_environment
from tests.support import run_rivta

HEAVY = {
    "pydantic",
    "rich",
    "lxml",
    "aiohttp",
    "sqlalchemy",
    "spyne",
    "cryptography",
    "requests",
    "asyncio",
    "yaml",
    "ssl",
}


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    shown = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, shown.out, shown.err


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> "list[BaseException]":
    """A command `status` that raises what the test puts into the list."""
    errors: list[BaseException] = []

    @click.command()
    def command() -> None:
        raise errors[0]

    monkeypatch.setattr(module, "failing_command", command, raising=False)
    monkeypatch.setitem(COMMANDS, "status", module.Lazy("rivta.cli.main:failing_command", "Fail."))
    return errors


def test_help_imports_nothing_heavy_and_no_command() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "rivta", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=child_environment(os.environ),
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {name for name in imported if name.startswith("rivta")} == {"rivta", "rivta.cli", "rivta.cli.main"}
    assert not {name.partition(".")[0] for name in imported} & HEAVY
    assert "Start the pair" in done.stdout


def test_help_lists_every_command_that_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    listed = [line.split()[0] for line in out.partition("Commands:")[2].splitlines() if line.strip()]
    for_people = [name for name, lazy in COMMANDS.items() if lazy.help]
    assert listed[: len(for_people)] == for_people


def test_the_version_is_the_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"rivta, version {rivta.__version__}\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_the_list_says(name: str) -> None:
    target, _, attribute = COMMANDS[name].target.partition(":")
    command = getattr(importlib.import_module(target), attribute)
    assert isinstance(command, click.Command)
    assert command.hidden or not isinstance(command, click.Group) or command.commands


@pytest.mark.parametrize("name", ["up", "down", "status", "serve"])
def test_the_help_of_a_command_ends_with_an_example(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, out, _ = run(capsys, name, "--help")
    assert code == 0
    assert out.splitlines()[-1].strip().startswith(f"Example: rivta {name}")


@pytest.mark.parametrize("arguments", [("upp",), ("up", "--hoem", "x"), ("up", "--port-base", "many"), ("serve",)])
def test_wrong_usage_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("rivta: ")
    assert "--help`)" in err


def test_a_refusal_is_one_line_and_exit_code_1(
    capsys: pytest.CaptureFixture[str], failing: "list[BaseException]"
) -> None:
    failing.append(click.ClickException("no such address: try another"))
    assert run(capsys, "status") == (1, "", "rivta: no such address: try another\n")


def test_our_own_exceptions_speak_for_themselves(
    capsys: pytest.CaptureFixture[str], failing: "list[BaseException]"
) -> None:
    from rivta.run.home import HomeError

    failing.append(HomeError("/x is not a folder: name another with --home"))
    assert run(capsys, "status") == (1, "", "rivta: /x is not a folder: name another with --home\n")


def test_a_surprise_says_what_and_how_to_see_where(
    capsys: pytest.CaptureFixture[str], failing: "list[BaseException]"
) -> None:
    failing.append(KeyError("platforms"))
    assert run(capsys, "status") == (
        1,
        "",
        "rivta: unexpected KeyError: 'platforms'; run `rivta --traceback ...` to see where\n",
    )


@pytest.mark.parametrize("arguments", [("--traceback", "status"), ("status", "--traceback")])
def test_traceback_shows_where(
    capsys: pytest.CaptureFixture[str], failing: "list[BaseException]", arguments: tuple[str, ...]
) -> None:
    failing.append(KeyError("platforms"))
    code, _, err = run(capsys, *arguments)
    assert code == 1
    assert "Traceback (most recent call last)" in err
    assert err.endswith("rivta: unexpected KeyError: 'platforms'\n")


def test_an_interrupt_is_silent(capsys: pytest.CaptureFixture[str], failing: "list[BaseException]") -> None:
    failing.append(KeyboardInterrupt())
    assert run(capsys, "status")[0] == 130


SWEDISH = """
import click, sys
from rivta.cli import main as module
@click.command()
def command():
    click.echo("Södersjukhuset → Åre ─")
module.command = command
module.COMMANDS["status"] = module.Lazy("rivta.cli.main:command", "x")
module.main(["status"])
"""


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_what_scripts_read_is_utf8_whatever_the_locale(locale: str) -> None:
    environment = {**child_environment(os.environ), "LC_ALL": locale, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([sys.executable, "-c", SWEDISH], capture_output=True, env=environment, check=True)
    assert done.stdout.decode("utf-8") == "Södersjukhuset → Åre ─\n"


def test_a_reader_that_leaves_early_gets_no_traceback() -> None:
    program = SWEDISH.replace('click.echo("', 'click.echo("x" * 9000000 + "')
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment(os.environ),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(10)


def test_python_m_rivta_is_the_same_command() -> None:
    assert run_rivta("--version").stdout == f"rivta, version {rivta.__version__}\n"
