"""The tables that come with the program: what the demo's callers can reach, and that lint has nothing against them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from producers_stub.world import JOURNAL_CONTRACTS, World
from rivta import shipped
from rivta.catalogue import content
from rivta.catalogue.compile import compile_table
from rivta.catalogue.decide import decide
from rivta.catalogue.decision import Decision
from rivta.catalogue.files import read_draft
from rivta.catalogue.hsa import HsaTree, read_hsa
from rivta.catalogue.lint import Report, Surroundings, check
from rivta.catalogue.quirks import RegistryRules
from rivta.catalogue.registry import logical_addressees
from rivta.catalogue.table import Table
from rivta.contracts.installed import Contracts
from rivta.soap import namespaces
from rivta.soap.identifiers import short_name
from tests.catalogue.tables import NOW

ROUTING = shipped.folder("routing")
WORLD = World.load()
NPO, JOURNAL, STRANGER = (identity.hsa_id for identity in WORLD.identities)
NATIONAL, REGIONAL = (platform.hsa_id for platform in WORLD.platforms)
COUNTRY = WORLD.platform("national").aggregation_address
CONTRACTS = (namespaces.PING_FOR_CONFIGURATION_1, *JOURNAL_CONTRACTS)
STOCKHOLM = [str(one.logical_address) for producer in WORLD.producers for one in producer.addresses if one.platform == "regional"]  # fmt: skip
OTHERS = [str(one.logical_address) for producer in WORLD.producers for one in producer.addresses if one.platform == "national"]  # fmt: skip
REGISTER = "SE2021004748-LF"


def variables() -> dict[str, str]:
    names = ("national", "regional", *(producer.name for producer in WORLD.producers))
    own = dict.fromkeys(("monitoring", "catalogue", "index"), "unix:/run/services.sock")
    return {name: f"https://{name}.test/" for name in names} | own | {"aggregation": "aggregation:"}


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


@pytest.mark.parametrize("contract", CONTRACTS, ids=short_name)
def test_the_patient_overview_reaches_every_address_of_the_world_that_has_the_contract(
    tables: dict[str, Table], contract: str
) -> None:
    for producer in WORLD.producers:
        for one in producer.addresses:
            found = goes_to(tables["national"], NPO, one.logical_address, contract)
            if contract not in producer.contracts:
                assert found in ("VP004", "VP007")
            elif one.platform == "regional":
                assert found == "https://regional.test/"
                assert goes_to(tables["regional"], NATIONAL, one.logical_address, contract) == f"https://{producer.name}.test/"  # fmt: skip
            else:
                assert found == f"https://{producer.name}.test/"


def test_the_journal_system_reaches_its_region_and_through_the_national_platform_the_others(
    tables: dict[str, Table],
) -> None:
    assert goes_to(tables["regional"], JOURNAL, "SE2321000016-KS") == "https://takecare-ks.test/"
    for address in set(OTHERS) - {REGISTER}:
        assert goes_to(tables["regional"], JOURNAL, address) == "https://national.test/"
        assert goes_to(tables["national"], REGIONAL, address).startswith("https://")
    assert goes_to(tables["national"], JOURNAL, "SE2321000255-SUS") == "https://skane.test/"
    assert goes_to(tables["national"], JOURNAL, "SE2321000016-KS") == "VP007"


def test_a_clinic_without_rows_is_reached_by_the_tree(tables: dict[str, Table]) -> None:
    clinic = "SE2321000016-KS-MED"
    assert ask(tables["national"], NPO, clinic).route_trace == f"{clinic},(parent),SE2321000016-KS"
    assert goes_to(tables["regional"], NATIONAL, clinic) == "https://takecare-ks.test/"


def test_the_register_of_medicines_and_the_patients_log_are_reached_by_the_patient_overview_only(
    tables: dict[str, Table],
) -> None:
    medicines, log = namespaces.GET_DISPENSED_MEDICINES_1, namespaces.GET_ACCESS_LOGS_FOR_PATIENT_1
    assert goes_to(tables["national"], NPO, REGISTER, medicines) == "https://medication-register.test/"
    assert goes_to(tables["national"], NPO, NATIONAL, log) == "unix:/run/services.sock"
    for sender in (JOURNAL, REGIONAL, STRANGER):
        assert goes_to(tables["national"], sender, REGISTER, medicines) == "VP007"
        assert goes_to(tables["national"], sender, NATIONAL, log) == "VP007"


@pytest.mark.parametrize("address", sorted({*STOCKHOLM, *OTHERS} - {REGISTER}))
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
    found = decide(tables["national"], sender=NPO, contract=namespaces.GET_DIAGNOSIS_2, logical_address="SE2321000016-EXPIRED", now=before)  # fmt: skip
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


@pytest.mark.parametrize("contract", JOURNAL_CONTRACTS, ids=short_name)
def test_each_platform_aggregates_at_its_own_address(tables: dict[str, Table], contract: str) -> None:
    assert goes_to(tables["national"], NPO, COUNTRY, contract) == "aggregation:"
    assert goes_to(tables["regional"], JOURNAL, REGIONAL, contract) == "aggregation:"
    assert goes_to(tables["regional"], JOURNAL, COUNTRY, contract) == "https://national.test/"
    assert goes_to(tables["national"], REGIONAL, COUNTRY, contract) == "aggregation:"
    assert goes_to(tables["national"], STRANGER, COUNTRY, contract) == "VP007"


def test_the_aggregating_services_may_ask_their_own_index(tables: dict[str, Table]) -> None:
    find = namespaces.FIND_CONTENT_1
    assert goes_to(tables["national"], NATIONAL, COUNTRY, find) == "unix:/run/services.sock"
    assert goes_to(tables["regional"], REGIONAL, REGIONAL, find) == "unix:/run/services.sock"


def test_every_system_may_announce_what_it_has_at_the_index_that_it_is_connected_to(tables: dict[str, Table]) -> None:
    addresses = {platform.key: platform.aggregation_address for platform in WORLD.platforms}
    for producer in WORLD.producers:
        if not set(JOURNAL_CONTRACTS).intersection(producer.contracts):
            continue  # the register is in no index
        for one in producer.addresses:
            index = addresses[one.platform]
            assert goes_to(tables[one.platform], producer.hsa_id, index, namespaces.UPDATE_1) == "unix:/run/services.sock"  # fmt: skip
            assert goes_to(tables[one.platform], producer.hsa_id, index, namespaces.FIND_CONTENT_1) == "VP007"


def test_the_regional_index_notifies_the_national_one_and_nobody_notifies_the_region(tables: dict[str, Table]) -> None:
    notify = namespaces.PROCESS_NOTIFICATION_1
    rules = RegistryRules()
    assert goes_to(tables["regional"], REGIONAL, COUNTRY, notify) == "https://national.test/"
    assert goes_to(tables["national"], REGIONAL, COUNTRY, notify) == "unix:/run/services.sock"
    subscribers = [logical_addressees(tables[key], consumer=own, contract=notify, now=NOW, rules=rules) for key, own in (("national", NATIONAL), ("regional", REGIONAL))]  # fmt: skip
    assert [[one.logical_address for page in pages for one in page] for pages in subscribers] == [[], [COUNTRY]]


@pytest.mark.parametrize("contract", JOURNAL_CONTRACTS, ids=short_name)
def test_an_aggregate_for_the_region_reaches_the_same_sources_as_one_for_the_patient_overview(
    tables: dict[str, Table], contract: str
) -> None:
    """The national aggregating service calls each source in the name of who called it."""
    for address in [*STOCKHOLM, *OTHERS]:
        assert goes_to(tables["national"], REGIONAL, address, contract) == goes_to(tables["national"], NPO, address, contract)  # fmt: skip
