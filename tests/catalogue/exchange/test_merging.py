"""Changes put into YAML files: rows that change where they stand, new ones at the end, every other line as it was."""

import difflib
import textwrap
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.catalogue.content import Row
from rivta.catalogue.exchange.changes import Changes, applied, placeless
from rivta.catalogue.exchange.merging import MergeImpossible, Merging, merge
from rivta.catalogue.exchange.row_text import short_names
from rivta.catalogue.files import read_draft
from rivta.catalogue.rows import Draft, NotificationFilter, PermissionRow, RouteRow
from rivta.soap.identifiers import HsaId, LogicalAddress
from tests.catalogue.tables import FakeContracts

STYLES = {
    "block lists": """\
        # who is who
        components:
          C: {name: "Å, producer"}   # the one
          K: {name: k}
        producer_addresses:
          a: {component: C, url: "https://a/x", profile: RIVTABP21}
          b: {component: C, url: "https://b/x"}
        logical_addresses:
          L1: {name: one}
        routes:
          # the first
          - logical_address:
              - L1        # main
              - L2
              # about three
              - L3
            contracts: [GetDiagnosis:2, GetCareContacts:3]   # both
            producer_address: a
            valid_from: 2024-01-01     # since then

          - logical_address: "*"
            contracts: PingForConfiguration:1
            producer_address: a
        # who may
        permissions:
          - consumer: [K, C]
            logical_address: [L1, L2]
            contracts: [GetDiagnosis:2]
            agreement: "x 1"   # paper
          # the end
        """,
    "braces": """\
        components: {C: {name: c}, K: }
        producer_addresses: {a: {component: C, url: "https://a/x"}, b: {component: C, url: "https://b/x"}}
        logical_addresses: {L1: {name: one}}
        routes: [{logical_address: [L1, L2, L3], contracts: [GetDiagnosis:2, GetCareContacts:3], producer_address: a, valid_from: 2024-01-01}, {logical_address: "*", contracts: PingForConfiguration:1, producer_address: a}]
        permissions: [{consumer: [K, C], logical_address: [L1, L2], contracts: [GetDiagnosis:2], agreement: "x 1"}]
        """,
    "items in braces, dashes at the margin": """\
        components:
            C:
                name: c
            K:
                name: k
        producer_addresses:
            a:
                component: C
                url: https://a/x
            b: {component: C, url: "https://b/x", profile: RIVTABP21}
        logical_addresses: {L1: {name: one}}
        routes:
        - {logical_address: [L1, L2, L3], contracts: [GetDiagnosis:2, GetCareContacts:3],
           producer_address: a, valid_from: 2024-01-01}
        # between
        - {logical_address: "*", contracts: PingForConfiguration:1, producer_address: a}
        permissions:
        -
          consumer:
          - K
          - C
          logical_address:
          - L1
          - L2
          contracts:
          - GetDiagnosis:2
          agreement: x 1
        """,
}
STYLES["lines of another system"] = STYLES["block lists"].replace("\n", "\r\n")
STYLES["a mark of its encoding"] = "\ufeff" + textwrap.dedent(STYLES["block lists"])
STYLES["no end of line"] = textwrap.dedent(STYLES["block lists"]).replace("\n  # the end", "").rstrip("\n")

STYLE = pytest.mark.parametrize("style", STYLES)


def draft_of(folder: Path, texts: dict[str, str]) -> Draft:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode())
    reading = read_draft(folder, contracts=FakeContracts(), relative_to=folder)
    assert reading.problems == ()
    return reading.draft


def merged(folder: Path, texts: dict[str, str], changes: Changes, *, into: str = "new.yaml") -> dict[str, str]:
    """The files after the changes; what they hold is what the changes say."""
    draft = draft_of(folder / "before", texts)
    how = Merging(into, FakeContracts(), short_names(FakeContracts()))
    after = texts | merge(texts, draft, changes, how)
    assert placeless(draft_of(folder / "after", after)) == applied(draft, changes)
    return after


def text_of(style: str) -> dict[str, str]:
    return {"t.yaml": textwrap.dedent(STYLES[style])}


def route(draft: Draft, address: str, contract: str) -> RouteRow:
    (found,) = [row for row in draft.routes if row.logical_address == address and contract in row.contract]
    return found


def lines_changed(before: str, after: str) -> list[str]:
    return [
        line.rstrip()
        for line in difflib.ndiff(before.splitlines(), after.splitlines())
        if line.startswith(("+ ", "- "))
    ]


def test_one_cell_of_a_row_of_lists_leaves_it_where_it_stands(tmp_path: Path) -> None:
    texts = text_of("block lists")
    row = route(draft_of(tmp_path, texts), "L2", "GetDiagnosis")
    changes = Changes(changed={row: replace(row, valid_to=date(2024, 9, 30))})
    after = merged(tmp_path / "x", texts, changes)["t.yaml"]
    assert lines_changed(texts["t.yaml"], after) == [
        "-       - L2",
        "+   - logical_address: L2",
        "+     contracts: [GetCareContacts:3]",
        "+     producer_address: a",
        "+     valid_from: 2024-01-01",
        "+   - logical_address: L2",
        "+     contracts: [GetDiagnosis:2]",
        "+     producer_address: a",
        "+     valid_from: 2024-01-01",
        "+     valid_to: 2024-09-30",
    ]


def test_a_field_of_a_whole_row_is_all_that_changes(tmp_path: Path) -> None:
    texts = text_of("block lists")
    draft = draft_of(tmp_path, texts)
    rows = [row for row in draft.routes if row.logical_address != "*"]
    changes = Changes(changed={row: replace(row, producer_address="b") for row in rows})
    after = merged(tmp_path / "x", texts, changes)["t.yaml"]
    assert lines_changed(texts["t.yaml"], after) == ["-     producer_address: a", "+     producer_address: b"]


def test_new_rows_are_written_as_a_person_would_and_in_the_file_that_is_named(tmp_path: Path) -> None:
    texts = text_of("block lists")
    draft = draft_of(tmp_path, texts)
    like = route(draft, "*", "Ping")
    rows = [
        replace(like, logical_address=LogicalAddress(address), contract=row.contract, valid_from=date(2025, 1, 1))
        for address in ("N1", "N2")
        for row in (route(draft, "L1", "GetDiagnosis"), route(draft, "L1", "GetCareContacts"))
    ]
    after = merged(tmp_path / "x", texts, Changes(added=Draft(routes=tuple(rows))))
    assert after["t.yaml"] == texts["t.yaml"]
    assert after["new.yaml"] == (
        "routes:\n  - logical_address: [N1, N2]\n    contracts: [GetCareContacts:3, GetDiagnosis:2]\n"
        "    producer_address: a\n    valid_from: 2025-01-01\n"
    )


@STYLE
def test_whatever_changes_in_whatever_style_the_file_says_it_afterwards(style: str, tmp_path: Path) -> None:
    texts = text_of(style)
    draft = draft_of(tmp_path, texts)
    later = datetime(2025, 1, 1, 12, tzinfo=UTC)
    changed: dict[Row, Row | None] = {
        draft.components[0]: replace(draft.components[0], name='new "name"', platform=True),
        draft.components[1]: replace(draft.components[1], name="k: 2"),
        draft.producer_addresses[0]: replace(draft.producer_addresses[0], url="https://c/y"),
        draft.logical_addresses[0]: None,
        route(draft, "L1", "GetDiagnosis"): None,
        route(draft, "L3", "GetCareContacts"): replace(route(draft, "L3", "GetCareContacts"), valid_to=later),
        route(draft, "*", "Ping"): None,
        draft.permissions[0]: replace(draft.permissions[0], filters=(NotificationFilter("d", ("a", "b")),)),
        draft.permissions[3]: None,
    }
    added = replace(draft, resolution=None)
    new = Draft(
        components=(replace(draft.components[0], hsa_id=HsaId("N")),),
        producer_addresses=(replace(draft.producer_addresses[0], name="n-1", client_certificate="own"),),
        logical_addresses=(replace(draft.logical_addresses[0], logical_address=LogicalAddress("NEW")),),
        routes=tuple(replace(row, logical_address=LogicalAddress("NEW")) for row in added.routes[:1]),
        permissions=tuple(replace(row, consumer=HsaId("N"), valid_from=later) for row in added.permissions[:1]),
    )
    merged(tmp_path / "other", texts, Changes(new, changed))
    merged(tmp_path / "same", texts, Changes(new, changed), into="t.yaml")


@STYLE
def test_a_section_may_lose_everything(style: str, tmp_path: Path) -> None:
    texts = text_of(style)
    draft = draft_of(tmp_path, texts)
    merged(
        tmp_path / "x", texts, Changes(changed=dict.fromkeys((*draft.routes, *draft.permissions, *draft.components)))
    )


def test_a_file_without_the_section_gets_it(tmp_path: Path) -> None:
    new = draft_of(tmp_path, text_of("braces"))
    for number, text in enumerate(("# only words\n", "routes:\n", "routes: []\npermissions: ~\n", "")):
        merged(tmp_path / str(number), {"t.yaml": text or "# x"}, Changes(added=new), into="t.yaml")


def test_a_row_that_names_what_is_written_elsewhere_is_not_touched(tmp_path: Path) -> None:
    text = textwrap.dedent("""\
        routes:
        - logical_address: &where [A, B]
          contracts: GetDiagnosis:2
          producer_address: a
        - logical_address: *where
          contracts: PingForConfiguration:1
          producer_address: a
        """)
    row = route(draft_of(tmp_path, {"t.yaml": text}), "A", "Ping")
    with pytest.raises(MergeImpossible, match=r"t\.yaml:5: the row uses an alias"):
        merged(tmp_path / "x", {"t.yaml": text}, Changes(changed={row: None}))


@given(st.data())
def test_any_rows_may_change_together(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    texts = text_of(data.draw(st.sampled_from(sorted(STYLES))))
    folder = tmp_path_factory.mktemp("merge")
    draft = draft_of(folder, texts)
    changed: dict[Row, Row | None] = {}
    rows: tuple[RouteRow | PermissionRow, ...] = (*draft.routes, *draft.permissions)
    for row in rows:
        fate = data.draw(st.sampled_from(["stays", "goes", "from", "to", "own"]))
        if fate == "goes":
            changed[row] = None
        elif fate == "from":
            changed[row] = replace(row, valid_from=date(2025, 1, 1))
        elif fate == "to":
            changed[row] = replace(row, valid_to=date(2026, 1, 1))
        elif fate == "own":
            changed[row] = (
                replace(row, agreement="y") if isinstance(row, PermissionRow) else replace(row, producer_address="b")
            )
    merged(folder, texts, Changes(changed=changed))
