"""What is old enough leaves the log, and the log says so for ever."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete
from sqlalchemy.exc import DBAPIError

from rivta.audit.access import retention
from rivta.audit.access.checkpoints import CheckpointsUnusable, Removal
from rivta.audit.access.entry import Kind
from rivta.audit.access.log import Writer
from rivta.audit.access.retention import retain, years_before
from rivta.store.access_schema import access_entries
from tests.audit.access.logs import Kept, intent

OLD = datetime(2015, 3, 1, tzinfo=UTC)
LIMIT = datetime(2016, 1, 1, tzinfo=UTC)


@pytest.fixture
def writers(kept: Kept) -> tuple[Writer, Writer]:
    """Four old entries of one and two of another, then two new ones of the first."""
    now, kept.now = kept.now, OLD
    one, other = kept.writer(), kept.writer("other")
    one.record(*[intent()] * 4)
    other.record(*[intent()] * 2)
    kept.sign()
    kept.now = now
    one.record(*[intent()] * 2)
    kept.sign()
    return one, other


def run(kept: Kept) -> int:
    return retain(kept.log, kept.writer("retention"), kept.checkpoints, older_than=LIMIT, now=kept.tick())


def ids(kept: Kept, *names: str) -> list[str]:
    return [stored.id for stored in kept.log.entries() if stored.writer in names]


def test_old_entries_go_and_what_is_left_is_still_proven(kept: Kept, writers: tuple[Writer, Writer]) -> None:
    one, other = writers

    assert run(kept) == 7  # with the keeper's own entry of that time

    assert ids(kept, one.name, other.name) == [f"{one.name}:5", f"{one.name}:6"]
    found = kept.verify()
    assert (found.problems, found.notes, found.removed) == ([], [], 7)
    assert len(kept.log.entries(kinds=[Kind.REMOVAL])) == 3


def test_a_second_run_has_nothing_to_do(kept: Kept, writers: tuple[Writer, Writer]) -> None:
    run(kept)
    before = [stored.id for stored in kept.log.entries()]

    assert run(kept) == 0
    assert [stored.id for stored in kept.log.entries()] == before


def test_nothing_goes_before_five_years_have_passed(kept: Kept, writers: tuple[Writer, Writer]) -> None:
    with pytest.raises(ValueError, match="kept for at least 5 years, and 2021-11-25 is later"):
        retain(
            kept.log,
            kept.writer("retention"),
            kept.checkpoints,
            older_than=datetime(2021, 11, 25, tzinfo=UTC),
            now=kept.now,
        )

    assert kept.verify().removed == 0


@pytest.mark.parametrize("step", ["signing", "deleting"])
def test_a_run_that_dies_between_its_steps_is_finished_by_the_next(
    kept: Kept, writers: tuple[Writer, Writer], step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object, **__: object) -> None:
        raise CheckpointsUnusable("the disk is full")

    target: tuple[Any, str] = (kept.checkpoints, "sign") if step == "signing" else (retention, "_delete")
    with monkeypatch.context() as patch:
        patch.setattr(*target, dies)
        with pytest.raises(CheckpointsUnusable):
            run(kept)
    assert kept.verify().problems == []
    assert len(ids(kept, *(writer.name for writer in writers))) == 8

    assert run(kept) == 7
    assert kept.verify().problems == []


def test_the_removal_that_went_furthest_counts_whatever_is_signed_after_it(
    kept: Kept, writers: tuple[Writer, Writer]
) -> None:
    one, _ = writers
    second = [stored for stored in kept.log.entries() if stored.writer == one.name][1]
    run(kept)
    kept.checkpoints.sign(now=kept.tick(), removals=[Removal(one.name, 1, second.number, second.hash, LIMIT)])

    assert kept.verify().problems == []


def test_of_a_clock_that_was_set_back_only_the_beginning_goes(kept: Kept) -> None:
    """A chain keeps all after its first entry that must stay, and the database lets nothing else go."""
    now = kept.now
    writer = kept.writer()
    for time in (OLD, OLD, now, OLD):
        kept.now = time
        writer.record(intent())
    kept.now = now

    assert run(kept) == 2
    assert ids(kept, writer.name) == [f"{writer.name}:4", f"{writer.name}:3"]
    assert kept.verify().problems == []
    with pytest.raises(DBAPIError, match="never changed"), kept.log.engine.begin() as connection:
        connection.execute(
            delete(access_entries).where(access_entries.c.writer == writer.name, access_entries.c.number == 4)
        )


def test_a_torn_line_of_the_checkpoints_does_not_hold_it_up(kept: Kept, writers: tuple[Writer, Writer]) -> None:
    with kept.file.open("ab") as file:
        file.write(b'{"format":1,')

    assert run(kept) == 7
    assert kept.verify().problems == []


def test_what_was_not_signed_away_may_not_be_missing(kept: Kept, writers: tuple[Writer, Writer]) -> None:
    """Whoever owns the database can announce a removal, and delete; but not sign it."""
    one, _ = writers
    for removal in retention._removable(kept.log, LIMIT):
        retention._announce(kept.writer("forger"), removal)
    with kept.log.engine.begin() as connection:
        connection.execute(
            delete(access_entries).where(access_entries.c.writer == one.name, access_entries.c.number <= 4)
        )

    assert any("entries 1 to 4 are missing" in problem.what for problem in kept.verify().problems)


@pytest.mark.parametrize(
    ("older_than", "reason"),
    [
        (OLD - timedelta(days=9), "retention took entries newer than 2015-02-20, as checkpoints show"),
        (datetime(2026, 1, 1, tzinfo=UTC), "retention took entries of up to 2026-01-01 before five years had passed"),
    ],
    ids=["newer", "early"],
)
def test_a_removal_that_took_too_much_is_found_although_it_is_signed(
    kept: Kept, writers: tuple[Writer, Writer], older_than: datetime, reason: str
) -> None:
    one, _ = writers
    last = [stored for stored in kept.log.entries() if stored.writer == one.name][-1]
    removal = Removal(one.name, 1, last.number, last.hash, older_than)
    kept.checkpoints.sign(now=kept.tick(), removals=[removal])

    assert [problem.what for problem in kept.verify().problems] == [reason]


def test_five_years_before_a_leap_day_is_the_day_before_it() -> None:
    assert years_before(datetime(2024, 2, 29, tzinfo=UTC), 5) == datetime(2019, 2, 28, tzinfo=UTC)
