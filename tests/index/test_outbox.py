from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from rivta.index.outbox import Notification, RetryRules
from rivta.index.subscriptions import Subscriber
from tests.index.built import NATIONAL, NOON, REGIONAL, Index, gone, person, put, row

NEWER = "20260601000000"


@pytest.fixture
def index(database: Engine) -> Index:
    return Index(database, rules=RetryRules(attempts=3, delay_seconds=1, most_delay_seconds=5))


def next_one(index: Index, subscriber: str = NATIONAL) -> Notification:
    found = index.outbox.next(subscriber)
    assert found is not None
    return found


class TestOneMessage:
    def test_where_few_wait_each_goes_with_its_own_id(self, index: Index) -> None:
        for number in range(9):
            index.update(put(registered_resident_id=person(number)), correlation_id=f"c{number}")
        found = next_one(index)
        assert (len(found.ids), found.correlation_id, len(found.transactions)) == (1, "c0", 1)

    def test_where_many_wait_they_go_as_one_with_the_id_of_the_oldest(self, index: Index) -> None:
        for number in range(10):
            index.update(put(registered_resident_id=person(number)), correlation_id=f"c{number}")
        found = next_one(index)
        assert (len(found.ids), found.correlation_id, len(found.transactions)) == (10, "c0", 10)

    def test_of_changes_to_a_row_the_last_counts_since_it_may_stand_there_once(
        self, index: Index, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rivta.index.outbox._FEWEST_MERGED", 1)
        index.update(put(), put(source_system="S2"))
        index.update(gone())
        index.update(put(most_recent_content=NEWER))
        told = [(one.engagement.source_system, one.delete, one.engagement.most_recent_content) for one in index.told()]
        assert told == [("S2", False, "20240311101500"), ("SE2321000016-TC-KS", False, NEWER)]

    def test_it_has_at_most_a_thousand_changes(self, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("rivta.index.outbox._FEWEST_MERGED", 1)
        rows = [put(registered_resident_id=person(number)) for number in range(1500)]
        index.update(*rows[:400])
        index.update(*rows[400:1000])
        index.update(*rows[1000:])
        first = next_one(index)
        index.outbox.delivered(first, NOON)
        assert (len(first.transactions), len(next_one(index).transactions)) == (1000, 500)

    def test_each_subscriber_has_its_own_queue(self, index: Index) -> None:
        index.subscribers = (Subscriber(NATIONAL), Subscriber("B"))
        index.update(put())
        assert index.outbox.due(NOON) == [NATIONAL, "B"]
        index.outbox.delivered(next_one(index), NOON)
        assert index.outbox.due(NOON) == ["B"]
        assert index.outbox.next(NATIONAL) is None


class TestInVain:
    def test_a_queue_waits_three_times_as_long_each_time_up_to_a_bound(self, index: Index) -> None:
        rules = RetryRules(delay_seconds=1, most_delay_seconds=5)
        assert [rules.delay(failures).total_seconds() for failures in (1, 2, 3, 400)] == [1, 3, 5, 5]

        index.update(put())
        index.outbox.failed(next_one(index), "closed", NOON)
        assert index.outbox.due(NOON) == []
        assert index.outbox.due(NOON + timedelta(seconds=1)) == [NATIONAL]

    def test_it_is_given_up_after_its_last_try_and_those_behind_it_go_on(self, index: Index) -> None:
        index.update(put(), correlation_id="bad")
        given_up = [index.outbox.failed(next_one(index), "no", NOON) for _ in range(3)]
        index.update(put(source_system="S2"), correlation_id="good")
        assert given_up == [False, False, True]
        assert index.outbox.due(NOON) == [NATIONAL]
        assert next_one(index).correlation_id == "good"
        letter = index.outbox.dead(10)[0]
        assert (letter.subscriber, letter.correlation_id, letter.attempts, letter.changes, letter.reason) == (
            NATIONAL,
            "bad",
            3,
            1,
            "no",
        )

    def test_messages_that_failed_together_are_sent_alone_so_that_one_bad_one_dies_alone(
        self, index: Index, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rivta.index.outbox._FEWEST_MERGED", 1)
        for source in ("S1", "BAD", "S3"):
            index.update(put(source_system=source), correlation_id=source)
        delivered = []
        while (one := index.outbox.next(NATIONAL)) is not None:
            if any(change.engagement.source_system == "BAD" for change in one.transactions):
                index.outbox.failed(one, "refused", NOON)
            else:
                index.outbox.delivered(one, NOON)
                delivered += [change.engagement.source_system for change in one.transactions]
        assert delivered == ["S1", "S3"]
        assert [letter.correlation_id for letter in index.outbox.dead(10)] == ["BAD"]

    def test_even_where_one_try_is_all_what_failed_together_gets_one_alone(
        self, database: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rivta.index.outbox._FEWEST_MERGED", 1)
        index = Index(database, rules=RetryRules(attempts=1))
        index.update(put())
        index.update(put(source_system="S2"))
        assert not index.outbox.failed(next_one(index), "no", NOON)
        assert index.outbox.failed(next_one(index), "no", NOON)

    def test_taking_one_ends_the_trouble(self, index: Index) -> None:
        index.update(put())
        index.outbox.failed(next_one(index), "closed", NOON)
        assert index.outbox.queues()[0].reason == "closed"
        index.outbox.delivered(next_one(index), NOON)
        queue = index.outbox.queues()[0]
        assert (queue.waiting, queue.dead, queue.reason, queue.next_attempt, queue.delivered) == (0, 0, "", None, NOON)


class TestDeadLetters:
    @pytest.fixture(autouse=True)
    def _dead(self, index: Index) -> None:
        index.update(put(), put(source_system="S2"), gone(source_system="S3"), correlation_id="first")
        while not index.outbox.failed(next_one(index), "no", NOON):
            pass

    def test_what_one_says_is_shown(self, index: Index) -> None:
        (letter,) = index.outbox.dead(10)
        found = index.outbox.content(letter.id)
        assert found is not None
        assert [one.delete for one in found[1]] == [False, False, True]
        assert index.outbox.content(letter.id + 1) is None

    def test_sent_again_it_says_how_the_rows_are_now(self, index: Index) -> None:
        index.update(put(most_recent_content=NEWER), gone(source_system="S2"), put(source_system="S3"))
        index.told()
        assert index.outbox.send_again(None, NOON) == 1
        assert index.outbox.dead(10) == []
        assert index.outbox.due(NOON) == [NATIONAL]
        assert next_one(index).correlation_id == "first"
        told = {one.engagement.source_system: one for one in index.told()}
        assert {source: one.delete for source, one in told.items()} == {
            "SE2321000016-TC-KS": False,
            "S2": True,
            "S3": False,
        }
        assert told["SE2321000016-TC-KS"].engagement.most_recent_content == NEWER
        assert all(one.visited == (REGIONAL,) for one in told.values())

    def test_only_those_that_are_named(self, index: Index) -> None:
        (letter,) = index.outbox.dead(10)
        assert index.outbox.send_again({letter.id + 1}, NOON) == 0
        assert index.outbox.send_again({letter.id}, NOON) == 1

    def test_one_that_is_thrown_away_is_gone(self, index: Index) -> None:
        (letter,) = index.outbox.dead(10)
        assert index.outbox.discard({letter.id}) == 1
        assert (index.outbox.dead(10), index.outbox.next(NATIONAL)) == ([], None)

    def test_what_waits_cannot_be_thrown_away_as_if_it_were_dead(self, index: Index) -> None:
        index.update(put(source_system="S9"))
        assert index.outbox.discard(next_one(index).ids) == 0
        assert index.outbox.next(NATIONAL) is not None


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_of_two_keepers_one_has_a_queue_at_a_time(database: Engine) -> None:
    one, other = Index(database).outbox, Index(database).outbox
    with one.claim("A") as first, other.claim("A") as second, other.claim("B") as elsewhere:
        assert (first, second, elsewhere) == (True, False, True)
    with other.claim("A") as again:
        assert again


def test_an_announcement_carries_no_more_than_the_row(index: Index) -> None:
    index.update(put())
    (told,) = index.told()
    assert replace(told.engagement, creation_time=None) == row()
