"""A call's record as the line of JSON that spools, the database and replay exchange."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.router.record import CallRecord, RecordedSource, RecordedViolation
from tests.calls import ROUTED, call

VIOLATION = RecordedViolation("request", 3, "/a/b", "is not an integer")
SOURCE = RecordedSource("SE1-A", "NoDataSynchFailed", "504", "Read timed out", ms=27_000.0)
FILLED = dataclasses.replace(
    ROUTED, violations=(VIOLATION, VIOLATION), detail="a\nb", stored_request="blob/1", sources=(SOURCE,)
)


def test_a_record_is_one_line_with_every_field():
    text = FILLED.to_json()
    assert "\n" not in text
    assert set(json.loads(text)) == {field.name for field in dataclasses.fields(CallRecord)}


def test_what_was_written_is_read():
    assert CallRecord.from_json(FILLED.to_json()) == FILLED


@given(detail=st.text(), elapsed=st.floats(0, 1e6), status=st.integers(0, 599))
def test_whatever_it_holds(detail, elapsed, status):
    record = call(1, detail=detail, elapsed_ms=elapsed, http_status=status)
    assert CallRecord.from_json(record.to_json()) == record


def test_fields_of_a_newer_version_are_left_out():
    fields = json.loads(FILLED.to_json()) | {"invented_later": 1}
    assert CallRecord.from_json(json.dumps(fields)) == FILLED


def test_fields_of_an_older_version_may_be_missing():
    fields = {name: getattr(ROUTED, name) for name in ("id", "time", "platform", "correlation_id", "outcome")}
    assert CallRecord.from_json(json.dumps(fields)).violations == ()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"id": "1"}', '{"violations": [{"no": 1}]}', "\xff"])
def test_what_is_no_record_is_refused(text):
    with pytest.raises(ValueError):
        CallRecord.from_json(text)
