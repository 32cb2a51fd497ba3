"""Which contract a text means, and which of several folders counts."""

import re
import shutil
from pathlib import Path

import pytest

from rivta import shipped
from rivta.contracts.domain import ContractFileError
from rivta.contracts.installed import Contracts, UnknownContract
from rivta.soap import namespaces

SHIPPED = shipped.folder("contracts") / "xsd"
CONTRACTS = Contracts.load(SHIPPED)


def test_shipped_contracts_are_there() -> None:
    assert {contract.namespace for contract in CONTRACTS} >= {
        namespaces.GET_DIAGNOSIS_2,
        namespaces.GET_CARE_CONTACTS_3,
        namespaces.PING_FOR_CONFIGURATION_1,
    }
    assert len(CONTRACTS) == len(list(CONTRACTS))


@pytest.mark.parametrize("text", ["GetDiagnosis", "GetDiagnosis:2", namespaces.GET_DIAGNOSIS_2])
def test_contract_is_found_by_each_of_its_names(text: str) -> None:
    assert CONTRACTS.find(text).namespace == namespaces.GET_DIAGNOSIS_2


def test_unknown_name_says_what_is_installed_and_what_may_be_meant() -> None:
    with pytest.raises(
        UnknownContract,
        match=r"'getdiagnoses' is not installed; did you mean GetDiagnosis:2\? \(installed: .*PingForConfiguration:1",
    ):
        CONTRACTS.find("getdiagnoses")


def test_unknown_namespace_is_no_contract() -> None:
    assert CONTRACTS.get("urn:riv:x:GetXResponder:1") is None


def second_release(tmp_path: Path, old: str, new: str) -> Path:
    """The diagnosis contract once more in a folder of its own, with one text changed in every file."""
    domain = Path(shutil.copytree(SHIPPED / "clinicalprocess.healthcond.description", tmp_path / "more/other.domain"))
    for file in (*domain.rglob("*.xsd"), *domain.rglob("*.wsdl")):
        file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    return tmp_path / "more"


def test_two_major_versions_make_the_bare_name_ambiguous(tmp_path: Path) -> None:
    more = second_release(tmp_path, "GetDiagnosisResponder:2", "GetDiagnosisResponder:3")
    for wsdl in more.rglob("*.wsdl"):
        wsdl.write_text(wsdl.read_text().replace("GetDiagnosis:2:", "GetDiagnosis:3:"))
    both = Contracts.load(SHIPPED, more)
    assert both.find("GetDiagnosis:3").major == 3
    with pytest.raises(UnknownContract, match=re.escape("say one of GetDiagnosis:2, GetDiagnosis:3")):
        both.find("GetDiagnosis")


def test_same_short_name_in_two_domains_needs_the_namespace(tmp_path: Path) -> None:
    more = second_release(tmp_path, "urn:riv:clinicalprocess:healthcond", "urn:riv:clinicalprocess:other")
    with pytest.raises(UnknownContract, match=r"say one of urn:riv:.*, urn:riv:"):
        Contracts.load(SHIPPED, more).find("GetDiagnosis:2")


def test_installed_release_replaces_the_shipped_one(tmp_path: Path) -> None:
    more = second_release(tmp_path, "Everything about one patient", "Anything about one patient")
    assert Contracts.load(SHIPPED, more).find("GetDiagnosis").folder == more / "other.domain"
    assert Contracts.load(more, SHIPPED).find("GetDiagnosis").folder.parent == SHIPPED


def test_folder_that_does_not_exist_holds_no_contracts(tmp_path: Path) -> None:
    assert list(Contracts.load(tmp_path / "contracts")) == []
    with pytest.raises(UnknownContract, match="no contract is"):
        Contracts.load(tmp_path / "contracts").find("GetDiagnosis")


def test_broken_release_is_reported_by_file(tmp_path: Path) -> None:
    more = second_release(tmp_path, "</xs:schema>", "")
    with pytest.raises(ContractFileError, match=r"Interaction_2\.0.*: line \d+"):
        Contracts.load(SHIPPED, more)
