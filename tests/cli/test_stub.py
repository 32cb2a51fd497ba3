"""`rivta stub` against the stub producers' real admin API."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from producers_stub.admin import admin_application
from producers_stub.behaviours import BEHAVIOURS
from producers_stub.switchboard import Switchboard
from producers_stub.world import World
from rivta.cli import stub
from rivta.run.admin_door import door

TOKEN = "token-of-the-test"
ADDRESS = "SE2321000016-KS"


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Path]:
    """The home of a pair of which only the stub producers' admin API runs."""
    runner = web.AppRunner(admin_application(Switchboard(World.load().producers), door=door(TOKEN)))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    publish(tmp_path, f"http://127.0.0.1:{runner.addresses[0][1]}")
    yield tmp_path
    await runner.cleanup()


def publish(home: Path, stubs: str | None, *, token: str = TOKEN) -> None:
    (home / "endpoints.json").write_text(json.dumps({"stubs": stubs}))
    (home / "admin.token").write_text(token)


async def run(home: Path, *arguments: str) -> Result:
    """The command in a thread, since the API that it calls runs in this one."""
    return await asyncio.to_thread(CliRunner().invoke, stub.command, [*arguments, "--home", str(home)])


@pytest.mark.sockets
async def test_set_says_what_the_address_does_from_now_on(home: Path) -> None:
    done = await run(home, "set", ADDRESS, "slow", "--seconds", "2", "--calls", "3")

    assert (done.exit_code, done.output) == (0, f"{ADDRESS} (takecare-ks): slow, after 2 s, for 3 calls\n")


@pytest.mark.sockets
async def test_reset_brings_the_default_back(home: Path) -> None:
    await run(home, "set", ADDRESS, "fault", "--detail", "nej")

    done = await run(home, "reset", ADDRESS)

    assert (done.exit_code, done.output) == (0, f"{ADDRESS} (takecare-ks): normal\n")


@pytest.mark.sockets
async def test_list_shows_every_address(home: Path) -> None:
    await run(home, "set", ADDRESS, "empty", "--calls", "1")

    done = await run(home, "list")

    lines = {line.split()[1]: line for line in done.output.splitlines()}
    assert "empty, for 1 call" in lines[ADDRESS]
    assert "slow, after 35 s" in lines["SE2321000016-SLOW"]
    assert "SE2321000131-SU" in lines


@pytest.mark.sockets
async def test_json_is_what_the_api_says(home: Path) -> None:
    changed = await run(home, "set", ADDRESS, "close", "--json")
    listed = await run(home, "list", "--json")

    assert json.loads(changed.stdout)["behaviour"] == "close"
    assert json.loads(listed.stdout)["producers"][0]["addresses"][0] == json.loads(changed.stdout)


@pytest.mark.sockets
async def test_an_unknown_address_is_one_line_with_those_that_there_are(home: Path) -> None:
    done = await run(home, "set", "SE1-NONE/x", "slow")

    assert done.exit_code == 1
    assert done.output.startswith("Error: Not Found: no stub producer has the logical address SE1-NONE/x: there are")
    assert done.output.count("\n") == 1


@pytest.mark.sockets
async def test_a_wrong_token_is_refused(home: Path) -> None:
    publish(home, json.loads((home / "endpoints.json").read_text())["stubs"], token="wrong")

    done = await run(home, "list")

    assert done.exit_code == 1
    assert "admin.token" in done.output


@pytest.mark.sockets
async def test_stub_producers_that_do_not_answer_are_reported(tmp_path: Path) -> None:
    publish(tmp_path, "http://127.0.0.1:9")

    done = await run(tmp_path, "list")

    assert done.exit_code == 1
    assert (
        done.output
        == "Error: no answer from the stub producers at http://127.0.0.1:9 (ConnectionError): see `rivta status`\n"
    )


async def test_without_a_running_pair_one_is_told_how_to_start_it(tmp_path: Path) -> None:
    done = await run(tmp_path, "list")

    assert done.exit_code == 1
    assert "rivta up" in done.output


async def test_a_platform_alone_has_no_stub_producers(tmp_path: Path) -> None:
    publish(tmp_path, None)

    done = await run(tmp_path, "list")

    assert done.exit_code == 1
    assert "no stub producers run" in done.output


def test_an_unknown_behaviour_is_wrong_usage_and_the_known_ones_are_named() -> None:
    done = CliRunner().invoke(stub.command, ["set", ADDRESS, "late"])

    assert done.exit_code == 2
    assert "'invalid'" in done.output


def test_the_command_knows_every_behaviour() -> None:
    assert ", ".join(stub.BEHAVIOURS) == BEHAVIOURS


@pytest.mark.sockets
async def test_a_rule_for_some_calls_is_told_and_listed_and_cleared(home: Path) -> None:
    told = await run(home, "set", "*", "fault", "--every", "3", "--percent", "50", "--patient", "191212121212")
    listed = await run(home, "list")
    cleared = await run(home, "clear")

    line = "*, about 191212121212: fault, every 3. call, in 50 % of the calls\n"
    assert told.output == line
    assert listed.output.endswith(line)
    assert cleared.output == "1 setting taken back\n"


@pytest.mark.sockets
async def test_an_answer_of_ones_own_is_read_from_a_file_and_checked(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "answer.xml"
    file.write_text("<a>${patient}</a>")
    good = await run(home, "set", ADDRESS, "answer", "--body", str(file))
    file.write_text("<a>")
    bad = await run(home, "set", ADDRESS, "answer", "--body", str(file))

    assert good.output == f"{ADDRESS} (takecare-ks): answer\n"
    assert (bad.exit_code, "body: is no XML" in bad.output) == (1, True)


@pytest.mark.sockets
async def test_nothing_received_is_nothing_shown(home: Path) -> None:
    assert json.loads((await run(home, "calls", "--json")).stdout) == {"last": 0, "calls": []}
    assert (await run(home, "calls", "--forget")).output == "0 forgotten\n"
