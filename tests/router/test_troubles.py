"""The words of refusals that need more than a template; those of a whole call stand in test_pipeline."""

import pytest

from rivta.contracts.verdict import Verdict, Violation
from rivta.router import troubles
from rivta.router.messages import ProducerAnswer, ProducerFailure, Trouble
from rivta.soap.faults import Fault
from tests.catalogue.tables import DIAGNOSIS

SECRET = "191212121212"
VERDICT = Verdict(
    valid=False,
    violations=(
        Violation(3, "/e:Envelope/e:Body", f"{SECRET} is no date", "12 digits are no date"),
        Violation(0, "/", "r", "p"),
    ),
    namespaces=(("e", "urn:e"),),
)


@pytest.mark.parametrize("trouble", Trouble)
def test_every_trouble_has_words_and_is_vp009(trouble):
    refused = troubles.failure("https://p.test/x", ProducerFailure(trouble, "words"))
    assert refused.fault is Fault.PRODUCER_TROUBLE
    assert refused.detail.startswith(
        "Error connecting to service producer at address https://p.test/x. Exception Caught"
    )


@pytest.mark.parametrize(
    ("url", "peer"),
    [
        ("https://p.test/x", "p.test:443"),
        ("http://p.test/x", "p.test:80"),
        ("https://P.test:8443/x", "p.test:8443"),
        ("unix:/run/own", "/run/own"),
    ],
)
def test_a_peer_is_named_with_its_port(url, peer):
    refused = troubles.failure(url, ProducerFailure(Trouble.CANNOT_CONNECT, ""))
    assert refused.detail.endswith(f"Cannot connect to {peer})")


def test_what_came_instead_of_http_is_not_quoted():
    refused = troubles.failure("https://p.test/x", ProducerFailure(Trouble.BAD_ANSWER, f"bad line {SECRET}"))
    assert SECRET not in refused.detail + refused.private_detail


def test_words_of_the_producer_are_for_the_caller_alone():
    for refused in (
        troubles.bad_status("https://p.test/x", ProducerAnswer(302, "Found", (("location", f"/{SECRET}"),), b"")),
        troubles.empty_message("https://p.test/x", ProducerAnswer(200, SECRET, (), b"")),
    ):
        assert SECRET in refused.detail
        assert SECRET not in refused.private_detail + str(refused)


def test_a_broken_schema_is_told_whole_to_the_sender_and_without_values_to_others():
    refused = troubles.invalid_request(DIAGNOSIS, VERDICT)
    assert refused.detail.split("\n") == [
        f"The request breaks the schema of {DIAGNOSIS}:",
        f"line 3, /e:Envelope/e:Body: {SECRET} is no date",
        "line 0, /: r",
        "where e is urn:e",
    ]
    assert "line 3, /e:Envelope/e:Body: 12 digits are no date" in refused.private_detail
    assert SECRET not in refused.private_detail
