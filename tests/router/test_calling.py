"""Calling producers within the platform's limits: when one is not asked, and what a call says of the producer."""

import asyncio
import itertools
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest

from rivta.catalogue.decision import Route
from rivta.router.calling import Calling
from rivta.router.deviations import Compat, Insecure
from rivta.router.messages import ProducerAnswer, ProducerFailure, Target, Trouble
from rivta.router.policy import Policy
from rivta.soap.faults import Refused
from rivta.soap.identifiers import HsaId, LogicalAddress, Profile
from tests.catalogue.tables import DIAGNOSIS
from tests.support import until_true

ROUTE = Route(
    LogicalAddress("*"), DIAGNOSIS, "p", HsaId("SE1-P"), "https://p.test/x", Profile.RIVTABP21, None, None, "t:1"
)
ANSWER = ProducerAnswer(500, "Internal Server Error", (), b"<fault/>")


class Producer:
    """Does the same each time: raises a trouble, or answers."""

    def __init__(self, does: Trouble | ProducerAnswer = ANSWER) -> None:
        self.does = does
        self.asked: list[Target] = []
        self.wait: asyncio.Event | None = None

    async def send(self, target: Target, **request: Any) -> ProducerAnswer:
        self.asked.append(target)
        if self.wait is not None:
            await self.wait.wait()
        if isinstance(self.does, Trouble):
            raise ProducerFailure(self.does, "words")
        return self.does


@pytest.fixture
def producer() -> Producer:
    return Producer()


def calling(producer: Producer, platforms: Collection[str] = (), **policy: Any) -> Calling:
    chosen = {"retry_attempts": 0, "retry_delay_seconds": 0.0} | policy
    return Calling(Policy(HsaId("SE1-PLATFORM"), "NAME", **chosen), producer, is_platform=platforms.__contains__)


_senders = itertools.count()


async def call(calling: Calling, address: str = "SE1-UNIT", route: Route = ROUTE, sender: str = "") -> str:
    """The fault's detail, or nothing. Without a sender, one that did not call before."""
    sender = sender or f"SE1-SENDER-{next(_senders)}"
    try:
        await calling.call(route, sender=sender, logical_address=address, method="POST", headers=(), body=b"")
    except Refused as refused:
        return refused.detail
    return ""


async def calls(calling: Calling, times: int, **where: Any) -> None:
    for _ in range(times):
        await call(calling, **where)


async def test_after_five_read_timeouts_the_producer_is_not_asked_for_that_address(producer):
    platform = calling(producer)
    producer.does = Trouble.TIMEOUT
    await calls(platform, 5)
    assert "has not asked this producer for the logical address and contract since" in await call(platform)
    assert len(producer.asked) == 5
    await call(platform, "SE1-OTHER")
    assert len(producer.asked) == 6
    (state,) = platform.open_breakers
    assert (state.url, state.logical_address, state.contract) == (ROUTE.url, "SE1-UNIT", DIAGNOSIS)


@pytest.mark.parametrize("trouble", [Trouble.CANNOT_CONNECT, Trouble.CONNECT_TIMEOUT, Trouble.TLS])
async def test_after_five_that_could_not_connect_it_is_asked_for_nothing(producer, trouble):
    platform = calling(producer)
    producer.does = trouble
    await calls(platform, 5)
    assert "has not asked this producer since" in await call(platform, "SE1-OTHER")
    assert len(producer.asked) == 5


@pytest.mark.parametrize(
    "does",
    [
        pytest.param(ANSWER, id="a soap fault"),
        pytest.param(replace(ANSWER, status=503), id="a status"),
        *(Trouble.RESET, Trouble.NO_ANSWER, Trouble.TOO_LARGE, Trouble.BAD_ANSWER, Trouble.CUT_SHORT),
        Trouble.NO_IDENTITY,
    ],
)
async def test_nothing_else_keeps_it_from_being_asked(producer, does):
    platform = calling(producer)
    producer.does = does
    await calls(platform, 20)
    assert (len(producer.asked), platform.open_breakers) == (20, [])


async def test_a_trial_that_is_cancelled_leaves_it_to_the_next_call(producer):
    platform = calling(producer, breaker_open_seconds=1e-9)
    producer.does = Trouble.TIMEOUT
    await calls(platform, 5)
    producer.wait = asyncio.Event()
    trial = asyncio.create_task(call(platform))
    await until_true(lambda: len(producer.asked) == 6, seconds=3)
    assert "being tried again now" in await call(platform)
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    assert [state.is_probing for state in platform.open_breakers] == [False]
    producer.wait, producer.does = None, ANSWER
    assert await call(platform) == ""
    assert (platform.in_flight, platform.open_breakers) == (0, [])


async def test_our_own_services_are_always_asked(producer):
    platform = calling(producer)
    producer.does = Trouble.CANNOT_CONNECT
    await calls(platform, 20, route=replace(ROUTE, url="unix:/run/own"))
    assert len(producer.asked) == 20


@pytest.mark.parametrize("policy", [{"breaker_failures": 0}, {"compat": Compat(producers_unlimited=True)}])
async def test_without_a_breaker_it_is_asked_each_time(producer, policy):
    platform = calling(producer, **policy)
    producer.does = Trouble.TIMEOUT
    await calls(platform, 20)
    assert len(producer.asked) == 20


async def test_as_many_calls_as_there_are_with_the_incumbents_way(producer):
    platform = calling(producer, in_flight_per_producer=1, compat=Compat(producers_unlimited=True))
    producer.wait = asyncio.Event()
    under_way = [asyncio.create_task(call(platform)) for _ in range(3)]
    await until_true(lambda: platform.in_flight == 3, seconds=3)
    producer.wait.set()
    assert await asyncio.gather(*under_way) == ["", "", ""]


async def test_a_call_that_is_one_too_many_is_no_trial(producer):
    platform = calling(producer, in_flight_per_producer=1, breaker_open_seconds=1e-9)
    producer.does = Trouble.TIMEOUT
    await calls(platform, 5)
    producer.wait, producer.does = asyncio.Event(), ANSWER
    other = asyncio.create_task(call(platform, "SE1-OTHER"))
    await until_true(lambda: platform.in_flight == 1, seconds=3)
    assert "unanswered calls" in await call(platform)
    producer.wait.set()
    await other
    assert await call(platform) == ""


@pytest.mark.parametrize(("insecure", "asked"), [(Insecure(), 1), (Insecure(resend_after_reset=True), 2)])
async def test_a_request_is_sent_again_after_a_reset_only_when_that_is_switched_on(producer, insecure, asked):
    producer.does = Trouble.RESET
    await call(calling(producer, retry_attempts=1, insecure=insecure))
    assert len(producer.asked) == asked


async def test_what_the_producer_address_names_goes_to_the_transport(producer):
    await call(calling(producer), route=replace(ROUTE, client_certificate="own", ca="sit"))
    assert [(one.client_certificate, one.ca) for one in producer.asked] == [("own", "sit")]


async def test_one_sender_leaves_places_to_the_others(producer):
    platform = calling(producer, in_flight_per_producer=8)
    producer.wait = asyncio.Event()
    waiting = [asyncio.create_task(call(platform, sender="SE1-GREEDY")) for _ in range(9)]
    await until_true(lambda: platform.in_flight == 7, seconds=3)
    assert "has 7 unanswered calls of SE1-GREEDY from this platform" in await call(platform, sender="SE1-GREEDY")
    waiting.append(asyncio.create_task(call(platform)))
    await until_true(lambda: platform.in_flight == 8, seconds=3)
    assert "has 8 unanswered calls from this platform" in await call(platform)
    producer.wait.set()
    await asyncio.gather(*waiting)
    assert platform.in_flight == 0
    assert await call(platform, sender="SE1-GREEDY") == ""


async def test_a_platform_may_have_every_place_since_many_call_through_it(producer):
    platform = calling(producer, {"SE1-REGION"}, in_flight_per_producer=8)
    producer.wait = asyncio.Event()
    waiting = [asyncio.create_task(call(platform, sender="SE1-REGION")) for _ in range(8)]
    await until_true(lambda: platform.in_flight == 8, seconds=3)
    assert "has 8 unanswered calls from this platform" in await call(platform, sender="SE1-REGION")
    producer.wait.set()
    await asyncio.gather(*waiting)
