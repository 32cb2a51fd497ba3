"""The admin API's client against a small server that answers what the test says."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import click
import pytest

from rivta.cli.admin import AdminClient
from rivta.run.home import Home

pytestmark = pytest.mark.sockets


class Keeper(HTTPServer):
    """Answers every request with the same status and body, and keeps what was asked."""

    answer: tuple[int, bytes] = (200, b"{}")
    asked: tuple[str, str | None, bytes] = ("", None, b"")


class Handler(BaseHTTPRequestHandler):
    server: Keeper

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.asked = (f"{self.command} {self.path}", self.headers.get("Authorization"), body)
        status, content = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    with Keeper(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path: Path, keeper: Keeper) -> Home:
    admin = f"http://127.0.0.1:{keeper.server_port}"
    (tmp_path / "endpoints.json").write_text(json.dumps({"platforms": {"national": {"admin": admin}}}))
    (tmp_path / "admin.token").write_text("secret-of-the-test\n")
    return Home(tmp_path)


def test_a_question_carries_the_token_and_only_the_parameters_that_are_given(home: Home, keeper: Keeper) -> None:
    keeper.answer = (200, b'{"calls": []}')
    found = AdminClient.of_platform(home, "national").get("/calls", {"limit": 5, "sender": None, "outcome": "VP007"})
    assert found == {"calls": []}
    assert keeper.asked == ("GET /calls?limit=5&outcome=VP007", "Bearer secret-of-the-test", b"")


def test_a_body_is_sent_as_json_and_an_empty_answer_is_none(home: Home, keeper: Keeper) -> None:
    keeper.answer = (204, b"")
    assert (
        AdminClient.of_platform(home, "national").request("POST", "/tables/publish", body={"comment": "Ny väg"}) is None
    )
    assert keeper.asked[0] == "POST /tables/publish"
    assert json.loads(keeper.asked[2]) == {"comment": "Ny väg"}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'{"title": "No such call", "detail": "id 7\\nis not here"}', "No such call: id 7 is not here (HTTP 404)"),
        (b'{"title": "No such call"}', "No such call (HTTP 404)"),
        (b"<html>", "http://127.0.0.1:{port}/calls/7: Not Found (HTTP 404)"),
        (b"[]", "http://127.0.0.1:{port}/calls/7: Not Found (HTTP 404)"),
    ],
)
def test_a_problem_becomes_one_line(home: Home, keeper: Keeper, content: bytes, line: str) -> None:
    keeper.answer = (404, content)
    with pytest.raises(click.ClickException) as error:
        AdminClient.of_platform(home, "national").get("/calls/7")
    assert error.value.format_message() == line.format(port=keeper.server_port)


def test_an_answer_that_is_not_json_is_refused(home: Home, keeper: Keeper) -> None:
    keeper.answer = (200, b"<html>")
    with pytest.raises(click.ClickException, match="something else than JSON"):
        AdminClient.of_platform(home, "national").get("/status")


def test_a_keeper_that_is_away_is_named(home: Home, keeper: Keeper) -> None:
    keeper.server_close()
    with pytest.raises(click.ClickException, match=r"no answer from the keeper of national at http://127\.0\.0\.1:"):
        AdminClient.of_platform(home, "national").get("/status")


def test_an_unknown_platform_is_answered_with_those_there_are(home: Home) -> None:
    with pytest.raises(click.ClickException, match="has no platform 'local', but national"):
        AdminClient.of_platform(home, "local")


def test_where_no_pair_runs_the_message_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match="start one with `rivta up"):
        AdminClient.of_platform(Home(tmp_path), "national")
