"""What depends on how a caller was identified: the original consumer, loops, what is recorded and what goes on."""

import ipaddress
import logging
from typing import Any

import pytest

from rivta.router.deviations import Compat, Insecure
from rivta.router.messages import Answer, Peer
from rivta.router.policy import PlainHttp
from rivta.soap.identifiers import HsaId
from rivta.tls.header_certificate import HeaderCertificates
from tests.catalogue.tables import NOW
from tests.router.platforms import (
    CONSUMER,
    OTHER_PLATFORM,
    PLATFORM,
    Platform,
    Platforms,
    fault,
    question,
    request,
    sender,
)
from tests.tls.hierarchy import DAY, ISSUING, make

PROXY = "SE1-PROXY"
ORIGINAL = "x-rivta-original-serviceconsumer-hsaid"
HISTORY = "x-rivta-routing-history"
NPO = "SE1-NPO"
ADDRESS = "192.0.2.1"
CERTIFICATE = ("X-Client-Pem", make("consumer", "issuing", hsa_id=CONSUMER, valid=(NOW - DAY, NOW + DAY)).bare)

CONNECTED = Peer(ADDRESS, sender(CONSUMER))
BEHIND_PROXY = Peer(ADDRESS, sender(PROXY))
PLAIN = Peer(ADDRESS, None, problem="No client certificate", plain=True)
INTERNAL = (("x-vp-sender-id", CONSUMER), ("x-vp-instance-id", PLATFORM))

WAYS: dict[str, tuple[Peer, tuple[tuple[str, str], ...]]] = {
    "certificate": (CONNECTED, ()),
    "proxy": (BEHIND_PROXY, (CERTIFICATE,)),
    "http certificate": (PLAIN, (CERTIFICATE,)),
    "http internal": (PLAIN, INTERNAL),
}


@pytest.fixture(scope="module")
def platforms(tmp_path_factory: pytest.TempPathFactory) -> Platforms:
    return Platforms(tmp_path_factory.mktemp("table"))


@pytest.fixture
def platform_with(platforms: Platforms) -> Any:
    """A platform with a proxy, and a plain http listener that is open to calls."""

    def make_platform(*, trusted_headers: bool = True, unchecked: bool = False, **policy: Any) -> Platform:
        insecure = Insecure(trusted_headers=trusted_headers, original_consumer_unchecked=unchecked)
        return platforms(
            header_certificates=HeaderCertificates([ISSUING.certificate]),
            insecure=insecure,
            proxies={HsaId(PROXY): "X-Client-Pem"},
            plain_http=PlainHttp((ipaddress.ip_network("192.0.2.0/24"),), certificate_header="X-Client-Pem"),
            **policy,
        )

    return make_platform


async def call(platform: Platform, way: str, *headers: tuple[str, str], body: bytes | None = None) -> Answer:
    peer, own = WAYS[way]
    return await platform.carry(request(body, *own, *headers, peer=peer))


class TestEveryWay:
    @pytest.mark.parametrize("way", WAYS)
    async def test_carries_the_call_as_the_consumers(self, platform_with: Any, way: str) -> None:
        platform = platform_with()

        answer = await call(platform, way, ("X-Forwarded-For", "192.0.2.77"))

        assert (answer.status, platform.record.outcome, platform.record.sender) == (200, "routed", CONSUMER)
        assert platform.record.sender_address == (ADDRESS if way == "certificate" else "192.0.2.77")
        assert platform.sent[0].values(ORIGINAL) == [CONSUMER]

    @pytest.mark.parametrize("way", WAYS)
    async def test_keeps_who_calls_from_the_producer(self, platform_with: Any, way: str) -> None:
        platform = platform_with()

        await call(
            platform, way, ("x_client_pem", "MIIother") if way in ("certificate", "http internal") else ("a", "b")
        )

        assert not [name for name, _ in platform.sent[0].headers if "pem" in name.lower() or "x-vp" in name.lower()]

    @pytest.mark.parametrize("way", WAYS)
    async def test_passes_on_on_whose_behalf_it_acts(self, platform_with: Any, way: str) -> None:
        platform = platform_with()

        await call(platform, way, ("x-rivta-acting-on-behalf-of-hsaid", "SE1-DOCTOR"))

        assert platform.record.acting_on_behalf_of == "SE1-DOCTOR"
        assert platform.sent[0].values("x-rivta-acting-on-behalf-of-hsaid") == ["SE1-DOCTOR"]


class TestARefusedCaller:
    async def test_without_tls_is_vp011_before_anything_is_read(self, platform_with: Any) -> None:
        platform = platform_with(trusted_headers=False)

        answer = await call(platform, "http certificate", body=b"no XML")

        assert (fault(answer).code, fault(answer).side) == ("VP011", "Client")
        assert fault(answer).detail.endswith(
            ".  IP-address: 192.0.2.1. HTTP header that caused checking: CamelNettyRemoteAddress"
        )
        assert (platform.record.outcome, platform.record.sender, platform.record.sender_address) == (
            "VP011",
            None,
            ADDRESS,
        )
        assert not answer.close

    @pytest.mark.parametrize(("peer", "closes"), [(BEHIND_PROXY, False), (PLAIN, False), (Peer(ADDRESS, None), True)])
    async def test_ends_only_its_own_connection(self, platform_with: Any, peer: Peer, closes: bool) -> None:
        platform = platform_with()

        answer = await platform.carry(request(b"no XML", peer=peer))

        assert (fault(answer).code, answer.close, platform.record.sender) == ("VP002", closes, None)

    async def test_that_sends_too_much_is_recorded_by_its_own_name(self, platform_with: Any) -> None:
        platform = platform_with()
        peer, own = WAYS["proxy"]

        await platform.router.turn_away(request(b"", *own, peer=peer), 413, "too long")
        await platform.router.turn_away(request(b"", peer=peer), 413, "too long")

        assert [record.sender for record in platform.records] == [CONSUMER, None]


SPEAKS_FOR_NPO = (ORIGINAL, NPO)


class TestTheOriginalConsumer:
    @pytest.mark.parametrize("way", WAYS)
    async def test_is_believed_from_those_listed_and_from_this_platforms_own(
        self, platform_with: Any, way: str
    ) -> None:
        platform = platform_with()

        answer = await call(platform, way, SPEAKS_FOR_NPO)

        if way == "http internal":
            assert (answer.status, platform.sent[0].values(ORIGINAL)) == (200, [NPO])
        else:
            assert (fault(answer).code, platform.sent) == ("VP013", [])

    @pytest.mark.parametrize("way", ["certificate", "proxy", "http certificate"])
    async def test_x_vp_instance_id_alone_changes_nothing(self, platform_with: Any, way: str) -> None:
        answer = await call(platform_with(), way, SPEAKS_FOR_NPO, ("x-vp-instance-id", PLATFORM))
        assert fault(answer).code == "VP013"

    async def test_is_refused_when_two_are_named(self, platform_with: Any) -> None:
        peer = Peer(ADDRESS, sender(OTHER_PLATFORM))
        answer = await platform_with().carry(request(None, SPEAKS_FOR_NPO, (ORIGINAL.upper(), "SE1-X"), peer=peer))
        assert fault(answer).code == "VP013"

    async def test_named_twice_alike_is_one(self, platform_with: Any) -> None:
        answer = await call(platform_with(), "certificate", (ORIGINAL, CONSUMER), (ORIGINAL, CONSUMER))
        assert answer.status == 200

    @pytest.mark.parametrize(
        ("allowed", "is_told"), [(frozenset(), False), (frozenset({OTHER_PLATFORM}), True)], ids=["no list", "a list"]
    )
    async def test_unchecked_is_passed_on_as_by_the_incumbent(
        self, platform_with: Any, allowed: frozenset[str], is_told: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        platform = platform_with(unchecked=True, original_consumer_allowed=allowed)
        with caplog.at_level(logging.WARNING, "rivta.router"):
            answer = await call(platform, "certificate", SPEAKS_FOR_NPO)

        assert (answer.status, platform.sent[0].values(ORIGINAL)) == (200, [NPO])
        assert bool([record for record in caplog.records if CONSUMER in record.getMessage()]) is is_told

    async def test_is_looked_at_after_the_message_is_read(self, platform_with: Any) -> None:
        answer = await call(platform_with(), "certificate", SPEAKS_FOR_NPO, body=b"no XML")
        assert fault(answer).code == "VP015"


ONCE, ELSEWHERE = (HISTORY, f"SE1-A#{PLATFORM} #SE1-B"), (HISTORY, "SE1-A#SE1-B")
IN_COMPAT = Compat(loops_on_http_only=True)


class TestLoops:
    @pytest.mark.parametrize(
        ("way", "compat", "expected"),
        [
            ("certificate", Compat(), "extended"),
            ("proxy", Compat(), "extended"),
            ("http certificate", Compat(), "VP014"),
            ("http internal", Compat(), "relayed"),
            ("certificate", IN_COMPAT, "relayed"),
            ("proxy", IN_COMPAT, "VP014"),
            ("http certificate", IN_COMPAT, "VP014"),
            ("http internal", IN_COMPAT, "relayed"),
        ],
    )
    async def test_a_call_that_was_here_once(self, platform_with: Any, way: str, compat: Compat, expected: str) -> None:
        platform = platform_with(compat=compat)

        answer = await call(platform, way, ONCE)

        if expected == "VP014":
            assert (fault(answer).code, fault(answer).detail) == ("VP014", "")
        else:
            end = f"#{PLATFORM}" if expected == "extended" else ""
            assert platform.sent[0].values(HISTORY) == [ONCE[1] + end]

    @pytest.mark.parametrize("way", ["proxy", "http certificate"])
    async def test_are_found_before_the_message_is_read(self, platform_with: Any, way: str) -> None:
        platform = platform_with(compat=IN_COMPAT)
        assert fault(await call(platform, way, ONCE, body=b"no XML")).code == "VP014"

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("headers", [(), (ELSEWHERE,)], ids=["none", "elsewhere"])
    async def test_are_not_looked_for_without_the_setting(
        self, platform_with: Any, way: str, headers: tuple[tuple[str, str], ...]
    ) -> None:
        platform = platform_with(routing_history=False)

        await call(platform, way, *headers)

        assert platform.sent[0].values(HISTORY) == [value for _, value in headers]

    @pytest.mark.parametrize("way", ["certificate", "proxy", "http certificate"])
    async def test_a_new_history_begins_with_the_sender(self, platform_with: Any, way: str) -> None:
        platform = platform_with()

        await call(platform, way)

        assert platform.sent[0].values(HISTORY) == [f"{CONSUMER}#{PLATFORM}"]


async def test_a_proxys_permission_is_its_clients(platform_with: Any) -> None:
    """A client without permission does not get the proxy's, and the fault names the client."""
    stranger = make("s", "issuing", hsa_id="SE1-STRANGER", valid=(NOW - DAY, NOW + DAY))
    answer = await platform_with().carry(request(question(), ("X-Client-Pem", stranger.bare), peer=BEHIND_PROXY))
    assert fault(answer).code == "VP007"
    assert fault(answer).detail.endswith("senderId: SE1-STRANGER")
