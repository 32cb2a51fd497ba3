"""`${name}` in cases: where the values come from, and filling them in. Pure but for reading a CSV file.

`$${name}` stands for itself. Some names are there without being given: `${uuid}` and `${number}` are another for every
message, `${now}` and `${today}` are the time of sending in Swedish time as RIV-TA writes it, and `${today-367d}`,
`${now+2h}` are so much earlier or later.
"""

from __future__ import annotations

import csv
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import escape

from rivta.catalogue.rows import SWEDISH_TIME, Problem

MOST_ROWS = 200_000
_MOST_CSV_BYTES = 256 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_USE = re.compile(r"(\$?)\$\{([^}\s]{1,100})\}")
_USE_IN_BYTES = re.compile(rb"(\$?)\$\{([^}\s]{1,100})\}")
_TIME = re.compile(r"(now|today)(?:([+-])(\d{1,6})([smhd]))?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_RIVTA_TIME = "%Y%m%d%H%M%S"
_RIVTA_DAY = "%Y%m%d"

Variables = Mapping[str, str]


class UnknownVariable(LookupError):
    """A name that has no value."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        there = f"there are {', '.join(sorted(known))}" if known else "none is given"
        super().__init__(
            f"${{{name}}} has no value: {there}; give one with --set {name}=VALUE, a CSV file, or under variables"
        )


@dataclass(frozen=True, slots=True)
class Moment:
    """What is another for every message."""

    now: datetime
    """With a zone."""
    number: int
    """Of the message in its run, from 1."""
    uuid: str

    @classmethod
    def at(cls, now: datetime, number: int) -> Moment:
        """A moment of its own."""
        return cls(now, number, str(uuid.uuid4()))


class Filling:
    """Values for one message."""

    def __init__(self, variables: Variables, moment: Moment) -> None:
        self._variables = variables
        self._moment = moment

    def text(self, text: str) -> str:
        """`text` with its variables filled in. Raises UnknownVariable."""
        if "${" not in text:
            return text
        return _USE.sub(lambda found: found[0][1:] if found[1] else self.value(found[2]), text)

    def xml(self, data: bytes) -> bytes:
        """The same of an XML file: values are escaped, and fit every charset that has ASCII in it."""
        if b"${" not in data:
            return data

        def replaced(found: re.Match[bytes]) -> bytes:
            if found[1]:
                return found[0][1:]
            value = self.value(found[2].decode("utf-8", "replace"))
            return escape(value, {'"': "&quot;", "'": "&apos;", "\r": "&#13;"}).encode("ascii", "xmlcharrefreplace")

        return _USE_IN_BYTES.sub(replaced, data)

    def value(self, name: str) -> str:
        """The value of one variable. Raises UnknownVariable."""
        given = self._variables.get(name)
        if given is not None:
            return given
        if name == "uuid":
            return self._moment.uuid
        if name == "number":
            return str(self._moment.number)
        time = _TIME.fullmatch(name)
        if time is None:
            raise UnknownVariable(name, list(self._variables))
        return _written(self._moment.now, time)


def _written(now: datetime, asked: re.Match[str]) -> str:
    moment = now.astimezone(SWEDISH_TIME)
    if asked[2]:
        length = timedelta(**{_UNITS[asked[4]]: int(asked[3])})
        try:
            moment = moment + length if asked[2] == "+" else moment - length
        except OverflowError:
            raise UnknownVariable(asked[0], []) from None
    return moment.strftime(_RIVTA_DAY if asked[1] == "today" else _RIVTA_TIME)


def check_name(name: str) -> str | None:
    """What is wrong with the name of a variable; None when nothing is."""
    return (
        None
        if _NAME.fullmatch(name)
        else f"{name!r} is no name for a variable: letters, digits and _ . - may stand in one"
    )


def read_settings(texts: Sequence[str]) -> dict[str, str]:
    """`name=value`, each; the last of one name counts. Raises ValueError."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        wrong = "write it as name=value" if not equals else check_name(name)
        if wrong:
            raise ValueError(f"{text!r}: {wrong}")
        found[name] = value
    return found


def read_csv(
    path: Path, problems: list[Problem], *, progress: Callable[[int], None] = lambda rows: None
) -> tuple[dict[str, str], ...]:
    """The rows of a CSV file in UTF-8, the first of which names the variables; `,` or `;` between, whichever is first.

    What is wrong goes to `problems`, and then there are no rows.
    """
    rows: list[dict[str, str]] = []
    try:
        if path.stat().st_size > _MOST_CSV_BYTES:
            raise ValueError(f"is larger than {_MOST_CSV_BYTES // 2**20} MB; split it")
        with path.open(encoding="utf-8-sig", newline="") as file:
            heading = file.readline()
            delimiter = next((character for character in heading if character in ",;\t"), ",")
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            names = _heading(next(reader, []), path, problems)
            for values in reader:
                if not values:
                    continue
                if len(values) != len(names):
                    told = f"has {len(values)} values, but the first line names {len(names)}"
                    problems.append(Problem(str(path), reader.line_num, "csv", told))
                    return ()
                rows.append(dict(zip(names, values, strict=True)))
                if len(rows) > MOST_ROWS:
                    raise ValueError(f"has more than {MOST_ROWS:,} rows; split it")
                progress(len(rows))
    except UnicodeDecodeError:
        problems.append(Problem(str(path), 0, "encoding", "is not UTF-8; save it as UTF-8"))
        return ()
    except (OSError, ValueError, csv.Error) as error:
        told = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        problems.append(Problem(str(path), 0, "csv", f"cannot be read as CSV: {told}"))
        return ()
    if not rows and not problems:
        problems.append(
            Problem(str(path), 1, "csv", "has no rows: the first line names variables, the others their values")
        )
    return tuple(rows)


def _heading(names: list[str], path: Path, problems: list[Problem]) -> list[str]:
    names = [name.strip() for name in names]
    for name in names:
        if wrong := check_name(name):
            problems.append(Problem(str(path), 1, "csv", f"the first line names the variables, and {wrong}"))
        elif names.count(name) > 1:
            problems.append(Problem(str(path), 1, "csv", f"the first line names {name!r} twice"))
            break
    return names
