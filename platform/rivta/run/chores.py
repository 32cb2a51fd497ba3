"""Work that a process does over and over beside its main job."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

_log = logging.getLogger("rivta.run.chores")


async def every(seconds: float, chore: Callable[[], Awaitable[None]]) -> None:
    """Does `chore` for ever, with a pause of `seconds` before each time; its failure is logged and does not end it."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await chore()
        except Exception:  # noqa: BLE001 - tried again, and the rest goes on
            _log.exception("a chore failed and is tried again")
