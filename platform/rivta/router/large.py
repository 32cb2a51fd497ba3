"""Keeping large messages from holding up small ones: long work is done in a thread, and the largest take turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import ParamSpec, TypeVar

THREAD_BYTES = 100_000
"""Up to this length a message is worked on where it is; above it, in a thread."""
_GIANT_BYTES = 1_000_000
_GIANTS_AT_ONCE = 2

P = ParamSpec("P")
T = TypeVar("T")


async def apart_if_large(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`work` on a message of `size` bytes: here, or in a thread if others would have to wait for it."""
    if size > THREAD_BYTES:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)


class Giants:
    """The messages that take so much memory that they wait for each other. One per worker."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_GIANTS_AT_ONCE)

    def room_for(self, size: int) -> AbstractAsyncContextManager[object]:
        """A place to read a message of `size` bytes in."""
        return self._places if size > _GIANT_BYTES else nullcontext()
