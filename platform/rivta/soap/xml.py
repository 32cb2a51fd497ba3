"""The one door for XML that others wrote: a parser that resolves nothing, loads nothing and has bounds."""

from typing import Any

from lxml import etree

MAX_DEPTH = 200
MAX_ATTRIBUTES = 256


MAX_MARKUP = 2_000_000
"""Tags and attributes in a document: each takes 100 to 300 bytes of memory, whatever its own length."""

_HUGE_BYTES = 9_000_000
"""Below the ten million bytes that libxml2 takes for one text, unless it is told to expect giants: attachments."""
_PROLOG_BYTES = 65_536
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
    MAX_ATTRIBUTES attributes on an element or more than MAX_MARKUP tags and attributes in all.
    """
    huge = len(data) > _HUGE_BYTES
    if huge:
        _refuse_unsafe_giant(data, encoding)
    try:
        # A parser of its own per call: one shared across threads serialises them, and nothing leaks between messages.
        parser = etree.XMLParser(**_SAFE, encoding=encoding, huge_tree=huge, strip_cdata=False)
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        line = error.lineno or 0
        # What libxml2 says of entities that multiply advises its programmer; the sender is to leave them out.
        reason = _NO_DOCTYPE if b"<!DOCTYPE" in data else str(error.msg or "not well-formed")
        raise XmlRefused(reason, line=line, private_reason=f"not well-formed XML at line {line}") from error
    except (ValueError, LookupError) as error:  # an unknown or lying encoding
        raise XmlRefused(str(error), private_reason="unknown or wrong character encoding") from error
    if root is None:
        raise XmlRefused("the document is empty")
    if root.getroottree().docinfo.internalDTD is not None:
        raise XmlRefused(_NO_DOCTYPE)
    # Both questions walk the whole tree; a message too short of these signs for a yes is spared them.
    if data.count(b"/") >= MAX_DEPTH and _TOO_DEEP(root):
        raise XmlRefused(f"elements are nested more than {MAX_DEPTH} deep")
    if data.count(b"=") > MAX_ATTRIBUTES and _TOO_MANY_ATTRIBUTES(root):
        raise XmlRefused(f"an element has more than {MAX_ATTRIBUTES} attributes")
    return root


def _refuse_unsafe_giant(data: bytes, encoding: str | None) -> None:
    """What libxml2 sees to by itself in smaller documents, before it is told to let a giant pass: no entities that
    multiply, and no more nodes than fit into memory. Raises XmlRefused."""
    if data.count(b"<") + data.count(b"=") > MAX_MARKUP:
        raise XmlRefused(f"the document has more than {MAX_MARKUP} tags and attributes")
    start = etree.XMLPullParser(events=("start",), **_SAFE, encoding=encoding, huge_tree=False)
    try:
        start.feed(data[:_PROLOG_BYTES])
        _, root = next(iter(start.read_events()), (None, None))
    except (etree.XMLSyntaxError, ValueError, LookupError) as error:
        raise XmlRefused(str(error), private_reason="not well-formed XML at its start") from error
    # A document type stands before the root element, so the start of that element shows that there is none.
    if not isinstance(root, etree._Element):
        raise XmlRefused(f"the first {_PROLOG_BYTES} bytes hold no element")
    if root.getroottree().docinfo.internalDTD is not None:
        raise XmlRefused(_NO_DOCTYPE)
