"""Behaviours as testers spell them, and the board that remembers them."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers_stub.behaviours import SLOW_SECONDS, Behaviour, Setting
from producers_stub.switchboard import Switchboard, UnknownAddress
from producers_stub.world import Producer, World
from rivta.soap.identifiers import LogicalAddress

KS = LogicalAddress("SE2321000016-KS")


@pytest.fixture
def producer() -> Producer:
    return World.load().producers[0]


@pytest.fixture
def board() -> Switchboard:
    return Switchboard(World.load().producers)


@pytest.mark.parametrize(
    ("fields", "setting"),
    [
        ({"behaviour": "normal"}, Setting()),
        ({"behaviour": "slow"}, Setting(Behaviour.SLOW, seconds=SLOW_SECONDS)),
        ({"behaviour": "slow", "seconds": 2, "calls": None}, Setting(Behaviour.SLOW, seconds=2.0)),
        ({"behaviour": "fault", "detail": "nej", "calls": 3}, Setting(Behaviour.FAULT, detail="nej", calls=3)),
    ],
)
def test_a_setting_is_read(fields: dict[str, Any], setting: Setting) -> None:
    assert Setting.parse(fields) == setting


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "behaviour: None is not one of normal, slow, fault, empty, invalid, error, close"),
        ({"behaviour": "late"}, "behaviour: 'late' is not one of normal, slow, fault, empty, invalid, error, close"),
        ({"behaviour": "slow", "seconds": "2"}, "seconds: '2' is not a number"),
        ({"behaviour": "slow", "seconds": True}, "seconds: True is not a number"),
        ({"behaviour": "slow", "seconds": float("nan")}, "seconds: nan is not a number"),
        ({"behaviour": "slow", "seconds": 3601}, "seconds: 3601 is not between 0 and 3600"),
        ({"behaviour": "fault", "detail": 3}, "detail: 3 is not a text"),
        ({"behaviour": "fault", "detail": "a\x00"}, "holds a character that XML cannot"),
        ({"behaviour": "fault", "calls": 0}, "calls: 0 is not a whole number"),
        (
            {"behaviour": "fault", "delay": 2},
            "unknown field 'delay': the fields are behaviour, body, calls, detail, distribution",
        ),
    ],
)
def test_a_wrong_setting_is_told_field_and_choice(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Setting.parse(fields)


def steered(patient: str, address: str) -> Setting | None:
    return Setting(Behaviour.FAULT) if (patient, address) == ("191212121212", KS) else None


def test_an_address_may_behave_otherwise_for_a_patient(producer: Producer) -> None:
    board = Switchboard(World.load().producers, steered)
    assert board.take(producer, KS, {}, patient="191212121212").behaviour is Behaviour.FAULT
    assert board.take(producer, KS, {}, patient="198507099805").behaviour is Behaviour.NORMAL


def test_what_a_tester_has_set_comes_before_what_goes_for_the_patient(producer: Producer) -> None:
    board = Switchboard(World.load().producers, steered)
    board.set(KS, Setting(calls=1))
    taken = [board.take(producer, KS, {}, patient="191212121212").behaviour for _ in range(2)]
    assert taken == [Behaviour.NORMAL, Behaviour.FAULT]
    board.set(KS, Setting())
    assert board.take(producer, KS, {}, patient="191212121212").behaviour is Behaviour.NORMAL
    board.reset(KS)
    assert board.take(producer, KS, {}, patient="191212121212").behaviour is Behaviour.FAULT
    assert "191212121212" not in str(board.describe())


def test_a_behaviour_lasts_until_it_is_reset(board: Switchboard, producer: Producer) -> None:
    board.set(KS, Setting(Behaviour.FAULT))
    assert [board.take(producer, KS, {}).behaviour for _ in range(3)] == [Behaviour.FAULT] * 3

    board.reset(KS)
    assert board.take(producer, KS, {}).behaviour is Behaviour.NORMAL


@given(st.integers(1, 20))
def test_a_behaviour_for_n_calls_ends_after_n_calls(calls: int) -> None:
    board, producer = Switchboard(World.load().producers), World.load().producers[0]
    board.set(KS, Setting(Behaviour.EMPTY, calls=calls))

    taken = [board.take(producer, KS, {}).behaviour for _ in range(calls + 1)]

    assert taken == [Behaviour.EMPTY] * calls + [Behaviour.NORMAL]


def test_the_default_of_an_address_is_its_own(board: Switchboard) -> None:
    board.set("SE2321000016-SLOW", Setting())

    assert board.reset("se2321000016-slow")["behaviour"] == "slow"


def test_calls_are_counted_and_the_last_headers_kept(board: Switchboard, producer: Producer) -> None:
    board.take(producer, KS, {"X-One": "1"})
    board.take(producer, LogicalAddress("se2321000016-ks"), {"X-Two": "2"})
    board.take(producer, LogicalAddress("SE2321000016-KS-AKUT"), {})
    board.take(producer, LogicalAddress("SE2321000016-SOS"), {})
    board.take(producer, None, {})

    described = board.describe()["producers"][0]
    assert described["addresses"][0]["calls"] == 2
    assert described["addresses"][0]["last_headers"] == {"X-Two": "2"}
    assert described["calls_to_other_addresses"] == 3


def test_an_unknown_address_is_told_those_that_there_are(board: Switchboard) -> None:
    with pytest.raises(UnknownAddress, match="SE1-NONE: there are SE2321000016-KS, "):
        board.set("SE1-NONE", Setting())
