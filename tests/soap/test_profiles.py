"""Translation between the profiles: only the address entry changes; and the incumbent's way, damage included."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from rivta.soap.head import read_head
from rivta.soap.identifiers import Profile
from rivta.soap.profiles import translate, translate_namespace
from rivta.soap.xml import parse_xml

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
WSA = "http://www.w3.org/2005/08/addressing"
REGISTRY = "urn:riv:itintegration:registry:1"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
ENVELOPE = f"""<?before the root?><e:Envelope xmlns:e="{SOAP}"
 xmlns:a="{WSA}" xmlns:r="{REGISTRY}"><e:Header>{{}}
<a:MessageID>m1</a:MessageID></e:Header><e:Body><x:Ask xmlns:x="urn:x" b="1"><!--c--><![CDATA[<&>]]><?i p?>åäö</x:Ask>
</e:Body></e:Envelope>"""
TO = '<a:To e:mustUnderstand="1">SE1</a:To>'
LOGICAL_ADDRESS = '<r:LogicalAddress e:mustUnderstand="1">SE1</r:LogicalAddress>'
OTHER = {Profile.RIVTABP20: Profile.RIVTABP21, Profile.RIVTABP21: Profile.RIVTABP20}


def translated(entry: str, profile: Profile) -> bytes:
    return translated_message(ENVELOPE.format(entry).encode(), profile)


def translated_message(message: bytes, profile: Profile) -> bytes:
    envelope = parse_xml(message)
    return translate(envelope, read_head(envelope), profile)


def canonical(message: bytes) -> str:
    """What a message says, whatever its prefixes: also where a type is named in a value."""
    tree = parse_xml(message).getroottree()
    return etree.canonicalize(tree, with_comments=True, rewrite_prefixes=True, qname_aware_attrs=[f"{{{XSI}}}type"])


def canonical_without_address(message: bytes) -> str:
    envelope = parse_xml(message)
    entry = read_head(envelope).address_element
    assert entry is not None
    other = etree.Element("address")
    other.tail = entry.tail
    entry.getparent().replace(entry, other)
    return canonical(etree.tostring(envelope.getroottree()))


@pytest.mark.parametrize(
    ("entry", "profile"), [(TO, Profile.RIVTABP21), (LOGICAL_ADDRESS, Profile.RIVTABP20)], ids=["20to21", "21to20"]
)
def test_the_address_entry_changes_and_keeps_its_text_and_attributes(entry, profile):
    head = read_head(parse_xml(translated(entry, profile)))
    assert (head.profile, head.logical_address) == (profile, "SE1")
    assert head.address_element.items() == [(f"{{{SOAP}}}mustUnderstand", "1")]


def test_everything_else_keeps_its_meaning():
    """Where the incumbent does damage."""
    text = translated(TO, Profile.RIVTABP21).decode()
    for kept in (
        "<?before the root?>",
        "<a:MessageID>m1</a:MessageID>",
        "<!--c-->",
        "<![CDATA[<&>]]>",
        "<?i p?>",
        "åäö",
    ):
        assert kept in text


# Headers and payloads of which something could be lost; %s is where the address stands.
ODD_PARTS = {
    "action": f'%s<w:Action xmlns:w="{WSA}" e:mustUnderstand="0">urn:x:Ask</w:Action>',
    "reference": f'%s<ReplyTo xmlns="{WSA}"><Address>{WSA}/anonymous</Address><To>x</To></ReplyTo>'.replace("<To>x</To>", ""),
    "type": f'<x:a xmlns:x="urn:a" xmlns:s="{XSI}" xmlns:t="urn:t" s:type="t:Kind">t:value</x:a>%s',
    "comment": "<!-- before -->%s<!-- behind -->",
    "instruction": "<?go on?>%s<?go off?>",
    "cdata": "%s<c><![CDATA[a < b]]>&amp;<![CDATA[]]></c>",
    "blanks": "\n\t %s \r\n",
    "entities": "%s<c d='&lt;&#10;&#9;&quot;'>&#13;&gt;</c>",
}  # fmt: skip
ODD_ENTRIES = {
    Profile.RIVTABP20: [
        f'<To xmlns="{WSA}">SE1</To>',
        "<a:To>SE1</a:To>",
        f'<w:To xmlns:w="{WSA}" xmlns:t="urn:t" xmlns:s="{XSI}" s:type="t:Kind" t:c="1">SE1</w:To>',
        f'<riv:To xmlns:riv="{WSA}" riv:IsReferenceParameter="true">SE1</riv:To>',
        "<To>SE1</To>",
        "<a:To><![CDATA[SE1]]></a:To>",
    ],
    Profile.RIVTABP21: [
        f'<LogicalAddress xmlns="{REGISTRY}">SE1</LogicalAddress>',
        "<r:LogicalAddress>SE1</r:LogicalAddress>",
        f'<wsa:LogicalAddress xmlns:wsa="{REGISTRY}" xmlns:wsax="urn:other" wsax:c="1">SE1</wsa:LogicalAddress>',
        "<LogicalAddress>SE1</LogicalAddress>",
        '<r:LogicalAddress id="x" xml:lang="sv">  SE1 </r:LogicalAddress>',
    ],
}


@st.composite
def messages(draw: st.DrawFn) -> tuple[Profile, bytes]:
    profile = draw(st.sampled_from(Profile))
    parts = draw(st.lists(st.sampled_from(sorted(ODD_PARTS)), unique=True, min_size=1))
    header = "%s"
    for part in parts:
        header = header.replace("%s", ODD_PARTS[part])
    header = header.replace("%s", draw(st.sampled_from(ODD_ENTRIES[profile])))
    payload = "".join(ODD_PARTS[part] for part in draw(st.lists(st.sampled_from(sorted(ODD_PARTS))))).replace("%s", "")
    return profile, (
        f'<e:Envelope xmlns:e="{SOAP}" xmlns:a="{WSA}" xmlns:r="{REGISTRY}"><e:Header>{header}</e:Header>'
        f'<e:Body><Ask xmlns="urn:x">{payload}åäö</Ask></e:Body></e:Envelope>'
    ).encode()


@given(messages())
def test_a_translated_message_says_the_same_but_for_its_address_entry(drawn):
    profile, message = drawn
    there = translated_message(message, OTHER[profile])
    before, after = read_head(parse_xml(message)), read_head(parse_xml(there))
    assert (after.profile, after.logical_address) == (OTHER[profile], before.logical_address)
    assert sorted(after.address_element.items()) == sorted(before.address_element.items())
    assert canonical_without_address(there) == canonical_without_address(message)
    payload = re.compile(rb"<e:Body>.*</e:Body>", re.S)
    assert payload.search(there).group() == payload.search(translated_message(there, profile)).group()


@given(messages())
def test_there_and_back_is_the_same_message(drawn):
    profile, message = drawn
    there = translated_message(message, OTHER[profile])
    back = translated_message(there, profile)
    standing = parse_xml(message)
    tag = read_head(parse_xml(back)).address_element.tag
    if read_head(standing).address_element.tag == tag:  # else it was in no namespace, and is put right on the way
        assert canonical(back) == canonical(message)


def test_prefixes_that_a_value_needs_stay_in_scope():
    entry = f'<w:To xmlns:w="{WSA}" xmlns:t="urn:t" xmlns:s="{XSI}" s:type="t:Kind">SE1</w:To>'
    renamed = read_head(parse_xml(translated(entry, Profile.RIVTABP21))).address_element
    assert renamed.get(f"{{{XSI}}}type") == "t:Kind"
    assert renamed.nsmap["t"] == "urn:t"


def test_a_prefix_that_is_taken_is_not_taken_away():
    entry = f'<r:LogicalAddress xmlns:wsa="urn:t" xmlns:wsax="urn:u" xmlns:s="{XSI}" s:type="wsa:Kind">SE1</r:LogicalAddress>'
    renamed = read_head(parse_xml(translated(entry, Profile.RIVTABP20))).address_element
    assert (renamed.nsmap["wsa"], renamed.nsmap["wsax"], renamed.tag) == ("urn:t", "urn:u", f"{{{WSA}}}To")


@pytest.mark.parametrize(
    ("entries", "profile"), [(LOGICAL_ADDRESS + TO, Profile.RIVTABP21), (TO + LOGICAL_ADDRESS, Profile.RIVTABP20)]
)
@pytest.mark.parametrize("how", [translate, translate_namespace])
def test_the_entry_that_did_not_count_does_not_become_a_second_address(entries, profile, how):
    other, _, counted = entries.partition(">SE1<")
    envelope = parse_xml(ENVELOPE.format(f"<b/>{other}>SE2<{counted}").encode())
    message = how(envelope, read_head(envelope), profile)
    assert b"SE2" not in message
    assert read_head(parse_xml(message)).logical_address == "SE1"


def test_text_behind_an_entry_that_goes_stays():
    message = ENVELOPE.format(f"one{LOGICAL_ADDRESS}two{TO}three")
    assert b"onetwo" in translated_message(message.encode(), Profile.RIVTABP21)
    assert b"<b/>onetwo" in translated_message(message.replace("one<", "<b/>one<").encode(), Profile.RIVTABP21)


class TestAsTheIncumbent:
    """`vp-behaviour`, section 5."""

    @staticmethod
    def moved(message: str, profile: Profile = Profile.RIVTABP21) -> str:
        envelope = parse_xml(message.encode())
        return translate_namespace(envelope, read_head(envelope), profile).decode()

    def test_every_element_of_the_namespace_moves_under_its_prefix(self):
        message = (
            f'<?gone?><e:Envelope xmlns:e="{SOAP}" xmlns:a="{WSA}"><e:Header><a:To a:x="1">SE1</a:To><a:Action>go'
            f"</a:Action></e:Header><e:Body><q:Ask xmlns:q=\"urn:x\" c='&lt;&quot;'><a:Address>x</a:Address><!--c-->"
            "<?gone?><![CDATA[<&]]>&gt;å&#13;</q:Ask></e:Body></e:Envelope>"
        )
        assert self.moved(message) == (
            f'<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="{SOAP}" xmlns:a="{REGISTRY}"><e:Header>'
            '<a:LogicalAddress a:x="1">SE1</a:LogicalAddress><a:Action>go</a:Action></e:Header><e:Body>'
            '<q:Ask xmlns:q="urn:x" c=\'&lt;"\'><a:Address>x</a:Address><!--c-->&lt;&amp;&gt;å&#13;</q:Ask></e:Body>'
            "</e:Envelope>"
        )

    def test_a_declaration_elsewhere_is_left_and_its_element_moves_all_the_same(self):
        message = (
            f'<e:Envelope xmlns:e="{SOAP}"><e:Header><To xmlns="{WSA}">SE1</To><w:Action xmlns:w="{WSA}">go</w:Action>'
            f'</e:Header><e:Body xmlns:b="{WSA}"><b:Ask b:c="1"/></e:Body></e:Envelope>'
        )
        assert self.moved(message) == (
            f'<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="{SOAP}"><e:Header>'
            f'<LogicalAddress xmlns="{REGISTRY}">SE1</LogicalAddress><w:Action xmlns:w="{REGISTRY}">go</w:Action>'
            f'</e:Header><e:Body xmlns:b="{WSA}"><b:Ask xmlns:b="{REGISTRY}" b:c="1"></b:Ask></e:Body></e:Envelope>'
        )

    def test_the_other_way_likewise(self):
        message = (
            f'<e:Envelope xmlns:e="{SOAP}" xmlns:r="{REGISTRY}"><e:Header><r:LogicalAddress>SE1</r:LogicalAddress>'
            '</e:Header><e:Body><q:Ask xmlns:q="urn:x" xml:lang="sv"/></e:Body></e:Envelope>'
        )
        assert f'xmlns:r="{WSA}"><e:Header><r:To>SE1</r:To>' in self.moved(message, Profile.RIVTABP20)

    @given(messages())
    def test_the_outcome_is_xml_with_the_same_address_and_payload_text(self, drawn):
        profile, message = drawn
        envelope = parse_xml(message)
        before = read_head(envelope)
        after = read_head(parse_xml(translate_namespace(envelope, before, OTHER[profile])))
        in_namespace = etree.QName(before.address_element).namespace is not None
        assert after.logical_address == read_head(parse_xml(message)).logical_address
        assert after.profile is (OTHER[profile] if in_namespace else profile)
        payload = read_head(parse_xml(message)).payload
        assert list(after.payload.itertext(etree.Element)) == list(payload.itertext(etree.Element))
