"""Which requests only ask, and may be sent without a second thought. Everything else counts as one that writes."""

from __future__ import annotations

import re

from lxml import etree

from rivta.soap.head import read_head, refuse_ambiguous
from rivta.soap.xml import XmlRefused

READING = ("Get", "Find", "Ping", "Sok", "hamta")
"""How the names of operations that only ask begin (RIV-TA's guide for contracts: a query is named Get; FindContent is
the engagement index's, Ping the monitoring's, Sok and hamta the catalogue's). What is named otherwise may write."""

_READING = re.compile(rf"(?:{'|'.join(READING)})(?=[A-ZÅÄÖ])\w*")
_RESPONDER = re.compile(r".*:(?P<name>\w+)Responder:\d+")


def reason_it_may_write(envelope: etree._Element) -> str | None:
    """Why a request, parsed, may change something at its producer; None for one that only asks.

    Both the element in the body and the contract that its namespace names have to be of the reading kind, and nothing
    in the message may leave room for another reading of it.
    """
    head = read_head(envelope)
    try:
        refuse_ambiguous(envelope, head, soap_12=True)
    except XmlRefused as error:
        return f"can be read in two ways: {error.reason}"
    if head.payload is None:
        return None
    name = etree.QName(head.payload)
    contract = _RESPONDER.fullmatch(name.namespace or "")
    for one in (name.localname, *([contract["name"]] if contract else [])):
        if _READING.fullmatch(one) is None:
            return f"{one} may write: only what is named {', '.join(READING)}... only asks"
    return None
