"""Certificates and keys as the incumbent has them: PEM in files or in the property itself, PKCS#12, and Java's own.

What is no plain PEM is turned into it, or named with the command that does.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

_JAVA_STORES = (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce")
_BEGIN = b"-----BEGIN "


class NotReadable(ValueError):
    """A certificate, key or keystore that cannot be taken; the text says which, why and what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with its chain, and its key: PEM."""

    certificate: bytes
    key: bytes


def read(source: Path | bytes) -> bytes:
    """The content of a file, or of the property itself. Raises NotReadable."""
    if isinstance(source, bytes):
        return source
    try:
        return source.read_bytes()
    except OSError as error:
        raise NotReadable(f"{source} cannot be read: {error.strerror}") from error


def certificates(source: Path | bytes) -> bytes:
    """The PEM certificates in `source`. Raises NotReadable."""
    data = read(source)
    try:
        x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise NotReadable(f"{_named(source)} holds no certificate in PEM") from error
    return data


def private_key(source: Path | bytes, password: str) -> bytes:
    """The private key in `source` as PEM without a password. Raises NotReadable."""
    data = read(source)
    if _BEGIN not in data:
        raise NotReadable(f"{_named(source)} holds no private key in PEM")
    if b"ENCRYPTED" not in data:
        return data
    try:
        key = load_pem_private_key(data, password.encode() if password else None)
    except (ValueError, TypeError) as error:
        raise NotReadable(f"{_named(source)}: the key's password is wrong or missing") from error
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def identity_in_store(store: Path, password: str) -> Identity:
    """The certificate, chain and key in a PKCS#12 keystore. Raises NotReadable."""
    opened = _open(store, password)
    if opened.key is None or opened.cert is None:
        raise NotReadable(f"{store} holds no private key with its certificate")
    chain = [opened.cert.certificate, *(one.certificate for one in opened.additional_certs)]
    pem = b"".join(one.public_bytes(Encoding.PEM) for one in chain)
    return Identity(pem, opened.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def authorities_in_store(store: Path, password: str) -> bytes:
    """The certificates in a PKCS#12 trust store, as PEM. Raises NotReadable."""
    opened = _open(store, password)
    found = [*([opened.cert] if opened.cert else []), *opened.additional_certs]
    if not found:
        raise NotReadable(f"{store} holds no certificate")
    return b"".join(one.certificate.public_bytes(Encoding.PEM) for one in found)


def _open(store: Path, password: str) -> pkcs12.PKCS12KeyAndCertificates:
    data = read(store)
    if data.startswith(_JAVA_STORES):
        p12 = store.with_suffix(".p12")
        from_to = ("-srckeystore", str(store), "-destkeystore", str(p12), "-deststoretype", "PKCS12")
        command = shlex.join(("keytool", "-importkeystore", *from_to))
        raise NotReadable(f"{store} is a keystore of Java's own kind: run `{command}`, name {p12} and import again")
    try:
        return pkcs12.load_pkcs12(data, password.encode())
    except ValueError as error:
        command = shlex.join(["openssl", "pkcs12", "-legacy", "-in", str(store), "-nodes", "-out", f"{store}.pem"])
        raise NotReadable(
            f"{store} cannot be opened: it is no PKCS#12, its password is wrong, or its cipher is too old: "
            f"`{command}` writes it as PEM"
        ) from error


def _named(source: Path | bytes) -> str:
    return str(source) if isinstance(source, Path) else "the text of the property"
