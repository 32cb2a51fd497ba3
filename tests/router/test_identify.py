"""Who calls is what TLS proves, or a proxy that TLS proves; headers count only where their listener lets them."""

import ipaddress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from rivta.router.deviations import Insecure
from rivta.router.identify import Caller, Way, Withdrawn, identify
from rivta.router.messages import Peer
from rivta.router.policy import PlainHttp, Policy
from rivta.soap.faults import Fault, Refused
from rivta.soap.identifiers import HsaId
from rivta.tls.header_certificate import HeaderCertificates
from rivta.tls.sender import Sender, sender_from_certificate
from tests.router.platforms import PLATFORM, request, sender
from tests.tls.hierarchy import CLIENT, DAY, ISSUING, NOW, OTHER, make

PROXY = "SE1-PROXY"
HEADER = "x-vp-auth-cert"
ADDRESS = "192.0.2.1"
TRUSTED_HEADERS = Insecure(trusted_headers=True)
POLICY = Policy(PLATFORM, "NAME", proxies={HsaId(PROXY): HEADER, HsaId("SE1-NGINX"): "X-SSL-Cert"})
HTTP_POLICY = replace(
    POLICY,
    insecure=TRUSTED_HEADERS,
    plain_http=PlainHttp(whitelist=(ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32"))),
)
PROXY_PEER = Peer(ADDRESS, sender(PROXY))
NGINX_PEER = Peer(ADDRESS, sender("SE1-NGINX"))
PLAIN_PEER = Peer(ADDRESS, None, problem="No client certificate", plain=True)
INTERNAL = (("x-vp-sender-id", "SE1-INNER"), ("x-vp-instance-id", PLATFORM))


def who(
    peer: Peer,
    *headers: tuple[str, str],
    policy: Policy = POLICY,
    is_revoked: Any = lambda sender: False,
    doubt: Any = lambda sender: "",
    now: datetime = NOW,
) -> Caller:
    return identify(
        request(b"", *headers, peer=peer),
        policy=policy,
        certificates=HeaderCertificates(
            [ISSUING.certificate], checked=not policy.insecure.header_certificate_unchecked
        ),
        withdrawn=Withdrawn(is_revoked, doubt),
        now=now,
    )


def refused(peer: Peer, *headers: tuple[str, str], **how: Any) -> tuple[Fault, str]:
    with pytest.raises(Refused) as found:
        who(peer, *headers, **how)
    return found.value.fault, found.value.detail


class TestOverTls:
    def test_the_connections_certificate_names_the_sender(self) -> None:
        assert who(Peer(ADDRESS, sender("SE1-A"))) == Caller("SE1-A", Way.CERTIFICATE, ADDRESS)

    def test_one_that_names_nobody_is_told_in_the_incumbents_words(self) -> None:
        problem = "No senderId found in Certificate: CN=x"
        assert refused(Peer(ADDRESS, None, problem=problem)) == (Fault.NO_SENDER, problem)

    @pytest.mark.parametrize("policy", [POLICY, HTTP_POLICY], ids=["safe", "trusted headers"])
    def test_no_header_of_an_ordinary_peer_says_who_it_is(self, policy: Policy) -> None:
        headers = ((HEADER, CLIENT.bare), ("X-SSL-Cert", CLIENT.bare), *INTERNAL, ("X-Forwarded-For", "10.0.0.1"))

        assert who(Peer(ADDRESS, sender("SE1-A")), *headers, policy=policy) == Caller("SE1-A", Way.CERTIFICATE, ADDRESS)

    @pytest.mark.parametrize(
        ("how", "words"),
        [
            ({"is_revoked": lambda sender: True}, "is revoked"),
            ({"doubt": lambda sender: "no list"}, "no list"),
            ({"now": datetime(2031, 1, 1, tzinfo=UTC)}, "has expired"),
        ],
    )
    def test_what_its_authority_took_back_is_nobody(self, how: dict[str, Any], words: str) -> None:
        fault, detail = refused(Peer(ADDRESS, sender("SE1-A")), **how)
        assert fault is Fault.NO_SENDER
        assert words in detail


class TestBehindANamedProxy:
    def test_the_sender_is_whose_certificate_it_hands_on(self) -> None:
        assert who(PROXY_PEER, (HEADER.upper(), CLIENT.bare)) == Caller("SE1-CLIENT", Way.PROXY, ADDRESS)

    def test_each_proxy_has_a_header_of_its_own(self) -> None:
        assert who(NGINX_PEER, ("x-ssl-cert", CLIENT.bare), (HEADER, OTHER.bare)).hsa_id == "SE1-CLIENT"

    def test_its_word_on_its_clients_address_is_kept(self) -> None:
        assert who(PROXY_PEER, (HEADER, CLIENT.bare), ("X-Forwarded-For", "203.0.113.9")).address == "203.0.113.9"

    @pytest.mark.parametrize("said", ["", "a\x01b", "1" * 1000])
    def test_an_address_that_is_none_is_not_kept(self, said: str) -> None:
        assert who(PROXY_PEER, (HEADER, CLIENT.bare), ("X-Forwarded-For", said)).address == ADDRESS

    @pytest.mark.parametrize(
        ("headers", "detail"),
        [
            ((), f"No certificate found in httpheader {HEADER}"),
            (INTERNAL, f"No certificate found in httpheader {HEADER}"),
            (((HEADER, "CN=x"),), f"Exception, unkown certificate type found in httpheader {HEADER}"),
            (((HEADER, ""),), f"Exception, unkown certificate type found in httpheader {HEADER}"),
            (((HEADER, "MIIx"),), f"Exception occured parsing certificate in httpheader {HEADER}"),
            (((HEADER, make("x", "issuing").bare),), "No senderId found in Certificate"),
        ],
        ids=["none", "only x-vp-sender-id", "neither form", "empty", "broken", "without an HSA-id"],
    )
    def test_what_identifies_nobody_is_told_in_the_incumbents_words(
        self, headers: tuple[tuple[str, str], ...], detail: str
    ) -> None:
        assert refused(PROXY_PEER, *headers) == (Fault.NO_SENDER, detail)

    def test_a_certificate_of_an_unknown_authority_is_not_trusted(self) -> None:
        forged = make("client", "forger", hsa_id="SE1-CLIENT")
        assert refused(PROXY_PEER, (HEADER, forged.bare)) == (
            Fault.NO_SENDER,
            f"The certificate in httpheader {HEADER} is not trusted: no authority that is trusted here vouches for it",
        )

    def test_the_clients_certificate_is_looked_up_in_the_revocation_lists(self) -> None:
        client = sender_from_certificate(CLIENT.certificate.public_bytes(Encoding.DER))

        def is_revoked(one: Sender) -> bool:
            return (one.issuer_key, one.serial) == (client.issuer_key, client.serial)

        fault, detail = refused(PROXY_PEER, (HEADER, CLIENT.bare), is_revoked=is_revoked)
        assert (fault, detail) == (Fault.NO_SENDER, "The client certificate of SE1-CLIENT is revoked")
        assert who(PROXY_PEER, (HEADER, OTHER.bare), is_revoked=is_revoked).hsa_id == "SE1-OTHER"

    def test_a_proxy_that_is_revoked_speaks_for_nobody(self) -> None:
        fault, detail = refused(PROXY_PEER, (HEADER, CLIENT.bare), is_revoked=lambda one: one.hsa_id == PROXY)
        assert (fault, PROXY in detail) == (Fault.NO_SENDER, True)

    def test_a_proxy_is_never_the_sender_even_through_another(self) -> None:
        fault, detail = refused(NGINX_PEER, ("X-SSL-Cert", make("p", "issuing", hsa_id=PROXY).bare))
        assert (fault, "of a proxy" in detail) == (Fault.NO_SENDER, True)

    def test_unchecked_believes_what_it_says_and_nothing_of_the_proxy_itself(self) -> None:
        unchecked = replace(POLICY, insecure=Insecure(header_certificate_unchecked=True))
        old = make("x", "nobody", hsa_id="SE1-OLD", valid=(NOW - 2 * DAY, NOW - DAY))

        assert who(PROXY_PEER, (HEADER, old.bare), policy=unchecked).hsa_id == "SE1-OLD"
        refused(PROXY_PEER, (HEADER, old.bare), policy=unchecked, is_revoked=lambda one: one.hsa_id == PROXY)


class TestOnPlainHttp:
    def test_nobody_is_heard_without_the_switch(self) -> None:
        safe = replace(HTTP_POLICY, insecure=Insecure())
        for headers in ((), ((HEADER, CLIENT.bare),), INTERNAL):
            assert refused(PLAIN_PEER, *headers, policy=safe) == (
                Fault.NOT_WHITELISTED,
                "Caller was not on the white list of accepted IP-addresses.  IP-address: 192.0.2.1. HTTP header that "
                "caused checking: CamelNettyRemoteAddress",
            )

    @pytest.mark.parametrize(
        ("address", "is_heard"),
        [
            ("192.0.2.200", True), ("::ffff:192.0.2.7", True), ("2001:db8::9", True), ("2001:db8::9%eth0", True),
            ("192.0.3.1", False), ("192.0.2.1.example", False), ("192.0.2.", False), ("2001:db9::1", False), ("", False),
        ],
    )  # fmt: skip
    def test_a_peer_is_heard_from_a_network_of_the_whitelist(self, address: str, is_heard: bool) -> None:
        peer = replace(PLAIN_PEER, address=address)
        if is_heard:
            assert who(peer, (HEADER, CLIENT.bare), policy=HTTP_POLICY).hsa_id == "SE1-CLIENT"
        else:
            assert refused(peer, (HEADER, CLIENT.bare), policy=HTTP_POLICY)[0] is Fault.NOT_WHITELISTED

    def test_an_empty_whitelist_hears_nobody(self) -> None:
        nobody = replace(HTTP_POLICY, plain_http=PlainHttp(whitelist=()))
        assert refused(PLAIN_PEER, (HEADER, CLIENT.bare), policy=nobody)[0] is Fault.NOT_WHITELISTED

    def test_the_default_whitelist_is_this_machine(self) -> None:
        policy = replace(HTTP_POLICY, plain_http=PlainHttp())
        assert who(replace(PLAIN_PEER, address="127.0.0.1"), *INTERNAL, policy=policy).hsa_id == "SE1-INNER"
        refused(replace(PLAIN_PEER, address="127.0.0.10"), *INTERNAL, policy=policy)

    def test_a_component_of_this_platform_says_who_calls(self) -> None:
        caller = who(PLAIN_PEER, *INTERNAL, ("X-Forwarded-For", "192.0.2.9"), policy=HTTP_POLICY)
        assert caller == Caller("SE1-INNER", Way.HTTP_INTERNAL, "192.0.2.9")

    @pytest.mark.parametrize("instance", ["SE1-ELSEWHERE", "", PLATFORM.lower()])
    def test_of_another_platform_it_does_not(self, instance: str) -> None:
        headers = (("x-vp-sender-id", "SE1-INNER"), ("x-vp-instance-id", instance))

        assert who(PLAIN_PEER, *headers, (HEADER, CLIENT.bare), policy=HTTP_POLICY).way is Way.HTTP_CERTIFICATE
        assert refused(PLAIN_PEER, *headers, policy=HTTP_POLICY)[1] == f"No certificate found in httpheader {HEADER}"

    @pytest.mark.parametrize("said", ["192.0.2.9", "192.0.2.9, 192.0.2.10", "192.0.2.9:5000", "[2001:db8::1]:80"])
    def test_an_internal_call_comes_by_whitelisted_hops(self, said: str) -> None:
        assert who(PLAIN_PEER, *INTERNAL, ("x-forwarded-for", said), policy=HTTP_POLICY).way is Way.HTTP_INTERNAL

    @pytest.mark.parametrize("said", ["", "10.0.0.1", "192.0.2.9, 10.0.0.1", "192.0.2.9,", "192.0.2", "unknown"])
    def test_or_is_refused_for_the_header_that_says_otherwise(self, said: str) -> None:
        assert refused(PLAIN_PEER, *INTERNAL, ("X-Forwarded-For", said), policy=HTTP_POLICY) == (
            Fault.NOT_WHITELISTED,
            f"Caller was not on the white list of accepted IP-addresses.  IP-address: {said}. HTTP header that caused "
            "checking: X-Forwarded-For",
        )

    def test_a_certificate_comes_by_any_hops(self) -> None:
        """The incumbent does not look at them there."""
        headers = ((HEADER, CLIENT.bare), ("X-Forwarded-For", "10.0.0.1"))
        assert who(PLAIN_PEER, *headers, policy=HTTP_POLICY) == Caller("SE1-CLIENT", Way.HTTP_CERTIFICATE, "10.0.0.1")

    def test_a_certificate_is_verified_here_too(self) -> None:
        forged = make("client", "forger", hsa_id="SE1-CLIENT")
        assert "not trusted" in refused(PLAIN_PEER, (HEADER, forged.bare), policy=HTTP_POLICY)[1]
        fault, detail = refused(PLAIN_PEER, (HEADER, CLIENT.bare), policy=HTTP_POLICY, is_revoked=lambda one: True)
        assert (fault, detail) == (Fault.NO_SENDER, "The client certificate of SE1-CLIENT is revoked")

    @pytest.mark.parametrize("hsa_id", ["", "SE1\u00a0", "SE1\x00", "x" * 501])
    def test_a_name_that_is_none_is_nobody(self, hsa_id: str) -> None:
        headers = (("x-vp-sender-id", hsa_id), ("x-vp-instance-id", PLATFORM))
        assert refused(PLAIN_PEER, *headers, policy=HTTP_POLICY)[0] is Fault.NO_SENDER


ANOTHER_SPELLING = {
    "underscores": "x_vp_auth_cert",
    "mixed": "X-Vp_Auth.Cert",
    "trailing dot": "x-vp-auth-cert.",
    "trailing blank": "x-vp-auth-cert ",
    "NUL": "x-vp-auth-cert\x00",
    "zero width": "x-vp-auth-cert\u200b",
    "wide letters": "ｘ-vp-auth-cert",
}


class TestSpellings:
    @pytest.mark.parametrize("name", ANOTHER_SPELLING.values(), ids=ANOTHER_SPELLING)
    @pytest.mark.parametrize(("peer", "policy"), [(PROXY_PEER, POLICY), (PLAIN_PEER, HTTP_POLICY)], ids=["tls", "http"])
    def test_another_spelling_is_refused_alone_and_beside_the_right_one(
        self, name: str, peer: Peer, policy: Policy
    ) -> None:
        assert refused(peer, (name, CLIENT.bare), policy=policy)[0] is Fault.NO_SENDER
        both = ((HEADER, CLIENT.bare), (name, OTHER.bare))
        for headers in (both, both[::-1]):
            fault, detail = refused(peer, *headers, policy=policy)
            assert (fault, "must stand once" in detail) == (Fault.NO_SENDER, True)

    @pytest.mark.parametrize("second", [CLIENT.bare, OTHER.bare, ""])
    def test_twice_is_refused(self, second: str) -> None:
        assert refused(PROXY_PEER, (HEADER, CLIENT.bare), (HEADER, second))[0] is Fault.NO_SENDER
        assert refused(PROXY_PEER, (HEADER, second), (HEADER.title(), CLIENT.bare))[0] is Fault.NO_SENDER

    def test_two_joined_with_a_comma_are_refused(self) -> None:
        assert refused(PROXY_PEER, (HEADER, f"{CLIENT.bare},{OTHER.bare}")) == (
            Fault.NO_SENDER,
            f"More than one certificate found in httpheader {HEADER}",
        )

    @pytest.mark.parametrize("twice", ["x-vp-sender-id", "x-vp-instance-id"])
    @pytest.mark.parametrize("spelled", ["{}", "{}_", "{}."])
    def test_an_internal_call_says_it_once(self, twice: str, spelled: str) -> None:
        headers = (*INTERNAL, (spelled.format(twice), "SE1-FORGED"))
        assert refused(PLAIN_PEER, *headers, policy=HTTP_POLICY)[0] is Fault.NO_SENDER

    def test_a_header_that_is_spelled_with_underscores_can_be_the_one(self) -> None:
        apache = replace(POLICY, proxies={HsaId(PROXY): "SSL_CLIENT_CERT"})
        assert who(PROXY_PEER, ("ssl_client_cert", CLIENT.bare), policy=apache).hsa_id == "SE1-CLIENT"
        refused(PROXY_PEER, ("SSL-CLIENT-CERT", CLIENT.bare), policy=apache)


NAMES = [HEADER, "x-ssl-cert", "x-vp-sender-id", "x-vp-instance-id", "x-forwarded-for", "x-fk-auth-cert"]
FORGED = make("client", "forger", hsa_id="SE1-FORGED").bare
VALUES = [CLIENT.bare, OTHER.bare, CLIENT.pem.replace("\n", " "), FORGED, "SE1-FORGED", PLATFORM, "192.0.2.1", ""]
MUTATIONS = st.tuples(
    st.integers(0, 20), st.integers(0, 2), st.text(st.sampled_from("-_. \t\x00,;KſxXéa1"), max_size=2)
)


@st.composite
def mutated(draw: st.DrawFn, seeds: list[str]) -> str:
    text = draw(st.sampled_from(seeds))
    if draw(st.booleans()):
        text = draw(st.sampled_from([str.upper, str.title, str.swapcase]))(text) if len(text) < 100 else text
    for place, length, more in draw(st.lists(MUTATIONS, max_size=1)):
        start = place % (len(text) + 1)
        text = text[:start] + more + text[start + length :]
    return text


HEADERS = st.lists(st.tuples(mutated(NAMES), mutated(VALUES)), max_size=4)
ORDINARY = Peer(ADDRESS, sender("SE1-A"))
NAMELESS = Peer(ADDRESS, None, problem="No senderId found in Certificate: CN=x")


def named(headers: list[tuple[str, str]], name: str) -> list[str]:
    return [value.strip(" \t") for key, value in headers if key.isascii() and key.lower() == name]


@given(headers=HEADERS)
def test_over_tls_nobody_is_ever_who_a_header_alone_says(headers: list[tuple[str, str]]) -> None:
    assert who(ORDINARY, *headers, policy=HTTP_POLICY).hsa_id == "SE1-A"
    assert refused(NAMELESS, *headers, policy=HTTP_POLICY)[0] is Fault.NO_SENDER
    for peer, header in ((PROXY_PEER, HEADER), (NGINX_PEER, "x-ssl-cert")):
        try:
            caller = who(peer, *headers, policy=HTTP_POLICY)
        except Refused as error:
            assert error.fault is Fault.NO_SENDER
        else:
            (value,) = named(headers, header)
            assert caller.hsa_id in ("SE1-CLIENT", "SE1-OTHER")
            assert value in VALUES or caller.hsa_id == "SE1-CLIENT" or OTHER.bare in value


@given(headers=HEADERS)
def test_on_plain_http_nobody_is_heard_without_the_switch(headers: list[tuple[str, str]]) -> None:
    safe = replace(HTTP_POLICY, insecure=Insecure())
    assert refused(PLAIN_PEER, *headers, policy=safe)[0] is Fault.NOT_WHITELISTED


@given(headers=HEADERS)
def test_on_plain_http_only_a_verified_certificate_or_one_whole_internal_word_names_the_sender(
    headers: list[tuple[str, str]],
) -> None:
    try:
        caller = who(PLAIN_PEER, *headers, policy=HTTP_POLICY)
    except Refused as error:
        assert error.fault in (Fault.NO_SENDER, Fault.NOT_WHITELISTED)
        return
    if caller.way is Way.HTTP_INTERNAL:
        assert named(headers, "x-vp-instance-id") == [PLATFORM]
        assert named(headers, "x-vp-sender-id") == [caller.hsa_id]
    else:
        assert len(named(headers, HEADER)) == 1
        assert caller.hsa_id in ("SE1-CLIENT", "SE1-OTHER")
