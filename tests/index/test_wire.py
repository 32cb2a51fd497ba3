from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from rivta.contracts.installed import Contracts
from rivta.contracts.validation import Validators
from rivta.index.engagement import FIELDS, Engagement, Transaction
from rivta.index.packed import pack, unpack
from rivta.index.wire import changes_element, read_transactions
from rivta.soap import namespaces
from rivta.soap.xml import parse_xml
from tests.index.built import NATIONAL, REGIONAL, ROW, put

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Co", "Cn")), min_size=1)
TIMES = st.none() | st.just("20260101120000")
ENGAGEMENTS = st.builds(
    Engagement, **{field.name: TIMES if field.name.endswith(("_time", "_content")) else TEXTS for field in FIELDS}
)
TRANSACTIONS = st.lists(
    st.builds(Transaction, st.booleans(), ENGAGEMENTS, st.lists(st.sampled_from("ABC"), max_size=3).map(tuple))
)


@given(TRANSACTIONS)
def test_changes_come_back_as_they_were_from_xml_and_from_the_database(transactions: list[Transaction]) -> None:
    element = changes_element(namespaces.UPDATE_1, "Update", transactions)
    read = read_transactions(parse_xml(etree.tostring(element)))
    assert [one.transaction() for one in read] == transactions
    assert unpack(pack(transactions)) == transactions


def test_a_notification_with_its_path_is_valid_by_the_contract() -> None:
    contracts = Contracts.shipped()
    payload = changes_element(namespaces.PROCESS_NOTIFICATION_1, "ProcessNotification", [put(REGIONAL, NATIONAL)])
    contract = contracts.find(namespaces.PROCESS_NOTIFICATION_1)
    assert Validators(contracts).check(contract, parse_xml(etree.tostring(payload)), "request").valid


def read_one(engagement: str, *, flag: str = "false") -> object:
    payload = parse_xml(
        f'<m:Update xmlns:m="{namespaces.UPDATE_1}" xmlns="{namespaces.ENGAGEMENT_INDEX_1}" '
        f'xmlns:xsi="{namespaces.XML_SCHEMA_INSTANCE}"><m:engagementTransaction><deleteFlag>{flag}</deleteFlag>'
        f"{engagement}</m:engagementTransaction></m:Update>".encode()
    )
    return read_transactions(payload)[0]


def test_an_element_that_is_nil_or_of_another_namespace_is_not_there() -> None:
    found = read_one('<engagement><owner xsi:nil="true"/><m:categorization>dia</m:categorization></engagement>')
    assert found.fields == {}  # type: ignore[attr-defined]


def test_of_an_element_that_stands_there_twice_the_first_counts() -> None:
    found = read_one("<engagement><owner>A</owner><owner>B</owner></engagement>")
    assert found.get("owner") == "A"  # type: ignore[attr-defined]


def test_a_comment_cuts_no_field_short() -> None:
    found = read_one("<engagement><owner>SE1<!-- x -->23</owner></engagement>")
    assert found.get("owner") == "SE123"  # type: ignore[attr-defined]


def test_no_more_changes_are_read_than_are_wanted() -> None:
    payload = changes_element(namespaces.UPDATE_1, "Update", [put(owner=str(number)) for number in range(5)])
    assert [one.get("owner") for one in read_transactions(payload, most=2)] == ["0", "1"]


def test_a_flag_that_is_no_boolean_is_none() -> None:
    assert read_one("<engagement/>", flag="maybe").delete is None  # type: ignore[attr-defined]
    assert read_one("<engagement/>", flag=" 1 ").delete is True  # type: ignore[attr-defined]


def test_of_a_path_no_more_is_read_than_there_can_be() -> None:
    names = ["x" * 65, *(str(number) for number in range(200))]
    payload = changes_element(namespaces.PROCESS_NOTIFICATION_1, "ProcessNotification", [put(*names)])
    (found,) = read_transactions(parse_xml(etree.tostring(payload)))
    assert found.visited == tuple(str(number) for number in range(100))


def test_an_owner_that_nobody_said_is_left_out() -> None:
    element = changes_element(namespaces.UPDATE_1, "Update", [put(owner="", most_recent_content=None)])
    written = etree.tostring(element)
    assert b"owner" not in written
    assert b"mostRecentContent" not in written
    assert ROW.categorization.encode() in written
