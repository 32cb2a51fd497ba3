"""Messages in other characters, with attachments or in another SOAP, through both platforms over real connections."""

import pytest

from tests.pair.consumer import KS, Consumer, document_ids, get_diagnosis, read_fault

XOP = 'multipart/related; boundary=b; type="application/xop+xml"; start="<root@x>"; start-info="text/xml"'
INCLUDE = '<x:pdf xmlns:x="urn:x"><i:Include xmlns:i="http://www.w3.org/2004/08/xop/include" href="cid:pdf@x"/></x:pdf>'


def package(message: bytes, attachment: bytes) -> bytes:
    return b"".join(
        (
            b'--b\r\nContent-Type: application/xop+xml; type="text/xml"\r\nContent-ID: <root@x>\r\n\r\n',
            message,
            b"\r\n--b\r\nContent-Type: application/pdf\r\nContent-ID: <pdf@x>\r\n\r\n",
            attachment,
            b"\r\n--b--\r\n",
        )
    )


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1"])
def test_a_message_in_other_characters_is_answered_in_them(npo: Consumer, encoding: str) -> None:
    message = get_diagnosis(KS).decode().replace("UTF-8", encoding).encode(encoding)
    answer = npo.call(message, {"Content-Type": f"text/xml; charset={encoding}"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, f"text/xml; charset={encoding.upper()}")
    assert document_ids(answer.content) == document_ids(npo.call(get_diagnosis(KS)).content)


def test_the_producers_silence_is_told_in_the_callers_characters(npo: Consumer) -> None:
    message = get_diagnosis("SE2321000016-CLOSE").decode().replace("UTF-8", "utf-16").encode("utf-16")
    answer = npo.call(message)
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "text/xml; charset=UTF-16")
    assert read_fault(answer.content).code == "VP009"


@pytest.mark.parametrize("size", [1000, 5_000_000])
def test_attachments_come_through_both_platforms(npo: Consumer, size: int) -> None:
    """The contract lets anything of another namespace stand at the end of its request."""
    message = get_diagnosis(KS).replace(b"</d:GetDiagnosis>", f"{INCLUDE}</d:GetDiagnosis>".encode())
    answer = npo.call(package(message, b"\0\xff%PDF--b" * (size // 8)), {"Content-Type": XOP})
    assert answer.status_code == 200, answer.text
    assert document_ids(answer.content)
    seen = npo.refused(package(get_diagnosis(KS), b"%PDF"), {"Content-Type": XOP})
    assert (seen.code, "would be lost: pdf@x" in seen.detail) == ("VP015", True)


def test_soap_12_is_refused_with_what_to_send(npo: Consumer) -> None:
    message = get_diagnosis(KS).replace(
        b"http://schemas.xmlsoap.org/soap/envelope/", b"http://www.w3.org/2003/05/soap-envelope"
    )
    seen = npo.refused(message, {"Content-Type": "application/soap+xml; charset=utf-8"})
    assert (seen.code, "Content-Type text/xml" in seen.detail) == ("VP015", True)
