"""What the stub producers have to announce to the engagement indexes: read off their journals, so that both agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from producers_stub.journals import Journal, Kind
from producers_stub.nodes import append, boolean, seconds
from producers_stub.situations import NOBODY, Situations
from producers_stub.world import Producer
from rivta.soap import namespaces
from rivta.soap.identifiers import HsaId, LogicalAddress

MOST_ROWS = 1000
"""Of one Update."""

CATEGORIES: Mapping[Kind, tuple[str, str]] = {
    Kind.NOTES: ("riv:clinicalprocess:healthcond:description", "voo"),
    Kind.DIAGNOSES: ("riv:clinicalprocess:healthcond:description", "dia"),
    Kind.ALERTS: ("riv:clinicalprocess:healthcond:description", "upp"),
    Kind.CARE_CONTACTS: ("riv:clinicalprocess:logistics:logistics", "vko"),
    Kind.MEDICATIONS: ("riv:clinicalprocess:activityprescription:actoutcome", "caa-gmh"),
    Kind.LABORATORY_RESULTS: ("riv:clinicalprocess:healthcond:actoutcome", "und-kkm-ure"),
    Kind.VACCINATIONS: ("riv:clinicalprocess:activityprescription:actoutcome", "caa-gvh"),
}
"""Service domain and category of each kind of record (the contracts' descriptions)."""

_NOT_USED = "NA"


@dataclass(frozen=True, slots=True)
class Engagement:
    """That a source has records of a kind about a patient. The system is asked at the address that it announces."""

    patient: str
    kind: Kind
    logical_address: LogicalAddress
    data_controller: HsaId
    most_recent: datetime
    """Swedish time, without zone."""


def engagements(producer: Producer, journal: Journal, situations: Situations) -> Iterator[Engagement]:
    """All that `producer` has to announce: one for each patient, kind of record and address; the latest counts."""
    latest: dict[tuple[str, Kind, LogicalAddress], datetime] = {}
    for patient, kind, address, time in _contents(producer, journal, situations):
        key = (patient, kind, address)
        latest[key] = max(time, latest.get(key, time))
    for (patient, kind, address), time in latest.items():
        yield Engagement(patient, kind, address, journal.care_provider, time)


def _contents(
    producer: Producer, journal: Journal, situations: Situations
) -> Iterator[tuple[str, Kind, LogicalAddress, datetime]]:
    for one in journal.announced:
        yield one.patient, one.kind, one.logical_address, one.time
    own = [one.logical_address for one in producer.addresses]
    for kind, records in journal.records.items():
        if not journal.is_announced:
            return
        for record in records:
            document = record.document
            if document.patient == NOBODY:
                yield from ((patient, kind, at, document.time) for patient, at in situations.announced(own))
            else:
                places = [LogicalAddress(document.unit.found_at)] if document.unit.found_at else own
                yield from ((document.patient, kind, address, document.time) for address in places)


def update(rows: list[Engagement]) -> etree._Element:
    """The request of Update 1.0 that announces `rows`, at most MOST_ROWS of them."""
    request = etree.Element(
        f"{{{namespaces.UPDATE_1}}}Update",
        nsmap={"svc": namespaces.UPDATE_1, "core": namespaces.ENGAGEMENT_INDEX_1},
    )
    for row in rows:
        domain, category = CATEGORIES[row.kind]
        transaction = etree.SubElement(request, f"{{{namespaces.UPDATE_1}}}engagementTransaction")
        engagement = [
            ("registeredResidentIdentification", row.patient),
            ("serviceDomain", domain),
            ("categorization", category),
            ("logicalAddress", row.logical_address),
            ("businessObjectInstanceIdentifier", _NOT_USED),
            ("clinicalProcessInterestId", _NOT_USED),
            ("mostRecentContent", seconds(row.most_recent)),
            ("sourceSystem", row.logical_address),
            ("dataController", row.data_controller),
        ]
        append(
            transaction,
            namespaces.ENGAGEMENT_INDEX_1,
            [("deleteFlag", boolean(False)), ("engagement", engagement)],
        )
    return request
