"""A run as JUnit XML, JSON and HTML: everything is in it, and whatever an answer says stays text."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from rivta.soap.xml import parse_xml
from rivta.testing.assertions import Finding
from rivta.testing.comparison import Difference, Kind
from rivta.testing.reports.as_json import run_json
from rivta.testing.reports.html import html_page
from rivta.testing.reports.junit import junit_xml
from rivta.testing.results import Outcome, Result, Run, figures, percentile
from tests.testing.messages import DIAGNOSIS

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\x1b[31m\0\ud800"
FINDING = Finding(
    "same as recorded", "a/message.yaml:4", "1 difference", (Difference("/a/b", Kind.VALUE, "old", "new"),), more=3
)


def result(number: int, outcome: Outcome = Outcome.PASSED, **fields) -> Result:
    values: dict[str, Any] = {
        "name": f"suite/case-{number}",
        "contract": DIAGNOSIS,
        "logical_address": "SE1-KS",
        "producer": "ks",
        "elapsed_s": number / 100,
        "started_s": number / 10,
        "status": 200,
        "correlation_id": f"c-{number}",
    }
    return Result(number=number, outcome=outcome, **(values | fields))


def run(*results: Result, **fields) -> Run:
    values: dict[str, Any] = {"started": "2026-11-24T12:00:00+00:00", "seconds": 1.5, "target": "https://localhost/vp"}
    return Run(results=results, planned=len(results), **(values | fields))


EVERYTHING = run(
    result(1),
    result(2, Outcome.FAILED, status=500, fault="VP004", findings=(FINDING,), answer="<a/>"),
    result(3, Outcome.UNANSWERED, status=None, message="nothing listens there"),
    result(4, Outcome.REFUSED, status=None, elapsed_s=None, message="message.yaml:3: wrong\nmessage.yaml:4: wrong"),
    result(5, Outcome.CUT_OFF, status=None, elapsed_s=None, message="the run was stopped"),
    result(6, row=2),
)


def test_percentiles_are_the_nearest_rank() -> None:
    times = [number / 10 for number in range(1, 11)]
    assert [percentile(times, percent) for percent in (50, 90, 95, 99, 100)] == [0.5, 0.9, 1.0, 1.0, 1.0]
    assert percentile([7.0], 50) == 7.0


def test_figures_count_and_leave_unanswered_messages_out_of_times() -> None:
    found = figures(EVERYTHING.results)
    assert (found.messages, found.passed, found.bad, found.percentiles_s[100]) == (6, 2, 4, 0.06)


@pytest.mark.parametrize(
    ("made", "passed"),
    [
        (run(result(1)), True),
        (run(), False),
        (run(result(1), was_stopped=True), False),
        (run(result(1), result(2, Outcome.REFUSED)), False),
    ],
)
def test_a_run_has_passed_when_everything_was_sent_and_passed(made, passed) -> None:
    assert made.has_passed is passed


def test_junit_has_the_form_that_build_servers_read() -> None:
    root = parse_xml(junit_xml(EVERYTHING))
    assert (root.tag, root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")) == (
        "testsuites",
        "6",
        "1",
        "2",
        "1",
    )
    (suite,) = root
    assert (suite.tag, suite.get("name"), suite.get("tests"), suite.get("timestamp")) == (
        "testsuite",
        "suite",
        "6",
        "2026-11-24T12:00:00",
    )
    assert all(one.get("classname") == "suite" and float(one.get("time")) >= 0 for one in suite)
    assert [[child.tag for child in case if child.tag != "system-out"] for case in suite] == [
        [],
        ["failure"],
        ["error"],
        ["error"],
        ["skipped"],
        [],
    ]
    assert "/a/b: expected 'old', got 'new'" in suite.find("testcase/failure").text
    assert suite[5].get("name") == "case-6 [2]"


SCHEMA = """
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:complexType name="trouble"><xs:simpleContent><xs:extension base="xs:string">
    <xs:attribute name="message"/><xs:attribute name="type"/></xs:extension></xs:simpleContent></xs:complexType>
  <xs:attributeGroup name="counts"><xs:attribute name="name" use="required"/>
    <xs:attribute name="tests" type="xs:int" use="required"/><xs:attribute name="failures" type="xs:int"/>
    <xs:attribute name="errors" type="xs:int"/><xs:attribute name="skipped" type="xs:int"/>
    <xs:attribute name="time" type="xs:decimal"/></xs:attributeGroup>
  <xs:element name="testsuites"><xs:complexType><xs:sequence>
    <xs:element name="testsuite" minOccurs="0" maxOccurs="unbounded"><xs:complexType><xs:sequence>
      <xs:element name="testcase" minOccurs="0" maxOccurs="unbounded"><xs:complexType><xs:sequence>
        <xs:choice minOccurs="0"><xs:element name="failure" type="trouble"/><xs:element name="error" type="trouble"/>
          <xs:element name="skipped" type="trouble"/></xs:choice>
        <xs:element name="system-out" type="xs:string" minOccurs="0"/></xs:sequence>
        <xs:attribute name="name" use="required"/><xs:attribute name="classname" use="required"/>
        <xs:attribute name="time" type="xs:decimal"/></xs:complexType></xs:element></xs:sequence>
      <xs:attributeGroup ref="counts"/><xs:attribute name="timestamp" type="xs:dateTime"/></xs:complexType></xs:element>
    </xs:sequence><xs:attributeGroup ref="counts"/></xs:complexType></xs:element>
</xs:schema>"""


@settings(max_examples=40)
@given(st.text(max_size=30))
def test_junit_is_as_the_usual_schema_has_it_whatever_an_answer_says(text) -> None:
    made = run(result(1, Outcome.FAILED, name=f"s/{text}", findings=(Finding(text, text, text),), correlation_id=text))
    schema = etree.XMLSchema(parse_xml(SCHEMA.encode()))
    schema.assertValid(parse_xml(junit_xml(made)))


def test_json_has_everything_and_can_be_written() -> None:
    found = json.loads(json.dumps(run_json(EVERYTHING)))
    assert found["totals"] == {"passed": 2, "failed": 1, "unanswered": 1, "refused": 1, "cut off": 1}
    assert (found["passed"], found["planned"], len(found["results"])) == (False, 6, 6)
    assert found["results"][1]["findings"][0]["differences"] == [
        {"path": "/a/b", "kind": "value", "expected": "old", "actual": "new"}
    ]
    assert found["contracts"][0] | {"name": "x"} == {
        "name": "x",
        "messages": 6,
        "passed": 2,
        "p50_ms": 20.0,
        "p90_ms": 60.0,
        "p95_ms": 60.0,
        "p99_ms": 60.0,
        "p100_ms": 60.0,
    }


class Page(HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data) -> None:
        self.texts.append(data)

    def named(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.elements if name == tag)


def test_the_page_shows_every_message_the_numbers_and_the_differences() -> None:
    page = Page(html_page(EVERYTHING))
    text = " ".join("".join(page.texts).split())
    for wanted in (
        "4 of 6 did not pass",
        "GetDiagnosis:2",
        "SE1-KS",
        "nothing listens there",
        "old",
        "new",
        "VP004",
        "and 3 more",
    ):
        assert wanted in text
    assert len([one for one in page.named("tr") if "data-outcome" in one]) == 6
    assert len(list(page.named("circle"))) == 4


def test_the_page_needs_nothing_from_anywhere() -> None:
    text = html_page(EVERYTHING)
    page = Page(text)
    assert not [one for _, one in page.elements if {"src", "href"} & one.keys()]
    assert not list(page.named("link"))
    assert not re.search(r"url\(|@import|https?://(?!localhost/vp)", text)
    assert "default-src 'none'" in next(one["content"] for one in page.named("meta") if one.get("http-equiv"))


def test_hostile_text_is_text() -> None:
    made = run(
        result(1, Outcome.FAILED, name=HOSTILE, title=HOSTILE, contract=HOSTILE, logical_address=HOSTILE, producer=HOSTILE,
               fault=HOSTILE, correlation_id=HOSTILE, answer=HOSTILE, message=HOSTILE,
               findings=(Finding(HOSTILE, HOSTILE, HOSTILE, (Difference(HOSTILE, Kind.VALUE, HOSTILE, HOSTILE),)),)),
        target=HOSTILE,
    )  # fmt: skip
    page = Page(html_page(made))
    assert len(list(page.named("script"))) == 1
    assert not list(page.named("img"))
    assert not [one for _, attributes in page.elements for one in attributes if one.startswith("on")]
    html_page(made).encode()


def test_a_long_run_lists_what_did_not_pass_and_as_many_others_as_fit(monkeypatch) -> None:
    monkeypatch.setattr("rivta.testing.reports.html.MOST_ROWS", 3)
    made = run(*(result(number, Outcome.FAILED if number == 9 else Outcome.PASSED) for number in range(1, 10)))
    text = html_page(made)
    assert "suite/case-9" in text
    assert "6 more that passed are not listed" in text


def test_a_run_in_which_nothing_was_sent_has_a_page() -> None:
    assert "nothing was sent" in html_page(run())
    assert "stopped after 0 of 5" in html_page(Run("2026-11-24T12:00:00+00:00", 0.1, "x", (), 5, True))
