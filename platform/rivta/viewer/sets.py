"""The information sets of the overview, and the contracts that each is asked for with: newest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from lxml import etree

from rivta.aggregation.services import Asks, Service, services
from rivta.soap import namespaces
from rivta.soap.identifiers import ContractNamespace
from rivta.soap.person_ids import PersonId


@dataclass(frozen=True, slots=True)
class Titles:
    """What a set is called, and the contracts that it is asked for with."""

    swedish: str
    english: str
    contracts: tuple[str, ...]
    partial: bool = False
    """Sources show some of what they have only, and the page says so."""


class InformationSet(Enum):
    """What there is to see, in the order of the page. The name is its word in addresses of pages."""

    NOTES = Titles("Anteckningar", "Notes", (namespaces.GET_CARE_DOCUMENTATION_2,))
    DIAGNOSES = Titles("Diagnoser", "Diagnoses", (namespaces.GET_DIAGNOSIS_2,))
    CARE_CONTACTS = Titles(
        "Vårdkontakter", "Care contacts", (namespaces.GET_CARE_CONTACTS_3, namespaces.GET_CARE_CONTACTS_2)
    )
    DISPENSED = Titles(
        "Läkemedelsförteckningen (uthämtade)", "Dispensed medicines", (namespaces.GET_DISPENSED_MEDICINES_1,)
    )
    LABORATORY = Titles(
        "Provsvar",
        "Laboratory results",
        (namespaces.GET_LABORATORY_ORDER_OUTCOME_4, namespaces.GET_LABORATORY_ORDER_OUTCOME_3),
        partial=True,
    )
    VACCINATIONS = Titles("Vaccinationer", "Vaccinations", (namespaces.GET_VACCINATION_HISTORY_2,), partial=True)
    PRESCRIPTIONS = Titles(
        "Ordinationer i journalen", "Prescriptions in the journal", (namespaces.GET_MEDICATION_HISTORY_2,)
    )
    ALERTS = Titles("Uppmärksamhetsinformation", "Alerts", (namespaces.GET_ALERT_INFORMATION_2,))

    @property
    def word(self) -> str:
        """In addresses of pages: it names no patient."""
        return self.name.lower().replace("_", "-")


SIX_SETS = (
    InformationSet.NOTES,
    InformationSet.DIAGNOSES,
    InformationSet.CARE_CONTACTS,
    InformationSet.DISPENSED,
    InformationSet.LABORATORY,
    InformationSet.VACCINATIONS,
)
"""What the region shows. Prescriptions are a list apart, and alerts stand above all."""

REGISTER = Service(
    contract=ContractNamespace(namespaces.GET_DISPENSED_MEDICINES_1),
    domain="",
    categories=(),
    patient=("patientId", "id"),
    source=(),
    wanted_categories=(),
    records=("dispensation",),
    request="GetDispensedMedicines",
    response="GetDispensedMedicinesResponse",
    result=None,
    asks=Asks.SOURCE_SYSTEM,
    address_in_request=(),
    newest_years=0,
)
"""The register of dispensed medicines as a service: it is called by its own address and found in no index."""

_CORES: Mapping[str, str] = {
    namespaces.GET_CARE_DOCUMENTATION_2: namespaces.HEALTHCOND_DESCRIPTION_2,
    namespaces.GET_DIAGNOSIS_2: namespaces.HEALTHCOND_DESCRIPTION_2,
    namespaces.GET_ALERT_INFORMATION_2: namespaces.HEALTHCOND_DESCRIPTION_2,
    namespaces.GET_CARE_CONTACTS_2: namespaces.LOGISTICS_2,
    namespaces.GET_CARE_CONTACTS_3: namespaces.LOGISTICS_3,
    namespaces.GET_MEDICATION_HISTORY_2: namespaces.ACTIVITYPRESCRIPTION_ACTOUTCOME_2,
    namespaces.GET_VACCINATION_HISTORY_2: namespaces.ACTIVITYPRESCRIPTION_ACTOUTCOME_2,
    namespaces.GET_LABORATORY_ORDER_OUTCOME_3: namespaces.HEALTHCOND_ACTOUTCOME_3,
    namespaces.GET_LABORATORY_ORDER_OUTCOME_4: namespaces.HEALTHCOND_ACTOUTCOME_4,
    namespaces.GET_DISPENSED_MEDICINES_1: namespaces.MEDICATION_REGISTER_1,
}
"""The namespace of what stands in a request of each contract."""


def service_of(contract: str) -> Service:
    """How the contract is asked, as aggregating it has it."""
    return REGISTER if contract == REGISTER.contract else services({})[ContractNamespace(contract)]


@dataclass(frozen=True, slots=True)
class Basis:
    """On what the register of dispensed medicines is asked."""

    user_id: str
    user_name: str
    unit: str
    unit_name: str
    care_provider: str
    emergency: str = ""
    """The reason; empty: by the patient's consent, which the register itself looks up."""


def request(service: Service, patient: PersonId, basis: Basis) -> etree._Element:
    """The payload that asks for everything about the patient."""
    contract, core = service.contract, _CORES[service.contract]
    root = etree.Element(f"{{{contract}}}{service.request}", nsmap={"svc": contract, "core": core})
    person = etree.SubElement(root, f"{{{contract}}}patientId")
    id_name = service.patient[-1]
    pair = [(id_name, patient.value), ("type", patient.type.value)]
    if id_name == "extension":
        pair = [("root", patient.type.value), ("extension", patient.value)]
    for name, value in pair:
        etree.SubElement(person, f"{{{core}}}{name}").text = value
    if contract == REGISTER.contract:
        _ask_register(root, basis, core)
    return root


def _ask_register(root: etree._Element, basis: Basis, core: str) -> None:
    access = etree.SubElement(root, f"{{{REGISTER.contract}}}accessBasis")
    if basis.emergency:
        emergency = etree.SubElement(access, f"{{{core}}}emergency")
        etree.SubElement(emergency, f"{{{core}}}reason").text = basis.emergency
    else:
        etree.SubElement(access, f"{{{core}}}consent")
    requester = etree.SubElement(root, f"{{{REGISTER.contract}}}requester")
    for name, value in (
        ("personHSAId", basis.user_id),
        ("personName", basis.user_name),
        ("careUnitHSAId", basis.unit),
        ("careUnitName", basis.unit_name),
        ("careGiverHSAId", basis.care_provider),
    ):
        etree.SubElement(requester, f"{{{core}}}{name}").text = value
