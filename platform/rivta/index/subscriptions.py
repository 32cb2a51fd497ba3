"""Who is told of changes to an index, and of which: the addresses that it may notify, by the table in force."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rivta.catalogue import registry
from rivta.catalogue.quirks import RegistryRules
from rivta.catalogue.rows import NotificationFilter
from rivta.catalogue.table import Table
from rivta.files import write_file
from rivta.index.engagement import Transaction
from rivta.soap import namespaces

_log = logging.getLogger("rivta.index")

_EVERYWHERE = "*"
_FILE = "subscribers.json"


@dataclass(frozen=True, slots=True)
class Subscriber:
    """An index, or another system, that is told of changes."""

    logical_address: str
    filters: tuple[NotificationFilter, ...] = ()
    """What it wants to know of; none is everything."""

    def wants(self, one: Transaction) -> bool:
        """Whether it is told of a change: not of what it has had, nor of what was reported to itself."""
        known = (one.engagement.owner, *one.visited)
        if self.logical_address.upper() in map(str.upper, known):
            return False
        return not self.filters or any(_matches(filter, one) for filter in self.filters)


def _matches(filter: NotificationFilter, one: Transaction) -> bool:
    if filter.domain.upper() != one.engagement.service_domain.upper():
        return False
    category = one.engagement.categorization.upper()
    return not filter.categories or category in map(str.upper, filter.categories)


def subscribers_in(table: Table, *, platform: str, index: str, now: datetime) -> tuple[Subscriber, ...]:
    """Who `platform` may send notifications to, as GetLogicalAddresseesByServiceContract 2 would answer it.

    Left out are `*`, which is nobody's address, and the index itself.
    """
    pages = registry.logical_addressees(
        table, consumer=platform, contract=namespaces.PROCESS_NOTIFICATION_1, now=now, rules=RegistryRules()
    )
    nobody = (_EVERYWHERE, index.upper(), platform.upper())
    return tuple(
        Subscriber(str(one.logical_address), one.filters)
        for page in pages
        for one in page
        if one.logical_address.upper() not in nobody
    )


class Subscriptions:
    """The subscribers by the table in force; while there is none that can be read, those of the last one that could."""

    def __init__(
        self,
        table_in_force: Callable[[], Table | None],
        *,
        platform: str,
        index: str,
        folder: Path,
        now: Callable[[], datetime],
    ) -> None:
        """`folder` keeps the last good list over a restart."""
        self._table_in_force = table_in_force
        self._platform = platform
        self._index = index
        self._file = folder / _FILE
        self._now = now
        self._last: tuple[Subscriber, ...] | None = None
        self.problem: str | None = None
        """Why the list is not that of the table in force; None when it is."""

    def current(self) -> tuple[Subscriber, ...]:
        """Those to tell now. Blocking."""
        try:
            table = self._table_in_force()
            if table is None:
                raise LookupError("no table is in force")
            found = subscribers_in(table, platform=self._platform, index=self._index, now=self._now())
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a table, announcements must not stop for it
            return self._last_good(error)
        self.problem = None
        if found != self._last:
            self._last = found
            self._save(found)
        return found

    def _last_good(self, error: Exception) -> tuple[Subscriber, ...]:
        if self._last is None:
            self._last = self._load()
        if self.problem is None:
            _log.error("the last good list of %d subscribers is used: %s", len(self._last), error)
        self.problem = f"the last good list of {len(self._last)} subscribers is used: {error}"
        return self._last

    def _save(self, found: Sequence[Subscriber]) -> None:
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(self._file, json.dumps([_as_json(one) for one in found], indent=1).encode(), mode=0o600)
        except OSError as error:
            _log.error("%s cannot be written: %s; the list of subscribers is lost at a restart", self._file, error)

    def _load(self) -> tuple[Subscriber, ...]:
        try:
            return tuple(_from_json(one) for one in json.loads(self._file.read_bytes()))
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, TypeError, KeyError) as error:
            _log.error("%s cannot be read: %s", self._file, error)
            return ()


def filters_json(filters: Iterable[NotificationFilter]) -> list[dict[str, Any]]:
    """Filters as the admin API and the file of the last good list have them."""
    return [{"domain": one.domain, "categories": list(one.categories)} for one in filters]


def _as_json(one: Subscriber) -> dict[str, Any]:
    return {"logical_address": one.logical_address, "filters": filters_json(one.filters)}


def _from_json(row: dict[str, Any]) -> Subscriber:
    filters = tuple(NotificationFilter(one["domain"], tuple(one["categories"])) for one in row["filters"])
    return Subscriber(row["logical_address"], filters)
