"""A platform with `compat = "vp"`: what a consumer and an operator see of it over real sockets, as with the incumbent."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from rivta.run.toml import to_toml
from tests.pair.consumer import (
    CORRELATION_ID,
    DIAGNOSIS,
    KS,
    Admin,
    Consumer,
    Identity,
    get_diagnosis,
    http_post,
    new_id,
    read_answer,
    read_fault,
    tls_connection,
)
from tests.pair.standalone import MAX_BYTES, Standalone, serving, write_settings
from tests.support import Pair


@pytest.fixture(scope="module")
def platform(pair: Pair, short_folder: Path) -> Iterator[Standalone]:
    made = write_settings(pair, short_folder / "vp")
    content = tomllib.loads(made.config.read_text())
    del content["compat"]
    made.config.write_text('compat = "vp"\n' + to_toml(content))
    with serving(made):
        yield made


@pytest.fixture
def caller(platform: Standalone, pair: Pair) -> Iterator[Consumer]:
    made = Consumer(platform.url, Identity.of(pair, "npo"))
    yield made
    made.close()


def test_a_call_is_answered_and_its_correlation_id_stays(caller: Consumer, admin: Admin) -> None:
    sent = new_id("vp")
    answer = caller.call(get_diagnosis(KS), {CORRELATION_ID: sent})
    assert (answer.status_code, answer.headers[CORRELATION_ID]) == (200, sent)
    assert answer.headers.get("Server") != "rivta"
    assert CORRELATION_ID not in admin.last_headers(KS)
    assert "x-rivta-routing-history" not in admin.last_headers(KS)


def test_what_breaks_its_schema_or_ends_too_early_reaches_the_producer(caller: Consumer, platform: Standalone) -> None:
    for body in (get_diagnosis(KS).replace(b"patientId", b"nobody"), get_diagnosis(KS)[:-10]):
        sent = new_id("vp")
        caller.call(body, {CORRELATION_ID: sent})
        (record,) = Admin(platform.pair).records(sent, "alone")
        assert (record["outcome"], record["producer_ms"] is None) == ("routed", False)


def test_a_producer_that_hangs_up_is_a_fault_without_code(caller: Consumer) -> None:
    fault = caller.refused(get_diagnosis("SE2321000016-CLOSE"))
    assert fault.text.startswith("No response received from remote server: ")
    assert fault.detail == f"org.apache.camel.CamelExchangeException: {fault.text}"


def test_an_answer_is_not_checked(caller: Consumer) -> None:
    """Here the platform's own settings have it rejected."""
    answer = caller.call(get_diagnosis("SE2321000016-INVALID"))
    assert (answer.status_code, DIAGNOSIS.encode() in answer.content) == (200, True)


def test_what_is_too_long_is_413_with_nothing(caller: Consumer) -> None:
    with tls_connection(caller.url, caller.identity.context()) as connection:
        connection.sendall(http_post(b" " * (MAX_BYTES + 1)))
        answer = read_answer(connection)
    assert (answer.status, answer.body) == (413, b"")


def test_the_pages_for_operating_are_open_and_nothing_is_weakened(platform: Standalone) -> None:
    status = requests.get(platform.pair.endpoints["platforms"]["alone"]["status"] + "/status", timeout=10)
    assert status.json()["TakCacheInitialized"] == "true"
    assert Admin(platform.pair).get("alone", "/health/ready")["insecure"] == []


def test_nobody_may_name_another_and_a_header_names_nobody(caller: Consumer, platform: Standalone) -> None:
    named = {"x-rivta-original-serviceconsumer-hsaid": "SE1-OTHER"}
    assert caller.refused(get_diagnosis(KS), named).code == "VP013"
    assert caller.refused(get_diagnosis(KS), {**named, "x-vp-instance-id": "SE165565594230-ALONE"}).code == "VP013"
    forged = caller.call(get_diagnosis("SE2321000016-NOBODY"), {"x-vp-sender-id": "SE1-OTHER"})
    assert read_fault(forged.content).code == "VP004"
