"""What the platform's own services stand on: its table, the rules they answer by, its name and the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from rivta.catalogue.quirks import RegistryRules
from rivta.catalogue.table import Table
from rivta.contracts.installed import Contracts
from rivta.soap.service import ServiceFault

PUBLICATION = "x-rivta-publication"
"""Header of HTTP that says which publication answered."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that the services read; each answer is of one table, taken once."""

    contracts_in_force: Callable[[], Contracts]
    title: str
    """Of the platform, for people."""
    table_in_force: Callable[[], Table | None]
    rules: RegistryRules
    now: Callable[[], datetime]
    """With a zone."""

    @property
    def contracts(self) -> Contracts:
        """Those in force."""
        return self.contracts_in_force()

    @property
    def table(self) -> Table:
        """The table in force; ServiceFault before the first publication, in the words of the incumbent's kind."""
        table = self.table_in_force()
        if table is None:
            raise ServiceFault("No publication is in force")
        return table

    def etag(self, table: Table) -> str:
        """The version of the lists: the table with everything that it was made of, and how they are written."""
        return f'"{table.digest[:32]}-{self.rules.dates}"'
