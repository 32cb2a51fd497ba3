"""Calls of a running platform's call log, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rivta.cli.admin import AdminClient
    from rivta.router.record import CallRecord

_PAGE = 5_000


def logged_calls(client: AdminClient, filters: Mapping[str, Any], *, limit: int) -> Iterator[CallRecord]:
    """The newest calls that match, up to `limit`, newest first. Raises ClickException."""
    from rivta.router.record import CallRecord

    params = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in filters.items()}
    seen: set[str] = set()
    while len(seen) < limit:
        page = min(_PAGE, limit)
        answer = client.get("/calls", params | {"limit": page})["calls"]
        fresh = [CallRecord.from_fields(one) for one in answer if one["id"] not in seen][: limit - len(seen)]
        for record in fresh:
            seen.add(record.id)
            yield record
        if not fresh or len(answer) < page:
            return
        # `until` is not included: a microsecond later, so that calls of the same instant are not lost between pages.
        last = datetime.fromisoformat(fresh[-1].time) + timedelta(microseconds=1)
        params = params | {"until": last.isoformat()}
