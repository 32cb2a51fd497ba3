"""The development CA: a folder with a root, an issuing CA, the certificates it issued and its revocation lists.

The folder's files are the whole state: there is no index that could disagree with them. Whoever changes something holds
the lock file, and each file appears whole or not at all, so readers need no lock.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from rivta.files import write_file
from rivta.tls import certificates
from rivta.tls.certificates import PrivateKey, RevocationReason, Signer, Subject, Validity
from rivta.tls.profiles import KeyKind, Profiles

Clock = Callable[[], datetime]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class AuthorityError(Exception):
    """The CA refuses, or its folder is damaged; the text says what, where and what to do."""


class State(Enum):
    """What a certificate of the CA is good for now."""

    VALID = "valid"
    NOT_YET_VALID = "not yet valid"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Issued:
    """A function certificate, and where it and its key are."""

    name: str
    hsa_id: str | None
    certificate: Path
    """PEM: the certificate, then the issuing CA's."""
    key: Path
    serial: int
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Listed:
    """A certificate of the CA as its list shows it."""

    name: str
    subject: Subject
    serial: int
    not_before: datetime
    not_after: datetime
    state: State
    superseded: bool
    """A newer certificate has taken its name; its key is gone from here, but it is valid until it expires."""


@dataclass(frozen=True, slots=True)
class RevocationList:
    """One of the CA's two revocation lists."""

    issuer: str
    number: int
    this_update: datetime
    next_update: datetime
    serials: tuple[int, ...]


def utc_now() -> datetime:
    """The clock of a CA unless it is given another."""
    return datetime.now(UTC)


class Authority:
    """The development CA in a folder."""

    def __init__(
        self, folder: Path, *, issuing: x509.Certificate, root: x509.Certificate, profiles: Profiles, clock: Clock
    ) -> None:
        self.folder = folder
        self.ca = folder / "ca.pem"
        """What others trust: issuing CA and root."""
        self.crl_file = folder / "crl.pem"
        self._issued = folder / "issued"
        self._superseded = folder / "superseded"
        self._issuing = issuing
        self._root = root
        self._profiles = profiles
        self._clock = clock

    @classmethod
    def create(cls, folder: Path, *, profiles: Profiles | None = None, clock: Clock = utc_now) -> Authority:
        """A new CA in `folder`, which is made if need be. Raises AuthorityError when there is one already."""
        profiles = profiles or Profiles.shipped()
        _make_folders(folder)
        with _locked(folder):
            if (folder / "ca.pem").exists():
                raise AuthorityError(f"{folder}: there is a CA already; use it, or remove the folder first")
            _make_authorities(folder, profiles, clock())
        return cls.open(folder, profiles=profiles, clock=clock)

    @classmethod
    def open(cls, folder: Path, *, profiles: Profiles | None = None, clock: Clock = utc_now) -> Authority:
        """The CA in `folder`. Raises AuthorityError when there is none or its certificates are damaged."""
        path = folder / "ca.pem"
        try:
            found = x509.load_pem_x509_certificates(path.read_bytes())
        except FileNotFoundError as error:
            raise AuthorityError(
                f"{path}: there is no CA here; `rivta up` makes one, or name another --home"
            ) from error
        except ValueError as error:
            raise AuthorityError(f"{path}: damaged; remove the folder {folder} to start with a new CA") from error
        if len(found) != 2 or found[0].issuer != found[1].subject:
            raise AuthorityError(f"{path}: does not hold an issuing CA and its root; remove {folder} to start anew")
        return cls(folder, issuing=found[0], root=found[1], profiles=profiles or Profiles.shipped(), clock=clock)

    @classmethod
    def ensure(cls, folder: Path, *, profiles: Profiles | None = None, clock: Clock = utc_now) -> Authority:
        """The CA in `folder`, made now if there is none."""
        if not (folder / "ca.pem").exists():
            _make_folders(folder)
            with _locked(folder):
                if not (folder / "ca.pem").exists():
                    _make_authorities(folder, profiles or Profiles.shipped(), clock())
        return cls.open(folder, profiles=profiles, clock=clock)

    def issue(
        self,
        name: str,
        *,
        hsa_id: str | None,
        common_name: str,
        organisation: str,
        hosts: Sequence[str],
        days: int | None = None,
        key_kind: KeyKind | None = None,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> Issued:
        """A certificate and key under `name`: what is there if it is still good for this subject, else a new one.

        Good means: valid, not revoked, not about to expire, of this CA, with its key. `hsa_id=None` leaves serialNumber
        out, and `not_before` and `not_after` set the validity, always making a new certificate: both are for tests.
        Raises AuthorityError when something cannot be in a certificate.
        """
        _check_name(name)
        subject = _subject(name, hsa_id, common_name, organisation, hosts)
        explicit = not_before is not None or not_after is not None
        if not explicit and (good := self._good(name, subject, key_kind)) is not None:
            return good
        with _locked(self.folder):
            # Another process may have made it while this one waited for the lock.
            if not explicit and (good := self._good(name, subject, key_kind)) is not None:
                return good
            validity = self._validity(days, not_before, not_after)
            return self._make(name, subject, validity, key_kind or self._profiles.function.key)

    def renew(self, name: str) -> Issued:
        """A new key and certificate for the same subject, with the profile's lifetime. The old one is superseded.

        Raises AuthorityError when the name has never been issued.
        """
        with _locked(self.folder):
            old = self._read(self._path(name))
            kind = _kind_of(old.public_key())
            return self._make(name, certificates.subject_of(old), self._validity(None, None, None), kind)

    def renew_due(self, names: Iterable[str]) -> list[str]:
        """Renews those of `names` whose certificate has run out or is about to; which ones. The revoked are left."""
        wanted, now, renewed = set(names), self._clock(), []
        for row in self.issued():
            lives = row.state in (State.VALID, State.EXPIRED) and not row.superseded
            if row.name in wanted and lives and now >= row.not_after - self._spare(row.not_after - row.not_before):
                self.renew(row.name)
                renewed.append(row.name)
        return renewed

    def revoke(self, name_or_serial: str | int, reason: RevocationReason = RevocationReason.UNSPECIFIED) -> int:
        """Puts the certificate (current one of a name, or any by its serial number) on the list; its serial number.

        Raises AuthorityError when the CA has not issued it. Revoking twice changes nothing.
        """
        with _locked(self.folder):
            if isinstance(name_or_serial, int):
                serial = self._check_serial(name_or_serial)
            else:
                serial = self._read(self._path(name_or_serial)).serial_number
            if serial not in self._revoked():
                self._sign_lists(added=certificates.revoked_entry(serial, reason, _seconds(self._clock())))
        return serial

    def find(self, name: str) -> Issued:
        """The current certificate of `name`, as it is. Raises AuthorityError when there is none."""
        return self._describe(name, self._read(self._path(name)))

    def issued(self) -> list[Listed]:
        """Every certificate the CA made and still knows: by name, the current one before those it superseded."""
        now, revoked = self._clock(), self._revoked()
        rows = []
        for folder, superseded in ((self._issued, False), (self._superseded, True)):
            for path in sorted(folder.glob("[!.]*.pem")):
                certificate = self._read(path)
                rows.append(
                    Listed(
                        name=path.stem.rpartition("~")[0] if superseded else path.stem,
                        subject=certificates.subject_of(certificate),
                        serial=certificate.serial_number,
                        not_before=certificate.not_valid_before_utc,
                        not_after=certificate.not_valid_after_utc,
                        state=_state(certificate, now, revoked),
                        superseded=superseded,
                    )
                )
        return sorted(rows, key=lambda row: (row.name, row.superseded, -row.not_before.timestamp()))

    def crl(self) -> list[RevocationList]:
        """Signs both revocation lists anew, as of now, and says what is in them."""
        with _locked(self.folder):
            return [_describe_list(crl) for crl in self._sign_lists()]

    def refresh_crl(self) -> bool:
        """Signs the lists anew if half of their time has passed; whether it did. What `rivta up` does first."""
        now = self._clock()
        if all(now < _half_time(crl) for crl in self._lists()):
            return False
        self.crl()
        return True

    def lists(self) -> list[RevocationList]:
        """The revocation lists as they are, the issuing CA's first."""
        return [_describe_list(crl) for crl in self._lists()]

    def export(self, name: str, *, password: str) -> bytes:
        """Certificate, key and chain of `name` as PKCS#12, for systems that take no PEM (Java, Windows, browsers)."""
        issued = self.find(name)
        key = self._read_key(issued.key)
        return pkcs12.serialize_key_and_certificates(
            name.encode(),
            key,
            self._read(issued.certificate),
            [self._issuing, self._root],
            serialization.BestAvailableEncryption(password.encode()),
        )

    def export_pem(self, name: str) -> bytes:
        """Key, certificate and chain of `name` in one PEM file, the key unencrypted: for curl, Python, HAProxy."""
        issued = self.find(name)
        key = certificates.key_to_pem(self._read_key(issued.key))
        return key + certificates.to_pem([self._read(issued.certificate), self._issuing, self._root])

    def export_trust(self, *, password: str) -> bytes:
        """The CA's certificates as PKCS#12, marked as trusted the way Java wants it: a trust store."""
        marked = [
            pkcs12.PKCS12Certificate(one, alias.encode())
            for one, alias in ((self._issuing, "rivta-issuing"), (self._root, "rivta-root"))
        ]
        return pkcs12.serialize_java_truststore(marked, serialization.BestAvailableEncryption(password.encode()))

    def files(self, name: str) -> tuple[Path, Path]:
        """Where the current certificate of `name` and its key are, if it has been issued. Raises AuthorityError."""
        return self._path(name), self._issued / f"{name}.key"

    def _good(self, name: str, subject: Subject, kind: KeyKind | None) -> Issued | None:
        """What is issued under `name` if it can go on serving `subject`. Reads three small files, makes nothing."""
        try:
            certificate = self._read(self._path(name))
            key = self._read_key(self.files(name)[1])
        except AuthorityError:
            return None
        spare = self._spare(certificate.not_valid_after_utc - certificate.not_valid_before_utc)
        good = (
            _same_subject(certificates.subject_of(certificate), subject)
            and certificate.not_valid_before_utc <= self._clock() < certificate.not_valid_after_utc - spare
            and (kind is None or _kind_of(certificate.public_key()) is kind)
            and certificates.is_pair(certificate, key)
            and _is_issued_by(certificate, self._issuing)
            and certificate.serial_number not in self._revoked()
        )
        return self._describe(name, certificate) if good else None

    def _spare(self, lifetime: timedelta) -> timedelta:
        """How long before its end a certificate is replaced."""
        return min(timedelta(days=self._profiles.function.renew_before_days), lifetime / 3)

    def _make(self, name: str, subject: Subject, validity: Validity, kind: KeyKind) -> Issued:
        signer = self._signer(self._issuing, "issuing")
        key = certificates.make_key(kind)
        try:
            certificate = certificates.function_certificate(
                subject, key, signer, validity=validity, profile=self._profiles.function
            )
        except ValueError as error:
            raise AuthorityError(f"certificate {name}: {error}") from error
        path = self._issued / f"{name}.pem"
        self._supersede(path)
        # A crash between the two leaves a pair that does not match, which `_good` sees: the next issue repairs it.
        write_file(self._issued / f"{name}.key", certificates.key_to_pem(key), mode=0o600)
        write_file(path, certificates.to_pem([certificate, self._issuing]), mode=0o644)
        return self._describe(name, certificate)

    def _supersede(self, path: Path) -> None:
        try:
            old = self._read(path)
        except AuthorityError:  # nothing there, or damaged and worth nothing
            return
        write_file(self._superseded / f"{path.stem}~{old.serial_number:x}.pem", certificates.to_pem([old]), mode=0o644)

    def _check_serial(self, serial: int) -> int:
        """Any damaged file is passed over: it must not stop the revocation of another."""
        for path in (*self._issued.glob("[!.]*.pem"), *self._superseded.glob("[!.]*.pem")):
            try:
                if self._read(path).serial_number == serial:
                    return serial
            except AuthorityError:
                continue
        raise AuthorityError(f"{self.folder}: no certificate with serial number {serial:x} was issued here")

    def _validity(self, days: int | None, not_before: datetime | None, not_after: datetime | None) -> Validity:
        profile, now, latest = self._profiles.function, _seconds(self._clock()), self._issuing.not_valid_after_utc
        if now >= latest:
            raise AuthorityError(
                f"{self.ca}: the CA expired on {latest:%Y-%m-%d}; remove {self.folder} to make a new one"
            )
        lifetime = timedelta(days=profile.days if days is None else days)
        end = _seconds(not_after or now + lifetime)
        start = now if end > now else end - lifetime
        begin = _seconds(not_before or start - timedelta(minutes=profile.backdate_minutes))
        validity = Validity(begin, end).until_no_later_than(latest)
        if validity.not_after <= validity.not_before:
            raise AuthorityError(
                f"validity from {begin.isoformat()} to {validity.not_after.isoformat()}: ends before it begins"
            )
        return validity

    def _sign_lists(self, *, added: x509.RevokedCertificate | None = None) -> list[x509.CertificateRevocationList]:
        now = _seconds(self._clock())
        old = {crl.issuer: crl for crl in self._lists()}
        signed = []
        for certificate, name, days in (
            (self._issuing, "issuing", self._profiles.issuing.crl_days),
            (self._root, "root", self._profiles.root.crl_days),
        ):
            previous = old.get(certificate.subject)
            entries = list(previous) if previous is not None else []
            if added is not None and certificate is self._issuing:
                entries.append(added)
            number = _number(previous) + 1 if previous is not None else 1
            signer = self._signer(certificate, name)
            signed.append(certificates.revocation_list(signer, entries, number=number, now=now, days=days))
        write_file(self.crl_file, certificates.to_pem(signed), mode=0o644)
        return signed

    def _revoked(self) -> frozenset[int]:
        return frozenset(
            entry.serial_number for crl in self._lists() if crl.issuer == self._issuing.subject for entry in crl
        )

    def _lists(self) -> list[x509.CertificateRevocationList]:
        try:
            return certificates.revocation_lists_from_pem(self.crl_file.read_bytes())
        except (FileNotFoundError, ValueError) as error:
            # Signing an empty list in its place would make revoked certificates good again.
            raise AuthorityError(f"{self.crl_file}: missing or damaged; restore it, or remove {self.folder}") from error

    def _signer(self, certificate: x509.Certificate, name: str) -> Signer:
        path = self.folder / "private" / f"{name}.key"
        key = self._read_key(path)
        if not certificates.is_pair(certificate, key):
            raise AuthorityError(f"{path}: is not the key of the CA in {self.ca}; restore it, or remove {self.folder}")
        return Signer(certificate, key)

    def _read_key(self, path: Path) -> PrivateKey:
        try:
            return certificates.key_from_pem(path.read_bytes())
        except FileNotFoundError as error:
            raise AuthorityError(f"{path}: the key is missing; restore it, or remove {self.folder}") from error
        except ValueError as error:
            raise AuthorityError(f"{path}: not a usable private key ({error})") from error

    def _read(self, path: Path) -> x509.Certificate:
        try:
            return x509.load_pem_x509_certificate(path.read_bytes())
        except FileNotFoundError as error:
            raise AuthorityError(
                f"{path}: no certificate was issued under this name; `rivta cert list` shows the names"
            ) from error
        except ValueError as error:
            raise AuthorityError(f"{path}: damaged; issue it again with `rivta cert issue`") from error

    def _path(self, name: str) -> Path:
        _check_name(name)
        return self._issued / f"{name}.pem"

    def _describe(self, name: str, certificate: x509.Certificate) -> Issued:
        path, key = self.files(name)
        return Issued(
            name=name,
            hsa_id=certificates.subject_of(certificate).hsa_id,
            certificate=path,
            key=key,
            serial=certificate.serial_number,
            not_after=certificate.not_valid_after_utc,
        )


def check_authorities(path: Path, *, now: datetime) -> None:
    """Raises AuthorityError unless `path` is a PEM file of authorities' certificates that have not expired."""
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise AuthorityError(f"{path}: cannot be read: {error.strerror}; expected a CA's certificate") from error
    except ValueError as error:
        raise AuthorityError(f"{path}: holds no readable certificate; expected an authority's, in PEM") from error
    for one in found:
        subject = one.subject.rfc4514_string()
        if not _may_issue(one):
            raise AuthorityError(f"{path}: {subject} is no certificate authority; give the CA that issued it")
        if now > one.not_valid_after_utc:
            raise AuthorityError(f"{path}: {subject} expired on {one.not_valid_after_utc:%Y-%m-%d}; get its successor")


def _may_issue(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _make_folders(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("issued", "superseded", "private"):
        (folder / name).mkdir(exist_ok=True, mode=0o700)


def _make_authorities(folder: Path, profiles: Profiles, now: datetime) -> None:
    """Makes both authorities; `ca.pem` comes last, so where it is, everything is."""
    now = _seconds(now)
    root_key, issuing_key = certificates.make_key(profiles.root.key), certificates.make_key(profiles.issuing.key)
    root = Signer(certificates.authority_certificate(profiles.root, root_key, signer=None, now=now), root_key)
    issuing = Signer(
        certificates.authority_certificate(profiles.issuing, issuing_key, signer=root, now=now), issuing_key
    )
    lists = [
        certificates.revocation_list(issuing, (), number=1, now=now, days=profiles.issuing.crl_days),
        certificates.revocation_list(root, (), number=1, now=now, days=profiles.root.crl_days),
    ]
    write_file(folder / "private" / "root.key", certificates.key_to_pem(root_key), mode=0o600)
    write_file(folder / "private" / "issuing.key", certificates.key_to_pem(issuing_key), mode=0o600)
    write_file(folder / "crl.pem", certificates.to_pem(lists), mode=0o644)
    write_file(folder / "ca.pem", certificates.to_pem([issuing.certificate, root.certificate]), mode=0o644)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the folder's lock, against threads of this process too. The system drops it when a process dies."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _check_name(name: str) -> None:
    """A name becomes a file name."""
    if not _NAME.fullmatch(name):
        raise AuthorityError(f"certificate name {name!r}: 1 to 100 letters, digits, dots, hyphens and underscores")


def _subject(name: str, hsa_id: str | None, common_name: str, organisation: str, hosts: Sequence[str]) -> Subject:
    try:
        spelled = [str(certificates.general_name(host).value) for host in hosts]
    except ValueError as error:
        raise AuthorityError(f"certificate {name}: {error}") from error
    return Subject(hsa_id, common_name, organisation, tuple(dict.fromkeys(spelled)))


def _same_subject(found: Subject, wanted: Subject) -> bool:
    return (found.hsa_id, found.common_name, found.organisation) == (
        wanted.hsa_id,
        wanted.common_name,
        wanted.organisation,
    ) and set(found.hosts) == set(wanted.hosts)


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _kind_of(key: object) -> KeyKind:
    size = getattr(key, "key_size", 0)
    return next((kind for kind in KeyKind if kind.value == f"rsa-{size}"), KeyKind.EC_P256)


def _state(certificate: x509.Certificate, now: datetime, revoked: frozenset[int]) -> State:
    if certificate.serial_number in revoked:
        return State.REVOKED
    if now > certificate.not_valid_after_utc:
        return State.EXPIRED
    return State.NOT_YET_VALID if now < certificate.not_valid_before_utc else State.VALID


def _describe_list(crl: x509.CertificateRevocationList) -> RevocationList:
    return RevocationList(
        issuer=crl.issuer.rfc4514_string(),
        number=_number(crl),
        this_update=crl.last_update_utc,
        next_update=crl.next_update_utc or crl.last_update_utc,
        serials=tuple(entry.serial_number for entry in crl),
    )


def _number(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def _half_time(crl: x509.CertificateRevocationList) -> datetime:
    next_update = crl.next_update_utc or crl.last_update_utc
    return crl.last_update_utc + (next_update - crl.last_update_utc) / 2


def _seconds(moment: datetime) -> datetime:
    """Certificates know whole seconds, in UTC."""
    return moment.astimezone(UTC).replace(microsecond=0)
