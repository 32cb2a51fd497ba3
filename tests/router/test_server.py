"""The listener over real mutual TLS on the loopback: what a consumer's socket sees."""

import asyncio
import gzip
import socket
import ssl

import pytest

from rivta.router.limits import Limits
from rivta.router.messages import Answer, Request
from rivta.router.server import serve
from rivta.run import ports
from rivta.tls.authority import Authority
from rivta.tls.contexts import client_context, server_context
from tests.router.listeners import Consumer, echo, listening, post
from tests.support import HAS_IPV6, until_true

pytestmark = pytest.mark.sockets

PACKED = gzip.compress(b"<a/>")


@pytest.fixture
async def served(authority):
    async with listening(authority=authority) as served:
        yield served


async def test_the_handler_gets_the_whole_request_and_who_sent_it(served):
    consumer = await served.connect()
    await consumer.send(post(b"<a/>", b"X-Twice: 1", b"x-twice: 2"))
    status, headers, body = await consumer.answer()
    assert (status, headers["server"], body) == (200, "rivta", b"<a/>")
    request = served.seen[0]
    assert (request.method, request.path, request.query) == ("POST", "/vp/x", {"a": "1"})
    assert [value for name, value in request.headers if name.lower() == "x-twice"] == ["1", "2"]
    assert request.peer.sender.hsa_id == "SE1-CONSUMER"
    assert request.peer.address == "127.0.0.1"


async def test_a_caller_of_ipv4_has_its_own_address_on_a_listener_for_both(authority):
    """And so its own share of what an address may have, and its place in a whitelist."""
    listener = ports.listen("::" if HAS_IPV6 else "127.0.0.1", 0, role="test")
    port = listener.getsockname()[1]
    seen = []

    async def handle(request: Request) -> Answer:
        seen.append(request.peer.address)
        return Answer(200, (), b"")

    async def turn_away(request: Request, status: int, text: str) -> Answer:
        return Answer(status, (), b"")

    serving = await serve(handle, turn_away=turn_away, listening=listener, tls=None, limits=Limits())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(post(b"x"))
    await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await serving.close(drain_seconds=1, idle_seconds=0)
    assert seen == ["127.0.0.1"]


async def test_a_certificate_without_an_hsa_id_is_no_sender_and_says_which(served):
    consumer = await served.connect("nameless")
    await consumer.send(post(b"x"))
    await consumer.answer()
    peer = served.seen[0].peer
    assert peer.sender is None
    assert peer.problem.startswith("No senderId found in Certificate: ")
    assert "CN=nameless" in peer.problem


async def test_without_a_client_certificate_the_handshake_fails_at_once(served, authority):
    context = ssl.create_default_context(cafile=authority.folder / "ca.pem")
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        consumer = await served.connect(context=context)
        await consumer.send(post(b"x"))
        await consumer.answer()
    assert served.seen == []


async def test_one_connection_carries_many_requests(served):
    consumer = await served.connect()
    for number in range(3):
        await consumer.send(post(b"%d" % number))
        assert (await consumer.answer())[2] == b"%d" % number


@pytest.mark.parametrize(
    "half", [b"", b"POST /vp HTTP/1.1\r\nHost:", b"POST /vp HTTP/1.1\r\nHost: h\r\nX: y\r\n"], ids=["none", "a", "b"]
)
async def test_a_header_that_is_not_finished_in_time_ends_the_connection(served, half):
    consumer = await served.connect()
    await consumer.send(half)
    assert await asyncio.wait_for(consumer.rest(), 3) == b""


async def test_the_deadline_holds_for_the_second_request_too(served):
    consumer = await served.connect()
    await consumer.send(post(b"x"))
    await consumer.answer()
    await consumer.send(b"POST /vp")
    assert await asyncio.wait_for(consumer.rest(), 3) == b""


async def test_a_body_that_drips_is_answered_408_and_closed(served):
    consumer = await served.connect()
    await consumer.send(b"POST /vp HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\nabc")
    status, headers, _ = await asyncio.wait_for(consumer.answer(), 3)
    assert (status, headers["connection"]) == (408, "close")
    assert (served.seen, served.turned_away) == ([], [("SE1-CONSUMER", 408)])


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
        pytest.param(
            b"POST /vp HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n186a1\r\n" + b"x" * 100_001,
            id="chunked, before its end",
        ),
        pytest.param(post(gzip.compress(b"x" * 100_001), b"Content-Encoding: gzip"), id="unpacked"),
        pytest.param(post(gzip.compress(b"x" * 30_000_000), b"Content-Encoding: gzip"), id="gzip bomb"),
    ],
)
async def test_a_message_that_is_too_long_is_413(served, request_bytes):
    consumer = await served.connect()
    await consumer.send(request_bytes)
    status, headers, body = await consumer.answer()
    assert (status, headers["connection"]) == (413, "close")
    assert b"100000 bytes" in body
    assert served.turned_away == [("SE1-CONSUMER", 413)]


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(post(b"x" * 100_000), id="announced"),
        pytest.param(
            b"POST /vp HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n"
            + b"x" * 100_000
            + b"\r\n0\r\n\r\n",
            id="chunked",
        ),
        pytest.param(post(gzip.compress(b"x" * 100_000), b"Content-Encoding: gzip"), id="unpacked"),
    ],
)
async def test_a_message_as_long_as_it_may_be_is_carried(served, request_bytes):
    consumer = await served.connect()
    await consumer.send(request_bytes)
    status, _, body = await consumer.answer()
    assert (status, len(body)) == (200, 100_000)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        pytest.param(post(b"not gzip", b"Content-Encoding: gzip"), 400, id="not gzip"),
        pytest.param(post(gzip.compress(b"x")[:-3], b"Content-Encoding: gzip"), 400, id="half gzip"),
        pytest.param(post(b"x", b"Content-Encoding: br"), 415, id="other coding"),
    ],
)
async def test_a_body_that_cannot_be_unpacked_is_refused(served, request_bytes, status):
    consumer = await served.connect()
    await consumer.send(request_bytes)
    assert (await consumer.answer())[0] == status


async def test_gzip_and_chunks_are_read(served):
    packed = gzip.compress(b"<a/>")
    consumer = await served.connect()
    await consumer.send(
        b"POST /vp HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"%x\r\n" % len(packed)
        + packed
        + b"\r\n0\r\n\r\n"
    )
    assert (await consumer.answer())[2] == b"<a/>"


async def test_a_client_that_waits_for_100_continue_gets_it(served):
    consumer = await served.connect()
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
async def test_smuggling_probes_are_answered_400_and_closed(served, lines):
    consumer = await served.connect()
    await consumer.send(b"POST /vp HTTP/1.1\r\nHost: h\r\n" + lines)
    status, headers, body = await consumer.answer()
    assert (status, headers["server"]) == (400, "rivta")
    assert b"aiohttp" not in body and lines[:10] not in body
    assert await asyncio.wait_for(consumer.rest(), 3) == b""
    assert served.seen == []


@pytest.mark.parametrize(("version", "status"), [("1.1", 400), ("1.0", 200)])
async def test_a_request_without_host_is_refused_unless_it_is_older_than_host(served, version, status):
    """RFC 9112 section 3.2."""
    consumer = await served.connect()
    await consumer.send(f"POST /vp HTTP/{version}\r\nContent-Length: 0\r\n\r\n".encode())
    assert (await consumer.answer())[0] == status


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(b"POST /vp HTTP/1.1\r\nContent-Length: 100001", 413, id="too long"),
        pytest.param(b"POST /vp HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked", 400, id="ambiguous"),
    ],
)
async def test_who_waits_for_100_continue_is_refused_without_it(served, head, status):
    consumer = await served.connect()
    await consumer.send(head + b"\r\nHost: h\r\nExpect: 100-continue\r\n\r\n")
    assert (await consumer.answer())[0] == status
    assert served.seen == []


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"POST /vp HTTP/1.0\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n", id="1.0"),
        pytest.param(
            b"POST /vp HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nExpect: 100-Continue\r\n\r\n", id="no body"
        ),
    ],
)
async def test_who_cannot_wait_for_it_does_not_get_it(served, sent):
    consumer = await served.connect()
    await consumer.send(sent)
    await asyncio.sleep(0.05)  # its head is read before its body comes
    await consumer.send(b"<a/>" if b"Length: 4" in sent else b"")
    assert (await consumer.answer())[0] == 200


@pytest.mark.parametrize(
    ("body", "codings", "status"),
    [
        pytest.param(PACKED, [b"GZip"], 200, id="any case"),
        pytest.param(PACKED, [b"x-gzip"], 200, id="old name"),
        pytest.param(PACKED, [b"identity, gzip"], 200, id="identity too"),
        pytest.param(gzip.compress(b"<") + gzip.compress(b"a/>"), [b"gzip"], 200, id="two members"),
        pytest.param(b"<a/>", [b"identity"], 200, id="identity"),
        pytest.param(b"<a/>", [b""], 200, id="empty"),
        pytest.param(gzip.compress(PACKED), [b"gzip, gzip"], 415, id="twice"),
        pytest.param(PACKED, [b"gzip", b"gzip"], 415, id="said twice"),
        pytest.param(PACKED + b"<a/>", [b"gzip"], 400, id="something behind"),
        pytest.param(b"", [b"gzip"], 400, id="nothing"),
    ],
)
async def test_codings_of_a_body(served, body, codings, status):
    consumer = await served.connect()
    await consumer.send(post(body, *[b"Content-Encoding: " + coding for coding in codings]))
    answered, _, content = await consumer.answer()
    assert (answered, content == b"<a/>") == (status, status == 200)


async def test_another_context_is_for_the_handshakes_that_follow(served, authority, tmp_path):
    """And those of the context before it who are not welcome any more go, also when they come through later."""
    others = Authority.create(tmp_path / "others")
    shown = others.issue("server", hsa_id="SE1-S", common_name="s", organisation="O", hosts=["127.0.0.1"])
    welcome, unwelcome = await served.connect(), await served.connect("nameless")
    with socket.create_connection(served.address) as plain:
        plain.setblocking(False)
        await until_true(lambda: served.listener._acceptor.handshakes == 1)
        await asyncio.sleep(0)  # it is counted before it begins
        await asyncio.sleep(0)

        context = server_context(certificate=shown.certificate, key=shown.key, trusted=others.ca)
        cut = served.listener.show(context, is_unwelcome=lambda sender: True)

        reader, writer = await asyncio.open_connection(sock=plain, ssl=served.context(), server_hostname="127.0.0.1")
        late = Consumer(reader, writer)
        assert await late.rest() == b""
        writer.close()
    assert (cut, await welcome.rest()) == (1, b"")
    await unwelcome.send(post(b"<a/>"))  # nobody can say whose it is: it stays, and is VP002
    assert (await unwelcome.answer())[0] == 200
    new = client_context(certificate=shown.certificate, key=shown.key, trusted=others.ca)
    consumer = await served.connect(context=new)
    await consumer.send(post(b"<a/>"))
    assert (await consumer.answer())[0] == 200


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
async def test_a_drain_does_not_wait_for_a_connection_on_which_nothing_is_asked(authority, tls):
    async with listening(authority=authority if tls else None) as served:
        consumer = await served.connect()
        await consumer.send(post(b"<a/>"))
        await consumer.answer()
        async with asyncio.timeout(5):
            await served.listener._connections.drain(30, idle_seconds=0)
            assert await consumer.rest() == b""


async def test_a_drain_is_patient_with_a_connection_on_which_something_may_still_be_asked(served):
    consumer = await served.connect()
    await consumer.send(post(b"<a/>"))
    await consumer.answer()
    drained = asyncio.create_task(served.listener._connections.drain(20, idle_seconds=10))
    await asyncio.sleep(0)
    await consumer.send(post(b"<a/>"))
    status, headers, _ = await consumer.answer()
    assert (status, headers["connection"]) == (200, "close")
    await consumer.rest()
    await drained


async def test_a_drain_does_not_close_a_connection_on_which_a_request_has_come_unread():
    """Closing it would reset it, and its consumer could not know whether the request was carried out."""
    async with listening(authority=None) as served:
        with socket.create_connection(served.address) as consumer:
            consumer.sendall(post(b"<a/>"))
            await until_true(lambda: len(served.seen) == 1)
            assert b"keep-alive" in await asyncio.to_thread(consumer.recv, 1000)
            consumer.sendall(post(b"<b/>"))  # and the loop has had no turn to read it
            async with asyncio.timeout(5):
                await served.listener._connections.drain(30, idle_seconds=0)
            assert consumer.recv(1000).endswith(b"<b/>")


async def test_a_drain_lets_a_handshake_that_has_begun_come_to_its_call(served):
    with socket.create_connection(served.address) as plain:
        plain.setblocking(False)
        await until_true(lambda: served.listener._acceptor.handshakes == 1)
        closed = asyncio.create_task(served.listener.close(drain_seconds=20, idle_seconds=10))
        await asyncio.sleep(0)
        reader, writer = await asyncio.open_connection(sock=plain, ssl=served.context(), server_hostname="127.0.0.1")
        consumer = Consumer(reader, writer)
        await consumer.send(post(b"<a/>"))
        status, headers, _ = await consumer.answer()
        assert (status, headers["connection"]) == (200, "close")
        writer.close()
        await closed


async def test_a_drain_gives_a_handshake_no_more_time_than_a_silent_connection(authority):
    async with listening(authority=authority, limits=Limits(header_seconds=60)) as served:
        with socket.create_connection(served.address):
            await until_true(lambda: served.listener._acceptor.handshakes == 1)
            async with asyncio.timeout(5):
                await served.listener.close(drain_seconds=60, idle_seconds=0)


async def test_a_connection_is_idle_from_its_last_request_on(served):
    before, consumer = asyncio.get_running_loop().time(), await served.connect()
    await consumer.send(post(b"<a/>"))
    await consumer.answer()
    (connection,) = served.listener._connections.each()
    await until_true(lambda: connection.is_idle(since=asyncio.get_running_loop().time()))
    assert not connection.is_idle(since=before)
    await consumer.send(b"POST /vp")
    await until_true(lambda: not connection.is_idle(since=asyncio.get_running_loop().time()))


async def test_the_last_answer_of_a_drain_says_so(served):
    going, may_go = asyncio.Event(), asyncio.Event()

    async def carry(request: Request) -> Answer:
        going.set()
        await may_go.wait()
        return await echo(request)

    served.handle = carry
    consumer = await served.connect()
    await consumer.send(post(b"<a/>"))
    await going.wait()
    drained = asyncio.create_task(served.listener._connections.drain(10, idle_seconds=10))
    await asyncio.sleep(0)
    may_go.set()
    assert (await consumer.answer())[1]["connection"] == "close"
    assert await consumer.rest() == b""
    await drained


async def test_a_handler_that_fails_all_the_same_is_500_without_a_word_of_why(served, caplog):
    async def fail(request: Request) -> Answer:
        raise RuntimeError(request.body.decode())

    served.handle = fail
    consumer = await served.connect()
    await consumer.send(post(b"191212121212"))
    status, headers, body = await consumer.answer()
    assert (status, headers["connection"], body) == (500, "close", b"Internal error.\n")
    assert await consumer.rest() == b""
    assert "a request met an error of ours, RuntimeError" in caplog.text
    assert "191212121212" not in caplog.text


async def test_what_is_no_http_is_answered_without_its_own_words(served):
    consumer = await served.connect()
    await consumer.send(b"191212121212 / HTTP/1.1\r\n\r\n")
    status, _, body = await consumer.answer()
    assert (status, body) == (400, b"The request is not HTTP/1.1 as RFC 9112 has it, or longer than a head may be.")
