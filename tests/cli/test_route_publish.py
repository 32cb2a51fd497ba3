"""The commands that publish, as people and scripts meet them, against a small keeper that answers what a test says."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from rivta.cli import token
from rivta.cli.route import command as route
from rivta.cli.token import command as tokens
from rivta.run.admin_door import Role

pytestmark = pytest.mark.sockets

MADE = {"number": 7, "author": "kim", "routes": 3, "permissions": 4, "digest": "d7"}
PROPOSAL = {
    "id": 2,
    "state": "proposed",
    "author": "kim",
    "time": "2026-11-24T12:00:00+00:00",
    "scheduled_for": None,
    "expires": "2026-12-01T12:00:00+00:00",
    "approver": None,
    "comment": "moves",
    "reason": "",
}
ROW = {
    "change": "added",
    "section": "routes",
    "key": {"logical_address": "SE1-KS", "contract": "urn:x"},
    "fields": {},
    "before_source": None,
    "after_source": "national/a.yaml:3",
}


class Keeper(HTTPServer):
    """Answers the requests as `answers` says, and keeps what was asked."""

    answers: dict[str, tuple[int, Any]]
    asked: list[tuple[str, Any, str | None, str | None]]


class Handler(BaseHTTPRequestHandler):
    server: Keeper

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        asked = f"{self.command} {self.path}"
        self.server.asked.append(
            (asked, json.loads(body) if body else None, self.headers["If-Match"], self.headers["Authorization"])
        )
        status, answer = self.server.answers[asked]
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    with Keeper(("127.0.0.1", 0), Handler) as server:
        server.answers, server.asked = {}, []
        admin = f"http://127.0.0.1:{server.server_port}"
        (tmp_path / "endpoints.json").write_text(json.dumps({"platforms": {"national": {"admin": admin}}}))
        (tmp_path / "admin.token").write_text("first\n")
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def run(group: click.Command, *arguments: object, home: Path, **options: Any) -> Result:
    return CliRunner().invoke(group, [*map(str, arguments), "--home", str(home)], **options)


def test_a_publication_is_told_with_its_author(keeper: Keeper, home: Path) -> None:
    keeper.answers["POST /tables/publish"] = 200, {"made": True, "publication": MADE, "proposal": None}
    done = run(route, "publish", "--comment", "Ny väg", "--only", "a.yaml", "--only", "b.yaml", home=home)
    assert (done.exit_code, done.output) == (0, "publication 7 by kim is in force: 3 routes, 4 permissions\n")
    assert keeper.asked[0][:2] == ("POST /tables/publish", {"comment": "Ny väg", "files": ["a.yaml", "b.yaml"]})


def test_the_token_in_the_environment_is_shown_before_that_of_the_pair(keeper: Keeper, home: Path) -> None:
    keeper.answers["POST /tables/publish"] = 200, {"made": False, "publication": MADE, "proposal": None}
    done = run(route, "publish", "--comment", "c", home=home, env={"RIVTA_TOKEN": "kims"})
    assert "says that already" in done.output
    assert keeper.asked[0][3] == "Bearer kims"


def test_what_is_known_is_said_by_its_digest(keeper: Keeper, home: Path) -> None:
    keeper.answers["GET /tables/publications/7"] = 200, MADE
    keeper.answers["POST /tables/publish"] = 200, {"made": True, "publication": MADE, "proposal": None}
    run(route, "publish", "--comment", "c", "--based-on", 7, home=home)
    assert keeper.asked[1][2] == '"d7"'


def test_a_time_is_swedish_and_a_proposal_says_what_to_do(keeper: Keeper, home: Path) -> None:
    keeper.answers["POST /tables/publish"] = 200, {"made": False, "publication": None, "proposal": PROPOSAL}
    done = run(route, "publish", "--comment", "c", "--at", "2026-12-01T06:00", home=home)
    assert keeper.asked[0][1]["at"] == "2026-12-01T05:00:00+00:00"
    assert done.output.startswith("proposal 2 waits for somebody else: `rivta route approve 2`")


def test_what_would_come_back_is_listed_and_nobody_is_asked_in_a_script(keeper: Keeper, home: Path) -> None:
    problem = {"title": "Conflict", "detail": "confirm with abc", "confirm": "abc", "brought_back": [ROW]}
    keeper.answers["POST /tables/publish"] = 409, problem | {"brought_back_count": 25}
    done = run(route, "publish", "--comment", "c", home=home)
    assert done.exit_code == 1
    assert "+ route SE1-KS urn:x, national/a.yaml:3" in done.output
    assert "... of 25 changed rows" in done.output
    assert "to bring back exactly these: --confirm-brought-back abc" in done.output
    assert "confirm with abc (HTTP 409)" in done.output
    run(route, "publish", "--comment", "c", "--confirm-brought-back", "abc", home=home)
    assert keeper.asked[-1][1] == {"comment": "c", "confirm": "abc"}


def test_every_mistake_of_a_draft_is_told_with_its_line(keeper: Keeper, home: Path) -> None:
    errors = [{"file": "a.yaml", "line": number, "rule": "r", "message": "m"} for number in (1, 2)]
    keeper.answers["POST /tables/publish"] = 422, {"title": "Unprocessable", "detail": "2 errors", "errors": errors}
    done = run(route, "publish", "--comment", "c", home=home)
    assert ("a.yaml:1: m [r]" in done.output, "a.yaml:2: m [r]" in done.output) == (True, True)


def test_a_reset_asks_first(keeper: Keeper, home: Path) -> None:
    keeper.answers["POST /tables/reset"] = 200, {"publication": 7, "kept_in": "/kept"}
    assert run(route, "reset", home=home, input="n\n").exit_code == 1
    assert keeper.asked == []
    done = run(route, "reset", 7, "--yes", home=home)
    assert done.output == "the draft is what publication 7 was; what it was is kept in /kept\n"


def test_history_of_who_did_what(keeper: Keeper, home: Path) -> None:
    event = {"time": "2026-11-24T12:00:00+00:00", "actor": "kim", "action": "published", "subject": "publication 7"}
    keeper.answers["GET /tables/audit?limit=100"] = 200, {"events": [event | {"detail": "moves"}]}
    line = run(route, "history", "--audit", home=home).output.splitlines()[1]
    assert line.split() == ["2026-11-24", "13:00", "kim", "published", "publication", "7", "moves"]


def test_what_waits_and_what_was_refused_is_one_list(keeper: Keeper, home: Path) -> None:
    keeper.answers["GET /tables/proposals"] = 200, {"proposals": [PROPOSAL]}
    refused = PROPOSAL | {"id": 1, "state": "refused", "reason": "too late"}
    keeper.answers["GET /tables/scheduled"] = 200, {"scheduled": [refused]}
    told = json.loads(run(route, "proposals", "--json", home=home).output)
    assert [one["id"] for one in told["proposals"]] == [2, 1]
    assert "too late" in run(route, "proposals", home=home).output


def test_approving_rolling_back_and_withdrawing_say_what_they_mean(keeper: Keeper, home: Path) -> None:
    outcome = {"made": True, "publication": MADE, "proposal": None}
    keeper.answers["POST /tables/proposals/2/approve"] = 200, outcome
    keeper.answers["POST /tables/rollback"] = 200, outcome
    keeper.answers["DELETE /tables/proposals/2"] = 200, {"proposal": PROPOSAL}
    assert run(route, "approve", 2, home=home).exit_code == 0
    assert run(route, "rollback", 3, "--comment", "back", home=home).exit_code == 0
    assert run(route, "withdraw", 2, home=home).output == "proposal 2 is withdrawn\n"
    assert keeper.asked[1][1] == {"publication": 3, "comment": "back"}


def test_a_new_token_is_printed_alone_for_a_script_to_take(keeper: Keeper, home: Path) -> None:
    keeper.answers["POST /tokens"] = 200, {"token": "rivta_secret", "id": 1}
    done = run(tokens, "create", "kim", "--role", "editor", "--expires", "2027-01-01", home=home)
    assert done.output == "rivta_secret\n"
    assert keeper.asked[0][1] == {"name": "kim", "role": "editor", "expires": "2026-12-31T23:00:00+00:00"}


def test_tokens_are_listed_and_revoked_by_name(keeper: Keeper, home: Path) -> None:
    one = {"id": 1, "name": "å/b", "role": "reader", "created": "2026-11-24T12:00:00+00:00", "created_by": "root"}
    one |= {"expires": None, "last_used": None, "revoked": None}
    keeper.answers["GET /tokens"] = 200, {"tokens": [one]}
    keeper.answers["DELETE /tokens/%C3%A5%2Fb"] = 200, {"revoked": [one]}
    assert "å/b" in run(tokens, "list", home=home).output
    assert run(tokens, "revoke", "å/b", home=home).output == "revoked token 1 of å/b (reader)\n"


def test_the_roles_are_those_of_the_api() -> None:
    assert tuple(role.value for role in Role) == token.ROLES
