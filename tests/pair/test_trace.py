"""`rivta call --trace` on the running pair: both hops, who refused, and commands that work as they are printed."""

import json
import shlex
from typing import Any

import pytest

from tests.pair.consumer import JOURNAL, KS, NATIONAL, NPO, PATIENT, REGIONAL, Admin, Identity
from tests.support import Pair, run_rivta

TLS_1_3 = "TLSv1.3 TLS_AES_256_GCM_SHA384"


def traced(pair: Pair, to: str, *options: str, body: str | None = None) -> dict[str, Any]:
    request = ["--body", body] if body else ["--patient", PATIENT]
    done = run_rivta("call", "GetDiagnosis", "--to", to, *request, "--trace", "--json", *options, home=pair.home)
    assert done.stderr == ""
    answer: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (1 if answer["fault"] else 0)
    return answer


def run_all(pair: Pair, commands: list[str]) -> None:
    """Each command as a person would paste it: none is wrongly used, none meets the unexpected."""
    assert commands
    for command in commands:
        words = shlex.split(command)
        assert words[0] == "rivta"
        done = run_rivta(*words[1:], home=pair.home)
        assert done.returncode in (0, 1), f"{command}\n{done.stderr}"
        assert done.stdout, f"{command}\n{done.stderr}"
        assert "unexpected" not in done.stderr


def test_a_call_over_both_platforms_is_there_as_data(pair: Pair) -> None:
    answer = traced(pair, KS)

    assert (answer["status"], answer["fault"]) == (200, None)
    national, regional = answer["trace"]["hops"]
    assert [hop["platform"]["hsa_id"] for hop in (national, regional)] == [NATIONAL, REGIONAL]
    assert [hop["caller"]["certificate"]["hsa_id"] for hop in (national, regional)] == [NPO, NATIONAL]
    for hop in (national, regional):
        assert hop["caller"]["certificate"]["issuer"].startswith("CN=rivta Development")
        assert hop["tls"] == TLS_1_3
        assert hop["route"]["row"]["source"].endswith(tuple("0123456789"))
        assert hop["permission"]["row"]["agreement"]
        assert hop["times"]["own_ms"] + hop["times"]["producer_ms"] == pytest.approx(hop["times"]["total_ms"], abs=0.01)
    assert regional["original_consumer"] == NPO
    assert answer["elapsed_ms"] >= national["times"]["total_ms"] >= regional["times"]["total_ms"]
    assert regional["producer"]["name"] == "TakeCare, Karolinska"
    assert (answer["trace"]["ending"], answer["trace"]["notes"]) == (None, [])


def test_people_see_both_hops_and_later_again_in_the_log(pair: Pair) -> None:
    done = run_rivta("call", "GetDiagnosis", "--to", KS, "--patient", PATIENT, "--trace", home=pair.home)
    id = done.stdout.split("correlation id ")[1].split(",")[0]

    later = run_rivta("log", "show", id, "--trace", home=pair.home)

    for text in (done.stdout, later.stdout):
        assert "National service platform, SE165565594230-NTJP" in text
        assert "Regional service platform, Region Stockholm, SE2321000016-RTP" in text
        assert "answered well" in text
        assert "\x1b" not in text
    assert (done.returncode, later.returncode) == (0, 0)


def test_a_fault_that_was_passed_on_is_the_second_platforms(pair: Pair) -> None:
    answer = traced(pair, "SE2321000016-CLOSE")

    end = answer["trace"]["ending"]
    assert (answer["fault"]["code"], end["code"], end["hop"]) == ("VP009", "VP009", 1)
    assert end["who"].startswith("regional (")
    assert end["passed_on_by"][0].startswith("national (")
    assert end["ask"] == "the management of Misbehaves as the address says (SE2321000016-PROVOKE)"
    run_all(pair, answer["trace"]["next"])


def test_a_producers_fault_is_the_producers(pair: Pair) -> None:
    end = traced(pair, "SE2321000016-FAULT")["trace"]["ending"]

    assert (end["by"], end["code"], len(end["passed_on_by"])) == ("producer", None, 2)


def test_an_expired_permission_is_shown_with_the_row_that_would_have_done(pair: Pair) -> None:
    answer = traced(pair, "SE2321000016-EXPIRED")

    (hop,) = answer["trace"]["hops"]
    assert answer["trace"]["ending"]["code"] == "VP007"
    assert hop["permission"]["row"] is None
    assert any(row["reason"] == "expired" for row in hop["rejected"])
    assert all(row["row"].startswith("permission ") for row in hop["rejected"])
    run_all(pair, answer["trace"]["next"])


def test_a_call_that_never_reached_the_second_platform_ends_at_the_first(pair: Pair) -> None:
    answer = traced(pair, "SE-NOWHERE", "--as", "journal", "--via", "regional")

    (hop,) = answer["trace"]["hops"]
    assert (hop["sender"], hop["platform"]["name"]) == (JOURNAL, "regional")
    assert answer["trace"]["ending"]["passed_on_by"] == []
    assert answer["trace"]["notes"] == []
    run_all(pair, answer["trace"]["next"])


def test_a_broken_message_is_the_consumers_and_can_be_checked(pair: Pair, tmp_path: Any) -> None:
    body = tmp_path / "my request.xml"
    body.write_text(f'<r:GetDiagnosis xmlns:r="{NAMESPACE}"><r:nothing/></r:GetDiagnosis>')

    answer = traced(pair, KS, body=str(body))

    assert answer["trace"]["ending"]["party"] == "the consumer"
    assert answer["trace"]["hops"][0]["validation"]["rejected"] == "request"
    assert answer["trace"]["hops"][0]["validation"]["request"] > 0
    run_all(pair, answer["trace"]["next"])


NAMESPACE = "urn:riv:clinicalprocess:healthcond:description:GetDiagnosisResponder:2"


def test_a_consumer_that_did_not_wait_is_told_so_and_finds_the_call_later(pair: Pair, admin: Admin) -> None:
    answer = traced(pair, "SE2321000016-DOWN", "--timeout", "0.3")

    assert (answer["status"], answer["trace"]["ending"]["by"]) == (0, "network")
    assert "no answer within 0.3 s" in answer["fault"]["text"]
    (record,) = admin.records(answer["correlation_id"], "national")
    assert record["sender"] == NPO
    run_all(pair, answer["trace"]["next"])


def test_a_certificate_without_identity_is_refused_by_the_platform_that_sees_it(pair: Pair, tmp_path: Any) -> None:
    nobody = Identity.issued(pair, "trace-nobody", "--without-hsa-id")
    home = tmp_path / "home"
    home.mkdir()
    (home / "admin.token").write_text((pair.home / "admin.token").read_text())
    endpoints = json.loads((pair.home / "endpoints.json").read_text())
    endpoints["identities"]["nobody"] = {"hsa_id": "", "cert": nobody.cert, "key": nobody.key}
    (home / "endpoints.json").write_text(json.dumps(endpoints))

    answer = traced(Pair(home, endpoints), KS, "--as", "nobody")

    assert answer["trace"]["ending"]["code"] == "VP002"
    assert answer["trace"]["ending"]["ask"].startswith("the consumer itself")
