"""`rivta why` and `rivta index check` on the running pair: the chain across both platforms, and real answers."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import Pair, run_rivta, until

ELSA, TOLVAN, NOBODY = "199001012385", "191212121212", "199001022384"
"""A slow source, a failing one, an empty one, one without permission; records at most sources; no engagement."""
KS, EXPIRED, EMPTY, FAILING = "SE2321000016-KS", "SE2321000016-EXPIRED", "SE2321000131-SU", "SE2321000016-SOS"


@pytest.fixture(autouse=True, scope="module")
def settled(pair: Pair) -> None:
    done = run_rivta("index", "wait", "--timeout", "45", home=pair.home)
    assert done.returncode == 0, done.stderr


def why(pair: Pair, *options: str, contract: str = "GetDiagnosis", consumer: str = "npo") -> tuple[int, dict[str, Any]]:
    done = run_rivta("why", "--contract", contract, "--as", consumer, *options, "--json", home=pair.home)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def failed(found: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The step that failed of each source, and on which platform."""
    return {
        source["source"]: (step["step"], step["platform"])
        for source in found["sources"]
        for step in source["steps"]
        if step["state"] == "failed"
    }


def test_the_chain_is_followed_to_the_region_and_to_the_answer(pair: Pair) -> None:
    code, found = why(pair, "--patient", TOLVAN, "--source", KS, "--call")
    (source,) = found["sources"]
    assert code == 0, found
    assert [(step["step"], step["platform"], step["state"]) for step in source["steps"]] == [
        ("index", "national", "passed"),
        ("category", "national", "passed"),
        ("logical address", "national", "passed"),
        ("source system", "national", "passed"),
        ("next platform", "regional", "passed"),
        ("call", "national", "passed"),
        ("schema", "national", "passed"),
        ("merge", "national", "passed"),
    ]
    assert "SE165565594230-NTJP may call" in source["steps"][4]["text"]


def test_each_source_stops_where_it_fails(pair: Pair) -> None:
    code, found = why(pair, "--patient", ELSA, "--call")
    assert code == 1
    assert failed(found) == {
        EXPIRED: ("logical address", "national"),
        FAILING: ("call", "national"),
        EMPTY: ("merge", "national"),
    }


def test_a_region_that_lacks_a_row_is_told_with_it_and_shows_once_it_is_saved(own_pair: Pair) -> None:
    file = own_pair.home / "routing" / "regional" / "stockholm.yaml"
    before = file.read_text()
    wanted = ("--patient", TOLVAN, "--source", KS)
    assert run_rivta("index", "wait", "--timeout", "45", home=own_pair.home).returncode == 0
    added = file.with_name("added.yaml")
    try:
        file.write_text(
            before.replace("consumer: [SE165565594230-NTJP, SE2321000016-JOURNAL]", "consumer: SE2321000016-JOURNAL")
        )
        # Only KS is looked at: other tests of this pair may have announced sources that are none.
        found = until(lambda: [one for _, one in [why(own_pair, *wanted)] if KS in failed(one)])[0]
        assert failed(found)[KS] == ("next platform", "regional")
        steps = [step for source in found["sources"] if source["source"] == KS for step in source["steps"]]
        (remedy,) = [step["remedy"] for step in steps if step["remedy"]]
        assert remedy["file"] == str(file)
        added.write_text(remedy["rows"])
        until(lambda: KS not in failed(why(own_pair, *wanted)[1]))
    finally:
        added.unlink(missing_ok=True)
        file.write_text(before)


def test_a_consumer_behind_the_region_is_the_region_to_the_national_platform(pair: Pair) -> None:
    code, found = why(
        pair, "--patient", TOLVAN, "--source", KS, "--via", "regional", "--to", "5565594230", consumer="journal"
    )
    assert code == 0
    assert [step["platform"] for step in found["steps"] if step["step"] == "aggregate"] == ["regional", "national"]
    assert "SE2321000016-RTP may call" in found["sources"][0]["steps"][2]["text"]


def test_a_consumer_whose_key_is_not_here_is_called_for_with_that_of_who_may_call_most_and_so_it_says(
    pair: Pair,
) -> None:
    consumer = "SE2321000016-RTP"
    code, found = why(pair, "--patient", TOLVAN, "--source", KS, "--call", consumer=consumer)
    (call,) = [step for step in found["sources"][0]["steps"] if step["step"] == "call"]
    assert (code, call["state"]) == (0, "passed"), found
    assert "as npo" in json.dumps(call)
    assert f"in place of {consumer}" in json.dumps(call)


def test_what_is_announced_nowhere_names_who_may(pair: Pair) -> None:
    code, found = why(pair, "--patient", NOBODY, "--source", KS)
    assert (code, found["steps"][-1]["step"]) == (1, "index")
    assert found["steps"][-1]["details"][0].startswith(
        "SE2321000016-TC-KS may announce it at the index SE2321000016-RTP"
    )


def test_the_patient_is_in_no_log(pair: Pair) -> None:
    why(pair, "--patient", "199002022383", "--call")
    logs = [path for path in (pair.home / "log").glob("*.log") if "199002022383" in path.read_text(errors="replace")]
    assert logs == []


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--patient", TOLVAN, "--contract", "GetNothing", "--as", "npo"), 2, "GetNothing"),
        (("--patient", TOLVAN, "--contract", "GetDiagnosis", "--as", "npo", "--via", "x"), 2, "has no platform 'x'"),
        (("--patient", TOLVAN, "--contract", "GetDiagnosis", "--as", "npo", "--call-as", "npo"), 2, "give --call too"),
        (
            (
                "--patient",
                TOLVAN,
                "--contract",
                "GetDiagnosis",
                "--as",
                "npo",
                "--call",
                "--call-as",
                "x",
                "--source",
                KS,
            ),
            2,
            "identity 'x' is not one of this pair's",
        ),
        (("--patient", "\x01", "--contract", "GetDiagnosis", "--as", "npo", "--source", KS), 1, ""),
        (
            ("--patient", "x" * 300, "--contract", "GetDiagnosis", "--as", "npo"),
            1,
            "patient has to be the id of the person",
        ),
    ],
)
def test_what_cannot_be_asked_is_told_in_a_line(pair: Pair, options: tuple[str, ...], code: int, told: str) -> None:
    done = run_rivta("why", *options, home=pair.home)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert done.stderr.count("\n") <= 1


class TestIndexCheck:
    """What a source announces against what it answers."""

    OF_KS = ("--patient", TOLVAN, "--domain", "riv:clinicalprocess:healthcond:description", "--category", "dia")
    SOURCE = ("--source", KS, "--logical-address", KS, "--controller", "SE2321000016-VG-STHLM")

    @pytest.fixture
    def update(self, pair: Pair) -> Iterator[Any]:
        def send(*options: str) -> None:
            done = run_rivta(
                *("index", "update", "--platform", "regional", "--as", "takecare-ks"),
                *(*self.OF_KS, *self.SOURCE, *options),
                home=pair.home,
            )
            assert done.returncode == 0, done.stderr

        yield send
        send("--newest", "2025-11-03T07:05")

    def check(self, pair: Pair, *options: str) -> tuple[int, dict[str, Any]]:
        done: subprocess.CompletedProcess[str] = run_rivta(
            *("index", "check", "--platform", "regional", "--contract", "GetDiagnosis", "--json", *options),
            home=pair.home,
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def kinds(self, pair: Pair) -> list[tuple[str, str]]:
        _, found = self.check(pair, "--source", KS)
        return [(one["kind"], one["patient"]) for one in found["differences"]]

    def test_what_agrees_is_no_difference(self, pair: Pair) -> None:
        code, found = self.check(pair, "--source", KS)
        assert (code, found["differences"], found["whole_index"]) == (0, [], True)
        assert found["calls"] > 5  # also about patients of whom nothing is announced

    def test_what_is_not_announced_or_out_of_date_is_found(self, pair: Pair, update: Any) -> None:
        update("--delete")
        assert self.kinds(pair) == [("not announced", TOLVAN)]
        update("--newest", "2001-01-01")
        assert self.kinds(pair) == [("stale", TOLVAN)]

    def test_what_is_announced_without_data_is_found(self, pair: Pair) -> None:
        done = run_rivta("index", "check", "--source", EMPTY, "--contract", "GetDiagnosis", home=pair.home)
        assert done.returncode == 1
        assert "no data" in done.stdout
        assert ELSA in done.stdout
        assert "1 differences in" in done.stdout

    def test_a_source_that_does_not_answer_is_given_up_and_told(self, pair: Pair) -> None:
        done = run_rivta("stub", "set", KS, "close", home=pair.home)
        assert done.returncode == 0, done.stderr
        try:
            code, found = self.check(pair, "--source", KS)
        finally:
            run_rivta("stub", "reset", KS, home=pair.home)
        assert (code, found["calls"]) == (1, 3)
        assert {one["kind"] for one in found["differences"]} == {"unanswered"}
        assert found["not_asked"] > 0

    def test_a_source_that_nobody_knows_is_a_mistake(self, pair: Pair) -> None:
        done = run_rivta("index", "check", "--source", "SE1-NOBODY", "--contract", "GetDiagnosis", home=pair.home)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "SE1-NOBODY can be asked by none of these contracts" in done.stderr
