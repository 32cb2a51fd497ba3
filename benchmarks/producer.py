"""A producer that is never the bottleneck: mutual TLS, and a canned answer for each path, written as it was read.

It reads neither XML nor headers. Several processes share the port, as the workers of a platform do.
"""

import argparse
import asyncio
import signal
import socket
import sys
from pathlib import Path
from typing import cast

import uvloop

from benchmarks import wire
from rivta.tls.contexts import server_context


class Canned(asyncio.Protocol):
    """One connection: every whole request is answered with what belongs to its path."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers
        self._messages = wire.Messages()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods of asyncio.Transport without being one.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        message = self._messages.feed(data)
        if message is not None and self._transport is not None and not self._transport.is_closing():
            path = message[0].split(b" ", 2)[1]
            self._transport.write(self._answers[path])


def answers_in(folder: Path) -> dict[bytes, bytes]:
    """The answer for each path: the file `2kb.xml` answers `/2kb`."""
    return {f"/{file.stem}".encode(): wire.answer(file.read_bytes()) for file in folder.glob("*.xml")}


async def serve(arguments: argparse.Namespace) -> None:
    """Listen until told to stop. Prints a line when it does."""
    loop = asyncio.get_running_loop()
    context = server_context(certificate=arguments.certificate, key=arguments.key, trusted=arguments.trusted)
    answers = answers_in(arguments.answers)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", arguments.port))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(lambda: Canned(answers), sock=listener, ssl=context, backlog=1024)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    await stop.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    for name in ("certificate", "key", "trusted", "answers"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
