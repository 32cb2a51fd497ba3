"""`rivta contract` as scripts and people meet it."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from lxml import etree

from rivta import shipped
from rivta.cli import contract_names
from rivta.cli.contract import command
from rivta.contracts import samples
from rivta.contracts.domain import Contract
from rivta.contracts.installed import MARKER, Contracts
from rivta.contracts.validation import compile_schema
from rivta.run.toml import to_toml
from rivta.soap import namespaces
from rivta.soap.xml import parse_xml
from tests.contracts.releases import release, schema, written, zipped

SHIPPED = shipped.folder("contracts") / "xsd"
SAMPLES = SHIPPED / "clinicalprocess.healthcond.description/samples"
CONTRACTS = list(Contracts.load(SHIPPED))
each_contract = pytest.mark.parametrize("contract", CONTRACTS, ids=[contract.short_name for contract in CONTRACTS])
REQUEST = (SAMPLES / "GetDiagnosis_2.0.request.xml").read_bytes()


def run(*arguments: str, home: Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(command, [*arguments, "--home", str(home)], input=stdin)


def check(message: bytes, home: Path) -> tuple[int, dict[str, Any]]:
    result = run("check", "-", "--json", home=home, stdin=message)
    return result.exit_code, json.loads(result.output)


def test_list_shows_every_contract_with_its_profiles(tmp_path: Path) -> None:
    listed = json.loads(run("list", "--json", home=tmp_path).output)["contracts"]
    ping = next(contract for contract in listed if contract["contract"] == "PingForConfiguration:1")
    assert ping == {
        "contract": "PingForConfiguration:1",
        "namespace": namespaces.PING_FOR_CONFIGURATION_1,
        "version": "1.0",
        "domain": "itintegration:monitoring",
        "profiles": ["RIVTABP20", "RIVTABP21"],
        "origin": "shipped",
    }
    assert "GetDiagnosis:2" in run("list", home=tmp_path).output


def test_show_has_names_files_and_a_request_that_is_valid(tmp_path: Path) -> None:
    shown = json.loads(run("show", "GetDiagnosis", "--json", home=tmp_path).output)
    assert shown["namespace"] == namespaces.GET_DIAGNOSIS_2
    assert shown["soap_action"] == f"{namespaces.GET_DIAGNOSIS_2}:GetDiagnosis"
    assert all(Path(file).is_file() for file in shown["files"])
    assert check(shown["sample"].encode(), tmp_path)[0] == 0
    people = run("show", "GetDiagnosis:2", home=tmp_path).output
    assert namespaces.GET_DIAGNOSIS_2 in people
    assert "<r:patientId>" in people


def test_show_of_an_unknown_contract_says_what_there_is(tmp_path: Path) -> None:
    result = run("show", "GetDiagnosis:3", home=tmp_path)
    assert result.exit_code == 1
    assert "contract 'GetDiagnosis:3' is not installed; did you mean GetDiagnosis:2?" in result.output


def test_contracts_installed_in_the_home_are_shown_too(tmp_path: Path) -> None:
    domain = Path(shutil.copytree(SHIPPED / "itintegration.monitoring", tmp_path / "contracts/my.domain"))
    for file in (*domain.rglob("*.xsd"), *domain.rglob("*.wsdl")):
        file.write_text(file.read_text().replace("itintegration:monitoring", "my:domain"))
    shown = json.loads(run("list", "--json", home=tmp_path).output)["contracts"]
    assert "my:domain" in [contract["domain"] for contract in shown]


@pytest.mark.parametrize("name", ["GetDiagnosis_2.0.request.xml", "GetDiagnosis_2.0.response.xml"])
def test_valid_message_is_said_to_be_and_ends_with_0(tmp_path: Path, name: str) -> None:
    result = run("check", str(SAMPLES / name), "--json", home=tmp_path)
    assert result.exit_code == 0
    assert json.loads(result.output) == {
        "contract": namespaces.GET_DIAGNOSIS_2,
        "message": name.split(".")[2],
        "valid": True,
        "violations": [],
        "ns": {},
    }


def test_invalid_message_ends_with_1_and_says_line_path_and_reason(tmp_path: Path) -> None:
    code, found = check(REQUEST.replace(b"<d:id>191212121212</d:id>", b""), tmp_path)
    assert code == 1
    assert found["valid"] is False
    assert found["violations"] == [
        {
            "line": 12,
            "path": "/soapenv:Envelope/soapenv:Body/r:GetDiagnosis/r:patientId/d:type",
            "reason": "d:type is not expected here; expected d:id",
        }
    ]
    assert found["ns"] == {
        "soapenv": namespaces.SOAP_ENVELOPE,
        "r": namespaces.GET_DIAGNOSIS_2,
        "d": namespaces.HEALTHCOND_DESCRIPTION_2,
    }


def test_people_get_each_violation_as_file_line_and_reason(tmp_path: Path) -> None:
    file = tmp_path / "request.xml"
    file.write_bytes(REQUEST.replace(b">20230101<", b">2023<"))
    result = run("check", str(file), home=tmp_path)
    assert result.exit_code == 1
    assert result.output.startswith(f"{file}: not a valid request of GetDiagnosis:2\n{file}:15: '2023' does not match")


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (b"<a><b></a>", "line 1: not XML that can be checked: "),
        (b"", "not XML that can be checked: "),
        (b"<!DOCTYPE a><a/>", "document type declaration"),
        (b"<a/>", "no installed contract has the namespace (none); `rivta contract list` shows those that are"),
        (
            REQUEST[: REQUEST.index(b"<r:")] + b"</soapenv:Body></soapenv:Envelope>",
            "empty body; there is nothing to check",
        ),
    ],
    ids=["malformed", "empty", "doctype", "unknown", "empty body"],
)
@pytest.mark.parametrize("flag", [(), ("--json",)], ids=["people", "json"])
def test_what_cannot_be_checked_is_one_line_and_ends_with_1(
    tmp_path: Path, message: bytes, error: str, flag: tuple[str, ...]
) -> None:
    result = run("check", "-", *flag, home=tmp_path, stdin=message)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert error in result.stderr
    assert result.stderr.count("\n") == 1


def test_broken_release_in_the_home_is_named(tmp_path: Path) -> None:
    domain = Path(shutil.copytree(SHIPPED / "itintegration.monitoring", tmp_path / "contracts/my.domain"))
    (domain / "core_components/itintegration_monitoring_1.0.xsd").unlink()
    result = run("list", home=tmp_path)
    assert result.exit_code == 1
    assert "my.domain" in result.stderr
    assert "there is no" in result.stderr


def test_list_names_everything_whole_on_a_narrow_terminal(tmp_path: Path) -> None:
    lines = run("list", home=tmp_path).output.splitlines()
    assert max(map(len, lines)) <= 80
    for contract in CONTRACTS:
        assert any(line.split()[:2] == [contract.short_name, f"{contract.major}.{contract.minor}"] for line in lines)
        assert contract.domain in lines


# Showing


@each_contract
def test_show_has_every_field_of_both_messages_and_a_sample_of_each(contract: Contract, tmp_path: Path) -> None:
    shown = json.loads(run("show", contract.namespace, "--json", home=tmp_path).output)
    assert [one["name"] for one in shown["operations"]] == [one.name for one in contract.operations]
    judge = compile_schema(contract.schema)
    for operation, declared in zip(shown["operations"], contract.operations, strict=True):
        for message, root in (("request", declared.request), ("response", declared.response)):
            assert operation[message]["element"] == root
            sample = parse_xml(operation[message]["sample"].encode())
            assert judge.validate(sample)
            names = {f"{{{field['namespace']}}}{field['name']}" for field in operation[message]["fields"]}
            assert {str(element.tag) for element in sample.iter(etree.Element)} <= names


def test_people_are_shown_every_field_and_both_samples(tmp_path: Path) -> None:
    lines = run("show", "SokVagvalsInfo:2", home=tmp_path).output
    for operation in json.loads(run("show", "SokVagvalsInfo:2", "--json", home=tmp_path).output)["operations"]:
        assert f"Operation       {operation['name']}\n" in lines
        for field in operation["response"]["fields"][1:]:
            assert field["name"] in lines
        assert operation["response"]["sample"].splitlines()[1] in lines
    assert max(len(line) for line in lines.splitlines() if " 0..* " in line or " 1..1 " in line) <= 80


def test_show_tells_people_times_types_values_and_meanings(tmp_path: Path) -> None:
    words = " ".join(run("show", "GetDiagnosis", home=tmp_path).output.split())
    assert (
        "patientId 1..1 PersonIdType A person, by national or local id. further elements of other namespaces may follow id 1..1 text"
        in words
    )
    assert "resultCode 1..1 text one of OK, ERROR, INFO" in words
    assert "careUnitHSAId 0..* text" in words
    assert "A request: <?xml" in words
    assert "A response: <?xml" in words


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("GetDiagnosis", "Logical address {urn:riv:itintegration:registry:1}LogicalAddress in the SOAP header (RIVTABP21)"),
        ("PingForConfiguration", "Logical address {http://www.w3.org/2005/08/addressing}To in the SOAP header (RIVTABP20)"),
        ("GetSupportedServiceContracts:2", "{urn:riv:itintegration:registry:1}LogicalAddress, or {urn:riv:infrastructure:itintegration:registry:2}LogicalAddress in the SOAP header (RIVTABP21)"),
        ("SokVagvalsInfo:2", "Logical address none in the messages"),
    ],
)  # fmt: skip
def test_show_tells_where_the_logical_address_goes(name: str, rule: str, tmp_path: Path) -> None:
    assert rule in " ".join(run("show", name, home=tmp_path).output.split())


def test_show_of_a_contract_with_everything_that_schemas_can_say(tmp_path: Path) -> None:
    content = (
        '<xs:choice><xs:element name="a" type="xs:int" nillable="true"/><xs:element name="b" type="xs:date" fixed="2024-01-01"/></xs:choice>'
        '<xs:element name="t" type="t:Tree"/><xs:element name="u" default="7"><xs:simpleType><xs:union memberTypes="xs:int xs:date"/></xs:simpleType></xs:element>'
    )
    tree = '<xs:complexType name="Tree"><xs:sequence><xs:element name="t" type="t:Tree" minOccurs="0"/></xs:sequence><xs:attribute name="kind" type="xs:token" use="required"/></xs:complexType>'
    run("add", str(zipped(tmp_path / "ask.zip", release(schema=schema(content, types=tree)))), home=tmp_path)
    words = " ".join(run("show", "Ask", home=tmp_path).output.split())
    for text in (
        "a 0..1 whole number or one of those beside it may be nil (xsi:nil)",
        "b 0..1 date or one of those beside it always 2024-01-01",
        "t 1..1 Tree @kind 1..1 text on one line t 0..1 Tree and so on, as above",
        "u 1..1 whole number or date by default 7",
    ):
        assert text in words


# Checking


@each_contract
def test_both_messages_of_every_contract_are_checked_and_what_is_wrong_with_them_is_said(
    contract: Contract, tmp_path: Path
) -> None:
    for operation in contract.operations:
        for message in samples.MESSAGES:
            sent = samples.whole(contract, message, operation)
            code, found = check(sent, tmp_path)
            assert (code, found["contract"], found["message"], found["valid"]) == (0, contract.namespace, message, True)
            root = (operation.request if message == "request" else operation.response).rpartition("}")[2].encode()
            code, found = check(re.sub(rb"(?<=[<:/])%b(?=[\s>/])" % root, b"Wrong", sent), tmp_path)
            assert code == 1
            (violation,) = found["violations"]
            assert violation["line"] > 0
            assert "is not an element of this contract; expected its request" in violation["reason"]


def test_several_files_and_patterns_are_checked_and_each_is_told(tmp_path: Path) -> None:
    good = [str(SAMPLES / "GetDiagnosis_2.0.request.xml"), str(SHIPPED / "itintegration.*/samples/*.xml")]
    result = run("check", *good, home=tmp_path)
    assert result.exit_code == 0
    assert "GetDiagnosis_2.0.request.xml: a valid request of GetDiagnosis:2\n" in result.output
    assert "PingForConfiguration_1.0.response.xml: a valid response of PingForConfiguration:1\n" in result.output
    bad, broken = tmp_path / "bad.xml", tmp_path / "broken.xml"
    bad.write_bytes(REQUEST.replace(b"<d:id>191212121212</d:id>", b""))
    broken.write_bytes(b"<a")
    result = run("check", str(bad), str(broken), good[0], "--json", home=tmp_path)
    assert result.exit_code == 1
    first, second, third = json.loads(result.stdout)["files"]
    assert (first["valid"], third["valid"]) == (False, True)
    assert "not XML that can be checked" in second["error"]
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("nothing.xml", "there is no file nothing.xml"),
        ("nothing*.xml", "there is no file nothing*.xml"),
        (str(SAMPLES), "is a folder: give the files in it, as '"),
    ],
)
def test_file_that_is_not_there_is_wrong_usage(name: str, error: str, tmp_path: Path) -> None:
    result = run("check", name, home=tmp_path)
    assert result.exit_code == 2
    assert error in result.stderr


FAULT = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>%b'
    b"<faultstring>VP007 [NTJP-DEMO]</faultstring></s:Fault></s:Body></s:Envelope>"
)


def test_envelope_with_a_fault_is_told_as_one(tmp_path: Path) -> None:
    code, found = check(FAULT % b"<faultcode>s:Client</faultcode>", tmp_path)
    assert code == 0
    assert (found["contract"], found["message"], found["valid"]) == (None, "fault", True)
    assert found["fault"] == {"code": "s:Client", "string": "VP007 [NTJP-DEMO]"}
    result = run("check", "-", home=tmp_path, stdin=FAULT % b"")
    assert result.exit_code == 1
    assert "<stdin>: not a valid SOAP fault" in result.output
    assert "<stdin>:1: faultcode is missing\n    /s:Envelope/s:Body/s:Fault" in result.output


@pytest.mark.parametrize("charset", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32-be", "iso-8859-1", "windows-1252"])
def test_message_in_another_charset_is_read(charset: str, tmp_path: Path) -> None:
    text = samples.response(next(one for one in CONTRACTS if one.short_name == "GetDiagnosis:2")).decode()
    declared = "" if charset.startswith("utf") else f' encoding="{charset}"'
    text = text.replace("<?xml version='1.0' encoding='UTF-8'?>", f'<?xml version="1.0"{declared}?>')
    assert check(text.encode(charset, "xmlcharrefreplace"), tmp_path)[0] == 0


def test_message_of_a_contract_that_nobody_has_is_told_the_near_ones(tmp_path: Path) -> None:
    result = run(
        "check", "-", home=tmp_path, stdin=REQUEST.replace(b"GetDiagnosisResponder:2", b"GetDiagnosisResponder:1")
    )
    assert result.exit_code == 1
    assert f"did you mean {namespaces.GET_DIAGNOSIS_2}?" in result.stderr


def test_message_that_no_platform_takes_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rivta.cli.contract._MOST_BYTES", 100)
    result = run("check", "-", home=tmp_path, stdin=REQUEST)
    assert result.exit_code == 1
    assert "more than 100 bytes, which no platform takes" in result.stderr


# Making samples


@each_contract
@pytest.mark.parametrize("made", [(), ("--seed", "5")], ids=["shipped", "seed"])
def test_sample_of_every_contract_is_valid(contract: Contract, made: tuple[str, ...], tmp_path: Path) -> None:
    for operation in contract.operations:
        for message in samples.MESSAGES:
            written = run(
                "sample", contract.namespace, f"--{message}", "--operation", operation.name, *made, home=tmp_path
            )
            code, found = check(written.stdout.encode(), tmp_path)
            assert (code, found["message"], found["contract"]) == (0, message, contract.namespace)


@pytest.mark.parametrize("made", [(), ("--seed", "3")])
def test_sample_in_an_envelope_is_addressed(made: tuple[str, ...], tmp_path: Path) -> None:
    written = run("sample", "GetDiagnosis", "--envelope", "--to", "SE1-UNIT", *made, home=tmp_path).stdout
    assert '<to:LogicalAddress xmlns:to="urn:riv:itintegration:registry:1">SE1-UNIT</to:LogicalAddress>' in written
    assert check(written.encode(), tmp_path)[0] == 0


def test_service_from_before_rivta_needs_no_address(tmp_path: Path) -> None:
    written = run("sample", "SokVagvalsInfo:2", "--envelope", home=tmp_path)
    assert written.exit_code == 0
    assert "LogicalAddress" not in written.stdout
    assert check(written.stdout.encode(), tmp_path)[0] == 0


def test_generated_without_a_seed_is_the_same_each_time(tmp_path: Path) -> None:
    first, again, zero = (
        run("sample", "GetDiagnosis", *options, home=tmp_path).stdout
        for options in (("--generated",), ("--generated",), ("--seed", "0"))
    )
    assert first == again == zero


def test_sample_says_in_json_how_it_came_about(tmp_path: Path) -> None:
    found = json.loads(run("sample", "GetDiagnosis", "--response", "--seed", "1", "--json", home=tmp_path).stdout)
    assert found["xml"].startswith("<?xml")
    assert found | {"xml": ""} == {
        "contract": namespaces.GET_DIAGNOSIS_2,
        "operation": "GetDiagnosis",
        "message": "response",
        "generated": True,
        "xml": "",
    }


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("GetDiagnosis", "--envelope"), 2, "give the receiver with --to ADDRESS"),
        (("GetDiagnosis", "--to", "X"), 2, "--to goes into an envelope: add --envelope"),
        (("GetDiagnosis", "--envelope", "--to", "\0"), 2, "cannot stand in a message"),
        (("SokVagvalsInfo:1", "--operation", "hamta"), 2, "has no operation 'hamta': it has hamtaAlla"),
        (("GetX",), 1, "contract 'GetX' is not installed"),
    ],
)
def test_sample_that_cannot_be_made_is_said(arguments: tuple[str, ...], code: int, error: str, tmp_path: Path) -> None:
    result = run("sample", *arguments, home=tmp_path)
    assert result.exit_code == code
    assert error in result.stderr


# Adding and removing


def test_added_contract_is_listed_shown_checked_and_can_be_removed(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "ask.zip", release())
    assert run("add", str(archive), home=tmp_path).stdout == "Ask 1.0 added\n"
    assert "  Ask:1" in run("list", home=tmp_path).stdout
    assert "installed" in run("list", home=tmp_path).stdout
    message = run("sample", "Ask", home=tmp_path).stdout.encode()
    assert check(message, tmp_path)[0] == 0
    assert run("remove", "Ask:1", home=tmp_path).stdout == "removed Ask 1.0\n"
    assert run("show", "Ask", home=tmp_path).exit_code == 1


def test_what_came_of_each_version_is_said(tmp_path: Path) -> None:
    add = ("add", str(zipped(tmp_path / "ask.zip", release("1.1"))), str(SHIPPED / "itintegration.monitoring"))
    assert run(*add, home=tmp_path).stdout == (
        "Ask 1.1 added\nPingForConfiguration 1.0 added, and counts instead of the 1.0 that comes with rivta\n"
    )
    assert "Ask 1.1 was there already" in run(*add, home=tmp_path).stdout
    old = run("add", str(zipped(tmp_path / "old.zip", release("1.0"))), home=tmp_path)
    assert old.stdout == "Ask 1.0 added; 1.1 is installed too, and is the one that counts\n"
    assert run("remove", "PingForConfiguration", home=tmp_path).stdout == (
        "removed PingForConfiguration 1.0\nPingForConfiguration:1 is the one that comes with rivta again (1.0)\n"
    )


def other_diagnoses(folder: Path) -> Path:
    """An archive with a contract that is called as one that comes along, in another domain."""
    domain = SHIPPED / "clinicalprocess.healthcond.description"
    files = {
        path.relative_to(domain).as_posix(): path.read_bytes().replace(b"healthcond:description", b"test:other")
        for path in domain.rglob("*")
        if path.is_file() and ("GetDiagnosis" in path.name or path.parent.name == "core_components")
    }
    return zipped(folder / "other.zip", files)


TABLES = """routes:
  - {logical_address: SE1-A, contracts: [GetCareContacts:3, GetDiagnosis], producer_address: p}
permissions:
  - consumer: SE1-C
    logical_address: SE1-A
    contracts:
      - urn:riv:clinicalprocess:healthcond:description:GetDiagnosisResponder:2
      - GetDiagnosis:2
    agreement: x
"""


def test_names_in_tables_that_will_no_longer_mean_one_contract_are_told_before_anything_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    table = home / "routing/national/a.yaml"
    table.parent.mkdir(parents=True)
    table.write_text(TABLES)
    told: list[bool] = []
    original = contract_names.ambiguous_names

    def noted(*asked: Any) -> Any:
        told.append((home / "contracts" / MARKER).exists())
        return original(*asked)

    monkeypatch.setattr(contract_names, "ambiguous_names", noted)
    done = run("add", str(other_diagnoses(tmp_path)), home=home)
    assert (done.exit_code, done.stdout) == (0, "GetDiagnosis 2.0 added\n")
    assert told == [False]
    one = "is ambiguous: say one of "
    assert [line.partition(one)[0] for line in done.stderr.splitlines()] == [
        f"warning: {table}:2: contract 'GetDiagnosis' ",
        f"warning: {table}:8: contract 'GetDiagnosis:2' ",
        "warning: write these names as namespaces: until then these tables cannot be published, what is in force stays",
    ]
    again = run("add", str(other_diagnoses(tmp_path)), home=home)
    assert again.stderr == "", "it was ambiguous already"


def test_ambiguous_names_are_in_json_too_from_the_draft_that_the_settings_name(tmp_path: Path) -> None:
    home, draft = tmp_path / "home", tmp_path / "draft"
    draft.mkdir()
    (draft / "a.yaml").write_text(TABLES)
    (home / "routing/regional").mkdir(parents=True)
    (home / "routing/regional/b.yaml").write_text("routes: [\n")
    settings: dict[str, dict[str, Any]] = {
        "platform": {"hsa_id": "SE1-P", "name": "P"},
        "listen": {"https": "127.0.0.1:20010"},
        "tls": {"certificate": "own.pem", "key": "own.key", "trusted": ["ca.pem"]},
        "tables": {"draft": str(draft)},
    }
    written(home, {"national/platform.toml": to_toml(settings), "broken/platform.toml": "platform = 3"})
    found = json.loads(run("add", str(other_diagnoses(tmp_path)), "--json", home=home).stdout)["ambiguous"]
    assert [(one["file"], one["line"], one["name"]) for one in found] == [
        (str(draft / "a.yaml"), 2, "GetDiagnosis"),
        (str(draft / "a.yaml"), 8, "GetDiagnosis:2"),
    ]
    assert all("say one of" in one["reason"] for one in found)


def test_a_contract_of_a_new_name_makes_nothing_ambiguous(tmp_path: Path) -> None:
    table = tmp_path / "routing/national/a.yaml"
    table.parent.mkdir(parents=True)
    table.write_text(TABLES.replace("GetCareContacts:3", "Ask"))
    done = run("add", str(zipped(tmp_path / "ask.zip", release())), "--json", home=tmp_path)
    assert json.loads(done.stdout)["ambiguous"] == []


def test_a_damaged_release_is_repaired_though_names_cannot_be_compared_with_it(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "ask.zip", release())
    run("add", str(archive), home=tmp_path)
    next((tmp_path / "contracts").rglob("*.wsdl")).unlink()
    assert run("add", str(archive), home=tmp_path).exit_code == 0
    assert "  Ask:1" in run("list", home=tmp_path).stdout


def test_warnings_and_effects_are_in_json_too(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "ask.zip", {**release(), "samples/broken.xml": "<a"})
    done = json.loads(run("add", str(archive), "--json", home=tmp_path).stdout)
    assert done["contracts"] == [
        {
            "name": "Ask",
            "namespace": "urn:riv:test:asking:AskResponder:1",
            "version": "1.0",
            "domain": "test:asking",
            "effect": "added",
            "served": "1.0",
            "instead_of_shipped": None,
        }
    ]
    assert "broken.xml is left out" in done["warnings"][0]
    gone = json.loads(run("remove", "Ask", "--json", home=tmp_path).stdout)
    assert gone == {"removed": [{"namespace": "urn:riv:test:asking:AskResponder:1", "version": "1.0"}], "now": None}


@pytest.mark.parametrize("flag", [(), ("--json",)], ids=["people", "json"])
def test_refused_release_is_one_line_and_installs_nothing(flag: tuple[str, ...], tmp_path: Path) -> None:
    good = zipped(tmp_path / "good.zip", release())
    bad = zipped(tmp_path / "bad.zip", release(schema="<xs:schema"))
    result = run("add", str(good), str(bad), *flag, home=tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: {bad}: interactions/AskInteraction/AskResponder_1.0.xsd: line 1: ")
    assert result.stderr.endswith("(nothing was installed)\n")
    assert result.stderr.count("\n") == 1
    assert "Ask" not in run("list", home=tmp_path).stdout


def test_source_folder_is_no_home_to_install_in(tmp_path: Path) -> None:
    (tmp_path / "setup.cfg").write_text("")
    result = run("add", str(zipped(tmp_path / "ask.zip", release())), home=tmp_path)
    assert result.exit_code == 1
    assert "not a home for a pair" in result.stderr


# Comparing


def test_two_installed_versions_are_compared(tmp_path: Path) -> None:
    result = run("diff", "GetCareContacts:2", "GetCareContacts:3", home=tmp_path)
    assert result.exit_code == 1
    assert result.stdout.startswith(
        "GetCareContacts 2.0 -> GetCareContacts 3.0\n  namespace urn:riv:clinicalprocess:logistics:logistics:2\n    is now  "
    )
    assert (
        "    /GetCareContacts/timePeriod\n      removed: 0..1, DatePeriodType\n      requests made for the old version may be refused\n"
        in result.stdout
    )
    assert result.stdout.endswith("consumers and producers made for the old version both have to change.\n")


def release_with(tmp_path: Path, name: str, answer: str) -> str:
    return str(zipped(tmp_path / f"{name}.zip", release(schema=schema(answer=answer))))


@pytest.mark.parametrize(
    ("new", "code", "last"),
    [
        ('<xs:element name="answer"/>', 0, "Consumers and producers made for the old version work on."),
        ('<xs:element name="answer"/><xs:element name="more" minOccurs="0"/>', 1, "A consumer made for the old version breaks; a producer works on."),
        ('<xs:element name="answer" type="xs:int"/>', 1, "A producer made for the old version breaks; a consumer works on."),
        ('<xs:element name="other"/><xs:element name="answer"/>', 1, "A consumer and a producer made for the old version both break."),
    ],
)  # fmt: skip
def test_who_breaks_is_said_last_and_by_the_exit_code(new: str, code: int, last: str, tmp_path: Path) -> None:
    old = release_with(tmp_path, "old", '<xs:element name="answer"/>')
    result = run("diff", old, release_with(tmp_path, "new", new), home=tmp_path)
    assert result.exit_code == code
    assert result.stdout.splitlines()[-1] == last
    assert not list(tmp_path.glob("contracts/*"))


def test_difference_is_in_json_whole(tmp_path: Path) -> None:
    old = release_with(tmp_path, "old", '<xs:element name="answer"/>')
    new = release_with(
        tmp_path, "new", '<xs:element name="answer"/><xs:element name="more" minOccurs="0" type="xs:int"/>'
    )
    found = json.loads(run("diff", old, new, "--json", home=tmp_path).stdout)
    assert (found["consumer_breaks"], found["producer_breaks"]) == (True, False)
    assert found["contracts"][0]["changes"] == [
        {
            "operation": "Ask",
            "message": "response",
            "path": "/AskResponse/more",
            "kind": "added",
            "text": "0..1, whole number",
            "hurts_consumer": True,
            "hurts_producer": False,
            "consequence": "a consumer made for the old version that reads strictly breaks",
        }
    ]


def test_releases_with_several_contracts_are_compared_one_by_one(tmp_path: Path) -> None:
    old = written(tmp_path / "old", {**release("1.0"), **release("2.0")})
    result = run("diff", str(old), str(SHIPPED), home=tmp_path)
    assert result.exit_code == 1
    assert "no contract is in both" in result.stderr
    new = written(tmp_path / "new", {**release("2.0"), **release("3.0")})
    result = run("diff", str(old), str(new), home=tmp_path)
    assert result.stdout.count(" -> ") == 2
    assert "Ask 1.0 -> Ask 3.0" in result.stdout
    assert "Ask 2.0 -> Ask 2.0\n  nothing differs" in result.stdout
    result = run("diff", str(SHIPPED), str(SHIPPED / "clinicalprocess.healthcond.description"), "--json", home=tmp_path)
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert len(found["contracts"]) == 3
    assert len(found["only_in_old"]) == len(CONTRACTS) - 3
    result = run("diff", "GetDiagnosis", str(SHIPPED / "clinicalprocess.healthcond.description"), home=tmp_path)
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("GetDiagnosis", "GetX"), "contract 'GetX' is not installed"),
        (("GetDiagnosis", "nowhere.zip"), "nowhere.zip: there is no such file or folder"),
        (("{empty}", "GetDiagnosis"), "holds no contract"),
    ],
)
def test_what_cannot_be_compared_is_said(arguments: tuple[str, str], error: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run("diff", *(one.format(empty=tmp_path / "empty") for one in arguments), home=tmp_path)
    assert result.exit_code == 1
    assert error in result.stderr
