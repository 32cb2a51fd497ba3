"""Certificates of small hierarchies, in any state: what a proxy may hand on in a header."""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@cache
def key_of(name: str) -> ec.EllipticCurvePrivateKey:
    """The key of everybody with that name."""
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Made:
    """A certificate of ours; its key belongs to its name."""

    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def bare(self) -> str:
        return base64.b64encode(self.certificate.public_bytes(Encoding.DER)).decode()


def make(
    name: str,
    issuer: str,
    *extensions: x509.ExtensionType,
    hsa_id: str | None = None,
    is_authority: bool = False,
    valid: tuple[datetime, datetime] = (NOW - DAY, NOW + DAY),
    signed_by: str | None = None,
    key: rsa.RSAPublicKey | None = None,
) -> Made:
    """With another `key` than the one of its name."""
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if hsa_id is not None:
        subject.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, hsa_id))
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key or key_of(name).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
    )
    if is_authority:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return Made(builder.sign(key_of(signed_by or issuer), hashes.SHA256()))


ROOT = make("root", "root", is_authority=True)
ISSUING = make("issuing", "root", is_authority=True)
CLIENT = make("client", "issuing", hsa_id="SE1-CLIENT")
OTHER = make("other", "issuing", hsa_id="SE1-OTHER")
