"""What tests of several folders share: the checkout, the command, and the running pair as a value."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

Seen = TypeVar("Seen")

CHECKOUT = Path(__file__).resolve().parent.parent


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
