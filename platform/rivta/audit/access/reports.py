"""A patient's questions to the log, whose answers may be fetched later (GetAccessLogsForPatient's queued report).

A question waits in the log's database under an id of its own; its answer is never stored. Since the log is only added
to, any node can make it again: the answer to a question is what stood in the log when it was asked.
"""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from rivta.audit.access.entry import StoredEntry
from rivta.audit.access.log import AccessLog, AccessLogUnreadable
from rivta.store.access_schema import access_reports
from rivta.store.engine import writing

MOST_ROWS = 10_000
"""Of an answer; more, and the question is to be narrowed (the contract's rule)."""
KEPT = timedelta(hours=1)
"""How long a question waits for its answer to be fetched."""
_r = access_reports.c


class State(Enum):
    """How far an answer has come."""

    READY = "ready"
    QUEUED = "queued"
    IN_PROCESS = "in process"
    TOO_MANY = "too many"
    NOT_FOUND = "not found"
    BUSY = "busy"
    """Too many questions wait already; this one was not taken."""


@dataclass(frozen=True, slots=True)
class Question:
    """Who looked at what of a patient, in a time."""

    patient: str = field(repr=False)
    since: datetime
    until: datetime
    """Not included."""
    consumer: str = ""
    """HSA-id of the system that asks: only it may fetch the answer."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of an answer."""

    state: State
    id: str = ""
    entries: Sequence[StoredEntry] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is held for questions."""

    patience_seconds: float = 1.0
    """So long a caller waits for its answer, before it is told to come again."""
    jobs: int = 100
    """Questions that are worked on, or wait for it, in this process, or whose answers are held ready."""
    held_rows: int = 100_000
    """Of answers that are held ready; of the rest the answer is made again when it is fetched."""
    waiting: int = 10_000
    """Questions in the database."""


DEFAULT_LIMITS = Limits()


@dataclass(slots=True)
class _Job:
    question: Question
    asked: datetime
    result: Future[list[StoredEntry]]


class Reports:
    """The questions to one log. May be called from any thread."""

    def __init__(
        self,
        log: AccessLog,
        *,
        clock: Callable[[], datetime],
        earliest: Callable[[datetime], datetime],
        limits: Limits = DEFAULT_LIMITS,
        threads: int = 2,
    ) -> None:
        """`earliest` says from when on the log can be read, for a question that was asked at a time."""
        self._log = log
        self._clock = clock
        self._earliest = earliest
        self._limits = limits
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="reports")
        self._lock = threading.Lock()
        self._jobs: OrderedDict[str, _Job] = OrderedDict()

    def close(self) -> None:
        """Begin nothing more."""
        self._threads.shutdown(cancel_futures=True)

    def ask(self, question: Question) -> Report:
        """The answer, if it is quick; else where it stands, and the id to fetch it by. Raises AccessLogUnreadable."""
        id, asked = str(uuid.uuid4()), self._clock()
        job = self._start(id, question, asked)
        if job is None:
            return Report(State.BUSY)
        report = self._wait(id, job)
        if report.state in (State.QUEUED, State.IN_PROCESS) and not self._keep(id, job):
            self._forget(id)
            return Report(State.BUSY)
        return report

    def fetch(self, id: str, question: Question) -> Report:
        """The same for a question that was asked before, by the id it was given; NOT_FOUND for any other."""
        with self._lock:
            job = self._jobs.get(id)
        if job is None:
            asked = self._kept(id, question)
            if asked is None:
                return Report(State.NOT_FOUND)
            job = self._start(id, question, asked)
            if job is None:
                return Report(State.QUEUED, id)
        if job.question != question or self._clock() - job.asked > KEPT:
            return Report(State.NOT_FOUND)
        return self._wait(id, job)

    def _start(self, id: str, question: Question, asked: datetime) -> _Job | None:
        """The work on an answer; None when there is too much of it."""
        with self._lock:
            self._make_room()
            if len(self._jobs) >= self._limits.jobs:
                return None
            job = _Job(question, asked, self._threads.submit(self._answer, question, asked))
            self._jobs[id] = job
        return job

    def _make_room(self) -> None:
        """Forget answers that are old, and the oldest of those that are more than is held; with the lock."""
        now, held = self._clock(), 0
        for id, job in reversed(list(self._jobs.items())):
            if not job.result.done():
                continue
            held += 0 if job.result.cancelled() or job.result.exception() else len(job.result.result())
            if now - job.asked > KEPT or held > self._limits.held_rows:
                del self._jobs[id]
        ready = [id for id, job in self._jobs.items() if job.result.done()]
        for id in ready[: max(0, len(self._jobs) - self._limits.jobs + 1)]:
            del self._jobs[id]

    def _answer(self, question: Question, asked: datetime) -> list[StoredEntry]:
        since, until = max(question.since, self._earliest(asked)), min(question.until, asked)
        return self._log.accesses(question.patient, since=since, until=until, limit=MOST_ROWS + 1)

    def _wait(self, id: str, job: _Job) -> Report:
        try:
            entries = job.result.result(self._limits.patience_seconds)
        except NotYet:
            return Report(State.IN_PROCESS if job.result.running() else State.QUEUED, id)
        except AccessLogUnreadable:
            self._forget(id)
            raise
        return Report(State.TOO_MANY) if len(entries) > MOST_ROWS else Report(State.READY, id, entries)

    def _forget(self, id: str) -> None:
        with self._lock:
            self._jobs.pop(id, None)

    def _keep(self, id: str, job: _Job) -> bool:
        """Whether the question could be put into the database, for whichever node is asked for its answer."""
        row = {
            "id": id,
            "patient": job.question.patient,
            "since": job.question.since,
            "until": job.question.until,
            "asked": job.asked,
            "consumer": job.question.consumer,
        }
        try:
            with writing(self._log.engine) as connection:
                connection.execute(delete(access_reports).where(_r.asked < job.asked - KEPT))
                number = connection.execute(select(func.count()).select_from(access_reports)).scalar_one()
                if number >= self._limits.waiting:
                    return False
                connection.execute(insert(access_reports), row)
        except SQLAlchemyError as error:
            raise AccessLogUnreadable(f"the question cannot be kept: {type(error).__name__}") from error
        return True

    def _kept(self, id: str, question: Question) -> datetime | None:
        """When this question was asked under this id; None when it was not, or too long ago."""
        query = select(access_reports).where(_r.id == id, _r.asked >= self._clock() - KEPT)
        try:
            with self._log.engine.connect() as connection:
                row = connection.execute(query).one_or_none()
        except SQLAlchemyError as error:
            raise AccessLogUnreadable(f"the question cannot be read: {type(error).__name__}") from error
        if row is None or Question(row.patient, row.since, row.until, row.consumer) != question:
            return None
        asked: datetime = row.asked
        return asked
