"""`rivta contract` as scripts and people meet it."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rivta import shipped
from rivta.cli.contract import command
from rivta.soap import namespaces

SHIPPED = shipped.folder("contracts") / "xsd"
SAMPLES = SHIPPED / "clinicalprocess.healthcond.description/samples"
REQUEST = (SAMPLES / "GetDiagnosis_2.0.request.xml").read_bytes()


def run(*arguments: str, home: Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(command, [*arguments, "--home", str(home)], input=stdin)


def check(message: bytes, home: Path) -> tuple[int, dict[str, object]]:
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
