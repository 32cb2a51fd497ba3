"""Asking as the overview does: the engagement index, then each source by its own address, by aggregation's own rules.

So rows fill in as sources answer; an aggregate would come when the slowest has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Protocol

from lxml import etree

from rivta.aggregation.answers import Failure, read_content
from rivta.aggregation.plan import Permitted, plan, to_decide
from rivta.aggregation.question import Question, addressed, index_question
from rivta.aggregation.services import Service
from rivta.catalogue.decision import Outcome
from rivta.index.client import NotAnAnswer, find_content, hits
from rivta.index.client import Question as IndexQuestion
from rivta.index.engagement import Engagement
from rivta.router.messages import Answer
from rivta.soap import namespaces
from rivta.soap.charsets import charset_of, read_answer
from rivta.soap.head import read_head
from rivta.soap.person_ids import PersonId
from rivta.soap.xml import XmlRefused, parse_xml
from rivta.viewer.normalise import NORMALISE
from rivta.viewer.records import LabResult, Record
from rivta.viewer.sets import REGISTER, Basis, InformationSet, request, service_of

_LARGE_BYTES = 64 * 1024
"""Longer answers are read in a thread, so that nobody else's page waits."""


class NotAsked(Exception):
    """The platform, its index or its keeper does not answer; the message says which, and nothing of the patient."""


class NotAnswered(Exception):
    """No whole answer came to a call."""

    def __init__(self, reason: str, *, is_slow: bool) -> None:
        super().__init__(reason)
        self.is_slow = is_slow


class Platform(Protocol):
    """The national platform's https door, called as the overview's own identity."""

    async def call(self, contract: str, message: bytes, *, correlation_id: str, seconds: float) -> Answer:
        """The answer to a message, whatever its status. Raises NotAnswered."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the table in force says to a call."""

    outcome: Outcome
    permission: str
    """The row that lets it through; empty where none does."""
    name: str
    """What people call the address; empty where the tables do not say."""


class Tables(Protocol):
    """The national platform's routing tables, by its keeper."""

    async def decisions(self, contract: str, addresses: Sequence[str]) -> Mapping[str, Said]:
        """What they say to calls of the overview's identity. Raises NotAsked."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source system to be asked."""

    address: str
    name: str
    permission: str
    service: Service
    controllers: frozenset[str]
    """Care providers whose data the index says there is; empty where it does not say."""


class Fared(Enum):
    """How a source fared."""

    ANSWERED = "answered"
    EMPTY = "empty"
    SLOW = "slow"
    """It has not answered in its time."""
    FAILED = "failed"
    OTHER_PATIENT = "other patient"
    """It has answered with somebody else's data, of which nothing is kept."""
    NO_CONSENT = "no consent"
    """The register of dispensed medicines has no consent that lets this reader in."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of asking one source."""

    fared: Fared
    records: tuple[Record, ...] = field(default=(), repr=False)
    reason: str = ""
    """Why there are none; without words of the source."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the overview asks. Times in seconds."""

    index_address: str
    """Of the index and of the national aggregating services, whom no hit may point at."""
    register_address: str
    index_seconds: float = 20.0
    source_seconds: float = 28.0
    in_flight: int = 16
    """Calls of one look-up at a time."""


class Asking:
    """Asks for one look-up. Not for several patients: what the index has answered is kept for its sets."""

    def __init__(
        self,
        platform: Platform,
        tables: Tables,
        rules: Rules,
        *,
        patient: PersonId,
        basis: Basis,
        correlation_id: str,
        now: datetime,
    ) -> None:
        self._platform = platform
        self._tables = tables
        self._rules = rules
        self._patient = patient
        self._basis = basis
        self._correlation_id = correlation_id
        self._now = now
        self._found: dict[IndexQuestion, asyncio.Task[tuple[Engagement, ...]]] = {}
        self._places = asyncio.Semaphore(rules.in_flight)

    async def sources(self, wanted: InformationSet) -> tuple[Source, ...]:
        """Whom to ask for a set, each once: with the newest contract by which it may be called. Raises NotAsked."""
        chosen: dict[str, Source] = {}
        for contract in wanted.value.contracts:
            for one in await self._sources(service_of(contract)):
                chosen.setdefault(one.address, one)
        return tuple(chosen.values())

    async def _sources(self, service: Service) -> Iterable[Source]:
        if service is REGISTER:
            said = await self._tables.decisions(service.contract, [self._rules.register_address])
            return [
                Source(address, one.name or address, one.permission, service, frozenset())
                for address, one in said.items()
                if one.outcome is Outcome.ROUTED
            ]
        question = Question(self._patient.value, "", ())
        found = await self._ask_index(index_question(question, service, now=self._now))
        addresses, systems = to_decide(found, service)
        said = await self._tables.decisions(service.contract, list(dict.fromkeys([*addresses, *systems])))
        outcomes = {address: one.outcome for address, one in said.items()}
        chosen = plan(
            service, question, found, permitted=Permitted(outcomes, outcomes), own_address=self._rules.index_address
        )
        return [
            Source(
                address, said[address].name or address, said[address].permission, service, _controllers(found, address)
            )
            for address in chosen.sources
        ]

    async def _ask_index(self, question: IndexQuestion) -> tuple[Engagement, ...]:
        """Each question once, whichever sets need its answer."""
        if question not in self._found:
            self._found[question] = asyncio.create_task(self._find(question))
        return await asyncio.shield(self._found[question])

    async def _find(self, question: IndexQuestion) -> tuple[Engagement, ...]:
        message = addressed(find_content(question), self._rules.index_address)
        seconds = self._rules.index_seconds
        try:
            answer = await self._call(namespaces.FIND_CONTENT_1, message, seconds)
            return hits(read_head(read_answer(answer.body, charset_of("")).root).payload)
        except NotAnswered as error:
            raise NotAsked(f"the engagement index: {error}") from error
        except (NotAnAnswer, XmlRefused) as error:
            raise NotAsked(f"the engagement index answered with HTTP {answer.status} and no engagements") from error

    async def ask(self, source: Source) -> Answered:
        """What came of it: whatever goes wrong is a way to fare."""
        message = addressed(request(source.service, self._patient, self._basis), source.address)
        try:
            answer = await self._call(source.service.contract, message, self._rules.source_seconds)
        except NotAnswered as error:
            return Answered(Fared.SLOW if error.is_slow else Fared.FAILED, reason=str(error))
        if len(answer.body) > _LARGE_BYTES:
            return await asyncio.to_thread(read_records, answer, source.service, self._patient)
        return read_records(answer, source.service, self._patient)

    async def _call(self, contract: str, message: bytes, seconds: float) -> Answer:
        async with self._places:
            return await self._platform.call(contract, message, correlation_id=self._correlation_id, seconds=seconds)

    def close(self) -> None:
        """Gives up what is still asked."""
        for task in self._found.values():
            task.cancel()


def read_records(answer: Answer, service: Service, patient: PersonId) -> Answered:
    """The records of an answer, all about this patient; else none of them."""
    content = read_content(answer, service, logical_errors_fail=True)
    if content.failure is not None:
        return _failed(content.failure)
    normalise = NORMALISE[service.contract]
    # Each record brings the namespaces that are in force in it, so that all of them are read at one go.
    together = parse_xml(b"<records>" + b"".join(one for kind in content.records for one in kind) + b"</records>")
    records = tuple(normalise(one) for one in together.iterchildren(etree.Element))
    if any(not _is_about(record, patient) for record in records):
        return Answered(Fared.OTHER_PATIENT, reason="the answer holds a record of another patient")
    return Answered(Fared.ANSWERED if records else Fared.EMPTY, records)


def _failed(failure: Failure) -> Answered:
    if failure.code == "NO_CONSENT":
        return Answered(Fared.NO_CONSENT, reason=failure.code)
    # A source's own words may be about the patient: to be read there, by the correlation id.
    return Answered(Fared.FAILED, reason=f"{failure.code} {failure.recorded_text}"[:200])


def _is_about(record: Record, patient: PersonId) -> bool:
    """Laboratory results of version 4 need not say whom they are about: they were asked for by the patient's id."""
    said = record.about.patient.replace("-", "").strip().upper()
    return said == patient.value or (not said and isinstance(record, LabResult))


def _controllers(found: Iterable[Engagement], address: str) -> frozenset[str]:
    ours = [one.data_controller for one in found if address in (one.source_system, one.logical_address)]
    return frozenset() if "" in ours else frozenset(ours)
