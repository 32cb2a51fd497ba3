"""What a message touched, out of the call logs and of what the stub producers were sent."""

from typing import Any

from rivta.testing.touched import touched

URL = "https://localhost:1"


def record(**more: Any) -> dict[str, Any]:
    return {
        "time": "2026-11-24T12:00:01.000+00:00",
        "contract": "urn:c",
        "logical_address": "SE1-KS",
        "outcome": "routed",
        "route_trace": "SE1-KS",
        "permission_trace": "SE1-KS",
        "producer_url": f"{URL}/",
        "elapsed_ms": 500.0,
        **more,
    }


def request(**more: Any) -> dict[str, Any]:
    return {
        "number": 1,
        "time": "2026-11-24T12:00:01.200000+00:00",
        "producer": "takecare-ks",
        "logical_address": "se1-ks",
        "contract": "urn:c",
        "behaviour": "normal",
        "status": 200,
        "headers": [["x-a", "1"]],
        **more,
    }


def test_a_request_belongs_to_the_call_that_was_carried_meanwhile() -> None:
    others = [
        request(number=2, time="2026-11-24T12:00:03+00:00"),
        request(number=3, contract="urn:d"),
        request(number=4, logical_address="SE1-SOS"),
    ]
    found = touched({"regional": [record()], "national": []}, [request(), *others], {URL})
    assert [one.number for one in found.stubs] == [1]
    assert found.stubs[0].headers == (("x-a", "1"),)
    assert (found.calls[0].platform, found.calls[0].route) == ("regional", "SE1-KS")


def test_a_call_that_did_not_go_to_a_stub_producer_has_none() -> None:
    assert touched({"national": [record(producer_url="https://elsewhere")]}, [request()], {URL}).stubs == ()
    assert touched({"national": [record(producer_url=None, outcome="VP004")]}, [request()], {URL}).stubs == ()


def test_the_sources_of_an_aggregate_are_told_with_their_records() -> None:
    sources = [
        {"source": "SE1", "status": "DataFromSource", "records": 3},
        {"source": "SE2", "status": "Filtered", "records": 0},
    ]
    (call,) = touched({"national": [record(sources=sources)]}, [], {URL}).calls
    assert call.sources == ("SE1 DataFromSource (3 records)", "SE2 Filtered")
