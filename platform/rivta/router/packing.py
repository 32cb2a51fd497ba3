"""Unpacking bodies that came as gzip, within a bound."""

import zlib


class NotUnpacked(ValueError):
    """The body cannot be unpacked; the text says why."""


class TooLong(NotUnpacked):
    """It would be longer than the bound."""


def unpack(body: bytes, max_bytes: int) -> bytes:
    """The content of a gzip body of at most `max_bytes`. Raises NotUnpacked."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise NotUnpacked("the body is not gzip, as its Content-Encoding says") from error
    if len(unpacked) > max_bytes:
        raise TooLong(f"the body is longer than {max_bytes} bytes when unpacked")
    if not unpacker.eof or unpacker.unused_data:
        raise NotUnpacked("the gzip body is cut off or followed by other bytes")
    return unpacked
