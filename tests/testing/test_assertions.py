"""Assertions as data: when they hold, and what is said when they do not."""

import pytest

from rivta.contracts.verdict import Violation
from rivta.soap.xml import parse_xml
from rivta.testing.assertions import (
    BodyHas,
    CountIs,
    FaultIs,
    Given,
    HeaderIs,
    NoFault,
    RecordsHave,
    SameAsRecorded,
    SchemaValid,
    SourcesSay,
    StatusIs,
    TimeWithin,
    Wanted,
    XPathIs,
    check,
    filled,
)
from rivta.testing.comparison import Rules
from rivta.testing.documents import Document
from tests.testing.messages import diagnoses, fault, ping, pong, read

STATUS = (
    '<i:ProcessingStatus xmlns:i="urn:riv:interoperability:headers:1"><i:ProcessingStatusList>'
    "<i:logicalAddress>SE1-KS</i:logicalAddress><i:statusCode>DataFromSource</i:statusCode></i:ProcessingStatusList>"
    "<i:ProcessingStatusList><i:logicalAddress>SE1-DS</i:logicalAddress><i:statusCode>NoDataSynchFailed</i:statusCode>"
    "</i:ProcessingStatusList></i:ProcessingStatus>"
)
TWO = diagnoses("191212121212", "198507099805", header=STATUS)
PATIENT = ".//patientId/extension"


def told(assertion, answer=None, given: Given | None = None) -> str | None:
    found = check(assertion, answer or read(TWO), given or Given(), "message.yaml:7")
    return found.message if found else None


@pytest.mark.parametrize(
    ("assertion", "answer"),
    [
        (StatusIs((200, 202)), read(TWO)),
        (NoFault(), read(TWO)),
        (FaultIs(), read(fault(), status=500)),
        (FaultIs("VP004", "inget vägval", "SE1-KS"), read(fault(), status=500)),
        (XPathIs("//diagnosis", Wanted("exists", "true")), read(TWO)),
        (XPathIs("//encounter", Wanted("exists", "false")), read(TWO)),
        (XPathIs("//soap:Body", Wanted("exists", "true")), read(TWO)),
        (XPathIs("count(//diagnosis) = 2", Wanted("equals", "true")), read(TWO)),
        (XPathIs("//extension", Wanted("matches", r"19\d{10}")), read(TWO)),
        (CountIs("//diagnosis", 2), read(TWO)),
        (CountIs("//diagnosis", "2"), read(TWO)),
        (RecordsHave("//diagnosis", PATIENT, Wanted("matches", r"\d{12}")), read(TWO)),
        (RecordsHave("//diagnosis", PATIENT, Wanted("equals", "198507099805"), "any"), read(TWO)),
        (SourcesSay((("SE1-KS", "DataFromSource"), ("SE1-DS", "NoDataSynchFailed"))), read(TWO)),
        (HeaderIs("X-Some", Wanted("equals", "1")), read(TWO, x_some="1")),
        (HeaderIs("x-other", Wanted("exists", "false")), read(TWO)),
        (TimeWithin(0.2, 1.0), read(TWO)),
        (BodyHas("diagnosis"), read(TWO)),
        (BodyHas("VP0", is_absent=True), read(TWO)),
        (BodyHas(r"19\d{10}", is_pattern=True), read(TWO)),
    ],
    ids=lambda value: "" if hasattr(value, "answer") else str(value),  # an address is another in each process
)
def test_an_assertion_that_holds_finds_nothing(assertion, answer) -> None:
    assert told(assertion, answer) is None


@pytest.mark.parametrize(
    ("assertion", "answer", "message"),
    [
        (StatusIs((200,)), read(fault(), status=500), "got 500 Internal Server Error (fault: VP004"),
        (NoFault(), read(fault(), status=500), "got a fault: VP004 [P] Det finns inget vägval, receiverId: SE1-KS"),
        (NoFault(), read(b""), "the answer is empty (HTTP 200)"),
        (NoFault(), read(b"<html/>"), "the answer is no SOAP envelope"),
        (FaultIs(), read(TWO), "got no fault (HTTP 200)"),
        (FaultIs("VP007"), read(fault(), status=500), "got VP004: fault: VP004"),
        (FaultIs("VP004"), read(fault("Fel"), status=500), "got another: fault: Fel"),
        (FaultIs(detail="SE2"), read(fault(), status=500), "its detail is 'receiverId: SE1-KS'"),
        (XPathIs("//extension", Wanted("equals", "191212121212")), read(TWO), "it finds '198507099805'"),
        (XPathIs("//nothing", Wanted("equals", "")), read(TWO), "it finds nothing"),
        (XPathIs("//diagnosis", Wanted("exists", "false")), read(TWO), "it finds '191212121212', '198507099805'"),
        (XPathIs("false()", Wanted("exists", "true")), read(TWO), "it finds 'false'"),
        (CountIs("//diagnosis", 3), read(TWO), "it is there 2 times"),
        (RecordsHave("//encounter", ".", Wanted("equals", "1")), read(TWO), "there is no record at //encounter"),
        (
            RecordsHave("//diagnosis", PATIENT, Wanted("equals", "191212121212")),
            read(TWO),
            "record 2 has '198507099805' (of 2)",
        ),
        (
            RecordsHave("//diagnosis", "nothing", Wanted("equals", "1"), "any"),
            read(TWO),
            "record 1 has nothing; record 2 has nothing (of 2)",
        ),
        (
            SourcesSay((("SE1-KS", "NoData"), ("SE1-X", "A"))),
            read(TWO),
            "SE1-KS has DataFromSource; SE1-X has no status",
        ),
        (HeaderIs("x-some", Wanted("equals", "1")), read(TWO, x_some="2"), "got '2'"),
        (HeaderIs("x-some", Wanted("contains", "1")), read(TWO), "it is missing"),
        (TimeWithin(longest_s=0.1), read(TWO), "it took 0.500 s"),
        (TimeWithin(shortest_s=2), read(TWO), "it took 0.500 s"),
        (BodyHas("VP004"), read(TWO), "it is not there (HTTP 200"),
        (BodyHas("diagnosis", is_absent=True), read(TWO), "it is there"),
        (XPathIs("//x", Wanted("equals", "1")), read(b"oops"), "the answer is no XML"),
    ],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
def test_one_that_does_not_says_what_there_is(assertion, answer, message) -> None:
    assert (told(assertion, answer) or "").startswith(message)


def test_a_finding_names_the_assertion_and_its_place() -> None:
    found = check(StatusIs((500,)), read(TWO), Given(), "cases/a/message.yaml:7")
    assert (found.assertion, found.place) == ("status is 500", "cases/a/message.yaml:7")


def test_the_schema_is_asked_and_its_first_violation_told() -> None:
    wrong = (Violation(3, "/a/b", "is missing", "is missing"), Violation(4, "/a/c", "x", "x"))
    assert told(SchemaValid(), given=Given(validate=lambda _: ())) is None
    assert told(SchemaValid(), given=Given(validate=lambda _: wrong)) == "line 3, /a/b: is missing (and 1 more)"


def test_an_answer_is_compared_with_the_recorded_one_and_only_what_differs_is_listed() -> None:
    recorded = Document(parse_xml(pong("1.0", "20200101000000")))
    given = Given(recorded, Rules(masks=("//pingDateTime",)))
    assert check(SameAsRecorded(), read(pong("1.0")), given) is None
    found = check(SameAsRecorded(), read(pong("2.0")), given)
    assert [str(one) for one in found.differences] == [
        "/Envelope/Body/PingForConfigurationResponse/version: expected '1.0', got '2.0'"
    ]


def test_many_differences_are_counted_and_the_first_listed() -> None:
    recorded = Document(parse_xml(diagnoses(*("1" * 12 for _ in range(80)))))
    found = check(SameAsRecorded(), read(diagnoses(*("2" * 12 for _ in range(80)))), Given(recorded))
    assert (len(found.differences), found.more, found.message) == (50, 30, "80 differences")


def test_variables_are_filled_into_every_text_of_an_assertion() -> None:
    def fill(text: str) -> str:
        return text.replace("${who}", "SE1")

    assert filled(XPathIs("//a[.='${who}']", Wanted("equals", "${who}")), fill) == XPathIs(
        "//a[.='SE1']", Wanted("equals", "SE1")
    )
    assert filled(SourcesSay((("${who}", "x"),)), fill) == SourcesSay((("SE1", "x"),))
    assert filled(StatusIs((200,)), fill) == StatusIs((200,))
    assert filled(TimeWithin(1.0), fill) == TimeWithin(1.0)


def test_a_request_is_no_answer_to_be_mistaken_for_a_fault() -> None:
    assert told(NoFault(), read(ping())) is None
