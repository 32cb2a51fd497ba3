from dataclasses import replace
from datetime import UTC

from rivta.audit.story import Hop, hops, tell
from rivta.router.record import CallRecord, RecordedSource, RecordedViolation
from tests.calls import NATIONAL, REGIONAL, ROUTED, call

NAMES = {NATIONAL: "national", REGIONAL: "regional"}
FIRST = ROUTED
SECOND = replace(
    call(0, id="r0", platform=REGIONAL, sender=NATIONAL, elapsed_ms=44.0, producer_ms=41.5),
    time="2026-11-24T12:00:00.002000+00:00",
    producer_url="https://localhost:20031/GetDiagnosis",
    route_trace="SE2321000016-KS,(parent),SE2321000016",
)


def story(*records: object) -> str:
    return "\n".join(tell(records, names=NAMES, zone=UTC))  # type: ignore[arg-type]


def test_a_call_over_both_platforms_reads_from_consumer_to_producer() -> None:
    assert (
        story(SECOND, FIRST)
        == """\
GetDiagnosis:2 to SE2321000016-KS, 2026-11-24 12:00:00.000 UTC
routed, HTTP 200, 48.5 ms
correlation id 8f14e45f-ceea-467f-a9f6-6b2d7e0a7c11

  SE165565594230-NPO  (consumer)
   │   2,048 bytes
   ▼
  SE165565594230-NTJP  (national)                                       3.2 ms
   │   route SE2321000016-KS
   │   permission SE2321000016-KS
   │   profile RIVTABP21
   │   publication 3
   │   1.2 ms on the way
   ▼
  SE2321000016-RTP  (regional)                                          2.5 ms
   │   route SE2321000016-KS,(parent),SE2321000016
   │   permission SE2321000016-KS
   │   profile RIVTABP21
   │   publication 3
   ▼
  https://localhost:20031/GetDiagnosis  (producer)                     41.5 ms
     answered HTTP 200, 4,096 bytes"""
    )


def test_a_refused_call_ends_where_it_was_refused_and_says_why() -> None:
    violation = RecordedViolation(message="request", line=7, path="/a/b", reason="text of 3 letters is not a date")
    refused = replace(
        SECOND,
        outcome="VP015",
        producer_url=None,
        producer_ms=None,
        http_status=500,
        detail="not valid",
        violations=(violation,),
    )

    told = story(replace(FIRST, http_status=500), refused)

    assert told.endswith(
        """\
   ✗ VP015 Anrop ej korrekt utformat och kan därför inte behandlas.
     not valid
     route SE2321000016-KS,(parent),SE2321000016
     permission SE2321000016-KS
     request, line 7: text of 3 letters is not a date (/a/b)"""
    )
    assert "(producer)" not in told


def test_a_producer_that_failed_is_named_with_its_time() -> None:
    told = story(replace(FIRST, outcome="VP009", http_status=500, detail="no answer in 27 s", producer_ms=27000.0))

    assert "   ✗ VP009 Fel vid kontakt med tjänsteproducenten." in told
    assert "     to https://localhost:20020/vp" in told
    assert told.endswith("     the producer took 27000.0 ms")


def test_the_time_of_a_producer_that_never_answered_is_not_called_the_platforms_own() -> None:
    told = story(replace(FIRST, outcome="VP009", http_status=500, detail="refused", producer_ms=None))

    assert "  SE165565594230-NTJP  (national)\n" in told
    assert told.endswith("     after 48.5 ms")


def test_of_calls_that_arrive_in_the_same_millisecond_the_longer_holds_the_other() -> None:
    assert hops([replace(SECOND, time=FIRST.time), FIRST]) == [Hop(FIRST, (Hop(replace(SECOND, time=FIRST.time), ()),))]


def test_a_call_of_which_little_is_known_is_told_too() -> None:
    told = story(
        replace(
            FIRST,
            outcome="http-413",
            http_status=0,
            sender=None,
            contract=None,
            logical_address=None,
            platform="SE-UNKNOWN",
            producer_ms=None,
            producer_url=None,
            detail="",
        )
    )

    assert told.startswith("- to -, 2026")
    assert "http-413, without an answer" in told
    assert "  not identified  (consumer)" in told
    assert "  SE-UNKNOWN  (platform)" in told


def test_a_translated_profile_is_told() -> None:
    assert "profile RIVTABP20 to RIVTABP21" in story(replace(FIRST, profile_in="RIVTABP20"))
    assert "profile RIVTABP20\n" in story(replace(FIRST, profile_in="RIVTABP20", profile_out=None))


def test_calls_are_nested_by_who_called_whom() -> None:
    other = replace(SECOND, id="r1", time="2026-11-24T12:00:00.003000+00:00")
    alone = replace(SECOND, id="r2", sender="SE-SOMEBODY")

    assert hops([other, alone, SECOND, FIRST]) == [
        Hop(FIRST, (Hop(SECOND, ()), Hop(other, ()))),
        Hop(alone, ()),
    ]


def test_a_round_trip_through_the_same_platform_is_a_chain() -> None:
    """A regional consumer's call to the national aggregate comes back through its own platform."""
    first = replace(SECOND, id="1", sender="SE-JOURNAL")
    second = replace(FIRST, id="2", sender=REGIONAL, time="2026-11-24T12:00:00.004000+00:00")
    third = replace(SECOND, id="3", sender=NATIONAL, time="2026-11-24T12:00:00.006000+00:00")

    assert hops([third, first, second]) == [Hop(first, (Hop(second, (Hop(third, ()),)),))]


def test_a_call_that_came_after_the_first_had_ended_is_a_call_of_its_own() -> None:
    later = replace(SECOND, time="2026-11-24T12:00:05+00:00")

    assert len(hops([FIRST, later])) == 2


def aggregate_of_two() -> list[CallRecord]:
    """An aggregate at the national platform: the index, a source that answered, and one that a region has refused."""
    fine = RecordedSource("SE2321000255-SUS", "DataFromSource", records=2, ms=40.0)
    failed = RecordedSource("SE2321000016-KS", "NoDataSynchFailed", "500", "VP009 Fel", ms=50.0)
    unasked = RecordedSource("SE2321000131-SU", "Filtered", "FT source system")
    consumer = "SE165565594230-NPO"
    return [
        call(0, logical_address="5565594230", producer_url="aggregation:", sources=(fine, failed, unasked), id="whole"),
        call(1, logical_address="5565594230", contract="urn:x:FindContentResponder:1", sender=NATIONAL, id="index"),
        call(2, logical_address=fine.source, sender=consumer, id="fine"),
        call(2, logical_address=failed.source, sender=consumer, id="failed"),
        call(3, logical_address=failed.source, sender=NATIONAL, platform=REGIONAL, outcome="VP009", id="region"),
    ]


def test_calls_of_an_aggregate_are_under_it_and_what_they_led_to_under_them():
    (whole,) = hops([replace(record, elapsed_ms=60_000.0, producer_ms=50_000.0) for record in aggregate_of_two()])
    assert {one.record.id: [child.record.id for child in one.onward] for one in whole.onward} == {
        "index": [],
        "fine": [],
        "failed": ["region"],
    }


def test_the_story_of_an_aggregate_lists_its_sources_and_tells_of_those_that_failed():
    slow = [replace(record, elapsed_ms=60_000.0, producer_ms=50_000.0) for record in aggregate_of_two()]
    told = "\n".join(tell(slow, names={}))
    assert "SE2321000255-SUS: 2 records" in told
    assert "SE2321000131-SU: Filtered FT source system" in told
    assert told.count("SE2321000255-SUS") == 1
    assert "route SE2321000016-KS" in told
