"""What is wrong with a whole draft, and what deserves a second look: every rule, broken by a hair and just kept."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rivta.catalogue import hsa as hsa_module
from rivta.catalogue.across import PlatformTable
from rivta.catalogue.checks import platforms, problems
from rivta.catalogue.checks.rules import RULES, is_acceptable
from rivta.catalogue.hsa import HsaTree, read_hsa
from rivta.catalogue.lint import Surroundings, check
from rivta.catalogue.rows import Problem
from tests.catalogue.tables import DIAGNOSIS, NOW, VARIABLES, checked, compiled, read, tree, written
from tests.support import CHECKOUT

GOOD = """\
components:
  SE2321000016-A: {name: A}
  SE2321000016-C: {name: C}
producer_addresses:
  a: {component: SE2321000016-A, url: "https://a.test/", profile: RIVTABP21}
logical_addresses:
  SE2321000016-KS: {name: KS}
routes:
  - {logical_address: SE2321000016-KS, contracts: GetDiagnosis:2, producer_address: a}
permissions:
  - {consumer: SE2321000016-C, logical_address: SE2321000016-KS, contracts: GetDiagnosis:2, agreement: x}
resolution: {}
"""
ROUTE = "  - {logical_address: SE2321000016-KS, contracts: GetDiagnosis:2, producer_address: a"
PERMISSION = "  - {consumer: SE2321000016-C, logical_address: SE2321000016-KS, contracts: GetDiagnosis:2, agreement: x"
HSA = tree(SE2321000016_RS=None, SE2321000016_KS="SE2321000016-RS", SE2321000016_SOS="SE2321000016-RS")


@dataclass(frozen=True)
class Case:
    """A table with exactly one mistake, where it is, and a table right beside it without."""

    wrong: str
    line: int
    right: str
    words: Sequence[str] = ()
    hsa: HsaTree = HSA
    tls_targets: tuple[str, ...] | None = ("theirs",)
    own: tuple[str, ...] = ("national",)
    contracts: tuple[str, ...] | None = (DIAGNOSIS,)


def url(text: str) -> str:
    return changed("https://a.test/", text)


def changed(before: str, after: str) -> str:
    assert GOOD.count(before) == 1, before
    return GOOD.replace(before, after)


def route(more: str = "", *others: str) -> str:
    """The good table, with more in its route, and other routes after it."""
    return changed(f"{ROUTE}}}", "\n".join(f"{ROUTE}{part}}}" for part in (more, *others)))


def permission(more: str = "", *others: str) -> str:
    return changed(f"{PERMISSION}}}", "\n".join(f"{PERMISSION}{part}}}" for part in (more, *others)))


def at(address: str, what: str = ROUTE) -> str:
    """The good table with the route (or the permission) at another address."""
    return changed(what, what.replace("SE2321000016-KS", address))


def both_at(address: str, contract: str = "GetDiagnosis:2", resolution: str = "{}") -> str:
    text = GOOD.replace("logical_address: SE2321000016-KS", f"logical_address: {address}")
    return text.replace("GetDiagnosis:2", contract).replace("resolution: {}", f"resolution: {resolution}")


def more_permissions(*rows: str) -> str:
    """The good table with permissions for `consumer address` of infrastructure, and a route for all."""
    row = "  - {consumer: SE2321000016-C, logical_address: '%s', contracts: PingForConfiguration:1, agreement: x%s}\n"
    text = GOOD.replace("GetDiagnosis:2", "PingForConfiguration:1").replace(f"{PERMISSION}}}\n".replace("GetDiagnosis:2", "PingForConfiguration:1"), "")  # fmt: skip
    return text.replace("permissions:\n", "permissions:\n" + "".join(row % tuple((*one.split(" ", 1), "")[:2]) for one in rows))  # fmt: skip


def two_routes(*rows: str, resolution: str = "{}") -> str:
    """Routes of infrastructure at `address`, and a permission for everything."""
    row = "  - {logical_address: '%s', contracts: PingForConfiguration:1, producer_address: a%s}\n"
    routes = "".join(row % tuple((*one.split(" ", 1), "")[:2]) for one in rows)
    text = GOOD.replace("GetDiagnosis:2", "PingForConfiguration:1").replace(f"{ROUTE}}}\n".replace("GetDiagnosis:2", "PingForConfiguration:1"), routes)  # fmt: skip
    text = text.replace("logical_address: SE2321000016-KS, contracts: PingForConfiguration:1, agreement", "logical_address: '*', contracts: PingForConfiguration:1, agreement")  # fmt: skip
    return text.replace("resolution: {}", f"resolution: {resolution}")


URN = "urn:riv:clinicalprocess:healthcond:description:GetDiagnosis"
NOTIFICATION = both_at("SE2321000016-KS", "ProcessNotification:1")

CASES = {
    "wrong-type": Case(route(", valid_from: [2024-01-01]"), 9, route(", valid_from: 2024-01-01"), ["valid_from"]),
    "duplicate-key": Case(changed("contracts: GetDiagnosis:2, agreement", "contracts: [GetDiagnosis:2, GetDiagnosis:2], agreement"), 11, GOOD),
    "unknown-key": Case(route(", valid_form: 2024-01-01"), 9, route(", valid_from: 2024-01-01"), ["valid_form"]),
    "missing-field": Case(changed(", agreement: x", ""), 11, GOOD, ["agreement"]),
    "bad-date": Case(route(", valid_to: 2026-13-01"), 9, route(", valid_to: 2027-12-01"), ["2026-13-01"]),
    "bad-profile": Case(changed("RIVTABP21", "RIVTABP22"), 5, changed("RIVTABP21", "RIVTABP20"), ["RIVTABP22"]),
    "unknown-contract": Case(GOOD.replace("contracts: GetDiagnosis:2, producer", "contracts: [GetDiagnosis:2, GetDiagnosis:9], producer"), 9, GOOD, ["GetDiagnosis:9"]),
    "unknown-rule": Case(route(", accept: {route-overlap: why}"), 9, route(", valid_to: 2026-01-01, accept: {expired: why}"), ["an error"]),
    "syntax": Case(GOOD + "x: [", 13, GOOD),
    "encoding": Case("", 1, GOOD),  # written as bytes, below
    "empty-file": Case(" \n", 0, "# nothing yet\n"),
    "duplicate-name": Case(changed("  SE2321000016-C:", "  se2321000016-a: {name: B}\n  SE2321000016-C:"), 3, GOOD, ["tables.yaml:2"]),
    "unknown-component": Case(changed("component: SE2321000016-A", "component: SE2321000016-X"), 5, changed("component: SE2321000016-A", "component: se2321000016-a"), ["'SE2321000016-X'"]),
    "unknown-producer-address": Case(changed("producer_address: a}", "producer_address: A}"), 9, GOOD, ["'A'", "there are a"]),
    "undeclared-address": Case(both_at("SE2321000016-DS"), 9, both_at("SE2321000016-SOS"), ["SE2321000016-DS"]),
    "undeclared-consumer": Case(changed("consumer: SE2321000016-C", "consumer: SE2321000016-D"), 11, changed("consumer: SE2321000016-C", "consumer: se2321000016-c"), ["SE2321000016-D"]),
    "odd-hsa-id": Case(changed("  SE2321000016-C:", "  Kalle: {name: K}\n  SE2321000016-C:"), 3, changed("  SE2321000016-KS:", "  5565594230: {name: aggregation}\n  SE2321000016-KS:"), ["'Kalle'"]),
    "address-case": Case(GOOD.replace("SE2321000016-KS", "SE2321000016-ks"), 7, GOOD, ["SE2321000016-KS in the HSA tree"]),
    "odd-contract": Case(both_at("SE2321000016-KS", f'"{URN}:2:rivtabp21"'), 9, both_at("SE2321000016-KS", f'"{URN}Responder:2"'), [f"expected {URN}Responder:2"]),
    "contract-version": Case(both_at("SE2321000016-KS", f'"{URN}Responder:9"'), 9, both_at("SE2321000016-KS", '"urn:riv:crm:scheduling:GetBookingsResponder:1"'), [f"there is {DIAGNOSIS}"]),
    "unused": Case(changed("logical_addresses:", "  b: {component: SE2321000016-A, url: 'https://b.test'}\nlogical_addresses:"), 6, GOOD, ["b"]),
    "bad-url": Case(url("https://me:secret@a.test/"), 5, url("https://a.test:8443/x/y"), ["password"]),
    "unknown-variable": Case(url("${nowhere}/x"), 5, url("${regional}/x"), ["${nowhere}", "national"]),
    "unknown-identity": Case(changed("RIVTABP21}", "RIVTABP21, ca: ours}"), 5, changed("RIVTABP21}", "RIVTABP21, ca: theirs}"), ["ca 'ours' is not in [tls.targets], which has theirs"]),
    "identity-not-checked": Case(changed("RIVTABP21}", "RIVTABP21, ca: theirs}"), 5, GOOD, tls_targets=None),
    "route-to-itself": Case(url("https://national.test/vp/"), 9, url("https://national.test/other"), ["would circle"]),
    "plain-http": Case(url("http://a.test/"), 5, url("https://a.test/"), ["in the clear"]),
    "url-query": Case(url("https://a.test/?wsdl"), 5, url("https://a.test/wsdl"), ["query"]),
    "placeholder-url": Case(url("https://journal.example.com/"), 5, url("https://examples.test/"), ["example.com"]),
    "inverted-period": Case(route(", valid_from: 2027-01-01, valid_to: 2026-12-31"), 9, route(", valid_from: 2027-01-01, valid_to: 2027-01-01"), ["2027-01-01", "2026-12-31"]),
    "route-overlap": Case(route(", valid_to: 2027-01-31T12:00:00+01:00", ", valid_from: 2027-01-31T10:59:59Z"), 10, route(", valid_to: 2027-01-31T12:00:00+01:00", ", valid_from: 2027-01-31T11:00:00Z"), ["VP006", "tables.yaml:9"]),
    "permission-overlap": Case(permission(", valid_to: 2027-01-31", ", valid_from: 2027-01-31"), 12, permission(", valid_to: 2027-01-31", ", valid_from: 2027-02-01"), ["tables.yaml:11"]),
    "incumbent-overlap": Case(route(", valid_to: 2027-01-31", ", valid_from: 2027-02-01"), 10, route(", valid_to: 2027-02-01T00:00:00+01:00", ", valid_from: 2027-02-01T00:00:00+01:00"), ["from 2027-01-31 11:00 to 2027-01-31 15:00"]),
    "route-gap": Case(route(", valid_to: 2027-01-30", ", valid_from: 2027-02-01"), 10, route(", valid_to: 2027-01-31T00:00:00+01:00", ", valid_from: 2027-01-31T00:00:00+01:00"), ["from 2027-01-31 00:00", "to 2027-02-01 00:00"]),
    "permission-gap": Case(permission(", valid_to: 2027-01-30", ", valid_from: 2027-02-01"), 12, permission(", valid_to: 2027-01-31", ", valid_from: 2027-02-01"), ["close the gap"]),
    "expired": Case(permission(", valid_to: 2026-11-23", ", valid_from: 2026-11-24"), 11, permission("", ", valid_from: 2026-11-24").replace("agreement: x}\n  -", "agreement: x, valid_to: 2026-11-23, accept: {expired: old}}\n  -"), ["has passed"]),
    "expiring": Case(permission(", valid_to: 2026-12-23"), 11, permission(", valid_to: 2026-12-24"), ["prolong"]),
    "unreachable": Case(two_routes("SE2321000016-KS", "SE", resolution="{hsa_climb: {routes: false}}"), 10, two_routes("SE2321000016-KS", "SE"), ["hsa_climb is off"]),
    "shadowed": Case(more_permissions("SE2321000016-KS", "*"), 11, more_permissions("SE2321000016-KS , valid_to: 2028-01-01", "* , valid_from: 2028-01-02"), ["tables.yaml:12 permits it anyway"]),
    "route-without-permission": Case(changed("contracts: GetDiagnosis:2, producer", "contracts: [GetDiagnosis:2, PingForConfiguration:1], producer"), 9, GOOD, ["nobody has a permission"]),
    "permission-without-route": Case(at("SE2321000016-SOS").replace(f"{PERMISSION}}}", f"{PERMISSION}}}\n{PERMISSION}}}".replace("SE2321000016-KS, contracts: GetDiagnosis:2, agreement: x}\n", "SE2321000016-SOS, contracts: GetDiagnosis:2, agreement: x}\n")), 12, at("SE2321000016-RS"), ["there is no route"]),
    "default-for-patient-data": Case(at("'*'"), 9, both_at("'*'", "PingForConfiguration:1"), ["catches every address"]),
    "odd-filters": Case(permission(", filters: [{domain: d}]"), 11, NOTIFICATION.replace("agreement: x", "agreement: x, filters: [{domain: d}]"), ["only for ProcessNotification"]),
    "no-resolution": Case(changed("resolution: {}\n", ""), 0, GOOD, ["hsa_climb is on"]),
    "needless-accept": Case(route(", accept: {expired: why}"), 9, route(", accept: {platform-loop: why}"), ["take it away"]),
}  # fmt: skip


def looked_at(folder: Path, text: str, case: Case) -> list[Problem]:
    around = Surroundings(case.hsa, VARIABLES, case.own, case.tls_targets, contracts=case.contracts)
    report = check(read(folder, tables=text), around, now=NOW)
    return [*report.errors, *report.warnings]


ELSEWHERE = {"encoding", "unreadable", "several-resolutions", "platform-loop", "xml", "hsa-duplicate", "hsa-unknown-parent", "hsa-circle"}  # fmt: skip
"""Rules about more than one file, bytes, or the HSA tree; each has its own test below or in test_hsa."""


@pytest.mark.parametrize("rule", [rule for rule in CASES if rule not in ELSEWHERE])
def test_a_table_with_exactly_that_mistake_is_told_of_it_and_its_neighbour_is_not(tmp_path: Path, rule: str) -> None:
    case = CASES[rule]
    found = looked_at(tmp_path / "wrong", case.wrong, case)
    assert [(one.file, one.line, one.rule) for one in found] == [("tables.yaml", case.line, rule)]
    for word in case.words:
        assert word in found[0].message
    assert looked_at(tmp_path / "right", case.right, case) == []


def test_every_rule_has_a_test() -> None:
    assert set(CASES) | ELSEWHERE == set(RULES)


def test_a_file_that_is_not_utf_8_is_told_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "tables.yaml").write_bytes(GOOD.replace("name: KS", "name: Lög").encode("latin-1"))
    report = check(read(tmp_path), Surroundings(HSA, VARIABLES), now=NOW)
    assert [(one.line, one.rule) for one in report.errors] == [(7, "encoding")]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "tables.yaml").mkdir()
    report = check(read(tmp_path), Surroundings(HSA, VARIABLES), now=NOW)
    assert [(one.line, one.rule) for one in report.errors] == [(0, "unreadable")]


def test_a_second_resolution_in_another_file_is_an_error(tmp_path: Path) -> None:
    reading = read(tmp_path, a="resolution: {}", b="resolution: {}")
    assert [(problem.file, problem.rule) for problem in reading.problems] == [("b.yaml", "several-resolutions")]


# The closed list.

_PLACE_OF_RULE = {"complain": 1, "_complain_at": 1, "at": 1, "Problem": 2, "_problem": 1, "_gaps": 1}


def _rules_in(tree_of_module: ast.Module) -> Iterator[str]:
    """The rules that a module's calls name, where the rule stands in the call."""
    for node in ast.walk(tree_of_module):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            place = _PLACE_OF_RULE.get(name)
            argument = node.args[place] if place is not None and len(node.args) > place else None
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value
        elif isinstance(node, ast.Constant) and node.value in ("route-gap", "permission-gap"):
            yield str(node.value)


def test_the_list_of_rules_is_what_the_code_tells_of() -> None:
    folder = Path(hsa_module.__file__).parent
    checks = Path(problems.__file__).parent
    modules = [folder / name for name in ("files.py", "marked_yaml.py", "hsa.py", "lint.py")]
    modules += [path for path in checks.glob("*.py") if path.name != "rules.py"]
    told = {rule for path in modules for rule in _rules_in(ast.parse(path.read_text(encoding="utf-8")))}
    assert told == set(RULES)


def test_the_manual_has_the_very_list() -> None:
    manual = (CHECKOUT / "docs" / "operator.md").read_text(encoding="utf-8")
    table = [line for line in manual.partition("## Lint\n")[2].partition("\n## ")[0].splitlines() if line[:3] == "| `"]
    refuses = {True: "yes", False: "no"}
    assert table == [
        f"| `{name}` | {refuses[rule.is_error]} | {rule.meaning} | {rule.remedy} |" for name, rule in RULES.items()
    ]


@pytest.mark.parametrize("rule", RULES)
def test_errors_and_warnings_are_what_the_list_says(tmp_path: Path, rule: str) -> None:
    if rule in CASES and rule not in ELSEWHERE:
        case = CASES[rule]
        around = Surroundings(case.hsa, VARIABLES, case.own, case.tls_targets, contracts=case.contracts)
        report = check(read(tmp_path, tables=case.wrong), around, now=NOW)
        assert bool(report.errors) == RULES[rule].is_error
    assert is_acceptable(rule) is not RULES[rule].is_error


# Single rules, further.


def errors(folder: Path, text: str, **options: object) -> list[Problem]:
    return list(checked(folder, text, **options).errors)  # type: ignore[arg-type]


def warnings(folder: Path, text: str, **options: object) -> list[str]:
    report = checked(folder, text, **options)  # type: ignore[arg-type]
    assert report.errors == ()
    return [f"{problem.line} {problem.rule}" for problem in report.warnings]


def test_a_good_table_gives_nothing(tmp_path: Path) -> None:
    report = checked(tmp_path, GOOD)
    assert (report.errors, report.warnings) == ((), ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.test:443", "https://host:port/path"),
        ("https://a.test:port/", "'https://a.test:port/'"),
        ("https://a .test/", "blank"),
        ("ftp://a.test/", "expected https"),
        ("https://a.test/#x", "fragment"),
        ("https://{host}/", "a variable is written ${name}"),
        ("$(regional)/x", "a variable is written ${name}"),
        ("https:///x", "expected https"),
    ],
)
def test_a_url_that_cannot_be_called_is_told_why(tmp_path: Path, text: str, words: str) -> None:
    (found,) = errors(tmp_path, url(text))
    assert (found.line, found.rule) == (5, "bad-url")
    assert words in found.message


@pytest.mark.parametrize("text", ["https://journal.invalid/", "https://TODO.region.se/", "https://host.example/x", "https://a.test/xxx"])  # fmt: skip
def test_a_url_that_was_to_be_filled_in_is_a_warning(tmp_path: Path, text: str) -> None:
    assert warnings(tmp_path, url(text)) == ["5 placeholder-url"]


def overlapping(*periods: str) -> str:
    rows = [f"  - {{logical_address: {name}, contracts: GetDiagnosis:2, producer_address: a{period}}}" for name, period in zip(("SE2321000016-KS", "se2321000016-ks", "SE2321000016-KS"), periods, strict=False)]  # fmt: skip
    return "\n".join(
        [*GOOD.splitlines()[:8], *rows, *GOOD.splitlines()[9:]],
    )


@pytest.mark.parametrize(
    ("periods", "lines"),
    [
        (("", ""), [10]),
        ((", valid_to: 2024-01-31", ", valid_from: 2024-01-31"), [10]),
        ((", valid_to: 2024-01-31", ", valid_from: 2024-02-01"), []),
        ((", valid_to: 2030-01-01", ", valid_from: 2024-01-01, valid_to: 2024-02-01", ", valid_from: 2025-01-01, valid_to: 2025-02-01"), [10, 11]),
    ],
    ids=["both always", "a day in common", "the day after", "two within a long one"],
)  # fmt: skip
def test_routes_valid_at_once_for_an_address_and_contract_are_an_error(
    tmp_path: Path, periods: tuple[str, ...], lines: list[int]
) -> None:
    found = [problem for problem in errors(tmp_path, overlapping(*periods)) if problem.rule == "route-overlap"]
    assert [problem.line for problem in found] == lines
    assert all("VP006" in problem.message and "tables.yaml:9" in problem.message for problem in found)


@pytest.mark.parametrize(
    ("periods", "is_told"),
    [
        ((", valid_to: 2027-01-31", ", valid_from: 2027-02-01"), True),
        ((", valid_to: 2027-01-30", ", valid_from: 2027-02-01"), False),
        ((", valid_to: 2027-01-31", ", valid_from: 2027-02-01T00:00:00+01:00"), False),
        ((", valid_to: 2027-01-31", ", valid_from: 2027-01-31T14:59:59+01:00"), None),
        ((", valid_to: 2026-11-23", ", valid_from: 2026-11-24"), False),
    ],
    ids=["days in a row", "a day between", "one end with an offset", "an overlap for everybody", "in the past"],
)
def test_the_windows_that_an_incumbent_reads_into_days_may_overlap(
    tmp_path: Path, periods: tuple[str, str], is_told: bool | None
) -> None:
    report = checked(tmp_path, route(*periods))
    found = [one.rule for one in (*report.errors, *report.warnings) if one.rule.endswith("-overlap")]
    assert found == {True: ["incumbent-overlap"], False: [], None: ["route-overlap"]}[is_told]


def test_a_row_that_something_follows_does_not_expire(tmp_path: Path) -> None:
    soon = ", valid_to: 2026-12-10T00:00:00+01:00"
    assert warnings(tmp_path, route(soon)) == ["9 expiring"]
    assert warnings(tmp_path, route(soon, ", valid_from: 2026-12-10T00:00:00+01:00")) == []
    around = Surroundings(HsaTree(), VARIABLES, expiring_days=3)
    assert check(read(tmp_path, tables=route(soon)), around, now=NOW).warnings == ()


def test_a_gap_in_the_past_is_nobody_s_concern(tmp_path: Path) -> None:
    text = route(", valid_to: 2025-01-30, accept: {expired: old}", ", valid_from: 2025-03-01")
    assert warnings(tmp_path, text) == []


def test_a_route_to_the_platform_itself_is_an_error(tmp_path: Path) -> None:
    text = changed("https://a.test/", "${national}")
    assert errors(tmp_path, text) == []
    found = errors(tmp_path, text, own=("national",))
    assert [(problem.line, problem.rule) for problem in found] == [(9, "route-to-itself")]


def test_a_name_whose_row_could_not_be_read_is_not_also_unknown(tmp_path: Path) -> None:
    found = errors(tmp_path, changed("profile: RIVTABP21", "profile: RIVTABP99"))
    assert [problem.rule for problem in found] == ["bad-profile"]


def test_a_broken_file_does_not_make_everything_else_seem_unknown(tmp_path: Path) -> None:
    assert [problem.rule for problem in errors(tmp_path, GOOD + "\n  x: [")] == ["syntax"]


@pytest.mark.parametrize(
    ("route_at", "permission_at", "resolution", "is_matched"),
    [
        ("SE2321000016-KS", "SE2321000016-RS", "{}", True),
        ("SE2321000016-RS", "SE2321000016-KS", "{}", True),
        ("SE2321000016-RS", "SE2321000016-RS", "{}", True),
        ("SE", "SE2321000016-KS", "{}", True),
        ("SE2321000016-KS", "SE", "{}", True),
        ("SE2321000016-KS", "SE2321000016-SOS", "{}", False),
        ("SE2321000016-KS", "SE2321000016-RS", "{hsa_climb: {permissions: false}}", False),
        ("SE2321000016-RS", "SE2321000016-KS", "{hsa_climb: {routes: false}}", False),
        ("SE2321000016-RS", "SE2321000016-KS", "{hsa_climb: {permissions: false}}", True),
    ],
)
def test_routes_and_permissions_meet_along_the_hsa_tree_where_it_is_climbed(
    tmp_path: Path, route_at: str, permission_at: str, resolution: str, is_matched: bool
) -> None:
    text = GOOD.replace("SE2321000016-KS, contracts: GetDiagnosis:2, producer", f"{route_at}, contracts: GetDiagnosis:2, producer")  # fmt: skip
    text = text.replace("SE2321000016-KS, contracts: GetDiagnosis:2, agreement", f"{permission_at}, contracts: GetDiagnosis:2, agreement")  # fmt: skip
    found = warnings(tmp_path, text.replace("resolution: {}", f"resolution: {resolution}"), hsa=HSA)
    assert (found == []) == is_matched
    assert {one.partition(" ")[2] for one in found} <= {"route-without-permission", "permission-without-route"}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (("SE", "*"), ["10 shadowed"]),
        (("SE , valid_to: 2030-01-01", "*"), []),
        (("SE2321000016-RS", "*"), []),
    ],
    ids=["the root comes first, always", "but not for ever", "a unit is not every address"],
)
def test_a_default_route_is_shadowed_by_one_at_the_root(tmp_path: Path, rows: tuple[str, ...], expected: list[str]) -> None:  # fmt: skip
    assert warnings(tmp_path, two_routes(*rows), hsa=HSA) == expected


def test_a_row_at_an_address_of_several_parts_is_never_looked_up(tmp_path: Path) -> None:
    text = changed("  SE2321000016-KS: {name: KS}", "  SE2321000016-KS: {name: KS}\n  SE2321000016-KS#1: {name: x, accept: {odd-hsa-id: old}}")  # fmt: skip
    text = text.replace(f"{ROUTE}}}", f"{ROUTE}}}\n{ROUTE}}}".replace("KS, contracts: GetDiagnosis:2, producer_address: a}\n", "KS#1, contracts: GetDiagnosis:2, producer_address: a}\n"))  # fmt: skip
    text = text.replace("SE2321000016-KS#1, contracts", "'SE2321000016-KS#1', contracts").replace("SE2321000016-KS#1: {", "'SE2321000016-KS#1': {")  # fmt: skip
    assert warnings(tmp_path, text) == ["10 unreachable"]


def test_an_empty_draft_is_no_mistake(tmp_path: Path) -> None:
    report = checked(tmp_path, "# nothing yet\n", hsa=HsaTree())
    assert (report.errors, report.warnings) == ((), ())


# Accepting.


def test_a_warning_that_a_row_accepts_with_a_reason_is_not_told(tmp_path: Path) -> None:
    text = changed("https://a.test/", "http://a.test/")
    assert warnings(tmp_path, text) == ["5 plain-http"]
    assert warnings(tmp_path, text.replace("RIVTABP21}", "RIVTABP21, accept: {plain-http: in the same rack}}")) == []


@pytest.mark.parametrize("accept", ["{expired: }", "[expired]", "expired", "{expired: ''}"])
def test_accepting_needs_a_reason(tmp_path: Path, accept: str) -> None:
    found = errors(tmp_path, route(f", valid_to: 2026-01-01, accept: {accept}"))
    assert [(one.line, one.rule) for one in found] == [(9, "wrong-type")]


def test_accepting_counts_for_its_own_row_alone(tmp_path: Path) -> None:
    text = permission(
        ", valid_to: 2026-01-01, accept: {expired: old}", ", valid_from: 2026-01-02, valid_to: 2026-02-01"
    )
    assert warnings(tmp_path, text) == ["12 expired"]


# Two platforms.


def platform(folder: Path, name: str, hsa_id: str, text: str) -> PlatformTable:
    table = compiled(folder / name, text)
    return PlatformTable(name, hsa_id, read(folder / name / "again", tables=text).draft, table)


def loops_of(folder: Path, national: str, regional: str) -> list[Problem]:
    producer = "producer_addresses: {other: {component: %s, url: 'https://x.test/'}, own: {component: J, url: 'https://j.test/'}}\n"  # fmt: skip
    row = "- {logical_address: '%s', contracts: GetDiagnosis:2, producer_address: %s}\n"
    tables = [
        producer % other + "routes:\n" + "".join(row % tuple(one.split("=")) for one in rows.split())
        for other, rows in (("REGION", national), ("NATION", regional))
    ]
    now = datetime(2026, 11, 24, tzinfo=UTC)
    first = platform(folder, "national", "NATION", tables[0])
    return list(platforms.warnings(first, platform(folder, "regional", "REGION", tables[1]), now=now))


@pytest.mark.parametrize(
    ("national", "regional", "addresses"),
    [
        ("KS=other", "KS=other", ["KS"]),
        ("KS=other", "SE=other", ["KS"]),
        ("KS=other SOS=other", "SE=other SOS=own", ["KS"]),
        ("*=other", "SE=other KS=own", ["any address"]),
        ("KS=other", "KS=own SE=other", []),
        ("KS=own", "SE=other", []),
    ],
)
def test_what_each_platform_sends_to_the_other_is_a_loop(
    tmp_path: Path, national: str, regional: str, addresses: list[str]
) -> None:
    found = loops_of(tmp_path, national, regional)
    assert [one.rule for one in found] == ["platform-loop"] * len(addresses)
    for one, address in zip(found, addresses, strict=True):
        assert (one.file, f"to {address}" in one.message, "VP014" in one.message) == ("tables.yaml", True, True)
    assert len(found) <= 1


# The HSA tree.


@pytest.mark.parametrize(
    ("wrong", "right", "rule"),
    [
        ("units:\n  A: {parent: B}", "units:\n  A: {parent: B}\n  B: {}", "hsa-unknown-parent"),
        ("units:\n  A: {parent: B}\n  B: {parent: A}", "units:\n  A: {parent: B}\n  B: {parent: SE}", "hsa-circle"),
    ],
)
def test_a_tree_with_exactly_that_mistake_is_told_of_it(tmp_path: Path, wrong: str, right: str, rule: str) -> None:
    assert [one.rule for one in read_hsa(written(tmp_path / "wrong", hsa=wrong))[1]] == [rule]
    assert read_hsa(written(tmp_path / "right", hsa=right))[1] == ()
