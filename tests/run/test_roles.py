"""Back-off as a rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.run.roles import Backoff


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8), (5, 1.6), (6, 3.2), (7, 5.0), (1000, 5.0)]
)
def test_the_wait_doubles_up_to_five_seconds(failures: int, seconds: float) -> None:
    assert Backoff().delay(failures) == pytest.approx(seconds)


@given(st.integers(1, 10_000))
def test_the_wait_never_shrinks_and_never_passes_its_bound(failures: int) -> None:
    backoff = Backoff()
    assert backoff.delay(failures) <= backoff.delay(failures + 1) <= backoff.longest_seconds
