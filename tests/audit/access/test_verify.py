"""Whatever is done to a stored log is found: in its rows, in its file of checkpoints, or in the two together."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert, text, update

from rivta.audit.access.chain import COLUMNS, hash_of, start_of
from rivta.audit.access.checkpoints import Checkpoint, digest_of
from rivta.audit.access.entry import Entry, columns_of
from rivta.audit.access.log import Head
from rivta.audit.access.verify import LATENESS, Verification, verify
from rivta.store.access_schema import access_entries
from tests.audit.access.logs import NOON, Kept, intent, is_signed, outcome, sign

LOG = "5f0e7e8c-0000-4000-8000-000000000001"
Row = dict[str, Any]


def chain(writer: str, entries: list[Entry], *, start: datetime = NOON) -> list[Row]:
    rows: list[Row] = []
    previous = start_of(LOG, writer)
    for number, entry in enumerate(entries, 1):
        time = start + timedelta(minutes=number)
        row = columns_of(entry) | {"writer": writer, "number": number, "time": time, "previous": previous}
        previous = hash_of(LOG, row)
        rows.append(row | {"hash": previous})
    return rows


def lines(*heads: tuple[datetime, dict[str, Head]], log: str = LOG, signer: str = "test") -> list[bytes]:
    made: list[bytes] = []
    for number, (time, head) in enumerate(heads, 1):
        previous = digest_of(made[-1]) if made else ""
        signed = Checkpoint("s", number, previous, log, time, signer, head).to_bytes()
        made.append(signed + b"\t" + base64.b64encode(sign(signed)))
    return made


def head_of(rows: list[Row], number: int) -> Head:
    return Head(number, rows[number - 1]["hash"])


def check(rows: list[Row], checkpoints: list[bytes]) -> Verification:
    ordered = sorted(rows, key=lambda row: (str(row["writer"]), row["number"] if type(row["number"]) is int else 0))
    return verify(ordered, log=LOG, files={"file": checkpoints}, is_signed=is_signed, now=NOON + timedelta(days=9))


ONE = chain("a-1", [intent(correlation_id=f"c-{n}", reason=f"r{n}") for n in range(8)])
OTHER = chain("b-1", [outcome("a-1:1", reason=f"o{n}") for n in range(5)])
ROWS = ONE + OTHER
SIGNED = lines(
    (NOON + timedelta(minutes=3, seconds=30), {"a-1": head_of(ONE, 3), "b-1": head_of(OTHER, 3)}),
    (NOON + timedelta(minutes=8, seconds=30), {"a-1": head_of(ONE, 8), "b-1": head_of(OTHER, 5)}),
)


def test_a_log_that_nobody_touched_is_intact_and_covered() -> None:
    found = check(ROWS, SIGNED)

    assert found.is_intact
    assert (found.entries, found.writers, found.checkpoints, found.covered) == (13, 2, 2, 13)
    assert found.covered_until == NOON + timedelta(minutes=8, seconds=30)


def test_it_is_said_how_far_the_checkpoints_reach() -> None:
    found = check(ROWS, SIGNED[:1])

    assert (found.is_intact, found.covered, found.entries) == (True, 6, 13)


def test_without_checkpoints_only_the_chain_can_be_checked() -> None:
    found = check(ROWS, [])

    assert (found.is_intact, found.covered, found.covered_until) == (True, 0, None)


ANY_ROW = st.integers(0, len(ROWS) - 1)
OTHER_VALUES = {
    int: st.integers(0, 20),
    str: st.text(max_size=5) | st.sampled_from(["191212121212", "shown", "refused", "a-1", "b-1"]),
    datetime: st.integers(-10_000, 10_000).map(lambda seconds: NOON + timedelta(seconds=seconds)) | st.just("soon"),
}


@given(index=ANY_ROW, column=st.sampled_from([*COLUMNS, "hash"]), data=st.data())
def test_any_field_of_any_entry_that_is_altered_is_found(index: int, column: str, data: st.DataObject) -> None:
    rows = copy.deepcopy(ROWS)
    value = data.draw(OTHER_VALUES[type(rows[index][column])])
    if value == rows[index][column]:
        return
    rows[index][column] = value

    assert not check(rows, []).is_intact or not check(rows, SIGNED).is_intact
    assert not check(rows, SIGNED).is_intact


@given(st.sets(ANY_ROW, min_size=1))
def test_any_entries_that_are_dropped_are_found(dropped: set[int]) -> None:
    """The last of a chain too, and whole chains: the checkpoints have them."""
    assert not check([row for index, row in enumerate(ROWS) if index not in dropped], SIGNED).is_intact


@given(ANY_ROW, ANY_ROW)
def test_any_two_entries_that_change_places_are_found(one: int, other: int) -> None:
    if one == other:
        return
    rows = copy.deepcopy(ROWS)
    for column in ("writer", "number"):
        rows[one][column], rows[other][column] = rows[other][column], rows[one][column]

    assert not check(rows, SIGNED).is_intact


@given(place=st.integers(0, len(ONE)), number=st.integers(1, 2))
def test_an_entry_put_in_among_others_is_found_although_its_chain_is_made_anew(place: int, number: int) -> None:
    """Whoever puts it in can calculate every hash again, and cannot sign."""
    entries = [intent(correlation_id=f"c-{n}", reason=f"r{n}") for n in range(len(ONE))]
    entries[place:place] = [intent(reason="never happened")] * number
    forged = chain("a-1", entries)

    found = check(forged + OTHER, SIGNED)

    assert not found.is_intact or place == len(ONE)


@given(index=st.integers(0, len(ONE) - 1))
def test_an_entry_that_is_altered_with_all_that_follow_is_found(index: int) -> None:
    entries = [intent(correlation_id=f"c-{n}", reason=f"r{n}") for n in range(len(ONE))]
    entries[index] = intent(reason="somebody else")

    assert check(chain("a-1", entries) + OTHER, []).is_intact  # alone it is a good chain
    assert not check(chain("a-1", entries) + OTHER, SIGNED).is_intact


@pytest.mark.parametrize("kept", range(len(ONE)))
def test_a_tail_that_is_cut_off_is_found(kept: int) -> None:
    assert not check(ONE[:kept] + OTHER, SIGNED).is_intact


def test_a_tail_beyond_the_last_checkpoint_is_not_covered_and_said_not_to_be() -> None:
    later = chain("a-1", [intent(correlation_id=f"c-{n}", reason=f"r{n}") for n in range(10)])

    assert check(later + OTHER, SIGNED).covered == 13
    assert check(later[:9] + OTHER, SIGNED).is_intact


def test_a_chain_that_is_put_in_and_dated_back_is_found() -> None:
    invented = chain("c-1", [intent()])

    (problem,) = check(ROWS + invented, SIGNED).problems

    assert problem.where == "c-1:1"
    assert "dated before the checkpoint of 2026-11-24 12:08:30 UTC, which lacks it" in problem.what


def test_an_entry_that_a_slow_transaction_brings_late_is_none_of_those() -> None:
    late = chain("c-1", [intent()], start=NOON + timedelta(minutes=7, seconds=30) - LATENESS)

    assert check(ROWS + late, SIGNED).is_intact


def test_an_entry_dated_after_the_checkpoint_that_has_it_is_found() -> None:
    ahead = chain("c-1", [intent()], start=NOON + timedelta(days=1))
    signed = lines((NOON, {"c-1": head_of(ahead, 1)}))

    (problem,) = check(ahead, signed).problems

    assert "dated after the checkpoint" in problem.what


class TestCheckpoints:
    @given(index=st.integers(0, 1), place=st.integers(0, 300), byte=st.integers(0, 255))
    def test_any_byte_of_a_line_that_is_altered_is_found_or_the_line_is_missed(
        self, index: int, place: int, byte: int
    ) -> None:
        forged = list(SIGNED)
        line = bytearray(forged[index])
        place %= len(line)
        if line[place] == byte:
            return
        line[place] = byte
        forged[index] = bytes(line)

        found = check(ROWS, forged)

        assert not found.is_intact or found.notes or found.checkpoints < 2

    def test_a_line_that_is_left_out_is_missed(self) -> None:
        (problem,) = check(ROWS, SIGNED[1:]).problems

        assert "does not follow the line before: it is number 2, where 1 was to come" in problem.what

    def test_lines_in_another_order_are_found(self) -> None:
        assert not check(ROWS, SIGNED[::-1]).is_intact

    def test_a_line_of_another_log_is_found(self) -> None:
        assert "another access log" in check(ROWS, lines((NOON, {}), log="x")).problems[0].what

    def test_a_key_that_is_not_known_is_said_to_be_so(self) -> None:
        assert "signed by a key that is not known" in check(ROWS, lines((NOON, {}), signer="k")).problems[0].what

    def test_a_line_that_somebody_else_signed_is_found(self) -> None:
        signed = SIGNED[1].split(b"\t")[0].replace(b'"number":2', b'"number":3')
        forged = signed + b"\t" + base64.b64encode(b"x" * 32)

        assert "signature does not fit" in check(ROWS, [*SIGNED, forged]).problems[0].what

    def test_problems_are_counted_beyond_a_hundred(self) -> None:
        many = chain("a-1", [intent(reason=str(n)) for n in range(150)])
        for row in many:
            row["reason"] = "altered"

        found = check(many, [])

        assert (len(found.problems), found.further_problems) == (100, 50)


class TestOnTheDatabase:
    """The same with real rows: what triggers would refuse is done by whoever may drop them."""

    @pytest.fixture(autouse=True)
    def looks(self, kept: Kept) -> None:
        one, other = kept.writer(), kept.writer("other")
        for _ in range(3):
            one.record(outcome(one.record(intent())[0].id))
            other.record(intent())
        kept.sign()
        other.record(intent())
        self.first, self.kept = one.name, kept

    def disarm(self) -> None:
        with self.kept.log.engine.begin() as connection:
            if self.kept.log.engine.dialect.name == "postgresql":
                connection.execute(text("ALTER TABLE access_entries DISABLE TRIGGER USER"))
            else:
                for name in ("access_entries_stay", "access_entries_remain"):
                    connection.execute(text(f"DROP TRIGGER {name}"))

    def test_as_it_was_written_it_is_intact(self) -> None:
        found = self.kept.verify()

        assert (found.problems, found.notes, found.entries, found.covered) == ([], [], 11, 9)

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (update(access_entries).where(access_entries.c.number == 2).values(patient="198507099805"), "was altered"),
            (delete(access_entries).where(access_entries.c.number == 2), "entry 2 is missing before it"),
            (delete(access_entries).where(access_entries.c.number >= 2), "missing, of"),
            (delete(access_entries).where(access_entries.c.writer.like("other-%")), "its last 3 entries are missing"),
        ],
        ids=["altered", "dropped", "cut", "whole"],
    )
    def test_what_somebody_does_to_its_rows_is_found(self, change: Any, reason: str) -> None:
        self.disarm()
        with self.kept.log.engine.begin() as connection:
            connection.execute(change)

        assert any(reason in problem.what for problem in self.kept.verify().problems)

    def test_a_database_that_was_set_back_is_found(self) -> None:
        before = [dict(row) for row in self.kept.log.rows()]
        self.kept.writer("later").record(intent())
        self.kept.sign()
        self.disarm()
        with self.kept.log.engine.begin() as connection:
            connection.execute(delete(access_entries))
            connection.execute(insert(access_entries), before)

        assert any("cut off, or rolled back" in problem.what for problem in self.kept.verify().problems)

    def test_a_file_of_checkpoints_that_was_cut_off_is_found(self) -> None:
        self.kept.file.write_bytes(b"")

        assert any("not given or are lost" in problem.what for problem in self.kept.verify().problems)

    def test_the_last_line_of_the_file_that_was_cut_off_is_found(self) -> None:
        content = self.kept.file.read_bytes()
        self.kept.sign()
        self.kept.file.write_bytes(content)

        assert any("which the file lacks: it was cut off" in problem.what for problem in self.kept.verify().problems)


def test_a_time_that_is_none_is_found(kept_on_sqlite: Kept) -> None:
    kept_on_sqlite.writer().record(intent())
    with kept_on_sqlite.log.engine.begin() as connection:
        connection.execute(text("DROP TRIGGER access_entries_stay"))
        connection.execute(text("UPDATE access_entries SET time = 'noon'"))

    assert any("its time is none" in problem.what for problem in kept_on_sqlite.verify().problems)


def test_the_canonical_bytes_are_as_documented() -> None:
    row = ONE[0]
    fields = {name: row[name] for name in COLUMNS} | {"log": LOG, "time": "2026-11-24T12:01:00.000000Z"}
    spelled = (
        "{"
        + ",".join(f"{json.dumps(key)}:{json.dumps(fields[key], ensure_ascii=False)}" for key in sorted(fields))
        + "}"
    )

    assert row["hash"] == hashlib.sha256(spelled.encode()).hexdigest()
    assert row["previous"] == hashlib.sha256(f"{LOG}/a-1".encode()).hexdigest()
