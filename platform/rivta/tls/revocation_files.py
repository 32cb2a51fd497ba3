"""Files of revocation lists that are replaced now and then: what is in force stays until a good one follows it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path

from rivta.files import states_of
from rivta.tls.revocation import RevocationError, Revocations

_log = logging.getLogger("rivta.tls.revocation")

_RETRY = timedelta(seconds=5)
"""How often a file that could not be used, and has not changed since, is looked at again: a list may come of age."""


class Refresh(Enum):
    """What came of looking at the file again."""

    UNCHANGED = "unchanged"
    RELOADED = "reloaded"
    KEPT = "kept the last good list"


class RevocationFile:
    """The lists in force from a file that is replaced now and then. Not for several threads at once."""

    def __init__(
        self, crl_path: Path, ca_path: Path, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Without a good list it starts with none: nothing is known then of any certificate, see `Revocations.doubt`.

        Raises RevocationError when the authorities' certificates cannot be read.
        """
        self._paths = (crl_path, ca_path)
        self._clock = clock
        self.current = Revocations.unread(crl_path, ca_path)
        self.problem: str | None = None
        """Why the file as it is now is not in force; None when it is."""
        self._seen: object = None
        self._again = clock()
        self.refresh()

    def has_changed(self) -> bool:
        """Whether `refresh` has something to do; two calls of `stat`."""
        return states_of(self._paths) != self._seen or (self.problem is not None and self._clock() >= self._again)

    def refresh(self) -> Refresh:
        """Reads the file again if it, or the authorities' file, has changed; a bad one changes nothing but `problem`.

        A list of 100,000 entries takes a third of a second: a large one is refreshed in a thread.
        """
        if not self.has_changed():
            return Refresh.UNCHANGED
        now = self._clock()
        self._seen, self._again = states_of(self._paths), now + _RETRY
        try:
            current = Revocations.load(*self._paths)
            current.check_follows(self.current, now=now)
        except RevocationError as error:
            self.problem = str(error)
            return Refresh.KEPT
        self.current, self.problem = current, None
        return Refresh.RELOADED


class RevocationFiles:
    """All the files of one trust. Not for several threads at once."""

    def __init__(self, files: Sequence[RevocationFile] = ()) -> None:
        self._files = tuple(files)
        self._told: dict[RevocationFile, str | None] = dict.fromkeys(self._files)
        self._tell()

    def __iter__(self) -> Iterator[RevocationFile]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def is_revoked(self, issuer_key: bytes, serial: int) -> bool:
        """Whether a list in force says so of the certificate with that serial number, or of its issuer."""
        return any(file.current.is_revoked(issuer_key, serial) for file in self._files)

    async def refresh(self) -> list[RevocationFile]:
        """Reads what has changed, in a thread; the files that brought new lists."""
        changed = [file for file in self._files if file.has_changed()]
        reloaded = [file for file in changed if await asyncio.to_thread(file.refresh) is Refresh.RELOADED]
        self._tell()
        return reloaded

    def _tell(self) -> None:
        """Logs, once each, why a file is not in force."""
        for file, before in self._told.items():
            if file.problem is not None and file.problem != before:
                _log.error("the revocation list in force stays: %s", file.problem)
            self._told[file] = file.problem
