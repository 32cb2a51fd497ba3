"""Requests as they come off the wire: which are refused before anyone reads them, and their bodies.

The parser below (llhttp in its strict mode) refuses what is not HTTP/1.1. Here stands what it lets through and another
server on the way may read as something else.
"""

from __future__ import annotations

import asyncio
import re

from aiohttp import HttpVersion10, HttpVersion11, web

from rivta.router.limits import Limits
from rivta.router.load import COUNTED_BYTES, Overload, Share
from rivta.router.messages import Peer, Request
from rivta.router.packing import NotUnpacked, TooLong, unpack

# Methods of other protocols that the parser knows: the preface of HTTP/2, ICE, and RTSP.
_NOT_HTTP = frozenset({"PRI", "SOURCE", "DESCRIBE", "ANNOUNCE", "SETUP", "PLAY", "PAUSE", "TEARDOWN"}) | frozenset(
    {"GET_PARAMETER", "SET_PARAMETER", "REDIRECT", "RECORD", "FLUSH"}
)
_HOST = re.compile(r"[\w.:\[\]%~!$&'()*+,;=-]*", re.ASCII)
_ABSOLUTE = re.compile(r"(?i)https?://([^/?#]*)")
# A packed body of this length holds at most 4 MB, which take a few milliseconds; longer ones are unpacked in a thread.
_THREAD_BYTES = 4096


class Refusal(Exception):
    """The request ends here, with an HTTP status, since no SOAP answer is possible."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def as_request(incoming: web.BaseRequest, peer: Peer, body: bytes) -> Request:
    """The request as the router reads it."""
    url = incoming.rel_url
    raw_query = url.raw_query_string
    return Request(
        method=incoming.method,
        path=url.path,
        query=dict(url.query) if raw_query else {},
        headers=tuple(incoming.headers.items()),
        body=body,
        peer=peer,
        raw_query=raw_query,
    )


def refuse_ambiguous(incoming: web.BaseRequest, limits: Limits) -> None:
    """Raises Refusal for a head that two readers may understand differently, or that is too long."""
    message = incoming._message
    version, target, lines = message.version, message.path, message.headers
    if version != HttpVersion11 and version != HttpVersion10:
        raise Refusal(505, "This is a server for HTTP/1.1.")
    if message.method in _NOT_HTTP:
        raise Refusal(400, "The method is none of HTTP.")
    if "#" in target:
        raise Refusal(400, "A request target has no fragment.")  # RFC 9112 section 3.2
    hosts = lines.getall("Host", ())
    if len(hosts) > 1 or (not hosts and version is HttpVersion11) or (hosts and _HOST.fullmatch(hosts[0]) is None):
        raise Refusal(400, "A request has one Host header, with a host's name.")  # RFC 9112 section 3.2
    if target[0] != "/":
        _refuse_other_host(target, hosts[0] if hosts else "")
    length, coding = lines.get("Content-Length"), lines.get("Transfer-Encoding")
    if coding is not None and (length is not None or coding.lower() != "chunked" or version is HttpVersion10):
        raise Refusal(400, "Transfer-Encoding is chunked or absent, without Content-Length, in HTTP/1.1.")
    if length is not None and not (length.isascii() and length.isdigit()):
        raise Refusal(400, "Content-Length is a number.")
    if sum([len(name) + len(value) + 4 for name, value in message.raw_headers]) > limits.max_header_bytes:
        raise Refusal(400, f"The headers are longer than the {limits.max_header_bytes} bytes this platform accepts.")


def _refuse_other_host(target: str, host: str) -> None:
    """A target with a host of its own names the host that the Host header does."""
    absolute = _ABSOLUTE.match(target)
    if absolute is not None and absolute[1].lower() != host.lower():
        raise Refusal(400, "The request target and the Host header name different hosts.")


async def read_body(incoming: web.BaseRequest, limits: Limits, share: Share) -> bytes:
    """The whole body, unpacked and counted in `share`; raises Refusal (413, 408, 415, 417, 503, 400)."""
    try:
        return await _read_body(incoming, limits, share)
    except Overload as error:
        raise Refusal(503, f"{str(error)[:1].upper()}{str(error)[1:]}.") from error


async def _read_body(incoming: web.BaseRequest, limits: Limits, share: Share) -> bytes:
    too_long = Refusal(413, f"The message is longer than the {limits.max_body_bytes} bytes this platform accepts.")
    if incoming.content_length is not None and incoming.content_length > limits.max_body_bytes:
        raise too_long
    content = incoming.content
    expected = incoming.headers.get("Expect")
    if expected is not None and incoming.version is HttpVersion11:
        _continue(incoming, expected)
    if content.is_eof():
        body = content.read_nowait()
        if len(body) > COUNTED_BYTES:
            share.take(len(body))
    else:
        body = await _read_slowly(incoming, limits, share, too_long)
    if len(body) > limits.max_body_bytes:
        raise too_long
    codings = incoming.headers.getall("Content-Encoding", None)
    if codings is None:
        return body
    unpacked = await _unpacked(body, ",".join(codings), limits.max_body_bytes, too_long)
    if len(unpacked) > COUNTED_BYTES:
        share.take(len(unpacked))
    return unpacked


def _continue(incoming: web.BaseRequest, expected: str) -> None:
    """Tells a sender that waits for it to send its body (RFC 9110 section 10.1.1)."""
    if expected.lower() != "100-continue":
        raise Refusal(417, "Of what Expect may hold, 100-continue is understood.")
    if not incoming.content.is_eof() and incoming.transport is not None:
        incoming.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def _read_slowly(incoming: web.BaseRequest, limits: Limits, share: Share, too_long: Refusal) -> bytes:
    """The body as it comes. Each portion of it has `header_seconds`, so that one that drips ends then, not when it
    would have been complete."""
    chunks: list[bytes] = []
    size = portion_from = 0
    loop = asyncio.get_running_loop()
    portion_began = loop.time()
    try:
        while not incoming.content.at_eof():
            async with asyncio.timeout_at(portion_began + limits.header_seconds):
                chunk = await incoming.content.readany()
            size += len(chunk)
            if size > limits.max_body_bytes:
                raise too_long
            share.take(len(chunk))
            if size - portion_from >= limits.portion_bytes:
                portion_from, portion_began = size, loop.time()
            chunks.append(chunk)
    except TimeoutError:
        text = "The body came too slowly; send it again on a better connection."
        raise Refusal(408, text) from None
    except web.RequestPayloadError as error:
        raise Refusal(400, "The body ended before its announced length, or its chunks are broken.") from error
    return b"".join(chunks)


async def _unpacked(body: bytes, codings: str, max_bytes: int, too_long: Refusal) -> bytes:
    named = [word for part in codings.split(",") if (word := part.strip().lower()) not in ("", "identity")]
    if not named:
        return body
    if named not in (["gzip"], ["x-gzip"]):
        raise Refusal(415, "This Content-Encoding is not read here: send gzip or none.")
    try:
        if len(body) <= _THREAD_BYTES:
            return unpack(body, max_bytes)
        return await asyncio.to_thread(unpack, body, max_bytes)
    except TooLong:
        raise too_long from None
    except NotUnpacked as error:
        raise Refusal(400, f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
