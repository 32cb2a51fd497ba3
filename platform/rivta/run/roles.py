"""What the supervisor starts, and what it says about it: plain values, no processes."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any


class Renewal(Enum):
    """How a running role is replaced by a process of today's program and settings."""

    BESIDE = "beside"
    """The new process serves before the old one stops: both use the same listening sockets."""
    IN_TURN = "in turn"
    """The old one stops first, since there may be one only; who connects meanwhile waits."""
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Role:
    """One process of the pair."""

    name: str
    command: tuple[str, ...]
    """What follows the interpreter, as `("-m", "rivta", "worker", "--config", ...)`."""
    listeners: tuple[tuple[str, str], ...] = ()
    """(name that the process knows, name that the supervisor knows) of the sockets that it gets."""
    depends_on: tuple[str, ...] = ()
    """Names of roles that must be ready before this one starts for the first time."""
    stops: int = 0
    """Roles stop in the order of this number; those with the same number stop together."""
    renewal: Renewal = Renewal.NEVER


class State(Enum):
    """Where a role is in its life."""

    WAITING = "waiting"
    """For the roles that it depends on."""
    STARTING = "starting"
    READY = "ready"
    REPLACING = "replacing"
    """It serves, while its successor starts or its predecessor finishes."""
    RESTARTING = "restarting"
    """It died, and waits for its back-off to pass."""
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    """It never became ready, and will not be tried again."""


@dataclass(frozen=True, slots=True)
class RoleStatus:
    """A role now."""

    name: str
    state: State = State.WAITING
    pid: int | None = None
    started: datetime | None = None
    restarts: int = 0
    last_exit: str | None = None
    """Why it ended last, in words, with the last line of its log."""

    def to_json(self) -> dict[str, Any]:
        """The role as it stands in supervisor.json."""
        return {
            "name": self.name,
            "pid": self.pid,
            "state": self.state.value,
            "started": self.started.isoformat(timespec="milliseconds") if self.started else None,
            "restarts": self.restarts,
            "last_exit": self.last_exit,
        }


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before starting again what died."""

    first_seconds: float = 0.1
    longest_seconds: float = 5.0
    well_after_seconds: float = 30.0
    """A process that was ready this long starts again without delay piling up."""

    def delay(self, failures: int) -> float:
        """Seconds to wait after `failures` (1 or more) failures in a row."""
        return float(min(self.first_seconds * 2 ** min(failures - 1, 30), self.longest_seconds))
