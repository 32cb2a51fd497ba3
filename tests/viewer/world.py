"""A national platform, its tables and its access log as functions: the demo world's journals without sockets."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

from lxml import etree

from producers_stub.engagements import CATEGORIES, Engagement, engagements
from producers_stub.journals import load_journals
from producers_stub.situations import Situations
from producers_stub.world import World
from rivta.audit.access.entry import Entry, Kind, Outcome, Reader
from rivta.catalogue.decision import Outcome as Decided
from rivta.router.messages import Answer
from rivta.soap import namespaces
from rivta.soap.head import read_head
from rivta.soap.service import envelope, envelope_bytes
from rivta.soap.xml import parse_xml
from rivta.viewer.asking import Asking, NotAnswered, Rules, Said
from rivta.viewer.emulated import Emulated, Person
from rivta.viewer.looking import Look, Looking, NotRecorded, basis_of
from rivta.viewer.policy.situation import CareRelation, Emergency, Period, Situation
from tests.viewer.journals import NOW, answer, person, stubs

INDEX, REGISTER, NTJP = "5565594230", "SE2021004748-LF", "SE165565594230-NTJP"
RULES = Rules(INDEX, REGISTER)
EMULATED = Emulated.load()
Answering = Callable[[str, str, str], Awaitable[Answer]]
"""Of a contract, a patient's number and the address."""


@cache
def announced() -> tuple[Engagement, ...]:
    world = World.load()
    journals, situations = load_journals(), Situations.load(world)
    return tuple(one for each in world.producers for one in engagements(each, journals[each.name], situations))


@dataclass
class FakePlatform:
    """Answers as the pair would; `steered` addresses do something else. `events` tells what happened, in order."""

    events: list[str] = field(default_factory=list)
    steered: dict[str, Answering] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    """Addresses that the overview may not call."""
    index_fails: bool = False
    called: list[tuple[str, str]] = field(default_factory=list)

    async def call(self, contract: str, message: bytes, *, correlation_id: str, seconds: float) -> Answer:
        assert correlation_id
        assert seconds > 0
        head = read_head(parse_xml(message))
        assert head.payload is not None
        if contract == namespaces.FIND_CONTENT_1:
            self.events.append("index")
            return self._found(head.payload)
        address, number = str(head.logical_address), _patient(head.payload)
        self.events.append(f"call {address}")
        self.called.append((contract, address))
        if address in self.steered:
            return await self.steered[address](contract, number, address)
        return answer(contract, address, number, head.payload)

    async def decisions(self, contract: str, addresses: Sequence[str]) -> Mapping[str, Said]:
        stub = stubs()
        return {
            one: Said(Decided.ROUTED, f"NPÖ ({one}:1)", f"Namn på {one}")
            if one in stub and contract in stub[one].producer.contracts and one not in self.refused
            else Said(Decided.NO_PERMISSION, "", "")
            for one in addresses
        }

    def _found(self, question: etree._Element) -> Answer:
        if self.index_fails:
            raise NotAnswered("no answer from the national platform: reset", is_slow=False)
        asked = {etree.QName(one).localname: one.text for one in question}
        root = etree.Element(f"{{{namespaces.FIND_CONTENT_1}}}FindContentResponse")
        for one in announced():
            domain, category = CATEGORIES[one.kind]
            wanted = (asked["registeredResidentIdentification"], asked["serviceDomain"], asked["categorization"])
            if (one.patient, domain, category) == wanted:
                _add_engagement(root, one, domain, category)
        return Answer(200, (), envelope_bytes(envelope(root)))


def _add_engagement(root: etree._Element, one: Engagement, domain: str, category: str) -> None:
    engagement = etree.SubElement(root, f"{{{namespaces.FIND_CONTENT_1}}}engagement")
    for name, value in (
        ("registeredResidentIdentification", one.patient),
        ("serviceDomain", domain),
        ("categorization", category),
        ("logicalAddress", one.logical_address),
        ("businessObjectInstanceIdentifier", "NA"),
        ("clinicalProcessInterestId", "NA"),
        ("sourceSystem", one.logical_address),
        ("dataController", one.data_controller),
        ("owner", NTJP),
    ):
        etree.SubElement(engagement, f"{{{namespaces.ENGAGEMENT_INDEX_1}}}{name}").text = value


def _patient(payload: etree._Element) -> str:
    return payload.findtext("{*}patientId/{*}id") or payload.findtext("{*}patientId/{*}extension") or ""


@dataclass
class FakeLog:
    """An access log in a list; refuses from the entry with number `fails_from` on."""

    events: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    fails_from: int | None = None

    async def record(self, *entries: Entry) -> Sequence[str]:
        await asyncio.sleep(0)
        if self.fails_from is not None and len(self.entries) + len(entries) > self.fails_from:
            raise NotRecorded("the disk is full")
        self.entries += entries
        self.events += [f"{one.kind.value} {one.information_set}".strip() for one in entries]
        return [f"w:{len(self.entries) - len(entries) + at}" for at in range(len(entries))]

    def of(self, kind: Kind, outcome: Outcome | None = None) -> list[Entry]:
        return [one for one in self.entries if one.kind is kind and outcome in (None, one.outcome)]


@dataclass
class FakeWorld:
    """Everything that a look-up needs."""

    platform: FakePlatform = field(default_factory=FakePlatform)
    log: FakeLog = field(default_factory=FakeLog)
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.log.events = self.platform.events

    @property
    def looking(self) -> Looking:
        return Looking(self.log, self.asking_of, now=lambda: self.now)

    def asking_of(self, look: Look) -> Asking:
        return Asking(
            self.platform,
            self.platform,
            RULES,
            patient=look.patient,
            basis=basis_of(look),
            correlation_id=look.correlation_id,
            now=self.now,
        )

    async def look(self, number: str, *, staff: int = 0, emergency: str | None = None, without: str = "") -> Look:
        """A look-up by one of the emulated staff with its first assignment, when everything has answered; without the
        relations or the consents, if so said."""
        who = EMULATED.staff[staff]
        chosen = who.assignments[0]
        known = EMULATED.persons.get(number, Person(""))
        said = CareRelation(chosen.care_provider_id, "enligt läsaren", Period(self.now))
        situation = Situation(
            assignment=chosen.of(who.user_id),
            patient=known.patient,
            now=self.now,
            relations=() if without == "relations" else EMULATED.relations.get(number, (said,)),
            consents=() if without == "consents" else EMULATED.consents.get(number, ()),
            blocks=EMULATED.blocks.get(number, ()),
            emergency=None if emergency is None else Emergency(emergency),
        )
        reader = Reader(who.user_id, who.name, chosen.id, chosen.unit_id, chosen.unit, chosen.care_provider_id)
        look = await self.looking.begin(person(number), situation, reader)
        if look.task is not None:
            await look.task
        return look
