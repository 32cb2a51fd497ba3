"""Reasons: plain, in their place, and without the message's values where others read them."""

import random
import time
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from rivta.contracts import samples
from rivta.contracts.domain import Contract
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Message, Validators, compile_schema
from rivta.contracts.verdict import Verdict
from rivta.soap.head import read_head
from rivta.soap.xml import parse_xml
from tests.contracts.mutants import Mutator, tags
from tests.contracts.releases import contract_of

CONTRACTS = Contracts.shipped()
DIAGNOSIS = CONTRACTS.find("GetDiagnosis")
VALIDATORS = Validators(CONTRACTS)
MESSAGES: tuple[Message, ...] = ("request", "response")
ENVELOPES = {
    (contract.short_name, message): samples.sample_file(contract, message).read_bytes()
    for contract in CONTRACTS
    for message in MESSAGES
}


def explain(old: str, new: str, *, message: Message = "response") -> Verdict:
    """The verdict on the sample with one text changed, the first time it occurs."""
    text = ENVELOPES["GetDiagnosis:2", message].decode()
    assert old in text
    return VALIDATORS.check_document(parse_xml(text.replace(old, new, 1).encode()))[2]


DATE = r"(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])"
ID = "<d:id>191212121212</d:id>"


@pytest.mark.parametrize(
    ("old", "new", "path", "reason", "private"),
    [
        (">Huvuddiagnos<", ">Huvud<", "d:typeOfDiagnosis", "'Huvud' is not one of Huvuddiagnos, Bidiagnos", "'<5 letters>' is not one of Huvuddiagnos, Bidiagnos"),
        (">true</d:approved", ">ja</d:approved", "d:approvedForPatient", "'ja' is not a valid xs:boolean", "'<2 letters>' is not a valid xs:boolean"),
        (">true</d:approved", "></d:approved", "d:approvedForPatient", "'' is not a valid xs:boolean", "an empty value is not a valid xs:boolean"),
        (ID, "", "d:type", "d:type is not expected here; expected d:id", None),
        (ID, ID + ID, "d:id[2]", "d:id is not expected here; expected d:type", None),
        ("<d:type>1.2.752.129.2.1.3.1</d:type>", "", "d:patientId", "d:type is missing", None),
        (ID, '<d:id kind="191212121212">1</d:id>', "d:id", "attribute not allowed: kind", "an attribute is not allowed here"),
        (ID, "<d:id><b/></d:id>", "d:id", "only text is allowed here, no elements", None),
        (ID, ID + "191212121212", "d:patientId", "text between the elements is not allowed", None),
        (ID, "<d:pnr191212121212/>" + ID, "*[1]", "d:pnr191212121212 is not expected here; expected d:id", "an element unknown to the contract is not expected here; expected d:id"),
        (ID, '<d:id xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"/>', "d:id", "xsi:nil is not allowed here", None),
        (ID, '<d:id xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="p191212121212">1</d:id>', "d:id", None, "'<1 digit>' does not fit the schema (SCHEMAV_CVC_ELT_4_2)"),
    ],
    ids=["enumeration", "boolean", "empty", "missing before", "repeated", "missing last", "attribute", "element in text", "text between", "unknown element", "nil", "xsi:type"],
)  # fmt: skip
def test_violation_says_where_and_why(old: str, new: str, path: str, reason: str | None, private: str | None) -> None:
    (violation,) = explain(old, new).violations
    assert violation.path.startswith("/soapenv:Envelope/soapenv:Body/r:GetDiagnosisResponse/r:diagnosis[1]/")
    assert violation.path.endswith(f"/{path}")
    assert reason is None or violation.reason == reason
    assert violation.private_reason == (private or reason)


def test_pattern_is_told_with_what_it_means() -> None:
    (violation,) = explain("<d:start>20230101</d:start>", "<d:start>2023-01-01</d:start>", message="request").violations
    assert violation.reason == f"'2023-01-01' does not match the pattern {DATE} (A day: YYYYMMDD)"
    assert violation.private_reason == f"'<10 characters>' does not match the pattern {DATE} (A day: YYYYMMDD)"


def test_long_value_is_cut_for_its_sender() -> None:
    (violation,) = explain(">Huvuddiagnos<", f">{'å' * 500}<").violations
    assert violation.reason.startswith(f"'{'å' * 60}…' is not one of")
    assert violation.private_reason.startswith("'<500 letters>' is not one of")


def test_what_follows_an_unexpected_element_is_checked_too() -> None:
    text = ENVELOPES["GetDiagnosis:2", "response"].decode()
    text = text.replace(ID, ID + ID, 1).replace(">true</d:approved", ">ja</d:approved", 1)
    text = text.replace("<d:documentId>", "<d:documentId/><d:documentId>", 1)
    verdict = VALIDATORS.check_document(parse_xml(text.encode()))[2]
    assert [violation.path.rpartition("/")[2] for violation in verdict.violations] == [
        "d:documentId[2]",
        "d:id[2]",
        "d:approvedForPatient",
    ]


def test_at_most_twenty_violations_are_told() -> None:
    text = (
        ENVELOPES["GetDiagnosis:2", "response"]
        .replace(b"<d:code>", b'<d:code x="1">')
        .replace(b"<d:id>", b'<d:id x="1">')
    )
    text = text.replace(b"<d:displayName>", b'<d:displayName x="1">')
    assert len(VALIDATORS.check_document(parse_xml(text))[2].violations) == 20


def test_line_is_that_of_the_message_also_beyond_65535() -> None:
    text = ENVELOPES["GetDiagnosis:2", "request"].replace(b"  <soapenv:Body>", b"\n" * 70_000 + b"  <soapenv:Body>")
    text = text.replace(b">20230101<", b">x<")
    (violation,) = VALIDATORS.check_document(parse_xml(text))[2].violations
    assert violation.line == text[: text.index(b">x<")].count(b"\n") + 1


def test_message_too_large_to_be_worded_still_has_its_place() -> None:
    head, _, tail = ENVELOPES["GetDiagnosis:2", "request"].partition(b"<r:careContactId>")
    text = head + b"<r:careContactId>1</r:careContactId>\n" * 6000 + b"<r:careContactId a='191212121212'>" + tail
    (violation,) = VALIDATORS.check_document(parse_xml(text))[2].violations
    assert violation.path.endswith("/r:careContactId[6001]")
    assert violation.reason == "The attribute 'a' is not allowed."
    assert violation.private_reason.endswith("does not fit the schema (SCHEMAV_CVC_TYPE_3_1_1)")


def test_a_message_that_is_wrong_throughout_is_told_in_time() -> None:
    """Asked of the tree, libxml2 would take seconds to decide, and as long to say why, while others wait."""
    head, _, tail = ENVELOPES["GetDiagnosis:2", "request"].partition(b"<r:careContactId>")
    text = head + b"<r:careContactId><r:x/></r:careContactId>" * 40_000 + b"<r:careContactId>" + tail
    began = time.process_time()
    verdict = VALIDATORS.check_document(parse_xml(text))[2]
    assert time.process_time() - began < 5
    assert len(verdict.violations) == 20
    assert verdict.violations[-1].path.endswith("/r:careContactId[20]")


def test_default_namespace_gets_a_prefix_in_paths() -> None:
    text = f"""<GetDiagnosis xmlns="{DIAGNOSIS.namespace}"><patientId>
      <id xmlns="urn:riv:clinicalprocess:healthcond:description:2">1</id></patientId></GetDiagnosis>"""
    verdict = VALIDATORS.check(DIAGNOSIS, root := parse_xml(text.encode()), "request")
    (violation,) = verdict.violations
    assert violation.path == "/ns2:GetDiagnosis/ns2:patientId"
    assert violation.reason == "ns1:type is missing"
    assert root.xpath(violation.path, namespaces=dict(verdict.namespaces)) == [root[0]]


def test_deep_extension_is_explained_without_giving_up() -> None:
    deep = "<x>" * 150 + "</x>" * 150
    (violation,) = explain(
        ">Huvuddiagnos<", f'>Huvud</d:typeOfDiagnosis><e xmlns="urn:e">{deep}</e><d:typeOfDiagnosis><'
    ).violations[:1]
    assert violation.path.endswith("/d:typeOfDiagnosis[1]")


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("contract", list(CONTRACTS), ids=[contract.short_name for contract in CONTRACTS])
def test_mutants_are_told_where_lxml_finds_them_and_each_path_finds_one_element(
    contract: Contract, message: Message
) -> None:
    schema = compile_schema(contract.schema)
    for seed in range(60):
        root = parse_xml(ENVELOPES[contract.short_name, message])
        payload = read_head(root).payload
        assert payload is not None
        mutant = Mutator(payload, tags(payload)).mutant(seed)
        payload.getparent().replace(payload, mutant)
        root = parse_xml(etree.tostring(root.getroottree()))
        payload = read_head(root).payload
        if payload is None or payload.tag not in (contract.request, contract.response):
            continue
        verdict = VALIDATORS.check(contract, payload, message)
        assert verdict.valid == schema.validate(payload), seed
        assert bool(verdict.violations) != verdict.valid, seed
        found: list[Any] = [root.xpath(one.path, namespaces=dict(verdict.namespaces)) for one in verdict.violations]
        assert [[one.line] for one in verdict.violations] == [
            [element.sourceline for element in each] for each in found
        ], seed
        if len(verdict.violations) < 20:
            told = {one.line for one in verdict.violations}
            assert {entry.line for entry in schema.error_log} <= told, seed  # type: ignore[attr-defined]


# Upper case, digits and marks that could break a template or a quotation; our own words are lower case.
VALUES = st.text("ABCÅÄÖ0123456789{}'<>&%\"$", min_size=5, max_size=30)


@settings(max_examples=400)
@given(
    which=st.sampled_from([(contract, message) for contract in CONTRACTS for message in MESSAGES]),
    values=st.lists(VALUES, min_size=1, max_size=6),
    digits=st.from_regex(r"\A[0-9]{6,12}\Z"),
    seed=st.integers(0, 2**32),
)
def test_no_value_of_the_message_reaches_a_private_reason_or_a_path(
    which: tuple[Contract, Message], values: list[str], digits: str, seed: int
) -> None:
    contract, message = which
    root = parse_xml(
        ENVELOPES[contract.short_name, message].replace(b"xmlns:d=", f'xmlns:p{digits}="urn:p" xmlns:d='.encode())
    )
    payload = read_head(root).payload
    assert payload is not None
    plant(payload, [*values, digits], random.Random(seed))
    verdict = VALIDATORS.check(contract, payload, message)
    told = "\n".join(f"{one.path} {one.private_reason}" for one in verdict.violations)
    assert [value for value in (*values, digits) if value in told] == []


def plant(payload: etree._Element, values: list[str], dice: random.Random) -> None:
    """Puts each value somewhere: as text, between elements, in an attribute, as a name or in an xsi:type."""
    xsi = "http://www.w3.org/2001/XMLSchema-instance"
    namespace = etree.QName(payload).namespace
    for value in values:
        element = dice.choice(list(payload.iter(etree.Element)))
        name = "x" + "".join(filter(str.isalnum, value))
        dice.choice(
            [
                partial(setattr, element, "text", value),
                partial(setattr, element, "tail", value),
                partial(element.set, "a", value),
                partial(element.set, name, value),
                partial(element.set, f"{{{xsi}}}type", value),
                partial(element.set, f"{{{xsi}}}nil", value),
                partial(element.append, element.makeelement(f"{{{namespace}}}{name}")),
                partial(element.append, element.makeelement(f"{{urn:{quote(name)}}}{name}")),
                partial(element.append, etree.Comment(name)),
            ]
        )()


def test_schema_below_a_folder_with_a_percent_sign_is_explained_too(tmp_path: Path) -> None:
    contract = contract_of(tmp_path / "100%20 å", '<xs:element name="question" type="xs:int"/>')
    verdict = Validators(Contracts([contract])).check(
        contract, parse_xml(f'<Ask xmlns="{contract.namespace}"><question>x</question></Ask>'.encode()), "request"
    )
    assert [one.reason for one in verdict.violations] == ["'x' is not a valid xs:int"]
