"""Consumers that call without a pause, so that tests can change or break things under way."""

import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.pair.consumer import CORRELATION_ID, KS, Identity, get_diagnosis, http_post, read_answer, tls_connection


@dataclass(frozen=True, slots=True)
class Called:
    """One call that came to an end."""

    correlation_id: str
    connection: int
    ended: float
    """By the monotonic clock."""
    status: int
    """Of the answer; 0 when the connection broke before it was whole."""


class Load:
    """Keep-alive connections to one platform, each calling one time after the other; one that broke, or whose
    answer said that it was the last, is made anew."""

    def __init__(self, url: str, identity: Identity, *, prefix: str, connections: int = 4) -> None:
        """Every call has a correlation id of its own, which starts with `prefix`."""
        self.calls: list[Called] = []
        self._url, self._identity, self._prefix = url, identity, prefix
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._go_on, args=(number,)) for number in range(connections)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    @property
    def answered(self) -> list[Called]:
        return [call for call in list(self.calls) if call.status == 200]

    @property
    def failed(self) -> list[Called]:
        """Calls without a good answer."""
        return [call for call in list(self.calls) if call.status != 200]

    def every_connection_called(self, times: int, *, since: float = 0.0) -> bool:
        """Whether each connection got so many good answers after `since`."""
        counts: dict[int, int] = defaultdict(int)
        for call in self.answered:
            counts[call.connection] += call.ended > since
        return len(counts) == len(self._threads) and min(counts.values()) >= times

    def _go_on(self, number: int) -> None:
        made = 0
        while not self._stopping.is_set():
            with tls_connection(self._url, self._identity.context(), seconds=30) as connection:
                while not self._stopping.is_set():
                    made += 1
                    id = f"{self._prefix}-{number}-{made}"
                    try:
                        connection.sendall(http_post(get_diagnosis(KS), f"{CORRELATION_ID}: {id}".encode()))
                        answer = read_answer(connection)
                        status, is_last = answer.status, b"connection: close" in answer.head.lower()
                    except OSError:
                        status, is_last = 0, True
                    self.calls.append(Called(id, number, time.monotonic(), status))
                    if status == 0 or is_last:
                        break
