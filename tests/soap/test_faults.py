import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.soap.faults import Fault, Refused, Side, fault_envelope, unexpected_fault_envelope
from rivta.soap.xml import parse_xml


def test_a_fault_is_spelled_byte_for_byte_as_the_incumbent_does():
    """Letter by letter the incumbent's."""
    refused = Refused(
        Fault.NO_ROUTE, contract="urn:c", logical_address="SE 1", hint=". Whitespace detected in incoming request!"
    )
    assert fault_envelope(refused.fault, detail=refused.detail, platform_name="NAME").decode() == (
        '<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"><SOAP-ENV:Header/>'
        "<SOAP-ENV:Body><SOAP-ENV:Fault><faultcode>SOAP-ENV:Client</faultcode><faultstring>VP004 [NAME] Det finns inget "
        "vägval i tjänsteadresseringskatalogen som matchar anropets logiska adressat (ReceiverId) och tjänstekontrakt. "
        "Kontrollera uppgifterna i anropet och vid behov, beställ konfigurering i aktuell tjänsteplattform.</faultstring>"
        "<detail><detailString>No receiverId (logical address) found for serviceNamespace: urn:c, receiverId: SE 1. "
        "Whitespace detected in incoming request!</detailString></detail></SOAP-ENV:Fault></SOAP-ENV:Body>"
        "</SOAP-ENV:Envelope>"
    )


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.value.code)
def test_each_code_is_used_once_and_names_its_side(fault):
    assert fault.value.side in Side
    assert [other for other in Fault if other.value.code == fault.value.code] == [fault]


def test_the_list_is_vp001_to_vp015():
    assert [fault.value.code for fault in Fault] == [f"VP{number:03}" for number in range(1, 16)]


@pytest.mark.parametrize("code", ["VP006", "VP007", "VP008", "VP009", "VP010", "VP012", "VP014"])
def test_these_are_the_platforms_to_mend(code):
    assert next(fault for fault in Fault if fault.value.code == code).value.side is Side.SERVER


def test_the_private_detail_is_what_the_exception_says():
    refused = Refused(Fault.UNREADABLE, detail="patient 191212121212", private_detail="unreadable at line 1")
    assert "191212121212" not in str(refused)
    assert refused.detail == "patient 191212121212"


@given(st.text())
def test_any_detail_makes_a_readable_envelope(detail):
    root = parse_xml(fault_envelope(Fault.UNREADABLE, detail=detail, platform_name="A & <B>"))
    assert any("VP015 [A & <B>]" in str(text) for text in root.itertext())


def test_the_unexpected_has_the_shape_without_a_code():
    text = unexpected_fault_envelope(detail="x").decode()
    assert "SOAP-ENV:Server" in text and "VP" not in text
