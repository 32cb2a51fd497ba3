"""The compiled table: point look-ups in a file that may be shared, old, or broken."""

import os
import sqlite3
import threading
from pathlib import Path

import pytest

from rivta.catalogue.decide import decide
from rivta.catalogue.decision import Outcome
from rivta.catalogue.rows import Resolution
from rivta.catalogue.table import Table, TableUnreadable
from tests.catalogue.tables import CONTACTS, DIAGNOSIS, NOW, compiled, tree

TABLE = """\
producer_addresses: {a: {component: C, url: "https://a.test/", client_certificate: own, ca: sit}}
routes:
- {logical_address: [SE1-A, SE1-B], contracts: [GetDiagnosis:2, GetCareContacts:3], producer_address: a}
permissions:
- {consumer: K1, logical_address: SE1-A, contracts: GetDiagnosis:2, agreement: x, valid_from: 2024-01-01}
- {consumer: K2, logical_address: SE1-A, contracts: GetCareContacts:3, agreement: y}
resolution: {delimiter: ";", hsa_climb: {permissions: false}}
"""


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return compiled(tmp_path, TABLE, hsa=tree(SE1_A="SE1-R", SE1_R=None))


def test_it_carries_its_publication_its_tree_and_its_rules(table: Table) -> None:
    assert (table.publication, table.hsa_version, table.digest) == (7, 3, table.path.stem)
    assert (table.routes_count, table.permissions_count) == (4, 2)
    assert table.resolution == Resolution(climb_permissions=False, delimiter=";")


def test_listings_can_be_narrowed(table: Table) -> None:
    assert len(list(table.routes())) == 4
    assert [route.contract for route in table.routes(address="se1-a", contract=DIAGNOSIS.upper())] == [DIAGNOSIS]
    assert [permission.agreement for permission in table.permissions(consumer="k2")] == ["y"]
    assert list(table.permissions(contract="urn:none")) == []
    assert len(list(table.routes(limit=3))) == 3
    (route,) = table.routes(address="SE1-A", contract=CONTACTS)
    assert (route.client_certificate, route.ca) == ("own", "sit")


def test_a_component_is_called_what_the_tables_call_it(tmp_path: Path) -> None:
    table = compiled(tmp_path, 'components: {SE1-JS: {name: "Journal system"}}\n' + TABLE)

    assert table.component_name("se1-js") == "Journal system"
    assert table.component_name("C") is None


def test_a_component_is_a_platform_if_its_row_says_so_wherever_it_stands(tmp_path: Path) -> None:
    """Not only with a producer address: one that only calls is one too."""
    table = compiled(tmp_path, "components: {SE1-Region: {name: R, platform: true}, SE1-JS: {name: J}}\n" + TABLE)

    assert table.is_platform("se1-REGION")
    assert not table.is_platform("SE1-JS")
    assert not table.is_platform("C")


def test_units_are_told_apart_by_case(table: Table) -> None:
    assert table.ancestors("SE1-A") == ("SE1-R", "SE")
    assert table.ancestors("se1-a") == ("SE",)
    assert table.units_spelled_like("se1-a") == ("SE1-A",)
    assert table.units_spelled_like("SE1-A") == ()


@pytest.mark.parametrize(
    "content", [b"", b"x" * 4096, b"SQLite format 3\x00"], ids=["empty", "rubbish", "only a start"]
)
def test_what_is_no_table_is_refused_with_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.sqlite"
    path.write_bytes(content)
    with pytest.raises(TableUnreadable, match=r"bad\.sqlite"):
        Table.open(path)


def test_a_missing_file_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(TableUnreadable, match=r"none\.sqlite cannot be opened: No such file"):
        Table.open(tmp_path / "none.sqlite")


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE a (b)")
    connection.commit()
    connection.close()
    with pytest.raises(TableUnreadable, match="not a table of format"):
        Table.open(path)


def test_a_file_cut_short_is_refused_at_once(table: Table, tmp_path: Path) -> None:
    path = tmp_path / "short.sqlite"
    path.write_bytes(table.path.read_bytes()[:-4096])
    with pytest.raises(TableUnreadable, match="its header says"):
        Table.open(path)


def test_damage_inside_is_an_error_of_ours_when_it_is_met(table: Table, tmp_path: Path) -> None:
    data = bytearray(table.path.read_bytes())
    for page in range(1, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = os.urandom(64)
    path = tmp_path / "damaged.sqlite"
    path.write_bytes(data)
    with pytest.raises(TableUnreadable, match=r"damaged\.sqlite"):
        list(Table.open(path).routes())


def test_a_name_with_odd_characters_is_opened(table: Table, tmp_path: Path) -> None:
    path = tmp_path / "å b?c#d%20.sqlite"
    path.write_bytes(table.path.read_bytes())
    assert Table.open(path).publication == 7


def test_the_file_is_closed_with_the_last_reference(tmp_path: Path) -> None:
    table = compiled(tmp_path, TABLE)
    connection = table._connection
    del table
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_a_closed_table_says_so(table: Table) -> None:
    table.close()
    with pytest.raises(TableUnreadable):
        table.ancestors("SE1-A")


def test_threads_share_a_table(table: Table) -> None:
    outcomes: list[Outcome] = []

    def ask() -> None:
        for number in range(100):
            address = f"SE1-{'AB'[number % 2]}"
            found = decide(table, sender="K1", contract=DIAGNOSIS, logical_address=address, now=NOW)
            outcomes.append(found.outcome)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(Outcome.ROUTED) == outcomes.count(Outcome.NO_PERMISSION) == 200
