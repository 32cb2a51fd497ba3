"""A trace on one screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from rivta.audit.story import source_fared
from rivta.catalogue.decision import RejectionReason
from rivta.catalogue.rows import SWEDISH_TIME
from rivta.cli.terminal import harmless_text
from rivta.soap.faults import Fault
from rivta.soap.identifiers import short_name

if TYPE_CHECKING:
    from rivta.cli.trace import Certificate, Hop, Trace

_LABEL = 13
_BAR = 40
_SHOWN_REJECTED = 3
_LONGEST_DETAIL = 600
_HINTS = {RejectionReason.OTHER_CONSUMER.value, RejectionReason.OTHER_CONTRACT.value}
"""Rows of these reasons did not compete: shown only where nothing did."""
_TEXTS = {fault.value.code: fault.value.text for fault in Fault}


def print_trace(trace: Trace) -> None:
    """The picture; plain text where there is no terminal."""
    console = Console(soft_wrap=True, highlight=False)
    for line in picture(trace):
        console.print(harmless_text(line))


def picture(trace: Trace) -> Iterator[Text]:
    """The lines of the picture. Times are Swedish."""
    if trace.hops:
        first = trace.hops[0].record
        when = datetime.fromisoformat(first.time).astimezone(SWEDISH_TIME)
        about = f"{short_name(first.contract)} to {first.logical_address or '-'}, {when:%Y-%m-%d %H:%M:%S}, "
        yield Text(f"{about}correlation id {trace.correlation_id}", style="bold")
    yield Text()
    yield _heading("consumer", trace.consumer_name, trace.consumer.hsa_id or "not identified")
    yield from _certificate(trace.consumer)
    for hop in trace.hops:
        yield from _arrow(hop)
        yield from _hop(hop)
    last = trace.hops[-1] if trace.hops else None
    if last is not None and last.called_on:
        yield Text("    │")
        yield Text("    ▼")
        yield from _producer(last)
    yield from _time(trace)
    yield from _ending(trace)
    for note in trace.notes:
        yield Text(f"note: {note}", style="yellow")


def _heading(name: str, title: str | None, hsa_id: str) -> Text:
    return Text.assemble((f"  {name}", "bold"), f"  {title + ', ' if title else ''}{hsa_id}")


def _line(label: str, text: str, style: str = "") -> Text:
    return Text.assemble((f"    {label:<{_LABEL}}", "dim"), (text, style))


def _certificate(certificate: Certificate) -> Iterator[Text]:
    if certificate.subject is None:
        return
    yield _line("certificate", certificate.subject)
    day = (certificate.valid_to or "-").partition("T")[0]
    yield _line("", f"HSA-id {certificate.hsa_id or 'none'}, valid to {day}, issued by {certificate.issuer or '-'}")


def _arrow(hop: Hop) -> Iterator[Text]:
    record = hop.record
    yield Text("    │")
    yield Text(f"    │  {record.tls or 'TLS not recorded'}, {record.bytes_in:,} bytes")
    yield Text("    ▼")


def _hop(hop: Hop) -> Iterator[Text]:
    record = hop.record
    failed = not record.is_routed
    yield _heading(hop.name, hop.title, hop.platform)
    caller = f"{record.sender or 'not identified'}{f' ({hop.caller_name})' if hop.caller_name else ''}"
    yield _line("sender", caller)
    if hop.depth:
        yield from _certificate(hop.caller)
    if record.original_consumer and record.original_consumer != record.sender:
        yield _line("on behalf of", f"{record.original_consumer} (x-rivta-original-serviceconsumer-hsaid)")
    if record.profile_in or record.profile_out:
        profiles = dict.fromkeys(profile for profile in (record.profile_in, record.profile_out) if profile)
        yield _line("profile", " translated to ".join(profiles))
    if record.route_trace:
        yield from _row("route", record.route_trace, _route(hop.route))
    if record.permission_trace:
        yield from _row("permission", record.permission_trace, _permission(hop.permission))
    if record.publication is not None and record.route_trace:
        yield _line("tables", f"publication {record.publication}, HSA tree {record.hsa_version or '-'}")
    yield from _rejected(hop)
    yield from _validation(hop)
    for source in record.sources:
        took = "" if source.ms is None else f"  {source.ms:.1f} ms"
        yield _line("source", f"{source.source}  {source_fared(source)}{took}")
    if failed:
        yield _line("refused", f"{record.outcome} {_TEXTS.get(record.outcome, '')}".rstrip(), "bold red")
        detail = " ".join(record.detail.split())
        if detail:
            yield _line("", detail if len(detail) <= _LONGEST_DETAIL else detail[:_LONGEST_DETAIL] + "…")


def _row(label: str, trace: str, row: str | None) -> Iterator[Text]:
    yield _line(label, trace if row is None else f"{trace}  {row}")


def _route(row: Mapping[str, Any] | None) -> str | None:
    if row is None:
        return None
    url = f"{row['producer_address']}, {row['url']}"
    return f"-> {url}, {row['profile']}, valid {_validity(row)}  [{row['source']}]"


def _permission(row: Mapping[str, Any] | None) -> str | None:
    if row is None:
        return None
    return f"agreement {row['agreement']!r}, valid {_validity(row)}  [{row['source']}]"


def _validity(row: Mapping[str, Any]) -> str:
    first, last = row["valid_from"], row["valid_to"]
    if first is None and last is None:
        return "always"
    return f"{first or '...'} to {last or '...'}"


def _rejected(hop: Hop) -> Iterator[Text]:
    competed = [row for row in hop.rejected if row["reason"] not in _HINTS]
    rows = competed or hop.rejected
    for row in rows[:_SHOWN_REJECTED]:
        note = f" ({row['note']})" if row["note"] else ""
        yield _line("not", f"{row['row']}: {row['reason']}{note}  [{row['source']}]", "yellow")
    if len(rows) > _SHOWN_REJECTED:
        yield _line("", f"and {len(rows) - _SHOWN_REJECTED} rows more: rivta route explain")


def _validation(hop: Hop) -> Iterator[Text]:
    found, record = hop.validation, hop.record
    if found.rejected is None and not (record.is_routed or record.left_platform):
        return  # the call did not come as far as that
    if not found.first:
        yield _line("validation", "no violations")
        return
    count = ", ".join(
        f"{name}: {number} violation{'s' if number > 1 else ''}"
        for name, number in (("request", found.request), ("answer", found.response))
        if number
    )
    refused = " (refused for it)" if found.rejected else " (passed on)"
    yield _line("validation", count + refused, "yellow")
    for one in found.first:
        yield _line("", f"line {one['line']}: {one['reason']}  {one['path']}")


def _producer(hop: Hop) -> Iterator[Text]:
    record = hop.record
    component = hop.route["component"] if hop.route else "-"
    kind = "platform" if hop.route and hop.route.get("platform") else "producer"
    yield _heading(kind, hop.producer_name, component)
    yield _line("address", record.producer_url or "-")
    if record.producer_ms is None:
        yield _line("answered", "not at all", "bold red")
    elif record.is_routed:
        yield _line("answered", f"HTTP {record.http_status}, {record.bytes_out:,} bytes")
    else:
        yield _line("answered", "with what could not be passed on", "red")


def _time(trace: Trace) -> Iterator[Text]:
    """Bars within bars: what each hop took, and how much of it was its own."""
    rows: list[tuple[str, float, str]] = []
    if trace.elapsed_ms is not None:
        rows.append(("consumer", trace.elapsed_ms, "in all"))
    for hop in trace.hops:
        own = f"{hop.times.own_ms:.1f} ms in the platform" if hop.times.own_ms is not None else "no answer"
        rows.append((hop.name, hop.times.total_ms, own))
    if trace.hops and trace.hops[-1].times.producer_ms is not None:
        rows.append(("producer", trace.hops[-1].times.producer_ms, ""))
    if not rows:
        return
    longest = max(total for _, total, _ in rows) or 1.0
    yield Text()
    for name, total, note in rows:
        width = max(1, round(_BAR * total / longest))
        indent = (_BAR - width) // 2
        bar = f"{' ' * indent}{'━' * width}"
        yield Text.assemble(
            (f"  {name:<{_LABEL + 2}}", "dim"), (f"{bar:<{_BAR}}", "cyan"), f"{total:>9.1f} ms  ", (note, "dim")
        )


def _ending(trace: Trace) -> Iterator[Text]:
    end = trace.ending
    yield Text()
    if end is None:
        yield _good_end(trace)
        return
    code = f" with {end.code}" if end.code else ""
    verb = {"network": "No answer: it ended at", "producer": "A fault of", "consumer": "Left before the answer:"}
    said = verb.get(end.by, "Refused by")
    yield Text(f"{said} {end.who}{code}", style="bold red")
    if end.passed_on_by:
        yield _line("passed on by", ", ".join(end.passed_on_by))
    if end.detail:
        yield _line("", end.detail)
    yield _line("ask", f"{end.ask}: {end.advice}", "bold")
    for index, command in enumerate(trace.next):
        yield _line("next" if index == 0 else "", command)


def _good_end(trace: Trace) -> Text:
    if not trace.hops:
        return Text("nothing is known of the call")
    if any(hop.validation.first for hop in trace.hops):
        return Text("answered, with messages that break their contract", style="bold yellow")
    return Text("answered well", style="bold green")
