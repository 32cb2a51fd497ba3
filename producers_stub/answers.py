"""What a stub producer answers to a call: its journal, cut to what the request asks for.

Rules of the contracts that the schemas do not say (GetDiagnosis 2.0 and GetCareContacts 3.0): every filter narrows;
an empty one does not; a patient without records is an empty answer, never a fault; a request that cannot be understood
has result code ERROR with error code INVALID_REQUEST, which says what is wrong without repeating any value.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from lxml import etree

from producers_stub.journals import Author, CareContact, CareUnit, Diagnosis, Document, Journal
from producers_stub.persons import problem_with_person_id
from producers_stub.world import Producer
from rivta.soap import namespaces
from rivta.soap.identifiers import ContractNamespace, LogicalAddress
from rivta.soap.service import Answer, Call

SWEDISH_TIME = ZoneInfo("Europe/Stockholm")

ICD_10_SE = "1.2.752.116.1.1.1.1.3"
POSITIONS = "1.2.752.129.2.2.1.4"
CARE_CONTACT_KINDS = "1.2.752.129.2.2.2.25"
CARE_CONTACT_STATUSES = "1.2.752.129.2.2.2.19"

_KINDS = {"1": "Besök", "2": "Telefon", "3": "Vårdtillfälle", "4": "Dagsjukvård", "5": "Annan"}
_STATUSES = {"1": "Ej påbörjad", "2": "Inställd", "3": "Pågående", "4": "Avbruten", "5": "Avslutad"}

Node = tuple[str, "str | Sequence[Node] | None"]
"""An element's local name with its text or children. None, an empty text or no children leaves the element out."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a request for journal records asks for; empty sets (of upper case ids) and empty texts do not narrow."""

    patient: str
    id_type: str
    care_units: frozenset[str]
    care_providers: frozenset[str]
    care_contacts: frozenset[str]
    source_system: str
    first_day: str
    """YYYYMMDD, inclusive."""
    last_day: str

    @classmethod
    def read(cls, payload: etree._Element) -> Question:
        """The question in `payload`, a request of either contract; what it does not say is empty."""
        period = next((child for child in payload if _local(child) in ("timePeriod", "datePeriod")), None)
        return cls(
            patient=_text(payload, "patientId", "id"),
            id_type=_text(payload, "patientId", "type"),
            care_units=_texts(payload, "careUnitHSAId"),
            care_providers=_texts(payload, "careGiverHSAId"),
            care_contacts=_texts(payload, "careContactId"),
            source_system=_text(payload, "sourceSystemHSAId"),
            first_day=_text(period, "start") if period is not None else "",
            last_day=_text(period, "end") if period is not None else "",
        )

    def problem(self) -> str | None:
        """Why the question cannot be answered, without any of its values; None if it can."""
        if self.first_day and self.last_day and self.last_day < self.first_day:
            return "the period ends before it starts"
        return problem_with_person_id(self.patient, self.id_type)

    def asks_for(self, document: Document, *, first: datetime, last: datetime | None) -> bool:
        """Whether a record that covers the days from `first` to `last` (None: still) is among those asked for."""
        return (
            document.patient == self.patient
            and _may(document.unit.hsa_id, self.care_units)
            and _may(document.unit.care_provider, self.care_providers)
            and _may(document.care_contact, self.care_contacts)
            and (not self.last_day or _day(first) <= self.last_day)
            and (not self.first_day or last is None or _day(last) >= self.first_day)
        )


@dataclass(frozen=True, slots=True)
class StubProducer:
    """A producer with its journal: the services of its own contracts. `now` gives the time, with a zone."""

    producer: Producer
    journal: Journal
    version: str
    started: datetime
    now: Callable[[], datetime]

    def services(self) -> dict[ContractNamespace, Answer]:
        """Each contract that the stub producers know, with what answers it."""
        known: dict[str, Answer] = {
            namespaces.PING_FOR_CONFIGURATION_1: self.ping,
            namespaces.GET_DIAGNOSIS_2: self.diagnoses,
            namespaces.GET_CARE_CONTACTS_3: self.care_contacts,
        }
        return {namespace: known[namespace] for namespace in self.producer.contracts if namespace in known}

    def ping(self, call: Call) -> etree._Element:
        """PingForConfiguration 1.0."""
        configuration = {
            "name": self.producer.title,
            "hsaId": self.producer.hsa_id,
            "logicalAddress": self._source_system(call),
            "started": _seconds(self.started.astimezone(SWEDISH_TIME)),
        }
        answer = _element(call.contract, "PingForConfigurationResponse")
        nodes: list[Node] = [
            ("version", self.version),
            ("pingDateTime", _seconds(self.now().astimezone(SWEDISH_TIME))),
            *(("configuration", [("name", name), ("value", value)]) for name, value in configuration.items()),
        ]
        _append(answer, call.contract, nodes)
        return answer

    def diagnoses(self, call: Call) -> etree._Element:
        """GetDiagnosis 2.0; the period is about when the record was written."""
        source = self._source_system(call)
        question = Question.read(call.payload)
        found = (
            _diagnosis(one, source=source, id_type=question.id_type)
            for one in self.journal.diagnoses
            if question.asks_for(one.document, first=one.document.time, last=one.document.time)
        )
        return _records(
            call, question, source=source, core=namespaces.HEALTHCOND_DESCRIPTION_2, name="diagnosis", found=found
        )

    def care_contacts(self, call: Call) -> etree._Element:
        """GetCareContacts 3.0; the period is about when the contact took or takes place."""
        source = self._source_system(call)
        question = Question.read(call.payload)
        found = (
            _care_contact(one, source=source, id_type=question.id_type)
            for one in self.journal.care_contacts
            if question.asks_for(one.document, first=one.start, last=one.end)
        )
        return _records(call, question, source=source, core=namespaces.LOGISTICS_3, name="careContact", found=found)

    def _source_system(self, call: Call) -> LogicalAddress:
        """The called address as the producer spells it; its first where the call was for a unit below it."""
        spelled = {one.logical_address.upper(): one.logical_address for one in self.producer.addresses}
        return spelled.get(call.logical_address.strip().upper(), self.producer.addresses[0].logical_address)


def _records(
    call: Call, question: Question, *, source: str, core: str, name: str, found: Iterable[Sequence[Node]]
) -> etree._Element:
    """The answer of a contract that gives records: each of `found` as an element `name`, then the result."""
    answer = etree.Element(
        f"{{{call.contract}}}{_local(call.payload)}Response", nsmap={"svc": call.contract, "core": core}
    )
    problem = question.problem()
    if problem is None and question.source_system.upper() in ("", source.upper()):
        for nodes in found:
            _append(etree.SubElement(answer, f"{{{call.contract}}}{name}"), core, nodes)
    _append(etree.SubElement(answer, f"{{{call.contract}}}result"), core, _result(problem, call.correlation_id))
    return answer


def _result(problem: str | None, correlation_id: str | None) -> Sequence[Node]:
    """`logId` is where the producer's own log is to be searched: the correlation id, where the caller gave one."""
    return (
        ("resultCode", "OK" if problem is None else "ERROR"),
        ("errorCode", None if problem is None else "INVALID_REQUEST"),
        ("logId", correlation_id or str(uuid.uuid4())),
        ("message", problem),
    )


def _diagnosis(one: Diagnosis, *, source: str, id_type: str) -> Sequence[Node]:
    header = _header(one.document, source=source, id_type=id_type, title="Diagnos")
    return (
        (
            "diagnosisHeader",
            [*header, ("careContactId", one.document.care_contact), *_nullified(one.document)],
        ),
        (
            "diagnosisBody",
            [
                ("typeOfDiagnosis", "Huvuddiagnos" if one.is_main else "Bidiagnos"),
                ("chronicDiagnosis", _boolean(one.chronic)),
                ("diagnosisTime", _seconds(one.document.time)),
                ("diagnosisCode", _code(one.code, ICD_10_SE, "ICD-10-SE", one.text)),
                *(("relatedDiagnosis", [("documentId", _prefixed(source, related))]) for related in one.related),
            ],
        ),
    )


def _care_contact(one: CareContact, *, source: str, id_type: str) -> Sequence[Node]:
    header = _header(one.document, source=source, id_type=id_type, title="Vårdkontakt")
    period: list[Node] = [("start", _seconds(one.start)), ("end", _seconds(one.end) if one.end else None)]
    return (
        # Unlike in GetDiagnosis, the contact's id stands last.
        (
            "careContactHeader",
            [*header, *_nullified(one.document), ("careContactId", one.document.care_contact)],
        ),
        (
            "careContactBody",
            [
                ("careContactCode", _code(one.kind, CARE_CONTACT_KINDS, "KV kontakttyp", _KINDS[one.kind])),
                ("careContactReason", one.reason),
                ("careContactOrgUnit", _unit(one.document.unit)),
                ("careContactTimePeriod", period),
                (
                    "careContactStatus",
                    _code(one.status, CARE_CONTACT_STATUSES, "KV kontaktstatus", _STATUSES[one.status]),
                ),
            ],
        ),
    )


def _header(document: Document, *, source: str, id_type: str, title: str) -> Sequence[Node]:
    """The patient summary header, common to both contracts up to the approval for the patient."""
    written = _seconds(document.time)
    return (
        ("documentId", _prefixed(source, document.id)),
        ("sourceSystemHSAId", source),
        ("documentTitle", title),
        ("documentTime", written),
        ("patientId", [("id", document.patient), ("type", id_type)]),
        ("accountableHealthcareProfessional", _professional(document)),
        (
            "legalAuthenticator",
            [
                ("signatureTime", written),
                ("legalAuthenticatorHSAId", document.author.hsa_id),
                ("legalAuthenticatorName", document.author.name),
            ],
        ),
        ("approvedForPatient", _boolean(document.approved_for_patient)),
    )


def _professional(document: Document) -> Sequence[Node]:
    author = document.author
    return (
        ("authorTime", _seconds(document.time)),
        ("healthcareProfessionalHSAId", author.hsa_id),
        ("healthcareProfessionalName", author.name),
        ("healthcareProfessionalRoleCode", _role(author)),
        ("healthcareProfessionalOrgUnit", _unit(document.unit)),
        ("healthcareProfessionalCareUnitHSAId", document.unit.hsa_id),
        ("healthcareProfessionalCareGiverHSAId", document.unit.care_provider),
    )


def _role(author: Author) -> Sequence[Node]:
    if not author.role_code:
        return (("originalText", author.role),)
    return _code(author.role_code, POSITIONS, "Befattning HSA", author.role)


def _unit(unit: CareUnit) -> Sequence[Node]:
    return (
        ("orgUnitHSAId", unit.hsa_id),
        ("orgUnitName", unit.name),
        ("orgUnitTelecom", unit.telecom),
        ("orgUnitEmail", unit.email),
        ("orgUnitAddress", unit.address),
        ("orgUnitLocation", unit.location),
    )


def _code(code: str, system: str, system_name: str, text: str) -> Sequence[Node]:
    return (("code", code), ("codeSystem", system), ("codeSystemName", system_name), ("displayName", text))


def _nullified(document: Document) -> Sequence[Node]:
    if not document.nullified:
        return ()
    return (("nullified", "true"), ("nullifiedReason", document.nullified))


def _element(namespace: str, name: str) -> etree._Element:
    return etree.Element(f"{{{namespace}}}{name}", nsmap={"svc": namespace})


def _append(parent: etree._Element, namespace: str, nodes: Iterable[Node]) -> None:
    for name, content in nodes:
        if not content:
            continue
        element = etree.SubElement(parent, f"{{{namespace}}}{name}")
        if isinstance(content, str):
            element.text = content
        else:
            _append(element, namespace, content)


def _prefixed(source: str, record_id: str) -> str:
    """Ids of records are unique among all source systems, because each puts its own address in front."""
    return f"{source}:{record_id}"


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _seconds(moment: datetime) -> str:
    return f"{moment:%Y%m%d%H%M%S}"


def _day(moment: datetime) -> str:
    return f"{moment:%Y%m%d}"


def _may(value: str, wanted: frozenset[str]) -> bool:
    return not wanted or value.upper() in wanted


def _local(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _text(element: etree._Element, *path: str) -> str:
    return (element.findtext("/".join(f"{{*}}{step}" for step in path)) or "").strip()


def _texts(element: etree._Element, name: str) -> frozenset[str]:
    return frozenset(text for child in element.findall(f"{{*}}{name}") if (text := (child.text or "").strip().upper()))
