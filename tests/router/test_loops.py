"""Loops are told from round trips: by the history alone, and over platforms that call each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivta.catalogue.decide import DecisionCache
from rivta.router.calling import Calling
from rivta.router.headers import ROUTING_HISTORY
from rivta.router.identify import Withdrawn, identify
from rivta.router.loops import History
from rivta.router.messages import Answer, Headers, Peer, ProducerAnswer, Request, Target
from rivta.router.pipeline import Router
from rivta.router.policy import Policy
from rivta.router.record import CallRecord
from rivta.router.schemas import Schemas
from rivta.soap.identifiers import HsaId
from rivta.tls.header_certificate import HeaderCertificates
from rivta.tls.sender import Sender
from tests.catalogue.tables import NOW, compiled
from tests.router.platforms import Recorder, contracts, fault, question, reply, validators

P, Q = "SE1-P", "SE1-Q"


def history(text: str, *, sender: str = "SE1-S", platform: str = P) -> History:
    return History.read(text, sender=sender, platform=platform)


@pytest.mark.parametrize(
    ("text", "extended"),
    [("", "SE1-S#SE1-P"), ("SE1-A", "SE1-A#SE1-P"), ("SE1-A#SE1-P", "SE1-A#SE1-P#SE1-P"), ("##", "###SE1-P")],
)
def test_a_history_grows_by_this_platform(text, extended):
    assert history(text).extended == extended


@pytest.mark.parametrize(
    ("text", "visits"),
    [("", 0), ("SE1-A#SE1-B", 0), ("SE1-PX", 0), ("se1-p", 0), ("SE1-P", 1), ("SE1-A# SE1-P #SE1-B", 1), (f"{P}#{P}", 2)],
)  # fmt: skip
def test_visits_are_counted_by_whole_names(text, visits):
    assert history(text).visits == visits


@pytest.mark.parametrize(
    ("text", "sender", "onward", "again"),
    [
        pytest.param("SE1-S#SE1-P#SE1-Q", Q, Q, True, id="back from where it would go"),
        pytest.param("SE1-S#SE1-P#SE1-Q#SE1-R", "SE1-R", Q, True, id="back by a third"),
        pytest.param("SE1-S#SE1-P", Q, Q, True, id="back from one that does not enter its name"),
        pytest.param("SE1-S# se1-p # se1-q", Q, Q, True, id="spelled otherwise, and visited by the right spelling"),
        pytest.param("SE1-S#SE1-P", P, P, True, id="from itself to itself"),
        pytest.param("SE1-S#SE1-P#SE1-Q", Q, "SE1-R", False, id="on to another"),
        pytest.param("SE1-S#SE1-Q#SE1-P", "SE1-A", Q, False, id="it came from there, and never went there"),
        pytest.param("SE1-S#SE1-Q", Q, Q, False, id="never here"),
        pytest.param("", Q, Q, False, id="no history"),
    ],
)
def test_a_way_that_was_gone_before_is_known(text, sender, onward, again):
    text = text.replace("se1-p", f"{P}#SE1-X#se1-p")
    assert history(text, sender=sender).leads_again_to(onward) is again


NAMES = st.lists(st.sampled_from([P, Q, "SE1-R", "", " ", "x y"]), max_size=6)


@given(front=NAMES, names=NAMES)
def test_nothing_that_a_consumer_puts_in_front_hides_a_visit_or_a_way(front, names):
    alone, behind = history("#".join(names)), history("#".join([*front, *names]))
    assert behind.visits >= alone.visits
    for onward in (P, Q, "SE1-R"):
        assert behind.leads_again_to(onward) or not alone.leads_again_to(onward)


@dataclass
class Country:
    """Platforms that reach each other by name, without sockets; `hops` are the platforms in the order called."""

    folder: Path
    routers: dict[str, Router] = field(default_factory=dict)
    hops: list[str] = field(default_factory=list)
    producer_saw: list[Headers] = field(default_factory=list)
    records: list[CallRecord] = field(default_factory=list)

    def add(self, name: str, routes: Mapping[str, str], *, marked: bool = True) -> None:
        """A platform with the way of each address: another platform's name, or `producer` or `service`."""
        table = compiled(self.folder / name, _table(routes, marked=marked), variables={})
        others = frozenset(map(HsaId, ("A", "B", "C", "SERVICE")))
        policy = Policy(HsaId(name), "NAME", original_consumer_allowed=others, retry_delay_seconds=0.0)
        cache = DecisionCache(table)
        self.routers[name] = Router(
            policy,
            table=lambda: cache,
            identify=partial(
                identify,
                policy=policy,
                certificates=HeaderCertificates(),
                withdrawn=Withdrawn(lambda caller: False, lambda caller: ""),
            ),
            schemas=Schemas(policy, lambda: (contracts(), validators())),
            calling=Calling(policy, _Wire(self, name)),
            now=lambda: NOW,
            recorder=Recorder(self.records),
        )

    async def call(self, name: str, address: str, *lines: tuple[str, str], sender: str = "J") -> Answer:
        self.hops.append(name)
        assert len(self.hops) < 20, "the call goes round for ever"
        caller = Sender(
            hsa_id=HsaId(sender), subject="", issuer_key=b"", serial=1, not_after=datetime(2030, 1, 1, tzinfo=UTC)
        )
        request = Request("POST", "/vp", {}, lines, question(address), Peer("192.0.2.1", caller))
        return await self.routers[name].carry(request)


@dataclass
class _Wire:
    """What leaves a platform: to the one named by the URL's host, to a producer, or to a service that calls back."""

    country: Country
    sender: str

    async def send(self, target: Target, *, method: str, headers: Headers, body: bytes) -> ProducerAnswer:
        host = target.url.removeprefix("https://").partition(".")[0].upper()
        if host == "PRODUCER":
            self.country.producer_saw.append(headers)
            return ProducerAnswer(200, "OK", (), reply())
        if host == "SERVICE":  # asks for another address, and passes on the headers that it was given
            answer = await self.country.call(self.sender, "UNIT", *headers, sender="SERVICE")
        else:
            address = "UNIT" if b">UNIT<" in body else "ROUND" if b">ROUND<" in body else "SERVICE"
            answer = await self.country.call(host, address, *headers, sender=self.sender)
        return ProducerAnswer(answer.status, "", answer.headers, answer.body)


def _table(routes: Mapping[str, str], *, marked: bool) -> str:
    ways = sorted(set(routes.values()))
    return "\n".join(
        [
            "components:",
            *(f"  {name}: {{name: a consumer}}" for name in ("J", "SERVICE", "PRODUCER")),
            *(f"  {name}: {{name: a platform, platform: {str(marked).lower()}}}" for name in "ABC"),
            "producer_addresses:",
            *(f'  {way}: {{component: {way}, url: "https://{way.lower()}.test/vp", profile: RIVTABP21}}' for way in ways),
            "routes:",
            *(f"  - {{logical_address: {one}, contracts: [GetDiagnosis:2], producer_address: {way}}}" for one, way in routes.items()),
            "permissions:",
            f"  - {{consumer: [J, SERVICE, A, B, C], logical_address: [{', '.join(routes)}], contracts: [GetDiagnosis:2], agreement: test}}",
        ]
    )  # fmt: skip


@pytest.fixture
def country(tmp_path: Path) -> Country:
    return Country(tmp_path)


async def test_two_platforms_that_send_an_address_to_each_other_stop_when_it_comes_back(country):
    country.add("A", {"ROUND": "B"})
    country.add("B", {"ROUND": "A"})
    assert fault(await country.call("A", "ROUND")).code == "VP014"
    assert country.hops == ["A", "B", "A"]
    assert [record.outcome for record in country.records] == ["VP014", "routed", "routed"]
    assert country.records[0].detail == "The call went from here to B before"


async def test_three_platforms_in_a_ring_stop_when_it_comes_back(country):
    for name, onward in ("AB", "BC", "CA"):
        country.add(name, {"ROUND": onward})
    assert fault(await country.call("A", "ROUND")).code == "VP014"
    assert country.hops == ["A", "B", "C", "A"]


async def test_platforms_that_no_table_marks_as_such_stop_after_one_lap_more(country):
    country.add("A", {"ROUND": "B"}, marked=False)
    country.add("B", {"ROUND": "A"}, marked=False)
    assert fault(await country.call("A", "ROUND")).code == "VP014"
    assert country.hops == ["A", "B", "A", "B", "A"]
    assert country.records[0].detail == "The call has been at this platform before: 2"


async def test_a_route_to_ones_own_address_stops_when_it_comes_back(country):
    country.add("A", {"ROUND": "A"})
    assert fault(await country.call("A", "ROUND")).code == "VP014"
    assert country.hops == ["A", "A"]


@pytest.mark.parametrize("text", ["x", "J#A", "A#J", "##", "B#A", "B"])
async def test_no_history_of_a_consumers_own_lets_a_loop_run_on(country, text):
    country.add("A", {"ROUND": "B"})
    country.add("B", {"ROUND": "A"})
    assert fault(await country.call("A", "ROUND", (ROUTING_HISTORY, text))).code == "VP014"
    assert len(country.hops) <= 3


async def test_a_national_service_may_call_back_into_the_region_that_asked_it(country):
    country.add("A", {"SERVICE": "B", "UNIT": "PRODUCER"})
    country.add("B", {"SERVICE": "SERVICE", "UNIT": "A"})
    answer = await country.call("A", "SERVICE")
    assert (answer.status, answer.body) == (200, reply())
    assert country.hops == ["A", "B", "B", "A"]
    (seen,) = country.producer_saw
    assert dict(seen)[ROUTING_HISTORY] == "J#A#B#B#A"
    assert dict(seen)["x-rivta-original-serviceconsumer-hsaid"] == "J"


async def test_platforms_send_to_each_other_both_ways_for_different_addresses(country):
    country.add("A", {"UNIT": "PRODUCER", "SERVICE": "B"})
    country.add("B", {"UNIT": "A", "SERVICE": "PRODUCER"})
    assert (await country.call("B", "UNIT")).status == 200
    assert (await country.call("A", "SERVICE")).status == 200
