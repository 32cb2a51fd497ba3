"""A supervisor's process with fake roles (fake_pair.py), run by tests from outside."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rivta.run.assembly import child_environment
from rivta.run.home import Home
from rivta.run.lock import wait_until_free

FAKE_PAIR = Path(__file__).with_name("fake_pair.py")


@contextmanager
def running(folder: Path, *behaviours: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, str(FAKE_PAIR), str(folder), *(behaviours or ("serve",))]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        env=child_environment(os.environ),
        text=True,
        # Tests that were themselves started with nohup would hand it on.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()
            assert wait_until_free(Home(folder), 45)


def state(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "run" / "supervisor.json").read_text())
    return content


def pids(folder: Path) -> list[int]:
    return [role["pid"] for role in state(folder)["roles"]]


def is_alive(pid: int) -> bool:
    """Whether the process runs: one that has ended may wait for a parent that never asks."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
