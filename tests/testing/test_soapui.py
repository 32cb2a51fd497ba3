"""SoapUI projects made into cases."""

import pytest

from rivta.catalogue.rows import Problem
from rivta.testing.assertions import BodyHas, FaultIs, NoFault, SchemaValid, StatusIs, TimeWithin, Wanted, XPathIs
from rivta.testing.case_files import read_case
from rivta.testing.case_writing import write_case
from rivta.testing.cases import Found
from rivta.testing.soapui import ProjectRefused, read_project
from rivta.testing.soapui_import import convert
from tests.testing.messages import CONTRACTS
from tests.testing.projects import assertion, project

VERSION = (
    "<path>declare namespace p='urn:p';\n//p:version</path><content>{}</content><allowWildcards>{}</allowWildcards>"
)


def imported(tmp_path, *assertions: str, **options):
    """The step that sends something, converted; and the case as it is read again."""
    file = tmp_path / "project.xml"
    file.write_bytes(project(*assertions, **options))
    (one,), left_out = convert(read_project(file))
    write_case(one.new, tmp_path / "out" / one.folder)
    problems: list[Problem] = []
    case = read_case(Found("x", tmp_path / "out" / one.folder), problems, contracts=CONTRACTS)
    assert problems == []
    return one, case, left_out


@pytest.mark.parametrize(
    ("written", "ours"),
    [
        (assertion("SOAP Response"), XPathIs("/soap:Envelope", Wanted("exists", "true"))),
        (assertion("SOAP Fault Assertion"), NoFault()),
        (assertion("Not SOAP Fault Assertion"), FaultIs()),
        (assertion("Schema Compliance"), SchemaValid()),
        (assertion("Response SLA Assertion", "<SLA>2500</SLA>"), TimeWithin(longest_s=2.5)),
        (assertion("Valid HTTP Status Codes", "<codes>200, 500</codes>"), StatusIs((200, 500))),
        (assertion("Simple Contains", "<token>VP0</token>"), BodyHas("VP0")),
        (
            assertion("Simple NotContains", "<token>a.b</token><ignoreCase>true</ignoreCase>"),
            BodyHas(r"(?i)a\.b", is_pattern=True, is_absent=True),
        ),
        (
            assertion("Simple Contains", "<token>(?s).*VP0.*</token><useRegEx>true</useRegEx>"),
            BodyHas(r"(?s)\A(?:.*VP0.*)\Z", is_pattern=True),
        ),
        (
            assertion("XPath Match", VERSION.format("1.0", "false")),
            XPathIs("(//p:version)[1]", Wanted("equals", "1.0")),
        ),
        (assertion("XPath Match", VERSION.format("1*", "true")), XPathIs("(//p:version)[1]", Wanted("matches", "1.*"))),
        (
            assertion("XPath Match", "<path>exists(//*:a)</path><content>true</content>"),
            XPathIs("boolean(//*[local-name()='a'])", Wanted("equals", "true")),
        ),
        (
            assertion("XPath Match", "<path>count(//a)</path><content>${Data#who}</content>"),
            XPathIs("count(//a)", Wanted("equals", "${Data.who}")),
        ),
    ],
    ids=lambda one: str(one)[:60],
)
def test_an_assertion_with_an_equal_is_converted(tmp_path, written, ours) -> None:
    one, case, _ = imported(tmp_path, written)
    assert [placed.assertion for placed in case.assertions] == [ours]
    assert len(one.converted) == 1


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (assertion("GroovyScriptAssertion", "<scriptText>assert 1\nelse</scriptText>"), "a script, kept as a comment"),
        (assertion("MessageContentAssertion"), "there is no equal here"),
        (assertion("Invalid HTTP Status Codes", "<codes>500</codes>"), "there is no equal here"),
        (assertion("Schema Compliance", disabled=True), "disabled in the project"),
        (assertion("XPath Match", "<path>for $a in //b return $a</path><content>1</content>"), "not XPath 1.0"),
        (assertion("XPath Match", "<path>//a</path><content>&lt;a/></content>"), "it compares with XML"),
        (assertion("Simple Contains", "<token>(</token><useRegEx>true</useRegEx>"), "no regular expression"),
        (assertion("Response SLA Assertion", "<SLA>${x}</SLA>"), "no number of milliseconds"),
        (assertion("Valid HTTP Status Codes", "<codes>2xx</codes>"), "no list of statuses"),
    ],
    ids=lambda one: one[:50],
)
def test_one_without_is_counted_with_the_reason(tmp_path, written, reason) -> None:
    one, case, _ = imported(tmp_path, written)
    assert reason in one.not_converted[0]
    assert one.converted == []
    assert [placed.assertion for placed in case.assertions] == [NoFault()]


def test_properties_become_variables_with_their_values(tmp_path) -> None:
    _, case, _ = imported(tmp_path)
    assert dict(case.variables) == {
        "Project.address": "SE2321000016-KS",
        "TestCase.contract": "urn:x:1",
        "Data.who": "A & B",
        "Project.consumer": "SE1-C",
    }
    assert b"${Project.address}</r:LogicalAddress>" in case.request.read_bytes()
    assert dict(case.headers) == {"x-rivta-original-serviceconsumer-hsaid": "${Project.consumer}"}
    assert case.soap_action == "urn:ping:action"


def test_scripts_are_comments_and_counted_and_secrets_left_out(tmp_path) -> None:
    script = assertion("GroovyScriptAssertion", "<scriptText>assert true</scriptText>", name="mine")
    one, case, left_out = imported(tmp_path, script)
    text = (case.folder / "message.yaml").read_text()
    assert '#     log.info("två")' in text
    assert "#     assert true" in text
    assert "YTpi" not in text
    assert any("header Authorization" in reason for reason in one.not_converted)
    assert [(left.what, left.reason) for left in left_out] == [
        ("Routing / basics / Ping / prepare", "a script, kept as a comment"),
        ("Routing / basics / Off", "disabled in the project"),
    ]


def test_an_expansion_without_a_value_is_told_and_left_to_the_command_line(tmp_path) -> None:
    one, case, _ = imported(tmp_path, request="<a>${=new Date()} ${Other#Response#//x}</a>")
    assert len([reason for reason in one.not_converted if "--set" in reason]) == 2
    assert case.request.read_bytes().count(b"${") == 2


def test_a_foreign_encoding_is_read_and_cases_are_utf_8(tmp_path) -> None:
    _, case, _ = imported(
        tmp_path, request="<?xml version='1.0' encoding='ISO-8859-1'?><a>åäö</a>", encoding="ISO-8859-1"
    )
    assert case.request.read_bytes() == '<?xml version="1.0" encoding="UTF-8"?>\n<a>åäö</a>'.encode()


def test_a_property_that_means_itself_has_no_value(tmp_path) -> None:
    file = tmp_path / "p.xml"
    file.write_bytes(project().replace(b">SE1-C<", b">${#Project#consumer}<"))
    (one,), _ = convert(read_project(file))
    assert any("${#Project#consumer}: it has no value" in reason for reason in one.not_converted)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<a/>", "is no SoapUI project: it begins with a"),
        (b"<a>\n<b></a>", ":2: is no XML that can be read"),
        (b"<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>", "DOCTYPE"),
        (b"", "is no XML"),
    ],
)
def test_what_is_no_project_is_refused_in_a_line(tmp_path, content, message) -> None:
    file = tmp_path / "project.xml"
    file.write_bytes(content)
    with pytest.raises(ProjectRefused, match=message):
        read_project(file)
