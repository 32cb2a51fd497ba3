"""What a message may be, through a platform without sockets: profiles, characters, attachments, and odd or wrong XML."""

import asyncio
import base64
import gzip
import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from rivta.catalogue.table import Table
from rivta.router.deviations import Compat
from rivta.router.messages import Answer, ProducerAnswer, Trouble
from rivta.router.pipeline import refuse_profile
from rivta.router.policy import Handling, Validation
from rivta.soap import namespaces
from rivta.soap.charsets import charset_of, read_document
from rivta.soap.faults import Fault, Refused
from rivta.soap.head import read_head
from rivta.soap.identifiers import Profile
from rivta.soap.xml import parse_xml
from tests.catalogue.tables import DIAGNOSIS
from tests.router.platforms import (
    PATIENT,
    Platform,
    Platforms,
    Sent,
    answering,
    failing,
    fault,
    header,
    invalid,
    question,
    reply,
    request,
)

UTF_8_DECLARATION = b"<?xml version='1.0' encoding='UTF-8'?>"
NO_CONTRACT = "urn:riv:test:GetNothingResponder:1"
FAULT = (
    f'<e:Envelope xmlns:e="{namespaces.SOAP_ENVELOPE}"><e:Body><e:Fault><faultcode>e:Server</faultcode>'
    "<faultstring>förlåt</faultstring></e:Fault></e:Body></e:Envelope>"
)


@pytest.fixture(scope="module")
def platforms(tmp_path_factory: pytest.TempPathFactory) -> Platforms:
    return Platforms(tmp_path_factory.mktemp("table"))


def typed(content_type: str) -> tuple[str, str]:
    return ("Content-Type", content_type)


def canonical_payload(message: bytes) -> str:
    payload = read_head(parse_xml(message)).payload
    assert payload is not None
    return etree.canonicalize(etree.ElementTree(payload), with_comments=True)


def in_characters(message: bytes, encoding: str, *, declared: str | None = "", mark: bytes = b"") -> bytes:
    """The message in another encoding; `declared` is what it says of itself, by default the truth, None is nothing."""
    text = message.decode().removeprefix(UTF_8_DECLARATION.decode()).lstrip()
    if declared is not None:
        text = f"<?xml version='1.0' encoding='{declared or encoding}'?>{text}"
    return mark + text.encode(encoding)


def with_note(message: bytes, note: str) -> bytes:
    return message.replace(b"<soapenv:Body>", f"<soapenv:Body><!--{note}-->".encode())


class TestProfiles:
    @pytest.mark.parametrize("address", ["SE1-UNIT", "SE1-OLD"], ids=["to21", "to20"])
    @pytest.mark.parametrize("profile", Profile, ids=["from20", "from21"])
    async def test_all_four_pairs_reach_their_producer(self, platforms, profile, address):
        platform = platforms()
        body = with_note(question(address, profile=profile), "åäö <?p?>")
        answer = await platform.carry(request(body))
        sent = platform.sent[0].body
        wanted = Profile.RIVTABP20 if address == "SE1-OLD" else Profile.RIVTABP21
        head = read_head(parse_xml(sent))
        assert (answer.status, answer.body) == (200, reply())
        assert (head.profile, head.logical_address, head.contract) == (wanted, address, DIAGNOSIS)
        assert canonical_payload(sent) == canonical_payload(body)
        assert (sent == body) == (wanted is profile)
        assert (platform.record.profile_in, platform.record.profile_out) == (profile.value, wanted.value)

    @pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1"])
    async def test_translation_and_other_characters_work_together(self, platforms, encoding):
        platform = platforms()
        body = in_characters(with_note(question("SE1-OLD"), "åäö"), encoding)
        answer = await platform.carry(request(body))
        sent = platform.sent[0].body
        assert sent.startswith(UTF_8_DECLARATION) and "<!--åäö-->".encode() in sent
        assert read_head(parse_xml(sent)).profile is Profile.RIVTABP20
        assert header(answer, "Content-Type") == f"text/xml; charset={encoding.upper()}"
        assert "Bedömning" in answer.body.decode(encoding)

    async def test_the_incumbents_damage_is_done_where_it_is_wanted(self, platforms):
        """`vp-behaviour` section 5."""
        platform = platforms(compat=Compat(whole_namespace_translated=True))
        body = question("SE1-OLD").replace(
            b"</soapenv:Header>",
            b"<to:Note xmlns:to='%s'>x</to:Note></soapenv:Header>" % namespaces.REGISTRY_1.encode(),
        )
        await platform.carry(request(body.replace(b"<soapenv:Body>", b"<soapenv:Body><?gone?>")))
        sent = platform.sent[0].body
        assert b"<?gone?>" not in sent
        assert parse_xml(sent).find(f".//{{{namespaces.WS_ADDRESSING}}}Note") is not None
        assert read_head(parse_xml(sent)).logical_address == "SE1-OLD"

    @pytest.fixture
    def with_strange_profile(self, platforms: Platforms, tmp_path: Path) -> Platforms:
        """A table of another making, in which the old producer's profile is none that we know."""
        shutil.copy(platforms.table.path, tmp_path / "table")
        with sqlite3.connect(tmp_path / "table") as connection:
            connection.execute("UPDATE producer_addresses SET profile = 'RIVTABP30' WHERE name = 'old'")
        connection.close()
        strange = object.__new__(Platforms)
        strange.table = Table.open(tmp_path / "table")
        return strange

    @pytest.mark.parametrize("profile", Profile)
    async def test_a_profile_that_nobody_can_translate_to_is_vp005(self, with_strange_profile, profile):
        platform = with_strange_profile()
        seen = fault(await platform.carry(request(invalid(question("SE1-OLD", profile=profile)))))
        assert (seen.code, seen.side) == ("VP005", "Client")
        version = profile.value.lower()
        assert seen.detail == f"No receiverId (logical address) with matching Riv-version found for {version}"
        assert (platform.sent, platform.record.profile_out) == ([], None)

    async def test_and_not_told_to_those_without_permission(self, with_strange_profile):
        answer = await with_strange_profile().carry(request(question("SE1-TWICE")))
        assert fault(answer).code == "VP006"
        assert (await with_strange_profile().carry(request())).status == 200

    def test_a_message_without_profile_would_be_vp001(self, platforms):
        """Not reachable by a call: without an address entry there is no address either, which is VP003."""
        route = platforms.table.route(platforms.table.routes_at("SE1-UNIT", platforms.table.contract_id(DIAGNOSIS))[0])
        with pytest.raises(Refused) as refused:
            refuse_profile(read_head(parse_xml(b"<a/>")), route)
        assert refused.value.fault is Fault.NO_PROFILE


CHARSETS = [
    # encoding of the bytes, what the document declares (None: no declaration), mark, Content-Type, answered in
    pytest.param("utf-8", "utf-8", b"", "text/xml; charset=utf-8", "UTF-8", id="all say utf-8"),
    pytest.param("utf-8", None, b"", "", "UTF-8", id="nothing said"),
    pytest.param("utf-8", None, b"\xef\xbb\xbf", "text/xml", "UTF-8", id="utf-8 with its mark"),
    pytest.param("utf-8", "US-ASCII", b"", "", None, id="declared ascii, is not"),
    pytest.param("utf-8", "utf-16", b"", "text/xml; charset=utf-8", "UTF-8", id="declared utf-16, the type is right"),
    pytest.param("utf-8", "utf-16", b"", "text/xml; charset=utf-16", "UTF-8", id="utf-16 says all, and is not"),
    pytest.param("utf-8", "utf-16", b"", "", "UTF-8", id="declared utf-16, is utf-8"),
    pytest.param("utf-8", "no-such", b"", "text/xml; charset=no-such", "UTF-8", id="unknown"),
    pytest.param("utf-8", "utf-8", b"", 'text/xml; charset="iso-8859-1"', "UTF-8", id="a library's default"),
    pytest.param("utf-16", "utf-16", b"", "", "UTF-16", id="utf-16"),
    pytest.param("utf-16-le", "utf-16", b"\xff\xfe", "text/xml; charset=utf-16", "UTF-16", id="utf-16le with its mark"),
    pytest.param("utf-16-be", "utf-16", b"\xfe\xff", "text/xml; charset=utf-8", "UTF-16", id="utf-16be called utf-8"),
    pytest.param("utf-16-le", None, b"", "text/xml; charset=utf-16", "UTF-16", id="utf-16le without mark"),
    pytest.param("utf-16-be", None, b"", "", "UTF-16", id="utf-16be without anything"),
    pytest.param("utf-16-le", "utf-16le", b"", "text/xml; charset=utf-16le", "UTF-16LE", id="utf-16le by name"),
    pytest.param("utf-32", "utf-32", b"", "", "UTF-32LE", id="utf-32"),
    pytest.param("iso-8859-1", "iso-8859-1", b"", "", "ISO-8859-1", id="latin-1 declared"),
    pytest.param("iso-8859-1", None, b"", "text/xml; charset=ISO-8859-1", "ISO-8859-1", id="latin-1 by the type"),
    pytest.param("iso-8859-1", "iso-8859-1", b"", "text/xml; charset=utf-8", "ISO-8859-1", id="latin-1 called utf-8"),
    pytest.param("cp1252", "windows-1252", b"", "", "WINDOWS-1252", id="windows-1252"),
    pytest.param("iso-8859-1", None, b"", "", None, id="latin-1 that nobody names"),
    pytest.param("utf-16", "utf-8", b"", "", "UTF-16", id="utf-16 declared utf-8: the mark wins"),
    pytest.param("cp037", "IBM037", b"", "", None, id="ebcdic"),
    pytest.param("cp037", None, b"", "text/xml; charset=IBM037", None, id="ebcdic by the type"),
]


class TestCharacters:
    @pytest.mark.parametrize(("encoding", "declared", "mark", "content_type", "answered"), CHARSETS)
    async def test_are_found_out_and_the_answer_comes_in_them(
        self, platforms, encoding, declared, mark, content_type, answered
    ):
        platform = platforms()
        body = in_characters(with_note(question(), "åäö"), encoding, declared=declared, mark=mark)
        answer = await platform.carry(request(body, typed(content_type)))
        if answered is None:
            assert (fault(answer).code, platform.sent) == ("VP015", [])
            return
        sent = platform.sent[0].body
        assert "<!--åäö-->" in sent.decode()
        assert re.match(rb"(\xef\xbb\xbf)?(<\?xml version='1.0' encoding='(UTF|utf)-8'\?>|<soap)", sent)
        assert platform.sent[0].values("Content-Type") == ["text/xml;charset=UTF-8"]
        assert header(answer, "Content-Type") == f"text/xml; charset={answered}"
        assert "Bedömning" in answer.body.decode(answered)
        assert canonical_payload(answer.body) == canonical_payload(reply())

    async def test_as_utf_7_are_text_that_stays_text(self, platforms):
        """In UTF-7 the comment would end in its middle, and an element stand behind it."""
        note = "+AC0ALQA+-+ADw-x/+AD4- +ADwAIQAtAC0- "
        platform = platforms()
        await platform.carry(request(in_characters(with_note(question(), note), "ascii", declared="UTF-7")))
        sent = platform.sent[0].body
        assert f"<!--{note}-->".encode() in sent
        assert sent.startswith(UTF_8_DECLARATION)

    @pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1"])
    async def test_of_the_consumer_are_kept_for_a_one_way_answer(self, platforms, encoding):
        platform = platforms(answering(b"", status=202, reason="Accepted", headers=(("X-Else", "1"),)))
        answer = await platform.carry(request(in_characters(question(), encoding)))
        assert (answer.status, answer.body, header(answer, "X-Else")) == (202, b"", "1")
        assert header(answer, "x-skltp-prt") is not None

    @pytest.mark.parametrize("status", [200, 500])
    async def test_of_the_consumer_are_used_for_the_producers_fault_too(self, platforms, status):
        platform = platforms(answering(FAULT.encode(), status=status))
        answer = await platform.carry(request(in_characters(question(), "utf-16")))
        assert answer.status == status
        assert "<faultstring>förlåt</faultstring>" in answer.body.decode("utf-16")

    @pytest.mark.parametrize("compat", [Compat(), Compat(declaration_kept=True)], ids=["ours", "incumbent"])
    async def test_of_the_consumer_are_used_for_faults_once_its_request_is_converted(self, platforms, compat):
        """`vp-behaviour` section 2."""
        body = in_characters(question(), "utf-16")
        answer = await platforms(failing(Trouble.RESET), compat=compat).carry(request(body))
        assert (answer.status, header(answer, "Content-Type")) == (500, "text/xml; charset=UTF-16")
        text = answer.body.decode("utf-16")
        assert "VP009 [NAME] Fel vid kontakt med tjänsteproducenten." in text
        assert ("encoding='UTF-16'" in text) == (not compat.declaration_kept)

    @pytest.mark.parametrize("address", ["SE1-LOCKED", "SE1-NOBODY", "SE1-TWICE"])
    async def test_of_a_fault_before_that_are_utf_8(self, platforms, address):
        answer = await platforms().carry(request(in_characters(question(address), "utf-16")))
        assert fault(answer).code in ("VP004", "VP006", "VP007")

    async def test_may_be_believed_by_the_content_type_first_as_the_incumbent_does(self, platforms):
        body, latin = with_note(question(), "å"), typed("text/xml; charset=ISO-8859-1")
        for compat, note, charset in (
            (Compat(), "å", "UTF-8"),
            (Compat(content_type_before_declaration=True), "Ã¥", "ISO-8859-1"),
        ):
            platform = platforms(compat=compat)
            answer = await platform.carry(request(body, latin))
            assert f"<!--{note}-->".encode() in platform.sent[0].body
            assert header(answer, "Content-Type") == f"text/xml; charset={charset}"  # fmt: skip

    async def test_may_be_left_as_they_are_declared_as_the_incumbent_does(self, platforms):
        platform = platforms(compat=Compat(declaration_kept=True))
        called_utf_16 = question().replace(b"'UTF-8'", b"'utf-16'")
        await platform.carry(request(called_utf_16))
        answer = await platform.carry(request(in_characters(question(), "utf-16")))
        assert platform.sent[0].body == called_utf_16
        assert answer.body.startswith(b"\xfe\xff")
        assert answer.body.decode("utf-16") == reply().decode()

    @pytest.mark.parametrize("declaration", [b"encoding='UTF-7'", b" " * 300 + b"encoding='cp037'"])
    async def test_that_a_reader_would_find_other_tags_in_are_never_declared_so(self, platforms, declaration):
        platform = platforms(compat=Compat.vp())
        body = question().replace(b"encoding='UTF-8'", declaration)
        await platform.carry(request(body, typed("text/xml; charset=x-unknown")))
        assert [sent.body[:38] for sent in platform.sent] == [UTF_8_DECLARATION]


class TestCharactersOfAnAnswer:
    @pytest.mark.parametrize(
        ("encoding", "declared", "content_type"),
        [
            ("iso-8859-1", "", "text/xml"),
            ("iso-8859-1", None, "text/xml; charset=ISO-8859-1"),
            ("utf-16", "", ""),
            ("utf-16-le", None, "text/xml; charset=utf-16"),
        ],
    )
    async def test_become_what_its_type_says(self, platforms, encoding, declared, content_type):
        """`vp-behaviour` section 12: the incumbent calls it UTF-8 and leaves it."""
        theirs = in_characters(reply(), encoding, declared=declared)
        produce = answering(theirs, headers=(typed(content_type),))
        platform = platforms(produce, validation=Validation(response=Handling.REJECT))
        answer = await platform.carry(request())
        assert header(answer, "Content-Type") == "text/xml; charset=UTF-8"
        assert answer.body.startswith(UTF_8_DECLARATION)
        assert canonical_payload(answer.body) == canonical_payload(reply())
        kept = await platforms(produce, compat=Compat(declaration_kept=True)).carry(request())
        assert (kept.body, header(kept, "Content-Type")) == (theirs, "text/xml; charset=UTF-8")

    @pytest.mark.parametrize("content_type", ["text/xml; charset=ISO-8859-1", "text/xml; charset=utf-16", "x"])
    @pytest.mark.parametrize("declared", [None, "utf-8", "utf-16"])
    async def test_that_are_utf_8_are_left_whatever_is_said_of_them(self, platforms, content_type, declared):
        theirs = in_characters(reply(), "utf-8", declared=declared)
        platform = platforms(
            answering(theirs, headers=(typed(content_type),)), validation=Validation(response=Handling.REJECT)
        )
        assert (await platform.carry(request())).body == theirs

    async def test_are_translated_from_any_to_any(self, platforms):
        theirs = in_characters(reply(), "iso-8859-1", declared=None)
        platform = platforms(answering(theirs, headers=(typed("text/xml; charset=iso-8859-1"),)))
        answer = await platform.carry(request(in_characters(question(), "utf-16")))
        assert "Bedömning" in answer.body.decode("utf-16")


INCLUDE = f'<xop:Include xmlns:xop="{namespaces.XOP_INCLUDE}" href="cid:a@x"/>'
XOP_TYPE = 'multipart/related; boundary=b; type="application/xop+xml"; start="<root@x>"; start-info="text/xml"'
ATTACHMENT = bytes(range(256)) * 10


def package(root: bytes, attachment: bytes = ATTACHMENT) -> bytes:
    return (
        b'--b\r\nContent-Type: application/xop+xml; charset=UTF-8; type="text/xml"\r\nContent-ID: <root@x>\r\n\r\n'
        + root
        + b"\r\n--b\r\nContent-ID: <a@x>\r\nContent-Type: application/pdf\r\n\r\n"
        + attachment
        + b"\r\n--b--\r\n"
    )


def with_attachment(message: bytes) -> bytes:
    """The message as one of a contract without schema, with a place for an attachment."""
    end = re.search(rb"</\w+:GetDiagnosis(Response)?></soapenv:Body>", message)
    assert end is not None
    element = f"<pdf>{INCLUDE}</pdf>".encode()
    return (message[: end.start()] + element + message[end.start() :]).replace(DIAGNOSIS.encode(), NO_CONTRACT.encode())


def attachment_in(message: bytes) -> bytes:
    return base64.b64decode(parse_xml(message).findtext(".//pdf") or "", validate=True)


class TestAttachments:
    """MTOM (XOP 1.0)."""

    @pytest.mark.parametrize("size", [10, 300_000, 3_000_000])
    async def test_of_a_request_reach_the_producer_inside_the_message(self, platforms, size):
        platform = platforms()
        attachment = random.Random(1).randbytes(size)
        answer = await platform.carry(request(package(with_attachment(question()), attachment), typed(XOP_TYPE)))
        assert answer.status == 200
        assert attachment_in(platform.sent[0].body) == attachment
        assert platform.sent[0].values("Content-Type") == ["text/xml;charset=UTF-8"]

    async def test_of_a_request_are_translated_with_it(self, platforms):
        platform = platforms()
        body = package(with_attachment(question(profile=Profile.RIVTABP20)))
        await platform.carry(request(body, typed(XOP_TYPE)))
        assert read_head(parse_xml(platform.sent[0].body)).profile is Profile.RIVTABP21
        assert attachment_in(platform.sent[0].body) == ATTACHMENT

    async def test_are_checked_by_the_schema_where_they_do_not_belong(self, platforms):
        body = package(with_attachment(question()).replace(NO_CONTRACT.encode(), DIAGNOSIS.encode()))
        seen = fault(await platforms().carry(request(body, typed(XOP_TYPE))))
        assert (seen.code, "breaks the schema" in seen.detail) == ("VP015", True)

    async def test_of_an_answer_reach_the_consumer_inside_the_message(self, platforms):
        produce = answering(package(with_attachment(reply())), headers=(typed(XOP_TYPE), ("MIME-Version", "1.0")))
        answer = await platforms(produce).carry(request(with_contract(question())))
        assert attachment_in(answer.body) == ATTACHMENT
        assert header(answer, "Content-Type") == "text/xml; charset=UTF-8"

    async def test_of_an_answer_in_a_fault_too(self, platforms):
        produce = answering(
            package(FAULT.encode()).replace(b"\r\n--b\r\nContent-ID: <a@x>", b"\r\n--b--"),
            status=500,
            headers=(typed(XOP_TYPE),),
        )
        answer = await platforms(produce).carry(request())
        assert (answer.status, parse_xml(answer.body).findtext(".//faultstring")) == (500, "förlåt")  # fmt: skip

    @pytest.mark.parametrize("handling", [Handling.REPORT, Handling.REJECT])
    async def test_of_an_answer_that_is_no_package_are_relayed_as_they_are_or_refused(self, platforms, handling):
        broken = package(reply())[:-20]
        platform = platforms(answering(broken, headers=(typed(XOP_TYPE),)), validation=Validation(response=handling))
        answer = await platform.carry(request())
        if handling is Handling.REPORT:
            assert answer.body == broken
            assert platform.record.violations[0].reason == "the answer is not readable XML"
        else:
            assert "the answer is not readable XML" in fault(answer).detail

    @pytest.mark.parametrize(
        ("body", "detail"),
        [
            pytest.param(b"no message", "Inkommande begäran är ej korrekt utformat och kan därför inte behandlas.", id="no envelope"),
            pytest.param(package(question()), "which would be lost: a@x", id="not included"),
            pytest.param(package(with_attachment(question()))[:-30], "the package is cut off", id="cut off"),
            pytest.param(package(b"<!DOCTYPE x>" + question()[39:]), "DOCTYPE", id="doctype"),
            pytest.param(package(with_attachment(question())).replace(b"cid:a@x", b"file:///etc/passwd"), "does not have", id="a file"),
        ],
    )  # fmt: skip
    async def test_that_would_be_lost_or_are_missing_are_refused(self, platforms, body, detail):
        platform = platforms()
        seen = fault(await platform.carry(request(body, typed(XOP_TYPE))))
        assert (seen.code, seen.side, platform.sent) == ("VP015", "Client", [])
        assert detail in seen.detail

    async def test_that_do_not_fit_are_refused(self, platforms):
        body = package(with_attachment(question()), b"x" * 90_000)
        seen = fault(await platforms(max_answer_bytes=100_000).carry(request(body, typed(XOP_TYPE))))
        assert (seen.code, "longer than 100000 bytes" in seen.detail) == ("VP015", True)

    async def test_sent_in_another_way_are_refused_with_the_way_to_send_them(self, platforms):
        swa = XOP_TYPE.replace("application/xop+xml", "text/xml").replace("multipart", "Multipart")
        platform = platforms()
        seen = fault(await platform.carry(request(package(question()), typed(swa))))
        assert (seen.code, "send attachments as MTOM" in seen.detail) == ("VP015", True)
        assert (
            await platform.carry(request(None, typed(swa)))
        ).status == 200  # the incumbent reads the body all the same

    async def test_may_be_dropped_as_the_incumbent_does(self, platforms):
        """`vp-behaviour` section 2: from the first start to the last end of an Envelope."""
        platform = platforms(compat=Compat(mtom_attachments_dropped=True))
        message = question().partition(b"?>\n")[2]
        await platform.carry(request(package(question()), typed(XOP_TYPE)))
        await platform.carry(request(message, typed("APPLICATION/XOP+XML")))
        assert [sent.body for sent in platform.sent] == [message, message]
        for nothing in (b"", message.replace(b"soapenv:", b"")):
            seen = fault(await platform.carry(request(nothing, typed(XOP_TYPE))))
            assert seen.detail == "Inkommande begäran är ej korrekt utformat och kan därför inte behandlas."
        produce = answering(package(reply()), headers=(typed(XOP_TYPE),))
        answer = await platforms(produce, compat=Compat(mtom_attachments_dropped=True)).carry(request())
        assert answer.body == package(reply())


def with_contract(message: bytes, namespace: str = NO_CONTRACT) -> bytes:
    return message.replace(DIAGNOSIS.encode(), namespace.encode())


def addressed(*entries: str) -> bytes:
    """A message with these header entries: `r` is the namespace of LogicalAddress, `w` that of To, `x` nobody's."""
    names = 'xmlns:r="urn:riv:itintegration:registry:1" xmlns:w="http://www.w3.org/2005/08/addressing" xmlns:x="urn:x"'
    begin, _, rest = question().partition(b"<soapenv:Header>")
    _, _, rest = rest.partition(b"</soapenv:Header>")
    return begin + f"<soapenv:Header {names}>{''.join(entries)}</soapenv:Header>".encode() + rest


WHOLE = Compat(whole_namespace_translated=True)


class TestASecondAddress:
    """SE1-UNIT is called by LogicalAddress, SE1-OLD by To; nobody may call SE1-LOCKED, whose producer is the same."""

    @pytest.mark.parametrize(
        ("entries", "compat"),
        [
            pytest.param(("<w:To>SE1-LOCKED</w:To>", "<x:LogicalAddress>SE1-UNIT</x:LogicalAddress>"), Compat(), id="the last is nobody's"),
            pytest.param(("<r:LogicalAddress>SE1-LOCKED</r:LogicalAddress>", "<x:To>SE1-OLD</x:To>"), Compat(), id="the last is nobody's, 2.0"),
            pytest.param(("<r:LogicalAddress>SE1-LOCKED</r:LogicalAddress>", "<w:To>SE1-OLD</w:To>"), Compat(), id="of both profiles"),
            pytest.param(("<x:A><r:LogicalAddress>SE1-LOCKED</r:LogicalAddress></x:A>", "<w:To>SE1-UNIT</w:To>"), Compat(), id="inside another"),
            pytest.param(("<w:LogicalAddress>SE1-LOCKED</w:LogicalAddress>", "<w:To>SE1-UNIT</w:To>"), WHOLE, id="by being moved"),
            pytest.param(("<r:To>SE1-LOCKED</r:To>", "<r:LogicalAddress>SE1-OLD</r:LogicalAddress>"), WHOLE, id="by being moved to 2.0"),
            pytest.param(("<w:A><w:LogicalAddress>SE1-LOCKED</w:LogicalAddress></w:A>", "<w:To>SE1-UNIT</w:To>"), WHOLE, id="by being moved, inside"),
            pytest.param(("<w:To><!--x-->SE1-UNIT</w:To>", "<x:LogicalAddress>SE1-UNIT</x:LogicalAddress>"), Compat(), id="with a comment"),
        ],
    )  # fmt: skip
    async def test_that_the_producer_may_find_is_refused(self, platforms, entries, compat):
        platform = platforms(compat=compat)
        seen = fault(await platform.carry(request(addressed(*entries))))
        assert (seen.code, seen.side, platform.sent) == ("VP015", "Client", [])
        assert "another address" in seen.detail

    @pytest.mark.parametrize(
        "entries",
        [
            ("<w:To>http://elsewhere</w:To>", "<r:LogicalAddress>SE1-UNIT</r:LogicalAddress>"),
            ("<w:To>http://elsewhere</w:To>", "<r:LogicalAddress>SE1-OLD</r:LogicalAddress>"),
            ("<r:LogicalAddress>SE1-OLD</r:LogicalAddress>", "<w:To>SE1-OLD</w:To>"),
            ("<r:LogicalAddress>SE1-LOCKED</r:LogicalAddress>", "<w:To>SE1-UNIT</w:To>"),
            ("<x:LogicalAddress>SE1-UNIT</x:LogicalAddress>",),
        ],
        ids=["WS-Addressing's own", "dropped by translation", "the same", "replaced by translation", "only by its local name"],
    )  # fmt: skip
    @pytest.mark.parametrize("compat", [Compat(), WHOLE], ids=["ours", "the whole namespace"])
    async def test_may_stand_beside_what_does_not_mislead(self, platforms, entries, compat):
        platform = platforms(compat=compat)
        assert (await platform.carry(request(addressed(*entries)))).status == 200
        assert b"SE1-LOCKED" not in platform.sent[0].body


class TestTheIncumbentsReading:
    async def test_only_of_the_head_forwards_the_rest_unread(self, platforms):
        platform = platforms(compat=Compat(head_only=True))
        for rest in (b"", b"<unclosed>", b"&nosuch;\xff\0", b"x" * 200_000):
            body = invalid(question()).replace(b"</soapenv:Envelope>", rest)
            answer = await platform.carry(request(body))
            assert (answer.status, platform.sent[-1].body) == (200, body)
        assert all(record.violations == () for record in platform.records)

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(b"<!DOCTYPE x>" + question()[39:], id="doctype"),
            pytest.param(question().replace(b"<soapenv:Body>", b"</x><soapenv:Body>"), id="malformed before the body"),
            pytest.param(question().replace(b"<soapenv:Body>", b"<x:Body xmlns:x='y'/><soapenv:Body>"), id="another's body"),
            pytest.param(question().replace(b"</soapenv:Header>", b"<LogicalAddress>x</LogicalAddress></soapenv:Header>"), id="two addresses"),
            pytest.param(question().replace(b"</soapenv:Body>", b"</soapenv:Body><soapenv:Body/>"), id="a second body"),
            pytest.param(question().replace(b"</soapenv:Body>", b"<x/></soapenv:Body>"), id="a second element"),
        ],
    )  # fmt: skip
    async def test_only_of_the_head_holds_it_to_the_same_rules(self, platforms, body):
        seen = fault(await platforms(compat=Compat(head_only=True)).carry(request(body)))
        assert seen.code == "VP015"

    async def test_only_of_the_head_finds_at_translation_what_is_wrong_behind_it(self, platforms):
        platform = platforms(compat=Compat(head_only=True))
        seen = fault(await platform.carry(request(question("SE1-OLD")[:-10])))
        assert (seen.code, seen.side, platform.sent) == ("VP012", "Server", [])
        seen = fault(await platform.carry(request(in_characters(question(), "iso-8859-1")[:-10])))
        assert (seen.code, platform.sent) == ("VP015", [])

    async def test_only_of_the_head_translates_and_converts_what_is_whole(self, platforms):
        platform = platforms(compat=Compat(head_only=True))
        answer = await platform.carry(request(in_characters(with_note(question("SE1-OLD"), "å"), "utf-16")))
        head = read_head(parse_xml(platform.sent[0].body))
        assert (head.profile, head.logical_address) == (Profile.RIVTABP20, "SE1-OLD")
        assert "<!--å-->".encode() in platform.sent[0].body
        assert header(answer, "Content-Type") == "text/xml; charset=UTF-16"

    async def test_does_not_check_schemas(self, platforms):
        platform = platforms(
            answering(invalid(reply())),
            compat=Compat(schemas_not_checked=True),
            validation=Validation(response=Handling.REJECT, reject_unknown_contract=True),
        )
        for body in (invalid(question()), with_contract(question())):
            answer = await platform.carry(request(body))
            assert (answer.status, answer.body) == (200, invalid(reply()))
        assert [record.violations for record in platform.records] == [(), ()]

    async def test_takes_soap_12_by_its_local_names(self, platforms):
        of_soap_12 = question().replace(namespaces.SOAP_ENVELOPE.encode(), namespaces.SOAP_12_ENVELOPE.encode())
        soap_12 = typed("application/soap+xml; charset=utf-8")
        seen = fault(await platforms().carry(request(of_soap_12, soap_12)))
        assert (seen.code, "application/soap+xml" in seen.detail, "text/xml" in seen.detail) == ("VP015", True, True)
        platform = platforms(compat=Compat(soap_12=True))
        assert (await platform.carry(request(of_soap_12, soap_12))).status == 200
        assert platform.sent[0].body == of_soap_12

    async def test_looks_long_addresses_up(self, platforms):
        platform = platforms(compat=Compat(long_addresses=True))
        address = "SE1-" + "A" * 600
        assert fault(await platform.carry(request(question(address)))).code == "VP004"
        assert platform.record.route_trace.startswith(address[:400])


def replaced(old: bytes, new: bytes) -> bytes:
    changed = question().replace(old, new, 1)
    assert changed != question()
    return changed


BODY = re.compile(rb"<soapenv:Body>.*</soapenv:Body>", re.S)
MANY = 10_000


class TestOddMessages:
    """What real and hostile clients send beside the straight way."""

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(b"\n \r\n" + question().partition(b"?>")[2], id="blanks before the root"),
            pytest.param(question() + b"\r\n\t \n", id="blanks behind"),
            pytest.param(question() + b"<!-- made by -->", id="a comment behind"),
            pytest.param(replaced(b"<?xml version='1.0' encoding='UTF-8'?>", b"<?xml version='1.1' encoding='UTF-8'?>"), id="xml 1.1"),
            pytest.param(replaced(b"encoding='UTF-8'", b"encoding='UTF-8' standalone='yes'"), id="standalone"),
            pytest.param(replaced(b"<soapenv:Header>", b"<soapenv:Header><x xmlns='urn:x'>&lt;&gt;&amp;&quot;&apos;&#229;&#xE5;</x>"), id="the five entities"),
            pytest.param(replaced(b"<soapenv:Header>", b"<soapenv:Header><i:include xmlns:i='http://www.w3.org/2001/XInclude' href='file:///etc/passwd' xml:base='http://127.0.0.1:9/'/>"), id="an include"),
            pytest.param(replaced(b"<soapenv:Header>", b"<soapenv:Header><x xmlns='urn:x' a='" + b"y" * 3_000_000 + b"'/>"), id="a long value"),
            pytest.param(replaced(b"<soapenv:Header>", b"<soapenv:Header><x xmlns='urn:x' " + b" ".join(b"xmlns:p%d='u:%d'" % (n, n) for n in range(900)) + b"/>"), id="many namespaces"),
            pytest.param(replaced(b"<soapenv:Envelope ", b"<soapenv:Envelope " + b" ".join(b"xmlns:p%d='u:%d'" % (n, n) for n in range(900)) + b" "), id="many namespaces on the root"),
            pytest.param(replaced(b"<soapenv:Header>", b"<soapenv:Header>" + b"<?p i?>" * MANY), id="many instructions"),
            pytest.param(replaced(b"<soapenv:Header>", b"<soapenv:Header>" + b"<!---->" * MANY), id="many comments"),
            pytest.param(replaced(b"<soapenv:Header>", b"<soapenv:Header>" + b"<x xmlns='u'>" * 150 + b"</x>" * 150), id="deep"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("address", ["SE1-UNIT", "SE1-OLD"], ids=["untouched", "translated"])
    async def test_are_carried(self, platforms, body, address):
        platform = platforms()
        body = body.replace(b">SE1-UNIT<", f">{address}<".encode())
        answer = await platform.carry(request(body))
        assert answer.status == 200
        assert (platform.sent[0].body == body) == (address == "SE1-UNIT")
        assert read_head(parse_xml(platform.sent[0].body)).logical_address == address

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            pytest.param(b"", "ocument is empty", id="empty"),
            pytest.param(b" \r\n", "Start tag expected", id="blank"),
            pytest.param(b"\0" * 100, "", id="zeros"),
            pytest.param(b"\xef\xbb\xbf", "", id="only a mark"),
            pytest.param(b"\xff\xfe", "", id="only a mark of utf-16"),
            pytest.param(b"\n" + question(), "before the XML declaration", id="a line before the declaration"),
            pytest.param(question() + b"x", "Extra content", id="text behind"),
            pytest.param(question() + question().partition(b"?>")[2], "Extra content", id="twice"),
            pytest.param(question() + b"\0\0", "", id="padding behind"),
            pytest.param(gzip.compress(question()), "", id="gzip that nobody named"),
            pytest.param(b"<html><body/></html>", None, id="html"),
            pytest.param(b'{"a": 1}', "Start tag expected", id="json"),
            pytest.param(replaced(b"<soapenv:Header>", b"<soapenv:Header>&nbsp;"), "nbsp", id="an entity of html"),
            pytest.param(replaced(b"<soapenv:Header>", b"<soapenv:Header>&#8;"), "xmlChar value 8", id="a forbidden character"),
            pytest.param(replaced(b"version='1.0'", b"version='1.1'").replace(b"<soapenv:Header>", b"<soapenv:Header>&#8;"), "xmlChar value 8", id="in xml 1.1 too"),
            pytest.param(replaced(b"<soapenv:Header>", b"<soapenv:Header>\x08"), "", id="the character itself"),
            pytest.param(replaced(b"<soapenv:Header>", b"<soapenv:Header>\xc0\xbc"), "encoding", id="overlong utf-8"),
            pytest.param(replaced(b"<soapenv:Header>", b"<soapenv:Header>" + b"<x xmlns='u'>" * 300 + b"</x>" * 300), "(?i)depth", id="too deep"),
            pytest.param(replaced(b"<soapenv:Header>", b"<soapenv:Header>" + b"<x xmlns='u'>" * 210 + b"</x>" * 210), "nested more than 200", id="deep"),
            pytest.param(replaced(b"<soapenv:Header>", b"<soapenv:Header><x xmlns='u' " + b" ".join(b"a%d=''" % n for n in range(300)) + b"/>"), "more than 256 attributes", id="attributes"),
            pytest.param(replaced(b"<soapenv:Envelope ", b"<soapenv:Envelope " + b" ".join(b"xmlns:p%d='u:%d'" % (n, n) for n in range(MANY)) + b" "), "more than 1000 namespaces", id="namespaces"),
            pytest.param(replaced(b"<soapenv:Envelope", b"<!DOCTYPE soapenv:Envelope SYSTEM 'http://127.0.0.1:9/x'><soapenv:Envelope"), "DOCTYPE", id="doctype"),
            pytest.param(replaced(b"</soapenv:Header>", b"</soapenv:header>"), "mismatch", id="case"),
        ],
    )  # fmt: skip
    async def test_that_are_none_are_refused(self, platforms, body, reason):
        platform = platforms()
        seen = fault(await platform.carry(request(body)))
        assert platform.sent == []
        if reason is None:
            assert seen.code == "VP003"
        else:
            assert seen.code == "VP015"
            assert re.search(reason, seen.detail)
        assert (await platform.carry(request())).status == 200

    async def test_a_get_without_wsdl_is_one_that_is_empty(self, platforms):
        seen = fault(await platforms().carry(request(b"", method="GET")))
        assert (seen.code, seen.side) == ("VP015", "Client")


class TestTheAddress:
    """`vp-behaviour` section 2."""

    @pytest.mark.parametrize(
        ("written", "code", "detail"),
        [
            (" SE1-UNIT", "VP004", "receiverId:  SE1-UNIT. Whitespace detected in incoming request!"),
            ("SE1-UNIT ", "VP004", "receiverId: SE1-UNIT . Whitespace detected in incoming request!"),
            ("SE1 UNIT", "VP004", "receiverId: SE1 UNIT. Whitespace detected in incoming request!"),
            ("\n\t\tSE1-UNIT\n", "VP004", "receiverId: \n\t\tSE1-UNIT\n"),
            (" \n ", "VP003", "No receiverId (logical address) found in message header. "),
            ("", "VP003", "No receiverId (logical address) found in message header. "),
            ("<![CDATA[SE1-UNIT]]>", None, ""),
            ("&#83;E1-UNIT", None, ""),
            ("<!---->SE1-UNIT", "VP015", "holds more than text"),
            ("<x>SE1-UNIT</x>", "VP015", "holds more than text"),
        ],
    )
    @pytest.mark.parametrize("profile", Profile)
    async def test_is_the_text_of_its_entry(self, platforms, written, code, detail, profile):
        body = question(profile=profile).replace(b">SE1-UNIT<", f">{written}<".encode())
        answer = await platforms().carry(request(body))
        if code is None:
            assert answer.status == 200
        else:
            assert (fault(answer).code, fault(answer).detail.endswith(detail)) == (code, True)

    @pytest.mark.parametrize(
        "body",
        [b"<soapenv:Body/>", b"<soapenv:Body> <!-- --> </soapenv:Body>", b"", b"<soapenv:Body><Get/></soapenv:Body>"],
    )
    async def test_without_a_contract_leads_nowhere(self, platforms, body):
        seen = fault(await platforms().carry(request(BODY.sub(body, question()))))
        assert (seen.code, "serviceNamespace: null, receiverId: SE1-UNIT" in seen.detail) == ("VP004", True)


class TestOneWay:
    @pytest.mark.parametrize(("status", "reason"), [(202, "Accepted"), (204, "No Content")])
    async def test_answers_are_relayed_with_the_producers_headers(self, platforms, status, reason):
        headers = (("Location", "/x"), ("SOAPAction", "a"), ("ETag", "a"), typed("application/octet-stream"))
        answer = await platforms(answering(b"", status=status, reason=reason, headers=headers)).carry(request())
        assert (answer.status, answer.body) == (status, b"")
        assert [header(answer, name) for name in ("Location", "ETag", "SOAPAction")] == ["/x", "a", None]
        assert header(answer, "x-skltp-correlation-id") and header(answer, "x-skltp-prt")

    async def test_a_200_without_body_is_no_such_answer(self, platforms):
        assert fault(await platforms(answering(b"")).carry(request())).code == "VP009"


# Real messages, and what they are sent as.
SEEDS: tuple[tuple[bytes, str], ...] = (
    (question(), "text/xml; charset=utf-8"),
    (question("SE1-OLD"), "text/xml"),
    (question(profile=Profile.RIVTABP20), "text/xml; charset=iso-8859-1"),
    (in_characters(question("SE1-OLD"), "utf-16"), "text/xml; charset=utf-16"),
    (in_characters(question(), "iso-8859-1"), ""),
    (question().replace(b"'UTF-8'", b"'utf-16'"), "text/xml"),
    (package(with_attachment(question())), XOP_TYPE),
    (invalid(question()), "application/soap+xml"),
)
CODES = {fault.value.code for fault in Fault}
PIECES = (
    b"<", b">", b"</", b"/>", b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?", b"?>", b"&", b"&#0;", b"&lt;", b"\0", b"\xff\xfe",
    b"\xef\xbb\xbf", b"\xc0\xaf", b"<!DOCTYPE a>", b"xmlns:x=''", b"xmlns=''", b" xmlns:soapenv='urn:x'", b"<soapenv:Body>", b"</soapenv:Body>",
    b"<To xmlns='http://www.w3.org/2005/08/addressing'>SE1-LOCKED</To>", b"<LogicalAddress>SE1-LOCKED</LogicalAddress>", b"'utf-7'", b"'IBM037'",
    b"\r\n--b\r\n", b"\r\n--b--", b"\r\n\r\n", INCLUDE.encode(), b"cid:root@x", b"Content-Transfer-Encoding: base64\r\n",
)  # fmt: skip
ENCODINGS = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "iso-8859-1", "cp037", "utf-7", "cp1252")
TYPES = (
    "",
    "text/xml; charset=utf-7",
    "text/xml; charset=IBM037",
    XOP_TYPE,
    "application/xop+xml",
    "text/xml; charset=utf-16",
)
COMPATS = (
    Compat(),
    Compat(),
    Compat.vp(),
    Compat(head_only=True),
    Compat(whole_namespace_translated=True),
    Compat(soap_12=True),
)


def mutated(random: random.Random) -> tuple[bytes, str, bytes]:
    """A real message with some things done to it, its Content-Type, and what is done to the producer's answer."""
    message, content_type = random.choice(SEEDS)
    ways: list[Callable[[bytes], bytes]] = [
        lambda m: flipped(m, random),
        lambda m: m[: random.randrange(len(m) + 1)],
        lambda m: m[random.randrange(len(m) + 1) :],
        lambda m: doubled(m, random),
        lambda m: swapped_tags(m, random),
        lambda m: with_piece(m, random),
        lambda m: recoded(m, random),
        *[lambda m: mistyped(m, random), lambda m: doubled_element(m, random), lambda m: truly_recoded(m, random)] * 3,
    ]
    for _ in range(random.choice((1, 1, 2, 3))):
        message = random.choice(ways)(message)
    answer = reply()
    for _ in range(random.choice((0, 0, 1, 2))):
        answer = random.choice(ways)(answer)
    return message, random.choice((content_type, content_type, *TYPES)), answer


def mistyped(message: bytes, random: random.Random) -> bytes:
    """Another letter somewhere, which most often leaves it XML."""
    letters = [m.start() for m in re.finditer(rb"[A-Za-z0-9]", message)]
    if not letters:
        return message
    at = random.choice(letters)
    return message[:at] + bytes([random.choice(b"aZ09-.:_ ")]) + message[at + 1 :]


def doubled_element(message: bytes, random: random.Random) -> bytes:
    elements = list(re.finditer(rb"<([\w:]+)[^<>]*>[^<>]*</\1>|<[\w:]+[^<>]*/>", message))
    if not elements:
        return message
    chosen, place = random.choice(elements), random.choice(list(re.finditer(rb">", message))).end()
    return message[:place] + chosen.group() * random.choice((1, 1, 300)) + message[place:]


def truly_recoded(message: bytes, random: random.Random) -> bytes:
    encoding = random.choice(("utf-16", "utf-16-le", "iso-8859-1", "utf-8-sig", "cp1252"))
    text = message.decode("utf-8", "replace")
    declared = {"utf-16-le": "utf-16", "utf-8-sig": "utf-8"}.get(encoding, encoding)
    return text.replace("encoding='UTF-8'", f"encoding='{declared}'").encode(encoding, "replace")


def flipped(message: bytes, random: random.Random) -> bytes:
    changed = bytearray(message)
    for _ in range(random.randint(1, 5) if changed else 0):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def doubled(message: bytes, random: random.Random) -> bytes:
    start = random.randrange(len(message) + 1)
    end = min(len(message), start + random.choice((10, 100, 1000)))
    at = random.randrange(len(message) + 1)
    return message[:at] + message[start:end] * random.choice((1, 2, 50)) + message[at:]


def swapped_tags(message: bytes, random: random.Random) -> bytes:
    tags = list(re.finditer(rb"<[^<>]*>", message))
    if len(tags) < 2:
        return message
    first, second = sorted(random.sample(tags, 2), key=re.Match.start)
    return (
        message[: first.start()]
        + second.group()
        + message[first.end() : second.start()]
        + first.group()
        + message[second.end() :]
    )


def with_piece(message: bytes, random: random.Random) -> bytes:
    at = random.randrange(len(message) + 1)
    return message[:at] + random.choice(PIECES) + message[at + random.choice((0, 0, 1, 8)) :]


def recoded(message: bytes, random: random.Random) -> bytes:
    text = message.decode("utf-8", "replace")
    encoding, declared = random.choice(ENCODINGS), random.choice(ENCODINGS)
    return text.replace("encoding='UTF-8'", f"encoding='{declared}'").encode(encoding, "replace")


async def carried(platforms: Platforms, seed: int) -> tuple[Platform, Answer]:
    chance = random.Random(seed)
    body, content_type, answered = mutated(chance)
    theirs = ProducerAnswer(chance.choice((200, 200, 500)), "OK", (typed(chance.choice(TYPES)),), answered)

    compat, handling = chance.choice(COMPATS), chance.choice(list(Handling))

    def produce(sent: Sent) -> ProducerAnswer:
        if not compat.head_only:
            parse_xml(sent.body)  # an error here would be one of the platform's: it would have sent what it refuses
        return theirs

    platform = platforms(produce, compat=compat, validation=Validation(request=Handling.REPORT, response=handling))
    return platform, await platform.carry(request(body, typed(content_type)))


def check_whole(platform: Platform, answer: Answer) -> None:
    record = platform.record
    if record.outcome == "routed":
        assert len(platform.sent) == 1
        assert answer.status in (200, 500)
        return
    assert record.outcome in CODES
    assert answer.status == 500
    root = read_document(answer.body, charset_of(header(answer, "Content-Type") or "")).root
    assert (root.findtext(".//faultstring") or "").startswith(f"{record.outcome} [NAME] ")


@settings(max_examples=300)
@given(st.integers(0, 2**64))
def test_a_real_message_with_anything_done_to_it_is_routed_or_refused_in_the_closed_list(platforms, seed):
    """Never the fault for the unexpected, never an exception; and the next good call works."""
    platform, answer = asyncio.run(carried(platforms, seed))
    check_whole(platform, answer)
    assert asyncio.run(platforms().carry(request())).status == 200


def test_what_is_said_in_private_of_a_mutated_message_holds_no_personal_number(platforms):
    for seed in range(100):
        platform, _ = asyncio.run(carried(platforms, seed))
        assert PATIENT not in platform.record.detail
