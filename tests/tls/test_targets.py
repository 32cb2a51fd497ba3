"""Which certificate a producer is shown: by host and port, or by name; and what becomes of changed files."""

import logging
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from rivta.tls.authority import Authority, Issued
from rivta.tls.contexts import TlsSetupError, narrow
from rivta.tls.targets import Identities, TlsTarget, UnknownIdentity


@pytest.fixture
def own(authority: Authority, client: Issued) -> TlsTarget:
    return TlsTarget("", client.certificate, client.key, (authority.ca,))


def chosen(own: TlsTarget, targets: list[TlsTarget], url: str) -> str:
    """The name of the target that a URL is called with."""
    identities = Identities(own, targets)
    contexts = {identities.choose("https://nobody.test/", target.name): target.name for target in targets}
    return contexts.get(identities.choose(url), "own")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://a.example.se/x", "domain"),
        ("https://A.Example.SE:8443/x", "domain"),
        ("https://b.example.se/x", "suffix"),
        ("https://example.se/x", "own"),
        ("https://c.port.se/x", "443"),
        ("https://c.port.se:443/x", "443"),
        ("https://c.port.se:8443/x", "8443"),
        ("https://c.port.se:9/x", "own"),
        ("https://both.se/x", "both"),
        ("https://x.other.se/x", "own"),
        ("https://a.example.se./x", "domain"),
        ("https://10.0.0.1/x", "own"),
        ("https://port.se:8443/x", "8443"),
        ("https://evilport.se:8443/x", "own"),
        ("https://a.example.se.evil.se/x", "own"),
        ("https://evilexample.se/x", "own"),
        ("https://a.example.se@evil.se/x", "own"),
        ("https://evil.se#@a.example.se/x", "own"),
        ("https://evil.se?@a.example.se/x", "own"),
        ("https://user:a.example.se@b.example.se/x", "suffix"),
        ("https://räksmörgås.se/x", "idn"),
        ("https://XN--RKSMRGS-5WAO1O.se/x", "idn"),
        ("https://[2001:DB8::1]:8443/x", "v6"),
        ("https://[2001:db8:0:0::1]/x", "v6"),
        ("https://[2001:db8::2]/x", "own"),
    ],
)
def test_the_first_entry_that_matches_host_and_port_is_taken(own: TlsTarget, url: str, name: str) -> None:
    targets = [
        TlsTarget("by name only"),
        TlsTarget("port alone", port=443),
        TlsTarget("domain", domain="a.example.SE"),
        TlsTarget("suffix", domain_suffix=".Example.se"),
        TlsTarget("shadowed", domain="b.example.se"),
        TlsTarget("443", domain="c.port.se", port=443),
        TlsTarget("8443", domain_suffix="port.se", port=8443),
        TlsTarget("both", domain="both.se", domain_suffix=".other.se"),
        TlsTarget("idn", domain="Räksmörgås.se."),
        TlsTarget("v6", domain="[2001:db8::0:1]"),
    ]
    assert chosen(own, targets, url) == name


@given(st.from_regex(r"[A-Za-z0-9.@:/\\#?%\[\]_-]{1,30}", fullmatch=True))
@settings(derandomize=True, deadline=None)
def test_a_target_is_never_taken_for_another_host_than_the_client_connects_to(authority_part: str) -> None:
    try:
        connects_to = (URL(f"https://{authority_part}/").raw_host or "").rstrip(".")
    except ValueError:
        return
    suffix = TlsTarget("suffix", domain_suffix="example.se")
    assert suffix.matches(connects_to, 443) == (connects_to == "example.se" or connects_to.endswith(".example.se"))


def test_what_a_producer_address_names_wins_over_its_host(own: TlsTarget) -> None:
    identities = Identities(own, [TlsTarget("host", domain="p.test"), TlsTarget("named"), TlsTarget("trust")])
    url = "https://p.test/x"
    by_host, named = identities.choose(url), identities.choose(url, "named")
    assert by_host is identities.choose("https://p.test:8443/y") is identities.choose("https://q.test/", "host")
    assert named is identities.choose("https://q.test/", "named") is not by_host
    for certificate in (None, "named"):
        with_other_trust = identities.choose(url, certificate, "trust")
        assert with_other_trust not in (by_host, named)
        assert with_other_trust is identities.choose("https://p.test/z", certificate, "trust")
    assert identities.choose("https://q.test/") is identities.choose("https://r.test/")


@pytest.mark.parametrize("names", [("none", None), (None, "none"), ("named", "none")])
def test_a_name_that_nobody_has_is_no_context(own: TlsTarget, names: tuple[str | None, str | None]) -> None:
    with pytest.raises(UnknownIdentity, match="no TLS target 'none'; there are named"):
        Identities(own, [TlsTarget("named")]).choose("https://p.test/x", *names)


def test_a_target_has_its_own_trust_or_the_platforms(own: TlsTarget, other_authority: Authority) -> None:
    identities = Identities(own, [TlsTarget("same"), TlsTarget("other", trusted=(other_authority.ca,))])
    trusts = {name: identities.choose("https://p.test/", name).get_ca_certs() for name in ("same", "other")}
    ours = identities.choose("https://p.test/").get_ca_certs()
    assert trusts["same"] == ours
    assert trusts["other"] not in ([], ours)
    assert identities.choose("https://p.test/", ca="other").get_ca_certs() == trusts["other"]


@pytest.mark.parametrize("checked", [True, False])
def test_the_host_is_verified_in_all_of_them_or_in_none(own: TlsTarget, checked: bool) -> None:
    identities = Identities(own, [TlsTarget("named")], check_hostname=checked)
    contexts = [identities.choose("https://p.test/"), identities.choose("https://p.test/", "named")]
    assert [one.check_hostname for one in contexts] == [checked] * 2
    assert [one.verify_mode for one in contexts] == [ssl.CERT_REQUIRED] * 2


def test_a_target_that_cannot_be_used_is_named_at_the_start(own: TlsTarget, tmp_path: Path) -> None:
    bad = TlsTarget("bad", tmp_path / "none.pem", tmp_path / "none.key")
    with pytest.raises(TlsSetupError, match=r"tls\.targets\.bad: .*none\.pem: cannot be read"):
        Identities(own, [bad])


def test_revocation_is_by_the_lists_of_the_trust_that_counts(
    own: TlsTarget, other_authority: Authority, tmp_path: Path
) -> None:
    revoked = other_authority.issue("taken-back", hsa_id="SE1-T", common_name="t", organisation="O", hosts=["p.test"])
    serial = other_authority.revoke(revoked.name)
    authority_key = x509.load_pem_x509_certificate(revoked.certificate.read_bytes()).issuer.public_bytes()
    targets = [TlsTarget("other", trusted=(other_authority.ca,), crl=(other_authority.crl_file,)), TlsTarget("plain")]
    identities = Identities(own, targets, is_revoked=lambda issuer, number: number == 4711)
    other, plain = (identities.choose("https://p.test/", name) for name in ("other", "plain"))
    assert other.is_revoked(authority_key, serial)
    assert not other.is_revoked(authority_key, 4711)
    assert not plain.is_revoked(authority_key, serial)
    assert plain.is_revoked(authority_key, 4711)
    assert identities.is_revoked(authority_key, serial)
    assert identities.is_revoked(authority_key, 4711)


async def test_changed_files_make_new_contexts_and_bad_ones_change_nothing(
    own: TlsTarget, client: Issued, server: Issued, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pem, key = tmp_path / "t.pem", tmp_path / "t.key"
    pem.write_bytes(client.certificate.read_bytes())
    key.write_bytes(client.key.read_bytes())
    identities = Identities(own, [TlsTarget("t", pem, key)])
    before = identities.choose("https://p.test/", "t")
    assert not await identities.refresh()
    assert identities.choose("https://p.test/", "t") is before

    pem.write_bytes(server.certificate.read_bytes())  # its key is still on the way
    with caplog.at_level(logging.ERROR):
        await identities.refresh()
        await identities.refresh()
    assert identities.choose("https://p.test/", "t") is before
    assert ["stay: tls.targets.t: " in record.getMessage() for record in caplog.records] == [True]

    key.write_bytes(server.key.read_bytes())
    await identities.refresh()
    assert identities.choose("https://p.test/", "t") is not before


def suites(context: ssl.SSLContext) -> list[str]:
    return [str(one["name"]) for one in context.get_ciphers() if not str(one["name"]).startswith("TLS_")]


def narrowed(own: TlsTarget, **offer: object) -> ssl.SSLContext:
    return Identities(replace(own, **offer)).choose("https://p.test/")  # type: ignore[arg-type]


def test_protocols_and_ciphers_are_those_that_are_named(own: TlsTarget) -> None:
    only = narrowed(own, protocols=("TLSv1.2",), ciphers=("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",))
    assert (only.minimum_version, only.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
    assert suites(only) == ["ECDHE-RSA-AES128-GCM-SHA256"]
    ordered = narrowed(own, ciphers=("ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"))
    assert suites(ordered) == ["ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-ECDSA-CHACHA20-POLY1305"]
    assert ordered.maximum_version == ssl.TLSVersion.TLSv1_2, "TLS 1.3 has none of them"
    newest = narrowed(own, protocols=("TLSv1.3",))
    assert (newest.minimum_version, newest.maximum_version) == (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)


@pytest.mark.parametrize(
    ("offer", "words"),
    [
        ({"protocols": ("TLSv1.1",)}, "protocol TLSv1.1: not among those that may be spoken, TLSv1.2, TLSv1.3"),
        ({"protocols": ("SSLv3",)}, "protocol SSLv3"),
        ({"ciphers": ("RC4-SHA",)}, "cipher RC4-SHA: not among those that may be offered, ECDHE-"),
        ({"ciphers": ("TLS_RSA_WITH_AES_128_CBC_SHA",)}, "cipher TLS_RSA_WITH_AES_128_CBC_SHA: not among"),
        ({"ciphers": ("TLS_AES_128_GCM_SHA256",)}, "those of TLS 1.3 go together"),
        ({"ciphers": ("ECDHE-RSA-AES128-GCM-SHA256",), "protocols": ("TLSv1.3",)}, "none is of the protocols TLSv1.3"),
    ],
)
def test_what_cannot_be_offered_is_refused_at_the_start(own: TlsTarget, offer: dict[str, object], words: str) -> None:
    with pytest.raises(TlsSetupError, match=words):
        narrowed(own, **offer)


def test_old_ciphers_and_protocols_can_be_named_with_the_switch_for_them(own: TlsTarget) -> None:
    old = replace(own, protocols=("TLSv1.1", "TLSv1.2"), ciphers=("TLS_RSA_WITH_AES_128_CBC_SHA",))
    context = Identities(own, [replace(old, name="old")], old_tls=True).choose("https://p.test/", "old")
    assert (context.minimum_version, context.maximum_version) == (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2)
    assert suites(context) == ["AES128-SHA"]
    new = Identities(own, [replace(old, name="new", protocols=("TLSv1.2",), ciphers=())], old_tls=True)
    assert "AES128-SHA" not in suites(new.choose("https://p.test/", "new"))
    gap = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(TlsSetupError, match="those between"):
        narrow(gap, protocols=("TLSv1", "TLSv1.2"), old_tls=True)
