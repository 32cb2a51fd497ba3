"""The supervisor with real processes: small ones that do what they are told (fake_role.py)."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from rivta.run import ports
from rivta.run.assembly import child_environment
from rivta.run.roles import Backoff, Renewal, Role, RoleStatus, State
from rivta.run.supervisor import Patience, RoleFailed, Supervisor
from tests.support import until_true

pytestmark = pytest.mark.sockets

FAKE_ROLE = Path(__file__).with_name("fake_role.py")
QUICK = Backoff(first_seconds=0.01, longest_seconds=0.02)


def fake(name: str, behaviour: str, notes: Path, **more: Any) -> Role:
    return Role(name=name, command=(str(FAKE_ROLE), behaviour, str(notes)), **more)


@asynccontextmanager
async def supervising(
    folder: Path, *roles: Role, listeners: dict[str, socket.socket] | None = None, **more: Any
) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(
        roles,
        listeners=listeners or {},
        state_file=folder / "supervisor.json",
        log=folder,
        environment=child_environment(os.environ),
        backoff=more.pop("backoff", QUICK),
        **more,
    )
    try:
        yield supervisor
    finally:
        await supervisor.stop()


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def web() -> socket.socket:
    return ports.listen("127.0.0.1", 0, role="web")


async def ask(port: int) -> int:
    """The number of the process that answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"who?\n")
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return int(answer)


def status_of(supervisor: Supervisor, name: str) -> RoleStatus:
    return next(one for one in supervisor.status if one.name == name)


async def test_start_returns_when_every_role_is_ready_and_publishes_their_state(tmp_path: Path) -> None:
    listener = web()
    role = fake("worker-0", "serve", tmp_path / "notes", listeners=(("https", "web"),))
    async with supervising(tmp_path, role, listeners={"web": listener}) as supervisor:
        await supervisor.start()
        published = json.loads((tmp_path / "supervisor.json").read_text())
        assert published["pid"] == os.getpid()
        assert published["state"] == "ready"
        assert published["roles"][0]["state"] == "ready"
        assert await ask(listener.getsockname()[1]) == published["roles"][0]["pid"]


async def test_connections_made_while_a_role_is_restarted_are_served(tmp_path: Path) -> None:
    listener = web()
    port = listener.getsockname()[1]
    role = fake("worker-0", "serve", tmp_path / "notes", listeners=(("https", "web"),))
    slow = Backoff(first_seconds=0.3)
    async with supervising(tmp_path, role, listeners={"web": listener}, backoff=slow) as supervisor:
        await supervisor.start()
        first = await ask(port)
        os.kill(first, signal.SIGKILL)
        await until_true(lambda: status_of(supervisor, "worker-0").state is State.RESTARTING)
        answered_by = set(await asyncio.gather(*(ask(port) for _ in range(200))))
    assert len(answered_by) == 1
    assert first not in answered_by


async def test_a_dead_role_is_started_again_and_its_end_is_remembered(tmp_path: Path) -> None:
    async with supervising(tmp_path, fake("worker-0", "serve", tmp_path / "notes")) as supervisor:
        await supervisor.start()
        first = status_of(supervisor, "worker-0").pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until_true(lambda: status_of(supervisor, "worker-0").state is State.READY and _pid(supervisor) != first)
        now = status_of(supervisor, "worker-0")
    assert now.restarts == 1
    assert now.last_exit == "was ended by SIGKILL"


def _pid(supervisor: Supervisor) -> int | None:
    return status_of(supervisor, "worker-0").pid


async def test_a_role_that_recovers_at_its_second_start_is_not_given_up(tmp_path: Path) -> None:
    async with supervising(tmp_path, fake("keeper", "crash-once", tmp_path / "notes")) as supervisor:
        await supervisor.start()
        assert status_of(supervisor, "keeper").last_exit == "ended with exit code 3 (the first start is never easy)"


async def test_a_role_that_never_becomes_ready_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    roles = (fake("keeper", "crash", tmp_path / "notes"), fake("worker-0", "serve", tmp_path / "notes"))
    async with supervising(tmp_path, *roles) as supervisor:
        with pytest.raises(
            RoleFailed, match=r"keeper ended with exit code 3 \(no such table: routes\): tried 5 times"
        ) as e:
            await supervisor.start()
    assert str(tmp_path / "keeper.log") in str(e.value)
    assert e.value.log_lines[-1] == "no such table: routes"


async def test_a_role_that_is_not_ready_in_time_is_killed_and_tried_again(tmp_path: Path) -> None:
    patience = Patience(ready_seconds=0.2, first_starts=2)
    async with supervising(tmp_path, fake("keeper", "silent", tmp_path / "n"), patience=patience) as supervisor:
        with pytest.raises(RoleFailed, match=r"keeper was not ready within 0\.2 s: tried 2 times"):
            await supervisor.start()


async def test_a_role_that_does_not_exist_is_a_failure_with_the_reason(tmp_path: Path) -> None:
    role = Role(name="keeper", command=(str(tmp_path / "missing.py"),))
    async with supervising(tmp_path, role) as supervisor:
        with pytest.raises(RoleFailed, match=r"missing\.py"):
            await supervisor.start()


async def test_a_role_waits_for_those_it_depends_on(tmp_path: Path) -> None:
    seen: list[tuple[State, State]] = []
    roles = (
        fake("keeper", "serve", tmp_path / "notes"),
        fake("worker-0", "serve", tmp_path / "notes", depends_on=("keeper",)),
    )
    observe = lambda status: seen.append((status[0].state, status[1].state))  # noqa: E731
    async with supervising(tmp_path, *roles, observe=observe) as supervisor:
        await supervisor.start()
    assert all(keeper is not State.STARTING for keeper, worker in seen if worker is State.STARTING)


async def test_roles_stop_in_their_order(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    roles = (fake("keeper", "serve", notes, stops=1), fake("worker-0", "serve", notes))
    async with supervising(tmp_path, *roles) as supervisor:
        await supervisor.start()
        keeper, worker = (one.pid for one in supervisor.status)
    assert notes.read_text().splitlines() == [f"{worker} stopped", f"{keeper} stopped"]


async def test_a_role_that_ignores_the_request_to_stop_is_killed(tmp_path: Path) -> None:
    patience = Patience(drain_seconds=0.2)
    async with supervising(tmp_path, fake("worker-0", "stubborn", tmp_path / "n"), patience=patience) as supervisor:
        await supervisor.start()
        pid = _pid(supervisor)
    assert pid is not None
    assert not is_alive(pid)


async def test_asking_twice_hurries(tmp_path: Path) -> None:
    patience = Patience(drain_seconds=60, hurried_seconds=0.1)
    async with supervising(tmp_path, fake("worker-0", "stubborn", tmp_path / "n"), patience=patience) as supervisor:
        await supervisor.start()
        supervisor.hurry()
        async with asyncio.timeout(10):
            await supervisor.stop()


def restart_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "supervisor.json").read_text())["restart"]
    return found


async def test_a_successor_serves_before_its_predecessor_stops(tmp_path: Path) -> None:
    listener, notes = web(), tmp_path / "notes"
    port = listener.getsockname()[1]
    role = fake("worker-0", "serve", notes, listeners=(("https", "web"),), renewal=Renewal.BESIDE)
    async with supervising(tmp_path, role, listeners={"web": listener}) as supervisor:
        await supervisor.start()
        first = await ask(port)
        answered_by = []
        supervisor.restart(workers_only=True)
        while restart_of(tmp_path)["state"] == "under way":
            answered_by.append(await ask(port))
        answered_by.append(await ask(port))
        second = _pid(supervisor)
        os.kill(second or 0, signal.SIGKILL)
        await until_true(lambda: _pid(supervisor) not in (None, second))
        assert status_of(supervisor, "worker-0").restarts == 1
        third = await ask(port)
    assert set(answered_by) == {first, second}
    assert notes.read_text().splitlines() == [f"{first} stopped", f"{third} stopped"]


async def test_a_successor_that_does_not_become_ready_leaves_everything_as_it_was(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    role = fake("worker-0", "serve-once", notes, renewal=Renewal.BESIDE)
    async with supervising(tmp_path, role) as supervisor:
        await supervisor.start()
        first = _pid(supervisor)
        supervisor.restart(workers_only=True)
        await until_true(lambda: restart_of(tmp_path)["state"] == "failed")
        assert restart_of(tmp_path)["message"].endswith("goes on: platform.worker: unknown key")
        assert (_pid(supervisor), status_of(supervisor, "worker-0").state) == (first, State.READY)


async def test_a_role_of_which_there_may_be_one_only_stops_before_its_successor_starts(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    roles = (
        fake("keeper", "serve", notes, renewal=Renewal.IN_TURN),
        fake("worker-0", "serve", notes, renewal=Renewal.BESIDE),
        fake("producers", "serve", notes),
    )
    async with supervising(tmp_path, *roles) as supervisor:
        await supervisor.start()
        before = {one.name: one.pid for one in supervisor.status}
        supervisor.restart(workers_only=False)
        await until_true(lambda: restart_of(tmp_path)["state"] == "done")
        after = {one.name: one.pid for one in supervisor.status}
        assert notes.read_text().splitlines() == [f"{before[name]} stopped" for name in ("keeper", "worker-0")]
    assert [name for name in before if before[name] == after[name]] == ["producers"]
    assert [one.restarts for one in supervisor.status] == [0, 0, 0]


async def test_stopping_in_the_middle_of_a_restart_leaves_nobody(tmp_path: Path) -> None:
    role = fake("worker-0", "stubborn-to-successors", tmp_path / "n", renewal=Renewal.BESIDE)
    async with supervising(tmp_path, role) as supervisor:
        await supervisor.start()
        first = _pid(supervisor)
        supervisor.restart(workers_only=True)
        await until_true(lambda: _pid(supervisor) != first)
        both = (first, _pid(supervisor))
    assert not any(is_alive(pid or 0) for pid in both)


async def test_a_full_disk_does_not_stop_the_supervisor(tmp_path: Path) -> None:
    state_file = tmp_path / "nowhere" / "supervisor.json"
    supervisor = Supervisor(
        [fake("worker-0", "serve", tmp_path / "notes")],
        listeners={},
        state_file=state_file,
        log=tmp_path,
        environment=child_environment(os.environ),
    )
    try:
        await supervisor.start()
    finally:
        await supervisor.stop()
    assert not state_file.exists()


SUPERVISE = """
import asyncio, os, sys
from pathlib import Path
from rivta.run.assembly import child_environment
from rivta.run.roles import Role
from rivta.run.supervisor import Supervisor

async def main(folder):
    roles = [Role(name=f"worker-{i}", command=(sys.argv[2], "serve", str(folder / "notes"))) for i in range(2)]
    supervisor = Supervisor(roles, listeners={}, state_file=folder / "supervisor.json", log=folder,
                            environment=child_environment(os.environ))
    await supervisor.start()
    print("ready", flush=True)
    await supervisor.failure()

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_killed_supervisor_leaves_no_orphans(tmp_path: Path) -> None:
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, str(tmp_path), str(FAKE_ROLE)],
        stdout=subprocess.PIPE,
        env=child_environment(os.environ),
        text=True,
    )
    with supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "ready\n"
        roles = [one["pid"] for one in json.loads((tmp_path / "supervisor.json").read_text())["roles"]]
        handles = [os.pidfd_open(pid) for pid in roles]
        supervisor.kill()
    try:
        asyncio.run(_ended(handles))
    finally:
        for handle, pid in zip(handles, roles, strict=True):
            os.close(handle)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert sorted((tmp_path / "notes").read_text().split()[::2]) == sorted(map(str, roles))


async def _ended(handles: list[int]) -> None:
    loop = asyncio.get_running_loop()
    for handle in handles:
        ended = asyncio.Event()
        loop.add_reader(handle, ended.set)
        async with asyncio.timeout(10):
            await ended.wait()
        loop.remove_reader(handle)
