"""The tables that come with the program: what the demo's callers can reach, and that lint has nothing against them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from producers_stub.world import World
from rivta import shipped
from rivta.catalogue import content
from rivta.catalogue.compile import compile_table
from rivta.catalogue.decide import decide
from rivta.catalogue.decision import Decision
from rivta.catalogue.files import read_draft
from rivta.catalogue.hsa import HsaTree, read_hsa
from rivta.catalogue.lint import Report, Surroundings, check
from rivta.catalogue.table import Table
from rivta.contracts.installed import Contracts
from rivta.soap import namespaces
from tests.catalogue.tables import NOW

ROUTING = shipped.folder("routing")
WORLD = World.load()
NPO, JOURNAL, STRANGER = (identity.hsa_id for identity in WORLD.identities)
NATIONAL, REGIONAL = (platform.hsa_id for platform in WORLD.platforms)
CONTRACTS = (namespaces.GET_DIAGNOSIS_2, namespaces.GET_CARE_CONTACTS_3)
JOURNAL_SYSTEMS = [producer for producer in WORLD.producers if namespaces.GET_DIAGNOSIS_2 in producer.contracts]
STOCKHOLM = [str(one.logical_address) for producer in JOURNAL_SYSTEMS for one in producer.addresses if one.platform == "regional"]  # fmt: skip
OTHERS = [str(one.logical_address) for producer in JOURNAL_SYSTEMS for one in producer.addresses if one.platform == "national"]  # fmt: skip


def variables() -> dict[str, str]:
    names = ("national", "regional", *(producer.name for producer in WORLD.producers))
    return {name: f"https://{name}.test/" for name in names} | dict.fromkeys(
        ("monitoring", "catalogue"), "unix:/run/services.sock"
    )


def report(platform: str, hsa: HsaTree) -> Report:
    contracts = Contracts.shipped()
    reading = read_draft(ROUTING / platform, contracts=contracts, relative_to=ROUTING)
    return check(reading, Surroundings(hsa, variables(), (platform,)), now=NOW)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Table]]:
    hsa, problems = read_hsa(ROUTING / "hsa")
    assert problems == ()
    opened = {}
    for platform in ("national", "regional"):
        folder: Path = tmp_path_factory.mktemp(platform)
        frozen = content.encode(report(platform, hsa).draft)
        opened[platform] = Table.open(compile_table(frozen, hsa=hsa, variables=variables(), folder=folder))
    yield opened
    for table in opened.values():
        table.close()


@pytest.mark.parametrize("platform", ["national", "regional"])
def test_lint_has_nothing_against_them(platform: str) -> None:
    found = report(platform, read_hsa(ROUTING / "hsa")[0])
    assert (found.errors, found.warnings) == ((), ())


def ask(table: Table, sender: str, address: str, contract: str = namespaces.GET_DIAGNOSIS_2) -> Decision:
    return decide(table, sender=sender, contract=contract, logical_address=address, now=NOW)


def goes_to(table: Table, sender: str, address: str, contract: str = namespaces.GET_DIAGNOSIS_2) -> str:
    """Where a call goes, or the code it is refused with."""
    found = ask(table, sender, address, contract)
    return found.route.url if found.outcome.value == "routed" and found.route else found.outcome.value


@pytest.mark.parametrize("contract", [*CONTRACTS, namespaces.PING_FOR_CONFIGURATION_1])
def test_the_patient_overview_reaches_every_journal_system_of_the_world(
    tables: dict[str, Table], contract: str
) -> None:
    for address in STOCKHOLM:
        assert goes_to(tables["national"], NPO, address, contract) == "https://regional.test/"
    for producer in JOURNAL_SYSTEMS:
        for one in producer.addresses:
            sender = NATIONAL if one.platform == "regional" else NPO
            assert goes_to(tables[one.platform], sender, one.logical_address, contract) == f"https://{producer.name}.test/"  # fmt: skip


def test_the_journal_system_reaches_its_region_and_through_the_national_platform_the_others(
    tables: dict[str, Table],
) -> None:
    assert goes_to(tables["regional"], JOURNAL, "SE2321000016-KS") == "https://takecare-ks.test/"
    for address in OTHERS:
        assert goes_to(tables["regional"], JOURNAL, address) == "https://national.test/"
        assert goes_to(tables["national"], REGIONAL, address).startswith("https://")
    assert goes_to(tables["national"], JOURNAL, "SE2321000255-SUS") == "https://skane.test/"
    assert goes_to(tables["national"], JOURNAL, "SE2321000016-KS") == "VP007"


def test_a_clinic_without_rows_is_reached_by_the_tree(tables: dict[str, Table]) -> None:
    clinic = "SE2321000016-KS-MED"
    assert ask(tables["national"], NPO, clinic).route_trace == f"{clinic},(parent),SE2321000016-KS"
    assert goes_to(tables["regional"], NATIONAL, clinic) == "https://takecare-ks.test/"


@pytest.mark.parametrize("address", [*STOCKHOLM, *OTHERS])
def test_the_stranger_may_call_nothing(tables: dict[str, Table], address: str) -> None:
    assert goes_to(tables["national"], STRANGER, address) == "VP007"
    assert goes_to(tables["regional"], STRANGER, address) == "VP007"


def test_addresses_show_what_they_are_named_for(tables: dict[str, Table]) -> None:
    assert goes_to(tables["national"], NPO, "SE2321000016-EXPIRED") == "VP007"
    assert goes_to(tables["regional"], NATIONAL, "SE2321000016-DOWN") == "https://127.0.0.1:1/"
    assert goes_to(tables["national"], NPO, "SE9999999999-UNKNOWN") == "VP004"
    assert goes_to(tables["national"], REGIONAL, "SE2321000016-LOOP") == "https://regional.test/"
    assert goes_to(tables["regional"], NATIONAL, "SE2321000016-LOOP") == "https://national.test/"
    before = datetime(2025, 6, 1, tzinfo=UTC)
    found = decide(tables["national"], sender=NPO, contract=CONTRACTS[0], logical_address="SE2321000016-EXPIRED", now=before)  # fmt: skip
    assert found.outcome.value == "routed"


def test_each_platform_answers_a_ping_itself(tables: dict[str, Table]) -> None:
    ping = namespaces.PING_FOR_CONFIGURATION_1
    assert goes_to(tables["national"], NPO, NATIONAL, ping) == "unix:/run/services.sock"
    assert goes_to(tables["regional"], JOURNAL, REGIONAL, ping) == "unix:/run/services.sock"
    assert goes_to(tables["national"], NPO, REGIONAL, ping) == "https://regional.test/"
    assert goes_to(tables["regional"], NATIONAL, REGIONAL, ping) == "unix:/run/services.sock"


def test_platforms_are_marked_so_that_the_correlation_id_crosses(tables: dict[str, Table]) -> None:
    for table, sender, address in (
        (tables["national"], NPO, "SE2321000016-KS"),
        (tables["regional"], JOURNAL, "SE2321000255-SUS"),
    ):
        route = ask(table, sender, address).route
        assert route is not None
        assert route.platform
