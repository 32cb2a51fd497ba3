"""What an operator sets reaches the router: each key of the sections about calls, and nothing else with it."""

import dataclasses
import ipaddress
import ssl
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rivta.aggregation.service import Rules
from rivta.aggregation.services import Asks
from rivta.router.deviations import Compat, Insecure
from rivta.router.policy import Handling
from rivta.run.router_settings import (
    aggregation_rules_of,
    client_rules_of,
    identities_of,
    limits_of,
    policy_of,
)
from rivta.run.settings import Settings, SettingsError, keys
from rivta.run.trust import RevocationWatch
from rivta.soap.identifiers import ContractNamespace
from rivta.tls.authority import Authority
from rivta.tls.targets import Identities
from tests.run.test_settings import LEAST
from tests.tls.lists import sender_of

CONTRACT = "urn:riv:x:GetResponder:1"
SECTIONS: tuple[str, ...] = (
    "validation",
    "limits",
    "timeouts",
    "retry",
    "breaker",
    "producers",
    "original_consumer",
    "proxies",
    "http",
)
SECTIONS += ("loops", "correlation", "headers", "compat", "insecure")

# Each key of these sections: a value that is not its default, where the router reads it, and what it reads.
READ: dict[str, tuple[Any, str, Any]] = {
    "validation.request": ("off", "policy.validation.request", Handling.OFF),
    "validation.response": ("reject", "policy.validation.response", Handling.REJECT),
    "validation.unknown_contract": ("reject", "policy.validation.reject_unknown_contract", True),
    "validation.max_bytes": (7, "policy.validation.max_bytes", 7),
    "validation.large": ("off", "policy.validation.checks_large", False),
    "validation.contracts.<name>.request": (
        "report",
        "policy.validation.contracts",
        {CONTRACT: (Handling.REPORT, Handling.REPORT)},
    ),
    "validation.contracts.<name>.response": (
        "off",
        "policy.validation.contracts",
        {CONTRACT: (Handling.REJECT, Handling.OFF)},
    ),
    "limits.max_body_bytes": (7, "limits.max_body_bytes policy.max_answer_bytes", 7),
    "limits.header_seconds": (7.5, "limits.header_seconds", 7.5),
    "limits.min_bytes_per_second": (7, "limits.min_bytes_per_second", 7),
    "limits.keep_alive_seconds": (7.5, "limits.keep_alive_seconds", 7.5),
    "limits.unread_seconds": (7.5, "limits.unread_seconds", 7.5),
    "limits.max_target_bytes": (7, "limits.max_target_bytes", 7),
    "limits.max_header_bytes": (7, "limits.max_header_bytes", 7),
    "limits.max_headers": (7, "limits.max_headers", 7),
    "limits.connections": (7, "limits.connections", 7),
    "limits.connections_per_sender": (7, "limits.connections_per_sender", 7),
    "limits.held_bytes": (2**31, "limits.held_bytes", 2**31),
    "limits.handshakes_per_address": (7, "limits.handshakes_per_address", 7),
    "limits.in_flight_per_producer": (7, "policy.in_flight_per_producer", 7),
    "limits.in_flight_per_platform": (7, "policy.in_flight_per_platform", 7),
    "timeouts.producer_seconds": (7.5, "policy.producer_seconds", 7.5),
    "timeouts.platform_seconds": (7.5, "policy.platform_seconds", 7.5),
    "timeouts.connect_seconds": (7.5, "policy.connect_seconds", 7.5),
    "timeouts.contracts": ({CONTRACT: 7.5}, "policy.producer_seconds_of", {CONTRACT: 7.5}),
    "retry.attempts": (7, "policy.retry_attempts", 7),
    "retry.delay_seconds": (7.5, "policy.retry_delay_seconds", 7.5),
    "breaker.failures": (7, "policy.breaker_failures", 7),
    "breaker.within_seconds": (7.5, "policy.breaker_within_seconds", 7.5),
    "breaker.open_seconds": (7.5, "policy.breaker_open_seconds", 7.5),
    "producers.keep_alive": (False, "client.keep_alive", False),
    "producers.idle_seconds": (7.5, "client.idle_seconds", 7.5),
    "producers.chunked": (True, "client.chunked", True),
    "producers.disconnect": (True, "client.disconnect", True),
    "original_consumer.allowed": (["SE1-A"], "policy.original_consumer_allowed", {"SE1-A"}),
    "proxies.<name>.certificate_header": ("X-Cert", "policy.proxies", {CONTRACT: "X-Cert"}),
    "http.whitelist": (["10.0.0.0/8"], "policy.plain_http.whitelist", (ipaddress.ip_network("10.0.0.0/8"),)),
    "http.certificate_header": ("X-Cert", "policy.plain_http.certificate_header", "X-Cert"),
    "http.forwarded_for_header": ("X-For", "policy.plain_http.forwarded_for_header", "X-For"),
    "loops.routing_history": (False, "policy.routing_history", False),
    "correlation.to_https": (True, "policy.correlation_to_https", True),
    "headers.user_agent": ("x", "policy.user_agent", "x"),
    "headers.content_type": ("x", "policy.content_type", "x"),
    "headers.request_remove": ("x", "policy.header_rules.request_remove", "x"),
    "headers.request_keep": ("x", "policy.header_rules.request_keep", "x"),
    "headers.response_remove": ("x", "policy.header_rules.response_remove", "x"),
    "headers.response_keep": ("x", "policy.header_rules.response_keep", "x"),
    "compat.cut_answers_relayed": (True, "policy.compat.cut_answers_relayed client.relay_cut_answers", True),
}
for switches, section in ((Compat, "compat"), (Insecure, "insecure")):
    for one in dataclasses.fields(switches):
        READ.setdefault(f"{section}.{one.name}", (True, f"policy.{section}.{one.name}", True))


def read(made: dict[str, Any]) -> SimpleNamespace:
    """All that the router reads of a settings file."""
    settings = Settings.parse(LEAST | made, Path("/platform.toml"))
    return SimpleNamespace(policy=policy_of(settings), limits=limits_of(settings), client=client_rules_of(settings))


def nested(key: str, value: Any) -> dict[str, Any]:
    """The key as it stands in a file; `<name>` is a contract."""
    for part in reversed(key.replace("<name>", "<>").split(".")):
        value = {CONTRACT if part == "<>" else part: value}
    return dict(value)


def values(of: Any, prefix: str = "") -> dict[str, Any]:
    """Every value in it, by the way to it."""
    parts = (
        vars(of) if isinstance(of, SimpleNamespace) else {f.name: getattr(of, f.name) for f in dataclasses.fields(of)}
    )
    found: dict[str, Any] = {}
    for name, part in parts.items():
        way = f"{prefix}{name}"
        found |= values(part, f"{way}.") if dataclasses.is_dataclass(part) else {way: part}
    return found


def test_every_key_about_calls_is_read_by_the_router() -> None:
    assert set(READ) == {one.path for one in keys() if one.path.partition(".")[0] in SECTIONS}


@pytest.mark.parametrize("key", READ)
def test_a_key_changes_what_it_is_for_and_nothing_else(key: str) -> None:
    value, ways, expected = READ[key]
    before, after = values(read({})), values(read(nested(key, value)))
    changed = {way for way, found in after.items() if found != before[way]}
    # What may be held at once is at least some of the longest messages.
    assert changed - {"limits.held_bytes"} <= set(ways.split()) and set(ways.split()) <= changed
    for way in ways.split():
        assert attrgetter(way)(read(nested(key, value))) == expected


# The same of aggregating, where the keys of one service are a row of their own.
AGGREGATING: dict[str, tuple[Any, str, Any]] = {
    "address": ("SE1-A", "address index_address", "SE1-A"),
    "index_address": ("SE1-I", "index_address", "SE1-I"),
    "deadline_seconds": (7.5, "deadline_seconds", 7.5),
    "index_seconds": (7.5, "index_seconds", 7.5),
    "source_seconds": (7.5, "source_seconds", 7.5),
    "in_flight": (7, "in_flight", 7),
    "order": ("source", "wording.in_order", True),
    "filtered_shown_to": (["SE1-A"], "filtered_shown_to", {"SE1-A"}),
    "logical_errors": ("failed", "logical_errors_fail", True),
    "strict_status": (True, "wording.strict", True),
}


def rules(made: dict[str, Any]) -> Rules:
    return aggregation_rules_of(Settings.parse(LEAST | {"aggregation": made}, Path("/platform.toml")))


def test_every_key_about_aggregating_is_read() -> None:
    known = {one.path.removeprefix("aggregation.") for one in keys() if one.path.startswith("aggregation.")}
    assert set(AGGREGATING) == {one for one in known if not one.startswith("services.")}


@pytest.mark.parametrize("key", AGGREGATING)
def test_a_key_about_aggregating_changes_what_it_is_for_and_nothing_else(key: str) -> None:
    value, ways, expected = AGGREGATING[key]
    before, after = values(rules({})), values(rules({key: value}))
    assert {way for way, found in after.items() if found != before[way]} == set(ways.split())
    assert all(after[way] == expected for way in ways.split())


def test_a_service_of_an_operator_is_aggregated() -> None:
    row = {"domain": "riv:x", "patient": "person", "records": ["thing"], "asks": "logical_address"}
    made = rules({"services": {CONTRACT: row}}).services[ContractNamespace(CONTRACT)]
    assert (made.domain, made.patient, made.records, made.asks) == (
        "riv:x",
        ("person",),
        ("thing",),
        Asks.LOGICAL_ADDRESS,
    )


def test_a_service_that_lacks_something_is_refused_when_the_settings_are_read() -> None:
    with pytest.raises(SettingsError, match="records is missing"):
        rules({"services": {CONTRACT: {"domain": "riv:x", "patient": "person"}}})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("ca") / "certs")


class TestTheIdentitiesTowardsProducers:
    @pytest.fixture
    def settings(self, authority: Authority) -> dict[str, Any]:
        """A settings file with another identity for a domain."""
        own = authority.issue("own", hsa_id="SE1-OWN", common_name="own", organisation="O", hosts=[])
        other = authority.issue("other", hsa_id="SE1-OTHER", common_name="other", organisation="O", hosts=[])
        target = {"certificate": str(other.certificate), "key": str(other.key), "domain": "p.test"}
        tls = {"certificate": str(own.certificate), "key": str(own.key), "trusted": [str(authority.ca)]}
        return {"tls": {**tls, "crl": [str(authority.crl_file)], "targets": {"other": target}}}

    def identities(self, made: dict[str, Any]) -> tuple[Identities, RevocationWatch]:
        settings = Settings.parse(LEAST | made, Path("/platform.toml"))
        watch = RevocationWatch.of(settings.tls, clock=lambda: datetime.now(UTC), accepts_doubt=False)
        return identities_of(settings, watch), watch

    def test_are_the_targets_and_else_the_platforms_own(self, settings: dict[str, Any]) -> None:
        identities, _ = self.identities(settings)
        other, own = identities.choose("https://p.test/"), identities.choose("https://q.test/")
        assert other is identities.choose("https://q.test/", "other")
        assert other is not own
        assert other.check_hostname and own.check_hostname

    def test_look_servers_up_in_the_platforms_lists(self, settings: dict[str, Any], authority: Authority) -> None:
        bad = authority.issue("bad", hsa_id="SE1-BAD", common_name="bad", organisation="O", hosts=[])
        authority.revoke("bad")
        issuer = sender_of(bad).issuer_key
        identities, watch = self.identities(settings)
        assert watch.is_revoked_certificate(issuer, bad.serial)
        for context in (identities.choose("https://p.test/"), identities.choose("https://q.test/")):
            assert context.is_revoked(issuer, bad.serial)

    def test_offer_old_tls_where_both_say_so(self, settings: dict[str, Any]) -> None:
        settings["tls"]["targets"]["other"]["protocols"] = ["TLSv1.1", "TLSv1.2"]
        identities, _ = self.identities({**settings, "insecure": {"old_tls": True}})
        assert identities.choose("https://p.test/").minimum_version is ssl.TLSVersion.TLSv1_1
        assert identities.choose("https://q.test/").minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    "way",
    [
        "limits.connections",
        "limits.connections_per_sender",
        "limits.handshakes_per_address",
        "policy.in_flight_per_producer",
        "policy.in_flight_per_platform",
    ],
)
def test_workers_share_what_is_counted_and_round_it_up(way: str) -> None:
    of_one, of_three = (
        attrgetter(way)(read({"platform": LEAST["platform"] | {"workers": workers}})) for workers in (1, 3)
    )
    assert of_three == -(-of_one // 3)
