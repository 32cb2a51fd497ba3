"""Two messages compared by what they mean: names, attributes and values, never prefixes, blanks between elements, or
order where that was said not to count. Pure functions; the differences are as few and as small as they can be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Enum

from lxml import etree

from rivta.soap import namespaces
from rivta.testing.documents import Document

MOST_DIFFERENCES = 50
"""That are shown; more are counted."""

_LONGEST_ALIGNED = 400
"""Children that are lined up with care; more are taken in order."""
_LONGEST_MATCHED = 40
"""Unordered children that are paired by likeness."""
_SHOWN = 200
"""Characters of a value."""
_HINTS = frozenset(
    f"{{{namespaces.XML_SCHEMA_INSTANCE}}}{name}" for name in ("schemaLocation", "noNamespaceSchemaLocation")
)
_TYPE = f"{{{namespaces.XML_SCHEMA_INSTANCE}}}type"
_EMPTY_HEADER = f"{{{namespaces.SOAP_ENVELOPE}}}Header"
_NONE: frozenset[tuple[etree._Element, str]] = frozenset()


class Kind(Enum):
    """How two messages differ at one place."""

    VALUE = "value"
    MISSING = "missing"
    """Expected, and not there."""
    EXTRA = "extra"
    """There, and not expected."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two messages differ."""

    path: str
    """By local names, with a number where several are called the same: `/Envelope/Body/.../diagnosis[2]/code`."""
    kind: Kind
    expected: str
    """Empty for what is extra."""
    actual: str
    """Empty for what is missing."""

    def __str__(self) -> str:
        match self.kind:
            case Kind.VALUE:
                return f"{self.path}: expected {self.expected!r}, got {self.actual!r}"
            case Kind.MISSING:
                return f"{self.path}: missing, expected {self.expected!r}" if self.expected else f"{self.path}: missing"
            case Kind.EXTRA:
                return (
                    f"{self.path}: not expected, got {self.actual!r}" if self.actual else f"{self.path}: not expected"
                )


@dataclass(frozen=True, slots=True)
class Node:
    """An element as it is compared. Equal ones mean the same."""

    name: str
    """`{namespace}local`."""
    attributes: tuple[tuple[str, str], ...]
    text: str
    children: tuple[Node, ...]
    is_masked: bool = False
    is_unordered: bool = False

    @property
    def local(self) -> str:
        return self.name.rpartition("}")[2]


@dataclass(frozen=True, slots=True)
class Rules:
    """What does not count. XPaths, as `Document` reads them."""

    masks: tuple[str, ...] = ()
    """Elements and attributes whose content may be anything, as long as they are there."""
    unordered: tuple[str, ...] = ()
    """Elements whose order among each other says nothing."""


def compare(expected: Document, actual: Document, rules: Rules = Rules()) -> list[Difference]:
    """Every place where the two differ, in the order of the expected one. Raises BadPath."""
    found: list[Difference] = []
    _compare(canonical(expected, rules), canonical(actual, rules), "", found)
    return found


def canonical(document: Document, rules: Rules = Rules()) -> Node:
    """The message as it is compared: equal for two that mean the same, but for the order of what is unordered."""
    masked = document.marked(rules.masks) if rules.masks else _NONE
    unordered = document.marked(rules.unordered) if rules.unordered else _NONE
    return _node(document.root, masked, unordered)


def _node(
    element: etree._Element,
    masked: frozenset[tuple[etree._Element, str]],
    unordered: frozenset[tuple[etree._Element, str]],
) -> Node:
    is_unordered = (element, "") in unordered
    name = str(element.tag)
    if (element, "") in masked:
        return Node(name, (), "", (), is_masked=True, is_unordered=is_unordered)
    children = tuple(_node(child, masked, unordered) for child in element.iterchildren(etree.Element))
    # A header that holds nothing says what none says.
    children = tuple(one for one in children if one.name != _EMPTY_HEADER or one.children or one.is_masked)
    return Node(
        name, tuple(_attributes(element, masked)), _text(element, bool(children)), children, False, is_unordered
    )


def _attributes(element: etree._Element, masked: frozenset[tuple[etree._Element, str]]) -> Iterator[tuple[str, str]]:
    for name, value in sorted((str(name), str(value)) for name, value in element.items()):
        if name in _HINTS:
            continue
        if (element, name.rpartition("}")[2]) in masked:
            yield name, ""
        else:
            yield name, _expanded(element, value) if name == _TYPE else value


def _text(element: etree._Element, has_children: bool) -> str:
    text = (element.text or "") + "".join(child.tail or "" for child in element)
    if has_children:
        return text.strip()
    # SOAP 1.1 section 4.4: a faultcode is a qualified name, of which the prefix says nothing.
    return _expanded(element, text.strip()) if element.tag == "faultcode" else text if text.strip() else ""


def _expanded(element: etree._Element, qualified: str) -> str:
    prefix, colon, local = qualified.strip().rpartition(":")
    namespace = element.nsmap.get(prefix if colon else None)
    return f"{{{namespace}}}{local}" if namespace else qualified


def _compare(expected: Node, actual: Node, parent: str, found: list[Difference], label: str = "") -> None:
    path = f"{parent}/{label or expected.local}"
    if expected.name != actual.name:
        found.append(Difference(path, Kind.VALUE, expected.name, actual.name))
        return
    if expected.is_masked or actual.is_masked or expected == actual:
        return
    _compare_attributes(expected, actual, path, found)
    if expected.text != actual.text:
        found.append(Difference(path, Kind.VALUE, _short(expected.text), _short(actual.text)))
    if expected.children != actual.children:
        _compare_children(expected, actual, path, found)


def _compare_attributes(expected: Node, actual: Node, path: str, found: list[Difference]) -> None:
    wanted, got = dict(expected.attributes), dict(actual.attributes)
    for name in dict.fromkeys((*wanted, *got)):
        place = f"{path}/@{name.rpartition('}')[2]}"
        if name not in got:
            found.append(Difference(place, Kind.MISSING, _short(wanted[name]), ""))
        elif name not in wanted:
            found.append(Difference(place, Kind.EXTRA, "", _short(got[name])))
        elif wanted[name] != got[name]:
            found.append(Difference(place, Kind.VALUE, _short(wanted[name]), _short(got[name])))


def _compare_children(expected: Node, actual: Node, path: str, found: list[Difference]) -> None:
    labels = _labels(expected.children), _labels(actual.children)
    wanted, got = _split(expected.children), _split(actual.children)
    pairs = [*_aligned(expected.children, actual.children, wanted[0], got[0])]
    pairs += _matched(expected.children, actual.children, wanted[1], got[1])
    # In the order of the message, what is extra behind all that was expected.
    for one, other in sorted(pairs, key=lambda pair: (pair[0] is None, pair[0] or 0, pair[1] or 0)):
        if one is None and other is not None:
            extra = actual.children[other]
            found.append(Difference(f"{path}/{labels[1][other]}", Kind.EXTRA, "", _summary(extra)))
        elif other is None and one is not None:
            found.append(Difference(f"{path}/{labels[0][one]}", Kind.MISSING, _summary(expected.children[one]), ""))
        elif one is not None and other is not None:
            _compare(expected.children[one], actual.children[other], path, found, labels[0][one])


def _split(children: Sequence[Node]) -> tuple[list[int], list[int]]:
    """The children whose order counts, and those whose order does not, by their number."""
    ordered = [number for number, one in enumerate(children) if not one.is_unordered]
    return ordered, [number for number, one in enumerate(children) if one.is_unordered]


_Pair = tuple[int | None, int | None]


def _aligned(expected: Sequence[Node], actual: Sequence[Node], ones: list[int], others: list[int]) -> Iterator[_Pair]:
    """Who is compared with whom where order counts: equal ones where they line up, else those of one name in turn."""
    start = 0
    while start < min(len(ones), len(others)) and expected[ones[start]] == actual[others[start]]:
        start += 1
    end = 0
    while end < min(len(ones), len(others)) - start and expected[ones[-1 - end]] == actual[others[-1 - end]]:
        end += 1
    left, right = ones[start : len(ones) - end], others[start : len(others) - end]
    if max(len(left), len(right)) > _LONGEST_ALIGNED:
        yield from _in_turn(expected, actual, left, right)
        return
    matcher = SequenceMatcher(None, [expected[one] for one in left], [actual[one] for one in right], autojunk=False)
    for tag, first, last, first_other, last_other in matcher.get_opcodes():
        if tag != "equal":
            yield from _in_turn(expected, actual, left[first:last], right[first_other:last_other])


def _matched(expected: Sequence[Node], actual: Sequence[Node], ones: list[int], others: list[int]) -> Iterator[_Pair]:
    """The same where it does not: equal ones wherever they stand, then the most alike."""
    waiting: dict[Node, list[int]] = defaultdict(list)
    for other in others:
        waiting[_sorted(actual[other])].append(other)
    left = []
    for one in ones:
        same = waiting.get(_sorted(expected[one]))
        if same:
            same.pop(0)
        else:
            left.append(one)
    right = sorted(other for some in waiting.values() for other in some)
    if max(len(left), len(right)) > _LONGEST_MATCHED:
        yield from _in_turn(expected, actual, left, right)
        return
    for one in left:
        named = [other for other in right if actual[other].name == expected[one].name]
        best = max(named, key=lambda other: _likeness(expected[one], actual[other]), default=None)
        if best is not None:
            right.remove(best)
        yield one, best
    yield from ((None, other) for other in right)


def _in_turn(expected: Sequence[Node], actual: Sequence[Node], left: list[int], right: list[int]) -> Iterator[_Pair]:
    """Those of one name in the order they come; whoever is left over is alone."""
    waiting: dict[str, list[int]] = defaultdict(list)
    for other in reversed(right):
        waiting[actual[other].name].append(other)
    for one in left:
        same = waiting.get(expected[one].name)
        yield one, same.pop() if same else None
    yield from ((None, other) for some in waiting.values() for other in reversed(some))


def _sorted(node: Node) -> Node:
    """The node with what is unordered in it in an order of its own, so that equal ones are found by their hash."""
    children = tuple(_sorted(child) for child in node.children)
    ordered = [child for child in children if not child.is_unordered]
    loose = sorted((child for child in children if child.is_unordered), key=repr)
    return Node(node.name, node.attributes, node.text, (*ordered, *loose), node.is_masked, node.is_unordered)


def _likeness(one: Node, other: Node) -> int:
    """How many leaves of the two say the same."""
    return len(set(_leaves(one, "")) & set(_leaves(other, "")))


def _leaves(node: Node, path: str) -> Iterator[tuple[str, str]]:
    here = f"{path}/{node.name}"
    if node.text:
        yield here, node.text
    for child in node.children:
        yield from _leaves(child, here)


def _labels(children: Sequence[Node]) -> list[str]:
    """The children as a path names them: with a number where several have one name."""
    total: dict[str, int] = defaultdict(int)
    for child in children:
        total[child.local] += 1
    seen: dict[str, int] = defaultdict(int)
    labels = []
    for child in children:
        seen[child.local] += 1
        labels.append(f"{child.local}[{seen[child.local]}]" if total[child.local] > 1 else child.local)
    return labels


def _summary(node: Node) -> str:
    """What an element holds, shortly."""
    return _short(" ".join(text.strip() for _, text in _leaves(node, "") if text.strip()))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
