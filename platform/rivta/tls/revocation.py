"""Which certificates their authorities have taken back.

Checked by us, per connection and again while it lives, and not inside the handshake: a resumed session does not verify
the certificate again, and OpenSSL would refuse every caller, ours too, the moment a list is overdue.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from rivta.tls.certificates import revocation_lists_from_pem

_PEM_BEGIN = b"-----BEGIN X509 CRL-----"
_CLOCK_SKEW = timedelta(minutes=5)
"""How far an authority's clock may be ahead of ours: RFC 5280 has a list begin to count at its thisUpdate."""

_Key: TypeAlias = tuple[bytes, bytes]
"""The DER of an issuer's name, and that of the part of its certificates that the list is about."""


class RevocationError(ValueError):
    """A revocation list cannot be trusted or read; the text says which file, what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class ListInForce:
    """What is known of one list that is in force. Times in UTC."""

    issuer: str
    number: int | None
    this_update: datetime
    next_update: datetime | None
    """When it is overdue; None when it does not say."""
    serials: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Due:
    """When what is known below an authority is overdue, and by whose list."""

    moment: datetime | None
    issuer: str


class Revocations:
    """The verified revocation lists of one file: immutable, safe to share between threads."""

    __slots__ = ("_due", "_lists", "_revoked", "_revoked_issuers", "authorities", "path")

    def __init__(self, path: Path, *, authorities: list[x509.Certificate], lists: Mapping[_Key, ListInForce]) -> None:
        """`lists` are verified, by issuer and scope."""
        self.path = path
        self.authorities = MappingProxyType({one.subject.public_bytes(): _name(one.subject) for one in authorities})
        """Whose certificates this file is to tell about: name in DER, and as text."""
        self._lists = MappingProxyType(dict(lists))
        revoked: dict[bytes, frozenset[int]] = {}
        for (issuer, _), one in lists.items():
            revoked[issuer] = revoked.get(issuer, frozenset()) | one.serials
        self._revoked = MappingProxyType(revoked)
        self._revoked_issuers = _revoked_authorities(authorities, revoked)
        self._due = MappingProxyType({key: _due_below(key, authorities, self._lists) for key in revoked})

    @classmethod
    def load(cls, crl_path: Path, ca_path: Path) -> Revocations:
        """Reads every list in `crl_path` (PEM, any number; or one as DER), each verified by its authority in `ca_path`.

        Raises RevocationError when a file is missing or damaged, a list is of an authority that is not in `ca_path`,
        its signature is wrong, or it does not answer by itself (a delta, an indirect or a partial list).
        """
        authorities = authorities_in(ca_path)
        lists: dict[_Key, ListInForce] = {}
        for crl in _lists(crl_path):
            _verify(crl, authorities, crl_path, ca_path)
            key, found = (crl.issuer.public_bytes(), _scope(crl)), _described(crl, crl_path)
            if (there := lists.get(key)) is None or _is_older(there, found):
                lists[key] = found
        return cls(crl_path, authorities=authorities, lists=lists)

    @classmethod
    def unread(cls, crl_path: Path, ca_path: Path) -> Revocations:
        """What is known while there is no good list: nothing of anyone below the authorities in `ca_path`.

        Raises RevocationError when `ca_path` cannot be read.
        """
        return cls(crl_path, authorities=authorities_in(ca_path), lists={})

    def is_revoked(self, issuer_key: bytes, serial: int) -> bool:
        """Whether the certificate, or the authority that issued it, is revoked: `Sender.issuer_key`, `Sender.serial`.

        False also for an authority that has no list here: see `doubt`.
        """
        return issuer_key in self._revoked_issuers or serial in self._revoked.get(issuer_key, ())

    def doubt(self, issuer_key: bytes, now: datetime) -> str:
        """Why it cannot be told whether a certificate of this authority is revoked; empty when it can.

        A list counts that is overdue, of the authority or of one above it, and one that is missing.
        """
        due = self._due.get(issuer_key)
        if due is None:
            return f"there is no readable revocation list of {self.authorities.get(issuer_key, 'its issuer')}"
        if due.moment is not None and now > due.moment:
            return f"the revocation list of {due.issuer} is overdue since {due.moment:%Y-%m-%d %H:%M} UTC"
        return ""

    def doubts(self, now: datetime) -> list[str]:
        """What `doubt` says of the lists that are overdue, each once; and when there is no list at all."""
        if not self._lists:
            return [f"there is no readable revocation list of {name}" for name in self.authorities.values()]
        return list(dict.fromkeys(words for key in self._due if (words := self.doubt(key, now))))

    def check_follows(self, before: Revocations, *, now: datetime) -> None:
        """Raises RevocationError if this is no successor of `before`: a list is gone or older, or of the future."""
        for one in self:
            if one.this_update > now + _CLOCK_SKEW:
                raise RevocationError(
                    f"{self.path}: the list of {one.issuer} is of {one.this_update:%Y-%m-%d %H:%M} UTC, which is "
                    "yet to come; set this machine's clock right, or get the list again"
                )
        for key, old in before._lists.items():
            if key[0] not in self.authorities:
                continue
            new = self._lists.get(key)
            if new is None:
                raise RevocationError(f"{self.path}: the list of {old.issuer} is gone from it; put it back")
            if _is_older(new, old):
                raise RevocationError(
                    f"{self.path}: the list of {new.issuer} ({_dated(new)}) is older than the one in force "
                    f"({_dated(old)}); get the newest, or restart the platform if this is meant"
                )

    def __iter__(self) -> Iterator[ListInForce]:
        return iter(self._lists.values())

    def __len__(self) -> int:
        return sum(len(serials) for serials in self._revoked.values())


def authorities_in(path: Path) -> list[x509.Certificate]:
    """The authorities in a trust file (PEM). Raises RevocationError when it cannot be read."""
    data = _read(path, "the authorities' certificates in PEM")
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise RevocationError(f"{path}: no readable certificates ({error}); expected PEM") from error


def _lists(path: Path) -> list[x509.CertificateRevocationList]:
    data = _read(path, "revocation lists; `rivta cert crl` makes them for the development CA")
    try:
        lists = revocation_lists_from_pem(data) or [x509.load_der_x509_crl(data)]
    except ValueError as error:
        raise RevocationError(f"{path}: damaged, or not a revocation list in PEM or DER ({error})") from error
    if data.count(_PEM_BEGIN) > len(lists):
        raise RevocationError(f"{path}: damaged: it ends within a list; get the list again")
    return lists


def _read(path: Path, expected: str) -> bytes:
    try:
        if path.is_fifo():  # reading would wait for whoever writes, and no list would be looked at any more
            raise RevocationError(f"{path}: is a pipe; expected {expected}")
        return path.read_bytes()
    except OSError as error:
        raise RevocationError(
            f"{path}: cannot be read: {os.strerror(error.errno or 0)}; expected {expected}"
        ) from error


def _verify(
    crl: x509.CertificateRevocationList, authorities: list[x509.Certificate], crl_path: Path, ca_path: Path
) -> None:
    named = [authority for authority in authorities if authority.subject == crl.issuer]
    issuer = _name(crl.issuer)
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


def _described(crl: x509.CertificateRevocationList, path: Path) -> ListInForce:
    try:
        serials = frozenset(entry.serial_number for entry in crl)
    except ValueError as error:
        raise RevocationError(f"{path}: an entry of the list of {_name(crl.issuer)} cannot be read") from error
    return ListInForce(
        issuer=_name(crl.issuer),
        number=_number(crl),
        this_update=crl.last_update_utc,
        next_update=crl.next_update_utc,
        serials=serials,
    )


def _scope(crl: x509.CertificateRevocationList) -> bytes:
    """What the list is about: an authority may have several, each for a part of its certificates."""
    try:
        return crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value.public_bytes()
    except x509.ExtensionNotFound:
        return b""


def _number(crl: x509.CertificateRevocationList) -> int | None:
    try:
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return None


def _is_older(one: ListInForce, other: ListInForce) -> bool:
    numbered = one.number is not None and other.number is not None and one.number < other.number
    return numbered or one.this_update < other.this_update


def _dated(one: ListInForce) -> str:
    number = "" if one.number is None else f"number {one.number}, "
    return f"{number}{one.this_update:%Y-%m-%d %H:%M:%S} UTC"


def _name(name: x509.Name) -> str:
    return name.rfc4514_string()


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


def _due_below(issuer_key: bytes, authorities: list[x509.Certificate], lists: Mapping[_Key, ListInForce]) -> _Due:
    """The first moment at which a list of the authority, or of one above it, is overdue."""
    above = {issuer_key}
    while True:
        found = {one.issuer.public_bytes() for one in authorities if one.subject.public_bytes() in above}
        if found <= above:
            break
        above |= found
    due = [(one.next_update, one.issuer) for (key, _), one in lists.items() if key in above and one.next_update]
    return _Due(*min(due)) if due else _Due(None, "")
