"""What the access log holds: one entry for everything that happens to a look at a patient's data.

Which fields there must be: HSLF-FS 2016:40 chapter 4 section 9 (what was done, at which unit, when, user and patient).
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

LONGEST_TEXT = 1000
"""Characters of a field."""
LONGEST_REASON = 4000
MOST_SOURCES = 1000


class Kind(Enum):
    """What an entry tells."""

    INTENT = "intent"
    """Somebody is about to look: written before anything is asked for."""
    OUTCOME = "outcome"
    """What came of it, of one set and its sources: written before it is shown."""
    REFUSED = "refused"
    """The look was not allowed, and nothing was asked for."""
    BLOCKED = "blocked"
    """The reader was told of blocked data: that there is some, or in an emergency who holds it."""
    CONSENT = "consent"
    """The patient's consent, or what stands in its place, was registered or taken back."""
    EMERGENCY = "emergency"
    """The reader said that it is an emergency, and why."""
    REVIEW = "review"
    """Somebody at the care provider has looked a look over."""
    REMOVAL = "removal"
    """Retention takes entries away; `detail` says which."""
    CHECKPOINT = "checkpoint"
    """The log's heads were signed, outside the database; `detail` says where."""


ABOUT_THE_LOG = (Kind.REMOVAL, Kind.CHECKPOINT)
"""Entries that the log makes about itself: no reader and no patient."""


class Outcome(Enum):
    """What came of a look."""

    NONE = ""
    """The entry has none to tell."""
    SHOWN = "shown"
    EMPTY = "empty"
    """Answered, and there was nothing: that too tells something of the patient."""
    FAILED = "failed"
    """Not answered, so that nothing was shown."""
    WITHHELD = "withheld"
    """Answered, and not shown: blocked, or about another patient."""


EMERGENCY_ACCESS = "emergency"
"""What an entry has as `consent` where an emergency stood in its place."""

READ = (Outcome.SHOWN, Outcome.EMPTY)
"""Outcomes by which somebody has come to know something of the patient."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who looks, and as what: one person with one assignment."""

    user_id: str = ""
    """HSA-id of the person."""
    user_name: str = ""
    assignment: str = ""
    """Name or HSA-id of the assignment that was chosen at log-in."""
    unit_id: str = ""
    unit_name: str = ""
    care_provider_id: str = ""
    care_provider_name: str = ""
    purpose: str = ""
    """The assignment's, in the words of the contract, as `Vård och behandling`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to write down. What does not apply is empty."""

    kind: Kind
    reader: Reader = field(default_factory=Reader)
    patient: str = field(default="", repr=False)
    correlation_id: str = ""
    """Of the look-up: the same in its intents, its outcomes, and the calls that it made."""
    about: str = ""
    """Id of the entry that this one answers: an outcome's intent, a review's look."""
    information_set: str = ""
    """As `Diagnoser`; empty for the look-up as a whole."""
    sources: tuple[str, ...] = ()
    """HSA-ids of the source systems that were asked, or whose data is shown."""
    outcome: Outcome = Outcome.NONE
    relation: str = ""
    """The care relation that the look stood on; empty when there was none."""
    consent: str = ""
    """The consent, by whom, or the rule that stood in its place."""
    permission: str = ""
    """What let the call through: the row of the permission table, or the rule that refused."""
    reason: str = ""
    """In the words of whoever gave it: of an emergency, a refusal, a review."""
    detail: str = ""
    """JSON object, of the entries that the log makes about itself and of reviews."""


_TEXTS = tuple(
    one.name
    for one in dataclasses.fields(Entry)
    if one.name not in ("kind", "reader", "sources", "outcome", "reason", "detail")
)
_READER = tuple(one.name for one in dataclasses.fields(Reader))


def columns_of(entry: Entry) -> dict[str, str]:
    """The entry as its columns hold it. Raises ValueError, naming the field but not its value, if it cannot be kept."""
    if len(entry.sources) > MOST_SOURCES:
        raise ValueError(f"sources are {len(entry.sources)}, more than {MOST_SOURCES}")
    columns = {name: _text(name, getattr(entry, name), LONGEST_TEXT) for name in _TEXTS}
    columns |= {name: _text(name, getattr(entry.reader, name), LONGEST_TEXT) for name in _READER}
    sources = [_text("sources", source, LONGEST_TEXT) for source in entry.sources]
    return columns | {
        "kind": entry.kind.value,
        "outcome": entry.outcome.value,
        "sources": json.dumps(sources, ensure_ascii=False, separators=(",", ":")),
        "reason": _text("reason", entry.reason, LONGEST_REASON),
        "detail": _text("detail", entry.detail, LONGEST_REASON),
    }


def entry_of(columns: dict[str, Any]) -> Entry:
    """The entry that these columns hold. Raises ValueError when they hold none."""
    texts = {name: columns[name] for name in (*_TEXTS, "reason", "detail")}
    return Entry(
        kind=Kind(columns["kind"]),
        reader=Reader(**{name: columns[name] for name in _READER}),
        sources=tuple(json.loads(columns["sources"])),
        outcome=Outcome(columns["outcome"]),
        **texts,
    )


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as it stands in the log."""

    writer: str
    number: int
    time: datetime
    """UTC."""
    entry: Entry
    previous: str
    hash: str

    @property
    def id(self) -> str:
        """By which other entries name it."""
        return entry_id(self.writer, self.number)


def entry_id(writer: str, number: int) -> str:
    """The id of a writer's entry, as `console-3f2a90b1c4d8:17`."""
    return f"{writer}:{number}"


def _text(name: str, value: str, longest: int) -> str:
    if type(value) is not str:
        raise ValueError(f"{name} is of type {type(value).__name__}, not text")
    if len(value) > longest:
        raise ValueError(f"{name} is {len(value)} characters long, more than {longest}")
    if "\0" in value:
        raise ValueError(f"{name} holds a zero byte, which PostgreSQL cannot keep")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} is not Unicode text") from error
    return value
