"""Validity as people write it."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.catalogue.as_json import bound_text
from rivta.catalogue.rows import closes, opens


@given(st.dates(min_value=date(1900, 1, 1), max_value=date(9999, 12, 30)))
def test_a_whole_day_comes_out_as_it_was_written(day: date) -> None:
    assert bound_text(opens(day)) == day.isoformat()
    assert bound_text(closes(day), is_end=True) == day.isoformat()


@pytest.mark.parametrize("is_end", [False, True])
def test_a_time_comes_out_in_utc(is_end: bool) -> None:
    noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    assert bound_text(noon, is_end=is_end) == "2024-01-01T12:00:00+00:00"
    assert bound_text(noon + timedelta(microseconds=1)) == "2024-01-01T12:00:00.000001+00:00"


def test_no_bound_is_none() -> None:
    assert bound_text(None) is None
