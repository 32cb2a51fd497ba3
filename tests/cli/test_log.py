"""`rivta log` against two small keepers that hold calls and answer as the admin API does."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from click.testing import CliRunner, Result

from rivta.cli import log
from rivta.router.record import CallRecord
from tests.calls import NATIONAL, REGIONAL, call

pytestmark = pytest.mark.sockets

TRACE = "8f14e45f-ceea-467f-a9f6-6b2d7e0a7c11"


class Keeper(ThreadingHTTPServer):
    """Holds calls; finds them by correlation id or record id, and keeps what else was asked."""

    def __init__(self, calls: list[CallRecord]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls = calls
        self.asked: list[dict[str, str]] = []


class Handler(BaseHTTPRequestHandler):
    server: Keeper

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        id = unquote(url.path.removeprefix("/calls").lstrip("/"))
        params = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.server.asked.append(params)
        wanted, beginning = params.get("correlation_id"), params.get("correlation_id_prefix", "")
        found = [
            record
            for record in self.server.calls
            if wanted in (None, record.correlation_id) and record.correlation_id.startswith(beginning)
        ]
        if id:
            found = [record for record in self.server.calls if record.id == id]
        if id and not found:
            self._answer(404, {"title": "No such call"})
        else:
            self._answer(200, {"calls": [json.loads(record.to_json()) for record in reversed(found)]})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def keepers() -> Iterator[dict[str, Keeper]]:
    """National: c1 and c3, regional: r1 (the second hop of c1) and r2."""
    regional = {"platform": REGIONAL, "sender": NATIONAL, "elapsed_ms": 40.0, "producer_ms": 38.0}
    servers = {
        "national": Keeper([call(1), call(3, correlation_id="c-3", outcome="VP007", sender="SE[red]1-X")]),
        "regional": Keeper(
            [call(1, **{**regional, "id": "r1"}), call(2, **{**regional, "id": "r2", "correlation_id": "c-2"})]
        ),
    }
    threads = [Thread(target=server.serve_forever, args=(0.01,)) for server in servers.values()]
    for thread in threads:
        thread.start()
    yield servers
    for server in servers.values():
        server.shutdown()
        server.server_close()
    for thread in threads:
        thread.join()


@pytest.fixture
def home(tmp_path: Path, keepers: dict[str, Keeper]) -> Path:
    platforms = {
        name: {"id": id, "admin": f"http://127.0.0.1:{keepers[name].server_port}"}
        for name, id in (("national", NATIONAL), ("regional", REGIONAL))
    }
    (tmp_path / "endpoints.json").write_text(json.dumps({"platforms": platforms}))
    (tmp_path / "admin.token").write_text("token-of-the-test\n")
    return tmp_path


def run(home: Path, *arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(log.command, [*arguments, "--home", str(home)])


def ids(result: Result) -> list[str]:
    return [json.loads(line)["id"] for line in result.stdout.splitlines()]


def shown_ids(result: Result) -> set[str]:
    """The ids in the table, below its heading."""
    first = [line.split()[0] for line in result.stdout.splitlines()[1:]]
    return {word for word in first if not word.startswith("2026-")}


class TestSearch:
    def test_both_platforms_are_searched_newest_first(self, home: Path) -> None:
        result = run(home, "search", "--json")

        assert (result.exit_code, ids(result)) == (0, ["c3", "r2", "r1", "c1"])

    def test_a_line_is_a_whole_call_record(self, home: Path) -> None:
        result = run(home, "search", "--json", "--correlation-id", "c-2")

        assert CallRecord.from_json(result.stdout) == call(
            2, id="r2", platform=REGIONAL, sender=NATIONAL, elapsed_ms=40.0, producer_ms=38.0, correlation_id="c-2"
        )

    def test_one_platform_can_be_searched_alone(self, home: Path) -> None:
        assert ids(run(home, "search", "--json", "--platform", "regional")) == ["r2", "r1"]

    def test_no_more_than_the_limit_is_shown(self, home: Path) -> None:
        assert ids(run(home, "search", "--json", "--limit", "2")) == ["c3", "r2"]

    def test_every_filter_reaches_the_keeper(self, home: Path, keepers: dict[str, Keeper]) -> None:
        filters = {
            "--since": "2026-11-24T12:00:00Z",
            "--until": "2026-11-24T14:00:00+01:00",
            "--correlation-id": "k",
            "--sender": "SE1",
            "--contract": "GetDiagnosis",
            "--to": "SE2",
            "--outcome": "failed",
            "--limit": "7",
        }
        run(home, "search", *(word for pair in filters.items() for word in pair))

        assert keepers["national"].asked == [
            {
                "since": "2026-11-24T12:00:00+00:00",
                "until": "2026-11-24T13:00:00+00:00",
                "correlation_id": "k",
                "sender": "SE1",
                "contract": "GetDiagnosis",
                "logical_address": "SE2",
                "outcome": "failed",
                "limit": "7",
            }
        ]

    def test_a_time_can_be_so_long_ago(self, home: Path, keepers: dict[str, Keeper]) -> None:
        run(home, "search", "--since", "2h")

        since = datetime.fromisoformat(keepers["national"].asked[0]["since"])
        assert 7100 < (datetime.now(UTC) - since).total_seconds() < 7300

    @pytest.mark.parametrize("time", ["yesterday", "10", "99999999d", "2026-13-01"])
    def test_what_is_no_time_is_wrong_usage(self, home: Path, time: str) -> None:
        result = run(home, "search", "--since", time)

        assert result.exit_code == 2
        assert f"'{time}' is no time: write 10m" in result.stderr

    def test_people_get_a_table_with_short_names(self, home: Path) -> None:
        lines = run(home, "search").stdout.splitlines()

        assert lines[0].split()[:5] == ["id", "time", "platform", "outcome", "ms"]
        assert lines[1].split() == ["2026-11-24"]
        assert lines[2].split()[:1] == ["c-3"]
        assert lines[2].split()[2:] == ["national", "VP007", "48.5", "SE2321000016-KS", "GetDiagnosis:2", "SE[red]1-X"]

    def test_the_day_stands_above_its_first_call_only(self, home: Path) -> None:
        days = [line.strip() for line in run(home, "search").stdout.splitlines() if line.strip().startswith("20")]

        assert days == ["2026-11-24"]

    def test_an_id_is_cut_to_what_tells_it_from_the_others(self, home: Path, keepers: dict[str, Keeper]) -> None:
        keepers["national"].calls.append(call(4, correlation_id="8f14e45f-other"))

        assert shown_ids(run(home, "search")) == {"8f14e45f-c", "8f14e45f-o", "c-2", "c-3"}

    def test_whole_ids_are_shown_when_asked_for(self, home: Path) -> None:
        assert shown_ids(run(home, "search", "--full")) == {TRACE, "c-2", "c-3"}

    def test_a_fault_of_the_producer_is_not_shown_as_if_all_had_gone_well(
        self, home: Path, keepers: dict[str, Keeper]
    ) -> None:
        keepers["national"].calls.append(call(9, correlation_id="c-9", http_status=500))

        line = run(home, "search").stdout.splitlines()[2]
        assert line.split()[0] == "c-9"
        assert line.split()[3] == "fault"

    def test_nothing_found_is_said(self, home: Path) -> None:
        assert run(home, "search", "--correlation-id", "none").stdout == "no calls\n"


class TestShow:
    def test_a_correlation_id_tells_both_hops(self, home: Path) -> None:
        result = run(home, "show", TRACE)

        assert result.exit_code == 0
        order = ["(consumer)", "(national)", "on the way", "(regional)", "(producer)"]
        places = [result.stdout.index(part) for part in order]
        assert places == sorted(places)

    def test_a_record_id_tells_the_story_that_it_belongs_to(self, home: Path) -> None:
        assert ids(run(home, "show", "r1", "--json")) == ["c1", "r1"]

    def test_the_beginning_of_an_id_is_enough(self, home: Path) -> None:
        assert ids(run(home, "show", "8f14", "--json")) == ["c1", "r1"]

    def test_a_beginning_of_several_ids_names_them(self, home: Path) -> None:
        result = run(home, "show", "c-")

        assert result.exit_code == 1
        assert "several correlation ids begin with c-: c-2, c-3; write more" in result.stderr

    def test_an_unknown_id_is_refused_in_one_line(self, home: Path) -> None:
        result = run(home, "show", "../none")

        assert (result.exit_code, result.stdout) == (1, "")
        assert "has the id ../none: `rivta log search` shows what is there" in result.stderr


def test_a_keeper_that_is_away_is_named(home: Path, keepers: dict[str, Keeper]) -> None:
    keepers["regional"].shutdown()
    keepers["regional"].server_close()

    result = run(home, "search")

    assert result.exit_code == 1
    assert "no answer from the keeper of regional" in result.stderr
