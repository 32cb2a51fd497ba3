"""The certificate of a client whose TLS a proxy in front has ended, handed on in an HTTP header.

A header proves nothing by itself, so the certificate is verified as a handshake would have: its chain, dates, purpose.
What is not seen here is whether the client had the key; for that the proxy's word is taken.
"""

from __future__ import annotations

import base64
import binascii
import re
import urllib.parse
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Self, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from rivta.tls.contexts import TlsSetupError
from rivta.tls.sender import NoSenderId, Sender, sender_from_certificate

_LONGEST = 65_536
_MOST_CERTIFICATES = 10
_REMEMBERED = 1000
_FEWEST_RSA_BITS = 2048

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_BLOCK = re.compile(rf"{_BEGIN}([A-Za-z0-9+/=\s]*){_END}", re.ASCII)
_BETWEEN_BLOCKS = re.compile(r"[\s,]*", re.ASCII)
_BLANKS = re.compile(r"\s+", re.ASCII)
_BARE = "MII"
"""How the base64 of every certificate of 256 bytes and more begins."""


class Flaw(Enum):
    """What is wrong with the certificate in a header."""

    UNKNOWN_FORM = "neither PEM nor base64 of DER"
    UNREADABLE = "cannot be read"
    SEVERAL = "more than one"
    NO_SENDER_ID = "names no sender"
    NOT_TRUSTED = "is not to be trusted"


class BadHeaderCertificate(ValueError):
    """The header's value identifies nobody. Its text says why, without what stands in the header."""

    def __init__(self, flaw: Flaw, reason: str = "") -> None:
        super().__init__(reason or flaw.value)
        self.flaw = flaw


@dataclass(frozen=True, slots=True)
class _Verified:
    sender: Sender
    valid_from: datetime
    valid_to: datetime
    """Of the whole chain."""


class HeaderCertificates:
    """Tells who the certificates in headers are of, and remembers it. Not for several threads at once."""

    def __init__(self, trusted: Sequence[x509.Certificate] = (), *, checked: bool = True) -> None:
        """`trusted` are the authorities; with none, nobody is identified. `checked=False` believes any certificate."""
        self._store = verification.Store(list(trusted)) if trusted else None
        self._checked = checked
        self._remembered: OrderedDict[str, _Verified] = OrderedDict()

    def trust(self, files: Iterable[Path]) -> None:
        """From now on these authorities, and no others. Raises TlsSetupError, and then nothing changes."""
        trusted = [certificate for path in files for certificate in _authorities(path)]
        self._store = verification.Store(trusted) if trusted else None
        self._remembered.clear()

    @classmethod
    def load(cls, trusted: Iterable[Path], *, checked: bool = True) -> Self:
        """With the authorities in these PEM files. Raises TlsSetupError."""
        return cls([certificate for path in trusted for certificate in _authorities(path)], checked=checked)

    def sender(self, value: str, *, now: datetime, may_be_escaped: bool = False) -> Sender:
        """The sender whose certificate the value of a header is.

        PEM, with blanks for line ends or without, or the base64 of DER; behind it, after a comma or as more PEM, may
        stand the authorities that issued it. With `may_be_escaped` also escaped as in a URL (nginx, AWS). Revocation is
        the caller's to look at. Raises BadHeaderCertificate.
        """
        if may_be_escaped and "%" in value:
            value = urllib.parse.unquote(value)  # not `unquote_plus`: a plus is a digit of base64
        known = self._remembered.get(value)
        if known is None or not known.valid_from <= now <= known.valid_to:
            known = self._read(value, now)
            self._remember(value, known)
        self._remembered.move_to_end(value)
        return known.sender

    def _remember(self, value: str, verified: _Verified) -> None:
        self._remembered[value] = verified
        if len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)

    def _read(self, value: str, now: datetime) -> _Verified:
        with warnings.catch_warnings():
            # What cryptography finds odd in a certificate is for the authority that signed it to mind.
            warnings.simplefilter("ignore")
            first, *others = _certificates(value)
            leaf, authorities = _load(first), [_load(other) for other in others]
            if not all(map(_is_authority, authorities)):
                # Another client's, joined with a comma by a proxy that adds its header to one that was there.
                raise BadHeaderCertificate(Flaw.SEVERAL)
            try:
                sender = sender_from_certificate(first)
            except NoSenderId as error:
                raise BadHeaderCertificate(Flaw.NO_SENDER_ID, error.reason) from error
            chain = self._chain(leaf, authorities, now) if self._checked else [leaf]
        if not self._checked:
            return _Verified(sender, datetime.min.replace(tzinfo=now.tzinfo), datetime.max.replace(tzinfo=now.tzinfo))
        return _Verified(
            sender,
            max(certificate.not_valid_before_utc for certificate in chain),
            min(certificate.not_valid_after_utc for certificate in chain),
        )

    def _chain(
        self, leaf: x509.Certificate, others: list[x509.Certificate], now: datetime
    ) -> Sequence[x509.Certificate]:
        _check_leaf(leaf, now)
        if self._store is None:
            raise BadHeaderCertificate(Flaw.NOT_TRUSTED, "no authority is trusted here")
        verifier = (
            verification.PolicyBuilder()
            .store(self._store)
            .time(now)
            .extension_policies(ca_policy=_OF_AUTHORITIES, ee_policy=_OF_CLIENTS)
            .build_client_verifier()
        )
        try:
            return verifier.verify(leaf, others).chain
        except (verification.VerificationError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            # Its own words quote whole names, and tell of each path that was tried.
            raise BadHeaderCertificate(Flaw.NOT_TRUSTED, "no authority that is trusted here vouches for it") from error


def _authorities(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise TlsSetupError(f"{path}: expected certificates of authorities in PEM ({error})") from error


def _certificates(value: str) -> list[bytes]:
    """The DER of each certificate in a header, at least one."""
    if len(value) > _LONGEST:
        raise BadHeaderCertificate(Flaw.UNREADABLE, f"longer than {_LONGEST} characters")
    if _BEGIN in value and _END in value:
        texts = _BLOCK.findall(value)
        if not texts or not _BETWEEN_BLOCKS.fullmatch(_BLOCK.sub("", value)):
            raise BadHeaderCertificate(Flaw.UNREADABLE)
    elif value.startswith(_BARE):
        texts = value.split(",")
    else:
        raise BadHeaderCertificate(Flaw.UNKNOWN_FORM)
    if len(texts) > _MOST_CERTIFICATES:
        raise BadHeaderCertificate(Flaw.UNREADABLE, f"more than {_MOST_CERTIFICATES} certificates")
    try:
        return [base64.b64decode(_BLANKS.sub("", text), validate=True) for text in texts]
    except (binascii.Error, ValueError) as error:
        raise BadHeaderCertificate(Flaw.UNREADABLE, "not base64") from error


def _load(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, TypeError, AssertionError, x509.InvalidVersion) as error:
        raise BadHeaderCertificate(Flaw.UNREADABLE, "not a certificate") from error


def _is_authority(certificate: x509.Certificate) -> bool:
    constraints = _extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _check_leaf(leaf: x509.Certificate, now: datetime) -> None:
    """What verification would find as well, in words that help."""
    if now > leaf.not_valid_after_utc:
        raise BadHeaderCertificate(Flaw.NOT_TRUSTED, f"it has expired ({leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC)")
    if now < leaf.not_valid_before_utc:
        raise BadHeaderCertificate(
            Flaw.NOT_TRUSTED, f"it is not valid until {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        )
    if not (
        _is_for_clients(_extension(leaf, x509.ExtendedKeyUsage)) and _is_for_signing(_extension(leaf, x509.KeyUsage))
    ):
        raise BadHeaderCertificate(Flaw.NOT_TRUSTED, "it is not for clients (extended key usage, key usage)")
    if _is_short(leaf):
        raise BadHeaderCertificate(Flaw.NOT_TRUSTED, f"its RSA key has less than {_FEWEST_RSA_BITS} bits")


def _is_short(certificate: x509.Certificate) -> bool:
    """Whether its own key is shorter than a handshake takes: verification looks at those of authorities only."""
    try:
        key = certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadHeaderCertificate(Flaw.UNREADABLE, "its key cannot be read") from error
    return isinstance(key, rsa.RSAPublicKey) and key.key_size < _FEWEST_RSA_BITS


_T = TypeVar("_T", bound=x509.ExtensionType)


def _extension(certificate: x509.Certificate, kind: type[_T]) -> _T | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise BadHeaderCertificate(Flaw.UNREADABLE, "an extension cannot be read") from error


def _is_for_clients(usage: x509.ExtendedKeyUsage | None) -> bool:
    return usage is None or ExtendedKeyUsageOID.CLIENT_AUTH in usage


def _is_for_signing(usage: x509.KeyUsage | None) -> bool:
    """Whether its key can be used in a handshake."""
    return usage is None or usage.digital_signature or usage.key_agreement


def _check_purpose(
    _policy: verification.Policy, _certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None
) -> None:
    if not _is_for_clients(usage):
        raise ValueError("not for clients")


def _check_signs_certificates(
    _policy: verification.Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None
) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("does not sign certificates")


# As OpenSSL verifies a client, and not as browsers do a web site: names of hosts and key identifiers may be missing,
# and an authority in a trust file is trusted as it is, without its root (see `contexts.py`).
_EITHER = verification.Criticality.AGNOSTIC
_OF_CLIENTS = verification.ExtensionPolicy.permit_all().may_be_present(x509.ExtendedKeyUsage, _EITHER, _check_purpose)
_OF_AUTHORITIES = (
    verification.ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, _EITHER, None)
    .may_be_present(x509.KeyUsage, _EITHER, _check_signs_certificates)
    .may_be_present(x509.ExtendedKeyUsage, _EITHER, _check_purpose)
)
