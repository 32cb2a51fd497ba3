"""What the registry services ask of a table: the incumbent's answers, and each of its disagreements with itself."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from rivta.catalogue import registry
from rivta.catalogue.decide import decide
from rivta.catalogue.quirks import RegistryRules
from rivta.catalogue.registry import Addressee
from rivta.catalogue.rows import NotificationFilter
from rivta.catalogue.table import Table
from tests.catalogue.tables import DIAGNOSIS, NOTIFICATION, NOW, compiled
from tests.catalogue.worked_example import AT, BOOKINGS, HSA, LAB, TABLE

KAT = RegistryRules()


@pytest.fixture
def example(tmp_path: Path) -> Table:
    return compiled(tmp_path, TABLE, hsa=HSA)


def supported(
    table: Table, address: str, consumer: str | None, *, now: datetime = AT, rules: RegistryRules = KAT
) -> list[str]:
    found = registry.supported_contracts(table, logical_address=address, consumer=consumer, now=now, rules=rules)
    return list(found)


def addresses(
    table: Table, consumer: str, contract: str, *, now: datetime = AT, rules: RegistryRules = KAT
) -> list[str]:
    pages = registry.logical_addressees(table, consumer=consumer, contract=contract, now=now, rules=rules)
    return [one.logical_address for page in pages for one in page]


@pytest.mark.parametrize(
    ("sender", "contract", "address", "outcome", "route_trace", "permission_trace"),
    [
        ("KONS1", BOOKINGS, "SE2321-A1", "routed", "SE2321-A1", "SE2321-A1,(default),*,(parent),SE2321-R1"),
        ("KONS1", LAB, "SE2321-A1", "routed", "SE2321-A1,(parent),SE2321-R1", "SE2321-A1,(default),*"),
        ("KONS1", LAB, "SE9999", "routed", "SE9999,(parent),SE,(default),*", "SE9999,(default),*"),
        (
            "KONS2",
            LAB,
            "SE2321-A1",
            "VP007",
            "SE2321-A1,(parent),SE2321-R1",
            "SE2321-A1,(default),*,(parent),SE2321-R1,SE",
        ),
        ("KONS2", BOOKINGS, "SE2321-R1", "VP004", "SE2321-R1,(parent),SE,(default),*", ""),
    ],
)
def test_the_engine_decides_the_worked_example_as_the_incumbents_router(
    example: Table,
    sender: str,
    contract: str,
    address: str,
    outcome: str,
    route_trace: str,
    permission_trace: str,
) -> None:
    decision = decide(example, sender=sender, contract=contract, logical_address=address, now=AT)

    assert (decision.outcome.value, decision.route_trace, decision.permission_trace) == (
        outcome,
        route_trace,
        permission_trace,
    )


def test_supported_contracts_are_those_permitted_at_exactly_that_address(example: Table) -> None:
    assert supported(example, "se2321-r1", None) == [BOOKINGS]  # LAB has run out
    assert supported(example, "SE2321-R1", "kons1") == [BOOKINGS]
    assert supported(example, "SE2321-R1", "") == []
    assert supported(example, "SE2321-A1", "KONS1") == []  # though the router would route both
    assert supported(example, "*", None) == [LAB]


def test_addressees_are_listed_without_those_whose_permission_has_run_out(example: Table) -> None:
    assert addresses(example, "KONS2", LAB) == []
    assert addresses(example, "KONS2", LAB, rules=RegistryRules(expired_listed=True)) == ["SE2321-R1"]
    assert addresses(example, "KONS1", LAB) == ["*"]


def test_addressees_are_told_apart_by_case_unless_tak_is_asked_for(example: Table) -> None:
    in_any_case = RegistryRules(consumer_in_any_case=True)

    assert addresses(example, "kons1", LAB) == []
    assert addresses(example, "kons1", LAB, rules=in_any_case) == ["*"]
    assert addresses(example, "KONS1", LAB.upper(), rules=in_any_case) == []
    assert addresses(example, "", LAB) == []


LAST_DAY = f"""\
permissions:
- {{consumer: K, logical_address: A, contracts: "{DIAGNOSIS}", agreement: x, valid_to: 2026-11-24}}
- {{consumer: I, logical_address: A, contracts: "{DIAGNOSIS}", agreement: x, valid_to: "2026-11-24T13:30:00+01:00"}}
"""


@pytest.mark.parametrize(
    ("consumer", "now", "kat", "tak"),
    [
        ("K", datetime(2026, 11, 23, 23, 0, tzinfo=UTC), [DIAGNOSIS], [DIAGNOSIS]),
        ("K", datetime(2026, 11, 23, 23, 1, tzinfo=UTC), [DIAGNOSIS], []),
        ("K", datetime(2026, 11, 24, 22, 59, tzinfo=UTC), [DIAGNOSIS], []),
        ("K", datetime(2026, 11, 24, 23, 0, tzinfo=UTC), [], []),
        ("I", datetime(2026, 11, 24, 12, 29, tzinfo=UTC), [DIAGNOSIS], [DIAGNOSIS]),
        ("I", datetime(2026, 11, 24, 12, 30, tzinfo=UTC), [], []),
    ],
    ids=["midnight", "just after", "last minute", "next day", "before the instant", "at the instant"],
)
def test_the_last_day_counts_unless_tak_is_asked_for(
    tmp_path: Path, consumer: str, now: datetime, kat: list[str], tak: list[str]
) -> None:
    table = compiled(tmp_path, LAST_DAY)

    assert supported(table, "A", consumer, now=now) == kat
    assert supported(table, "A", consumer, now=now, rules=RegistryRules(last_day_excluded=True)) == tak


SUBSCRIPTIONS = f"""\
permissions:
- {{consumer: EI, logical_address: B, contracts: "{NOTIFICATION}", agreement: x, valid_from: 2026-01-01,
   filters: [{{domain: "riv:d1", categories: [dia, voo]}}, {{domain: "riv:d2"}}]}}
- {{consumer: EI, logical_address: B, contracts: "{NOTIFICATION}", agreement: y, valid_from: 2026-02-01}}
- {{consumer: EI, logical_address: b, contracts: "{NOTIFICATION}", agreement: z}}
- {{consumer: EI, logical_address: A, contracts: "{NOTIFICATION}", agreement: x}}
"""
FILTERS = (NotificationFilter("riv:d1", ("dia", "voo")), NotificationFilter("riv:d2", ()))


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_an_address_comes_once_with_the_filters_of_its_first_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    table = compiled(tmp_path, SUBSCRIPTIONS)
    monkeypatch.setattr(registry, "PAGE", size)

    def addressees(rules: RegistryRules) -> list[tuple[str, tuple[NotificationFilter, ...]]]:
        found: list[list[Addressee]] = list(
            registry.logical_addressees(table, consumer="EI", contract=NOTIFICATION, now=NOW, rules=rules)
        )
        assert max(map(len, found)) <= size
        return [(one.logical_address, one.filters) for page in found for one in page]

    assert addressees(KAT) == [("A", ()), ("b", ()), ("B", FILTERS)]
    assert addressees(RegistryRules(record_per_permission=True)) == [("A", ()), ("b", ()), ("B", FILTERS), ("B", ())]


def test_version_1_lists_addresses_alone_in_any_case(tmp_path: Path) -> None:
    table = compiled(tmp_path, SUBSCRIPTIONS)

    found = registry.logical_addresses(table, consumer="ei", contract=NOTIFICATION.lower(), now=NOW, rules=KAT)

    assert list(found) == [["A", "b", "B"]]
    assert list(registry.logical_addresses(table, consumer="ei", contract="urn:none", now=NOW, rules=KAT)) == []


def test_rows_are_listed_in_pages_that_lose_and_repeat_nothing(tmp_path: Path) -> None:
    rows = "\n".join(
        f'- {{consumer: K{number % 7}, logical_address: [A{number}, a{number}], contracts: "{DIAGNOSIS}", agreement: x}}'
        for number in range(40)
    )
    table = compiled(tmp_path, f"permissions:\n{rows}\n")

    for size in (1, 3, 1000):
        pages = list(table.permission_pages(size))
        ids = [row.row_id for page in pages for row in page]
        assert len(ids) == len(set(ids)) == 80
        assert max(map(len, pages)) <= size
        assert sum(len(page) for number in range(7) for page in table.permission_pages_of(f"k{number}", size)) == 80


def test_no_list_and_no_query_reads_more_of_the_table_than_it_gives(tmp_path: Path) -> None:
    table = compiled(tmp_path, TABLE, hsa=HSA)
    plans: list[str] = []
    original = table._all

    class Watched(Table):
        __slots__ = ()

        def _all(self, query: str, values: tuple[str | int | None, ...]) -> list[tuple[object, ...]]:
            plans.extend(str(row[3]) for row in original(f"EXPLAIN QUERY PLAN {query}", values))
            return original(query, values)

    table.__class__ = Watched
    list(table.route_pages(2))
    list(table.route_pages(2, producer=1))
    list(table.permission_pages(2))
    list(table.permission_pages_of("KONS1", 2))
    list(table.component_pages(2))
    table.producer_addresses_of("prod1")
    list(table.permission_pages_with("KONS1", 1, 1))
    table.contracts_permitted_at("*", None, 0)
    table.contracts_permitted_at("*", "KONS1", 0)

    assert plans
    assert [plan for plan in plans if "SCAN" in plan or "ORDER BY" in plan] == []
