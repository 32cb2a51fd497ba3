"""Numbers for rows: small, and the same in every publication."""

from pathlib import Path

from rivta.catalogue.row_ids import RowIds
from tests.catalogue.tables import DIAGNOSIS, compiled

ROW = f'- {{{{consumer: {{}}, logical_address: A, contracts: "{DIAGNOSIS}", agreement: x, valid_to: {{}}}}}}\n'


def test_a_number_is_of_its_key_alone_and_fits_32_bits() -> None:
    first, second = RowIds(), RowIds()
    second.number("another")

    numbers = [first.number("permission", str(one)) for one in range(1000)]

    assert [second.number("permission", str(one)) for one in range(1000)] == numbers
    assert len(set(numbers)) == 1000
    assert all(0 < number < 2**31 for number in numbers)


def test_two_rows_of_one_key_have_two_numbers() -> None:
    ids = RowIds()
    first, second = ids.number("a"), ids.number("a")

    assert second == first + 1


def test_a_row_keeps_its_number_while_others_come_and_go_and_its_end_moves(tmp_path: Path) -> None:
    def ids(name: str, *rows: str) -> dict[str, int]:
        table = compiled(tmp_path / name, "permissions:\n" + "".join(rows))
        return {row.consumer: row.row_id for page in table.permission_pages(10) for row in page}

    before = ids("before", ROW.format("K1", "2030-12-31"), ROW.format("K2", "2030-12-31"))
    after = ids("after", ROW.format("K0", "2030-12-31"), ROW.format("K2", "2027-06-30"))

    assert after["K2"] == before["K2"]
    assert after["K0"] not in before.values()
