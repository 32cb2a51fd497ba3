"""Reading the draft: what a table may say, and that every mistake is named by file, line, field and what was expected."""

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.catalogue.files import read_draft
from rivta.catalogue.rows import NotificationFilter, Place, Problem, Resolution
from rivta.soap.identifiers import Profile
from tests.catalogue.tables import CONTACTS, DIAGNOSIS, FakeContracts, read, written


def problem(folder: Path, text: str) -> Problem:
    """The one mistake in a file."""
    (found,) = read(folder, tables=text).problems
    return found


def test_every_section_of_the_design_is_read(tmp_path: Path) -> None:
    draft = read(
        tmp_path,
        stockholm="""\
            components:
              SE2321000016-RTP: {name: "Regional platform", platform: true}
            producer_addresses:
              rtp: {component: SE2321000016-RTP, url: "${regional}", profile: RIVTABP20, client_certificate: own, ca: sit}
            logical_addresses:
              SE2321000016-KS: {name: "Karolinska, TakeCare"}
            routes:
              - logical_address: [SE2321000016-KS, "*"]
                contracts: [GetDiagnosis:2, GetCareContacts:3]
                producer_address: rtp
                valid_from: 2024-01-01
                valid_to: 2034-12-31T12:00:00+01:00
            permissions:
              - consumer: [SE165565594230-NPO, SE165565594230-EI]
                logical_address: SE2321000016-KS
                contracts: ProcessNotification
                agreement: "NPÖ 2024-17"
                filters: [{domain: "riv:clinicalprocess:healthcond:description", categories: [dia]}]
            resolution:
              hsa_climb: {routes: true, permissions: false, except: [GetDiagnosis:2, "urn:riv:itintegration"]}
              delimiter: "::"
              delimiter_contracts: [GetDiagnosis:2]
              delimiter_senders: [SE1-A]
            """,
    ).draft
    assert draft.components[0].platform
    address = draft.producer_addresses[0]
    assert (address.url, address.profile) == ("${regional}", Profile.RIVTABP20)
    assert (address.client_certificate, address.ca) == ("own", "sit")
    assert [(row.logical_address, row.contract) for row in draft.routes] == [
        ("SE2321000016-KS", DIAGNOSIS),
        ("SE2321000016-KS", CONTACTS),
        ("*", DIAGNOSIS),
        ("*", CONTACTS),
    ]
    assert draft.routes[0].valid_from == date(2024, 1, 1)
    end = draft.routes[0].valid_to
    assert isinstance(end, datetime)
    assert end.astimezone(UTC) == datetime(2034, 12, 31, 11, tzinfo=UTC)
    assert {row.place for row in draft.routes} == {Place("stockholm.yaml", 8)}
    assert [row.consumer for row in draft.permissions] == ["SE165565594230-NPO", "SE165565594230-EI"]
    assert draft.permissions[0].filters == (NotificationFilter("riv:clinicalprocess:healthcond:description", ("dia",)),)
    rules = draft.resolution
    assert rules is not None
    assert (rules.climb_routes, rules.climb_permissions) == (True, False)
    assert rules.climb_except == (DIAGNOSIS, "urn:riv:itintegration")
    assert (rules.delimiter, rules.delimiter_contracts, rules.delimiter_senders) == ("::", (DIAGNOSIS,), ("SE1-A",))


def test_files_are_merged_and_each_row_knows_its_own(tmp_path: Path) -> None:
    row = "routes: [{logical_address: SE1-A, contracts: GetDiagnosis:2, producer_address: a}]"
    draft = read(tmp_path, a=row, b=f"# another\n{row}").draft
    assert [str(row.place) for row in draft.routes] == ["a.yaml:1", "b.yaml:2"]


@pytest.mark.parametrize("text", ["# only a comment\n", "---\n", "routes:\n", "routes: []\n", "components: {}\n"])
def test_a_file_that_says_nothing_is_an_empty_draft(tmp_path: Path, text: str) -> None:
    reading = read(tmp_path, tables=text)
    assert reading.problems == ()
    assert reading.draft.is_empty


@pytest.mark.parametrize("text", ["", " \n\n", "\ufeff"])
def test_a_file_with_nothing_at_all_in_it_is_a_mistake(tmp_path: Path, text: str) -> None:
    reading = read(tmp_path, tables=text)
    assert [(problem.file, problem.rule) for problem in reading.problems] == [("tables.yaml", "empty-file")]
    assert not reading.is_whole


def test_numbers_and_words_that_yaml_means_otherwise_are_taken_as_they_are_spelled(tmp_path: Path) -> None:
    draft = read(tmp_path, tables="logical_addresses: {5565594230: {name: NO}}\nresolution: {delimiter: ''}\n").draft
    assert draft.logical_addresses[0].logical_address == "5565594230"
    assert draft.logical_addresses[0].name == "NO"
    assert draft.resolution is not None
    assert draft.resolution.delimiter == ""


def test_an_empty_resolution_is_the_incumbents(tmp_path: Path) -> None:
    rules = read(tmp_path, tables="resolution: {hsa_climb: {except: []}}").draft.resolution
    assert rules == Resolution(place=Place("tables.yaml", 1))


def test_a_namespace_need_not_be_installed(tmp_path: Path) -> None:
    text = "routes: [{logical_address: A, contracts: 'urn:riv:x:y:GetFooResponder:9', producer_address: a}]"
    assert read(tmp_path, tables=text).draft.routes[0].contract == "urn:riv:x:y:GetFooResponder:9"


ROUTE = "routes:\n- logical_address: SE1-A\n  contracts: {contracts}\n  producer_address: a\n  {more}\n"


@pytest.mark.parametrize(
    ("text", "line", "rule", "words"),
    [
        ("routs: []", 1, "unknown-key", ["'routs'", "allowed are", "routes"]),
        ("- a\n- b", 1, "wrong-type", ["a list", "`key: value`"]),
        ("routes: {a: b}", 1, "wrong-type", ["routes", "expected a list"]),
        ("routes:\n- just text", 2, "wrong-type", ["route", "'just text'"]),
        (ROUTE.format(contracts="Get:2", more=""), 3, "unknown-contract", ["'Get:2'", "not installed"]),
        (ROUTE.format(contracts="[]", more=""), 3, "wrong-type", ["contracts", "empty"]),
        (ROUTE.format(contracts="~", more=""), 3, "missing-field", ["contracts is missing"]),
        (ROUTE.format(contracts="[[GetDiagnosis:2]]", more=""), 3, "wrong-type", ["expected text, got a list"]),
        (ROUTE.format(contracts="[GetDiagnosis:2, GetDiagnosis]", more=""), 3, "duplicate-key", ["second time"]),
        (ROUTE.format(contracts="GetDiagnosis:2", more="valid_form: 2024-01-01"), 5, "unknown-key", ["'valid_form'", "valid_from"]),
        (ROUTE.format(contracts="GetDiagnosis:2", more="contracts: GetDiagnosis:2"), 5, "duplicate-key", ["second time", "tables.yaml:3"]),
        (ROUTE.format(contracts="GetDiagnosis:2", more="valid_to: 2024-13-01"), 5, "bad-date", ["valid_to", "'2024-13-01'", "2024-01-31"]),
        (ROUTE.format(contracts="GetDiagnosis:2", more="valid_to: 2024-01-01T12:00:00"), 5, "bad-date", ["offset"]),
        (ROUTE.format(contracts="GetDiagnosis:2", more="valid_to: 24-01-01"), 5, "bad-date", ["'24-01-01'"]),
        (ROUTE.format(contracts="GetDiagnosis:2", more="valid_to: 0024-01-01"), 5, "bad-date", ["'0024-01-01'"]),
        (ROUTE.format(contracts="GetDiagnosis:2", more="valid_to: [2024-01-01]"), 5, "wrong-type", ["valid_to", "a list"]),
        ("routes:\n- contracts: GetDiagnosis:2\n  producer_address: a", 2, "missing-field", ["logical_address"]),
        ("permissions:\n- {consumer: A, logical_address: B, contracts: GetDiagnosis:2}", 2, "missing-field", ["agreement"]),
        ("permissions:\n- {consumer: [A, A], logical_address: B, contracts: GetDiagnosis:2, agreement: x}", 2, "duplicate-key", ["'A'", "twice"]),
        ("components:\n  A: {name: x, platform: maybe}", 2, "wrong-type", ["platform", "true or false", "'maybe'"]),
        ("components:\n  A: {name: x}\n  A: {name: y}", 3, "duplicate-key", ["'A'", "tables.yaml:2"]),
        ("producer_addresses:\n  a: {component: A, url: 'https://x', profile: RIVTABP22}", 2, "bad-profile", ["'RIVTABP22'", "RIVTABP20 or RIVTABP21"]),
        ("producer_addresses:\n  a: {component: A, url: ''}", 2, "wrong-type", ["url", "blanks"]),
        ("producer_addresses:\n  a: {component: ' A', url: 'https://x'}", 2, "wrong-type", ["component", "blank"]),
        ("resolution: {delimiter: '#'}\nresolution: {}", 2, "duplicate-key", ["second time"]),
        ("resolution: {hsa_climb: {route: true}}", 1, "unknown-key", ["'route'", "permissions"]),
        ("resolution: {hsa_climb: yes}", 1, "wrong-type", ["hsa_climb"]),
        ("a: [1\nb: 2", 2, "syntax", ["not YAML"]),
        ("routes:\n\t- a", 2, "syntax", ["not YAML"]),
        ("routes: *none", 1, "syntax", ["undefined alias"]),
        ("routes: []\n---\nroutes: []", 2, "syntax", ["another document"]),
        ("producer_addresses:\n  a: {component: A, url: ${regional}}", 2, "syntax", ['put quotes around "${...}"']),
        ("routes: []\n# \x07", 2, "syntax", ["#x0007"]),
        ("[" * 30 + "]" * 30, 0, "syntax", ["deep"]),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_line_field_value_and_what_was_expected(
    tmp_path: Path, text: str, line: int, rule: str, words: list[str]
) -> None:
    found = problem(tmp_path, text)
    assert (found.file, found.line, found.rule) == ("tables.yaml", line, rule)
    for word in words:
        assert word in found.message


def test_all_mistakes_are_told_at_once_over_all_files(tmp_path: Path) -> None:
    reading = read(
        tmp_path,
        a="routes:\n- {logical_address: A, contracts: [No:1, Nor:2], producer_address: a, valid_from: soon}",
        b="permissions:\n- {consumer: A}\nresolution: {}\n",
        c="resolution: {}\nnonsense: 1\n",
        d="a: [",
    )
    found = [(one.file, one.rule) for one in reading.problems]
    assert found == [
        ("a.yaml", "unknown-contract"),
        ("a.yaml", "unknown-contract"),
        ("a.yaml", "bad-date"),
        ("b.yaml", "missing-field"),
        ("b.yaml", "missing-field"),
        ("b.yaml", "missing-field"),
        ("c.yaml", "unknown-key"),
        ("c.yaml", "several-resolutions"),
        ("d.yaml", "syntax"),
    ]
    assert not reading.is_whole


def test_a_hundred_thousand_levels_are_refused_and_not_recursed_into(tmp_path: Path) -> None:
    assert problem(tmp_path, "[" * 100_000).rule == "syntax"


def test_a_file_that_is_not_utf_8_is_named_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("components:\n  A: {name: Malmö}\n".encode("latin-1"))
    (found,) = read_draft(tmp_path, contracts=FakeContracts(), relative_to=tmp_path).problems
    assert (found.file, found.line, found.rule) == ("latin.yaml", 2, "encoding")
    assert "0xf6" in found.message


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "bom.yaml").write_bytes("\ufeffcomponents: {A: {name: x}}".encode())
    assert read_draft(tmp_path, contracts=FakeContracts()).problems == ()


def test_only_yaml_files_that_are_not_hidden_are_read_and_links_are_followed(tmp_path: Path) -> None:
    elsewhere = written(tmp_path / "elsewhere", real="components: {A: {name: x}}")
    folder = tmp_path / "draft"
    folder.mkdir()
    (folder / "link.yaml").symlink_to(elsewhere / "real.yaml")
    (folder / ".#lock.yaml").symlink_to("nobody@nowhere.1")
    (folder / "notes.txt").write_text("a: [")
    (folder / "table.yaml~").write_text("a: [")
    reading = read_draft(folder, contracts=FakeContracts(), relative_to=folder)
    assert reading.problems == ()
    assert [str(row.place) for row in reading.draft.components] == ["link.yaml:1"]


def test_what_cannot_be_read_is_a_problem_and_never_waits(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").symlink_to("nothing")
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    found = read_draft(tmp_path, contracts=FakeContracts(), relative_to=tmp_path).problems
    assert [(one.file, one.rule) for one in found] == [
        ("broken.yaml", "unreadable"),
        ("folder.yaml", "unreadable"),
        ("pipe.yaml", "unreadable"),
    ]


def test_a_list_and_a_file_can_be_shared_by_an_anchor(tmp_path: Path) -> None:
    text = """\
        routes:
          - {logical_address: &all [A, B], contracts: GetDiagnosis:2, producer_address: a}
          - {logical_address: *all, contracts: GetCareContacts:3, producer_address: a}
        """
    assert len(read(tmp_path, tables=text).draft.routes) == 4


def test_a_list_that_holds_itself_is_refused(tmp_path: Path) -> None:
    assert problem(
        tmp_path, "routes:\n- {logical_address: &a [*a], contracts: GetDiagnosis:2, producer_address: a}"
    ).rule


@given(text=st.text(max_size=60) | st.binary(max_size=60))
def test_no_file_whatsoever_raises(tmp_path_factory: pytest.TempPathFactory, text: str | bytes) -> None:
    file = tmp_path_factory.mktemp("any") / "any.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    reading = read_draft(file, contracts=FakeContracts())
    assert reading.problems or reading.draft is not None


_words = st.sampled_from(["routes", "permissions", "A", "GetDiagnosis:2", "2024-01-01", "*", "a", ""])
_values = st.recursive(
    _words | st.none() | st.booleans() | st.integers() | st.dates().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=4),
    max_leaves=12,
)
_fields = st.sampled_from(
    ["logical_address", "contracts", "producer_address", "valid_from", "consumer", "agreement", "filters", "x"]
)


@given(
    rows=st.dictionaries(
        st.sampled_from(["routes", "permissions", "components", "producer_addresses", "resolution"]),
        st.lists(st.dictionaries(_fields, _values, max_size=6), max_size=3) | _values,
    )
)
def test_any_structure_gives_a_draft_or_problems_with_lines(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[str, object]
) -> None:
    import yaml

    file = tmp_path_factory.mktemp("any") / "any.yaml"
    file.write_text(yaml.safe_dump(rows))
    for found in read_draft(file, contracts=FakeContracts()).problems:
        assert found.line > 0
        assert found.message


def test_ten_thousand_rows_are_read_in_a_moment(tmp_path: Path) -> None:
    row = "- {logical_address: SE1-A%d, contracts: [GetDiagnosis:2, GetCareContacts:3], producer_address: a}\n"
    text = "routes:\n" + "".join(row % number for number in range(2000))
    assert len(read(tmp_path, tables=text).draft.routes) == 4000


def test_times_of_a_day_with_seconds_fraction_and_zulu_are_read(tmp_path: Path) -> None:
    text = ROUTE.format(contracts="GetDiagnosis:2", more="valid_from: 2024-01-01T00:00:00.5Z")
    (row,) = read(tmp_path, tables=text).draft.routes
    assert row.valid_from == datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=0.5)
