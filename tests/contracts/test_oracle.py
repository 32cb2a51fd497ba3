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
from rivta.contracts.domain import Contract, Operation, imported_files, read_contract_file, read_domain
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import compile_schema
from rivta.soap.head import read_head
from tests.contracts.differences import DIFFERENCES, OWN, as_official
from tests.contracts.mutants import Mutator, tags, timelike
from tests.contracts.schema_shape import Shapes

SHIPPED = shipped.folder("contracts") / "xsd"
CONTRACTS = tuple(contract for contract in Contracts.load(SHIPPED) if contract.short_name not in OWN)
MESSAGES = ("request", "response")
VERDICTS = Path(__file__).with_name("mutant_verdicts.json")

WRITTEN_DOWN = 500
"""Mutants per message whose verdicts are committed."""
MUTANTS = 2500
"""Mutants per message that are tried against the official schema itself."""

HEADERS = {
    "interoperability.headers/core_components/interoperability_headers_1.0.xsd": ("Actor", "ProcessingStatus"),
    "itintegration.registry/core_components/itintegration_registry_1.0.xsd": ("LogicalAddress",),
}


@dataclass(frozen=True, slots=True)
class Exchange:
    """One of the two messages of an operation."""

    contract: Contract
    operation: Operation
    message: str

    def __str__(self) -> str:
        operation = f".{self.operation.name}" if len(self.contract.operations) > 1 else ""
        return f"{self.contract.short_name}{operation}.{self.message}"

    @property
    def root(self) -> str:
        return self.operation.request if self.message == "request" else self.operation.response

    def of(self, other: Contract) -> "Exchange":
        """The same of another contract, the official one."""
        return Exchange(other, next(one for one in other.operations if one.name == self.operation.name), self.message)

    def sample(self) -> etree._Element:
        return _payload(samples.sample_file(self.contract, self.message, self.operation))

    def judge(self) -> Callable[[etree._Element], bool]:
        schema = compile_schema(self.contract.schema)
        return lambda payload: payload.tag == self.root and schema.validate(payload)


EXCHANGES = [
    Exchange(contract, operation, message)
    for contract in CONTRACTS
    for operation in contract.operations
    for message in MESSAGES
]
each_contract = pytest.mark.parametrize("contract", CONTRACTS, ids=[contract.short_name for contract in CONTRACTS])
each_exchange = pytest.mark.parametrize("exchange", EXCHANGES, ids=str)


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


def test_every_contract_has_an_official_schema_or_a_reason_why_not() -> None:
    shipped_contracts = [contract.short_name for contract in Contracts.load(SHIPPED)]
    assert set(OWN) <= set(shipped_contracts)
    assert {str(exchange) for exchange in EXCHANGES} == set(json.loads(VERDICTS.read_text()))


@pytest.mark.contracts
def test_what_is_said_to_be_our_own_has_no_official_schema_and_all_else_has_one(official: Official) -> None:
    found = {one.namespace for folder in official.folder.iterdir() if folder.is_dir() for one in read_domain(folder)}
    for contract in Contracts.load(SHIPPED):
        assert (contract.namespace in found) is (contract.short_name not in OWN), contract.short_name


@each_exchange
def test_written_down_verdicts_on_mutants_hold(exchange: Exchange) -> None:
    expected = json.loads(VERDICTS.read_text())[str(exchange)]
    found = _verdicts(exchange.judge(), _own_mutator(exchange), WRITTEN_DOWN)
    assert len(expected) == WRITTEN_DOWN
    assert [seed for seed in range(WRITTEN_DOWN) if expected[seed] != found[seed]] == []


@each_exchange
def test_our_sample_is_valid(exchange: Exchange) -> None:
    assert exchange.judge()(exchange.sample())


@pytest.mark.contracts
@each_exchange
def test_official_sample_is_valid_by_ours_and_ours_by_the_official_schema(
    exchange: Exchange, official: Official
) -> None:
    other = exchange.of(official.contract(exchange.contract))
    assert exchange.judge()(other.sample())
    assert other.judge()(as_official(exchange.contract, exchange.sample()))


@pytest.mark.contracts
@each_contract
def test_contract_says_the_same_of_itself(contract: Contract, official: Official) -> None:
    other = official.contract(contract)
    for field in ("name", "major", "minor", "domain", "operations"):
        assert getattr(contract, field) == getattr(other, field)
    assert {profile for profile, _ in contract.wsdls} >= {profile for profile, _ in other.wsdls}


@pytest.mark.contracts
@pytest.mark.parametrize(
    "contract", [one for one in CONTRACTS if one.short_name not in DIFFERENCES], ids=lambda one: one.short_name
)
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
@each_exchange
def test_mutants_get_the_verdict_of_the_official_schema(exchange: Exchange, official: Official) -> None:
    contract, other = exchange.contract, exchange.of(official.contract(exchange.contract))
    own_basis, their_basis = exchange.sample(), other.sample()
    names = sorted({*tags(own_basis, their_basis), *_declared(other.contract)})
    ours, theirs = exchange.judge(), other.judge()
    disagreed = []
    for number in range(MUTANTS):
        mutant = Mutator(own_basis if number % 3 else their_basis, names).mutant(10_000 + number)
        verdict = ours(mutant)
        if verdict != theirs(mutant) and verdict != theirs(as_official(contract, mutant)):
            disagreed.append((number, verdict, etree.tostring(mutant, encoding="unicode")[:2000]))
    assert disagreed == []


@pytest.mark.contracts
@each_exchange
def test_dates_and_times_get_the_verdict_of_the_official_schema(exchange: Exchange, official: Official) -> None:
    other = exchange.of(official.contract(exchange.contract))
    ours, theirs = exchange.judge(), other.judge()
    payload = exchange.sample()
    leaves = {element.tag: element for element in payload.iter(etree.Element) if (element.text or "").isdigit()}
    disagreed = []
    for leaf in leaves.values():
        sound = leaf.text
        for seed in range(1500):
            leaf.text = timelike(seed)
            if ours(payload) != theirs(as_official(exchange.contract, payload)):
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


def _payload(sample: Path) -> etree._Element:
    root = read_contract_file(sample)
    payload = read_head(root).payload
    assert payload is not None
    return payload


def _own_mutator(exchange: Exchange) -> Mutator:
    """Depends on our samples only, so that a type added to a shared schema leaves the mutants as they are."""
    both = [Exchange(exchange.contract, exchange.operation, message).sample() for message in MESSAGES]
    return Mutator(both[MESSAGES.index(exchange.message)], tags(*both))


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


def _official_judge(official: Official, exchange: Exchange) -> Callable[[etree._Element], bool]:
    judge = exchange.of(official.contract(exchange.contract)).judge()
    return lambda mutant: judge(as_official(exchange.contract, mutant))


def write_verdicts(folder: Path) -> None:
    """Writes down what the official schemas in `folder` say of our mutants."""
    official = Official(folder)
    verdicts = {}
    for exchange in EXCHANGES:
        judge = _official_judge(official, exchange)
        verdicts[str(exchange)] = _verdicts(judge, _own_mutator(exchange), WRITTEN_DOWN)
    VERDICTS.write_text(json.dumps(verdicts, indent=1) + "\n")


if __name__ == "__main__":
    write_verdicts(Path(os.environ["RIVTA_OFFICIAL_CONTRACTS"]))
