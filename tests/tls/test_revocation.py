"""Which certificates are revoked, from lists whose signatures hold; a bad list never replaces a good one."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from rivta.tls import certificates
from rivta.tls.authority import Authority, Issued
from rivta.tls.certificates import RevocationReason, Signer
from rivta.tls.profiles import Profiles
from rivta.tls.revocation import Refresh, RevocationError, RevocationFile, Revocations
from rivta.tls.sender import Sender, sender_from_certificate

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def own(folder: Path, quick: Profiles) -> Authority:
    """A CA for one test, so that what it revokes is all there is."""
    return Authority.create(folder, profiles=quick, clock=lambda: NOW)


def sender_of(issued: Issued) -> Sender:
    pem = issued.certificate.read_bytes()
    return sender_from_certificate(x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER))


def issue(authority: Authority, name: str) -> Issued:
    return authority.issue(name, hsa_id=f"SE1-{name}", common_name=name, organisation="O", hosts=["localhost"])


def signer_of(authority: Authority, name: str) -> Signer:
    pem = authority.ca.read_bytes()
    certificate = x509.load_pem_x509_certificates(pem)[0 if name == "issuing" else 1]
    key = certificates.key_from_pem((authority.folder / "private" / f"{name}.key").read_bytes())
    return Signer(certificate, key)


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
    assert not revocations.covers(other.issuer_key)
    assert revocations.covers(sender_of(bad).issuer_key)


def test_all_certificates_of_a_revoked_authority_are_revoked(own: Authority) -> None:
    issued = issue(own, "x")
    root, issuing = signer_of(own, "root"), signer_of(own, "issuing")
    entry = certificates.revoked_entry(issuing.certificate.serial_number, RevocationReason.UNSPECIFIED, NOW)
    own.crl_file.write_bytes(
        certificates.to_pem([certificates.revocation_list(root, [entry], number=2, now=NOW, days=1)])
    )

    assert Revocations.load(own.crl_file, own.ca).is_revoked(sender_of(issued).issuer_key, issued.serial)


def test_a_list_is_stale_after_its_next_update(own: Authority) -> None:
    revocations = Revocations.load(own.crl_file, own.ca)

    assert revocations.next_update == NOW + timedelta(days=30)
    assert not revocations.stale(NOW + timedelta(days=30))
    assert revocations.stale(NOW + timedelta(days=30, seconds=1))


def test_a_list_as_der_is_read_too(own: Authority) -> None:
    issued = issue(own, "x")
    entry = certificates.revoked_entry(issued.serial, RevocationReason.SUPERSEDED, NOW)
    crl = certificates.revocation_list(signer_of(own, "issuing"), [entry], number=2, now=NOW, days=1)
    own.crl_file.write_bytes(crl.public_bytes(serialization.Encoding.DER))

    assert Revocations.load(own.crl_file, own.ca).is_revoked(sender_of(issued).issuer_key, issued.serial)


def foreign_list(own: Authority, other: Authority) -> None:
    shutil.copy(other.crl_file, own.crl_file)


def forged_list(own: Authority, other: Authority) -> None:
    """A list in our issuing CA's name, signed with another CA's key."""
    forger = Signer(signer_of(own, "issuing").certificate, signer_of(other, "issuing").key)
    own.crl_file.write_bytes(certificates.to_pem([certificates.revocation_list(forger, (), number=9, now=NOW, days=9)]))


def delta_list(own: Authority, other: Authority) -> None:
    signer = signer_of(own, "issuing")
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(signer.certificate.subject)
        .last_update(NOW)
        .next_update(NOW + timedelta(days=1))
        .add_extension(x509.DeltaCRLIndicator(1), critical=True)
        .sign(signer.key, hashes.SHA256())
    )
    own.crl_file.write_bytes(certificates.to_pem([crl]))


def half_a_list(own: Authority, other: Authority) -> None:
    own.crl_file.write_bytes(own.crl_file.read_bytes()[:200])


def empty_list(own: Authority, other: Authority) -> None:
    own.crl_file.write_bytes(b"")


def no_list(own: Authority, other: Authority) -> None:
    own.crl_file.unlink()


def no_authorities(own: Authority, other: Authority) -> None:
    own.ca.write_text("-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n")


Spoil = Callable[[Authority, Authority], None]
SPOILED = [
    (
        foreign_list,
        r"crl\.pem: list of CN=rivta Development Function CA \w+,.* is not among the authorities in .*ca\.pem",
    ),
    (forged_list, r"crl\.pem: the signature of the list of .* is wrong"),
    (delta_list, r"crl\.pem: the list of .* is a partial one \(2\.5\.29\.27\)"),
    (half_a_list, r"crl\.pem: damaged, or not a revocation list"),
    (empty_list, r"crl\.pem: damaged, or not a revocation list"),
    (no_list, r"crl\.pem: cannot be read: No such file or directory; .*`rivta cert crl`"),
    (no_authorities, r"ca\.pem: no readable certificates"),
]


@pytest.mark.parametrize(("spoil", "says"), SPOILED)
def test_a_list_that_cannot_be_trusted_is_refused(
    own: Authority, other_authority: Authority, spoil: Spoil, says: str
) -> None:
    spoil(own, other_authority)

    with pytest.raises(RevocationError, match=says):
        Revocations.load(own.crl_file, own.ca)


@pytest.mark.parametrize(("spoil", "says"), SPOILED)
def test_a_bad_file_leaves_the_last_good_list_in_force(
    own: Authority, other_authority: Authority, spoil: Spoil, says: str
) -> None:
    bad = issue(own, "bad")
    own.revoke("bad")
    sender = sender_of(bad)
    watched = RevocationFile(own.crl_file, own.ca)
    kept_crl, kept_ca = own.crl_file.read_bytes(), own.ca.read_bytes()

    spoil(own, other_authority)

    assert watched.refresh() is Refresh.KEPT
    assert watched.current.is_revoked(sender.issuer_key, sender.serial)
    assert watched.problem is not None
    own.crl_file.write_bytes(kept_crl)
    own.ca.write_bytes(kept_ca)
    assert watched.refresh() is Refresh.RELOADED
    assert watched.problem is None


def test_a_new_revocation_is_seen_at_the_next_look(own: Authority) -> None:
    issued = issue(own, "x")
    sender = sender_of(issued)
    watched = RevocationFile(own.crl_file, own.ca)
    assert watched.refresh() is Refresh.UNCHANGED
    assert not watched.current.is_revoked(sender.issuer_key, sender.serial)

    own.revoke("x")

    assert watched.refresh() is Refresh.RELOADED
    assert watched.current.is_revoked(sender.issuer_key, sender.serial)
    assert watched.refresh() is Refresh.UNCHANGED


def test_watching_starts_only_from_a_good_list(own: Authority) -> None:
    own.crl_file.write_bytes(b"")

    with pytest.raises(RevocationError):
        RevocationFile(own.crl_file, own.ca)
