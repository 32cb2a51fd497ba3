"""A router of another make that lives on what we publish decides as ours does: for any table, at any time it can tell."""

import tempfile
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rivta.catalogue import content
from rivta.catalogue.compile import compile_table
from rivta.catalogue.decide import decide
from rivta.catalogue.hsa import HsaTree, Unit
from rivta.catalogue.quirks import RegistryRules
from rivta.catalogue.rows import Bound, Component, Draft, PermissionRow, Place, ProducerAddress, RouteRow
from rivta.catalogue.table import Table
from rivta.soap.identifiers import ContractNamespace, HsaId, LogicalAddress, Profile
from tests.catalogue.tables import CONTACTS, DIAGNOSIS, compiled
from tests.catalogue.worked_example import AT, BOOKINGS, HSA, LAB, TABLE
from tests.run.services.other_router import V2, OtherRouter, at
from tests.run.services.served import answer_to, catalogue

PLACE = Place("t.yaml", 1)
TREE = HsaTree({unit: Unit(unit, "", parent) for unit, parent in (("A", "R"), ("B", "R"), ("R", None))})
ABOVE = {"A": ("R",), "B": ("R",), "R": ()}
ADDRESSES = ("A", "b", "B", "R", "SE", "*", "X")
ASKED = (*ADDRESSES, "a", "A#B", "X#A", "A#B#X", "Å")
CONSUMERS = ("K1", "k1", "K2")
CONTRACTS = (DIAGNOSIS, CONTACTS)
FIRST = date(2026, 3, 25)
"""The days around the end of winter time: one of them has 23 hours."""
QUICK = (Phase.explicit, Phase.generate)
"""Without shrinking, which takes minutes here: each example is a table that is compiled."""

days = st.integers(0, 9).map(lambda number: FIRST + timedelta(days=number))
instants = st.builds(
    lambda day, hour, offset: datetime.combine(day, time(hour), timezone(timedelta(hours=offset))),
    days,
    st.integers(0, 23),
    st.integers(-2, 3),
)


def periods(bounds: st.SearchStrategy[Bound]) -> st.SearchStrategy[tuple[Bound | None, Bound | None]]:
    return st.tuples(st.none() | bounds, st.none() | bounds)


def tables(bounds: st.SearchStrategy[Bound]) -> st.SearchStrategy[Draft]:
    routes = st.builds(
        lambda address, contract, producer, period: RouteRow(
            LogicalAddress(address), ContractNamespace(contract), producer, period[0], period[1], PLACE
        ),
        st.sampled_from(ADDRESSES),
        st.sampled_from(CONTRACTS),
        st.sampled_from(("p1", "p2", "none")),
        periods(bounds),
    )
    permissions = st.builds(
        lambda consumer, address, contract, period: PermissionRow(
            HsaId(consumer), LogicalAddress(address), ContractNamespace(contract), "x", period[0], period[1], (), PLACE
        ),
        st.sampled_from(CONSUMERS),
        st.sampled_from(ADDRESSES),
        st.sampled_from(CONTRACTS),
        periods(bounds),
    )
    return st.builds(
        lambda routes, permissions: Draft(
            components=(Component(HsaId("C"), "c", platform=False, place=PLACE),),
            producer_addresses=tuple(
                ProducerAddress(name, HsaId("C"), url, Profile.RIVTABP21, None, None, PLACE)
                for name, url in (("p1", "https://one/?a&b"), ("p2", "https://two/"), ("none", ""))
            ),
            routes=tuple(routes),
            permissions=tuple(permissions),
        ),
        st.lists(routes, max_size=12),
        st.lists(permissions, max_size=12),
    )


def lists(table: Table, rules: RegistryRules) -> tuple[bytes, bytes]:
    """Both lists as the service answers them."""
    served = catalogue(table, rules=rules)
    routes, permissions = (
        answer_to(served, f'<v:hamtaAlla{name} xmlns:v="{V2.strip("{}")}"/>').body
        for name in ("Virtualiseringar", "AnropsBehorigheter")
    )
    return routes, permissions


def ours(table: Table, sender: str, contract: str, address: str, now: datetime) -> str:
    decision = decide(table, sender=sender, contract=contract, logical_address=address, now=now)
    return decision.route.url if decision.outcome.value == "routed" and decision.route else decision.outcome.value


def assert_same(draft: Draft, rules: RegistryRules, times: Iterable[datetime]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = compile_table(content.encode(draft), hsa=TREE, variables={}, folder=Path(folder))
        table = Table.open(path)
        other = OtherRouter(ABOVE)
        other.refresh(*lists(table, rules))
        for now in times:
            for sender in CONSUMERS:
                for contract in CONTRACTS:
                    for address in ASKED:
                        found = other.decide(sender, contract, address, now)
                        assert found == ours(table, sender, contract, address, now), (sender, contract, address, now)
        table.close()


@settings(max_examples=40, phases=QUICK)
@given(tables(days | instants), st.lists(st.integers(0, 12 * 24 * 4), min_size=1, max_size=4))
def test_with_zoned_dates_it_decides_as_ours_at_any_time(draft: Draft, quarters: list[int]) -> None:
    # Half a second past a quarter: a row that ends at an instant of its own ends just after it there, and at it here.
    start = datetime.combine(FIRST - timedelta(days=1), time(0, 0, 0, 500_000), UTC)

    assert_same(draft, RegistryRules(dates="zoned"), [start + timedelta(minutes=15 * number) for number in quarters])


@settings(max_examples=40, phases=QUICK)
@given(tables(days), st.lists(st.tuples(st.integers(-1, 10), st.integers(0, 9)), min_size=1, max_size=4))
def test_with_taks_dates_it_decides_as_ours_from_midnight_to_ten(draft: Draft, times: list[tuple[int, int]]) -> None:
    # 00:00 to 09:59 UTC: outside the hours that it opens a row early (from 10:00 UTC the day before) and closes it
    # early (after 14:00 UTC on its last day).
    assert_same(
        draft,
        RegistryRules(),
        [datetime.combine(FIRST + timedelta(days=day), time(hour, 30), UTC) for day, hour in times],
    )


ONE_DAY = f"""\
producer_addresses: {{a: {{component: C, url: "https://a.test/"}}, b: {{component: C, url: "https://b.test/"}}}}
routes:
- {{logical_address: A, contracts: "{DIAGNOSIS}", producer_address: a, valid_to: 2026-01-31}}
- {{logical_address: A, contracts: "{DIAGNOSIS}", producer_address: b, valid_from: 2026-02-01, valid_to: 2026-02-03}}
permissions:
- {{consumer: K, logical_address: A, contracts: "{DIAGNOSIS}", agreement: x}}
"""


@pytest.mark.parametrize(
    ("now", "by_tak_dates", "by_zoned_dates"),
    [
        ("2026-01-31T09:59:59", "https://a.test/", "https://a.test/"),
        ("2026-01-31T10:00:00", "VP006", "https://a.test/"),  # the new route opens 14 hours early
        ("2026-01-31T14:00:00", "VP006", "https://a.test/"),
        ("2026-01-31T14:00:01", "https://b.test/", "https://a.test/"),  # and the old one closes after 14:00 UTC
        ("2026-01-31T23:00:00", "https://b.test/", "https://b.test/"),
        ("2026-02-03T14:00:00", "https://b.test/", "https://b.test/"),
        ("2026-02-03T14:00:01", "VP004", "https://b.test/"),
        ("2026-02-03T22:59:59", "VP004", "https://b.test/"),
        ("2026-02-03T23:00:00", "VP004", "VP004"),
    ],
)
def test_at_a_swap_taks_dates_show_it_two_routes_and_zoned_ones_do_not(
    tmp_path: Path, now: str, by_tak_dates: str, by_zoned_dates: str
) -> None:
    table = compiled(tmp_path, ONE_DAY)

    for rules, expected in ((RegistryRules(), by_tak_dates), (RegistryRules(dates="zoned"), by_zoned_dates)):
        other = OtherRouter()
        other.refresh(*lists(table, rules))
        assert other.decide("K", DIAGNOSIS, "A", at(now)) == expected
    assert ours(table, "K", DIAGNOSIS, "A", at(now)) == by_zoned_dates


@pytest.mark.parametrize(
    ("sender", "contract", "address", "expected"),
    [
        ("KONS1", BOOKINGS, "SE2321-A1", "https://p1/b?a=1&b=2"),
        ("KONS1", LAB, "SE2321-A1", "https://p1/l"),
        ("KONS1", LAB, "SE9999", "https://national.test/vp"),
        ("KONS2", LAB, "SE2321-A1", "VP007"),
        ("KONS2", BOOKINGS, "SE2321-R1", "VP004"),
    ],
)
def test_it_decides_the_worked_example(tmp_path: Path, sender: str, contract: str, address: str, expected: str) -> None:
    table = compiled(tmp_path, TABLE, hsa=HSA)
    other = OtherRouter({"SE2321-A1": ("SE2321-R1",), "SE2321-R1": ()})
    other.refresh(*lists(table, RegistryRules()))

    assert other.decide(sender, contract, address, AT) == expected
    assert ours(table, sender, contract, address, AT) == expected
