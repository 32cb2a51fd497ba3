"""What a running platform knows of certificates, kept up to date: its own, and which of others' are revoked."""

from __future__ import annotations

import logging
import ssl
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from rivta.files import states_of
from rivta.run.settings import Tls
from rivta.tls.contexts import TlsSetupError, load_identity, server_context
from rivta.tls.revocation import RevocationError, authorities_in
from rivta.tls.revocation_files import RevocationFile, RevocationFiles
from rivta.tls.sender import Sender

_log = logging.getLogger("rivta.run.trust")

REVOCATION_SECONDS = 0.25
"""How often the revocation lists are looked at: a new one is to act within a second."""
IDENTITY_SECONDS = 1.0


class RevocationWatch:
    """The revocation lists in force, of all authorities that a platform trusts. Not for several threads at once."""

    def __init__(
        self,
        files: Sequence[RevocationFile],
        *,
        unlisted: Sequence[Path],
        clock: Callable[[], datetime],
        accepts_doubt: bool,
    ) -> None:
        """`unlisted` are the trust files that have no list: nothing of their authorities is ever revoked. With
        `accepts_doubt` a certificate passes whose list is overdue, unreadable or missing. Raises RevocationError."""
        self._files = RevocationFiles(files)
        self._unlisted_files = tuple(unlisted)
        self._unlisted_seen = states_of(self._unlisted_files)
        self._unlisted = _names_in(self._unlisted_files)
        self._clock = clock
        self._accepts_doubt = accepts_doubt

    @classmethod
    def of(cls, tls: Tls, *, clock: Callable[[], datetime], accepts_doubt: bool) -> RevocationWatch:
        """The lists that the settings name. Raises RevocationError when a trust file cannot be read."""
        pairs = list(zip(tls.trusted, tls.crl or (None,) * len(tls.trusted), strict=True))
        return cls(
            [RevocationFile(crl, trusted, clock=clock) for trusted, crl in pairs if crl is not None],
            unlisted=[trusted for trusted, crl in pairs if crl is None],
            clock=clock,
            accepts_doubt=accepts_doubt,
        )

    def is_revoked(self, sender: Sender) -> bool:
        """Whether a list in force says that the sender's certificate, or its authority's, is revoked."""
        return self.is_revoked_certificate(sender.issuer_key, sender.serial)

    def is_revoked_certificate(self, issuer_key: bytes, serial: int) -> bool:
        """The same of any certificate, by the DER of its issuer's name and its serial number."""
        return self._files.is_revoked(issuer_key, serial)

    def doubt(self, sender: Sender) -> str:
        """Why the platform cannot tell whether the sender's certificate is revoked; empty when it can, or need not."""
        if self._accepts_doubt or not self._files:
            return ""
        now, key = self._clock(), sender.issuer_key
        words = [file.current.doubt(key, now) for file in self._files if key in file.current.authorities]
        if not words:
            # An authority that came with the caller's chain: its own lists, if it has any, are not known here.
            return "" if key in self._unlisted else f"there is no revocation list of {sender.issuer}"
        return min(words, key=len)  # one file that can tell is enough

    def problem(self) -> str | None:
        """What an operator should know: lists that are overdue or missing, files that are not in force."""
        now = self._clock()
        words = [file.problem for file in self._files if file.problem is not None]
        words += [words for file in self._files for words in file.current.doubts(now)]
        return "; ".join(words) or None

    async def refresh(self, cut: Callable[[Callable[[Sender], bool]], int] = lambda _: 0) -> None:
        """Reads changed lists, then has those cut who stand in them: `cut` closes connections and counts them."""
        self._refresh_unlisted()
        reloaded = await self._files.refresh()
        if reloaded:
            names = ", ".join(str(file.current.path) for file in reloaded)
            _log.info("revocation list %s read again; %d connections cut", names, cut(self.is_revoked))

    def _refresh_unlisted(self) -> None:
        seen = states_of(self._unlisted_files)
        if seen != self._unlisted_seen:
            with suppress(RevocationError):  # the listener's own trust tells of it, and stays, too
                self._unlisted = _names_in(self._unlisted_files)
            self._unlisted_seen = seen


def _names_in(files: Sequence[Path]) -> frozenset[bytes]:
    return frozenset(one.subject.public_bytes() for file in files for one in authorities_in(file))


class ListenerTls:
    """What a listener shows and whom it trusts, from files. Not for several threads at once.

    When a file has changed the context is made anew, for the handshakes that follow: OpenSSL can add an authority to a
    context, and not take one away.
    """

    def __init__(self, tls: Tls, *, old_tls: bool) -> None:
        """Raises TlsSetupError."""
        self._tls = tls
        self._old_tls = old_tls
        self._problem = ""
        self._seen = self._states()
        self.context, self._authorities = self._made()
        self._has_lost_one = False
        if tls.key.stat().st_mode & stat.S_IROTH:
            _log.warning("%s: everybody on this machine may read the platform's key: chmod 600", tls.key)

    def refresh(self) -> bool:
        """Whether there is another `context`. While the files cannot be used together, the one in use stays."""
        seen = self._states()
        if seen == self._seen:
            return False
        try:
            context, authorities = self._made()
        except TlsSetupError as error:
            if str(error) != self._problem:
                _log.error("the certificate and the trust in use stay: %s", error)
            self._problem = str(error)
            return False
        self._has_lost_one = not self._authorities <= authorities
        self.context, self._authorities, self._seen, self._problem = context, authorities, seen, ""
        _log.info("certificate %s and the authorities that are trusted read again", self._tls.certificate)
        return True

    def distrusts(self, sender: Sender) -> bool:
        """Whether a sender that was let in by the context before would perhaps not be by this one: an authority is
        trusted no more, and its own is none that is."""
        return self._has_lost_one and sender.issuer_key not in self._authorities

    def _made(self) -> tuple[ssl.SSLContext, frozenset[bytes]]:
        tls = self._tls
        context = server_context(certificate=tls.certificate, key=tls.key, trusted=tls.trusted, old_tls=self._old_tls)
        try:
            names = _names_in(tls.trusted)
        except RevocationError as error:
            raise TlsSetupError(str(error)) from error
        return context, names

    def _states(self) -> tuple[tuple[int, ...] | None, ...]:
        return states_of((self._tls.certificate, self._tls.key, *self._tls.trusted))


class OwnIdentity:
    """A certificate of ours, shown through several contexts; a renewed one is shown from the next handshake on."""

    def __init__(self, certificate: Path, key: Path, contexts: tuple[ssl.SSLContext, ...]) -> None:
        self._certificate = certificate
        self._key = key
        self._contexts = contexts
        self._seen = self._fingerprint()
        self._problem = ""

    async def refresh(self) -> None:
        """Loads the files again if they have changed; while they do not fit each other the certificate in use stays."""
        seen = self._fingerprint()
        if seen == self._seen:
            return
        try:
            for context in self._contexts:
                load_identity(context, certificate=self._certificate, key=self._key)
        except TlsSetupError as error:
            if str(error) != self._problem:
                _log.error("the certificate in use stays: %s", error)
            self._problem = str(error)
            return
        self._seen, self._problem = seen, ""
        _log.info("certificate %s read again", self._certificate)

    def _fingerprint(self) -> tuple[tuple[int, ...] | None, ...]:
        return states_of((self._certificate, self._key))
