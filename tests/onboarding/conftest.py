"""Scripted TLS servers on the loopback, in threads: each does with a connection what its test says."""

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rivta.contracts.installed import Contracts
from rivta.onboarding.check import Target, check
from rivta.onboarding.findings import Finding, Report
from rivta.onboarding.tls_probe import Identity
from rivta.tls.authority import Authority, Issued
from rivta.tls.certificates import (
    Signer,
    Subject,
    Validity,
    authority_certificate,
    function_certificate,
    key_to_pem,
    make_key,
    to_pem,
)
from rivta.tls.contexts import server_context
from rivta.tls.profiles import KeyKind, Profiles

Script = Callable[[socket.socket], None]
"""What a server does with one connection, its handshake made; it may keep it as long as it likes."""


@dataclass(frozen=True, slots=True)
class World:
    """A CA, a caller, and servers' certificates."""

    authority: Authority
    caller: Issued

    def server(self, name: str = "server", **changes: Any) -> Issued:
        """A server's certificate for localhost."""
        wanted: dict[str, Any] = {"hsa_id": "SE1-PRODUCER", "common_name": "Journal", "organisation": "O"}
        return self.authority.issue(name, **{**wanted, "hosts": ["localhost"], "key_kind": KeyKind.EC_P256, **changes})

    def context(self, certificate: Issued | None = None) -> ssl.SSLContext:
        """As a good platform listens."""
        shown = certificate or self.server()
        return server_context(certificate=shown.certificate, key=shown.key, trusted=self.authority.ca)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    authority = Authority.create(tmp_path_factory.mktemp("onboarding") / "certs")
    caller = authority.issue(
        "caller", hsa_id="SE1-CALLER", common_name="c", organisation="O", hosts=[], key_kind=KeyKind.EC_P256
    )
    return World(authority, caller)


@pytest.fixture(scope="session")
def contracts() -> Contracts:
    return Contracts.shipped()


class Server:
    """A listening socket that gives every connection, in its own thread, to a script."""

    def __init__(self, script: Script, context: ssl.SSLContext | None) -> None:
        self._script = script
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        self.port = self._listening.getsockname()[1]

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._closing.set()
        for one in list(self._open):
            self._end(one)
        for thread in self._threads:
            thread.join(timeout=5)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            self._follow(plain)
            thread = threading.Thread(target=self._serve, args=(plain,))
            self._threads.append(thread)
            thread.start()

    def _follow(self, connection: socket.socket) -> None:
        """Lets `close` end a connection, also one that it came too early to see; its own thread closes it."""
        self._open.append(connection)
        if self._closing.is_set():
            self._end(connection)

    @staticmethod
    def _end(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    def _serve(self, plain: socket.socket) -> None:
        with plain, contextlib.suppress(OSError, ValueError):
            plain.settimeout(20)
            if self._context is None:
                self._script(plain)
                return
            with self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as secured:
                self._follow(secured)
                try:
                    secured.do_handshake()
                except ssl.SSLError:
                    _let_read_the_alert(secured)
                else:
                    self._script(secured)


def _let_read_the_alert(secured: ssl.SSLSocket) -> None:
    """Closing with a request unread would reset the connection, and take the alert away from the client."""
    with socket.socket(fileno=os.dup(secured.fileno())) as bare:
        bare.shutdown(socket.SHUT_WR)
        bare.settimeout(5)
        while bare.recv(65536):
            pass


def read_request(connection: socket.socket) -> tuple[str, str, bytes] | None:
    """Method, path and body of the next request; None when the client has left."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            return None
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    length = next((int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:")), 0)
    while len(body) < length:
        piece = connection.recv(65536)
        if not piece:
            return None
        body += piece
    method, path, _ = lines[0].split(" ")
    return method, path, body


@dataclass
class Http:
    """A script that answers each request as `answer` says: status line, headers, body."""

    answer: Callable[[str, str, bytes], tuple[int, dict[str, str], bytes]]
    seen: list[tuple[str, str, bytes]] = field(default_factory=list)

    def __call__(self, connection: socket.socket) -> None:
        while (request := read_request(connection)) is not None:
            self.seen.append(request)
            status, headers, body = self.answer(*request)
            lines = {"Content-Length": str(len(body)), **headers}
            head = f"HTTP/1.1 {status} OK\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            connection.sendall(head.encode() + b"\r\n" + body)


Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server and gives its URL; all are ended with the test."""
    running: list[Server] = []

    def start(script: Script, context: ssl.SSLContext | None, *, host: str = "localhost") -> str:
        running.append(Server(script, context))
        return f"https://{host}:{running[-1].port}/soap"

    yield start
    for server in running:
        server.close()


Look = Callable[..., Report]


@pytest.fixture
def look(world: World, contracts: Contracts) -> Look:
    """Checks a URL as the caller; further arguments are `Target`'s."""

    def run(url: str, **changes: Any) -> Report:
        identity = Identity(world.caller.certificate, world.caller.key, "SE1-CALLER")
        target = Target(**{"url": url, "identity": identity, "trusted": world.authority.ca, "seconds": 15, **changes})
        return check(target, contracts=contracts, now=datetime.now(UTC))

    return run


def finding(report: Report, step: str) -> Finding:
    found = [one for one in report.findings if one.step == step]
    assert len(found) == 1, (step, report.findings)
    return found[0]


def foreign(folder: Path, *, self_signed: bool) -> tuple[Path, Path]:
    """A server's certificate of a CA that nobody knows, or of none at all, and its key."""
    profiles, now = Profiles.shipped(), datetime.now(UTC)
    ca_key, key = make_key(KeyKind.EC_P256), make_key(KeyKind.EC_P256)
    ca = authority_certificate(profiles.issuing, ca_key, signer=None, now=now)
    made = function_certificate(
        Subject("SE1-PRODUCER", "Journal", "O", ("localhost",)),
        key,
        Signer(ca, ca_key),
        validity=Validity(ca.not_valid_before_utc, ca.not_valid_after_utc),
        profile=profiles.function,
    )
    certificate, private = folder / "foreign.pem", folder / "foreign.key"
    certificate.write_bytes(to_pem([ca] if self_signed else [made]))
    private.write_bytes(key_to_pem(ca_key if self_signed else key))
    return certificate, private
