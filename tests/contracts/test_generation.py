"""Messages from a schema alone: always valid, the same for the same seed, about the test person."""

import os
import re
from pathlib import Path

import pytest

from rivta import shipped
from rivta.contracts.domain import Contract, ContractFileError, read_domain
from rivta.contracts.generation import CannotGenerate, generate
from rivta.contracts.installed import Contracts
from rivta.contracts.samples import PATIENT
from rivta.contracts.validation import Validators, compile_schema
from rivta.soap.xml import parse_xml
from tests.contracts.releases import contract_of

CONTRACTS = tuple(Contracts.load(shipped.folder("contracts") / "xsd"))
DIAGNOSIS = next(contract for contract in CONTRACTS if contract.short_name == "GetDiagnosis:2")

MESSAGES = [
    pytest.param(contract, root, id=f"{contract.short_name}.{root.rpartition('}')[2]}")
    for contract in CONTRACTS
    for root in (*contract.requests, *contract.responses)
]


@pytest.mark.parametrize(("contract", "root"), MESSAGES)
def test_message_of_every_shipped_contract_is_valid(contract: Contract, root: str) -> None:
    judge = compile_schema(contract.schema)
    for seed in range(3):
        message = parse_xml(generate(contract, root, seed=seed))
        assert message.tag == root
        assert judge.validate(message), judge.error_log


@pytest.mark.contracts
def test_message_of_every_official_contract_is_valid() -> None:
    folder = os.environ.get("RIVTA_OFFICIAL_CONTRACTS")
    if not folder:
        pytest.skip("RIVTA_OFFICIAL_CONTRACTS does not name the folder of the official schemas")
    official = [contract for domain in sorted(Path(folder).iterdir()) for contract in read_domain(domain)]
    assert len(official) >= 20
    for contract in official:
        judge = compile_schema(contract.schema)
        for root in (*contract.requests, *contract.responses):
            for seed in range(2):
                assert judge.validate(parse_xml(generate(contract, root, seed=seed))), (contract.short_name, seed)


def test_same_seed_gives_the_same_message_and_another_seed_another() -> None:
    first, again, other = (generate(DIAGNOSIS, DIAGNOSIS.response, seed=seed) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_it_is_about_the_test_person() -> None:
    message = parse_xml(generate(DIAGNOSIS, DIAGNOSIS.request, seed=1))
    patient = message.find("{*}patientId")
    assert patient is not None
    assert [child.text for child in patient] == [PATIENT, "1.2.752.129.2.1.3.1"]


def test_it_fits_what_validators_say(tmp_path: Path) -> None:
    payload = parse_xml(generate(DIAGNOSIS, DIAGNOSIS.response, seed=3))
    assert Validators(Contracts([DIAGNOSIS])).check(DIAGNOSIS, payload, "response").valid


ODD_TYPES = {
    "pattern": '<xs:restriction base="xs:string"><xs:pattern value="[A-Z]{2}\\d{3,4}-(x|y)?"/></xs:restriction>',
    "pattern with categories": r'<xs:restriction base="xs:string"><xs:pattern value="\p{Lu}\p{L}{2,5}\s\d+[^0-9\s]"/></xs:restriction>',
    "two patterns": '<xs:restriction base="xs:string"><xs:pattern value="a+"/><xs:pattern value="b+"/></xs:restriction>',
    "pattern and length": '<xs:restriction base="xs:string"><xs:maxLength value="3"/><xs:pattern value="a*"/></xs:restriction>',
    "name characters": r'<xs:restriction base="xs:string"><xs:pattern value="\i\c*"/></xs:restriction>',
    "enumeration": '<xs:restriction base="xs:string"><xs:enumeration value="a b"/><xs:enumeration value=""/></xs:restriction>',
    "numbers by enumeration": '<xs:restriction base="xs:int"><xs:enumeration value="7"/></xs:restriction>',
    "length": '<xs:restriction base="xs:string"><xs:length value="9"/></xs:restriction>',
    "long text": '<xs:restriction base="xs:string"><xs:minLength value="300"/></xs:restriction>',
    "short text": '<xs:restriction base="xs:token"><xs:maxLength value="1"/></xs:restriction>',
    "large number": '<xs:restriction base="xs:integer"><xs:minInclusive value="1000000"/></xs:restriction>',
    "negative number": '<xs:restriction base="xs:int"><xs:maxExclusive value="-5"/></xs:restriction>',
    "decimals": '<xs:restriction base="xs:decimal"><xs:totalDigits value="4"/><xs:fractionDigits value="2"/></xs:restriction>',
    "small decimals": '<xs:restriction base="xs:decimal"><xs:minExclusive value="0"/><xs:maxInclusive value="1"/></xs:restriction>',
    "unsigned byte": '<xs:restriction base="xs:unsignedByte"/>',
    "date since": '<xs:restriction base="xs:date"><xs:minInclusive value="2040-01-01"/></xs:restriction>',
    "bytes": '<xs:restriction base="xs:base64Binary"><xs:length value="5"/></xs:restriction>',
    "hexadecimal bytes": '<xs:restriction base="xs:hexBinary"><xs:minLength value="20"/></xs:restriction>',
    "duration": '<xs:restriction base="xs:duration"/>',
    "year and month": '<xs:restriction base="xs:gYearMonth"/>',
    "uri": '<xs:restriction base="xs:anyURI"><xs:maxLength value="20"/></xs:restriction>',
    "union": '<xs:union memberTypes="xs:int"><xs:simpleType><xs:restriction base="xs:string"><xs:enumeration value="none"/></xs:restriction></xs:simpleType></xs:union>',
    "list": '<xs:restriction><xs:simpleType><xs:list itemType="xs:int"/></xs:simpleType><xs:length value="3"/></xs:restriction>',
    "restriction of a restriction": '<xs:restriction><xs:simpleType><xs:restriction base="xs:string"><xs:pattern value="\\d+"/></xs:restriction></xs:simpleType><xs:maxLength value="2"/></xs:restriction>',
}


def test_rare_letters_and_endless_repetition_are_avoided(tmp_path: Path) -> None:
    odd = r'<xs:restriction base="xs:string"><xs:pattern value="\p{Lu}\p{L}*[\s]\d+[\i]{2,}"/></xs:restriction>'
    contract = contract_of(tmp_path, f'<xs:element name="value"><xs:simpleType>{odd}</xs:simpleType></xs:element>')
    (value,) = parse_xml(generate(contract, contract.request, seed=1))
    assert re.fullmatch(r"[A-ZÅÄÖ][A-ZÅÄÖa-zåäö]{0,8} \d{1,8}[A-Za-z_]{2,10}", value.text or "")


@pytest.mark.parametrize("definition", ODD_TYPES.values(), ids=ODD_TYPES)
def test_text_fits_its_type(definition: str, tmp_path: Path) -> None:
    contract = contract_of(
        tmp_path, f'<xs:element name="value"><xs:simpleType>{definition}</xs:simpleType></xs:element>'
    )
    for seed in range(5):
        generate(contract, contract.request, seed=seed)


ODD_MODELS = {
    "choice": '<xs:choice maxOccurs="3"><xs:element name="a" type="xs:int"/><xs:element name="b" type="xs:date"/></xs:choice>',
    "choice of sequences": '<xs:choice><xs:sequence><xs:element name="a"/><xs:element name="b"/></xs:sequence><xs:element name="c"/></xs:choice>',
    "repeated sequence": '<xs:sequence minOccurs="2" maxOccurs="4"><xs:element name="a"/><xs:element name="b" minOccurs="0"/></xs:sequence>',
    "many": '<xs:element name="a" minOccurs="12" maxOccurs="40" type="xs:int"/>',
    "never": '<xs:element name="a" minOccurs="0" maxOccurs="0"/>',
    "itself": '<xs:element name="a" type="t:Tree" minOccurs="0" maxOccurs="unbounded"/>',
    "itself, in a choice": '<xs:element name="a" type="t:Either"/>',
    "attributes": '<xs:element name="a" type="t:Marked"/>',
    "fixed": '<xs:element name="a" type="xs:string" fixed="always"/>',
    "default": '<xs:element name="a" type="xs:int" default="4"/>',
    "text with an attribute": '<xs:element name="a"><xs:complexType><xs:simpleContent><xs:extension base="xs:decimal"><xs:attribute name="unit" type="xs:token" use="required"/></xs:extension></xs:simpleContent></xs:complexType></xs:element>',
    "one that stands in": '<xs:element ref="t:Head"/>',
    "an abstract type": '<xs:element name="a" type="t:Base"/>',
    "what another schema says": '<xs:any namespace="##other" processContents="lax" minOccurs="1" maxOccurs="2"/>',
    "what nobody checks": '<xs:any namespace="urn:x urn:y" processContents="skip"/>',
    "its own again": '<xs:any namespace="##targetNamespace" processContents="strict"/>',
    "mixed": '<xs:element name="a"><xs:complexType mixed="true"><xs:sequence><xs:element name="b"/></xs:sequence></xs:complexType></xs:element>',
    "nillable": '<xs:element name="a" type="xs:int" nillable="true"/>',
    "all": '<xs:element name="a"><xs:complexType><xs:all><xs:element name="b" minOccurs="0"/><xs:element name="c"/></xs:all></xs:complexType></xs:element>',
    "empty": '<xs:element name="a"><xs:complexType/></xs:element>',
    "ids": '<xs:element name="a" type="xs:ID" maxOccurs="unbounded"/><xs:element name="b" type="xs:IDREF"/>',
}  # fmt: skip
TYPES = """
<xs:complexType name="Tree"><xs:sequence><xs:element name="leaf"/><xs:element name="a" type="t:Tree" minOccurs="0" maxOccurs="unbounded"/></xs:sequence></xs:complexType>
<xs:complexType name="Either"><xs:choice><xs:element name="deeper" type="t:Either"/><xs:element name="end" type="xs:int"/></xs:choice></xs:complexType>
<xs:complexType name="Marked"><xs:attribute name="must" type="xs:date" use="required"/><xs:attribute name="may" type="xs:int"/><xs:attribute name="is" fixed="x" use="required"/><xs:attribute name="not" use="prohibited"/></xs:complexType>
<xs:element name="Head" abstract="true"/><xs:element name="Body" substitutionGroup="t:Head" type="xs:int"/>
<xs:complexType name="Base" abstract="true"><xs:sequence><xs:element name="b"/></xs:sequence></xs:complexType>
<xs:complexType name="Derived"><xs:complexContent><xs:extension base="t:Base"><xs:sequence><xs:element name="d"/></xs:sequence></xs:extension></xs:complexContent></xs:complexType>
"""


@pytest.mark.parametrize("content", ODD_MODELS.values(), ids=ODD_MODELS)
def test_elements_stand_as_their_model_has_them(content: str, tmp_path: Path) -> None:
    contract = contract_of(tmp_path, content, types=TYPES)
    for seed in range(5):
        generate(contract, contract.request, seed=seed)


LONG_TEXT = '<xs:element name="a"><xs:simpleType><xs:restriction base="xs:string">{}</xs:restriction></xs:simpleType></xs:element>'


@pytest.mark.parametrize(
    ("content", "types", "reason"),
    [
        ('<xs:element name="a" type="t:E"/>', '<xs:complexType name="E"><xs:sequence><xs:element name="a" type="t:E"/></xs:sequence></xs:complexType>', "nested without end"),
        ('<xs:element name="a" minOccurs="100000" maxOccurs="unbounded"/>', "", "more than 5000 elements"),
        ('<xs:element ref="t:H"/>', '<xs:element name="H" abstract="true"/>', "is abstract"),
        ('<xs:element name="a"><xs:simpleType><xs:restriction base="xs:string"><xs:minLength value="2"/><xs:pattern value="x"/></xs:restriction></xs:simpleType></xs:element>', "", "no valid Ask was found in 50 tries: .*minLength"),
        (LONG_TEXT.format('<xs:minLength value="1000000000"/>'), "", "at least 1000000000 characters; at most 10000 are made"),
        (LONG_TEXT.format('<xs:pattern value="a{1000000}"/>'), "", "may have over 10000 characters"),
        (LONG_TEXT.format('<xs:pattern value="((a{1,90}){1,90}){1,90}"/>'), "", "may have over 10000 characters"),
        (LONG_TEXT.format('<xs:pattern value="a{200}"/>'), "", "no text was found for a pattern"),
    ],
    ids=["without end", "giant", "abstract", "contradiction", "long text", "long pattern", "deep pattern", "odd pattern"],
)  # fmt: skip
def test_what_no_message_can_be_made_of_is_said(tmp_path: Path, content: str, types: str, reason: str) -> None:
    contract = contract_of(tmp_path, content, types=types)
    with pytest.raises(CannotGenerate, match=reason):
        generate(contract, contract.request, seed=1)


def test_element_that_is_not_there_and_a_broken_schema_are_said(tmp_path: Path) -> None:
    contract = contract_of(tmp_path, '<xs:element name="a"/>')
    with pytest.raises(LookupError, match="Nothing is not defined in the schema of Ask:1"):
        generate(contract, "{urn:x}Nothing", seed=1)
    contract.schema.write_text(contract.schema.read_text().replace('name="a"', 'name="a" type="t:Missing"'))
    with pytest.raises(ContractFileError, match="is not a valid schema"):
        generate(contract, contract.request, seed=1)
