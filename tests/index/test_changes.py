"""What messages do to rows, and what of it is announced: sections 3.5 and 3.6 of the behaviour, and what we do better."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.index.changes import Changes, Kind, SameId, changes, needed_ids
from rivta.index.engagement import Engagement, Transaction
from rivta.index.subscriptions import Subscriber
from tests.index.built import NATIONAL, NOON_WRITTEN, REGIONAL, ROW, gone, put, row

EARLIER = "20260101120000"
STORED = row(creation_time=EARLIER)
NEWER = "20260601000000"


def by_id(*rows: Engagement) -> dict[str, Engagement]:
    return {one.id: one for one in rows}


def update(*transactions: Transaction, stored: tuple[Engagement, ...] = ()) -> Changes:
    return changes(Kind.UPDATE, transactions, by_id(*stored), own_id=REGIONAL, now=NOON_WRITTEN)


def notify(*transactions: Transaction, stored: tuple[Engagement, ...] = (), own_id: str = NATIONAL) -> Changes:
    return changes(Kind.NOTIFICATION, transactions, by_id(*stored), own_id=own_id, now=NOON_WRITTEN)


class TestUpdate:
    def test_a_new_row_gets_its_creation_time_here_whatever_was_sent(self) -> None:
        done = update(put(creation_time="19990101000000", update_time="19990101000000"))
        assert done.inserted == (row(creation_time=NOON_WRITTEN),)
        assert done.announced == (put(REGIONAL, creation_time=NOON_WRITTEN),)

    @pytest.mark.parametrize("newest", [NEWER, None, "20200101000000"])
    def test_a_row_with_other_content_keeps_its_creation_time_and_is_announced(self, newest: str | None) -> None:
        done = update(put(most_recent_content=newest), stored=(STORED,))
        changed = replace(STORED, most_recent_content=newest, update_time=NOON_WRITTEN)
        assert done == Changes(updated=(changed,), announced=(Transaction(False, changed, (REGIONAL,)),))

    def test_a_row_that_is_as_it_was_is_neither_written_nor_announced(self) -> None:
        assert update(put(), stored=(STORED,)) == Changes()

    def test_a_deletion_is_announced(self) -> None:
        done = update(gone(), stored=(STORED,))
        assert (done.deleted, [one.delete for one in done.announced]) == ((STORED,), [True])

    def test_also_of_a_row_that_never_was(self) -> None:
        done = update(gone())
        assert (list(done.touched), [one.delete for one in done.announced]) == ([], [True])

    def test_an_addition_after_a_deletion_counts(self) -> None:
        """The incumbent's batches lose it: there a deletion wins over what comes later."""
        first = update(gone(), stored=(STORED,))
        second = update(put())
        assert (first.deleted, second.inserted) == ((STORED,), (row(creation_time=NOON_WRITTEN),))

    def test_of_rows_that_become_the_same_by_their_owner_the_last_counts(self) -> None:
        done = update(put(most_recent_content=EARLIER), put(most_recent_content=NEWER))
        assert [one.most_recent_content for one in done.inserted] == [NEWER]

    def test_two_rows_whose_ids_are_alike_are_told_and_none_takes_the_others_place(self) -> None:
        other = row(logical_address="SE2321000016-KSN", business_object_instance_id="A")
        assert other.id == ROW.id
        with pytest.raises(SameId):
            update(Transaction(False, other), stored=(STORED,))


class TestNotification:
    def test_a_new_row_keeps_its_owner_and_is_passed_on_as_it_came(self) -> None:
        done = notify(put(REGIONAL, creation_time=EARLIER))
        assert done.inserted == (row(creation_time=NOON_WRITTEN),)
        assert done.announced == (put(REGIONAL, NATIONAL, creation_time=EARLIER),)

    def test_a_row_that_is_as_it_was_is_not_passed_on(self) -> None:
        assert notify(put(), stored=(STORED,)) == Changes()

    def test_a_later_one_changes_times_only(self) -> None:
        done = notify(put(most_recent_content=NEWER, creation_time="19990101000000"), stored=(STORED,))
        assert done.updated == (replace(STORED, most_recent_content=NEWER, update_time=NOON_WRITTEN),)

    def test_a_deletion_of_what_is_not_there_is_not_passed_on(self) -> None:
        assert notify(gone()) == Changes()
        assert notify(gone(), stored=(STORED,)).announced == (gone(NATIONAL),)

    def test_what_carries_its_path_is_passed_on_in_any_case(self) -> None:
        """Else a late change that came by another way could be the last that the next index hears of."""
        assert notify(put(REGIONAL), stored=(STORED,)) == Changes(announced=(put(REGIONAL, NATIONAL),))
        assert notify(gone(REGIONAL)) == Changes(announced=(gone(REGIONAL, NATIONAL),))

    def test_what_this_index_owns_is_left_alone(self) -> None:
        own = row(owner=NATIONAL, creation_time=EARLIER)
        assert notify(gone(owner=NATIONAL), put(owner=NATIONAL, most_recent_content=NEWER), stored=(own,)) == Changes()

    def test_also_where_its_owner_is_written_in_other_letters(self) -> None:
        own = row(owner=REGIONAL, creation_time=EARLIER)
        told = put(owner=REGIONAL.lower(), most_recent_content=NEWER)
        assert notify(told, stored=(own,), own_id=REGIONAL) == Changes()

    def test_what_has_been_here_before_is_left_alone(self) -> None:
        assert notify(put(REGIONAL, NATIONAL.lower(), most_recent_content=NEWER), stored=(STORED,)) == Changes()

    def test_a_row_that_was_reported_here_is_taken_over_by_whom_reports_it_there(self) -> None:
        """Rule R5: the old one deleted, the new one saved."""
        own = row(owner=NATIONAL, creation_time=EARLIER)
        done = notify(put(), stored=(own,))
        assert (done.deleted, done.inserted) == ((own,), (row(creation_time=NOON_WRITTEN),))
        assert done.announced == (put(NATIONAL),)

    def test_a_deletion_takes_nothing_over(self) -> None:
        assert notify(gone(), stored=(row(owner=NATIONAL),)) == Changes()

    def test_the_rows_that_are_needed_are_those_named_and_those_taken_over(self) -> None:
        assert needed_ids(Kind.NOTIFICATION, [put()], own_id=NATIONAL) == {ROW.id, row(owner=NATIONAL).id}
        assert needed_ids(Kind.UPDATE, [put()], own_id=REGIONAL) == {ROW.id}


@dataclass
class Ring:
    """Indexes that announce to each other over queues that keep their order, as the outboxes do."""

    subscribers: dict[str, tuple[str, ...]]
    rows: dict[str, dict[str, Engagement]] = field(default_factory=dict)
    queues: dict[tuple[str, str], list[Transaction]] = field(default_factory=dict)
    sent: int = 0

    def take(self, index: str, kind: Kind, one: Transaction) -> None:
        rows = self.rows.setdefault(index, {})
        needed = needed_ids(kind, [one], own_id=index)
        stored = {id: found for id, found in rows.items() if id in needed}
        done = changes(kind, [one], stored, own_id=index, now=NOON_WRITTEN)
        for old in done.deleted:
            del rows[old.id]
        rows.update(by_id(*done.inserted, *done.updated))
        for told in done.announced:
            for subscriber in self.subscribers[index]:
                if Subscriber(subscriber).wants(told):
                    self.queues.setdefault((index, subscriber), []).append(told)

    def deliver(self, data: st.DataObject) -> None:
        """Takes the first message of any queue."""
        _, to = chosen = data.draw(st.sampled_from(sorted(pair for pair, queue in self.queues.items() if queue)))
        self.sent += 1
        self.take(to, Kind.NOTIFICATION, self.queues[chosen].pop(0))

    @property
    def is_quiet(self) -> bool:
        return not any(self.queues.values())


INDEXES = ("A", "B", "C")
AROUND = {"A": ("B",), "B": ("C",), "C": ("A",)}
EVERYBODY = {"A": ("B", "C"), "B": ("A", "C"), "C": ("A", "B")}
REPORTS = st.lists(
    st.tuples(
        st.sampled_from(INDEXES), st.booleans(), st.sampled_from(("S1", "S2")), st.sampled_from((EARLIER, NEWER))
    ),
    min_size=1,
    max_size=6,
)


@given(st.data(), st.sampled_from([AROUND, EVERYBODY]), REPORTS)
def test_a_ring_of_three_grows_quiet_whatever_is_reported_where(
    data: st.DataObject, subscribers: dict[str, tuple[str, ...]], reports: list[tuple[str, bool, str, str]]
) -> None:
    ring = Ring(subscribers)
    for index, delete, source, newest in reports:
        ring.take(
            index, Kind.UPDATE, Transaction(delete, row(owner=index, source_system=source, most_recent_content=newest))
        )
    while not ring.is_quiet:
        ring.deliver(data)
        assert ring.sent <= 4 * len(reports), "the same changes go round and round"


@given(
    st.data(),
    st.sampled_from([AROUND, EVERYBODY]),
    st.lists(st.sampled_from((EARLIER, NEWER, None)), min_size=1, max_size=5),
)
def test_every_index_of_a_ring_ends_with_what_its_owner_has(
    data: st.DataObject, subscribers: dict[str, tuple[str, ...]], reported: list[str | None]
) -> None:
    """`reported` are the contents of one row, one after the other, at A; None is its deletion."""
    ring = Ring(subscribers)
    for newest in reported:
        one = Transaction(newest is None, row(owner="A", most_recent_content=newest))
        ring.take("A", Kind.UPDATE, one)
        while not ring.is_quiet and data.draw(st.booleans()):
            ring.deliver(data)
    while not ring.is_quiet:
        ring.deliver(data)
    known = {index: [one.most_recent_content for one in ring.rows.get(index, {}).values()] for index in INDEXES}
    assert known["B"] == known["C"] == known["A"] == ([] if reported[-1] is None else [reported[-1]])
