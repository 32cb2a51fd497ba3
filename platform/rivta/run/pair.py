"""The life of a supervisor's process: start everything, prove it, publish it, wait, stop everything."""

import asyncio
import dataclasses
import json
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from rivta.files import write_file
from rivta.run.assembly import Assembly, child_environment
from rivta.run.home import Home
from rivta.run.roles import RoleStatus, State
from rivta.run.supervisor import Supervisor

_log = logging.getLogger(__name__)

Proof = Callable[[], Awaitable[str | None]]
"""Makes sure that what was started works; a warning for the operator, or None. What it raises ends the start."""


class Reporter(Protocol):
    """Tells the operator how the start goes."""

    def step(self, text: str) -> None:
        """What is being waited for now."""

    def ready(self, assembly: Assembly, warning: str | None) -> None:
        """Everything runs and is published."""


@dataclasses.dataclass(slots=True)
class _Signals:
    """SIGTERM, SIGINT and, unless started with nohup, SIGHUP: the first asks to stop, the second to hurry.

    SIGUSR1 asks to replace the workers, SIGUSR2 the keeper too.
    """

    stop: asyncio.Event
    hurry: Callable[[], None]
    restart: Callable[[bool], None]
    """Is told whether only workers are meant."""

    def install(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._received)
        loop.add_signal_handler(signal.SIGUSR1, self.restart, True)
        loop.add_signal_handler(signal.SIGUSR2, self.restart, False)

    def _received(self) -> None:
        if self.stop.is_set():
            self.hurry()
        self.stop.set()


async def run(
    home: Home, assembly: Assembly, *, lock: int, environment: Mapping[str, str], prove: Proof, report: Reporter
) -> None:
    """Run everything until a signal asks to stop. Raises RoleFailed, or what `prove` raises, with all stopped."""
    supervisor = Supervisor(
        assembly.roles,
        listeners=assembly.listeners,
        state_file=home.state_file,
        log=home.log,
        environment=child_environment(environment),
        inherited=(lock,),
        observe=lambda status: report.step(_waiting_for(status)),
    )
    signals = _Signals(asyncio.Event(), supervisor.hurry, lambda only: supervisor.restart(workers_only=only))
    signals.install()
    try:
        if await _unless_stopped(_start(home, supervisor, assembly, prove, report), signals.stop):
            await _unless_stopped(supervisor.failure(), signals.stop)
    finally:
        home.endpoints_file.unlink(missing_ok=True)
        report.step("stopping; Ctrl-C again hurries")
        await supervisor.stop()
        home.remove_sockets()
        _log.info("stopped")


async def _start(home: Home, supervisor: Supervisor, assembly: Assembly, prove: Proof, report: Reporter) -> None:
    _log.info("starting %s", ", ".join(role.name for role in assembly.roles))
    await supervisor.start()
    report.step("waiting for a call through both platforms")
    warning = await prove()
    content = json.dumps(assembly.endpoints, ensure_ascii=False, indent=1)
    write_file(home.endpoints_file, content.encode("utf-8"))
    _log.info("ready (process %s)", os.getpid())
    if warning:
        _log.warning("%s", warning)
    report.ready(assembly, warning)


async def _unless_stopped(work: Awaitable[None], stop: asyncio.Event) -> bool:
    """Whether `work` was finished; it is given up when the operator asks to stop."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            return False
        working.result()
        return True
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


def _waiting_for(status: tuple[RoleStatus, ...]) -> str:
    """What a start waits for, with the reason where something has already failed."""
    missing = [one for one in status if one.state is not State.READY]
    names = ", ".join(f"{one.name} ({one.last_exit})" if one.last_exit else one.name for one in missing)
    return f"{len(status) - len(missing)} of {len(status)} ready; waiting for {names}" if missing else "all ready"
