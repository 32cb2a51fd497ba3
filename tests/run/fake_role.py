"""A role to supervise: does what its first argument says. Only what a supervisor can see matters here."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from rivta.run.child import Child
from rivta.run.ports import BACKLOG


async def serve(child: Child, notes: Path) -> None:
    """Answers every connection with this process's number, then notes when it was stopped."""
    servers = [await asyncio.start_server(_answer, sock=one, backlog=BACKLOG) for one in child.listeners.values()]
    child.ready()
    await child.stopped()
    # Who was accepted is answered; asyncio drops those of a server that was closed before it came to them.
    for one in child.listeners.values():
        asyncio.get_running_loop().remove_reader(one)
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)
    for server in servers:
        server.close()
    with notes.open("a") as file:
        file.write(f"{os.getpid()} stopped\n")


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(f"{os.getpid()}\n".encode())
    await writer.drain()
    writer.close()


async def hang(child: Child) -> None:
    """Ready, but never runs its loop again, as if one call had taken it for ever."""
    child.ready()
    while True:
        signal.pause()


async def ignore_successors(child: Child) -> None:
    """Serves until it is stopped, whoever has taken its place."""
    child.ready()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: None)
    await child.stopped()


def crash_once(child: Child, notes: Path) -> None:
    """Dies at its first start, and serves from the second on."""
    if not notes.exists():
        notes.write_text("")
        print("the first start is never easy", flush=True)
        sys.exit(3)
    asyncio.run(serve(child, notes))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("behaviour")
    parser.add_argument("notes", type=Path)
    parser.add_argument("--listen", action="append", default=[])
    parser.add_argument("--ready-fd", type=int)
    parser.add_argument("--lifeline-fd", type=int)
    given = parser.parse_args()
    child = Child.from_options(listen=given.listen, ready_fd=given.ready_fd, lifeline_fd=given.lifeline_fd)
    match given.behaviour:
        case "serve":
            asyncio.run(serve(child, given.notes))
        case "crash":
            print("no such table: routes", flush=True)
            sys.exit(3)
        case "crash-once":
            crash_once(child, given.notes)
        case "serve-once":
            if given.notes.exists():
                print("platform.worker: unknown key", flush=True)
                sys.exit(1)
            given.notes.touch()
            asyncio.run(serve(child, given.notes))
        case "stubborn-to-successors":
            asyncio.run(ignore_successors(child))
        case "silent":
            signal.pause()
        case "stubborn":
            asyncio.run(hang(child))
        case other:
            raise SystemExit(f"unknown behaviour {other}")


if __name__ == "__main__":
    main()
