import pytest

from rivta.soap.head import read_head
from rivta.soap.identifiers import Profile
from rivta.soap.profiles import translate
from rivta.soap.xml import parse_xml

ENVELOPE = """<?before the root?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"
 xmlns:a="http://www.w3.org/2005/08/addressing" xmlns:r="urn:riv:itintegration:registry:1"><e:Header>{}
<a:MessageID>m1</a:MessageID></e:Header><e:Body><x:Ask xmlns:x="urn:x" b="1"><!--c--><![CDATA[<&>]]><?i p?>åäö</x:Ask>
</e:Body></e:Envelope>"""
TO = '<a:To e:mustUnderstand="1">SE1</a:To>'
LOGICAL_ADDRESS = '<r:LogicalAddress e:mustUnderstand="1">SE1</r:LogicalAddress>'


def translated(entry: str, profile: Profile) -> bytes:
    envelope = parse_xml(ENVELOPE.format(entry).encode())
    return translate(envelope, read_head(envelope), profile)


@pytest.mark.parametrize(
    ("entry", "profile"), [(TO, Profile.RIVTABP21), (LOGICAL_ADDRESS, Profile.RIVTABP20)], ids=["20to21", "21to20"]
)
def test_the_address_entry_changes_and_keeps_its_text_and_attributes(entry, profile):
    head = read_head(parse_xml(translated(entry, profile)))
    assert (head.profile, head.logical_address) == (profile, "SE1")
    assert head.address_element.attrib == {"{http://schemas.xmlsoap.org/soap/envelope/}mustUnderstand": "1"}


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


def test_there_and_back_is_the_same_message():
    there = parse_xml(translated(TO, Profile.RIVTABP21))
    back = parse_xml(translate(there, read_head(there), Profile.RIVTABP20))
    head = read_head(back)
    assert (head.profile, head.logical_address, head.contract) == (Profile.RIVTABP20, "SE1", "urn:x")


@pytest.mark.parametrize(
    ("entries", "profile"), [(LOGICAL_ADDRESS + TO, Profile.RIVTABP21), (TO + LOGICAL_ADDRESS, Profile.RIVTABP20)]
)
def test_the_entry_that_did_not_count_does_not_become_a_second_address(entries, profile):
    other, _, counted = entries.partition(">SE1<")
    message = translated(f"{other}>SE2<{counted}", profile)
    assert b"SE2" not in message
    assert read_head(parse_xml(message)).logical_address == "SE1"
