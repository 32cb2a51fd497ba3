import pytest

from rivta.soap.head import read_head
from rivta.soap.identifiers import Profile
from rivta.soap.xml import parse_xml

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
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
