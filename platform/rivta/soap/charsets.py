"""In which characters a message is written: who says so, whom to believe, and answering in the same ones.

As the incumbent has it, the charset of the Content-Type goes before what the document says of itself, and when neither
fits the bytes they are tried as UTF-8. (.NET writes `encoding="utf-16"` over UTF-8 bytes when XML comes from a string.)
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from lxml import etree

from rivta.soap.xml import XmlRefused, parse_xml

UTF_8 = "UTF-8"

Parse = Callable[..., etree._Element]
"""Reads bytes, given the keyword `encoding`: `parse_xml`, or what has its signature."""

_CHARSET = re.compile(r"""(?i);\s*charset\s*=\s*["']?([^\s;"']+)""")
_DECLARATION = re.compile(rb"""(?:\xef\xbb\xbf)?<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._:-]+)""")
# The parser knows a byte order mark; without one it has to be told.
_TWO_BYTES = {b"\xff\xfe": None, b"\xfe\xff": None, b"<\x00": "UTF-16LE", b"\x00<": "UTF-16BE"}
_FOUR_BYTES = {b"<\x00\x00\x00": "UTF-32LE", b"\x00\x00\x00<": "UTF-32BE"}
_ASCII_TOO = frozenset({"UTF-8", "UTF8", "US-ASCII", "ASCII"})
# What is read at all: encodings in which markup has the bytes that it has in ASCII, with or without zeros between them,
# so that nobody takes for text what we take for tags. UTF-7, EBCDIC and ISO-2022 are not among them.
_READ = re.compile(
    r"UTF-?8|UTF-?16(LE|BE)?|UTF-?32(LE|BE)?|(US-)?ASCII|ISO[-_]?8859-\d{1,2}|LATIN-?\d{1,2}|L\d|(WINDOWS|CP)-?125\d|"
    r"(IBM|CP)-?(437|850|858|865)|MACINTOSH|KOI8-[RU]"
)


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


def declared_encoding(data: bytes) -> str | None:
    """The encoding that a document names in its declaration, in capitals."""
    found = _DECLARATION.match(data)
    return found.group(1).decode().upper() if found else None


def read_document(
    data: bytes, charset: str | None, *, parse: Parse = parse_xml, content_type_first: bool = False
) -> Document:
    """Reads `data`, which came with that charset in its Content-Type (in capitals). Raises XmlRefused.

    `content_type_first`: the charset is believed also where the document says that it is UTF-8, as the incumbent does.
    """
    if data[:4] in _FOUR_BYTES:
        encoding = _FOUR_BYTES[data[:4]]
        return Document(parse(data, encoding=encoding), encoding, is_plain=False)
    if data[:2] in _TWO_BYTES:
        marked = _TWO_BYTES[data[:2]]
        root = parse(data, encoding=marked)
        own = (root.getroottree().docinfo.encoding or "").upper()
        if own.startswith("UTF-32"):  # its mark begins as that of UTF-16
            return Document(root, own, is_plain=False)
        return Document(root, marked if marked is not None and marked == charset else "UTF-16", is_plain=False)
    declared = declared_encoding(data)
    if (charset is None or charset in _ASCII_TOO) and (declared is None or declared in _ASCII_TOO):
        root = parse(data)
        # A declaration too odd for our expression is still found out by the parser.
        read_as = (root.getroottree().docinfo.encoding or UTF_8).upper()
        if not _READ.fullmatch(read_as):
            raise XmlRefused(
                f"the character encoding {read_as} is not read; send UTF-8",
                private_reason="a character encoding that is not read",
            )
        is_plain = read_as in _ASCII_TOO
        return Document(root, UTF_8 if is_plain else read_as, is_plain=is_plain)
    refused: XmlRefused | None = None
    for encoding in _candidates(charset, declared, content_type_first=content_type_first):
        try:
            root = parse(data, encoding=encoding)
        except XmlRefused as error:
            refused = refused or error
        else:
            return Document(root, UTF_8 if encoding in _ASCII_TOO else encoding, is_plain=declared == encoding == UTF_8)
    assert refused is not None
    raise refused


def names_what_is_read(data: bytes) -> bool:
    """Whether a document says nothing of its encoding, or names one that is read here. Whoever believes another may
    find other tags in it."""
    declared = declared_encoding(data)
    if declared is None:
        return b"encoding" not in data[: max(data.find(b"?>"), 0)]
    return _READ.fullmatch(declared) is not None


def read_answer(data: bytes, charset: str | None) -> Document:
    """Reads what a producer answered with that charset in its Content-Type. Raises XmlRefused.

    Whatever it claims, bytes that are UTF-8 are taken for it: consumers, told so by the incumbent, read them as UTF-8,
    and text in another encoding is hardly ever UTF-8 by chance.
    """
    if not _claims_otherwise(data, charset):
        return read_document(data, None)
    if _is_wide(data) or not _is_utf_8(data):
        return read_document(data, charset)
    return Document(parse_xml(data, encoding=UTF_8), UTF_8, is_plain=False)


def is_foreign(data: bytes, charset: str | None) -> bool:
    """Whether an answer with that charset in its Content-Type is said to be, and is, something else than UTF-8."""
    return _claims_otherwise(data, charset) and (_is_wide(data) or not _is_utf_8(data))


def encoded_as(
    body: bytes, encoding: str, *, charset: str | None = None, keep_declaration: bool = False
) -> bytes | None:
    """The answer `body`, which came with `charset`, written in `encoding`; None when it cannot be, or is no document.

    It says which encoding it is in, unless `keep_declaration`: then it says what it said, as the incumbent's does, and
    characters that the encoding lacks are question marks instead of character references.
    """
    try:
        document = read_answer(body, charset)
        if keep_declaration:
            return _with_mark(body.decode(document.encoding).removeprefix("\ufeff"), encoding)
        return written(document.root, encoding)
    except (LookupError, ValueError):  # no such encoding; no document
        return None


def written(root: etree._Element, encoding: str) -> bytes:
    """The whole document of `root` in `encoding`, with what stands around the root. LookupError: no such encoding."""
    text = etree.tostring(root.getroottree(), encoding=encoding, xml_declaration=True)
    if not isinstance(text, bytes):  # `unicode` is no encoding, but lxml has a meaning for it
        raise LookupError(encoding)
    return text


def _with_mark(text: str, encoding: str) -> bytes:
    """UTF-16 as Java writes it: big-endian, with a byte order mark."""
    return b"\xfe\xff" + text.encode("UTF-16BE") if encoding == "UTF-16" else text.encode(encoding, errors="replace")


def _claims_otherwise(data: bytes, charset: str | None) -> bool:
    """Whether anything about an answer says that it is not UTF-8. Asked of every answer: no more than a glance."""
    if _is_wide(data) or not (charset is None or charset in _ASCII_TOO):
        return True
    declared = declared_encoding(data)
    return declared is not None and declared not in _ASCII_TOO


def _is_wide(data: bytes) -> bool:
    return data[:2] in _TWO_BYTES or data[:4] in _FOUR_BYTES


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _candidates(charset: str | None, declared: str | None, *, content_type_first: bool) -> Iterator[str]:
    """What to try, in order. Better than the incumbent: a document that says UTF-8 and is UTF-8 is believed, since
    many HTTP libraries write ISO-8859-1 into the Content-Type whatever they send."""
    if declared in _ASCII_TOO and not content_type_first:
        yield UTF_8
    if charset and _READ.fullmatch(charset):
        yield charset
    if declared and declared not in _ASCII_TOO and _READ.fullmatch(declared):
        yield declared
    yield UTF_8
