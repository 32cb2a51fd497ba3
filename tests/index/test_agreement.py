"""What a source announces against what it answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.index.agreement import Answered, Kind, difference

TIMES = st.one_of(st.none(), st.sampled_from(["20240101000000", "20250101000000", "20260101000000"]))


def kind(answered: Answered, *, announced: str | None = None, is_announced: bool = True) -> Kind | None:
    found = difference("S", "C", "P", is_announced=is_announced, announced=announced, answered=answered)
    return None if found is None else found.kind


@pytest.mark.parametrize(
    ("answered", "announced", "is_announced", "expected"),
    [
        (Answered(2, "20250101000000"), "20250101000000", True, None),
        (Answered(2, "20240101000000"), "20250101000000", True, None),
        (Answered(2, "20260101000000"), "20250101000000", True, Kind.STALE),
        (Answered(2), "20250101000000", True, None),
        (Answered(2, "20260101000000"), None, True, None),
        (Answered(2), None, False, Kind.NOT_ANNOUNCED),
        (Answered(0), None, False, None),
        (Answered(0), "20250101000000", True, Kind.NO_DATA),
        (Answered(failure="504"), "20250101000000", True, Kind.UNANSWERED),
        (Answered(failure="504"), None, False, Kind.UNANSWERED),
    ],
)
def test_each_way_to_differ(
    answered: Answered, announced: str | None, is_announced: bool, expected: Kind | None
) -> None:
    assert kind(answered, announced=announced, is_announced=is_announced) is expected


@given(records=st.integers(0, 3), newest=TIMES, announced=TIMES, is_announced=st.booleans())
def test_records_and_announcement_go_together_or_there_is_a_difference(
    records: int, newest: str | None, announced: str | None, is_announced: bool
) -> None:
    found = kind(Answered(records, newest), announced=announced, is_announced=is_announced)
    if bool(records) is not is_announced:
        assert found in (Kind.NO_DATA, Kind.NOT_ANNOUNCED)
    else:
        assert found in (None, Kind.STALE)


def test_whom_it_is_about_is_in_no_printed_value() -> None:
    found = difference("S", "C", "191212121212", is_announced=True, announced=None, answered=Answered())
    assert "191212121212" not in repr(found)
