"""What a patient reads of the own log: GetAccessLogsForPatient, asked as any consumer asks it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from lxml import etree

from rivta.aggregation.question import addressed
from rivta.router.messages import Answer
from rivta.soap import namespaces
from rivta.soap.charsets import read_answer
from rivta.soap.head import read_head
from rivta.soap.xml import XmlRefused
from rivta.viewer.reading import child, children, text

DAYS = 548
"""The log is on line for 18 months (the contract's description)."""
GOOD = ("OK", "INFO")
WAITING = ("REPORT_ON_QUEUE", "REPORT_IN_PROCESS")


@dataclass(frozen=True, slots=True)
class SeenBy:
    """One look, in the patient's words: who, where, when, why, what."""

    who: str
    """The care provider: the contract does not tell patients of single readers."""
    where: str
    when: str
    why: str
    what: str


@dataclass(frozen=True, slots=True)
class Report:
    """What the log has answered."""

    code: str
    """Of the contract; empty where nothing came that could be read."""
    queued_id: str
    looks: tuple[SeenBy, ...]


def question(patient: str, address: str, *, now: datetime, queued_id: str = "") -> bytes:
    """The message that asks for everything that is on line; with an id, for the report that was begun."""
    contract = namespaces.GET_ACCESS_LOGS_FOR_PATIENT_1
    root = etree.Element(f"{{{contract}}}GetAccessLogsForPatientRequest", nsmap={"svc": contract})
    fields = [
        ("PatientId", patient),
        ("FromDate", (now - timedelta(days=DAYS)).isoformat(timespec="seconds")),
        ("ToDate", (now + timedelta(minutes=1)).isoformat(timespec="seconds")),
    ]
    if queued_id:
        fields.append(("QueuedReportId", queued_id))
    for name, value in fields:
        etree.SubElement(root, f"{{{contract}}}{name}").text = value
    return addressed(root, address)


def read(answer: Answer) -> Report:
    """The report, newest look first; one with an empty code for what is none."""
    try:
        payload = read_head(read_answer(answer.body, None).root).payload
    except XmlRefused:
        return Report("", "", ())
    block = child(payload, "AccessLogsResultType")
    result = child(block, "Result")
    logs = child(block, "AccesssLogs")
    looks = [_look(one) for one in children(logs, "AccessLog")]
    looks.sort(key=lambda one: one.when, reverse=True)
    return Report(
        text(result, "ResultCode"), text(result, "QueuedReportId") or text(block, "QueuedReportId"), tuple(looks)
    )


def _look(one: etree._Element) -> SeenBy:
    time = text(one, "AccessDate")
    try:
        when = f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M}"
    except ValueError:
        when = time
    return SeenBy(
        who=text(one, "CareProviderName") or text(one, "CareProviderId"),
        where=text(one, "CareUnitName") or text(one, "CareUnitId"),
        when=when,
        why=text(one, "Purpose"),
        what=text(one, "ResourceType"),
    )
