"""Which certificates are revoked, from lists whose signatures hold."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from rivta.tls import certificates
from rivta.tls.authority import Authority
from rivta.tls.certificates import RevocationReason, Signer
from rivta.tls.revocation import RevocationError, Revocations
from tests.tls.hierarchy import ISSUING, ROOT, key_of, make
from tests.tls.lists import NOW, SPOILED, Spoil, issue, sender_of, signer_of, write_lists


def test_only_the_revoked_certificate_is_revoked(own: Authority) -> None:
    good, bad = issue(own, "good"), issue(own, "bad")
    own.revoke("bad", RevocationReason.KEY_COMPROMISE)

    revocations = Revocations.load(own.crl_file, own.ca)

    assert not revocations.is_revoked(sender_of(good).issuer_key, good.serial)
    assert revocations.is_revoked(sender_of(bad).issuer_key, bad.serial)
    assert len(revocations) == 1


def test_the_same_serial_number_of_another_authority_is_not_revoked(own: Authority, other_authority: Authority) -> None:
    bad = issue(own, "bad")
    own.revoke("bad")
    other = sender_of(issue(other_authority, "good"))

    revocations = Revocations.load(own.crl_file, own.ca)

    assert not revocations.is_revoked(other.issuer_key, bad.serial)
    assert revocations.doubt(other.issuer_key, NOW) == "there is no readable revocation list of its issuer"
    assert revocations.doubt(sender_of(bad).issuer_key, NOW) == ""


def test_all_certificates_of_a_revoked_authority_are_revoked(own: Authority) -> None:
    issued = issue(own, "x")
    root, issuing = signer_of(own, "root"), signer_of(own, "issuing")
    entry = certificates.revoked_entry(issuing.certificate.serial_number, RevocationReason.UNSPECIFIED, NOW)
    own.crl_file.write_bytes(
        certificates.to_pem([certificates.revocation_list(root, [entry], number=2, now=NOW, days=1)])
    )

    assert Revocations.load(own.crl_file, own.ca).is_revoked(sender_of(issued).issuer_key, issued.serial)


def test_so_are_those_of_the_authorities_below_it(tmp_path: Path) -> None:
    lower = make("lower", "issuing", is_authority=True)
    trusted, list_file = tmp_path / "ca.pem", tmp_path / "crl.pem"
    trusted.write_text(lower.pem + ISSUING.pem + ROOT.pem)
    entry = certificates.revoked_entry(ISSUING.certificate.serial_number, RevocationReason.UNSPECIFIED, NOW)
    root = Signer(ROOT.certificate, key_of("root"))
    list_file.write_bytes(certificates.to_pem([certificates.revocation_list(root, [entry], number=1, now=NOW, days=1)]))

    revocations = Revocations.load(list_file, trusted)

    assert revocations.is_revoked(lower.certificate.subject.public_bytes(), 1)
    assert not revocations.is_revoked(ROOT.certificate.subject.public_bytes(), 1)


def scoped_list(own: Authority, serial: int, **scope: Any) -> x509.CertificateRevocationList:
    """A list of the issuing authority for a part of its certificates."""
    signer = signer_of(own, "issuing")
    names: dict[str, Any] = {"full_name": None, "relative_name": None, "only_some_reasons": None}
    flags = ("only_contains_user_certs", "only_contains_ca_certs", "indirect_crl", "only_contains_attribute_certs")
    point = x509.IssuingDistributionPoint(**{**names, **dict.fromkeys(flags, False), **scope})
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(signer.certificate.subject)
        .last_update(NOW)
        .next_update(NOW + timedelta(days=1))
        .add_extension(point, critical=True)
        .add_revoked_certificate(certificates.revoked_entry(serial, RevocationReason.UNSPECIFIED, NOW))
        .sign(signer.key, hashes.SHA256())
    )


def test_lists_for_parts_of_an_authoritys_certificates_count_together(own: Authority) -> None:
    first, second = issue(own, "first"), issue(own, "second")
    places = [[x509.UniformResourceIdentifier(f"http://ca.test/{n}")] for n in range(2)]
    lists = [scoped_list(own, one.serial, full_name=at) for one, at in zip((first, second), places, strict=True)]
    own.crl_file.write_bytes(certificates.to_pem(lists))

    revocations = Revocations.load(own.crl_file, own.ca)

    assert all(revocations.is_revoked(sender_of(one).issuer_key, one.serial) for one in (first, second))


@pytest.mark.parametrize(
    "scope", [{"indirect_crl": True}, {"only_some_reasons": frozenset({x509.ReasonFlags.key_compromise})}]
)
def test_a_list_that_does_not_answer_by_itself_is_refused(own: Authority, scope: dict[str, Any]) -> None:
    own.crl_file.write_bytes(certificates.to_pem([scoped_list(own, 1, **scope)]))

    with pytest.raises(RevocationError, match=r"is a partial one \(2\.5\.29\.28\)"):
        Revocations.load(own.crl_file, own.ca)


def test_nobody_can_be_told_from_the_revoked_once_a_list_is_overdue(own: Authority) -> None:
    revocations = Revocations.load(own.crl_file, own.ca)
    key = sender_of(issue(own, "x")).issuer_key

    assert min(one.next_update for one in revocations) == NOW + timedelta(days=30)
    assert revocations.doubt(key, NOW + timedelta(days=30)) == ""
    words = revocations.doubt(key, NOW + timedelta(days=30, seconds=1))
    assert words.startswith("the revocation list of CN=rivta Development Function CA ")
    assert words.endswith(" is overdue since 2026-12-24 12:00 UTC")
    assert revocations.doubts(NOW + timedelta(days=30, seconds=1)) == [words]


def test_an_overdue_list_of_the_root_counts_for_all_below_it(own: Authority) -> None:
    key = sender_of(issue(own, "x")).issuer_key
    write_lists(own, ("issuing", 2, NOW, 30), ("root", 2, NOW, 1))

    words = Revocations.load(own.crl_file, own.ca).doubt(key, NOW + timedelta(days=2))

    assert words.startswith("the revocation list of CN=rivta Development Root CA ")
    assert words.endswith(" is overdue since 2026-11-25 12:00 UTC")


def test_of_two_lists_of_one_authority_in_a_file_the_newer_one_counts(own: Authority) -> None:
    issued = issue(own, "x")
    write_lists(own, ("issuing", 3, NOW, 30, issued.serial), ("root", 2, NOW, 30), ("issuing", 2, NOW, 1))

    revocations = Revocations.load(own.crl_file, own.ca)

    assert revocations.is_revoked(sender_of(issued).issuer_key, issued.serial)
    assert min(one.next_update for one in revocations) == NOW + timedelta(days=30)


def test_a_list_as_der_is_read_too(own: Authority) -> None:
    issued = issue(own, "x")
    entry = certificates.revoked_entry(issued.serial, RevocationReason.SUPERSEDED, NOW)
    crl = certificates.revocation_list(signer_of(own, "issuing"), [entry], number=2, now=NOW, days=1)
    own.crl_file.write_bytes(crl.public_bytes(serialization.Encoding.DER))

    assert Revocations.load(own.crl_file, own.ca).is_revoked(sender_of(issued).issuer_key, issued.serial)


@pytest.mark.parametrize(("spoil", "says"), SPOILED)
def test_a_list_that_cannot_be_trusted_is_refused(
    own: Authority, other_authority: Authority, spoil: Spoil, says: str
) -> None:
    spoil(own, other_authority)

    with pytest.raises(RevocationError, match=says):
        Revocations.load(own.crl_file, own.ca)
