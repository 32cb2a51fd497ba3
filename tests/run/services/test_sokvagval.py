"""SokVagvalsInfo on the wire: every row of the publication, as the incumbent writes it."""

import re
from pathlib import Path

import pytest
from lxml import etree

from rivta.catalogue import registry
from rivta.catalogue.exchange import takcache
from rivta.catalogue.quirks import RegistryRules
from rivta.catalogue.table import Table
from rivta.soap import namespaces
from rivta.soap.xml import parse_xml
from tests.catalogue.tables import DIAGNOSIS, NOTIFICATION, VARIABLES, compiled, read
from tests.catalogue.worked_example import BOOKINGS, HSA, LAB, TABLE
from tests.run.services.served import answer_to, catalogue, children, fault_of, payload_of

V1, V2 = namespaces.VAGVALSINFO_1, namespaces.VAGVALSINFO_2


def listed(table: Table, name: str, version: str = V2, rules: RegistryRules | None = None) -> etree._Element:
    answer = answer_to(catalogue(table, rules=rules), f'<v:{name} xmlns:v="{version}"/>')
    assert answer.status == 200
    root = payload_of(answer.body)
    assert root.tag == f"{{{version}}}{name}Response"
    assert {etree.QName(one).namespace for one in root.iter(etree.Element)} == {version}
    return root


@pytest.fixture
def example(tmp_path: Path) -> Table:
    return compiled(tmp_path, TABLE, hsa=HSA)


@pytest.mark.parametrize("version", [V1, V2])
def test_routes_are_written_as_the_incumbent_does(example: Table, version: str) -> None:
    root = listed(example, "hamtaAllaVirtualiseringar", version)

    (row,) = [one for one in root if one.findtext("{*}receiverId") == "SE2321-R1"]
    assert children(row)[1:] == [
        ("receiverId", "SE2321-R1"),
        ("rivProfil", "RIVTABP21"),
        ("tjansteKontrakt", LAB),
        ("fromTidpunkt", "2024-01-01T00:00:00.000"),
        ("tomTidpunkt", "2124-01-01T00:00:00.000"),
        ("adress", "https://p1/l"),
    ]
    assert re.fullmatch(r"[1-9]\d{0,9}", row[0].text or "")


def test_variables_in_urls_are_resolved_and_text_is_escaped(example: Table) -> None:
    root = listed(example, "hamtaAllaVirtualiseringar")

    assert sorted(one.findtext("{*}adress") or "" for one in root) == [
        "https://national.test/vp",
        "https://p1/b?a=1&b=2",
        "https://p1/l",
    ]


def test_permissions_that_have_run_out_are_there_too(example: Table) -> None:
    root = listed(example, "hamtaAllaAnropsBehorigheter")

    (row,) = [one for one in root if one.findtext("{*}senderId") == "KONS2"]
    assert children(row)[1:] == [
        ("receiverId", "SE2321-R1"),
        ("senderId", "KONS2"),
        ("tjansteKontrakt", LAB),
        ("fromTidpunkt", "2024-01-01T00:00:00.000"),
        ("tomTidpunkt", "2024-06-30T00:00:00.000"),
    ]


FILTERED = f"""\
permissions:
- {{consumer: EI, logical_address: B, contracts: "{NOTIFICATION}", agreement: x,
   filters: [{{domain: "riv:d1", categories: [dia, voo]}}, {{domain: "riv:d2"}}]}}
"""


def test_filters_are_in_version_2_only(tmp_path: Path) -> None:
    table = compiled(tmp_path, FILTERED)

    (row,) = listed(table, "hamtaAllaAnropsBehorigheter")
    (old,) = listed(table, "hamtaAllaAnropsBehorigheter", V1)

    assert [children(one) for one in row.findall("{*}filterInfo")] == [
        [("serviceDomain", "riv:d1"), ("categorization", "dia"), ("categorization", "voo")],
        [("serviceDomain", "riv:d2")],
    ]
    assert children(old) == [(name, text) for name, text in children(row) if name != "filterInfo"]


def test_contracts_have_their_versions_and_no_words(example: Table) -> None:
    root = listed(example, "hamtaAllaTjanstekontrakt")

    assert sorted(map(children, root)) == [
        [("namnrymd", LAB), ("majorVersion", "3"), ("minorVersion", "0")],
        [("namnrymd", BOOKINGS), ("majorVersion", "1"), ("minorVersion", "0")],
    ]


def test_the_minor_version_is_that_of_the_installed_contract(tmp_path: Path) -> None:
    from tests.run.services.served import CONTRACTS

    table = compiled(
        tmp_path, f'permissions: [{{consumer: K, logical_address: A, contracts: "{DIAGNOSIS}", agreement: x}}]'
    )
    installed = CONTRACTS.get(DIAGNOSIS)
    assert installed is not None

    (row,) = listed(table, "hamtaAllaTjanstekontrakt")

    assert row.findtext("{*}minorVersion") == str(installed.minor)


def test_components_have_their_addresses_routes_and_permissions(example: Table) -> None:
    root = listed(example, "hamtaAllaTjanstekomponenter")
    first, second, producer = root

    assert children(first)[:2] == [("hsaId", "KONS1"), ("beskrivning", "Konsument ett")]
    assert children(first.findall("{*}anropsbehorighetInfo")[1]) == [
        ("fromTidpunkt", "2024-01-01T00:00:00.000"),
        ("tomTidpunkt", "2124-01-01T00:00:00.000"),
        ("integrationsavtal", "A1"),
        ("tjanstekontraktNamnrymd", BOOKINGS),
        ("logiskAdressHsaId", "SE2321-R1"),
        ("logiskAdressBeskrivning", "Regionen"),
    ]
    # Mentioned by a permission alone; without words, and its address has some.
    assert children(second)[0] == ("hsaId", "KONS2")
    assert second.find("{*}beskrivning") is None
    assert children(producer)[:2] == [("hsaId", "PROD1"), ("beskrivning", "Producent <1> & co")]
    u1, u2, u3 = producer.findall("{*}anropsAdressInfo")
    assert [child.text for child in (u3[0], u3[1], u3[2][2], u3[2][3])] == [
        "https://national.test/vp",
        "RIVTABP20",
        LAB,
        "*",
    ]
    assert [len(one.findall("{*}vagvalsInfo")) for one in (u1, u2, u3)] == [1, 1, 1]


PERIODS = f"""\
producer_addresses: {{a: {{component: C, url: "https://a.test/"}}}}
routes:
- {{logical_address: A1, contracts: "{DIAGNOSIS}", producer_address: a, valid_from: 2009-03-10, valid_to: 2026-03-29}}
- {{logical_address: A2, contracts: "{DIAGNOSIS}", producer_address: a}}
- {{logical_address: A3, contracts: "{DIAGNOSIS}", producer_address: a, valid_from: "2026-07-01T12:00:00+02:00",
   valid_to: "2026-10-25T02:30:00Z"}}
- {{logical_address: A4, contracts: "{DIAGNOSIS}", producer_address: a, valid_from: "2026-07-01T00:00:00+02:00",
   valid_to: "2026-07-02T00:00:00+02:00"}}
"""


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (
            RegistryRules(),
            {
                "A1": ("2009-03-10T00:00:00.000", "2026-03-29T00:00:00.000"),
                "A2": ("1900-01-01T00:00:00.000", "2999-12-31T00:00:00.000"),
                "A3": ("2026-07-01T12:00:00.000+02:00", "2026-10-25T02:30:00.000+00:00"),
                "A4": ("2026-07-01T00:00:00.000+02:00", "2026-07-02T00:00:00.000+02:00"),
            },
        ),
        (
            RegistryRules(dates="zoned"),
            {
                "A1": ("2009-03-10T00:00:00.000+01:00", "2026-03-29T23:59:59.999+02:00"),
                "A2": ("1900-01-01T00:00:00.000+01:00", "2999-12-31T23:59:59.999+01:00"),
                "A3": ("2026-07-01T12:00:00.000+02:00", "2026-10-25T02:30:00.000+00:00"),
                "A4": ("2026-07-01T00:00:00.000+02:00", "2026-07-02T00:00:00.000+02:00"),
            },
        ),
    ],
    ids=["tak", "zoned"],
)
def test_days_are_midnights_without_zone_and_times_keep_their_own(
    tmp_path: Path, rules: RegistryRules, expected: dict[str, tuple[str, str]]
) -> None:
    root = listed(compiled(tmp_path, PERIODS), "hamtaAllaVirtualiseringar", rules=rules)

    found = {
        one.findtext("{*}receiverId"): (one.findtext("{*}fromTidpunkt"), one.findtext("{*}tomTidpunkt")) for one in root
    }
    assert found == expected


@pytest.mark.parametrize(
    "request_element",
    [
        f'<hamtaAllaVirtualiseringar xmlns="{V2}"/>',
        f'<v:hamtaAllaVirtualiseringar xmlns:v="{V2}" xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"/>',
        f'<v:hamtaAllaVirtualiseringar xmlns:v="{V2}">whatever <v:x/></v:hamtaAllaVirtualiseringar>',
    ],
    ids=["empty", "nil", "filled"],
)
def test_the_content_of_a_request_says_nothing(example: Table, request_element: str) -> None:
    root = payload_of(answer_to(catalogue(example), request_element).body)

    assert len(root) == 3


def test_a_list_says_which_version_it_is_of(example: Table) -> None:
    headers = [
        dict(answer_to(catalogue(example, rules=rules), f'<v:{name} xmlns:v="{V2}"/>').headers)
        for rules, name in (
            (RegistryRules(), "hamtaAllaVirtualiseringar"),
            (RegistryRules(), "hamtaAllaAnropsBehorigheter"),
            (RegistryRules(dates="zoned"), "hamtaAllaAnropsBehorigheter"),
        )
    ]

    assert {one["x-rivta-publication"] for one in headers} == {"7"}
    assert headers[0]["ETag"] == headers[1]["ETag"] != headers[2]["ETag"]


def test_lists_of_many_pages_lose_nothing(example: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("Virtualiseringar", "AnropsBehorigheter", "Tjanstekomponenter")
    whole = [etree.tostring(listed(example, f"hamtaAlla{name}")) for name in names]
    monkeypatch.setattr(registry, "PAGE", 1)

    assert [etree.tostring(listed(example, f"hamtaAlla{name}")) for name in names] == whole


def test_a_table_without_rows_is_an_empty_list(tmp_path: Path) -> None:
    table = compiled(tmp_path, "routes: []\n")

    for name in ("Virtualiseringar", "AnropsBehorigheter", "Tjanstekomponenter", "Tjanstekontrakt"):
        assert len(listed(table, f"hamtaAlla{name}")) == 0


def test_before_the_first_publication_a_list_is_a_fault() -> None:
    answer = answer_to(catalogue(None), f'<v:hamtaAllaVirtualiseringar xmlns:v="{V2}"/>')

    assert fault_of(answer) == ("Server", "No publication is in force")


def test_rows_have_the_numbers_that_the_exported_file_gives_them(example: Table, tmp_path: Path) -> None:
    draft = read(tmp_path / "again", tables=TABLE).draft
    file = parse_xml(b"".join(takcache.write(draft, variables=VARIABLES)))

    for name, row, id in (
        ("hamtaAllaVirtualiseringar", "virtualiseringsInfo", "virtualiseringsInfoId"),
        ("hamtaAllaAnropsBehorigheter", "anropsBehorighetsInfo", "anropsBehorighetsInfoId"),
    ):
        on_the_wire = {one.findtext(f"{{*}}{id}") for one in listed(example, name)}
        assert {one.findtext(f"{{*}}{id}") for one in file.findall(row)} == on_the_wire
