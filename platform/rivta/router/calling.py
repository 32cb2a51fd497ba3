"""Calling producers: how many at once, how long, and when again. Between the pipeline and the transport."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from rivta.catalogue.decision import Route
from rivta.router import troubles
from rivta.router.messages import NOTHING_SENT, Headers, ProducerAnswer, ProducerFailure, Target
from rivta.router.policy import Policy


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

    def __init__(self, policy: Policy, transport: Transport) -> None:
        self._policy = policy
        self._transport = transport
        self._in_flight: Counter[str] = Counter()

    @property
    def in_flight(self) -> int:
        """Calls that wait for a producer."""
        return self._in_flight.total()

    async def call(self, route: Route, *, method: str, headers: Headers, body: bytes) -> Relayed:
        """The producer's answer, whatever its status. Raises Refused (VP009) when none came or it may not be asked."""
        policy = self._policy
        if route.client_certificate or route.ca:  # lint refuses such rows, but a table may be older than that rule
            raise troubles.no_identity(route)
        target = Target(
            url=route.url,
            connect_seconds=policy.connect_seconds,
            answer_seconds=policy.producer_seconds_of.get(route.contract, policy.producer_seconds),
            max_answer_bytes=policy.max_answer_bytes,
        )
        limit = policy.in_flight_per_platform if route.platform else policy.in_flight_per_producer
        if self._in_flight[route.url] >= limit:
            raise troubles.too_many_in_flight(route.url, limit)
        self._in_flight[route.url] += 1
        try:
            return await self._send_patiently(target, method, headers, body)
        except ProducerFailure as failure:
            raise troubles.failure(route.url, failure) from failure
        finally:
            self._in_flight[route.url] -= 1
            if not self._in_flight[route.url]:
                del self._in_flight[route.url]

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
                if failure.trouble not in NOTHING_SENT or attempts_left <= 0 or left <= 0:
                    raise
            attempts_left -= 1
            target = dataclasses.replace(target, answer_seconds=left)
            await asyncio.sleep(self._policy.retry_delay_seconds)
