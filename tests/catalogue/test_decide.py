"""The decision engine against the incumbent's rules: which route, which permission, and which outcome wins."""

import dataclasses
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rivta.catalogue import content
from rivta.catalogue.compile import compile_table
from rivta.catalogue.decide import DecisionCache, decide, explain, hold
from rivta.catalogue.decision import Decision, Outcome
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.rows import (
    Draft,
    PermissionRow,
    Place,
    ProducerAddress,
    Resolution,
    RouteRow,
    closes,
    opens,
)
from rivta.catalogue.table import Table
from rivta.soap.identifiers import ContractNamespace, HsaId, LogicalAddress, Profile
from tests.catalogue.tables import CONTACTS, DIAGNOSIS, NOW, compiled, tree

BOOKINGS = "urn:riv:crm:scheduling:GetBookingsResponder:1"
LAB = "urn:riv:clinicalprocess:x:GetLabResponder:3"

WORKED_EXAMPLE = f"""\
producer_addresses:
  U1: {{component: PROD1, url: "https://p1/b", profile: RIVTABP21}}
  U2: {{component: PROD1, url: "https://p1/l", profile: RIVTABP21}}
  U3: {{component: PROD1, url: "https://nat/l", profile: RIVTABP20}}
routes:
- {{logical_address: SE2321-A1, contracts: "{BOOKINGS}", producer_address: U1, valid_from: 2024-01-01, valid_to: 2124-01-01}}
- {{logical_address: SE2321-R1, contracts: "{LAB}", producer_address: U2, valid_from: 2024-01-01, valid_to: 2124-01-01}}
- {{logical_address: "*", contracts: "{LAB}", producer_address: U3, valid_from: 2024-01-01, valid_to: 2124-01-01}}
permissions:
- {{logical_address: SE2321-R1, consumer: KONS1, contracts: "{BOOKINGS}", valid_from: 2024-01-01, valid_to: 2124-01-01, agreement: "1"}}
- {{logical_address: "*", consumer: KONS1, contracts: "{LAB}", valid_from: 2024-01-01, valid_to: 2124-01-01, agreement: "2"}}
- {{logical_address: SE2321-R1, consumer: KONS2, contracts: "{LAB}", valid_from: 2024-01-01, valid_to: 2024-06-30, agreement: "3"}}
"""
WORKED_TREE = tree(SE2321_R1=None, SE2321_A1="SE2321-R1")


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return compiled(tmp_path_factory.mktemp("worked"), WORKED_EXAMPLE, hsa=WORKED_TREE)


@pytest.mark.parametrize(
    ("sender", "contract", "address", "outcome", "url", "route_trace", "permission_trace"),
    [
        ("KONS1", BOOKINGS, "SE2321-A1", "routed", "https://p1/b", "SE2321-A1", "SE2321-A1,(default),*,(parent),SE2321-R1"),
        ("KONS1", LAB, "SE2321-A1", "routed", "https://p1/l", "SE2321-A1,(parent),SE2321-R1", "SE2321-A1,(default),*"),
        ("KONS1", LAB, "SE9999", "routed", "https://nat/l", "SE9999,(parent),SE,(default),*", "SE9999,(default),*"),
        ("KONS2", LAB, "SE2321-A1", "VP007", "https://p1/l", "SE2321-A1,(parent),SE2321-R1", "SE2321-A1,(default),*,(parent),SE2321-R1,SE"),
        ("KONS2", BOOKINGS, "SE2321-R1", "VP004", None, "SE2321-R1,(parent),SE,(default),*", ""),
    ],
)  # fmt: skip
def test_the_worked_example(
    worked: Table, sender: str, contract: str, address: str, outcome: str, url: str | None, route_trace: str, permission_trace: str
) -> None:  # fmt: skip
    now = datetime(2024, 9, 1, 12, tzinfo=UTC)
    found = decide(worked, sender=sender, contract=contract, logical_address=address, now=now)
    assert found.outcome.value == outcome
    assert (found.route.url if found.route else None) == url
    assert (found.route_trace, found.permission_trace) == (route_trace, permission_trace)


def test_the_worked_examples_default_route_goes_out_as_profile_20(worked: Table) -> None:
    found = decide(worked, sender="KONS1", contract=LAB, logical_address="SE9999", now=NOW)
    assert found.route is not None
    assert found.route.profile is Profile.RIVTABP20


@pytest.mark.parametrize(
    ("now", "outcome"),
    [
        ("2023-12-31T22:59:59Z", Outcome.NO_ROUTE),
        ("2023-12-31T23:00:00Z", Outcome.ROUTED),
        ("2024-06-30T21:59:59.999999Z", Outcome.ROUTED),
        ("2024-06-30T22:00:00Z", Outcome.NO_PERMISSION),
    ],
)
def test_days_open_and_close_at_swedish_midnight(worked: Table, now: str, outcome: Outcome) -> None:
    moment = datetime.fromisoformat(now)
    found = decide(worked, sender="KONS2", contract=LAB, logical_address="SE2321-R1", now=moment)
    assert found.outcome is outcome


PRODUCER = "producer_addresses: {a: {component: C, url: 'https://a.test/'}}\n"


def table_of(
    folder: Path, *, routes: str = "", permissions: str = "", resolution: str = "{}", **parents: str | None
) -> Table:
    """A table with routes and permissions for GetDiagnosis at the addresses given, for consumer K."""
    route = "- {logical_address: '%s', contracts: GetDiagnosis:2, producer_address: a}\n"
    permission = "- {logical_address: '%s', contracts: GetDiagnosis:2, consumer: K, agreement: x}\n"
    text = f"{PRODUCER}resolution: {resolution}\nroutes:\n{''.join(route % one for one in routes.split())}"
    text += f"permissions:\n{''.join(permission % one for one in permissions.split())}"
    return compiled(folder, text, hsa=tree(**parents))


def ask(table: Table, address: str | None, *, sender: str = "K", contract: str | None = DIAGNOSIS) -> Decision:
    return decide(table, sender=sender, contract=contract, logical_address=address, now=NOW)


# Every shape of trace that the incumbent writes.


def test_trace_of_an_unknown_address_with_a_default_route(tmp_path: Path) -> None:
    assert ask(table_of(tmp_path, routes="*"), "X").route_trace == "X,(parent),SE,(default),*"


def test_trace_of_a_climb_that_ends_at_a_hit(tmp_path: Path) -> None:
    table = table_of(
        tmp_path,
        routes="SE0000000003-1234",
        SE0000000001_1234="SE0000000002-1234",
        SE0000000002_1234="SE0000000003-1234",
        SE0000000003_1234=None,
    )
    expected = "SE0000000001-1234,(parent),SE0000000002-1234,SE0000000003-1234"
    assert ask(table, "SE0000000001-1234").route_trace == expected


def test_trace_of_a_delimiter_address(tmp_path: Path) -> None:
    found = ask(table_of(tmp_path, routes="A", permissions="A"), "A#B")
    assert found.outcome is Outcome.ROUTED
    assert (found.route_trace, found.permission_trace) == ("(leaf),B,A", "(leaf),B,A")


def test_trace_of_a_permission_that_is_nowhere(tmp_path: Path) -> None:
    assert ask(table_of(tmp_path, routes="X"), "X").permission_trace == "X,(default),*,(parent),SE"


@pytest.mark.parametrize(
    ("address", "resolution"),
    [
        ("A#B#C", "{}"),
        ("A#B", "{delimiter_contracts: [GetCareContacts:3]}"),
        ("A#B", "{delimiter_senders: [L]}"),
        ("A#B", "{delimiter_senders: [k]}"),
    ],
    ids=["three parts", "contract", "sender", "sender in another case"],
)
def test_trace_of_delimiter_parameters_that_are_not_allowed(tmp_path: Path, address: str, resolution: str) -> None:
    found = ask(table_of(tmp_path, routes="A", permissions="A", resolution=resolution), address)
    assert (found.outcome, found.permission_trace) == (Outcome.NO_PERMISSION, "(leaf),Invalid parameters")


# The rules of the look-ups.


@pytest.mark.parametrize(
    ("routes", "hit"),
    [("X R SE *", "X"), ("R SE *", "R"), ("SE *", "SE"), ("*", "*")],
)
def test_routes_are_looked_for_exactly_then_up_the_tree_then_by_default(tmp_path: Path, routes: str, hit: str) -> None:
    found = ask(table_of(tmp_path, routes=routes, X="R", R=None), "X").route
    assert found is not None
    assert found.logical_address == hit


@pytest.mark.parametrize(
    ("permissions", "hit"),
    [("X * R SE", "X"), ("* R SE", "*"), ("R SE", "R"), ("SE", "SE")],
)
def test_permissions_are_looked_for_exactly_then_by_default_then_up_the_tree(
    tmp_path: Path, permissions: str, hit: str
) -> None:
    found = ask(table_of(tmp_path, routes="X", permissions=permissions, X="R", R=None), "X").permission
    assert found is not None
    assert found.logical_address == hit


def test_rows_match_in_any_case_but_the_tree_does_not(tmp_path: Path) -> None:
    table = table_of(tmp_path, routes="Hospital", permissions="HOSPITAL", Clinic="Hospital", Hospital=None)
    assert ask(table, "hospital", sender="k", contract=DIAGNOSIS.upper()).outcome is Outcome.ROUTED
    assert ask(table, "Clinic").outcome is Outcome.ROUTED
    assert ask(table, "CLINIC").route_trace == "CLINIC,(parent),SE,(default),*"


def test_blanks_around_an_address_are_part_of_it(tmp_path: Path) -> None:
    assert ask(table_of(tmp_path, routes="X", permissions="X"), " X").outcome is Outcome.NO_ROUTE


def test_the_root_does_not_climb(tmp_path: Path) -> None:
    assert ask(table_of(tmp_path), "SE").route_trace == "SE,(default),*"


def test_an_excepted_contract_does_not_climb(tmp_path: Path) -> None:
    rules = "{hsa_climb: {except: ['urn:riv:clinicalprocess:healthcond']}}"
    table = table_of(tmp_path, routes="SE", resolution=rules)
    assert ask(table, "X").route_trace == "X,(default),*"
    assert ask(table, "X", contract=CONTACTS).route_trace == "X,(parent),SE,(default),*"


def test_climbing_is_a_setting_of_each_look_up(tmp_path: Path) -> None:
    found = ask(table_of(tmp_path, routes="SE", resolution="{hsa_climb: {permissions: false}}"), "X")
    assert (found.route_trace, found.permission_trace) == ("X,(parent),SE", "X,(default),*")


@pytest.mark.parametrize(
    ("delimiter", "address", "trace"),
    [
        ("#", "A#B#C", "(leaf),C,B,A"),
        ("#", "A#", "(leaf),A"),
        ("#", "#", "(leaf)"),
        ("#", "A#A", "(leaf),A"),
        ("#", "A#B#A", "(leaf),B,A"),
        ("::", "A::B:C", "(leaf),C,B,A"),
        ("::", "A:B", "A:B,(parent),SE,(default),*"),
        ("", "A#B", "A#B,(parent),SE,(default),*"),
    ],
)
def test_a_delimiter_address_is_tried_last_part_first_and_nowhere_else(
    tmp_path: Path, delimiter: str, address: str, trace: str
) -> None:
    table = table_of(tmp_path, resolution=f"{{delimiter: '{delimiter}'}}")
    assert ask(table, address).route_trace == trace


def test_a_delimiter_address_does_not_fall_on_to_default_rows(tmp_path: Path) -> None:
    assert ask(table_of(tmp_path, routes="* SE A#B", permissions="*"), "A#B").outcome is Outcome.NO_ROUTE


# The order in which outcomes win.


@pytest.mark.parametrize("address", [None, "", "  ", "\n"])
def test_no_receiver_wins_over_everything(tmp_path: Path, address: str | None) -> None:
    assert ask(table_of(tmp_path, routes="*"), address) == Decision(Outcome.NO_RECEIVER, None, None, "", "")


def test_several_routes_win_over_a_missing_url_and_a_missing_permission(tmp_path: Path) -> None:
    found = ask(table_of(tmp_path, routes="X X"), "X")
    assert (found.outcome, found.route, found.permission_trace) == (Outcome.SEVERAL_ROUTES, None, "")


def test_several_routes_are_refused_even_if_their_profiles_differ(tmp_path: Path) -> None:
    text = """\
        producer_addresses:
          a: {component: C, url: "https://a.test/", profile: RIVTABP20}
          b: {component: C, url: "https://a.test/", profile: RIVTABP21}
        routes:
        - {logical_address: X, contracts: GetDiagnosis:2, producer_address: a}
        - {logical_address: X, contracts: GetDiagnosis:2, producer_address: b}
        """
    assert ask(compiled(tmp_path, text), "X").outcome is Outcome.SEVERAL_ROUTES


def test_a_missing_url_wins_over_a_missing_permission(tmp_path: Path) -> None:
    text = "producer_addresses: {a: {component: C, url: '${empty}'}}\nroutes: [{logical_address: X, contracts: GetDiagnosis:2, producer_address: a}]"
    found = ask(compiled(tmp_path, text, variables={"empty": " "}), "X")
    assert (found.outcome, found.permission_trace) == (Outcome.NO_URL, "")
    assert found.route is not None


def test_a_missing_route_wins_over_a_missing_permission(tmp_path: Path) -> None:
    assert ask(table_of(tmp_path), "X").outcome is Outcome.NO_ROUTE


def test_an_empty_body_has_no_route(tmp_path: Path) -> None:
    assert ask(table_of(tmp_path, routes="*"), "X", contract=None).outcome is Outcome.NO_ROUTE


def test_a_time_without_zone_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        decide(table_of(tmp_path), sender="K", contract=DIAGNOSIS, logical_address="X", now=datetime(2024, 1, 1))  # noqa: DTZ001


# Against an implementation of the specification's text, written apart from the engine.


class Reference:
    """Routing as the incumbent does it: plain lists, no index, no cache."""

    def __init__(self, draft: Draft, hsa: HsaTree) -> None:
        self.draft, self.hsa, self.rules = draft, hsa, draft.resolution or Resolution()

    def decide(self, sender: str, contract: str, receiver: str, now: datetime) -> tuple[str, str, str, str, str]:
        """Outcome, place of the route, of the permission, and both traces."""
        if not receiver.strip():
            return "VP003", "", "", "", ""
        routes, route_trace = self.search(
            receiver,
            contract,
            now,
            self.draft.routes,
            ["own", "climb", "default"],
            climb=self.rules.climb_routes,
            delimited=True,
        )
        if not routes:
            return "VP004", "", "", route_trace, ""
        if len(routes) > 1:
            return "VP006", "", "", route_trace, ""
        mine = [row for row in self.draft.permissions if row.consumer.lower() == sender.lower()]
        parts = list(dict.fromkeys(part for part in re.split("[" + re.escape(self.rules.delimiter) + "]", receiver) if part)) if self.rules.delimiter else []  # fmt: skip
        allowed = (
            len(parts) <= 2
            and (not self.rules.delimiter_contracts or contract in self.rules.delimiter_contracts)
            and (not self.rules.delimiter_senders or sender in self.rules.delimiter_senders)
        )
        permissions, permission_trace = self.search(
            receiver,
            contract,
            now,
            mine,
            ["own", "default", "climb"],
            climb=self.rules.climb_permissions,
            delimited=allowed,
        )
        place = str(routes[0].place)
        if not permissions:
            return "VP007", place, "", route_trace, permission_trace
        return "routed", place, "any", route_trace, permission_trace

    def search(
        self,
        receiver: str,
        contract: str,
        now: datetime,
        rows: Any,
        order: list[str],
        *,
        climb: bool,
        delimited: bool,
    ) -> tuple[list[Any], str]:
        delimiter = self.rules.delimiter
        if delimiter and delimiter in receiver:
            if not delimited:
                return [], "(leaf),Invalid parameters"
            trace = ["(leaf)"]
            parts: list[str] = []
            for part in re.split("[" + re.escape(delimiter) + "]", receiver):
                if part and part not in parts:
                    parts.insert(0, part)
            for part in parts:
                trace.append(part)
                if hits := self.valid(part, contract, now, rows):
                    return hits, ",".join(trace)
            return [], ",".join(trace)
        if any(contract.startswith(prefix) for prefix in self.rules.climb_except):
            climb = not climb
        trace = []
        for step in order:
            addresses = {"own": [receiver], "default": ["*"], "climb": list(self.above(receiver)) if climb else []}[
                step
            ]
            marker = {"own": [], "default": ["(default)"], "climb": ["(parent)"]}[step]
            trace += marker if addresses else []
            for address in addresses:
                trace.append(address)
                if hits := self.valid(address, contract, now, rows):
                    return hits, ",".join(trace)
        return [], ",".join(trace)

    def above(self, unit: str) -> Iterator[str]:
        while unit != "SE":
            known = self.hsa.units.get(unit)
            unit = (known.parent if known else None) or "SE"
            yield unit

    def valid(self, address: str, contract: str, now: datetime, rows: Any) -> list[Any]:
        return [
            row
            for row in rows
            if row.logical_address.lower() == address.lower()
            and row.contract.lower() == contract.lower()
            and (opens(row.valid_from) or now) <= now
            and now < (closes(row.valid_to) or datetime.max.replace(tzinfo=UTC))
        ]


ADDRESSES = ["A", "a", "B", "C", "SE", "*"]
RECEIVERS = [*ADDRESSES, "c", "X", "A#B", "A#A", "B#A#C", "#", " A", ""]
CONTRACTS = [DIAGNOSIS, CONTACTS]
TODAY = date(2026, 11, 24)

_bounds = st.none() | st.sampled_from([TODAY + timedelta(days=days) for days in (-2, -1, 0, 1, 2)]) | st.just(NOW)


def _place(number: int) -> Place:
    return Place("t.yaml", number)


@st.composite
def _drafts(draw: st.DrawFn) -> Draft:
    routes = draw(
        st.lists(st.tuples(st.sampled_from(ADDRESSES), st.sampled_from(CONTRACTS), _bounds, _bounds), max_size=8)
    )
    permissions = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["K", "k", "L"]),
                st.sampled_from(ADDRESSES),
                st.sampled_from(CONTRACTS),
                _bounds,
                _bounds,
            ),
            max_size=8,
        )
    )
    rules = Resolution(
        climb_routes=draw(st.booleans()),
        climb_permissions=draw(st.booleans()),
        climb_except=draw(st.sampled_from([(), ("urn:riv:clinicalprocess:healthcond",), ("urn:riv:",), ("URN:",)])),
        delimiter=draw(st.sampled_from(["#", "", "#:"])),
        delimiter_contracts=draw(st.sampled_from([(), (DIAGNOSIS,)])),
        delimiter_senders=draw(st.sampled_from([(), (HsaId("K"),)])),
    )
    return Draft(
        producer_addresses=(
            ProducerAddress("a", HsaId("P"), "https://a.test/", Profile.RIVTABP21, None, None, _place(1)),
        ),
        routes=tuple(
            RouteRow(LogicalAddress(address), ContractNamespace(contract), "a", first, last, _place(number + 2))
            for number, (address, contract, first, last) in enumerate(routes)
        ),
        permissions=tuple(
            PermissionRow(
                HsaId(consumer),
                LogicalAddress(address),
                ContractNamespace(contract),
                "x",
                first,
                last,
                (),
                _place(number + 50),
            )
            for number, (consumer, address, contract, first, last) in enumerate(permissions)
        ),
        resolution=rules,
    )


@st.composite
def _trees(draw: st.DrawFn) -> HsaTree:
    units: dict[str, str | None] = {}
    for unit in draw(st.permutations(["A", "a", "B", "C", "D"])):
        units[unit] = draw(st.none() | st.sampled_from(["SE", *units]))
    kept = draw(st.sampled_from([units, {}]))
    return tree(**kept)


_moments = st.sampled_from([NOW + timedelta(days=days) for days in (-3, -1, 0, 1, 3)])


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(draft=_drafts(), hsa=_trees(), moments=st.lists(_moments, min_size=1, max_size=3))
def test_it_decides_as_the_specification_says_and_explains_the_same(
    tmp_path_factory: pytest.TempPathFactory, draft: Draft, hsa: HsaTree, moments: list[datetime]
) -> None:
    folder = tmp_path_factory.mktemp("table")
    table = Table.open(compile_table(content.encode(draft), hsa=hsa, variables={}, folder=folder))
    reference = Reference(draft, hsa)
    cache = DecisionCache(table, size=7)
    for now in moments:
        for receiver in RECEIVERS:
            for sender in ("K", "k"):
                for contract in (DIAGNOSIS, CONTACTS.upper()):
                    question = {"sender": sender, "contract": contract, "logical_address": receiver, "now": now}
                    found = decide(table, **question)  # type: ignore[arg-type]
                    route = found.route.source if found.route else ""
                    permission = "any" if found.permission else ""
                    got = (found.outcome.value, route, permission, found.route_trace, found.permission_trace)
                    assert got == reference.decide(sender, contract, receiver, now)
                    assert explain(table, **question).decision == found  # type: ignore[arg-type]
                    assert cache.decide(**question) == found  # type: ignore[arg-type]


@settings(max_examples=40)
@given(draft=_drafts(), hsa=_trees(), receiver=st.sampled_from(RECEIVERS))
def test_a_decision_is_the_same_for_as_long_as_it_holds(
    tmp_path_factory: pytest.TempPathFactory, draft: Draft, hsa: HsaTree, receiver: str
) -> None:
    folder = tmp_path_factory.mktemp("table")
    table = Table.open(compile_table(content.encode(draft), hsa=hsa, variables={}, folder=folder))
    holding = hold(table, sender="K", contract=DIAGNOSIS, logical_address=receiver, now=NOW)
    assert holding.since <= NOW < holding.until
    moments = [NOW + timedelta(hours=hours) for hours in range(-80, 80, 7)]
    moments += [holding.since, holding.until - timedelta(microseconds=1)]
    for now in moments:
        if holding.since <= now < holding.until:
            found = decide(table, sender="K", contract=DIAGNOSIS, logical_address=receiver, now=now)
            assert found == holding.decision


# The cache.


def test_a_cached_decision_ends_when_a_row_closes_or_opens(tmp_path: Path) -> None:
    text = (
        PRODUCER
        + """\
routes:
- {logical_address: X, contracts: GetDiagnosis:2, producer_address: a, valid_to: 2026-11-23}
- {logical_address: X, contracts: GetDiagnosis:2, producer_address: a, valid_from: 2026-11-25}
"""
    )
    cache = DecisionCache(compiled(tmp_path, text))
    days = [datetime(2026, 11, day, 12, tzinfo=UTC) for day in (23, 24, 25, 24, 23)]
    outcomes = [cache.decide(sender="K", contract=DIAGNOSIS, logical_address="X", now=now).outcome for now in days]
    valid, gone = Outcome.NO_PERMISSION, Outcome.NO_ROUTE
    assert outcomes == [valid, gone, valid, gone, valid]


def test_a_flood_of_invented_addresses_does_not_fill_the_memory(tmp_path: Path) -> None:
    cache = DecisionCache(table_of(tmp_path, routes="*"), size=10)
    for number in range(100):
        cache.decide(sender="K", contract=DIAGNOSIS, logical_address=f"X{number}", now=NOW)
    assert len(cache) == 10


def test_nor_does_one_of_long_addresses(tmp_path: Path) -> None:
    cache = DecisionCache(table_of(tmp_path, routes="*"))
    for number in range(10):
        cache.decide(sender="K", contract=DIAGNOSIS, logical_address=f"{number}{'x' * 400}", now=NOW)
    assert len(cache) == 0


def test_the_same_question_gives_the_very_same_decision(tmp_path: Path) -> None:
    cache = DecisionCache(table_of(tmp_path, routes="X", permissions="X"))
    first = cache.decide(sender="K", contract=DIAGNOSIS, logical_address="X", now=NOW)
    assert cache.decide(sender="K", contract=DIAGNOSIS, logical_address="X", now=NOW) is first


def test_a_route_carries_all_that_the_row_and_its_producer_address_say(tmp_path: Path) -> None:
    text = """\
        components: {P: {name: p, platform: true}}
        producer_addresses: {a: {component: P, url: "https://a.test/x?y", profile: rivtabp20, client_certificate: c, ca: d}}
        routes: [{logical_address: X, contracts: GetDiagnosis:2, producer_address: a, valid_from: 2024-01-01}]
        """
    route = ask(compiled(tmp_path, text), "X").route
    assert route is not None
    assert dataclasses.asdict(route) == {
        "logical_address": "X",
        "contract": DIAGNOSIS,
        "producer_address": "a",
        "component": "P",
        "url": "https://a.test/x?y",
        "profile": Profile.RIVTABP20,
        "valid_from": datetime(2023, 12, 31, 23, tzinfo=UTC),
        "valid_to": None,
        "source": "tables.yaml:3",
        "platform": True,
        "client_certificate": "c",
        "ca": "d",
    }


def test_of_a_delimiter_address_fifty_parts_are_looked_at(tmp_path: Path) -> None:
    table = table_of(tmp_path, routes="X")
    address = "#".join(f"A{number}" for number in range(1000))
    found = decide(table, sender="K", contract=DIAGNOSIS, logical_address=address, now=NOW)
    assert (found.outcome, found.route_trace.count(",")) == (Outcome.NO_ROUTE, 50)
