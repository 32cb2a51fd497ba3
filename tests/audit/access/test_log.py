"""The access log in its database: what is acknowledged is there, and nothing in it can be changed."""

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, event, text, update
from sqlalchemy.exc import DBAPIError

from rivta.audit.access.entry import Entry, Kind, Outcome, Reader
from rivta.audit.access.log import AccessLog, CannotRecord
from rivta.store.access_schema import access_entries, access_logs, access_removals
from rivta.store.engine import DatabaseUnusable, open_database
from tests.audit.access.logs import DOCTOR, NINA, NOON, NURSE, TOLVAN, Kept, intent, outcome


class TestRecording:
    def test_every_field_comes_back(self, kept: Kept) -> None:
        entry = Entry(
            Kind.OUTCOME,
            reader=replace(DOCTOR, user_name="Åsa Ö '\"\\ \u2028 €"),
            patient=TOLVAN,
            correlation_id="c",
            about="w:1",
            information_set="Diagnoser",
            sources=("SE1", "SE2"),
            outcome=Outcome.EMPTY,
            relation="booked",
            consent="patient",
            permission="routing/national/npo.yaml:12",
            reason="rad ett\nrad två",
            detail='{"a":1}',
        )

        (receipt,) = kept.writer().record(entry)

        (stored,) = kept.log.entries()
        assert stored.entry == entry
        assert (stored.id, stored.time, stored.hash) == (receipt.id, receipt.time, receipt.hash)

    def test_entries_of_one_call_are_there_together_and_in_order(self, kept: Kept) -> None:
        writer = kept.writer()
        writer.record(intent())

        receipts = writer.record(intent(information_set="a"), intent(information_set="b"))

        assert [receipt.id for receipt in receipts] == [f"{writer.name}:2", f"{writer.name}:3"]

    def test_another_writer_has_a_chain_of_its_own(self, kept: Kept) -> None:
        one, other = kept.writer(), kept.writer()

        assert one.record(intent())[0].id.endswith(":1")
        assert other.record(intent())[0].id.endswith(":1")
        assert one.name != other.name

    @pytest.mark.parametrize(
        ("entry", "reason"),
        [
            (intent(patient="x" * 1001), "patient is 1001 characters long"),
            (intent(reason="x" * 4001), "reason is 4001 characters long"),
            (intent(correlation_id="a\0b"), "correlation_id holds a zero byte"),
            (intent(correlation_id="\udcff"), "correlation_id is not Unicode"),
            (intent(relation=None), "relation is of type NoneType"),
            (intent(sources=("x",) * 1001), "sources are 1001"),
            (intent(reader=Reader(user_name="\0")), "user_name holds a zero byte"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_cannot_be_kept_is_refused_by_field_without_its_value(
        self, kept_on_sqlite: Kept, entry: Entry, reason: str
    ) -> None:
        with pytest.raises(CannotRecord, match=reason):
            kept_on_sqlite.writer().record(intent(), entry)

        assert kept_on_sqlite.log.entries() == []

    def test_without_its_database_nothing_is_acknowledged_and_the_reason_names_no_patient(self, kept: Kept) -> None:
        writer = kept.writer()
        writer.record(intent())
        with kept.log.engine.begin() as connection:
            connection.execute(text("ALTER TABLE access_entries RENAME TO elsewhere"))

        with pytest.raises(CannotRecord, match="does not take the entry") as refused:
            writer.record(intent())
        assert TOLVAN not in str(refused.value)

        with kept.log.engine.begin() as connection:
            connection.execute(text("ALTER TABLE elsewhere RENAME TO access_entries"))
        assert writer.record(intent())[0].id == f"{writer.name}:2"

    def test_a_commit_that_failed_may_have_been_made_and_the_chain_goes_on_either_way(self, kept: Kept) -> None:
        writer = kept.writer()
        writer.record(intent())

        def lose_the_answer(connection: object) -> None:
            raise DBAPIError("COMMIT", None, ConnectionError("the server went away"))

        event.listen(kept.log.engine, "commit", lose_the_answer)
        with pytest.raises(CannotRecord, match="the server went away"):
            writer.record(intent())
        event.remove(kept.log.engine, "commit", lose_the_answer)

        writer.record(intent(), intent())
        assert kept.verify().is_intact

    def test_a_log_that_was_set_back_is_not_written_to(self, kept: Kept) -> None:
        writer = kept.writer()
        writer.record(intent(), intent())
        _without_triggers(kept)
        with kept.log.engine.begin() as connection:
            connection.execute(delete(access_entries).where(access_entries.c.number == 2))

        with pytest.raises(CannotRecord, match="has 1 entries of .* which has written 2"):
            writer.record(intent())

    def test_a_file_that_was_put_in_place_of_the_log_is_not_written_to(self, kept_on_sqlite: Kept) -> None:
        file = kept_on_sqlite.folder / "access.sqlite"
        writer = kept_on_sqlite.writer()
        shutil.copy(file, file.with_suffix(".copy"))
        file.with_suffix(".copy").rename(file)

        with pytest.raises(CannotRecord, match="another file"):
            writer.record(intent())

    def test_the_name_of_a_writer_is_plain(self, kept_on_sqlite: Kept) -> None:
        with pytest.raises(ValueError, match="the name of a writer"):
            kept_on_sqlite.log.writer("Vår läsare", clock=kept_on_sqlite.tick)


def _without_triggers(kept: Kept) -> None:
    """As whoever owns the database can have it."""
    with kept.log.engine.begin() as connection:
        if kept.log.engine.dialect.name == "postgresql":
            for table in ("access_entries", "access_removals", "access_logs"):
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        else:
            names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
            for name in names:
                connection.execute(text(f"DROP TRIGGER {name}"))


class TestGuards:
    @pytest.mark.parametrize(
        "statement",
        [
            update(access_entries).values(reason="rewritten"),
            delete(access_entries),
            text("INSERT OR REPLACE INTO access_entries SELECT * FROM access_entries"),
            text("TRUNCATE access_entries"),
            text("UPDATE access_entries SET hash = hash"),
            update(access_logs).values(id="x"),
            delete(access_logs),
        ],
        ids=["update", "delete", "replace", "truncate", "touch", "rename", "forget"],
    )
    def test_the_database_itself_refuses_every_change(self, kept: Kept, statement: Any) -> None:
        kept.writer().record(intent())

        with pytest.raises(DBAPIError), kept.log.engine.begin() as connection:
            connection.execute(statement)

        assert len(kept.log.entries()) == 1
        assert kept.verify().is_intact

    def test_nothing_is_removed_that_is_younger_than_five_years(self, kept: Kept) -> None:
        kept.writer().record(intent())
        row = {"writer": "w", "last": 1, "older_than": NOON - timedelta(days=365), "entry": "x"}

        with pytest.raises(DBAPIError, match="kept for 5 years"), kept.log.engine.begin() as connection:
            connection.execute(access_removals.insert(), row)

    def test_a_platforms_database_is_no_access_log(self, log_url: str) -> None:
        AccessLog.open(log_url).close()

        with pytest.raises(DatabaseUnusable, match="is an access log, and a platform's database is needed"):
            open_database(log_url)


class TestSeveralWriters:
    def test_threads_of_several_writers_wait_for_each_other(self, kept: Kept) -> None:
        writers = [kept.log.writer("viewer", clock=lambda: NOON) for _ in range(3)]

        def look(number: int) -> None:
            writer = writers[number % 3]
            (receipt,) = writer.record(intent())
            writer.record(outcome(receipt.id))

        with ThreadPoolExecutor(6) as threads:
            for done in [threads.submit(look, number) for number in range(30)]:
                done.result()

        assert len(kept.log.entries()) == 60
        kept.sign()
        found = kept.verify()
        assert (found.problems, found.writers, found.covered) == ([], 4, 60)

    def test_processes_write_to_one_log_and_what_a_killed_one_was_told_is_there(self, kept: Kept, log_url: str) -> None:
        """Each process prints an entry's id when `record` has returned; it is killed in the middle of its work."""
        program = (
            "import sys\n"
            "from tests.audit.access.logs import NOON, intent\n"
            "from rivta.audit.access.log import AccessLog\n"
            f"log = AccessLog.open({log_url!r})\n"
            "writer = log.writer('viewer', clock=lambda: NOON)\n"
            "while True:\n"
            "    for receipt in writer.record(intent(), intent()):\n"
            "        print(receipt.id, flush=True)\n"
        )
        processes = [
            subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)
        ]
        first = [process.stdout.readline() for process in processes for _ in range(20)]
        for process in processes:
            os.kill(process.pid, signal.SIGKILL)
        # Not `communicate`, which does not know what `readline` has read ahead.
        rest = [line for process in processes for line in process.stdout.read().splitlines(keepends=True)]
        for process in processes:
            process.stdout.close()
            process.wait(timeout=20)
        acknowledged = {line.strip() for line in first + rest if line.endswith("\n")}

        assert len(acknowledged) >= 40
        assert acknowledged <= {stored.id for stored in kept.log.entries()}
        kept.sign()
        assert kept.verify().problems == []


class TestReading:
    def test_a_patients_accesses_are_what_was_or_may_have_been_seen(self, kept: Kept) -> None:
        writer = kept.writer()
        shown, empty, failed, unanswered, _overview = writer.record(
            intent(information_set="shown"),
            intent(information_set="empty"),
            intent(information_set="failed"),
            intent(information_set="unanswered"),
            intent(information_set=""),
        )
        writer.record(
            outcome(shown.id, information_set="shown"),
            outcome(empty.id, information_set="empty", outcome=Outcome.EMPTY),
            outcome(failed.id, information_set="failed", outcome=Outcome.FAILED),
            intent(kind=Kind.REFUSED, information_set="refused"),
            intent(patient=NINA),
        )

        found = kept.log.accesses(TOLVAN, since=NOON, until=NOON + timedelta(hours=1), limit=100)

        assert [one.entry.information_set for one in found] == ["unanswered", "shown", "empty"]
        assert unanswered.id == found[0].id

    def test_a_period_holds_its_first_moment_and_not_its_last(self, kept: Kept) -> None:
        writer = kept.writer()
        first, second, third = (writer.record(intent())[0] for _ in range(3))

        found = kept.log.entries(since=first.time, until=third.time)

        assert [one.id for one in found] == [first.id, second.id]

    def test_entries_are_found_by_what_they_are_about(self, kept: Kept) -> None:
        writer = kept.writer()
        (look,) = writer.record(intent())
        writer.record(outcome(look.id), intent(reader=replace(NURSE, care_provider_id="SE5"), correlation_id="c-2"))

        assert len(kept.log.entries(about=[look.id])) == 1
        assert len(kept.log.entries(care_provider="SE5")) == 1
        assert len(kept.log.entries(correlation_id="c-1")) == 2
        assert len(kept.log.entries(kinds=[Kind.OUTCOME])) == 1
        assert len(kept.log.entries(limit=2)) == 2

    def test_the_newest_of_each_writer(self, kept: Kept) -> None:
        assert kept.log.heads() == {}
        one, other = kept.writer(), kept.writer()
        one.record(intent())
        last = [writer.record(intent())[0] for writer in (one, other)]

        heads = kept.log.heads()

        assert {(name, head.number, head.hash) for name, head in heads.items()} == {
            (one.name, 2, last[0].hash),
            (other.name, 1, last[1].hash),
        }
