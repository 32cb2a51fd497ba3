"""What fits a contract and what does not: payloads, headers, whole documents, and many threads at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lxml import etree

from rivta import shipped
from rivta.contracts import samples
from rivta.contracts.domain import ContractFileError
from rivta.contracts.installed import Contracts, UnknownContract
from rivta.contracts.validation import Message, Validators, check_fault, compile_schema, fault_in
from rivta.contracts.verdict import Verdict
from rivta.soap.head import read_head
from rivta.soap.identifiers import Profile
from rivta.soap.xml import parse_xml

SHIPPED = shipped.folder("contracts") / "xsd"
CONTRACTS = Contracts.load(SHIPPED)
DIAGNOSIS = CONTRACTS.find("GetDiagnosis")
VALIDATORS = Validators(CONTRACTS)
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"


def payload(message: Message = "request") -> etree._Element:
    return parse_xml(samples.request(DIAGNOSIS) if message == "request" else samples.response(DIAGNOSIS))


def check_with_header(entry: str, message: Message = "request") -> Verdict:
    """The verdict on a sound payload under a header that holds `entry`."""
    header = parse_xml(
        f"""<s:Header xmlns:s="{SOAP}" xmlns:h="urn:riv:interoperability:headers:1"
          xmlns:r="urn:riv:itintegration:registry:1"
          xmlns:r2="urn:riv:infrastructure:itintegration:registry:2">{entry}</s:Header>""".encode()
    )
    return VALIDATORS.check(DIAGNOSIS, payload(message), message, header)


@pytest.mark.parametrize("message", ["request", "response"])
def test_sound_message_is_valid(message: Message) -> None:
    assert VALIDATORS.check(DIAGNOSIS, payload(message), message) == Verdict(valid=True)


def test_response_sent_as_request_is_a_violation() -> None:
    (violation,) = VALIDATORS.check(DIAGNOSIS, payload("response"), "request").violations
    assert violation.path == "/r:GetDiagnosisResponse"
    assert violation.reason == "r:GetDiagnosisResponse is the contract's response; expected its request r:GetDiagnosis"


def test_request_sent_as_response_is_a_violation() -> None:
    (violation,) = VALIDATORS.check(DIAGNOSIS, payload("request"), "response").violations
    assert violation.reason == "r:GetDiagnosis is the contract's request; expected its response r:GetDiagnosisResponse"


def test_element_that_the_contract_lacks_is_a_violation_and_named_to_its_sender_only() -> None:
    foreign = parse_xml(f'<GetDiagnoses19121212 xmlns="{DIAGNOSIS.namespace}"/>'.encode())
    (violation,) = VALIDATORS.check(DIAGNOSIS, foreign, "request").violations
    assert (
        violation.reason
        == "ns1:GetDiagnoses19121212 is not an element of this contract; expected its request ns1:GetDiagnosis"
    )
    assert (
        violation.private_reason
        == "an element unknown to the contract is not an element of this contract; expected its request ns1:GetDiagnosis"
    )
    assert violation.path == "/*[1]"


def test_soap_fault_is_a_response_but_no_request() -> None:
    fault = parse_xml(f'<s:Fault xmlns:s="{SOAP}"><faultcode>s:Server</faultcode><faultstring/></s:Fault>'.encode())
    assert VALIDATORS.check(DIAGNOSIS, fault, "response").valid
    assert not VALIDATORS.check(DIAGNOSIS, fault, "request").valid


def test_checking_leaves_the_message_as_it_was() -> None:
    envelope = parse_xml(
        (SHIPPED / "interoperability.headers/samples/ProcessingStatus_1.0.GetDiagnosis.response.xml")
        .read_bytes()
        .replace(b"<h:lastSuccessfulSynch></h:lastSuccessfulSynch>", b"")
        .replace(b"<d:approvedForPatient>true", b"<d:approvedForPatient>ja<!-- c -->")
    )
    before = etree.tostring(envelope)
    _, _, verdict = VALIDATORS.check_document(envelope)
    assert len(verdict.violations) == 1
    assert etree.tostring(envelope) == before


class TestHeaders:
    def test_known_entries_are_valid(self) -> None:
        assert check_with_header("<r:LogicalAddress>SE2321000016-KS</r:LogicalAddress>").valid
        assert check_with_header(
            "<h:Actor><h:actorId>191212121212</h:actorId><h:actorType>subject_of_care</h:actorType></h:Actor>"
        ).valid

    def test_wrong_entry_is_a_violation_in_its_place(self) -> None:
        verdict = check_with_header(
            "\n<h:Actor><h:actorId>191212121212</h:actorId><h:actorType>patient</h:actorType></h:Actor>"
        )
        (violation,) = verdict.violations
        assert (violation.line, violation.path) == (3, "/s:Header/h:Actor/h:actorType") or violation.path.endswith(
            "/interop:actorType"
        )
        assert violation.reason == "'patient' is not one of subject_of_care, subject_of_care_agent"
        assert violation.private_reason == "'<7 letters>' is not one of subject_of_care, subject_of_care_agent"

    def test_logical_address_with_an_element_in_it_is_a_violation(self) -> None:
        assert not check_with_header("<r:LogicalAddress><b/></r:LogicalAddress>").valid

    @pytest.mark.parametrize("attribute", ['s:mustUnderstand="1"', 's:actor="http://exempel.se/nod"'])
    def test_soaps_own_attributes_may_stand_on_an_entry(self, attribute: str) -> None:
        assert check_with_header(f"<r:LogicalAddress {attribute}>SE2321000016-KS</r:LogicalAddress>").valid

    def test_other_attributes_may_not(self) -> None:
        (violation,) = check_with_header(
            '<r:LogicalAddress s:mustUnderstand="1" kind="hsa">X</r:LogicalAddress>'
        ).violations
        assert violation.reason == "attribute not allowed: kind"

    def test_unknown_entries_are_left_alone(self) -> None:
        assert check_with_header(
            '<x xmlns="urn:exempel"/><h:Other/><To xmlns="http://www.w3.org/2005/08/addressing">X</To>'
        ).valid

    def test_violations_of_header_and_payload_are_told_together_in_document_order(self) -> None:
        envelope = parse_xml(
            (SHIPPED / "interoperability.headers/samples/Actor_1.0.GetDiagnosis.request.xml")
            .read_bytes()
            .replace(b">subject_of_care<", b">patient<")
            .replace(b"<d:type>1.2.752.129.2.1.3.1</d:type>", b"")
        )
        _, _, verdict = VALIDATORS.check_document(envelope)
        assert [violation.path.rpartition(":")[2] for violation in verdict.violations] == ["actorType", "patientId"]

    def status(self, code: str, *, synch: str = "") -> str:
        return f"""<h:ProcessingStatus><h:ProcessingStatusList><h:logicalAddress>A</h:logicalAddress>
            <h:statusCode>{code}</h:statusCode><h:isResponseFromCache>false</h:isResponseFromCache>
            <h:isResponseInSynch>false</h:isResponseInSynch>{synch}</h:ProcessingStatusList></h:ProcessingStatus>"""

    def test_failed_source_may_lack_its_last_successful_synch_as_on_the_incumbents_wire(self) -> None:
        assert check_with_header(self.status("NoDataSynchFailed"), "response").valid
        assert check_with_header(self.status("NoDataSynchFailed", synch="<h:lastSuccessfulSynch/>"), "response").valid

    def test_other_sources_may_not(self) -> None:
        (violation,) = check_with_header(self.status("DataFromSource"), "response").violations
        assert violation.reason.endswith(":lastSuccessfulSynch is missing")

    def test_what_else_is_wrong_with_a_failed_source_is_told_alone(self) -> None:
        record = self.status("NoDataSynchFailed", synch="<h:lastUnsuccessfulSynchError/>")
        (violation,) = check_with_header(record, "response").violations
        assert violation.reason.endswith(":causingAgent is missing")


class TestDocuments:
    @pytest.mark.parametrize("message", ["request", "response"])
    def test_envelope_and_bare_payload_are_both_read(self, message: str) -> None:
        for root in (parse_xml(samples.sample_file(DIAGNOSIS, message).read_bytes()), payload(message)):  # type: ignore[arg-type]
            contract, kind, verdict = VALIDATORS.check_document(root)
            assert (contract, kind, verdict.valid) == (DIAGNOSIS, message, True)

    def test_header_of_an_envelope_is_checked(self) -> None:
        envelope = (
            samples.sample_file(DIAGNOSIS, "request")
            .read_bytes()
            .replace(b"<registry:LogicalAddress>", b"<registry:LogicalAddress x='1'>")
        )
        assert not VALIDATORS.check_document(parse_xml(envelope))[2].valid

    def test_unknown_root_of_a_known_contract_counts_as_a_request(self) -> None:
        kind = VALIDATORS.message_kind(parse_xml(f'<GetIt xmlns="{DIAGNOSIS.namespace}"/>'.encode()))
        assert kind == (DIAGNOSIS, "request")

    @pytest.mark.parametrize("document", [b"<a/>", b'<a xmlns="urn:riv:x:GetXResponder:1"/>'])
    def test_unknown_contract_is_named(self, document: bytes) -> None:
        with pytest.raises(
            UnknownContract, match=r"no installed contract has the namespace (\(none\)|urn:riv:x:GetXResponder:1)"
        ):
            VALIDATORS.check_document(parse_xml(document))

    @pytest.mark.parametrize("body", ["", f'<Fault xmlns="{SOAP}"/>'])
    def test_envelope_without_a_contracts_message_is_refused(self, body: str) -> None:
        with pytest.raises(ValueError, match=r"empty body|SOAP fault"):
            VALIDATORS.check_document(
                parse_xml(f'<s:Envelope xmlns:s="{SOAP}"><s:Body>{body}</s:Body></s:Envelope>'.encode())
            )


def test_threads_share_the_validators_and_get_their_own_violations() -> None:
    validators = Validators(CONTRACTS)
    sound = samples.response(DIAGNOSIS)

    def check(number: int) -> list[str]:
        text = sound if number % 2 else sound.replace(b">Huvuddiagnos<", f">Fel{number}<".encode(), 1)
        return [one.reason for one in validators.check(DIAGNOSIS, parse_xml(text), "response").violations]

    with ThreadPoolExecutor(8) as pool:
        for number, reasons in enumerate(pool.map(check, range(80))):
            assert reasons == ([] if number % 2 else [f"'Fel{number}' is not one of Huvuddiagnos, Bidiagnos"])


def test_schema_location_in_a_message_loads_nothing(tmp_path: Path) -> None:
    loose = tmp_path / "loose.xsd"
    loose.write_text(
        f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{DIAGNOSIS.namespace}"><xs:element name="GetDiagnosis"/></xs:schema>'
    )
    root = parse_xml(f'<GetDiagnosis xmlns="{DIAGNOSIS.namespace}"/>'.encode())
    root.set("{http://www.w3.org/2001/XMLSchema-instance}schemaLocation", f"{DIAGNOSIS.namespace} {loose}")
    assert not VALIDATORS.check(DIAGNOSIS, root, "request").valid


def test_schema_that_does_not_compile_is_named_with_its_line(tmp_path: Path) -> None:
    schema = tmp_path / "broken.xsd"
    schema.write_text(
        '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">\n<xs:element name="a" type="nowhere"/></xs:schema>'
    )
    with pytest.raises(ContractFileError, match=r"broken\.xsd: is not a valid schema: .*line 2: .*nowhere"):
        compile_schema(schema)


@pytest.mark.parametrize("contract", list(CONTRACTS), ids=[contract.short_name for contract in CONTRACTS])
def test_every_contract_can_be_made_ready_beforehand(contract: object) -> None:
    VALIDATORS.compile(contract, explaining=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("prefix", ["r", "r2"])
def test_logical_address_is_checked_in_both_forms_that_the_registry_was_released_with(prefix: str) -> None:
    assert check_with_header(f"<{prefix}:LogicalAddress>SE2321000016-KS</{prefix}:LogicalAddress>").valid
    assert not check_with_header(f"<{prefix}:LogicalAddress><b/></{prefix}:LogicalAddress>").valid


@pytest.mark.parametrize("name", ["GetSupportedServiceContracts:2", "GetLogicalAddresseesByServiceContract:2"])
@pytest.mark.parametrize(
    "entry", ["urn:riv:itintegration:registry:1", "urn:riv:infrastructure:itintegration:registry:2"]
)
def test_request_to_version_2_of_the_registry_is_read_and_valid_with_either_address_entry(
    name: str, entry: str
) -> None:
    """The samples have the form of version 1, which all other contracts have; both are in use."""
    contract = CONTRACTS.find(name)
    sent = samples.envelope(samples.request(contract), "SE2321000016-KS")
    assert b"urn:riv:itintegration:registry:1" in sent
    root = parse_xml(sent.replace(b"urn:riv:itintegration:registry:1", entry.encode()))
    head = read_head(root)
    assert (head.profile, head.logical_address) == (Profile.RIVTABP21, "SE2321000016-KS")
    assert VALIDATORS.check_document(root) == (contract, "request", Verdict(valid=True))


@pytest.mark.parametrize(
    ("namespace", "near"),
    [
        ("urn:riv:clinicalprocess:healthcond:description:GetDiagnosisResponder:1", r"; did you mean \S+GetDiagnosisResponder:2\?$"),
        ("urn:riv:clinicalproces:healthcond:description:GetDiagnosisResponder:2", r"; did you mean \S+GetDiagnosisResponder:2( or .*)?\?$"),
        ("urn:riv:clinicalprocess:logistics:logistics:GetCareContactsResponder:4", r"; did you mean \S+GetCareContactsResponder:2 or \S+:3\?$"),
        ("urn:something:else", "urn:something:else$"),
    ],
)  # fmt: skip
def test_message_that_no_contract_has_is_told_the_near_ones(namespace: str, near: str) -> None:
    with pytest.raises(UnknownContract, match=near):
        VALIDATORS.check_document(parse_xml(f'<a xmlns="{namespace}"/>'.encode()))


def fault(parts: str, namespace: str = SOAP) -> etree._Element:
    found = fault_in(
        parse_xml(
            f'<s:Envelope xmlns:s="{SOAP}"><s:Body><f:Fault xmlns:f="{namespace}">{parts}</f:Fault></s:Body></s:Envelope>'.encode()
        )
    )
    assert found is not None
    return found


CODE, STRING, DETAIL = "<faultcode>s:Server</faultcode>", "<faultstring>VP009</faultstring>", "<detail><x/></detail>"


@pytest.mark.parametrize(
    ("parts", "reasons"),
    [
        (CODE + STRING, []),
        (CODE + STRING + "<faultactor>a</faultactor>" + DETAIL, []),
        (CODE, ["faultstring is missing"]),
        ("", ["faultcode is missing", "faultstring is missing"]),
        (STRING + CODE, ["its parts have to be faultcode, faultstring, faultactor, detail, in this order and once each"]),
        (CODE + CODE + STRING, ["its parts have to be faultcode, faultstring, faultactor, detail, in this order and once each"]),
        (CODE + STRING + "<s:detail/>", ["is not a part of a SOAP fault"]),
    ],
)  # fmt: skip
def test_fault_has_the_form_that_soap_gives_it(parts: str, reasons: list[str]) -> None:
    verdict = check_fault(fault(parts))
    assert [one.reason for one in verdict.violations] == reasons
    assert verdict.valid == (not reasons)


def test_fault_of_soap_12_is_none_of_ours() -> None:
    (violation,) = check_fault(fault("", "http://www.w3.org/2003/05/soap-envelope")).violations
    assert "SOAP 1.1" in violation.reason


def test_what_is_no_fault_is_none() -> None:
    assert fault_in(payload()) is None
    assert fault_in(parse_xml(f'<s:Envelope xmlns:s="{SOAP}"><s:Body/></s:Envelope>'.encode())) is None


def test_line_of_a_violation_far_down_is_the_right_one() -> None:
    text = samples.request(DIAGNOSIS).replace(b"<r:patientId>", b"\n" * 100_000 + b"<r:wrong/><r:patientId>")
    (violation, *_) = VALIDATORS.check_document(parse_xml(text))[2].violations
    assert violation.line > 100_000
