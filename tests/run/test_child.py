"""What a process gets from its supervisor."""

import asyncio
import os
import signal
import socket

import pytest

from rivta.run.child import Child


def test_listeners_come_by_name() -> None:
    one, two = socket.socketpair()
    with one, two:
        fds = os.dup(one.fileno()), os.dup(two.fileno())
        child = Child.from_options(listen=[f"https={fds[0]}", f"admin={fds[1]}"], ready_fd=None, lifeline_fd=None)
        assert list(child.listeners) == ["https", "admin"]
        assert not child.listeners["https"].getblocking()
        for listener in child.listeners.values():
            listener.close()


@pytest.mark.parametrize("option", ["https", "=3", "https=", "https=x", "https=-1", "https=987"])
def test_a_listener_that_is_none_is_refused(option: str) -> None:
    with pytest.raises(ValueError, match=f"--listen {option}: "):
        Child.from_options(listen=[option], ready_fd=None, lifeline_fd=None)


async def test_ready_is_said_once() -> None:
    reading, writing = os.pipe()
    child = Child(listeners={}, ready_fd=writing)
    child.ready()
    child.ready()
    assert os.read(reading, 100) == b"ready\n"
    assert os.read(reading, 100) == b""
    os.close(reading)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_from_the_moment_it_is_ready(number: signal.Signals) -> None:
    child = Child(listeners={})
    child.ready()
    os.kill(os.getpid(), number)
    async with asyncio.timeout(5):
        await asyncio.gather(child.stopped(), child.stopped())


async def test_it_stops_when_the_supervisor_dies() -> None:
    lifeline, supervisors_end = os.pipe()
    child = Child(listeners={}, lifeline_fd=lifeline)
    waiting = asyncio.create_task(child.stopped())
    await asyncio.sleep(0)
    assert not waiting.done()
    os.close(supervisors_end)
    async with asyncio.timeout(5):
        await waiting
