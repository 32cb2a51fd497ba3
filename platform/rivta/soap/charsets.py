"""In which characters a message is written: who says so, whom to believe, and answering in the same ones.

As the incumbent has it, the charset of the Content-Type goes before what the document says of itself, and when neither
fits the bytes they are tried as UTF-8. (.NET writes `encoding="utf-16"` over UTF-8 bytes when XML comes from a string.)
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from lxml import etree

from rivta.soap.xml import XmlRefused, parse_xml

UTF_8 = "UTF-8"

_CHARSET = re.compile(r"""(?i);\s*charset\s*=\s*["']?([^\s;"']+)""")
_DECLARED = re.compile(rb"""(?:\xef\xbb\xbf)?<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._:-]+)""")
# The parser knows a byte order mark; without one it has to be told.
_TWO_BYTES = {b"\xff\xfe": None, b"\xfe\xff": None, b"<\x00": "UTF-16LE", b"\x00<": "UTF-16BE"}
_FOUR_BYTES = {b"<\x00\x00\x00": "UTF-32LE", b"\x00\x00\x00<": "UTF-32BE"}
_ASCII_TOO = frozenset({"UTF-8", "UTF8", "US-ASCII", "ASCII"})


@dataclass(frozen=True, slots=True)
class Document:
    """A document that has been read."""

    root: etree._Element
    encoding: str
    """What its bytes are, `UTF-8` for plain ASCII too."""
    is_plain: bool
    """It is UTF-8 and nothing about it says otherwise: whoever reads its bytes reads the same text."""


@lru_cache(maxsize=256)
def charset_of(content_type: str) -> str | None:
    """The charset in a Content-Type, in capitals."""
    found = _CHARSET.search(content_type)
    return found.group(1).upper() if found else None


def read_document(data: bytes, charset: str | None) -> Document:
    """Reads `data`, which came with that charset in its Content-Type (in capitals). Raises XmlRefused."""
    if data[:4] in _FOUR_BYTES:
        encoding = _FOUR_BYTES[data[:4]]
        return Document(parse_xml(data, encoding=encoding), encoding, is_plain=False)
    if data[:2] in _TWO_BYTES:
        root = parse_xml(data, encoding=_TWO_BYTES[data[:2]])
        own = (root.getroottree().docinfo.encoding or "").upper()
        return Document(root, own if own.startswith("UTF-32") else "UTF-16", is_plain=False)
    declaration = _DECLARED.match(data)
    declared = declaration.group(1).decode().upper() if declaration else None
    if (charset is None or charset in _ASCII_TOO) and (declared is None or declared in _ASCII_TOO):
        root = parse_xml(data)
        # A declaration too odd for our expression is still found out by the parser.
        read_as = (root.getroottree().docinfo.encoding or UTF_8).upper()
        is_plain = read_as in _ASCII_TOO
        return Document(root, UTF_8 if is_plain else read_as, is_plain=is_plain)
    refused: XmlRefused | None = None
    for encoding in _candidates(charset, declared):
        try:
            root = parse_xml(data, encoding=encoding)
        except XmlRefused as error:
            refused = refused or error
        else:
            return Document(root, UTF_8 if encoding in _ASCII_TOO else encoding, is_plain=declared == encoding == UTF_8)
    assert refused is not None
    raise refused


def encoded_as(body: bytes, encoding: str) -> bytes | None:
    """The document `body` written in `encoding` and saying so; None when it cannot be, or is no document.

    Unlike the incumbent, whose answer keeps the declaration it came with.
    """
    try:
        encoded = etree.tostring(parse_xml(body).getroottree(), encoding=encoding, xml_declaration=True)
    except (LookupError, ValueError):  # no such encoding; no document
        return None
    return encoded if isinstance(encoded, bytes) else None


def _candidates(charset: str | None, declared: str | None) -> Iterator[str]:
    """What to try, in order. Better than the incumbent: a document that says UTF-8 and is UTF-8 is believed, since
    many HTTP libraries write ISO-8859-1 into the Content-Type whatever they send."""
    if declared in _ASCII_TOO:
        yield UTF_8
    if charset:
        yield charset
    if declared and declared not in _ASCII_TOO:
        yield declared
    yield UTF_8
