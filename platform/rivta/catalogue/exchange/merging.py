"""Changes put into the YAML files of a draft as a person would: rows that change where they stand, new ones in a file.

Text is cut and put in at the marks that the YAML reader gives, so that every other line stays as it is, byte for byte,
with its comments. Nothing here trusts that this went well: whoever merges reads the result and compares rows.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from rivta.catalogue.content import Row
from rivta.catalogue.exchange.changes import Changes, rows_of
from rivta.catalogue.exchange.row_text import (
    Field,
    Group,
    Spell,
    block_item,
    bound_text,
    entry,
    filters,
    flow_item,
    groups,
    others,
    resolution_lines,
    scalar,
    text,
)
from rivta.catalogue.files import ContractsByName
from rivta.catalogue.rows import (
    Bound,
    Component,
    Draft,
    NamedAddress,
    PermissionRow,
    ProducerAddress,
    Resolution,
    RouteRow,
)

_SECTIONS: tuple[tuple[str, type[Row]], ...] = (
    ("components", Component),
    ("producer_addresses", ProducerAddress),
    ("logical_addresses", NamedAddress),
    ("routes", RouteRow),
    ("permissions", PermissionRow),
)
_SECTION_OF: dict[type[Row], str] = {kind: name for name, kind in _SECTIONS}
_KINDS: dict[str, type[Row]] = dict(_SECTIONS)
_INDENT = 2


class MergeImpossible(ValueError):
    """A file is written in a way that cannot be edited row by row; the message says where and what to do."""


@dataclass(frozen=True, slots=True)
class Merging:
    """What merging needs to know beside the changes."""

    into: str
    """Name of the file that takes new rows."""
    contracts: ContractsByName
    spell: Spell
    heading: str = ""
    """The first lines of that file, where it is made; comments."""


def merge(files: Mapping[str, str], draft: Draft, changes: Changes, how: Merging) -> dict[str, str]:
    """The new text of each file that changes, by its name; `draft` is what `files` hold.

    Raises MergeImpossible.
    """
    merged: dict[str, str] = {}
    by_file: dict[str, dict[Row, Row | None]] = defaultdict(dict)
    for row, became in changes.changed.items():
        assert row.place is not None
        by_file[row.place.file][row] = became
    if changes.resolution is not None and draft.resolution is not None and draft.resolution.place is not None:
        by_file[draft.resolution.place.file][draft.resolution] = changes.resolution
    touched = {(row.place.file, row.place.line) for rows in by_file.values() for row in rows if row.place is not None}
    together: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows_of(draft):
        assert row.place is not None
        if (row.place.file, row.place.line) in touched:
            together[row.place.file, row.place.line].append(row)
    for name, rows in by_file.items():
        there = {line: some for (file, line), some in together.items() if file == name}
        merged[name] = _ChangedFile(name, files[name], how).changed(rows, there)
    added, resolution = changes.added, None if draft.resolution is not None else changes.resolution
    if added != Draft() or resolution is not None:
        before = merged.get(how.into, files.get(how.into))
        merged[how.into] = _with_rows(how, before, added, resolution)
    return {name: new for name, new in merged.items() if new != files.get(name)}


@dataclass(slots=True)
class _Text:
    """A text with places to edit."""

    name: str
    text: str
    edits: list[tuple[int, int, str]] = field(default_factory=list)

    @property
    def newline(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    def edit(self, start: int, end: int, new: str) -> None:
        self.edits.append((start, end, new))

    def insert_lines(self, behind: int, lines: Sequence[str]) -> None:
        """Put lines behind the line that the character before `behind` is on."""
        at = self.end_of_line(behind)
        new = self.newline.join(lines)
        if at < len(self.text) or self.text.endswith("\n"):
            self.edit(at, at, new + self.newline)
        else:
            self.edit(at, at, self.newline + new)

    def remove_lines(self, start: int, end: int) -> None:
        """Remove all lines from that of `start` to that of the character before `end`."""
        self.edit(self.start_of_line(start), self.end_of_line(end), "")

    def start_of_line(self, at: int) -> int:
        return self.text.rfind("\n", 0, at) + 1

    def end_of_line(self, behind: int) -> int:
        """The start of the next line."""
        if behind and self.text[behind - 1] == "\n":
            return behind
        found = self.text.find("\n", behind)
        return len(self.text) if found < 0 else found + 1

    def column(self, at: int) -> int:
        return at - self.start_of_line(at)

    def is_first_on_line(self, at: int) -> bool:
        return not self.text[self.start_of_line(at) : at].strip(" ")

    def result(self) -> str:
        parts, done = [], 0
        for start, end, new in sorted(self.edits, key=lambda one: one[:2]):
            if start < done:
                raise MergeImpossible(f"{self.name}: two changes fall on the same place; write its rows on lines apart")
            parts += [self.text[done:start], new]
            done = end
        return "".join([*parts, self.text[done:]])


def _root(name: str, text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise MergeImpossible(f"{name}: not YAML: {error}") from error


def _sections(root: yaml.Node | None) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    if not isinstance(root, yaml.MappingNode):
        return {}
    return {key.value: (key, value) for key, value in root.value if isinstance(key, yaml.ScalarNode)}


def _start(node: yaml.Node) -> int:
    return int(node.start_mark.index)


def _end(node: yaml.Node) -> int:
    """Behind the last character of a node: what the reader calls the end of a block is the start of what follows it."""
    if isinstance(node, yaml.CollectionNode) and not _is_flow(node) and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _is_flow(node: yaml.Node) -> bool:
    """Written in braces or brackets."""
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


class _ChangedFile:
    """One file whose rows change where they stand."""

    def __init__(self, name: str, text: str, how: Merging) -> None:
        self._bom = "\ufeff" if text.startswith("\ufeff") else ""
        self._text = _Text(name, text.removeprefix("\ufeff"))
        self._how = how

    def changed(self, rows: Mapping[Row, Row | None], together: Mapping[int, Sequence[Row]]) -> str:
        sections = _sections(_root(self._text.name, self._text.text))
        lines: dict[str, set[int]] = defaultdict(set)
        for row in rows:
            if isinstance(row, Resolution):
                became = rows[row]
                assert isinstance(became, Resolution)
                self._replace_resolution(sections["resolution"], became)
                continue
            assert row.place is not None
            lines[_SECTION_OF[type(row)]].add(row.place.line)
        for section, numbers in lines.items():
            _, value = sections[section]
            if section in ("routes", "permissions"):
                self._change_items(value, numbers, _items_by_line(together, _KINDS[section]), rows)
            else:
                self._change_entries(value, numbers, rows)
        return self._bom + self._text.result()

    # Sections known by names

    def _change_entries(self, section: yaml.Node, numbers: set[int], rows: Mapping[Row, Row | None]) -> None:
        named = {(row.place.line, entry_name(row)): (row, became) for row, became in rows.items() if row.place}
        gone: set[int] = set()
        for at, (key, value) in enumerate(section.value):
            if _line(key) not in numbers or (_line(key), key.value) not in named:
                continue
            row, became = named[_line(key), key.value]
            if became is None:
                gone.add(at)
                continue
            self._change_fields(value, _entry_fields(row), _entry_fields(became), behind_key=_end(key))
        self._remove(section, gone, [(_start(key), _end(value)) for key, value in section.value])

    # Sections of items

    def _change_items(
        self,
        section: yaml.Node,
        numbers: set[int],
        rows_at: Mapping[int, Sequence[RouteRow | PermissionRow]],
        changes: Mapping[Row, Row | None],
    ) -> None:
        gone: set[int] = set()
        for at, item in enumerate(section.value):
            if _line(item) not in numbers:
                continue
            self._refuse_alias(item)
            rows = [row for row in rows_at[_line(item)] if self._says(item, row)]
            became = [changes.get(row, row) for row in rows]
            if became == rows:
                continue
            left = [row for row in became if isinstance(row, RouteRow | PermissionRow)]
            if not left:
                gone.add(at)
                continue
            self._rewrite(section, item, rows[0], groups(left))
        self._remove(section, gone, [(_start(item), _end(item)) for item in section.value])

    def _rewrite(self, section: yaml.Node, item: yaml.Node, was: RouteRow | PermissionRow, wanted: list[Group]) -> None:
        """Make the item the group that is most like it, and put the other groups behind it."""
        stays = next((one for one in wanted if others(one.first) == others(was)), wanted[0])
        nodes = {key.value: value for key, value in item.value}
        self._shorten(nodes["logical_address"], set(stays.addresses), str)
        self._shorten(nodes["contracts"], set(stays.contracts), self._namespace)
        if "consumer" in nodes:
            self._shorten(nodes["consumer"], set(stays.consumers), str)
        self._change_fields(item, _row_fields(was), _row_fields(stays.first))
        more = [one.fields(self._how.spell) for one in wanted if one is not stays]
        if _is_flow(section):
            self._text.edit(_end(item), _end(item), "".join(f", {flow_item(fields)}" for fields in more))
        elif more:
            dash = self._text.column(self._dash(item))
            self._text.insert_lines(_end(item), [line for fields in more for line in block_item(fields, dash)])

    def _says(self, item: yaml.Node, row: RouteRow | PermissionRow) -> bool:
        """Whether this item is where the row is written: several may start on one line."""
        nodes = {key.value: value for key, value in item.value}
        return (
            row.logical_address in _texts(nodes["logical_address"])
            and row.contract in map(self._namespace, _texts(nodes["contracts"]))
            and (isinstance(row, RouteRow) or row.consumer in _texts(nodes["consumer"]))
        )

    def _namespace(self, written: str) -> str:
        if written.startswith("urn:"):
            return written
        try:
            return self._how.contracts.find(written).namespace
        except LookupError:
            return written

    def _shorten(self, node: yaml.Node, keep: set[str], meaning: Callable[[str], str]) -> None:
        """Take out of a list what is not to be kept."""
        if not isinstance(node, yaml.SequenceNode):
            return
        places = [(_start(one), _end(one)) for one in node.value]
        self._remove(node, {at for at, one in enumerate(node.value) if meaning(one.value) not in keep}, places)

    def _change_fields(
        self, node: yaml.Node, was: Mapping[str, str], wanted: Mapping[str, str], *, behind_key: int = 0
    ) -> None:
        """Make the fields of a row what is wanted; what is the same stays as it is written."""
        different = {key: wanted.get(key, "") for key in (*was, *wanted) if was.get(key, "") != wanted.get(key, "")}
        if not different:
            return
        if not isinstance(node, yaml.MappingNode):
            blank = " " if _start(node) <= behind_key else ""
            fields = ", ".join(f"{key}: {value}" for key, value in wanted.items() if value)
            self._text.edit(max(_start(node), behind_key), max(_end(node), behind_key), f"{blank}{{{fields}}}")
            return
        self._refuse_alias(node)
        keys = [key.value for key, _ in node.value]
        places = [(_start(key), _end(value)) for key, value in node.value]
        new: list[str] = []
        gone: set[int] = set()
        for name, value in different.items():
            if name not in keys:
                new += [f"{name}: {value}"] if value else []
            elif value:
                old = node.value[keys.index(name)][1]
                blank = " " if _start(old) == _end(old) and self._text.text[_start(old) - 1] == ":" else ""
                self._text.edit(_start(old), _end(old), f"{blank}{value}")
            else:
                gone.add(keys.index(name))
        self._remove(node, gone, places)
        if new and _is_flow(node):
            behind = places[-1][1] if places else _start(node) + 1
            self._text.edit(behind, behind, "".join(f"{', ' if places else ''}{one}" for one in new))
        elif new:
            indent = " " * self._text.column(places[0][0])
            self._text.insert_lines(places[-1][1], [indent + one for one in new])

    def _remove(self, parent: yaml.Node, gone: set[int], places: Sequence[tuple[int, int]]) -> None:
        """Take items, or keys with their values, out of their parent."""
        for at in sorted(gone):
            start, end = places[at]
            if not _is_flow(parent):
                self._remove_lines(self._dash_before(start) if isinstance(parent, yaml.SequenceNode) else start, end)
            elif any(before not in gone for before in range(at)):
                self._text.edit(places[at - 1][1], end, "")
            else:
                self._text.edit(start, places[at + 1][0] if at + 1 < len(places) else end, "")

    def _remove_lines(self, start: int, end: int) -> None:
        if not self._text.is_first_on_line(start):
            raise MergeImpossible(
                f"{self._text.name}:{self._text.text.count(chr(10), 0, start) + 1}: what goes stands on one line "
                "with what stays; write it on a line of its own"
            )
        self._text.remove_lines(start, end)

    def _dash(self, item: yaml.Node) -> int:
        return self._dash_before(_start(item))

    def _dash_before(self, start: int) -> int:
        at = self._text.text.rfind("-", 0, start)
        if at < 0 or self._text.text[at + 1 : start].strip():
            raise MergeImpossible(f"{self._text.name}: a list is written in a way that is not edited here")
        return at

    def _refuse_alias(self, node: yaml.Node) -> None:
        """What is written elsewhere and only named here (`*name`) cannot be edited here."""
        start, end = _start(node), int(node.end_mark.index)
        for part in _below(node):
            if not start <= _start(part) <= int(part.end_mark.index) <= end:
                raise MergeImpossible(
                    f"{self._text.name}:{_line(node)}: the row uses an alias (*name); write out what it stands for"
                )

    def _replace_resolution(self, section: tuple[yaml.Node, yaml.Node], became: Resolution) -> None:
        key, value = section
        lines = [" " * _INDENT + line for line in resolution_lines(became, self._how.spell)]
        new = self._text.newline.join(["resolution:", *lines])
        self._text.edit(_start(key), _end(value), new)


def _items_by_line(together: Mapping[int, Sequence[Row]], kind: type[Row]) -> dict[int, list[RouteRow | PermissionRow]]:
    return {
        line: [row for row in rows if isinstance(row, kind) and isinstance(row, RouteRow | PermissionRow)]
        for line, rows in together.items()
    }


def _below(node: yaml.Node) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            for part in pair:
                yield part
                yield from _below(part)
    elif isinstance(node, yaml.SequenceNode):
        for part in node.value:
            yield part
            yield from _below(part)


def _texts(node: yaml.Node) -> list[str]:
    return [one.value for one in node.value] if isinstance(node, yaml.SequenceNode) else [node.value]


def entry_name(row: Row) -> str:
    """The key that a row of a section known by names stands under; empty for other rows."""
    match row:
        case Component():
            return row.hsa_id
        case ProducerAddress():
            return row.name
        case NamedAddress():
            return row.logical_address
    return ""


def _entry_fields(row: Row) -> dict[str, str]:
    match row:
        case Component():
            return {"name": text(row.name) if row.name else "", "platform": "true" if row.platform else ""}
        case NamedAddress():
            return {"name": text(row.name) if row.name else ""}
        case ProducerAddress():
            return {
                "component": scalar(row.component),
                "url": text(row.url),
                "profile": row.profile.value,
                "client_certificate": scalar(row.client_certificate) if row.client_certificate else "",
                "ca": scalar(row.ca) if row.ca else "",
            }
    return {}


def _row_fields(row: RouteRow | PermissionRow) -> dict[str, str]:
    """All of a row but what it lists."""
    bounds = {"valid_from": _bound(row.valid_from), "valid_to": _bound(row.valid_to)}
    if isinstance(row, RouteRow):
        return {"producer_address": scalar(row.producer_address), **bounds}
    return {**bounds, "agreement": scalar(row.agreement), "filters": filters(row.filters) if row.filters else ""}


def _bound(bound: Bound | None) -> str:
    return "" if bound is None else bound_text(bound)


def _with_rows(how: Merging, before: str | None, added: Draft, resolution: Resolution | None) -> str:
    """The file that takes new rows, with them at the ends of its sections."""
    whole = _Text(how.into, (how.heading if before is None else before).removeprefix("\ufeff"))
    sections = _sections(_root(how.into, whole.text))
    tail: list[str] = []
    for name, kind in _SECTIONS:
        rows = [row for row in rows_of(added) if isinstance(row, kind)]
        if not rows:
            continue
        if name not in sections:
            tail += [*([""] if tail or whole.text.strip() else []), f"{name}:", *_block(rows, _INDENT, how.spell)]
        else:
            _append(whole, *sections[name], rows, how.spell)
    if resolution is not None:
        lines = [" " * _INDENT + line for line in resolution_lines(resolution, how.spell)]
        tail += [*([""] if tail or whole.text.strip() else []), "resolution:", *lines]
    if tail:
        end = len(whole.text)
        is_open = whole.text and not whole.text.endswith("\n")
        whole.edit(end, end, (whole.newline if is_open else "") + whole.newline.join([*tail, ""]))
    bom = "\ufeff" if before is not None and before.startswith("\ufeff") else ""
    return bom + whole.result()


def _append(whole: _Text, key: yaml.Node, value: yaml.Node, rows: Sequence[Row], spell: Spell) -> None:
    """Put rows at the end of a section that is there."""
    if not value.value or isinstance(value, yaml.ScalarNode):
        if _end(value) > _start(value):
            whole.edit(_start(value), _end(value), "")
        behind = max(_end(key), _end(value)) if _line(value) == _line(key) else _end(key)
        whole.insert_lines(behind, _block(rows, whole.column(_start(key)) + _INDENT, spell))
    elif _is_flow(value):
        last = value.value[-1]
        behind = _end(last[1] if isinstance(last, tuple) else last)
        whole.edit(behind, behind, "".join(f", {one}" for one in _flow(rows, spell)))
    else:
        first = value.value[0]
        start = _start(first[0] if isinstance(first, tuple) else first)
        indent = whole.column(whole.text.rfind("-", 0, start) if isinstance(value, yaml.SequenceNode) else start)
        whole.insert_lines(_end(value), _block(rows, indent, spell))


def _block(rows: Sequence[Row], indent: int, spell: Spell) -> list[str]:
    entries, items = _written(rows, spell)
    lines = [f"{' ' * indent}{key}: {value}" for key, value in entries]
    return lines + list(itertools.chain.from_iterable(block_item(fields, indent) for fields in items))


def _flow(rows: Sequence[Row], spell: Spell) -> list[str]:
    entries, items = _written(rows, spell)
    return [f"{key}: {value}" for key, value in entries] + [flow_item(fields) for fields in items]


def _written(rows: Sequence[Row], spell: Spell) -> tuple[list[tuple[str, str]], list[list[Field]]]:
    named = [entry(row) for row in rows if isinstance(row, Component | NamedAddress | ProducerAddress)]
    dated = [row for row in rows if isinstance(row, RouteRow | PermissionRow)]
    return named, [group.fields(spell) for group in groups(dated)]
