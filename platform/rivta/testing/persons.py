"""Personal numbers replaced by official test numbers, the same one always by the same other.

The Swedish Tax Agency never gives the birth numbers 238, 239, 980 and 981 to anybody: numbers with these are for tests.
They stay as they are; so does 191212121212, everybody's test person. Which number became which is kept
in memory alone, for one recording: a table of it, or a digest, would lead back to the persons.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

from rivta.soap.person_ids import COORDINATION_DAYS, check_digit, is_right

_NUMBER = re.compile(
    r"(?<![0-9A-Za-z])(?P<century>18|19|20)?"
    r"(?P<day>\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]|6[1-9]|[78]\d|9[01]))"
    r"(?P<sign>[-+]?)(?P<rest>[0-9A-Za-z]{4})(?![0-9A-Za-z])"
)
"""A personal, coordination (the day is 60 higher) or reserve number (with letters), of 10 or 12 characters."""

_NEAR = 40
"""Blanks that may stand around a value."""
_ENDS_BEFORE, _BEGINS_AFTER = frozenset("<\"'\n"), frozenset(">\"'\n")

_TEST_SERIES = ("238", "239", "980", "981")
_TEST_PERSONS = frozenset({"1212121212"})
_FIRST, _LAST = date(1950, 1, 1), date(2019, 12, 31)
_WOMEN, _MEN = ("238", "980"), ("239", "981")


class Persons:
    """The replacing of one recording."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._next = dict.fromkeys(("woman", "man", "woman+", "man+"), 0)

    @property
    def replaced(self) -> int:
        """How many numbers were replaced by others so far, each counted once."""
        return len(self._given)

    def hidden(self, text: str) -> str:
        """The text with test numbers in place of all others, each written as the one before."""
        return _NUMBER.sub(self._other, text)

    def _other(self, found: re.Match[str]) -> str:
        number = (found["day"] + found["rest"]).upper()
        if is_test_number(number) or not (_is_alone(found) or is_right(number)):
            return found[0]
        given = self._given.get(number)
        if given is None:
            given = self._given[number] = self._new(number)
        century = given[:2] if found["century"] else ""
        return f"{century}{given[2:8]}{'-' if found['sign'] else ''}{given[8:]}"

    def _new(self, number: str) -> str:
        """Another test number of the same kind and sex, as far as these show."""
        is_man = number[8].isdigit() and int(number[8]) % 2 == 1
        is_coordination = int(number[4:6]) > COORDINATION_DAYS
        kind = ("man" if is_man else "woman") + ("+" if is_coordination else "")
        taken = self._next[kind]
        self._next[kind] += 1
        days = (_LAST - _FIRST).days + 1
        series = (_MEN if is_man else _WOMEN)[taken // days % 2]
        born = _FIRST + timedelta(days=taken % days)
        day = born.day + (COORDINATION_DAYS if is_coordination else 0)
        written = f"{born:%Y%m}{day:02}{series}"
        return written + check_digit(written[2:])


def _is_alone(found: re.Match[str]) -> bool:
    """Whether it is all that an element or attribute holds: then it is taken for a number of a person whatever its
    check digit is, and within a longer text, an id of a document, say, only where that is right."""
    start, end = found.span()
    before, after = found.string[max(start - _NEAR, 0) : start].rstrip(" "), found.string[end : end + _NEAR].lstrip(" ")
    return (not before or before[-1] in _BEGINS_AFTER) and (not after or after[0] in _ENDS_BEFORE)


def is_test_number(number: str) -> bool:
    """Whether ten digits are a number that is nobody's."""
    if number in _TEST_PERSONS:
        return True
    return number[6:9] in _TEST_SERIES and is_right(number)
