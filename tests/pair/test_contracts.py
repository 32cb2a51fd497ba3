"""A contract that nobody had is installed while the pair runs: routed, served, checked, answered; and taken away again."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rivta import shipped
from rivta.contracts import samples
from rivta.contracts.domain import Contract, read_domain
from rivta.soap.head import read_head
from rivta.soap.xml import parse_xml
from tests.contracts.releases import written, zipped
from tests.pair.consumer import NPO, SUS, Admin, consumer, read_fault
from tests.support import Pair, run_rivta, until

DOMAIN = shipped.folder("contracts") / "xsd" / "clinicalprocess.activityprescription.actoutcome"
PATH = "test/prescriptions/doses/GetDoses/2/rivtabp21"
PATIENT = "197010632391"
ROWS = f"""
routes: [{{logical_address: {SUS}, contracts: GetDoses:2, producer_address: skane}}]
permissions: [{{consumer: {NPO}, logical_address: {SUS}, contracts: GetDoses, agreement: "test"}}]
"""
TRIES = 8
"""Connections enough to meet both workers."""


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """GetVaccinationHistory under another name and in a domain of its own, as a release."""
    found = {}
    for path in DOMAIN.rglob("*"):
        name = path.relative_to(DOMAIN).as_posix()
        if path.is_file() and "GetMedicationHistory" not in name:
            text = path.read_bytes().replace(b"GetVaccinationHistory", b"GetDoses")
            text = text.replace(b"clinicalprocess:activityprescription:actoutcome", b"test:prescriptions:doses")
            found[f"release 1/{name.replace('GetVaccinationHistory', 'GetDoses')}"] = text
    return found


@pytest.fixture(scope="module")
def contract(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Contract:
    (contract,) = read_domain(written(tmp_path_factory.mktemp("release"), files) / "release 1")
    return contract


@pytest.fixture
def rows(own_pair: Pair) -> Iterator[Path]:
    path = own_pair.home / "routing" / "national" / "doses.yaml"
    yield path
    path.unlink(missing_ok=True)
    run_rivta("contract", "remove", "GetDoses", "--home", str(own_pair.home))


def test_an_installed_contract_is_routed_served_checked_and_answered_without_a_restart(
    own_pair: Pair, files: dict[str, bytes], contract: Contract, rows: Path, tmp_path: Path
) -> None:
    admin = Admin(own_pair)
    valid = samples.envelope(samples.request(contract, PATIENT), SUS)
    invalid = valid.replace(b"patientId", b"patient")
    assert invalid != valid
    pids = processes(own_pair)

    rows.write_text(ROWS)
    until(lambda: "GetDoses" in str(admin.get("national", "/status")["draft"]["problem"]))
    done = run_rivta("contract", "add", str(zipped(tmp_path / "doses.zip", files)), "--home", str(own_pair.home))
    assert (done.returncode, done.stdout) == (0, "GetDoses 2.0 added\n"), done.stderr
    until(lambda: admin.get("national", "/status")["draft"]["problem"] is None)

    until(lambda: {refusal(own_pair, invalid) for _ in range(TRIES)} == {"VP015"})
    with consumer(own_pair, "npo") as npo:
        until(lambda: npo.call(valid).status_code == 200)
        payload = read_head(parse_xml(npo.call(valid).content)).payload
        assert payload is not None
        assert (payload.tag, PATIENT in {element.text for element in payload.iter()}) == (contract.response, True)
        served = npo.get(f"{npo.url}/{PATH}?wsdl")
        assert served.status_code == 200
        assert f'location="{npo.url}/{PATH}"' in served.text
    called = run_rivta("call", "GetDoses", "--to", SUS, "--patient", PATIENT, "--json", "--home", str(own_pair.home))
    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout)["fault"] is None

    rows.unlink()
    removed = run_rivta("contract", "remove", "GetDoses", "--home", str(own_pair.home))
    assert removed.returncode == 0, removed.stderr
    until(lambda: {wsdl_status(own_pair) for _ in range(TRIES)} == {500})
    until(lambda: refusal(own_pair, valid) in ("VP004", "VP007"))
    assert processes(own_pair) == pids


def test_no_message_passes_unchecked_once_the_command_has_ended(
    own_pair: Pair, files: dict[str, bytes], contract: Contract, rows: Path, tmp_path: Path
) -> None:
    admin = Admin(own_pair)
    invalid = samples.envelope(samples.request(contract, PATIENT).replace(b"patientId", b"patient"), SUS)
    archive = zipped(tmp_path / "doses.zip", files)
    rows.write_text(re.sub(r"GetDoses(:2)?", contract.namespace, ROWS))

    def passes_everywhere() -> bool:
        """The stub producer, which does not know the contract either, has a fault of its own for it."""
        return not any(refusal(own_pair, invalid).startswith("VP") for _ in range(TRIES))

    until(passes_everywhere)
    assert admin.get("national", "/status")["draft"]["problem"] is None

    for _ in range(3):
        done = run_rivta("contract", "add", str(archive), "--home", str(own_pair.home))
        assert [refusal(own_pair, invalid) for _ in range(TRIES)] == ["VP015"] * TRIES, done.stderr
        assert run_rivta("contract", "remove", "GetDoses", "--home", str(own_pair.home)).returncode == 0
        until(passes_everywhere)


def refusal(pair: Pair, message: bytes) -> str:
    """The code of the fault that a call on a connection of its own is answered with; empty when it is not."""
    with consumer(pair, "npo") as npo:
        answer = npo.call(message)
    return "" if answer.status_code == 200 else read_fault(answer.content).code


def wsdl_status(pair: Pair) -> int:
    with consumer(pair, "npo") as npo:
        return npo.get(f"{npo.url}/{PATH}?wsdl").status_code


def processes(pair: Pair) -> set[int]:
    done = run_rivta("status", "--json", "--home", str(pair.home))
    return {role["pid"] for role in json.loads(done.stdout)["roles"]}
