"""What a running platform knows of certificates, kept up to date: its own, and which of others' are revoked."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path

from rivta.files import states_of
from rivta.run.settings import Tls
from rivta.tls.contexts import TlsSetupError, load_identity
from rivta.tls.revocation import authorities_in
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
        unlisted: Iterable[bytes],
        clock: Callable[[], datetime],
        accepts_doubt: bool,
    ) -> None:
        """`unlisted` are the names (DER) of the authorities whose trust file has no list: nothing of theirs is ever
        revoked. With `accepts_doubt` a certificate passes whose list is overdue, unreadable or missing."""
        self._files = RevocationFiles(files)
        self._unlisted = frozenset(unlisted)
        self._clock = clock
        self._accepts_doubt = accepts_doubt

    @classmethod
    def of(cls, tls: Tls, *, clock: Callable[[], datetime], accepts_doubt: bool) -> RevocationWatch:
        """The lists that the settings name. Raises RevocationError when a trust file cannot be read."""
        pairs = list(zip(tls.trusted, tls.crl or (None,) * len(tls.trusted), strict=True))
        return cls(
            [RevocationFile(crl, trusted, clock=clock) for trusted, crl in pairs if crl is not None],
            unlisted=[
                one.subject.public_bytes() for trusted, crl in pairs if crl is None for one in authorities_in(trusted)
            ],
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
        reloaded = await self._files.refresh()
        if reloaded:
            names = ", ".join(str(file.current.path) for file in reloaded)
            _log.info("revocation list %s read again; %d connections cut", names, cut(self.is_revoked))


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
