"""Which names in the routing tables of a home mean one contract now, and several once others are installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rivta.soap.identifiers import ContractNamespace

if TYPE_CHECKING:
    from rivta.catalogue.files import Named
    from rivta.contracts.domain import Contract
    from rivta.contracts.installed import Contracts
    from rivta.run.home import Home


@dataclass(frozen=True, slots=True)
class AmbiguousName:
    """A name in a draft that would no longer mean one contract."""

    file: Path
    line: int
    name: str
    """As `GetDiagnosis` or `GetDiagnosis:2`."""
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


def ambiguous_names(home: Home, known: Contracts, coming: Sequence[Contract]) -> Iterator[AmbiguousName]:
    """Each place in the drafts of a home where a name means one of `known` and would mean `coming` too.

    The drafts are those that the settings of the home's platforms name, and those in its folder of tables. One that
    cannot be read has nothing ambiguous: lint says what is wrong with it.
    """
    reasons = _newly_ambiguous(known, coming)
    if not reasons:
        return
    from rivta.catalogue.files import read_draft

    for folder in _drafts(home):
        problems = read_draft(folder, contracts=_OnlyAmbiguous(reasons)).problems
        for name, reason in reasons.items():
            for problem in problems:
                # The reason stands last, and begins with the name in quotes.
                if problem.rule == "unknown-contract" and problem.message.endswith(reason):
                    yield AmbiguousName(Path(problem.file), problem.line, name, reason)


def _newly_ambiguous(known: Contracts, coming: Sequence[Contract]) -> Mapping[str, str]:
    """Names that mean one contract now and would mean several, with what `Contracts.find` would say of each."""
    from rivta.contracts.installed import Contracts, UnknownContract

    after = Contracts([*known, *coming])
    reasons = {}
    for name in dict.fromkeys(name for contract in coming for name in (contract.name, contract.short_name)):
        try:
            known.find(name)
        except UnknownContract:
            continue
        try:
            after.find(name)
        except UnknownContract as error:
            reasons[name] = str(error)
    return reasons


@dataclass(frozen=True, slots=True)
class _OnlyAmbiguous:
    """Knows every contract there may be, but for the names that are looked for."""

    reasons: Mapping[str, str]

    def find(self, text: str) -> Named:
        if text in self.reasons:
            raise LookupError(self.reasons[text])
        return _AsSpelled(ContractNamespace(text))


@dataclass(frozen=True, slots=True)
class _AsSpelled:
    namespace: ContractNamespace


def _drafts(home: Home) -> Iterable[Path]:
    from rivta.run.settings import Settings, SettingsError

    found = sorted(path for path in home.routing.glob("*") if path.is_dir()) if home.routing.is_dir() else []
    for file in sorted(home.folder.glob("*/platform.toml")):
        try:
            draft = Settings.load(file).tables.draft
        except SettingsError:
            continue
        if draft is not None and draft.is_dir():
            found.append(draft)
    return {path.resolve(): path for path in found}.values()
