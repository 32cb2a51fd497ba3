"""Two nodes of one platform on one PostgreSQL, as real processes: what one publishes, and when the database is away."""

import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from rivta.run.toml import to_toml
from tests.databases import PostgresServer
from tests.pair.consumer import KS, Consumer, Identity, get_diagnosis
from tests.pair.standalone import Standalone, serving, write_settings
from tests.support import Pair, run_rivta, until

pytestmark = pytest.mark.postgres

SECONDS = 3.0
"""A second, and something for a machine that is busy with the tests."""
TREE = "units: {SE2321000016-RS: {}, SE2321000016-KS: {parent: SE2321000016-RS}}\n"


@dataclass
class Node:
    """One node: `rivta serve` with a home, a draft and an HSA tree of its own."""

    platform: Standalone
    running: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        self.running.enter_context(serving(self.platform))

    def stop(self) -> None:
        self.running.close()

    @property
    def tables(self) -> Path:
        return self.platform.home / "routing" / "tables.yaml"

    @property
    def tree(self) -> Path:
        return self.platform.home / "hsa" / "tree.yaml"

    def ask(self, verb: str, path: str, **body: Any) -> requests.Response:
        admin = self.platform.pair.endpoints["platforms"]["alone"]["admin"]
        token = (self.platform.home / "admin.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        return requests.request(verb, f"{admin}{path}", json=body or None, headers=headers, timeout=30)

    def get(self, path: str) -> dict[str, Any]:
        answer = self.ask("GET", path)
        found: dict[str, Any] = answer.json()
        return found

    def publish(self, **wish: Any) -> requests.Response:
        return self.ask("POST", "/tables/publish", **{"comment": "test", **wish})

    def newest(self) -> int:
        number: int = self.get("/tables/publications?limit=1")["publications"][0]["number"]
        return number

    @property
    def in_force(self) -> tuple[int, int]:
        """Publication and version of the HSA tree."""
        table = self.get("/status")["table"]
        return table["publication"], table["hsa_version"]

    def outcome(self) -> str:
        """What a call to KS comes to: `routed`, or a fault's code."""
        identity = Identity.of(self.platform.pair, "npo")
        with closing(Consumer(self.platform.url, identity)) as npo:
            answer = npo.call(get_diagnosis(KS))
            return "routed" if answer.status_code == 200 else npo.refused(get_diagnosis(KS)).code


@dataclass(frozen=True)
class Cluster:
    database: PostgresServer
    one: Node
    other: Node


@pytest.fixture(scope="module")
def running(pair: Pair, short_folder: Path) -> Iterator[Cluster]:
    database = PostgresServer(short_folder / "nodes-pg")
    database.start()
    nodes = [_node(pair, short_folder / name, database.url) for name in ("n1", "n2")]
    try:
        for node in nodes:
            node.start()
        yield Cluster(database, *nodes)
    finally:
        for node in nodes:
            node.stop()
        database.stop()


@pytest.fixture
def cluster(running: Cluster) -> Iterator[Cluster]:
    """Both nodes with the draft of the publication in force, and afterwards again what it was before."""
    text = running.one.tables.read_text()
    yield running
    for node in (running.one, running.other):
        node.tables.write_text(text)
    until(lambda: running.one.ask("POST", "/tables/reset", publication=1).ok)
    running.one.publish(comment="as before")
    number = running.one.newest()
    until(lambda: all(node.in_force[0] == number for node in (running.one, running.other)))
    assert running.other.ask("POST", "/tables/reset").ok


def _node(pair: Pair, home: Path, url: str) -> Node:
    platform = write_settings(pair, home)
    content = tomllib.loads(platform.config.read_text())
    content["database"] = {"url": url}
    content["tables"]["hsa"] = str(home / "hsa")
    platform.config.write_text(to_toml(content))
    made = Node(platform)
    made.tree.parent.mkdir()
    made.tree.write_text(TREE)
    return made


def test_what_one_node_publishes_is_in_force_on_the_other_within_a_second(cluster: Cluster) -> None:
    assert (cluster.one.outcome(), cluster.other.outcome()) == ("routed", "routed")
    closed(cluster.one)
    made = cluster.one.publish()
    assert made.json()["made"] is True, made.text
    until(lambda: cluster.other.outcome() == "VP007", seconds=SECONDS)
    assert cluster.other.in_force[0] == made.json()["publication"]["number"]


def test_of_two_that_publish_at_once_one_wins_and_the_other_is_told_what_changed(cluster: Cluster) -> None:
    before = cluster.one.newest()
    closed(cluster.one)
    cluster.other.tables.write_text(cluster.other.tables.read_text().replace('agreement: "Test"', 'agreement: "Other"'))
    answers = at_once(cluster.one.publish, cluster.other.publish)
    won, lost = sorted(answers, key=lambda answer: answer.status_code)
    assert (won.status_code, lost.status_code) == (200, 412), lost.text
    assert won.json()["publication"]["number"] == cluster.one.newest() == before + 1
    told = lost.json()
    assert (told["newest"]["number"], told["changed_count"] > 0) == (before + 1, True)
    assert "would be lost" in told["detail"]


def test_a_scheduled_publication_is_published_once_though_both_nodes_look(cluster: Cluster) -> None:
    before = cluster.one.newest()
    closed(cluster.one)
    at = datetime.now(UTC) + timedelta(seconds=2)
    scheduled = cluster.one.publish(at=at.isoformat())
    assert scheduled.json()["proposal"]["state"] == "scheduled", scheduled.text
    until(lambda: {cluster.one.outcome(), cluster.other.outcome()} == {"VP007"})
    found = cluster.other.get("/tables/publications?limit=3")["publications"]
    assert [one["number"] for one in found if one["number"] > before] == [before + 1]
    assert cluster.other.get("/tables/scheduled")["scheduled"] == []


def test_a_tree_in_the_files_of_one_node_is_in_force_on_the_other_and_stays(cluster: Cluster) -> None:
    number, version = cluster.one.in_force

    cluster.one.tree.write_text(TREE.replace("KS: {parent: SE2321000016-RS}", "KS: {}"))
    until(lambda: cluster.one.in_force == cluster.other.in_force == (number, version + 1))
    assert cluster.other.tree.read_text() == TREE
    closed(cluster.other)
    assert cluster.other.publish().ok
    assert cluster.other.in_force == (number + 1, version + 1)
    cluster.one.tree.write_text(TREE)
    until(lambda: cluster.one.in_force == cluster.other.in_force == (number + 1, version + 2))


def test_calls_go_on_while_the_database_is_away_and_nothing_is_lost(cluster: Cluster) -> None:
    number = cluster.one.newest()
    logged = len(cluster.one.get("/calls?limit=1000")["calls"])
    cluster.database.stop()
    try:
        until(lambda: all(database_problem(node) for node in (cluster.one, cluster.other)))
        assert (cluster.one.outcome(), cluster.other.outcome()) == ("routed", "routed")
        closed(cluster.one)
        refused = cluster.one.publish()
        assert (refused.status_code, "the database of publications does not answer" in refused.text) == (503, True)
        assert "agreement" in cluster.one.tables.read_text()
        ready = cluster.other.ask("GET", "/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "ok")
        assert "the table in force is of " in str(ready.json()["problems"]["database"])
        said = run_rivta("status", "--home", str(cluster.other.platform.home))
        assert "the database of publications does not answer" in said.stdout, said.stdout
    finally:
        cluster.database.start()
    until(lambda: not any(database_problem(node) for node in (cluster.one, cluster.other)))
    made = cluster.one.publish()
    assert (made.status_code, made.json()["publication"]["number"]) == (200, number + 1)
    until(lambda: cluster.other.outcome() == "VP007")
    until(lambda: len(cluster.one.get("/calls?limit=1000")["calls"]) > logged + 2)


def test_a_node_that_starts_without_the_database_serves_and_catches_up(cluster: Cluster) -> None:
    number = cluster.one.newest()
    cluster.other.stop()
    cluster.database.stop()
    try:
        cluster.other.start()
        assert cluster.other.outcome() == "routed"
        status = cluster.other.get("/status")
        assert (status["table"]["publication"], status["table"]["age_s"] > 0) == (number, True)
        assert (status["database"]["told"], bool(status["database"]["problem"])) == (None, True)
        assert "the table in force is of " in str(database_problem(cluster.other))
        assert cluster.other.publish().status_code == 503
    finally:
        cluster.database.start()
    until(lambda: not any(database_problem(node) for node in (cluster.one, cluster.other)))
    closed(cluster.one)
    assert cluster.one.publish().ok
    until(lambda: cluster.other.outcome() == "VP007")


def closed(node: Node) -> None:
    """The draft without the permissions for KS."""
    text = node.tables.read_text()
    node.tables.write_text(
        text.replace(f"logical_address: [{KS}, SE2321000016-SLOW", "logical_address: [SE2321000016-SLOW")
    )
    assert node.tables.read_text() != text


def database_problem(node: Node) -> Any:
    return node.get("/health/ready")["problems"]["database"]


def at_once(*calls: Callable[[], requests.Response]) -> list[requests.Response]:
    """What each answers, called at the same time."""
    barrier, found = threading.Barrier(len(calls)), list[requests.Response]()

    def run(call: Callable[[], requests.Response]) -> None:
        barrier.wait(10)
        found.append(call())

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found
