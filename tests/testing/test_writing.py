"""Which requests only ask."""

import pytest

from rivta.contracts import samples
from rivta.contracts.installed import Contracts
from rivta.soap.xml import parse_xml
from rivta.testing.writing import reason_it_may_write
from tests.testing.messages import envelope, ping

WRITING = {"Update:1", "ProcessNotification:1"}
"""The contracts that come along and change something."""


@pytest.mark.parametrize("contract", list(Contracts.shipped()), ids=lambda one: one.short_name)
def test_of_the_shipped_contracts_those_that_write_are_known(contract) -> None:
    for operation in contract.operations:
        payload = samples.request(contract, operation=operation)
        why = reason_it_may_write(parse_xml(samples.envelope(payload, "SE1")))
        assert (why is not None) == (contract.short_name in WRITING), why


@pytest.mark.parametrize(
    "payload",
    [
        '<MakeBooking xmlns="urn:riv:crm:scheduling:MakeBookingResponder:1"/>',
        '<GetX xmlns="urn:riv:crm:scheduling:CancelBookingResponder:1"/>',
        '<CancelX xmlns="urn:riv:crm:scheduling:GetXResponder:1"/>',
        '<Getaway xmlns="urn:x"/>',
        '<update xmlns="urn:x"/>',
        '<hamtningsorder xmlns="urn:x"/>',
    ],
)
def test_whatever_is_not_known_to_ask_may_write(payload) -> None:
    assert "may write" in reason_it_may_write(parse_xml(envelope(payload)))


def test_a_message_with_a_second_body_may_write_for_another_reader() -> None:
    two = ping().replace(b"</s:Envelope>", b"<s:Body><Update xmlns='urn:x'/></s:Body></s:Envelope>")
    assert "can be read in two ways" in reason_it_may_write(parse_xml(two))
    two = ping().replace(b"</s:Body>", b"<Update xmlns='urn:x'/></s:Body>")
    assert "can be read in two ways" in reason_it_may_write(parse_xml(two))
