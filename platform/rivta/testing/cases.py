"""A case: a message in a folder, who sends it, and what must be true of its answer. Values, and finding the folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rivta.catalogue.rows import Place, Problem
from rivta.soap.identifiers import Profile
from rivta.testing.assertions import Assertion
from rivta.testing.comparison import Rules
from rivta.testing.documents import PREFIXES
from rivta.testing.state import State

MESSAGE, REQUEST, RESPONSE = "message.yaml", "request.xml", "response.xml"
"""The files of a case. Only the request has to be there."""

MOST_CASES = 100_000
MOST_FILE_BYTES = 64 * 1024 * 1024
"""Of a request or response: more than a platform takes."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An assertion, and where the case says it."""

    assertion: Assertion
    place: Place


@dataclass(frozen=True, slots=True)
class Recorded:
    """What happened when the message was recorded."""

    time: str
    """ISO 8601."""
    outcome: str
    """As in a call record."""
    producer_url: str | None = None
    elapsed_ms: float | None = None
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One message to send. What it does not say is None or empty. Texts may hold `${variables}`."""

    name: str
    """Path of its folder from where the run was asked to look, as `routing/no-permission`."""
    folder: Path
    file: str
    """`message.yaml` as it is named in messages to people."""
    title: str = ""
    contract: str | None = None
    """Namespace."""
    logical_address: str | None = None
    sender: str | None = None
    """HSA-id."""
    identity: str | None = None
    """Name of one of the pair's identities; without it, the one whose HSA-id is the sender's."""
    profile: Profile | None = None
    via: str | None = None
    """`national` or `regional`."""
    soap_action: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    """Values that hold unless the run has others."""
    namespaces: tuple[tuple[str, str], ...] = tuple(PREFIXES.items())
    """Prefix and namespace, for the paths of this case."""
    rules: Rules = field(default_factory=Rules)
    assertions: tuple[Placed, ...] = ()
    recorded: Recorded | None = None
    state: State | None = None
    """What it wants to find; None when it takes what there is."""

    @property
    def request(self) -> Path:
        return self.folder / REQUEST

    @property
    def response(self) -> Path:
        return self.folder / RESPONSE


@dataclass(frozen=True, slots=True)
class Found:
    """A folder that holds a case."""

    name: str
    folder: Path


def find_cases(paths: Sequence[Path], problems: list[Problem]) -> list[Found]:
    """The folders with cases in and below the paths, each path's by name. What is wrong goes to `problems`.

    A path may also be that of a `message.yaml` or `request.xml`. Links to folders are not followed.
    """
    found: dict[Path, Found] = {}
    for path in paths:
        root = path.parent if path.name in (MESSAGE, REQUEST) else path
        if not root.is_dir():
            problems.append(Problem(str(path), 0, "no-case", "is no folder of cases"))
            continue
        before = len(found)
        top = root.resolve().name
        for folder in _folders(root):
            name = "/".join((top, *folder.relative_to(root).parts))
            found.setdefault(folder.resolve(), Found(name, folder))
            if len(found) > MOST_CASES:
                problems.append(
                    Problem(str(path), 0, "too-many", f"holds more than {MOST_CASES:,} cases; name a part of it")
                )
                return []
        if len(found) == before and not any(one.is_relative_to(root.resolve()) for one in found):
            told = f"holds no case: a case is a folder with {REQUEST}, and perhaps {RESPONSE} and {MESSAGE}"
            problems.append(Problem(str(path), 0, "no-case", told))
    return _told_apart(list(found.values()))


def _folders(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if MESSAGE in files or REQUEST in files:
            yield Path(folder)


def _told_apart(found: list[Found]) -> list[Found]:
    """Where two roots are called the same, their cases are named by their whole path."""
    names = [one.name for one in found]
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    return [Found(str(one.folder), one.folder) if one.name in twice else one for one in found]
