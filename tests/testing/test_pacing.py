"""When messages are sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.testing.pacing import Pace, ordered, room, start_s

RATES = st.floats(0.1, 500, allow_nan=False)
RAMPS = st.floats(0, 120, allow_nan=False)


def test_without_a_rate_nothing_waits() -> None:
    assert start_s(5, Pace()) is None


def test_a_rate_spreads_messages_evenly() -> None:
    assert [start_s(number, Pace(rate=4)) for number in range(4)] == [0, 0.25, 0.5, 0.75]


@given(RATES, RAMPS)
def test_after_the_ramp_the_rate_is_what_was_asked_for(rate, ramp_s) -> None:
    pace = Pace(rate=rate, ramp_s=ramp_s)
    first = int(rate * ramp_s / 2) + 1
    gap = start_s(first + 1, pace) - start_s(first, pace)
    assert gap == pytest.approx(1 / rate)
    assert start_s(first, pace) >= ramp_s * 0.999


@given(RATES, RAMPS, st.integers(0, 5000))
def test_messages_start_in_their_order_and_closer_together_as_it_grows(rate, ramp_s, number) -> None:
    pace = Pace(rate=rate, ramp_s=ramp_s)
    one, two, three = (start_s(number + more, pace) for more in range(3))
    assert 0 <= one < two < three
    assert three - two <= (two - one) * 1.0001


@given(st.integers(1, 500), st.floats(0.1, 60), st.floats(0, 120))
def test_without_a_rate_the_ramp_is_of_the_messages_at_a_time(parallel, ramp_s, elapsed_s) -> None:
    found = room(elapsed_s, Pace(parallel=parallel, ramp_s=ramp_s))
    assert 1 <= found <= parallel
    assert elapsed_s < ramp_s or found == parallel


def test_everything_is_sent_as_often_as_asked_in_order() -> None:
    assert list(ordered("ab", Pace(repeat=2))) == ["a", "b", "a", "b"]


def test_a_seed_gives_the_same_order_and_another_in_each_repetition() -> None:
    items = list(range(50))
    mixed = list(ordered(items, Pace(repeat=2, shuffle=1)))
    assert mixed == list(ordered(items, Pace(repeat=2, shuffle=1)))
    assert sorted(mixed[:50]) == sorted(mixed[50:]) == items
    assert mixed[:50] != mixed[50:]
