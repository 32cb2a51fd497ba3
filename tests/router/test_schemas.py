"""Checking messages: a contract counts as unknown only when what has just been installed was looked at."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rivta.catalogue.decision import Route
from rivta.contracts import samples
from rivta.contracts.current import CurrentContracts
from rivta.contracts.installation import install
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators
from rivta.router.policy import Policy, Validation
from rivta.router.schemas import Schemas
from rivta.soap.faults import Fault, Refused
from rivta.soap.head import Head, read_head
from rivta.soap.identifiers import ContractNamespace, HsaId, LogicalAddress, Profile
from rivta.soap.xml import parse_xml
from tests.contracts.releases import NAMESPACE, release, zipped

ASK = ContractNamespace(NAMESPACE.format(major=1))
ROUTE = Route(
    logical_address=LogicalAddress("SE1-A"),
    contract=ASK,
    producer_address="p",
    component=HsaId("SE1-P"),
    url="https://localhost/",
    profile=Profile.RIVTABP21,
    valid_from=None,
    valid_to=None,
    source="a.yaml:1",
)
VALID, INVALID = "<question/>", "<answer/>"


def head(content: str) -> Head:
    payload = f'<Ask xmlns="{ASK}">{content}</Ask>'.encode()
    return read_head(parse_xml(samples.envelope(payload, "SE1-A")))


@dataclass
class Worker:
    """What a worker has in force, and how often it looked for more."""

    current: CurrentContracts
    looks: list[bool] = field(default_factory=list)

    async def look_again(self) -> None:
        self.looks.append(self.current.has_changed() and self.current.check())

    def schemas(self, **validation: Any) -> Schemas:
        policy = Policy(HsaId("SE1-PLATFORM"), "NAME", validation=Validation(**validation))
        return Schemas(policy, lambda: self.current.in_force, self.look_again)


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(CurrentContracts(tmp_path / "contracts"))


def add(tmp_path: Path) -> None:
    install([zipped(tmp_path / "ask.zip", release())], tmp_path / "contracts")


@pytest.mark.parametrize("rejects", [False, True], ids=["unknown ones pass", "unknown ones are refused"])
async def test_the_first_message_of_a_contract_that_was_just_installed_is_checked(
    rejects: bool, worker: Worker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    schemas = worker.schemas(reject_unknown_contract=rejects)
    add(tmp_path)
    with pytest.raises(Refused) as refused:
        await schemas.check_request(head(INVALID), ROUTE, 500)
    assert refused.value.fault is Fault.UNREADABLE
    assert "answer" in (refused.value.detail or "")
    assert await schemas.check_request(head(VALID), ROUTE, 500) == ()
    assert (worker.looks, caplog.messages) == ([True], [])


async def test_a_contract_that_nobody_installed_passes_with_one_warning_and_a_look_at_each_message(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    schemas = worker.schemas()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert await schemas.check_request(head(INVALID), ROUTE, 500) == ()
    assert worker.looks == [False] * 3
    assert caplog.messages == [f"no schema is installed for {ASK}: its messages pass unchecked"]


async def test_a_contract_that_is_known_costs_no_look(worker: Worker, tmp_path: Path) -> None:
    add(tmp_path)
    worker.current.check()
    assert await worker.schemas().check_request(head(VALID), ROUTE, 500) == ()
    assert worker.looks == []


async def test_contracts_that_never_change_need_nobody_who_looks() -> None:
    contracts = Contracts(())
    schemas = Schemas(Policy(HsaId("SE1-PLATFORM"), "NAME"), lambda: (contracts, Validators(contracts)))
    assert await schemas.check_request(head(INVALID), ROUTE, 500) == ()
