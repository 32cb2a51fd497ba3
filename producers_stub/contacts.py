"""Records of the domain clinicalprocess:logistics:logistics: care contacts, in both versions of their contract."""

from __future__ import annotations

from collections.abc import Sequence

from producers_stub.headers import Asked, contact_header, short_header, unit
from producers_stub.journals import CareContact
from producers_stub.nodes import Node, coded, seconds

KINDS = "1.2.752.129.2.2.2.25"
STATUSES = "1.2.752.129.2.2.2.19"

_KINDS = {"1": "Besök", "2": "Telefon", "3": "Vårdtillfälle", "4": "Dagsjukvård", "5": "Annan"}
_STATUSES = {"1": "Ej påbörjad", "2": "Inställd", "3": "Pågående", "4": "Avbruten", "5": "Avslutad"}


def care_contact_2(one: CareContact, asked: Asked) -> Sequence[Node]:
    """CareContactType of version 2: kind and status are bare codes."""
    body = _body(one, kind=one.kind, status=one.status)
    return (("careContactHeader", short_header(one.document, asked)), ("careContactBody", body))


def care_contact_3(one: CareContact, asked: Asked) -> Sequence[Node]:
    """CareContactType of version 3."""
    body = _body(
        one,
        kind=coded(one.kind, KINDS, "KV kontakttyp", _KINDS[one.kind]),
        status=coded(one.status, STATUSES, "KV kontaktstatus", _STATUSES[one.status]),
    )
    return (("careContactHeader", contact_header(one.document, asked)), ("careContactBody", body))


def _body(one: CareContact, *, kind: str | Sequence[Node], status: str | Sequence[Node]) -> Sequence[Node]:
    period: list[Node] = [("start", seconds(one.start)), ("end", seconds(one.end) if one.end else None)]
    return (
        ("careContactCode", kind),
        ("careContactReason", one.reason),
        ("careContactOrgUnit", unit(one.document.unit)),
        ("careContactTimePeriod", period),
        ("careContactStatus", status),
    )
