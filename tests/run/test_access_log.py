"""The access log in its keeper: opened when there is one, signed with the platform's own key."""

import logging
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rivta.audit.access.checkpoints import lines_of
from rivta.audit.access.log import AccessLog
from rivta.audit.access.reports import Question, State
from rivta.audit.access.verify import verify
from rivta.run.access_log import KeptAccessLog, signers_file
from rivta.run.settings import Settings
from rivta.tls.signing import key_id, verifiers
from tests.audit.access.conftest import empty_log
from tests.audit.access.logs import NOON, TOLVAN, intent, outcome
from tests.tls.test_signing import KEYS, written

__all__ = ["empty_log"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    key, certificate = written(tmp_path, KEYS["ec"]())
    content = {
        "platform": {"hsa_id": "SE165565594230-NTJP", "name": "NTJP"},
        "listen": {"https": "127.0.0.1:20010"},
        "tls": {"certificate": str(certificate), "key": str(key), "trusted": ["ca.pem"]},
    }
    return Settings.parse(content, tmp_path / "platform.toml")


@pytest.fixture
def keeper(settings: Settings) -> KeptAccessLog:
    return KeptAccessLog(settings, clock=lambda: NOON + timedelta(minutes=1))


def look(settings: Settings, empty_log: Path, at: datetime = NOON) -> None:
    """As another process writes it down."""
    file = settings.platform.state / "access.sqlite"
    if not file.exists():
        shutil.copy(empty_log, file)
    log = AccessLog.open(settings.access_log_url)
    writer = log.writer("console", clock=lambda: at)
    writer.record(outcome(writer.record(intent())[0].id))
    log.close()


def test_where_nobody_has_looked_no_log_is_made(settings: Settings, keeper: KeptAccessLog) -> None:
    keeper.sign()
    keeper.retain()
    keeper.close()

    assert not (settings.platform.state / "access.sqlite").exists()
    assert not settings.access_checkpoints.exists()


def test_what_another_process_has_written_is_signed_and_the_certificate_proves_it(
    settings: Settings, keeper: KeptAccessLog, empty_log: Path
) -> None:
    look(settings, empty_log)
    keeper.sign()
    look(settings, empty_log)
    keeper.close()

    known = verifiers(settings.tls.certificate)
    log = AccessLog.open(settings.access_log_url)
    found = verify(
        log.rows(),
        log=log.id,
        files={"file": lines_of(settings.access_checkpoints)},
        is_signed=lambda signer, data, signature: known[signer](data, signature),
        now=NOON + timedelta(days=1),
    )
    log.close()
    assert (found.problems, found.checkpoints, found.covered) == ([], 2, 5)


def test_a_patients_question_opens_the_log(keeper: KeptAccessLog) -> None:
    report = keeper.reports().ask(Question(TOLVAN, NOON - timedelta(days=1), NOON))

    assert (report.state, list(report.entries)) == (State.READY, [])
    keeper.close()


def test_old_entries_are_taken_away(settings: Settings, keeper: KeptAccessLog, empty_log: Path) -> None:
    look(settings, empty_log, at=datetime(2015, 1, 1, tzinfo=UTC))
    look(settings, empty_log)
    keeper.retain()
    keeper.close()

    log = AccessLog.open(settings.access_log_url)
    assert len(log.entries(patient=TOLVAN)) == 2
    log.close()


def test_trouble_is_told_once(
    settings: Settings, keeper: KeptAccessLog, empty_log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    look(settings, empty_log)
    settings.access_checkpoints.mkdir()

    with caplog.at_level(logging.ERROR):
        keeper.sign()
        keeper.sign()
    (told,) = caplog.messages
    assert "the access log's heads are not signed" in told
    assert "access-checkpoints.jsonl" in told

    settings.access_checkpoints.rmdir()
    keeper.close()
    assert len(list(lines_of(settings.access_checkpoints))) == 1


def test_the_log_is_kept_for_five_years_at_least(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="access_log.retention_years"):
        Settings.parse({"access_log": {"retention_years": 4}}, tmp_path / "platform.toml")


def test_the_certificates_of_all_keys_that_have_signed_are_kept_each_once(settings: Settings, empty_log: Path) -> None:
    look(settings, empty_log)
    for key in (KEYS["ec"](), KEYS["ec"]()):
        written(settings.tls.key.parent, key)
        for _ in range(2):
            keeper = KeptAccessLog(settings, clock=lambda: NOON)
            keeper.sign()
            keeper.close()

    kept = signers_file(settings.access_checkpoints)
    assert kept.read_bytes().count(b"BEGIN CERTIFICATE") == 2
    assert key_id(settings.tls.key) in verifiers(kept)
