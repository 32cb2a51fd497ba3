"""In which characters a message is written, when its marks agree and when they do not."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.soap.charsets import charset_of, encoded_as, is_foreign, read_answer, read_document, written
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
        pytest.param(BARE.encode("utf-16-le"), "UTF-16LE", "UTF-16LE", False, id="utf-16le as the type says"),
        pytest.param(BARE.encode("utf-16-be"), "UTF-16LE", "UTF-16", False, id="utf-16be called utf-16le"),
        pytest.param(
            codecs.BOM_UTF16_BE + BARE.encode("utf-16-be"), None, "UTF-16", False, id="utf-16be with its mark"
        ),
        pytest.param(BARE.encode("utf-32"), None, "UTF-32LE", False, id="utf-32 with its mark"),
        pytest.param(
            codecs.BOM_UTF32_BE + BARE.encode("utf-32-be"), None, "UTF-32BE", False, id="utf-32be with its mark"
        ),
        pytest.param(BARE.encode("utf-32-be"), None, "UTF-32BE", False, id="utf-32be without"),
        pytest.param(DECLARED.format("windows-1252").encode("cp1252"), None, "WINDOWS-1252", False, id="windows-1252"),
        pytest.param(DECLARED.format("IBM850").encode("cp850"), "IBM850", "IBM850", False, id="dos"),
        pytest.param(
            DECLARED.format("UTF-16").encode("latin-1"), "ISO-8859-1", "ISO-8859-1", False, id="the type alone is right"
        ),
        pytest.param(
            DECLARED.format("iso-8859-1").encode("latin-1"),
            "UTF-8",
            "ISO-8859-1",
            False,
            id="the document alone is right",
        ),
    ],
)
def test_the_encoding_is_found_and_the_text_read(data, charset, encoding, is_plain):
    document = read_document(data, charset)
    assert (document.encoding, document.is_plain, document.root.text) == (encoding, is_plain, "å")


def test_a_declaration_hidden_from_a_quick_look_is_found():
    hidden = b"<?xml version='1.0'%sencoding='iso-8859-1'?><a>\xe5</a>" % (b" " * 500)
    document = read_document(hidden, None)
    assert (document.encoding, document.is_plain, document.root.text) == ("ISO-8859-1", False, "å")


@pytest.mark.parametrize("name", ["UTF-7", "IBM037", "CP1047", "ISO-2022-JP", "HZ", "UCS-2", "UNICODE", "BASE64"])
@pytest.mark.parametrize("where", ["declared", "in the Content-Type"])
def test_what_writes_markup_in_other_bytes_than_ascii_is_not_read_in_its_own_way(name, where):
    """`+ADw-b/+AD4-` is a tag in UTF-7, and text in everything else that might look at the message."""
    text = DECLARED.format(name) if where == "declared" else BARE
    document = read_document(text.replace("å", "+ADw-b/+AD4-").encode(), None if where == "declared" else name)
    assert (document.encoding, len(document.root)) == ("UTF-8", 0)


@pytest.mark.parametrize("text", [DECLARED.format("IBM037"), BARE])
def test_ebcdic_is_refused(text):
    for charset in (None, "IBM037", "UTF-8"):
        with pytest.raises(XmlRefused):
            read_document(text.encode("cp037"), charset)


def test_an_encoding_that_only_the_parser_finds_is_refused_too():
    hidden = b"<?xml version='1.0'%sencoding='UTF-7'?><a/>" % (b" " * 500)
    with pytest.raises(XmlRefused, match="UTF-7 is not read; send UTF-8"):
        read_document(hidden, None)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"<a>\xc0\xbc</a>", id="overlong"),
        pytest.param(b"<a>\xe0\x80\xaf</a>", id="overlong, three bytes"),
        pytest.param(b"<a>\xed\xa0\x80</a>", id="surrogate"),
        pytest.param(b"<a>\xf8\x88\x80\x80\x80</a>", id="five bytes"),
        pytest.param(b"<a>\xe5</a>", id="latin-1"),
        pytest.param(b"<a>\0</a>", id="nul"),
        pytest.param(b"<a>\xef\xbf\xbe</a>", id="no character"),
        pytest.param("<a>\ud800x</a>".encode("utf-16", "surrogatepass"), id="half a pair in utf-16"),
        pytest.param("<a/>".encode("utf-16")[:-1], id="half a unit of utf-16"),
    ],
)
def test_bytes_that_are_no_characters_are_refused(data):
    with pytest.raises(XmlRefused):
        read_document(data, None)


def test_the_content_type_may_go_first_as_with_the_incumbent():
    data = DECLARED.format("utf-8").encode()
    document = read_document(data, "ISO-8859-1", content_type_first=True)
    assert (document.encoding, document.is_plain, document.root.text) == ("ISO-8859-1", False, "Ã¥")
    assert read_document(data, "UTF-16", content_type_first=True).encoding == "UTF-8"  # the bytes are not UTF-16


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


@pytest.mark.parametrize(
    ("data", "charset", "encoding", "foreign"),
    [
        pytest.param(BARE.encode(), None, "UTF-8", False, id="nothing said"),
        pytest.param(DECLARED.format("utf-8").encode("utf-8-sig"), "UTF-8", "UTF-8", False, id="utf-8"),
        pytest.param(BARE.encode(), "ISO-8859-1", "UTF-8", False, id="a server's default"),
        pytest.param(DECLARED.format("utf-16").encode(), None, "UTF-8", False, id="declared utf-16"),
        pytest.param(BARE.encode("latin-1"), "ISO-8859-1", "ISO-8859-1", True, id="only the type says"),
        pytest.param(DECLARED.format("iso-8859-1").encode("latin-1"), None, "ISO-8859-1", True, id="declared"),
        pytest.param(
            DECLARED.format("iso-8859-1").encode("latin-1"),
            "UTF-8",
            "ISO-8859-1",
            True,
            id="declared, the type is wrong",
        ),
        pytest.param(BARE.encode("utf-16"), None, "UTF-16", True, id="utf-16"),
        pytest.param(BARE.encode("utf-16-le"), "UTF-8", "UTF-16", True, id="utf-16 called utf-8"),
    ],
)
def test_an_answer_that_is_utf_8_is_that_whatever_it_claims(data, charset, encoding, foreign):
    document = read_answer(data, charset)
    assert (document.encoding, document.root.text, is_foreign(data, charset)) == (encoding, "å", foreign)


@pytest.mark.parametrize(
    ("encoding", "begins", "holds"),
    [("UTF-16", b"\xfe\xff\0<\0?", "å\u0161"), ("ISO-8859-1", b"<?xml", "å?"), ("WINDOWS-1252", b"<?xml", "å\u0161")],
)
def test_an_answer_may_keep_its_declaration_as_with_the_incumbent(encoding, begins, holds):
    answer = "<?xml version='1.0' encoding='UTF-8'?><a>å\u0161</a>"
    text = encoded_as(answer.encode("utf-8-sig"), encoding, keep_declaration=True)
    assert text.startswith(begins)
    assert text.decode(encoding) == answer.replace("å\u0161", holds)


def test_a_document_is_written_whole():
    data = b"<?xml version='1.0' encoding='UTF-8'?>\n<!--c--><?p i?><a/><!--d-->"
    assert written(read_document(data, None).root, "UTF-8") == data


def test_parsing_by_an_encoding_overrules_the_document():
    assert parse_xml(DECLARED.format("utf-16").encode(), encoding="UTF-8").text == "å"
