"""The contracts in force: new ones are seen at the next look, broken ones change nothing."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rivta import shipped
from rivta.contracts import validation
from rivta.contracts.current import CurrentContracts
from rivta.contracts.domain import ContractFileError
from rivta.contracts.installation import install, remove
from rivta.contracts.installed import MARKER, Contracts
from rivta.soap import namespaces
from rivta.soap.xml import parse_xml
from tests.contracts.releases import release, schema, zipped

SHIPPED = shipped.folder("contracts") / "xsd"
ASK = "urn:riv:test:asking:AskResponder:1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "contracts"


def add(folder: Path, version: str = "1.0", content: str = '<xs:element name="question"/>') -> None:
    text = schema(content, major=int(version[0]))
    install([zipped(folder.parent / "ask.zip", release(version, schema=text))], folder)


def test_shipped_contracts_are_in_force_without_a_folder_and_with_one_that_is_not_there(folder: Path) -> None:
    for installed in (None, folder):
        current = CurrentContracts(installed)
        assert {contract.namespace for contract in current.contracts} == {
            one.namespace for one in Contracts.load(SHIPPED)
        }
        assert current.check() is False
        assert current.problem is None


def test_what_is_installed_is_in_force_at_the_next_check_and_what_is_removed_no_longer(folder: Path) -> None:
    current = CurrentContracts(folder)
    add(folder)
    assert current.contracts.get(ASK) is None
    assert current.check() is True
    contract = current.contracts.find("Ask")
    payload = parse_xml(f'<Ask xmlns="{ASK}"><question/></Ask>'.encode())
    assert current.validators.check(contract, payload, "request").valid
    assert current.check() is False
    remove("Ask", folder)
    assert current.check() is True
    assert current.contracts.get(ASK) is None


def test_replaced_contract_is_checked_by_its_new_schema(folder: Path) -> None:
    add(folder)
    current = CurrentContracts(folder)
    payload = parse_xml(f'<Ask xmlns="{ASK}"><other/></Ask>'.encode())
    assert not current.validators.check(current.contracts.find("Ask"), payload, "request").valid
    before = current.in_force
    add(folder, content='<xs:element name="other"/>')
    assert current.check()
    assert current.validators.check(current.contracts.find("Ask"), payload, "request").valid
    assert not before[1].check(before[0].find("Ask"), payload, "request").valid


def test_schemas_that_stay_are_not_compiled_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(folder)
    current = CurrentContracts(folder)
    for contract in current.contracts:
        current.validators.compile(contract)
    compiled: list[Path] = []
    original = validation.compile_schema

    def noted(path: Path) -> Any:
        compiled.append(path)
        return original(path)

    monkeypatch.setattr(validation, "compile_schema", noted)
    add(folder, "2.0")
    assert current.check()
    for contract in current.contracts:
        current.validators.compile(contract)
    assert {path.name for path in compiled} == {"AskResponder_2.0.xsd"}


def test_check_costs_one_stat_when_nothing_was_installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(folder)
    current = CurrentContracts(folder)
    looked: list[Path] = []
    original = Path.stat

    def noted(path: Path, **named: Any) -> Any:
        looked.append(path)
        return original(path, **named)

    monkeypatch.setattr(Path, "stat", noted)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read"))
    assert current.check() is False
    assert looked == [folder / MARKER]


def test_what_was_not_looked_at_is_noticed_by_one_stat_and_what_was_is_not(folder: Path) -> None:
    current = CurrentContracts(folder)
    assert current.has_changed() is False
    add(folder)
    assert current.has_changed() is True
    assert current.contracts.get(ASK) is None
    current.check()
    assert current.has_changed() is False
    (folder / MARKER).write_text("{")
    assert current.has_changed() is True
    current.check()
    assert current.problem is not None
    assert current.has_changed() is False


def test_of_several_who_check_at_once_one_reads_and_all_find_it_in_force(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = CurrentContracts(folder)
    add(folder)
    reads = 0
    original = Contracts.with_folder

    def counted(contracts: Contracts, installed: Path) -> Contracts:
        nonlocal reads
        reads += 1
        return original(contracts, installed)

    monkeypatch.setattr(Contracts, "with_folder", counted)

    def found(number: int) -> bool:
        current.check()
        return current.contracts.get(ASK) is not None

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(found, range(8)))
    assert reads == 1


def test_broken_folder_keeps_what_is_in_force_says_why_and_is_tried_again_less_and_less_often(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(folder)
    current = CurrentContracts(folder)
    before = current.in_force
    add(folder, "2.0")
    broken = next(one for one in Contracts.load(folder) if one.major == 2)
    away = folder / "away"
    broken.schema.rename(away)
    tries = 0
    original = Contracts.with_folder

    def counted(contracts: Contracts, installed: Path) -> Contracts:
        nonlocal tries
        tries += 1
        return original(contracts, installed)

    monkeypatch.setattr(Contracts, "with_folder", counted)
    assert not any(current.check() for _ in range(300))
    assert current.in_force is before
    assert current.problem is not None
    assert "AskResponder_2.0.xsd" in current.problem
    assert 5 <= tries <= 10
    away.rename(broken.schema)
    assert any(current.check() for _ in range(300))
    assert current.problem is None
    assert current.contracts.find("Ask:2")


def test_next_installation_ends_the_problem_at_once(folder: Path) -> None:
    current = CurrentContracts(folder)
    folder.mkdir()
    (folder / MARKER).write_text("{")
    assert not any(current.check() for _ in range(20))
    assert current.problem
    (folder / MARKER).unlink()
    add(folder)
    assert current.check()
    assert current.problem is None


def test_schema_that_does_not_compile_changes_nothing(folder: Path) -> None:
    add(folder)
    current = CurrentContracts(folder)
    mine = Path(shutil.copytree(SHIPPED / "itintegration.monitoring", folder / "mine"))
    responder = next(mine.rglob("PingForConfigurationResponder_1.0.xsd"))
    responder.write_text(responder.read_text().replace('type="xs:string"', 'type="xs:nothing"', 1))
    add(folder, "2.0")
    assert current.check() is False
    assert "PingForConfigurationResponder_1.0.xsd" in (current.problem or "")


def test_domain_put_there_by_hand_is_read_anew_with_the_next_installation(folder: Path) -> None:
    mine = Path(shutil.copytree(SHIPPED / "itintegration.monitoring", folder / "mine"))
    current = CurrentContracts(folder)
    ping = current.contracts.find("PingForConfiguration")
    payload = parse_xml(f'<PingForConfiguration xmlns="{namespaces.PING_FOR_CONFIGURATION_1}"/>'.encode())
    assert not current.validators.check(ping, payload, "request").valid
    responder = next(mine.rglob("PingForConfigurationResponder_1.0.xsd"))
    text = responder.read_text()
    for name in ("serviceContractNamespace", "logicalAddress"):
        text = text.replace(f'<xs:element name="{name}"', f'<xs:element minOccurs="0" name="{name}"')
    responder.write_text(text)
    add(folder)
    assert current.check()
    assert current.validators.check(current.contracts.find("PingForConfiguration"), payload, "request").valid


def test_nothing_starts_on_a_broken_folder(folder: Path) -> None:
    folder.mkdir()
    (folder / MARKER).write_text("{")
    with pytest.raises(ContractFileError, match=r"installed.json"):
        CurrentContracts(folder)
