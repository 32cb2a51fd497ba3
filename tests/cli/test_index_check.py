"""Whom `rivta index check` asks about whom: bounded, and never silently about nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from rivta.aggregation.services import keys_of, services
from rivta.cli.index_check import NothingToAsk, Wanted, planned
from rivta.index.agreement import Kind
from rivta.soap import namespaces

DIAGNOSIS, CONTACTS_2, CONTACTS_3 = (
    namespaces.GET_DIAGNOSIS_2,
    namespaces.GET_CARE_CONTACTS_2,
    namespaces.GET_CARE_CONTACTS_3,
)
DESCRIPTION, LOGISTICS = "riv:clinicalprocess:healthcond:description", "riv:clinicalprocess:logistics:logistics"


def row(source: str, patient: str, category: str = "dia", newest: str = "20240101000000") -> dict[str, Any]:
    return {
        "sourceSystem": source,
        "logicalAddress": f"{source}-UNIT",
        "serviceDomain": DESCRIPTION if category == "dia" else LOGISTICS,
        "categorization": category,
        "registeredResidentIdentification": patient,
        "mostRecentContent": newest,
    }


@dataclass
class Platform:
    """Its index and its table, as far as they are asked for."""

    rows: Sequence[Mapping[str, Any]]
    outcomes: Mapping[tuple[str, str], str] = field(default_factory=dict)
    page: int = 2
    asked: int = 0

    def ask(self, _verb: str, path: str, content: Mapping[str, Any]) -> Any:
        if path == "/aggregation/services":
            known = services({})
            of = {name: {"contract_name": "x", **keys_of(known[name])} for name in (DIAGNOSIS, CONTACTS_2, CONTACTS_3)}  # type: ignore[index]
            return {"services": of}
        if path == "/explain":
            return {"outcome": self.outcomes.get((content["logical_address"], content["contract"]), "routed")}
        assert path == "/index/engagements"
        self.asked += 1
        start = int(content.get("after", "0"))
        rows = [one for one in self.rows if content.get("patient") in (None, one["registeredResidentIdentification"])]
        end = start + self.page
        return {"engagements": rows[start:end], "after": str(end) if end < len(rows) else None}


def plan(platform: Platform, *, sources: tuple[str, ...] = (), patients: tuple[str, ...] = (), most: int = 100) -> Any:
    return planned(Wanted(sources, (DIAGNOSIS,), patients, most), platform.ask, sender="C")


def test_a_source_is_asked_about_every_patient_of_the_index_those_that_it_announced_first() -> None:
    platform = Platform([row("A", "P2"), row("B", "P1"), row("B", "P3")])
    found = plan(platform)
    assert {one.source: one.patients for one in found.jobs} == {"A": ("P2", "P1", "P3"), "B": ("P1", "P3", "P2")}
    assert platform.asked == 2  # page by page
    assert plan(platform, sources=("A",)).jobs == found.jobs[:1]


def test_the_newest_of_several_engagements_is_what_is_announced() -> None:
    found = plan(Platform([row("A", "P", newest="20250101000000"), row("A", "P"), row("A", "P", newest="")]))
    assert list(found.announced.values()) == ["20250101000000"]


def test_a_contract_that_a_source_has_no_route_for_is_not_asked_by() -> None:
    platform = Platform([row("A", "P", "vko")], {("A", CONTACTS_2): "VP004", ("A", DIAGNOSIS): "VP004"})
    found = planned(Wanted((), (), (), 100), platform.ask, sender="C")
    assert [one.service.contract for one in found.jobs] == [CONTACTS_3]
    assert found.unreachable == ()


def test_what_no_contract_fetches_is_told() -> None:
    (found,) = plan(Platform([row("A", "P")], {("A", DIAGNOSIS): "VP007"})).unreachable
    assert (found.kind, found.text, found.source) == (Kind.UNREACHABLE, "dia: VP007", "A")


def test_a_named_source_that_nothing_can_be_asked_of_is_a_mistake_and_no_agreement() -> None:
    with pytest.raises(NothingToAsk, match=r"X can be asked by none of these contracts \(VP004\)"):
        plan(Platform([row("A", "P")], {("X", DIAGNOSIS): "VP004"}), sources=("X",))


def test_there_are_no_more_calls_than_wanted_and_the_others_are_counted() -> None:
    platform = Platform([row(source, f"P{number}") for source in "ABC" for number in range(10)], page=100)
    found = plan(platform, most=7)
    assert sum(len(one.patients) for one in found.jobs) == 7
    assert found.left_out == 23
    assert all(one.patients for one in found.jobs)  # each source has its share


def test_one_patient_is_asked_for_at_the_index_already() -> None:
    found = plan(Platform([row("A", "P1"), row("A", "P2")], page=1), patients=("P2",))
    assert [one.patients for one in found.jobs] == [("P2",)]
    assert list(found.announced) == [("A", DESCRIPTION, "dia", "P2")]
