"""Each patient-data rule as a named scenario, and what holds in every situation that there can be."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.audit.access.entry import EMERGENCY_ACCESS, Kind
from rivta.viewer.policy.decision import Decision, Telling, Way, decide_on, may_open
from rivta.viewer.policy.rules import Rule, Standing
from rivta.viewer.policy.situation import (
    Assignment,
    Block,
    BlockKind,
    By,
    Capacity,
    CareRelation,
    Consent,
    Covers,
    Emergency,
    Owner,
    Patient,
    Period,
    Purpose,
    Situation,
    Wish,
)
from tests.support import CHECKOUT

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
AN_HOUR = timedelta(hours=1)
SINCE = Period(NOW - timedelta(days=30))
OVER = Period(NOW - timedelta(days=30), NOW)
US, OTHERS = "SE2321000016", "SE2321000131"
OUR_UNIT, OUR_OTHER_UNIT, THEIR_UNIT = f"{US}-KARD", f"{US}-PSYK", f"{OTHERS}-MED"
OURS, OUR_OTHERS, THEIRS = Owner(US, OUR_UNIT), Owner(US, OUR_OTHER_UNIT), Owner(OTHERS, THEIR_UNIT)
DOCTOR = Assignment("SE2321000016-1001", OUR_UNIT, US, Purpose.CARE)
RELATION = CareRelation(US, "booked", SINCE)
BASE = Situation(DOCTOR, Patient(), NOW, relations=(RELATION,))
IN_DANGER = Emergency("medvetslös efter olycka")


def yes(by: By = By.PATIENT, covers: Covers = Covers.SHARED_RECORDS, **fields: Any) -> Consent:
    return replace(Consent(by, covers, US, SINCE), **fields)


def no(by: By = By.PATIENT, **fields: Any) -> Consent:
    return yes(by, is_given=False, **fields)


def block(kind: BlockKind, owner: Owner, by: By = By.PATIENT, **fields: Any) -> Block:
    return replace(Block(kind, owner.care_provider, owner.unit, by, SINCE), **fields)


def child(*, is_mature: bool = False) -> Patient:
    return Patient(Capacity.CHILD, is_mature=is_mature)


def without_capacity(wish: Wish = Wish.UNKNOWN) -> Patient:
    return Patient(Capacity.LACKS_CAPACITY, wish=wish)


@dataclass(frozen=True)
class Scenario:
    """A situation by its name, whose data somebody wants to see, and the rule that decides."""

    name: str
    rule: Rule
    owner: Owner = THEIRS
    changes: dict[str, Any] = field(default_factory=dict)
    disregarded: tuple[Rule, ...] = ()

    @property
    def decision(self) -> Decision:
        return decide_on(replace(BASE, **self.changes), self.owner)


INNER = block(BlockKind.INNER, OUR_OTHERS)
OUTER = block(BlockKind.OUTER, THEIRS)
SCENARIOS = [
    Scenario(
        "an assignment for statistics opens nothing, whatever the patient says",
        Rule.PURPOSE_IS_NOT_CARE,
        changes={"assignment": replace(DOCTOR, purpose=Purpose.STATISTICS), "consents": (yes(),)},
    ),
    Scenario(
        "an assignment for quality work does not either, at one's own unit",
        Rule.PURPOSE_IS_NOT_CARE,
        OURS,
        {"assignment": replace(DOCTOR, purpose=Purpose.QUALITY)},
    ),
    Scenario("without a care relation nothing is shown", Rule.NO_CARE_RELATION, changes={"relations": ()}),
    Scenario(
        "another care provider's care relation is none of ours",
        Rule.NO_CARE_RELATION,
        changes={"relations": (replace(RELATION, care_provider=OTHERS),), "consents": (yes(),)},
    ),
    Scenario(
        "a care relation that is over is none",
        Rule.NO_CARE_RELATION,
        changes={"relations": (replace(RELATION, period=OVER),), "consents": (yes(),)},
    ),
    Scenario(
        "an emergency makes no care relation",
        Rule.NO_CARE_RELATION,
        changes={"relations": (), "emergency": IN_DANGER},
    ),
    Scenario(
        "an emergency without a reason opens nothing",
        Rule.EMERGENCY_WITHOUT_REASON,
        changes={"emergency": Emergency(" \n")},
    ),
    Scenario("one's own unit needs no consent", Rule.OWN_PROVIDER, OURS),
    Scenario("another unit of one's own care provider needs none either", Rule.OWN_PROVIDER, OUR_OTHERS),
    Scenario("an inner block closes another unit's data", Rule.INNER_BLOCK, OUR_OTHERS, {"blocks": (INNER,)}),
    Scenario(
        "an inner block of the whole care provider does so too",
        Rule.INNER_BLOCK,
        OUR_OTHERS,
        {"blocks": (replace(INNER, unit=""),)},
    ),
    Scenario(
        "consent to shared records opens no inner block",
        Rule.INNER_BLOCK,
        OUR_OTHERS,
        {"blocks": (INNER,), "consents": (yes(),)},
    ),
    Scenario(
        "consent to open it does",
        Rule.INNER_BLOCK_OPENED_BY_CONSENT,
        OUR_OTHERS,
        {"blocks": (INNER,), "consents": (yes(covers=Covers.INNER_BLOCK),)},
    ),
    Scenario(
        "a relative's yes does not",
        Rule.INNER_BLOCK,
        OUR_OTHERS,
        {"blocks": (INNER,), "consents": (yes(By.RELATIVE, Covers.INNER_BLOCK),)},
    ),
    Scenario(
        "an emergency opens an inner block of one's own care provider",
        Rule.INNER_BLOCK_OPENED_IN_EMERGENCY,
        OUR_OTHERS,
        {"blocks": (INNER,), "emergency": IN_DANGER},
    ),
    Scenario(
        "an emergency does not open what the patient has just refused to open",
        Rule.INNER_BLOCK,
        OUR_OTHERS,
        {"blocks": (INNER,), "emergency": IN_DANGER, "consents": (no(covers=Covers.INNER_BLOCK),)},
    ),
    Scenario(
        "the blocked unit itself sees its data",
        Rule.OWN_PROVIDER,
        OURS,
        {"blocks": (block(BlockKind.INNER, OURS),)},
    ),
    Scenario(
        "a block towards other care providers is none for one's own",
        Rule.OWN_PROVIDER,
        OUR_OTHERS,
        {"blocks": (block(BlockKind.OUTER, OUR_OTHERS),)},
    ),
    Scenario(
        "a block that was lifted is none",
        Rule.OWN_PROVIDER,
        OUR_OTHERS,
        {"blocks": (replace(INNER, period=OVER),)},
    ),
    Scenario(
        "a block of another unit is none here",
        Rule.CONSENT,
        changes={"blocks": (replace(OUTER, unit=f"{OTHERS}-KIR"),), "consents": (yes(),)},
    ),
    Scenario(
        "another care provider's block is not opened by consent",
        Rule.OUTER_BLOCK,
        changes={"blocks": (OUTER,), "consents": (yes(), yes(covers=Covers.INNER_BLOCK))},
    ),
    Scenario(
        "its inner block keeps us out as well",
        Rule.OUTER_BLOCK,
        changes={"blocks": (block(BlockKind.INNER, THEIRS),), "consents": (yes(),)},
    ),
    Scenario(
        "in an emergency its name is told, and the data is not shown",
        Rule.OUTER_BLOCK_IN_EMERGENCY,
        changes={"blocks": (OUTER,), "consents": (yes(),), "emergency": IN_DANGER},
    ),
    Scenario(
        "a guardian cannot block a child's data towards other care providers",
        Rule.CONSENT_OF_GUARDIAN,
        changes={
            "patient": child(),
            "blocks": (replace(OUTER, by=By.GUARDIAN),),
            "consents": (yes(By.GUARDIAN),),
        },
        disregarded=(Rule.GUARDIAN_CANNOT_BLOCK,),
    ),
    Scenario(
        "nor between units",
        Rule.OWN_PROVIDER,
        OUR_OTHERS,
        {"patient": child(), "blocks": (replace(INNER, by=By.GUARDIAN),)},
        (Rule.GUARDIAN_CANNOT_BLOCK,),
    ),
    Scenario(
        "a mature child can",
        Rule.OUTER_BLOCK,
        changes={"patient": child(is_mature=True), "blocks": (OUTER,), "consents": (yes(),)},
    ),
    Scenario(
        "with the patient's consent other care providers' data is shown", Rule.CONSENT, changes={"consents": (yes(),)}
    ),
    Scenario("without it, it is not", Rule.CONSENT_MISSING),
    Scenario(
        "a consent that has run out is none",
        Rule.CONSENT_MISSING,
        changes={"consents": (yes(period=OVER),)},
    ),
    Scenario(
        "a consent to another care provider is none for us",
        Rule.CONSENT_MISSING,
        changes={"consents": (yes(care_provider=OTHERS),)},
    ),
    Scenario(
        "a consent that was taken back is a no",
        Rule.CONSENT_REFUSED,
        changes={"consents": (yes(), no(period=Period(NOW - AN_HOUR)))},
    ),
    Scenario(
        "a no that was followed by a yes is a yes",
        Rule.CONSENT,
        changes={"consents": (no(), yes(period=Period(NOW - AN_HOUR)))},
    ),
    Scenario(
        "of a yes and a no at the same moment, the no counts",
        Rule.CONSENT_REFUSED,
        changes={"consents": (yes(), no())},
    ),
    Scenario(
        "a representative may consent",
        Rule.CONSENT_OF_REPRESENTATIVE,
        changes={"consents": (yes(By.REPRESENTATIVE),)},
    ),
    Scenario(
        "a relative may not",
        Rule.RELATIVE_CANNOT_CONSENT,
        changes={"consents": (yes(By.RELATIVE),)},
    ),
    Scenario(
        "a guardian consents for a child",
        Rule.CONSENT_OF_GUARDIAN,
        changes={"patient": child(), "consents": (yes(By.GUARDIAN),)},
    ),
    Scenario(
        "a child that cannot decide yet does not consent itself",
        Rule.CONSENT_MISSING,
        changes={"patient": child(), "consents": (yes(),)},
    ),
    Scenario(
        "a mature child does",
        Rule.CONSENT,
        changes={"patient": child(is_mature=True), "consents": (yes(),)},
    ),
    Scenario(
        "and then the guardian's word does not count",
        Rule.CONSENT_MISSING,
        changes={"patient": child(is_mature=True), "consents": (yes(By.GUARDIAN),)},
    ),
    Scenario(
        "in an emergency unblocked data is shown without consent",
        Rule.EMERGENCY,
        changes={"emergency": IN_DANGER},
    ),
    Scenario(
        "with consent an emergency is not needed, and not what the log says",
        Rule.CONSENT,
        changes={"emergency": IN_DANGER, "consents": (yes(),)},
    ),
    Scenario(
        "an emergency does not overrule a no",
        Rule.CONSENT_REFUSED,
        changes={"emergency": IN_DANGER, "consents": (no(),)},
    ),
    Scenario(
        "without capacity, with the wish cleared up and the data needed, it is shown",
        Rule.WITHOUT_CAPACITY,
        changes={"patient": without_capacity(Wish.NOT_AGAINST)},
    ),
    Scenario(
        "without capacity a relative's yes is not enough",
        Rule.WISH_NOT_CLEARED_UP,
        changes={"patient": without_capacity(), "consents": (yes(By.RELATIVE), yes(By.REPRESENTATIVE))},
    ),
    Scenario(
        "who would have opposed is not read",
        Rule.WOULD_HAVE_OPPOSED,
        changes={"patient": without_capacity(Wish.AGAINST), "emergency": IN_DANGER},
    ),
    Scenario(
        "an earlier no of the patient's own is such a sign",
        Rule.WOULD_HAVE_OPPOSED,
        changes={"patient": without_capacity(Wish.NOT_AGAINST), "consents": (no(),)},
    ),
    Scenario(
        "without capacity, what is not needed is not shown",
        Rule.NOT_NEEDED,
        changes={"patient": without_capacity(Wish.NOT_AGAINST), "is_needed": False},
    ),
    Scenario(
        "without capacity an emergency opens unblocked data",
        Rule.EMERGENCY,
        changes={"patient": without_capacity(), "emergency": IN_DANGER},
    ),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_rule_decides(scenario: Scenario) -> None:
    assert scenario.decision.rule is scenario.rule
    assert scenario.decision.disregarded == scenario.disregarded


def test_every_rule_has_a_scenario() -> None:
    shown = {scenario.rule for scenario in SCENARIOS} | {one for scenario in SCENARIOS for one in scenario.disregarded}

    assert shown == set(Rule)


def test_the_manual_has_every_rule_with_its_source_and_standing() -> None:
    page = (CHECKOUT / "docs" / "npo.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([A-Z_]+)` \| (shown|not shown) \| ([^|]+) \| (law|interpreted|ours) \|$", page, re.M)

    assert listed == [
        (rule.name, "shown" if rule.may_show else "not shown", rule.value.source, rule.value.standing.value)
        for rule in Rule
    ]
    assert {Standing(standing) for *_, standing in listed} == set(Standing)


@pytest.mark.parametrize(
    ("name", "logs", "tells", "consent"),
    [
        ("without it, it is not", (Kind.REFUSED,), Telling.NOTHING, ""),
        ("another care provider's block is not opened by consent", (Kind.BLOCKED,), Telling.BLOCKED_DATA_EXISTS, ""),
        (
            "in an emergency its name is told, and the data is not shown",
            (Kind.EMERGENCY, Kind.BLOCKED),
            Telling.BLOCKING_PROVIDER,
            "",
        ),
        (
            "in an emergency unblocked data is shown without consent",
            (Kind.EMERGENCY, Kind.INTENT, Kind.OUTCOME),
            Telling.NOTHING,
            EMERGENCY_ACCESS,
        ),
        ("a guardian consents for a child", (Kind.INTENT, Kind.OUTCOME), Telling.NOTHING, "guardian"),
    ],
)
def test_a_decision_says_what_is_written_down_and_what_may_be_told(
    name: str, logs: tuple[Kind, ...], tells: Telling, consent: str
) -> None:
    decision = next(scenario.decision for scenario in SCENARIOS if scenario.name == name)

    assert (decision.logs, decision.tells, decision.consent) == (logs, tells, consent)


PROVIDERS = st.sampled_from([US, OTHERS])
PERIODS = st.sampled_from([SINCE, OVER, Period(NOW), Period(NOW + AN_HOUR)])
OWNERS = st.sampled_from([OURS, OUR_OTHERS, THEIRS])
SITUATIONS = st.builds(
    Situation,
    assignment=st.builds(
        Assignment, st.just("u"), st.sampled_from([OUR_UNIT, OUR_OTHER_UNIT]), st.just(US), st.sampled_from(Purpose)
    )
    | st.just(DOCTOR),
    patient=st.builds(Patient, st.sampled_from(Capacity), st.booleans(), st.sampled_from(Wish)),
    now=st.just(NOW),
    relations=st.lists(st.builds(CareRelation, PROVIDERS, st.just("b"), PERIODS), max_size=2) | st.just([RELATION]),
    consents=st.lists(
        st.builds(Consent, st.sampled_from(By), st.sampled_from(Covers), PROVIDERS, PERIODS, st.booleans()), max_size=3
    ),
    blocks=st.lists(
        st.builds(
            Block,
            st.sampled_from(BlockKind),
            PROVIDERS,
            st.sampled_from(["", OUR_UNIT, OUR_OTHER_UNIT, THEIR_UNIT]),
            st.sampled_from(By),
            PERIODS,
        ),
        max_size=3,
    ),
    emergency=st.none() | st.builds(Emergency, st.sampled_from(["fara", ""])),
    is_needed=st.booleans(),
)


@given(SITUATIONS, OWNERS)
def test_what_holds_in_every_situation(situation: Situation, owner: Owner) -> None:
    decision = decide_on(situation, owner)
    is_others = owner.care_provider != US
    blocks = [one for one in situation.blocks if one.covers(owner, NOW) and one.by is not By.GUARDIAN]

    if decision.may_show:
        assert situation.assignment.purpose is Purpose.CARE
        assert any(one.care_provider == US and one.period.holds(NOW) for one in situation.relations)
        assert not (is_others and blocks), "another care provider's block is never opened by the reader"
        assert {Kind.INTENT, Kind.OUTCOME} <= set(decision.logs)
        assert (Kind.EMERGENCY in decision.logs) == (decision.consent == EMERGENCY_ACCESS)
        assert decision.consent != "" and decision.tells is Telling.NOTHING and decision.ways == ()
    else:
        assert set(decision.logs) & {Kind.REFUSED, Kind.BLOCKED} and Kind.OUTCOME not in decision.logs
    if decision.tells is Telling.BLOCKING_PROVIDER:
        assert is_others and situation.emergency is not None and situation.emergency.reason
    if decision.tells is not Telling.NOTHING:
        assert blocks
    assert (may_open(situation) is None) or decision == may_open(situation)


@given(SITUATIONS, OWNERS)
def test_a_relatives_word_changes_nothing_but_the_reason(situation: Situation, owner: Owner) -> None:
    without = replace(situation, consents=[one for one in situation.consents if one.by is not By.RELATIVE])

    assert decide_on(situation, owner).may_show == decide_on(without, owner).may_show


@given(SITUATIONS, OWNERS)
def test_what_is_offered_as_a_way_leads_somewhere(situation: Situation, owner: Owner) -> None:
    decision = decide_on(situation, owner)
    if Way.EMERGENCY in decision.ways:
        assert decide_on(replace(situation, emergency=IN_DANGER), owner).rule is not decision.rule
    if Way.BLOCK_CONSENT in decision.ways and situation.patient.capacity is Capacity.ADULT:
        opened = replace(situation, consents=[yes(covers=Covers.INNER_BLOCK, period=Period(NOW))])
        assert decide_on(opened, owner).may_show


@given(SITUATIONS)
def test_the_order_of_what_was_said_does_not_matter(situation: Situation) -> None:
    turned = replace(
        situation,
        relations=situation.relations[::-1],
        consents=situation.consents[::-1],
        blocks=situation.blocks[::-1],
    )
    for owner in (OURS, OUR_OTHERS, THEIRS):
        assert decide_on(turned, owner).rule is decide_on(situation, owner).rule
