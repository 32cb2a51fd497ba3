import time
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from rivta.soap.xml import (
    MAX_ATTRIBUTES,
    MAX_DEPTH,
    MAX_NAMESPACES,
    XmlRefused,
    elements_of,
    fits_schema,
    parse_start,
    parse_xml,
    schema_errors,
)


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
        pytest.param(b"\r\n <?xml version='1.0'?><a/>", "stand before the XML declaration", id="blanks first"),
        pytest.param(b"<a/>x", "Extra content", id="text behind"),
        pytest.param(b"<a/>\0\0", "(Extra|content|char)", id="padding behind"),
        pytest.param(b"<a/><a/>", "Extra content", id="two documents"),
        pytest.param(b"<a>&#0;</a>", "xmlChar value 0", id="a reference to nul"),
        pytest.param(b"<a>&#x1;</a>", "xmlChar value 1", id="a reference to a control"),
        pytest.param(b"<?xml version='1.1'?><a>&#1;</a>", "xmlChar value 1", id="in xml 1.1 too"),
        pytest.param(b"<a>&#xD800;</a>", "xmlChar value", id="a reference to half a pair"),
        pytest.param(b"<a>&#x110000;</a>", "out of bounds", id="a reference beyond all"),
        pytest.param(b"<p:a/>", "prefix", id="no such prefix"),
        pytest.param(b"<p:a xmlns:p=''/>", "namespace", id="a prefix for no namespace"),
        pytest.param(b"<a xmlns:x='u' xmlns:y='u' x:b='' y:b=''/>", "redefined", id="an attribute twice"),
        pytest.param(b"<?xml version='2.0'?><a/>", "version", id="another xml"),
    ],
)
def test_what_is_not_a_message_is_refused_with_the_reason(document, reason):
    with pytest.raises(XmlRefused, match=f"(?i){reason}"):
        parse_xml(document)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"<?xml version='1.1'?><a/>", id="xml 1.1"),
        pytest.param(b"<?xml version='1.0' standalone='no'?><a/>", id="not standalone"),
        pytest.param(b"\n <a/> \n<!--c--><?p i?>", id="blanks, comments and instructions around"),
        pytest.param(b"<a>&lt;&gt;&amp;&apos;&quot;&#229;&#xe5;</a>", id="the five entities and numbers"),
        pytest.param(b"<a xml:base='file:///etc/' xml:space='preserve'><i xmlns='http://www.w3.org/2001/XInclude' href='passwd'/></a>", id="includes are inert"),
        pytest.param(b"<?xml-stylesheet href='file:///etc/passwd' type='text/xsl'?><a/>", id="stylesheets are inert"),
        pytest.param(b"<a xsi:schemaLocation='u http://127.0.0.1:9/x' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'/>", id="schema locations are inert"),
        pytest.param(b"<a b='" + b"x" * 5_000_000 + b"'/>", id="a long value"),
        pytest.param(b"<a " + b" ".join(b"xmlns:p%d='u%d'" % (n, n) for n in range(MAX_NAMESPACES)) + b">" + b"<p999:b p999:c=''/>" * 10_000 + b"</a>", id="many namespaces"),
        pytest.param(b"<a>" + b"<?p?>" * 200_000 + b"</a>", id="many instructions"),
    ],
)  # fmt: skip
def test_what_is_odd_but_xml_is_read_and_loads_nothing(document):
    assert parse_xml(document).tag == "a"


class TestTheStart:
    """Read up to an element, as the incumbent reads."""

    @staticmethod
    def start(document: bytes, **encoding: str) -> object:
        return parse_start(document, lambda element: element.tag == "b", **encoding).tag

    @pytest.mark.parametrize(
        "rest",
        [
            b"",
            b"</c>",
            b"<!DOCTYPE a>",
            b"&nosuch;",
            b"\0",
            b"x" * 100_000 + b"</c>",
            b"<d>" * 300,
            b"\xff",
            b"<b",
            b"</b></a>x",
        ],
    )
    def test_does_not_look_behind_it(self, rest):
        root = parse_start(b"<?p i?><a><c/><b>" + rest, lambda element: element.tag == "b")
        assert etree.tostring(root) == b"<a><c/><b/></a>"

    @pytest.mark.parametrize(
        ("document", "reason"),
        [
            pytest.param(b"", "no element", id="nothing"),
            pytest.param(b"<a><c>", "end of data", id="cut off before it"),
            pytest.param(b"<a><c></d><b/></a>", "mismatch", id="malformed before it"),
            pytest.param(b"<!DOCTYPE a><a><b/></a>", "DOCTYPE", id="doctype"),
            pytest.param(b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;<b/></a>', "DOCTYPE", id="entity"),
            pytest.param(b"<a>" * (MAX_DEPTH + 1) + b"<b/>", "nested", id="deep"),
            pytest.param(b"<a>" * 5000 + b"<b/>", "(?i)depth", id="very deep"),
            pytest.param(b"<a " + b" ".join(b'b%d=""' % n for n in range(MAX_ATTRIBUTES + 1)) + b"><b/>", "attributes", id="attributes"),
            pytest.param("<!DOCTYPE a><a><b/></a>".encode("utf-16"), "DOCTYPE", id="doctype in utf-16"),
            pytest.param(b"<a><c></c>x", "end of data", id="no such element"),
        ],
    )  # fmt: skip
    def test_is_held_to_the_same_rules(self, document, reason):
        with pytest.raises(XmlRefused, match=reason):
            self.start(document)

    @pytest.mark.parametrize("padding", [0, 16_370, 16_380, 40_000])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
    def test_is_found_wherever_it_stands_in_any_characters(self, encoding, padding):
        document = f"<a><!--{'å' * padding}--><c>å</c><b>å</x".encode(encoding)
        read = parse_start(document, lambda element: element.tag == "b", encoding=encoding.upper())
        assert read.findtext("c") == "å"

    def test_without_such_an_element_is_all_of_it(self):
        assert self.start(b"<a><c/></a>") == "a"

    def test_of_a_giant_takes_no_more_than_its_start(self):
        assert self.start(b"<a><b>" + GIANT) == "a"

    def test_of_an_unknown_encoding_is_refused(self):
        with pytest.raises(XmlRefused):
            self.start(b"<a><b>", encoding="NO-SUCH")


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


def declarations(count: int) -> str:
    return " ".join(f'xmlns:p{n}="u{n}"' for n in range(count))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "document",
    [
        pytest.param(f"<a {declarations(MAX_NAMESPACES + 1)}/>", id="on one element"),
        pytest.param(
            "".join(f"<a {declarations(200)}>" for _ in range(6)) + "</a>" * 6, id="on elements in each other"
        ),
    ],
)
def test_namespaces_in_force_are_bounded(document, encoding):
    with pytest.raises(XmlRefused, match="more than 1000 namespaces"):
        parse_xml(document.encode(encoding))
    with pytest.raises(XmlRefused, match="more than 1000 namespaces"):
        parse_start(document.encode(encoding), lambda element: element.tag == "b")


def test_namespaces_that_are_not_in_force_together_are_not_counted():
    assert len(parse_xml(b"<a>" + f"<b {declarations(100)}/>".encode() * 1000 + b"</a>")) == 1000


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


SCHEMA = etree.XMLSchema(
    etree.fromstring(
        b"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="u" elementFormDefault="qualified">
        <xs:element name="a"><xs:complexType><xs:sequence>
        <xs:element name="day" type="xs:date" minOccurs="0" maxOccurs="unbounded"/>
        <xs:element name="last" minOccurs="0"><xs:complexType><xs:sequence><xs:element name="must"/></xs:sequence>
        </xs:complexType></xs:element>
        </xs:sequence></xs:complexType></xs:element></xs:schema>"""
    )
)
PIECES = (
    b"<day>2026-11-24</day>", b"<day>x</day>", b"<day a='>'>2026-11-24</day>", b"<day><b/></day>", b"<last/>", b"<last><must/></last>",
    b"<!-- > --><day>2026-11-24</day>", b"text", b"<?pi >?>", b"<![CDATA[>]]>", b"<other xmlns='v'/>", b"\n",
)  # fmt: skip


class TestBySchema:
    def at(self, root, path):
        """What libxml2 means by `/*/*[2]`, counted from the element that was asked of."""
        _, _, below = path[1:].partition("/")
        return root.xpath(below)[0] if below else root

    @given(st.lists(st.sampled_from(PIECES), max_size=12), st.sampled_from([0, 0, 4000]))
    def test_says_the_same_as_libxml2_says_of_the_tree(self, pieces, before):
        root = parse_xml(b"<w><a xmlns='u'>" + b"<day>2026-11-24</day>" * before + b"".join(pieces) + b"</a>tail</w>")[
            0
        ]
        SCHEMA.validate(root)
        said = [(self.at(root, entry.path), entry.type_name, entry.message) for entry in cast(Any, SCHEMA.error_log)]
        assert fits_schema(root, SCHEMA) is (not said)
        found = [(error.element, error.type_name, error.text) for error in schema_errors(root, SCHEMA, most=20)]
        assert found == said[:20]

    def test_takes_a_time_that_grows_with_the_length(self):
        root = parse_xml(b"<a xmlns='u'>" + b"<day>x</day>" * 100_000 + b"</a>")
        began = time.process_time()
        assert not fits_schema(root, SCHEMA)
        errors = schema_errors(root, SCHEMA, most=20)
        assert time.process_time() - began < 5  # of the tree: minutes
        assert [error.element for error in errors] == list(root)[:20]


def streamed(data: bytes, *names: str) -> list[str]:
    pieces = (data[at : at + 5] for at in range(0, len(data), 5))
    return ["".join(map(str, element.itertext())) for element in elements_of(pieces, set(names))]


def test_elements_are_given_as_they_end_while_a_document_comes_in_pieces() -> None:
    data = b"<e><x><a>1</a><b>2</b></x><a>3<b>4</b></a><c>5</c></e>"
    assert streamed(data, "a", "b") == ["1", "2", "4", "3"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "DOCTYPE"),
        (b"<a>" * (MAX_DEPTH + 1), "nested more than"),
        (b"<a " + b" ".join(b"n%d='1'" % number for number in range(MAX_ATTRIBUTES + 1)) + b"/>", "attributes"),
        (b"<e>" + b"<a><b/>" + b"<b/>" * 100_000 + b"</a></e>", "others in it"),
        (b"<a><b></a>", "tag mismatch"),
        (b"<a>", "."),
        (b"", "."),
    ],
)
def test_a_document_in_pieces_has_the_same_bounds(data: bytes, words: str) -> None:
    with pytest.raises(XmlRefused, match=words):
        list(elements_of([data], {"a"}))
