"""Which port each service of a pair has, and the sockets that hold them."""

import errno
import random
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

DEFAULT_BASE = 20000
BLOCK = 100
"""Ports that a pair may use from its base."""
BACKLOG = 1024
"""Connections that wait on a listener while the process behind it is restarted; the kernel may lower it."""

CONSOLE = 0
PLATFORM_OFFSETS = {"national": 10, "regional": 20}
HTTPS, HTTP, ADMIN = 0, 1, 2
"""Offsets within a platform."""
EVERYWHERE, EVERYWHERE_V6 = "0.0.0.0", "::"
"""Every address of this machine."""
STUBS_ADMIN = 30
FIRST_PRODUCER = 31

_AUTO_FIRST, _AUTO_LAST = 20100, 32600
"""Where `auto` looks: above the fixed default, below the ports that Linux gives to outgoing connections."""


class PortInUse(OSError):
    """A port that a role needs is taken; the message says which, for whom, and what to do."""


@dataclass(frozen=True, slots=True)
class Port:
    """A door that a role needs: the listener's name, the offset from the port base, and where it is open."""

    listener: str
    offset: int
    host: str = "127.0.0.1"


def open_ports(ports: Iterable[Port], base: int) -> dict[str, socket.socket]:
    """Listen on every port; the sockets by listener name. Raises PortInUse, having closed what it opened."""
    opened: dict[str, socket.socket] = {}
    try:
        for port in ports:
            opened[port.listener] = listen(port.host, base + port.offset, role=port.listener)
    except OSError:
        for listener in opened.values():
            listener.close()
        raise
    return opened


def open_free_block(ports: Iterable[Port], *, start: int | None = None) -> tuple[int, dict[str, socket.socket]]:
    """The base of a block whose ports were all free, with every port already listening, so that nobody else gets them.

    The search begins at block `start` (None: anywhere, so that several pairs starting at once seldom collide) and goes
    round once. Raises PortInUse when no block is free.
    """
    wanted = tuple(ports)
    for base in _blocks(start):
        try:
            return base, open_ports(wanted, base)
        except PortInUse:
            continue
    raise PortInUse(f"no free block of {BLOCK} ports between {_AUTO_FIRST} and {_AUTO_LAST}: stop other pairs first")


def listen(host: str, port: int, *, role: str) -> socket.socket:
    """A listening, non-blocking TCP socket; on `::`, for callers of IPv4 too, whatever the machine's default is.

    Raises PortInUse naming the port and the role that wanted it.
    """
    is_v6 = ":" in host
    try:
        listener = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise _explained(error, host, port, role) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_v6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == EVERYWHERE_V6 else 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _explained(error, host, port, role) from error
    listener.setblocking(False)
    return listener


def listen_at(address: str, *, role: str) -> socket.socket:
    """The same, on an address as the settings have it, `127.0.0.1:20010`."""
    return listen(*host_and_port(address), role=role)


def host_and_port(address: str) -> tuple[str, int]:
    """The two halves of `127.0.0.1:20010` or `[::1]:20010`."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def at(host: str, port: int) -> str:
    """The two halves as one, as they stand in settings and URLs."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen_unix(path: Path) -> socket.socket:
    """A listening, non-blocking Unix socket; replaces a socket that a killed process left behind."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def close(listener: socket.socket) -> None:
    """Close a listener for good; a Unix socket's file goes with it."""
    if listener.family == socket.AF_UNIX:
        Path(listener.getsockname()).unlink(missing_ok=True)
    listener.close()


def _blocks(start: int | None) -> Iterator[int]:
    blocks = list(range(_AUTO_FIRST, _AUTO_LAST, BLOCK))
    first = random.randrange(len(blocks)) if start is None else blocks.index(start)
    yield from blocks[first:] + blocks[:first]


def _explained(error: OSError, host: str, port: int, role: str) -> OSError:
    if error.errno == errno.EADDRINUSE:
        return PortInUse(
            f"port {port} on {host}, which {role} needs, is in use: stop what uses it (another pair? `rivta status`), "
            "or choose other ports with --port-base N or --port-base auto",
        )
    if error.errno == errno.EACCES:
        return PortInUse(f"port {port}, which {role} needs, is not for this user: use one over 1023")
    if error.errno == errno.EADDRNOTAVAIL:
        return PortInUse(f"{host} is no address of this machine: {role} cannot listen there (--listen)")
    if error.errno == errno.EAFNOSUPPORT:
        return PortInUse(f"{host}, where {role} is to listen, is an address of IPv6, which this machine does not have")
    return PortInUse(f"{role} cannot listen on {at(host, port)}: {error.strerror}")
