"""Translation between the RIV-TA basic profiles 2.0 and 2.1: the header entry that carries the logical address."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from rivta.soap import namespaces
from rivta.soap.charsets import UTF_8, written
from rivta.soap.head import Head, refuse_second_address
from rivta.soap.identifiers import Profile

_NAMESPACE = {Profile.RIVTABP20: namespaces.WS_ADDRESSING, Profile.RIVTABP21: namespaces.REGISTRY_1}
_LOCAL_NAME = {Profile.RIVTABP20: "To", Profile.RIVTABP21: "LogicalAddress"}
_PREFIX = {Profile.RIVTABP20: "wsa", Profile.RIVTABP21: "riv"}

Scope = Mapping[str | None, str]
"""Namespaces by prefix; None is the default one."""


def translate(envelope: etree._Element, head: Head, profile: Profile) -> bytes:
    """The message in UTF-8 with its address entry as `profile` has it; everything else keeps its meaning.

    Unlike with the incumbent, other WS-Addressing entries stay in their own namespace, processing
    instructions and CDATA survive, and an entry goes that only `profile` would read: the producer must not find a
    second address beside the permitted one. `head` is `read_head(envelope)`; the tree is changed in place. Raises
    SecondAddress where such an entry stands inside another.
    """
    entry = head.address_element
    if entry is not None and entry.tag != _tag(profile):
        _drop_entries(head, profile)
        refuse_second_address(head, _tag(profile))
        parent = entry.getparent()
        assert parent is not None
        # A new element, since renaming in place would leave the entry under a prefix that lies about its namespace;
        # with every prefix that the entry declares, since a name in a value (`xsi:type`) may use it.
        outside, scope = parent.nsmap, entry.nsmap
        declares = {prefix: uri for prefix, uri in scope.items() if outside.get(prefix) != uri}
        declares[_unused(scope, profile)] = _NAMESPACE[profile]
        renamed = etree.SubElement(parent, _tag(profile), None, declares)  # type: ignore[arg-type]  # None is a prefix
        for name, value in entry.attrib.items():
            renamed.set(name, value)
        renamed.text, renamed.tail = entry.text, entry.tail
        renamed.extend(entry)
        parent.replace(entry, renamed)
    return written(envelope, UTF_8)


def translate_namespace(envelope: etree._Element, head: Head, profile: Profile) -> bytes:
    """The message in UTF-8 as the incumbent translates it, damage included (`vp-behaviour`, section 5).

    Every element of the namespace that the address is in moves to that of `profile` under its prefix, wherever it
    stands; elements of the address's own name are renamed. The namespace's declarations change on Envelope, Header and
    the renamed element only. Attributes, text and comments are copied, CDATA becomes text and instructions are lost.
    Not reproduced: the entry that only `profile` would read goes, as in `translate`, and a prefix is never declared
    twice on one element, which would not be XML. Raises SecondAddress where there would be one more.
    """
    assert head.profile is not None
    _drop_entries(head, profile)
    # What becomes an address only by being moved.
    refuse_second_address(head, _tag(profile), f"{{{_NAMESPACE[head.profile]}}}{_LOCAL_NAME[profile]}")
    moving = _Moving(head.profile, profile)
    for event, what in etree.iterwalk(envelope, events=moving.EVENTS):
        moving.take(event, what)
    return b'<?xml version="1.0" encoding="UTF-8"?>' + "".join(moving.text).encode()


def _tag(profile: Profile) -> str:
    return f"{{{_NAMESPACE[profile]}}}{_LOCAL_NAME[profile]}"


def _unused(scope: Scope, profile: Profile) -> str:
    prefix = _PREFIX[profile]
    while scope.get(prefix, _NAMESPACE[profile]) != _NAMESPACE[profile]:
        prefix += "x"
    return prefix


def _drop_entries(head: Head, profile: Profile) -> None:
    """Removes the header entries that `profile` would take for the address."""
    entry = head.address_element
    if entry is None or (parent := entry.getparent()) is None:
        return
    for other in list(parent.iterchildren(_tag(profile))):
        if other is not entry:
            _remove(other, parent)


def _remove(element: etree._Element, parent: etree._Element) -> None:
    """Removes an element, but not the text behind it."""
    before = element.getprevious()
    if before is not None:
        before.tail = (before.tail or "") + (element.tail or "")
    else:
        parent.text = (parent.text or "") + (element.tail or "")
    parent.remove(element)


class _Moving:
    """Writes a tree with the elements of one profile's namespace moved to the other's, event by event."""

    EVENTS = ("start-ns", "start", "end", "comment", "pi")

    def __init__(self, source: Profile, target: Profile) -> None:
        self.text: list[str] = []
        self._source, self._target = _NAMESPACE[source], _NAMESPACE[target]
        self._name, self._new_name = _LOCAL_NAME[source], _LOCAL_NAME[target]
        self._declared: list[tuple[str, str]] = []
        self._open: list[tuple[str, list[tuple[str, str]], list[str]]] = []
        # What prefixes mean in the text, and which prefixes a namespace has in the tree: the innermost is the last.
        self._meaning: dict[str, list[str]] = defaultdict(list)
        self._prefixes: dict[str, list[str]] = defaultdict(list, {namespaces.XML: ["xml"]})

    def take(self, event: str, what: Any) -> None:
        """The next event of `etree.iterwalk`, with what comes with it."""
        match event:
            case "start-ns":
                self._declared.append(what)
            case "start":
                self._start(what, self._declared)
                self._declared = []
            case "end":
                self._end(what)
            case "comment":
                self.text += (f"<!--{what.text or ''}-->", _escaped(what.tail))
            case _:
                self.text.append(_escaped(what.tail))

    def _start(self, element: etree._Element, declared: list[tuple[str, str]]) -> None:
        name, prefix = etree.QName(element), element.prefix or ""
        for own, uri in declared:
            self._prefixes[uri].append(own)
        moves = name.namespace == self._source
        is_renamed = moves and name.localname == self._name
        declares = dict(declared)
        if is_renamed or name.localname in ("Envelope", "Header"):
            declares = {own: self._target if uri == self._source else uri for own, uri in declares.items()}
        around = self._meaning[prefix]
        if moves and declares.get(prefix, around[-1] if around else "") != self._target:
            declares[prefix] = self._target
        for own, uri in declares.items():
            self._meaning[own].append(uri)
        local = self._new_name if is_renamed else name.localname
        tag = f"{prefix}:{local}" if prefix else local
        self._open.append((tag, declared, list(declares)))
        declarations = (f" {f'xmlns:{own}' if own else 'xmlns'}={quoteattr(uri)}" for own, uri in declares.items())
        attributes = (f" {self._attribute(str(key))}={quoteattr(str(value))}" for key, value in element.attrib.items())
        self.text += (f"<{tag}", *declarations, *attributes, ">", _escaped(element.text))

    def _end(self, element: etree._Element) -> None:
        tag, declared, declares = self._open.pop()
        for _, uri in declared:
            self._prefixes[uri].pop()
        for own in declares:
            self._meaning[own].pop()
        self.text += (f"</{tag}>", _escaped(element.tail) if self._open else "")

    def _attribute(self, name: str) -> str:
        qualified = etree.QName(name)
        if qualified.namespace is None:
            return qualified.localname
        prefix = next(own for own in reversed(self._prefixes[qualified.namespace]) if own)
        return f"{prefix}:{qualified.localname}"


def _escaped(text: str | None) -> str:
    return escape(text, {"\r": "&#13;"}) if text else ""
