"""Reading service domains: the official layout, tolerantly, and nothing from elsewhere."""

import shutil
from pathlib import Path

import pytest

from rivta import shipped
from rivta.contracts.domain import Contract, ContractFileError, imported_files, read_domain
from rivta.soap.identifiers import Profile

SHIPPED = shipped.folder("contracts") / "xsd"
MONITORING = "itintegration.monitoring"
PING = "interactions/PingForConfigurationInteraction"
RESPONDER = f"{PING}/PingForConfigurationResponder_1.0.xsd"
WSDL_21 = f"{PING}/PingForConfigurationInteraction_1.0_RIVTABP21.wsdl"


@pytest.fixture
def domain(tmp_path: Path) -> Path:
    """A copy of the monitoring domain to spoil."""
    return Path(shutil.copytree(SHIPPED / MONITORING, tmp_path / MONITORING))


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def only(folder: Path) -> Contract:
    (contract,) = read_domain(folder)
    return contract


def test_contract_is_what_its_wsdl_and_files_say() -> None:
    contract = only(SHIPPED / MONITORING)
    namespace = "urn:riv:itintegration:monitoring:PingForConfigurationResponder:1"
    assert (contract.namespace, contract.domain) == (namespace, "itintegration:monitoring")
    assert (contract.name, contract.major, contract.minor) == ("PingForConfiguration", 1, 0)
    assert contract.short_name == "PingForConfiguration:1"
    assert contract.operation == "PingForConfiguration"
    assert contract.request == f"{{{namespace}}}PingForConfiguration"
    assert contract.response == f"{{{namespace}}}PingForConfigurationResponse"
    assert contract.soap_action == f"{namespace}:PingForConfiguration"
    assert contract.schema == (SHIPPED / MONITORING / RESPONDER).resolve()
    assert [profile for profile, _ in contract.wsdls] == [Profile.RIVTABP20, Profile.RIVTABP21]


def test_domain_with_core_components_only_holds_no_contract() -> None:
    assert read_domain(SHIPPED / "interoperability.headers") == ()


def test_byte_order_mark_is_tolerated(domain: Path) -> None:
    for file in (*domain.rglob("*.xsd"), *domain.rglob("*.wsdl")):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert only(domain).name == "PingForConfiguration"


def test_highest_minor_version_is_taken_by_number(domain: Path) -> None:
    for minor in ("2", "10"):
        for name in (RESPONDER, WSDL_21):
            shutil.copy(domain / name, domain / name.replace("_1.0", f"_1.{minor}"))
        edit(domain / WSDL_21.replace("_1.0", f"_1.{minor}"), "Responder_1.0.xsd", f"Responder_1.{minor}.xsd")
    contract = only(domain)
    assert contract.minor == 10
    assert [path.name for _, path in contract.wsdls] == ["PingForConfigurationInteraction_1.10_RIVTABP21.wsdl"]


def test_minor_version_comes_from_the_schema_where_its_file_name_has_none(domain: Path) -> None:
    (domain / RESPONDER).rename(domain / PING / "Ping.xsd")
    for file in domain.rglob("*.wsdl"):
        edit(file, "PingForConfigurationResponder_1.0.xsd", "Ping.xsd")
    edit(domain / PING / "Ping.xsd", 'version="1.0">', 'version="1.7">')
    assert only(domain).minor == 7


@pytest.mark.parametrize(
    "location",
    [
        "http://example.org/evil.xsd",
        "HTTPS://example.org/evil.xsd",
        "//example.org/evil.xsd",
        "file:///etc/passwd",
        "/etc/passwd",
    ],
)
def test_schema_that_imports_from_elsewhere_is_refused(domain: Path, location: str) -> None:
    edit(domain / RESPONDER, "../../core_components/itintegration_monitoring_1.0.xsd", location)
    with pytest.raises(
        ContractFileError, match=r"PingForConfigurationResponder_1\.0\.xsd: imports .* not a file of the release"
    ):
        read_domain(domain)


def test_import_two_steps_away_is_checked_too(domain: Path) -> None:
    core = domain / "core_components/itintegration_monitoring_1.0.xsd"
    edit(core, "<xs:simpleType", '<xs:include schemaLocation="http://example.org/more.xsd"/><xs:simpleType')
    with pytest.raises(
        ContractFileError, match=r"itintegration_monitoring_1\.0\.xsd: imports 'http://example.org/more.xsd'"
    ):
        read_domain(domain)


def test_import_outside_the_domain_is_refused(domain: Path) -> None:
    edit(domain / RESPONDER, "../../core_components/", "../../../core_components/")
    with pytest.raises(ContractFileError, match="lies outside"):
        read_domain(domain)


def test_missing_import_is_named(domain: Path) -> None:
    (domain / "core_components/itintegration_monitoring_1.0.xsd").unlink()
    with pytest.raises(
        ContractFileError, match=r"Responder_1\.0\.xsd: imports .* and there is no .*monitoring_1\.0\.xsd"
    ):
        read_domain(domain)


def test_schemas_that_import_each_other_are_read_once(domain: Path) -> None:
    core = domain / "core_components/itintegration_monitoring_1.0.xsd"
    edit(core, "<xs:simpleType", '<xs:include schemaLocation="itintegration_monitoring_1.0.xsd"/><xs:simpleType')
    assert [path.name for _, path in imported_files(only(domain).schema, domain)] == [core.name, core.name]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("</wsdl:definitions>", "", r"line \d+: "),
        ("<wsdl:definitions", "<!DOCTYPE x><wsdl:definitions", "document type"),
        ('targetNamespace="urn:riv:itintegration:monitoring:PingForConfiguration:1:rivtabp21"', 'targetNamespace="urn:x"', "expected a WSDL whose"),
        ('name="parameters" element="responder:PingForConfiguration"', 'name="parameters" type="x"', "has 0 body parts"),
        ('element="responder:PingForConfiguration"/>', 'element="other:PingForConfiguration"/>', "prefix 'other' has no namespace"),
        ('<xs:import namespace="urn:riv:itintegration:monitoring:', '<xs:import namespace="urn:', "imports no schema for"),
        ("<wsdl:portType", "<wsdl:noPortType", "line"),
    ],
    ids=["malformed", "doctype", "foreign", "no body", "no namespace", "no schema", "no operation"],
)  # fmt: skip
def test_wsdl_that_cannot_be_used_is_named_with_the_reason(domain: Path, old: str, new: str, reason: str) -> None:
    edit(domain / WSDL_21, old, new)
    with pytest.raises(ContractFileError, match=rf"_RIVTABP21\.wsdl: .*{reason}"):
        read_domain(domain)


def test_every_domain_carries_the_same_registry_schema() -> None:
    copies = {path.read_bytes() for path in SHIPPED.glob("*/core_components/itintegration_registry_1.0.xsd")}
    assert len(copies) == 1
