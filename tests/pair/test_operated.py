"""What an operator sees of a platform that stands alone: the incumbent's pages, kept messages, its figures."""

import re

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.pair.consumer import CORRELATION_ID, KS, PATIENT, Admin, Consumer, Identity, get_diagnosis, new_id
from tests.pair.standalone import HSA_ID, Standalone
from tests.support import CHECKOUT, run_rivta


def page(platform: Standalone, path: str) -> requests.Response:
    return requests.get(platform.pair.endpoints["platforms"]["alone"]["status"] + path, timeout=10)


def call(platform: Standalone) -> str:
    """A good call; its correlation id."""
    id = new_id("operated")
    consumer = Consumer(platform.url, Identity.of(platform.pair, "npo"))
    answer = consumer.call(get_diagnosis(KS), {CORRELATION_ID: id})
    consumer.close()
    assert answer.status_code == 200, answer.text
    return id


def test_the_incumbents_pages_are_open_where_they_are_switched_on(standalone: Standalone) -> None:
    status = page(standalone, "/status")
    assert (status.status_code, status.json()["ServiceStatus"]) == (200, "Started")
    assert page(standalone, "/resetcache").text.endswith("Init done, was successful: true")
    assert page(standalone, "/actuator/health/readiness").json()["components"]["takCache"] == {"status": "UP"}


def test_messages_are_kept_without_personal_numbers_where_that_is_switched_on(standalone: Standalone) -> None:
    (record,) = Admin(standalone.pair).records(call(standalone), "alone")
    shown = run_rivta("log", "show", record["id"], "--payload", home=standalone.home)
    assert "<c:id>xxxxxxxxxxxx</c:id>" in shown.stdout
    assert "GetDiagnosisResponse" in shown.stdout
    assert PATIENT not in shown.stdout
    assert Admin(standalone.pair).get("alone", "/health/ready")["payload"] is True


def test_every_figure_is_in_the_manual(standalone: Standalone) -> None:
    call(standalone)
    url = standalone.pair.endpoints["platforms"]["alone"]["admin"] + "/metrics"
    token = (standalone.home / "admin.token").read_text().strip()
    text = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=10).text
    families = list(text_string_to_metric_families(text))
    found = {f"{one.name}_total" if one.type == "counter" else one.name: one for one in families}
    manual = (CHECKOUT / "docs" / "operator.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(rivta_\w+)` \|", manual, re.M)
    assert set(found) <= set(listed)
    assert all(family.documentation for family in found.values())
    assert found["rivta_table_publication"].samples[0].value >= 1
    (own,) = [one for one in found["rivta_expiry_timestamp_seconds"].samples if HSA_ID in one.labels["name"]]
    assert own.value > 1.8e9
    problems = {one.labels["kind"]: one.value for one in found["rivta_problem"].samples}
    assert problems["table"] == 0
