"""XPath on messages: with prefixes by namespaces, without any by local names, as people write paths."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from functools import cached_property, lru_cache

from lxml import etree

from rivta.soap import namespaces

PREFIXES: Mapping[str, str] = {
    "soap": namespaces.SOAP_ENVELOPE,
    "headers": namespaces.INTEROPERABILITY_HEADERS,
    "registry": namespaces.REGISTRY_1,
    "xsi": namespaces.XML_SCHEMA_INSTANCE,
}
"""Prefixes that every path may use; a case adds its own."""

_STRING = etree.XPath("string()")
_LITERAL = re.compile(r"'[^']*'|\"[^\"]*\"")
_PREFIXED = re.compile(r"[\w.-]+:(?!:)[\w*]")

Selected = list[etree._Element | str]
"""What a path finds: elements, and everything else (attributes, texts, numbers, truths) as text."""


class BadPath(ValueError):
    """Not an XPath 1.0 expression, or with a prefix that stands for no namespace."""


class Document:
    """A parsed message that paths are asked of."""

    def __init__(self, root: etree._Element, prefixes: Mapping[str, str] = PREFIXES) -> None:
        self.root = root
        self._prefixes = tuple(sorted(prefixes.items()))

    def select(self, path: str, *, within: etree._Element | None = None) -> Selected:
        """What `path` finds, from the whole message or from one element of it. Raises BadPath."""
        start = self.root if within is None else within
        if has_prefixes(path):
            return _texts(_evaluated(path, self._prefixes, start.getroottree() if within is None else start))
        bare, originals = self._by_local_names
        there = bare.getroottree() if within is None else self._bare_of[within]
        found = _texts(_evaluated(path, (), there))
        return [originals[one] if isinstance(one, etree._Element) else one for one in found]

    def marked(self, paths: tuple[str, ...]) -> frozenset[tuple[etree._Element, str]]:
        """The elements and attributes that the paths find: an element with the name of its attribute, or with none."""
        bare, originals = self._by_local_names
        marks: set[tuple[etree._Element, str]] = set()
        for path in paths:
            is_bare = not has_prefixes(path)
            start = (bare if is_bare else self.root).getroottree()
            found = _evaluated(path, () if is_bare else self._prefixes, start)
            for one in found if isinstance(found, list) else ():
                attribute = getattr(one, "attrname", None) or ""
                element = one if isinstance(one, etree._Element) else one.getparent()
                if isinstance(element, etree._Element):
                    marks.add((originals[element] if is_bare else element, attribute.rpartition("}")[2]))
        return frozenset(marks)

    @cached_property
    def _by_local_names(self) -> tuple[etree._Element, dict[etree._Element, etree._Element]]:
        """A copy without namespaces, and of each element in it the original."""
        bare = copy.deepcopy(self.root)
        originals = dict(zip(bare.iter(etree.Element), self.root.iter(etree.Element), strict=True))
        for element in originals:
            element.tag = etree.QName(element).localname
            for name, value in element.items():
                if (bare_name := etree.QName(name).localname) != name:
                    del element.attrib[name]
                    element.set(bare_name, value)
        return bare, originals

    @cached_property
    def _bare_of(self) -> dict[etree._Element, etree._Element]:
        return {original: bare for bare, original in self._by_local_names[1].items()}


def has_prefixes(path: str) -> bool:
    """Whether a path goes by namespaces."""
    return _PREFIXED.search(_LITERAL.sub("''", path)) is not None


def check_path(path: str, prefixes: Mapping[str, str]) -> None:
    """Raises BadPath, saying what is wrong with it."""
    probe = etree.Element("probe")
    _evaluated(path, tuple(sorted(prefixes.items())) if has_prefixes(path) else (), probe.getroottree())


def text_of(found: etree._Element | str) -> str:
    """The text of an element with all that is in it, or the text itself, without blanks around."""
    return (found if isinstance(found, str) else str(_STRING(found))).strip()


@lru_cache(maxsize=1024)
def _compiled(path: str, prefixes: tuple[tuple[str, str], ...]) -> etree.XPath:
    return etree.XPath(path, namespaces=dict(prefixes))


def _evaluated(path: str, prefixes: tuple[tuple[str, str], ...], start: etree._Element | etree._ElementTree) -> object:
    try:
        found: object = _compiled(path, prefixes)(start)
    except etree.XPathError as error:
        raise BadPath(f"{path!r} is no XPath that can be used: {error}") from error
    return found


def _texts(found: object) -> Selected:
    if isinstance(found, bool):
        return ["true" if found else "false"]
    if isinstance(found, float):
        return [f"{found:.15g}"]
    if isinstance(found, list):
        return [one if isinstance(one, etree._Element) else str(one) for one in found]
    return [str(found)]
