"""The words of refusals that need more than a template; those of a whole call stand in test_pipeline."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rivta.catalogue.decision import Route
from rivta.contracts.verdict import Verdict, Violation
from rivta.router import troubles
from rivta.router.breaker import OpenBreaker
from rivta.router.deviations import Compat
from rivta.router.messages import ProducerAnswer, ProducerFailure, Trouble
from rivta.router.policy import Policy
from rivta.soap.faults import Fault, Form, Refused
from rivta.soap.identifiers import HsaId, LogicalAddress, Profile
from tests.catalogue.tables import DIAGNOSIS

SINCE, UNTIL = datetime(2026, 11, 24, 12, tzinfo=UTC), datetime(2026, 11, 24, 12, 0, 10, tzinfo=UTC)

SECRET = "191212121212"
VERDICT = Verdict(
    valid=False,
    violations=(
        Violation(3, "/e:Envelope/e:Body", f"{SECRET} is no date", "12 digits are no date"),
        Violation(0, "/", "r", "p"),
    ),
    namespaces=(("e", "urn:e"),),
)


ROUTE = Route(
    LogicalAddress("SE1-UNIT"), DIAGNOSIS, "p", HsaId("SE1-P"), "https://p.test/x", Profile.RIVTABP21, None, None, "t:1"
)


def of(trouble: Trouble, url: str = ROUTE.url, **switches: bool) -> Refused:
    policy = Policy(HsaId("SE1-PLATFORM"), "NAME", compat=Compat(**switches))
    return troubles.failure(replace(ROUTE, url=url), ProducerFailure(trouble, "words"), policy, seconds=25.0)


@pytest.mark.parametrize("trouble", [one for one in Trouble if one is not Trouble.NO_IDENTITY])
def test_every_trouble_has_words_and_is_vp009(trouble):
    refused = of(trouble)
    assert refused.fault is Fault.PRODUCER_TROUBLE
    assert refused.detail.startswith(
        "Error connecting to service producer at address https://p.test/x. Exception Caught"
    )
    assert refused.form == Form()


def test_who_waited_in_vain_stands_behind_the_incumbents_words():
    before, _, after = of(Trouble.TIMEOUT).detail.partition("Timeout when waiting on response from producer.)")
    assert (before[-42:], after) == (
        "io.netty.handler.timeout.ReadTimeoutException: "[-42:],
        " The service platform NAME waited 25 seconds.",
    )


@pytest.mark.parametrize(
    ("trouble", "text"),
    [
        (Trouble.NO_ANSWER, "No response received from remote server: p.test:443"),
        (Trouble.TOO_LARGE, "Response entity too large"),
    ],
)
def test_the_incumbent_has_no_code_for_some(trouble, text):
    refused = of(trouble, faults_without_code=True)
    assert (refused.form.text, refused.detail.partition(": ")[2]) == (text, text)
    assert of(Trouble.RESET, faults_without_code=True).form == Form()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            OpenBreaker("https://p.test/x", "SE1-UNIT", DIAGNOSIS, "5 calls timed out", SINCE, UNTIL, False),
            "The platform has not asked this producer for the logical address and contract since 2026-11-24T12:00:00Z: "
            "5 calls timed out. It is tried again at 2026-11-24T12:00:10Z.",
        ),
        (
            OpenBreaker("https://p.test/x", None, None, "5 calls failed", SINCE, UNTIL, True),
            "The platform has not asked this producer since 2026-11-24T12:00:00Z: 5 calls failed. "
            "It is being tried again now.",
        ),
    ],
)
def test_a_producer_that_is_not_asked_is_told_with_since_when_and_why(state, words):
    refused = troubles.breaker_open(state)
    assert refused.detail == f"Error connecting to service producer at address https://p.test/x. {words}"


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
    assert of(Trouble.CANNOT_CONNECT, url).detail.endswith(f"Cannot connect to {peer})")


def test_words_of_the_producer_are_for_the_caller_alone():
    for refused in (
        troubles.bad_status("https://p.test/x", ProducerAnswer(302, "Found", (("location", f"/{SECRET}"),), b"")),
        troubles.empty_message("https://p.test/x", ProducerAnswer(200, SECRET, (), b""), Compat()),
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
