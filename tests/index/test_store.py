import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError

from rivta.catalogue.rows import NotificationFilter
from rivta.index.changes import SameId
from rivta.index.client import Question
from rivta.index.engagement import Engagement
from rivta.index.subscriptions import Subscriber
from tests.index.built import (
    DESCRIPTION,
    LOGISTICS,
    NATIONAL,
    NOON,
    NOON_WRITTEN,
    REGIONAL,
    TOLVAN,
    Index,
    gone,
    person,
    put,
    row,
)

NEWER = "20260601000000"


@pytest.fixture
def index(database: Engine) -> Index:
    return Index(database)


def everything(index: Index) -> list[Engagement]:
    return index.store.find(Question(registered_resident_id=TOLVAN, service_domain=DESCRIPTION))


class TestTake:
    def test_what_was_taken_is_found_and_announced(self, index: Index) -> None:
        index.update(put())
        assert everything(index) == [row(creation_time=NOON_WRITTEN)]
        assert index.told() == [put(REGIONAL, creation_time=NOON_WRITTEN)]
        assert index.announced == 1

    def test_the_same_again_is_announced_to_nobody(self, index: Index) -> None:
        index.update(put())
        index.told()
        index.update(put())
        assert (index.told(), index.announced) == ([], 1)

    def test_a_change_keeps_the_creation_time_and_says_when_it_was(self, index: Index) -> None:
        index.update(put())
        index.clock.advance(3600)
        index.update(put(most_recent_content=NEWER))
        found = row(most_recent_content=NEWER, creation_time=NOON_WRITTEN, update_time="20261124140000")
        assert everything(index) == [found]

    def test_rows_that_are_not_mentioned_are_untouched(self, index: Index) -> None:
        index.update(put(), put(source_system="S2"), put(source_system="S3"))
        index.update(put(source_system="S2", most_recent_content=NEWER), gone(source_system="S3"))
        assert [(one.source_system, one.most_recent_content) for one in everything(index)] == [
            ("S2", NEWER),
            ("SE2321000016-TC-KS", "20240311101500"),
        ]

    def test_a_thousand_rows_and_their_end(self, index: Index) -> None:
        rows = [{"logical_address": f"U{number}"} for number in range(1000)]
        index.update(*(put(**one) for one in rows))
        assert len(everything(index)) == len(index.told()) == 1000
        index.update(*(gone(**one) for one in rows))
        assert everything(index) == []
        assert sum(one.delete for one in index.told()) == 1000

    def test_each_subscriber_is_told_what_it_asked_for(self, index: Index) -> None:
        wants_contacts = Subscriber("CONTACTS", (NotificationFilter(LOGISTICS, ("vko",)),))
        index.subscribers = (Subscriber(NATIONAL), wants_contacts)
        index.update(put(), put(service_domain=LOGISTICS, categorization="vko"))
        assert len(index.told()) == 2
        assert [one.engagement.categorization for one in index.told("CONTACTS")] == ["vko"]

    def test_a_database_that_stops_in_the_middle_leaves_nothing_behind(self, index: Index, database: Engine) -> None:
        """The rows are written by then; their announcement is what fails."""

        def fail(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if statement.lstrip().upper().startswith("INSERT INTO NOTIFICATIONS"):
                raise OSError("the database is gone")

        index.update(put(source_system="BEFORE"))
        event.listen(database, "before_cursor_execute", fail)
        try:
            with pytest.raises(OSError, match="gone"):
                index.update(put(source_system="NEW"), gone(source_system="BEFORE"))
        finally:
            event.remove(database, "before_cursor_execute", fail)
        assert [one.source_system for one in everything(index)] == ["BEFORE"]
        assert len(index.told()) == 1
        index.update(put(source_system="NEW"))
        assert len(everything(index)) == 2

    def test_ids_that_are_alike_change_nothing(self, index: Index) -> None:
        index.update(put())
        with pytest.raises(SameId):
            index.update(
                put(source_system="S2"), put(logical_address="SE2321000016-KSN", business_object_instance_id="A")
            )
        assert len(everything(index)) == 1

    def test_messages_at_once_are_all_there_and_announced_in_the_order_that_they_took_effect(
        self, index: Index
    ) -> None:
        start = threading.Barrier(4)

        def source(number: int) -> None:
            start.wait()
            for step in range(5):
                newest = f"202601{step + 1:02}0000{number:02}"
                # Two rows in opposite orders: without the lock two messages could wait for each other.
                rows = [put(most_recent_content=newest), put(source_system="S2", most_recent_content=newest)]
                index.update(*(rows if number % 2 else reversed(rows)))

        with ThreadPoolExecutor(4) as threads:
            results = [threads.submit(source, number) for number in range(4)]
        assert [result.exception() for result in results] == [None] * 4
        told = {one.engagement.source_system: one.engagement.most_recent_content for one in index.told()}
        assert told == {one.source_system: one.most_recent_content for one in everything(index)}


class TestFind:
    @pytest.fixture(autouse=True)
    def _filled(self, index: Index) -> None:
        index.update(
            put(),
            put(categorization="voo", most_recent_content=None),
            put(source_system="S2", most_recent_content=NEWER),
            put(service_domain=LOGISTICS),
            put(registered_resident_id=person(1)),
        )

    def count(self, index: Index, **narrowed: str) -> int:
        question = Question(registered_resident_id=TOLVAN, service_domain=DESCRIPTION, **narrowed)
        return len(index.store.find(question))

    @pytest.mark.parametrize(
        ("narrowed", "found"),
        [
            ({}, 3),
            ({"categorization": "dia"}, 2),
            ({"categorization": "DIA"}, 0),
            ({"source_system": "S2"}, 1),
            ({"most_recent_content": "20240311101500"}, 2),
            ({"most_recent_content": NEWER}, 1),
            ({"most_recent_content": "20260601000001"}, 0),
            ({"owner": REGIONAL, "data_controller": "SE2321000016", "logical_address": "SE2321000016-KS"}, 3),
            ({"business_object_instance_id": "1"}, 0),
            ({"clinical_process_interest_id": "NA", "categorization": "voo"}, 1),
        ],
    )
    def test_every_filter_narrows_and_content_without_a_time_is_never_new(
        self, index: Index, narrowed: dict[str, str], found: int
    ) -> None:
        assert self.count(index, **narrowed) == found

    def test_the_order_stays_the_same(self, index: Index) -> None:
        assert [(one.categorization, one.source_system) for one in everything(index)] == [
            ("dia", "S2"),
            ("dia", "SE2321000016-TC-KS"),
            ("voo", "SE2321000016-TC-KS"),
        ]

    def test_it_looks_in_an_index_of_the_database(self, index: Index, database: Engine) -> None:
        plan = "EXPLAIN QUERY PLAN " if database.dialect.name == "sqlite" else "SET enable_seqscan = off; EXPLAIN "
        query = (
            "SELECT * FROM engagements WHERE registered_resident_id = 'a' AND service_domain = 'b' "
            "AND categorization = 'c'"
        )
        with database.connect() as connection:
            *first, last = (plan + query).split("; ")
            for statement in first:
                connection.execute(text(statement))
            assert "ix_engagements_search" in str(connection.execute(text(last)).all())


class TestUpdates:
    def page(self, index: Index, *, after: str = "", limit: int = 2, seconds: float = 0) -> tuple[bool, list[str]]:
        since = NOON + timedelta(seconds=seconds)
        found = index.store.updates(DESCRIPTION, since, after=after, limit=limit)
        return found.is_complete, [one.registered_resident_id for one in found.persons]

    def test_persons_come_by_their_id_a_page_at_a_time(self, index: Index) -> None:
        index.update(*(put(registered_resident_id=person(number)) for number in (3, 1, 2)))
        assert self.page(index) == (False, [person(1), person(2)])
        assert self.page(index, after=person(2)) == (True, [person(3)])
        assert self.page(index, limit=3) == (True, [person(1), person(2), person(3)])

    def test_only_those_who_have_changed_since_but_all_that_they_have(self, index: Index) -> None:
        index.update(put(registered_resident_id=person(1)), put(registered_resident_id=person(2)))
        index.update(put(registered_resident_id=person(2), service_domain=LOGISTICS))
        index.clock.advance(60)
        index.update(put(registered_resident_id=person(2), categorization="voo"))
        found = index.store.updates(DESCRIPTION, NOON + timedelta(seconds=1), after="", limit=9)
        assert [one.registered_resident_id for one in found.persons] == [person(2)]
        assert [one.categorization for one in found.persons[0].engagements] == ["dia", "voo"]

    def test_a_person_whose_last_engagement_is_gone_comes_with_none(self, index: Index) -> None:
        index.update(put())
        index.clock.advance(60)
        index.update(gone())
        found = index.store.updates(DESCRIPTION, NOON + timedelta(seconds=1), after="", limit=9)
        assert [(one.registered_resident_id, one.engagements) for one in found.persons] == [(TOLVAN, ())]

    def test_what_did_not_change_is_no_update(self, index: Index) -> None:
        index.update(put())
        index.clock.advance(60)
        index.update(put(), gone(source_system="NEVER"))
        assert self.page(index, seconds=1) == (True, [])


class TestWriteLock:
    def test_changes_wait_and_take_effect_in_their_order_when_it_is_off(self, index: Index) -> None:
        index.store.set_write_lock(on=True)
        index.update(put())
        index.update(gone())
        index.notify(put(owner=NATIONAL, source_system="S2"))
        assert (everything(index), index.told(), index.store.inbox()) == ([], [], 3)
        assert index.store.empty_inbox() == 0

        index.store.set_write_lock(on=False)
        index.update(put(source_system="S3"))  # behind those that wait
        assert index.store.inbox() == 4
        assert index.store.empty_inbox() == 4
        assert [one.source_system for one in everything(index)] == ["S2", "S3"]
        assert index.store.inbox() == 0
        assert index.announced == 1

    def test_turning_it_on_or_off_twice_is_as_once(self, index: Index) -> None:
        index.store.set_write_lock(on=True)
        index.store.set_write_lock(on=True)
        assert index.store.is_write_locked
        index.store.set_write_lock(on=False)
        index.store.set_write_lock(on=False)
        assert not index.store.is_write_locked

    def test_a_message_that_cannot_take_effect_takes_no_other_with_it(
        self, index: Index, caplog: pytest.LogCaptureFixture
    ) -> None:
        index.update(put())
        index.store.set_write_lock(on=True)
        index.update(put(logical_address="SE2321000016-KSN", business_object_instance_id="A"), correlation_id="bad")
        index.update(put(source_system="S2"))
        index.store.set_write_lock(on=False)
        assert index.store.empty_inbox() == 2
        assert len(everything(index)) == 2
        assert "bad" in caplog.text
        assert TOLVAN not in caplog.text


def test_engagements_are_counted_by_kind(index: Index) -> None:
    index.update(put(), put(source_system="S2", most_recent_content=NEWER), put(categorization="voo"))
    found = [(one.categorization, one.owner, one.number, one.newest) for one in index.store.counts()]
    assert found == [("dia", REGIONAL, 2, NEWER), ("voo", REGIONAL, 1, "20240311101500")]


def test_trouble_of_the_database_is_its_own(index: Index, database: Engine) -> None:
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE engagements RENAME TO elsewhere"))
    try:
        with pytest.raises(DBAPIError):
            index.update(put())
    finally:
        with database.begin() as connection:
            connection.execute(text("ALTER TABLE elsewhere RENAME TO engagements"))


def test_pages_are_read_by_id_to_the_end_and_narrowed_by_what_is_given(index: Index) -> None:
    index.notify(*(put(source_system=f"S{number}", owner=NATIONAL) for number in range(5)))
    index.notify(put(categorization="vko", service_domain=LOGISTICS, source_system="S1", owner=NATIONAL))
    found: list[Engagement] = []
    while page := index.store.page(after=found[-1].id if found else "", limit=2):
        assert len(page) <= 2
        found += page
    assert [one.id for one in found] == sorted({one.id for one in found})
    assert len(found) == 6
    narrowed = index.store.page(limit=10, registered_resident_id=TOLVAN, service_domain=DESCRIPTION, source_system="S1")
    assert [(one.source_system, one.service_domain) for one in narrowed] == [("S1", DESCRIPTION)]
    assert index.store.page(limit=10, registered_resident_id="nobody") == []
