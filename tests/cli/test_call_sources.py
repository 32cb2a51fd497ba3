"""The sources of an aggregate, as `rivta call` shows them: read off the answer, completed from the call log."""

import io
from collections.abc import Sequence
from dataclasses import replace

import pytest
from rich.console import Console

from rivta.cli.call_sources import (
    LONGEST_WAIT_SECONDS,
    ShownSource,
    print_sources,
    read_sources,
    recorded_sources,
    with_recorded,
)
from rivta.router.record import CallRecord, RecordedSource

GOOD = (
    "<h:ProcessingStatusList><h:logicalAddress>SE1-KS</h:logicalAddress><h:statusCode>DataFromSource</h:statusCode>"
    "<h:isResponseFromCache>false</h:isResponseFromCache><h:isResponseInSynch>true</h:isResponseInSynch>"
    "<h:lastSuccessfulSynch>20261124093000</h:lastSuccessfulSynch></h:ProcessingStatusList>"
)
BAD = (
    "<h:ProcessingStatusList><h:logicalAddress>SE1-SOS</h:logicalAddress><h:statusCode>NoDataSynchFailed</h:statusCode>"
    "<h:isResponseFromCache>false</h:isResponseFromCache><h:isResponseInSynch>false</h:isResponseInSynch>"
    "<h:lastUnsuccessfulSynch>20261124093000</h:lastUnsuccessfulSynch><h:lastUnsuccessfulSynchError>"
    "<h:causingAgent>virtualization_platform</h:causingAgent><h:code>43000</h:code><h:text>Unknown error</h:text>"
    "</h:lastUnsuccessfulSynchError></h:ProcessingStatusList>"
)
FILTERED = (
    '<f:filtered xmlns:f="urn:rivta:aggregation:1"><f:source address="SE1-X" logicalAddress="SE1-XU" '
    'reason="permission" outcome="VP007"/></f:filtered>'
)
RECORD = CallRecord(id="1", time="2026-11-24T08:30:00.000Z", platform="SE1-P", correlation_id="c", outcome="routed")


def aggregate(*entries: str) -> bytes:
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header>'
        f'<h:ProcessingStatus xmlns:h="urn:riv:interoperability:headers:1">{"".join(entries)}</h:ProcessingStatus>'
        "</s:Header><s:Body><a/></s:Body></s:Envelope>"
    ).encode()


def sources(*entries: str) -> tuple[ShownSource, ...]:
    found = read_sources(aggregate(*entries))
    assert found is not None
    return found


def printed(shown: Sequence[ShownSource]) -> str:
    out = io.StringIO()
    print_sources(Console(file=out, width=120, highlight=False), shown)
    return out.getvalue()


def test_the_header_says_which_sources_answered_and_why_others_did_not() -> None:
    assert sources(GOOD, BAD, FILTERED) == (
        ShownSource("SE1-KS", "answered", None, None, None, ""),
        ShownSource("SE1-SOS", "failed", 0, None, "43000", "Unknown error"),
        ShownSource("SE1-X", "filtered", None, None, "permission", "logical address SE1-XU, VP007"),
    )


def test_an_aggregate_without_sources_is_one_all_the_same() -> None:
    assert sources() == ()
    assert "no source has anything about the patient" in printed(())


@pytest.mark.parametrize(
    "body",
    [b"<a/>", b"<a>ProcessingStatus</a>", aggregate().replace(b"h:Proc", b"h:Other")],
    ids=["a", "text", "other"],
)
def test_another_answer_has_no_sources(body: bytes) -> None:
    assert read_sources(body) is None


def test_records_and_times_are_the_platforms_and_none_is_empty() -> None:
    recorded = (
        RecordedSource("SE1-KS", "DataFromSource", records=0, ms=12.0),
        RecordedSource("SE1-SOS", "x", ms=27_000.0),
    )
    completed = with_recorded(sources(GOOD, BAD), recorded)
    assert [(one.status, one.records, one.ms) for one in completed] == [("empty", 0, 12.0), ("failed", 0, 27_000.0)]
    assert completed[1].text == "Unknown error"


def test_a_source_that_the_answer_is_silent_of_is_not_told_of_from_the_log() -> None:
    recorded = (RecordedSource("SE1-KS", "DataFromSource", records=2, ms=1.0), RecordedSource("SE1-Y", "Filtered"))
    assert [one.source for one in with_recorded(sources(GOOD), recorded)] == ["SE1-KS"]


def test_the_record_is_waited_for_and_the_aggregates_own_is_taken() -> None:
    mine = (RecordedSource("SE1-KS", "DataFromSource", records=1, ms=1.0), RecordedSource("SE1-Z", "Filtered"))
    logs = iter([[], [RECORD], [RECORD, replace(RECORD, id="2", sources=mine)]])
    naps: list[float] = []
    found = recorded_sources(lambda: next(logs), sources(GOOD), clock=lambda: 0.0, sleep=naps.append)
    assert (found, len(naps)) == (mine, 2)


def test_a_record_that_does_not_come_is_not_waited_for_long() -> None:
    now = [0.0]

    def nap(seconds: float) -> None:
        now[0] += seconds

    assert recorded_sources(lambda: [RECORD], sources(GOOD), clock=lambda: now[0], sleep=nap) == ()
    assert now[0] < LONGEST_WAIT_SECONDS + 0.1


def test_the_table_says_who_answered_with_how_much_and_why_the_others_did_not() -> None:
    recorded = (RecordedSource("SE1-KS", "DataFromSource", records=3, ms=12.4), RecordedSource("SE1-SOS", "x", ms=27.0))
    lines = [line.split() for line in printed(with_recorded(sources(GOOD, BAD, FILTERED), recorded)).splitlines()]
    assert lines == [
        ["source", "records", "ms", "why"],
        ["SE1-KS", "answered", "3", "12"],
        ["SE1-SOS", "failed", "0", "27", "43000", "Unknown", "error"],
        ["SE1-X", "filtered", "permission", "logical", "address", "SE1-XU,", "VP007"],
        ["3", "records", "from", "1", "of", "2", "sources"],
    ]


def test_a_source_cannot_steer_the_terminal() -> None:
    assert "\x1b[2J" not in printed([ShownSource("SE1\x1b[2J", "failed", 0, None, "500", "a\x1b[2Jb")])
