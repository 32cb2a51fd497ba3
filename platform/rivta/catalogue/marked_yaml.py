"""YAML files read with the place of everything in them; what is wrong is collected, not raised.

The one module that speaks PyYAML. Values are taken as they are spelled, so that the logical address 5565594230 is text
and the country code NO no boolean.
"""

import os
import re
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

import yaml

from rivta.catalogue.rows import Place, Problem

MAX_DEPTH = 20
"""Tables nest four deep; libyaml's composer overflows the stack on a hundred thousand levels."""

MAX_BYTES = 256 * 1024 * 1024

_NULL = "tag:yaml.org,2002:null"
_TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def yaml_files(path: Path) -> tuple[Path, ...]:
    """The YAML files that `path` stands for: itself, or those in the folder by name, without editors' own files."""
    if not path.is_dir():
        return (path,)
    names = sorted(entry.name for entry in os.scandir(path))
    return tuple(path / name for name in names if name.endswith((".yaml", ".yml")) and not name.startswith("."))


class YamlFile:
    """One file being read; every mistake goes to `problems`."""

    def __init__(self, path: Path, name: str, problems: list[Problem]) -> None:
        self.name = name
        self.root: yaml.Node | None = None
        self.data = b""
        """What was read, as it is on the disk; empty when nothing could be."""
        self._problems = problems
        self.is_readable = self._load(path)

    @property
    def mistakes(self) -> int:
        """How many were noted so far, in all files together."""
        return len(self._problems)

    def place(self, node: yaml.Node) -> Place:
        """Where `node` starts."""
        return Place(self.name, node.start_mark.line + 1)

    def complain(self, node: yaml.Node | None, rule: str, message: str) -> None:
        """Note a mistake at `node`, or in the file as a whole."""
        self._problems.append(Problem(self.name, self.place(node).line if node else 0, rule, message))

    def entries(
        self, node: yaml.Node, where: str, allowed: Collection[str] | None = None
    ) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Key to (key node, value node) of a mapping; keys that come twice or are not `allowed` are mistakes."""
        if not isinstance(node, yaml.MappingNode):
            if not is_null(node):
                self.complain(node, "wrong-type", f"{where}: expected `key: value` pairs, got {_kind(node)}")
            return {}
        found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.complain(key, "wrong-type", f"{where}: a key must be text, got {_kind(key)}")
            elif key.value in found:
                first = self.place(found[key.value][0])
                self.complain(
                    key, "duplicate-key", f"{where}: {key.value!r} stands here a second time, first at {first}"
                )
            elif allowed is not None and key.value not in allowed:
                names = ", ".join(sorted(allowed))
                self.complain(key, "unknown-key", f"{where}: unknown key {key.value!r}; allowed are {names}")
            else:
                found[key.value] = (key, value)
        return found

    def items(self, node: yaml.Node, where: str) -> Iterator[yaml.Node]:
        """The items of a list."""
        if isinstance(node, yaml.SequenceNode):
            yield from node.value
        elif not is_null(node):
            self.complain(
                node, "wrong-type", f"{where}: expected a list, each item starting with `- `, got {_kind(node)}"
            )

    def text(self, node: yaml.Node, where: str, *, may_be_empty: bool = False) -> str | None:
        """A scalar as it is spelled; None, after a complaint, for anything else."""
        if not isinstance(node, yaml.ScalarNode) or is_null(node):
            self.complain(node, "wrong-type", f"{where}: expected text, got {_kind(node)}")
            return None
        value = str(node.value)
        if not value.strip() and not may_be_empty:
            self.complain(node, "wrong-type", f"{where}: expected text, got only blanks")
            return None
        if value != value.strip() or not value.isprintable():
            self.complain(
                node, "wrong-type", f"{where}: {value!r} begins or ends with a blank, or holds unprintable characters"
            )
            return None
        return value

    def texts(self, node: yaml.Node, where: str) -> tuple[tuple[yaml.Node, str], ...] | None:
        """One text or a list of them, each once; None, after a complaint, when anything is wrong."""
        nodes = list(node.value) if isinstance(node, yaml.SequenceNode) else [node]
        if not nodes:
            self.complain(node, "wrong-type", f"{where}: the list is empty; expected at least one")
            return None
        found: dict[str, yaml.Node] = {}
        is_right = True
        for item in nodes:
            value = self.text(item, where)
            if value is None:
                is_right = False
            elif value in found:
                self.complain(item, "duplicate-key", f"{where}: {value!r} stands twice in the list")
                is_right = False
            else:
                found[value] = item
        return tuple((item, value) for value, item in found.items()) if is_right else None

    def truth(self, node: yaml.Node, where: str) -> bool | None:
        """`true` or `false`; None, after a complaint, for anything else."""
        value = _TRUTHS.get(node.value.lower()) if isinstance(node, yaml.ScalarNode) else None
        if value is None:
            shown = repr(node.value) if isinstance(node, yaml.ScalarNode) else _kind(node)
            self.complain(node, "wrong-type", f"{where}: expected true or false, got {shown}")
        return value

    def _load(self, path: Path) -> bool:
        text = self._read(path)
        if text is None:
            return False
        if not text.strip():
            # What an editor or a full disk leaves behind: nobody asks in this way for the rows to go.
            self._complain_at(0, "empty-file", "is empty; delete it if what it held is to go, or write that again")
            return False
        try:
            if _is_too_deep(text):
                self._complain_at(0, "syntax", f"nested more than {MAX_DEPTH} deep; a table needs four levels")
                return False
            self.root = yaml.compose(text, Loader=yaml.CSafeLoader)
        except yaml.YAMLError as error:
            self._complain_syntax(error, text)
            return False
        return True

    def _read(self, path: Path) -> str | None:
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                self._complain_at(0, "unreadable", "is not a regular file; move it away or give a file")
                return None
            if status.st_size > MAX_BYTES:
                self._complain_at(0, "unreadable", f"is larger than {MAX_BYTES // 2**20} MB; split it")
                return None
            self.data = data = path.read_bytes()
        except OSError as error:
            self._complain_at(0, "unreadable", f"cannot be read: {error.strerror}")
            return None
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            self._complain_at(
                line, "encoding", f"is not UTF-8: byte 0x{data[error.start]:02x} has no meaning there; save it as UTF-8"
            )
            return None

    def _complain_syntax(self, error: yaml.YAMLError, text: str) -> None:
        if isinstance(error, yaml.MarkedYAMLError):
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 0
            message = " ".join(part for part in (error.context, error.problem) if part)
        elif isinstance(error, yaml.reader.ReaderError):
            line = text.count("\n", 0, error.position) + 1
            message = f"character #x{_code_point(error.character):04x} is not allowed in YAML"
        else:
            line, message = 0, str(error)
        lines = text.splitlines()
        line = min(line, len(lines))  # what is missing at the end is missing on a line after it
        if 0 < line <= len(lines) and re.search(r"[{,]\s*\w+:\s*\$\{", lines[line - 1]):
            message += '; inside { } put quotes around "${...}"'
        self._complain_at(line, "syntax", f"not YAML: {message}")

    def _complain_at(self, line: int, rule: str, message: str) -> None:
        self._problems.append(Problem(self.name, line, rule, message))


def is_null(node: yaml.Node) -> bool:
    """Nothing was written: an empty value, `~` or `null`."""
    return isinstance(node, yaml.ScalarNode) and node.tag == _NULL


def _is_too_deep(text: str) -> bool:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return False


def _code_point(character: object) -> int:
    return character if isinstance(character, int) else ord(str(character)[0])


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return "nothing" if is_null(node) else repr(node.value)
