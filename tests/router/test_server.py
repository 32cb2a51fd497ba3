"""The listener over real mutual TLS on the loopback: what a consumer's socket sees."""

import asyncio
import gzip
import socket
import ssl
from pathlib import Path

import pytest

from rivta.router.messages import Answer, Request
from rivta.router.server import Limits, serve
from rivta.tls.authority import Authority
from rivta.tls.contexts import client_context, server_context

pytestmark = pytest.mark.sockets

LIMITS = Limits(max_body_bytes=100_000, header_seconds=0.4, min_body_bytes_per_second=1_000_000, keep_alive_seconds=5)


class Consumer:
    """A raw TLS connection to the listener."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer: status, headers by lower-case name, body."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(status.split()[1]), headers, body

    async def rest(self) -> bytes:
        """What still comes until the other end closes."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""


@pytest.fixture
async def connect(authority: Authority, issued: Path):
    seen: list[Request] = []
    turned_away: list[tuple[str, int]] = []

    async def echo(request: Request) -> Answer:
        seen.append(request)
        return Answer(200, (("Content-Type", "text/xml"),), request.body or b"nothing")

    listening = socket.create_server(("127.0.0.1", 0))
    context = server_context(
        certificate=issued / "server.pem", key=issued / "server.key", trusted=authority.folder / "ca.pem"
    )

    async def turn_away(request: Request, status: int, text: str) -> Answer:
        turned_away.append((request.peer.sender.hsa_id, status))
        return Answer(status, (), text.encode())

    listener = await serve(echo, turn_away=turn_away, listening=listening, tls=context, limits=LIMITS)
    writers: list[asyncio.StreamWriter] = []

    async def connection(name: str = "consumer", context: ssl.SSLContext | None = None) -> Consumer:
        context = context or client_context(
            certificate=issued / f"{name}.pem", key=issued / f"{name}.key", trusted=authority.folder / "ca.pem"
        )
        reader, writer = await asyncio.open_connection(*listening.getsockname(), ssl=context)
        writers.append(writer)
        return Consumer(reader, writer)

    connection.seen = seen
    connection.turned_away = turned_away
    yield connection
    for writer in writers:
        writer.close()
    await listener.close(drain_seconds=0.05)


def post(body: bytes, *headers: bytes) -> bytes:
    lines = [b"POST /vp/x?a=1 HTTP/1.1", b"Host: h", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def test_the_handler_gets_the_whole_request_and_who_sent_it(connect):
    consumer = await connect()
    await consumer.send(post(b"<a/>", b"X-Twice: 1", b"x-twice: 2"))
    status, headers, body = await consumer.answer()
    assert (status, headers["server"], body) == (200, "rivta", b"<a/>")
    request = connect.seen[0]
    assert (request.method, request.path, request.query) == ("POST", "/vp/x", {"a": "1"})
    assert [value for name, value in request.headers if name.lower() == "x-twice"] == ["1", "2"]
    assert request.peer.sender.hsa_id == "SE1-CONSUMER"
    assert request.peer.address == "127.0.0.1"


async def test_a_certificate_without_an_hsa_id_is_no_sender_and_says_which(connect):
    consumer = await connect("nameless")
    await consumer.send(post(b"x"))
    await consumer.answer()
    peer = connect.seen[0].peer
    assert peer.sender is None
    assert peer.problem.startswith("No senderId found in Certificate: ")
    assert "CN=nameless" in peer.problem


async def test_without_a_client_certificate_the_handshake_fails_at_once(connect, authority):
    context = ssl.create_default_context(cafile=authority.folder / "ca.pem")
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        consumer = await connect(context=context)
        await consumer.send(post(b"x"))
        await consumer.answer()
    assert connect.seen == []


async def test_one_connection_carries_many_requests(connect):
    consumer = await connect()
    for number in range(3):
        await consumer.send(post(b"%d" % number))
        assert (await consumer.answer())[2] == b"%d" % number


@pytest.mark.parametrize(
    "half", [b"", b"POST /vp HTTP/1.1\r\nHost:", b"POST /vp HTTP/1.1\r\nHost: h\r\nX: y\r\n"], ids=["none", "a", "b"]
)
async def test_a_header_that_is_not_finished_in_time_ends_the_connection(connect, half):
    consumer = await connect()
    await consumer.send(half)
    assert await asyncio.wait_for(consumer.rest(), 3) == b""


async def test_the_deadline_holds_for_the_second_request_too(connect):
    consumer = await connect()
    await consumer.send(post(b"x"))
    await consumer.answer()
    await consumer.send(b"POST /vp")
    assert await asyncio.wait_for(consumer.rest(), 3) == b""


async def test_a_body_that_drips_is_answered_408_and_closed(connect):
    consumer = await connect()
    await consumer.send(b"POST /vp HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\nabc")
    status, headers, _ = await asyncio.wait_for(consumer.answer(), 3)
    assert (status, headers["connection"]) == (408, "close")
    assert (connect.seen, connect.turned_away) == ([], [("SE1-CONSUMER", 408)])


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"POST /vp HTTP/1.1\r\nHost: h\r\nContent-Length: 100001\r\n\r\n", id="announced"),
        pytest.param(
            b"POST /vp HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n186a1\r\n"
            + b"x" * 100_001
            + b"\r\n0\r\n\r\n",
            id="chunked",
        ),
        pytest.param(post(gzip.compress(b"x" * 100_001), b"Content-Encoding: gzip"), id="unpacked"),
        pytest.param(post(gzip.compress(b"x" * 30_000_000), b"Content-Encoding: gzip"), id="gzip bomb"),
    ],
)
async def test_a_message_that_is_too_long_is_413(connect, request_bytes):
    consumer = await connect()
    await consumer.send(request_bytes)
    status, headers, body = await consumer.answer()
    assert (status, headers["connection"]) == (413, "close")
    assert b"100000 bytes" in body
    assert connect.turned_away == [("SE1-CONSUMER", 413)]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        pytest.param(post(b"not gzip", b"Content-Encoding: gzip"), 400, id="not gzip"),
        pytest.param(post(gzip.compress(b"x")[:-3], b"Content-Encoding: gzip"), 400, id="half gzip"),
        pytest.param(post(b"x", b"Content-Encoding: br"), 415, id="other coding"),
    ],
)
async def test_a_body_that_cannot_be_unpacked_is_refused(connect, request_bytes, status):
    consumer = await connect()
    await consumer.send(request_bytes)
    assert (await consumer.answer())[0] == status


async def test_gzip_and_chunks_are_read(connect):
    packed = gzip.compress(b"<a/>")
    consumer = await connect()
    await consumer.send(
        b"POST /vp HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"%x\r\n" % len(packed)
        + packed
        + b"\r\n0\r\n\r\n"
    )
    assert (await consumer.answer())[2] == b"<a/>"


async def test_a_client_that_waits_for_100_continue_gets_it(connect):
    consumer = await connect()
    await consumer.send(b"POST /vp HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert (await consumer.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
    await consumer.send(b"<a/>")
    assert (await consumer.answer())[2] == b"<a/>"


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", id="two lengths"),
        pytest.param(b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="length and chunked"),
        pytest.param(b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n", id="folded"),
        pytest.param(b"Content-Length : 0\r\n\r\n", id="blank before colon"),
        pytest.param(b"Content-Length: 0\n\n", id="bare line feeds"),
        pytest.param(b"Host: h\r\nContent-Length: 0\r\n\r\n", id="two hosts"),
        pytest.param(b"X: a\0b\r\nContent-Length: 0\r\n\r\n", id="control character"),
    ],
)
async def test_smuggling_probes_are_answered_400_and_closed(connect, lines):
    consumer = await connect()
    await consumer.send(b"POST /vp HTTP/1.1\r\nHost: h\r\n" + lines)
    status, headers, body = await consumer.answer()
    assert (status, headers["server"]) == (400, "rivta")
    assert b"aiohttp" not in body and lines[:10] not in body
    assert await asyncio.wait_for(consumer.rest(), 3) == b""
    assert connect.seen == []


@pytest.mark.parametrize(("version", "status"), [("1.1", 400), ("1.0", 200)])
async def test_a_request_without_host_is_refused_unless_it_is_older_than_host(connect, version, status):
    """RFC 9112 section 3.2."""
    consumer = await connect()
    await consumer.send(f"POST /vp HTTP/{version}\r\nContent-Length: 0\r\n\r\n".encode())
    assert (await consumer.answer())[0] == status
