"""Tables opened to be compared: rows, the same compiled in a folder of their own, and the HSA tree they go with."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rivta.catalogue import content as contents
from rivta.catalogue.compile import VARIABLE, compile_table
from rivta.catalogue.hsa import HsaTree
from rivta.catalogue.preview import Side
from rivta.catalogue.rows import Draft
from rivta.catalogue.table import Table


@contextmanager
def opened_side(draft: Draft, tree: HsaTree, variables: Mapping[str, str] | None = None) -> Iterator[Side]:
    """The draft as one side of a preview; variables that are not given stay as they stand, `${name}`.

    Raises UncompilableTable; OSError.
    """
    names = {name for row in draft.producer_addresses for name in VARIABLE.findall(row.url)}
    known = {name: f"${{{name}}}" for name in names} | dict(variables or {})
    with tempfile.TemporaryDirectory(prefix="rivta-") as folder:
        path = compile_table(contents.encode(draft), hsa=tree, variables=known, folder=Path(folder))
        table = Table.open(path)
        try:
            yield Side(draft, table, tree)
        finally:
            table.close()


def component_behind(draft: Draft, variable: str) -> str | None:
    """The component whose producer address is `${variable}`: how a table calls the platform of that name."""
    for row in draft.producer_addresses:
        if row.url == f"${{{variable}}}":
            return row.component
    return None
