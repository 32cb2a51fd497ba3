"""Sessions: in the memory of the process only, and gone with it, with log-out or with time.

Everything that is known of a patient is in a session's looks: a page's address names a look by an id that means nothing
in any other session.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rivta.audit.access.entry import Reader
from rivta.viewer.emulated import Staff, WorkAssignment
from rivta.viewer.looking import Look
from rivta.viewer.policy.situation import CareRelation, Consent, Emergency, Patient

MOST_SESSIONS = 500
_MOST_LOOKS = 5
"""Of one session: an older one is wiped."""


@dataclass(slots=True)
class Said:
    """What the reader has said of one patient at this log-in, beside what the emulated services know."""

    relations: list[CareRelation] = field(default_factory=list)
    consents: list[Consent] = field(default_factory=list)
    emergency: Emergency | None = None
    patient: Patient | None = None
    """With a wish that was cleared up."""
    is_needed: bool = True


@dataclass(slots=True)
class Session:
    """One browser."""

    id: str = field(repr=False)
    csrf: str = field(repr=False)
    last_used: datetime
    language: str = "sv"
    staff: Staff | None = None
    assignment: WorkAssignment | None = None
    reader: Reader | None = None
    patient: str = field(default="", repr=False)
    """Of a patient who reads the own log; empty for everybody else."""
    looks: dict[str, Look] = field(default_factory=dict, repr=False)
    said: dict[str, Said] = field(default_factory=dict, repr=False)
    """By patient."""

    @property
    def is_logged_in(self) -> bool:
        """Whether there is anything to be wiped."""
        return self.reader is not None or bool(self.patient)

    def keep(self, look: Look) -> None:
        """One more look-up; those before it about the same patient are over."""
        for old in [one for one in self.looks.values() if one.patient == look.patient]:
            self.looks.pop(old.id).wipe()
        while len(self.looks) >= _MOST_LOOKS:
            self.looks.pop(next(iter(self.looks))).wipe()
        self.looks[look.id] = look

    def said_of(self, patient: str) -> Said:
        """What was said of the patient, to be added to."""
        return self.said.setdefault(patient, Said())

    def wipe(self) -> None:
        """Forgets everybody."""
        for look in self.looks.values():
            look.wipe()
        self.looks.clear()
        self.said.clear()
        self.staff = self.assignment = self.reader = None
        self.patient = ""


class TooMany(Exception):
    """There is no room for another session."""


class Sessions:
    """Every session of the process. `now` gives aware times."""

    def __init__(self, *, now: Callable[[], datetime], idle: timedelta) -> None:
        self._now = now
        self.idle = idle
        self._sessions: dict[str, Session] = {}

    def begin(self, language: str = "sv") -> Session:
        """A session of nobody yet. Raises TooMany when all the room is taken by people who are logged in."""
        self.sweep()
        if len(self._sessions) >= MOST_SESSIONS:
            anonymous = next((one for one in self._sessions.values() if not one.is_logged_in), None)
            if anonymous is None:
                raise TooMany("too many are logged in")
            self._sessions.pop(anonymous.id)
        session = Session(secrets.token_urlsafe(32), secrets.token_urlsafe(32), self._now(), language)
        self._sessions[session.id] = session
        return session

    def find(self, id: str, *, is_activity: bool) -> Session | None:
        """The session that the cookie names, if it is not over. What a page asks by itself is no activity."""
        session = self._sessions.get(id)
        if session is None:
            return None
        if self._is_over(session):
            self.end(session)
            return None
        if is_activity:
            session.last_used = self._now()
        return session

    def renewed(self, session: Session) -> Session:
        """The same browser with a new id, as log-in needs: an id that somebody planted is worth nothing."""
        self.end(session)
        return self.begin(session.language)

    def end(self, session: Session) -> None:
        """Wipes it."""
        self._sessions.pop(session.id, None)
        session.wipe()

    def sweep(self) -> None:
        """Wipes those whose time is up, whether or not their browser comes back."""
        for session in [one for one in self._sessions.values() if self._is_over(one)]:
            self.end(session)

    def wipe(self) -> None:
        """Wipes all."""
        for session in tuple(self._sessions.values()):
            self.end(session)

    def __len__(self) -> int:
        return len(self._sessions)

    def _is_over(self, session: Session) -> bool:
        return self._now() - session.last_used >= self.idle


def is_token(session: Session, given: str) -> bool:
    """Whether a form comes from a page of this very session."""
    return hmac.compare_digest(session.csrf.encode(), given.encode("utf-8", "surrogateescape"))
