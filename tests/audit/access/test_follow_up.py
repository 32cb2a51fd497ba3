"""What a care provider looks over: a sample that nobody can steer, and looks that stand out."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.audit.access.checkpoints import Line, lines_of, read_line
from rivta.audit.access.entry import EMERGENCY_ACCESS, Entry, Kind, Outcome, StoredEntry
from rivta.audit.access.export import look_json, looks_csv, sample_json
from rivta.audit.access.follow_up import (
    Employee,
    Look,
    Night,
    NotYetSigned,
    Sign,
    Verdict,
    draw,
    first_after,
    looks_of,
    review_detail,
)
from tests.audit.access.logs import DOCTOR, NINA, NOON, NURSE, TOLVAN, Kept, intent, outcome
from tests.audit.access.test_verify import lines

SWEDEN = ZoneInfo("Europe/Stockholm")
STAFF = {
    TOLVAN: Employee(DOCTOR.user_id, DOCTOR.care_provider_id),
    NINA: Employee(NURSE.user_id, DOCTOR.care_provider_id),
}
FIRST, LAST = date(2026, 11, 1), date(2026, 11, 30)


def stored(*entries: Entry, at: datetime = NOON) -> Iterator[StoredEntry]:
    for number, entry in enumerate(entries, 1):
        yield StoredEntry("w", number, at + timedelta(seconds=number), entry, "p", f"h{number}")


def looks(*entries: Entry, at: datetime = NOON, staff: dict[str, Employee] | None = None) -> list[Look]:
    return looks_of(stored(*entries, at=at), staff=staff or {}, night=Night(), zone=SWEDEN)


def one_look(*entries: Entry, at: datetime = NOON, staff: dict[str, Employee] | None = None) -> Look:
    (found,) = looks(*entries, at=at, staff=staff)
    return found


class TestLooks:
    def test_everything_of_one_look_up_is_one_look(self) -> None:
        look = one_look(
            intent(information_set=""),
            intent(information_set="Diagnoser"),
            intent(information_set="Anteckningar"),
            outcome("w:2", sources=("SE1",)),
            outcome("w:2", sources=("SE2", "SE1")),
            outcome("w:3", information_set="Anteckningar", outcome=Outcome.FAILED),
        )

        assert look.information_sets == ("Diagnoser", "Anteckningar")
        assert (look.read, look.sources) == (("Diagnoser",), ("SE1", "SE2", "SE2321000016-KS"))
        assert (look.id, look.relation, look.consents, look.signs) == ("w:1", "booked", ("patient",), ())

    @pytest.mark.parametrize(
        "otherwise",
        [{"correlation_id": "c-2"}, {"reader": NURSE}, {"reader": replace(DOCTOR, unit_id="SE9")}, {"patient": NINA}],
        ids=["call", "reader", "unit", "patient"],
    )
    def test_another_look_up_is_another(self, otherwise: dict[str, Any]) -> None:
        assert len(looks(intent(), replace(intent(), **otherwise))) == 2

    def test_what_the_log_tells_of_itself_is_no_look(self) -> None:
        assert looks(Entry(Kind.CHECKPOINT), Entry(Kind.REMOVAL), intent(kind=Kind.CONSENT)) == []

    def test_a_review_belongs_to_its_look(self) -> None:
        reviewed = list(stored(intent(), outcome("w:1")))
        review = Entry(
            Kind.REVIEW, reader=NURSE, about="w:1", reason="samtal", detail=review_detail(Verdict.QUESTIONED, "root")
        )
        entries = [replace(one, number=9) for one in stored(review)]

        (look,) = looks_of(reviewed, entries, staff={}, night=Night(), zone=SWEDEN)

        assert [(one.reviewer, one.verdict, one.note) for one in look.reviews] == [
            (NURSE.user_id, "questioned", "samtal")
        ]


class TestSigns:
    @pytest.mark.parametrize(
        ("entries", "signs"),
        [
            ([intent()], []),
            ([intent(relation="")], [Sign.NO_RELATION]),
            ([intent(relation=""), outcome("w:1")], []),
            ([intent(consent=EMERGENCY_ACCESS)], [Sign.EMERGENCY]),
            ([intent(kind=Kind.EMERGENCY)], [Sign.EMERGENCY]),
            ([intent(kind=Kind.REFUSED)], [Sign.REFUSED]),
        ],
        ids=["ordinary", "no-relation", "relation-later", "emergency-consent", "emergency", "refused"],
    )
    def test_a_look_stands_out_by_what_its_entries_say(self, entries: list[Entry], signs: list[Sign]) -> None:
        assert list(one_look(*entries).signs) == signs

    @pytest.mark.parametrize(
        ("patient", "reader", "signs"),
        [
            (TOLVAN, DOCTOR, [Sign.SELF]),
            (NINA, DOCTOR, [Sign.COLLEAGUE]),
            (NINA, NURSE, [Sign.SELF]),
            (NINA, replace(DOCTOR, care_provider_id="SE9"), []),
            ("199001012385", DOCTOR, []),
        ],
        ids=["own", "colleague", "nurse", "elsewhere", "stranger"],
    )
    def test_ones_own_data_and_a_colleagues_are_told_by_the_staff(
        self, patient: str, reader: object, signs: list[Sign]
    ) -> None:
        assert list(one_look(intent(patient, reader=reader), staff=STAFF).signs) == signs

    @pytest.mark.parametrize(
        ("at", "is_night"),
        [
            (datetime(2026, 11, 24, 20, 59, 58, tzinfo=UTC), False),
            (datetime(2026, 11, 24, 20, 59, 59, tzinfo=UTC), True),  # 22:00 in Sweden
            (datetime(2026, 11, 25, 4, 59, 58, tzinfo=UTC), True),
            (datetime(2026, 11, 25, 4, 59, 59, tzinfo=UTC), False),  # 06:00
            (datetime(2026, 7, 24, 19, 59, 59, tzinfo=UTC), True),  # 22:00 in summer
            (datetime(2026, 7, 25, 3, 59, 59, tzinfo=UTC), False),
        ],
    )
    def test_night_is_by_the_clock_on_the_wall_in_sweden(self, at: datetime, is_night: bool) -> None:
        assert (Sign.NIGHT in one_look(intent(), at=at).signs) is is_night

    @given(begins=st.times(), ends=st.times(), moment=st.times())
    def test_a_moment_is_in_a_night_or_in_the_day_between(self, begins: time, ends: time, moment: time) -> None:
        if begins != ends:
            assert Night(begins, ends).holds(moment) != Night(ends, begins).holds(moment)


CHECKPOINT = read_line(lines((datetime(2026, 12, 1, tzinfo=UTC), {}))[0])
LOOKS = looks(*[intent(correlation_id=f"c-{number}") for number in range(40)])


def drawn(found: list[Look] = LOOKS, checkpoint: Line | None = CHECKPOINT, count: int = 5) -> list[str]:
    sample = draw(found, care_provider="SE2321000016", first=FIRST, last=LAST, checkpoint=checkpoint, count=count)
    return [look.id for look in sample.looks]


class TestSample:
    def test_it_is_the_same_each_time_whatever_order_the_looks_come_in(self) -> None:
        assert drawn() == drawn(LOOKS[::-1])
        assert len(set(drawn())) == 5

    def test_a_larger_one_holds_the_smaller(self) -> None:
        assert drawn(count=9)[:5] == drawn()
        assert sorted(drawn(count=100)) == sorted(look.id for look in LOOKS)

    def test_another_checkpoint_draws_another(self) -> None:
        other = read_line(lines((datetime(2026, 12, 2, tzinfo=UTC), {}))[0])

        assert drawn(checkpoint=other) != drawn()

    def test_it_can_be_drawn_again_as_documented(self) -> None:
        def digest(text: str) -> str:
            return hashlib.sha256(text.encode()).hexdigest()

        seed = digest(f"SE2321000016/2026-11-01/2026-11-30/{CHECKPOINT.digest}")

        assert drawn() == sorted((look.id for look in LOOKS), key=lambda id: digest(f"{seed}/{id}"))[:5]

    def test_before_a_checkpoint_was_signed_after_the_time_there_is_none(self) -> None:
        with pytest.raises(NotYetSigned, match="signed after 2026-11-30"):
            drawn(checkpoint=None)

    def test_the_first_checkpoint_after_the_time_counts(self) -> None:
        made = [read_line(line) for line in lines(*((datetime(2026, 12, day, tzinfo=UTC), {}) for day in (1, 2, 3)))]

        assert first_after(made, datetime(2026, 12, 1, 12, tzinfo=UTC)) is made[1]
        assert first_after(made, datetime(2026, 12, 2, tzinfo=UTC)) is made[1]
        assert first_after(made, datetime(2026, 12, 4, tzinfo=UTC)) is None


class TestExport:
    def test_a_sample_is_json_with_what_it_takes_to_draw_it_again(self) -> None:
        sample = draw(LOOKS, care_provider="SE1", first=FIRST, last=LAST, checkpoint=CHECKPOINT, count=2)

        made = sample_json(sample, SWEDEN)

        assert json.loads(json.dumps(made)) == made
        assert (made["of"], made["checkpoint"], len(made["looks"])) == (40, CHECKPOINT.digest, 2)
        assert made["looks"][0]["time"].endswith("+01:00")

    def test_csv_has_a_line_for_each_look_and_nothing_that_a_spreadsheet_obeys(self) -> None:
        hostile = replace(DOCTOR, user_name="=cmd|' /C calc'!A0", unit_name='a "b", c\nd', assignment="@x")
        found = looks(intent(reader=hostile), intent(correlation_id="+1"))

        rows = list(csv.DictReader(io.StringIO(looks_csv(found, SWEDEN), newline="")))

        assert len(rows) == 2
        assert rows[0]["user_name"] == "'=cmd|' /C calc'!A0"
        assert rows[0]["unit_name"] == 'a "b", c\nd'
        assert (rows[0]["assignment"], rows[1]["correlation_id"]) == ("'@x", "'+1")
        assert set(look_json(found[0], SWEDEN)) - {"reviews"} == set(rows[0]) - {"reviewed_by", "verdict"}

    def test_the_sets_of_a_look_stand_in_one_cell(self) -> None:
        found = [one_look(intent(information_set="a"), intent(information_set="b"))]

        (row,) = csv.DictReader(io.StringIO(looks_csv(found, SWEDEN)))

        assert row["information_sets"] == "a | b"


def test_from_a_log_with_its_checkpoints(kept: Kept) -> None:
    writer = kept.writer()
    for number in range(5):
        (look,) = writer.record(intent(correlation_id=f"c-{number}"))
        writer.record(outcome(look.id, correlation_id=f"c-{number}"))
    kept.now = datetime(2026, 12, 1, tzinfo=UTC)
    kept.sign()

    found = looks_of(kept.log.entries(care_provider="SE2321000016"), staff={}, night=Night(), zone=SWEDEN)
    signed = map(read_line, lines_of(kept.file))
    sample = draw(
        found,
        care_provider="SE2321000016",
        first=FIRST,
        last=LAST,
        checkpoint=first_after(signed, datetime(2026, 11, 30, 23, tzinfo=UTC)),
        count=3,
    )

    assert (sample.of, len(sample.looks)) == (5, 3)
