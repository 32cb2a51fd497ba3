"""What differs between two tables, row by row and field by field."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings

from rivta.catalogue.differences import Change, Section, differences, differences_json
from rivta.catalogue.rows import Draft, Place
from tests.catalogue.generated import pairs_of_drafts
from tests.catalogue.tables import DIAGNOSIS, read

TABLE = """\
components: {PA: {name: A}}
producer_addresses:
  a: {component: PA, url: "https://a.test/"}
  b: {component: PA, url: "https://b.test/"}
logical_addresses: {KS: {name: Karolinska}}
routes:
  - {logical_address: KS, contracts: GetDiagnosis:2, producer_address: a, valid_to: 2026-12-31}
permissions:
  - {consumer: K, logical_address: KS, contracts: GetDiagnosis:2, agreement: x}
resolution: {}
"""


def draft(folder: Path, text: str, name: str = "new") -> Draft:
    return read(folder / name, tables=text).draft


def told(folder: Path, before: str, after: str) -> list[str]:
    """Each difference in a line."""
    found = differences(draft(folder, before, "old"), draft(folder, after))
    return [
        f"{one.change.value} {one.section.value} {' '.join(one.key)}".strip()
        + "".join(f" {part.name}:{part.before}>{part.after}" for part in one.fields if one.change is Change.CHANGED)
        for one in found
    ]


def test_equal_tables_have_no_differences_wherever_their_rows_stand(tmp_path: Path) -> None:
    one = draft(tmp_path, TABLE)
    moved = replace(one, routes=tuple(replace(row, place=Place("other.yaml", 99)) for row in one.routes))
    assert differences(one, moved) == ()


def test_a_changed_end_is_a_changed_field_of_the_same_route(tmp_path: Path) -> None:
    after = TABLE.replace("2026-12-31", "2027-12-31")
    assert told(tmp_path, TABLE, after) == [f"changed routes KS {DIAGNOSIS} valid_to:2026-12-31>2027-12-31"]


def test_both_places_of_a_changed_row_are_told(tmp_path: Path) -> None:
    (one,) = differences(
        draft(tmp_path, TABLE, "old"), draft(tmp_path, "# moved\n" + TABLE.replace("2026-12-31", "2027-12-31"))
    )
    assert (str(one.before_place), str(one.after_place)) == ("tables.yaml:7", "tables.yaml:8")


def test_a_swap_ends_the_old_route_and_adds_the_new_one(tmp_path: Path) -> None:
    row = "  - {logical_address: KS, contracts: GetDiagnosis:2, producer_address: b, valid_from: 2026-12-16}\npermissions:"
    after = TABLE.replace("valid_to: 2026-12-31", "valid_to: 2026-12-15").replace("permissions:", row)
    assert told(tmp_path, TABLE, after) == [
        f"changed routes KS {DIAGNOSIS} valid_to:2026-12-31>2026-12-15",
        f"added routes KS {DIAGNOSIS}",
    ]


def test_every_section_is_compared_by_its_own_key(tmp_path: Path) -> None:
    after = (
        TABLE.replace("{name: A}", "{name: A, platform: true}")
        .replace("https://b.test/", "https://c.test/")
        .replace("KS: {name: Karolinska}", "SOS: {name: Sodersjukhuset}")
        .replace("agreement: x", "agreement: y")
        .replace("resolution: {}", "resolution: {delimiter: ''}")
    )
    assert told(tmp_path, TABLE, after) == [
        "changed resolution delimiter:#>",
        "changed components PA platform:None>True",
        "removed logical_addresses KS",
        "added logical_addresses SOS",
        "changed producer_addresses b url:https://b.test/>https://c.test/",
        f"changed permissions K KS {DIAGNOSIS} agreement:x>y",
    ]


def test_another_spelling_is_the_same_row(tmp_path: Path) -> None:
    after = TABLE.replace("logical_address: KS, contracts: GetDiagnosis:2, producer", "logical_address: ks, contracts: GetDiagnosis:2, producer")  # fmt: skip
    assert told(tmp_path, TABLE, after) == [f"changed routes ks {DIAGNOSIS} logical_address:KS>ks"]


def test_defaults_that_are_written_down_change_nothing(tmp_path: Path) -> None:
    after = TABLE.replace("resolution: {}", "resolution: {delimiter: '#', hsa_climb: {routes: true}}")
    assert told(tmp_path, TABLE.replace("resolution: {}\n", ""), after) == []


def test_scripts_get_key_fields_and_sources(tmp_path: Path) -> None:
    after = TABLE.replace("2026-12-31", "2027-12-31")
    (found,) = differences_json(differences(draft(tmp_path, TABLE, "old"), draft(tmp_path, after)))
    assert found == {
        "section": "routes",
        "change": "changed",
        "key": {"logical_address": "KS", "contract": DIAGNOSIS},
        "fields": {"valid_to": {"before": "2026-12-31", "after": "2027-12-31"}},
        "before_source": "tables.yaml:7",
        "after_source": "tables.yaml:7",
    }


@settings(max_examples=150)
@given(drafts=pairs_of_drafts())
def test_differences_account_for_every_row_and_read_backwards_too(drafts: tuple[Draft, Draft]) -> None:
    before, after = drafts
    found = differences(before, after)
    for section, old, new in (
        (Section.ROUTES, before.routes, after.routes),
        (Section.PERMISSIONS, before.permissions, after.permissions),
    ):
        changes = [one.change for one in found if one.section is section]
        assert len(new) - len(old) == changes.count(Change.ADDED) - changes.count(Change.REMOVED)
    assert differences(before, before) == ()
    opposite = {Change.ADDED: Change.REMOVED, Change.REMOVED: Change.ADDED, Change.CHANGED: Change.CHANGED}
    backwards = differences(after, before)
    assert Counter((one.same_row, one.change) for one in found) == Counter(
        (one.same_row, opposite[one.change]) for one in backwards
    )
    turned = replace(after, routes=after.routes[::-1], permissions=after.permissions[::-1])
    assert Counter(map(str, differences(before, turned))) == Counter(map(str, found))
