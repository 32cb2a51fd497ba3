"""Dates of other catalogues, read and written."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.catalogue.exchange.dates import (
    ALWAYS,
    FOREVER,
    read_bound,
    write_bound,
    write_json_bound,
)
from rivta.catalogue.rows import Bound, closes, opens

DAYS = st.dates(ALWAYS + timedelta(days=1), FOREVER - timedelta(days=1))
OFFSETS = st.integers(-12, 14).map(lambda hours: timezone(timedelta(hours=hours)))
INSTANTS = st.builds(
    lambda moment, zone: moment.replace(microsecond=0, tzinfo=zone),
    st.datetimes(datetime(1901, 1, 1), datetime(2900, 1, 1)),  # noqa: DTZ001 - the zone is drawn beside
    OFFSETS,
)
BOUNDS: st.SearchStrategy[Bound | None] = st.none() | DAYS | INSTANTS


def limit(bound: Bound | None, *, is_end: bool) -> datetime | None:
    return closes(bound) if is_end else opens(bound)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2024-06-30T00:00:00.000", date(2024, 6, 30), date(2024, 6, 30)),
        ("2024-06-30", date(2024, 6, 30), date(2024, 6, 30)),
        ("2024-06-30T23:59:59.999", datetime(2024, 6, 30, 21, 59, 59, 999000, UTC), date(2024, 6, 30)),
        ("2024-06-30T12:00:00", datetime(2024, 6, 30, 10, tzinfo=UTC), datetime(2024, 6, 30, 10, tzinfo=UTC)),
        ("2024-06-30T00:00:00+02:00", date(2024, 6, 30), datetime(2024, 6, 29, 22, tzinfo=UTC)),
        ("2024-06-30T00:00:00Z", datetime(2024, 6, 30, tzinfo=UTC), datetime(2024, 6, 30, tzinfo=UTC)),
        ("2024-06-30T23:59:59.999+02:00", datetime(2024, 6, 30, 21, 59, 59, 999000, UTC), date(2024, 6, 30)),
        ("1900-01-01T00:00:00.000", None, date(1900, 1, 1)),
        ("2999-12-31T00:00:00.000", date(2999, 12, 31), None),
    ],
)
def test_a_time_is_a_whole_swedish_day_where_it_says_one(text: str, first: Bound | None, last: Bound | None) -> None:
    assert read_bound(text, is_end=False) == first
    assert read_bound(text, is_end=True) == last


def test_as_the_incumbents_routers_read_it_a_day_is_fourteen_hours_wider_in_utc() -> None:
    """tak-behaviour section 5.1: in winter open from 11:00 the day before, closed at 15:00 on the last day."""
    first = read_bound("2024-01-10T00:00:00.000", is_end=False, tak_dates=True)
    last = read_bound("2024-01-20T00:00:00.000", is_end=True, tak_dates=True)
    assert (first, last) == (datetime(2024, 1, 9, 10, tzinfo=UTC), datetime(2024, 1, 20, 14, tzinfo=UTC))


def test_a_source_that_keeps_days_writes_them_in_whatever_zone_it_runs_in() -> None:
    for text in ("2024-06-30T00:00:00+0200", "2024-06-30T00:00:00+0000"):
        assert read_bound(text, is_end=True, keeps_days=True) == date(2024, 6, 30)


@pytest.mark.parametrize(
    "text", ["", "24-01-01", "20240101", "2024-13-01", "2024-01-01T25:00:00", "1800-01-01", "2024-W01-1", "２024-01-01"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not|must be"):
        read_bound(text, is_end=False)


@given(BOUNDS, st.booleans(), st.booleans())
def test_what_is_written_is_read_as_the_same_time(bound: Bound | None, is_end: bool, is_zoned: bool) -> None:
    again = read_bound(write_bound(bound, is_end=is_end, is_zoned=is_zoned), is_end=is_end)
    if not isinstance(bound, datetime):
        assert again == bound
    elif (one := limit(again, is_end=is_end)) is not None:
        # The last minute of a Swedish day is taken for all of it.
        assert abs(one - bound) <= timedelta(minutes=1)


@given(BOUNDS, st.booleans())
def test_what_is_written_in_json_is_read_as_the_same_time(bound: Bound | None, is_end: bool) -> None:
    text = write_json_bound(bound, is_end=is_end)
    again = read_bound(text, is_end=is_end, keeps_days=True)
    if not isinstance(bound, datetime):
        assert again == bound
    elif (one := limit(again, is_end=is_end)) is not None:
        assert abs(one - bound) <= timedelta(minutes=1)
