"""The demo world as the pair runs it: everything announced by real calls, and `rivta call` telling of each source."""

import io
import json
from collections import Counter
from contextlib import redirect_stdout
from typing import Any

import pytest

from rivta.cli.main import main
from tests.support import Pair, run_rivta

NATIONAL, REGIONAL = "5565594230", "SE2321000016-RTP"
QUICK = {
    "199001022384": ({}, 0),
    "199002022383": ({"answered": 1}, 1),
    "199003022382": ({"answered": 3}, 3),
    "199004022381": ({"answered": 1}, 1000),
    "199005022380": ({"answered": 20}, 100),
    "199006022389": ({"answered": 2, "empty": 1}, 2),
    "199009022386": ({"answered": 2, "empty": 1}, 2),
    "199010022383": ({"empty": 3}, 0),
    "199011022382": ({"answered": 2, "failed": 1}, 2),
    "199012022381": ({"failed": 3}, 0),
}
"""Of the testers' situations, those that do not wait for a timeout: how the sources fare, and the records of all."""


@pytest.fixture(autouse=True, scope="module")
def settled(pair: Pair) -> None:
    done = run_rivta("index", "wait", "--home", str(pair.home))
    assert done.returncode == 0, done.stderr


def call(pair: Pair, contract: str, patient: str, *options: str, to: str = NATIONAL) -> dict[str, Any]:
    arguments = ["call", contract, "--home", str(pair.home), "--to", to, "--patient", patient, "--json", *options]
    printed = io.StringIO()
    with redirect_stdout(printed), pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0, printed.getvalue()
    shown: dict[str, Any] = json.loads(printed.getvalue())
    return shown


def fared(shown: dict[str, Any]) -> tuple[dict[str, int], int]:
    sources = shown["sources"]
    return dict(Counter(one["status"] for one in sources)), sum(one["records"] for one in sources)


@pytest.mark.parametrize("patient", QUICK)
def test_each_situation_of_the_testers_has_a_patient(pair: Pair, patient: str) -> None:
    assert fared(call(pair, "GetDiagnosis", patient)) == QUICK[patient]


@pytest.mark.parametrize("contract", ["GetCareContacts:2", "GetLaboratoryOrderOutcome:4", "GetVaccinationHistory:2"])
def test_a_situation_is_the_same_in_every_contract_and_at_the_regional_aggregate(pair: Pair, contract: str) -> None:
    patient = "199006022389"
    regional = call(pair, contract, patient, "--as", "journal", "--via", "regional", to=REGIONAL)
    assert fared(call(pair, contract, patient)) == fared(regional) == QUICK[patient]


def test_the_sources_of_one_patient_are_slow_failing_empty_and_one_is_not_permitted(pair: Pair) -> None:
    shown = call(pair, "GetDiagnosis", "199001012385")
    sources = {one["source"]: one for one in shown["sources"]}
    assert {name: one["status"] for name, one in sources.items()} == {
        "SE5560123456-VC": "answered",
        "SE2321000255-SUS": "answered",
        "SE2321000016-SOS": "failed",
        "SE2321000131-SU": "empty",
    }
    assert sources["SE2321000255-SUS"]["ms"] >= 2000 > sources["SE5560123456-VC"]["ms"]
    assert (sources["SE2321000016-SOS"]["code"], sources["SE2321000016-SOS"]["text"]) == ("500", "Internt fel i källsystemet.")  # fmt: skip
    assert "SE2321000016-EXPIRED" not in shown["response"]


def test_systems_of_another_version_are_reached_by_that_version(pair: Pair) -> None:
    versions = [
        {one["source"] for one in call(pair, f"GetCareContacts:{version}", "191212121212")["sources"]}
        for version in (2, 3)
    ]
    assert versions[0] == {"SE5560123456-VC", "SE5560123456-VCN", "SE2321000131-SU"}
    assert {"SE2321000016-KS", "SE2321000016-SOS", "SE2321000016-DS", "SE2321000255-SUS"} == versions[1]


def test_a_patient_with_a_reserve_number_is_found(pair: Pair) -> None:
    shown = call(pair, "GetCareDocumentation", "991968000015")
    assert fared(shown) == ({"answered": 1}, 1)
    assert "1.2.752.97.3.1.3" in shown["response"]


def test_status_says_that_everything_has_been_announced(pair: Pair) -> None:
    announced = json.loads(run_rivta("status", "--home", str(pair.home), "--json").stdout)["announcements"]
    assert announced["settled"] is True
    assert {one["platform"] for one in announced["announcements"]} == {"national", "regional"}


def test_the_table_of_sources_stands_after_the_answer(pair: Pair) -> None:
    done = run_rivta("call", "GetDiagnosis", "--home", str(pair.home), "--to", NATIONAL, "--patient", "199011022382")
    assert done.returncode == 0, done.stderr
    *_, heading, first, second, third, total = done.stdout.rstrip().splitlines()
    assert heading.split() == ["source", "records", "ms", "why"]
    rows = sorted((first, second, third))
    assert [row.split()[:2] for row in rows] == [
        ["SE2321000016-T01", "answered"],
        ["SE2321000016-T02", "answered"],
        ["SE2321000016-T03", "failed"],
    ]
    assert total == "2 records from 2 of 3 sources"
