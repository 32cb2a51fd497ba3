"""PingForConfiguration: what runs, with which publication; or as the incumbent's catalogue says it."""

from pathlib import Path

import pytest

import rivta
from rivta.catalogue.quirks import RegistryRules
from rivta.soap import namespaces
from tests.catalogue.tables import compiled
from tests.run.services.served import answer_to, catalogue, children, fault_of, payload_of

PING = (
    f'<p:PingForConfiguration xmlns:p="{namespaces.PING_FOR_CONFIGURATION_1}">'
    "<p:serviceContractNamespace>urn:x</p:serviceContractNamespace><p:logicalAddress>SE1</p:logicalAddress>"
    "</p:PingForConfiguration>"
)
BARE = RegistryRules(bare_ping=True)


@pytest.mark.parametrize(("has_table", "publication"), [(True, "7"), (False, "-")])
def test_it_tells_version_title_and_publication(tmp_path: Path, has_table: bool, publication: str) -> None:
    table = compiled(tmp_path, "routes: []\n") if has_table else None

    root = payload_of(answer_to(catalogue(table), PING).body)

    assert children(root)[:2] == [("version", rivta.__version__), ("pingDateTime", "20261124130000")]
    assert [[text for _, text in children(one)] for one in list(root)[2:]] == [
        ["Applikation", "Platform of the test"],
        ["Publicering", publication],
    ]


def test_as_tak_it_tells_that_it_is_tk_admin_services(tmp_path: Path) -> None:
    answer = answer_to(catalogue(compiled(tmp_path, "routes: []\n"), rules=BARE), PING)

    assert b"version>" not in answer.body
    assert b"<name>Applikation</name><value>tk-admin-services</value>" in answer.body
    assert answer.body.count(b"<configuration>") == 1


def test_as_tak_it_is_a_fault_without_a_table() -> None:
    code, text = fault_of(answer_to(catalogue(None, rules=BARE), PING))

    assert code == "Server"
    assert text.startswith("Severe error in TK admin service access to TAK Cache, message: ")
