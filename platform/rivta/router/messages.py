"""What passes between the router and its transport: plain values, so that the router needs no socket to be tested."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # settings read headers' names from here, and a command line need not load cryptography for that
    from rivta.router.record import RecordedSource
    from rivta.tls.sender import Sender

Headers = tuple[tuple[str, str], ...]
"""Header lines as they came or go, in order, names in the sender's spelling."""


def _first(headers: Headers, name: str) -> str:
    wanted, length = name.lower(), len(name)
    for key, value in headers:
        if len(key) == length and key.lower() == wanted:
            return value
    return ""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection, as TLS has proved it."""

    address: str
    """IP address."""
    sender: Sender | None
    problem: str = ""
    """Why there is no sender, in the words of the fault's detail."""
    tls: str | None = None
    """Version and cipher, as `TLSv1.3 TLS_AES_256_GCM_SHA384`; None outside TLS."""
    plain: bool = False
    """Whether the connection is without TLS, so that nothing is proved."""
    inside: str | None = None
    """HSA-id that this very worker calls for, where there is no connection: set by the platform's own services only."""


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request as a consumer sent it."""

    method: str
    path: str
    query: dict[str, str]
    """Decoded; a parameter without value has the empty string."""
    headers: Headers
    body: bytes
    peer: Peer
    raw_query: str = ""
    """The query as it stands in the request target, without its question mark."""
    answer_seconds: float | None = None
    """So long whoever calls can wait for the producer, where that may be less than what the platform gives it."""
    is_hurried: bool = False
    """That is so little that a producer which does not make it is not thought to be in trouble."""

    def all(self, name: str) -> list[str]:
        """The values of every header `name` (any case) that has one, trimmed, in order."""
        wanted = name.lower()
        return [trimmed for key, value in self.headers if key.lower() == wanted and (trimmed := value.strip())]

    def header(self, name: str) -> str:
        """The first value of the header `name` (any case), trimmed; empty when there is none."""
        return _first(self.headers, name).strip()


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer to a consumer. `close` ends the connection after it."""

    status: int
    headers: Headers
    body: bytes
    close: bool = False


Handler = Callable[[Request], Awaitable[Answer]]

TurnAway = Callable[[Request, int, str], Awaitable[Answer]]
"""Answers a request that ends before its body was read: its head, the HTTP status and a line of text for the sender."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where and how a producer is called. Times in seconds."""

    url: str
    connect_seconds: float
    answer_seconds: float
    """From the first byte sent to the last byte of the answer, the time to connect included."""
    max_answer_bytes: int
    client_certificate: str | None = None
    ca: str | None = None
    """Names of the TLS targets whose certificate is shown, and whose trust counts; None is by host and port."""


@dataclass(frozen=True, slots=True)
class ProducerAnswer:
    """What a producer answered."""

    status: int
    reason: str
    headers: Headers
    body: bytes
    sources: tuple[RecordedSource, ...] = ()
    """What an aggregate of our own was made of."""

    def header(self, name: str) -> str:
        """The first value of the header `name` (any case); empty when there is none."""
        return _first(self.headers, name)


class Trouble(Enum):
    """How a call to a producer can fail below HTTP."""

    CANNOT_CONNECT = "cannot connect"
    CONNECT_TIMEOUT = "connect timeout"
    RESET = "reset"
    TIMEOUT = "read timeout"
    TLS = "tls"
    NO_ANSWER = "closed without answering"
    TOO_LARGE = "answer too large"
    BAD_ANSWER = "not http"
    CUT_SHORT = "closed within the answer"
    NO_IDENTITY = "no such TLS identity"


NOTHING_SENT = frozenset({Trouble.CANNOT_CONNECT, Trouble.CONNECT_TIMEOUT})
"""Failures before the first byte of the request that may pass by themselves: after these, and only these, sending again
cannot do a thing twice and may help."""


class ProducerFailure(Exception):
    """No whole answer came from the producer: what happened and, in `message`, the words of whoever noticed."""

    def __init__(self, trouble: Trouble, message: str) -> None:
        super().__init__(f"{trouble.value}: {message}")
        self.trouble = trouble
        self.message = message
