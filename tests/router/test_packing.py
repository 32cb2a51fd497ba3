"""Unpacking gzip within a bound."""

import gzip

import pytest

from rivta.router.packing import NotUnpacked, TooLong, unpack


@pytest.mark.parametrize("content", [b"", b"a", b"a" * 1000], ids=["empty", "short", "as long as may be"])
def test_what_was_packed_is_unpacked(content):
    assert unpack(gzip.compress(content), 1000) == content


def test_several_members_are_one_body():
    """RFC 1952 section 2.2."""
    assert unpack(gzip.compress(b"a") + gzip.compress(b"") + gzip.compress(b"b"), 2) == b"ab"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(gzip.compress(b"a" * 1001), id="too long"),
        pytest.param(gzip.compress(b"a" * 999) + gzip.compress(b"bb"), id="too long together"),
        pytest.param(gzip.compress(b"a" * 50_000_000), id="bomb"),
        pytest.param(gzip.compress(bytes(500)) * 50, id="bomb of many members"),
    ],
)
def test_a_body_that_grows_too_long_is_not_unpacked_further(body):
    with pytest.raises(TooLong):
        unpack(body, 1000)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<a/>", id="plain"),
        pytest.param(gzip.compress(b"a")[:-1], id="cut off"),
        pytest.param(gzip.compress(b"a") + b"<a/>", id="followed by something else"),
        pytest.param(gzip.compress(b"a") + gzip.compress(b"a")[:5], id="second cut off"),
        pytest.param(gzip.compress(b"a")[:-8] + bytes(8), id="wrong checksum"),
        pytest.param(gzip.compress(b"") * 101, id="100 members and one"),
    ],
)
def test_what_is_not_gzip_from_end_to_end_is_refused(body):
    with pytest.raises(NotUnpacked):
        unpack(body, 1000)
