"""Ports that are free, and processes that are there to answer on them."""

import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, *, alive: Callable[[], bool], log: Path, seconds: float = 10) -> None:
    """Return once something listens on `port`. RuntimeError with the end of `log` if it never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and alive():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    said = log.read_text(errors="replace")[-800:] if log.exists() else ""
    raise RuntimeError(f"nothing listens on port {port}: {said or 'and the log says nothing'}")
