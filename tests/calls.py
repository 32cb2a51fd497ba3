"""Call records for tests, a clock that tests set, and waiting for what happens beside a test."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rivta.router.record import CallRecord

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
DIAGNOSIS = "urn:riv:clinicalprocess:healthcond:description:GetDiagnosisResponder:2"
NATIONAL = "SE165565594230-NTJP"
REGIONAL = "SE2321000016-RTP"

ROUTED = CallRecord(
    id="c0",
    time=NOON.isoformat(),
    platform=NATIONAL,
    correlation_id="8f14e45f-ceea-467f-a9f6-6b2d7e0a7c11",
    outcome="routed",
    sender="SE165565594230-NPO",
    original_consumer="SE165565594230-NPO",
    contract=DIAGNOSIS,
    logical_address="SE2321000016-KS",
    profile_in="RIVTABP21",
    profile_out="RIVTABP21",
    publication=3,
    hsa_version=1,
    route_trace="SE2321000016-KS",
    permission_trace="SE2321000016-KS",
    producer_url="https://localhost:20020/vp",
    http_status=200,
    elapsed_ms=48.5,
    producer_ms=45.25,
    bytes_in=2048,
    bytes_out=4096,
    method="POST",
)


def call(number: int, **changes: Any) -> CallRecord:
    """Call `number` of a series, one a second from noon: routed, unless `changes` say otherwise."""
    time = (NOON + timedelta(seconds=number)).isoformat()
    return replace(ROUTED, **{"id": f"c{number}", "time": time, **changes})


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
