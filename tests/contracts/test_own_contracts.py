"""Contracts of our own have no official schema to be held to: what they must take and refuse is written down here.

The tables say of every element how often it may stand there and what it may hold; every change to a message is then
known to be right or wrong without asking the schema.
"""

import copy
from collections.abc import Iterator
from functools import cache
from typing import Literal

import pytest
from lxml import etree
from xmlschema import XMLSchema10

from rivta import shipped
from rivta.contracts import samples
from rivta.contracts.domain import imported_files, read_contract_file
from rivta.contracts.installed import Contracts
from rivta.contracts.tree import load_schema
from rivta.contracts.validation import compile_schema
from rivta.soap import namespaces
from rivta.soap.head import read_head
from rivta.soap.identifiers import Profile
from rivta.soap.xml import parse_xml
from tests.contracts.differences import OWN
from tests.contracts.mutants import Mutator, tags

CONTRACTS = Contracts.load(shipped.folder("contracts") / "xsd")
MEDICINES = CONTRACTS.find("GetDispensedMedicines:1")
CORE = f"{{{namespaces.MEDICATION_REGISTER_1}}}"
MUTANTS = 400

Message = Literal["request", "response"]

OPTIONAL = {
    *("datePeriod", "requester/personName", "requester/role", "requester/careUnitName", "accessBasis/consent/consentId"),
    *("role/codeSystemName", "role/displayName", "result/errorCode", "result/infoCode", "result/message"),
    *("dispensation", "dispensation/numberOfPackages", "dispensation/dispensedAmount", "dispensation/treatmentPurpose"),
    *("dispensation/substitution", "dispensation/withinBenefits", "dispensation/cancelled", "substitution/prescribedNplId"),
    *("medicine/nplPackId", "medicine/atcCode", "medicine/atcText", "medicine/activeSubstance", "medicine/strength"),
    *("medicine/packageText", "medicine/marketingAuthorisationHolder", "prescription/prescriptionId"),
    *("prescription/validTo", "prescription/dispensationsLeft", "prescriber/hsaId", "prescriber/role"),
    *("prescriber/unitHSAId", "prescriber/unitTelecom", "pharmacy/city", "pharmacy/telecom", "cancelled/reason"),
}  # fmt: skip
REPEATED = {"dispensation", "medicine/activeSubstance", "result/infoCode"}
CLOSED = {"accessBasis", "result"}
"""Groups that other namespaces add nothing to."""

A_DAY = ("20260229", "20261231"), ("2026-01-01", "20261301", "20260100", "202601", "18991231", "", "20260101120000")
NPL = ("00000000000000",), ("2099010100010", "209901010001033", "2099010100010x", "", "٢٠٩٩٠١٠١٠٠٠١٠٣")
ANYTHING = ("", "å", "a" * 5000), ()
HSA_ID = ("SE2321000016-1003", "x"), ("",)
VALUES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "start": A_DAY,
    "end": A_DAY,
    "dispensedDate": A_DAY,
    "prescribedDate": A_DAY,
    "validTo": A_DAY,
    "cancelled/date": A_DAY,
    "nplId": NPL,
    "nplPackId": NPL,
    "prescribedNplId": NPL,
    "personHSAId": HSA_ID,
    "careUnitHSAId": HSA_ID,
    "careGiverHSAId": HSA_ID,
    "hsaId": HSA_ID,
    "unitHSAId": HSA_ID,
    "atcCode": (("C", "C10", "C10A", "C10AA", "C10AA05"), ("", "c10", "C1", "C10AA5", "C10AA055", "10AA05", "C10AÅ05")),
    "numberOfPackages": (("1", "20"), ("0", "-1", "1.5", "ett", "")),
    "dispensationsLeft": (("0", "3"), ("-1", "1.5", "")),
    "value": (("98", "0.5", "-1"), ("0,5", "många", "")),
    "withinBenefits": (("true", "false", "1"), ("ja", "TRUE", "")),
    "wayOfDispensing": (("PACKAGE", "MULTI_DOSE"), ("package", "", "DOSE")),
    "kind": (("EXCHANGED", "DECLINED_BY_PATIENT", "OPPOSED_BY_PRESCRIBER", "OPPOSED_BY_PHARMACIST"), ("", "exchanged")),
    "resultCode": (("OK", "INFO", "ERROR"), ("ok", "", "WARNING")),
    "errorCode": (("INVALID_REQUEST", "NO_CONSENT"), ("", "EMERGENCY_ACCESS")),
    "infoCode": (("EMERGENCY_ACCESS", "PATIENT_DECEASED"), ("", "NO_CONSENT")),
    "reason": (("Medvetslös.", " å ", "a" * 1000), ()),
    "emergency/reason": (("Medvetslös.", "två\nrader"), ("", "   ", "\n", "a" * 1001)),
}


def _variants() -> Iterator[tuple[Message, etree._Element]]:
    """The samples, and messages with what a sample cannot hold at the same time."""
    for message in samples.MESSAGES:
        yield message, read(samples.sample_file(MEDICINES, message).read_bytes())
    request = read(samples.sample_file(MEDICINES, "request").read_bytes())
    consent = request.find(".//{*}consent")
    assert consent is not None
    etree.SubElement(consent, f"{CORE}consentId").text = "LF-S-20260112-0001"
    yield "request", request
    emergency = copy.deepcopy(request)
    basis = emergency.find("{*}accessBasis")
    assert basis is not None
    del basis[:]
    etree.SubElement(etree.SubElement(basis, f"{CORE}emergency"), f"{CORE}reason").text = "Medvetslös efter fall."
    yield "request", emergency
    refused = read(samples.sample_file(MEDICINES, "response").read_bytes())
    for one in refused.findall("{*}dispensation"):
        refused.remove(one)
    for path, text in (("{*}result/{*}resultCode", "ERROR"), ("{*}result/{*}infoCode", "NO_CONSENT")):
        found = refused.find(path)
        assert found is not None
        found.text = text
        found.tag = f"{CORE}errorCode" if text == "NO_CONSENT" else found.tag
    yield "response", refused


def read(document: bytes) -> etree._Element:
    payload = read_head(parse_xml(document)).payload
    assert payload is not None
    return copy.deepcopy(payload)  # without the envelope around it


VARIANTS = list(_variants())
each_variant = pytest.mark.parametrize(
    ("message", "payload"), VARIANTS, ids=[f"{message} {number}" for number, (message, _) in enumerate(VARIANTS)]
)


def is_valid(payload: etree._Element) -> bool:
    return compiled().validate(parse_xml(etree.tostring(payload)))


@cache
def compiled() -> etree.XMLSchema:
    return compile_schema(MEDICINES.schema)


def path_of(element: etree._Element) -> str:
    """From the message's root, which is left out: `requester/role/code`."""
    above = [etree.QName(one).localname for one in element.iterancestors()]
    return "/".join([*reversed(above[:-1]), etree.QName(element).localname])


def is_one_of(names: set[str], element: etree._Element) -> bool:
    path = path_of(element)
    return any(path == name or path.endswith(f"/{name}") for name in names if "/" in name) or path in names


def each_element(payload: etree._Element) -> Iterator[tuple[str, etree._Element, etree._Element]]:
    """For every element below the root its path, a copy of the payload, and the element in that copy."""
    for number, element in enumerate(payload.iter(etree.Element)):
        if element is not payload:
            changed = copy.deepcopy(payload)
            yield path_of(element), changed, list(changed.iter(etree.Element))[number]


def parent_of(element: etree._Element) -> etree._Element:
    parent = element.getparent()
    assert parent is not None
    return parent


def test_these_tests_are_about_every_contract_of_our_own() -> None:
    assert set(OWN) == {MEDICINES.short_name}


@each_variant
def test_message_is_valid(message: Message, payload: etree._Element) -> None:
    assert is_valid(payload)


def test_messages_hold_every_element_that_the_schemas_declare() -> None:
    files = [MEDICINES.schema, *(file for _, file in imported_files(MEDICINES.schema, MEDICINES.folder))]
    declared = {
        f"{{{root.get('targetNamespace')}}}{element.get('name')}"
        for root in map(read_contract_file, files)
        for element in root.iter(f"{{{namespaces.XML_SCHEMA}}}element")
    }
    assert declared == set(tags(*(payload for _, payload in VARIANTS)))


@each_variant
def test_element_may_be_left_out_when_it_is_optional_only(message: Message, payload: etree._Element) -> None:
    for path, changed, element in each_element(payload):
        optional = is_one_of(OPTIONAL, element)
        parent_of(element).remove(element)
        assert is_valid(changed) is optional, path


@each_variant
def test_element_may_be_repeated_when_it_is_one_of_several_only(message: Message, payload: etree._Element) -> None:
    for path, changed, element in each_element(payload):
        element.addnext(copy.deepcopy(element))
        assert is_valid(changed) is is_one_of(REPEATED, element), path


@each_variant
def test_element_stands_in_its_place_only(message: Message, payload: etree._Element) -> None:
    for path, changed, element in each_element(payload):
        following = element.getnext()
        if following is not None and following.tag != element.tag:
            following.addnext(element)
            assert not is_valid(changed), path


@each_variant
def test_name_and_namespace_count(message: Message, payload: etree._Element) -> None:
    for path, changed, element in each_element(payload):
        name = etree.QName(element)
        other = MEDICINES.namespace if name.namespace == namespaces.MEDICATION_REGISTER_1 else CORE[1:-1]
        # What could be left out, and now has another namespace, is taken for something that was added.
        is_addition = (
            is_one_of(OPTIONAL, element) and element.getnext() is None and path.rpartition("/")[0] not in CLOSED
        )
        for wrong, taken in (
            (f"{{{other}}}{name.localname}", is_addition),
            (name.localname, False),
            (f"{{{name.namespace}}}{name.localname}s", False),
        ):
            element.tag = wrong
            assert is_valid(changed) is taken, (path, wrong)


@each_variant
def test_other_namespaces_may_add_to_the_end_of_a_group_and_nothing_else_may(
    message: Message, payload: etree._Element
) -> None:
    for path, changed, element in each_element(payload):
        if len(element) == 0 and path != "accessBasis/consent":
            element.append(element.makeelement("{urn:exempel:tillagg:1}extra"))
            assert not is_valid(changed), path
            continue
        for tag, taken in (("{urn:exempel:tillagg:1}extra", path not in CLOSED), (f"{CORE}extra", False)):
            extra = etree.SubElement(element, tag)
            assert is_valid(changed) is taken, (path, tag)
            element.remove(extra)
        if len(element):
            element.insert(0, element.makeelement("{urn:exempel:tillagg:1}extra"))
            assert not is_valid(changed), path


@each_variant
def test_values_are_what_their_types_say(message: Message, payload: etree._Element) -> None:
    for path, changed, element in each_element(payload):
        if len(element) or path == "accessBasis/consent":
            continue
        named = [name for name in VALUES if path == name or path.endswith(f"/{name}")]
        right, wrong = VALUES[max(named, key=len)] if named else ANYTHING
        for text, expected in (*((one, True) for one in right), *((one, False) for one in wrong)):
            element.text = text
            assert is_valid(changed) is expected, (path, text)


@each_variant
def test_no_element_has_attributes(message: Message, payload: etree._Element) -> None:
    for path, changed, element in each_element(payload):
        element.set("extra", "1")
        assert not is_valid(changed), path


@pytest.fixture(scope="module")
def second_opinion() -> XMLSchema10:
    return load_schema(MEDICINES)


@each_variant
def test_two_readers_of_the_schema_agree_on_mutants(
    message: Message, payload: etree._Element, second_opinion: XMLSchema10
) -> None:
    """A schema that libraries read differently would let a message pass one platform and not the next."""
    mutator = Mutator(payload, tags(*(one for _, one in VARIANTS)))
    verdicts = set()
    for seed in range(MUTANTS // len(VARIANTS)):
        mutant = mutator.mutant(seed)
        etree.strip_tags(mutant, etree.Comment)  # xmlschema takes text with a comment in it for none
        verdict = compiled().validate(mutant)
        assert second_opinion.is_valid(mutant) is verdict, etree.tostring(mutant, encoding="unicode")
        verdicts.add(verdict)
    assert verdicts == {True, False}


def test_the_registers_contract_is_named_as_those_of_riv_ta_are() -> None:
    assert MEDICINES.namespace == namespaces.GET_DISPENSED_MEDICINES_1
    assert MEDICINES.soap_action == f"{MEDICINES.namespace}:GetDispensedMedicines"
    assert [profile for profile, _ in MEDICINES.wsdls] == [Profile.RIVTABP21]
