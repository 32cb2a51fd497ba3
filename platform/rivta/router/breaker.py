"""When a producer is not asked for a while, so that calls to it do not wait in vain. Pure: the clocks are passed in.

A circuit is either a whole producer address, opened by failures to connect or to agree on TLS, or one logical address
and contract behind it, opened by read timeouts: a regional platform with one slow system behind it answers for all the
others. One sender's timeouts alone open it for that sender alone: whoever asks what takes long to answer must not have
others refused. What was answered never counts, whatever it says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

_Key = tuple[str, ...]
"""A URL; or a URL, a logical address and a contract."""

_MOST_CIRCUITS = 10_000
_SWEEP_AT = 1_000
_FORGOTTEN_AFTER = 600.0
"""Seconds that a circuit which nobody calls through any more is kept."""


class Ending(Enum):
    """How a call through the breaker ended."""

    ANSWERED = "answered"
    TIMED_OUT = "no answer in time"
    NOT_CONNECTED = "no connection, or none with TLS"
    FAILED = "failed in another way, at once"
    ABANDONED = "nobody waits for it any more"


@dataclass(frozen=True, slots=True)
class Rule:
    """When a circuit opens and for how long. Times in seconds."""

    failures: int
    """How many of them open it; 0 is never."""
    within_seconds: float
    open_seconds: float


@dataclass(frozen=True, slots=True)
class OpenBreaker:
    """A circuit that is open. Times in UTC."""

    url: str
    logical_address: str | None
    """None, as `contract`, when it is the whole address."""
    contract: str | None
    reason: str
    since: datetime
    until: datetime
    """When a call may try it again."""
    is_probing: bool
    """A call is trying it now."""
    sender: str | None = None
    """Whose calls alone are refused; None: everybody's."""


class BreakerIsOpen(Exception):
    """The producer is not asked now."""

    def __init__(self, state: OpenBreaker) -> None:
        super().__init__(state.reason)
        self.state = state


@dataclass(slots=True, eq=False)
class _Circuit:
    failures: deque[tuple[float, str]] = field(default_factory=deque)
    """When it failed lately, in monotonic seconds, and whom."""
    until: float | None = None
    """When it may be tried again; None while it is closed."""
    since: datetime | None = None
    only: str | None = None
    """The sender that it is open for; None: everybody."""
    is_probing: bool = False
    closed_at: float = float("-inf")
    touched: float = 0.0


@dataclass(frozen=True, slots=True)
class Pass:
    """Leave to make one call; to be given back with how it ended."""

    url: str
    key: _Key
    sender: str
    began: float
    probes: tuple[_Circuit, ...] = ()


class Breaker:
    """The circuits of one worker. Every `admit` that gives a pass is followed by one `ended`, also after a cancel."""

    def __init__(self, rule: Rule, *, clock: Callable[[], float], now: Callable[[], datetime]) -> None:
        """`clock` gives monotonic seconds, `now` the time in UTC for people."""
        self._rule = rule
        self._clock = clock
        self._now = now
        self._circuits: dict[_Key, _Circuit] = {}

    @property
    def open(self) -> list[OpenBreaker]:
        """The circuits that are open, those that wait for the next call to try them included."""
        return [self._state(key, one) for key, one in self._circuits.items() if one.until is not None]

    def admit(self, url: str, logical_address: str, contract: str, *, sender: str) -> Pass:
        """Leave to call for that sender. Raises BreakerIsOpen.

        When the time of an open circuit is up, the first call through it is let go to try it, and until that has ended
        it is the only one.
        """
        key, began = (url, logical_address, contract), self._clock()
        if not self._circuits:
            return Pass(url, key, sender, began)
        probes = []
        for one in ((url,), key):
            circuit = self._circuits.get(one)
            if circuit is None or circuit.until is None or circuit.only not in (None, sender):
                continue
            circuit.touched = began
            if began < circuit.until or circuit.is_probing:
                raise BreakerIsOpen(self._state(one, circuit))
            probes.append(circuit)
        for circuit in probes:
            circuit.is_probing = True
        return Pass(url, key, sender, began, tuple(probes))

    def ended(self, leave: Pass, ending: Ending) -> None:
        """Takes note of how a call ended."""
        for circuit in leave.probes:
            circuit.is_probing = False
        if ending is Ending.ABANDONED:
            return
        if ending is Ending.NOT_CONNECTED:
            # What lies behind the address was not reached: a circuit of it that was to be tried still is.
            self._fail((leave.url,), leave)
            return
        if self._circuits:
            self._connected(leave)
        if ending is Ending.TIMED_OUT:
            self._fail(leave.key, leave)
        elif leave.probes:
            self._close_probed(leave.key, leave)

    def _connected(self, leave: Pass) -> None:
        """Only failures to connect in a row open an address: one of several machines behind a name may be down."""
        circuit = self._circuits.get((leave.url,))
        if circuit is not None:
            circuit.failures.clear()
            self._close_probed((leave.url,), leave)

    def _close_probed(self, key: _Key, leave: Pass) -> None:
        circuit = self._circuits.get(key)
        if circuit in leave.probes and circuit is not None:
            circuit.until = circuit.since = circuit.only = None
            circuit.failures.clear()
            circuit.closed_at = circuit.touched = self._clock()

    def _fail(self, key: _Key, leave: Pass) -> None:
        if not self._rule.failures:
            return
        at = self._clock()
        circuit = self._circuits.get(key) or self._new_circuit(key, at)
        circuit.touched = at
        if circuit in leave.probes:
            self._open(circuit, at)
        elif circuit.until is not None and circuit.only not in (None, leave.sender):
            circuit.only = None
            self._open(circuit, at)
        elif circuit.until is None and leave.began >= circuit.closed_at:
            # A call that began before says nothing new: many may have waited when the circuit opened.
            circuit.failures.append((at, leave.sender))
            while circuit.failures[0][0] <= at - self._rule.within_seconds:
                circuit.failures.popleft()
            if len(circuit.failures) >= self._rule.failures:
                senders = {sender for _, sender in circuit.failures}
                # Who cannot be connected to, is so for everybody.
                circuit.only = senders.pop() if len(key) > 1 and len(senders) == 1 else None
                self._open(circuit, at)

    def _open(self, circuit: _Circuit, at: float) -> None:
        circuit.until = at + self._rule.open_seconds
        circuit.since = circuit.since or self._now()

    def _new_circuit(self, key: _Key, at: float) -> _Circuit:
        if len(self._circuits) >= _SWEEP_AT:
            self._sweep(at)
        return self._circuits.setdefault(key, _Circuit())

    def _sweep(self, at: float) -> None:
        """Forgets what has not failed for a while and what nobody calls any more; then, if need be, the oldest."""
        for key, circuit in list(self._circuits.items()):
            kept = self._rule.within_seconds if circuit.until is None else _FORGOTTEN_AFTER
            if not circuit.is_probing and circuit.touched + kept < at:
                del self._circuits[key]
        while len(self._circuits) >= _MOST_CIRCUITS:
            del self._circuits[next(iter(self._circuits))]

    def _state(self, key: _Key, circuit: _Circuit) -> OpenBreaker:
        assert circuit.until is not None
        assert circuit.since is not None
        rule = self._rule
        what = "could not connect, or not agree on TLS," if len(key) == 1 else "got no answer in time"
        row = " in a row" if len(key) == 1 else ""
        return OpenBreaker(
            url=key[0],
            logical_address=key[1] if len(key) > 1 else None,
            contract=key[2] if len(key) > 1 else None,
            reason=f"{rule.failures} calls{row} {what} within {rule.within_seconds:g} s",
            since=circuit.since,
            until=self._now() + timedelta(seconds=circuit.until - self._clock()),
            is_probing=circuit.is_probing,
            sender=circuit.only,
        )
