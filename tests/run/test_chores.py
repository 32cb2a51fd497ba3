"""Work that is done over and over: looking for contracts that were installed."""

import logging
from pathlib import Path

import pytest

from rivta.contracts.current import CurrentContracts
from rivta.contracts.installation import install
from rivta.contracts.installed import MARKER
from rivta.run.chores import switch_contracts
from tests.contracts.releases import release, zipped


def test_a_switch_of_contracts_and_the_first_sight_of_a_problem_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "test")
    folder, log = tmp_path / "contracts", logging.getLogger("test")
    current = CurrentContracts(folder)
    assert not switch_contracts(current, log)
    assert caplog.messages == []
    install([zipped(tmp_path / "ask.zip", release())], folder)
    assert switch_contracts(current, log)
    (folder / MARKER).write_text("{")
    assert [switch_contracts(current, log) for _ in range(9)] == [False] * 9
    known = len(current.contracts)
    assert caplog.messages == [f"{known} contracts in force", f"the contracts in force stay: {current.problem}"]
    assert current.contracts.find("Ask")
