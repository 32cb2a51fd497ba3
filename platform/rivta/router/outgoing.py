"""Answers as they go onto the wire.

In place of the library's response: that one leaves out of a header what is not UTF-8, and writes a large body in one
piece, which over TLS stalls everybody else meanwhile.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol

from aiohttp import web

from rivta.router.messages import Answer

_SLICE_BYTES = 256 * 1024
_CONTROLS = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NOT_IN_A_LINE = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")
_WITHOUT_BODY = frozenset({204, 304})


class Consumer(Protocol):
    """A connection as an answer is written to it."""

    transport: asyncio.Transport | None

    async def written(self) -> None:
        """Returns when there is room to write more. Raises ConnectionError when the other end has gone."""

    def watch_reading(self) -> None:
        """From now on the other end has to read."""


class Outgoing:
    """An answer on its way, with what the library asks of a response."""

    __slots__ = ("_answer", "_consumer", "_head", "_sends_body", "_server", "keep_alive", "when_written")

    def __init__(self, answer: Answer, *, server: str) -> None:
        """`server` is the Server header; empty: the answer's own, if it has one."""
        self._answer = answer
        self._server = server
        self._head = b""
        self._sends_body = True
        self.keep_alive = not answer.close
        self.when_written: Callable[[], None] | None = None
        """Called at the end, however it went."""

    def force_close(self) -> None:
        """The connection ends with this answer."""
        self.keep_alive = False

    async def prepare(self, request: web.BaseRequest) -> None:
        """Makes the head of the answer to `request`."""
        self.keep_alive = self.keep_alive and request.keep_alive
        answer = self._answer
        lines = [_status_line(answer.status)]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        if self._server:
            lines.append(f"Server: {self._server}")
        if answer.status not in _WITHOUT_BODY:
            lines.append(f"Content-Length: {len(answer.body)}")
        lines.append("Connection: keep-alive" if self.keep_alive else "Connection: close")
        lines.append(f"Date: {_date(int(time.time()))}")
        self._head = _joined(lines)
        self._sends_body = request.method != "HEAD" and answer.status not in _WITHOUT_BODY
        self._consumer: Consumer = request.protocol  # type: ignore[assignment]

    async def write_eof(self) -> None:
        """Writes it, as fast as the other end reads."""
        try:
            await self._write()
        finally:
            if self.when_written is not None:
                self.when_written()

    async def _write(self) -> None:
        body = self._answer.body if self._sends_body else b""
        if len(body) <= _SLICE_BYTES:
            _write(self._consumer, self._head + body)
        else:
            await self._write_slices(memoryview(body))
        await self._consumer.written()

    async def _write_slices(self, body: memoryview) -> None:
        consumer = self._consumer
        consumer.watch_reading()
        _write(consumer, self._head)
        for start in range(0, len(body), _SLICE_BYTES):
            _write(consumer, body[start : start + _SLICE_BYTES])
            await consumer.written()
            await asyncio.sleep(0)


def _joined(lines: list[str]) -> bytes:
    """The head, its bytes as they once came. A line that would end early, and so be two, is left out; so is one with
    other control characters, for which strict clients give up the whole answer (RFC 9110 section 5.5)."""
    head = "\r\n".join(lines)
    breaks = len(lines) - 1
    if head.count("\n") != breaks or head.count("\r") != breaks or _CONTROLS.search(head) is not None:
        head = "\r\n".join(line for line in lines if _NOT_IN_A_LINE.search(line) is None)
    return f"{head}\r\n\r\n".encode("utf-8", "surrogateescape")


def _write(consumer: Consumer, data: bytes | memoryview) -> None:
    transport = consumer.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the consumer has gone")
    transport.write(data)


@lru_cache(maxsize=100)
def _status_line(status: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}"


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
