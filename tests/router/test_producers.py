"""What a consumer gets for each thing a producer can do, over real sockets and TLS: the incumbent's table of results.

Only the platform's own side is real; the producer is a script on a socket. Its URL in the details is the table's.
"""

import asyncio
import gzip
import socket
import ssl
import warnings
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rivta.router.client import ClientRules, ProducerClient
from rivta.router.deviations import Compat
from rivta.router.messages import Answer
from rivta.soap import namespaces
from rivta.soap.xml import parse_xml
from rivta.tls.authority import Authority
from rivta.tls.contexts import ClientContext, client_context, server_context
from tests.router.listeners import OneIdentity
from tests.router.platforms import PRODUCER_URL, Platform, Platforms, Sent, fault, header, reply, request

pytestmark = pytest.mark.sockets

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Start = Callable[..., Awaitable[str]]
Carry = Callable[..., Awaitable[Answer]]

START = f"Error connecting to service producer at address {PRODUCER_URL}. "
CAMEL = f"{START}Exception Caught by Camel when contacting producer. Exception information: "
FAULT = (
    f'<e:Envelope xmlns:e="{namespaces.SOAP_ENVELOPE}"><e:Body><e:Fault><faultcode>e:Server</faultcode>'
    "<faultstring>no</faultstring></e:Fault></e:Body></e:Envelope>"
).encode()
FAULT_12 = FAULT.replace(namespaces.SOAP_ENVELOPE.encode(), namespaces.SOAP_12_ENVELOPE.encode())


@pytest.fixture(scope="module")
def platforms(tmp_path_factory: pytest.TempPathFactory) -> Platforms:
    return Platforms(tmp_path_factory.mktemp("tables"))


@pytest.fixture
def trusting(authority: Authority, issued: Path) -> ClientContext:
    return client_context(
        certificate=issued / "consumer.pem", key=issued / "consumer.key", trusted=authority.folder / "ca.pem"
    )


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts a producer that does what the script says on each connection; gives its URL."""
    servers: list[asyncio.Server] = []

    async def started(script: Script, tls: ssl.SSLContext | None = None) -> str:
        async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await script(reader, writer)
            except (OSError, asyncio.IncompleteReadError):
                pass  # the platform has had enough
            finally:
                writer.close()

        server = await asyncio.start_server(once, "127.0.0.1", 0, ssl=tls)
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        return f"http{'s' if tls else ''}://127.0.0.1:{port}/x"

    yield started
    for server in servers:
        server.close()


@pytest.fixture
async def platform_of(platforms: Platforms, trusting: ClientContext) -> AsyncIterator[Callable[..., Platform]]:
    """Makes a platform whose one producer is at a URL; times in seconds are short."""
    clients: list[ProducerClient] = []

    def made(url: str, *, ways: ClientRules | None = None, **policy: Any) -> Platform:
        client = ProducerClient(OneIdentity(trusting), ways)
        clients.append(client)

        async def produce(sent: Sent) -> Any:
            target = replace(sent.target, url=url)
            return await client.send(target, method=sent.method, headers=sent.headers, body=sent.body)

        short = {"retry_attempts": 0, "connect_seconds": 0.2, "producer_seconds": 0.5, "max_answer_bytes": 100_000}
        return platforms(produce, **(short | policy))

    yield made
    for client in clients:
        await client.close()


@pytest.fixture
async def carry(start: Start, platform_of: Callable[..., Platform]) -> Carry:
    """The answer to one call whose producer does what the script says."""

    async def carried(script: Script, tls: ssl.SSLContext | None = None, **policy: Any) -> Answer:
        return await platform_of(await start(script, tls), **policy).carry(request())

    return carried


def saying(*chunks: bytes, pause: float = 0.0) -> Script:
    """Reads the request, says this, and closes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"Envelope>")
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(pause)

    return script


def message(status: str = "200 OK", body: bytes = b"", *headers: str) -> bytes:
    lines = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}"))
    return lines.encode() + b"\r\n" + body


def resetting(*before: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await saying(*before)(reader, writer)
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    return script


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def status_failure(status: int, more: str = "") -> str:
    return (
        f"{CAMEL}(org.apache.camel.component.netty.http.NettyHttpOperationFailedException: Netty HTTP operation failed "
        f"invoking {PRODUCER_URL} with statusCode: {status}{more})\nVP_PRODUCER_EXCEPTION_HTTP_STATUS={status}"
    )


TIMED_OUT = (
    f"{CAMEL}(io.netty.handler.timeout.ReadTimeoutException: Timeout when waiting on response from producer.)"
    " The service platform NAME waited 0.5 seconds."
)
RESET = f"{CAMEL}(java.net.SocketException: Connection reset)"
NOTHING = f"{CAMEL}(No response received from remote server: producer.test:8443)"
CUT = f"{CAMEL}(the connection was closed before the end of the answer)"
NOT_HTTP = f"{CAMEL}(the answer is not HTTP)"
TOO_LONG = f"{CAMEL}(the answer is longer than 100000 bytes)"
NOT_ASKED_FOR = f"{CAMEL}(the answer is encoded in a way that was not asked for)"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        pytest.param(silent, TIMED_OUT, id="silence"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 30, pause=0.05), TIMED_OUT, id="slow head"),
        pytest.param(saying(message(body=b"x" * 9)[:-9], *[b"x"] * 30, pause=0.06), TIMED_OUT, id="slow body"),
        pytest.param(saying(CHUNKED, *[b"1\r\nx\r\n"] * 30, pause=0.05), TIMED_OUT, id="slow chunks"),
        pytest.param(saying(), NOTHING, id="closes without answering"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\nContent-Le"), NOTHING, id="closes within the head"),
        pytest.param(saying(b"HTTP/1.1 100 Continue\r\n\r\n"), NOTHING, id="closes after 100"),
        pytest.param(resetting(), RESET, id="reset before the head"),
        pytest.param(resetting(b"HTTP/1.1 200 OK\r\n"), RESET, id="reset within the head"),
        pytest.param(resetting(message(body=reply())[:-9]), RESET, id="reset within the body"),
        pytest.param(resetting(CHUNKED + b"3\r\nabc\r\n"), RESET, id="reset within the chunks"),
        pytest.param(saying(message(body=reply())[:-9]), CUT, id="closes before the announced length"),
        pytest.param(saying(CHUNKED + b"3\r\nabc\r\n"), CUT, id="closes before the last chunk"),
        pytest.param(saying(message("302 Found", b"", "Location: /y")), status_failure(302, ", redirectLocation: /y"), id="302"),
        pytest.param(saying(message("304 Not Modified")), status_failure(304), id="304"),
        pytest.param(saying(message("404 Not Found", b"no")), status_failure(404), id="404"),
        pytest.param(saying(message("400 Bad Request", FAULT)), status_failure(400), id="SOAP fault under 400"),
        pytest.param(saying(message("503 Busy", FAULT)), status_failure(503), id="SOAP fault under 503"),
        pytest.param(saying(message("500 No", FAULT_12)), status_failure(500), id="SOAP 1.2 fault under 500"),
        pytest.param(saying(message("500 No")), status_failure(500), id="500, empty"),
        pytest.param(saying(message("500 No", b"<html/>")), status_failure(500), id="500, HTML"),
        pytest.param(saying(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), status_failure(101), id="101"),
        pytest.param(saying(message("200 OK")), f"{START}Empty message when server responded with status code: 200 OK", id="200, empty"),
        pytest.param(saying(b"HTTP/1.0 200 OK\r\n\r\n"), f"{START}Empty message when server responded with status code: 200 OK", id="200 of HTTP/1.0, empty"),
        pytest.param(saying(b"garbage\r\n\r\n"), NOT_HTTP, id="garbage"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), NOT_HTTP, id="two lengths"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), NOT_HTTP, id="no length"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000 + b"\r\n\r\n"), NOT_HTTP, id="long header"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n"), NOT_HTTP, id="many headers"),
        pytest.param(saying(CHUNKED + b"zz\r\n"), NOT_HTTP, id="no chunk"),
        pytest.param(saying(*[b"HTTP/1.1 100 Continue\r\n\r\n" * 100] * 100, message(body=reply())), NOT_HTTP, id="10,000 times 100"),
        pytest.param(saying(message(body=b"x" * 100_001)), TOO_LONG, id="long, announced"),
        pytest.param(saying(CHUNKED + b"186a1\r\n" + b"x" * 100_001), TOO_LONG, id="long, in chunks"),
        pytest.param(saying(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 100_001), TOO_LONG, id="long, to the end"),
        pytest.param(saying(message("200 OK", zlib.compress(reply()), "Content-Encoding: deflate")), NOT_ASKED_FOR, id="deflate"),
    ],
)  # fmt: skip
async def test_trouble_is_vp009_in_the_incumbents_words(carry: Carry, script: Script, detail: str) -> None:
    answer = await carry(script)
    seen = fault(answer)
    assert (seen.code, seen.side, seen.detail) == ("VP009", "Server", detail)
    assert [name for name, _ in answer.headers] == ["Content-Type", "x-skltp-correlation-id"]


@pytest.mark.parametrize(
    ("script", "status", "body"),
    [
        pytest.param(saying(message(body=reply())), 200, reply(), id="200"),
        pytest.param(saying(message("201 Created", reply())), 201, reply(), id="201"),
        pytest.param(saying(message("200", reply())), 200, reply(), id="without reason"),
        pytest.param(saying(message("202 Accepted")), 202, b"", id="202, empty"),
        pytest.param(saying(b"HTTP/1.1 204 No Content\r\n\r\n"), 204, b"", id="204"),
        pytest.param(saying(message(body=FAULT)), 200, FAULT, id="200 with a fault"),
        pytest.param(saying(message(body=b"not SOAP")), 200, b"not SOAP", id="200 with other text"),
        pytest.param(saying(message("500 No", FAULT)), 500, FAULT, id="500 with a fault"),
        pytest.param(saying(b"HTTP/1.1 100 Continue\r\n\r\n" + message(body=reply())), 200, reply(), id="100 first"),
        pytest.param(saying(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + message(body=reply())), 200, reply(), id="103 first"),
        pytest.param(saying(b"HTTP/1.0 200 OK\r\n\r\n" + reply()), 200, reply(), id="HTTP/1.0 to the end"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + reply()), 200, reply(), id="to the end"),
        pytest.param(saying(CHUNKED + b"%x\r\n%s\r\n0\r\nX-After: 1\r\n\r\n" % (len(reply()), reply())), 200, reply(), id="trailers"),
        pytest.param(saying(message("200 OK", gzip.compress(reply()), "Content-Encoding: gzip")), 200, reply(), id="gzip"),
        pytest.param(saying(*(message(body=reply())[i : i + 400] for i in range(0, 20_000, 400))), 200, reply(), id="in pieces"),
    ],
)  # fmt: skip
async def test_what_a_producer_answers_is_relayed(carry: Carry, script: Script, status: int, body: bytes) -> None:
    answer = await carry(script)
    assert (answer.status, answer.body) == (status, body)
    assert header(answer, "x-skltp-prt") is not None
    assert header(answer, "Content-Encoding") is None


@contextmanager
def full_listener() -> Iterator[str]:
    """The URL of a listener that takes no more connections."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/x"
        finally:
            for one in waiting:
                one.close()


async def test_a_producer_that_does_not_take_the_connection_in_time(platform_of: Callable[..., Platform]) -> None:
    with full_listener() as url:
        seen = fault(await platform_of(url).carry(request()))
    assert seen.detail == f"{CAMEL}(java.net.ConnectException: Cannot connect to producer.test:8443)"


async def test_a_producer_that_is_not_there(platform_of: Callable[..., Platform]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x"
    seen = fault(await platform_of(url).carry(request()))
    assert seen.detail == f"{CAMEL}(java.net.ConnectException: Cannot connect to producer.test:8443)"


async def test_an_answer_before_the_whole_request_is_the_answer(
    start: Start, platform_of: Callable[..., Platform]
) -> None:
    """A producer may refuse what is too long for it while it is still being sent."""
    told = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(message("413 Too Large", b"no"))
        await told.wait()

    platform = platform_of(await start(script), producer_seconds=3.0, validation=_unchecked())
    padding = b"<!--" + b"x" * 8_000_000 + b"-->"
    answer = await platform.carry(request(request().body + padding))
    told.set()
    assert fault(answer).detail == status_failure(413)


def _unchecked() -> Any:
    from rivta.router.policy import Handling, Validation

    return Validation(request=Handling.OFF)


class TestTheIncumbentsWay:
    """The switches that bring it back."""

    @pytest.mark.parametrize("status", ["202 Accepted", "204 No Content"])
    async def test_of_taking_an_empty_answer_for_a_fault(self, carry: Carry, status: str) -> None:
        answer = await carry(saying(f"HTTP/1.1 {status}\r\n\r\n".encode()), compat=Compat(empty_is_fault=True))
        assert fault(answer).detail == f"{START}Empty message when server responded with status code: {status}"

    async def test_of_a_fault_without_type(self, carry: Carry) -> None:
        answer = await carry(saying(message()), compat=Compat(empty_fault_without_type=True))
        assert [name for name, _ in answer.headers] == ["x-skltp-correlation-id"]
        assert answer.status == 500

    async def test_of_a_fault_without_code(self, carry: Carry) -> None:
        answer = await carry(saying(), compat=Compat(faults_without_code=True))
        words = "No response received from remote server: producer.test:8443"
        root = parse_xml(answer.body)
        assert root.findtext(".//faultstring") == words
        assert root.findtext(".//faultcode") == "SOAP-ENV:Server"
        assert root.findtext(".//detailString") == f"org.apache.camel.CamelExchangeException: {words}"

    async def test_of_relaying_what_came_of_an_answer(self, carry: Carry) -> None:
        ways = ClientRules(relay_cut_answers=True)
        answer = await carry(saying(message(body=reply() + b"x" * 9)[:-9]), ways=ways)
        assert (answer.status, answer.body) == (200, reply())

    @pytest.mark.parametrize(
        ("script", "detail"),
        [(resetting(message(body=reply())[:-9]), RESET), (saying(CHUNKED + b"3\r\nabc\r\n"), CUT)],
        ids=["reset", "chunks"],
    )
    async def test_is_not_to_relay_what_broke_off(self, carry: Carry, script: Script, detail: str) -> None:
        assert fault(await carry(script, ways=ClientRules(relay_cut_answers=True))).detail == detail


class TestTls:
    """What a producer's TLS can be."""

    def answers(self, folder: Path, name: str, trusted: Path) -> ssl.SSLContext:
        return server_context(certificate=folder / f"{name}.pem", key=folder / f"{name}.key", trusted=trusted)

    async def detail(self, carry: Carry, tls: ssl.SSLContext) -> str:
        answer = await carry(saying(message(body=reply())), tls, connect_seconds=2.0, producer_seconds=5.0)
        detail = fault(answer).detail
        before, _, words = detail.partition("javax.net.ssl.SSLHandshakeException: ")
        assert before == f"{CAMEL}("
        return words

    async def test_that_is_as_it_should_be(self, carry: Carry, authority: Authority, issued: Path) -> None:
        answer = await carry(saying(message(body=reply())), self.answers(issued, "server", authority.ca))
        assert answer.status == 200

    async def test_of_another_host(self, carry: Carry, authority: Authority, issued: Path) -> None:
        words = await self.detail(carry, self.answers(issued, "elsewhere", authority.ca))
        assert words == "certificate verify failed: IP address mismatch, certificate is not valid for '127.0.0.1'.)"

    async def test_of_an_unknown_authority(self, carry: Carry, authority: Authority, tmp_path: Path) -> None:
        other = Authority.ensure(tmp_path / "other")
        other.issue("server", hsa_id="SE1-SERVER", common_name="s", organisation="Test", hosts=["127.0.0.1"])
        words = await self.detail(carry, self.answers(other.folder / "issued", "server", authority.ca))
        assert words == "certificate verify failed: unable to get local issuer certificate)"

    async def test_that_does_not_trust_us(self, carry: Carry, issued: Path, tmp_path: Path) -> None:
        other = Authority.ensure(tmp_path / "other")
        assert await self.detail(carry, self.answers(issued, "server", other.ca)) == "tlsv1 alert unknown ca)"

    async def test_of_old_versions(self, carry: Carry, authority: Authority, issued: Path) -> None:
        context = self.answers(issued, "server", authority.ca)
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of ssl, that these are old
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        assert await self.detail(carry, context) == "tlsv1 alert protocol version)"

    async def test_that_hangs_up(self, start: Start, platform_of: Callable[..., Platform]) -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(5)

        url = (await start(script)).replace("http:", "https:")
        assert "SSLHandshakeException: " in fault(await platform_of(url).carry(request())).detail

    async def test_that_is_none(self, start: Start, platform_of: Callable[..., Platform]) -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(5)
            writer.write(message("400 Bad Request"))

        url = (await start(script)).replace("http:", "https:")
        assert "SSLHandshakeException: " in fault(await platform_of(url).carry(request())).detail
