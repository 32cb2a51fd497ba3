"""A run, against a platform that is a function: what is sent, what is not, and what came of it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rivta.catalogue.rows import Problem
from rivta.contracts.validation import Validators
from rivta.testing.answers import Answer
from rivta.testing.case_files import read_case
from rivta.testing.cases import find_cases
from rivta.testing.pacing import Pace
from rivta.testing.replay import Bench, Job, Replay, plan
from rivta.testing.results import Outcome, Result
from rivta.testing.sending import Unanswered
from rivta.testing.targets import Identity, Targets
from tests.testing.messages import CONTRACTS, envelope, fault, ping, pong

VALIDATORS = Validators(CONTRACTS)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TARGETS = Targets(
    {"national": "https://n/", "regional": "https://r/"},
    (),
    (Identity("npo", "SE1-NPO", None, None), Identity("journal", "SE1-J", None, None)),
    "npo",
    "national",
)


class Platform:
    """Answers with what a function makes of a request, and keeps what it was sent."""

    def __init__(self, answer: Callable[[bytes], bytes] = lambda request: pong()) -> None:
        self.answer = answer
        self.sent: list[tuple[str, str, dict[str, str], bytes]] = []
        self.at_once = self.most_at_once = 0

    async def send(self, url, identity, headers, body, *, seconds) -> Answer:
        self.sent.append((url, identity.name, dict(headers), body))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0)
            found = self.answer(body)
        finally:
            self.at_once -= 1
        return Answer(500 if b"Fault" in found else 200, (), found, 0.01)


@pytest.fixture
def suite(tmp_path) -> Path:
    return tmp_path / "suite"


def add(suite: Path, name: str, request: bytes = b"", message: str = "", response: bytes = b"") -> None:
    folder = suite / name
    folder.mkdir(parents=True)
    (folder / "request.xml").write_bytes(request or ping())
    if message:
        (folder / "message.yaml").write_text(message)
    if response:
        (folder / "response.xml").write_bytes(response)


def jobs(suite: Path, rows=(), **settings: str) -> list[Job]:
    problems: list[Problem] = []
    cases = [read_case(one, problems, contracts=CONTRACTS) for one in find_cases([suite], problems)]
    assert problems == []
    return plan(cases, rows, settings)


def bench(**options) -> Bench:
    return Bench(TARGETS, contracts=CONTRACTS, validators=VALIDATORS, now=lambda: NOW, **options)


async def run(
    suite: Path, platform: Platform, pace: Pace | None = None, *, made: Bench | None = None, rows=(), **settings
):
    """What came of every case: refused ones first."""
    results: list[Result] = []
    made = made or bench()
    good, refused = made.look_through(jobs(suite, rows, **settings))
    replay = Replay(made, platform, pace or Pace(), on_result=results.append)
    await replay.run(good)
    return [*refused, *results]


def always(answer: bytes) -> Callable[[bytes], bytes]:
    return lambda request: answer


async def test_a_case_is_sent_by_its_sender_to_its_platform_with_its_headers(suite) -> None:
    add(
        suite,
        "a",
        message="contract: PingForConfiguration\nsender: SE1-J\nvia: regional\nheaders: {x-some: '${number}'}",
    )
    platform = Platform()
    (result,) = await run(suite, platform)
    url, identity, headers, body = platform.sent[0]
    assert (url, identity, body) == ("https://r/", "journal", ping())
    assert headers["x-some"] == "1"
    assert headers["Content-Type"] == "text/xml; charset=UTF-8"
    assert headers["SOAPAction"].strip('"') == CONTRACTS.find("PingForConfiguration").soap_action
    assert headers["x-skltp-correlation-id"] == result.correlation_id
    assert (result.outcome, result.status, result.logical_address) == (Outcome.PASSED, 200, "SE1-KS")


async def test_answers_are_checked_and_what_does_not_hold_is_kept_with_the_answer(suite) -> None:
    add(suite, "a", message="assertions:\n  - status: 200\n  - schema: valid\n  - fault: none")
    (result,) = await run(suite, Platform(lambda request: fault()))
    assert (result.outcome, result.fault) == (Outcome.FAILED, "VP004")
    assert [one.assertion for one in result.findings] == ["status is 200", "no fault"]
    assert result.findings[0].place.endswith("a/message.yaml:2")
    assert "VP004" in result.answer


async def test_an_answer_that_breaks_its_schema_or_is_of_another_contract_is_found(suite) -> None:
    add(suite, "a", message="assertions: [{schema: valid}]")
    good, broken, other = pong(), pong("1.0", "today"), envelope("<x xmlns='urn:x'/>", address="")
    for answer, outcome in ((good, Outcome.PASSED), (broken, Outcome.FAILED), (other, Outcome.FAILED)):
        (result,) = await run(suite, Platform(always(answer)))
        assert result.outcome is outcome


async def test_the_recorded_answer_has_its_variables_too(suite) -> None:
    add(suite, "a", ping("${to}"), "variables: {to: SE9}", pong("${to}"))
    (result,) = await run(suite, Platform(lambda request: pong("SE9")))
    assert result.outcome is Outcome.PASSED
    (result,) = await run(suite, Platform(lambda request: pong("SE9")), to="SE8")
    assert result.outcome is Outcome.FAILED


async def test_every_row_of_variables_is_sent_and_named(suite) -> None:
    add(suite, "a", ping("${to}"))
    platform = Platform()
    results = await run(suite, platform, rows=({"to": "SE1"}, {"to": "SE2"}))
    assert [(one.row, one.logical_address) for one in results] == [(1, "SE1"), (2, "SE2")]


async def test_what_may_write_is_not_sent_unless_it_is_allowed(suite) -> None:
    add(suite, "a", envelope("<Update xmlns='urn:x:UpdateResponder:1'/>"))
    platform = Platform()
    (result,) = await run(suite, platform)
    assert (result.outcome, platform.sent) == (Outcome.REFUSED, [])
    assert "Update may write" in result.message
    assert "--allow-writes" in result.message
    await run(suite, platform, made=bench(allow_writes=True))
    assert len(platform.sent) == 1


async def test_a_message_is_what_is_in_it_not_what_the_case_calls_it(suite) -> None:
    add(suite, "a", envelope("<${what} xmlns='urn:x:UpdateResponder:1'/>"), "variables: {what: Update}")
    platform = Platform()
    (result,) = await run(suite, platform, what="Update")
    assert (result.outcome, platform.sent) == (Outcome.REFUSED, [])


async def test_what_is_no_xml_is_not_sent_unless_writing_is_allowed(suite) -> None:
    add(suite, "a", b"<a><b></a>", "contract: PingForConfiguration\nassertions: [{fault: VP015}]")
    platform = Platform(lambda request: fault("VP015 x"))
    (result,) = await run(suite, platform)
    assert "request.xml:1: is not XML" in result.message
    (result,) = await run(suite, platform, made=bench(allow_writes=True))
    assert (result.outcome, platform.sent[0][3]) == (Outcome.PASSED, b"<a><b></a>")


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("contract: GetDiagnosis", "message.yaml:0: contract is urn:riv:clinicalprocess:healthcond:description"),
        ("logical_address: SE2", "message.yaml:0: logical_address is SE2 here, but SE1-KS in request.xml"),
        ("profile: RIVTABP20", "message.yaml:0: profile is RIVTABP20 here, but RIVTABP21"),
        ("sender: SE1-X", "message.yaml:0: nobody here can send as SE1-X"),
        ("identity: x", "message.yaml:0: identity 'x' is not one of npo, journal"),
        ("assertions:\n  - status: 200\n  - {xpath: //a, equals: '${b}'}", "message.yaml:3: ${b} has no value"),
        ("headers: {x-a: '${b}'}", "message.yaml:0: ${b} has no value"),
    ],
)
async def test_what_is_wrong_is_found_before_anything_is_sent_and_the_rest_runs(suite, message, told) -> None:
    add(suite, "a", message=message)
    add(suite, "b")
    platform = Platform()
    refused, passed = await run(suite, platform)
    assert told in refused.message
    assert (refused.outcome, passed.outcome, len(platform.sent)) == (Outcome.REFUSED, Outcome.PASSED, 1)


async def test_an_unknown_variable_of_a_request_is_told_with_its_line(suite) -> None:
    add(suite, "a", b"<a>\n\n${who}</a>")
    (result,) = await run(suite, Platform())
    assert "a/request.xml:3: ${who} has no value" in result.message


async def test_no_answer_is_told_and_the_rest_runs(suite) -> None:
    def answer(request: bytes) -> bytes:
        if b"SE2" in request:
            raise Unanswered("https://n/: nothing listens there")
        return pong()

    add(suite, "a", ping("SE2"))
    add(suite, "b")
    first, second = await run(suite, Platform(answer))
    assert (first.outcome, first.message) == (Outcome.UNANSWERED, "https://n/: nothing listens there")
    assert second.outcome is Outcome.PASSED


async def test_as_many_are_under_way_as_asked_for_and_never_more(suite) -> None:
    for name in "abcd":
        add(suite, name)
    alone, together = Platform(), Platform()
    await run(suite, alone, Pace(repeat=5))
    assert (alone.most_at_once, len(alone.sent)) == (1, 20)
    await run(suite, together, Pace(parallel=3, repeat=5))
    assert together.most_at_once <= 3
    assert len(together.sent) == 20


async def test_a_stopped_run_keeps_what_it_has_and_names_what_was_under_way(suite) -> None:
    for name in "abcd":
        add(suite, name)
    made = bench()
    results: list[Result] = []

    class Stopping(Platform):
        async def send(self, url, identity, headers, body, *, seconds) -> Answer:
            if len(self.sent) == 2:
                replay.stop()
                await asyncio.Event().wait()
            return await super().send(url, identity, headers, body, seconds=seconds)

    replay = Replay(made, Stopping(), Pace(), on_result=results.append)
    assert await replay.run(jobs(suite)) is False
    assert [one.outcome for one in results] == [Outcome.PASSED, Outcome.PASSED, Outcome.CUT_OFF]


async def test_an_error_of_ours_is_a_result_and_the_rest_runs(suite, caplog) -> None:
    def answer(request: bytes) -> bytes:
        if b"SE2" in request:
            raise ZeroDivisionError("ours")
        return pong()

    add(suite, "a", ping("SE2"))
    add(suite, "b")
    first, second = await run(suite, Platform(answer))
    assert (first.outcome, first.message) == (Outcome.REFUSED, "unexpected ZeroDivisionError: ours")
    assert second.outcome is Outcome.PASSED


async def test_a_variable_that_makes_no_pattern_fails_its_case_alone(suite) -> None:
    add(suite, "a", message="variables: {p: '('}\nassertions:\n  - {xpath: //version, matches: '${p}'}")
    (result,) = await run(suite, Platform())
    assert result.findings[0].message.startswith("cannot be checked: ")


@pytest.mark.parametrize("message", ["headers: {x-a: '${v}'}", "soap_action: '${v}'"])
async def test_a_line_end_in_a_variable_begins_no_header(suite, message) -> None:
    add(suite, "a", message=message)
    platform = Platform()
    (result,) = await run(suite, platform, v="1\r\nx-b: 2")
    assert (result.outcome, platform.sent) == (Outcome.REFUSED, [])


def test_more_than_can_be_looked_through_is_refused(suite, monkeypatch) -> None:
    monkeypatch.setattr("rivta.testing.replay.MOST_JOBS", 3)
    add(suite, "a")
    with pytest.raises(ValueError, match="3 messages are the most"):
        jobs(suite, rows=({"a": "1"},) * 4)


async def test_a_rate_is_kept_and_being_late_is_told(suite) -> None:
    add(suite, "a")
    results = await run(suite, Platform(), Pace(parallel=5, rate=200, repeat=20))
    assert len(results) == 20
    assert all(
        one.started_s + 0.001 >= number / 200 for number, one in enumerate(sorted(results, key=lambda r: r.number))
    )


async def test_findings_of_very_many_messages_are_kept_shortly(suite, monkeypatch) -> None:
    monkeypatch.setattr("rivta.testing.replay.MOST_DETAILED", 3)
    add(suite, "a", message="assertions: [{status: 500}, {fault: any}]")
    results = await run(suite, Platform(), Pace(repeat=6))
    assert [len(one.findings) for one in results] == [2, 2, 2, 1, 1, 1]
    assert [one.answer is None for one in results] == [False] * 3 + [True] * 3


class RecordingStage:
    """Notes what is set and put back beside what is sent."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.done: list[tuple[str, int]] = []

    def set(self, state) -> None:
        assert self.platform.at_once == 0
        self.done.append(("set", len(self.platform.sent)))

    def put_back(self) -> None:
        self.done.append(("put back", len(self.platform.sent)))


STATE = "state: {stubs: [{target: SE1, behaviour: slow}]}"


async def test_a_case_with_a_state_is_sent_alone_between_setting_and_putting_back(suite) -> None:
    for name in "abde":
        add(suite, name)
    add(suite, "c", message=STATE)
    platform = Platform()
    stage = RecordingStage(platform)
    results: list[Result] = []
    replay = Replay(bench(), platform, Pace(parallel=5), on_result=results.append, stage=stage)
    assert await replay.run(jobs(suite))
    assert stage.done == [("set", 2), ("put back", 3)]
    assert [one.outcome for one in results] == [Outcome.PASSED] * 5


async def test_a_state_is_put_back_when_there_is_no_answer_and_when_the_run_is_stopped(suite) -> None:
    add(suite, "a", message=STATE)

    def fails(request: bytes) -> bytes:
        raise Unanswered("nothing listens there")

    def stops(request: bytes) -> bytes:
        replay.stop()
        return pong()

    for answer, outcome in ((fails, Outcome.UNANSWERED), (stops, Outcome.PASSED)):
        platform = Platform(answer)
        results: list[Result] = []
        stage = RecordingStage(platform)
        replay = Replay(bench(), platform, Pace(), on_result=results.append, stage=stage)
        await replay.run(jobs(suite))
        assert [what for what, _ in stage.done] == ["set", "put back"]
        assert results[0].outcome in (outcome, Outcome.CUT_OFF)


async def test_a_state_where_none_can_be_set_is_told_and_the_case_not_sent(suite) -> None:
    add(suite, "a", message=STATE)
    platform = Platform()
    (result,) = await run(suite, platform)
    assert (result.outcome, platform.sent) == (Outcome.REFUSED, [])
    assert "wants a state of its own" in result.message
