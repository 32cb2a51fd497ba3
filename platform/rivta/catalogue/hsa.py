"""The HSA tree: which unit lies under which (`routing/hsa/*.yaml`, `units: {ID: {name, parent}}`)."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from rivta.catalogue.marked_yaml import YamlFile, is_null, yaml_files
from rivta.catalogue.rows import HSA_ROOT, Place, Problem


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of the national directory; `parent` is None right below the root."""

    hsa_id: str
    name: str
    parent: str | None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class HsaTree:
    """The units by HSA-id, spelled as they are: HSA-ids are told apart by case, as in the incumbent's file."""

    units: Mapping[str, Unit] = field(default_factory=dict)

    def ancestors(self, hsa_id: str) -> tuple[str, ...]:
        """The units above `hsa_id`, nearest first, ending with `SE`; just `SE` for an unknown id, none for `SE`."""
        if hsa_id == HSA_ROOT:
            return ()
        found: list[str] = []
        unit = self.units.get(hsa_id)
        while unit is not None and unit.parent is not None and unit.parent != HSA_ROOT:
            found.append(unit.parent)
            unit = self.units.get(unit.parent)
        return (*found, HSA_ROOT)

    def content(self) -> bytes:
        """The tree as canonical JSON, one unit a line: what its digest is taken of."""
        rows = (
            json.dumps([unit.hsa_id, unit.name, unit.parent], ensure_ascii=False, separators=(",", ":"))
            for unit in sorted(self.units.values(), key=lambda unit: unit.hsa_id)
        )
        return ("[\n" + ",\n".join(rows) + "\n]\n").encode()

    @classmethod
    def from_content(cls, content: bytes) -> "HsaTree":
        """The tree that `content` returned."""
        return cls({hsa_id: Unit(hsa_id, name, parent) for hsa_id, name, parent in json.loads(content)})

    @property
    def digest(self) -> str:
        """SHA-256 of the content, hexadecimal."""
        return hashlib.sha256(self.content()).hexdigest()


def read_hsa(*paths: Path, relative_to: Path | None = None) -> tuple[HsaTree, tuple[Problem, ...]]:
    """The tree in `paths`, each a file or a folder of `*.yaml`, and every mistake in it; usable only without any."""
    problems: list[Problem] = []
    units: dict[str, Unit] = {}
    for path in paths:
        for file in yaml_files(path):
            name = str(file.relative_to(relative_to)) if relative_to and file.is_relative_to(relative_to) else str(file)
            _read_units(YamlFile(file, name, problems), units)
    problems.extend(_broken_climbs(units))
    return HsaTree(units), tuple(problems)


def _read_units(file: YamlFile, units: dict[str, Unit]) -> None:
    if file.root is None:
        return
    sections = file.entries(file.root, "the file", ("units",))
    if "units" not in sections:
        return
    for hsa_id, (key, value) in file.entries(sections["units"][1], "units").items():
        fields = file.entries(value, f"unit {hsa_id}", ("name", "parent"))
        name = _text(file, fields, hsa_id, "name") or ""
        unit = Unit(hsa_id, name, _text(file, fields, hsa_id, "parent"), file.place(key))
        if hsa_id in units:
            file.complain(
                key, "hsa-duplicate", f"unit {hsa_id} stands here a second time, first at {units[hsa_id].place}"
            )
        elif file.text(key, "a unit's HSA-id") is not None:
            units[hsa_id] = unit


def _text(file: YamlFile, fields: dict[str, tuple[yaml.Node, yaml.Node]], hsa_id: str, key: str) -> str | None:
    if key not in fields or is_null(fields[key][1]):
        return None
    return file.text(fields[key][1], f"unit {hsa_id}: {key}")


def _broken_climbs(units: Mapping[str, Unit]) -> list[Problem]:
    """Units whose parent does not exist, and units that are above themselves: each circle is told of once."""
    found: list[Problem] = []
    cleared: set[str] = {HSA_ROOT}
    for start in units.values():
        path: dict[str, None] = {}
        unit = start
        while unit.hsa_id not in cleared and unit.hsa_id not in path:
            path[unit.hsa_id] = None
            if unit.parent is None or unit.parent == HSA_ROOT:
                break
            if unit.parent not in units:
                found.append(_problem(unit, "hsa-unknown-parent", f"parent {unit.parent!r} is no unit of the tree"))
                break
            unit = units[unit.parent]
        else:
            if unit.hsa_id in path:
                circle = list(path)[list(path).index(unit.hsa_id) :]
                found.append(_problem(unit, "hsa-circle", "is above itself: " + " -> ".join([*circle, unit.hsa_id])))
        cleared.update(path)
    return found


def _problem(unit: Unit, rule: str, message: str) -> Problem:
    place = unit.place or Place("", 0)
    return Problem(place.file, place.line, rule, f"unit {unit.hsa_id}: {message}")
