"""What is wrong with the certificate chain that a server shows: everything at once, not only what comes first."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from rivta.onboarding.findings import Finding, fail, ok, warn
from rivta.tls.sender import NoSenderId, sender_from_certificate, subject_text

_SOON = timedelta(days=30)
_MIN_RSA_BITS = 2048
_MIN_EC_BITS = 256
_WEAK_HASHES = ("md5", "sha1")
_MOST_LINKS = 10


@dataclass(frozen=True, slots=True)
class Shown:
    """The chain that a server sent, its own certificate first."""

    leaf: x509.Certificate
    others: tuple[x509.Certificate, ...]
    der: bytes
    """Of its own certificate."""

    @classmethod
    def read(cls, chain: Sequence[bytes]) -> Shown:
        """Raises ValueError when there is none or one cannot be read."""
        if not chain:
            raise ValueError("the server sent no certificate")
        leaf, *others = (x509.load_der_x509_certificate(der) for der in chain)
        return cls(leaf, tuple(others), chain[0])

    @property
    def hsa_id(self) -> str | None:
        """The HSA-id in its subject; None when there is none."""
        try:
            return sender_from_certificate(self.der).hsa_id
        except NoSenderId:
            return None


def check_certificate(
    shown: Shown, *, host: str, trusted: Sequence[x509.Certificate], now: datetime
) -> Iterator[Finding]:
    """Chain, host name, validity, key, purpose and HSA-id, each by itself. `trusted`: the CAs to trust."""
    yield _chain(shown, trusted)
    yield _host_name(shown.leaf, host)
    yield _validity(shown.leaf, now)
    yield _key(shown.leaf)
    yield _purpose(shown.leaf)
    yield _hsa_id(shown)


def _chain(shown: Shown, trusted: Sequence[x509.Certificate]) -> Finding:
    step = "chain"
    certificate, path = shown.leaf, [shown.leaf]
    while certificate not in trusted and len(path) <= _MOST_LINKS:
        issuer = next((one for one in (*trusted, *shown.others) if _is_issued_by(certificate, one)), None)
        if issuer is None or issuer in path:
            break
        certificate = issuer
        path.append(issuer)
    named = " <- ".join(subject_text(one.subject) for one in path)
    if certificate in trusted:
        return ok(step, f"leads to a CA that is trusted: {named}")
    if certificate.subject == certificate.issuer:
        if certificate is shown.leaf:
            return fail(
                step,
                f"self-signed: {named}",
                "use a certificate from a CA that the platforms trust (SITHS; for a pair of yours: `rivta cert issue`)",
            )
        return fail(step, f"leads to a root that is not trusted: {named}", _trust_advice(certificate.subject))
    return fail(
        step,
        f"ends at {named}, whose issuer {subject_text(certificate.issuer)} was neither sent nor is trusted",
        f"send the certificate of {subject_text(certificate.issuer)} too, after the server's own; "
        f"or, if that CA should be trusted, name its file with --ca",
    )


def _trust_advice(name: x509.Name) -> str:
    return f"use a certificate from a CA that the platforms trust; or, if {subject_text(name)} is, name it with --ca"


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _host_name(leaf: x509.Certificate, host: str) -> Finding:
    step = "host name"
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return fail(step, "no subjectAltName", f"have {host} in subjectAltName; the common name is not looked at")
    dns = [str(name).lower() for name in names.get_values_for_type(x509.DNSName)]
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    shown = ", ".join((*dns, *addresses)) or "nothing of use"
    try:
        fits = str(ipaddress.ip_address(host)) in addresses
    except ValueError:
        fits = any(_matches(name, host.lower()) for name in dns)
    if fits:
        return ok(step, f"{host} is in subjectAltName ({shown})")
    return fail(
        step,
        f"{host} is not in subjectAltName, which has {shown}",
        f"have {host} in subjectAltName, or give the URL with a name that is there",
    )


def _matches(pattern: str, host: str) -> bool:
    """RFC 9525 section 6.3: a wildcard stands for one whole label, the leftmost."""
    if pattern == host:
        return True
    return pattern.startswith("*.") and pattern.count(".") > 1 and host.partition(".")[2] == pattern[2:]


def _validity(leaf: x509.Certificate, now: datetime) -> Finding:
    step = "validity"
    first, last = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    span = f"valid from {first:%Y-%m-%d} to {last:%Y-%m-%d}"
    if now > last:
        return fail(step, f"{span}: expired {(now - last).days} days ago", "renew it")
    if now < first:
        return fail(step, f"{span}: not valid yet", "use a certificate that is, or set the clock right")
    if last - now < _SOON:
        return warn(step, f"{span}: {(last - now).days} days are left", "renew it")
    return ok(step, span)


def _key(leaf: x509.Certificate) -> Finding:
    step = "key"
    key = leaf.public_key()
    digest = leaf.signature_hash_algorithm
    name = digest.name if digest else "none"
    if isinstance(key, rsa.RSAPublicKey):
        seen = f"RSA of {key.key_size} bits, signed with {name}"
        weak = key.key_size < _MIN_RSA_BITS
    elif isinstance(key, ec.EllipticCurvePublicKey):
        seen = f"{key.curve.name}, signed with {name}"
        weak = key.key_size < _MIN_EC_BITS
    else:
        seen = f"{type(key).__name__}, signed with {name}"
        return warn(step, seen, "use RSA or P-256: many clients know no other")
    if weak or name in _WEAK_HASHES:
        return fail(step, seen, f"use RSA of at least {_MIN_RSA_BITS} bits or P-256, signed with SHA-256")
    return ok(step, seen)


def _purpose(leaf: x509.Certificate) -> Finding:
    step = "purpose"
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return ok(step, "for any purpose (no extended key usage)")
    if ExtendedKeyUsageOID.SERVER_AUTH in usages or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages:
        return ok(step, "serverAuth")
    return fail(step, "not for servers: extended key usage lacks serverAuth", "use a certificate with serverAuth")


def _hsa_id(shown: Shown) -> Finding:
    step = "hsa-id"
    try:
        return ok(step, f"{sender_from_certificate(shown.der).hsa_id} in the subject's serialNumber")
    except NoSenderId as error:
        return warn(step, error.reason, "use a function certificate with the system's HSA-id in serialNumber (2.5.4.5)")
