"""Sessions: in memory, of a bounded number, and over when their time is up."""

from datetime import UTC, datetime, timedelta

import pytest

from rivta.audit.access.entry import Reader
from rivta.viewer import sessions as module
from rivta.viewer.looking import Look, SetProgress
from rivta.viewer.policy.situation import Assignment, Patient, Purpose, Situation
from rivta.viewer.sessions import Session, Sessions, TooMany, is_token
from rivta.viewer.sets import InformationSet
from tests.viewer.journals import NINA, TOLVAN, person

START = datetime(2026, 11, 24, 8, tzinfo=UTC)


class Clock:
    now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(now=clock, idle=timedelta(minutes=15))


def look(id: str, number: str = TOLVAN) -> Look:
    situation = Situation(Assignment("u", "e", "v", Purpose.CARE), Patient(), START)
    sets = {InformationSet.NOTES: SetProgress()}
    return Look(id, person(number), situation, Reader(), "c", sets)


def logged_in(sessions: Sessions) -> Session:
    session = sessions.begin()
    session.reader = Reader(user_id="u")
    session.keep(look("l1"))
    return session


def test_a_session_is_over_after_its_time_without_activity_and_wiped(sessions: Sessions, clock: Clock) -> None:
    session = logged_in(sessions)
    seen = session.looks["l1"]
    clock.now += timedelta(minutes=14, seconds=59)
    assert sessions.find(session.id, is_activity=False) is session
    clock.now += timedelta(seconds=1)
    assert sessions.find(session.id, is_activity=True) is None
    assert (session.looks, seen.sets, session.reader) == ({}, {}, None)


def test_what_a_page_asks_by_itself_does_not_keep_it_alive(sessions: Sessions, clock: Clock) -> None:
    session = logged_in(sessions)
    for _ in range(3):
        clock.now += timedelta(minutes=6)
        found = sessions.find(session.id, is_activity=False)
    assert found is None


def test_use_keeps_it_alive(sessions: Sessions, clock: Clock) -> None:
    session = logged_in(sessions)
    for _ in range(3):
        clock.now += timedelta(minutes=14)
        assert sessions.find(session.id, is_activity=True) is session


def test_a_session_whose_browser_never_comes_back_is_wiped_too(sessions: Sessions, clock: Clock) -> None:
    session = logged_in(sessions)
    clock.now += timedelta(minutes=15)
    sessions.sweep()
    assert (len(sessions), session.looks) == (0, {})


def test_log_in_has_a_new_id_and_the_old_one_opens_nothing(sessions: Sessions) -> None:
    planted = sessions.begin()
    renewed = sessions.renewed(planted)
    assert renewed.id != planted.id
    assert renewed.csrf != planted.csrf
    assert sessions.find(planted.id, is_activity=True) is None


def test_strangers_make_room_and_who_is_logged_in_does_not(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SESSIONS", 2)
    one, stranger = logged_in(sessions), sessions.begin()
    two = sessions.begin()
    assert sessions.find(stranger.id, is_activity=True) is None
    two.reader = Reader(user_id="v")
    with pytest.raises(TooMany):
        sessions.begin()
    assert sessions.find(one.id, is_activity=True) is one


def test_a_new_look_at_a_patient_wipes_the_one_before_and_leaves_those_at_others(sessions: Sessions) -> None:
    session = sessions.begin()
    first, other, second = look("a"), look("b", NINA), look("c")
    for one in (first, other, second):
        session.keep(one)
    assert set(session.looks) == {"b", "c"}
    assert first.sets == {}
    assert other.sets != {}


def test_only_so_many_patients_are_held_at_once(sessions: Sessions) -> None:
    session = sessions.begin()
    numbers = (TOLVAN, NINA, "199001012385", "201504122381", "194110192392", "195003159802")
    looks = [look(f"l{at}", number) for at, number in enumerate(numbers)]
    for one in looks:
        session.keep(one)
    assert set(session.looks) == {"l1", "l2", "l3", "l4", "l5"}
    assert looks[0].sets == {}


@pytest.mark.parametrize("given", ["", "x", "å", "\udc80"])
def test_another_token_is_none(sessions: Sessions, given: str) -> None:
    session = sessions.begin()
    assert is_token(session, session.csrf)
    assert not is_token(session, given)


def test_neither_id_nor_patient_shows_in_what_is_printed(sessions: Sessions) -> None:
    session = logged_in(sessions)
    printed = repr(session) + repr(look("l1"))
    for secret in (session.id, session.csrf, TOLVAN):
        assert secret not in printed
