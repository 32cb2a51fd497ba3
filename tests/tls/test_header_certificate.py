"""A certificate in a header identifies its subject only if a handshake would have taken it."""

import base64
import urllib.parse
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from rivta.tls.authority import Authority
from rivta.tls.contexts import TlsSetupError
from rivta.tls.header_certificate import BadHeaderCertificate, Flaw, HeaderCertificates
from tests.tls.hierarchy import CLIENT, DAY, ISSUING, NOW, OTHER, ROOT, Made, make


def key_usage(*usages: str) -> x509.KeyUsage:
    names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    names += ["key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{name: name in usages for name in names})


def purposes(*oids: x509.ObjectIdentifier) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage(oids)


SERVER_ONLY = purposes(ExtendedKeyUsageOID.SERVER_AUTH)
SAYS_NO_AUTHORITY = x509.BasicConstraints(ca=False, path_length=None)


def trusting(*authorities: Made, checked: bool = True) -> HeaderCertificates:
    return HeaderCertificates([one.certificate for one in authorities], checked=checked)


def flaw_of(value: str, certificates: HeaderCertificates | None = None, **how: bool) -> Flaw:
    with pytest.raises(BadHeaderCertificate) as refused:
        (certificates or trusting(ROOT, ISSUING)).sender(value, now=NOW, **how)
    return refused.value.flaw


def one_line(pem: str) -> str:
    return pem.replace("\n", "")


FORMS = {
    "PEM in one line": one_line(CLIENT.pem),
    "PEM with blanks for line ends": CLIENT.pem.replace("\n", " ").strip(),
    "PEM with tabs and line ends": CLIENT.pem.replace("\n", "\n\t"),
    "base64 of DER": CLIENT.bare,
    "base64 of DER, folded": CLIENT.bare[:60] + " " + CLIENT.bare[60:],
    "a chain as Traefik writes it": f"{CLIENT.bare},{ISSUING.bare},{ROOT.bare}",
    "a chain with a blank after the comma": f"{CLIENT.bare}, {ISSUING.bare}",
    "a chain of PEM": one_line(CLIENT.pem + ISSUING.pem),
    "the longest chain": CLIENT.bare + f",{ISSUING.bare}" * 9,
}


@pytest.mark.parametrize("value", FORMS.values(), ids=FORMS)
def test_each_form_that_proxies_write_is_read(value: str) -> None:
    assert trusting(ROOT, ISSUING).sender(value, now=NOW).hsa_id == "SE1-CLIENT"


@pytest.mark.parametrize("safe", ["", "+=/", "-"])
def test_what_is_escaped_as_in_a_url_is_read_only_where_it_may_be(safe: str) -> None:
    escaped = urllib.parse.quote(CLIENT.pem, safe=safe)

    assert trusting(ISSUING).sender(escaped, now=NOW, may_be_escaped=True).hsa_id == "SE1-CLIENT"
    assert flaw_of(escaped) is Flaw.UNKNOWN_FORM


def test_reading_an_escaped_one_does_not_let_it_in_elsewhere() -> None:
    certificates = trusting(ISSUING)
    escaped = urllib.parse.quote(CLIENT.pem)
    certificates.sender(escaped, now=NOW, may_be_escaped=True)

    assert flaw_of(escaped, certificates) is Flaw.UNKNOWN_FORM


NOT_CERTIFICATES = {
    "nothing": ("", Flaw.UNKNOWN_FORM),
    "a name": ("CN=client,SERIALNUMBER=SE1-CLIENT", Flaw.UNKNOWN_FORM),
    "an Envoy header": (f'Hash=00;Cert="{urllib.parse.quote(CLIENT.pem)}"', Flaw.UNKNOWN_FORM),
    "PEM without its end": (CLIENT.pem.partition("-----END")[0], Flaw.UNKNOWN_FORM),
    "text before the PEM": ("x" + CLIENT.pem, Flaw.UNREADABLE),
    "text after the PEM": (CLIENT.pem + "x", Flaw.UNREADABLE),
    "a PEM of nothing": ("-----BEGIN CERTIFICATE----------END CERTIFICATE-----", Flaw.UNREADABLE),
    "no base64": ("-----BEGIN CERTIFICATE-----å-----END CERTIFICATE-----", Flaw.UNREADABLE),
    "base64 of the wrong length": (CLIENT.bare[:-1].rstrip("="), Flaw.UNREADABLE),
    "half a certificate": (CLIENT.bare[:200], Flaw.UNREADABLE),
    "more behind it": (base64.b64encode(base64.b64decode(CLIENT.bare) + b"x").decode(), Flaw.UNREADABLE),
    "a chain that ends in a comma": (CLIENT.bare + ",", Flaw.UNREADABLE),
    "something in it": (CLIENT.bare[:60] + "!" + CLIENT.bare[60:], Flaw.UNREADABLE),
    "eleven certificates": (CLIENT.bare + f",{ISSUING.bare}" * 10, Flaw.UNREADABLE),
    "65,537 characters": (CLIENT.bare + " " * (65_537 - len(CLIENT.bare)), Flaw.UNREADABLE),
    "a megabyte": ("MII" + "A" * 1_000_000, Flaw.UNREADABLE),
}  # fmt: skip


@pytest.mark.parametrize(("value", "flaw"), NOT_CERTIFICATES.values(), ids=NOT_CERTIFICATES)
def test_anything_else_is_refused_for_what_it_is(value: str, flaw: Flaw) -> None:
    assert flaw_of(value) is flaw


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize(
    "value",
    [
        f"{CLIENT.bare},{OTHER.bare}",
        f"{CLIENT.bare},{ISSUING.bare},{OTHER.bare}",
        one_line(CLIENT.pem + OTHER.pem),
        f"{CLIENT.bare},{make('other', 'issuing', SAYS_NO_AUTHORITY, hsa_id='SE1-OTHER').bare}",
    ],
    ids=["side by side", "behind its authority", "PEM", "says that it is no authority"],
)
def test_two_clients_joined_by_a_proxy_are_nobody(value: str, checked: bool) -> None:
    assert flaw_of(value, trusting(ROOT, ISSUING, checked=checked)) is Flaw.SEVERAL


def test_a_certificate_without_an_hsa_id_is_nobody() -> None:
    assert flaw_of(make("nameless", "issuing").bare) is Flaw.NO_SENDER_ID


TRUSTED = {
    "by the root, with the chain": ((CLIENT, ISSUING), (ROOT,)),
    "by the issuing authority alone": ((CLIENT,), (ISSUING,)),
    "for clients": ((make("a", "issuing", purposes(ExtendedKeyUsageOID.CLIENT_AUTH), hsa_id="SE1"),), (ISSUING,)),
    "with a key that agrees": ((make("a", "issuing", key_usage("key_agreement"), hsa_id="SE1"),), (ISSUING,)),
    "in its first second": ((make("a", "issuing", hsa_id="SE1", valid=(NOW, NOW + DAY)),), (ISSUING,)),
    "in its last second": ((make("a", "issuing", hsa_id="SE1", valid=(NOW - DAY, NOW)),), (ISSUING,)),
    "for both directions": (
        (
            make("a", "issuing", key_usage("digital_signature", "key_encipherment"),
                 purposes(ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH), hsa_id="SE1"),
        ),
        (ISSUING,),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("chain", "authorities"), TRUSTED.values(), ids=TRUSTED)
def test_what_a_handshake_would_take_is_taken(chain: Sequence[Made], authorities: Sequence[Made]) -> None:
    assert trusting(*authorities).sender(",".join(one.bare for one in chain), now=NOW).hsa_id


def _below(issuer: str, authority: Made) -> tuple[tuple[Made, ...], tuple[Made, ...]]:
    return (make("x", issuer, hsa_id="SE1"), authority), (ROOT,)


NOT_TRUSTED = {
    "the authority is missing": ((CLIENT,), (ROOT,)),
    "nobody is trusted": ((CLIENT, ISSUING, ROOT), ()),
    "another authority of the same name": ((make("client", "issuing", hsa_id="SE1", signed_by="forger"),), (ISSUING,)),
    "self-signed": ((make("self", "self", hsa_id="SE1"),), (ROOT, ISSUING)),
    "expired": ((make("old", "issuing", hsa_id="SE1", valid=(NOW - 2 * DAY, NOW - DAY)),), (ISSUING,)),
    "not yet valid": ((make("new", "issuing", hsa_id="SE1", valid=(NOW + DAY, NOW + 2 * DAY)),), (ISSUING,)),
    "for servers only": ((make("server", "issuing", SERVER_ONLY, hsa_id="SE1"),), (ISSUING,)),
    "key only for encryption": ((make("k", "issuing", key_usage("key_encipherment"), hsa_id="SE1"),), (ISSUING,)),
    "authority expired": _below("late", make("late", "root", is_authority=True, valid=(NOW - 2 * DAY, NOW - DAY))),
    "authority for servers only": _below("web", make("web", "root", SERVER_ONLY, is_authority=True)),
    "authority that may not sign": _below("mute", make("mute", "root", key_usage("crl_sign"), is_authority=True)),
    "authority forged": _below("fake", make("fake", "root", is_authority=True, signed_by="forger")),
}


@pytest.mark.parametrize(("chain", "authorities"), NOT_TRUSTED.values(), ids=NOT_TRUSTED)
def test_what_a_handshake_would_refuse_is_refused(chain: Sequence[Made], authorities: Sequence[Made]) -> None:
    assert flaw_of(",".join(one.bare for one in chain), trusting(*authorities)) is Flaw.NOT_TRUSTED


def test_a_short_key_is_refused_as_in_a_handshake() -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
    assert flaw_of(make("short", "issuing", hsa_id="SE1", key=short).bare) is Flaw.NOT_TRUSTED


def test_a_client_cannot_sign_for_another() -> None:
    forged = make("forged", "client", hsa_id="SE1-FORGED")

    assert flaw_of(forged.bare, trusting(CLIENT, ISSUING, ROOT)) is Flaw.NOT_TRUSTED


@pytest.mark.parametrize(("chain", "authorities"), NOT_TRUSTED.values(), ids=NOT_TRUSTED)
def test_unchecked_believes_any_of_them(chain: Sequence[Made], authorities: Sequence[Made]) -> None:
    assert trusting(*authorities, checked=False).sender(chain[0].bare, now=NOW).hsa_id


def test_the_reason_names_the_date_and_not_the_certificate() -> None:
    old = make("old", "issuing", hsa_id="SE1-SECRET", valid=(NOW - 2 * DAY, NOW - DAY))
    with pytest.raises(BadHeaderCertificate, match="it has expired \\(2026-11-23 12:00 UTC\\)") as refused:
        trusting(ISSUING).sender(old.bare, now=NOW)
    assert "SE1-SECRET" not in str(refused.value)


def test_one_that_is_known_is_still_looked_at_for_its_dates() -> None:
    certificates = trusting(ISSUING)
    certificates.sender(CLIENT.bare, now=NOW)

    with pytest.raises(BadHeaderCertificate, match="has expired"):
        certificates.sender(CLIENT.bare, now=NOW + 2 * DAY)


def test_one_that_is_known_ends_with_its_authority() -> None:
    brief = make("brief", "root", is_authority=True, valid=(NOW - DAY, NOW + timedelta(hours=1)))
    value = f"{make('x', 'brief', hsa_id='SE1').bare},{brief.bare}"
    certificates = trusting(ROOT)
    certificates.sender(value, now=NOW)

    with pytest.raises(BadHeaderCertificate) as refused:
        certificates.sender(value, now=NOW + timedelta(hours=2))
    assert refused.value.flaw is Flaw.NOT_TRUSTED


@pytest.mark.parametrize("young", ["leaf", "authority"])
def test_one_that_is_known_is_not_taken_before_its_time(young: str) -> None:
    """A clock that is set right goes back."""
    old, new = (NOW - DAY, NOW + DAY), (NOW, NOW + DAY)
    authority = make("young", "root", is_authority=True, valid=new if young == "authority" else old)
    leaf = make("x", "young", hsa_id="SE1", valid=new if young == "leaf" else old)
    certificates, value = trusting(ROOT), f"{leaf.bare},{authority.bare}"
    certificates.sender(value, now=NOW)

    with pytest.raises(BadHeaderCertificate) as refused:
        certificates.sender(value, now=NOW - timedelta(seconds=1))
    assert refused.value.flaw is Flaw.NOT_TRUSTED


def test_no_more_are_remembered_than_a_thousand() -> None:
    certificates = trusting(ISSUING)
    for blanks in range(1100):
        certificates.sender(CLIENT.bare + " " * blanks, now=NOW)

    assert len(certificates._remembered) == 1000


def test_authorities_come_from_the_files_of_the_trust_store(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue("behind-proxy", hsa_id="SE1-BEHIND", common_name="x", organisation="O", hosts=[])
    certificates = HeaderCertificates.load([authority.folder / "ca.pem"])
    leaf = issued.certificate.read_text().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----"

    assert certificates.sender(leaf, now=datetime.now(UTC)).hsa_id == "SE1-BEHIND"
    (tmp_path / "no.pem").write_text("no certificate")
    with pytest.raises(TlsSetupError, match=r"no\.pem"):
        HeaderCertificates.load([tmp_path / "no.pem"])


SEEDS = [*FORMS.values(), urllib.parse.quote(CLIENT.pem), f"{CLIENT.bare},{OTHER.bare}"]


@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 30), st.text(max_size=8)), max_size=4),
)
def test_a_mutated_header_is_its_own_sender_or_refused(seed: str, edits: list[tuple[int, int, str]]) -> None:
    value = seed
    for place, length, text in edits:
        start = place % (len(value) + 1)
        value = value[:start] + text + value[start + length :]
    for checked in (True, False):
        try:
            sender = trusting(ROOT, ISSUING, checked=checked).sender(value, now=NOW, may_be_escaped=True)
        except BadHeaderCertificate as refused:
            assert str(refused)
        else:
            assert not checked or sender.hsa_id == "SE1-CLIENT"


@given(place=st.integers(min_value=0), value=st.integers(0, 255))
def test_a_damaged_certificate_is_nobody(place: int, value: int) -> None:
    der = bytearray(base64.b64decode(CLIENT.bare))
    place %= len(der)
    if der[place] == value:
        return
    der[place] = value

    assert flaw_of("-----BEGIN CERTIFICATE-----" + base64.b64encode(der).decode() + "-----END CERTIFICATE-----")
