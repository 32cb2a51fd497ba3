"""Revocation lists for tests: good ones with what they are to say, and all that can be wrong with a file of them."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from rivta.tls import certificates
from rivta.tls.authority import Authority, Issued
from rivta.tls.certificates import RevocationReason, Signer
from rivta.tls.sender import Sender, sender_from_certificate

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def sender_of(issued: Issued) -> Sender:
    pem = issued.certificate.read_bytes()
    return sender_from_certificate(x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER))


def issue(authority: Authority, name: str) -> Issued:
    return authority.issue(name, hsa_id=f"SE1-{name}", common_name=name, organisation="O", hosts=["localhost"])


def write_lists(own: Authority, *lists: tuple[Any, ...]) -> None:
    """Lists of (authority, number, thisUpdate, days, revoked serial numbers ...), in this order."""
    made = []
    for name, number, this_update, days, *serials in lists:
        entries = [certificates.revoked_entry(serial, RevocationReason.UNSPECIFIED, NOW) for serial in serials]
        made.append(
            certificates.revocation_list(signer_of(own, name), entries, number=number, now=this_update, days=days)
        )
    own.crl_file.write_bytes(certificates.to_pem(made))


def signer_of(authority: Authority, name: str) -> Signer:
    pem = authority.ca.read_bytes()
    certificate = x509.load_pem_x509_certificates(pem)[0 if name == "issuing" else 1]
    key = certificates.key_from_pem((authority.folder / "private" / f"{name}.key").read_bytes())
    return Signer(certificate, key)


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


def half_of_the_second_list(own: Authority, other: Authority) -> None:
    own.crl_file.write_bytes(own.crl_file.read_bytes()[:-200])


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
    (half_of_the_second_list, r"crl\.pem: damaged: it ends within a list"),
    (empty_list, r"crl\.pem: damaged, or not a revocation list"),
    (no_list, r"crl\.pem: cannot be read: No such file or directory; .*`rivta cert crl`"),
    (no_authorities, r"ca\.pem: no readable certificates"),
]
