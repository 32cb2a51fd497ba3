"""From a saved file to what routers read, one step at a time with the clock passed in."""

import os
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from rivta.catalogue.autopublish import Autopublisher, Folders, Result, State
from rivta.catalogue.compile import read_current
from rivta.catalogue.lint import Report
from rivta.catalogue.publications import (
    Conditions,
    ConfirmationNeeded,
    HsaVersions,
    Publications,
    PublicationsUnavailable,
    candidate,
)
from rivta.catalogue.serving import CurrentTable
from rivta.soap.identifiers import ContractNamespace
from rivta.store.engine import open_database
from tests.catalogue.tables import NOW, VARIABLES, FakeContract, FakeContracts, checked

BASE = """\
components: {SE2321000016-A: {name: a}}
producer_addresses: {a: {component: SE2321000016-A, url: "https://a.test/"}}
"""
ROUTE = "routes: [{logical_address: SE2321000016-KS, contracts: GetDiagnosis:2, producer_address: a}]\n"


@dataclass
class Node:
    """A node of a platform with its files, its keeper's autopublisher and one worker, and a clock."""

    folder: Path
    engine: Engine
    now: datetime = NOW
    publishes: bool = True
    results: list[Result] = field(default_factory=list)
    contracts: FakeContracts = field(default_factory=FakeContracts)

    def __post_init__(self) -> None:
        self.draft = self.folder / "routing" / "national"
        self.hsa = self.folder / "routing" / "hsa"
        self.draft.mkdir(parents=True)
        self.hsa.mkdir(parents=True)
        self.publications = Publications(self.engine)
        self.autopublisher = self.keeper()
        self.worker = CurrentTable(self.tables)

    @property
    def tables(self) -> Path:
        return self.folder / "tables"

    def keeper(self, **variables: str) -> Autopublisher:
        return Autopublisher(
            Folders(self.draft, self.hsa, self.tables),
            Publications(self.engine),
            HsaVersions(self.engine),
            lambda: self.contracts,
            variables=VARIABLES | variables,
            own_variables=("national",),
            publishes=self.publishes,
        )

    def save(self, name: str, text: str, *, folder: str = "national") -> None:
        (self.draft.parent / folder / f"{name}.yaml").write_text(textwrap.dedent(text), encoding="utf-8")

    def start(self) -> Result:
        result = self.autopublisher.start(self.now)
        self.worker.check()
        return result

    def wait(self, seconds: float) -> list[State]:
        """What the keeper did meanwhile, looking every 150 ms."""
        states = []
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            self.now += timedelta(milliseconds=150)
            result = self.autopublisher.poll(self.now)
            if result is not None:
                states.append(result.state)
                self.results.append(result)
        self.worker.check()
        return states

    @property
    def in_force(self) -> int | None:
        return self.worker.table.publication if self.worker.table else None

    @property
    def addresses(self) -> set[str]:
        assert self.worker.table is not None
        return {route.logical_address for route in self.worker.table.routes()}


@pytest.fixture
def engine(migrated_file: Path, tmp_path: Path) -> Iterator[Engine]:
    (tmp_path / "rivta.sqlite").write_bytes(migrated_file.read_bytes())
    engine = open_database(f"sqlite:///{tmp_path}/rivta.sqlite")
    yield engine
    engine.dispose()


@pytest.fixture
def node(engine: Engine, tmp_path: Path) -> Node:
    made = Node(tmp_path, engine)
    made.save("base", BASE)
    made.save("routes", ROUTE)
    made.save("tree", "units: {SE2321000016-RS: {}, SE2321000016-KS: {parent: SE2321000016-RS}}", folder="hsa")
    return made


def test_the_first_start_publishes_the_draft_and_puts_it_in_force(node: Node) -> None:
    result = node.start()
    assert result.state is State.SWITCHED
    assert (node.in_force, node.addresses) == (1, {"SE2321000016-KS"})
    assert node.worker.table is not None
    assert node.worker.table.ancestors("SE2321000016-KS") == ("SE2321000016-RS", "SE")
    assert next(node.worker.table.routes()).source == "national/routes.yaml:1"
    assert node.wait(2) == []


def test_a_save_is_live_within_a_second(node: Node) -> None:
    node.start()
    node.save("routes", ROUTE.replace("-KS", "-SOS"))
    assert node.wait(0.6) == [State.SWITCHED]
    assert (node.in_force, node.addresses) == (2, {"SE2321000016-SOS"})


def test_a_file_that_is_still_being_written_is_waited_for(node: Node) -> None:
    node.start()
    for number in range(8):
        node.save("routes", "# " + "x" * number + "\nrout")
        assert node.wait(0.15) == []
    node.save("routes", ROUTE.replace("-KS", "-SOS"))
    assert node.wait(0.45) == [State.SWITCHED]
    assert node.in_force == 2


def test_an_editor_that_truncates_first_and_writes_a_second_later_loses_nothing(node: Node) -> None:
    node.start()
    node.save("routes", "")
    assert node.wait(1.2) == []
    node.save("routes", ROUTE)
    node.wait(1)
    assert node.in_force == 1


def test_a_file_that_stays_emptied_changes_nothing_and_is_reported(node: Node) -> None:
    node.start()
    node.save("routes", "")
    assert node.wait(3) == [State.REFUSED]
    assert node.in_force == 1
    assert "national/routes.yaml:0: is empty" in str(node.autopublisher.problem)


def test_a_file_that_is_really_gone_is_believed_after_a_while(node: Node) -> None:
    node.start()
    node.save("more", ROUTE.replace("-KS", "-SOS"))
    node.wait(0.6)
    (node.draft / "more.yaml").unlink()
    assert node.wait(1.5) == []
    assert node.wait(1) == [State.SWITCHED]
    assert node.addresses == {"SE2321000016-KS"}


def test_a_broken_file_changes_nothing_and_is_reported_until_it_is_mended(node: Node) -> None:
    node.start()
    node.save("routes", "routes: [")
    assert node.wait(1) == [State.REFUSED]
    assert node.in_force == 1
    assert [problem.file for problem in node.results[-1].errors] == ["national/routes.yaml"]
    assert str(node.autopublisher.problem).startswith("the draft has 1 error: national/routes.yaml:1: not YAML")
    report = node.autopublisher.report
    assert report is not None
    assert report.errors == node.results[-1].errors
    node.save("routes", ROUTE)
    assert node.wait(1) == [State.UNCHANGED]
    assert node.autopublisher.problem is None


def test_what_lint_refuses_is_not_published(node: Node) -> None:
    node.start()
    node.save("routes", ROUTE.replace("producer_address: a", "producer_address: b"))
    node.wait(1)
    assert [problem.rule for problem in node.results[-1].errors] == ["unknown-producer-address"]
    node.save("routes", ROUTE)
    node.save("base", BASE.replace("https://a.test/", "${national}"))
    node.wait(1)
    assert [problem.rule for problem in node.results[-1].errors] == ["route-to-itself"]
    assert node.in_force == 1


def test_emptied_tables_are_refused(node: Node) -> None:
    node.start()
    for file in node.draft.iterdir():
        file.unlink()
    assert node.wait(3) == [State.REFUSED]
    assert node.in_force == 1
    assert "the draft is empty" in str(node.autopublisher.problem)


def test_a_broken_start_has_no_table_and_a_later_save_mends_it(node: Node) -> None:
    node.save("routes", "routes: [")
    assert node.start().state is State.REFUSED
    assert node.in_force is None
    node.save("routes", ROUTE)
    assert node.wait(1) == [State.SWITCHED]
    assert node.in_force == 1


def test_a_restart_with_a_broken_draft_serves_what_is_published(node: Node) -> None:
    node.start()
    for file in (*node.tables.glob("*.sqlite"), node.tables / "current"):
        file.unlink()
    node.save("routes", "routes: [")
    again = node.keeper()
    assert again.start(node.now).state is State.REFUSED
    assert read_current(node.tables)["publication"] == 1


def test_a_restart_with_nothing_new_compiles_nothing(node: Node) -> None:
    node.start()
    before = (node.tables / "current").stat().st_mtime_ns
    assert node.keeper().start(node.now).state is State.UNCHANGED
    assert (node.tables / "current").stat().st_mtime_ns == before


def test_another_value_of_a_variable_is_another_table(node: Node) -> None:
    node.save("base", BASE.replace("https://a.test/", "${regional}"))
    node.start()
    assert node.keeper(regional="https://moved.test/vp").start(node.now).state is State.SWITCHED
    node.worker.check()
    assert node.worker.table is not None
    assert next(node.worker.table.routes()).url == "https://moved.test/vp"
    assert node.in_force == 1


def test_a_changed_tree_is_a_new_version_of_the_same_publication(node: Node) -> None:
    node.start()
    node.save("tree", "units: {SE2321000016-RS: {}, SE2321000016-KS: {}}", folder="hsa")
    assert node.wait(1) == [State.SWITCHED]
    table = node.worker.table
    assert table is not None
    assert (table.publication, table.hsa_version) == (1, 2)
    assert table.ancestors("SE2321000016-KS") == ("SE",)


@pytest.mark.parametrize(
    ("text", "words"),
    [("units: {A: {parent: B}}", "HSA tree has errors"), ("units: {A: {}}", "would shrink from 2 to 1 units")],
)
def test_a_bad_tree_is_refused_and_a_good_table_with_it_is_not(node: Node, text: str, words: str) -> None:
    node.start()
    node.save("tree", text, folder="hsa")
    node.save("routes", ROUTE.replace("-KS", "-SOS"))
    assert node.wait(1) == [State.REFUSED]
    assert words in node.results[-1].message
    table = node.worker.table
    assert table is not None
    assert (table.publication, table.hsa_version) == (2, 1)


def test_a_rollback_pauses_publishing_until_somebody_publishes_on_purpose(node: Node) -> None:
    node.start()
    node.save("routes", ROUTE.replace("-KS", "-SOS"))
    node.wait(1)
    node.publications.rollback(1, author="robin", comment="oops", now=node.now)
    assert node.wait(1.5) == [State.SWITCHED]
    assert (node.in_force, node.addresses) == (3, {"SE2321000016-KS"})
    node.save("routes", ROUTE.replace("-KS", "-DS"))
    assert node.wait(1) == [State.PAUSED]
    assert node.addresses == {"SE2321000016-KS"}
    report = node.autopublisher.report
    assert report is not None
    with pytest.raises(ConfirmationNeeded) as refusal:
        node.publications.publish(report, author="robin", comment="fixed", now=node.now)
    conditions = Conditions(confirmed=refusal.value.confirmation)
    node.publications.append(candidate(report, author="robin", comment="fixed"), conditions, node.now)
    node.wait(1.5)
    assert (node.in_force, node.addresses) == (4, {"SE2321000016-DS"})


def test_what_another_node_publishes_is_followed(node: Node, engine: Engine, tmp_path: Path) -> None:
    node.start()
    other = Node(tmp_path / "other", engine, publishes=False)
    assert other.start().state is State.SWITCHED
    assert other.in_force == 1
    node.save("routes", ROUTE.replace("-KS", "-SOS"))
    node.wait(1)
    assert other.wait(1.2) == [State.SWITCHED]
    assert (other.in_force, other.addresses) == (2, {"SE2321000016-SOS"})


def test_without_autopublish_the_first_draft_is_published_and_no_later_one(engine: Engine, tmp_path: Path) -> None:
    node = Node(tmp_path, engine, publishes=False)
    node.save("base", BASE)
    node.save("routes", ROUTE)
    assert node.start().state is State.SWITCHED
    node.save("routes", ROUTE.replace("-KS", "-SOS"))
    assert node.wait(1) == [State.UNCHANGED]
    assert node.in_force == 1


def test_without_any_tables_nothing_is_published(engine: Engine, tmp_path: Path) -> None:
    node = Node(tmp_path, engine)
    assert node.start().state is State.UNCHANGED
    assert node.publications.newest() is None


def test_a_database_that_is_away_is_tried_again_every_second(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def away(*_: object) -> None:
        calls.append(node.now)
        raise PublicationsUnavailable("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(HsaVersions, "newest", away)
        assert node.start().state is State.UNAVAILABLE
        assert set(node.wait(3)) == {State.UNAVAILABLE}
        assert node.autopublisher.problem == "the database is away"
        assert len(calls) < 6
    assert State.SWITCHED in node.wait(1.2)
    assert node.in_force == 1
    assert node.autopublisher.problem is None


def test_a_folder_of_tables_that_cannot_be_written_is_reported_and_tried_again(node: Node) -> None:
    node.tables.write_text("in the way")
    assert node.start().state is State.UNAVAILABLE
    node.tables.unlink()
    node.wait(1.5)
    assert node.in_force == 1


def test_replacing_a_file_by_renaming_is_one_change(node: Node) -> None:
    node.start()
    other = node.draft / ".routes.yaml.swp"
    other.write_text(ROUTE.replace("-KS", "-SOS"))
    assert node.wait(1) == []
    os.replace(other, node.draft / "routes.yaml")
    assert node.wait(0.6) == [State.SWITCHED]


@dataclass
class OneMore(FakeContracts):
    """Those four and one that is installed later."""

    name: str

    def find(self, text: str) -> FakeContract:
        return (
            FakeContract(ContractNamespace(f"urn:riv:x:{self.name}Responder:1"))
            if text == self.name
            else super().find(text)
        )


def test_a_draft_that_names_a_contract_is_read_again_once_that_is_installed(node: Node) -> None:
    node.save("more", ROUTE.replace("-KS", "-SOS").replace("GetDiagnosis:2", "GetMore"))
    assert node.start().state is State.REFUSED
    assert node.wait(2) == []
    node.contracts = OneMore("GetMore")
    assert node.wait(0.15) == [State.SWITCHED]
    assert node.addresses == {"SE2321000016-KS", "SE2321000016-SOS"}
    assert node.wait(2) == []


def test_a_tree_that_another_node_published_is_followed_and_not_undone(
    node: Node, engine: Engine, tmp_path: Path
) -> None:
    node.start()
    other = Node(tmp_path / "other", engine)
    for name, text in (("base", BASE), ("routes", ROUTE)):
        other.save(name, text)
    other.save("tree", "units: {SE2321000016-RS: {}, SE2321000016-KS: {parent: SE2321000016-RS}}", folder="hsa")
    other.start()
    node.save("tree", "units: {SE2321000016-RS: {}, SE2321000016-KS: {}}", folder="hsa")
    assert node.wait(1) == [State.SWITCHED]
    assert other.wait(1) == [State.SWITCHED]
    table = other.worker.table
    assert table is not None
    assert (table.publication, table.hsa_version, table.ancestors("SE2321000016-KS")) == (1, 2, ("SE",))
    other.autopublisher = other.keeper()
    assert other.start().state is State.UNCHANGED  # its own files still hold the older tree
    assert HsaVersions(engine).newest_number() == 2


def test_a_new_node_with_another_tree_in_its_files_takes_over_the_one_in_force(
    node: Node, engine: Engine, tmp_path: Path
) -> None:
    node.start()
    other = Node(tmp_path / "other", engine)
    other.save("base", BASE)
    other.save("routes", ROUTE)
    other.save("tree", "units: {SE2321000016-RS: {}, SE2321000016-KS: {}}", folder="hsa")
    other.start()
    assert HsaVersions(engine).newest_number() == 1
    assert other.worker.table is not None
    assert other.worker.table.ancestors("SE2321000016-KS") == ("SE2321000016-RS", "SE")
    other.save("tree", "units: {SE2321000016-RS: {}, SE2321000016-KS: {}, SE2321000016-SOS: {}}", folder="hsa")
    assert other.wait(1) == [State.SWITCHED]
    assert HsaVersions(engine).newest_number() == 2


def test_a_node_starts_and_goes_on_without_the_database_and_says_so(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.start()

    def away(*_: object) -> None:
        raise PublicationsUnavailable("the database is away")

    with monkeypatch.context() as patch:
        for name in ("newest", "newest_number"):
            patch.setattr(HsaVersions, name, away)
            patch.setattr(Publications, name, away)
        node.wait(1)
        assert node.autopublisher.database_problem == "the database is away"
        node.autopublisher, node.worker = node.keeper(), CurrentTable(node.tables)
        assert node.start().state is State.UNAVAILABLE
        assert (node.in_force, node.addresses) == (1, {"SE2321000016-KS"})
        assert node.autopublisher.told is None
        about = read_current(node.tables)["about"]
        assert isinstance(about, dict)
        assert (about["author"], about["time"]) == ("autopublish", NOW.isoformat())
    node.wait(1.2)
    assert (node.autopublisher.database_problem, node.autopublisher.problem) == (None, None)


def test_what_another_node_publishes_is_in_force_within_a_second(node: Node, engine: Engine, tmp_path: Path) -> None:
    node.start()
    other = Node(tmp_path / "other", engine, publishes=False)
    other.start()
    for number in range(5):
        other.publications.publish(checked_route(tmp_path, f"-N{number}"), author="k", comment="c", now=other.now)
        other.wait(0.6)  # and a worker looks every quarter of a second
        assert other.in_force == number + 2


def checked_route(folder: Path, address: str) -> Report:
    return checked(folder / f"r{address}", BASE + ROUTE.replace("-KS", address))
