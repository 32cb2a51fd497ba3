from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rivta.catalogue.files import read_draft
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.lint import Surroundings, check
from rivta.contracts.installed import Contracts
from rivta.onboarding.rows import Connected, table_rows
from rivta.soap.identifiers import Profile

DIAGNOSIS = "urn:riv:clinicalprocess:healthcond:description:GetDiagnosisResponder:2"
CONNECTED = Connected(
    url="https://journal.example.se:8443/soap?x=1",
    hsa_id="SE2321000016-MINE",
    name="Journal: 'of ours', \"new\" #1",
    contract=DIAGNOSIS,
    logical_address="SE2321000016-KS",
    profile=Profile.RIVTABP20,
    consumer="SE165565594230-NPO",
)


@pytest.mark.parametrize(
    "connected",
    [
        CONNECTED,
        replace(CONNECTED, consumer=None),
        replace(CONNECTED, hsa_id="no", name="yes", logical_address="123"),
        replace(CONNECTED, is_platform=True),
    ],
    ids=["all", "nobody permitted", "words that YAML reads otherwise", "a platform"],
)
def test_the_rows_are_read_back_as_they_were_meant(connected: Connected, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(table_rows(connected))

    reading = read_draft(tmp_path, contracts=Contracts.shipped())

    assert reading.problems == ()
    draft = reading.draft
    (component,), (address,), (route,) = draft.components, draft.producer_addresses, draft.routes
    assert (component.hsa_id, component.name, component.platform) == (
        connected.hsa_id,
        connected.name,
        connected.is_platform,
    )
    assert (address.component, address.url, address.profile) == (connected.hsa_id, connected.url, connected.profile)
    assert (route.logical_address, route.contract) == (connected.logical_address, DIAGNOSIS)
    assert [row.consumer for row in draft.permissions] == ([connected.consumer] if connected.consumer else [])


def test_lint_finds_no_mistake_in_the_rows(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(table_rows(CONNECTED))

    reading = read_draft(tmp_path, contracts=Contracts.shipped())

    assert check(reading, Surroundings(HsaTree(), {}, ()), now=datetime.now(UTC)).errors == ()
