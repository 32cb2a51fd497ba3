"""Whom to ask: the filters, their order, and that a plan agrees with what the platform does with a call."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rivta.aggregation.permitted import Asking, permitted
from rivta.aggregation.plan import Permitted, Plan, Reason, plan, to_decide
from rivta.aggregation.question import Question
from rivta.aggregation.services import Asks, Service, services
from rivta.catalogue.decide import DecisionCache, decide
from rivta.catalogue.decision import Outcome
from rivta.catalogue.hsa import HsaTree, Unit
from rivta.router.deviations import Compat
from tests.aggregation.world import ADDRESS, CONSUMER, DIAGNOSIS, Found
from tests.catalogue.tables import NOW, compiled

SERVICE = services({})[DIAGNOSIS]
ALL = Question(patient="191212121212", source="", categories=())
YES, NO = Outcome.ROUTED, Outcome.NO_PERMISSION


def planned(
    *hits: Found,
    service: Service = SERVICE,
    question: Question = ALL,
    refused: tuple[str, ...] = (),
) -> Plan:
    """A plan where all but some addresses may be called."""
    addresses, sources = to_decide(hits, service)
    known = {one: NO if one in refused else YES for one in (*addresses, *sources)}
    return plan(service, question, hits, permitted=Permitted(known, known), own_address=ADDRESS)


def reasons(made: Plan) -> list[Reason]:
    return [one.reason for one in made.filtered]


def test_each_source_system_is_asked_once_in_the_order_of_the_index() -> None:
    made = planned(Found("U1", "B"), Found("U2", "A"), Found("U3", "B"))
    assert made == Plan(("B", "A"), ())


def test_with_one_category_the_index_is_believed() -> None:
    assert planned(Found("A", categorization="voo")).sources == ("A",)


def test_with_several_categories_hits_of_others_are_dropped_in_any_case_of_letters() -> None:
    service = replace(SERVICE, categories=("Dia", "voo"))
    made = planned(Found("A", categorization="DIA"), Found("B", categorization="upp"), service=service)
    assert made.sources == ("A",)
    assert reasons(made) == [Reason.CATEGORY]


def test_only_the_categories_that_a_request_wants_are_kept() -> None:
    wanted = replace(ALL, categories=("2", "3"))
    made = planned(Found("A", categorization="1"), Found("B", categorization="3"), question=wanted)
    assert made.sources == ("B",)


@pytest.mark.parametrize(
    ("hit", "reason"),
    [
        (Found(ADDRESS, "NO", categorization="upp"), Reason.CATEGORY),
        (Found(ADDRESS, "NO"), Reason.OWN_ADDRESS),
        (Found("NO", ADDRESS), Reason.OWN_ADDRESS),
        (Found("NO", "NO-EITHER"), Reason.ADDRESS_REFUSED),
        (Found("OTHER", "NO-EITHER"), Reason.SOURCE_REFUSED),
        (Found("OTHER", "A"), Reason.ANOTHER_SOURCE),
    ],
)
def test_the_first_filter_that_drops_a_hit_is_the_reason(hit: Found, reason: Reason) -> None:
    service = replace(SERVICE, categories=("dia", "voo"))
    made = planned(hit, service=service, question=replace(ALL, source="WANTED"), refused=("NO", "NO-EITHER"))
    assert reasons(made) == [reason]


def test_the_wanted_source_is_compared_with_the_logical_address_and_its_case() -> None:
    wanted = replace(ALL, source="U1")
    made = planned(Found("U1", "A"), Found("u1", "B"), Found("U2", "U1"), question=wanted)
    assert made.sources == ("A",)


def test_a_service_that_asks_logical_addresses_looks_at_them_alone() -> None:
    service = replace(SERVICE, asks=Asks.LOGICAL_ADDRESS)
    made = planned(Found("U1", "S"), Found("U2", "S"), service=service, refused=("S",))
    assert made.sources == ("U1", "U2")


def test_what_was_dropped_stands_there_once() -> None:
    assert len(planned(Found("NO"), Found("NO"), refused=("NO",)).filtered) == 1


# Agreement with the decision engine

ADDRESSES = [
    "SE1-EXACT",
    "SE1-CHILD",
    "SE1-EXPIRED",
    "SE1-ROUTE-ONLY",
    "SE1-PERMISSION-ONLY",
    "A#SE1-EXACT",
    "SE1-NO",
    "",
]
TABLE = f"""
components:
  {CONSUMER}: {{name: consumer}}
producer_addresses:
  p: {{component: {CONSUMER}, url: "https://p.test/", profile: RIVTABP21}}
routes:
  - {{logical_address: [SE1-EXACT, SE1-PARENT, SE1-EXPIRED, SE1-ROUTE-ONLY], contracts: [GetDiagnosis:2], producer_address: p}}
permissions:
  - consumer: {CONSUMER}
    logical_address: [SE1-EXACT, SE1-PARENT, SE1-PERMISSION-ONLY]
    contracts: [GetDiagnosis:2]
    agreement: test
  - consumer: {CONSUMER}
    logical_address: SE1-EXPIRED
    contracts: [GetDiagnosis:2]
    agreement: test
    valid_to: 2025-12-31
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> DecisionCache:
    tree = HsaTree({"SE1-CHILD": Unit("SE1-CHILD", "", "SE1-PARENT"), "SE1-PARENT": Unit("SE1-PARENT", "", None)})
    folder: Path = tmp_path_factory.mktemp("table")
    return DecisionCache(compiled(folder, TABLE, hsa=tree))


hits_of = st.lists(
    st.builds(Found, st.sampled_from(ADDRESSES[:-1]), st.sampled_from(ADDRESSES), st.sampled_from(["dia", "voo"])),
    max_size=30,
)


@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hits=hits_of)
def test_a_source_is_asked_if_and_only_if_the_engine_carries_calls_to_both_addresses(
    cache: DecisionCache, hits: list[Found]
) -> None:
    asking = Asking(CONSUMER, "SE1-ORIGINAL", NOW, Compat())
    known = asyncio.run(permitted(hits, SERVICE, asking, cache))
    made = plan(SERVICE, ALL, hits, permitted=known, own_address=ADDRESS)

    def may_call(address: str) -> bool:
        question = {"sender": CONSUMER, "contract": DIAGNOSIS, "logical_address": address}
        return decide(cache.table, **question, now=NOW).outcome is YES

    expected = {hit.source_system for hit in hits if may_call(hit.logical_address) and may_call(hit.source_system)}
    assert set(made.sources) == expected
    assert len(made.sources) == len(expected)
    # Every hit is accounted for: it led to a call, or is among those that were dropped.
    dropped = {(one.source, one.logical_address) for one in made.filtered}
    assert all(hit.source_system in expected or (hit.source_system, hit.logical_address) in dropped for hit in hits)
