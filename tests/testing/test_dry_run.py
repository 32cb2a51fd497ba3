"""Calls that were made, decided by another table."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rivta.catalogue.decide import decide
from rivta.catalogue.decision import Outcome
from rivta.catalogue.files import read_draft
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.sides import opened_side
from rivta.catalogue.table import Table
from rivta.router.record import CallRecord
from rivta.testing.dry_run import Change, Made, change_of, dry_run, made_of_record
from tests.testing.messages import CONTRACTS, DIAGNOSIS

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ROWS = """
components: {SE1-P: {name: P}, SE1-C: {name: C}}
producer_addresses:
  p: {component: SE1-P, url: "https://p/", profile: RIVTABP21}
  v: {component: SE1-P, url: "${elsewhere}", profile: RIVTABP21}
routes:
  - {logical_address: SE1-A, contracts: [GetDiagnosis:2], producer_address: p}
  - {logical_address: SE1-B, contracts: [GetDiagnosis:2], producer_address: p, valid_to: 2026-12-31}
  - {logical_address: SE1-V, contracts: [GetDiagnosis:2], producer_address: v}
permissions:
  - {consumer: SE1-C, logical_address: [SE1-A, SE1-B, SE1-V], contracts: [GetDiagnosis:2], agreement: a}
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Iterator[Table]:
    folder = tmp_path_factory.mktemp("tables")
    (folder / "rows.yaml").write_text(ROWS)
    reading = read_draft(folder, contracts=CONTRACTS)
    assert not reading.problems
    with opened_side(reading.draft, HsaTree({})) as side:
        yield side.table


def record(address: str, outcome: str, *, sender: str | None = "SE1-C", url: str | None = None) -> CallRecord:
    return CallRecord(
        id="1",
        time=NOW.isoformat(),
        platform="SE1-T",
        correlation_id="c",
        outcome=outcome,
        sender=sender,
        contract=DIAGNOSIS,
        logical_address=address,
        producer_url=url,
    )


@pytest.mark.parametrize(
    ("address", "outcome", "url", "change"),
    [
        ("SE1-A", "routed", "https://p/", Change.SAME),
        ("SE1-A", "routed", "https://other/", Change.REROUTED),
        ("SE1-A", "VP009", "https://p/", Change.SAME),
        ("SE1-A", "VP007", "https://p/", Change.GAINED),
        ("SE1-A", "VP004", None, Change.GAINED),
        ("SE1-X", "routed", "https://p/", Change.LOST),
        ("SE1-X", "VP009", "https://p/", Change.LOST),
        ("SE1-X", "VP004", None, Change.SAME),
        ("SE1-X", "VP007", "https://p/", Change.REFUSED_OTHERWISE),
        ("SE1-A", "VP015", None, Change.NOT_COMPARABLE),
        ("SE1-A", "http-413", None, Change.NOT_COMPARABLE),
        ("SE1-V", "routed", "https://resolved/", Change.SAME),
    ],
)
def test_what_becomes_of_a_call_is_told_by_what_the_table_said_then(table, address, outcome, url, change) -> None:
    found = dry_run(table, [made_of_record(record(address, outcome, url=url))], now=NOW)
    assert found.totals[change] == 1
    assert sum(found.totals.values()) == found.calls == 1


def test_calls_that_are_alike_are_one_effect_and_the_worst_come_first(table) -> None:
    calls = [record("SE1-A", "VP007")] * 3 + [record("SE1-X", "routed", url="https://p/")] * 2
    found = dry_run(table, map(made_of_record, calls), now=NOW)
    assert [(one.change, one.calls) for one in found.effects] == [(Change.LOST, 2), (Change.GAINED, 3)]


def test_calls_of_unknown_senders_are_counted_apart(table) -> None:
    found = dry_run(table, [made_of_record(record("SE1-A", "VP002", sender=None))], now=NOW)
    assert (found.calls, found.left_out, found.effects) == (1, 1, ())


def test_another_time_is_another_decision(table) -> None:
    made = [made_of_record(record("SE1-B", "routed", url="https://p/"))]
    assert dry_run(table, made, now=NOW).totals[Change.SAME] == 1
    assert dry_run(table, made, now=NOW + timedelta(days=60)).totals[Change.LOST] == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.builds(
            Made,
            st.sampled_from(["SE1-C", "SE1-D"]),
            st.sampled_from([DIAGNOSIS, "urn:x", None]),
            st.sampled_from(["SE1-A", "SE1-X", "", None]),
            st.sampled_from([None, *Outcome]),
            st.sampled_from([None, "https://p/"]),
        ),
        max_size=20,
    )
)
def test_every_call_is_decided_as_the_engine_decides_it(table, calls) -> None:
    found = dry_run(table, calls, now=NOW)
    wanted = dict.fromkeys(Change, 0)
    for made in calls:
        decision = decide(
            table, sender=made.sender, contract=made.contract, logical_address=made.logical_address, now=NOW
        )
        wanted[change_of(made, decision)] += 1
    assert found.totals == wanted
    assert sum(one.calls for one in found.effects) == len(calls) - wanted[Change.SAME]
