"""TLS of an endpoint, by handshakes: what it accepts, what it refuses, and whom."""

from __future__ import annotations

import contextlib
import ssl
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rivta.onboarding.findings import Finding, fail, ok, skipped, warn
from rivta.onboarding.wire import Address, Connection, Deadline, Failure, HttpAnswer, Kind
from rivta.tls.certificates import (
    Signer,
    Subject,
    Validity,
    authority_certificate,
    function_certificate,
    key_to_pem,
    make_key,
    to_pem,
)
from rivta.tls.contexts import TLS_1_2_CIPHERS, client_context, load_identity, negotiated
from rivta.tls.profiles import KeyKind, Profiles

HANDSHAKE_SECONDS = 5.0
_OLD = {"TLS 1.0": ssl.TLSVersion.TLSv1, "TLS 1.1": ssl.TLSVersion.TLSv1_1}
_NEW = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}
_WEAK_CIPHERS = "kRSA:!aNULL:!eNULL:@SECLEVEL=0"
"""For TLS 1.2: keys without forward secrecy."""
_REFUSED = frozenset({Kind.ALERT, Kind.CLOSED})
_REFUSED_BY_HTTP = frozenset({400, 401, 403, 495, 496})
"""How servers refuse a certificate above TLS: nginx's own numbers among them."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The certificate to call with."""

    certificate: Path
    key: Path
    hsa_id: str | None


@dataclass(frozen=True, slots=True)
class Probe:
    """An endpoint that is looked at, and who looks."""

    address: Address
    identity: Identity
    deadline: Deadline

    def open(self, context: ssl.SSLContext) -> Connection:
        """A connection by that context. Raises Failure, OutOfTime."""
        return Connection.open(self.address, context, seconds=self.deadline.within(HANDSHAKE_SECONDS))


def tolerant_context(identity: Identity | None) -> ssl.SSLContext:
    """A context that looks at nothing: to see all that is wrong, not only the first. Only for tries with test data.

    Raises TlsSetupError for an identity that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    if identity is not None:
        load_identity(context, certificate=identity.certificate, key=identity.key)
    return context


def check_versions(probe: Probe) -> Iterator[Finding]:
    """TLS 1.2 or 1.3 must be accepted, 1.0 and 1.1 refused; and what 1.2 is accepted with."""
    accepted: dict[str, str] = {}
    untried: list[str] = []
    for name, version in {**_OLD, **_NEW}.items():
        try:
            accepted |= {name: cipher} if (cipher := _cipher_by(probe, version)) else {}
        except ValueError:  # the OpenSSL of this machine does not have it
            untried.append(name)
    yield _versions(accepted, untried)
    if "TLS 1.2" in accepted:
        yield _ciphers(probe, accepted["TLS 1.2"], has_newer="TLS 1.3" in accepted)


def _versions(accepted: Mapping[str, str], untried: list[str]) -> Finding:
    step = "tls versions"
    old, new = [name for name in accepted if name in _OLD], [name for name in accepted if name in _NEW]
    seen = f"accepts {', '.join(accepted) or 'none'}"
    if untried:
        seen += f"; {', '.join(untried)} could not be tried from here"
    if not new:
        return fail(step, seen, "switch TLS 1.2 or 1.3 on: a platform calls with nothing older")
    if old:
        return warn(step, seen, f"switch {', '.join(old)} off")
    return ok(step, seen)


def _cipher_by(probe: Probe, version: ssl.TLSVersion) -> str | None:
    """The cipher that a handshake of just this version ends with; None when it is refused. Raises ValueError."""
    context = tolerant_context(probe.identity)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is why they are tried
        context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
        context.minimum_version = version
        context.maximum_version = version
    if version in _OLD.values():
        context.set_ciphers("ALL:@SECLEVEL=0")
    return _cipher(probe, context)


def _cipher(probe: Probe, context: ssl.SSLContext) -> str | None:
    try:
        with probe.open(context) as connection:
            found = connection.tls.cipher()
            return found[0] if found else ""
    except Failure:
        return None


def _ciphers(probe: Probe, usual: str, *, has_newer: bool) -> Finding:
    step = "ciphers"
    ours = tolerant_context(probe.identity)
    ours.maximum_version = ssl.TLSVersion.TLSv1_2
    ours.set_ciphers(TLS_1_2_CIPHERS)
    good = _cipher(probe, ours)
    if good is None and not has_newer:
        return fail(
            step,
            f"TLS 1.2 is accepted with {usual}, not with ECDHE and AES-GCM or ChaCha20",
            "switch ECDHE-...-AES128-GCM-SHA256 or -AES256-GCM-SHA384 on: a platform offers nothing weaker",
        )
    weak = tolerant_context(probe.identity)
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers(_WEAK_CIPHERS)
    found = _cipher(probe, weak)
    if found is not None:
        return warn(step, f"{good or usual}; also {found}", f"switch {found} off: whoever gets the key reads old calls")
    return ok(step, f"{good or usual}; nothing without forward secrecy")


def check_trust(probe: Probe, trusted: Path) -> Finding:
    """The handshake as a platform makes it: with every check on."""
    step = "trust"
    context = client_context(certificate=probe.identity.certificate, key=probe.identity.key, trusted=trusted)
    try:
        with probe.open(context) as connection:
            return ok(step, f"a platform's handshake: {negotiated(connection.tls)}")
    except Failure as failure:
        return fail(step, f"a platform refuses it: {failure}", "see the steps above; until then calls end with VP009")


def check_clients(probe: Probe, try_call: Callable[[Connection], HttpAnswer]) -> Iterator[Finding]:
    """A caller without certificate, and one with a certificate of a CA that nobody knows, must be refused.

    `try_call` sends something harmless: with TLS 1.3 a server says only after the handshake what it thinks.
    """
    yield _refuses(
        "no client certificate",
        probe,
        tolerant_context(None),
        try_call,
        change="demand client certificates in the handshake: else anybody may call",
    )
    with _unknown(probe.identity.hsa_id) as stranger:
        yield _refuses(
            "unknown client CA",
            probe,
            tolerant_context(stranger),
            try_call,
            change="trust named CAs only: else anybody may make a certificate with any HSA-id",
        )


def _refuses(
    step: str, probe: Probe, context: ssl.SSLContext, try_call: Callable[[Connection], HttpAnswer], *, change: str
) -> Finding:
    try:
        with probe.open(context) as connection:
            answer = try_call(connection)
    except Failure as failure:
        if failure.kind in _REFUSED:
            return ok(step, f"refused{f' ({failure.text})' if failure.text else ''}")
        return skipped(step, f"could not be told: {failure}")
    if answer.status in _REFUSED_BY_HTTP:
        return ok(step, f"refused with HTTP {answer.status}")
    return fail(step, f"let in, and answered with HTTP {answer.status}", change)


@contextlib.contextmanager
def _unknown(hsa_id: str | None) -> Iterator[Identity]:
    """A certificate with the caller's own HSA-id, of a CA made just now. It is gone when this is left."""
    profiles, now = Profiles.shipped(), datetime.now(UTC)
    ca_key, key = make_key(KeyKind.EC_P256), make_key(KeyKind.EC_P256)
    signer = Signer(authority_certificate(profiles.issuing, ca_key, signer=None, now=now), ca_key)
    subject = Subject(hsa_id=hsa_id or "SE0000000000-NOBODY", common_name="nobody", organisation="nobody", hosts=())
    made = function_certificate(
        subject,
        key,
        signer,
        validity=Validity(now - timedelta(hours=1), now + timedelta(hours=1)),
        profile=profiles.function,
    )
    with tempfile.TemporaryDirectory(prefix="rivta-") as folder:  # closed to others
        identity = Identity(Path(folder, "nobody.pem"), Path(folder, "nobody.key"), hsa_id)
        identity.certificate.write_bytes(to_pem([made]))
        identity.key.touch(mode=0o600)
        identity.key.write_bytes(key_to_pem(key))
        yield identity
