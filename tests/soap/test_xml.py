import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.soap.xml import MAX_ATTRIBUTES, MAX_DEPTH, XmlRefused, parse_xml


def test_a_document_is_read_with_comments_instructions_and_cdata_kept():
    root = parse_xml(b"<a><!--c--><?p i?><![CDATA[<x>]]></a>")
    assert root.text is None or root.text == ""
    assert [type(child).__name__ for child in root] == ["_Comment", "_ProcessingInstruction"]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        pytest.param(b"", "empty", id="nothing"),
        pytest.param(b"   ", "Start tag expected", id="blanks"),
        pytest.param(b"<a><b></a>", "tag mismatch", id="tags crossed"),
        pytest.param(b"<a", "Couldn't find end of Start Tag", id="cut off"),
        pytest.param(b"not xml", "Start tag expected", id="text"),
        pytest.param(b"<!DOCTYPE a><a/>", "DOCTYPE", id="doctype"),
        pytest.param(b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "DOCTYPE", id="internal entity"),
        pytest.param(b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "DOCTYPE", id="file entity"),
        pytest.param(b"<a>&nosuch;</a>", "nosuch", id="unknown entity"),
        pytest.param(b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1), "nested", id="deep"),
        pytest.param(b"<a>" * 5000 + b"</a>" * 5000, "depth", id="very deep"),
        pytest.param(
            b"<a " + b" ".join(b'b%d=""' % n for n in range(MAX_ATTRIBUTES + 1)) + b"/>", "attributes", id="attributes"
        ),
        pytest.param(b'<?xml version="1.0" encoding="no-such"?><a/>', "ncoding", id="unknown encoding"),
        pytest.param(b"<a>\xff</a>", "encoding", id="not utf-8"),
    ],
)
def test_what_is_not_a_message_is_refused_with_the_reason(document, reason):
    with pytest.raises(XmlRefused, match=f"(?i){reason}"):
        parse_xml(document)


def test_ten_thousand_times_a_thousand_entities_cost_nothing():
    levels = "".join(f'<!ENTITY e{n} "{"&e%d;" % (n - 1) * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE a [<!ENTITY e0 "lol">{levels}]><a b="&e9;">&e9;</a>'
    with pytest.raises(XmlRefused, match="DOCTYPE"):
        parse_xml(bomb.encode())


def test_the_line_of_a_mistake_is_told():
    with pytest.raises(XmlRefused) as refused:
        parse_xml(b"<a>\n<b>\n</c></a>")
    assert refused.value.line == 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_declared_encodings_are_read(encoding):
    document = f'<?xml version="1.0" encoding="{encoding}"?><a>åäö</a>'.encode(encoding)
    assert parse_xml(document).text == "åäö"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    try:
        parse_xml(data)
    except XmlRefused as refused:
        assert str(refused)


def test_what_is_said_of_broken_xml_in_private_quotes_nothing_of_it():
    with pytest.raises(XmlRefused) as refused:
        parse_xml(b"<a>\n<p191212121212></a>")
    assert "191212121212" in refused.value.reason
    assert refused.value.private_reason == "not well-formed XML at line 2"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_the_bounds_hold_in_every_encoding(encoding):
    for document in (
        "<a>" * (MAX_DEPTH + 1) + "</a>" * (MAX_DEPTH + 1),
        "<a>" * MAX_DEPTH + "<a/>" + "</a>" * MAX_DEPTH,
    ):
        with pytest.raises(XmlRefused, match="nested"):
            parse_xml(document.encode(encoding))
    parse_xml(("<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH).encode(encoding))
    many = "<a " + " ".join(f'b{n}=""' for n in range(MAX_ATTRIBUTES + 1)) + "/>"
    with pytest.raises(XmlRefused, match="attributes"):
        parse_xml(many.encode(encoding))


GIANT = b"x" * 12_000_000


def test_an_attachment_of_many_megabytes_is_read():
    assert len(parse_xml(b"<a>" + GIANT + b"</a>").text) == len(GIANT)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        pytest.param(b'<!DOCTYPE a [<!ENTITY x "y">]><a b="&x;">' + GIANT + b"</a>", "DOCTYPE", id="doctype"),
        pytest.param("<!DOCTYPE a><a>".encode("utf-16") + GIANT, "DOCTYPE", id="doctype in UTF-16"),
        pytest.param(b"<!--" + GIANT + b"--><a/>", "first 65536 bytes", id="no element in sight"),
        pytest.param(b"x" + GIANT, "Start tag expected", id="no xml"),
        pytest.param(b"<a>" + b"<b/>x" * 2_000_001 + b"</a>", "2000000 tags", id="more tags than memory has room for"),
        pytest.param(b"<a>" * 300 + GIANT + b"</a>" * 300, "depth", id="deep"),
    ],
)
def test_a_giant_is_held_to_the_same_rules(document, reason):
    with pytest.raises(XmlRefused, match=reason):
        parse_xml(document)
