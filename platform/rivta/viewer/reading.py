"""Reading elements of answers by their local names: contracts differ in namespaces, and in capitals of names."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from lxml import etree

from rivta.viewer.records import Moment

_STRING = etree.XPath("string()")
_FORMS = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


def children(element: etree._Element | None, name: str) -> Iterator[etree._Element]:
    """The children of that local name, in any case."""
    wanted = name.lower()
    for child in () if element is None else element.iterchildren(etree.Element):
        if _local(child).lower() == wanted:
            yield child


def child(element: etree._Element | None, *path: str) -> etree._Element | None:
    """The first element on the way; None where it ends."""
    for name in path:
        element = next(children(element, name), None)
    return element


def text(element: etree._Element | None, *path: str) -> str:
    """The text there, trimmed; empty where there is none."""
    found = child(element, *path)
    return "" if found is None else str(_STRING(found)).strip()


def first_text(*texts: str) -> str:
    """The first that is not empty."""
    return next(filter(None, texts), "")


def coded(element: etree._Element | None, *path: str, known: dict[str, str] | None = None) -> str:
    """A coded value in words: those that came with it, else those that we know for its code, else the code itself.

    A bare text, as older versions have in place of a coded value, is a code.
    """
    found = child(element, *path)
    if found is None:
        return ""
    if not len(found):
        code = text(found)
        return (known or {}).get(code, code)
    code = text(found, "code")
    return first_text(text(found, "displayName"), text(found, "originalText"), (known or {}).get(code, code))


def yes(element: etree._Element | None, *path: str) -> bool:
    """A boolean of XML Schema; no where it does not stand."""
    return text(element, *path) in ("true", "1")


def moment(written: str) -> Moment | None:
    """A time as RIV-TA writes it, as exact as it is; None for what is none."""
    form = _FORMS.get(len(written))
    if form is None or not (written.isascii() and written.isdigit()):
        return None
    try:
        return Moment(datetime.strptime(written, form), len(written) > 8)  # noqa: DTZ007 - Swedish time, as journals have it
    except ValueError:
        return None


def _local(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]
