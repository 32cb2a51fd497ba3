"""How a message that breaks its schema is handled, by what an operator decided."""

import pytest

from rivta.router.policy import Handling, Validation
from rivta.soap.identifiers import ContractNamespace

HERE, THERE = ContractNamespace("urn:riv:x:HereResponder:1"), ContractNamespace("urn:riv:x:ThereResponder:1")


def test_by_default_requests_are_rejected_and_answers_reported():
    validation = Validation()
    assert validation.of_request(HERE, own_service=False, size=1) is Handling.REJECT
    assert validation.of_response(HERE, size=1) is Handling.REPORT


def test_a_contract_may_differ_from_the_rest():
    validation = Validation(contracts={THERE: (Handling.OFF, Handling.REJECT)})
    assert validation.of_request(THERE, own_service=False, size=1) is Handling.OFF
    assert validation.of_response(THERE, size=1) is Handling.REJECT
    assert validation.of_request(HERE, own_service=False, size=1) is Handling.REJECT


@pytest.mark.parametrize("handling", Handling)
def test_services_of_our_own_refuse_for_themselves(handling):
    own = Validation(request=handling).of_request(HERE, own_service=True, size=1)
    assert own is (Handling.REPORT if handling is Handling.REJECT else handling)


@pytest.mark.parametrize(
    ("size", "checks_large", "is_checked"),
    [(100, True, True), (100, False, True), (101, True, True), (101, False, False)],
)
def test_large_messages_pass_unchecked_only_if_configured_so(size, checks_large, is_checked):
    validation = Validation(max_bytes=100, checks_large=checks_large)
    assert (validation.of_request(HERE, own_service=False, size=size) is not Handling.OFF) == is_checked
    assert (validation.of_response(HERE, size=size) is not Handling.OFF) == is_checked
