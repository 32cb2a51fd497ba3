"""What a care provider looks over of its own people's looks: a random sample, and those that stand out.

A care provider has to control the log systematically and recurrently by samples, and to document it (HSLF-FS 2016:40
chapter 4 section 9, points 5 and 6; patientdatalagen 2008:355 chapter 4 section 3).

Pure. The sample cannot be steered: its seed is made of the first checkpoint that was signed after the period, which
nobody knows before, and the looks of the period cannot be changed after it. Whoever has the checkpoint's line can draw
the same sample again, in any language: seed = SHA-256 of `<care provider>/<from>/<to>/<digest of the line>`, dates as
2026-11-01; the looks are ordered by SHA-256 of `<seed>/<look's id>`, all in hexadecimal, and the first ones are taken.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, tzinfo
from enum import Enum

from rivta.audit.access.checkpoints import Line
from rivta.audit.access.entry import EMERGENCY_ACCESS, READ, Kind, Reader, StoredEntry


class Sign(Enum):
    """Why a look stands out. It need not be wrong."""

    NO_RELATION = "no-relation"
    """Without a care relation."""
    SELF = "self"
    """At one's own data."""
    COLLEAGUE = "colleague"
    """At the data of somebody who works for the same care provider."""
    NIGHT = "night"
    """By night, Swedish time."""
    EMERGENCY = "emergency"
    """An emergency stood in the place of consent, or opened a block."""
    REFUSED = "refused"
    """It was not allowed."""


class Verdict(Enum):
    """What a reviewer found."""

    IN_ORDER = "in-order"
    QUESTIONED = "questioned"
    """To be asked about."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Employee:
    """Somebody who works for a care provider, and whose own data others may look at."""

    user_id: str
    care_provider_id: str


@dataclass(frozen=True, slots=True)
class Night:
    """From an hour to an hour of the next morning, Swedish time."""

    begins: time = time(22)
    ends: time = time(6)

    def holds(self, moment: time) -> bool:
        """Whether `moment` is within it, its first minute included and its last not."""
        if self.begins <= self.ends:
            return self.begins <= moment < self.ends
        return moment >= self.begins or moment < self.ends


@dataclass(frozen=True, slots=True)
class Review:
    """That somebody has looked it over."""

    reviewer: str
    time: datetime
    verdict: str
    note: str


@dataclass(frozen=True, slots=True)
class Look:
    """One look-up: everything that one reader did about one patient under one correlation id."""

    id: str
    """Of its first entry: what a review is about."""
    time: datetime
    reader: Reader
    patient: str = field(repr=False)
    correlation_id: str
    information_sets: tuple[str, ...]
    """That were asked for."""
    read: tuple[str, ...]
    """Those of them that were shown, or shown to be empty."""
    sources: tuple[str, ...]
    relation: str
    consents: tuple[str, ...]
    reasons: tuple[str, ...]
    signs: tuple[Sign, ...]
    reviews: tuple[Review, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """A random sample, with what it takes to draw it again."""

    care_provider: str
    first: date
    last: date
    seed: str
    checkpoint: str
    """Digest of the line of the checkpoint that the seed is made of."""
    of: int
    """So many looks there were."""
    looks: tuple[Look, ...]


class NotYetSigned(ValueError):
    """No checkpoint was signed after the period: a sample of it could still be steered."""


def looks_of(
    entries: Iterable[StoredEntry],
    reviews: Iterable[StoredEntry] = (),
    *,
    staff: Mapping[str, Employee],
    night: Night,
    zone: tzinfo,
) -> list[Look]:
    """The looks that `entries` are of, oldest first.

    `staff` has people who work in care by their personal number; `reviews` are the log's entries of that kind.
    """
    groups: dict[tuple[str, str, str, str], list[StoredEntry]] = {}
    for one in entries:
        if one.entry.kind in (Kind.INTENT, Kind.OUTCOME, Kind.REFUSED, Kind.BLOCKED, Kind.EMERGENCY):
            entry = one.entry
            key = (entry.correlation_id, entry.reader.user_id, entry.reader.unit_id, entry.patient)
            groups.setdefault(key, []).append(one)
    reviewed = _reviews_by_look(reviews)
    looks = [_look(group, reviewed, staff=staff, night=night, zone=zone) for group in groups.values()]
    return sorted(looks, key=lambda look: (look.time, look.id))


def _look(
    group: Sequence[StoredEntry],
    reviewed: Mapping[str, list[Review]],
    *,
    staff: Mapping[str, Employee],
    night: Night,
    zone: tzinfo,
) -> Look:
    ordered = sorted(group, key=lambda one: (one.time, one.number))
    first, entries = ordered[0], [one.entry for one in ordered]
    read = [entry.information_set for entry in entries if entry.kind is Kind.OUTCOME and entry.outcome in READ]
    return Look(
        id=first.id,
        time=first.time,
        reader=first.entry.reader,
        patient=first.entry.patient,
        correlation_id=first.entry.correlation_id,
        information_sets=_different(entry.information_set for entry in entries),
        read=_different(read),
        sources=_different(source for entry in entries if entry.kind is Kind.OUTCOME for source in entry.sources),
        relation=next((entry.relation for entry in entries if entry.relation), ""),
        consents=_different(entry.consent for entry in entries),
        reasons=_different(entry.reason for entry in entries),
        signs=tuple(sign for sign in Sign if _stands_out(sign, ordered, staff=staff, night=night, zone=zone)),
        reviews=tuple(review for one in ordered for review in reviewed.get(one.id, ())),
    )


def _stands_out(
    sign: Sign, ordered: Sequence[StoredEntry], *, staff: Mapping[str, Employee], night: Night, zone: tzinfo
) -> bool:
    entries = [one.entry for one in ordered]
    reader, known = entries[0].reader, staff.get(entries[0].patient)
    match sign:
        case Sign.NO_RELATION:
            return not any(entry.relation for entry in entries)
        case Sign.SELF:
            return known is not None and known.user_id == reader.user_id
        case Sign.COLLEAGUE:
            is_other = known is not None and known.user_id != reader.user_id
            return is_other and known is not None and known.care_provider_id == reader.care_provider_id
        case Sign.NIGHT:
            return any(night.holds(one.time.astimezone(zone).time()) for one in ordered)
        case Sign.EMERGENCY:
            return any(entry.kind is Kind.EMERGENCY or entry.consent == EMERGENCY_ACCESS for entry in entries)
        case Sign.REFUSED:
            return any(entry.kind is Kind.REFUSED for entry in entries)


def _reviews_by_look(reviews: Iterable[StoredEntry]) -> dict[str, list[Review]]:
    found: dict[str, list[Review]] = {}
    for one in reviews:
        entry = one.entry
        review = Review(entry.reader.user_id, one.time, _verdict_in(entry.detail), entry.reason)
        found.setdefault(entry.about, []).append(review)
    return found


def review_detail(verdict: Verdict, recorded_by: str) -> str:
    """`detail` of a review's entry: the verdict, and which account of the machine it was recorded by."""
    return json.dumps({"recorded_by": recorded_by, "verdict": verdict.value}, ensure_ascii=False)


def _verdict_in(detail: str) -> str:
    try:
        return str(json.loads(detail)["verdict"])
    except (ValueError, KeyError, TypeError):
        return ""


def draw(
    looks: Sequence[Look], *, care_provider: str, first: date, last: date, checkpoint: Line | None, count: int
) -> Sample:
    """A random sample of `count` of a care provider's looks from the day `first` to the day `last`.

    `checkpoint` is the first that was signed after the period. Raises NotYetSigned when there is none.
    """
    if checkpoint is None:
        raise NotYetSigned(
            f"no checkpoint has been signed after {last}: before there is one, a sample of the time could be steered"
        )
    seed = _digest(f"{care_provider}/{first}/{last}/{checkpoint.digest}")
    ordered = sorted(looks, key=lambda look: _digest(f"{seed}/{look.id}"))
    return Sample(
        care_provider=care_provider,
        first=first,
        last=last,
        seed=seed,
        checkpoint=checkpoint.digest,
        of=len(looks),
        looks=tuple(ordered[:count]),
    )


def first_after(lines: Iterable[Line], moment: datetime) -> Line | None:
    """The first checkpoint that was signed at `moment` or later."""
    return next((line for line in lines if line.checkpoint.time >= moment), None)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _different(texts: Iterable[str]) -> tuple[str, ...]:
    """Those that are not empty, each once, in the order in which they came."""
    return tuple(dict.fromkeys(text for text in texts if text))
