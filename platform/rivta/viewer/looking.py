"""A look-up: what is asked, decided and written down before anything of it can be seen.

The order is the point: the intent is durable before a call leaves, the outcome before its data is here to be shown.
What may not be shown is dropped when it has been decided on, and kept nowhere.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from rivta.audit.access.entry import EMERGENCY_ACCESS, Entry, Kind, Outcome, Reader
from rivta.soap.person_ids import PersonId
from rivta.viewer.asking import Answered, Asking, Fared, NotAsked, Source
from rivta.viewer.policy.decision import Decision, Telling, decide_on, may_open, relation_of
from rivta.viewer.policy.rules import Rule
from rivta.viewer.policy.situation import Owner, Situation
from rivta.viewer.records import Record
from rivta.viewer.sets import Basis, InformationSet

_log = logging.getLogger("rivta.viewer")

SLOW_SECONDS = 4.0
"""A source that has not answered after so long is called slow, and goes on being waited for."""
MOST_RECORDS = 50_000
"""Of one look-up, in memory."""


class NotRecorded(Exception):
    """The access log does not take an entry: nothing is asked for, and nothing shown."""


class Log(Protocol):
    """The access log, wherever it is."""

    async def record(self, *entries: Entry) -> Sequence[str]:
        """The ids of the entries, all of which are durable. Raises NotRecorded."""


@dataclass(slots=True)
class SourceRow:
    """A source in the panel of a set."""

    source: Source
    asked: datetime
    fared: Fared | None = None
    """None: it has not answered yet."""
    reason: str = ""
    shown: int = 0

    def is_slow(self, now: datetime) -> bool:
        """Whether it takes long, and may still answer."""
        return self.fared is None and (now - self.asked).total_seconds() > SLOW_SECONDS


@dataclass(frozen=True, slots=True)
class Shown:
    """A record on the page, and where it came from."""

    set: InformationSet
    record: Record
    sources: tuple[str, ...]
    """Names of the sources that have it: the same document may come from several."""


@dataclass(slots=True)
class SetProgress:
    """How far a set has come."""

    rows: dict[str, SourceRow] = field(default_factory=dict)
    """By address."""
    records: dict[str, Shown] = field(default_factory=dict, repr=False)
    """By document id."""
    is_done: bool = False
    problem: str = ""
    """Why nobody was asked."""


@dataclass(slots=True)
class Look:
    """One look-up of one reader at one patient. It is in the memory of a session, and goes with it."""

    id: str
    """Of the session: it says nothing of the patient, and opens nothing in another one."""
    patient: PersonId = field(repr=False)
    situation: Situation
    reader: Reader
    correlation_id: str
    sets: dict[InformationSet, SetProgress] = field(repr=False)
    version: int = 0
    """Grows with every change of what is to be seen."""
    closed: Decision | None = None
    """Why the overview stays closed."""
    refusals: set[Rule] = field(default_factory=set)
    """Rules by which other care providers' data is not shown: told whether there is any or not."""
    blocked: set[Telling] = field(default_factory=set)
    blocking_providers: set[str] = field(default_factory=set)
    """HSA-ids, in an emergency only."""
    unrecorded: bool = False
    """The access log has failed: what came after that is not shown."""
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def is_done(self) -> bool:
        """Whether nothing more will come."""
        return all(one.is_done for one in self.sets.values())

    def wipe(self) -> None:
        """Stops what is on its way and forgets everything."""
        if self.task is not None:
            self.task.cancel()
        self.sets.clear()
        self.refusals.clear()
        self.blocked.clear()
        self.blocking_providers.clear()
        self.version += 1


AskingOf = Callable[[Look], Asking]
"""Makes what asks for a look-up."""


class Looking:
    """Makes look-ups. `now` gives aware times."""

    def __init__(self, log: Log, asking_of: AskingOf, *, now: Callable[[], datetime]) -> None:
        self._log = log
        self._asking_of = asking_of
        self._now = now

    async def begin(self, patient: PersonId, situation: Situation, reader: Reader) -> Look:
        """A look-up whose intents are durable, and whose sources are being asked; or one that stays closed.

        Raises NotRecorded: then nobody was asked, and nothing is to be shown.
        """
        look = Look(secrets.token_urlsafe(12), patient, situation, reader, str(uuid.uuid4()), {})
        look.closed = may_open(situation)
        if look.closed is not None:
            await self._log.record(_entry(look, Kind.REFUSED, reason=look.closed.rule.name))
            return look
        look.sets = {one: SetProgress() for one in InformationSet}
        beyond = _beyond_own_provider(look)
        if not beyond.may_show:
            look.refusals.add(beyond.rule)
        entries = list(_emergency(look))
        entries += [_entry(look, Kind.INTENT), *(_entry(look, Kind.INTENT, one) for one in look.sets)]
        ids = await self._log.record(*entries)
        intents = dict(zip(look.sets, ids[-len(look.sets) :], strict=True))
        look.task = asyncio.create_task(self._ask_all(look, intents))
        return look

    async def refuse(self, reader: Reader, rule: Rule) -> None:
        """Writes down that a reader was turned away before anybody was looked up. Raises NotRecorded."""
        await self._log.record(Entry(Kind.REFUSED, reader, correlation_id=str(uuid.uuid4()), reason=rule.name))

    async def _ask_all(self, look: Look, intents: dict[InformationSet, str]) -> None:
        asking = self._asking_of(look)
        try:
            await asyncio.gather(*(self._ask_set(look, asking, one, intents[one]) for one in tuple(look.sets)))
        finally:
            asking.close()

    async def _ask_set(self, look: Look, asking: Asking, wanted: InformationSet, intent: str) -> None:
        progress = look.sets[wanted]
        try:
            await self._fill(look, asking, wanted, intent)
        except NotAsked as error:
            progress.problem = str(error)
            _log.warning("look-up %s: %s", look.correlation_id, error)
            await self._tell(look, _entry(look, Kind.OUTCOME, wanted, about=intent, outcome=Outcome.FAILED))
        except Exception as error:  # noqa: BLE001 - the page tells it, and no words of it may be about the patient
            progress.problem = "error"
            _log.error("look-up %s met an error of ours: %s", look.correlation_id, type(error).__name__)
            await self._tell(look, _entry(look, Kind.OUTCOME, wanted, about=intent, outcome=Outcome.FAILED))
        finally:
            progress.is_done = True
            look.version += 1

    async def _fill(self, look: Look, asking: Asking, wanted: InformationSet, intent: str) -> None:
        sources = [one for one in await asking.sources(wanted) if _may_ask(look, one)]
        if not sources:
            await self._tell(look, _entry(look, Kind.OUTCOME, wanted, about=intent, outcome=Outcome.EMPTY))
            return
        rows = look.sets[wanted].rows
        for one in sources:
            rows[one.address] = SourceRow(one, self._now())
        look.version += 1
        await asyncio.gather(*(self._ask(look, asking, wanted, row, intent) for row in tuple(rows.values())))

    async def _ask(self, look: Look, asking: Asking, wanted: InformationSet, row: SourceRow, intent: str) -> None:
        answered = await asking.ask(row.source)
        judged = _judge(look, wanted, answered)
        about = _entry(
            look,
            Kind.OUTCOME,
            wanted,
            about=intent,
            sources=(row.source.address,),
            outcome=judged.outcome,
            permission=row.source.permission,
            # A look in an emergency is told as one, whatever else of it had needed none.
            consent=EMERGENCY_ACCESS if EMERGENCY_ACCESS in judged.consents else "; ".join(sorted(judged.consents)),
            reason=answered.reason,
        )
        entries = [about]
        if judged.blocked:
            entries.append(_entry(look, Kind.BLOCKED, wanted, about=intent, sources=(row.source.address,)))
        if answered.fared is Fared.OTHER_PATIENT:
            _log.error(
                "look-up %s: %s answered about another patient than it was asked about",
                look.correlation_id,
                row.source.address,
            )
        if not await self._tell(look, *entries):
            row.fared, row.reason = Fared.FAILED, "access log"
            return
        _show(look, wanted, row, answered, judged)

    async def _tell(self, look: Look, *entries: Entry) -> bool:
        """Whether the entries are durable: what they are about may be shown."""
        try:
            await self._log.record(*entries)
        except NotRecorded as error:
            look.unrecorded = True
            look.version += 1
            _log.error("look-up %s: %s", look.correlation_id, error)
            return False
        return True


@dataclass(frozen=True, slots=True)
class _Judged:
    """What becomes of the records of one source."""

    shown: tuple[Record, ...] = field(repr=False)
    outcome: Outcome
    consents: frozenset[str]
    refusals: frozenset[Rule]
    blocked: frozenset[Telling]
    providers: frozenset[str]


_REGISTER_CONSENT = "register of dispensed medicines"


def _judge(look: Look, wanted: InformationSet, answered: Answered) -> _Judged:
    if answered.fared not in (Fared.ANSWERED, Fared.EMPTY):
        withheld = answered.fared in (Fared.OTHER_PATIENT, Fared.NO_CONSENT)
        outcome = Outcome.WITHHELD if withheld else Outcome.FAILED
        return _Judged((), outcome, frozenset(), frozenset(), frozenset(), frozenset())
    if wanted is InformationSet.DISPENSED:
        # The register has looked the patient's consent up itself, or was told of an emergency.
        consent = EMERGENCY_ACCESS if look.situation.emergency else _REGISTER_CONSENT
        outcome = Outcome.SHOWN if answered.records else Outcome.EMPTY
        return _Judged(answered.records, outcome, frozenset({consent}), frozenset(), frozenset(), frozenset())
    shown: list[Record] = []
    decisions: list[tuple[Owner, Decision]] = []
    for record in answered.records:
        owner = Owner(record.about.care_provider, record.about.unit_id)
        decision = decide_on(look.situation, owner)
        decisions.append((owner, decision))
        if decision.may_show:
            shown.append(record)
    hidden = [(owner, one) for owner, one in decisions if not one.may_show]
    outcome = Outcome.SHOWN if shown else Outcome.WITHHELD if hidden else Outcome.EMPTY
    return _Judged(
        shown=tuple(shown),
        outcome=outcome,
        consents=frozenset(one.consent for _, one in decisions if one.may_show and one.consent),
        refusals=frozenset(one.rule for _, one in hidden if one.tells is Telling.NOTHING),
        blocked=frozenset(one.tells for _, one in hidden if one.tells is not Telling.NOTHING),
        providers=frozenset(owner.care_provider for owner, one in hidden if one.tells is Telling.BLOCKING_PROVIDER),
    )


def _show(look: Look, wanted: InformationSet, row: SourceRow, answered: Answered, judged: _Judged) -> None:
    progress = look.sets.get(wanted)
    if progress is None:  # wiped meanwhile
        return
    row.fared, row.reason = answered.fared, answered.reason
    if answered.fared is Fared.ANSWERED and not judged.shown:
        # That it has something which is not shown would say whose data is blocked.
        row.fared = Fared.EMPTY
    look.blocked |= judged.blocked
    look.blocking_providers |= judged.providers
    look.refusals |= judged.refusals
    room = MOST_RECORDS - sum(len(one.records) for one in look.sets.values())
    for number, record in enumerate(judged.shown):
        if number >= room:
            progress.problem = "too many"
            break
        _add(progress, wanted, record, row.source.name, f"{row.source.address} {number}")
        row.shown += 1
    look.version += 1


def _add(progress: SetProgress, wanted: InformationSet, record: Record, source: str, otherwise: str) -> None:
    """The record, once: the same document from another source names that one too."""
    key = record.about.document_id or otherwise
    before = progress.records.get(key)
    if before is None:
        progress.records[key] = Shown(wanted, record, (source,))
    elif before.record == record and source not in before.sources:
        progress.records[key] = replace(before, sources=(*before.sources, source))
    elif before.record != record:
        # Two that differ under one id are both shown: which of them is right is not ours to say.
        progress.records[f"{key} {otherwise}"] = Shown(wanted, record, (source,))


def newest_first(shown: Iterable[Shown]) -> list[Shown]:
    """Newest first; what has no time last."""
    dated = [one for one in shown if one.record.about.time is not None]
    undated = [one for one in shown if one.record.about.time is None]
    return [*sorted(dated, key=_time, reverse=True), *undated]


def _time(one: Shown) -> datetime:
    assert one.record.about.time is not None
    return one.record.about.time.at


def _may_ask(look: Look, source: Source) -> bool:
    """Whether the source can have anything to show: one whose care providers' data may not be shown is not asked."""
    if not source.controllers:
        return True
    own, blocks = look.situation.assignment.care_provider, look.situation.blocks
    # That there is blocked data is told, so those who may have it are asked.
    telling = {own, *(one.care_provider for one in blocks)}
    return bool(telling & source.controllers) or _beyond_own_provider(look).may_show


def _beyond_own_provider(look: Look) -> Decision:
    """What is decided on unblocked data of some other care provider."""
    return decide_on(look.situation, Owner("", ""))


def _emergency(look: Look) -> Iterable[Entry]:
    if look.situation.emergency is not None:
        yield _entry(look, Kind.EMERGENCY, reason=look.situation.emergency.reason)


def _entry(
    look: Look,
    kind: Kind,
    wanted: InformationSet | None = None,
    *,
    about: str = "",
    sources: tuple[str, ...] = (),
    outcome: Outcome = Outcome.NONE,
    permission: str = "",
    consent: str = "",
    reason: str = "",
) -> Entry:
    is_emergency = look.situation.emergency is not None
    return Entry(
        kind,
        look.reader,
        look.patient.value,
        look.correlation_id,
        about=about,
        information_set="" if wanted is None else wanted.value.swedish,
        sources=sources,
        outcome=outcome,
        relation=relation_of(look.situation) or "",
        consent=consent or (EMERGENCY_ACCESS if is_emergency and kind is Kind.INTENT else ""),
        permission=permission,
        reason=reason,
    )


def basis_of(look: Look) -> Basis:
    """On what the register of dispensed medicines is asked."""
    reader, emergency = look.reader, look.situation.emergency
    return Basis(
        user_id=reader.user_id,
        user_name=reader.user_name,
        unit=reader.unit_id,
        unit_name=reader.unit_name,
        care_provider=reader.care_provider_id,
        emergency="" if emergency is None else emergency.reason,
    )
