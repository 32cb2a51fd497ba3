"""What is wrong with a whole draft, and what deserves a second look."""

from pathlib import Path

import pytest

from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.rows import Problem
from tests.catalogue.tables import checked, read, tree

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


def errors(folder: Path, text: str, **options: object) -> list[Problem]:
    return list(checked(folder, text, **options).errors)  # type: ignore[arg-type]


def warnings(folder: Path, text: str, **options: object) -> list[str]:
    report = checked(folder, text, **options)  # type: ignore[arg-type]
    assert report.errors == ()
    return [f"{problem.line} {problem.rule}" for problem in report.warnings]


def test_a_good_table_gives_nothing(tmp_path: Path) -> None:
    report = checked(tmp_path, GOOD)
    assert (report.errors, report.warnings) == ((), ())


def changed(before: str, after: str) -> str:
    assert before in GOOD
    return GOOD.replace(before, after)


@pytest.mark.parametrize(
    ("text", "line", "rule", "words"),
    [
        (changed("component: SE2321000016-A,", "component: SE2321000016-X,"), 5, "unknown-component", ["'SE2321000016-X'"]),
        (changed("producer_address: a}", "producer_address: b}"), 9, "unknown-producer-address", ["'b'", "there are a"]),
        (changed("https://a.test/", "${nowhere}/x"), 5, "unknown-variable", ["${nowhere}", "national"]),
        (changed("https://a.test/", "a.test:443"), 5, "bad-url", ["https://host:port/path"]),
        (changed("https://a.test/", "https://a.test:port/"), 5, "bad-url", ["'https://a.test:port/'"]),
        (changed("https://a.test/", "https://a .test/"), 5, "bad-url", ["blank"]),
        (changed("https://a.test/", "https://me:secret@a.test/"), 5, "bad-url", ["password"]),
        (changed("RIVTABP21}", "RIVTABP21, ca: sit}"), 5, "not-supported", ["ca 'sit'"]),
        (changed("https://a.test/", "ftp://a.test/"), 5, "bad-url", ["expected https"]),
        (changed("producer_address: a}", "producer_address: a, valid_from: 2025-01-01, valid_to: 2024-12-31}"), 9, "inverted-period", ["2025-01-01", "2024-12-31"]),
        (changed("  SE2321000016-C:", "  se2321000016-a:"), 3, "duplicate-name", ["tables.yaml:2"]),
    ],
)  # fmt: skip
def test_an_error_is_named_by_line_and_what_is_wrong(
    tmp_path: Path, text: str, line: int, rule: str, words: list[str]
) -> None:
    found = errors(tmp_path, text)
    assert [(one.line, one.rule) for one in found] == [(line, rule)]
    for word in words:
        assert word in found[0].message


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
        ((", valid_to: 2024-01-31T12:00:00+01:00", ", valid_from: 2024-01-31T11:00:00Z"), []),
        ((", valid_to: 2024-01-31T12:00:00+01:00", ", valid_from: 2024-01-31T10:59:59Z"), [10]),
        ((", valid_to: 2030-01-01", ", valid_from: 2024-01-01, valid_to: 2024-02-01", ", valid_from: 2025-01-01, valid_to: 2025-02-01"), [10, 11]),
    ],
    ids=["both always", "a day in common", "the day after", "the same instant", "a second in common", "two within a long one"],
)  # fmt: skip
def test_routes_valid_at_once_for_an_address_and_contract_are_an_error(
    tmp_path: Path, periods: tuple[str, ...], lines: list[int]
) -> None:
    found = [problem for problem in errors(tmp_path, overlapping(*periods)) if problem.rule == "route-overlap"]
    assert [problem.line for problem in found] == lines
    assert all("VP006" in problem.message and "tables.yaml:9" in problem.message for problem in found)


def test_a_route_to_the_platform_itself_is_an_error(tmp_path: Path) -> None:
    text = changed("https://a.test/", "${national}")
    assert errors(tmp_path, text) == []
    found = errors(tmp_path, text, own=("national",))
    assert [(problem.line, problem.rule) for problem in found] == [(9, "route-to-itself")]
    same = changed("https://a.test/", "https://national.test/vp/")
    assert [problem.rule for problem in errors(tmp_path, same, own=("national",))] == ["route-to-itself"]


def test_a_name_whose_row_could_not_be_read_is_not_also_unknown(tmp_path: Path) -> None:
    found = errors(tmp_path, changed("profile: RIVTABP21", "profile: RIVTABP99"))
    assert [problem.rule for problem in found] == ["bad-profile"]


def test_a_broken_file_does_not_make_everything_else_seem_unknown(tmp_path: Path) -> None:
    assert [problem.rule for problem in errors(tmp_path, GOOD + "\n  x: [")] == ["syntax"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (changed("https://a.test/", "http://a.test/"), ["5 plain-http"]),
        (changed("agreement: x}", "agreement: x, valid_to: 2026-11-23}"), ["11 expired"]),
        (changed("agreement: x}", "agreement: x, valid_to: 2026-11-24}"), []),
        (changed("agreement: x}", "agreement: x, filters: [{domain: d}]}"), ["11 odd-filters"]),
        (changed("resolution: {}\n", ""), ["0 no-resolution"]),
        (changed("  SE2321000016-KS: {name: KS}\n", "  SE2321000016-SOS: {name: SOS}\n"), ["9 undeclared-address"]),
        (changed("consumer: SE2321000016-C", "consumer: SE2321000016-D"), ["11 undeclared-consumer"]),
        (changed("  SE2321000016-C: {name: C}", "  SE2321000016-C: {name: C}\n  Kalle: {name: K}"), ["4 odd-hsa-id"]),
        (changed("  SE2321000016-KS: {name: KS}", "  SE2321000016-KS: {name: KS}\n  5565594230: {name: aggregation}"), []),
        (changed("logical_addresses:", "  b: {component: SE2321000016-A, url: 'https://b.test'}\nlogical_addresses:"), ["6 unused"]),
        (changed("logical_address: SE2321000016-KS, contracts: GetDiagnosis:2, agreement", "logical_address: '*', contracts: GetDiagnosis:2, agreement"), ["11 default-for-patient-data"]),
        (changed("logical_address: SE2321000016-KS, contracts: GetDiagnosis:2, producer", "logical_address: '*', contracts: GetDiagnosis:2, producer"), ["9 default-for-patient-data"]),
        (changed("agreement: x}", "agreement: x}\n  - {consumer: SE2321000016-C, logical_address: SE2321000016-KS, contracts: GetDiagnosis:2, agreement: y}"), ["12 permission-overlap"]),
        (changed("contracts: GetDiagnosis:2, producer", "contracts: [GetDiagnosis:2, PingForConfiguration:1], producer"), ["9 route-without-permission"]),
        (changed("contracts: GetDiagnosis:2, agreement", "contracts: [GetDiagnosis:2, GetCareContacts:3], agreement"), ["11 permission-without-route"]),
        (GOOD.replace("contracts: GetDiagnosis:2", "contracts: PingForConfiguration:1").replace("logical_address: SE2321000016-KS", "logical_address: '*'"), []),
    ],
)  # fmt: skip
def test_a_warning_refuses_nothing(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert warnings(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("route_at", "permission_at", "is_matched"),
    [
        ("SE2321000016-KS", "SE2321000016-RS", True),
        ("SE2321000016-RS", "SE2321000016-KS", True),
        ("SE2321000016-RS", "SE2321000016-RS", True),
        ("SE", "SE2321000016-KS", True),
        ("SE2321000016-KS", "SE", True),
        ("SE2321000016-KS", "SE2321000016-SOS", False),
    ],
)
def test_routes_and_permissions_meet_along_the_hsa_tree(
    tmp_path: Path, route_at: str, permission_at: str, is_matched: bool
) -> None:
    hsa = tree(SE2321000016_RS=None, SE2321000016_KS="SE2321000016-RS", SE2321000016_SOS="SE2321000016-RS")
    text = GOOD.replace("SE2321000016-KS, contracts: GetDiagnosis:2, producer", f"{route_at}, contracts: GetDiagnosis:2, producer")  # fmt: skip
    text = text.replace("SE2321000016-KS, contracts: GetDiagnosis:2, agreement", f"{permission_at}, contracts: GetDiagnosis:2, agreement")  # fmt: skip
    found = warnings(tmp_path, text, hsa=hsa)
    assert (found == []) == is_matched


def test_a_second_resolution_in_another_file_is_an_error(tmp_path: Path) -> None:
    reading = read(tmp_path, a="resolution: {}", b="resolution: {}")
    assert [(problem.file, problem.rule) for problem in reading.problems] == [("b.yaml", "several-resolutions")]


def test_an_empty_draft_is_no_mistake(tmp_path: Path) -> None:
    report = checked(tmp_path, "# nothing yet\n", hsa=HsaTree())
    assert (report.errors, report.warnings) == ((), ())
