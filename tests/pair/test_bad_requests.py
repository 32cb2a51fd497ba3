"""Bytes that are no call: each gets a clear answer, and the next good call is carried as if nothing had been."""

import gzip
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.pair.consumer import (
    KS,
    NPO,
    Admin,
    Consumer,
    Identity,
    document_ids,
    envelope,
    get_diagnosis,
    http_post,
    read_answer,
    read_fault,
    tls_connection,
)
from tests.pair.standalone import HEADER_SECONDS, MAX_BYTES, Standalone
from tests.support import Pair

HEAD = b"POST /vp HTTP/1.1\r\nHost: localhost\r\n"
DOCTYPE = b"<!DOCTYPE e [%s]>"
XXE = DOCTYPE % b'<!ENTITY x SYSTEM "file:///etc/hostname">'
LAUGHS = DOCTYPE % (
    b'<!ENTITY l0 "ha">' + b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
)


def with_doctype(doctype: bytes, entity: bytes = b"") -> bytes:
    """A good message with a document type, and an entity where the patient's number stands."""
    declaration, rest = get_diagnosis(KS).split(b"\n", 1)
    return declaration + doctype + rest.replace(b"191212121212", entity or b"191212121212")


def chunked(chunks: bytes) -> bytes:
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks


@pytest.fixture(autouse=True)
def _a_good_call_works_afterwards(npo: Consumer) -> Iterator[None]:
    yield
    assert document_ids(npo.call(get_diagnosis(KS)).content)


UNREADABLE = {
    "malformed": (http_post(b"<a><b></a>"), "Opening and ending tag mismatch"),
    "cut off": (http_post(get_diagnosis(KS)[:-20]), "line 2"),
    "no XML": (http_post(b"patient=191212121212"), "line 1"),
    "empty": (http_post(b""), "empty"),
    "GET": (b"GET /vp HTTP/1.1\r\nHost: localhost\r\n\r\n", "empty"),
    "document type": (http_post(with_doctype(b"<!DOCTYPE e>")), "DOCTYPE"),
    "external entity": (http_post(with_doctype(XXE, b"&x;")), "DOCTYPE"),
    "a billion laughs": (http_post(with_doctype(LAUGHS, b"&l9;")), ""),
    "too deep": (http_post(envelope("<a>" * 240 + "</a>" * 240, to=KS)), "200"),
    "SOAP 1.2": (http_post(get_diagnosis(KS).replace(b"http://schemas.xmlsoap.org/soap/envelope/", b"http://www.w3.org/2003/05/soap-envelope")), "SOAP 1.2"),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_vp015_with_the_reason(npo: Consumer, sent: bytes, reason: str) -> None:
    with tls_connection(npo.url, npo.identity.context()) as connection:
        connection.sendall(sent)
        answer = read_answer(connection)
        fault = read_fault(answer.body)
        assert (answer.status, fault.code, fault.side) == (500, "VP015", "Client")
        assert reason in fault.detail
        # The message was bad, not the connection.
        connection.sendall(http_post(get_diagnosis(KS)))
        assert document_ids(read_answer(connection).body)


NOT_HTTP = {
    "unknown path": (404, b"POST /somewhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"),
    "announced too long": (413, HEAD + b"Content-Length: 60000000\r\n\r\n"),
    "gzip bomb": (413, http_post(gzip.compress(bytes(60_000_000)), b"Content-Encoding: gzip")),
    "not gzip": (400, http_post(get_diagnosis(KS), b"Content-Encoding: gzip")),
    "unknown encoding": (415, http_post(get_diagnosis(KS), b"Content-Encoding: br")),
    "two lengths": (400, HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
    "length and chunks": (400, HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "chunk size that is no number": (400, chunked(b"zz\r\nab\r\n0\r\n\r\n")),
    "chunk longer than its size": (400, chunked(b"3\r\nabcdef\r\n0\r\n\r\n")),
    "10,000 headers": (400, HEAD + b"".join(b"X-%d: 1\r\n" % n for n in range(10_000)) + b"\r\n"),
    "a header of 100 KB": (400, HEAD + b"X-Long: " + b"a" * 100_000 + b"\r\n\r\n"),
    "no Host": (400, b"POST /vp HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
    "no HTTP": (400, b"\x00\x01\x02\r\n\r\n"),
}


@pytest.mark.parametrize(("status", "sent"), NOT_HTTP.values(), ids=NOT_HTTP)
def test_what_is_no_request_gets_a_status(npo: Consumer, status: int, sent: bytes) -> None:
    with tls_connection(npo.url, npo.identity.context()) as connection:
        connection.sendall(sent)
        assert read_answer(connection).status == status


def test_what_is_no_http_stands_in_the_call_log_with_its_sender(npo: Consumer, admin: Admin) -> None:
    with tls_connection(npo.url, npo.identity.context()) as connection:
        connection.sendall(HEAD + b"Content-Length: 5, 5\r\n\r\nabcde")
        answer = read_answer(connection)
    told = re.search(rb"x-skltp-correlation-id: (\S+)", answer.head)
    assert told is not None
    (record,) = admin.records(told[1].decode(), "national")
    assert (record["outcome"], record["sender"]) == ("http-400", NPO)


def test_an_answer_that_is_never_read_costs_its_connection_only(npo: Consumer) -> None:
    with tls_connection(npo.url, npo.identity.context()) as connection:
        connection.sendall(http_post(get_diagnosis(KS)) * 200)
        assert document_ids(npo.call(get_diagnosis(KS)).content)


def test_a_request_hidden_in_another_is_never_answered(npo: Consumer) -> None:
    hidden = HEAD + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + http_post(get_diagnosis(KS))
    with tls_connection(npo.url, npo.identity.context()) as connection:
        connection.sendall(hidden)
        assert read_answer(connection).status == 400
        assert connection.recv(1) == b""


def test_chunks_that_grow_too_long_are_413_before_they_end(standalone: Standalone, npo: Consumer) -> None:
    chunk = b"%x\r\n%s\r\n" % (50_000, bytes(50_000))
    with tls_connection(standalone.url, npo.identity.context()) as connection:
        connection.sendall(chunked(chunk * (MAX_BYTES // 50_000 + 1)))
        answer = read_answer(connection)
    assert answer.status == 413
    assert str(MAX_BYTES).encode() in answer.body


def test_half_a_header_is_not_waited_for_long(standalone: Standalone, npo: Consumer) -> None:
    with tls_connection(standalone.url, npo.identity.context()) as connection:
        connection.sendall(HEAD)
        began = time.monotonic()
        assert read_answer(connection).status == 0
    assert time.monotonic() - began < HEADER_SECONDS + 5


def test_half_a_body_is_408(standalone: Standalone, npo: Consumer) -> None:
    with tls_connection(standalone.url, npo.identity.context()) as connection:
        connection.sendall(http_post(get_diagnosis(KS))[:-30])
        assert read_answer(connection).status == 408


def test_a_consumer_that_leaves_before_the_answer_does_no_harm(npo: Consumer, pair: Pair) -> None:
    for name in ("npo", "stranger"):
        with tls_connection(npo.url, Identity.of(pair, name).context()) as connection:
            connection.sendall(http_post(get_diagnosis(KS)))
            connection.shutdown(2)


@pytest.mark.parametrize("sent", [http_post(get_diagnosis(KS)), b"\x00" * 64], ids=["plain HTTP", "no TLS"])
def test_what_does_not_speak_tls_is_hung_up_on_at_once(npo: Consumer, sent: bytes) -> None:
    began = time.monotonic()
    with socket.create_connection(("localhost", urlsplit(npo.url).port), timeout=15) as connection:
        connection.sendall(sent)
        with suppress(ConnectionResetError):
            assert connection.recv(100) == b""
    assert time.monotonic() - began < 5
