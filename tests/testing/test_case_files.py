"""Reading cases: what a folder may hold, and every mistake with its file and line."""

from pathlib import Path

import pytest

from rivta.catalogue.rows import Problem
from rivta.soap.identifiers import Profile
from rivta.testing.assertions import (
    BodyHas,
    CountIs,
    FaultIs,
    HeaderIs,
    NoFault,
    RecordsHave,
    SameAsRecorded,
    SchemaValid,
    SourcesSay,
    StatusIs,
    TimeWithin,
    Wanted,
    XPathIs,
)
from rivta.testing.case_files import read_case
from rivta.testing.cases import Case, Found, find_cases
from tests.testing.messages import CONTRACTS, DIAGNOSIS, ping, pong

WHOLE = """\
name: All there is
contract: GetDiagnosis:2
logical_address: SE1-KS
sender: SE1-NPO
identity: npo
profile: rivtabp21
via: regional
soap_action: urn:x
headers: {x-some: "1"}
variables: {patient: 191212121212}
namespaces: {d: "urn:riv:clinicalprocess:healthcond:description:2"}
masks: [//logId]
unordered: [//c:diagnosis]
assertions:
  - status: [200, 202]
  - fault: none
  - fault: VP004
  - fault: {code: VP007, detail: SE1}
  - schema: valid
  - {xpath: "//d:id", equals: "${patient}"}
  - {xpath: //diagnosis, count: 3}
  - {xpath: //diagnosis, exists: no}
  - {records: //diagnosis, value: .//id, in: any, matches: '\\d+'}
  - processing_status: {SE1-KS: DataFromSource}
  - {header: x-some, contains: a}
  - time: {at_least: 0.5, at_most: 30}
  - body: {lacks: VP0}
  - same_as_recorded: true
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "request.xml").write_bytes(ping())
    return tmp_path / "case"


def read(folder: Path, text: str | None = None) -> tuple[Case | None, list[str]]:
    if text is not None:
        (folder / "message.yaml").write_text(text)
    problems: list[Problem] = []
    case = read_case(Found(folder.name, folder), problems, contracts=CONTRACTS)
    return case, [str(one).replace(f"{folder}/", "") for one in problems]


def test_everything_that_a_case_may_say(folder) -> None:
    (folder / "response.xml").write_bytes(pong())
    case, problems = read(folder, WHOLE)
    assert problems == []
    assert (case.contract, case.profile, case.via, case.sender) == (DIAGNOSIS, Profile.RIVTABP21, "regional", "SE1-NPO")
    assert dict(case.variables) == {"patient": "191212121212"}
    assert [placed.assertion for placed in case.assertions] == [
        StatusIs((200, 202)),
        NoFault(),
        FaultIs("VP004"),
        FaultIs("VP007", None, "SE1"),
        SchemaValid(),
        XPathIs("//d:id", Wanted("equals", "${patient}")),
        CountIs("//diagnosis", "3"),
        XPathIs("//diagnosis", Wanted("exists", "false")),
        RecordsHave("//diagnosis", ".//id", Wanted("matches", r"\d+"), "any"),
        SourcesSay((("SE1-KS", "DataFromSource"),)),
        HeaderIs("x-some", Wanted("contains", "a")),
        TimeWithin(0.5, 30),
        BodyHas("VP0", is_absent=True),
        SameAsRecorded(),
    ]
    assert case.assertions[1].place.line == 16


def test_a_request_alone_is_a_case_that_asserts_no_fault(folder) -> None:
    case, _ = read(folder)
    assert [placed.assertion for placed in case.assertions] == [NoFault()]


def test_with_an_answer_beside_it_it_asserts_the_same_answer(folder) -> None:
    (folder / "response.xml").write_bytes(pong())
    case, _ = read(folder)
    assert [placed.assertion for placed in case.assertions] == [SameAsRecorded()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("contract: GetDiagnosi:2", "message.yaml:1: contract: contract 'GetDiagnosi:2' is not installed"),
        ("contract: GetDiagnosis\nadress: X", "message.yaml:2: message.yaml: unknown key 'adress'; allowed are"),
        ("profile: RIVTABP22", "message.yaml:1: profile: 'RIVTABP22' is not one of RIVTABP20, RIVTABP21"),
        ("via: local", "message.yaml:1: via: 'local' is not one of national, regional"),
        ("headers: {Host: x}", "message.yaml:1: headers: Host is set by the transport"),
        ("headers: {'a b': x}", "message.yaml:1: headers: 'a b' cannot stand in an HTTP request"),
        ("variables: {'a b': x}", "message.yaml:1: variables: 'a b' is no name for a variable"),
        ("masks: ['//x[']", "message.yaml:1: masks: '//x[' is no XPath that can be used"),
        (
            "masks: ['//nix:x']",
            "message.yaml:1: masks: '//nix:x' is no XPath that can be used: Undefined namespace prefix",
        ),
        ("assertions:\n  - statuss: 200", "message.yaml:2: statuss is no assertion: there are status, fault"),
        ("assertions:\n  - status: 2OO", "message.yaml:2: status: '2OO' is no HTTP status"),
        ("assertions:\n  - fault: VP4", "message.yaml:2: fault: 'VP4' is none of none, any, a code"),
        ("assertions:\n  - {xpath: //a}", "message.yaml:2: xpath: expected one of equals, matches, contains, exists"),
        ("assertions:\n  - {xpath: //a, equals: 1, exists: true}", "message.yaml:2: xpath: expected one of"),
        ("assertions:\n  - {xpath: //a, equal: 1}", "message.yaml:2: xpath: 'equal' does not belong here"),
        ("assertions:\n  - {xpath: //a, count: many}", "message.yaml:2: count: 'many' is no number"),
        ("assertions:\n  - {xpath: //a, matches: '('}", "message.yaml:2: '(' is no regular expression"),
        ("assertions:\n  - {records: //a, equals: 1}", "message.yaml:2: records: the value to look at in each"),
        (
            "assertions:\n  - {records: //a, value: b, in: some, equals: 1}",
            "message.yaml:2: in: 'some' is not all or any",
        ),
        ("assertions:\n  - time: {at_most: 2 s}", "message.yaml:2: time: at_most: '2 s' is no number of seconds"),
        ("assertions:\n  - time: {}", "message.yaml:2: time: expected at_least, at_most or both"),
        ("assertions:\n  - body: {}", "message.yaml:2: body: expected one of contains, lacks"),
        (
            "assertions:\n  - same_as_recorded: true",
            "message.yaml:2: asserts what was recorded, but there is no response",
        ),
        ("assertions:\n  - schema: perhaps", "message.yaml:2: schema: the only thing to ask for is `valid`"),
        ("assertions: {status: 200}", "message.yaml:1: assertions: expected a list"),
        ("recorded: {time: now}", "message.yaml:1: recorded: the outcome is missing"),
        ("a: [", "message.yaml:1: not YAML"),
        ("", "message.yaml:0: is empty"),
    ],
)
def test_a_mistake_is_told_with_file_and_line(folder, text, message) -> None:
    case, problems = read(folder, text)
    assert case is None
    assert problems[0].startswith(message)


def test_all_mistakes_are_told_at_once(folder) -> None:
    _, problems = read(folder, "via: x\nprofile: y\nassertions:\n  - status: no\n  - fault: VP1\n")
    assert [one.split(":")[1] for one in problems] == ["2", "1", "4", "5"]


def test_a_case_without_a_request_is_none(folder) -> None:
    (folder / "request.xml").unlink()
    case, problems = read(folder, "name: x")
    assert case is None
    assert problems == ["request.xml:0: is missing: it is what would be sent [no-request]"]


def test_cases_are_found_in_folders_of_folders_by_name(tmp_path) -> None:
    for name in ("b/two", "b/one", "a", ".git/x", "b/nothing"):
        (tmp_path / "suite" / name).mkdir(parents=True)
        if "nothing" not in name:
            (tmp_path / "suite" / name / "request.xml").write_bytes(b"<a/>")
    problems: list[Problem] = []
    found = find_cases([tmp_path / "suite"], problems)
    assert [one.name for one in found] == ["suite/a", "suite/b/one", "suite/b/two"]
    assert find_cases([tmp_path / "suite" / "a" / "request.xml"], problems)[0].name == "a"
    assert problems == []


def test_a_case_named_twice_is_one_and_two_of_one_name_are_told_apart(tmp_path) -> None:
    for name in ("x/case", "y/case"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "request.xml").write_bytes(b"<a/>")
    problems: list[Problem] = []
    found = find_cases([tmp_path / "x/case", tmp_path / "y/case", tmp_path / "x"], problems)
    assert [one.name for one in found] == [f"{tmp_path}/x/case", f"{tmp_path}/y/case"]


def test_a_folder_without_cases_is_told(tmp_path) -> None:
    problems: list[Problem] = []
    assert find_cases([tmp_path], problems) == []
    assert "holds no case: a case is a folder with request.xml" in str(problems[0])


def test_a_loop_of_links_is_not_followed(tmp_path) -> None:
    (tmp_path / "request.xml").write_bytes(b"<a/>")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert len(find_cases([tmp_path], [])) == 1
