"""Announcing to the engagement indexes what the stub producers have: real Update calls, until each has been taken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from producers_stub.engagements import MOST_ROWS, Engagement, engagements, update
from producers_stub.journals import Journal
from producers_stub.situations import Situations
from producers_stub.world import Producer, World
from rivta.contracts.samples import envelope
from rivta.soap.identifiers import LogicalAddress
from rivta.soap.xml import XmlRefused, parse_xml

FIRST_PAUSE_SECONDS = 0.1
MOST_PAUSE_SECONDS = 30.0
"""Before an Update that was not taken is sent again; each pause is twice the one before it."""

_log = logging.getLogger("producers_stub.announcing")


@dataclass(frozen=True, slots=True)
class Announcement:
    """One Update: what a producer has to announce at one platform's index."""

    producer: str
    platform: str
    address: LogicalAddress
    """The index's logical address."""
    rows: tuple[Engagement, ...]

    @property
    def body(self) -> bytes:
        """The envelope."""
        return envelope(etree.tostring(update(list(self.rows))), self.address)


Send = Callable[[Announcement], Awaitable[tuple[int, bytes]]]
"""Sends an announcement as its producer: HTTP status and body of the answer, or an OSError or TimeoutError."""


def announcements(world: World, journals: Mapping[str, Journal], situations: Situations) -> tuple[Announcement, ...]:
    """Everything that the world's producers have to announce, each at the platform that has the way to the address."""
    return tuple(
        announcement
        for producer in world.producers
        for announcement in _announcements_of(world, producer, journals[producer.name], situations)
    )


def _announcements_of(
    world: World, producer: Producer, journal: Journal, situations: Situations
) -> Iterator[Announcement]:
    platforms = {one.logical_address: one.platform for one in producer.addresses}
    found: dict[str, list[Engagement]] = {}
    for one in engagements(producer, journal, situations):
        found.setdefault(platforms.get(one.logical_address, producer.platform), []).append(one)
    for key, rows in found.items():
        address = world.platform(key).aggregation_address
        for start in range(0, len(rows), MOST_ROWS):
            yield Announcement(producer.name, key, address, tuple(rows[start : start + MOST_ROWS]))


@dataclass(slots=True)
class _Progress:
    """How far an announcement has come."""

    announcement: Announcement
    taken: bool = False
    attempts: int = 0
    problem: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "producer": self.announcement.producer,
            "platform": self.announcement.platform,
            "rows": len(self.announcement.rows),
            "taken": self.taken,
            "attempts": self.attempts,
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True)
class Announcer:
    """Sends announcements, and knows which have been taken. To be used from one event loop."""

    send: Send
    progress: Sequence[_Progress] = field(default_factory=list)

    @classmethod
    def of(cls, all_of_them: Sequence[Announcement], send: Send) -> Announcer:
        """For these announcements, none of which has been sent."""
        return cls(send, [_Progress(one) for one in all_of_them])

    def describe(self) -> dict[str, Any]:
        """As JSON: whether each index has taken what is announced to it, and the announcements. No patient is named."""
        return {
            "settled": all(one.taken for one in self.progress),
            "announcements": [one.to_json() for one in self.progress],
        }

    async def run(self) -> None:
        """Sends each announcement until it has been taken; those of one index one after the other, the indexes beside
        each other. Ends when all are taken."""
        by_index: dict[str, list[_Progress]] = {}
        for one in self.progress:
            by_index.setdefault(one.announcement.platform, []).append(one)
        await asyncio.gather(*(self._announce(those) for those in by_index.values()))

    async def _announce(self, waiting: Sequence[_Progress]) -> None:
        pause = FIRST_PAUSE_SECONDS
        while left := [one for one in waiting if not one.taken]:
            for one in left:
                await self._attempt(one)
            if all(one.taken for one in left):
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, MOST_PAUSE_SECONDS)

    async def _attempt(self, one: _Progress) -> None:
        one.attempts += 1
        try:
            status, body = await self.send(one.announcement)
            problem = None if status == 200 else _fault_in(body) or f"HTTP status {status}"
        except (OSError, TimeoutError) as error:
            problem = f"{type(error).__name__}: {error}"
        one.taken = problem is None
        # The platforms start beside the producers: that nobody listens at first is no news.
        if problem != one.problem and problem is not None and one.attempts > 1:
            _log.warning(
                "the %s index has not taken what %s announces: %s; it is sent again",
                one.announcement.platform,
                one.announcement.producer,
                problem,
            )
        one.problem = problem


def _fault_in(body: bytes) -> str:
    try:
        return (parse_xml(body).findtext(".//faultstring") or "").strip()
    except XmlRefused:
        return ""
