"""What the stub producers were sent, as they saw it: the newest calls, in memory only, and no more than so much."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

MOST_CALLS = 1000
MOST_KEPT_BYTES = 32 * 1024 * 1024
MOST_BODY_BYTES = 1024 * 1024
"""Of one request; of a longer one the beginning is kept."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request that a stub producer was sent."""

    number: int
    """From 1, since the stub producers were started."""
    time: datetime
    """When it was whole, UTC."""
    producer: str
    logical_address: str
    contract: str
    caller: str | None
    """HSA-id of the certificate that it was made with."""
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    bytes: int
    """Length of the request's body, of which `body` may be the beginning only."""
    behaviour: str
    status: int | None = None
    """Of the answer; None while there is none, and where none was sent."""
    seconds: float | None = None
    """Until the answer was made; None while it is not."""

    def to_json(self, *, with_body: bool) -> dict[str, Any]:
        """Everything of it, or all but what the message says."""
        told = {
            "number": self.number,
            "time": self.time.isoformat(),
            "producer": self.producer,
            "logical_address": self.logical_address,
            "contract": self.contract or None,
            "caller": self.caller,
            "method": self.method,
            "path": self.path,
            "headers": [list(one) for one in self.headers],
            "bytes": self.bytes,
            "behaviour": self.behaviour,
            "status": self.status,
            "seconds": self.seconds,
        }
        return told | {"body": self.body.decode("utf-8", "replace")} if with_body else told


class ReceivedCalls:
    """The newest calls. To be used from one thread."""

    def __init__(self, *, most_calls: int = MOST_CALLS, most_bytes: int = MOST_KEPT_BYTES) -> None:
        self._most_calls, self._most_bytes = most_calls, most_bytes
        self._kept: OrderedDict[int, Received] = OrderedDict()
        self._bytes = 0
        self._last = 0

    @property
    def last(self) -> int:
        """The number of the newest call; 0 before the first."""
        return self._last

    def add(self, call: Received) -> int:
        """Keeps a call, under the next number, which it gives; the oldest are forgotten for it."""
        self._last += 1
        kept = replace(call, number=self._last, body=call.body[:MOST_BODY_BYTES])
        self._kept[kept.number] = kept
        self._bytes += len(kept.body)
        while len(self._kept) > self._most_calls or self._bytes > self._most_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.body)
        return kept.number

    def answered(self, number: int, *, status: int | None, seconds: float) -> None:
        """Notes what became of a call, if it is still there."""
        call = self._kept.get(number)
        if call is not None:
            self._kept[number] = replace(call, status=status, seconds=round(seconds, 4))

    def find(self, wanted: Mapping[str, str], *, after: int = 0, limit: int = MOST_CALLS) -> list[Received]:
        """The newest `limit` calls with a number above `after`, the oldest first, whose fields are as `wanted`, in any
        case: `logical_address`, `producer`, `contract`."""
        found: list[Received] = []
        for call in reversed(self._kept.values()):
            if call.number <= after or len(found) == limit:
                break
            if all(str(getattr(call, name)).upper() == value.upper() for name, value in wanted.items()):
                found.append(call)
        return found[::-1]

    def get(self, number: int) -> Received | None:
        """The call with a number; None for one that never was, or is forgotten."""
        return self._kept.get(number)

    def forget(self) -> int:
        """Forgets all; how many there were."""
        count = len(self._kept)
        self._kept.clear()
        self._bytes = 0
        return count
