"""Every answer of an admin API that is no answer is a problem document."""

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from rivta.contracts.current import CurrentContracts
from rivta.run.admin import Kept, admin_application
from rivta.run.admin_door import door

pytestmark = pytest.mark.sockets

TOKEN = {"Authorization": "Bearer t"}


async def problem_of(application: web.Application, path: str) -> tuple[int, str, Any]:
    async with TestClient(TestServer(application)) as client, client.get(path, headers=TOKEN) as answer:
        return answer.status, answer.content_type, await answer.json(content_type=None)


async def test_an_error_of_ours_is_told_without_its_words_and_logged_with_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(_request: web.Request) -> web.StreamResponse:
        raise RuntimeError("inner words")

    application = web.Application(middlewares=door("t"))
    application.router.add_get("/", broken)
    with caplog.at_level(logging.ERROR):
        status, content_type, problem = await problem_of(application, "/")
    assert (status, content_type) == (500, "application/problem+json")
    assert "inner words" not in str(problem)
    assert "inner words" in caplog.text


class _Uncountable:
    """Publications of a database that cannot hold the number: sqlite3's own answer to an integer over 64 bits."""

    def content(self, number: int) -> bytes:
        raise OverflowError("Python int too large to convert to SQLite INTEGER")


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        (
            "/calls?since=0001-01-01T00:00:00%2B14:00",
            400,
            "since='0001-01-01T00:00:00+14:00': a time in ISO 8601 with its zone, as 2026-11-24T12:00:00+01:00",
        ),
        (
            "/calls?until=2026-11-24T12:00",
            400,
            "until='2026-11-24T12:00': a time in ISO 8601 with its zone, as 2026-11-24T12:00:00+01:00",
        ),
        (
            "/explain?sender=a&contract=urn:a&logical_address=b&publication=99999999999999999999",
            404,
            "there is no publication 99999999999999999999",
        ),
        ("/calls/counts?newest=", 400, "newest='': a number from 1 to 1000000"),
        ("/tables/unused?months=121", 400, "months='121': a number from 1 to 120"),
    ],
)
async def test_a_value_beyond_every_calendar_and_counter_is_refused(path: str, status: int, detail: str) -> None:
    kept = SimpleNamespace(
        contracts=CurrentContracts(None),
        publications=_Uncountable(),
        hsa_versions=SimpleNamespace(newest=lambda: None),
        settings=SimpleNamespace(variables={}),
        autopublisher=None,
        now=lambda: None,
        call_log=SimpleNamespace(search=lambda **_: []),
    )
    got, content_type, problem = await problem_of(admin_application(cast("Kept", kept), token="t"), path)
    assert (got, content_type, problem["detail"]) == (status, "application/problem+json", detail)
