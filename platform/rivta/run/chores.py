"""Work that a process does over and over beside its main job."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from rivta.contracts.current import CurrentContracts

_log = logging.getLogger("rivta.run.chores")


async def every(seconds: float, chore: Callable[[], Awaitable[None]]) -> None:
    """Does `chore` for ever, with a pause of `seconds` before each time; its failure is logged and does not end it."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await chore()
        except Exception:  # noqa: BLE001 - tried again, and the rest goes on
            _log.exception("a chore failed and is tried again")


def switch_contracts(contracts: CurrentContracts, log: logging.Logger) -> bool:
    """Whether other contracts were put in force; says so in `log`, and why those that were installed are not.

    Blocking.
    """
    before = contracts.problem
    if contracts.check():
        log.info("%d contracts in force", len(contracts.contracts))
        return True
    if contracts.problem is not None and contracts.problem != before:
        log.error("the contracts in force stay: %s", contracts.problem)
    return False
