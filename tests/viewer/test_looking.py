"""A look-up: written down before it is asked, decided before it is shown, and nothing left of what is not."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from rivta.audit.access.entry import EMERGENCY_ACCESS, Kind, Outcome
from rivta.router.messages import Answer
from rivta.soap import namespaces
from rivta.viewer.asking import Fared, NotAnswered
from rivta.viewer.looking import Look, NotRecorded, newest_first
from rivta.viewer.policy.decision import Telling
from rivta.viewer.policy.rules import Rule
from rivta.viewer.sets import InformationSet
from tests.support import until_true
from tests.viewer.journals import LILLY, NINA, SIV, TOLVAN, answer
from tests.viewer.world import FakeWorld

BLOCKED_UNIT, BLOCKED_WORDS = "SE2321000016-SOS-PSYK", "Bipolär"
STHLM, PRIVATE, VGR = 0, 1, 2
"""Places among the emulated staff."""


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


def everything(look: Look) -> list[Any]:
    return [one.record for progress in look.sets.values() for one in progress.records.values()]


def providers(look: Look) -> set[str]:
    return {one.about.care_provider for one in everything(look)} - {""}


def fared(look: Look, wanted: InformationSet) -> dict[str, Fared | None]:
    return {address: row.fared for address, row in look.sets[wanted].rows.items()}


async def fault(_contract: str, _number: str, _address: str) -> Answer:
    body = (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Server</faultcode>'
        "<faultstring>VP009 about 191212121212</faultstring></s:Fault></s:Body></s:Envelope>"
    )
    return Answer(500, (), body.encode())


async def test_every_set_is_filled_from_every_source(world: FakeWorld) -> None:
    look = await world.look(TOLVAN)
    for wanted, progress in look.sets.items():
        assert progress.is_done
        assert progress.records, wanted
        assert set(fared(look, wanted).values()) <= {Fared.ANSWERED, Fared.EMPTY}, wanted
    assert len(providers(look)) == 4


async def test_intents_are_durable_before_anything_is_asked(world: FakeWorld) -> None:
    await world.look(TOLVAN)
    first = world.platform.events.index("index")
    before = world.platform.events[:first]
    assert before[0] == "intent"
    assert sorted(before[1:]) == sorted(f"intent {one.value.swedish}" for one in InformationSet)


async def test_the_outcome_of_a_source_is_durable_before_its_data_is_there(world: FakeWorld) -> None:
    seen: list[bool] = []
    record = world.log.record
    looks: list[Look] = []

    async def watched(*entries: Any) -> Any:
        for one in entries:
            if one.kind is Kind.OUTCOME and one.sources:
                (wanted,) = [each for each in InformationSet if each.value.swedish == one.information_set]
                rows = looks[0].sets[wanted].rows if looks else {}
                seen.append(not rows or rows[one.sources[0]].fared is None)
        return await record(*entries)

    world.log.record = watched  # type: ignore[method-assign]
    asking_of = world.asking_of

    def remembering(look: Look) -> Any:
        looks.append(look)
        return asking_of(look)

    world.asking_of = remembering  # type: ignore[method-assign]
    await world.look(TOLVAN)
    assert len(seen) > 10
    assert all(seen)


async def test_each_outcome_answers_its_intent_and_names_its_source_permission_and_ground(world: FakeWorld) -> None:
    await world.look(TOLVAN)
    intents = {f"w:{at}": one for at, one in enumerate(world.log.entries) if one.kind is Kind.INTENT}
    outcomes = world.log.of(Kind.OUTCOME)
    assert {intents[one.about].information_set for one in outcomes} == {one.value.swedish for one in InformationSet}
    for one in outcomes:
        assert one.information_set == intents[one.about].information_set
        assert one.correlation_id == intents[one.about].correlation_id
        assert one.relation == "bokat besök"
    shown = [one for one in outcomes if one.outcome is Outcome.SHOWN]
    assert all(one.permission.startswith("NPÖ (") and len(one.sources) == 1 for one in shown)
    assert {one.consent for one in shown} >= {"own care provider", "patient"}


async def test_where_the_log_takes_nothing_nobody_is_asked(world: FakeWorld) -> None:
    world.log.fails_from = 0
    with pytest.raises(NotRecorded):
        await world.look(TOLVAN)
    assert world.platform.events == []


async def test_what_comes_after_the_log_has_failed_is_not_shown(world: FakeWorld) -> None:
    world.log.fails_from = 9  # the look-up and its eight sets are written, and no outcome
    look = await world.look(TOLVAN)
    assert look.unrecorded
    assert everything(look) == []
    assert {row.fared for one in look.sets.values() for row in one.rows.values()} == {Fared.FAILED}


async def test_a_slow_source_holds_up_nobody(world: FakeWorld) -> None:
    never = asyncio.Event()

    async def hang(_contract: str, _number: str, _address: str) -> Answer:
        await never.wait()
        raise AssertionError

    world.platform.steered["SE2321000255-SUS"] = hang
    made: list[Look] = []
    asking_of = world.asking_of

    def remembering(look: Look) -> Any:
        made.append(look)
        return asking_of(look)

    world.asking_of = remembering  # type: ignore[method-assign]
    looking = asyncio.create_task(world.look(TOLVAN))
    slow = "SE2321000255-SUS"

    def others_have_answered() -> bool:
        rows = made[0].sets[InformationSet.NOTES].rows if made else {}
        return bool(rows) and all(row.fared for address, row in rows.items() if address != slow)

    await until_true(others_have_answered)
    look = made[0]
    assert everything(look)
    assert not look.is_done
    assert fared(look, InformationSet.NOTES)[slow] is None
    assert look.sets[InformationSet.NOTES].rows[slow].is_slow(world.now + timedelta(seconds=5))
    looking.cancel()
    look.wipe()
    await asyncio.gather(looking, return_exceptions=True)


@pytest.mark.parametrize(
    ("is_slow", "expected"), [(True, Fared.SLOW), (False, Fared.FAILED)], ids=["too slow", "broken off"]
)
async def test_a_source_that_does_not_answer_is_told_and_logged(
    world: FakeWorld, is_slow: bool, expected: Fared
) -> None:
    async def none(_contract: str, _number: str, _address: str) -> Answer:
        raise NotAnswered("reset", is_slow=is_slow)

    world.platform.steered["SE2321000016-KS"] = none
    look = await world.look(TOLVAN)
    assert fared(look, InformationSet.NOTES)["SE2321000016-KS"] is expected
    failed = world.log.of(Kind.OUTCOME, Outcome.FAILED)
    assert {one.sources for one in failed} == {("SE2321000016-KS",)}


async def test_a_fault_is_a_failed_source_and_its_words_are_kept_nowhere(world: FakeWorld) -> None:
    world.platform.steered["SE2321000016-KS"] = fault
    look = await world.look(TOLVAN)
    assert fared(look, InformationSet.NOTES)["SE2321000016-KS"] is Fared.FAILED
    assert TOLVAN not in look.sets[InformationSet.NOTES].rows["SE2321000016-KS"].reason
    assert all(TOLVAN not in one.reason for one in world.log.entries)


async def test_an_answer_about_another_patient_is_refused_told_and_logged(
    world: FakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    async def other(contract: str, _number: str, address: str) -> Answer:
        return answer(contract, address, NINA)

    world.platform.steered["SE2321000016-KS"] = other
    look = await world.look(TOLVAN)
    assert fared(look, InformationSet.DIAGNOSES)["SE2321000016-KS"] is Fared.OTHER_PATIENT
    assert {one.about.patient for one in everything(look)} <= {TOLVAN, ""}
    withheld = world.log.of(Kind.OUTCOME, Outcome.WITHHELD)
    assert ("SE2321000016-KS",) in {one.sources for one in withheld}
    assert "answered about another patient" in caplog.text
    assert TOLVAN not in caplog.text
    assert NINA not in caplog.text


async def test_a_source_that_may_not_be_called_is_neither_asked_nor_named(world: FakeWorld) -> None:
    world.platform.refused.add("SE2321000016-KS")
    look = await world.look(TOLVAN)
    assert not any("SE2321000016-KS" in progress.rows for progress in look.sets.values())
    assert "call SE2321000016-KS" not in world.platform.events
    assert all("SE2321000016-KS" not in one.sources for one in world.log.entries)


async def test_an_index_that_fails_is_told_for_each_set_and_the_register_answers(world: FakeWorld) -> None:
    world.platform.index_fails = True
    look = await world.look(TOLVAN)
    assert look.sets[InformationSet.NOTES].problem.startswith("the engagement index")
    assert look.sets[InformationSet.DISPENSED].records
    failed = {one.information_set for one in world.log.of(Kind.OUTCOME, Outcome.FAILED)}
    assert failed == {one.value.swedish for one in InformationSet if one is not InformationSet.DISPENSED}


async def test_each_source_is_asked_with_the_newest_contract_it_may_be_called_by(world: FakeWorld) -> None:
    await world.look("199003022382")
    contracts = {contract for contract, address in world.platform.called if address.startswith("SE2321000016-T")}
    assert namespaces.GET_CARE_CONTACTS_3 in contracts
    assert namespaces.GET_CARE_CONTACTS_2 not in contracts
    assert len(world.platform.called) == len(set(world.platform.called))


async def test_without_a_care_relation_nobody_is_asked_and_the_refusal_is_logged(world: FakeWorld) -> None:
    look = await world.look(TOLVAN, without="relations")
    assert look.closed is not None
    assert look.closed.rule is Rule.NO_CARE_RELATION
    assert world.platform.events == ["refused"]
    assert world.log.entries[0].reason == "NO_CARE_RELATION"


async def test_without_consent_other_care_providers_are_neither_shown_nor_asked(world: FakeWorld) -> None:
    look = await world.look(TOLVAN, without="consents")
    assert providers(look) == {"SE2321000016-VG-STHLM"}
    assert Rule.CONSENT_MISSING in look.refusals
    assert "call SE2321000255-SUS" not in world.platform.events
    assert not any("SE2321000255-SUS" in progress.rows for progress in look.sets.values())


async def test_that_consent_is_missing_is_told_whether_there_is_any_data_or_not(world: FakeWorld) -> None:
    world.platform.refused |= {"SE2321000255-SUS", "SE2321000131-SU", "SE5560123456-VC", "SE5560123456-VCN"}
    assert Rule.CONSENT_MISSING in (await world.look(SIV)).refusals


async def test_an_inner_block_is_told_and_its_data_is_nowhere(world: FakeWorld) -> None:
    look = await world.look(SIV)
    assert look.blocked == {Telling.BLOCKED_DATA_EXISTS}
    assert BLOCKED_UNIT not in {one.about.unit_id for one in everything(look)}
    assert BLOCKED_WORDS not in repr(look.sets)
    assert look.blocking_providers == set()
    assert world.log.of(Kind.BLOCKED)


async def test_an_emergency_opens_an_inner_block_and_is_logged_first(world: FakeWorld) -> None:
    look = await world.look(SIV, emergency="Medvetslös")
    assert BLOCKED_UNIT in {one.about.unit_id for one in everything(look)}
    assert (world.log.entries[0].kind, world.log.entries[0].reason) == (Kind.EMERGENCY, "Medvetslös")
    read = world.log.of(Kind.OUTCOME, Outcome.SHOWN)
    assert EMERGENCY_ACCESS in {one.consent for one in read}


async def test_another_providers_block_stays_in_an_emergency_and_its_provider_is_named(world: FakeWorld) -> None:
    look = await world.look(SIV, staff=VGR, emergency="Medvetslös")
    assert BLOCKED_UNIT not in {one.about.unit_id for one in everything(look)}
    assert look.blocking_providers == {"SE2321000016-VG-STHLM"}
    assert Telling.BLOCKING_PROVIDER in look.blocked


async def test_another_providers_block_does_not_name_it_otherwise(world: FakeWorld) -> None:
    look = await world.look(SIV, staff=VGR)
    assert look.blocked == {Telling.BLOCKED_DATA_EXISTS}
    assert look.blocking_providers == set()
    asked = {row.source.address: row.fared for one in look.sets.values() for row in one.rows.values()}
    assert Fared.ANSWERED not in {one for address, one in asked.items() if address.startswith("SE2321000016-SOS")}


async def test_an_emergency_without_a_reason_opens_nothing(world: FakeWorld) -> None:
    look = await world.look(SIV, emergency=" ")
    assert look.closed is not None
    assert look.closed.rule is Rule.EMERGENCY_WITHOUT_REASON
    assert world.platform.events == ["refused"]


async def test_a_childs_data_is_shown_although_a_guardian_wanted_it_blocked(world: FakeWorld) -> None:
    look = await world.look(LILLY)
    assert "SE5560123456-VG" in providers(look)
    assert look.blocked == set()


async def test_the_register_decides_on_its_own_consents(world: FakeWorld) -> None:
    look = await world.look(NINA)
    assert fared(look, InformationSet.DISPENSED) == {"SE2021004748-LF": Fared.NO_CONSENT}
    look = await world.look(NINA, staff=VGR)
    assert fared(look, InformationSet.DISPENSED) == {"SE2021004748-LF": Fared.ANSWERED}


async def test_newest_stands_first_and_what_has_no_time_last(world: FakeWorld) -> None:
    look = await world.look(TOLVAN)
    shown = newest_first(one for progress in look.sets.values() for one in progress.records.values())
    times = [one.record.about.time.at for one in shown if one.record.about.time]
    assert times == sorted(times, reverse=True)


async def test_a_wiped_look_holds_nothing_and_asks_nothing_more(world: FakeWorld) -> None:
    look = await world.look(TOLVAN)
    look.wipe()
    assert look.sets == {}
    assert everything(look) == []
