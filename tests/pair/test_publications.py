"""Publishing by people on a running pair: roles, a rollback and what it leaves behind, tokens that are revoked."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.pair.consumer import Admin
from tests.support import Pair, run_rivta, until

SECONDS = 3.0
"""A second, and something for a machine that is busy with the tests."""


@pytest.fixture
def file(own_pair: Pair) -> Iterator[Path]:
    """A file of the national draft, whose content is put back afterwards."""
    path = own_pair.home / "routing" / "national" / "other_regions.yaml"
    content = path.read_text()
    yield path
    path.write_text(content)
    run_rivta("route", "publish", "--comment", "as before", "--json", home=own_pair.home)


@pytest.fixture
def base(own_pair: Pair) -> str:
    url: str = own_pair.endpoints["platforms"]["national"]["admin"]
    return url


def rivta(pair: Pair, *arguments: str) -> str:
    done = run_rivta(*arguments, home=pair.home)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_rollback_holds_until_the_draft_is_reset_and_then_saves_are_published_again(
    own_pair: Pair, file: Path
) -> None:
    admin = Admin(own_pair)
    good = file.read_text()
    number = admin.get("national", "/tables/publications", limit=1)["publications"][0]["number"]
    file.write_text(good.replace('agreement: "', 'agreement: "Bad '))
    until(lambda: admin.get("national", "/tables/publications", limit=1)["publications"][0]["number"] > number)
    rivta(own_pair, "route", "rollback", str(number), "--comment", "oops")
    assert admin.get("national", "/status")["draft"]["diverged"] is True
    assert "diverged since a rollback" in rivta(own_pair, "status")
    refused = run_rivta("route", "publish", "--comment", "again", home=own_pair.home)
    assert (refused.returncode, "would come back" in refused.stderr) == (1, True)
    rivta(own_pair, "route", "reset", "--yes")
    assert file.read_text() == good
    before = admin.get("national", "/tables/publications", limit=1)["publications"][0]["number"]
    file.write_text(f"# Resumed.\n{good}")
    until(lambda: admin.get("national", "/tables/publications", limit=1)["publications"][0]["number"] == before + 1)
    actions = [one["action"] for one in json.loads(rivta(own_pair, "route", "history", "--audit", "--json"))["events"]]
    assert actions[:3] == ["published", "draft reset", "rolled back"]


def test_a_revoked_token_opens_nothing_within_a_second_on_a_running_keeper(own_pair: Pair, base: str) -> None:
    secret = rivta(own_pair, "token", "create", "pair-test", "--role", "reader").strip()

    def status(verb: str, path: str) -> int:
        headers = {"Authorization": f"Bearer {secret}"}
        return requests.request(verb, f"{base}{path}", json={"comment": "c"}, headers=headers, timeout=10).status_code

    assert (status("GET", "/status"), status("POST", "/tables/publish"), status("GET", "/tokens")) == (200, 403, 403)
    rivta(own_pair, "token", "revoke", "pair-test")
    began = time.monotonic()
    until(lambda: status("GET", "/status") == 401)
    assert time.monotonic() - began < SECONDS
