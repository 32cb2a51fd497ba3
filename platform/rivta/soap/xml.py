"""The one door for XML that others wrote: a parser that resolves nothing, loads nothing and has bounds."""

import contextlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

from lxml import etree

MAX_DEPTH = 200
MAX_ATTRIBUTES = 256
MAX_NAMESPACES = 1000
"""In force in one place: copying or translating an element takes time by their square."""


MAX_MARKUP = 2_000_000
"""Tags and attributes in a document: each takes 100 to 300 bytes of memory, whatever its own length."""

_HUGE_BYTES = 9_000_000
"""Below the ten million bytes that libxml2 takes for one text, unless it is told to expect giants: attachments."""
_PROLOG_BYTES = 65_536
_MAX_STREAMED_MARKUP = 100_000
"""Elements inside one that is given whole while its document is read."""
_CHUNK_BYTES = 16_384
_SCHEMA_BYTES = 65_536
_TAG = re.compile(rb"[^>]*>?")
_COUNT = etree.XPath("count(descendant-or-self::*)")
_NAMED = re.compile(r"Element '([^']*)'")
_NO_DOCTYPE = "a document type declaration (DOCTYPE) is not allowed in a message"
_SAFE: dict[str, Any] = {"resolve_entities": False, "no_network": True, "load_dtd": False, "dtd_validation": False}


class XmlRefused(ValueError):
    """The bytes are not XML that the platform reads: malformed, or with a document type, or beyond a bound."""

    def __init__(self, reason: str, *, line: int = 0, private_reason: str | None = None) -> None:
        """`private_reason` is the reason without words of the message, fit for logs; by default the reason itself."""
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.private_reason = reason if private_reason is None else private_reason


# libxml2 stops at 256 levels by itself; ours is lower so that the limit is one we can name.
_TOO_DEEP = etree.XPath("boolean(/" + "/".join(["*"] * (MAX_DEPTH + 1)) + ")")
_TOO_MANY_ATTRIBUTES = etree.XPath(f"boolean(//*[@*[{MAX_ATTRIBUTES + 1}]])")


def parse_xml(data: bytes, *, encoding: str | None = None) -> etree._Element:
    """The root element of `data`, with comments, processing instructions and CDATA kept.

    `encoding` overrules what the document says of itself. Raises XmlRefused for malformed XML, a document type
    declaration (SOAP 1.1 section 3 forbids it, and entities come with it), more than MAX_DEPTH levels, more than
    MAX_ATTRIBUTES attributes on an element, more than MAX_NAMESPACES namespaces declared around one place or more than
    MAX_MARKUP tags and attributes in all.
    """
    huge = len(data) > _HUGE_BYTES
    if huge:
        _refuse_unsafe_giant(data, encoding)
    try:
        # A parser of its own per call: one shared across threads serialises them, and nothing leaks between messages.
        parser = etree.XMLParser(**_SAFE, encoding=encoding, huge_tree=huge, strip_cdata=False)
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise _malformed(data, error) from error
    except (ValueError, LookupError) as error:  # an unknown or lying encoding
        raise XmlRefused(str(error), private_reason="unknown or wrong character encoding") from error
    if root is None:
        raise XmlRefused("the document is empty")
    if root.getroottree().docinfo.internalDTD is not None:
        raise XmlRefused(_NO_DOCTYPE)
    # The questions walk the whole tree; a message too short of these signs for a yes is spared them. The signs are the
    # same bytes in every encoding that `charsets` lets through, but for zeros between the letters.
    if data.count(b"/") >= MAX_DEPTH:
        _refuse_deep(root)
    if data.count(b"=") > MAX_ATTRIBUTES:
        _refuse_many_attributes(root)
    if data.count(b"xmlns") > MAX_NAMESPACES or b"\0" in data[:8]:
        _refuse_many_namespaces(root)
    return root


def parse_start(
    data: bytes, is_enough: Callable[[etree._Element], bool], *, encoding: str | None = None
) -> etree._Element:
    """The root element of `data`, read only to the first element for which `is_enough` is true when it starts, else to
    the end: what stands behind that is neither looked at nor known to be XML.

    Raises XmlRefused for what `parse_xml` refuses, where it stands before that element.
    """
    huge = len(data) > _HUGE_BYTES
    if huge:
        _refuse_unsafe_giant(data, encoding)
    root: etree._Element | None = None
    try:
        parser = etree.XMLPullParser(events=("start",), **_SAFE, encoding=encoding, huge_tree=huge, strip_cdata=False)
        for at in range(0, len(data), _CHUNK_BYTES):
            malformed = _feed(parser, data[at : at + _CHUNK_BYTES])
            for _, element in parser.read_events():
                assert isinstance(element, etree._Element)  # what a start comes with
                root = element if root is None else root
                if is_enough(element):
                    _cut_behind(element)
                    return _checked_start(root)
            if malformed is not None:
                raise malformed
        return _checked_start(parser.close())
    except etree.XMLSyntaxError as error:
        raise _malformed(data, error) from error
    except (ValueError, LookupError) as error:
        if isinstance(error, XmlRefused):
            raise
        raise XmlRefused(str(error), private_reason="unknown or wrong character encoding") from error


def _cut_behind(element: etree._Element) -> None:
    """Removes from a tree what was read behind the start of `element`, since more may stand there unread."""
    element.text = None
    del element[:]
    node: etree._Element | None = element
    while node is not None and (parent := node.getparent()) is not None:
        node.tail = None
        for later in list(node.itersiblings()):
            parent.remove(later)
        node = parent


def each_element(file: Path, local_name: str) -> Iterator[etree._Element]:
    """The elements of a file with this local name, in any namespace, whole, one after the other.

    Each is emptied before the next is read, so that a file of any length takes little memory. Raises XmlRefused, also
    after some elements have been given, and OSError.
    """
    with file.open("rb") as source:
        yield from elements_of(iter(lambda: source.read(_CHUNK_BYTES), b""), {local_name})


def elements_of(chunks: Iterable[bytes], local_names: Collection[str]) -> Iterator[etree._Element]:
    """The elements of a document in pieces which have one of these local names, whole, each when it ends.

    What has been read is emptied before more is, whatever it is, so that a document of any length takes no more memory
    than the largest of these elements. One inside another is given first, and is empty in the other. Raises XmlRefused,
    also after some elements have been given, and whatever reading `chunks` raises.
    """
    parser = etree.XMLPullParser(events=("start", "end"), **_SAFE, huge_tree=False, remove_pis=True)
    depth = within = markup = 0
    for chunk in chunks:
        malformed = _feed(parser, chunk)
        for event, element in parser.read_events():
            assert isinstance(element, etree._Element)  # what start and end come with
            is_wanted = etree.QName(element).localname in local_names
            if event == "start":
                depth += 1
                within += is_wanted
                markup += 1
                _check_streamed(element, depth, markup)
                continue
            depth -= 1
            within -= is_wanted
            if is_wanted:
                yield element
            if is_wanted or not within:
                _empty(element)
                markup = 0
        if malformed is not None:
            raise _malformed(b"", malformed)
    try:
        parser.close()
    except etree.XMLSyntaxError as error:
        raise _malformed(b"", error) from error


def _check_streamed(element: etree._Element, depth: int, markup: int) -> None:
    """What `parse_xml` asks of a whole document, asked of an element when it starts."""
    if depth == 1 and element.getroottree().docinfo.internalDTD is not None:
        raise XmlRefused(_NO_DOCTYPE)
    if depth > MAX_DEPTH:
        raise XmlRefused(f"elements are nested more than {MAX_DEPTH} deep", line=line_of(element))
    if len(element.attrib) > MAX_ATTRIBUTES:
        raise XmlRefused(f"an element has more than {MAX_ATTRIBUTES} attributes", line=line_of(element))
    if len(element.nsmap) > MAX_NAMESPACES:
        raise XmlRefused(f"more than {MAX_NAMESPACES} namespaces are declared around one place")
    if markup > _MAX_STREAMED_MARKUP:
        raise XmlRefused(f"an element has more than {_MAX_STREAMED_MARKUP} others in it", line=line_of(element))


def _empty(element: etree._Element) -> None:
    """Frees what has been read: the element's content, and its elder siblings."""
    element.clear()
    parent = element.getparent()
    while parent is not None and parent[0] is not element:
        del parent[0]


def _feed(parser: etree.XMLPullParser, data: bytes) -> etree.XMLSyntaxError | None:
    """What is wrong with `data`, if anything: the elements before the mistake are there all the same."""
    try:
        parser.feed(data)
    except etree.XMLSyntaxError as error:
        return error
    return None


def _checked_start(root: etree._Element) -> etree._Element:
    if root.getroottree().docinfo.internalDTD is not None:
        raise XmlRefused(_NO_DOCTYPE)
    _refuse_deep(root)
    _refuse_many_attributes(root)
    _refuse_many_namespaces(root)
    return root


def _malformed(data: bytes, error: etree.XMLSyntaxError) -> XmlRefused:
    line = error.lineno or 0
    reason = str(error.msg or "not well-formed")
    if b"<!DOCTYPE" in data:  # what libxml2 says of entities that multiply advises its programmer
        reason = _NO_DOCTYPE
    elif (before := data[:1000].lstrip()) != data[:1000] and before.startswith(b"<?xml"):
        reason = "blanks or line ends stand before the XML declaration, which must be the very first thing"
    return XmlRefused(reason, line=line, private_reason=f"not well-formed XML at line {line}")


def line_of(element: etree._Element) -> int:
    """The line that an element was read from; 0 when it was made here."""
    return element.sourceline if isinstance(element.sourceline, int) else 0


def _refuse_deep(root: etree._Element) -> None:
    if _TOO_DEEP(root):
        raise XmlRefused(f"elements are nested more than {MAX_DEPTH} deep")


def _refuse_many_attributes(root: etree._Element) -> None:
    if _TOO_MANY_ATTRIBUTES(root):
        raise XmlRefused(f"an element has more than {MAX_ATTRIBUTES} attributes")


def _refuse_many_namespaces(root: etree._Element) -> None:
    in_force = 0
    for event, _ in etree.iterwalk(root, events=("start-ns", "end-ns")):
        in_force += 1 if event == "start-ns" else -1
        if in_force > MAX_NAMESPACES:
            raise XmlRefused(f"more than {MAX_NAMESPACES} namespaces are declared around one place")


def _refuse_unsafe_giant(data: bytes, encoding: str | None) -> None:
    """What libxml2 sees to by itself in smaller documents, before it is told to let a giant pass: no entities that
    multiply, and no more nodes than fit into memory. Raises XmlRefused."""
    if data.count(b"<") + data.count(b"=") > MAX_MARKUP:
        raise XmlRefused(f"the document has more than {MAX_MARKUP} tags and attributes")
    try:
        start = etree.XMLPullParser(events=("start",), **_SAFE, encoding=encoding, huge_tree=False)
        start.feed(data[:_PROLOG_BYTES])
        _, root = next(iter(start.read_events()), (None, None))
    except (etree.XMLSyntaxError, ValueError, LookupError) as error:
        raise XmlRefused(str(error), private_reason="not well-formed XML at its start") from error
    # A document type stands before the root element, so the start of that element shows that there is none.
    if not isinstance(root, etree._Element):
        raise XmlRefused(f"the first {_PROLOG_BYTES} bytes hold no element")
    if root.getroottree().docinfo.internalDTD is not None:
        raise XmlRefused(_NO_DOCTYPE)


@dataclass(frozen=True, slots=True)
class SchemaError:
    """What libxml2 says of one element."""

    element: etree._Element
    type_name: str
    text: str


def fits_schema(element: etree._Element, schema: etree.XMLSchema) -> bool:
    """Whether an element is as `schema` has it, in time that grows with its length.

    Asked of the tree itself, libxml2 counts the siblings of every element that it complains of: half an hour for a
    message of 15 MB that is wrong throughout. Here the element is written and read once more, and what is wrong with it
    ends that.
    """
    return _failing_at(etree.tostring(element, with_tail=False), schema) is None


def schema_errors(element: etree._Element, schema: etree.XMLSchema, *, most: int) -> list[SchemaError]:
    """The first things that are wrong with an element, in as little time: those within about as many bytes as are read
    at once. None when it fits."""
    data = etree.tostring(element, with_tail=False)
    failing_at = _failing_at(data, schema)
    if failing_at is None:
        return []
    finder = _Finder(schema, str(element.tag))
    finder.skip(data[:failing_at])
    for tag in _TAG.findall(data, failing_at, failing_at + 2 * _SCHEMA_BYTES):
        finder.look(tag)
        if len(finder.found) >= most:
            break
    last = max((index for index, _, _ in finder.found), default=-1)
    wanted = {index for index, _, _ in finder.found}
    elements = {
        index: one for index, one in enumerate(islice(element.iter(etree.Element), last + 1)) if index in wanted
    }
    return [
        SchemaError(_meant(elements[index], text), kind, text)
        for index, kind, text in finder.found[:most]
        if index in elements
    ]


def _meant(element: etree._Element, text: str) -> etree._Element:
    """Which element libxml2's words name: the one that it was at, or one around that."""
    named = _NAMED.match(text)
    around = (one for one in (element, *element.iterancestors()) if named is not None and one.tag == named[1])
    return next(around, element)


def _failing_at(data: bytes, schema: etree.XMLSchema) -> int | None:
    """Where the bytes begin with which a document stops fitting the schema; None when all of it does."""
    parser = etree.XMLParser(**_SAFE, huge_tree=True, schema=schema)
    at = 0
    try:
        for at in range(0, len(data), _SCHEMA_BYTES):
            parser.feed(data[at : at + _SCHEMA_BYTES])
            if len(parser.feed_error_log):
                return at
        parser.close()
    except etree.XMLSyntaxError:
        return at
    return None


class _Finder:
    """Reads a document by a schema, and notes at which element each error came: by its number in document order."""

    def __init__(self, schema: etree.XMLSchema, root: str) -> None:
        """`root` is the tag of the document's root element."""
        self.found: list[tuple[int, str, str]] = []
        # The parser shows what it has made only with an event, and one for every element would take long.
        self._parser = etree.XMLPullParser(events=("start",), tag=root, **_SAFE, huge_tree=True, schema=schema)
        self._root: etree._Element | None = None

    def skip(self, data: bytes) -> None:
        """Reads what is known to fit."""
        for at in range(0, len(data), _SCHEMA_BYTES):
            self._feed(data[at : at + _SCHEMA_BYTES])

    def look(self, data: bytes) -> None:
        """Reads up to the end of one tag."""
        seen = len(self._parser.feed_error_log)
        self._feed(data)
        log = self._parser.feed_error_log
        if len(log) > seen and self._root is not None:
            about = cast(float, _COUNT(self._root)) - 1
            self.found += [(int(about), one.type_name, one.message) for one in islice(log, seen, None)]

    def _feed(self, data: bytes) -> None:
        with contextlib.suppress(etree.XMLSyntaxError):
            self._parser.feed(data)
        for _, element in self._parser.read_events():
            assert isinstance(element, etree._Element)  # what a start comes with
            self._root = element if self._root is None else self._root
