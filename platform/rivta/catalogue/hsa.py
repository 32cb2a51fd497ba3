"""The HSA tree: which unit lies under which.

From `routing/hsa/*.yaml`, `units: {ID: {name, parent}}`, and from the official HSA cache as XML, which the incumbent
reads too: units by local names, each with a distinguished name that says under which others it lies.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import yaml

from rivta.catalogue.marked_yaml import YamlFile, is_null, yaml_files
from rivta.catalogue.rows import HSA_ROOT, Place, Problem
from rivta.soap.xml import XmlRefused, each_element

_log = logging.getLogger(__name__)


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
    """The tree in `paths`, each a file or a folder of them, and every mistake in it; usable only without any.

    Of two caches in XML the one whose name sorts later counts, where both have a unit.
    """
    problems: list[Problem] = []
    units: dict[str, Unit] = {}
    listed: dict[tuple[str, ...], Unit] = {}
    for path in paths:
        for file in hsa_files(path):
            name = str(file.relative_to(relative_to)) if relative_to and file.is_relative_to(relative_to) else str(file)
            if _is_xml(file):
                listed |= _read_cache(file, name, problems)
            else:
                _read_units(YamlFile(file, name, problems), units)
    units = _placed(listed) | units
    problems.extend(_broken_climbs(units))
    return HsaTree(units), tuple(problems)


def hsa_files(path: Path) -> tuple[Path, ...]:
    """The files that `path` stands for: itself, or the YAML and XML files in the folder by name."""
    if not path.is_dir():
        return (path,)
    names = (entry.name for entry in os.scandir(path) if not entry.name.startswith("."))
    return tuple(sorted((*yaml_files(path), *(path / name for name in names if _is_xml(Path(name))))))


def _is_xml(file: Path) -> bool:
    return file.suffix.lower() == ".xml"


def _read_cache(file: Path, name: str, problems: list[Problem]) -> dict[tuple[str, ...], Unit]:
    """The units of an official cache by distinguished name, its parts from the unit upwards. Parents come later."""
    found: dict[tuple[str, ...], Unit] = {}
    try:
        for element in each_element(file, "hsaUnit"):
            place = Place(name, cast(int, element.sourceline or 0))
            fields = {key: (element.findtext(f"{{*}}{key}") or "").strip() for key in ("hsaIdentity", "DN", "name")}
            if not all(fields.values()):
                lacking = ", ".join(key for key, value in fields.items() if not value)
                _log.warning("%s: unit %s has no %s and is left out", place, fields["hsaIdentity"] or "?", lacking)
                continue
            dn = tuple(part.strip() for part in fields["DN"].split(","))
            if dn in found:
                problems.append(
                    Problem(name, place.line, "hsa-duplicate", f"unit {fields['DN']} stands here a second time")
                )
            found[dn] = Unit(fields["hsaIdentity"], fields["name"], None, place)
    except XmlRefused as error:
        problems.append(Problem(name, error.line, "xml", error.reason))
    except OSError as error:
        problems.append(Problem(name, 0, "unreadable", f"cannot be read: {error.strerror}"))
    return found


def _placed(listed: Mapping[tuple[str, ...], Unit]) -> dict[str, Unit]:
    """The units by HSA-id, each under the nearest one above it that exists: levels that are missing are skipped."""
    units = {}
    for dn, unit in listed.items():
        above = (listed[dn[level:]].hsa_id for level in range(1, len(dn)) if dn[level:] in listed)
        units[unit.hsa_id] = Unit(unit.hsa_id, unit.name, next(above, None), unit.place)
    return units


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
