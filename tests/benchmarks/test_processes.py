"""What the kernel says of a process."""

import os
import subprocess
import sys
import time

from benchmarks import processes


def test_processor_time_grows_by_what_was_spent() -> None:
    before = processes.cpu_seconds([os.getpid()])
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    assert 0.15 <= processes.cpu_seconds([os.getpid()]) - before <= 0.6


def test_memory_is_in_megabytes() -> None:
    assert 5 < processes.pss_mb([os.getpid()]) < 2_000


def test_a_family_has_its_children() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in processes.family(os.getpid())
