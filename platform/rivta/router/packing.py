"""Unpacking bodies that came as gzip, within a bound."""

import zlib

# A gzip file may be several in a row (RFC 1952 section 2.2); nobody means a thousand, and each takes time.
_MOST_MEMBERS = 100


class NotUnpacked(ValueError):
    """The body cannot be unpacked; the text says why."""


class TooLong(NotUnpacked):
    """It would be longer than the bound."""


def unpack(body: bytes, max_bytes: int) -> bytes:
    """The content of a gzip body of at most `max_bytes`. Raises NotUnpacked."""
    parts: list[bytes] = []
    left, size = body, 0
    for _ in range(_MOST_MEMBERS):
        part, left = _first_member(left, max_bytes - size)
        parts.append(part)
        size += len(part)
        if not left:
            return parts[0] if len(parts) == 1 else b"".join(parts)
    raise NotUnpacked("the gzip body is in more parts than are read here")


def _first_member(body: bytes, max_bytes: int) -> tuple[bytes, bytes]:
    """The content of the first gzip member, and what follows it."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise NotUnpacked("the body is not gzip, as its Content-Encoding says") from error
    if len(unpacked) > max_bytes:
        raise TooLong("the body is longer than the limit when unpacked")
    if not unpacker.eof:
        raise NotUnpacked("the gzip body is cut off")
    return unpacked, unpacker.unused_data
