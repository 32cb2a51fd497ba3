"""Imports and orders on a running pair: by its admin API, with the roles, told before, and noted."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pair.consumer import JOURNAL, KS
from tests.support import Pair, run_rivta, until

DIAGNOSIS = "urn:riv:clinicalprocess:healthcond:description:GetDiagnosisResponder:2"
STRANGER = "SE5561234567-STRANGER"


@pytest.fixture
def drafts(own_pair: Pair) -> Iterator[Path]:
    """The folder of both drafts, which are put back afterwards."""
    folder = own_pair.home / "routing"
    before = {path: path.read_bytes() for path in folder.rglob("*.yaml")}
    yield folder
    for path in folder.rglob("*.yaml"):
        if path not in before:
            path.unlink()
        elif path.read_bytes() != before[path]:
            path.write_bytes(before[path])
    for name in ("national", "regional"):
        run_rivta("route", "publish", "--comment", "as before", "--platform", name, home=own_pair.home)


@pytest.fixture
def order(tmp_path: Path) -> Path:
    def permission(consumer: str) -> dict[str, Any]:
        row = {"logiskAdress": KS, "tjanstekonsument": consumer, "tjanstekontrakt": DIAGNOSIS}
        return {"inkludera": {"anropsbehorigheter": [row | {"integrationsavtal": "Test"}]}}

    path = tmp_path / "order.json"
    path.write_text(
        json.dumps(
            {
                "plattform": "both",
                "formatVersion": 2.0,
                "version": 1,
                "bestallningsTidpunkt": "2026-01-01T08:00:00+01:00",
                "genomforandeTidpunkt": "2026-01-01T08:00:00+01:00",
                "utforare": "Åsa",
                "kommentar": "test",
                "plattformar": {"national": permission(JOURNAL), "regional": permission(STRANGER)},
            }
        )
    )
    return path


def events(pair: Pair, platform: str) -> list[tuple[str, str, str]]:
    done = run_rivta("route", "history", "--audit", "--json", "--limit", "5", "--platform", platform, home=pair.home)
    return [(one["actor"], one["action"], one["subject"]) for one in json.loads(done.stdout)["events"]]


def test_an_order_for_both_platforms_tells_callers_of_both_and_is_written_and_noted_as_one(
    own_pair: Pair, drafts: Path, order: Path
) -> None:
    ordering = ("route", "order", str(order), "--platform", "both", "--json")
    dry = run_rivta(*ordering, "--dry-run", home=own_pair.home)
    assert dry.returncode == 0, dry.stderr
    told = json.loads(dry.stdout)["platforms"]
    gained = {name: told[name]["preview"]["totals"]["gained"] for name in told}
    assert all(gained.values()), gained
    assert list(drafts.rglob("order.yaml")) == []
    done = run_rivta(*ordering, "--yes", home=own_pair.home)
    assert (done.returncode, json.loads(done.stdout)["written"]) == (0, True)
    assert sorted(path.parent.name for path in drafts.rglob("order.yaml")) == ["national", "regional"]
    who = next(one[0] for one in events(own_pair, "national") if one[1:] == ("file written", "order.yaml"))
    assert (who, "change allowed", "order.yaml") in events(own_pair, "regional")
    again = run_rivta("route", "order", str(order), "--platform", "both", "--yes", home=own_pair.home)
    assert again.stdout.endswith("nothing changes\n")


def test_a_token_may_order_what_its_role_may_and_is_named(
    own_pair: Pair, drafts: Path, order: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordering = [sys.executable, "-m", "rivta", "route", "order", str(order), "--plattform", "both"]

    def ordered(token: str, *more: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setenv("RIVTA_TOKEN", token)
        monkeypatch.setenv("RIVTA_HOME", str(own_pair.home))
        return subprocess.run([*ordering, *more], capture_output=True, text=True, timeout=60, check=False)

    made = {
        role: run_rivta("token", "create", f"order-{role}", "--role", role, home=own_pair.home).stdout.strip()
        for role in ("reader", "editor")
    }
    assert ordered(made["reader"], "--dry-run").returncode == 0
    refused = ordered(made["reader"], "--yes")
    assert (refused.returncode, "needs the role editor" in refused.stderr) == (1, True)
    assert list(drafts.rglob("order.yaml")) == []
    assert ordered(made["editor"], "--yes").returncode == 0
    assert ("order-editor", "file written", "order.yaml") in events(own_pair, "national")


def test_a_draft_that_changes_while_somebody_reads_what_it_would_be_is_not_written(
    own_pair: Pair, drafts: Path, order: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RIVTA_HOME", str(own_pair.home))
    command = [sys.executable, "-u", "-m", "rivta", "route", "order", str(order), "--platform", "both"]
    shown = tmp_path / "shown"
    with (
        shown.open("wb") as output,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output) as asking,
    ):
        assert asking.stdin is not None
        until(lambda: "Write this?" in shown.read_text())
        (drafts / "regional" / "theirs.yaml").write_text("components: {SE1-THEIRS: {name: x}}\n")
        asking.stdin.write(b"y\n")
        asking.stdin.close()
        assert asking.wait(30) == 1
    assert "changed meanwhile by somebody else; nothing is written" in shown.read_text()
    assert list(drafts.rglob("order.yaml")) == []
