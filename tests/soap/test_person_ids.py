"""Personal, coordination and reserve numbers. Those of persons are of the Swedish Tax Agency's test series."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.soap.person_ids import NoPersonId, PersonIdType, Wrong, read_person_id

TODAY = date(2026, 11, 24)
TEST_PERSONS = ("191212121212", "198507099805", "199001012385", "201504122381", "194110192392")
PERSONAL, COORDINATION, RESERVE = PersonIdType


@pytest.mark.parametrize(
    ("text", "value", "kind", "born"),
    [
        ("191212121212", "191212121212", PERSONAL, date(1912, 12, 12)),
        ("19121212-1212", "191212121212", PERSONAL, date(1912, 12, 12)),
        (" 191212121212\n", "191212121212", PERSONAL, date(1912, 12, 12)),
        ("850709-9805", "198507099805", PERSONAL, date(1985, 7, 9)),
        ("8507099805", "198507099805", PERSONAL, date(1985, 7, 9)),
        ("121212+1212", "191212121212", PERSONAL, date(1912, 12, 12)),
        ("121212-1212", "201212121212", PERSONAL, date(2012, 12, 12)),
        ("150412-2381", "201504122381", PERSONAL, date(2015, 4, 12)),
        ("197010632391", "197010632391", COORDINATION, date(1970, 10, 3)),
        ("701063-2391", "197010632391", COORDINATION, date(1970, 10, 3)),
        ("991212T22009", "991212T22009", RESERVE, None),
        ("19121212-T123", "19121212T123", RESERVE, None),
        ("19121212p123", "19121212P123", RESERVE, None),
        ("991234567890", "991234567890", RESERVE, None),
    ],
)
def test_an_id_is_read_however_it_is_typed(text: str, value: str, kind: PersonIdType, born: date | None) -> None:
    found = read_person_id(text, today=TODAY)

    assert (found.value, found.type, found.born) == (value, kind, born)
    assert found.is_checked is (kind is not RESERVE)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", Wrong.EMPTY),
        (" \t", Wrong.EMPTY),
        ("191212121213", Wrong.CHECK_DIGIT),
        ("191213121212", Wrong.NO_MONTH),
        ("191200121212", Wrong.NO_MONTH),
        ("191202301212", Wrong.NO_DAY),
        ("191212001212", Wrong.NO_DAY),
        ("191212601212", Wrong.NO_DAY),
        ("191212921212", Wrong.NO_DAY),
        ("19121212121", Wrong.TOO_SHORT),
        ("1912121212122", Wrong.TOO_LONG),
        ("1912-12121212", Wrong.CHARACTERS),
        ("19121212_1212", Wrong.CHARACTERS),
        ("Tolvan", Wrong.CHARACTERS),
        ("１９１２１２１２１２１２", Wrong.CHARACTERS),
        ("٨٥٠٧٠٩-٩٨٠٥", Wrong.CHARACTERS),
        ("<script>", Wrong.CHARACTERS),
        ("181212121212", Wrong.TOO_LONG_AGO),
        ("000012121212", Wrong.TOO_LONG_AGO),
        ("202712121212", Wrong.CHECK_DIGIT),
    ],
)
def test_what_is_wrong_is_said_in_one_clear_word(text: str, wrong: Wrong) -> None:
    with pytest.raises(NoPersonId) as refused:
        read_person_id(text, today=TODAY)

    assert refused.value.wrong is wrong


def test_a_birth_that_lies_ahead_is_told_so() -> None:
    with pytest.raises(NoPersonId) as refused:
        read_person_id("201504122381", today=date(2015, 4, 11))

    assert refused.value.wrong is Wrong.IN_THE_FUTURE
    assert read_person_id("201504122381", today=date(2015, 4, 12)).age_on(date(2015, 4, 12)) == 0


def test_a_short_number_is_of_the_last_century_in_which_the_birth_was_possible() -> None:
    assert read_person_id("121212-1212", today=date(2012, 12, 12)).value.startswith("2012")
    assert read_person_id("121212-1212", today=date(2012, 12, 11)).value.startswith("1912")
    assert read_person_id("121212+1212", today=date(2012, 1, 1)).value.startswith("1912")


@pytest.mark.parametrize(("day", "age"), [((2030, 4, 11), 14), ((2030, 4, 12), 15), ((2033, 4, 12), 18)])
def test_an_age_grows_on_the_birthday(day: tuple[int, int, int], age: int) -> None:
    assert read_person_id("201504122381", today=TODAY).age_on(date(*day)) == age


def test_the_age_of_a_reserve_number_is_not_known() -> None:
    assert read_person_id("991212T22009", today=TODAY).age_on(TODAY) is None


@given(number=st.sampled_from(TEST_PERSONS), place=st.integers(2, 11), shift=st.integers(1, 9))
def test_no_single_digit_can_be_wrong(number: str, place: int, shift: int) -> None:
    wrong = number[:place] + str((int(number[place]) + shift) % 10) + number[place + 1 :]

    with pytest.raises(NoPersonId):
        read_person_id(wrong, today=TODAY)


@given(number=st.sampled_from(TEST_PERSONS), place=st.integers(2, 10))
def test_neighbours_that_change_places_are_found_but_for_0_and_9(number: str, place: int) -> None:
    """The Luhn check does not tell 09 from 90."""
    one, other = number[place], number[place + 1]
    if one == other or {one, other} == {"0", "9"}:
        return
    with pytest.raises(NoPersonId):
        read_person_id(number[:place] + other + one + number[place + 2 :], today=TODAY)


@given(st.text(max_size=16) | st.from_regex(r"[0-9]{6,14}[-+]?[0-9A-Za-z]{0,4}", fullmatch=True))
def test_any_text_is_an_id_of_twelve_characters_or_refused_without_being_repeated(text: str) -> None:
    try:
        found = read_person_id(text, today=TODAY)
    except NoPersonId as refused:
        told = f"{refused} {refused.wrong.swedish} {refused!r}"
        assert len(text.strip()) < 4 or text.strip() not in told
    else:
        assert len(found.value) == 12 and found.value.isascii() and found.value.isalnum()
        assert found.value not in repr(found)
        assert read_person_id(found.value, today=TODAY) == found


@given(
    born=st.dates(TODAY - timedelta(days=99 * 365), TODAY),
    digits=st.sampled_from(["238", "239", "980", "981"]),
    coordination=st.booleans(),
)
def test_a_number_with_its_check_digit_is_read_from_its_short_form_too(
    born: date, digits: str, coordination: bool
) -> None:
    nine = f"{born:%y%m}{born.day + 60 * coordination:02d}{digits}"
    doubled = [int(digit) * (2 - index % 2) for index, digit in enumerate(nine)]
    check = -sum(number // 10 + number % 10 for number in doubled) % 10

    found = read_person_id(f"{nine[:6]}-{nine[6:]}{check}", today=TODAY)

    assert found.born == born
    assert found.type is (COORDINATION if coordination else PERSONAL)
