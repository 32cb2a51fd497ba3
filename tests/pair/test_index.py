"""The engagement indexes of a running pair: real calls in, notifications on, and what is left when processes die."""

import json
from pathlib import Path

import pytest
from lxml import etree

from tests.pair.consumer import CORRELATION_ID, PATIENT, REGIONAL, Admin, Consumer, consumer, envelope, new_id
from tests.pair.test_kills import kill
from tests.support import Pair, run_rivta, until

INDEX = "urn:riv:itintegration:engagementindex"
DOMAIN = "riv:clinicalprocess:healthcond:description"
NATIONAL_INDEX = "5565594230"


def update(source: str, *, newest: str = "20261124120000", delete: str = "false", to: str = REGIONAL) -> bytes:
    return envelope(
        f'<u:Update xmlns:u="{INDEX}:UpdateResponder:1" xmlns="{INDEX}:1"><u:engagementTransaction>'
        f"<deleteFlag>{delete}</deleteFlag><engagement>"
        f"<registeredResidentIdentification>{PATIENT}</registeredResidentIdentification>"
        f"<serviceDomain>{DOMAIN}</serviceDomain><categorization>dia</categorization>"
        "<logicalAddress>SE2321000016-KS</logicalAddress>"
        "<businessObjectInstanceIdentifier>NA</businessObjectInstanceIdentifier>"
        "<clinicalProcessInterestId>NA</clinicalProcessInterestId>"
        f"<mostRecentContent>{newest}</mostRecentContent><sourceSystem>{source}</sourceSystem>"
        "<dataController>SE2321000016</dataController></engagement></u:engagementTransaction></u:Update>",
        to=to,
    )


def find(*, to: str) -> bytes:
    return envelope(
        f'<FindContent xmlns="{INDEX}:FindContentResponder:1">'
        f"<registeredResidentIdentification>{PATIENT}</registeredResidentIdentification>"
        f"<serviceDomain>{DOMAIN}</serviceDomain></FindContent>",
        to=to,
    )


def found(caller: Consumer, source: str, *, at: str) -> list[dict[str, str]]:
    """The engagements of a source that an index answers."""
    answer = caller.call(find(to=at))
    assert answer.status_code == 200, answer.text
    rows = [
        {etree.QName(child).localname: child.text or "" for child in one}
        for one in etree.fromstring(answer.content).iter("{*}engagement")
    ]
    return [one for one in rows if one["sourceSystem"] == source]


def wait(pair: Pair) -> None:
    done = run_rivta("index", "wait", "--timeout", "45", home=pair.home)
    assert done.returncode == 0, done.stderr


def test_what_is_reported_regionally_is_found_nationally_with_its_owner_and_its_end_too(
    pair: Pair, journal: Consumer, npo: Consumer, admin: Admin
) -> None:
    id = new_id()
    answer = journal.call(update("S-PAIR"), {CORRELATION_ID: id})
    assert (answer.status_code, "<ResultCode>OK</ResultCode>" in answer.text) == (200, True), answer.text
    assert len(found(journal, "S-PAIR", at=REGIONAL)) == 1  # OK means stored
    wait(pair)
    (row,) = found(npo, "S-PAIR", at=NATIONAL_INDEX)
    assert (row["owner"], row["mostRecentContent"]) == (REGIONAL, "20261124120000")

    # The notification is a call like any other, with the id of the change that it tells of.
    regional, national = admin.records(id, "regional", "national")
    assert national["sender"] == REGIONAL
    assert {one["contract"] for one in admin.get("regional", "/calls", correlation_id=id)["calls"]} == {
        f"{INDEX}:UpdateResponder:1",
        f"{INDEX}:ProcessNotificationResponder:1",
    }
    assert regional["correlation_id"] == id

    journal.call(update("S-PAIR", delete="true"))
    wait(pair)
    assert found(npo, "S-PAIR", at=NATIONAL_INDEX) == found(journal, "S-PAIR", at=REGIONAL) == []


def test_a_refusal_has_the_indexs_own_words(journal: Consumer) -> None:
    fault = journal.refused(update(REGIONAL))
    assert fault.text == (
        "EI006: The sourceSystem in EngagementTransaction #1 is reserved and not allowed, hsa-id: SE2321000016-RTP"
    )


def test_whoever_has_no_permission_reaches_no_index(pair: Pair) -> None:
    with consumer(pair, "stranger") as stranger:
        assert stranger.refused(find(to=NATIONAL_INDEX)).code == "VP007"
        assert stranger.refused(update("S", to=NATIONAL_INDEX)).code == "VP007"


def test_a_keeper_that_dies_loses_nothing_that_was_answered_ok_and_tells_nothing_twice_as_new(own_pair: Pair) -> None:
    with consumer(own_pair, "journal", via="regional") as journal, consumer(own_pair, "npo") as npo:
        kill(own_pair, "national-keeper")
        answered = [journal.call(update(f"S{number}")).status_code for number in range(3)]
        kill(own_pair, "regional-keeper")
        wait_until_answered(journal)
        wait(own_pair)
        stored = [number for number, status in enumerate(answered) if status == 200]
        assert stored == [0, 1, 2]
        for number in stored:
            assert (
                len(found(npo, f"S{number}", at=NATIONAL_INDEX)) == len(found(journal, f"S{number}", at=REGIONAL)) == 1
            )


def wait_until_answered(caller: Consumer) -> None:
    until(lambda: caller.call(find(to=REGIONAL)).status_code == 200, seconds=30, every=0.2)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A folder with a file of 1,003 rows, and one that takes them away."""
    head = "registeredResidentIdentification,serviceDomain,categorization,logicalAddress,sourceSystem,dataController"
    lines = [f"{PATIENT},{DOMAIN},upp,U{number},S-LOAD,SE2321000016" for number in range(1003)]
    (tmp_path / "rows.csv").write_text("\n".join([head, *lines]))
    (tmp_path / "gone.csv").write_text("\n".join([f"{head},deleteFlag", *(f"{line},true" for line in lines)]))
    return tmp_path


class TestCommands:
    def test_a_file_is_loaded_counted_found_and_taken_away(self, pair: Pair, rows: Path) -> None:
        as_source = ("--platform", "regional", "--as", "takecare-ks", "--json")
        loaded = run_rivta("index", "load", str(rows / "rows.csv"), *as_source, home=pair.home)
        assert json.loads(loaded.stdout)["updated"] == 1003, loaded.stderr
        wait(pair)
        for platform in ("regional", "national"):
            shown = run_rivta(
                "index",
                "find",
                "--patient",
                PATIENT,
                "--source",
                "S-LOAD",
                "--platform",
                platform,
                "--json",
                home=pair.home,
            )
            assert len(json.loads(shown.stdout)["engagements"]) == 1003, shown.stderr
        stats = json.loads(run_rivta("index", "stats", "--json", home=pair.home).stdout)
        assert sum(one["number"] for one in stats["kinds"] if one["categorization"] == "upp") >= 1003
        gone = run_rivta("index", "load", str(rows / "gone.csv"), *as_source, home=pair.home)
        assert gone.returncode == 0, gone.stderr
        wait(pair)
        nothing = run_rivta("index", "find", "--patient", PATIENT, "--source", "S-LOAD", home=pair.home)
        assert nothing.stdout == "the index has nothing that matches\n"

    def test_what_the_index_refuses_ends_a_load_and_it_says_how_to_go_on(self, pair: Pair, rows: Path) -> None:
        lines = (rows / "rows.csv").read_text().splitlines()
        (rows / "bad.csv").write_text("\n".join([*lines[:1002], lines[1001]]))
        as_source = ("--platform", "regional", "--as", "takecare-ks")
        done = run_rivta("index", "load", str(rows / "bad.csv"), *as_source, home=pair.home)
        assert done.returncode == 1
        assert (
            "rows 1001 to 1002 are not stored: EI002: EngagementTransaction #1 and #2 have the same key" in done.stderr
        )
        assert done.stderr.rstrip().endswith("1000 rows are. Go on with --skip 1000")
        run_rivta("index", "load", str(rows / "gone.csv"), *as_source, home=pair.home)

    @pytest.mark.parametrize(
        ("arguments", "exit_code", "told"),
        [
            (("find", "--patient", PATIENT, "--as", "nobody"), 2, "identity 'nobody' is not one of this pair's: npo"),
            (("find", "--patient", PATIENT, "--as", "stranger", "--domain", DOMAIN), 1, "VP007"),
            (("find", "--patient", PATIENT, "--platform", "lunar", "--domain", DOMAIN), 2, "has no platform 'lunar'"),
            (("dead", "send"), 2, "or give --all"),
            (("dead", "show", "999999"), 1, "there is no dead letter 999999"),
            (("dead", "discard", "999999"), 1, "there is no dead letter 999999"),
            (("load", __file__), 1, "its name has to end with .csv, .json, .xml"),
        ],
    )
    def test_what_cannot_be_done_is_told_in_a_line(
        self, pair: Pair, arguments: tuple[str, ...], exit_code: int, told: str
    ) -> None:
        done = run_rivta("index", *arguments, home=pair.home)
        assert (done.returncode, done.stderr.count("\n")) == (exit_code, 1)
        assert told in done.stderr

    def test_notifications_that_nobody_takes_are_shown_and_sent_again(self, pair: Pair) -> None:
        nothing = run_rivta("index", "dead", "list", home=pair.home)
        assert nothing.stdout == "nothing was given up\n"
        sent = run_rivta("index", "dead", "send", "--all", "--json", home=pair.home)
        assert json.loads(sent.stdout) == {"sent": 0}
