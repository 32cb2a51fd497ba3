"""`rivta log verify`, `proof`, `looks`, `sample` and `review`, on a log as a platform leaves it."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from rivta.audit.access.entry import EMERGENCY_ACCESS
from rivta.audit.access.follow_up import Sign, Verdict
from rivta.audit.access.log import AccessLog
from rivta.cli import access_log
from rivta.cli import log as command
from rivta.cli.access_log import _SIGNS, _VERDICTS
from rivta.run.access_log import KeptAccessLog
from rivta.run.settings import Settings
from rivta.run.toml import to_toml
from tests.audit.access.conftest import empty_log
from tests.audit.access.logs import DOCTOR, NINA, NURSE, TOLVAN, intent, outcome
from tests.tls.test_signing import KEYS, written

__all__ = ["empty_log"]

THEN = datetime(2026, 10, 5, 9, tzinfo=UTC)
TIME = ("--care-provider", "SE2321000016", "--from", "2026-10-01", "--to", "2026-10-31")


class Platform:
    """A home with one platform's settings, key and, once somebody has looked, its access log."""

    def __init__(self, folder: Path, empty: Path) -> None:
        self.empty = empty
        self.state = folder / "national"
        self.state.mkdir()
        key, certificate = written(self.state, KEYS["ec"]())
        shutil.copy(certificate, self.state / "ca.pem")
        content: dict[str, Any] = {
            "platform": {"hsa_id": "SE165565594230-NTJP", "name": "NTJP"},
            "listen": {"https": "127.0.0.1:20010"},
            "tls": {"certificate": str(certificate), "key": str(key), "trusted": ["ca.pem"]},
        }
        (self.state / "platform.toml").write_text(to_toml(content))
        self.settings = Settings.load(self.state / "platform.toml")
        self.folder = folder
        self.now = THEN

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def look(self, patient: str = TOLVAN, **fields: Any) -> str:
        if not (self.state / "access.sqlite").exists():
            shutil.copy(self.empty, self.state / "access.sqlite")
        log = AccessLog.open(self.settings.access_log_url)
        writer = log.writer("console", clock=self.tick)
        fields = {"correlation_id": f"c-{self.now:%d%H%M%S}", **fields}
        (receipt,) = writer.record(intent(patient, **fields))
        writer.record(outcome(receipt.id, patient, permission="routing/national/npo.yaml:12", **fields))
        log.close()
        return receipt.id

    def sign(self, at: datetime) -> None:
        keeper = KeptAccessLog(self.settings, clock=lambda: at)
        keeper.close()

    def run(self, *arguments: str) -> Result:
        home = ("--home", str(self.folder)) if "--config" not in arguments else ()
        return CliRunner().invoke(command.command, [*arguments, *home], standalone_mode=False)

    def json(self, *arguments: str) -> Any:
        result = self.run(*arguments, "--json")
        assert result.exception is None, result.exception
        return json.loads(result.stdout)


@pytest.fixture
def platform(tmp_path: Path, empty_log: Path) -> Platform:
    return Platform(tmp_path, empty_log)


class TestVerify:
    def test_before_anybody_has_looked_there_is_nothing_to_lose(self, platform: Platform) -> None:
        result = platform.run("verify")

        assert (result.return_value, result.stdout) == (0, "no looks\n")
        assert platform.json("verify")["intact"]
        assert not (platform.state / "access.sqlite").exists()

    def test_a_signed_log_is_proven_up_to_its_checkpoint(self, platform: Platform) -> None:
        platform.look()
        platform.sign(platform.now)
        platform.look()

        result = platform.run("verify")

        assert result.return_value == 0
        assert result.stdout.splitlines() == [
            "intact: 5 entries of 3 writers, 0 taken away by retention",
            "proven up to the checkpoint of 2026-10-05 11:00:02: 2 entries; 3 later ones are chained, and not signed yet",
        ]

    def test_without_a_checkpoint_it_says_what_is_not_proven(self, platform: Platform) -> None:
        platform.look()

        assert "that nothing was cut off or set back is not proven" in platform.run("verify").stdout

    def test_an_altered_entry_is_named_and_the_exit_code_says_so(self, platform: Platform) -> None:
        id = platform.look()
        platform.sign(platform.now)
        log = AccessLog.open(platform.settings.access_log_url)
        with log.engine.begin() as connection:
            connection.execute(text("DROP TRIGGER access_entries_stay"))
            connection.execute(text("UPDATE access_entries SET user_name = 'Somebody Else' WHERE number = 1"))
        log.close()

        result = platform.run("verify")

        assert result.return_value == 1
        assert f"{id}: its hash does not fit: it was altered" in result.stdout
        assert "NOT INTACT" in result.stdout
        assert {"where": id, "what": "its hash does not fit: it was altered"} in platform.json("verify")["problems"]

    def test_a_log_that_is_gone_is_told_by_its_checkpoints(self, platform: Platform) -> None:
        platform.look()
        platform.sign(platform.now)
        (platform.state / "access.sqlite").unlink()

        result = platform.run("verify")

        assert "the access log is gone" in str(result.exception)

    def test_a_copy_of_the_checkpoints_kept_elsewhere_counts(self, platform: Platform, tmp_path: Path) -> None:
        platform.look()
        platform.sign(platform.now)
        copy = shutil.copy(platform.settings.access_checkpoints, tmp_path / "copy.jsonl")
        platform.settings.access_checkpoints.write_bytes(b"")

        assert platform.run("verify").return_value == 1
        assert platform.run("verify", "--checkpoints", str(copy)).return_value == 0

    def test_an_earlier_key_is_known_by_its_certificate(self, platform: Platform, tmp_path: Path) -> None:
        platform.look()
        platform.sign(platform.now)
        earlier = shutil.copy(platform.settings.tls.certificate, tmp_path / "earlier.pem")
        written(platform.state, KEYS["ec"]())

        assert "signed by a key that is not known here" in platform.run("verify").stdout
        assert platform.run("verify", "--certificate", str(earlier)).return_value == 0

    def test_a_platform_of_its_own_settings_file(self, platform: Platform) -> None:
        platform.look()

        assert platform.run("verify", "--config", str(platform.state / "platform.toml")).return_value == 0

    def test_a_platform_that_is_none_is_told(self, platform: Platform) -> None:
        result = platform.run("verify", "--platform", "nowhere")

        assert "there is no settings file" in str(result.exception)


class TestProof:
    def test_each_entry_that_was_shown_has_its_permission_consent_and_log_row(self, platform: Platform) -> None:
        platform.look()
        platform.look(NINA)
        platform.sign(platform.now)
        platform.look()

        found = platform.json("proof", "--patient", "19121212-1212")

        assert [(one["consent"], one["permission"], one["signed"]) for one in found["entries"]] == [
            ("patient", "routing/national/npo.yaml:12", "yes"),
            ("patient", "routing/national/npo.yaml:12", "not yet"),
        ]
        assert found["verification"]["intact"]
        assert "permission     routing/national/npo.yaml:12" in platform.run("proof", "--patient", TOLVAN).stdout

    def test_a_wrong_number_is_told_without_being_repeated(self, platform: Platform) -> None:
        result = platform.run("proof", "--patient", "191212121213")

        assert str(result.exception) == "--patient: The check digit, the last one, does not fit: some digit is wrong."


class TestFollowUp:
    def test_a_sample_is_the_same_each_time_and_shows_its_seed(self, platform: Platform) -> None:
        for _ in range(8):
            platform.look()
        platform.sign(datetime(2026, 11, 1, tzinfo=UTC))

        found = platform.json("sample", *TIME, "--count", "3")

        assert (found["of"], len(found["looks"]), len(found["seed"])) == (8, 3, 64)
        assert platform.json("sample", *TIME, "--count", "3") == found
        assert f"3 of 8 look-ups, seed {found['seed']}" in platform.run("sample", *TIME, "--count", "3").stdout

    def test_before_the_time_is_signed_there_is_no_sample(self, platform: Platform) -> None:
        platform.look()
        platform.sign(datetime(2026, 10, 31, 22, 59, tzinfo=UTC))

        result = platform.run("sample", *TIME)

        assert "no checkpoint has been signed after 2026-10-31" in str(result.exception)

    def test_the_days_are_swedish_and_both_included(self, platform: Platform) -> None:
        for at in ("2026-09-30T21:59:58", "2026-09-30T21:59:59", "2026-10-31T22:59:57", "2026-10-31T22:59:59"):
            platform.now = datetime.fromisoformat(f"{at}+00:00")
            platform.look()

        assert platform.json("looks", *TIME)["of"] == 3  # of the last, only the outcome's second is in November

    def test_a_sample_for_a_spreadsheet(self, platform: Platform) -> None:
        platform.look()
        platform.sign(datetime(2026, 11, 1, tzinfo=UTC))

        (row,) = csv.DictReader(io.StringIO(platform.run("sample", *TIME, "--csv").stdout))

        assert (row["patient"], row["user_id"]) == (TOLVAN, DOCTOR.user_id)

    def test_what_stands_out_is_shown_by_its_sign(self, platform: Platform, tmp_path: Path) -> None:
        staff = tmp_path / "staff.csv"
        staff.write_text(
            f"patient,user_id,care_provider_id\n{TOLVAN},{DOCTOR.user_id},SE2321000016\n"
            f"{NINA},{NURSE.user_id},SE2321000016\n"
        )
        platform.look(TOLVAN)
        platform.look(NINA, relation="")
        platform.look("199001012385", consent=EMERGENCY_ACCESS)
        platform.look("199001012385", reader=replace(DOCTOR, care_provider_id="SE9"))

        every = platform.json("looks", *TIME, "--staff", str(staff))
        night = platform.json("looks", *TIME, "--night", "11-12", "--sign", "night")

        assert [look["signs"] for look in every["looks"]] == [["self"], ["no-relation", "colleague"], ["emergency"]]
        assert (every["of"], len(night["looks"])) == (3, 3)

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (("--night", "22"), "--night 22 is no time"),
            (("--night", "22-25"), "--night 22-25 is no time"),
            (("--staff", "{file}"), "does not name user_id, care_provider_id"),
            (("--to", "2026-09-01"), "--to is before --from"),
        ],
        ids=["half", "hour", "staff", "backwards"],
    )
    def test_what_is_not_right_is_told(
        self, platform: Platform, tmp_path: Path, arguments: tuple[str, str], reason: str
    ) -> None:
        (tmp_path / "staff.csv").write_text("patient,name\n1,2\n")
        platform.look()

        result = platform.run("looks", *TIME, arguments[0], arguments[1].format(file=tmp_path / "staff.csv"))

        assert reason in str(result.exception)

    def test_more_than_fits_is_asked_for_in_parts(self, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(access_log, "_MOST_ENTRIES", 3)
        platform.look()
        assert platform.json("looks", *TIME)["of"] == 1
        platform.look()

        assert "choose fewer days" in str(platform.run("looks", *TIME).exception)

    def test_where_nobody_has_looked_nothing_is_shown(self, platform: Platform) -> None:
        assert platform.run("sample", *TIME).stdout == "no looks\n"
        assert platform.json("looks", *TIME) == {"of": 0, "looks": []}


class TestReview:
    def test_a_review_is_an_entry_of_the_log_and_shown_with_its_look(self, platform: Platform) -> None:
        id = platform.look(relation="")

        made = platform.json("review", id, "--reviewer", "SE2321000016-9001", "--verdict", "questioned", "--note", "?")

        (look,) = platform.json("looks", *TIME)["looks"]
        assert [(one["reviewer"], one["verdict"], one["note"]) for one in look["reviews"]] == [
            ("SE2321000016-9001", "questioned", "?")
        ]
        assert made["about"] == id
        assert platform.run("verify").return_value == 0

    @pytest.mark.parametrize("look", ["console-1:1", "x", "x:" + "9" * 30, ":", "x:１"])
    def test_a_look_that_is_none_is_told(self, platform: Platform, look: str) -> None:
        platform.look()

        result = platform.run("review", look, "--reviewer", "SE1", "--verdict", "in-order")

        assert "there is no look" in str(result.exception)


def test_the_command_line_knows_every_sign_and_verdict() -> None:
    assert tuple(sign.value for sign in Sign) == _SIGNS
    assert tuple(verdict.value for verdict in Verdict) == _VERDICTS
