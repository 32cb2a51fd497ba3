"""Answers of the stub producers, as the overview gets them: whole messages, made from the same journals as on the pair."""

from datetime import UTC, date, datetime
from functools import cache

from lxml import etree

from producers_stub.answers import StubProducer
from producers_stub.journals import load_journals
from producers_stub.medication_register import MedicationRegister
from producers_stub.situations import Situations
from producers_stub.world import World
from rivta.router.messages import Answer
from rivta.soap import namespaces
from rivta.soap.identifiers import ContractNamespace, LogicalAddress
from rivta.soap.person_ids import PersonId, read_person_id
from rivta.soap.service import Call, envelope, envelope_bytes
from rivta.viewer.asking import Answered, read_records
from rivta.viewer.sets import Basis, request, service_of

NOW = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
TOLVAN, NINA, SIV, LILLY = "191212121212", "198507099805", "195003159802", "201504122381"
BASIS = Basis(
    user_id="SE2321000016-P101",
    user_name="Åsa Lindqvist-Test",
    unit="SE2321000016-KS-KARD",
    unit_name="Kardiologimottagningen",
    care_provider="SE2321000016-VG-STHLM",
)


def person(number: str) -> PersonId:
    return read_person_id(number, today=date(2026, 11, 24))


@cache
def stubs() -> dict[str, StubProducer]:
    """Every stub producer by each of its logical addresses."""
    world = World.load()
    journals, situations = load_journals(), Situations.load(world)
    return {
        address.logical_address: StubProducer(producer, journals[producer.name], "0.1.0", NOW, lambda: NOW, situations)
        for producer in world.producers
        for address in producer.addresses
    }


def answer(contract: str, address: str, number: str, asked: etree._Element | None = None) -> Answer:
    """What a source answers to the overview's own request, or to the one that was sent."""
    sent = request(service_of(contract), person(number), BASIS) if asked is None else asked
    call = Call(ContractNamespace(contract), LogicalAddress(address), sent)
    is_register = contract == namespaces.GET_DISPENSED_MEDICINES_1
    payload = MedicationRegister.load(lambda: NOW).answer(call) if is_register else stubs()[address].records(call)
    return Answer(200, (("Content-Type", "text/xml;charset=UTF-8"),), envelope_bytes(envelope(payload)))


def answered(contract: str, address: str, number: str) -> Answered:
    """The same as the overview reads it."""
    return read_records(answer(contract, address, number), service_of(contract), person(number))
