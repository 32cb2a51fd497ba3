"""Which calls a rule is for, how often it is due, and when it is over: on a clock of the test's own."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers_stub.behaviours import Behaviour, Setting
from producers_stub.rules import Wish
from producers_stub.switchboard import Switchboard, UnknownAddress
from producers_stub.world import World
from rivta.soap.identifiers import LogicalAddress

PRODUCERS = World.load().producers
FIRST, SECOND = PRODUCERS[0], PRODUCERS[1]
KS = LogicalAddress("SE2321000016-KS")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def board(clock: Clock | None = None) -> Switchboard:
    return Switchboard(PRODUCERS, clock=clock or Clock(), dice=random.Random(1))


def wish(**fields: Any) -> Wish:
    return Wish.parse(fields)


def taken(made: Switchboard, times: int = 1, **call: str) -> list[str]:
    return [made.take(FIRST, KS, {}, **call).behaviour.value for _ in range(times)]


def test_the_narrowest_rule_counts_whichever_was_set_first() -> None:
    made = board()
    made.set(KS, wish(behaviour="fault", patient="191212121212"))
    made.set(KS, wish(behaviour="error", contract="urn:c"))
    made.set(KS, wish(behaviour="empty"))
    made.set("takecare-ks", wish(behaviour="close"))
    made.set("*", wish(behaviour="reset"))

    assert taken(made, patient="191212121212", contract="urn:c") == ["fault"]
    assert taken(made, contract="urn:c") == ["error"]
    assert taken(made) == ["empty"]
    made.reset(KS)
    assert taken(made, patient="191212121212", contract="urn:c") == ["close"]
    assert made.take(SECOND, None, {}).behaviour is Behaviour.RESET


def test_setting_the_same_again_takes_the_place_of_what_was_set() -> None:
    made = board()
    made.set(KS, wish(behaviour="fault", calls=3))
    made.set(KS, wish(behaviour="empty"))

    assert len(made.describe()["rules"]) == 1
    assert made.clear() == 1
    assert taken(made) == ["normal"]


def test_a_rule_that_lasts_a_time_is_over_after_it_and_no_call_waits_longer() -> None:
    clock = Clock()
    made = board(clock)
    made.set(KS, wish(behaviour="slow", seconds=30, lasts=10))
    assert made.next_end_s() == 10
    clock.now += 4
    assert made.take(FIRST, KS, {}).wait_s == pytest.approx(6)
    clock.now += 6
    assert taken(made) == ["normal"]
    assert made.next_end_s() is None


@given(st.integers(1, 9), st.integers(1, 40))
def test_every_nth_call_is_each_nth(every: int, calls: int) -> None:
    made = board()
    made.set(KS, wish(behaviour="fault", every=every))

    assert taken(made, calls) == ["normal" if number % every else "fault" for number in range(1, calls + 1)]


def test_so_many_of_a_hundred_calls_are_met_by_chance() -> None:
    made = board()
    made.set(KS, wish(behaviour="fault", percent=25))

    assert 200 < taken(made, 1000).count("fault") < 300
    made.set(KS, wish(behaviour="fault", percent=0))
    assert taken(made, 20) == ["normal"] * 20


@given(
    st.sampled_from(["fixed", "uniform", "normal", "exponential"]),
    st.floats(0, 3600),
    st.floats(0, 3600),
    st.integers(0, 2**20),
)
def test_no_wait_is_negative_or_endless(distribution: str, seconds: float, spread: float, seed: int) -> None:
    setting = Setting.parse({"behaviour": "slow", "seconds": seconds, "spread": spread, "distribution": distribution})

    assert 0 <= setting.wait_s(random.Random(seed)) <= 3600


def test_a_spread_without_more_is_even_around_the_seconds() -> None:
    setting = Setting.parse({"behaviour": "slow", "seconds": 2, "spread": 0.5})
    waits = [setting.wait_s(random.Random(seed)) for seed in range(200)]

    assert (1.5 <= min(waits) < 1.6, 2.4 < max(waits) <= 2.5) == (True, True)


def test_clearing_ends_the_wait_of_a_call_that_used_its_rule_up() -> None:
    made = board()
    made.set(KS, wish(behaviour="slow", seconds=60, calls=1))
    waiting = made.take(FIRST, KS, {})
    assert waiting.rule is not None

    made.clear()

    assert waiting.rule.ended.is_set()


def test_a_door_is_of_a_producer_and_the_newest_counts() -> None:
    made = board()
    made.set(KS, wish(behaviour="stopped"))
    assert [made.door(one.name) for one in (FIRST, SECOND)] == [Behaviour.STOPPED, Behaviour.NORMAL]
    assert taken(made) == ["normal"]  # a connection that is open already goes on
    made.set("*", wish(behaviour="expired-certificate"))
    assert [made.door(one.name) for one in (FIRST, SECOND)] == [Behaviour.STOPPED, Behaviour.EXPIRED_CERTIFICATE]
    made.reset("takecare-ks")
    assert made.door(FIRST.name) is Behaviour.EXPIRED_CERTIFICATE


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"behaviour": "stopped", "calls": 1}, "calls: stopped is of a whole producer"),
        ({"behaviour": "stopped", "patient": "1"}, "stopped is of a whole producer, not of a contract or patient"),
        ({"behaviour": "answer"}, "body: the answer is missing"),
        ({"behaviour": "answer", "body": "<a>"}, "body: is no XML"),
        ({"behaviour": "fault", "body": "<a/>"}, "body: belongs to behaviour answer"),
        ({"behaviour": "status", "status": 99}, "status: 99 is not a whole number of at least 200 and at most 599"),
        ({"behaviour": "fault", "percent": 101}, "percent: 101 is not between 0 and 100"),
        ({"behaviour": "fault", "every": 0}, "every: 0 is not a whole number"),
        ({"behaviour": "slow", "distribution": "wide"}, "distribution: 'wide' is not one of fixed, uniform"),
        ({"behaviour": "fault", "contract": ""}, "contract: '' is not a text"),
        ({"behaviour": "fault", "lasts": 0}, "lasts: 0 is not between 0.001 and 604800"),
        ({"behaviour": "fault", "adress": "x"}, "unknown field 'adress'"),
    ],
)
def test_a_wrong_wish_is_told_field_and_choice(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Wish.parse(fields)


def test_an_unknown_target_or_contract_is_told() -> None:
    def unknown(text: str) -> str:
        raise LookupError(f"contract {text!r} is not installed")

    made = Switchboard(PRODUCERS, find_contract=unknown)
    with pytest.raises(UnknownAddress, match="and the producers takecare-ks, "):
        made.set("nobody", wish(behaviour="fault"))
    with pytest.raises(LookupError, match="contract 'X' is not installed"):
        made.set(KS, wish(behaviour="fault", contract="X"))
    assert made.describe()["rules"] == []


def test_no_more_rules_are_kept_than_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers_stub.switchboard.MOST_RULES", 2)
    made = board()
    for number in range(2):
        made.set(KS, wish(behaviour="fault", patient=str(number)))
    with pytest.raises(ValueError, match="2 rules are set, which is the most"):
        made.set(KS, wish(behaviour="fault", patient="2"))
