"""Aggregates on the running pair: every source that the index knows, whichever platform it is behind."""

from collections.abc import Mapping
from typing import Any

import pytest

from rivta.router.record import RecordedSource
from rivta.soap import namespaces
from rivta.soap.xml import parse_xml
from tests.pair.consumer import (
    CORRELATION_ID,
    JOURNAL,
    NATIONAL,
    NPO,
    REGIONAL,
    Admin,
    Consumer,
    document_ids,
    get_diagnosis,
    new_id,
)
from tests.support import until

NATIONAL_AGGREGATE = "5565594230"
SITUATION_OF_A_FAULT, THREE_SOURCES, THOUSAND = "199011022382", "199003022382", "199004022381"
NINA = "198507099805"
"""Has diagnoses in Stockholm, at a private provider there, and in a region that the national platform calls directly."""
DIRECT, BEHIND = "SE2321000131-SU", "SE2321000016-KS"
HISTORY, ORIGINAL = "x-rivta-routing-history", "x-rivta-original-serviceconsumer-hsaid"
STATUS = f"{{{namespaces.INTEROPERABILITY_HEADERS}}}"


@pytest.fixture(autouse=True, scope="module")
def announced(npo: Consumer) -> None:
    """Returns once the indexes know what the sources have announced when they started."""
    until(lambda: {DIRECT, BEHIND} <= set(fared(npo.call(get_diagnosis(NATIONAL_AGGREGATE, NINA)).content)))
    until(lambda: len(fared(npo.call(get_diagnosis(NATIONAL_AGGREGATE, THREE_SOURCES)).content)) == 3)
    until(lambda: len(fared(npo.call(get_diagnosis(NATIONAL_AGGREGATE, SITUATION_OF_A_FAULT)).content)) == 3)
    until(lambda: len(fared(npo.call(get_diagnosis(NATIONAL_AGGREGATE, THOUSAND)).content)) == 1)


def fared(body: bytes) -> Mapping[str, str]:
    """The code of each source's error, empty where it has answered."""
    records = parse_xml(body).iter(f"{STATUS}ProcessingStatusList")
    return {one.findtext(f"{STATUS}logicalAddress") or "": one.findtext(f".//{STATUS}code") or "" for one in records}


def all_records(admin: Admin, platform: str, correlation_id: str, number: int) -> list[dict[str, Any]]:
    """So many records of one correlation id at a platform, once they are in its log."""

    def look() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = admin.get(platform, "/calls", correlation_id=correlation_id)["calls"]
        return found if len(found) >= number else None

    return until(look)


def test_one_national_call_reaches_sources_behind_the_region_and_those_called_directly(npo: Consumer) -> None:
    answer = npo.call(get_diagnosis(NATIONAL_AGGREGATE, NINA))
    assert answer.status_code == 200
    assert set(fared(answer.content).values()) == {""}
    assert {DIRECT, BEHIND} <= set(fared(answer.content))
    assert len(document_ids(answer.content)) >= 4


def test_the_regions_aggregate_has_the_regions_sources(journal: Consumer) -> None:
    answer = journal.call(get_diagnosis(REGIONAL, NINA))
    assert BEHIND in fared(answer.content)
    assert DIRECT not in fared(answer.content)


def test_a_regional_consumers_call_to_the_national_aggregate_comes_back_through_its_platform(
    journal: Consumer, admin: Admin
) -> None:
    answer = journal.call(get_diagnosis(NATIONAL_AGGREGATE, NINA))
    assert {DIRECT, BEHIND} <= set(fared(answer.content))
    seen = admin.last_headers(BEHIND)
    assert seen[ORIGINAL] == JOURNAL
    assert seen[HISTORY] == f"{REGIONAL}#{NATIONAL}#{REGIONAL}"
    assert "x-rivta-history-segments" not in seen


def test_a_source_whose_platform_passes_on_a_fault_is_a_failed_source(npo: Consumer) -> None:
    codes = fared(npo.call(get_diagnosis(NATIONAL_AGGREGATE, SITUATION_OF_A_FAULT)).content)
    assert sorted(codes.values()) == ["", "", "500"]


def test_a_source_that_hangs_up_is_a_failed_source_by_the_code_of_its_platforms_fault(
    npo: Consumer, admin: Admin
) -> None:
    admin.set_stub(BEHIND, behaviour="close")
    try:
        answer = npo.call(get_diagnosis(NATIONAL_AGGREGATE, NINA))
    finally:
        admin.reset_stub(BEHIND)
    assert fared(answer.content)[BEHIND] == "500"
    assert fared(answer.content)[DIRECT] == ""


def test_a_thousand_records_of_one_source_all_come(npo: Consumer) -> None:
    assert len(document_ids(npo.call(get_diagnosis(NATIONAL_AGGREGATE, THOUSAND)).content)) == 1000


def test_the_call_log_has_the_aggregate_its_index_and_its_sources_under_one_id(npo: Consumer, admin: Admin) -> None:
    sent = new_id("aggregate")
    npo.call(get_diagnosis(NATIONAL_AGGREGATE, THREE_SOURCES), {CORRELATION_ID: sent})
    records = all_records(admin, "national", sent, 5)
    (whole,) = [one for one in records if one["producer_url"] == "aggregation:"]
    assert {one["sender"] for one in records if one is not whole} == {NATIONAL, NPO}
    sources = [RecordedSource(**one) for one in whole["sources"]]
    assert {one.status for one in sources} == {"DataFromSource"}
    assert {one.source for one in sources} == {one["logical_address"] for one in records} - {NATIONAL_AGGREGATE}
    assert len(all_records(admin, "regional", sent, 3)) == 3
