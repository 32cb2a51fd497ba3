"""FindContent from the asking side: the question as a payload, the answer as engagements.

Imported by workers: lxml and nothing of spyne or the database.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lxml import etree

from rivta.index.engagement import Engagement
from rivta.index.wire import read_engagements
from rivta.soap import namespaces

_NAMESPACE = f"{{{namespaces.FIND_CONTENT_1}}}"
RESPONSE = f"{_NAMESPACE}FindContentResponse"

QUESTION_FIELDS = (
    ("registered_resident_id", "registeredResidentIdentification"),
    ("service_domain", "serviceDomain"),
    ("categorization", "categorization"),
    ("logical_address", "logicalAddress"),
    ("business_object_instance_id", "businessObjectInstanceIdentifier"),
    ("clinical_process_interest_id", "clinicalProcessInterestId"),
    ("most_recent_content", "mostRecentContent"),
    ("source_system", "sourceSystem"),
    ("data_controller", "dataController"),
    ("owner", "owner"),
)
"""Attribute of Question and name of its element, in the order of the schema."""


class NotAnAnswer(ValueError):
    """The index answered with something else than FindContentResponse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is sought: every field that is given narrows the answer."""

    registered_resident_id: str = field(repr=False)
    service_domain: str
    categorization: str | None = None
    logical_address: str | None = None
    business_object_instance_id: str | None = None
    clinical_process_interest_id: str | None = None
    most_recent_content: str | None = None
    """Only engagements with content at least as new, `yyyyMMddHHmmss`; those that do not say are left out."""
    source_system: str | None = None
    data_controller: str | None = None
    owner: str | None = None


def find_content(question: Question) -> etree._Element:
    """The payload of FindContent. Raises ValueError for a text that XML cannot hold."""
    root = etree.Element(f"{_NAMESPACE}FindContent", nsmap={None: namespaces.FIND_CONTENT_1})  # type: ignore[dict-item]
    for name, wire in QUESTION_FIELDS:
        text = getattr(question, name)
        if text is not None:
            etree.SubElement(root, _NAMESPACE + wire).text = text
    return root


def hits(payload: etree._Element | None) -> tuple[Engagement, ...]:
    """The engagements of an answer, in its order. Raises NotAnAnswer."""
    if payload is None or payload.tag != RESPONSE:
        raise NotAnAnswer("the index did not answer with FindContentResponse")
    return read_engagements(payload)
