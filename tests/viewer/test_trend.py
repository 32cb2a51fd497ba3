"""The small picture of a value over time."""

from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rivta.viewer.records import About, LabResult, LabValue, Moment, number_of
from rivta.viewer.trend import HEIGHT, WIDTH, trends


def result(day: int, value: str, *, low: float | None = 60, high: float | None = 105, **about: Any) -> LabResult:
    time = Moment(datetime(2025, 1, day), True)  # noqa: DTZ001 - as journals have times
    one = LabValue("NPU1", "Kreatinin", value, "µmol/L", low, high, "", "", "", time)
    return LabResult(About(f"d{day}", "", time, **about), "", "", "", (one,))


def test_the_newest_value_is_to_the_right_and_a_higher_one_further_up() -> None:
    (drawn,) = trends([result(9, "120"), result(1, "80")])
    (x1, y1), (x2, y2) = drawn.points
    assert x1 < x2
    assert y1 > y2
    assert drawn.band is not None
    assert drawn.words == "2025-01-01 80; 2025-01-09 120"


def test_one_value_or_words_draw_nothing() -> None:
    assert trends([result(1, "80"), result(2, "negativ"), result(3, "nan")]) == ()


def test_a_nullified_result_is_not_drawn() -> None:
    assert trends([result(1, "80"), result(2, "90", is_nullified=True)]) == ()


def test_an_interval_of_one_end_has_no_band() -> None:
    (drawn,) = trends([result(1, "80", low=None), result(2, "90", low=None)])
    assert drawn.band is None


@given(st.lists(st.tuples(st.integers(1, 28), st.floats(-1e11, 1e11)), min_size=2, max_size=9))
def test_the_picture_keeps_within_its_edges(measured: list[tuple[int, float]]) -> None:
    for one in trends(result(day, str(value)) for day, value in measured):
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in one.points)


@given(st.text(max_size=20))
def test_any_text_is_a_number_or_none(text: str) -> None:
    number = number_of(text)
    assert number is None or abs(number) < 1e12
