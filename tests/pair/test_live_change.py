"""Routing tables are changed under load: a good change is live at once, a bad one changes nothing, no call fails."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.pair.consumer import (
    NPO,
    SUS,
    Admin,
    Identity,
    get_diagnosis,
    http_post,
    new_id,
    read_answer,
    status_of,
    tls_connection,
)
from tests.pair.load import Load
from tests.support import Pair, run_rivta, until

LIVE_SECONDS = 3.0
"""A second, and something for a machine that is busy with the tests."""

FILE = "national/other_regions.yaml"


@pytest.fixture
def load(own_pair: Pair) -> Iterator[Load]:
    """Four consumers that call all the time, none of whose calls may fail."""
    url = own_pair.endpoints["platforms"]["national"]["https"]
    with Load(url, Identity.of(own_pair, "npo"), prefix=new_id("live")) as load:
        until(lambda: load.every_connection_called(1))
        yield load
        before = time.monotonic()
        until(lambda: load.every_connection_called(1, since=before))
    assert load.failed == []


@pytest.fixture
def own_admin(own_pair: Pair) -> Admin:
    return Admin(own_pair)


@pytest.fixture
def file(own_pair: Pair, own_admin: Admin) -> Iterator[Path]:
    """A file of the tables, whose content is put back, and in force again, afterwards."""
    path = own_pair.home / "routing" / FILE
    content, digest = path.read_bytes(), newest(own_admin)["digest"]
    yield path
    path.write_bytes(content)
    until(lambda: draft_problem(own_admin) is None and newest(own_admin)["digest"] == digest)


def draft_problem(admin: Admin) -> str | None:
    problem: str | None = admin.get("national", "/status")["draft"]["problem"]
    return problem


def newest(admin: Admin) -> dict[str, Any]:
    """The publication in force."""
    return dict(admin.get("national", "/tables/publications", limit=1)["publications"][0])


def with_address(content: str, address: str) -> str:
    """The tables with one address more, which goes where Skåne's own does, and which the same may call."""
    route, permission = f"logical_address: {SUS}\n    contracts: &", f"logical_address: {SUS}\n    contracts: *"
    assert (content.count(route), content.count(permission)) == (1, 1)
    for row in (route, permission):
        content = content.replace(row, row.replace(SUS, f"[{address}, {SUS}]"))
    return content


def seconds_until_carried(pair: Pair, address: str) -> float:
    """How long from now until calls to `address` are carried on each of four connections."""
    began = time.monotonic()
    url, context = pair.endpoints["platforms"]["national"]["https"], Identity.of(pair, "npo").context()
    with ExitStack() as stack:
        connections = [stack.enter_context(tls_connection(url, context)) for _ in range(4)]

        def all_carried() -> bool:
            for connection in connections:
                connection.sendall(http_post(get_diagnosis(address)))
            return {read_answer(connection).status for connection in connections} == {200}

        until(all_carried)
    return time.monotonic() - began


def in_place(path: Path, content: str) -> None:
    path.write_text(content)


def by_rename(path: Path, content: str) -> None:
    """As editors do that never leave half a file: another one, renamed over it."""
    new = path.with_name(f".{path.name}.swp")
    new.write_text(content)
    new.replace(path)


def by_backup(path: Path, content: str) -> None:
    """As vim does with `backupcopy=no`: the old file out of the way, a new one in its place."""
    backup = path.with_name(f"{path.name}~")
    path.rename(backup)
    path.write_text(content)
    backup.unlink()


@pytest.mark.parametrize("save", [in_place, by_rename, by_backup])
def test_a_saved_change_is_live_within_a_second_and_no_call_fails(
    own_pair: Pair, own_admin: Admin, load: Load, file: Path, save: Callable[[Path, str], None]
) -> None:
    address = f"SE2321000255-{save.__name__.upper().replace('_', '-')}"
    before = newest(own_admin)["number"]
    save(file, with_address(file.read_text(), address))
    seconds = seconds_until_carried(own_pair, address)
    print(f"saved {save.__name__}: live after {seconds:.2f} s, {len(load.answered)} calls meanwhile")
    assert seconds < LIVE_SECONDS
    assert newest(own_admin)["number"] == before + 1


def test_half_a_save_changes_nothing_until_it_is_whole(
    own_pair: Pair, own_admin: Admin, load: Load, file: Path
) -> None:
    address = "SE2321000255-TRUNCATED"
    content = with_address(file.read_text(), address)
    before = newest(own_admin)["number"]
    with file.open("w") as half:  # truncated, as many editors do first
        began = time.monotonic()
        until(lambda: load.every_connection_called(5, since=began))
        assert newest(own_admin)["number"] == before
        half.write(content)
    assert seconds_until_carried(own_pair, address) < LIVE_SECONDS
    assert newest(own_admin)["number"] == before + 1


def test_an_emptied_file_changes_nothing_and_is_reported(
    own_pair: Pair, own_admin: Admin, load: Load, file: Path
) -> None:
    before = newest(own_admin)["number"]
    file.write_bytes(b"")
    problem = str(until(lambda: draft_problem(own_admin)))
    assert f"{FILE}:0: is empty" in problem
    assert seconds_until_carried(own_pair, SUS) < LIVE_SECONDS
    assert newest(own_admin)["number"] == before


def test_a_broken_file_changes_nothing_and_is_reported_with_its_line(
    own_pair: Pair, own_admin: Admin, load: Load, file: Path
) -> None:
    content = file.read_text()
    before = newest(own_admin)["number"]
    file.write_text(content.replace("\npermissions:\n", "\npermissions: [\n"))
    assert until(lambda: draft_problem(own_admin))
    reported = own_admin.get("national", "/tables/lint")["errors"]
    assert [error["file"] for error in reported] == [FILE]
    assert reported[0]["line"] > content.splitlines().index("permissions:")
    where = f"{FILE}:{reported[0]['line']}"
    ready = own_admin.get("national", "/health/ready")
    assert (ready["status"], where in ready["problems"]["draft"]) == ("ok", True)
    assert where in status_of(own_pair.home)["platforms"]["national"]["draft"]["problem"]
    assert where in run_rivta("status", "--home", str(own_pair.home)).stdout
    assert seconds_until_carried(own_pair, SUS) < LIVE_SECONDS
    assert newest(own_admin)["number"] == before


def test_lint_of_the_broken_tables_ends_with_1_and_names_the_file(own_pair: Pair, file: Path) -> None:
    file.write_text("routes:\n  - contract: GetDiagnosis\n")
    done = run_rivta("route", "lint", "--json", "--home", str(own_pair.home))
    assert done.returncode == 1
    errors = json.loads(done.stdout)["errors"]
    assert {(Path(error["file"]).name, error["line"]) for error in errors} == {(file.name, 2)}


def test_a_permission_that_is_taken_away_ends_within_a_second_too(own_pair: Pair, load: Load, file: Path) -> None:
    url, context = own_pair.endpoints["platforms"]["national"]["https"], Identity.of(own_pair, "npo").context()
    file.write_text(file.read_text().replace(f"consumer: [{NPO}, ", "consumer: ["))
    began = time.monotonic()
    with tls_connection(url, context) as connection:

        def is_refused() -> bool:
            connection.sendall(http_post(get_diagnosis(SUS)))
            return b"VP007" in read_answer(connection).body

        until(is_refused)
    assert time.monotonic() - began < LIVE_SECONDS
