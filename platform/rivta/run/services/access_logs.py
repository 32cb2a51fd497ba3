"""GetAccessLogsForPatient 1.0: who has looked at a patient's data, for the patient.

Everything that can be wrong is told in the answer's result code, as the contract has it, and not as a fault. The
consumer must have made sure who the patient is; which consumers may ask is the permission table's to say, and
`access_log.patient_services` names those that are trusted to have done so, where not every one is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

from lxml import etree

from rivta.audit.access.entry import EMERGENCY_ACCESS, Kind, StoredEntry
from rivta.audit.access.log import AccessLogUnreadable
from rivta.audit.access.reports import MOST_ROWS, Question, Report, Reports, State
from rivta.catalogue.rows import SWEDISH_TIME
from rivta.router.headers import ORIGINAL_CONSUMER
from rivta.soap import namespaces
from rivta.soap.person_ids import NoPersonId, read_person_id
from rivta.soap.service import Answer, Call, holdable
from rivta.store.engine import DatabaseUnusable

ONLINE_MONTHS = 18
"""How far back the log can be asked; what is older is kept, and fetched from the care provider."""
QUEUE_SECONDS = 5
"""How long a caller is told to wait before it asks again."""
_LONGEST = {"id": 32, "resource": 50, "purpose": 256}
"""Characters of the contract's types."""
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?")
_RESPONDER, _QUERYING = namespaces.GET_ACCESS_LOGS_FOR_PATIENT_1, namespaces.EHR_LOG_QUERYING_1
_NIL = f"{{{namespaces.XML_SCHEMA_INSTANCE}}}nil"


class ResultCode(Enum):
    """How it went, as on the wire."""

    OK = "OK"
    INFO = "INFO"
    ERROR = "ERROR"
    VALIDATION_ERROR = "VALIDATION_ERROR"
    ACCESS_DENIED = "ACCESSDENIED"
    ON_QUEUE = "REPORT_ON_QUEUE"
    IN_PROCESS = "REPORT_IN_PROCESS"
    NOT_FOUND = "REPORT_NOT_FOUND"
    TOO_MANY = "MAX_QUERY_RESULT_EXCEEDED"


@dataclass(frozen=True, slots=True)
class PatientLog:
    """What the service stands on."""

    reports: Callable[[], Reports]
    """Of the log, which is opened when it is first asked. Raises DatabaseUnusable or AccessLogUnreadable."""
    now: Callable[[], datetime]
    """With a zone."""
    patient_services: Collection[str] = ()
    """HSA-ids of the consumers that make sure who the patient is; empty: whoever the permission table lets through."""


@dataclass(frozen=True, slots=True)
class _Result:
    code: ResultCode
    text: str
    since: datetime | None = None
    until: datetime | None = None
    report: str = ""
    entries: tuple[StoredEntry, ...] = ()


class _Refused(Exception):
    """The question is not right; says why, in Swedish, for the patient's page."""


def access_logs(log: PatientLog) -> Answer:
    """The service."""

    def answer(call: Call) -> etree._Element:
        return _response(_result(log, call))

    return answer


def _result(log: PatientLog, call: Call) -> _Result:
    consumer = call.headers.get(ORIGINAL_CONSUMER, "")
    if log.patient_services and consumer not in log.patient_services:
        return _Result(ResultCode.ACCESS_DENIED, "Anropande system får inte läsa åtkomstloggen för en patient.")
    try:
        question, report_id = _question(call, consumer, log.now())
    except _Refused as refused:
        return _Result(ResultCode.VALIDATION_ERROR, str(refused))
    try:
        reports = log.reports()
        report = reports.fetch(report_id, question) if report_id else reports.ask(question)
    except (AccessLogUnreadable, DatabaseUnusable):
        return _Result(ResultCode.ERROR, "Åtkomstloggen kan inte läsas just nu. Försök igen senare.")
    return _told(report, question, online=online_since(log.now()))


def _told(report: Report, question: Question, *, online: datetime) -> _Result:
    since, until = max(question.since, online), question.until
    match report.state:
        case State.READY:
            entries = tuple(report.entries)
            count = f"{len(entries)} händelse{'' if len(entries) == 1 else 'r'}"
            if question.since < online:
                text = f"{count}. Loggen kan läsas {ONLINE_MONTHS} månader bakåt i tiden: äldre finns hos vårdgivaren."
                return _Result(ResultCode.INFO, text, since, until, report.id, entries)
            return _Result(ResultCode.OK, count, since, until, report.id, entries)
        case State.QUEUED:
            return _Result(ResultCode.ON_QUEUE, "Rapporten väntar på att tas fram.", since, until, report.id)
        case State.IN_PROCESS:
            return _Result(ResultCode.IN_PROCESS, "Rapporten tas fram.", since, until, report.id)
        case State.TOO_MANY:
            text = f"Fler än {MOST_ROWS} händelser: välj en kortare tid."
            return _Result(ResultCode.TOO_MANY, text, since, until)
        case State.NOT_FOUND:
            return _Result(ResultCode.NOT_FOUND, "Det finns ingen sådan rapport för frågan: begär en ny.")
        case State.BUSY:
            return _Result(ResultCode.ERROR, "För många frågor väntar på svar. Försök igen senare.")


def _question(call: Call, consumer: str, now: datetime) -> tuple[Question, str]:
    """What is asked, and the id of a report; raises _Refused."""
    patient = _text(call, "PatientId")
    try:
        person = read_person_id(patient, today=now.astimezone(SWEDISH_TIME).date())
    except NoPersonId as error:
        raise _Refused(f"PatientId: {error.wrong.swedish}") from None
    since = _instant(call, "FromDate", fold=0)
    until = _instant(call, "ToDate", fold=1)
    if until < since:
        raise _Refused("ToDate ligger före FromDate.")
    # ToDate is the last moment asked for, mostly a whole second.
    last = timedelta(seconds=1) if until.microsecond == 0 else timedelta(microseconds=1)
    return Question(person.value, since, until + last, consumer), _text(call, "QueuedReportId")


def _instant(call: Call, name: str, *, fold: int) -> datetime:
    """A time of the request, in Swedish time where it has no zone; `fold` says which of the hour that recurs."""
    text = _text(call, name).strip()
    if not text:
        raise _Refused(f"{name} saknas.")
    try:
        if not _DATE_TIME.fullmatch(text):
            raise ValueError
        time = datetime.fromisoformat(text)
        # In UTC, where an hour comes once only: sums and comparisons of local times forget which one is meant.
        return _aware(time, fold).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _Refused(f"{name} är ingen tidpunkt som 2026-01-31T00:00:00.") from None


def _aware(time: datetime, fold: int) -> datetime:
    # Near the first and the last of all years there is no room for an offset.
    if not 1900 <= time.year <= 9000:
        raise ValueError
    return time if time.tzinfo else time.replace(tzinfo=SWEDISH_TIME, fold=fold)


def online_since(time: datetime) -> datetime:
    """From when on the log can be read at `time`: the start of the day so many months earlier, Swedish time."""
    local = time.astimezone(SWEDISH_TIME)
    year, month = divmod(local.year * 12 + local.month - 1 - ONLINE_MONTHS, 12)
    for day in (local.day, 28):
        try:
            return datetime(year, month + 1, day, tzinfo=SWEDISH_TIME)
        except ValueError:
            continue
    raise AssertionError("every month has a 28th")


def _response(result: _Result) -> etree._Element:
    root = etree.Element(f"{{{_RESPONDER}}}GetAccessLogsForPatientResponse", nsmap={None: _RESPONDER, "q": _QUERYING})  # type: ignore[dict-item]
    block = etree.SubElement(root, f"{{{_RESPONDER}}}AccessLogsResultType")
    told = etree.SubElement(block, f"{{{_QUERYING}}}Result")
    _add(told, "ResultCode", result.code.value)
    _add(told, "ResultText", result.text)
    if result.since is not None and result.until is not None:
        _add(told, "StartInterval", _swedish(result.since))
        _add(told, "EndInterval", _swedish(result.until - timedelta(microseconds=1)))
    if result.report:
        _add(told, "QueuedReportId", result.report)
        is_ready = result.code in (ResultCode.OK, ResultCode.INFO)
        _add(told, "QueueTime", "0" if is_ready else str(QUEUE_SECONDS))
    if result.code in (ResultCode.OK, ResultCode.INFO):
        logs = etree.SubElement(block, f"{{{_QUERYING}}}AccesssLogs")
        for one in result.entries:
            _add_entry(logs, one)
    return root


def _add_entry(logs: etree._Element, one: StoredEntry) -> None:
    reader = one.entry.reader
    log = etree.SubElement(logs, f"{{{_QUERYING}}}AccessLog")
    _add(log, "CareProviderId", reader.care_provider_id[: _LONGEST["id"]])
    _add(log, "CareProviderName", reader.care_provider_name)
    _add(log, "CareUnitId", reader.unit_id[: _LONGEST["id"]])
    _add(log, "CareUnitName", reader.unit_name)
    _add(log, "AccessDate", _swedish(one.time))
    _add(log, "Purpose", reader.purpose[: _LONGEST["purpose"]])
    _add(log, "ResourceType", resource_type(one))


def resource_type(one: StoredEntry) -> str:
    """What was looked at: its information set, and what was out of the ordinary about it."""
    marks = []
    if one.entry.kind is Kind.INTENT:
        marks.append("okänt om visat")
    if one.entry.consent == EMERGENCY_ACCESS:
        marks.append("nödåtkomst")
    mark = f" ({', '.join(marks)})" if marks else ""
    return one.entry.information_set[: _LONGEST["resource"] - len(mark)] + mark


def _swedish(time: datetime) -> str:
    """With the offset, to the millisecond."""
    return time.astimezone(SWEDISH_TIME).isoformat(timespec="milliseconds")


def _add(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, f"{{{_QUERYING}}}{name}").text = holdable(text)


def _text(call: Call, name: str) -> str:
    found = call.payload.find(f"{{{call.contract}}}{name}")
    return "" if found is None or found.get(_NIL) in ("true", "1") else (found.text or "").strip()
