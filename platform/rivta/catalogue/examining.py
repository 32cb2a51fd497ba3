"""Changes to several files of a draft, looked through before they are written: what mistakes they would bring."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rivta.catalogue.files import ContractsByName, Reading, read_draft
from rivta.catalogue.lint import Report, Surroundings, brought_in, check
from rivta.catalogue.rows import Problem


@dataclass(frozen=True, slots=True)
class Examined:
    """A draft before and after a change to its files."""

    before: Report
    after: Report

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The mistakes that the change brings; those that were there before are not its own."""
        return tuple(brought_in(self.before.errors, self.after.errors))

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The same of warnings."""
        return tuple(brought_in(self.before.warnings, self.after.warnings))


def examine(
    name: str,
    before: Mapping[str, bytes],
    changed: Mapping[str, bytes],
    around: Surroundings,
    *,
    contracts: ContractsByName,
    now: datetime,
) -> Examined:
    """The draft called `name`, with the texts `before`, and what it becomes where some are `changed`."""
    was, becomes = (_read(name, texts, contracts) for texts in (before, {**before, **changed}))
    return Examined(check(was, around, now=now), check(becomes, around, now=now))


def _read(name: str, texts: Mapping[str, bytes], contracts: ContractsByName) -> Reading:
    with tempfile.TemporaryDirectory(prefix="rivta-") as temporary:
        folder = Path(temporary) / name
        folder.mkdir()
        for file, text in texts.items():
            (folder / file).write_bytes(text)
        return read_draft(folder, contracts=contracts, relative_to=Path(temporary))
