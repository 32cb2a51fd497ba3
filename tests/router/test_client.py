"""Calls to producers over real sockets: each way a producer can fail has its name."""

import asyncio
import gzip
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from rivta.router.client import ClientRules, ProducerClient
from rivta.router.load import Load, carry_with
from rivta.router.messages import ProducerFailure, Target, Trouble
from rivta.router.pool import Connection
from rivta.tls.authority import Authority
from rivta.tls.contexts import ClientContext, client_context, server_context
from rivta.tls.targets import Identities, TlsTarget
from tests.router.listeners import OneIdentity
from tests.support import until_true

pytestmark = pytest.mark.sockets

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-A: 1\r\nX-A: 2\r\n\r\n<a/>"


@pytest.fixture
def tls(authority: Authority, issued: Path) -> ClientContext:
    return client_context(
        certificate=issued / "consumer.pem", key=issued / "consumer.key", trusted=authority.folder / "ca.pem"
    )


@pytest.fixture
async def client(tls: ClientContext):
    made = ProducerClient(OneIdentity(tls))
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


def target(url: str, **changes: Any) -> Target:
    return replace(Target(url=url, connect_seconds=0.5, answer_seconds=0.5, max_answer_bytes=1000), **changes)


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
        "POST /x?wsdl HTTP/1.1", "Host: h", 'SOAPAction: "a"', "X-B: 1", "X-B: 2", "Connection: keep-alive",
        "Content-Length: 4", "", "<q/>"
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


async def test_a_peer_that_does_not_shake_hands_in_time_is_tls_trouble(client, producer):
    port = await producer(silent)
    assert await trouble_of(client, f"https://127.0.0.1:{port}/", connect_seconds=0.1, answer_seconds=5) is Trouble.TLS


@pytest.mark.parametrize(
    ("script", "trouble"),
    [
        pytest.param(silent, Trouble.TIMEOUT, id="silence"),
        pytest.param(answering(b""), Trouble.NO_ANSWER, id="close"),
        pytest.param(answering(b"HTTP/1.1 200 OK\r\nContent-Le"), Trouble.NO_ANSWER, id="half a header"),
        pytest.param(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<a"), Trouble.CUT_SHORT, id="half a body"),
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


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n", id="announced"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(200_000), id="to the end"),
        pytest.param(packed(gzip.compress(bytes(200_000))), id="unpacked"),
    ],
)
async def test_an_answer_that_the_worker_cannot_hold_is_trouble(client, producer, answer):
    load = Load(200_000)
    share = load.share("SE1-CONSUMER")
    carry_with(share)
    port = await producer(answering(answer))
    url = f"http://127.0.0.1:{port}/"
    with pytest.raises(ProducerFailure, match="as many long messages as it can") as raised:
        await client.send(
            Target(url, connect_seconds=1, answer_seconds=5, max_answer_bytes=10**6),
            method="POST",
            headers=(),
            body=b"",
        )
    assert raised.value.trouble is Trouble.TOO_LARGE
    share.give_back()
    assert load.held == 0


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


@contextmanager
def closing_after_each_answer() -> Iterator[tuple[int, threading.Event]]:
    """A producer in a thread of its own that closes each connection after its answer: its port, and when it has."""
    closed = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        received = b""
                        while not received.endswith(b"<q/>") and (piece := connection.recv(1000)):
                            received += piece
                        connection.sendall(OK)
                        connection.shutdown(socket.SHUT_RDWR)
                    closed.set()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1], closed
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


async def test_a_connection_that_the_producer_has_closed_meanwhile_is_not_used(client):
    """Not even when the event loop has had no turn to notice."""
    with closing_after_each_answer() as (port, closed):
        for _ in range(3):
            assert (await send(client, f"http://127.0.0.1:{port}/")).body == b"<a/>"
            assert closed.wait(3)  # blocks the loop, as another call's work might
            closed.clear()


async def test_a_kept_connection_closed_before_anything_is_written_is_replaced(client, monkeypatch):
    """The producer closes between the choice of the connection and the first byte on it: nothing was sent."""
    look, may_close, closed = Connection.is_quiet, threading.Event(), threading.Event()

    def look_and_lose(connection: Connection) -> bool:
        quiet = look(connection)
        may_close.set()
        assert closed.wait(3)  # blocks the loop, as another call's work might
        return quiet

    def serve(listening: socket.socket) -> None:
        with suppress(OSError):
            for number in range(2):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(OK)
                    if number == 0:
                        may_close.wait(3)
                closed.set()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        await client.send(target(url), method="GET", headers=(("Host", "h"),), body=b"")
        monkeypatch.setattr(Connection, "is_quiet", look_and_lose)
        try:
            answer = await client.send(target(url), method="POST", headers=(("Host", "h"),), body=b"<q/>")
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert answer.body == b"<a/>"


async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes = OK) -> None:
    """Keeps the connection and answers each request on it."""
    with suppress(asyncio.IncompleteReadError, OSError):
        while True:
            await reader.readuntil(b"<q/>")
            writer.write(answer)


@pytest.fixture
async def connections(producer):
    """Starts a producer that keeps its connections, and gives its port and a list that grows by one for each."""

    async def start(tls: ssl.SSLContext | None = None, answer: bytes = OK) -> tuple[int, list[ssl.SSLObject | None]]:
        made: list[ssl.SSLObject | None] = []

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            made.append(writer.get_extra_info("ssl_object"))
            await answer_all(reader, writer, answer)

        return await producer(script, tls), made

    return start


async def test_a_connection_is_used_again(client, connections):
    port, made = await connections()
    for _ in range(3):
        await send(client, f"http://127.0.0.1:{port}/")
    assert len(made) == 1


async def test_a_connection_is_kept_no_longer_than_the_producer_says(client, connections):
    """`timeout=0` is over at once; half a second is taken off for the way."""
    port, made = await connections(answer=OK.replace(b"X-A: 1", b"Keep-Alive: max=100, timeout=0"))
    for _ in range(3):
        await send(client, f"http://127.0.0.1:{port}/")
    assert len(made) == 3


@pytest.mark.parametrize(
    ("ways", "said"),
    [
        (ClientRules(disconnect=True), b"keep-alive"),
        (ClientRules(keep_alive=False), b"close"),
        (ClientRules(idle_seconds=1e-9), b"keep-alive"),
    ],
    ids=["disconnect", "not kept alive", "idle"],
)
async def test_connections_are_closed_as_configured(tls, producer, ways, said):
    heads: list[bytes] = []
    ends: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"<q/>"))
        writer.write(OK)
        ends.append(await reader.read())

    port = await producer(script)
    client = ProducerClient(OneIdentity(tls), ways)
    await send(client, f"http://127.0.0.1:{port}/")
    await send(client, f"http://127.0.0.1:{port}/")
    await until_true(lambda: len(ends) >= 1, seconds=3)
    await client.close()
    assert [said in head for head in heads] == [True, True]


async def test_requests_go_in_chunks_if_configured_so(tls, producer):
    seen: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"0\r\n\r\n"))
        writer.write(OK)

    port = await producer(script)
    client = ProducerClient(OneIdentity(tls), ClientRules(chunked=True))
    await send(client, f"http://127.0.0.1:{port}/")
    await client.close()
    assert b"\r\nTransfer-Encoding: chunked\r\n" in seen[0]
    assert b"Content-Length" not in seen[0]
    assert seen[0].endswith(b"\r\n\r\n4\r\n<q/>\r\n0\r\n\r\n")


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_request_arrives_whole(tls, producer, chunked):
    body = bytes(range(256)) * 10_000
    seen: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"Content-Length: 2560000\r\n" in head:
            seen.append(await reader.readexactly(2_560_000))
        else:
            parts = []
            while size := int(await reader.readline(), 16):
                parts.append(await reader.readexactly(size))
                await reader.readline()
            seen.append(b"".join(parts))
        writer.write(OK)

    port = await producer(script)
    client = ProducerClient(OneIdentity(tls), ClientRules(chunked=chunked))
    long = target(f"http://127.0.0.1:{port}/", answer_seconds=5)
    await client.send(long, method="POST", headers=(("Host", "h"),), body=body)
    await client.close()
    assert seen == [body]


def serving(issued: Path, authority: Authority, name: str = "server") -> ssl.SSLContext:
    return server_context(certificate=issued / f"{name}.pem", key=issued / f"{name}.key", trusted=authority.ca)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_next_connection_resumes_the_tls_session_of_the_last(tls, connections, issued, authority, version):
    context = serving(issued, authority)
    context.maximum_version = version
    port, made = await connections(context)
    other_port, other = await connections(context)
    client = ProducerClient(OneIdentity(tls), ClientRules(disconnect=True))
    for _ in range(3):
        await send(client, f"https://127.0.0.1:{port}/", answer_seconds=5)
        await send(client, f"https://127.0.0.1:{other_port}/", answer_seconds=5)
    await client.close()
    assert [one.session_reused for one in made] == [False, True, True]
    assert [one.session_reused for one in other] == [False, True, True]
    assert all(one.getpeercert(binary_form=True) for one in made)


class TestIdentities:
    """Certificates of ours towards different producers."""

    @pytest.fixture
    def identities(self, authority, issued):
        own = TlsTarget("", issued / "consumer.pem", issued / "consumer.key", (authority.ca,))
        other = TlsTarget("other", issued / "nameless.pem", issued / "nameless.key")
        return Identities(own, [other])

    @staticmethod
    def shown(connection: ssl.SSLObject) -> str:
        certificate = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))
        return str(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)

    async def test_never_share_a_connection(self, identities, connections, issued, authority):
        port, made = await connections(serving(issued, authority))
        client = ProducerClient(identities)
        url = f"https://127.0.0.1:{port}/"
        for name in (None, "other", None, "other"):
            one = replace(target(url, answer_seconds=5), client_certificate=name)
            await client.send(one, method="POST", headers=(("Host", "h"),), body=b"<q/>")
        await client.close()
        assert [self.shown(one) for one in made] == ["consumer", "nameless"]

    async def test_that_are_not_known_are_not_replaced_by_our_own(self, identities, connections, issued, authority):
        port, made = await connections(serving(issued, authority))
        client = ProducerClient(identities)
        with pytest.raises(ProducerFailure) as failed:
            one = replace(target(f"https://127.0.0.1:{port}/"), ca="nowhere")
            await client.send(one, method="POST", headers=(), body=b"")
        await client.close()
        assert (failed.value.trouble, made) == (Trouble.NO_IDENTITY, [])

    async def test_that_are_renewed_are_shown_on_the_next_connection(self, connections, issued, authority, tmp_path):
        pem, key = tmp_path / "own.pem", tmp_path / "own.key"

        def write(name: str) -> None:
            for path, ending in ((pem, "pem"), (key, "key")):
                path.with_suffix(".new").write_bytes((issued / f"{name}.{ending}").read_bytes())
                path.with_suffix(".new").rename(path)

        write("consumer")
        identities = Identities(TlsTarget("", pem, key, (authority.ca,)))
        port, made = await connections(serving(issued, authority))
        client = ProducerClient(identities)
        await send(client, f"https://127.0.0.1:{port}/", answer_seconds=5)
        write("nameless")
        await identities.refresh()
        await send(client, f"https://127.0.0.1:{port}/", answer_seconds=5)
        await client.close()
        assert [self.shown(one) for one in made] == ["consumer", "nameless"]
        assert not made[1].session_reused

    async def test_of_a_producer_that_is_revoked_are_not_spoken_to(self, tls, connections, issued, authority):
        port, _ = await connections(serving(issued, authority))
        serial = x509.load_pem_x509_certificate((issued / "server.pem").read_bytes()).serial_number
        client, url = ProducerClient(OneIdentity(tls)), f"https://127.0.0.1:{port}/"
        await send(client, url, answer_seconds=5)
        assert client.drop(lambda issuer, one: one != serial) == 0
        assert client.drop(lambda issuer, one: one == serial) == 1
        tls.is_revoked = lambda issuer, one: one == serial
        with pytest.raises(ProducerFailure, match="the producer's certificate is revoked") as failed:
            await send(client, url, answer_seconds=5)
        await client.close()
        assert failed.value.trouble is Trouble.TLS


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


async def test_bytes_beyond_ascii_in_a_header_go_and_come_as_they_are(client, producer):
    value, seen = b"\xe5\xe4 \xc3\xb6 \xff", []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nX-Odd: " + value + b"\r\nContent-Length: 4\r\n\r\n<a/>")

    port = await producer(script)
    sent = (("X-Odd", value.decode("utf-8", "surrogateescape")),)
    answer = await client.send(target(f"http://127.0.0.1:{port}/"), method="POST", headers=sent, body=b"")
    assert b"X-Odd: " + value + b"\r\n" in seen[0]
    assert answer.header("X-Odd").encode("utf-8", "surrogateescape") == value
