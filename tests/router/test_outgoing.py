"""Answers as a consumer's socket gets them."""

import email.utils
import time
from collections.abc import AsyncIterator

import pytest

from rivta.router.messages import Answer, Headers, Request
from tests.router.listeners import Served, listening, post

pytestmark = pytest.mark.sockets


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with listening() as served:
        yield served


def answering(status: int, headers: Headers = (), body: bytes = b"", *, close: bool = False):
    async def handle(request: Request) -> Answer:
        return Answer(status, headers, body, close)

    return handle


async def test_an_answer_has_its_length_a_date_and_says_that_the_connection_stays(served: Served) -> None:
    consumer = await served.connect()
    await consumer.send(post(b"x"))
    _, headers, _ = await consumer.answer()
    assert (headers["content-length"], headers["connection"], headers["server"]) == ("1", "keep-alive", "rivta")
    assert abs(email.utils.parsedate_to_datetime(headers["date"]).timestamp() - time.time()) < 5


@pytest.mark.parametrize(
    ("request_bytes", "stays"),
    [
        (post(b"x"), True),
        (post(b"x", b"Connection: close"), False),
        (post(b"x", b"Connection: keep-alive, Close"), False),
        (post(b"x").replace(b"1.1", b"1.0"), False),
        (post(b"x", b"Connection: keep-alive").replace(b"1.1", b"1.0"), True),
    ],
    ids=["1.1", "1.1 close", "1.1 both", "1.0", "1.0 keep-alive"],
)
async def test_the_connection_stays_or_ends_as_the_consumer_asks(served: Served, request_bytes, stays) -> None:
    consumer = await served.connect()
    await consumer.send(request_bytes)
    assert (await consumer.answer())[1]["connection"] == ("keep-alive" if stays else "close")
    if stays:
        await consumer.send(request_bytes)
        assert (await consumer.answer())[0] == 200
    else:
        assert await consumer.rest() == b""


async def test_an_answer_may_end_the_connection(served: Served) -> None:
    served.handle = answering(500, close=True)
    consumer = await served.connect()
    await consumer.send(post(b"x"))
    assert (await consumer.answer())[1]["connection"] == "close"
    assert await consumer.rest() == b""


@pytest.mark.parametrize("status", [200, 202, 500, 599])
async def test_any_status_has_a_body_and_its_length(served: Served, status: int) -> None:
    served.handle = answering(status, body=b"<a/>")
    consumer = await served.connect()
    for _ in range(2):
        await consumer.send(post(b"x"))
        answered, _, body = await consumer.answer()
        assert (answered, body) == (status, b"<a/>")


async def test_204_has_neither(served: Served) -> None:
    """RFC 9110 section 8.6."""
    served.handle = answering(204, body=b"<a/>")
    consumer = await served.connect()
    for _ in range(2):
        await consumer.send(post(b"x"))
        status, headers, _ = await consumer.answer()
        assert (status, "content-length" in headers) == (204, False)


async def test_head_gets_the_length_only(served: Served) -> None:
    served.handle = answering(200, body=b"<a/>")
    consumer = await served.connect()
    for _ in range(2):
        await consumer.send(b"HEAD /vp?wsdl HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await consumer.answer(without_body=True))[1]["content-length"] == "4"


async def test_several_headers_of_a_name_stay_several_and_in_order(served: Served) -> None:
    served.handle = answering(200, (("Set-Cookie", "a"), ("X", ""), ("set-cookie", "b")))
    consumer = await served.connect()
    await consumer.send(post(b"x"))
    head = await consumer.reader.readuntil(b"\r\n\r\n")
    assert b"Set-Cookie: a\r\nX: \r\nset-cookie: b\r\n" in head


@pytest.mark.parametrize(
    "value", ["a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rX-Evil: 1", "a\0X-Evil", "\x1b[2JX-Evil", "X-Evil\x7f"]
)
async def test_a_header_that_would_become_two_is_left_out(served: Served, value: str) -> None:
    served.handle = answering(200, (("X-A", value), ("X-B", "b")), b"<a/>")
    consumer = await served.connect()
    await consumer.send(post(b"x"))
    _, headers, body = await consumer.answer()
    assert ("x-a" in headers, "x-evil" in headers, headers["x-b"], body) == (False, False, "b", b"<a/>")


async def test_a_long_answer_comes_whole(served: Served) -> None:
    content = bytes(range(256)) * 40_000
    served.handle = answering(200, body=content)
    consumer = await served.connect()
    for _ in range(2):
        await consumer.send(post(b"x"))
        assert (await consumer.answer())[2] == content
