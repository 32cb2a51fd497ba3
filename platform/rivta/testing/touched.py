"""What a message really touched: the calls that the platforms logged for it, and what the stub producers were sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

_EARLY = timedelta(milliseconds=5)
"""A platform's clock and a stub producer's are the same one, read at different moments."""


@dataclass(frozen=True, slots=True)
class TouchedCall:
    """A call that one platform carried for a message."""

    platform: str
    contract: str | None
    logical_address: str | None
    outcome: str
    route: str
    """Trace of the route: which rows were tried, and which one it was."""
    permission: str
    producer_url: str | None
    sources: tuple[str, ...] = ()
    """Of an aggregate: each source system with its status and the number of its records."""


@dataclass(frozen=True, slots=True)
class TouchedStub:
    """A request that a stub producer was sent because of a message."""

    number: int
    """As `rivta stub calls` has it."""
    producer: str
    logical_address: str
    contract: str | None
    behaviour: str
    status: int | None
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Touched:
    """All that is known of it."""

    calls: tuple[TouchedCall, ...] = ()
    stubs: tuple[TouchedStub, ...] = ()


def touched(
    records: Mapping[str, Sequence[Mapping[str, Any]]], received: Sequence[Mapping[str, Any]], stub_urls: set[str]
) -> Touched:
    """What records of one correlation id, by platform, and the requests that stub producers were sent say together.

    A producer is not told the correlation id: a request is a call's when contract and address are the same and it came
    while the call was carried. Of calls alike at the same time any may be meant. `stub_urls` end without a slash.
    """
    calls: list[TouchedCall] = []
    found: dict[int, Mapping[str, Any]] = {}
    for platform, some in records.items():
        for record in sorted(some, key=lambda one: str(one["time"])):
            calls.append(_call(platform, record))
            if (record.get("producer_url") or "").rstrip("/") in stub_urls:
                found.update({one["number"]: one for one in _received_in(record, received)})
    return Touched(tuple(calls), tuple(_stub(found[number]) for number in sorted(found)))


def _received_in(record: Mapping[str, Any], received: Sequence[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    begun = datetime.fromisoformat(record["time"])
    ended = begun + timedelta(milliseconds=record.get("elapsed_ms") or 0.0)
    for one in received:
        is_same = (one["contract"], one["logical_address"].upper()) == (
            record.get("contract"),
            (record.get("logical_address") or "").upper(),
        )
        if is_same and begun - _EARLY <= datetime.fromisoformat(one["time"]) <= ended + _EARLY:
            yield one


def _call(platform: str, record: Mapping[str, Any]) -> TouchedCall:
    sources = tuple(
        f"{one['source']} {one['status']}{f' ({count} records)' if (count := one.get('records')) else ''}"
        for one in record.get("sources") or ()
    )
    return TouchedCall(
        platform=platform,
        contract=record.get("contract"),
        logical_address=record.get("logical_address"),
        outcome=record["outcome"],
        route=record.get("route_trace") or "",
        permission=record.get("permission_trace") or "",
        producer_url=record.get("producer_url"),
        sources=sources,
    )


def _stub(one: Mapping[str, Any]) -> TouchedStub:
    return TouchedStub(
        number=one["number"],
        producer=one["producer"],
        logical_address=one["logical_address"],
        contract=one["contract"],
        behaviour=one["behaviour"],
        status=one["status"],
        headers=tuple((name, value) for name, value in one["headers"]),
    )
