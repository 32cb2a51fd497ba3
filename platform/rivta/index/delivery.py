"""Sends what waits in the queues: each subscriber's messages one after the other, several subscribers at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from rivta.index.outbox import Notification, Outbox

_log = logging.getLogger("rivta.index")

Send = Callable[[Notification], Awaitable[str]]
"""Sends a notification: why it was not taken, in words that name nobody; empty when it was."""

_MOST_AT_ONCE = 4
"""Subscribers."""
_GRACE_SECONDS = 1.0


class Delivery:
    """The sending half of an index. Belongs to one event loop."""

    def __init__(self, outbox: Outbox, send: Send, *, now: Callable[[], datetime], look_seconds: float = 1.0) -> None:
        """`look_seconds`: how often the queues are looked at unasked, for what waits and for what other nodes write."""
        self._outbox = outbox
        self._send = send
        self._now = now
        self._look_seconds = look_seconds
        self._wanted = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Semaphore(_MOST_AT_ONCE)
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._more: set[str] = set()
        """Subscribers that something new was seen for while they were being told."""
        self._stopping = False
        self.problem: str | None = None
        """Why the queues cannot be looked at; None when they can."""

    @property
    def in_flight(self) -> int:
        """Subscribers that are being told something."""
        return len(self._sending)

    def wake(self) -> None:
        """There is something new in a queue. May be called in any thread."""
        self._loop.call_soon_threadsafe(self._wanted.set)

    async def run(self) -> None:
        """Sends until it is cancelled. What is under way then gets a moment; a message that is cut off is sent again
        some day, which changes nothing where it was taken."""
        try:
            while True:
                self._wanted.clear()
                await self._begin_due()
                try:
                    async with asyncio.timeout(self._look_seconds):
                        await self._wanted.wait()
                except TimeoutError:
                    continue
        finally:
            self._stopping = True
            if tasks := list(self._sending.values()):
                _, late = await asyncio.wait(tasks, timeout=_GRACE_SECONDS)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)

    async def _begin_due(self) -> None:
        try:
            due = await asyncio.to_thread(self._outbox.due, self._now())
        except Exception as error:  # noqa: BLE001 - the database is away: looked at again
            self._trouble(error)
            return
        self.problem = None
        for subscriber in due:
            if subscriber in self._sending:
                self._more.add(subscriber)
            else:
                self._sending[subscriber] = asyncio.create_task(self._empty(subscriber))

    async def _empty(self, subscriber: str) -> None:
        try:
            await self._send_all(subscriber)
        finally:
            del self._sending[subscriber]
            if subscriber in self._more:
                self._more.discard(subscriber)
                self._wanted.set()

    async def _send_all(self, subscriber: str) -> None:
        """Sends what waits for a subscriber, until nothing does, or a message is not taken."""
        try:
            async with self._room:
                claim = self._outbox.claim(subscriber)
                is_ours = await asyncio.to_thread(claim.__enter__)
                try:
                    while is_ours and not self._stopping and await self._send_next(subscriber):
                        pass
                finally:
                    await asyncio.to_thread(claim.__exit__, None, None, None)
        except Exception as error:  # noqa: BLE001 - the database is away: what was taken may be told again
            self._trouble(error)
            await asyncio.sleep(self._look_seconds)

    async def _send_next(self, subscriber: str) -> bool:
        """Whether there may be more to send."""
        one = await asyncio.to_thread(self._outbox.next, subscriber)
        if one is None:
            return False
        reason = await self._reason(one)
        if not reason:
            await asyncio.to_thread(self._outbox.delivered, one, self._now())
            return True
        given_up = await asyncio.to_thread(self._outbox.failed, one, reason, self._now())
        _log.log(
            logging.ERROR if given_up else logging.WARNING,
            "%s does not take notification %s of %d changes%s: %s",
            subscriber,
            one.correlation_id,
            len(one.transactions),
            ", which is given up (`rivta index dead`)" if given_up else "",
            reason,
        )
        return given_up

    async def _reason(self, one: Notification) -> str:
        try:
            return await self._send(one)
        except Exception as error:  # noqa: BLE001 - one message must not stop those of other subscribers, nor be tried for ever
            _log.exception("notification %s to %s cannot be sent", one.correlation_id, one.subscriber)
            return f"an error of ours: {type(error).__name__}"

    def _trouble(self, error: Exception) -> None:
        words = f"the queues cannot be read or written: {type(error).__name__}"
        if self.problem != words:
            _log.error("%s; tried again", words)
        self.problem = words
