"""The example at the end of every `--help` works as it stands, against a running pair."""

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import click
import pytest
import requests

from rivta.cli.main import COMMANDS, group
from tests.support import CHECKOUT, Pair, run_rivta, until
from tests.testing.projects import project

CHILDREN = {name for name, lazy in COMMANDS.items() if not lazy.help}
NOT_RUN = {
    "rivta": "it starts a pair on the default ports",
    "rivta up": "it starts a pair of its own; tests/cli/test_up.py does that",
    "rivta down": "it stops a pair of its own",
    "rivta serve": "it runs until it is stopped; the settings file is the reader's",
    "rivta bench": "a benchmark is no test",
    "rivta route rollback": "it pauses the publishing of the shared pair; tests/pair/test_publications.py does that",
    "rivta route approve": "it needs a proposal of somebody else; tests/run/test_admin_tables.py does that",
    "rivta log review": "it needs a look; tests/cli/test_access_log.py does that",
    "rivta index dead show": "it needs a notification that was given up; tests/run/test_admin_index.py does that",
    "rivta index dead discard": "the same",
    "rivta route withdraw": "it needs a proposal; tests/run/test_admin_tables.py does that",
}
"""Commands whose example is only parsed, and why."""


def commands(found: click.Command, context: click.Context) -> Iterator[click.Context]:
    """The command and those below it, each in its context."""
    yield context
    if isinstance(found, click.Group):
        for name in found.list_commands(context):
            below = found.get_command(context, name)
            assert below is not None
            if name not in CHILDREN:
                yield from commands(below, click.Context(below, info_name=name, parent=context))


CONTEXTS = {context.command_path: context for context in commands(group, click.Context(group, info_name="rivta"))}


def example(path: str) -> str:
    found = re.match(r"Example: (rivta .+)", CONTEXTS[path].command.epilog or "")
    assert found, f"`{path} --help` ends with no example"
    return found[1]


@pytest.mark.parametrize("path", CONTEXTS)
def test_the_example_is_of_the_command_and_its_options_exist(path: str) -> None:
    for line in example(path).split(" && "):
        words = shlex.split(line.partition(" > ")[0])
        context, command = click.Context(group, info_name="rivta"), cast(click.Command, group)
        arguments = words[1:]
        while isinstance(command, click.Group):
            command = command.get_command(context, arguments.pop(0))
            assert command is not None, line
            context = click.Context(command, info_name=words[-len(arguments) - 1], parent=context)
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in arguments if word.startswith("--")} <= known, line
    assert path in example(path)


@pytest.fixture
def reader(pair: Pair, command_path: str, tmp_path: Path) -> dict[str, str]:
    """The environment of a reader's shell in `tmp_path`, where there is what the examples name."""
    shutil.copytree(CHECKOUT / "routing", tmp_path / "routing")
    shutil.copy(next((CHECKOUT / "contracts").rglob("GetDiagnosis_2.0.request.xml")), tmp_path / "request.xml")
    (tmp_path / "cases" / "diagnosis").mkdir(parents=True)
    run = run_rivta("contract", "sample", "GetDiagnosis", "--envelope", "--to", "SE2321000016-KS")
    (tmp_path / "cases" / "diagnosis" / "request.xml").write_text(run.stdout)
    (tmp_path / "project.xml").write_bytes(project())
    shutil.make_archive(
        str(tmp_path / "GetDiagnosis_2.0"),
        "zip",
        CHECKOUT / "contracts" / "xsd",
        "clinicalprocess.healthcond.description",
    )
    shutil.copy(pair.home / "national" / "platform.toml", tmp_path / "platform.toml")
    (tmp_path / "engagements.csv").write_text(
        "registeredResidentIdentification,serviceDomain,categorization,logicalAddress,sourceSystem,dataController,"
        "businessObjectInstanceIdentifier\n191212121212,riv:clinicalprocess:healthcond:description,dia,SE2321000255-SUS,"
        "SE2321000255-JS,SE2321000255,note-2\n"
    )
    (tmp_path / "password.txt").write_text("of the test\n")
    (tmp_path / "application.properties").write_text(
        "vp.instance.id=SE165565594230-VP\nvp.instance.name=VP\nvp.https.route.url=https://localhost:443/vp\n"
    )
    return {"PATH": command_path, "HOME": str(tmp_path), "LANG": "C.UTF-8", "RIVTA_HOME": str(pair.home)}


@pytest.fixture
def own_certificates(pair: Pair, reader: dict[str, str], tmp_path: Path) -> None:
    """A home with the same CA, so that no example revokes what the pair stands on."""
    shutil.copytree(pair.home / "certs", tmp_path / "home" / "certs")
    reader["RIVTA_HOME"] = str(tmp_path / "home")


@pytest.fixture
def own_contracts(reader: dict[str, str], tmp_path: Path) -> None:
    """A home where a contract is installed, so that no example changes those of the pair."""
    reader["RIVTA_HOME"] = str(tmp_path / "home")
    run_rivta("contract", "add", str(tmp_path / "GetDiagnosis_2.0.zip"), home=tmp_path / "home")


@pytest.fixture
def logged_call(pair: Pair) -> None:
    """A call with the correlation id of `rivta log show`'s example, in the call log."""
    npo = pair.endpoints["identities"]["npo"]
    requests.post(
        pair.endpoints["platforms"]["national"]["https"],
        data=b"not XML",
        headers={"x-skltp-correlation-id": "8f14e45f-ceea-467f-a9f6-6b2d7e0a7c11"},
        cert=(npo["cert"], npo["key"]),
        verify=pair.endpoints["ca"],
        timeout=10,
    )
    deadline = time.monotonic() + 10
    while not run_rivta(
        "log", "search", "--correlation-id", "8f14e45f-ceea-467f-a9f6-6b2d7e0a7c11", "--json", home=pair.home
    ).stdout:
        assert time.monotonic() < deadline, "the call does not reach the log"


@pytest.fixture
def kept_call(pair: Pair) -> None:
    """A call whose messages were kept, in the call log."""
    arguments = ("--contract", "GetDiagnosis", "--since", "5m", "--limit", "1", "--json")
    run_rivta("call", "GetDiagnosis", "--to", "SE2321000016-KS", home=pair.home)
    until(lambda: run_rivta("log", "search", *arguments, home=pair.home).stdout)


@pytest.fixture
def stub_as_before(pair: Pair) -> Iterator[None]:
    yield
    run_rivta("stub", "reset", "SE2321000016-KS", home=pair.home)


NEEDS = {
    "rivta cert": "own_certificates",
    "rivta contract add": "own_contracts",
    "rivta contract remove": "own_contracts",
    "rivta log show": "logged_call",
    "rivta record": "kept_call",
    "rivta stub": "stub_as_before",
}


@pytest.mark.pair
@pytest.mark.parametrize("path", [path for path in CONTEXTS if path not in NOT_RUN])
def test_the_example_works(path: str, reader: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    for beginning, fixture in NEEDS.items():
        if path.startswith(beginning):
            request.getfixturevalue(fixture)
    done = subprocess.run(
        ["bash", "-c", example(path)], cwd=tmp_path, env=reader, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{example(path)}\n{done.stdout}{done.stderr}"
    assert len(done.stderr.splitlines()) <= 1
