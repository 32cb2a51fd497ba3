"""How much a worker holds of long messages: what goes beyond is refused, before the system ends the worker for it.

Requests and answers count together, from their first byte taken in to the last one written: a consumer that sends or
reads slowly holds them for long. Not for several threads at once.
"""

from __future__ import annotations

from collections import Counter
from contextvars import ContextVar

COUNTED_BYTES = 65_536
"""Messages up to this length do not count: that many connections there are not."""


class Overload(Exception):
    """As much is held as may be."""

    def __init__(self) -> None:
        super().__init__("the platform holds as many long messages as it can; try again later")


class Load:
    """What a listener's calls hold together, in bytes. One sender leaves a quarter of it to the others."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_of_one = most - most // 4
        self._by_sender: Counter[str] = Counter()
        self.held = 0

    def share(self, sender: str) -> Share:
        """What one call is going to hold."""
        return Share(self, sender)

    def take(self, sender: str, size: int) -> None:
        """Raises Overload."""
        if self.held + size > self._most or self._by_sender[sender] + size > self._most_of_one:
            raise Overload
        self.held += size
        self._by_sender[sender] += size

    def give_back(self, sender: str, size: int) -> None:
        """What was taken before."""
        self.held -= size
        self._by_sender[sender] -= size
        if not self._by_sender[sender]:
            del self._by_sender[sender]


class Share:
    """What one call holds, until it is given back."""

    __slots__ = ("_load", "_sender", "_size")

    def __init__(self, load: Load, sender: str) -> None:
        self._load = load
        self._sender = sender
        self._size = 0

    def take(self, size: int) -> None:
        """So many bytes more. Raises Overload, and then none of them are taken."""
        self._load.take(self._sender, size)
        self._size += size

    def give_back(self) -> None:
        """Everything; doing it again changes nothing."""
        if self._size:
            self._load.give_back(self._sender, self._size)
            self._size = 0


_CURRENT: ContextVar[Share | None] = ContextVar("_CURRENT", default=None)


def carry_with(share: Share) -> None:
    """What is taken from now on in this task is this call's."""
    _CURRENT.set(share)


def take(size: int) -> None:
    """So many bytes more for the call of this task, if it is one. Raises Overload."""
    share = _CURRENT.get()
    if share is not None:
        share.take(size)
