"""Tables for tests: YAML as an operator writes it, read and compiled as the platform does."""

import textwrap
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rivta.catalogue import content
from rivta.catalogue.compile import compile_table
from rivta.catalogue.files import Reading, read_draft
from rivta.catalogue.hsa import HsaTree, Unit
from rivta.catalogue.lint import Report, Surroundings, check
from rivta.catalogue.table import Table
from rivta.soap.identifiers import ContractNamespace, short_name

DIAGNOSIS = ContractNamespace("urn:riv:clinicalprocess:healthcond:description:GetDiagnosisResponder:2")
CONTACTS = ContractNamespace("urn:riv:clinicalprocess:logistics:logistics:GetCareContactsResponder:3")
PING = ContractNamespace("urn:riv:itintegration:monitoring:PingForConfigurationResponder:1")
NOTIFICATION = ContractNamespace("urn:riv:itintegration:engagementindex:ProcessNotificationResponder:1")

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)

VARIABLES = {"national": "https://national.test/vp", "regional": "https://regional.test/vp"}


@dataclass(frozen=True)
class FakeContract:
    namespace: ContractNamespace


class FakeContracts:
    """Four installed contracts."""

    def find(self, text: str) -> FakeContract:
        for namespace in (DIAGNOSIS, CONTACTS, PING, NOTIFICATION):
            name = short_name(namespace)
            if text in (name, name.partition(":")[0]):
                return FakeContract(namespace)
        raise LookupError(f"contract {text!r} is not installed")


_IN_FORCE = FakeContracts()


def contracts_in_force() -> FakeContracts:
    """The same each time: nothing is installed meanwhile."""
    return _IN_FORCE


def written(folder: Path, **files: str) -> Path:
    """`folder` with a YAML file for each name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(textwrap.dedent(text), encoding="utf-8")
    return folder


def read(folder: Path, **files: str) -> Reading:
    """What the files hold; they are called by their names alone."""
    return read_draft(written(folder, **files), contracts=FakeContracts(), relative_to=folder)


def checked(
    folder: Path,
    text: str,
    *,
    hsa: HsaTree | None = None,
    variables: Mapping[str, str] = VARIABLES,
    own: tuple[str, ...] = (),
    tls_targets: Collection[str] | None = None,
    now: datetime = NOW,
) -> Report:
    """The report on one file of tables."""
    surroundings = Surroundings(hsa or HsaTree(), variables, own, tls_targets)
    return check(read(folder, tables=text), surroundings, now=now)


def compiled(
    folder: Path,
    text: str,
    *,
    hsa: HsaTree | None = None,
    variables: Mapping[str, str] = VARIABLES,
    publication: int = 7,
) -> Table:
    """The table of one file, with nothing wrong in how it is written; what lint says is not asked."""
    reading = read(folder / "draft", tables=text)
    assert reading.problems == ()
    path = compile_table(
        content.encode(reading.draft),
        hsa=hsa or HsaTree(),
        variables=variables,
        folder=folder / "tables",
        publication=publication,
        hsa_version=3,
    )
    return Table.open(path)


def tree(**parents: str | None) -> HsaTree:
    """Units by id, `_` for `-`, with the unit above each."""
    names = {key.replace("_", "-"): parent for key, parent in parents.items()}
    return HsaTree({hsa_id: Unit(hsa_id, "", parent) for hsa_id, parent in names.items()})
