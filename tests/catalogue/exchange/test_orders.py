"""Orders applied as the incumbent's catalogue applies them (tak-behaviour sections 2.1 and 6), and the extended form."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from rivta.catalogue.exchange.changes import applied
from rivta.catalogue.exchange.imported import ImportRefused
from rivta.catalogue.exchange.order_file import hundred_years_after, read_order
from rivta.catalogue.exchange.orders import Applied, Surroundings, apply_order
from rivta.catalogue.rows import Draft, PermissionRow, ProducerAddress, RouteRow
from tests.catalogue.tables import read

BOOKINGS = "urn:riv:crm:scheduling:GetBookingsResponder:1"
LAB = "urn:riv:clinicalprocess:x:GetLabResponder:3"

EXAMPLE = f"""\
components: {{PROD1: {{name: p}}, KONS1: {{name: k}}, KONS2: {{name: l}}}}
producer_addresses:
  u1: {{component: PROD1, url: "https://p1/b", profile: RIVTABP21}}
  u2: {{component: PROD1, url: "https://p1/l", profile: RIVTABP21}}
  u3: {{component: PROD1, url: "https://nat/l", profile: RIVTABP20}}
logical_addresses: {{SE2321-A1: {{name: clinic}}, SE2321-R1: {{name: region}}}}
routes:
- {{logical_address: SE2321-A1, contracts: "{BOOKINGS}", producer_address: u1, valid_from: 2024-01-01, valid_to: 2124-01-01}}
- {{logical_address: SE2321-R1, contracts: "{LAB}", producer_address: u2, valid_from: 2024-01-01, valid_to: 2124-01-01}}
- {{logical_address: "*", contracts: "{LAB}", producer_address: u3, valid_from: 2024-01-01, valid_to: 2124-01-01}}
permissions:
- {{consumer: KONS1, logical_address: SE2321-R1, contracts: "{BOOKINGS}", agreement: a, valid_from: 2024-01-01, valid_to: 2124-01-01}}
- {{consumer: KONS1, logical_address: "*", contracts: "{LAB}", agreement: a, valid_from: 2024-01-01, valid_to: 2124-01-01}}
- {{consumer: KONS2, logical_address: SE2321-R1, contracts: "{LAB}", agreement: a, valid_from: 2024-01-01, valid_to: 2024-06-30}}
"""
"""The tables of the worked example."""

ROUTE = {
    "adress": "https://p2/l",
    "logiskAdress": "SE2321-R1",
    "tjanstekontrakt": LAB,
    "rivtaprofil": "RIVTABP21",
    "tjanstekomponent": "PROD1",
}
PERMISSION = {"logiskAdress": "SE2321-R1", "tjanstekontrakt": LAB, "tjanstekonsument": "KONS1"}


def order_text(
    include: Mapping[str, Any] | None = None, exclude: Mapping[str, Any] | None = None, **other: Any
) -> bytes:
    order = {
        "plattform": "X",
        "formatVersion": 1.0,
        "version": 1,
        "bestallningsTidpunkt": "2024-09-20T08:00:00+0000",
        "genomforandeTidpunkt": "2024-10-01T08:00:00+0000",
        "utforare": "u",
        "kommentar": "k",
        "inkludera": include,
        "exkludera": exclude,
    }
    return json.dumps(order | other).encode()


def around(platform: str = "national") -> Surroundings:
    return Surroundings(platform, {"X"}, (BOOKINGS, LAB), lambda url: url, "order.json", date(2024, 9, 20))


def draft_of(folder: Path, text: str = EXAMPLE) -> Draft:
    reading = read(folder, tables=text)
    assert reading.problems == ()
    return reading.draft


def ordered(folder: Path, data: bytes, text: str = EXAMPLE) -> tuple[Draft, Applied]:
    draft = draft_of(folder, text)
    return draft, apply_order(read_order(data, file="order.json"), draft, around())


def rows_after(draft: Draft, done: Applied) -> tuple[list[RouteRow], list[PermissionRow], list[ProducerAddress]]:
    rows = list(applied(draft, done.changes))
    return (
        [row for row in rows if isinstance(row, RouteRow)],
        [row for row in rows if isinstance(row, PermissionRow)],
        [row for row in rows if isinstance(row, ProducerAddress)],
    )


def errors(folder: Path, data: bytes, text: str = EXAMPLE) -> list[str]:
    with pytest.raises(ImportRefused) as refused:
        ordered(folder, data, text)
    return [one.message for one in refused.value.problems]


def said(done: Applied, beginning: str) -> list[str]:
    return [line.strip() for line in done.report if line.strip().startswith(beginning)]


def test_the_worked_example_comes_out_as_written(tmp_path: Path) -> None:
    draft, done = ordered(tmp_path, order_text({"vagval": [ROUTE]}))
    routes, permissions, producers = rows_after(draft, done)
    moved = sorted((row.valid_from, row.valid_to) for row in routes if row.logical_address == "SE2321-R1")
    assert moved == [
        (date(2024, 1, 1), date(2024, 9, 30)),
        (date(2024, 10, 1), date(2124, 10, 1)),
    ]
    assert len(routes) == 4
    assert len(permissions) == 3
    (made,) = [row for row in producers if row.name not in {"u1", "u2", "u3"}]
    assert (made.url, made.component, made.profile.value) == ("https://p2/l", "PROD1", "RIVTABP21")
    assert list(done.report) == [
        "Plattform: X",
        "Format Version: 1.0",
        "Version: 1",
        "Beställningstidpunkt: 2024-09-20T08:00:00+0000",
        "Genomförandetidpunkt: 2024-10-01T08:00:00+0000",
        "Utförare: u",
        "Kommentar: k",
        "Inkludera",
        "  Vägval",
        f"    Deaktiverad: SE2321-R1 - {LAB} - https://p1/l",
        f"    Nyskapad: SE2321-R1 - {LAB} - https://p2/l",
    ]


def test_the_day_is_that_of_the_server_and_late_evening_is_tomorrow(tmp_path: Path) -> None:
    data = order_text({"vagval": [ROUTE]}, genomforandeTidpunkt="2024-10-01T23:30:00+0000")
    _, done = ordered(tmp_path, data)
    assert done.changes.added.routes[0].valid_from == date(2024, 10, 2)


def test_a_hundred_years_after_a_leap_day_is_the_day_before() -> None:
    assert hundred_years_after(date(2000, 2, 29)) == date(2100, 2, 28)


def test_the_same_route_is_only_prolonged_or_shortened(tmp_path: Path) -> None:
    same = ROUTE | {"adress": "https://p1/l"}
    draft, done = ordered(tmp_path, order_text({"vagval": [same]}))
    assert list(done.changes.changed.values()) == [replace(draft.routes[1], valid_to=date(2124, 10, 1))]
    assert said(done, "Uppdaterad") == [f"Uppdaterad: SE2321-R1 - {LAB} - https://p1/l"]
    _, done = ordered(tmp_path, order_text({"vagval": [same]}, genomforandeTidpunkt="2023-10-01T08:00:00+0000"))
    assert list(done.changes.changed.values()) == [
        replace(draft.routes[1], valid_from=date(2023, 10, 1), valid_to=date(2123, 10, 1))
    ]


def test_shortening_is_said_aloud(tmp_path: Path) -> None:
    text = EXAMPLE.replace("2124-01-01", "2190-01-01")
    _, done = ordered(tmp_path, order_text({"vagval": [ROUTE | {"adress": "https://p1/l"}]}), text)
    assert "an order shortens it to 2124-10-01" in str(done.remarks)


def test_a_route_that_would_end_before_it_begins_goes_and_that_is_said(tmp_path: Path) -> None:
    data = order_text({"vagval": [ROUTE]}, genomforandeTidpunkt="2024-01-01T08:00:00+0000")
    draft, done = ordered(tmp_path, data)
    assert done.changes.changed == {draft.routes[1]: None}
    assert "removed instead" in str(done.remarks)


def test_what_began_later_than_the_order_is_removed(tmp_path: Path) -> None:
    data = order_text({"vagval": [ROUTE]}, genomforandeTidpunkt="2023-06-01T08:00:00+0000")
    draft, done = ordered(tmp_path, data)
    assert done.changes.changed == {draft.routes[1]: None}
    assert said(done, "Borttagen") == [f"Borttagen: SE2321-R1 - {LAB} - https://p1/l"]


def test_a_permission_is_made_with_the_agreement_of_orders(tmp_path: Path) -> None:
    _, done = ordered(tmp_path, order_text({"anropsbehorigheter": [PERMISSION]}))
    (made,) = done.changes.added.permissions
    assert (made.agreement, made.valid_from, made.valid_to) == ("AUTOTAKNING", date(2024, 10, 1), date(2124, 10, 1))


def test_an_expired_permission_is_not_prolonged_but_made_anew(tmp_path: Path) -> None:
    data = order_text({"anropsbehorigheter": [PERMISSION | {"tjanstekonsument": "kons2"}]})
    _, done = ordered(tmp_path, data)
    assert done.changes.changed == {}
    assert [row.consumer for row in done.changes.added.permissions] == ["KONS2"]


def test_exclusions_end_rows_by_address_and_contract_alone(tmp_path: Path) -> None:
    other = ROUTE | {"adress": "https://other/x", "rivtaprofil": "RIVTABP20", "tjanstekomponent": "NOBODY"}
    draft, done = ordered(tmp_path, order_text(None, {"vagval": [other]}))
    assert done.changes.changed == {draft.routes[1]: replace(draft.routes[1], valid_to=date(2024, 9, 30))}
    assert "do not choose the route" in str(done.remarks)
    assert said(done, "Deaktiverad")


def test_excluding_what_does_not_exist_is_a_line_and_no_error(tmp_path: Path) -> None:
    _, done = ordered(tmp_path, order_text(None, {"anropsbehorigheter": [PERMISSION]}))
    assert done.changes.is_empty
    assert said(done, "Existerar ej") == [f"Existerar ej: KONS1 - SE2321-R1 - {LAB}"]


def test_what_the_incumbent_ignores_silently_is_ignored_aloud(tmp_path: Path) -> None:
    named = {"hsaId": "SE2321-r1", "beskrivning": "another name"}
    data = order_text(
        {"logiskadresser": [named], "tjanstekontrakt": [{"namnrymd": LAB, "beskrivning": "x", "majorVersion": 3}]},
        {"tjanstekomponenter": [{"hsaId": "PROD1", "beskrivning": "p"}]},
    )
    _, done = ordered(tmp_path, b"Hello, here is the order:\n" + data + b"\nBest regards")
    assert done.changes.is_empty
    told = [str(one) for one in done.remarks]
    assert any("inkludera.logiskadresser[0]: SE2321-r1 exists" in one and "stays 'region'" in one for one in told)
    assert any("inkludera.tjanstekontrakt[0]" in one and "exists" in one for one in told)
    assert any("exkludera.tjanstekomponenter[0]: component PROD1 is not removed" in one for one in told)
    assert any("characters around the order are ignored" in one for one in told)


def test_new_ids_are_stored_in_capitals_and_found_in_the_order_by_their_own_case_only(tmp_path: Path) -> None:
    new = {"hsaId": "new-1", "beskrivning": " a\nname "}
    wanted = ROUTE | {"logiskAdress": "new-1"}
    _, done = ordered(tmp_path, order_text({"logiskadresser": [new], "vagval": [wanted]}))
    assert [(row.logical_address, row.name) for row in done.changes.added.logical_addresses] == [("NEW-1", "a name")]
    assert done.changes.added.routes[0].logical_address == "NEW-1"
    wrong = order_text({"logiskadresser": [new], "vagval": [ROUTE | {"logiskAdress": "NEW-1"}]})
    assert "case matters within an order" in errors(tmp_path, wrong)[0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (order_text(plattform="Y"), ["plattform: 'Y' is not this platform, which is X"]),
        (order_text(genomforandeTidpunkt="2024-10-01T08:00:00Z"), ["genomforandeTidpunkt: "]),
        (order_text(genomforandeTidpunkt="2024-10-01T08:00:00+01:00"), ["genomforandeTidpunkt: "]),
        (order_text(genomforandeTidpunkt="2024-10-01"), ["genomforandeTidpunkt: "]),
        (order_text(bestallningsTidpunkt=None), ["bestallningsTidpunkt is missing"]),
        (order_text(extra=1), ["extra: unknown key"]),
        (order_text({"vagval": [ROUTE | {"filter": []}]}), ["inkludera.vagval[0].filter: unknown key"]),
        (
            order_text({"tjanstekontrakt": [{"namnrymd": "a", "minorVersion": 1}]}),
            ["inkludera.tjanstekontrakt[0].minorVersion: unknown key"],
        ),
        (
            order_text({"vagval": [ROUTE]}, {"vagval": [ROUTE | {"logiskAdress": "se2321-r1"}]}),
            ["once in an order; to"],
        ),
        (order_text({"anropsbehorigheter": [PERMISSION, PERMISSION]}), ["anropsbehorigheter[1]: the same as"]),
        (
            order_text({"vagval": [ROUTE | {"adress": None, "rivtaprofil": ""}]}),
            ["adress is missing", "rivtaprofil is missing"],
        ),
        (
            order_text(
                {
                    "vagval": [
                        ROUTE | {"adress": "https://a?b=c", "rivtaprofil": "RIVTABP22", "tjanstekontrakt": "urn:x"}
                    ]
                }
            ),
            ["tjanstekontrakt: 'urn:x' neither", "rivtaprofil: 'RIVTABP22' does not exist", "adress: 'https://a?b=c'"],
        ),
        (order_text({"logiskadresser": [{"hsaId": "å", "beskrivning": "x"}]}), ["hsaId: 'å'"]),
        (order_text({"tjanstekomponenter": [{"hsaId": "N"}]}), ["beskrivning is missing"]),
        (order_text({"vagval": {}}), ["inkludera.vagval: expected a list"]),
        (b"{", ["holds no JSON object"]),
        (b'{"plattform": "X", "plattform": "Y"}', ["'plattform' stands twice"]),
        (b"{\n\n nonsense }", ["not JSON"]),
        (b"\xff{}", ["not UTF-8"]),
        (b"{" + b'"a":{' * 100_000 + b"}" * 100_001, [""]),
    ],
)
def test_an_order_with_errors_changes_nothing_and_lists_all_of_the_stage(
    tmp_path: Path, data: bytes, words: list[str]
) -> None:
    found = errors(tmp_path, data)
    for word in words:
        assert any(word in one for one in found), found


def test_two_rows_in_the_period_are_an_error(tmp_path: Path) -> None:
    more = EXAMPLE.replace(
        "permissions:",
        f'- {{logical_address: SE2321-R1, contracts: "{LAB}", producer_address: u1, valid_from: 2124-02-01}}\npermissions:',
    )
    (found,) = errors(tmp_path, order_text({"vagval": [ROUTE]}), more)
    assert "2 rows hold in the order's period, at tables.yaml" in found


EXTENDED: dict[str, Any] = {"formatVersion": 2.0, "genomforandeTidpunkt": "2024-10-01T10:00:00+02:00"}


def test_the_extended_form_has_dates_filters_and_agreements_of_each_item(tmp_path: Path) -> None:
    permission = PERMISSION | {
        "fromTidpunkt": "2025-01-01",
        "tomTidpunkt": "2025-12-31T12:00:00+01:00",
        "integrationsavtal": "avtal 7",
        "filter": [{"servicedomain": "d", "kategorier": ["a"]}],
    }
    route = ROUTE | {"fromTidpunkt": "2025-01-01"}
    draft, done = ordered(tmp_path, order_text({"vagval": [route], "anropsbehorigheter": [permission]}, **EXTENDED))
    (made,) = done.changes.added.permissions
    assert (made.agreement, made.valid_from, made.filters[0].categories) == ("avtal 7", date(2025, 1, 1), ("a",))
    assert str(made.valid_to) == "2025-12-31 12:00:00+01:00"
    assert done.changes.changed == {draft.routes[1]: replace(draft.routes[1], valid_to=date(2024, 12, 31))}


def test_the_extended_form_applied_twice_changes_nothing(tmp_path: Path) -> None:
    same = ROUTE | {"adress": "https://p1/l"}
    _, done = ordered(tmp_path, order_text({"vagval": [same]}, **EXTENDED))
    assert done.changes.is_empty
    assert said(done, "Oförändrad")


def test_a_platform_has_its_own_part(tmp_path: Path) -> None:
    parts = {
        "national": {"inkludera": {"vagval": [ROUTE]}},
        "regional": {"inkludera": {"anropsbehorigheter": [PERMISSION]}},
    }
    order = read_order(order_text(plattformar=parts, plattform=None, **EXTENDED), file="order.json")
    draft = draft_of(tmp_path)
    national = apply_order(order, draft, around("national")).changes.added
    regional = apply_order(order, draft, around("regional")).changes.added
    assert (len(national.routes), len(national.permissions)) == (1, 0)
    assert (len(regional.routes), len(regional.permissions)) == (0, 1)
