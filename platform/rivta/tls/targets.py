"""Which certificate a producer is shown and by which authorities it is trusted: chosen by host and port, or by name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from yarl import URL

from rivta.files import states_of
from rivta.tls.contexts import ClientContext, TlsSetupError, client_context, narrow
from rivta.tls.hosts import plain_host
from rivta.tls.revocation import RevocationError
from rivta.tls.revocation_files import RevocationFile, RevocationFiles

_log = logging.getLogger("rivta.tls.targets")

_MOST_CHOICES = 10_000
_HTTPS_PORT = 443

Revoked = Callable[[bytes, int], bool]
"""Whether the certificate of this issuer (DER of its name) with this serial number is revoked."""


class UnknownIdentity(LookupError):
    """A producer address names a TLS target that the settings do not have."""


@dataclass(frozen=True, slots=True)
class TlsTarget:
    """How some producers are called."""

    name: str
    certificate: Path | None = None
    key: Path | None = None
    """None, both: the platform's own."""
    trusted: tuple[Path, ...] = ()
    """Empty: whom the platform trusts; then `crl` does not count."""
    crl: tuple[Path | None, ...] = ()
    """One for each file of `trusted`, or none at all."""
    protocols: tuple[str, ...] = ()
    ciphers: tuple[str, ...] = ()
    """Empty: what the platform's policy has."""
    domain: str = ""
    domain_suffix: str = ""
    port: int | None = None

    def matches(self, host: str, port: int) -> bool:
        """Whether producers at this host (as `plain_host` spells it) and port are called so. An entry with neither
        domain nor suffix is for those that name it; with a domain its suffix does not count.

        A suffix is of whole labels, unlike the incumbent's, or `example.se` would be `evilexample.se` too; with a dot
        before it, it is not the domain itself.
        """
        if self.port is not None and self.port != port:
            return False
        if self.domain:
            return host == plain_host(self.domain)
        suffix = plain_host(self.domain_suffix.removeprefix("."))
        if not suffix:
            return False
        return host.endswith(f".{suffix}") or (host == suffix and not self.domain_suffix.startswith("."))


class Identities:
    """The platform's TLS identities towards producers. Not for several threads at once.

    Connections belong to the context they were made with. When a file has changed the contexts are made anew, so the
    next call makes a connection of its own.
    """

    def __init__(
        self,
        own: TlsTarget,
        targets: Sequence[TlsTarget] = (),
        *,
        is_revoked: Revoked = lambda issuer, serial: False,
        check_hostname: bool = True,
        old_tls: bool = False,
    ) -> None:
        """`own` has the platform's certificate, key and trust, `is_revoked` is about that trust; the first of `targets`
        that matches is taken. Raises TlsSetupError and RevocationError for what cannot be used."""
        self._own = own
        self._targets = {target.name: target for target in targets}
        self._is_revoked = is_revoked
        self._check_hostname = check_hostname
        self._old_tls = old_tls
        self._lists = {target.name: _lists(target) for target in targets}
        self._problem = ""
        self._seen = self._fingerprint()
        self._contexts = self._made()
        self._chosen: dict[tuple[str, str | None, str | None], ClientContext] = {}

    def choose(self, url: str, client_certificate: str | None = None, ca: str | None = None) -> ClientContext:
        """The context to call `url` with. What the producer address names comes before what host and port say:
        `client_certificate` is the target to take instead, `ca` the one whose trust counts. Raises UnknownIdentity."""
        asked = (url, client_certificate, ca)
        context = self._chosen.get(asked)
        if context is None:
            if len(self._chosen) >= _MOST_CHOICES:
                self._chosen.clear()
            context = self._chosen[asked] = self._choose(*asked)
        return context

    def _choose(self, url: str, client_certificate: str | None, ca: str | None) -> ClientContext:
        for name in (client_certificate, ca):
            if name and name not in self._targets:
                known = ", ".join(self._targets) or "none"
                raise UnknownIdentity(f"there is no TLS target {name!r}; there are {known}")
        parts = URL(url)  # as the client reads it: two readers of one URL may find two hosts in it
        host, port = (parts.raw_host or "").rstrip("."), parts.port or _HTTPS_PORT
        matching = (target.name for target in self._targets.values() if target.matches(host, port))
        identity = client_certificate or next(matching, self._own.name)
        key = (identity, ca or identity)
        if key not in self._contexts:
            self._contexts[key] = self._context(*key)
        return self._contexts[key]

    def is_revoked(self, issuer: bytes, serial: int) -> bool:
        """Whether any list, the platform's or a target's, says so."""
        return self._is_revoked(issuer, serial) or any(one.is_revoked(issuer, serial) for one in self._lists.values())

    async def refresh(self) -> bool:
        """Takes changed files into use; True when a revocation list was read again.

        While certificate, key and trust do not fit each other what is in use stays.
        """
        reloaded = [file for lists in self._lists.values() for file in await lists.refresh()]
        seen = self._fingerprint()
        if seen != self._seen:
            try:
                self._contexts = self._made()
            except TlsSetupError as error:
                if str(error) != self._problem:
                    _log.error("the certificates in use towards producers stay: %s", error)
                self._problem = str(error)
            else:
                self._chosen.clear()
                self._seen, self._problem = seen, ""
                _log.info("certificates towards producers read again")
        return bool(reloaded)

    def _made(self) -> dict[tuple[str, str], ClientContext]:
        names = [self._own.name, *self._targets]
        return {(name, name): self._context(name, name) for name in names}

    def _context(self, identity: str, trust: str) -> ClientContext:
        target, truster = self._target(identity), self._target(trust)
        has_own_identity = target.certificate is not None
        try:
            context = client_context(
                certificate=target.certificate if has_own_identity else self._own.certificate,
                key=target.key if has_own_identity else self._own.key,
                trusted=truster.trusted or self._own.trusted,
                check_hostname=self._check_hostname,
            )
            if target.protocols or target.ciphers:
                narrow(context, protocols=target.protocols, ciphers=target.ciphers, old_tls=self._old_tls)
        except TlsSetupError as error:
            raise TlsSetupError(f"tls.targets.{identity}: {error}" if identity else str(error)) from error
        context.is_revoked = self._lists[trust].is_revoked if truster.trusted and trust else self._is_revoked
        return context

    def _target(self, name: str) -> TlsTarget:
        return self._targets.get(name, self._own)

    def _fingerprint(self) -> tuple[tuple[int, ...] | None, ...]:
        return states_of(
            file
            for target in (self._own, *self._targets.values())
            for file in (target.certificate, target.key, *target.trusted)
            if file is not None
        )


def _lists(target: TlsTarget) -> RevocationFiles:
    """The revocation lists of a target with a trust of its own."""
    pairs = zip(target.trusted, target.crl, strict=bool(target.crl))
    try:
        return RevocationFiles([RevocationFile(crl, trusted) for trusted, crl in pairs if crl is not None])
    except RevocationError as error:
        raise RevocationError(f"tls.targets.{target.name}: {error}") from error
