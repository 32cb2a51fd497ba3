"""What the kernel says of processes: processor time and memory."""

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes so far, all their threads (proc(5), fields 14 and 15 of stat)."""
    return sum(_ticks(Path(f"/proc/{pid}/stat").read_text()) for pid in pids) / _TICKS


def _ticks(stat: str) -> int:
    # The second field is the program's name in brackets, and may hold anything.
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def pss_mb(pids: Iterable[int]) -> float:
    """Memory of these processes, what they share counted once, in MB of 10^6 bytes."""
    return sum(_proportional_kib(Path(f"/proc/{pid}/smaps_rollup").read_text()) for pid in pids) * 1024 / 1e6


def _proportional_kib(rollup: str) -> int:
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def children(pid: int) -> list[int]:
    """The processes that `pid` started and that are alive."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def family(pid: int) -> list[int]:
    """`pid`, its children and theirs."""
    return [pid, *(member for child in children(pid) for member in family(child))]
