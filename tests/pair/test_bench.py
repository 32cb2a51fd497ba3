"""The testers' bench on a running pair: record, replay, reports, dry-run, import and the pytest plugin, as a tester uses them."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rivta.soap.xml import parse_xml
from rivta.testing.pair import PairFailed, RunningPair, Tester
from tests.support import CHECKOUT, Pair, run_rivta, until
from tests.testing.messages import ping
from tests.testing.projects import assertion, project

RULES = "contract: GetDiagnosis:2\nassertions:\n  - status: 200\n  - fault: none\n  - schema: valid\n"


@pytest.fixture
def suite(tmp_path) -> Path:
    """A case that passes, one that is refused by the platform as it should be, and one that fails."""
    for name, address, rules in (
        ("passes", "SE2321000016-KS", RULES),
        ("refused", "SE-NOWHERE", "assertions:\n  - status: 500\n  - fault: {code: VP004, detail: SE-NOWHERE}\n"),
        ("fails", "SE2321000016-FAULT", "assertions:\n  - fault: none\n"),
    ):
        folder = tmp_path / "suite" / name
        folder.mkdir(parents=True)
        done = run_rivta("contract", "sample", "GetDiagnosis", "--envelope", "--to", address)
        (folder / "request.xml").write_text(done.stdout)
        (folder / "message.yaml").write_text(rules)
    return tmp_path / "suite"


@pytest.fixture
def tester(pair: Pair) -> Iterator[Tester]:
    made = Tester(RunningPair(pair.home))
    yield made
    made.put_back()


def test_cases_are_sent_and_reported_in_every_form(pair, suite, tmp_path) -> None:
    done = run_rivta(
        "replay",
        str(suite),
        "--junit",
        str(tmp_path / "r.xml"),
        "--html",
        str(tmp_path / "r.html"),
        "--json",
        home=pair.home,
    )
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    outcomes = {one["case"]: (one["outcome"], one["status"], one["fault"]) for one in found["results"]}
    assert outcomes == {
        "suite/fails": ("failed", 500, "fault"),
        "suite/passes": ("passed", 200, None),
        "suite/refused": ("passed", 500, "VP004"),
    }
    assert {one["producer"] for one in found["results"]} == {"takecare-ks", "provoke", None}
    assert parse_xml((tmp_path / "r.xml").read_bytes()).get("failures") == "1"
    assert "1 of 3 did not pass" in (tmp_path / "r.html").read_text()


def test_a_run_in_which_all_pass_ends_with_0_and_says_so(pair, suite) -> None:
    done = run_rivta(
        "replay", str(suite / "passes"), str(suite / "refused"), "--repeat", "3", "--parallel", "2", home=pair.home
    )
    assert (done.returncode, done.stdout.startswith("6 messages: 6 passed")) == (0, True), done.stdout


def test_another_identity_and_platform_for_everything(pair, suite) -> None:
    done = run_rivta("replay", str(suite / "passes"), "--as", "stranger", "--via", "regional", home=pair.home)
    assert "VP007" in done.stdout


def test_any_url_with_any_certificate(pair, suite) -> None:
    npo, url = pair.endpoints["identities"]["npo"], pair.endpoints["platforms"]["national"]["https"]
    certificate = ["--cert", npo["cert"], "--key", npo["key"], "--ca", pair.endpoints["ca"]]
    done = run_rivta("replay", str(suite / "passes"), "--url", url, *certificate, home=pair.home / "none")
    assert done.returncode == 0, done.stderr
    done = run_rivta("replay", str(suite / "passes"), "--url", "https://vp.example.se/vp", *certificate, home=pair.home)
    assert (done.returncode, "--allow-host vp.example.se" in done.stderr) == (1, True)
    done = run_rivta("replay", str(suite / "passes"), "--url", "https://localhost:1/vp", *certificate, home=pair.home)
    assert (done.returncode, "nothing listens there" in done.stdout) == (1, True)


def test_a_server_that_is_not_trusted_gets_no_message(pair, suite, tmp_path) -> None:
    other = tmp_path / "home"
    run_rivta("cert", "issue", "other", "--hsa-id", "SE1-X", home=other)
    url = pair.endpoints["platforms"]["national"]["https"]
    done = run_rivta(
        "replay", str(suite / "passes"), "--url", url, "--ca", str(other / "certs" / "ca.pem"), home=pair.home
    )
    assert (done.returncode, "unanswered" in done.stdout) == (1, True), done.stdout + done.stderr


def test_what_is_broken_or_may_write_is_told_and_the_rest_is_sent(pair, suite) -> None:
    (suite / "fails" / "message.yaml").write_text("assertions:\n  - statuss: 200\n")
    (suite / "refused" / "request.xml").write_bytes(ping().replace(b"PingForConfiguration", b"SetConfiguration"))
    done = run_rivta("replay", str(suite), home=pair.home)
    assert "fails/message.yaml:2: statuss is no assertion" in done.stderr
    assert "SetConfiguration may write" in done.stderr
    assert "3 messages: 1 passed, 2 refused" in done.stdout


def test_ctrl_c_keeps_what_there_is(pair, suite, tmp_path) -> None:
    html = tmp_path / "r.html"
    command = [
        sys.executable,
        "-m",
        "rivta",
        "replay",
        str(suite / "passes"),
        "--repeat",
        "100000",
        "--html",
        str(html),
    ]
    process = subprocess.Popen(
        [*command, "--home", str(pair.home)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        marker = "GetDiagnosis"
        before = len(run_rivta("log", "search", "--since", "1m", "--limit", "10000", "--json", home=pair.home).stdout)
        until(
            lambda: (
                len(
                    run_rivta(
                        "log",
                        "search",
                        "--contract",
                        marker,
                        "--since",
                        "1m",
                        "--limit",
                        "10000",
                        "--json",
                        home=pair.home,
                    ).stdout
                )
                > before
            ),
            seconds=20,
        )
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1, errors
    assert "stopped: " in printed
    assert "stopped after" in html.read_text()


def test_calls_are_recorded_as_cases_that_pass(pair, suite, tmp_path) -> None:
    run_rivta("replay", str(suite / "passes"), home=pair.home)
    out = tmp_path / "recorded"
    arguments = ["--contract", "GetDiagnosis", "--to", "SE2321000016-KS", "--outcome", "routed", "--since", "1m"]
    until(lambda: run_rivta("record", "--out", str(out), *arguments, "--limit", "3", home=pair.home).returncode == 0)
    done = run_rivta("replay", str(out), home=pair.home)
    assert (done.returncode, "passed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_where_the_platform_masks_numbers_cases_ask_about_a_variable(standalone, suite, tmp_path) -> None:
    npo = standalone.pair.endpoints["identities"]["npo"]
    url = ["--url", standalone.url, "--cert", npo["cert"], "--key", npo["key"], "--ca", standalone.pair.endpoints["ca"]]
    out, arguments = tmp_path / "recorded", ["--since", "1m", "--platform", "alone", "--limit", "1"]
    run_rivta("replay", str(suite / "passes"), *url, home=standalone.home)
    until(lambda: run_rivta("record", "--out", str(out), *arguments, home=standalone.home).returncode == 0)
    (case,) = out.iterdir()
    assert "patient: '191212121212'" in (case / "message.yaml").read_text()
    assert "191212121212" not in (case / "request.xml").read_text()
    done = run_rivta("replay", str(out), *url, home=standalone.home)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_to_record_says_what_to_do(pair, tmp_path) -> None:
    done = run_rivta("record", "--out", str(tmp_path / "x"), "--correlation-id", "no-such-id", home=pair.home)
    assert (done.returncode, "no call of the call log" in done.stderr) == (1, True)
    assert not (tmp_path / "x").exists()


def test_a_dry_run_tells_what_another_table_makes_of_cases_and_of_the_log(pair, suite, tmp_path) -> None:
    calls = tmp_path / "calls.jsonl"
    run_rivta("replay", str(suite / "passes"), home=pair.home)
    until(
        lambda: run_rivta("log", "search", "--since", "1m", "--platform", "national", "--json", home=pair.home).stdout
    )
    calls.write_text(
        run_rivta("log", "search", "--since", "10m", "--platform", "national", "--json", home=pair.home).stdout
    )
    for source in ((str(calls),), ("--since", "10m")):
        done = run_rivta("dry-run", *source, "--json", home=pair.home)
        found = json.loads(done.stdout)
        # Others' calls, for tables that are no more, may be lost: what is told of them costs nothing without --strict.
        assert (done.returncode, found["totals"]["same"] > 0) == (0, True)
    shutil.copytree(CHECKOUT / "routing", tmp_path / "routing")
    for file in (tmp_path / "routing" / "national").glob("*.yaml"):
        file.write_text(file.read_text().replace("SE165565594230-NPO", "SE1-OTHER"))
    done = run_rivta(
        "dry-run", "--strict", str(calls), "--tables", str(tmp_path / "routing" / "national"), home=pair.home
    )
    assert (done.returncode, "lost" in done.stdout) == (1, True), done.stdout + done.stderr


def test_a_line_that_is_no_call_is_told_by_its_number(pair, tmp_path) -> None:
    calls = tmp_path / "calls.jsonl"
    calls.write_text("\n[]\n")
    done = run_rivta("dry-run", str(calls), home=pair.home)
    assert (done.returncode, f"{calls}:2: not a call" in done.stderr) == (1, True)


def test_a_soapui_project_is_imported_and_replayed(pair, tmp_path) -> None:
    file = tmp_path / "project.xml"
    file.write_bytes(
        project(assertion("SOAP Response"), assertion("SOAP Fault Assertion"), assertion("MessageContentAssertion"))
    )
    done = run_rivta("import", "soapui", str(file), "--out", str(tmp_path / "cases"), "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["cases"][0]["converted"]) == (0, ["SOAP Response", "SOAP Fault Assertion"])
    done = run_rivta("replay", str(tmp_path / "cases"), "--set", "Project.consumer=SE165565594230-NPO", home=pair.home)
    assert done.returncode == 0, done.stdout + done.stderr
    again = run_rivta("import", "soapui", str(file), "--out", str(tmp_path / "cases"))
    assert (again.returncode, "is not empty" in again.stderr) == (2, True)


def test_a_tester_calls_asserts_and_steers_from_python(tester) -> None:
    answer = tester.call("GetDiagnosis", to="SE2321000016-KS", patient="191212121212")
    assert (answer.status, answer.fault, set(answer.texts("//patientId/id"))) == (200, None, {"191212121212"})
    tester.stub("SE2321000016-KS", "fault", detail="Closed today")
    assert "Closed today" in tester.call("GetDiagnosis", to="SE2321000016-KS").fault.detail
    tester.put_back()
    assert tester.call("GetDiagnosis", to="SE2321000016-KS").fault is None


def test_rows_of_a_test_are_in_force_and_gone_after_it(tester) -> None:
    def call() -> str | None:
        fault = tester.call("GetDiagnosis", to="SE2321000016-KS", identity="stranger").fault
        return fault.code if fault else None

    row = (
        "{consumer: SE5561234567-STRANGER, logical_address: SE2321000016-KS, contracts: [GetDiagnosis:2], agreement: t}"
    )
    assert call() == "VP007"
    tester.tables(f"permissions:\n  - {row}\n")
    assert call() is None
    tester.put_back()
    assert call() == "VP007"


def test_rows_with_a_mistake_fail_the_test_with_their_line_and_are_taken_away(tester) -> None:
    with pytest.raises(PairFailed, match=r"rivta-test-\w+\.yaml:2: .*unknown key 'consumr'"):
        tester.tables("permissions:\n  - {consumr: x}\n")
    tester.put_back()
    deadline = time.monotonic() + 10
    while tester._status("national")["draft"]["errors"]:
        assert time.monotonic() < deadline


def test_cases_of_a_test_that_fail_fail_it_with_what_is_wrong(tester, suite) -> None:
    tester.replay(suite / "passes", suite / "refused")
    with pytest.raises(AssertionError, match=r"failed suite/fails\n.*no fault: got a fault"):
        tester.replay(suite)


def test_the_plugin_serves_a_test_of_a_users_own(pair, tmp_path) -> None:
    (tmp_path / "test_first.py").write_text(
        "def test_karolinska_answers(rivta):\n"
        "    assert rivta.call('GetDiagnosis', to='SE2321000016-KS').fault is None\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "rivta.testing.pytest_plugin", "-W", "ignore"]
    done = subprocess.run(
        [*command, "--rivta-home", str(pair.home), "test_first.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
