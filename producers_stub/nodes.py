"""Pieces of answers as plain values, and how they become XML: names, texts, codes and times as RIV-TA writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from lxml import etree

HSA_IDS = "1.2.752.129.2.1.4.1"
OWN_IDS = "1.2.752.129.2.1.2.1"
"""Ids that a system gives itself."""

Node = tuple[str, "str | Sequence[Node] | None"]
"""An element's local name with its text or children. None, an empty text or no children leaves the element out."""


def append(parent: etree._Element, namespace: str, nodes: Iterable[Node]) -> None:
    """Puts `nodes` under `parent`, each in `namespace`."""
    for name, content in nodes:
        if not content:
            continue
        element = etree.SubElement(parent, f"{{{namespace}}}{name}")
        if isinstance(content, str):
            element.text = content
        else:
            append(element, namespace, content)


def coded(code: str, system: str, system_name: str, text: str) -> Sequence[Node]:
    """A coded value (CVType)."""
    return (("code", code), ("codeSystem", system), ("codeSystemName", system_name), ("displayName", text))


def identified(root: str, extension: str) -> Sequence[Node]:
    """An id with who gave it (IIType); nothing where it is empty."""
    return (("root", root), ("extension", extension)) if extension else ()


def prefixed(source: str, record_id: str) -> str:
    """Ids of records are unique among all source systems, because each puts its own address in front."""
    return record_id if ":" in record_id else f"{source}:{record_id}"


def boolean(value: bool) -> str:
    """As XML Schema writes it."""
    return "true" if value else "false"


def seconds(moment: datetime) -> str:
    """YYYYMMDDhhmmss."""
    return f"{moment:%Y%m%d%H%M%S}"


def day(moment: datetime) -> str:
    """YYYYMMDD."""
    return f"{moment:%Y%m%d}"
