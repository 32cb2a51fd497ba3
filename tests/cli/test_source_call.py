"""When the newest of a source's records was written."""

from rivta.cli.source_call import newest

RECORD = b"""<diagnosis xmlns="urn:x"><header><c:authorTime xmlns:c="urn:c">%s</c:authorTime>
<c:signature xmlns:c="urn:c"><c:signatureTime> %s </c:signatureTime></c:signature></header>
<body><diagnosisTime>20991231000000</diagnosisTime><authorTime>20991231000000</authorTime></body></diagnosis>"""


def test_the_newest_time_of_writing_in_any_header_counts_and_none_of_the_content() -> None:
    first = RECORD % (b"20240101120000", b"20240102120000")
    second = RECORD % (b"20230101120000", b"20230101120000")
    assert newest([second, first]) == "20240102120000"


def test_what_is_no_time_or_has_no_header_says_nothing() -> None:
    assert newest([]) is None
    assert newest([b"<careContact/>", RECORD % (b"2024", b"yesterday")]) is None
