"""The engagement index's contracts: Update, ProcessNotification, FindContent and GetUpdates 1.

Whoever may call them at the index's address, by the tables, may all that they do: the index itself knows no senders, as
with the incumbent. FindContent and GetUpdates answer with patient data, so a permission for them is one to read it all.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from lxml import etree
from sqlalchemy.exc import SQLAlchemyError

from rivta.index.changes import Kind, SameId
from rivta.index.client import QUESTION_FIELDS, Question
from rivta.index.engagement import Transaction, read_timestamp
from rivta.index.store import EngagementStore
from rivta.index.validation import (
    MOST_TRANSACTIONS,
    IndexFault,
    IndexIdentity,
    check_correlation,
    check_question,
    check_updates_question,
    notified_transactions,
    update_transactions,
)
from rivta.index.wire import ReadTransaction, add_engagement, read_transactions
from rivta.soap import namespaces
from rivta.soap.service import Answer, Call, ServiceFault

_log = logging.getLogger("rivta.run.services")

_NIL = f"{{{namespaces.XML_SCHEMA_INSTANCE}}}nil"
_UNWRITTEN = "the index cannot be written to now; nothing of the message is stored"
_UNREAD = "the index cannot be read now"


@dataclass(frozen=True, slots=True)
class EngagementIndex:
    """What the services of an index stand on."""

    identity: IndexIdentity
    store: EngagementStore
    persons_per_answer: int


def index_answers(index: EngagementIndex) -> dict[str, Answer]:
    """The service of each contract of the index, by the contract's namespace."""
    return {
        namespaces.UPDATE_1: update(index),
        namespaces.PROCESS_NOTIFICATION_1: process_notification(index),
        namespaces.FIND_CONTENT_1: find_content(index),
        namespaces.GET_UPDATES_1: get_updates(index),
    }


def update(index: EngagementIndex) -> Answer:
    """The service of Update: OK means stored, and queued for whoever subscribes."""

    def answer(call: Call) -> etree._Element:
        check_correlation(call.correlation_id)
        read = _read(call)
        transactions = update_transactions(read, logical_address=call.logical_address, identity=index.identity)
        _take(index, Kind.UPDATE, transactions, call)
        return _done(call, "UpdateResponse")

    return answer


def process_notification(index: EngagementIndex) -> Answer:
    """The service of ProcessNotification. The logical address is not looked at, as with the incumbent."""

    def answer(call: Call) -> etree._Element:
        check_correlation(call.correlation_id)
        transactions = notified_transactions(_read(call), identity=index.identity)
        _take(index, Kind.NOTIFICATION, transactions, call)
        return _done(call, "ProcessNotificationResponse")

    return answer


def find_content(index: EngagementIndex) -> Answer:
    """The service of FindContent. Nothing found is an empty answer."""

    def answer(call: Call) -> etree._Element:
        check_correlation(call.correlation_id)
        # An empty element says as little as none.
        said = {name: _text(call, wire) or None for name, wire in QUESTION_FIELDS}
        person, domain = said.pop("registered_resident_id") or "", said.pop("service_domain") or ""
        question = Question(registered_resident_id=person, service_domain=domain, **said)
        check_question(question)
        try:
            found = index.store.find(question)
        except SQLAlchemyError as error:
            raise _technical(_UNREAD, error) from None
        root = _response(call, "FindContentResponse")
        for one in found:
            add_engagement(root, f"{{{call.contract}}}engagement", one)
        return root

    return answer


def get_updates(index: EngagementIndex) -> Answer:
    """The service of GetUpdates, which the incumbent has not: the persons who have changed, whole, by their id."""

    def answer(call: Call) -> etree._Element:
        check_correlation(call.correlation_id)
        domain, since = _text(call, "serviceDomain"), _text(call, "timeStamp")
        check_updates_question(domain, since)
        try:
            found = index.store.updates(
                domain,
                read_timestamp(since),
                after=_text(call, "registeredResidentLastFetched"),
                limit=index.persons_per_answer,
            )
        except SQLAlchemyError as error:
            raise _technical(_UNREAD, error) from None
        root = _response(call, "GetUpdatesResponse")
        _add(root, call, "responseIsComplete", "true" if found.is_complete else "false")
        for person in found.persons:
            entry = etree.SubElement(root, f"{{{call.contract}}}registeredResidentEngagement")
            _add(entry, call, "registeredResidentIdentification", person.registered_resident_id)
            for one in person.engagements:
                add_engagement(entry, f"{{{call.contract}}}engagement", one)
        return root

    return answer


def _read(call: Call) -> list[ReadTransaction]:
    """The changes, but no more of them than show that they are too many."""
    return read_transactions(call.payload, most=MOST_TRANSACTIONS + 1)


def _take(index: EngagementIndex, kind: Kind, transactions: list[Transaction], call: Call) -> None:
    try:
        index.store.take(kind, transactions, correlation_id=call.correlation_id or "")
    except SameId as error:
        raise IndexFault.TECHNICAL.with_words(str(error)) from None
    except SQLAlchemyError as error:
        raise _technical(_UNWRITTEN, error) from None


def _technical(words: str, error: SQLAlchemyError) -> ServiceFault:
    """What the driver says may quote the row: only the kind of it is logged."""
    _log.error("%s: %s", words, type(getattr(error, "orig", error)).__name__)
    return IndexFault.TECHNICAL.with_words(words)


def _done(call: Call, name: str) -> etree._Element:
    root = _response(call, name)
    _add(root, call, "ResultCode", "OK")
    return root


def _response(call: Call, name: str) -> etree._Element:
    nsmap = {None: str(call.contract), "index": namespaces.ENGAGEMENT_INDEX_1}
    return etree.Element(f"{{{call.contract}}}{name}", nsmap=nsmap)  # type: ignore[arg-type]


def _add(parent: etree._Element, call: Call, name: str, text: str) -> None:
    etree.SubElement(parent, f"{{{call.contract}}}{name}").text = text


def _text(call: Call, name: str) -> str:
    """The text of an element right below the request; empty where there is none."""
    found = call.payload.find(f"{{{call.contract}}}{name}")
    return "" if found is None or found.get(_NIL) in ("true", "1") else found.text or ""
