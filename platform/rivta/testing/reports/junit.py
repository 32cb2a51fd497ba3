"""A run as JUnit XML, in the form that Jenkins, GitLab and GitHub read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from lxml import etree

from rivta.testing.assertions import Finding
from rivta.testing.results import Outcome, Result, Run

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENT = {
    Outcome.FAILED: "failure",
    Outcome.UNANSWERED: "error",
    Outcome.REFUSED: "error",
    Outcome.CUT_OFF: "skipped",
}


def junit_xml(run: Run) -> bytes:
    """A `testsuites` with a suite for every folder of cases."""
    root = etree.Element("testsuites", _totals("rivta replay", run.results))
    root.set("time", f"{run.seconds:.3f}")
    by_suite: dict[str, list[Result]] = {}
    for result in run.results:
        by_suite.setdefault(_suite(result), []).append(result)
    for name in sorted(by_suite):
        results = by_suite[name]
        suite = etree.SubElement(root, "testsuite", _totals(name, results))
        suite.set("time", f"{sum(one.elapsed_s or 0.0 for one in results):.3f}")
        suite.set("timestamp", run.started[:19])
        for result in results:
            _add(suite, name, result)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True, pretty_print=True)


def _add(suite: etree._Element, name: str, result: Result) -> None:
    title = result.name.rpartition("/")[2] + (f" [{result.row}]" if result.row else "")
    case = etree.SubElement(suite, "testcase", classname=_xml(name.replace("/", ".")), name=_xml(title))
    case.set("time", f"{result.elapsed_s or 0.0:.3f}")
    element = _ELEMENT.get(result.outcome)
    if element is not None:
        told = result.message or "; ".join(f"{one.assertion}: {one.message}" for one in result.findings)
        trouble = etree.SubElement(case, element, message=_xml(" ".join(told.split())))
        if element != "skipped":
            trouble.set("type", result.outcome.value)
            trouble.text = _xml("\n".join([*map(finding_text, result.findings)]) or told)
    if result.correlation_id:
        etree.SubElement(case, "system-out").text = _xml(f"correlation id {result.correlation_id}")


def finding_text(finding: Finding) -> str:
    """A finding with its differences, a line each."""
    lines = [f"{finding.place}: {finding.assertion}: {finding.message}", *(f"  {one}" for one in finding.differences)]
    return "\n".join([*lines, f"  and {finding.more} more"] if finding.more else lines)


def _suite(result: Result) -> str:
    return result.name.rpartition("/")[0] or result.name


def _totals(name: str, results: Sequence[Result]) -> dict[str, str]:
    kinds = Counter(_ELEMENT.get(one.outcome, "") for one in results)
    return {
        "name": _xml(name),
        "tests": str(len(results)),
        "failures": str(kinds["failure"]),
        "errors": str(kinds["error"]),
        "skipped": str(kinds["skipped"]),
    }


def _xml(text: str) -> str:
    """What XML cannot hold becomes the replacement character."""
    return _NOT_XML.sub("\ufffd", text)
