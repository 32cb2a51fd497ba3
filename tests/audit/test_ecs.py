import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.audit.ecs import EcsFile, describe_host, events
from rivta.router.record import CallRecord
from rivta.soap.faults import Fault
from tests.calls import ROUTED, call

FAULT = replace(
    ROUTED, outcome="VP007", producer_url=None, producer_ms=None, http_status=500, detail="Authorization missing"
)
PRODUCER_DOWN = replace(ROUTED, outcome="VP009", producer_ms=None, http_status=500, detail="refused")


def actions(record: CallRecord) -> list[str]:
    return [event["event.action"] for event in events(record)]


def event(record: CallRecord, action: str) -> dict[str, str]:
    return next(event for event in events(record) if event["event.action"] == action)


class TestWhichEvents:
    """Which of the incumbent's five events a call leaves, and where `req-in` stands among them."""

    @pytest.mark.parametrize(
        ("record", "expected"),
        [
            (ROUTED, ["req-in", "req-out", "resp-in", "resp-out"]),
            (FAULT, ["req-in", "error", "resp-out"]),
            (PRODUCER_DOWN, ["req-in", "req-out", "error", "resp-out"]),
            (replace(ROUTED, http_status=500), ["req-in", "req-out", "resp-in", "error", "resp-out"]),
            (replace(FAULT, outcome="VP002", route_trace=""), ["error", "resp-out"]),
            (replace(FAULT, outcome="VP015", route_trace=""), ["error", "resp-out"]),
            (replace(FAULT, outcome="VP015"), ["req-in", "error", "resp-out"]),
            (replace(FAULT, outcome="http-413", http_status=413), ["error", "resp-out"]),
        ],
        ids=["routed", "fault", "producer down", "relayed fault", "no sender", "unreadable", "schema", "no SOAP"],
    )
    def test_depend_on_how_far_the_call_came(self, record: CallRecord, expected: list[str]) -> None:
        assert actions(record) == expected


FULL = replace(
    ROUTED,
    original_consumer="SE1-FIRST",
    acting_on_behalf_of="SE1-CLINIC",
    sender_address="192.0.2.1",
    profile_in="RIVTABP20",
    tls="TLSv1.3 TLS_AES_256_GCM_SHA384",
    certificate_subject="serialNumber=SE1",
    certificate_issuer="CN=CA",
    certificate_valid_to="2027-01-01T00:00:00+00:00",
)
"""A call of which everything is known."""
WSDL = "urn:riv:clinicalprocess:healthcond:description:GetDiagnosis:2"
PRODUCERS = {
    "span.id": "*",
    "labels.parent.id": "*",
    "url.original": "https://localhost:20020/vp",
    "destination.address": "localhost:20020",
    "destination.domain": "localhost",
    "destination.port": "20020",
    "http.request.method": "POST",
}
EVERY_EVENT = {
    "@timestamp": "*",
    "ecs.version": "1.2.0",
    "event.module": "skltp-messages",
    "event.kind": "event",
    "event.category": '["web"]',
    "event.id": "*",
    "trace.id": FULL.correlation_id,
    "corr.id": f"[{FULL.correlation_id}]",
    "transaction.id": FULL.id,
    "span.id": "*",
    "service.name": "vp-services",
    "url.full": "https://vp.test/vp",
    "source.address": "192.0.2.1",
    "source.ip": "192.0.2.1",
    "host.hostname": "h",
    "tls.version_protocol": "tls",
    "tls.version": "1.3",
    "tls.cipher": "TLS_AES_256_GCM_SHA384",
    "tls.established": "true",
    "tls.client.subject": "serialNumber=SE1",
    "tls.client.issuer": "CN=CA",
    "tls.client.not_after": "2027-01-01T00:00:00+00:00",
    "labels.route": "vp-https-route",
    "labels.senderid": FULL.sender,
    "labels.receiverid": FULL.logical_address,
    "labels.servicecontract_namespace": FULL.contract,
    "labels.originalServiceconsumerHsaid_in": "SE1-FIRST",
    "labels.actingOnBehalfOfHsaid": "SE1-CLINIC",
}
DECIDED = {
    "labels.rivversion": "RIVTABP21",
    "labels.wsdl_namespace": f"{WSDL}:RIVTABP21",
    "labels.originalServiceconsumerHsaid": "SE1-FIRST",
    "labels.routerVagvalTrace": "SE2321000016-KS",
    "labels.routerBehorighetTrace": "SE2321000016-KS",
}
FAILED = {
    "labels.sessionStatus": "true",
    "labels.errorCode": "VP009",
    "labels.statusCode": "500 Internal Server Error",
    "labels.sessionErrorDescription": f"VP009 {Fault.PRODUCER_TROUBLE.value.text}",
    "labels.sessionErrorTechnicalDescription": "refused",
    "labels.faultCode": "SOAP-ENV:Server",
    "labels.faultString": f"VP009 {Fault.PRODUCER_TROUBLE.value.text}",
    "labels.faultDetail": "refused",
}
START, END = '["access","start"]', '["access","end"]'


@pytest.mark.parametrize(
    ("record", "action", "own"),
    [
        (
            FULL,
            "req-in",
            {
                "event.type": START,
                "http.request.method": "POST",
                "http.request.body.bytes": "2048",
                "labels.rivversion": "rivtabp20",
                "labels.wsdl_namespace": f"{WSDL}:rivtabp20",
            },
        ),
        (FULL, "req-out", DECIDED | PRODUCERS | {"event.type": START}),
        (
            FULL,
            "resp-in",
            DECIDED | PRODUCERS | {"event.type": END, "event.duration": "45250000", "http.response.status_code": "200"},
        ),
        (
            FULL,
            "resp-out",
            DECIDED
            | {
                "event.type": END,
                "event.duration": "48500000",
                "http.response.status_code": "200",
                "http.response.body.bytes": "4096",
            },
        ),
        (
            replace(FULL, outcome="VP009", producer_ms=None, http_status=500, detail="refused"),
            "error",
            DECIDED
            | FAILED
            | {
                "event.type": END,
                "event.duration": "48500000",
                "error.type": "PRODUCER_TROUBLE",
                "error.message": "refused",
            },
        ),
    ],
    ids=["req-in", "req-out", "resp-in", "resp-out", "error"],
)
def test_an_event_has_these_fields_and_no_other(record: CallRecord, action: str, own: dict[str, str]) -> None:
    found = next(
        one
        for one in events(record, url="https://vp.test/vp", host={"host.hostname": "h"})
        if one["event.action"] == action
    )
    expected = (
        EVERY_EVENT
        | own
        | {
            "event.action": action,
            "log.level": "ERROR" if action == "error" else "INFO",
            "log.logger": f"se.skl.tp.vp.logging.{action.replace('-', '.')}",
            "message": f"{action} {record.sender} -> {record.logical_address}",
        }
    )
    assert {name: "*" if expected.get(name) == "*" else value for name, value in found.items()} == expected


class TestFields:
    def test_of_the_request_are_what_was_known_then(self) -> None:
        request = event(replace(ROUTED, profile_in="RIVTABP20"), "req-in")

        assert request["message"] == "req-in SE165565594230-NPO -> SE2321000016-KS"
        assert request["event.type"] == '["access","start"]'
        assert request["labels.rivversion"] == "rivtabp20"
        assert request["http.request.body.bytes"] == "2048"
        assert "labels.routerVagvalTrace" not in request
        assert "event.duration" not in request

    def test_of_the_call_to_the_producer_have_a_span_of_their_own(self) -> None:
        request, out, answer, end = events(ROUTED)

        assert request["span.id"] == end["span.id"] == out["labels.parent.id"] == answer["labels.parent.id"]
        assert out["span.id"] == answer["span.id"] != request["span.id"]
        assert out["url.original"] == "https://localhost:20020/vp"
        assert out["destination.address"] == "localhost:20020"
        assert (out["destination.domain"], out["destination.port"]) == ("localhost", "20020")
        assert out["labels.routerVagvalTrace"] == out["labels.routerBehorighetTrace"] == "SE2321000016-KS"

    def test_durations_are_nanoseconds(self) -> None:
        assert event(ROUTED, "resp-in")["event.duration"] == "45250000"
        assert event(ROUTED, "resp-out")["event.duration"] == "48500000"
        assert event(FAULT, "error")["event.duration"] == "48500000"

    def test_times_lie_between_arrival_and_answer_in_order(self) -> None:
        assert [event["@timestamp"] for event in events(ROUTED)] == [
            "2026-11-24T12:00:00.000Z",
            "2026-11-24T12:00:00.003Z",
            "2026-11-24T12:00:00.048Z",
            "2026-11-24T12:00:00.048Z",
        ]

    def test_of_a_fault_carry_its_code_text_and_detail(self) -> None:
        error = event(FAULT, "error")

        assert error["log.level"] == "ERROR"
        assert error["log.logger"] == "se.skl.tp.vp.logging.error"
        assert error["labels.sessionStatus"] == "true"
        assert error["labels.errorCode"] == "VP007"
        assert error["labels.statusCode"] == "500 Internal Server Error"
        assert error["labels.sessionErrorDescription"] == f"VP007 {Fault.NO_PERMISSION.value.text}"
        assert error["labels.sessionErrorTechnicalDescription"] == "Authorization missing"
        assert event(FAULT, "resp-out")["labels.errorCode"] == "VP007"

    def test_an_error_of_ours_has_the_incumbents_code_for_it(self) -> None:
        assert event(replace(FAULT, outcome="error"), "error")["labels.errorCode"] == "VP009"

    def test_a_call_outside_tls_is_of_the_http_route(self) -> None:
        assert event(ROUTED, "req-in")["labels.route"] == "vp-http-route"

    def test_a_container_is_told(self) -> None:
        assert describe_host({"KUBERNETES_SERVICE_HOST": "x"})["host.type"] == "container"
        assert "host.type" not in describe_host({})

    def test_names_the_wsdl_as_the_incumbent_does(self) -> None:
        assert (
            event(ROUTED, "resp-out")["labels.wsdl_namespace"]
            == "urn:riv:clinicalprocess:healthcond:description:GetDiagnosis:2:RIVTABP21"
        )

    def test_of_the_host_and_the_service_are_given(self) -> None:
        host = describe_host()
        found = events(ROUTED, service_name="rivta", host=host)[0]

        assert found["service.name"] == "rivta"
        assert found["host.hostname"] == host["host.hostname"] != ""

    def test_ids_are_the_same_each_time_and_differ_between_events_and_platforms(self) -> None:
        ids = [event["event.id"] for event in events(ROUTED)]

        assert ids == [event["event.id"] for event in events(ROUTED)]
        assert len({*ids, *(event["event.id"] for event in events(replace(ROUTED, platform="other")))}) == 8

    @pytest.mark.parametrize("url", ["", "nonsense", "http://[::1", "http://h:99999/"])
    def test_an_address_that_is_none_gives_no_destination(self, url: str) -> None:
        assert "destination.address" not in event(replace(ROUTED, producer_url=url), "req-out")


@given(
    outcome=st.sampled_from(["routed", "http-400", *(fault.value.code for fault in Fault)]),
    sender=st.none() | st.text(max_size=5),
    contract=st.none() | st.text(max_size=5),
    url=st.none() | st.text(max_size=8),
    status=st.integers(0, 999),
    producer_ms=st.none() | st.floats(0, 1e6),
)
def test_every_value_of_any_call_is_a_text_and_something(
    outcome: str, sender: str | None, contract: str | None, url: str | None, status: int, producer_ms: float | None
) -> None:
    record = replace(
        ROUTED,
        outcome=outcome,
        sender=sender,
        contract=contract,
        producer_url=url,
        http_status=status,
        producer_ms=producer_ms,
    )
    for found in events(record):
        assert all(isinstance(value, str) and value for value in found.values())
        assert found["trace.id"] == record.correlation_id


class TestFile:
    def test_holds_one_json_object_a_line_and_is_closed_to_others(self, tmp_path: Path) -> None:
        file = tmp_path / "ecs.jsonl"
        writer = EcsFile(file)
        writer.write([call(1, detail="åäö"), call(2)])
        writer.write([])
        writer.write([call(3)])

        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert [line["transaction.id"] for line in lines] == ["c1"] * 4 + ["c2"] * 4 + ["c3"] * 4
        assert file.stat().st_mode & 0o777 == 0o600

    def test_a_full_one_is_moved_aside_and_the_oldest_goes(self, tmp_path: Path) -> None:
        writer = EcsFile(tmp_path / "ecs.jsonl", max_bytes=10, keep=2)
        for number in range(5):
            writer.write([call(number)])

        newest_first = ["ecs.jsonl", "ecs.jsonl.1", "ecs.jsonl.2"]
        assert sorted(path.name for path in tmp_path.iterdir()) == newest_first
        assert [
            json.loads((tmp_path / name).read_text().splitlines()[0])["transaction.id"] for name in newest_first
        ] == ["c4", "c3", "c2"]

    def test_one_that_was_moved_away_begins_anew(self, tmp_path: Path) -> None:
        file = tmp_path / "ecs.jsonl"
        writer = EcsFile(file)
        writer.write([call(1)])
        file.rename(tmp_path / "moved")
        writer.write([call(2)])

        assert json.loads(file.read_text().splitlines()[0])["transaction.id"] == "c2"

    def test_a_place_that_cannot_be_written_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match=r"ecs\.jsonl"):
            EcsFile(tmp_path / "missing" / "ecs.jsonl").write([call(1)])


@pytest.mark.parametrize("method", ["PUT", None])
def test_the_method_is_the_consumers_and_is_left_out_where_none_was_read(method: str | None) -> None:
    for action in ("req-in", "req-out"):
        assert event(call(1, method=method), action).get("http.request.method") == method
