import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.index.engagement import FIELDS, Engagement, read_timestamp, timestamp
from tests.index.built import NOON, NOON_WRITTEN, ROW, TOLVAN, row

# Section 3.1 of the behaviour read from SKLTP's EI: nine fields in this order, nothing between them, UTF-8.
KEY = "".join(
    (
        TOLVAN,
        "riv:clinicalprocess:healthcond:description",
        "dia",
        "SE2321000016-KS",
        "NA",
        "SE2321000016-TC-KS",
        "SE2321000016",
        "SE2321000016-RTP",
        "NA",
    )
)


def test_the_id_is_the_incumbents_hash_of_the_key() -> None:
    assert ROW.id == hashlib.sha256(KEY.encode()).hexdigest()


@pytest.mark.parametrize("name", ["most_recent_content", "creation_time", "update_time"])
def test_times_are_no_part_of_the_key(name: str) -> None:
    assert row(**{name: "20260101000000"}).id == ROW.id


@pytest.mark.parametrize("name", [field.name for field in FIELDS if field.mandatory or field.name == "owner"])
def test_every_other_field_is(name: str) -> None:
    assert row(**{name: "other"}).id != ROW.id


def test_whom_it_is_about_stands_in_no_log() -> None:
    assert TOLVAN not in repr(ROW)


def test_the_fields_are_those_of_the_engagement() -> None:
    assert [field.name for field in FIELDS] == [*Engagement.__dataclass_fields__]


def test_times_are_written_in_swedish_time() -> None:
    assert timestamp(NOON) == NOON_WRITTEN


@given(st.datetimes(datetime(1000, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_time_comes_back_to_the_second_or_as_the_first_of_the_two_it_may_mean(moment: datetime) -> None:
    back = read_timestamp(timestamp(moment))
    assert timestamp(back) == timestamp(moment)
    assert moment - back < timedelta(hours=1, seconds=1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026",
        "20261301000000",
        "2026-11-24T12:00",
        " 2026112412000",
        "00010101000000",
        "２０２６１１２４１２００００",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_timestamp(text)
