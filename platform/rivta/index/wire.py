"""Engagements and changes as elements, both ways. What is read is not believed: `validation` looks at it.

Imported by workers: lxml and nothing of spyne or the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from lxml import etree

from rivta.index.engagement import FIELDS, Engagement, Transaction
from rivta.soap import namespaces

_TYPES = f"{{{namespaces.ENGAGEMENT_INDEX_1}}}"
_NIL = f"{{{namespaces.XML_SCHEMA_INSTANCE}}}nil"
_VISITED = f"{{{namespaces.NOTIFICATION_PATH}}}visited"
_NAME_OF = {_TYPES + one.wire: one.name for one in FIELDS}
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}
_MOST_VISITED, _LONGEST_ID = 100, 64
"""So many names of indexes are read of one change, each of so many characters; no chain is that long."""


@dataclass(frozen=True, slots=True)
class ReadTransaction:
    """A change as a message says it: whatever it lacks is None."""

    delete: bool | None
    fields: Mapping[str, str]
    """By attribute of Engagement. Empty where there is no engagement at all."""
    visited: tuple[str, ...]

    def get(self, name: str) -> str:
        """The field, empty for one that is not there."""
        return self.fields.get(name, "")

    def transaction(self, *, owner: str | None = None) -> Transaction:
        """The change itself, once it has been found valid; with `owner` as its owner where that is given."""
        times = {name: self.fields.get(name) for name in ("most_recent_content", "creation_time", "update_time")}
        texts = {one.name: self.get(one.name) for one in FIELDS if one.name not in times}
        if owner is not None:
            texts["owner"] = owner
        return Transaction(bool(self.delete), Engagement(**texts, **times), self.visited)  # type: ignore[arg-type]


def read_transactions(payload: etree._Element, *, most: int | None = None) -> list[ReadTransaction]:
    """The changes of an Update or ProcessNotification; the first `most` of them where that is given."""
    found = payload.iterchildren(f"{{{_namespace(payload)}}}engagementTransaction")
    return [_read_transaction(one) for one in islice(found, most)]


def _read_transaction(element: etree._Element) -> ReadTransaction:
    engagement = element.find(f"{_TYPES}engagement")
    flag = (element.findtext(f"{_TYPES}deleteFlag") or "").strip()
    visited = [
        name for one in element.iterchildren(_VISITED) if 0 < len(name := (one.text or "").strip()) <= _LONGEST_ID
    ]
    return ReadTransaction(
        delete=_TRUTHS.get(flag),
        fields={} if engagement is None else _read_fields(engagement),
        visited=tuple(visited[:_MOST_VISITED]),
    )


def _read_fields(engagement: etree._Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for child in engagement:
        name = _NAME_OF.get(str(child.tag))
        if name is not None and name not in found and child.get(_NIL) not in ("true", "1"):
            found[name] = _text(child)
    return found


def read_engagements(parent: etree._Element) -> tuple[Engagement, ...]:
    """The engagements right below `parent`, as an answer of FindContent has them. What one lacks is empty."""
    found = parent.iterchildren(f"{{{_namespace(parent)}}}engagement")
    return tuple(ReadTransaction(False, _read_fields(one), ()).transaction().engagement for one in found)


def changes_element(namespace: str, name: str, transactions: Iterable[Transaction]) -> etree._Element:
    """The payload of an Update or ProcessNotification: `name` in the contract's `namespace`."""
    root = etree.Element(
        f"{{{namespace}}}{name}",
        nsmap={None: namespace, "index": namespaces.ENGAGEMENT_INDEX_1},  # type: ignore[dict-item]
    )
    for one in transactions:
        entry = etree.SubElement(root, f"{{{namespace}}}engagementTransaction")
        etree.SubElement(entry, f"{_TYPES}deleteFlag").text = "true" if one.delete else "false"
        add_engagement(entry, f"{_TYPES}engagement", one.engagement)
        for index in one.visited:
            etree.SubElement(entry, _VISITED, nsmap={"path": namespaces.NOTIFICATION_PATH}).text = index
    return root


def add_engagement(parent: etree._Element, tag: str, one: Engagement) -> None:
    """Adds an engagement as the element `tag`: what is None, and an owner that nobody said, is left out."""
    element = etree.SubElement(parent, tag)
    for of in FIELDS:
        text = getattr(one, of.name)
        if text is not None and (text or of.mandatory):
            etree.SubElement(element, _TYPES + of.wire).text = text


def _text(element: etree._Element) -> str:
    """The text, also where a comment stands in it: half an address is another address."""
    return (element.text or "") + "".join(one.tail or "" for one in element if not isinstance(one.tag, str))


def _namespace(element: etree._Element) -> str:
    return etree.QName(element).namespace or ""
