"""Patterns of schemas as libxml2 reads them, where xmlschema would use Python's: one verdict, and in bounded time.

On some patterns, as `(a+)+b`, Python's regular expressions take longer than anybody lives for forty characters of a
message, and nothing else runs meanwhile. libxml2 gives up after a number of steps.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lxml import etree

from rivta.soap import namespaces

if TYPE_CHECKING:
    from xmlschema import XMLSchema10

_XS = f"{{{namespaces.XML_SCHEMA}}}"


_PUMPED = 60
"""Characters of a text that is tried."""
_MOST_PUMPED = 12
"""Places in a text where a part of it is repeated."""
_LONGEST_PART = 3
_MOST_SECONDS = 0.1
"""Of processor time, for one short text; a pattern without ambiguity takes some microseconds."""
_FITS_NOWHERE = "\u00a4\u2603"


class Pattern:
    """A pattern of XML Schema, in the place of a compiled regular expression."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern

    def match(self, text: str) -> bool | None:
        """True when all of `text` fits, else None; also where finding out would take too long."""
        element = etree.Element("text")
        try:
            element.text = text
            return True if self._schema.validate(element) else None
        except (ValueError, etree.XMLSchemaValidateError):  # no text of XML; too many steps
            return None

    @cached_property
    def _schema(self) -> etree.XMLSchema:
        schema = etree.Element(f"{_XS}schema", nsmap={"xs": namespaces.XML_SCHEMA})
        declared = etree.SubElement(schema, f"{_XS}element", name="text")
        restriction = etree.SubElement(etree.SubElement(declared, f"{_XS}simpleType"), f"{_XS}restriction")
        restriction.set("base", "xs:string")
        etree.SubElement(restriction, f"{_XS}pattern", value=self.pattern)
        return etree.XMLSchema(schema)


def is_slow(pattern: str, texts: Iterable[str]) -> bool:
    """Whether a short text is found that takes long to hold against `pattern`: a message could hold thousands.

    Parts of `texts`, which fit it, are repeated, and followed by what fits nowhere: so every way to read the repeated
    parts is tried in vain.
    """
    judged = Pattern(pattern)
    for tried in dict.fromkeys(one for text in texts for one in _pumped(text)):
        started = time.thread_time()
        judged.match(tried)
        if time.thread_time() - started > _MOST_SECONDS:
            return True
    return False


def _pumped(text: str) -> Iterator[str]:
    for at in range(min(len(text), _MOST_PUMPED)):
        for length in range(1, _LONGEST_PART + 1):
            part = text[at : at + length]
            yield text[:at] + part * (_PUMPED // len(part)) + _FITS_NOWHERE


def read_patterns_alike(schema: XMLSchema10) -> XMLSchema10:
    """`schema`, changed: its patterns, but for those of XML Schema's own types, are judged by libxml2."""
    from xmlschema.validators import XsdSimpleType

    for one in schema.maps.iter_schemas():
        if one.target_namespace == namespaces.XML_SCHEMA:
            continue
        for kind in one.iter_components(XsdSimpleType):
            facets: Any = getattr(kind, "patterns", None)
            if facets is not None:
                facets.patterns = [Pattern(pattern) for pattern in facets.regexps]
    return schema
