"""What stub producers answer to contracts that they have no records for."""

from pathlib import Path

import pytest
from lxml import etree

from producers_stub.answers import StubProducer
from producers_stub.journals import load_journals
from producers_stub.services import Applications
from producers_stub.world import World
from rivta.contracts import samples
from rivta.contracts.current import CurrentContracts
from rivta.contracts.domain import Contract, Operation
from rivta.contracts.installation import install
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators, fault_in
from rivta.soap.head import read_head
from rivta.soap.wsgi import HttpRequest, call
from rivta.soap.xml import parse_xml
from tests.catalogue.tables import NOW
from tests.contracts.releases import release, written, zipped

KNOWN = Contracts.shipped()
KS = World.load().producers[0]
OTHERS = [(one, operation) for one in KNOWN if one.namespace not in KS.contracts for operation in one.operations]
ASK = b'<Ask xmlns="urn:riv:test:asking:AskResponder:1"><question>1985</question></Ask>'


def applications(contracts: Contracts) -> Applications:
    stub = StubProducer(KS, load_journals()[KS.name], "0.1.0", NOW, lambda: NOW)
    return Applications({KS.name: stub}, contracts, Validators(contracts))


def ask(asked: Applications, payload: bytes, to: str | None = "SE2321000016-KS") -> etree._Element:
    """The first element in the body of the answer."""
    answer = call(asked.of(KS), HttpRequest("POST", "/", body=samples.envelope(payload, to)))
    found = read_head(parse_xml(answer.body)).payload
    assert found is not None
    return found


@pytest.fixture(scope="module")
def shipped() -> Applications:
    return applications(KNOWN)


@pytest.mark.parametrize(("contract", "operation"), OTHERS, ids=lambda value: value.name)
def test_each_shipped_contract_is_answered_about_whom_the_request_is_about(
    shipped: Applications, contract: Contract, operation: Operation
) -> None:
    to = "SE2321000016-KS" if contract.wsdls[0][0] else None
    answer = ask(shipped, samples.request(contract, "197010632391", operation), to)
    assert answer.tag == operation.response
    assert Validators(KNOWN).check(contract, answer, "response").valid
    texts = [element.text for element in answer.iter(etree.Element)]
    assert samples.PATIENT not in texts
    assert ("197010632391" in texts) is (samples.PATIENT.encode() in samples.response(contract, operation=operation))


def test_a_contract_that_is_installed_meanwhile_is_answered_from_then_on(tmp_path: Path) -> None:
    current = CurrentContracts(tmp_path / "contracts")
    asked = applications(current.contracts)
    door = asked.of(KS)
    assert fault_in(ask(asked, ASK)) is not None
    install([zipped(tmp_path / "ask.zip", release())], tmp_path / "contracts")
    assert current.check()
    asked.use(*current.in_force)
    answer = call(door, HttpRequest("POST", "/", body=samples.envelope(ASK, "SE2321000016-KS")))
    assert b"AskResponse" in answer.body


def test_a_contract_without_a_sample_is_answered_from_its_schema(tmp_path: Path) -> None:
    written(tmp_path / "test.asking", release())
    contracts = Contracts.shipped(tmp_path)
    asked = applications(contracts)
    answer = ask(asked, ASK)
    assert Validators(contracts).check(contracts.find("Ask"), answer, "response").valid
    assert etree.tostring(answer) == etree.tostring(ask(asked, ASK))
