"""What people do with the tables on purpose, on SQLite and on PostgreSQL, with the clock passed in."""

import contextlib
import multiprocessing
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from rivta.catalogue import content
from rivta.catalogue.autopublish import Autopublisher, Folders, State
from rivta.catalogue.desk import Desk, SamePerson, Wish
from rivta.catalogue.proposals import AlreadyDecided, Proposal, Proposals, ProposalState
from rivta.catalogue.publications import (
    BaseChanged,
    ConfirmationNeeded,
    HsaVersions,
    Publication,
    PublicationRefused,
    Publications,
)
from rivta.catalogue.trail import AuditTrail
from rivta.store.engine import open_database
from tests.catalogue.tables import NOW, VARIABLES, contracts_in_force

BASE = """\
components: {SE2321000016-A: {name: a}}
producer_addresses: {a: {component: SE2321000016-A, url: "https://a.test/"}}
"""


def route(*addresses: str) -> str:
    return f"routes: [{{logical_address: [{', '.join(addresses)}], contracts: GetDiagnosis:2, producer_address: a}}]\n"


@dataclass
class Node:
    """One node of a platform: its draft, its autopublisher, its desk, and the clock."""

    folder: Path
    engine: Engine
    publishes: bool = False
    four_eyes: bool = False
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.draft = self.folder / "routing" / "national"
        self.draft.mkdir(parents=True, exist_ok=True)
        self.publications = Publications(self.engine)
        self.proposals, self.trail = Proposals(self.engine), AuditTrail(self.engine)
        hsa_versions = HsaVersions(self.engine)
        self.autopublisher = Autopublisher(
            Folders(self.draft, None, self.folder / "tables"),
            self.publications,
            hsa_versions,
            contracts_in_force,
            variables=VARIABLES,
            publishes=self.publishes,
        )
        self.desk = Desk(
            self.autopublisher,
            self.publications,
            hsa_versions,
            self.proposals,
            self.trail,
            contracts_in_force,
            four_eyes=self.four_eyes,
        )

    def save(self, **files: str) -> None:
        for name, text in files.items():
            (self.draft / f"{name}.yaml").write_text(text, encoding="utf-8")

    def publish(self, author: str = "kim", comment: str = "c", **more: object) -> Publication:
        made = self.desk.publish(Wish(author, comment, **more), self.now)  # type: ignore[arg-type]
        assert isinstance(made, Publication)
        return made

    def propose(self, author: str = "kim", comment: str = "c", **more: object) -> Proposal:
        made = self.desk.publish(Wish(author, comment, **more), self.now)  # type: ignore[arg-type]
        assert isinstance(made, Proposal)
        return made

    def rollback(self, number: int, author: str = "robin") -> Publication:
        made = self.desk.rollback(number, author=author, comment="back", based_on=None, now=self.now)
        assert isinstance(made, Publication)
        return made

    def wait(self, **time: float) -> None:
        self.now += timedelta(**time)

    def addresses(self, number: int | None = None) -> set[str]:
        newest = self.publications.newest()
        assert newest is not None
        draft = content.decode(self.publications.content(number or newest.number))
        return {row.logical_address.removeprefix("SE2321000016-") for row in draft.routes}


@pytest.fixture
def node(database: Engine, tmp_path: Path) -> Node:
    """A node with publication 1, of a route to A in `kim.yaml` and one to B in `robin.yaml`."""
    made = Node(tmp_path / "node", database)
    made.save(base=BASE, kim=route("SE2321000016-A"), robin=route("SE2321000016-B"))
    made.autopublisher.start(NOW)
    assert made.addresses() == {"A", "B"}
    return made


def test_the_author_and_the_files_stand_in_the_publication(node: Node) -> None:
    node.save(kim=route("SE2321000016-A", "SE2321000016-A2"))
    made = node.publish(author="kim", comment="A2 opens")
    assert (made.number, made.author, made.comment, made.files) == (2, "kim", "A2 opens", None)
    sources = node.publications.sources(2)
    assert sources is not None
    assert sorted(sources) == ["base.yaml", "kim.yaml", "robin.yaml"]
    assert node.publications.text(sources["kim.yaml"]) == (node.draft / "kim.yaml").read_bytes()
    assert node.trail.newest(1)[0].actor == "kim"


def test_a_draft_with_errors_is_refused_with_all_of_them(node: Node) -> None:
    node.save(kim="routes: [\n", robin=route("SE2321000016-B").replace("producer_address: a", "producer_address: x"))
    with pytest.raises(PublicationRefused) as refusal:
        node.publish()
    assert {problem.file for problem in refusal.value.problems} == {"national/kim.yaml"}
    assert node.publications.newest_number() == 1


class TestOnly:
    def test_a_colleagues_half_finished_rows_stay_drafts(self, node: Node) -> None:
        node.save(kim=route("SE2321000016-A2"), robin="routes: [half")
        made = node.publish(files=("kim.yaml",))
        assert (made.files, node.addresses()) == (("kim.yaml",), {"A2", "B"})
        node.save(robin=route("SE2321000016-B2"))
        assert node.publish(author="robin").number == 3
        assert node.addresses() == {"A2", "B2"}

    def test_a_file_that_is_gone_is_gone_from_the_table(self, node: Node) -> None:
        (node.draft / "robin.yaml").unlink()
        node.publish(files=("national/robin.yaml",))
        assert node.addresses() == {"A"}

    def test_what_the_result_lacks_is_told_with_its_place(self, node: Node) -> None:
        node.save(
            kim=route("SE2321000016-A").replace("producer_address: a", "producer_address: new"), more="components: {}"
        )
        with pytest.raises(PublicationRefused) as refusal:
            node.publish(files=("kim.yaml",))
        assert [(one.file, one.rule) for one in refusal.value.problems] == [
            ("national/kim.yaml", "unknown-producer-address")
        ]

    def test_a_file_that_there_never_was_is_named(self, node: Node) -> None:
        with pytest.raises(
            PublicationRefused, match="national/kin.yaml: no such file.*base.yaml, kim.yaml, robin.yaml"
        ):
            node.publish(files=("kin.yaml",))
        assert node.publications.newest_number() == 1

    def test_a_second_resolution_is_refused(self, node: Node) -> None:
        node.save(base=BASE + "resolution: {}\n")
        node.publish()
        node.save(base=BASE, kim=route("SE2321000016-A") + "resolution: {delimiter: ''}\n")
        with pytest.raises(PublicationRefused) as refusal:
            node.publish(files=("kim.yaml",))
        assert refusal.value.problems[0].rule == "several-resolutions"
        assert node.publish(files=("kim.yaml", "base.yaml")).number == 3

    def test_the_rest_can_be_restored_from_such_a_publication_too(self, node: Node) -> None:
        texts = {path.name: path.read_text() for path in node.draft.iterdir()}
        node.save(kim=route("SE2321000016-A2"), robin="routes: [half")
        node.publish(files=("kim.yaml",))
        node.desk.reset(2, author="kim", now=node.now)
        assert {path.name: path.read_text() for path in node.draft.iterdir()} == texts | {
            "kim.yaml": route("SE2321000016-A2")
        }


class TestTwoOperators:
    @pytest.fixture
    def other(self, node: Node, tmp_path: Path) -> Node:
        """A second node with files of its own, which are the same as the first one's until now."""
        other = Node(tmp_path / "other", node.engine)
        other.save(**{path.stem: path.read_text() for path in node.draft.iterdir()})
        other.autopublisher.start(NOW)
        return other

    def test_one_is_told_what_the_other_has_changed(self, node: Node, other: Node) -> None:
        node.save(kim=route("SE2321000016-A2"))
        node.publish(author="kim", comment="A moves")
        other.save(robin=route("SE2321000016-B2"))
        with pytest.raises(
            BaseChanged, match=r"publication 1, but kim has published 2 \(A moves\), and 2 changes"
        ) as told:
            other.publish(author="robin")
        assert {(one.change.value, one.key[0]) for one in told.value.changed} == {
            ("added", "SE2321000016-A2"),
            ("removed", "SE2321000016-A"),
        }
        assert node.addresses() == {"A2", "B"}

    def test_who_has_the_others_changes_too_loses_none_and_may(self, node: Node, other: Node) -> None:
        node.save(kim=route("SE2321000016-A2"))
        node.publish(author="kim")
        other.save(kim=route("SE2321000016-A2"), robin=route("SE2321000016-B2"))
        assert other.publish(author="robin").number == 3
        assert other.addresses() == {"A2", "B2"}

    def test_who_takes_only_other_files_loses_none_and_may(self, node: Node, other: Node) -> None:
        node.save(kim=route("SE2321000016-A2"))
        node.publish(author="kim")
        other.save(robin=route("SE2321000016-B2"))
        other.publish(author="robin", files=("robin.yaml",))
        assert other.addresses() == {"A2", "B2"}
        with pytest.raises(BaseChanged):
            other.publish(author="robin")  # its kim.yaml is still the old one

    def test_who_says_what_is_known_may_undo_it(self, node: Node, other: Node) -> None:
        node.save(kim=route("SE2321000016-A2"))
        made = node.publish(author="kim")
        other.publish(author="robin", based_on=made.digest)
        assert other.addresses() == {"A", "B"}

    def test_who_says_what_was_known_is_told_of_everything_since(self, node: Node) -> None:
        first = node.publications.get(1)
        node.save(kim=route("SE2321000016-A2"))
        node.publish(author="kim", based_on=first.digest)
        node.save(robin=route("SE2321000016-B2"))
        with pytest.raises(BaseChanged) as told:
            node.publish(author="robin", based_on=first.digest)
        assert told.value.newest.number == 2

    def test_autopublish_does_not_undo_what_another_node_published(self, node: Node, tmp_path: Path) -> None:
        automatic = Node(tmp_path / "automatic", node.engine, publishes=True)
        automatic.save(**{path.stem: path.read_text() for path in node.draft.iterdir()})
        automatic.autopublisher.start(NOW)
        node.save(kim=route("SE2321000016-A2"))
        node.publish()
        automatic.save(robin=route("SE2321000016-B2"))
        result = automatic.autopublisher.look(NOW)
        assert (result.state, automatic.addresses()) == (State.REFUSED, {"A2", "B"})
        assert "kim has published 2" in str(automatic.autopublisher.problem)
        automatic.save(kim=route("SE2321000016-A2"))
        assert automatic.autopublisher.look(NOW).state is State.SWITCHED
        assert automatic.addresses() == {"A2", "B2"}

    def test_a_node_whose_files_were_never_published_does_not_publish_them_by_itself(
        self, node: Node, tmp_path: Path
    ) -> None:
        fresh = Node(tmp_path / "fresh", node.engine, publishes=True)
        fresh.save(base=BASE, kim=route("SE2321000016-OTHER"))
        assert fresh.autopublisher.start(NOW).state is State.REFUSED
        assert node.addresses() == {"A", "B"}

    def test_of_many_at_once_each_is_published_or_told_and_nothing_is_lost(self, node: Node, tmp_path: Path) -> None:
        nodes = [Node(tmp_path / f"n{number}", node.engine) for number in range(5)]
        for number, one in enumerate(nodes):
            one.save(**{path.stem: path.read_text() for path in node.draft.iterdir()})
            one.autopublisher.start(NOW)
            one.save(robin=route("SE2321000016-B", f"SE2321000016-N{number}"))
        told: list[int] = []

        def run(number: int, start: threading.Barrier) -> None:
            start.wait()
            try:
                nodes[number].publish(author=f"n{number}")
            except BaseChanged:
                told.append(number)

        at_once(run, len(nodes))
        history = node.publications.history()
        assert [one.number for one in history] == list(range(len(history), 0, -1))
        published = {int(one.author[1:]) for one in history if one.author.startswith("n")}
        assert len(published) + len(told) == len(nodes)
        assert published | set(told) == set(range(len(nodes)))
        # Each added a row of its own: whoever came later lacked what was there, and was told.
        assert node.addresses() == {"A", "B", *(f"N{number}" for number in published)}


def at_once(run: Callable[[int, threading.Barrier], None], count: int) -> None:
    start = threading.Barrier(count)
    threads = [threading.Thread(target=run, args=(number, start)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def publish_in_a_process(url: str, folder: Path, number: int) -> None:
    """A node in a process of its own publishes three versions of a file that only it has."""
    engine = open_database(url)
    node = Node(folder, engine)
    for version in range(3):
        node.save(**{f"p{number}": route(f"SE2321000016-P{number}V{version}")})
        node.publish(author=f"p{number}", files=(f"p{number}.yaml",))
    engine.dispose()


def test_processes_that_publish_files_of_their_own_lose_nothing(database_url: str, tmp_path: Path) -> None:
    engine = open_database(database_url)
    first = Node(tmp_path / "first", engine)
    first.save(base=BASE, kim=route("SE2321000016-A"))
    first.autopublisher.start(NOW)
    fork = multiprocessing.get_context("spawn")
    others = [
        fork.Process(target=publish_in_a_process, args=(database_url, tmp_path / f"p{number}", number))
        for number in range(2)
    ]
    for process in others:
        process.start()
    for process in others:
        process.join(60)
    assert [process.exitcode for process in others] == [0, 0]
    assert [one.number for one in first.publications.history()] == [7, 6, 5, 4, 3, 2, 1]
    assert first.addresses() == {"A", "P0V2", "P1V2"}
    engine.dispose()


class TestRollback:
    def test_what_would_come_back_is_listed_and_exactly_that_confirmed(self, node: Node) -> None:
        node.save(kim=route("SE2321000016-BAD"))
        node.publish()
        node.rollback(1)
        with pytest.raises(ConfirmationNeeded) as refusal:
            node.publish()
        listed = {(one.change.value, one.key[0]) for one in refusal.value.back}
        assert listed == {("added", "SE2321000016-BAD"), ("removed", "SE2321000016-A")}
        with pytest.raises(ConfirmationNeeded):
            node.publish(confirmed="0" * 16)
        node.save(robin=route("SE2321000016-B", "SE2321000016-B2"))
        assert node.publish(confirmed=refusal.value.confirmation).number == 4
        assert node.addresses() == {"BAD", "B", "B2"}

    def test_a_confirmation_is_for_that_list_and_no_other(self, node: Node) -> None:
        node.save(kim=route("SE2321000016-BAD", "SE2321000016-WORSE"))
        node.publish()
        node.rollback(1)
        node.save(kim=route("SE2321000016-BAD"))
        with pytest.raises(ConfirmationNeeded) as first:
            node.publish()
        node.save(kim=route("SE2321000016-BAD", "SE2321000016-WORSE"))
        with pytest.raises(ConfirmationNeeded) as second:
            node.publish(confirmed=first.value.confirmation)
        assert len(second.value.back) == len(first.value.back) + 1

    def test_a_draft_that_was_mended_needs_no_confirmation(self, node: Node) -> None:
        node.save(base=BASE.replace("https://a.test/", "https://bad.test/"))
        node.publish()
        node.rollback(1)
        node.save(base=BASE.replace("https://a.test/", "https://good.test/"))
        assert node.publish().number == 4
        assert node.publications.divergences() == ()

    def test_part_of_a_draft_is_asked_about_too_and_settles_nothing(self, node: Node) -> None:
        node.save(kim=route("SE2321000016-BAD"), robin=route("SE2321000016-B2"))
        node.publish()
        node.rollback(1)
        with pytest.raises(ConfirmationNeeded) as refusal:
            node.publish(files=("robin.yaml",))
        node.publish(files=("robin.yaml",), confirmed=refusal.value.confirmation)
        assert node.addresses() == {"A", "B2"}
        with pytest.raises(ConfirmationNeeded) as rest:
            node.publish()
        assert {one.key[0] for one in rest.value.back} == {"SE2321000016-A", "SE2321000016-BAD"}

    def test_a_reset_draft_is_published_by_itself_again(self, database: Engine, tmp_path: Path) -> None:
        node = Node(tmp_path, database, publishes=True)
        node.save(base=BASE, kim="# Kim's\n" + route("SE2321000016-A"))
        node.autopublisher.start(NOW)
        node.save(kim=route("SE2321000016-BAD"))
        node.autopublisher.look(NOW)
        node.rollback(1)
        assert node.autopublisher.look(NOW).state is State.PAUSED
        kept_in = node.desk.reset(3, author="robin", now=NOW)
        assert (node.draft / "kim.yaml").read_text() == "# Kim's\n" + route("SE2321000016-A")
        assert (kept_in / "kim.yaml").read_text() == route("SE2321000016-BAD")
        assert node.autopublisher.look(NOW).state is State.UNCHANGED
        node.save(kim=route("SE2321000016-A", "SE2321000016-A2"))
        assert node.autopublisher.look(NOW).state is State.SWITCHED
        assert node.addresses() == {"A", "A2"}

    def test_a_reset_that_ended_in_the_middle_is_finished(self, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        node.save(kim=route("SE2321000016-BAD"), robin=route("SE2321000016-WORSE"))
        node.publish()

        def cut_off(texts: dict[str, bytes], *, kept_in: Path) -> None:
            (node.draft / "kim.yaml").write_bytes(texts["kim.yaml"])
            raise OSError("the power went")

        with monkeypatch.context() as patch:
            patch.setattr(node.desk.files, "replace", cut_off)
            with pytest.raises(OSError, match="power"):
                node.desk.reset(1, author="robin", now=NOW)
        again = Node(node.folder, node.engine)
        again.desk.finish_reset()
        assert (again.draft / "robin.yaml").read_text() == route("SE2321000016-B")
        again.desk.finish_reset()
        assert [one.action for one in again.trail.newest()].count("draft reset") == 1

    def test_there_is_nothing_to_go_back_from_the_newest(self, node: Node) -> None:
        with pytest.raises(PublicationRefused, match="publication 1 is in force"):
            node.rollback(1)
        with pytest.raises(LookupError, match="no publication 9"):
            node.rollback(9)


class TestSchedule:
    def test_a_time_that_has_passed_is_a_mistake_and_nothing_is_published(self, node: Node) -> None:
        node.save(kim=route("SE2321000016-A2"))
        for late in (NOW, NOW - timedelta(minutes=59)):
            with pytest.raises(PublicationRefused, match="has passed: leave the time out to publish now"):
                node.publish(at=late)
        assert node.publications.newest_number() == 1

    def test_it_is_frozen_now_and_in_force_then_after_a_restart_too(self, node: Node) -> None:
        node.save(kim=route("SE2321000016-A2"))
        waiting = node.propose(at=NOW + timedelta(hours=1))
        assert (waiting.state, waiting.based_on) == (ProposalState.SCHEDULED, 1)
        node.save(kim=route("SE2321000016-LATER"))
        again = Node(node.folder, node.engine, now=NOW + timedelta(minutes=59))
        assert again.desk.apply_due(again.now) == ()
        again.wait(minutes=1)
        [made] = again.desk.apply_due(again.now)
        assert isinstance(made, Publication)
        assert (made.author, made.scheduled_for, again.addresses()) == ("kim", again.now, {"A2", "B"})
        assert again.proposals.get(waiting.id).publication == 2
        again.wait(hours=1)
        assert again.desk.apply_due(again.now) == ()

    def test_of_several_nodes_one_publishes_it(self, node: Node, tmp_path: Path) -> None:
        node.save(kim=route("SE2321000016-A2"))
        node.propose(at=NOW + timedelta(hours=1))
        nodes = [Node(tmp_path / f"n{number}", node.engine) for number in range(4)]
        made: list[object] = []

        def run(number: int, start: threading.Barrier) -> None:
            start.wait()
            made.extend(nodes[number].desk.apply_due(NOW + timedelta(hours=1)))

        at_once(run, len(nodes))
        assert [one.number for one in made if isinstance(one, Publication)] == [2]
        assert node.publications.newest_number() == 2

    def test_what_was_published_meanwhile_is_not_undone(self, node: Node) -> None:
        node.save(kim=route("SE2321000016-A2"))
        waiting = node.propose(at=NOW + timedelta(hours=1))
        node.save(kim=route("SE2321000016-A"), robin=route("SE2321000016-B2"))
        node.publish(author="robin")
        node.wait(hours=1)
        [refused] = node.desk.apply_due(node.now)
        assert isinstance(refused, Proposal)
        assert refused.state is ProposalState.REFUSED
        assert "robin has published 2" in refused.reason
        assert node.addresses() == {"A", "B2"}
        seen = node.desk.withdraw(waiting.id, actor="kim", now=node.now)
        assert (seen.state, seen.reason) == (ProposalState.WITHDRAWN, refused.reason)

    def test_what_has_become_wrong_is_refused(self, node: Node) -> None:
        node.save(base=BASE.replace("https://a.test/", "${regional}"))
        node.propose(at=NOW + timedelta(hours=1))
        node.autopublisher._variables.clear()  # the settings of today
        [refused] = node.desk.apply_due(NOW + timedelta(hours=1))
        assert isinstance(refused, Proposal)
        assert (refused.state, "regional" in refused.reason) == (ProposalState.REFUSED, True)
        assert node.publications.newest_number() == 1

    def test_it_can_be_cancelled_before(self, node: Node) -> None:
        node.save(kim=route("SE2321000016-A2"))
        waiting = node.propose(at=NOW + timedelta(hours=1))
        node.desk.withdraw(waiting.id, actor="robin", now=NOW)
        assert node.desk.apply_due(NOW + timedelta(hours=2)) == ()
        with pytest.raises(AlreadyDecided, match="withdrawn"):
            node.desk.withdraw(waiting.id, actor="robin", now=NOW)
        assert node.publications.newest_number() == 1

    def test_what_is_wrong_today_is_said_today(self, node: Node) -> None:
        node.save(kim="routes: [")
        with pytest.raises(PublicationRefused):
            node.propose(at=NOW + timedelta(hours=1))
        assert node.proposals.newest() == ()


class TestFourEyes:
    @pytest.fixture
    def node(self, node: Node) -> Node:
        node.save(kim=route("SE2321000016-A2"))
        return Node(node.folder, node.engine, four_eyes=True)

    def test_another_approves_and_stands_beside_the_author(self, node: Node) -> None:
        waiting = node.propose(author="kim")
        assert (waiting.state, node.publications.newest_number()) == (ProposalState.PROPOSED, 1)
        with pytest.raises(SamePerson, match="kim's own"):
            node.desk.approve(waiting.id, approver="kim", now=NOW)
        made = node.desk.approve(waiting.id, approver="robin", now=NOW)
        assert isinstance(made, Publication)
        assert (made.number, made.author, made.approver) == (2, "kim", "robin")
        assert [(one.actor, one.action) for one in node.trail.newest(3)] == [
            ("robin", "approved"),
            ("kim", "published"),
            ("kim", "proposed"),
        ]
        with pytest.raises(AlreadyDecided, match="published"):
            node.desk.approve(waiting.id, approver="robin", now=NOW)

    def test_what_is_approved_is_what_was_proposed(self, node: Node) -> None:
        waiting = node.propose()
        node.save(kim=route("SE2321000016-CHANGED"))
        node.desk.approve(waiting.id, approver="robin", now=NOW)
        assert node.addresses() == {"A2", "B"}

    def test_a_rollback_needs_another_too(self, node: Node) -> None:
        node.desk.approve(node.propose().id, approver="robin", now=NOW)
        waiting = node.desk.rollback(1, author="kim", comment="back", based_on=None, now=NOW)
        assert isinstance(waiting, Proposal)
        assert node.addresses() == {"A2", "B"}
        made = node.desk.approve(waiting.id, approver="robin", now=NOW)
        assert isinstance(made, Publication)
        assert (made.rollback_of, node.addresses()) == (1, {"A", "B"})
        assert [one.publication for one in node.publications.divergences()] == [3]

    def test_nobody_approves_what_has_lapsed(self, node: Node) -> None:
        waiting = node.propose()
        node.wait(days=7)
        with pytest.raises(AlreadyDecided, match="expired"):
            node.desk.approve(waiting.id, approver="robin", now=node.now)
        assert node.proposals.get(waiting.id).state is ProposalState.EXPIRED

    def test_it_lapses_by_itself(self, node: Node) -> None:
        waiting = node.propose()
        [lapsed] = node.desk.apply_due(NOW + timedelta(days=7))
        assert isinstance(lapsed, Proposal)
        assert (lapsed.id, lapsed.state) == (waiting.id, ProposalState.EXPIRED)

    def test_approved_for_later_waits_for_its_time(self, node: Node) -> None:
        waiting = node.propose(at=NOW + timedelta(hours=1))
        scheduled = node.desk.approve(waiting.id, approver="robin", now=NOW)
        assert isinstance(scheduled, Proposal)
        assert (scheduled.state, scheduled.approver) == (ProposalState.SCHEDULED, "robin")
        [made] = node.desk.apply_due(NOW + timedelta(hours=1))
        assert isinstance(made, Publication)
        assert (made.author, made.approver) == ("kim", "robin")

    def test_of_two_proposals_on_the_same_base_one_is_published(self, node: Node) -> None:
        first = node.propose(author="kim")
        node.save(kim=route("SE2321000016-A3"))
        second = node.propose(author="lo")
        node.desk.approve(first.id, approver="robin", now=NOW)
        with pytest.raises(BaseChanged):
            node.desk.approve(second.id, approver="robin", now=NOW)
        assert node.proposals.get(second.id).state is ProposalState.REFUSED
        assert node.addresses() == {"A2", "B"}

    def test_two_who_approve_at_once_publish_once(self, node: Node, tmp_path: Path) -> None:
        waiting = node.propose()
        nodes = [Node(tmp_path / f"n{number}", node.engine, four_eyes=True) for number in range(4)]
        made: list[object] = []

        def run(number: int, start: threading.Barrier) -> None:
            start.wait()
            with contextlib.suppress(PublicationRefused):
                made.append(nodes[number].desk.approve(waiting.id, approver=f"r{number}", now=NOW))

        at_once(run, len(nodes))
        assert len(made) == 1
        assert node.publications.newest_number() == 2
