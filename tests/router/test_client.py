"""Calls to producers over real sockets: each way a producer can fail has its name."""

import asyncio
import gzip
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from rivta.router.client import ProducerClient
from rivta.router.messages import ProducerFailure, Target, Trouble
from rivta.tls.authority import Authority
from rivta.tls.contexts import client_context, server_context

pytestmark = pytest.mark.sockets

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-A: 1\r\nX-A: 2\r\n\r\n<a/>"


@pytest.fixture
async def client(authority: Authority, issued: Path):
    made = ProducerClient(
        client_context(
            certificate=issued / "consumer.pem", key=issued / "consumer.key", trusted=authority.folder / "ca.pem"
        )
    )
    yield made
    await made.close()


@pytest.fixture
async def producer():
    """Starts a producer that answers each connection by a script; gives its port."""
    servers: list[asyncio.Server] = []

    async def start(script: Script, tls: ssl.SSLContext | None = None) -> int:
        async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await script(reader, writer)
            finally:
                writer.close()

        server = await asyncio.start_server(once, "127.0.0.1", 0, ssl=tls)
        servers.append(server)
        return server.sockets[0].getsockname()[1]

    yield start
    for server in servers:
        server.close()


def answering(*chunks: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()

    return script


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def target(url: str, **changes: float) -> Target:
    values = {"connect_seconds": 0.5, "answer_seconds": 0.5, "max_answer_bytes": 1000} | changes
    return Target(url=url, **values)


async def send(client: ProducerClient, url: str, **changes: float):
    return await client.send(target(url, **changes), method="POST", headers=(("Host", "h"),), body=b"<q/>")


async def trouble_of(client: ProducerClient, url: str, **changes: float) -> Trouble:
    with pytest.raises(ProducerFailure) as failed:
        await send(client, url, **changes)
    return failed.value.trouble


async def test_an_answer_comes_back_whole_with_repeated_headers(client, producer):
    port = await producer(answering(OK))
    answer = await send(client, f"http://127.0.0.1:{port}/x")
    assert (answer.status, answer.reason, answer.body) == (200, "OK", b"<a/>")
    assert [value for name, value in answer.headers if name == "X-A"] == ["1", "2"]


async def test_the_bytes_of_the_request_are_ours_and_nothing_more(client, producer):
    seen = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"<q/>"))
        writer.write(OK)

    port = await producer(script)
    await client.send(
        target(f"http://127.0.0.1:{port}/x?wsdl"),
        method="POST",
        headers=(("Host", "h"), ("SOAPAction", '"a"'), ("X-B", "1"), ("X-B", "2")),
        body=b"<q/>",
    )
    assert seen[0].decode().split("\r\n") == [
        "POST /x?wsdl HTTP/1.1", "Host: h", 'SOAPAction: "a"', "X-B: 1", "X-B: 2", "Content-Length: 4", "", "<q/>"
    ]  # fmt: skip


@pytest.mark.parametrize("status", [302, 404, 500, 503])
async def test_every_status_is_an_answer_and_redirects_are_not_followed(client, producer, status):
    port = await producer(answering(b"HTTP/1.1 %d Word\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n" % status))
    answer = await send(client, f"http://127.0.0.1:{port}/")
    assert (answer.status, answer.header("location")) == (status, "/y")


async def test_where_nothing_listens_the_connection_is_refused(client):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert await trouble_of(client, f"https://127.0.0.1:{port}/") is Trouble.CANNOT_CONNECT


async def test_a_name_that_does_not_exist_cannot_be_connected_to(client):
    assert await trouble_of(client, "https://no-such-host.invalid/", connect_seconds=5) is Trouble.CANNOT_CONNECT


async def test_a_peer_that_does_not_shake_hands_in_time_is_a_connect_timeout(client, producer):
    port = await producer(silent)
    assert await trouble_of(client, f"https://127.0.0.1:{port}/", answer_seconds=5) is Trouble.CONNECT_TIMEOUT


@pytest.mark.parametrize(
    ("script", "trouble"),
    [
        pytest.param(silent, Trouble.TIMEOUT, id="silence"),
        pytest.param(answering(b""), Trouble.NO_ANSWER, id="close"),
        pytest.param(answering(b"HTTP/1.1 200 OK\r\nContent-Le"), Trouble.NO_ANSWER, id="half a header"),
        pytest.param(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<a"), Trouble.RESET, id="half a body"),
        pytest.param(answering(b"garbage\r\n\r\n"), Trouble.BAD_ANSWER, id="garbage"),
        pytest.param(
            answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n"), Trouble.TOO_LARGE, id="announced long"
        ),
        pytest.param(answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000), Trouble.TOO_LARGE, id="unannounced long"),
    ],
)
async def test_each_way_to_fail_has_its_name(client, producer, script, trouble):
    port = await producer(script)
    assert await trouble_of(client, f"http://127.0.0.1:{port}/") is trouble


async def test_a_reset_is_a_reset(client, producer):
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
        )
        writer.transport.abort()

    port = await producer(script)
    assert await trouble_of(client, f"http://127.0.0.1:{port}/") is Trouble.RESET


@pytest.mark.parametrize(("name", "trusted"), [("elsewhere", "own"), ("server", "other")], ids=["host", "authority"])
async def test_a_producer_with_the_wrong_certificate_is_not_spoken_to(
    client, producer, authority, issued, name, trusted, tmp_path
):
    other = Authority.ensure(tmp_path / "other")
    other.issue("server", hsa_id="SE1-SERVER", common_name="s", organisation="Test", hosts=["127.0.0.1"])
    folder = issued if trusted == "own" else other.folder / "issued"
    context = server_context(
        certificate=folder / f"{name}.pem", key=folder / f"{name}.key", trusted=authority.folder / "ca.pem"
    )
    port = await producer(answering(OK), context)
    assert await trouble_of(client, f"https://127.0.0.1:{port}/") is Trouble.TLS


async def test_a_producer_that_does_not_trust_us_is_tls_trouble(client, producer, issued, tmp_path):
    other = Authority.ensure(tmp_path / "other")
    context = server_context(
        certificate=issued / "server.pem", key=issued / "server.key", trusted=other.folder / "ca.pem"
    )
    port = await producer(answering(OK), context)
    assert await trouble_of(client, f"https://127.0.0.1:{port}/") is Trouble.TLS


def packed(content: bytes, coding: bytes = b"gzip") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s" % (coding, len(content), content)


async def test_an_answer_that_was_packed_unasked_is_unpacked(client, producer):
    port = await producer(answering(packed(gzip.compress(b"<a/>"))))
    answer = await send(client, f"http://127.0.0.1:{port}/")
    assert (answer.body, answer.header("Content-Encoding")) == (b"<a/>", "")


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        pytest.param(packed(gzip.compress(b"x" * 2000)), Trouble.TOO_LARGE, id="long when unpacked"),
        pytest.param(packed(b"not gzip"), Trouble.BAD_ANSWER, id="not gzip"),
        pytest.param(packed(b"x", b"br"), Trouble.BAD_ANSWER, id="other coding"),
    ],
)
async def test_an_answer_that_cannot_be_unpacked_is_trouble(client, producer, answer, trouble):
    port = await producer(answering(answer))
    assert await trouble_of(client, f"http://127.0.0.1:{port}/") is trouble


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_request_on_a_kept_connection_that_breaks_is_not_sent_again(client, producer, method):
    requests = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"<q/>"))
        writer.write(OK)
        requests.append(await reader.readuntil(b"<q/>"))

    port = await producer(script)
    url = f"http://127.0.0.1:{port}/"
    await send(client, url)
    with pytest.raises(ProducerFailure) as failed:
        await client.send(target(url), method=method, headers=(("Host", "h"),), body=b"<q/>")
    assert failed.value.trouble is Trouble.NO_ANSWER
    assert len(requests) == 2


async def test_our_own_services_are_called_over_their_unix_socket(client, tmp_path):
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(OK)(reader, writer)
        writer.close()
        await writer.wait_closed()

    path = tmp_path / "s"
    async with await asyncio.start_unix_server(script, path):
        answer = await send(client, f"unix:{path}")
    assert answer.body == b"<a/>"


async def test_what_a_producer_says_unasked_is_nobodys_answer(client, producer):
    """A second answer to one call, sent when the connection is already free, must not answer the next call."""
    first_answered, stray_sent = asyncio.Event(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"<q/>")
        writer.write(OK)
        if not first_answered.is_set():
            await first_answered.wait()
            writer.write(OK.replace(b"<a/>", b"<b/>"))
            await writer.drain()
            stray_sent.set()
        await reader.read()

    port = await producer(script)
    await send(client, f"http://127.0.0.1:{port}/")
    first_answered.set()
    await stray_sent.wait()
    for _ in range(5):
        await asyncio.sleep(0)  # turns of the loop, in which the stray arrives
    answer = await send(client, f"http://127.0.0.1:{port}/")
    assert answer.body == b"<a/>"
