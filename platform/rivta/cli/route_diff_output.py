"""What `rivta route diff` shows to people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from rivta.soap.identifiers import short_name

_NOUNS = {
    "resolution": "resolution",
    "components": "component",
    "logical_addresses": "logical address",
    "producer_addresses": "producer address",
    "routes": "route",
    "permissions": "permission",
}
_SHOWN = 4
"""Names told in a line; the rest is counted."""

_MARKS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


def print_differences(found: Mapping[str, Any]) -> None:
    """Rows that changed alike in a line, with a line below for each field that changed; and how many rows there are."""
    console = Console(highlight=False, soft_wrap=True)
    for line in difference_lines(found["differences"]):
        console.print(line)
    console.print(Text(f"{found['before']} -> {found['after']}: {summary(found['differences'])}"))


def difference_lines(differences: Iterable[Mapping[str, Any]]) -> Iterator[Text]:
    """Rows as `+ route SE2321000016-KS GetDiagnosis:2, producer_address rtp, tables.yaml:12`.

    Those that were written as one row, and changed alike, are told together.
    """
    together: dict[str, list[Mapping[str, Any]]] = {}
    for one in differences:
        changes = {name: field for name, field in one["fields"].items() if name not in one["key"]}
        alike = (one["section"], one["change"], changes, one["before_source"], one["after_source"])
        is_of_many = one["section"] in ("routes", "permissions") and not changes.keys() & one["key"].keys()
        together.setdefault(json.dumps(alike if is_of_many else one), []).append(one)
    for rows in together.values():
        yield from _lines(rows)


def _lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[Text]:
    one = rows[0]
    mark, style = _MARKS[one["change"]]
    place = one["after_source"] or one["before_source"]
    what = " ".join((_NOUNS[one["section"]], *_keys([row["key"] for row in rows])))
    number = f" ({len(rows)} rows)" if len(rows) > 1 else ""
    if one["change"] == "changed":
        yield Text.assemble((f"{mark} {what}", style), number, f"{f', {place}' if place else ''}")
        for name, field in one["fields"].items():
            yield Text(f"    {name}: {_shown(field['before'])} -> {_shown(field['after'])}")
        return
    side = "after" if one["change"] == "added" else "before"
    fields = [f"{name} {_shown(field[side])}" for name, field in one["fields"].items() if name not in one["key"]]
    yield Text.assemble((f"{mark} {what}", style), number, "".join(f", {text}" for text in (*fields, place) if text))


def summary(differences: Sequence[Mapping[str, Any]]) -> str:
    """`2 added, 1 changed`, or that there is no difference."""
    counted = Counter(one["change"] for one in differences)
    return ", ".join(f"{counted[change]} {change}" for change in _MARKS if counted[change]) or "no differences"


def _keys(keys: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Each part of the keys, with all that it is in them."""
    for name in keys[0]:
        values = dict.fromkeys(short_name(key[name]) if name == "contract" else key[name] for key in keys)
        yield names([*values])


def names(found: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(found[:_SHOWN])
    return f"{shown} and {len(found) - _SHOWN} more" if len(found) > _SHOWN else shown


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nothing"
    return str(value) or "''"
