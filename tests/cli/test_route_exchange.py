"""`rivta route import`, `export` and `order` on folders of files."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rivta.catalogue import content as contents
from rivta.catalogue.exchange.saving import JOURNAL, _digest
from rivta.catalogue.exchange.signed import write
from rivta.catalogue.exchange.written import About
from rivta.catalogue.rows import Draft
from rivta.cli.main import group
from tests.catalogue.exchange.test_signed import signer
from tests.support import CHECKOUT

_OUTSIDE = (
    "regional",
    "national",
    "monitoring",
    "catalogue",
    "index",
    "skane",
    "vgr",
    "vardbolaget",
    "medication-register",
)
VARIABLES = [
    *("--variable", "aggregation=aggregation:"),
    *(part for name in _OUTSIDE for part in ("--variable", f"{name}=https://{name}.example.se/vp")),
]
BOOKING = "urn:riv:crm:scheduling:GetBookingsResponder:1"


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    shutil.copytree(CHECKOUT / "routing", tmp_path / "routing")
    return tmp_path / "routing"


def rivta(home: Path, *arguments: str | Path, exit_code: int = 0) -> str:
    done = CliRunner(env={"RIVTA_HOME": str(home / "home")}).invoke(group, ["route", *map(str, arguments)])
    assert done.exit_code == exit_code, done.output
    return done.output


def texts(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def order_file(folder: Path, **changed: Any) -> Path:
    order = {
        "plattform": "both",
        "formatVersion": 1.0,
        "version": 1,
        "bestallningsTidpunkt": "2026-11-24T08:00:00+0000",
        "genomforandeTidpunkt": "2026-12-01T08:00:00+0000",
        "utforare": "Åsa",
        "kommentar": "bookings",
        "inkludera": {
            "tjanstekontrakt": [{"namnrymd": BOOKING, "beskrivning": "b", "majorVersion": 1}],
            "tjanstekomponenter": [{"hsaId": "SE2321000016-BOOK", "beskrivning": "Booking system"}],
            "vagval": [
                {
                    "adress": "https://book.example.se/x",
                    "logiskAdress": "SE2321000016-KS",
                    "tjanstekontrakt": BOOKING,
                    "rivtaprofil": "RIVTABP21",
                    "tjanstekomponent": "SE2321000016-BOOK",
                }
            ],
        },
    }
    path = folder / "order.json"
    path.write_text(json.dumps(order | changed))
    return path


@pytest.mark.parametrize("form", ["takcache", "tak", "tak-snapshot"])
def test_what_is_exported_and_imported_again_changes_nothing(tables: Path, tmp_path: Path, form: str) -> None:
    before = texts(tables)
    rivta(tmp_path, "export", "--format", form, "--tables", tables, "--output", tmp_path / "out", *VARIABLES)
    assert "nothing changes" in rivta(tmp_path, "import", tmp_path / "out", "--tables", tables, "--yes", *VARIABLES)
    assert texts(tables) == before


def test_new_rows_go_into_one_file_and_are_shown_first(tables: Path, tmp_path: Path) -> None:
    rivta(tmp_path, "export", "--format", "tak", "--tables", tables, "--output", tmp_path / "n.json", *VARIABLES)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    said = rivta(tmp_path, "import", tmp_path / "n.json", "--tables", fresh, "--dry-run")
    assert "+++ fresh/n.yaml" in said
    assert "nothing is written (--dry-run)" in said
    assert texts(fresh) == {}
    rivta(tmp_path, "import", tmp_path / "n.json", "--tables", fresh, "--yes")
    assert list(texts(fresh)) == ["n.yaml"]
    assert "nothing changes" in rivta(tmp_path, "import", tmp_path / "n.json", "--tables", fresh, "--yes")


def test_an_import_with_a_mistake_writes_nothing_and_lists_them_all(tables: Path, tmp_path: Path) -> None:
    rivta(tmp_path, "export", "--format", "takcache", "--tables", tables, "--output", tmp_path / "c.xml", *VARIABLES)
    data = (tmp_path / "c.xml").read_text().replace("RIVTABP21", "X", 1).replace("2034-12-31T", "2034-13-31T", 1)
    (tmp_path / "c.xml").write_text(data)
    before = texts(tables)
    said = rivta(tmp_path, "import", tmp_path / "c.xml", "--tables", tables, "--yes", exit_code=1)
    assert "c.xml:3: error: rivProfil: 'X' is not RIVTABP20 or RIVTABP21" in said
    assert "2 mistakes; nothing is written" in said
    assert texts(tables) == before


def test_rows_that_would_break_the_table_are_refused_as_lint_does(tables: Path, tmp_path: Path) -> None:
    rivta(tmp_path, "export", "--format", "takcache", "--tables", tables, "--output", tmp_path / "c.xml", *VARIABLES)
    lines = (tmp_path / "c.xml").read_text().splitlines()
    route = next(line for line in lines if "https://" in line)
    two = [*lines[:-1], route.replace("https://", "https://two."), lines[-1]]
    (tmp_path / "c.xml").write_text("\n".join(two))
    said = rivta(tmp_path, "import", tmp_path / "c.xml", "--tables", tables, "--yes", *VARIABLES, exit_code=1)
    assert "[route-overlap]" in said


def test_one_order_changes_both_drafts_or_none(tables: Path, tmp_path: Path) -> None:
    order = order_file(tmp_path)
    said = rivta(tmp_path, "order", order, "--platform", "both", "--tables", tables, "--yes")
    assert "national:     Nyskapad: SE2321000016-KS" in said
    assert (tables / "national" / "order.yaml").read_bytes() == (tables / "regional" / "order.yaml").read_bytes()
    again = rivta(tmp_path, "order", order, "--platform", "both", "--tables", tables, "--yes")
    assert "nothing changes" in again
    shutil.rmtree(tables)
    shutil.copytree(CHECKOUT / "routing", tables)
    (tables / "regional" / "platform.yaml").write_text("routes: nonsense\n")
    before = texts(tables)
    rivta(tmp_path, "order", order, "--platform", "both", "--tables", tables, "--yes", exit_code=1)
    assert texts(tables) == before


def test_an_order_of_another_platform_is_refused(tables: Path, tmp_path: Path) -> None:
    order = order_file(tmp_path, plattform="SKLTP-X")
    assert "'SKLTP-X' is not this platform" in rivta(tmp_path, "order", order, "--tables", tables, "--yes", exit_code=1)
    rivta(tmp_path, "order", order, "--tables", tables, "--plattform", "SKLTP-X", "--dry-run")


def test_json_says_what_changes_field_by_field(tables: Path, tmp_path: Path) -> None:
    arguments = ("--plattform", "both", "--tables", tables, "--json")
    found = json.loads(rivta(tmp_path, "order", order_file(tmp_path), *arguments, "--yes"))
    assert found["written"] is True
    assert {one["section"] for one in found["platforms"]["national"]["differences"]} == {
        "components",
        "producer_addresses",
        "routes",
    }
    assert rivta(tmp_path, "order", order_file(tmp_path), "--tables", tables, "--json", exit_code=2)


def test_nobody_answers_and_nothing_is_written(tables: Path, tmp_path: Path) -> None:
    before = texts(tables)
    rivta(tmp_path, "order", order_file(tmp_path), "--plattform", "both", "--tables", tables, exit_code=1)
    assert texts(tables) == before


def test_an_interrupted_import_is_finished_first(tables: Path, tmp_path: Path) -> None:
    folder = tables / "national"
    (folder / ".late.yaml.staged").write_bytes(b"components: {LATE: {name: x}}\n")
    plan = [str(folder / ".late.yaml.staged"), str(folder / "late.yaml"), _digest(b"components: {LATE: {name: x}}\n")]
    (folder / JOURNAL).write_text(json.dumps({"files": [plan]}))
    said = rivta(tmp_path, "order", order_file(tmp_path), "--plattform", "both", "--tables", tables, "--dry-run")
    assert "was interrupted" in said
    assert (folder / "late.yaml").exists()


def test_a_signed_publication_is_taken_once_and_never_an_older_one(tables: Path, tmp_path: Path) -> None:
    us = signer("us", days=10_000)
    (tmp_path / "us.pem").write_bytes(us.certificate)
    folder = tmp_path / "empty"
    folder.mkdir()
    for number in (7, 6):
        about = About(number, datetime.now(UTC), "åsa", "k")
        data = write(contents.encode(Draft()), about, platform="SE1-X", key=us.key, certificate=us.certificate)
        (tmp_path / f"{number}.xml").write_bytes(data)
    trust = ["--trust", str(tmp_path / "us.pem"), "--of", "SE1-X", "--tables", str(folder), "--yes"]
    assert "signed by CN=us" in rivta(tmp_path, "import", tmp_path / "7.xml", *trust)
    rivta(tmp_path, "import", tmp_path / "7.xml", *trust)
    said = rivta(tmp_path, "import", tmp_path / "6.xml", *trust, exit_code=1)
    assert "older than publication 7" in said
    assert "say --trust" in rivta(tmp_path, "import", tmp_path / "7.xml", "--tables", folder, "--yes", exit_code=2)


def test_what_an_order_changes_for_callers_is_told_before_it_is_written(tables: Path, tmp_path: Path) -> None:
    order = order_file(tmp_path)
    content = json.loads(order.read_text())
    address = {"logiskAdress": "SE2321000016-KS", "tjanstekontrakt": BOOKING}
    permission = address | {"tjanstekonsument": "SE165565594230-NPO"}
    content["inkludera"]["anropsbehorigheter"] = [permission]
    order.write_text(json.dumps(content))
    arguments = ("order", order, "--plattform", "both", "--tables", tables)
    said = rivta(tmp_path, *arguments, "--dry-run")
    assert "gained GetBookings:1 to SE2321000016-KS" in said
    assert "VP004 no route -> " in said
    found = json.loads(rivta(tmp_path, *arguments, "--dry-run", "--json"))["platforms"]["national"]
    assert (found["preview"]["totals"]["gained"] > 0, found["preview_unknown"]) == (True, None)


def test_of_a_draft_with_mistakes_it_is_said_that_it_cannot_be_told(tables: Path, tmp_path: Path) -> None:
    bad = 'producer_addresses: {bad: {component: SE2321000016-RTP, url: "nonsense", profile: RIVTABP21}}\n'
    (tables / "national" / "bad.yaml").write_text(bad)
    said = rivta(tmp_path, "order", order_file(tmp_path), "--plattform", "both", "--tables", tables, "--dry-run")
    assert (
        "what changes for callers cannot be told: the draft has mistakes already, the first: national/bad.yaml:1"
        in said
    )
