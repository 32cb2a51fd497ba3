"""Connections to an endpoint of which nothing good is known: every wait has an end, every answer a bound."""

from __future__ import annotations

import contextlib
import http.client
import io
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self, cast
from urllib.parse import urlsplit

_MAX_ANSWER = 5 * 1024 * 1024
_PIECE = 65536
_NOT_TLS = frozenset(
    {
        "WRONG_VERSION_NUMBER",
        "HTTP_REQUEST",
        "HTTPS_PROXY_REQUEST",
        "PACKET_LENGTH_TOO_LONG",
        "RECORD_LAYER_FAILURE",
        "UNEXPECTED_MESSAGE",
        "BAD_RECORD_TYPE",
        "DATA_LENGTH_TOO_LONG",
        "BAD_PROTOCOL_VERSION_NUMBER",
    }
)
"""OpenSSL's reasons when what came back is no TLS."""


class Kind(Enum):
    """How talking to an endpoint can fail."""

    NO_NAME = "the name is not known"
    REFUSED = "nothing listens there"
    UNREACHABLE = "the host cannot be reached"
    TIMEOUT = "no answer in time"
    NOT_TLS = "it does not speak TLS"
    ALERT = "it refused the handshake"
    DISTRUSTED = "its certificate is not accepted"
    TLS = "no agreement on TLS"
    CLOSED = "it closed the connection"
    NOT_HTTP = "it does not speak HTTP"
    TOO_LONG = "the answer is too long"


class Failure(Exception):
    """No connection, no handshake or no answer: of which kind, and the words of whoever noticed."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(f"{kind.value}: {text}" if text else kind.value)
        self.kind = kind
        self.text = text


class OutOfTime(Exception):
    """The whole check has used up its time."""


class Deadline:
    """When the whole check has to end."""

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def within(self, seconds: float) -> float:
        """So many seconds, or what is left of them all. Raises OutOfTime when nothing is."""
        left = self._end - self._clock()
        if left <= 0:
            raise OutOfTime
        return min(seconds, left)


@dataclass(frozen=True, slots=True)
class Address:
    """A URL taken apart."""

    url: str
    secure: bool
    host: str
    port: int
    path: str
    """With what follows `?`."""
    ips: tuple[str, ...] = ()
    """What the host was looked up as; none stands for the host itself."""

    @classmethod
    def of(cls, url: str) -> Address:
        """Raises ValueError, saying what is wrong with it."""
        parts = urlsplit(url)  # ValueError for brackets and the like
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ValueError("expected https://host[:port]/path")
        if parts.username or parts.password:
            raise ValueError("a user name or password in a URL is not RIV-TA: who calls is in the certificate")
        if parts.fragment or not url.isprintable() or not url.isascii() or " " in url:
            raise ValueError("expected https://host[:port]/path, in ASCII and without #")
        secure = parts.scheme == "https"
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        return cls(url, secure, parts.hostname, parts.port or (443 if secure else 80), path)

    @property
    def host_header(self) -> str:
        """As HTTP's Host header names it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    stays_open: bool
    """The server lets the connection be used again."""

    def header(self, name: str) -> str:
        """The first value of a header, by its name in any case; empty when there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


def look_up(host: str, port: int, *, seconds: float) -> list[str]:
    """The IP addresses of a host. Raises Failure. The system's own look-up cannot be interrupted: it gets a thread."""
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
        except (OSError, UnicodeError) as error:
            answers.put(error if isinstance(error, OSError) else OSError(str(error)))

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise Failure(Kind.TIMEOUT, f"no answer from DNS within {seconds:.0f} s") from None
    if isinstance(answer, OSError):
        raise Failure(Kind.NO_NAME, answer.strerror or str(answer)) from answer
    return answer


def connect(address: Address, *, seconds: float) -> socket.socket:
    """A TCP connection. Raises Failure."""
    began = time.monotonic()
    last: Failure | None = None
    for ip in address.ips or (address.host,):
        left = seconds - (time.monotonic() - began)
        if left <= 0:
            break
        try:
            return socket.create_connection((ip, address.port), timeout=left)
        except TimeoutError:
            last = Failure(Kind.TIMEOUT, f"no connection within {seconds:.0f} s")
        except ConnectionRefusedError:
            last = last or Failure(Kind.REFUSED, f"port {address.port} of {address.host}")
        except OSError as error:
            last = last or Failure(Kind.UNREACHABLE, error.strerror or str(error))
    raise last or Failure(Kind.TIMEOUT, f"no connection within {seconds:.0f} s")


class Connection:
    """One connection to an endpoint, with TLS or without; a context manager."""

    def __init__(self, sock: socket.socket, address: Address) -> None:
        self._sock = sock
        self._address = address

    @classmethod
    def open(cls, address: Address, context: ssl.SSLContext | None, *, seconds: float) -> Self:
        """Connects and shakes hands, in `seconds` for both. Raises Failure."""
        began = time.monotonic()
        plain = connect(address, seconds=seconds)
        if context is None:
            return cls(plain, address)
        plain.settimeout(max(0.1, seconds - (time.monotonic() - began)))
        try:
            return cls(context.wrap_socket(plain, server_hostname=address.host), address)
        except (OSError, ValueError) as error:
            plain.close()
            raise failure_of(error, seconds) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes it without waiting for the other side."""
        with contextlib.suppress(OSError):
            self._sock.close()

    @property
    def tls(self) -> ssl.SSLSocket:
        """The connection's TLS side; only where it has one."""
        assert isinstance(self._sock, ssl.SSLSocket)
        return self._sock

    def chain(self) -> list[bytes]:
        """The DER of every certificate that the server sent, its own first."""
        public = getattr(self.tls, "get_unverified_chain", None)  # from Python 3.13 on
        if public is not None:
            return [bytes(one) for one in public()]
        inner = cast(Any, self.tls)._sslobj
        return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in inner.get_unverified_chain() or ()]

    def exchange(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes = b"", seconds: float
    ) -> HttpAnswer:
        """One request and its whole answer, in `seconds` from first byte to last. Redirects are not followed.

        Raises Failure.
        """
        patient = _Patient(self._sock, time.monotonic() + seconds)
        lines = {"Host": self._address.host_header, "Content-Length": str(len(body)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        try:
            patient.send(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)
            return _read_answer(patient, method)
        except http.client.RemoteDisconnected as error:
            raise Failure(Kind.CLOSED, "without an answer") from error
        except http.client.BadStatusLine as error:
            raise Failure(Kind.NOT_HTTP, f"it begins with {_shown(str(error))}") from error
        except http.client.IncompleteRead as error:
            raise Failure(Kind.CLOSED, "before the end of its answer") from error
        except (http.client.HTTPException, ValueError) as error:
            raise Failure(Kind.NOT_HTTP, f"{type(error).__name__}") from error
        except OSError as error:
            raise failure_of(error, seconds) from error


def failure_of(error: Exception, seconds: float) -> Failure:
    """What an error of the socket or of TLS means."""
    match error:
        case TimeoutError():
            return Failure(Kind.TIMEOUT, f"within {seconds:.0f} s")
        case ssl.SSLCertVerificationError():
            return Failure(Kind.DISTRUSTED, error.verify_message)
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError() | ConnectionError():
            return Failure(Kind.CLOSED, "")
        case ssl.SSLError():
            reason = error.reason or str(error)
            if reason in _NOT_TLS:
                return Failure(Kind.NOT_TLS, reason.replace("_", " ").lower())
            kind = Kind.ALERT if "ALERT" in reason else Kind.TLS
            return Failure(kind, reason.rpartition("ALERT_")[2].replace("_", " ").lower())
        case OSError():
            return Failure(Kind.CLOSED, error.strerror or str(error))
        case _:
            return Failure(Kind.TLS, str(error))


class _Patient(io.RawIOBase):
    """A socket as a file for `http.client`, until a moment: a server that drips bytes does not get more time."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock = sock
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._hurry()
        return self._sock.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What `http.client` asks a socket for."""
        return io.BufferedReader(self, _PIECE)

    def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._hurry()
            view = view[self._sock.send(view[:_PIECE]) :]

    def _hurry(self) -> None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)


def _read_answer(patient: _Patient, method: str) -> HttpAnswer:
    response = http.client.HTTPResponse(cast(socket.socket, patient), method=method)
    response.begin()
    body = response.read(_MAX_ANSWER + 1)
    if len(body) > _MAX_ANSWER:
        raise Failure(Kind.TOO_LONG, f"more than {_MAX_ANSWER} bytes")
    if response.length:
        raise http.client.IncompleteRead(body)
    return HttpAnswer(
        response.status, response.reason, tuple(response.getheaders()), body, stays_open=not response.will_close
    )


def _shown(line: str) -> str:
    """The beginning of what came, fit for a terminal."""
    return repr(line[:40])
