"""The ids by which care knows people: what is right about one, and in clear words what is wrong.

A personal number and a coordination number are a date of birth, three digits and a check digit (the Swedish Tax
Agency's rules, folkbokföringslagen 1991:481 section 18 and 18 a; in a coordination number the day is 60 higher).
Reserve numbers are given by a region to whom has neither, in a series of its own, most of them with a letter and none
with a check digit that others could check: of those only the form can be judged (interpreted).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import Enum

LENGTH = 12
COORDINATION_DAYS = 60
"""What is added to the day of birth in a coordination number."""
_OLDEST_YEARS = 130
"""Nobody has lived longer; a number from before then has its century mistyped."""
_OLD_YEARS = 100
"""From the year in which somebody becomes so old, `+` stands in the short form in place of `-`."""
_RESERVE = re.compile(r"(?=.*[A-Z])[0-9]{6}[0-9A-Z]{6}|99[0-9]{10}|(?=.*[A-Z])[0-9]{8}[0-9A-Z]{4}")
_SHORT = re.compile(r"(\d{6})([-+])?(\d{4})")
_SEPARATED = re.compile(r"([0-9]{8})-([0-9A-Z]{4})")


class PersonIdType(Enum):
    """The kind of an id, with its OID as messages name it."""

    PERSONAL_NUMBER = "1.2.752.129.2.1.3.1"
    COORDINATION_NUMBER = "1.2.752.129.2.1.3.3"
    RESERVE_NUMBER = "1.2.752.97.3.1.3"
    """The series of Region Stockholm; others have OIDs of their own."""


class Wrong(Enum):
    """What can be wrong, in the words for whoever typed it: Swedish, and English. The id is never repeated."""

    EMPTY = ("Skriv ett personnummer.", "Write a personal number.")
    CHARACTERS = (
        "Numret innehåller tecken som inte hör dit: bara siffror, och ett bindestreck före de fyra sista.",
        "There are characters in the number that do not belong: digits only, and a hyphen before the last four.",
    )
    TOO_SHORT = ("Numret är för kort: det ska ha tolv siffror.", "The number is too short: it has twelve digits.")
    TOO_LONG = ("Numret är för långt: det ska ha tolv siffror.", "The number is too long: it has twelve digits.")
    NO_MONTH = ("Månaden i numret finns inte.", "There is no such month as in the number.")
    NO_DAY = ("Dagen i numret finns inte i den månaden.", "There is no such day in that month as in the number.")
    IN_THE_FUTURE = ("Födelsedatumet ligger i framtiden.", "The date of birth is in the future.")
    TOO_LONG_AGO = (
        f"Födelsedatumet är mer än {_OLDEST_YEARS} år sedan: se över århundradet.",
        f"The date of birth is more than {_OLDEST_YEARS} years ago: look at the century.",
    )
    CHECK_DIGIT = (
        "Kontrollsiffran, den sista, stämmer inte: någon siffra är fel.",
        "The check digit, the last one, does not fit: some digit is wrong.",
    )

    @property
    def swedish(self) -> str:
        """For the person at the page."""
        return self.value[0]

    @property
    def english(self) -> str:
        """The same."""
        return self.value[1]


class NoPersonId(ValueError):
    """It is none; says what is wrong and never the id."""

    def __init__(self, wrong: Wrong) -> None:
        self.wrong = wrong
        super().__init__(wrong.english)


@dataclass(frozen=True, slots=True)
class PersonId:
    """An id as messages have it: twelve characters without hyphen."""

    value: str = field(repr=False)
    type: PersonIdType
    born: date | None
    """None of a reserve number, whose digits need not be a date."""

    @property
    def is_checked(self) -> bool:
        """Whether its check digit was looked at: a reserve number's form alone was."""
        return self.type is not PersonIdType.RESERVE_NUMBER

    def age_on(self, day: date) -> int | None:
        """In whole years; None where the day of birth is not known."""
        if self.born is None:
            return None
        return day.year - self.born.year - ((day.month, day.day) < (self.born.month, self.born.day))


def read_person_id(text: str, *, today: date) -> PersonId:
    """What somebody typed or sent, as an id: twelve characters, or ten with the century left out, hyphen or not.

    `today` settles the century of a short one, and whether a birth lies ahead. Raises NoPersonId.
    """
    given = text.strip().upper()
    if not given:
        raise NoPersonId(Wrong.EMPTY)
    separated = _SEPARATED.fullmatch(given)
    whole = "".join(separated.groups()) if separated else given
    # A personal number that happens to begin with 99 has ten digits; one with twelve was born in no year that is known.
    if _RESERVE.fullmatch(whole):
        return PersonId(whole, PersonIdType.RESERVE_NUMBER, None)
    short = _SHORT.fullmatch(whole) if whole.isascii() else None
    if short:
        whole = _with_century(*short.groups(), today=today)
    _check_form(whole)
    return _checked(whole, today)


def _check_form(whole: str) -> None:
    if not (whole.isascii() and whole.isdigit()):
        raise NoPersonId(Wrong.CHARACTERS)
    if len(whole) != LENGTH:
        raise NoPersonId(Wrong.TOO_SHORT if len(whole) < LENGTH else Wrong.TOO_LONG)


def _with_century(birth: str, sign: str | None, rest: str, *, today: date) -> str:
    """With the century in which the birth was last possible; with a `+`, in which it is a hundred years ago."""
    year = today.year - (_OLD_YEARS if sign == "+" else 0)
    century, in_century = divmod(year, 100)
    day_of_year = int(birth[2:4]), int(birth[4:6]) % COORDINATION_DAYS
    born_in = int(birth[:2])
    is_ahead = born_in > in_century or (
        born_in == in_century and sign != "+" and day_of_year > (today.month, today.day)
    )
    return f"{century - is_ahead:02d}{birth}{rest}"


def _checked(whole: str, today: date) -> PersonId:
    born = day_of_birth(whole)
    if not is_right(whole[2:]):
        raise NoPersonId(Wrong.CHECK_DIGIT)
    if born > today:
        raise NoPersonId(Wrong.IN_THE_FUTURE)
    if born < today - timedelta(days=_OLDEST_YEARS * 366):
        raise NoPersonId(Wrong.TOO_LONG_AGO)
    is_coordination = is_coordination_number(whole)
    kind = PersonIdType.COORDINATION_NUMBER if is_coordination else PersonIdType.PERSONAL_NUMBER
    return PersonId(whole, kind, born)


def is_coordination_number(digits: str) -> bool:
    """Whether the day of a twelve digit number is one that only coordination numbers have."""
    return int(digits[6:8]) > COORDINATION_DAYS


def day_of_birth(digits: str) -> date:
    """Of a twelve digit number. Raises NoPersonId when there is no such day."""
    day = int(digits[6:8]) - (COORDINATION_DAYS if is_coordination_number(digits) else 0)
    return _date_of(int(digits[:4]), int(digits[4:6]), day)


def _date_of(year: int, month: int, day: int) -> date:
    if not 1 <= month <= 12:
        raise NoPersonId(Wrong.NO_MONTH)
    try:
        return date(year, month, day)
    except ValueError:
        raise NoPersonId(Wrong.NO_DAY if year else Wrong.TOO_LONG_AGO) from None


def check_digit(nine_digits: str) -> str:
    """The last digit of a number, of its nine others: date of birth and birth number (Luhn)."""
    doubled = (int(digit) * (2 - index % 2) for index, digit in enumerate(nine_digits))
    return str(-sum(number - 9 if number > 9 else number for number in doubled) % 10)


def is_right(ten_digits: str) -> bool:
    """Whether the last of ten characters is the check digit of the others."""
    return ten_digits.isdigit() and check_digit(ten_digits[:9]) == ten_digits[9]
