"""What the patient overview's process asks of a keeper: entries of the access log, and where its calls may go."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from rivta.audit.access.entry import Entry, Kind, Outcome, Reader, columns_of
from rivta.audit.access.log import AccessLog
from rivta.run.admin import admin_application
from rivta.run.admin_door import Role
from rivta.soap import namespaces
from tests.run.test_admin_tables import Api
from tests.tls.test_signing import KEYS, written

pytestmark = pytest.mark.sockets

PATIENT = "194110192392"
LOOK = Entry(Kind.INTENT, Reader(user_id="SE2321000016-1001"), PATIENT, "k-1", information_set="Diagnoser")


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    made = Api(tmp_path)
    key, certificate = written(tmp_path, KEYS["ec"]())
    assert (key, certificate) == (made.kept.settings.tls.key, made.kept.settings.tls.certificate)
    made.secrets["vera"] = made.kept.tokens.create("vera", Role.VIEWER, expires=None, by="root")[1]
    application = admin_application(made.kept, token=made.kept.tokens.check)
    async with TestClient(TestServer(application)) as client:
        made.client = client
        yield made
    made.kept.access_log.close()


def database(api: Api) -> Path:
    return Path(api.kept.settings.access_log_url.removeprefix("sqlite:///"))


def has_no_log(api: Api) -> bool:
    return not database(api).exists()


def entries(*wanted: Entry) -> dict[str, Any]:
    return {"entries": [columns_of(one) for one in wanted]}


async def test_entries_are_in_the_log_when_the_answer_comes(api: Api) -> None:
    written = await api.ask("POST", "/access-log/entries", by="vera", json=entries(LOOK, LOOK))

    assert written.status == 201
    log = AccessLog.open(api.kept.settings.access_log_url)
    stored = log.entries(patient=PATIENT)
    log.close()
    assert [one.id for one in stored] == [one["id"] for one in written.body["receipts"]]
    assert {one.entry for one in stored} == {LOOK}


@pytest.mark.parametrize("who", ["rea", "kim", "root"])
async def test_nobody_else_may_write_who_has_looked(api: Api, who: str) -> None:
    refused = await api.ask("POST", "/access-log/entries", by=who, json=entries(LOOK))
    assert refused.status == 403
    assert has_no_log(api)


async def test_the_viewers_token_opens_nothing_else(api: Api) -> None:
    assert (await api.ask("GET", "/calls", by="vera")).status == 403
    assert (await api.ask("POST", "/tokens", by="vera", json={"name": "x", "role": "admin"})).status == 403


@pytest.mark.parametrize(
    "columns",
    [
        {"kind": "intent"},
        columns_of(LOOK) | {"kind": "look"},
        columns_of(LOOK) | {"outcome": "seen"},
        columns_of(LOOK) | {"sources": "KS"},
        columns_of(Entry(Kind.CHECKPOINT)),
    ],
    ids=["a column short", "no such kind", "no such outcome", "sources that are no list", "the log's own kind"],
)
async def test_what_is_no_entry_is_refused_and_none_of_its_company_is_written(api: Api, columns: Any) -> None:
    refused = await api.ask("POST", "/access-log/entries", by="vera", json={"entries": [columns_of(LOOK), columns]})
    assert refused.status == 400
    assert PATIENT not in str(refused.body)
    assert has_no_log(api)


async def test_an_entry_that_is_too_long_is_told_and_not_written(api: Api) -> None:
    long = Entry(Kind.OUTCOME, patient=PATIENT, information_set="x" * 1001, outcome=Outcome.SHOWN)
    columns = columns_of(LOOK) | {"information_set": long.information_set}
    refused = await api.ask("POST", "/access-log/entries", by="vera", json={"entries": [columns]})
    assert refused.status == 503
    assert "information_set is 1001 characters long" in refused.body["detail"]


async def test_a_log_that_cannot_be_written_is_told(api: Api) -> None:
    os.mkdir(database(api))
    refused = await api.ask("POST", "/access-log/entries", by="vera", json=entries(LOOK))
    assert refused.status == 503


async def test_decisions_are_the_tables_own(api: Api) -> None:
    await api.ask("POST", "/tables/publish", json={"comment": "first"})
    addresses = ["SE2321000016-KS", "SE2321000016-NOWHERE"]
    question = {"sender": "SE2321000016-C", "contract": namespaces.GET_DIAGNOSIS_2, "logical_addresses": addresses}
    answer = await api.ask("POST", "/decisions", by="vera", json=question)
    assert answer.status == 200, answer.body
    assert {one: row["outcome"] for one, row in answer.body["decisions"].items()} == {
        "SE2321000016-KS": "VP007",
        "SE2321000016-NOWHERE": "VP004",
    }
