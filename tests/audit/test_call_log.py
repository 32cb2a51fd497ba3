from dataclasses import replace
from datetime import timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from rivta.audit.call_log import CallLog, RecordedGap, insert_acceptable_rows, insert_gaps, row_of
from rivta.router.record import CallRecord, RecordedSource, RecordedViolation
from rivta.store.engine import writing
from tests.calls import DIAGNOSIS, NOON, REGIONAL, ROUTED, call

CONTACTS = "urn:riv:clinicalprocess:logistics:logistics:GetCareContactsResponder:3"
VIOLATION = RecordedViolation(message="request", line=12, path="/a/b[1]", reason="text of 5 letters is not a date")
SOURCE = RecordedSource("SE2321000016-KS", "DataFromSource", records=2, ms=12.5)
UNASKED = RecordedSource("SE2321000016-SÖS", "Filtered", "FT source system", "logical address X, VP007")


@pytest.fixture
def log(database: Engine) -> CallLog:
    return CallLog(database)


def ids(records: list[CallRecord]) -> list[str]:
    return [record.id for record in records]


class TestInsert:
    def test_every_field_comes_back(self, log: CallLog) -> None:
        record = replace(
            ROUTED,
            detail="åäö €",
            violations=(VIOLATION, VIOLATION),
            sources=(SOURCE, UNASKED),
            stored_request="r",
            stored_response="s",
            bytes_in=5_000_000_000,
        )
        log.insert([record])

        assert log.get(record.id) == [record]

    def test_what_is_unknown_comes_back_as_unknown(self, log: CallLog) -> None:
        record = CallRecord(id="x", time=NOON.isoformat(), platform="P", correlation_id="k", outcome="http-413")
        log.insert([record])

        assert log.get("x") == [record]

    def test_a_record_that_is_there_already_is_left_as_it_is(self, log: CallLog) -> None:
        assert log.insert([call(1), call(2)]) == 2

        assert log.insert([call(2, outcome="VP009"), call(3)]) == 1

        assert [(record.id, record.outcome) for record in log.search()] == [
            ("c3", "routed"),
            ("c2", "routed"),
            ("c1", "routed"),
        ]

    def test_any_spelling_of_an_instant_is_the_same_time(self, log: CallLog) -> None:
        log.insert([call(1, time="2026-11-24T13:00:00+01:00"), call(2, time="2026-11-24T12:00:00Z")])

        assert {record.time for record in log.search()} == {"2026-11-24T12:00:00+00:00"}

    def test_a_nul_that_one_database_cannot_hold_is_replaced_on_both(self, log: CallLog) -> None:
        log.insert([call(1, sender="a\0b")])

        assert log.get("c1")[0].sender == "a\ufffdb"

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"time": "noon"}, "time is not ISO 8601"),
            ({"time": 5}, "time is not ISO 8601"),
            ({"sender": "\udcff"}, "sender is not Unicode"),
            ({"http_status": "200"}, "http_status is of type str"),
            ({"outcome": None}, "outcome is of type NoneType"),
            ({"detail": ["x"]}, "detail is of type list"),
        ],
    )
    def test_a_record_that_is_none_is_refused_by_field_without_its_value(
        self, changes: dict[str, object], reason: str
    ) -> None:
        with pytest.raises(ValueError, match=reason):
            row_of(call(1, **changes))

    def test_what_the_database_itself_refuses_does_not_hold_up_the_others(self, database: Engine) -> None:
        rows = [row_of(call(number)) for number in range(5)]
        rows[3]["correlation_id"] = None

        with writing(database) as connection:
            refused = insert_acceptable_rows(connection, rows)

        assert list(refused) == ["c3"]
        assert ids(CallLog(database).search()) == ["c4", "c2", "c1", "c0"]


class TestSearch:
    @pytest.fixture(autouse=True)
    def calls(self, log: CallLog) -> None:
        log.insert(
            [
                call(1),
                call(2, sender="SE1-JOURNAL", outcome="VP007", correlation_id="other"),
                call(3, platform=REGIONAL, http_status=500),
                call(4, contract=CONTACTS, logical_address="SE9-OTHER", outcome="VP004"),
                call(5, contract=None, outcome="http-413"),
            ]
        )

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({}, ["c5", "c4", "c3", "c2", "c1"]),
            ({"limit": 2}, ["c5", "c4"]),
            ({"since": NOON + timedelta(seconds=3)}, ["c5", "c4", "c3"]),
            ({"until": NOON + timedelta(seconds=3)}, ["c2", "c1"]),
            ({"since": (NOON + timedelta(seconds=4)).astimezone(timezone(timedelta(hours=5)))}, ["c5", "c4"]),
            ({"correlation_id": "other"}, ["c2"]),
            ({"correlation_id_prefix": "oth"}, ["c2"]),
            ({"correlation_id_prefix": "OTH"}, []),
            ({"correlation_id_prefix": "o%"}, []),
            ({"sender": "SE1-JOURNAL"}, ["c2"]),
            ({"contract": DIAGNOSIS}, ["c3", "c2", "c1"]),
            ({"contract": "GetCareContacts:3"}, ["c4"]),
            ({"contract": "GetCareContacts"}, ["c4"]),
            ({"contract": "GetCareContacts:2"}, []),
            ({"contract": "CareContacts"}, []),
            ({"contract": "Get%"}, []),
            ({"logical_address": "SE9-OTHER"}, ["c4"]),
            ({"outcome": "VP007"}, ["c2"]),
            ({"outcome": "failed"}, ["c5", "c4", "c2"]),
            ({"outcome": "fault"}, ["c3"]),
            ({"outcome": "fault", "sender": "SE1-JOURNAL"}, []),
            ({"platform": REGIONAL}, ["c3"]),
            ({"outcome": "failed", "contract": DIAGNOSIS}, ["c2"]),
        ],
        ids=str,
    )
    def test_finds_what_matches_everything_newest_first(
        self, log: CallLog, filters: dict[str, object], expected: list[str]
    ) -> None:
        assert ids(log.search(**filters)) == expected  # type: ignore[arg-type]

    def test_a_time_without_zone_is_refused(self, log: CallLog) -> None:
        with pytest.raises(ValueError, match="has no zone"):
            log.search(since=NOON.replace(tzinfo=None))

    def test_a_correlation_id_gives_the_whole_trace_in_order(self, log: CallLog) -> None:
        assert ids(log.get(ROUTED.correlation_id)) == ["c1", "c3", "c4", "c5"]
        assert ids(log.get("c2")) == ["c2"]
        assert log.get("nobody") == []


class TestRetain:
    def test_what_is_older_goes_and_the_rest_stays(self, log: CallLog) -> None:
        log.insert([call(number) for number in range(10)])

        assert log.retain(NOON + timedelta(seconds=7)) == 7

        assert ids(log.search()) == ["c9", "c8", "c7"]

    def test_goes_on_until_all_of_it_is_gone(self, log: CallLog, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("rivta.audit.call_log._RETAIN_STEP", 3)
        log.insert([call(number) for number in range(10)])

        assert log.retain(NOON + timedelta(days=1)) == 10


def test_a_gap_is_kept_once(database: Engine) -> None:
    gap = RecordedGap(
        id="w-b-0-dropped", time=NOON, writer="w", boot="b", sequence=0, kind="dropped", missing=3, detail="full"
    )
    for _ in range(2):
        with writing(database) as connection:
            insert_gaps(connection, [gap, gap])

    assert CallLog(database).gaps() == [gap]
    assert CallLog(database).gaps(since=NOON + timedelta(seconds=1)) == []


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(
    record=st.builds(
        replace,
        st.just(ROUTED),
        id=st.text("abc", min_size=1, max_size=8),
        sender=st.none() | TEXT,
        detail=TEXT,
        elapsed_ms=st.floats(0, 1e6),
        producer_ms=st.none() | st.floats(0, 1e6),
        bytes_in=st.integers(0, 2**62),
        violations=st.lists(st.builds(RecordedViolation, TEXT, st.integers(0, 10**6), TEXT, TEXT), max_size=3).map(
            tuple
        ),
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_log_gives_back_any_record_as_it_was(database: Engine, record: CallRecord) -> None:
    log = CallLog(database)
    log.retain(NOON + timedelta(days=1))
    log.insert([record])

    assert log.get(record.id) == [record]


class TestCounts:
    def test_calls_are_counted_by_sender_contract_and_address(self, log: CallLog) -> None:
        log.insert([call(1), call(2), call(3, sender="other"), call(4, contract=CONTACTS)])

        counted = {(one.sender, one.contract): (one.number, one.first, one.last) for one in log.counts()}

        second = timedelta(seconds=1)
        assert counted == {
            (ROUTED.sender, DIAGNOSIS): (2, NOON + second, NOON + 2 * second),
            ("other", DIAGNOSIS): (1, NOON + 3 * second, NOON + 3 * second),
            (ROUTED.sender, CONTACTS): (1, NOON + 4 * second, NOON + 4 * second),
        }

    def test_only_the_newest_or_those_since_a_time_are_counted(self, log: CallLog) -> None:
        log.insert([call(number) for number in range(10)])

        assert [one.number for one in log.counts(newest=3)] == [3]
        assert [one.number for one in log.counts(since=NOON + timedelta(seconds=6))] == [4]
        assert log.counts(since=NOON + timedelta(seconds=60)) == []

    def test_calls_of_nobody_known_are_left_out(self, log: CallLog) -> None:
        log.insert([call(1, sender=None), call(2, contract=None), call(3, logical_address=None), call(4)])

        assert [one.number for one in log.counts()] == [1]

    def test_the_oldest_call_tells_how_far_the_log_reaches(self, log: CallLog) -> None:
        assert log.oldest() is None

        log.insert([call(5), call(2)])

        assert log.oldest() == NOON + timedelta(seconds=2)
