"""The table in force, for a worker: looks at `current`, opens what it names, and swaps one reference."""

import json
from pathlib import Path

from rivta.catalogue.decide import DecisionCache
from rivta.catalogue.table import CURRENT, Table, TableUnreadable


class CurrentTable:
    """The table that `current` in `folder` names.

    Take `decisions` once per call and use it throughout: `decisions.table` says which publication decided. An older
    table stays open for whoever still holds it, and is closed with the last of them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[int, int, int] | None = None
        self.decisions: DecisionCache | None = None
        """None until a table could be opened for the first time."""
        self.load_error: str | None = None
        """Why the table that `current` names is not the one in use; None when it is."""

    @property
    def table(self) -> Table | None:
        """The table in use."""
        return None if self.decisions is None else self.decisions.table

    def check(self) -> bool:
        """True when another table was put in force. Costs one `stat` when nothing changed; call it every 250 ms.

        When `current` or the table it names is missing or broken, the one in use stays, `load_error` says why, and the
        next check tries again.
        """
        try:
            status = (self._folder / CURRENT).stat()
        except OSError as error:
            self.load_error = f"{self._folder / CURRENT}: {error.strerror}"
            self._seen = None
            return False
        seen = (status.st_ino, status.st_mtime_ns, status.st_size)
        if seen == self._seen:
            return False
        try:
            table = Table.open(self._named())
        except (TableUnreadable, OSError, ValueError) as error:
            self.load_error = str(error)
            return False
        self._seen, self.load_error = seen, None
        if self.table is not None and self.table.digest == table.digest:
            table.close()
            return False
        self.decisions = DecisionCache(table)
        return True

    def _named(self) -> Path:
        path = self._folder / CURRENT
        state = json.loads(path.read_bytes())
        name = state.get("file") if isinstance(state, dict) else None
        if not isinstance(name, str) or Path(name).name != name:
            raise ValueError(f"{path} does not name a table")
        return self._folder / name
