"""Personal numbers replaced by official test numbers."""

import re
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rivta.soap.person_ids import check_digit
from rivta.testing.persons import Persons, is_test_number

DATES = st.dates(date(1900, 1, 1), date(2025, 12, 31))


def number(born: date, rest: int, *, coordination: bool = False) -> str:
    digits = f"{born:%y%m}{born.day + 60 * coordination:02}{rest:03}"
    return f"{born:%Y}"[:2] + digits + check_digit(digits)


NUMBERS = st.builds(
    number, DATES, st.integers(0, 999).filter(lambda one: one not in (238, 239, 980, 981)), coordination=st.booleans()
)


@settings(max_examples=40)
@given(st.lists(NUMBERS, max_size=6))
def test_no_personal_number_is_left_and_the_same_becomes_the_same(numbers) -> None:
    persons = Persons()
    text = " ".join(f"<id>{one}</id><id>{one[2:8]}-{one[8:]}</id>" for one in numbers)
    hidden = persons.hidden(text)
    found = re.findall(r"<id>(\d{12})</id><id>(\d{6})-(\d{4})</id>", hidden)
    assert all(is_test_number(long[2:]) and long[2:] == first + last for long, first, last in found)
    assert len({one[0] for one in found}) == len({one[2:] for one in numbers}) == persons.replaced
    assert not any(one in hidden for one in numbers)


@settings(max_examples=40)
@given(st.text("0123456789-+T abc", max_size=40))
def test_what_is_hidden_stays_as_it_is(text) -> None:
    persons = Persons()
    hidden = persons.hidden(text)
    assert persons.hidden(hidden) == hidden


@settings(max_examples=40)
@given(NUMBERS)
def test_sex_and_kind_of_number_are_kept(one) -> None:
    hidden = Persons().hidden(one)
    assert int(hidden[10]) % 2 == int(one[10]) % 2
    assert (int(hidden[6:8]) > 60) == (int(one[6:8]) > 60)


@pytest.mark.parametrize(
    "text",
    [
        "191212121212",
        "199001012385",
        "19900101-2385",
        "900101-2385",
        "197010632391",
        "5565594230",
        "SE2321000016-KS",
        "20261124120000",
        "2026-11-24T12:00:00",
        "1.2.752.129.2.1.3.1",
        "SE2321000016-DS:20230105-7781",
        "<id>note 20230105-7781</id>",
    ],
)
def test_test_numbers_and_what_is_no_personal_number_stay(text) -> None:
    assert Persons().hidden(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "199001012387",
        "900101-A12B",
        "19450101T123",
        "9001010000",
        "900101+1234",
        "<id>20230105-7781</id>",
        "SE1:199001010017",
    ],
)
def test_wrong_check_digits_and_reserve_numbers_are_replaced_too(text) -> None:
    assert Persons().hidden(text) != text


def test_check_digits_are_those_of_known_test_numbers() -> None:
    for known in ("9001012385", "1212121212", "8507099805", "7010632391"):
        assert check_digit(known[:9]) == known[9]
