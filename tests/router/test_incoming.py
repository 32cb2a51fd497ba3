"""What is refused before anyone reads it, over bare sockets: one answer that says no and closes, or none; and what is
hidden behind it is never handed on."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop
from aiohttp import HttpVersion, HttpVersion10, HttpVersion11
from aiohttp.http import RawRequestMessage
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from rivta.contracts.installed import Contracts
from rivta.router.front import ContractDocuments, front
from rivta.router.incoming import Refusal, refuse_ambiguous
from rivta.router.limits import Limits
from rivta.router.messages import Answer, Request
from rivta.soap.xml import parse_xml
from tests.router.listeners import FAST, Consumer, Served, echo, listening, post
from tests.router.platforms import Platforms, contracts, question, reply, sender

pytestmark = pytest.mark.sockets

HEAD = b"POST /vp HTTP/1.1\r\nHost: h\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
HIDDEN = b"POST /vp/hidden HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with listening(limits=FAST) as served:
        yield served


def head(*lines: bytes) -> bytes:
    return HEAD + b"\r\n".join(lines) + b"\r\n\r\n"


AMBIGUOUS = {
    "two lengths": head(b"Content-Length: 5", b"Content-Length: 6") + b"abcde",
    "two equal lengths": head(b"Content-Length: 5", b"Content-Length: 5") + b"abcde",
    "list of lengths": head(b"Content-Length: 5, 5") + b"abcde",
    "signed length": head(b"Content-Length: +5") + b"abcde",
    "hexadecimal length": head(b"Content-Length: 0x5") + b"abcde",
    "empty length": head(b"Content-Length:"),
    "blank length": head(b"Content-Length:  "),
    "negative length": head(b"Content-Length: -5"),
    "length with an underscore": head(b"Content-Length: 1_0"),
    "length with a blank": head(b"Content-Length: 1 0") + b"abcde",
    "length of 26 digits": head(b"Content-Length: 99999999999999999999999999"),
    "length of 2^64": head(b"Content-Length: 18446744073709551616"),
    "length and chunked": head(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "chunked and length": head(b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"0\r\n\r\n",
    "chunked twice in one": head(b"Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n",
    "chunked in two": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "identity": head(b"Transfer-Encoding: identity"),
    "identity, then chunked": head(b"Transfer-Encoding: identity, chunked") + b"0\r\n\r\n",
    "identity and chunked in two": head(b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "gzip, then chunked": head(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "xchunked": head(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "chunkedx": head(b"Transfer-Encoding: chunkedx") + b"0\r\n\r\n",
    "chunked with a parameter": head(b"Transfer-Encoding: chunked;a=b") + b"0\r\n\r\n",
    "quoted chunked": head(b'Transfer-Encoding: "chunked"') + b"0\r\n\r\n",
    "comma before chunked": head(b"Transfer-Encoding: ,chunked") + b"0\r\n\r\n",
    "comma after chunked": head(b"Transfer-Encoding: chunked,") + b"0\r\n\r\n",
    "vertical tab before chunked": head(b"Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n",
    "vertical tab after chunked": head(b"Transfer-Encoding: chunked\x0b") + b"0\r\n\r\n",
    "no transfer encoding": head(b"Transfer-Encoding:"),
    "chunked in HTTP/1.0": CHUNKED.replace(b"1.1", b"1.0", 1) + b"0\r\n\r\n",
    "folded header": head(b"X: a", b" b"),
    "folded with a tab": head(b"X: a", b"\tTransfer-Encoding: chunked"),
    "folded before the first": b"POST /vp HTTP/1.1\r\n Host: h\r\nHost: h\r\n\r\n",
    "bare line feeds": HEAD + b"Content-Length: 0\n\n",
    "bare line feed in the request line": b"POST /vp HTTP/1.1\nHost: h\r\n\r\n",
    "bare line feed at the end": HEAD + b"\n",
    "bare carriage return": head(b"X: a\rContent-Length: 5") + b"abcde",
    "carriage return before the end of a line": HEAD + b"X: a\r\r\n\r\n",
    "blank before colon": head(b"Content-Length : 0"),
    "tab before colon": head(b"Content-Length\t: 0"),
    "no name": head(b": a"),
    "no colon": head(b"Content-Length"),
    "null in a value": head(b"X: a\0b"),
    "null in a name": head(b"X\0: a"),
    "control character": head(b"X: a\x01b"),
    "delete": head(b"X: a\x7fb"),
    "escape": head(b"X: a\x1b[1mb"),
    "form feed": head(b"X: a\x0cb"),
    "letter beyond ASCII in a name": head(b"X\xe5: a"),
    "chunk size 0x1": CHUNKED + b"0x1\r\na\r\n0\r\n\r\n",
    "chunk size -1": CHUNKED + b"-1\r\na\r\n0\r\n\r\n",
    "chunk size +1": CHUNKED + b"+1\r\na\r\n0\r\n\r\n",
    "chunk size with a blank": CHUNKED + b"1 \r\na\r\n0\r\n\r\n",
    "blank before chunk size": CHUNKED + b" 1\r\na\r\n0\r\n\r\n",
    "no chunk size": CHUNKED + b"\r\na\r\n0\r\n\r\n",
    "chunk size that overflows": CHUNKED + b"1" * 17 + b"\r\na\r\n0\r\n\r\n",
    "no line end behind a chunk": CHUNKED + b"1\r\na0\r\n\r\n",
    "line feed behind a chunk size": CHUNKED + b"1\na\r\n0\r\n\r\n",
    "line feed behind a chunk": CHUNKED + b"1\r\na\n0\r\n\r\n",
    "line feed in an extension": CHUNKED + b"1;a\nb\r\na\r\n0\r\n\r\n",
    "carriage return in an extension": CHUNKED + b"1;a\rb\r\na\r\n0\r\n\r\n",
    "line feed behind the last chunk": CHUNKED + b"1\r\na\r\n0\n\r\n",
    "line feed at the very end": CHUNKED + b"1\r\na\r\n0\r\n\n",
    "length as a trailer": CHUNKED + b"0\r\nContent-Length: 60\r\n\r\n",
    "chunked as a trailer": CHUNKED + b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "blank before colon in a trailer": CHUNKED + b"0\r\nX : y\r\n\r\n",
    "200 trailers": CHUNKED + b"0\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    "trailer of 100 KB": CHUNKED + b"0\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    "another host in the target": b"POST http://other/vp HTTP/1.1\r\nHost: h\r\n\r\n",
    "no host in the target": b"POST http:///vp HTTP/1.1\r\nHost: h\r\n\r\n",
    "blank in the target": b"POST /vp a HTTP/1.1\r\nHost: h\r\n\r\n",
    "tabs for blanks": b"POST\t/vp\tHTTP/1.1\r\nHost: h\r\n\r\n",
    "backslash for slash": b"POST \\vp HTTP/1.1\r\nHost: h\r\n\r\n",
    "fragment": b"POST /vp#a HTTP/1.1\r\nHost: h\r\n\r\n",
    "control character in the target": b"POST /vp/\x01 HTTP/1.1\r\nHost: h\r\n\r\n",
    "letter beyond ASCII in the target": b"POST /vp/\xc3\xa5 HTTP/1.1\r\nHost: h\r\n\r\n",
    "HTTP/1.2": b"POST /vp HTTP/1.2\r\nHost: h\r\n\r\n",
    "HTTP/1.10": b"POST /vp HTTP/1.10\r\nHost: h\r\n\r\n",
    "no version": b"POST /vp HTTP/\r\nHost: h\r\n\r\n",
    "small http": b"POST /vp http/1.1\r\nHost: h\r\n\r\n",
    "small method": b"post /vp HTTP/1.1\r\nHost: h\r\n\r\n",
    "RTSP": b"DESCRIBE /vp RTSP/1.0\r\nHost: h\r\n\r\n",
    "blank first": b" POST /vp HTTP/1.1\r\nHost: h\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "two hosts": head(b"Host: h"),
    "two hosts in one": b"POST /vp HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "a host that is none": b"POST /vp HTTP/1.1\r\nHost: a/b@c d\r\n\r\n",
    "no host": b"POST /vp HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("sent", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_what_could_be_read_in_two_ways_is_answered_400_and_closed(served: Served, sent: bytes) -> None:
    for in_pieces in (False, True):
        consumer = await served.connect()
        if in_pieces:
            # The head is handed on before its body comes.
            first, separator, rest = sent.partition(b"\r\n\r\n")
            await consumer.send(first + separator)
            await asyncio.sleep(0)
            await consumer.send(rest + HIDDEN)
        else:
            await consumer.send(sent + HIDDEN)
        status, headers, _ = await consumer.answer()
        assert (status, headers["connection"]) == (400, "close")
        assert await consumer.rest() == b""
    assert (served.seen, served.turned_away) == ([], [("", 400)] * 2)


def raw(*lines: tuple[str, str], path: str = "/vp", version: HttpVersion = HttpVersion11, method: str = "POST") -> Any:
    """A request whose head the library's parser has let through."""
    encoded = tuple((name.encode(), value.encode()) for name, value in lines)
    headers, url = CIMultiDictProxy(CIMultiDict(lines)), URL(path)
    message = RawRequestMessage(method, path, version, headers, encoded, False, None, False, False, url)
    return SimpleNamespace(_message=message)


HOST, IN_CHUNKS = ("Host", "h"), ("Transfer-Encoding", "chunked")


@pytest.mark.parametrize(
    ("incoming", "status"),
    [
        pytest.param(raw(), 400, id="no host"),
        pytest.param(raw(HOST, HOST), 400, id="two hosts"),
        pytest.param(raw(("Host", "a/b")), 400, id="a host that is none"),
        pytest.param(raw(HOST, ("Content-Length", "0"), IN_CHUNKS), 400, id="length and chunked"),
        pytest.param(raw(HOST, ("Content-Length", "+5")), 400, id="signed length"),
        pytest.param(raw(HOST, ("Content-Length", "٣")), 400, id="length in other digits"),
        pytest.param(raw(HOST, ("Transfer-Encoding", "gzip, chunked")), 400, id="gzip, then chunked"),
        pytest.param(raw(HOST, IN_CHUNKS, version=HttpVersion10), 400, id="chunked in HTTP/1.0"),
        pytest.param(raw(HOST, path="/vp#a"), 400, id="fragment"),
        pytest.param(raw(HOST, path="http://other/vp"), 400, id="another host in the target"),
        pytest.param(raw(HOST, method="DESCRIBE"), 400, id="RTSP"),
        pytest.param(raw(HOST, version=HttpVersion(1, 2)), 505, id="HTTP/1.2"),
    ],
)
def test_none_of_it_is_left_to_the_librarys_parser(incoming: Any, status: int) -> None:
    with pytest.raises(Refusal) as refused:
        refuse_ambiguous(incoming, FAST)
    assert refused.value.status == status


@pytest.mark.parametrize(
    "incoming",
    [
        raw(HOST, IN_CHUNKS),
        raw(HOST, ("Content-Length", "5")),
        raw(version=HttpVersion10),
        raw(HOST, path="https://H/vp"),
    ],
    ids=["chunked", "length", "HTTP/1.0 without host", "own host in the target"],
)
def test_nor_is_anything_else_refused(incoming: Any) -> None:
    refuse_ambiguous(incoming, FAST)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"GET /vp HTTP/0.9\r\nHost: h\r\n\r\n", 505, id="HTTP/0.9"),
        pytest.param(b"GET /vp HTTP/2.0\r\nHost: h\r\n\r\n", 505, id="HTTP/2.0"),
        pytest.param(head(b"Content-Length: 18446744073709551615") + b"abc", 413, id="length of 2^64 - 1"),
        pytest.param(head(b"Content-Length: 18446744073709551614") + b"abc", 413, id="length of 2^64 - 2"),
        pytest.param(CHUNKED + b"ffffffffffffffff\r\nabc", 408, id="chunk of 2^64 - 1"),
        pytest.param(CHUNKED + b"1;" + b"a" * 30, 408, id="extension that does not end"),
        pytest.param(head(b"Expect: 200-ok", b"Content-Length: 3") + b"abc", 417, id="expects something else"),
    ],
)
async def test_what_is_told_more_exactly(served: Served, sent: bytes, status: int) -> None:
    consumer = await served.connect()
    await consumer.send(sent)
    assert (await consumer.answer())[0] == status
    assert (await consumer.rest(), served.seen) == (b"", [])


async def test_half_a_request_in_the_oldest_form_ends_with_its_time(served: Served) -> None:
    consumer = await served.connect()
    await consumer.send(b"GET /vp\r\n")
    assert (await consumer.rest(), served.seen) == (b"", [])


async def test_endless_extensions_of_a_chunk_are_cut_off_before_the_time_is_out() -> None:
    async with listening(limits=Limits(header_seconds=60)) as served:
        consumer = await served.connect()
        await consumer.send(CHUNKED + b"1;")
        for _ in range(20):
            await consumer.send(b"a" * 10_000)
        assert (await consumer.answer())[0] == 400


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([b"X-%d: %s" % (n, b"a" * 1000) for n in range(100)], id="lines of 100 KB together"),
        pytest.param([b"X-%d: 1" % n for n in range(200)], id="200 lines"),
        pytest.param([b"X: " + b"a" * 70_000], id="line of 70 KB"),
    ],
)
async def test_a_head_that_is_too_long_is_400(served: Served, lines: list[bytes]) -> None:
    for end in (b"\r\n\r\n", b""):
        consumer = await served.connect()
        await consumer.send(HEAD + b"\r\n".join(lines) + b"\r\nX: y" + end)
        assert (await consumer.answer())[0] == 400
        assert await consumer.rest() == b""
    assert served.seen == []


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 400)])
async def test_a_head_is_measured_with_all_of_its_lines(served: Served, more: int, status: int) -> None:
    others = len(b"Host: h\r\nContent-Length: 1\r\nX: \r\nY: \r\n")
    consumer = await served.connect()
    await consumer.send(post(b"x", b"X: " + b"a" * (65_536 - others - 30_000 + more), b"Y: " + b"b" * 30_000))
    assert (await consumer.answer())[0] == status


async def test_heads_that_come_in_pieces_are_measured_one_by_one(served: Served) -> None:
    consumer, request = await served.connect(), post(b"x", b"X: " + b"a" * 10_000)
    for _ in range(10):
        await consumer.send(request[:9_000])
        await asyncio.sleep(0.005)
        await consumer.send(request[9_000:])
        assert (await consumer.answer())[0] == 200


async def test_a_head_of_60_kb_is_carried(served: Served) -> None:
    """A proxy hands on a chain of certificates in one header."""
    consumer = await served.connect()
    await consumer.send(post(b"x", b"X: " + b"a" * 60_000, b"Y: " + b"b" * 4_000))
    assert (await consumer.answer())[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(CHUNKED + b"1;a=b\r\nx\r\n0\r\n\r\n", id="extension"),
        pytest.param(CHUNKED + b"00000001\r\nx\r\n0\r\n\r\n", id="leading zeros"),
        pytest.param(CHUNKED.replace(b" chunked", b"\tCHUNKED") + b"1\r\nx\r\n0\r\n\r\n", id="chunked in capitals"),
        pytest.param(head(b"content-length: 0001 ") + b"x", id="length with zeros"),
        pytest.param(b"\r\n" + post(b"x"), id="empty line before"),
        pytest.param(
            b"POST http://H/vp HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx", id="own host in the target"
        ),
        pytest.param(b"POST /vp HTTP/1.1\r\nHost:\r\nContent-Length: 1\r\n\r\nx", id="empty host"),
        pytest.param(b"POST /vp HTTP/1.1\r\nHost: [::1]:443\r\nContent-Length: 1\r\n\r\nx", id="host with port"),
    ],
)
async def test_what_is_odd_and_allowed_is_carried_and_the_connection_stays(served: Served, sent: bytes) -> None:
    consumer = await served.connect()
    for _ in range(2):
        await consumer.send(sent)
        assert (await consumer.answer())[2] == b"x"


NEXT = post(b"second", b"X-Own: 1")


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param([CHUNKED + b"1\r\nx\r\n0\r\nX-Evil: y\r\n\r\n", NEXT], id="one after the other"),
        pytest.param([CHUNKED + b"1\r\nx\r\n0\r\nX-Evil: 0\r\n\r\n", NEXT], id="trailer that ends as chunks do"),
        pytest.param([CHUNKED, b"1\r\nx\r\n0\r\nX-Evil: y\r\n", b"\r\n", NEXT], id="in pieces"),
        pytest.param([CHUNKED + b"1\r\nx\r\n0\r\nX-Evil: y\r\n\r\n" + NEXT], id="at once"),
        pytest.param([CHUNKED + b"1\r\nx\r\n0\r\nX-Evil: y\r\n\r\n" + NEXT[:9], NEXT[9:]], id="half at once"),
        pytest.param(
            [CHUNKED + b"1\r\nx\r\n0\r\nX-Evil: y\r\n\r\n" + CHUNKED + b"6\r\nsecond\r\n0\r\n\r\n"], id="chunks at once"
        ),
        pytest.param([post(b"x") + CHUNKED + b"1\r\ny\r\n0\r\nX-Evil: y\r\n\r\n" + NEXT], id="behind another"),
        pytest.param([post(b"x") * 31 + CHUNKED + b"1\r\ny\r\n0\r\nX-Evil: y\r\n\r\n" + NEXT], id="behind many"),
        pytest.param([CHUNKED + b"1\r\nx\r\n0\r\n\r\n" + NEXT], id="no trailer, at once"),
    ],
)
async def test_what_stands_behind_chunks_is_never_a_header_of_the_next_request(sent: list[bytes]) -> None:
    """The library would take the last field of a trailer for one, and a proxy's connection has other clients on it."""
    async with listening(limits=FAST) as served:
        consumer = await served.connect()
        for piece in sent:
            await consumer.send(piece)
            await asyncio.sleep(0.02)
        rest = await consumer.rest()
    assert rest.startswith(b"HTTP/1.1 200 ") and b"Connection: close" in rest
    assert not [request for request in served.seen if request.header("X-Evil")]


async def test_chunks_that_come_in_pieces_leave_the_connection_open(served: Served) -> None:
    consumer = await served.connect()
    message = CHUNKED + b"1\r\nx\r\n0\r\n\r\n"
    for _ in range(2):
        for at in range(len(message)):
            await consumer.send(message[at : at + 1])
            await asyncio.sleep(0)
        assert (await consumer.answer())[1]["connection"] == "keep-alive"


async def test_bytes_beyond_ascii_in_a_value_come_and_go_as_they_are() -> None:
    value = b"\xe5\xe4 \xc3\xb6 \xff"

    async def back(request: Request) -> Answer:
        return Answer(200, (("X-Odd", request.header("X-Odd")),), b"")

    async with listening(handle=back) as served:
        consumer = await served.connect()
        await consumer.send(post(b"x", b"X-Odd: " + value))
        assert (await consumer.answer())[1]["x-odd"].encode("latin-1") == value


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/vp/a%20b?x=%C3%A5&y&x=2", "/vp/a b", {"x": "å", "y": ""}),
        (b"/%76p", "/vp", {}),
        (b"/vp/%zz%00?%zz=%", "/vp/%zz\0", {"%zz": "%"}),
        (b"//vp", "//vp", {}),
        (b"/./vp/../x", "/./vp/../x", {}),
        (b"/vp?a=b?c#", None, {}),
        (b"/vp?&&=&", "/vp", {"": ""}),
    ],
)
async def test_path_and_query_are_decoded_and_nothing_more(
    served: Served, target: bytes, path: str | None, query: dict[str, str]
) -> None:
    consumer = await served.connect()
    await consumer.send(b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n" % target)
    status = (await consumer.answer())[0]
    assert status == (400 if path is None else 200)
    if path is not None:
        (seen,) = served.seen
        assert (seen.path, seen.query) == (path, query)
        assert seen.raw_query == target.decode().partition("?")[2]


# --- anything at all

GOOD = (
    post(b"<a/>"),
    CHUNKED + b"4\r\n<a/>\r\n0\r\n\r\n",
    post(b"<a/>", b"Expect: 100-continue"),
    b"GET /vp?wsdl HTTP/1.1\r\nHost: h\r\n\r\n",
    *AMBIGUOUS.values(),
)
PIECES = (
    b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b":", b",", b";", b"0", b"-1", b"\x0b", b"chunked", b"Content-Length: 4\r\n",
    b"Content-Length: 70\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n",
    b"Connection: close\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"HTTP/1.0", b"HTTP/1.1\r\n", b"\xff\xfe",
    b"Host: other\r\n", b"Expect: 100-continue\r\n", b"Content-Encoding: gzip\r\n", b"CONNECT", b"X: " + b"a" * 9000 + b"\r\n",
)  # fmt: skip


def real_call(*headers: bytes) -> bytes:
    return post(question(), b'SOAPAction: ""', b"Content-Type: text/xml; charset=UTF-8", *headers)


CALLS = (
    real_call(),
    real_call(b"Connection: keep-alive", b"x-skltp-correlation-id: abc", b"x-rivta-routing-history: SE1-A"),
    CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(question()), question()),
    post(gzip.compress(question()), b"Content-Encoding: gzip"),
)


@st.composite
def mutated(draw: st.DrawFn, originals: tuple[bytes, ...]) -> bytes:
    """A request with pieces of others put in, taken out and turned over."""
    sent = bytearray(draw(st.sampled_from(originals))[:5000])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(sent)))
        match draw(st.sampled_from(["insert", "delete", "replace"])):
            case "insert":
                sent[at:at] = draw(st.sampled_from(PIECES))
            case "delete":
                del sent[at : at + draw(st.integers(1, 12))]
            case _:
                sent[at : at + 1] = draw(st.binary(min_size=1, max_size=2))
    return bytes(sent)


def answers_in(received: bytes) -> list[tuple[int, bytes, bytes]]:
    """Status, head and body of each answer."""
    answers = []
    while received:
        head_, separator, received = received.partition(b"\r\n\r\n")
        assert separator and head_.startswith(b"HTTP/1.1 "), (head_, received)
        status = int(head_.split()[1])
        length = [
            line.partition(b": ")[2] for line in head_.split(b"\r\n") if line.lower().startswith(b"content-length")
        ]
        size = int(length[0]) if length and status != 100 else 0
        answers.append((status, head_, received[:size]))
        received = received[size:]
    return answers


@settings(
    max_examples=5, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(messages=st.lists(mutated(GOOD), min_size=100, max_size=100))
def test_whatever_comes_is_answered_in_whole_answers_within_the_deadline(messages: list[bytes]) -> None:
    async def run() -> None:
        async with listening(limits=FAST) as served:
            await asyncio.gather(*(one_of(served, message) for message in messages))
            # And the next good call is carried.
            consumer = await served.connect()
            await consumer.send(post(b"good"))
            assert (await consumer.answer())[2] == b"good"

    async def one_of(served: Served, message: bytes) -> None:
        consumer: Consumer = await served.connect()
        await consumer.send(message)
        answers = answers_in(await consumer.rest(seconds=5))
        final = [head_ for status, head_, _ in answers if status != 100]
        refused = [head_ for status, head_, _ in answers if status >= 400]
        assert refused in ([], final[-1:]), (message, answers)  # nothing is answered behind a refusal
        assert all(b"\r\nConnection: close" in head_ for head_ in refused)

    uvloop.run(run())


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", 405, id="CONNECT"),
        pytest.param(b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nContent-Length: 3\r\n\r\nabc", 405, id="with a body"),
        pytest.param(b"CONNECT /vp HTTP/1.1\r\nHost: h\r\n\r\n", 405, id="CONNECT to a path"),
        pytest.param(
            b"POST /vp HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
            200,
            id="upgrade that is not taken up",
        ),
        pytest.param(
            b"POST /vp HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
            200,
            id="upgrade to HTTP/2",
        ),
    ],
)
async def test_no_tunnel_and_no_other_protocol_is_opened(sent: bytes, status: int) -> None:
    async with listening(limits=FAST) as served:
        carry = front(echo, path="/vp", documents=ContractDocuments(lambda: Contracts([]), "https://h/vp"))
        served.handle = carry
        consumer = await served.connect()
        await consumer.send(sent + HIDDEN)
        assert [answered for answered, _, _ in answers_in(await consumer.rest())] == [status]
        assert all(request.path != "/vp/hidden" for request in served.seen)


@settings(
    max_examples=5, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(messages=st.lists(mutated(CALLS), min_size=100, max_size=100))
def test_a_real_call_in_any_shape_gets_an_answer_a_fault_or_a_plain_error(
    messages: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    global _platforms
    _platforms = _platforms or Platforms(tmp_path_factory.mktemp("table"))
    platform = _platforms()
    documents = ContractDocuments(contracts, "https://h/vp")

    async def run() -> None:
        async with listening(
            limits=FAST,
            handle=front(platform.carry, path="/vp", documents=documents),
            turn_away=platform.router.turn_away,
            sender=sender(),
        ) as served:
            await asyncio.gather(*(one_of(served, message) for message in messages))
            consumer = await served.connect()
            await consumer.send(real_call())
            assert (await consumer.answer())[2] == reply()

    async def one_of(served: Served, message: bytes) -> None:
        consumer = await served.connect()
        await consumer.send(message)
        for status, head_, body in answers_in(await consumer.rest(seconds=10)):
            if status == 100:
                continue
            assert b"\r\nx-skltp-correlation-id: " in head_, head_
            if status == 500 and b"text/plain;UTF-8" not in head_:
                assert parse_xml(body).find(".//faultcode") is not None
            else:
                assert (
                    body == reply()
                    if status == 200 and body and b"UTF-8" in head_
                    else status
                    in (
                        *(200, 400, 404, 405, 408, 413, 415, 417, 505),
                        500,
                    )
                )

    uvloop.run(run())


_platforms: Platforms | None = None
