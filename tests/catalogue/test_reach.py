"""Who can reach an address, and which permissions nobody has used."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from rivta.catalogue import content
from rivta.catalogue.checks.problems import all_rows
from rivta.catalogue.reach import Used, narrowed, places, reach, unused
from rivta.catalogue.table import Table
from tests.catalogue.tables import CONTACTS, DIAGNOSIS, NOW, compiled, read, tree

TABLE = """\
producer_addresses: {a: {component: P, url: "https://a.test/"}}
routes:
- {logical_address: R, contracts: [GetDiagnosis:2, GetCareContacts:3], producer_address: a, valid_from: 2024-01-01}
- {logical_address: S, contracts: GetDiagnosis:2, producer_address: a}
permissions:
- {consumer: K, logical_address: R, contracts: GetDiagnosis:2, agreement: x, valid_from: 2025-01-01, valid_to: 2027-12-31}
- {consumer: L, logical_address: '*', contracts: [GetDiagnosis:2, GetCareContacts:3], agreement: y}
- {consumer: M, logical_address: S, contracts: GetDiagnosis:2, agreement: z}
- {consumer: N, logical_address: R, contracts: GetDiagnosis:2, agreement: w, valid_to: 2025-12-31}
"""
TREE = tree(R=None, H="R", S=None)


def table(folder: Path) -> Table:
    return compiled(folder, TABLE, hsa=TREE)


def test_everybody_who_gets_there_is_told_with_rows_and_times(tmp_path: Path) -> None:
    found = reach(table(tmp_path), "H", now=NOW)
    assert [(one.consumer, one.contract, one.permission.logical_address) for one in found] == [
        ("K", DIAGNOSIS, "R"),
        ("L", DIAGNOSIS, "*"),
        ("L", CONTACTS, "*"),
    ]
    first = found[0]
    assert (first.route.source, first.permission.source) == ("tables.yaml:3", "tables.yaml:6")
    assert first.since == datetime(2024, 12, 31, 23, tzinfo=UTC)
    assert first.until == datetime(2027, 12, 31, 23, tzinfo=UTC)
    assert (found[1].since, found[1].until) == (datetime(2023, 12, 31, 23, tzinfo=UTC), None)


def test_reach_can_be_asked_of_one_consumer_contract_and_time(tmp_path: Path) -> None:
    one = table(tmp_path)
    assert [each.contract for each in reach(one, "H", now=NOW, consumer="l", contract=CONTACTS)] == [CONTACTS]
    then = datetime(2025, 6, 1, tzinfo=UTC)
    assert [each.consumer for each in reach(one, "H", now=then, contract=DIAGNOSIS)] == ["K", "L", "N"]


def test_an_address_of_several_parts_is_reached_by_its_parts(tmp_path: Path) -> None:
    one = table(tmp_path)
    assert places(one, "S#R") == ("R", "S")
    assert [each.consumer for each in reach(one, "S#R", now=NOW)] == ["K", "M"]


def test_a_narrowed_table_decides_the_same_at_that_address(tmp_path: Path) -> None:
    whole = table(tmp_path)
    rows = content.rows(content.encode(read(tmp_path / "again", tables=TABLE).draft))
    small = narrowed(rows, {place.lower() for place in places(whole, "S")})
    assert {row.logical_address for row in all_rows(small)} == {"S", "*"}
    assert small.producer_addresses
    assert small.resolution is None


def test_permissions_by_which_no_call_would_go_are_unused(tmp_path: Path) -> None:
    since = NOW - timedelta(days=180)
    used = [Used("K", DIAGNOSIS, "h", NOW), Used("L", CONTACTS, "H", NOW), Used("stranger", DIAGNOSIS, "X", NOW)]
    found = unused(table(tmp_path), used, since=since, now=NOW)
    told = [(one.permission.consumer, one.permission.contract) for one in found]
    assert told == [("L", DIAGNOSIS), ("M", DIAGNOSIS)] or sorted(told) == [("K", DIAGNOSIS), ("L", DIAGNOSIS), ("M", DIAGNOSIS)]  # fmt: skip


def test_a_permission_that_another_makes_needless_counts_as_unused(tmp_path: Path) -> None:
    text = TABLE.replace("consumer: M, logical_address: S", "consumer: L, logical_address: R")
    used = [Used("L", DIAGNOSIS, "H", NOW)]  # `*` comes before the units above
    found = unused(compiled(tmp_path, text, hsa=TREE), used, since=NOW - timedelta(days=1), now=NOW)
    assert ("L", "R") in [(one.permission.consumer, one.permission.logical_address) for one in found]
    assert ("L", "*", DIAGNOSIS) not in [
        (one.permission.consumer, one.permission.logical_address, one.permission.contract) for one in found
    ]


def test_what_is_young_or_has_ended_is_not_called_unused(tmp_path: Path) -> None:
    found = unused(table(tmp_path), [], since=datetime(2024, 12, 1, tzinfo=UTC), now=NOW)
    assert {one.permission.consumer for one in found} == {"L", "M"}
