"""GetAccessLogsForPatient on the wire: every result code, and only the patient's own looks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from sqlalchemy import insert, text

from rivta.audit.access.entry import EMERGENCY_ACCESS, Kind, Outcome
from rivta.audit.access.log import AccessLog
from rivta.audit.access.reports import MOST_ROWS, Limits, Reports
from rivta.run.services.access_logs import PatientLog, access_logs, online_since
from rivta.run.services.server import application
from rivta.soap import namespaces
from rivta.soap.wsgi import HttpRequest, call
from rivta.store.access_schema import access_entries
from rivta.store.engine import DatabaseUnusable
from tests.audit.access.conftest import empty_log, sqlite_url
from tests.audit.access.logs import DOCTOR, NINA, TOLVAN, Kept, intent, outcome
from tests.run.services.served import catalogue, children, message, payload_of

__all__ = ["empty_log", "sqlite_url"]

NOW = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)
CONSUMER = "SE2321000016-1177"
ALL = ("2026-01-01T00:00:00", "2026-12-31T23:59:59")


class Source:
    """A log source: its log, and its service with what a test wants otherwise."""

    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        self.kept.now = NOW - timedelta(hours=1)
        self.now = NOW
        self.writer = kept.writer()
        self.trusted: tuple[str, ...] = ()
        self.reports = self.new_reports()

    def new_reports(self, **limits: Any) -> Reports:
        return Reports(
            self.kept.log,
            clock=lambda: self.now,
            earliest=online_since,
            limits=Limits(**{"patience_seconds": 5, **limits}),
        )

    def look(self, patient: str = TOLVAN, **fields: Any) -> None:
        (receipt,) = self.writer.record(intent(patient))
        self.writer.record(outcome(receipt.id, patient, **fields))

    def ask(
        self,
        patient: str = TOLVAN,
        since: str = ALL[0],
        until: str = ALL[1],
        report: str = "",
        consumer: str = CONSUMER,
    ) -> etree._Element:
        """The result block."""
        fields = {"PatientId": patient, "FromDate": since, "ToDate": until, "QueuedReportId": report}
        elements = "".join(f"<r:{name}>{value}</r:{name}>" for name, value in fields.items() if value)
        ns = namespaces.GET_ACCESS_LOGS_FOR_PATIENT_1
        payload = f'<r:GetAccessLogsForPatientRequest xmlns:r="{ns}">{elements}</r:GetAccessLogsForPatientRequest>'
        log = PatientLog(lambda: self.reports, lambda: self.now, self.trusted)
        served = application(catalogue(None), others={ns: access_logs(log)})
        request = HttpRequest(
            "POST", "/", body=message(payload), headers=(("x-rivta-original-serviceconsumer-hsaid", consumer),)
        )
        answer = call(served, request)
        assert answer.status == 200
        (block,) = payload_of(answer.body)
        return block


@pytest.fixture
def source(sqlite_url: str, tmp_path: Path) -> Iterator[Source]:
    log = AccessLog.open(sqlite_url)
    made = Source(Kept(log, tmp_path))
    yield made
    made.reports.close()
    log.close()


def code(block: etree._Element) -> str:
    return block.findtext("{*}Result/{*}ResultCode") or ""


def said(block: etree._Element) -> str:
    return block.findtext("{*}Result/{*}ResultText") or ""


def logs(block: etree._Element) -> list[dict[str, str]]:
    return [dict(children(one)) for one in block.iter("{*}AccessLog")]


class TestTheAnswer:
    def test_a_look_is_told_with_who_where_when_why_and_what(self, source: Source) -> None:
        source.look()

        block = source.ask()

        assert (code(block), said(block)) == ("OK", "1 händelse")
        assert logs(block) == [
            {
                "CareProviderId": "SE2321000016",
                "CareProviderName": "Region Stockholm",
                "CareUnitId": "SE2321000016-KS-KARD",
                "CareUnitName": "Hjärtmottagningen, Karolinska",
                "AccessDate": "2026-11-24T12:00:32.000+01:00",
                "Purpose": "Vård och behandling",
                "ResourceType": "Diagnoser",
            }
        ]

    def test_nobody_elses_looks_are_told(self, source: Source) -> None:
        source.look()
        source.look(NINA)

        assert len(logs(source.ask())) == 1
        assert len(logs(source.ask(NINA))) == 1
        assert logs(source.ask("199001012385")) == []

    def test_a_log_without_looks_is_a_good_answer_with_an_empty_list(self, source: Source) -> None:
        block = source.ask()

        assert (code(block), said(block)) == ("OK", "0 händelser")
        assert block.find("{*}AccesssLogs") is not None

    def test_an_emergency_and_a_look_of_which_nobody_knows_the_end_are_marked(self, source: Source) -> None:
        source.look(consent=EMERGENCY_ACCESS)
        source.writer.record(intent(information_set="V" * 60))

        assert [one["ResourceType"] for one in logs(source.ask())] == [
            "Diagnoser (nödåtkomst)",
            "V" * 33 + " (okänt om visat)",
        ]

    def test_what_was_refused_or_failed_is_no_look(self, source: Source) -> None:
        source.look(outcome=Outcome.FAILED)
        source.writer.record(intent(kind=Kind.REFUSED), intent(kind=Kind.BLOCKED), intent(kind=Kind.CONSENT))

        assert logs(source.ask()) == []

    def test_hostile_text_is_text_and_what_xml_cannot_hold_is_replaced(self, source: Source) -> None:
        source.look(reader=replace(DOCTOR, unit_name="<b>&]]>\x01"))

        assert logs(source.ask())[0]["CareUnitName"] == "<b>&]]>\ufffd"

    def test_the_interval_is_told_in_swedish_time(self, source: Source) -> None:
        block = source.ask(since="2026-07-01T00:00:00Z", until="2026-07-31T23:59:59")

        assert block.findtext("{*}Result/{*}StartInterval") == "2026-07-01T02:00:00.000+02:00"
        assert block.findtext("{*}Result/{*}EndInterval") == "2026-07-31T23:59:59.999+02:00"


class TestTheTime:
    @pytest.mark.parametrize(
        ("since", "until", "found"),
        [
            ("2026-11-24T12:00:32", "2026-11-24T12:00:32", 1),
            ("2026-11-24T11:00:32Z", "2026-11-24T12:00:32+01:00", 1),
            ("2026-11-24T12:00:33", "2026-11-24T13:00:00", 0),
            ("2026-11-24T00:00:00", "2026-11-24T12:00:31", 0),
            ("2026-11-24T12:00:32.000001", "2026-11-24T13:00:00", 0),
        ],
    )
    def test_both_ends_are_included(self, source: Source, since: str, until: str, found: int) -> None:
        source.look()

        assert len(logs(source.ask(since=since, until=until))) == found

    def test_of_the_hour_that_comes_twice_both_are_meant(self, source: Source) -> None:
        block = source.ask(since="2026-10-25T02:30:00", until="2026-10-25T02:30:00")

        assert block.findtext("{*}Result/{*}StartInterval") == "2026-10-25T02:30:00.000+02:00"
        assert block.findtext("{*}Result/{*}EndInterval") == "2026-10-25T02:30:00.999+01:00"

    def test_the_log_is_read_eighteen_months_back_and_says_so(self, source: Source) -> None:
        for time in (datetime(2025, 5, 23, 21, 59, tzinfo=UTC), datetime(2025, 5, 23, 22, 0, tzinfo=UTC)):
            source.kept.now = time
            source.look()

        block = source.ask(since="2020-01-01T00:00:00")

        assert code(block) == "INFO"
        assert "18 månader" in said(block)
        assert block.findtext("{*}Result/{*}StartInterval") == "2025-05-24T00:00:00.000+02:00"
        assert len(logs(block)) == 1

    @pytest.mark.parametrize(
        ("now", "since"),
        [
            (datetime(2026, 8, 31, 12, tzinfo=UTC), "2025-02-28T00:00:00+01:00"),
            (datetime(2025, 8, 30, 12, tzinfo=UTC), "2024-02-28T00:00:00+01:00"),
            (datetime(2026, 1, 1, 12, tzinfo=UTC), "2024-07-01T00:00:00+02:00"),
        ],
    )
    def test_eighteen_months_before_a_day_that_is_not_there(self, now: datetime, since: str) -> None:
        assert online_since(now).isoformat() == since


class TestWhatIsNotRight:
    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"patient": ""}, "PatientId: Skriv ett personnummer"),
            ({"patient": "191212121213"}, "PatientId: Kontrollsiffran"),
            ({"since": ""}, "FromDate saknas"),
            ({"until": ""}, "ToDate saknas"),
            ({"since": "2026-01-01"}, "FromDate är ingen tidpunkt"),
            ({"since": "20260101T000000"}, "FromDate är ingen tidpunkt"),
            ({"until": "2026-02-30T00:00:00"}, "ToDate är ingen tidpunkt"),
            ({"until": "9999-12-31T23:59:59Z"}, "ToDate är ingen tidpunkt"),
            ({"since": "0001-01-01T00:00:00+14:00"}, "FromDate är ingen tidpunkt"),
            ({"since": "2026-12-01T00:00:00", "until": "2026-01-01T00:00:00"}, "ToDate ligger före FromDate"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_a_question_that_is_not_right_is_told_why(
        self, source: Source, fields: dict[str, str], reason: str
    ) -> None:
        block = source.ask(**fields)

        assert code(block) == "VALIDATION_ERROR"
        assert reason in said(block)
        assert block.find("{*}AccesssLogs") is None

    def test_a_consumer_that_has_not_made_sure_who_the_patient_is_learns_nothing(self, source: Source) -> None:
        source.look()
        source.trusted = (CONSUMER,)

        assert code(source.ask()) == "OK"
        block = source.ask(consumer="SE1-OTHER")
        assert (code(block), logs(block)) == ("ACCESSDENIED", [])

    def test_more_looks_than_an_answer_holds_ask_for_a_shorter_time(self, source: Source) -> None:
        source.look()
        (row,) = [row for row in source.kept.log.rows() if row["kind"] == "outcome"]
        with source.kept.log.engine.begin() as connection:
            many = [row | {"writer": "many", "number": number} for number in range(1, MOST_ROWS)]
            connection.execute(insert(access_entries), many)
        assert len(logs(source.ask())) == MOST_ROWS

        source.look()

        block = source.ask()
        assert (code(block), logs(block)) == ("MAX_QUERY_RESULT_EXCEEDED", [])

    def test_a_log_that_cannot_be_read_is_an_error_without_its_reason(self, source: Source) -> None:
        with source.kept.log.engine.begin() as connection:
            connection.execute(text("DROP TABLE access_entries"))

        block = source.ask()

        assert (code(block), said(block)) == ("ERROR", "Åtkomstloggen kan inte läsas just nu. Försök igen senare.")

    def test_a_log_that_cannot_be_opened_is_too(self, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
        def closed(*_: object) -> None:
            raise DatabaseUnusable("cannot open postgresql://rivta@log/access")

        with monkeypatch.context() as patch:
            patch.setattr(Reports, "ask", closed)
            block = source.ask()

        assert (code(block), said(block)) == ("ERROR", "Åtkomstloggen kan inte läsas just nu. Försök igen senare.")


class TestQueue:
    @pytest.fixture
    def slow(self, source: Source, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
        """The log answers when the event is set."""
        going, accesses = threading.Event(), AccessLog.accesses

        def waiting(*arguments: Any, **named: Any) -> Any:
            assert going.wait(30)
            return accesses(*arguments, **named)

        source.reports.close()
        source.reports = source.new_reports(patience_seconds=0.01)
        with monkeypatch.context() as patch:
            patch.setattr(AccessLog, "accesses", waiting)
            yield going
            going.set()
            source.reports.close()

    def test_a_report_that_takes_time_is_fetched_by_its_id(self, source: Source, slow: threading.Event) -> None:
        source.look()
        first = source.ask()
        id = first.findtext("{*}Result/{*}QueuedReportId") or ""
        assert code(first) == "REPORT_IN_PROCESS"
        assert (len(id), first.findtext("{*}Result/{*}QueueTime")) == (36, "5")
        assert code(source.ask(report=id)) == "REPORT_IN_PROCESS"

        slow.set()
        source.reports._jobs[id].result.result(30)

        block = source.ask(report=id)
        assert (code(block), len(logs(block))) == ("OK", 1)
        assert block.findtext("{*}Result/{*}QueuedReportId") == id
        assert code(source.ask(report=id)) == "OK", "an answer that was lost on the way is fetched again"

    def test_reports_wait_their_turn(self, source: Source, slow: threading.Event) -> None:
        assert [code(source.ask()) for _ in range(3)] == ["REPORT_IN_PROCESS", "REPORT_IN_PROCESS", "REPORT_ON_QUEUE"]

    def test_without_its_id_another_report_is_begun(self, source: Source, slow: threading.Event) -> None:
        ids = {source.ask().findtext("{*}Result/{*}QueuedReportId") for _ in range(2)}

        assert len(ids) == 2

    def test_another_node_answers_too_and_with_what_stood_there_when_it_was_asked(
        self, source: Source, slow: threading.Event
    ) -> None:
        source.look()
        id = source.ask().findtext("{*}Result/{*}QueuedReportId") or ""
        source.kept.now = source.now = NOW + timedelta(minutes=10)
        source.look()
        slow.set()
        source.reports.close()
        source.reports = source.new_reports()

        block = source.ask(report=id)

        assert (code(block), len(logs(block))) == ("OK", 1)

    @pytest.mark.parametrize(
        "otherwise",
        [
            {"patient": NINA},
            {"since": "2026-02-01T00:00:00"},
            {"until": "2026-11-01T00:00:00"},
            {"consumer": "SE1-OTHER"},
            {"report": "6d7a2f90-9a0e-4f5e-8f51-0a9f3a4c2f11"},
            {"report": "' OR 1=1 --"},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("node", ["same", "other"])
    def test_a_report_is_fetched_only_by_whoever_asked_for_it(
        self, source: Source, slow: threading.Event, otherwise: dict[str, str], node: str
    ) -> None:
        id = source.ask().findtext("{*}Result/{*}QueuedReportId") or ""
        slow.set()
        if node == "other":
            source.reports.close()
            source.reports = source.new_reports()

        block = source.ask(**{"report": id, **otherwise})

        assert (code(block), logs(block)) == ("REPORT_NOT_FOUND", [])

    @pytest.mark.parametrize("node", ["same", "other"])
    def test_a_report_that_nobody_fetches_for_an_hour_is_gone(
        self, source: Source, slow: threading.Event, node: str
    ) -> None:
        id = source.ask().findtext("{*}Result/{*}QueuedReportId") or ""
        slow.set()
        if node == "other":
            source.reports.close()
            source.reports = source.new_reports()
        source.now = NOW + timedelta(hours=1, seconds=1)

        assert code(source.ask(report=id)) == "REPORT_NOT_FOUND"

    def test_questions_are_only_so_many(self, source: Source, slow: threading.Event) -> None:
        source.reports.close()
        source.reports = source.new_reports(patience_seconds=0.01, jobs=2)

        blocks = [source.ask() for _ in range(3)]

        assert [code(block) for block in blocks] == ["REPORT_IN_PROCESS", "REPORT_IN_PROCESS", "ERROR"]
        assert "För många frågor" in said(blocks[-1])

    def test_questions_in_the_database_are_only_so_many(self, source: Source, slow: threading.Event) -> None:
        source.reports.close()
        source.reports = source.new_reports(patience_seconds=0.01, waiting=1)

        assert [code(source.ask()) for _ in range(2)] == ["REPORT_IN_PROCESS", "ERROR"]

    def test_answers_that_are_held_are_only_so_many(self, source: Source) -> None:
        source.reports.close()
        source.reports = source.new_reports(held_rows=2, jobs=10)
        for _ in range(2):
            source.look()
        for _ in range(4):
            assert code(source.ask()) == "OK"

        assert sum(len(job.result.result()) for job in source.reports._jobs.values()) <= 4
