"""The TLS policy of the platform, in one place: what a listener and what a client accepts.

TLS 1.3, and TLS 1.2 with ephemeral keys and authenticated encryption; keys and signatures of 112 bits. Both sides have
certificates. Session tickets stay on: a full handshake costs about three times a resumed one, and a resumed session
still has its peer's certificate.
"""

from __future__ import annotations

import logging
import os
import re
import ssl
import time
import warnings
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

_WITHOUT_ALERT = frozenset({"HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "WRONG_VERSION_NUMBER"})
"""Failures of a handshake for which OpenSSL has no alert, since whoever is there does not speak TLS."""

TLS_1_2_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
# SHA-1 signs the key exchange of TLS 1.0 and 1.1, which OpenSSL 3 lets through at level 0 only. There it would take the
# export ciphers of the nineties too, so these are named: with AES in CBC, and for the oldest with the server's RSA key.
_OLD_CIPHERS = f"{TLS_1_2_CIPHERS}:ECDHE+AES:kRSA+AESGCM:kRSA+AES:!aNULL:!eNULL:!PSK:!SRP:@SECLEVEL=0"

_TLS_1_3_SUITES = frozenset({"TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"})
_VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
"""As the incumbent's settings name them, oldest first."""

_SESSION_SECONDS = 3600.0
_MOST_SESSIONS = 1000

_log = logging.getLogger("rivta.tls")


class TlsSetupError(ValueError):
    """A certificate, key or trust file cannot be used; the text says which file, what is wrong and what to do."""


CALLER: ContextVar[str] = ContextVar("CALLER", default="")
"""Who is at the other end of the connection that is being accepted in this task, as ` at 10.0.0.1`, for the log."""


class _TellingSSLObject(ssl.SSLObject):
    """The server's end of a connection under asyncio or uvloop, which tells the client why its handshake failed.

    Both event loops drop a connection whose handshake fails with OpenSSL's alert still unsent: the client sees a reset
    and no reason. Here the failure looks like a handshake that waits for more, so the alert is sent; then the client
    leaves, or the loop's handshake timeout ends it.
    """

    _failed = False
    _caller: str | None = None

    def do_handshake(self) -> None:
        if self._caller is None:  # now, since what is read later is read in a context of the loop's own
            self._caller = CALLER.get()
        if not self._failed:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                _log.info("the handshake of a client%s was refused: %s", self._caller, _refusal(error))
                if error.reason in _WITHOUT_ALERT:
                    raise
                self._failed = True
            else:
                return
        raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "the handshake has failed; the alert is on its way")


def _refusal(error: ssl.SSLError) -> str:
    """What a client did wrong, in OpenSSL's words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate: {error.verify_message}"
    return (error.reason or str(error)).replace("_", " ").lower()


def server_context(
    *, certificate: Path, key: Path, trusted: Path | Sequence[Path], old_tls: bool = False
) -> ssl.SSLContext:
    """A context for listeners: it demands a client certificate from an authority in the `trusted` PEM files.

    With `old_tls` it also speaks TLS 1.0 and 1.1, and takes what comes with them: CBC ciphers, key exchange by RSA, and
    client certificates with short keys or SHA-1 signatures. Raises TlsSetupError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _TellingSSLObject
    _apply_policy(context)
    if old_tls:
        _admit_old(context)
    load_identity(context, certificate=certificate, key=key)
    _trust(context, trusted)
    return context


class ClientContext(ssl.SSLContext):
    """A context for calls that resumes the sessions of earlier connections, and can tell revoked servers.

    A session belongs to a host and port. It is offered for an hour after the handshake in which the server's
    certificate was verified, since resuming does not verify it again.
    """

    def __init__(self, protocol: int) -> None:
        """`protocol` is for the library, which takes it when the object is made."""
        self.is_revoked: Callable[[bytes, int], bool] = lambda issuer, serial: False
        """Whether the certificate with this issuer (DER of its name) and serial number is revoked."""
        self._sessions: dict[tuple[str, int], tuple[ssl.SSLSession, float]] = {}

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """As in the library, whose event loops have no way to hand a session in: it is the one in `OFFERED`."""
        if (offered := OFFERED.get()) is not None:
            kwargs["session"] = offered
        return super().wrap_bio(*args, **kwargs)

    def session_for(self, host: str, port: int) -> ssl.SSLSession | None:
        """The session to resume with a server, if there is one that is young enough."""
        session, verified = self._sessions.get((host, port), (None, 0.0))
        return session if time.monotonic() - verified < _SESSION_SECONDS else None

    def remember(self, host: str, port: int, connection: ssl.SSLObject) -> None:
        """Keeps the session of a connection over which something has been read: TLS 1.3 sends it after the handshake.

        One that was resumed itself keeps the age of the first: its certificate has not been verified since.
        """
        session, kept = connection.session, self._sessions
        if session is None or not session.has_ticket:
            return
        before = kept.pop((host, port), None)
        resumed = connection.session_reused and before is not None
        kept[host, port] = (session, before[1] if resumed and before is not None else time.monotonic())
        if len(kept) > _MOST_SESSIONS:
            del kept[next(iter(kept))]


OFFERED: ContextVar[ssl.SSLSession | None] = ContextVar("OFFERED", default=None)
"""The session to resume on the connection that is being made in this task."""


def client_context(
    *,
    certificate: Path | None = None,
    key: Path | None = None,
    trusted: Path | Sequence[Path],
    check_hostname: bool = True,
) -> ClientContext:
    """A context for calls: it verifies the server's chain against `trusted` and its host against subjectAltName only.

    Without `certificate` and `key` the call is made without a client certificate. Without `check_hostname` any server
    with a trusted certificate will do. Raises TlsSetupError.
    """
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    _apply_policy(context)
    context.check_hostname = check_hostname
    # RFC 9525 section 2: the common name is not a host name.
    context.hostname_checks_common_name = False
    if certificate is not None and key is not None:
        load_identity(context, certificate=certificate, key=key)
    elif certificate is not None or key is not None:
        raise TlsSetupError(f"{certificate or key}: a certificate and its key are given together, one is missing")
    _trust(context, trusted)
    return context


def own_door_context(*, certificate: Path, key: Path) -> ClientContext:
    """A context for calls to this platform's own listener: whoever answers there has to show this very certificate.

    So neither its host name nor its authority need be among what the platform trusts. Raises TlsSetupError.
    """
    from cryptography import x509  # here, since the settings are read by whoever must not load it
    from cryptography.hazmat.primitives.serialization import Encoding

    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    _apply_policy(context)
    context.check_hostname = False
    load_identity(context, certificate=certificate, key=key)
    leaf = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    context.load_verify_locations(cadata=leaf.public_bytes(Encoding.DER))
    return context


def negotiated(connection: ssl.SSLObject | ssl.SSLSocket) -> str:
    """Version and cipher of a connection, as `TLSv1.3 TLS_AES_256_GCM_SHA384`."""
    cipher = connection.cipher()
    return f"{connection.version()} {cipher[0] if cipher else ''}".rstrip()


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
    context.set_ciphers(TLS_1_2_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.verify_mode = ssl.CERT_REQUIRED
    # An authority in a trust file is trusted as it is, without its own root: as in the incumbent's Java trust stores.
    # VERIFY_X509_STRICT stays off: it refuses authorities without key identifiers, which test environments have.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_TRUSTED_FIRST
    context.set_alpn_protocols(["http/1.1"])


def narrow(
    context: ssl.SSLContext, *, protocols: Sequence[str] = (), ciphers: Sequence[str] = (), old_tls: bool = False
) -> None:
    """Has `context` offer these protocols and cipher suites only; empty is all that the platform's policy has.

    Suites are named as by OpenSSL or as in the standards, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256. What is beyond the
    policy may be named with `old_tls` only. Raises TlsSetupError.
    """
    if old_tls:
        context.set_ciphers(_OLD_CIPHERS)
    known = {str(suite["name"]) for suite in context.get_ciphers()}
    wanted = [_openssl_name(name) for name in ciphers]
    for name, found in zip(ciphers, wanted, strict=True):
        if found not in known:
            raise TlsSetupError(f"cipher {name}: not among those that may be offered, {', '.join(sorted(known))}")
    versions = _versions(protocols, old_tls=old_tls)
    if wanted:
        newest, older = [name for name in wanted if name in _TLS_1_3_SUITES], set(wanted) - _TLS_1_3_SUITES
        if newest and len(newest) < len(_TLS_1_3_SUITES):
            raise TlsSetupError(f"ciphers: those of TLS 1.3 go together: {', '.join(sorted(_TLS_1_3_SUITES))}")
        versions = [one for one in versions if (newest if one == "TLSv1.3" else older)]
        if not versions:
            raise TlsSetupError(f"ciphers {', '.join(ciphers)}: none is of the protocols {', '.join(protocols)}")
        if older:
            context.set_ciphers(":".join([*sorted(older, key=wanted.index), *(["@SECLEVEL=0"] if old_tls else [])]))
    elif versions[0] in ("TLSv1.2", "TLSv1.3"):
        context.set_ciphers(TLS_1_2_CIPHERS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of ssl, that 1.0 and 1.1 are old
        context.maximum_version = _VERSIONS[versions[-1]]
        context.minimum_version = _VERSIONS[versions[0]]


def check_offer(protocols: Sequence[str], ciphers: Sequence[str], *, old_tls: bool = False) -> None:
    """Raises TlsSetupError if `narrow` would."""
    if protocols or ciphers:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _apply_policy(context)
        narrow(context, protocols=protocols, ciphers=ciphers, old_tls=old_tls)


def _versions(protocols: Sequence[str], *, old_tls: bool) -> list[str]:
    """The named protocols, oldest first: an unbroken row."""
    allowed = list(_VERSIONS) if old_tls else ["TLSv1.2", "TLSv1.3"]
    for name in protocols:
        if name not in allowed:
            raise TlsSetupError(f"protocol {name}: not among those that may be spoken, {', '.join(allowed)}")
    row = [name for name in _VERSIONS if name in protocols] or ["TLSv1.2", "TLSv1.3"]
    if list(_VERSIONS).index(row[-1]) - list(_VERSIONS).index(row[0]) + 1 != len(row):
        raise TlsSetupError(f"protocols {', '.join(row)}: name those between the oldest and the newest, too")
    return row


def _openssl_name(suite: str) -> str:
    """OpenSSL's name of a suite that is named as in the standards, as the incumbent's settings do."""
    exchange, separator, rest = suite.removeprefix("TLS_").partition("_WITH_")
    if not separator:
        return suite
    rest = re.sub(r"AES_(\d+)", r"AES\1", rest).replace("_CBC", "").removesuffix("_POLY1305_SHA256")
    rest = f"{rest}_POLY1305" if rest == "CHACHA20" else rest
    return (rest if exchange == "RSA" else f"{exchange}_{rest}").replace("_", "-")


def _admit_old(context: ssl.SSLContext) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of ssl, that these are old
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers(_OLD_CIPHERS)


def _trust(context: ssl.SSLContext, trusted: Path | Sequence[Path]) -> None:
    paths = [trusted] if isinstance(trusted, Path) else list(trusted)
    if not paths:
        raise TlsSetupError("no trust file is given: nobody could be verified")
    for path in paths:
        _check_pem(path, "CERTIFICATE", "the certificate of an authority to trust")
        _check_whole(path)
        try:
            context.load_verify_locations(cafile=path)
        except ssl.SSLError as error:
            raise TlsSetupError(f"{path}: a certificate in it is damaged ({error.reason or error})") from error


def _check_pem(path: Path, label: str, what: str) -> None:
    """OpenSSL's own errors do not name the file, so what can be wrong with a file as such is found here."""
    if path.is_fifo() or path.is_char_device():  # reading would wait for whoever writes, or never end
        raise TlsSetupError(f"{path}: is no file; expected {what} in PEM")
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


def _check_whole(path: Path) -> None:
    """A trust file that ends within a certificate is being written, or was cut off: OpenSSL takes what comes before."""
    data = path.read_bytes()
    if data.count(b"-----BEGIN ") != data.count(b"-----END "):
        raise TlsSetupError(f"{path}: damaged: it ends within a certificate")


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
