"""The ids by which journals know people, checked as a producer checks them."""

from rivta.soap.person_ids import LENGTH, NoPersonId, PersonIdType, day_of_birth, is_coordination_number, is_right

PERSONAL_NUMBER = PersonIdType.PERSONAL_NUMBER.value
COORDINATION_NUMBER = PersonIdType.COORDINATION_NUMBER.value
RESERVE_NUMBER = PersonIdType.RESERVE_NUMBER.value


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
    if not (len(person_id) == LENGTH and person_id.isascii() and person_id.isdigit()):
        return "patientId/id is not twelve digits"
    try:
        day_of_birth(person_id)
    except NoPersonId:
        return "patientId/id does not begin with a date"
    if not is_right(person_id[2:]):
        return "patientId/id has a wrong check digit"
    if id_type == COORDINATION_NUMBER and not is_coordination_number(person_id):
        return "patientId/id is not a coordination number, as patientId/type says"
    return None
