"""The one door for XML that others wrote: a parser that resolves nothing, loads nothing and has bounds."""

from lxml import etree

MAX_DEPTH = 200
MAX_ATTRIBUTES = 256


class XmlRefused(ValueError):
    """The bytes are not XML that the platform reads: malformed, or with a document type, or beyond a bound."""

    def __init__(self, reason: str, *, line: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


# libxml2 stops at 256 levels by itself; ours is lower so that the limit is one we can name.
_TOO_DEEP = etree.XPath("boolean(/" + "/".join(["*"] * (MAX_DEPTH + 1)) + ")")
_TOO_MANY_ATTRIBUTES = etree.XPath(f"boolean(//*[@*[{MAX_ATTRIBUTES + 1}]])")


def parse_xml(data: bytes) -> etree._Element:
    """The root element of `data`, with comments, processing instructions and CDATA kept.

    Raises XmlRefused for malformed XML, a document type declaration (SOAP 1.1 section 3 forbids it, and entities come
    with it), more than MAX_DEPTH levels or more than MAX_ATTRIBUTES attributes on an element.
    """
    # A parser of its own per call: one shared across threads serialises them, and nothing leaks between messages.
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        strip_cdata=False,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        line = error.lineno or 0
        raise XmlRefused(str(error.msg or "not well-formed"), line=line) from error
    except ValueError as error:  # an unknown or lying encoding declaration
        raise XmlRefused(str(error)) from error
    if root is None:
        raise XmlRefused("the document is empty")
    if root.getroottree().docinfo.internalDTD is not None:
        raise XmlRefused("a document type declaration (DOCTYPE) is not allowed in a message")
    if _TOO_DEEP(root):
        raise XmlRefused(f"elements are nested more than {MAX_DEPTH} deep")
    if _TOO_MANY_ATTRIBUTES(root):
        raise XmlRefused(f"an element has more than {MAX_ATTRIBUTES} attributes")
    return root
