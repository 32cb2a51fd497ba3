"""Java properties as Spring Boot reads them: files of lines, placeholders, and names in more than one spelling."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SEPARATOR = re.compile(r"(?<!\\)(?:\\\\)*([=:\s])")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.S)
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_PLACEHOLDER = re.compile(r"\$\{([^${}]*)\}")
_MOST_REPLACED = 100
"""Placeholders in one value, before it is taken to name itself."""
_LONGEST = 100_000
"""Characters of a value: one whose parts name each other twice over would never end."""
_INDEX = re.compile(r"\[(\d+)\]")


class PropertiesError(ValueError):
    """A file that cannot be read as properties; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Property:
    """A property as it stands in a file, and its value with placeholders replaced."""

    name: str
    value: str
    file: Path
    line: int
    unresolved: tuple[str, ...] = ()
    """Names in placeholders for which nobody has a value."""


class Properties:
    """The properties of an installation: of several files the last one wins, and the environment over all of them.

    A name is found however it is spelled: `vp.tls.default-config.name`, `vp.tls.defaultConfig.name` and
    `VP_TLS_DEFAULTCONFIG_NAME` are one (Spring's relaxed binding).
    """

    def __init__(self, given: Sequence[tuple[Path, int, str, str]], environment: Mapping[str, str]) -> None:
        """`given`: file, line, name and raw value, in the order in which later ones win."""
        self._raw = {_same(name): (file, line, name, value) for file, line, name, value in given}
        for name, value in environment.items():
            key = _same(name)
            if key in self._raw:
                self._raw[key] = (Path("environment"), 0, self._raw[key][2], value)
        self._environment = {_same(one): value for one, value in environment.items()}
        self._found = {key: self._resolved(*raw) for key, raw in self._raw.items()}

    @classmethod
    def load(cls, *files: Path, environment: Mapping[str, str] | None = None) -> Properties:
        """The properties in `files`. Raises PropertiesError."""
        given = [(file, *row) for file in files for row in read_properties(file)]
        return cls(given, environment or {})

    def __iter__(self) -> Iterator[Property]:
        return iter(self._found.values())

    def get(self, name: str) -> Property | None:
        """The property with this name, in any spelling."""
        return self._found.get(_same(name))

    def value(self, name: str, default: str = "") -> str:
        """Its value; the default when it is not there."""
        found = self.get(name)
        return default if found is None else found.value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list: comma-separated, or `name[0]`, `name[1]`, ..."""
        if self.get(name) is not None:
            return tuple(one for part in self.value(name).split(",") if (one := part.strip()))
        found: list[str] = []
        while (entry := self.get(f"{name}[{len(found)}]")) is not None:
            found.append(entry.value.strip())
        return tuple(found)

    def below(self, prefix: str) -> list[str]:
        """The next parts of the names that start with `prefix`, as they are spelled, each once."""
        wanted = prefix.count(".")
        parts: dict[str, None] = {}
        for one in self:
            pieces = _INDEX.sub(r".\1", one.name).split(".")
            if len(pieces) > wanted + 1 and _same(".".join(pieces[: wanted + 1])) == _same(_INDEX.sub(r".\1", prefix)):
                parts[pieces[wanted + 1]] = None
        return list(parts)

    def _resolved(self, file: Path, line: int, name: str, value: str) -> Property:
        unresolved: dict[str, None] = {}

        def replacement(match: re.Match[str]) -> str:
            wanted, has_default, default = match[1].partition(":")
            key = _same(wanted)
            if key in self._environment:
                return self._environment[key]
            if key in self._raw:
                return self._raw[key][3]
            if has_default:
                return default
            unresolved[wanted] = None
            return f"$\0{{{wanted}}}"

        for _ in range(_MOST_REPLACED):
            replaced = _PLACEHOLDER.sub(replacement, value)
            if replaced == value:
                unresolved |= dict.fromkeys(_PLACEHOLDER.findall(value))  # one that names itself
                break
            value = replaced
            if len(value) > _LONGEST:
                value, unresolved = "", {name: None}
                break
        else:
            unresolved[name] = None
        return Property(name, value.replace("\0", ""), file, line, tuple(unresolved))


def read_properties(file: Path) -> Iterator[tuple[int, str, str]]:
    """Line, name and raw value of each property, by java.util.Properties. Raises PropertiesError.

    Java takes the bytes for ISO-8859-1; a file that is UTF-8 is read as that, for its letters are meant.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise PropertiesError(f"{file}: cannot be read: {error.strerror}") from error
    if file.suffix.lower() in (".yml", ".yaml"):
        raise PropertiesError(f"{file}: is YAML; write its keys as properties, one a line: vp.instance.id=...")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return _assignments(text)


def _assignments(text: str) -> Iterator[tuple[int, str, str]]:
    for number, line in _logical_lines(text):
        separator = _SEPARATOR.search(line)
        name, value = (line, "") if separator is None else (line[: separator.start(1)], line[separator.start(1) :])
        value = value.lstrip(" \t\f")
        if value[:1] in ("=", ":"):
            value = value[1:].lstrip(" \t\f")
        yield number, _unescaped(name), _unescaped(value).rstrip()


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that say something, with those that a backslash at the end continues joined to them."""
    held, began = "", 0
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        line = line.lstrip(" \t\f")
        if not held and (not line or line[0] in "#!"):
            continue
        began = began if held else number
        backslashes = len(line) - len(line.rstrip("\\"))
        if backslashes % 2:
            held += line[:-1]
            continue
        yield began, held + line
        held = ""
    if held:
        yield began, held


def _unescaped(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) > 1 else _CONTROL.get(code, code)

    return _ESCAPE.sub(character, text)


def _same(name: str) -> str:
    """What the spellings of a name have in common: an environment variable has neither dots nor dashes nor brackets."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def same_name(one: str, other: str) -> bool:
    """Whether two spellings mean the same property."""
    return _same(one) == _same(other)
