"""The stub producers' admin API over its own port."""

import io
from typing import Any

import pytest

from .conftest import TOKEN, Running
from .test_front import XML, ask, post

pytestmark = pytest.mark.sockets


async def send(
    running: Running, method: str, path: str, *, token: str | None = TOKEN, data: bytes | None = None
) -> tuple[int, str, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    sent = io.BytesIO(data) if data is not None else None
    async with running.client.request(method, f"{running.admin}{path}", headers=headers, data=sent) as answer:
        return answer.status, answer.content_type, await answer.json(content_type=None)


async def test_producers_are_shown_with_addresses_behaviour_and_counts(running: Running) -> None:
    await post(running, "takecare-ks", ask("SE2321000016-KS"), **{"X-Skltp-Correlation-Id": "abc", "Cookie": "secret"})

    status, _, shown = await send(running, "GET", "/stubs")

    assert status == 200
    first = shown["producers"][0]
    assert (first["name"], first["hsa_id"]) == ("takecare-ks", "SE2321000016-TC-KS")
    address = first["addresses"][0]
    assert (address["logical_address"], address["behaviour"], address["calls"]) == ("SE2321000016-KS", "normal", 1)
    assert address["last_headers"]["X-Skltp-Correlation-Id"] == "abc"
    assert address["last_headers"]["Content-Type"] == XML["Content-Type"]
    assert "secret" not in str(shown)
    assert "191212121212" not in str(shown)


async def test_it_tells_whether_everything_has_been_announced(running: Running) -> None:
    assert (await send(running, "GET", "/announcements"))[2] == {"settled": True, "announcements": []}
    assert (await send(running, "GET", "/announcements", token=None))[0] == 401


async def test_a_behaviour_is_set_and_reset(running: Running) -> None:
    put = await send(
        running, "PUT", "/stubs/SE2321000016-KS", data=b'{"behaviour": "slow", "seconds": 2, "calls": null}'
    )
    reset = await send(running, "DELETE", "/stubs/SE2321000016-KS")

    assert (put[0], put[2]["behaviour"], put[2]["seconds"]) == (200, "slow", 2.0)
    assert (reset[0], reset[2]["behaviour"]) == (200, "normal")


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "detail"),
    [
        ("PUT", "/stubs/SE2321000016-KS", b'{"behaviour": "late"}', 422, "is not one of normal, slow, fault"),
        ("PUT", "/stubs/SE2321000016-KS", b"late", 400, "the body is not JSON"),
        ("PUT", "/stubs/SE2321000016-KS", b"\xff", 400, "the body is not JSON"),
        ("PUT", "/stubs/SE2321000016-KS", b"[" * 50_000, 400, "the body is not JSON"),
        ("PUT", "/stubs/SE2321000016-KS", b"[]", 400, "is not a JSON object"),
        ("PUT", "/stubs/SE1-NONE", b'{"behaviour": "slow"}', 404, "there are SE2321000016-KS"),
        ("PUT", "/stubs/SE2321000016-KS", b"x" * 2_100_000, 413, "Maximum request body size 2097152 exceeded"),
        ("DELETE", "/stubs/SE1-NONE", None, 404, "SE1-NONE"),
        ("POST", "/stubs/SE2321000016-KS", None, 405, "Method Not Allowed"),
        ("GET", "/nothing", None, 404, "Not Found"),
    ],
)
async def test_a_refusal_is_a_problem_document(
    running: Running, method: str, path: str, data: bytes | None, status: int, detail: str
) -> None:
    got_status, content_type, problem = await send(running, method, path, data=data)

    assert (got_status, content_type) == (status, "application/problem+json")
    assert problem["status"] == status
    assert detail in problem["detail"]


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", "é"])
async def test_without_the_token_nothing_is_shown_or_changed(running: Running, token: str | None) -> None:
    for method in ("GET", "PUT", "DELETE"):
        status, content_type, problem = await send(running, method, "/stubs/SE2321000016-KS", token=token)
        assert (status, content_type) == (401, "application/problem+json")
        assert "admin.token" in problem["detail"]


async def test_health_needs_no_token(running: Running) -> None:
    assert (await send(running, "GET", "/health/ready", token=None))[0] == 200
