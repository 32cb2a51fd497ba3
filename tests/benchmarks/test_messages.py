"""Messages of a wanted size."""

import pytest

from benchmarks import messages
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Message, Validators
from rivta.soap.namespaces import SOAP_ENVELOPE
from rivta.soap.xml import parse_xml


def is_valid(envelope: bytes, kind: Message) -> bool:
    contracts = Contracts.shipped()
    payload = parse_xml(envelope).find(f"{{{SOAP_ENVELOPE}}}Body/*")
    return Validators(contracts).check(contracts.find("GetDiagnosis:2"), payload, kind).valid


@pytest.mark.parametrize("size", [2_000, 20_000])
def test_requests_and_answers_have_the_size_and_are_valid(size: int) -> None:
    request = messages.request("SE2321000016-X", size)
    answer = messages.answer(size)
    assert size <= len(request) < size + 100
    assert size <= len(answer) < size + 1_000
    assert is_valid(request, "request")
    assert is_valid(answer, "response")
