"""`rivta index check`: asks sources for what they have, and compares it with what the index says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rivta.aggregation.services import Asks, Service, services
from rivta.cli.source_call import Fetched, newest, source_caller
from rivta.index.agreement import Answered, Difference, Kind, difference
from rivta.soap.identifiers import ContractNamespace

if TYPE_CHECKING:
    from rivta.contracts.domain import Contract
    from rivta.contracts.installed import Contracts
    from rivta.run.endpoints import Endpoints, Identity


class NothingToAsk(ValueError):
    """A source that was named cannot be compared with anything."""


Ask = Callable[[str, str, Mapping[str, Any]], Any]
"""Verb, path and content to the JSON of the platform's admin API."""

MOST_ROWS: Final = 100_000
"""Engagements that are read."""
_AT_ONCE = 4
"""Sources that are asked at the same time; each of them one call after the other."""
_IN_ROW = 3
"""So many calls without an answer, one after the other, and a source is asked no more by that contract."""

_Key = tuple[str, str, str, str]
"""Called address, domain, category, patient."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be compared; what is empty is everything."""

    sources: tuple[str, ...]
    contracts: tuple[str, ...]
    """Namespaces."""
    patients: tuple[str, ...] = field(repr=False)
    most: int
    """Calls."""


@dataclass(frozen=True, slots=True)
class Job:
    """A source to be asked by one contract, about each of the patients."""

    source: str
    service: Service
    patients: tuple[str, ...] = field(repr=False)
    """Those of whom it has announced something first."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Whom to ask about whom, and what is known without asking."""

    announced: Mapping[_Key, str | None] = field(repr=False)
    """The newest content of what is announced."""
    jobs: tuple[Job, ...]
    unreachable: tuple[Difference, ...]
    left_out: int
    """Calls that are too many."""
    is_whole: bool
    """Whether every engagement of the index was read."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of it."""

    calls: int
    differences: tuple[Difference, ...]
    not_asked: int
    """Calls that were not made, since the source had stopped answering."""


def planned(wanted: Wanted, ask: Ask, *, sender: str) -> Plan:
    """Reads the index and the tables. Raises NothingToAsk, and ClickException where they cannot be asked."""
    rows, is_whole = _rows(wanted, ask)
    listed = ask("GET", "/aggregation/services", {})["services"]
    known = services({name: _keys(row) for name, row in listed.items()})
    chosen = [known[name] for name in sorted(listed) if not wanted.contracts or name in wanted.contracts]
    announced = _announced(rows, chosen)
    addresses = wanted.sources or tuple(sorted({key[0] for key in announced}))
    patients = wanted.patients or tuple(sorted({one["registeredResidentIdentification"] for one in rows}))
    jobs: list[Job] = []
    unreachable: list[Difference] = []
    for source in addresses:
        outcomes = {one.contract: _outcome(ask, sender, one.contract, source) for one in chosen}
        routed = [one for one in chosen if outcomes[one.contract] == "routed"]
        jobs += [Job(source, one, _announced_first(patients, announced, source, one)) for one in routed]
        lost = list(_unreachable(source, chosen, routed, outcomes, announced, patients))
        if wanted.sources and not routed and not lost:
            said = ", ".join(sorted(set(outcomes.values())))
            raise NothingToAsk(f"{source} can be asked by none of these contracts ({said}), and has announced nothing")
        unreachable += lost
    return _bounded(Plan(announced, tuple(jobs), tuple(unreachable), 0, is_whole), wanted.most)


def check(
    plan: Plan,
    *,
    endpoints: Endpoints,
    platform: str,
    identity: Identity,
    contracts: Contracts,
    tell: Callable[[int, int], None],
) -> Checked:
    """Makes the calls of a plan. `tell` hears how many of how many are done."""
    total = sum(len(job.patients) for job in plan.jobs)
    found: list[Difference] = []
    calls = not_asked = 0
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="rivta-index-check") as pool:
        running = [
            pool.submit(_ask_source, job, plan, endpoints, platform, identity, contracts.get(job.service.contract))
            for job in plan.jobs
        ]
        for one in as_completed(running):
            asked, skipped, differences = one.result()
            calls, not_asked = calls + asked, not_asked + skipped
            found += differences
            tell(calls + not_asked, total)
    found += plan.unreachable
    ordered = sorted(found, key=lambda one: (one.source, one.contract, one.kind.value, one.patient))
    return Checked(calls, tuple(ordered), not_asked)


def _ask_source(
    job: Job, plan: Plan, endpoints: Endpoints, platform: str, identity: Identity, contract: Contract | None
) -> tuple[int, int, list[Difference]]:
    """Calls made and not made, and what differs."""
    if contract is None:
        return 0, len(job.patients), []
    found: list[Difference] = []
    in_row = 0
    with source_caller(endpoints, platform, identity) as caller:
        for number, patient in enumerate(job.patients):
            if in_row >= _IN_ROW:
                return number, len(job.patients) - number, found
            answered = _answered(caller.get(contract, job.service, job.source, patient))
            in_row = in_row + 1 if answered.failure is not None else 0
            found += _compared(job, plan, patient, answered)
    return len(job.patients), 0, found


def _compared(job: Job, plan: Plan, patient: str, answered: Answered) -> Iterator[Difference]:
    keys = [key for key in _keys_of(job.source, job.service, patient) if key in plan.announced]
    times = [time for key in keys if (time := plan.announced[key]) is not None]
    found = difference(
        job.source,
        job.service.contract,
        patient,
        is_announced=bool(keys),
        announced=max(times, default=None),
        answered=answered,
    )
    if found is not None:
        yield found


def _answered(fetched: Fetched) -> Answered:
    failure = fetched.failure
    if failure is not None:
        # Without the source's own words, which may be about the patient.
        return Answered(failure=f"{failure.code} {failure.recorded_text}")
    return Answered(len(fetched.records), newest(fetched.records))


def _rows(wanted: Wanted, ask: Ask) -> tuple[list[Mapping[str, Any]], bool]:
    """The engagements, as far as they are read, and whether that is all. Those of other sources too: their patients are
    who a source may have records of without having announced any."""
    asked: dict[str, Any] = {"limit": 1000}
    if len(wanted.patients) == 1:
        asked["patient"] = wanted.patients[0]
    rows: list[Mapping[str, Any]] = []
    while len(rows) < MOST_ROWS:
        page = ask("POST", "/index/engagements", asked)
        rows += page["engagements"]
        if page["after"] is None:
            return rows, True
        asked["after"] = page["after"]
    return rows, False


def _announced(rows: Iterable[Mapping[str, Any]], chosen: Sequence[Service]) -> dict[_Key, str | None]:
    """The newest content of what is announced, as far as one of the services asks for it."""
    found: dict[_Key, str | None] = {}
    for row in rows:
        for service in chosen:
            is_asked_for = not service.categories or row["categorization"] in service.categories
            if row["serviceDomain"] != service.domain or not is_asked_for:
                continue
            name = "sourceSystem" if service.asks is Asks.SOURCE_SYSTEM else "logicalAddress"
            key = (row[name], service.domain, row["categorization"], row["registeredResidentIdentification"])
            found[key] = max(filter(None, (found.get(key), row["mostRecentContent"])), default=None)
    return found


def _keys_of(source: str, service: Service, patient: str) -> Iterator[_Key]:
    return ((source, service.domain, category, patient) for category in service.categories)


def _announced_first(
    patients: Iterable[str], announced: Mapping[_Key, str | None], source: str, service: Service
) -> tuple[str, ...]:
    return tuple(sorted(patients, key=lambda one: not any(key in announced for key in _keys_of(source, service, one))))


def _outcome(ask: Ask, sender: str, contract: ContractNamespace, source: str) -> str:
    found = ask("GET", "/explain", {"sender": sender, "contract": contract, "logical_address": source})
    return str(found["outcome"])


def _unreachable(
    source: str,
    chosen: Iterable[Service],
    routed: Iterable[Service],
    outcomes: Mapping[ContractNamespace, str],
    announced: Mapping[_Key, str | None],
    patients: Iterable[str],
) -> Iterator[Difference]:
    """What a source has announced and no contract fetches: of each patient and category once."""
    reached = {(one.domain, category) for one in routed for category in one.categories}
    told: set[_Key] = set()
    for service in chosen:
        for patient in patients:
            for key in _keys_of(source, service, patient):
                if key in told or key not in announced or key[1:3] in reached:
                    continue
                told.add(key)
                text = f"{key[2]}: {outcomes[service.contract]}"
                yield Difference(Kind.UNREACHABLE, source, service.contract, patient, announced[key], None, 0, text)


def _bounded(plan: Plan, most: int) -> Plan:
    """At most so many calls: of every source and contract as many patients as there is room for, those of whom
    something is announced first."""
    total = sum(len(job.patients) for job in plan.jobs)
    if total <= most or not plan.jobs:
        return plan
    room, jobs = most, []
    for left, job in zip(
        range(len(plan.jobs), 0, -1), sorted(plan.jobs, key=lambda one: len(one.patients)), strict=True
    ):
        patients = job.patients[: room // left]
        room -= len(patients)
        jobs.append(Job(job.source, job.service, patients))
    return Plan(plan.announced, tuple(jobs), plan.unreachable, total - (most - room), plan.is_whole)


def _keys(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "contract_name"}
