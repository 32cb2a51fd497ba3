"""Packages of XOP 1.0: turned into the message they stand for, or refused with the reason."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from rivta.soap import mtom
from rivta.soap.mtom import NO_ENVELOPE, envelope_only, is_package, read_package
from rivta.soap.xml import XmlRefused

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
XOP = "http://www.w3.org/2004/08/xop/include"
INCLUDE = f'<xop:Include xmlns:xop="{XOP}" href="cid:picture%40x"/>'
ROOT = f'<e:Envelope xmlns:e="{SOAP}"><e:Body><q:Ask xmlns:q="urn:x"><q:p>{{}}</q:p></q:Ask></e:Body></e:Envelope>'
ROOT_HEAD = 'Content-Type: application/xop+xml; charset=UTF-8; type="text/xml"\r\nContent-ID: <root@x>'
PICTURE_HEAD = "Content-Type: image/png\r\nContent-ID: <picture@x>\r\nContent-Transfer-Encoding: binary"
PICTURE = b"\x89PNG\r\n\x1a\n--other\r\n\x00\xff<a/>"
TYPE = 'multipart/related; type="application/xop+xml"; start="<root@x>"; start-info="text/xml"; boundary="b/1"'


def package(*parts: tuple[str, bytes], newline: bytes = b"\r\n", end: bytes = b"--b/1--\r\n") -> bytes:
    lines = [
        b"--b/1" + newline + head.replace("\r\n", newline.decode()).encode() + newline * 2 + body + newline
        for head, body in parts
    ]
    return b"".join(lines) + end  # fmt: skip


def root(content: str = INCLUDE) -> tuple[str, bytes]:
    return ROOT_HEAD, ROOT.format(content).encode()


def read(body: bytes, content_type: str = TYPE, max_bytes: int = 10_000_000) -> etree._Element:
    document = read_package(body, content_type, max_bytes=max_bytes)
    assert not document.is_plain  # so that nobody sends on the package in its place
    return document.root


def picture_in(envelope: etree._Element) -> bytes:
    element = envelope.find(".//{urn:x}p")
    assert len(element) == 0
    return base64.b64decode(element.text, validate=True)


GOOD = package(root(), (PICTURE_HEAD, PICTURE))


def test_an_include_becomes_its_part_as_base64():
    envelope = read(GOOD)
    assert picture_in(envelope) == PICTURE
    assert (envelope.tag, envelope[0][0].tag) == (f"{{{SOAP}}}Envelope", "{urn:x}Ask")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        pytest.param(GOOD.replace(b"\r\n", b"\n"), TYPE, id="bare line feeds"),
        pytest.param(b"for old readers\r\n" + GOOD + b"the end", TYPE, id="text around the parts"),
        pytest.param(package((PICTURE_HEAD, PICTURE), root()), TYPE, id="the root is not the first"),
        pytest.param(GOOD, TYPE.replace('start="<root@x>"; ', ""), id="no start: the first is the root"),
        pytest.param(GOOD, TYPE.replace("<root@x>", "root@x"), id="start without brackets"),
        pytest.param(GOOD, TYPE.replace('type="application/xop+xml"', "TYPE=Application/XOP+xml"), id="spelled otherwise"),
        pytest.param(GOOD.replace(b"binary", b"8bit"), TYPE, id="8bit"),
        pytest.param(package(root(), (PICTURE_HEAD.replace("binary", "BASE64"), base64.encodebytes(PICTURE))), TYPE, id="base64"),
        pytest.param(package(root(), (PICTURE_HEAD.replace("binary", "quoted-printable"), b"=89PNG=0D=0A=1A=0A--othe=\r\nr=0D=0A=00=FF<a/>")), TYPE, id="quoted-printable"),
        pytest.param(package(root(), (PICTURE_HEAD.replace("binary", "\r\n binary").replace(" <pic", "\r\n\t<pic"), PICTURE)), TYPE, id="folded heads"),
        pytest.param(package(root(), (PICTURE_HEAD.replace(": ", ":").upper().replace("PICTURE@X", "picture@x"), PICTURE)), TYPE, id="capitals"),
        pytest.param(GOOD.replace(b"--b/1\r\n", b"--b/1 \t\r\n"), TYPE, id="blanks behind the boundary"),
        pytest.param(GOOD.replace(b"--b/1", b"--uuid:a+b"), TYPE.replace("b/1", "uuid:a+b"), id="another boundary"),
    ],
)  # fmt: skip
def test_a_package_may_be_spelled_otherwise(body, content_type):
    if b"\r\n" in body:
        assert picture_in(read(body, content_type)) == PICTURE
    else:
        assert picture_in(read(body, content_type)) == PICTURE.replace(b"\r\n", b"\n")


def test_a_part_may_be_included_twice_or_be_empty():
    twice = package((ROOT_HEAD, ROOT.format(f"{INCLUDE}</q:p><q:p>{INCLUDE}").encode()), (PICTURE_HEAD, b""))
    assert [element.text or "" for element in read(twice).iter("{urn:x}p")] == ["", ""]


def test_a_package_of_a_thousand_parts_is_read():
    pictures = [(PICTURE_HEAD.replace("picture", f"p{n}"), b"x") for n in range(999)]
    includes = "".join(f"<q:c>{INCLUDE.replace('picture', f'p{n}')}</q:c>" for n in range(999))
    assert len(list(read(package(root(includes), *pictures)).iter("{urn:x}c"))) == 999


def test_a_message_without_attachments_may_come_alone():
    alone = ROOT.format("x").encode()
    assert read(package(root("x"))).findtext(".//{urn:x}p") == "x"
    assert read(alone, "application/xop+xml; type=text/xml").findtext(".//{urn:x}p") == "x"


def test_the_root_is_read_in_its_own_characters():
    utf_16 = ROOT.format("åäö").encode("utf-16")
    document = read_package(package((ROOT_HEAD.replace("UTF-8", "utf-16"), utf_16)), TYPE, max_bytes=10_000)
    assert (document.encoding, document.root.findtext(".//{urn:x}p")) == ("UTF-16", "åäö")


def test_comments_and_instructions_of_the_root_stay():
    assert len(list(read(package(root(f"<!--c--></q:p><?i?><q:p>{INCLUDE}"), (PICTURE_HEAD, PICTURE))).iter())) == 7


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        pytest.param(GOOD, TYPE.replace("boundary", "border"), "names no boundary", id="no boundary"),
        pytest.param(GOOD, TYPE.replace('"b/1"', '""'), "names no boundary", id="an empty boundary"),
        pytest.param(GOOD, TYPE.replace("b/1", "x" * 201), "names no boundary", id="a long boundary"),
        pytest.param(GOOD, TYPE + "; boundary=c", "two parameters", id="two boundaries"),
        pytest.param(GOOD, TYPE.replace("b/1", "another"), "nowhere in it", id="another boundary"),
        pytest.param(GOOD.removesuffix(b"--b/1--\r\n"), TYPE, "last boundary is missing", id="cut off"),
        pytest.param(GOOD[:-15], TYPE, "last boundary is missing", id="cut off in a part"),
        pytest.param(b"--b/1--\r\n" + GOOD, TYPE, "has no part", id="ended before it began"),
        pytest.param(GOOD.replace(PICTURE, b"\r\n--b/1x\r\n"), TYPE, "followed by other text", id="a longer boundary"),
        pytest.param(GOOD, TYPE.replace("root@x", "nobody@x"), "no part with the Content-ID", id="no such start"),
        pytest.param(package(root()), TYPE, "does not have: cid:picture", id="no such part"),
        pytest.param(package(root(INCLUDE.replace("picture", "root")), (PICTURE_HEAD, PICTURE)), TYPE, "does not have", id="the root in itself"),
        pytest.param(package(root(INCLUDE.replace("cid:", "http:")), (PICTURE_HEAD, PICTURE)), TYPE, "does not have: http:", id="another scheme"),
        pytest.param(package(root(INCLUDE.replace("cid:", "file:///etc/")), (PICTURE_HEAD, PICTURE)), TYPE, "does not have: file:", id="a file"),
        pytest.param(package(root(INCLUDE.replace("href", "src")), (PICTURE_HEAD, PICTURE)), TYPE, "does not have", id="no href"),
        pytest.param(package(root("x"), (PICTURE_HEAD, PICTURE)), TYPE, "does not include, which would be lost: picture@x", id="left out"),
        pytest.param(package(root(), (PICTURE_HEAD, PICTURE), ("Content-Type: a/b", b"x")), TYPE, "has no Content-ID", id="no id"),
        pytest.param(package(root(), (PICTURE_HEAD, PICTURE), (PICTURE_HEAD, b"x")), TYPE, "same Content-ID", id="one id twice"),
        pytest.param(package(root(), (PICTURE_HEAD.replace("picture", "root"), PICTURE)), TYPE, "same Content-ID", id="the root's id twice"),
        pytest.param(package(root(), (PICTURE_HEAD + "\r\nContent-ID: <other@x>", PICTURE)), TYPE, "same header twice", id="two ids"),
        pytest.param(package(root(), (PICTURE_HEAD + "\r\nnonsense", PICTURE)), TYPE, "no header", id="no colon"),
        pytest.param(package(root(), (PICTURE_HEAD + "\r\nX: " + "x" * 20_000, PICTURE)), TYPE, "no end of its head", id="an endless head"),
        pytest.param(GOOD.replace(b"binary", b"x-token"), TYPE, "unknown Content-Transfer-Encoding: x-token", id="unknown encoding"),
        pytest.param(GOOD.replace(b"binary", b"base64"), TYPE, "not the base64", id="not base64"),
        pytest.param(package(root(), (PICTURE_HEAD.replace("binary", "base64"), b"eHh4!eHh4")), TYPE, "not the base64", id="something in base64"),
        pytest.param(package(root(f"x{INCLUDE}"), (PICTURE_HEAD, PICTURE)), TYPE, "not all that its element holds", id="text before"),
        pytest.param(package(root(f"{INCLUDE}x"), (PICTURE_HEAD, PICTURE)), TYPE, "not all that its element holds", id="text behind"),
        pytest.param(package(root(f"{INCLUDE}<q:c/>"), (PICTURE_HEAD, PICTURE)), TYPE, "not all that its element holds", id="an element beside"),
        pytest.param(package(root("<q:c>"), (PICTURE_HEAD, PICTURE)), TYPE, "mismatch", id="malformed"),
        pytest.param(package((ROOT_HEAD, b"<!DOCTYPE e>" + root()[1])), TYPE, "DOCTYPE", id="doctype"),
        pytest.param(package(root(), (PICTURE_HEAD, PICTURE), *[(f"Content-ID: {n}", b"") for n in range(999)]), TYPE, "more than 1000 parts", id="many parts"),
        pytest.param(GOOD[:40] + b"\r\n\r\n<e:Envelope/>", TYPE, "missing", id="nothing but a start"),
    ],
)  # fmt: skip
def test_what_is_no_package_is_refused_with_the_reason(body, content_type, reason):
    with pytest.raises(XmlRefused, match=reason) as refused:
        read(body, content_type)
    assert "picture" not in refused.value.private_reason


def test_attachments_have_room_in_the_message_or_are_refused():
    big = package(root(), (PICTURE_HEAD, b"x" * 3000))
    assert len(picture_in(read(big, max_bytes=4000))) == 3000
    with pytest.raises(XmlRefused, match="longer than 3999 bytes"):
        read(big, max_bytes=3999)


def test_a_part_included_over_and_over_counts_each_time():
    many = package(root(f"{INCLUDE}</q:p><q:p>" * 100), (PICTURE_HEAD, b"x" * 30_000))
    with pytest.raises(XmlRefused, match="longer than 100000 bytes"):
        read(many, max_bytes=100_000)
    with pytest.raises(XmlRefused, match=f"longer than {4 * len(many)} bytes"):
        read(many)


@pytest.mark.parametrize("body", [b"", b"--b/1--", b"text", package(("Content-ID: <root@x>", b"<a/>"), ("x", b""))])
def test_where_there_is_no_envelope_the_incumbents_words_say_so(body):
    with pytest.raises(XmlRefused) as refused:
        read(body)
    assert refused.value.reason == NO_ENVELOPE


@given(st.data())
def test_any_bytes_are_a_message_or_refused(data):
    body = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(start, min(len(body), start + 60)))
        body[start:end] = data.draw(
            st.sampled_from([b"", b"\r\n", b"--b/1", b"--b/1--", b"\n\n", b"<", b"x", b"\0", bytes(body[:50])])
        )
    try:
        read(bytes(body))
    except XmlRefused as refused:
        assert str(refused)
    for content_type in (TYPE[: data.draw(st.integers(0, len(TYPE)))], data.draw(st.text(max_size=30))):
        try:
            read_package(bytes(body), content_type, max_bytes=100_000)
        except XmlRefused as refused:
            assert str(refused)  # fmt: skip


class TestAsTheIncumbent:
    @pytest.mark.parametrize(
        ("body", "envelope"),
        [
            (b"--x\r\n\r\n<s:Envelope a='1'>\n<s:Body/></s:Envelope>\r\n--x--", b"<s:Envelope a='1'>\n<s:Body/></s:Envelope>"),
            (b"<S:envelope></S:ENVELOPE>", b"<S:envelope></S:ENVELOPE>"),
            (b"<a:Envelope></a:Envelope> <b:Envelope></b:Envelope>x", b"<a:Envelope></a:Envelope> <b:Envelope></b:Envelope>"),
        ],
    )  # fmt: skip
    def test_the_envelope_is_cut_out(self, body, envelope):
        assert envelope_only(body) == envelope

    @pytest.mark.parametrize("body", [b"", b"<Envelope></Envelope>", b"<a:Envelope>", b"</a:Envelope><a:Envelope/>"])
    def test_or_there_is_none(self, body):
        with pytest.raises(XmlRefused) as refused:
            envelope_only(body)
        assert refused.value.reason == NO_ENVELOPE

    @pytest.mark.parametrize("content_type", [TYPE, "APPLICATION/xop+XML", 'x; a="application/xop+xml"'])
    def test_a_package_is_told_by_its_type(self, content_type):
        assert is_package(content_type)
        assert not is_package(content_type.lower().replace("xop", "soap"))


def test_no_line_of_a_package_takes_long():
    """Neither boundaries that are nearly one, nor starts of envelopes that are none."""
    hostile = [
        b"--b/1\r\n" + b"\r\n--b/" * 100_000,
        b"<a" * 200_000,
        b"--b/1\r\n" + b"x:y\r\n" * 100_000,
        b"\n" * 300_000,
    ]
    for body in hostile:
        for function in (lambda: read(body), lambda: envelope_only(body)):  # noqa: B023 - called here
            with pytest.raises(XmlRefused):
                function()
    assert mtom.MAX_PARTS == 1000
