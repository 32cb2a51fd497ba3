"""The combined answer: the records of all sources in one envelope, and how each source fared in its header."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from xml.sax.saxutils import quoteattr

from rivta.aggregation.answers import Failure, SourceAnswer
from rivta.aggregation.plan import Filtered
from rivta.aggregation.question import TIMESTAMP
from rivta.aggregation.services import Service
from rivta.catalogue.rows import SWEDISH_TIME
from rivta.router.record import RecordedSource
from rivta.soap import namespaces
from rivta.soap.service import xml_text

DATA, NO_DATA = "DataFromSource", "NoDataSynchFailed"
FILTERED = "Filtered"
"""How a source fared: the two codes of ProcessingStatus that are in use, and ours for one that was not asked."""

_PLATFORM, _PRODUCER = "virtualization_platform", "service_producer"
_MOST_RECORDED = 500
"""Sources in a call record: it is held in memory and in one row."""
_LONGEST_TEXT = 300


@dataclass(frozen=True, slots=True)
class Wording:
    """What an operator may choose about an answer."""

    in_order: bool = False
    """Sources stand in the order of their addresses, not in that in which they have answered."""
    strict: bool = False
    """A failed source has the lastSuccessfulSynch that the schema demands, empty; the incumbent leaves it out."""


def merge(
    service: Service,
    answers: Sequence[SourceAnswer],
    *,
    now: datetime,
    wording: Wording,
    filtered: Collection[Filtered] = (),
) -> bytes:
    """The envelope that the consumer gets. `filtered` are the sources that it is told of though they were not asked."""
    if wording.in_order:
        answers = sorted(answers, key=lambda answer: answer.source)
    return b"".join(_pieces(service, answers, now=now, wording=wording, filtered=filtered))


def recorded(answers: Sequence[SourceAnswer], filtered: Collection[Filtered]) -> tuple[RecordedSource, ...]:
    """How the sources fared, as the platform's call log has it."""
    asked = [_recorded(one) for one in answers]
    unasked = [RecordedSource(one.source, FILTERED, one.reason.value, _about(one)) for one in filtered]
    return tuple([*asked, *unasked][:_MOST_RECORDED])


def _recorded(answer: SourceAnswer) -> RecordedSource:
    ms = round(answer.milliseconds, 1)
    if answer.failure is None:
        return RecordedSource(answer.source, DATA, records=answer.number, ms=ms)
    return RecordedSource(
        answer.source, NO_DATA, answer.failure.code, answer.failure.recorded_text[:_LONGEST_TEXT], ms=ms
    )


def _about(filtered: Filtered) -> str:
    outcome = "" if filtered.outcome is None else f", {filtered.outcome.value}"
    return f"logical address {filtered.logical_address}{outcome}"


def _pieces(
    service: Service,
    answers: Sequence[SourceAnswer],
    *,
    now: datetime,
    wording: Wording,
    filtered: Collection[Filtered],
) -> Iterator[bytes]:
    time = now.astimezone(SWEDISH_TIME).strftime(TIMESTAMP)
    # Prefixes only: a default namespace of ours would be that of records which are in none.
    yield (
        f'<?xml version="1.0" encoding="UTF-8"?><soap:Envelope xmlns:soap="{namespaces.SOAP_ENVELOPE}"><soap:Header>'
        f'<h:ProcessingStatus xmlns:h="{namespaces.INTEROPERABILITY_HEADERS}">'
    ).encode()
    for answer in answers:
        yield _status(answer, time, wording).encode()
    yield _extension(filtered).encode()
    yield (
        f'</h:ProcessingStatus></soap:Header><soap:Body><r:{service.response} xmlns:r="{xml_text(service.contract)}">'
    ).encode()
    for kind in range(len(service.records)):
        for answer in answers:
            yield from answer.records[kind] if answer.records else ()
    yield f"{_result(service)}</r:{service.response}></soap:Body></soap:Envelope>".encode()


def _status(answer: SourceAnswer, time: str, wording: Wording) -> str:
    failure = answer.failure
    code = DATA if failure is None else NO_DATA
    in_synch = "true" if failure is None else "false"
    head = (
        f"<h:ProcessingStatusList><h:logicalAddress>{xml_text(answer.source)}</h:logicalAddress>"
        f"<h:statusCode>{code}</h:statusCode><h:isResponseFromCache>false</h:isResponseFromCache>"
        f"<h:isResponseInSynch>{in_synch}</h:isResponseInSynch>"
    )
    if failure is None:
        return f"{head}<h:lastSuccessfulSynch>{time}</h:lastSuccessfulSynch></h:ProcessingStatusList>"
    before = "<h:lastSuccessfulSynch></h:lastSuccessfulSynch>" if wording.strict else ""
    return (
        f"{head}{before}<h:lastUnsuccessfulSynch>{time}</h:lastUnsuccessfulSynch><h:lastUnsuccessfulSynchError>"
        f"<h:causingAgent>{_agent(failure)}</h:causingAgent><h:code>{xml_text(failure.code)}</h:code>"
        f"<h:text>{xml_text(failure.text)}</h:text></h:lastUnsuccessfulSynchError></h:ProcessingStatusList>"
    )


def _agent(failure: Failure) -> str:
    return _PRODUCER if failure.is_logical else _PLATFORM


def _extension(filtered: Collection[Filtered]) -> str:
    if not filtered:
        return ""
    entries = "".join(
        f"<f:source address={quoteattr(one.source)} logicalAddress={quoteattr(one.logical_address)} "
        f"reason={quoteattr(one.reason.value)}{_outcome(one)}/>"
        for one in filtered
    )
    return f'<f:filtered xmlns:f="{namespaces.AGGREGATION}">{entries}</f:filtered>'


def _outcome(filtered: Filtered) -> str:
    return "" if filtered.outcome is None else f" outcome={quoteattr(filtered.outcome.value)}"


def _result(service: Service) -> str:
    block = service.result
    if block is None:
        return ""
    log_id = f"<i:logId>{xml_text(block.log_id)}</i:logId>" if block.log_id else ""
    return (
        f'<r:result xmlns:i="{xml_text(block.namespace)}"><i:resultCode>{xml_text(block.code)}</i:resultCode>'
        f"{log_id}</r:result>"
    )
