"""The TLS policy of the platform, in one place: what a listener and what a client accepts.

TLS 1.3, and TLS 1.2 with ephemeral keys and authenticated encryption. Both sides have certificates. Session tickets
stay on: a full handshake costs about three times a resumed one, and a resumed session still has its peer's certificate.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from pathlib import Path

_WITHOUT_ALERT = frozenset({"HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "WRONG_VERSION_NUMBER"})
"""Failures of a handshake for which OpenSSL has no alert, since whoever is there does not speak TLS."""

_TLS_1_2_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class TlsSetupError(ValueError):
    """A certificate, key or trust file cannot be used; the text says which file, what is wrong and what to do."""


class _TellingSSLObject(ssl.SSLObject):
    """The server's end of a connection under asyncio or uvloop, which tells the client why its handshake failed.

    Both event loops drop a connection whose handshake fails with OpenSSL's alert still unsent: the client sees a reset
    and no reason. Here the failure looks like a handshake that waits for more, so the alert is sent; then the client
    leaves, or the loop's handshake timeout ends it.
    """

    _failed = False

    def do_handshake(self) -> None:
        if not self._failed:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                if error.reason in _WITHOUT_ALERT:
                    raise
                self._failed = True
            else:
                return
        raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "the handshake has failed; the alert is on its way")


def server_context(*, certificate: Path, key: Path, trusted: Path | Sequence[Path]) -> ssl.SSLContext:
    """A context for listeners: it demands a client certificate from an authority in the `trusted` PEM files.

    Raises TlsSetupError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _TellingSSLObject
    _apply_policy(context)
    load_identity(context, certificate=certificate, key=key)
    _trust(context, trusted)
    return context


def client_context(
    *, certificate: Path | None = None, key: Path | None = None, trusted: Path | Sequence[Path]
) -> ssl.SSLContext:
    """A context for calls: it verifies the server's chain against `trusted` and its host against subjectAltName only.

    Without `certificate` and `key` the call is made without a client certificate. Raises TlsSetupError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _apply_policy(context)
    context.check_hostname = True
    # RFC 9525 section 2: the common name is not a host name.
    context.hostname_checks_common_name = False
    if certificate is not None and key is not None:
        load_identity(context, certificate=certificate, key=key)
    elif certificate is not None or key is not None:
        raise TlsSetupError(f"{certificate or key}: a certificate and its key are given together, one is missing")
    _trust(context, trusted)
    return context


def load_identity(context: ssl.SSLContext, *, certificate: Path, key: Path) -> None:
    """Makes `context` present this certificate from the next handshake on: also how a renewed one takes effect.

    Raises TlsSetupError, and then the context keeps what it had.
    """
    _check_pem(certificate, "CERTIFICATE", "a certificate")
    _check_pem(key, "PRIVATE KEY", "a private key")
    try:
        # OpenSSL would ask on the terminal for the password of an encrypted key.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        raise TlsSetupError(_identity_problem(error, certificate, key)) from error


def _apply_policy(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_TLS_1_2_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.verify_mode = ssl.CERT_REQUIRED
    # An authority in a trust file is trusted as it is, without its own root: as in the incumbent's Java trust stores.
    # VERIFY_X509_STRICT stays off: it refuses authorities without key identifiers, which test environments have.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_TRUSTED_FIRST
    context.set_alpn_protocols(["http/1.1"])


def _trust(context: ssl.SSLContext, trusted: Path | Sequence[Path]) -> None:
    paths = [trusted] if isinstance(trusted, Path) else list(trusted)
    if not paths:
        raise TlsSetupError("no trust file is given: nobody could be verified")
    for path in paths:
        _check_pem(path, "CERTIFICATE", "the certificate of an authority to trust")
        try:
            context.load_verify_locations(cafile=path)
        except ssl.SSLError as error:
            raise TlsSetupError(f"{path}: a certificate in it is damaged ({error.reason or error})") from error


def _check_pem(path: Path, label: str, what: str) -> None:
    """OpenSSL's own errors do not name the file, so what can be wrong with a file as such is found here."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TlsSetupError(
            f"{path}: cannot be read: {os.strerror(error.errno or 0)}; expected {what} in PEM"
        ) from error
    if f"{label}-----".encode() not in data:
        raise TlsSetupError(f"{path}: holds no {label} block; expected {what} in PEM")
    if b"ENCRYPTED" in data:
        raise TlsSetupError(f"{path}: the key is encrypted; give it without a password: openssl pkey -in ... -out ...")


def _identity_problem(error: ssl.SSLError, certificate: Path, key: Path) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"{key}: is not the key of {certificate}; give the key that the certificate was made for"
    if error.reason in {"KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}:
        return (
            f"{key}: is of another kind than the key of {certificate}; give the key that the certificate was made for"
        )
    if error.reason in {"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"}:
        return f"{certificate}: too weak ({error.reason}); it takes RSA of 2048 bits or P-256, with SHA-256"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=certificate)
    except ssl.SSLError:
        return f"{certificate}: the certificate is damaged ({error.reason or error})"
    return f"{key}: the key is damaged ({error.reason or error})"


def _no_password() -> str:
    return ""
