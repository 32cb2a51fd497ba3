"""What is wrong with a whole draft, and what deserves a second look: one message per mistake, with file and line.

Errors refuse a publication; warnings do not. `rivta.catalogue.checks.rules` lists every rule.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from rivta.catalogue.checks import addresses, names, periods, together
from rivta.catalogue.checks.problems import Surroundings as Surroundings
from rivta.catalogue.checks.problems import at
from rivta.catalogue.files import Reading
from rivta.catalogue.rows import Draft, Place, Problem

_OF_OTHER_TABLES = {"platform-loop", "identity-not-checked", "unknown-identity"}
"""What is found only where another table, or the settings, are known: accepting it may be needless here alone."""

_HIDES_ROWS = {"unknown-producer-address"}
_OF_MISSING_ROWS = {
    "unused",
    "undeclared-address",
    "undeclared-consumer",
    "route-without-permission",
    "permission-without-route",
    "route-gap",
    "permission-gap",
    "expiring",
}
"""What is told of where something else is not there."""


@dataclass(frozen=True, slots=True)
class Report:
    """A draft that was read and looked through."""

    draft: Draft
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def check(reading: Reading, surroundings: Surroundings, *, now: datetime) -> Report:
    """Every mistake in the files and in what they say together, in the order of files and lines."""
    errors = list(reading.problems)
    warnings: list[Problem] = []
    # When a file is not even YAML, everything it declares would seem to be missing.
    if reading.is_whole:
        found, warnings = lint(reading.draft, surroundings, now=now, unread=reading.unread)
        errors.extend(found)
        if reading.problems or any(one.rule in _HIDES_ROWS for one in errors):
            # A row that could not be read, or leads nowhere, would seem to be missing.
            warnings = [one for one in unaccepted(warnings, reading.accepted) if one.rule not in _OF_MISSING_ROWS]
        else:
            warnings = [*unaccepted(warnings, reading.accepted), *_needless(warnings, reading.accepted)]
    return Report(reading.draft, in_order(errors), in_order(warnings))


def lint(
    draft: Draft, surroundings: Surroundings, *, now: datetime, unread: Collection[str] = ()
) -> tuple[list[Problem], list[Problem]]:
    """Errors and warnings of what the rows say together; `unread` names are taken to exist."""
    errors = [
        *names.errors(draft, unread),
        *addresses.errors(draft, surroundings),
        *periods.errors(draft),
    ]
    warnings = [
        *addresses.warnings(draft, surroundings),
        *names.warnings(draft, surroundings, unread),
        *periods.warnings(draft, surroundings, now),
        *together.warnings(draft, surroundings.hsa),
    ]
    return errors, warnings


def unaccepted(warnings: Iterable[Problem], accepted: Mapping[Place, Mapping[str, str]]) -> list[Problem]:
    """The warnings that no row says are as they should be."""
    return [one for one in warnings if one.rule not in accepted.get(Place(one.file, one.line), {})]


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Each problem once, by file and line."""
    return tuple(sorted(set(problems), key=lambda problem: (problem.file, problem.line, problem.rule, problem.message)))


def brought_in(was: Iterable[Problem], becomes: Iterable[Problem]) -> list[Problem]:
    """Problems that were not there before, wherever they stand now."""
    left = Counter(replace(one, line=0, message=_without_places(one.message)) for one in was)
    found = []
    for one in becomes:
        key = replace(one, line=0, message=_without_places(one.message))
        if left[key] > 0:
            left[key] -= 1
        else:
            found.append(one)
    return found


def _without_places(message: str) -> str:
    """Lines move when rows come before them."""
    return "".join(part for part in message if not part.isdigit())


def _needless(warnings: Iterable[Problem], accepted: Mapping[Place, Mapping[str, str]]) -> list[Problem]:
    """What rows accept, and is not there."""
    found = {(Place(one.file, one.line), one.rule) for one in warnings}
    return [
        at(place, "needless-accept", f"accept: {rule}: nothing of the kind is found here; take it away")
        for place, rules in accepted.items()
        for rule in rules
        if rule not in _OF_OTHER_TABLES and (place, rule) not in found
    ]
