"""The decision about one piece of data: whether it is shown, by which rule, and what has to be written down.

The order of the rules is the law's own: what the reader is there for, then the care relation, then blocks, then
consent. A block comes before consent, since a consent to shared records opens no block.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from rivta.audit.access.entry import EMERGENCY_ACCESS, Kind
from rivta.viewer.policy.rules import Rule
from rivta.viewer.policy.situation import (
    Block,
    BlockKind,
    By,
    Capacity,
    Consent,
    Covers,
    Owner,
    Patient,
    Purpose,
    Situation,
    Wish,
)


class Telling(Enum):
    """What the reader may be told of data that is not shown."""

    NOTHING = "nothing"
    """Neither that there is any nor how much."""
    BLOCKED_DATA_EXISTS = "blocked data exists"
    BLOCKING_PROVIDER = "blocking provider"
    """And whose it is."""


class Way(Enum):
    """What would let the data be shown, for the page to offer."""

    CARE_RELATION = "care relation"
    CONSENT = "consent"
    BLOCK_CONSENT = "consent to open the block"
    EMERGENCY = "emergency"
    REASON = "reason"
    WISH = "wish cleared up"
    BLOCKING_PROVIDER = "the blocking provider lifts the block"


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one piece of data."""

    rule: Rule
    logs: tuple[Kind, ...]
    """Entries to be written: all of them before the data is shown, or the refusal."""
    tells: Telling = Telling.NOTHING
    consent: str = ""
    """What the entries have as `consent`."""
    ways: tuple[Way, ...] = ()
    disregarded: tuple[Rule, ...] = ()
    """Rules by which something that was said does not count."""

    @property
    def may_show(self) -> bool:
        """Whether the data is shown."""
        return self.rule.may_show


_SHOWN: tuple[Kind, ...] = (Kind.INTENT, Kind.OUTCOME)
_SHOWN_IN_EMERGENCY = (Kind.EMERGENCY, *_SHOWN)
_REFUSED = (Kind.REFUSED,)
_BLOCKED = (Kind.BLOCKED,)
_OF_CONSENT = {
    By.PATIENT: Rule.CONSENT,
    By.GUARDIAN: Rule.CONSENT_OF_GUARDIAN,
    By.REPRESENTATIVE: Rule.CONSENT_OF_REPRESENTATIVE,
}


def may_open(situation: Situation) -> Decision | None:
    """Why the overview stays closed, whatever there is to see; None when it may be opened."""
    if situation.assignment.purpose is not Purpose.CARE:
        return Decision(Rule.PURPOSE_IS_NOT_CARE, _REFUSED)
    if relation_of(situation) is None:
        return Decision(Rule.NO_CARE_RELATION, _REFUSED, ways=(Way.CARE_RELATION,))
    if situation.emergency is not None and not situation.emergency.reason.strip():
        return Decision(Rule.EMERGENCY_WITHOUT_REASON, _REFUSED, ways=(Way.REASON,))
    return None


def decide_on(situation: Situation, owner: Owner) -> Decision:
    """Whether the data of `owner` is shown. Total: every situation has exactly one answer."""
    closed = may_open(situation)
    if closed is not None:
        return closed
    is_own = owner.care_provider == situation.assignment.care_provider
    return _of_own_provider(situation, owner) if is_own else _of_another_provider(situation, owner)


def relation_of(situation: Situation) -> str | None:
    """The basis of the care relation that the reader's care provider has to the patient now; None without one."""
    provider = situation.assignment.care_provider
    found = (
        one.basis for one in situation.relations if one.care_provider == provider and one.period.holds(situation.now)
    )
    return next(found, None)


def _of_own_provider(situation: Situation, owner: Owner) -> Decision:
    blocks, disregarded = _blocks_on(situation, owner)
    is_outside_unit = owner.unit != situation.assignment.unit
    if not is_outside_unit or not any(block.kind is BlockKind.INNER for block in blocks):
        return Decision(Rule.OWN_PROVIDER, _SHOWN, consent="own care provider", disregarded=disregarded)
    opening = _newest(situation, Covers.INNER_BLOCK)
    if opening is not None and opening.is_given:
        rule = Rule.INNER_BLOCK_OPENED_BY_CONSENT
        return Decision(rule, _SHOWN, consent=opening.by.value, disregarded=disregarded)
    if situation.emergency is not None and opening is None:
        rule = Rule.INNER_BLOCK_OPENED_IN_EMERGENCY
        return Decision(rule, _SHOWN_IN_EMERGENCY, consent=EMERGENCY_ACCESS, disregarded=disregarded)
    ways = (Way.BLOCK_CONSENT, Way.EMERGENCY) if opening is None else (Way.BLOCK_CONSENT,)
    return Decision(Rule.INNER_BLOCK, _BLOCKED, Telling.BLOCKED_DATA_EXISTS, ways=ways, disregarded=disregarded)


def _of_another_provider(situation: Situation, owner: Owner) -> Decision:
    blocks, disregarded = _blocks_on(situation, owner)
    if blocks and situation.emergency is not None:
        logs = (Kind.EMERGENCY, Kind.BLOCKED)
        ways = (Way.BLOCKING_PROVIDER,)
        return Decision(Rule.OUTER_BLOCK_IN_EMERGENCY, logs, Telling.BLOCKING_PROVIDER, ways=ways)
    if blocks:
        return Decision(Rule.OUTER_BLOCK, _BLOCKED, Telling.BLOCKED_DATA_EXISTS, ways=(Way.EMERGENCY,))
    rule, consent = _on_shared_records(situation)
    written = _SHOWN_IN_EMERGENCY if rule is Rule.EMERGENCY else _SHOWN if rule.may_show else _REFUSED
    return Decision(rule, written, consent=consent, ways=_WAYS.get(rule, ()), disregarded=disregarded)


_WAYS = {
    Rule.CONSENT_MISSING: (Way.CONSENT, Way.EMERGENCY),
    Rule.RELATIVE_CANNOT_CONSENT: (Way.CONSENT, Way.EMERGENCY),
    Rule.CONSENT_REFUSED: (Way.CONSENT,),
    Rule.WISH_NOT_CLEARED_UP: (Way.WISH, Way.EMERGENCY),
    Rule.NOT_NEEDED: (Way.EMERGENCY,),
}


def _on_shared_records(situation: Situation) -> tuple[Rule, str]:
    """The rule for unblocked data of another care provider, and what the log has as consent."""
    consent = _newest(situation, Covers.SHARED_RECORDS)
    is_emergency = situation.emergency is not None
    if situation.patient.capacity is Capacity.LACKS_CAPACITY:
        return _without_capacity(situation, is_emergency=is_emergency)
    if consent is not None:
        return (_OF_CONSENT[consent.by], consent.by.value) if consent.is_given else (Rule.CONSENT_REFUSED, "")
    if is_emergency:
        return Rule.EMERGENCY, EMERGENCY_ACCESS
    said_by_relative = any(one.by is By.RELATIVE and one.is_given for one in _said(situation, Covers.SHARED_RECORDS))
    return (Rule.RELATIVE_CANNOT_CONSENT if said_by_relative else Rule.CONSENT_MISSING), ""


def _without_capacity(situation: Situation, *, is_emergency: bool) -> tuple[Rule, str]:
    """Nobody's yes counts here, and an earlier no of the patient's own does."""
    own_words = [one for one in _said(situation, Covers.SHARED_RECORDS) if one.by is By.PATIENT]
    said_no = bool(own_words) and not max(own_words, key=lambda one: one.period.begins).is_given
    if situation.patient.wish is Wish.AGAINST or said_no:
        return Rule.WOULD_HAVE_OPPOSED, ""
    if is_emergency:
        return Rule.EMERGENCY, EMERGENCY_ACCESS
    if situation.patient.wish is Wish.UNKNOWN:
        return Rule.WISH_NOT_CLEARED_UP, ""
    return (Rule.WITHOUT_CAPACITY, "without capacity") if situation.is_needed else (Rule.NOT_NEEDED, "")


def _said(situation: Situation, covers: Covers) -> Iterable[Consent]:
    """What was said to the reader's care provider, and holds now."""
    provider = situation.assignment.care_provider
    return [
        one
        for one in situation.consents
        if one.covers is covers and one.care_provider == provider and one.period.holds(situation.now)
    ]


def _newest(situation: Situation, covers: Covers) -> Consent | None:
    """The last yes or no of somebody whose word counts; of two at the same moment, the no."""
    counting = [one for one in _said(situation, covers) if one.by in _who_decides(situation.patient)]
    return max(counting, key=lambda one: (one.period.begins, not one.is_given), default=None)


def _who_decides(patient: Patient) -> frozenset[By]:
    if patient.capacity is Capacity.LACKS_CAPACITY:
        return frozenset()
    if patient.capacity is Capacity.CHILD:
        return frozenset({By.PATIENT if patient.is_mature else By.GUARDIAN})
    return frozenset({By.PATIENT, By.REPRESENTATIVE})


def _blocks_on(situation: Situation, owner: Owner) -> tuple[list[Block], tuple[Rule, ...]]:
    """The blocks in force on this data, and the rule by which some are not."""
    found = [block for block in situation.blocks if block.covers(owner, situation.now)]
    in_force = [block for block in found if block.by is not By.GUARDIAN]
    return in_force, (Rule.GUARDIAN_CANNOT_BLOCK,) if len(in_force) < len(found) else ()
