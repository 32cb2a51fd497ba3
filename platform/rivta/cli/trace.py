"""The whole way of one call, put together from the call logs and tables of the platforms that can be asked."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from rivta.audit.story import Hop as Told
from rivta.audit.story import hops as in_order
from rivta.catalogue.decision import IN_PROCESS
from rivta.cli.trace_advice import Ending, ending, next_commands
from rivta.router.record import CallRecord
from rivta.soap import namespaces
from rivta.soap.faults import Fault

if TYPE_CHECKING:
    from rivta.run.endpoints import Endpoints
    from rivta.run.home import Home

_ADMIN_SECONDS = 5.0
_LONGEST_LAG, _LONGEST_DOUBT = 5.0, 1.0
"""Seconds to wait for records: for those that must come, and for those of which that is not known."""
_LOOK_EVERY = 0.1
_MOST_HOPS = 1000
_FIRST_VIOLATIONS = 3
_VIOLATION = re.compile(r"line (?P<line>\d+), (?P<path>\S+): (?P<reason>.+)")
"""As the detail of a fault lists them."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A caller's certificate, as people ask for it. Fields are None where nobody has kept them."""

    hsa_id: str | None = None
    subject: str | None = None
    issuer: str | None = None
    valid_to: str | None = None


@dataclass(frozen=True, slots=True)
class Validation:
    """What checking the messages of a hop found."""

    request: int
    response: int
    """Numbers of violations."""
    rejected: str | None
    """`request` or `response`: the message that was refused for them."""
    first: tuple[Mapping[str, Any], ...]
    """The first violations: `message`, `line`, `path`, `reason`."""


@dataclass(frozen=True, slots=True)
class Times:
    """Where the time of a hop went, in milliseconds. Each is a part of the one before; `own_ms` is the rest."""

    total_ms: float
    own_ms: float | None
    """In the platform itself; None when the producer was called and did not answer: then it cannot be told apart."""
    producer_ms: float | None
    """Until the producer, or the next platform, had answered."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A call through one platform."""

    depth: int
    """How many platforms stand before it."""
    platform: str
    name: str
    """Short name of the platform, as commands take it."""
    title: str | None
    """What the tables call it."""
    record: CallRecord
    caller: Certificate
    caller_name: str | None
    route: Mapping[str, Any] | None
    permission: Mapping[str, Any] | None
    """The rows, as `rivta route explain --json` has them; None where there was none, or it is not known."""
    rejected: tuple[Mapping[str, Any], ...]
    """Rows that came near, where no row was found."""
    producer_name: str | None
    """What the tables call the component that the route leads to."""
    validation: Validation
    times: Times

    @property
    def called_on(self) -> bool:
        """Whether the producer, or the next platform, was called at all."""
        return self.record.left_platform


@dataclass(frozen=True, slots=True)
class Trace:
    """One call, from its consumer to where it ended."""

    correlation_id: str
    consumer: Certificate
    consumer_name: str | None
    connection: str | None
    """Version and cipher of TLS towards the first platform."""
    elapsed_ms: float | None
    """As the consumer saw it; None when only the platforms can tell."""
    hops: tuple[Hop, ...]
    ending: Ending | None
    """Where and why it failed; None when it did not."""
    next: tuple[str, ...]
    """Commands that tell more, ready to paste."""
    notes: tuple[str, ...]
    """What could not be found out, and why."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the consumer itself knows of its call; what a log alone cannot tell is None."""

    consumer: Certificate | None = None
    connection: str | None = None
    elapsed_ms: float | None = None
    via: str | None = None
    """Short name of the platform that was called."""
    url: str | None = None
    identity: str | None = None
    """Name of the identity that called."""
    body_file: str | None = None
    """The file that was sent."""
    fault_code: str | None = None
    fault_text: str = ""
    no_answer: str | None = None
    """One of `trace_advice.NO_ANSWER` when no HTTP answer came; None when one did."""


class Platforms:
    """The platforms of a home, asked over their admin APIs. One that does not answer is noted once, and left out."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.endpoints: Endpoints = home.endpoints()
        self.notes: dict[str, str] = {}

    @property
    def names(self) -> dict[str, str]:
        """Short names by HSA-id."""
        return {one["id"]: name for name, one in self.endpoints["platforms"].items()}

    def records(self, correlation_id: str) -> list[CallRecord]:
        """The records of a call that are in the logs by now."""
        found = []
        for name in self.endpoints["platforms"]:
            answer = self._ask(name, "/calls", {"correlation_id": correlation_id, "limit": _MOST_HOPS})
            found += [CallRecord.from_fields(fields) for fields in (answer or {}).get("calls", ())]
        return found

    def explanation(self, record: CallRecord) -> Mapping[str, Any]:
        """How the table that decided a call explains it; empty when that cannot be asked."""
        name = self.names.get(record.platform)
        if name is None or not (record.sender and record.contract and record.logical_address):
            return {}
        question = {"sender": record.sender, "contract": record.contract, "logical_address": record.logical_address}
        found = self._ask(name, "/explain", {**question, "at": record.time})
        if found and found.get("publication") != record.publication and record.publication is not None:
            found = self._ask(name, "/explain", {**question, "at": record.time, "publication": record.publication})
        return found or {}

    def _ask(self, name: str, path: str, params: Mapping[str, Any]) -> Any:
        from rivta.cli.admin import AdminClient

        if name in self.notes:
            return None
        try:
            return AdminClient.of_platform(self._home, name, seconds=_ADMIN_SECONDS).get(path, params)
        except click.ClickException as error:
            self.notes[name] = f"{name}: {error.message}"
            return None


def gather(
    home: Home,
    correlation_id: str,
    seen: Seen,
    *,
    wait: bool = True,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Trace:
    """Everything that the platforms of `home` know of a call. `wait`: it is new, and its records may still be coming.

    Raises HomeError when no pair runs there.
    """
    platforms = Platforms(home)
    began = clock()
    records = platforms.records(correlation_id)
    while wait and clock() - began < _patience(records, platforms, seen):
        sleep(_LOOK_EVERY)
        records = platforms.records(correlation_id)
    return put_together(correlation_id, records, platforms, seen, home=home)


def put_together(
    correlation_id: str, records: Sequence[CallRecord], platforms: Platforms, seen: Seen, *, home: Home
) -> Trace:
    """The trace of these records."""
    told = list(_flat(in_order(records)))
    explained = [_hop(one.record, depth, platforms) for one, depth in told]
    hops = _with_names(explained)
    consumer = hops[0].caller if hops and hops[0].caller.subject else seen.consumer or Certificate()
    end = ending(hops, seen, platforms.endpoints)
    return Trace(
        correlation_id=correlation_id,
        consumer=consumer,
        consumer_name=hops[0].caller_name if hops else None,
        connection=(hops[0].record.tls if hops else None) or seen.connection,
        elapsed_ms=seen.elapsed_ms,
        hops=hops,
        ending=end,
        next=next_commands(hops, seen, end, correlation_id=correlation_id, home=home),
        notes=(*platforms.notes.values(), *_lacking(records, platforms, seen)),
    )


def trace_json(trace: Trace) -> dict[str, Any]:
    """The trace as `--json` prints it."""
    from dataclasses import asdict

    end = trace.ending
    return {
        "correlation_id": trace.correlation_id,
        "consumer": {"name": trace.consumer_name, "certificate": asdict(trace.consumer)},
        "tls": trace.connection,
        "elapsed_ms": trace.elapsed_ms,
        "hops": [_hop_json(hop) for hop in trace.hops],
        "ending": None if end is None else asdict(end) | {"party": end.party.value},
        "next": list(trace.next),
        "notes": list(trace.notes),
    }


def _hop_json(hop: Hop) -> dict[str, Any]:
    from dataclasses import asdict

    record = hop.record
    return {
        "depth": hop.depth,
        "platform": {"hsa_id": hop.platform, "name": hop.name, "title": hop.title},
        "record": record.id,
        "time": record.time,
        "outcome": record.outcome,
        "http_status": record.http_status,
        "detail": record.detail,
        "caller": {"name": hop.caller_name, "certificate": asdict(hop.caller)},
        "sender": record.sender,
        "original_consumer": record.original_consumer,
        "tls": record.tls,
        "contract": record.contract,
        "logical_address": record.logical_address,
        "profile": {"in": record.profile_in, "out": record.profile_out},
        "publication": record.publication,
        "route": {"trace": record.route_trace, "row": hop.route},
        "permission": {"trace": record.permission_trace, "row": hop.permission},
        "rejected": list(hop.rejected),
        "sources": [asdict(one) for one in record.sources],
        "producer": {"name": hop.producer_name, "url": record.producer_url},
        "validation": asdict(hop.validation),
        "times": asdict(hop.times),
        "bytes": {"in": record.bytes_in, "out": record.bytes_out},
    }


def _flat(told: Sequence[Told], depth: int = 0) -> Iterator[tuple[Told, int]]:
    for hop in told:
        yield hop, depth
        yield from _flat(hop.worth_telling, depth + 1)


def _hop(record: CallRecord, depth: int, platforms: Platforms) -> tuple[Hop, Mapping[str, str]]:
    """The hop and the names that its table knows."""
    explained = platforms.explanation(record)
    names: Mapping[str, str] = explained.get("names", {})
    route = explained.get("route")
    lost = "permission " if record.outcome == Fault.NO_PERMISSION.value.code else "route "
    hop = Hop(
        depth=depth,
        platform=record.platform,
        name=platforms.names.get(record.platform, record.platform),
        title=names.get(record.platform),
        record=record,
        caller=Certificate(
            record.sender, record.certificate_subject, record.certificate_issuer, record.certificate_valid_to
        ),
        caller_name=names.get(record.sender or ""),
        route=route,
        permission=explained.get("permission"),
        rejected=tuple(row for row in explained.get("rejected", ()) if row["row"].startswith(lost))
        if record.outcome in _LOOKED_UP_IN_VAIN
        else (),
        producer_name=names.get(route["component"]) if route else None,
        validation=_validation(record),
        times=_times(record),
    )
    return hop, names


_LOOKED_UP_IN_VAIN = {
    fault.value.code for fault in (Fault.NO_ROUTE, Fault.SEVERAL_ROUTES, Fault.NO_PERMISSION, Fault.NO_URL)
}


def _with_names(hops: Sequence[tuple[Hop, Mapping[str, str]]]) -> tuple[Hop, ...]:
    """A platform that refuses before it looks anything up is still named by the tables of the others."""
    known = {hsa_id: name for _, names in hops for hsa_id, name in names.items()}
    return tuple(
        replace(
            hop,
            title=hop.title or known.get(hop.platform),
            caller_name=hop.caller_name or known.get(hop.record.sender or ""),
        )
        for hop, _ in hops
    )


def _validation(record: CallRecord) -> Validation:
    listed = [match for line in record.detail.splitlines() if (match := _VIOLATION.fullmatch(line))]
    if listed:
        rejected = "request" if record.outcome == Fault.UNREADABLE.value.code else "response"
        first = [{"message": rejected, **match.groupdict(), "line": int(match["line"])} for match in listed]
    else:
        rejected = None
        first = [
            {"message": one.message, "line": one.line, "path": one.path, "reason": one.reason}
            for one in record.violations
        ]
    count = {name: sum(one["message"] == name for one in first) for name in ("request", "response")}
    return Validation(count["request"], count["response"], rejected, tuple(first[:_FIRST_VIOLATIONS]))


def _times(record: CallRecord) -> Times:
    own = None if record.is_unanswered else max(0.0, round(record.elapsed_ms - (record.producer_ms or 0.0), 3))
    return Times(record.elapsed_ms, own, record.producer_ms)


def _patience(records: Sequence[CallRecord], platforms: Platforms, seen: Seen) -> float:
    """How many seconds after the answer records are still worth waiting for."""
    if seen.via is not None and not _of(records, platforms.endpoints["platforms"][seen.via]["id"]):
        if seen.via in platforms.notes:
            return 0.0
        return _LONGEST_LAG if seen.no_answer is None else _LONGEST_DOUBT
    if any(_is_of_an_aggregate(record) for record in records) and not any(map(_is_aggregate, records)):
        return _LONGEST_LAG
    awaited = [record for record in records if _next_platform(record, records, platforms)]
    if any(record.producer_ms is not None for record in awaited):
        return _LONGEST_LAG
    return _LONGEST_DOUBT if awaited else 0.0


def _next_platform(record: CallRecord, records: Sequence[CallRecord], platforms: Platforms) -> str | None:
    """The platform of this home that a call went on to and that has no record of it yet."""
    if not record.left_platform:
        return None
    for name, one in platforms.endpoints["platforms"].items():
        reached = one["https"] == record.producer_url and one["id"] != record.platform and name not in platforms.notes
        if reached and not any(other.sender == record.platform for other in _of(records, one["id"])):
            return name
    return None


def _is_aggregate(record: CallRecord) -> bool:
    return (record.producer_url or "").startswith(IN_PROCESS)


def _is_of_an_aggregate(record: CallRecord) -> bool:
    """Whether a platform asked an index for an aggregate, whose own record comes after those of its calls."""
    return record.contract == namespaces.FIND_CONTENT_1 and record.sender == record.platform


def _of(records: Sequence[CallRecord], platform: str) -> list[CallRecord]:
    return [record for record in records if record.platform == platform]


def _lacking(records: Sequence[CallRecord], platforms: Platforms, seen: Seen) -> Iterator[str]:
    """What a reader would miss."""
    via = seen.via
    if via is not None and via not in platforms.notes and not _of(records, platforms.endpoints["platforms"][via]["id"]):
        why = {None: "its log is late", "silent": "it may still be at it"}.get(
            seen.no_answer, "the call did not get that far"
        )
        yield f"{via} has no record of the call: {why}"
    for record in records:
        name = _next_platform(record, records, platforms)
        if name is not None and record.producer_ms is not None:
            yield f"{name} was called and has no record of it yet: its log is late"
        elif name is not None:
            yield f"{name} has no record of the call: it was never reached, or is still at it"
