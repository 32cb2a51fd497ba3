"""Where the incumbent's two catalogue services disagree with each other, or with its router, and which way we take.

The registry services exist twice: TAK (tk-admin-services), which works on its own database, and KAT, which works on
what the router has loaded and is what production shows. We answer as KAT does; each difference has a switch that
answers as TAK. The one place that defines them: the settings' section `registry` and a table of the operator's manual
are made from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Dates = Literal["tak", "zoned"]
"""How SokVagvalsInfo writes whole days: midnights without zone, or their first and last millisecond with offset."""


@dataclass(frozen=True, slots=True)
class RegistryRules:
    """How the registry services answer; the defaults are KAT's ways."""

    dates: Dates = "tak"
    last_day_excluded: bool = False
    expired_listed: bool = False
    consumer_in_any_case: bool = False
    record_per_permission: bool = False
    blank_refused: bool = False
    bare_ping: bool = False


@dataclass(frozen=True, slots=True)
class Quirk:
    """One difference. Texts are Markdown, each a cell of a table."""

    switch: str
    """Field of RegistryRules that brings TAK's way."""
    service: str
    tak: str
    here: str


QUIRKS: tuple[Quirk, ...] = (
    Quirk(
        "last_day_excluded",
        "GetSupportedServiceContracts 1 and 2",
        "a permission ends at 00:00 on its last day",
        "it holds as long as the router lets calls through by it",
    ),
    Quirk(
        "expired_listed",
        "GetLogicalAddresseesByServiceContract 1 and 2",
        "permissions that are no longer, or not yet, valid are listed too",
        "only those that are valid now",
    ),
    Quirk(
        "consumer_in_any_case",
        "GetLogicalAddresseesByServiceContract 2",
        "the consumer matches whatever the case of its letters",
        "it is to be spelled as in the table",
    ),
    Quirk(
        "record_per_permission",
        "GetLogicalAddresseesByServiceContract 2",
        "a record for each permission: an address may come twice",
        "each address once, with the filters of its first permission",
    ),
    Quirk(
        "blank_refused",
        "GetLogicalAddresseesByServiceContract 1 and 2",
        "a consumer or contract of nothing but blanks is a fault",
        "it matches nothing; only a missing one is a fault",
    ),
    Quirk(
        "bare_ping",
        "PingForConfiguration 1",
        "no `version`, `Applikation` is `tk-admin-services` and stands alone; a fault while there is no table",
        "`version`, the platform's title and the number of its publication",
    ),
)
