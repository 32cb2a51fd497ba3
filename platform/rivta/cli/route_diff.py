"""`rivta route diff`: what differs between two tables, row by row and field by field."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rivta.cli.contract import installed
from rivta.cli.options import home_and_json, print_json
from rivta.cli.route_sources import EXISTING, ask_patiently, given_table, is_of_running_pair

if TYPE_CHECKING:
    from rivta.contracts.installed import Contracts


@click.command(epilog="Example: rivta route diff 1 draft")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--trust", type=EXISTING, metavar="PEM", help="The certificate that must have signed a publication file.")
@click.option("--platform", metavar="NAME", default="national", help="Whose tables.  [default: national]")
@home_and_json
def diff(before: str, after: str, trust: Path | None, platform: str, home: str | None, as_json: bool) -> None:
    """Show what B has, lacks or says otherwise than A.

    A and B: the number of a publication, draft, a folder or file of tables, or a signed publication file.

    Rows are paired by what they are about, not by where they stand: components by HSA-id, producer addresses by name,
    routes by address, contract, producer address and validity, permissions by consumer, address, contract and validity.
    A row that has no twin is a changed one where the other table has another row for the same address and contract (and
    consumer), and else an added or a removed one.
    """
    from rivta.cli.route_diff_output import print_differences

    if is_of_running_pair(before) and is_of_running_pair(after):
        found = ask_patiently(home, platform, "/tables/diff", {"before": before, "after": after})
    else:
        found = _compared(before, after, platform, home, trust, installed(home))
    if as_json:
        print_json(found)
    else:
        print_differences(found)


def _compared(
    before: str, after: str, platform: str, home: str | None, trust: Path | None, contracts: Contracts
) -> dict[str, Any]:
    from rivta.catalogue.differences import differences, differences_json

    old, new = (
        given_table(text, platform=platform, home=home, contracts=contracts, trust=trust) for text in (before, after)
    )
    return {
        "before": old.label,
        "after": new.label,
        "differences": differences_json(differences(old.draft, new.draft)),
    }
