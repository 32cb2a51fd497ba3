"""Why rows lost: each reason of the closed list, and what it says to whoever asks."""

from pathlib import Path

import pytest

from rivta.catalogue.decide import explain
from rivta.catalogue.decision import Explanation, Outcome, RejectionReason
from rivta.catalogue.hsa import HsaTree
from tests.catalogue.tables import DIAGNOSIS, NOW, compiled, tree

HEAD = "producer_addresses: {a: {component: C, url: 'https://a.test/'}, b: {component: C, url: 'https://b.test/'}}\n"
OPEN = "{logical_address: X, contracts: GetDiagnosis:2, producer_address: a}"


def explained(
    folder: Path, *, routes: str = "", permissions: str = "", resolution: str = "{}", hsa: HsaTree | None = None, to: str = "X"
) -> Explanation:  # fmt: skip
    text = f"{HEAD}routes: [{routes}]\npermissions: [{permissions}]\nresolution: {resolution}\n"
    table = compiled(folder, text, hsa=hsa)
    return explain(table, sender="K", contract=DIAGNOSIS, logical_address=to, now=NOW)


def reasons(explanation: Explanation) -> list[tuple[str, RejectionReason]]:
    return [(one.row, one.reason) for one in explanation.rejected]


def route(at: str, more: str = "", *, contracts: str = "GetDiagnosis:2") -> str:
    return f"{{logical_address: '{at}', contracts: {contracts}, producer_address: a{more}}}"


def permission(at: str, more: str = "", *, consumer: str = "K", contracts: str = "GetDiagnosis:2") -> str:
    return f"{{logical_address: '{at}', contracts: {contracts}, consumer: {consumer}, agreement: x{more}}}"


def test_a_row_that_is_over_or_not_yet_begun_says_for_how_long(tmp_path: Path) -> None:
    routes = ", ".join([route("X", ", valid_to: 2026-11-12"), route("X", ", valid_from: 2026-11-25"), route("*")])
    found = explained(tmp_path, routes=routes, permissions=permission("X"))
    assert [(one.reason, one.note) for one in found.rejected] == [
        (RejectionReason.EXPIRED, "11 days ago"),
        (RejectionReason.NOT_YET_VALID, "opens in 11 h 0 min"),
    ]
    assert found.rejected[0].row == "route X GetDiagnosis:2 -> a"
    assert found.rejected[0].source == "tables.yaml:2"


def test_a_row_further_away_is_shadowed(tmp_path: Path) -> None:
    found = explained(
        tmp_path,
        routes=", ".join([route("X"), route("SE"), route("*", ", valid_to: 2020-01-01")]),
        permissions=", ".join([permission("SE"), permission("*")]),
    )
    assert reasons(found) == [
        ("route SE GetDiagnosis:2 -> a", RejectionReason.SHADOWED),
        ("route * GetDiagnosis:2 -> a", RejectionReason.SHADOWED),
        ("permission K -> SE GetDiagnosis:2", RejectionReason.SHADOWED),
    ]
    assert found.rejected[0].note == "a row for X comes first"


def test_routes_that_are_valid_together_are_all_named(tmp_path: Path) -> None:
    found = explained(tmp_path, routes=", ".join([route("X"), route("x"), route("*")]), permissions=permission("X"))
    assert found.decision.outcome is Outcome.SEVERAL_ROUTES
    assert reasons(found) == [
        ("route X GetDiagnosis:2 -> a", RejectionReason.AMBIGUOUS),
        ("route x GetDiagnosis:2 -> a", RejectionReason.AMBIGUOUS),
        ("route * GetDiagnosis:2 -> a", RejectionReason.SHADOWED),
    ]


def test_a_permission_given_twice_is_shadowed_by_its_twin(tmp_path: Path) -> None:
    found = explained(tmp_path, routes=route("X"), permissions=", ".join([permission("X"), permission("X")]))
    assert [one.reason for one in found.rejected] == [RejectionReason.SHADOWED]
    assert found.decision.outcome is Outcome.ROUTED


def test_rows_of_other_consumers_and_contracts_are_near_misses(tmp_path: Path) -> None:
    found = explained(
        tmp_path,
        routes=", ".join([route("X"), route("X", contracts="GetCareContacts:3")]),
        permissions=", ".join(
            [
                permission("X", consumer="L"),
                permission("*", consumer="M"),
                permission("X", contracts="PingForConfiguration:1"),
            ]
        ),
    )
    assert found.decision.outcome is Outcome.NO_PERMISSION
    assert reasons(found) == [
        ("route X GetCareContacts:3 -> a", RejectionReason.OTHER_CONTRACT),
        ("permission L -> X GetDiagnosis:2", RejectionReason.OTHER_CONSUMER),
        ("permission M -> * GetDiagnosis:2", RejectionReason.OTHER_CONSUMER),
        ("permission K -> X PingForConfiguration:1", RejectionReason.OTHER_CONTRACT),
    ]


def test_a_contract_that_no_row_mentions_still_shows_what_the_address_has(tmp_path: Path) -> None:
    found = explained(tmp_path, routes=route("X", contracts="GetCareContacts:3"))
    assert reasons(found) == [("route X GetCareContacts:3 -> a", RejectionReason.OTHER_CONTRACT)]


def test_a_row_above_that_climbing_would_have_found_says_that_it_is_off(tmp_path: Path) -> None:
    found = explained(
        tmp_path,
        routes=route("R"),
        resolution="{hsa_climb: {except: [GetDiagnosis:2]}}",
        hsa=tree(X="R", R=None),
    )
    assert reasons(found) == [("route R GetDiagnosis:2 -> a", RejectionReason.CLIMB_OFF)]


def test_a_row_above_the_same_unit_in_another_case_says_so(tmp_path: Path) -> None:
    found = explained(tmp_path, routes=route("R"), hsa=tree(Clinic="R", R=None), to="CLINIC")
    assert reasons(found) == [("route R GetDiagnosis:2 -> a", RejectionReason.CASE_DIFFERS)]
    assert "the HSA tree has Clinic" in found.rejected[0].note


@pytest.mark.parametrize(
    ("to", "resolution", "expected"),
    [
        ("A#B", "{}", {("route *", "by its parts"), ("permission K -> *", "by its parts")}),
        ("A#B#C", "{}", {("route *", "by its parts"), ("permission K -> *", "by its parts"), ("permission K -> A", "more than two")}),
        ("A#B", "{delimiter_senders: [L]}", {("route *", "by its parts"), ("permission K -> *", "by its parts"), ("permission K -> A", "delimiter_senders")}),
    ],
)  # fmt: skip
def test_a_delimiter_address_says_what_it_may_not_use(
    tmp_path: Path, to: str, resolution: str, expected: set[tuple[str, str]]
) -> None:
    found = explained(
        tmp_path,
        routes=", ".join([route("A"), route("*")]),
        permissions=", ".join([permission("A"), permission("*")]),
        resolution=resolution,
        to=to,
    )
    lost = [one for one in found.rejected if one.reason is RejectionReason.DELIMITER_RULES]
    assert len(lost) == len(expected) == len(found.rejected)
    for row, note in expected:
        assert any(one.row.startswith(row) and note in one.note for one in lost), (row, note)


def test_without_a_receiver_there_is_nothing_to_explain(tmp_path: Path) -> None:
    assert explained(tmp_path, routes=route("*"), to=" ").rejected == ()


def test_permissions_are_not_explained_when_they_were_not_looked_up(tmp_path: Path) -> None:
    assert explained(tmp_path, permissions=permission("X", ", valid_to: 2020-01-01")).rejected == ()


def test_no_row_is_named_twice_and_the_winner_never(tmp_path: Path) -> None:
    found = explained(tmp_path, routes=", ".join([route("*"), route("SE")]), permissions=permission("*"), to="*")
    assert found.decision.outcome is Outcome.ROUTED
    assert reasons(found) == [("route SE GetDiagnosis:2 -> a", RejectionReason.SHADOWED)]
