"""The chain that `rivta why` tells: every step that can fail does, over real tables and indexes, and says what to add."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rivta.cli.why_chain import (
    AGGREGATE,
    CATEGORY,
    INDEX,
    INDEX_CALL,
    LOGICAL_ADDRESS,
    ONWARD,
    OWN_ADDRESS,
    SOURCE_SYSTEM,
)
from rivta.cli.why_steps import State
from tests.cli.why_world import CONSUMER, DIRECT, NTJP, SOURCE, SYSTEM, World, announced, failing
from tests.index.built import NATIONAL as NATIONAL_INDEX
from tests.index.built import NOON, REGIONAL, TOLVAN

MAY_SEE = f"  - {{consumer: {CONSUMER}, logical_address: {SOURCE}, contracts: GetDiagnosis:2, agreement: may see}}\n"
FOR_ALL = f"  - {{consumer: {NTJP}, logical_address: {SOURCE}, contracts: GetDiagnosis:2, agreement: for all}}\n"
ASKS = f'  - {{consumer: {CONSUMER}, logical_address: "{NATIONAL_INDEX}", contracts: GetDiagnosis:2, agreement: may ask}}\n'
TELLS = f'  - {{consumer: {REGIONAL}, logical_address: "{NATIONAL_INDEX}", contracts: ProcessNotification:1, agreement: tell}}\n'
NOTIFIES = f'  - {{consumer: {REGIONAL}, logical_address: "{NATIONAL_INDEX}", contracts: ProcessNotification:1, agreement: notify}}\n'
TO_REGION = f"  - {{logical_address: {SOURCE}, contracts: GetDiagnosis:2, producer_address: rtp}}\n"
TO_SYSTEM = f"  - {{logical_address: {SOURCE}, contracts: GetDiagnosis:2, producer_address: tc}}\n"
OTHER = "SE1-UNIT"
UPDATE = "urn:riv:itintegration:engagementindex:UpdateResponder:1"
FIND = "urn:riv:itintegration:engagementindex:FindContentResponder:1"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def test_what_shows_passes_every_step_with_the_sender_that_each_platform_sees(world: World) -> None:
    world.sides["national"].store(announced())
    chain = world.why()
    (source,) = chain.sources
    assert chain.passes
    assert [(one.name, one.platform, one.state) for one in chain.steps] == [
        (AGGREGATE, "national", State.PASSED),
        (INDEX_CALL, "national", State.PASSED),
        (INDEX, "national", State.PASSED),
    ]
    assert [(one.name, one.platform) for one in source.steps] == [
        (INDEX, "national"),
        (CATEGORY, "national"),
        (LOGICAL_ADDRESS, "national"),
        (SOURCE_SYSTEM, "national"),
        (ONWARD, "regional"),
    ]
    assert source.sender == CONSUMER
    assert source.steps[-1].text.startswith(f"{NTJP} may call {SOURCE}: agreement 'for all'")


Break = Callable[[World], None]


def without(platform: str, row: str) -> Break:
    """The tables of a platform without a row; the source is announced."""

    def broken(world: World) -> None:
        world.sides["national"].store(announced())
        world.sides[platform].change(row, "")

    return broken


def may_not_ask_the_index(world: World) -> None:
    world.sides["national"].store(announced())
    world.sides["national"].change(f"consumer: {NTJP}", "consumer: SE1-X")


def another(world: World, **changes: str) -> None:
    world.sides["national"].store(announced(**changes))


def not_told(world: World) -> None:
    world.sides["regional"].store(announced(owner=REGIONAL))
    world.sides["regional"].change(TELLS, "")


def not_taken(world: World) -> None:
    world.sides["regional"].store(announced(owner=REGIONAL), told=False)
    world.sides["national"].change(NOTIFIES, "")


def may_not_announce(world: World) -> None:
    world.sides["regional"].change(
        f"consumer: {SYSTEM}, logical_address: {REGIONAL}", f"consumer: SE1-X, logical_address: {REGIONAL}"
    )


@pytest.mark.parametrize(
    ("broken", "step", "platform", "rows"),
    [
        pytest.param(without("national", ASKS), AGGREGATE, "national", (CONSUMER, NATIONAL_INDEX), id="may-not-ask"),
        pytest.param(
            may_not_ask_the_index,
            INDEX_CALL,
            "national",
            (NTJP, NATIONAL_INDEX),
            id="the-platform-may-not-ask-the-index",
        ),
        pytest.param(not_told, INDEX, "national", (REGIONAL, NATIONAL_INDEX), id="no-subscription"),
        pytest.param(not_taken, INDEX, "national", (REGIONAL, NATIONAL_INDEX), id="notifications-refused"),
        pytest.param(may_not_announce, INDEX, "national", (SYSTEM, REGIONAL), id="may-not-announce"),
        pytest.param(without("national", MAY_SEE), LOGICAL_ADDRESS, "national", (CONSUMER, SOURCE), id="no-permission"),
        pytest.param(without("regional", FOR_ALL), ONWARD, "regional", (NTJP, SOURCE), id="none-of-the-region"),
    ],
)
def test_a_missing_permission_is_told_where_it_is_missing_and_ends_once_it_is_added(
    world: World, broken: Break, step: str, platform: str, rows: tuple[str, str]
) -> None:
    broken(world)
    found = failing(world.why())
    assert (found.name, found.platform) == (step, platform)
    assert found.remedy is not None
    assert found.remedy.rows is not None
    consumer, address = rows
    assert f"- consumer: {consumer}\n" in found.remedy.rows
    assert address in found.remedy.rows
    assert found.remedy.file is not None
    at = next(name for name in world.sides if f"/routing/{name}" in found.remedy.file)
    world.sides[at].publish(
        found.remedy.rows.replace("Update:1", f'"{UPDATE}"').replace("FindContent:1", f'"{FIND}"'), "added"
    )
    again = world.why()
    assert again.passes or failing(again).remedy != found.remedy


def test_both_addresses_of_an_engagement_must_be_permitted_each_in_its_turn(world: World) -> None:
    another(world, logical_address=OTHER, source_system=DIRECT)
    assert failing(world.why(DIRECT)).name == LOGICAL_ADDRESS
    another(world, logical_address=DIRECT, source_system="SE1-SYSTEM")
    assert failing(world.why("SE1-SYSTEM")).name == SOURCE_SYSTEM


def test_a_missing_route_is_written_with_the_producer_address_that_leads_to_who_has_it(world: World) -> None:
    world.sides["national"].store(announced())
    world.sides["national"].change(TO_REGION, "")
    found = failing(world.why())
    assert (found.name, found.text) == (LOGICAL_ADDRESS, "VP004, no route")
    assert found.remedy is not None
    assert found.remedy.rows is not None
    assert "producer_address: direct" not in found.remedy.rows
    # No other row leads to the region any more, so its producer address cannot be told by one.
    assert "producer_address: NAME" in found.remedy.rows
    world.sides["national"].change(
        "routes:\n", "routes:\n  - {logical_address: SE1-Z, contracts: GetDiagnosis:2, producer_address: rtp}\n"
    )
    remedy = failing(world.why()).remedy
    assert remedy is not None
    assert remedy.rows is not None
    world.sides["national"].publish(remedy.rows, "added")
    assert "producer_address: rtp" in remedy.rows
    assert world.why().passes


def test_a_row_whose_time_is_over_is_to_be_changed_and_not_added(world: World) -> None:
    world.sides["national"].store(announced())
    world.sides["regional"].change("agreement: for all", "agreement: for all, valid_to: 2025-12-31")
    found = failing(world.why())
    assert (found.name, found.text) == (ONWARD, "VP007, no permission")
    assert any("expired" in one for one in found.details)
    assert found.remedy is not None
    assert (found.remedy.rows, found.remedy.advice.split(",")[0]) == (
        None,
        "change the validity of the row at regional/tables.yaml:11",
    )


def test_two_routes_are_told_with_where_they_stand(world: World) -> None:
    world.sides["national"].store(announced())
    world.sides["regional"].change(TO_SYSTEM, TO_SYSTEM + TO_SYSTEM.replace("tc", "ntjp"))
    found = failing(world.why())
    assert found.text == "VP006, several routes"
    assert found.remedy is not None
    assert found.remedy.advice == "keep one of the routes at regional/tables.yaml:7, regional/tables.yaml:8"


def test_platforms_that_send_a_call_to_each_other_are_told(world: World) -> None:
    world.sides["national"].store(announced())
    world.sides["regional"].change(TO_SYSTEM, TO_SYSTEM.replace("tc", "ntjp"))
    found = failing(world.why())
    assert (found.name, found.text) == (
        ONWARD,
        "VP014: regional sends the call back to national [regional/tables.yaml:7]",
    )


def test_an_address_that_is_no_aggregate_is_told(world: World) -> None:
    found = failing(world.why(to=DIRECT))
    assert found.name == AGGREGATE
    assert "is no aggregate there" in found.text


def test_an_engagement_of_another_category_is_told_only_of_a_source_that_was_asked_for(world: World) -> None:
    world.sides["national"].store(announced(categorization="voo"), announced(DIRECT))
    assert [one.source for one in world.why(None).sources] == [DIRECT]
    found = failing(world.why(SOURCE))
    assert (found.name, found.text) == (CATEGORY, "announced as voo; GetDiagnosis:2 asks for dia")
    assert found.details[0].startswith(f"{SYSTEM} may announce it at the index")


def test_one_engagement_that_goes_through_is_enough(world: World) -> None:
    world.sides["national"].store(announced(), announced(logical_address=OTHER), announced(categorization="voo"))
    assert world.why().passes


def test_an_engagement_that_points_at_the_aggregate_itself_is_told(world: World) -> None:
    world.sides["national"].store(announced(logical_address=NATIONAL_INDEX))
    found = failing(world.why())
    assert (found.name, found.platform) == (OWN_ADDRESS, "national")


class TestWhatTheIndexDoesNotHave:
    def test_what_another_index_has_and_does_not_pass_on_for_its_filters(self, world: World) -> None:
        world.sides["regional"].store(announced(owner=REGIONAL))
        world.sides["regional"].change(
            "agreement: tell", 'agreement: tell, filters: [{domain: "riv:x", categories: [dia]}]'
        )
        found = failing(world.why())
        assert found.details[1] == f"regional tells {NATIONAL_INDEX} of other kinds only"
        assert found.remedy is not None
        assert found.remedy.advice.startswith(
            'add {domain: "riv:clinicalprocess:healthcond:description", categories: [dia]} to the filters of the permission '
            "at regional/tables.yaml:"
        )

    def test_what_waits(self, world: World) -> None:
        world.sides["regional"].store(announced(owner=REGIONAL), told=False)
        found = failing(world.why())
        assert found.details[1] == "1 notifications wait"
        assert found.remedy is not None
        assert found.remedy.commands == (("index", "stats", "--platform", "regional"),)

    def test_what_was_given_up(self, world: World) -> None:
        regional = world.sides["regional"]
        regional.store(announced(owner=REGIONAL), told=False)
        while (one := regional.indexing.outbox.next(NATIONAL_INDEX)) is not None:
            regional.indexing.outbox.failed(one, "closed", NOON)
        found = failing(world.why())
        assert found.details[1] == "1 notifications were given up"
        assert found.remedy is not None
        assert ("index", "dead", "send", "--all", "--platform", "regional") in found.remedy.commands

    def test_what_was_announced_before_anybody_subscribed(self, world: World) -> None:
        world.sides["regional"].store(announced(owner=REGIONAL))
        found = failing(world.why())
        assert found.details[1].startswith("nothing waits at regional")

    def test_one_source_that_is_held_back_is_told_beside_those_that_show(self, world: World) -> None:
        world.sides["national"].store(announced(DIRECT))
        world.sides["regional"].store(announced(owner=REGIONAL), told=False)
        chain = world.why(None)
        assert [(one.source, one.passes) for one in chain.sources] == [(DIRECT, True), (SOURCE, False)]
        assert failing(chain).text.startswith("in the index of regional only: dia at SE1-KS")

    def test_what_nobody_has_announced_names_who_may_and_its_last_update(self, world: World) -> None:
        world.sides["regional"].calls.append({"time": "2026-11-24T12:00:00+00:00", "outcome": "VP015"})
        found = failing(world.why())
        assert found.details == (
            f"{SYSTEM} may announce it at the index {REGIONAL} of regional, and has not, or has taken it away",
            "its last Update at regional: 2026-11-24T12:00:00+00:00, VP015",
        )

    def test_a_source_that_nobody_knows(self, world: World) -> None:
        found = failing(world.why("SE1-NOBODY"))
        assert "SE1-NOBODY has no way either: VP004, no route" in found.details


class TestTheIncumbentsWays:
    """Each of its three rules is the aggregating service's own answer, and is told as such."""

    def test_the_original_consumers_permission_lets_an_engagement_through_to_where_only_the_senders_counts(
        self, tmp_path: Path
    ) -> None:
        world = World(tmp_path, aggregate_by_original_consumer=True)
        world.sides["national"].store(announced())
        asks = f'logical_address: "{NATIONAL_INDEX}", contracts: GetDiagnosis:2'
        world.sides["national"].publish(
            f"permissions: [{{consumer: {REGIONAL}, {asks}, agreement: for the region}}]", "more"
        )
        world.sides["regional"].publish(
            f"routes: [{{{asks}, producer_address: ntjp}}]\n"
            f"permissions: [{{consumer: {CONSUMER}, {asks}, agreement: of the region}}]",
            "more",
        )
        chain = world.why(via="regional")
        world.close()
        (source,) = chain.sources
        assert [one.platform for one in chain.steps if one.name == AGGREGATE] == ["regional", "national"]
        assert source.sender == REGIONAL
        assert [(one.name, one.state) for one in source.steps[-2:]] == [
            (LOGICAL_ADDRESS, State.DOUBTFUL),
            (SOURCE_SYSTEM, State.FAILED),
        ]

    def test_a_source_system_that_is_not_looked_at_is_refused_by_the_call(self, tmp_path: Path) -> None:
        world = World(tmp_path, aggregate_source_unchecked=True)
        world.sides["national"].store(announced(logical_address=DIRECT))
        world.sides["national"].change(MAY_SEE, "")
        chain = world.why()
        world.close()
        (source,) = chain.sources
        assert [(one.name, one.state) for one in source.steps[-2:]] == [
            (SOURCE_SYSTEM, State.DOUBTFUL),
            ("call", State.FAILED),
        ]


def test_no_patient_is_in_anything_that_is_told_or_asked_by_url(world: World) -> None:
    world.sides["national"].store(announced())
    world.sides["regional"].store(announced(DIRECT, owner=REGIONAL), told=False)
    assert TOLVAN not in repr(world.why(None))
    assert {verb for _, verb, path in world.asked if path in ("/aggregation/why", "/index/engagements")} == {"POST"}
