"""Our schemas against the official ones: the same samples, the same shapes, the same verdict on thousands of mutants.

The official schemas are not ours to ship. Where they are, RIVTA_OFFICIAL_CONTRACTS names their folder; elsewhere our
schemas are held to the verdicts that were written down from them. To write them down anew, after a change of a sample:
`RIVTA_OFFICIAL_CONTRACTS=... PYTHONPATH=platform:. python tests/contracts/test_oracle.py`.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from lxml import etree

from rivta import shipped
from rivta.contracts import samples
from rivta.contracts.archive import Contract, imported_files, read_contract_file, read_domain
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import compile_schema
from rivta.soap.head import read_head
from tests.contracts.mutants import Mutator, tags, timelike
from tests.contracts.schema_shape import Shapes

SHIPPED = shipped.folder("contracts") / "xsd"
CONTRACTS = tuple(Contracts.load(SHIPPED))
MESSAGES = ("request", "response")
VERDICTS = Path(__file__).with_name("mutant_verdicts.json")

WRITTEN_DOWN = 500
"""Mutants per message whose verdicts are committed."""
MUTANTS = {"request": 4000, "response": 4000}
"""Mutants per contract that are tried against the official schema itself."""

# Contract and seed -> why ours differs from the official schema there. Nothing does.
INTENDED_DIFFERENCES: dict[tuple[str, int], str] = {}

HEADERS = {
    "interoperability.headers/core_components/interoperability_headers_1.0.xsd": ("Actor", "ProcessingStatus"),
    "itintegration.registry/core_components/itintegration_registry_1.0.xsd": ("LogicalAddress",),
}

each_contract = pytest.mark.parametrize("contract", CONTRACTS, ids=[contract.short_name for contract in CONTRACTS])
each_message = pytest.mark.parametrize("message", MESSAGES)


@dataclass(frozen=True, slots=True)
class Official:
    """The official schemas' folder."""

    folder: Path

    def contract(self, ours: Contract) -> Contract:
        found = read_domain(self.folder / ours.folder.name)
        return next(contract for contract in found if contract.namespace == ours.namespace)


@pytest.fixture
def official() -> Official:
    named = os.environ.get("RIVTA_OFFICIAL_CONTRACTS")
    if not named:
        pytest.skip("RIVTA_OFFICIAL_CONTRACTS does not name the folder of the official schemas")
    return Official(Path(named))


@each_contract
@each_message
def test_written_down_verdicts_on_mutants_hold(contract: Contract, message: str) -> None:
    expected = json.loads(VERDICTS.read_text())[contract.short_name][message]
    found = _verdicts(_judge(contract, message), _own_mutator(contract, message), WRITTEN_DOWN)
    assert len(expected) == WRITTEN_DOWN
    assert [seed for seed in range(WRITTEN_DOWN) if expected[seed] != found[seed]] == []


@each_contract
@each_message
def test_our_sample_is_valid(contract: Contract, message: str) -> None:
    assert _judge(contract, message)(_payload(samples.sample_file(contract, message)))


@pytest.mark.contracts
@each_contract
@each_message
def test_official_sample_is_valid_by_ours_and_ours_by_the_official_schema(
    contract: Contract, message: str, official: Official
) -> None:
    other = official.contract(contract)
    assert _judge(contract, message)(_payload(samples.sample_file(other, message)))
    assert _judge(other, message)(_payload(samples.sample_file(contract, message)))


@pytest.mark.contracts
@each_contract
def test_contract_says_the_same_of_itself(contract: Contract, official: Official) -> None:
    other = official.contract(contract)
    for field in ("name", "major", "minor", "domain", "operation", "request", "response", "soap_action"):
        assert getattr(contract, field) == getattr(other, field)
    assert {profile for profile, _ in contract.wsdls} >= {profile for profile, _ in other.wsdls}


@pytest.mark.contracts
@each_contract
def test_every_element_allows_what_the_official_one_does(contract: Contract, official: Official) -> None:
    other = official.contract(contract)
    ours, theirs = Shapes(contract.schema, contract.folder), Shapes(other.schema, other.folder)
    for name in theirs.element_names():
        assert ours.of_element(name) == theirs.of_element(name)


@pytest.mark.contracts
@pytest.mark.parametrize("schema", HEADERS)
def test_every_header_entry_allows_what_the_official_one_does(schema: str, official: Official) -> None:
    ours, theirs = (Shapes(folder / schema, folder / schema.split("/")[0]) for folder in (SHIPPED, official.folder))
    for name in theirs.element_names():
        assert ours.of_element(name) == theirs.of_element(name)


@pytest.mark.contracts
@each_contract
@each_message
def test_mutants_get_the_verdict_of_the_official_schema(contract: Contract, message: str, official: Official) -> None:
    other = official.contract(contract)
    own_basis, their_basis = (_payload(samples.sample_file(each, message)) for each in (contract, other))
    names = sorted({*tags(own_basis, their_basis), *_declared(other)})
    ours, theirs = _judge(contract, message), _judge(other, message)
    disagreed = []
    for number in range(MUTANTS[message]):
        basis = own_basis if number % 3 else their_basis
        mutant = Mutator(basis, names).mutant(10_000 + number)
        if ours(mutant) != theirs(mutant) and (contract.short_name, number) not in INTENDED_DIFFERENCES:
            disagreed.append((number, theirs(mutant), etree.tostring(mutant, encoding="unicode")[:2000]))
    assert disagreed == []


@pytest.mark.contracts
@each_contract
@each_message
def test_dates_and_times_get_the_verdict_of_the_official_schema(
    contract: Contract, message: str, official: Official
) -> None:
    other = official.contract(contract)
    ours, theirs = _judge(contract, message), _judge(other, message)
    payload = _payload(samples.sample_file(contract, message))
    leaves = {element.tag: element for element in payload.iter(etree.Element) if (element.text or "").isdigit()}
    disagreed = []
    for leaf in leaves.values():
        sound = leaf.text
        for seed in range(1500):
            leaf.text = timelike(seed)
            if ours(payload) != theirs(payload):
                disagreed.append((leaf.tag, leaf.text))
        leaf.text = sound
    assert disagreed == []


@pytest.mark.contracts
@pytest.mark.parametrize(
    "sample", sorted((SHIPPED / "interoperability.headers/samples").glob("*.xml")), ids=lambda p: p.stem
)
def test_mutants_of_header_entries_get_the_verdict_of_the_official_schema(sample: Path, official: Official) -> None:
    schema = next(iter(HEADERS))
    ours, theirs = (compile_schema(folder / schema) for folder in (SHIPPED, official.folder))
    header = read_head(read_contract_file(sample)).header
    assert header is not None
    mutator = Mutator(header[-1], tags(header[-1]))
    mutants = [mutator.mutant(seed) for seed in range(600)]
    assert [ours.validate(mutant) for mutant in mutants] == [theirs.validate(mutant) for mutant in mutants]


def _judge(contract: Contract, message: str) -> Callable[[etree._Element], bool]:
    schema = compile_schema(contract.schema)
    root = contract.request if message == "request" else contract.response
    return lambda payload: payload.tag == root and schema.validate(payload)


def _payload(sample: Path) -> etree._Element:
    root = read_contract_file(sample)
    payload = read_head(root).payload
    assert payload is not None
    return payload


def _own_mutator(contract: Contract, message: str) -> Mutator:
    """Depends on our samples only, so that a type added to a shared schema leaves the mutants as they are."""
    payloads = {each: _payload(samples.sample_file(contract, each)) for each in MESSAGES}
    return Mutator(payloads[message], tags(*payloads.values()))


def _verdicts(judge: Callable[[etree._Element], bool], mutator: Mutator, count: int) -> str:
    return "".join(str(int(judge(mutator.mutant(seed)))) for seed in range(count))


def _declared(contract: Contract) -> set[str]:
    """Every element that the contract's schemas declare, as `{namespace}Local`."""
    files = [contract.schema, *(file for _, file in imported_files(contract.schema, contract.folder))]
    return {
        f"{{{root.get('targetNamespace')}}}{element.get('name')}"
        for root in map(read_contract_file, files)
        for element in root.iter("{http://www.w3.org/2001/XMLSchema}element")
        if element.get("name")
    }


def write_verdicts(folder: Path) -> None:
    """Writes down what the official schemas in `folder` say of our mutants."""
    official = Official(folder)
    verdicts = {
        contract.short_name: {
            message: _verdicts(
                _judge(official.contract(contract), message), _own_mutator(contract, message), WRITTEN_DOWN
            )
            for message in MESSAGES
        }
        for contract in CONTRACTS
    }
    VERDICTS.write_text(json.dumps(verdicts, indent=1) + "\n")


if __name__ == "__main__":
    write_verdicts(Path(os.environ["RIVTA_OFFICIAL_CONTRACTS"]))
