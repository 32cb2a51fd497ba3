"""In which characters a message is written, when its marks agree and when they do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.soap.charsets import charset_of, encoded_as, read_document
from rivta.soap.xml import XmlRefused, parse_xml

DECLARED = '<?xml version="1.0" encoding="{}"?><a>å</a>'
BARE = "<a>å</a>"


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("", None),
        ("text/xml", None),
        ("text/xml; charset=utf-8", "UTF-8"),
        ('text/xml;CHARSET = "iso-8859-1"; x=y', "ISO-8859-1"),
        ("text/xml; xcharset=utf-16", None),
    ],
)
def test_the_charset_of_a_content_type(content_type, charset):
    assert charset_of(content_type) == charset


@pytest.mark.parametrize(
    ("data", "charset", "encoding", "is_plain"),
    [
        pytest.param(BARE.encode(), None, "UTF-8", True, id="nothing said"),
        pytest.param(DECLARED.format("utf-8").encode(), "UTF-8", "UTF-8", True, id="both say utf-8"),
        pytest.param(BARE.encode("utf-8-sig"), "UTF-8", "UTF-8", True, id="byte order mark"),
        pytest.param(DECLARED.format("iso-8859-1").encode("latin-1"), None, "ISO-8859-1", False, id="declared"),
        pytest.param(BARE.encode("latin-1"), "ISO-8859-1", "ISO-8859-1", False, id="only the type says"),
        pytest.param(DECLARED.format("utf-16").encode("utf-16"), None, "UTF-16", False, id="utf-16"),
        pytest.param(BARE.encode("utf-16"), None, "UTF-16", False, id="utf-16 by its mark alone"),
        pytest.param(BARE.encode("utf-16-le"), "UTF-16", "UTF-16", False, id="utf-16 without a mark"),
        pytest.param(BARE.encode("utf-16-be"), "UTF-8", "UTF-16", False, id="utf-16 called utf-8"),
        pytest.param(DECLARED.format("utf-16").encode(), None, "UTF-8", False, id="declared utf-16, is utf-8"),
        pytest.param(DECLARED.format("utf-16").encode(), "UTF-16", "UTF-8", False, id="called utf-16, is utf-8"),
        pytest.param(DECLARED.format("utf-16").encode(), "UTF-8", "UTF-8", False, id="the type is right"),
        pytest.param(DECLARED.format("iso-8859-1").encode(), "UTF-8", "UTF-8", False, id="the type goes first"),
        pytest.param(DECLARED.format("utf-8").encode(), "ISO-8859-1", "UTF-8", True, id="a library's default"),
        pytest.param(DECLARED.format("no-such").encode(), "NO-SUCH", "UTF-8", False, id="unknown"),
    ],
)
def test_the_encoding_is_found_and_the_text_read(data, charset, encoding, is_plain):
    document = read_document(data, charset)
    assert (document.encoding, document.is_plain, document.root.text) == (encoding, is_plain, "å")


def test_a_declaration_hidden_from_a_quick_look_is_found():
    hidden = b"<?xml version='1.0'%sencoding='iso-8859-1'?><a>\xe5</a>" % (b" " * 500)
    document = read_document(hidden, None)
    assert (document.encoding, document.is_plain, document.root.text) == ("ISO-8859-1", False, "å")


@pytest.mark.parametrize("data", [b"", b"<a>\xff</a>", DECLARED.format("utf-16").encode()[:-3], b"\xff\xfe<"])
@pytest.mark.parametrize("charset", [None, "UTF-16", "UNICODE"])
def test_what_fits_no_encoding_is_refused(data, charset):
    with pytest.raises(XmlRefused):
        read_document(data, charset)


@given(st.binary(max_size=100), st.one_of(st.none(), st.text(max_size=20)))
def test_any_bytes_under_any_charset_are_read_or_refused(data, charset):
    try:
        read_document(data, charset)
    except XmlRefused as refused:
        assert str(refused)


@pytest.mark.parametrize("encoding", ["UTF-16", "ISO-8859-1", "WINDOWS-1252", "UTF-32LE"])
def test_an_answer_is_written_as_it_is_wanted_and_says_so(encoding):
    written = encoded_as("<?xml version='1.0' encoding='UTF-8'?><a>å\u0161</a>".encode(), encoding)
    assert written is not None
    assert f"encoding='{encoding}'" in written.decode(encoding)
    if encoding == "UTF-16":
        assert written[:2] in (b"\xff\xfe", b"\xfe\xff")
    assert read_document(written, encoding).root.text == "å\u0161"


@pytest.mark.parametrize(("body", "encoding"), [(b"text", "UTF-16"), (b"<a/>", "NO-SUCH"), (b"<a/>", "UNICODE")])
def test_what_cannot_be_written_so_is_left(body, encoding):
    assert encoded_as(body, encoding) is None


def test_parsing_by_an_encoding_overrules_the_document():
    assert parse_xml(DECLARED.format("utf-16").encode(), encoding="UTF-8").text == "å"
