"""A child process as the supervisor holds it: started, told its sockets, waited for, ended."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Self


class Process:
    """A started process, in a process group of its own, so that the terminal's Ctrl-C does not reach it.

    Starting is one synchronous step: nothing can be cancelled between the process's start and our knowing about it.
    Its end is learnt from a pidfd (pidfd_open(2)), so no thread waits.
    """

    def __init__(self, popen: "subprocess.Popen[bytes]", ready_fd: int) -> None:
        loop = asyncio.get_running_loop()
        self.pid = popen.pid
        self._popen = popen
        self.exit: asyncio.Future[int] = loop.create_future()
        """Exit code; the negative number of the signal that ended it."""
        self.ready: asyncio.Future[bool] = loop.create_future()
        """Whether it said that it is ready; False when it closed the pipe, usually by ending, without."""
        self._pidfd = os.pidfd_open(popen.pid)
        self._ready_fd = ready_fd
        loop.add_reader(self._pidfd, self._ended)
        loop.add_reader(self._ready_fd, self._spoke)

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        *,
        sockets: Mapping[str, int],
        lifeline_fd: int,
        inherited: Sequence[int],
        output_fd: int,
        environment: Mapping[str, str],
    ) -> Self:
        """Start the interpreter with `command` and the options that `rivta.run.child` reads. Raises OSError."""
        ready_from, ready_to = os.pipe()
        try:
            popen = subprocess.Popen(
                [
                    sys.executable,
                    *command,
                    *(f"--listen={name}={descriptor}" for name, descriptor in sockets.items()),
                    f"--ready-fd={ready_to}",
                    f"--lifeline-fd={lifeline_fd}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=output_fd,
                stderr=output_fd,
                env=environment,
                pass_fds=(*sockets.values(), ready_to, lifeline_fd, *inherited),
                process_group=0,
            )
        except OSError:
            os.close(ready_from)
            raise
        finally:
            os.close(ready_to)
        return cls(popen, ready_from)

    def terminate(self) -> None:
        """Ask it to stop."""
        if not self.exit.done():
            self._popen.send_signal(signal.SIGTERM)

    def make_way(self) -> None:
        """Ask it to stop in favour of a successor that already serves: it may take its time with idle clients."""
        if not self.exit.done():
            self._popen.send_signal(signal.SIGUSR1)

    def kill(self) -> None:
        """End it, and what it started."""
        if not self.exit.done():
            os.killpg(self.pid, signal.SIGKILL)

    async def wait(self, seconds: float | None = None) -> int | None:
        """Its exit code; None when it still runs after `seconds`."""
        await asyncio.wait((self.exit,), timeout=seconds)
        return self.exit.result() if self.exit.done() else None

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.exit.set_result(self._popen.wait())
        self._close_ready(said=False)

    def _spoke(self) -> None:
        self._close_ready(said=bool(os.read(self._ready_fd, 64)))

    def _close_ready(self, *, said: bool) -> None:
        if self.ready.done():
            return
        asyncio.get_running_loop().remove_reader(self._ready_fd)
        os.close(self._ready_fd)
        self.ready.set_result(said)


def exit_reason(code: int) -> str:
    """What a process's exit code says, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
