"""Certificates as no authority of ours makes them, and the revocation lists of somebody else's."""

from __future__ import annotations

import ssl
import subprocess
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from rivta.tls import certificates
from rivta.tls.certificates import PrivateKey, RevocationReason, Signer, Subject, Validity
from rivta.tls.profiles import KeyKind, Profiles

DAY = timedelta(days=1)
_PROFILES = Profiles.shipped()


@dataclass(frozen=True, slots=True)
class Client:
    """A certificate, what is sent with it, and its key; all in one PEM file."""

    certificate: x509.Certificate
    pem: Path

    def context(self, ca: str) -> ssl.SSLContext:
        """A client that shows it, with none of our policy, as the field's oldest are."""
        context = ssl.create_default_context(cafile=ca)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.load_cert_chain(self.pem)
        return context


@dataclass(frozen=True, slots=True)
class Pki:
    """A root and an issuing authority of somebody else."""

    folder: Path
    root: Signer
    issuing: Signer

    @classmethod
    def make(cls, folder: Path) -> Self:
        folder.mkdir()
        now = datetime.now(UTC).replace(microsecond=0) - DAY
        keys = [certificates.make_key(KeyKind.EC_P256) for _ in range(2)]
        root = Signer(certificates.authority_certificate(_PROFILES.root, keys[0], signer=None, now=now), keys[0])
        issuing = Signer(certificates.authority_certificate(_PROFILES.issuing, keys[1], signer=root, now=now), keys[1])
        return cls(folder, root, issuing)

    def write_ca(self, name: str, *authorities: Signer) -> Path:
        """A trust file."""
        file = self.folder / name
        file.write_bytes(certificates.to_pem([one.certificate for one in authorities]))
        return file

    def client(
        self,
        name: str,
        hsa_id: str,
        *,
        signer: Signer | None = None,
        key: PrivateKey | None = None,
        usages: Sequence[str] = ("clientAuth",),
        days: tuple[int, int] = (-1, 30),
        chain: Sequence[Signer] = (),
    ) -> Client:
        """A certificate of the issuing authority, or of `signer`, valid for these days from now; `chain` is sent too."""
        now = datetime.now(UTC)
        key = key or certificates.make_key(KeyKind.EC_P256)
        made = certificates.function_certificate(
            Subject(hsa_id, name, "Another", ()),
            key,
            signer or self.issuing,
            validity=Validity(now + days[0] * DAY, now + days[1] * DAY),
            profile=replace(_PROFILES.function, extended_key_usage=tuple(usages)),
        )
        return self.write_client(name, made, key, chain)

    def write_client(
        self, name: str, certificate: x509.Certificate, key: PrivateKey, chain: Sequence[Signer] = ()
    ) -> Client:
        pem = self.folder / f"{name}.pem"
        sent = [certificate, *(one.certificate for one in chain)]
        pem.write_bytes(certificates.key_to_pem(key) + certificates.to_pem(sent))
        return Client(certificate, pem)

    def write_lists(
        self,
        file: Path,
        number: int,
        *,
        revoked: Sequence[x509.Certificate] = (),
        revoked_authorities: Sequence[x509.Certificate] = (),
        this_update: datetime | None = None,
        days: float = 30,
    ) -> None:
        """Both authorities' lists, as of now, in place of those in `file`."""
        now = (this_update or datetime.now(UTC)).replace(microsecond=0)
        lists = [
            _list(signer, entries, number=number, now=now, until=now + days * DAY)
            for signer, entries in ((self.issuing, _entries(revoked)), (self.root, _entries(revoked_authorities)))
        ]
        unfinished = file.with_suffix(".new")
        unfinished.write_bytes(certificates.to_pem(lists))
        unfinished.replace(file)


def _list(
    signer: Signer, entries: Sequence[x509.RevokedCertificate], *, number: int, now: datetime, until: datetime
) -> x509.CertificateRevocationList:
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=signer.certificate.subject, last_update=now, next_update=until, revoked_certificates=list(entries)
    )
    return builder.add_extension(x509.CRLNumber(number), critical=False).sign(signer.key, hashes.SHA256())


def self_signed(pki: Pki, name: str, hsa_id: str) -> Client:
    key = certificates.make_key(KeyKind.EC_P256)
    itself = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.SERIAL_NUMBER, hsa_id)]
    )
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(itself, itself, key.public_key(), x509.random_serial_number())
    made = builder.not_valid_before(now - DAY).not_valid_after(now + DAY).sign(key, hashes.SHA256())
    return pki.write_client(name, made, key)


def signed_with_sha1(pki: Pki, name: str, hsa_id: str) -> Client:
    """A certificate with a signature that is too weak. OpenSSL makes it: the library refuses to."""
    key = certificates.make_key(KeyKind.EC_P256)
    files = {one: pki.folder / f"{name}-{one}" for one in ("key", "ca", "ca-key", "request", "made")}
    files["key"].write_bytes(certificates.key_to_pem(key))
    files["ca"].write_bytes(certificates.to_pem([pki.issuing.certificate]))
    files["ca-key"].write_bytes(certificates.key_to_pem(pki.issuing.key))
    subject = f"/CN={name}/serialNumber={hsa_id}"
    _openssl("req", "-new", "-key", files["key"], "-subj", subject, "-out", files["request"])
    signing = ("-CA", files["ca"], "-CAkey", files["ca-key"], "-set_serial", "4711", "-sha1", "-days", "9")
    _openssl("x509", "-req", "-in", files["request"], *signing, "-out", files["made"])
    return pki.write_client(name, x509.load_pem_x509_certificate(files["made"].read_bytes()), key)


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=30)


def short_key() -> rsa.RSAPrivateKey:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return rsa.generate_private_key(public_exponent=65537, key_size=1024)


def _entries(revoked: Sequence[x509.Certificate]) -> list[x509.RevokedCertificate]:
    now = datetime.now(UTC)
    return [certificates.revoked_entry(one.serial_number, RevocationReason.UNSPECIFIED, now) for one in revoked]
