"""Signatures with a platform's own key: that a publication is what this platform made of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from rivta.tls.contexts import TlsSetupError


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
