"""The calls of one correlation id as a story for a person: who called whom, what each hop took, where it ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from rivta.router.record import CallRecord, RecordedSource
from rivta.soap.faults import Fault
from rivta.soap.identifiers import short_name

_TEXTS = {fault.value.code: fault.value.text for fault in Fault}
_CLOCKS_DIFFER = timedelta(milliseconds=250)
"""By so much the clocks of two platforms may differ before their calls are not seen as one within the other."""
_WIDTH = 66
_BRANCH = "      "


@dataclass(frozen=True, slots=True)
class Hop:
    """A call through one platform, and the calls that it led to: through other platforms, or that an aggregate made."""

    record: CallRecord
    onward: tuple[Hop, ...]

    @property
    def worth_telling(self) -> tuple[Hop, ...]:
        """Those of an aggregate without the calls that went well: there may be a hundred, and its record lists them."""
        well = {one.source for one in self.record.sources if one.status == "DataFromSource"}
        return tuple(
            one
            for one in self.onward
            if one.record.logical_address not in well or not _is_part_of(one.record, self.record)
        )


def hops(records: Sequence[CallRecord]) -> list[Hop]:
    """The calls, each under the one that it was made for: of those before it, by the platform that called it, the last
    for the same address, or else the last. A worker's own calls are under the aggregate that they were made for."""
    # Arrival is recorded to the millisecond; of two calls in the same one, the longer holds the other.
    ordered = sorted(records, key=lambda record: (_start(record), -record.elapsed_ms))
    onward: dict[str | None, list[CallRecord]] = {}
    for index, record in enumerate(ordered):
        before = [other for other in reversed(ordered[:index]) if _leads_to(other, record)]
        parent = next((other for other in before if _is_same_call(other, record)), before[0] if before else None)
        onward.setdefault(None if parent is None else parent.id, []).append(record)

    def hop(record: CallRecord) -> Hop:
        return Hop(record, tuple(hop(child) for child in onward.get(record.id, ())))

    return [hop(record) for record in onward.get(None, ())]


def tell(records: Sequence[CallRecord], *, names: Mapping[str, str], zone: tzinfo | None = None) -> list[str]:
    """The story in lines of text. `names`: short names of platforms by HSA-id; `zone`: for times, local when None."""
    lines: list[str] = []
    for hop in hops(records):
        if lines:
            lines.append("")
        lines += _heading(hop.record, zone)
        lines.append("")
        lines.append(f"  {hop.record.sender or 'not identified'}  (consumer)")
        lines += _arrow([_bytes(hop.record.bytes_in)])
        lines += _through(hop, names)
    return lines


def _heading(record: CallRecord, zone: tzinfo | None) -> Iterator[str]:
    start = _start(record).astimezone(zone)
    time = f"{start:%Y-%m-%d %H:%M:%S}.{start.microsecond // 1000:03} {start:%Z}"
    yield f"{short_name(record.contract)} to {record.logical_address or '-'}, {time}"
    status = f"HTTP {record.http_status}" if record.http_status else "without an answer"
    yield f"{record.outcome}, {status}, {record.elapsed_ms:.1f} ms"
    yield f"correlation id {record.correlation_id}"


def _through(hop: Hop, names: Mapping[str, str]) -> Iterator[str]:
    """The platform, and below it where the call went on to, or why it did not."""
    record, told = hop.record, hop.worth_telling
    name = names.get(record.platform)
    own_ms = None if record.is_unanswered else record.elapsed_ms - (record.producer_ms or 0.0)
    yield _timed(f"  {record.platform}  ({name or 'platform'})", own_ms)
    if not record.is_routed:
        yield from _ending(record)
        if not hop.onward:
            return
    yield from _sources(record)
    for onward in told:
        on_the_way = (record.producer_ms or 0.0) - onward.record.elapsed_ms
        is_only = len(told) == 1 and not record.sources
        between = [f"{on_the_way:.1f} ms on the way"] if is_only and record.producer_ms else []
        lines = [*_arrow([*_found(record), *between]), *_through(onward, names)]
        yield from lines if is_only else (f"{_BRANCH}{line}" for line in lines)
    if not hop.onward:
        yield from _arrow(_found(record))
        yield _timed(f"  {record.producer_url or '-'}  (producer)", record.producer_ms)
        yield f"     answered HTTP {record.http_status}, {_bytes(record.bytes_out)}"
        yield from _violations(record)


def _found(record: CallRecord) -> list[str]:
    profiles = dict.fromkeys(profile for profile in (record.profile_in, record.profile_out) if profile)
    found = {
        "route": record.route_trace,
        "permission": record.permission_trace,
        "profile": " to ".join(profiles),
        "publication": "" if record.publication is None else str(record.publication),
    }
    return [f"{name} {value}" for name, value in found.items() if value]


def _ending(record: CallRecord) -> Iterator[str]:
    """Why the call ended here."""
    yield f"   ✗ {record.outcome} {_TEXTS.get(record.outcome, '')}".rstrip()
    if record.detail:
        yield f"     {' '.join(record.detail.split())}"
    traces = {"route": record.route_trace, "permission": record.permission_trace, "to": record.producer_url}
    for name, value in traces.items():
        if value:
            yield f"     {name} {value}"
    if record.producer_ms is not None:
        yield f"     the producer took {record.producer_ms:.1f} ms"
    elif record.is_unanswered:
        yield f"     after {record.elapsed_ms:.1f} ms"
    yield from _violations(record)


def _violations(record: CallRecord) -> Iterator[str]:
    for violation in record.violations:
        yield f"     {violation.message}, line {violation.line}: {violation.reason} ({violation.path})"


def _sources(record: CallRecord) -> Iterator[str]:
    """What an aggregate was made of."""
    for one in record.sources:
        yield _timed(f"     {one.source}: {source_fared(one)}", one.ms)


def source_fared(source: RecordedSource) -> str:
    """How a source of an aggregate fared, in words."""
    if source.status == "DataFromSource":
        return f"{source.records} record{'' if source.records == 1 else 's'}"
    return " ".join(part for part in (source.status, source.code, source.text) if part)


def _arrow(notes: Sequence[str]) -> Iterator[str]:
    for note in notes or [""]:
        yield f"   │   {note}".rstrip()
    yield "   ▼"


def _timed(text: str, milliseconds: float | None) -> str:
    return text if milliseconds is None else f"{text:<{_WIDTH}}{milliseconds:>9.1f} ms"


def _bytes(count: int) -> str:
    return f"{count:,} bytes"


def _start(record: CallRecord) -> datetime:
    time = datetime.fromisoformat(record.time)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _leads_to(record: CallRecord, other: CallRecord) -> bool:
    ended = _start(record) + timedelta(milliseconds=record.elapsed_ms)
    return (other.sender == record.platform or _is_part_of(other, record)) and _start(other) <= ended + _CLOCKS_DIFFER


def _is_same_call(record: CallRecord, other: CallRecord) -> bool:
    return (record.contract, record.logical_address) == (other.contract, other.logical_address)


def _is_part_of(record: CallRecord, aggregate: CallRecord) -> bool:
    """Whether an aggregate may have asked by this call: its worker calls for its sender, inside the platform."""
    asked = any(one.ms is not None and one.source == record.logical_address for one in aggregate.sources)
    return asked and (record.platform, record.sender) == (aggregate.platform, aggregate.sender)
