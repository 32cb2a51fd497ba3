"""A run: every case, for every row of variables, sent at the pace that was asked for, each answer checked.

What is wrong with a case is found before anything is sent; that case is left out, told of, and the rest runs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from rivta.catalogue.rows import Problem
from rivta.contracts.domain import ContractFileError
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators, check_fault, fault_in
from rivta.contracts.verdict import Violation
from rivta.soap.head import read_head
from rivta.testing.answers import Answer, ReadAnswer
from rivta.testing.assertions import Finding, Given, check
from rivta.testing.cases import Case
from rivta.testing.pacing import Pace, ordered, room, start_s
from rivta.testing.preparing import Message, NotSent, prepare
from rivta.testing.results import Outcome, Result
from rivta.testing.sending import Sending, Unanswered
from rivta.testing.staging import CannotSet
from rivta.testing.state import State
from rivta.testing.targets import TargetRefused, Targets
from rivta.testing.variables import Filling, Moment

_log = logging.getLogger(__name__)

MOST_JOBS = 200_000
"""Cases times rows of variables: they are looked through before anything is sent."""

MOST_DETAILED = 1000
"""Results of which findings are kept whole; of more, so that a long run takes bounded memory, the first words."""

_SHOWN_ANSWER = 20_000
_LOOK_AGAIN_S = 0.05

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Job:
    """One case with one row of variables."""

    case: Case
    variables: Mapping[str, str]
    row: int = 0


def plan(cases: Sequence[Case], rows: Sequence[Mapping[str, str]], settings: Mapping[str, str]) -> list[Job]:
    """Every case for every row: all cases of a row, then the next. `settings` overrule rows, rows what cases say.

    Raises ValueError when that is too much for one run.
    """
    if len(cases) * max(len(rows), 1) > MOST_JOBS:
        raise ValueError(
            f"{len(cases):,} cases for {len(rows):,} rows: {MOST_JOBS:,} messages are the most; send a part"
        )
    if not rows:
        return [Job(case, dict(case.variables) | dict(settings)) for case in cases]
    return [
        Job(case, dict(case.variables) | dict(row) | dict(settings), number)
        for number, row in enumerate(rows, 1)
        for case in cases
    ]


class Bench:
    """What every message of a run needs."""

    def __init__(
        self,
        targets: Targets,
        *,
        contracts: Contracts,
        validators: Validators,
        allow_writes: bool = False,
        now: Clock = lambda: datetime.now(UTC),
    ) -> None:
        self.targets = targets
        self._contracts = contracts
        self._validators = validators
        self._allow_writes = allow_writes
        self._now = now

    def prepare(self, job: Job, number: int) -> Message:
        """The message of a job. Raises NotSent."""
        filling = Filling(job.variables, Moment.at(self._now(), number))
        message = prepare(job.case, filling, contracts=self._contracts, allow_writes=self._allow_writes)
        try:
            self.targets.url(job.case.via)
            self.targets.sender(job.case.identity, job.case.sender)
        except TargetRefused as error:
            raise NotSent(Problem(job.case.file, 0, "target", str(error))) from error
        return message

    def look_through(
        self, jobs: Sequence[Job], *, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> tuple[list[Job], list[Result]]:
        """The jobs that can be sent, and results for those that cannot."""
        good, refused = [], []
        for number, job in enumerate(jobs, 1):
            try:
                self.prepare(job, number)
                good.append(job)
            except NotSent as error:
                refused.append(refusal(job, str(error)))
            progress(number, len(jobs))
        return good, refused

    def findings(self, message: Message, answer: ReadAnswer) -> tuple[Finding, ...]:
        """What does not hold of an answer."""
        given = Given(
            recorded=message.recorded,
            rules=message.case.rules,
            validate=lambda found: self._violations(message, found),
        )
        found = (check(one.assertion, answer, given, str(one.place)) for one in message.assertions)
        return tuple(one for one in found if one is not None)

    def _violations(self, message: Message, answer: ReadAnswer) -> Sequence[Violation]:
        document = answer.document
        assert document is not None  # asked only for what could be read
        fault = fault_in(document.root)
        if fault is not None:
            return check_fault(fault).violations
        contract = self._contracts.get(message.contract or "")
        if contract is None:
            raise LookupError(
                f"{message.contract or 'what was sent'} is no installed contract, so it has no schema here"
            )
        head = read_head(document.root)
        assert head.payload is not None
        try:
            return self._validators.check(contract, head.payload, "response", head.header).violations
        except ContractFileError as error:
            raise LookupError(str(error)) from error


def refusal(job: Job, message: str) -> Result:
    """The result of what is not sent."""
    case = job.case
    return Result(
        0, case.name, Outcome.REFUSED, case.title, job.row, case.contract, case.logical_address, message=message
    )


def unreadable(name: str, problems: Sequence[Problem]) -> Result:
    """The result of a case that cannot be read."""
    return Result(0, name, Outcome.REFUSED, message="\n".join(map(str, problems)))


class Staging(Protocol):
    """Sets what a case wants to find."""

    def set(self, state: State) -> None:
        """Sets it. Raises CannotSet, with nothing set."""

    def put_back(self) -> None:
        """Puts everything back. Raises CannotSet for what cannot be."""


_FIRST = asyncio.FIRST_COMPLETED


async def _to_its_end(do: Callable[..., None], *arguments: object) -> None:
    """Done in a thread, to its end also when the run is stopped meanwhile: nothing is left half set."""
    working = asyncio.ensure_future(asyncio.to_thread(do, *arguments))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        raise


class Replay:
    """One run. Results come one by one, in the order in which the messages end."""

    def __init__(
        self,
        bench: Bench,
        sending: Sending,
        pace: Pace,
        *,
        on_result: Callable[[Result], None],
        stage: Staging | None = None,
    ) -> None:
        """`stage` sets what cases want to find; without one, such a case is not sent."""
        self._stage = stage
        self._bench, self._sending, self._pace, self._on_result = bench, sending, pace, on_result
        self._stopped = asyncio.Event()
        self._began = 0.0
        self._detailed = 0

    def stop(self) -> None:
        """Nothing more is sent; what is under way is cut off. For the loop's thread."""
        self._stopped.set()

    async def run(self, jobs: Sequence[Job]) -> bool:
        """Sends everything; False when it was stopped before the end."""
        self._began = time.perf_counter()
        under_way: set[asyncio.Task[None]] = set()
        stopping = asyncio.create_task(self._stopped.wait())
        try:
            for number, job in enumerate(ordered(jobs, self._pace)):
                due = start_s(number, self._pace)
                if not await self._turn(due, under_way, stopping):
                    return False
                if job.case.state is not None:
                    if not await self._alone(job, number + 1, due, under_way=under_way, stopping=stopping):
                        return False
                    continue
                under_way.add(asyncio.create_task(self._one(job, number + 1, due)))
            while under_way and not stopping.done():
                _, still = await asyncio.wait({*under_way, stopping}, return_when=asyncio.FIRST_COMPLETED)
                under_way = {one for one in under_way if one in still}
            return not under_way
        finally:
            stopping.cancel()
            for task in under_way:
                task.cancel()
            await asyncio.gather(stopping, *under_way, return_exceptions=True)

    async def _alone(
        self,
        job: Job,
        number: int,
        due: float | None,
        *,
        under_way: set[asyncio.Task[None]],
        stopping: asyncio.Task[bool],
    ) -> bool:
        """Sends what wants a state of its own when nothing else is under way; False when the run was stopped."""
        if under_way:
            ended = asyncio.ensure_future(asyncio.wait(under_way))
            await asyncio.wait({ended, stopping}, return_when=_FIRST)
            ended.cancel()
        if stopping.done():
            return False
        task = asyncio.create_task(self._one(job, number, due))
        under_way.add(task)  # a run that ends meanwhile waits for it: what was set is put back
        await asyncio.wait({task, stopping}, return_when=_FIRST)
        return task.done()

    async def _set(self, message: Message) -> None:
        if message.state is None:
            return
        if self._stage is None:
            told = "wants a state of its own, which only a pair of this machine can be given"
            raise NotSent(Problem(message.case.file, 0, "state", told))
        try:
            await _to_its_end(self._stage.set, message.state)
        except CannotSet as error:
            raise NotSent(Problem(message.case.file, 0, "state", f"cannot be set: {error}")) from error

    async def _put_back(self, message: Message, result: Result) -> Result:
        if message.state is None or self._stage is None:
            return result
        try:
            await _to_its_end(self._stage.put_back)
        except CannotSet as error:
            return replace(result, outcome=Outcome.FAILED, message=str(error))
        return result

    async def _turn(self, due: float | None, under_way: set[asyncio.Task[None]], stopping: asyncio.Task[bool]) -> bool:
        """Waits until another message may start; False when the run was stopped meanwhile. Drops what has ended."""
        while not stopping.done():
            under_way.difference_update([task for task in under_way if task.done()])
            elapsed = self._elapsed()
            early = (due or 0.0) - elapsed
            is_full = len(under_way) >= room(elapsed, self._pace)
            if early <= 0 and not is_full:
                return True
            is_ramping = self._pace.rate is None and elapsed < self._pace.ramp_s
            patience = early if early > 0 else _LOOK_AGAIN_S if is_ramping else None
            waited_for = {stopping, *under_way} if early <= 0 else {stopping}
            await asyncio.wait(waited_for, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        return False

    async def _one(self, job: Job, number: int, due: float | None) -> None:
        """One message, from its files to its result."""
        bench, started = self._bench, self._elapsed()
        case = job.case
        blank = Result(
            number=number,
            name=case.name,
            title=case.title,
            row=job.row,
            contract=case.contract,
            logical_address=case.logical_address,
            outcome=Outcome.CUT_OFF,
            started_s=started,
            late_s=max(0.0, started - due) if due is not None else 0.0,
        )
        try:
            message = await asyncio.to_thread(bench.prepare, job, number)
            identity = bench.targets.sender(case.identity, case.sender)
            blank = replace(
                blank,
                contract=message.contract,
                logical_address=message.logical_address,
                sender=identity.hsa_id or identity.name,
                correlation_id=message.correlation_id,
                started_s=(started := self._elapsed()),
            )
            await self._set(message)
            result = blank
            try:
                blank = replace(blank, started_s=(started := self._elapsed()))
                url = bench.targets.url(case.via)
                answer = await self._sending.send(
                    url, identity, message.headers, message.body, seconds=self._pace.timeout_s
                )
                result = await asyncio.to_thread(self._checked, blank, message, answer)
            finally:
                result = await self._put_back(message, result)
        except NotSent as error:
            result = replace(blank, outcome=Outcome.REFUSED, message=str(error))
        except Unanswered as error:
            elapsed = self._elapsed() - started
            result = replace(blank, outcome=Outcome.UNANSWERED, message=str(error), elapsed_s=elapsed)
        except asyncio.CancelledError:
            self._on_result(replace(blank, message="the run was stopped before its answer came"))
            raise
        except Exception as error:  # noqa: BLE001 - one message must not end the run, nor be missing from its report
            _log.exception("%s: an error of ours", case.name)
            told = f"unexpected {type(error).__name__}: {error}"
            result = replace(blank, outcome=Outcome.REFUSED, message=told)
        self._on_result(self._kept(result))

    def _checked(self, blank: Result, message: Message, answer: Answer) -> Result:
        read = ReadAnswer(answer, message.case.namespaces)
        findings = self._bench.findings(message, read)
        fault = read.fault
        return replace(
            blank,
            outcome=Outcome.FAILED if findings else Outcome.PASSED,
            elapsed_s=answer.elapsed_s,
            status=answer.status,
            fault=None if fault is None else fault.code or "fault",
            findings=findings,
            answer=answer.body[:_SHOWN_ANSWER].decode("utf-8", "replace") if findings else None,
        )

    def _kept(self, result: Result) -> Result:
        if not result.findings:
            return result
        self._detailed += 1
        if self._detailed <= MOST_DETAILED:
            return result
        first = replace(result.findings[0], differences=(), more=0)
        return replace(result, findings=(first,), answer=None)

    def _elapsed(self) -> float:
        return time.perf_counter() - self._began
