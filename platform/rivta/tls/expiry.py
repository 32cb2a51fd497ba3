"""When what a platform depends on runs out: its certificate, the authorities it trusts, their revocation lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path

from cryptography import x509

from rivta.tls.revocation import RevocationError, Revocations
from rivta.tls.sender import subject_text

_WARN_BEFORE = timedelta(days=14)


class Kind(Enum):
    """What can run out."""

    CERTIFICATE = "certificate"
    AUTHORITY = "authority"
    REVOCATION_LIST = "revocation list"


@dataclass(frozen=True, slots=True)
class Expiry:
    """Something that a platform depends on, and its last moment."""

    kind: Kind
    name: str
    """Subject of a certificate, issuer of a list, as RFC 4514 spells it."""
    file: Path
    not_after: datetime
    """UTC."""


def expiries(*, certificate: Path, trusted: Sequence[Path], crl: Sequence[Path | None]) -> list[Expiry]:
    """What runs out when, as the files are now: the certificate itself, the authorities, the lists in `crl`.

    Of a file that cannot be read there is nothing here: that is another problem. Takes a millisecond for a few
    authorities, longer for long lists.
    """
    found = list(_certificates(Kind.CERTIFICATE, certificate))[:1]
    for file in trusted:
        found += _certificates(Kind.AUTHORITY, file)
    for ca_file, crl_file in zip(trusted, crl, strict=False):
        if crl_file is not None:
            found += _lists(crl_file, ca_file)
    return found


def expiry_problem(found: Iterable[Expiry], now: datetime) -> str | None:
    """Which certificates have run out or will within two weeks, in words; of lists `Revocations.doubts` tells."""
    words = [
        f"{one.kind.value} {one.name} {'expired' if one.not_after < now else 'expires'} {one.not_after:%Y-%m-%d}"
        for one in found
        if one.kind is not Kind.REVOCATION_LIST and one.not_after < now + _WARN_BEFORE
    ]
    return "; ".join(words) or None


def _certificates(kind: Kind, file: Path) -> Iterator[Expiry]:
    try:
        found = x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError):
        return
    for one in found:
        yield Expiry(kind, subject_text(one.subject), file, one.not_valid_after_utc)


def _lists(crl: Path, trusted: Path) -> Iterator[Expiry]:
    try:
        found = Revocations.load(crl, trusted)
    except RevocationError:
        return
    for one in found:
        if one.next_update is not None:
            yield Expiry(Kind.REVOCATION_LIST, one.issuer, crl, one.next_update)
