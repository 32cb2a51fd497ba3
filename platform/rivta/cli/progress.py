"""What is shown on a terminal while something takes longer than a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PATIENCE_S = 1.0


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A function to be told what is done and all there is to do.

    The bar stands on the error stream, so that what is printed can be read by a program, and is gone at the end. No
    bar is shown where nobody would see it, or before a second has passed.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal, auto_refresh=False)
    task = bar.add_task(title, total=None)
    started, shown_at = time.monotonic(), 0.0

    def tell(done: int, total: int) -> None:
        nonlocal shown_at
        now = time.monotonic()
        if now - started < _PATIENCE_S or (now - shown_at < 0.1 and done < total):
            return
        shown_at = now
        if not bar.live.is_started:
            bar.start()
        bar.update(task, completed=done, total=total, refresh=True)

    try:
        yield tell
    finally:
        if bar.live.is_started:
            bar.stop()


@contextmanager
def bytes_bar(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, for what takes longer than a second."""
    if not sys.stderr.isatty():
        yield lambda _count: None
        return
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TextColumn

    started = time.monotonic()
    progress = Progress(
        TextColumn("{task.description}"), DownloadColumn(), console=Console(stderr=True), transient=True
    )
    task = progress.add_task(what, total=total)
    is_shown = False

    def count(number: int) -> None:
        nonlocal is_shown
        if not is_shown and time.monotonic() - started > _PATIENCE_S:
            is_shown = True
            progress.start()
        progress.advance(task, number)

    try:
        yield count
    finally:
        progress.stop()


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Says on a terminal what takes its time."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield
