"""A call's way through the running pair, and what each party gets to see of it."""

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests
import zeep
from lxml import etree

from tests.pair.consumer import (
    CORRELATION_ID,
    DIAGNOSIS,
    JOURNAL,
    KS,
    NATIONAL,
    NPO,
    PATIENT,
    REGIONAL,
    SUS,
    Admin,
    Consumer,
    document_ids,
    get_diagnosis,
    http_post,
    new_id,
    ping,
    read_answer,
    tls_connection,
)
from tests.support import Pair, run_rivta

LOG_ID = re.compile(rb"<(\w+:)?logId>[^<]+")
"""What is new in each of a producer's answers."""
HISTORY, ORIGINAL = "x-rivta-routing-history", "x-rivta-original-serviceconsumer-hsaid"


def test_a_call_crosses_both_platforms_and_the_answer_comes_back(npo: Consumer) -> None:
    answer = npo.call(get_diagnosis(KS))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/xml; charset=UTF-8"
    assert int(answer.headers["x-skltp-prt"]) >= 0
    assert document_ids(answer.content)
    assert all(id.startswith(f"{KS}:") for id in document_ids(answer.content))


def test_the_answer_is_the_producers_byte_for_byte(npo: Consumer, pair: Pair) -> None:
    url = next(producer["url"] for producer in pair.endpoints["producers"] if producer["name"] == "takecare-ks")
    carried, direct = (LOG_ID.sub(b"", npo.call(get_diagnosis(KS), url=one).content) for one in (npo.url, url))
    assert carried == direct


def test_one_correlation_id_ties_both_halves_together(npo: Consumer, admin: Admin) -> None:
    sent = new_id()
    assert npo.call(get_diagnosis(KS), {CORRELATION_ID: sent}).headers[CORRELATION_ID] == sent
    national, regional = admin.records(sent, "national", "regional")
    assert (national["platform"], national["sender"], national["outcome"]) == (NATIONAL, NPO, "routed")
    assert (regional["platform"], regional["sender"], regional["outcome"]) == (REGIONAL, NATIONAL, "routed")
    assert regional["original_consumer"] == NPO
    assert (national["contract"], national["logical_address"]) == (DIAGNOSIS, KS)
    assert national["elapsed_ms"] >= national["producer_ms"] >= regional["elapsed_ms"] >= regional["producer_ms"]


def test_log_search_and_show_tell_the_whole_way(npo: Consumer, admin: Admin, pair: Pair) -> None:
    sent = new_id()
    npo.call(get_diagnosis(KS), {CORRELATION_ID: sent})
    admin.records(sent, "national", "regional")
    home = ("--home", str(pair.home))
    found = run_rivta("log", "search", "--correlation-id", sent, "--json", *home).stdout.splitlines()
    assert {json.loads(line)["platform"] for line in found} == {NATIONAL, REGIONAL}
    story = run_rivta("log", "show", sent, *home).stdout
    assert story.index(NATIONAL) < story.index(REGIONAL)


def test_a_call_without_a_correlation_id_gets_one(npo: Consumer, admin: Admin) -> None:
    made = npo.call(get_diagnosis(KS)).headers[CORRELATION_ID]
    assert len(admin.records(made, "national", "regional")) == 2


def test_the_producer_sees_who_asked_first_and_the_way_that_was_taken(npo: Consumer, admin: Admin) -> None:
    npo.call(get_diagnosis(KS))
    seen = admin.last_headers(KS)
    assert seen[ORIGINAL] == NPO
    assert seen[HISTORY] == f"{NPO}#{NATIONAL}#{REGIONAL}"


def test_what_is_between_consumer_and_platform_does_not_reach_the_producer(npo: Consumer, admin: Admin) -> None:
    npo.call(get_diagnosis(KS), {CORRELATION_ID: new_id(), "X-VP-Sender-Id": "SE1", "X-Forwarded-For": "10.0.0.1", "X-Own": "kept"})  # fmt: skip
    seen = admin.last_headers(KS)
    assert seen.keys().isdisjoint({CORRELATION_ID, "x-vp-sender-id", "x-forwarded-for", "accept-encoding"})
    assert (seen["x-own"], seen["user-agent"], seen["content-type"]) == ("kept", "rivta", "text/xml;charset=UTF-8")


def test_a_unit_is_reached_by_the_route_and_permission_of_the_one_above_it(npo: Consumer, admin: Admin) -> None:
    answer = npo.call(get_diagnosis(f"{KS}-MED"))
    assert answer.status_code == 200
    (national,) = admin.records(answer.headers[CORRELATION_ID], "national")
    assert national["route_trace"] == f"{KS}-MED,(parent),{KS}"
    assert national["permission_trace"] == f"{KS}-MED,(default),*,(parent),{KS}"


def test_a_region_without_a_platform_is_called_directly(npo: Consumer, admin: Admin) -> None:
    answer = npo.call(get_diagnosis(SUS))
    assert all(id.startswith(f"{SUS}:") for id in document_ids(answer.content))
    assert admin.last_headers(SUS)[HISTORY] == f"{NPO}#{NATIONAL}"
    (national,) = admin.records(answer.headers[CORRELATION_ID], "national")
    assert admin.get("regional", "/calls", correlation_id=national["correlation_id"])["calls"] == []


def test_a_journal_system_reaches_its_own_region_without_the_national_platform(journal: Consumer, admin: Admin) -> None:
    answer = journal.call(get_diagnosis("SE2321000016-SOS"))
    assert document_ids(answer.content)
    assert admin.last_headers("SE2321000016-SOS")[HISTORY] == f"{JOURNAL}#{REGIONAL}"
    admin.records(answer.headers[CORRELATION_ID], "regional")
    assert admin.get("national", "/calls", correlation_id=answer.headers[CORRELATION_ID])["calls"] == []


def test_a_journal_system_reaches_another_region_through_both_platforms(journal: Consumer, admin: Admin) -> None:
    answer = journal.call(get_diagnosis(SUS))
    assert all(id.startswith(f"{SUS}:") for id in document_ids(answer.content))
    seen = admin.last_headers(SUS)
    assert (seen[ORIGINAL], seen[HISTORY]) == (JOURNAL, f"{JOURNAL}#{REGIONAL}#{NATIONAL}")
    regional, national = admin.records(answer.headers[CORRELATION_ID], "regional", "national")
    assert (regional["sender"], national["sender"]) == (JOURNAL, REGIONAL)


@pytest.mark.parametrize(
    ("caller", "platform"),
    [("npo", NATIONAL), ("npo", REGIONAL), ("journal", REGIONAL), ("journal", NATIONAL)],
)
def test_a_platform_answers_for_itself(caller: str, platform: str, request: pytest.FixtureRequest) -> None:
    answer = request.getfixturevalue(caller).call(ping(platform))
    assert answer.status_code == 200, answer.text
    payload = etree.fromstring(answer.content)[-1][0]
    assert etree.QName(payload).localname == "PingForConfigurationResponse"
    assert payload.findtext("{*}pingDateTime", "").isdigit()


def test_a_compressed_request_is_read(npo: Consumer) -> None:
    answer = npo.call(gzip.compress(get_diagnosis(KS)), {"Content-Encoding": "gzip"})
    assert document_ids(answer.content)


def test_calls_in_a_row_share_one_connection(npo: Consumer) -> None:
    with tls_connection(npo.url, npo.identity.context()) as connection:
        for _ in range(3):
            connection.sendall(http_post(get_diagnosis(KS)))
            assert document_ids(read_answer(connection).body)


def test_call_prints_the_fixed_json(pair: Pair) -> None:
    done = run_rivta("call", "GetDiagnosis", "--to", KS, "--patient", PATIENT, "--json", "--home", str(pair.home))
    printed: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0
    assert printed.keys() >= {"status", "correlation_id", "elapsed_ms", "fault", "response"}
    assert (printed["status"], printed["fault"]) == (200, None)
    assert document_ids(printed["response"].encode())


def test_call_prints_a_fault_in_the_fixed_json_and_ends_with_1(pair: Pair) -> None:
    done = run_rivta("call", "GetDiagnosis", "--to", "SE0-NOWHERE", "--patient", PATIENT, "--as", "stranger", "--json", "--home", str(pair.home))  # fmt: skip
    printed = json.loads(done.stdout)
    assert (done.returncode, printed["status"], printed["response"]) == (1, 500, None)
    assert printed["fault"].keys() == {"code", "side", "text", "detail"}
    assert (printed["fault"]["code"], printed["fault"]["side"]) == ("VP004", "Client")


def test_call_goes_as_whom_and_where_it_is_told(pair: Pair) -> None:
    done = run_rivta("call", "GetDiagnosis", "--to", SUS, "--patient", PATIENT, "--as", "journal", "--via", "regional", "--json", "--home", str(pair.home))  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_curl_calls_with_the_files_that_endpoints_json_names(pair: Pair, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    (tmp_path / "request.xml").write_bytes(get_diagnosis(KS))
    npo = pair.endpoints["identities"]["npo"]
    done = subprocess.run(
        ["curl", "--silent", "--fail", "--cacert", pair.endpoints["ca"], "--cert", npo["cert"], "--key", npo["key"],
         "--header", "Content-Type: text/xml", "--data-binary", f"@{tmp_path / 'request.xml'}",
         pair.endpoints["platforms"]["national"]["https"]],
        capture_output=True, check=True, timeout=30,
    )  # fmt: skip
    assert document_ids(done.stdout)


def test_a_client_made_from_the_served_wsdl_calls(pair: Pair) -> None:
    npo = pair.endpoints["identities"]["npo"]
    base = pair.endpoints["platforms"]["national"]["https"]
    with requests.Session() as session:
        session.trust_env = False
        session.cert, session.verify = (npo["cert"], npo["key"]), pair.endpoints["ca"]
        client: Any = zeep.Client(
            f"{base}/clinicalprocess/healthcond/description/GetDiagnosis/2/rivtabp21?wsdl",
            transport=zeep.Transport(session=session),
        )
        answer = client.service.GetDiagnosis(
            patientId={"id": PATIENT, "type": "1.2.752.129.2.1.3.1"}, _soapheaders={"LogicalAddress": KS}
        )
    assert answer.diagnosis[0].diagnosisHeader.sourceSystemHSAId == KS
    assert answer.diagnosis[0].diagnosisHeader.patientId.id == PATIENT


def test_a_wsdl_that_is_not_there_names_those_that_are(npo: Consumer) -> None:
    answer = npo.get(f"{npo.url}/no/such/contract?wsdl")
    assert answer.status_code == 500
    assert f"{npo.url}/clinicalprocess/healthcond/description/GetDiagnosis/2/rivtabp21?wsdl" in answer.text.splitlines()
