"""The sources of an aggregate's answer: how each fared, as the answer says, with what the platform knows beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rivta.cli.terminal import harmless
from rivta.router.record import CallRecord, RecordedSource
from rivta.soap import namespaces
from rivta.soap.xml import parse_xml

if TYPE_CHECKING:
    from lxml import etree
    from rich.console import Console

ANSWERED, EMPTY, FAILED, FILTERED = "answered", "empty", "failed", "filtered"

LONGEST_WAIT_SECONDS = 2.0
"""For the record of a call that has just ended: it reaches the call log within a fraction of that."""
_LOOK_EVERY_SECONDS = 0.05
_COLOURS = {ANSWERED: "green", EMPTY: "", FAILED: "red", FILTERED: "yellow"}
_H = f"{{{namespaces.INTEROPERABILITY_HEADERS}}}"
_F = f"{{{namespaces.AGGREGATION}}}"


@dataclass(frozen=True, slots=True)
class ShownSource:
    """A source of an aggregate; its fields are JSON output, which scripts rely on."""

    source: str
    status: str
    """`answered`, `empty`, `failed`, or `filtered`: not asked, which only some identities are told."""
    records: int | None
    """None where it is not known: only the platform's own record says which source a record came from."""
    ms: float | None
    code: str | None
    """The error's code, or why it was filtered."""
    text: str


def read_sources(body: bytes) -> tuple[ShownSource, ...] | None:
    """The sources that an answer tells of (the header ProcessingStatus); None when it is no aggregate's."""
    if b"ProcessingStatus" not in body:
        return None
    header = parse_xml(body).find(f"{{{namespaces.SOAP_ENVELOPE}}}Header")
    status = header.find(f"{_H}ProcessingStatus") if header is not None else None
    if header is None or status is None:
        return None
    return (
        *(_told(one) for one in status.iterfind(f"{_H}ProcessingStatusList")),
        *(_unasked(one) for one in header.iterfind(f".//{_F}filtered/{_F}source")),
    )


def _told(one: etree._Element) -> ShownSource:
    def text(*names: str) -> str:
        return (one.findtext("/".join(f"{_H}{name}" for name in names)) or "").strip()

    failed = not text("statusCode").startswith("DataFrom")
    return ShownSource(
        source=text("logicalAddress"),
        status=FAILED if failed else ANSWERED,
        records=0 if failed else None,
        ms=None,
        code=text("lastUnsuccessfulSynchError", "code") or None,
        text=text("lastUnsuccessfulSynchError", "text"),
    )


def _unasked(one: etree._Element) -> ShownSource:
    outcome = one.get("outcome")
    about = f"logical address {one.get('logicalAddress', '')}" + (f", {outcome}" if outcome else "")
    return ShownSource(one.get("address", ""), FILTERED, None, None, one.get("reason"), about)


def with_recorded(sources: Sequence[ShownSource], recorded: Sequence[RecordedSource]) -> tuple[ShownSource, ...]:
    """The sources with the records and the time of each. A source that the answer does not tell of stays untold."""
    known: Mapping[str, RecordedSource] = {one.source: one for one in recorded if one.ms is not None}
    return tuple(_completed(one, known.get(one.source)) for one in sources)


def _completed(one: ShownSource, recorded: RecordedSource | None) -> ShownSource:
    if recorded is None or one.status == FILTERED:
        return one
    if one.status == FAILED:
        return replace(one, ms=recorded.ms)
    return replace(one, status=ANSWERED if recorded.records else EMPTY, records=recorded.records, ms=recorded.ms)


def recorded_sources(
    records: Callable[[], Sequence[CallRecord]],
    told: Sequence[ShownSource],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[RecordedSource, ...]:
    """What the call log has of the sources that an answer tells of. `records` gives a call's records by now, which may
    still be on their way; empty when they do not come."""
    wanted = {one.source for one in told if one.status != FILTERED}
    until = clock() + LONGEST_WAIT_SECONDS
    while wanted:
        for record in records():
            if wanted <= {one.source for one in record.sources}:
                return record.sources
        if clock() >= until:
            break
        sleep(_LOOK_EVERY_SECONDS)
    return ()


def print_sources(console: Console, sources: Sequence[ShownSource]) -> None:
    """The table of sources; those that have failed say why."""
    from rich.table import Table
    from rich.text import Text

    if not sources:
        console.print(Text("no source has anything about the patient, or none that may be asked"))
        return
    table = Table(box=None, pad_edge=False)
    for name, justify in (("source", "left"), ("", "left"), ("records", "right"), ("ms", "right"), ("why", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for one in sources:
        why = " ".join(part for part in (one.code, one.text) if part)
        table.add_row(
            Text(harmless(one.source)),
            Text(one.status, style=_COLOURS[one.status]),
            "" if one.records is None else str(one.records),
            "" if one.ms is None else f"{one.ms:.0f}",
            Text(harmless(" ".join(why.split()))),
        )
    console.print(table)
    total = sum(one.records or 0 for one in sources)
    failed = sum(one.status == FAILED for one in sources)
    asked = sum(one.status != FILTERED for one in sources)
    known = f"{total} records" if any(one.ms is not None for one in sources) else "records"
    console.print(Text(f"{known} from {asked - failed} of {asked} sources", style="red" if failed else ""))
