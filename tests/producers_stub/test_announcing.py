"""What stub producers announce to the engagement indexes: what they answer, sent until it has been taken."""

import asyncio
import logging
from collections import Counter
from datetime import datetime

import pytest

from producers_stub import announcing
from producers_stub.announcing import Announcement, Announcer, announcements
from producers_stub.engagements import CATEGORIES, MOST_ROWS
from producers_stub.journals import Kind, load_journals
from producers_stub.situations import Situations
from producers_stub.world import World
from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators
from rivta.soap import namespaces
from rivta.soap.head import read_head
from rivta.soap.xml import parse_xml

WORLD = World.load()
SITUATIONS = Situations.load(WORLD)
JOURNALS = load_journals()
ALL = announcements(WORLD, JOURNALS, SITUATIONS)
FAULT = (
    f'<s:Envelope xmlns:s="{namespaces.SOAP_ENVELOPE}"><s:Body><s:Fault><faultcode>s:Server</faultcode>'
    "<faultstring>VP004 no route</faultstring></s:Fault></s:Body></s:Envelope>"
).encode()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcing, "FIRST_PAUSE_SECONDS", 0.0)


def test_every_announcement_is_a_valid_update_to_the_index_of_a_platform() -> None:
    validators = Validators(Contracts.shipped())
    addresses = {platform.key: platform.aggregation_address for platform in WORLD.platforms}
    for one in ALL:
        root = parse_xml(one.body)
        _, message, verdict = validators.check_document(root)
        assert (message, verdict.violations) == ("request", ())
        assert read_head(root).logical_address == addresses[one.platform]
        assert 1 <= len(one.rows) <= MOST_ROWS


def test_what_is_announced_is_what_there_is_to_find_and_how_new_it_is() -> None:
    """Both ways: nothing is announced that no address has, but for what the journals say so of; nothing is left out."""
    found: dict[tuple[str, Kind, str], datetime] = {}
    for producer in WORLD.producers:
        journal = JOURNALS[producer.name]
        for kind in Kind if journal.is_announced else ():
            for record in journal.records[kind]:
                document = record.document
                for address in producer.addresses:
                    if document.patient != "*" and document.unit.found_at in ("", address.logical_address):
                        key = (document.patient, kind, address.logical_address)
                        found[key] = max(document.time, found.get(key, document.time))
    told = {
        (row.patient, row.kind, row.logical_address): row.most_recent
        for one in ALL
        if one.producer != "situations"
        for row in one.rows
    }
    beside = {
        (one.patient, one.kind, one.logical_address) for journal in JOURNALS.values() for one in journal.announced
    }
    assert {key: time for key, time in told.items() if key not in beside} == found
    assert beside <= set(told)


def test_a_situation_announces_its_sources_in_every_category() -> None:
    rows = [row for one in ALL if one.producer == "situations" for row in one.rows]
    sources = Counter((row.patient, row.kind) for row in rows)
    for situation in SITUATIONS.situations:
        assert {sources[situation.patient.id, kind] for kind in Kind} == {len(situation.sources)}


def test_an_address_is_announced_at_the_platform_that_has_the_way_to_it() -> None:
    platforms = {str(row.logical_address): one.platform for one in ALL for row in one.rows}
    assert (platforms["SE5560123456-VC"], platforms["SE5560123456-VCN"]) == ("regional", "national")
    assert (platforms["SE2321000255-SUS"], platforms["SE2321000016-EXPIRED"]) == ("national", "regional")


def test_each_kind_of_record_has_a_category_of_its_own() -> None:
    assert set(CATEGORIES) == set(Kind)
    assert len(set(CATEGORIES.values())) == len(Kind)


async def test_an_announcement_is_sent_again_until_it_has_been_taken(caplog: pytest.LogCaptureFixture) -> None:
    sent: list[Announcement] = []

    async def send(one: Announcement) -> tuple[int, bytes]:
        sent.append(one)
        if len(sent) == 1:
            raise ConnectionRefusedError("nobody listens")
        return (500, FAULT) if len(sent) < 4 else (200, b"")

    announcer = Announcer.of(ALL[:1], send)
    assert announcer.describe()["settled"] is False
    with caplog.at_level(logging.WARNING):
        await asyncio.wait_for(announcer.run(), 5)

    assert sent == [ALL[0]] * 4
    assert announcer.describe()["settled"] is True
    assert [record.message.count("VP004 no route") for record in caplog.records] == [1]
    assert "191212121212" not in caplog.text + str(announcer.describe())


async def test_one_index_that_does_not_answer_does_not_hold_up_the_other() -> None:
    national = [one for one in ALL if one.platform == "national"]
    taken: list[Announcement] = []
    all_taken = asyncio.Event()

    async def send(one: Announcement) -> tuple[int, bytes]:
        if one.platform == "regional":
            await asyncio.Event().wait()
        taken.append(one)
        if len(taken) == len(national):
            all_taken.set()
        return 200, b""

    announcer = Announcer.of(ALL, send)
    running = asyncio.create_task(announcer.run())
    await asyncio.wait_for(all_taken.wait(), 5)
    assert taken == national
    assert announcer.describe()["settled"] is False
    running.cancel()
