"""The registry contracts on the wire: answers by their schemas, and the incumbent's faults word for word."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rivta.catalogue import content, registry
from rivta.catalogue.compile import compile_table
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.quirks import RegistryRules
from rivta.catalogue.rows import Draft, PermissionRow, Place
from rivta.catalogue.table import ListedPermission, Table
from rivta.run.services.server import application
from rivta.soap import namespaces
from rivta.soap.identifiers import HsaId, LogicalAddress
from rivta.soap.wsgi import HttpRequest, begin
from tests.catalogue.tables import NOTIFICATION, compiled
from tests.catalogue.test_registry import SUBSCRIPTIONS
from tests.catalogue.worked_example import AT, BOOKINGS, HSA, LAB, TABLE
from tests.run.services.served import answer_to, catalogue, children, fault_of, message, payload_of

SUPPORTED = {1: namespaces.GET_SUPPORTED_SERVICE_CONTRACTS_1, 2: namespaces.GET_SUPPORTED_SERVICE_CONTRACTS_2}
ADDRESSEES = {
    1: namespaces.GET_LOGICAL_ADDRESSEES_BY_SERVICE_CONTRACT_1,
    2: namespaces.GET_LOGICAL_ADDRESSEES_BY_SERVICE_CONTRACT_2,
}
TYPES = {1: namespaces.REGISTRY_1, 2: namespaces.REGISTRY_2}
NIL = '<serviceConsumerHsaId xsi:nil="true" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"/>'


MANY = 100_000


@pytest.fixture(scope="module")
def many_addresses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table in which one consumer is permitted at each of MANY addresses."""
    place = Place("t", 1)
    rows = tuple(
        PermissionRow(
            HsaId("EI"), LogicalAddress(f"SE2321000016-X{number:06}"), NOTIFICATION, "x", None, None, (), place
        )
        for number in range(MANY)
    )
    folder = tmp_path_factory.mktemp("many")
    return compile_table(content.encode(Draft(permissions=rows)), hsa=HsaTree(), variables={}, folder=folder)


@pytest.fixture
def example(tmp_path: Path) -> Table:
    return compiled(tmp_path, TABLE, hsa=HSA)


def supported_request(version: int, *, consumer: str | None, address: str | None) -> str:
    fields = "" if consumer is None else f"<serviceConsumerHsaId>{consumer}</serviceConsumerHsaId>"
    fields += "" if address is None else f"<logicalAdress>{address}</logicalAdress>"
    name = "GetSupportedServiceContracts"
    return f'<{name} xmlns="{SUPPORTED[version]}">{fields}</{name}>'


def addressees_request(version: int, *, consumer: str | None, contract: str | None) -> str:
    fields = "" if consumer is None else f"<serviceConsumerHsaId>{consumer}</serviceConsumerHsaId>"
    if contract is not None:
        name = f'<r:ServiceContractNamespace xmlns:r="{TYPES[version]}">{contract}</r:ServiceContractNamespace>'
        fields += f"<serviceContractNameSpace>{name}</serviceContractNameSpace>"
    name = "GetLogicalAddresseesByServiceContract"
    return f'<{name} xmlns="{ADDRESSEES[version]}">{fields}</{name}>'


@pytest.mark.parametrize("version", [1, 2])
def test_supported_contracts_are_answered_by_the_schema(example: Table, version: int) -> None:
    request = supported_request(version, consumer="KONS1", address="SE2321-R1")

    root = payload_of(answer_to(catalogue(example, now=AT), request).body)

    assert [child.tag for child in root] == [f"{{{SUPPORTED[version]}}}serviceContractNamespace"]
    assert [(one.tag, one.text) for one in root[0]] == [(f"{{{TYPES[version]}}}ServiceContractNamespace", BOOKINGS)]


@pytest.mark.parametrize("header", ["", *TYPES.values()], ids=["no header", "form of version 1", "form of version 2"])
def test_the_header_is_taken_in_every_form_and_not_read(example: Table, header: str) -> None:
    address = f'<r:LogicalAddress xmlns:r="{header}">whoever</r:LogicalAddress>' if header else ""
    request = supported_request(2, consumer=None, address="se2321-r1")

    root = payload_of(answer_to(catalogue(example, now=AT), request, address).body)

    assert [one[0].text for one in root] == [BOOKINGS]


@pytest.mark.parametrize(
    ("version", "consumer", "address", "text"),
    [
        (1, "KONS1", None, "LogicalAddress must not be empty or null"),
        (1, None, " ", "LogicalAddress must not be empty or null"),
        (1, None, "SE2321-R1", "ServiceConsumerHsaId must not be empty or null"),
        (1, " ", "SE2321-R1", "ServiceConsumerHsaId must not be empty or null"),
        (2, "KONS1", "", "LogicalAddress must not be empty or null"),
    ],
)
def test_what_is_missing_is_a_fault_in_the_incumbents_words(
    example: Table, version: int, consumer: str | None, address: str | None, text: str
) -> None:
    answer = answer_to(catalogue(example), supported_request(version, consumer=consumer, address=address))

    assert fault_of(answer) == ("Server", text)


def test_an_empty_consumer_of_version_2_is_nobody_and_a_nil_one_anybody(example: Table) -> None:
    nobody = supported_request(2, consumer="", address="SE2321-R1")
    anybody = nobody.replace("<serviceConsumerHsaId></serviceConsumerHsaId>", NIL)

    assert len(payload_of(answer_to(catalogue(example, now=AT), nobody).body)) == 0
    assert len(payload_of(answer_to(catalogue(example, now=AT), anybody).body)) == 1


def test_addressees_come_with_their_filters(tmp_path: Path) -> None:
    table = compiled(tmp_path, SUBSCRIPTIONS)
    request = addressees_request(2, consumer="EI", contract=NOTIFICATION)

    root = payload_of(answer_to(catalogue(table), request).body)

    assert [one.findtext("{*}logicalAddress") for one in root] == ["A", "b", "B"]
    assert [children(part) for part in list(root[2])[1:]] == [
        [("serviceDomain", "riv:d1"), ("categorization", "dia"), ("categorization", "voo")],
        [("serviceDomain", "riv:d2")],
    ]


def test_addressees_of_version_1_are_addresses(tmp_path: Path) -> None:
    table = compiled(tmp_path, SUBSCRIPTIONS)

    root = payload_of(answer_to(catalogue(table), addressees_request(1, consumer="EI", contract=NOTIFICATION)).body)

    assert children(root) == [("logicalAddress", "A"), ("logicalAddress", "b"), ("logicalAddress", "B")]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("consumer", "contract", "kat", "tak"),
    [
        (None, LAB, "Request missing expected parameters", "ServiceConsumerHsaId must not be empty or null"),
        ("KONS1", None, "Request missing expected parameters", "ServiceContractNamespece must not be empty or null"),
        (" ", LAB, "", "ServiceConsumerHsaId must not be empty or null"),
        ("KONS1", "", "", "ServiceContractNamespece must not be empty or null"),
    ],
)
def test_a_blank_name_matches_nothing_unless_tak_is_asked_for(
    example: Table, version: int, consumer: str | None, contract: str | None, kat: str, tak: str
) -> None:
    request = addressees_request(version, consumer=consumer, contract=contract)

    by_kat = answer_to(catalogue(example), request)
    by_tak = answer_to(catalogue(example, rules=RegistryRules(blank_refused=True)), request)

    assert fault_of(by_tak) == ("Server", tak)
    if kat:
        assert fault_of(by_kat) == ("Server", kat)
    else:
        assert len(payload_of(by_kat.body)) == 0


def test_before_the_first_publication_everything_is_a_fault() -> None:
    request = supported_request(2, consumer=None, address="SE1")

    assert fault_of(answer_to(catalogue(None), request)) == ("Server", "No publication is in force")


@pytest.mark.parametrize("version", [1, 2])
def test_a_hundred_thousand_addresses_are_sent_in_pieces_of_a_page_each(many_addresses: Path, version: int) -> None:
    """Each piece is made when it is asked for, of one page of rows: the whole answer is never there."""
    table = Table.open(many_addresses)
    pages: list[int] = []
    original = table.permission_pages_with

    class Watched(Table):
        __slots__ = ()

        def permission_pages_with(self, consumer: str, contract: int, size: int) -> Iterator[list[ListedPermission]]:
            for page in original(consumer, contract, size):
                pages.append(len(page))
                yield page

    table.__class__ = Watched
    request = addressees_request(version, consumer="EI", contract=NOTIFICATION)
    answering = begin(application(catalogue(table)), HttpRequest("POST", "/", body=message(request)))
    assert not answering.is_whole
    found, longest = 0, 0
    for number, chunk in enumerate(answering.chunks):
        assert len(pages) <= number + 1
        found, longest = found + chunk.count(b"<logicalAddress>"), max(longest, len(chunk))
    answering.close()
    assert (found, sum(pages), max(pages)) == (MANY, MANY, registry.PAGE)
    assert longest < registry.PAGE * 110
