"""How a certificate, a key or a revocation list of the development CA is made. Nothing here touches a file."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rivta.tls.profiles import CaProfile, FunctionProfile, KeyKind

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_PEM_CRL = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)
_HOST = re.compile(
    r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?", re.IGNORECASE
)
_KEY_USAGES = {
    "digitalSignature": "digital_signature",
    "nonRepudiation": "content_commitment",
    "keyEncipherment": "key_encipherment",
    "dataEncipherment": "data_encipherment",
    "keyAgreement": "key_agreement",
    "keyCertSign": "key_cert_sign",
    "cRLSign": "crl_sign",
}
_EXTENDED_KEY_USAGES = {"serverAuth": ExtendedKeyUsageOID.SERVER_AUTH, "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH}


class RevocationReason(Enum):
    """Why a certificate is revoked, by its name in RFC 5280 section 5.3.1."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"


@dataclass(frozen=True, slots=True)
class Signer:
    """A certificate authority with the key it signs with."""

    certificate: x509.Certificate
    key: PrivateKey


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a function certificate is for."""

    hsa_id: str | None
    """None makes a certificate that no platform can identify, to test with."""
    common_name: str
    organisation: str
    hosts: tuple[str, ...]
    """DNS names and IP addresses; none makes a certificate without subjectAltName, good for a client only."""


@dataclass(frozen=True, slots=True)
class Validity:
    """First and last second of a certificate's life, UTC."""

    not_before: datetime
    not_after: datetime

    def until_no_later_than(self, latest: datetime) -> Validity:
        """This validity, cut at `latest`."""
        return Validity(self.not_before, min(self.not_after, latest))


def make_key(kind: KeyKind) -> PrivateKey:
    """A new private key; 50 to 500 ms for RSA of 2048 bits."""
    if kind is KeyKind.EC_P256:
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=int(kind.value.removeprefix("rsa-")))


def key_to_pem(key: PrivateKey) -> bytes:
    """The key as PKCS#8 without a password: its file's mode protects it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def revocation_lists_from_pem(data: bytes) -> list[x509.CertificateRevocationList]:
    """Every list in `data`, which may hold other things too; none for DER. Raises ValueError for a damaged one."""
    return [x509.load_pem_x509_crl(block) for block in _PEM_CRL.findall(data)]


def key_from_pem(data: bytes) -> PrivateKey:
    """The key in `data`. Raises ValueError when there is none or it is of a kind we do not make."""
    try:
        # The check of RSA numbers takes as long as several handshakes, and these keys are our own.
        key = serialization.load_pem_private_key(data, password=None, unsafe_skip_rsa_key_validation=True)
    except TypeError as error:  # what cryptography raises for a key with a password
        raise ValueError("the key is encrypted") from error
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        raise ValueError("neither an RSA nor an EC key")
    return key


def authority_certificate(
    profile: CaProfile, key: PrivateKey, *, signer: Signer | None, now: datetime
) -> x509.Certificate:
    """The certificate of an authority, signed by `signer`, or by itself when there is none: a root."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, profile.country),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, profile.organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{profile.common_name} {identifier.digest.hex()[:8]}"),
        ]
    )
    issuer_name, issuer_key = (signer.certificate.subject, signer.key) if signer is not None else (name, key)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=profile.days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=profile.path_length), critical=True)
        .add_extension(_key_usage({"keyCertSign", "cRLSign"}), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def function_certificate(
    subject: Subject, key: PrivateKey, signer: Signer, *, validity: Validity, profile: FunctionProfile
) -> x509.Certificate:
    """The certificate of a system. Raises ValueError saying what in `subject` cannot be in a certificate."""
    usages = set(profile.key_usage)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        usages.discard("keyEncipherment")
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject, profile.country))
        .issuer_name(signer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity.not_before)
        .not_valid_after(validity.not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(usages), critical=True)
        .add_extension(_extended_key_usage(profile.extended_key_usage), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False)
    )
    if subject.hosts:
        names = x509.SubjectAlternativeName([general_name(host) for host in subject.hosts])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer.key, hashes.SHA256())


def subject_of(certificate: x509.Certificate) -> Subject:
    """Whom a function certificate made here is for."""

    def attribute(oid: x509.ObjectIdentifier) -> str | None:
        found = certificate.subject.get_attributes_for_oid(oid)
        return str(found[0].value) if found else None

    return Subject(
        hsa_id=attribute(NameOID.SERIAL_NUMBER),
        common_name=attribute(NameOID.COMMON_NAME) or "",
        organisation=attribute(NameOID.ORGANIZATION_NAME) or "",
        hosts=_hosts(certificate),
    )


def general_name(host: str) -> x509.GeneralName:
    """`host` as it stands in a subjectAltName. Raises ValueError when it is neither an IP address nor a DNS name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise ValueError(
            f"host {host!r} is neither an IP address nor a DNS name (write other letters in their xn-- form)"
        )
    return x509.DNSName(host.lower())


def revocation_list(
    signer: Signer, entries: Iterable[x509.RevokedCertificate], *, number: int, now: datetime, days: int
) -> x509.CertificateRevocationList:
    """The signer's list number `number`, due again after `days`."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(signer.certificate.subject)
        .last_update(now)
        .next_update(now + timedelta(days=days))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False)
    )
    for entry in entries:
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(signer.key, hashes.SHA256())


def revoked_entry(serial: int, reason: RevocationReason, now: datetime) -> x509.RevokedCertificate:
    """The entry of one certificate in a revocation list."""
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
    if reason is not RevocationReason.UNSPECIFIED:  # RFC 5280 section 5.3.1: then the reason is left out
        builder = builder.add_extension(x509.CRLReason(x509.ReasonFlags(reason.value)), critical=False)
    return builder.build()


def to_pem(objects: Sequence[x509.Certificate | x509.CertificateRevocationList]) -> bytes:
    """All of them as PEM blocks, in order."""
    return b"".join(item.public_bytes(serialization.Encoding.PEM) for item in objects)


def is_pair(certificate: x509.Certificate, key: PrivateKey) -> bool:
    """Whether the certificate was made for the key."""
    return certificate.public_key() == key.public_key()


def _name(subject: Subject, country: str) -> x509.Name:
    attributes = [
        (NameOID.COUNTRY_NAME, country),
        (NameOID.ORGANIZATION_NAME, subject.organisation),
        (NameOID.COMMON_NAME, subject.common_name),
    ]
    if subject.hsa_id is not None:
        attributes.append((NameOID.SERIAL_NUMBER, subject.hsa_id))
    for oid, value in attributes:
        # RFC 5280 appendix A: ub-serial-number, ub-organization-name and ub-common-name are all 64.
        if not value.strip() or len(value.encode()) > 64 or not value.isprintable():
            raise ValueError(f"{_ATTRIBUTE_WORDS[oid]} {value!r} must be 1 to 64 printable characters")
    return x509.Name([_attribute(oid, value) for oid, value in attributes])


def _attribute(oid: x509.ObjectIdentifier, value: str) -> x509.NameAttribute[str]:
    if oid == NameOID.SERIAL_NUMBER and not _PRINTABLE_STRING.fullmatch(value):
        # A PrintableString in RFC 5280; what does not fit into one travels as UTF-8, as seen in the field.
        return x509.NameAttribute(oid, value, x509.name._ASN1Type.UTF8String)
    return x509.NameAttribute(oid, value)


_ATTRIBUTE_WORDS = {
    NameOID.COUNTRY_NAME: "country",
    NameOID.ORGANIZATION_NAME: "organisation",
    NameOID.COMMON_NAME: "common name",
    NameOID.SERIAL_NUMBER: "HSA-id",
}
_PRINTABLE_STRING = re.compile(r"[A-Za-z0-9 '()+,./:=?-]*")


def _key_usage(usages: set[str]) -> x509.KeyUsage:
    unknown = usages - _KEY_USAGES.keys()
    if unknown:
        raise ValueError(f"key usage {', '.join(sorted(unknown))} is not one of {', '.join(_KEY_USAGES)}")
    return x509.KeyUsage(
        encipher_only=False,
        decipher_only=False,
        **{argument: usage in usages for usage, argument in _KEY_USAGES.items()},
    )


def _extended_key_usage(usages: Sequence[str]) -> x509.ExtendedKeyUsage:
    unknown = [usage for usage in usages if usage not in _EXTENDED_KEY_USAGES]
    if unknown:
        raise ValueError(f"extended key usage {unknown[0]} is not one of {', '.join(_EXTENDED_KEY_USAGES)}")
    return x509.ExtendedKeyUsage(_EXTENDED_KEY_USAGES[usage] for usage in usages)


def _hosts(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in names)
