"""Messages made from samples: about the right person, and asking for everything."""

import shutil
from pathlib import Path

import pytest
from lxml import etree

from rivta import shipped
from rivta.contracts import samples
from rivta.contracts.domain import Contract, read_domain
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators
from rivta.soap.head import read_head
from rivta.soap.identifiers import Profile
from rivta.soap.xml import parse_xml
from tests.contracts.releases import contract_of

SHIPPED = shipped.folder("contracts") / "xsd"
CONTRACTS = Contracts.load(SHIPPED)
VALIDATORS = Validators(CONTRACTS)
DIAGNOSIS = CONTRACTS.find("GetDiagnosis:2")

each_contract = pytest.mark.parametrize(
    "contract", list(CONTRACTS), ids=[contract.short_name for contract in CONTRACTS]
)


def texts(payload: bytes, local_name: str) -> set[str | None]:
    return {element.text for element in parse_xml(payload).iter(f"{{*}}{local_name}")}


@each_contract
@pytest.mark.parametrize("patient", [None, "198507099805", "197010632391"])
def test_request_and_response_are_valid(contract: Contract, patient: str | None) -> None:
    assert VALIDATORS.check(contract, parse_xml(samples.request(contract, patient)), "request").valid
    assert VALIDATORS.check(contract, parse_xml(samples.response(contract, patient)), "response").valid


def test_request_and_response_may_be_about_a_patient_with_a_local_reserve_number() -> None:
    assert VALIDATORS.check(DIAGNOSIS, parse_xml(samples.request(DIAGNOSIS, "TNX-19850709-1")), "request").valid
    assert VALIDATORS.check(DIAGNOSIS, parse_xml(samples.response(DIAGNOSIS, "TNX-19850709-1")), "response").valid


@pytest.mark.parametrize("patient", ["198507099805", "197010632391", "TNX-19850709-1"])
def test_whom_a_request_is_about_is_found_where_the_sample_has_its_test_person(patient: str) -> None:
    asked = parse_xml(samples.request(DIAGNOSIS, patient))
    assert samples.patient_of(DIAGNOSIS, asked) == patient


def test_without_a_sample_a_request_is_about_the_first_personal_number_in_it(tmp_path: Path) -> None:
    contract = contract_of(tmp_path, '<xs:element name="question" maxOccurs="9"/>')
    asked = (
        f'<Ask xmlns="{contract.namespace}"><question>20240101120000</question><question>198507099805</question></Ask>'
    )
    assert samples.patient_of(contract, parse_xml(asked.encode())) == "198507099805"
    assert samples.patient_of(contract, parse_xml(asked.replace("198507099805", "no number").encode())) is None


def test_request_asks_for_everything_about_the_patient() -> None:
    payload = parse_xml(samples.request(DIAGNOSIS))
    assert [etree.QName(child).localname for child in payload] == ["patientId"]


def test_mandatory_elements_of_a_request_stay() -> None:
    payload = parse_xml(samples.request(CONTRACTS.find("PingForConfiguration")))
    assert [etree.QName(child).localname for child in payload] == ["serviceContractNamespace", "logicalAddress"]


@pytest.mark.parametrize(
    ("patient", "kind"),
    [
        ("198507099805", "1.2.752.129.2.1.3.1"),
        ("197010632391", "1.2.752.129.2.1.3.3"),
        ("TNX-19850709-1", "1.2.752.129.2.1.3.1"),
    ],
    ids=["personal number", "coordination number", "another kind: left as it was"],
)
def test_id_and_its_kind_are_those_of_the_patient(patient: str, kind: str) -> None:
    for payload in (samples.request(DIAGNOSIS, patient), samples.response(DIAGNOSIS, patient)):
        assert (texts(payload, "id"), texts(payload, "type")) == ({patient}, {kind})


def test_id_with_markup_in_it_stays_text() -> None:
    assert texts(samples.request(DIAGNOSIS, "<b>&'\"</b>"), "id") == {"<b>&'\"</b>"}


@pytest.mark.parametrize("profile", Profile)
def test_envelope_is_addressed_as_the_profile_has_it(profile: Profile) -> None:
    head = read_head(parse_xml(samples.envelope(samples.request(DIAGNOSIS), "SE2321000016-KS", profile)))
    assert (head.profile, head.logical_address, head.contract) == (profile, "SE2321000016-KS", DIAGNOSIS.namespace)


def test_payload_with_declaration_and_other_charset_fits_in_an_envelope() -> None:
    payload = '<?xml version="1.0" encoding="iso-8859-1"?><a xmlns="urn:x">å</a>'.encode("latin-1")
    head = read_head(parse_xml(samples.envelope(payload, "X")))
    assert head.payload is not None
    assert head.payload.text == "å"


def test_contract_without_a_sample_says_which_file_is_missing(tmp_path: Path) -> None:
    shutil.copytree(DIAGNOSIS.folder, tmp_path / "domain", ignore=shutil.ignore_patterns("samples"))
    contract = next(one for one in read_domain(tmp_path / "domain") if one.name == "GetDiagnosis")
    with pytest.raises(
        FileNotFoundError, match=r"GetDiagnosis:2 came without a sample request: .*GetDiagnosis_2\.0\.request\.xml"
    ):
        samples.request(contract)
