"""Section 3.3 of the behaviour read from SKLTP's EI: the order of the rules and every text, misspellings included."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.index.client import Question
from rivta.index.engagement import FIELDS, Field, Transaction
from rivta.index.validation import (
    IndexFault,
    check_correlation,
    check_question,
    check_updates_question,
    notified_transactions,
    update_transactions,
)
from rivta.index.wire import ReadTransaction
from rivta.soap.service import ServiceFault
from tests.index.built import DESCRIPTION, IDENTITY, NATIONAL, REGIONAL, ROW, TOLVAN, person

GOOD = {field.name: getattr(ROW, field.name) for field in FIELDS if getattr(ROW, field.name) is not None}


def read(number: int = 0, /, **changes: str | None) -> ReadTransaction:
    """A good change, about another person for each number; a field that is None is left out."""
    fields = GOOD | {"registered_resident_id": person(number)} | changes
    return ReadTransaction(False, {name: value for name, value in fields.items() if value is not None}, ())


def update(*rows: ReadTransaction, to: str = REGIONAL) -> list[Transaction]:
    return update_transactions(rows, logical_address=to, identity=IDENTITY)


def notified(*rows: ReadTransaction) -> list[Transaction]:
    return notified_transactions(rows, identity=IDENTITY)


def fault(do: Callable[..., object], *arguments: object, **named: object) -> str:
    with pytest.raises(ServiceFault) as refused:
        do(*arguments, **named)
    assert refused.value.side.value == "Server"
    return refused.value.text


DATE = 'Input date is not according to expected format "YYYYMMDDhhmmss": '
EI004 = "EI004: The payload does not validate, error messge: "


class TestWhoIsMeant:
    def test_another_address_is_refused(self) -> None:
        assert fault(update, read(), to="SE1") == (
            "EI003: Invalid routing. Logical address is SE1 but the owner is SE2321000016-RTP. They must be the same. "
            "See rule for Update-R7 in service contract"
        )

    def test_a_missing_address_prints_as_missing(self) -> None:
        assert "Logical address is missing but the owner is" in fault(update, read(), to="")

    def test_an_alternative_address_will_do_and_the_owner_is_still_the_index(self) -> None:
        assert update(read(), to="SE2321000016-OLD")[0].engagement.owner == REGIONAL

    def test_a_source_system_cannot_say_that_other_indexes_know_already(self) -> None:
        visited = replace(read(), visited=(NATIONAL,))
        assert update(visited)[0].visited == ()
        assert notified(visited)[0].visited == (NATIONAL,)

    def test_the_address_comes_before_the_number_of_rows(self) -> None:
        assert fault(update, to="SE1").startswith("EI003")

    def test_a_missing_correlation_id_is_told_without_a_code(self) -> None:
        assert fault(check_correlation, None) == "Mandatory HTTP header x-skltp-correlation-id is missing"


class TestHowMany:
    @pytest.mark.parametrize("do", [update, notified])
    def test_none(self, do: Callable[..., object]) -> None:
        assert fault(do) == (
            "EI000: A technical error has occurred, error message: The request contains less than 1 engagements. "
            "Minium number of engagements per request is 1."
        )

    @pytest.mark.parametrize("do", [update, notified])
    def test_1001(self, do: Callable[..., object]) -> None:
        assert fault(do, *(read(number) for number in range(1001))) == (
            "EI000: A technical error has occurred, error message: The request contains more than 1000 engagements. "
            "Maximum number of engagements per request is 1000."
        )

    def test_1000_will_do(self) -> None:
        assert len(update(*(read(number) for number in range(1000)))) == 1000


class TestRules:
    """Each row breaks one rule more than the one before; the first that is broken is the answer."""

    def test_a_date_that_is_none_is_told_without_a_code(self) -> None:
        assert fault(update, read(most_recent_content="2026-11-24")) == f"{DATE}2026-11-24"

    def test_two_rows_with_the_same_key_are_numbered_from_one(self) -> None:
        assert fault(update, read(1), read(2), read(1)) == (
            "EI002: EngagementTransaction #1 and #3 have the same key. That is not allowed. "
            "See rule for Update-R1 in service contract"
        )

    def test_number_1000_prints_with_a_separator(self) -> None:
        rows = [*(read(number) for number in range(999)), read(0)]
        assert "#1 and #1,000 have" in fault(update, *rows)

    def test_the_key_is_that_which_came_so_rows_that_differ_in_owner_only_pass(self) -> None:
        assert len(update(read(owner="A"), read(owner="B"))) == 2

    @pytest.mark.parametrize("field", [field for field in FIELDS if field.mandatory], ids=lambda field: field.wire)
    def test_white_space_around_a_mandatory_field(self, field: Field) -> None:
        told = f'{EI004}mandatory field "{field.wire}" contains white space in beginning or end'
        assert fault(update, read(**{field.name: f"{GOOD[field.name]} "})) == told
        assert fault(notified, read(**{field.name: f"\t{GOOD[field.name]}"})) == told

    def test_a_value_of_nothing_but_blanks_passes_as_with_the_incumbent(self) -> None:
        assert update(read(categorization="  "))[0].engagement.categorization == "  "

    def test_a_reserved_logical_address(self) -> None:
        assert fault(update, read(1), read(2, logical_address=NATIONAL)) == (
            "EI005: The logicalAddress in EngagementTransaction #2 is reserved and not allowed, hsa-id: 5565594230"
        )

    def test_a_reserved_address_in_other_letters_since_calls_would_come_here_all_the_same(self) -> None:
        assert fault(update, read(logical_address=REGIONAL.lower())).startswith("EI005")

    def test_a_reserved_source_system(self) -> None:
        assert fault(notified, read(source_system=REGIONAL)) == (
            "EI006: The sourceSystem in EngagementTransaction #1 is reserved and not allowed, hsa-id: SE2321000016-RTP"
        )

    @pytest.mark.parametrize("field", [field for field in FIELDS if field.mandatory], ids=lambda field: field.wire)
    @pytest.mark.parametrize("value", [None, ""])
    def test_a_mandatory_field_that_is_not_there(self, field: Field, value: str | None) -> None:
        told = f'{EI004}mandatory field "{field.wire}" is missing'
        assert fault(update, read(**{field.name: value})) == told
        assert fault(notified, read(**{field.name: value})) == told

    def test_an_owner_is_mandatory_in_notifications_only(self) -> None:
        assert update(read(owner=None))[0].engagement.owner == REGIONAL
        assert fault(notified, read(owner=None)) == f'{EI004}mandatory field "owner" is missing'

    @pytest.mark.parametrize("field", [field for field in FIELDS if field.longest != 14], ids=lambda field: field.wire)
    def test_a_field_that_is_too_long(self, field: Field) -> None:
        assert update(read(**{field.name: "x" * field.longest}))
        assert (
            fault(update, read(**{field.name: "x" * (field.longest + 1)})) == f'{EI004}Field "{field.wire}" is to long'
        )

    @pytest.mark.parametrize(("name", "wire"), [("update_time", "updateTime"), ("creation_time", "creationTime")])
    def test_a_time_that_is_none(self, name: str, wire: str) -> None:
        assert fault(update, read(**{name: "1"})) == f'{EI004}Field "{wire}": {DATE}1'

    def test_a_person_number_of_ten_digits_passes(self) -> None:
        assert update(read(registered_resident_id=TOLVAN[2:]))

    def test_a_change_without_engagement_or_flag_is_by_no_schema(self) -> None:
        assert fault(update, replace(read(), fields={})) == (
            "EI001: The payload does not follow the XML Schema, error messge: "
            "engagement is missing in EngagementTransaction #1"
        )
        assert "deleteFlag is missing or not a boolean" in fault(update, replace(read(), delete=None))

    ORDER = (
        ("most_recent_content", "x", "Input date"),
        ("categorization", " dia", "contains white space"),
        ("logical_address", REGIONAL, "EI005"),
        ("source_system", REGIONAL, "EI006"),
        ("data_controller", "", "is missing"),
        ("business_object_instance_id", "x" * 129, "is to long"),
        ("update_time", "x" * 14, "updateTime"),
        ("creation_time", "x" * 14, "creationTime"),
    )

    @pytest.mark.parametrize("first", range(len(ORDER)), ids=[words for _, _, words in ORDER])
    def test_rules_of_a_row_are_looked_at_in_their_order(self, first: int) -> None:
        broken = {name: value for name, value, _ in self.ORDER[first:]}
        assert self.ORDER[first][2] in fault(update, read(**broken))

    def test_a_date_comes_before_the_same_key_and_that_before_white_space(self) -> None:
        padded = {"categorization": " dia"}
        assert "white space" in fault(
            update, read(1, **padded), read(1, **padded)
        )  # row by row: the first is bad itself
        assert fault(update, read(1), read(1, most_recent_content="x")).startswith("Input date")

    def test_the_first_row_with_a_mistake_is_the_answer_whatever_the_mistake(self) -> None:
        assert "is missing" in fault(update, read(1, data_controller=""), read(2), read(2))

    @given(st.lists(st.sampled_from(ORDER), min_size=1, unique=True))
    def test_no_fault_names_whom_it_is_about(self, broken: list[tuple[str, str, str]]) -> None:
        text = fault(update, read(registered_resident_id=TOLVAN, **{name: value for name, value, _ in broken}))
        assert TOLVAN not in text


class TestQuestions:
    def question(self, **changes: str) -> Question:
        return Question(**{"registered_resident_id": TOLVAN, "service_domain": DESCRIPTION} | changes)

    @pytest.mark.parametrize(
        ("name", "wire"),
        [("registered_resident_id", "registeredResidentIdentification"), ("service_domain", "serviceDomain")],
    )
    def test_what_must_be_said(self, name: str, wire: str) -> None:
        told = f"EI000: A technical error has occurred, error message: {wire} is mandatory but missing"
        assert fault(check_question, self.question(**{name: ""})) == told

    def test_a_time_that_is_none(self) -> None:
        assert fault(check_question, self.question(most_recent_content="new")) == f"{DATE}new"

    def test_what_updates_are_asked_by(self) -> None:
        check_updates_question(DESCRIPTION, "20260101000000")
        assert "serviceDomain is mandatory" in fault(check_updates_question, "", "")
        assert "timeStamp is mandatory" in fault(check_updates_question, DESCRIPTION, "")
        assert fault(check_updates_question, DESCRIPTION, "x") == f"{DATE}x"


def test_words_that_look_like_a_template_are_not_one() -> None:
    assert IndexFault.RESERVED_ADDRESS.with_words("1", "{0}").text.endswith("hsa-id: {0}")
