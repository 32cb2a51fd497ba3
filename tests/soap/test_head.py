import pytest

from rivta.soap.head import parse_head, read_head, refuse_ambiguous
from rivta.soap.identifiers import Profile
from rivta.soap.xml import XmlRefused, parse_xml

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
LOGICAL_ADDRESS = '<LogicalAddress xmlns="urn:riv:itintegration:registry:1">{}</LogicalAddress>'
TO = '<To xmlns="http://www.w3.org/2005/08/addressing">{}</To>'


def head_of(header: str = "", body: str = '<Ask xmlns="urn:riv:x:AskResponder:1"/>'):
    return read_head(
        parse_xml(
            f'<e:Envelope xmlns:e="{SOAP}"><e:Header>{header}</e:Header><e:Body>{body}</e:Body></e:Envelope>'.encode()
        )
    )


@pytest.mark.parametrize(
    ("header", "profile", "address"),
    [
        pytest.param(LOGICAL_ADDRESS.format("SE1"), Profile.RIVTABP21, "SE1", id="2.1"),
        pytest.param(TO.format("SE1"), Profile.RIVTABP20, "SE1", id="2.0"),
        pytest.param(TO.format("SE1") + LOGICAL_ADDRESS.format("SE2"), Profile.RIVTABP21, "SE2", id="the last wins"),
        pytest.param(LOGICAL_ADDRESS.format("SE2") + TO.format("SE1"), Profile.RIVTABP20, "SE1", id="either way"),
        pytest.param(TO.format("SE1") + LOGICAL_ADDRESS.format(""), Profile.RIVTABP21, None, id="also when empty"),
        pytest.param(LOGICAL_ADDRESS.format(" SE1 "), Profile.RIVTABP21, " SE1 ", id="blanks are kept"),
        pytest.param(LOGICAL_ADDRESS.format(" \n "), Profile.RIVTABP21, None, id="only blanks"),
        pytest.param(LOGICAL_ADDRESS.format("<!--x-->SE1"), Profile.RIVTABP21, "SE1", id="a comment is no address"),
        pytest.param(LOGICAL_ADDRESS.format("<![CDATA[SE1]]>"), Profile.RIVTABP21, "SE1", id="cdata"),
        pytest.param("<LogicalAddress>SE1</LogicalAddress>", Profile.RIVTABP21, "SE1", id="no namespace"),
        pytest.param("<other/>", None, None, id="neither"),
    ],
)
def test_profile_and_address_are_read_by_local_names(header, profile, address):
    head = head_of(header)
    assert (head.profile, head.logical_address) == (profile, address)


def test_the_contract_is_the_namespace_of_the_first_element_in_the_body():
    head = head_of(body='<!--c--> <Ask xmlns="urn:riv:x:AskResponder:1"/><Other xmlns="urn:y"/>')
    assert head.contract == "urn:riv:x:AskResponder:1"


@pytest.mark.parametrize("body", ["", "<!--nothing-->", "<Ask/>"], ids=["empty", "comment", "no namespace"])
def test_a_body_without_a_namespaced_element_has_no_contract(body):
    assert head_of(body=body).contract is None


def test_an_address_in_the_body_is_not_the_address():
    head = head_of(body='<Ask xmlns="urn:riv:x:AskResponder:1"><LogicalAddress>SE1</LogicalAddress></Ask>')
    assert head.logical_address is None


def test_what_is_no_envelope_has_an_empty_head():
    head = read_head(parse_xml(b"<html/>"))
    assert (head.profile, head.logical_address, head.contract) == (None, None, None)


ENVELOPE = '<e:Envelope xmlns:e="{0}"><e:Header>{1}</e:Header>{2}</e:Envelope>'
BODY = '<e:Body><Ask xmlns="urn:riv:x:AskResponder:1"/></e:Body>'


def check(text: str) -> None:
    envelope = parse_xml(text.encode())
    refuse_ambiguous(envelope, read_head(envelope))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(ENVELOPE.format("urn:other", "", BODY), "not of SOAP 1.1", id="another namespace"),
        pytest.param(ENVELOPE.format(SOAP_12, "", BODY), "SOAP 1.2", id="soap 1.2"),
        pytest.param(ENVELOPE.format(SOAP, "", '<Body xmlns="x"/>' + BODY), "not of SOAP 1.1", id="a false body"),
        pytest.param(ENVELOPE.format(SOAP, "", BODY + "<Header/>"), "not of SOAP 1.1", id="a false header"),
        pytest.param(
            ENVELOPE.format(SOAP, LOGICAL_ADDRESS.format("SE1") + '<f xmlns="u"><To>SE2</To></f>', BODY),
            "not an entry of the SOAP header",
            id="an address inside another entry",
        ),
        pytest.param(
            ENVELOPE.format(SOAP, TO.format("SE1<To>SE2</To>"), BODY),
            "not an entry of the SOAP header",
            id="an address inside an address",
        ),
        pytest.param(
            ENVELOPE.format(SOAP, LOGICAL_ADDRESS.format("SE1<!---->2"), BODY),
            "more than text",
            id="an address that some read to its comment",
        ),
        pytest.param(ENVELOPE.format(SOAP, "", BODY + BODY), "more than one header or body", id="two bodies"),
        pytest.param(ENVELOPE.format(SOAP, "", "<e:Header/>" + BODY), "more than one header or body", id="two headers"),
        pytest.param(
            ENVELOPE.format(SOAP, "", BODY.replace("</e:Body>", "<x/></e:Body>")),
            "more than one element",
            id="two payloads",
        ),
        pytest.param(
            ENVELOPE.format(SOAP, LOGICAL_ADDRESS.format("SE1") + LOGICAL_ADDRESS.format("SE2"), BODY),
            "two LogicalAddress entries",
            id="two addresses",
        ),
        pytest.param(
            ENVELOPE.format(SOAP, "<x>" + TO.format("SE1") + "</x>" + TO.format("SE2"), BODY),
            "two To",
            id="at any depth",
        ),
        pytest.param(
            ENVELOPE.format(SOAP, LOGICAL_ADDRESS.format("SE1") + LOGICAL_ADDRESS.format(""), BODY),
            "two LogicalAddress entries",
            id="one of them empty",
        ),
    ],
)
def test_what_another_reader_may_take_for_something_else_is_refused(text, reason):
    with pytest.raises(XmlRefused, match=reason):
        check(text)


def test_soap_12_is_refused_with_what_to_send_instead():
    with pytest.raises(XmlRefused) as refused:
        check(ENVELOPE.format(SOAP_12, "", BODY))
    for word in (SOAP, "text/xml", "application/soap+xml", "SOAPAction"):
        assert word in refused.value.reason


def test_soap_12_is_taken_whole_or_not_at_all_where_it_is_allowed():
    of_soap_12 = ENVELOPE.format(SOAP_12, LOGICAL_ADDRESS.format("SE1"), BODY)
    envelope = parse_xml(of_soap_12.encode())
    refuse_ambiguous(envelope, read_head(envelope), soap_12=True)
    for mixed in (of_soap_12.replace("<e:Body", f'<e:Body xmlns:e="{SOAP}"'), ENVELOPE.format("urn:other", "", BODY)):
        envelope = parse_xml(mixed.encode())
        with pytest.raises(XmlRefused, match="not of SOAP 1.1"):
            refuse_ambiguous(envelope, read_head(envelope), soap_12=True)


def test_the_head_is_read_to_the_first_element_of_the_body():
    """`vp-behaviour` section 2: what is malformed behind it is not noticed."""
    decoys = '<f xmlns="u"><Body><no/></Body></f>'
    text = ENVELOPE.format(SOAP, decoys + LOGICAL_ADDRESS.format("SE1"), BODY.replace("/>", ">&nosuch;</Other>"))
    head = read_head(parse_head(text.encode()))
    assert (head.profile, head.logical_address, head.contract) == (Profile.RIVTABP21, "SE1", "urn:riv:x:AskResponder:1")


def test_a_head_without_a_body_is_read_to_the_end():
    assert read_head(parse_head(ENVELOPE.format(SOAP, LOGICAL_ADDRESS.format("SE1"), "").encode())).payload is None
    with pytest.raises(XmlRefused):
        parse_head(ENVELOPE.format(SOAP, "", "<e:Body></e:Body></x>").encode())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("<html/>", id="no envelope"),
        pytest.param(ENVELOPE.format(SOAP, "", ""), id="no body"),
        pytest.param(ENVELOPE.format(SOAP, "", "<e:Body/>"), id="empty body"),
        pytest.param(ENVELOPE.format(SOAP, "", BODY + "<x:y xmlns:x='x'/>"), id="something after the body"),
        pytest.param(
            ENVELOPE.format(SOAP, TO.format("http://x") + LOGICAL_ADDRESS.format("SE1"), BODY), id="both kinds"
        ),
        pytest.param(ENVELOPE.format(SOAP, LOGICAL_ADDRESS.format("SE1") * 2, BODY), id="twice the same"),
    ],
)
def test_what_says_one_thing_is_not(text):
    check(text)
