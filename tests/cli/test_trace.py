"""A trace, put together from records and explanations as platforms give them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rivta.cli import trace
from rivta.cli.trace import Certificate, Seen, Trace, gather, put_together, trace_json
from rivta.cli.trace_advice import ASK, Party
from rivta.cli.trace_view import picture
from rivta.router.record import CallRecord, RecordedViolation
from rivta.run.home import Home
from rivta.soap.faults import Fault
from tests.calls import DIAGNOSIS, NATIONAL, REGIONAL, ROUTED, call

HOME = Home(Path("/somewhere/pair"))
NPO = "SE165565594230-NPO"
URLS = {"national": "https://localhost:20010/vp", "regional": "https://localhost:20020/vp"}
NAMES = {NATIONAL: "National platform", REGIONAL: "Regional platform", NPO: "Patient overview", "SE1-TC": "TakeCare"}
FIRST = replace(
    ROUTED,
    producer_url=URLS["regional"],
    certificate_subject="CN=npo",
    certificate_issuer="CN=CA",
    certificate_valid_to="2028-11-24T10:00:00+00:00",
    tls="TLSv1.3 TLS_AES_256_GCM_SHA384",
)
SECOND = replace(
    call(0, id="r0", platform=REGIONAL, sender=NATIONAL, elapsed_ms=44.0, producer_ms=41.5),
    time="2026-11-24T12:00:00.002000+00:00",
    producer_url="https://localhost:20031/",
    certificate_subject="CN=ntjp",
)
SEEN = Seen(via="national", url=URLS["national"], identity="npo", elapsed_ms=52.0)


class FakePlatforms:
    """Platforms whose logs hold `records`, or give them out only after so many looks."""

    def __init__(self, *records: CallRecord, local: tuple[str, ...] = ("national", "regional"), late: int = 0) -> None:
        known = {"national": NATIONAL, "regional": REGIONAL}
        self.endpoints: Any = {
            "platforms": {
                name: {"id": known[name], "name": name.upper(), "https": URLS[name], "admin": ""} for name in local
            }
        }
        self.notes: dict[str, str] = {}
        self.looks = 0
        self._records, self._late = records, late

    @property
    def names(self) -> dict[str, str]:
        return {one["id"]: name for name, one in self.endpoints["platforms"].items()}

    def records(self, _correlation_id: str) -> list[CallRecord]:
        self.looks += 1
        if self.looks <= self._late:
            return [record for record in self._records if record.platform == NATIONAL]
        return list(self._records)

    def explanation(self, record: CallRecord) -> Mapping[str, Any]:
        to_platform = record.platform == NATIONAL
        route = {
            "component": REGIONAL if to_platform else "SE1-TC",
            "producer_address": "rtp" if to_platform else "takecare",
            "platform": to_platform,
            "url": record.producer_url,
            "profile": "RIVTABP21",
            "valid_from": "2024-01-01",
            "valid_to": None,
            "source": "stockholm.yaml:21",
        }
        permission = {"agreement": "2024-17", "valid_from": None, "valid_to": None, "source": "stockholm.yaml:42"}
        return {
            "names": NAMES,
            "route": None if record.outcome == "VP004" else route,
            "permission": None if record.outcome in ("VP004", "VP007") else permission,
            "rejected": [
                {"row": "permission A -> B", "source": "f.yaml:1", "reason": "expired", "note": "12 days ago"},
                {"row": "permission C -> B", "source": "f.yaml:2", "reason": "other consumer", "note": ""},
                {"row": "route A -> B", "source": "f.yaml:3", "reason": "expired", "note": ""},
            ],
        }


def traced(*records: CallRecord, seen: Seen = SEEN, local: tuple[str, ...] = ("national", "regional")) -> Trace:
    platforms: Any = FakePlatforms(*records, local=local)
    return put_together(ROUTED.correlation_id, records, platforms, seen, home=HOME)


def shown(found: Trace) -> str:
    return "\n".join(line.plain for line in picture(found))


def passed_on(*, elapsed_ms: float = 48.5) -> CallRecord:
    """The national platform's record of a fault that came from behind it."""
    return replace(FIRST, http_status=500, elapsed_ms=elapsed_ms)


def refused(outcome: str, **changes: Any) -> CallRecord:
    """The regional platform's record of a call that it did not carry."""
    return replace(SECOND, outcome=outcome, http_status=500, producer_ms=None, **changes)


def test_a_good_call_is_shown_hop_by_hop_with_its_rows_and_times() -> None:
    text = shown(traced(SECOND, FIRST))

    order = [
        "consumer  Patient overview, SE165565594230-NPO",
        "CN=npo",
        "valid to 2028-11-24, issued by CN=CA",
        "TLSv1.3 TLS_AES_256_GCM_SHA384, 2,048 bytes",
        "national  National platform, SE165565594230-NTJP",
        "-> rtp, https://localhost:20020/vp, RIVTABP21, valid 2024-01-01 to ...  [stockholm.yaml:21]",
        "agreement '2024-17', valid always  [stockholm.yaml:42]",
        "regional  Regional platform, SE2321000016-RTP",
        "CN=ntjp",
        "producer  TakeCare, SE1-TC",
        "HTTP 200, 4,096 bytes",
        "52.0 ms  in all",
        "48.5 ms  3.2 ms in the platform",
        "44.0 ms  2.5 ms in the platform",
        "41.5 ms",
        "answered well",
    ]
    places = [text.find(part) for part in order]
    assert -1 not in places, text
    assert places == sorted(places)


def test_bars_lie_within_each_other() -> None:
    bars = [line for line in shown(traced(SECOND, FIRST)).splitlines() if "━" in line]

    lengths = [bar.count("━") for bar in bars]
    assert lengths == sorted(lengths, reverse=True)
    assert [bar.index("━") for bar in bars] == sorted(bar.index("━") for bar in bars)


def test_a_fault_of_the_second_platform_is_told_from_its_passing_on() -> None:
    found = traced(passed_on(), refused("VP007"))

    end = found.ending
    assert end is not None
    assert (end.by, end.code, end.hop) == ("platform", "VP007", 1)
    assert end.who == "regional (Regional platform, SE2321000016-RTP)"
    assert end.passed_on_by == ("national (National platform, SE165565594230-NTJP)",)
    assert end.ask == "the management of regional (Regional platform, SE2321000016-RTP)"
    assert end.advice == f"order a permission for {NATIONAL} to call SE2321000016-KS with GetDiagnosis:2"
    assert found.next[0] == (
        f"rivta route explain --from {NATIONAL} --contract {DIAGNOSIS} --to SE2321000016-KS --platform regional "
        "--at 2026-11-24T12:00:00.002000+00:00 --home /somewhere/pair"
    )


def test_a_row_that_competed_is_shown_before_hints() -> None:
    text = shown(traced(passed_on(), refused("VP007")))

    assert "permission A -> B: expired (12 days ago)  [f.yaml:1]" in text
    assert "permission C" not in text
    assert "route A" not in text


def test_a_producer_that_was_not_called_is_not_shown() -> None:
    assert "TakeCare" not in shown(traced(passed_on(), refused("VP007")))
    assert traced(replace(FIRST, outcome="VP007", http_status=500, producer_ms=None)).notes == ()


def test_a_producers_own_fault_is_the_producers() -> None:
    end = traced(passed_on(), replace(SECOND, http_status=500)).ending

    assert end is not None
    assert (end.by, end.who, end.code, end.ask) == (
        "producer",
        "TakeCare (SE1-TC)",
        None,
        "the management of TakeCare (SE1-TC)",
    )
    assert end.passed_on_by == (
        "regional (Regional platform, SE2321000016-RTP)",
        "national (National platform, SE165565594230-NTJP)",
    )


def test_a_platform_that_did_not_wait_says_what_the_next_one_has() -> None:
    gave_up = replace(FIRST, outcome="VP009", http_status=500, producer_ms=None, elapsed_ms=27_000.0)

    end = traced(gave_up, refused("VP009", elapsed_ms=27_500.0)).ending

    assert end is not None
    assert end.hop == 0
    assert end.ask == f"the management of Regional platform ({REGIONAL})"
    assert end.detail == (
        "by its own log regional (Regional platform, SE2321000016-RTP) ended the call with VP009 after 27500 ms"
    )


def test_where_time_went_to_a_producer_without_answer_is_not_claimed() -> None:
    found = traced(passed_on(), refused("VP009"))

    assert found.hops[1].times.own_ms is None
    assert "answered     not at all" in shown(found)
    assert found.next[0].startswith(f"rivta connect check --url https://localhost:20031/ --contract {DIAGNOSIS}")


def test_a_refused_certificate_of_a_platform_is_for_that_platform_to_renew() -> None:
    end = traced(passed_on(), refused("VP002")).ending

    assert end is not None
    assert end.party is Party.CALLER
    assert end.ask == "the management of national (National platform, SE165565594230-NTJP)"


def test_a_message_that_the_second_platform_refuses_is_the_consumers() -> None:
    detail = "The request breaks the schema of x:\nline 7, /a/b: text of 3 letters is not a date"

    found = traced(passed_on(), refused("VP015", detail=detail), seen=replace(SEEN, body_file="my request.xml"))

    assert found.ending is not None
    assert found.ending.ask == f"the consumer itself (Patient overview, {NPO})"
    assert found.hops[1].validation.rejected == "request"
    assert found.hops[1].validation.first[0] == {
        "message": "request",
        "line": 7,
        "path": "/a/b",
        "reason": "text of 3 letters is not a date",
    }
    assert found.next[0] == "rivta contract check 'my request.xml' --home /somewhere/pair"


def test_violations_that_were_passed_on_are_counted_and_the_first_shown() -> None:
    violations = tuple(RecordedViolation("response", line, "/a", "why") for line in range(1, 6))

    found = traced(FIRST, replace(SECOND, violations=violations))

    assert (found.hops[1].validation.request, found.hops[1].validation.response) == (0, 5)
    assert len(found.hops[1].validation.first) == 3
    assert "answer: 5 violations (passed on)" in shown(found)
    assert shown(found).endswith("answered, with messages that break their contract")


def test_every_fault_has_somebody_to_ask() -> None:
    assert set(ASK) == set(Fault)


@pytest.mark.parametrize("fault", Fault)
def test_whatever_a_platform_refuses_with_somebody_is_named_and_a_command_given(fault: Fault) -> None:
    for hops in ([refused(fault.value.code)], [passed_on(), refused(fault.value.code)]):
        found = traced(*hops)
        assert found.ending is not None
        assert found.ending.ask
        assert "{" not in found.ending.advice
        assert found.next
        assert shown(found)


@pytest.mark.parametrize(
    ("outcome", "party"), [("http-413", Party.CONSUMER), ("http-503", Party.PLATFORM), ("error", Party.PLATFORM)]
)
def test_what_is_no_fault_of_the_list_has_somebody_to_ask_too(outcome: str, party: Party) -> None:
    end = traced(replace(FIRST, outcome=outcome, http_status=500, producer_ms=None)).ending

    assert end is not None
    assert (end.party, end.code) == (party, None)


def test_a_fault_of_a_platform_elsewhere_is_not_taken_for_a_producers() -> None:
    seen = replace(SEEN, fault_code="VP007", fault_text="VP007 [RTP-ELSEWHERE] Tjänstekonsumenten saknar behörighet")

    end = traced(passed_on(), seen=seen, local=("national",)).ending

    assert end is not None
    assert (end.by, end.code) == ("platform", "VP007")
    assert end.ask == f"the management of Regional platform ({REGIONAL})"
    assert end.detail == "that platform (it calls itself RTP-ELSEWHERE) has no log in this home"


@pytest.mark.parametrize(
    ("kind", "who", "ask"),
    [
        ("refused", "national", "you, the consumer"),
        ("distrusted", "the consumer", "the management of national"),
        ("unreachable", "national", "the management of national"),
        ("silent", "national", "the management of national"),
        ("unsendable", "the consumer", "you, the consumer"),
    ],
)
def test_a_call_without_answer_says_which_end_ended_it(kind: str, who: str, ask: str) -> None:
    seen = replace(SEEN, no_answer=kind, consumer=Certificate("SE1", "CN=me", "CN=CA", "2028-01-01"))

    found = traced(seen=seen)

    assert found.ending is not None
    assert (found.ending.by, found.ending.who, found.ending.ask) == ("network", who, ask)
    assert "CN=me" in shown(found)
    assert found.next[0] == "rivta status --home /somewhere/pair"
    assert any("connect check --url https://localhost:20010/vp --as npo" in command for command in found.next)


def test_a_fault_without_any_record_is_told_by_its_own_words() -> None:
    seen = replace(SEEN, fault_code="VP004", fault_text="VP004 [NATIONAL] Det finns inget vägval")

    found = traced(seen=seen)

    assert found.ending is not None
    assert found.ending.who == f"national ({NATIONAL})"
    assert found.notes == ("national has no record of the call: its log is late",)


@pytest.fixture
def clock() -> list[float]:
    """The moments slept; time stands still otherwise."""
    return []


def waited(platforms: FakePlatforms, clock: list[float], monkeypatch: pytest.MonkeyPatch, seen: Seen = SEEN) -> Trace:
    monkeypatch.setattr(trace, "Platforms", lambda _: platforms)
    return gather(HOME, ROUTED.correlation_id, seen, clock=lambda: sum(clock), sleep=clock.append)


def test_a_late_log_is_waited_for(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    found = waited(FakePlatforms(FIRST, SECOND, late=4), clock, monkeypatch)

    assert len(found.hops) == 2
    assert len(clock) == 4


def test_a_log_that_never_comes_is_not_waited_for_for_ever(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    found = waited(FakePlatforms(FIRST), clock, monkeypatch)

    assert sum(clock) == pytest.approx(5, abs=0.2)
    assert found.notes == ("regional was called and has no record of it yet: its log is late",)


def test_a_call_that_ended_at_the_first_platform_is_not_waited_for(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited(FakePlatforms(replace(FIRST, outcome="VP007", producer_ms=None)), clock, monkeypatch)

    assert clock == []


def test_a_platform_that_may_not_have_been_reached_is_waited_for_shortly(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = waited(FakePlatforms(replace(FIRST, outcome="VP009", producer_ms=None)), clock, monkeypatch)

    assert sum(clock) == pytest.approx(1, abs=0.2)
    assert found.notes == ("regional has no record of the call: it was never reached, or is still at it",)


def test_json_has_every_hop_as_data() -> None:
    found = trace_json(traced(passed_on(), refused("VP007")))

    assert list(found) == ["correlation_id", "consumer", "tls", "elapsed_ms", "hops", "ending", "next", "notes"]
    assert [hop["platform"]["name"] for hop in found["hops"]] == ["national", "regional"]
    assert found["hops"][0]["times"] == {"total_ms": 48.5, "own_ms": 3.25, "producer_ms": 45.25}
    assert found["hops"][1]["permission"] == {"trace": "SE2321000016-KS", "row": None}
    assert found["ending"]["party"] == "the management of the platform"
