"""What tests of several folders share: the checkout, the command, and the running pair as a value."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

Seen = TypeVar("Seen")

CHECKOUT = Path(__file__).resolve().parent.parent


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


HAS_IPV6 = _has_ipv6()


@dataclass(frozen=True, slots=True)
class Pair:
    """Two running platforms with their producers: where they live, and what they wrote to endpoints.json."""

    home: Path
    endpoints: dict[str, Any]


def run_rivta(*arguments: str, home: Path | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the command `rivta` as a user would; the result has its exit code and texts, whatever they are."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RIVTA_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(CHECKOUT / "platform"), str(CHECKOUT)])
    if home is not None:
        environment["RIVTA_HOME"] = str(home)
    command = [sys.executable, "-m", "rivta", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)


def logs_of(home: Path, lines: int = 15) -> str:
    """The last lines of each log of the pair in `home`, for the message of a test that failed."""
    parts = []
    for log in sorted((home / "log").glob("*.log")):
        tail = log.read_text(errors="replace").splitlines()[-lines:]
        parts.append("\n".join([f"--- {log.name}", *tail]))
    return "\n".join(parts)


def until(look: Callable[[], Seen | None], *, seconds: float = 15, every: float = 0.02) -> Seen:
    """What `look` sees once that is true, looked at again and again; fails with what it saw last."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain; seen last: {seen!r}"
        time.sleep(every)
    return seen


async def until_true(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    """Returns once the condition holds; TimeoutError when that takes too long."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for is on the disk or in another process, and tells nobody
            await asyncio.sleep(0.01)


@contextmanager
def running_pair(home: Path, *options: str) -> Iterator[Pair]:
    """A pair with two workers per platform, from entering to leaving; what `rivta up` says where it does not start."""
    started = run_rivta("up", "--home", str(home), "--workers", "2", "--detach", *options, timeout=90)
    try:
        if started.returncode:
            pytest.fail(f"rivta up ended with {started.returncode}:\n{started.stderr}{logs_of(home)}", pytrace=False)
        yield Pair(home=home, endpoints=json.loads((home / "endpoints.json").read_text()))
    finally:
        run_rivta("down", "--home", str(home))
