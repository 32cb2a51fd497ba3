"""What a stub producer answers to a call: its journal, cut to what the request asks for.

Rules of the contracts that the schemas do not say (GetDiagnosis 2.0 and GetCareContacts 3.0): a patient without records
is an empty answer, never a fault; a request that cannot be understood has result code ERROR with error code
INVALID_REQUEST, which says what is wrong without repeating any value; in a contract whose answers have no result, it is
a fault.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from lxml import etree

from producers_stub.contacts import care_contact_2, care_contact_3
from producers_stub.described import alert, diagnosis, note
from producers_stub.headers import Asked
from producers_stub.journals import Journal, Kind, Record
from producers_stub.laboratory import outcome_3, outcome_4
from producers_stub.medication_register import MedicationRegister
from producers_stub.medicines import prescription, vaccination
from producers_stub.nodes import Node, append, seconds
from producers_stub.questions import Question
from producers_stub.situations import Situations
from producers_stub.world import Producer
from rivta.soap import namespaces
from rivta.soap.faults import Side
from rivta.soap.identifiers import ContractNamespace, LogicalAddress
from rivta.soap.service import Answer, Call, ServiceFault

SWEDISH_TIME = ZoneInfo("Europe/Stockholm")


@dataclass(frozen=True, slots=True)
class _Answered:
    """How the records of one kind are told in one contract."""

    kind: Kind
    element: str
    """Local name of a record's element."""
    core: str
    """Namespace of what is in it."""
    told: Callable[[Any, Asked], Sequence[Node]]
    result: str | None = "own"
    """Namespace of the result and what is in it: `own` for the contract's and the core's; None where there is none."""
    tells_nullified: bool = True
    """Whether a record that is no longer in force can be told of."""


_DESCRIPTION = namespaces.HEALTHCOND_DESCRIPTION_2
_PRESCRIPTION = namespaces.ACTIVITYPRESCRIPTION_ACTOUTCOME_2

ANSWERED: Mapping[str, _Answered] = {
    namespaces.GET_CARE_DOCUMENTATION_2: _Answered(
        Kind.NOTES, "careDocumentation", _DESCRIPTION, note, result=namespaces.HEALTHCOND_DESCRIPTION_2_1
    ),
    namespaces.GET_DIAGNOSIS_2: _Answered(Kind.DIAGNOSES, "diagnosis", _DESCRIPTION, diagnosis),
    namespaces.GET_ALERT_INFORMATION_2: _Answered(Kind.ALERTS, "alertInformation", _DESCRIPTION, alert),
    namespaces.GET_CARE_CONTACTS_2: _Answered(
        Kind.CARE_CONTACTS, "careContact", namespaces.LOGISTICS_2, care_contact_2, result=None
    ),
    namespaces.GET_CARE_CONTACTS_3: _Answered(
        Kind.CARE_CONTACTS, "careContact", namespaces.LOGISTICS_3, care_contact_3
    ),
    namespaces.GET_MEDICATION_HISTORY_2: _Answered(
        Kind.MEDICATIONS, "medicationMedicalRecord", _PRESCRIPTION, prescription
    ),
    namespaces.GET_VACCINATION_HISTORY_2: _Answered(
        Kind.VACCINATIONS, "vaccinationMedicalRecord", _PRESCRIPTION, vaccination
    ),
    namespaces.GET_LABORATORY_ORDER_OUTCOME_3: _Answered(
        Kind.LABORATORY_RESULTS, "laboratoryOrderOutcome", namespaces.HEALTHCOND_ACTOUTCOME_3, outcome_3
    ),
    namespaces.GET_LABORATORY_ORDER_OUTCOME_4: _Answered(
        Kind.LABORATORY_RESULTS,
        "laboratoryOrderOutcome",
        namespaces.HEALTHCOND_ACTOUTCOME_4,
        outcome_4,
        result=None,
        tells_nullified=False,
    ),
}
"""Every contract that is answered from journals, by its namespace."""


@dataclass(frozen=True, slots=True)
class StubProducer:
    """A producer with its journal: the services of its own contracts. `now` gives the time, with a zone."""

    producer: Producer
    journal: Journal
    version: str
    started: datetime
    now: Callable[[], datetime]
    situations: Situations = Situations()  # noqa: RUF009 - frozen

    def services(self) -> dict[ContractNamespace, Answer]:
        """Each contract of the producer's own, with what answers it."""
        special: dict[str, Answer] = {namespaces.PING_FOR_CONFIGURATION_1: self.ping}
        if namespaces.GET_DISPENSED_MEDICINES_1 in self.producer.contracts:
            special[namespaces.GET_DISPENSED_MEDICINES_1] = MedicationRegister.load(self.now).answer
        return {namespace: special.get(namespace, self.records) for namespace in self.producer.contracts}

    def ping(self, call: Call) -> etree._Element:
        """PingForConfiguration 1.0."""
        configuration = {
            "name": self.producer.title,
            "hsaId": self.producer.hsa_id,
            "logicalAddress": self._source_system(call),
            "started": seconds(self.started.astimezone(SWEDISH_TIME)),
        }
        answer = etree.Element(f"{{{call.contract}}}PingForConfigurationResponse", nsmap={"svc": call.contract})
        nodes: list[Node] = [
            ("version", self.version),
            ("pingDateTime", seconds(self.now().astimezone(SWEDISH_TIME))),
            *(("configuration", [("name", name), ("value", value)]) for name, value in configuration.items()),
        ]
        append(answer, call.contract, nodes)
        return answer

    def records(self, call: Call) -> etree._Element:
        """Any contract of journal records. Raises ServiceFault where the answer has no room for what is wrong."""
        answered = ANSWERED[call.contract]
        question = Question.read(call.payload)
        problem = question.problem()
        if problem is not None and answered.result is None:
            raise ServiceFault(f"Ogiltig begäran: {problem}", side=Side.CLIENT)
        source = self._source_system(call)
        name = f"{etree.QName(call.payload).localname}Response"
        answer = etree.Element(f"{{{call.contract}}}{name}", nsmap={"svc": call.contract, "core": answered.core})
        if problem is None and question.source_system in ("", source.upper()):
            asked = Asked(source, question.id_type)
            for record in self.found(answered.kind, question.patient, source):
                if question.asks_for(record) and (answered.tells_nullified or not record.document.nullified):
                    element = etree.SubElement(answer, f"{{{call.contract}}}{answered.element}")
                    append(element, answered.core, answered.told(record, asked))
        if answered.result is not None:
            outer, inner = (call.contract, answered.core) if answered.result == "own" else (answered.result,) * 2
            append(etree.SubElement(answer, f"{{{outer}}}result"), inner, _result(problem, call.correlation_id))
        return answer

    def found(self, kind: Kind, patient: str, source: str) -> Iterator[Record]:
        """What there is of one kind about a patient at one of the producer's addresses."""
        held = self.journal.records[kind]
        for record in held:
            if record.document.patient == patient and record.document.unit.found_at in ("", source):
                yield record
        yield from self.situations.records(patient, source, held)

    def _source_system(self, call: Call) -> LogicalAddress:
        """The called address as the producer spells it; its first where the call was for a unit below it."""
        spelled = {one.logical_address.upper(): one.logical_address for one in self.producer.addresses}
        return spelled.get(call.logical_address.strip().upper(), self.producer.addresses[0].logical_address)


def _result(problem: str | None, correlation_id: str | None) -> Sequence[Node]:
    """`logId` is where the producer's own log is to be searched: the correlation id, where the caller gave one."""
    return (
        ("resultCode", "OK" if problem is None else "ERROR"),
        ("errorCode", None if problem is None else "INVALID_REQUEST"),
        ("logId", correlation_id or str(uuid.uuid4())),
        ("message", problem),
    )
