"""As much of HTTP/1.1 as two ends need that send whole messages with Content-Length over kept connections."""

import re

_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength:[ \t]*(\d+)")


class Messages:
    """Cuts a stream of bytes into messages: the bytes of each head, and of its body."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Takes what arrived; (head, body) once a message is whole. Raises ValueError for a body of unknown length."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = self._buffer[: end + 2]
        length = _LENGTH.search(head)
        if length is None:
            raise ValueError(f"a message without Content-Length: {head[:80]!r}")
        whole = end + 4 + int(length[1])
        if len(self._buffer) < whole:
            return None
        body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
        return head, body


def request(path: str, host: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A POST as the consumer sends it, again and again."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer(body: bytes) -> bytes:
    """A 200 with a SOAP body."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/xml;charset=UTF-8\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
