"""A running pair for tests in Python: calls, cases, stub producers and tables, put back as they were after each test.

This is the API behind the pytest fixtures; a program of another kind may use it as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import requests

from rivta.catalogue.rows import Problem
from rivta.contracts import samples
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators
from rivta.files import write_file
from rivta.soap.identifiers import CORRELATION_ID, Profile
from rivta.testing.answers import Answer, ReadAnswer, SoapFault
from rivta.testing.case_files import read_case
from rivta.testing.cases import Case, find_cases
from rivta.testing.documents import text_of
from rivta.testing.pacing import Pace
from rivta.testing.replay import Bench, Replay, plan, unreadable
from rivta.testing.reports.junit import finding_text
from rivta.testing.results import Result, Run
from rivta.testing.sending import HttpsSending
from rivta.testing.staging import Stage
from rivta.testing.targets import Targets, of_pair, read_endpoints

_START_SECONDS = 120.0
_IN_FORCE_SECONDS = 15.0
_ADMIN_SECONDS = 10.0
_WORKERS_LOOK_SECONDS = 0.35
"""A worker looks for a new table every 250 ms, and tells nobody when it has one."""

_Some = TypeVar("_Some")


class PairFailed(RuntimeError):
    """The pair did not start, or did not do what it was told; the text says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a call, for tests to look at."""

    read: ReadAnswer
    correlation_id: str

    @property
    def status(self) -> int:
        return self.read.answer.status

    @property
    def body(self) -> bytes:
        return self.read.answer.body

    @property
    def elapsed_s(self) -> float:
        return self.read.answer.elapsed_s

    @property
    def fault(self) -> SoapFault | None:
        """The fault that it is; None when it is none."""
        return self.read.fault

    def header(self, name: str) -> str | None:
        """The first value of a header of HTTP."""
        return self.read.answer.header(name)

    def texts(self, path: str) -> list[str]:
        """The texts that an XPath finds, without prefixes by local names. AssertionError when the answer is no XML."""
        assert self.read.document is not None, self.read.problem
        return [text_of(one) for one in self.read.document.select(path)]


class RunningPair:
    """A pair that runs in a home."""

    def __init__(self, home: Path) -> None:
        """Raises TargetRefused when none runs there."""
        self.home = home
        self.endpoints: Mapping[str, Any] = read_endpoints(home)

    @cached_property
    def contracts(self) -> Contracts:
        return Contracts.shipped(self.home / "contracts")

    @cached_property
    def validators(self) -> Validators:
        return Validators(self.contracts)

    def targets(self, *, via: str | None = None, identity: str | None = None) -> Targets:
        """Where calls go. Raises TargetRefused."""
        return of_pair(self.endpoints, via=via, identity=identity)

    def admin(self, method: str, url: str, **more: Any) -> Any:
        """The JSON answer of an admin API of the pair, by the whole URL. Raises PairFailed."""
        token = Path(self.endpoints["admin_token_file"]).read_text(encoding="ascii").strip()
        with requests.Session() as session:
            session.trust_env = False
            headers = {"Authorization": f"Bearer {token}"}
            try:
                answer = session.request(method, url, headers=headers, timeout=_ADMIN_SECONDS, **more)
            except requests.RequestException as error:
                raise PairFailed(f"{url}: no answer ({type(error).__name__})") from error
        if not answer.ok:
            raise PairFailed(f"{url}: HTTP {answer.status_code}: {answer.text[:500]}")
        return answer.json() if answer.content else None


@contextlib.contextmanager
def started_pair(home: Path) -> Iterator[RunningPair]:
    """A pair of its own, on free ports, from entering to leaving. Raises PairFailed."""
    _rivta("up", "--home", str(home), "--port-base", "auto", "--detach", "--keep-messages")
    try:
        yield RunningPair(home)
    finally:
        _rivta("down", "--home", str(home))


def _rivta(*arguments: str) -> None:
    command = [sys.executable, "-m", "rivta", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_START_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise PairFailed(f"`rivta {arguments[0]}` did not end within {_START_SECONDS:.0f} s") from error
    if done.returncode:
        raise PairFailed(f"`rivta {arguments[0]}` ended with {done.returncode}: {done.stderr.strip()}")


class Tester:
    """What one test does with the pair. `put_back` undoes what it changed."""

    __test__ = False  # pytest takes whatever is called so for tests, where it is imported

    def __init__(self, pair: RunningPair) -> None:
        self.pair = pair
        self._undo: list[Callable[[], None]] = []

    def call(
        self,
        contract: str,
        *,
        to: str | None,
        patient: str | None = None,
        payload: bytes | None = None,
        identity: str = "npo",
        via: str = "national",
        profile: Profile = Profile.RIVTABP21,
        headers: Mapping[str, str] | None = None,
        seconds: float = 60.0,
    ) -> Reply:
        """The answer to a call, whatever it is: with the contract's sample about `patient`, or with your own payload.

        Raises Unanswered when no answer came, LookupError for a contract that is not installed.
        """
        known = self.pair.contracts.find(contract)
        content = payload if payload is not None else samples.request(known, patient=patient)
        return self.send(
            samples.envelope(content, logical_address=to, profile=profile),
            soap_action=known.soap_action,
            identity=identity,
            via=via,
            headers=headers,
            seconds=seconds,
        )

    def send(
        self,
        envelope: bytes,
        *,
        soap_action: str = "",
        identity: str = "npo",
        via: str = "national",
        headers: Mapping[str, str] | None = None,
        seconds: float = 60.0,
    ) -> Reply:
        """The answer to any bytes. Raises Unanswered."""
        targets = self.pair.targets(via=via, identity=identity)
        correlation_id = (headers or {}).get(CORRELATION_ID) or str(uuid.uuid4())
        lines = {
            "Content-Type": "text/xml; charset=UTF-8",
            "SOAPAction": f'"{soap_action}"',
            **(headers or {}),
            CORRELATION_ID: correlation_id,
        }

        async def sent() -> Answer:
            async with HttpsSending(targets) as sending:
                sender = targets.sender(identity, None)
                return await sending.send(targets.url(via), sender, tuple(lines.items()), envelope, seconds=seconds)

        return Reply(ReadAnswer(_wait_for(sent())), correlation_id)

    def replay(self, *paths: Path | str, allow_writes: bool = False, pace: Pace | None = None, **variables: str) -> Run:
        """Sends the cases in the paths, and fails, with what is wrong, unless all of them pass."""
        run = self.run(*paths, allow_writes=allow_writes, pace=pace, **variables)
        told = [_told(one) for one in run.results if one.is_bad]
        assert run.has_passed, "\n".join(told) or "nothing was sent"
        return run

    def run(self, *paths: Path | str, allow_writes: bool = False, pace: Pace | None = None, **variables: str) -> Run:
        """Sends the cases in the paths; what came of them."""
        problems: list[Problem] = []
        found = find_cases([Path(path) for path in paths], problems)
        assert not problems, str(problems[0])
        cases: list[Case] = []
        refused: list[Result] = []
        for one in found:
            wrong: list[Problem] = []
            case = read_case(one, wrong, contracts=self.pair.contracts)
            if case is None:
                refused.append(unreadable(one.name, wrong))
            else:
                cases.append(case)
        targets = self.pair.targets()
        bench = Bench(
            targets, contracts=self.pair.contracts, validators=self.pair.validators, allow_writes=allow_writes
        )
        jobs, unsent = bench.look_through(plan(cases, (), variables))
        results: list[Result] = [*refused, *unsent]
        paced = pace or Pace()
        started, began = datetime.now(UTC), time.perf_counter()

        async def sent() -> bool:
            async with HttpsSending(targets) as sending:
                with Stage(self.pair) as stage:
                    return await Replay(bench, sending, paced, on_result=results.append, stage=stage).run(jobs)

        is_whole = _wait_for(sent()) if jobs else True
        return Run(
            started=started.isoformat(),
            seconds=time.perf_counter() - began,
            target=", ".join(targets.urls.values()),
            results=tuple(results),
            planned=len(jobs) * paced.repeat + len(refused) + len(unsent),
            was_stopped=not is_whole,
        )

    def stub(
        self,
        target: str,
        behaviour: str,
        **fields: Any,
    ) -> None:
        """Has a stub producer behave otherwise at an address, or everywhere when it is named, or all of them (`*`),
        until the test is over. `fields` are those of the stub producers' admin API: `seconds`, `detail`, `calls`,
        `patient`, ... Raises PairFailed."""
        base = f"{self.pair.endpoints['stubs']}/stubs/"
        wanted = {"behaviour": behaviour, **fields}
        wish = {name: value for name, value in wanted.items() if value is not None}
        done = self.pair.admin("PUT", base + quote(target, safe=""), json=wish)
        # What comes before any call is set for the whole producer, whose name the address stands for.
        undo = base + quote(done.get("target") or target, safe="")
        self._undo.append(lambda: self.pair.admin("DELETE", undo))

    def received(self, logical_address: str | None = None, *, after: int = 0) -> list[dict[str, Any]]:
        """What the stub producers were sent, as they saw it, the oldest first: each with `number`, `headers`, `body`,
        `caller`, `logical_address`, `behaviour`, `status`. Raises PairFailed."""
        params = {"bodies": "1", "after": after, "logical_address": logical_address}
        found = self.pair.admin("GET", f"{self.pair.endpoints['stubs']}/received", params=params)["calls"]
        return list(found)

    def tables(self, rows: str, *, platform: str = "national") -> None:
        """Adds rows, as YAML, to a platform's tables, until the test is over. Raises PairFailed if they are refused."""
        status = self._status(platform)
        folder = Path(status["draft"]["folder"])
        file = folder / f"rivta-test-{uuid.uuid4().hex[:8]}.yaml"
        write_file(file, rows.encode(), durable=False)
        self._undo.append(lambda: self._take_away(file, platform))
        self._until_published(platform, status["table"]["publication"])

    def put_back(self) -> None:
        """Undoes what the test changed, the last first."""
        errors = []
        while self._undo:
            try:
                self._undo.pop()()
            except (PairFailed, OSError) as error:
                errors.append(str(error))
        if errors:
            raise PairFailed("; ".join(errors))

    def _take_away(self, file: Path, platform: str) -> None:
        status = self._status(platform)
        file.unlink(missing_ok=True)
        if status["draft"]["problem"] is None and not status["draft"]["errors"]:
            self._until_published(platform, status["table"]["publication"])

    def _status(self, platform: str) -> Any:
        return self.pair.admin("GET", f"{self.pair.endpoints['platforms'][platform]['admin']}/status")

    def _until_published(self, platform: str, before: int) -> None:
        """Returns when another table than publication `before` is in force. Raises PairFailed."""
        deadline = time.monotonic() + _IN_FORCE_SECONDS
        while True:
            status = self._status(platform)
            if status["draft"]["problem"] or status["draft"]["errors"]:
                url = f"{self.pair.endpoints['platforms'][platform]['admin']}/tables/lint"
                errors = self.pair.admin("GET", url)["errors"]
                told = "; ".join(f"{one['file']}:{one['line']}: {one['message']}" for one in errors)
                raise PairFailed(f"the tables are refused: {told or status['draft']['problem']}")
            if status["table"]["publication"] != before:
                time.sleep(_WORKERS_LOOK_SECONDS)
                return
            if time.monotonic() > deadline:
                raise PairFailed(f"no new table is in force at {platform} after {_IN_FORCE_SECONDS:.0f} s")
            time.sleep(0.05)


def _told(result: Result) -> str:
    lines = [f"{result.outcome.value} {result.name}", *result.message.splitlines(), *map(finding_text, result.findings)]
    return "\n    ".join(lines)


def _wait_for(coroutine: Coroutine[Any, Any, _Some]) -> _Some:
    """The coroutine's result, also for a caller who has an event loop of its own."""
    with ThreadPoolExecutor(1, thread_name_prefix="rivta-testing") as executor:
        return executor.submit(asyncio.run, coroutine).result()
