"""The folder of a draft, looked at, changed on paper, checked, and only then written."""

import difflib
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rivta.catalogue.content import Row
from rivta.catalogue.differences import Difference, differences
from rivta.catalogue.exchange.changes import Changes, applied, placeless
from rivta.catalogue.exchange.imported import ImportRefused
from rivta.catalogue.exchange.merging import MergeImpossible, Merging, merge
from rivta.catalogue.files import ContractsByName, Reading, read_draft
from rivta.catalogue.marked_yaml import yaml_files
from rivta.catalogue.rows import Draft

_LONGEST_DIFF = 4000
"""Lines between the first and the last that differ; beyond them only their number is told."""


@dataclass(frozen=True, slots=True)
class DraftFolder:
    """A draft as it is on the disk."""

    folder: Path
    reading: Reading
    texts: Mapping[str, str]
    """Of each file, by its name with the folder's."""

    @property
    def draft(self) -> Draft:
        """Its rows."""
        return self.reading.draft

    def path(self, name: str) -> Path:
        """Where the file of that name is."""
        return self.folder.parent / name


@dataclass(frozen=True, slots=True)
class Planned:
    """What becomes of the files; nothing of it is written yet."""

    files: Mapping[Path, bytes]
    before: Mapping[Path, bytes | None]
    differences: tuple[Difference, ...]
    after: Reading

    @property
    def is_empty(self) -> bool:
        """There is nothing to write."""
        return not self.files


def look(folder: Path, *, contracts: ContractsByName) -> DraftFolder:
    """The draft in `folder`. Raises ImportRefused when it has mistakes, for then it cannot be edited by rows."""
    reading = read_draft(folder, contracts=contracts, relative_to=folder.parent)
    if reading.problems:
        raise ImportRefused(reading.problems)
    names = [str(path.relative_to(folder.parent)) for path in yaml_files(folder)]
    texts = {name: (folder.parent / name).read_bytes().decode("utf-8") for name in names}
    return DraftFolder(folder, reading, texts)


def plan(there: DraftFolder, changes: Changes, how: Merging) -> Planned:
    """The files after the changes, read again. `how.into` is a name with the folder's.

    Raises MergeImpossible when a file cannot be edited.
    """
    merged = merge(there.texts, there.draft, changes, how)
    after = _read_again(there, merged, how.contracts)
    if placeless(after.draft) != applied(there.draft, changes) or after.problems:
        raise MergeImpossible(
            f"{there.folder}: the files would not say what is wanted; {_first_odd(there, changes, after)}"
        )
    files = {there.path(name): text.encode() for name, text in merged.items()}
    before = {path: path.read_bytes() if path.exists() else None for path in files}
    return Planned(files, before, differences(there.draft, after.draft), after)


def unified_diff(planned: Planned) -> Iterator[str]:
    """What changes in the files, line by line, as `diff -u` shows it."""
    for path, content in planned.files.items():
        before = planned.before[path]
        name = str(Path(path.parent.name) / path.name)
        old = [] if before is None else before.decode().splitlines()
        new = content.decode().splitlines()
        head = 0
        while head < min(len(old), len(new)) and old[head] == new[head]:
            head += 1
        tail = 0
        while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
            tail += 1
        if before is not None and max(len(old), len(new)) - head - tail > _LONGEST_DIFF:
            lost, gained = Counter(old) - Counter(new), Counter(new) - Counter(old)
            yield f"{name}: {lost.total()} lines go, {gained.total()} come"
            continue
        # Lines that are the same at both ends are left to nobody to compare; three stay as what stands around.
        skipped = max(0, head - 3)
        end = max(0, tail - 3)
        yield from _shifted(
            difflib.unified_diff(
                old[skipped : len(old) - end],
                new[skipped : len(new) - end],
                name if old else "/dev/null",
                name,
                lineterm="",
            ),
            skipped,
        )


def _shifted(lines: Iterator[str], by: int) -> Iterator[str]:
    for line in lines:
        if by and line.startswith("@@ "):
            parts = line.split(" ")
            for at in (1, 2):
                start, comma, count = parts[at][1:].partition(",")
                parts[at] = f"{parts[at][0]}{int(start) + by}{comma}{count}"
            line = " ".join(parts)
        yield line


def _read_again(there: DraftFolder, merged: Mapping[str, str], contracts: ContractsByName) -> Reading:
    with tempfile.TemporaryDirectory(prefix="rivta-") as temporary:
        (Path(temporary) / there.folder.name).mkdir()
        for name, text in (dict(there.texts) | dict(merged)).items():
            path = Path(temporary) / name
            path.write_bytes(text.encode())
        return read_draft(Path(temporary) / there.folder.name, contracts=contracts, relative_to=Path(temporary))


def _first_odd(there: DraftFolder, changes: Changes, after: Reading) -> str:
    if after.problems:
        return f"they would have a mistake: {after.problems[0]}"
    wanted, found = applied(there.draft, changes), placeless(after.draft)
    odd: list[Row] = [*(wanted - found), *(found - wanted)]
    return f"the first row that differs: {odd[0] if odd else 'none'}"
