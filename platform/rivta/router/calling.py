"""Calling producers: how many at once, how long, and when again. Between the pipeline and the transport."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from rivta.catalogue.decision import Route
from rivta.router import troubles
from rivta.router.breaker import Breaker, BreakerIsOpen, Ending, OpenBreaker, Pass, Rule
from rivta.router.headers import with_query
from rivta.router.messages import NOTHING_SENT, Headers, ProducerAnswer, ProducerFailure, Target, Trouble
from rivta.router.policy import Policy

_ENDINGS = {
    Trouble.TIMEOUT: Ending.TIMED_OUT,
    Trouble.CANNOT_CONNECT: Ending.NOT_CONNECTED,
    Trouble.CONNECT_TIMEOUT: Ending.NOT_CONNECTED,
    Trouble.TLS: Ending.NOT_CONNECTED,
    Trouble.NO_IDENTITY: Ending.ABANDONED,  # the producer was not asked
}

_SLOW = frozenset({Trouble.TIMEOUT, Trouble.CONNECT_TIMEOUT})


class Transport(Protocol):
    """The calling half of the transport."""

    async def send(self, target: Target, *, method: str, headers: Headers, body: bytes) -> ProducerAnswer: ...


@dataclass(frozen=True, slots=True)
class Relayed:
    """A producer's answer and the milliseconds it took."""

    answer: ProducerAnswer
    producer_ms: float


class Calling:
    """Calls producers within the platform's limits. One per worker."""

    def __init__(
        self, policy: Policy, transport: Transport, *, is_platform: Callable[[str], bool] = lambda hsa_id: False
    ) -> None:
        """`is_platform` says whether a sender is itself a service platform, and so stands for many."""
        self._policy = policy
        self._transport = transport
        self._is_platform = is_platform
        self._in_flight: Counter[str] = Counter()
        self._in_flight_of: Counter[tuple[str, str]] = Counter()
        self._sent_again_after = NOTHING_SENT | {Trouble.RESET} if policy.insecure.resend_after_reset else NOTHING_SENT
        rule = Rule(
            0 if policy.compat.producers_unlimited else policy.breaker_failures,
            policy.breaker_within_seconds,
            policy.breaker_open_seconds,
        )
        self._breaker = Breaker(rule, clock=time.monotonic, now=lambda: datetime.now(UTC))

    @property
    def in_flight(self) -> int:
        """Calls that wait for a producer."""
        return self._in_flight.total()

    @property
    def open_breakers(self) -> list[OpenBreaker]:
        """The producers that this worker does not ask now, and why."""
        return self._breaker.open

    async def call(
        self,
        route: Route,
        *,
        sender: str,
        logical_address: str,
        method: str,
        headers: Headers,
        body: bytes,
        query: str = "",
        most_seconds: float | None = None,
        is_hurried: bool = False,
    ) -> Relayed:
        """The producer's answer, whatever its status. Raises Refused (VP009) when none came or it may not be asked.

        `logical_address` is the one that was called; the route's own may be a default or a unit above it. A `query`
        takes the place of that in the route's URL. `most_seconds` is what the caller can wait; where that
        `is_hurried`, a producer that takes longer has not failed.
        """
        policy, url = self._policy, route.url
        seconds = policy.seconds_of(route)
        target = Target(
            url=with_query(url, query) if query and not route.is_own_service else url,
            connect_seconds=policy.connect_seconds,
            answer_seconds=seconds if most_seconds is None else min(seconds, most_seconds),
            max_answer_bytes=policy.max_answer_bytes,
            client_certificate=route.client_certificate,
            ca=route.ca,
        )
        if not policy.compat.producers_unlimited:
            self._refuse_too_many(route, sender)
        leave = self._admit(route, logical_address, sender)
        ending = Ending.ABANDONED
        self._in_flight[url] += 1
        self._in_flight_of[url, sender] += 1
        try:
            relayed = await self._send_patiently(target, method, headers, body)
            ending = Ending.ANSWERED
            return relayed
        except ProducerFailure as failure:
            ending = _ENDINGS.get(failure.trouble, Ending.FAILED)
            if is_hurried and failure.trouble in _SLOW:
                ending = Ending.ABANDONED
            raise troubles.failure(route, failure, policy, seconds=target.answer_seconds) from failure
        finally:
            _count_down(self._in_flight, url)
            _count_down(self._in_flight_of, (url, sender))
            if leave is not None:
                self._breaker.ended(leave, ending)

    def _refuse_too_many(self, route: Route, sender: str) -> None:
        """One sender leaves an eighth of a producer's places to the others; a platform, behind which a whole region
        calls, need not. Raises Refused."""
        policy, url = self._policy, route.url
        limit = policy.in_flight_limit(route)
        if self._in_flight[url] >= limit:
            raise troubles.too_many_in_flight(url, limit)
        if self._in_flight_of[url, sender] >= limit - limit // 8 and not self._is_platform(sender):
            raise troubles.too_many_in_flight(url, limit - limit // 8, sender=sender)

    def _admit(self, route: Route, logical_address: str, sender: str) -> Pass | None:
        """Leave of the breaker. Our own services need none: the supervisor starts them again within a second, and then
        they must not be kept waiting for ten."""
        if route.is_own_service:
            return None
        try:
            return self._breaker.admit(route.url, logical_address, route.contract, sender=sender)
        except BreakerIsOpen as error:
            raise troubles.breaker_open(error.state) from None

    async def _send_patiently(self, target: Target, method: str, headers: Headers, body: bytes) -> Relayed:
        """Sends, and sends again only while no byte of the request has left: never a thing done twice.

        All of it shares the time for the answer, so that a caller's own timeout still comes after ours.
        """
        attempts_left = self._policy.retry_attempts
        while True:
            began = time.perf_counter()
            try:
                answer = await self._transport.send(target, method=method, headers=headers, body=body)
                return Relayed(answer, (time.perf_counter() - began) * 1000)
            except ProducerFailure as failure:
                left = target.answer_seconds - (time.perf_counter() - began) - self._policy.retry_delay_seconds
                if failure.trouble not in self._sent_again_after or attempts_left <= 0 or left <= 0:
                    raise
            attempts_left -= 1
            target = dataclasses.replace(target, answer_seconds=left)
            await asyncio.sleep(self._policy.retry_delay_seconds)


_Key = TypeVar("_Key")


def _count_down(counter: Counter[_Key], key: _Key) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
