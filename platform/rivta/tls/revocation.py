"""Which certificates their authorities have taken back.

Checked by us, per connection and again while it lives, and not inside the handshake: a resumed session does not verify
the certificate again, and OpenSSL would refuse every caller, ours too, the moment a list is overdue.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import MappingProxyType

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from rivta.tls.certificates import revocation_lists_from_pem


class RevocationError(ValueError):
    """A revocation list cannot be trusted or read; the text says which file, what is wrong and what to do."""


class Revocations:
    """The verified revocation lists of one file: immutable, safe to share between threads."""

    __slots__ = ("_revoked", "_revoked_issuers", "next_update", "path")

    def __init__(
        self,
        path: Path,
        *,
        revoked: Mapping[bytes, frozenset[int]],
        revoked_issuers: frozenset[bytes],
        next_update: datetime | None,
    ) -> None:
        self.path = path
        self._revoked = MappingProxyType(dict(revoked))
        self._revoked_issuers = revoked_issuers
        self.next_update = next_update
        """When the first of the lists is overdue, UTC; None when none of them says."""

    @classmethod
    def load(cls, crl_path: Path, ca_path: Path) -> Revocations:
        """Reads every list in `crl_path` (PEM, any number; or one as DER), each verified by its authority in `ca_path`.

        Raises RevocationError when a file is missing or damaged, a list is of an authority that is not in `ca_path`,
        its signature is wrong, or it does not answer by itself (a delta, an indirect or a partial list).
        """
        authorities = _authorities(ca_path)
        lists = _lists(crl_path)
        for crl in lists:
            _verify(crl, authorities, crl_path, ca_path)
        revoked: dict[bytes, frozenset[int]] = {}
        for crl in lists:
            issuer = crl.issuer.public_bytes()
            revoked[issuer] = revoked.get(issuer, frozenset()) | {entry.serial_number for entry in crl}
        return cls(
            crl_path,
            revoked=revoked,
            revoked_issuers=_revoked_authorities(authorities, revoked),
            next_update=min((crl.next_update_utc for crl in lists if crl.next_update_utc is not None), default=None),
        )

    def is_revoked(self, issuer_key: bytes, serial: int) -> bool:
        """Whether the certificate, or the authority that issued it, is revoked: `Sender.issuer_key`, `Sender.serial`.

        False also for an authority that has no list here: see `covers`.
        """
        return issuer_key in self._revoked_issuers or serial in self._revoked.get(issuer_key, ())

    def covers(self, issuer_key: bytes) -> bool:
        """Whether there is a list of this authority."""
        return issuer_key in self._revoked

    def stale(self, now: datetime) -> bool:
        """Whether a list is overdue, so that newer revocations may be missing."""
        return self.next_update is not None and now > self.next_update

    def __len__(self) -> int:
        return sum(len(serials) for serials in self._revoked.values())


class Refresh(Enum):
    """What came of looking at the file again."""

    UNCHANGED = "unchanged"
    RELOADED = "reloaded"
    KEPT = "kept the last good list"


class RevocationFile:
    """The lists in force from a file that is replaced now and then. Not for several threads at once."""

    def __init__(self, crl_path: Path, ca_path: Path) -> None:
        """Raises RevocationError when there is no good list to start from."""
        self._paths = (crl_path, ca_path)
        self._seen = _fingerprint(self._paths)
        self.current = Revocations.load(crl_path, ca_path)
        self.problem: str | None = None
        """Why the file as it is now is not in force; None when it is."""

    def refresh(self) -> Refresh:
        """Reads the file again if it, or the authorities' file, has changed; a bad one changes nothing but `problem`.

        Two calls of `stat` when nothing has changed. A list of 100,000 entries takes a third of a second: a
        large one is refreshed in a thread.
        """
        seen = _fingerprint(self._paths)
        if seen == self._seen and self.problem is None:
            return Refresh.UNCHANGED
        try:
            current = Revocations.load(*self._paths)
        except RevocationError as error:
            self.problem = str(error)
            return Refresh.KEPT
        self.current, self.problem, self._seen = current, None, seen
        return Refresh.RELOADED


def _fingerprint(paths: Iterable[Path]) -> tuple[tuple[int, ...] | None, ...]:
    return tuple(_stat(path) for path in paths)


def _stat(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _authorities(path: Path) -> list[x509.Certificate]:
    data = _read(path, "the authorities' certificates in PEM")
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise RevocationError(f"{path}: no readable certificates ({error}); expected PEM") from error


def _lists(path: Path) -> list[x509.CertificateRevocationList]:
    data = _read(path, "revocation lists; `rivta cert crl` makes them for the development CA")
    try:
        return revocation_lists_from_pem(data) or [x509.load_der_x509_crl(data)]
    except ValueError as error:
        raise RevocationError(f"{path}: damaged, or not a revocation list in PEM or DER ({error})") from error


def _read(path: Path, expected: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RevocationError(
            f"{path}: cannot be read: {os.strerror(error.errno or 0)}; expected {expected}"
        ) from error


def _verify(
    crl: x509.CertificateRevocationList, authorities: list[x509.Certificate], crl_path: Path, ca_path: Path
) -> None:
    named = [authority for authority in authorities if authority.subject == crl.issuer]
    issuer = crl.issuer.rfc4514_string()
    if not named:
        raise RevocationError(f"{crl_path}: list of {issuer}, which is not among the authorities in {ca_path}")
    if not any(_signed_by(crl, authority) for authority in named):
        raise RevocationError(f"{crl_path}: the signature of the list of {issuer} is wrong; get the list again")
    for extension in _critical(crl, crl_path):
        # RFC 5280 section 5.2: a list with a critical extension one does not process does not tell a status.
        point = extension.value
        whole = isinstance(point, x509.IssuingDistributionPoint) and not (point.indirect_crl or point.only_some_reasons)
        if not whole:
            raise RevocationError(f"{crl_path}: the list of {issuer} is a partial one ({extension.oid.dotted_string})")


def _critical(crl: x509.CertificateRevocationList, crl_path: Path) -> list[x509.Extension[x509.ExtensionType]]:
    try:
        return [extension for extension in crl.extensions if extension.critical]
    except (ValueError, x509.DuplicateExtension) as error:
        raise RevocationError(f"{crl_path}: an extension of a list cannot be read ({error})") from error


def _signed_by(crl: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    try:
        return crl.is_signature_valid(authority.public_key())  # type: ignore[arg-type]  # any CA key kind; see except
    except (TypeError, ValueError, UnsupportedAlgorithm, InvalidSignature):
        return False


def _revoked_authorities(
    authorities: list[x509.Certificate], revoked: Mapping[bytes, frozenset[int]]
) -> frozenset[bytes]:
    """The names of the authorities that were revoked themselves, and of all below them."""
    names: set[bytes] = set()
    while True:
        found = {
            authority.subject.public_bytes()
            for authority in authorities
            if (issuer := authority.issuer.public_bytes()) in names
            or authority.serial_number in revoked.get(issuer, frozenset())
        }
        if found <= names:
            return frozenset(names)
        names |= found
