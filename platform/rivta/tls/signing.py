"""Signatures with a platform's own key: that something is what this platform made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from rivta.tls.contexts import TlsSetupError
from rivta.tls.sender import NoSenderId, sender_from_certificate


def signer(key: Path) -> Callable[[bytes], bytes]:
    """Signs bytes with the private key in the PEM file `key`: RSA PKCS#1 v1.5 or ECDSA, both with SHA-256.

    Raises TlsSetupError when the file cannot be used.
    """
    try:
        loaded = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise TlsSetupError(f"{key}: no private key that can be read: {error}") from error
    match loaded:
        case rsa.RSAPrivateKey():
            return lambda data: loaded.sign(data, padding.PKCS1v15(), hashes.SHA256())
        case ec.EllipticCurvePrivateKey():
            return lambda data: loaded.sign(data, ec.ECDSA(hashes.SHA256()))
        case _:
            raise TlsSetupError(f"{key}: neither an RSA nor an elliptic-curve key; make one with `rivta cert issue`")


def key_id(key: Path) -> str:
    """By which a signature names the key in the PEM file `key`: SHA-256 of its public half, hexadecimal.

    Raises TlsSetupError when the file cannot be used.
    """
    try:
        loaded = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise TlsSetupError(f"{key}: no private key that can be read: {error}") from error
    return _id_of(loaded.public_key())


def verifiers(certificates: Path) -> dict[str, Callable[[bytes, bytes], bool]]:
    """For each certificate in a PEM file, by the id of its key: whether (data, signature) is signed with that key.

    Raises TlsSetupError when the file holds no certificates.
    """
    keys = [certificate.public_key() for certificate in _certificates(certificates)]
    return {_id_of(key): _verifier(key) for key in keys}


def own_verifiers(
    certificates: Path, *, hsa_id: str, authorities: Sequence[Path]
) -> dict[str, Callable[[bytes, bytes], bool]]:
    """The same for those of the certificates that an authority has issued to `hsa_id`, whenever they were valid.

    The file may be written by others: what does not come from one of the PEM files of `authorities` is passed over.
    Raises TlsSetupError when a file holds no certificates.
    """
    issuers = [issuer for path in authorities for issuer in _certificates(path)]
    keys = [
        one.public_key()
        for one in _certificates(certificates)
        if _is_of(one, hsa_id) and any(_has_issued(issuer, one) for issuer in issuers)
    ]
    return {_id_of(key): _verifier(key) for key in keys}


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise TlsSetupError(f"{path}: no certificates that can be read: {error}") from error


def _is_of(certificate: x509.Certificate, hsa_id: str) -> bool:
    try:
        return sender_from_certificate(certificate.public_bytes(serialization.Encoding.DER)).hsa_id == hsa_id
    except NoSenderId:
        return False


def _has_issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _id_of(key: PublicKeyTypes) -> str:
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _verifier(key: PublicKeyTypes) -> Callable[[bytes, bytes], bool]:
    def is_signed(data: bytes, signature: bytes) -> bool:
        try:
            match key:
                case rsa.RSAPublicKey():
                    key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
                case ec.EllipticCurvePublicKey():
                    key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
                case _:
                    return False
        except InvalidSignature:
            return False
        return True

    return is_signed
