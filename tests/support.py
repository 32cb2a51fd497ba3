"""What tests of several folders share: the checkout, the command, and the running pair as a value."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
