"""Days of validity, and names."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.catalogue.rows import Resolution, closes, opens
from tests.catalogue.tables import DIAGNOSIS, PING


@pytest.mark.parametrize(
    ("day", "first", "after"),
    [
        (date(2024, 1, 31), datetime(2024, 1, 30, 23, tzinfo=UTC), datetime(2024, 1, 31, 23, tzinfo=UTC)),
        (date(2024, 7, 1), datetime(2024, 6, 30, 22, tzinfo=UTC), datetime(2024, 7, 1, 22, tzinfo=UTC)),
        (date(2024, 3, 31), datetime(2024, 3, 30, 23, tzinfo=UTC), datetime(2024, 3, 31, 22, tzinfo=UTC)),
        (date(2024, 10, 27), datetime(2024, 10, 26, 22, tzinfo=UTC), datetime(2024, 10, 27, 23, tzinfo=UTC)),
    ],
    ids=["winter", "summer", "the day of 23 hours", "the day of 25 hours"],
)
def test_a_whole_day_is_from_midnight_to_midnight_in_swedish_time(day: date, first: datetime, after: datetime) -> None:
    assert opens(day) == first
    assert closes(day) == after


def test_a_time_with_offset_is_the_instant_itself() -> None:
    noon = datetime(2024, 1, 1, 12, tzinfo=timezone(timedelta(hours=1)))
    assert opens(noon) == closes(noon) == datetime(2024, 1, 1, 11, tzinfo=UTC)


def test_the_last_day_of_the_calendar_is_never() -> None:
    assert closes(date(9999, 12, 31)) is None


@given(st.dates(min_value=date(1900, 1, 1), max_value=date(9999, 12, 30)))
def test_a_row_ending_one_day_and_another_beginning_the_next_leave_no_gap(day: date) -> None:
    assert closes(day) == opens(day + timedelta(days=1))


def test_an_excepted_prefix_inverts_the_setting_of_its_kind() -> None:
    rules = Resolution(climb_routes=True, climb_permissions=False, climb_except=("urn:riv:clinicalprocess:healthcond",))
    assert not rules.climbs_for_routes(DIAGNOSIS)
    assert rules.climbs_for_permissions(DIAGNOSIS)
    assert rules.climbs_for_routes(PING)
    assert not rules.climbs_for_permissions(PING)
