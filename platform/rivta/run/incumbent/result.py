"""What is made of an installation of the incumbent: settings, files beside them, and a word about every property."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rivta.run.incumbent.properties import Properties, Property
from rivta.run.incumbent.rows import Fate
from rivta.run.toml import to_toml

_SECRET = re.compile(r"password|secret", re.I)
_SAFE_NAME = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one property."""

    property: str
    value: str
    """As it stands; `***` for a secret."""
    fate: Fate
    key: str
    """Where it went; empty when nowhere."""
    remark: str
    """What is different, why it is left, or what is to be done."""


@dataclass(slots=True)
class Takeover:
    """A configuration of ours being made. Everything that is to be written is in it; nothing is written here."""

    properties: Properties
    base: Path
    """Folder that the incumbent's relative paths are taken from."""
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The settings, by section."""
    resolution: dict[str, Any] = field(default_factory=dict)
    """How addresses are looked up, which is part of the routing tables."""
    files: dict[str, bytes] = field(default_factory=dict)
    """Other files, by their path in the folder of the settings."""
    insecure: dict[str, str] = field(default_factory=dict)
    """Weakenings that the incumbent has on: switch and why; only ever written as comments."""
    findings: list[Finding] = field(default_factory=list)
    _told: set[str] = field(default_factory=set)

    def set(self, key: str, value: Any) -> None:
        """Give a key of the settings, as `limits.max_body_bytes`, a value."""
        section, _, name = key.rpartition(".")
        self.tables.setdefault(section, {})[name] = value

    def tell(self, one: Property, fate: Fate, key: str = "", remark: str = "") -> None:
        """Say what became of a property; the first word counts."""
        if one.name in self._told:
            return
        self._told.add(one.name)
        value = "***" if _SECRET.search(one.name) else one.value
        if "-----BEGIN" in value:
            value = "PEM"
        self.findings.append(Finding(one.name, value, fate, key, remark))

    def taken(self, one: Property | None, key: str, remark: str = "") -> None:
        """Say that a property went to `key`, with a remark if it means something else there."""
        if one is not None:
            self.tell(one, Fate.CHANGED if remark else Fate.TAKEN, key, remark)

    def left(self, one: Property | None, why: str) -> None:
        """Say that a property goes nowhere."""
        if one is not None:
            self.tell(one, Fate.LEFT, "", why)

    def get(self, name: str) -> Property | None:
        """A property that has a usable value."""
        found = self.properties.get(name)
        if found is None or not found.unresolved:
            return found
        missing = ", ".join(f"${{{one}}}" for one in found.unresolved)
        self.left(found, f"{missing} has no value: give it with --set {found.unresolved[0]}=VALUE")
        return None

    def forget(self, one: Property) -> None:
        """Take back what was said of a property."""
        self._told.discard(one.name)
        self.findings = [finding for finding in self.findings if finding.property != one.name]

    def copy_text(self, name: str, key: str) -> None:
        """Take a text over as it is."""
        one = self.get(name)
        if one is not None and one.value:
            self.set(key, one.value)
            self.taken(one, key)

    def copy_switch(self, name: str, key: str) -> None:
        """Take a switch over as it is."""
        one = self.get(name)
        found = truth(one)
        if found is not None:
            self.set(key, found)
            self.taken(one, key)

    def number(self, one: Property | None, lowest: int = 0) -> int | None:
        """The number that a property is; None, and told, when it is none."""
        if one is None:
            return None
        try:
            number = int(one.value)
        except ValueError:
            number = None
        if number is None or number < lowest:
            self.left(one, f"{one.value!r} is not a number of {lowest} or more")
            return None
        return number

    def path(self, value: str) -> Path:
        """The file that a property names."""
        plain = re.sub(r"^(classpath\*?:|file:(//)?)/?(?=[^/])|^file:(//)?", "", value.strip())
        return self.base / plain

    def settings_text(self, *, as_is: bool, compat: bool) -> str:
        """The settings file; with `as_is`, the weakenings stand in it as comments."""
        lines = [
            "# Taken over from an installation of VP by `rivta config import`. What each key means: settings.md.",
            "",
        ]
        if compat:
            lines += ['compat = "vp"', ""]
        tables = {name: values for name, values in self.tables.items() if not (compat and name == "compat")}
        lines.append(to_toml(dict(sorted(tables.items(), key=lambda item: _section_order(item[0])))))
        if as_is and self.insecure:
            lines += ["# VP had these protections off. Take away a `#` only if you must.", "# [insecure]"]
            for switch, why in self.insecure.items():
                lines += [f"# {' '.join(why.split())}", f"# {switch} = true"]
            lines.append("")
        return "\n".join(lines)


def _section_order(section: str) -> tuple[int, str]:
    first = ("platform", "listen", "tls", "tables")
    name = section.partition(".")[0]
    return (first.index(name) if name in first else len(first), section)


def truth(one: Property | None) -> bool | None:
    """The switch that a property is."""
    return None if one is None else one.value.strip().lower() in ("true", "on", "yes", "1")


def safe_name(name: str) -> str:
    """The name, fit for a file or a key."""
    return _SAFE_NAME.sub("-", name).strip("-") or "x"
