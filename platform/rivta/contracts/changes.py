"""What differs between two versions of a contract, and who of those that were made for the old one is hurt by it.

Messages are compared as trees. For each change it is known whether a message that fits one version fits the other, as
far as that change goes; where it cannot be known, the answer is no.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal

from lxml import etree

from rivta.contracts.domain import Contract
from rivta.contracts.tree import (
    Attribute,
    Node,
    Values,
    Wildcard,
    in_words,
    load_schema,
    message_tree,
    occurrence,
    walk,
)

Message = Literal["request", "response"]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference at one element."""

    path: str
    """From the root, as `/GetDiagnosis/patientId/id`, by the names of the old version where it is there."""
    kind: str
    """`added`, `removed`, `renamed`, `moved`, `occurrence`, `groups`, `type`, `values`, `attribute`, `extension`."""
    text: str
    """In words."""
    old_fits_new: bool
    """A message of the old version fits the new one."""
    new_fits_old: bool
    """A message of the new version fits the old one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A change in one of a contract's messages."""

    operation: str
    message: Message
    change: Change

    @property
    def hurts_consumer(self) -> bool:
        """A consumer made for the old version sends what the new one does not have, or is sent it."""
        return not (self.change.old_fits_new if self.message == "request" else self.change.new_fits_old)

    @property
    def hurts_producer(self) -> bool:
        """The same of a producer."""
        return not (self.change.new_fits_old if self.message == "request" else self.change.old_fits_new)

    @property
    def consequence(self) -> str:
        """What comes of it, in words."""
        if self.message == "request":
            words = {
                (True, False): "requests made for the old version may be refused",
                (False, True): "a producer made for the old version may refuse requests made for the new one",
                (True, True): "each version may refuse requests made for the other",
            }
        else:
            words = {
                (True, False): "a consumer made for the old version that reads strictly breaks",
                (False, True): "answers made for the old version may not fit the new one",
                (True, True): "each version's answers may not fit the other",
            }
        return words.get((self.hurts_consumer, self.hurts_producer), "nobody breaks")


@dataclass(frozen=True, slots=True)
class Difference:
    """All that differs between two versions of a contract."""

    old: Contract
    new: Contract
    namespaces: tuple[tuple[str, str], ...]
    """(old, new) of each namespace that became another: then every message of one version is foreign to the other."""
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    """Operations that only one version has."""
    findings: tuple[Finding, ...]

    @property
    def consumer_breaks(self) -> bool:
        """A consumer made for the old version does not work with every producer of the new one."""
        return bool(self.namespaces or self.only_old) or any(one.hurts_consumer for one in self.findings)

    @property
    def producer_breaks(self) -> bool:
        """A producer made for the old version does not work with every consumer of the new one."""
        return bool(self.namespaces or self.only_new) or any(one.hurts_producer for one in self.findings)


def compare_contracts(old: Contract, new: Contract) -> Difference:
    """Compares the two messages of every operation. Raises ContractFileError, and ValueError for giant schemas."""
    schemas = load_schema(old), load_schema(new)
    theirs = {operation.name: operation for operation in new.operations}
    findings: list[Finding] = []
    namespaces: dict[str, str] = {}
    for operation in old.operations:
        other = theirs.get(operation.name)
        if other is None:
            continue
        pairs: tuple[tuple[Message, str, str], ...] = (
            ("request", operation.request, other.request),
            ("response", operation.response, other.response),
        )
        for message, root, other_root in pairs:
            trees = message_tree(schemas[0], root), message_tree(schemas[1], other_root)
            namespaces |= renamed_namespaces(*trees)
            findings += [Finding(operation.name, message, change) for change in compare(*trees)]
    ours = {operation.name for operation in old.operations}
    return Difference(
        old=old,
        new=new,
        namespaces=tuple(sorted(namespaces.items())),
        only_old=tuple(sorted(ours - theirs.keys())),
        only_new=tuple(sorted(theirs.keys() - ours)),
        findings=tuple(findings),
    )


def compare(old: Node, new: Node) -> tuple[Change, ...]:
    """What differs between two messages, in the order of the old one; namespaces are left to `renamed_namespaces`."""
    return tuple(_Comparison(renamed_namespaces(old, new)).nodes(old, new, f"/{old.local}"))


def renamed_namespaces(old: Node, new: Node) -> dict[str, str]:
    """Old and new namespace of the elements that both messages have, where they differ.

    Also of those that are one namespace but for the version at their end, when each message has only one of the two.
    """
    ours, theirs = ({_namespace(node) for _, node in walk(tree)} for tree in (old, new))
    versions = {
        left: right
        for left in ours - theirs
        for right in theirs - ours
        if left.rpartition(":")[0] and left.rpartition(":")[0] == right.rpartition(":")[0]
    }
    return versions | dict(_renamed_of_namesakes(old, new))


def _renamed_of_namesakes(old: Node, new: Node) -> Iterator[tuple[str, str]]:
    if _namespace(old) != _namespace(new):
        yield _namespace(old), _namespace(new)
    for left, right in _matched(old, new):
        yield from _renamed_of_namesakes(left, right)


class _Comparison:
    def __init__(self, namespaces: dict[str, str]) -> None:
        """`namespaces` gives the new one for each old one that became another."""
        self._forwards = namespaces
        self._backwards = {new: old for old, new in namespaces.items()}

    def nodes(self, old: Node, new: Node, path: str) -> Iterator[Change]:
        if (old.least, old.most) != (new.least, new.most):
            yield Change(
                path,
                "occurrence",
                f"stands {occurrence(new.least, new.most)} times instead of {occurrence(old.least, old.most)}",
                old_fits_new=_is_within(old, new),
                new_fits_old=_is_within(new, old),
            )
        if old.nillable != new.nillable:
            text = "may be said to be nil (xsi:nil)" if new.nillable else "may no longer be said to be nil (xsi:nil)"
            yield Change(path, "values", text, old_fits_new=new.nillable, new_fits_old=old.nillable)
        yield from _compare_attributes(old.attributes, new.attributes, path)
        if (old.values is None) != (new.values is None):
            yield _other_content(old, new, path)
        elif old.values is not None and new.values is not None:
            yield from _compare_values(old.values, new.values, path)
        elif not (old.recurs or new.recurs):
            yield from self._children(old, new, path)
            yield from _compare_wildcards(old.wildcards, new.wildcards, path)
        elif old.recurs != new.recurs or old.type_name != new.type_name:
            yield Change(path, "type", "is nested within itself in another way", old_fits_new=False, new_fits_old=False)

    def _children(self, old: Node, new: Node, path: str) -> Iterator[Change]:
        pairs = _matched(old, new)
        renamed = _renamed(old, new)
        ours = {id(left) for left, _ in (*pairs, *renamed)}
        theirs = {id(right) for _, right in (*pairs, *renamed)}
        if old.model != new.model:
            text = f"is grouped as {new.model or 'a sequence'} instead of {old.model or 'a sequence'}"
            yield Change(path, "groups", text, old_fits_new=False, new_fits_old=False)
        elif not old.model:
            for child in _moved(pairs, new):
                yield Change(
                    f"{path}/{child.local}", "moved", "stands elsewhere", old_fits_new=False, new_fits_old=False
                )
        for left, right in renamed:
            text = f"is called {right.local} now"
            yield Change(f"{path}/{left.local}", "renamed", text, old_fits_new=False, new_fits_old=False)
        for left, right in pairs:
            yield from self.nodes(left, right, f"{path}/{left.local}")
        for child in old.children:
            if id(child) not in ours and child.most != 0:
                is_taken = _is_taken(child, old, new, [left for left, _ in pairs], self._forwards)
                text, optional = _of_child(child, is_taken=is_taken), child.least == 0
                at = f"{path}/{child.local}"
                yield Change(at, "removed", text, old_fits_new=is_taken, new_fits_old=optional)
        for child in new.children:
            if id(child) not in theirs and child.most != 0:
                is_taken = _is_taken(child, new, old, [right for _, right in pairs], self._backwards)
                text, optional = _of_child(child, is_taken=is_taken), child.least == 0
                at = f"{path}/{child.local}"
                yield Change(at, "added", text, old_fits_new=optional, new_fits_old=is_taken)


def _is_within(one: Node, other: Node) -> bool:
    return one.least >= other.least and (other.most is None or (one.most is not None and one.most <= other.most))


def _other_content(old: Node, new: Node, path: str) -> Change:
    kinds = [f"text ({in_words(node.values)})" if node.values is not None else "elements" for node in (new, old)]
    anything = [node.values is not None and node.values.base == "anyType" for node in (old, new)]
    text = f"holds {kinds[0]} instead of {kinds[1]}"
    return Change(path, "type", text, old_fits_new=anything[1], new_fits_old=anything[0])


def _compare_values(old: Values, new: Values, path: str) -> Iterator[Change]:
    def change(kind: str, text: str, *, old_fits_new: bool, new_fits_old: bool) -> Change:
        return Change(path, kind, text, old_fits_new=old_fits_new, new_fits_old=new_fits_old)

    if (old.base, old.members) != (new.base, new.members):
        same_kind = old.base not in ("union", "list") and new.base not in ("union", "list")
        yield change(
            "type",
            f"is {in_words(new)} instead of {in_words(old)}",
            old_fits_new=same_kind and _is_kind_of(old.base, new.base),
            new_fits_old=same_kind and _is_kind_of(new.base, old.base),
        )
    if set(old.allowed) != set(new.allowed):
        yield _compare_allowed(old.allowed, new.allowed, change)
    less, more = set(old.patterns) - set(new.patterns), set(new.patterns) - set(old.patterns)
    if less or more:
        texts = [f"no longer has to fit {_listed(less)}" if less else "", f"has to fit {_listed(more)}" if more else ""]
        yield change("values", " and ".join(filter(None, texts)), old_fits_new=not more, new_fits_old=not less)
    yield from _compare_limits(dict(old.limits), dict(new.limits), change)
    if old.fixed != new.fixed:
        text = f"is always {new.fixed!r}" if new.fixed is not None else f"is no longer always {old.fixed!r}"
        yield change("values", text, old_fits_new=new.fixed is None, new_fits_old=old.fixed is None)
    if old.default != new.default:
        text = f"empty means {new.default!r}" if new.default is not None else f"empty no longer means {old.default!r}"
        yield change("values", text, old_fits_new=True, new_fits_old=True)


_Make = Callable[..., Change]


def _compare_allowed(old: Sequence[str], new: Sequence[str], change: _Make) -> Change:
    if not new:
        return change("values", "may be any value, not only listed ones", old_fits_new=True, new_fits_old=False)
    if not old:
        return change("values", f"has to be one of {_listed(new)}", old_fits_new=False, new_fits_old=True)
    less, more = [one for one in old if one not in new], [one for one in new if one not in old]
    texts = [f"may no longer be {_listed(less)}" if less else "", f"may be {_listed(more)} too" if more else ""]
    return change("values", "; ".join(filter(None, texts)), old_fits_new=not less, new_fits_old=not more)


def _compare_limits(old: dict[str, str], new: dict[str, str], change: _Make) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name), new.get(name)
        if was == now:
            continue
        if was is None or now is None:
            text = f"has the limit {name} {now}" if was is None else f"no longer has the limit {name} {was}"
            yield change("values", text, old_fits_new=now is None, new_fits_old=was is None)
            continue
        is_tighter = _is_tighter(name, was, now)
        text = f"has the limit {name} {now} instead of {was}"
        yield change("values", text, old_fits_new=is_tighter is False, new_fits_old=is_tighter is True)


def _is_tighter(name: str, was: str, now: str) -> bool | None:
    """Whether the new limit allows less; None when the two cannot be compared."""
    try:
        before, after = Decimal(was), Decimal(now)
    except InvalidOperation:
        return None
    if name.startswith("min"):
        return after > before
    return None if name == "length" else after < before


# What each built-in type is a kind of: whatever is one is the other too (XML Schema 1.0 part 2, section 3).
_KIND_OF = {
    "byte": "short",
    "short": "int",
    "int": "long",
    "long": "integer",
    "unsignedByte": "unsignedShort",
    "unsignedShort": "unsignedInt",
    "unsignedInt": "unsignedLong",
    "unsignedLong": "nonNegativeInteger",
    "positiveInteger": "nonNegativeInteger",
    "nonNegativeInteger": "integer",
    "negativeInteger": "nonPositiveInteger",
    "nonPositiveInteger": "integer",
    "integer": "decimal",
    "decimal": "double",
    "double": "float",
    "float": "double",
    "ID": "NCName",
    "IDREF": "NCName",
    "NCName": "Name",
}
_TEXTS = frozenset({"string", "normalizedString", "token", "anySimpleType", "anyType"})
"""Any text is one of these: blanks that they would not have are taken away first."""


_BUILT_IN = frozenset({*_TEXTS, *_KIND_OF, "boolean", "date", "dateTime", "time", "anyURI", ""})


def _is_kind_of(one: str, other: str) -> bool:
    if other == "anyType" or (one != "anyType" and other in _TEXTS):
        return True
    seen = set()
    while one not in seen:
        if one == other:
            return True
        seen.add(one)
        one = _KIND_OF.get(one, one)
    return False


def _compare_attributes(old: Iterable[Attribute], new: Iterable[Attribute], path: str) -> Iterator[Change]:
    ours, theirs = ({one.name: one for one in side} for side in (old, new))
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        was, now = ours.get(name), theirs.get(name)
        at = f"{path}/@{etree.QName(name).localname}"
        if was is None or now is None:
            present = was or now
            assert present is not None
            kind = "added" if was is None else "removed"
            yield Change(
                at,
                kind,
                f"attribute, {'required' if present.required else 'optional'}",
                old_fits_new=kind == "added" and not present.required,
                new_fits_old=kind == "removed" and not present.required,
            )
            continue
        if was.required != now.required:
            text = f"attribute, now {'required' if now.required else 'optional'}"
            yield Change(at, "attribute", text, old_fits_new=was.required, new_fits_old=now.required)
        yield from _compare_values(was.values, now.values, at)


def _of_child(child: Node, *, is_taken: bool) -> str:
    kind = in_words(child.values) if child.values is not None else child.type_name or "elements"
    return f"{occurrence(child.least, child.most)}, {kind}{' (within the extension point)' if is_taken else ''}"


def _is_taken(child: Node, parent: Node, lacking: Node, known: list[Node], namespaces: dict[str, str]) -> bool:
    """Whether the version that lacks a child takes it in at its extension point, after all that it knows by name."""
    if parent.model or lacking.model:
        return False
    namespace = namespaces.get(_namespace(child), _namespace(child))
    places = {id(one): number for number, one in enumerate(parent.children)}
    is_last = all(places[id(one)] < places[id(child)] for one in known)
    return is_last and any(_takes(wildcard, namespace) for wildcard in lacking.wildcards)


def _takes(wildcard: Wildcard, namespace: str) -> bool:
    if wildcard.most is not None or wildcard.checked == "strict":
        return False
    is_other = bool(namespace) and namespace != wildcard.other_than
    return any(one in ("##any", namespace) or (one == "##other" and is_other) for one in wildcard.namespaces)


def _compare_wildcards(old: tuple[Wildcard, ...], new: tuple[Wildcard, ...], path: str) -> Iterator[Change]:
    if [_rule(one) for one in old] == [_rule(one) for one in new]:
        return
    if not old or not new:
        text = "takes elements that it does not name" if new else "takes no elements any more that it does not name"
        yield Change(path, "extension", text, old_fits_new=not old, new_fits_old=not new)
    else:
        text = "takes other elements that it does not name"
        yield Change(path, "extension", text, old_fits_new=False, new_fits_old=False)


def _rule(wildcard: Wildcard) -> tuple[object, ...]:
    return (wildcard.namespaces, wildcard.checked, wildcard.least, wildcard.most)


def _matched(old: Node, new: Node) -> list[tuple[Node, Node]]:
    """The children of the same name, in the order of the old version; namesakes by their order."""

    def numbered(children: Iterable[Node]) -> dict[tuple[str, int], Node]:
        found: dict[tuple[str, int], Node] = {}
        for child in children:
            number = sum(1 for name, _ in found if name == child.local)
            found[child.local, number] = child
        return found

    theirs = numbered(new.children)
    return [(child, theirs[key]) for key, child in numbered(old.children).items() if key in theirs]


def _renamed(old: Node, new: Node) -> list[tuple[Node, Node]]:
    """Children that stand in the same place, hold the same, and are called something else."""
    pairs = _matched(old, new)
    ours, theirs = {id(left) for left, _ in pairs}, {id(right) for _, right in pairs}
    found = []
    for left, right in zip(old.children, new.children, strict=False):
        if id(left) in ours or id(right) in theirs or old.children.index(left) != new.children.index(right):
            continue
        same = (left.type_name, left.values, [one.local for one in left.children]) == (
            (right.type_name, right.values, [one.local for one in right.children])
        )
        says_something = left.values is None or left.type_name not in _BUILT_IN
        if same and says_something and (left.least, left.most) == (right.least, right.most):
            found.append((left, right))
    return found


def _moved(pairs: list[tuple[Node, Node]], new: Node) -> list[Node]:
    """The fewest children whose move explains the new order: all but the longest run that kept its order."""
    order = {id(child): number for number, child in enumerate(new.children)}
    places = [order[id(right)] for _, right in pairs]
    runs: list[tuple[int, ...]] = []
    for index, place in enumerate(places):
        before = [run for run in runs if places[run[-1]] < place]
        runs.append((*_longest(before), index))
    kept = set(_longest(runs))
    return [left for index, (left, _) in enumerate(pairs) if index not in kept]


def _longest(runs: list[tuple[int, ...]]) -> tuple[int, ...]:
    return max(runs, key=lambda run: len(run), default=())


def _namespace(node: Node) -> str:
    return etree.QName(node.name).namespace or ""


def _listed(values: Iterable[str]) -> str:
    listed = sorted(values)
    return ", ".join(listed[:12]) + (f" and {len(listed) - 12} more" if len(listed) > 12 else "")
