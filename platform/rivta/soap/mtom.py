"""Messages whose attachments travel beside them: MTOM, a multipart/related package after XOP 1.0 (W3C, 2005).

A package is turned into the message that it stands for: each `xop:Include` is replaced by its part as base64 (XOP 1.0
section 3.2). The incumbent takes out the envelope and loses the attachments; `envelope_only` does the same.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from lxml import etree

from rivta.soap import namespaces
from rivta.soap.charsets import Document, charset_of, read_document
from rivta.soap.xml import XmlRefused, line_of

MAX_PARTS = 1000
_MOST_GROWTH = 4
"""Times its own length that a package may take when written out: one that is read beside others must not become a giant
by including a part again and again."""
_MAX_PART_HEAD = 16_384
_LONGEST_BOUNDARY = 200

NO_ENVELOPE = "Inkommande begäran är ej korrekt utformat och kan därför inte behandlas."
"""The incumbent's detail where it finds no envelope in a package."""

_INCLUDE = f"{{{namespaces.XOP_INCLUDE}}}Include"
_PARAMETER = re.compile(r""";\s*([\w!#$%&'*+.^`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))""")
_ANY_ENVELOPE = re.compile(rb"(?i)<(\w[\w.-]*:)?Envelope[\s/>]")
_PREFIXED_START = re.compile(rb"(?i)<\w[\w.-]*:Envelope")
_PREFIXED_END = re.compile(rb"(?i)</\w[\w.-]*:Envelope>")


@dataclass(frozen=True, slots=True)
class _Part:
    content_id: str
    """Without its angle brackets; empty when it has none."""
    content_type: str
    encoding: str
    """Its Content-Transfer-Encoding, in lower case."""
    body: memoryview


@lru_cache(maxsize=256)
def is_package(content_type: str) -> bool:
    """Whether what has this Content-Type is an XOP package, as the incumbent tells."""
    return "application/xop+xml" in content_type.lower()


def read_package(body: bytes, content_type: str, *, max_bytes: int) -> Document:
    """The message that the package stands for, with its attachments in it: a document that is nowhere in `body`.

    Raises XmlRefused, also when the attachments would take more than `max_bytes` in the message, or when one of them
    is not included by it and would be lost.
    """
    try:
        root, others = _root_and_others(body, content_type)
        document = read_document(bytes(_content(root)), charset_of(root.content_type))
        _include(document.root, others, min(max_bytes, _MOST_GROWTH * len(body)))
    except XmlRefused as error:
        if _ANY_ENVELOPE.search(body):
            raise
        raise XmlRefused(NO_ENVELOPE) from error
    return Document(document.root, document.encoding, is_plain=False)


def envelope_only(body: bytes) -> bytes:
    """The bytes from the first start of an Envelope with a prefix to the last end of one, as the incumbent cuts them.

    Raises XmlRefused when there is none.
    """
    start = _PREFIXED_START.search(body)
    end = None
    for end in _PREFIXED_END.finditer(body, start.end() if start else len(body)):  # noqa: B007 - the last one counts
        pass
    if start is None or end is None:
        raise XmlRefused(NO_ENVELOPE)
    return body[start.start() : end.end()]


def _root_and_others(body: bytes, content_type: str) -> tuple[_Part, dict[str, _Part]]:
    """The part that holds the message, and the others by Content-ID."""
    if not content_type.lower().lstrip().startswith("multipart/"):
        return _Part("", content_type, "binary", memoryview(body)), {}
    parameters = _parameters(content_type)
    parts: list[_Part] = []
    for at, end in _spans(body, _boundary(parameters)):
        if len(parts) == MAX_PARTS:
            raise XmlRefused(f"the package has more than {MAX_PARTS} parts")
        parts.append(_part(body, at, end))
    start = _bare(parameters.get("start", ""))
    root = next((part for part in parts if part.content_id == start), None) if start else parts[0]
    if root is None:
        raise _refused("the package has no part with the Content-ID that its start parameter names", start)
    others: dict[str, _Part] = {}
    for part in parts:
        if part is root:
            continue
        if not part.content_id:
            raise XmlRefused("a part of the package has no Content-ID, so the message cannot include it")
        if part.content_id in others or part.content_id == root.content_id:
            raise _refused("the package has two parts with the same Content-ID", part.content_id)
        others[part.content_id] = part
    return root, others


def _include(root: etree._Element, parts: dict[str, _Part], max_bytes: int) -> None:
    """Puts the parts where the message includes them."""
    left = dict(parts)
    size = 0
    for include in list(root.iter(_INCLUDE)):
        parent = include.getparent()
        if parent is None or len(parent) > 1 or (parent.text or "").strip() or (include.tail or "").strip():
            raise XmlRefused("xop:Include is not all that its element holds", line=line_of(include))
        href = include.get("href") or ""
        content_id = unquote(href[4:]) if href[:4].lower() == "cid:" else ""
        part = parts.get(content_id)
        if part is None:
            raise _refused("the message includes a part that the package does not have", href, line_of(include))
        left.pop(content_id, None)
        content = _content(part)
        size += len(content) * 4 // 3
        if size > max_bytes:
            raise XmlRefused(f"the message with its attachments written out is longer than {max_bytes} bytes")
        parent.remove(include)
        parent.text = binascii.b2a_base64(content, newline=False)  # type: ignore[assignment]  # the stubs know text only
    if left:
        raise _refused("the package has a part that the message does not include, which would be lost", min(left))


def _content(part: _Part) -> bytes | memoryview:
    match part.encoding:
        case "" | "binary" | "8bit" | "7bit":
            return part.body
        case "quoted-printable":
            return binascii.a2b_qp(part.body)
        case "base64":
            try:
                return binascii.a2b_base64(bytes(part.body).translate(None, b" \t\r\n"), strict_mode=True)
            except ValueError as error:
                raise _refused("a part of the package is not the base64 that it says", part.content_id) from error
        case _:
            raise _refused("a part of the package has an unknown Content-Transfer-Encoding", part.encoding)


def _spans(body: bytes, boundary: bytes) -> Iterator[tuple[int, int]]:
    """Where each part, its head included, begins and ends in `body`: RFC 2046 section 5.1.1.

    All lines that make up the package end as its first one does; LF alone is borne with.
    """
    delimiter = b"--" + boundary
    at = 0 if body.startswith(delimiter) else body.find(b"\n" + delimiter) + 1
    if at == 0 and not body.startswith(delimiter):
        raise XmlRefused("the package has no part: the boundary of its Content-Type is nowhere in it")
    line_end = body.find(b"\n", at)
    newline = b"\r\n" if body[line_end - 1 : line_end] == b"\r" else b"\n"
    separator = newline + delimiter
    at += len(delimiter)
    is_first = True
    while True:
        if body.startswith(b"--", at):
            if is_first:
                raise XmlRefused("the package has no part")
            return
        start = body.find(newline, at)
        if start < 0 or body[at:start].strip(b" \t"):
            # Another reader may or may not take it for a boundary (RFC 2046 leaves it to the sender to choose better).
            raise XmlRefused("the boundary of the package is followed by other text on its line")
        start += len(newline)
        # The line end before a boundary belongs to the boundary, also where the part before it is empty.
        end = body.find(separator, start - len(newline))
        if end < 0:
            raise XmlRefused("the package is cut off: its last boundary is missing")
        yield start, max(start, end)
        at = end + len(separator)
        is_first = False


def _part(body: bytes, start: int, end: int) -> _Part:
    head, content = _head(body, start, end)
    fields: dict[str, str] = {}
    for line in head:
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if not colon:
            raise XmlRefused("a part of the package has a line in its head that is no header")
        if name in fields and name.startswith("content-"):
            raise XmlRefused("a part of the package has the same header twice")
        fields[name] = value.strip()
    return _Part(
        _bare(fields.get("content-id", "")),
        fields.get("content-type", ""),
        fields.get("content-transfer-encoding", "").lower(),
        memoryview(body)[content:end],
    )


def _head(body: bytes, start: int, end: int) -> tuple[list[str], int]:
    """The header lines of a part, unfolded, and where its content begins."""
    lines: list[str] = []
    at, limit = start, min(end, start + _MAX_PART_HEAD)
    while at < end:
        line_end = body.find(b"\n", at, limit)
        if line_end < 0:
            break
        line = body[at:line_end].rstrip(b"\r").decode("latin-1")
        at = line_end + 1
        if not line:
            return lines, at
        if line[0] in " \t" and lines:
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
    raise XmlRefused(f"a part of the package has no end of its head within {_MAX_PART_HEAD} bytes")


def _parameters(content_type: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for name, quoted, token in _PARAMETER.findall(content_type):
        if name.lower() in parameters:
            raise XmlRefused(f"the Content-Type has two parameters {name}")
        parameters[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) or token
    return parameters


def _boundary(parameters: dict[str, str]) -> bytes:
    boundary = parameters.get("boundary", "")
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY or not boundary.isascii() or not boundary.isprintable():
        raise XmlRefused("the Content-Type is multipart and names no boundary, or one that is none")
    return boundary.encode()


def _bare(content_id: str) -> str:
    return content_id.strip().removeprefix("<").removesuffix(">")


def _refused(reason: str, value: str, line: int = 0) -> XmlRefused:
    """`value` is the sender's own word, so it stays out of logs."""
    return XmlRefused(f"{reason}: {value[:200]}", line=line, private_reason=reason)
