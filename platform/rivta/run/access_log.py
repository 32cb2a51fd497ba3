"""The access log as a keeper has it: opened when there is one, its heads signed, old entries taken away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from sqlalchemy import make_url

from rivta.audit.access.checkpoints import CheckpointFile, CheckpointsUnusable, Signer
from rivta.audit.access.entry import Entry
from rivta.audit.access.log import AccessLog, AccessLogUnreadable, CannotRecord, Receipt, Writer
from rivta.audit.access.reports import Reports
from rivta.audit.access.retention import retain, years_before
from rivta.files import write_file
from rivta.run.services.access_logs import online_since
from rivta.run.settings import Settings
from rivta.store.engine import DatabaseUnusable
from rivta.tls.contexts import TlsSetupError
from rivta.tls.signing import key_id, signer, verifiers

_log = logging.getLogger("rivta.run.access_log")

_TROUBLES = (DatabaseUnusable, AccessLogUnreadable, CheckpointsUnusable, CannotRecord, TlsSetupError)


class KeptAccessLog:
    """One platform's access log in its keeper. May be called from any thread.

    Nothing is opened, and no database made, before somebody asks for it or another process has made one: most
    platforms have no log of looks.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._working = threading.Lock()
        self._opened: tuple[AccessLog, Reports, CheckpointFile] | None = None
        self._writer: Writer | None = None
        self._trouble = ""

    def reports(self) -> Reports:
        """The patients' questions. Raises DatabaseUnusable or AccessLogUnreadable."""
        return self._open()[1]

    def record(self, *entries: Entry) -> tuple[Receipt, ...]:
        """What the patient overview writes: all of it on the disk when this returns.

        Raises CannotRecord, DatabaseUnusable or AccessLogUnreadable: then nothing may be shown.
        """
        log = self._open()[0]
        with self._lock:
            if self._writer is None:
                self._writer = log.writer("console", clock=self._clock)
            writer = self._writer
        return writer.record(*entries)

    def sign(self) -> None:
        """Sign the heads, if there is a log and anything new in it. Trouble is told in the process's log, once."""
        self._work("the access log's heads are not signed", lambda _log, file: file.sign(now=self._clock()))

    def retain(self) -> None:
        """Take away what is older than it has to be kept. Trouble as above."""
        self._work("the access log's old entries stay", self._retain)

    def close(self) -> None:
        """Sign what is new, and give everything back."""
        self.sign()
        with self._lock:
            opened, self._opened = self._opened, None
            self._writer = None
        if opened is not None:
            opened[1].close()
            opened[0].close()

    def _retain(self, log: AccessLog, file: CheckpointFile) -> None:
        now = self._clock()
        older_than = years_before(now, self._settings.access_log.retention_years)
        writer = log.writer("retention", clock=self._clock)
        removed = retain(log, writer, file, older_than=older_than, now=now)
        if removed:
            _log.info("%d entries of the access log from before %s taken away", removed, older_than.date())

    def _work(self, complaint: str, work: Callable[[AccessLog, CheckpointFile], object]) -> None:
        if not self._is_there():
            return
        trouble = ""
        try:
            log, _, file = self._open()
            with self._working:
                work(log, file)
        except _TROUBLES as error:
            trouble = f"{complaint}: {error}"
        if trouble and trouble != self._trouble:
            _log.error("%s", trouble)
        self._trouble = trouble

    def _is_there(self) -> bool:
        """Whether a database has been made: one on a server is there by being named."""
        url = make_url(self._settings.access_log_url)
        return url.get_backend_name() != "sqlite" or Path(url.database or "").exists()

    def _open(self) -> tuple[AccessLog, Reports, CheckpointFile]:
        with self._lock:
            if self._opened is None:
                log = AccessLog.open(self._settings.access_log_url)
                key = self._settings.tls.key
                _keep_signer(self._settings)
                file = CheckpointFile(
                    self._settings.access_checkpoints,
                    log,
                    log.writer("checkpoints", clock=self._clock),
                    Signer(key_id(key), signer(key)),
                )
                reports = Reports(log, clock=self._clock, earliest=online_since)
                self._opened = (log, reports, file)
            return self._opened


def signers_file(checkpoints: Path) -> Path:
    """The certificates whose keys have signed, beside the checkpoints: keys are renewed, signatures stay."""
    return checkpoints.with_suffix(".signers.pem")


def _keep_signer(settings: Settings) -> None:
    """Adds the platform's certificate of now to those that have signed. Raises TlsSetupError or CheckpointsUnusable."""
    file = signers_file(settings.access_checkpoints)
    if key_id(settings.tls.key) in (verifiers(file) if file.exists() else {}):
        return
    try:
        content = settings.tls.certificate.read_bytes()
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = file.read_bytes() if file.exists() else b""
        write_file(file, kept + content.strip() + b"\n", mode=0o600)
    except OSError as error:
        raise CheckpointsUnusable(f"{file} cannot be written: {error.strerror}") from error
