"""What a new table changes for callers: against trying every call at every time, and case by case."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from rivta.catalogue import content
from rivta.catalogue.checks.problems import all_rows
from rivta.catalogue.compile import compile_table
from rivta.catalogue.decide import decide
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.levels import is_delimited, tokens
from rivta.catalogue.preview import OTHER, Calls, Kind, Preview, Side, kind_of, preview, preview_calls
from rivta.catalogue.rows import Draft, PermissionRow, RouteRow, closes, opens
from rivta.catalogue.table import Table
from tests.catalogue.generated import UNITS, pairs_of_drafts, pairs_of_trees
from tests.catalogue.tables import CONTACTS, DIAGNOSIS, NOW, VARIABLES, read, tree

HEAD = """\
producer_addresses:
  a: {component: PA, url: "https://a.test/"}
  b: {component: PB, url: "https://b.test/"}
resolution: {}
"""


def side(folder: Path, text: str, hsa: HsaTree | None = None) -> Side:
    """A table of one file."""
    return side_of(folder, read(folder / "draft", tables=HEAD + text).draft, hsa or HsaTree())


def side_of(folder: Path, draft: Draft, hsa: HsaTree) -> Side:
    path = compile_table(content.encode(draft), hsa=hsa, variables=VARIABLES, folder=folder / "tables")
    return Side(draft, Table.open(path), hsa)


def rows(*, routes: str = "", permissions: str = "") -> str:
    """Routes `address producer from to` and permissions `consumer address from to` for GetDiagnosis, one a line."""
    text = "routes:\n"
    for line in routes.strip().splitlines():
        address, producer, *bounds = line.split()
        text += f"- {{logical_address: '{address}', contracts: GetDiagnosis:2, producer_address: {producer}{_bounds(bounds)}}}\n"  # fmt: skip
    text += "permissions:\n"
    for line in permissions.strip().splitlines():
        consumer, address, *bounds = line.split()
        text += f"- {{consumer: {consumer}, logical_address: '{address}', contracts: GetDiagnosis:2, agreement: x{_bounds(bounds)}}}\n"  # fmt: skip
    return text


def _bounds(bounds: list[str]) -> str:
    return "".join(f", {name}: {day}" for name, day in zip(("valid_from", "valid_to"), bounds, strict=False) if day != "-")  # fmt: skip


def told(found: Preview, *, of_two_parts: bool = False) -> list[str]:
    """Each effect in a line."""
    return [
        f"{one.kind.value} {','.join(one.consumers)} -> {','.join(one.addresses)}"
        + (f" from {one.since:%m-%d}" if one.since else "")
        + (f" until {one.until:%m-%d}" if one.until else "")
        for one in found.effects
        if one.of_two_parts == of_two_parts
    ]


def effects(folder: Path, before: str, after: str, hsa: HsaTree | None = None, new: HsaTree | None = None) -> list[str]:
    old, now = side(folder / "before", before, hsa), side(folder / "after", after, new or hsa)
    return told(preview(old, now, now=NOW))


TREE = tree(R=None, H="R", W="H", V="H", S="R")


def test_equal_tables_change_nothing(tmp_path: Path) -> None:
    text = rows(routes="H a", permissions="K H")
    assert effects(tmp_path, text, text, TREE) == []


def test_a_new_permission_gains_its_address_and_every_unit_below(tmp_path: Path) -> None:
    before, after = rows(routes="R a"), rows(routes="R a", permissions="K H")
    assert effects(tmp_path, before, after, TREE) == ["gained K -> H,V,W"]


def test_a_removed_route_loses_those_that_may_call_and_nobody_else(tmp_path: Path) -> None:
    permissions = "K H\nL S"
    before, after = rows(routes="H a\nS a", permissions=permissions), rows(routes="S a", permissions=permissions)
    assert effects(tmp_path, before, after, TREE) == ["lost K -> H,V,W"]


def test_a_lost_route_falls_back_on_what_is_above(tmp_path: Path) -> None:
    before = rows(routes="H a\nSE b", permissions="K H")
    assert effects(tmp_path, before, rows(routes="SE b", permissions="K H"), TREE) == ["rerouted K -> H,V,W"]


def test_the_default_route_concerns_every_address_that_has_no_closer_one(tmp_path: Path) -> None:
    before, after = rows(routes="H a", permissions="K *"), rows(routes="H a\n* b", permissions="K *")
    assert effects(tmp_path, before, after, TREE) == [f"gained K -> {OTHER}"]


def test_two_routes_at_once_are_ambiguous_for_whoever_may_call(tmp_path: Path) -> None:
    before = rows(routes="H a", permissions="K H\nL H\nM S")
    after = rows(routes="H a\nH b", permissions="K H\nL H\nM S")
    assert effects(tmp_path, before, after, TREE) == ["ambiguous K,L -> H,V,W"]


def test_a_swap_that_leaves_a_gap_is_told_with_its_days(tmp_path: Path) -> None:
    before = rows(routes="H a", permissions="K H")
    after = rows(routes="H a - 2026-12-01\nH b 2026-12-04", permissions="K H")
    assert effects(tmp_path, before, after, TREE) == [
        "lost K -> H,V,W from 12-01 until 12-03",
        "rerouted K -> H,V,W from 12-03",
    ]


def test_a_permission_that_only_changes_its_agreement_changes_nothing_for_callers(tmp_path: Path) -> None:
    before = rows(routes="H a", permissions="K H")
    assert effects(tmp_path, before, before.replace("agreement: x", "agreement: y"), TREE) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("https://a.test/", "https://c.test/"),
        ("component: PA,", "component: PC,"),
        ("a.test/}", "a.test/, profile: RIVTABP20}"),
        ("a.test/}", "a.test/, client_certificate: own}"),
        ("a.test/}", "a.test/, ca: theirs}"),
    ],
    ids=["url", "component", "profile", "certificate", "ca"],
)
def test_a_producer_address_that_changes_reroutes_all_its_routes(tmp_path: Path, before: str, after: str) -> None:
    text = HEAD.replace('"', "") + rows(routes="H a\nS b", permissions="K R")
    assert before in text
    one = side_of(tmp_path / "1", read(tmp_path / "1" / "draft", tables=text).draft, TREE)
    two = side_of(tmp_path / "2", read(tmp_path / "2" / "draft", tables=text.replace(before, after)).draft, TREE)
    assert told(preview(one, two, now=NOW)) == ["rerouted K -> H,V,W"]


def test_another_name_for_the_same_producer_changes_nothing_for_callers(tmp_path: Path) -> None:
    text = HEAD + rows(routes="H a", permissions="K H")
    renamed = text.replace("  a:", "  c:").replace("producer_address: a", "producer_address: c")
    one = side_of(tmp_path / "1", read(tmp_path / "1" / "draft", tables=text).draft, TREE)
    two = side_of(tmp_path / "2", read(tmp_path / "2" / "draft", tables=renamed).draft, TREE)
    assert preview(one, two, now=NOW).effects == ()


def test_a_unit_that_moves_in_the_tree_loses_what_it_had_from_above(tmp_path: Path) -> None:
    text = rows(routes="H a", permissions="K H")
    moved = tree(R=None, H="R", W="S", V="H", S="R")
    assert effects(tmp_path, text, text, TREE, moved) == ["lost K -> W"]


def test_units_above_that_change_places_reroute_what_is_below_both(tmp_path: Path) -> None:
    text = rows(routes="R a\nH b", permissions="K SE")
    before, after = tree(R=None, H="R", W="H"), tree(H=None, R="H", W="R")
    assert effects(tmp_path, text, text, before, after) == ["rerouted K -> W"]


def test_consumers_alike_are_told_together_and_decided_once(tmp_path: Path) -> None:
    consumers = "\n".join(f"K{number} *" for number in range(50))
    before, after = rows(permissions=consumers), rows(routes="H a", permissions=consumers)
    found = preview(side(tmp_path / "1", before, TREE), side(tmp_path / "2", after, TREE), now=NOW)
    whole = next(one for one in found.effects if "H" in one.addresses)
    assert len(whole.consumers) == 50
    assert found.decided < 10


def test_an_address_of_two_parts_is_gained_by_a_route_of_one_and_a_permission_of_the_other(tmp_path: Path) -> None:
    before, after = rows(permissions="K G"), rows(routes="U a", permissions="K G")
    found = preview(side(tmp_path / "1", before), side(tmp_path / "2", after), now=NOW)
    assert told(found) == []
    assert told(found, of_two_parts=True) == ["gained K -> G#U,U#G"]


def test_the_outcome_of_calls_that_were_made_is_told_with_their_number(tmp_path: Path) -> None:
    before = side(tmp_path / "1", rows(routes="H a", permissions="K H\nL H"))
    after = side(tmp_path / "2", rows(routes="H a", permissions="L H"))
    made = [Calls("K", DIAGNOSIS, "H", 12), Calls("L", DIAGNOSIS, "H", 9), Calls("K", DIAGNOSIS, "X", 3)]
    (found,) = preview_calls(before.table, after.table, made, now=NOW)
    assert (found.kind, found.calls.number, found.after.outcome.value) == (Kind.LOST, 12, "VP007")


# Against brute force.


def every_row(before: Side, after: Side) -> list[RouteRow | PermissionRow]:
    return [row for one in (before, after) for row in all_rows(one.draft)]


def every_address(before: Side, after: Side, contract: str) -> set[str]:
    """All that could be called: what rows and trees name, anything else, and any two of them put together."""
    named = {str(row.logical_address) for row in every_row(before, after) if row.contract == contract} - {"*"}
    whole = {*named, *before.tree.units, *after.tree.units, OTHER}
    separating = {character for one in (before, after) for character in one.table.resolution.delimiter}
    plain = {address for address in named if separating.isdisjoint(address)}
    separators = {one.table.resolution.delimiter for one in (before, after)} - {""}
    spelled_once = {min(other for other in plain if other.lower() == address.lower()) for address in plain} | {OTHER}
    pairs = {f"{a}{mark}{b}" for mark in separators for a in spelled_once for b in spelled_once if a != b}
    if len({one.table.resolution.delimiter for one in (before, after)}) > 1:
        pairs |= {f"{OTHER}{mark}{OTHER}" for mark in separators}
    return whole | pairs


def moments(before: Side, after: Side) -> list[datetime]:
    """Now, and each instant after it at which any row opens or closes."""
    found = {NOW}
    for row in every_row(before, after):
        found |= {bound for bound in (opens(row.valid_from), closes(row.valid_to)) if bound is not None and bound > NOW}
    return sorted(found)


def near(before: Side, after: Side, consumer: str, contract: str, address: str) -> bool:
    """The consumer has some permission, in either table, where such a call is looked up, in either."""
    places = {address.lower(), "*", "se"}
    for one in (before, after):
        places |= {unit.lower() for unit in one.tree.ancestors(address)}
        if is_delimited(one.table.resolution, address):
            places |= {part.lower() for part in tokens(one.table.resolution, address)}
    return any(
        row.consumer == consumer and row.contract == contract and row.logical_address.lower() in places
        for row in (*before.draft.permissions, *after.draft.permissions)
    )


def by_brute_force(before: Side, after: Side) -> Iterator[tuple[str, str, str, datetime, Kind]]:
    for now in moments(before, after):
        for contract in (DIAGNOSIS, CONTACTS):
            for address in every_address(before, after, contract):
                for consumer in "KL":
                    asked = {"sender": consumer, "contract": contract, "logical_address": address}
                    kind = kind_of(decide(before.table, **asked, now=now), decide(after.table, **asked, now=now))
                    if kind and near(before, after, consumer, contract, address):
                        yield consumer, contract, address, now, kind


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(drafts=pairs_of_drafts(), trees=pairs_of_trees())
def test_it_finds_what_trying_every_call_at_every_time_finds(
    tmp_path_factory: pytest.TempPathFactory, drafts: tuple[Draft, Draft], trees: tuple[HsaTree, HsaTree]
) -> None:
    compare_with_brute_force(tmp_path_factory.mktemp("preview"), drafts, trees)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(drafts=pairs_of_drafts(), trees=pairs_of_trees(always_other=True))
def test_it_finds_all_that_another_hsa_tree_alone_changes(
    tmp_path_factory: pytest.TempPathFactory, drafts: tuple[Draft, Draft], trees: tuple[HsaTree, HsaTree]
) -> None:
    compare_with_brute_force(tmp_path_factory.mktemp("preview"), (drafts[0], drafts[0]), trees)


def compare_with_brute_force(folder: Path, drafts: tuple[Draft, Draft], trees: tuple[HsaTree, HsaTree]) -> None:
    before, after = (side_of(folder, draft, hsa) for draft, hsa in zip(drafts, trees, strict=True))
    found = preview(before, after, now=NOW)
    assert found.left_out == ()
    told_of = {
        (consumer, effect.contract, address, now, effect.kind)
        for effect in found.effects
        for consumer in effect.consumers
        for address in effect.addresses
        for now in moments(before, after)
        if (effect.since or NOW) <= now and (effect.until is None or now < effect.until)
    }
    expected = set(by_brute_force(before, after))
    # What is like anything else (a unit that no row concerns) is told under that name.
    missing = {one for one in expected - told_of if (*one[:2], OTHER, *one[3:]) not in told_of or one[2] not in UNITS}
    assert missing == set()
    assert told_of - expected == set()
    before.table.close()
    after.table.close()
