"""Which addresses a look-up tries, and in which order: one generator, as the incumbent's router resolves them.

Deciding, explaining and previewing all go through it.
"""

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple, Protocol

from rivta.catalogue.rows import ANY_ADDRESS, Resolution

_MOST_TOKENS = 50
"""Of a delimited address that are looked at. With more than two nobody may call it anyway."""

PARENT, DEFAULT, LEAF, INVALID = "(parent)", "(default)", "(leaf)", "Invalid parameters"
"""Markers in a trace, as the incumbent writes them."""


class Kind(Enum):
    """The two look-ups of a decision, each with an order of its own."""

    ROUTE = "route"
    PERMISSION = "permission"


class Level(NamedTuple):
    """One address to look at; `marker` goes into the trace before it. A level without an address is a marker alone."""

    marker: str
    address: str


class Tree(Protocol):
    """What a look-up needs of a table besides its rows."""

    resolution: Resolution

    def ancestors(self, hsa_id: str) -> tuple[str, ...]:
        """The units above, nearest first, ending with `SE`."""
        ...


def levels(tree: Tree, kind: Kind, *, sender: str, contract: str | None, logical_address: str) -> Iterator[Level]:
    """The addresses to look at, closest first, each made when it is asked for: the first with a valid row wins."""
    rules = tree.resolution
    if is_delimited(rules, logical_address):
        yield from _delimited_levels(rules, kind, sender, contract, logical_address)
        return
    yield Level("", logical_address)
    if kind is Kind.PERMISSION:
        yield Level(DEFAULT, ANY_ADDRESS)
    if climbs(rules, kind, contract):
        marker = PARENT
        for unit in tree.ancestors(logical_address):
            yield Level(marker, unit)
            marker = ""
    if kind is Kind.ROUTE:
        yield Level(DEFAULT, ANY_ADDRESS)


def is_delimited(rules: Resolution, logical_address: str) -> bool:
    """The address is several in one (`caregiver#careunit`)."""
    return bool(rules.delimiter) and rules.delimiter in logical_address


def climbs(rules: Resolution, kind: Kind, contract: str | None) -> bool:
    """Whether this look-up goes on to the units above the address."""
    if kind is Kind.ROUTE:
        return rules.climbs_for_routes(contract or "")
    return rules.climbs_for_permissions(contract or "")


def tokens(rules: Resolution, logical_address: str) -> tuple[str, ...]:
    """The addresses in a delimited one, last first; every character of the delimiter separates, each address once."""
    separator = rules.delimiter[0]
    for character in rules.delimiter[1:]:
        logical_address = logical_address.replace(character, separator)
    return tuple(reversed(dict.fromkeys(token for token in logical_address.split(separator) if token)))


def delimiter_objection(rules: Resolution, *, sender: str, contract: str | None, logical_address: str) -> str:
    """Why permissions are not even looked for at a delimited address; empty when they are. Routes have no limits."""
    if len(tokens(rules, logical_address)) > 2:
        return "more than two addresses in one"
    if rules.delimiter_contracts and contract not in rules.delimiter_contracts:
        return "the contract is not in delimiter_contracts"
    if rules.delimiter_senders and sender not in rules.delimiter_senders:
        return "the sender is not in delimiter_senders"
    return ""


def _delimited_levels(
    rules: Resolution, kind: Kind, sender: str, contract: str | None, logical_address: str
) -> Iterator[Level]:
    yield Level(LEAF, "")
    if kind is Kind.PERMISSION and delimiter_objection(
        rules, sender=sender, contract=contract, logical_address=logical_address
    ):
        yield Level(INVALID, "")
        return
    for part in tokens(rules, logical_address)[:_MOST_TOKENS]:
        yield Level("", part)
