"""The ids by which journals know people, checked as a producer checks them."""

from datetime import date

PERSONAL_NUMBER = "1.2.752.129.2.1.3.1"
COORDINATION_NUMBER = "1.2.752.129.2.1.3.3"
RESERVE_NUMBER = "1.2.752.97.3.1.3"
"""Reserve numbers of Region Stockholm, the most common of the regions' own series."""

_COORDINATION_DAYS = 60


def is_coordination_number(person_id: str) -> bool:
    """Whether the day of this twelve digit number is one that only coordination numbers have."""
    return int(person_id[6:8]) > _COORDINATION_DAYS


def id_type_of(person_id: str) -> str:
    """The kind of a person's id of the demo world; no birth date begins as Region Stockholm's reserve numbers do."""
    if person_id.startswith("99"):
        return RESERVE_NUMBER
    return COORDINATION_NUMBER if is_coordination_number(person_id) else PERSONAL_NUMBER


def problem_with_person_id(person_id: str, id_type: str) -> str | None:
    """What is wrong with a patient's id, or None. The text never quotes the id.

    Many consumers send coordination numbers as personal numbers, so that is let through; the opposite is not.
    """
    if id_type == RESERVE_NUMBER:
        return None if person_id.strip() else "patientId/id is empty"
    if id_type not in (PERSONAL_NUMBER, COORDINATION_NUMBER):
        return "patientId/type is not the type of a personal, coordination or reserve number"
    if not (len(person_id) == 12 and person_id.isascii() and person_id.isdigit()):
        return "patientId/id is not twelve digits"
    if not _is_date(person_id):
        return "patientId/id does not begin with a date"
    if not _is_checked(person_id[2:]):
        return "patientId/id has a wrong check digit"
    if id_type == COORDINATION_NUMBER and not is_coordination_number(person_id):
        return "patientId/id is not a coordination number, as patientId/type says"
    return None


def _is_date(person_id: str) -> bool:
    day = int(person_id[6:8])
    try:
        date(int(person_id[:4]), int(person_id[4:6]), day - _COORDINATION_DAYS if day > _COORDINATION_DAYS else day)
    except ValueError:
        return False
    return True


def _is_checked(ten_digits: str) -> bool:
    """The Luhn check over birth date, birth number and check digit."""
    doubled = (int(digit) * (2 - index % 2) for index, digit in enumerate(ten_digits))
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0
