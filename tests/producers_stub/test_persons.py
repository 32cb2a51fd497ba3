"""Patients' ids as a producer checks them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers_stub.persons import COORDINATION_NUMBER, PERSONAL_NUMBER, RESERVE_NUMBER, problem_with_person_id


@pytest.mark.parametrize(
    ("person_id", "id_type", "problem"),
    [
        ("191212121212", PERSONAL_NUMBER, None),
        ("197010632391", COORDINATION_NUMBER, None),
        ("197010632391", PERSONAL_NUMBER, None),
        ("991212T22009", RESERVE_NUMBER, None),
        ("191212121212", COORDINATION_NUMBER, "not a coordination number"),
        ("191212121213", PERSONAL_NUMBER, "check digit"),
        ("1212121212", PERSONAL_NUMBER, "twelve digits"),
        ("19121212-1212", PERSONAL_NUMBER, "twelve digits"),
        ("191213121212", PERSONAL_NUMBER, "date"),
        ("", PERSONAL_NUMBER, "twelve digits"),
        (" ", RESERVE_NUMBER, "empty"),
        ("191212121212", "1.2.3", "patientId/type"),
        ("191212121212", "", "patientId/type"),
    ],
)
def test_an_id_fits_its_type_or_is_told_why_not(person_id: str, id_type: str, problem: str | None) -> None:
    found = problem_with_person_id(person_id, id_type)

    assert found is None if problem is None else problem in (found or "")


@given(st.text(max_size=14), st.sampled_from([PERSONAL_NUMBER, COORDINATION_NUMBER, RESERVE_NUMBER, "x"]))
def test_any_text_is_judged_without_being_repeated(person_id: str, id_type: str) -> None:
    found = problem_with_person_id(person_id, id_type)

    assert found is None or len(person_id.strip()) < 4 or person_id not in found


@given(st.integers(0, 11), st.integers(1, 9))
def test_no_single_digit_of_a_number_can_be_wrong(place: int, shift: int) -> None:
    """The Luhn check finds every single wrong digit, and a wrong century is no year of a living person's number."""
    number = "198507099805"
    wrong = number[:place] + str((int(number[place]) + shift) % 10) + number[place + 1 :]

    assert place < 2 or problem_with_person_id(wrong, PERSONAL_NUMBER) is not None
