"""Reading elements of answers by their local names: contracts differ in namespaces, and in capitals of names."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache

from lxml import etree

from rivta.viewer.records import Moment

_STRING = etree.XPath("string()")
_FORMS = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


def children(element: etree._Element | None, name: str) -> Iterator[etree._Element]:
    """The children of that local name, in any case."""
    for one in () if element is None else element:
        if _is_called(one.tag, name):
            yield one


def child(element: etree._Element | None, *path: str) -> etree._Element | None:
    """The first element on the way; None where it ends."""
    for name in path:
        element = None if element is None else _first(element, name)
    return element


def text(element: etree._Element | None, *path: str) -> str:
    """The text there, trimmed; empty where there is none."""
    found = child(element, *path)
    if found is None:
        return ""
    return str(_STRING(found)).strip() if len(found) else (found.text or "").strip()


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


def _first(element: etree._Element, name: str) -> etree._Element | None:
    for one in element:
        if _is_called(one.tag, name):
            return one
    return None


@lru_cache(maxsize=16_384)
def _is_called(tag: object, name: str) -> bool:
    """Names are few, and each stands in thousands of records. Comments and such have no name."""
    return isinstance(tag, str) and tag.rpartition("}")[2].lower() == name.lower()
