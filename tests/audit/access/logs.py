"""Access logs for tests: on each engine, with a key to sign by, and looks to write down."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rivta.audit.access.checkpoints import CheckpointFile, Signer, lines_of
from rivta.audit.access.entry import Entry, Kind, Outcome, Reader
from rivta.audit.access.log import AccessLog, Writer
from rivta.audit.access.verify import Verification, verify

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
TOLVAN, NINA = "191212121212", "198507099805"
DOCTOR = Reader(
    user_id="SE2321000016-1001",
    user_name="Doris Doktor",
    assignment="Vård och behandling, Hjärtmottagningen",
    unit_id="SE2321000016-KS-KARD",
    unit_name="Hjärtmottagningen, Karolinska",
    care_provider_id="SE2321000016",
    care_provider_name="Region Stockholm",
    purpose="Vård och behandling",
)
NURSE = replace(DOCTOR, user_id="SE2321000016-1002", user_name="Sven Syster")
KEY = b"the key of the test"


def sign(data: bytes) -> bytes:
    return hmac.new(KEY, data, hashlib.sha256).digest()


def is_signed(signer: str, data: bytes, signature: bytes) -> bool | None:
    return None if signer != "test" else hmac.compare_digest(sign(data), signature)


def intent(patient: str = TOLVAN, information_set: str = "Diagnoser", **fields: Any) -> Entry:
    entry = Entry(
        Kind.INTENT,
        reader=DOCTOR,
        patient=patient,
        correlation_id="c-1",
        information_set=information_set,
        relation="booked",
        consent="patient",
    )
    return replace(entry, **fields)


def outcome(of: str, patient: str = TOLVAN, information_set: str = "Diagnoser", **fields: Any) -> Entry:
    entry = intent(patient, information_set, about=of, outcome=Outcome.SHOWN, sources=("SE2321000016-KS",))
    return replace(entry, kind=Kind.OUTCOME, **fields)


@dataclass
class Kept:
    """A log with its checkpoints."""

    log: AccessLog
    folder: Path
    now: datetime = NOON

    def __post_init__(self) -> None:
        self.file = self.folder / "checkpoints.jsonl"
        self.checkpoints = CheckpointFile(self.file, self.log, self.writer("keeper"), Signer("test", sign))

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def writer(self, name: str = "viewer") -> Writer:
        return self.log.writer(name, clock=self.tick)

    def sign(self) -> None:
        self.checkpoints.sign(now=self.tick())

    def verify(self) -> Verification:
        return verify(
            self.log.rows(),
            log=self.log.id,
            files={"checkpoints": lines_of(self.file)},
            is_signed=is_signed,
            now=self.now + timedelta(days=1),
        )
