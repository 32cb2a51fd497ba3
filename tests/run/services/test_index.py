"""The index's four contracts through spyne, as bytes: real messages in, real answers and faults out."""

import pytest
from lxml import etree
from sqlalchemy import Engine, text

from rivta.index.client import Question, find_content
from rivta.index.engagement import Transaction
from rivta.index.wire import changes_element
from rivta.run.services.index import EngagementIndex
from rivta.run.services.server import _changes_index, application
from rivta.soap import namespaces
from rivta.soap.wsgi import HttpAnswer, HttpRequest, call
from rivta.soap.xml import parse_xml
from tests.index.built import CALL, DESCRIPTION, IDENTITY, NATIONAL, REGIONAL, TOLVAN, Index, gone, person, put
from tests.run.services.served import CONTRACTS, catalogue, children, fault_of, message, payload_of

SAMPLES = next((CONTRACTS.find(namespaces.UPDATE_1).folder / "samples").glob("Update_1.0.request.xml")).parent


@pytest.fixture
def index(database: Engine) -> Index:
    return Index(database)


def asked(
    index: Index,
    payload: etree._Element | bytes,
    *,
    to: str | None = REGIONAL,
    headers: dict[str, str] | None = None,
    persons: int = 500,
) -> HttpAnswer:
    services = application(catalogue(None), EngagementIndex(IDENTITY, index.store, persons))
    content = payload if isinstance(payload, bytes) else etree.tostring(payload)
    address = f'<r:LogicalAddress xmlns:r="{namespaces.REGISTRY_1}">{to}</r:LogicalAddress>' if to is not None else ""
    lines = tuple((CALL if headers is None else headers).items())
    return call(services, HttpRequest("POST", "/", headers=lines, body=message(content.decode(), address)))


def update(*transactions: Transaction) -> etree._Element:
    return changes_element(namespaces.UPDATE_1, "Update", transactions)


def notification(*transactions: Transaction) -> etree._Element:
    return changes_element(namespaces.PROCESS_NOTIFICATION_1, "ProcessNotification", transactions)


def question(**narrowed: str) -> etree._Element:
    return find_content(Question(registered_resident_id=TOLVAN, service_domain=DESCRIPTION, **narrowed))


def updates_since(since: str, after: str = "") -> etree._Element:
    last = f"<registeredResidentLastFetched>{after}</registeredResidentLastFetched>" if after else ""
    return parse_xml(
        f'<GetUpdates xmlns="{namespaces.GET_UPDATES_1}"><serviceDomain>{DESCRIPTION}</serviceDomain>'
        f"<timeStamp>{since}</timeStamp>{last}</GetUpdates>".encode()
    )


def test_an_update_is_answered_ok_and_found(index: Index) -> None:
    answer = payload_of(asked(index, update(put())).body)
    assert (etree.QName(answer).localname, children(answer)) == ("UpdateResponse", [("ResultCode", "OK")])
    found = payload_of(asked(index, question()).body)
    (engagement,) = found
    assert dict(children(engagement))["owner"] == REGIONAL
    assert dict(children(engagement))["creationTime"] == "20261124130000"


def test_a_notification_keeps_its_owner(index: Index) -> None:
    answer = payload_of(asked(index, notification(put(owner=NATIONAL))).body)
    assert children(answer) == [("ResultCode", "OK")]
    assert dict(children(payload_of(asked(index, question()).body)[0]))["owner"] == NATIONAL


def test_a_notification_of_nothing_but_our_own_rows_is_ok_too(index: Index) -> None:
    assert children(payload_of(asked(index, notification(put())).body)) == [("ResultCode", "OK")]
    assert len(payload_of(asked(index, question()).body)) == 0


def test_nothing_found_is_an_empty_answer(index: Index) -> None:
    answer = payload_of(asked(index, question()).body)
    assert (etree.QName(answer).localname, len(answer)) == ("FindContentResponse", 0)


def test_an_empty_filter_is_none(index: Index) -> None:
    asked(index, update(put()))
    assert len(payload_of(asked(index, question(categorization="")).body)) == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_10_000_hits_are_all_answered(index: Index) -> None:
    for start in range(0, 10_000, 1000):
        index.update(*(put(logical_address=f"U{number}") for number in range(start, start + 1000)))
    assert len(payload_of(asked(index, question()).body)) == 10_000


@pytest.mark.parametrize(
    "payload",
    [update(put()), notification(put()), question(), updates_since("20260101000000")],
    ids=["Update", "ProcessNotification", "FindContent", "GetUpdates"],
)
def test_without_a_correlation_id_nothing_is_answered(index: Index, payload: etree._Element) -> None:
    answer = asked(index, payload, headers={})
    assert fault_of(answer) == ("Server", "Mandatory HTTP header x-skltp-correlation-id is missing")


def test_the_header_comes_before_the_address_and_that_before_the_rows(index: Index) -> None:
    assert fault_of(asked(index, update(), headers={}, to="X"))[1].startswith("Mandatory HTTP header")
    assert fault_of(asked(index, update(), to="X"))[1].startswith("EI003")
    assert fault_of(asked(index, update(), to=None))[1].startswith("EI003: Invalid routing. Logical address is missing")
    assert fault_of(asked(index, update()))[1].startswith("EI000")


def test_the_address_of_other_questions_is_not_looked_at(index: Index) -> None:
    assert asked(index, question(), to=None).status == 200
    assert asked(index, notification(put(owner=NATIONAL)), to="X").status == 200


def test_1001_rows_are_refused_and_none_is_stored(index: Index) -> None:
    answer = asked(index, update(*(put(registered_resident_id=person(number)) for number in range(1001))))
    assert fault_of(answer)[1].startswith("EI000: A technical error has occurred, error message: The request contains")
    assert index.store.counts() == []


def test_a_bad_row_among_good_ones_stores_none(index: Index) -> None:
    assert fault_of(asked(index, update(put(), put(source_system=" "), put())))[1].startswith("EI002")
    assert fault_of(asked(index, update(put(), put(source_system=""))))[1].startswith("EI004")
    assert index.store.counts() == []


def test_a_question_that_says_too_little(index: Index) -> None:
    payload = f'<FindContent xmlns="{namespaces.FIND_CONTENT_1}"/>'.encode()
    assert fault_of(asked(index, payload))[1] == (
        "EI000: A technical error has occurred, error message: registeredResidentIdentification is mandatory but missing"
    )


def test_a_database_that_is_away_is_told_without_words_of_the_row(
    index: Index, database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE engagements RENAME TO elsewhere"))
    try:
        unwritten, unread = asked(index, update(put())), asked(index, question())
    finally:
        with database.begin() as connection:
            connection.execute(text("ALTER TABLE elsewhere RENAME TO engagements"))
    assert fault_of(unwritten)[1] == (
        "EI000: A technical error has occurred, error message: "
        "the index cannot be written to now; nothing of the message is stored"
    )
    assert fault_of(unread)[1].endswith("the index cannot be read now")
    assert TOLVAN not in caplog.text
    assert TOLVAN.encode() not in unwritten.body


def test_updates_come_in_pages(index: Index) -> None:
    asked(index, update(*(put(registered_resident_id=person(number)) for number in range(3))))
    first = payload_of(asked(index, updates_since("20261124130000"), persons=2).body)
    assert (first[0].text, len(first)) == ("false", 3)
    last = first[-1][0].text or ""
    second = payload_of(asked(index, updates_since("20261124130000", last), persons=2).body)
    assert (second[0].text, [one[0].text for one in list(second)[1:]]) == ("true", [person(2)])
    assert len(second[1]) == 2  # the person, and one engagement
    later = payload_of(asked(index, updates_since("20261124130001")).body)
    assert children(later) == [("responseIsComplete", "true")]


def test_a_deleted_row_is_gone_and_was_updated(index: Index) -> None:
    asked(index, update(put()))
    asked(index, update(gone()))
    assert len(payload_of(asked(index, question()).body)) == 0
    person_entry = payload_of(asked(index, updates_since("20261124130000")).body)[1]
    assert [etree.QName(one).localname for one in person_entry] == ["registeredResidentIdentification"]


def test_the_sample_of_the_contract_is_taken(index: Index) -> None:
    services = application(catalogue(None), EngagementIndex(IDENTITY, index.store, 500))
    body = (SAMPLES / "Update_1.0.request.xml").read_bytes()
    answer = call(services, HttpRequest("POST", "/", headers=tuple(CALL.items()), body=body))
    assert children(payload_of(answer.body)) == [("ResultCode", "OK")]


def test_changes_are_told_from_questions_by_their_first_bytes() -> None:
    assert _changes_index(message(etree.tostring(update(put())).decode()))
    assert _changes_index(message(etree.tostring(notification(put())).decode()))
    assert not _changes_index(message(etree.tostring(question()).decode()))


def test_the_catalogue_alone_serves_no_index() -> None:
    services = application(catalogue(None))
    answer = call(
        services,
        HttpRequest("POST", "/", headers=tuple(CALL.items()), body=message(etree.tostring(question()).decode())),
    )
    assert fault_of(answer)[0] == "Client"
