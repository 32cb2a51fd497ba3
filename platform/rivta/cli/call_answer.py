"""What came of a call that `rivta call` made: reading the answer, and showing it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import click

from rivta.cli.terminal import harmless, harmless_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxml import etree
    from rich.console import Console

    from rivta.cli.call_sources import ShownSource

_VP_CODE = re.compile(r"\s*(VP\d{3})\b")
_LONGEST_SHOWN = 2_000
"""Characters of an answer that is no SOAP."""


@dataclass(frozen=True, slots=True)
class ShownFault:
    """A fault as it is shown: the platform's own, a producer's, or an answer that is no SOAP."""

    code: str | None
    """As `VP004`; None when the fault is not the platform's."""
    side: str | None
    """`Client` or `Server`: who has to act."""
    text: str
    detail: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What came of the call; its fields are the JSON output, which scripts rely on."""

    status: int
    correlation_id: str
    elapsed_ms: float
    producer_ms: float | None
    fault: ShownFault | None
    response: str | None
    """The answer as XML text; None when it is a fault or empty."""
    sources: tuple[ShownSource, ...] | None = None
    """How each source of an aggregate fared; None when the answer is no aggregate's."""


def read_answer(status: int, body: bytes) -> tuple[ShownFault | None, str | None]:
    """The fault that an answer is, or else its XML text; both None for an empty one that reports success."""
    from lxml import etree

    from rivta.soap.xml import XmlRefused, parse_xml

    success = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
    if success and not body.strip():
        return None, None
    try:
        root = parse_xml(body)
    except XmlRefused:
        return _foreign_answer(status, body), None
    element = next(_children(root, "Body"), None)
    fault = next(_children(element, "Fault"), None) if element is not None else None
    if fault is not None:
        return _soap_fault(fault), None
    if not success:
        return _foreign_answer(status, body), None
    return None, etree.tostring(root, encoding="unicode")


def _soap_fault(fault: etree._Element) -> ShownFault:
    text = _text_of(next(_children(fault, "faultstring"), None))
    code = _VP_CODE.match(text)
    return ShownFault(
        code=code.group(1) if code else None,
        side=_text_of(next(_children(fault, "faultcode"), None)).rpartition(":")[2] or None,
        text=text,
        detail=_text_of(next(_children(fault, "detail"), None)),
    )


def _foreign_answer(status: int, body: bytes) -> ShownFault:
    """An answer from below SOAP, such as 413, or from something that is no platform."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    side = (
        "Server"
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR
        else "Client"
        if status >= HTTPStatus.BAD_REQUEST
        else None
    )
    text = body[:_LONGEST_SHOWN].decode("utf-8", "replace").strip()
    return ShownFault(code=None, side=side, text=f"HTTP {status} {phrase}".strip(), detail=text)


def _children(parent: etree._Element, local_name: str) -> Iterator[etree._Element]:
    return (child for child in parent if isinstance(child.tag, str) and child.tag.rpartition("}")[2] == local_name)


def _text_of(element: etree._Element | None) -> str:
    if element is None:
        return ""
    pieces = [text for text in element.itertext("*") if isinstance(text, str) and text.strip()]
    # A text that stands alone is kept to the letter; around several stands the indentation of the XML.
    return pieces[0] if len(pieces) == 1 else " ".join(piece.strip() for piece in pieces)


def print_answer(shown: Shown) -> None:
    """The result in a line, the fault or the answer, and the sources of an aggregate."""
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    print_result(console, shown)
    if shown.fault:
        print_fault(console, shown.fault)
    elif shown.response is None:
        console.print(Text("(an empty answer)"))
    elif console.is_terminal:
        from rich.syntax import Syntax

        console.print(
            Syntax(
                harmless_lines(_indented(shown.response)),
                "xml",
                theme="ansi_dark",
                background_color="default",
                word_wrap=True,
            )
        )
    else:
        click.echo(_indented(shown.response))
    if shown.sources is not None:
        from rivta.cli.call_sources import print_sources

        console.print()
        print_sources(console, shown.sources)


def print_result(console: Console, shown: Shown) -> None:
    """Status, correlation id and times."""
    from rich.text import Text

    producer = f", producer {shown.producer_ms:g} ms" if shown.producer_ms is not None else ""
    colour = "red" if shown.fault else "green"
    console.print(
        Text(str(shown.status), style=f"bold {colour}"),
        Text(f" correlation id {harmless(shown.correlation_id)}, {shown.elapsed_ms:g} ms{producer}"),
        sep="",
    )


def print_fault(console: Console, fault: ShownFault) -> None:
    """Code, side, text and detail."""
    from rich.text import Text

    whose = f" ({harmless(fault.side)})" if fault.side else ""
    console.print(Text(f"{fault.code or 'Fault'}{whose}", style="bold red"))
    for label, text in (("text", fault.text), ("detail", fault.detail)):
        if text:
            console.print(Text(f"  {label:<8}{harmless_lines(text)}"))


def _indented(xml: str) -> str:
    from lxml import etree

    from rivta.soap.xml import parse_xml

    root = parse_xml(xml.encode())
    etree.indent(root)
    return etree.tostring(root, encoding="unicode")
