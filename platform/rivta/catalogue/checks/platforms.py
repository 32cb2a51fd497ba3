"""Two platforms' tables: calls that each sends to the other."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from rivta.catalogue.across import PlatformTable, loops
from rivta.catalogue.checks.problems import at
from rivta.catalogue.preview import OTHER
from rivta.catalogue.rows import Place, Problem
from rivta.soap.identifiers import short_name


def warnings(first: PlatformTable, second: PlatformTable, *, now: datetime) -> Iterator[Problem]:
    """Each route of the first table whose calls the second sends back, with the route that does."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for loop in loops(first, second, now=now):
        found[loop.sources].append((loop.logical_address, short_name(loop.contract)))
    for (source, back), calls in found.items():
        address, contract = calls[0]
        whom = "any address that no row names" if address == OTHER else address
        more = f" (and {len(calls) - 1} more)" if len(calls) > 1 else ""
        message = (
            f"route: {contract} to {whom}{more} goes to the {second.name} platform, which sends it back by {back}: "
            "VP014; end one of the two routes"
        )
        yield at(_place(source), "platform-loop", message)


def _place(source: str) -> Place:
    file, _, line = source.rpartition(":")
    return Place(file, int(line))
