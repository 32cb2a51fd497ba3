"""The supervisor: starts the roles of a pair, keeps their sockets open, starts again what dies, and says why.

It owns no data. Its end, however it comes, ends every role: each holds the reading end of a pipe (the lifeline) whose
writing end only the supervisor has.
"""

import asyncio
import dataclasses
import json
import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rivta.files import write_file
from rivta.run.output import last_lines, open_log, size, trim_log
from rivta.run.ports import close
from rivta.run.process import Process, exit_reason
from rivta.run.roles import Backoff, Renewal, Role, RoleStatus, State

_log = logging.getLogger(__name__)

Observer = Callable[[tuple[RoleStatus, ...]], None]
"""Is told the status of every role whenever one changes."""


class RoleFailed(RuntimeError):
    """A role did not become ready; the message names it, why, and where its log is."""

    def __init__(self, message: str, log_lines: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.log_lines = tuple(log_lines)
        """The last that it wrote."""


@dataclasses.dataclass(frozen=True, slots=True)
class Patience:
    """How long the supervisor waits, and how often it tries."""

    first_starts: int = 5
    """Attempts for a role to become ready the first time."""
    ready_seconds: float = 60.0
    """Time for one attempt."""
    drain_seconds: float = 32.0
    """Time for a process to stop: a worker finishes its calls within 30 s of SIGTERM."""
    hurried_seconds: float = 1.0
    """The same once the operator has asked a second time."""
    log_check_seconds: float = 30.0


@dataclasses.dataclass(frozen=True, slots=True)
class _Life:
    """One run of a role's process, from start to end."""

    reason: str
    """Why it ended."""
    ready_seconds: float | None
    """How long it served; None when it never became ready."""


class Supervisor:
    """Runs roles from `start` to `stop`, in the event loop that they are called in."""

    def __init__(
        self,
        roles: Sequence[Role],
        *,
        listeners: Mapping[str, socket.socket],
        state_file: Path,
        log: Path,
        environment: Mapping[str, str],
        inherited: Sequence[int] = (),
        observe: Observer = lambda _: None,
        backoff: Backoff = Backoff(),  # noqa: B008 - frozen
        patience: Patience = Patience(),
    ) -> None:
        """`inherited` are descriptors that every role keeps open without using them, as the lock of the home."""
        self._roles = tuple(roles)
        self._listeners = listeners
        self._state_file = state_file
        self._log = log
        self._environment = environment
        self._inherited = tuple(inherited)
        self._observe = observe
        self._backoff = backoff
        self._patience = patience
        self._status = {role.name: RoleStatus(role.name) for role in self._roles}
        self._ready = {role.name: asyncio.Event() for role in self._roles}
        self._processes: dict[str, Process] = {}
        """The process of each role that serves, or is to."""
        self._beside: set[Process] = set()
        """Those that run beside it: successors that start, predecessors that finish."""
        self._successors: dict[str, asyncio.Future[Process]] = {}
        """Of each role that serves: is given the process that takes its place; cancelled when its process ends."""
        self._renewed: set[str] = set()
        """Roles whose process was asked to stop, to be started again at once."""
        self._restart: dict[str, Any] = {"number": 0, "state": "none", "message": ""}
        self._restarting: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._hurried = asyncio.Event()
        self._lifeline: tuple[int, int] | None = None
        self._started = datetime.now(UTC)

    @property
    def status(self) -> tuple[RoleStatus, ...]:
        """Every role now, in the order they were given."""
        return tuple(self._status.values())

    async def start(self) -> None:
        """Start every role and return when all are ready.

        Raises RoleFailed when one does not get there. `stop` is to be called in any case.
        """
        self._lifeline = os.pipe()
        self._publish()
        self._tasks = [asyncio.create_task(self._run(role), name=role.name) for role in self._roles]
        self._tasks.append(asyncio.create_task(self._bound_logs(), name="logs"))
        everyone = asyncio.create_task(self._all_ready())
        try:
            await asyncio.wait((everyone, *self._tasks), return_when=asyncio.FIRST_COMPLETED)
            if not everyone.done():
                await self.failure()
        finally:
            everyone.cancel()

    async def _all_ready(self) -> None:
        for event in self._ready.values():
            await event.wait()

    async def failure(self) -> None:
        """Wait for a role that will not be started again, which once all were ready is a fault of ours; raises it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    def restart(self, *, workers_only: bool) -> None:
        """Begin to replace the processes of all roles, one after the other; how it goes stands in the state file.

        What serves is not touched before its successor does. Asked again meanwhile, nothing more happens.
        """
        if self._stopping or self._state() in (State.STARTING.value, State.FAILED.value):
            _log.warning("asked to restart, but not everything runs yet")
        elif self._restarting is None or self._restarting.done():
            self._say_restart("under way", number=self._restart["number"] + 1)
            self._restarting = asyncio.create_task(self._restart_all(workers_only=workers_only), name="restart")

    async def _restart_all(self, *, workers_only: bool) -> None:
        renewals = (Renewal.BESIDE,) if workers_only else (Renewal.IN_TURN, Renewal.BESIDE)
        roles = [role for renewal in renewals for role in self._roles if role.renewal is renewal]
        finishing: list[asyncio.Task[None]] = []
        try:
            for role in roles:
                if role.renewal is Renewal.IN_TURN:
                    await self._renew_in_turn(role)
                elif (old := await self._replace(role)) is not None:
                    finishing.append(asyncio.create_task(self._finish_predecessor(role, old)))
            await asyncio.gather(*finishing)
        except (RoleFailed, OSError) as error:
            _log.error("restart given up: %s", error)
            await asyncio.gather(*finishing)
            self._say_restart("failed", message=str(error))
        else:
            names = ", ".join(role.name for role in roles)
            _log.info("restarted %s", names)
            self._say_restart("done", message=names)
        finally:
            for task in finishing:
                task.cancel()

    def _say_restart(self, state: str, *, message: str = "", number: int | None = None) -> None:
        self._restart = {
            "number": self._restart["number"] if number is None else number,
            "state": state,
            "message": message,
        }
        self._publish()

    async def _replace(self, role: Role) -> Process | None:
        """Start a successor and let it take over; its predecessor, which finishes. Raises RoleFailed: then that one
        goes on."""
        old, handover = self._processes.get(role.name), self._successors.get(role.name)
        if old is None or handover is None:
            return None  # it has died, and is being started anew as it is
        self._change(role, state=State.REPLACING)
        new = await self._start_beside(role)
        if handover.cancelled():  # it has died meanwhile
            new.terminate()
            await self._finish(new, role.name)
            return None
        self._processes[role.name] = new
        self._beside ^= {old, new}
        handover.set_result(new)
        self._change(role, pid=new.pid, started=datetime.now(UTC))
        old.make_way()
        return old

    async def _finish_predecessor(self, role: Role, old: Process) -> None:
        await self._finish(old, role.name)
        self._serves_alone(role)

    async def _start_beside(self, role: Role) -> Process:
        """A further process of the role, ready. Raises RoleFailed, with nothing left of it, or OSError."""
        begins_at = size(self._log_of(role))
        process = self._start_process(role)
        self._beside.add(process)
        await asyncio.wait((process.ready,), timeout=self._patience.ready_seconds)
        if process.ready.done() and process.ready.result():
            return process
        process.kill()
        await self._finish(process, role.name)
        self._serves_alone(role)
        said = last_lines(self._log_of(role), since=begins_at, count=1)
        reason = said[0][:300] if said else f"see {self._log_of(role)}"
        raise RoleFailed(f"the new process of {role.name} did not become ready, the one before goes on: {reason}")

    def _serves_alone(self, role: Role) -> None:
        if self._status[role.name].state is State.REPLACING:
            self._change(role, state=State.READY)

    async def _renew_in_turn(self, role: Role) -> None:
        """Stop the role's process and wait until a new one is ready. Raises RoleFailed when that does not happen."""
        old = self._processes.get(role.name)
        if old is None:
            return
        self._renewed.add(role.name)
        old.terminate()
        await self._finish(old, role.name)
        try:
            async with asyncio.timeout(self._patience.ready_seconds):
                while self._processes.get(role.name) in (None, old) or self._status[role.name].state is not State.READY:  # noqa: ASYNC110 - `_live` tells nobody
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise RoleFailed(f"{role.name} did not become ready again: see {self._log_of(role)}") from None

    def hurry(self) -> None:
        """Give what still has to stop only a moment more."""
        self._hurried.set()

    async def stop(self) -> None:
        """Stop every role in its order, each with time to finish its calls, and close the listeners. Twice is once."""
        self._stopping = True
        tasks = [*self._tasks, *([self._restarting] if self._restarting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for process in self._beside:
            process.terminate()
        await asyncio.gather(*(self._finish(process, "a replaced process") for process in list(self._beside)))
        for order in sorted({role.stops for role in self._roles}):
            await asyncio.gather(*(self._stop_process(role.name) for role in self._roles if role.stops == order))
        for listener in self._listeners.values():
            close(listener)
        lifeline, self._lifeline = self._lifeline or (), None
        for descriptor in lifeline:
            os.close(descriptor)
        self._state_file.unlink(missing_ok=True)

    async def _run(self, role: Role) -> None:
        """Keep one role running. Raises RoleFailed when it never becomes ready."""
        for name in role.depends_on:
            await self._ready[name].wait()
        failures = 0
        while True:
            life = await self._live(role)
            well = life.ready_seconds is not None and life.ready_seconds >= self._backoff.well_after_seconds
            failures = 1 if well else failures + 1
            if role.name in self._renewed:
                self._renewed.discard(role.name)
                failures = 0
                continue
            if failures >= self._patience.first_starts and not self._ready[role.name].is_set():
                raise self._give_up(role, failures, life)
            await self._wait_to_restart(role, self._backoff.delay(failures), life)

    async def _live(self, role: Role) -> _Life:
        """Start a role's process and stay until it has ended."""
        log = self._log_of(role)
        try:
            trim_log(log)
            begins_at = size(log)
            process = self._start_process(role)
        except OSError as error:
            return _Life(f"could not be started: {error}", None)
        self._change(role, state=State.STARTING, pid=process.pid, started=datetime.now(UTC))
        self._processes[role.name] = process
        ready_at = await self._await_ready(role, process)
        ended_late = ready_at is None and not process.exit.done()
        if ended_late:
            process.kill()
        else:
            process = await self._last_to_serve(role, process)
        reason = exit_reason(await asyncio.shield(process.exit))
        del self._processes[role.name]
        if ended_late:
            reason = f"was not ready within {self._patience.ready_seconds:g} s"
        lines = last_lines(log, since=begins_at, count=1)
        served = None if ready_at is None else asyncio.get_running_loop().time() - ready_at
        return _Life(f"{reason} ({lines[0][:300]})" if lines else reason, served)

    async def _last_to_serve(self, role: Role, process: Process) -> Process:
        """The process that ended without a successor, after all those that one took the place of."""
        while True:
            handover: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
            self._successors[role.name] = handover
            await asyncio.wait((process.exit, handover), return_when=asyncio.FIRST_COMPLETED)
            if not handover.done():
                handover.cancel()
                return process
            process = handover.result()

    def _start_process(self, role: Role) -> Process:
        assert self._lifeline is not None
        output = open_log(self._log_of(role))
        try:
            process = Process.start(
                role.command,
                sockets={mine: self._listeners[theirs].fileno() for mine, theirs in role.listeners},
                lifeline_fd=self._lifeline[0],
                inherited=self._inherited,
                output_fd=output,
                environment=self._environment,
            )
        finally:
            os.close(output)
        return process

    async def _await_ready(self, role: Role, process: Process) -> float | None:
        """The loop's time when the process said that it is ready; None when it has ended or takes too long."""
        deadline = self._patience.ready_seconds
        await asyncio.wait((process.ready,), timeout=deadline)
        if not process.ready.done():
            return None
        if not process.ready.result():
            await process.wait(deadline)
            return None
        self._ready[role.name].set()
        self._change(role, state=State.READY)
        return asyncio.get_running_loop().time()

    async def _wait_to_restart(self, role: Role, delay: float, life: _Life) -> None:
        _log.warning("%s %s; starting it again in %.1f s", role.name, life.reason, delay)
        restarts = self._status[role.name].restarts + 1
        self._change(role, state=State.RESTARTING, pid=None, restarts=restarts, last_exit=life.reason)
        await asyncio.sleep(delay)

    def _give_up(self, role: Role, attempts: int, life: _Life) -> RoleFailed:
        self._change(role, state=State.FAILED, pid=None, last_exit=life.reason)
        log = self._log_of(role)
        message = f"{role.name} {life.reason}: tried {attempts} times, its log is {log}"
        return RoleFailed(message, last_lines(log, count=10))

    async def _stop_process(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is not None:
            self._status_changed(name, state=State.STOPPING)
            process.terminate()
            await self._finish(process, name)
        self._status_changed(name, state=State.STOPPED, pid=None)

    async def _finish(self, process: Process, name: str) -> None:
        """Wait for a process that was asked to stop; kill it when it takes too long."""
        if not await self._ends(process):
            _log.warning("%s (process %s) did not stop in time and was killed", name, process.pid)
            process.kill()
            await process.wait()
        self._beside.discard(process)

    async def _ends(self, process: Process) -> bool:
        """Whether the process ends within the time to drain, which shrinks when the operator asks again."""
        hurried = asyncio.create_task(self._hurried.wait())
        try:
            await asyncio.wait(
                (process.exit, hurried), timeout=self._patience.drain_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if hurried.done():
                await process.wait(self._patience.hurried_seconds)
            return process.exit.done()
        finally:
            hurried.cancel()

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(self._patience.log_check_seconds)
            for role in self._roles:
                try:
                    trim_log(self._log_of(role))
                except OSError as error:
                    _log.warning("the log of %s cannot be shortened: %s", role.name, error)

    def _log_of(self, role: Role) -> Path:
        return self._log / f"{role.name}.log"

    def _change(self, role: Role, **changes: Any) -> None:
        self._status_changed(role.name, **changes)

    def _status_changed(self, name: str, **changes: Any) -> None:
        self._status[name] = dataclasses.replace(self._status[name], **changes)
        self._publish()

    def _publish(self) -> None:
        document = {
            "pid": os.getpid(),
            "started": self._started.isoformat(timespec="milliseconds"),
            "state": self._state(),
            "restart": self._restart,
            "roles": [status.to_json() for status in self.status],
        }
        try:
            write_file(self._state_file, json.dumps(document, indent=1).encode(), durable=False)
        except OSError as error:  # a full disk must not stop the pair; `status` then shows what was written last
            _log.warning("%s cannot be written: %s", self._state_file, error)
        self._observe(self.status)

    def _state(self) -> str:
        if self._stopping:
            return State.STOPPING.value
        states = {status.state for status in self.status}
        if State.FAILED in states:
            return State.FAILED.value
        if all(event.is_set() for event in self._ready.values()):
            serving = states <= {State.READY, State.REPLACING}
            return State.READY.value if serving else State.RESTARTING.value
        return State.STARTING.value
