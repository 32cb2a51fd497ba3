"""When a producer is not asked for a while, and how it is tried again. The clock is the test's."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.router import breaker as module
from rivta.router.breaker import Breaker, BreakerIsOpen, Ending, Pass, Rule

URL, ADDRESS, CONTRACT = "https://p.test/x", "SE1-UNIT", "urn:riv:x:GetResponder:1"
START = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Clocked:
    """A breaker, and the time."""

    def __init__(self, failures: int = 5) -> None:
        self.at = 0.0
        self.senders = 0
        self.breaker = Breaker(
            Rule(failures, 30.0, 10.0), clock=lambda: self.at, now=lambda: START + timedelta(seconds=self.at)
        )

    def admit(
        self, url: str = URL, address: str = ADDRESS, contract: str = CONTRACT, sender: str | None = None
    ) -> Pass:
        """Without a sender, one that did not call before."""
        self.senders += 1
        return self.breaker.admit(url, address, contract, sender=sender or f"SE1-{self.senders}")

    def call(self, ending: Ending, **where: str) -> None:
        self.breaker.ended(self.admit(**where), ending)

    def calls(self, ending: Ending, times: int, **where: str) -> None:
        for _ in range(times):
            self.call(ending, **where)

    def is_open(self, **where: str) -> bool:
        """Whether a call would be refused; one that is let through changes nothing."""
        try:
            self.breaker.ended(self.admit(**where), Ending.ABANDONED)
        except BreakerIsOpen:
            return True
        return False


@pytest.fixture
def clocked() -> Clocked:
    return Clocked()


def test_five_read_timeouts_within_the_time_open_it_for_that_address_and_contract_only(clocked):
    clocked.calls(Ending.TIMED_OUT, 4)
    assert not clocked.is_open()
    clocked.call(Ending.TIMED_OUT)
    assert clocked.is_open()
    for other in ({"url": "https://q.test/"}, {"address": "SE1-OTHER"}, {"contract": "urn:other"}):
        assert not clocked.is_open(**other)


def test_timeouts_further_apart_do_not(clocked):
    for _ in range(20):
        clocked.call(Ending.TIMED_OUT)
        clocked.at += 7.5
    assert not clocked.is_open()


@pytest.mark.parametrize("ending", [Ending.ANSWERED, Ending.FAILED, Ending.ABANDONED])
def test_nothing_else_opens_it(clocked, ending):
    clocked.calls(ending, 100)
    assert not clocked.is_open()


def test_failures_to_connect_open_the_whole_address_but_no_other(clocked):
    clocked.calls(Ending.NOT_CONNECTED, 5)
    assert clocked.is_open()
    assert clocked.is_open(address="SE1-OTHER", contract="urn:other")
    assert not clocked.is_open(url="https://q.test/")


@pytest.mark.parametrize("ending", [Ending.ANSWERED, Ending.FAILED, Ending.TIMED_OUT])
def test_an_address_that_one_call_reaches_is_not_closed_off_for_others_that_do_not(clocked, ending):
    clocked.calls(Ending.NOT_CONNECTED, 4)
    clocked.call(ending, address="SE1-OTHER")
    clocked.calls(Ending.NOT_CONNECTED, 4)
    assert not clocked.is_open()


def test_when_its_time_is_up_exactly_one_call_tries_it(clocked):
    clocked.calls(Ending.TIMED_OUT, 5)
    clocked.at = 9.9
    assert clocked.is_open()
    clocked.at = 10.0
    probe = clocked.admit()
    assert clocked.is_open()
    clocked.breaker.ended(probe, Ending.ANSWERED)
    clocked.admit(), clocked.admit()
    assert clocked.breaker.open == []


def test_a_trial_that_times_out_opens_it_again(clocked):
    clocked.calls(Ending.TIMED_OUT, 5)
    clocked.at = 10
    clocked.call(Ending.TIMED_OUT)
    clocked.at = 19.9
    assert clocked.is_open()
    (state,) = clocked.breaker.open
    assert (state.since, state.until) == (START, START + timedelta(seconds=20))
    clocked.at = 20
    clocked.call(Ending.ANSWERED)
    assert not clocked.is_open()


@pytest.mark.parametrize("ending", [Ending.ABANDONED, Ending.NOT_CONNECTED])
def test_a_trial_that_shows_nothing_leaves_it_to_the_next_call(clocked, ending):
    clocked.calls(Ending.TIMED_OUT, 5)
    clocked.at = 10
    clocked.call(ending)
    probe = clocked.admit()
    assert clocked.is_open()
    clocked.breaker.ended(probe, Ending.FAILED)
    assert not clocked.is_open()


def test_a_trial_of_the_address_that_connects_closes_it_even_if_it_then_times_out(clocked):
    clocked.calls(Ending.NOT_CONNECTED, 5)
    clocked.at = 10
    clocked.call(Ending.TIMED_OUT)
    assert not clocked.is_open()


def test_a_call_tries_address_and_what_lies_behind_it_at_once(clocked):
    clocked.calls(Ending.TIMED_OUT, 5)
    clocked.calls(Ending.NOT_CONNECTED, 5, address="SE1-OTHER")
    assert len(clocked.breaker.open) == 2
    clocked.at = 10
    probe = clocked.admit()
    assert clocked.is_open(address="SE1-OTHER")
    clocked.breaker.ended(probe, Ending.ANSWERED)
    assert clocked.breaker.open == []


def test_a_refused_call_does_not_use_up_the_trial(clocked):
    clocked.calls(Ending.TIMED_OUT, 5)
    clocked.at = 8
    clocked.calls(Ending.NOT_CONNECTED, 5, address="SE1-OTHER")
    clocked.at = 12  # the time of what lies behind is up, that of the address is not
    assert clocked.is_open()
    clocked.at = 18
    clocked.call(Ending.ANSWERED)
    assert not clocked.is_open()


def test_calls_that_were_under_way_when_it_opened_do_not_open_it_again(clocked):
    late = [clocked.admit() for _ in range(60)]
    for leave in late[:5]:
        clocked.breaker.ended(leave, Ending.TIMED_OUT)
    clocked.at = 10
    clocked.call(Ending.ANSWERED)
    for leave in late[5:]:
        clocked.breaker.ended(leave, Ending.TIMED_OUT)
    assert not clocked.is_open()


def test_what_failed_before_a_trial_that_was_answered_is_forgotten(clocked):
    clocked.calls(Ending.TIMED_OUT, 5)
    clocked.at = 10
    clocked.call(Ending.ANSWERED)
    clocked.calls(Ending.TIMED_OUT, 4)
    assert not clocked.is_open()


def test_it_says_what_is_open_since_when_and_why(clocked):
    clocked.at = 3
    clocked.calls(Ending.TIMED_OUT, 5)
    clocked.at = 5
    with pytest.raises(BreakerIsOpen) as refused:
        clocked.admit()
    state = refused.value.state
    assert [state] == clocked.breaker.open
    assert (state.url, state.logical_address, state.contract, state.is_probing) == (URL, ADDRESS, CONTRACT, False)
    assert (state.since, state.until) == (START + timedelta(seconds=3), START + timedelta(seconds=13))
    assert state.reason == "5 calls got no answer in time within 30 s"


def test_with_no_failures_in_its_rule_it_never_opens():
    clocked = Clocked(failures=0)
    clocked.calls(Ending.TIMED_OUT, 100)
    clocked.calls(Ending.NOT_CONNECTED, 100)
    assert not clocked.is_open()


def test_what_fails_everywhere_once_does_not_fill_the_memory(clocked, monkeypatch):
    monkeypatch.setattr(module, "_SWEEP_AT", 100)
    monkeypatch.setattr(module, "_MOST_CIRCUITS", 200)
    for number in range(1000):
        clocked.call(Ending.TIMED_OUT, address=f"SE1-{number}")
    assert len(clocked.breaker._circuits) <= 200
    clocked.at = 31
    clocked.call(Ending.TIMED_OUT, address="SE1-LAST")
    assert len(clocked.breaker._circuits) == 1


def test_an_open_circuit_is_forgotten_when_nobody_calls_through_it(clocked, monkeypatch):
    monkeypatch.setattr(module, "_SWEEP_AT", 1)
    clocked.calls(Ending.TIMED_OUT, 5)
    clocked.at = 700
    clocked.call(Ending.TIMED_OUT, address="SE1-OTHER")
    assert clocked.breaker.open == []


@pytest.mark.parametrize("tries", [Ending.TIMED_OUT, Ending.ABANDONED, None], ids=["again in vain", "again", "refused"])
def test_one_that_is_called_through_is_not(clocked, monkeypatch, tries):
    monkeypatch.setattr(module, "_SWEEP_AT", 1)
    clocked.calls(Ending.TIMED_OUT, 5)
    clocked.at = 9 if tries is None else 500
    if tries is None:
        assert clocked.is_open()
    else:
        clocked.call(tries)
    clocked.at += 599
    clocked.call(Ending.TIMED_OUT, address="SE1-OTHER")
    assert len(clocked.breaker.open) == 1


@given(st.lists(st.tuples(st.sampled_from(["admit", *Ending]), st.integers(0, 20), st.sampled_from("ab")), max_size=60))
def test_whatever_happens_it_can_be_called_again_in_the_end(steps):
    """And never are two trials of one circuit under way."""
    clocked, under_way = Clocked(failures=2), list[Pass]()
    for step, number, address in steps:
        if step == "admit":
            try:
                under_way.append(clocked.admit(address=address))
            except BreakerIsOpen:
                clocked.at += 1
        elif under_way:
            clocked.breaker.ended(under_way.pop(number % len(under_way)), step)
        probed = [id(circuit) for leave in under_way for circuit in leave.probes]
        assert len(probed) == len(set(probed))
    for leave in under_way:
        clocked.breaker.ended(leave, Ending.ABANDONED)
    clocked.at += 10
    for address in "ab":
        clocked.call(Ending.ANSWERED, address=address)
    assert clocked.breaker.open == []


class TestOneSender:
    """Whoever asks what takes long to answer must not have others refused."""

    def test_with_all_the_timeouts_is_the_only_one_refused(self, clocked: Clocked) -> None:
        clocked.calls(Ending.TIMED_OUT, 5, sender="SE1-SLOW")
        assert clocked.is_open(sender="SE1-SLOW")
        assert not clocked.is_open(sender="SE1-OTHER")
        (state,) = clocked.breaker.open
        assert state.sender == "SE1-SLOW"

    def test_is_tried_again_by_itself_alone(self, clocked: Clocked) -> None:
        clocked.calls(Ending.TIMED_OUT, 5, sender="SE1-SLOW")
        clocked.at += 10
        clocked.call(Ending.ANSWERED, sender="SE1-OTHER")
        assert len(clocked.breaker.open) == 1
        clocked.call(Ending.ANSWERED, sender="SE1-SLOW")
        assert clocked.breaker.open == []

    def test_is_not_alone_once_another_waits_in_vain(self, clocked: Clocked) -> None:
        clocked.calls(Ending.TIMED_OUT, 5, sender="SE1-SLOW")
        clocked.call(Ending.TIMED_OUT, sender="SE1-OTHER")
        assert clocked.is_open(sender="SE1-THIRD")
        clocked.at += 10
        clocked.call(Ending.ANSWERED, sender="SE1-THIRD")
        assert clocked.breaker.open == []

    def test_that_cannot_connect_speaks_for_everybody(self, clocked: Clocked) -> None:
        clocked.calls(Ending.NOT_CONNECTED, 5, sender="SE1-SLOW")
        assert clocked.is_open(sender="SE1-OTHER")
